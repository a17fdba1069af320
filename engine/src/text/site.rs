//! Places across files.

use super::Span;
use serde::{Deserialize, Serialize};

/// Index of a file in the project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileId(pub u32);

/// A place in the project: a file and a span of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Site {
    /// The file.
    pub file: FileId,
    /// The bytes.
    pub span: Span,
}
