//! Bring what a loop asks of a prefetched relation with the prefetch, instead of a query a row that passes it by.

use ormend_engine::codemod::eager::PrefetchBypassed;
use ormend_engine::codemod::{Group, HazardKind, Meta};

/// The codemod.
pub const PREFETCH_BYPASSED: PrefetchBypassed = PrefetchBypassed {
    meta: Meta {
        name: "prefetch-bypassed",
        group: Group::EagerLoading,
        summary: "Bring what a loop asks of a prefetched relation with the prefetch, instead of a query a row that passes it by.",
        docs: include_str!("README.md"),
        hazards: &[
            HazardKind::SharedReader,
            HazardKind::ReadPlainly,
            HazardKind::QueryNeeded,
            HazardKind::RefusedValue,
            HazardKind::RowCondition,
            HazardKind::RelatedManager,
            HazardKind::QuerySetEscapes,
            HazardKind::StaleCopy,
            HazardKind::UnknownWrite,
            HazardKind::SharedInstance,
            HazardKind::WatchedInit,
            HazardKind::RefusedJoin,
            HazardKind::NoPlaceToEdit,
            HazardKind::ResultCacheUsed,
            HazardKind::CustomQuerySet,
            HazardKind::OtherDatabase,
            HazardKind::UnknownBase,
        ],
    },
};
