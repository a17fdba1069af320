//! The keys of a loop, all of them before it runs.

use ormend_engine::codemod::Context;
use ormend_engine::codemod::rows::place::is_consumed;
use ormend_engine::infer::{Rows, Type};
use ormend_engine::python::{Expr, Field, Kind, Node, arguments, generators};

/// A loop, or a clause of a comprehension.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    /// The `for` statement or the comprehension.
    pub node: Node<'a>,
    /// What is bound.
    pub target: Node<'a>,
    /// What is gone through.
    pub iter: Node<'a>,
    /// What runs each round: the body, or the comprehension.
    pub body: Node<'a>,
}

impl Round<'_> {
    /// Whether the loop binds the name, as its target or inside.
    pub fn binds(&self, name: &str) -> bool {
        let is_it = |n: Node<'_>| n.kind() == Kind::Name && n.text() == name && n.is_binding();
        self.target.descendants().any(|n| n.kind() == Kind::Name && n.text() == name)
            || self.body.descendants().any(is_it)
    }
}

/// The loop around `call` that binds the key, which must be names, attributes and items of what it binds.
pub fn rounds<'a>(cx: &Context<'a>, call: Node<'a>, key: Node<'a>) -> Option<Round<'a>> {
    let root = root(key)?;
    let scope = call.enclosing_scope()?;
    for around in call.ancestors() {
        if matches!(around.kind(), Kind::FunctionDef | Kind::Lambda | Kind::ClassDef | Kind::Module) {
            return None;
        }
        let binds =
            |target: Node<'a>| target.descendants().any(|n| n.kind() == Kind::Name && n.text() == root);
        let round = if around.kind() == Kind::For {
            if around.is_async() || around.enclosing_scope() != Some(scope) {
                return None;
            }
            let body = around.child(Field::Body).filter(|b| b.contains(call.id()))?;
            Round {
                node: around,
                target: around.child(Field::Left)?,
                iter: around.child(Field::Right)?,
                body,
            }
        } else if around.kind().is_comprehension() {
            let all = generators(around);
            let [only] = all.as_slice() else { return None };
            if only.is_async || around.kind() == Kind::GeneratorExp && !is_taken_at_once(cx, around) {
                return None;
            }
            Round { node: around, target: only.target, iter: only.iter, body: around }
        } else {
            continue;
        };
        if binds(round.target) {
            let again = round.body.descendants().any(|n| {
                n.kind() == Kind::Name && n.text() == root && n.is_binding() && !round.target.contains(n.id())
            });
            return (!again).then_some(round);
        }
        // The key must not come from an inner loop's body.
        if round.binds(root) {
            return None;
        }
    }
    None
}

/// Whether what stands around a generator takes all of it there and then.
fn is_taken_at_once(cx: &Context<'_>, generator: Node<'_>) -> bool {
    let call =
        generator.parent().map(|p| if p.kind() == Kind::Arguments { p.parent().unwrap_or(p) } else { p });
    let is_short = call.is_some_and(
        |c| matches!(Expr::of(c), Expr::Call { func, .. } if matches!(func.text(), "any" | "all")),
    );
    let is_call = call.is_some_and(|c| c.kind() == Kind::Call);
    is_call && !is_short && is_consumed(cx, generator)
}

/// The name that a path of attributes and constant items starts with.
fn root<'a>(node: Node<'a>) -> Option<&'a str> {
    match Expr::of(node) {
        Expr::Name(name) => Some(name),
        Expr::Attribute { value, .. } => root(value),
        Expr::Subscript { value, index, count: 1 } => {
            matches!(Expr::of(index), Expr::Str(_) | Expr::Int(_)).then(|| root(value))?
        }
        _ => None,
    }
}

/// How the keys are written in front of the loop.
#[derive(Clone, Copy, Debug)]
pub enum Keys<'a> {
    /// What is gone through gives the keys: this part of it.
    All(Node<'a>),
    /// An expression of each round.
    Each,
}

/// How all keys are written, where what is gone through may be gone through twice.
pub fn keys<'a>(cx: &Context<'a>, round: &Round<'a>, key: Node<'a>) -> Option<Keys<'a>> {
    if !is_repeatable(cx, round.iter, 0) {
        return None;
    }
    Some(direct(cx, round.target, round.iter, key, 0).map_or(Keys::Each, Keys::All))
}

