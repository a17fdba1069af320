//! Code that works although a name is refused: somebody catches the error, or takes the name away again before the rows are
//! loaded.

use super::find::{Found, Place};
use ormend_engine::codemod::eager::{Load, custom, existing, gives_objects, is_derived, node_at, relied_on};
use ormend_engine::codemod::{Context, FileId, Hazard, HazardKind, Site};
use ormend_engine::infer::{EventKind, QuerySet, Rows, Type, Use, ValueId};
use ormend_engine::python::{Expr, Field, Kind, Node, arguments, string_value};

/// What stands in the way.
pub fn hazards<'a>(cx: &Context<'a>, found: &Found<'a>, out: &mut Vec<Hazard>) {
    for moved in &found.moved {
        if let Some(step) = &moved.named.generic {
            let site = Site { file: found.list_file, span: moved.node.span() };
            out.push(Hazard::at(HazardKind::GenericTarget, step.clone(), site));
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
        || cx.facts.events().any(|event| match &event.kind {
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

/// In one frame, and in functions that get the queryset from it.
fn undone_here(cx: &Context<'_>, found: &Found<'_>, out: &mut Vec<Hazard>) {
    for node in cx.scope().descendants() {
        match Expr::of(node) {
            Expr::Call { func, .. } if node.kind() == Kind::Call => {
                let Expr::Attribute { value, .. } = Expr::of(func) else { continue };
                let Type::QuerySet(queryset) = cx.type_of(value) else { continue };
                undone_by(cx, found, queryset, (cx.file, node), out);
            }
            // `books.query` shows the names, and may be changed.
            Expr::Attribute { value, attr, .. } if node.kind() == Kind::Attribute => {
                let is_called = node.field() == Field::Function;
                let is_ours = || cx.type_of(value).queryset().is_some_and(|qs| carries(found, qs));
                // The text of the query raises as the rows do.
                let call = node.with_parens().parent().and_then(|list| list.parent());
                let is_text = call.is_some_and(
                    |c| matches!(Expr::of(c), Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Name("str"))),
                );
                let shows = attr.starts_with('_') || attr == "query" && !is_text;
                if !is_called && shows && is_ours() {
                    out.push(cx.hazard(HazardKind::QuerySetShape, attr, node));
                }
            }
            _ => {}
        }
    }
    for event in cx.facts.events() {
        let EventKind::Use { value, how: Use::Method(_) } = &event.kind else { continue };
        let queryset = cx.value(*value).and_then(|v| v.queryset.as_deref());
        let call = node_at(cx.project, event.site).filter(|n| n.kind() == Kind::Call);
        if let (Some(queryset), Some(call)) = (queryset, call)
            && event.site != cx.site(cx.node(event.at))
        {
            undone_by(cx, found, queryset, (event.site.file, call), out);
            streamed(event.site.file, call, out);
        }
    }
}

/// `books.values("title")` in a function that gets the queryset and calls `iterator()` of something.
fn streamed(file: FileId, call: Node<'_>, out: &mut Vec<Hazard>) {
    let name = |call: Node<'_>| match Expr::of(call) {
        Expr::Call { func, arguments: list } => match Expr::of(func) {
            Expr::Attribute { attr, .. } => Some((attr.to_owned(), arguments(list).is_empty())),
            _ => None,
        },
        _ => None,
    };
    if !name(call)
        .is_some_and(|(n, _)| matches!(n.as_str(), "values" | "values_list" | "dates" | "datetimes"))
    {
        return;
    }
    let Some(scope) = call.enclosing_function() else { return };
    for other in scope.descendants().filter(|n| n.kind() == Kind::Call) {
        if let Some((method, true)) = name(other)
            && matches!(method.as_str(), "iterator" | "aiterator")
        {
            let site = Site { file, span: other.span() };
            out.push(Hazard::at(HazardKind::QuerySetShape, format!("{method}()"), site));
        }
    }
}

/// What a call on a queryset that may be ours does to it.
fn undone_by(
    cx: &Context<'_>,
    found: &Found<'_>,
    queryset: &QuerySet,
    (file, call): (FileId, Node<'_>),
    out: &mut Vec<Hazard>,
) {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return };
    let Expr::Attribute { attr, .. } = Expr::of(func) else { return };
    if !UNDOING.contains(&attr) || !carries(found, queryset) {
        return;
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
        "prefetch_related" if is_refused(cx, found, file, call) => HazardKind::QuerySetShape,
        _ => return,
    };
    let subject = match kind {
        HazardKind::LoadedWithout => call.text().lines().next().unwrap_or_default().to_owned(),
        _ => format!("{attr}()"),
    };
    out.push(Hazard::at(kind, subject, Site { file, span: call.span() }));
}

/// Whether a queryset carries one of the names that move.
fn carries(found: &Found<'_>, queryset: &QuerySet) -> bool {
    let named = |moved: &super::find::Moved<'_>| string_value(moved.node);
    queryset.model == found.model
        && found.moved.iter().filter_map(named).any(|name| queryset.selected.iter().any(|s| **s == *name))
}

/// Whether a call of `prefetch_related()` gives an object for a relation that a path of ours has named before.
fn is_refused(cx: &Context<'_>, found: &Found<'_>, file: FileId, call: Node<'_>) -> bool {
    // The call that gets our paths, behind what it has.
    let is_own = found.file == file && file == cx.file && cx.scope().contains(found.node.id());
    if is_own && existing(cx, found.chain, Load::Prefetch).is_some_and(|e| e.contains(call.id())) {
        return false;
    }
    let ours: Vec<String> = found.moved.iter().map(|m| m.named.lookup.clone()).collect();
    gives_objects(call, &ours)
}
