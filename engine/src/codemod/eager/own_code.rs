//! The classes that have the queryset of an entry, and their own methods, in which its rows may be loaded for something
//! else than the framework: `self.get_queryset().get(pk=...)` in `post()`. What comes with the rows comes there as well.

use super::beside::{Asked, Look, Receivers, handed};
use super::listing;
use super::prefetch::LOADING;
use super::reads::Load;
use super::remote::QUIET;
use super::step::Step;
use crate::codemod::{Context, Hazard};
use crate::infer::{Entry, EntryKind, Source, Type};
use crate::python::{ClassId, Expr, Field, FunctionId, Kind, Member, Node, parameters};
use rustc_hash::FxHashSet;

/// Methods that give the queryset or one of its rows to the framework.
const GIVING: &[&str] = &["get_queryset", "filter_queryset", "get_object", "items"];
/// Methods that give what other methods give are followed so far.
const MAX_HANDS: usize = 3;

/// What the methods of the classes, and functions that get the object, do with the entry's queryset; those that only run
/// for another action of the view by themselves.
pub(super) fn hazards(
    cx: &Context<'_>,
    entry: &Entry,
    steps: &[Step],
    load: Load,
    (out, in_other_actions): (&mut Vec<Hazard>, &mut Vec<Hazard>),
) {
    // The join of a changelist that only names its model is the changelist's alone.
    if load == Load::Join
        && entry.kind == EntryKind::Changelist
        && matches!(entry.source, Source::Model(..) | Source::Above(..))
    {
        return;
    }
    let program = cx.project.program();
    let family = classes(cx, entry);
    let methods = methods(cx, entry);
    let mut names: Vec<&str> = match entry.kind {
        EntryKind::Feed | EntryKind::Sitemap => vec!["items"],
        _ => vec!["get_queryset", "queryset", "object_list"],
    };
    for _ in 0..MAX_HANDS {
        let known = names.len();
        for (function, class) in &methods {
            let name = program.function(*function).name.as_str();
            if !names.contains(&name) && !GIVING.contains(&name) {
                let asked = Asked { names: &names, family: &family };
                if gives(cx, &asked, *function, *class) {
                    names.push(name);
                }
            }
        }
        if names.len() == known {
            break;
        }
    }
    let asked = Asked { names: &names, family: &family };
    let look = Look { steps, load, asked: &asked };
    for (function, class) in methods {
        let info = program.function(function);
        let def = program.file(info.file).node(info.node);
        let receiver = parameters(def).first().map(|p| p.name);
        let Some(receiver) = receiver.filter(|name| asked.is_named_in(def) || handed(def, name)) else {
            continue;
        };
        let facts = cx.analyzer.method_of(function, class);
        let inner = Context { facts: &facts, file: info.file, ..*cx };
        let is_giving = GIVING.contains(&info.name.as_str()) || names.contains(&info.name.as_str());
        let out = match entry.class.is_some_and(|class| listing::is_other_action(cx, class, function)) {
            true => &mut *in_other_actions,
            false => &mut *out,
        };
        look.frame(&inner, &Receivers::Own(receiver), is_giving, out);
        look.helpers(&inner, class, receiver, 0, out);
    }
}

/// The classes whose methods have the entry's queryset: those above it, and those that inherit the queryset.
pub(super) fn classes(cx: &Context<'_>, entry: &Entry) -> Vec<ClassId> {
    let program = cx.project.program();
    let heirs = heirs(cx, entry);
    let mut out: Vec<ClassId> = heirs.iter().flat_map(|class| program.class(*class).mro.clone()).collect();
    out.extend(heirs);
    out.sort();
    out.dedup();
    out.retain(|class| !cx.project.is_known_file(program.class(*class).file));
    out
}

/// The class of the entry, and those that have the same queryset from above, first the entry's own.
fn heirs(cx: &Context<'_>, entry: &Entry) -> Vec<ClassId> {
    let Some(own) = entry.class else { return Vec::new() };
    let mut out = vec![own];
    out.extend(having(cx, entry).into_iter().filter(|class| *class != own));
    out
}

