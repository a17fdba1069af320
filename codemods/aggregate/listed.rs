//! A list of rows that is only asked for sums, extremes and its length: `books = list(queryset)`.

use super::asked::{Asked, has_rows, made};
use super::find::{Element, Empty, Function, Match, Part, What, assigned, element_of, keep_slice, value_of};
use super::narrowed::narrowed;
use super::together::labelled;
use super::totals::are_private;
use ormend_engine::codemod::Context;
use ormend_engine::codemod::conditions::{Test, Translation};
use ormend_engine::codemod::guards::flow::is_tested;
use ormend_engine::codemod::guards::handlers::external_path;
use ormend_engine::codemod::rows::{Collects, Shape, Source, comprehension_over, source::source};
use ormend_engine::codemod::truth::builtin_argument;
use ormend_engine::infer::Type;
use ormend_engine::python::{Expr, Field, Kind, Node, arguments, generators};

/// More questions are left alone.
const MOST_USES: usize = 20;

/// The list.
struct List<'a> {
    name: &'a str,
    statement: Node<'a>,
    source: Source<'a>,
}

/// The match at the first call that asks a list of rows.
pub fn find<'a>(cx: &Context<'a>, call: Node<'a>) -> Option<Match<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let given = arguments(list).first().filter(|a| a.name.is_none() && a.stars == 0)?.value.peel();
    let over = if given.kind().is_comprehension() { generators(given).first()?.iter } else { given };
    let Expr::Name(name) = Expr::of(over) else { return None };
    let is_reducing = matches!(Expr::of(func), Expr::Name("sum" | "min" | "max" | "len"))
        || external_path(cx, func).is_some_and(|p| p.starts_with("statistics."));
    if !is_reducing {
        return None;
    }
    let scope = call.enclosing_function()?;
    let (statement, value) = made(scope, name)?;
    let iter = builtin_argument(cx, value, "list").filter(|iter| iter.kind() != Kind::GeneratorExp)?;
    let mut list = List { name, statement, source: source(cx, iter)? };
    keep_slice(&mut list.source);
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut uses: Vec<(Node<'a>, usize)> = Vec::new();
    let is_name = |n: &Node<'a>| n.kind() == Kind::Name && n.text() == name && !n.is_label();
    for node in scope.descendants().filter(is_name).filter(|n| !statement.contains(n.id())) {
        let (at, part) = asked(cx, &list, node)?;
        let is_it = |(number, other): (usize, &Part<'a>)| {
            let of_it = uses.iter().find(|(_, n)| *n == number);
            let is_length = part.term.is_none() && part.filter.is_none();
            let is_same = of_it.is_some_and(|(n, _)| n.text() == at.text());
            is_same || is_length && other.term.is_none() && other.filter.is_none()
        };
        let number = parts.iter().enumerate().position(is_it).unwrap_or_else(|| {
            parts.push(part);
            parts.len() - 1
        });
        uses.push((at, number));
        if uses.len() > MOST_USES {
            return None;
        }
    }
    // Rows that are only counted are another codemod's.
    let is_first = uses.iter().find(|(at, _)| at.kind() == Kind::Call).is_some_and(|(at, _)| *at == call);
    if !is_first || parts.iter().all(|p| p.term.is_none()) || !are_private(statement, &[name]) {
        return None;
    }
    let shape = Shape::new(value, Collects::List, list.source, "", value);
    let (what, members) = (What::Values(parts), Vec::new());
    Some(Match { node: value, shape, what, filter: None, members, asked: Some(Asked { statement, uses }) })
}

/// What the list, named by `node`, is asked there: what is replaced, and by which value.
fn asked<'a>(cx: &Context<'a>, list: &List<'a>, node: Node<'a>) -> Option<(Node<'a>, Part<'a>)> {
    if is_tested(node) {
        return Some((node, counted(None, None)));
    }
    let parent = node.with_parens().parent()?;
    match parent.kind() {
        Kind::Arguments => {
            let call = parent.parent()?;
            let is_length = builtin_argument(cx, call, "len").is_some_and(|a| a.peel() == node);
            is_length.then(|| (call, counted(assigned(call).or_else(|| labelled(call)), None)))
        }
        Kind::CompFor if node.with_parens().field() == Field::Right => {
            let comprehension = parent.parent()?;
            let around = comprehension.with_parens().parent()?;
            let call = if around.kind() == Kind::Arguments { around.parent()? } else { around };
            let part = of_rows(cx, list, call, comprehension)?;
            Some((call, part))
        }
        _ => None,
    }
}

