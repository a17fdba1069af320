//! The keys of a loop, all of them before it runs.

use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::variable::assigned_once;
use ormend_engine::codemod::rows::place::is_consumed;
use ormend_engine::infer::{QuerySet, Rows, Type};
use ormend_engine::python::{Expr, Field, Kind, Node, Stmt, arguments, generators};

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
        self.target.has_name(name) || self.body.descendants().any(is_it)
    }
}

/// The loop around `call` that binds the key, which must be names, attributes and items of what it binds, or a name that the
/// loop gives to one of those: the loop, and the key in terms of what it binds.
pub fn rounds<'a>(cx: &Context<'a>, call: Node<'a>, key: Node<'a>) -> Option<(Round<'a>, Node<'a>)> {
    let name = root(key)?;
    let mut inner = false;
    for around in loops(call) {
        let round = round(cx, call, around)?;
        let is_target = |name: &str| round.target.has_name(name);
        let again = |name: &str| is_bound_before(call, &round, name, inner);
        if is_target(name) {
            return (!again(name)).then_some((round, key));
        }
        if round.binds(name) {
            // `pk = row["book_id"]`
            let given = named(call, &round, key)?;
            let name = root(given).filter(|name| is_target(name))?;
            return (!again(name)).then_some((round, given));
        }
        inner = true;
    }
    None
}

/// The loop that what `node` asks depends on in any other way.
pub fn depends<'a>(cx: &Context<'a>, call: Node<'a>, node: Node<'a>) -> Option<Round<'a>> {
    loops(call).find_map(|around| {
        let round = round(cx, call, around)?;
        let binds =
            node.descendants().any(|n| n.kind() == Kind::Name && !n.is_label() && round.binds(n.text()));
        binds.then_some(round)
    })
}

/// The loops and comprehensions around a call in its function, the innermost first.
fn loops<'a>(call: Node<'a>) -> impl Iterator<Item = Node<'a>> {
    let ends =
        |n: &Node<'a>| matches!(n.kind(), Kind::FunctionDef | Kind::Lambda | Kind::ClassDef | Kind::Module);
    call.ancestors()
        .take_while(move |n| !ends(n))
        .filter(|n| n.kind() == Kind::For || n.kind().is_comprehension())
}

fn round<'a>(cx: &Context<'a>, call: Node<'a>, around: Node<'a>) -> Option<Round<'a>> {
    if around.kind() == Kind::For {
        if around.is_async() || around.enclosing_scope() != call.enclosing_scope() {
            return None;
        }
        let body = around.child(Field::Body).filter(|b| b.contains(call.id()))?;
        let (target, iter) = (around.child(Field::Left)?, around.child(Field::Right)?);
        return Some(Round { node: around, target, iter, body });
    }
    let all = generators(around);
    let [only] = all.as_slice() else { return None };
    if only.is_async || around.kind() == Kind::GeneratorExp && !is_taken_at_once(cx, around) {
        return None;
    }
    Some(Round { node: around, target: only.target, iter: only.iter, body: around })
}

/// Whether the loop gives the name another value before the lookup; what comes with or after it, the next round binds anew.
fn is_bound_before<'a>(call: Node<'a>, round: &Round<'a>, name: &str, is_inner: bool) -> bool {
    let repeats = is_inner
        || call.ancestors().take_while(|a| *a != round.node).any(|a| matches!(a.kind(), Kind::While));
    let is_plain = |s: &Node<'a>| {
        round.node.kind() == Kind::For && !s.descendants().any(|n| n.kind() == Kind::NamedExpr)
    };
    let from = call.statement().filter(|s| *s != round.node && !repeats && is_plain(s));
    round.body.descendants().any(|n| {
        n.kind() == Kind::Name
            && n.text() == name
            && n.is_binding()
            && !round.target.contains(n.id())
            && from.is_none_or(|from| n.id() < from.id())
    })
}

