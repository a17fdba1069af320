//! Results of earlier runs, in `.ormend/cache` below the project root.
//!
//! The name of an entry is a hash of everything that it depends on, the executable itself included. So an entry is never out
//! of date; it is used or it is not. Nothing in an entry is believed: what is damaged, was made in another directory or by
//! another user is as if it were not there. And nothing here stops a run: it goes on without.

mod result;
mod seen;
mod trees;

pub use result::Content;
pub use seen::{Listing, Seen};

use crate::TOOL;
use crate::write::{self, DIR, PREFIX, TEMPORARY};
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The directory in [`DIR`].
const NAME: &str = "cache";

/// The version of the form of an entry.
const FORMAT: u8 = 2;

/// What is kept at most; the oldest go first.
const MAX_BYTES: u64 = 64 << 20;

/// A temporary file that is older than this was left by a run that was killed.
const STALE: Duration = Duration::from_secs(3600);

/// What is kept for a project.
pub struct Cache {
    dir: PathBuf,
    root: PathBuf,
}

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What a run found.
    Result,
    /// What files held that have not changed since.
    Seen,
    /// The trees of files.
    Trees,
}

const KINDS: [Kind; 3] = [Kind::Result, Kind::Seen, Kind::Trees];

impl Kind {
    /// How the names of its files end.
    fn suffix(self) -> &'static str {
        match self {
            Kind::Result => "",
            Kind::Seen => ".seen",
            Kind::Trees => ".trees",
        }
    }

    /// How many are kept at most.
    fn limit(self) -> usize {
        match self {
            Kind::Result | Kind::Seen => 64,
            // Each executable has one, of the whole project.
            Kind::Trees => 1,
        }
    }

    /// The kind of the entry with this name of a file, if it is one.
    fn of(name: &str) -> Option<Kind> {
        KINDS.into_iter().find(|kind| {
            name.strip_suffix(kind.suffix()).is_some_and(|hex| {
                hex.len() == 2 * blake3::OUT_LEN && hex.chars().all(|c| c.is_ascii_hexdigit())
            })
        })
    }
}

impl Cache {
    /// That of the project at `root`, be it there or not.
    pub fn new(root: &Path) -> Cache {
        Cache { dir: root.join(DIR).join(NAME), root: root.to_path_buf() }
    }

    /// Remove all that is kept; how many results, and the bytes of everything.
    pub fn clean(&self) -> io::Result<(usize, u64)> {
        let is_dir = |dir: &Path| fs::symlink_metadata(dir).is_ok_and(|metadata| metadata.is_dir());
        if !is_dir(&self.root.join(DIR)) || !is_dir(&self.dir) {
            return Ok((0, 0));
        }
        let entries = self.entries();
        let bytes = entries.iter().map(|entry| entry.length).sum();
        match fs::remove_dir_all(&self.dir) {
            // Another run came first, or put something there meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                fs::remove_dir_all(&self.dir)?;
            }
            result => result?,
        }
        Ok((entries.iter().filter(|entry| entry.kind == Kind::Result).count(), bytes))
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn path(&self, kind: Kind, name: &blake3::Hash) -> PathBuf {
        self.dir.join(format!("{}{}", name.to_hex(), kind.suffix()))
    }

    /// What the entry of this name holds, if it is kept.
    fn read(&self, kind: Kind, name: &blake3::Hash) -> Option<Vec<u8>> {
        let identity = identity(&self.dir).ok()?;
        let mut bytes = write::read_own(&self.path(kind, name), MAX_BYTES as usize + 1).ok()?;
        let (sum, payload) = bytes.split_at_checked(blake3::OUT_LEN)?;
        if checksum(name, &identity, payload) != *sum {
            return None;
        }
        bytes.drain(..blake3::OUT_LEN);
        Some(bytes)
    }

    /// Keep `payload` as the entry of this name.
    fn write(&self, kind: Kind, name: &blake3::Hash, payload: &[u8]) -> io::Result<()> {
        if payload.len() as u64 + blake3::OUT_LEN as u64 > MAX_BYTES {
            return Err(io::Error::other("it is too large"));
        }
        write::make(&self.root)?;
        write::make_own(&self.dir)?;
        let identity = identity(&self.dir)?;
        // Not flushed: what a crash of the system leaves of it is found to be damaged.
        let mut temporary =
            tempfile::Builder::new().prefix(PREFIX).suffix(TEMPORARY).tempfile_in(&self.dir)?;
        temporary.write_all(checksum(name, &identity, payload).as_bytes())?;
        temporary.write_all(payload)?;
        let path = self.path(kind, name);
        temporary.persist(&path).map_err(|error| error.error)?;
        self.evict(&path);
        Ok(())
    }

