//! One JSON object a line. docs/jsonl.md documents the form, and other programs read it: add keys, never
//! change or remove one.

use super::{Findings, edits_of};
use ormend_engine::codemod::Finding;
use ormend_engine::text::{FileId, LineColumn, Span};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct Line<'a> {
    codemod: &'a str,
    path: String,
    start: Position,
    end: Position,
    message: &'a str,
    outcome: &'a str,
    hazards: Vec<HazardLine>,
    unlisted: usize,
    edits: Vec<EditLine<'a>>,
    related: Vec<RelatedLine<'a>>,
    queries: QueriesLine<'a>,
    fingerprint: &'a str,
}

/// Line and column are 1-based, the column in characters; the offset is in bytes of the file as stored.
#[derive(Serialize)]
struct Position {
    line: u32,
    column: u32,
    offset: u32,
}

#[derive(Serialize)]
struct HazardLine {
    kind: &'static str,
    message: String,
    path: Option<String>,
    line: Option<u32>,
}

#[derive(Serialize)]
struct EditLine<'a> {
    path: String,
    start: Position,
    end: Position,
    text: &'a str,
}

#[derive(Serialize)]
struct RelatedLine<'a> {
    path: String,
    start: Position,
    end: Position,
    message: &'a str,
}

#[derive(Serialize)]
struct QueriesLine<'a> {
    before: &'a str,
    after: &'a str,
}

/// Write `findings`.
pub fn write(out: &mut dyn Write, findings: &Findings, with_withheld: bool) -> io::Result<()> {
    for (finding, fingerprint) in findings.shown(with_withheld) {
        serde_json::to_writer(&mut *out, &line(findings, finding, fingerprint))?;
        writeln!(out)?;
    }
    Ok(())
}

/// Write `findings` as one document: what jsonl writes, in a list.
pub fn write_document(out: &mut dyn Write, findings: &Findings, with_withheld: bool) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        tool: &'a str,
        findings: Vec<Line<'a>>,
    }
    let shown = findings.shown(with_withheld);
    let document = Document {
        version: 1,
        tool: crate::TOOL,
        findings: shown.map(|(finding, fingerprint)| line(findings, finding, fingerprint)).collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn line<'a>(findings: &Findings, finding: &'a Finding, fingerprint: &'a str) -> Line<'a> {
    let position = |file: FileId, offset: u32| {
        let LineColumn { line, column } = findings.line_column(file, offset);
        let offset = findings.source(file).map_or(0, |source| source.original_offset(offset));
        Position { line, column, offset }
    };
    let ends = |file: FileId, span: Span| (position(file, span.start), position(file, span.end));
    let (start, end) = ends(finding.site.file, finding.site.span);
    let hazards = finding.hazards.iter().map(|hazard| HazardLine {
        kind: hazard.kind.name(),
        message: hazard.message(),
        path: hazard.site.map(|site| findings.path(site.file)),
        line: hazard.site.map(|site| position(site.file, site.span.start).line),
    });
    let edits = edits_of(finding).iter().map(|edit| {
        let (start, end) = ends(edit.file, edit.edit.span);
        EditLine { path: findings.path(edit.file), start, end, text: &edit.edit.text }
    });
    let related = finding.related.iter().map(|related| {
        let (start, end) = ends(related.site.file, related.site.span);
        RelatedLine { path: findings.path(related.site.file), start, end, message: &related.message }
    });
    Line {
        codemod: finding.codemod,
        path: findings.path(finding.site.file),
        start,
        end,
        message: &finding.message,
        outcome: finding.outcome().name(),
        hazards: hazards.collect(),
        unlisted: finding.unlisted,
        edits: edits.collect(),
        related: related.collect(),
        queries: QueriesLine { before: &finding.queries.before, after: &finding.queries.after },
        fingerprint,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn rendered() {
        let text = samples::rendered(|out, findings| write(out, findings, true).unwrap());
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        insta::with_settings!({ snapshot_path => "../../snapshots" }, { insta::assert_snapshot!(text) });
    }

    #[test]
    fn a_document_holds_the_lines() {
        let text = samples::rendered(|out, findings| write(out, findings, true).unwrap());
        let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let text = samples::rendered(|out, findings| write_document(out, findings, true).unwrap());
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["version"], 1);
        assert_eq!(document["findings"], serde_json::Value::Array(lines));
    }
}
