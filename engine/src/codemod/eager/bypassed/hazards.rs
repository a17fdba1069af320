//! What makes the rows of a `Prefetch` others than those that are asked for, or leaves a reader without what it reads.

use super::super::annotate::comes_of_loop;
use super::super::reads::Load;
use super::super::{conditions, guards, remote, sources};
use super::Bypassed;
use super::chain::Chain;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Escape, EventKind, Origin, Root, Use, ValueId};
use crate::python::{Field, Kind, Node, arguments, generators, string_value};

/// Hazards of a `Prefetch` in the place of the prefetch that is passed by.
pub(super) fn hazards(cx: &Context<'_>, found: &Bypassed, out: &mut Vec<Hazard>) {
    let Some(reader) = found.reader.map(|r| cx.node(r)) else {
        for (site, method) in &found.reads {
            out.push(Hazard::at(HazardKind::SharedReader, format!("{method}()"), *site));
        }
        return;
    };
    super::super::hazards(cx, &found.group, out);
    // The queries of the prefetch are made as it is, and the manager is asked when it runs: what is asked of a prefetched
    // relation goes on from there (`ManyRelatedManager.get_queryset`).
    out.retain(|h| {
        !matches!(
            h.kind,
            HazardKind::LoadedWithout
                | HazardKind::RarelyRead
                | HazardKind::SharedQuerySet
                | HazardKind::CustomManagerMethod
        )
    });
    out.retain_mut(|h| {
        let shape = h.kind == HazardKind::QuerySetShape;
        match h.subject.as_str() {
            // A longer path goes through the relation.
            "prefetch_related()" if shape => h.kind = HazardKind::ReadPlainly,
            "iterator()" | "aiterator()" if shape => {
                h.kind = HazardKind::NoPlaceToEdit;
                h.subject = format!("{} prefetches nothing", h.subject);
            }
            // Rows of a union have what the first of its querysets prefetches.
            "union()" | "intersection()" | "difference()" if shape => return false,
            _ => {}
        }
        true
    });
    plain_reads(cx, found, out);
    let Some(step) = found.steps.first() else { return };
    let target = cx.model(step.to);
    let manager = target.manager(&target.default_manager);
    if manager.is_none_or(|m| !m.is_unknown) && !cx.project.is_plain_manager(step.to, &target.default_manager)
    {
        let site = manager.and_then(|m| m.site).unwrap_or(target.site);
        let subject = format!("{}.{}", target.name, target.default_manager);
        out.push(Hazard::at(HazardKind::RelatedManager, subject, site));
    }
    handed_out_again(cx, reader, out);
    match Chain::of(cx, reader) {
        Err(more) => out.push(cx.hazard(HazardKind::QueryNeeded, guards::first_line(reader), more)),
        Ok(asked) => {
            if !comes_of_loop(cx, asked.row) {
                out.push(cx.hazard(HazardKind::SharedReader, guards::first_line(reader), reader));
            }
            for (method, list) in &asked.links {
                match *method {
                    "order_by" => {
                        let is_kept = arguments(*list).iter().all(|a| {
                            a.name.is_none()
                                && string_value(a.value).is_some_and(|name| {
                                    conditions::is_own_column(cx, step.to, name.trim_start_matches('-'))
                                })
                        });
                        if !is_kept {
                            let at = cx.node(list.id());
                            out.push(cx.hazard(HazardKind::RowCondition, guards::first_line(at), at));
                        }
                    }
                    _ => conditions::hazards(cx, &found.group, step.to, cx.file, &arguments(*list), out),
                }
            }
        }
    }
}

/// Read in a loop of its own, the list gives the instances of the first round again; the filter made new ones.
fn handed_out_again(cx: &Context<'_>, reader: Node<'_>, out: &mut Vec<Hazard>) {
    // The loop over its rows begins with the reader; what is around that is the loop over the rows that have them.
    let rounds = |n: Node<'_>| match n.kind() {
        Kind::While => 1,
        Kind::For => usize::from(n.child(Field::Right).is_none_or(|iter| !iter.contains(reader.id()))),
        kind if kind.is_comprehension() => {
            let generators = generators(n);
            generators.iter().position(|g| g.iter.contains(reader.id())).unwrap_or(generators.len())
        }
        _ => 0,
    };
    let around = reader.ancestors().take_while(|n| n.id() != cx.facts.scope);
    if around.map(rounds).sum::<usize>() < 2 {
        return;
    }
    let is_row = |root: &Root| match root {
        Root::Row(v) => cx.value(*v).is_some_and(
            |v| matches!(v.origin, Origin::Expr(n) if n == reader.id() || cx.node(n).contains(reader.id())),
        ),
        _ => false,
    };
    for event in cx.facts.events() {
        let changes = match &event.kind {
            EventKind::WriteAttribute { root, .. } | EventKind::InstanceMethod { root, .. } => is_row(root),
            EventKind::InstanceEscapes { root, .. } => is_row(root),
            _ => false,
        };
        if changes {
            let subject = guards::node_at(cx.project, event.site).map_or("...", guards::first_line);
            out.push(Hazard::at(HazardKind::SharedInstance, subject, event.site));
        }
    }
}

/// Others that read what is prefetched, or may.
fn plain_reads(cx: &Context<'_>, found: &Bypassed, out: &mut Vec<Hazard>) {
    let rows = &found.group.rows;
    let is_built = |v: ValueId| rows.contains(&v) || found.group.leads_to(cx, v);
    for event in cx.facts.events() {
        match &event.kind {
            EventKind::ReadMany { root, path, .. } => {
                let is_other = !found.group.reads.iter().any(|r| r.site == event.site);
                let is_it = cx.facts.climbed(*root, path).is_some_and(|(value, path)| {
                    is_built(value) && path.join("__").starts_with(&found.lookup)
                });
                if is_it && is_other {
                    let subject = guards::node_at(cx.project, event.site).map_or("...", guards::first_line);
                    out.push(Hazard::at(HazardKind::ReadPlainly, subject, event.site));
                }
            }
            EventKind::InstanceEscapes { root: Root::Row(v), path, how }
                if rows.contains(v) && path.is_empty() && *how != Escape::Container =>
            {
                let subject = guards::node_at(cx.project, event.site).map_or("...", guards::first_line);
                out.push(Hazard::at(HazardKind::SharedReader, subject, event.site));
            }
            EventKind::Use { value, how: Use::Escape(_) } => {
                let is_ours = |t: &ValueId| t == value || sources::is_derived(cx, *value, *t, 0);
                // Inside of what is returned it has been said already.
                let is_said = out
                    .iter()
                    .filter_map(|h| h.site.filter(|_| h.kind == HazardKind::QuerySetEscapes))
                    .any(|s| {
                        s.file == event.site.file
                            && (s.span.contains(event.site.span) || event.site.span.contains(s.span))
                    });
                if found.group.targets.iter().any(is_ours) && !is_said {
                    out.push(Hazard::at(HazardKind::QuerySetEscapes, "", event.site));
                }
            }
            _ => {}
        }
    }
    let is_ours =
        |values: &[ValueId]| values.iter().any(|v| rows.contains(v) || found.group.targets.contains(v));
    for (_, _, read) in remote::reads(cx, Load::Prefetch).iter().filter(|(values, ..)| is_ours(values)) {
        out.push(Hazard::at(
            HazardKind::ReadPlainly,
            read.steps.last().map_or("", |s| &s.attribute),
            read.site,
        ));
    }
}
