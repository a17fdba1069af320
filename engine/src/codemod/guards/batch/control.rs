//! Control flow and exceptions around the writes of a loop.

use super::super::handlers::{external_path, is_atomic, swallowing_caller, swallowing_decorator, swallows};
use super::super::transaction::opened;
use super::Batch;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{EventKind, Type};
use crate::python::{Expr, Kind, Node, Stmt, innermost_loop};

/// Statements that leave the loop without reaching the one after it.
pub(super) fn exits<'a>(cx: &Context<'a>, batch: &Batch<'a, '_>, atomic: bool, out: &mut Vec<Hazard>) {
    for node in batch.node.descendants() {
        if node.enclosing_scope() != Some(cx.scope()) {
            continue;
        }
        let word = match node.kind() {
            Kind::Return => "return",
            Kind::Raise if !atomic && !is_caught(node, batch.node) => "raise",
            Kind::Yield => "yield",
            Kind::Call
                if !atomic
                    && is_strict_load(cx, node)
                    && !batch.writes.iter().any(|write| write.contains(node.id()))
                    && !is_caught(node, batch.node) =>
            {
                "get()"
            }
            Kind::Break if innermost_loop(node).is_none_or(|l| !batch.node.contains(l.id())) => "break",
            _ => continue,
        };
        out.push(cx.hazard(HazardKind::EarlyExit, word, node));
    }
}

/// Whether a call loads a row that may not be there, and raises then: rows that were written before it would be lost.
fn is_strict_load<'a>(cx: &Context<'a>, call: Node<'a>) -> bool {
    let Expr::Call { func, .. } = Expr::of(call) else { return false };
    match Expr::of(func) {
        Expr::Attribute { value, attr: "get" | "aget", .. } => {
            matches!(cx.type_of(value), Type::Manager(_) | Type::QuerySet(_))
        }
        _ => external_path(cx, func).is_some_and(|path| {
            matches!(
                path.as_str(),
                "django.shortcuts.get_object_or_404" | "django.shortcuts.aget_object_or_404"
            )
        }),
    }
}

/// Whether a handler inside the loop takes what is raised at `node`.
pub(super) fn is_caught(node: Node<'_>, outer: Node<'_>) -> bool {
    node.ancestors().take_while(|a| *a != outer).any(|a| match Stmt::of(a) {
        Stmt::Try { body, handlers, .. } => !handlers.is_empty() && body.contains(node.id()),
        _ => false,
    })
}

/// Handlers that tell which row failed.
pub(super) fn handlers(cx: &Context<'_>, batch: &Batch<'_, '_>, out: &mut Vec<Hazard>) {
    for write in batch.writes {
        let mut atomic = false;
        for ancestor in write.ancestors() {
            let inside = batch.node.contains(ancestor.id());
            if matches!(ancestor.kind(), Kind::FunctionDef | Kind::Lambda | Kind::ClassDef) {
                break;
            }
            match Stmt::of(ancestor) {
                Stmt::Try { body, handlers, .. } => {
                    let Some(first) = handlers.first() else { continue };
                    let quiet = !inside && handlers.iter().all(|h| only_logs(cx, h.body));
                    if body.contains(write.id()) && !atomic && !quiet {
                        out.push(cx.hazard(HazardKind::HandlerAround, "", first.node));
                    }
                }
                Stmt::With { items, body, .. } => {
                    if items.iter().any(|(context, _)| swallows(cx, *context, body)) && !atomic {
                        out.push(cx.hazard(HazardKind::HandlerAround, "", ancestor));
                    }
                    // Only a transaction around the whole loop makes its rows go together.
                    if !inside && items.iter().any(|(context, _)| is_atomic(cx, *context)) {
                        atomic = true;
                    }
                }
                _ => {}
            }
        }
    }
}

/// Handlers that stand around every call of the function: in its decorators, or around the calls.
pub(super) fn handlers_outside(cx: &Context<'_>, batch: &Batch<'_, '_>, atomic: bool, out: &mut Vec<Hazard>) {
    // One transaction around the loop leaves nothing of it either way.
    let holds = batch.node.ancestors().any(|a| match Stmt::of(a) {
        Stmt::With { items, .. } => items.iter().any(|(c, _)| is_atomic(cx, *c)),
        _ => false,
    });
    if holds {
        return;
    }
    let outside = swallowing_decorator(cx).or_else(|| if atomic { None } else { swallowing_caller(cx) });
    if let Some(site) = outside {
        out.push(Hazard::at(HazardKind::HandlerAround, "", site));
    }
}

/// A handler that logs and raises again.
fn only_logs(cx: &Context<'_>, body: Node<'_>) -> bool {
    let last = body.children().last();
    let raises = last.is_some_and(|l| matches!(Stmt::of(l), Stmt::Raise(parts) if parts.is_empty()));
    raises
        && cx
            .events_in(body)
            .all(|e| matches!(e.kind, EventKind::Log | EventKind::Raise | EventKind::ReadAttribute { .. }))
}

/// Whether one transaction holds the whole loop, with no handler in between.
pub fn in_atomic(cx: &Context<'_>, node: Node<'_>) -> bool {
    opened(cx, cx.file, node).iter().any(|t| t.is_certain && !t.is_caught)
}

pub(super) fn inner_atomic(cx: &Context<'_>, outer: Node<'_>, node: Node<'_>) -> bool {
    node.ancestors().take_while(|a| *a != outer).any(|a| match Stmt::of(a) {
        Stmt::With { items, .. } => items.iter().any(|(c, _)| is_atomic(cx, *c)),
        _ => false,
    })
}

/// The `on_commit()` whose argument `node` is a part of.
pub(super) fn on_commit_around<'a>(cx: &Context<'a>, outer: Node<'a>, node: Node<'a>) -> Option<Node<'a>> {
    node.ancestors().take_while(|a| *a != outer).find(|a| match Expr::of(*a) {
        Expr::Call { func, .. } if a.kind() == Kind::Call => {
            external_path(cx, func).as_deref() == Some("django.db.transaction.on_commit")
        }
        _ => false,
    })
}
