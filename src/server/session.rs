//! One session with a client: its folders, its open buffers, and what it asks.

use super::EXPLAIN;
use super::actions::Later;
use super::client::{Client, Refusal};
use super::documents::Document;
use super::edits::file;
use super::folder::{Folder, Query, Task, What};
use super::watch;
use crate::guide;
use crate::pipeline;
use crate::root;
use crate::terminal::Terminal;
use lsp_server::{ErrorCode, Notification, Request, RequestId};
use lsp_types::notification::{
    Cancel, DidChangeTextDocument, DidChangeWatchedFiles, DidChangeWorkspaceFolders, DidCloseTextDocument,
    DidOpenTextDocument, DidSaveTextDocument, Notification as _,
};
use lsp_types::request::{
    CodeActionRequest, CodeActionResolveRequest, ExecuteCommand, HoverRequest, RegisterCapability,
    Request as _,
};
use lsp_types::{
    CancelParams, CodeAction, CodeActionParams, DidChangeTextDocumentParams, DidChangeWatchedFilesParams,
    DidChangeWorkspaceFoldersParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams,
    DidSaveTextDocumentParams, ExecuteCommandParams, HoverParams, InitializeParams, MessageType,
    NumberOrString, Uri,
};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open buffer.
struct Opened {
    document: Arc<Document>,
    /// Absolute and free of links; none of what is no file.
    file: Option<PathBuf>,
    /// The folder that it belongs to.
    folder: Option<PathBuf>,
}

pub struct Session {
    client: Client,
    pool: Arc<rayon::ThreadPool>,
    terminal: Terminal,
    /// The client's folders, absolute and free of links.
    wanted: BTreeSet<PathBuf>,
    /// Those that are read, and the projects of files that are in none of them.
    folders: BTreeMap<PathBuf, Folder>,
    /// By their URIs.
    opened: BTreeMap<String, Opened>,
}

impl Session {
    pub fn new(client: Client, params: &InitializeParams, terminal: &Terminal) -> miette::Result<Session> {
        let folders = params.workspace_folders.as_ref().filter(|folders| !folders.is_empty());
        #[allow(deprecated, reason = "what older clients send")]
        let uris: Vec<&Uri> = match folders {
            Some(folders) => folders.iter().map(|folder| &folder.uri).collect(),
            None => params.root_uri.iter().collect(),
        };
        let wanted = uris.into_iter().filter_map(place).collect();
        Ok(Session {
            client,
            pool: Arc::new(pipeline::pool(None)?),
            terminal: *terminal,
            wanted,
            folders: BTreeMap::new(),
            opened: BTreeMap::new(),
        })
    }

    /// The client is ready.
    pub fn begin(&mut self) {
        if self.client.abilities.watches {
            self.client.request::<RegisterCapability>(watch::registration());
        }
        for folder in self.wanted.clone() {
            self.start(folder);
        }
    }

    fn start(&mut self, path: PathBuf) {
        let (client, pool) = (self.client.clone(), Arc::clone(&self.pool));
        let terminal = self.terminal;
        self.folders.entry(path.clone()).or_insert_with(|| Folder::start(path, client, pool, terminal));
    }

    pub fn request(&mut self, request: Request) {
        let Request { id, method, params } = request;
        let refuse = |error: String| Refusal::new(ErrorCode::InvalidParams, error);
        let asked = match method.as_str() {
            CodeActionRequest::METHOD => read::<CodeActionParams>(params)
                .map(|params| (params.text_document.uri.clone(), What::Actions(Box::new(params)))),
            HoverRequest::METHOD => read::<HoverParams>(params).map(|params| {
                let place = params.text_document_position_params;
                (place.text_document.uri, What::Hover(place.position))
            }),
            CodeActionResolveRequest::METHOD => read::<CodeAction>(params).and_then(|action| {
                let later = action.data.clone().ok_or("the action has no data".to_owned());
                let later = later.and_then(read::<Later>)?;
                let uri: Uri =
                    later.uri.parse().map_err(|_| "the data of the action has no URI".to_owned())?;
                Ok((uri, What::Resolve(Box::new(action))))
            }),
            ExecuteCommand::METHOD => {
                let answer = read::<ExecuteCommandParams>(params).map_err(refuse);
                let answer = answer.and_then(|params| self.execute(&params));
                return self.client.answer(id, answer);
            }
            _ => {
                let message = format!("`{method}` is not known");
                let refusal = Refusal::new(ErrorCode::MethodNotFound, message);
                return self.client.answer(id, Err::<(), _>(refusal));
            }
        };
        match asked {
            Ok((uri, what)) => self.ask(id, &uri, what),
            Err(error) => self.client.answer(id, Err::<(), _>(refuse(error))),
        }
    }

