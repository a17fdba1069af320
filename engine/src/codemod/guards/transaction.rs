//! Which code runs in a transaction already, and what a transaction around it would change.

use super::callers::call_sites_where;
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

/// `transaction.atomic`, called or not, in whatever file. A name bound by an import inside a function is taken by its
/// spelling.
pub fn names_atomic(cx: &Context<'_>, file: FileId, node: Node<'_>) -> bool {
    let func = match Expr::of(node) {
        Expr::Call { func, .. } => func,
        _ => node,
    };
    match cx.project.program().resolve_expr(file, func.peel().id()) {
        Some(Def::External(path)) => path == "django.db.transaction.atomic",
        Some(_) => false,
        None => func.text().rsplit('.').next() == Some("atomic"),
    }
}

/// The `with` or the decorator that opens a transaction around `node`, inside the function that holds it.
pub fn opened_around<'a>(cx: &Context<'_>, file: FileId, node: Node<'a>) -> Option<Node<'a>> {
    for ancestor in node.ancestors() {
        match Stmt::of(ancestor) {
            Stmt::With { items, body, .. } if body.contains(node.id()) => {
                if let Some((context, _)) = items.iter().find(|(c, _)| names_atomic(cx, file, *c)) {
                    return Some(*context);
                }
            }
            Stmt::FunctionDef { .. } if ancestor.kind() == Kind::FunctionDef => {
                return decorators(ancestor).into_iter().find(|d| opens_one(cx, file, *d));
            }
            _ => {}
        }
    }
    None
}

