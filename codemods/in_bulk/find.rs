//! The shapes: `get(pk=key)` and `filter(pk=key).first()` in the body of a loop that binds the key.

use super::keys::{Keys, Round, keys, rounds};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::handlers::catches_only;
use ormend_engine::django::{Field, FieldKind, ModelId};
use ormend_engine::infer::{QuerySet, Rows, Type};
use ormend_engine::python::{Argument, Expr, Handler, Kind, Node, Stmt, arguments};

/// What the pattern matcher binds.
pub struct Match<'a> {
    /// The whole lookup, `get()` or `first()`.
    pub call: Node<'a>,
    /// What `in_bulk()` is called on.
    pub receiver: Node<'a>,
    /// Its rows.
    pub model: ModelId,
    /// Where it is a queryset, in which state.
    pub queryset: Option<&'a QuerySet>,
    /// The unique column that is looked up.
    pub field: &'a Field,
    /// `pk`, or the field's name.
    pub field_name: &'a str,
    /// The keyword's value.
    pub key: Node<'a>,
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
    let (lookup, ends) = lookup(call)?;
    let Expr::Call { func, arguments: list } = Expr::of(lookup) else { return None };
    let Expr::Attribute { value: receiver, .. } = Expr::of(func) else { return None };
    let all = arguments(list);
    let [only] = all.as_slice() else { return None };
    let (model, queryset) = match cx.type_of(receiver) {
        Type::Manager(manager) => (manager.model, None),
        Type::QuerySet(qs) if qs.rows == Rows::Instances => (qs.model, Some(&**qs)),
        _ => return None,
    };
    let (field, field_name) = unique(cx, model, *only)?;
    // Async code asks with aget().
    if call.enclosing_function().is_some_and(|f| f.is_async()) {
        return None;
    }
    let key = only.value.peel();
    let round = rounds(cx, call, key)?;
    if !is_fixed(cx, receiver, &round) {
        return None;
    }
    let missing = match ends {
        true => Missing::Nothing,
        false => caught(cx, call, model).map_or(Missing::Raises, Missing::Caught),
    };
    let keys = keys(cx, &round, key);
    Some(Match { call, receiver, model, queryset, field, field_name, key, round, keys, missing })
}

/// The call of `get()` or `filter()`, and whether a row that is missing gives None.
fn lookup<'a>(call: Node<'a>) -> Option<(Node<'a>, bool)> {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return None };
    match attr {
        "get" => (list.kind() == Kind::Arguments && !is_filter(value)).then_some((call, false)),
        "first" | "last" if arguments(list).is_empty() && is_filter(value) => Some((value.peel(), true)),
        _ => None,
    }
}

fn is_filter(node: Node<'_>) -> bool {
    matches!(Expr::of(node), Expr::Call { func, .. }
        if matches!(Expr::of(func), Expr::Attribute { attr: "filter", .. }))
}

/// The column that a keyword looks up, where it is the primary key or unique, and how it is called.
fn unique<'a>(cx: &Context<'a>, model: ModelId, keyword: Argument<'a>) -> Option<(&'a Field, &'a str)> {
    let name = keyword.name?;
    let name = name.strip_suffix("__exact").unwrap_or(name);
    let info = cx.model(model);
    let key = info.primary_key()?;
    let field = if name == "pk" { key } else { info.field(name)? };
    if field.primary_key {
        return (field.relation.is_none() && !field.has_hooks).then_some((field, "pk"));
    }
    let is_plain = matches!(field.kind, FieldKind::Integer | FieldKind::Char | FieldKind::Uuid);
    let is_own = field.class.starts_with("django.db.models.") && !field.has_hooks && !field.null;
    (is_plain && is_own && field.unique && field.relation.is_none()).then_some((field, &field.name))
}

/// Whether the receiver is the same in every round: a chain of a manager's or queryset's methods whose arguments are names
/// and constants that the loop does not bind.
fn is_fixed<'a>(cx: &Context<'a>, receiver: Node<'a>, round: &Round<'a>) -> bool {
    let mut spine = vec![receiver.peel()];
    while let Some(Expr::Call { func, .. }) = spine.last().map(|n| Expr::of(*n)) {
        let Expr::Attribute { value, .. } = Expr::of(func) else { return false };
        if !matches!(cx.type_of(value), Type::Manager(_) | Type::QuerySet(_)) {
            return false;
        }
        spine.push(value.peel());
    }
    receiver.descendants().all(|n| match n.kind() {
        Kind::Call => spine.contains(&n),
        Kind::Name => !round.binds(n.text()),
        Kind::Lambda | Kind::NamedExpr | Kind::Await | Kind::Yield => false,
        kind => !kind.is_comprehension(),
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
    (leaves || gives_none).then_some(Caught { statement, name: *target, handler: *handler, gives_none })
}
