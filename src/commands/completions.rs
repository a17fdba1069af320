//! `ormend completions`: a script for a shell, made of the command line's own definition.

use crate::Status;
use crate::cli::{Cli, CompletionsArgs};
use crate::terminal::Terminal;
use clap::CommandFactory;

pub fn run(args: &CompletionsArgs, terminal: &Terminal) -> miette::Result<Status> {
    // `generate` ends the program where it cannot write, which memory never refuses.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ormend", &mut script);
    terminal.product(|out| out.write_all(&script))?;
    Ok(Status::Clean)
}
