//! Where a transaction is certainly open.

use super::handlers::is_atomic;
use crate::codemod::Context;
use crate::python::{Def, Expr, Field, Kind, Node, Stmt, arguments, string_value};

/// The widest block of the frame's function around `node` in which one transaction of the default database is certainly
/// open: the body of a `with`, or of the function where its decorator opens it. `None` says nothing of what callers do.
pub fn open_around<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Node<'a>> {
    let scope = node.enclosing_function()?;
    if scope != cx.scope() {
        return None;
    }
    if let Some(body) = decorated(cx, scope) {
        return Some(body);
    }
    let mut found = None;
    for ancestor in node.ancestors().take_while(|a| *a != scope) {
        if let Stmt::With { is_async: false, items, body } = Stmt::of(ancestor)
            && body.contains(node.id())
            && items.iter().any(|(context, _)| is_atomic(cx, *context) && is_default(*context))
        {
            found = Some(body);
        }
    }
    found
}

/// The body of a function whose innermost decorator is `atomic`.
fn decorated<'a>(cx: &Context<'a>, scope: Node<'a>) -> Option<Node<'a>> {
    let holder = scope.parent().filter(|p| p.kind() == Kind::DecoratedDef)?;
    let Stmt::FunctionDef { decorators, .. } = Stmt::of(holder) else { return None };
    let innermost = decorators.last()?.peel();
    // It is evaluated outside of the function.
    let path = |node: Node<'a>| match cx.project.program().resolve_expr(cx.file, node.peel().id()) {
        Some(Def::External(path)) => Some(path),
        _ => None,
    };
    let callee = |node: Node<'a>| match Expr::of(node) {
        Expr::Call { func, .. } => func.peel(),
        _ => node.peel(),
    };
    let context = match Expr::of(innermost) {
        // `@method_decorator(transaction.atomic)`
        Expr::Call { func, arguments: list }
            if path(func).as_deref() == Some("django.utils.decorators.method_decorator") =>
        {
            arguments(list).first().filter(|a| a.name.is_none() && a.stars == 0).map(|a| a.value)?
        }
        _ => innermost,
    };
    // The body of a generator runs when the transaction is over.
    let yields = |n: Node<'a>| n.kind() == Kind::Yield && n.enclosing_scope() == Some(scope);
    let is_open = path(callee(context)).as_deref() == Some("django.db.transaction.atomic")
        && is_default(context)
        && !scope.is_async()
        && !scope.descendants().any(yields);
    if is_open { scope.child(Field::Body) } else { None }
}

/// `atomic`, `atomic()`, `atomic(using="default")`
fn is_default(context: Node<'_>) -> bool {
    let Expr::Call { arguments: list, .. } = Expr::of(context) else { return true };
    arguments(list).iter().all(|a| {
        a.stars == 0
            && match a.name {
                None | Some("using") => {
                    matches!(Expr::of(a.value), Expr::None)
                        || string_value(a.value).as_deref() == Some("default")
                }
                Some(_) => true,
            }
    })
}
