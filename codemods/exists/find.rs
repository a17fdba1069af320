//! Which expressions ask for nothing but whether there is a row: from the counting or loading expression up to the
//! comparison, `bool()` or `not` that ends in a truth.

use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::queryset::rows_of;
use ormend_engine::codemod::guards::untyped::{looks_like_manager, looks_like_rows};
use ormend_engine::codemod::truth::{
    End, Given, bound, builtin_argument, climb, enclosing_call, hands_out_names, in_async_code, names,
};
use ormend_engine::infer::{Rows, Type};
use ormend_engine::python::{Expr, Kind, Node, Stmt};

/// What the tested expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// `count()`
    Count,
    /// The rows themselves: `len()`, `list()`, the truth of a queryset.
    Rows,
    /// `first()` or `last()`, whose truth is asked (and not only whether it is None).
    One {
        /// The model's own truth decides.
        by_truth: bool,
    },
}

/// A name that holds the answer where its tests are not next to it, or are several.
#[derive(Clone, Debug)]
pub struct Held<'a> {
    /// The value of the assignment.
    pub asked: Asked<'a>,
    /// Every read of the name.
    pub tests: Vec<Test<'a>>,
    /// Where the name is bound.
    pub target: Node<'a>,
    /// The function that it belongs to.
    pub scope: Node<'a>,
}

/// A read of the name whose truth is asked.
#[derive(Clone, Copy, Debug)]
pub struct Test<'a> {
    /// The name.
    pub read: Node<'a>,
    /// All that is replaced.
    pub whole: Node<'a>,
    /// True where there is no row.
    pub negated: bool,
}

/// `total = books.count()`, `book = books.first()` or `total = len(books)`, where every read of the name asks for
/// nothing but whether there is a row.
pub fn held<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Held<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let (receiver, method_node, inner, given) = match called(cx, node, func, list) {
        Some((receiver, attr_node, inner, given)) => (receiver, Some(attr_node), inner, given),
        None => {
            let argument = builtin_argument(cx, node, "len")?;
            let receiver = builtin_argument(cx, argument.peel(), "list").unwrap_or(argument).peel();
            if !matches!(cx.type_of(receiver), Type::QuerySet(_)) || in_async_code(node) {
                return None;
            }
            rows_of(cx, receiver)?;
            (receiver, None, node, Given::Number)
        }
    };
    let (target, scope) = bound(inner)?;
    let Expr::Name(name) = Expr::of(target) else { return None };
    let mut tests = Vec::new();
    let mut by_truth = false;
    for read in names(scope, name).filter(|n| *n != target.peel()) {
        let end = climb(cx, read, given).filter(|_| read.enclosing_function() == Some(scope))?;
        if is_asked_of_row(cx, &end, given, receiver) {
            return None;
        }
        by_truth |= end.by_truth;
        tests.push(Test { read, whole: end.whole, negated: end.negated });
    }
    if tests.is_empty() || hands_out_names(scope) {
        return None;
    }
    let how = match (given, method_node) {
        (Given::Number, Some(_)) => How::Count,
        (Given::Number, None) => How::Rows,
        _ => How::One { by_truth },
    };
    // `len(books)` is replaced as a whole.
    let (inner, whole) = if method_node.is_some() { (inner, inner) } else { (receiver, inner) };
    let asked = Asked { how, receiver, method: method_node, inner, whole, negated: false, bound: None };
    Some(Held { asked, tests, target: target.peel(), scope })
}

/// An expression that asks whether there is a row.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// How it asks.
    pub how: How,
    /// The queryset or manager.
    pub receiver: Node<'a>,
    /// The method's name in `receiver.count()`; none where rows are loaded.
    pub method: Option<Node<'a>>,
    /// What stays of it: the call (with its `await`), or the receiver.
    pub inner: Node<'a>,
    /// All that is replaced.
    pub whole: Node<'a>,
    /// True where there is no row.
    pub negated: bool,
    /// The name that holds the answer until it is tested at once: its assignment, and the place that reads it.
    pub bound: Option<(Node<'a>, Node<'a>)>,
}

