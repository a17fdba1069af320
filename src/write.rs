//! Replacing a file: whole or not at all, and only what was read.

use crate::discover::reason;
use crate::paths::Paths;
use ormend_engine::rewrite::Change;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a file was not written. The message is complete but for the file's name.
#[derive(Debug)]
pub enum WriteError {
    /// It is no longer what was read.
    Changed,
    /// It may not be written.
    ReadOnly,
    /// It is a link out of the project.
    OutsideRoot,
    /// The system refused.
    Io(&'static str, io::Error),
}

impl WriteError {
    /// Whether the refusal is ours; otherwise the system failed us.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, WriteError::Io(..))
    }
}

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WriteError::Changed => {
                write!(f, "it changed since it was read, so it was left as it is; run again")
            }
            WriteError::ReadOnly => {
                write!(f, "it is not writable, so it was left as it is; change its permissions")
            }
            WriteError::OutsideRoot => {
                write!(f, "it is a link that leaves the project, so it was left as it is")
            }
            WriteError::Io(doing, error) => {
                write!(f, "cannot {doing}: {}; it was left as it is", reason(error))
            }
        }
    }
}

/// Whether the file that the engine calls `path` may be written, as far as that can be told without writing: where it is
/// and its mode.
pub fn check(paths: &Paths, path: &str) -> Result<(PathBuf, fs::Metadata), WriteError> {
    let target = fs::canonicalize(paths.absolute(path)).map_err(|error| WriteError::Io("find it", error))?;
    if !target.starts_with(&paths.root) {
        return Err(WriteError::OutsideRoot);
    }
    let metadata = fs::metadata(&target).map_err(|error| WriteError::Io("read its mode", error))?;
    // A rename would replace a file that may not be written, so its own permission is asked first.
    let writable = OpenOptions::new().write(true).open(&target);
    if metadata.permissions().readonly()
        || writable.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    {
        return Err(WriteError::ReadOnly);
    }
    writable.map_err(|error| WriteError::Io("open it", error))?;
    Ok((target, metadata))
}

/// Put `change.after` in the place of `change.before`.
pub fn replace(paths: &Paths, change: &Change) -> Result<(), WriteError> {
    let (target, metadata) = check(paths, &change.path)?;
    let dir = target.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new()
        .prefix(".ormend-")
        .suffix(".tmp")
        .tempfile_in(dir)
        .map_err(|error| WriteError::Io("make a temporary file next to it", error))?;
    let write = |file: &mut File| {
        file.write_all(&change.after)?;
        file.set_permissions(metadata.permissions())?;
        keep_owner(file, &metadata);
        // A full disk may show only here.
        file.sync_all()
    };
    write(temporary.as_file_mut())
        .map_err(|error| WriteError::Io("write a temporary file next to it", error))?;
    // As late as possible: what somebody saved while we worked is never lost.
    let now = fs::read(&target).map_err(|error| WriteError::Io("read it again", error))?;
    if now != change.before {
        return Err(WriteError::Changed);
    }
    temporary.persist(&target).map_err(|error| WriteError::Io("replace it", error.error))?;
    Ok(())
}

/// Write a file of the user's choice, whole or not at all. What is no file (a pipe, `/dev/null`) is written to.
pub fn create(file: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link leads to what is written.
    let target = fs::canonicalize(file);
    let before = target.as_deref().ok().and_then(|target| fs::metadata(target).ok());
    if before.as_ref().is_some_and(|metadata| !metadata.is_file()) {
        return OpenOptions::new().write(true).open(file)?.write_all(bytes);
    }
    let target = target.as_deref().unwrap_or(file);
    let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ormend-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut temporary = builder.tempfile_in(dir)?;
    temporary.write_all(bytes)?;
    if let Some(before) = before {
        temporary.as_file().set_permissions(before.permissions())?;
    }
    temporary.as_file().sync_all()?;
    temporary.persist(target).map_err(|error| error.error)?;
    Ok(())
}

/// Where we may, as root does, leave the file to its owner.
#[cfg(unix)]
fn keep_owner(file: &File, metadata: &fs::Metadata) {
    use std::os::unix::fs::{MetadataExt, fchown};
    let ours = file.metadata().map(|ours| (ours.uid(), ours.gid()));
    if ours.is_ok_and(|ours| ours != (metadata.uid(), metadata.gid())) {
        let _ = fchown(file, Some(metadata.uid()), Some(metadata.gid()));
    }
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &fs::Metadata) {}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        dir: tempfile::TempDir,
        paths: Paths,
    }

    fn case() -> Case {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("p");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("a.py"), "old\r\n").unwrap();
        Case { dir, paths: Paths::new(root.clone(), root) }
    }

    fn change(path: &str) -> Change {
        Change { path: path.into(), before: b"old\r\n".to_vec(), after: b"new\r\n".to_vec(), fixes: 1 }
    }

    fn entries(case: &Case) -> usize {
        fs::read_dir(&case.paths.root).unwrap().count()
    }

    #[test]
    fn a_file_is_replaced() {
        let case = case();
        replace(&case.paths, &change("a.py")).unwrap();
        assert_eq!(fs::read(case.paths.root.join("a.py")).unwrap(), b"new\r\n");
        assert_eq!(entries(&case), 1);
    }

    #[test]
    fn a_file_that_changed_is_left() {
        let case = case();
        fs::write(case.paths.root.join("a.py"), "other").unwrap();
        assert!(matches!(replace(&case.paths, &change("a.py")), Err(WriteError::Changed)));
        assert_eq!(fs::read(case.paths.root.join("a.py")).unwrap(), b"other");
        assert_eq!(entries(&case), 1);
        let gone = replace(&case.paths, &change("gone.py")).unwrap_err();
        assert_eq!(gone.to_string(), "cannot find it: no such file or directory; it was left as it is");
    }

    #[cfg(unix)]
    #[test]
    fn mode_and_links() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let case = case();
        let file = case.paths.root.join("a.py");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o751)).unwrap();
        symlink("a.py", case.paths.root.join("link.py")).unwrap();
        replace(&case.paths, &change("link.py")).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o751);
        assert!(fs::symlink_metadata(case.paths.root.join("link.py")).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new\r\n");

        fs::write(&file, "old\r\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        assert!(matches!(replace(&case.paths, &change("a.py")), Err(WriteError::ReadOnly)));
        assert_eq!(fs::read(&file).unwrap(), b"old\r\n");

        fs::write(case.dir.path().join("out.py"), "old\r\n").unwrap();
        symlink(case.dir.path().join("out.py"), case.paths.root.join("out.py")).unwrap();
        assert!(matches!(replace(&case.paths, &change("out.py")), Err(WriteError::OutsideRoot)));
        assert_eq!(fs::read(case.dir.path().join("out.py")).unwrap(), b"old\r\n");
    }
}