    fn entries(&self) -> Vec<Kept> {
        let entry = |(path, made, length): (PathBuf, SystemTime, u64)| {
            let kind = Kind::of(&path.file_name()?.to_string_lossy())?;
            Some(Kept { path, kind, made, length })
        };
        self.files().into_iter().filter_map(entry).collect()
    }

    fn files(&self) -> Vec<(PathBuf, SystemTime, u64)> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let file = |entry: fs::DirEntry| {
            let metadata = entry.metadata().ok()?;
            Some((entry.path(), metadata.modified().ok()?, metadata.len()))
        };
        entries.filter_map(file).collect()
    }

    /// Remove what is too much, the oldest first and never `kept`, and what runs that were killed have left.
    fn evict(&self, kept: &Path) {
        let mut entries = self.entries();
        entries.sort_by_key(|entry| (entry.path == kept, entry.made));
        let (mut counts, mut total) = (KINDS.map(|kind| (kind, 0)), 0);
        for Kept { path, kind, length, .. } in entries.iter().rev() {
            total += length;
            let mut is_over = total > MAX_BYTES;
            for (_, count) in counts.iter_mut().filter(|(of, _)| of == kind) {
                *count += 1;
                is_over |= *count > kind.limit();
            }
            if is_over {
                let _ = fs::remove_file(path);
            }
        }
        let is_left = |made: &SystemTime| made.elapsed().is_ok_and(|age| age > STALE);
        for (path, made, _) in self.files() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(PREFIX) && name.ends_with(TEMPORARY) && is_left(&made) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// The file of an entry.
struct Kept {
    path: PathBuf,
    kind: Kind,
    made: SystemTime,
    length: u64,
}

/// A hash to go on with, of what every entry depends on. There is none where the system does not tell this executable from
/// others.
fn hasher(kind: Kind) -> Option<blake3::Hasher> {
    let executable = fs::metadata(std::env::current_exe().ok()?).ok()?;
    let built = executable.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let mut hash = blake3::Hasher::new();
    hash.update(&[FORMAT]);
    part(&mut hash, kind.suffix().as_bytes());
    part(&mut hash, TOOL.as_bytes());
    hash.update(&executable.len().to_le_bytes());
    hash.update(&built.as_nanos().to_le_bytes());
    Some(hash)
}

/// Add bytes so that where they end counts, too.
fn part(hash: &mut blake3::Hasher, bytes: &[u8]) {
    hash.update(&(bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn checksum(name: &blake3::Hash, identity: &[u8], payload: &[u8]) -> blake3::Hash {
    let mut hash = blake3::Hasher::new_keyed(name.as_bytes());
    part(&mut hash, identity);
    hash.update(payload);
    hash.finalize()
}

/// What tells the directory `dir` from its copies elsewhere, so that results that came with a project are not believed; an
/// error if it is a link, in one, or another user's.
fn identity(dir: &Path) -> io::Result<Vec<u8>> {
    let mut identity = Vec::new();
    for dir in dir.parent().into_iter().chain([dir]) {
        let metadata = fs::symlink_metadata(dir)?;
        if !metadata.is_dir() {
            return Err(io::Error::other("its directory is a link"));
        }
        if !is_ours(&metadata) {
            return Err(io::Error::other("its directory is another user's"));
        }
        identity.extend(number(&metadata));
        let created = metadata.created().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        identity.extend(created.unwrap_or_default().as_nanos().to_le_bytes());
    }
    Ok(identity)
}

#[cfg(unix)]
fn is_ours(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.uid() == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_ours(_: &Metadata) -> bool {
    true
}

#[cfg(unix)]
fn number(metadata: &Metadata) -> Vec<u8> {
    use std::os::unix::fs::MetadataExt;
    [metadata.dev().to_le_bytes(), metadata.ino().to_le_bytes()].concat()
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> Vec<u8> {
    Vec::new()
}
