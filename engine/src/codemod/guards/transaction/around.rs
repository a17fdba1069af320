//! What a transaction around statements would change besides what is left of a failure.

use super::super::{flow, handlers, writes};
use super::{
    always_raises, asks_for_state, catches_database_errors, decorators, handled_below, is_deferred,
    is_durable, names_atomic,
};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{Field, FieldKind};
use crate::infer::{Event, EventKind, Write};
use crate::python::{Def, Expr, Kind, Node, Stmt, arguments, string_value};
use crate::text::{FileId, Site};
use std::cell::OnceCell;

/// A call that writes, inside of what is to be one transaction.
#[derive(Debug)]
pub struct Written<'a> {
    /// The call.
    pub call: Node<'a>,
    /// It is a method of Django's that writes, not a function of the project.
    pub is_direct: bool,
    /// The alias of the database, where it is said.
    pub using: Option<String>,
    /// The database follows from an instance.
    pub by_instance: bool,
    /// What may run after it, worked out when it is asked for.
    pub reach: OnceCell<flow::Reach<'a>>,
}

impl<'a> Written<'a> {
    /// A call that writes to the default database as far as it says.
    pub fn new(call: Node<'a>) -> Written<'a> {
        Written { call, is_direct: true, using: None, by_instance: false, reach: OnceCell::new() }
    }

    /// Whether `node` may run after this write.
    pub fn may_precede(&self, node: Node<'a>) -> bool {
        self.reach.get_or_init(|| flow::Reach::of(self.call, |_| false)).contains(node)
    }
}

/// Writes that are to be one transaction.
#[derive(Debug)]
pub struct Around<'a> {
    /// The function that they stand in.
    pub function: Node<'a>,
    /// The writes.
    pub writes: Vec<Written<'a>>,
}

/// Every obstacle to a transaction around `statements`.
pub fn hazards<'a>(cx: &Context<'a>, unit: &Around<'a>, statements: &[Node<'a>], out: &mut Vec<Hazard>) {
    suspension(cx, unit, statements, out);
    for event in cx.facts.events() {
        let node = cx.node(event.at);
        if statements.iter().any(|s| s.contains(event.at)) && !is_deferred(cx, node) {
            of_event(cx, unit, event, out);
        }
    }
    sleeps(cx, statements, out);
    state(cx, statements, out);
    handlers_inside(cx, statements, out);
    handlers_around(cx, unit, statements, out);
    database(cx, unit, out);
    // Whoever ends transactions by hand in this function counts on there being none.
    for event in cx.facts.events() {
        if let EventKind::Transaction { name } = &event.kind
            && controls(name)
        {
            out.push(at(cx, HazardKind::TransactionControl, event));
        }
    }
}

fn at(cx: &Context<'_>, kind: HazardKind, event: Event<'_>) -> Hazard {
    let site =
        if cx.project.is_known_file(event.site.file) { cx.site(cx.node(event.at)) } else { event.site };
    Hazard::at(kind, writes::callee_subject(cx, event), site)
}

/// Functions of `django.db.transaction` that need to be outside of `atomic()`, or that act on the transaction.
fn controls(name: &str) -> bool {
    matches!(
        name,
        "set_autocommit"
            | "commit"
            | "rollback"
            | "savepoint"
            | "savepoint_commit"
            | "savepoint_rollback"
            | "clean_savepoints"
            | "set_rollback"
            | "mark_for_rollback_on_error"
            | "commit_manually"
            | "enter_transaction_management"
            | "leave_transaction_management"
    )
}

fn suspension<'a>(cx: &Context<'a>, unit: &Around<'a>, statements: &[Node<'a>], out: &mut Vec<Hazard>) {
    if unit.function.is_async() {
        out.push(cx.hazard(HazardKind::OpenAcrossSuspension, "async def", unit.function));
        return;
    }
    for node in statements.iter().flat_map(|s| s.descendants()) {
        if node.kind() == Kind::Yield && node.enclosing_function() == Some(unit.function) {
            out.push(cx.hazard(HazardKind::OpenAcrossSuspension, "yield", node));
        }
    }
}

