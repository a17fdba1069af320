//! The calls that ask for one row by its key, and what they say beside the key.

use super::keys::Round;
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::handlers::external_path;
use ormend_engine::django::{Field, FieldKind, ModelId};
use ormend_engine::infer::Type;
use ormend_engine::python::{Argument, Expr, Kind, Member, Node, arguments};

/// A call that asks for one row.
pub struct Lookup<'a> {
    /// What `get()` or `filter()` is called on; for `get_object_or_404()` its first argument.
    pub receiver: Node<'a>,
    /// What tells which row.
    pub arguments: Vec<Argument<'a>>,
    /// The queryset, with all that is chained behind `filter()`; for `get()` the receiver.
    pub whole: Node<'a>,
    /// The calls behind `filter()`, and their text.
    pub chained: Vec<Node<'a>>,
    /// Their text, from the first dot.
    pub tail: &'a str,
    /// What a row that is missing leads to.
    pub ends: Ends,
}

/// How a lookup ends without a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// None.
    Nothing,
    /// `DoesNotExist`
    Raises,
    /// `Http404`
    NotFound,
}

/// What may stand between `filter(pk=key)` and `first()`: one row stays that row.
const CHAINED: &[&str] = &["all", "select_related", "prefetch_related", "only", "defer", "order_by"];

/// The lookup that a call is.
pub fn lookup<'a>(cx: &Context<'a>, call: Node<'a>) -> Option<Lookup<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    if list.kind() != Kind::Arguments {
        return None;
    }
    let all = arguments(list);
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else {
        let Expr::Name("get_object_or_404") = Expr::of(func) else { return None };
        let (first, rest) = all.split_first().filter(|(f, _)| f.name.is_none() && f.stars == 0)?;
        let is_it = external_path(cx, func).as_deref() == Some("django.shortcuts.get_object_or_404");
        let receiver = first.value;
        let (arguments, chained) = (rest.to_vec(), Vec::new());
        return is_it.then_some(Lookup {
            receiver,
            arguments,
            whole: receiver,
            chained,
            tail: "",
            ends: Ends::NotFound,
        });
    };
    let ends = match (attr, all.is_empty()) {
        ("get", false) => {
            let (chained, tail) = (Vec::new(), "");
            return Some(Lookup {
                receiver: value,
                arguments: all,
                whole: value,
                chained,
                tail,
                ends: Ends::Raises,
            });
        }
        ("get", true) => Ends::Raises,
        ("first" | "last", true) => Ends::Nothing,
        _ => return None,
    };
    let mut chained = Vec::new();
    let mut at = value.peel();
    loop {
        let Expr::Call { func, arguments: list } = Expr::of(at) else { return None };
        let Expr::Attribute { value: inner, attr, .. } = Expr::of(func) else { return None };
        if attr == "filter" {
            let start = at.span().end.checked_sub(value.span().start)? as usize;
            let tail = value.text().get(start..)?;
            let arguments = arguments(list);
            return Some(Lookup { receiver: inner, arguments, whole: value, chained, tail, ends });
        }
        if !CHAINED.contains(&attr) {
            return None;
        }
        chained.push(at);
        at = inner.peel();
    }
}

/// The column that a keyword looks up, where it is the primary key or unique, and how it is called.
pub fn unique<'a>(cx: &Context<'a>, model: ModelId, keyword: Argument<'a>) -> Option<(&'a Field, &'a str)> {
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

/// Whether the rows that are asked for are the same in every round, as far as names tell: a chain of a manager's or
/// queryset's methods. The calls of the chain.
pub fn spine<'a>(cx: &Context<'a>, receiver: Node<'a>, round: &Round<'a>) -> Option<Vec<Node<'a>>> {
    let mut spine = vec![receiver.peel()];
    while let Some(Expr::Call { func, .. }) = spine.last().map(|n| Expr::of(*n)) {
        let Expr::Attribute { value, .. } = Expr::of(func) else { return None };
        if !matches!(cx.type_of(value), Type::Manager(_) | Type::QuerySet(_)) {
            return None;
        }
        spine.push(value.peel());
    }
    let binds = receiver.descendants().any(|n| n.kind() == Kind::Name && round.binds(n.text()));
    (!binds).then_some(spine)
}

/// What stands in a chain, besides its calls, that may do more than give a value.
pub fn asks<'a>(cx: &Context<'a>, chain: Node<'a>, spine: &[Node<'a>]) -> Option<Node<'a>> {
    chain.descendants().find(|n| match n.kind() {
        Kind::Call => !spine.contains(n) && !names_model(cx, *n),
        Kind::Lambda | Kind::NamedExpr | Kind::Await | Kind::Yield => true,
        kind => kind.is_comprehension(),
    })
}

/// `get_user_model()`
fn names_model<'a>(cx: &Context<'a>, call: Node<'a>) -> bool {
    let Expr::Call { func, .. } = Expr::of(call) else { return false };
    external_path(cx, func).as_deref() == Some("django.contrib.auth.get_user_model")
}

/// A collection that a chain names and that the loop may change.
pub fn changing<'a>(cx: &Context<'a>, chain: Node<'a>, round: &Round<'a>) -> Option<Node<'a>> {
    chain.descendants().find(|n| {
        let is_collection =
            || matches!(cx.type_of(*n), Type::List(_) | Type::Set(_) | Type::Dict(_) | Type::Unknown);
        n.kind() == Kind::Name
            && !n.is_label()
            && is_collection()
            && super::hazards::used(cx, round, &[n.text()], &[chain]).is_some()
    })
}