/// What gives exactly the keys: `ids` of `for pk in ids`, `for i, pk in enumerate(ids)`, `for pk, n in amounts.items()`.
fn direct<'a>(
    cx: &Context<'a>,
    target: Node<'a>,
    iter: Node<'a>,
    key: Node<'a>,
    depth: usize,
) -> Option<Node<'a>> {
    let Expr::Name(name) = Expr::of(key) else { return None };
    let is_target = matches!(Expr::of(target), Expr::Name(n) if n == name);
    if let Some((called, inner)) = wrapped(cx, iter).filter(|_| depth < 5) {
        return match called {
            "enumerate" => {
                let parts: Vec<Node<'a>> = target.peel().children().collect();
                let [_, second] = parts.as_slice() else { return None };
                direct(cx, *second, inner, key, depth + 1)
            }
            _ => direct(cx, target, inner, key, depth + 1),
        };
    }
    if let Expr::Call { func, arguments: list } = Expr::of(iter)
        && let Expr::Attribute { value, attr, .. } = Expr::of(func)
        && matches!(cx.type_of(value), Type::Dict(_))
        && arguments(list).is_empty()
    {
        return match attr {
            "keys" if is_target => Some(value),
            "items" => {
                let first = target.peel().children().next()?;
                matches!(Expr::of(first), Expr::Name(n) if n == name).then_some(value)
            }
            _ => None,
        };
    }
    is_target.then_some(iter)
}

/// `enumerate(x)`, `sorted(x)` and their like, of one argument.
fn wrapped<'a>(cx: &Context<'a>, iter: Node<'a>) -> Option<(&'a str, Node<'a>)> {
    let Expr::Call { func, arguments: list } = Expr::of(iter) else { return None };
    let Expr::Name(name) = Expr::of(func) else { return None };
    let Type::Def(ormend_engine::python::Def::External(path)) = cx.type_of(func) else { return None };
    let all = arguments(list);
    let first = all.first().filter(|a| a.name.is_none() && a.stars == 0)?;
    let is_known = path.starts_with("builtins.")
        && matches!(name, "enumerate" | "sorted" | "reversed" | "list" | "tuple" | "set")
        && all.iter().skip(1).all(|a| matches!(Expr::of(a.value), Expr::Int(_) | Expr::True | Expr::False));
    is_known.then_some((name, first.value))
}

/// Whether going through it twice gives the same and asks nothing: collections by name, dicts, displays of constants, and
/// querysets, which are kept in a variable.
fn is_repeatable<'a>(cx: &Context<'a>, iter: Node<'a>, depth: usize) -> bool {
    if depth > 5 {
        return false;
    }
    if let Some((_, inner)) = wrapped(cx, iter) {
        return is_repeatable(cx, inner, depth + 1) && !is_chain(cx, inner);
    }
    match Expr::of(iter) {
        Expr::Name(_) | Expr::Attribute { .. } => match cx.type_of(iter) {
            Type::List(_) | Type::Set(_) | Type::Tuple(_) | Type::Dict(_) => true,
            Type::QuerySet(qs) => qs.rows != Rows::Unknown,
            _ => false,
        },
        Expr::List(node) | Expr::Tuple(node) => {
            node.children().all(|c| matches!(Expr::of(c), Expr::Int(_) | Expr::Str(_)))
        }
        Expr::Call { func, arguments: list } => match Expr::of(func) {
            Expr::Attribute { value, attr: "items" | "keys" | "values", .. } => {
                matches!(cx.type_of(value), Type::Dict(_))
                    && matches!(Expr::of(value), Expr::Name(_) | Expr::Attribute { .. })
                    && arguments(list).is_empty()
            }
            _ => depth == 0 && is_chain(cx, iter),
        },
        _ => false,
    }
}

/// A queryset that is made where it is gone through.
pub fn is_chain<'a>(cx: &Context<'a>, iter: Node<'a>) -> bool {
    iter.peel().kind() == Kind::Call
        && matches!(cx.type_of(iter), Type::QuerySet(qs) if qs.rows != Rows::Unknown)
}
