//! Which reads of relations happen once a row, and which rows they belong to.
//!
//! A group holds every such read of the rows of one queryset: where the same expressions build it, it is the same
//! queryset, whichever loop goes over it.

use super::class_place::{self, ClassPlace};
use super::guards;
use super::remote::{self, Remote};
use super::step::{self, Step};
use crate::codemod::{Context, Outcome};
use crate::infer::{
    Event, EventKind, Facts, Instance, Name, Origin, Path, QuerySet, Root, Rows, Trait, Type, Use, ValueId,
};
use crate::python::{Def, Expr, Field, Kind, Node, NodeId, arguments, generators, parameters};
use crate::text::Site;
use std::collections::{BTreeMap, BTreeSet};

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

/// The two ways to load a relation with the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// `select_related()`: the rows of relations to one row come with the row.
    Join,
    /// `prefetch_related()`: one query for the rows of a relation, for all rows at once.
    Prefetch,
}

impl Load {
    /// The method.
    pub fn method(self) -> &'static str {
        match self {
            Load::Join => "select_related",
            Load::Prefetch => "prefetch_related",
        }
    }

    /// What a step is called in the method's arguments: `select_related()` takes the name in lookups, `prefetch_related()`
    /// the attribute.
    fn name(self, step: &Step) -> &str {
        match self {
            Load::Join => &step.lookup,
            Load::Prefetch => &step.attribute,
        }
    }

    /// Whether a path is loaded this way.
    pub(super) fn is_for(self, steps: &[Step]) -> bool {
        !steps.is_empty() && steps.iter().any(|s| s.is_many) == (self == Load::Prefetch)
    }
}

/// What a prefetched relation answers by itself: `ManyRelatedManager.get_queryset()` gives the rows that are there, and
/// `count()` and `exists()` look at them (django/db/models/query.py, 4.2 to 6.0).
const SERVED: &[&str] = &["all", "count", "exists", "acount", "aexists", "__getitem__"];

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

    /// Whether some read wants the rows of a relation, not only their number.
    fn reads_rows(&self, cx: &Context<'_>) -> bool {
        self.remote.iter().any(|r| r.wants_rows)
            || self.reads.iter().any(|r| cx.facts.events.get(r.event).is_some_and(wants_rows))
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Vec<Step>> {
        self.reads.iter().map(|r| &r.steps).chain(self.remote.iter().map(|r| &r.steps))
    }
}

