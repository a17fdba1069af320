//! Rows as dictionaries: `{"id": book.pk, "author": book.author.name}`, and whether `values()` gives the same ones.

use super::column::{Column, column, path, related_key};
use super::{Collects, Shape};
use crate::codemod::Context;
use crate::django::Model;
use crate::infer::{QuerySet, Trait, Type};
use crate::python::emit::is_keyword;
use crate::python::{Def, Expr, Kind, Node, arguments, string_value};

/// What `values()` is given for the dictionaries that a shape makes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names that are their own keys.
    pub names: Vec<String>,
    /// Other keys, each with the column behind it.
    pub aliases: Vec<(String, String)>,
    /// The columns in order.
    pub columns: Vec<Column>,
    /// Whether a row of another table is read.
    pub follows: bool,
}

/// A key and what is read for it.
struct Entry {
    key: String,
    column: Column,
    follows: bool,
}

/// The arguments by which `values()` gives the dictionaries of a list, equal in the order of their keys as well; `None`
/// where the elements are something else, or the order would be another.
pub fn plan<'a>(cx: &Context<'a>, shape: &Shape<'a>) -> Option<Plan> {
    let is_list = matches!(shape.collects, Collects::List | Collects::Generator);
    if !is_list || !shape.inner.is_empty() || !shape.conditions.is_empty() || shape.source.keys.is_some() {
        return None;
    }
    let queryset = &*shape.source.queryset;
    let model = cx.model(queryset.model);
    let entries = entries(cx, shape)?;
    let mut plan = Plan {
        names: Vec::new(),
        aliases: Vec::new(),
        columns: Vec::new(),
        follows: entries.iter().any(|e| e.follows),
    };
    let mut annotations = 0;
    for entry in entries {
        if let Some(name) = own_name(cx, queryset, model, &entry) {
            // Annotations come after columns, and before new ones.
            if !plan.aliases.is_empty() || (annotations > 0) {
                return None;
            }
            annotations += usize::from(queryset.annotations.contains(name.as_str()));
            plan.names.push(name);
        } else {
            let is_free = is_keyword_name(&entry.key)
                && !is_name_of(model, &entry.key)
                && !queryset.is(Trait::Annotated)
                && !queryset.annotations.contains(entry.key.as_str());
            if !is_free {
                return None;
            }
            plan.aliases.push((entry.key, entry.column.name.clone()));
        }
        plan.columns.push(entry.column);
    }
    let mut keys: Vec<&String> = plan.names.iter().chain(plan.aliases.iter().map(|(key, _)| key)).collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    (keys.len() == all && all > 0).then_some(plan)
}

/// The name under which `values()` gives the column with the wanted key.
fn own_name(cx: &Context<'_>, queryset: &QuerySet, model: &Model, entry: &Entry) -> Option<String> {
    let key = &entry.key;
    if *key == entry.column.name {
        return Some(key.clone());
    }
    if entry.follows {
        return None;
    }
    // `{"author": book.author_id}`, `{"id": book.pk}`
    let is_same = match model.field(key).filter(|f| f.relation.is_some()) {
        Some(field) => field.name == entry.column.identity,
        None => column(cx, queryset, key)
            .is_some_and(|c| c.hazard.is_none() && c.identity == entry.column.identity),
    };
    is_same.then(|| key.clone())
}

/// Whether Django refuses the name for an annotation of the model's rows.
fn is_name_of(model: &Model, name: &str) -> bool {
    name == "pk"
        || model.field(name).is_some()
        || model.field_by_attname(name).is_some()
        || model.reverse.iter().any(|r| r.query_name == name || r.accessor == name)
}

/// A name that can be written as a keyword and has no meaning of its own in lookups.
fn is_keyword_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.contains("__")
        && !is_keyword(name)
}

/// The keys and columns of `{"title": book.title}` or `dict(title=book.title)`, in order.
fn entries<'a>(cx: &Context<'a>, shape: &Shape<'a>) -> Option<Vec<Entry>> {
    let node = shape.element.peel();
    let mut out = Vec::new();
    match Expr::of(node) {
        Expr::Dict(dict) => {
            for pair in dict.children() {
                if pair.kind() == Kind::Comment {
                    continue;
                }
                if pair.kind() != Kind::Pair {
                    return None;
                }
                let mut parts = pair.children().filter(|c| c.kind() != Kind::Comment);
                let (key, value) = (string_value(parts.next()?)?, parts.next()?);
                out.push(entry(cx, shape, key, value)?);
            }
        }
        Expr::Call { func, arguments: list } => {
            if !matches!(cx.type_of(func), Type::Def(Def::External(path)) if path == "builtins.dict")
                || list.kind() != Kind::Arguments
            {
                return None;
            }
            for argument in arguments(list) {
                let key = argument.name.filter(|_| argument.stars == 0)?;
                out.push(entry(cx, shape, key.to_owned(), argument.value)?);
            }
        }
        _ => return None,
    }
    Some(out)
}

fn entry<'a>(cx: &Context<'a>, shape: &Shape<'a>, key: String, value: Node<'a>) -> Option<Entry> {
    let value = value.peel();
    // book.editor.name if book.editor else None
    if let Expr::IfExp { body, test, orelse } = Expr::of(value) {
        let names = names(body, shape.variable)?;
        let tested = tested(test, shape.variable)?;
        let [relation, _, ..] = names.as_slice() else { return None };
        let info = cx.model(shape.source.queryset.model);
        let field = info.field(relation)?;
        let is_row = tested.name == *relation;
        let is_key = tested.by_none && tested.name == field.attname;
        let target = field.relation.as_ref()?.target?;
        let decides = |name: &&str| cx.project.override_of(target, name).is_some();
        let own_truth = !tested.by_none && ["__bool__", "__len__"].iter().any(decides);
        if !matches!(Expr::of(orelse), Expr::None) || own_truth || !(is_row || is_key) {
            return None;
        }
        let column = path(cx, &shape.source.queryset, &names, true)?;
        return Some(Entry { key, column, follows: true });
    }
    let names = names(value, shape.variable)?;
    match names.as_slice() {
        [name] => {
            let column = column(cx, &shape.source.queryset, name)?;
            Some(Entry { key, column, follows: false })
        }
        [name, attr] if let Some(column) = related_key(cx, &shape.source.queryset, name, attr) => {
            Some(Entry { key, column, follows: false })
        }
        _ => {
            let column = path(cx, &shape.source.queryset, &names, false)?;
            Some(Entry { key, column, follows: true })
        }
    }
}

/// What the condition of a ternary asks for.
struct Tested<'a> {
    name: &'a str,
    /// `is not None`
    by_none: bool,
}

fn tested<'a>(node: Node<'a>, variable: &str) -> Option<Tested<'a>> {
    let (node, by_none) = match Expr::of(node) {
        Expr::Compare { left, op: Kind::IsNot, right } if matches!(Expr::of(right), Expr::None) => {
            (left, true)
        }
        _ => (node, false),
    };
    match names(node, variable)?.as_slice() {
        [name] => Some(Tested { name, by_none }),
        _ => None,
    }
}

/// `book.author.name` as `author`, `name`.
fn names<'a>(node: Node<'a>, variable: &str) -> Option<Vec<&'a str>> {
    let mut out = Vec::new();
    let mut node = node.peel();
    loop {
        match Expr::of(node) {
            Expr::Attribute { value, attr, .. } if out.len() < 8 => {
                out.push(attr);
                node = value.peel();
            }
            Expr::Name(name) if name == variable && !out.is_empty() => break,
            _ => return None,
        }
    }
    out.reverse();
    Some(out)
}
