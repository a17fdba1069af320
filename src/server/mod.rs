//! `ormend server`: a language server, whose protocol standard input and output speak.
//!
//! The thread that reads messages keeps the open buffers and passes on what comes; it never waits for an analysis. Each folder of
//! the client has a thread that looks at its files and answers for them. Nothing is ever written to the project: edits are sent
//! to the client, which makes them.

mod actions;
mod client;
mod diagnostics;
mod documents;
mod edits;
mod folder;
mod hover;
mod position;
mod progress;
mod session;
mod watch;
mod worker;
mod workspace;

use crate::Status;
use crate::terminal::Terminal;
use client::{Abilities, Client, fix_all_kind};
use lsp_server::{Connection, ErrorCode, Message, RequestId, Response};
use lsp_types::notification::{Exit, Initialized, Notification as _};
use lsp_types::request::{Initialize, Request as _, Shutdown};
use lsp_types::{
    CodeActionKind, CodeActionOptions, CodeActionProviderCapability, ExecuteCommandOptions,
    HoverProviderCapability, InitializeParams, InitializeResult, OneOf, SaveOptions, ServerCapabilities,
    ServerInfo, TextDocumentSyncCapability, TextDocumentSyncKind, TextDocumentSyncOptions,
    TextDocumentSyncSaveOptions, WorkspaceFoldersServerCapabilities, WorkspaceServerCapabilities,
};
use session::Session;
use std::io::IsTerminal;

/// The command that shows what `ormend explain` says of a codemod.
const EXPLAIN: &str = "ormend.explain";

/// How far the client and the server have come.
enum Stage {
    /// `initialize` has not come.
    New,
    Running(Box<Session>),
    /// `shutdown` has come.
    Ending,
}

/// Serve until the client says that it is over, or is gone.
pub fn run(terminal: &Terminal) -> miette::Result<Status> {
    if std::io::stdin().is_terminal() {
        terminal.summary("An editor is to start this: it is waited for on standard input. Ctrl-C ends it.");
    }
    let (connection, _threads) = Connection::stdio();
    let mut stage = Stage::New;
    for message in &connection.receiver {
        if let Message::Notification(notification) = &message
            && notification.method == Exit::METHOD
        {
            let is_orderly = matches!(stage, Stage::Ending);
            // The protocol's own statuses.
            return Ok(if is_orderly { Status::Clean } else { Status::Findings });
        }
        stage = step(stage, message, &connection, terminal)?;
    }
    terminal.failed("the client is gone, or speaks another protocol: the server ends");
    Ok(Status::Findings)
}

/// Take one message.
fn step(
    stage: Stage,
    message: Message,
    connection: &Connection,
    terminal: &Terminal,
) -> miette::Result<Stage> {
    let refuse = |id: RequestId, code: ErrorCode, message: &str| {
        let _ = connection.sender.send(Response::new_err(id, code as i32, message.to_owned()).into());
    };
    Ok(match (stage, message) {
        (Stage::New, Message::Request(request)) if request.method == Initialize::METHOD => {
            match serde_json::from_value::<InitializeParams>(request.params) {
                Ok(params) => {
                    let abilities = Abilities::of(&params);
                    let result = InitializeResult {
                        capabilities: capabilities(&abilities),
                        server_info: Some(ServerInfo {
                            name: "ormend".to_owned(),
                            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                        }),
                    };
                    let client = Client::new(connection.sender.clone(), abilities);
                    let session = Session::new(client.clone(), &params, terminal)?;
                    client.answer(request.id, Ok(result));
                    Stage::Running(Box::new(session))
                }
                Err(error) => {
                    refuse(request.id, ErrorCode::InvalidParams, &error.to_string());
                    Stage::New
                }
            }
        }
        (Stage::New, Message::Request(request)) => {
            refuse(request.id, ErrorCode::ServerNotInitialized, "`initialize` comes first");
            Stage::New
        }
        (Stage::Running(session), Message::Request(request)) if request.method == Shutdown::METHOD => {
            drop(session);
            let _ = connection.sender.send(Response::new_ok(request.id, ()).into());
            Stage::Ending
        }
        (Stage::Running(mut session), Message::Request(request)) => {
            match request.method == Initialize::METHOD {
                true => refuse(request.id, ErrorCode::InvalidRequest, "the server is initialized already"),
                false => session.request(request),
            }
            Stage::Running(session)
        }
        (Stage::Running(mut session), Message::Notification(notification)) => {
            match notification.method == Initialized::METHOD {
                true => session.begin(),
                false => session.notification(notification),
            }
            Stage::Running(session)
        }
        (Stage::Ending, Message::Request(request)) => {
            refuse(request.id, ErrorCode::InvalidRequest, "the server is shutting down");
            Stage::Ending
        }
        (stage, _) => stage,
    })
}

/// What the server can do for this client.
fn capabilities(abilities: &Abilities) -> ServerCapabilities {
    let actions = CodeActionOptions {
        code_action_kinds: Some(vec![CodeActionKind::QUICKFIX, fix_all_kind()]),
        resolve_provider: Some(abilities.lazy_edits),
        ..CodeActionOptions::default()
    };
    ServerCapabilities {
        position_encoding: Some(abilities.encoding.kind()),
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(TextDocumentSyncSaveOptions::SaveOptions(SaveOptions { include_text: Some(false) })),
            ..TextDocumentSyncOptions::default()
        })),
        code_action_provider: abilities
            .action_literals
            .then_some(CodeActionProviderCapability::Options(actions)),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        execute_command_provider: Some(ExecuteCommandOptions {
            commands: vec![EXPLAIN.to_owned()],
            ..ExecuteCommandOptions::default()
        }),
        workspace: Some(WorkspaceServerCapabilities {
            workspace_folders: Some(WorkspaceFoldersServerCapabilities {
                supported: Some(true),
                change_notifications: Some(OneOf::Left(true)),
            }),
            ..WorkspaceServerCapabilities::default()
        }),
        ..ServerCapabilities::default()
    }
}
