//! What stands between a shape and its rewrite.

use super::find::{Empty, Function, Match, What};
use super::groups::{Groups, is_unordered};
use super::term::{Column, Number, Term, model};
use ormend_engine::codemod::guards::life;
use ormend_engine::codemod::guards::projection::{dropping_joins, dropping_order, row_changes};
use ormend_engine::codemod::guards::queryset;
use ormend_engine::codemod::rows::hazards::{handlers, instances, shadowed};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::django::FieldKind;
use ormend_engine::infer::{QuerySet, Trait};
use ormend_engine::python::{Expr, Kind, Node, arguments, string_value};
use std::sync::Arc;

/// Every hazard of a match.
pub fn hazards<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    for column in found.columns() {
        out.extend(column.hazards.iter().cloned());
    }
    rows(cx, found, out);
    for filter in found.filters() {
        out.extend(filter.hazards.iter().cloned());
    }
    match &found.what {
        What::Values(parts) => {
            for part in parts {
                if let Some(term) = &part.term {
                    value(cx, part.function, term, &part.empty, &part.guarded, out);
                }
                if part.empty == Empty::Raises {
                    out.push(cx.hazard(HazardKind::NoRows, callee(part.function), found.node));
                }
            }
        }
        What::Groups(groups) => {
            if let Some(term) = &groups.term {
                value(cx, Function::Sum, term, &Empty::None, &groups.guarded, out);
            }
            keys(cx, found, groups, out);
            if let Some(site) = shadowed(cx, found.node, "dict") {
                out.push(cx.hazard(HazardKind::ImportShadowed, "dict", site));
            }
        }
    }
    if let Some(comment) = lost_comment(found) {
        out.push(cx.hazard(HazardKind::CommentLost, "", comment));
    }
}

fn callee(function: Function) -> &'static str {
    match function {
        Function::Min => "min()",
        Function::Avg => "mean()",
        _ => "max()",
    }
}

/// What is between the database and the rows, and who else has them.
fn rows<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    let source = &found.shape.source;
    let mut states: Vec<Arc<QuerySet>> = vec![source.queryset.clone()];
    for id in &source.queryset.values {
        states.extend(cx.value(*id).and_then(|v| v.queryset.clone()));
    }
    for state in &states {
        row_changes(cx, state, out);
        dropping_joins(cx, state, out);
        dropping_order(cx, state, out);
    }
    if source.keys.is_none() {
        instances(cx, &source.queryset, out);
    }
    let mut refused = vec![
        Trait::Combined,
        Trait::Locked,
        Trait::LockedOf,
        Trait::Raw,
        Trait::RawSql,
        Trait::Dates,
        Trait::Grouped,
        Trait::Mysterious,
        // "aggregate() + distinct(fields) not implemented."
        Trait::DistinctOn,
    ];
    match &found.what {
        What::Groups(_) => {
            refused.extend([Trait::Sliced, Trait::Distinct, Trait::Annotated]);
        }
        // Of rows that are dicts only the columns that are read are compared.
        What::Values(_) if source.keys.is_some() => refused.push(Trait::Distinct),
        What::Values(_) => {}
    }
    queryset::shape(cx, &source.queryset, source.iter, &refused, out);
    // What rows are ordered by is a part of what makes them distinct, and `aggregate()` drops the order; an annotation that
    // repeats rows may be dropped, too.
    let is_repeated = source.queryset.is(Trait::ToMany) || source.queryset.is(Trait::OpaqueLookup);
    if is_repeated && source.queryset.is(Trait::Ordered) {
        queryset::shape(cx, &source.queryset, source.iter, &[Trait::Distinct], out);
    }
    if is_repeated && matches!(found.what, What::Values(_)) {
        queryset::shape(cx, &source.queryset, source.iter, &[Trait::Annotated], out);
    }
    if source.queryset.is(Trait::Sliced) && !is_ordered(cx, &source.queryset) {
        queryset::shape(cx, &source.queryset, source.iter, &[Trait::Sliced], out);
    }
    let mut elsewhere = Vec::new();
    life::hazards(cx, &source.queryset, source.iter, &mut elsewhere);
    // Those that one query answers together are not elsewhere.
    let is_member = |h: &Hazard| {
        h.kind == HazardKind::ResultCacheUsed
            && h.site
                .is_some_and(|s| s.file == cx.file && found.members.iter().any(|m| m.span().contains(s.span)))
    };
    out.extend(elsewhere.into_iter().filter(|h| !is_member(h)));
    handlers(cx, &found.shape, out);
}

fn is_ordered(cx: &Context<'_>, queryset: &QuerySet) -> bool {
    queryset.is(Trait::Ordered) || is_ordered_by_model(cx, queryset)
}

fn is_ordered_by_model(cx: &Context<'_>, queryset: &QuerySet) -> bool {
    let model = cx.model(queryset.model);
    (!model.ordering.is_empty() || model.order_with_respect_to.is_some())
        && !queryset.is(Trait::Unordered)
        && !queryset.is(Trait::Ordered)
}

