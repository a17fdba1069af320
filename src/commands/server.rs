//! `ormend server`: the language server.

use crate::Status;
use crate::server;
use crate::terminal::Terminal;

pub fn run(terminal: &Terminal) -> miette::Result<Status> {
    server::run(terminal)
}
