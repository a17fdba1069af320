//! The paths that a run deals with: files are named relative to the project root in the engine, and shown
//! relative to the working directory.

use crate::discover::reason;
use crate::escape::escape_line;
use miette::miette;
use rustc_hash::FxHashSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The project root and the working directory, both absolute and free of links.
#[derive(Clone, Debug)]
pub struct Paths {
    pub root: PathBuf,
    pub cwd: PathBuf,
    /// The directory of installed packages and those of its files that were read.
    pub site_packages: Option<PathBuf>,
    pub environment: FxHashSet<String>,
}

impl Paths {
    pub fn new(root: PathBuf, cwd: PathBuf) -> Paths {
        Paths { root, cwd, site_packages: None, environment: FxHashSet::default() }
    }

    /// The absolute path of a file that the engine calls `path`.
    pub fn absolute(&self, path: &str) -> PathBuf {
        match &self.site_packages {
            Some(packages) if self.environment.contains(path) => packages.join(path),
            _ => self.root.join(path),
        }
    }

    /// `path`, of the engine, relative to the working directory, with `/`. Not escaped: for data.
    pub fn relative(&self, path: &str) -> String {
        relative_to(&self.absolute(path), &self.cwd)
    }

    /// `path`, of the engine, as shown to the user.
    pub fn show(&self, path: &str) -> String {
        escape_line(&self.relative(path)).into_owned()
    }

    /// An absolute path as shown to the user.
    pub fn show_absolute(&self, path: &Path) -> String {
        escape_line(&relative_to(path, &self.cwd)).into_owned()
    }

    /// The engine's name of the absolute path `path`; `None` outside the root or if it is not UTF-8.
    pub fn engine_path(&self, path: &Path) -> Option<String> {
        let parts: Option<Vec<&str>> =
            path.strip_prefix(&self.root).ok()?.components().map(|part| part.as_os_str().to_str()).collect();
        Some(parts?.join("/"))
    }
}

/// The working directory, free of links.
pub fn working_directory() -> miette::Result<PathBuf> {
    std::env::current_dir()
        .and_then(fs::canonicalize)
        .map_err(|error| miette!("the working directory cannot be found: {}", reason(&error)))
}

/// `path` seen from `base`, with `/`; `.` if they are the same.
pub fn relative_to(path: &Path, base: &Path) -> String {
    let common = path.components().zip(base.components()).take_while(|(a, b)| a == b).count();
    if common <= 1 && base.components().count() > 1 && path.is_absolute() {
        // Nothing in common but the file system's root: `../../..` would tell nobody anything.
        return path.to_string_lossy().into_owned();
    }
    let up = base.components().skip(common).filter(|part| !matches!(part, Component::CurDir));
    let mut parts: Vec<String> = up.map(|_| "..".to_string()).collect();
    parts.extend(path.components().skip(common).map(|part| part.as_os_str().to_string_lossy().into_owned()));
    if parts.is_empty() { ".".to_string() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_from_the_working_directory() {
        let show = |path: &str, base: &str| relative_to(Path::new(path), Path::new(base));
        assert_eq!(show("/p/shop/a.py", "/p"), "shop/a.py");
        assert_eq!(show("/p/shop/a.py", "/p/other"), "../shop/a.py");
        assert_eq!(show("/p", "/p"), ".");
        assert_eq!(show("/tmp/a.py", "/home/me"), "/tmp/a.py");
        assert_eq!(show("/tmp/a.py", "/"), "tmp/a.py");
    }

    #[test]
    fn control_characters_in_names_are_escaped() {
        let paths = Paths::new("/p".into(), "/p".into());
        assert_eq!(paths.show("a\x1b.py"), "a\\x1b.py");
        assert_eq!(paths.relative("a\x1b.py"), "a\x1b.py");
        assert_eq!(paths.engine_path(Path::new("/p/shop/a.py")).as_deref(), Some("shop/a.py"));
        assert_eq!(paths.engine_path(Path::new("/q/a.py")), None);
    }
}
