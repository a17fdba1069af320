//! What a savepoint changes besides that the transaction goes on.

use super::find::Caught;
use ormend_engine::codemod::guards::{flow, transaction as guard, writes};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::infer::EventKind;
use ormend_engine::python::{Expr, Kind, Node, Stmt};

/// Every obstacle.
pub fn hazards<'a>(cx: &Context<'a>, found: &Caught<'a>, out: &mut Vec<Hazard>) {
    for node in found.statements.iter().flat_map(|s| s.descendants()) {
        if node.kind() == Kind::Yield && node.enclosing_function() == found.node.enclosing_function() {
            out.push(cx.hazard(HazardKind::OpenAcrossSuspension, "yield", node));
        }
    }
    for event in &cx.facts.events {
        if !found.statements.iter().any(|s| s.contains(event.at)) {
            continue;
        }
        let at = cx.node(event.at);
        match &event.kind {
            EventKind::UnknownCall { name } => {
                out.push(Hazard::at(HazardKind::UnknownInTransaction, name.to_string(), event.site));
            }
            // What is raised on purpose behind a write is caught as well, and the row stays now.
            EventKind::Raise if !writes::is_in_callee(cx, event) => raised(cx, found, at, out),
            EventKind::Raise => {
                let own: Vec<_> = cx.facts.events.iter().filter(|e| e.at == event.at).collect();
                let before = own
                    .iter()
                    .take_while(|e| e.site != event.site)
                    .any(|e| matches!(e.kind, EventKind::Write { .. }));
                let explicit = writes::node_of(cx, event).is_some_and(|n| n.kind() == Kind::Raise);
                if before && explicit {
                    let subject = writes::callee_subject(cx, event);
                    out.push(Hazard::at(HazardKind::RaisesAfterWrite, subject, event.site));
                }
            }
            _ => {}
        }
    }
    for handler in &found.handlers {
        if !queries_follow(cx, found, *handler) {
            let name = handler.text().lines().next().unwrap_or("except").trim_end_matches(':').to_owned();
            out.push(cx.hazard(HazardKind::KeepsRows, name, *handler));
            break;
        }
    }
}

/// A raise of the function itself, behind a write that it shares the savepoint with.
fn raised<'a>(cx: &Context<'a>, found: &Caught<'a>, at: Node<'a>, out: &mut Vec<Hazard>) {
    if !found.writes.iter().any(|w| *w != at && flow::may_follow(*w, at, |_| false)) {
        return;
    }
    let subject = match (at.kind(), Expr::of(at)) {
        (Kind::Raise, _) => "raise".to_owned(),
        (Kind::Assert, _) => "assert".to_owned(),
        (_, Expr::Call { func, .. }) => writes::one_line(func.text()),
        _ => writes::one_line(at.text()),
    };
    out.push(cx.hazard(HazardKind::RaisesAfterWrite, subject, at));
}

/// Whether a query certainly follows the handler before the transaction ends. It raised, so whatever happens behind it
/// now has not happened before.
fn queries_follow<'a>(cx: &Context<'a>, found: &Caught<'a>, handler: Node<'a>) -> bool {
    let Some(body) = handler.child_of_kind(Kind::Block) else { return false };
    for statement in body.children() {
        if queries(cx, statement) {
            return true;
        }
        if may_leave(statement) {
            return false;
        }
    }
    let mut current = found.node;
    loop {
        let Some(block) = current.parent() else { return false };
        for next in block.children().filter(|s| s.id() > current.id()) {
            if queries(cx, next) {
                return true;
            }
            if may_leave(next) {
                return false;
            }
        }
        let Some(owner) = block.parent().filter(|_| block.kind() == Kind::Block) else { return false };
        match Stmt::of(owner) {
            Stmt::With { items, .. } => {
                if items.iter().any(|(c, _)| guard::names_atomic(cx, cx.file, *c)) {
                    return false;
                }
            }
            // The rest of a turn has run; whether another one comes is not known. What follows does.
            Stmt::For { .. } | Stmt::While { .. } => {
                if owner.descendants().any(|n| matches!(n.kind(), Kind::Return | Kind::Yield)) {
                    return false;
                }
            }
            Stmt::If { .. } => {}
            _ => {
                let clause = owner.kind();
                if !matches!(clause, Kind::Else | Kind::Elif) {
                    return false;
                }
            }
        }
        current = match owner.kind() {
            Kind::Else | Kind::Elif => match owner.parent() {
                Some(whole) if whole.kind() == Kind::If => whole,
                _ => return false,
            },
            _ => owner,
        };
    }
}

/// A plain statement that certainly sends something to the database.
fn queries<'a>(cx: &Context<'a>, statement: Node<'a>) -> bool {
    if !matches!(statement.kind(), Kind::ExprStatement | Kind::Return) {
        return false;
    }
    statement.descendants().filter(|n| n.kind() == Kind::Call).any(|call| {
        let Expr::Call { func, arguments } = Expr::of(call) else { return false };
        let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return false };
        let is_certain = !call.ancestors().take_while(|a| *a != statement).any(|a| {
            matches!(a.kind(), Kind::BoolOp | Kind::IfExp | Kind::Lambda) || a.kind().is_comprehension()
        });
        let queryset = cx.type_of(value).queryset().is_some()
            || matches!(cx.type_of(value), ormend_engine::infer::Type::Manager(_));
        let sends = match attr {
            "create" | "update" | "get" | "count" | "exists" | "first" | "last" | "aggregate"
            | "get_or_create" | "update_or_create" => queryset,
            "save" => {
                cx.type_of(value).instance().is_some()
                    && arguments.children().next().is_none()
                    && !cx.type_of(value).may_be_none()
            }
            _ => false,
        };
        let runs = cx.events_in(call).any(|e| {
            e.at == call.id()
                && matches!(e.kind, EventKind::Write { .. } | EventKind::Query { .. } | EventKind::Use { .. })
        });
        is_certain && sends && runs
    })
}

/// Whether control may not come to what follows.
fn may_leave(statement: Node<'_>) -> bool {
    statement
        .descendants()
        .any(|n| matches!(n.kind(), Kind::Return | Kind::Break | Kind::Continue | Kind::Raise | Kind::Yield))
}
