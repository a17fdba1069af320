//! Attributes of rows whose model is not known: named, never rewritten.

use super::looped::decides;
use ormend_engine::codemod::guards::untyped::looks_like_rows;
use ormend_engine::codemod::{Context, HazardKind, Queries, Untyped};
use ormend_engine::infer::{QuerySetClass, Root, Rows, Trait, Type};
use ormend_engine::python::{Expr, Field, Kind, Node, Stmt, generators};

/// `[tag.name for tag in document.tags.all()]`: a comprehension that reads nothing but attributes of its rows.
pub fn untyped<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Untyped<'a>> {
    if node.kind() == Kind::For {
        return of_loop(cx, node);
    }
    if !node.kind().is_comprehension() {
        return None;
    }
    let all = generators(node);
    let [only] = all.as_slice() else { return None };
    let Expr::Name(variable) = Expr::of(only.target) else { return None };
    if only.is_async
        || !only.conditions.is_empty()
        || !(looks_like_rows(cx, only.iter) || is_of_package(cx, only.iter))
    {
        return None;
    }
    let body = node.child(Field::Body)?;
    let mut reads = body.mentions(variable).peekable();
    reads.peek()?;
    reads.all(is_attribute_read).then(|| named(node, only.iter))
}

/// `for translation in instance.translations.all(): render.delay(translation.id)`: a loop that reads nothing but keys.
fn of_loop<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Untyped<'a>> {
    let Stmt::For { is_async: false, target, iter, body, orelse: None } = Stmt::of(node) else { return None };
    let Expr::Name(variable) = Expr::of(target) else { return None };
    let mut reads = body
        .descendants()
        .filter(|n| n.kind() == Kind::Name && n.text() == variable && !n.is_label())
        .peekable();
    reads.peek()?;
    let is_key = |name: Node<'a>| {
        let attribute = name.parent().filter(|_| is_attribute_read(name));
        attribute.is_some_and(|a| {
            let is_key = matches!(Expr::of(a), Expr::Attribute { attr, .. }
                if matches!(attr, "pk" | "id") || attr.ends_with("_id"));
            is_key && !decides(a, node)
        })
    };
    (reads.all(is_key) && looks_like_rows(cx, iter)).then(|| named(node, iter))
}

fn named<'a>(node: Node<'a>, rows: Node<'a>) -> Untyped<'a> {
    Untyped {
        node,
        unknown: rows,
        hazard: HazardKind::UnknownType,
        message: "Read columns with `values_list`".to_owned(),
        queries: Queries {
            before: "1 query, whole rows".to_owned(),
            after: "1 query, a few columns".to_owned(),
        },
    }
}

/// Whether the rows are of a model of which a part is not known: a base class or a queryset of a package.
fn is_of_package<'a>(cx: &Context<'a>, rows: Node<'a>) -> bool {
    let Type::QuerySet(queryset) = cx.type_of(rows) else { return false };
    let is_odd = queryset.class == QuerySetClass::Unknown || cx.model(queryset.model).has_unknown_base;
    let is_of_row =
        queryset.related.as_ref().is_some_and(|related| matches!(related.owner.root, Root::Row(_)));
    queryset.rows == Rows::Instances && is_odd && !is_of_row && !queryset.is(Trait::Raw)
}

/// `row.title`, and not `row.title()`.
fn is_attribute_read(name: Node<'_>) -> bool {
    let outer = name.with_parens();
    let Some(attribute) = outer.parent().filter(|p| p.kind() == Kind::Attribute) else { return false };
    let around = attribute.with_parens();
    outer.field() == Field::Object
        && !(around.field() == Field::Function && around.parent().is_some_and(|p| p.kind() == Kind::Call))
}
