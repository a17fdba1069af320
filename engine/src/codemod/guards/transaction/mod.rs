//! Which code runs in a transaction already: the one answer that every codemod asks for.
//!
//! A transaction is opened by a `with` or a decorator of the function ([`opened`]), by every caller, or by the request
//! of a view ([`around`]).

mod around;
mod errors;
mod request;

pub use around::{Around, Written, alias, hazards, is_plain_decorator};
pub use errors::{
    always_raises, catches_database_errors, catches_every_database_error, catches_other_errors, handled_below,
};
pub use request::is_view;

use super::callers::{CallSite, Certainty, call_sites_where, certainty};
use super::handlers::{external_path, is_atomic, swallows};
use crate::codemod::Context;
use crate::python::{Class, ClassId, Def, Expr, Field, Kind, Member, Node, Stmt, arguments, string_value};
use crate::text::{FileId, Site};

/// Methods of views, viewsets and commands through which the framework calls the others.
const ENTRIES: &[&str] = &[
    "as_view",
    "dispatch",
    "get",
    "post",
    "put",
    "patch",
    "delete",
    "create",
    "update",
    "partial_update",
    "destroy",
    "initial",
    "handle",
    "execute",
];

/// A transaction that a function opens around some of its code.
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'a> {
    /// `transaction.atomic(...)` of the `with`, or the decorator.
    pub context: Node<'a>,
    /// The block that runs in it: of the `with`, or of the function.
    pub body: Node<'a>,
    /// It is certainly Django's, and open while the code runs.
    pub is_certain: bool,
    /// It is one of the default database.
    pub is_default: bool,
    /// A handler inside of it may end what the code raises.
    pub is_caught: bool,
}

/// Who has opened the transaction that some code runs in.
#[derive(Clone, Copy, Debug)]
pub enum Opened<'a> {
    /// The function itself.
    Here(Transaction<'a>),
    /// Every function that calls it.
    ByCallers(ByCallers),
    /// `ATOMIC_REQUESTS`, around a view.
    ByRequest,
}

/// Every call that can be seen outside of tests stands in a transaction.
#[derive(Clone, Copy, Debug)]
pub struct ByCallers {
    /// One of the places where it is opened.
    pub site: Site,
    /// All of them are certain, of the default database, and nobody calls the function but those who are seen.
    pub is_certain: bool,
}

/// The transactions that the function around `node` opens around it, innermost first. This says nothing of its callers.
pub fn opened<'a>(cx: &Context<'_>, file: FileId, node: Node<'a>) -> Vec<Transaction<'a>> {
    let mut out = Vec::new();
    let mut is_caught = false;
    let mut is_deferred = false;
    let minded = |n: &Node<'_>| matches!(n.kind(), Kind::With | Kind::Try | Kind::FunctionDef | Kind::Lambda);
    for ancestor in node.ancestors().filter(minded) {
        match Stmt::of(ancestor) {
            Stmt::With { is_async, items, body } if body.contains(node.id()) => {
                for (context, _) in items.iter().rev() {
                    if let Some(is_certain) = atomic(cx, file, *context) {
                        out.push(Transaction {
                            context: *context,
                            body,
                            is_certain: is_certain && !is_async && !is_deferred,
                            is_default: is_default(*context),
                            is_caught,
                        });
                    } else {
                        is_caught |= file == cx.file && swallows(cx, *context, body);
                    }
                }
            }
            Stmt::Try { body, handlers, .. } if body.contains(node.id()) => is_caught |= !handlers.is_empty(),
            Stmt::FunctionDef { .. } if ancestor.kind() == Kind::FunctionDef => {
                decorated(cx, file, ancestor, is_caught, is_deferred, &mut out);
                return out;
            }
            // Its body runs when it is called.
            _ => is_deferred |= ancestor.kind() == Kind::Lambda,
        }
    }
    out
}

/// The block of the frame's function around `node` in which one transaction of the default database is certainly open:
/// the widest `with`, or the whole function where a decorator, the request or every caller opens it.
pub fn open_block<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Node<'a>> {
    let scope = node.enclosing_function().filter(|s| *s == cx.scope())?;
    let all = opened(cx, cx.file, node);
    match all.iter().rev().find(|t| t.is_certain && t.is_default) {
        Some(found) => Some(found.body),
        None if request::is_atomic_view(cx) || opened_by_callers(cx).is_some_and(|c| c.is_certain) => {
            scope.child(Field::Body)
        }
        None => None,
    }
}

