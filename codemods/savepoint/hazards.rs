//! What a savepoint changes besides that the transaction goes on.

use super::find::Caught;
use ormend_engine::codemod::guards::callers::{Certainty, call_sites_where, certainty};
use ormend_engine::codemod::guards::transaction::{self as guard, Opened};
use ormend_engine::codemod::guards::{flow, writes};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::infer::{EventKind, Type};
use ormend_engine::python::{Expr, Kind, Node, Stmt, innermost_loop};

/// Every obstacle.
pub fn hazards<'a>(cx: &Context<'a>, found: &Caught<'a>, out: &mut Vec<Hazard>) {
    for node in found.statements.iter().flat_map(|s| s.descendants()) {
        if node.kind() == Kind::Yield && node.enclosing_function() == found.node.enclosing_function() {
            out.push(cx.hazard(HazardKind::OpenAcrossSuspension, "yield", node));
        }
    }
    for event in cx.facts.events() {
        if !found.statements.iter().any(|s| s.contains(event.at)) {
            continue;
        }
        let at = cx.node(event.at);
        match &event.kind {
            EventKind::UnknownCall { name } if !writes::is_in_callee(cx, event) => {
                out.push(Hazard::at(HazardKind::UnknownInTransaction, name.to_string(), event.site));
            }
            // What is raised on purpose behind a write is caught as well, and the row stays now.
            EventKind::Raise if !writes::is_in_callee(cx, event) => raised(cx, found, at, out),
            EventKind::Raise => {
                let own: Vec<_> = cx.facts.events().filter(|e| e.at == event.at).collect();
                let before = own
                    .iter()
                    .take_while(|e| e.site != event.site)
                    .any(|e| matches!(e.kind, EventKind::Write { .. }));
                let explicit = writes::node_of(cx, event).is_some_and(|n| n.kind() == Kind::Raise);
                // What is passed to it was written before it runs.
                let follows =
                    |w: &Node<'a>| *w != at && (at.contains(w.id()) || flow::may_follow(*w, at, |_| false));
                if explicit && (before || found.writes.iter().any(follows)) {
                    let subject = writes::callee_subject(cx, event);
                    out.push(Hazard::at(HazardKind::RaisesAfterWrite, subject, event.site));
                }
            }
            _ => {}
        }
    }
    if found.is_wide {
        fails_between(cx, found, out);
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

/// Errors of other kinds are caught, too: where one may come after a write, the row before it stays now.
fn fails_between<'a>(cx: &Context<'a>, found: &Caught<'a>, out: &mut Vec<Hazard>) {
    let Some(first) = found.writes.first() else { return };
    let in_loop = |n: Node<'a>| {
        n.ancestors()
            .take_while(|a| *a != found.node)
            .any(|a| matches!(a.kind(), Kind::For | Kind::While) || a.kind().is_comprehension())
    };
    let looped = in_loop(*first);
    for node in found.statements.iter().flat_map(|s| s.descendants()) {
        // What the first write is made of comes before it, unless it comes again.
        let before = node.id() < first.id() || first.contains(node.id());
        // What is raised on purpose is named by itself.
        if node.ancestors().any(|a| a.kind() == Kind::Raise) {
            continue;
        }
        if before && !(looped && in_loop(node)) {
            continue;
        }
        let may_fail = match Expr::of(node) {
            Expr::Subscript { .. } if node.kind() == Kind::Subscript => true,
            Expr::BinOp { .. } if node.kind() == Kind::BinOp => true,
            Expr::Call { func, .. } if node.kind() == Kind::Call => {
                let sends = cx.events_in(node).any(|e| {
                    e.at == node.id()
                        && matches!(
                            e.kind,
                            EventKind::Write { .. } | EventKind::Query { .. } | EventKind::Log
                        )
                });
                let makes =
                    matches!(cx.type_of(node), Type::Instance(_) | Type::QuerySet(_) | Type::Manager(_))
                        || matches!(cx.type_of(func), Type::ModelClass(_));
                !(sends || makes)
            }
            _ => false,
        };
        if may_fail {
            out.push(cx.hazard(HazardKind::RaisesAfterWrite, writes::one_line(node.text()), node));
            return;
        }
    }
}

/// Whether a query certainly follows the handler before the transaction ends. It raised, so whatever happens behind it
/// now has not happened before.
fn queries_follow<'a>(cx: &Context<'a>, found: &Caught<'a>, handler: Node<'a>) -> bool {
    let Some(body) = handler.child_of_kind(Kind::Block) else { return false };
    let mut may_return = After::Query;
    let after = match first_of(cx, body.children(), &mut may_return) {
        Next::Query => may_return,
        Next::Leaves(after) => after,
        Next::Jumps(at) => match innermost_loop(at) {
            Some(innermost) if turns(innermost) => weaker(may_return, follow(cx, innermost)),
            _ => return false,
        },
        Next::Falls => weaker(may_return, follow(cx, found.node)),
    };
    match after {
        After::Query => true,
        After::Unsure => false,
        After::Returns => match found.transaction {
            Opened::ByCallers(by) => by.is_certain && callers_follow(cx, MOST_CALLERS),
            _ => false,
        },
    }
}