/// What `call` makes of the rows that `comprehension` goes over.
fn of_rows<'a>(
    cx: &Context<'a>,
    list: &List<'a>,
    call: Node<'a>,
    comprehension: Node<'a>,
) -> Option<Part<'a>> {
    let rows = |given: Node<'a>| {
        let is_list = |iter: Node<'a>| matches!(Expr::of(iter), Expr::Name(name) if name == list.name);
        let source = |iter: Node<'a>| is_list(iter).then(|| list.source.clone());
        (given.peel() == comprehension).then(|| comprehension_over(cx, comprehension, source)).flatten()
    };
    let target = assigned(call).or_else(|| labelled(call));
    let part = match value_of(cx, call, |given| element_of(rows(given)?)) {
        Some((_, part)) => Part { target, ..part },
        None => {
            // `sum(1 for book in books if book.is_featured)`, `len([book for book in books if book.is_featured])`
            let (shape, element) = element_of(rows(comprehension)?)?;
            let Element::Expression(element) = element else { return None };
            let is_one = match Expr::of(element) {
                Expr::Int("1") => is_sum(cx, call),
                _ => comprehension.kind() == Kind::ListComp && builtin_argument(cx, call, "len").is_some(),
            };
            let is_plain = matches!(Expr::of(element), Expr::Int("1"))
                || matches!(Expr::of(element), Expr::Name(name) if name == shape.variable);
            if !is_one || !is_plain {
                return None;
            }
            let tests: Vec<Test<'a>> = shape.conditions.iter().map(|c| Test::of(*c)).collect();
            counted(target, narrowed(cx, &shape, None, Function::Count, &tests)?.filter)
        }
    };
    let variable = generators(comprehension).first()?.target.text();
    let mut conditions =
        comprehension.descendants().filter(|n| matches!(n.kind(), Kind::CompIf | Kind::IfExp));
    if conditions.any(|condition| !is_known_before(cx, list, condition, variable)) {
        return None;
    }
    Some(match part.empty {
        Empty::Raises if has_rows(call, list.name) => Part { empty: Empty::None, ..part },
        _ => part,
    })
}

fn is_sum<'a>(cx: &Context<'a>, call: Node<'a>) -> bool {
    let Expr::Call { func, .. } = Expr::of(call) else { return false };
    external_path(cx, func).as_deref() == Some("builtins.sum")
}

fn counted<'a>(target: Option<&'a str>, filter: Option<Translation<'a>>) -> Part<'a> {
    Part {
        function: Function::Count,
        term: None,
        empty: Empty::None,
        target,
        is_added: false,
        init: None,
        guarded: Vec::new(),
        filter,
    }
}

/// Whether what a condition compares with is the same where the list is made: names that nothing binds behind it, constants,
/// members of classes and modules.
fn is_known_before<'a>(cx: &Context<'a>, list: &List<'a>, condition: Node<'a>, variable: &str) -> bool {
    let Some(scope) = list.statement.enclosing_function() else { return false };
    let is_bound_later = |name: &str| {
        let binds = |n: &Node<'a>| n.kind() == Kind::Name && n.is_binding() && n.text() == name;
        scope
            .descendants()
            .filter(binds)
            .any(|n| n.id() > list.statement.id() && n.enclosing_scope() == Some(scope))
    };
    condition.descendants().all(|n| match n.kind() {
        Kind::Call | Kind::Subscript | Kind::Interpolation => false,
        Kind::Attribute => {
            let Expr::Attribute { value, .. } = Expr::of(n) else { return false };
            matches!(cx.type_of(value), Type::Def(_) | Type::Instance(_))
        }
        Kind::Name if n.is_label() => true,
        Kind::Name => n.text() == variable || !is_bound_later(n.text()),
        _ => true,
    })
}