impl<'a> Asked<'a> {
    /// A `count()` that becomes an `exists()` where it stands.
    pub fn of_number(receiver: Node<'a>, method: Node<'a>, inner: Node<'a>) -> Asked<'a> {
        let (how, method) = (How::Count, Some(method));
        Asked { how, receiver, method, inner, whole: inner, negated: false, bound: None }
    }
}

/// The finding whose innermost expression is `node`.
pub fn asked<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Asked<'a>> {
    match Expr::of(node) {
        Expr::Call { func, arguments: list } => {
            if let Some(found) = method(cx, node, func, list) {
                return Some(found);
            }
            if let Some(found) = collected(cx, node) {
                return Some(found);
            }
            truth(cx, node)
        }
        Expr::Name(_) | Expr::Subscript { .. } | Expr::BinOp { .. } | Expr::Attribute { .. } => {
            truth(cx, node)
        }
        _ => None,
    }
}

/// `books.count()`, `books.first()` and their asynchronous siblings: the receiver, the method's name, the call with its
/// `await`, and what it gives.
pub fn called<'a>(
    cx: &Context<'a>,
    node: Node<'a>,
    func: Node<'a>,
    list: Node<'a>,
) -> Option<(Node<'a>, Node<'a>, Node<'a>, Given)> {
    let Expr::Attribute { value: receiver, attr, attr_node } = Expr::of(func) else { return None };
    let (given, is_async) = match attr {
        "count" => (Given::Number, false),
        "acount" => (Given::Number, true),
        "first" | "last" => (Given::RowOrNone, false),
        "afirst" | "alast" => (Given::RowOrNone, true),
        _ => return None,
    };
    if list.kind() != Kind::Arguments || list.children().next().is_some() {
        return None;
    }
    match rows_of(cx, receiver) {
        // A column may be false or None although there is a row.
        Some(Rows::Instances | Rows::Dicts | Rows::Tuples) => {}
        Some(_) if given == Given::Number => {}
        None if looks_like_rows(cx, receiver) || looks_like_manager(cx, receiver) => {}
        _ => return None,
    }
    let awaited = node.with_parens().parent().filter(|p| p.kind() == Kind::Await);
    let inner = match (is_async, awaited) {
        (true, Some(awaited)) => awaited,
        (false, None) => node,
        _ => return None,
    };
    // Synchronous queries in asynchronous code raise, as they would after the rewrite.
    if !is_async && in_async_code(node) {
        return None;
    }
    Some((receiver, attr_node, inner, given))
}

fn method<'a>(cx: &Context<'a>, node: Node<'a>, func: Node<'a>, list: Node<'a>) -> Option<Asked<'a>> {
    let (receiver, attr_node, inner, given) = called(cx, node, func, list)?;
    let asked = |end: End<'a>, bound| Asked {
        how: match given {
            Given::Number => How::Count,
            _ => How::One { by_truth: end.by_truth },
        },
        receiver,
        method: Some(attr_node),
        inner,
        whole: end.whole,
        negated: end.negated,
        bound,
    };
    if let Some(end) = climb(cx, inner, given) {
        if is_asked_of_row(cx, &end, given, receiver) {
            return None;
        }
        return Some(asked(end, None));
    }
    let (assignment, read) = bound_once(inner)?;
    let end = climb(cx, read, given)?;
    if is_asked_of_row(cx, &end, given, receiver) {
        return None;
    }
    is_first_in(assignment, end.whole).then(|| asked(end, Some((assignment, read))))
}

/// `len(books)`, `len(list(books))`, `list(books)`.
fn collected<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Asked<'a>> {
    let (receiver, given) = if let Some(argument) = builtin_argument(cx, node, "len") {
        (builtin_argument(cx, argument.peel(), "list").unwrap_or(argument), Given::Number)
    } else {
        let argument = builtin_argument(cx, node, "list")?;
        if enclosing_call(cx, node, &["len"]).is_some() {
            return None;
        }
        (argument, Given::Collection)
    };
    loaded(cx, receiver, node, given)
}

/// A queryset whose truth is asked.
fn truth<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Asked<'a>> {
    loaded(cx, node, node, Given::Collection)
}

/// `== None` asks the model's own `__eq__`, where there is one.
fn is_asked_of_row<'a>(cx: &Context<'a>, end: &End<'a>, given: Given, receiver: Node<'a>) -> bool {
    given != Given::Number && end.by_equality && owns_equality(cx, receiver)
}

