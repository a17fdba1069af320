//! Fixes as a person looks at them before they are applied.

mod edit;
pub mod html;
pub mod hunks;
pub mod session;
pub mod signals;
pub mod terminal;
