//! What the `Meta` of a model says, own or inherited.

use super::{Builder, ModelId};
use crate::django::FieldKind;
use crate::django::values::Call;
use crate::python::{ClassId, Expr, Member, Node};
use crate::text::FileId;

impl<'a> Builder<'a> {
    pub(super) fn own_meta(&self, class: ClassId) -> Option<ClassId> {
        match self.program.class(class).members.get("Meta") {
            Some(Member::Class(meta)) => Some(*meta),
            _ => None,
        }
    }

    /// Only the class whose `Meta` says so is abstract: Django resets the flag for those who inherit the `Meta`.
    pub(super) fn is_abstract_meta(&self, meta: ClassId) -> bool {
        for (position, ancestor) in self.program.class(meta).mro.iter().enumerate() {
            let class = self.program.class(*ancestor);
            if position > 0 && class.outer.is_some_and(|o| self.by_class.contains_key(&o)) {
                return false;
            }
            if let Some(Member::Value(value)) = class.members.get("abstract") {
                return self.values.flag(class.file, self.values.node(class.file, *value)) == Some(true);
            }
        }
        false
    }

    pub(super) fn inherited_meta(&self, class: ClassId) -> Option<ClassId> {
        self.program.class(class).mro.iter().skip(1).find_map(|ancestor| {
            let meta = self.own_meta(*ancestor)?;
            // A concrete model keeps no `Meta` attribute.
            (!self.by_class.contains_key(ancestor) || self.is_abstract_meta(meta)).then_some(meta)
        })
    }

    pub(super) fn meta_value(&self, meta: ClassId, name: &str) -> Option<(FileId, Node<'a>)> {
        let (owner, member) = self.program.member(meta, name)?;
        let file = self.program.class(owner).file;
        match member {
            Member::Value(value) => Some((file, self.values.node(file, *value))),
            _ => None,
        }
    }

    pub(super) fn meta_string(&self, meta: Option<ClassId>, name: &str) -> Option<String> {
        let (file, node) = self.meta_value(meta?, name)?;
        self.values.string(file, node)
    }

    /// Ordering and uniqueness.
    pub(super) fn meta_facts(&mut self, id: ModelId) {
        let meta = self.meta.get(id.0 as usize).copied().flatten();
        let mut ordering = Vec::new();
        let mut unknown_ordering = false;
        let declared =
            meta.and_then(|m| self.program.member(m, "ordering").map(|_| self.meta_value(m, "ordering")));
        match declared {
            Some(Some((file, node))) => match self.values.strings(file, node) {
                Some(strings) => ordering = strings,
                None => unknown_ordering = true,
            },
            Some(None) => unknown_ordering = true,
            None => {
                if let Some(base) = self.get(id).bases.first().map(|b| self.get(*b))
                    && !base.is_abstract
                    && !self.get(id).is_abstract
                {
                    ordering = base.ordering.clone();
                    unknown_ordering = base.has_unknown_ordering;
                }
            }
        }
        let respect = self.meta_string(meta, "order_with_respect_to");
        if respect.is_some() {
            ordering = vec!["_order".to_owned()];
            unknown_ordering = false;
        }
        let mut unique: Vec<Vec<String>> =
            self.local_of(id).iter().filter(|d| d.field.unique).map(|d| vec![d.field.name.clone()]).collect();
        if let Some((file, node)) = meta.and_then(|m| self.meta_value(m, "unique_together")) {
            match self.values.strings(file, node) {
                Some(names) => unique.push(names),
                None => {
                    if let Expr::List(list) | Expr::Tuple(list) | Expr::Set(list) = Expr::of(node) {
                        unique.extend(list.children().filter_map(|set| self.values.strings(file, set)));
                    }
                }
            }
        }
        if let Some((file, node)) = meta.and_then(|m| self.meta_value(m, "constraints")) {
            self.constraints(file, node, 0, &mut unique);
        }
        let order_field =
            (respect.is_some() && !self.get(id).is_abstract && !self.get(id).is_proxy).then(|| {
                let mut field = self.auto_field(id);
                field.field.name = "_order".into();
                field.field.attname = "_order".into();
                field.field.kind = FieldKind::Integer;
                field.field.class = "django.db.models.OrderWrt".into();
                field.field.unique = false;
                field.field.primary_key = false;
                field
            });
        if let Some(field) = order_field
            && let Some(local) = self.local.get_mut(id.0 as usize)
            && !local.iter().any(|d| d.field.name == "_order")
        {
            local.push(field);
        }
        if let Some(model) = self.models.get_mut(id.0 as usize) {
            model.ordering = ordering;
            model.has_unknown_ordering = unknown_ordering;
            model.unique = unique;
            model.order_with_respect_to = respect;
        }
    }

    fn constraints(&self, file: FileId, node: Node<'a>, depth: usize, unique: &mut Vec<Vec<String>>) {
        if depth > 5 {
            return;
        }
        match Expr::of(node) {
            Expr::List(list) | Expr::Tuple(list) => {
                for item in list.children() {
                    self.constraints(file, item, depth + 1, unique);
                }
            }
            Expr::BinOp { left, right, .. } => {
                self.constraints(file, left, depth + 1, unique);
                self.constraints(file, right, depth + 1, unique);
            }
            Expr::Call { func, .. } if func.text().ends_with("UniqueConstraint") => {
                let Some(call) = Call::of(node) else { return };
                if call.keyword("condition").is_none()
                    && call.positional.is_empty()
                    && let Some(fields) = call.keyword("fields").and_then(|f| self.values.strings(file, f))
                {
                    unique.push(fields);
                }
            }
            _ => {}
        }
    }

    pub(super) fn default_related_name(&self, id: ModelId) -> Option<String> {
        if self.get(id).is_abstract {
            return None;
        }
        let meta = self.meta.get(id.0 as usize).copied().flatten();
        self.meta_string(meta, "default_related_name")
    }
}
