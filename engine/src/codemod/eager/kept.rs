//! Querysets that a property keeps: `@cached_property` gives every reader the same object, whose rows the first of them
//! loads. The join is asked for where the property builds it.
//!
//! What one reader has loaded another one reads later, so that whatever runs while somebody holds the object of the
//! property may come between.

use super::callers::{Caller, callers};
use super::guards;
use super::reads::Load;
use super::region;
use super::remote::{Remote, found};
use super::step::Step;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Escape, Event, EventData, Origin, Path, Type, Use, ValueId};
use crate::python::{ClassId, FunctionId, Member, Program};
use crate::text::Site;
use std::collections::BTreeSet;
use std::ops::Range;

/// Functions around the readers of a property that are looked at.
const MAX_AROUND: usize = 30;

/// Whether the function is a property that keeps what it gives, and no more than that.
pub(super) fn is_kept(program: &Program, function: FunctionId) -> bool {
    program.function(function).decorators.len() == 1 && program.is_cached_property(function)
}

/// What the readers of the property that `function`, the one of this frame, is read of the rows that it keeps.
pub(super) fn reads(
    cx: &Context<'_>,
    load: Load,
    function: FunctionId,
    out: &mut Vec<(Vec<ValueId>, Path, Remote)>,
) {
    let program = cx.project.program();
    let Some(Type::QuerySet(qs)) = &cx.facts.returns else { return };
    let Some(value) = qs.values.first().copied().filter(|_| is_kept(program, function)) else { return };
    // A count that comes with the rows is another reader's to rewrite.
    if load == Load::Count {
        return;
    }
    let def = program.definition_site(function);
    let users: Vec<Caller<'_>> = callers(cx, function).into_iter().filter(|c| may_use(c, def)).collect();
    let mut shared = Vec::new();
    let start = out.len();
    let mut read_by = Vec::new();
    for user in &users {
        let inner = Context { facts: &user.facts, file: user.file, ..*cx };
        let is_ours = |v: &ValueId| inner.value(*v).is_some_and(|v| is_value(user, v, def));
        region::looked_into(&inner, &is_ours, &mut shared);
        region::copied(&inner, &is_ours, &mut shared);
        let known = out.len();
        let events: Vec<Event<'_>> = user.facts.events().collect();
        found(&inner, load, (cx, value), &is_ours, &events, out);
        if loads(user, def) {
            read_by.push(known..out.len());
        }
        if load == Load::Prefetch && out.len() == known && loads(user, def) {
            let Some(at) = user.calls.first() else { continue };
            shared.push(Hazard::at(HazardKind::LoadedWithout, guards::first_line(*at), inner.site(*at)));
        }
    }
    let all_read = all_read_the_same(out, start, &read_by);
    let steps: Vec<Step> =
        out.iter().skip(start).flat_map(|(_, _, read)| read.steps.iter().cloned()).collect();
    meanwhile(cx, function, &users, (&steps, all_read), &mut shared);
    for (rows, _, read) in out.iter_mut().skip(start) {
        rows.clear();
        rows.extend(qs.values.iter().copied());
        read.hazards.extend(shared.iter().cloned());
    }
}

/// Whether a value of a frame is what the property gives there.
fn is_value(user: &Caller<'_>, value: &crate::infer::Value, def: Site) -> bool {
    let Origin::Expr(node) = value.origin else { return false };
    value.site == Some(def) && user.calls.iter().any(|call| call.id() == node)
}

/// Whether a frame that asks for an attribute of the name may get it from the property: of an object that is not known it
/// does.
fn may_use(user: &Caller<'_>, def: Site) -> bool {
    user.calls.iter().any(|call| match user.facts.type_of(*call) {
        Type::Unknown => !call.is_binding(),
        ty => {
            ty.alternatives().iter().filter_map(Type::queryset).any(|qs| {
                qs.values.iter().any(|v| user.facts.value(*v).is_some_and(|v| is_value(user, v, def)))
            })
        }
    })
}

/// Whether the frame may load the rows of the property.
fn loads(user: &Caller<'_>, def: Site) -> bool {
    let asks_unknown = user.calls.iter().any(|call| *user.facts.type_of(*call) == Type::Unknown);
    asks_unknown
        || (0..user.facts.values.len() as u32).map(ValueId).any(|v| {
            user.facts.value(v).is_some_and(|info| is_value(user, info, def))
                && user.facts.uses(v).any(|(_, how)| {
                    how.evaluates()
                        || matches!(how, Use::Other | Use::Escape(Escape::External | Escape::UnknownCall))
                })
        })
}

