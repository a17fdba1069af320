//! Counts that name the key instead of the relation: `Book.objects.filter(author=author).count()` asks what
//! `author.books.count()` asks, where the manager gives every row.

use super::reader::{Spelled, What};
use crate::codemod::Context;
use crate::django::{ModelId, RelationKind};
use crate::infer::{Event, EventKind, Instance, Name, Path, Root, Type, Use, ValueId};
use crate::python::{Expr, Kind, Node, arguments};

/// The row whose relation an event of the frame counts by its key, and the relation.
pub(in super::super) fn read(cx: &Context<'_>, event: Event<'_>) -> Option<(ValueId, Path)> {
    let EventKind::Use { how: Use::Method(method), .. } = &event.kind else { return None };
    let node = cx.node(event.at);
    if !matches!(&**method, "count" | "exists") || event.site != cx.site(node) {
        return None;
    }
    let found = asked(cx, node)?;
    let row = instance(cx, found.spelled.row)?;
    let Root::Row(value) = row.root else { return None };
    Some((value, Path::from_iter([Name::from(found.accessor)])))
}

/// The count at a node, taken apart.
pub(super) fn spelled<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Spelled<'a>> {
    asked(cx, node).map(|found| found.spelled)
}

struct Asked<'a> {
    spelled: Spelled<'a>,
    accessor: &'a str,
}

/// `Book.objects.filter(author=row, ...).count()`
fn asked<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Asked<'a>> {
    let (called, method, none) = method_call(node)?;
    let what = match method {
        "count" => What::Count,
        "exists" => What::Exists,
        _ => return None,
    };
    let (manager, method, list) = method_call(called)?;
    if !arguments(none).is_empty() || method != "filter" {
        return None;
    }
    let Type::Manager(manager) = cx.type_of(cx.node(manager.peel().id())) else { return None };
    let name = manager.name.as_ref().filter(|_| manager.related.is_none())?;
    if !cx.project.is_plain_manager(manager.model, name) {
        return None;
    }
    let mut links = arguments(list).into_iter().filter_map(|argument| {
        let (row, accessor) = link(cx, manager.model, argument.name?, argument.value)?;
        Some((argument.node, row, accessor))
    });
    let (Some((link, row, accessor)), None) = (links.next(), links.next()) else { return None };
    let condition = (arguments(list).len() > 1).then_some(list);
    let spelled = Spelled { whole: node, row, what, condition, is_negated: false, link: Some(link) };
    Some(Asked { spelled, accessor })
}

fn method_call(node: Node<'_>) -> Option<(Node<'_>, &str, Node<'_>)> {
    let Expr::Call { func, arguments } = Expr::of(node) else { return None };
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return None };
    Some((value, attr, arguments))
}

fn instance<'c>(cx: &'c Context<'_>, node: Node<'_>) -> Option<&'c Instance> {
    match cx.type_of(cx.node(node.peel().id())) {
        Type::Instance(instance) if instance.path.is_empty() => Some(instance),
        _ => None,
    }
}

/// The row that a lookup of rows of `model` compares a foreign key with, and the relation from there.
fn link<'a>(cx: &Context<'a>, model: ModelId, lookup: &str, value: Node<'a>) -> Option<(Node<'a>, &'a str)> {
    let row = match Expr::of(value) {
        Expr::Name(_) => value,
        Expr::Attribute { value: row, .. } => row,
        _ => return None,
    };
    if row.peel().kind() != Kind::Name {
        return None;
    }
    let target = instance(cx, row)?.model;
    let is_key = match Expr::of(value) {
        Expr::Attribute { attr, .. } => {
            let key = cx.model(target).primary_key()?;
            if key.relation.is_some() || attr != "pk" && attr != key.name {
                return None;
            }
            true
        }
        _ => false,
    };
    let names_key =
        |name: &str| name == "pk" || cx.model(target).primary_key().is_some_and(|k| k.name == name);
    let (name, asks_key) = match lookup.split_once("__") {
        Some((name, rest)) if names_key(rest) => (name, true),
        Some(_) => return None,
        None => (lookup, false),
    };
    let info = cx.model(model);
    let (field, is_column) = match info.field(name) {
        Some(field) => (field, asks_key),
        None => (info.field_by_attname(name).filter(|_| !asks_key)?, true),
    };
    let relation = field.relation.as_ref()?;
    // A key that is no primary key is another value than the row's.
    if relation.kind != RelationKind::ForeignKey
        || relation.target != Some(target)
        || relation.to_field.is_some()
        || is_column && !is_key
    {
        return None;
    }
    let back = cx.model(target).reverse.iter().find(|r| r.source == model && r.field == field.name)?;
    Some((row, back.accessor.as_str()))
}
