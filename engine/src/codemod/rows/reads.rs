//! What is read of a row: columns, or something else.

use super::Shape;
use super::column::{Column, column, path, related_key};
use crate::codemod::Context;
use crate::infer::QuerySet;
use crate::python::{Expr, Field, Kind, Node, string_value};

/// Columns, and reads with the index of their column.
pub type Found<'a> = (Vec<Column>, Vec<(Node<'a>, usize)>);

/// Relations in a row are followed so far.
const MAX_STEPS: usize = 5;

/// Every column that is read of the row; `None` where the row is used in another way.
pub fn columns_of<'a>(cx: &Context<'a>, shape: &Shape<'a>) -> Option<Found<'a>> {
    let mut columns: Vec<Column> = Vec::new();
    let mut reads = Vec::new();
    let parts = std::iter::once(shape.element).chain(shape.value).chain(shape.inner.iter().copied());
    for part in parts {
        read(cx, shape, part, &mut columns, &mut reads)?;
    }
    let of_element = columns.len();
    for condition in &shape.conditions {
        read(cx, shape, *condition, &mut columns, &mut reads)?;
    }
    // Other columns would make other rows of distinct ones.
    if shape.source.keys.as_ref().is_some_and(|keys| keys.len() != columns.len()) {
        return None;
    }
    // [b.title for b in books if b.status == "live"] is filter-in-database's question.
    if of_element == 0 || columns.len() > of_element {
        return None;
    }
    // What values_list gives for one column named twice depends on Django's version.
    let mut identities: Vec<&str> = columns.iter().map(|c| c.identity.as_str()).collect();
    identities.sort_unstable();
    identities.dedup();
    (identities.len() == columns.len()).then_some((columns, reads))
}

fn read<'a>(
    cx: &Context<'a>,
    shape: &Shape<'a>,
    part: Node<'a>,
    columns: &mut Vec<Column>,
    reads: &mut Vec<(Node<'a>, usize)>,
) -> Option<()> {
    for node in part.descendants() {
        match node.kind() {
            // Names that outlive the row, and code that runs later.
            Kind::NamedExpr | Kind::Lambda | Kind::Await | Kind::Yield | Kind::Error => return None,
            Kind::Interpolation if is_self_documenting(node) => return None,
            Kind::Name => {}
            _ => continue,
        }
        let parent = node.parent()?;
        let is_label = (parent.kind() == Kind::Attribute && node.field() == Field::Attribute)
            || (parent.kind() == Kind::KeywordArgument && node.field() == Field::Name);
        if is_label {
            continue;
        }
        if parent.kind() == Kind::Call && sees_names(node.text()) {
            return None;
        }
        if node.text() != shape.variable {
            continue;
        }
        let (read, found) = match &shape.source.keys {
            Some(keys) => {
                let Expr::Subscript { value, index, count: 1 } = Expr::of(parent) else { return None };
                let key = string_value(index).filter(|k| value.peel() == node && keys.contains(k))?;
                (parent, Column { name: key.clone(), identity: key, hazard: None })
            }
            None => attribute(cx, &shape.source.queryset, parent)?,
        };
        let index = match columns.iter().position(|c| c.name == found.name) {
            Some(index) => index,
            None => {
                columns.push(found);
                columns.len() - 1
            }
        };
        reads.push((read, index));
    }
    Some(())
}

/// `row.column`, or `row.relation.pk`: what is read, and the column that holds it.
fn attribute<'a>(cx: &Context<'a>, queryset: &QuerySet, parent: Node<'a>) -> Option<(Node<'a>, Column)> {
    // The row itself goes somewhere.
    let Expr::Attribute { attr, .. } = Expr::of(parent) else { return None };
    let is_called = |node: Node<'a>| {
        let outer = node.with_parens();
        outer.field() == Field::Function && outer.parent().is_some_and(|p| p.kind() == Kind::Call)
    };
    if is_called(parent) {
        return None;
    }
    let outer = parent.with_parens();
    if outer.field() == Field::Object
        && let Some(key) = outer.parent().filter(|p| p.kind() == Kind::Attribute && !is_called(*p))
        && let Expr::Attribute { attr: name, .. } = Expr::of(key)
        && let Some(found) = related_key(cx, queryset, attr, name)
    {
        return Some((key, found));
    }
    let mut names = vec![attr];
    let mut read = parent;
    let mut model = cx.model(queryset.model);
    // `row.author.publisher.name`
    while names.len() < MAX_STEPS
        && let Some(target) = names.last().and_then(|n| model.field(n)?.relation.as_ref()?.target)
    {
        let outer = read.with_parens();
        let next =
            outer.parent().filter(|p| p.kind() == Kind::Attribute && outer.field() == Field::Object)?;
        let Expr::Attribute { attr, .. } = Expr::of(next) else { return None };
        if is_called(next) {
            return None;
        }
        names.push(attr);
        read = next;
        model = cx.model(target);
    }
    let found = match names.as_slice() {
        [only] => column(cx, queryset, only)?,
        names => path(cx, queryset, names, false)?,
    };
    Some((read, found))
}

/// Functions that see variables without naming them.
pub fn sees_names(name: &str) -> bool {
    matches!(name, "eval" | "exec" | "locals" | "vars" | "globals" | "dir")
}

/// `{book.title=}` shows its own text.
fn is_self_documenting(node: Node<'_>) -> bool {
    let Some(inner) = node.child(Field::Expression).or_else(|| node.children().next()) else { return true };
    let rest = node.file_text().get(inner.span().end as usize..node.span().end as usize).unwrap_or("=");
    rest.trim_start().starts_with('=')
}
