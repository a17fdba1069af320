//! A folder of the client, as the thread that reads messages knows it: a thread that it tells what comes, and never waits for.

use super::client::Client;
use super::documents::Document;
use super::worker::Worker;
use crate::terminal::Terminal;
use lsp_server::RequestId;
use lsp_types::{CodeAction, CodeActionParams, Position};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;

/// What a folder is told.
pub enum Task {
    /// There is a buffer, or a new version of it.
    Open(PathBuf, Arc<Document>),
    Close(PathBuf),
    /// These files may have changed on disk, and everything that says how to look at them.
    Changed {
        files: Vec<PathBuf>,
        is_everything: bool,
    },
    Ask(Query),
}

impl Task {
    /// Whether it makes what is known another.
    pub fn is_counted(&self) -> bool {
        !matches!(self, Task::Ask(_))
    }
}

/// A request about a document.
pub struct Query {
    pub id: RequestId,
    pub file: PathBuf,
    pub document: Arc<Document>,
    pub what: What,
    pub is_cancelled: Arc<AtomicBool>,
}

/// What is asked.
pub enum What {
    Actions(Box<CodeActionParams>),
    Resolve(Box<CodeAction>),
    Hover(Position),
}

/// How much a folder was told, which its thread asks while it works.
#[derive(Default)]
pub struct Told {
    /// How many tasks were sent that make what is known another.
    sent: AtomicU64,
    has_ended: AtomicBool,
}

impl Told {
    /// Whether what is worked out after the first `taken` of those tasks is out of date.
    pub fn is_more_than(&self, taken: u64) -> bool {
        self.sent.load(Ordering::SeqCst) != taken || self.has_ended.load(Ordering::SeqCst)
    }
}

/// A folder, which ends when this is dropped.
pub struct Folder {
    tasks: Sender<Task>,
    told: Arc<Told>,
}

impl Folder {
    /// That of `path`, absolute and free of links, with its thread.
    pub fn start(path: PathBuf, client: Client, pool: Arc<rayon::ThreadPool>, terminal: Terminal) -> Folder {
        let (folder, worker) = Folder::new(path, client, pool, terminal);
        thread::spawn(move || worker.run());
        folder
    }

    /// That of `path`, and the work that its thread is to do.
    pub fn new(
        path: PathBuf,
        client: Client,
        pool: Arc<rayon::ThreadPool>,
        terminal: Terminal,
    ) -> (Folder, Worker) {
        let (tasks, received) = mpsc::channel();
        let told = Arc::<Told>::default();
        let worker = Worker::new(path, client, pool, terminal, received, Arc::clone(&told));
        (Folder { tasks, told }, worker)
    }

    pub fn tell(&self, task: Task) {
        if task.is_counted() {
            self.told.sent.fetch_add(1, Ordering::SeqCst);
        }
        // A thread that has ended has said why.
        let _ = self.tasks.send(task);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.told.has_ended.store(true, Ordering::SeqCst);
    }
}
