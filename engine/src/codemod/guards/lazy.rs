//! Values that are computed where they are looked at, rather than where they were made.

use super::handlers::external_path;
use crate::codemod::Context;
use crate::python::{Def, Expr, Kind, Node, NodeId, Stmt, arguments};
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
    if let Some(value) = local_value(cx, name) {
        return is_lazy_value(cx, cx.file, value.peel().id(), 0);
    }
    match cx.project.program().global(cx.file, name.text()) {
        Some(Def::Variable { file, value: Some(value) }) => is_lazy_value(cx, file, value, 0),
        _ => false,
    }
}

/// Whether the variable holds a `defaultdict` whose factory is more than a type of Python's: it runs where a key is first
/// looked at.
pub fn has_unknown_factory<'a>(cx: &Context<'a>, name: Node<'a>) -> bool {
    let program = cx.project.program();
    let (file, value) = match local_value(cx, name) {
        Some(value) => (cx.file, value.peel()),
        None => match program.global(cx.file, name.text()) {
            Some(Def::Variable { file, value: Some(value) }) => (file, program.file(file).node(value)),
            _ => return false,
        },
    };
    let Expr::Call { func, arguments: list } = Expr::of(value) else { return false };
    if external_path(cx, func).as_deref() != Some("collections.defaultdict") {
        return false;
    }
    let Some(factory) = arguments(list).first().map(|a| a.value.peel()) else { return false };
    let is_plain = |node: Node<'_>| match external_path(cx, node) {
        Some(path) => !path.starts_with("django.") || path.starts_with("django.utils."),
        // `list`, `int`: builtins need no import.
        None => {
            matches!(Expr::of(node), Expr::Name(n) if program.global(file, n).is_none())
                && local_value(cx, node).is_none()
        }
    };
    match Expr::of(factory) {
        Expr::Lambda { .. } => factory.descendants().any(|n| match Expr::of(n) {
            Expr::Call { func, .. } if n.kind() == Kind::Call => !is_plain(func),
            _ => false,
        }),
        Expr::None => false,
        _ => !is_plain(factory),
    }
}

/// What the only assignment of the frame to a name gives it.
fn local_value<'a>(cx: &Context<'a>, name: Node<'_>) -> Option<Node<'a>> {
    cx.scope().mentions(name.text()).find_map(|mention| {
        let statement = mention.statement().filter(|s| s.kind() == Kind::ExprStatement)?;
        match Stmt::of(statement) {
            Stmt::Assign { targets, value: Some(value), .. } if targets.contains(&mention) => Some(value),
            _ => None,
        }
    })
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
        Some(Def::Class(class)) => {
            program.class(class).external_bases.iter().any(|base| LAZY.contains(&base.as_str()))
        }
        _ => false,
    }
}
