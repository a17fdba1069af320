//! Conditions that leave a loop: what a filter asks of each row in the same way can be asked once, where the queryset is
//! built.

use super::guards;
use super::reads::Group;
use crate::codemod::conditions::{Asked, is_immutable, is_row};
use crate::codemod::guards::variable;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{ModelId, RelationKind};
use crate::infer::{Origin, Type, ValueId};
use crate::python::{Argument, Expr, Field, Kind, Node, NodeId, arguments, parameters};
use crate::text::{FileId, Site};

/// Values are followed so far.
const MAX_DEPTH: usize = 30;

/// Hazards of `all` arguments of a filter over rows of `model`, to be asked where the queryset of `group` is built.
pub(super) fn hazards(
    cx: &Context<'_>,
    group: &Group,
    model: ModelId,
    file: FileId,
    all: &[Argument<'_>],
    out: &mut Vec<Hazard>,
) {
    let built = group.targets.iter().filter_map(|t| super::place::origin(cx, *t)).min();
    for argument in all {
        let at = || Site { file, span: argument.node.span() };
        let said = |kind| Hazard::at(kind, guards::first_line(argument.node), at());
        let is_kept = argument.stars == 0
            && argument.name.is_some_and(|name| is_own_column(cx, model, name))
            && is_steady(cx, (file, built), argument.value, 0)
            && !(is_open(cx, file, argument.value) && is_guarded(cx, group, built, argument));
        if !is_kept {
            out.push(said(HazardKind::RowCondition));
        } else if !is_taken(cx, group, model, file, argument) {
            out.push(said(HazardKind::RefusedValue));
        }
    }
}

/// Whether the lookup takes the value: by what it is, or since the queryset itself is asked for the same, which raises at the
/// same place.
fn is_taken(cx: &Context<'_>, group: &Group, model: ModelId, file: FileId, argument: &Argument<'_>) -> bool {
    let Some(asked) = argument.name.and_then(|name| Asked::of(cx, model, name)) else { return false };
    if asked.takes(cx, file, argument.value) {
        return true;
    }
    let is_same = |of: ModelId, other: &Argument<'_>| {
        other.value.text() == argument.value.text()
            && other.name.and_then(|name| Asked::of(cx, of, name)).is_some_and(|other| other == asked)
    };
    file == cx.file
        && !group.targets.is_empty()
        && group.targets.iter().all(|target| is_filtered(cx, *target, &is_same, 0))
}

/// Whether a queryset has been filtered by such an argument on every way that it has come.
fn is_filtered(
    cx: &Context<'_>,
    value: ValueId,
    is_it: &dyn Fn(ModelId, &Argument<'_>) -> bool,
    depth: usize,
) -> bool {
    let Some(info) = cx.value(value).filter(|_| depth < MAX_DEPTH) else { return false };
    if !info.alternatives.is_empty() {
        return info.alternatives.iter().all(|v| is_filtered(cx, *v, is_it, depth + 1));
    }
    let is_here = match (info.origin, info.queryset.as_deref()) {
        (Origin::Expr(node), Some(queryset)) => match Expr::of(cx.node(node)) {
            Expr::Call { func, arguments: list } => {
                matches!(Expr::of(func), Expr::Attribute { attr: "filter" | "exclude", .. })
                    && arguments(list).iter().any(|argument| is_it(queryset.model, argument))
            }
            _ => false,
        },
        _ => false,
    };
    is_here || info.parent.is_some_and(|parent| is_filtered(cx, parent, is_it, depth + 1))
}

/// Whether nothing says that a value is one which a lookup takes: an argument that may be None.
fn is_open(cx: &Context<'_>, file: FileId, value: Node<'_>) -> bool {
    let is_constant = !value
        .descendants()
        .any(|n| n.kind() == Kind::Name && !n.text().chars().next().is_some_and(|c| c.is_ascii_uppercase()));
    if is_constant || file != cx.file {
        return !is_constant;
    }
    let is_it = |ty: &Type| matches!(ty, Type::Unknown | Type::None);
    cx.type_of(cx.node(value.peel().id())).alternatives().iter().any(is_it)
}

/// Whether the rows may be asked for in fewer rounds than are gone over, for a value that the lookup refuses elsewhere, or
/// with a value that can be gone over once only.
fn is_guarded(cx: &Context<'_>, group: &Group, built: Option<NodeId>, argument: &Argument<'_>) -> bool {
    let is_around = |a: &Node<'_>| built.is_some_and(|b| a.span().contains(cx.node(b).span()));
    argument.name.is_some_and(|name| name.ends_with("__in"))
        || group.reads.iter().any(|read| !read.is_certain)
        || argument.node.ancestors().take_while(|a| !is_around(a)).any(|a| a.kind() == Kind::Try)
}

/// Whether a lookup asks for a column of the rows themselves.
pub(super) fn is_own_column(cx: &Context<'_>, model: ModelId, lookup: &str) -> bool {
    let info = cx.model(model);
    let first = lookup.split("__").next().unwrap_or(lookup);
    if first == "pk" {
        return true;
    }
    let Some(field) = info.field(first).or_else(|| info.field_by_attname(first)) else { return false };
    match &field.relation {
        None => true,
        // On from there it would be another table.
        Some(relation) => {
            matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne)
                && matches!(lookup.split_once("__"), None | Some((_, "isnull" | "in" | "pk" | "id")))
        }
    }
}

