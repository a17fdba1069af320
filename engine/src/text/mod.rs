//! Spans, source files and edits. Knows bytes and encodings, nothing of Python.

mod edit;
mod site;
mod source;
mod span;

pub use edit::{Edit, apply};
pub use site::{FileId, Site};
pub use source::{LineColumn, Source};
pub use span::Span;
