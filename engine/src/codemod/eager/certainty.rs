//! Whether what loads the rows is followed by a loop that reads the relation of all of them: where it is not, a prefetch may
//! be a query for nothing.
//!
//! The frame is that of the reader, which need not build the queryset.

use super::guards;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{
    Event, EventKind, Facts, Instance, Origin, QuerySet, REFUSING, Root, Type, Use, ValueId, gives_every_row,
};
use crate::python::{Def, Expr, Field, Kind, Member, Node, NodeId, arguments, generators};

/// A place that loads the rows, and its index among the events; what a callee has loaded comes before all of them.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Load {
    event: Option<usize>,
    at: NodeId,
}

/// Where rows of `value` are loaded and no loop that reads the relation follows on every path. `reads` are the indexes of
/// the events that read it of each row.
pub(super) fn loaded_in_vain(cx: &Context<'_>, value: ValueId, reads: &[usize], out: &mut Vec<Hazard>) {
    let loads = loads(cx, value);
    // Each read with the load of its loop.
    let read_of: Vec<(Event<'_>, Load)> = reads
        .iter()
        .filter_map(|r| {
            let load = loads.iter().copied().rfind(|l| l.event < Some(*r))?;
            Some((cx.facts.event(*r)?, load))
        })
        .collect();
    if read_of.is_empty() {
        return;
    }
    // Rows that are loaded here and gone over further down.
    for (read, load) in &read_of {
        let around = cx.node(read.at).ancestors().take_while(|n| n.id() != cx.facts.scope);
        let is_loop = |n: &Node<'_>| {
            matches!(
                n.kind(),
                Kind::For | Kind::ListComp | Kind::SetComp | Kind::DictComp | Kind::GeneratorExp
            )
        };
        let loops: Vec<Node<'_>> = around.filter(is_loop).collect();
        if loops.iter().any(|n| n.contains(load.at)) {
            continue;
        }
        let Some(looped) = loops.last() else { continue };
        let is_reached = looped.id() < load.at
            || stands_before(cx, value, looped.id(), load.at)
                && leaves_between(cx, load.at, looped.id()).is_none();
        if !is_reached {
            out.push(in_vain(cx, *load));
        }
    }
    for load in loads.iter().filter(|l| !read_of.iter().any(|(_, own)| own == *l)) {
        let is_read = read_of.iter().any(|(_, reading)| {
            if reading.event < load.event {
                stands_before(cx, value, reading.at, load.at) || reading.at == load.at
            } else {
                let is_certain = reading.event.and_then(|i| cx.facts.event(i)).is_some_and(|e| e.is_certain);
                reading.at == load.at
                    || (is_certain || stands_before(cx, value, reading.at, load.at))
                        && leaves_between(cx, load.at, reading.at).is_none()
            }
        });
        let loops: Vec<NodeId> = read_of.iter().map(|(_, reading)| reading.at).collect();
        if !is_read && !is_asked_for_none(cx, load.at, &loops) {
            out.push(in_vain(cx, *load));
        }
    }
}

/// Whether code may refuse a row of `value`, by a `raise` that is written, before the event at `index` has read the relation:
/// then a prefetch for the rows was for nothing, whoever catches it.
pub(super) fn is_refused_before(cx: &Context<'_>, facts: &Facts, index: usize, value: ValueId) -> bool {
    let is_refusal = |site| {
        let raises = |n: &Node<'_>| n.kind() == Kind::Raise || is_check(*n);
        guards::node_at(cx.project, site).filter(raises).is_some_and(|n| {
            let function = |n: &Node<'_>| n.kind() == Kind::FunctionDef;
            // One exception in place of another, and methods that stand for those of classes below.
            let is_again =
                n.ancestors().take_while(|n| !function(n)).any(|n| n.kind() == Kind::ExceptHandler);
            !is_again && !n.text().contains("NotImplementedError")
        })
    };
    facts.events().take(index).any(|event| {
        matches!(event.kind, EventKind::Raise)
            && event.rounds.iter().any(|round| round.value == value)
            && is_refusal(event.site)
    })
}

