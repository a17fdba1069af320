//! `# ormend: ignore[name, ...]` on the line of a finding or the line above its statement, `# ormend: ignore-file`.

use super::Warning;
use crate::codemod::Finding;
use crate::python::{File, Kind};
use crate::text::Source;

/// The suppression comments of one file.
pub(super) struct Suppressions {
    /// `# ormend: ignore-file` stands somewhere.
    pub whole_file: bool,
    comments: Vec<Suppression>,
}

struct Suppression {
    /// 1-based.
    line: u32,
    /// The lines that it speaks of: its own, or that of the statement below.
    first: u32,
    last: u32,
    /// Empty for all codemods.
    names: Vec<String>,
}

impl Suppressions {
    pub fn of(file: &File) -> Suppressions {
        let mut out = Suppressions { whole_file: false, comments: Vec::new() };
        if file.ast.is_empty() || !file.source.text().contains("ormend:") {
            return out;
        }
        for node in file.root().descendants().filter(|n| n.kind() == Kind::Comment) {
            let text = node.text().trim_start_matches('#').trim();
            let Some(directive) = text.strip_prefix("ormend:").map(str::trim) else { continue };
            if directive.starts_with("ignore-file") {
                out.whole_file = true;
            } else if let Some(rest) = directive.strip_prefix("ignore") {
                let names = match rest.trim_start().strip_prefix('[').and_then(|r| r.split_once(']')) {
                    Some((names, _)) => names.split(',').map(|n| n.trim().to_owned()).collect(),
                    None => Vec::new(),
                };
                let line = file.source.line_column(node.span().start).line;
                let own_line = file.source.line_text(line as usize - 1).trim_start().starts_with('#');
                let (first, last) = if own_line { (line + 1, line + 1) } else { (line, line) };
                out.comments.push(Suppression { line, first, last, names });
            }
        }
        out
    }

    /// The findings that are not suppressed, and a warning for every suppression without effect.
    pub fn filter(self, findings: Vec<Finding>, source: &Source, path: &str) -> (Vec<Finding>, Vec<Warning>) {
        let mut used = vec![false; self.comments.len()];
        let mut kept = Vec::new();
        for finding in findings {
            let start = source.line_column(finding.site.span.start).line;
            let end = source.line_column(finding.site.span.end).line;
            let mut suppressed = false;
            for (comment, used) in self.comments.iter().zip(&mut used) {
                let names = comment.names.is_empty() || comment.names.iter().any(|n| n == finding.codemod);
                // A comment beside any line of the statement speaks of it; one above, of its first line.
                let near = comment.first <= end && comment.last >= start;
                if names && near {
                    *used = true;
                    suppressed = true;
                }
            }
            if !suppressed {
                kept.push(finding);
            }
        }
        let warnings = self
            .comments
            .iter()
            .zip(used)
            .filter(|(_, used)| !used)
            .map(|(comment, _)| Warning {
                path: path.to_owned(),
                line: Some(comment.line),
                message: "this suppression suppresses nothing".to_owned(),
            })
            .collect();
        (kept, warnings)
    }
}
