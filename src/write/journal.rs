//! The journal of a run: what the files held before, kept until the next run that writes.
//!
//! It stands in `.ormend` below the project root. Before the first file is replaced, `writing.json` names every file with the
//! hashes of its old and new content, and the old contents are stored. When all files are written it becomes `last.json`, in
//! one rename. So a `writing.json` that is found at the start is that of a run that was interrupted, and it is taken back: each
//! file that holds its new content gets its old one again. `ormend fix --undo` makes `last.json` a `writing.json` and does the
//! same. What holds anything else is left alone. Nothing in a journal is believed: it may have come with the project.

use super::directory::{self, DIR, read_own};
use super::file::{self, OPEN, PREFIX, Prepared, TEMPORARY, WriteError, sync_dir};
use crate::apply::inside;
use crate::discover::reason;
use crate::paths::Paths;
use crate::plan::sha256;
use crate::read;
use crate::terminal::Terminal;
use miette::miette;
use ormend_engine::rewrite::Change;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const WRITING: &str = "writing.json";
const LAST: &str = "last.json";
/// How the name of the stored old contents ends.
const BEFORE: &str = ".before";
const VERSION: u32 = 1;

/// What a run changes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Journal {
    version: u32,
    /// The name of the run, which that of its temporary files and of its stored contents starts with.
    run: String,
    files: Vec<Entry>,
}

/// One file of a run.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    /// SHA-256 of what it held and of what it holds now.
    before: String,
    after: String,
    /// Where the old content is stored.
    start: usize,
    length: usize,
}

/// The right to write into a project: no other run of ormend does so meanwhile.
pub struct Writer {
    root: PathBuf,
    /// What was taken back of an earlier run that was interrupted.
    pub repaired: Option<Undone>,
    /// Locked until it is closed.
    _lock: Option<File>,
}

/// What was written.
#[derive(Debug, Default)]
pub struct Written {
    /// How many files.
    pub files: usize,
    /// How many fixes they hold.
    pub fixes: usize,
    /// The changes that were not made: their index, and why.
    pub failures: Vec<(usize, WriteError)>,
}

/// What was taken back.
#[derive(Debug, Default)]
pub struct Undone {
    /// How many files hold again what they held before.
    pub files: usize,
    /// Those that were left as they are, and why.
    pub failures: Vec<(String, String)>,
}

/// Whether a run that wrote below `root` was interrupted.
pub fn is_interrupted(root: &Path) -> bool {
    root.join(DIR).join(WRITING).exists()
}

/// Whether there is something to take back of a run from the root `root`.
pub fn has_journal(root: &Path) -> bool {
    root.join(DIR).join(LAST).exists() || is_interrupted(root)
}

impl Writer {
    /// Wait for other runs, and take back what an interrupted one has left.
    pub fn begin(paths: &Paths, terminal: &Terminal) -> miette::Result<Writer> {
        let lock = lock(&paths.root, terminal);
        let mut writer = Writer { root: paths.root.clone(), repaired: None, _lock: lock };
        if let Some(undone) = writer.take_back(paths)? {
            terminal.warn(&format!(
                "an earlier run was interrupted; {} restored",
                crate::report::plural(undone.files, "file was", "files were")
            ));
            for (path, why) in &undone.failures {
                terminal.failed(&format!("{}: {why}", paths.show(path)));
            }
            writer.repaired = Some(undone);
        }
        // A run may have been interrupted before it had a journal.
        clean(&writer.root.join(DIR));
        Ok(writer)
    }

    /// Make `changes`. Changes of one group are all made or none of them.
    pub fn write(&self, paths: &Paths, changes: &[Change]) -> miette::Result<Written> {
        let mut written = Written::default();
        if changes.is_empty() {
            return Ok(written);
        }
        let dir = self.directory()?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let run = format!("{:x}-{:x}", now.as_nanos(), std::process::id());
        let mut journal = Journal { version: VERSION, run, files: Vec::new() };
        let mut store = Vec::new();
        for change in changes {
            journal.files.push(Entry {
                path: change.path.clone(),
                before: sha256(&change.before),
                after: sha256(&change.after),
                start: store.len(),
                length: change.before.len(),
            });
            store.extend_from_slice(&change.before);
        }
        let cannot = |error: &io::Error| cannot_keep(&dir, paths, error);
        // Who may not read a file may not read what it held.
        let mode = file::common_mode(changes.iter().map(|change| paths.absolute(&change.path)));
        file::replace(&dir.join(format!("{}{BEFORE}", journal.run)), &store, mode)
            .map_err(|error| cannot(&error))?;
        save(&journal, &dir, WRITING).map_err(|error| cannot(&error))?;

        let prefix = temporary_prefix(&journal);
        let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (index, change) in changes.iter().enumerate() {
            groups.entry(change.group).or_default().push(index);
        }
        let mut dirs = BTreeSet::new();
        for indexes in groups.into_values() {
            let group: Vec<(usize, &Change)> =
                indexes.into_iter().filter_map(|index| Some((index, changes.get(index)?))).collect();
            match write_group(paths, &group, &prefix) {
                Ok(touched) => {
                    dirs.extend(touched);
                    written.files += group.len();
                    written.fixes += group.iter().map(|(_, change)| change.fixes).sum::<usize>();
                }
                Err((bad, error)) => {
                    let name = changes.get(bad).map(|change| change.path.clone()).unwrap_or_default();
                    let others = group.iter().filter(|(index, _)| *index != bad);
                    let others = others.map(|(index, _)| (*index, WriteError::Together(name.clone())));
                    written.failures.extend(std::iter::once((bad, error)).chain(others));
                }
            }
        }
        dirs.iter().for_each(|dir| sync_dir(dir));
        written.failures.sort_by_key(|(index, _)| *index);

        let failed: BTreeSet<&str> = written
            .failures
            .iter()
            .filter_map(|(index, _)| Some(changes.get(*index)?.path.as_str()))
            .collect();
        // One that could not be given back stays, so that it can be taken back later.
        let is_ours = |entry: &Entry| {
            read::file(&paths.absolute(&entry.path)).is_ok_and(|bytes| sha256(&bytes) == entry.after)
        };
        journal.files.retain(|entry| !failed.contains(entry.path.as_str()) || is_ours(entry));
        self.keep(journal, &dir, paths)?;
        Ok(written)
    }

