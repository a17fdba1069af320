//! Whether a loop goes over all rows of a queryset, or over those of them that somebody has picked.

use super::reads::Read;
use crate::codemod::Context;
use crate::infer::{Instance, QuerySet, Root, Type, ValueId};
use crate::python::{Expr, Field, Kind, Node, arguments, generators};

/// Whether each loop around a read goes over the queryset itself, or over lists that hold all of its rows.
pub(super) fn goes_over_all(cx: &Context<'_>, read: &Read) -> bool {
    let Some(event) = cx.facts.events.get(read.event) else { return false };
    event.rounds.iter().all(|round| loops_over_queryset(cx, read, round.value) || !is_picked(cx, round.value))
}

/// Whether a loop around the read has the queryset itself as what it goes over.
fn loops_over_queryset(cx: &Context<'_>, read: &Read, value: ValueId) -> bool {
    let is_it = |iter: Node<'_>| matches!(cx.type_of(cx.node(iter.id())), Type::QuerySet(qs) if is_value(cx, qs, value));
    cx.node(read.at).ancestors().take_while(|n| n.id() != cx.facts.scope).any(|n| match n.kind() {
        Kind::For => n.child(Field::Right).is_some_and(is_it),
        Kind::ListComp | Kind::SetComp | Kind::DictComp | Kind::GeneratorExp => {
            generators(n).iter().any(|g| is_it(g.iter))
        }
        _ => false,
    })
}

fn is_value(cx: &Context<'_>, qs: &QuerySet, value: ValueId) -> bool {
    qs.values.contains(&value)
        || cx
            .value(value)
            .is_some_and(|v| !v.alternatives.is_empty() && v.alternatives.iter().eq(qs.values.iter()))
}

/// Whether some expression of the frame makes a list of only some of the rows.
fn is_picked(cx: &Context<'_>, value: ValueId) -> bool {
    let holds = |node: Node<'_>| holds_rows(cx.type_of(cx.node(node.id())), value);
    cx.scope().descendants().any(|n| match n.kind() {
        // `[b for b in books if b.is_featured]`
        Kind::ListComp | Kind::SetComp | Kind::GeneratorExp => {
            holds(n) && generators(n).iter().any(|g| !g.conditions.is_empty())
        }
        // `books[10:]` of a list
        Kind::Subscript => match Expr::of(n) {
            Expr::Subscript { value: owner, index, .. } => index.kind() == Kind::Slice && holds(owner),
            _ => false,
        },
        Kind::Call => {
            let Expr::Call { func, arguments: list } = Expr::of(n) else { return false };
            match Expr::of(func) {
                Expr::Name(
                    "list" | "sorted" | "tuple" | "set" | "frozenset" | "reversed" | "enumerate" | "iter",
                ) => false,
                // `best.append(book)`
                Expr::Attribute { value: owner, attr: "append" | "add" | "insert", .. } => {
                    holds(owner) && is_conditional(cx, n)
                }
                Expr::Attribute { value: owner, attr: "pop" | "remove" | "clear" | "discard", .. } => {
                    holds(owner)
                }
                // Whatever else makes a list of the rows may leave some out.
                _ => holds(n) && arguments(list).iter().any(|a| gives(cx, a.value, value)),
            }
        }
        _ => false,
    })
}

/// Whether an expression is the queryset, or a list of its rows.
fn gives(cx: &Context<'_>, node: Node<'_>, value: ValueId) -> bool {
    let ty = cx.type_of(cx.node(node.id()));
    holds_rows(ty, value) || matches!(ty, Type::QuerySet(qs) if is_value(cx, qs, value))
}

fn is_conditional(cx: &Context<'_>, node: Node<'_>) -> bool {
    cx.node(node.id())
        .ancestors()
        .take_while(|n| n.id() != cx.facts.scope)
        .any(|n| matches!(n.kind(), Kind::If | Kind::Try | Kind::Match | Kind::While))
}

/// Whether a type is a list or an iterator of the rows themselves.
fn holds_rows(ty: &Type, value: ValueId) -> bool {
    match ty {
        Type::List(t) | Type::Set(t) | Type::Iterator(t) => is_row(t, value),
        Type::Union(types) => types.iter().any(|t| holds_rows(t, value)),
        _ => false,
    }
}

fn is_row(ty: &Type, value: ValueId) -> bool {
    match ty {
        Type::Instance(Instance { root: Root::Row(v), path, .. }) => *v == value && path.is_empty(),
        Type::Tuple(types) | Type::Union(types) => types.iter().any(|t| is_row(t, value)),
        _ => false,
    }
}
