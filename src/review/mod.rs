//! Fixes as a person looks at them before they are applied.

pub mod html;
pub mod hunks;
