//! From classes to models: what Django's metaclass does, in the order in which it does it.
//!
//! One file a concern: which classes are models (`collect`), what `Meta` says (`meta`), what a class body declares
//! (`declare`), what comes from bases (`inherit`), managers, and what points where (`relate`).

mod collect;
mod declare;
mod inherit;
mod lookup;
mod managers;
mod meta;
mod relate;

use super::apps::Apps;
use super::models::Models;
use super::values::Values;
use super::{Field, Manager, Model, ModelId, Relation, RelationKind, Settings};
use crate::python::{Class, ClassId, Member, Program};
use crate::text::FileId;
pub(super) use lookup::looked_up_bases;
use rustc_hash::FxHashMap;

/// A field before its relation is resolved, as it stands in the class that declares it.
#[derive(Clone, Debug)]
struct Declared {
    field: Field,
    file: FileId,
    target: Option<Target>,
    related_name: Option<Text>,
    related_query_name: Option<String>,
    through: Option<Target>,
    /// A `+`, or a name that could not be read.
    is_hidden: bool,
}

/// A string that may not be readable.
#[derive(Clone, Debug)]
enum Text {
    Known(String),
    Unknown,
}

#[derive(Clone, Debug)]
enum Target {
    Class(ClassId),
    /// As written: `self`, `Book`, `shop.Book`.
    Label(String),
    Unknown(String),
}

struct Builder<'a> {
    values: Values<'a>,
    program: &'a Program,
    apps: Apps,
    models: Vec<Model>,
    by_class: FxHashMap<ClassId, ModelId>,
    by_label: FxHashMap<String, Vec<ModelId>>,
    /// Fields of each model's own table (or, of an abstract one, own declarations), inherited copies included.
    local: Vec<Vec<Declared>>,
    local_managers: Vec<Vec<Manager>>,
    has_auto_manager: Vec<bool>,
    meta: Vec<Option<ClassId>>,
    explicit_default: Vec<Option<String>>,
}

/// Build every model of the program, but for historical ones.
pub(super) fn build(program: &Program, settings: &Settings) -> Models {
    let mut builder = Builder {
        values: Values { program, settings },
        program,
        apps: Apps::new(program, settings),
        models: Vec::new(),
        by_class: FxHashMap::default(),
        by_label: FxHashMap::default(),
        local: Vec::new(),
        local_managers: Vec::new(),
        has_auto_manager: Vec::new(),
        meta: Vec::new(),
        explicit_default: Vec::new(),
    };
    builder.collect();
    let order = builder.parents_first();
    for &id in &order {
        builder.inherit(id);
    }
    for &id in &order {
        builder.relate(id);
    }
    for &id in &order {
        builder.complete(id);
    }
    builder.reverse();
    builder.reverse_of_abstract();
    let Builder { models: all, by_class, by_label, .. } = builder;
    Models::of(all, by_class, by_label)
}

impl Builder<'_> {
    /// Ids ordered so that every model follows the models it inherits from.
    fn parents_first(&self) -> Vec<ModelId> {
        let mut order: Vec<ModelId> = self.models.iter().map(|m| m.id).collect();
        order.sort_by_key(|id| (self.program.class(self.get(*id).class).mro.len(), id.0));
        order
    }

    fn get(&self, id: ModelId) -> &Model {
        &self.models[id.0 as usize]
    }

    fn local_of(&self, id: ModelId) -> &[Declared] {
        self.local.get(id.0 as usize).map_or(&[], Vec::as_slice)
    }
}

/// The names that a class body binds; an annotation without value binds nothing.
fn attributes(class: &Class) -> impl Iterator<Item = &str> {
    class.members.iter().filter(|(_, m)| !matches!(m, Member::Annotation(_))).map(|(name, _)| name.as_str())
}

fn relation(kind: RelationKind, parent_link: bool) -> Relation {
    Relation {
        kind,
        target: None,
        target_text: String::new(),
        accessor: None,
        query_name: None,
        through: None,
        db_constraint: true,
        to_field: None,
        parent_link,
        symmetrical: false,
    }
}
