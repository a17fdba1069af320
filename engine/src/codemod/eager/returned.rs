//! Rows that a function gives to its callers: the elements of a list that it has loaded, or a queryset that its callers
//! load, where what they get may be none.
//!
//! Nobody but the callers has what they get: it is made anew by each call, and not kept.

use super::callers::callers;
use super::certainty::lost;
use super::guards;
use super::kept;
use super::reads::Load;
use super::region;
use super::remote::{Remote, found, is_followed};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{
    Dict, Escape, Event, EventKind, Instance, Origin, Path, QuerySet, Root, Type, Use, ValueId,
};
use crate::python::{ClassId, Def, Expr, Field, FunctionId, Kind, Node, NodeId, arguments, parameters};
use crate::text::{FileId, Site};

/// Frames that read the rows of one function's list and are looked at.
const MAX_READERS: usize = 12;
/// Dicts in dicts are followed so far.
const MAX_DICTS: usize = 4;

/// What the callers of `function`, the one of this frame, read of the rows that it gives.
pub(super) fn reads(
    cx: &Context<'_>,
    load: Load,
    function: FunctionId,
    out: &mut Vec<(Vec<ValueId>, Path, Remote)>,
) {
    if let Some(held @ (Type::List(_) | Type::Dict(_))) = &cx.facts.returns
        && let Some(value) = row_among(held)
        && is_handed_over(cx, function, value)
    {
        of_list(cx, load, function, value, out);
    }
    if let Some(Type::Iterator(held)) = &cx.facts.returns
        && let Some(value) = row_among(held)
        && streams(cx, function, value)
    {
        of_list(cx, load, function, value, out);
    }
    if let Some(values) = cx.facts.returns.as_ref().and_then(perhaps_rows)
        && !is_remembered(cx, function)
    {
        of_queryset(cx, load, function, &values, out);
    }
    if let Some(Type::Dict(dict)) = &cx.facts.returns
        && !is_remembered(cx, function)
    {
        let mut held = Vec::new();
        querysets_in(dict, 0, &mut held);
        for (qs, file, node) in held.into_iter().filter(|(_, file, _)| *file == cx.file) {
            if !qs.values.iter().any(|value| is_kept(cx, *value)) {
                let at = Site { file, span: cx.node(node).span() };
                of_calls(
                    cx,
                    load,
                    function,
                    Given { values: &qs.values, after: None, at: Some(at), class: None },
                    Vec::new(),
                    out,
                );
            }
        }
    }
}

/// The querysets that a dict, or one of the dicts in it, holds by name, and the expressions that give them.
fn querysets_in<'t>(dict: &'t Dict, depth: usize, out: &mut Vec<(&'t QuerySet, FileId, NodeId)>) {
    for (ty, file, node) in dict.2.values().filter(|_| depth < MAX_DICTS) {
        match ty {
            Type::QuerySet(qs) => out.push((qs, *file, *node)),
            Type::Dict(inner) => querysets_in(inner, depth + 1, out),
            _ => {}
        }
    }
}

/// Whether the function loads the rows of a queryset, or gives it to somebody besides the dict that it returns.
fn is_kept(cx: &Context<'_>, value: ValueId) -> bool {
    let given = [Use::Escape(Escape::Container), Use::Escape(Escape::Return)];
    cx.facts.uses(value).any(|(_, how)| how.may_load() && !given.contains(how))
}