fn of_event<'a>(cx: &Context<'a>, unit: &Around<'a>, event: Event<'_>, out: &mut Vec<Hazard>) {
    // A form, or what is named like a row, only saves.
    let is_item = unit.writes.iter().any(|i| i.call.id() == event.at && i.is_direct);
    match &event.kind {
        EventKind::Outside { .. } | EventKind::UnknownCall { .. }
            if is_item && (!writes::is_in_callee(cx, event) || cx.project.is_known_file(event.site.file)) => {
        }
        EventKind::Outside { name } if is_sql(name) => {
            if let Some(node) = writes::node_of(cx, event)
                && !is_plain_sql(node)
            {
                out.push(at(cx, HazardKind::TransactionControl, event));
            }
        }
        EventKind::Outside { .. } => out.push(at(cx, HazardKind::OutsideEffect, event)),
        EventKind::UnknownCall { name } => {
            out.push(Hazard::at(HazardKind::UnknownInTransaction, name.to_string(), event.site));
        }
        EventKind::Transaction { name } if &**name == "on_commit" => {
            out.push(at(cx, HazardKind::CommitHook, event));
        }
        EventKind::Transaction { name }
            if &**name == "atomic" && writes::node_of(cx, event).is_some_and(is_durable) =>
        {
            out.push(at(cx, HazardKind::TransactionControl, event));
        }
        EventKind::Raise => raises(cx, unit, event, out),
        EventKind::Write { .. } | EventKind::InstanceMethod { .. } if writes::is_in_callee(cx, event) => {
            // A callee that swallows the database's errors leaves a transaction that cannot go on.
            if cx.project.is_known_file(event.site.file) {
                return;
            }
            if let Some(node) = writes::node_of(cx, event)
                && let Some(site) = handled_below(cx, event.site.file, node, None)
            {
                out.push(Hazard::at(HazardKind::HandlerAround, "", site));
            }
        }
        _ => {}
    }
}

fn is_sql(path: &str) -> bool {
    path.starts_with("django.db.connection") || path.starts_with("django.db.backends")
}

