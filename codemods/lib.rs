//! The codemods, in the order in which they are listed and tried.

#![warn(clippy::disallowed_methods, clippy::disallowed_macros)]

mod bulk_create;
mod bulk_update;
mod exists;
mod f_expression;
mod queryset_update;
mod select_related;
mod values_list;

use ormend_engine::codemod::Rule;

/// Every codemod.
pub const ALL: &[&dyn Rule] = &[
    &select_related::SelectRelated,
    &bulk_create::BulkCreate,
    &queryset_update::QuerySetUpdate,
    &bulk_update::BulkUpdate,
    &f_expression::FExpression,
    &values_list::ValuesList,
    &exists::Exists,
];
