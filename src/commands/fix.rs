//! `ormend fix`: the fixes, in place, each file whole or not at all. Of standard input the result is printed.

use super::{Made, difference, make, tell};
use crate::Status;
use crate::cli::FixArgs;
use crate::pipeline::{self, Analysis};
use crate::report::plural;
use crate::terminal::Terminal;
use crate::write::{Undone, Writer};
use ormend_engine::codemod::Outcome;
use ormend_engine::rewrite::InputFile;

pub fn run(args: &FixArgs, terminal: &Terminal) -> miette::Result<Status> {
    if args.undo {
        return undo(args, terminal);
    }
    let (loaded, writer) = pipeline::load_to_write(&args.run, terminal)?;
    let (scanned, left_out, options) = (loaded.scanned, loaded.left_out(), loaded.options.clone());
    let stdin = loaded.stdin().cloned();
    let is_stdin = stdin.is_some();
    let analysis = loaded.analyse(true, terminal);
    let made = match (stdin, writer) {
        (Some(InputFile { path, bytes, .. }), _) => print_fixed(&analysis, &path, &bytes, terminal)?,
        (None, Some(writer)) => {
            make(&writer, &analysis.paths, &analysis.report.changes, args.write, terminal)?
        }
        (None, None) => Made::default(),
    };
    let findings = analysis.findings();
    tell(&args.run, &analysis, scanned, left_out, terminal);
    if made.fixes > 0 {
        terminal.summary(&format!(
            "Applied {} to {}.{}{}",
            plural(made.fixes, "fix", "fixes"),
            plural(made.files, "file", "files"),
            difference(made.fixes, &findings, &options),
            if is_stdin { String::new() } else { made.way_back(&analysis.paths) }
        ));
    } else if analysis.report.changes.is_empty()
        && findings.count(Outcome::Unsafe) > 0
        && !args.run.settings.unsafe_fixes
    {
        terminal.summary("Nothing was changed; --unsafe-fixes applies the unsafe fixes, too.");
    }
    Ok(match made.status {
        Status::Clean if made.fixes > 0 && args.exit_non_zero_on_fix => Status::Findings,
        status => status,
    })
}

/// `ormend fix --undo`: what the last run changed, as it was before.
fn undo(args: &FixArgs, terminal: &Terminal) -> miette::Result<Status> {
    let paths = pipeline::written(&args.run.input)?;
    let writer = Writer::begin(&paths, terminal)?;
    // An interrupted run was the last one.
    if let Some(undone) = &writer.repaired {
        return Ok(ended(undone));
    }
    let Some(undone) = writer.undo(&paths)? else {
        terminal.summary("There is nothing to undo.");
        return Ok(Status::Clean);
    };
    for (path, why) in &undone.failures {
        terminal.failed(&format!("{}: {why}", paths.show(path)));
    }
    terminal.summary(&format!("Restored {}.", plural(undone.files, "file", "files")));
    Ok(ended(&undone))
}

fn ended(undone: &Undone) -> Status {
    if undone.failures.is_empty() { Status::Clean } else { Status::Findings }
}

/// Print the file of standard input with its fixes. Fixes that need other files changed too would be half a
/// change, so the engine's other changes are told and not made.
fn print_fixed(analysis: &Analysis, path: &str, bytes: &[u8], terminal: &Terminal) -> miette::Result<Made> {
    let others: Vec<_> = analysis.report.changes.iter().filter(|change| change.path != path).collect();
    for change in &others {
        terminal.warn(&format!("{}: a fix would change this file too", analysis.paths.show(&change.path)));
    }
    let change = analysis.report.changes.iter().find(|change| change.path == path && others.is_empty());
    terminal.product(|out| out.write_all(change.map_or(bytes, |change| &change.after)))?;
    Ok(Made {
        fixes: change.map_or(0, |change| change.fixes),
        files: change.iter().count(),
        ..Made::default()
    })
}
