//! tree-sitter stays in here: text in, arena out.

use super::ast::{Ast, NodeData};
use super::kind::{Field, Kind};
use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::OnceLock;

/// Nodes nested deeper than this are not analysed: the analysis recurses over expressions.
const MAX_DEPTH: usize = 600;

struct Tables {
    kinds: Vec<Option<Kind>>,
    fields: Vec<Field>,
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let language: tree_sitter::Language = tree_sitter_python::LANGUAGE.into();
        let kinds = (0..language.node_kind_count() as u16)
            .map(|id| {
                let name = language.node_kind_for_id(id).unwrap_or("");
                let named = language.node_kind_is_named(id);
                match Kind::from_grammar(name) {
                    Some(kind) if named != kind.is_token() => Some(kind),
                    _ if named => Some(Kind::Unknown),
                    _ => None,
                }
            })
            .collect();
        let fields = (0..=language.field_count() as u16)
            .map(|id| Field::from_grammar(language.field_name_for_id(id).unwrap_or("")))
            .collect();
        Tables { kinds, fields }
    })
}

thread_local! {
    static PARSER: RefCell<Option<tree_sitter::Parser>> = const { RefCell::new(None) };
}

/// Parse and lower a file. Total: whatever the text, an arena comes back, with [`Kind::Error`] nodes where it
/// is not Python.
pub fn parse(text: &str) -> Ast {
    // Python ends lines at a lone carriage return as well; the grammar does not. Same length, so spans hold.
    let text: Cow<str> =
        if has_lone_cr(text) { Cow::Owned(replace_lone_cr(text)) } else { Cow::Borrowed(text) };
    PARSER.with(|cell| {
        let mut slot = cell.borrow_mut();
        let parser = slot.get_or_insert_with(tree_sitter::Parser::new);
        let language = tree_sitter_python::LANGUAGE.into();
        if parser.set_language(&language).is_err() {
            return Ast::default();
        }
        match parser.parse(text.as_bytes(), None) {
            Some(tree) => lower(&tree),
            None => Ast::default(),
        }
    })
}

fn lower(tree: &tree_sitter::Tree) -> Ast {
    let tables = tables();
    let mut nodes: Vec<NodeData> = Vec::new();
    let mut open: Vec<u32> = Vec::new();
    let mut cursor = tree.walk();
    let mut too_deep = false;
    // Depth-first with an explicit stack: `kept` says of every open grammar node whether it got an arena node.
    let mut kept: Vec<bool> = Vec::new();
    'walk: loop {
        let node = cursor.node();
        let kind = tables.kinds.get(node.kind_id() as usize).copied().flatten();
        let kind = if node.is_error() { Some(Kind::Error) } else { kind };
        let field = cursor.field_id().and_then(|id| tables.fields.get(id.get() as usize).copied());
        let keep = kind.is_some();
        if let Some(kind) = kind {
            let id = nodes.len() as u32;
            nodes.push(NodeData {
                start: node.start_byte() as u32,
                end: node.end_byte() as u32,
                parent: open.last().copied().unwrap_or(0),
                subtree_end: id + 1,
                kind,
                field: field.unwrap_or(Field::None),
                has_error: node.has_error() || node.is_missing(),
            });
            open.push(id);
            too_deep |= open.len() > MAX_DEPTH;
        }
        kept.push(keep);
        if cursor.goto_first_child() {
            continue;
        }
        loop {
            if kept.pop() == Some(true)
                && let Some(id) = open.pop()
            {
                let end = nodes.len() as u32;
                if let Some(node) = nodes.get_mut(id as usize) {
                    node.subtree_end = end;
                }
            }
            if cursor.goto_next_sibling() {
                continue 'walk;
            }
            if !cursor.goto_parent() {
                break 'walk;
            }
        }
    }
    // Arenas live as long as the project.
    nodes.shrink_to_fit();
    Ast { nodes, too_deep }
}

fn has_lone_cr(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'\r', bytes).any(|at| bytes.get(at + 1) != Some(&b'\n'))
}

fn replace_lone_cr(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\r' && chars.peek() != Some(&'\n') {
            out.push('\n');
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::ast::NodeId;

    #[test]
    fn arena_is_preorder() {
        let text = "async def f(x):\n    async for a in x:\n        b = a.c not in d  # why\n    return [i async for i in x]\n";
        let ast = parse(text);
        let root = ast.root(text);
        assert!(!root.has_error());
        for node in root.descendants() {
            for child in node.all_children() {
                assert_eq!(child.parent(), Some(node));
                assert!(node.contains(child.id()));
                assert!(node.span().contains(child.span()));
            }
        }
        assert!(root.descendants().any(|n| n.kind() == Kind::NotIn));
        assert!(root.descendants().any(|n| n.kind() == Kind::Comment));
        assert_eq!(root.descendants().filter(|n| n.is_async()).count(), 3);
        assert_eq!(root.subtree_end(), NodeId(ast.len() as u32));
    }

    #[test]
    fn lone_carriage_returns_end_lines() {
        let text = "a = 1\rb = 2\r";
        assert_eq!(parse(text).root(text).children().count(), 2);
    }

    #[test]
    fn depth_is_noticed() {
        let text = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(parse(&text).is_too_deep());
    }
}
