//! Where a project starts.

use std::path::{Path, PathBuf};

const MARKERS: [&str; 3] = ["pyproject.toml", "manage.py", ".git"];

/// The root of the project that holds `paths` (absolute, free of links): the nearest directory at or above all
/// of them that has a pyproject.toml, a manage.py or a .git; without one, the directory that holds them all.
pub fn find(paths: &[PathBuf]) -> PathBuf {
    let mut dirs = paths.iter().map(|path| if path.is_dir() { path.as_path() } else { parent(path) });
    let first = dirs.next().unwrap_or(Path::new("/"));
    let common = dirs.fold(first, |common, dir| {
        common.ancestors().find(|ancestor| dir.starts_with(ancestor)).unwrap_or(common)
    });
    let marked = |dir: &&Path| MARKERS.iter().any(|marker| dir.join(marker).exists());
    common.ancestors().find(marked).unwrap_or(common).to_path_buf()
}

/// The directories whose files speak of the project at `root`, nearest first: it and those above it up to the top
/// of its repository; without a repository, it alone.
pub fn project_dirs(root: &Path) -> Vec<&Path> {
    match root.ancestors().position(|dir| dir.join(".git").exists()) {
        Some(top) => root.ancestors().take(top + 1).collect(),
        None => vec![root],
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_nearest_marker_wins() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("a/b/c")).unwrap();
        fs::create_dir_all(base.join("a/d")).unwrap();
        fs::write(base.join("a/b/c/x.py"), "").unwrap();
        fs::write(base.join("pyproject.toml"), "").unwrap();
        fs::write(base.join("a/b/manage.py"), "").unwrap();
        assert_eq!(find(&[base.join("a/b/c/x.py")]), base.join("a/b"));
        assert_eq!(find(&[base.join("a/b")]), base.join("a/b"));
        assert_eq!(find(&[base.join("a")]), base);
        assert_eq!(find(&[base.join("a/b/c"), base.join("a/d")]), base);
        fs::remove_file(base.join("pyproject.toml")).unwrap();
        assert_eq!(find(&[base.join("a/b/c"), base.join("a/d")]), base.join("a"));
        fs::create_dir(base.join(".git")).unwrap();
        assert_eq!(project_dirs(&base.join("a/b")), [base.join("a/b"), base.join("a"), base.clone()]);
    }
}
