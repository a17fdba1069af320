//! What happens between the evaluation of a queryset and the last read of a relation of its rows: there an eager copy
//! may become stale.

use super::callers::{Caller, callers};
use super::iterations::{iterations, kept_iterators};
use super::reads::Group;
use super::remote::is_exhausted;
use super::{guards, listing};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Escape, Event, EventData, EventKind, Facts, Root, Type, Use, ValueId};
use crate::python::{Def, Expr, Field, FunctionId, Kind, Member, Node, NodeId, arguments};
use crate::text::FileId;
use std::collections::BTreeSet;

/// Hazards of everything that runs between the copy and its last use.
pub(super) fn hazards(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    let steps = group.steps();
    let region = Region::of(cx, group);
    let events: Vec<Event<'_>> = region.indexes.iter().filter_map(|i| cx.facts.event(*i)).collect();
    guards::stale_copies(cx.project, events.iter().copied(), &steps, out);
    handed_out(cx, group, &events, out);
    let mut remote: Vec<Hazard> = group.remote.iter().flat_map(|r| r.hazards.iter().cloned()).collect();
    listing::without_other_actions(cx, group, &mut remote);
    if !listing::is_left_to_list(cx, group) {
        remote.extend(group.remote.iter().flat_map(|r| r.in_other_actions.iter().cloned()));
    }
    out.extend(remote);
    let is_ours = |v: &ValueId| group.has_rows_of(cx, *v);
    looked_into(cx, &is_ours, out);
    copied(cx, &is_ours, out);
    kept_by_others(cx, group, out);
    refused_in_async_code(cx, &is_ours, out);
    let suspends = events.iter().any(|e| *e.kind == EventKind::Suspend && is_yield(cx, *e));
    if suspends || region.leaves {
        for event in consumers(cx) {
            guards::stale_copies(cx.project, [event.event()], &steps, out);
        }
    }
}

/// `except SynchronousOnlyOperation:` around a read in an async function (django/utils/asyncio.py, `async_unsafe`).
fn refused_in_async_code(cx: &Context<'_>, is_ours: &dyn Fn(&ValueId) -> bool, out: &mut Vec<Hazard>) {
    let is_async = cx
        .project
        .program()
        .function_at(cx.file, cx.facts.scope)
        .is_some_and(|function| cx.project.program().function(function).is_async);
    if !is_async {
        return;
    }
    for event in cx.facts.events() {
        let (EventKind::ReadRelation { root, .. } | EventKind::ReadMany { root, .. }) = &event.kind else {
            continue;
        };
        if !matches!(root, Root::Row(v) if is_ours(v)) {
            continue;
        }
        let tries = cx.node(event.at).ancestors().filter(|n| n.kind() == Kind::Try);
        for handler in tries.flat_map(Node::children).filter(|n| n.kind() == Kind::ExceptHandler) {
            let head = guards::first_line(handler);
            let names = ["SynchronousOnlyOperation", "Exception", "except:"];
            let hazard = Hazard::at(HazardKind::LazyReadCaught, head.trim_end_matches(':'), cx.site(handler));
            if names.iter().any(|name| head.contains(name)) && !out.contains(&hazard) {
                out.push(hazard);
            }
        }
    }
}

/// A row that is given to a method nobody knows may come back with its relations written.
fn handed_out(cx: &Context<'_>, group: &Group, events: &[Event<'_>], out: &mut Vec<Hazard>) {
    for event in events {
        let EventKind::Outside { name } = &event.kind else { continue };
        if name.contains('.') {
            continue;
        }
        let call = cx.node(event.at);
        let gets_row = events.iter().any(|e| match &e.kind {
            EventKind::InstanceEscapes { root: Root::Row(v), how: Escape::External, .. } => {
                group.has_rows_of(cx, *v) && call.contains(e.at)
            }
            _ => false,
        });
        if gets_row {
            out.push(Hazard::at(HazardKind::UnknownWrite, format!("{name}()"), event.site));
        }
    }
}

