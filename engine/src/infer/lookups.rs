//! Paths in lookups: what they join, and the type at their end.

use super::calls::Arg;
use super::frame::Frame;
use super::members::{column_type, kind_type};
use super::types::Type;
use crate::django::{ModelId, RelationKind};
use crate::python::string_value;
use std::collections::BTreeSet;

impl<'a> Frame<'a, '_> {
    /// The models whose rows the lookups, expressions and subqueries in `args` read besides those of `model`.
    pub(super) fn joined_by(&self, model: ModelId, args: &[Arg<'a>]) -> BTreeSet<ModelId> {
        let mut out = BTreeSet::new();
        for arg in args {
            if let Type::QuerySet(other) = &arg.ty {
                out.insert(other.model);
                out.extend(other.joined.iter().copied());
            }
            if let Some(lookup) = arg.name {
                self.joined_on(model, lookup, &mut out);
            }
            // A value may be any string; a path in an expression (`F`, `Count`, `Q`) is one that resolves.
            for node in arg.node.descendants() {
                match node.kind() {
                    crate::python::Kind::Str => {
                        if let Some(path) = string_value(node) {
                            self.joined_on(model, path.trim_start_matches('-'), &mut out);
                        }
                    }
                    crate::python::Kind::KeywordArgument => {
                        if let Some(name) = node.child(crate::python::Field::Name) {
                            self.joined_on(model, name.text(), &mut out);
                        }
                    }
                    _ => {
                        if let Some(Type::QuerySet(other)) = self.facts.types.get(&node.id()) {
                            out.insert(other.model);
                            out.extend(other.joined.iter().copied());
                        }
                    }
                }
            }
        }
        out
    }

    /// The models that a lookup path passes through after `model`.
    pub(super) fn joined_on(&self, model: ModelId, path: &str, out: &mut BTreeSet<ModelId>) {
        let mut model = model;
        // A forward relation is read only if something of its target is asked for.
        let mut pending: Option<ModelId> = None;
        for part in path.split("__") {
            let info = self.az.project.model(model);
            let is_key = part == "pk" || info.primary_key().is_some_and(|pk| pk.name == part);
            let field = info.field(part);
            let reverse = info.reverse.iter().find(|r| r.query_name == part);
            if field.is_none() && reverse.is_none() {
                return;
            }
            if let Some(target) = pending.take()
                && !is_key
            {
                out.insert(target);
            }
            if let Some(reverse) = reverse {
                out.insert(reverse.source);
                model = reverse.source;
                continue;
            }
            let Some(relation) = field.and_then(|f| f.relation.as_ref()) else { return };
            let Some(target) = relation.target else { return };
            match relation.kind {
                RelationKind::ForeignKey | RelationKind::OneToOne => pending = Some(target),
                _ => {
                    out.insert(target);
                }
            }
            model = target;
        }
    }

    /// The type of the value at the end of a lookup path.
    pub(super) fn lookup_type(&self, model: ModelId, path: &str) -> Option<Type> {
        let mut model = model;
        let mut optional = false;
        let mut parts = path.split("__").peekable();
        while let Some(part) = parts.next() {
            let info = self.az.project.model(model);
            if part == "pk" {
                return info.primary_key().map(column_type);
            }
            let Some(field) = info.field(part) else {
                return info.field_by_attname(part).map(|_| Type::Unknown);
            };
            optional |= field.null;
            match (&field.relation, parts.peek()) {
                (Some(relation), Some(_))
                    if matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne) =>
                {
                    model = relation.target?;
                }
                (Some(_), _) => return None,
                (None, None) => {
                    let ty = kind_type(field.kind);
                    return Some(if optional { ty.optional() } else { ty });
                }
                (None, Some(_)) => return None,
            }
        }
        None
    }
}