/// Whether a decorator opens a transaction: `transaction.atomic`, or a function of the project that uses it.
fn opens_one(cx: &Context<'_>, file: FileId, decorator: Node<'_>) -> bool {
    if names_atomic(cx, file, decorator) {
        return true;
    }
    let func = match Expr::of(decorator) {
        Expr::Call { func, .. } => func,
        _ => decorator,
    };
    let program = cx.project.program();
    let Some(Def::Function(function)) = program.resolve_expr(file, func.peel().id()) else { return false };
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    mentions_atomic(cx, info.file, def)
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

/// Whether every call of the frame's function that can be seen outside of tests stands in a transaction.
pub fn callers_open_one(cx: &Context<'_>) -> bool {
    // Whether a call is certain takes the facts of its caller: not before one stands in a transaction at all.
    let any = std::cell::Cell::new(false);
    call_sites_where(cx, |site| {
        if !any.get() && opened_around(cx, site.file, site.call).is_some() {
            any.set(true);
        }
        false
    });
    if !any.get() {
        return false;
    }
    let sites = call_sites_where(cx, |site| !cx.project.is_test_file(site.file));
    !sites.is_empty()
        && sites.iter().all(|s| s.is_certain || sites.len() == 1)
        && sites.iter().all(|site| opened_around(cx, site.file, site.call).is_some())
}

/// Whether the class opens a transaction for its methods: a decorator of the class (`method_decorator`), or one of the
/// methods through which the framework calls the others.
pub fn class_opens_one(cx: &Context<'_>, class: ClassId) -> bool {
    let program = cx.project.program();
    program.class(class).mro.iter().any(|id| {
        let info: &Class = program.class(*id);
        let file = program.file(info.file);
        let of_class = decorators(file.node(info.node)).into_iter().any(|d| holds_atomic(cx, info.file, d));
        of_class
            || ENTRIES.iter().any(|name| match info.members.get(*name) {
                Some(Member::Function(function, _)) => {
                    let def = file.node(program.function(*function).node);
                    def.span() != cx.scope().span()
                        && (decorators(def).into_iter().any(|d| holds_atomic(cx, info.file, d))
                            || hands_on_inside(cx, info.file, def))
                }
                _ => false,
            })
    })
}

/// `method_decorator(transaction.atomic, name="dispatch")`, `transaction.atomic`, a list of decorators.
fn holds_atomic(cx: &Context<'_>, file: FileId, decorator: Node<'_>) -> bool {
    names_atomic(cx, file, decorator) || mentions_atomic(cx, file, decorator)
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

/// Whether an error of the database that is raised at `node` may be ended by a handler between it and `outer` (or its
/// function), and no transaction of its own is rolled back before.
pub fn handled_below(
    cx: &Context<'_>,
    file: FileId,
    node: Node<'_>,
    outer: Option<Node<'_>>,
) -> Option<Site> {
    for ancestor in node.ancestors() {
        if Some(ancestor) == outer {
            return None;
        }
        match Stmt::of(ancestor) {
            Stmt::With { items, body, .. } if body.contains(node.id()) => {
                if items.iter().any(|(c, _)| names_atomic(cx, file, *c)) {
                    return None;
                }
                if file == cx.file && items.iter().any(|(c, _)| swallows(cx, *c, body)) {
                    return Some(Site { file, span: ancestor.span() });
                }
            }
            Stmt::Try { body, handlers, .. } if body.contains(node.id()) => {
                let found = handlers
                    .iter()
                    .find(|h| catches_database_errors(cx, file, h.class) && !always_raises(h.body));
                if let Some(found) = found {
                    return Some(Site { file, span: found.node.span() });
                }
            }
            Stmt::FunctionDef { .. } if ancestor.kind() == Kind::FunctionDef => return None,
            _ => {}
        }
    }
    None
}

/// Whether a handler's class (or one of a tuple) takes errors of the database. What is not known does.
pub fn catches_database_errors(cx: &Context<'_>, file: FileId, class: Option<Node<'_>>) -> bool {
    let Some(class) = class else { return true };
    match Expr::of(class) {
        Expr::Tuple(inner) => inner.children().any(|c| catches_database_errors(cx, file, Some(c))),
        _ => catches_one(cx, file, class),
    }
}

/// Whether a handler's class takes every error of the database.
pub fn catches_every_database_error(cx: &Context<'_>, file: FileId, class: Option<Node<'_>>) -> bool {
    let Some(class) = class else { return true };
    if let Expr::Tuple(inner) = Expr::of(class) {
        return inner.children().any(|c| catches_every_database_error(cx, file, Some(c)));
    }
    match cx.project.program().resolve_expr(file, class.peel().id()) {
        Some(Def::External(path)) => {
            let name = path.rsplit('.').next().unwrap_or(&path);
            path.starts_with("django.db") && matches!(name, "DatabaseError" | "Error")
                || matches!(name, "Exception" | "BaseException")
        }
        _ => matches!(class.text(), "Exception" | "BaseException"),
    }
}

/// Whether a handler's class takes errors of other kinds as well.
pub fn catches_other_errors(cx: &Context<'_>, file: FileId, class: Option<Node<'_>>) -> bool {
    let Some(class) = class else { return true };
    if let Expr::Tuple(inner) = Expr::of(class) {
        return inner.children().any(|c| catches_other_errors(cx, file, Some(c)));
    }
    match cx.project.program().resolve_expr(file, class.peel().id()) {
        Some(Def::External(path)) => !path.starts_with("django.db"),
        Some(Def::Class(_)) => !catches_one(cx, file, class),
        _ => true,
    }
}

/// Python's own exceptions that no error of a database inherits from or is.
const NOT_OF_DATABASES: &[&str] = &[
    "ValueError",
    "TypeError",
    "KeyError",
    "IndexError",
    "LookupError",
    "AttributeError",
    "NameError",
    "OSError",
    "IOError",
    "FileNotFoundError",
    "PermissionError",
    "TimeoutError",
    "ConnectionError",
    "RuntimeError",
    "NotImplementedError",
    "RecursionError",
    "ArithmeticError",
    "ZeroDivisionError",
    "OverflowError",
    "AssertionError",
    "ImportError",
    "ModuleNotFoundError",
    "StopIteration",
    "UnicodeError",
    "UnicodeDecodeError",
    "UnicodeEncodeError",
    "KeyboardInterrupt",
    "SystemExit",
    "GeneratorExit",
    "EOFError",
    "MemoryError",
    "BufferError",
];

fn catches_one(cx: &Context<'_>, file: FileId, class: Node<'_>) -> bool {
    let program = cx.project.program();
    match program.resolve_expr(file, class.peel().id()) {
        Some(Def::External(path)) => {
            let name = path.rsplit('.').next().unwrap_or(&path);
            // Raised before anything is sent, or after an answer.
            if matches!(
                name,
                "ProtectedError" | "RestrictedError" | "ObjectDoesNotExist" | "DoesNotExist" | "FieldError"
            ) {
                return false;
            }
            if path.starts_with("django.db") || path.starts_with("psycopg") || path.starts_with("sqlite3") {
                return true;
            }
            if path.starts_with("django.") || path.starts_with("rest_framework.") {
                return false;
            }
            if let Some(builtin) = path.strip_prefix("builtins.") {
                return !NOT_OF_DATABASES.contains(&builtin);
            }
            // An exception of a package that knows nothing of the database.
            matches!(name, "Exception" | "BaseException")
        }
        Some(Def::Class(id)) => {
            let info = program.class(id);
            info.external_bases
                .iter()
                .any(|b| b.starts_with("django.db.utils") || b.starts_with("django.db.I"))
        }
        _ => match Expr::of(class) {
            // `Model.DoesNotExist`
            Expr::Attribute { attr: "DoesNotExist" | "MultipleObjectsReturned", .. } => false,
            Expr::Attribute { attr, .. } => attr.contains("Error") || attr.contains("Exception"),
            Expr::Name(name) => !NOT_OF_DATABASES.contains(&name),
            _ => true,
        },
    }
}

/// Whether a handler ends by raising on every path that can be seen at its end.
pub fn always_raises(body: Node<'_>) -> bool {
    body.children().last().is_some_and(|last| match Stmt::of(last) {
        Stmt::Raise(_) => true,
        Stmt::If { branches, orelse } => {
            orelse.is_some_and(always_raises) && branches.iter().all(|(_, b)| always_raises(*b))
        }
        Stmt::With { body, .. } => always_raises(body),
        _ => false,
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

/// The widest block of the frame's function around `node` in which one transaction of the default database is certainly
/// open: the body of a `with`, or of the function where its decorator opens it. `None` says nothing of what callers do.
pub fn open_around<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Node<'a>> {
    let scope = node.enclosing_function()?;
    if scope != cx.scope() {
        return None;
    }
    if let Some(body) = decorated(cx, scope) {
        return Some(body);
    }
    let mut found = None;
    for ancestor in node.ancestors().take_while(|a| *a != scope) {
        if let Stmt::With { is_async: false, items, body } = Stmt::of(ancestor)
            && body.contains(node.id())
            && items.iter().any(|(context, _)| is_atomic(cx, *context) && is_default(*context))
        {
            found = Some(body);
        }
    }
    found
}

/// The body of a function whose innermost decorator is `atomic`.
fn decorated<'a>(cx: &Context<'a>, scope: Node<'a>) -> Option<Node<'a>> {
    let holder = scope.parent().filter(|p| p.kind() == Kind::DecoratedDef)?;
    let Stmt::FunctionDef { decorators, .. } = Stmt::of(holder) else { return None };
    let innermost = decorators.last()?.peel();
    // It is evaluated outside of the function.
    let path = |node: Node<'a>| match cx.project.program().resolve_expr(cx.file, node.peel().id()) {
        Some(Def::External(path)) => Some(path),
        _ => None,
    };
    let callee = |node: Node<'a>| match Expr::of(node) {
        Expr::Call { func, .. } => func.peel(),
        _ => node.peel(),
    };
    let context = match Expr::of(innermost) {
        // `@method_decorator(transaction.atomic)`
        Expr::Call { func, arguments: list }
            if path(func).as_deref() == Some("django.utils.decorators.method_decorator") =>
        {
            arguments(list).first().filter(|a| a.name.is_none() && a.stars == 0).map(|a| a.value)?
        }
        _ => innermost,
    };
    // The body of a generator runs when the transaction is over.
    let yields = |n: Node<'a>| n.kind() == Kind::Yield && n.enclosing_scope() == Some(scope);
    let is_open = path(callee(context)).as_deref() == Some("django.db.transaction.atomic")
        && is_default(context)
        && !scope.is_async()
        && !scope.descendants().any(yields);
    if is_open { scope.child(Field::Body) } else { None }
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
