//! Making expressions, and walking over a tree.

use super::ast::{Expr, ExprKind, Node, NodeKind, Template};
use crate::text::Span;

/// How high an expression may become; what would be higher is [`ExprKind::Unknown`].
const MAX_HEIGHT: u16 = 100;

impl Expr {
    pub(super) fn new(kind: ExprKind, span: Span) -> Expr {
        let mut height = 0;
        kind.for_each_child(&mut |child| height = height.max(child.height));
        if height >= MAX_HEIGHT {
            return Expr { kind: ExprKind::Unknown(Vec::new()), span, height: 1 };
        }
        Expr { kind, span, height: height + 1 }
    }

    /// Each direct part, in the order in which it is written.
    pub fn for_each_child<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        self.kind.for_each_child(f);
    }

    /// It and every expression in it, outside in.
    pub fn walk<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        f(self);
        self.for_each_child(&mut |child| child.walk(f));
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            ExprKind::Str(text) => Some(text),
            _ => None,
        }
    }
}

impl ExprKind {
    fn for_each_child<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        match self {
            ExprKind::Attribute { value, .. } | ExprKind::Not(value) | ExprKind::Sign(value) => f(value),
            ExprKind::Item { value, index } => {
                f(value);
                f(index);
            }
            ExprKind::Slice { value, bounds } => {
                f(value);
                bounds.iter().for_each(f);
            }
            ExprKind::Call { func: value, args }
            | ExprKind::Filter { value, args, .. }
            | ExprKind::Test { value, args, .. } => {
                f(value);
                args.iter().for_each(|arg| f(&arg.value));
            }
            ExprKind::Binary { left, right, .. } => {
                f(left);
                f(right);
            }
            ExprKind::Conditional { test, body, orelse } => {
                f(body);
                f(test);
                if let Some(orelse) = orelse {
                    f(orelse);
                }
            }
            ExprKind::List(items) | ExprKind::Tuple(items) | ExprKind::Unknown(items) => {
                items.iter().for_each(f);
            }
            ExprKind::Dict(pairs) => {
                for (key, value) in pairs {
                    f(key);
                    f(value);
                }
            }
            ExprKind::Name(_)
            | ExprKind::Str(_)
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Bool(_)
            | ExprKind::None
            | ExprKind::Body => {}
        }
    }
}

impl Node {
    /// Each expression of the tag itself, in the order in which it is written.
    pub fn for_each_expr<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        match &self.kind {
            NodeKind::Output(value)
            | NodeKind::Extends(value)
            | NodeKind::Set { value, .. }
            | NodeKind::SetBlock { value, .. }
            | NodeKind::Filter { value, .. }
            | NodeKind::Import { template: value, .. }
            | NodeKind::FromImport { template: value, .. } => f(value),
            NodeKind::For { iter, test, .. } => {
                f(iter);
                test.iter().for_each(f);
            }
            NodeKind::If { branches, .. } => branches.iter().for_each(|(test, _)| f(test)),
            NodeKind::With { bindings, .. } => bindings.iter().for_each(|b| f(&b.value)),
            NodeKind::Include { template, bindings, .. } => {
                f(template);
                bindings.iter().for_each(|b| f(&b.value));
            }
            NodeKind::Regroup { value, key, .. } => {
                f(value);
                f(key);
            }
            NodeKind::Macro { params, .. } => params.iter().filter_map(|p| p.default.as_ref()).for_each(f),
            NodeKind::CallBlock { params, call, .. } => {
                params.iter().filter_map(|p| p.default.as_ref()).for_each(&mut *f);
                f(call);
            }
            NodeKind::Tag(tag) => {
                let args = tag.args.iter().chain(tag.sections.iter().flat_map(|s| &s.args));
                args.for_each(|arg| f(&arg.value));
            }
            NodeKind::Block { .. }
            | NodeKind::Load { .. }
            | NodeKind::PartialDef { .. }
            | NodeKind::Partial(_) => {}
        }
    }

    /// Its bodies, in order.
    pub fn bodies(&self) -> Vec<&[Node]> {
        match &self.kind {
            NodeKind::For { body, empty, .. } => vec![body, empty],
            NodeKind::If { branches, orelse } => {
                branches.iter().map(|(_, body)| &**body).chain([&**orelse]).collect()
            }
            NodeKind::With { body, .. }
            | NodeKind::Block { body, .. }
            | NodeKind::SetBlock { body, .. }
            | NodeKind::Filter { body, .. }
            | NodeKind::Macro { body, .. }
            | NodeKind::CallBlock { body, .. }
            | NodeKind::PartialDef { body, .. } => vec![body],
            NodeKind::Tag(tag) => tag.sections.iter().map(|section| &*section.body).collect(),
            _ => Vec::new(),
        }
    }

    /// It and every node in it, outside in.
    pub fn walk<'a>(&'a self, f: &mut dyn FnMut(&'a Node)) {
        f(self);
        for body in self.bodies() {
            body.iter().for_each(|node| node.walk(f));
        }
    }
}

impl Template {
    /// Every node, outside in.
    pub fn walk<'a>(&'a self, f: &mut dyn FnMut(&'a Node)) {
        self.body.iter().for_each(|node| node.walk(f));
    }

    /// The first node for which `pick` gives something, outside in.
    pub fn find<'a, T>(&'a self, pick: impl Fn(&'a Node) -> Option<T>) -> Option<T> {
        let mut found = None;
        self.walk(&mut |node| {
            if found.is_none() {
                found = pick(node);
            }
        });
        found
    }

    /// The template that it extends.
    pub fn extends(&self) -> Option<&Expr> {
        self.find(|node| if let NodeKind::Extends(parent) = &node.kind { Some(parent) } else { None })
    }

    /// The block called `wanted`, wherever it stands.
    pub fn block(&self, wanted: &str) -> Option<&Node> {
        self.find(|node| matches!(&node.kind, NodeKind::Block { name, .. } if name == wanted).then_some(node))
    }

    /// The macro called `wanted`.
    pub fn macro_called(&self, wanted: &str) -> Option<&Node> {
        self.find(|node| matches!(&node.kind, NodeKind::Macro { name, .. } if name == wanted).then_some(node))
    }

    /// The partial called `wanted`, wherever it stands.
    pub fn partial(&self, wanted: &str) -> Option<&Node> {
        self.find(|node| {
            matches!(&node.kind, NodeKind::PartialDef { name, .. } if name == wanted).then_some(node)
        })
    }

    /// The libraries of tags that it loads, in order.
    pub fn libraries(&self) -> Vec<&str> {
        let mut all = Vec::new();
        self.walk(&mut |node| {
            if let NodeKind::Load { libraries, .. } = &node.kind {
                all.extend(libraries.iter().map(String::as_str));
            }
        });
        all
    }
}
