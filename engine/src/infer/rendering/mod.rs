//! What rendering a template reads: a template is a callee whose arguments are the names of its context.
//!
//! Events stand at places of the template. What is not followed (a template or tag of a package, a name that is not known)
//! reads nothing that anybody hears of: rendering adds reads, and never takes one back.

mod calls;
mod certainty;
mod expressions;
mod filters;
mod helpers;
mod kept;
mod tags;

pub(super) use calls::{assigned_once, class_string};
pub(super) use helpers::Renderers;

use self::certainty::{Certainty, Turn, Values, turn};
use super::facts::Use;
use super::frame::Frame;
use super::types::{Dict, Name, Type};
use crate::django::templates::{
    Binding, Expr, ExprKind, Found, Node as Tag, NodeKind, Param, Target, Template,
};
use crate::python::Node;
use crate::text::{FileId, Site, Span};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nodes of templates that are looked at for one rendering, those of included templates counted each time.
const MAX_NODES: usize = 4000;
/// Templates that include or extend each other so deep are followed.
const MAX_DEPTH: usize = 12;

/// Names and what they stand for.
pub(super) type Names = FxHashMap<Name, Type>;

/// A template that is being rendered.
#[derive(Clone, Copy)]
struct Current<'a> {
    file: FileId,
    name: &'a str,
    template: &'a Template,
}

impl<'a> From<Found<'a>> for Current<'a> {
    fn from(found: Found<'a>) -> Current<'a> {
        Current { file: found.file, name: found.name, template: found.template }
    }
}

/// The body of a block, in the template that defines it.
#[derive(Clone, Copy)]
struct BlockBody<'a> {
    of: Current<'a>,
    body: &'a [Tag],
}

/// A macro of Jinja's.
#[derive(Clone, Copy)]
struct Macro<'a> {
    of: Current<'a>,
    params: &'a [Param],
    body: &'a [Tag],
}

/// One rendering.
pub(super) struct Rendering<'a> {
    /// Innermost last.
    scopes: Vec<Names>,
    /// Bodies of blocks, most derived first.
    blocks: FxHashMap<&'a str, Vec<BlockBody<'a>>>,
    /// The block that is being rendered, and which of its bodies.
    inside: Vec<(&'a str, usize)>,
    macros: FxHashMap<String, Macro<'a>>,
    certainty: Certainty,
    /// The rows of which a filter or a tag may have left some out of the lists that it gave.
    left_out: Values,
    nodes: usize,
    depth: usize,
}

impl Rendering<'_> {
    /// Bind a name where the rendering stands.
    fn assign(&mut self, target: &Target, ty: Type) {
        if let Some(scope) = self.scopes.last_mut() {
            bind(scope, target, ty);
        }
    }
}

