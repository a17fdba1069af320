//! Attributes of classes that stand in front of fields: a property of a proxy under the name of a foreign key.

use super::{ModelId, Project};
use crate::python::Member;

impl Project {
    /// Whether a class has something else under the name of a field or a reverse relation of `model`, and stands in front of
    /// the class that Django gives the field to: a property of a proxy, an attribute of a child.
    pub fn is_hidden(&self, model: ModelId, name: &str) -> bool {
        let info = self.model(model);
        let Some((owner, member)) = self.program().member(info.class, name) else { return false };
        if matches!(member, Member::Annotation(_) | Member::Other) {
            return false;
        }
        let class = self.program().class(owner);
        if let Some(field) = info.field(name).or_else(|| info.field_by_attname(name)) {
            let body = self.program().file(class.file).node(class.node).span();
            let is_field = class.file == field.site.file && body.contains(field.site.span);
            return !matches!(member, Member::Value(_)) || !is_field;
        }
        // The model that a relation leads to gets its attribute last (django/db/models/fields/related.py,
        // `contribute_to_related_class`).
        let Some(reverse) = info.reverse(name) else { return false };
        let field = self.model(reverse.source).field(&reverse.field);
        let target = field.and_then(|f| f.relation.as_ref()?.target);
        target.is_some_and(|t| !self.program().class(self.model(t).class).mro.contains(&owner))
    }
}
