//! Loops that add up: `for order in orders: total += order.total`.

use super::find::{Empty, Function, Match, Part, What, is_decimal, keep_slice};
use super::term::{Number, Term, term};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::variable::read_elsewhere;
use ormend_engine::codemod::rows::filling::Filling;
use ormend_engine::codemod::rows::reads::sees_names;
use ormend_engine::codemod::rows::{Collects, Shape, source::source};
use ormend_engine::infer::Type;
use ormend_engine::python::{Expr, Field, Kind, Node, Stmt};

/// The match at a loop.
pub fn find<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let (shape, steps) = looped(cx, node)?;
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut first = None;
    for step in steps {
        let Stmt::AugAssign { target, op: Kind::AddAssign, value } = Stmt::of(step) else { return None };
        let Expr::Name(name) = Expr::of(target) else { return None };
        if parts.iter().any(|p| p.target == Some(name)) {
            return None;
        }
        let (function, term) = match Expr::of(value) {
            Expr::Int("1") => (Function::Count, None),
            _ => (Function::Sum, Some(term(cx, &shape, value)?)),
        };
        let (empty, init) = start(cx, node, name, term.as_ref())?;
        parts.push(Part {
            function,
            term,
            empty,
            target: Some(name),
            is_added: init.is_none(),
            init,
            guarded: Vec::new(),
        });
        first = first.or(Some(target));
    }
    // Rows that are only counted are another codemod's.
    if parts.iter().all(|p| p.term.is_none()) {
        return None;
    }
    let names: Vec<&str> = parts.iter().filter_map(|p| p.target).collect();
    if !are_private(node, &names) || names.iter().any(|n| mentions(shape.source.iter, n)) {
        return None;
    }
    let filling = Filling { name: first?, init: None };
    let shape = Shape { filling: Some(filling), ..shape };
    Some(Match { node, shape, what: What::Values(parts), members: Vec::new() })
}

/// A loop over rows whose variable nobody sees afterwards, and its statements.
pub fn looped<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<(Shape<'a>, Vec<Node<'a>>)> {
    let Stmt::For { is_async: false, target, iter, body, orelse: None } = Stmt::of(node) else { return None };
    let Expr::Name(variable) = Expr::of(target) else { return None };
    // At the top of a module or class the variable is a name that others can import.
    node.enclosing_function()?;
    let mut source = source(cx, iter)?;
    keep_slice(&mut source);
    if read_elsewhere(cx, node, &[variable]) {
        return None;
    }
    let steps: Vec<Node<'a>> = body.children().filter(|c| c.kind() != Kind::Comment).collect();
    let shape = Shape {
        node,
        collects: Collects::Generator,
        filling: None,
        source,
        variable,
        target: Some(target),
        element: body,
        value: None,
        inner: Vec::new(),
        conditions: Vec::new(),
    };
    Some((shape, steps))
}

/// What the variable `name` of a total starts with, and the statement before the loop that says so.
fn start<'a>(
    cx: &Context<'a>,
    node: Node<'a>,
    name: &str,
    term: Option<&Term<'a>>,
) -> Option<(Empty, Option<Node<'a>>)> {
    let number = term.map_or(Number::Integer, |t| t.number);
    if number == Number::Other {
        return None;
    }
    let Some((statement, value)) = first_value(node, name) else {
        return is_counter(cx, node, name).then(|| (Empty::Value("0".to_owned()), None));
    };
    let is_zero = matches!(Expr::of(value), Expr::Int("0"));
    if is_zero || number == Number::Decimal && is_decimal(cx, value) {
        return Some((Empty::Value(value.text().to_owned()), Some(statement)));
    }
    (number == Number::Integer && *cx.type_of(value) == Type::Int)
        .then(|| (Empty::Value("0".to_owned()), None))
}

/// The statement that gives `name` its value, before the loop in the same block, with nothing in between that knows the
/// name: the statement and the value.
pub fn first_value<'a>(node: Node<'a>, name: &str) -> Option<(Node<'a>, Node<'a>)> {
    let block = node.parent()?;
    let before: Vec<Node<'a>> = block.children().take_while(|c| *c != node).collect();
    for statement in before.into_iter().rev() {
        if let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement)
            && let [target] = targets.as_slice()
            && matches!(Expr::of(*target), Expr::Name(n) if n == name)
        {
            return (!mentions(value, name)).then_some((statement, value));
        }
        if mentions(statement, name) {
            return None;
        }
    }
    None
}

/// Whether a part of the code names a variable.
pub fn mentions(node: Node<'_>, name: &str) -> bool {
    node.descendants().any(|n| n.kind() == Kind::Name && n.text() == name)
}

/// Whether the variable certainly holds an integer before the loop.
fn is_counter<'a>(cx: &Context<'a>, node: Node<'a>, name: &str) -> bool {
    let uses = node.descendants().find(|n| n.kind() == Kind::Name && n.text() == name);
    uses.is_some_and(|n| *cx.type_of(n) == Type::Int)
}

/// Whether no other function sees the variables, and nothing sees all names.
pub fn are_private(node: Node<'_>, names: &[&str]) -> bool {
    let Some(scope) = node.enclosing_function() else { return false };
    scope.descendants().filter(|n| n.kind() == Kind::Name).all(|n| {
        let Some(parent) = n.parent() else { return false };
        let is_label = (parent.kind() == Kind::Attribute && n.field() == Field::Attribute)
            || (parent.kind() == Kind::KeywordArgument && n.field() == Field::Name);
        if is_label {
            return true;
        }
        if parent.kind() == Kind::Call && sees_names(n.text()) {
            return false;
        }
        !names.contains(&n.text())
            || n.enclosing_scope() == Some(scope)
                && !matches!(parent.kind(), Kind::Global | Kind::Nonlocal | Kind::Delete)
    })
}
