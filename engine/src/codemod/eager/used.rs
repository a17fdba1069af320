//! What a frame, and what it calls, does to a queryset that loading more with its rows does not go with.

use super::reads::Load;
use super::shape::{COMBINING, DEFERRING, LOCKING, PREFETCH, gives_objects, leaves_out};
use super::step::Step;
use super::{guards, prefetch};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Escape, EventKind, Trait, Use, ValueId};
use crate::python::Kind;
use crate::text::Site;

/// What is to be loaded with the rows of a queryset.
pub(super) struct Wanted<'w> {
    /// The first step of each path.
    pub first: &'w [&'w Step],
    pub lookups: &'w [String],
    pub load: Load,
}

/// What the frame does to a queryset that does not go with loading more.
pub(super) fn hazards(
    cx: &Context<'_>,
    wanted: &Wanted<'_>,
    is_ours: &dyn Fn(ValueId) -> bool,
    out: &mut Vec<Hazard>,
) {
    let joins = wanted.load == Load::Join;
    for event in cx.facts.events() {
        let EventKind::Use { value, how } = &event.kind else { continue };
        let name = match how {
            _ if !is_ours(*value) => continue,
            Use::Method(name) => &**name,
            Use::Escape(Escape::UnknownCall) => {
                unfollowed(cx, event.site, out);
                continue;
            }
            _ => continue,
        };
        match name {
            name if joins && DEFERRING.contains(&name) => {
                let mut derived = cx.facts.derived(*value).filter_map(|d| cx.value(d)?.queryset.clone());
                let has_only = name == "only";
                if derived.any(|qs| wanted.first.iter().any(|step| leaves_out(step, &qs, has_only))) {
                    out.push(Hazard::at(HazardKind::DeferredColumns, format!("{name}()"), event.site));
                }
            }
            name if joins
                && (name == "extra"
                    || cx.facts.derived(*value).any(|d| {
                        cx.value(d).and_then(|d| d.queryset.as_deref()).is_some_and(|q| q.is(Trait::RawSql))
                    })) =>
            {
                out.push(Hazard::at(HazardKind::RawSql, "", event.site));
            }
            name if COMBINING.contains(&name) => {
                out.push(Hazard::at(HazardKind::QuerySetShape, format!("{name}()"), event.site));
            }
            name if wanted.load == Load::Prefetch && name == PREFETCH => {
                let call = guards::node_at(cx.project, event.site);
                if call.is_none_or(|call| gives_objects(call, wanted.lookups)) {
                    out.push(Hazard::at(HazardKind::QuerySetShape, format!("{name}()"), event.site));
                }
            }
            "iterator" | "aiterator" if wanted.load == Load::Prefetch => {
                if let Some(hazard) = prefetch::is_streamed(cx, event.site, how) {
                    out.push(hazard);
                }
            }
            name if joins && LOCKING.contains(&name) => {
                let of = guards::node_at(cx.project, event.site).is_some_and(|n| n.text().contains("of="));
                if !of {
                    let paths = wanted.lookups.join("`, `");
                    out.push(Hazard::at(HazardKind::LockedRows, paths, event.site));
                }
            }
            "__subquery__" => {
                let call = cx.node(event.at).ancestors().take(3).find(|n| n.kind() == Kind::Call);
                if let Some(call) = call {
                    let name = guards::called_name(cx.project, cx.site(call));
                    if COMBINING.contains(&name.as_str()) {
                        out.push(Hazard::at(HazardKind::QuerySetShape, format!("{name}()"), cx.site(call)));
                    }
                }
            }
            _ => {}
        }
    }
}

/// A tag or filter of a template whose code is not followed gets the queryset itself.
fn unfollowed(cx: &Context<'_>, site: Site, out: &mut Vec<Hazard>) {
    let source = &cx.project.program().file(site.file).source;
    if source.is_template() {
        out.push(Hazard::at(HazardKind::UnknownBase, source.slice(site.span), site));
    }
}
