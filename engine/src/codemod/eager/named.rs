//! Names that code gives to `select_related()`: which relations they are.

use super::step;
use crate::django::{ModelId, Project, RelationKind};

/// A path in the arguments of `select_related()` that goes over a relation which a join cannot follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What stands before that relation, as names of lookups; empty where it comes first.
    pub before: String,
    /// The whole path as `prefetch_related()` takes it: names of attributes.
    pub lookup: String,
    /// The relation is a generic foreign key, and the path goes on behind it.
    pub generic: Option<String>,
}

/// What `path`, given to `select_related()` on a queryset of `model`, names: `None` where a join follows all of it, or a
/// step is not known.
///
/// Django joins foreign keys and one-to-ones, from both ends, and the other end of a foreign key that is unique
/// (`SQLCompiler.get_related_selections`, 4.2 to 6.0).
pub fn named(project: &Project, model: ModelId, path: &str) -> Option<Named> {
    let parts: Vec<&str> = path.split("__").collect();
    let mut attributes: Vec<String> = Vec::new();
    let mut many_at = None;
    let mut from = model;
    for (index, part) in parts.iter().enumerate() {
        if is_generic(project, from, part) {
            let at = many_at.unwrap_or(index);
            let is_last = index + 1 == parts.len();
            attributes.extend(parts.get(index..)?.iter().map(|p| (*p).to_owned()));
            return Some(Named {
                before: parts.get(..at)?.join("__"),
                lookup: attributes.join("__"),
                generic: (!is_last).then(|| (*part).to_owned()),
            });
        }
        let step = follow(project, from, part)?;
        if step.is_many && many_at.is_none() {
            if is_unique_key(project, from, &step.attribute) {
                return None;
            }
            many_at = Some(index);
        }
        from = step.to;
        attributes.push(step.attribute);
    }
    let before = parts.get(..many_at?)?.join("__");
    Some(Named { before, lookup: attributes.join("__"), generic: None })
}

/// The relation that `name` stands for in a lookup from `model`, or, where it leads to several rows, the attribute `name`:
/// one that no lookup knows can be nothing else.
pub fn follow(project: &Project, model: ModelId, name: &str) -> Option<step::Step> {
    let info = project.model(model);
    if info.field(name).is_some() {
        return step::step(project, model, name);
    }
    let mut found = info.reverse.iter().filter(|r| r.query_name == name);
    if let Some(reverse) = found.next() {
        // Two models that share the name: Django knows only one of them.
        return found.next().is_none().then(|| step::step(project, model, &reverse.accessor))?;
    }
    step::step(project, model, name).filter(|s| s.is_many)
}

fn is_generic(project: &Project, model: ModelId, name: &str) -> bool {
    let field = project.model(model).field(name);
    field.and_then(|f| f.relation.as_ref()).is_some_and(|r| r.kind == RelationKind::GenericForeignKey)
}

/// Whether the attribute is the other end of a foreign key with `unique=True`.
fn is_unique_key(project: &Project, model: ModelId, accessor: &str) -> bool {
    project.model(model).reverse(accessor).is_some_and(|r| {
        r.kind == RelationKind::ForeignKey && project.model(r.source).field(&r.field).is_none_or(|f| f.unique)
    })
}
