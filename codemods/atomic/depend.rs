//! Which writes depend on each other: facts about rows, never names of functions.

use super::identity::Identity;
use super::items::{How, Item};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::writes::shares_table;
use ormend_engine::infer::EventKind;
use ormend_engine::python::{Kind, Node, NodeId};

/// Whether `b`, which stands behind `a`, may run after it and belongs to it.
pub fn depends<'a>(cx: &Context<'a>, a: &Item<'a>, b: &Item<'a>) -> bool {
    let belongs = one_row(cx, a, b)
        || points(a, b)
        || related(a, b)
        || noted(a, b)
        || transfer(cx, a, b)
        || replaced(cx, a, b)
        || switched(cx, a, b)
        || exchanged(cx, a, b);
    belongs && a.may_precede(b.call)
}

/// The row is made, and saved again: what it lacked is filled in.
fn one_row<'a>(cx: &Context<'a>, a: &Item<'a>, b: &Item<'a>) -> bool {
    let shared = a.rows.iter().any(|row| b.rows.iter().any(|other| row.is(other)));
    // Saved as it was made, it says nothing new.
    let is_between = |at: NodeId| at > a.call.id() && at <= b.call.id();
    let changes = || {
        let sets = |kind: &EventKind| matches!(kind, EventKind::WriteAttribute { .. });
        !b.columns.is_empty() || cx.facts.events().any(|e| is_between(e.at) && sets(e.kind))
    };
    shared
        && changes()
        && matches!((a.how, b.how), (How::Insert, How::Update))
        && !has_loop_between(a.call, b.call)
}

/// One row is made from the other: a foreign key, the owner of a related manager, a key in a filter, an argument.
fn points(a: &Item<'_>, b: &Item<'_>) -> bool {
    if a.how == How::Ensure {
        // Found or made, it is whole without what follows.
        return false;
    }
    let names = |x: &Item<'_>, y: &Item<'_>| x.mentions.iter().any(|m| y.rows.iter().any(|r| r.is(m)));
    let forward = names(b, a);
    let backward = names(a, b);
    // A row that is made from one that is only updated tells of the update; two updates that mention each other do not.
    let tells = |made: How, other: How| match made {
        How::Insert | How::Delete | How::Link | How::Call => true,
        How::Update => matches!(other, How::Insert | How::Delete),
        How::Ensure => matches!(other, How::Insert | How::Update),
    };
    forward && tells(b.how, a.how) || backward && tells(a.how, b.how)
}

/// A row and the one it belongs to: `super().save()` and `self.author.save()`.
fn related(a: &Item<'_>, b: &Item<'_>) -> bool {
    let steps = |x: &Identity, y: &Identity| match (x, y) {
        (Identity::Instance(root, path), Identity::Instance(other, longer)) => {
            root == other && longer.len() == path.len() + 1 && longer.starts_with(path)
        }
        (Identity::Word(owner), Identity::Word(longer)) => longer
            .strip_prefix(owner.as_str())
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|rest| !rest.contains('.')),
        _ => false,
    };
    let known = |x: &Identity| !matches!(x, Identity::Word(_));
    // `row.file.delete()` deletes a file: what is only spelled so must be saved.
    let saved = |item: &Item<'_>, x: &Identity| {
        matches!(item.how, How::Insert | How::Update) || item.how == How::Delete && known(x)
    };
    a.rows.iter().any(|x| b.rows.iter().any(|y| saved(a, x) && saved(b, y) && (steps(x, y) || steps(y, x))))
}

/// A row is made of what another one holds that is deleted, or saved by the override that makes it: a note of it.
fn noted(a: &Item<'_>, b: &Item<'_>) -> bool {
    let of = |made: &Item<'_>, other: &Item<'_>| {
        made.how == How::Insert
            && (other.how == How::Delete || other.is_override)
            && made.sources.iter().any(|s| other.rows.contains(s))
    };
    of(a, b) || of(b, a)
}

/// One amount goes from a row of a model to another row of it.
fn transfer(cx: &Context<'_>, a: &Item<'_>, b: &Item<'_>) -> bool {
    let moves = |item: &Item<'_>| matches!(item.how, How::Update | How::Call);
    let one_model = a.models.iter().any(|m| b.models.iter().any(|n| shares_table(cx.project, *m, *n)));
    if !moves(a) || !moves(b) || a.how != b.how || !one_model || a.rows.iter().any(|r| b.rows.contains(r)) {
        return false;
    }
    a.amounts
        .iter()
        .any(|x| b.amounts.iter().any(|y| x.text == y.text && (!x.is_literal || x.is_minus != y.is_minus)))
}

/// Rows of a model are deleted and others put in their place; links are cleared and set.
fn replaced(cx: &Context<'_>, a: &Item<'_>, b: &Item<'_>) -> bool {
    let one_model = || match (a.models.first(), b.models.first()) {
        (Some(x), Some(y)) => shares_table(cx.project, *x, *y),
        _ => false,
    };
    match (a.how, b.how) {
        (How::Delete, How::Insert) => one_model(),
        (How::Link, How::Link) => match (&a.link, &b.link) {
            (Some((name, true)), Some((other, false))) => {
                name == other && a.mentions.iter().any(|m| b.mentions.contains(m))
            }
            _ => false,
        },
        _ => false,
    }
}

/// A column is set on some rows of a model and then on one: the default address, the current version.
fn switched(cx: &Context<'_>, a: &Item<'_>, b: &Item<'_>) -> bool {
    let one_model = match (a.models.first(), b.models.first()) {
        (Some(x), Some(y)) => shares_table(cx.project, *x, *y),
        _ => false,
    };
    let both = a.how == How::Update && b.how == How::Update;
    let of_rows = |item: &Item<'_>| item.rows.is_empty();
    one_model
        && both
        && a.amounts.is_empty()
        && b.amounts.is_empty()
        && (of_rows(a) != of_rows(b))
        && (a.columns.iter().any(|c| b.columns.contains(c))
            || b.is_override && !a.columns.is_empty()
            || a.is_override && !b.columns.is_empty())
}

/// What a column of one row holds goes to the same column of another row of the model: two positions that are swapped.
fn exchanged(cx: &Context<'_>, a: &Item<'_>, b: &Item<'_>) -> bool {
    let one_model = match (a.models.first(), b.models.first()) {
        (Some(x), Some(y)) => shares_table(cx.project, *x, *y),
        _ => false,
    };
    let from = |x: &Item<'_>, y: &Item<'_>| x.sources.iter().any(|s| y.rows.contains(s));
    one_model
        && a.how == How::Update
        && b.how == How::Update
        && a.columns.iter().any(|c| b.columns.contains(c))
        && (from(a, b) || from(b, a))
}

fn has_loop_between(a: Node<'_>, b: Node<'_>) -> bool {
    let Some(block) = a.ancestors().find(|n| n.kind() == Kind::Block && n.contains(b.id())) else {
        return true;
    };
    block.children().any(|s| {
        s.id() > a.id()
            && !s.contains(b.id())
            && s.id() < b.id()
            && s.descendants().any(|n| matches!(n.kind(), Kind::For | Kind::While))
    })
}
