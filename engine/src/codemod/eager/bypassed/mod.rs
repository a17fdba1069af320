//! A relation that is prefetched, and then asked for in a way that asks the database again for each row: the prefetch is
//! for nothing. Where it is provable, a `Prefetch` brings what is asked for, and the reader gets the list.

mod chain;
mod hazards;
mod rewrite;

use super::certainty::goes_over_all;
use super::entries::built_here;
use super::reads::{Group, Load, Read};
use super::sources::targets;
use super::step::{self, Step};
use super::{guards, may_be_source, repeats, shape, site};
use crate::codemod::{Codemod, Context, Description, Fix, Hazard, Meta, Queries, Related};
use crate::infer::{Entry, Event, EventKind, Facts, Path, Type, ValueId};
use crate::python::{Expr, Kind, Node, NodeId};
use crate::text::Site;
use rustc_hash::FxHashSet;

/// The codemod.
pub struct PrefetchBypassed {
    /// What is known of it without running it.
    pub meta: Meta,
}

/// Reads that pass a prefetch by.
#[derive(Clone)]
pub struct Bypassed {
    group: Group,
    steps: Vec<Step>,
    /// As it is named in `prefetch_related()`.
    lookup: String,
    /// The reads, each with the method.
    reads: Vec<(Site, String)>,
    /// The call that prefetches, where it is known.
    prefetch: Site,
    /// The reader of this frame, where there is only that one.
    reader: Option<NodeId>,
}

/// What a prefetched relation does not answer (`ManyRelatedManager` and `QuerySet` in Django 4.2 to 6.0): each makes a new
/// queryset, or asks at once.
const ASKING: &[&str] = &[
    "filter",
    "exclude",
    "order_by",
    "reverse",
    "values",
    "values_list",
    "get",
    "latest",
    "earliest",
    "only",
    "defer",
    "annotate",
    "distinct",
    "select_related",
    "prefetch_related",
    "aggregate",
    "last",
    "first",
    "in_bulk",
    "iterator",
    "complex_filter",
    "extra",
    "using",
];
impl Codemod for PrefetchBypassed {
    type Match<'a> = Bypassed;

    fn meta(&self) -> Meta {
        self.meta
    }

    fn kinds(&self) -> &'static [Kind] {
        super::SOURCES
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Bypassed> {
        let asking = cx.once("asking", || {
            let asks = |e: &Event<'_>| matches!(e.kind, EventKind::ReadMany { .. });
            cx.facts.events().filter(asks).map(|e| e.at).collect::<FxHashSet<NodeId>>()
        });
        if !asking.contains(&node.id()) && !may_be_source(cx, node) {
            return None;
        }
        let anchor =
            |b: &Bypassed| b.group.reads.first().map(|r| r.at).or_else(|| super::anchor(cx, &b.group));
        let found = cx.once("bypassed", || bypassed(cx));
        found.iter().find(|b| anchor(b) == Some(node.id())).cloned()
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Bypassed, out: &mut Vec<Hazard>) {
        hazards::hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Bypassed) -> Description {
        let path = found.steps.iter().map(|s| s.attribute.as_str()).collect::<Vec<_>>().join(".");
        let mut related: Vec<Related> = found
            .reads
            .iter()
            .map(|(site, method)| Related {
                site: *site,
                message: format!("`{path}.{method}()` asks the database again, once a row"),
            })
            .collect();
        related.push(Related { site: found.prefetch, message: "it is prefetched here".to_owned() });
        Description {
            site: site(cx, &found.group),
            message: format!("Read `{path}` from a `Prefetch` with `to_attr`"),
            related,
            queries: Queries { before: "2 + N queries".to_owned(), after: "2 queries".to_owned() },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Bypassed) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}

/// The relation that an event asks for past a prefetch: the outermost queryset, the path, the method.
fn asked<'e>(cx: &Context<'_>, facts: &Facts, event: Event<'e>) -> Option<(ValueId, Path, &'e str)> {
    let EventKind::ReadMany { root, path, method, model } = &event.kind else { return None };
    if !ASKING.contains(&&**method) {
        return None;
    }
    // Rows that are ordered answer first() from what is prefetched.
    let target = cx.model(*model);
    if **method == *"first" && (!target.ordering.is_empty() || target.has_unknown_ordering) {
        return None;
    }
    let (value, path) = facts.climbed(*root, path)?;
    let queryset = facts.value(value)?.queryset.as_deref()?;
    let name = path.join("__");
    let is_prefetched = queryset.prefetched.iter().any(|p| {
        let plain = p.strip_suffix("__*").unwrap_or(p);
        plain == name || plain.starts_with(&format!("{name}__"))
    });
    (is_prefetched && !guards::node_at(cx.project, event.site).is_some_and(is_considered))
        .then_some((value, path, method))
}

