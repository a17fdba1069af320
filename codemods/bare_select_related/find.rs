//! `select_related()` without names.

use super::plan::{Plan, plan};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::queryset::{calls_after, queryset_of};
use ormend_engine::infer::{Rows, Trait, Type};
use ormend_engine::python::{Expr, Node, arguments};

/// A call without names.
pub struct Found<'a> {
    /// The call.
    pub node: Node<'a>,
    /// What it is called on.
    pub receiver: Node<'a>,
    /// The list of arguments, which is empty.
    pub list: Node<'a>,
    /// What to write.
    pub plan: Plan,
}

/// The match at a call.
pub fn found<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Found<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let Expr::Attribute { value: receiver, attr: "select_related", .. } = Expr::of(func) else { return None };
    if !arguments(list).is_empty() || cx.project.is_known_file(cx.file) {
        return None;
    }
    let queryset = queryset_of(cx, receiver)?;
    let is_one = matches!(cx.type_of(receiver), Type::QuerySet(_) | Type::Manager(_));
    if !is_one || queryset.rows != Rows::Instances || queryset.is(Trait::Raw) {
        return None;
    }
    let after = calls_after(cx, node);
    let plan = plan(cx, node, receiver, queryset, &after)?;
    Some(Found { node, receiver, list, plan })
}
