//! The shapes: `get(pk=key)` and `filter(pk=key).first()` in the body of a loop that binds the key.

use super::keys::{Keys, Round, depends, keys, rounds};
use super::lookup::{Ends, Lookup, asks, changing, lookup, spine, unique, varying};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::handlers::catches_only;
use ormend_engine::django::{self, ModelId};
use ormend_engine::infer::{QuerySet, Rows, Type};
use ormend_engine::python::{Argument, Expr, Field, Handler, Kind, Node, Stmt};

/// What the pattern matcher binds.
pub struct Match<'a> {
    /// The whole lookup, `get()` or `first()`.
    pub call: Node<'a>,
    /// Its parts.
    pub lookup: Lookup<'a>,
    /// What `in_bulk()` is called on, without the conditions beside the key.
    pub receiver: Node<'a>,
    /// The conditions beside the key.
    pub conditions: Vec<Argument<'a>>,
    /// What of them, or of the receiver, cannot be asked once for all rounds.
    pub varying: Option<Node<'a>>,
    /// Its rows.
    pub model: ModelId,
    /// Where it is a queryset, in which state.
    pub queryset: Option<&'a QuerySet>,
    /// The unique column that is looked up.
    pub field: &'a django::Field,
    /// `pk`, or the field's name.
    pub field_name: &'a str,
    /// The keyword's value.
    pub shown: Node<'a>,
    /// The same in terms of what the loop binds.
    pub key: Node<'a>,
    /// The value is no key that is known before the loop.
    pub is_computed: bool,
    /// The loop that binds the key.
    pub round: Round<'a>,
    /// How the keys are written before it.
    pub keys: Option<Keys<'a>>,
    /// What a row that is missing leads to.
    pub missing: Missing<'a>,
}

/// What a row that is missing leads to.
#[derive(Clone, Copy, Debug)]
pub enum Missing<'a> {
    /// `first()` gives None.
    Nothing,
    /// `get()` raises, and nothing right around takes it.
    Raises,
    /// `get_object_or_404()` raises Http404.
    NotFound,
    /// `try: book = ...get(...)` and a handler for just that.
    Caught(Caught<'a>),
}

/// A `try` around nothing but the lookup.
#[derive(Clone, Copy, Debug)]
pub struct Caught<'a> {
    /// The statement.
    pub statement: Node<'a>,
    /// The name that gets the row.
    pub name: Node<'a>,
    /// The handler.
    pub handler: Handler<'a>,
    /// All that the handler does is to give the name None.
    pub gives_none: bool,
}

/// The pattern matcher.
pub fn find<'a>(cx: &Context<'a>, call: Node<'a>) -> Option<Match<'a>> {
    let lookup = lookup(cx, call)?;
    let receiver = lookup.receiver;
    let instances = |qs: &QuerySet| qs.rows == Rows::Instances;
    let model = match cx.type_of(receiver) {
        Type::Manager(manager) => manager.model,
        Type::QuerySet(qs) if instances(qs) => qs.model,
        Type::ModelClass(model) if lookup.ends == Ends::NotFound => *model,
        _ => return None,
    };
    let queryset = match cx.type_of(lookup.whole) {
        Type::QuerySet(qs) if instances(qs) => Some(&**qs),
        _ => None,
    };
    // Async code asks with aget().
    if call.enclosing_function().is_some_and(|f| f.is_async()) {
        return None;
    }
    let by_key = lookup.arguments.iter().enumerate().find_map(|(at, a)| {
        let (field, name) = unique(cx, model, *a).filter(|_| a.stars == 0)?;
        let (round, key) = rounds(cx, call, a.value.peel())?;
        Some((at, field, name, key, round))
    });
    let is_computed = by_key.is_none();
    let (at, field, field_name, key, round) = by_key.or_else(|| {
        // One row, by something that the loop makes.
        let field = cx.model(model).primary_key()?;
        lookup.arguments.iter().enumerate().find_map(|(at, a)| {
            let is_one = lookup.ends != Ends::Nothing || unique(cx, model, *a).is_some();
            let round = depends(cx, call, a.value).filter(|_| is_one && a.stars == 0)?;
            Some((at, field, "pk", a.value.peel(), round))
        })
    })?;
    let shown = lookup.arguments.get(at)?.value.peel();
    let mut conditions = lookup.arguments.clone();
    conditions.remove(at);
    let spine = spine(cx, receiver, &round)?;
    let is_chained = |n: &Node<'a>| {
        let mut lists = lookup.chained.iter().filter_map(|c| c.child(Field::Arguments));
        lists.any(|list| list.contains(n.id()))
    };
    let is_other = |n: Node<'a>| n.kind() == Kind::Call || n.kind() == Kind::Name && round.binds(n.text());
    let varying = varying(cx, model, &round, &lookup, &conditions)
        .or_else(|| asks(cx, receiver, &spine))
        .or_else(|| changing(cx, receiver, &round))
        .or_else(|| lookup.whole.descendants().find(|n| is_chained(n) && is_other(*n)));
    let missing = match lookup.ends {
        Ends::Nothing => Missing::Nothing,
        Ends::NotFound => Missing::NotFound,
        Ends::Raises => caught(cx, call, model).map_or(Missing::Raises, Missing::Caught),
    };
    // The handler would find the row, or None, where the key was.
    let is_lost = matches!(&missing, Missing::Caught(caught)
        if shown.has_name(caught.name.text()));
    let varying = if is_computed || is_lost { Some(shown) } else { varying };
    let keys = keys(cx, &round, key);
    Some(Match {
        is_computed,
        shown,
        call,
        lookup,
        receiver,
        conditions,
        varying,
        model,
        queryset,
        field,
        field_name,
        key,
        round,
        keys,
        missing,
    })
}

