//! Rows of a queryset that are read one by one to collect something of each: comprehensions and loops that fill a
//! container. What they iterate, which columns they read, where the result goes, what stands in the way of reading
//! columns instead of instances, and the text of a call at the end of the queryset. What is made of the columns is the
//! codemod's.

pub mod column;
pub mod dicts;
pub mod emit;
pub mod filling;
pub mod hazards;
pub mod place;
pub mod reads;
pub mod source;

pub use column::Column;
pub use filling::Filling;
pub use source::Source;

use crate::codemod::Context;
use crate::infer::Type;
use crate::python::{Expr, Field, Kind, Node, generators};

/// What collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collects {
    /// `[...]`
    List,
    /// `{...}`
    Set,
    /// `{k: v ...}`
    Dict,
    /// `(...)`
    Generator,
    /// `map(...)`
    Map,
}

/// A comprehension, a `map()` or a loop that makes something of each row of a queryset.
#[derive(Clone, Debug)]
pub struct Shape<'a> {
    /// The comprehension, the call of `map` or the loop.
    pub node: Node<'a>,
    /// What it collects.
    pub collects: Collects,
    /// For a loop, what it fills.
    pub filling: Option<Filling<'a>>,
    /// What is iterated.
    pub source: Source<'a>,
    /// The row's variable.
    pub variable: &'a str,
    /// The loop's target, where one is written.
    pub target: Option<Node<'a>>,
    /// The element; for a dict the key.
    pub element: Node<'a>,
    /// For a dict, the value.
    pub value: Option<Node<'a>>,
    /// What further `for`s of a comprehension iterate and ask.
    pub inner: Vec<Node<'a>>,
    /// The conditions of the row.
    pub conditions: Vec<Node<'a>>,
}

impl<'a> Shape<'a> {
    /// Something that makes `element` of each row of `source`, of all of them, and fills nothing.
    pub fn new(
        node: Node<'a>,
        collects: Collects,
        source: Source<'a>,
        variable: &'a str,
        element: Node<'a>,
    ) -> Shape<'a> {
        Shape {
            node,
            collects,
            filling: None,
            source,
            variable,
            target: None,
            element,
            value: None,
            inner: Vec::new(),
            conditions: Vec::new(),
        }
    }
}

/// A comprehension over the rows of one queryset.
pub fn comprehension<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Shape<'a>> {
    comprehension_over(cx, node, |iter| source::source(cx, iter))
}

/// A comprehension over the rows that `source` tells of what it iterates.
pub fn comprehension_over<'a>(
    cx: &Context<'a>,
    node: Node<'a>,
    source: impl FnOnce(Node<'a>) -> Option<Source<'a>>,
) -> Option<Shape<'a>> {
    let all = generators(node);
    let (only, inner) = all.split_first()?;
    // [b.title async for b in books]
    if all.iter().any(|g| g.is_async) {
        return None;
    }
    let Expr::Name(variable) = Expr::of(only.target) else { return None };
    // [word for b in books for word in b.title.split()]
    let rebinds = |node: Node<'a>| node.has_name(variable);
    if inner.iter().any(|g| rebinds(g.target)) {
        return None;
    }
    // Rows of two querysets side by side are no question of columns.
    if inner.iter().any(|g| matches!(cx.type_of(g.iter), Type::QuerySet(_) | Type::Manager(_))) {
        return None;
    }
    let inner: Vec<Node<'a>> =
        inner.iter().flat_map(|g| std::iter::once(g.iter).chain(g.conditions.iter().copied())).collect();
    let body = node.child(Field::Body)?;
    let (collects, element, value) = match node.kind() {
        Kind::ListComp => (Collects::List, body, None),
        Kind::SetComp => (Collects::Set, body, None),
        Kind::GeneratorExp => (Collects::Generator, body, None),
        Kind::DictComp => (Collects::Dict, body.child(Field::Key)?, Some(body.child(Field::Value)?)),
        _ => return None,
    };
    let source = source(only.iter)?;
    Some(Shape {
        node,
        collects,
        filling: None,
        source,
        variable,
        target: Some(only.target),
        element,
        value,
        inner,
        conditions: only.conditions.clone(),
    })
}
