//! Loops that read nothing but a few columns of each row: the columns become the loop's variables.

use super::find::{Match, Rowwise};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::variable::read_elsewhere;
use ormend_engine::codemod::rows::reads::columns_of;
use ormend_engine::codemod::rows::source::source;
use ormend_engine::codemod::rows::{Collects, Shape};
use ormend_engine::codemod::truth::hands_out_names;
use ormend_engine::infer::{EventKind, Trait};
use ormend_engine::python::{Expr, Field, Kind, Node, Stmt};

/// More variables than these read worse than a row does.
const MOST_COLUMNS: usize = 3;

/// More reads change too much of a loop.
const MOST_READS: usize = 6;

/// `for book in books: refresh.delay(book.pk)`
pub fn find<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let Stmt::For { is_async: false, target, iter, body, orelse: None } = Stmt::of(node) else { return None };
    let Expr::Name(variable) = Expr::of(target) else { return None };
    // At the top of a module or class the variable is a name that others can import.
    let scope = node.enclosing_function()?;
    if !body.has_name(variable) {
        return None;
    }
    let source = source(cx, iter).filter(|s| s.keys.is_none() && !s.queryset.is(Trait::Deferred))?;
    let shape = Shape { target: Some(target), ..Shape::new(node, Collects::List, source, variable, body) };
    let (columns, reads) = columns_of(cx, &shape)?;
    let is_narrow = columns.len() <= MOST_COLUMNS
        && reads.len() <= MOST_READS
        && leaves_out(columns.len(), cx.model(shape.source.queryset.model).fields.len());
    let is_plain = columns.iter().all(|c| c.hazard.is_none() && !c.is_joined());
    if !is_narrow
        || !is_plain
        || reads.iter().any(|(read, _)| decides(*read, node))
        || asks_database(cx, body)
        || read_elsewhere(cx, node, &[variable])
        || hands_out_names(scope)
    {
        return None;
    }
    Some(Match { shape, columns, reads, rowwise: Rowwise::Mixed })
}

/// Whether a read decides what happens to the row, or adds to a total: those are for the database to do. A read that is
/// assigned is none.
pub fn decides<'a>(read: Node<'a>, within: Node<'a>) -> bool {
    let mut below = read;
    for around in read.ancestors().take_while(|a| *a != within) {
        let is_decided = match around.kind() {
            Kind::AugAssign | Kind::Delete | Kind::Lambda => true,
            Kind::Assign => is_carried_on(around),
            Kind::If | Kind::Elif | Kind::While => below.kind() != Kind::Block && below.kind() != Kind::Else,
            kind => kind.is_comprehension(),
        };
        if is_decided {
            return true;
        }
        below = around;
    }
    read.is_binding()
}

/// Whether an assignment makes the new value of the old one: `counts[key] = counts.get(key, 0) + 1`.
fn is_carried_on(assign: Node<'_>) -> bool {
    let (Some(mut target), Some(value)) = (assign.child(Field::Left), assign.child(Field::Right)) else {
        return true;
    };
    while let Expr::Attribute { value, .. } | Expr::Subscript { value, .. } = Expr::of(target) {
        target = value.peel();
    }
    value.descendants().any(|n| n.kind() == Kind::Name && n.text() == target.text() && !n.is_label())
}

/// Whether the loop queries or writes: what saves its queries knows the row.
fn asks_database<'a>(cx: &Context<'a>, body: Node<'a>) -> bool {
    cx.events_in(body).any(|event| {
        matches!(
            event.kind,
            EventKind::Query { .. }
                | EventKind::Write { .. }
                | EventKind::ReadRelation { .. }
                | EventKind::ReadMany { .. }
        )
    })
}

/// Whether enough columns are left out for a loop to be written anew.
fn leaves_out(read: usize, all: usize) -> bool {
    read * 2 <= all || read + 2 <= all
}