/// Whether a read costs no query of its own: it stands in another query, or code that looks for what is prefetched makes it
/// where nothing is.
fn is_considered(node: Node<'_>) -> bool {
    const TAKING: &[&str] =
        &["filter", "exclude", "get", "annotate", "update", "Subquery", "Exists", "Q", "When"];
    let statement = |n: &Node<'_>| !n.kind().is_statement();
    let is_part = node.ancestors().take_while(statement).any(|outer| match Expr::of(outer) {
        Expr::Call { func, arguments: list } if outer.kind() == Kind::Call && list.contains(node.id()) => {
            let name = func.text().rsplit('.').next().unwrap_or_default();
            TAKING.contains(&name.trim())
        }
        _ => false,
    });
    let looks = || {
        node.enclosing_function().is_some_and(|def| {
            ["_result_cache", "_prefetched_objects_cache"].iter().any(|name| def.text().contains(name))
        })
    };
    is_part || looks()
}

/// Everything that passes a prefetch by in this frame, or in what a framework does with the rows that it builds.
fn bypassed(cx: &Context<'_>) -> Vec<Bypassed> {
    let mut out: Vec<Bypassed> = Vec::new();
    for (index, event) in cx.facts.events().enumerate() {
        let Some((value, path, method)) = asked(cx, cx.facts, event) else { continue };
        let Some(round) = event.rounds.iter().find(|r| r.value == value) else { continue };
        if repeats::leaves_rounds(cx, value, event.at) {
            continue;
        }
        let is_certain = round.is_certain && goes_over_all(cx, event);
        let Some(found) = entry_of(cx, &mut out, value, &path) else { continue };
        found.group.rows.insert(value);
        let (at, steps) = (event.at, found.steps.clone());
        found.group.reads.push(Read { event: index, at, site: event.site, steps, is_certain });
        if !found.reads.iter().any(|(site, _)| *site == event.site) {
            found.reads.push((event.site, method.to_owned()));
        }
    }
    for found in &mut out {
        let [only] = found.group.reads.as_slice() else { continue };
        let node = cx.node(only.at);
        found.reader = (only.site == cx.site(node)).then_some(only.at);
    }
    of_entries(cx, &mut out);
    out
}

/// The finding for a relation of the rows of `value`.
fn entry_of<'o>(
    cx: &Context<'_>,
    out: &'o mut Vec<Bypassed>,
    value: ValueId,
    path: &Path,
) -> Option<&'o mut Bypassed> {
    let queryset = cx.value(value)?.queryset.as_deref()?;
    let steps = step::steps(cx.project, queryset.model, path).filter(|s| Load::Prefetch.is_for(s))?;
    let lookup = path.join("__");
    let targets = targets(cx, &[value], Load::Prefetch)?;
    let known = out.iter().position(|b| b.group.targets == targets && b.lookup == lookup);
    let index = known.unwrap_or_else(|| {
        let prefetch = shape::made_by(cx, value, &["prefetch_related"]);
        let group = Group::new(Load::Prefetch, targets);
        out.push(Bypassed { group, steps, lookup, reads: Vec::new(), prefetch, reader: None });
        out.len() - 1
    });
    out.get_mut(index)
}

/// Fields of serializers, columns of the admin, templates.
fn of_entries(cx: &Context<'_>, out: &mut Vec<Bypassed>) {
    for (entry, ty) in built_here(cx) {
        let Type::QuerySet(queryset) = ty else { continue };
        let [value] = queryset.values.as_slice() else { continue };
        for (event, path, method) in shown(cx, entry) {
            let Some(found) = entry_of(cx, out, *value, &path) else { continue };
            found.reader = None;
            found.group.rows.insert(*value);
            if !found.reads.iter().any(|(site, _)| *site == event.site) {
                found.reads.push((event.site, method.to_owned()));
            }
        }
    }
}

fn shown<'e>(cx: &Context<'_>, entry: &'e Entry) -> Vec<(Event<'e>, Path, &'e str)> {
    let found = entry.facts.events().filter_map(|event| {
        let (value, path, method) = asked(cx, &entry.facts, event)?;
        event.rounds.iter().any(|r| r.value == value).then_some((event, path, method))
    });
    found.collect()
}
