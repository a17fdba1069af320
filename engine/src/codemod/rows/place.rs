//! What surrounds a comprehension: code that iterates once needs no list.

use super::{Collects, Shape};
use crate::codemod::Context;
use crate::infer::Type;
use crate::python::{Def, Expr, Field, Kind, Node, arguments};

/// Functions that iterate their first argument once and keep nothing else of it.
const CONSUMERS: &[&str] = &[
    "builtins.sum",
    "builtins.any",
    "builtins.all",
    "builtins.sorted",
    "builtins.set",
    "builtins.frozenset",
    "builtins.tuple",
    "builtins.list",
    "builtins.dict",
    "builtins.min",
    "builtins.max",
    "collections.Counter",
    "collections.OrderedDict",
    "collections.deque",
];

/// The call of which `node` is an argument, and its position.
fn call_around<'a>(node: Node<'a>) -> Option<(Node<'a>, usize)> {
    let outer = node.with_parens();
    let parent = outer.parent()?;
    // f(x for x in y): the generator stands where the arguments stand.
    if parent.kind() == Kind::Call && node.field() == Field::Arguments {
        return Some((parent, 0));
    }
    if parent.kind() != Kind::Arguments {
        return None;
    }
    let call = parent.parent().filter(|c| c.kind() == Kind::Call)?;
    let all = arguments(parent);
    let position = all.iter().position(|a| a.node == outer && a.name.is_none() && a.stars == 0)?;
    // Behind a star nobody knows which argument it is.
    if all.iter().take(position).any(|a| a.stars > 0) {
        return None;
    }
    Some((call, position))
}

/// `len(node)`
pub fn is_measured(cx: &Context<'_>, node: Node<'_>) -> bool {
    let Some((call, 0)) = call_around(node) else { return false };
    let Expr::Call { func, .. } = Expr::of(call) else { return false };
    matches!(cx.type_of(func), Type::Def(Def::External(path)) if path == "builtins.len")
}

/// Whether what stands around `node` iterates it at once, once, and keeps nothing of it.
pub fn is_consumed(cx: &Context<'_>, node: Node<'_>) -> bool {
    let outer = node.with_parens();
    let Some(parent) = outer.parent() else { return false };
    match parent.kind() {
        Kind::For | Kind::CompFor => return outer.field() == Field::Right && !parent.is_async(),
        Kind::Starred => return parent.parent().is_some_and(|p| p.kind() == Kind::Arguments),
        Kind::Compare => {
            return matches!(Expr::of(parent), Expr::Compare { op: Kind::In | Kind::NotIn, right, .. }
                if right.peel() == node.peel());
        }
        Kind::AugAssign => {
            let is_add = parent.child(Field::Operator).is_some_and(|o| o.kind() == Kind::AddAssign);
            let target = parent.child(Field::Left);
            return is_add
                && outer.field() == Field::Right
                && target.is_some_and(|t| matches!(cx.type_of(t), Type::List(_)));
        }
        _ => {}
    }
    let Some((call, position)) = call_around(node) else { return false };
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return false };
    if position != 0 {
        return false;
    }
    if let Type::Def(Def::External(path)) = cx.type_of(func)
        && CONSUMERS.contains(&path.as_str())
    {
        let positional = arguments(list).iter().filter(|a| a.name.is_none()).count();
        // min(a, b) compares its arguments.
        return !matches!(path.as_str(), "builtins.min" | "builtins.max") || positional == 1;
    }
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return false };
    match (attr, cx.type_of(value)) {
        ("join", Type::Str) => true,
        ("extend", Type::List(_)) => true,
        ("update", Type::Set(_)) => true,
        ("fromkeys", Type::Def(Def::External(path))) => path == "builtins.dict",
        _ => false,
    }
}

/// Whether the rows that `shape` collects are only gone over, at once and once, so that the queryset itself can stand there.
pub fn needs_no_collection(cx: &Context<'_>, shape: &Shape<'_>) -> bool {
    match shape.collects {
        Collects::Map | Collects::Generator => is_consumed(cx, shape.node),
        // A list is complete before a loop's body runs; an iterator is not.
        Collects::List => {
            is_consumed(cx, shape.node) && !(shape.source.is_streamed && is_looped_over(shape.node))
        }
        Collects::Set | Collects::Dict => false,
    }
}

/// Whether a `for` statement or a comprehension goes over `node`: its body runs between the rows.
fn is_looped_over(node: Node<'_>) -> bool {
    let outer = node.with_parens();
    outer.parent().is_some_and(|p| matches!(p.kind(), Kind::For | Kind::CompFor))
}