/// What may change the related rows between the reader that has loaded the rows and another one.
fn meanwhile(
    cx: &Context<'_>,
    function: FunctionId,
    users: &[Caller<'_>],
    (steps, all_read): (&[Step], bool),
    out: &mut Vec<Hazard>,
) {
    let program = cx.project.program();
    let Some(class) = program.function(function).class.filter(|_| !steps.is_empty()) else { return };
    let def = program.definition_site(function);
    let readers = loaders(program, users, def);
    between(cx, class, &readers, steps, out);
    if readers.len() > 1 {
        around(cx, &readers, steps, all_read, out);
    }
}

/// Whether each reader, of which `read_by` says which of `reads` are its own, reads of every row what any of them reads: the
/// first of them loads the related rows together with the rows, and the others have them from it.
pub(super) fn all_read_the_same(
    reads: &[(Vec<ValueId>, Path, Remote)],
    first: usize,
    read_by: &[Range<usize>],
) -> bool {
    let wanted: Vec<&Path> = reads.iter().skip(first).map(|(_, path, _)| path).collect();
    read_by.iter().all(|own| {
        let own = reads.get(own.clone()).unwrap_or_default();
        wanted.iter().all(|path| own.iter().any(|(_, p, read)| p.starts_with(path) && read.is_certain))
    })
}

/// The functions that may load the rows of a property.
pub(super) fn loading(cx: &Context<'_>, function: FunctionId) -> Vec<FunctionId> {
    let program = cx.project.program();
    let def = program.definition_site(function);
    let users: Vec<Caller<'_>> = callers(cx, function).into_iter().filter(|c| may_use(c, def)).collect();
    loaders(program, &users, def)
}

/// Those of the frames that may load the rows of the property at `def`.
fn loaders(program: &Program, users: &[Caller<'_>], def: Site) -> Vec<FunctionId> {
    let loading = users.iter().filter(|user| loads(user, def));
    loading.filter_map(|user| program.function_at(user.file, user.facts.scope)).collect()
}

/// What may change the related rows while an object of the class keeps them, and `readers` ask for them.
pub(super) fn between(
    cx: &Context<'_>,
    class: ClassId,
    readers: &[FunctionId],
    steps: &[Step],
    out: &mut Vec<Hazard>,
) {
    let mut functions = methods(cx, class);
    functions.extend(readers);
    for function in functions {
        changed(cx, cx.analyzer.writing(function).iter().map(EventData::event), steps, out);
    }
}

/// Whoever asks several readers in turn holds the object as well, and may change the related rows between them. The methods
/// of a view are asked by the framework. Callers that are not known matter unless `all_read` what is loaded.
pub(super) fn around(
    cx: &Context<'_>,
    readers: &[FunctionId],
    steps: &[Step],
    all_read: bool,
    out: &mut Vec<Hazard>,
) {
    let program = cx.project.program();
    let is_of_view = |function: FunctionId| {
        program.function(function).class.is_some_and(|class| {
            program.class(class).external_bases.iter().any(|base| base.starts_with("django.views."))
        })
    };
    let mut seen: BTreeSet<FunctionId> = readers.iter().copied().filter(|f| !is_of_view(*f)).collect();
    let mut pending: Vec<(FunctionId, usize)> = seen.iter().map(|f| (*f, 0)).collect();
    while let Some((function, depth)) = pending.pop() {
        let users = callers(cx, function);
        // Who they are is not known, or they are too many.
        if depth == 0 && users.is_empty() && !all_read || seen.len() > MAX_AROUND {
            let info = program.function(function);
            let site = program.name_site(info.file, info.node);
            let subject = format!("a caller of {}()", info.name);
            out.push(Hazard::at(HazardKind::StaleElsewhere, subject, site));
            continue;
        }
        for user in users {
            changed(cx, user.facts.events(), steps, out);
            if let Some(outer) = program.function_at(user.file, user.facts.scope)
                && !is_of_view(outer)
                && seen.insert(outer)
            {
                pending.push((outer, depth + 1));
            }
        }
    }
}

/// The methods of the objects of a class, whichever class below they are of.
fn methods(cx: &Context<'_>, class: ClassId) -> BTreeSet<FunctionId> {
    let program = cx.project.program();
    let mut classes = program.class(class).mro.clone();
    classes.extend(program.descendants(class));
    let own = classes.into_iter().filter(|c| !cx.project.is_known_file(program.class(*c).file));
    let members = own.flat_map(|class| program.class(class).members.values());
    let methods = members.filter_map(|member| match member {
        Member::Function(function, _) => Some(*function),
        _ => None,
    });
    methods.collect()
}

fn changed<'e>(
    cx: &Context<'_>,
    events: impl Iterator<Item = Event<'e>>,
    steps: &[Step],
    out: &mut Vec<Hazard>,
) {
    let mut found = Vec::new();
    guards::stale_copies(cx.project, events, steps, &mut found);
    let certain = found.into_iter().filter(|hazard| hazard.kind == HazardKind::StaleCopy);
    out.extend(certain.map(|hazard| Hazard { kind: HazardKind::StaleElsewhere, ..hazard }));
}
