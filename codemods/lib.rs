//! The codemods, in the order in which they are listed and tried.

#![warn(clippy::disallowed_methods, clippy::disallowed_macros)]

mod aggregate;
mod annotate_count;
mod atomic;
mod bare_select_related;
mod bulk_create;
mod bulk_update;
mod count;
mod exists;
mod f_expression;
mod filter_before_annotate;
mod filter_in_database;
mod fk_id;
mod in_bulk;
mod m2m_add;
mod prefetch_bypassed;
mod prefetch_related;
mod queryset_delete;
mod queryset_update;
mod savepoint;
mod select_for_update;
mod select_related;
mod select_related_many;
mod unresolved_path;
mod values;
mod values_list;

use ormend_engine::codemod::{Meta, Rule};

/// Every codemod.
pub const ALL: &[&dyn Rule] = &[
    // Columns of related rows need no related rows, so it comes before what loads them.
    &values::Values,
    &annotate_count::ANNOTATE_COUNT,
    &filter_in_database::FilterInDatabase,
    &fk_id::FkId,
    &aggregate::Aggregate,
    &values_list::ValuesList,
    &select_related::SELECT_RELATED,
    &prefetch_related::PREFETCH_RELATED,
    &select_related_many::SelectRelatedMany,
    &bare_select_related::BareSelectRelated,
    &unresolved_path::UnresolvedPath,
    &prefetch_bypassed::PREFETCH_BYPASSED,
    &bulk_create::BulkCreate,
    &queryset_update::QuerySetUpdate,
    &bulk_update::BulkUpdate,
    &queryset_delete::QuerysetDelete,
    &m2m_add::M2mAdd,
    &f_expression::FExpression,
    &filter_before_annotate::FilterBeforeAnnotate,
    &in_bulk::InBulk,
    &exists::Exists,
    &count::Count,
    &atomic::Atomic,
    &savepoint::Savepoint,
    &select_for_update::SelectForUpdate,
];

/// What is known of the codemod `name`, if there is one.
pub fn meta(name: &str) -> Option<Meta> {
    ALL.iter().map(|rule| rule.meta()).find(|meta| meta.name == name)
}
