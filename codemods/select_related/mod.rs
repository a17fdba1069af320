//! Fetch single-valued relations that every row reads with a join instead of a query a row.
//!
//! The reads come from the facts of the frame that goes over the rows, those of its callees included; the edit goes
//! where that frame builds the queryset.

use ormend_engine::codemod::eager::{EagerLoading, Load};
use ormend_engine::codemod::{Group, HazardKind, Meta};

/// The codemod.
pub const SELECT_RELATED: EagerLoading = EagerLoading {
    load: Load::Join,
    meta: Meta {
        name: "select-related",
        group: Group::EagerLoading,
        summary: "Fetch single-valued relations that every row reads with a join instead of a query a row.",
        docs: include_str!("README.md"),
        hazards: &[
            HazardKind::StaleCopy,
            HazardKind::StaleElsewhere,
            HazardKind::LazyReadCaught,
            HazardKind::RelatedBaseManager,
            HazardKind::RelatedAccessor,
            HazardKind::NoConstraint,
            HazardKind::LockedRows,
            HazardKind::BareSelectRelated,
            HazardKind::RawSql,
            HazardKind::DeferredColumns,
            HazardKind::QuerySetShape,
            HazardKind::OtherModel,
            HazardKind::FetchedByHand,
            HazardKind::ResultCacheUsed,
            HazardKind::ReplacedMethod,
            HazardKind::WideLoad,
            HazardKind::WatchedInit,
            HazardKind::UnknownWrite,
            HazardKind::CustomManagerMethod,
            HazardKind::CustomQuerySet,
            HazardKind::RefusedJoin,
            HazardKind::NoPlaceToEdit,
            HazardKind::UnknownBase,
            HazardKind::OtherDatabase,
        ],
    },
};
