//! The shapes: a row that is read, changed and saved in one transaction without a lock; a lock that is none.

use super::depends::{Life, Written, is_save};
use super::idle::{Idle, Outside, idle, outside};
use super::next::{Next, next};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::instance::Subject;
use ormend_engine::codemod::guards::loads::{Load, load_at};
use ormend_engine::codemod::guards::transaction::{open_block, opened};
use ormend_engine::django::ModelId;
use ormend_engine::infer::{Root, Type};
use ormend_engine::python::{Expr, Kind, Node, Stmt, parameters};

/// What the pattern matcher binds.
pub enum Match<'a> {
    /// A row that is loaded and saved in one transaction.
    Unlocked(Unlocked<'a>),
    /// A row that is saved in a transaction, and was loaded before it or by somebody else.
    Elsewhere(Elsewhere<'a>),
    /// `select_for_update()` that locks nothing.
    Idle(Idle<'a>),
    /// `select_for_update()` outside of a transaction.
    Outside(Outside<'a>),
    /// A number for a new row that is computed from the rows that are there.
    Next(Next<'a>),
}

/// A row that is loaded and saved in one transaction.
pub struct Unlocked<'a> {
    /// The variable.
    pub name: &'a str,
    /// The model.
    pub model: ModelId,
    /// How it is loaded.
    pub load: Load<'a>,
    /// The transaction's block.
    pub block: Node<'a>,
    /// What is written.
    pub written: Written<'a>,
}

/// A row that is saved in a transaction, and was loaded before it or by somebody else.
pub struct Elsewhere<'a> {
    /// The variable.
    pub name: &'a str,
    /// What is written.
    pub written: Written<'a>,
    /// The load, where it stands before the transaction.
    pub load: Option<Node<'a>>,
}

/// What stands at a statement or a call.
pub fn find<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    match node.kind() {
        Kind::Call => idle(cx, node).map(Match::Idle).or_else(|| outside(cx, node).map(Match::Outside)),
        _ => loaded(cx, node)
            .or_else(|| handed_in(cx, node).map(Match::Elsewhere))
            .or_else(|| next(cx, node).map(Match::Next)),
    }
}

/// `x = Model.objects.get(...)`
fn loaded<'a>(cx: &Context<'a>, statement: Node<'a>) -> Option<Match<'a>> {
    let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement) else { return None };
    let [target] = targets.as_slice() else { return None };
    let Expr::Name(name) = Expr::of(*target) else { return None };
    let scope = statement.enclosing_function().filter(|s| *s == cx.scope() && !s.is_async())?;
    let call = value.peel();
    let load = load_at(cx, statement, call)?;
    let instance = cx.type_of(value).instance()?;
    if !instance.path.is_empty() {
        return None;
    }
    let subject = Subject { scope, name, path: Vec::new(), instance: instance.clone() };
    let model = instance.model;
    if let Some(block) = open_block(cx, statement) {
        let written = Life::of(cx, &subject, block, Some(statement)).written()?;
        if is_locked_before(cx, block, &load, model) {
            return None;
        }
        if load.method == "get_object" {
            return Some(Match::Elsewhere(Elsewhere { name, written, load: None }));
        }
        return Some(Match::Unlocked(Unlocked { name, model, load, block, written }));
    }
    // The transaction starts behind the load.
    let blocks = scope
        .descendants()
        .filter(|n| n.kind() == Kind::With && n.id() > statement.id() && n.enclosing_scope() == Some(scope));
    for with in blocks {
        let Stmt::With { body, .. } = Stmt::of(with) else { continue };
        let Some(inside) = body.children().next() else { continue };
        let Some(block) = open_block(cx, inside) else { continue };
        if let Some(written) = Life::of(cx, &subject, block, Some(statement)).written() {
            return Some(Match::Elsewhere(Elsewhere { name, written, load: Some(call) }));
        }
    }
    None
}

/// Whether the transaction has locked rows of the model before, so that this load may be of a locked one. A single row
/// that was found by another key is another row.
fn is_locked_before<'a>(cx: &Context<'a>, block: Node<'a>, load: &Load<'a>, model: ModelId) -> bool {
    let is_same = |m: ModelId| cx.model(m).concrete == cx.model(model).concrete;
    locks(block).any(|lock| {
        let key = lookups(top_of_chain(lock));
        lock.id() < load.statement.id()
            && locked_model(cx, lock).is_none_or(is_same)
            && (key.is_none() || key == lookups(load.call))
    })
}

/// The arguments of `get()`.
fn lookups(call: Node<'_>) -> Option<&str> {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    matches!(Expr::of(func), Expr::Attribute { attr: "get", .. }).then(|| list.text())
}

/// The last call of the chain that starts with `call`.
pub fn top_of_chain(call: Node<'_>) -> Node<'_> {
    let mut top = call;
    loop {
        let attribute = top.with_parens().parent().filter(|p| p.kind() == Kind::Attribute);
        let outer = attribute.and_then(|a| a.with_parens().parent()).filter(|p| p.kind() == Kind::Call);
        match outer {
            Some(outer) => top = outer,
            None => return top,
        }
    }
}

/// The calls of `select_for_update()` below a node.
pub fn locks<'a>(below: Node<'a>) -> impl Iterator<Item = Node<'a>> {
    below.descendants().filter(|n| {
        n.kind() == Kind::Call
            && matches!(Expr::of(*n), Expr::Call { func, .. }
                if matches!(Expr::of(func), Expr::Attribute { attr: "select_for_update", .. }))
    })
}

/// The model whose rows a lock is for.
pub fn locked_model<'a>(cx: &Context<'a>, lock: Node<'a>) -> Option<ModelId> {
    let Expr::Call { func, .. } = Expr::of(lock) else { return None };
    let Expr::Attribute { value, .. } = Expr::of(func) else { return None };
    match cx.type_of(value) {
        Type::QuerySet(qs) => Some(qs.model),
        Type::Manager(manager) => Some(manager.model),
        _ => None,
    }
}

/// `order.save()` of an instance that came as a parameter.
fn handed_in<'a>(cx: &Context<'a>, statement: Node<'a>) -> Option<Elsewhere<'a>> {
    let Stmt::Expr(call) = Stmt::of(statement) else { return None };
    let call = call.peel();
    if !is_save(call) {
        return None;
    }
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    let Expr::Attribute { value, .. } = Expr::of(func) else { return None };
    let Expr::Name(name) = Expr::of(value) else { return None };
    let scope = statement.enclosing_function().filter(|s| *s == cx.scope())?;
    if !parameters(scope).iter().any(|p| p.name == name) || matches!(function_name(scope), "save" | "delete")
    {
        return None;
    }
    let subject = Subject::of(cx, scope, value)?;
    // Read again, it may be locked.
    let is_bound_again = scope.descendants().any(|n| {
        n.kind() == Kind::Name
            && n.text() == name
            && n.is_binding()
            && n.statement().is_some_and(|s| s.id() > scope.id())
    });
    if is_bound_again || matches!(subject.instance.root, Root::Row(_)) {
        return None;
    }
    // Who opens it for this function may have locked the row as well.
    let block = open_block(cx, statement).filter(|_| !opened(cx, cx.file, statement).is_empty())?;
    if locks(scope).next().is_some() {
        return None;
    }
    let written = Life::of(cx, &subject, block, None).written()?;
    (written.save == call).then_some(Elsewhere { name, written, load: None })
}

fn function_name(scope: Node<'_>) -> &str {
    scope.child(ormend_engine::python::Field::Name).map_or("", Node::text)
}