/// `self.check_object_permissions(request, row)` of a view of REST framework's.
fn is_check(node: Node<'_>) -> bool {
    let Expr::Call { func, .. } = Expr::of(node) else { return false };
    matches!(Expr::of(func), Expr::Attribute { attr, .. } if REFUSING.contains(&attr))
}

/// Where the frame that builds `value` loads its rows and then leaves without giving them to its caller.
pub(super) fn lost(cx: &Context<'_>, value: ValueId, out: &mut Vec<Hazard>) {
    let Some(load) = loads(cx, value).first().copied() else { return };
    let gives = |statement: Node<'_>| {
        let given = statement.children().next();
        given.is_some_and(|g| holds_rows(cx, cx.type_of(cx.node(g.id())), value))
    };
    let leaves = cx.scope().descendants().filter(|n| n.id() > load.at).any(|n| match n.kind() {
        Kind::Return => !gives(n),
        Kind::Raise => true,
        _ => false,
    });
    if leaves {
        out.push(in_vain(cx, load));
    }
}

/// The places that load the rows of `value`, in order. A list that a callee gives has been loaded by the call.
fn loads(cx: &Context<'_>, value: ValueId) -> Vec<Load> {
    let of_queryset = cx.facts.events().enumerate().filter_map(|(i, e)| match &e.kind {
        EventKind::Use { value: v, how } if cx.facts.is_or_may_be(value, *v) && how.evaluates() => {
            Some(Load { event: Some(i), at: e.at })
        }
        _ => None,
    });
    let by_call = cx.value(value).filter(|v| v.queryset.is_none()).and_then(|v| match v.origin {
        Origin::Expr(at) => Some(Load { event: None, at }),
        _ => None,
    });
    by_call.into_iter().chain(of_queryset).collect()
}

fn in_vain(cx: &Context<'_>, load: Load) -> Hazard {
    let node = cx.node(load.at);
    let site = cx.facts.event(load.event.unwrap_or(usize::MAX)).map_or(cx.site(node), |e| e.site);
    Hazard::at(HazardKind::LoadedWithout, guards::first_line(node), site)
}

/// Whether the statement around `a` stands in a block that holds `b`, too: both run, or neither, as long as there are rows of
/// `value`.
fn stands_before(cx: &Context<'_>, value: ValueId, a: NodeId, b: NodeId) -> bool {
    let is_condition = |n: Node<'_>| matches!(n.kind(), Kind::Block | Kind::Module);
    // `wanted and [...]`, `[...] if wanted else None`
    let may_be_passed_by = cx.node(a).ancestors().take_while(|n| !is_condition(*n)).any(|n| {
        let (part, test) = match Expr::of(n) {
            Expr::BoolOp { left, right, .. } if n.kind() == Kind::BoolOp => (right, left),
            Expr::IfExp { body, test, orelse } if n.kind() == Kind::IfExp => {
                (if orelse.contains(a) { orelse } else { body }, test)
            }
            _ => return false,
        };
        part.contains(a) && !part.contains(b) && !gives(cx, test.peel(), value)
    });
    let block = cx.node(a).ancestors().find(|n| is_condition(*n));
    !may_be_passed_by && block.is_some_and(|block| block.contains(b))
}

/// A statement between two nodes that may leave, so that the second is not reached.
pub(super) fn leaves_between<'a>(cx: &Context<'a>, from: NodeId, to: NodeId) -> Option<Node<'a>> {
    let leaves = |n: &Node<'a>| matches!(n.kind(), Kind::Return | Kind::Raise | Kind::Break | Kind::Continue);
    if let Some(around) = cx.node(from).ancestors().find(|n| leaves(n) && !n.contains(to)) {
        return Some(around);
    }
    let end = cx.node(to).ancestors().find(|n| n.parent().is_some_and(|p| p.kind() == Kind::Block));
    let end = end.map_or(to, |n| n.id());
    cx.scope().descendants().find(|n| n.id() > from && n.id() < end && leaves(n))
}

