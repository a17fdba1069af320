//! What the client is to watch on disk.

use lsp_types::notification::{DidChangeWatchedFiles, Notification as _};
use lsp_types::{
    DidChangeWatchedFilesRegistrationOptions, FileSystemWatcher, GlobPattern, Registration,
    RegistrationParams,
};
use std::path::Path;

/// Modules, what may be templates, and what says how to look at them: the configuration, what tells of Django's version, and
/// what is ignored.
const GLOBS: [&str; 6] = [
    "**/*.{py,html,htm,djhtml,txt,xml,jinja,jinja2,j2}",
    "**/{templates,jinja2}/**",
    "**/{pyproject.toml,ormend.toml,ruff.toml,.ruff.toml,setup.cfg,Pipfile,Pipfile.lock}",
    "**/{poetry.lock,uv.lock,pdm.lock,requirements*.in}",
    "**/requirements/*.in",
    "**/{.gitignore,.ignore}",
];

/// Names of files that say how to look at others.
const SAYING: [&str; 12] = [
    "pyproject.toml",
    "ormend.toml",
    "ruff.toml",
    ".ruff.toml",
    "setup.cfg",
    "Pipfile",
    "Pipfile.lock",
    "poetry.lock",
    "uv.lock",
    "pdm.lock",
    ".gitignore",
    ".ignore",
];

/// Whether a change of `file` makes everything another.
pub fn is_configuration(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let is_below_requirements = file.parent().is_some_and(|dir| dir.ends_with("requirements"));
    SAYING.contains(&name) || name.starts_with("requirements") || is_below_requirements
}

/// What asks the client to watch.
pub fn registration() -> RegistrationParams {
    let watchers = GLOBS
        .iter()
        .map(|glob| FileSystemWatcher { glob_pattern: GlobPattern::String((*glob).to_owned()), kind: None });
    let options = DidChangeWatchedFilesRegistrationOptions { watchers: watchers.collect() };
    RegistrationParams {
        registrations: vec![Registration {
            id: "ormend/files".to_owned(),
            method: DidChangeWatchedFiles::METHOD.to_owned(),
            register_options: serde_json::to_value(options).ok(),
        }],
    }
}
