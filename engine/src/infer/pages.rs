//! Django's paginator: a page goes over the rows of a slice, which it loads once.

use super::calls::Arg;
use super::facts::{Escape, Use};
use super::frame::Frame;
use super::types::{Name, QuerySet, Trait, Type};
use crate::python::{Expr, Field, Kind, Node};
use std::sync::Arc;

/// The class, and the name that stands for one of its objects: [`Type::Bound`] to the queryset that it cuts.
pub(super) const PAGINATOR: &str = "django.core.paginator.Paginator";

/// What is asked of a paginator that neither loads rows nor gives the queryset away.
const ASKED: &[&str] = &[
    "get_page",
    "page",
    "count",
    "num_pages",
    "page_range",
    "get_elided_page_range",
    "validate_number",
    "per_page",
    "orphans",
    "ELLIPSIS",
];

impl<'a> Frame<'a, '_> {
    /// `Paginator(queryset, 20)`
    pub(super) fn paginator(&mut self, args: &[Arg<'a>], node: Node<'a>) -> Type {
        let is_rows = |(i, arg): &(usize, &Arg<'a>)| match arg.name {
            Some(name) => name == "object_list",
            None => *i == 0 && arg.stars == 0,
        };
        if let Some((_, rows)) = args.iter().enumerate().find(is_rows)
            && let Type::QuerySet(qs) = &rows.ty
            && is_only_asked(node)
            // Whoever puts other rows into a page shows those.
            && !self.az.is_assigned_from_outside("object_list")
        {
            return Type::Bound(Arc::new(Type::QuerySet(qs.clone())), Name::from(PAGINATOR));
        }
        self.escape_all(args, node, Escape::External);
        Type::External(Name::from(PAGINATOR))
    }

    /// A method of a paginator of the rows of `ty`.
    pub(super) fn paginator_method(&mut self, ty: &Type, name: &str, node: Node<'a>) -> Type {
        match ty {
            Type::QuerySet(qs) if matches!(name, "get_page" | "page") => {
                let qs: Arc<QuerySet> = qs.clone();
                self.use_queryset(&qs, node, Use::Slice);
                let rows = self.derive(&qs, node, |q| {
                    q.traits.insert(Trait::Sliced);
                });
                Type::list(self.iterate(&rows, node))
            }
            _ => Type::Unknown,
        }
    }
}

/// Whether the paginator that the call makes is only asked for its pages and numbers, at once or by the name it is given.
fn is_only_asked(call: Node<'_>) -> bool {
    let Some(parent) = call.with_parens().parent() else { return false };
    let is_asked = |owner: Node<'_>, parent: Node<'_>| {
        matches!(Expr::of(parent), Expr::Attribute { value, attr, .. }
            if value.peel() == owner && ASKED.contains(&attr) && !parent.is_binding())
    };
    if is_asked(call, parent) {
        return true;
    }
    let Some(scope) = call.enclosing_scope() else { return false };
    if parent.kind() != Kind::Assign || scope.kind() != Kind::FunctionDef {
        return false;
    }
    let Some(target) = parent.child(Field::Left).map(Node::peel) else { return false };
    if target.kind() != Kind::Name || parent.parent().is_some_and(|p| p.kind() == Kind::Assign) {
        return false;
    }
    scope.descendants().filter(|n| n.kind() == Kind::Name && n.text() == target.text()).all(|name| {
        name == target
            || name.with_parens().parent().is_some_and(|parent| {
                // The name of an attribute or keyword is none of its own.
                is_asked(name, parent) || !is_value(name, parent)
            })
    })
}

/// Whether a name is read or bound there, and not the name of an attribute or of a keyword.
fn is_value(name: Node<'_>, parent: Node<'_>) -> bool {
    match Expr::of(parent) {
        Expr::Attribute { value, .. } => value.peel() == name,
        _ => parent.kind() != Kind::KeywordArgument || name.field() == Field::Value,
    }
}
