//! A folder without its thread: what it is told is taken step by step.

use super::*;
use crate::cli::Color;
use crate::pipeline;
use crate::server::client::Abilities;
use crate::server::folder::Folder;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use lsp_server::{Message, RequestId, Response};
use lsp_types::{Position, TextDocumentContentChangeEvent, TextDocumentItem};
use ormend_engine::codemod::{Context, Finding, Group, Meta, Rule};
use ormend_engine::python::{Kind, Node};
use serde_json::json;
use std::fs;
use std::sync::atomic::AtomicUsize;
use std::thread;
use tempfile::TempDir;

const MODELS: &str = "from django.db import models\n\n\nclass Author(models.Model):\n    name = models.TextField()\n\n\nclass Book(models.Model):\n    author = models.ForeignKey(Author, on_delete=models.CASCADE)\n";
const VIEWS: &str = "from shop.models import Book\n\n\ndef names():\n    for book in Book.objects.all():\n        print(book.author.name)\n";

/// Counts how often it is run, or fails.
struct Probe {
    runs: AtomicUsize,
    is_broken: bool,
}

impl Rule for Probe {
    fn meta(&self) -> Meta {
        Meta { name: "probe", group: Group::Projection, summary: "", docs: "", hazards: &[] }
    }

    fn is_default(&self) -> bool {
        true
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Call]
    }

    fn run(&self, _: &Context<'_>, _: Node<'_>) -> Option<Finding> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        assert!(!self.is_broken, "a codemod with a bug");
        None
    }
}

struct Bench {
    _dir: TempDir,
    file: PathBuf,
    client: Client,
    said: Receiver<Message>,
    folder: Folder,
    worker: Worker,
    document: Option<Arc<Document>>,
}

impl Bench {
    /// A project of which nothing is read yet, and a client with what it hears.
    fn new((sender, said): (Sender<Message>, Receiver<Message>)) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("shop")).unwrap();
        for (name, text) in [
            ("manage.py", ""),
            ("settings.py", "INSTALLED_APPS = [\"shop\"]\n"),
            ("shop/__init__.py", ""),
            ("shop/models.py", MODELS),
            ("shop/views.py", VIEWS),
        ] {
            fs::write(root.join(name), text).unwrap();
        }
        let able = json!({ "capabilities": { "window": { "workDoneProgress": true } } });
        let client = Client::new(sender, Abilities::of(&serde_json::from_value(able).unwrap()));
        let pool = Arc::new(pipeline::pool(None).unwrap());
        let terminal = Terminal::new(Color::Never, true, false);
        let file = root.join("shop/views.py");
        let (folder, worker) = Folder::new(root, client.clone(), pool, terminal);
        Bench { _dir: dir, file, client, said, folder, worker, document: None }
    }

    /// One that is read, and whose file is open.
    fn opened() -> Bench {
        let mut bench = Bench::new(unbounded());
        bench.edit(VIEWS);
        bench.take();
        bench.worker.take_in();
        bench
    }

    /// The next version of the buffer, of which the folder is told.
    fn edit(&mut self, text: &str) {
        let document = match &self.document {
            None => {
                let uri = crate::server::edits::uri(&self.file).unwrap();
                Document::opened(TextDocumentItem::new(uri, "python".to_owned(), 1, text.to_owned()))
            }
            Some(document) => {
                let whole =
                    TextDocumentContentChangeEvent { range: None, range_length: None, text: text.to_owned() };
                document.changed(document.version + 1, vec![whole], self.client.abilities.encoding)
            }
        };
        let document = Arc::new(document);
        self.document = Some(Arc::clone(&document));
        self.folder.tell(Task::Open(self.file.clone(), document));
    }

    /// Ask what is known at the loop.
    fn ask(&self, id: i32) {
        let id = RequestId::from(id);
        let is_cancelled = self.client.expect_answer(&id);
        let document = Arc::clone(self.document.as_ref().unwrap());
        let what = What::Hover(Position::new(4, 16));
        self.folder.tell(Task::Ask(Query { id, file: self.file.clone(), document, what, is_cancelled }));
    }

    /// Take what the folder has been told.
    fn take(&mut self) {
        while let Ok(task) = self.worker.tasks.try_recv() {
            self.worker.take(task);
        }
    }

    /// Have nothing but this run.
    fn only(&mut self, is_broken: bool) -> &'static Probe {
        let probe: &'static Probe = Box::leak(Box::new(Probe { runs: AtomicUsize::new(0), is_broken }));
        self.worker.workspace.as_mut().unwrap().rules = vec![probe];
        probe
    }

    fn heard(&self) -> Vec<Message> {
        self.said.try_iter().collect()
    }
}

/// The versions of which something is said, and how much.
fn published(messages: &[Message]) -> Vec<(i32, usize)> {
    let said = messages.iter().filter_map(|message| match message {
        Message::Notification(one) if one.method == "textDocument/publishDiagnostics" => {
            serde_json::from_value::<PublishDiagnosticsParams>(one.params.clone()).ok()
        }
        _ => None,
    });
    said.map(|said| (said.version.unwrap(), said.diagnostics.len())).collect()
}

