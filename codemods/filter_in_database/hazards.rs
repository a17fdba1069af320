//! What makes the database give other rows, or costs a query.

use super::find::{Answer, Match, Shape, is_read_at_once, is_write};
use ormend_engine::codemod::guards::life;
use ormend_engine::codemod::guards::projection::{dropping_joins, dropping_order, row_changes};
use ormend_engine::codemod::guards::queryset::{Reading, reading, shape};
use ormend_engine::codemod::rows::hazards::{instances, shadowed};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::infer::{Trait, Type};
use ormend_engine::python::{Expr, Field, Kind, Node, arguments};

/// Methods that the classes of the queryset and its manager must leave as Django has them.
const METHODS: &[&str] = &["filter", "exclude", "all", "_filter_or_exclude", "_filter_or_exclude_inplace"];

/// Every hazard of a match.
pub fn hazards<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    let queryset = &found.source.queryset;
    let base = found.source.base;
    out.extend(found.translation.hazards.iter().cloned());
    row_changes(cx, queryset, out);
    let mut methods = METHODS.to_vec();
    match found.shape {
        Shape::First | Shape::Search { answer: Answer::Row, .. } => methods.push("first"),
        Shape::Exists { .. } | Shape::Search { .. } => methods.push("exists"),
        _ => {}
    }
    match reading(cx, queryset.model, queryset.class, &methods) {
        Reading::Standard => {}
        Reading::Custom(what, site) => out.push(Hazard::at(HazardKind::CustomQuerySet, what, site)),
        Reading::Unknown => out.push(cx.hazard(HazardKind::UnknownType, base.text(), base)),
    }
    let refused = [Trait::Combined, Trait::DistinctOn, Trait::Locked];
    shape(cx, queryset, base, &refused, out);
    windows(cx, found, out);
    instances(cx, queryset, out);
    life::hazards(cx, queryset, base, out);
    stale(cx, found, out);
    // `Book.objects.all()` becomes `Book.objects.filter(...)`.
    if let Some((receiver, _)) = super::rewrite::all_call(base)
        && let Type::Manager(manager) = cx.type_of(receiver)
        && let Reading::Custom(what, site) = reading(cx, manager.model, manager.class, METHODS)
    {
        out.push(Hazard::at(HazardKind::CustomQuerySet, what, site));
    }
    // Joins that drop rows are not made to ask whether there is one.
    let asks = |answer| matches!(answer, Answer::Found | Answer::Missing);
    if matches!(found.shape, Shape::Exists { .. })
        || matches!(found.shape, Shape::Search { answer, .. } if asks(answer))
    {
        dropping_joins(cx, queryset, out);
        dropping_order(cx, queryset, out);
    }
    if matches!(found.shape, Shape::Only)
        && let Some(name) = super::rewrite::collector(cx, found)
        && let Some(site) = shadowed(cx, found.node, name)
    {
        out.push(cx.hazard(HazardKind::ImportShadowed, name, site));
    }
    if matches!(found.shape, Shape::Lambda) && !is_read_at_once(cx, found) {
        out.push(cx.hazard(HazardKind::QuerySetEscapes, base.text(), found.node));
    }
    if let Some(comment) = lost_comment(found) {
        out.push(cx.hazard(HazardKind::CommentLost, "", comment));
    }
}

/// A window goes over the rows that are left.
fn windows<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    if !found.source.queryset.is(Trait::Annotated) {
        return;
    }
    let call = ormend_engine::codemod::guards::queryset::link(cx, &found.source.queryset, |node| {
        matches!(Expr::of(node), Expr::Call { func, arguments: list }
            if matches!(Expr::of(func), Expr::Attribute { attr: "annotate" | "alias", .. })
                && arguments(list).iter().any(|a| a.value.text().contains("Window(")))
    });
    if let Some(call) = call {
        out.push(cx.hazard(HazardKind::QuerySetShape, "Window()", call));
    }
}

/// A row of another table that is read when its turn comes, after what the loop has done to it by then.
fn stale<'a>(cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
    let reads_relation = found.translation.moved.iter().any(|test| {
        test.node.descendants().any(|n| match Expr::of(n) {
            Expr::Attribute { value, .. } if n.kind() == Kind::Attribute => {
                matches!(Expr::of(value), Expr::Attribute { .. })
            }
            _ => false,
        })
    });
    if !reads_relation {
        return;
    }
    let Some(body) = found.node.child(Field::Body) else { return };
    if let Some(event) = cx.events_in(body).find(|e| is_write(e.kind)) {
        let text = cx.node(event.at).text();
        out.push(Hazard {
            kind: HazardKind::StaleCopy,
            site: Some(cx.site(cx.node(event.at))),
            subject: text.lines().next().unwrap_or("").to_owned(),
        });
    }
}

/// A comment that the new text has no place for.
fn lost_comment<'a>(found: &Match<'a>) -> Option<Node<'a>> {
    let comments = |node: Node<'a>| node.descendants().filter(|n| n.kind() == Kind::Comment);
    match &found.shape {
        Shape::Only | Shape::Lambda | Shape::First | Shape::Exists { .. } => {
            comments(found.node).find(|c| !found.source.base.contains(c.id()))
        }
        Shape::Search { last, .. } => {
            let block = found.node.parent()?;
            comments(block).find(|c| {
                found.node.span().start <= c.span().start
                    && c.span().end <= last.span().end
                    && !found.source.base.contains(c.id())
            })
        }
        Shape::Clauses(clauses) => clauses.iter().flat_map(|c| comments(*c)).next(),
        Shape::Wrapped(..) | Shape::Guards(_) => {
            // Those of a loop stay where they are; those inside a condition have no line of their own.
            found.translation.moved.iter().flat_map(|t| comments(t.node)).next()
        }
    }
}
