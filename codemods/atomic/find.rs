//! The units of a function: writes that depend on each other, and the run of statements that holds them.

use super::depend::depends;
use super::items::{How, Item, items};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::transaction::{self as guard, Around};
use ormend_engine::infer::EventKind;
use ormend_engine::python::{Kind, Node, NodeId};

/// Writes that belong together, and the smallest run of statements of one block that holds them.
pub struct Unit<'a> {
    /// The innermost function.
    pub function: Node<'a>,
    /// The statements, in order: neighbours in one block.
    pub statements: Vec<Node<'a>>,
    /// The writes that depend on each other.
    pub items: Vec<Item<'a>>,
}

impl<'a> Unit<'a> {
    /// The writes, as the guards of transactions see them.
    pub fn around(&self) -> Around<'a> {
        Around { function: self.function, writes: self.items.iter().map(Item::written).collect() }
    }
}

/// The unit whose first statement is `node`.
pub fn unit<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Unit<'a>> {
    node.parent().filter(|p| p.kind() == Kind::Block)?;
    let begins = cx.once("atomic", || {
        if writes(cx) < 2 || is_left_alone(cx) {
            return Vec::new();
        }
        units(cx).iter().filter_map(|u| Some(u.statements.first()?.id())).collect()
    });
    if !begins.contains(&node.id()) {
        return None;
    }
    let found = units(cx).into_iter().find(|u| u.statements.first() == Some(&node))?;
    // Asked last: it takes the facts of callers.
    if guard::opened_by_callers(cx).is_some() { None } else { Some(found) }
}

/// How many calls of the frame write.
fn writes(cx: &Context<'_>) -> usize {
    let mut calls: Vec<NodeId> = cx
        .facts
        .events()
        .filter(|e| matches!(e.kind, EventKind::Write { .. }) && !e.is_guess)
        .map(|e| e.at)
        .collect();
    calls.sort();
    calls.dedup();
    calls.len()
}

/// Frames that have a transaction, or must not have one.
fn is_left_alone(cx: &Context<'_>) -> bool {
    let program = cx.project.program();
    let Some(function) = program.function_at(cx.file, cx.scope().id()) else { return true };
    let info = program.function(function);
    let path = program.file(cx.file).source.path();
    if cx.project.is_test_file(cx.file)
        || cx.project.is_known_file(cx.file)
        || cx.project.is_run_by_migration(function)
        || path.contains("/migrations/")
    {
        return true;
    }
    // A decorator that speaks of transactions has decided.
    let decides = |d: Node<'_>| {
        let text = d.text();
        text.contains("atomic") || text.contains("transaction") || text.contains("commit")
    };
    guard::decorators(cx.scope()).into_iter().any(decides)
        || cx.project.settings().atomic_requests && !guard::is_outside_requests(cx)
        || info.class.is_some_and(|c| guard::class_opens_one(cx, c))
}

/// Every unit of the frame, in order of position.
pub fn units<'a>(cx: &Context<'a>) -> Vec<Unit<'a>> {
    let all: Vec<Item<'a>> = items(cx);
    if all.len() < 2 {
        return Vec::new();
    }
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate().skip(i + 1) {
            if depends(cx, a, b) && may_pair(cx, a, b) {
                pairs.push((i, j));
            }
        }
    }
    drop_around_turns(&all, &mut pairs);
    let mut group: Vec<usize> = (0..all.len()).collect();
    for (i, j) in &pairs {
        let (Some(from), Some(to)) = (group.get(*j).copied(), group.get(*i).copied()) else { continue };
        for g in &mut group {
            if *g == from {
                *g = to;
            }
        }
    }
    let mut items: Vec<Option<Item<'a>>> = all.into_iter().map(Some).collect();
    let mut out = Vec::new();
    let mut seen = Vec::new();
    for g in &group {
        if seen.contains(g) {
            continue;
        }
        seen.push(*g);
        let members: Vec<Item<'a>> = group
            .iter()
            .enumerate()
            .filter(|(_, other)| *other == g)
            .filter_map(|(i, _)| items.get_mut(i)?.take())
            .collect();
        if members.len() > 1 {
            out.extend(run_of(members));
        }
    }
    merge(out)
}

/// Units that share statements are one.
fn merge(units: Vec<Unit<'_>>) -> Vec<Unit<'_>> {
    let mut out: Vec<Unit<'_>> = Vec::new();
    for unit in units {
        let overlaps = |other: &Unit<'_>| {
            other
                .statements
                .iter()
                .any(|s| unit.statements.iter().any(|t| s.contains(t.id()) || t.contains(s.id())))
        };
        match out.iter().position(overlaps) {
            Some(index) => {
                let mut items = out.remove(index).items;
                items.extend(unit.items);
                items.sort_by_key(|i| i.call.id());
                out.extend(run_of(items));
            }
            None => out.push(unit),
        }
    }
    out
}

fn may_pair<'a>(cx: &Context<'a>, a: &Item<'a>, b: &Item<'a>) -> bool {
    // Found-or-made rows are whole one by one.
    if a.how == How::Ensure && b.how == How::Ensure {
        return false;
    }
    let function = |item: &Item<'a>| item.call.enclosing_scope().map(Node::id);
    let open = |item: &Item<'a>| !guard::opened(cx, cx.file, item.call).is_empty();
    function(a) == function(b)
        && a.call.enclosing_function().is_some()
        && !open(a)
        && !open(b)
        && !guard::is_deferred(cx, a.call)
        && !guard::is_deferred(cx, b.call)
}

/// A loop whose turns are units of their own commits turn by turn: what stands before or behind it (a job's record,
/// its last state) does not draw all of its turns into one transaction.
fn drop_around_turns(all: &[Item<'_>], pairs: &mut Vec<(usize, usize)>) {
    let loop_of = |index: usize, other: usize| -> Option<NodeId> {
        let (item, other) = (all.get(index)?, all.get(other)?);
        item.call
            .ancestors()
            .take_while(|n| n.kind() != Kind::FunctionDef)
            .filter(|n| matches!(n.kind(), Kind::For | Kind::While) && !n.contains(other.call.id()))
            .last()
            .map(Node::id)
    };
    let known = pairs.clone();
    let has_turns = |id: NodeId| {
        known.iter().any(|(i, j)| {
            [i, j]
                .iter()
                .all(|k| all.get(**k).is_some_and(|item| item.call.ancestors().any(|n| n.id() == id)))
        })
    };
    pairs.retain(|(i, j)| !loop_of(*i, *j).is_some_and(has_turns) && !loop_of(*j, *i).is_some_and(has_turns));
}

/// The smallest run of statements of one block around all of the writes.
fn run_of(items: Vec<Item<'_>>) -> Option<Unit<'_>> {
    let first = items.first()?;
    let block = first
        .call
        .ancestors()
        .find(|n| n.kind() == Kind::Block && items.iter().all(|i| n.contains(i.call.id())))?;
    let holds = |s: &Node<'_>| items.iter().any(|i| s.contains(i.call.id()));
    let all: Vec<Node<'_>> = block.children().filter(|n| n.kind() != Kind::Comment).collect();
    let start = all.iter().position(holds)?;
    let end = all.iter().rposition(holds)?;
    let statements = all.get(start..=end)?.to_vec();
    let function = block.enclosing_function()?;
    Some(Unit { function, statements, items })
}
