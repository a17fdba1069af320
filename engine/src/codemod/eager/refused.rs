//! Code that lives by an error which a queryset raises when its rows are loaded.

use super::guards;
use crate::codemod::guards::handlers::{taking, taking_inside, taking_outside};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Escape, EventKind, Facts, Use, ValueId};
use crate::python::FunctionId;
use crate::text::Site;

/// Functions that pass the queryset on and are followed.
const MOST_FUNCTIONS: usize = 20;

/// Handlers of `errors` (or of everything) around what is done with the queryset `value` of the frame, here and in those
/// that get it from here.
pub fn relied_on(cx: &Context<'_>, value: Option<ValueId>, errors: &[&str], out: &mut Vec<Hazard>) {
    let is_own = |v: ValueId| Some(v) == value;
    used(cx, &is_own, errors, out);
    // What is returned is loaded by callers.
    let program = cx.project.program();
    let mut functions: Vec<FunctionId> = program.function_at(cx.file, cx.facts.scope).into_iter().collect();
    let mut next = 0;
    while let Some(function) = functions.get(next).copied().filter(|_| next < MOST_FUNCTIONS) {
        next += 1;
        let info = program.function(function);
        let def = Site { file: info.file, span: program.file(info.file).node(info.node).span() };
        for site in cx.analyzer.call_sites().of(&info.name) {
            // A generator runs wherever its next item is asked for.
            if info.is_generator
                && let Some(caller) = site.function
            {
                let scope = program.file(site.file).node(program.function(caller).node);
                let handler = taking_inside(cx, site.file, scope, errors);
                out.extend(handler.map(|at| Hazard::at(HazardKind::HandlerAround, "", at)));
            }
            let facts = cx.analyzer.caller(site.file, site.function);
            let inner = Context { facts: &facts, file: site.file, ..*cx };
            let is_made = |v: ValueId| facts.value(v).is_some_and(|v| v.site == Some(def));
            if used(&inner, &is_made, errors, out)
                && let Some(caller) = site.function.filter(|f| !functions.contains(f))
            {
                functions.push(caller);
            }
        }
    }
}

/// Handlers around what a frame does with the queryset; whether it hands it on.
fn used(cx: &Context<'_>, is: &dyn Fn(ValueId) -> bool, errors: &[&str], out: &mut Vec<Hazard>) -> bool {
    let (mut returned, mut is_used) = (false, false);
    for event in cx.facts.events() {
        let EventKind::Use { value, how } = &event.kind else { continue };
        if !is_from(cx.facts, *value, is, 0) {
            continue;
        }
        returned |= matches!(how, Use::Escape(Escape::Return | Escape::Yield | Escape::Container));
        is_used = true;
        let here = taking(cx, cx.file, cx.node(event.at), errors);
        let there = || taking(cx, event.site.file, guards::node_at(cx.project, event.site)?, errors);
        if let Some(site) = here.or_else(there) {
            out.push(Hazard::at(HazardKind::HandlerAround, "", site));
        }
    }
    if is_used && let Some(site) = taking_outside(cx, errors) {
        out.push(Hazard::at(HazardKind::HandlerAround, "", site));
    }
    returned
}

/// Whether `value` is one of those, or made from it.
fn is_from(facts: &Facts, value: ValueId, is: &dyn Fn(ValueId) -> bool, depth: usize) -> bool {
    depth < 30
        && (is(value)
            || facts.value(value).is_some_and(|v| {
                v.parent.iter().chain(&v.alternatives).any(|up| is_from(facts, *up, is, depth + 1))
            }))
}
