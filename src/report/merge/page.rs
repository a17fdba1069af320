//! The merged report as a page: the same numbers, which can be sorted and follow the filters, and every finding.

use super::{Found, FoundOutcome, Run};
use crate::escape::escape_line;
use crate::page::{HazardView, Page};
use serde::Serialize;

const PAGE: Page = Page {
    title: "ormend report",
    body: include_str!("page.html"),
    style: include_str!("page.css"),
    script: include_str!("page.js"),
};

/// What the script of the page reads; all text is escaped for showing.
#[derive(Serialize)]
struct View {
    repositories: Vec<String>,
    findings: Vec<FindingView>,
}

#[derive(Serialize)]
struct FindingView {
    /// The index of its repository.
    repository: usize,
    codemod: String,
    path: String,
    line: u32,
    message: String,
    outcome: FoundOutcome,
    before: String,
    after: String,
    hazards: Vec<HazardView>,
    /// Why it is withheld.
    reasons: Vec<String>,
    fingerprint: String,
}

/// The page of `runs`.
pub fn html(runs: &[Run]) -> miette::Result<String> {
    let findings = runs
        .iter()
        .enumerate()
        .flat_map(|(repository, run)| run.findings.iter().map(move |found| finding_view(repository, found)));
    let view = View {
        repositories: runs.iter().map(|run| shown(&run.name)).collect(),
        findings: findings.collect(),
    };
    PAGE.render(&view)
}

fn finding_view(repository: usize, found: &Found) -> FindingView {
    let hazards = found
        .hazards
        .iter()
        .map(|hazard| HazardView::new(&hazard.kind, &hazard.message, hazard.path.as_deref(), hazard.line));
    FindingView {
        repository,
        codemod: shown(&found.codemod),
        path: shown(&found.path),
        line: found.start.line,
        message: shown(&found.message),
        outcome: found.outcome,
        before: shown(&found.queries.before),
        after: shown(&found.queries.after),
        hazards: hazards.collect(),
        reasons: found.reasons().into_iter().map(shown).collect(),
        fingerprint: shown(&found.fingerprint),
    }
}

fn shown(text: &str) -> String {
    escape_line(text).into_owned()
}
