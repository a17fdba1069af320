//! The comment that suppresses a finding, put where [`suppress`](super::suppress) reads it.

use crate::django::Project;
use crate::python::{File, Kind, Node};
use crate::text::{Edit, Source, Span};

/// The edit that suppresses what `codemod` finds at `span` of the file at `path`: a comment above the statement, or at the end of
/// the line where none can stand above it. Nothing where neither can stand.
pub fn suppression(project: &Project, path: &str, span: Span, codemod: &str) -> Option<Edit> {
    let program = project.program();
    let file = program.file(program.file_at(path)?);
    if file.ast.is_empty() {
        return None;
    }
    above(file, span, codemod).or_else(|| beside(file, span, codemod))
}

fn above(file: &File, span: Span, codemod: &str) -> Option<Edit> {
    let source = &*file.source;
    let inner = file.root().descendants().filter(|node| holds(*node, span.start)).last()?;
    // The header of the statement around is what a comment above speaks of; what stands behind a `;` or a `:` has no line of
    // its own.
    let statement = inner.statement().filter(|statement| holds_header(*statement, span.start))?;
    let line = source.line_index(statement.span().start);
    let start = source.line_start(line);
    let indent = source.slice(Span::new(start, statement.span().start));
    if !indent.trim_start_matches([' ', '\t', '\x0c']).is_empty() {
        return None;
    }
    if let Some(edit) = line.checked_sub(1).and_then(|before| extended(source, before, codemod)) {
        return Some(edit);
    }
    let newline = source.newline().as_str();
    Some(Edit::insert(start, format!("{indent}# ormend: ignore[{codemod}]{newline}")))
}

/// The comment alone on the 0-based line `line` with one more name, if it suppresses something by name.
fn extended(source: &Source, line: usize, codemod: &str) -> Option<Edit> {
    const START: &str = "ormend: ignore[";
    let text = source.line_text(line);
    if !text.trim_start().starts_with('#') {
        return None;
    }
    let names = text.find(START)? + START.len();
    let end = names + text.get(names..)?.find(']')?;
    let at = source.line_start(line) + u32::try_from(end).ok()?;
    let separator = if text.get(names..end)?.trim().is_empty() { "" } else { ", " };
    Some(Edit::insert(at, format!("{separator}{codemod}")))
}

fn beside(file: &File, span: Span, codemod: &str) -> Option<Edit> {
    let source = &*file.source;
    let line = source.line_index(span.start);
    let text = source.line_text(line);
    let end = source.line_start(line) + u32::try_from(text.len()).ok()?;
    // What is no end of a line of code: in a string, before a continuation.
    let is_text =
        |node: Node<'_>| node.kind() == Kind::Str && node.span().start < end && end < node.span().end;
    if text.ends_with('\\') || file.root().descendants().any(is_text) {
        return None;
    }
    Some(Edit::insert(end, format!("  # ormend: ignore[{codemod}]")))
}

fn holds(node: Node<'_>, offset: u32) -> bool {
    node.span().start <= offset && offset < node.span().end
}

fn holds_header(statement: Node<'_>, offset: u32) -> bool {
    let header = statement.header();
    header.start <= offset && offset < header.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::apply;

    /// `text` with what `|` stands before suppressed.
    fn suppressed(text: &str) -> Option<String> {
        let at = text.find('|').unwrap() as u32;
        let text = text.replace('|', "");
        let project = Project::build(vec![Source::new("a.py", text.as_bytes().to_vec())]);
        let edit = suppression(&project, "a.py", Span::new(at, at + 1), "exists")?;
        apply(&text, &[edit])
    }

    #[test]
    fn a_comment_stands_above_the_statement() {
        for (before, after) in [
            ("if a:\n    x = |b\n", "if a:\n    # ormend: ignore[exists]\n    x = b\n"),
            ("x = (\r\n\t|b\r\n)\r\n", "# ormend: ignore[exists]\r\nx = (\r\n\tb\r\n)\r\n"),
            ("@d(|b)\ndef f(): pass\n", "# ormend: ignore[exists]\n@d(b)\ndef f(): pass\n"),
            ("for x in |b:\n    pass\n", "# ormend: ignore[exists]\nfor x in b:\n    pass\n"),
        ] {
            assert_eq!(suppressed(before).as_deref(), Some(after), "{before}");
        }
    }

    #[test]
    fn a_comment_that_is_there_gets_one_more_name() {
        assert_eq!(
            suppressed("# ormend: ignore[sum, len]  # why\nx = |b\n").as_deref(),
            Some("# ormend: ignore[sum, len, exists]  # why\nx = b\n")
        );
        assert_eq!(
            suppressed("y = 1  # ormend: ignore[sum]\nx = |b\n").as_deref(),
            Some("y = 1  # ormend: ignore[sum]\n# ormend: ignore[exists]\nx = b\n")
        );
    }

    #[test]
    fn where_nothing_can_stand_above_it_stands_beside() {
        for (before, after) in [
            (
                "if a:\n    pass\nelif |b:\n    pass\n",
                "if a:\n    pass\nelif b:  # ormend: ignore[exists]\n    pass\n",
            ),
            ("if a: x = |b  # c\n", "if a: x = b  # c  # ormend: ignore[exists]\n"),
            ("x; |b\n", "x; b  # ormend: ignore[exists]\n"),
        ] {
            assert_eq!(suppressed(before).as_deref(), Some(after), "{before}");
        }
        assert_eq!(suppressed("x; y = |b + '''\n'''\n"), None);
        assert_eq!(suppressed("x; y = |b + \\\n 1\n"), None);
    }
}
