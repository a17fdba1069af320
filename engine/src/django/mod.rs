//! The project as Django sees it, read-only: models, relations, managers, signals, settings.

pub(crate) mod admin;
mod apps;
mod bases;
mod builder;
mod certain;
mod change;
mod fields;
mod hidden;
mod historical;
pub(crate) mod lists;
mod made;
mod managers;
mod model;
mod models;
mod names;
mod patches;
mod project;
mod replaced;
mod settings;
mod signals;
mod signs;
mod stubs;
mod tables;
pub mod templates;
#[cfg(test)]
mod tests;
mod urls;
mod values;

pub use admin::{Admin, Inline, Registration, Role};
pub use bases::unknown_base;
pub use model::{Field, FieldKind, Manager, Model, ModelId, Relation, RelationKind, ReverseRelation};
pub use names::Names;
pub use project::Project;
pub use settings::Settings;
pub use signals::{Receiver, Signal};
pub(crate) use urls::{may_route, routed};
