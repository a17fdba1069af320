//! Who takes an exception away from the code that raised it, without standing around it as a `try` of the same function:
//! context managers, decorators, callers.

use super::callers::{CallSite, Certainty, call_sites_where, certainty};
use crate::codemod::Context;
use crate::django::ModelId;
use crate::infer::Type;
use crate::python::{ClassId, Def, Expr, FunctionId, Kind, Member, Node, Stmt};
use crate::text::{FileId, Site};

/// The dotted path of what an expression names, where it is outside the program.
pub fn external_path(cx: &Context<'_>, func: Node<'_>) -> Option<String> {
    if let Type::Def(Def::External(path)) = cx.type_of_any(func) {
        return Some(path.clone());
    }
    if let Expr::Attribute { value, attr, .. } = Expr::of(func) {
        return match cx.type_of_any(value) {
            Type::Def(Def::External(path)) => Some(format!("{path}.{attr}")),
            _ => None,
        };
    }
    match cx.project.program().resolve_expr(cx.file, func.peel().id()) {
        Some(Def::External(path)) => Some(path),
        _ => None,
    }
}

/// `transaction.atomic`, called or not.
pub fn is_atomic(cx: &Context<'_>, context: Node<'_>) -> bool {
    let func = match Expr::of(context) {
        Expr::Call { func, .. } => func,
        _ => context,
    };
    external_path(cx, func).as_deref() == Some("django.db.transaction.atomic")
}

/// Whether a context manager may end the exceptions that are raised below it: `with context: body`.
pub fn swallows(cx: &Context<'_>, context: Node<'_>, body: Node<'_>) -> bool {
    let func = match Expr::of(context) {
        Expr::Call { func, .. } => func,
        _ => context,
    };
    if let Some(path) = external_path(cx, func) {
        if path.ends_with("ExitStack") {
            // What the stack is given in the body, or through a name from elsewhere, counts as its own.
            return body.descendants().filter(|n| n.kind() == Kind::Call).any(|call| {
                let Expr::Call { func, arguments } = Expr::of(call) else { return false };
                let Expr::Attribute { attr, .. } = Expr::of(func) else { return false };
                match attr {
                    "push" | "push_async_exit" => true,
                    "enter_context" | "enter_async_context" => crate::python::arguments(arguments)
                        .first()
                        .is_none_or(|a| swallows(cx, a.value, a.value)),
                    _ => false,
                }
            });
        }
        return path.ends_with("suppress");
    }
    let named = cx.project.program().resolve_expr(cx.file, func.peel().id());
    let def = match cx.type_of_any(func) {
        Type::Def(def) => Some(def.clone()),
        _ => named,
    };
    match def {
        Some(def) => of_def(cx, &def, &Errors::Data).is_some(),
        None => func.text().contains("suppress"),
    }
}

/// A decorator of the frame's function that ends exceptions. Inside of an `atomic` decorator nothing is left of what
/// failed.
pub fn swallowing_decorator(cx: &Context<'_>) -> Option<Site> {
    decorator_that_takes(cx, &Errors::Data)
}

fn decorator_that_takes(cx: &Context<'_>, errors: &Errors<'_>) -> Option<Site> {
    let program = cx.project.program();
    let function = program.function_at(cx.file, cx.scope().id())?;
    for decorator in program.function(function).decorators.iter().rev().flatten() {
        if errors.end_at_atomic()
            && matches!(decorator, Def::External(path) if path == "django.db.transaction.atomic")
        {
            return None;
        }
        if let Some(site) = of_def(cx, decorator, errors) {
            return Some(site);
        }
    }
    None
}

/// A caller of the frame's function, or one of its callers, that ends exceptions and goes on.
pub fn swallowing_caller(cx: &Context<'_>) -> Option<Site> {
    caller_above(cx, MOST_CALLERS, &Errors::Data)
}

/// The statement around `node` of `file`, in its function, that takes one of the exceptions `named` away.
pub fn taking(cx: &Context<'_>, file: FileId, node: Node<'_>, named: &[&str]) -> Option<Site> {
    statement_that_takes(cx, file, node, &Errors::Named(named))
}

/// A handler anywhere in the function `scope` of `file` that takes one of the exceptions `named` away.
pub fn taking_inside(cx: &Context<'_>, file: FileId, scope: Node<'_>, named: &[&str]) -> Option<Site> {
    let errors = Errors::Named(named);
    scope.descendants().find_map(|n| match Stmt::of(n) {
        Stmt::Try { handlers, .. } if n.kind() == Kind::Try => {
            let found = handlers.iter().find(|h| errors.are_ended_by(cx, file, h.class, h.body));
            found.map(|h| Site { file, span: h.node.span() })
        }
        _ => None,
    })
}

/// A decorator of the frame's function, or a caller, that takes one of the exceptions `named` away.
pub fn taking_outside(cx: &Context<'_>, named: &[&str]) -> Option<Site> {
    let errors = Errors::Named(named);
    decorator_that_takes(cx, &errors).or_else(|| caller_above(cx, MOST_CALLERS, &errors))
}