/// Code that writes a key past its descriptor, or asks what an instance has loaded.
pub(super) fn looked_into(cx: &Context<'_>, is_ours: &dyn Fn(&ValueId) -> bool, out: &mut Vec<Hazard>) {
    for event in cx.facts.events() {
        let (root, name) = match &event.kind {
            EventKind::ReadAttribute { root, path, name } if path.is_empty() => (root, &**name),
            EventKind::InstanceEscapes { root, path, how: Escape::External } if path.is_empty() => (root, ""),
            _ => continue,
        };
        if !matches!(root, Root::Row(v) if is_ours(v)) {
            continue;
        }
        let Some(node) = guards::node_at(cx.project, event.site) else { continue };
        let call = node.ancestors().take(3).find(|n| n.kind() == Kind::Call);
        let callee = call.and_then(|call| match Expr::of(call) {
            Expr::Call { func, .. } if !func.contains(node.id()) => Some((call, func.text())),
            _ => None,
        });
        let found = match (name, callee) {
            ("__dict__", _) => is_changed(node).then_some(node),
            ("_state", _) => {
                let parent = node.with_parens().parent();
                match parent.map(Expr::of) {
                    Some(Expr::Attribute { attr: "adding" | "db", .. }) => None,
                    Some(Expr::Attribute { .. }) => parent,
                    _ => Some(node),
                }
            }
            ("", Some((call, "vars"))) => is_changed(call).then_some(call),
            // `Book._meta.get_field("author").is_cached(book)`: django/db/models/fields/mixins.py, FieldCacheMixin.
            ("", Some((call, func))) => {
                let looks = ["cache.", "pickle", ".is_cached", "_cached_value"];
                looks.iter().any(|look| func.contains(look)).then_some(call)
            }
            _ => None,
        };
        if let Some(found) = found {
            let site = crate::text::Site { file: event.site.file, span: found.span() };
            let subject = found.text().lines().next().unwrap_or_default().to_owned();
            out.push(Hazard::at(HazardKind::UnknownWrite, subject, site));
        }
    }
}

/// A copy of a row has what the row had loaded when it was made; code that looks at that sees the join.
pub(super) fn copied(cx: &Context<'_>, is_ours: &dyn Fn(&ValueId) -> bool, out: &mut Vec<Hazard>) {
    let looks = |n: Node<'_>| matches!(Expr::of(n), Expr::Attribute { attr: "fields_cache", .. });
    if !cx.scope().text().contains("fields_cache") || !cx.scope().descendants().any(looks) {
        return;
    }
    for call in cx.scope().descendants().filter(|n| n.kind() == Kind::Call) {
        let Expr::Call { func, arguments: list } = Expr::of(call) else { continue };
        let from = match Expr::of(func) {
            Expr::Attribute { value, .. } => value,
            _ => func,
        };
        let is_copy = matches!(cx.type_of(from), Type::Def(Def::External(path))
            if path == "copy" || path.starts_with("copy."));
        let is_row = arguments(list).iter().any(|a| {
            cx.type_of(a.value).instance().is_some_and(|i| matches!(i.root, Root::Row(v) if is_ours(&v)))
        });
        if is_copy && is_row {
            out.push(cx.hazard(HazardKind::UnknownWrite, call.text(), call));
        }
    }
}

/// Whether the dict that `node` gives is written.
fn is_changed(node: Node<'_>) -> bool {
    let Some(parent) = node.with_parens().parent() else { return false };
    match Expr::of(parent) {
        Expr::Subscript { .. } => {
            parent.field() == Field::Left || parent.parent().is_some_and(|p| p.kind() == Kind::Delete)
        }
        Expr::Attribute { attr, .. } => matches!(attr, "update" | "pop" | "clear" | "setdefault" | "popitem"),
        _ => parent.kind() == Kind::AugAssign,
    }
}

