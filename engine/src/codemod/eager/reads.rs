//! Which reads of relations happen once a row, and which rows they belong to.
//!
//! A group holds every such read of the rows of one queryset: where the same expressions build it, it is the same
//! queryset, whichever loop goes over it.

use super::certainty;
use super::class_place::{self, ClassPlace};
use super::guards;
use super::remote::{self, Remote};
use super::repeats::{is_repeated, leaves_rounds};
use super::returned;
use super::sources::{is_derived, targets};
use super::step::{self, Step};
use super::width;
use crate::codemod::{Context, Outcome, foreign_key};
use crate::infer::{Event, EventKind, Facts, Name, Origin, Path, QuerySet, Root, Rows, Trait, Type, ValueId};
use crate::python::{Expr, NodeId};
use crate::text::Site;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One read.
#[derive(Clone, Debug)]
pub struct Read {
    /// Its index among the frame's events.
    pub event: usize,
    /// Where the frame does it.
    pub at: NodeId,
    /// Where it really stands.
    pub site: Site,
    /// The relations from the row.
    pub steps: Vec<Step>,
    /// Whether it is made for every row.
    pub is_certain: bool,
}

/// The ways to load something of a relation with the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// `select_related()`: the rows of relations to one row come with the row.
    Join,
    /// `prefetch_related()`: one query for the rows of a relation, for all rows at once.
    Prefetch,
    /// `annotate()`: how many rows a relation has, or whether it has any, comes with the row.
    Count,
}

impl Load {
    /// The method.
    pub fn method(self) -> &'static str {
        match self {
            Load::Join => "select_related",
            Load::Prefetch => "prefetch_related",
            Load::Count => "annotate",
        }
    }

    /// What a step is called in the method's arguments: `prefetch_related()` takes the attribute, the others the name in
    /// lookups.
    pub(super) fn name(self, step: &Step) -> &str {
        match self {
            Load::Join | Load::Count => &step.lookup,
            Load::Prefetch => &step.attribute,
        }
    }

    /// Whether a path is loaded this way.
    pub(super) fn is_for(self, steps: &[Step]) -> bool {
        let is_to_many = steps.iter().any(|s| s.is_many);
        let is_generic = steps.iter().any(|s| s.is_generic);
        match self {
            Load::Join => !steps.is_empty() && !is_to_many && !is_generic,
            Load::Prefetch => is_to_many || is_generic,
            Load::Count => is_to_many && steps.len() == 1,
        }
    }
}

/// What a prefetched relation answers by itself: `ManyRelatedManager.get_queryset()` gives the rows that are there, and
/// `count()` and `exists()` look at them (django/db/models/query.py, 4.2 to 6.0).
const SERVED: &[&str] = &["all", "count", "exists", "acount", "aexists", "__getitem__"];

/// What asks for the number of a relation's rows alone, with the calls that may come before: `filter(...).count()`.
const COUNTING: &[&str] = &["count", "exists", "__len__", "filter", "exclude"];

/// The reads of the rows of one queryset.
#[derive(Clone, Debug)]
pub struct Group {
    /// The way.
    pub load: Load,
    /// The values to edit: where the queryset is built.
    pub targets: Vec<ValueId>,
    /// The values whose rows are read.
    pub rows: BTreeSet<ValueId>,
    /// The reads, in order.
    pub reads: Vec<Read>,
    /// The reads of other frames.
    pub remote: Vec<Remote>,
    /// The class to edit, where there is no queryset.
    pub class_place: Option<ClassPlace>,
}

impl Group {
    pub(super) fn new(load: Load, targets: Vec<ValueId>) -> Group {
        let (rows, reads, remote) = (BTreeSet::new(), Vec::new(), Vec::new());
        Group { load, targets, rows, reads, remote, class_place: None }
    }

    /// The lookups to name: sorted, without those that a longer one holds.
    pub fn lookups(&self) -> Vec<String> {
        let all: BTreeSet<Vec<&str>> =
            self.paths().map(|steps| steps.iter().map(|s| self.load.name(s)).collect()).collect();
        let longest =
            all.iter().filter(|path| !all.iter().any(|o| o.len() > path.len() && o.starts_with(path)));
        let mut out: Vec<String> = longest.map(|path| path.join("__")).collect();
        out.sort();
        out
    }

    /// The lookup of a path.
    pub(super) fn lookup(&self, steps: &[Step]) -> String {
        steps.iter().map(|s| self.load.name(s)).collect::<Vec<_>>().join("__")
    }

