//! Results of earlier runs, in `.ormend/cache` below the project root.
//!
//! The name of an entry is a hash of everything that a result depends on: all that the engine is given, and the executable
//! itself. So an entry is never out of date; it is used or it is not. Nothing in an entry is believed: what is damaged, was
//! made in another directory or by another user is as if it were not there. And nothing here stops a run: it goes on without.

use crate::TOOL;
use crate::write::{self, DIR, PREFIX, TEMPORARY};
use ormend_engine::codemod::Rule;
use ormend_engine::rewrite::{InputFile, Options, Report, Role};
use ormend_engine::text::{FileId, Source};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The directory in [`DIR`].
const NAME: &str = "cache";

/// The version of the form of an entry.
const FORMAT: u8 = 1;

/// What is kept at most; the oldest go first.
const MAX_ENTRIES: usize = 64;
const MAX_BYTES: u64 = 64 << 20;

/// A temporary file that is older than this was left by a run that was killed.
const STALE: Duration = Duration::from_secs(3600);

/// The results that are kept for a project.
pub struct Cache {
    dir: PathBuf,
    root: PathBuf,
}

/// What a result depends on, as a hash.
pub struct Key(blake3::Hash);

/// A result as it is stored. Of the sources of its findings only those are in it that no run is given.
#[derive(Serialize, Deserialize)]
struct Entry<R, T> {
    report: R,
    /// The names of the codemods of the findings.
    codemods: Vec<T>,
    /// The engine's own files that findings refer to: their path and text.
    brought: Vec<(FileId, T, T)>,
}

impl Cache {
    /// That of the project at `root`, be it there or not.
    pub fn new(root: &Path) -> Cache {
        Cache { dir: root.join(DIR).join(NAME), root: root.to_path_buf() }
    }

    /// The key of a run with these arguments. There is none where the system does not tell this executable from others.
    pub fn key(
        &self,
        files: &[InputFile],
        rules: &[&dyn Rule],
        options: &Options,
        apply: bool,
    ) -> Option<Key> {
        let executable = fs::metadata(std::env::current_exe().ok()?).ok()?;
        let built = executable.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let mut hash = blake3::Hasher::new();
        hash.update(&[FORMAT, u8::from(apply)]);
        part(&mut hash, TOOL.as_bytes());
        hash.update(&executable.len().to_le_bytes());
        hash.update(&built.as_nanos().to_le_bytes());
        part(&mut hash, &postcard::to_stdvec(options).ok()?);
        hash.update(&(rules.len() as u64).to_le_bytes());
        for rule in rules {
            part(&mut hash, rule.meta().name.as_bytes());
        }
        let each: Vec<blake3::Hash> = files.par_iter().map(hash_of).collect();
        for file in each {
            hash.update(file.as_bytes());
        }
        Some(Key(hash.finalize()))
    }

    /// The result of the run with this key, which was given `files`, if it is kept.
    pub fn get(&self, key: &Key, files: &[InputFile]) -> Option<Report> {
        let identity = identity(&self.dir).ok()?;
        let bytes = write::read_own(&self.entry(key), MAX_BYTES as usize + 1).ok()?;
        let (sum, payload) = bytes.split_at_checked(blake3::OUT_LEN)?;
        if checksum(key, &identity, payload) != *sum {
            return None;
        }
        restore(postcard::from_bytes(payload).ok()?, files)
    }

    /// Keep `report`, the result of the run with this key, which was given `given` files. One that tells of a mistake of ours is
    /// not kept.
    pub fn put(&self, key: &Key, report: &Report, given: usize) -> io::Result<()> {
        if report.warnings.iter().any(|warning| warning.message.starts_with("internal error")) {
            return Err(io::Error::other("it tells of an internal error"));
        }
        let brought = report.sources.iter().filter(|(file, _)| file.0 as usize >= given);
        let entry = Entry {
            report,
            codemods: report.findings.iter().map(|finding| finding.codemod).collect(),
            brought: brought.map(|(file, source)| (*file, source.path(), source.text())).collect(),
        };
        let payload = postcard::to_stdvec(&entry).map_err(io::Error::other)?;
        if payload.len() as u64 + blake3::OUT_LEN as u64 > MAX_BYTES {
            return Err(io::Error::other("it is too large"));
        }
        write::make(&self.root)?;
        write::make_own(&self.dir)?;
        let identity = identity(&self.dir)?;
        // Not flushed: what a crash of the system leaves of it is found to be damaged.
        let mut temporary =
            tempfile::Builder::new().prefix(PREFIX).suffix(TEMPORARY).tempfile_in(&self.dir)?;
        temporary.write_all(checksum(key, &identity, &payload).as_bytes())?;
        temporary.write_all(&payload)?;
        let name = self.entry(key);
        temporary.persist(&name).map_err(|error| error.error)?;
        self.evict(&name);
        Ok(())
    }