/// `cursor.execute("UPDATE ...")`, and what only opens or reads a cursor.
fn is_plain_sql(call: Node<'_>) -> bool {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return false };
    let Expr::Attribute { attr, .. } = Expr::of(func) else { return false };
    match attr {
        "cursor" | "fetchone" | "fetchall" | "fetchmany" | "close" => true,
        "execute" | "executemany" => {
            let Some(sql) = arguments(list).first().and_then(|a| string_value(a.value)) else { return false };
            let head = sql.split_whitespace().next().unwrap_or("").to_ascii_uppercase();
            matches!(head.as_str(), "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "WITH")
        }
        _ => false,
    }
}

/// A raise on purpose behind a write: whoever wrote it may want the row to stay.
fn raises<'a>(cx: &Context<'a>, unit: &Around<'a>, event: Event<'_>, out: &mut Vec<Hazard>) {
    let node = cx.node(event.at);
    let after_write = |writes: &[Written<'a>]| writes.iter().any(|w| w.call != node && w.may_precede(node));
    if !writes::is_in_callee(cx, event) {
        let in_handler = node.ancestors().any(|a| a.kind() == Kind::ExceptHandler);
        // `get()` that finds nothing fails as any statement may.
        let on_purpose = matches!(node.kind(), Kind::Raise | Kind::Assert) || is_validation(node);
        if on_purpose && !in_handler && after_write(&unit.writes) {
            let subject = match node.kind() {
                Kind::Raise => "raise".to_owned(),
                Kind::Assert => "assert".to_owned(),
                _ => writes::callee_subject(cx, event),
            };
            out.push(cx.hazard(HazardKind::RaisesAfterWrite, subject, node));
        }
        return;
    }
    let explicit = writes::node_of(cx, event).is_some_and(|n| n.kind() == Kind::Raise);
    if !explicit {
        return;
    }
    // In a callee: behind a write of its own, or in one that writes nothing.
    let own: Vec<Event<'_>> = cx.facts.events().filter(|e| e.at == event.at).collect();
    let is_write = |e: &Event<'_>| matches!(e.kind, EventKind::Write { .. });
    let before = own.iter().take_while(|e| e.site != event.site).any(is_write);
    if before || !own.iter().any(is_write) && after_write(&unit.writes) {
        out.push(at(cx, HazardKind::RaisesAfterWrite, event));
    }
}

/// `x.full_clean()` and its like.
fn is_validation(node: Node<'_>) -> bool {
    let Expr::Call { func, .. } = Expr::of(node) else { return false };
    matches!(
        Expr::of(func),
        Expr::Attribute {
            attr: "full_clean" | "clean_fields" | "validate_unique" | "validate_constraints",
            ..
        }
    )
}

/// `time.sleep()`: a transaction that waits keeps its locks.
fn sleeps<'a>(cx: &Context<'a>, statements: &[Node<'a>], out: &mut Vec<Hazard>) {
    for node in statements.iter().flat_map(|s| s.descendants()).filter(|n| n.kind() == Kind::Call) {
        if let Expr::Call { func, .. } = Expr::of(node)
            && handlers::external_path(cx, func).as_deref() == Some("time.sleep")
        {
            out.push(cx.hazard(HazardKind::OutsideEffect, func.text(), node));
        }
    }
}

/// Code that looks whether a transaction is open, here or in a function that is called, and functions that are to be
/// the outermost transaction.
fn state<'a>(cx: &Context<'a>, statements: &[Node<'a>], out: &mut Vec<Hazard>) {
    for node in statements {
        if let Some(found) = asks_for_state(*node) {
            out.push(cx.hazard(HazardKind::TransactionControl, found.text(), found));
        }
    }
    let mut seen = Vec::new();
    for event in cx.facts.events() {
        if !statements.iter().any(|s| s.contains(event.at))
            || !writes::is_in_callee(cx, event)
            || cx.project.is_known_file(event.site.file)
        {
            continue;
        }
        let Some(function) = writes::node_of(cx, event).and_then(Node::enclosing_function) else { continue };
        if seen.contains(&(event.site.file, function.id())) {
            continue;
        }
        seen.push((event.site.file, function.id()));
        let durable = decorators(function)
            .into_iter()
            .find(|d| is_durable(*d) && names_atomic(cx, event.site.file, *d));
        if let Some(found) = durable {
            let site = Site { file: event.site.file, span: found.span() };
            out.push(Hazard::at(HazardKind::TransactionControl, writes::callee_subject(cx, event), site));
        }
        if let Some(found) = asks_for_state(function) {
            let site = Site { file: event.site.file, span: found.span() };
            out.push(Hazard::at(HazardKind::TransactionControl, found.text(), site));
        }
    }
}

/// A handler inside, around something that is sent to the database, which goes on: on PostgreSQL the transaction is
/// broken by then, and Django rolls it back.
fn handlers_inside<'a>(cx: &Context<'a>, statements: &[Node<'a>], out: &mut Vec<Hazard>) {
    for event in cx.facts.events() {
        let writes = matches!(event.kind, EventKind::Write { .. });
        let Some(statement) = statements.iter().find(|s| s.contains(event.at)) else { continue };
        let at = cx.node(event.at);
        if writes
            && let Some(site) = handled_below(cx, cx.file, at, statement.parent())
                .or_else(|| checked_late(cx, event, statement.parent()))
        {
            out.push(Hazard::at(HazardKind::HandlerAround, "", site));
        }
    }
}

/// The handler between an insert or update of a row with foreign keys and `outer` that makes something else of a database
/// error: foreign keys are checked when the transaction ends, where it does not stand any more.
fn checked_late(cx: &Context<'_>, event: Event<'_>, outer: Option<Node<'_>>) -> Option<Site> {
    let EventKind::Write { model, write: Write::Insert | Write::Update | Write::Other | Write::Unknown } =
        &event.kind
    else {
        return None;
    };
    let points = |field: &Field| field.kind == FieldKind::ForeignKey;
    if model.is_some_and(|m| !cx.model(m).fields.iter().any(points)) {
        return None;
    }
    let node = cx.node(event.at);
    node.ancestors().take_while(|a| Some(*a) != outer).find_map(|ancestor| match Stmt::of(ancestor) {
        Stmt::Try { body, handlers, .. } if body.contains(node.id()) => {
            let found = handlers
                .iter()
                .find(|h| catches_database_errors(cx, cx.file, h.class) && !raises_again(h.body))?;
            Some(cx.site(cx.node(found.node.id())))
        }
        _ => None,
    })
}

/// Whether a handler raises what it got.
fn raises_again(body: Node<'_>) -> bool {
    body.children()
        .last()
        .is_some_and(|last| matches!(Stmt::of(last), Stmt::Raise(parts) if parts.is_empty()))
}

/// A handler around all of the writes, or a decorator, that goes on.
fn handlers_around<'a>(cx: &Context<'a>, unit: &Around<'a>, statements: &[Node<'a>], out: &mut Vec<Hazard>) {
    let Some(first) = statements.first() else { return };
    for ancestor in first.ancestors() {
        if ancestor == unit.function {
            break;
        }
        match Stmt::of(ancestor) {
            Stmt::Try { body, handlers: clauses, .. } if body.contains(first.id()) => {
                if let Some(found) = clauses.iter().find(|h| !always_raises(h.body)) {
                    out.push(cx.hazard(HazardKind::HandlerContinues, "", found.node));
                }
            }
            Stmt::With { items, body, .. }
                if body.contains(first.id())
                    && items.iter().any(|(c, _)| handlers::swallows(cx, *c, body)) =>
            {
                out.push(cx.hazard(HazardKind::HandlerContinues, "", ancestor));
            }
            _ => {}
        }
    }
    // Whoever goes on after a failure, a row of an import say, has kept what was written before it.
    let outside = handlers::swallowing_decorator(cx).or_else(|| handlers::swallowing_caller(cx));
    if let Some(site) = outside {
        out.push(Hazard::at(HazardKind::HandlerContinues, "", site));
    }
}

