//! Replacing one file: whole or not at all, and only what was read.

use crate::discover::reason;
use crate::escape::escape_line;
use crate::paths::Paths;
use crate::read;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// How the names of temporary files start and end.
pub const PREFIX: &str = ".ormend-";
pub const TEMPORARY: &str = ".tmp";

/// The mode of a file that everybody may have who the user lets have files.
pub const OPEN: u32 = 0o666;

/// Why a file was not written. The message is complete but for the file's name.
#[derive(Debug)]
pub enum WriteError {
    /// It is no longer what was read.
    Changed,
    /// It may not be written.
    ReadOnly,
    /// It is a link out of the project.
    OutsideRoot,
    /// A fix changes it together with the file of this path, which was not written.
    Together(String),
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
            WriteError::Together(other) => {
                let other = escape_line(other);
                write!(f, "a fix changes it together with `{other}`, so it was left as it is")
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

/// The new content of a file, stored next to it under another name.
pub struct Prepared<'c> {
    target: PathBuf,
    temporary: NamedTempFile,
    before: &'c [u8],
}

/// Store `after`, which is to take the place of `before` in the file that the engine calls `path`, next to it. The name of what
/// is stored starts with `prefix`.
pub fn prepare<'c>(
    paths: &Paths,
    path: &str,
    before: &'c [u8],
    after: &[u8],
    prefix: &str,
) -> Result<Prepared<'c>, WriteError> {
    let (target, metadata) = check(paths, path)?;
    let dir = target.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new()
        .prefix(prefix)
        .suffix(TEMPORARY)
        .tempfile_in(dir)
        .map_err(|error| WriteError::Io("make a temporary file next to it", error))?;
    let write = |file: &mut File| {
        file.write_all(after)?;
        // The owner first: a change of it clears the bits for set-user-ID.
        keep_owner(file, &metadata);
        file.set_permissions(metadata.permissions())?;
        // A full disk may show only here.
        file.sync_all()
    };
    write(temporary.as_file_mut())
        .map_err(|error| WriteError::Io("write a temporary file next to it", error))?;
    Ok(Prepared { target, temporary, before })
}

impl Prepared<'_> {
    /// Whether the file still is where it was, no link having come into the way, and holds what was read.
    pub fn is_current(&self) -> Result<(), WriteError> {
        let found = fs::canonicalize(&self.target).map_err(|error| WriteError::Io("find it again", error))?;
        if found != self.target {
            return Err(WriteError::Changed);
        }
        let now = read::file(&self.target).map_err(|error| WriteError::Io("read it again", error))?;
        if now == self.before { Ok(()) } else { Err(WriteError::Changed) }
    }

    /// Put it in its place. As late as possible it is made sure that nobody saved the file while we worked. Gives the directory.
    pub fn put(self) -> Result<PathBuf, WriteError> {
        self.is_current()?;
        let dir = self.target.parent().unwrap_or(Path::new(".")).to_path_buf();
        self.temporary.persist(&self.target).map_err(|error| WriteError::Io("replace it", error.error))?;
        Ok(dir)
    }
}

/// Make the renames in a directory last, where the system can.
pub fn sync_dir(dir: &Path) {
    if let Ok(dir) = File::open(dir) {
        let _ = dir.sync_all();
    }
}

/// Write a file of the user's choice, whole or not at all. What is no file (a pipe, `/dev/null`) is written to.
pub fn create(file: &Path, bytes: &[u8]) -> io::Result<()> {
    // The system is asked and not the path: `/dev/stdout` is a link that leads to no path where it is a pipe.
    if fs::metadata(file).is_ok_and(|metadata| !metadata.is_file()) {
        return OpenOptions::new().write(true).open(file)?.write_all(bytes);
    }
    // A link leads to what is written, even if that is not there yet.
    match fs::canonicalize(file) {
        Ok(target) => replace(&target, bytes, OPEN),
        Err(_) if fs::symlink_metadata(file).is_ok() => {
            OpenOptions::new().write(true).create(true).truncate(true).open(file)?.write_all(bytes)
        }
        Err(_) => replace(file, bytes, OPEN),
    }
}

/// Put a file with `bytes` in the place of `target`, whatever stands there: no link is followed. A new one has `mode`, as far as
/// the user lets files have it.
pub fn replace(target: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    let mut temporary = builder.tempfile_in(dir)?;
    temporary.write_all(bytes)?;
    if let Some(before) = fs::symlink_metadata(target).ok().filter(fs::Metadata::is_file) {
        temporary.as_file().set_permissions(before.permissions())?;
    }
    temporary.as_file().sync_all()?;
    temporary.persist(target).map_err(|error| error.error)?;
    Ok(())
}

