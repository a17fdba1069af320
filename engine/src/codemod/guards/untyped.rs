//! Expressions whose type is not known and that can all the same hardly be anything but querysets. They are named, never
//! rewritten: what they are made of decides nothing.

use super::variable::assigned_once;
use crate::codemod::Context;
use crate::infer::Type;
use crate::python::{Def, Expr, Kind, Node, arguments};

/// Calls in each other, and names, are followed so far.
const MAX_DEPTH: usize = 12;

/// Whether the type of `node` is not known, and it is no class of the program.
pub fn is_untyped(cx: &Context<'_>, node: Node<'_>) -> bool {
    let is_class = |name: &str| {
        matches!(cx.project.program().global(cx.file, name), Some(Def::Class(_) | Def::Function(_)))
    };
    let node = node.peel();
    matches!(cx.type_of(node), Type::Unknown) && !matches!(Expr::of(node), Expr::Name(name) if is_class(name))
}

/// Whether `node` is of no known type and is made by methods that querysets have: lookups given by keyword, a chain that
/// begins at a manager or at a relation of some model of the project.
pub fn looks_like_rows<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    is_untyped(cx, node) && is_chain(cx, node, 0)
}

fn is_chain<'a>(cx: &Context<'a>, node: Node<'a>, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    let node = node.peel();
    match Expr::of(node) {
        Expr::Call { func, arguments: list } => {
            let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return false };
            if list.kind() != Kind::Arguments {
                return false;
            }
            let all = arguments(list);
            match attr {
                "filter" | "exclude" => {
                    all.iter().any(|a| a.name.is_some() || a.stars == 2) || is_chain(cx, value, depth + 1)
                }
                "values_list" | "select_related" | "prefetch_related" => true,
                "all" => all.is_empty() && (looks_like_manager(cx, value) || is_chain(cx, value, depth + 1)),
                "only" | "defer" if !all.is_empty() && all.iter().all(|a| a.value.kind() == Kind::Str) => {
                    true
                }
                "order_by" | "distinct" | "only" | "defer" | "annotate" | "reverse" | "using" | "values" => {
                    looks_like_manager(cx, value) || is_chain(cx, value, depth + 1)
                }
                _ => false,
            }
        }
        Expr::Name(name) => node
            .enclosing_function()
            .and_then(|scope| assigned_once(scope, name))
            .is_some_and(|(_, value)| is_chain(cx, value, depth + 1)),
        _ => false,
    }
}

/// `model.objects`, `book.chapters` of what has no known type: the name of a manager, or of a relation to many rows that
/// some model has.
pub fn looks_like_manager<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    let Expr::Attribute { value, attr, .. } = Expr::of(node) else { return false };
    is_untyped(cx, node) && is_untyped(cx, value) && cx.project.names().is_of_rows(attr)
}
