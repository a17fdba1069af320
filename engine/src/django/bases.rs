//! Bases of classes that frameworks use: which packages are known to leave alone what a class shows.

use crate::python::{ClassId, Program};

/// Where bases come from that change neither which rows a class of a framework shows nor how, unless an attribute of
/// theirs says so: by prefix.
const HARMLESS: &[&str] = &[
    "django.",
    "builtins.",
    "abc.",
    "typing.",
    "rest_framework.",
    "drf_spectacular.",
    "drf_yasg.",
    "django_filters.",
    "django_tables2.",
    "guardian.admin.GuardedModelAdmin",
    "import_export.admin.",
    "reversion.admin.VersionAdmin",
    "simple_history.admin.SimpleHistoryAdmin",
];

/// A base of `class`, or of one above it, that is not known: where it comes from, or the class that has it.
pub fn unknown_base(program: &Program, class: ClassId) -> Option<String> {
    let info = program.class(class);
    let is_harmless = |base: &&String| HARMLESS.iter().any(|known| base.starts_with(known));
    match info.external_bases.iter().find(|base| !is_harmless(base)) {
        Some(base) => Some(base.clone()),
        None => info.has_unknown_base.then(|| info.name.clone()),
    }
}