fn loaded<'a>(cx: &Context<'a>, receiver: Node<'a>, from: Node<'a>, given: Given) -> Option<Asked<'a>> {
    let receiver = receiver.peel();
    if in_async_code(from) {
        return None;
    }
    let rows = match cx.type_of(receiver) {
        Type::QuerySet(_) => Some(rows_of(cx, receiver)?),
        _ if receiver.kind() == Kind::Call && looks_like_rows(cx, receiver) => None,
        _ => return None,
    };
    let any = enclosing_call(cx, from, &["any"])
        .filter(|_| from == receiver && rows.is_some_and(|rows| is_true(cx, receiver, &rows)));
    let end = match any {
        Some(whole) => End { whole, negated: false, by_truth: false, by_equality: false },
        None => climb(cx, from, given)?,
    };
    Some(Asked {
        how: How::Rows,
        receiver,
        method: None,
        inner: receiver,
        whole: end.whole,
        negated: end.negated,
        bound: None,
    })
}

/// Whether every row is true: an instance of a model that does not decide that itself.
fn is_true<'a>(cx: &Context<'a>, receiver: Node<'a>, rows: &Rows) -> bool {
    let Type::QuerySet(qs) = cx.type_of(receiver) else { return false };
    let decides = |name: &&str| cx.project.override_of(qs.model, name).is_some();
    *rows == Rows::Instances && !["__bool__", "__len__"].iter().any(decides)
}

/// Whether the rows are instances of a model with an `__eq__` of its own.
pub fn owns_equality<'a>(cx: &Context<'a>, receiver: Node<'a>) -> bool {
    let model = match cx.type_of(receiver) {
        Type::Manager(manager) => manager.model,
        Type::QuerySet(qs) => qs.model,
        _ => return true,
    };
    ["__eq__", "__ne__"].iter().any(|name| cx.project.override_of(model, name).is_some())
}

/// `total = ...` and the only place that reads `total`.
fn bound_once(inner: Node<'_>) -> Option<(Node<'_>, Node<'_>)> {
    let (target, scope) = bound(inner)?;
    let statement = inner.statement()?;
    let Expr::Name(name) = Expr::of(target) else { return None };
    if inner.text().contains('\n') {
        return None;
    }
    let mut others = names(scope, name).filter(|n| *n != target.peel());
    let read = others.next()?;
    if others.next().is_some() || hands_out_names(scope) || read.enclosing_function() != Some(scope) {
        return None;
    }
    Some((statement, read))
}

/// Whether the statement after `assignment` evaluates `whole` before anything else, and once.
fn is_first_in<'a>(assignment: Node<'a>, whole: Node<'a>) -> bool {
    let Some(next) = whole.statement() else { return false };
    let Some(block) = assignment.parent() else { return false };
    let siblings: Vec<Node<'a>> = block.children().collect();
    let follows = siblings.windows(2).any(|pair| pair == [assignment, next]);
    if !follows {
        return false;
    }
    let start = match Stmt::of(next) {
        Stmt::If { branches, .. } => branches.first().map(|b| b.0),
        Stmt::Return(value) => value,
        Stmt::Assign { value, .. } => value,
        Stmt::Assert(parts) => parts.first().copied(),
        _ => None,
    };
    let mut next = start;
    while let Some(node) = next {
        let node = node.peel();
        if node == whole.peel() {
            return true;
        }
        next = match Expr::of(node) {
            Expr::Not(inner) => Some(inner),
            // What stands before it neither asks the database nor calls anything, and may spare the query.
            Expr::BoolOp { left, right, .. } if is_inert(left) && !left.contains(whole.id()) => Some(right),
            Expr::BoolOp { left, .. } => Some(left),
            Expr::IfExp { test, .. } => Some(test),
            _ => None,
        };
    }
    false
}

/// Names and literals, compared, negated and combined.
fn is_inert(node: Node<'_>) -> bool {
    match Expr::of(node) {
        Expr::Name(_) | Expr::True | Expr::False | Expr::None | Expr::Int(_) => true,
        Expr::Not(inner) => is_inert(inner),
        Expr::BoolOp { left, right, .. } => is_inert(left) && is_inert(right),
        Expr::Compare { left, op: Kind::Is | Kind::IsNot, right } => is_inert(left) && is_inert(right),
        _ => false,
    }
}