/// Exceptions that are asked for.
enum Errors<'n> {
    /// Errors of the database, of values, and of many kinds. Nothing is left of what failed outside of a transaction
    /// around it.
    Data,
    /// These, which may be raised before anything is sent.
    Named(&'n [&'n str]),
}

impl Errors<'_> {
    fn end_at_atomic(&self) -> bool {
        matches!(self, Errors::Data)
    }

    /// Whether a handler takes them and does not raise them again. A variable may hold any class.
    fn are_ended_by(&self, cx: &Context<'_>, file: FileId, class: Option<Node<'_>>, body: Node<'_>) -> bool {
        let last = body.children().last();
        let Errors::Named(named) = self else {
            let is_wide = class.is_none_or(|c| c.text().contains("Error") || c.text().contains("Exception"));
            return is_wide && last.is_none_or(|last| last.kind() != Kind::Raise);
        };
        let passes_on =
            last.is_some_and(|last| last.kind() == Kind::Raise && last.children().next().is_none());
        !passes_on && class.is_none_or(|c| takes_one_of(cx, file, c, named))
    }
}

/// Callers that are asked for the callers of theirs.
const MOST_CALLERS: usize = 3;
/// Calls whose own callers are looked at.
const MOST_SITES: usize = 12;

fn caller_above(cx: &Context<'_>, depth: usize, errors: &Errors<'_>) -> Option<Site> {
    let around = |site: &CallSite<'_>| statement_that_takes(cx, site.file, site.call, errors);
    let sites = call_sites_where(cx, |site| !cx.project.is_test_file(site.file));
    let sure = |site: &&CallSite<'_>| certainty(cx, site) == Certainty::Sure;
    let found = sites.iter().filter(|site| around(site).is_some()).filter(sure).find_map(&around);
    let depth = depth.checked_sub(1)?;
    if found.is_some() || sites.len() > MOST_SITES {
        return found;
    }
    sites.iter().filter(|site| !errors.end_at_atomic() || !is_held(site)).filter(sure).find_map(|site| {
        site.caller?;
        let facts = site.facts(cx);
        let caller = Context { file: site.file, facts: &facts, ..*cx };
        // A nested function, a lambda or the like runs at another time.
        if site.call.enclosing_scope() != Some(caller.scope()) || caller.scope() == cx.scope() {
            return None;
        }
        decorator_that_takes(&caller, errors).or_else(|| caller_above(&caller, depth, errors))
    })
}

/// Whether a transaction of the caller holds the call, so that nothing is left of it either way.
fn is_held(site: &CallSite<'_>) -> bool {
    site.call.ancestors().take_while(|a| a.kind() != Kind::FunctionDef).any(|a| match Stmt::of(a) {
        Stmt::With { items, .. } => items.iter().any(|(c, _)| c.text().contains("atomic")),
        _ => false,
    })
}

/// The statement around `node`, in its function, that ends the exceptions.
fn statement_that_takes(cx: &Context<'_>, file: FileId, node: Node<'_>, errors: &Errors<'_>) -> Option<Site> {
    let minded = |n: &Node<'_>| matches!(n.kind(), Kind::With | Kind::Try | Kind::FunctionDef);
    for ancestor in node.ancestors().filter(minded) {
        match Stmt::of(ancestor) {
            Stmt::FunctionDef { .. } => return None,
            Stmt::With { items, .. }
                if errors.end_at_atomic() && items.iter().any(|(c, _)| c.text().contains("atomic")) =>
            {
                return None;
            }
            Stmt::With { items, body, .. } if !errors.end_at_atomic() && body.contains(node.id()) => {
                let expects = |c: &Node<'_>| {
                    let text = c.text().split('(').next().unwrap_or_default();
                    text.contains("assertRaises") || text.ends_with("raises")
                };
                let found =
                    items.iter().any(|(c, _)| expects(c) || file == cx.file && swallows(cx, *c, body));
                if found {
                    return Some(Site { file, span: ancestor.span() });
                }
            }
            Stmt::Try { body, handlers, finally, .. } if body.contains(node.id()) => {
                let found = handlers.iter().find(|h| errors.are_ended_by(cx, file, h.class, h.body));
                if let Some(found) = found {
                    return Some(Site { file, span: found.node.span() });
                }
                // To leave by a `return` ends every exception.
                let leaves = |n: Node<'_>| matches!(n.kind(), Kind::Return | Kind::Break | Kind::Continue);
                if let Some(block) = finally.filter(|f| f.descendants().any(leaves)) {
                    return Some(Site { file, span: block.span() });
                }
            }
            _ => {}
        }
    }
    None
}

