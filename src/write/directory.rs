//! `.ormend`, the directory of everything that ormend keeps in a project. Nothing in it is believed: it may have come with the
//! project, or be a link that leads elsewhere.

use super::file::{self, OPEN};
use crate::read;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Its name.
pub const DIR: &str = ".ormend";

/// That of the project at `root`, made if need be.
pub fn make(root: &Path) -> io::Result<PathBuf> {
    let dir = root.join(DIR);
    make_own(&dir)?;
    // Nobody wants it in a commit.
    let ignore = dir.join(".gitignore");
    if !ignore.exists() {
        file::replace(&ignore, b"*\n", OPEN)?;
    }
    Ok(dir)
}

/// Make `dir` a directory, and no link to one.
pub fn make_own(dir: &Path) -> io::Result<()> {
    if fs::symlink_metadata(dir).is_ok_and(|metadata| !metadata.is_dir()) {
        return Err(io::Error::other("it is no directory"));
    }
    fs::create_dir_all(dir)
}

/// What a file in it holds. A link is not ours.
pub fn read_own(file: &Path, limit: usize) -> io::Result<Vec<u8>> {
    match fs::symlink_metadata(file)?.is_symlink() {
        true => Err(io::Error::other("it is a link")),
        false => read::at_most(file, limit),
    }
}