/// The attributes that the frame assigns.
pub(super) fn stored_names<'a>(cx: &Context<'a>) -> Vec<&'a str> {
    let program = cx.project.program();
    let assigned = |scope: Node<'a>| {
        scope.descendants().filter(|n| n.field() == Field::Left).filter_map(|n| match Expr::of(n) {
            Expr::Attribute { attr, .. } if n.kind() == Kind::Attribute => Some(attr),
            _ => None,
        })
    };
    // Objects that are made here keep what they are given.
    let made = cx.scope().descendants().filter_map(|call| match Expr::of(call) {
        Expr::Call { func, .. } if call.kind() == Kind::Call => match cx.type_of(func) {
            Type::Def(Def::Class(class)) => program.member(*class, "__init__"),
            _ => None,
        },
        _ => None,
    });
    let inits = made.filter_map(|(_, member)| match member {
        Member::Function(init, _) => {
            let info = program.function(*init);
            Some(program.file(info.file).node(info.node))
        }
        _ => None,
    });
    assigned(cx.scope()).chain(inits.flat_map(assigned)).collect()
}

/// Rows that outlive the frame: somebody else may write the related rows, and then read the relation of a row that
/// had not been asked for it here.
fn kept_by_others(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    let is_ours = |v: &ValueId| {
        group.has_rows_of(cx, *v)
            || group.targets.contains(v)
            || group.targets.iter().any(|t| super::sources::is_derived(cx, *v, *t, 0))
    };
    let (mut returned, mut stored) = (false, false);
    for event in cx.facts.events() {
        let how = match &event.kind {
            EventKind::Use { value, how: Use::Escape(how) } if is_ours(value) => how,
            EventKind::InstanceEscapes { root: Root::Row(v), path, how } if path.is_empty() && is_ours(v) => {
                how
            }
            _ => continue,
        };
        returned |= matches!(how, Escape::Return);
        stored |= matches!(how, Escape::Store);
    }
    let Some(function) = program.function_at(cx.file, cx.facts.scope) else { return };
    let steps = group.steps();
    let reads = |node: Node<'_>| match Expr::of(node) {
        Expr::Attribute { attr, .. } => {
            node.kind() == Kind::Attribute && steps.iter().any(|s| s.attribute == attr)
        }
        _ => false,
    };
    let mut look = |facts: &Facts, file: FileId, after: Option<NodeId>| {
        let scope = program.file(file).node(facts.scope);
        for event in facts.events().filter(|e| after.is_none_or(|after| e.at > after)) {
            if !matches!(event.kind, EventKind::Write { model: Some(_), .. })
                || !scope.descendants().any(|n| n.id() > event.at && reads(n))
            {
                continue;
            }
            let mut found = Vec::new();
            guards::stale_copies(cx.project, [event], &steps, &mut found);
            out.extend(found.into_iter().take(1));
        }
    };
    if returned {
        for caller in callers(cx, function) {
            let first = caller.calls.iter().map(|c| c.id()).min();
            look(&caller.facts, caller.file, first);
        }
    }
    if stored {
        let names = stored_names(cx);
        for other in program.functions_in(cx.file).filter(|f| *f != function) {
            let scope = program.file(cx.file).node(program.function(other).node);
            let uses = scope
                .descendants()
                .any(|n| matches!(Expr::of(n), Expr::Attribute { attr, .. } if names.contains(&attr)));
            if uses {
                look(&cx.analyzer.function(other), cx.file, None);
            }
        }
    }
}

/// Whether a generator stands still there.
pub(super) fn is_yield(cx: &Context<'_>, event: Event<'_>) -> bool {
    cx.node(event.at).kind() == Kind::Yield
}

/// The events between the copy and its last use.
struct Region {
    indexes: BTreeSet<usize>,
    /// The reads are made by whoever consumes what the frame returns.
    leaves: bool,
}