/// What the loop calls by the name `key`: the value of its only assignment, before the lookup and in every round.
fn named<'a>(call: Node<'a>, round: &Round<'a>, key: Node<'a>) -> Option<Node<'a>> {
    let Expr::Name(name) = Expr::of(key) else { return None };
    let (statement, value) = assigned_once(round.body, name)?;
    (statement.parent() == Some(round.body) && statement.id() < call.id()).then_some(value)
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
        // `int(key)`
        Expr::Call { func, arguments: list } if matches!(Expr::of(func), Expr::Name("int")) => {
            let all = arguments(list);
            let [only] = all.as_slice() else { return None };
            (only.name.is_none() && only.stars == 0).then(|| root(only.value))?
        }
        _ => None,
    }
}

/// How the keys are written in front of the loop.
#[derive(Clone, Copy, Debug)]
pub enum Keys<'a> {
    /// What is gone through gives the keys: this part of it.
    All(Node<'a>),
    /// An expression of each round: what each binds, and what is gone through for it.
    Each(Node<'a>, Node<'a>),
}

/// How all keys are written, where what is gone through may be gone through twice.
pub fn keys<'a>(cx: &Context<'a>, round: &Round<'a>, key: Node<'a>) -> Option<Keys<'a>> {
    if made(cx, round).is_none() && !is_repeatable(cx, round.iter, 0) {
        return None;
    }
    if let Some(all) = direct(cx, round, (round.target, round.iter), key, 0) {
        return Some(Keys::All(all));
    }
    let (target, iter) = innermost(cx, round, root(key)?);
    Some(Keys::Each(target, iter))
}

/// What binds the name, without the number of `enumerate()` and the order of `sorted()`.
fn innermost<'a>(cx: &Context<'a>, round: &Round<'a>, name: &str) -> (Node<'a>, Node<'a>) {
    let (mut target, mut iter) = (round.target, round.iter);
    let chained = made(cx, round).map(|c| c.0);
    for _ in 0..5 {
        if chained == Some(iter.peel()) {
            break;
        }
        let Some((called, inner)) = wrapped(cx, iter) else { break };
        if called == "enumerate" {
            let Some(second) = second(target) else { break };
            if !second.has_name(name) {
                break;
            }
            target = second;
        }
        iter = inner;
    }
    (target, iter)
}

/// The second of two names.
fn second(target: Node<'_>) -> Option<Node<'_>> {
    let parts: Vec<Node<'_>> = target.peel().children().collect();
    let [_, second] = parts.as_slice() else { return None };
    Some(*second)
}

/// What is gone through, where it is the rows of a queryset.
pub struct Source<'a> {
    /// The queryset.
    pub queryset: &'a QuerySet,
    /// What a row of it is bound to.
    pub target: Node<'a>,
}

/// The queryset whose rows `iter` gives, through `list()`, `enumerate()` and a name for it that nothing else changes.
pub fn source<'a>(cx: &Context<'a>, target: Node<'a>, iter: Node<'a>, depth: usize) -> Option<Source<'a>> {
    if depth > 5 {
        return None;
    }
    if let Type::QuerySet(queryset) = cx.type_of(iter) {
        return Some(Source { queryset, target });
    }
    if let Some((called, inner)) = wrapped(cx, iter) {
        let target = if called == "enumerate" { second(target)? } else { target };
        return source(cx, target, inner, depth + 1);
    }
    let Expr::Name(name) = Expr::of(iter) else { return None };
    source(cx, target, kept(cx, name)?, depth + 1)
}

