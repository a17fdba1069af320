//! What may run after what, inside one function, from the text alone. Every answer errs towards "may".

use crate::python::{Expr, Field, Kind, Node, Stmt};

/// The statements (and loop conditions) that may run after `statement`, up to the end of its function: what follows it,
/// what an enclosing loop runs again, the handlers around it. A statement for which `ends` holds is the last on its
/// path.
pub fn after<'a>(statement: Node<'a>, mut ends: impl FnMut(Node<'a>) -> bool) -> Vec<Node<'a>> {
    let mut out = Vec::new();
    let mut current = statement;
    let mut falls = true;
    let mut loops_on = false;
    loop {
        let Some(block) = current.parent() else { return out };
        if falls {
            for next in block.children().filter(|s| s.id() > current.id()) {
                out.push(next);
                loops_on |= jumps(next);
                if ends(next) || leaves(next) {
                    falls = false;
                    break;
                }
            }
        }
        loops_on |= jumps(current) && current != statement;
        let holder = if block.kind() == Kind::Block { block.parent() } else { None };
        let Some(holder) = holder else { return out };
        let owner = match holder.kind() {
            Kind::FunctionDef | Kind::Lambda => return out,
            // The body of a class runs where it stands.
            Kind::ClassDef => match holder.parent() {
                Some(decorated) if decorated.kind() == Kind::DecoratedDef => decorated,
                _ => holder,
            },
            _ if holder.kind().is_statement() => holder,
            _ => match holder.ancestors().find(|n| n.kind().is_statement()) {
                Some(owner) => owner,
                None => return out,
            },
        };
        match Stmt::of(owner) {
            Stmt::Try { body, handlers, orelse, finally } => {
                if body == block {
                    for handler in &handlers {
                        out.push(handler.body);
                        loops_on |= jumps(handler.body);
                        // An exception may come at any point of the body.
                        falls |= !block_leaves(handler.body);
                    }
                    out.extend(orelse);
                }
                if finally != Some(block) {
                    out.extend(finally);
                }
            }
            Stmt::For { body, orelse, .. } | Stmt::While { body, orelse, .. } if body == block => {
                if falls || loops_on {
                    if let Stmt::While { test, .. } = Stmt::of(owner) {
                        out.push(test);
                    }
                    for again in body.children() {
                        out.push(again);
                        if ends(again) {
                            break;
                        }
                    }
                    falls = true;
                }
                loops_on = false;
                out.extend(orelse);
            }
            Stmt::With { .. } => {
                // A context manager may swallow what was raised.
                falls |= !owner.child_of_kind(Kind::WithClause).is_some_and(|c| c.text().contains("atomic"));
            }
            _ => {}
        }
        current = owner;
    }
}

/// Everything that may run after one expression.
#[derive(Clone, Debug)]
pub struct Reach<'a> {
    earlier: Node<'a>,
    statement: Option<Node<'a>>,
    after: Vec<Node<'a>>,
}

impl<'a> Reach<'a> {
    /// What may run after `earlier` has run, without `ends` in between.
    pub fn of(earlier: Node<'a>, ends: impl FnMut(Node<'a>) -> bool) -> Reach<'a> {
        let statement = earlier.statement();
        let after = statement.map_or(Vec::new(), |s| after(s, ends));
        Reach { earlier, statement, after }
    }

    /// Whether `later` is among it.
    pub fn contains(&self, later: Node<'a>) -> bool {
        let Some(statement) = self.statement else { return true };
        statement.contains(later.id()) && later.id() > self.earlier.id()
            || self.after.iter().any(|n| n.contains(later.id()))
    }
}

/// Whether `later` may run after `earlier` has run, without `ends` in between.
pub fn may_follow<'a>(earlier: Node<'a>, later: Node<'a>, ends: impl FnMut(Node<'a>) -> bool) -> bool {
    Reach::of(earlier, ends).contains(later)
}

/// Whether `statement` has certainly run to its end when `later`, behind it in the text, runs.
pub fn dominates<'a>(statement: Node<'a>, later: Node<'a>) -> bool {
    if statement.id() >= later.id() {
        return false;
    }
    let mut current = statement;
    loop {
        let Some(block) = current.parent() else { return false };
        if block.contains(later.id()) {
            return true;
        }
        let Some(holder) = block.parent() else { return false };
        match Stmt::of(holder) {
            Stmt::Try { body, handlers, .. }
                if body == block && handlers.iter().all(|h| block_leaves(h.body)) => {}
            Stmt::With { .. } if holder.text().contains("atomic") => {}
            _ => return false,
        }
        current = holder;
    }
}

/// Whether control never comes to the statement behind this one.
pub fn leaves(statement: Node<'_>) -> bool {
    match Stmt::of(statement) {
        Stmt::Return(_) | Stmt::Raise(_) | Stmt::Break | Stmt::Continue => true,
        Stmt::If { branches, orelse } => {
            orelse.is_some_and(block_leaves) && branches.iter().all(|(_, body)| block_leaves(*body))
        }
        Stmt::With { body, .. } => statement.text().contains("atomic") && block_leaves(body),
        Stmt::Try { body, handlers, orelse, finally } => {
            finally.is_some_and(block_leaves)
                || (block_leaves(body) || orelse.is_some_and(block_leaves))
                    && handlers.iter().all(|h| block_leaves(h.body))
        }
        _ => false,
    }
}

fn block_leaves(block: Node<'_>) -> bool {
    block.children().any(leaves)
}

/// Whether it holds a `break` or `continue`.
fn jumps(node: Node<'_>) -> bool {
    node.descendants().any(|n| matches!(n.kind(), Kind::Break | Kind::Continue))
}

/// Whether the value of `node` is only tested for its truth, and how: the condition that it belongs to.
pub fn is_tested(node: Node<'_>) -> bool {
    let mut node = node.with_parens();
    loop {
        let Some(parent) = node.parent() else { return false };
        match parent.kind() {
            Kind::If | Kind::Elif | Kind::While => return node.field() == Field::Condition,
            Kind::Not | Kind::CompIf => return true,
            Kind::Assert => return parent.children().next() == Some(node),
            Kind::IfExp => {
                return matches!(Expr::of(parent), Expr::IfExp { test, .. } if test == node);
            }
            Kind::BoolOp => node = parent.with_parens(),
            _ => return false,
        }
    }
}
