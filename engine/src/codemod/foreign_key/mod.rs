//! Places where the object behind a foreign key is read and only its key is wanted, which the row itself holds.
//!
//! What a read is for ([`forms`]) is decided by the code right around it. Whether the key and the object agree in memory is
//! asked of the object that has the key ([`held`]), whether there is an object at all of the code in front ([`present`]).

mod forms;
mod held;
mod loaded;
mod other;
mod present;

pub use forms::{Form, Given, KeyRead, is_key_wanted, key_read};
pub use held::{Held, held, is_before};
pub use loaded::is_loaded_anyway;
pub use other::{Other, other};
pub use present::{is_present, is_there};

use crate::codemod::Context;
use crate::django::{Field, Model, ModelId, Project, Relation, RelationKind};
use crate::infer::Instance;
use crate::python::{Expr, Kind, Member, Node};

/// A foreign key that is followed: `book.author`.
#[derive(Clone, Debug)]
pub struct Followed<'a> {
    /// The whole expression.
    pub node: Node<'a>,
    /// What has the key: `book`.
    pub owner: Node<'a>,
    /// What is known of that.
    pub instance: Instance,
    /// The foreign key.
    pub field: &'a Field,
    /// The relation that it is.
    pub relation: &'a Relation,
    /// The model that it leads to.
    pub target: ModelId,
}

/// The foreign key that `node` follows, whose key is an attribute of the row by Django's own means.
pub fn followed<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Followed<'a>> {
    if node.kind() != Kind::Attribute || node.is_binding() {
        return None;
    }
    let Expr::Attribute { value: owner, attr, .. } = Expr::of(node) else { return None };
    let instance = cx.type_of(owner).instance()?.clone();
    let model = cx.model(instance.model);
    let field = model.field(attr)?;
    let relation = forward(field)?;
    if relation.parent_link || hides(cx.project, model, attr) || hides(cx.project, model, &field.attname) {
        return None;
    }
    Some(Followed { node, owner, instance, field, relation, target: relation.target? })
}

/// The relation of a field whose key is a column.
pub fn forward(field: &Field) -> Option<&Relation> {
    let relation = field.relation.as_ref()?;
    let is_one = matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne);
    (is_one && field.attname != field.name).then_some(relation)
}

/// Whether the class says itself what an attribute is: a property, a method, a descriptor.
fn hides(project: &Project, model: &Model, name: &str) -> bool {
    matches!(
        project.program().member(model.class, name),
        Some((_, Member::Function(..) | Member::Class(_) | Member::Other))
    ) || project.patch_of(model.id, name).is_some()
}

/// The field of the target that the key is a copy of; `None` where it cannot be told.
pub fn referenced<'p>(project: &'p Project, relation: &Relation) -> Option<&'p Field> {
    let target = project.model(relation.target?);
    match &relation.to_field {
        Some(name) => target.field(name),
        None => target.primary_key(),
    }
}

/// Whether the attribute `name` of the object behind a foreign key is what the key itself holds.
pub fn is_key(project: &Project, relation: &Relation, name: &str) -> bool {
    let (Some(target), Some(field)) = (relation.target, referenced(project, relation)) else { return false };
    if hides(project, project.model(target), name) {
        return false;
    }
    match name {
        "pk" => field.primary_key,
        _ => is_column(project, field, name, 0),
    }
}

/// Whether `name` gives the value of the column `field`: its own, or that of the parent's row which it points at.
fn is_column(project: &Project, field: &Field, name: &str, depth: usize) -> bool {
    let Some(relation) = &field.relation else { return field.name == name };
    if field.attname == name {
        return true;
    }
    let parent = relation.target.filter(|_| relation.parent_link && depth < 8);
    parent
        .and_then(|p| project.model(p).primary_key())
        .is_some_and(|f| is_column(project, f, name, depth + 1))
}

/// Whether two foreign keys copy the same column of the same table.
pub fn agree(project: &Project, a: &Relation, b: &Relation) -> bool {
    let place = |r: &Relation| {
        let field = referenced(project, r)?;
        Some((project.model(r.target?).concrete, field.name.as_str()))
    };
    place(a).is_some() && place(a) == place(b)
}

/// Whether evaluating the expression again gives the same object and does nothing: names and attributes.
pub fn is_path(node: Node<'_>) -> bool {
    match Expr::of(node) {
        Expr::Name(_) => true,
        Expr::Attribute { value, .. } => is_path(value),
        _ => false,
    }
}