    /// Remove all that is kept; how many results, and their bytes.
    pub fn clean(&self) -> io::Result<(usize, u64)> {
        let is_dir = |dir: &Path| fs::symlink_metadata(dir).is_ok_and(|metadata| metadata.is_dir());
        if !is_dir(&self.root.join(DIR)) || !is_dir(&self.dir) {
            return Ok((0, 0));
        }
        let entries = self.entries();
        let bytes = entries.iter().map(|(_, _, length)| length).sum();
        match fs::remove_dir_all(&self.dir) {
            // Another run came first, or put something there meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                fs::remove_dir_all(&self.dir)?;
            }
            result => result?,
        }
        Ok((entries.len(), bytes))
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn entry(&self, key: &Key) -> PathBuf {
        self.dir.join(key.0.to_hex().as_str())
    }

    /// The files of entries, with when they were made and how large they are.
    fn entries(&self) -> Vec<(PathBuf, SystemTime, u64)> {
        let is_entry = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.len() == 2 * blake3::OUT_LEN && name.chars().all(|c| c.is_ascii_hexdigit())
        };
        self.files().into_iter().filter(|(path, ..)| is_entry(path)).collect()
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
        entries.sort_by_key(|(path, made, _)| (path == kept, *made));
        let mut total = 0;
        for (index, (path, _, length)) in entries.iter().rev().enumerate() {
            total += length;
            if index >= MAX_ENTRIES || total > MAX_BYTES {
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

/// Everything that the engine sees of a file.
fn hash_of(file: &InputFile) -> blake3::Hash {
    let InputFile { path, bytes, role } = file;
    let mut hash = blake3::Hasher::new();
    hash.update(&[*role as u8]);
    part(&mut hash, path.as_bytes());
    hash.update(bytes);
    hash.finalize()
}

/// Add bytes so that where they end counts, too.
fn part(hash: &mut blake3::Hasher, bytes: &[u8]) {
    hash.update(&(bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn checksum(key: &Key, identity: &[u8], payload: &[u8]) -> blake3::Hash {
    let mut hash = blake3::Hasher::new_keyed(key.0.as_bytes());
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

/// The result that `entry` holds, with what is not stored; `None` if it does not fit `files`.
fn restore(entry: Entry<Report, String>, files: &[InputFile]) -> Option<Report> {
    let Entry { mut report, codemods, brought } = entry;
    let count = report.findings.len();
    if [codemods.len(), report.fingerprints.len(), report.imports.len()] != [count; 3] {
        return None;
    }
    for (finding, name) in report.findings.iter_mut().zip(codemods) {
        finding.codemod = ormend_codemods::meta(&name)?.name;
    }
    if !report.changes.is_empty() {
        let scanned = files.iter().filter(|file| file.role == Role::Scan);
        let by_path: FxHashMap<&str, &InputFile> = scanned.map(|file| (file.path.as_str(), file)).collect();
        for change in &mut report.changes {
            change.before = by_path.get(change.path.as_str())?.bytes.clone();
        }
    }
    let mut wanted: Vec<FileId> = report.findings.iter().flat_map(|finding| finding.files()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let given = wanted.into_par_iter().filter_map(|file| {
        let source = files.get(file.0 as usize)?.clone().into_source();
        Some((file, Arc::new(source)))
    });
    report.sources = given.collect::<Vec<_>>().into_iter().collect();
    for (file, path, text) in brought {
        report.sources.insert(file, Arc::new(Source::new(path, text.into_bytes())));
    }
    Some(report)
}
