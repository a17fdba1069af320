//! Calls and blocks, laid out as black would.

use crate::python::{Expr, Field, File, Kind, Node};
use crate::text::{Edit, Span};

/// The edits that append `.method(arguments)` to the call chain `chain`: on a line of its own where the chain is written
/// one call a line. A line that becomes too long is left to [`fit`](super::fit).
pub fn append_call(
    file: &File,
    chain: Node<'_>,
    method: &str,
    arguments: &[String],
    line_length: usize,
) -> Vec<Edit> {
    append_calls(file, chain, &[(method, arguments.to_vec())], line_length)
}

/// The edits that append several calls, each as [`append_call`] does.
pub fn append_calls(
    file: &File,
    chain: Node<'_>,
    calls: &[(&str, Vec<String>)],
    line_length: usize,
) -> Vec<Edit> {
    let chain = chain.peel();
    let calls = calls.iter().map(|(method, arguments)| format!(".{method}({})", arguments.join(", ")));
    let calls: Vec<String> = calls.collect();
    let addition = calls.concat();
    let end = chain.span().end;
    let newline = newline(file);
    if let Some(lead) = own_line_of_last_link(file, chain) {
        // A comment behind the last call belongs to that call.
        let line = file.source.line_index(end);
        let line_end = file.source.line_start(line) + file.source.line_text(line).len() as u32;
        let rest = file.source.slice(Span::new(end, line_end));
        let at = if rest.trim_start().starts_with('#') { line_end } else { end };
        let lines: String = calls.iter().map(|call| format!("{newline}{lead}{call}")).collect();
        return vec![Edit::insert(at, lines)];
    }
    let plain = vec![Edit::insert(end, addition.clone())];
    if chain.text().contains('\n') {
        // Black breaks inside the last call only while the chain is short.
        return split_chain(file, chain, &addition, line_length).unwrap_or(plain);
    }
    plain
}

fn newline(file: &File) -> &'static str {
    file.source.newline().as_str()
}

/// The white space before the dot of the chain's last call, where that dot starts a line.
fn own_line_of_last_link<'a>(file: &'a File, chain: Node<'a>) -> Option<&'a str> {
    let attribute = match Expr::of(chain) {
        Expr::Call { func, .. } => func.peel(),
        _ => chain,
    };
    let Expr::Attribute { value, attr_node, .. } = Expr::of(attribute) else { return None };
    let between = file.source.slice(Span::new(value.with_parens().span().end, attr_node.span().start));
    // After a backslash a line of its own would need another one.
    if !between.contains('\n') || between.contains('\\') {
        return None;
    }
    let line = file.source.line_index(attr_node.span().start);
    let text = file.source.line_text(line);
    text.get(..text.len() - text.trim_start().len())
}

/// A chain with two or more links behind its first call as black splits it when it does not fit: in parentheses, a call
/// a line. What black had wrapped in its arguments is joined again.
fn split_chain(file: &File, chain: Node<'_>, addition: &str, line_length: usize) -> Option<Vec<Edit>> {
    let links = links(chain)?;
    let first = links.iter().position(|(_, is_call)| *is_call)?;
    let dots: Vec<u32> = links.get(first + 1..)?.iter().map(|(dot, _)| *dot).collect();
    let continued = chain.descendants().any(|n| n.kind() == Kind::LineContinuation);
    if dots.is_empty() || continued || !fills_statement(chain) {
        return None;
    }
    let indent = indentation(file, chain);
    let newline = newline(file);
    let inner = format!("{indent}{}", file.source.indent_unit());
    let mut lines = Vec::new();
    let mut start = chain.span().start;
    for end in dots.into_iter().chain([chain.span().end]) {
        lines.push(joined(chain, Span::new(start, end))?);
        start = end;
    }
    lines.push(addition.to_owned());
    if lines.iter().any(|line| inner.chars().count() + line.chars().count() > line_length) {
        return None;
    }
    let mut text = String::from("(");
    for line in lines {
        text.push_str(newline);
        text.push_str(&inner);
        text.push_str(&line);
    }
    text.push_str(newline);
    text.push_str(indent);
    text.push(')');
    Some(vec![Edit::replace(chain.with_parens().span(), text)])
}

/// Whether `chain` is the last thing of a statement that black may put in parentheses: what is assigned, returned or
/// iterated.
fn fills_statement(chain: Node<'_>) -> bool {
    let whole = chain.with_parens();
    whole.parent().is_some_and(|p| {
        matches!(p.kind(), Kind::Assign | Kind::Return | Kind::For | Kind::ExprStatement)
            && whole.field() != Field::Left
    })
}

