//! Fetch single-valued relations that every row reads with a join instead of a query a row.
//!
//! The reads come from the facts of the frame that goes over the rows, those of its callees included; the edit goes
//! where that frame builds the queryset.

use ormend_engine::codemod::eager::{self, Group, Load};
use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group as Family, Hazard, HazardKind, Meta};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct SelectRelated;

impl Codemod for SelectRelated {
    type Match<'a> = Group;

    fn meta(&self) -> Meta {
        Meta {
            name: "select-related",
            group: Family::EagerLoading,
            summary: "Fetch single-valued relations that every row reads with a join instead of a query a row.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::StaleCopy,
                HazardKind::RelatedBaseManager,
                HazardKind::NoConstraint,
                HazardKind::LockedRows,
                HazardKind::BareSelectRelated,
                HazardKind::RawSql,
                HazardKind::DeferredColumns,
                HazardKind::QuerySetShape,
                HazardKind::ResultCacheUsed,
                HazardKind::WatchedInit,
                HazardKind::UnknownWrite,
                HazardKind::CustomManagerMethod,
                HazardKind::CustomQuerySet,
                HazardKind::NoPlaceToEdit,
                HazardKind::UnknownBase,
                HazardKind::OtherDatabase,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        eager::KINDS
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Group> {
        eager::find(cx, node, Load::Join)
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
