//! Count the rows of a relation with the rows that have it instead of with a query a row.

use ormend_engine::codemod::eager::AnnotateCount;
use ormend_engine::codemod::{Group, HazardKind, Meta};

/// The codemod.
pub const ANNOTATE_COUNT: AnnotateCount = AnnotateCount {
    meta: Meta {
        name: "annotate-count",
        group: Group::Expressions,
        summary: "Count the rows of a relation with the rows that have it instead of with a query a row.",
        docs: include_str!("README.md"),
        hazards: &[
            HazardKind::SharedReader,
            HazardKind::TemplateReader,
            HazardKind::RelatedManager,
            HazardKind::RepeatedLink,
            HazardKind::LostOrder,
            HazardKind::RarelyCounted,
            HazardKind::MultipliedRows,
            HazardKind::AttributesSeen,
            HazardKind::RelatedAccessor,
            HazardKind::RefusedValue,
            HazardKind::RowCondition,
            HazardKind::QuerySetShape,
            HazardKind::QuerySetEscapes,
            HazardKind::StaleCopy,
            HazardKind::UnknownWrite,
            HazardKind::NoConstraint,
            HazardKind::RefusedJoin,
            HazardKind::NoPlaceToEdit,
            HazardKind::ResultCacheUsed,
            HazardKind::CustomManagerMethod,
            HazardKind::CustomQuerySet,
            HazardKind::OtherDatabase,
            HazardKind::UnknownBase,
        ],
    },
};