/// Whether the frame gives a dict with one of our values, or the value itself, to somebody besides Django's and other
/// packages' functions.
fn hands_on(cx: &Context<'_>, is_ours: &dyn Fn(&ValueId) -> bool) -> bool {
    let holds = |ty: &Type| {
        ty.alternatives().iter().any(|ty| match ty {
            Type::Dict(dict) => holds_one(dict, is_ours, 0),
            _ => false,
        })
    };
    let escapes = |e: Event<'_>| {
        matches!(&e.kind, EventKind::Use { value, how: Use::Escape(how) } if is_ours(value)
            && matches!(how, Escape::Return | Escape::Store | Escape::Yield | Escape::UnknownCall))
    };
    // What is put into a dict of the frame is there as long as nobody gets that.
    let handed_in = parameters(cx.scope());
    let is_bound = |name: &str| {
        let bound = |n: Node<'_>| n.kind() == Kind::Name && n.is_binding() && n.text() == name;
        cx.scope().descendants().any(bound)
            && !cx.scope().descendants().any(|n| matches!(n.kind(), Kind::Global | Kind::Nonlocal))
    };
    let is_local_dict = |node: Node<'_>| match Expr::of(node) {
        Expr::Name(name) => {
            matches!(cx.type_of_any(node), Type::Dict(_))
                && is_bound(name)
                && handed_in.iter().all(|p| p.name != name)
        }
        _ => false,
    };
    let is_of_dict = |func: Node<'_>| {
        matches!(Expr::of(func), Expr::Attribute { value, attr: "update" | "setdefault", .. }
            if is_local_dict(value))
    };
    let is_given = |n: Node<'_>| match n.kind() {
        Kind::Call => {
            let Expr::Call { func, arguments: list } = Expr::of(n) else { return false };
            let is_external = matches!(cx.type_of(func), Type::Def(Def::External(_)));
            !is_external && !is_of_dict(func) && arguments(list).iter().any(|a| holds(cx.type_of(a.value)))
        }
        Kind::Assign => {
            let is_name = n.child(Field::Left).is_some_and(|target| match Expr::of(target) {
                Expr::Subscript { value, .. } => is_local_dict(value),
                _ => target.kind() == Kind::Name,
            });
            !is_name && n.child(Field::Right).is_some_and(|value| holds(cx.type_of(value)))
        }
        Kind::Return | Kind::Yield => n.children().next().is_some_and(|value| holds(cx.type_of(value))),
        _ => false,
    };
    cx.facts.events().any(escapes) || cx.scope().descendants().any(is_given)
}

/// Whether a dict, or one of the dicts in it, holds one of our values.
fn holds_one(dict: &Dict, is_ours: &dyn Fn(&ValueId) -> bool, depth: usize) -> bool {
    dict.2.values().filter(|_| depth < MAX_DICTS).any(|(ty, ..)| {
        ty.alternatives().iter().any(|ty| match ty {
            Type::QuerySet(qs) => qs.values.iter().any(is_ours),
            Type::Dict(inner) => holds_one(inner, is_ours, depth + 1),
            _ => false,
        })
    })
}

/// What a function gives to its callers.
pub(super) struct Given<'x> {
    /// The querysets whose rows they get.
    pub values: &'x [ValueId],
    /// What happens behind the place where the function itself loads them.
    pub after: Option<&'x [Event<'x>]>,
    /// The value of a dict that the queryset is.
    pub at: Option<Site>,
    /// The class whose objects alone get these rows; the function gives others to those of other classes.
    pub class: Option<ClassId>,
}

/// The queryset whose rows the elements of a container are, by themselves, in tuples, or grouped.
pub(super) fn row_among(held: &Type) -> Option<ValueId> {
    fn is_plain(ty: &Type) -> bool {
        match ty {
            Type::Instance(_) | Type::Never | Type::None => true,
            Type::Int | Type::Str | Type::Bool | Type::Float | Type::Column(_) => true,
            Type::List(t) | Type::Set(t) => is_plain(t),
            Type::Tuple(types) => types.iter().all(is_plain),
            Type::Dict(dict) => {
                is_plain(&dict.0) && is_plain(&dict.1) && dict.2.values().all(|(ty, ..)| is_plain(ty))
            }
            _ => false,
        }
    }
    match held.held_instance()? {
        Instance { root: Root::Row(value), path, .. } if path.is_empty() && is_plain(held) => Some(*value),
        _ => None,
    }
}

