//! The fields that a serializer makes for those of its model.

use super::declared::Options;
use super::fields::{FieldClass, Reader};
use crate::django::{ModelId, Project, RelationKind};
use crate::infer::frame::Frame;
use crate::infer::types::{Name, Type};
use crate::python::Node;
use std::sync::Arc;

impl<'a> Frame<'a, '_> {
    /// Read what the framework's own field for `name` of `model` reads.
    pub(super) fn model_field(
        &mut self,
        reader: &Reader<'a>,
        model: ModelId,
        name: &str,
        relations: Option<FieldClass>,
        depth: u32,
        options: &Options<'a>,
    ) {
        let project = self.az.project;
        let info = project.model(model);
        if options.is_open || options.is_on("write_only") != Some(false) {
            return;
        }
        let Some(source) = self.source(name, FieldClass::of_relations(false), options, false) else { return };
        let name = source.as_str();
        let field = info.field(name);
        if name == "pk" || field.is_some_and(|f| f.primary_key) {
            return;
        }
        let relation = field.and_then(|f| f.relation.as_ref());
        let (target, many, to_field) = match (relation, info.reverse(name)) {
            (Some(relation), _) => match relation.kind {
                RelationKind::ForeignKey | RelationKind::OneToOne => {
                    (relation.target, false, relation.to_field.as_deref())
                }
                RelationKind::ManyToMany => (relation.target, true, None),
                RelationKind::GenericForeignKey | RelationKind::GenericRelation => return,
            },
            (None, Some(reverse)) => (Some(reverse.source), !reverse.is_single(), None),
            (None, None) => {
                // A method or property of the model.
                if field.is_none() && project.program().member(info.class, name).is_some() {
                    self.step(&reader.instance, name, reader.node);
                }
                return;
            }
        };
        let Some(class) = relations else { return };
        let node = reader.node;
        if let Some(depth) = depth.checked_sub(1) {
            let value = self.step(&reader.instance, name, node);
            let is_hyperlinked = class.is_hyperlink();
            let nested = |frame: &mut Self, row: &Type| {
                let Some(target) = target else { return };
                let reader = Reader { serializer: None, instance: row.clone(), node };
                frame.all_model_fields(&reader, target, FieldClass::of_relations(is_hyperlinked), depth);
            };
            match many {
                true => self.write_each(&value, node, nested),
                false if value.instance().is_some() => nested(self, &value),
                false => {}
            }
            return;
        }
        let is_key = |name: &str| {
            target.and_then(|t| project.model(t).primary_key()).is_some_and(|pk| pk.name == name)
        };
        if let Some(to_field) = to_field.filter(|name| !is_key(name)) {
            let value = self.step(&reader.instance, name, node);
            if value.instance().is_some() {
                self.attribute(&value, to_field, node);
            }
            return;
        }
        let mut named: Vec<(String, Node<'a>)> =
            options.named.iter().filter(|(n, _)| n == "lookup_field").cloned().collect();
        named.retain(|_| class.is_hyperlink());
        let options = Options { named, ..Options::default() };
        if !many {
            self.field(reader, name, class, &options);
            return;
        }
        let value = self.step(&reader.instance, name, node);
        self.write_each(&value, node, |frame, row| frame.write(class, &options, row, false, node));
    }

    /// Read what `fields = "__all__"` reads: columns, and the relations that the model itself declares.
    pub(super) fn all_model_fields(
        &mut self,
        reader: &Reader<'a>,
        model: ModelId,
        relations: FieldClass,
        depth: u32,
    ) {
        let names: Vec<Name> = forward_relations(self.az.project, model);
        for name in names {
            self.model_field(reader, model, &name, Some(relations), depth, &Options::default());
        }
    }
}

/// The relations of a model that `"__all__"` has.
pub(super) fn forward_relations(project: &Project, model: ModelId) -> Vec<Name> {
    let fields = project.model(model).fields.iter();
    let kinds = [RelationKind::ForeignKey, RelationKind::OneToOne, RelationKind::ManyToMany];
    fields
        .filter(|f| f.relation.as_ref().is_some_and(|r| kinds.contains(&r.kind) && !r.parent_link))
        .map(|f| Arc::from(f.name.as_str()))
        .collect()
}
