//! Who goes over objects of a class whose `__iter__` is a generator: that one is nowhere called by its name.
//!
//! Objects are followed by what they are called, as the callers of functions are ([`super::callers`]): a place too many only
//! adds hazards.

use super::callers::{Caller, MAX_FRAMES};
use crate::codemod::Context;
use crate::infer::Type;
use crate::python::{Def, Expr, Field, FunctionId, Kind, Member, Node, parameters};
use crate::text::FileId;

/// Builtins that go over an argument, at once or later.
const GOING_OVER: &[&str] =
    &["enumerate", "filter", "iter", "list", "map", "next", "reversed", "tuple", "zip"];

/// The frames that make, hold or go over objects whose `__iter__` is `function`, with the places where an iterator may begin.
pub(super) fn iterations<'a>(cx: &Context<'a>, function: FunctionId) -> Vec<Caller<'a>> {
    let program = cx.project.program();
    let info = program.function(function);
    let Some(class) = info.class.filter(|_| info.name == "__iter__") else { return Vec::new() };
    let mut family = program.descendants(class);
    if !family.contains(&class) {
        family.push(class);
    }
    let is_one = |ty: &Type| matches!(ty, Type::Object(class) if family.contains(class));
    let mut found = Found { cx, is_one: &is_one, frames: Vec::new() };
    let mut kept: Vec<&'a str> = Vec::new();
    let sites = family.iter().flat_map(|c| cx.analyzer.call_sites().of(&program.class(*c).name));
    let by_class = cx.analyzer.call_sites().of("cls").iter().filter(|site| {
        site.function.and_then(|f| program.function(f).class).is_some_and(|c| family.contains(&c))
    });
    for site in sites.chain(by_class).copied().collect::<Vec<_>>() {
        let call = program.file(site.file).node(site.call);
        found.add(site.file, site.function, call);
        kept.extend(kept_as(call, site.function.is_some()));
    }
    for class in &family {
        let info = program.class(*class);
        let methods = program.file(info.file).node(info.node).descendants();
        for def in methods.filter(|n| n.kind() == Kind::FunctionDef) {
            let Some(own) = parameters(def).first().map(|p| p.name) else { continue };
            let is_own = |n: &Node<'_>| n.kind() == Kind::Name && n.text() == own && is_gone_over(*n);
            for node in def.descendants().filter(is_own) {
                found.add(info.file, program.function_at(info.file, def.id()), node);
            }
        }
    }
    kept.sort_unstable();
    kept.dedup();
    for name in kept {
        found.holders(name);
    }
    found.callers()
}

/// The name or attribute under which an object outlives the frame that makes it.
fn kept_as(call: Node<'_>, is_in_function: bool) -> Option<&str> {
    let assignment = call.with_parens().parent().filter(|p| p.kind() == Kind::Assign)?;
    match Expr::of(assignment.child(Field::Left)?) {
        Expr::Name(name) => (!is_in_function).then_some(name),
        Expr::Attribute { attr, .. } => Some(attr),
        _ => None,
    }
}

/// Whether an object is gone over where it stands.
fn is_gone_over(node: Node<'_>) -> bool {
    let Some(parent) = node.with_parens().parent() else { return false };
    match parent.kind() {
        Kind::For => node.with_parens().field() == Field::Right,
        Kind::CompFor | Kind::Yield => true,
        Kind::Arguments => match parent.parent().map(Expr::of) {
            Some(Expr::Call { func, .. }) => GOING_OVER.contains(&func.text()),
            _ => false,
        },
        _ => false,
    }
}

