//! Reads of a foreign key's key from objects of which the model is not known: named, never rewritten.

use ormend_engine::codemod::foreign_key::forward;
use ormend_engine::codemod::guards::untyped::{is_foreign_key_name, is_untyped};
use ormend_engine::codemod::{Context, Description, Hazard, HazardKind, Queries};
use ormend_engine::infer::Type;
use ormend_engine::python::{Expr, Field, Kind, Node};

/// `book.author.pk` of a `book` that may be anything.
#[derive(Clone, Copy, Debug)]
pub struct Untyped<'a> {
    node: Node<'a>,
    owner: Node<'a>,
    name: &'a str,
}

/// The key at `node`, or the question whether there is one: `book.author.pk`, `book.editor is None`.
pub fn untyped<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Untyped<'a>> {
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
    is_key.then_some(Untyped { node, owner, name })
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
        _ => is_untyped(cx, owner) && is_foreign_key_name(cx, name),
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

/// Why nothing is rewritten.
pub fn hazard<'a>(cx: &Context<'a>, found: &Untyped<'a>) -> Hazard {
    cx.hazard(HazardKind::UnknownType, found.owner.text().lines().next().unwrap_or(""), found.owner)
}

/// What is said.
pub fn describe<'a>(cx: &Context<'a>, found: &Untyped<'a>) -> Description {
    Description {
        site: cx.site(found.node),
        message: format!("Read the key of `{}` from the row", found.name),
        related: Vec::new(),
        queries: Queries { before: "1 query".to_owned(), after: "no query".to_owned() },
    }
}