    /// Take back the last run, as far as its files are still as it left them; `None` if there is nothing to take back.
    pub fn undo(&self, paths: &Paths) -> miette::Result<Option<Undone>> {
        let dir = self.root.join(DIR);
        if load(&dir, LAST, paths)?.is_none() {
            return Ok(None);
        }
        // From here on the next run goes on with it, should this one be interrupted.
        fs::rename(dir.join(LAST), dir.join(WRITING)).map_err(|error| cannot_keep(&dir, paths, &error))?;
        sync_dir(&dir);
        self.take_back(paths)
    }

    /// The directory of the journal, made if need be.
    fn directory(&self) -> miette::Result<PathBuf> {
        directory::make(&self.root).map_err(|error| {
            let paths = Paths::new(self.root.clone(), self.root.clone());
            cannot_keep(&self.root.join(DIR), &paths, &error)
        })
    }

    /// Make `journal` that of the last run. One without files leaves the one before it.
    fn keep(&self, journal: Journal, dir: &Path, paths: &Paths) -> miette::Result<()> {
        let finish = || -> io::Result<()> {
            if journal.files.is_empty() {
                fs::remove_file(dir.join(WRITING))?;
            } else {
                // What was not written is not in it any more; then one rename says that the run is over.
                save(&journal, dir, WRITING)?;
                fs::rename(dir.join(WRITING), dir.join(LAST))?;
            }
            sync_dir(dir);
            Ok(())
        };
        finish().map_err(|error| {
            miette!(
                help = "`ormend fix --undo` takes the run back",
                "the files are written, but the journal in `{}` cannot be finished: {}",
                paths.show_absolute(dir),
                reason(&error)
            )
        })?;
        clean(dir);
        Ok(())
    }

    /// Give the files of the run that is under way their old contents.
    fn take_back(&self, paths: &Paths) -> miette::Result<Option<Undone>> {
        let dir = self.root.join(DIR);
        let Some((mut journal, store)) = load(&dir, WRITING, paths)? else {
            return Ok(None);
        };
        let prefix = temporary_prefix(&journal);
        let mut undone = Undone::default();
        let mut left = Vec::new();
        sweep(&self.root, &journal, &prefix);
        for entry in std::mem::take(&mut journal.files) {
            match restore(paths, &entry, &store, &prefix) {
                Ok(is_changed) => undone.files += usize::from(is_changed),
                Err(why) => {
                    undone.failures.push((entry.path.clone(), why));
                    left.push(entry);
                }
            }
        }
        let finish = || -> io::Result<()> {
            if left.is_empty() {
                fs::remove_file(dir.join(WRITING))
            } else {
                // The old contents are kept for those that were left.
                journal.files = left;
                save(&journal, &dir, WRITING)?;
                fs::rename(dir.join(WRITING), dir.join(LAST))
            }
        };
        finish().map_err(|error| {
            miette!(
                help = "see to it that the directory can be written, and run again",
                "the files are restored, but the journal in `{}` cannot be changed: {}",
                paths.show_absolute(&dir),
                reason(&error)
            )
        })?;
        sync_dir(&dir);
        clean(&dir);
        Ok(Some(undone))
    }
}

/// Prepare all files of a group, then put them in their places. On a failure, whose index is given, none has changed.
fn write_group(
    paths: &Paths,
    group: &[(usize, &Change)],
    prefix: &str,
) -> Result<Vec<PathBuf>, (usize, WriteError)> {
    let mut prepared: Vec<(usize, &Change, Prepared)> = Vec::new();
    for (index, change) in group {
        let ready = file::prepare(paths, &change.path, &change.before, &change.after, prefix);
        prepared.push((*index, change, ready.map_err(|error| (*index, error))?));
    }
    for (index, _, ready) in &prepared {
        ready.is_current().map_err(|error| (*index, error))?;
    }
    let mut dirs = Vec::new();
    let mut done: Vec<&Change> = Vec::new();
    for (index, change, ready) in prepared {
        match ready.put() {
            Ok(dir) => {
                dirs.push(dir);
                done.push(change);
            }
            Err(error) => {
                for change in done {
                    // What cannot be given back now stands in the journal, which the next run takes back.
                    let back = file::prepare(paths, &change.path, &change.after, &change.before, prefix);
                    let _ = back.and_then(Prepared::put);
                }
                return Err((index, error));
            }
        }
    }
    Ok(dirs)
}

