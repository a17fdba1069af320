//! Values that are computed where they are looked at, rather than where they were made.

use crate::codemod::Context;
use crate::python::{Def, Expr, Kind, Node, NodeId, Stmt};
use crate::text::FileId;

/// What makes objects that run a function when they are looked at.
const LAZY: &[&str] = &[
    "django.utils.functional.SimpleLazyObject",
    "django.utils.functional.LazyObject",
    "django.utils.functional.lazy",
    "django.utils.functional.lazystr",
    "django.utils.text.format_lazy",
];

/// Whether the variable `name` of the frame, or of its module, holds a lazy object of the program's own making.
pub fn is_lazy_name<'a>(cx: &Context<'a>, name: Node<'a>) -> bool {
    let scope = cx.scope();
    let local = scope.descendants().filter(|n| n.kind() == Kind::ExprStatement).find_map(|statement| {
        match Stmt::of(statement) {
            Stmt::Assign { targets, value: Some(value), .. }
                if targets.iter().any(|t| t.text() == name.text()) =>
            {
                Some(value)
            }
            _ => None,
        }
    });
    if let Some(value) = local {
        return is_lazy_value(cx, cx.file, value.peel().id(), 0);
    }
    match cx.project.program().global(cx.file, name.text()) {
        Some(Def::Variable { file, value: Some(value) }) => is_lazy_value(cx, file, value, 0),
        _ => false,
    }
}

fn is_lazy_value(cx: &Context<'_>, file: FileId, value: NodeId, depth: usize) -> bool {
    if depth > 5 {
        return false;
    }
    let program = cx.project.program();
    let Expr::Call { func, .. } = Expr::of(program.file(file).node(value)) else { return false };
    match program.resolve_expr(file, func.peel().id()) {
        Some(Def::External(path)) => LAZY.contains(&path.as_str()),
        // `position = lazy(count, str)`, then `position()`
        Some(Def::Variable { file, value: Some(value) }) => is_lazy_value(cx, file, value, depth + 1),
        Some(Def::Class(class)) => program
            .class(class)
            .external_bases
            .iter()
            .any(|base| LAZY.contains(&base.as_str())),
        _ => false,
    }
}
