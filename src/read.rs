//! Reading what a project holds. Only regular files are read: a pipe would be waited for, and a device may never end.

use crate::stat::Stat;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// What `file` holds.
pub fn file(file: &Path) -> io::Result<Vec<u8>> {
    is_regular(file)?;
    fs::read(file)
}

/// The first `limit` bytes that `file` holds.
pub fn at_most(file: &Path, limit: usize) -> io::Result<Vec<u8>> {
    Ok(with_stat(file, limit)?.0)
}

/// The same, and what the system told of the file that was read, if it tells enough.
pub fn with_stat(file: &Path, limit: usize) -> io::Result<(Vec<u8>, Option<Stat>)> {
    let opened = open(file)?;
    let metadata = opened.metadata()?;
    let length = length(&metadata)?;
    // One more than there is, so that the end is found without asking for room.
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(limit).min(limit).saturating_add(1));
    opened.take(limit as u64).read_to_end(&mut bytes)?;
    Ok((bytes, Stat::of(&metadata)))
}

/// Open `file`, at once whatever it is: what is asked of an open file is asked without looking for its path again.
#[cfg(unix)]
fn open(file: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let opened = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(file);
    // What cannot be opened that way may be something else, a socket, or be held by somebody for a moment.
    opened.or_else(|_| is_regular(file).and_then(|_| File::open(file)))
}

#[cfg(not(unix))]
fn open(file: &Path) -> io::Result<File> {
    is_regular(file)?;
    File::open(file)
}

/// The text that `file` holds.
pub fn text(file: &Path) -> io::Result<String> {
    is_regular(file)?;
    fs::read_to_string(file)
}

/// The length of `file`; an error if it is anything but a file. Directories say so themselves when they are read.
fn is_regular(file: &Path) -> io::Result<u64> {
    length(&fs::metadata(file)?)
}

fn length(metadata: &fs::Metadata) -> io::Result<u64> {
    match metadata.is_file() || metadata.is_dir() {
        true => Ok(metadata.len()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}