impl Region {
    fn of(cx: &Context<'_>, group: &Group) -> Region {
        let mut out = Region { indexes: BTreeSet::new(), leaves: false };
        let evaluated = evaluated_at(cx, group);
        for read in &group.reads {
            let start = evaluated.unwrap_or(read.event).min(read.event);
            let mut end = read.event;
            let at = cx.node(read.at);
            if let Some(lazy) = lazily(cx, at) {
                end = cx.facts.events().count().saturating_sub(1);
                out.leaves |= lazy;
            }
            out.indexes.extend(start..=end);
            // A generator that was made before may run between two rows.
            let before = cx.facts.events().enumerate().take(end);
            out.indexes.extend(before.filter(|(_, e)| is_generator(cx, *e)).map(|(i, _)| i));
            // A callee that goes over the rows may write after it has read.
            if read.site.file != cx.file || !at.span().contains(read.site.span) {
                let beside = cx.facts.events().enumerate().filter(|(_, e)| e.at == read.at);
                out.indexes.extend(beside.map(|(i, _)| i));
            }
            for body in rounds(cx, group, at) {
                let inside = cx.facts.events().enumerate().filter(|(_, e)| body.contains(e.at));
                out.indexes.extend(inside.map(|(i, _)| i));
            }
        }
        out
    }
}

/// Whether an event happens in a generator function of the program, whenever that one is asked for its next item.
fn is_generator(cx: &Context<'_>, event: Event<'_>) -> bool {
    let node = cx.node(event.at);
    node.kind() == Kind::Call && event.site != cx.site(node) && matches!(cx.type_of(node), Type::Iterator(_))
}

/// The first event that may evaluate the queryset.
fn evaluated_at(cx: &Context<'_>, group: &Group) -> Option<usize> {
    // What a slice or method is taken of may hold the rows already.
    let mut values: BTreeSet<ValueId> = group.rows.iter().chain(&group.targets).copied().collect();
    for row in &group.rows {
        if let Some(value) = cx.value(*row) {
            values.extend(value.alternatives.iter().copied());
        }
    }
    cx.facts.events().position(|event| match &event.kind {
        EventKind::Use { value, how } => {
            values.contains(value)
                && (how.evaluates()
                    || matches!(
                        how,
                        Use::Other | Use::Escape(Escape::External | Escape::UnknownCall | Escape::Yield)
                    ))
        }
        _ => false,
    })
}

/// The bodies that run again between a copy and a read: those of every loop around the read in which the queryset is
/// not built anew.
fn rounds<'a>(cx: &Context<'a>, group: &Group, at: Node<'a>) -> Vec<Node<'a>> {
    let scope = cx.scope();
    let built: Vec<NodeId> = group.targets.iter().filter_map(|t| super::place::origin(cx, *t)).collect();
    at.ancestors()
        .take_while(|n| n.id() != scope.id())
        .filter_map(|node| match node.kind() {
            Kind::For | Kind::While => node.child(Field::Body),
            Kind::ListComp | Kind::SetComp | Kind::DictComp | Kind::GeneratorExp => Some(node),
            _ => None,
        })
        .filter(|body| {
            body.kind() != Kind::Block || body.contains(at.id()) && !built.iter().any(|b| body.contains(*b))
        })
        .collect()
}

/// Whether the read is made later than where it stands, by whoever consumes an iterator; and whether that one is
/// outside the frame.
pub(super) fn lazily<'a>(cx: &Context<'a>, at: Node<'a>) -> Option<bool> {
    let mut outermost: Option<Node<'a>> = None;
    for node in at.ancestors() {
        if matches!(node.kind(), Kind::Block | Kind::Module | Kind::Lambda) && outermost.is_some() {
            break;
        }
        if matches!(node.kind(), Kind::Block | Kind::Module) {
            break;
        }
        let is_call = matches!(node.kind(), Kind::GeneratorExp | Kind::Call);
        if is_call && matches!(cx.type_of(node), Type::Iterator(_)) {
            outermost = Some(node);
        } else if outermost.is_some() && node.kind() == Kind::Call {
            break;
        }
    }
    let outermost = outermost?.with_parens();
    let consumer = outermost.ancestors().take(3).find(|n| n.kind() == Kind::Call);
    if let Some(call) = consumer
        && let Expr::Call { func, .. } = Expr::of(call)
        && call.span() != outermost.span()
    {
        let is_eager = match cx.type_of(func) {
            Type::Def(crate::python::Def::External(path)) => {
                path.starts_with("builtins.") || path.starts_with("collections.")
            }
            Type::Bound(owner, _) => !matches!(**owner, Type::Unknown),
            _ => matches!(
                Expr::of(func),
                Expr::Attribute { attr: "join" | "writerows" | "extend" | "update", .. }
            ),
        };
        if is_eager {
            return None;
        }
    }
    let leaves = outermost.ancestors().any(|n| matches!(n.kind(), Kind::Return | Kind::Yield));
    Some(leaves)
}

