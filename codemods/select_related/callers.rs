//! Who calls the function of this frame, under whatever name it was imported or bound.
//!
//! Names are compared, not what they resolve to: somebody else's function of the same name only adds hazards.

use ormend_engine::codemod::Context;
use ormend_engine::infer::Facts;
use ormend_engine::python::{Binding, Expr, Field, FunctionId, Kind, Member, Node};
use ormend_engine::text::FileId;
use std::collections::BTreeSet;

/// Frames that call one function and are looked at.
const MAX_FRAMES: usize = 60;
/// Renamings of renamings are followed so far.
const MAX_ROUNDS: usize = 3;

/// What a function is called by.
pub(super) struct Callee<'a> {
    names: BTreeSet<&'a str>,
    /// Reading the attribute is the call.
    is_property: bool,
}

impl<'a> Callee<'a> {
    pub fn new(cx: &Context<'a>, function: FunctionId) -> Callee<'a> {
        let program = cx.project.program();
        let info = program.function(function);
        let is_property = info.class.is_some_and(|class| {
            program.class(class).members.values().any(|m| {
                matches!(m, Member::Function(f, Binding::Property | Binding::CachedProperty) if *f == function)
            })
        });
        let mut names = BTreeSet::from([info.name.as_str()]);
        for _ in 0..MAX_ROUNDS {
            let known = names.len();
            for file in program.file_ids().filter(|f| !cx.project.is_known_file(*f)) {
                let source = program.file(file);
                let text = source.source.text();
                if names.iter().any(|n| text.contains(n)) {
                    let found: Vec<&str> =
                        source.root().descendants().filter_map(|n| renamed(n, &names)).collect();
                    names.extend(found);
                }
            }
            if names.len() == known {
                break;
            }
        }
        Callee { names, is_property }
    }

    /// The calls in `scope`.
    pub fn calls<'n>(&self, scope: Node<'n>) -> impl Iterator<Item = Node<'n>> {
        scope.descendants().filter(|node| self.is_call(*node))
    }

    pub fn is_call(&self, node: Node<'_>) -> bool {
        match Expr::of(node) {
            Expr::Call { func, .. } if node.kind() == Kind::Call => match Expr::of(func) {
                Expr::Attribute { attr: name, .. } | Expr::Name(name) => self.names.contains(name),
                _ => false,
            },
            Expr::Attribute { attr, .. } => {
                self.is_property && node.kind() == Kind::Attribute && self.names.contains(attr)
            }
            _ => false,
        }
    }

    /// The frames that call it, modules among them.
    pub fn frames(&self, cx: &Context<'_>) -> Vec<(FileId, Facts)> {
        let program = cx.project.program();
        let mut out = Vec::new();
        for file in program.file_ids() {
            let source = program.file(file);
            let text = source.source.text();
            if cx.project.is_known_file(file) || !self.names.iter().any(|n| text.contains(n)) {
                continue;
            }
            for function in program.functions_in(file) {
                let node = source.node(program.function(function).node);
                if out.len() < MAX_FRAMES && self.calls(node).next().is_some() {
                    out.push((file, cx.analyzer.function(function)));
                }
            }
            if out.len() < MAX_FRAMES && self.calls(source.root()).any(|c| c.enclosing_function().is_none()) {
                out.push((file, cx.analyzer.module(file)));
            }
        }
        out
    }
}

/// The further name that an import or an assignment gives to one of `names`.
fn renamed<'a>(node: Node<'a>, names: &BTreeSet<&'a str>) -> Option<&'a str> {
    let last = |node: Node<'a>| node.text().rsplit('.').next().is_some_and(|n| names.contains(n.trim()));
    match node.kind() {
        Kind::AliasedImport => {
            let alias = node.child(Field::Alias)?;
            node.child(Field::Name).filter(|n| last(*n)).map(|_| alias.text())
        }
        Kind::Assign => {
            let value = node.child(Field::Right)?.peel();
            let is_name = matches!(value.kind(), Kind::Name | Kind::Attribute);
            let target = node.child(Field::Left)?.peel();
            match Expr::of(target) {
                Expr::Name(name) | Expr::Attribute { attr: name, .. } if is_name && last(value) => Some(name),
                _ => None,
            }
        }
        _ => None,
    }
}
