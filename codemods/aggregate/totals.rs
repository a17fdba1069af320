//! Loops that add up: `for order in orders: total += order.total`.

use super::find::{Empty, Function, Match, Part, What, is_decimal, keep_slice};
use super::narrowed::{Narrowed, narrowed};
use super::term::{Number, Term, read, term};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::conditions::Test;
use ormend_engine::codemod::guards::variable::read_elsewhere;
use ormend_engine::codemod::rows::filling::Filling;
use ormend_engine::codemod::rows::reads::sees_names;
use ormend_engine::codemod::rows::{Collects, Shape, source::source};
use ormend_engine::infer::Type;
use ormend_engine::python::{Expr, Field, Kind, Node, Stmt};

/// The match at a loop.
pub fn find<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let (shape, tests, steps) = looped(cx, node)?;
    let (named, steps) = named(cx, &shape, steps)?;
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut first = None;
    for (step, own) in tested(&steps)? {
        let (target, value) = addition(step)?;
        let value = named.value(value)?;
        if own.iter().any(|test| named.is_in(test.node)) {
            return None;
        }
        let Expr::Name(name) = Expr::of(target) else { return None };
        if parts.iter().any(|p| p.target == Some(name)) {
            return None;
        }
        let (function, term) = match Expr::of(value) {
            Expr::Int("1") => (Function::Count, None),
            _ => (Function::Sum, Some(term(cx, &shape, value)?)),
        };
        let Narrowed { guarded, filter } = narrowed(cx, &shape, term.as_ref(), function, &own)?;
        let (empty, init) = start(cx, node, name, term.as_ref())?;
        let is_added = init.is_none();
        parts.push(Part { function, term, empty, target: Some(name), is_added, init, guarded, filter });
        first = first.or(Some(target));
    }
    // Rows that are only counted are another codemod's.
    if parts.iter().all(|p| p.term.is_none()) {
        return None;
    }
    let mut filter = None;
    let is_single = parts.len() == 1;
    for part in &mut parts {
        let of = narrowed(cx, &shape, part.term.as_ref().filter(|_| is_single), part.function, &tests)?;
        part.guarded.extend(of.guarded);
        filter = of.filter;
    }
    let names: Vec<&str> = parts.iter().filter_map(|p| p.target).collect();
    if !are_private(node, &names) || names.iter().any(|n| mentions(shape.source.iter, n)) {
        return None;
    }
    let filling = Filling { name: first?, init: None };
    let shape = Shape { filling: Some(filling), ..shape };
    Some(Match { node, shape, what: What::Values(parts), filter, members: Vec::new(), asked: None })
}

/// Every statement of the loop with its own conditions.
fn tested<'a>(steps: &[Node<'a>]) -> Option<Vec<(Node<'a>, Vec<Test<'a>>)>> {
    let mut out = Vec::new();
    for step in steps {
        let Stmt::If { branches, orelse } = Stmt::of(*step) else {
            out.push((*step, Vec::new()));
            continue;
        };
        let [(test, body)] = branches.as_slice() else { return None };
        out.extend(statements(*body).into_iter().map(|s| (s, vec![Test::of(*test)])));
        out.extend(orelse.into_iter().flat_map(statements).map(|s| (s, vec![Test::not(*test)])));
    }
    Some(out)
}

