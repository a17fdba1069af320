//! Conditions that leave a loop: what a filter asks of each row in the same way can be asked once, where the queryset is
//! built.

use super::guards;
use crate::codemod::guards::variable;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{ModelId, RelationKind};
use crate::python::{Expr, Kind, Node, arguments, parameters};
use crate::text::{FileId, Site};

/// Hazards of the arguments `list` of a filter over rows of `model`.
pub(super) fn hazards(cx: &Context<'_>, model: ModelId, file: FileId, list: Node<'_>, out: &mut Vec<Hazard>) {
    for argument in arguments(list) {
        let is_kept = argument.stars == 0
            && argument.name.is_some_and(|name| is_own_column(cx, model, name))
            && is_steady(cx, file, argument.value, 0);
        if !is_kept {
            let at = Site { file, span: argument.node.span() };
            out.push(Hazard::at(HazardKind::RowCondition, guards::first_line(argument.node), at));
        }
    }
}

/// Whether a lookup asks for a column of the rows themselves.
pub(super) fn is_own_column(cx: &Context<'_>, model: ModelId, lookup: &str) -> bool {
    let info = cx.model(model);
    let first = lookup.split("__").next().unwrap_or(lookup);
    if first == "pk" {
        return true;
    }
    let Some(field) = info.field(first).or_else(|| info.field_by_attname(first)) else { return false };
    match &field.relation {
        None => true,
        // On from there it would be another table.
        Some(relation) => {
            matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne)
                && matches!(lookup.split_once("__"), None | Some((_, "isnull" | "in" | "pk" | "id")))
        }
    }
}

/// Whether a value is the same in every round, and where the queryset is built: a literal, a class or constant of the
/// module, a parameter that nothing binds again.
fn is_steady(cx: &Context<'_>, file: FileId, value: Node<'_>, depth: usize) -> bool {
    if depth > 10 {
        return false;
    }
    match Expr::of(value) {
        Expr::Str(_) => value.descendants().all(|n| n.kind() != Kind::Interpolation),
        Expr::None | Expr::Int(_) | Expr::True | Expr::False => true,
        Expr::UnaryOp { operand, .. } => matches!(Expr::of(operand), Expr::Int(_)),
        Expr::List(items) | Expr::Tuple(items) => items.children().all(|i| is_steady(cx, file, i, depth + 1)),
        Expr::Name(name) => is_class(cx, file, value, name) || is_parameter(cx, file, value, name),
        Expr::Attribute { value: owner, attr, .. } => {
            let mut root = owner.peel();
            while let Expr::Attribute { value, .. } = Expr::of(root) {
                root = value.peel();
            }
            let Expr::Name(name) = Expr::of(root) else { return false };
            let is_user = name == "request" && attr == "user" && is_parameter(cx, file, root, name);
            is_class(cx, file, root, name) || is_user
        }
        _ => false,
    }
}

/// A class or a constant of the module.
fn is_class(cx: &Context<'_>, file: FileId, node: Node<'_>, name: &str) -> bool {
    let is_local = node.enclosing_function().is_some_and(|def| {
        def.descendants().any(|n| n.kind() == Kind::Name && n.text() == name && n.is_binding())
            || parameters(def).iter().any(|p| p.name == name)
    });
    name.chars().next().is_some_and(|c| c.is_ascii_uppercase())
        && !is_local
        && cx.project.program().global(file, name).is_some()
}

/// A parameter of the function that builds the queryset, bound by its call alone.
fn is_parameter(cx: &Context<'_>, file: FileId, node: Node<'_>, name: &str) -> bool {
    let scope = cx.scope();
    // A list may be changed in place.
    let is_changed = |n: Node<'_>| {
        n.parent().is_some_and(|p| match Expr::of(p) {
            Expr::Attribute { value, .. } => {
                value.peel() == n && p.parent().is_some_and(|call| call.kind() == Kind::Call)
            }
            Expr::Subscript { value, .. } => value.peel() == n && variable::is_assigned(p),
            _ => false,
        })
    };
    let is_bound =
        |n: Node<'_>| n.kind() == Kind::Name && n.text() == name && (n.is_binding() || is_changed(n));
    file == cx.file
        && scope.kind() == Kind::FunctionDef
        && scope.contains(node.id())
        && parameters(scope).iter().any(|p| p.name == name)
        && scope.children().filter(|c| c.kind() == Kind::Block).all(|b| !b.descendants().any(is_bound))
        // A lambda or an inner function may have one of that name.
        && !node.ancestors().take_while(|a| a.id() != scope.id()).any(|a| {
            matches!(a.kind(), Kind::Lambda | Kind::FunctionDef) && parameters(a).iter().any(|p| p.name == name)
        })
}
