//! The engine of ormend: bytes in, diagnostics and edits out. No IO, no printing.
//!
//! The floors, each of which may use those before it: [`text`], [`python`], [`django`], [`infer`], [`codemod`]
//! (whose plain data, sites and hazards, all floors share), [`rewrite`].

#![warn(clippy::disallowed_methods, clippy::disallowed_macros)]

pub mod codemod;
pub mod django;
pub mod infer;
pub mod python;
pub mod rewrite;
pub mod text;
