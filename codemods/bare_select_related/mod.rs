//! Name the relations that a bare `select_related()` is there for.

mod find;
mod plan;
mod rewrite;

use find::Found;
use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct BareSelectRelated;

impl Codemod for BareSelectRelated {
    type Match<'a> = Found<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "bare-select-related",
            group: Group::EagerLoading,
            summary: "Name the relations that a bare select_related() is there for.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::UnseenReader,
                HazardKind::QuerySetEscapes,
                HazardKind::LockedRows,
                HazardKind::RawSql,
                HazardKind::NoConstraint,
                HazardKind::DeferredColumns,
                HazardKind::QuerySetShape,
                HazardKind::CustomManagerMethod,
                HazardKind::UnknownBase,
                HazardKind::CommentLost,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Call, Kind::Assign]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Found<'a>> {
        find::found(cx, node)
    }

    fn hazards<'a>(&self, _: &Context<'a>, found: &Found<'a>, out: &mut Vec<Hazard>) {
        out.extend(found.plan.hazards.iter().cloned());
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Found<'a>) -> Description {
        let names: Vec<String> = found.plan.names.iter().map(|n| format!("`{n}`")).collect();
        let what = if found.receiver.is_some() { "select_related" } else { "list_select_related" };
        let is_unread = found.plan.hazards.iter().all(|h| h.kind != HazardKind::QuerySetEscapes);
        let message = match names.as_slice() {
            [] if !is_unread => {
                format!("Name what is read in `{what}`, which joins every foreign key without names")
            }
            [] => "Leave out `select_related()`: nobody reads what it joins".to_owned(),
            [only] => format!("Name {only} in `{what}`, which joins every foreign key without names"),
            [rest @ .., last] => {
                let listed = rest.join(", ");
                format!("Name {listed} and {last} in `{what}`, which joins every foreign key without names")
            }
        };
        let joins = |n: usize| match n {
            0 => "1 query".to_owned(),
            1 => "1 query with 1 join".to_owned(),
            n => format!("1 query with {n} joins"),
        };
        Description {
            site: cx.site(found.node),
            message,
            related: Vec::new(),
            queries: Queries { before: joins(found.plan.joined), after: joins(found.plan.kept) },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Found<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}
