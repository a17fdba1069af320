//! What `count()` does not see of a queryset that `len()` sees: its order, which Django drops before it counts, with the
//! joins and the columns that the order brought along (`Query.get_aggregation`, django/db/models/sql/query.py).

use super::queryset::shape;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{ModelId, RelationKind};
use crate::infer::{Origin, QuerySet, Rows, Trait, ValueId};
use crate::python::{Expr, Kind, Node, arguments, string_value};

/// Hazards of counting the rows of `qs`, written `receiver`, in the database.
pub fn hazards<'a>(cx: &Context<'a>, qs: &QuerySet, receiver: Node<'a>, out: &mut Vec<Hazard>) {
    shape(cx, qs, receiver, &[Trait::Combined, Trait::RawSql], out);
    // A slice keeps its order.
    if qs.is(Trait::Sliced) {
        return;
    }
    let model = cx.model(qs.model);
    let is_explicit = qs.is(Trait::Ordered) || qs.is(Trait::OrderedSometimes);
    let by_model = !qs.is(Trait::Unordered) && (!qs.is(Trait::Ordered) || qs.is(Trait::Reversed));
    let selects = qs.is(Trait::Distinct) || qs.is(Trait::Grouped);
    let calls = if is_explicit { orders(cx, qs) } else { Vec::new() };
    let is_opaque = qs.is(Trait::ToMany) || qs.is(Trait::OpaqueLookup) || selects;
    if is_explicit && is_opaque {
        let harmless = |call: &Node<'a>| is_harmless(cx, qs, *call, selects);
        // Of two querysets that are combined, the second one's order counts.
        if qs.is(Trait::Mysterious) || (calls.is_empty() && !qs.is(Trait::Reversed)) {
            out.push(cx.hazard(HazardKind::QuerySetShape, "order_by()", receiver));
        } else if let Some(call) = calls.iter().find(|c| !harmless(c)) {
            out.push(cx.hazard(HazardKind::QuerySetShape, "order_by()", *call));
        }
    }
    // The model's own order is no part of GROUP BY.
    if by_model && !qs.is(Trait::Grouped) {
        let is_distinct = qs.is(Trait::Distinct) && qs.rows != Rows::Instances;
        let lost = model.ordering.iter().find(|name| {
            let path = name.trim_start_matches('-');
            cx.project.is_to_many(qs.model, path) || (is_distinct && !is_selected(cx, qs, path))
        });
        if lost.is_some() || (is_distinct && model.order_with_respect_to.is_some()) {
            let subject = format!("{}.Meta.ordering", model.name);
            out.push(Hazard::at(HazardKind::QuerySetShape, subject, model.site));
        }
    }
}

/// The calls of `order_by` that decide on the order, on every way that leads here.
fn orders<'a>(cx: &Context<'a>, qs: &QuerySet) -> Vec<Node<'a>> {
    let mut out = Vec::new();
    let mut ids: Vec<ValueId> = qs.values.to_vec();
    let mut seen = Vec::new();
    while let Some(id) = ids.pop() {
        if seen.contains(&id) || seen.len() > 100 {
            continue;
        }
        seen.push(id);
        let Some(value) = cx.value(id) else { continue };
        ids.extend(value.alternatives.iter().copied());
        if let Origin::Expr(origin) = value.origin
            && let Expr::Call { func, .. } = Expr::of(cx.node(origin))
            && let Expr::Attribute { attr: "order_by", .. } = Expr::of(func)
        {
            out.push(cx.node(origin));
            continue;
        }
        ids.extend(value.parent);
    }
    out
}

/// Whether the order adds no rows; where rows are compared or grouped (`selects`), also no columns.
fn is_harmless<'a>(cx: &Context<'a>, qs: &QuerySet, call: Node<'a>, selects: bool) -> bool {
    let Expr::Call { arguments: list, .. } = Expr::of(call) else { return false };
    arguments(list).iter().all(|argument| {
        let literal = string_value(argument.value);
        if argument.stars > 0 || (literal.is_none() && selects) {
            return false;
        }
        match literal {
            Some(name) => {
                let path = name.trim_start_matches(['-', '+']);
                let adds_nothing = match qs.rows {
                    Rows::Instances if !qs.is(Trait::Grouped) => is_own(cx, qs.model, path),
                    _ => is_selected(cx, qs, path),
                };
                !cx.project.is_to_many(qs.model, path) && (!selects || adds_nothing)
            }
            // F("title").desc(), Lower("title")
            None => {
                let names: Vec<Node<'a>> =
                    argument.value.descendants().filter(|n| n.kind() == Kind::Str).collect();
                !names.is_empty()
                    && argument.value.kind() == Kind::Call
                    && names
                        .iter()
                        .all(|n| string_value(*n).is_some_and(|s| !cx.project.is_to_many(qs.model, &s)))
            }
        }
    })
}

/// A path of columns of the row itself and of the rows that its foreign keys point at.
fn is_own(cx: &Context<'_>, model: ModelId, path: &str) -> bool {
    let mut model = model;
    for part in path.split("__") {
        let info = cx.model(model);
        if part == "pk" {
            return true;
        }
        let Some(field) = info.field(part).or_else(|| info.field_by_attname(part)) else { return false };
        match &field.relation {
            None => return true,
            Some(relation) if is_one(relation.kind) => match relation.target {
                Some(target) => model = target,
                None => return false,
            },
            Some(_) => return false,
        }
    }
    true
}

/// Whether `values()` or an annotation has the column already.
fn is_selected(cx: &Context<'_>, qs: &QuerySet, path: &str) -> bool {
    if qs.is(Trait::Grouped) && qs.annotations.contains(path) {
        return true;
    }
    let call = super::queryset::link(cx, qs, |node| {
        matches!(Expr::of(node), Expr::Call { func, .. }
            if matches!(Expr::of(func), Expr::Attribute { attr: "values" | "values_list", .. }))
    });
    let Some(Expr::Call { arguments: list, .. }) = call.map(Expr::of) else { return false };
    arguments(list).iter().any(|a| a.name.is_none() && string_value(a.value).as_deref() == Some(path))
}

fn is_one(kind: RelationKind) -> bool {
    matches!(kind, RelationKind::ForeignKey | RelationKind::OneToOne)
}
