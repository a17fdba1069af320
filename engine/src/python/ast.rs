//! The flat preorder arena that a file is lowered to, and cursors over it.
//!
//! Invariants: a node's first child is `id + 1`, its next sibling `subtree_end`, its subtree the slice
//! `id..subtree_end`. Tokens without meaning (commas, brackets, keywords) are not kept; comments are.

use super::kind::{Field, Kind};
use crate::text::Span;

/// Index of a node in its [`Ast`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeData {
    pub start: u32,
    pub end: u32,
    pub parent: u32,
    pub subtree_end: u32,
    pub kind: Kind,
    pub field: Field,
    pub has_error: bool,
}

/// One file, lowered.
#[derive(Clone, Debug, Default)]
pub struct Ast {
    pub(super) nodes: Vec<NodeData>,
    pub(super) too_deep: bool,
}

impl Ast {
    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was parsed.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether the syntax is nested deeper than any analysis follows; nothing in such a file is analysed.
    pub fn is_too_deep(&self) -> bool {
        self.too_deep
    }

    /// The root, with the text that was parsed.
    pub fn root<'a>(&'a self, text: &'a str) -> Node<'a> {
        Node { ast: self, text, id: NodeId(0) }
    }

    /// A cursor at `id`.
    pub fn node<'a>(&'a self, text: &'a str, id: NodeId) -> Node<'a> {
        Node { ast: self, text, id }
    }

    /// The first of the nodes `ids` that begins at `offset` or later, or one past the last of them.
    fn first_from(&self, offset: u32, ids: std::ops::Range<u32>) -> u32 {
        let nodes = self.nodes.get(ids.start as usize..ids.end as usize).unwrap_or_default();
        ids.start + nodes.partition_point(|node| node.start < offset) as u32
    }

    fn data(&self, id: NodeId) -> NodeData {
        self.nodes.get(id.0 as usize).copied().unwrap_or(NodeData {
            start: 0,
            end: 0,
            parent: 0,
            subtree_end: 0,
            kind: Kind::Error,
            field: Field::None,
            has_error: true,
        })
    }
}

/// A cursor: a node together with its file. `Copy`, compared by identity of the node within one file.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    ast: &'a Ast,
    text: &'a str,
    id: NodeId,
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}#{} `{}`", self.kind(), self.id.0, self.text())
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && std::ptr::eq(self.ast, other.ast)
    }
}

impl Eq for Node<'_> {}

impl<'a> Node<'a> {
    /// Its index.
    pub fn id(self) -> NodeId {
        self.id
    }

