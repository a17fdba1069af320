//! Paths in lookups: what they join, and the type at their end.

use super::calls::Arg;
use super::frame::Frame;
use super::members::{column_type, kind_type};
use super::types::Type;
use crate::django::{Field as Column, ModelId, RelationKind};
use crate::python::{Expr, Field, Kind, Node, arguments, string_value};
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
                    Kind::Str => {
                        if let Some(path) = string_value(node) {
                            self.joined_on(model, path.trim_start_matches('-'), &mut out);
                        }
                    }
                    Kind::KeywordArgument => {
                        if let Some(name) = node.child(Field::Name) {
                            self.joined_on(model, name.text(), &mut out);
                        }
                    }
                    _ => {
                        if let Some(Type::QuerySet(other)) = self.facts.types.get(node.id()) {
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

    /// Whether a method with these arguments may give a row more than once: it joins a to-many relation. `exclude()`
    /// asks in a subquery (django/db/models/sql/query.py, split_exclude), aggregates group by the row.
    pub(super) fn repeats_rows(&self, model: ModelId, method: &str, args: &[Arg<'a>]) -> bool {
        if !matches!(
            method,
            "filter" | "complex_filter" | "order_by" | "annotate" | "alias" | "values" | "extra"
        ) {
            return false;
        }
        args.iter().any(|arg| {
            if matches!(method, "annotate" | "alias") && self.is_aggregate(arg) {
                return false;
            }
            let named =
                arg.name.filter(|_| method == "filter").is_some_and(|n| self.az.project.is_to_many(model, n));
            named
                || arg.node.descendants().any(|node| match node.kind() {
                    Kind::Str => string_value(node)
                        .is_some_and(|path| self.az.project.is_to_many(model, path.trim_start_matches('-'))),
                    Kind::KeywordArgument => node
                        .child(Field::Name)
                        .is_some_and(|name| self.az.project.is_to_many(model, name.text())),
                    _ => false,
                })
        })
    }

    /// Whether a lookup or an ordering among the arguments is not spelled out: `filter(**given)`, `order_by(*names)`,
    /// a condition that was made elsewhere.
    pub(super) fn hides_lookups(&self, method: &str, args: &[Arg<'a>]) -> bool {
        matches!(method, "filter" | "complex_filter" | "order_by")
            && args.iter().any(|a| a.stars > 0 || a.name.is_none() && !self.is_spelled(a.node, 0))
    }

    /// Whether an expression shows every path that it names: strings, and what Django's own classes make of them.
    fn is_spelled(&self, node: Node<'a>, depth: usize) -> bool {
        if depth > 20 {
            return false;
        }
        match Expr::of(node) {
            Expr::Str(_) => true,
            Expr::BinOp { left, right, .. } => {
                self.is_spelled(left, depth + 1) && self.is_spelled(right, depth + 1)
            }
            Expr::UnaryOp { operand, .. } => self.is_spelled(operand, depth + 1),
            Expr::Tuple(items) => items.children().next().is_some_and(|n| n.kind() == Kind::Str),
            Expr::Call { func, arguments: list } => {
                let is_django = |ty: &Type| matches!(ty, Type::External(p) if p.starts_with("django."));
                // `F("rank").desc()` is what `F("rank")` is.
                let inner = match Expr::of(func) {
                    Expr::Attribute { value, .. } if value.peel().kind() == Kind::Call => {
                        self.is_spelled(value, depth + 1)
                    }
                    _ => is_django(self.facts.type_of(node)),
                };
                inner
                    && arguments(list)
                        .iter()
                        .all(|a| a.stars == 0 && (a.name.is_some() || self.is_spelled(a.value, depth + 1)))
            }
            _ => false,
        }
    }

    /// `Count("books")`, `Exists(...)` and their like.
    fn is_aggregate(&self, arg: &Arg<'a>) -> bool {
        let Type::External(path) = &arg.ty else { return false };
        let name = path.rsplit('.').next().unwrap_or(path);
        path.starts_with("django.db.models")
            && matches!(
                name,
                "Count" | "Sum" | "Avg" | "Min" | "Max" | "StdDev" | "Variance" | "Exists" | "Subquery"
            )
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
                let field = info.field_by_attname(part)?;
                return self.key_type(field, optional || field.null, 0);
            };
            optional |= field.null;
            match (&field.relation, parts.peek()) {
                (Some(relation), Some(_))
                    if matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne) =>
                {
                    model = relation.target?;
                }
                (Some(_), None) => return self.key_type(field, optional, 0),
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

    /// The type of what a foreign key's column holds.
    fn key_type(&self, field: &Column, optional: bool, depth: usize) -> Option<Type> {
        let relation = field.relation.as_ref();
        let relation =
            relation.filter(|r| matches!(r.kind, RelationKind::ForeignKey | RelationKind::OneToOne))?;
        let target = self.az.project.model(relation.target.filter(|_| depth < 8)?);
        let key = match &relation.to_field {
            Some(name) => target.field(name)?,
            None => target.primary_key()?,
        };
        if key.relation.is_some() {
            return self.key_type(key, optional, depth + 1);
        }
        let ty = kind_type(key.kind);
        Some(if optional { ty.optional() } else { ty })
    }
}
