//! Django's paginator: a page goes over the rows of a slice, which it loads once.

use super::analyzer::Analyzer;
use super::calls::{Arg, argument};
use super::facts::{Escape, Use};
use super::frame::Frame;
use super::types::{Name, QuerySet, Trait, Type};
use crate::python::{ClassId, Expr, Field, Kind, Member, Node, ParameterKind, arguments, parameters};
use std::sync::Arc;

/// The class, and the name that stands for one of its objects: [`Type::Bound`] to the queryset that it cuts.
pub(super) const PAGINATOR: &str = "django.core.paginator.Paginator";

/// What is asked of a paginator that neither loads rows nor gives the queryset away.
const ASKED: &[&str] = &[
    "get_page",
    "page",
    "count",
    "num_pages",
    "object_list",
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
        if let Some(paginator) = self.paginator_of_rows(args, node) {
            return paginator;
        }
        self.escape_all(args, node, Escape::External);
        Type::External(Name::from(PAGINATOR))
    }

    /// The paginator that a call makes of a queryset, where it is only asked for pages.
    pub(super) fn paginator_of_rows(&mut self, args: &[Arg<'a>], node: Node<'a>) -> Option<Type> {
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
            return Some(Type::Bound(Arc::new(Type::QuerySet(qs.clone())), Name::from(PAGINATOR)));
        }
        None
    }

    /// `self.paginate_queryset(queryset, page_size)` of a list view: the paginator, the page, its rows, and whether there are
    /// other pages (django/views/generic/list.py, `MultipleObjectMixin`).
    pub(super) fn page_of_view(&mut self, class: ClassId, args: &[Arg<'a>], node: Node<'a>) -> Option<Type> {
        let program = self.az.project.program();
        let info = program.class(class);
        let is_list = |base: &String| {
            base.starts_with("django.views.generic") && base.contains("List")
                || base.ends_with(".MultipleObjectMixin")
        };
        let own = ["get_paginator", "paginator_class", "paginate_queryset"];
        if info.has_unknown_base
            || !info.external_bases.iter().any(is_list)
            || !info
                .external_bases
                .iter()
                .all(|base| base.starts_with("django.") || base.starts_with("builtins."))
            || own.iter().any(|name| program.member(class, name).is_some())
            || self.az.is_assigned_from_outside("object_list")
        {
            return None;
        }
        let rows = argument(args, 0, "queryset")?;
        let Type::QuerySet(_) = &rows.ty else { return None };
        let page = self.paginator_method(&rows.ty.clone(), "page", node);
        let paginator = Type::External(Name::from(PAGINATOR));
        Some(Type::Tuple(vec![paginator, page.clone(), page, Type::Bool].into()))
    }

    /// A method of a paginator of the rows of `ty`.
    pub(super) fn paginator_method(&mut self, ty: &Type, name: &str, node: Node<'a>) -> Type {
        match ty {
            Type::QuerySet(qs) if matches!(name, "get_page" | "page") => {
                let qs: Arc<QuerySet> = qs.clone();
                self.use_queryset(&qs, node, Use::Slice);
                let made_by = self.single(&qs, node);
                // Whichever page it is: `except EmptyPage: page = paginator.page(1)`.
                let rows = match self.pages.get(&made_by) {
                    Some(rows) => rows.clone(),
                    None => self.derive(&qs, node, |q| {
                        q.traits.insert(Trait::Sliced);
                    }),
                };
                self.pages.insert(made_by, rows.clone());
                Type::list(self.iterate(&rows, node))
            }
            _ => Type::Unknown,
        }
    }
}

impl Type {
    /// Whether it is a paginator of a queryset, which is asked for pages alone.
    pub fn is_paginator(&self) -> bool {
        matches!(self, Type::Bound(rows, made) if &**made == PAGINATOR && rows.queryset().is_some())
    }
}

impl Analyzer<'_> {
    /// Whether objects of a class of the program are paginators that cut the rows that they are given as Django's do.
    pub(super) fn is_paginator(&self, class: ClassId) -> bool {
        let program = self.project.program();
        let info = program.class(class);
        if info.has_unknown_base
            || !program.inherits(class, PAGINATOR)
            || !info
                .external_bases
                .iter()
                .all(|b| b.starts_with("django.core.paginator") || b == "builtins.object")
        {
            return false;
        }
        info.mro.iter().all(|class| {
            let info = program.class(*class);
            let body = program.file(info.file).node(info.node);
            info.members.iter().all(|(name, member)| match (name.as_str(), member) {
                ("__init__", Member::Function(init, _)) => {
                    hands_rows_on(program.file(info.file).node(program.function(*init).node))
                }
                ("page" | "get_page" | "_get_page" | "__iter__", Member::Function(function, _)) => {
                    gives_rows(program.file(info.file).node(program.function(*function).node))
                }
                ("object_list", _) => false,
                _ => true,
            }) && body.descendants().all(|n| match Expr::of(n) {
                Expr::Attribute { attr: "object_list", .. } if n.kind() == Kind::Attribute => is_cut(n),
                _ => true,
            })
        })
    }
}

/// Whether `__init__(self, object_list, ...)` hands its rows on to the class above.
fn hands_rows_on(init: Node<'_>) -> bool {
    let params = parameters(init);
    let Some(rows) = params.get(1).map(|p| p.name) else { return false };
    let is_rows = |n: &Node<'_>| n.kind() == Kind::Name && n.text() == rows;
    let is_handed = |call: Node<'_>| match Expr::of(call) {
        Expr::Call { func, arguments: list } => {
            func.text().ends_with(".__init__") && arguments(list).first().is_some_and(|a| is_rows(&a.value))
        }
        _ => false,
    };
    params.get(1).is_some_and(|p| p.kind == ParameterKind::PositionalOrKeyword)
        && init.descendants().filter(is_rows).all(|n| !n.is_binding() || n.field() != Field::Left)
        && init.descendants().any(is_handed)
}

/// Whether a method that gives pages gives rows, and changes nothing on the way.
fn gives_rows(def: Node<'_>) -> bool {
    let makes_others = |n: Node<'_>| match n.kind() {
        Kind::ListComp | Kind::GeneratorExp | Kind::DictComp | Kind::SetComp | Kind::For | Kind::Lambda => {
            true
        }
        Kind::Call => match Expr::of(n) {
            Expr::Call { func, .. } => {
                let name = func.text().rsplit('.').next().unwrap_or("");
                matches!(name, "map" | "filter" | "save" | "create" | "update" | "delete")
            }
            _ => false,
        },
        _ => false,
    };
    !def.descendants().any(makes_others)
}

/// Whether `self.object_list` is cut, counted, or handed on there.
fn is_cut(rows: Node<'_>) -> bool {
    let Some(parent) = rows.with_parens().parent().filter(|_| !rows.is_binding()) else { return false };
    match Expr::of(parent) {
        Expr::Subscript { index, .. } => index.kind() == Kind::Slice,
        Expr::Attribute { attr, .. } => attr == "count",
        _ => parent.parent().is_some_and(|call| {
            matches!(Expr::of(call), Expr::Call { func, .. }
                if matches!(Expr::of(func), Expr::Name("len" | "list" | "hasattr" | "isinstance")))
        }),
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
    scope.mentions(target.text()).all(|name| {
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