/// `if not rows: return`, or `if rows:` around the loop: what goes another way has no rows.
fn is_asked_for_none(cx: &Context<'_>, at: NodeId, loops: &[NodeId]) -> bool {
    let node = cx.node(at);
    let Some(parent) = node.with_parens().parent() else { return false };
    let is_truth =
        cx.facts.events().any(|e| e.at == at && matches!(&e.kind, EventKind::Use { how: Use::Truth, .. }));
    if !is_truth {
        return false;
    }
    match parent.kind() {
        Kind::Not => true,
        Kind::If => parent.children().any(|c| {
            c.kind() == Kind::Block
                && loops.iter().any(|l| {
                    cx.node(*l)
                        .ancestors()
                        .find(|n| n.kind() == Kind::Block)
                        .is_some_and(|b| b.id() == c.id())
                })
        }),
        _ => false,
    }
}

/// Whether each loop around a read goes over the queryset itself, or over lists that hold all of its rows.
pub(super) fn goes_over_all(cx: &Context<'_>, event: Event<'_>) -> bool {
    event
        .rounds
        .iter()
        .all(|round| loops_over_queryset(cx, event.at, round.value) || !is_picked(cx, round.value))
}

/// Whether a loop around the read has the queryset itself as what it goes over.
fn loops_over_queryset(cx: &Context<'_>, at: NodeId, value: ValueId) -> bool {
    let is_it = |iter: Node<'_>| matches!(cx.type_of(cx.node(iter.id())), Type::QuerySet(qs) if is_value(cx, qs, value));
    cx.node(at).ancestors().take_while(|n| n.id() != cx.facts.scope).any(|n| match n.kind() {
        Kind::For => n.child(Field::Right).is_some_and(is_it),
        Kind::ListComp | Kind::SetComp | Kind::DictComp | Kind::GeneratorExp => {
            generators(n).iter().any(|g| is_it(g.iter))
        }
        _ => false,
    })
}

fn is_value(cx: &Context<'_>, qs: &QuerySet, value: ValueId) -> bool {
    qs.values.contains(&value)
        || cx
            .value(value)
            .is_some_and(|v| !v.alternatives.is_empty() && v.alternatives.iter().eq(qs.values.iter()))
}

/// Whether some expression of the frame makes a list of only some of the rows.
pub(super) fn is_picked(cx: &Context<'_>, value: ValueId) -> bool {
    let holds = |node: Node<'_>| holds_rows(cx, cx.type_of(cx.node(node.id())), value);
    cx.scope().descendants().any(|n| match n.kind() {
        // `[b for b in books if b.is_featured]`
        Kind::ListComp | Kind::SetComp | Kind::GeneratorExp => {
            holds(n) && generators(n).iter().any(|g| !g.conditions.is_empty())
        }
        // `books[10:]` of a list, and one of the lists of a dict
        Kind::Subscript => match Expr::of(n) {
            Expr::Subscript { value: owner, index, .. } => {
                index.kind() == Kind::Slice && holds(owner)
                    || is_dict(cx, owner) && holds(n) && !n.is_binding() && !is_added_to(n)
            }
            _ => false,
        },
        Kind::Call => {
            let Expr::Call { func, arguments: list } = Expr::of(n) else { return false };
            match Expr::of(func) {
                Expr::Name(
                    "list" | "sorted" | "tuple" | "set" | "frozenset" | "reversed" | "enumerate" | "iter",
                ) => false,
                // `best.append(book)`
                Expr::Attribute { value: owner, attr: "append" | "add" | "insert", .. } => {
                    holds(owner) && is_conditional(cx, n)
                }
                Expr::Attribute { value: owner, attr: "get" | "pop" | "popitem" | "setdefault", .. }
                    if is_dict(cx, owner) =>
                {
                    holds(n) && !is_added_to(n)
                }
                Expr::Attribute { value: owner, attr: "pop" | "remove" | "clear" | "discard", .. } => {
                    holds(owner)
                }
                Expr::Attribute { value: owner, attr, .. }
                    if holds(n) && gives_some(cx, n, (owner, attr), value) =>
                {
                    true
                }
                // Whatever else makes a list of the rows may leave some out.
                _ => {
                    holds(n)
                        && arguments(list).iter().any(|a| gives(cx, a.value, value))
                        && !gives_all(cx, func)
                }
            }
        }
        Kind::Attribute => match Expr::of(n) {
            Expr::Attribute { value: owner, attr, .. } => holds(n) && gives_some(cx, n, (owner, attr), value),
            _ => false,
        },
        _ => false,
    })
}

