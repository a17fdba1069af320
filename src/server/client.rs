//! What is said to the client, and what it can understand.

use super::position::Encoding;
use crossbeam_channel::Sender;
use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::notification::{LogMessage, Notification as _, ShowMessage};
use lsp_types::{
    CodeActionKind, InitializeParams, LogMessageParams, MarkupKind, MessageType, ShowMessageParams,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the client can do.
#[derive(Clone, Debug)]
pub struct Abilities {
    pub encoding: Encoding,
    /// Edits that name the version of the document.
    pub versioned_edits: bool,
    /// Actions with a kind, and not commands only.
    pub action_literals: bool,
    /// Actions whose edit is asked for when they are taken.
    pub lazy_edits: bool,
    pub related_information: bool,
    pub markdown: bool,
    pub progress: bool,
    /// Whether it tells of changed files when asked to.
    pub watches: bool,
    /// Whether it wants findings that have no fix.
    pub shows_withheld: bool,
}

impl Abilities {
    pub fn of(params: &InitializeParams) -> Abilities {
        let capabilities = &params.capabilities;
        let workspace = capabilities.workspace.as_ref();
        let document = capabilities.text_document.as_ref();
        let actions = document.and_then(|document| document.code_action.as_ref());
        let offered = capabilities.general.as_ref().and_then(|general| general.position_encodings.as_deref());
        let lazy = actions.and_then(|actions| actions.resolve_support.as_ref());
        let hover = document.and_then(|document| document.hover.as_ref());
        let is_set = |value: Option<bool>| value == Some(true);
        Abilities {
            encoding: Encoding::of(offered.unwrap_or_default()),
            versioned_edits: is_set(
                workspace.and_then(|w| w.workspace_edit.as_ref()).and_then(|edit| edit.document_changes),
            ),
            action_literals: actions.is_some_and(|actions| actions.code_action_literal_support.is_some()),
            lazy_edits: lazy.is_some_and(|lazy| lazy.properties.iter().any(|name| name == "edit"))
                && is_set(actions.and_then(|actions| actions.data_support)),
            related_information: is_set(
                document.and_then(|d| d.publish_diagnostics.as_ref()).and_then(|d| d.related_information),
            ),
            markdown: hover
                .and_then(|hover| hover.content_format.as_ref())
                .is_some_and(|formats| formats.first() == Some(&MarkupKind::Markdown)),
            shows_withheld: params
                .initialization_options
                .as_ref()
                .and_then(|options| options.get("showWithheld")?.as_bool())
                .unwrap_or(true),
            progress: is_set(capabilities.window.as_ref().and_then(|window| window.work_done_progress)),
            watches: is_set(
                workspace
                    .and_then(|w| w.did_change_watched_files)
                    .and_then(|watch| watch.dynamic_registration),
            ),
        }
    }
}

/// Why a request gets no answer.
#[derive(Debug)]
pub struct Refusal {
    pub code: ErrorCode,
    pub message: String,
}

impl Refusal {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }

    /// The document is not any more what was asked about.
    pub fn outdated() -> Refusal {
        Refusal::new(ErrorCode::ContentModified, "the document has changed")
    }

    pub fn cancelled() -> Refusal {
        Refusal::new(ErrorCode::RequestCanceled, "the request was cancelled")
    }
}

/// The kind under which all safe fixes of a file are asked for.
pub fn fix_all_kind() -> CodeActionKind {
    CodeActionKind::new("source.fixAll.ormend")
}

/// The client, to whom every thread may speak.
#[derive(Clone)]
pub struct Client {
    sender: Sender<Message>,
    next: Arc<AtomicU32>,
    /// The requests that are not answered, and whether the client still wants to know.
    waiting: Arc<Mutex<HashMap<RequestId, Arc<AtomicBool>>>>,
    pub abilities: Arc<Abilities>,
}

impl Client {
    pub fn new(sender: Sender<Message>, abilities: Abilities) -> Client {
        Client { sender, next: Arc::default(), waiting: Arc::default(), abilities: Arc::new(abilities) }
    }

    /// A client that has gone needs to be told nothing.
    fn send(&self, message: impl Into<Message>) {
        let _ = self.sender.send(message.into());
    }

    pub fn notify<N: lsp_types::notification::Notification>(&self, params: N::Params) {
        self.send(Notification::new(N::METHOD.to_owned(), params));
    }

    /// Ask for something whose answer says nothing but that it is done.
    pub fn request<R: lsp_types::request::Request>(&self, params: R::Params) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.send(Request::new(format!("ormend/{id}").into(), R::METHOD.to_owned(), params));
    }

    /// For who looks for what happened.
    pub fn log(&self, typ: MessageType, message: impl Into<String>) {
        self.send(Notification::new(
            LogMessage::METHOD.to_owned(),
            LogMessageParams { typ, message: message.into() },
        ));
    }

    /// For who sits before the editor.
    pub fn show(&self, typ: MessageType, message: impl Into<String>) {
        self.send(Notification::new(
            ShowMessage::METHOD.to_owned(),
            ShowMessageParams { typ, message: message.into() },
        ));
    }

    /// A request has come. What is returned turns true when nobody wants the answer any more.
    pub fn expect_answer(&self, id: &RequestId) -> Arc<AtomicBool> {
        let is_cancelled = Arc::new(AtomicBool::new(false));
        self.waiting().insert(id.clone(), Arc::clone(&is_cancelled));
        is_cancelled
    }

    pub fn cancel(&self, id: &RequestId) {
        if let Some(is_cancelled) = self.waiting().get(id) {
            is_cancelled.store(true, Ordering::SeqCst);
        }
    }

    pub fn answer(&self, id: RequestId, answer: Result<impl Serialize, Refusal>) {
        self.waiting().remove(&id);
        let answer = answer.and_then(|value| {
            serde_json::to_value(value)
                .map_err(|error| Refusal::new(ErrorCode::InternalError, error.to_string()))
        });
        self.send(match answer {
            Ok(value) => Response::new_ok::<Value>(id, value),
            Err(Refusal { code, message }) => Response::new_err(id, code as i32, message),
        });
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<RequestId, Arc<AtomicBool>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
