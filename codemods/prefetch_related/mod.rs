//! Fetch the rows of to-many relations with one query for all rows instead of a query a row.

use ormend_engine::codemod::eager::{self, Group, Load};
use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group as Family, Hazard, HazardKind, Meta};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct PrefetchRelated;

impl Codemod for PrefetchRelated {
    type Match<'a> = Group;

    fn meta(&self) -> Meta {
        Meta {
            name: "prefetch-related",
            group: Family::EagerLoading,
            summary: "Fetch the rows of to-many relations with one query for all rows instead of a query a row.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::StaleCopy,
                HazardKind::SharedInstance,
                HazardKind::RarelyRead,
                HazardKind::LoadedWithout,
                HazardKind::SharedQuerySet,
                HazardKind::NoConstraint,
                HazardKind::QuerySetShape,
                HazardKind::ResultCacheUsed,
                HazardKind::WatchedInit,
                HazardKind::UnknownWrite,
                HazardKind::CustomManagerMethod,
                HazardKind::CustomQuerySet,
                HazardKind::NoPlaceToEdit,
                HazardKind::OtherDatabase,
                HazardKind::UnknownBase,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        eager::KINDS
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Group> {
        eager::find(cx, node, Load::Prefetch)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Group, out: &mut Vec<Hazard>) {
        eager::hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Group) -> Description {
        eager::describe(cx, found)
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Group) -> Result<Fix, Hazard> {
        eager::rewrite(cx, found)
    }
}
