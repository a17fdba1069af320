//! What makes a read happen once a row.

use super::guards;
use crate::codemod::Context;
use crate::infer::{Instance, Origin, Root, Type, Use, Value, ValueId};
use crate::python::{Expr, Field, Kind, Node, NodeId, arguments, generators, parameters};
use crate::text::Site;

/// Whether `ty` holds rows of `value`.
fn holds_rows(ty: &Type, value: ValueId) -> bool {
    match ty {
        Type::Instance(Instance { root, .. }) => *root == Root::Row(value),
        Type::QuerySet(qs) => qs.values.contains(&value),
        Type::List(t) | Type::Set(t) | Type::Iterator(t) => holds_rows(t, value),
        Type::Tuple(types) | Type::Union(types) => types.iter().any(|t| holds_rows(t, value)),
        Type::Dict(kv) => holds_rows(&kv.0, value) || holds_rows(&kv.1, value),
        // A formset or a form of one.
        Type::Bound(rows, _) => holds_rows(rows, value),
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
        Type::Callable(_) => true,
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
                // One row a key: `[books[key].author for key in keys]`.
                let first = generators(node).into_iter().next().filter(|g| !g.iter.contains(at));
                if let Some(generator) = first
                    && by_key(cx, start, value)
                    && is_made_outside(cx, value, node)
                {
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

/// Whether the rows of `value` are looked up in a dict within the expression `read`: `books[key].author`.
fn by_key(cx: &Context<'_>, read: Node<'_>, value: ValueId) -> bool {
    let is_dict_of_rows = |n: Node<'_>| matches!(cx.type_of(n), Type::Dict(kv) if holds_rows(&kv.1, value));
    read.descendants().any(|n| match Expr::of(n) {
        Expr::Subscript { value: owner, .. } => is_dict_of_rows(owner),
        Expr::Attribute { value: owner, attr: "get", .. } => is_dict_of_rows(owner),
        _ => false,
    })
}

/// Whether the queryset of `value` is not built anew in each round of the loop `node`.
fn is_made_outside(cx: &Context<'_>, value: ValueId, node: Node<'_>) -> bool {
    match cx.value(value) {
        // One of several: each of them.
        Some(v) if !v.alternatives.is_empty() => v.alternatives.iter().all(|v| is_made_outside(cx, *v, node)),
        Some(Value { origin: Origin::Expr(origin), .. }) => !node.contains(*origin),
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
pub(super) fn leaves_rounds(cx: &Context<'_>, value: ValueId, at: NodeId) -> bool {
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

/// Whether a read happens once a row. A loop of a callee, or of a template, is only known by its round: `in_round`.
pub(super) fn is_repeated(cx: &Context<'_>, value: ValueId, at: NodeId, site: Site, in_round: bool) -> bool {
    let own = cx.node(at);
    if site.file == cx.file && own.span().contains(site.span) {
        return repeating(cx, value, at).is_some();
    }
    match guards::node_at(cx.project, site) {
        // The read stands in a callee: not in what is rare there.
        Some(node) if is_rare(node) => return false,
        // It stands in a template.
        None => return in_round,
        _ => {}
    }
    if in_round || repeating(cx, value, at).is_some() {
        return true;
    }
    // The callee gets all rows and goes over them itself.
    let Expr::Call { arguments: list, .. } = Expr::of(own) else { return false };
    let gets_all = arguments(list).iter().any(|a| gives_rows(cx, cx.type_of(a.value), value));
    gets_all && cx.facts.uses(value).any(|(e, how)| own.contains(e.at) && *how == Use::Iterate)
}

/// Whether a node stands in an error that is raised, in a handler, or in the message of an assertion.
fn is_rare(node: Node<'_>) -> bool {
    let mut child = node;
    for outer in node.ancestors() {
        match outer.kind() {
            Kind::Raise | Kind::ExceptHandler => return true,
            Kind::Assert if outer.children().next().is_some_and(|t| t.id() != child.id()) => return true,
            Kind::FunctionDef => break,
            _ => {}
        }
        child = outer;
    }
    false
}