/// What the database computes in another way.
fn value<'a>(
    cx: &Context<'a>,
    function: Function,
    term: &Term<'a>,
    empty: &Empty,
    guarded: &[String],
    out: &mut Vec<Hazard>,
) {
    for column in term.columns.iter().filter(|c| !guarded.contains(&c.path)) {
        if let Some((name, site)) = &column.null {
            out.push(Hazard::at(HazardKind::NullableField, name.clone(), *site));
        }
    }
    for column in &term.columns {
        let fits = match function {
            Function::Sum | Function::Count | Function::Avg => term.number != Number::Other,
            Function::Min | Function::Max => is_comparable(column.kind),
        };
        if !fits || !column.is_plain {
            let site = column.site.unwrap_or(cx.site(column.node));
            out.push(Hazard::at(HazardKind::FieldArithmetic, name_of(column), site));
        }
        let is_text = matches!(column.kind, FieldKind::Char | FieldKind::Text);
        if is_text && matches!(function, Function::Min | Function::Max) {
            out.push(cx.hazard(HazardKind::DatabaseText, name_of(column), column.node));
        }
    }
    let is_exact = match (function, term.number) {
        // The mean of 1 and 3 is an integer in Python.
        (Function::Avg, _) => false,
        (_, Number::Integer | Number::Other) => true,
        (Function::Min | Function::Max, Number::Float) => term.is_column,
        // PostgreSQL stores and adds decimals as Python does.
        (_, Number::Decimal) => is_postgresql(cx) && *empty != Empty::Value("0".to_owned()),
        (_, Number::Float) => false,
    };
    if function == Function::Avg {
        out.push(cx.hazard(HazardKind::OtherDigits, callee(function), term.node));
    } else if !is_exact {
        out.push(cx.hazard(HazardKind::OtherDigits, term.node.text(), term.node));
    }
}

fn is_postgresql(cx: &Context<'_>) -> bool {
    let engines = &cx.project.settings().database_engines;
    !engines.is_empty() && engines.iter().all(|e| e.contains("postg"))
}

fn name_of(column: &Column<'_>) -> String {
    column.path.replace("__", ".")
}

fn is_comparable(kind: FieldKind) -> bool {
    matches!(
        kind,
        FieldKind::Auto
            | FieldKind::Integer
            | FieldKind::Decimal
            | FieldKind::Float
            | FieldKind::Char
            | FieldKind::Text
            | FieldKind::Date
            | FieldKind::DateTime
            | FieldKind::Time
            | FieldKind::Duration
    )
}

/// How the database forms groups, and in which order it gives them.
fn keys<'a>(cx: &Context<'a>, found: &Match<'a>, groups: &Groups<'a>, out: &mut Vec<Hazard>) {
    let key = &groups.key;
    if !key.is_plain {
        let site = key.site.unwrap_or(cx.site(key.node));
        out.push(Hazard::at(HazardKind::FieldArithmetic, name_of(key), site));
    }
    let folds = cx.project.settings().database_engines.iter().any(|e| e.contains("mysql"));
    if matches!(key.kind, FieldKind::Char | FieldKind::Text) && (key.is_collated || folds) {
        out.push(cx.hazard(HazardKind::DatabaseText, name_of(key), key.node));
    }
    // A foreign key of a related row that is missing has no key.
    if key.path.contains("__")
        && let Some((name, site)) = key.null.as_ref().filter(|(n, _)| !key.path.ends_with(n.as_str()))
    {
        out.push(Hazard::at(HazardKind::NullableField, name.clone(), *site));
    }
    if let Some(order) = order(cx, found)
        && key_order(cx, found, &key.path).is_none()
        && !is_unordered(found, groups)
    {
        out.push(cx.hazard(HazardKind::GroupOrder, order, found.shape.source.iter));
    }
}

/// What gives the rows their order, in words.
pub fn order(cx: &Context<'_>, found: &Match<'_>) -> Option<String> {
    let queryset = &found.shape.source.queryset;
    if [Trait::Ordered, Trait::OrderedSometimes, Trait::Reversed].iter().any(|t| queryset.is(*t)) {
        return Some("order_by()".to_owned());
    }
    is_ordered_by_model(cx, queryset).then(|| format!("{}.Meta.ordering", cx.model(model(&found.shape)).name))
}

/// `"status"` or `"-status"`, where the rows are ordered by the key before all else.
pub fn key_order<'a>(cx: &Context<'a>, found: &Match<'a>, key: &str) -> Option<String> {
    let queryset = &found.shape.source.queryset;
    if queryset.is(Trait::OrderedSometimes) || queryset.is(Trait::Reversed) {
        return None;
    }
    let first = if queryset.is(Trait::Ordered) {
        let call = queryset::link(cx, queryset, |node| {
            matches!(Expr::of(node), Expr::Call { func, .. }
                if matches!(Expr::of(func), Expr::Attribute { attr: "order_by" | "reverse", .. }))
        })?;
        let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
        if !matches!(Expr::of(func), Expr::Attribute { attr: "order_by", .. }) {
            return None;
        }
        arguments(list).first().and_then(|a| string_value(a.value))?
    } else if is_ordered_by_model(cx, queryset) {
        cx.model(queryset.model).ordering.first().cloned()?
    } else {
        return None;
    };
    (first.trim_start_matches('-') == key).then_some(first)
}

/// A comment that the new text has no place for.
fn lost_comment<'a>(found: &Match<'a>) -> Option<Node<'a>> {
    let kept = found.shape.source.base.span();
    let within = found.node.span();
    let around = found.node.parent()?;
    around
        .descendants()
        .find(|n| n.kind() == Kind::Comment && within.contains(n.span()) && !kept.contains(n.span()))
}
