//! Which handlers take errors of the database, and which of them go on.

use super::super::handlers::swallows;
use super::names_atomic;
use crate::codemod::Context;
use crate::python::{Def, Expr, Kind, Node, Stmt};
use crate::text::{FileId, Site};

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