/// Who has opened a transaction around `node` of the frame's function, as far as can be seen.
pub fn around<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Opened<'a>> {
    if let Some(found) = opened(cx, cx.file, node).first() {
        return Some(Opened::Here(*found));
    }
    if request::is_atomic_view(cx) {
        return Some(Opened::ByRequest);
    }
    opened_by_callers(cx).map(Opened::ByCallers)
}

/// Callers that are asked for the callers of theirs.
const MOST_CALLERS: usize = 3;

/// The transaction that every caller of the frame's function opens, as far as can be seen outside of tests.
pub fn opened_by_callers(cx: &Context<'_>) -> Option<ByCallers> {
    *cx.once("opened by callers", || opened_above(cx, MOST_CALLERS))
}

fn opened_above(cx: &Context<'_>, depth: usize) -> Option<ByCallers> {
    let sites = call_sites_where(cx, |site| !cx.project.is_test_file(site.file));
    let mut open = Vec::new();
    let mut closed = Vec::new();
    for site in &sites {
        match around_call(cx, site) {
            Some(found) => open.push((site, found)),
            None => closed.push(site),
        }
    }
    // Which calls are certain takes the facts of their callers: not before it matters.
    if depth == 0 || open.is_empty() && closed.len() > MOST_SITES {
        return None;
    }
    let program = cx.project.program();
    let known = program
        .function_at(cx.file, cx.scope().id())
        .is_some_and(|function| cx.analyzer.is_known_by_callers(function));
    let mut found: Option<ByCallers> = None;
    for (site, transaction) in &open {
        let is_sure = match certainty(cx, site) {
            Certainty::Other => continue,
            Certainty::Maybe if sites.len() > 1 => return None,
            sure => sure == Certainty::Sure,
        };
        let all = found.get_or_insert(ByCallers { is_certain: known, ..*transaction });
        all.is_certain &= is_sure && transaction.is_certain;
    }
    if found.is_none() && !open.is_empty() {
        return None;
    }
    for site in closed {
        match certainty(cx, site) {
            Certainty::Other => {}
            Certainty::Maybe => return None,
            Certainty::Sure => {
                let by = above(cx, site, depth)?;
                let all = found.get_or_insert(ByCallers { is_certain: by.is_certain && known, ..by });
                all.is_certain &= by.is_certain;
            }
        }
    }
    found
}

/// The innermost transaction that the function around a call opens around it, certain where it is of the default database.
fn around_call(cx: &Context<'_>, site: &CallSite<'_>) -> Option<ByCallers> {
    let find = || {
        let found = *opened(cx, site.file, site.call).first()?;
        let place = Site { file: site.file, span: found.context.span() };
        Some(ByCallers { site: place, is_certain: found.is_certain && found.is_default })
    };
    // In the file of the frame more is known: of local imports, and of what ends exceptions.
    match site.file == cx.file {
        true => find(),
        false => cx.analyzer.once_for("transactions around calls", (site.file, site.call.id()), find),
    }
}

/// Calls outside of a transaction whose own callers are looked at.
const MOST_SITES: usize = 4;

/// Where the callers of the caller open it.
fn above(cx: &Context<'_>, site: &CallSite<'_>, depth: usize) -> Option<ByCallers> {
    site.caller?;
    let facts = site.facts(cx);
    let caller = Context { file: site.file, facts: &facts, ..*cx };
    // A nested function, a lambda or the like runs at another time.
    if site.call.enclosing_scope() != Some(caller.scope()) || caller.scope() == cx.scope() {
        return None;
    }
    if request::is_atomic_view(&caller) {
        let site = Site { file: site.file, span: site.call.span() };
        return Some(ByCallers { site, is_certain: true });
    }
    opened_above(&caller, depth - 1)
}

