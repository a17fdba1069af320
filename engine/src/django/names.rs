//! What the attribute names of all models of a project stand for, for code whose objects have no known type.

use super::{Model, RelationKind};
use rustc_hash::{FxHashMap, FxHashSet};

/// Names that models give to their managers and relations.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Managers, and relations to many rows.
    of_rows: FxHashSet<String>,
    /// Columns and relations: whether each model that has one of the name has a foreign key.
    of_columns: FxHashMap<String, bool>,
}

impl Names {
    /// The names of these models.
    pub fn new(models: &[Model]) -> Names {
        let mut names = Names::default();
        for model in models {
            let managers = model.managers.iter().map(|m| m.name.as_str());
            let reverse = model.reverse.iter().filter(|r| r.kind != RelationKind::OneToOne);
            names.of_rows.extend(managers.chain(reverse.map(|r| r.accessor.as_str())).map(str::to_owned));
            for field in &model.fields {
                let kind = field.relation.as_ref().map(|r| r.kind);
                if kind == Some(RelationKind::ManyToMany) {
                    names.of_rows.insert(field.name.clone());
                }
                let is_key = matches!(kind, Some(RelationKind::ForeignKey | RelationKind::OneToOne));
                names.of_columns.entry(field.name.clone()).and_modify(|k| *k &= is_key).or_insert(is_key);
            }
        }
        names
    }

    /// Whether some model has a manager, or a relation to many rows, of this name.
    pub fn is_of_rows(&self, name: &str) -> bool {
        self.of_rows.contains(name)
    }

    /// Whether some model has a foreign key of this name, and none has another column or relation of it.
    pub fn is_foreign_key(&self, name: &str) -> bool {
        self.of_columns.get(name).is_some_and(|is_key| *is_key)
    }
}