/// The bits of [`OPEN`] that every one of `files` has.
#[cfg(unix)]
pub fn common_mode(files: impl Iterator<Item = PathBuf>) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    let modes = files.filter_map(|file| Some(fs::metadata(file).ok()?.permissions().mode()));
    modes.fold(OPEN, |all, mode| all & mode)
}

#[cfg(not(unix))]
pub fn common_mode(_: impl Iterator<Item = PathBuf>) -> u32 {
    OPEN
}

/// Where we may, as root does, leave the file to its owner; otherwise at least to its group, whose members may read it.
#[cfg(unix)]
fn keep_owner(file: &File, metadata: &fs::Metadata) {
    use std::os::unix::fs::{MetadataExt, fchown};
    let ours = file.metadata().map(|ours| (ours.uid(), ours.gid()));
    if ours.is_ok_and(|ours| ours != (metadata.uid(), metadata.gid())) {
        let _ = fchown(file, Some(metadata.uid()), Some(metadata.gid()))
            .or_else(|_| fchown(file, None, Some(metadata.gid())));
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

    fn put(paths: &Paths, path: &str) -> Result<(), WriteError> {
        prepare(paths, path, b"old\r\n", b"new\r\n", PREFIX)?.put().map(|_| ())
    }

    fn entries(case: &Case) -> usize {
        fs::read_dir(&case.paths.root).unwrap().count()
    }

    #[test]
    fn a_file_is_replaced() {
        let case = case();
        put(&case.paths, "a.py").unwrap();
        assert_eq!(fs::read(case.paths.root.join("a.py")).unwrap(), b"new\r\n");
        assert_eq!(entries(&case), 1);
    }

    #[test]
    fn a_file_that_changed_is_left() {
        let case = case();
        fs::write(case.paths.root.join("a.py"), "other").unwrap();
        assert!(matches!(put(&case.paths, "a.py"), Err(WriteError::Changed)));
        assert_eq!(fs::read(case.paths.root.join("a.py")).unwrap(), b"other");
        assert_eq!(entries(&case), 1);
        let gone = put(&case.paths, "gone.py").unwrap_err();
        assert_eq!(gone.to_string(), "cannot find it: no such file or directory; it was left as it is");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_comes_into_the_way_is_seen() {
        let case = case();
        let (root, out) = (&case.paths.root, case.dir.path());
        fs::create_dir(root.join("d")).unwrap();
        fs::rename(root.join("a.py"), root.join("d/a.py")).unwrap();
        for moved in ["d", "d/a.py"] {
            let ready = prepare(&case.paths, "d/a.py", b"old\r\n", b"new\r\n", PREFIX).unwrap();
            fs::rename(root.join(moved), out.join("moved")).unwrap();
            std::os::unix::fs::symlink(out.join("moved"), root.join(moved)).unwrap();
            assert!(matches!(ready.put(), Err(WriteError::Changed)), "{moved}");
            fs::remove_file(root.join(moved)).unwrap();
            fs::rename(out.join("moved"), root.join(moved)).unwrap();
            assert_eq!(fs::read(root.join("d/a.py")).unwrap(), b"old\r\n");
        }
    }

    #[cfg(unix)]
    #[test]
    fn mode_and_links() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let case = case();
        let file = case.paths.root.join("a.py");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o751)).unwrap();
        symlink("a.py", case.paths.root.join("link.py")).unwrap();
        put(&case.paths, "link.py").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o751);
        assert!(fs::symlink_metadata(case.paths.root.join("link.py")).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new\r\n");

        fs::write(&file, "old\r\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        assert!(matches!(put(&case.paths, "a.py"), Err(WriteError::ReadOnly)));
        assert_eq!(fs::read(&file).unwrap(), b"old\r\n");

        fs::write(case.dir.path().join("out.py"), "old\r\n").unwrap();
        symlink(case.dir.path().join("out.py"), case.paths.root.join("out.py")).unwrap();
        assert!(matches!(put(&case.paths, "out.py"), Err(WriteError::OutsideRoot)));
        assert_eq!(fs::read(case.dir.path().join("out.py")).unwrap(), b"old\r\n");
    }
}
