//! Rows of which a mixin makes a page: it asks the class that it is mixed into for the queryset, and gives the page to other
//! methods of that class.
//!
//! ```python
//! class PagedMixin:
//!     def page(self, request):
//!         return Paginator(self.get_queryset(), 20).get_page(request.GET.get("page"))
//! ```
//!
//! The mixin serves other classes as well, so the rows are asked for in the method of the class, which nobody but the mixin
//! calls.

use super::callers::callers;
use super::reads::Load;
use super::remote::Remote;
use super::returned::{Given, is_paging, is_remembered, of_calls, row_among};
use crate::codemod::Context;
use crate::infer::{Event, Origin, Path, Type, ValueId};
use crate::python::{Binding, ClassId, Expr, FunctionId, Kind, Member, Node, is_super, parameters};
use crate::text::{FileId, Site};

/// Bases from outside that neither call methods of the class by themselves, besides those that answer a request, nor ask it
/// for its rows.
const QUIET_BASES: &[&str] = &["builtins.object", "django.views.", "django.contrib.auth.mixins."];

/// What methods of the class of `function` read of the pages that a mixin makes of the queryset which it returns.
pub(super) fn reads(
    cx: &Context<'_>,
    load: Load,
    function: FunctionId,
    out: &mut Vec<(Vec<ValueId>, Path, Remote)>,
) {
    let program = cx.project.program();
    let info = program.function(function);
    let Some(class) = info.class.filter(|class| program.class(*class).mro.len() > 1) else { return };
    let Some(returns) = &cx.facts.returns else { return };
    let mut values: Vec<ValueId> = Vec::new();
    for ty in returns.alternatives() {
        let Type::QuerySet(qs) = ty else { return };
        values.extend(qs.values.iter().copied());
    }
    if values.is_empty() || is_remembered(cx, function) || !is_quiet(cx, class) {
        return;
    }
    let Some((file, call)) = only_call(cx, function) else { return };
    let Some(method) = call.enclosing_function().and_then(|def| program.function_at(file, def.id())) else {
        return;
    };
    let mixin = program.function(method);
    let is_inherited = mixin.class.is_some_and(|c| c != class && program.class(class).mro.contains(&c));
    let is_own = matches!(program.member(class, &mixin.name),
        Some((_, Member::Function(own, Binding::Method))) if *own == method);
    if !is_inherited || !is_own {
        return;
    }
    let facts = cx.analyzer.method_below(method, class);
    let inner = Context { facts: &facts, file, ..*cx };
    if is_remembered(&inner, method)
        || !gives_pages(&inner, function)
        || is_called_by_mixin(cx, method, class)
    {
        return;
    }
    let after: Vec<Event<'_>> = facts.events().collect();
    let given = Given { values: &values, after: Some(&after), at: None, class: Some(class) };
    of_calls(cx, load, method, given, Vec::new(), out);
}

/// Whether nothing outside the program asks the class, or one below it, for its rows.
fn is_quiet(cx: &Context<'_>, class: ClassId) -> bool {
    let program = cx.project.program();
    program.descendants(class).into_iter().chain([class]).all(|class| {
        let info = program.class(class);
        let is_list = |base: &str| base.starts_with("django.views.generic.") && !base.contains(".base.");
        !info.has_unknown_base
            && info.external_bases.iter().all(|base| {
                QUIET_BASES.iter().any(|quiet| base.starts_with(quiet))
                    && (!is_list(base) || base.ends_with(".View"))
            })
    })
}

/// The only call of the method, where there is one.
fn only_call<'a>(cx: &Context<'a>, function: FunctionId) -> Option<(FileId, Node<'a>)> {
    let mut found = None;
    for caller in callers(cx, function) {
        let inner = Context { facts: &caller.facts, file: caller.file, ..*cx };
        for call in caller.calls {
            let Expr::Call { func, .. } = Expr::of(call) else { return None };
            let Expr::Attribute { value, .. } = Expr::of(func) else { return None };
            // Managers and querysets have methods of that name, too.
            let is_other =
                matches!(inner.type_of(value), Type::Manager(_) | Type::QuerySet(_) | Type::ModelClass(_));
            if is_other {
                continue;
            }
            if found.is_some() || is_super(value) {
                return None;
            }
            found = Some((caller.file, call));
        }
    }
    found
}

/// Whether all that the frame returns is a page of what `function` has given it.
fn gives_pages(cx: &Context<'_>, function: FunctionId) -> bool {
    let program = cx.project.program();
    let own = program.function(function);
    let def = Site { file: own.file, span: program.file(own.file).node(own.node).span() };
    let is_of_function = |value: ValueId| {
        cx.value(value).and_then(|v| cx.value(v.parent?)).is_some_and(|whole| {
            matches!(whole.origin, Origin::Expr(_))
                && whole.site == Some(def)
                && whole.alternatives.is_empty()
        })
    };
    let is_page = |node: Node<'_>| match Expr::of(node) {
        Expr::Call { func, .. } => is_paging(cx, func),
        _ => false,
    };
    let mut returned = cx.scope().descendants().filter(|n| n.kind() == Kind::Return);
    cx.facts.returns.as_ref().and_then(row_among).is_some_and(is_of_function)
        && returned.all(|n| n.children().next().is_some_and(is_page))
}

/// Whether a class above, whose frames know nothing of the rows, asks for the pages.
fn is_called_by_mixin(cx: &Context<'_>, method: FunctionId, class: ClassId) -> bool {
    let program = cx.project.program();
    callers(cx, method).iter().any(|caller| {
        let function = program.function_at(caller.file, caller.facts.scope);
        let around = function.and_then(|f| program.function(f).class);
        match around {
            // A method of a class that has nothing to do with it calls its own.
            Some(around) => {
                let is_self = |call: &Node<'_>| is_own_call(caller.scope, *call);
                program.class(class).mro.iter().skip(1).any(|up| *up == around)
                    || !program.class(around).mro.contains(&class) && !caller.calls.iter().all(is_self)
            }
            None => true,
        }
    })
}

/// Whether a method is called on the own object.
fn is_own_call(scope: Node<'_>, call: Node<'_>) -> bool {
    let Expr::Call { func, .. } = Expr::of(call) else { return false };
    let Expr::Attribute { value, .. } = Expr::of(func) else { return false };
    matches!(Expr::of(value), Expr::Name(name) if parameters(scope).first().is_some_and(|p| p.name == name))
}
