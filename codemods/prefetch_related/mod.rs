//! Fetch the rows of to-many relations with one query for all rows instead of a query a row.

use ormend_engine::codemod::eager::{EagerLoading, Load};
use ormend_engine::codemod::{Group, HazardKind, Meta};

/// The codemod.
pub const PREFETCH_RELATED: EagerLoading = EagerLoading {
    load: Load::Prefetch,
    meta: Meta {
        name: "prefetch-related",
        group: Group::EagerLoading,
        summary: "Fetch the rows of to-many relations with one query for all rows instead of a query a row.",
        docs: include_str!("README.md"),
        hazards: &[
            HazardKind::StaleCopy,
            HazardKind::StaleElsewhere,
            HazardKind::LazyReadCaught,
            HazardKind::SharedInstance,
            HazardKind::AttributesSeen,
            HazardKind::RelatedAccessor,
            HazardKind::RarelyRead,
            HazardKind::LoadedWithout,
            HazardKind::SharedQuerySet,
            HazardKind::RowsOnlyCounted,
            HazardKind::NoConstraint,
            HazardKind::QuerySetShape,
            HazardKind::OtherModel,
            HazardKind::FetchedByHand,
            HazardKind::ResultCacheUsed,
            HazardKind::ReplacedMethod,
            HazardKind::WideLoad,
            HazardKind::GenericRows,
            HazardKind::GenericManager,
            HazardKind::WatchedInit,
            HazardKind::UnknownWrite,
            HazardKind::CustomManagerMethod,
            HazardKind::CustomQuerySet,
            HazardKind::RefusedJoin,
            HazardKind::NoPlaceToEdit,
            HazardKind::OtherDatabase,
            HazardKind::UnknownBase,
        ],
    },
};
