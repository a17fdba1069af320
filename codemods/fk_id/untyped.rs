//! Reads of a foreign key's key from objects of which the model is not known: named, never rewritten.

use ormend_engine::codemod::foreign_key::{followed, forward, is_loaded_anyway};
use ormend_engine::codemod::guards::untyped::is_untyped;
use ormend_engine::codemod::{Context, HazardKind, Queries, Untyped};
use ormend_engine::infer::Type;
use ormend_engine::python::{Expr, Field, Kind, Node, arguments};

/// The key at `node`, or the question whether there is one: `book.author.pk`, `book.editor is None`.
pub fn untyped<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Untyped<'a>> {
    of_untyped(cx, node).or_else(|| against_untyped(cx, node))
}

fn named<'a>(node: Node<'a>, unknown: Node<'a>, name: &str) -> Untyped<'a> {
    Untyped {
        node,
        unknown,
        hazard: HazardKind::UnknownType,
        message: format!("Read the key of `{name}` from the row"),
        queries: Queries { before: "1 query".to_owned(), after: "no query".to_owned() },
    }
}

/// A foreign key of a known row that is compared with something of no known type, or given to the lookup of a queryset of
/// none: `book.author == author`, `rows.filter(author=book.author)`.
fn against_untyped<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Untyped<'a>> {
    let followed = followed(cx, node)?;
    let outer = node.with_parens();
    let parent = outer.parent()?;
    let unknown = match Expr::of(parent) {
        Expr::Compare { left, op: Kind::Eq | Kind::NotEq, right } => {
            let other = if left.with_parens() == outer { right } else { left }.peel();
            let decides = |name: &&str| cx.project.override_of(followed.target, name).is_some();
            let is_path = matches!(Expr::of(other), Expr::Name(_) | Expr::Attribute { .. });
            (is_path && !["__eq__", "__ne__"].iter().any(decides)).then_some(other)?
        }
        _ if parent.kind() == Kind::KeywordArgument => {
            let keyword = parent.child(Field::Name)?.text();
            let call = parent.parent()?.parent().filter(|c| c.kind() == Kind::Call)?;
            let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
            let Expr::Attribute { value, attr: "filter" | "exclude" | "get", .. } = Expr::of(func) else {
                return None;
            };
            let is_lookup = arguments(list).iter().all(|a| a.name.is_some() && a.stars == 0);
            (is_lookup && cx.project.names().is_foreign_key(keyword)).then_some(value)?
        }
        _ => return None,
    };
    let found = named(node, unknown, &followed.field.name);
    if is_loaded_anyway(cx, &followed) {
        return None;
    }
    // A row or None, of which `other.pk` would raise.
    let is_optional = parent.kind() == Kind::Compare && cx.type_of(unknown).may_be_none();
    let optional = Untyped { hazard: HazardKind::ValueMayDiffer, ..found.clone() };
    match cx.type_of(unknown).instance() {
        Some(row) if is_optional && cx.model(row.model).concrete == cx.model(followed.target).concrete => {
            Some(optional)
        }
        _ => is_untyped(cx, unknown).then_some(found),
    }
}

fn of_untyped<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Untyped<'a>> {
    let Expr::Attribute { value, attr, .. } = Expr::of(node) else { return None };
    if node.is_binding() {
        return None;
    }
    let outer = node.with_parens();
    let is_called = outer.field() == Field::Function;
    let (relation, name) = match Expr::of(value) {
        Expr::Attribute { attr: relation, .. } if matches!(attr, "pk" | "id") && !is_called => {
            (value, relation)
        }
        _ if is_compared(outer) => (node, attr),
        _ => return None,
    };
    let Expr::Attribute { value: owner, .. } = Expr::of(relation) else { return None };
    let is_key = is_untyped(cx, relation) && may_have_key(cx, owner, name);
    is_key.then(|| named(node, owner, name))
}

/// Whether the attribute of `owner` can be a foreign key whose object is not known: of what has no type, of an object of a
/// mixin that models have, or of a row whose foreign key leads to a model of a package.
fn may_have_key<'a>(cx: &Context<'a>, owner: Node<'a>, name: &str) -> bool {
    match cx.type_of(owner) {
        Type::Object(class) => {
            let below = cx.project.program().descendants(*class);
            let mut models = below.into_iter().filter_map(|c| cx.project.model_of_class(c));
            models.any(|m| cx.model(m).field(name).is_some_and(|field| forward(field).is_some()))
        }
        Type::Instance(instance) => {
            let field = cx.model(instance.model).field(name);
            field.and_then(forward).is_some_and(|relation| relation.target.is_none())
        }
        _ => is_untyped(cx, owner) && cx.project.names().is_foreign_key(name),
    }
}

/// The left side of `... is None` or `... == author`.
fn is_compared(node: Node<'_>) -> bool {
    let Some(compare) = node.parent().filter(|p| p.kind() == Kind::Compare) else { return false };
    let Expr::Compare { left, op, right } = Expr::of(compare) else { return false };
    match op {
        Kind::Is | Kind::IsNot => matches!(Expr::of(right), Expr::None),
        Kind::Eq | Kind::NotEq => {
            left.peel() == node.peel() && matches!(Expr::of(right), Expr::Name(_) | Expr::Attribute { .. })
        }
        _ => false,
    }
}
