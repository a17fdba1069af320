//! One file a subcommand.

pub mod apply;
pub mod check;
pub mod clean;
pub mod codemods;
pub mod completions;
pub mod config;
pub mod diff;
pub mod explain;
pub mod fix;
pub mod man;
pub mod models;
pub mod plan;
pub mod report;
pub mod review;
pub mod server;

use crate::Status;
use crate::cli::{RunArgs, WriteArgs};
use crate::discover::LeftOut;
use crate::git;
use crate::paths::Paths;
use crate::pipeline::Analysis;
use crate::report::{Findings, plural, statistics};
use crate::root;
use crate::terminal::Terminal;
use crate::write::{WriteError, Writer};
use ormend_engine::codemod::Outcome;
use ormend_engine::rewrite::{Change, Options};
use std::cmp::Ordering;
use std::path::PathBuf;

/// What was made of changes.
#[derive(Default)]
struct Made {
    fixes: usize,
    files: usize,
    status: Status,
    /// Whether git knows what the files held.
    has_git: bool,
}

impl Made {
    /// How it can be taken back, as a sentence to follow another.
    fn way_back(&self, paths: &Paths) -> String {
        let mut command = "ormend fix --undo".to_owned();
        // From here another project may be undone.
        if root::find(std::slice::from_ref(&paths.cwd)) != paths.root {
            command += &format!(" {}", paths.show_absolute(&paths.root));
        }
        match (self.files, self.has_git) {
            (0, _) => String::new(),
            (_, true) => format!(" `{command}` takes it back."),
            (_, false) => format!(" This is no git repository: only `{command}` takes it back."),
        }
    }
}

/// Make `changes`. A file that cannot be written is told, and the others go on. Changes that are not committed are a reason to
/// make none.
fn make(
    writer: &Writer,
    paths: &Paths,
    changes: &[Change],
    args: WriteArgs,
    terminal: &Terminal,
) -> miette::Result<Made> {
    let mut made = Made::default();
    if changes.is_empty() {
        return Ok(made);
    }
    let files: Vec<PathBuf> = changes.iter().map(|change| paths.absolute(&change.path)).collect();
    made.has_git = git::require_clean(paths, &files, args.allow_dirty)?;
    let written = writer.write(paths, changes)?;
    for (index, error) in &written.failures {
        let path = changes.get(*index).map(|change| paths.show(&change.path)).unwrap_or_default();
        terminal.failed(&format!("{path}: {error}"));
        made.status = worse(made.status, error);
    }
    Ok(Made { fixes: written.fixes, files: written.files, ..made })
}

/// How a run ends that one file could not be written in.
fn worse(status: Status, error: &WriteError) -> Status {
    if status == Status::Failed || !error.is_refusal() { Status::Failed } else { Status::Findings }
}

/// `3 findings in 2 files: 1 safe, 1 unsafe, 1 withheld`
fn counts(findings: &Findings) -> String {
    let all = findings.all().len();
    if all == 0 {
        return "No findings".to_string();
    }
    let parts =
        [Outcome::Safe, Outcome::Unsafe, Outcome::Withheld].map(|outcome| (findings.count(outcome), outcome));
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, outcome)| format!("{count} {}", outcome.name()))
        .collect();
    format!(
        "{} in {}: {}",
        plural(all, "finding", "findings"),
        plural(findings.file_count(), "file", "files"),
        parts.join(", ")
    )
}

/// Say what was found and looked at, below the table if that is asked for.
fn tell(run: &RunArgs, analysis: &Analysis, scanned: usize, left_out: LeftOut, terminal: &Terminal) {
    let findings = analysis.findings();
    if run.statistics {
        terminal.summary(statistics::table(&findings).trim_end());
    }
    let looked_at = looked_at(scanned, left_out, analysis.report.known.len());
    terminal.summary(&format!("{}. {looked_at}", counts(&findings)));
}

/// What to do about `findings`, if anything can be done.
fn next_step(findings: &Findings) -> Option<&'static str> {
    match (findings.count(Outcome::Safe), findings.count(Outcome::Unsafe)) {
        (0, 0) => None,
        (_, 0) => Some("`ormend diff` shows the safe fixes, `ormend fix` applies them."),
        (0, _) => Some(
            "`ormend fix --unsafe-fixes` applies the unsafe fixes, `ormend diff --unsafe-fixes` shows them.",
        ),
        _ => Some(
            "`ormend diff` shows the safe fixes, `ormend fix` applies them; both take --unsafe-fixes for the unsafe ones.",
        ),
    }
}

/// Why `fixes`, which were made, are not as many as the findings that ask for one; empty if they are.
fn difference(fixes: usize, findings: &Findings, options: &Options) -> &'static str {
    let asked = findings.all().iter().filter(|finding| options.wants(finding)).count();
    match fixes.cmp(&asked) {
        Ordering::Equal => "",
        Ordering::Greater => " Some are made possible by others.",
        Ordering::Less => " Of fixes that want the same place one is taken.",
    }
}

/// `Looked at 12 files; left out 3 tests (--include-tests)`
fn looked_at(scanned: usize, left_out: LeftOut, known: usize) -> String {
    format!("Looked at {}.", files(scanned, left_out, known))
}

/// `12 files; left out 3 tests (--include-tests)`
fn files(scanned: usize, left_out: LeftOut, known: usize) -> String {
    let reasons = [
        (left_out.tests, "test file", "test files", " (--include-tests)"),
        (left_out.migrations, "migration", "migrations", " (--include-migrations)"),
        (left_out.excluded, "excluded file", "excluded files", ""),
        (left_out.unchanged, "unchanged file", "unchanged files", ""),
        (known, "known finding", "known findings", " (--baseline)"),
    ];
    let parts: Vec<String> = reasons
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many, flag)| format!("{}{flag}", plural(*count, one, many)))
        .collect();
    let looked = plural(scanned, "file", "files");
    if parts.is_empty() { looked } else { format!("{looked}; left out {}", parts.join(", ")) }
}
