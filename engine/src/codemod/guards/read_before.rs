//! What has certainly been looked at before: an attribute of it was read, so it is there, and loaded where it is lazy.

use super::flow;
use crate::codemod::Context;
use crate::python::{Def, Expr, Kind, Node, Stmt};

/// Whether an attribute of what the names `path` stand for (`author`, `request.user`) was read on every way to `node`, by
/// code that names it in the same way.
pub fn is_read_before(path: &str, node: Node<'_>) -> bool {
    let Some(scope) = node.enclosing_scope() else { return false };
    scope.descendants().take_while(|n| n.id() < node.id()).any(|read| {
        let Expr::Attribute { value, .. } = Expr::of(read) else { return false };
        value.peel().text() == path
            && !value.peel().contains(node.id())
            && read.enclosing_scope() == Some(scope)
            && comes_before(read, node)
            && !is_rebound(read, node)
    })
}

/// Whether `request.user` has been loaded where `node` reads it: it is lazy, and whoever asks first loads the session and
/// the user.
pub fn is_user_loaded(cx: &Context<'_>, node: Node<'_>) -> bool {
    /// What asks before the function runs.
    const ASKING: &[&str] = &[
        "django.contrib.auth.decorators.login_required",
        "django.contrib.auth.decorators.permission_required",
        "django.contrib.admin.views.decorators.staff_member_required",
        "rest_framework.decorators.api_view",
    ];
    const BASES: &[&str] = &[
        "django.contrib.auth.mixins.LoginRequiredMixin",
        "django.contrib.auth.mixins.PermissionRequiredMixin",
        "django.contrib.admin.",
        "rest_framework.",
    ];
    let program = cx.project.program();
    let around = node.enclosing_function().and_then(|def| program.function_at(cx.file, def.id()));
    let is_asked_for = around.is_some_and(|function| {
        let info = program.function(function);
        let by_decorator = info
            .decorators
            .iter()
            .any(|d| matches!(d, Some(Def::External(path)) if ASKING.contains(&path.as_str())));
        let bases =
            info.class.map(|class| program.class(class).external_bases.as_slice()).unwrap_or_default();
        by_decorator || bases.iter().any(|base| BASES.iter().any(|b| base.starts_with(b)))
    });
    is_asked_for || is_read_before(node.peel().text(), node)
}

/// Whether `read` is evaluated on every way to `node`, which stands behind it in the same scope.
fn comes_before<'a>(read: Node<'a>, node: Node<'a>) -> bool {
    let mut inner = read;
    for outer in read.ancestors() {
        if outer.contains(node.id()) {
            return match Expr::of(outer) {
                Expr::BoolOp { left, .. } => left.with_parens() == inner.with_parens() || left == inner,
                Expr::IfExp { test, .. } => test.contains(inner.id()),
                // The header of a statement runs before its body.
                _ => outer.kind().is_statement() && is_in_header(outer, read),
            };
        }
        match Expr::of(outer) {
            Expr::IfExp { test, .. } if !test.contains(inner.id()) => return false,
            Expr::BoolOp { left, .. } if !left.contains(inner.id()) => return false,
            _ if outer.kind().is_comprehension() || outer.kind() == Kind::Lambda => return false,
            _ if outer.kind().is_statement() => {
                return is_in_header(outer, read) && flow::dominates(outer, node);
            }
            _ => inner = outer,
        }
    }
    false
}

/// Whether the part of a statement that holds `read` always runs: all of a simple one, the first test of an `if`.
fn is_in_header(statement: Node<'_>, read: Node<'_>) -> bool {
    match Stmt::of(statement) {
        Stmt::If { branches, .. } => branches.first().is_some_and(|(test, _)| test.contains(read.id())),
        _ => statement.children().all(|c| c.kind() != Kind::Block),
    }
}

/// Whether the name that `node` starts with may be another object than it was when `earlier` was evaluated.
pub fn is_rebound(earlier: Node<'_>, node: Node<'_>) -> bool {
    let mut root = node.peel();
    while let Expr::Attribute { value, .. } = Expr::of(root) {
        root = value.peel();
    }
    let again =
        node.ancestors().filter(|a| matches!(a.kind(), Kind::For | Kind::While) && !a.contains(earlier.id()));
    let until = again.last().map_or(node.id(), Node::subtree_end);
    let Some(common) = node.ancestors().find(|a| a.contains(earlier.id())) else { return true };
    common.descendants().any(|n| {
        n.kind() == Kind::Name
            && n.text() == root.text()
            && n.id() > earlier.id()
            && n.id() < until
            && n.is_binding()
    })
}
