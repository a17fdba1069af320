//! Fixes as a person looks at them before they are applied.

pub mod hunks;
