//! Loops whose place one statement takes: what else they hold, and the text that stands instead of them.

use super::Context;
use super::guards::variable::read_elsewhere;
use crate::python::emit::{indentation, on_one_line};
use crate::python::{Expr, Kind, Node, Stmt};
use crate::text::Edit;

/// `await call`, where the call is awaited.
pub fn awaited(call: Node<'_>) -> Option<Node<'_>> {
    call.with_parens().parent().filter(|p| p.kind() == Kind::Await)
}

/// The statement that is nothing but `expression`.
pub fn statement_of(expression: Node<'_>) -> Option<Node<'_>> {
    let statement = expression.with_parens().parent()?;
    (statement.kind() == Kind::ExprStatement && statement.children().count() == 1).then_some(statement)
}

/// The conditions under which `statement`, which is all that `body` does, runs; `None` where the body does more.
pub fn only_statement<'a>(body: Node<'a>, statement: Node<'a>) -> Option<Vec<Node<'a>>> {
    let mut conditions = Vec::new();
    let mut block = body;
    for _ in 0..8 {
        let mut statements = block.children().filter(|c| c.kind() != Kind::Comment);
        let only = statements.next()?;
        if statements.next().is_some() {
            return None;
        }
        if only == statement {
            return Some(conditions);
        }
        let Stmt::If { branches, orelse: None } = Stmt::of(only) else { return None };
        let [(test, inner)] = branches.as_slice() else { return None };
        conditions.push(*test);
        block = *inner;
    }
    None
}

/// Comments of a loop outside of its source.
pub fn comments<'a>(statement: Node<'a>, source: Node<'a>) -> Vec<Node<'a>> {
    statement
        .descendants()
        .filter(|n| n.kind() == Kind::Comment && !source.with_parens().contains(n.id()))
        .collect()
}

/// `text` in the place of a whole loop over `source`, whose work is done by `call`: comments of the loop go above it, one
/// behind the call stays behind.
pub fn instead<'a>(
    cx: &Context<'a>,
    statement: Node<'a>,
    source: Node<'a>,
    call: Node<'a>,
    text: &str,
) -> Edit {
    let indent = indentation(cx.project.program().file(cx.file), statement);
    let line = |at: u32| cx.source().line_index(at);
    let mut before = String::new();
    let mut behind = String::new();
    for comment in comments(statement, source) {
        let words = comment.text().trim_end();
        let is_behind = comment.span().start > call.span().end;
        if is_behind && line(comment.span().start) == line(call.span().end) {
            behind = format!("  {words}");
        } else {
            before.push_str(&format!("{words}\n{indent}"));
        }
    }
    Edit::replace(statement.span(), format!("{before}{text}{behind}"))
}

/// The clauses of a comprehension with the source and the conditions of a loop. `None` where one of them does not
/// fit on a line.
pub fn clauses(
    target: Node<'_>,
    source: Node<'_>,
    is_async: bool,
    conditions: &[Node<'_>],
) -> Option<Vec<String>> {
    let word = if is_async { "async for" } else { "for" };
    let mut out = vec![format!("{word} {} in {}", on_one_line(target)?, operand(source)?)];
    let mut tests = Vec::new();
    for condition in conditions {
        let is_or = matches!(Expr::of(*condition), Expr::BoolOp { op: Kind::Or, .. }) && conditions.len() > 1;
        let is_loose = is_or || matches!(condition.kind(), Kind::IfExp | Kind::Lambda);
        let text = on_one_line(*condition)?;
        tests.push(if is_loose && condition.kind() != Kind::Paren { format!("({text})") } else { text });
    }
    if !tests.is_empty() {
        out.push(format!("if {}", tests.join(" and ")));
    }
    Some(out)
}

/// An expression on one line, in parentheses where what stands before it would take a part of it.
pub fn operand(node: Node<'_>) -> Option<String> {
    let text = on_one_line(node)?;
    let is_loose = matches!(
        node.kind(),
        Kind::IfExp | Kind::Lambda | Kind::ExprList | Kind::PatternList | Kind::Await | Kind::Yield
    );
    Some(if is_loose { format!("({text})") } else { text })
}

/// Whether a loop can become a comprehension: its variables are not read elsewhere, and nothing in it binds names
/// that a comprehension would keep for itself.
pub fn fits_comprehension<'a>(
    cx: &Context<'a>,
    node: Node<'a>,
    target: Node<'a>,
    source: Node<'a>,
    conditions: &[Node<'a>],
) -> bool {
    let names: Vec<&str> = target.descendants().filter(|n| n.kind() == Kind::Name).map(Node::text).collect();
    let is_plain = target.descendants().all(|n| {
        matches!(
            n.kind(),
            Kind::Name | Kind::Tuple | Kind::PatternList | Kind::TuplePattern | Kind::ExprList | Kind::Paren
        )
    });
    let has_own_names = node.descendants().any(|n| {
        matches!(n.kind(), Kind::NamedExpr | Kind::Lambda | Kind::Yield)
            || n.kind() == Kind::Name
                && matches!(n.text(), "super" | "locals" | "__class__" | "vars" | "eval")
    });
    is_plain
        && !has_own_names
        && clauses(target, source, false, conditions).is_some()
        && !conditions.iter().any(|c| c.descendants().any(|n| n.kind() == Kind::Await))
        && !read_elsewhere(cx, node, &names)
}
