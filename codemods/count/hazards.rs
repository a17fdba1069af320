//! What makes `count()` differ from the number of loaded rows.

use super::find::Match;
use ormend_engine::codemod::guards::projection::{dropping_joins, dropping_order, prefetched};
use ormend_engine::codemod::guards::queryset::standard;
use ormend_engine::codemod::guards::{counted, life, making};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::infer::{QuerySet, Rows, Trait, Type};
use ormend_engine::python::Node;

/// What a queryset's class must leave as Django has it.
const METHODS: &[&str] = &[
    "count",
    "acount",
    "__len__",
    "__iter__",
    "__aiter__",
    "_fetch_all",
    "iterator",
    "aiterator",
    "_iterator",
    "_iterable_class",
    "values_list",
    "distinct",
];

/// Every hazard of a match.
pub fn hazards<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    let Some(qs) = standard(cx, found.receiver, METHODS, out) else { return };
    out.extend(found.hazards.iter().cloned());
    if found.set_of.is_none() {
        counted::hazards(cx, qs, found.receiver, out);
    }
    if qs.is(Trait::Mysterious) {
        // `select_related(*names)`: any of them.
        let mut opaque = qs.clone();
        opaque.traits.insert(Trait::BareSelectRelated);
        dropping_joins(cx, &opaque, out);
    }
    dropping_joins(cx, qs, out);
    dropping_order(cx, qs, out);
    if qs.rows == Rows::Instances {
        making::instances(cx, qs.model, out);
    }
    if matches!(cx.type_of(found.receiver), Type::QuerySet(_)) {
        life::object_hazards(cx, qs, found.read, out);
    }
    if found.is_streamed {
        streamed(cx, qs, found.receiver, out);
    }
    life::slice_hazards(cx, qs, found.receiver, out);
}

/// `iterator()` asks the database, where `count()` answers from rows that were prefetched.
fn streamed<'a>(cx: &Context<'a>, qs: &QuerySet, receiver: Node<'a>, out: &mut Vec<Hazard>) {
    let Some(related) = &qs.related else { return };
    let mut found = Vec::new();
    prefetched(cx, &related.owner, &related.accessor, receiver.text(), &mut found);
    let subject = receiver.text();
    out.extend(found.into_iter().map(|h| Hazard {
        kind: HazardKind::StaleRows,
        site: h.site,
        subject: subject.to_owned(),
    }));
}
