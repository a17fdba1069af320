//! Findings as diagnostics of the client's documents.

use super::edits::Places;
use crate::escape::{escape_line, escape_text};
use crate::report::Findings;
use lsp_types::{Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString};
use ormend_engine::codemod::{Finding, Outcome};
use ormend_engine::rewrite::Report;
use ormend_engine::text::Site;
use serde_json::json;

/// Who the diagnostics are from.
const SOURCE: &str = "ormend";

/// The findings of `report` in the file that the engine calls `path`, each with its fingerprint.
pub fn in_file<'a>(report: &'a Report, path: &str) -> impl Iterator<Item = (&'a Finding, &'a str)> {
    let all = report.findings.iter().zip(report.fingerprints.iter().map(String::as_str));
    all.filter(move |(finding, _)| {
        report.sources.get(&finding.site.file).is_some_and(|source| source.path() == path)
    })
}

/// The diagnostics of the file that the engine calls `path`.
pub fn of(report: &Report, path: &str, places: &Places) -> Vec<Diagnostic> {
    let findings = Findings::new(&report.findings, &report.fingerprints, &report.sources, places.paths);
    let all = in_file(report, path);
    let is_shown = |(finding, _): &(&Finding, &str)| {
        places.client.abilities.shows_withheld || finding.outcome() != Outcome::Withheld
    };
    all.filter(is_shown)
        .filter_map(|(finding, fingerprint)| diagnostic(report, &findings, finding, fingerprint, places))
        .collect()
}

/// That of one finding.
pub fn diagnostic(
    report: &Report,
    findings: &Findings,
    finding: &Finding,
    fingerprint: &str,
    places: &Places,
) -> Option<Diagnostic> {
    let source = report.sources.get(&finding.site.file)?;
    let severity = match finding.outcome() {
        Outcome::Withheld => DiagnosticSeverity::INFORMATION,
        Outcome::Safe | Outcome::Unsafe => DiagnosticSeverity::WARNING,
    };
    Some(Diagnostic {
        range: places.range(source, finding.site.span),
        severity: Some(severity),
        code: Some(NumberOrString::String(finding.codemod.to_owned())),
        source: Some(SOURCE.to_owned()),
        message: escape_text(&findings.account(finding)).into_owned(),
        related_information: places
            .client
            .abilities
            .related_information
            .then(|| related(report, finding, places))
            .filter(|related| !related.is_empty()),
        data: Some(json!({ "fingerprint": fingerprint })),
        ..Diagnostic::default()
    })
}

/// The other places of a finding: what it speaks of, and what stands against its fix.
fn related(report: &Report, finding: &Finding, places: &Places) -> Vec<DiagnosticRelatedInformation> {
    let related = finding.related.iter().map(|related| (related.site, related.message.clone()));
    let hazards = finding
        .hazards
        .iter()
        .filter_map(|hazard| Some((hazard.site?, format!("{}: {}", hazard.kind.name(), hazard.message()))));
    let place = |(site, message): (Site, String)| {
        let source = report.sources.get(&site.file)?;
        let (uri, _) = places.document(source.path())?;
        let location = Location::new(uri, places.range(source, site.span));
        Some(DiagnosticRelatedInformation { location, message: escape_line(&message).into_owned() })
    };
    related.chain(hazards).filter_map(place).collect()
}
