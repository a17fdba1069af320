//! Whether one row may come twice in what a loop goes through. `bulk_update()` keeps the first value of a row that comes
//! twice, a loop that saves the last; two instances of one row are two objects.

use crate::codemod::Context;
use crate::infer::{QuerySet, Trait, Type};
use crate::python::{Expr, Field, Kind, Node, Stmt, arguments, generators};

/// Names and calls are followed this far.
const MAX_HOPS: usize = 8;

/// The place that may give one row more than once, in the queryset or in the lists and iterators around it.
pub(super) fn repeated<'a>(
    cx: &Context<'a>,
    iter: Node<'a>,
    queryset: Option<&QuerySet>,
) -> Option<Node<'a>> {
    if queryset.is_some_and(|qs| may_repeat(cx, qs)) {
        return Some(iter);
    }
    source(cx, iter, 0)
}

/// Whether the queryset may give one row more than once.
pub(super) fn may_repeat(cx: &Context<'_>, queryset: &QuerySet) -> bool {
    let through = queryset.related.as_ref().is_some_and(|related| {
        // A link model of the project's own may link the same two rows again.
        let field = cx.project.relation_field(related.owner.model, &related.accessor);
        field.and_then(|f| f.relation.as_ref()).is_none_or(|r| r.through.is_some())
    });
    through || queryset.is(Trait::ToMany) && !queryset.is(Trait::Distinct)
}

