//! The command, as a library so that fuzzing reaches what reads a stranger's data. Floors: commands, over review and
//! the server, over report, over the rest; all of them over the codemods and the engine.

mod apply;
mod baseline;
mod cache;
mod cli;
mod commands;
mod config;
mod discover;
mod environment;
mod escape;
mod git;
mod guide;
mod input;
mod owners;
mod page;
mod parts;
mod paths;
mod pipeline;
mod plan;
mod read;
mod report;
mod review;
mod root;
mod server;
mod settings;
mod stat;
mod target;
mod terminal;
mod write;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;
use terminal::Terminal;

/// The tool and its version, as data names them.
const TOOL: &str = concat!("ormend ", env!("CARGO_PKG_VERSION"));

/// How a run ended, as its exit status says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Status {
    /// Nothing is left to report.
    #[default]
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
        Command::Report(args) => commands::report::run(args, terminal),
        Command::Explain(args) => commands::explain::run(args, terminal),
        Command::Codemods(args) => commands::codemods::run(args, terminal),
        Command::Models(args) => commands::models::run(args, terminal),
        Command::Config(args) => commands::config::run(args, terminal),
        Command::Clean(args) => commands::clean::run(args, terminal),
        Command::Completions(args) => commands::completions::run(args, terminal),
        Command::Man(args) => commands::man::run(args, terminal),
        Command::Server(_) => commands::server::run(terminal),
    }
}

/// Whether the module at `path`, below the root of a project, is a test or a migration: by default these are left out.
/// Comparisons with other tools take it, so that all of them look at the same files.
#[doc(hidden)]
pub fn is_left_out(path: &str) -> bool {
    discover::is_test(path) || ormend_engine::rewrite::is_migration(path)
}

/// What fuzzing reaches.
#[doc(hidden)]
pub mod fuzzing {
    use crate::apply::resolve;
    use crate::paths::Paths;
    use crate::plan::Plan;
    use ormend_engine::python::parse;
    use ormend_engine::text::Source;
    use std::path::Path;

    /// Resolve the plan that `data` holds against the project at `root`, and assert what must hold of any plan.
    pub fn apply(data: &[u8], root: &Path) {
        let Ok(plan) = Plan::parse(data, "plan") else { return };
        let paths = Paths::new(root.to_path_buf(), root.to_path_buf());
        let resolved = resolve(&plan, &paths, false);
        for change in &resolved.changes {
            assert!(plan.fixes.iter().any(|fix| fix.selected && fix.files().contains(&change.path.as_str())));
            assert!(paths.absolute(&change.path).starts_with(root), "{} leaves the project", change.path);
            assert!(!change.path.split('/').any(|part| matches!(part, ".git" | "..")), "{}", change.path);
            let parses = |bytes: &[u8]| {
                let source = Source::new(change.path.as_str(), bytes.to_vec());
                !parse(source.text()).root(source.text()).has_error()
            };
            assert!(!parses(&change.before) || parses(&change.after), "the result does not parse");
        }
    }
}
