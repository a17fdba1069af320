//! Spans, source files and edits. Knows bytes and encodings, nothing of Python but where it declares a codec.

mod edit;
mod encoding;
mod site;
mod source;
mod span;

pub use edit::{Edit, apply};
pub use encoding::Codec;
pub use site::{FileId, Site};
pub use source::{LineColumn, MAX_BYTES, Newline, Source};
pub use span::Span;
