//! Which expressions are certainly integers, so that the database computes what Python does.

use super::callers::gives_no_integer;
use crate::codemod::Context;
use crate::infer::{EventKind, Instance, Made, Root, Type};
use crate::python::{Def, Expr, Node, parameters};

/// Whether the operand is certainly an `int` and no bool.
pub fn is_integer<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    if *cx.type_of(node) != Type::Int {
        return false;
    }
    match Expr::of(node) {
        Expr::Attribute { value, attr, .. } => match cx.type_of(value).instance() {
            Some(instance) => {
                let model = cx.model(instance.model);
                let field = model.field(attr).or_else(|| model.field_by_attname(attr));
                attr == "pk"
                    || field.is_some_and(|f| f.class.starts_with("django.") || f.is_auto)
                        && holds_what_was_read(cx, instance, attr)
            }
            None => true,
        },
        Expr::Name(name) => {
            let parameters = parameters(cx.scope());
            let parameter = parameters.iter().find(|p| p.name == name);
            parameter.is_none_or(|p| {
                p.default.is_none_or(|d| is_integer_default(cx, d)) && !gives_no_integer(cx, name)
            })
        }
        Expr::BinOp { left, right, .. } => is_integer_or_bool(cx, left) && is_integer_or_bool(cx, right),
        Expr::UnaryOp { operand, .. } => is_integer_or_bool(cx, operand),
        Expr::IfExp { body, orelse, .. } => is_integer(cx, body) && is_integer(cx, orelse),
        _ => true,
    }
}

/// Whether the default of a parameter, which is evaluated outside of the function, is an integer: a literal, or a constant.
pub fn is_integer_default(cx: &Context<'_>, node: Node<'_>) -> bool {
    let literal = |node: Node<'_>| match Expr::of(node) {
        Expr::Int(_) => true,
        Expr::UnaryOp { operand, .. } => matches!(Expr::of(operand), Expr::Int(_)),
        _ => false,
    };
    let program = cx.project.program();
    literal(node)
        || matches!(program.resolve_expr(cx.file, node.peel().id()),
            Some(Def::Variable { file, value: Some(value) }) if literal(program.file(file).node(value)))
}

/// Whether a column of an instance has in memory what the database gave: neither this function nor what it calls assigns
/// it, and the instance was not made here with a value of its own.
fn holds_what_was_read<'a>(cx: &Context<'a>, instance: &Instance, column: &str) -> bool {
    if let Root::Value(id) = instance.root
        && instance.path.is_empty()
        && cx.value(id).is_some_and(|v| matches!(v.made, Made::Constructed | Made::Created))
    {
        return false;
    }
    cx.facts.events().all(|e| match &e.kind {
        EventKind::WriteAttribute { root, path, name } => {
            let is_it = *root == instance.root && *path == instance.path;
            !(is_it && (&**name == column || &**name == "*"))
        }
        _ => true,
    })
}

fn is_integer_or_bool<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    *cx.type_of(node) == Type::Bool || is_integer(cx, node)
}
