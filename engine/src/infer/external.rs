//! What is known of code outside the program: Python's builtins and library, Django, common packages.

use super::modules;

/// Names under which Django's queryset class is imported.
pub(super) const QUERYSET_CLASSES: &[&str] =
    &["django.db.models.QuerySet", "django.db.models.query.QuerySet"];

/// Names under which Django's manager classes are imported.
pub(super) const MANAGER_CLASSES: &[&str] = &[
    "django.db.models.Manager",
    "django.db.models.manager.Manager",
    "django.db.models.manager.BaseManager",
    "django.contrib.auth.models.UserManager",
    "django.contrib.auth.base_user.BaseUserManager",
];

/// What calling something outside the program does besides returning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that anybody can observe.
    Pure,
    /// Writes a log line or prints.
    Log,
    /// Acts on the world: mail, HTTP, tasks, files, caches.
    Outside,
    /// May run any SQL or any code of the project.
    Anything,
    /// Changes the transaction.
    Transaction,
    /// Renders a template, which may read any row.
    Renders,
    /// A library that is not known: it may act on the world, it does not write the project's tables.
    Unknown,
}

fn within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What calling `path` does.
pub(super) fn effect(path: &str) -> Effect {
    let renders =
        path.rsplit('.').next().is_some_and(|n| n.starts_with("render") || n.ends_with("TemplateResponse"));
    if renders && (within(path, "django.template") || within(path, "django.shortcuts")) {
        return Effect::Renders;
    }
    modules::known(path).unwrap_or(Effect::Unknown)
}

/// Methods of Python's own containers, strings, numbers, dates, files and matches, which a call on an unknown
/// object most often reaches. A class of the program that defines one of them is still looked at.
pub(super) const PLAIN_METHODS: &[&str] = &[
    "append",
    "extend",
    "insert",
    "pop",
    "sort",
    "reverse",
    "index",
    "copy",
    "keys",
    "values",
    "items",
    "setdefault",
    "popitem",
    "discard",
    "difference",
    "join",
    "split",
    "rsplit",
    "strip",
    "lstrip",
    "rstrip",
    "lower",
    "upper",
    "title",
    "capitalize",
    "replace",
    "startswith",
    "endswith",
    "encode",
    "decode",
    "format",
    "format_map",
    "zfill",
    "ljust",
    "rjust",
    "center",
    "splitlines",
    "partition",
    "rpartition",
    "isdigit",
    "isoformat",
    "strftime",
    "strptime",
    "timestamp",
    "date",
    "time",
    "astimezone",
    "total_seconds",
    "weekday",
    "group",
    "groups",
    "groupdict",
    "match",
    "search",
    "sub",
    "findall",
    "finditer",
    "fullmatch",
    "quantize",
    "is_integer",
    "as_integer_ratio",
    "hex",
    "writerow",
    "writerows",
    "writeheader",
    "getvalue",
    "seek",
    "tell",
    "appendleft",
    "popleft",
    "most_common",
    "elements",
    "casefold",
    "swapcase",
    "find",
    "rfind",
    "fromkeys",
];

/// Names of Django's own methods on querysets, managers, instances and forms that write rows.
const WRITING_METHODS: &[&str] = &[
    "save",
    "delete",
    "update",
    "create",
    "get_or_create",
    "update_or_create",
    "bulk_create",
    "bulk_update",
    "add",
    "remove",
    "set",
    "clear",
    "save_base",
    "save_m2m",
    "raw_delete",
    "execute",
    "executemany",
];

/// Those that have no asynchronous twin.
const SYNC_ONLY: &[&str] = &["save_base", "save_m2m", "raw_delete", "execute", "executemany"];

/// The synchronous name of one of Django's own methods that write rows: `save` for `save` and `asave`.
pub fn writing_method(name: &str) -> Option<&str> {
    if WRITING_METHODS.contains(&name) {
        return Some(name);
    }
    name.strip_prefix('a').filter(|n| WRITING_METHODS.contains(n) && !SYNC_ONLY.contains(n))
}
