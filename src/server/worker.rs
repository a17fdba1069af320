//! The thread of a folder: it keeps the project in memory, looks at what is open there, and answers.
//!
//! What comes is taken in the order in which it comes, so that a request is answered for the documents as they were when it came.

use super::client::{Client, Refusal};
use super::documents::Document;
use super::edits::{Open, Places};
use super::folder::{Query, Task, Told, What};
use super::progress::Reported;
use super::workspace::Workspace;
use super::{actions, diagnostics, hover};
use crate::terminal::Terminal;
use lsp_server::ErrorCode;
use lsp_types::notification::PublishDiagnostics;
use lsp_types::{Diagnostic, MessageType, PublishDiagnosticsParams};
use ormend_engine::rewrite::Report;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long after the last change a document is looked at.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// The same for a change that other files have to be looked through for: often a statement that is not whole yet.
const PATIENCE: Duration = Duration::from_millis(400);

/// The last look at a file.
#[derive(Clone)]
pub struct Looked {
    /// What was known then.
    taken: u64,
    /// The engine's path of the file.
    pub path: String,
    pub report: Arc<Report>,
}

/// What is not taken in yet.
#[derive(Default)]
struct News {
    is_everything: bool,
    is_disk: bool,
    /// Buffers that were opened, changed or closed.
    buffers: BTreeSet<PathBuf>,
}

/// The thread's own.
pub struct Worker {
    path: PathBuf,
    client: Client,
    pool: Arc<rayon::ThreadPool>,
    terminal: Terminal,
    tasks: Receiver<Task>,
    told: Arc<Told>,
    /// How many tasks were taken that make what is known another.
    taken: u64,
    /// The project; none where it cannot be loaded.
    workspace: Option<Workspace>,
    /// Whether that is for its configuration, which does not become right by itself.
    is_refused: bool,
    open: Open,
    /// What has been told and is not taken in yet: what comes in a row is taken in at once.
    news: News,
    /// When something came last.
    changed: Instant,
    /// When to look.
    due: Option<Instant>,
    /// The files to look at first.
    unseen: BTreeSet<PathBuf>,
    /// Those that were looked at since something came.
    seen: BTreeSet<PathBuf>,
    /// What the client was told last of each open file, and of which version.
    published: BTreeMap<PathBuf, (i32, Vec<Diagnostic>)>,
    looked: Option<Looked>,
}

impl Worker {
    /// One that knows nothing yet.
    pub fn new(
        path: PathBuf,
        client: Client,
        pool: Arc<rayon::ThreadPool>,
        terminal: Terminal,
        tasks: Receiver<Task>,
        told: Arc<Told>,
    ) -> Worker {
        Worker {
            path,
            client,
            pool,
            terminal,
            tasks,
            told,
            taken: 0,
            workspace: None,
            is_refused: false,
            open: Open::new(),
            news: News { is_everything: true, ..News::default() },
            changed: Instant::now(),
            due: None,
            unseen: BTreeSet::new(),
            seen: BTreeSet::new(),
            published: BTreeMap::new(),
            looked: None,
        }
    }

