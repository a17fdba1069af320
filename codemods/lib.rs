//! The codemods, in the order in which they are listed and tried.

use ormend_engine::codemod::Rule;

/// Every codemod.
pub const ALL: &[&dyn Rule] = &[];
