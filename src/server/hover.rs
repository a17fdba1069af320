//! What is known of an expression: its model, what its rows are read with, and what it costs.

use super::actions::Asked;
use super::diagnostics::in_file;
use super::workspace::Workspace;
use crate::escape::escape_line;
use lsp_types::{Hover, HoverContents, MarkupContent, MarkupKind, Position};
use ormend_engine::rewrite::hover;

/// What is shown for the expression at `position`.
pub fn find(asked: &Asked, workspace: &mut Workspace, position: Position) -> Option<Hover> {
    let encoding = asked.client.abilities.encoding;
    let offset = asked.document.offset(position, encoding);
    let path = asked.looked.path.as_str();
    let known = workspace.ask(|analyzer| hover(analyzer, path, offset));
    // The innermost that speaks of this place.
    let report = &asked.looked.report;
    let finding = in_file(report, path)
        .map(|(finding, _)| finding)
        .filter(|finding| {
            let span = finding.site.span;
            span.start as usize <= offset && offset < span.end as usize
        })
        .min_by_key(|finding| finding.site.span.len());
    let mut lines = Vec::new();
    let mut span = None;
    if let Some(known) = &known {
        lines.push(format!("```python\n{}\n```", known.title));
        lines.extend(known.facts.iter().map(|fact| format!("- {fact}")));
        span = Some(known.span);
    }
    // Said of an expression that it is about, not of all that stands in a loop.
    if let Some(finding) = finding.filter(|finding| known.is_some() || finding.site.span.len() < 200) {
        let queries = &finding.queries;
        let said = format!("{}: {} -> {}", finding.codemod, queries.before, queries.after);
        lines.push(format!("- {}", escape_line(&said)));
        span = span.or(Some(finding.site.span));
    }
    let span = span.filter(|_| !lines.is_empty())?;
    let (kind, value) = match asked.client.abilities.markdown {
        true => (MarkupKind::Markdown, lines.join("\n")),
        false => {
            let plain = lines.iter().map(|line| line.replace("```python\n", "").replace("\n```", ""));
            (MarkupKind::PlainText, plain.collect::<Vec<_>>().join("\n"))
        }
    };
    Some(Hover {
        contents: HoverContents::Markup(MarkupContent { kind, value }),
        range: Some(asked.document.range(span.start as usize, span.end as usize, encoding)),
    })
}
