//! What a relation is asked for, taken apart.

use crate::codemod::{Context, truth};
use crate::infer::Type;
use crate::python::{Expr, Field, Kind, Node, arguments};

/// Calls that only go over what they are given.
const GOING_OVER: &[&str] =
    &["list", "tuple", "set", "sorted", "len", "sum", "any", "all", "enumerate", "reversed", "min", "max"];

/// `row.books.filter(...).order_by(...)`, taken apart.
pub(super) struct Chain<'a> {
    /// The whole chain, with `count()` or `exists()` behind it.
    pub whole: Node<'a>,
    pub row: Node<'a>,
    /// `row.books`, where a name is given to it first.
    pub named: Option<Node<'a>>,
    /// The calls, with their arguments.
    pub links: Vec<(&'a str, Node<'a>)>,
    pub how: How,
    /// The name that is given to the rows, where it is used.
    pub uses: Vec<NamedUse<'a>>,
}

/// A use of the name that is given to the rows.
#[derive(Clone, Copy)]
pub(super) struct NamedUse<'a> {
    pub name: Node<'a>,
    /// The call of `count()` or `exists()` on it.
    pub asked: Option<(Node<'a>, How)>,
}

/// What becomes of the rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Rows,
    Count,
    Exists,
}

impl<'a> Chain<'a> {
    /// The chain that begins at `first`, the first call that asks the database again; otherwise what asks for more than a
    /// list has.
    pub fn of(cx: &Context<'a>, first: Node<'a>) -> Result<Chain<'a>, Node<'a>> {
        let mut out = Chain::taken_apart(first).ok_or(first)?;
        if out.how == How::Rows && !is_gone_over(cx, out.whole) {
            out.uses = named_to_go_over(cx, out.whole)?;
        }
        Ok(out)
    }

