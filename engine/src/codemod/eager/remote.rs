//! Rows that another frame reads: what this function returns ([`returned`]), or a queryset that it keeps in an attribute of
//! `self`. The join is asked for here, where the queryset is built, and the reads are looked up where they are made.
//!
//! Nobody keeps the list that a function gives. The queryset of an attribute may be read by several functions, between which
//! nothing changes the related rows; for a prefetch, nothing but the loop that reads evaluates it.

use super::again::{self, Rows};
use super::brought;
use super::certainty::{self, goes_over_all, is_picked, loaded_in_vain};
use super::entries;
use super::guards;
use super::kept;
use super::paged;
use super::reads::{Group, Load, is_key_only, is_replaced, rows_read, wants_rows};
use super::region;
use super::repeats::{is_repeated, leaves_rounds, repeating};
use super::returned;
use super::seen;
use super::sources::is_derived;
use super::step::{self, Step};
use crate::codemod::{Context, Hazard};
use crate::infer::{Escape, Event, EventData, EventKind, Origin, Path, QuerySet, Root, Type, Use, ValueId};
use crate::python::{ClassId, Def, Expr, Field, FunctionId, Kind, Node, NodeId, string_value};
use crate::text::{FileId, Site};
use std::collections::BTreeMap;

/// Functions that read one attribute and are looked at.
const MAX_READERS: usize = 8;

/// The value of something that is no fresh queryset.
const NOBODY: ValueId = ValueId(u32::MAX);

/// Methods of a queryset that leave the rows of the object itself unloaded.
pub(super) const QUIET: &[&str] = &[
    "all",
    "filter",
    "exclude",
    "order_by",
    "annotate",
    "distinct",
    "reverse",
    "none",
    "values",
    "values_list",
    "select_related",
    "prefetch_related",
    "count",
    "exists",
    "aggregate",
    "first",
    "last",
    "get",
];

/// One read in another frame.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Where it stands.
    pub site: Site,
    /// The loop that makes it.
    pub looped: Site,
    /// The relations from the row.
    pub steps: Vec<Step>,
    /// What runs in the frame that reads.
    pub hazards: Vec<Hazard>,
    /// What other actions of the same view do with the rows.
    pub in_other_actions: Vec<Hazard>,
    /// Whether it is made for every row.
    pub is_certain: bool,
    /// Whether rows of the relation are wanted, not their number alone.
    pub wants_rows: bool,
    /// What goes over the rows, where that is a framework.
    pub shown_by: Option<ClassId>,
    /// The function that reads, and the value of the queryset there, where nobody else ever has it.
    pub alone: Option<(FunctionId, ValueId)>,
}

/// The reads of other frames, each with the value of this frame that they are rows of.
pub(super) fn reads(cx: &Context<'_>, load: Load) -> Vec<(Vec<ValueId>, Path, Remote)> {
    let program = cx.project.program();
    let mut out = Vec::new();
    entries::reads(cx, load, &mut out);
    brought::reads(cx, load, &mut out);
    let Some(function) = program.function_at(cx.file, cx.facts.scope) else { return out };
    returned::reads(cx, load, function, &mut out);
    kept::reads(cx, load, function, &mut out);
    paged::reads(cx, load, function, &mut out);
    if let Some(class) = program.function(function).class {
        of_attributes(cx, load, function, class, &mut out);
    }
    out
}

