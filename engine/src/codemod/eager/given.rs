//! A queryset that a framework makes for one call of a function and keeps nothing of: that of an action of the admin. It
//! has not been evaluated, so it is extended where the function goes over it.

use crate::codemod::Context;
use crate::infer::{Type, Use, ValueId};
use crate::python::{Expr, Field, Kind, Node};

/// Methods that ask the database whether the rows are loaded or not.
const ASKING: &[&str] = &[
    "filter",
    "exclude",
    "order_by",
    "distinct",
    "values",
    "values_list",
    "only",
    "defer",
    "annotate",
    "alias",
    "aggregate",
    "select_related",
    "prefetch_related",
    "all",
    "none",
    "using",
    "reverse",
    "iterator",
    "update",
    "delete",
];
/// Methods that look at the rows where they are loaded, and else ask.
const LOOKING: &[&str] = &["count", "exists", "first", "last"];

/// The name of the parameter at `index` where its rows are loaded, provided that this is the only place which may load
/// them and nothing looks at the loaded rows elsewhere.
pub(super) fn place<'a>(cx: &Context<'a>, value: ValueId, index: usize) -> Option<Node<'a>> {
    let program = cx.project.program();
    let function = program.function_at(cx.file, cx.facts.scope)?;
    if !cx.analyzer.is_made_for(function, index) {
        return None;
    }
    let scope = cx.scope();
    let is_it = |node: &Node<'a>| {
        node.kind() == Kind::Name
            && !node.is_binding()
            && matches!(cx.type_of(*node), Type::QuerySet(qs) if qs.values.as_slice() == [value])
    };
    let mut found: Option<Node<'a>> = None;
    let mut looked: Vec<Node<'a>> = Vec::new();
    for name in scope.descendants().filter(is_it) {
        if name.enclosing_function() != Some(scope) {
            return None;
        }
        match called(name) {
            Some(method) if ASKING.contains(&method) => {}
            Some(method) if LOOKING.contains(&method) => looked.push(name),
            None if found.is_none() => found = Some(name),
            _ => return None,
        }
    }
    let found = found.filter(|name| !is_repeated(*name, scope))?;
    let is_before = |name: &Node<'a>| name.span().end <= found.span().start && !is_repeated(*name, scope);
    // What a callee does with the object is an event of its own.
    let is_loaded_here =
        cx.facts.uses(value).filter(|(_, how)| how.may_load() || **how == Use::Slice).count() == 1;
    (looked.iter().all(is_before) && is_loaded_here).then_some(found)
}

/// The method that is called on a name.
fn called(name: Node<'_>) -> Option<&str> {
    let attribute = name.with_parens().parent()?;
    let Expr::Attribute { attr, .. } = Expr::of(attribute) else { return None };
    // `queryset.model` loads nothing, as a method that asks.
    let is_called = attribute.with_parens().parent().is_some_and(|call| {
        matches!(Expr::of(call), Expr::Call { func, .. } if call.kind() == Kind::Call
            && func.peel() == attribute.peel())
    });
    match attr {
        "model" | "db" | "query" => Some("all"),
        _ => Some(if is_called { attr } else { "" }),
    }
}

/// Whether a node is evaluated more than once in a run of its function.
fn is_repeated<'a>(node: Node<'a>, scope: Node<'a>) -> bool {
    node.ancestors().take_while(|a| *a != scope).any(|around| match around.kind() {
        Kind::While | Kind::Lambda => true,
        Kind::For => !around.child(Field::Right).is_some_and(|iter| iter.contains(node.id())),
        // The first clause of a comprehension is evaluated once.
        Kind::ListComp | Kind::SetComp | Kind::DictComp | Kind::GeneratorExp => {
            let first = around.children().find(|child| child.kind() == Kind::CompFor);
            !first.and_then(|c| c.child(Field::Right)).is_some_and(|iter| iter.contains(node.id()))
        }
        _ => false,
    })
}