/// `transaction.atomic`, called or not, in whatever file. A name bound by an import inside a function is taken by its
/// spelling.
pub fn names_atomic(cx: &Context<'_>, file: FileId, node: Node<'_>) -> bool {
    atomic(cx, file, node).is_some()
}

/// Whether an expression that is `transaction.atomic`, called or not, certainly is Django's; `None` where it is not.
fn atomic(cx: &Context<'_>, file: FileId, node: Node<'_>) -> Option<bool> {
    let func = callee(node);
    match cx.project.program().resolve_expr(file, func.peel().id()) {
        Some(Def::External(path)) => (path == ATOMIC).then_some(true),
        Some(_) => None,
        // The types of the frame know its local imports.
        None if file == cx.file && is_atomic(cx, node) => Some(true),
        None => (func.text().rsplit('.').next() == Some("atomic")).then_some(false),
    }
}

const ATOMIC: &str = "django.db.transaction.atomic";

/// What is called, or the expression itself.
fn callee(node: Node<'_>) -> Node<'_> {
    match Expr::of(node) {
        Expr::Call { func, .. } => func,
        _ => node,
    }
}

/// The transactions that the decorators of a function open, innermost first.
fn decorated<'a>(
    cx: &Context<'_>,
    file: FileId,
    def: Node<'a>,
    is_caught: bool,
    is_deferred: bool,
    out: &mut Vec<Transaction<'a>>,
) {
    let Some(body) = def.child(Field::Body) else { return };
    // The body of a generator or coroutine runs when the transaction is over.
    let yields = |n: Node<'a>| n.kind() == Kind::Yield && n.enclosing_scope() == Some(def);
    let mut runs_inside = !is_deferred && !def.is_async() && !def.descendants().any(yields);
    for decorator in decorators(def).into_iter().rev() {
        if let Some(context) = opens_one(cx, file, decorator) {
            let is_certain = runs_inside && context.is_some_and(|c| atomic(cx, file, c) == Some(true));
            let context = context.unwrap_or(decorator);
            let is_default = is_default(context);
            out.push(Transaction { context, body, is_certain, is_default, is_caught });
        }
        // Whoever wraps the function may run it later.
        runs_inside &= is_plain_decorator(cx, file, decorator);
    }
}

/// Whether a decorator opens a transaction: `transaction.atomic`, or a function of the project that uses it; and the
/// `transaction.atomic` that it is certainly made of.
fn opens_one<'a>(cx: &Context<'_>, file: FileId, decorator: Node<'a>) -> Option<Option<Node<'a>>> {
    if names_atomic(cx, file, decorator) {
        return Some(Some(decorator));
    }
    let program = cx.project.program();
    match (program.resolve_expr(file, callee(decorator).peel().id()), Expr::of(decorator)) {
        (Some(Def::External(path)), Expr::Call { arguments: list, .. })
            if path == "django.utils.decorators.method_decorator" =>
        {
            let first = arguments(list).first().filter(|a| a.name.is_none() && a.stars == 0)?.value;
            if names_atomic(cx, file, first) {
                Some(Some(first))
            } else {
                mentions_atomic(cx, file, first).then_some(None)
            }
        }
        (Some(Def::Function(function)), _) => {
            let info = program.function(function);
            let def = program.file(info.file).node(info.node);
            mentions_atomic(cx, info.file, def).then_some(None)
        }
        _ => None,
    }
}

/// Whether `transaction.atomic` stands anywhere at or below `node`.
fn mentions_atomic(cx: &Context<'_>, file: FileId, node: Node<'_>) -> bool {
    node.descendants().any(|n| matches!(n.kind(), Kind::Name | Kind::Attribute) && names_atomic(cx, file, n))
}