/// The text of an expression on one line: line breaks inside brackets are taken out. `None` where a comment, a string of
/// several lines or a trailing comma stands in the way.
pub fn on_one_line(node: Node<'_>) -> Option<String> {
    joined(node, node.span())
}

/// The text of `span` inside `chain` on one line: line breaks inside brackets are taken out. `None` where a comment, a
/// string of several lines or a trailing comma, which keeps black from joining, stands in the way.
fn joined(chain: Node<'_>, span: Span) -> Option<String> {
    let text = chain.file_text().get(span.range())?.trim();
    if !text.contains('\n') {
        return Some(text.to_owned());
    }
    let obstacle = chain
        .descendants()
        .filter(|n| span.contains(n.span()))
        .any(|n| n.kind() == Kind::Comment || (n.kind() == Kind::Str && n.text().contains('\n')));
    if obstacle {
        return None;
    }
    let mut out = String::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with([')', ']', '}']) && out.ends_with(',') {
            return None;
        }
        let glued =
            out.is_empty() || out.ends_with(['(', '[', '{']) || line.starts_with([')', ']', '}', '.']);
        if !glued {
            out.push(' ');
        }
        out.push_str(line);
    }
    Some(out)
}

/// The dots of a chain, left to right, each with whether a call follows.
fn links(chain: Node<'_>) -> Option<Vec<(u32, bool)>> {
    let mut out = Vec::new();
    let mut node = chain.peel();
    let mut is_call = false;
    loop {
        match Expr::of(node) {
            Expr::Call { func, .. } => {
                is_call = true;
                node = func.peel();
            }
            Expr::Attribute { value, attr_node, .. } => {
                let value = value.with_parens();
                let between =
                    node.file_text().get(value.span().end as usize..attr_node.span().start as usize)?;
                let dot = value.span().end + between.find('.')? as u32;
                out.push((dot, is_call));
                is_call = false;
                node = value.peel();
            }
            Expr::Subscript { value, .. } => node = value.peel(),
            Expr::Name(_) => break,
            _ => return None,
        }
    }
    out.reverse();
    Some(out)
}

/// `prefix` + `callee(arguments)` + `suffix` as a statement at `indent`, on one line if it fits, otherwise as black wraps
/// it. The result has no indentation on its first line and no final newline; lines are separated by LF.
pub fn call(
    indent: &str,
    unit: &str,
    prefix: &str,
    callee: &str,
    arguments: &[String],
    suffix: &str,
    line_length: usize,
) -> String {
    let width = |text: &str| indent.chars().count() + text.chars().count();
    let one = format!("{prefix}{callee}({}){suffix}", arguments.join(", "));
    let multiline = one.contains('\n');
    if !multiline && width(&one) <= line_length {
        return one;
    }
    let inner = format!("{indent}{unit}");
    let joined = arguments.join(", ");
    if !joined.contains('\n') && inner.chars().count() + joined.chars().count() <= line_length {
        return format!("{prefix}{callee}(\n{inner}{joined}\n{indent}){suffix}");
    }
    let refs: Vec<&str> = arguments.iter().map(String::as_str).collect();
    wrapped_list(indent, unit, &format!("{prefix}{callee}("), &refs, &format!("){suffix}"), "\n")
}

/// `open`, one item a line with a trailing comma, `close`.
pub(super) fn wrapped_list(
    indent: &str,
    unit: &str,
    open: &str,
    items: &[&str],
    close: &str,
    newline: &str,
) -> String {
    let mut out = String::from(open);
    for item in items {
        out.push_str(newline);
        out.push_str(indent);
        out.push_str(unit);
        out.push_str(item);
        // Nothing may follow `**kwargs` in Python 2 only; a generator argument takes no comma.
        out.push(',');
    }
    out.push_str(newline);
    out.push_str(indent);
    out.push_str(close);
    out
}

/// The white space before the statement that holds `node`.
pub fn indentation<'a>(file: &'a File, node: Node<'a>) -> &'a str {
    let line = file.source.line_index(node.statement().unwrap_or(node).span().start);
    let text = file.source.line_text(line);
    text.get(..text.len() - text.trim_start().len()).unwrap_or("")
}

