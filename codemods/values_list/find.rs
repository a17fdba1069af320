//! The shapes: comprehensions, `map()`, and loops that fill a list, set or dict with columns of rows.

use super::looped;
use ormend_engine::codemod::Context;
use ormend_engine::codemod::rows::column::column;
use ormend_engine::codemod::rows::dicts::plan;
use ormend_engine::codemod::rows::filling::filling_loop;
use ormend_engine::codemod::rows::place::{is_consumed, is_measured};
use ormend_engine::codemod::rows::reads::columns_of;
use ormend_engine::codemod::rows::source::source;
use ormend_engine::codemod::rows::{Collects, Column, Shape, comprehension};
use ormend_engine::infer::Type;
use ormend_engine::python::{Def, Expr, Kind, Node, Parameter, arguments, parameters, string_value};

/// What is made of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rowwise {
    /// One column.
    Flat,
    /// A tuple of columns.
    Tuple,
    /// A key and a value, both columns.
    Pair,
    /// An expression over columns.
    Mixed,
}

/// What the pattern matcher binds.
pub struct Match<'a> {
    /// What is iterated, and what collects.
    pub shape: Shape<'a>,
    /// The columns in order of their first reads.
    pub columns: Vec<Column>,
    /// Every read, with the index of its column.
    pub reads: Vec<(Node<'a>, usize)>,
    /// What is made of a row.
    pub rowwise: Rowwise,
}

/// The pattern matcher.
pub fn find<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let found = match node.kind() {
        Kind::Call => find_map(cx, node),
        Kind::For => find_loop(cx, node),
        _ => find_comprehension(cx, node),
    };
    // The dictionaries of values() cost little: only what needs no comprehension any more reads better without them.
    found.filter(|m| m.shape.source.keys.is_none() || m.rowwise != Rowwise::Mixed)
}

fn find_comprehension<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    // len([b.pk for b in books]): count() has the better answer.
    if node.kind() == Kind::ListComp && is_measured(cx, node) {
        return None;
    }
    let shape = comprehension(cx, node)?;
    let (columns, reads) = columns_of(cx, &shape).filter(|_| plan(cx, &shape).is_none())?;
    if shape.inner.first().is_some_and(|iter| !reads.iter().any(|(read, _)| iter.contains(read.id()))) {
        return None;
    }
    let rowwise = match shape.inner.as_slice() {
        [] => rowwise(&shape, &columns, &reads)?,
        _ => Rowwise::Mixed,
    };
    Some(Match { shape, columns, reads, rowwise })
}

fn find_loop<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let Some(shape) = filling_loop(cx, node) else { return looped::find(cx, node) };
    // Dictionaries of columns belong to values().
    let (columns, reads) = columns_of(cx, &shape).filter(|_| plan(cx, &shape).is_none())?;
    let rowwise = rowwise(&shape, &columns, &reads)?;
    Some(Match { shape, columns, reads, rowwise })
}

fn find_map<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let Type::Def(Def::External(path)) = cx.type_of(func) else { return None };
    if path != "builtins.map" {
        return None;
    }
    let all = arguments(list);
    let [function, rows] = all.as_slice() else { return None };
    if [function, rows].iter().any(|a| a.stars > 0 || a.name.is_some()) {
        return None;
    }
    // A map that leaves is an iterator, and whoever gets it decides when it is read.
    if !is_consumed(cx, node) {
        return None;
    }
    let source = source(cx, rows.value).filter(|s| s.keys.is_none())?;
    let mut shape = Shape::new(node, Collects::Map, source, "row", function.value);
    let (columns, reads) = match Expr::of(function.value) {
        Expr::Lambda { body, .. } => {
            let params = parameters(function.value.peel());
            let [Parameter { name: variable, default: None, .. }] = params.as_slice() else { return None };
            shape.variable = variable;
            shape.element = body.peel();
            columns_of(cx, &shape)?
        }
        Expr::Call { func, arguments: list } => {
            let Type::Def(Def::External(path)) = cx.type_of(func) else { return None };
            if path != "operator.attrgetter" {
                return None;
            }
            let mut columns: Vec<Column> = Vec::new();
            for argument in arguments(list) {
                let name = string_value(argument.value).filter(|n| !n.contains('.'))?;
                let found = column(cx, &shape.source.queryset, &name)?;
                if columns.iter().any(|c| c.identity == found.identity) {
                    return None;
                }
                columns.push(found);
            }
            (columns, Vec::new())
        }
        _ => return None,
    };
    let rowwise = match columns.len() {
        0 => return None,
        // attrgetter() gives a value or a tuple.
        1 if reads.is_empty() => Rowwise::Flat,
        _ if reads.is_empty() => Rowwise::Tuple,
        _ => rowwise(&shape, &columns, &reads)?,
    };
    matches!(rowwise, Rowwise::Flat | Rowwise::Tuple).then_some(Match { shape, columns, reads, rowwise })
}

/// What is made of a row.
fn rowwise<'a>(shape: &Shape<'a>, columns: &[Column], reads: &[(Node<'a>, usize)]) -> Option<Rowwise> {
    let is_unconditional = shape.conditions.is_empty();
    let is_read = |node: Node<'a>| reads.iter().find(|(read, _)| *read == node.peel()).map(|(_, i)| *i);
    if let Some(value) = shape.value {
        return Some(match (is_read(shape.element), is_read(value)) {
            (Some(a), Some(b)) if a == b => return None,
            (Some(_), Some(_)) if is_unconditional => Rowwise::Pair,
            _ => Rowwise::Mixed,
        });
    }
    let inner = shape.element.peel();
    match inner.kind() {
        // A list a row is no tuple.
        Kind::List => return None,
        Kind::Tuple => {
            let items: Vec<Option<usize>> = inner.children().map(is_read).collect();
            if items.iter().all(Option::is_some) {
                let mut unique = items.clone();
                unique.sort_unstable();
                unique.dedup();
                if unique.len() != items.len() || items.len() != columns.len() {
                    return None;
                }
                return Some(if is_unconditional { Rowwise::Tuple } else { Rowwise::Mixed });
            }
        }
        _ => {}
    }
    Some(if is_read(inner).is_some() && is_unconditional { Rowwise::Flat } else { Rowwise::Mixed })
}