/// The condition beside the key that cannot be asked once for all rows: its value may be another one in another round, or
/// reading it does more than give a value.
pub fn varying<'a>(
    cx: &Context<'a>,
    model: ModelId,
    round: &Round<'a>,
    lookup: &Lookup<'a>,
    conditions: &[Argument<'a>],
) -> Option<Node<'a>> {
    let is_fixed = |argument: &Argument<'a>| {
        let is_many = argument.name.is_some_and(|n| n.ends_with("__in") || n.ends_with("__range"));
        argument.stars == 0
            && argument.name.is_none_or(|name| {
                // What a join reads may be written by the loop.
                !cx.project.is_to_many(model, name)
                    && (lookup.ends == Ends::Nothing || is_own(cx, model, name))
            })
            && is_value(cx, round, argument.value, is_many, lookup, 0)
    };
    conditions.iter().find(|a| !is_fixed(a)).map(|a| a.node)
}

/// A lookup of a column of the table itself.
fn is_own(cx: &Context<'_>, model: ModelId, name: &str) -> bool {
    let mut parts = name.split("__");
    let first = parts.next().unwrap_or_default();
    let info = cx.model(model);
    let Some(field) = info.field(first).or_else(|| info.field_by_attname(first)) else { return false };
    field.relation.is_none() || parts.all(|p| matches!(p, "exact" | "in" | "isnull" | "id" | "pk"))
}

fn is_value<'a>(
    cx: &Context<'a>,
    round: &Round<'a>,
    node: Node<'a>,
    is_many: bool,
    lookup: &Lookup<'a>,
    depth: usize,
) -> bool {
    if depth > 8 {
        return false;
    }
    let value = |inner: Node<'a>| is_value(cx, round, inner, false, lookup, depth + 1);
    match Expr::of(node) {
        Expr::Str(_) => !node.descendants().any(|n| n.kind() == Kind::Interpolation),
        Expr::Int(_) | Expr::Float | Expr::True | Expr::False | Expr::None => true,
        Expr::List(items) | Expr::Tuple(items) | Expr::Set(items) => items.children().all(value),
        Expr::Name(name) => {
            if round.binds(name) {
                return false;
            }
            let own: Vec<Node<'a>> = lookup.arguments.iter().map(|a| a.node).collect();
            let used = || super::hazards::used(cx, round, &[name], &own).is_some();
            match cx.type_of(node).without_none() {
                Type::QuerySet(_) | Type::Manager(_) | Type::Iterator(_) | Type::Union(_) => false,
                Type::List(_) | Type::Set(_) | Type::Dict(_) | Type::Tuple(_) => !used(),
                Type::Unknown => !is_many && !used(),
                Type::Instance(_) => !is_taken_away(round, name),
                _ => true,
            }
        }
        Expr::Attribute { value: owner, attr, .. } => {
            if cx.project.program().resolve_expr(cx.file, node.id()).is_some() {
                return true;
            }
            let Expr::Name(name) = Expr::of(owner) else { return false };
            match cx.type_of(owner) {
                Type::Instance(instance) => {
                    let model = cx.model(instance.model);
                    let member = cx.project.program().member(model.class, attr);
                    let is_column = attr == "pk" || model.field_by_attname(attr).is_some();
                    is_column
                        && !matches!(member, Some((_, Member::Function(..) | Member::Class(_))))
                        && value(owner)
                        && !is_assigned(round, attr)
                }
                // What nobody but the object itself is asked for.
                Type::Object(class) => {
                    let info = cx.project.program().class(*class);
                    let is_plain = !matches!(
                        cx.project.program().member(*class, attr),
                        Some((_, Member::Function(..) | Member::Class(_)))
                    );
                    let in_round = |n: &Node<'a>| n.kind() == Kind::Name && n.text() == name && !n.is_label();
                    let is_read = |n: Node<'a>| {
                        let attribute = n.parent().filter(|p| p.kind() == Kind::Attribute);
                        attribute.is_some_and(|a| {
                            !a.is_binding() && a.parent().is_none_or(|p| p.kind() != Kind::Call)
                        })
                    };
                    let is_scalar = matches!(
                        cx.type_of(node).without_none(),
                        Type::Bool | Type::Int | Type::Float | Type::Str | Type::Instance(_) | Type::Unknown
                    );
                    is_plain
                        && !info.has_unknown_base
                        && is_scalar
                        && !is_many
                        && !round.binds(name)
                        && !is_assigned(round, attr)
                        && round.body.descendants().filter(in_round).all(is_read)
                }
                _ => false,
            }
        }
        Expr::Call { func, arguments: list } => {
            external_path(cx, func).is_some_and(|p| p.starts_with("django.db.models") && p.ends_with(".Q"))
                && arguments(list)
                    .iter()
                    .all(|a| a.stars == 0 && a.name.is_none_or(is_one_value) && value(a.value))
        }
        _ => false,
    }
}

/// A lookup of one value, not of a list that may change.
fn is_one_value(name: &str) -> bool {
    !name.ends_with("__in")
}

fn is_assigned(round: &Round<'_>, attr: &str) -> bool {
    round.body.descendants().any(|n| {
        n.kind() == Kind::Attribute
            && n.is_binding()
            && matches!(Expr::of(n), Expr::Attribute { attr: a, .. } if a == attr)
    })
}

/// The key of an object goes with `delete()`, or where it is assigned.
fn is_taken_away(round: &Round<'_>, name: &str) -> bool {
    round.body.descendants().any(|n| {
        let Expr::Attribute { value, attr, .. } = Expr::of(n) else { return false };
        n.kind() == Kind::Attribute
            && matches!(Expr::of(value), Expr::Name(owner) if owner == name)
            && (n.is_binding() || matches!(attr, "delete" | "refresh_from_db" | "save"))
    })
}