    /// The queries that a prefetch of all paths takes: one for each relation on the way.
    pub(super) fn levels(&self) -> usize {
        let mut seen: BTreeSet<Vec<&str>> = BTreeSet::new();
        for steps in self.paths() {
            for end in 1..=steps.len() {
                seen.insert(steps.iter().take(end).map(|s| s.attribute.as_str()).collect());
            }
        }
        seen.len()
    }

    /// Whether rows of `value` are among those that are read, or may be.
    pub(super) fn has_rows_of(&self, cx: &Context<'_>, value: ValueId) -> bool {
        self.rows.iter().any(|row| cx.facts.is_or_may_be(*row, value))
    }

    /// Every step of every path, each once.
    pub fn steps(&self) -> Vec<Step> {
        let mut out: Vec<Step> = Vec::new();
        for step in self.paths().flatten() {
            if !out.contains(step) {
                out.push(step.clone());
            }
        }
        out
    }

    /// The first steps of the paths.
    pub fn first_steps(&self) -> Vec<&Step> {
        self.paths().filter_map(|steps| steps.first()).collect()
    }

    /// Beside relations that every row reads, those that few may read are left for a finding of their own.
    fn leave_out_rare(&mut self) {
        let local = self.reads.iter().filter(|r| r.is_certain).map(|r| r.steps.clone());
        let remote = self.remote.iter().filter(|r| r.is_certain).map(|r| r.steps.clone());
        let certain: Vec<Vec<Step>> = local.chain(remote).collect();
        if certain.is_empty() {
            return;
        }
        let is_on_the_way = |steps: &[Step]| certain.iter().any(|c| c.starts_with(steps));
        self.reads.retain(|r| is_on_the_way(&r.steps));
        self.remote.retain(|r| is_on_the_way(&r.steps));
    }

    /// Whether a value is one of the querysets that are edited, or is made from one.
    pub(super) fn leads_to(&self, cx: &Context<'_>, value: ValueId) -> bool {
        self.targets.iter().any(|target| *target == value || is_derived(cx, value, *target, 0))
    }

