//! Loops that do nothing but fill a list, set or dict.

use super::reads::sees_names;
use super::source::source;
use super::{Collects, Shape};
use crate::codemod::Context;
use crate::infer::Type;
use crate::python::{Def, Expr, Field, Kind, Node, Stmt, arguments, generators, parameters};

/// A loop that fills a container.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// The container's name.
    pub name: Node<'a>,
    /// The statement directly before the loop that makes the empty container.
    pub init: Option<Node<'a>>,
}

/// What the one statement of the loop does.
struct Step<'a> {
    name: Node<'a>,
    collects: Collects,
    element: Node<'a>,
    value: Option<Node<'a>>,
}

/// `for book in books: titles.append(book.title)` and its like.
pub fn filling_loop<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Shape<'a>> {
    let Stmt::For { is_async: false, target, iter, body, orelse: None } = Stmt::of(node) else { return None };
    let Expr::Name(variable) = Expr::of(target) else { return None };
    // At the top of a module or class the variable is a name that others can import.
    let scope = node.enclosing_function()?;
    let mut statements = body.children();
    let mut conditions = Vec::new();
    let mut block = body;
    if let (Some(only), None) = (statements.next(), statements.next())
        && let Stmt::If { branches, orelse: None } = Stmt::of(only)
    {
        let [(test, inner)] = branches.as_slice() else { return None };
        conditions.push(*test);
        block = *inner;
    }
    let (step, held) = block_step(block)?;
    let container = step.name.text();
    let source = source(cx, iter)?;
    // Each round sees what the rounds before have added.
    let parts = [Some(iter), Some(step.element), step.value].into_iter().flatten().chain(conditions.clone());
    if parts.into_iter().any(|p| mentions(p, container)) {
        return None;
    }
    if !is_private(scope, node, variable, container)
        || held.is_some_and(|name| name == container || !is_private(scope, node, name, container))
    {
        return None;
    }
    let init = statement_before(node).filter(|s| is_empty_container(cx, *s, container, step.collects));
    if init.is_none() && !is_own_container(cx, scope, node, container, step.collects) {
        return None;
    }
    Some(Shape {
        node,
        collects: step.collects,
        filling: Some(Filling { name: step.name, init }),
        source,
        variable,
        target: Some(target),
        element: step.element,
        value: step.value,
        inner: Vec::new(),
        conditions,
    })
}

/// The step of a block, and the name that holds the element where it gets one first: `row = {...}`, `rows.append(row)`.
fn block_step<'a>(block: Node<'a>) -> Option<(Step<'a>, Option<&'a str>)> {
    let mut statements = block.children();
    let first = statements.next()?;
    let Some(second) = statements.next() else { return Some((step(first)?, None)) };
    if statements.next().is_some() {
        return None;
    }
    let Stmt::Assign { targets, value: Some(value), annotation: None } = Stmt::of(first) else { return None };
    let [target] = targets.as_slice() else { return None };
    let Expr::Name(name) = Expr::of(*target) else { return None };
    let step = step(second)?;
    let is_held = step.value.is_none() && matches!(Expr::of(step.element), Expr::Name(n) if n == name);
    let is_plain = value.kind() != Kind::ExprList && !mentions(value, name);
    (is_held && is_plain).then_some((Step { element: value, ..step }, Some(name)))
}

fn step<'a>(statement: Node<'a>) -> Option<Step<'a>> {
    match Stmt::of(statement) {
        Stmt::Expr(call) => {
            let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
            let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return None };
            let collects = match attr {
                "append" => Collects::List,
                "add" => Collects::Set,
                _ => return None,
            };
            let name = value.peel();
            let all = arguments(list);
            let [only] = all.as_slice() else { return None };
            if name.kind() != Kind::Name || only.stars > 0 || only.name.is_some() {
                return None;
            }
            // add(x for x in y)
            if only.value.kind() == Kind::GeneratorExp {
                return None;
            }
            Some(Step { name, collects, element: only.value, value: None })
        }
        Stmt::Assign { targets, value: Some(value), annotation: None } => {
            let [target] = targets.as_slice() else { return None };
            let Expr::Subscript { value: owner, index, count: 1 } = Expr::of(*target) else { return None };
            let name = owner.peel();
            if name.kind() != Kind::Name || index.kind() == Kind::Slice {
                return None;
            }
            Some(Step { name, collects: Collects::Dict, element: index, value: Some(value) })
        }
        _ => None,
    }
}

fn mentions(node: Node<'_>, name: &str) -> bool {
    node.descendants().any(|n| is_use(n) && (n.text() == name || sees_names(n.text())))
}

/// A name that stands for a variable: no attribute, no keyword.
fn is_use(node: Node<'_>) -> bool {
    node.kind() == Kind::Name
        && !node.parent().is_some_and(|p| {
            (p.kind() == Kind::Attribute && node.field() == Field::Attribute)
                || (p.kind() == Kind::KeywordArgument && node.field() == Field::Name)
        })
}

