//! What is known of code outside the program: Python's builtins and library, Django, common packages.

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

/// Modules whose functions have no effect outside.
const PURE_MODULES: &[&str] = &[
    "abc",
    "base64",
    "binascii",
    "bisect",
    "calendar",
    "cmath",
    "codecs",
    "collections",
    "colorsys",
    "contextlib",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "enum",
    "fnmatch",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "html",
    "inspect",
    "io",
    "ipaddress",
    "itertools",
    "json",
    "locale",
    "math",
    "mimetypes",
    "numbers",
    "operator",
    "pprint",
    "random",
    "re",
    "secrets",
    "statistics",
    "string",
    "struct",
    "textwrap",
    "time",
    "traceback",
    "types",
    "typing",
    "typing_extensions",
    "unicodedata",
    "urllib.parse",
    "uuid",
    "warnings",
    "weakref",
    "zoneinfo",
    "zlib",
    "django.utils",
    "django.db.models",
    "django.urls",
    "django.http",
    "django.conf",
    "django.core.exceptions",
    "django.core.files.File",
    "django.core.files.base",
    "django.core.files.images.ImageFile",
    "django.core.paginator",
    "django.core.serializers",
    "django.core.validators",
    "django.forms",
    "django.template",
    "django.contrib.auth.get_user_model",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "django.contrib.gis",
    "django.shortcuts",
    "django.utils.timezone",
    "dateutil",
    "pytz",
    "slugify",
    "markdown",
    "bleach",
    "rest_framework.response",
    "rest_framework.status",
    "rest_framework.exceptions",
    "rest_framework.reverse",
    "openpyxl",
    "xlsxwriter",
    "xlwt",
    "tabulate",
    "yaml",
    "django.core.management.base",
];

const LOG_MODULES: &[&str] = &[
    "django.core.management.base.OutputWrapper",
    "logging",
    "structlog",
    "loguru",
    "django.contrib.messages",
    "syslog",
];

const OUTSIDE_MODULES: &[&str] = &[
    "requests",
    "httpx",
    "urllib",
    "urllib3",
    "http",
    "smtplib",
    "ftplib",
    "socket",
    "subprocess",
    "os",
    "shutil",
    "pathlib",
    "tempfile",
    "django.core.mail",
    "django.core.cache",
    "django.core.files",
    "celery",
    "django_rq",
    "rq",
    "dramatiq",
    "huey",
    "boto3",
    "stripe",
    "redis",
    "kombu",
    "channels",
    "asgiref",
    "concurrent",
    "threading",
    "multiprocessing",
    "asyncio",
    "sentry_sdk",
    "slack_sdk",
    "twilio",
];

const ANYTHING: &[&str] = &[
    "django.core.management.call_command",
    "django.db.connection",
    "django.db.connections",
    "django.db.backends",
    "builtins.exec",
    "builtins.eval",
    "importlib",
    "django.dispatch",
    "django.test",
    "django.db.models.signals",
];

fn within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What calling `path` does.
pub(super) fn effect(path: &str) -> Effect {
    let renders = path.rsplit('.').next().is_some_and(|name| name.starts_with("render"));
    if renders && (within(path, "django.template") || within(path, "django.shortcuts")) {
        return Effect::Renders;
    }
    let any = |table: &[&str]| table.iter().any(|p| within(path, p));
    if any(ANYTHING) {
        Effect::Anything
    } else if within(path, "django.db.transaction") {
        Effect::Transaction
    } else if any(LOG_MODULES) || path == "builtins.print" {
        Effect::Log
    } else if path == "builtins.open" || path == "builtins.input" {
        Effect::Outside
    } else if within(path, "builtins") || any(PURE_MODULES) {
        Effect::Pure
    } else if any(OUTSIDE_MODULES) {
        Effect::Outside
    } else {
        Effect::Unknown
    }
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

/// Names of Django's own methods on querysets, managers and instances that write rows.
pub(super) const WRITING_METHODS: &[&str] = &[
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
    "asave",
    "adelete",
    "aupdate",
    "acreate",
    "aget_or_create",
    "aupdate_or_create",
    "abulk_create",
    "abulk_update",
    "aadd",
    "aremove",
    "aset",
    "aclear",
    "save_base",
    "raw_delete",
    "execute",
    "executemany",
];
