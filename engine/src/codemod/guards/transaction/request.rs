//! Views, which `ATOMIC_REQUESTS` runs in a transaction (`BaseHandler.make_view_atomic()`, Django 4.2 to 6.0).

use super::decorators;
use crate::codemod::Context;
use crate::codemod::guards::callers::{Certainty, call_sites_where, certainty};
use crate::python::{ClassId, Expr, FunctionId, Node, Program};

/// Methods of views that nobody but the framework calls, inside of the request.
const OF_VIEWS: &[&str] = &[
    "get",
    "post",
    "put",
    "patch",
    "delete",
    "dispatch",
    "form_valid",
    "form_invalid",
    "get_context_data",
    "get_object",
    "get_queryset",
    "list",
    "retrieve",
    "create",
    "update",
    "partial_update",
    "destroy",
    "perform_create",
    "perform_update",
    "perform_destroy",
];

/// Whether the frame is a view of a project whose settings put every request into a transaction, and is called as one
/// only.
pub(super) fn is_atomic_view(cx: &Context<'_>) -> bool {
    cx.project.settings().atomic_requests
        && cx.project.settings().database_aliases <= 1
        && !cx.scope().is_async()
        && !is_opted_out(cx)
        && is_view(cx)
}

/// `@transaction.non_atomic_requests`, on the function or its class.
fn is_opted_out(cx: &Context<'_>) -> bool {
    let program = cx.project.program();
    let opts_out = |def: Node<'_>| decorators(def).into_iter().any(|d| d.text().contains("non_atomic"));
    let of_class = program
        .function_at(cx.file, cx.scope().id())
        .and_then(|f| program.function(f).class)
        .is_some_and(|class| {
            program.class(class).mro.iter().any(|c| {
                let info = program.class(*c);
                let node = program.file(info.file).node(info.node);
                opts_out(node) || node.text().contains("non_atomic_requests")
            })
        });
    opts_out(cx.scope()) || of_class
}

/// Whether the frame is a function that a URL leads to, or a method of a view that the framework calls, and no code that
/// can be seen calls it by itself.
pub fn is_view(cx: &Context<'_>) -> bool {
    let program = cx.project.program();
    let Some(function) = program.function_at(cx.file, cx.scope().id()) else { return false };
    let info = program.function(function);
    let by_framework = match info.class {
        Some(class) => OF_VIEWS.contains(&info.name.as_str()) && is_view_class(program, class),
        None => cx.analyzer.routed().contains(&function),
    };
    by_framework && !is_called(cx, &info.name, info.class)
}

fn is_view_class(program: &Program, class: ClassId) -> bool {
    let bases = &program.class(class).external_bases;
    ["django.views.", "rest_framework.views", "rest_framework.viewsets", "rest_framework.generics"]
        .iter()
        .any(|p| bases.iter().any(|b| b.starts_with(p)))
}

/// Whether code outside of tests and of views calls it. A method is called by `super()` as the framework calls it.
fn is_called(cx: &Context<'_>, name: &str, class: Option<ClassId>) -> bool {
    let sites = call_sites_where(cx, |site| {
        let Expr::Call { func, .. } = Expr::of(site.call) else { return true };
        let receiver = match Expr::of(func) {
            Expr::Attribute { value, .. } => Some(value),
            _ => None,
        };
        let by_super = receiver.is_some_and(
            |r| matches!(Expr::of(r), Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Name("super"))),
        );
        // `objects.create()`, `data.get()`: who calls these on a view by hand does so on `self`.
        let is_common = class.is_some() && matches!(name, "get" | "list" | "create" | "update" | "delete");
        let on_self = receiver.is_some_and(|r| matches!(Expr::of(r), Expr::Name("self")));
        let in_view = class.is_some() && is_in_view(cx, site.caller);
        let by_name = !is_common || on_self;
        by_name && !by_super && !in_view && !cx.project.is_test_file(site.file)
    });
    sites.iter().any(|site| certainty(cx, site) != Certainty::Other)
}

fn is_in_view(cx: &Context<'_>, caller: Option<FunctionId>) -> bool {
    let program = cx.project.program();
    caller.and_then(|f| program.function(f).class).is_some_and(|c| is_view_class(program, c))
}