/// Whether nobody sees the loop's variable after the loop, and no other function sees it or the container.
fn is_private(scope: Node<'_>, node: Node<'_>, variable: &str, container: &str) -> bool {
    let in_loop =
        node.ancestors().take_while(|a| *a != scope).any(|a| matches!(a.kind(), Kind::For | Kind::While));
    for name in scope.descendants().filter(|n| is_use(*n)) {
        if sees_names(name.text()) {
            return false;
        }
        if name.text() == container {
            if name.enclosing_scope() != Some(scope)
                || name
                    .parent()
                    .is_some_and(|p| matches!(p.kind(), Kind::Global | Kind::Nonlocal | Kind::Delete))
            {
                return false;
            }
            continue;
        }
        if name.text() != variable || node.contains(name.id()) {
            continue;
        }
        if name.parent().is_some_and(|p| matches!(p.kind(), Kind::Global | Kind::Nonlocal)) {
            return false;
        }
        let before = name.span().start < node.span().start;
        if before && !in_loop && name.enclosing_scope() == Some(scope) {
            continue;
        }
        // A loop or comprehension that binds the name itself does not see ours.
        let rebound = name.ancestors().take_while(|a| *a != scope).any(|a| match a.kind() {
            Kind::For => {
                let binds = a.child(Field::Left).is_some_and(|t| t.text() == variable);
                let within = |field| a.child(field).is_some_and(|part: Node<'_>| part.contains(name.id()));
                // After no round at all the `else` sees the name as it was.
                binds
                    && (within(Field::Body) || within(Field::Left))
                    && !node.ancestors().any(|outer| outer == a)
            }
            kind if kind.is_comprehension() => {
                let all = generators(a);
                // The first iterable is evaluated outside.
                !all.first().is_some_and(|g| g.iter.contains(name.id()))
                    && all.iter().any(|g| g.target.text() == variable)
            }
            _ => false,
        });
        if !rebound {
            return false;
        }
    }
    true
}

/// `name = []`, `name: list[str] = list()`
fn is_empty_container(cx: &Context<'_>, statement: Node<'_>, name: &str, collects: Collects) -> bool {
    let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement) else { return false };
    let [target] = targets.as_slice() else { return false };
    if !matches!(Expr::of(*target), Expr::Name(n) if n == name) {
        return false;
    }
    match Expr::of(value) {
        Expr::List(list) => collects == Collects::List && list.children().next().is_none(),
        Expr::Dict(dict) => collects == Collects::Dict && dict.children().next().is_none(),
        Expr::Call { func, arguments: list } => {
            let class = match collects {
                Collects::List => "builtins.list",
                Collects::Set => "builtins.set",
                _ => "builtins.dict",
            };
            arguments(list).is_empty()
                && matches!(cx.type_of(func), Type::Def(Def::External(path)) if path == class)
        }
        _ => false,
    }
}

/// Whether the container is a list or set that this function has made, under one name.
fn is_own_container(
    cx: &Context<'_>,
    scope: Node<'_>,
    node: Node<'_>,
    name: &str,
    collects: Collects,
) -> bool {
    let right_type = |ty: &Type| match collects {
        Collects::List => matches!(ty, Type::List(_)),
        Collects::Set => matches!(ty, Type::Set(_)),
        _ => false,
    };
    if parameters(scope).iter().any(|p| p.name == name) {
        return false;
    }
    let mut made = false;
    for use_ in scope.descendants().filter(|n| is_use(*n) && n.text() == name) {
        let Some(parent) = use_.parent() else { return false };
        match parent.kind() {
            Kind::Assign if use_.field() == Field::Left => {
                let Some(statement) = parent.parent() else { return false };
                let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement) else {
                    return false;
                };
                let is_new = match Expr::of(value) {
                    Expr::List(_) | Expr::Set(_) => true,
                    Expr::Comp { node, .. } => matches!(node.kind(), Kind::ListComp | Kind::SetComp),
                    Expr::Call { func, .. } => matches!(cx.type_of(func), Type::Def(Def::External(path))
                        if matches!(path.as_str(), "builtins.list" | "builtins.set" | "builtins.sorted")),
                    _ => false,
                };
                if targets.len() != 1 || !is_new || !right_type(cx.type_of(value)) {
                    return false;
                }
                // An assignment in a block around the loop has run before it; one in a branch may not have.
                made |= statement.span().start < node.span().start
                    && statement.parent().is_some_and(|block| block.contains(node.id()));
            }
            Kind::AugAssign if use_.field() == Field::Left => {}
            Kind::For
            | Kind::CompFor
            | Kind::AsPatternTarget
            | Kind::NamedExpr
            | Kind::PatternList
            | Kind::TuplePattern
                if use_.field() == Field::Left
                    || use_.field() == Field::Name
                    || use_.field() == Field::None =>
            {
                return false;
            }
            _ => {}
        }
    }
    made
}

/// The statement directly before `node` in its block.
fn statement_before<'a>(node: Node<'a>) -> Option<Node<'a>> {
    let parent = node.parent()?;
    parent.children().take_while(|c| *c != node).last()
}