/// The expression in `node` that puts several sources one behind the other.
fn source<'a>(cx: &Context<'a>, node: Node<'a>, depth: usize) -> Option<Node<'a>> {
    if depth > MAX_HOPS {
        return None;
    }
    let node = node.peel();
    if let Type::QuerySet(queryset) = cx.type_of(node) {
        return may_repeat(cx, queryset).then_some(node);
    }
    match Expr::of(node) {
        Expr::Name(name) => named(cx, node, name, depth),
        Expr::BinOp { left, op: Kind::Add, right } if !is_empty(left) && !is_empty(right) => Some(node),
        Expr::List(list) | Expr::Tuple(list) => {
            let spread: Vec<Node<'a>> = list
                .children()
                .filter_map(|item| match Expr::of(item) {
                    Expr::Starred(inner) => Some(inner),
                    _ => None,
                })
                .collect();
            match spread.as_slice() {
                [] => None,
                [only] if list.children().count() == 1 => source(cx, *only, depth + 1),
                _ => Some(node),
            }
        }
        Expr::Comp { element, .. } if node.kind() != Kind::SetComp => comprehension(cx, node, element, depth),
        Expr::Call { func, arguments: list } => {
            let args = arguments(list);
            let name = match Expr::of(func) {
                Expr::Name(name) => name,
                Expr::Attribute { attr, .. } => attr,
                _ => return None,
            };
            match (name, args.as_slice()) {
                ("list" | "tuple" | "enumerate" | "sorted" | "reversed" | "iter" | "tqdm", [first, ..]) => {
                    source(cx, first.value, depth + 1)
                }
                ("filter", [_, second]) => source(cx, second.value, depth + 1),
                ("chain", [only]) if only.stars == 0 => source(cx, only.value, depth + 1),
                ("chain" | "from_iterable" | "chain_iterables" | "product" | "cycle" | "repeat", [_, ..]) => {
                    Some(node)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// `[row for ... for ...]`: rows of a relation come once for each of their owners, which come once themselves.
fn comprehension<'a>(cx: &Context<'a>, node: Node<'a>, element: Node<'a>, depth: usize) -> Option<Node<'a>> {
    let loops = generators(node);
    let last = loops.last()?;
    if !matches!((Expr::of(element), Expr::of(last.target)), (Expr::Name(a), Expr::Name(b)) if a == b) {
        // Rows that other rows lead to.
        return (!matches!(Expr::of(element), Expr::Call { .. })).then_some(node);
    }
    let pairs: Vec<(Node<'a>, Node<'a>)> = loops.iter().map(|g| (g.target, g.iter)).collect();
    nested(cx, &pairs, node, depth)
}

/// Rows that come from loops inside of loops, outermost first: each must go through what belongs to the row of the one
/// around it.
fn nested<'a>(
    cx: &Context<'a>,
    loops: &[(Node<'a>, Node<'a>)],
    place: Node<'a>,
    depth: usize,
) -> Option<Node<'a>> {
    let (_, first) = loops.first()?;
    if let Some(found) = source(cx, *first, depth + 1) {
        return Some(found);
    }
    if loops.len() > 1 && cx.type_of(*first).queryset().is_none() {
        return Some(place);
    }
    for pair in loops.windows(2) {
        let [(target, _), (_, iter)] = pair else { continue };
        let is_owned = cx
            .type_of(*iter)
            .queryset()
            .is_some_and(|qs| !may_repeat(cx, qs) && root_name(*iter) == target.text() && belongs(cx, qs));
        if !is_owned {
            return Some(place);
        }
    }
    None
}

/// Whether a row of the related queryset has one owner: a foreign key leads to it.
fn belongs(cx: &Context<'_>, queryset: &QuerySet) -> bool {
    queryset.related.as_ref().is_some_and(|related| {
        cx.model(related.owner.model).reverse(&related.accessor).is_some_and(|reverse| {
            matches!(
                reverse.kind,
                crate::django::RelationKind::ForeignKey | crate::django::RelationKind::OneToOne
            )
        })
    })
}

/// The name that a chain of attributes and calls starts with.
fn root_name(node: Node<'_>) -> &str {
    let mut node = node.peel();
    for _ in 0..50 {
        node = match Expr::of(node) {
            Expr::Attribute { value, .. } => value.peel(),
            Expr::Call { func, .. } => func.peel(),
            Expr::Name(name) => return name,
            _ => return "",
        };
    }
    ""
}

/// A list that the function fills: what it is bound to, and what is added to it.
fn named<'a>(cx: &Context<'a>, node: Node<'a>, name: &str, depth: usize) -> Option<Node<'a>> {
    let scope = cx.scope();
    let mut added: Option<Node<'a>> = None;
    for mention in scope.mentions(name) {
        if mention.id() >= node.id() || mention.enclosing_scope() != node.enclosing_scope() {
            continue;
        }
        let Some(statement) = mention.statement() else { continue };
        if mention.is_binding() {
            match Stmt::of(statement) {
                Stmt::Assign { value: Some(value), .. } => {
                    if let Some(found) = source(cx, value, depth + 1) {
                        return Some(found);
                    }
                    // What is filled already is filled further.
                    added = if is_empty(value) { None } else { Some(statement) };
                }
                Stmt::AugAssign { .. } => return Some(statement),
                _ => {}
            }
            continue;
        }
        let Some(attribute) = mention.with_parens().parent().filter(|p| p.kind() == Kind::Attribute) else {
            continue;
        };
        let Expr::Attribute { attr, .. } = Expr::of(attribute) else { continue };
        let Some(call) = attribute.with_parens().parent().filter(|p| p.kind() == Kind::Call) else {
            continue;
        };
        if !matches!(attr, "append" | "extend" | "insert" | "add")
            || matches!(cx.type_of(mention), Type::Set(_))
        {
            continue;
        }
        if added.replace(call).is_some() || fills_again(cx, scope, call, name, depth) {
            return Some(call);
        }
    }
    None
}

/// Whether `rows.append(row)`, in the loops around it, may add one row again.
fn fills_again<'a>(cx: &Context<'a>, scope: Node<'a>, call: Node<'a>, name: &str, depth: usize) -> bool {
    // Loops in which the list is made anew are none.
    let is_made_in = |outer: &Node<'a>| outer.mentions(name).any(Node::is_binding);
    let mut loops: Vec<(Node<'a>, Node<'a>)> = Vec::new();
    for outer in call.ancestors().take_while(|n| *n != scope) {
        match Stmt::of(outer) {
            Stmt::For { .. } | Stmt::While { .. } if is_made_in(&outer) => break,
            Stmt::For { target, iter, .. } => loops.push((target, iter)),
            Stmt::While { .. } => return true,
            _ => {}
        }
    }
    loops.reverse();
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return false };
    let Some(value) = arguments(list).last().map(|a| a.value) else { return false };
    if matches!(Expr::of(func), Expr::Attribute { attr: "extend", .. }) {
        return !loops.is_empty() || source(cx, value, depth + 1).is_some();
    }
    let Some((target, _)) = loops.last() else { return false };
    let is_row = |name: &str| target.has_name(name);
    match Expr::of(value) {
        Expr::Name(name) if is_row(name) => nested(cx, &loops, call, depth).is_some(),
        _ => loops.len() > 1,
    }
}

/// `[]`, `list()`
fn is_empty(value: Node<'_>) -> bool {
    match Expr::of(value) {
        Expr::List(list) | Expr::Tuple(list) => list.children().next().is_none(),
        Expr::Call { func, arguments: list } => {
            matches!(Expr::of(func), Expr::Name("list" | "set")) && arguments(list).is_empty()
        }
        Expr::None => true,
        _ => value.child(Field::Value).is_none() && value.text() == "[]",
    }
}
