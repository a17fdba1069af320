//! Serializers that ordinary code makes: they read nothing until somebody asks for `.data`.

use crate::infer::facts::Escape;
use crate::infer::frame::Frame;
use crate::infer::types::Type;
use crate::python::{ClassId, Expr, Field, Kind, Node, NodeId};

/// A serializer that is made here, and read by expressions further down.
#[derive(Clone, Debug)]
pub(in crate::infer) struct Unread {
    /// The call that makes it.
    pub made: NodeId,
    /// The expressions that read `.data`.
    pub data: Vec<NodeId>,
    /// Its class.
    pub class: ClassId,
    /// What it is made of.
    pub given: Type,
    /// Whether that is several rows.
    pub many: bool,
    /// Where the rows go.
    pub how: Escape,
    /// Whether nothing else may have been made in its place.
    pub is_sure: bool,
}

impl<'a> Frame<'a, '_> {
    /// Remember a serializer until its `.data` is read; what the same call has made before is gone.
    pub(super) fn put_off_serializer(&mut self, unread: Unread) {
        self.unread.retain(|u| (u.made, u.class) != (unread.made, unread.class));
        self.unread.push(unread);
    }

    /// One of `several` things is what the call `made` makes: if not each of them is a serializer to read, none is sure.
    pub(in crate::infer) fn doubt_unread(&mut self, made: Node<'a>, several: usize) {
        let is_it = |u: &&mut Unread| u.made == made.id();
        if self.unread.iter_mut().filter(is_it).count() < several {
            self.unread.iter_mut().filter(is_it).for_each(|u| u.is_sure = false);
        }
    }

    /// The expression `data` reads `.data` of the serializers that were put off for it.
    pub(in crate::infer) fn read_serializers(&mut self, data: Node<'a>) {
        let now: Vec<Unread> = self.unread.iter().filter(|u| u.data.contains(&data.id())).cloned().collect();
        self.one_of(now, |frame, unread| match unread.is_sure {
            true => frame.read_serializer(&unread, data, data),
            false => frame.may_read_serializer(&unread, data, data),
        });
    }

    /// What reading `.data` reads, if anybody does.
    pub(super) fn may_read_serializer(&mut self, unread: &Unread, node: Node<'a>, at: Node<'a>) {
        let start = self.facts.own.len();
        self.conditionally(|frame| frame.read_serializer(unread, node, at));
        self.put_off(node, start);
    }

    /// What reading `.data` reads, for the expression `node`; the rows are given by the expression `at`.
    pub(super) fn read_serializer(&mut self, unread: &Unread, node: Node<'a>, at: Node<'a>) {
        let Unread { class, given, how, .. } = unread;
        if unread.many {
            self.write_each(given, at, |frame, row| {
                frame.represent(*class, row, node);
                frame.escape(row, at, *how);
            });
        } else {
            self.represent(*class, given, node);
            self.escape(given, at, *how);
        }
    }
}

/// Where `.data` of a serializer is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// In the same expression.
    Here,
    /// By these expressions further down.
    At(Vec<NodeId>),
    /// Nobody but the function has it, which may read it.
    Local,
    /// Whoever gets the serializer may.
    Elsewhere,
}

pub(super) fn reading(made: Node<'_>) -> Reading {
    let Some(parent) = made.with_parens().parent() else { return Reading::Elsewhere };
    if matches!(Expr::of(parent), Expr::Attribute { attr: "data", .. } if parent.kind() == Kind::Attribute) {
        return Reading::Here;
    }
    let target =
        parent.child(Field::Left).filter(|t| parent.kind() == Kind::Assign && t.kind() == Kind::Name);
    let (Some(target), Some(statement), Some(scope)) = (target, made.statement(), made.enclosing_scope())
    else {
        return Reading::Elsewhere;
    };
    let is_it = |n: &Node<'_>| n.kind() == Kind::Name && n.text() == target.text();
    let attribute = |n: Node<'_>| match n.parent().map(Expr::of) {
        Some(Expr::Attribute { attr, .. }) if n.field() == Field::Object => Some(attr.to_owned()),
        _ => None,
    };
    if scope.descendants().filter(is_it).any(|n| !n.is_binding() && attribute(n).is_none()) {
        return Reading::Elsewhere;
    }
    let data = |n: Node<'_>| n.parent().filter(|_| attribute(n).as_deref() == Some("data")).map(Node::id);
    if scope.descendants().filter(is_it).filter(|n| n.is_binding()).count() == 1 {
        let all: Vec<NodeId> = scope.descendants().filter(is_it).filter_map(data).collect();
        return if all.is_empty() { Reading::Local } else { Reading::At(all) };
    }
    let simple = [Kind::ExprStatement, Kind::Return, Kind::Assign];
    let later = statement.parent().into_iter().flat_map(|block| block.children().collect::<Vec<_>>());
    let reads = later
        .skip_while(|s| s.id() <= statement.id())
        .take_while(|s| !s.descendants().any(|n| is_it(&n) && n.is_binding()))
        .filter(|s| simple.contains(&s.kind()))
        .flat_map(|s| s.descendants().collect::<Vec<_>>())
        .filter(is_it)
        .find_map(data);
    reads.map_or(Reading::Local, |data| Reading::At(vec![data]))
}
