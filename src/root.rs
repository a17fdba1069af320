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
    }
}