    /// Pass a request about the document `uri` on to its folder.
    fn ask(&mut self, id: RequestId, uri: &Uri, what: What) {
        let opened = self.opened.get(uri.as_str());
        let target = opened.and_then(|opened| {
            let folder = self.folders.get(opened.folder.as_ref()?)?;
            Some((folder, opened.file.clone()?, Arc::clone(&opened.document)))
        });
        match target {
            Some((folder, file, document)) => {
                let is_cancelled = self.client.expect_answer(&id);
                folder.tell(Task::Ask(Query { id, file, document, what, is_cancelled }));
            }
            // An action of a document that is closed.
            None if matches!(what, What::Resolve(_)) => {
                self.client.answer(id, Err::<(), _>(Refusal::outdated()))
            }
            None => self.client.answer(id, Ok(())),
        }
    }

    /// Run a command of the client's user.
    fn execute(&self, params: &ExecuteCommandParams) -> Result<String, Refusal> {
        let refuse = |message: String| Refusal::new(ErrorCode::InvalidParams, message);
        if params.command != EXPLAIN {
            return Err(refuse(format!("there is no command `{}`", params.command)));
        }
        let name = params.arguments.first().and_then(|argument| argument.as_str());
        let name = name.ok_or_else(|| refuse("the name of a codemod or hazard is wanted".to_owned()))?;
        let text =
            guide::of(name).ok_or_else(|| refuse(format!("there is no codemod or hazard `{name}`")))?;
        self.client.show(MessageType::INFO, text.trim_end());
        Ok(text)
    }

    pub fn notification(&mut self, notification: Notification) {
        let Notification { method, params } = notification;
        let taken = match method.as_str() {
            DidOpenTextDocument::METHOD => read(params).map(|params| self.open(params)),
            DidChangeTextDocument::METHOD => read(params).map(|params| self.change(params)),
            DidSaveTextDocument::METHOD => read(params).map(|params| self.save(&params)),
            DidCloseTextDocument::METHOD => read(params).map(|params| self.close(&params)),
            DidChangeWatchedFiles::METHOD => read(params).map(|params| self.changed_files(params)),
            DidChangeWorkspaceFolders::METHOD => read(params).map(|params| self.change_folders(&params)),
            Cancel::METHOD => read::<CancelParams>(params).map(|params| {
                self.client.cancel(&match params.id {
                    NumberOrString::Number(id) => id.into(),
                    NumberOrString::String(id) => id.into(),
                });
            }),
            _ => Ok(()),
        };
        if let Err(error) = taken {
            self.client.log(MessageType::WARNING, format!("`{method}` is not understood: {error}"));
        }
    }

    fn open(&mut self, params: DidOpenTextDocumentParams) {
        let uri = params.text_document.uri.as_str().to_owned();
        let file = place(&params.text_document.uri);
        let document = Arc::new(Document::opened(params.text_document));
        let folder = file.as_ref().map(|file| self.folder_of(file));
        self.opened.insert(uri.clone(), Opened { document, file, folder });
        self.tell_of(&uri);
    }

    /// The folder that `file` belongs to: the innermost of the client's, or the project that it lies in.
    fn folder_of(&mut self, file: &Path) -> PathBuf {
        let folder = match self.wanted.iter().filter(|folder| file.starts_with(folder)).max() {
            Some(folder) => folder.clone(),
            None => root::find(&[file.to_path_buf()]),
        };
        self.start(folder.clone());
        folder
    }

