//! A loop whose writes of rows a rewrite takes out of the turns and puts into one statement before or after it: what
//! else happens in the loop that would notice.
//!
//! This is the one answer to "does anything in this loop read what it wrote", "what else is written between", "may a
//! turn end before its write" and "who takes the errors": every codemod that merges the writes of a loop asks here.

mod control;
mod source;

pub use control::in_atomic;

use super::lazy::{has_unknown_factory, is_lazy_name};
use super::writes::{
    self, Effect, call_subject, callee_subject, effect, is_in_callee, node_of, saves_plainly,
};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::ModelId;
use crate::infer::{Event, EventKind, Type, Write};
use crate::python::{Expr, Kind, Node, NodeId};
use control::{exits, handlers, handlers_outside, inner_atomic, is_caught, on_commit_around};
use source::{is_lazy, lazy_source};

/// A loop and the writes in it that are merged.
pub struct Batch<'b, 'a> {
    /// The `for` statement or the comprehension.
    pub node: Node<'a>,
    /// What is iterated first.
    pub iter: Node<'a>,
    /// The models of the rows that are written.
    pub tables: &'b [ModelId],
    /// The calls that write them.
    pub writes: &'b [Node<'a>],
    /// Nodes whose events the codemod judges itself.
    pub judged: &'b [NodeId],
    /// The rows were there before: whoever follows a relation to the same table sees what earlier turns wrote.
    pub is_update: bool,
}

/// Everything that happens between the writes.
pub fn between<'a>(cx: &Context<'a>, batch: &Batch<'_, 'a>, out: &mut Vec<Hazard>) {
    let atomic = in_atomic(cx, batch.node);
    for event in cx.events_in(batch.node) {
        if batch.writes.iter().any(|w| w.id() == event.at)
            || batch.judged.iter().any(|id| cx.node(*id).contains(event.at))
        {
            continue;
        }
        let at = cx.node(event.at);
        if batch.iter.contains(event.at) && !is_lazy(cx, batch.iter, event) {
            continue;
        }
        // What waits for the commit of a transaction around the loop runs after all rows either way.
        if let Some(call) = on_commit_around(cx, batch.node, at)
            && (atomic || inner_atomic(cx, batch.node, call))
        {
            continue;
        }
        hazard_of(cx, batch, event, atomic, out);
    }
    for name in batch.iter.descendants().filter(|n| n.kind() == Kind::Name) {
        lazy_source(cx, batch, name, out);
    }
    // `next(numbers)`
    let body = batch.node.descendants().filter(|n| n.kind() == Kind::Name && !batch.iter.contains(n.id()));
    for name in body.filter(|n| matches!(cx.type_of(*n), Type::Iterator(_))) {
        lazy_source(cx, batch, name, out);
    }
    let is_late = |name: Node<'a>| {
        let look = || is_lazy_name(cx, name) || has_unknown_factory(cx, name);
        cx.facts.once_for("names that are late", name.text().to_owned(), look)
    };
    for name in batch.node.descendants().filter(|n| n.kind() == Kind::Name) {
        let is_read = !name.is_binding() && name.enclosing_scope() == Some(cx.scope());
        if is_read && is_late(name) {
            out.push(cx.hazard(HazardKind::UnknownCall, name.text(), name));
        }
    }
    exits(cx, batch, atomic, out);
    handlers(cx, batch, out);
    handlers_outside(cx, batch, atomic, out);
}

pub(super) fn hazard_of<'a>(
    cx: &Context<'a>,
    batch: &Batch<'_, 'a>,
    event: Event<'_>,
    atomic: bool,
    out: &mut Vec<Hazard>,
) {
    if batch.is_update && follows_into(cx, batch, event) {
        out.push(Hazard::at(HazardKind::ReadsItsOwnWrites, call_subject(cx, event), event.site));
        return;
    }
    let Some(effect) = effect(cx, event, batch.tables) else { return };
    let at = cx.node(event.at);
    // Code that the engine brought along is nobody's to look at.
    let site = if cx.project.is_known_file(event.site.file) { cx.site(at) } else { event.site };
    let push = |out: &mut Vec<Hazard>, kind, subject| out.push(Hazard::at(kind, subject, site));
    match effect {
        Effect::Reads => {
            if let Some(method) = validation(at)
                && !is_in_callee(cx, event)
            {
                if validates_rows(cx, batch, at) {
                    push(out, HazardKind::ReadsItsOwnWrites, method.to_owned());
                }
                return;
            }
            push(out, HazardKind::ReadsItsOwnWrites, reading_subject(cx, event));
        }
        Effect::Writes(_) => {
            if is_upsert_node(at) {
                push(out, HazardKind::ReadsItsOwnWrites, callee_subject(cx, event));
            } else {
                push(out, HazardKind::InterleavedWrites, callee_subject(cx, event));
            }
        }
        Effect::WritesOther(model, write) => {
            let is_upsert = || node_of(cx, event).is_some_and(is_upsert_node);
            let harmless = write == Write::Insert
                || write == Write::Update && (is_upsert() || saves_values(cx, batch, model, at));
            if !(harmless && saves_plainly(cx, model)) {
                push(out, HazardKind::InterleavedWrites, callee_subject(cx, event));
            }
        }
        Effect::Outside => push(out, HazardKind::OutsideEffect, callee_subject(cx, event)),
        Effect::Unknown => {
            let EventKind::UnknownCall { name } = &event.kind else { return };
            push(out, HazardKind::UnknownCall, name.to_string());
        }
        Effect::Transaction => {
            let subject = callee_subject(cx, event);
            let waits = subject.ends_with("on_commit");
            if !(waits && (atomic || inner_atomic(cx, batch.node, at))) {
                push(out, HazardKind::TransactionInside, subject);
            }
        }
        Effect::Raises => {
            let explicit = node_of(cx, event)
                .is_some_and(|n| matches!(n.kind(), Kind::Raise | Kind::Assert) || validation(n).is_some());
            let direct = !is_in_callee(cx, event) && matches!(at.kind(), Kind::Raise);
            if explicit && !direct && !atomic && !is_caught(at, batch.node) {
                push(out, HazardKind::EarlyExit, callee_subject(cx, event));
            }
        }
        Effect::Suspends => {
            if is_in_callee(cx, event) {
                push(out, HazardKind::EarlyExit, callee_subject(cx, event));
            }
        }
    }
}