fn of_attributes(
    cx: &Context<'_>,
    load: Load,
    function: FunctionId,
    class: ClassId,
    out: &mut Vec<(Vec<ValueId>, Path, Remote)>,
) {
    let program = cx.project.program();
    let scope = cx.scope();
    let mut seen: Vec<&str> = Vec::new();
    for assignment in scope.descendants().filter(|n| n.kind() == Kind::Assign) {
        let Some(target) = assignment.child(Field::Left) else { continue };
        let Expr::Attribute { attr, .. } = Expr::of(target) else { continue };
        if seen.contains(&attr) {
            continue;
        }
        seen.push(attr);
        let assigned = cx.analyzer.assigned_to(class, attr);
        let is_here = |(file, node): &(FileId, NodeId)| *file == cx.file && scope.contains(*node);
        if assigned.is_empty() || !assigned.iter().all(is_here) {
            continue;
        }
        let mut values = Vec::new();
        for (_, node) in &assigned {
            match cx.type_of(cx.node(*node)) {
                Type::QuerySet(qs) if !is_loaded(cx, qs) => values.extend(qs.values.iter().copied()),
                _ => values.push(NOBODY),
            }
        }
        if values.contains(&NOBODY) {
            continue;
        }
        // What is made from another one of them has the join from there.
        let is_last = |v: &&ValueId| !values.iter().any(|o| o != *v && is_derived(cx, **v, *o, 0));
        let roots: Vec<ValueId> = values.iter().filter(is_last).copied().collect();
        let Some(readers) = readers(cx, load, class, attr, function) else { continue };
        let sites: Vec<Site> = assigned
            .iter()
            .map(|(file, node)| Site { file: *file, span: program.file(*file).node(*node).span() })
            .collect();
        let first = out.len();
        let mut looked = Vec::new();
        let mut read_by = Vec::new();
        for reader in &readers {
            let known = out.len();
            let facts = cx.analyzer.caller(program.function(*reader).file, Some(*reader));
            let inner = Context { facts: &facts, file: facts.file, ..*cx };
            let is_one = |v: &ValueId| {
                inner.value(*v).is_some_and(|v| {
                    v.origin == Origin::Outside && v.site.is_some_and(|s| sites.contains(&s))
                })
            };
            let of_attribute = |v: &ValueId| {
                let alternatives = inner.value(*v).map(|v| v.alternatives.as_slice()).unwrap_or_default();
                is_one(v) || (!alternatives.is_empty() && alternatives.iter().all(is_one))
            };
            let events: Vec<Event<'_>> = facts.events().collect();
            for value in &roots {
                found(&inner, load, (cx, *value), &of_attribute, &events, out);
            }
            region::looked_into(&inner, &of_attribute, &mut looked);
            region::copied(&inner, &of_attribute, &mut looked);
            if load == Load::Count && assigned.len() == 1 && program.member(class, attr).is_none() {
                seen::opened_rows(&inner, &of_attribute, &mut looked);
                let mut ours = (0..facts.values.len() as u32).map(ValueId).filter(of_attribute);
                if let (Some(own), None) = (ours.next(), ours.next()) {
                    out.iter_mut().skip(known).for_each(|(_, _, read)| read.alone = Some((*reader, own)));
                }
            }
            read_by.push(known..out.len());
        }
        // What one of them has loaded another one reads.
        if readers.len() > 1 {
            let mut steps: Vec<Step> = Vec::new();
            for step in out.iter().skip(first).flat_map(|(_, _, read)| &read.steps) {
                if !steps.contains(step) {
                    steps.push(step.clone());
                }
            }
            kept::between(cx, class, &readers, &steps, &mut looked);
            let all_read = kept::all_read_the_same(out, first, &read_by);
            kept::around(cx, &readers, &steps, all_read, &mut looked);
        }
        for (_, _, read) in out.iter_mut().skip(first) {
            read.hazards.extend(looked.iter().cloned());
        }
    }
}

/// The functions that may load the rows of an attribute that `function` gives; for a prefetch, the only one.
fn readers(
    cx: &Context<'_>,
    load: Load,
    class: ClassId,
    name: &str,
    function: FunctionId,
) -> Option<Vec<FunctionId>> {
    let program = cx.project.program();
    let places = loads_of(cx, class, name, load)?;
    let mut out: Vec<FunctionId> = Vec::new();
    for (file, node) in &places {
        let def = node.enclosing_function()?;
        let reader = program.function_at(*file, def.id())?;
        if reader == function || load != Load::Join && program.function(reader).is_generator {
            return None;
        }
        if !out.contains(&reader) {
            out.push(reader);
        }
    }
    let is_known = !out.is_empty() && out.len() <= MAX_READERS && (load == Load::Join || places.len() == 1);
    is_known.then_some(out)
}