/// The classes that have the queryset themselves: asked by their name, they give it.
pub(super) fn having(cx: &Context<'_>, entry: &Entry) -> Vec<ClassId> {
    let program = cx.project.program();
    let Some(own) = entry.class else { return Vec::new() };
    let name = member_of(cx, entry);
    let owner = |class: ClassId, name: &str| program.member(class, name).map(|(owner, _)| owner);
    let first = owner(own, name).unwrap_or(own);
    let has_it = |class: &ClassId| {
        owner(*class, name) == owner(own, name)
            && (name == "get_queryset" || owner(*class, "get_queryset") == owner(own, "get_queryset"))
    };
    let mut out: Vec<ClassId> =
        program.descendants(first).into_iter().chain([first, own]).filter(has_it).collect();
    out.sort();
    out.dedup();
    out.retain(|class| !cx.project.is_known_file(program.class(*class).file));
    out
}

/// The member that gives the rows of an entry's class.
fn member_of<'a>(cx: &Context<'a>, entry: &Entry) -> &'a str {
    match entry.source {
        Source::Function(function) => cx.project.program().function(function).name.as_str(),
        Source::Expression(..) => "queryset",
        Source::Model(..) | Source::Above(..) => "model",
    }
}

/// The methods of the classes that have the queryset, mixins included, each with the class of the object that it is
/// looked at for.
fn methods(cx: &Context<'_>, entry: &Entry) -> Vec<(FunctionId, ClassId)> {
    let program = cx.project.program();
    let mut seen = FxHashSet::default();
    let mut out = Vec::new();
    for class in heirs(cx, entry) {
        for above in &program.class(class).mro {
            let info = program.class(*above);
            if cx.project.is_known_file(info.file) {
                continue;
            }
            for name in &info.order {
                if let Some(Member::Function(function, _)) = info.members.get(name)
                    && seen.insert(*function)
                {
                    out.push((*function, class));
                }
            }
        }
    }
    out
}

/// Whether a method returns the rows, not loaded.
fn gives(cx: &Context<'_>, asked: &Asked<'_>, function: FunctionId, class: ClassId) -> bool {
    let info = cx.project.program().function(function);
    let def = cx.project.program().file(info.file).node(info.node);
    if !asked.is_named_in(def) || !def.descendants().any(|n| n.kind() == Kind::Return) {
        return false;
    }
    let Some(receiver) = parameters(def).first().map(|p| p.name) else { return false };
    let facts = cx.analyzer.method_of(function, class);
    let inner = Context { facts: &facts, file: info.file, ..*cx };
    let given = asked.given(&inner, &Receivers::Own(receiver));
    let ours = asked.values(&inner, &given);
    let returned = facts.returns.iter().flat_map(Type::alternatives).filter_map(Type::queryset);
    !given.is_empty() && returned.flat_map(|qs| qs.values.iter()).any(|v| ours.has(&inner, *v))
}

/// Where the type is not known: whether the calls that hang on the expression, or a loop over it, load rows.
pub(super) fn is_loaded_by_chain(mut node: Node<'_>) -> bool {
    for _ in 0..30 {
        let whole = node.with_parens();
        let Some(parent) = whole.parent() else { return false };
        let (Expr::Attribute { attr, .. }, Some(call)) = (Expr::of(parent), parent.with_parens().parent())
        else {
            return matches!(parent.kind(), Kind::For | Kind::CompFor) && whole.field() == Field::Right;
        };
        if call.kind() != Kind::Call || LOADING.contains(&attr) {
            return call.kind() == Kind::Call;
        }
        if !QUIET.contains(&attr)
            || matches!(attr, "values" | "values_list" | "count" | "exists" | "aggregate")
        {
            return false;
        }
        node = call;
    }
    false
}
