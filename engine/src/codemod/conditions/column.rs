//! Attributes of a row as columns: `row.title`, `row.author_id`, `row.author.name`.

use super::Translator;
use super::tree::is_proven;
use crate::codemod::guards::making::instances;
use crate::codemod::{Hazard, HazardKind};
use crate::django::{Field, FieldKind, Model, ModelId, RelationKind};
use crate::infer::Trait;
use crate::python::{Expr, Member, Node};

/// What an attribute gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// A value of that kind.
    Value(FieldKind),
    /// A row of that model.
    Row(ModelId),
}

/// A column of a row, or of a row that it leads to.
#[derive(Clone, Debug)]
pub(super) struct Column<'a> {
    /// The path in lookups: `author__name`, `author_id`.
    pub path: String,
    /// The same, of a foreign key by its name.
    pub name: String,
    pub field: &'a Field,
    pub holds: Holds,
    /// It may be NULL where it is read.
    pub null: bool,
}

impl<'a> Translator<'a, '_, '_> {
    /// The column that an attribute reads; nothing where it is something else. `known` are columns that have a value.
    pub(super) fn column(&mut self, node: Node<'a>, known: &[String]) -> Option<Column<'a>> {
        let mut attributes = Vec::new();
        let mut at = node.peel();
        while let Expr::Attribute { value, attr, .. } = Expr::of(at) {
            attributes.push(attr);
            at = value.peel();
        }
        if !matches!(Expr::of(at), Expr::Name(name) if name == self.rows.variable) || attributes.len() > 8 {
            return None;
        }
        attributes.reverse();
        let (last, steps) = attributes.split_last()?;
        let mut model = self.cx.model(self.rows.queryset.model);
        let mut path: Vec<&str> = Vec::new();
        for step in steps {
            let field = self.own_field(model, step)?.filter(|f| f.name == *step)?;
            path.push(step);
            model = self.follow(model, field, &path.join("__"), known)?;
        }
        let field = match *last {
            "pk" => self.own_field(model, "pk")?.or(model.primary_key())?,
            name => self.own_field(model, name)??,
        };
        let prefix =
            |name: &str| path.iter().copied().chain(std::iter::once(name)).collect::<Vec<_>>().join("__");
        let name = prefix(&field.name);
        let is_relation = field.relation.is_some();
        let holds = if is_relation && *last == field.name {
            Holds::Row(self.target(model, field)?)
        } else {
            Holds::Value(self.key_kind(field, 0)?)
        };
        if !is_relation
            && (field.has_hooks || !(field.kind.is_plain_column() || field.kind == FieldKind::File))
        {
            return None;
        }
        let null = field.null && !is_proven(&name, known);
        Some(Column { path: prefix(last), name, field, holds, null })
    }

    /// The field that the attribute `name` reads, unless the class has something else under that name.
    fn own_field(&self, model: &'a Model, name: &str) -> Option<Option<&'a Field>> {
        let program = self.cx.project.program();
        if matches!(program.member(model.class, name), Some((_, Member::Function(..) | Member::Class(_))))
            || self.cx.project.override_of(model.id, "__getattribute__").is_some()
        {
            return None;
        }
        if model.id == self.rows.queryset.model && self.rows.queryset.annotations.contains(name) {
            return None;
        }
        Some(model.field(name).or_else(|| model.field_by_attname(name)))
    }

    /// The kind of value in the column of a field: for a foreign key that of the key it holds.
    fn key_kind(&self, field: &Field, depth: usize) -> Option<FieldKind> {
        let Some(relation) = &field.relation else { return Some(field.kind) };
        if depth > 8 || !matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne) {
            return None;
        }
        let target = self.cx.model(relation.target?);
        let key = match &relation.to_field {
            Some(name) => target.field(name)?,
            None => target.primary_key()?,
        };
        if key.has_hooks && key.relation.is_none() {
            return None;
        }
        self.key_kind(key, depth + 1)
    }

    /// The model of the row that a foreign key gives. Whether there is one, Python finds out by asking for it.
    fn target(&mut self, model: &'a Model, field: &'a Field) -> Option<ModelId> {
        let relation = field.relation.as_ref()?;
        if !matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne) {
            return None;
        }
        let target = self.cx.model(relation.target?);
        if target.has_unknown_base {
            return None;
        }
        let subject = format!("{}.{}", model.name, field.name);
        if !relation.db_constraint || !model.is_managed {
            self.hazards.push(Hazard::at(HazardKind::NoConstraint, subject, field.site));
        }
        if target.base_manager_name.is_some() {
            self.hazards.push(Hazard::at(HazardKind::RelatedBaseManager, target.name.clone(), target.site));
        }
        // A prefetch may leave rows out.
        let queryset = self.rows.queryset;
        if queryset.prefetched.iter().any(|p| p.split("__").next() == Some(&field.name))
            || queryset.is(Trait::OpaquePrefetch)
        {
            return None;
        }
        instances(self.cx, target.id, &mut self.hazards);
        Some(target.id)
    }

    /// One step along a foreign key that is read of each row.
    fn follow(
        &mut self,
        model: &'a Model,
        field: &'a Field,
        path: &str,
        known: &[String],
    ) -> Option<&'a Model> {
        let target = self.target(model, field)?;
        // `None.name` raises; a join gives NULL.
        if field.null && !is_proven(path, known) {
            self.hazards.push(Hazard::at(HazardKind::NullableField, path, field.site));
        }
        // The columns of a join have to be told apart.
        if self.rows.queryset.is(Trait::RawSql) || self.rows.queryset.is(Trait::FilteredRelation) {
            return None;
        }
        Some(self.cx.model(target))
    }

    /// A column that may be NULL, where Python would raise.
    pub(super) fn must_have_value(&mut self, column: &Column<'a>) {
        if column.null {
            self.hazards.push(Hazard::at(HazardKind::NullableField, column.path.clone(), column.field.site));
        }
    }
}
