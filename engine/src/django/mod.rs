//! The project as Django sees it, read-only: models, relations, managers, signals, settings.

mod model;

pub use model::{Field, FieldKind, Manager, Model, ModelId, Relation, RelationKind, ReverseRelation};

/// Index of a class in the [`Project`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct ClassId(pub u32);

/// Everything known about the project.
pub struct Project {
    /// The files, as read.
    pub sources: Vec<crate::text::Source>,
}

impl Project {
    /// Index `files`.
    pub fn build(files: Vec<crate::rewrite::InputFile>) -> Project {
        Project { sources: files.into_iter().map(|f| crate::text::Source::new(f.path, f.bytes)).collect() }
    }
}
