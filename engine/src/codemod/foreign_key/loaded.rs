//! Whether the object behind a foreign key is in memory all the same, so that reading its key from there costs nothing.

use super::{Followed, is_key_wanted};
use crate::codemod::Context;
use crate::codemod::eager::{is_brought_along, node_at, steps};
use crate::codemod::guards::life::are_exclusive;
use crate::codemod::guards::loads::loaded_from;
use crate::infer::{Event, EventKind, Made, Origin, Path, QuerySet, Root};
use crate::python::{Expr, Field, Kind, Node};

/// Whether the object comes with the row, or is read for more than its key in the same run.
pub fn is_loaded_anyway(cx: &Context<'_>, followed: &Followed<'_>) -> bool {
    let mut path = followed.instance.path.clone();
    path.push(followed.field.name.as_str().into());
    is_loaded_with_row(cx, followed, &path) || cx.facts.events().any(|e| reads_object(cx, followed, &path, e))
}

fn is_loaded_with_row(cx: &Context<'_>, followed: &Followed<'_>, path: &Path) -> bool {
    let source: Option<&QuerySet> = match followed.instance.root {
        Root::Row(id) => cx.value(id).and_then(|v| v.queryset.as_deref()),
        Root::Value(id) => cx.value(id).filter(|v| v.made == Made::Loaded).and_then(|v| match v.origin {
            Origin::Expr(node) => loaded_from(cx, cx.node(node)).and_then(|v| v.queryset.as_deref()),
            _ => None,
        }),
        Root::Opaque => None,
    };
    source.is_some_and(|queryset| match steps(cx.project, queryset.model, path) {
        // The way back to where the row came from.
        Some(steps) if steps.len() < path.len() => true,
        Some(steps) => is_brought_along(queryset, path, &steps),
        None => false,
    })
}

/// Whether an event reads the object for more than its key, where the read at hand has run or will run.
fn reads_object(cx: &Context<'_>, followed: &Followed<'_>, path: &Path, event: Event<'_>) -> bool {
    let EventKind::ReadRelation { root, path: read, .. } = &event.kind else { return false };
    if *root != followed.instance.root || read != path {
        return false;
    }
    let at = cx.node(event.at);
    if at == followed.node {
        return false;
    }
    let is_own = event.site == cx.site(at);
    if *root == Root::Opaque && (!is_own || at.text() != followed.node.text()) {
        return false;
    }
    let for_key = if is_own {
        is_key_wanted(cx, at)
    } else {
        node_at(cx.project, event.site).is_some_and(|node| {
            let function = node
                .enclosing_function()
                .and_then(|def| cx.project.program().function_at(event.site.file, def.id()));
            let facts = cx.analyzer.caller(event.site.file, function);
            let other = Context { file: event.site.file, facts: &facts, ..*cx };
            is_key_wanted(&other, other.node(node.id()))
        })
    };
    !for_key && !are_exclusive(at, followed.node, binding(followed.node))
}

/// Where the name that an expression starts with is bound by a loop around it.
fn binding<'a>(node: Node<'a>) -> Option<Node<'a>> {
    let mut root = node.peel();
    while let Expr::Attribute { value, .. } = Expr::of(root) {
        root = value.peel();
    }
    let name = root.text();
    let binds = |target: Node<'a>| target.has_name(name);
    node.ancestors()
        .filter(|a| a.kind() == Kind::For)
        .filter_map(|a| a.child(Field::Left))
        .find(|t| binds(*t))
}