impl<'a> Frame<'a, '_> {
    /// Render the first of `names` that is a template of the program, with `context`. Whether there is one.
    pub(super) fn render(&mut self, names: &[&str], context: Names, node: Node<'a>) -> bool {
        let project = self.az.project;
        let Some(found) = names.iter().find_map(|name| project.template(name)) else { return false };
        let mut rendering = Rendering {
            scopes: vec![context],
            blocks: FxHashMap::default(),
            inside: Vec::new(),
            macros: FxHashMap::default(),
            certainty: Certainty::new(self),
            left_out: Values::new(),
            nodes: 0,
            depth: 0,
        };
        self.render_found(&mut rendering, found.into(), node);
        self.settle(&rendering.certainty);
        true
    }

    /// The names that a dict gives to a template.
    pub(super) fn context_of(&self, ty: &Type) -> Names {
        let mut out = Names::default();
        for alternative in ty.alternatives() {
            if let Type::Dict(dict) = alternative {
                out.extend(dict.2.iter().map(|(name, (ty, ..))| (name.clone(), ty.clone())));
            }
        }
        out
    }

    fn render_found(&mut self, r: &mut Rendering<'a>, found: Current<'a>, node: Node<'a>) {
        if r.depth >= MAX_DEPTH {
            return;
        }
        r.depth += 1;
        // From the template itself to the last parent that is known.
        let mut chain = vec![found];
        while let Some(last) = chain.last()
            && chain.len() < MAX_DEPTH
        {
            let Some(parent) = last.template.extends().and_then(Expr::as_str) else { break };
            let parent = absolute(last.name, parent);
            let passed: Vec<FileId> = chain.iter().map(|c| c.file).collect();
            let Some(parent) = self.az.project.parent_template(&parent, &passed) else { break };
            chain.push(parent.into());
        }
        let saved = (std::mem::take(&mut r.blocks), std::mem::take(&mut r.inside));
        for current in &chain {
            current.template.walk(&mut |tag| {
                if let NodeKind::Block { name, body } = &tag.kind {
                    r.blocks.entry(name.as_str()).or_default().push(BlockBody { of: *current, body });
                }
            });
        }
        if let Some(root) = chain.last().copied() {
            // A template of the program: what extends it renders its own blocks, and those of the root around them.
            match root.template.extends() {
                None => self.render_body(r, root, &root.template.body, node),
                // The parent is a package's: each block is taken to have a place there, under whatever condition.
                Some(parent) => {
                    let start = self.facts.own.len();
                    let mut names: Vec<&'a str> = r.blocks.keys().copied().collect();
                    names.sort_unstable();
                    let nested = |name: &str| chain.iter().any(|c| is_nested(c.template, name));
                    for name in names.into_iter().filter(|n| !nested(n)) {
                        self.behind(r, Values::new(), |frame, r| frame.render_block(r, name, 0, node));
                    }
                    // One that is chosen as it runs may show the rows and have no place for a block.
                    if parent.as_str().is_none() {
                        self.doubt_since(start);
                    }
                }
            }
        }
        (r.blocks, r.inside) = saved;
        r.depth -= 1;
    }

    fn render_block(&mut self, r: &mut Rendering<'a>, name: &'a str, index: usize, node: Node<'a>) {
        let Some(block) = r.blocks.get(name).and_then(|bodies| bodies.get(index)).copied() else { return };
        if r.inside.len() >= MAX_DEPTH {
            return;
        }
        r.inside.push((name, index));
        self.scoped(r, Names::default(), |frame, r| frame.render_body(r, block.of, block.body, node));
        r.inside.pop();
    }

    /// `{{ block.super }}`
    fn render_super(&mut self, r: &mut Rendering<'a>, node: Node<'a>) {
        if let Some((name, index)) = r.inside.last().copied() {
            self.render_block(r, name, index + 1, node);
        }
    }

    fn scoped<T>(
        &mut self,
        r: &mut Rendering<'a>,
        names: Names,
        body: impl FnOnce(&mut Self, &mut Rendering<'a>) -> T,
    ) -> T {
        r.scopes.push(names);
        let out = body(self, r);
        r.scopes.pop();
        out
    }

    fn render_body(&mut self, r: &mut Rendering<'a>, of: Current<'a>, body: &'a [Tag], node: Node<'a>) {
        for tag in body {
            r.nodes += 1;
            if r.nodes > MAX_NODES {
                return;
            }
            self.render_tag(r, of, tag, node);
        }
    }

    fn render_tag(&mut self, r: &mut Rendering<'a>, of: Current<'a>, tag: &'a Tag, node: Node<'a>) {
        match &tag.kind {
            NodeKind::Output(value) => {
                let ty = self.value_of(r, of, value, node);
                self.at_site(place(of, value.span), |frame| frame.stringify(&ty, node));
            }
            NodeKind::For { target, iter, test, body, empty, .. } => {
                let iterated = self.value_of(r, of, iter, node);
                let start = self.facts.own.len();
                let element = self.at_site(place(of, iter.span), |frame| frame.iterate(&iterated, node));
                self.each_rendered(r, (&iterated, start), |frame, r| {
                    let mut names = Names::default();
                    bind(&mut names, target, element);
                    frame.scoped(r, names, |frame, r| {
                        if let Some(test) = test {
                            frame.tested(r, of, test, node);
                            frame.conditional += 1;
                        }
                        frame.render_body(r, of, body, node);
                    });
                });
                self.behind(r, Values::new(), |frame, r| frame.render_body(r, of, empty, node));
            }
            NodeKind::If { branches, orelse } => {
                for (i, (test, body)) in branches.iter().enumerate() {
                    match i {
                        0 => self.tested(r, of, test, node),
                        _ => self.conditionally(|frame| frame.tested(r, of, test, node)),
                    };
                    // Another branch may come before those that follow.
                    let met = match i {
                        0 => self.tested_rows(r, of, test, (true, node)),
                        _ => Values::new(),
                    };
                    self.in_turn(r, turn(test), |frame, r| {
                        frame.behind(r, met, |frame, r| frame.render_body(r, of, body, node));
                    });
                }
                let (turn, met) = match branches.as_slice() {
                    [(test, _)] => {
                        (turn(test).and_then(Turn::opposite), self.tested_rows(r, of, test, (false, node)))
                    }
                    _ => (None, Values::new()),
                };
                self.in_turn(r, turn, |frame, r| {
                    frame.behind(r, met, |frame, r| frame.render_body(r, of, orelse, node));
                });
            }
            NodeKind::With { bindings, body, .. } => {
                let names = self.bound(r, of, bindings, node);
                self.scoped(r, names, |frame, r| frame.render_body(r, of, body, node));
            }
            NodeKind::Include { template, bindings, is_only } => {
                let names = self.bound(r, of, bindings, node);
                let Some(found) = self.named_template(of, template) else { return };
                let outer = if *is_only { std::mem::take(&mut r.scopes) } else { Vec::new() };
                self.scoped(r, names, |frame, r| frame.render_found(r, found, node));
                if *is_only {
                    r.scopes = outer;
                }
            }
            NodeKind::Block { name, .. } => self.render_block(r, name, 0, node),
            NodeKind::Regroup { value, key, target } => {
                let rows = self.value_of(r, of, value, node);
                let element = self.at_site(place(of, value.span), |frame| frame.iterate(&rows, node));
                let may_lack_rows = self.may_lack_rows(r, &rows);
                self.each(&rows, |frame| {
                    frame.conditional += u32::from(may_lack_rows);
                    // The key is written as an attribute of the target.
                    let mut names = Names::default();
                    bind(&mut names, target, element.clone());
                    frame.scoped(r, names, |frame, r| frame.value_of(r, of, key, node));
                });
                let mut known = BTreeMap::new();
                known.insert(Name::from("list"), (Type::list(element), of.file, node.id()));
                known.insert(Name::from("grouper"), (Type::Unknown, of.file, node.id()));
                let group = Type::Dict(Arc::new(Dict(Type::Str, Type::Unknown, known)));
                r.assign(target, Type::list(group));
            }
            NodeKind::Set { target, value } => {
                let ty = self.value_of(r, of, value, node);
                r.assign(target, ty);
            }
            NodeKind::SetBlock { target, body, .. } => {
                self.render_body(r, of, body, node);
                r.assign(target, Type::Str);
            }
            NodeKind::Filter { body, .. } => self.render_body(r, of, body, node),
            NodeKind::Macro { name, params, body } => {
                r.macros.insert(name.clone(), Macro { of, params, body });
            }
            NodeKind::CallBlock { call, body, .. } => {
                self.value_of(r, of, call, node);
                self.behind(r, Values::new(), |frame, r| frame.render_body(r, of, body, node));
            }
            NodeKind::Import { template, target } => self.import_macros(r, of, template, target.name()),
            NodeKind::FromImport { template, names } => self.import_names(r, of, template, names),
            NodeKind::PartialDef { is_inline, body, .. } => {
                if *is_inline {
                    self.render_body(r, of, body, node);
                }
            }
            NodeKind::Partial(name) => {
                if let Some(NodeKind::PartialDef { body, .. }) = of.template.partial(name).map(|n| &n.kind) {
                    self.render_body(r, of, body, node);
                }
            }
            NodeKind::Tag(tag) => self.render_custom(r, of, tag, node),
            NodeKind::Load { .. } | NodeKind::Extends(_) => {}
        }
    }

    /// The template that an include names literally; of a list, the first that the program has.
    fn named_template(&self, of: Current<'a>, template: &Expr) -> Option<Current<'a>> {
        let project = self.az.project;
        let by_name = |name: &Expr| project.template_beside(&absolute(of.name, name.as_str()?), of.file);
        let found = match &template.kind {
            ExprKind::List(names) | ExprKind::Tuple(names) => names.iter().find_map(by_name),
            _ => by_name(template),
        };
        found.map(Current::from)
    }

    fn bound(
        &mut self,
        r: &mut Rendering<'a>,
        of: Current<'a>,
        bindings: &'a [Binding],
        node: Node<'a>,
    ) -> Names {
        let mut names = Names::default();
        for binding in bindings {
            let ty = self.value_of(r, of, &binding.value, node);
            bind(&mut names, &binding.target, ty);
        }
        names
    }

    /// The truth of a value is asked.
    fn tested(&mut self, r: &mut Rendering<'a>, of: Current<'a>, test: &'a Expr, node: Node<'a>) -> Type {
        let ty = self.value_of(r, of, test, node);
        self.at_site(place(of, test.span), |frame| {
            frame.each_alternative(&ty, |frame, alternative| match alternative {
                Type::QuerySet(qs) => {
                    frame.use_queryset(qs, node, Use::Truth);
                    frame.evaluated(qs, node, "all");
                }
                Type::Instance(i) => frame.instance_truth(i, node),
                _ => {}
            });
        });
        ty
    }
}

fn place(of: Current<'_>, span: Span) -> Site {
    Site { file: of.file, span }
}

fn absolute(current: &str, name: &str) -> String {
    crate::django::templates::absolute_name(current, name).unwrap_or_else(|| name.to_owned())
}

fn bind(names: &mut Names, target: &Target, ty: Type) {
    match target {
        Target::Name { name, .. } => {
            names.insert(Name::from(name.as_str()), ty);
        }
        Target::Tuple(targets) => {
            for (i, target) in targets.iter().enumerate() {
                let element = match &ty {
                    Type::Tuple(types) if types.len() == targets.len() => {
                        types.get(i).cloned().unwrap_or(Type::Unknown)
                    }
                    _ => Type::Unknown,
                };
                bind(names, target, element);
            }
        }
        Target::Attribute { .. } => {}
    }
}

/// Whether a block stands inside another block of the template.
fn is_nested(template: &Template, wanted: &str) -> bool {
    template
        .find(|tag| match &tag.kind {
            NodeKind::Block { name, body } if name != wanted => {
                let mut found = false;
                for inner in body {
                    inner.walk(&mut |n| {
                        found |= matches!(&n.kind, NodeKind::Block { name, .. } if name == wanted);
                    });
                }
                found.then_some(())
            }
            _ => None,
        })
        .is_some()
}