/// Whether a function of the program is called that gives all of the rows that it gets.
fn gives_all(cx: &Context<'_>, func: Node<'_>) -> bool {
    match cx.project.program().resolve_expr(cx.file, func.peel().id()) {
        Some(Def::Function(function)) => gives_every_row(cx.project.program(), function),
        _ => false,
    }
}

/// Whether an object gives, by a method or a property `name` at `node`, some of the rows of a queryset that it does not make
/// there: `shelf.featured()`.
fn gives_some(cx: &Context<'_>, node: Node<'_>, (owner, name): (Node<'_>, &str), value: ValueId) -> bool {
    let program = cx.project.program();
    let Some(class) = cx.type_of(cx.node(owner.id())).object_class() else { return false };
    let Some((_, Member::Function(function, _))) = program.member(class, name) else { return false };
    let is_made_before =
        matches!(cx.value(value).map(|v| v.origin), Some(Origin::Expr(at)) if !node.contains(at));
    is_made_before && !gives_every_row(program, *function)
}

fn is_dict(cx: &Context<'_>, node: Node<'_>) -> bool {
    matches!(cx.type_of(cx.node(node.id())), Type::Dict(_))
}

/// Whether a list is only asked for to add to it: `groups[key].append(book)`.
fn is_added_to(list: Node<'_>) -> bool {
    const ADDING: &[&str] = &["append", "add", "insert", "extend", "update"];
    let method = list.with_parens().parent();
    method.is_some_and(|m| matches!(Expr::of(m), Expr::Attribute { attr, .. } if ADDING.contains(&attr)))
}

/// Whether an expression is the queryset, or a list of its rows.
fn gives(cx: &Context<'_>, node: Node<'_>, value: ValueId) -> bool {
    let ty = cx.type_of(cx.node(node.id()));
    let is_among = |qs: &QuerySet| qs.values.iter().any(|v| cx.facts.is_or_may_be(value, *v));
    holds_rows(cx, ty, value) || matches!(ty, Type::QuerySet(qs) if is_among(qs))
}

fn is_conditional(cx: &Context<'_>, node: Node<'_>) -> bool {
    cx.node(node.id())
        .ancestors()
        .take_while(|n| n.id() != cx.facts.scope)
        .any(|n| matches!(n.kind(), Kind::If | Kind::Try | Kind::Match | Kind::While))
}

/// Whether a type is a list or an iterator of the rows, or of what hangs on each of them.
fn holds_rows(cx: &Context<'_>, ty: &Type, value: ValueId) -> bool {
    match ty {
        Type::List(t) | Type::Set(t) | Type::Iterator(t) => is_row(cx, t, value),
        Type::Union(types) => types.iter().any(|t| holds_rows(cx, t, value)),
        _ => false,
    }
}

fn is_row(cx: &Context<'_>, ty: &Type, value: ValueId) -> bool {
    match ty {
        Type::Instance(Instance { root: Root::Row(v), .. }) => cx.facts.is_or_may_be(value, *v),
        Type::Tuple(types) | Type::Union(types) => types.iter().any(|t| is_row(cx, t, value)),
        _ => false,
    }
}