/// The querysets that the function gives, where it gives None or an empty list on some way: what it gives is not known
/// to be one where it is called, so that nothing can be asked of it there.
fn perhaps_rows(returns: &Type) -> Option<Vec<ValueId>> {
    let Type::Union(types) = returns else { return None };
    let mut out = None;
    for ty in types.iter() {
        match ty {
            Type::None => {}
            Type::List(element) if **element == Type::Never => {}
            Type::QuerySet(qs) if out.is_none() => out = Some(qs.values.to_vec()),
            _ => return None,
        }
    }
    out
}

/// Whether the rows of `value` are those of a function that asks for the join itself, because what it gives here may be
/// no queryset, or because it keeps it.
pub(super) fn is_left_to_callee(cx: &Context<'_>, value: ValueId, load: Load) -> bool {
    let Some(Origin::Expr(node)) = cx.value(value).map(|v| v.origin) else { return false };
    let Some(site) = cx.value(value).and_then(|v| v.site) else { return false };
    let given = cx.type_of(cx.node(node));
    if given.queryset().is_some() {
        let is_kept = |function| {
            let facts = cx.analyzer.caller(site.file, Some(function));
            let gives_rows = facts.returns.as_ref().is_some_and(|ty| ty.queryset().is_some());
            gives_rows && kept::is_kept(cx.project.program(), function)
        };
        return load != Load::Count
            && cx.value(value).is_some_and(|v| v.kept.is_some())
            && is_followed(cx, load, &|v| cx.value(*v).is_some_and(|v| v.site == Some(site)))
            && cx.project.program().function_defined_at(site).is_some_and(is_kept);
    }
    if perhaps_rows(given).is_none() {
        return false;
    }
    cx.project.program().function_defined_at(site).is_some_and(|function| {
        let facts = cx.analyzer.caller(site.file, Some(function));
        facts.returns.as_ref().and_then(perhaps_rows).is_some() && !is_remembered(cx, function)
    })
}

/// Whether decorators may give an earlier result again, or something else.
pub(super) fn is_remembered(cx: &Context<'_>, function: FunctionId) -> bool {
    let program = cx.project.program();
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    let is_plain = |c: Node<'_>| {
        matches!(c.text().trim_start_matches('@').trim(), "staticmethod" | "classmethod" | "property")
    };
    def.parent()
        .filter(|p| p.kind() == Kind::DecoratedDef)
        .is_some_and(|outer| outer.children().filter(|c| c.kind() == Kind::Decorator).any(|c| !is_plain(c)))
        || info.is_generator
        || info.is_async
}

/// Whether nobody but the caller has the list: it is made anew by each call, and not kept.
fn is_handed_over(cx: &Context<'_>, function: FunctionId, value: ValueId) -> bool {
    let program = cx.project.program();
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    let is_kept = cx.facts.events().any(|e| match &e.kind {
        EventKind::InstanceEscapes { root: Root::Row(v), how, .. } => {
            cx.facts.is_or_may_be(value, *v)
                && matches!(how, Escape::Store | Escape::UnknownCall | Escape::Yield)
        }
        _ => false,
    });
    let mut returned = def.descendants().filter(|n| n.kind() == Kind::Return);
    let is_fresh = returned.all(|n| n.children().next().is_some_and(|v| is_new_container(cx, def, v, 0)));
    !is_remembered(cx, function) && !is_kept && is_fresh
}