    /// Tell the folder of the buffer `uri` what is in it.
    fn tell_of(&self, uri: &str) {
        let Some(opened) = self.opened.get(uri) else { return };
        let Opened { document, file: Some(file), folder: Some(folder) } = opened else { return };
        if let Some(folder) = self.folders.get(folder) {
            folder.tell(Task::Open(file.clone(), Arc::clone(document)));
        }
    }

    fn change(&mut self, params: DidChangeTextDocumentParams) {
        let document = params.text_document;
        let Some(opened) = self.opened.get_mut(document.uri.as_str()) else {
            let message = format!("`{}` changes, but is not open", document.uri.as_str());
            return self.client.log(MessageType::WARNING, message);
        };
        let encoding = self.client.abilities.encoding;
        let changed = opened.document.changed(document.version, params.content_changes, encoding);
        opened.document = Arc::new(changed);
        self.tell_of(document.uri.as_str());
    }

    fn save(&self, params: &DidSaveTextDocumentParams) {
        // Who watches tells of it.
        if !self.client.abilities.watches {
            self.changed(place(&params.text_document.uri).into_iter().collect());
        }
    }

    fn close(&mut self, params: &DidCloseTextDocumentParams) {
        let Some(opened) = self.opened.remove(params.text_document.uri.as_str()) else { return };
        let (Some(file), Some(path)) = (opened.file, opened.folder) else { return };
        if let Some(folder) = self.folders.get(&path) {
            folder.tell(Task::Close(file));
        }
        self.leave(&path);
    }

    /// Forget the folder at `path` if nobody wants it.
    fn leave(&mut self, path: &Path) {
        let is_used = self.opened.values().any(|opened| opened.folder.as_deref() == Some(path));
        if !is_used && !self.wanted.contains(path) {
            self.folders.remove(path);
        }
    }

    fn changed_files(&self, params: DidChangeWatchedFilesParams) {
        self.changed(params.changes.iter().filter_map(|event| place(&event.uri)).collect());
    }

    /// Tell the folders that `files` may have changed on disk.
    fn changed(&self, files: Vec<PathBuf>) {
        let is_everything = files.iter().any(|file| watch::is_configuration(file));
        for folder in self.folders.values().filter(|_| !files.is_empty()) {
            folder.tell(Task::Changed { files: files.clone(), is_everything });
        }
    }

    fn change_folders(&mut self, params: &DidChangeWorkspaceFoldersParams) {
        let places = |folders: &[lsp_types::WorkspaceFolder]| -> Vec<PathBuf> {
            folders.iter().filter_map(|folder| place(&folder.uri)).collect()
        };
        for folder in places(&params.event.removed) {
            self.wanted.remove(&folder);
        }
        for folder in places(&params.event.added) {
            self.wanted.insert(folder.clone());
            self.start(folder);
        }
        // Buffers belong where they would if they were opened now.
        let uris: Vec<String> = self.opened.keys().cloned().collect();
        for uri in uris {
            let Some((file, before)) =
                self.opened.get(&uri).and_then(|opened| Some((opened.file.clone()?, opened.folder.clone()?)))
            else {
                continue;
            };
            let now = self.folder_of(&file);
            if now == before {
                continue;
            }
            if let Some(folder) = self.folders.get(&before) {
                folder.tell(Task::Close(file));
            }
            if let Some(opened) = self.opened.get_mut(&uri) {
                opened.folder = Some(now);
            }
            self.tell_of(&uri);
        }
        for path in self.folders.keys().cloned().collect::<Vec<_>>() {
            self.leave(&path);
        }
    }
}

fn read<T: DeserializeOwned>(params: serde_json::Value) -> Result<T, String> {
    serde_json::from_value(params).map_err(|error| error.to_string())
}

/// The file or directory that `uri` names, absolute and free of links.
fn place(uri: &Uri) -> Option<PathBuf> {
    let file = file(uri)?;
    Some(pipeline::free_of_links(&file).unwrap_or(file))
}