/// The `try` around nothing but `name = ...get(...)`.
fn caught<'a>(cx: &Context<'a>, call: Node<'a>, model: ModelId) -> Option<Caught<'a>> {
    let assigned = call.with_parens().parent().filter(|p| p.kind() == Kind::Assign)?;
    let inner = assigned.parent()?;
    let statement = inner.parent()?.parent().filter(|t| t.kind() == Kind::Try)?;
    let Stmt::Try { body, handlers, finally: None, orelse } = Stmt::of(statement) else { return None };
    let [handler] = handlers.as_slice() else { return None };
    let Stmt::Assign { targets, annotation: None, .. } = Stmt::of(inner) else { return None };
    let [target] = targets.as_slice() else { return None };
    let Expr::Name(name) = Expr::of(*target) else { return None };
    let is_alone = body.children().filter(|c| c.kind() != Kind::Comment).count() == 1;
    if !is_alone || handler.name.is_some() || !catches_only(cx, handler.class?, model) {
        return None;
    }
    // A bare `raise`, `sys.exc_info()`, `logger.exception()` look at the exception.
    let looks = |n: Node<'_>| {
        n.kind() == Kind::Raise && n.children().next().is_none()
            || n.kind() == Kind::Name && matches!(n.text(), "exception" | "exc_info" | "traceback" | "sys")
    };
    if handler.body.descendants().any(looks) {
        return None;
    }
    let gives_none = orelse.is_none()
        && handler.body.children().count() == 1
        && handler.body.children().next().is_some_and(|only| {
            matches!(Stmt::of(only), Stmt::Assign { targets, value: Some(value), annotation: None }
                if matches!(Expr::of(value), Expr::None)
                    && matches!(targets.as_slice(), [one] if one.text() == name))
        });
    let leaves = handler.body.children().any(ormend_engine::codemod::guards::flow::leaves);
    // Otherwise the name keeps what it had in the round before.
    let sets = gives(handler.body, name) || is_for_else(cx, name, body, handler.body, orelse);
    (leaves || gives_none || sets).then_some(Caught {
        statement,
        name: *target,
        handler: *handler,
        gives_none,
    })
}

/// Whether a handler certainly gives the name another value, and does not look at what it had.
fn gives<'a>(block: Node<'a>, name: &str) -> bool {
    for statement in block.children() {
        if let Stmt::Assign { targets, value: Some(value), annotation: None } = Stmt::of(statement)
            && let [one] = targets.as_slice()
            && matches!(Expr::of(*one), Expr::Name(n) if n == name)
        {
            return !mentions(value, name);
        }
        if mentions(statement, name) {
            return false;
        }
    }
    false
}

/// Whether nothing looks at the name but what runs only where there is a row: the `else` of the `try`.
fn is_for_else<'a>(
    cx: &Context<'a>,
    name: &str,
    body: Node<'a>,
    handler: Node<'a>,
    orelse: Option<Node<'a>>,
) -> bool {
    let Some(orelse) = orelse else { return false };
    let scope = cx.scope();
    !handler.has_name(name) && scope.mentions(name).all(|n| body.contains(n.id()) || orelse.contains(n.id()))
}

fn mentions(node: Node<'_>, name: &str) -> bool {
    node.has_name(name)
}
