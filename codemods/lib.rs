//! The codemods, in the order in which they are listed and tried.

#![warn(clippy::disallowed_methods, clippy::disallowed_macros)]

mod annotate_count;
mod atomic;
mod bulk_create;
mod bulk_update;
mod exists;
mod f_expression;
mod m2m_add;
mod prefetch_bypassed;
mod prefetch_related;
mod queryset_delete;
mod queryset_update;
mod savepoint;
mod select_for_update;
mod select_related;
mod values_list;

use ormend_engine::codemod::Rule;

/// Every codemod.
pub const ALL: &[&dyn Rule] = &[
    &annotate_count::ANNOTATE_COUNT,
    &select_related::SELECT_RELATED,
    &prefetch_related::PREFETCH_RELATED,
    &prefetch_bypassed::PREFETCH_BYPASSED,
    &bulk_create::BulkCreate,
    &queryset_update::QuerySetUpdate,
    &bulk_update::BulkUpdate,
    &queryset_delete::QuerysetDelete,
    &m2m_add::M2mAdd,
    &f_expression::FExpression,
    &values_list::ValuesList,
    &exists::Exists,
    &atomic::Atomic,
    &savepoint::Savepoint,
    &select_for_update::SelectForUpdate,
];
