//! Names between the parentheses, or the call goes.

use super::find::Found;
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind};
use ormend_engine::infer::{Type, is_queryset_method};
use ormend_engine::python::emit::{quote_of, string_literal};
use ormend_engine::python::{Expr, Kind, Node};
use ormend_engine::text::{Edit, Span};

/// The edit.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Found<'a>) -> Result<Fix, Hazard> {
    let file = cx.project.program().file(cx.file);
    if !found.plan.names.is_empty() {
        let quote = quote_of(file);
        let names: Vec<String> = found.plan.names.iter().map(|n| string_literal(n, quote)).collect();
        comments(cx, found.list.span())?;
        let text = in_parentheses(cx, found.list, &names.join(", "));
        return Ok(cx.fix(vec![Edit::replace(found.list.span(), text)]));
    }
    let span = Span::new(found.receiver.with_parens().span().end, found.node.span().end);
    comments(cx, span)?;
    if can_go(cx, found) {
        let span = Span::new(span.start, span.end + blanks_behind(cx, found));
        return Ok(cx.fix(vec![Edit::delete(span)]));
    }
    let Expr::Call { func, .. } = Expr::of(found.node) else { return Ok(Fix::default()) };
    let Expr::Attribute { attr_node, .. } = Expr::of(func) else { return Ok(Fix::default()) };
    let span = Span::new(attr_node.span().start, found.node.span().end);
    Ok(cx.fix(vec![Edit::replace(span, "all()".to_owned())]))
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

/// Whether what is left is a queryset that nobody else has.
fn can_go<'a>(cx: &Context<'a>, found: &Found<'a>) -> bool {
    match cx.type_of(found.receiver) {
        Type::Manager(_) => {
            found.after.first().is_some_and(|call| method(*call).is_some_and(is_queryset_method))
        }
        _ => {
            let receiver = found.receiver.peel();
            let Expr::Call { func, .. } = Expr::of(receiver) else { return false };
            let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return false };
            is_queryset_method(attr) && matches!(cx.type_of(value), Type::Manager(_) | Type::QuerySet(_))
        }
    }
}

fn method(call: Node<'_>) -> Option<&str> {
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    match Expr::of(func) {
        Expr::Attribute { attr, .. } => Some(attr),
        _ => None,
    }
}

/// The line break behind a call that goes, where the chain would begin with a name alone.
fn blanks_behind(cx: &Context<'_>, found: &Found<'_>) -> u32 {
    if matches!(Expr::of(found.receiver), Expr::Call { .. }) {
        return 0;
    }
    let Some(next) = found.node.parent().filter(|p| p.kind() == Kind::Attribute) else { return 0 };
    let Expr::Attribute { attr_node, .. } = Expr::of(next) else { return 0 };
    let rest = cx.source().slice(Span::new(found.node.span().end, attr_node.span().start));
    rest.strip_suffix('.').filter(|blanks| blanks.trim().is_empty()).map_or(0, |blanks| blanks.len() as u32)
}

fn comments(cx: &Context<'_>, span: Span) -> Result<(), Hazard> {
    let lost = cx.root().descendants().find(|n| n.kind() == Kind::Comment && span.contains(n.span()));
    lost.map_or(Ok(()), |comment| Err(cx.hazard(HazardKind::CommentLost, "", cx.node(comment.id()))))
}
