//! The queryset whose rows a comprehension or loop goes over.

use crate::codemod::Context;
use crate::codemod::guards::projection::has_plain_rows;
use crate::infer::{Instance, Origin, QuerySet, QuerySetClass, Root, Rows, Trait, Type};
use crate::python::{Expr, Kind, Node, arguments, string_value};
use std::sync::Arc;

/// What is iterated.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The expression that is iterated, parentheses peeled.
    pub iter: Node<'a>,
    /// What `values_list` is called on: `iter` without a slice or `iterator()` at its end.
    pub base: Node<'a>,
    /// The queryset that `base` is.
    pub queryset: Arc<QuerySet>,
    /// `iterator()` is called.
    pub is_streamed: bool,
    /// For rows that are dictionaries: the names given to `values()`, which `iter` ends with.
    pub keys: Option<Vec<String>>,
}

/// The queryset that `iter` goes over, if its rows are instances of a known model.
pub fn source<'a>(cx: &Context<'a>, iter: Node<'a>) -> Option<Source<'a>> {
    let iter = iter.peel();
    let mut is_streamed = false;
    let mut base = iter;
    let mut keys = None;
    let queryset = match cx.type_of(iter) {
        Type::QuerySet(queryset) if queryset.rows == Rows::Dicts => {
            let (receiver, names) = dictionaries(cx, iter)?;
            base = receiver;
            keys = Some(names);
            queryset.clone()
        }
        Type::QuerySet(queryset) => {
            if let Expr::Subscript { value, index, count: 1 } = Expr::of(iter)
                && index.kind() == Kind::Slice
                && cx.type_of(value).queryset().is_some()
            {
                base = value.peel();
            }
            queryset.clone()
        }
        Type::Iterator(row) => {
            let Type::Instance(Instance { root: Root::Row(id), path, .. }) = &**row else { return None };
            let Expr::Call { func, .. } = Expr::of(iter) else { return None };
            let Expr::Attribute { value, attr: "iterator", .. } = Expr::of(func) else { return None };
            if !path.is_empty() {
                return None;
            }
            base = value.peel();
            is_streamed = true;
            if let Type::Manager(manager) = cx.type_of(base) {
                let own = |class| cx.project.program().member(class, "values_list").is_some();
                match manager.class {
                    QuerySetClass::Unknown => return None,
                    QuerySetClass::Custom(class) if own(class) => return None,
                    _ => {}
                }
            }
            cx.value(*id)?.queryset.clone()?
        }
        _ => return None,
    };
    if keys.is_none() && queryset.rows != Rows::Instances {
        return None;
    }
    // for book in books: [tag.name for tag in book.tags.all()]: a prefetch saves the query that every row costs
    // here, and values_list() would keep it from doing so.
    if queryset.related.as_ref().is_some_and(|related| matches!(related.owner.root, Root::Row(_))) {
        return None;
    }
    // raw(), dates() and values().annotate() give other rows; extra() puts SQL among the columns.
    if [Trait::Raw, Trait::Dates, Trait::Grouped, Trait::RawSql, Trait::LockedOf]
        .into_iter()
        .any(|t| queryset.is(t))
    {
        return None;
    }
    // Locks that select_related() extends to the joined rows.
    let joins = !queryset.selected.is_empty() || queryset.is(Trait::BareSelectRelated);
    if queryset.is(Trait::Locked) && joins {
        return None;
    }
    // dict() takes what has keys() for a mapping.
    if let QuerySetClass::Custom(class) = queryset.class
        && cx.project.program().member(class, "keys").is_some()
    {
        return None;
    }
    if cx.model(queryset.model).has_unknown_base || is_translated(cx) {
        return None;
    }
    let from_parameter =
        queryset.values.iter().any(|v| cx.value(*v).is_some_and(|v| !matches!(v.origin, Origin::Expr(_))));
    if queryset.class == QuerySetClass::Unknown && !from_parameter && !has_plain_rows(cx, queryset.model) {
        return None;
    }
    Some(Source { iter, base, queryset, is_streamed, keys })
}

/// `books.values("id", "title")`: what `values()` is called on, and the names.
fn dictionaries<'a>(cx: &Context<'a>, iter: Node<'a>) -> Option<(Node<'a>, Vec<String>)> {
    let Expr::Call { func, arguments: list } = Expr::of(iter) else { return None };
    let Expr::Attribute { value: receiver, attr: "values", .. } = Expr::of(func) else { return None };
    let (class, is_rows) = match cx.type_of(receiver) {
        Type::QuerySet(queryset) => (queryset.class, queryset.rows == Rows::Instances),
        Type::Manager(manager) => (manager.class, true),
        _ => return None,
    };
    let is_own = match class {
        QuerySetClass::Plain => false,
        QuerySetClass::Custom(class) => {
            ["values", "values_list"].iter().any(|name| cx.project.program().member(class, name).is_some())
        }
        QuerySetClass::Unknown => true,
    };
    if is_own || !is_rows {
        return None;
    }
    let names: Vec<String> = arguments(list)
        .iter()
        .map(|a| string_value(a.value).filter(|n| a.name.is_none() && a.stars == 0 && is_identifier(n)))
        .collect::<Option<_>>()?;
    let is_unique = names.iter().enumerate().all(|(i, name)| !names.iter().take(i).any(|n| n == name));
    (!names.is_empty() && is_unique).then_some((receiver.peel(), names))
}

fn is_identifier(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// django-modeltranslation gives columns other meanings, on instances and in `values_list` each its own.
fn is_translated(cx: &Context<'_>) -> bool {
    cx.project.settings().installed_apps.iter().any(|app| app == "modeltranslation")
}
