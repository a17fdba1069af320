//! Rows that a framework reads of the queryset that this frame builds for it.

use super::guards;
use super::reads::{Load, climbed, is_loaded, is_served};
use super::remote::Remote;
use super::step::{self, Step};
use crate::codemod::Context;
use crate::infer::{Entry, EventKind, Facts, Path, Source, Type, ValueId};
use crate::text::Site;

/// The reads of the entries whose queryset the frame of `cx` builds, each with the value of the frame.
pub(super) fn reads(cx: &Context<'_>, load: Load, out: &mut Vec<(ValueId, Path, Remote)>) {
    let program = cx.project.program();
    let own = program.function_at(cx.file, cx.facts.scope);
    let is_module = cx.facts.scope == cx.root().id();
    for entry in cx.analyzer.entries() {
        let ty = match entry.source {
            Source::Function(function) if own == Some(function) => cx.facts.returns.clone(),
            Source::Expression(file, node) if is_module && file == cx.file => {
                Some(cx.facts.type_of(cx.node(node)).clone())
            }
            _ => None,
        };
        let Some(ty) = ty else { continue };
        for value in built(cx.facts, &ty) {
            of_entry(cx, load, entry, value, out);
        }
    }
}

/// The querysets that a value of this type may be: the one that stands for several, if there is one.
fn built(facts: &Facts, ty: &Type) -> Vec<ValueId> {
    let mut out = Vec::new();
    for alternative in ty.alternatives() {
        let Type::QuerySet(qs) = alternative else { continue };
        let stands = |v: &crate::infer::Value| v.alternatives.iter().eq(qs.values.iter());
        match facts.values.iter().position(stands) {
            Some(i) if qs.values.len() > 1 => out.push(ValueId(i as u32)),
            _ => out.extend(qs.values.iter().copied()),
        }
    }
    out
}

fn of_entry(
    cx: &Context<'_>,
    load: Load,
    entry: &Entry,
    value: ValueId,
    out: &mut Vec<(ValueId, Path, Remote)>,
) {
    let program = cx.project.program();
    let class = program.class(entry.class);
    let node = program.file(class.file).node(class.node);
    let name = node.child(crate::python::Field::Name).unwrap_or(node);
    let looped = Site { file: class.file, span: name.span() };
    for read in shown(cx, entry, load) {
        let ShownRead { path, steps, site, is_certain } = read;
        let mut hazards = Vec::new();
        guards::stale_copies(cx.project, &entry.facts.events, &steps, &mut hazards);
        let shown_by = Some(entry.class);
        out.push((value, path, Remote { site, looped, steps, hazards, is_certain, shown_by }));
    }
}

/// What an entry reads of each row.
pub(super) struct ShownRead {
    pub path: Path,
    pub steps: Vec<Step>,
    pub site: Site,
    pub is_certain: bool,
}

/// What an entry reads of each row that is loaded in one of the two ways, and is not yet.
pub(super) fn shown(cx: &Context<'_>, entry: &Entry, load: Load) -> Vec<ShownRead> {
    let facts = &entry.facts;
    let mut out: Vec<ShownRead> = Vec::new();
    for event in &facts.events {
        let read = match &event.kind {
            EventKind::ReadRelation { root, path, .. } => climbed(facts, *root, path),
            EventKind::ReadMany { root, path, method, .. } if load == Load::Prefetch && is_served(method) => {
                climbed(facts, *root, path)
            }
            _ => None,
        };
        let Some((value, path)) = read.filter(|(v, _)| is_row(facts, *v, entry.rows, 0)) else { continue };
        let Some(queryset) = facts.value(value).and_then(|v| v.queryset.as_deref()) else { continue };
        let steps = step::steps(cx.project, queryset.model, &path).filter(|s| load.is_for(s));
        // What the framework itself has loaded with the rows is left out.
        let Some(steps) = steps.filter(|s| !is_loaded(queryset, &path, s, load)) else { continue };
        let is_certain = event.rounds.iter().any(|r| r.value == value && r.is_certain);
        match out.iter_mut().find(|r| r.path == path) {
            Some(read) => read.is_certain |= is_certain,
            None => out.push(ShownRead { path, steps, site: event.site, is_certain }),
        }
    }
    out
}

/// Whether `value` is the queryset `rows`, or made from it.
fn is_row(facts: &Facts, value: ValueId, rows: ValueId, depth: usize) -> bool {
    value == rows
        || depth < 20
            && facts.value(value).is_some_and(|v| {
                v.parent.iter().chain(&v.alternatives).any(|up| is_row(facts, *up, rows, depth + 1))
            })
}