/// What the callers of this frame's function do while they consume what it gives.
pub(super) fn consumers(cx: &Context<'_>) -> Vec<EventData> {
    let program = cx.project.program();
    let Some(function) = program.function_at(cx.file, cx.facts.scope) else { return Vec::new() };
    let mut out = Vec::new();
    consume(cx, function, &mut BTreeSet::new(), &mut out);
    out
}

fn consume(
    cx: &Context<'_>,
    function: FunctionId,
    seen: &mut BTreeSet<FunctionId>,
    out: &mut Vec<EventData>,
) {
    if !seen.insert(function) || seen.len() > 8 {
        return;
    }
    let own = cx.project.program().function(function);
    let mut callers = callers(cx, function);
    callers.extend(iterations(cx, function));
    callers.extend(kept_iterators(cx, function));
    for Caller { file, facts, calls, .. } in callers {
        let inner = Context { facts: &facts, file, ..*cx };
        let mut passes_on = false;
        for call in calls {
            // A loop over the call runs its body between two rows; anything else may keep the iterator to the end.
            let body = call
                .ancestors()
                .take(2)
                .find(|n| {
                    n.kind() == Kind::For && n.child(Field::Right).is_some_and(|r| r.contains(call.id()))
                })
                .and_then(|n| n.child(Field::Body));
            let whole = cx.project.program().file(own.file).node(own.node).span();
            let later = facts.events().filter(|e| match body {
                Some(body) => body.contains(e.at),
                None => e.at > call.id() || runs_meanwhile(&inner, call, *e),
            });
            let later = later.filter(|e| e.site.file != own.file || !whole.contains(e.site.span));
            out.extend(later.map(Event::to_data));
            passes_on |= call
                .ancestors()
                .take_while(|n| n.kind() != Kind::Block)
                .any(|n| matches!(n.kind(), Kind::Return | Kind::Yield));
        }
        if (passes_on || facts.events().any(|e| *e.kind == EventKind::Suspend))
            && let Some(outer) = cx.project.program().function_at(file, facts.scope)
        {
            consume(cx, outer, seen, out);
        }
    }
}

/// Whether `event` may happen between two elements of the iterator `made`, in what its own expression hands it to: a callee
/// of the program, or a comprehension. Nothing runs between them where something takes them all at once.
fn runs_meanwhile<'a>(cx: &Context<'a>, made: Node<'a>, event: Event<'_>) -> bool {
    let mut inner = made;
    for around in made.ancestors().take_while(|n| !matches!(n.kind(), Kind::Block | Kind::Module)) {
        if is_exhausted(cx, inner) {
            return false;
        }
        let is_meanwhile = match around.kind() {
            // A method of a queryset makes a list of what it is given before it writes.
            Kind::Call => {
                let is_own = matches!(event.kind, EventKind::Write { .. }) && event.site == cx.site(around);
                around.id() == event.at && !is_own
            }
            kind => kind.is_comprehension() && around.contains(event.at),
        };
        if is_meanwhile {
            return true;
        }
        inner = around;
    }
    false
}

/// Calls of something called `name` in `scope`.
pub(super) fn calls_of<'a>(scope: Node<'a>, name: &'a str) -> impl Iterator<Item = Node<'a>> {
    let mut calls: Vec<Node<'a>> = scope.mentions(name).filter_map(called_by).collect();
    calls.sort_by_key(|call| call.id());
    calls.into_iter()
}

/// The call of what ends with this name: `name()`, `x.name()`.
fn called_by(name: Node<'_>) -> Option<Node<'_>> {
    let func = match name.parent().filter(|p| p.kind() == Kind::Attribute) {
        Some(attribute) if name.field() == Field::Attribute => attribute,
        _ => name,
    };
    let func = func.with_parens();
    func.parent().filter(|call| call.kind() == Kind::Call && func.field() == Field::Function)
}