/// Whether a generator does nothing but to give the rows of the queryset `value`, one after the other.
fn streams(cx: &Context<'_>, function: FunctionId, value: ValueId) -> bool {
    let info = cx.project.program().function(function);
    let is_own = |n: &Node<'_>| n.kind() == Kind::Yield && n.enclosing_scope() == Some(cx.scope());
    let mut yields = cx.scope().descendants().filter(is_own);
    let (Some(given), None) = (yields.next(), yields.next()) else { return false };
    let is_rows = |node: Node<'_>| {
        let rows = cx.type_of(cx.node(node.peel().id())).queryset();
        rows.is_some_and(|qs| qs.values.as_slice() == [value])
    };
    let Expr::Yield { value: Some(row), is_from, .. } = Expr::of(given) else { return false };
    let is_each = || {
        let statement = given.parent().filter(|s| s.kind() == Kind::ExprStatement);
        let body = statement.and_then(Node::parent).filter(|b| b.children().count() == 1);
        let around = body.and_then(Node::parent).filter(|n| n.kind() == Kind::For);
        around.is_some_and(|around| {
            let is_target = around.child(Field::Left).is_some_and(
                |t| matches!((Expr::of(t), Expr::of(row)), (Expr::Name(a), Expr::Name(b)) if a == b),
            );
            is_target && around.child(Field::Right).is_some_and(is_rows)
        })
    };
    let is_given = if is_from { is_rows(row) } else { is_each() };
    is_given
        && info.decorators.is_empty()
        && !info.is_async
        && !given.ancestors().take_while(|a| a.id() != cx.facts.scope).any(|a| {
            matches!(a.kind(), Kind::While | Kind::Try | Kind::With | Kind::If)
                || a.kind() == Kind::For && is_from
        })
}

/// Calls that make a container.
const MAKING: &[&str] = &[
    "builtins.list",
    "builtins.sorted",
    "builtins.dict",
    "collections.defaultdict",
    "collections.OrderedDict",
];

/// Whether a page is asked of a paginator: `Paginator(books, 20).get_page`.
pub(super) fn is_paging(cx: &Context<'_>, func: Node<'_>) -> bool {
    let Expr::Attribute { value, attr: "page" | "get_page", .. } = Expr::of(func) else { return false };
    cx.type_of(cx.node(value.peel().id())).is_paginator()
}

/// Whether the expression makes a list or dict, or is a name of the function that holds nothing else.
fn is_new_container(cx: &Context<'_>, def: Node<'_>, node: Node<'_>, depth: usize) -> bool {
    match Expr::of(node) {
        Expr::Comp { node, .. } => matches!(node.kind(), Kind::ListComp | Kind::DictComp),
        Expr::List(_) | Expr::Dict(_) => true,
        // Each page is an object of its own.
        Expr::Call { func, .. } if is_paging(cx, func) => true,
        Expr::Call { func, .. } => matches!(cx.type_of(cx.node(func.peel().id())),
            Type::Def(Def::External(path)) if MAKING.contains(&path.as_str())),
        Expr::BinOp { left, op: Kind::Add, right } if depth < 4 => {
            is_new_container(cx, def, left, depth + 1) && is_new_container(cx, def, right, depth + 1)
        }
        Expr::Name(name) if depth < 4 => {
            let bound = |n: &Node<'_>| n.kind() == Kind::Name && n.text() == name && n.field() == Field::Left;
            let mut bindings = def.descendants().filter(bound).peekable();
            bindings.peek().is_some()
                && bindings.all(|n| {
                    n.parent().filter(|p| p.kind() == Kind::Assign).is_some_and(|p| {
                        p.child(Field::Right).is_some_and(|value| is_new_container(cx, def, value, depth + 1))
                    })
                })
                && !parameters(def).iter().any(|p| p.name == name)
                && !def.descendants().any(|n| matches!(n.kind(), Kind::Global | Kind::Nonlocal))
        }
        _ => false,
    }
}

fn of_list(
    cx: &Context<'_>,
    load: Load,
    function: FunctionId,
    value: ValueId,
    out: &mut Vec<(Vec<ValueId>, Path, Remote)>,
) {
    let evaluated = cx
        .facts
        .events()
        .position(|e| matches!(&e.kind, EventKind::Use { value: v, how } if *v == value && how.may_load()));
    let after: Vec<Event<'_>> = cx.facts.events().skip(evaluated.unwrap_or(0)).collect();
    let mut looked = Vec::new();
    if load == Load::Prefetch {
        lost(cx, value, &mut looked);
    }
    of_calls(
        cx,
        load,
        function,
        Given { values: &[value], after: Some(&after), at: None, class: None },
        looked,
        out,
    );
}