/// Whether the node saves an instance of `model`, with values that were computed by then: a row of another table that is
/// written sooner or later than these, and that points at none of those that are not there yet.
fn saves_values<'a>(cx: &Context<'a>, batch: &Batch<'_, 'a>, model: ModelId, node: Node<'a>) -> bool {
    let Expr::Call { func, .. } = Expr::of(node) else { return false };
    let Expr::Attribute { value, attr: "save" | "asave", .. } = Expr::of(func) else { return false };
    let asks = |n: Node<'a>| {
        matches!(Expr::of(n), Expr::Call { func, .. }
            if matches!(func.text().rsplit('.').next(), Some("Subquery" | "Exists" | "RawSQL" | "ArraySubquery")))
    };
    let points_at_them = || {
        cx.model(model).fields.iter().filter_map(|f| f.relation.as_ref()).any(|r| {
            r.target.is_none_or(|t| batch.tables.iter().any(|own| writes::shares_table(cx.project, t, *own)))
        })
    };
    matches!(cx.type_of(value), Type::Instance(_))
        && (batch.is_update || !points_at_them())
        && !batch.node.descendants().any(|n| n.kind() == Kind::Call && asks(n))
}

fn reading_subject(cx: &Context<'_>, event: Event<'_>) -> String {
    if is_upsert_node(cx.node(event.at)) { callee_subject(cx, event) } else { call_subject(cx, event) }
}

/// `x.full_clean`, where the node is a call of it.
fn validation(node: Node<'_>) -> Option<&str> {
    let Expr::Call { func, .. } = Expr::of(node) else { return None };
    match Expr::of(func) {
        Expr::Attribute {
            attr: "full_clean" | "validate_unique" | "validate_constraints" | "clean_fields",
            ..
        } => Some(func.text()),
        _ => None,
    }
}

/// Whether validating the instance asks the tables that are written: for what is unique, or for a parent row.
fn validates_rows<'a>(cx: &Context<'a>, batch: &Batch<'_, 'a>, call: Node<'a>) -> bool {
    let Expr::Call { func, .. } = Expr::of(call) else { return true };
    let Expr::Attribute { value, .. } = Expr::of(func) else { return true };
    let Type::Instance(instance) = cx.type_of(value) else { return true };
    let model = cx.model(instance.model);
    let key = model.primary_key().map(|k| k.name.as_str());
    let unique = model.unique.iter().any(|set| set.iter().any(|f| Some(f.as_str()) != key));
    let program = cx.project.program();
    // Constraints with conditions, `unique_for_date`, overrides of `clean()` and its like.
    let says_unique = program.class(model.class).mro.iter().any(|c| {
        let class = program.class(*c);
        let text = program.file(class.file).node(class.node).text();
        text.contains("nique") || text.contains("ExclusionConstraint")
    });
    let points_at_row = batch.writes.len() > 1
        && model.fields.iter().any(|f| {
            f.relation
                .as_ref()
                .and_then(|r| r.target)
                .is_some_and(|t| batch.tables.iter().any(|table| writes::shares_table(cx.project, t, *table)))
        });
    unique || says_unique || points_at_row
}

fn is_upsert_node(node: Node<'_>) -> bool {
    let Expr::Call { func, .. } = Expr::of(node) else { return false };
    matches!(Expr::of(func), Expr::Attribute { attr: "get_or_create" | "update_or_create", .. })
}

/// Whether a relation that leads to one of the tables is followed: `category.parent` while categories are saved.
fn follows_into(cx: &Context<'_>, batch: &Batch<'_, '_>, event: Event<'_>) -> bool {
    let EventKind::ReadRelation { path, model, .. } = &event.kind else { return false };
    let Some(last) = path.last() else { return false };
    let target = cx.model(*model).field(last).and_then(|f| f.relation.as_ref()).and_then(|r| r.target);
    match target {
        Some(target) => batch.tables.iter().any(|t| writes::shares_table(cx.project, target, *t)),
        // Backwards through a one-to-one relation, or a target that is not known.
        None => batch.tables.iter().any(|t| {
            cx.model(*t).fields.iter().any(|f| {
                f.relation
                    .as_ref()
                    .is_some_and(|r| r.target.is_none_or(|to| writes::shares_table(cx.project, to, *model)))
            })
        }),
    }
}
