//! What goes with text that is taken out.

use super::queryset::calls_after;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Type, is_queryset_method};
use crate::python::{Expr, Kind, Node};
use crate::text::{Edit, Span};

/// No comment may go with what is taken out.
pub fn keeps_comments(cx: &Context<'_>, span: Span) -> Result<(), Hazard> {
    let lost = cx.root().descendants().find(|n| n.kind() == Kind::Comment && span.contains(n.span()));
    lost.map_or(Ok(()), |comment| Err(cx.hazard(HazardKind::CommentLost, "", cx.node(comment.id()))))
}

/// The edit that takes the call `receiver.method(...)` of a queryset's method out of its chain. What is left is a queryset
/// that nobody else has; where nothing would make it one, `all()` does.
pub fn without_call<'a>(cx: &Context<'a>, receiver: Node<'a>, call: Node<'a>) -> Result<Edit, Hazard> {
    let span = call_of_chain(cx, receiver, call);
    keeps_comments(cx, span)?;
    let is_chain_method = |call: Node<'a>| {
        called(call).is_some_and(|(owner, name)| {
            is_queryset_method(name) && matches!(cx.type_of(owner), Type::Manager(_) | Type::QuerySet(_))
        })
    };
    let goes = match cx.type_of(receiver) {
        Type::Manager(_) => calls_after(cx, call).first().is_some_and(|next| is_chain_method(*next)),
        _ => is_chain_method(receiver.peel()),
    };
    if goes {
        return Ok(Edit::delete(span));
    }
    if let Type::Manager(manager) = cx.type_of(receiver)
        && let Some(name) = manager.name.as_deref()
        && cx.project.manager_method(manager.model, name, "all").is_some()
    {
        return Err(cx.hazard(HazardKind::CustomManagerMethod, format!("{name}.all"), receiver));
    }
    let Expr::Call { func, .. } = Expr::of(call) else { return Ok(Edit::delete(span)) };
    let Expr::Attribute { attr_node, .. } = Expr::of(func) else { return Ok(Edit::delete(span)) };
    Ok(Edit::replace(Span::new(attr_node.span().start, call.span().end), "all()".to_owned()))
}

/// What a call is made on, and the method.
fn called(call: Node<'_>) -> Option<(Node<'_>, &str)> {
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    match Expr::of(func) {
        Expr::Attribute { value, attr, .. } => Some((value, attr)),
        _ => None,
    }
}

/// The span of the call `receiver.method(...)` that goes from its chain: with the line break behind it where the chain would
/// begin with a name alone.
fn call_of_chain(cx: &Context<'_>, receiver: Node<'_>, call: Node<'_>) -> Span {
    let span = Span::new(receiver.with_parens().span().end, call.span().end);
    let is_own_line = cx.source().slice(span).starts_with(char::is_whitespace);
    if matches!(Expr::of(receiver), Expr::Call { .. }) || is_own_line {
        return span;
    }
    let next = call.parent().filter(|p| p.kind() == Kind::Attribute);
    let Some(Expr::Attribute { attr_node, .. }) = next.map(Expr::of) else { return span };
    let rest = cx.source().slice(Span::new(span.end, attr_node.span().start));
    match rest.strip_suffix('.') {
        Some(blanks) if blanks.trim().is_empty() => Span::new(span.start, span.end + blanks.len() as u32),
        _ => span,
    }
}
