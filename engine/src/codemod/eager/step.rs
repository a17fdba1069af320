//! Relations on the way from a row to what is read.

use crate::codemod::Relation;
use crate::django::{ModelId, Project, RelationKind};

/// One relation on the way from a row to what is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The model that the relation is read from.
    pub from: ModelId,
    /// The model that it leads to.
    pub to: ModelId,
    /// The attribute.
    pub attribute: String,
    /// The name in lookups; differs from the attribute for some reverse one-to-ones.
    pub lookup: String,
    /// Whether the key is a column of `from`.
    pub is_forward: bool,
    /// Whether there may be no object.
    pub may_be_none: bool,
    /// The column of a forward relation to one row.
    pub attname: String,
    /// Whether it leads to several rows.
    pub is_many: bool,
    /// Whether it is a generic foreign key, which leads to a row of any model: `to` says nothing then.
    pub is_generic: bool,
    /// The model of the rows that link, where a many-to-many has one of the program.
    pub through: Option<ModelId>,
    /// Whether rows of their own link the two ends.
    pub is_linked: bool,
    /// Where they do, the attribute of `to` that goes over the same links, unless it is hidden.
    pub back: Option<String>,
}

impl Step {
    /// The relation that is read.
    pub fn relation(&self) -> Relation {
        let model = (!self.is_generic).then_some(self.to);
        Relation { accessor: self.attribute.clone(), model }
    }
}

/// The steps of the attribute path `path` from `model`; `None` where one of them is not known, or leads on behind a generic
/// foreign key. Steps to and fro over a one-to-one cost nothing and are left out, as does the way back over the foreign key from
/// the rows that point with it.
pub fn steps<S: AsRef<str>>(project: &Project, model: ModelId, path: &[S]) -> Option<Vec<Step>> {
    let mut from = model;
    let mut out = Vec::new();
    for (index, name) in path.iter().enumerate() {
        let is_last = index + 1 == path.len();
        if let Some(generic) = generic_step(project, from, name.as_ref()).filter(|_| is_last) {
            out.push(generic);
            break;
        }
        let step = step(project, from, name.as_ref())?;
        // Django gives both ends of a one-to-one to each other when it loads either.
        if out.last().is_some_and(|last| leads_back(project, last, &step)) {
            from = out.pop().map_or(from, |last| last.from);
            continue;
        }
        from = step.to;
        out.push(step);
    }
    Some(out)
}

/// The relation that the attribute `name` of `from` is; `None` for a generic foreign key, and for what is not known.
pub fn step(project: &Project, from: ModelId, name: &str) -> Option<Step> {
    let info = project.model(from);
    let Some(field) = info.field(name) else {
        let reverse = info.reverse(name)?;
        let field = project.model(reverse.source).field(&reverse.field);
        return Some(Step {
            from,
            to: reverse.source,
            attribute: name.to_owned(),
            lookup: reverse.query_name.clone(),
            is_forward: false,
            may_be_none: true,
            attname: String::new(),
            is_many: !reverse.is_single(),
            is_generic: false,
            through: field.and_then(|f| f.relation.as_ref()?.through),
            is_linked: reverse.kind == RelationKind::ManyToMany,
            back: (reverse.kind == RelationKind::ManyToMany).then(|| reverse.field.clone()),
        });
    };
    let relation = field.relation.as_ref()?;
    let is_many = match relation.kind {
        RelationKind::ForeignKey | RelationKind::OneToOne => false,
        RelationKind::ManyToMany | RelationKind::GenericRelation => true,
        RelationKind::GenericForeignKey => return None,
    };
    Some(Step {
        from,
        to: relation.target?,
        attribute: name.to_owned(),
        lookup: name.to_owned(),
        is_forward: !is_many,
        may_be_none: field.null,
        attname: field.attname.clone(),
        is_many,
        is_generic: false,
        through: relation.through,
        is_linked: relation.kind == RelationKind::ManyToMany,
        back: relation.target.and_then(|target| other_end(project, from, name, target)),
    })
}

/// The generic foreign key that the attribute `name` of `from` is.
fn generic_step(project: &Project, from: ModelId, name: &str) -> Option<Step> {
    let field = project.model(from).field(name)?;
    field.relation.as_ref().filter(|r| r.kind == RelationKind::GenericForeignKey)?;
    Some(Step {
        from,
        to: from,
        attribute: name.to_owned(),
        lookup: name.to_owned(),
        is_forward: true,
        may_be_none: true,
        attname: String::new(),
        is_many: false,
        is_generic: true,
        through: None,
        is_linked: false,
        back: None,
    })
}

/// The attribute of `target` that goes over the links of the many-to-many field `name` of `from`.
fn other_end(project: &Project, from: ModelId, name: &str, target: ModelId) -> Option<String> {
    let all = || {
        let ends = project.model(target).reverse.iter();
        ends.filter(|r| r.kind == RelationKind::ManyToMany && r.field == name)
    };
    all().find(|r| r.source == from).or_else(|| all().next()).map(|r| r.accessor.clone())
}

/// Whether `next` goes back over the one-to-one by which `last` has come, or over the foreign key of the rows that `last`
/// has led to.
fn leads_back(project: &Project, last: &Step, next: &Step) -> bool {
    if last.is_forward == next.is_forward || last.from != next.to || next.is_many {
        return false;
    }
    let (there, back) = if last.is_forward { (next, last) } else { (last, next) };
    project.model(there.from).reverse(&there.attribute).is_some_and(|r| {
        r.kind != RelationKind::ManyToMany && r.field == back.attribute && r.source == back.from
    })
}