/// The frames that go over iterators of a generator which outlive the frame that makes them: under an attribute, also one
/// that a constructor which gets them assigns, or a name of a module.
pub(super) fn kept_iterators<'a>(cx: &Context<'a>, function: FunctionId) -> Vec<Caller<'a>> {
    let program = cx.project.program();
    let info = program.function(function);
    if !info.is_generator {
        return Vec::new();
    }
    let is_one = |ty: &Type| matches!(ty, Type::Iterator(_));
    let mut found = Found { cx, is_one: &is_one, frames: Vec::new() };
    let mut kept: Vec<&'a str> = Vec::new();
    for site in cx.analyzer.call_sites().of(&info.name) {
        let call = program.file(site.file).node(site.call);
        kept.extend(kept_as(call, site.function.is_some()));
        kept.extend(kept_by_constructor(cx, site.file, call));
    }
    kept.sort_unstable();
    kept.dedup();
    for name in kept {
        found.holders(name);
    }
    found.callers()
}

/// The attributes that the `__init__()` of the class which is called with `argument` assigns.
fn kept_by_constructor<'a>(cx: &Context<'a>, file: FileId, argument: Node<'a>) -> Vec<&'a str> {
    let program = cx.project.program();
    let around = argument.ancestors().take(3).find(|n| n.kind() == Kind::Call);
    let Some(Expr::Call { func, .. }) = around.map(Expr::of) else { return Vec::new() };
    let Some(Def::Class(class)) = program.resolve_expr(file, func.peel().id()) else { return Vec::new() };
    let Some((_, Member::Function(init, _))) = program.member(class, "__init__") else { return Vec::new() };
    let info = program.function(*init);
    let assigned = program.file(info.file).node(info.node).descendants();
    let attributes = assigned.filter(|n| n.is_binding()).filter_map(|n| match Expr::of(n) {
        Expr::Attribute { attr, .. } if n.kind() == Kind::Attribute => Some(attr),
        _ => None,
    });
    attributes.collect()
}

struct Found<'f, 'a> {
    cx: &'f Context<'a>,
    /// Whether it is what is looked for.
    is_one: &'f dyn Fn(&Type) -> bool,
    frames: Vec<(FileId, Option<FunctionId>, Vec<Node<'a>>)>,
}

impl<'a> Found<'_, 'a> {
    fn add(&mut self, file: FileId, around: Option<FunctionId>, node: Node<'a>) {
        if let Some((_, _, nodes)) = self.frames.iter_mut().find(|f| (f.0, f.1) == (file, around)) {
            nodes.push(node);
        } else if self.frames.len() < MAX_FRAMES {
            self.frames.push((file, around, vec![node]));
        }
    }

    /// The places that use what is kept under `name`, where it may be one of the objects.
    fn holders(&mut self, name: &str) {
        let program = self.cx.project.program();
        for file in self.cx.analyzer.files_naming(name).iter().copied() {
            let source = program.file(file);
            for node in source.root().descendants().filter(|n| !n.is_binding()) {
                let is_named = match Expr::of(node) {
                    Expr::Name(own) => node.kind() == Kind::Name && own == name,
                    Expr::Attribute { attr, .. } => node.kind() == Kind::Attribute && attr == name,
                    _ => false,
                };
                let parent = node.with_parens().parent().map(|p| p.kind());
                if !is_named || matches!(parent, None | Some(Kind::Attribute | Kind::Call)) {
                    continue;
                }
                let mut around = node.ancestors().filter(|a| a.kind() == Kind::FunctionDef);
                let function = around.find_map(|def| program.function_at(file, def.id()));
                let facts = self.cx.analyzer.caller(file, function);
                let inner = Context { facts: &facts, file, ..*self.cx };
                let types = inner.type_of_any(node).alternatives();
                let may_be = types.iter().any(|ty| *ty == Type::Unknown || (self.is_one)(ty));
                if may_be {
                    self.add(file, function, node);
                }
            }
        }
    }

    fn callers(self) -> Vec<Caller<'a>> {
        let cx = self.cx;
        let caller = |(file, function, calls): (FileId, Option<FunctionId>, Vec<Node<'a>>)| {
            let facts = cx.analyzer.caller(file, function);
            let scope = cx.project.program().file(file).node(facts.scope);
            Caller { file, scope, facts, calls }
        };
        self.frames.into_iter().map(caller).collect()
    }
}
