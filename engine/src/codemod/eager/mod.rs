//! Eager loading: relations that are read once a row, and the queryset that could bring them along.
//!
//! A *reader* says which relations are read of each row of which queryset: the facts of a frame that goes over the rows
//! ([`reads`]), of another one that gets them ([`remote`]), or of a framework ([`entries`]). A *source* is where the
//! queryset is built and can be edited ([`place`]). Everything else is the same for all readers and for both ways to load,
//! [`Load::Join`] and [`Load::Prefetch`].
//!
//! Two codemods of their own use the same readers, sources and places: [`annotate`] where rows of a relation are only
//! counted, [`bypassed`] where a relation is asked for past its prefetch. Both rewrite the reader as well.

mod again;
mod annotate;
mod answers;
mod asked;
mod beside;
mod brought;
mod by_name;
mod bypassed;
mod callers;
mod certainty;
mod class_place;
mod conditions;
mod descriptors;
mod entries;
mod fetched;
mod given;
mod guards;
mod hooks;
mod iterations;
mod kept;
mod listing;
mod named;
mod narrowed;
mod one_object;
mod other_models;
mod own_code;
mod paged;
mod place;
mod prefetch;
mod reached;
mod readers;
mod reads;
mod refused;
mod region;
mod remote;
mod repeats;
mod returned;
mod rewrite;
mod routers;
mod seen;
mod served;
mod shape;
mod sources;
mod step;
mod thinned;
mod used;
mod width;

pub use annotate::AnnotateCount;
pub use bypassed::PrefetchBypassed;
pub use class_place::{get_queryset_with, joining_class, like_columns, names_in};
pub use descriptors::own as own_accessor;
pub use guards::{called_name, has_foreign_base, joined_differs, node_at, stale_copies, watched_inits};
pub use named::{Named, follow, named};
pub use place::{existing, replaced_behind};
pub use readers::{Readers, readers, readers_of_class};
pub use reads::{Group, Load, is_brought_along};
pub use refused::relied_on;
pub use rewrite::extend_arguments;
pub use routers::routed;
pub use shape::{custom, gives_objects};
pub use sources::is_derived;
pub use step::{Step, step, steps};

use super::{Codemod, Context, Description, Fix, Hazard, Meta, Queries, Related};
use crate::infer::{Type, Use};
use crate::python::{Field, Kind, Node, NodeId};
use crate::text::{Site, Span};

/// A codemod that loads relations with the rows, in one of the two ways. What differs besides the way is its [`Meta`].
pub struct EagerLoading {
    /// The way.
    pub load: Load,
    /// What is known of it without running it.
    pub meta: Meta,
}

impl Codemod for EagerLoading {
    type Match<'a> = Group;

    fn meta(&self) -> Meta {
        self.meta
    }

    fn kinds(&self) -> &'static [Kind] {
        SOURCES
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Group> {
        find(cx, node, self.load)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Group, out: &mut Vec<Hazard>) {
        hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Group) -> Description {
        describe(cx, found)
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Group) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}

/// The kinds of node that may build a queryset, or name the model of an entry.
const SOURCES: &[Kind] =
    &[Kind::Call, Kind::Attribute, Kind::Name, Kind::Subscript, Kind::IfExp, Kind::BoolOp];

/// Whether a queryset may be built at `node`: most nodes are none.
fn may_be_source<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    let may_be = match cx.type_of(node) {
        Type::QuerySet(_) | Type::Manager(_) | Type::Prefetch(_) => true,
        Type::Union(types) => types.iter().any(|t| matches!(t, Type::QuerySet(_))),
        _ => false,
    };
    may_be || cx.analyzer.names_model_of_entry(cx.file, node.id())
}

/// The group that belongs to `node`: every group is found at one node.
fn find<'a>(cx: &Context<'a>, node: Node<'a>, load: Load) -> Option<Group> {
    if !may_be_source(cx, node) {
        return None;
    }
    let is_wanted =
        |g: &Group| load != Load::Prefetch || g.reads_rows(cx) || !annotate::beyond_reach(cx, g).is_empty();
    reads::groups(cx, load).iter().find(|g| anchor(cx, g) == Some(node.id()) && is_wanted(g)).cloned()
}

/// What could make the rewrite change behaviour.
fn hazards(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    let steps = group.steps();
    if let Some(place) = &group.class_place {
        class_place::hazards(cx, place, group.load, out);
        shape::custom(cx, &place.queryset, group.load, out);
        shape::deferred_by_class(cx, group, place, out);
    }
    narrowed::hazards(cx, group, out);
    by_name::hazards(cx, group, out);
    fetched::hazards(cx, group, out);
    place::hazards(cx, group, out);
    other_models::hazards(cx, group, out);
    shape::hazards(cx, group, out);
    reached::by_field(cx, group, out);
    guards::joined_differs(cx.project, &steps, group.load, out);
    guards::generic_targets(cx.project, &steps, out);
    width::hazards(cx, group, out);
    guards::watched_inits(cx.project, &steps, out);
    routers::routed(cx.project, &steps, out);
    hooks::asked_for(cx, group, out);
    if group.load == Load::Prefetch {
        prefetch::hazards(cx, group, out);
        if !group.reads_rows(cx) {
            out.extend(annotate::beyond_reach(cx, group));
        }
    }
    region::hazards(cx, group, out);
    say_once(out);
}

