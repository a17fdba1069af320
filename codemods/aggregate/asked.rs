//! A list of one value of each row that is only asked for its sum, its lowest, its highest and its length.

use super::find::{Element, Empty, Function, Match, Part, What, empty, rows};
use super::narrowed::{Narrowed, narrowed};
use super::term::term;
use super::totals::{are_private, is_alone, mentions};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::conditions::Test;
use ormend_engine::codemod::guards::flow::{is_tested, leaves};
use ormend_engine::codemod::guards::handlers::external_path;
use ormend_engine::codemod::guards::variable::assigned_once;
use ormend_engine::codemod::rows::Shape;
use ormend_engine::python::{Expr, Kind, Node, Stmt, arguments};

/// The list.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The statement that makes it.
    pub statement: Node<'a>,
    /// What asks it, each for the part of that number.
    pub uses: Vec<(Node<'a>, usize)>,
}

/// The match at the first call that asks a list.
pub fn find<'a>(cx: &Context<'a>, call: Node<'a>) -> Option<Match<'a>> {
    let Expr::Call { arguments: list, .. } = Expr::of(call) else { return None };
    let list = arguments(list);
    let given = list.first().filter(|a| a.name.is_none() && a.stars == 0)?.value;
    let Expr::Name(name) = Expr::of(given) else { return None };
    let scope = call.enclosing_function()?;
    let (statement, value) = made(scope, name)?;
    let (shape, element) = values(cx, value)?;
    let (term, tests) = match element {
        Element::Column(term) => (term, Vec::new()),
        Element::Expression(node) => {
            (term(cx, &shape, node)?, shape.conditions.iter().map(|c| Test::of(*c)).collect())
        }
    };
    let Narrowed { guarded, filter } = narrowed(cx, &shape, Some(&term), Function::Min, &tests)?;
    // Rows that only the database passes over would be counted.
    if filter.is_none() && !guarded.is_empty() {
        return None;
    }
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut uses = Vec::new();
    let is_name = |n: &Node<'a>| n.kind() == Kind::Name && n.text() == name && !n.is_label();
    for node in scope.descendants().filter(is_name).filter(|n| !statement.contains(n.id())) {
        let (at, function, none) = asks(cx, node, &term, name)?;
        let is_it = |p: &Part<'a>| p.function == function && p.empty == none;
        let number = parts.iter().position(is_it).unwrap_or_else(|| {
            let of = (function != Function::Count).then(|| term.clone());
            parts.push(Part {
                function,
                term: of,
                empty: none.clone(),
                target: None,
                is_added: false,
                init: None,
                guarded: guarded.clone(),
                filter: None,
            });
            parts.len() - 1
        });
        uses.push((at, number));
    }
    // Rows that are only counted are another codemod's.
    let is_first = uses.iter().find(|(at, _)| at.kind() == Kind::Call).is_some_and(|(at, _)| *at == call);
    if !is_first || parts.iter().all(|p| p.term.is_none()) || !are_private(statement, &[name]) {
        return None;
    }
    let asked = Some(Asked { statement, uses });
    let (what, members) = (What::Values(parts), Vec::new());
    Some(Match { node: value, shape, what, filter, members, asked })
}

/// The only statement that gives the name a value, and the value.
pub fn made<'a>(scope: Node<'a>, name: &str) -> Option<(Node<'a>, Node<'a>)> {
    let (statement, value) = assigned_once(scope, name)?;
    (is_alone(statement) && !mentions(value, name)).then_some((statement, value))
}

/// `[row.column for row in rows]`, `list(rows.values_list("column", flat=True))`
fn values<'a>(cx: &Context<'a>, value: Node<'a>) -> Option<(Shape<'a>, Element<'a>)> {
    if value.kind() == Kind::ListComp {
        return rows(cx, value);
    }
    let Expr::Call { func, arguments: list } = Expr::of(value) else { return None };
    let all = arguments(list);
    let [only] = all.as_slice() else { return None };
    let is_list = external_path(cx, func).as_deref() == Some("builtins.list");
    if !is_list || only.name.is_some() || only.stars > 0 || only.value.kind() == Kind::SetComp {
        return None;
    }
    rows(cx, only.value)
}

/// What the list, named by `node`, is asked there: what is replaced, by which value.
fn asks<'a>(
    cx: &Context<'a>,
    node: Node<'a>,
    of: &super::term::Term<'a>,
    name: &str,
) -> Option<(Node<'a>, Function, Empty)> {
    if is_tested(node) {
        return Some((node, Function::Count, Empty::None));
    }
    let list = node.with_parens().parent().filter(|p| p.kind() == Kind::Arguments)?;
    let call = list.parent()?;
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let all = arguments(list);
    let (first, rest) = all.split_first()?;
    if first.value.peel() != node || first.name.is_some() || first.stars > 0 {
        return None;
    }
    let function = match external_path(cx, func)?.as_str() {
        "builtins.len" if rest.is_empty() => return Some((call, Function::Count, Empty::None)),
        "builtins.sum" => Function::Sum,
        "builtins.min" => Function::Min,
        "builtins.max" => Function::Max,
        _ => return None,
    };
    let none = empty(cx, function, of, rest)?;
    let none = match none {
        Empty::Raises if has_rows(call, name) => Empty::None,
        other => other,
    };
    Some((call, function, none))
}

/// Whether the list is certainly not empty there: `if values:`, `if not values: return`.
pub fn has_rows<'a>(call: Node<'a>, name: &str) -> bool {
    let is_it = |test: Node<'a>| is_filled(test, name);
    let mut below = call;
    for around in call.ancestors() {
        let found = match around.kind() {
            Kind::IfExp => matches!(Expr::of(around), Expr::IfExp { body, test, .. }
                if body.contains(call.id()) && is_it(test)),
            Kind::If => matches!(Stmt::of(around), Stmt::If { branches, .. }
                if branches.iter().any(|(test, body)| body.contains(call.id()) && is_it(*test))),
            Kind::Block => around.children().take_while(|s| *s != below).any(|s| {
                let Stmt::If { branches, orelse: None } = Stmt::of(s) else { return false };
                let [(test, body)] = branches.as_slice() else { return false };
                let is_empty = matches!(Expr::of(*test), Expr::Not(inner) if is_it(inner));
                s.kind() == Kind::If && is_empty && body.children().any(leaves)
            }),
            Kind::FunctionDef | Kind::Lambda => return false,
            _ => false,
        };
        if found {
            return true;
        }
        below = around;
    }
    false
}

/// `values`, `len(values)`, and what is true only with it.
fn is_filled(test: Node<'_>, name: &str) -> bool {
    match Expr::of(test) {
        Expr::Name(n) => n == name,
        Expr::Call { func, arguments: list } => {
            matches!(Expr::of(func), Expr::Name("len"))
                && matches!(arguments(list).as_slice(), [only] if is_filled(only.value, name))
        }
        Expr::BoolOp { left, op: Kind::And, right } => is_filled(left, name) || is_filled(right, name),
        // `len(values) > 1`
        Expr::Compare { left, op, right } if left.peel().kind() == Kind::Call && is_filled(left, name) => {
            let Expr::Int(text) = Expr::of(right) else { return false };
            match (op, text) {
                (Kind::GtE | Kind::Eq, "0") => false,
                (Kind::NotEq, text) => text == "0",
                (Kind::Gt | Kind::GtE | Kind::Eq, _) => true,
                _ => false,
            }
        }
        _ => false,
    }
}
