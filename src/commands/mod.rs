//! One file a subcommand.

pub mod apply;
pub mod check;
pub mod codemods;
pub mod diff;
pub mod explain;
pub mod fix;
pub mod models;
pub mod plan;
pub mod review;

use crate::Status;
use crate::discover::LeftOut;
use crate::report::{Findings, plural};
use crate::write::WriteError;
use ormend_engine::codemod::Outcome;

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

/// `Looked at 12 files; left out 3 tests (--include-tests)`
fn looked_at(scanned: usize, left_out: LeftOut) -> String {
    let reasons = [
        (left_out.tests, "test file", "test files", " (--include-tests)"),
        (left_out.migrations, "migration", "migrations", " (--include-migrations)"),
        (left_out.excluded, "excluded file", "excluded files", ""),
    ];
    let parts: Vec<String> = reasons
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many, flag)| format!("{}{flag}", plural(*count, one, many)))
        .collect();
    let looked = format!("Looked at {}", plural(scanned, "file", "files"));
    if parts.is_empty() { format!("{looked}.") } else { format!("{looked}; left out {}.", parts.join(", ")) }
}
