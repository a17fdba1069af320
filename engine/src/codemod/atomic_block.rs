//! `with transaction.atomic():` around statements that stand there already.

use super::{Context, Hazard, HazardKind, ImportRequest, Site};
use crate::python::emit::{ImportedName, end_of_line, import_name, indentation};
use crate::python::{Kind, Node};
use crate::text::{Edit, Span};

/// `transaction.atomic`, or as the file already calls it.
pub fn atomic_name<'a>(cx: &Context<'a>, at: Node<'a>) -> Result<(String, Option<ImportRequest>), Hazard> {
    let file = cx.project.program().file(cx.file);
    if let ImportedName::Bound(name) = import_name(file, at, "django.db.transaction", "atomic") {
        return Ok((name, None));
    }
    let request = |module: &str, name: &str| ImportRequest {
        file: cx.file,
        module: module.to_owned(),
        name: name.to_owned(),
    };
    match import_name(file, at, "django.db", "transaction") {
        ImportedName::Bound(name) => Ok((format!("{name}.atomic"), None)),
        ImportedName::Insert(name) => {
            Ok((format!("{name}.atomic"), Some(request("django.db", "transaction"))))
        }
        ImportedName::Shadowed(span) => match import_name(file, at, "django.db.transaction", "atomic") {
            ImportedName::Insert(name) => Ok((name, Some(request("django.db.transaction", "atomic")))),
            _ => Err(Hazard::at(HazardKind::ImportShadowed, "transaction", Site { file: cx.file, span })),
        },
    }
}

/// The edits that put `with call:` around whole lines of statements.
pub fn with_block<'a>(cx: &Context<'a>, statements: &[Node<'a>], call: &str) -> Result<Vec<Edit>, Hazard> {
    let (Some(first), Some(last)) = (statements.first(), statements.last()) else { return Ok(Vec::new()) };
    let file = cx.project.program().file(cx.file);
    let source = &file.source;
    let text = source.text();
    let indent = indentation(file, *first);
    let unit = source.indent_unit();
    let start = source.line_index(first.span().start);
    let end = source.line_index(last.span().end.saturating_sub(1));
    let alone = |at: &Node<'a>| {
        let line = source.line_index(at.span().start);
        source.slice(Span::new(source.line_start(line), at.span().start)).trim().is_empty()
    };
    let behind = source.slice(Span::new(last.span().end, end_of_line(text, last.span().end))).trim();
    if start == 0 || !statements.iter().all(alone) || !(behind.is_empty() || behind.starts_with('#')) {
        return Err(cx.hazard(HazardKind::SharesLine, "", *first));
    }
    // A comment right above speaks of what follows.
    let mut top = start;
    while top > 1 {
        let above = source.line_text(top - 1);
        if !above.trim_start().starts_with('#') || !above.starts_with(indent) || is_header(file, top - 1) {
            break;
        }
        top -= 1;
    }
    let line_end = end_of_line(text, source.line_start(top - 1));
    let mut edits = vec![Edit::insert(line_end, format!("\n{indent}with {call}:"))];
    let inside_string = |offset: u32| {
        statements
            .iter()
            .flat_map(|s| s.descendants())
            .any(|n| n.kind() == Kind::Str && n.span().start < offset && offset < n.span().end)
    };
    for line in top..=end {
        let offset = source.line_start(line);
        if source.line_text(line).trim().is_empty() || inside_string(offset) {
            continue;
        }
        edits.push(Edit::insert(offset, unit.to_owned()));
    }
    Ok(edits)
}

/// Comments that lie inside a string are no comments.
fn is_header(file: &crate::python::File, line: usize) -> bool {
    let offset = file.source.line_start(line);
    file.root()
        .descendants()
        .any(|n| n.kind() == Kind::Str && n.span().start <= offset && offset < n.span().end)
}