/// The alias to open the transaction on, where it is not the default one.
pub fn alias(unit: &Around<'_>) -> Option<String> {
    let first = unit.writes.first()?.using.clone()?;
    unit.writes.iter().all(|i| i.using.as_ref() == Some(&first)).then_some(first)
}

/// `atomic()` opens a transaction on one database: every write must go there.
fn database<'a>(cx: &Context<'a>, unit: &Around<'a>, out: &mut Vec<Hazard>) {
    let settings = cx.project.settings();
    let several = settings.database_aliases > 1 || settings.has_database_routers;
    let named = alias(unit).is_some();
    for item in &unit.writes {
        let elsewhere = item.using.is_some() && !named;
        let open = several
            && item.using.is_none()
            && (settings.has_database_routers || item.by_instance || !item.is_direct);
        if elsewhere || open {
            let subject = match Expr::of(item.call) {
                Expr::Call { func, .. } => writes::one_line(func.text()),
                _ => String::new(),
            };
            out.push(cx.hazard(HazardKind::OtherDatabase, subject, item.call));
            return;
        }
    }
}

/// Whether a decorator leaves alone when the function runs and what becomes of its errors.
pub fn is_plain_decorator(cx: &Context<'_>, file: FileId, decorator: Node<'_>) -> bool {
    let func = match Expr::of(decorator) {
        Expr::Call { func, .. } => func,
        _ => decorator,
    };
    match cx.project.program().resolve_expr(file, func.peel().id()) {
        Some(Def::External(path)) => [
            "builtins.",
            "django.contrib.auth.decorators",
            "django.views.decorators",
            "django.dispatch",
            "django.db.transaction.atomic",
            "celery",
        ]
        .iter()
        .any(|p| path.starts_with(p)),
        Some(_) => false,
        None => matches!(func.text(), "staticmethod" | "classmethod" | "property"),
    }
}