/// The reads of the frame of `cx` from rows of the values that `is_ours` knows.
pub(super) fn found(
    cx: &Context<'_>,
    load: Load,
    (builder, value): (&Context<'_>, ValueId),
    is_ours: &dyn Fn(&ValueId) -> bool,
    events: &[Event<'_>],
    out: &mut Vec<(Vec<ValueId>, Path, Remote)>,
) {
    if !is_followed(cx, load, is_ours) {
        return;
    }
    // What a generator does between two rows is up to who asks it for them.
    let between = suspended(cx).map(|_| region::consumers(cx)).unwrap_or_default();
    let Some(model) = builder.value(value).and_then(|v| Some(v.queryset.as_deref()?.model)) else { return };
    let first = out.len();
    // Whoever builds the list may leave rows out of it.
    let is_whole = !is_picked(builder, value);
    let mut certain: BTreeMap<ValueId, Vec<usize>> = BTreeMap::new();
    for (index, event) in cx.facts.events().enumerate() {
        let read = rows_read(cx.facts, event, load);
        let Some((v, path)) = read.filter(|(v, _)| is_ours(v)) else { continue };
        let Some(steps) = step::steps(cx.project, model, &path).filter(|s| load.is_for(s)) else { continue };
        if is_key_only(cx, event.site, &steps) || is_replaced(cx, index, v, &path) {
            continue;
        }
        if region::lazily(cx, cx.node(event.at)).is_some() {
            continue;
        }
        let round = event.rounds.iter().find(|r| r.value == v);
        let looped = match repeating(cx, v, event.at) {
            Some(looped) => looped,
            None if round.is_some() && is_gone_over(cx, load, v, event) => cx.node(event.at),
            None => continue,
        };
        let mut hazards = Vec::new();
        let meanwhile = events.iter().copied().chain(between.iter().map(EventData::event));
        guards::stale_copies(cx.project, meanwhile, &steps, &mut hazards);
        let is_certain = round.is_some_and(|r| r.is_certain)
            && is_whole
            && goes_over_all(cx, event)
            && (load != Load::Join || !may_end_early(cx, looped))
            && (load != Load::Prefetch || !certainty::is_refused_before(cx, cx.facts, index, v));
        if is_certain {
            certain.entry(v).or_default().push(index);
        }
        let wants_rows = wants_rows(event);
        let (shown_by, alone, looped) = (None, None, cx.site(looped));
        let in_other_actions = Vec::new();
        let site = event.site;
        let remote = Remote {
            site,
            looped,
            steps,
            hazards,
            in_other_actions,
            is_certain,
            wants_rows,
            shown_by,
            alone,
        };
        out.push((vec![value], path, remote));
    }
    if load == Load::Prefetch {
        let paths: Vec<Vec<Step>> = out.iter().skip(first).map(|(_, _, r)| r.steps.clone()).collect();
        let mut again = Vec::new();
        again::hazards(cx, &Rows { is_ours, paths: &paths, are_shared: true, are_shown: false }, &mut again);
        for (value, reads) in &certain {
            loaded_in_vain(cx, *value, reads, &mut again);
        }
        if let Some((_, _, read)) = out.get_mut(first) {
            read.hazards.extend(again);
        }
    }
}

/// Whether what the frame does with the rows is known: nobody else gets them, and where it waits, for a join alone, it is a
/// generator.
pub(super) fn is_followed(cx: &Context<'_>, load: Load, is_ours: &dyn Fn(&ValueId) -> bool) -> bool {
    !gives_away(cx, is_ours) && suspended(cx).is_none_or(|by_yield| by_yield && load == Load::Join)
}

/// Whether the frame gives rows to somebody who is not looked at.
fn gives_away(cx: &Context<'_>, is_ours: &dyn Fn(&ValueId) -> bool) -> bool {
    cx.facts.events().any(|e| match &e.kind {
        EventKind::InstanceEscapes { root: Root::Row(v), path, how } => {
            is_ours(v)
                && path.is_empty()
                && matches!(how, Escape::Return | Escape::Store | Escape::UnknownCall | Escape::Yield)
        }
        _ => false,
    })
}

/// Whether others run in between while the frame stands still: true where it is a generator of its own that waits for whoever
/// asks it, nothing where the frame never waits.
fn suspended(cx: &Context<'_>) -> Option<bool> {
    let mut all = cx.facts.events().filter(|e| *e.kind == EventKind::Suspend).peekable();
    all.peek()?;
    Some(all.all(|e| region::is_yield(cx, e)))
}

/// Whether something in a loop, or who asks for its elements, may leave it, so that some of its rows are not come to.
fn may_end_early(cx: &Context<'_>, looped: Node<'_>) -> bool {
    let around = if looped.kind() == Kind::CompFor { looped.parent() } else { Some(looped) };
    around.is_some_and(|n| n.kind() == Kind::GeneratorExp && !is_exhausted(cx, n))
        || looped.descendants().any(|n| matches!(n.kind(), Kind::Return | Kind::Break | Kind::Raise))
}

/// Whether an iterator is an argument of what takes all of its elements.
pub(super) fn is_exhausted(cx: &Context<'_>, generator: Node<'_>) -> bool {
    const TAKING_ALL: &[&str] = &["list", "tuple", "set", "frozenset", "dict", "sorted", "sum", "max", "min"];
    let call = generator.with_parens().ancestors().take(2).find(|n| n.kind() == Kind::Call);
    let Some(Expr::Call { func, .. }) = call.map(Expr::of) else { return false };
    match Expr::of(func) {
        Expr::Attribute { value, attr: "join", .. } => *cx.type_of_any(value) == Type::Str,
        _ => matches!(cx.type_of_any(func), Type::Def(Def::External(path))
            if path.strip_prefix("builtins.").is_some_and(|name| TAKING_ALL.contains(&name))),
    }
}

/// Whether a callee or a template goes over the rows of `value` and reads them.
fn is_gone_over(cx: &Context<'_>, load: Load, value: ValueId, event: Event<'_>) -> bool {
    match load {
        Load::Prefetch => !leaves_rounds(cx, value, event.at),
        Load::Join => is_repeated(cx, value, event.at, event.site, true),
        Load::Count => in_template(cx, event),
    }
}

/// Whether a template does it.
fn in_template(cx: &Context<'_>, event: Event<'_>) -> bool {
    guards::node_at(cx.project, event.site).is_none()
}

/// Whether the frame loads the rows of a queryset, or gives it to somebody besides the attribute.
fn is_loaded(cx: &Context<'_>, qs: &QuerySet) -> bool {
    qs.values.iter().any(|value| {
        cx.facts.uses(*value).any(|(_, how)| how.may_load() && *how != Use::Escape(Escape::Store))
    })
}

/// The places that may load the rows of the attribute `name` of objects of `class`. A queryset that counts is another one
/// wherever it is asked for anything.
fn loads_of<'a>(cx: &Context<'a>, class: ClassId, name: &str, load: Load) -> Option<Vec<(FileId, Node<'a>)>> {
    let program = cx.project.program();
    let mut ours = program.class(class).mro.clone();
    ours.extend(program.descendants(class));
    let dotted = format!(".{name}");
    let mut found = Vec::new();
    for file in cx.analyzer.files_mentioning(name).iter().copied() {
        let source = program.file(file);
        // `getattr(page, "books")`, and templates in strings.
        let is_read = |n: Node<'_>| {
            let is_getter = || {
                let call = n.ancestors().take(2).find(|a| a.kind() == Kind::Call);
                matches!(call.map(Expr::of), Some(Expr::Call { func, .. }) if func.text().contains("attr"))
            };
            n.kind() == Kind::Str
                && (n.text().contains(&dotted) || string_value(n).as_deref() == Some(name) && is_getter())
        };
        if source.root().descendants().any(is_read) {
            return None;
        }
        if !source.source.mentions(&dotted) {
            continue;
        }
        let names = source.root().mentions(name).filter(|n| n.field() == Field::Attribute);
        for node in names.filter_map(Node::parent) {
            let Expr::Attribute { value: owner, .. } = Expr::of(node) else { continue };
            if node.field() == Field::Left || load != Load::Count && is_quiet(node) {
                continue;
            }
            let function = node.enclosing_function().and_then(|def| program.function_at(file, def.id()));
            let other = function.and_then(|f| program.function(f).class).is_some_and(|c| !ours.contains(&c));
            if other && matches!(Expr::of(owner), Expr::Name("self" | "cls")) {
                continue;
            }
            found.push((file, node));
        }
    }
    Some(found)
}

/// `x.books.filter(...)` and `x.items()`: no rows of the attribute are loaded.
pub(super) fn is_quiet(node: Node<'_>) -> bool {
    let Some(parent) = node.with_parens().parent() else { return false };
    let is_called = |n: Node<'_>| {
        n.with_parens().parent().is_some_and(|call| {
            matches!(Expr::of(call), Expr::Call { func, .. } if call.kind() == Kind::Call && func.peel() == n.peel())
        })
    };
    match Expr::of(parent) {
        Expr::Attribute { value, attr, .. } if value.peel() == node.peel() => {
            QUIET.contains(&attr) && is_called(parent)
        }
        _ => is_called(node),
    }
}

/// The paths of a group's remote reads that its rows hold already go.
pub(super) fn add(group: &mut Group, remote: Remote) {
    if !group.remote.iter().any(|r| r.site == remote.site && r.steps == remote.steps) {
        group.remote.push(remote);
    }
}