/// The rows of a queryset that the function gives: they are loaded by whoever calls it.
fn of_queryset(
    cx: &Context<'_>,
    load: Load,
    function: FunctionId,
    values: &[ValueId],
    out: &mut Vec<(Vec<ValueId>, Path, Remote)>,
) {
    of_calls(cx, load, function, Given { values, after: None, at: None, class: None }, Vec::new(), out);
}

/// Whether the event may evaluate a queryset of ours.
fn evaluates(event: Event<'_>, is_ours: &dyn Fn(&ValueId) -> bool) -> bool {
    matches!(&event.kind, EventKind::Use { value, how } if is_ours(value)
        && (how.evaluates() || matches!(how, Use::Other | Use::Escape(_))))
}

/// What the callers of `function` read of the rows that it gives.
pub(super) fn of_calls(
    cx: &Context<'_>,
    load: Load,
    function: FunctionId,
    Given { values, after, at, class }: Given<'_>,
    mut looked: Vec<Hazard>,
    out: &mut Vec<(Vec<ValueId>, Path, Remote)>,
) {
    let program = cx.project.program();
    let own = program.function(function);
    let def = Site { file: own.file, span: program.file(own.file).node(own.node).span() };
    let Some(value) = values.first().copied() else { return };
    let (is_loaded, after) = (after.is_some(), after.unwrap_or_default());
    let start = out.len();
    for (i, caller) in callers(cx, function).iter().enumerate() {
        let inner = Context { facts: &caller.facts, file: caller.file, ..*cx };
        let around = program.function_at(caller.file, caller.facts.scope).map(|f| program.function(f).class);
        if class.is_some()
            && !around.flatten().is_some_and(|c| program.class(c).mro.iter().any(|up| Some(*up) == class))
        {
            continue;
        }
        for call in &caller.calls {
            let of_call = |v: &ValueId| {
                inner.value(*v).is_some_and(|v| match at {
                    Some(at) => v.origin == Origin::Callee && v.site == Some(at),
                    None => v.origin == Origin::Expr(call.id()) && v.site == Some(def),
                })
            };
            // A caller that hands the dict on has callers of its own.
            if at.is_some() && hands_on(&inner, &of_call) {
                out.truncate(start);
                return;
            }
            region::looked_into(&inner, &of_call, &mut looked);
            region::copied(&inner, &of_call, &mut looked);
            let known = out.len();
            let unread =
                || Hazard::at(HazardKind::LoadedWithout, guards::first_line(*call), inner.site(*call));
            if i >= MAX_READERS {
                looked.extend((load == Load::Prefetch).then(unread));
                continue;
            }
            let is_repeated = call.ancestors().any(|a| matches!(a.kind(), Kind::For | Kind::While));
            let later = |e: &Event<'_>| e.at != call.id() && (is_repeated || e.at > call.id());
            // A queryset is evaluated by the caller: what it does before that changes no copy.
            let first = match is_loaded || is_repeated {
                true => 0,
                false => caller.facts.events().position(|e| evaluates(e, &of_call)).unwrap_or(0),
            };
            let events = caller.facts.events().skip(first).filter(later).chain(after.iter().copied());
            found(&inner, load, (cx, value), &of_call, &events.collect::<Vec<_>>(), out);
            // A caller that reads nothing of the rows would load the prefetch for nothing.
            if load == Load::Prefetch && out.len() == known {
                looked.push(unread());
            }
        }
    }
    // Whoever looks at what its rows have loaded sees the join that another one asked for.
    for (rows, _, read) in out.iter_mut().skip(start) {
        rows.clear();
        rows.extend(values);
        read.hazards.extend(looked.iter().cloned());
    }
}
