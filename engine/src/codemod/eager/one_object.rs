//! What happens to one object of an entry's queryset between its loading and the answer that shows it: the same queryset
//! serves `get_object()`. A related object that came along is a copy, and what is written meanwhile is not in it.

use super::guards;
use super::own_code;
use super::step::Step;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{ModelId, Signal};
use crate::infer::{Entry, Event, updates_one_object};
use crate::python::{ClassId, Def, Expr, FunctionId, Kind, Member, Node};
use rustc_hash::FxHashSet;

/// Methods of a view that run between `get_object()` of the framework and the answer.
const BETWEEN: &[&str] =
    &["retrieve", "update", "partial_update", "perform_update", "check_object_permissions"];
/// The same of a permission class.
const PERMISSION: &str = "has_object_permission";

/// Writes that the answer about one object would not show.
pub(super) fn hazards(cx: &Context<'_>, entry: &Entry, steps: &[Step], out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    let mut seen: FxHashSet<FunctionId> = FxHashSet::default();
    let classes = own_code::classes(cx, entry);
    for class in &classes {
        for (name, member) in &program.class(*class).members {
            if let Member::Function(function, _) = member
                && seen.insert(*function)
            {
                in_method(cx, *function, name, steps, out);
            }
        }
        for permission in named_classes(cx, *class, "permission_classes") {
            if let Some((_, Member::Function(function, _))) = program.member(permission, PERMISSION)
                && seen.insert(*function)
            {
                guards::stale_copies(cx.project, &cx.analyzer.function(*function).events, steps, out);
            }
        }
    }
    let updates = classes.iter().any(|class| updates_one_object(cx.project, *class));
    if let Some(step) = steps.first().filter(|_| updates) {
        let saving = saved_by(cx, step.from).into_iter().chain(serializers(cx, &classes));
        for function in saving {
            if seen.insert(function) {
                let mut found = Vec::new();
                guards::stale_copies(cx.project, &cx.analyzer.function(function).events, steps, &mut found);
                // What nobody knows is as little known where the row is saved now.
                out.extend(found.into_iter().filter(|h| h.kind == HazardKind::StaleCopy));
            }
        }
    }
}

fn in_method(cx: &Context<'_>, function: FunctionId, name: &str, steps: &[Step], out: &mut Vec<Hazard>) {
    let info = cx.project.program().function(function);
    let source = cx.project.program().file(info.file);
    let def = source.node(info.node);
    let is_load = |n: &Node<'_>| {
        let Expr::Call { func, .. } = Expr::of(*n) else { return false };
        n.kind() == Kind::Call && matches!(Expr::of(func), Expr::Attribute { attr: "get_object", .. })
    };
    let loaded = match def.descendants().find(is_load) {
        Some(call) => call.span().end,
        None if BETWEEN.contains(&name) => def.span().start,
        None => return,
    };
    let facts = cx.analyzer.function(function);
    let is_shown_after = |event: &&Event| {
        let at = source.node(event.at).span();
        let Some(rest) = def.file_text().get(at.end as usize..def.span().end as usize) else { return true };
        at.start >= loaded
            && (name == "perform_update"
                || name == "check_object_permissions"
                || rest.contains("serializer")
                || rest.contains("super()")
                || steps.iter().any(|step| rest.contains(&*step.attribute)))
    };
    guards::stale_copies(cx.project, facts.events.iter().filter(is_shown_after), steps, out);
}

/// What runs when a row of the model is saved: its own `save()`, and the receivers.
fn saved_by(cx: &Context<'_>, model: ModelId) -> Vec<FunctionId> {
    let program = cx.project.program();
    let own = match program.member(cx.project.model(model).class, "save") {
        Some((_, Member::Function(function, _))) => Some(*function),
        _ => None,
    };
    let signals = [Signal::PreSave, Signal::PostSave].into_iter();
    let heard = signals.flat_map(|signal| cx.project.receivers(model, signal));
    own.into_iter().chain(heard.filter_map(|receiver| receiver.function)).collect()
}

/// `update()` and `save()` of the serializers that the views name.
fn serializers(cx: &Context<'_>, views: &[ClassId]) -> Vec<FunctionId> {
    let program = cx.project.program();
    let named = ["serializer_class", "get_serializer_class"];
    let classes = views.iter().flat_map(|view| named.iter().flat_map(|name| named_classes(cx, *view, name)));
    let methods = classes.flat_map(|class| ["update", "save"].iter().map(move |name| (class, name)));
    methods
        .filter_map(|(class, name)| match program.member(class, name) {
            Some((_, Member::Function(function, _))) => Some(*function),
            _ => None,
        })
        .collect()
}

/// The classes of the program that an attribute or a method of a class names.
fn named_classes(cx: &Context<'_>, class: ClassId, name: &str) -> Vec<ClassId> {
    let program = cx.project.program();
    let Some((owner, member)) = program.member(class, name) else { return Vec::new() };
    let file = program.class(owner).file;
    let node = match member {
        Member::Value(value) => *value,
        Member::Function(function, _) => program.function(*function).node,
        _ => return Vec::new(),
    };
    let nodes = program.file(file).node(node).descendants();
    let names = nodes.filter(|n| matches!(n.kind(), Kind::Name | Kind::Attribute));
    names
        .filter_map(|n| match program.resolve_expr(file, n.id()) {
            Some(Def::Class(class)) if !cx.project.is_known_file(program.class(class).file) => Some(class),
            _ => None,
        })
        .collect()
}
