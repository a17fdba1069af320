//! Models, managers and fields of Django's contrib apps and of well-known packages, as sources of their own.
//!
//! They state facts (names, fields, relations, which methods exist) in as few words as the index needs; a call of
//! `unknown(...)` stands for whatever the real code does. They go through the same path as scanned files, and a
//! scanned file of the same module takes their place.

use crate::python::{KNOWN_ROOT, Parsed};
use crate::text::Source;
use rustc_hash::FxHashSet;
use std::sync::LazyLock;

const STUBS: &[(&str, &str)] = &[
    ("django/contrib/auth/models.py", include_str!("stubs/auth.py")),
    ("django/contrib/auth/base_user.py", include_str!("stubs/auth_base_user.py")),
    ("django/contrib/contenttypes/models.py", include_str!("stubs/contenttypes.py")),
    ("django/contrib/sessions/models.py", include_str!("stubs/sessions.py")),
    ("django/contrib/sites/models.py", include_str!("stubs/sites.py")),
    ("django/contrib/sites/managers.py", include_str!("stubs/sites_managers.py")),
    ("django/contrib/admin/models.py", include_str!("stubs/admin.py")),
    ("django/contrib/flatpages/models.py", include_str!("stubs/flatpages.py")),
    ("django/contrib/redirects/models.py", include_str!("stubs/redirects.py")),
    ("django/historical.py", include_str!("stubs/historical.py")),
    ("mptt/models.py", include_str!("stubs/mptt_models.py")),
    ("mptt/fields.py", include_str!("stubs/mptt_fields.py")),
    ("mptt/managers.py", include_str!("stubs/mptt_managers.py")),
    ("mptt/querysets.py", include_str!("stubs/mptt_querysets.py")),
    ("modelcluster/fields.py", include_str!("stubs/modelcluster_fields.py")),
    ("modelcluster/models.py", include_str!("stubs/modelcluster_models.py")),
    ("modelcluster/contrib/taggit.py", include_str!("stubs/modelcluster_taggit.py")),
    ("taggit/models.py", include_str!("stubs/taggit_models.py")),
    ("taggit/managers.py", include_str!("stubs/taggit_managers.py")),
    ("django_extensions/db/models.py", include_str!("stubs/django_extensions_models.py")),
    ("django_extensions/db/fields/__init__.py", include_str!("stubs/django_extensions_fields.py")),
    ("model_utils/__init__.py", include_str!("stubs/model_utils.py")),
    ("model_utils/models.py", include_str!("stubs/model_utils_models.py")),
    ("model_utils/fields.py", include_str!("stubs/model_utils_fields.py")),
    ("model_utils/managers.py", include_str!("stubs/model_utils_managers.py")),
    ("polymorphic/models.py", include_str!("stubs/polymorphic_models.py")),
    ("polymorphic/managers.py", include_str!("stubs/polymorphic_managers.py")),
    ("ordered_model/models.py", include_str!("stubs/ordered_model_models.py")),
    ("treebeard/mp_tree.py", include_str!("stubs/treebeard_mp.py")),
    ("simple_history/models.py", include_str!("stubs/simple_history_models.py")),
    ("guardian/models.py", include_str!("stubs/guardian_models.py")),
    ("parler/models.py", include_str!("stubs/parler_models.py")),
    ("django_lifecycle/__init__.py", include_str!("stubs/lifecycle.py")),
];

/// The files to add to those of the project.
pub(super) fn files(scanned: &[Parsed]) -> Vec<Parsed> {
    // Parsed once: an editor or a test builds many projects.
    static PARSED: LazyLock<Vec<Parsed>> = LazyLock::new(|| {
        let source = |(path, text): &(&str, &str)| {
            Source::new(format!("{KNOWN_ROOT}{path}"), text.as_bytes().to_vec())
        };
        STUBS.iter().map(|stub| Parsed::new(source(stub))).collect()
    });
    // A package that is among the scanned files is taken from there, whole.
    let mut present: FxHashSet<&str> = FxHashSet::default();
    for source in scanned.iter().map(Parsed::source) {
        for (path, _) in STUBS {
            if source.path() == *path
                || source.path().strip_suffix(path).is_some_and(|rest| rest.ends_with('/'))
            {
                present.insert(package(path));
            }
        }
    }
    STUBS
        .iter()
        .zip(PARSED.iter())
        .filter(|((path, _), _)| !present.contains(package(path)))
        .map(|(_, parsed)| parsed.clone())
        .collect()
}

/// The package that a stub belongs to: `django/contrib/auth`, `mptt`.
fn package(path: &str) -> &str {
    let depth = if path.starts_with("django/") { 3 } else { 1 };
    let end = path.match_indices('/').nth(depth - 1).map_or(path.len(), |(i, _)| i);
    path.get(..end).unwrap_or(path)
}
