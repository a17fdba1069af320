//! The project as Django sees it, read-only: models, relations, managers, signals, settings.

mod model;
mod project;
mod signals;

pub use model::{Field, FieldKind, Manager, Model, ModelId, Relation, RelationKind, ReverseRelation};
pub use project::{Project, Settings};
pub use signals::{Receiver, Signal};
