//! The command, as a library so that fuzzing reaches what reads a stranger's data. Floors: commands, over report, over the
//! rest; all of them over the codemods and the engine.

mod apply;
mod cli;
mod commands;
mod config;
mod discover;
mod environment;
mod escape;
mod owners;
mod paths;
mod pipeline;
mod plan;
mod report;
mod review;
mod root;
mod target;
mod terminal;
mod write;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;
use terminal::Terminal;

/// How a run ended, as its exit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Nothing is left to report.
    Clean,
    /// Findings remain, the diff is not empty, or fixes were refused.
    Findings,
    /// The run itself failed.
    Failed,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(match status {
            Status::Clean => 0,
            Status::Findings => 1,
            Status::Failed => 2,
        })
    }
}

/// Run the command that the process's arguments name.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.output.color, cli.output.quiet, cli.output.verbose);
    terminal.install_panic_hook();
    // A panic is our bug: it has been reported by the hook, and the status must not read as "findings".
    let result = std::panic::catch_unwind(|| run(&cli, &terminal));
    match result {
        Ok(Ok(status)) => status.into(),
        Ok(Err(error)) => {
            terminal.error(&error);
            Status::Failed.into()
        }
        Err(_) => Status::Failed.into(),
    }
}

fn run(cli: &Cli, terminal: &Terminal) -> miette::Result<Status> {
    match &cli.command {
        Command::Check(args) => commands::check::run(args, terminal),
        Command::Diff(args) => commands::diff::run(args, terminal),
        Command::Fix(args) => commands::fix::run(args, terminal),
        Command::Plan(args) => commands::plan::run(args, terminal),
        Command::Apply(args) => commands::apply::run(args, terminal),
        Command::Review(args) => commands::review::run(args, terminal),
        Command::Explain(args) => commands::explain::run(args, terminal),
        Command::Codemods => commands::codemods::run(terminal),
        Command::Models(args) => commands::models::run(args, terminal),
    }
}
