//! Who calls the function of this frame, under whatever name it was imported or bound.
//!
//! Names are compared, not what they resolve to: somebody else's function of the same name only adds hazards. A method
//! that another class calls on itself is left out, though, where no class is both.

use crate::codemod::Context;
use crate::infer::{CallSite, Facts};
use crate::python::{
    Binding, Expr, Field, FunctionId, Kind, Member, Node, NodeId, Program, is_super, parameters,
};
use crate::text::FileId;
use std::sync::Arc;

/// Frames that call one function and are looked at.
pub(super) const MAX_FRAMES: usize = 60;

/// A frame that calls the function, with the calls.
pub(super) struct Caller<'a> {
    pub file: FileId,
    pub scope: Node<'a>,
    pub facts: Arc<Facts>,
    pub calls: Vec<Node<'a>>,
}

/// The frames that call `function`, modules among them; reading a property is a call of it.
pub(super) fn callers<'a>(cx: &Context<'a>, function: FunctionId) -> Vec<Caller<'a>> {
    let program = cx.project.program();
    let info = program.function(function);
    let mut frames: Vec<(FileId, Option<FunctionId>, Vec<NodeId>)> = Vec::new();
    let mut add = |file, around, call| {
        if let Some((_, _, calls)) = frames.iter_mut().find(|f| (f.0, f.1) == (file, around)) {
            calls.push(call);
        } else if frames.len() < MAX_FRAMES {
            frames.push((file, around, vec![call]));
        }
    };
    if is_property(cx, function) {
        for file in cx.analyzer.files_naming(&info.name).iter().copied() {
            for name in program.file(file).root().mentions(&info.name) {
                if let Some(node) = name.parent().filter(|_| name.field() == Field::Attribute) {
                    let mut around = node.ancestors().filter(|a| a.kind() == Kind::FunctionDef);
                    add(file, around.find_map(|def| program.function_at(file, def.id())), node.id());
                }
            }
        }
    } else {
        let sites = cx.analyzer.call_sites().of(&info.name).iter();
        for site in sites.filter(|site| !is_of_another(program, function, site)) {
            add(site.file, site.function, site.call);
        }
    }
    frames
        .into_iter()
        .map(|(file, around, calls)| {
            let facts = cx.analyzer.caller(file, around);
            let source = program.file(file);
            let calls = calls.into_iter().map(|c| source.node(c)).collect();
            Caller { file, scope: source.node(facts.scope), facts, calls }
        })
        .collect()
}

/// Whether a call on `self` or `super()` is one of another class than those that have the method: no class has both
/// above it.
fn is_of_another(program: &Program, function: FunctionId, site: &CallSite) -> bool {
    let own = program.function(function).class;
    let around = site.function.and_then(|f| Some((program.function(f).class?, program.function(f).node)));
    let (Some(own), Some((class, def))) = (own, around) else { return false };
    let source = program.file(site.file);
    let Expr::Call { func, .. } = Expr::of(source.node(site.call)) else { return false };
    let Expr::Attribute { value, .. } = Expr::of(func) else { return false };
    let is_own = match Expr::of(value) {
        Expr::Name(name) => parameters(source.node(def)).first().is_some_and(|p| p.name == name),
        _ => is_super(value),
    };
    is_own && !program.descendants(class).into_iter().any(|below| program.class(below).mro.contains(&own))
}

fn is_property(cx: &Context<'_>, function: FunctionId) -> bool {
    let program = cx.project.program();
    program.function(function).class.is_some_and(|class| {
        program.class(class).members.values().any(|m| {
            matches!(m, Member::Function(f, Binding::Property | Binding::CachedProperty) if *f == function)
        })
    })
}
