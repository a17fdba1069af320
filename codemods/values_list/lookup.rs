//! Keys for an `__in` lookup: a subquery where rows and moment are provably the same.

use super::find::{Match, Rowwise};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::rows::Collects;
use ormend_engine::codemod::rows::place::is_consumed;
use ormend_engine::django::ModelId;
use ormend_engine::infer::{EventKind, QuerySetClass, Trait, Type};
use ormend_engine::python::{Expr, Field, Kind, Node};

/// Methods that read the outer queryset on the spot.
const READERS: &[&str] =
    &["count", "exists", "first", "last", "get", "aggregate", "earliest", "latest", "in_bulk", "contains"];

/// Methods that make another queryset and read nothing.
const LINKS: &[&str] = &[
    "all",
    "filter",
    "exclude",
    "order_by",
    "distinct",
    "select_related",
    "prefetch_related",
    "only",
    "defer",
    "annotate",
    "values",
    "values_list",
    "reverse",
];

/// Whether the list of keys may be a subquery.
pub fn is_subquery(cx: &Context<'_>, found: &Match<'_>) -> bool {
    outer(cx, found).is_some()
}

fn outer<'a>(cx: &Context<'a>, found: &Match<'a>) -> Option<()> {
    let is_keys = matches!(found.shape.collects, Collects::List | Collects::Set | Collects::Generator)
        && found.shape.filling.is_none()
        && found.rowwise == Rowwise::Flat;
    if !is_keys {
        return None;
    }
    let inner = &found.shape.source.queryset;
    // LIMIT in an IN subquery is refused by MySQL; a named database may be another one.
    let unfit = [
        Trait::Sliced,
        Trait::Using,
        Trait::Locked,
        Trait::Distinct,
        Trait::DistinctOn,
        Trait::Combined,
        Trait::Annotated,
        Trait::Mysterious,
    ];
    if unfit.iter().any(|t| inner.is(*t)) || found.shape.source.is_streamed || has_databases(cx) {
        return None;
    }
    let keyword = found.shape.node.with_parens().parent().filter(|p| p.kind() == Kind::KeywordArgument)?;
    let lookup = keyword.child(Field::Name)?.text().strip_suffix("__in")?;
    let call = keyword.parent().filter(|p| p.kind() == Kind::Arguments)?.parent()?;
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    let Expr::Attribute { value: receiver, attr: method @ ("filter" | "get"), .. } = Expr::of(func) else {
        return None;
    };
    let (model, class, is_using) = match cx.type_of(receiver) {
        Type::Manager(manager) => (manager.model, manager.class, false),
        Type::QuerySet(queryset) => (queryset.model, queryset.class, queryset.is(Trait::Using)),
        _ => return None,
    };
    // A filter() of the project's own may do anything with a queryset.
    let own = match class {
        QuerySetClass::Plain => false,
        QuerySetClass::Custom(class) => ["filter", "get", "_filter_or_exclude"]
            .iter()
            .any(|m| cx.project.program().member(class, m).is_some()),
        QuerySetClass::Unknown => true,
    };
    if own || is_using || !is_key_of(cx, model, lookup, inner.model, &found.columns.first()?.identity) {
        return None;
    }
    let end = if method == "get" { call } else { read_on_the_spot(cx, call)? };
    let is_quiet = cx.events_in(end).all(|e| {
        !matches!(
            e.kind,
            EventKind::Write { .. }
                | EventKind::UnknownCall { .. }
                | EventKind::Outside { .. }
                | EventKind::Suspend
        )
    });
    is_quiet.then_some(())
}

/// More than one database, or a router that chooses.
fn has_databases(cx: &Context<'_>) -> bool {
    let settings = cx.project.settings();
    settings.database_engines.len() > 1
        || settings.files.iter().any(|f| cx.project.program().file(*f).source.mentions("DATABASE_ROUTERS"))
}

/// A key against its own model's key, both ways round.
fn is_key_of(cx: &Context<'_>, outer: ModelId, lookup: &str, inner: ModelId, column: &str) -> bool {
    let key = |model: ModelId| cx.model(model).primary_key().map(|f| f.name.as_str());
    let concrete = |model: ModelId| cx.model(model).concrete;
    let points_at = |model: ModelId, name: &str, target: ModelId| {
        let info = cx.model(model);
        info.field(name)
            .or_else(|| info.field_by_attname(name))
            .and_then(|f| f.relation.as_ref())
            .is_some_and(|r| {
                r.to_field.is_none() && r.target.is_some_and(|t| concrete(t) == concrete(target))
            })
    };
    let is_outer_key = lookup == "pk" || key(outer) == Some(lookup);
    let is_inner_key = key(inner) == Some(column);
    if is_outer_key {
        return (is_inner_key && concrete(outer) == concrete(inner)) || points_at(inner, column, outer);
    }
    is_inner_key && points_at(outer, lookup, inner)
}

/// The expression that reads the queryset which `call` makes, if that is the one around it.
fn read_on_the_spot<'a>(cx: &Context<'a>, call: Node<'a>) -> Option<Node<'a>> {
    let mut node = call;
    loop {
        if is_consumed(cx, node) {
            return Some(node);
        }
        let outer = node.with_parens();
        let attribute =
            outer.parent().filter(|p| p.kind() == Kind::Attribute && outer.field() == Field::Object)?;
        let Expr::Attribute { attr, .. } = Expr::of(attribute) else { return None };
        let call = attribute.parent().filter(|p| p.kind() == Kind::Call)?;
        if READERS.contains(&attr) {
            return Some(call);
        }
        if !LINKS.contains(&attr) {
            return None;
        }
        node = call;
    }
}
