//! Decorators: what calling the function that one has made does with the body that was decorated.

use super::frame::Frame;
use crate::python::{Def, Expr, Field, Kind, Node, Stmt, parameters};

impl Frame<'_, '_> {
    /// Whether a call of what a decorator has made certainly runs the body that was decorated.
    pub(super) fn runs_always(&self, decorator: Option<&Def>) -> bool {
        let program = self.az.project.program();
        match decorator {
            Some(Def::External(path)) => {
                let is_known = |package: &&str| path.split('.').next() == Some(*package);
                let def = Def::External(path.clone());
                !answers_again(&def) && (is_transparent(&def) || RUNNING.iter().any(is_known))
            }
            Some(Def::Function(function)) => {
                let info = program.function(*function);
                let def = program.file(info.file).node(info.node);
                let inner = |n: &Node<'_>| n.kind() == Kind::FunctionDef && n.id() != def.id();
                let returns_it = || {
                    // `registry.append(function); return function`
                    let own = parameters(def);
                    let [only] = own.as_slice() else { return false };
                    def.descendants().filter(|n| n.kind() == Kind::Return).all(|n| {
                        matches!(Stmt::of(n), Stmt::Return(Some(value))
                            if matches!(Expr::of(value), Expr::Name(name) if name == only.name))
                    })
                };
                let mut innermost = def
                    .descendants()
                    .filter(inner)
                    .filter(|n| !n.descendants().any(|m| m.kind() == Kind::FunctionDef && m.id() != n.id()));
                match innermost.next() {
                    None => returns_it(),
                    Some(wrapper) => {
                        innermost.next().is_none() && given(def).iter().any(|g| calls_always(wrapper, g))
                    }
                }
            }
            _ => false,
        }
    }
}

/// Decorators that return the function itself, or one with the same result.
pub(super) fn is_transparent(def: &Def) -> bool {
    let Def::External(path) = def else { return false };
    let last = path.rsplit('.').next().unwrap_or(path);
    path.starts_with("builtins.")
        || path.starts_with("django.utils.decorators")
        || path.starts_with("django.contrib.auth.decorators")
        || path.starts_with("django.views.decorators")
        || path.starts_with("django.contrib.admin")
        || path.starts_with("django.dispatch")
        || path.starts_with("abc.")
        || path.starts_with("typing")
        || path.starts_with("functools.")
        || path.starts_with("rest_framework.decorators")
        || matches!(last, "atomic" | "cached_property" | "property" | "classmethod" | "staticmethod")
}

/// Decorators of packages that run the function with every call of it.
const RUNNING: &[&str] = &[
    "asgiref",
    "celery",
    "contextlib",
    "ddtrace",
    "drf_spectacular",
    "drf_yasg",
    "newrelic",
    "opentelemetry",
    "sentry_sdk",
    "silk",
];

/// Whether every call of an `inner` function of a decorator calls what was decorated, `name`.
fn calls_always<'t>(inner: Node<'t>, name: &str) -> bool {
    let mut block = inner.child(Field::Body);
    while let Some(statements) = block.take() {
        for statement in statements.children() {
            match Stmt::of(statement) {
                Stmt::With { items, body, .. } => {
                    if items.iter().any(|(context, _)| calls(*context, name)) {
                        return true;
                    }
                    block = Some(body);
                    break;
                }
                Stmt::Try { body, .. } => {
                    block = Some(body);
                    break;
                }
                Stmt::Expr(_) | Stmt::Assign { .. } | Stmt::Return(_) => {
                    if calls(statement, name) {
                        return true;
                    }
                }
                Stmt::If { .. } | Stmt::For { .. } | Stmt::While { .. } => {
                    let leaves = |n: Node<'_>| {
                        matches!(n.kind(), Kind::Return | Kind::Raise | Kind::Break | Kind::Continue)
                    };
                    if statement.descendants().any(leaves) {
                        return false;
                    }
                }
                Stmt::FunctionDef { .. } => {}
                _ => return false,
            }
        }
    }
    false
}

/// Whether an expression calls `name` whatever its parts give.
fn calls(node: Node<'_>, name: &str) -> bool {
    node.descendants().any(|n| {
        matches!(Expr::of(n), Expr::Call { func, .. }
            if n.kind() == Kind::Call && matches!(Expr::of(func), Expr::Name(called) if called == name))
            && !n.ancestors().take_while(|a| a.id() != node.id()).any(|a| {
                matches!(a.kind(), Kind::BoolOp | Kind::IfExp | Kind::Lambda) || a.kind().is_comprehension()
            })
    })
}

/// The parameters of a decorator and of the functions in it.
fn given<'t>(def: Node<'t>) -> Vec<&'t str> {
    let functions = def.descendants().filter(|n| n.kind() == Kind::FunctionDef);
    functions.flat_map(parameters).map(|p| p.name).collect()
}

/// Whether a decorator answers a call with the arguments of an earlier one as it did then.
pub(super) fn answers_again(def: &Def) -> bool {
    let Def::External(path) = def else { return false };
    matches!(
        path.rsplit('.').next().unwrap_or(path),
        "lru_cache" | "cache" | "cached" | "cache_page" | "memoize"
    )
}

/// Whether a decorator makes a function give the same object again.
pub(super) fn remembers(def: &Def) -> bool {
    let Def::External(path) = def else { return false };
    let last = path.rsplit('.').next().unwrap_or(path);
    matches!(last, "cached_property" | "lru_cache" | "cache")
}
