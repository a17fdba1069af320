//! Code that works although a name is refused: somebody catches the error, or takes the name away again before the rows are
//! loaded.

use super::find::{Found, Place};
use ormend_engine::codemod::eager::{Load, custom, existing, gives_objects, is_derived, relied_on};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::infer::{EventKind, QuerySet, Rows, Type, Use, ValueId};
use ormend_engine::python::{Expr, Kind, Node, arguments, string_value};

/// What stands in the way.
pub fn hazards<'a>(cx: &Context<'a>, found: &Found<'a>, out: &mut Vec<Hazard>) {
    for moved in &found.moved {
        if let Some(step) = &moved.named.generic {
            out.push(cx.hazard(HazardKind::GenericTarget, step.clone(), moved.node));
        }
    }
    match &found.place {
        Place::Call { queryset, .. } => {
            for load in [Load::Join, Load::Prefetch] {
                custom(cx, queryset, load, out);
            }
            relied_on(cx, made(cx, found), &["FieldError"], out);
            if leaves(cx, found) {
                undone(cx, found, out);
            } else {
                undone_here(cx, found, out);
            }
        }
        Place::Admin { class } => {
            let program = cx.project.program();
            let info = program.class(*class);
            let site = program.name_site(info.file, info.node);
            // The form of one object has the same queryset, and joins nothing.
            out.push(Hazard::at(HazardKind::LoadedWithout, info.name.clone(), site));
            if program.member(*class, "get_queryset").is_some() {
                let text = "`get_queryset` is set in another way";
                out.push(Hazard::at(HazardKind::NoPlaceToEdit, text, site));
            }
        }
    }
}

/// The queryset that the call makes.
fn made<'a>(cx: &Context<'a>, found: &Found<'a>) -> Option<ValueId> {
    match cx.type_of(found.node) {
        Type::QuerySet(qs) => qs.values.first().copied(),
        _ => None,
    }
}

/// Whether others get the queryset than the frame that makes it.
fn leaves<'a>(cx: &Context<'a>, found: &Found<'a>) -> bool {
    let Some(own) = made(cx, found) else { return true };
    cx.facts.scope == cx.root().id()
        || cx.facts.events.iter().any(|event| match &event.kind {
            EventKind::Use { value, how: Use::Escape(_) | Use::Other } => {
                *value == own || is_derived(cx, *value, own, 0)
            }
            _ => false,
        })
}

/// Methods that take the names away again, or mind what is prefetched.
const UNDOING: &[&str] =
    &["select_related", "prefetch_related", "delete", "adelete", "iterator", "aiterator"];

/// Everywhere in the program, on querysets that carry one of the names.
fn undone<'a>(cx: &Context<'a>, found: &Found<'a>, out: &mut Vec<Hazard>) {
    let mut seen = Vec::new();
    for name in UNDOING {
        for site in cx.analyzer.call_sites().of(name) {
            if seen.contains(&(site.file, site.function)) {
                continue;
            }
            seen.push((site.file, site.function));
            let facts = cx.analyzer.caller(site.file, site.function);
            let inner = Context { facts: &facts, file: site.file, ..*cx };
            undone_here(&inner, found, out);
        }
    }
}

/// In one frame.
fn undone_here(cx: &Context<'_>, found: &Found<'_>, out: &mut Vec<Hazard>) {
    for call in cx.scope().descendants().filter(|n| n.kind() == Kind::Call) {
        let Expr::Call { func, arguments: list } = Expr::of(call) else { continue };
        let Expr::Attribute { value, attr, .. } = Expr::of(func) else { continue };
        if !UNDOING.contains(&attr) {
            continue;
        }
        let Type::QuerySet(queryset) = cx.facts.type_of(value) else { continue };
        if !carries(found, queryset) {
            continue;
        }
        let args = arguments(list);
        let kind = match attr {
            "delete" | "adelete" => HazardKind::LoadedWithout,
            "select_related" if args.iter().all(|a| matches!(Expr::of(a.value), Expr::None)) => {
                HazardKind::QuerySetShape
            }
            "iterator" | "aiterator" if args.is_empty() && queryset.rows != Rows::Instances => {
                HazardKind::QuerySetShape
            }
            "prefetch_related" if is_refused(cx, found, call) => HazardKind::QuerySetShape,
            _ => continue,
        };
        let subject = match kind {
            HazardKind::LoadedWithout => call.text().lines().next().unwrap_or_default().to_owned(),
            _ => format!("{attr}()"),
        };
        out.push(cx.hazard(kind, subject, call));
    }
}

/// Whether a queryset carries one of the names that move.
fn carries(found: &Found<'_>, queryset: &QuerySet) -> bool {
    let named = |moved: &super::find::Moved<'_>| string_value(moved.node);
    queryset.model == found.model
        && found.moved.iter().filter_map(named).any(|name| queryset.selected.iter().any(|s| **s == *name))
}

/// Whether a call of `prefetch_related()` gives an object for a relation that a path of ours has named before.
fn is_refused(cx: &Context<'_>, found: &Found<'_>, call: Node<'_>) -> bool {
    // The call that gets our paths, behind what it has.
    let extended = existing(cx, found.chain, Load::Prefetch);
    if found.file == cx.file && extended.is_some_and(|e| e.contains(call.id())) {
        return false;
    }
    let ours: Vec<String> = found.moved.iter().map(|m| m.named.lookup.clone()).collect();
    gives_objects(call, &ours)
}
