//! `select_related()` without names, and `list_select_related = True`.

use super::plan::{Plan, plan, plan_of_class};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::eager::{joining_class, readers_of_class};
use ormend_engine::codemod::guards::queryset::{calls_after, queryset_of};
use ormend_engine::infer::{Rows, Trait, Type};
use ormend_engine::python::{Expr, Field, Kind, Node, arguments};

/// What asks for every join.
pub struct Found<'a> {
    /// The call, or the value of the class attribute.
    pub node: Node<'a>,
    /// What the call is made on; nothing for the attribute.
    pub receiver: Option<Node<'a>>,
    /// What gives way to the names: the list of arguments, which is empty, or the value.
    pub list: Node<'a>,
    /// What to write.
    pub plan: Plan,
}

/// The match at a call or an assignment.
pub fn found<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Found<'a>> {
    if cx.project.is_known_file(cx.file) {
        return None;
    }
    if node.kind() == Kind::Assign { in_class(cx, node) } else { in_call(cx, node) }
}

/// A class of the admin whose changelist joins everything. Without a key to name it would look for columns to join.
fn in_class<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Found<'a>> {
    let value = node.child(Field::Right).filter(|v| matches!(Expr::of(*v), Expr::True))?;
    let (class, model) = joining_class(cx, node)?;
    let (readers, queryset) = readers_of_class(cx, class)?;
    let plan = plan_of_class(cx, value, &readers, &queryset).filter(|_| queryset.model == model)?;
    (!plan.names.is_empty()).then_some(Found { node: value, receiver: None, list: value, plan })
}

fn in_call<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Found<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let Expr::Attribute { value: receiver, attr: "select_related", .. } = Expr::of(func) else { return None };
    if !arguments(list).is_empty() {
        return None;
    }
    let queryset = queryset_of(cx, receiver)?;
    let is_one = matches!(cx.type_of(receiver), Type::QuerySet(_) | Type::Manager(_));
    if !is_one || queryset.rows != Rows::Instances || queryset.is(Trait::Raw) {
        return None;
    }
    let after = calls_after(cx, node);
    let plan = plan(cx, node, receiver, queryset, &after)?;
    Some(Found { node, receiver: Some(receiver), list, plan })
}