/// The only answer.
fn answer(messages: Vec<Message>) -> Response {
    let mut answers = messages.into_iter().filter_map(|message| match message {
        Message::Response(response) => Some(response),
        _ => None,
    });
    let answer = answers.next().unwrap();
    assert!(answers.next().is_none());
    answer
}

fn is_bug_logged(messages: &[Message]) -> bool {
    messages.iter().any(|message| {
        matches!(message, Message::Notification(one) if one.method == "window/logMessage" && one.params.to_string().contains("this is a bug in ormend"))
    })
}

#[test]
fn a_look_that_fails_is_logged_and_the_next_edit_is_looked_at() {
    let mut bench = Bench::opened();
    let probe = bench.only(true);
    bench.worker.look_around();
    assert!(probe.runs.load(Ordering::SeqCst) > 0);
    let heard = bench.heard();
    assert!(is_bug_logged(&heard) && published(&heard).is_empty());
    bench.edit(&format!("{VIEWS}\n"));
    bench.take();
    bench.worker.look_around();
    let heard = bench.heard();
    assert!(!is_bug_logged(&heard));
    assert_eq!(published(&heard), [(2, 1)]);
}

#[test]
fn a_question_that_fails_is_answered_and_so_is_the_next() {
    let mut bench = Bench::opened();
    bench.only(true);
    bench.ask(1);
    bench.take();
    let heard = bench.heard();
    assert!(is_bug_logged(&heard));
    assert_eq!(answer(heard).response_result.unwrap_err().code, ErrorCode::InternalError as i32);
    bench.edit(&format!("{VIEWS}\n"));
    bench.ask(2);
    bench.take();
    let found = answer(bench.heard()).response_result.unwrap();
    assert!(found.to_string().contains("shop.Book"), "{found}");
}

#[test]
fn what_a_newer_edit_makes_out_of_date_is_not_looked_at() {
    let mut bench = Bench::opened();
    let probe = bench.only(false);
    bench.heard();
    bench.edit(&format!("{VIEWS}\n"));
    let files = BTreeSet::from([bench.file.clone()]);
    assert!(!bench.worker.look_at(&files));
    assert_eq!(probe.runs.load(Ordering::SeqCst), 0);
    assert_eq!(bench.heard().len(), 0);
    bench.take();
    bench.worker.look_around();
    assert!(probe.runs.load(Ordering::SeqCst) > 0);
    assert_eq!(published(&bench.heard()), [(2, 0)]);
}

/// What a client may do while the project is read for its question.
enum Meanwhile {
    Nothing,
    Cancel,
    Edit,
}

#[test]
fn a_question_that_nobody_asks_any_more_is_not_looked_into() {
    for (meanwhile, code) in [
        (Meanwhile::Nothing, None),
        (Meanwhile::Cancel, Some(ErrorCode::RequestCanceled as i32)),
        (Meanwhile::Edit, Some(ErrorCode::ContentModified as i32)),
    ] {
        // What is said waits to be heard, so that the project cannot be read before that.
        let mut bench = Bench::new(bounded(0));
        bench.edit(VIEWS);
        bench.take();
        bench.ask(1);
        let Bench { worker, said, client, document, .. } = &mut bench;
        let task = worker.tasks.recv().unwrap();
        let answer = thread::scope(|scope| {
            scope.spawn(|| worker.take(task));
            assert!(matches!(said.recv().unwrap(), Message::Request(_)), "the progress of reading is first");
            match meanwhile {
                Meanwhile::Nothing => {}
                Meanwhile::Cancel => client.cancel(&RequestId::from(1)),
                Meanwhile::Edit => {
                    let document = document.as_ref().unwrap();
                    drop(document.changed(2, Vec::new(), client.abilities.encoding));
                }
            }
            loop {
                if let Message::Response(response) = said.recv().unwrap() {
                    return response;
                }
            }
        });
        assert_eq!(answer.response_result.err().map(|error| error.code), code);
        assert_eq!(bench.worker.looked.is_none(), code.is_some());
    }
}

#[test]
fn each_edit_puts_the_look_off_and_a_costly_one_for_longer() {
    let mut bench = Bench::opened();
    bench.worker.look_around();
    assert_eq!(published(&bench.heard()), [(1, 1)]);
    let (soon, late) = (Duration::from_millis(20), Duration::from_millis(400));
    for n in 1..4 {
        let begin = Instant::now();
        bench.edit(&VIEWS.replace("print(", &format!("print({n}, ")));
        bench.take();
        let due = bench.worker.due.unwrap();
        assert!(begin + soon <= due && due <= Instant::now() + soon);
    }
    bench.worker.look_around();
    assert_eq!(published(&bench.heard()), [(4, 1)]);
    // Another function.
    bench.edit(&format!("{VIEWS}\n\ndef more():\n    pass\n"));
    bench.take();
    let changed = bench.worker.changed;
    bench.worker.look_around();
    assert_eq!(bench.worker.due, Some(changed + late));
    assert_eq!(published(&bench.heard()), []);
    bench.worker.changed = changed.checked_sub(late).unwrap();
    bench.worker.look_around();
    assert_eq!(published(&bench.heard()), [(5, 1)]);
}