    /// Work until the folder ends.
    pub fn run(mut self) {
        self.take_in();
        loop {
            let task = match self.due {
                None => self.tasks.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => self.tasks.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match task {
                Ok(task) => self.take(task),
                Err(RecvTimeoutError::Timeout) => self.look_around(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    /// Read the project, and put the open buffers into it.
    fn load(&mut self) {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned();
        let progress = Reported::begin(&self.client, format!("ormend: reading {name}"));
        let (path, pool, terminal) = (self.path.clone(), Arc::clone(&self.pool), self.terminal);
        self.looked = None;
        self.workspace = None;
        self.is_refused = false;
        let loaded = self.guarded(|_| Workspace::load(&path, &pool, &terminal));
        drop(progress);
        match loaded {
            Some(Ok(mut workspace)) => {
                for (file, document) in &self.open {
                    workspace.open(file, document);
                }
                self.workspace = Some(workspace);
            }
            Some(Err(error)) => {
                self.is_refused = true;
                let help = error.help().map(|help| format!(" ({help})")).unwrap_or_default();
                self.client.show(MessageType::ERROR, format!("ormend: {error}{help}"));
            }
            None => {}
        }
    }

    /// Run what is not to end the thread if it fails.
    fn guarded<T>(&mut self, run: impl FnOnce(&mut Worker) -> T) -> Option<T> {
        let result = catch_unwind(AssertUnwindSafe(|| run(self)));
        if result.is_err() {
            let said = "ormend: internal error; this is a bug in ormend, please report it with the log of the server";
            self.client.log(MessageType::ERROR, said);
            // Nobody knows what state it is in.
            self.workspace = None;
        }
        result.ok()
    }

    fn take(&mut self, task: Task) {
        self.taken += u64::from(task.is_counted());
        match task {
            Task::Open(file, document) => {
                let is_opened = self.open.insert(file.clone(), document).is_none();
                // A client that has just made a file need not have told of it.
                self.news.is_disk |=
                    is_opened && self.workspace.as_ref().is_some_and(|workspace| workspace.is_new(&file));
                self.unseen.insert(file.clone());
                self.news.buffers.insert(file);
                self.news.is_everything |= self.workspace.is_none() && !self.is_refused;
            }
            Task::Close(file) => {
                self.unseen.remove(&file);
                self.published.remove(&file);
                if let Some(document) = self.open.remove(&file) {
                    publish(&self.client, &document, None, Vec::new());
                }
                self.news.buffers.insert(file);
            }
            Task::Changed { files, is_everything } => {
                let root = self.workspace.as_ref().map(|workspace| workspace.paths.root.as_path());
                // What is said above a project holds in it, too.
                let is_above =
                    |file: &PathBuf, root: &Path| file.parent().is_some_and(|dir| root.starts_with(dir));
                let is_of_here = |file: &PathBuf| match root {
                    Some(root) => file.starts_with(root) || is_everything && is_above(file, root),
                    None => true,
                };
                if files.iter().any(is_of_here) {
                    self.news.is_disk = true;
                    self.news.is_everything |= is_everything;
                }
            }
            Task::Ask(query) => return self.answer(query),
        }
        self.seen.clear();
        self.look_soon();
    }

    /// Take in what has been told.
    fn take_in(&mut self) {
        let News { is_everything, is_disk, buffers } = std::mem::take(&mut self.news);
        if is_everything {
            return self.load();
        }
        let refreshed = self.guarded(|worker| {
            let workspace = worker.workspace.as_mut()?;
            for file in &buffers {
                match worker.open.get(file) {
                    Some(document) => workspace.open(file, document),
                    None => workspace.close(file),
                }
            }
            is_disk.then(|| workspace.refresh(&worker.open))
        });
        match refreshed.flatten() {
            Some(Ok(true)) => self.load(),
            Some(Err(error)) => self.client.show(MessageType::ERROR, format!("ormend: {error}")),
            Some(Ok(false)) | None => {}
        }
    }

    fn look_soon(&mut self) {
        self.changed = Instant::now();
        self.due = (!self.open.is_empty()).then(|| Instant::now() + DEBOUNCE);
    }

    /// Look at the files that the client has changed or, if that is done, at the other ones that are open; what is asked meanwhile
    /// is answered between the two.
    fn look_around(&mut self) {
        self.due = None;
        self.take_in();
        let is_costly = self.workspace.as_ref().is_some_and(Workspace::is_costly);
        if is_costly && self.changed.elapsed() < PATIENCE {
            self.due = Some(self.changed + PATIENCE);
            return;
        }
        let changed = std::mem::take(&mut self.unseen);
        let is_changed = !changed.is_empty();
        let files = match is_changed {
            true => changed,
            false => self.open.keys().filter(|file| !self.seen.contains(*file)).cloned().collect(),
        };
        if self.is_stale() || self.guarded(|worker| worker.look_at(&files)) == Some(false) {
            // What has come makes it due again.
            if is_changed {
                self.unseen.extend(files);
            }
            return;
        }
        self.seen.extend(files);
        if self.open.keys().any(|file| !self.seen.contains(file)) {
            self.due = Some(Instant::now());
        }
    }

    /// Whether something has come meanwhile that makes the answer another.
    fn is_stale(&self) -> bool {
        self.told.is_more_than(self.taken)
    }

    /// Tell the client what is found in `files`; not if that is out of date.
    fn look_at(&mut self, files: &BTreeSet<PathBuf>) -> bool {
        let Some(workspace) = &mut self.workspace else {
            for file in files {
                self.tell(file, Vec::new());
            }
            return true;
        };
        let names: Vec<(PathBuf, Option<String>)> =
            files.iter().map(|file| (file.clone(), workspace.looked_at(file))).collect();
        let asked: Vec<&str> = names.iter().filter_map(|(_, path)| path.as_deref()).collect();
        let (told, taken) = (&self.told, self.taken);
        let is_stale = || told.is_more_than(taken);
        let known =
            self.looked.as_ref().filter(|looked| looked.taken == taken && asked == [looked.path.as_str()]);
        let report = match (asked.is_empty(), known) {
            (true, _) => None,
            (false, Some(looked)) => Some(Arc::clone(&looked.report)),
            (false, None) => match workspace.look(&asked, None, false, &is_stale) {
                Some(report) => Some(Arc::new(report)),
                None => return false,
            },
        };
        let places = Places { client: &self.client, paths: &workspace.paths, open: &self.open };
        let found: Vec<(PathBuf, Vec<Diagnostic>)> = names
            .iter()
            .map(|(file, path)| {
                let of = report.as_ref().zip(path.as_deref());
                (
                    file.clone(),
                    of.map(|(report, path)| diagnostics::of(report, path, &places)).unwrap_or_default(),
                )
            })
            .collect();
        if self.is_stale() {
            return false;
        }
        // Of several the one that was changed is the one that is asked about.
        if let (Some(report), [path]) = (report, asked.as_slice())
            && self.looked.as_ref().is_none_or(|looked| looked.taken != taken)
        {
            self.looked = Some(Looked { taken, path: (*path).to_owned(), report });
        }
        for (file, diagnostics) in found {
            self.tell(&file, diagnostics);
        }
        true
    }

    /// Tell the client of `file`, if it does not know.
    fn tell(&mut self, file: &Path, diagnostics: Vec<Diagnostic>) {
        let Some(document) = self.open.get(file) else { return };
        let now = (document.version, diagnostics);
        if self.published.get(file) != Some(&now) {
            publish(&self.client, document, Some(now.0), now.1.clone());
            self.published.insert(file.to_path_buf(), now);
        }
    }

    fn answer(&mut self, query: Query) {
        let Query { id, file, document, what, is_cancelled } = query;
        let cancelled = || is_cancelled.load(Ordering::SeqCst);
        let answer = if cancelled() {
            Err(Refusal::cancelled())
        } else if document.is_outdated() {
            Err(Refusal::outdated())
        } else {
            let is_stale = || cancelled() || document.is_outdated();
            let answer = self.guarded(|worker| worker.find_answer(&file, &document, what, &is_stale));
            match answer {
                _ if cancelled() => Err(Refusal::cancelled()),
                _ if document.is_outdated() => Err(Refusal::outdated()),
                Some(answer) => answer,
                None => Err(Refusal::new(ErrorCode::InternalError, "internal error")),
            }
        };
        self.client.answer(id, answer);
    }

    fn find_answer(
        &mut self,
        file: &Path,
        document: &Document,
        what: What,
        is_stale: &(dyn Fn() -> bool + Sync),
    ) -> Result<serde_json::Value, Refusal> {
        let nothing = || Ok(serde_json::Value::Null);
        self.take_in();
        let Some(path) = self.workspace.as_ref().and_then(|workspace| workspace.looked_at(file)) else {
            return match what {
                What::Resolve(action) => value(action),
                _ => nothing(),
            };
        };
        self.look_at_one(&path, is_stale)?;
        let (Some(workspace), Some(looked)) = (&mut self.workspace, &self.looked) else { return nothing() };
        let asked = actions::Asked { client: &self.client, open: &self.open, document, looked, is_stale };
        match what {
            What::Actions(params) => value(actions::find(&asked, workspace, &params)?),
            What::Resolve(action) => value(actions::resolve(&asked, workspace, *action)?),
            What::Hover(position) => value(hover::find(&asked, workspace, position)),
        }
    }

    /// See that the last look was at the file that the engine calls `path`, as it is now.
    fn look_at_one(&mut self, path: &str, is_stale: &(dyn Fn() -> bool + Sync)) -> Result<(), Refusal> {
        if self.looked.as_ref().is_some_and(|looked| looked.taken == self.taken && looked.path == path) {
            return Ok(());
        }
        let Some(workspace) = &mut self.workspace else { return Ok(()) };
        let report = workspace.look(&[path], None, false, is_stale).ok_or_else(Refusal::outdated)?;
        self.looked = Some(Looked { taken: self.taken, path: path.to_owned(), report: Arc::new(report) });
        Ok(())
    }
}

fn value(answer: impl serde::Serialize) -> Result<serde_json::Value, Refusal> {
    serde_json::to_value(answer).map_err(|error| Refusal::new(ErrorCode::InternalError, error.to_string()))
}

fn publish(client: &Client, document: &Document, version: Option<i32>, diagnostics: Vec<Diagnostic>) {
    let uri = document.uri.clone();
    client.notify::<PublishDiagnostics>(PublishDiagnosticsParams { uri, diagnostics, version });
}

#[cfg(test)]
mod tests;
