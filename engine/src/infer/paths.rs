//! Names of relations and columns that methods of querysets are given: written out, or kept in a constant.

use super::calls::Arg;
use super::frame::Frame;
use super::types::Name;
use crate::django::lists::{class_around, elements, named};
use crate::python::{Def, Expr, Field, Kind, Node, string_value};
use std::collections::BTreeSet;

impl<'a> Frame<'a, '_> {
    /// The names that `select_related()`, `only()` or `defer()` are given; nothing where one of them is not known.
    pub(super) fn names_given(&self, args: &[Arg<'a>]) -> Option<BTreeSet<Name>> {
        let nodes = self.spelled(args)?;
        nodes.into_iter().map(|node| Some(Name::from(string_value(node)?.as_str()))).collect()
    }

    /// The lookups that `prefetch_related()` is given; nothing for each that is not known.
    pub(super) fn lookups_given(&self, args: &[Arg<'a>]) -> Vec<Option<Name>> {
        match self.spelled(args) {
            Some(nodes) => nodes.into_iter().map(prefetch_lookup).collect(),
            None => vec![None],
        }
    }

    /// The expressions that the arguments stand for; nothing where one is given by name, or what is spread is not
    /// written out.
    fn spelled(&self, args: &[Arg<'a>]) -> Option<Vec<Node<'a>>> {
        let mut out = Vec::new();
        for arg in args {
            match (arg.name, arg.stars) {
                (None, 0) => out.push(self.constant(arg.node)),
                (None, 1) => out.extend(self.spread(arg.node)?),
                _ => return None,
            }
        }
        Some(out)
    }

    /// The elements of what is spread: a list or tuple that is written out here or is a constant.
    fn spread(&self, node: Node<'a>) -> Option<Vec<Node<'a>>> {
        let program = self.az.project.program();
        let node = self.own_list(node).unwrap_or(node);
        let mut names = node.descendants().chain([node]).filter(|n| n.kind() == Kind::Name);
        if names.any(|n| self.is_own_name(n)) {
            return None;
        }
        let listed = elements(program, self.file, node.id(), class_around(program, self.file, node))?;
        Some(listed.into_iter().map(|(file, node)| program.file(file).node(node)).collect())
    }

    /// The list or tuple that a variable of this function is, which is only spread: nobody adds to it.
    fn own_list(&self, node: Node<'a>) -> Option<Node<'a>> {
        let Expr::Name(name) = Expr::of(node) else { return None };
        if self.volatile.contains(name) || self.scope.kind() != Kind::FunctionDef || !self.is_own_name(node) {
            return None;
        }
        let value = super::rendering::assigned_once(self.scope, name)?;
        let is_spread = |n: Node<'a>| n.parent().is_some_and(|p| p.kind() == Kind::Starred);
        let mut others = self.scope.descendants().filter(|n| {
            n.kind() == Kind::Name && n.text() == name && !n.is_binding() && n.field() != Field::Attribute
        });
        (matches!(Expr::of(value), Expr::List(_) | Expr::Tuple(_)) && others.all(is_spread)).then_some(value)
    }

    /// The string that a name stands for, or `node` itself.
    fn constant(&self, node: Node<'a>) -> Node<'a> {
        let program = self.az.project.program();
        if !matches!(Expr::of(node), Expr::Name(_) | Expr::Attribute { .. }) || self.is_own_name(node) {
            return node;
        }
        match named(program, self.file, node, class_around(program, self.file, node)) {
            Some(Def::Variable { file, value: Some(value) }) => Some(program.file(file).node(value))
                .filter(|v| matches!(Expr::of(*v), Expr::Str(_)))
                .unwrap_or(node),
            _ => node,
        }
    }

    /// Whether a name is a variable of the function around it, or of a module that changes it.
    fn is_own_name(&self, node: Node<'a>) -> bool {
        let Expr::Name(name) = Expr::of(node) else { return false };
        self.volatile.contains(name) || (node.enclosing_function().is_some() && self.locals.contains(name))
    }
}

/// The literal lookup of one argument of prefetch_related(): a string, or the first argument of a Prefetch. One with a
/// queryset of its own, which may load more, ends with `__*`.
fn prefetch_lookup(node: Node<'_>) -> Option<Name> {
    if let Some(text) = string_value(node) {
        return Some(Name::from(text.as_str()));
    }
    let Expr::Call { func, arguments } = Expr::of(node) else { return None };
    if !func.text().ends_with("Prefetch") {
        return None;
    }
    let args = crate::python::arguments(arguments);
    if args.iter().any(|a| a.name == Some("to_attr") || a.stars > 0) || args.len() > 2 {
        return None;
    }
    let lookup =
        args.iter().enumerate().find(|(i, a)| a.name == Some("lookup") || *i == 0 && a.name.is_none());
    let lookup = string_value(lookup?.1.value)?;
    Some(Name::from(if args.len() > 1 { format!("{lookup}__*") } else { lookup }))
}