/// What is done to the queryset at a place is said once, whoever has seen the call, its name, or what it stands in.
fn say_once(hazards: &mut Vec<Hazard>) {
    use super::HazardKind::{DeferredColumns, LoadedWithout, LockedRows, QuerySetShape, RawSql};
    let of_queryset = [DeferredColumns, QuerySetShape, RawSql, LockedRows, LoadedWithout];
    let mut kept: Vec<Hazard> = Vec::new();
    for hazard in hazards.drain(..) {
        let is_said = |other: &Hazard| {
            let meets = match (hazard.site, other.site) {
                (Some(a), Some(b)) if of_queryset.contains(&hazard.kind) => {
                    a.file == b.file && (a.span.contains(b.span) || b.span.contains(a.span))
                }
                (a, b) => a == b,
            };
            meets && other.kind == hazard.kind && other.subject == hazard.subject
        };
        if !kept.iter().any(is_said) {
            kept.push(hazard);
        }
    }
    *hazards = kept;
}

/// What to say.
fn describe(cx: &Context<'_>, group: &Group) -> Description {
    let names: Vec<String> = group.lookups().iter().map(|l| format!("`{l}`")).collect();
    let listed = match names.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    };
    let mut related = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    let reads = group.reads.iter().map(|r| (r.site, &r.steps));
    for (site, steps) in reads.chain(group.remote.iter().map(|r| (r.site, &r.steps))) {
        let path = steps.iter().map(|s| s.attribute.as_str()).collect::<Vec<_>>().join(".");
        if !seen.contains(&path) {
            related.push(Related { site, message: format!("`{path}` is read here, once a row") });
            seen.push(path);
        }
    }
    for target in &group.targets {
        if let Ok(node) = place::expression(cx, *target) {
            related.push(Related { site: cx.site(node), message: "the queryset is built here".to_owned() });
        }
    }
    if let Some(place) = &group.class_place {
        let message = "the model of the rows is named here".to_owned();
        related.push(Related { site: cx.site(cx.node(place.node)), message });
    }
    let queries = match group.load {
        Load::Join | Load::Count => 1,
        Load::Prefetch => 1 + group.levels(),
    };
    let count = |queries: usize| match queries {
        1 => "1 query".to_owned(),
        _ => format!("{queries} queries"),
    };
    let after = match group.steps().iter().any(|s| s.is_generic) {
        true => format!("{} and one for each model", count(queries - 1)),
        false => count(queries),
    };
    Description {
        site: site(cx, group),
        message: format!("Fetch {listed} with `{}`", group.load.method()),
        related,
        queries: Queries { before: "1 + N queries".to_owned(), after },
    }
}

/// The node at which a group is found: the first expression to edit, or the first that is evaluated.
fn anchor(cx: &Context<'_>, group: &Group) -> Option<NodeId> {
    if let Some(place) = &group.class_place {
        return Some(cx.node(place.node).peel().id());
    }
    let first = group.targets.first()?;
    if let Ok(node) = place::expression(cx, *first) {
        return Some(node.peel().id());
    }
    if let Some(node) = place::origin(cx, *first).map(|node| cx.node(node))
        && matches!(cx.type_of(node), Type::Prefetch(_))
    {
        return Some(node.peel().id());
    }
    let row = group.rows.first()?;
    let values = cx.value(*row).map(|v| v.alternatives.to_vec()).unwrap_or_default();
    let used = std::iter::once(row)
        .chain(&values)
        .flat_map(|v| cx.facts.uses(*v))
        .find(|(_, how)| matches!(how, Use::Iterate | Use::Slice | Use::Method(_)));
    used.map(|(event, _)| cx.node(event.at).peel().id())
}

/// The head of the loop, the clause of the comprehension, or the call that goes over the rows.
fn site(cx: &Context<'_>, group: &Group) -> Site {
    let repeating = group
        .reads
        .iter()
        .find_map(|read| group.rows.iter().find_map(|row| repeats::repeating(cx, *row, read.at)));
    let Some(node) = repeating else {
        if let Some(remote) = group.remote.first() {
            return remote.looped;
        }
        return anchor(cx, group).map_or(cx.site(cx.scope()), |n| cx.site(cx.node(n)));
    };
    match node.child(Field::Right).filter(|_| node.kind() == Kind::For) {
        Some(iter) => {
            Site { file: cx.file, span: Span::new(node.span().start, iter.with_parens().span().end) }
        }
        None => cx.site(node),
    }
}