    fn taken_apart(first: Node<'a>) -> Option<Chain<'a>> {
        let Expr::Call { func, .. } = Expr::of(first) else { return None };
        let Expr::Attribute { value, .. } = Expr::of(func) else { return None };
        let named = relation_named(value);
        let row = match Expr::of(named.unwrap_or(value)) {
            Expr::Attribute { value, .. } => value,
            Expr::Call { func, arguments: none } if arguments(none).is_empty() => match Expr::of(func) {
                Expr::Attribute { value, attr: "all", .. } => match Expr::of(value) {
                    Expr::Attribute { value, .. } => value,
                    _ => return None,
                },
                _ => return None,
            },
            _ => return None,
        };
        if row.kind() != Kind::Name {
            return None;
        }
        let mut out = Chain { whole: first, row, links: Vec::new(), how: How::Rows, named, uses: Vec::new() };
        let mut node = first;
        for _ in 0..20 {
            let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
            let Expr::Attribute { attr, .. } = Expr::of(func) else { return None };
            let is_bare = arguments(list).is_empty();
            match attr {
                "filter" | "exclude" | "order_by" if !is_bare => out.links.push((attr, list)),
                "all" if is_bare => {}
                "iterator" => {}
                "count" if is_bare => out.how = How::Count,
                "exists" if is_bare => out.how = How::Exists,
                _ => return None,
            }
            out.whole = node;
            let next = node.with_parens().parent().filter(|p| p.kind() == Kind::Attribute);
            let call = next.and_then(|n| n.with_parens().parent()).filter(|c| c.kind() == Kind::Call);
            match call {
                Some(call) if out.how == How::Rows => node = call,
                None if next.is_none() => break,
                _ => return None,
            }
        }
        Some(out)
    }
}

/// `row.books`, where `chapters = row.books` stands before in the same round, and the name is used for nothing else.
fn relation_named(name: Node<'_>) -> Option<Node<'_>> {
    let Expr::Name(text) = Expr::of(name) else { return None };
    let scope = name.enclosing_scope()?;
    let mut mentions = scope
        .descendants()
        .filter(|n| n.kind() == Kind::Name && n.text() == text && n.field() != Field::Attribute);
    let (Some(first), Some(second), None) = (mentions.next(), mentions.next(), mentions.next()) else {
        return None;
    };
    let assignment = first.parent().filter(|p| p.kind() == Kind::Assign && first.field() == Field::Left)?;
    let value = assignment.child(Field::Right)?.peel();
    let block = assignment.ancestors().find(|n| n.kind() == Kind::Block)?;
    // No loop comes between them.
    let between = name.ancestors().take_while(|n| n.id() != block.id());
    let repeats = |n: &Node<'_>| match n.kind() {
        Kind::While => true,
        Kind::For => n.child(Field::Right).is_none_or(|iter| !iter.contains(name.id())),
        _ => false,
    };
    let is_relation = match Expr::of(value) {
        Expr::Attribute { .. } => true,
        Expr::Call { func, arguments: none } => {
            arguments(none).is_empty() && matches!(Expr::of(func), Expr::Attribute { attr: "all", .. })
        }
        _ => false,
    };
    let is_plain = is_relation && second == name.peel() && block.contains(name.id());
    (is_plain && !between.into_iter().any(|n| repeats(&n))).then_some(value)
}

/// `published = row.books.filter(...)`: the uses of the name, where it is only gone over, tested and counted; otherwise the
/// use that asks for more. A list in its place is kept as the rows of the queryset are.
fn named_to_go_over<'a>(cx: &Context<'a>, whole: Node<'a>) -> Result<Vec<NamedUse<'a>>, Node<'a>> {
    let node = whole.with_parens();
    let assignment =
        node.parent().filter(|p| p.kind() == Kind::Assign && node.field() == Field::Right).ok_or(whole)?;
    let target = assignment.child(Field::Left).ok_or(whole)?;
    let scope = whole.enclosing_scope().filter(|s| s.kind() == Kind::FunctionDef).ok_or(whole)?;
    let Expr::Name(text) = Expr::of(target) else { return Err(whole) };
    let is_it = |n: &Node<'a>| n.kind() == Kind::Name && n.text() == text && n.field() != Field::Attribute;
    let is_later = |n: &Node<'a>| {
        let deferred = |a: &Node<'a>| matches!(a.kind(), Kind::FunctionDef | Kind::Lambda | Kind::ClassDef);
        let between = n.ancestors().take_while(|a| a.id() != scope.id());
        n.span().start > assignment.span().end && !between.into_iter().any(|a| deferred(&a))
    };
    let mut uses = Vec::new();
    for name in scope.descendants().filter(is_it).filter(|n| n.id() != target.peel().id()) {
        let asked = asked_of(name);
        if name.is_binding() || !is_later(&name) || asked.is_none() && !is_gone_over(cx, name) {
            return Err(name);
        }
        uses.push(NamedUse { name, asked });
    }
    if uses.is_empty() { Err(whole) } else { Ok(uses) }
}

/// `name.count()`, `name.exists()`
fn asked_of(name: Node<'_>) -> Option<(Node<'_>, How)> {
    let attribute = name.with_parens().parent()?;
    let Expr::Attribute { value, attr, .. } = Expr::of(attribute) else { return None };
    let how = match attr {
        "count" => How::Count,
        "exists" => How::Exists,
        _ => return None,
    };
    let call = attribute.with_parens().parent()?;
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let is_it = value.peel() == name && func.peel() == attribute.peel() && arguments(list).is_empty();
    is_it.then_some((call, how))
}

/// Whether an expression is only gone over, or tested for being empty, where it stands.
fn is_gone_over<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    if truth::is_tested(cx, node) {
        return true;
    }
    let node = node.with_parens();
    let Some(parent) = node.parent() else { return false };
    match parent.kind() {
        Kind::For | Kind::CompFor => node.field() == Field::Right && !parent.is_async(),
        Kind::Arguments => parent.parent().is_some_and(|call| match Expr::of(call) {
            Expr::Call { func, arguments: list } => {
                arguments(list).first().is_some_and(|a| a.name.is_none() && a.value.peel() == node.peel())
                    && matches!(Expr::of(func), Expr::Name(name) if GOING_OVER.contains(&name))
                    && matches!(cx.type_of(cx.node(func.peel().id())), Type::Def(_))
            }
            _ => false,
        }),
        _ => false,
    }
}
