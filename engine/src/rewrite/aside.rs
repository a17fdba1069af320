//! Which tests and migrations the index needs.
//!
//! They are not looked at, and what they do never runs in production. But a project may keep a model there that its
//! settings name, or a receiver. Most of them hold nothing of the kind, and need not be parsed.

use super::{InputFile, Role};
use rayon::prelude::*;
use rustc_hash::FxHashSet;

/// What a module that defines a model, receiver or setting has in its text.
const DEFINING: &[&str] = &[
    "models.Model",
    "(Model)",
    "Model,",
    "AbstractUser",
    "AbstractBaseUser",
    "receiver(",
    ".connect(",
    "INSTALLED_APPS",
];

/// Take out the files of [`Role::Aside`] that define nothing that other code may meet: migrations, and tests but for
/// models, receivers and settings and what stands beside models in their directory.
pub fn leave_out_idle(files: &mut Vec<InputFile>) {
    let apps: FxHashSet<String> = files
        .iter()
        .filter(|file| file.role == Role::Aside)
        .filter_map(|file| file.path.strip_suffix("/models.py"))
        .map(str::to_owned)
        .collect();
    let is_left = |file: &InputFile| file.role != Role::Aside || is_needed(&file.path, &file.bytes, &apps);
    let mut left = files.par_iter().map(is_left).collect::<Vec<bool>>().into_iter();
    files.retain(|_| left.next().unwrap_or(true));
}

/// Whether `path` is a module below a directory `migrations`.
pub fn is_migration(path: &str) -> bool {
    path.rsplit_once('/')
        .is_some_and(|(dirs, _)| dirs.split('/').any(|dir| matches!(dir, "migrations" | "south_migrations")))
}

fn is_needed(path: &str, bytes: &[u8], apps: &FxHashSet<String>) -> bool {
    let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
    if is_migration(path) {
        return false;
    }
    let is_named = matches!(name, "models.py" | "apps.py" | "managers.py" | "signals.py" | "receivers.py")
        || name.starts_with("settings")
        || dirs.split('/').any(|dir| matches!(dir, "models" | "settings" | "signals"));
    let is_beside_models = !name.starts_with("test") && apps.contains(dirs);
    is_named
        || is_beside_models
        || DEFINING.iter().any(|needle| memchr::memmem::find(bytes, needle.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(files: &[(&str, &str, Role)]) -> Vec<String> {
        let mut files: Vec<InputFile> = files
            .iter()
            .map(|(path, text, role)| InputFile {
                path: (*path).to_owned(),
                bytes: text.as_bytes().to_vec(),
                role: *role,
            })
            .collect();
        leave_out_idle(&mut files);
        files.into_iter().map(|file| file.path).collect()
    }

    #[test]
    fn only_what_defines_something_is_left() {
        let files = [
            ("shop/views.py", "", Role::Scan),
            ("shop/other.py", "", Role::Index),
            ("shop/migrations/0001_initial.py", "models.Model", Role::Aside),
            ("shop/tests/test_views.py", "from shop.models import Book", Role::Aside),
            ("shop/tests/test_signals.py", "@receiver(post_save)", Role::Aside),
            ("shop/tests/test_models.py", "class Fake(models.Model): pass", Role::Aside),
            ("tests/users/models.py", "", Role::Aside),
            ("tests/users/fields.py", "", Role::Aside),
            ("tests/users/test_fields.py", "", Role::Aside),
            ("tests/settings_ci.py", "", Role::Aside),
            ("tests/factories.py", "", Role::Aside),
        ];
        assert_eq!(
            left(&files),
            [
                "shop/views.py",
                "shop/other.py",
                "shop/tests/test_signals.py",
                "shop/tests/test_models.py",
                "tests/users/models.py",
                "tests/users/fields.py",
                "tests/settings_ci.py",
            ]
        );
    }
}