/// The text of `span`, whole lines of statements at indentation `from`, at indentation `to` instead. Lines inside
/// multi-line strings stay as they are. The first line counts as starting at the span's start.
pub fn reindent(file: &File, span: Span, from: &str, to: &str) -> String {
    let inside_string = |offset: u32| {
        file.root()
            .descendants()
            .any(|n| n.kind() == Kind::Str && n.span().start < offset && offset < n.span().end)
    };
    let text = file.source.slice(span);
    let mut out = String::with_capacity(text.len() + 16);
    let mut offset = span.start;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        if i == 0 || inside_string(offset) {
            out.push_str(line);
        } else if line.trim().is_empty() {
            out.push_str(line.trim_start_matches([' ', '\t']));
        } else if let Some(rest) = line.strip_prefix(from) {
            out.push_str(to);
            out.push_str(rest);
        } else {
            out.push_str(line);
        }
        offset += line.len() as u32;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::{Program, insert_imports};
    use crate::text::{FileId, Source, apply};

    fn with_file<T>(text: &str, check: impl FnOnce(&File) -> T) -> T {
        let program = Program::build(vec![Source::new("shop/code.py", text.as_bytes().to_vec())]);
        check(program.file(FileId(0)))
    }

    fn appended(text: &str, chain: &str) -> String {
        with_file(text, |file| {
            let node = file
                .root()
                .descendants()
                .filter(|n| matches!(n.kind(), Kind::Call | Kind::Attribute | Kind::Name))
                .find(|n| n.text().replace(['\n', ' '], "") == chain)
                .unwrap();
            let edits = append_call(file, node, "select_related", &["\"author\"".to_owned()], 88);
            apply(text, &super::super::fit(file, edits, 88)).unwrap()
        })
    }

    #[test]
    fn chains_keep_their_form() {
        assert_eq!(
            appended("x = A.objects.all()\n", "A.objects.all()"),
            "x = A.objects.all().select_related(\"author\")\n"
        );
        assert_eq!(
            appended("x = (\n    A.objects\n    .all()\n)\n", "A.objects.all()"),
            "x = (\n    A.objects\n    .all()\n    .select_related(\"author\")\n)\n"
        );
    }

    #[test]
    fn long_chains_are_split_as_black_splits_them() {
        let long = "    books_of_the_house = Book.objects.filter(status=\"published\").order_by(\"title\", \"pk\")\n";
        let text = format!("def f():\n{long}");
        assert_eq!(
            appended(&text, "Book.objects.filter(status=\"published\").order_by(\"title\",\"pk\")"),
            "def f():\n    books_of_the_house = (\n        Book.objects.filter(status=\"published\")\n        .order_by(\"title\", \"pk\")\n        .select_related(\"author\")\n    )\n"
        );
    }

    fn imported(text: &str, requests: &[(&str, &str)]) -> String {
        with_file(text, |file| {
            apply(text, &insert_imports(file, requests, &|package| package == "shop")).unwrap()
        })
    }

    #[test]
    fn imports_are_merged_and_placed() {
        let f = [("django.db.models", "F")];
        assert_eq!(
            imported("from django.db.models import Count, Q\n", &f),
            "from django.db.models import Count, F, Q\n"
        );
        assert_eq!(
            imported(
                "import os\n\nfrom django.db import models\n\nfrom shop.models import Book\n\nx = 1\n",
                &f
            ),
            "import os\n\nfrom django.db import models\nfrom django.db.models import F\n\nfrom shop.models import Book\n\nx = 1\n"
        );
        assert_eq!(
            imported("from shop.models import Book\n\n\ndef f():\n    pass\n", &f),
            "from django.db.models import F\n\nfrom shop.models import Book\n\n\ndef f():\n    pass\n"
        );
        assert_eq!(
            imported("\"\"\"Doc.\"\"\"\n\nx = 1\n", &f),
            "\"\"\"Doc.\"\"\"\n\nfrom django.db.models import F\n\nx = 1\n"
        );
        assert_eq!(
            imported("from django.db.models import (\n    Count,\n    Q,\n)\n", &f),
            "from django.db.models import (\n    Count,\n    F,\n    Q,\n)\n"
        );
        assert_eq!(
            imported("from .models import Book\n", &f),
            "from django.db.models import F\n\nfrom .models import Book\n"
        );
        assert_eq!(
            imported("import csv\n\nx = 1\n", &f),
            "import csv\n\nfrom django.db.models import F\n\nx = 1\n"
        );
    }

    #[test]
    fn calls_are_wrapped_as_black_wraps_them() {
        let arguments =
            ["[Author(name=name) for name in author_names]".to_owned(), "batch_size=500".to_owned()];
        assert_eq!(
            call("    ", "    ", "", "Author.objects.bulk_create", &arguments, "", 88),
            "Author.objects.bulk_create(\n        [Author(name=name) for name in author_names], batch_size=500\n    )"
        );
    }
}
