//! Variables of loops that go away.

use crate::codemod::Context;
use crate::python::{Field, Kind, Node, Stmt, generators};

/// Whether the loop's variables are used anywhere where a comprehension would not leave them.
pub fn read_elsewhere(cx: &Context<'_>, node: Node<'_>, names: &[&str]) -> bool {
    let scope = cx.scope();
    let around = node
        .ancestors()
        .filter(|a| matches!(a.kind(), Kind::For | Kind::While) && a.enclosing_scope() == Some(scope))
        .last();
    names.iter().flat_map(|name| scope.mentions(name)).any(|n| {
        !node.contains(n.id())
            && !is_other_name(n)
            && (n.span().start >= node.span().end
                || around.is_some_and(|a| a.contains(n.id()))
                || matches!(n.parent().map(Node::kind), Some(Kind::Global | Kind::Nonlocal))
                || n.enclosing_scope() != Some(scope) && scope.kind() != Kind::Module)
            && !is_rebound_first(cx, n, node)
    })
}

/// An attribute or keyword of that name, or a name that a comprehension has for itself.
fn is_other_name(node: Node<'_>) -> bool {
    node.parent().is_none()
        || node.is_label()
        || node.ancestors().take_while(|a| !a.kind().is_statement()).any(|a| {
            let all = generators(a);
            // The first iterable is evaluated outside.
            !all.first().is_some_and(|g| g.iter.contains(node.id()))
                && all.iter().any(|g| g.target.has_name(node.text()))
        })
}

/// Whether a later statement binds the name again before this place reads it: the target or body of another loop
/// over the same name, or a plain assignment.
fn is_rebound_first(cx: &Context<'_>, node: Node<'_>, after: Node<'_>) -> bool {
    if node.span().start < after.span().end {
        return false;
    }
    let is_target = |n: Node<'_>| {
        n.is_binding() && !n.ancestors().any(|a| matches!(a.kind(), Kind::AugAssign | Kind::Delete))
    };
    if is_target(node) {
        return true;
    }
    // In the body of a later loop whose variable it is.
    node.ancestors().take_while(|a| *a != cx.scope()).any(|a| {
        a.kind() == Kind::For
            && a.span().start >= after.span().end
            && matches!(Stmt::of(a), Stmt::For { target, body, .. }
                if body.contains(node.id())
                    && target.has_name(node.text()))
    })
}

/// The assignment `name = value` and its value, where nothing else within `scope` binds the name.
pub fn assigned_once<'a>(scope: Node<'a>, name: &str) -> Option<(Node<'a>, Node<'a>)> {
    let mut bindings = scope.mentions(name).filter(|n| n.is_binding());
    let only = bindings.next()?;
    let statement = only.statement().filter(|_| bindings.next().is_none())?;
    let Stmt::Assign { targets, value: Some(value), annotation: None } = Stmt::of(statement) else {
        return None;
    };
    matches!(targets.as_slice(), [target] if target.peel() == only).then(|| (statement, value.peel()))
}

/// Whether an attribute or item is what a statement assigns or deletes.
pub fn is_assigned(target: Node<'_>) -> bool {
    let outer = target.with_parens();
    match outer.parent().map(Node::kind) {
        Some(Kind::Assign | Kind::AugAssign) => outer.field() == Field::Left,
        Some(Kind::Delete | Kind::PatternList | Kind::TuplePattern | Kind::ListPattern) => true,
        _ => false,
    }
}
