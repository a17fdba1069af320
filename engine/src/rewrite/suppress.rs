//! `# ormend: ignore[name, ...]` on the line of a finding or above its statement, `# ormend: ignore-file`.

use super::Warning;
use crate::codemod::{Finding, Options, Rule};
use crate::python::{File, Kind, Node};
use crate::text::Source;

/// The suppression comments of one file.
pub(super) struct Suppressions {
    /// The line of `# ormend: ignore-file`, if that stands somewhere.
    pub whole_file: Option<u32>,
    comments: Vec<Suppression>,
    /// Lines of comments for ormend that say something else.
    unknown: Vec<u32>,
}

struct Suppression {
    /// 1-based.
    line: u32,
    /// The lines that it speaks of: the statement on its line or, for a comment alone on its line, below. Of a compound
    /// statement the header.
    first: u32,
    last: u32,
    /// Empty for all codemods.
    names: Vec<String>,
}

/// Which codemods were run over a file: of the others nobody knows whether there is anything to suppress.
pub(super) struct Ran<'a> {
    rules: Vec<&'static str>,
    options: &'a Options,
}

impl<'a> Ran<'a> {
    pub fn new(rules: impl Iterator<Item = &'a &'a dyn Rule>, options: &'a Options) -> Ran<'a> {
        Ran { rules: rules.map(|rule| rule.meta().name).collect(), options }
    }

    /// Whether a suppression of all of them can be called unused.
    fn is_all(&self) -> bool {
        self.options.codemods.iter().all(|(name, is_default)| !is_default || self.rules.contains(name))
    }

    fn is_known(&self, name: &str) -> bool {
        self.options.codemods.is_empty() || self.options.codemods.iter().any(|(known, _)| *known == name)
    }
}

impl Suppressions {
    pub fn of(file: &File) -> Suppressions {
        let mut out = Suppressions { whole_file: None, comments: Vec::new(), unknown: Vec::new() };
        if file.ast.is_empty() || !file.source.mentions("ormend:") {
            return out;
        }
        let line = |offset| file.source.line_column(offset).line;
        for node in file.root().descendants().filter(|n| n.kind() == Kind::Comment) {
            // `# noqa: E501  # ormend: ignore[exists]`
            let directives = node.text().split('#').filter_map(|part| part.trim().strip_prefix("ormend:"));
            for directive in directives.map(str::trim) {
                let at = line(node.span().start);
                let Some(rest) = directive.strip_prefix("ignore") else {
                    out.unknown.push(at);
                    continue;
                };
                if rest.starts_with("-file") {
                    out.whole_file = out.whole_file.or(Some(at));
                    continue;
                }
                let names = match rest.trim_start().strip_prefix('[').and_then(|r| r.split_once(']')) {
                    Some((names, _)) => names.split(',').map(|n| n.trim().to_owned()).collect(),
                    None => Vec::new(),
                };
                let (first, last) = speaks_of(file, node, &line);
                out.comments.push(Suppression { line: at, first, last, names });
            }
        }
        out
    }

    /// The findings that are not suppressed, and a warning for every suppression without effect.
    pub fn filter(
        self,
        findings: Vec<Finding>,
        source: &Source,
        ran: &Ran<'_>,
    ) -> (Vec<Finding>, Vec<Warning>) {
        let warning = |line: u32, message: String| Warning {
            path: source.path().to_owned(),
            line: Some(line),
            message,
        };
        let unknown =
            "this comment is for ormend, which only knows `ignore`, `ignore[NAME]` and `ignore-file`";
        let mut warnings: Vec<Warning> =
            self.unknown.iter().map(|line| warning(*line, unknown.to_owned())).collect();
        if let Some(line) = self.whole_file {
            if findings.is_empty() && ran.is_all() {
                warnings.push(warning(line, "there is nothing in this file to ignore".to_owned()));
            }
            return (Vec::new(), warnings);
        }
        let mut used: Vec<Vec<bool>> =
            self.comments.iter().map(|comment| vec![false; comment.names.len().max(1)]).collect();
        let mut kept = Vec::new();
        for finding in findings {
            let start = source.line_column(finding.site.span.start).line;
            let end = source.line_column(finding.site.span.end).line;
            let mut is_suppressed = false;
            for (comment, used) in self.comments.iter().zip(&mut used) {
                // A comment beside any line of the statement speaks of it; one above, of its header.
                if comment.first > end || comment.last < start {
                    continue;
                }
                let which = match comment.names.is_empty() {
                    true => Some(0),
                    false => comment.names.iter().position(|name| name == finding.codemod),
                };
                if let Some(used) = which.and_then(|index| used.get_mut(index)) {
                    *used = true;
                    is_suppressed = true;
                }
            }
            if !is_suppressed {
                kept.push(finding);
            }
        }
        for (comment, used) in self.comments.iter().zip(used) {
            if comment.names.is_empty() {
                if used != [true] && ran.is_all() {
                    warnings.push(warning(comment.line, "this suppression suppresses nothing".to_owned()));
                }
                continue;
            }
            for (name, _) in comment.names.iter().zip(used).filter(|(_, used)| !used) {
                if !ran.is_known(name) {
                    warnings.push(warning(comment.line, format!("there is no codemod `{name}` to suppress")));
                } else if ran.rules.contains(&name.as_str()) {
                    let message = format!("this suppression of `{name}` suppresses nothing");
                    warnings.push(warning(comment.line, message));
                }
            }
        }
        (kept, warnings)
    }
}

/// The lines that the comment `node` speaks of.
fn speaks_of(file: &File, node: Node<'_>, line: &dyn Fn(u32) -> u32) -> (u32, u32) {
    let at = line(node.span().start);
    let lines = |header: crate::text::Span| (line(header.start), line(header.end));
    let is_alone = file.source.line_text(at as usize - 1).trim_start().starts_with('#');
    let mut statements = file.root().descendants().filter(|n| n.kind().is_statement()).map(Node::header);
    if !is_alone {
        let around: Vec<(u32, u32)> = statements.map(lines).filter(|(a, b)| *a <= at && at <= *b).collect();
        let first = around.iter().map(|(a, _)| *a).min().unwrap_or(at);
        let last = around.iter().map(|(_, b)| *b).max().unwrap_or(at);
        return (first, last);
    }
    // Other comments may stand between.
    let is_comment = |line: u32| file.source.line_text(line as usize - 1).trim_start().starts_with('#');
    let mut below = at + 1;
    while (below as usize) <= file.source.line_count() && is_comment(below) {
        below += 1;
    }
    let statement = statements.find(|header| header.start > node.span().start).map(lines);
    statement.filter(|(first, _)| *first == below).unwrap_or((below, below))
}