/// What a local name is given, where it is given once and only read then.
fn kept<'a>(cx: &Context<'a>, name: &str) -> Option<Node<'a>> {
    let scope = cx.scope();
    let mut given = None;
    for node in scope.mentions(name) {
        if node.is_label() {
            continue;
        }
        let parent = node.with_parens().parent()?;
        if node.is_binding() {
            let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(node.statement()?) else {
                return None;
            };
            let is_alone = matches!(targets.as_slice(), [only] if only.peel() == node);
            if !is_alone || given.is_some() || node.enclosing_scope() != Some(scope) {
                return None;
            }
            given = Some(value);
            continue;
        }
        let is_read = match parent.kind() {
            Kind::For | Kind::CompFor | Kind::If | Kind::Return | Kind::Not | Kind::Compare => true,
            Kind::Subscript => !parent.is_binding(),
            Kind::Arguments => super::hazards::is_measure(cx, parent),
            _ => false,
        };
        if !is_read {
            return None;
        }
    }
    given
}

/// What gives exactly the keys: `ids` of `for pk in ids`, `for i, pk in enumerate(ids)`, `for pk, n in amounts.items()`.
fn direct<'a>(
    cx: &Context<'a>,
    round: &Round<'a>,
    (target, iter): (Node<'a>, Node<'a>),
    key: Node<'a>,
    depth: usize,
) -> Option<Node<'a>> {
    let Expr::Name(name) = Expr::of(key) else { return None };
    let is_target = matches!(Expr::of(target), Expr::Name(n) if n == name);
    // What gets a name is gone through by that.
    if made(cx, round).is_some_and(|(node, _)| node == iter.peel()) {
        return is_target.then_some(iter);
    }
    if let Some((called, inner)) = wrapped(cx, iter).filter(|_| depth < 5) {
        return match called {
            "enumerate" => direct(cx, round, (second(target)?, inner), key, depth + 1),
            _ => direct(cx, round, (target, inner), key, depth + 1),
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
        return is_repeatable(cx, inner, depth + 1);
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
            _ => false,
        },
        _ => false,
    }
}

/// What is made where it is gone through, and would be made twice: a queryset, with a `list()` or `sorted()` around it, or
/// in front of a loop another collection. What gets a name, and the queryset.
pub fn made<'a>(cx: &Context<'a>, round: &Round<'a>) -> Option<(Node<'a>, Option<&'a QuerySet>)> {
    if let Some((node, queryset)) = chain(cx, round.iter, 0) {
        return Some((node, Some(queryset)));
    }
    let mut at = round.iter.peel();
    while let Some(("enumerate", inner)) = wrapped(cx, at) {
        at = inner.peel();
    }
    let is_made = match Expr::of(at) {
        Expr::Call { .. } => {
            matches!(wrapped(cx, at), Some(("list" | "tuple" | "set" | "sorted", _)))
                || matches!(cx.type_of(at), Type::List(_) | Type::Set(_) | Type::Tuple(_))
        }
        _ => matches!(at.kind(), Kind::ListComp | Kind::SetComp),
    };
    // In a statement other things may come before it.
    let is_repeatable = is_made && is_repeatable(cx, round.iter, 0);
    (is_made && !is_repeatable && round.node.kind() == Kind::For).then_some((at, None))
}

fn chain<'a>(cx: &Context<'a>, iter: Node<'a>, depth: usize) -> Option<(Node<'a>, &'a QuerySet)> {
    if let Some(queryset) = chained(cx, iter) {
        return Some((iter.peel(), queryset));
    }
    let (called, inner) = wrapped(cx, iter).filter(|_| depth < 5)?;
    let (node, queryset) = chain(cx, inner, depth + 1)?;
    match called {
        "enumerate" => Some((node, queryset)),
        // Gone through from behind, what has a name must be a list.
        "reversed" => chained(cx, node).is_none().then_some((node, queryset)),
        _ => (node == inner.peel()).then_some((iter.peel(), queryset)),
    }
}

fn chained<'a>(cx: &Context<'a>, iter: Node<'a>) -> Option<&'a QuerySet> {
    let Type::QuerySet(qs) = cx.type_of(iter) else { return None };
    (iter.peel().kind() == Kind::Call && qs.rows != Rows::Unknown).then_some(&**qs)
}