/// Callers whose callers are looked at.
const MOST_CALLERS: usize = 3;

/// Whether a query follows every call of the function inside of the transaction that its caller has opened.
fn callers_follow(cx: &Context<'_>, depth: usize) -> bool {
    let sites = call_sites_where(cx, |site| !cx.project.is_test_file(site.file));
    depth > 0
        && sites.iter().filter(|site| certainty(cx, site) != Certainty::Other).all(|site| {
            let Some(statement) = site.call.statement() else { return false };
            let facts = site.facts(cx);
            let caller = Context { file: site.file, facts: &facts, ..*cx };
            if site.call.enclosing_scope() != Some(caller.scope()) {
                return false;
            }
            let after = match statement.kind() {
                Kind::Return => After::Returns,
                Kind::ExprStatement => follow(&caller, caller.node(statement.id())),
                // A test of what it gives back decides what comes next.
                _ => After::Unsure,
            };
            match after {
                After::Query => true,
                After::Unsure => false,
                After::Returns => {
                    guard::opened(&caller, site.file, site.call).is_empty()
                        && callers_follow(&caller, depth - 1)
                }
            }
        })
}

fn weaker(a: After, b: After) -> After {
    match (a, b) {
        (After::Unsure, _) | (_, After::Unsure) => After::Unsure,
        (After::Returns, _) | (_, After::Returns) => After::Returns,
        _ => After::Query,
    }
}

/// What follows a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// A query, on every path.
    Query,
    /// On every path a query, or the function returns.
    Returns,
    Unsure,
}

/// What follows a statement of the frame.
fn follow<'a>(cx: &Context<'a>, statement: Node<'a>) -> After {
    let mut current = statement;
    let mut last = After::Query;
    loop {
        let Some(block) = current.parent() else { return After::Unsure };
        match first_of(cx, block.children().filter(|s| s.id() > current.id()), &mut last) {
            Next::Query => return last,
            Next::Leaves(after) => return after,
            Next::Jumps(at) => {
                match innermost_loop(at).filter(|l| l.contains(current.id())) {
                    Some(innermost) if turns(innermost) => current = innermost,
                    _ => return After::Unsure,
                }
                continue;
            }
            Next::Falls => {}
        }
        let Some(owner) = block.parent().filter(|_| block.kind() == Kind::Block) else {
            return After::Unsure;
        };
        current = match Stmt::of(owner) {
            Stmt::With { items, .. } => {
                if items.iter().any(|(c, _)| guard::names_atomic(cx, cx.file, *c)) {
                    return After::Unsure;
                }
                owner
            }
            // The rest of a turn has run; whether another one comes is not known. What follows the loop does.
            Stmt::For { .. } | Stmt::While { .. } if turns(owner) => owner,
            Stmt::If { .. } => owner,
            Stmt::FunctionDef { .. } if owner == cx.scope() => return After::Returns,
            _ => match (owner.kind(), owner.parent()) {
                (Kind::Else | Kind::Elif, Some(whole)) if whole.kind() == Kind::If => whole,
                _ => return After::Unsure,
            },
        };
    }
}

/// Whether a loop is only left to what follows it.
fn turns(node: Node<'_>) -> bool {
    !node.descendants().any(|n| matches!(n.kind(), Kind::Return | Kind::Yield))
}

/// What comes first in a row of statements.
enum Next<'a> {
    Query,
    /// The function is left.
    Leaves(After),
    /// `break` or `continue` may come.
    Jumps(Node<'a>),
    Falls,
}

/// `last` becomes [`After::Returns`] where some path returns before.
fn first_of<'a>(cx: &Context<'a>, statements: impl Iterator<Item = Node<'a>>, last: &mut After) -> Next<'a> {
    for statement in statements {
        if queries(cx, statement) {
            return Next::Query;
        }
        let holds = |kinds: &[Kind]| statement.descendants().any(|n| kinds.contains(&n.kind()));
        if holds(&[Kind::Raise, Kind::Yield]) {
            return Next::Leaves(After::Unsure);
        }
        if statement.kind() == Kind::Return {
            return Next::Leaves(After::Returns);
        }
        if holds(&[Kind::Return]) {
            *last = After::Returns;
        }
        // A jump inside a loop of its own ends that one.
        let jump = statement.descendants().find(|n| {
            matches!(n.kind(), Kind::Break | Kind::Continue)
                && innermost_loop(*n).is_none_or(|l| !statement.contains(l.id()))
        });
        if let Some(jump) = jump {
            return Next::Jumps(jump);
        }
    }
    Next::Falls
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
        let queryset =
            cx.type_of(value).queryset().is_some() || matches!(cx.type_of(value), Type::Manager(_));
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