/// What a decorator or context manager of the program ends.
fn of_def(cx: &Context<'_>, def: &Def, errors: &Errors<'_>) -> Option<Site> {
    let program = cx.project.program();
    match def {
        Def::Function(function) => of_function(cx, *function, errors),
        Def::Class(class) => match program.member(*class, "__exit__") {
            Some((_, Member::Function(function, _))) => {
                let info = program.function(*function);
                let file = program.file(info.file);
                let node = file.node(info.node);
                node.descendants()
                    .find(|n| match Stmt::of(*n) {
                        Stmt::Return(Some(value)) => !matches!(Expr::of(value), Expr::None | Expr::False),
                        _ => false,
                    })
                    .map(|n| Site { file: info.file, span: n.span() })
            }
            _ => match program.member(*class, "__call__") {
                Some((_, Member::Function(function, _))) => of_function(cx, *function, errors),
                _ => None,
            },
        },
        _ => None,
    }
}

fn of_function(cx: &Context<'_>, function: FunctionId, errors: &Errors<'_>) -> Option<Site> {
    let program = cx.project.program();
    let info = program.function(function);
    let file: FileId = info.file;
    let node = program.file(file).node(info.node);
    let minded = |n: &Node<'_>| matches!(n.kind(), Kind::With | Kind::Try);
    node.descendants().filter(minded).find_map(|n| match Stmt::of(n) {
        Stmt::Try { handlers, .. } => {
            let found = handlers
                .iter()
                .find(|h| errors.are_ended_by(cx, file, h.class, h.body) && !is_own(cx, file, node, h.class));
            found.map(|h| Site { file, span: h.node.span() })
        }
        Stmt::With { items, .. } if items.iter().any(|(c, _)| c.text().contains("suppress(")) => {
            Some(Site { file, span: n.span() })
        }
        _ => None,
    })
}

/// Whether a handler's class, or one of a tuple, is one of `named`, a base of all exceptions, or not known.
fn takes_one_of(cx: &Context<'_>, file: FileId, class: Node<'_>, named: &[&str]) -> bool {
    if let Expr::Tuple(inner) = Expr::of(class) {
        return inner.children().any(|c| takes_one_of(cx, file, c, named));
    }
    match cx.project.program().resolve_expr(file, class.peel().id()) {
        Some(Def::External(path)) => {
            let name = path.rsplit('.').next().unwrap_or(&path);
            named.contains(&name) || matches!(name, "Exception" | "BaseException")
        }
        Some(Def::Class(_)) => false,
        Some(_) => true,
        // `Book.DoesNotExist`, a builtin, or a local variable.
        None => {
            let name = class.text().rsplit('.').next().unwrap_or_default();
            named.contains(&name)
                || matches!(name, "Exception" | "BaseException")
                || name.to_lowercase() == name
                || name.to_uppercase() == name
        }
    }
}

/// Whether a handler takes nothing but exceptions of a class of the program that only `function` raises.
fn is_own(cx: &Context<'_>, file: FileId, function: Node<'_>, class: Option<Node<'_>>) -> bool {
    let program = cx.project.program();
    let Some(named) = class else { return false };
    let Some(Def::Class(class)) = program.resolve_expr(file, named.peel().id()) else { return false };
    let key = (file, function.id(), class);
    cx.analyzer.once_for("raised by one function", key, || is_raised_by_one(cx, file, function, class))
}

/// Whether nothing but `function` raises a class of exceptions, or one below.
fn is_raised_by_one(cx: &Context<'_>, file: FileId, function: Node<'_>, class: ClassId) -> bool {
    let program = cx.project.program();
    let family = program.descendants(class);
    program.file_ids().all(|id| {
        let other = program.file(id);
        let text = &other.source;
        if !text.mentions("raise") || !family.iter().any(|c| text.mentions(&program.class(*c).name)) {
            return true;
        }
        other.root().descendants().filter(|n| n.kind() == Kind::Name || n.kind() == Kind::Attribute).all(
            |n| {
                let is_inside = id == file && function.span().contains(n.span());
                is_inside
                    || n.ancestors().all(|a| a.kind() != Kind::Raise)
                    || !matches!(program.resolve_expr(id, n.id()), Some(Def::Class(c)) if family.contains(&c))
            },
        )
    })
}

/// Whether an exception class is the model's `DoesNotExist` or Django's general one, perhaps with
/// `MultipleObjectsReturned`, which a unique lookup never raises.
pub fn catches_only<'a>(cx: &Context<'a>, class: Node<'a>, model: ModelId) -> bool {
    let one = |node: Node<'a>| -> Option<bool> {
        let name = match cx.type_of(node) {
            Type::Def(Def::External(path)) => path.rsplit('.').next()?,
            _ => return None,
        };
        let is_absence = match name {
            "DoesNotExist" | "ObjectDoesNotExist" => true,
            "MultipleObjectsReturned" => false,
            _ => return None,
        };
        if let Expr::Attribute { value, .. } = Expr::of(node)
            && let Type::ModelClass(owner) = cx.type_of(value)
            && *owner != model
        {
            return None;
        }
        if name == "DoesNotExist" && !matches!(Expr::of(node), Expr::Attribute { .. }) {
            return None;
        }
        Some(is_absence)
    };
    let classes = match Expr::of(class) {
        Expr::Tuple(tuple) => tuple.children().map(one).collect::<Option<Vec<bool>>>(),
        _ => one(class).map(|c| vec![c]),
    };
    classes.is_some_and(|c| c.contains(&true))
}
