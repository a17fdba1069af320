//! Which models' tables hold a row, and which a deletion reaches. Worked out when it is asked for, once a model.

use super::model::{ModelId, RelationKind};
use super::project::Project;
use crate::python::{Field, Kind, string_value};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// The answers, by model.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    of: Vec<OnceLock<BTreeSet<ModelId>>>,
    deleted: Vec<OnceLock<BTreeSet<ModelId>>>,
    names: Vec<OnceLock<String>>,
}

impl Tables {
    /// Nothing is known yet of this many models.
    pub fn new(models: usize) -> Tables {
        let sets = || vec![OnceLock::new(); models];
        Tables { of: sets(), deleted: sets(), names: vec![OnceLock::new(); models] }
    }
}

impl Project {
    /// The tables that hold a row of `model`: its own and those of its parents.
    pub fn tables(&self, model: ModelId) -> &BTreeSet<ModelId> {
        static NONE: BTreeSet<ModelId> = BTreeSet::new();
        let slot = self.tables.of.get(model.0 as usize);
        slot.map_or(&NONE, |slot| slot.get_or_init(|| tables(self, model)))
    }

    /// The tables that deleting rows of `model` may change: those that point at them, at any depth.
    pub fn deleted_with(&self, model: ModelId) -> &BTreeSet<ModelId> {
        static NONE: BTreeSet<ModelId> = BTreeSet::new();
        let slot = self.tables.deleted.get(model.0 as usize);
        slot.map_or(&NONE, |slot| slot.get_or_init(|| deleted_with(self, model)))
    }

    /// The name of the table of `model`.
    fn table_name(&self, model: ModelId) -> &str {
        let slot = self.tables.names.get(model.0 as usize);
        slot.map_or("", |slot| slot.get_or_init(|| table_name(self, model)))
    }
}

fn tables(project: &Project, model: ModelId) -> BTreeSet<ModelId> {
    let mut out = BTreeSet::new();
    let mut pending = vec![project.model(model).concrete];
    while let Some(next) = pending.pop() {
        if out.insert(next) {
            pending.extend(project.model(next).table_parents.iter().map(|p| project.model(*p).concrete));
            // A model that Django does not manage may stand for the table of another one.
            let own = project.model(next);
            let others = project.models().iter().filter(|m| {
                (!m.is_managed || !own.is_managed) && m.id != own.id && !m.is_abstract && m.concrete == m.id
            });
            let same = others.filter(|m| project.table_name(m.id) == project.table_name(own.id));
            pending.extend(same.map(|m| m.id));
        }
    }
    out
}

fn table_name(project: &Project, model: ModelId) -> String {
    let info = project.model(model);
    let program = project.program();
    let class = program.class(info.class);
    let node = program.file(class.file).node(class.node);
    let given = node.descendants().find_map(|n| {
        let is_table =
            n.kind() == Kind::Assign && n.child(Field::Left).is_some_and(|l| l.text() == "db_table");
        if is_table { string_value(n.child(Field::Right)?) } else { None }
    });
    given.unwrap_or_else(|| format!("{}_{}", info.app_label, info.name.to_lowercase()))
}

fn deleted_with(project: &Project, model: ModelId) -> BTreeSet<ModelId> {
    let mut out = project.tables(model).clone();
    loop {
        let before = out.len();
        for other in project.models().iter().filter(|m| !m.is_abstract && !m.is_proxy) {
            let points = other.fields.iter().filter_map(|f| f.relation.as_ref()).any(|r| {
                r.target.is_some_and(|t| out.contains(&project.model(t).concrete))
                    && matches!(r.kind, RelationKind::ForeignKey | RelationKind::OneToOne)
            });
            if points && !out.contains(&other.id) {
                out.extend(project.tables(other.id));
            }
        }
        // Rows behind a generic relation go with the row that has it.
        let generic = |m: &ModelId| {
            let relations = project.model(*m).fields.iter().filter_map(|f| f.relation.as_ref());
            let targets = relations.filter(|r| r.kind == RelationKind::GenericRelation);
            targets.filter_map(|r| r.target).flat_map(|t| project.tables(t)).copied().collect::<Vec<_>>()
        };
        let behind: Vec<ModelId> = out.iter().flat_map(generic).collect();
        out.extend(behind);
        if out.len() == before {
            return out;
        }
    }
}
