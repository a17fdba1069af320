//! Logical lines: the rule of Python that the grammar does not hold.
//!
//! A newline ends a statement unless it stands in brackets, in a string, or after a backslash
//! (<https://docs.python.org/3/reference/lexical_analysis.html#line-structure>). tree-sitter-python accepts one in the
//! middle of an expression, which CPython does not parse.

use super::{Kind, Node};

/// Where a statement is broken by a newline that would end it: the byte offset of the first such newline.
pub fn loose_newline(root: Node<'_>) -> Option<usize> {
    let text = root.text();
    let base = root.span().start as usize;
    // Strings and comments, by where they begin; they do not overlap but for strings inside of f-strings.
    let mut quiet: Vec<(usize, usize)> = Vec::new();
    let mut lines: Vec<(usize, usize)> = Vec::new();
    for node in root.descendants() {
        let (start, end) = (node.span().start as usize, node.span().end as usize);
        match node.kind() {
            Kind::Str | Kind::Comment if quiet.last().is_none_or(|(_, last)| start >= *last) => {
                quiet.push((start, end));
            }
            Kind::Decorator => lines.push((start, end)),
            kind if is_header(kind) => lines.extend(header(node, text, base)),
            kind if kind.is_statement() => lines.push((start, end)),
            _ => {}
        }
    }
    lines.into_iter().find_map(|(start, end)| {
        let from = quiet.partition_point(|(_, quiet_end)| *quiet_end <= start);
        broken(text.get(start - base..end - base)?, start, quiet.get(from..).unwrap_or(&[]))
    })
}

/// How many strings inside of f-strings are written with the quotes that these are in: Python before 3.12 ends the f-string
/// there (PEP 701), tree-sitter-python does not.
pub fn reused_quotes(root: Node<'_>) -> usize {
    let quote = |string: Node<'_>| {
        let start = string.child_of_kind(Kind::StrStart)?.text();
        let quote = start.chars().last()?;
        Some((quote, start.ends_with("\"\"\"") || start.ends_with("'''")))
    };
    let is_reused = |string: &Node<'_>| {
        let Some((own, is_long)) = quote(*string) else { return false };
        let mut inside = false;
        string.ancestors().take_while(|n| !n.kind().is_statement()).any(|around| {
            inside |= around.kind() == Kind::Interpolation;
            // Three quotes around hold one, but not three.
            inside
                && around.kind() == Kind::Str
                && quote(around).is_some_and(|(q, l)| q == own && (is_long || !l))
        })
    };
    root.descendants().filter(|n| n.kind() == Kind::Str).filter(is_reused).count()
}

/// What has a line of its own before a block.
fn is_header(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::If
            | Kind::Elif
            | Kind::Else
            | Kind::Match
            | Kind::MatchCase
            | Kind::For
            | Kind::While
            | Kind::Try
            | Kind::ExceptHandler
            | Kind::Finally
            | Kind::With
            | Kind::FunctionDef
            | Kind::ClassDef
            | Kind::DecoratedDef
    )
}

/// From the keyword to the colon before the block.
fn header(node: Node<'_>, text: &str, base: usize) -> Option<(usize, usize)> {
    let start = node.span().start as usize;
    let block = node.children().find(|c| c.kind() == Kind::Block)?;
    // Comments between the colon and the block may have colons of their own.
    let parts = node.children().take_while(|c| *c != block).filter(|c| c.kind() != Kind::Comment);
    let from = parts.map(|c| c.span().end as usize).max().unwrap_or(start);
    let rest = text.get(from - base..(block.span().start as usize).checked_sub(base)?)?;
    Some((start, from + rest.find(':')?))
}

/// The first newline of a logical line at `start` that no bracket, string or backslash covers.
fn broken(line: &str, start: usize, quiet: &[(usize, usize)]) -> Option<usize> {
    let mut depth = 0usize;
    let mut quiet = quiet.iter().peekable();
    let mut escaped = false;
    let mut skip_to = 0;
    for (i, byte) in line.bytes().enumerate() {
        let at = start + i;
        if at < skip_to {
            continue;
        }
        if let Some((_, end)) = quiet.next_if(|(from, _)| *from <= at) {
            skip_to = *end;
            escaped = false;
            if at < skip_to {
                continue;
            }
        }
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'\n' | b'\r' if depth == 0 && !escaped => return Some(at),
            _ => {}
        }
        // A backslash covers the line break that follows, of one byte or two.
        escaped = byte == b'\\' || (escaped && byte == b'\r');
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::parse;

    fn at(text: &str) -> Option<usize> {
        let ast = parse(text);
        let root = ast.root(text);
        assert!(!root.has_error(), "the grammar is expected to accept {text:?}");
        loose_newline(root)
    }

    #[test]
    fn quotes_of_an_f_string_inside_of_it() {
        let count = |text: &str| reused_quotes(parse(text).root(text));
        assert_eq!(count("x = f'{a[\"b\"]} {c}' + f\"{d['e']}\" + f'''{a['b']}'''\n"), 0);
        assert_eq!(count("x = f'{a['b']} {c}'\n"), 1);
        assert_eq!(count("x = f\"{a[\"b\"]:>{w[\"c\"]}}\"\n"), 2);
    }

    #[test]
    fn a_newline_in_the_middle_of_a_condition() {
        assert_eq!(at("if (a\n    and b):\n    x = 1\n"), None);
        assert_eq!(at("if a \\\n    and b:\n    x = 1\n"), None);
        assert_eq!(at("if a \\\r\n    and b:\r\n    x = 1\r\n"), None);
        assert_eq!(at("if a\n    and b:\n    x = 1\n"), Some(4));
        assert_eq!(at("if c:\n    pass\nelif a\n    and b:\n    x = 1\n"), Some(21));
        assert_eq!(at("def f():\n    while a\n            or b:\n        x = 1\n"), Some(20));
    }

    #[test]
    fn blocks_strings_comments_and_brackets_are_no_breaks() {
        for text in [
            "x = '''a\nb'''\ny = [\n    1,\n]\n",
            "x = f'''{a[\n0]}\n'''\n",
            "@wrap(\n    1\n)\ndef f(\n    a,\n):  # a: b\n    # (\n    return a\n",
            "if a:  # x: (\n    b\nelif c:\n    d\nelse:\n    e\n",
            "if a:\n    # one: two\n    # three\n    b\nelif c:\n    # d: e\n    f\nelse:\n    # g: h\n    i\n",
            "for x in y:\n    # one: two\n    b\nwhile lambda: a:\n    # c: d\n    e\nclass A:\n    # b: c\n    d = 1\n",
            "def f(a: int) -> int:\n    # one: two\n    return a\nwith a as b:\n    # c: d\n    pass\n",
            "try:\n    a\nexcept E as e:\n    b\nfinally:\n    c\n",
            "with a as b, c as d:\n    pass\nfor x in y: z\nclass A(\n    B,\n): pass\n",
            "x = (  # one )\n    1\n)\n",
            "match a:\n    case [\n        1,\n        2,\n    ]:\n        b\n    case _:\n        c\n",
            "a = 1; b = 2\n\n\nc = {\n    'a': 1,\n}\n",
            "x: dict[\n    str, int\n] = {}\nlambda: (\n    1\n)\n",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }
}
