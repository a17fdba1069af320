//! A `try` inside a transaction that catches an error of the database and goes on.

use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::transaction::{self as guard, Opened};
use ormend_engine::codemod::guards::writes;
use ormend_engine::infer::{Event, EventKind};
use ormend_engine::python::{Expr, Handler, Kind, Node, Stmt, arguments};

/// The `try`, and what in its body may fail.
pub struct Caught<'a> {
    /// The `try` statement.
    pub node: Node<'a>,
    /// The handler that goes on.
    pub handler: Node<'a>,
    /// The handlers that may get the error and go on.
    pub handlers: Vec<Node<'a>>,
    /// The transaction around it.
    pub transaction: Opened<'a>,
    /// The database that the transaction is opened on, where it is said.
    pub using: Option<Node<'a>>,
    /// The smallest run of statements of the body that holds everything that writes.
    pub statements: Vec<Node<'a>>,
    /// Other errors are caught as well: by this `try`, or by one around it in the same transaction.
    pub is_wide: bool,
    /// The calls that write.
    pub writes: Vec<Node<'a>>,
}

/// The match at a `try` statement.
pub fn caught<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Caught<'a>> {
    if cx.project.is_known_file(cx.file) {
        return None;
    }
    let Stmt::Try { body, handlers, .. } = Stmt::of(node) else { return None };
    // A handler that raises every error of the database again keeps it from those below.
    let ends = handlers.iter().position(|h| {
        guard::catches_every_database_error(cx, cx.file, h.class) && guard::always_raises(h.body)
    });
    let going: Vec<Node<'a>> = handlers
        .iter()
        .take(ends.unwrap_or(handlers.len()))
        .filter(|h| guard::catches_database_errors(cx, cx.file, h.class) && !guard::always_raises(h.body))
        .map(|h| h.node)
        .collect();
    let handler = *going.first()?;
    if by_hand(node) {
        return None;
    }
    let here = guard::opened(cx, cx.file, node).first().copied();
    let mut writes: Vec<Node<'a>> = Vec::new();
    let mut is_known = false;
    for event in cx.events_in(body) {
        let at = cx.node(event.at).peel();
        if may_fail(cx, event) && is_open(cx, node, at) {
            is_known |= matches!(event.kind, EventKind::Write { model: Some(_), .. });
            if !writes.contains(&at) {
                writes.push(at);
            }
        }
    }
    writes.sort_by_key(|w| w.id());
    let holds = |s: &Node<'a>| writes.iter().any(|w| s.contains(w.id()));
    let all: Vec<Node<'a>> = body.children().filter(|n| n.kind() != Kind::Comment).collect();
    let start = all.iter().position(holds)?;
    let end = all.iter().rposition(holds)?;
    let statements = all.get(start..=end)?.to_vec();
    let takes_others =
        |h: &Handler<'a>| !guard::always_raises(h.body) && guard::catches_other_errors(cx, cx.file, h.class);
    let is_wide = handlers.iter().any(takes_others)
        || node.ancestors().take_while(|a| here.is_none_or(|t| !a.contains(t.context.id()))).any(|a| {
            match Stmt::of(a) {
                Stmt::Try { body, handlers, .. } => {
                    body.contains(node.id()) && handlers.iter().any(takes_others)
                }
                _ => false,
            }
        });
    // Asked last: it takes the facts of callers.
    let transaction = match here {
        Some(found) => Opened::Here(found),
        // A call that cannot be resolved is not enough to ask who calls this one.
        None if !is_known || cx.project.is_test_file(cx.file) => return None,
        None => guard::around(cx, node)?,
    };
    let using = here.and_then(|t| using(t.context));
    Some(Caught { node, handler, handlers: going, transaction, using, statements, is_wide, writes })
}

/// Whether the function handles savepoints or the state of its transaction by itself.
fn by_hand(node: Node<'_>) -> bool {
    let Some(function) = node.enclosing_function() else { return false };
    function.descendants().filter(|n| n.kind() == Kind::Call).any(|call| {
        let Expr::Call { func, .. } = Expr::of(call) else { return false };
        let name = match Expr::of(func) {
            Expr::Name(name) => name,
            Expr::Attribute { attr, .. } => attr,
            _ => return false,
        };
        matches!(
            name,
            "savepoint" | "savepoint_rollback" | "savepoint_commit" | "clean_savepoints" | "set_rollback"
        )
    })
}

/// A statement that is sent to the database and may be refused, without a savepoint of its own.
fn may_fail(cx: &Context<'_>, event: Event<'_>) -> bool {
    let at = cx.node(event.at);
    match &event.kind {
        // A plain function that cannot be resolved may write.
        EventKind::UnknownCall { .. } => {
            !writes::is_in_callee(cx, event)
                && matches!(Expr::of(at), Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Name(_)))
        }
        EventKind::Write { .. } => {
            let node = writes::node_of(cx, event);
            let file = event.site.file;
            !(is_upsert(at)
                || node.is_some_and(is_upsert)
                || writes::is_in_callee(cx, event)
                    && node.is_some_and(|n| {
                        !guard::opened(cx, file, n).is_empty()
                            || guard::handled_below(cx, file, n, None).is_some()
                    }))
        }
        _ => false,
    }
}

/// `get_or_create()` and `update_or_create()` have a savepoint of their own.
fn is_upsert(node: Node<'_>) -> bool {
    let Expr::Call { func, .. } = Expr::of(node) else { return false };
    matches!(Expr::of(func), Expr::Attribute { attr: "get_or_create" | "update_or_create", .. })
}

/// Whether nothing between the `try` and the write opens a savepoint or catches the error already.
fn is_open<'a>(cx: &Context<'a>, outer: Node<'a>, at: Node<'a>) -> bool {
    for ancestor in at.ancestors() {
        if ancestor == outer {
            return true;
        }
        match Stmt::of(ancestor) {
            Stmt::With { items, body, .. }
                if body.contains(at.id())
                    && items.iter().any(|(c, _)| guard::names_atomic(cx, cx.file, *c)) =>
            {
                return false;
            }
            // The inner `try` is a finding of its own.
            Stmt::Try { body, handlers, .. }
                if body.contains(at.id())
                    && handlers.iter().any(|h| guard::catches_database_errors(cx, cx.file, h.class)) =>
            {
                return false;
            }
            Stmt::FunctionDef { .. } => return false,
            _ if ancestor.kind() == Kind::Lambda => return false,
            _ => {}
        }
    }
    false
}

/// `using` of `atomic(using=...)`
fn using<'a>(transaction: Node<'a>) -> Option<Node<'a>> {
    let Expr::Call { arguments: list, .. } = Expr::of(transaction) else { return None };
    arguments(list)
        .iter()
        .enumerate()
        .find(|(i, a)| a.name == Some("using") || *i == 0 && a.name.is_none() && a.stars == 0)
        .map(|(_, a)| a.value)
}