    /// Whether some read wants the rows of a relation, not only their number.
    pub(super) fn reads_rows(&self, cx: &Context<'_>) -> bool {
        self.remote.iter().any(|r| r.wants_rows)
            || self.reads.iter().any(|r| cx.facts.event(r.event).is_some_and(wants_rows))
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Vec<Step>> {
        self.reads.iter().map(|r| &r.steps).chain(self.remote.iter().map(|r| &r.steps))
    }
}

/// Every group of the frame, for one of the ways: each codemod asks at many nodes.
pub fn groups(cx: &Context<'_>, load: Load) -> Arc<Vec<Group>> {
    let name = match load {
        Load::Join => "groups joined",
        Load::Prefetch => "groups prefetched",
        Load::Count => "groups counted",
    };
    cx.once(name, || all_groups(cx, load))
}

fn all_groups(cx: &Context<'_>, load: Load) -> Vec<Group> {
    let mut out: BTreeMap<Vec<ValueId>, Group> = BTreeMap::new();
    let prefetches = OnceCell::new();
    for (index, event) in cx.facts.events().enumerate() {
        let Some((value, path)) = read_by(cx, event, load) else { continue };
        let Some(queryset) = cx.value(value).and_then(|v| v.queryset.as_deref()) else { continue };
        // What a callee makes is joined to where it is made.
        if load == Load::Join && cx.value(value).is_some_and(|v| v.origin == Origin::Callee) {
            continue;
        }
        if !is_joinable(queryset, load) || reloads(cx, value) || (load != Load::Join && is_brought(cx, value))
        {
            continue;
        }
        let Some(steps) = step::steps(cx.project, queryset.model, &path) else { continue };
        if !load.is_for(&steps)
            || is_loaded(queryset, &path, &steps, load)
            || is_key_only(cx, event.site, &steps)
        {
            continue;
        }
        if is_replaced(cx, index, value, &path) || returned::is_left_to_callee(cx, value, load) {
            continue;
        }
        let round = event.rounds.iter().find(|r| r.value == value);
        let is_repeated = match load {
            Load::Join => is_repeated(cx, value, event.at, event.site, round.is_some()),
            Load::Prefetch | Load::Count => round.is_some() && !leaves_rounds(cx, value, event.at),
        };
        if !is_repeated || (load != Load::Prefetch && is_left_to_prefetch(cx, queryset, &prefetches)) {
            continue;
        }
        let Some(targets) = targets(cx, &[value], load) else { continue };
        let group = out.entry(targets.clone()).or_insert_with(|| Group::new(load, targets));
        group.rows.insert(value);
        let is_certain = round.is_some_and(|r| r.is_certain)
            && (load != Load::Prefetch || !certainty::is_refused_before(cx, cx.facts, index, value));
        group.reads.push(Read { event: index, at: event.at, site: event.site, steps, is_certain });
    }
    for (values, path, read) in remote::reads(cx, load) {
        let is_out = |value: &ValueId| {
            cx.value(*value).and_then(|v| v.queryset.as_deref()).is_none_or(|queryset| {
                !is_joinable(queryset, load)
                    || reloads(cx, *value)
                    || is_loaded(queryset, &path, &read.steps, load)
                    || is_replaced(cx, usize::MAX, *value, &path)
            })
        };
        if values.is_empty() || values.iter().any(is_out) {
            continue;
        }
        let Some(targets) = targets(cx, &values, load) else { continue };
        let group = out.entry(targets.clone()).or_insert_with(|| Group::new(load, targets));
        group.rows.extend(values);
        remote::add(group, read);
    }
    if load == Load::Prefetch {
        out.values_mut().for_each(Group::leave_out_rare);
    }
    let mut groups: Vec<Group> = out.into_values().collect();
    groups.extend(class_place::groups(cx, load));
    groups.iter_mut().for_each(|group| width::leave_out(cx, group));
    groups
}

/// As [`rows_read`], of an event of the frame at hand, which may name the key of a relation only.
fn read_by(cx: &Context<'_>, event: Event<'_>, load: Load) -> Option<(ValueId, Path)> {
    let by_key = || (load == Load::Count).then(|| super::annotate::linked(cx, event))?;
    rows_read(cx.facts, event, load).or_else(by_key)
}

/// The queryset whose rows `event` reads a relation of, and the path from there.
pub(super) fn rows_read(facts: &Facts, event: Event<'_>, load: Load) -> Option<(ValueId, Path)> {
    match (&event.kind, load) {
        (EventKind::ReadRelation { root: Root::Row(value), path, .. }, Load::Join) => {
            Some((*value, path.clone()))
        }
        (EventKind::ReadRelation { root, path, .. }, Load::Prefetch) => facts.climbed(*root, path),
        (EventKind::ReadMany { root, path, method, .. }, Load::Prefetch) if SERVED.contains(&&**method) => {
            facts.climbed(*root, path)
        }
        (EventKind::ReadMany { root: Root::Row(value), path, method, .. }, Load::Count)
            if path.len() == 1 && COUNTING.contains(&&**method) =>
        {
            Some((*value, path.clone()))
        }
        _ => None,
    }
}

/// Whether a read wants the rows of a relation: not their number alone, nor one of them.
pub(super) fn wants_rows(event: Event<'_>) -> bool {
    !matches!(&event.kind, EventKind::ReadMany { method, .. } if **method != *"all")
}

/// Whether rows of a relation are better prefetched with the rows that have it than joined to, each time anew.
/// `prefetches` keeps the safe prefetches of the frame.
fn is_left_to_prefetch(cx: &Context<'_>, queryset: &QuerySet, prefetches: &OnceCell<Vec<Group>>) -> bool {
    let Some(related) = &queryset.related else { return false };
    let Some((outer, _)) = cx.facts.climbed(related.owner.root, &related.owner.path) else { return false };
    let is_safe = |group: &Group| {
        let mut hazards = Vec::new();
        super::hazards(cx, group, &mut hazards);
        Outcome::of(&hazards) == Outcome::Safe
    };
    let is_taken = |group: &&Group| group.reads_rows(cx) && is_safe(group);
    let safe =
        prefetches.get_or_init(|| groups(cx, Load::Prefetch).iter().filter(is_taken).cloned().collect());
    safe.iter().any(|group| group.rows.contains(&outer))
}

/// Rows are instances, several of them, and nothing unknown was done to what is loaded with them.
fn is_joinable(queryset: &QuerySet, load: Load) -> bool {
    // A loop over one row reads a key as often as that row alone does.
    let is_loop = load != Load::Join || !queryset.is(Trait::OneRow) || queryset.is(Trait::ToMany);
    is_loop
        && queryset.rows == Rows::Instances
        && !queryset.is(Trait::Mysterious)
        && !queryset.is(Trait::Dates)
        && !queryset.is(Trait::OpaquePrefetch)
}

/// Whether the object at the end of `path` comes with each row of `queryset`.
pub fn is_brought_along(queryset: &QuerySet, path: &Path, steps: &[Step]) -> bool {
    is_loaded(queryset, path, steps, Load::Join)
}

/// Whether a read costs no query, or gets what is none of our business.
pub(super) fn is_loaded(queryset: &QuerySet, path: &Path, steps: &[Step], load: Load) -> bool {
    // Every row has the same known object, which is asked once.
    if path.first().is_some_and(|first| queryset.known.contains(first)) {
        return true;
    }
    let parts = |name: &Name| name.split("__").map(str::to_owned).collect::<Vec<_>>();
    let named: Vec<&str> = steps.iter().map(|s| load.name(s)).collect();
    // A Prefetch with a queryset of its own loads what that one says.
    let is_custom = |name: &Name| {
        name.strip_suffix("__*").is_some_and(|base| named.starts_with(&base.split("__").collect::<Vec<_>>()))
    };
    if queryset.prefetched.iter().any(is_custom) {
        return true;
    }
    let covers = |name: &Name| parts(name).iter().map(String::as_str).collect::<Vec<_>>().starts_with(&named);
    if load == Load::Prefetch {
        return queryset.prefetched.iter().any(covers);
    }
    if queryset.selected.iter().any(covers) {
        return true;
    }
    let path: Vec<&str> = path.iter().map(|p| &**p).collect();
    let overlaps = |name: &Name| {
        let parts: Vec<&str> = name.split("__").collect();
        parts.starts_with(&path) || path.starts_with(&parts)
    };
    if queryset.prefetched.iter().any(overlaps) {
        return true;
    }
    let follows = |step: &Step| step.is_forward && !step.may_be_none;
    queryset.is(Trait::BareSelectRelated) && steps.len() <= 5 && steps.iter().all(follows)
}

/// `book.author.pk`, `book.author == author`: the key alone is wanted, and the row has it.
pub(super) fn is_key_only(cx: &Context<'_>, site: Site, steps: &[Step]) -> bool {
    if !steps.last().is_some_and(|last| last.is_forward && !last.is_generic) {
        return false;
    }
    let Some(node) = guards::node_at(cx.project, site) else { return false };
    if site.file == cx.file && cx.scope().contains(node.id()) {
        return foreign_key::is_key_wanted(cx, cx.node(node.id()));
    }
    let function =
        node.enclosing_function().and_then(|def| cx.project.program().function_at(site.file, def.id()));
    let facts = cx.analyzer.caller(site.file, function);
    let reader = Context { file: site.file, facts: &facts, ..*cx };
    foreign_key::is_key_wanted(&reader, reader.node(node.id()))
}

/// Whether the object that is read was put there, or the row was loaded anew, before the read.
pub(super) fn is_replaced(cx: &Context<'_>, read: usize, value: ValueId, path: &Path) -> bool {
    cx.facts.events().take(read).any(|event| match &event.kind {
        EventKind::WriteAttribute { root: Root::Row(v), path: owner, name } if *v == value => {
            let mut written = owner.clone();
            written.push(name.clone());
            let is_key = |part: &Name| **name == *format!("{part}_id");
            path.starts_with(&written)
                || &**name == "*"
                || (path.starts_with(owner) && path.get(owner.len()).is_some_and(is_key))
        }
        EventKind::InstanceMethod { root: Root::Row(v), path: owner, name } if *v == value => {
            matches!(&**name, "refresh_from_db" | "arefresh_from_db") && path.starts_with(owner)
        }
        _ => false,
    })
}

/// Whether the rows are those of a `Prefetch`, which loads them whether they are read or not.
fn is_brought(cx: &Context<'_>, value: ValueId) -> bool {
    cx.value(value).is_some_and(|v| match v.origin {
        Origin::Expr(node) => matches!(cx.type_of(cx.node(node)), Type::Prefetch(_)),
        Origin::Callee => v.parent.is_none() && v.alternatives.is_empty(),
        _ => false,
    })
}

/// Whether the rows are handed to prefetch_related_objects().
fn reloads(cx: &Context<'_>, value: ValueId) -> bool {
    cx.facts.events().any(|event| {
        let EventKind::InstanceEscapes { root: Root::Row(v), .. } = &event.kind else { return false };
        if *v != value {
            return false;
        }
        // In the frame itself, or in a function that it gives them to.
        let places = [Some(cx.node(event.at)), guards::node_at(cx.project, event.site)];
        places.into_iter().flatten().flat_map(|n| n.ancestors().take(4)).any(|n| match Expr::of(n) {
            Expr::Call { func, .. } => func.text().ends_with("prefetch_related_objects"),
            _ => false,
        })
    })
}
