//! Counts in `and`/`or` chains: `if author.active and not author.books.exists()` asks for some of the rows, in one expression
//! that is evaluated for each of them.

use crate::codemod::Context;
use crate::python::{Expr, Field, Kind, Node, NodeId, generators};
use crate::text::FileId;

/// Whether the chain that the expression `whole` stands in is evaluated for each row of the innermost loop around it: nothing
/// but the operands before it decides whether the rows are counted.
pub(super) fn is_reached(cx: &Context<'_>, file: FileId, whole: NodeId) -> bool {
    if file != cx.file || !cx.scope().contains(whole) {
        return false;
    }
    let mut node = cx.node(whole).with_parens();
    let mut is_chained = false;
    while let Some(parent) = node.parent() {
        match parent.kind() {
            Kind::BoolOp => is_chained = true,
            Kind::Not | Kind::Compare | Kind::BinOp | Kind::UnaryOp => {}
            _ => break,
        }
        node = parent.with_parens();
    }
    is_chained && is_evaluated(node)
}

/// Whether `node` is evaluated in every round of the loop around it.
fn is_evaluated(node: Node<'_>) -> bool {
    let mut inner = node;
    for outer in node.ancestors() {
        match outer.kind() {
            kind if kind.is_comprehension() => {
                let all = generators(outer);
                let [only] = all.as_slice() else { return false };
                let is_first = only.conditions.first().is_some_and(|c| c.contains(node.id()));
                let is_element = outer.child(Field::Body).is_some_and(|b| b.contains(node.id()));
                return is_first || is_element && only.conditions.is_empty();
            }
            Kind::For => {
                let Some(body) = outer.child(Field::Body) else { return false };
                return body.contains(node.id()) && !is_left_before(body, inner);
            }
            Kind::If if inner.field() == Field::Condition => {}
            Kind::IfExp if matches!(Expr::of(outer), Expr::IfExp { test, .. } if test.contains(node.id())) => {
            }
            Kind::If
            | Kind::IfExp
            | Kind::Elif
            | Kind::Else
            | Kind::BoolOp
            | Kind::Lambda
            | Kind::FunctionDef
            | Kind::While
            | Kind::Try
            | Kind::ExceptHandler
            | Kind::MatchCase => return false,
            _ => {}
        }
        if outer.kind() != Kind::Block {
            inner = outer;
        }
    }
    false
}

/// Whether a statement of the loop's body before `statement` may leave the round.
fn is_left_before(body: Node<'_>, statement: Node<'_>) -> bool {
    let leaves = |n: Node<'_>| matches!(n.kind(), Kind::Continue | Kind::Break | Kind::Return | Kind::Raise);
    body.children().take_while(|s| !s.contains(statement.id())).any(|s| s.descendants().any(leaves))
}