/// Whether a value is the same in every round, and where the queryset is built: a literal, a class or constant of the
/// module, a parameter that nothing binds again, a variable that was bound to one of them, or to what cannot change,
/// before the queryset was `built`.
fn is_steady(cx: &Context<'_>, place: (FileId, Option<NodeId>), value: Node<'_>, depth: usize) -> bool {
    if depth > 10 {
        return false;
    }
    let file = place.0;
    match Expr::of(value) {
        Expr::Str(_) => value.descendants().all(|n| n.kind() != Kind::Interpolation),
        Expr::None | Expr::Int(_) | Expr::True | Expr::False => true,
        Expr::UnaryOp { operand, .. } => matches!(Expr::of(operand), Expr::Int(_)),
        Expr::List(items) | Expr::Tuple(items) => {
            items.children().all(|i| is_steady(cx, place, i, depth + 1))
        }
        Expr::Name(name) => {
            is_class(cx, file, value, name)
                || is_parameter(cx, file, value, name)
                || is_variable(cx, place, value, name, depth)
        }
        Expr::Attribute { value: owner, attr, .. } => {
            let mut root = owner.peel();
            while let Expr::Attribute { value, .. } = Expr::of(root) {
                root = value.peel();
            }
            let Expr::Name(name) = Expr::of(root) else { return false };
            let is_request = match Expr::of(owner) {
                Expr::Name("request") => is_parameter(cx, file, root, name),
                // Of a view.
                Expr::Attribute { value, attr: "request", .. } => {
                    matches!(Expr::of(value), Expr::Name("self")) && is_parameter(cx, file, root, name)
                }
                _ => false,
            };
            // The key of an object that is there.
            let is_key = matches!(attr, "pk" | "id") && is_row(cx, owner);
            is_class(cx, file, root, name)
                || is_request && attr == "user"
                || is_key && is_steady(cx, place, owner, depth + 1)
        }
        _ => false,
    }
}

/// A class or a constant of the module.
fn is_class(cx: &Context<'_>, file: FileId, node: Node<'_>, name: &str) -> bool {
    let is_local = node.enclosing_function().is_some_and(|def| {
        def.mentions(name).any(Node::is_binding) || parameters(def).iter().any(|p| p.name == name)
    });
    name.chars().next().is_some_and(|c| c.is_ascii_uppercase())
        && !is_local
        && cx.project.program().global(file, name).is_some()
}

/// A parameter of the function that builds the queryset, bound by its call alone.
fn is_parameter(cx: &Context<'_>, file: FileId, node: Node<'_>, name: &str) -> bool {
    let scope = cx.scope();
    let is_bound =
        |n: Node<'_>| n.kind() == Kind::Name && n.text() == name && (n.is_binding() || is_changed(n));
    file == cx.file
        && scope.kind() == Kind::FunctionDef
        && scope.contains(node.id())
        && parameters(scope).iter().any(|p| p.name == name)
        && scope.children().filter(|c| c.kind() == Kind::Block).all(|b| !b.descendants().any(is_bound))
        && !is_inner(scope, node, name)
}

/// Whether a name is that of a parameter of a lambda or of an inner function.
fn is_inner(scope: Node<'_>, node: Node<'_>, name: &str) -> bool {
    node.ancestors().take_while(|a| a.id() != scope.id()).any(|a| {
        matches!(a.kind(), Kind::Lambda | Kind::FunctionDef) && parameters(a).iter().any(|p| p.name == name)
    })
}

/// Whether what a name stands for may be changed in place: a list, an attribute of an object.
fn is_changed(node: Node<'_>) -> bool {
    node.parent().is_some_and(|parent| match Expr::of(parent) {
        Expr::Attribute { value, .. } => {
            let is_called = || parent.parent().is_some_and(|call| call.kind() == Kind::Call);
            value.peel() == node && (is_called() || variable::is_assigned(parent))
        }
        Expr::Subscript { value, .. } => value.peel() == node && variable::is_assigned(parent),
        _ => false,
    })
}

/// A variable of the function that builds the queryset, bound once, before that and on every way there.
fn is_variable(
    cx: &Context<'_>,
    place: (FileId, Option<NodeId>),
    node: Node<'_>,
    name: &str,
    depth: usize,
) -> bool {
    let scope = cx.scope();
    let (file, Some(built)) = place else { return false };
    if file != cx.file || scope.kind() != Kind::FunctionDef || !scope.contains(node.id()) {
        return false;
    }
    let named = || scope.mentions(name);
    let mut bound = named().filter(|n| n.is_binding());
    let (Some(target), None) = (bound.next(), bound.next()) else { return false };
    if named().any(is_changed)
        || is_inner(scope, node, name)
        || scope.descendants().any(|n| matches!(n.kind(), Kind::Global | Kind::Nonlocal))
    {
        return false;
    }
    let Some(assign) = target.parent().filter(|p| p.kind() == Kind::Assign) else { return false };
    let statement = assign.parent().filter(|s| s.kind() == Kind::ExprStatement);
    let is_on_every_way = statement.is_some_and(|s| {
        s.subtree_end() <= built && s.parent().is_some_and(|b| b.parent().map(Node::id) == Some(scope.id()))
    });
    let Some(value) = assign.child(Field::Right) else { return false };
    let cannot_change = match cx.type_of(cx.node(value.peel().id())) {
        Type::Bool | Type::Int | Type::Float | Type::Str => true,
        _ => is_row(cx, value) || is_immutable(cx, value),
    };
    is_on_every_way && (cannot_change || is_steady(cx, place, value, depth + 1))
}
