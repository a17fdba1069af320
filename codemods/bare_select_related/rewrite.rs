//! Names between the parentheses, or the call goes.

use super::find::Found;
use ormend_engine::codemod::eager::like_columns;
use ormend_engine::codemod::guards::taken_out::{keeps_comments, without_call};
use ormend_engine::codemod::{Context, Fix, Hazard};
use ormend_engine::python::emit::{quote_of, string_literal};
use ormend_engine::python::{File, Kind, Node};
use ormend_engine::text::Edit;

/// The edit.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Found<'a>) -> Result<Fix, Hazard> {
    let file = cx.project.program().file(cx.file);
    let Some(receiver) = found.receiver else {
        let body = found.node.ancestors().find(|n| n.kind() == Kind::Block).unwrap_or(found.node);
        let text = like_columns(body, &strings(file, &found.plan.names));
        return Ok(cx.fix(vec![Edit::replace(found.list.span(), text)]));
    };
    if !found.plan.names.is_empty() {
        keeps_comments(cx, found.list.span())?;
        let text = in_parentheses(cx, found.list, &strings(file, &found.plan.names).join(", "));
        return Ok(cx.fix(vec![Edit::replace(found.list.span(), text)]));
    }
    Ok(cx.fix(vec![without_call(cx, receiver, found.node)?]))
}

fn strings(file: &File, names: &[String]) -> Vec<String> {
    let quote = quote_of(file);
    names.iter().map(|n| string_literal(n, quote)).collect()
}

/// The names in parentheses; on a line of their own where the line would be too long and ends within other brackets, which
/// no splitting of the line looks into.
fn in_parentheses(cx: &Context<'_>, list: Node<'_>, names: &str) -> String {
    let file = cx.project.program().file(cx.file);
    let line = file.source.line_text(file.source.line_index(list.span().start)).trim_end();
    let is_open = line.ends_with(['(', '[', '{']);
    if !is_open || line.chars().count() + names.chars().count() <= cx.options.line_length {
        return format!("({names})");
    }
    let indent = line.get(..line.len() - line.trim_start().len()).unwrap_or("");
    format!("(\n{indent}{}{names}\n{indent})", file.source.indent_unit())
}
