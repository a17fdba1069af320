//! Which loop deletes rows one by one, and where its rows come from.

use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::queryset::rows_given;
use ormend_engine::codemod::loops::{awaited, only_statement, statement_of};
use ormend_engine::django::{FieldKind, ModelId};
use ormend_engine::infer::{QuerySet, Root, Rows, Type};
use ormend_engine::python::{Argument, Expr, Field, Kind, Node, Stmt, arguments, generators, innermost_loop};

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
    },
    /// The rows that a lookup by the loop's variable finds.
    Found {
        /// The expression before `.delete()`.
        chain: Node<'a>,
        /// The call of `filter()` or `get()`.
        lookup: Node<'a>,
        /// `pk=pk` in it.
        keyword: Argument<'a>,
        /// It is `get()`, which raises for a missing row.
        by_get: bool,
    },
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
        let base = Deletion {
            node,
            statement: node,
            target,
            iter,
            call,
            is_async,
            model: ModelId(0),
            what: What::Found { chain: receiver, lookup: call, keyword: no_argument(call), by_get: false },
        };
        if matches!(Expr::of(receiver), Expr::Name(n) if n == name) {
            let (chain, queryset) = rows_given(cx, iter, is_async_for)?;
            is_row(cx, receiver, queryset).then_some(())?;
            let (conditions, is_among) = match only_statement(body, statement) {
                Some(conditions) => (conditions, false),
                None => (Vec::new(), true),
            };
            let what = What::Row { chain, queryset, conditions, place: Some(statement), is_among };
            return Some(Deletion { model: queryset.model, what, ..base });
        }
        if is_async_for || only_statement(body, statement) != Some(Vec::new()) {
            return None;
        }
        let (model, what) = found_by(cx, receiver, name, iter)?;
        Some(Deletion { model, what, ..base })
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
        let what = What::Row { chain, queryset, conditions, place: None, is_among: false };
        return Some(base(queryset.model, what));
    }
    if only.is_async || !only.conditions.is_empty() {
        return None;
    }
    let (model, what) = found_by(cx, receiver, name, only.iter)?;
    Some(base(model, what))
}

fn no_argument(node: Node<'_>) -> Argument<'_> {
    Argument { name: None, value: node, stars: 0, node }
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

/// `Book.objects.filter(pk=pk)` and `get(pk=pk)`, where `pk` is the loop's variable.
fn found_by<'a>(
    cx: &Context<'a>,
    receiver: Node<'a>,
    name: &str,
    iter: Node<'a>,
) -> Option<(ModelId, What<'a>)> {
    let uses = receiver.descendants().filter(|n| n.kind() == Kind::Name && n.text() == name);
    let (model, by_get) = match cx.type_of(receiver) {
        Type::QuerySet(qs) if qs.rows == Rows::Instances => (qs.model, false),
        Type::Instance(instance) if instance.path.is_empty() => (instance.model, true),
        _ => return None,
    };
    // One place names the variable: the value of a keyword of `filter()` or `get()`.
    let mut uses = uses
        .filter(|n| n.parent().is_none_or(|p| p.kind() != Kind::KeywordArgument || n.field() != Field::Name));
    let (Some(used), None) = (uses.next(), uses.next()) else { return None };
    let lookup = used.ancestors().find(|a| a.kind() == Kind::Call)?;
    let Expr::Call { func, arguments: list } = Expr::of(lookup) else { return None };
    let Expr::Attribute { value: base, attr, .. } = Expr::of(func) else { return None };
    if attr != if by_get { "get" } else { "filter" } || by_get && lookup != receiver {
        return None;
    }
    if !matches!(cx.type_of(base), Type::Manager(_) | Type::QuerySet(_)) {
        return None;
    }
    let keyword = arguments(list).into_iter().find(|a| a.value.peel() == used)?;
    let looked_up = keyword.name?;
    let info = cx.model(model);
    let field = match looked_up.strip_suffix("__exact").unwrap_or(looked_up) {
        "pk" => info.primary_key()?,
        plain => info.field(plain).or_else(|| info.field_by_attname(plain))?,
    };
    let kind_is_plain = (field.kind.is_plain_column() || field.kind == FieldKind::ForeignKey)
        && !matches!(field.kind, FieldKind::Json | FieldKind::Postgres | FieldKind::Binary);
    // Everything else in the chain is the same in every turn.
    let is_fixed = receiver.descendants().filter(|n| n.kind() == Kind::Call).all(|call| {
        matches!(Expr::of(call), Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Attribute { value, .. }
            if matches!(cx.type_of(value), Type::Manager(_) | Type::QuerySet(_))))
    });
    if !kind_is_plain || field.has_hooks || !is_fixed || !is_collection(cx, iter) {
        return None;
    }
    Some((model, What::Found { chain: receiver, lookup, keyword, by_get }))
}

/// Whether the loop's source can stand behind `__in`.
fn is_collection<'a>(cx: &Context<'a>, iter: Node<'a>) -> bool {
    let is_bound =
        iter.descendants().any(|n| matches!(n.kind(), Kind::NamedExpr | Kind::Yield | Kind::Await));
    !is_bound
        && match cx.type_of(iter) {
            Type::QuerySet(_) | Type::Manager(_) | Type::Str | Type::Bytes | Type::Instance(_) => false,
            Type::Object(_) | Type::External(_) => false,
            _ => !matches!(iter.kind(), Kind::GeneratorExp | Kind::Lambda),
        }
}