/// Every group of the frame, for one of the two ways.
pub fn groups(cx: &Context<'_>, load: Load) -> Vec<Group> {
    let mut out: BTreeMap<Vec<ValueId>, Group> = BTreeMap::new();
    for (index, event) in cx.facts.events.iter().enumerate() {
        let Some((value, path)) = rows_read(cx, event, load) else { continue };
        let Some(queryset) = cx.value(value).and_then(|v| v.queryset.as_deref()) else { continue };
        if !is_joinable(queryset) || reloads(cx, value) {
            continue;
        }
        let Some(steps) = step::steps(cx.project, queryset.model, &path) else { continue };
        if !load.is_for(&steps)
            || is_loaded(queryset, &path, &steps, load)
            || is_key_only(cx, event.site, &steps)
        {
            continue;
        }
        if is_replaced(cx, index, value, &path) {
            continue;
        }
        let round = event.rounds.iter().find(|r| r.value == value);
        let is_repeated = match load {
            // A loop of a callee, or of a template, is only known by its round.
            Load::Join => {
                let own = cx.node(event.at).span();
                let is_inside = event.site.file == cx.file && own.contains(event.site.span);
                round.is_some_and(|_| !is_inside) || is_repeated(cx, value, event.at, event.site)
            }
            Load::Prefetch => round.is_some() && !leaves_rounds(cx, value, event.at),
        };
        if !is_repeated || (load == Load::Join && is_left_to_prefetch(cx, queryset)) {
            continue;
        }
        let Some(targets) = targets(cx, &[value], load) else { continue };
        let group = out.entry(targets.clone()).or_insert_with(|| Group::new(load, targets));
        group.rows.insert(value);
        let is_certain = round.is_some_and(|r| r.is_certain);
        group.reads.push(Read { event: index, at: event.at, site: event.site, steps, is_certain });
    }
    for (values, path, read) in remote::reads(cx, load) {
        let is_out = |value: &ValueId| {
            cx.value(*value).and_then(|v| v.queryset.as_deref()).is_none_or(|queryset| {
                !is_joinable(queryset)
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
    // Rows that are only counted want no rows of the relation.
    let mut groups: Vec<Group> = out.into_values().collect();
    groups.extend(class_place::groups(cx, load));
    groups.retain(|g| load == Load::Join || g.reads_rows(cx));
    groups
}

/// The queryset whose rows `event` reads a relation of, and the path from there.
fn rows_read(cx: &Context<'_>, event: &Event, load: Load) -> Option<(ValueId, Path)> {
    match (&event.kind, load) {
        (EventKind::ReadRelation { root: Root::Row(value), path, .. }, Load::Join) => {
            let is_ours = cx.value(*value).is_some_and(|v| v.origin != Origin::Callee);
            is_ours.then(|| (*value, path.clone()))
        }
        (EventKind::ReadRelation { root, path, .. }, Load::Prefetch) => climbed(cx.facts, *root, path),
        (EventKind::ReadMany { root, path, method, .. }, Load::Prefetch) if is_served(method) => {
            climbed(cx.facts, *root, path)
        }
        _ => None,
    }
}

/// Whether a read wants the rows of a relation: not their number alone, nor one of them.
pub(super) fn wants_rows(event: &Event) -> bool {
    !matches!(&event.kind, EventKind::ReadMany { method, .. } if **method != *"all")
}

/// Whether the prefetched rows of a relation answer the method.
pub(super) fn is_served(method: &str) -> bool {
    SERVED.contains(&method)
}

/// Up from the rows of a relation to the rows that have the relation, as long as that is known: the outermost queryset,
/// and the path from its rows.
pub(super) fn climbed(facts: &Facts, root: Root, path: &Path) -> Option<(ValueId, Path)> {
    let Root::Row(mut value) = root else { return None };
    let mut path = path.clone();
    for _ in 0..8 {
        let related = facts.value(value).and_then(|v| v.queryset.as_deref()?.related.clone());
        let Some(related) = related else { break };
        let Root::Row(outer) = related.owner.root else { break };
        let mut longer = related.owner.path.clone();
        longer.push(related.accessor.clone());
        longer.extend(path);
        path = longer;
        value = outer;
    }
    Some((value, path))
}

/// Whether rows of a relation are better prefetched with the rows that have it than joined to, each time anew.
fn is_left_to_prefetch(cx: &Context<'_>, queryset: &QuerySet) -> bool {
    let Some(related) = &queryset.related else { return false };
    let Some((outer, _)) = climbed(cx.facts, related.owner.root, &related.owner.path) else { return false };
    groups(cx, Load::Prefetch).iter().any(|group| {
        if !group.rows.contains(&outer) {
            return false;
        }
        let mut hazards = Vec::new();
        super::hazards(cx, group, &mut hazards);
        Outcome::of(&hazards) == Outcome::Safe
    })
}

/// Rows are instances, and nothing unknown was done to what is loaded with them.
fn is_joinable(queryset: &QuerySet) -> bool {
    queryset.rows == Rows::Instances
        && !queryset.is(Trait::Mysterious)
        && !queryset.is(Trait::Dates)
        && !queryset.is(Trait::OpaquePrefetch)
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

/// `book.author.pk`: the key alone is wanted, and the row has it.
pub(super) fn is_key_only(cx: &Context<'_>, site: Site, steps: &[Step]) -> bool {
    let Some(last) = steps.last() else { return false };
    let Some(node) = guards::node_at(cx.project, site) else { return false };
    let Some(parent) = node.with_parens().parent() else { return false };
    let Expr::Attribute { value, attr, .. } = Expr::of(parent) else { return false };
    if value.peel().id() != node.peel().id() || !last.is_forward {
        return false;
    }
    let target = cx.model(last.to);
    attr == "pk" || target.primary_key().is_some_and(|pk| pk.relation.is_none() && pk.name == attr)
}

/// Whether the object that is read was put there, or the row was loaded anew, before the read.
pub(super) fn is_replaced(cx: &Context<'_>, read: usize, value: ValueId, path: &Path) -> bool {
    cx.facts.events.iter().take(read).any(|event| match &event.kind {
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

/// Whether the rows are handed to prefetch_related_objects().
fn reloads(cx: &Context<'_>, value: ValueId) -> bool {
    cx.facts.events.iter().any(|event| {
        let EventKind::InstanceEscapes { root: Root::Row(v), .. } = &event.kind else { return false };
        *v == value
            && cx.node(event.at).ancestors().take(4).any(|n| match Expr::of(n) {
                Expr::Call { func, .. } => func.text().ends_with("prefetch_related_objects"),
                _ => false,
            })
    })
}

/// Whether `ty` holds rows of `value`.
fn holds_rows(ty: &Type, value: ValueId) -> bool {
    match ty {
        Type::Instance(Instance { root, .. }) => *root == Root::Row(value),
        Type::QuerySet(qs) => qs.values.contains(&value),
        Type::List(t) | Type::Set(t) | Type::Iterator(t) => holds_rows(t, value),
        Type::Tuple(types) | Type::Union(types) => types.iter().any(|t| holds_rows(t, value)),
        Type::Dict(kv) => holds_rows(&kv.0, value) || holds_rows(&kv.1, value),
        _ => false,
    }
}

/// Whether iterating `ty` gives rows of `value`.
fn gives_rows(cx: &Context<'_>, ty: &Type, value: ValueId) -> bool {
    match ty {
        Type::Instance(_) => false,
        Type::QuerySet(qs) => match cx.value(value) {
            Some(v) if qs.values.len() > 1 => v.alternatives.iter().eq(qs.values.iter()),
            _ => qs.values.contains(&value),
        },
        Type::Tuple(_) => false,
        Type::Union(types) => types.iter().any(|t| gives_rows(cx, t, value)),
        other => holds_rows(other, value),
    }
}

/// The construct that makes a read happen once a row, seen from the read outwards.
pub(super) fn repeating<'a>(cx: &Context<'a>, value: ValueId, at: NodeId) -> Option<Node<'a>> {
    let start = cx.node(at);
    let scope = cx.scope();
    let mut child = start;
    // A function that is given to sorted() and its like is called with each row.
    let is_function = match cx.type_of(start) {
        Type::Def(_) | Type::Local(_) => matches!(start.peel().kind(), Kind::Name | Kind::Attribute),
        Type::External(name) => &**name == "operator.attrgetter",
        _ => false,
    };
    if is_function && let Some(call) = start.ancestors().take(3).find(|n| n.kind() == Kind::Call) {
        return Some(call);
    }
    for node in start.ancestors() {
        if node.id() == scope.id() {
            return None;
        }
        match node.kind() {
            Kind::Raise => return None,
            // The message of an assertion is made when it fails.
            Kind::Assert if node.children().next().is_some_and(|test| test.id() != child.id()) => {
                return None;
            }
            Kind::ExceptHandler => return None,
            Kind::Block if leaves_after(node, child) => return None,
            Kind::For => {
                let in_body = node.child(Field::Body).is_some_and(|b| b.id() == child.id());
                let iter = node.child(Field::Right)?;
                if in_body && gives_rows(cx, cx.type_of(iter), value) {
                    return Some(node);
                }
                // An outer loop, whose own end counts no more.
                if in_body && is_made_outside(cx, value, node) {
                    return Some(node);
                }
            }
            Kind::While => {
                let in_body = node.child(Field::Body).is_some_and(|b| b.id() == child.id());
                if in_body && is_made_outside(cx, value, node) {
                    return Some(node);
                }
            }
            Kind::ListComp | Kind::SetComp | Kind::DictComp | Kind::GeneratorExp => {
                let rows = generators(node)
                    .into_iter()
                    .find(|g| !g.iter.contains(at) && gives_rows(cx, cx.type_of(g.iter), value));
                if let Some(generator) = rows {
                    return Some(generator.node);
                }
            }
            Kind::Lambda => {
                let names: Vec<&str> = parameters(node).iter().map(|p| p.name).collect();
                let reads_own =
                    start.descendants().any(|n| n.kind() == Kind::Name && names.contains(&n.text()));
                if reads_own && let Some(call) = node.ancestors().take(3).find(|n| n.kind() == Kind::Call) {
                    return Some(call);
                }
            }
            // A function of this frame that nobody calls is no evidence.
            Kind::FunctionDef => {
                let iterated = node.descendants().any(|n| n.kind() == Kind::For || n.kind() == Kind::CompFor);
                if !iterated {
                    return None;
                }
            }
            _ => {}
        }
        child = node;
    }
    None
}

/// Whether the queryset of `value` is not built anew in each round of the loop `node`.
fn is_made_outside(cx: &Context<'_>, value: ValueId, node: Node<'_>) -> bool {
    match cx.value(value).map(|v| v.origin) {
        Some(Origin::Expr(origin)) => !node.contains(origin),
        _ => true,
    }
}

/// Whether the block leaves its loop or function at or after the statement `from`, on every path.
fn leaves_after(block: Node<'_>, from: Node<'_>) -> bool {
    block
        .children()
        .skip_while(|s| s.id() != from.id())
        .any(|s| matches!(s.kind(), Kind::Return | Kind::Raise | Kind::Break))
}

/// Whether what stands behind the read leaves the loop over the rows, so that the read is made once at most.
fn leaves_rounds(cx: &Context<'_>, value: ValueId, at: NodeId) -> bool {
    let scope = cx.scope();
    let mut child = cx.node(at);
    let (mut leaves, mut breaks) = (false, false);
    for node in child.ancestors().take_while(|n| n.id() != scope.id()) {
        match node.kind() {
            Kind::Block => {
                let later = || node.children().skip_while(|s| s.id() != child.id());
                leaves |= later().any(|s| matches!(s.kind(), Kind::Return | Kind::Raise));
                breaks |= later().any(|s| s.kind() == Kind::Break);
            }
            Kind::For | Kind::While => {
                let iterated = node.child(Field::Right);
                if iterated.is_some_and(|iter| gives_rows(cx, cx.type_of(iter), value)) {
                    return leaves || breaks;
                }
                breaks = false;
            }
            _ => {}
        }
        child = node;
    }
    false
}

fn is_repeated(cx: &Context<'_>, value: ValueId, at: NodeId, site: Site) -> bool {
    let own = cx.node(at);
    let is_inside = site.file == cx.file && own.span().contains(site.span);
    if !is_inside {
        // The read stands in a callee: not in what is rare there.
        let Some(node) = guards::node_at(cx.project, site) else { return false };
        let mut child = node;
        for outer in node.ancestors() {
            match outer.kind() {
                Kind::Raise | Kind::ExceptHandler => return false,
                Kind::Assert if outer.children().next().is_some_and(|t| t.id() != child.id()) => {
                    return false;
                }
                Kind::FunctionDef => break,
                _ => {}
            }
            child = outer;
        }
    }
    if repeating(cx, value, at).is_some() {
        return true;
    }
    // The callee gets all rows and goes over them itself.
    let Expr::Call { arguments: list, .. } = Expr::of(own) else { return false };
    let gets_all = arguments(list).iter().any(|a| gives_rows(cx, cx.type_of(a.value), value));
    let iterates = cx.facts.uses(value).any(|(e, how)| own.contains(e.at) && *how == Use::Iterate);
    !is_inside && gets_all && (iterates || repeats_in_callee(cx, own, site))
}

/// Whether the function that `call` calls makes the read at `site` for each element of a list that it is given.
fn repeats_in_callee(cx: &Context<'_>, call: Node<'_>, site: Site) -> bool {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return false };
    let program = cx.project.program();
    let Some(Def::Function(function)) = program.resolve_expr(cx.file, func.peel().id()) else { return false };
    let info = program.function(function);
    let params = parameters(program.file(info.file).node(info.node));
    let args = arguments(list);
    if args.iter().any(|a| a.stars > 0) {
        return false;
    }
    let mut types = vec![Type::Unknown; params.len()];
    for (i, arg) in args.iter().enumerate() {
        let index = match arg.name {
            Some(name) => params.iter().position(|p| p.name == name),
            None => Some(i),
        };
        if let Some(slot) = index.and_then(|i| types.get_mut(i)) {
            *slot = cx.type_of(cx.node(arg.value.id())).clone();
        }
    }
    let facts = cx.analyzer.called(function, &types);
    let inner = Context { facts: &facts, file: info.file, ..*cx };
    facts.events.iter().any(|e| match &e.kind {
        EventKind::ReadRelation { root: Root::Row(v), .. } => {
            e.site == site && repeating(&inner, *v, e.at).is_some()
        }
        _ => false,
    })
}

/// The values to edit so that the rows of `value` carry the join: the last ones that build it, or those further up that
/// others of them are derived from.
fn targets(cx: &Context<'_>, values: &[ValueId], load: Load) -> Option<Vec<ValueId>> {
    let mut out = BTreeSet::new();
    for value in values {
        leaves(cx, *value, 0, &mut out)?;
    }
    // A value that is derived from another one of them has the join from there.
    for _ in 0..20 {
        let derived =
            out.iter().copied().find(|t| out.iter().any(|other| other != t && is_derived(cx, *t, *other, 0)));
        let Some(derived) = derived else { return Some(out.into_iter().collect()) };
        if cx.value(derived).is_some_and(|v| clears(cx, v.origin, load)) {
            return None;
        }
        let parent = cx.value(derived)?.parent?;
        out.remove(&derived);
        leaves(cx, parent, 0, &mut out)?;
    }
    None
}

/// Whether `value` is cut out of its parent by something that is no slice: the page of a paginator.
fn is_page(cx: &Context<'_>, value: ValueId, parent: ValueId) -> bool {
    let is_cut = |value: ValueId| {
        let queryset = cx.value(value).and_then(|v| v.queryset.as_deref());
        queryset.is_some_and(|qs| qs.is(Trait::Sliced))
    };
    is_cut(value) && !is_cut(parent)
}

/// The expressions that build what `value` may be; a slice or a page is built by what is sliced.
fn leaves(cx: &Context<'_>, value: ValueId, depth: usize, out: &mut BTreeSet<ValueId>) -> Option<()> {
    if depth > 20 {
        return None;
    }
    let info = cx.value(value)?;
    if !info.alternatives.is_empty() {
        for alternative in &info.alternatives {
            leaves(cx, *alternative, depth + 1, out)?;
        }
        return Some(());
    }
    if let (Origin::Expr(node), Some(parent)) = (info.origin, info.parent)
        && (cx.node(node).kind() == Kind::Subscript || is_page(cx, value, parent))
    {
        return leaves(cx, parent, depth + 1, out);
    }
    out.insert(value);
    Some(())
}

/// Whether `value` is made from `from` by methods and slices, on some path.
pub(super) fn is_derived(cx: &Context<'_>, value: ValueId, from: ValueId, depth: usize) -> bool {
    if depth > 30 {
        return false;
    }
    let Some(info) = cx.value(value) else { return false };
    info.parent.iter().chain(&info.alternatives).any(|up| *up == from || is_derived(cx, *up, from, depth + 1))
}

/// `select_related(None)` forgets every join before it, `prefetch_related(None)` every prefetch.
fn clears(cx: &Context<'_>, origin: Origin, load: Load) -> bool {
    let Origin::Expr(node) = origin else { return false };
    let Expr::Call { func, arguments: list } = Expr::of(cx.node(node)) else { return false };
    matches!(Expr::of(func), Expr::Attribute { attr, .. } if attr == load.method())
        && arguments(list).iter().any(|a| matches!(Expr::of(a.value), Expr::None))
}
