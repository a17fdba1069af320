//! GitLab's code quality report: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format

use super::Findings;
use ormend_engine::codemod::Outcome;
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct Issue<'a> {
    description: String,
    check_name: &'a str,
    fingerprint: &'a str,
    severity: &'static str,
    location: Location,
}

#[derive(Serialize)]
struct Location {
    path: String,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: u32,
    end: u32,
}

/// Write `findings`.
pub fn write(out: &mut dyn Write, findings: &Findings, with_withheld: bool) -> io::Result<()> {
    let issues: Vec<Issue<'_>> = findings
        .shown(with_withheld)
        .map(|(finding, fingerprint)| {
            let line = |offset| findings.line_column(finding.site.file, offset).line;
            let outcome = finding.outcome();
            Issue {
                description: format!("{} [{}]", finding.message, outcome.name()),
                check_name: finding.codemod,
                fingerprint,
                severity: if outcome == Outcome::Withheld { "info" } else { "minor" },
                location: Location {
                    path: findings.path(finding.site.file),
                    lines: Lines { begin: line(finding.site.span.start), end: line(finding.site.span.end) },
                },
            }
        })
        .collect();
    serde_json::to_writer_pretty(&mut *out, &issues)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn rendered() {
        let text = samples::rendered(|out, findings| write(out, findings, true).unwrap());
        let issues: Value = serde_json::from_str(&text).unwrap();
        let all = issues.as_array().unwrap();
        assert_eq!(all.len(), 4);
        assert_eq!(all[0]["description"], "Fetch `author` with `select_related` [safe]");
        assert_eq!(all[0]["check_name"], "select-related");
        assert_eq!(all[0]["location"], json!({"path": "shop/views.py", "lines": {"begin": 6, "end": 7}}));
        let severities: Vec<&Value> = all.iter().map(|issue| &issue["severity"]).collect();
        assert_eq!(severities, ["minor", "minor", "info", "info"]);
        // GitLab drops issues of a fingerprint that it has seen.
        let mut prints: Vec<&str> = all.iter().map(|issue| issue["fingerprint"].as_str().unwrap()).collect();
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), 4);
    }
}