/// The expressions of the decorators of a definition, outermost first.
pub fn decorators(def: Node<'_>) -> Vec<Node<'_>> {
    match def.parent() {
        Some(whole) if whole.kind() == Kind::DecoratedDef => whole
            .children()
            .filter(|c| c.kind() == Kind::Decorator)
            .filter_map(|c| c.children().next())
            .collect(),
        _ => Vec::new(),
    }
}

/// Whether the class opens a transaction for its methods: a decorator of the class (`method_decorator`), or one of the
/// methods through which the framework calls the others.
pub fn class_opens_one(cx: &Context<'_>, class: ClassId) -> bool {
    let program = cx.project.program();
    program.class(class).mro.iter().any(|id| {
        let info: &Class = program.class(*id);
        let file = program.file(info.file);
        let of_class =
            decorators(file.node(info.node)).into_iter().any(|d| mentions_atomic(cx, info.file, d));
        of_class
            || ENTRIES.iter().any(|name| match info.members.get(*name) {
                Some(Member::Function(function, _)) => {
                    let def = file.node(program.function(*function).node);
                    def.span() != cx.scope().span()
                        && (decorators(def).into_iter().any(|d| mentions_atomic(cx, info.file, d))
                            || hands_on_inside(cx, info.file, def))
                }
                _ => false,
            })
    })
}

/// `with transaction.atomic(): return super().dispatch(...)`
fn hands_on_inside(cx: &Context<'_>, file: FileId, def: Node<'_>) -> bool {
    def.descendants().any(|n| match Stmt::of(n) {
        Stmt::With { items, body, .. } if n.kind() == Kind::With => {
            items.iter().any(|(c, _)| names_atomic(cx, file, *c))
                && body.descendants().any(|c| c.kind() == Kind::Name && c.text() == "super")
        }
        _ => false,
    })
}

/// Whether the frame's function is run by a task queue or from the command line, where no request opens a transaction.
pub fn is_outside_requests(cx: &Context<'_>) -> bool {
    let program = cx.project.program();
    let Some(function) = program.function_at(cx.file, cx.scope().id()) else { return false };
    let info = program.function(function);
    let queued = decorators(cx.scope()).into_iter().any(|d| {
        let func = match Expr::of(d) {
            Expr::Call { func, .. } => func,
            _ => d,
        };
        match program.resolve_expr(cx.file, func.peel().id()) {
            Some(Def::External(path)) => ["celery", "dramatiq", "huey", "django_rq", "rq", "procrastinate"]
                .iter()
                .any(|p| path.split('.').next() == Some(*p)),
            _ => matches!(Expr::of(func), Expr::Attribute { attr: "task" | "actor", .. }),
        }
    });
    queued
        || info.class.is_some_and(|c| {
            program.class(c).external_bases.iter().any(|b| b.starts_with("django.core.management"))
        })
}

/// `durable=True`, or anything but a literal False, among the arguments of `atomic()`.
pub fn is_durable(node: Node<'_>) -> bool {
    let Expr::Call { arguments: list, .. } = Expr::of(node) else { return false };
    list.kind() == Kind::Arguments
        && arguments(list).iter().enumerate().any(|(i, a)| {
            (a.name == Some("durable") || i == 2 && a.name.is_none() || a.stars > 0)
                && !matches!(Expr::of(a.value), Expr::False)
        })
}

/// Code that asks whether a transaction is open.
pub fn asks_for_state(node: Node<'_>) -> Option<Node<'_>> {
    node.descendants().find(|n| match Expr::of(*n) {
        Expr::Attribute { attr, .. } if n.kind() == Kind::Attribute => {
            matches!(attr, "in_atomic_block" | "get_autocommit" | "savepoint_ids" | "atomic_blocks")
        }
        _ => false,
    })
}

/// `on_commit()` around a node: what is given to it runs at another time.
pub fn is_deferred(cx: &Context<'_>, node: Node<'_>) -> bool {
    node.ancestors().filter(|a| a.kind() == Kind::Call).any(|a| match Expr::of(a) {
        Expr::Call { func, .. } => {
            external_path(cx, func).as_deref() == Some("django.db.transaction.on_commit")
                && a.child(Field::Arguments).is_some_and(|list| list.contains(node.id()))
        }
        _ => false,
    })
}

/// `atomic`, `atomic()`, `atomic(using="default")`
fn is_default(context: Node<'_>) -> bool {
    let Expr::Call { arguments: list, .. } = Expr::of(context) else { return true };
    arguments(list).iter().all(|a| {
        a.stars == 0
            && match a.name {
                None | Some("using") => {
                    matches!(Expr::of(a.value), Expr::None)
                        || string_value(a.value).as_deref() == Some("default")
                }
                Some(_) => true,
            }
    })
}