/// Give a file its old content; whether it had the new one.
fn restore(paths: &Paths, entry: &Entry, store: &[u8], prefix: &str) -> Result<bool, String> {
    let file = inside(&entry.path, &paths.root)?;
    let now = read::file(&file).map_err(|error| format!("it cannot be read: {}", reason(&error)))?;
    let hash = sha256(&now);
    if hash == entry.before {
        return Ok(false);
    }
    if hash != entry.after {
        return Err("it changed since ormend wrote it, so it was left as it is".to_owned());
    }
    let before = store.get(entry.start..).and_then(|rest| rest.get(..entry.length));
    let before = before.filter(|before| sha256(before) == entry.before);
    let before = before.ok_or("its old content is lost")?;
    file::prepare(paths, &entry.path, &now, before, prefix)
        .and_then(Prepared::put)
        .map_err(|error| error.to_string())?;
    Ok(true)
}

/// Take away the temporary files that a run left next to its files.
fn sweep(root: &Path, journal: &Journal, prefix: &str) {
    let files = journal.files.iter().filter_map(|entry| inside(&entry.path, root).ok());
    let dirs: BTreeSet<PathBuf> = files.filter_map(|file| file.parent().map(Path::to_path_buf)).collect();
    for entry in dirs.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(prefix) && name.ends_with(TEMPORARY) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Take away stored contents that no journal speaks of, and temporary files of the journal's own.
fn clean(dir: &Path) {
    if fs::symlink_metadata(dir).is_ok_and(|metadata| !metadata.is_dir()) {
        return;
    }
    let mut runs = Vec::new();
    for bytes in [WRITING, LAST].iter().filter_map(|name| read_own(&dir.join(name), usize::MAX).ok()) {
        // What cannot be read may be that of a later version.
        let Ok(journal) = serde_json::from_slice::<Journal>(&bytes) else { return };
        runs.push(format!("{}{BEFORE}", journal.run));
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_stale = name.ends_with(BEFORE) && !runs.contains(&name);
        if is_stale || name.starts_with(PREFIX) && name.ends_with(TEMPORARY) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn temporary_prefix(journal: &Journal) -> String {
    format!("{PREFIX}{}-", journal.run)
}

fn save(journal: &Journal, dir: &Path, name: &str) -> io::Result<()> {
    file::replace(&dir.join(name), &serde_json::to_vec(journal)?, OPEN)?;
    sync_dir(dir);
    Ok(())
}

/// The journal `name` and the old contents that belong to it.
fn load(dir: &Path, name: &str, paths: &Paths) -> miette::Result<Option<(Journal, Vec<u8>)>> {
    let file = dir.join(name);
    let wrong = |why: String| {
        let shown = paths.show_absolute(&file);
        miette!(
            help = "compare the files with what they should be; delete the journal to go on without it",
            "the journal `{shown}` of an earlier run cannot be used: {why}"
        )
    };
    if fs::symlink_metadata(dir).is_ok_and(|metadata| !metadata.is_dir()) {
        return Ok(None);
    }
    let bytes = match read_own(&file, usize::MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(reason(&error))),
    };
    let journal: Journal = serde_json::from_slice(&bytes)
        .map_err(|error| wrong(crate::escape::escape_line(&error.to_string()).into_owned()))?;
    if journal.version != VERSION {
        return Err(wrong(format!("it is of version {}", journal.version)));
    }
    let is_name = |c: char| c.is_ascii_hexdigit() || c == '-';
    if journal.run.is_empty() || !journal.run.chars().all(is_name) {
        return Err(wrong("it names no run".to_owned()));
    }
    // What is not there is missed where a file needs it.
    let store = read_own(&dir.join(format!("{}{BEFORE}", journal.run)), usize::MAX).unwrap_or_default();
    Ok(Some((journal, store)))
}

fn cannot_keep(dir: &Path, paths: &Paths, error: &io::Error) -> miette::Report {
    miette!(
        help = "without it an interrupted run could not be taken back; see to it that the directory can be written",
        "cannot keep a journal in `{}`: {}; nothing was changed",
        paths.show_absolute(dir),
        reason(error)
    )
}

/// A lock on the root, held until the file is closed, even by a kill. Where the system has none for directories there is none.
fn lock(root: &Path, terminal: &Terminal) -> Option<File> {
    let dir = File::open(root).ok()?;
    if let Err(fs::TryLockError::WouldBlock) = dir.try_lock() {
        terminal.warn("waiting for another run of ormend in this project");
        dir.lock().ok()?;
    }
    Some(dir)
}