    /// The arena.
    pub fn ast(self) -> &'a Ast {
        self.ast
    }

    /// The text of the whole file.
    pub fn file_text(self) -> &'a str {
        self.text
    }

    /// The node of this file with index `id`.
    pub fn at(self, id: NodeId) -> Node<'a> {
        Node { id, ..self }
    }

    /// Its kind.
    pub fn kind(self) -> Kind {
        self.ast.data(self.id).kind
    }

    /// The parent's field in which it stands.
    pub fn field(self) -> Field {
        self.ast.data(self.id).field
    }

    /// Its bytes.
    pub fn span(self) -> Span {
        let data = self.ast.data(self.id);
        Span::new(data.start, data.end)
    }

    /// Its source text.
    pub fn text(self) -> &'a str {
        self.text.get(self.span().range()).unwrap_or("")
    }

    /// Whether an ERROR or missing node stands in its subtree.
    pub fn has_error(self) -> bool {
        self.ast.data(self.id).has_error
    }

    /// One past the last node of its subtree.
    pub fn subtree_end(self) -> NodeId {
        NodeId(self.ast.data(self.id).subtree_end)
    }

    /// Whether `other` is this node or inside it (same file).
    pub fn contains(self, other: NodeId) -> bool {
        self.id <= other && other < self.subtree_end()
    }

    /// The parent; `None` at the root.
    pub fn parent(self) -> Option<Node<'a>> {
        if self.id.0 == 0 { None } else { Some(self.at(NodeId(self.ast.data(self.id).parent))) }
    }

    /// The parents, nearest first.
    pub fn ancestors(self) -> impl Iterator<Item = Node<'a>> {
        std::iter::successors(self.parent(), |n| n.parent())
    }

    /// Every child, tokens and comments included.
    pub fn all_children(self) -> impl Iterator<Item = Node<'a>> {
        let end = self.subtree_end().0;
        let mut next = self.id.0 + 1;
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let child = self.at(NodeId(next));
            next = child.subtree_end().0.max(next + 1);
            Some(child)
        })
    }

    /// The children that are syntax: no tokens, no comments.
    pub fn children(self) -> impl Iterator<Item = Node<'a>> {
        self.all_children().filter(|c| !c.kind().is_token() && !c.kind().is_extra())
    }

    /// The child in `field`.
    pub fn child(self, field: Field) -> Option<Node<'a>> {
        self.all_children().find(|c| c.field() == field && !c.kind().is_extra())
    }

    /// The children in `field`.
    pub fn children_in(self, field: Field) -> impl Iterator<Item = Node<'a>> {
        self.all_children().filter(move |c| c.field() == field && !c.kind().is_extra())
    }

    /// The first child of `kind`.
    pub fn child_of_kind(self, kind: Kind) -> Option<Node<'a>> {
        self.all_children().find(|c| c.kind() == kind)
    }

    /// The first child that is a token.
    pub fn token(self) -> Option<Kind> {
        self.all_children().map(Node::kind).find(|k| k.is_token())
    }

    /// Whether it carries an `async` token: `async def`, `async for`, `async with`.
    pub fn is_async(self) -> bool {
        self.child_of_kind(Kind::Async).is_some()
    }

    /// This node and everything below it, in source order.
    pub fn descendants(self) -> impl Iterator<Item = Node<'a>> {
        (self.id.0..self.subtree_end().0.max(self.id.0 + 1)).map(move |id| self.at(NodeId(id)))
    }

    /// The names below it that are called `name`, in source order: found by the bytes, so much faster than a walk.
    pub fn mentions(self, name: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let span = self.span();
        let length = name.len() as u32;
        let text = self.text.as_bytes().get(span.range()).unwrap_or_default();
        let found: Vec<usize> = memchr::memmem::find_iter(text, name.as_bytes()).collect();
        let mut ids = self.id.0..self.subtree_end().0.max(self.id.0 + 1);
        found.into_iter().filter_map(move |at| {
            let at = span.start + at as u32;
            ids.start = self.ast.first_from(at, ids.clone());
            let here = ids.clone().map(|id| self.at(NodeId(id))).take_while(|n| n.span().start == at);
            here.filter(|n| n.kind() == Kind::Name).find(|n| n.span().end - at == length)
        })
    }

    /// Whether a name below it is called `name`.
    pub fn has_name(self, name: &str) -> bool {
        self.mentions(name).next().is_some()
    }

    /// The node below it, or itself, that has exactly this span: the innermost of several.
    pub fn at_span(self, span: Span) -> Option<Node<'a>> {
        let ids = self.id.0..self.subtree_end().0.max(self.id.0 + 1);
        let after = self.ast.first_from(span.start.saturating_add(1), ids.clone());
        // Whatever holds the span stands above the last node that begins with it or before it.
        let last = self.at(NodeId(after.checked_sub(1).filter(|id| ids.contains(id))?));
        let mut around = std::iter::once(last).chain(last.ancestors()).take_while(|n| n.id >= self.id);
        around.find(|n| n.span().contains(span)).filter(|n| n.span() == span)
    }

    /// Without the parentheses around it.
    pub fn peel(self) -> Node<'a> {
        let mut node = self;
        while matches!(node.kind(), Kind::Paren | Kind::Type) {
            let mut inner = node.children();
            match (inner.next(), inner.next()) {
                (Some(child), None) => node = child,
                _ => break,
            }
        }
        node
    }

    /// The outermost parentheses around it, or itself.
    pub fn with_parens(self) -> Node<'a> {
        let mut node = self;
        while let Some(parent) = node.parent() {
            if parent.kind() != Kind::Paren {
                break;
            }
            node = parent;
        }
        node
    }

    /// The statement that holds it, itself included: the nearest node that stands in a block or module.
    pub fn statement(self) -> Option<Node<'a>> {
        std::iter::once(self).chain(self.ancestors()).find(|n| {
            n.kind().is_statement()
                && n.parent().is_some_and(|p| matches!(p.kind(), Kind::Block | Kind::Module))
        })
    }

    /// A compound statement up to where its first block starts, decorators included; anything else whole.
    pub fn header(self) -> Span {
        let def = if self.kind() == Kind::DecoratedDef {
            self.child(Field::Definition).unwrap_or(self)
        } else {
            self
        };
        let end = match def.child_of_kind(Kind::Block) {
            Some(block) => block.span().start.min(self.span().end),
            None => self.span().end,
        };
        let text = self.text.get(self.span().start as usize..end as usize).unwrap_or("");
        Span::new(self.span().start, self.span().start + text.trim_end().len() as u32)
    }

    /// Whether this name (or attribute) stands where it is bound or deleted rather than read.
    pub fn is_binding(self) -> bool {
        let mut child = self;
        for parent in self.ancestors() {
            match parent.kind() {
                // `import a.b` binds `a`; a bare name in a `case` captures.
                Kind::PatternList
                | Kind::TuplePattern
                | Kind::ListPattern
                | Kind::SplatPattern
                | Kind::Paren
                | Kind::Tuple
                | Kind::List
                | Kind::ExprList
                | Kind::AsPatternTarget
                | Kind::DottedName => child = parent,
                Kind::Assign | Kind::AugAssign | Kind::For | Kind::CompFor => {
                    return child.field() == Field::Left;
                }
                Kind::NamedExpr | Kind::FunctionDef | Kind::ClassDef | Kind::ImportFrom => {
                    return child.field() == Field::Name;
                }
                Kind::AsPattern | Kind::ExceptHandler | Kind::AliasedImport => {
                    return child.field() == Field::Alias;
                }
                Kind::Import
                | Kind::Delete
                | Kind::Global
                | Kind::Nonlocal
                | Kind::CasePattern
                | Kind::StarPattern
                | Kind::KeywordPattern => return true,
                Kind::Parameters
                | Kind::TypedParameter
                | Kind::DefaultParameter
                | Kind::TypedDefaultParameter
                | Kind::DictSplatPattern => {
                    return child.field() != Field::Value && child.field() != Field::Type;
                }
                _ => return false,
            }
        }
        false
    }

    /// Whether this name stands for no variable: it is that of an attribute (`x.name`) or of a keyword argument.
    pub fn is_label(self) -> bool {
        self.parent().is_some_and(|p| match p.kind() {
            Kind::Attribute => self.field() == Field::Attribute,
            Kind::KeywordArgument => self.field() == Field::Name,
            _ => false,
        })
    }

    /// The function, lambda, class or module whose scope holds this node (not itself).
    pub fn enclosing_scope(self) -> Option<Node<'a>> {
        self.ancestors()
            .find(|n| matches!(n.kind(), Kind::FunctionDef | Kind::Lambda | Kind::ClassDef | Kind::Module))
    }

    /// The function that holds this node (not itself), if any stands before a class or the module.
    pub fn enclosing_function(self) -> Option<Node<'a>> {
        self.enclosing_scope().filter(|n| n.kind() == Kind::FunctionDef)
    }
}