/// `total += value`, `total = total + value`: the target and what is added.
fn addition<'a>(statement: Node<'a>) -> Option<(Node<'a>, Node<'a>)> {
    match Stmt::of(statement) {
        Stmt::AugAssign { target, op: Kind::AddAssign, value } => Some((target, value)),
        Stmt::Assign { targets, value: Some(value), annotation: None } => {
            let [target] = targets.as_slice() else { return None };
            let Expr::BinOp { left, op: Kind::Add, right } = Expr::of(value) else { return None };
            let is_total = |node: Node<'a>| matches!((Expr::of(node), Expr::of(*target)), (Expr::Name(a), Expr::Name(b)) if a == b);
            match (is_total(left), is_total(right)) {
                (true, false) => Some((*target, right)),
                (false, true) => Some((*target, left)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// What a loop over rows is: the rows, the conditions, and what is done with a row.
pub type Loop<'a> = (Shape<'a>, Vec<Test<'a>>, Vec<Node<'a>>);

/// A loop over rows whose variable nobody sees afterwards.
pub fn looped<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Loop<'a>> {
    let Stmt::For { is_async: false, target, iter, body, orelse: None } = Stmt::of(node) else { return None };
    let Expr::Name(variable) = Expr::of(target) else { return None };
    // At the top of a module or class the variable is a name that others can import.
    node.enclosing_function()?;
    let mut source = source(cx, iter)?;
    keep_slice(&mut source);
    if read_elsewhere(cx, node, &[variable]) {
        return None;
    }
    let (tests, steps) = conditions(body);
    let shape =
        Shape { target: Some(target), ..Shape::new(node, Collects::Generator, source, variable, body) };
    Some((shape, tests, steps))
}

/// Names that a loop gives to what it reads of a row: `status = book.status`.
#[derive(Default)]
pub struct Named<'a>(Vec<(&'a str, Node<'a>)>);

impl<'a> Named<'a> {
    /// What `node` stands for; nothing where it is made of such a name.
    pub fn value(&self, node: Node<'a>) -> Option<Node<'a>> {
        match Expr::of(node) {
            Expr::Name(name) => {
                Some(self.0.iter().find(|(n, _)| *n == name).map_or(node, |(_, value)| *value))
            }
            _ => (!self.is_in(node)).then_some(node),
        }
    }

    /// Whether an expression mentions one of the names.
    pub fn is_in(&self, node: Node<'a>) -> bool {
        self.0.iter().any(|(name, _)| reads_name(node, name))
    }
}

/// The names at the top of a loop, which nothing else sees, and the rest of its statements.
pub fn named<'a>(
    cx: &Context<'a>,
    shape: &Shape<'a>,
    mut steps: Vec<Node<'a>>,
) -> Option<(Named<'a>, Vec<Node<'a>>)> {
    let mut found = Named::default();
    while steps.len() > 1
        && let Some(first) = steps.first()
        && let Stmt::Assign { targets, value: Some(value), annotation: None } = Stmt::of(*first)
        && let [target] = targets.as_slice()
        && let Expr::Name(name) = Expr::of(*target)
        && !reads_name(value, name)
    {
        let is_column = read(cx, shape, value).is_some() || term(cx, shape, value).is_some();
        if !is_column || name == shape.variable || found.is_in(value) || found.is_in(*target) {
            return None;
        }
        found.0.push((name, value));
        steps.remove(0);
    }
    let names: Vec<&str> = found.0.iter().map(|(name, _)| *name).collect();
    let binds = |step: &Node<'a>| {
        step.descendants().any(|n| n.kind() == Kind::Name && n.is_binding() && names.contains(&n.text()))
    };
    if steps.iter().any(binds) || !names.is_empty() && read_elsewhere(cx, shape.node, &names) {
        return None;
    }
    Some((found, steps))
}

/// `if row.done: continue` at the top, and an `if` around all of the rest.
fn conditions<'a>(body: Node<'a>) -> (Vec<Test<'a>>, Vec<Node<'a>>) {
    let mut tests = Vec::new();
    let mut steps: Vec<Node<'a>> = statements(body);
    while let Some(first) = steps.first()
        && let Stmt::If { branches, orelse: None } = Stmt::of(*first)
        && let [(test, block)] = branches.as_slice()
        && let [only] = statements(*block).as_slice()
        && only.kind() == Kind::Continue
    {
        tests.push(Test::not(*test));
        steps.remove(0);
    }
    while let [only] = steps.as_slice()
        && let Stmt::If { branches, orelse: None } = Stmt::of(*only)
        && let [(test, block)] = branches.as_slice()
        && !is_membership(*test, *block)
    {
        tests.push(Test::of(*test));
        steps = statements(*block);
    }
    (tests, steps)
}

/// `key not in counts` is about the container that the loop fills.
fn is_membership<'a>(test: Node<'a>, block: Node<'a>) -> bool {
    let Expr::Compare { op: Kind::In | Kind::NotIn, right, .. } = Expr::of(test) else { return false };
    block.descendants().any(|n| {
        n.kind() == Kind::Subscript
            && matches!(Expr::of(n), Expr::Subscript { value, .. } if value.text() == right.text())
    })
}

fn statements<'a>(block: Node<'a>) -> Vec<Node<'a>> {
    block.children().filter(|c| c.kind() != Kind::Comment).collect()
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
    let is_zero = is_alone(statement) && matches!(Expr::of(value), Expr::Int("0"));
    if is_zero || number == Number::Decimal && is_alone(statement) && is_decimal(cx, value) {
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

/// Whether nothing else stands on the lines of a statement, but for comments.
pub fn is_alone(statement: Node<'_>) -> bool {
    let text = statement.file_text();
    let span = statement.span();
    let before = text.get(..span.start as usize).and_then(|t| t.lines().last()).unwrap_or("");
    let starts_line = text.get(..span.start as usize).is_none_or(|t| t.is_empty() || t.ends_with('\n'));
    let behind = text.get(span.end as usize..).and_then(|t| t.lines().next()).unwrap_or("").trim_start();
    (starts_line || before.trim().is_empty()) && (behind.is_empty() || behind.starts_with('#'))
}

/// Whether a part of the code names a variable.
pub fn mentions(node: Node<'_>, name: &str) -> bool {
    node.has_name(name)
}

/// Whether a part of the code reads a variable, not only an attribute of its name.
pub fn reads_name(node: Node<'_>, name: &str) -> bool {
    let is_attribute = |n: Node<'_>| {
        n.field() == Field::Attribute && n.parent().is_some_and(|p| p.kind() == Kind::Attribute)
    };
    node.descendants().any(|n| n.kind() == Kind::Name && n.text() == name && !is_attribute(n))
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
