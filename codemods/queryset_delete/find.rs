//! Which loop deletes rows one by one, and where its rows come from.

use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::flow;
use ormend_engine::codemod::guards::found::{Found, found_by};
use ormend_engine::codemod::guards::queryset::rows_given;
use ormend_engine::codemod::loops::{awaited, only_statement, statement_of};
use ormend_engine::django::ModelId;
use ormend_engine::infer::{QuerySet, Root, Type};
use ormend_engine::python::{Expr, Field, Kind, Node, Stmt, arguments, generators, innermost_loop};

/// A loop that deletes a row a turn.
#[derive(Clone, Debug)]
pub struct Deletion<'a> {
    /// The `for` statement or the list comprehension.
    pub node: Node<'a>,
    /// The statement that is the loop.
    pub statement: Node<'a>,
    /// The loop's variable.
    pub target: Node<'a>,
    /// What is iterated, as written.
    pub iter: Node<'a>,
    /// The call of `delete()`.
    pub call: Node<'a>,
    /// `adelete()`
    pub is_async: bool,
    /// The model of the rows.
    pub model: ModelId,
    /// What is deleted.
    pub what: What<'a>,
}

/// What a turn deletes.
#[derive(Clone, Debug)]
pub enum What<'a> {
    /// The row of the loop.
    Row {
        /// The expression of the queryset.
        chain: Node<'a>,
        /// Its state.
        queryset: &'a QuerySet,
        /// Conditions of the comprehension, or of an `if` that is the loop's whole body.
        conditions: Vec<Node<'a>>,
        /// The statement of the delete; none in a comprehension.
        place: Option<Node<'a>>,
        /// The loop does other work as well.
        is_among: bool,
        /// The rows stand in a list that was made of the queryset's.
        is_listed: bool,
    },
    /// The rows that a lookup by the loop's variable finds.
    Found(Found<'a>),
}

/// The loop at `node`.
pub fn deletion<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Deletion<'a>> {
    if node.has_error() || node.enclosing_scope()? != cx.scope() || cx.scope().kind() == Kind::Module {
        return None;
    }
    match node.kind() {
        Kind::For => in_statement(cx, node),
        Kind::ListComp => in_comprehension(cx, node),
        _ => None,
    }
}

fn in_statement<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Deletion<'a>> {
    let Stmt::For { is_async: is_async_for, target, iter, body, orelse: None } = Stmt::of(node) else {
        return None;
    };
    let name = plain_name(target)?;
    let calls: Vec<Node<'a>> = body
        .descendants()
        .filter(|n| n.kind() == Kind::Call && n.enclosing_scope() == Some(cx.scope()))
        .filter(|n| deletes(*n).is_some() && innermost_loop(*n) == Some(node))
        .collect();
    let find = |call: Node<'a>| {
        let (receiver, is_async) = deletes(call)?;
        let statement = statement_of(if is_async { awaited(call)? } else { call })?;
        let base =
            |model, what| Deletion { node, statement: node, target, iter, call, is_async, model, what };
        if matches!(Expr::of(receiver), Expr::Name(n) if n == name) {
            let given = rows_given(cx, iter, is_async_for);
            let is_listed = given.is_none();
            let (chain, queryset) = given.or_else(|| rows_listed(cx, node, iter))?;
            is_row(cx, receiver, queryset).then_some(())?;
            let (conditions, is_among) = match only_statement(body, statement) {
                Some(conditions) => (conditions, false),
                None => (Vec::new(), true),
            };
            let place = Some(statement);
            let what = What::Row { chain, queryset, conditions, place, is_among, is_listed };
            return Some(base(queryset.model, what));
        }
        if is_async_for || only_statement(body, statement) != Some(Vec::new()) {
            return None;
        }
        let found = found_by(cx, receiver, name, iter)?;
        Some(base(found.model, What::Found(found)))
    };
    match calls.as_slice() {
        [only] => find(*only),
        _ => None,
    }
}

fn in_comprehension<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Deletion<'a>> {
    let statement = node.with_parens().parent().filter(|s| s.kind() == Kind::ExprStatement)?;
    let generators = generators(node);
    let [only] = generators.as_slice() else { return None };
    let name = plain_name(only.target)?;
    let element = node.child(Field::Body)?.peel();
    let call = match Expr::of(element) {
        Expr::Await(inner) => inner.peel(),
        _ => element,
    };
    let (receiver, is_async) = deletes(call)?;
    if is_async != (element.kind() == Kind::Await) {
        return None;
    }
    let base = |model, what| Deletion {
        node,
        statement,
        target: only.target,
        iter: only.iter,
        call,
        is_async,
        model,
        what,
    };
    if matches!(Expr::of(receiver), Expr::Name(n) if n == name) {
        let (chain, queryset) = rows_given(cx, only.iter, only.is_async)?;
        is_row(cx, receiver, queryset).then_some(())?;
        let conditions = only.conditions.clone();
        let what = What::Row { chain, queryset, conditions, place: None, is_among: false, is_listed: false };
        return Some(base(queryset.model, what));
    }
    if only.is_async || !only.conditions.is_empty() {
        return None;
    }
    let found = found_by(cx, receiver, name, only.iter)?;
    Some(base(found.model, What::Found(found)))
}

/// The queryset of whose rows a list is made, and its expression: `list(queryset)`, `[row for row in queryset if ...]`, here or
/// where the variable gets it.
fn rows_listed<'a>(cx: &Context<'a>, node: Node<'a>, iter: Node<'a>) -> Option<(Node<'a>, &'a QuerySet)> {
    let made = match Expr::of(iter) {
        Expr::Name(name) => {
            let is_it = |n: &Node<'a>| n.kind() == Kind::Name && n.text() == name && n.is_binding();
            let mut bindings = cx.scope().descendants().filter(is_it);
            let (Some(only), None) = (bindings.next(), bindings.next()) else { return None };
            let statement = only.statement().filter(|s| flow::dominates(*s, node))?;
            let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement) else { return None };
            (targets.len() == 1 && targets.first()?.peel() == only).then_some(value.peel())?
        }
        _ => iter.peel(),
    };
    if made.kind() != Kind::ListComp {
        return match Expr::of(made) {
            Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Name("list")) => {
                rows_given(cx, made, false)
            }
            _ => None,
        };
    }
    let generators = generators(made);
    let [only] = generators.as_slice() else { return None };
    let element = made.child(Field::Body)?.peel();
    let is_row =
        matches!((Expr::of(element), Expr::of(only.target)), (Expr::Name(a), Expr::Name(b)) if a == b);
    if only.is_async || !is_row { None } else { rows_given(cx, only.iter, false) }
}

fn plain_name(target: Node<'_>) -> Option<&str> {
    match Expr::of(target) {
        Expr::Name(name) => Some(name),
        _ => None,
    }
}

/// The receiver of `x.delete()` or `x.adelete()` without arguments.
fn deletes(call: Node<'_>) -> Option<(Node<'_>, bool)> {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    if list.kind() == Kind::GeneratorExp || !arguments(list).is_empty() {
        return None;
    }
    match Expr::of(func) {
        Expr::Attribute { value, attr: "delete", .. } => Some((value.peel(), false)),
        Expr::Attribute { value, attr: "adelete", .. } => Some((value.peel(), true)),
        _ => None,
    }
}

fn is_row<'a>(cx: &Context<'a>, receiver: Node<'a>, queryset: &QuerySet) -> bool {
    match cx.type_of(receiver) {
        Type::Instance(i) => {
            i.model == queryset.model && i.path.is_empty() && !matches!(i.root, Root::Value(_))
        }
        _ => false,
    }
}
