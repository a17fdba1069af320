//! SARIF 2.1.0, as code scanning reads it: https://docs.oasis-open.org/sarif/sarif/v2.1.0/

use super::{Findings, edits_of};
use ormend_codemods::ALL;
use ormend_engine::codemod::{Finding, Outcome};
use ormend_engine::text::{FileId, Span};
use serde_json::{Value, json};
use std::io::{self, Write};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Write `findings`. Paths are relative to the working directory, which is to be the top of the repository.
pub fn write(out: &mut dyn Write, findings: &Findings, with_withheld: bool) -> io::Result<()> {
    let shown: Vec<_> = findings.shown(with_withheld).collect();
    let named: Vec<_> = ALL
        .iter()
        .map(|rule| rule.meta())
        .filter(|meta| shown.iter().any(|(finding, _)| finding.codemod == meta.name))
        .collect();
    let rules: Vec<Value> = named
        .iter()
        .map(|meta| {
            json!({
                "id": meta.name,
                "shortDescription": {"text": meta.summary},
                "help": {"text": meta.summary, "markdown": meta.docs},
            })
        })
        .collect();
    let results: Vec<Value> = shown
        .iter()
        .map(|(finding, fingerprint)| {
            let rule = named.iter().position(|meta| meta.name == finding.codemod);
            result(findings, finding, fingerprint, rule)
        })
        .collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "ormend",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)
}

fn result(findings: &Findings, finding: &Finding, fingerprint: &str, rule: Option<usize>) -> Value {
    let outcome = finding.outcome();
    let mut out = json!({
        "ruleId": finding.codemod,
        "level": if outcome == Outcome::Withheld { "note" } else { "warning" },
        "message": message(&findings.account(finding)),
        "locations": [{"physicalLocation": place(findings, finding.site.file, finding.site.span)}],
        "relatedLocations": finding.related.iter().map(|related| json!({
            "physicalLocation": place(findings, related.site.file, related.site.span),
            "message": message(&related.message),
        })).collect::<Vec<_>>(),
        "partialFingerprints": {"ormend/v1": fingerprint},
        "properties": {"outcome": outcome.name()},
    });
    let Some(fields) = out.as_object_mut() else { return out };
    if let Some(rule) = rule {
        fields.insert("ruleIndex".to_owned(), json!(rule));
    }
    let edits = edits_of(finding);
    if !edits.is_empty() {
        let mut files: Vec<FileId> = edits.iter().map(|edit| edit.file).collect();
        files.sort();
        files.dedup();
        let changes = files.iter().map(|file| {
            let own = edits.iter().filter(|edit| edit.file == *file).map(|edit| {
                json!({
                    "deletedRegion": region(findings, *file, edit.edit.span),
                    "insertedContent": {"text": edit.edit.text},
                })
            });
            json!({
                "artifactLocation": {"uri": uri(&findings.path(*file))},
                "replacements": own.collect::<Vec<_>>(),
            })
        });
        let fix = json!({
            "description": message(&finding.message),
            "artifactChanges": changes.collect::<Vec<_>>(),
        });
        fields.insert("fixes".to_owned(), json!([fix]));
    }
    out
}

/// A message without placeholders. In braces there would be one, so these are doubled, which the documentation of a codemod
/// is spared: viewers show it as it is.
fn message(text: &str) -> Value {
    json!({"text": text.replace('{', "{{").replace('}', "}}")})
}

fn place(findings: &Findings, file: FileId, span: Span) -> Value {
    json!({
        "artifactLocation": {"uri": uri(&findings.path(file))},
        "region": region(findings, file, span),
    })
}

/// Lines and columns are 1-based, and the end is exclusive, as ours.
fn region(findings: &Findings, file: FileId, span: Span) -> Value {
    let (start, end) = (findings.line_column(file, span.start), findings.line_column(file, span.end));
    json!({
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    })
}

/// A path as a relative reference of RFC 3986.
fn uri(path: &str) -> String {
    path.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(byte as char)
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn rendered() {
        let text = samples::rendered(|out, findings| write(out, findings, true).unwrap());
        let log: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let rules: Vec<_> =
            run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|r| &r["id"]).collect();
        assert_eq!(rules, ["select-related", "bulk-create"]);
        let first = &run["results"][0];
        assert_eq!((&first["ruleId"], &first["ruleIndex"]), (&json!("select-related"), &json!(0)));
        assert_eq!(
            first["message"]["text"],
            "Fetch `author` with `select_related` (1 + N queries -> 1 query)"
        );
        let place = &first["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "shop/views.py");
        assert_eq!(place["region"], json!({"startLine": 6, "startColumn": 5, "endLine": 7, "endColumn": 32}));
        let change = &first["fixes"][0]["artifactChanges"][0];
        let replaced = json!({
            "deletedRegion": {"startLine": 5, "startColumn": 31, "endLine": 5, "endColumn": 31},
            "insertedContent": {"text": ".select_related(\"author\")"},
        });
        assert_eq!(change["replacements"], json!([replaced]));
        assert_eq!(run["results"][2]["level"], "note");
        assert!(run["results"][2].get("fixes").is_none());
    }

    #[test]
    fn a_brace_starts_no_placeholder() {
        assert_eq!(message("keep `{0}`"), json!({"text": "keep `{{0}}`"}));
    }

    #[test]
    fn names_are_references() {
        assert_eq!(uri("shop/a b%\u{e9}.py"), "shop/a%20b%25%C3%A9.py");
    }
}
