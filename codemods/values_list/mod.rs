//! Read one or a few columns instead of whole rows.

mod find;
mod hazards;
mod lookup;
mod looped;
mod rewrite;
mod untyped;

use find::Match;
use ormend_engine::codemod::rows::Column;
use ormend_engine::codemod::rows::emit::quote_at;
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries, Untyped,
};
use ormend_engine::infer::Trait;
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct ValuesList;

impl Codemod for ValuesList {
    type Match<'a> = Match<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "values-list",
            group: Group::Projection,
            summary: "Read one or a few columns instead of whole rows.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::ResultCacheUsed,
                HazardKind::QuerySetEscapes,
                HazardKind::MayBeLoaded,
                HazardKind::CustomQuerySet,
                HazardKind::QuerySetShape,
                HazardKind::NotAColumn,
                HazardKind::CustomInstance,
                HazardKind::NoConstraint,
                HazardKind::NullableField,
                HazardKind::StaleCopy,
                HazardKind::UnknownType,
                HazardKind::HandlerAround,
                HazardKind::ImportShadowed,
                HazardKind::CommentLost,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::ListComp, Kind::SetComp, Kind::DictComp, Kind::GeneratorExp, Kind::Call, Kind::For]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
        // Inside f-strings that use both quotes there is none left for the column.
        find::find(cx, node).filter(|_| quote_at(cx, node).is_some())
    }

    fn untyped<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Untyped<'a>> {
        untyped::untyped(cx, node)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
        hazards::hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        let names: Vec<String> = found.columns.iter().map(|c| format!("`{}`", c.name)).collect();
        let listed = match names.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            _ => names.join(", "),
        };
        let count = names.len();
        let columns = if count == 1 { "1 column".to_owned() } else { format!("{count} columns") };
        let (before, after) = if lookup::is_subquery(cx, found) {
            ("2 queries".to_owned(), "1 query".to_owned())
        } else if leaves_out(found) || found.columns.iter().any(Column::is_joined) {
            ("1 + N queries".to_owned(), format!("1 query, {columns}"))
        } else {
            ("1 query, whole rows".to_owned(), format!("1 query, {columns}"))
        };
        Description {
            site: cx.site(found.shape.node),
            message: format!("Read {listed} with `values_list`"),
            related: Vec::new(),
            queries: Queries { before, after },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}

/// Whether `only()` or `defer()` leaves out a column that is read, so that each row costs a query.
fn leaves_out(found: &Match<'_>) -> bool {
    let queryset = &found.shape.source.queryset;
    if !queryset.is(Trait::Deferred) {
        return false;
    }
    let only: Vec<&str> = queryset.deferred.iter().filter_map(|d| d.strip_prefix('+')).collect();
    found.columns.iter().any(|column| {
        let names = [column.name.as_str(), column.identity.as_str()];
        let is_key = column.name == "pk" || column.name == "id";
        let deferred = names.iter().any(|n| queryset.deferred.contains(format!("-{n}").as_str()));
        deferred || (!only.is_empty() && !is_key && !names.iter().any(|n| only.contains(n)))
    })
}
