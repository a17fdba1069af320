//! Loops that only set an attribute of each row: `row.book_count = row.books.count()`. The annotation has the
//! attribute's name, and the statement goes; so does a loop that does nothing else.

use super::Counting;
use crate::codemod::Context;
use crate::codemod::guards::variable::read_elsewhere;
use crate::infer::{Escape, EventKind, Root, Use};
use crate::python::{Expr, Field, Kind, Node, NodeId};

/// The attributes that annotations can be, by annotation.
pub(super) fn names(cx: &Context<'_>, found: &Counting) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    for (index, annotation) in found.annotations.iter().enumerate() {
        let mut readers = found.readers.iter().filter(|r| r.annotation == index);
        let (Some(reader), None) = (readers.next(), readers.next()) else { continue };
        if reader.file != cx.file || !annotation.is_certain {
            continue;
        }
        let Some((statement, name)) = assignment(cx.node(reader.whole)) else { continue };
        // Nothing else sets it, and every round does.
        let writes: Vec<NodeId> = cx
            .facts
            .events()
            .filter(|e| {
                matches!(&e.kind, EventKind::WriteAttribute { root: Root::Row(v), name: n, .. }
                    if found.group.rows.contains(v) && **n == *name)
            })
            .map(|e| e.at)
            .collect();
        let is_only = writes.iter().all(|w| statement.contains(*w));
        let is_known = cx
            .facts
            .values
            .iter()
            .filter_map(|v| v.queryset.as_deref())
            .any(|q| q.annotations.iter().any(|a| **a == *name));
        if is_only && !is_known && loop_of(statement).is_some() && removal(cx, statement).is_some() {
            out.push((index, name.to_owned()));
        }
    }
    out
}

/// Mark the statements that go.
pub(super) fn remove(cx: &Context<'_>, found: &mut Counting) {
    for index in 0..found.readers.len() {
        let Some(reader) = found.readers.get(index).filter(|r| r.file == cx.file) else { continue };
        let Some((statement, name)) = assignment(cx.node(reader.whole)) else { continue };
        let is_it = found.annotations.get(reader.annotation).is_some_and(|a| a.name == name);
        let gone = removal(cx, statement).filter(|_| is_it);
        if let (Some(gone), Some(reader)) = (gone, found.readers.get_mut(index)) {
            reader.removed = Some(gone);
        }
    }
}

/// `row.name = <whole>` as a statement, and the name.
fn assignment(whole: Node<'_>) -> Option<(Node<'_>, &str)> {
    let assign = whole.with_parens().parent().filter(|p| p.kind() == Kind::Assign)?;
    let target = assign.child(Field::Left)?;
    let statement = assign.parent().filter(|p| p.kind() == Kind::ExprStatement)?;
    match Expr::of(target) {
        Expr::Attribute { value, attr, .. } if value.kind() == Kind::Name => Some((statement, attr)),
        _ => None,
    }
}

/// The `for` in whose body a statement stands.
fn loop_of(statement: Node<'_>) -> Option<Node<'_>> {
    let block = statement.parent().filter(|p| p.kind() == Kind::Block)?;
    block.parent().filter(|p| p.kind() == Kind::For && block.field() == Field::Body)
}

/// What goes with the statement: itself, or its loop.
fn removal(cx: &Context<'_>, statement: Node<'_>) -> Option<NodeId> {
    let around = loop_of(statement)?;
    let block = statement.parent()?;
    // Every row of the queryset gets the attribute, as it does from the annotation.
    let leaves = around
        .descendants()
        .any(|n| matches!(n.kind(), Kind::Break | Kind::Return | Kind::Raise | Kind::Yield | Kind::Await));
    if leaves || !is_whole_line(cx, statement) {
        return None;
    }
    if block.children().filter(|c| c.kind() != Kind::Comment).count() > 1 {
        return Some(statement.id());
    }
    let iter = around.child(Field::Right)?;
    let target = around.child(Field::Left)?;
    let (Expr::Name(_), Expr::Name(name)) = (Expr::of(iter), Expr::of(target)) else { return None };
    let has_more =
        around.child(Field::Alternative).is_some() || around.text().contains('#') || around.is_async();
    (!has_more && !read_elsewhere(cx, around, &[name]) && is_loaded_whole(cx, around)).then(|| around.id())
}

fn is_whole_line(cx: &Context<'_>, statement: Node<'_>) -> bool {
    let source = cx.source();
    let line = source.line_text(source.line_index(statement.span().start));
    line.trim() == statement.text().trim()
}

/// Whether the rows are gone over further down, and nothing happens before that could change them or ask for them in
/// another way.
fn is_loaded_whole(cx: &Context<'_>, around: Node<'_>) -> bool {
    let Some(Expr::Name(_)) = around.child(Field::Right).map(Expr::of) else { return false };
    let after = || cx.facts.events().filter(|e| e.at >= around.subtree_end());
    let is_quiet = after().all(|e| {
        !matches!(
            e.kind,
            EventKind::Write { .. }
                | EventKind::UnknownCall { .. }
                | EventKind::CallNamed { .. }
                | EventKind::Suspend
                | EventKind::Transaction { .. }
        )
    });
    let is_whole = after().all(|e| match &e.kind {
        EventKind::Use { how, .. } => {
            matches!(how, Use::Iterate | Use::Escape(Escape::Container | Escape::External))
        }
        _ => true,
    });
    let is_inside_loop = around.ancestors().any(|a| matches!(a.kind(), Kind::For | Kind::While));
    is_quiet && is_whole && !is_inside_loop
}
