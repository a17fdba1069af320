//! Whether an object is as the database gave it, so that its keys and the objects behind them agree.

use crate::codemod::Context;
use crate::codemod::guards::callers::{CallSite, Certainty, call_sites_where, certainty};
use crate::codemod::guards::flow::Reach;
use crate::codemod::guards::projection::has_plain_rows;
use crate::codemod::guards::variable::assigned_once;
use crate::infer::{EventKind, Instance, Made, Origin, QuerySetClass, Root, Value, ValueId};
use crate::python::{Expr, Field, Kind, Node, parameters, string_value};
use crate::text::Site;

/// How an object came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Read from the database, and the columns in question are as they were read.
    Loaded,
    /// `create()`: saved, and it holds what it was given.
    Created,
    /// `Book(...)`
    Constructed,
    /// One of the columns, or the way to the object, is assigned here.
    Changed(Site),
    /// Somebody else has it who is not known.
    HandedIn(Site),
}

/// Callers of callers that are asked.
const DEPTH: usize = 3;
/// Calls that are looked at.
const MOST_CALLS: usize = 12;

/// How the object `instance`, written `node`, comes to that place, as far as `columns` of it are concerned.
pub fn held<'a>(
    cx: &Context<'a>,
    instance: &Instance,
    node: Node<'a>,
    columns: &[&str],
    depth: usize,
) -> Held {
    if let Some(site) = changed(cx, instance, node, columns) {
        return Held::Changed(site);
    }
    came(cx, instance.root, node, depth)
}

fn came<'a>(cx: &Context<'a>, root: Root, node: Node<'a>, depth: usize) -> Held {
    let here = cx.site(node);
    match root {
        Root::Opaque if is_just_cleaned(cx, node) => Held::Loaded,
        Root::Opaque => Held::HandedIn(here),
        Root::Row(id) => rows(cx, id, here, 0),
        Root::Value(id) => {
            let Some(value) = cx.value(id) else { return Held::HandedIn(here) };
            of_value(cx, value, node, depth)
        }
    }
}

/// Whether `node` is what the field `book` of a form has just found, in `clean_book()`: nobody had the row before.
fn is_just_cleaned<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    let scope = cx.scope();
    let value = match Expr::of(node) {
        Expr::Name(name) => match assigned_once(scope, name) {
            Some((_, value)) => value,
            None => return false,
        },
        _ => node.peel(),
    };
    let Expr::Subscript { value: data, index, count: 1 } = Expr::of(value) else { return false };
    let Some(field) = string_value(index) else { return false };
    let is_of_self = matches!(Expr::of(data), Expr::Attribute { value: owner, attr: "cleaned_data", .. }
        if matches!(Expr::of(owner), Expr::Name("self")));
    is_of_self
        && scope.child(Field::Name).is_some_and(|name| name.text().strip_prefix("clean_") == Some(&*field))
        && scope.parent().is_some_and(|block| block.kind() == Kind::Block)
}

fn of_value<'a>(cx: &Context<'a>, value: &Value, node: Node<'a>, depth: usize) -> Held {
    match value.made {
        Made::Loaded => return Held::Loaded,
        Made::Created => return Held::Created,
        Made::Constructed => return Held::Constructed,
        Made::Unknown => {}
    }
    match value.origin {
        Origin::Parameter(index) => by_callers(cx, index, depth),
        _ => Held::HandedIn(cx.site(node)),
    }
}

/// Rows of a queryset are as the database gave them, unless somebody else had the queryset before.
fn rows(cx: &Context<'_>, id: ValueId, here: Site, depth: usize) -> Held {
    let Some(value) = cx.value(id).filter(|_| depth < 8) else { return Held::HandedIn(here) };
    if !value.alternatives.is_empty() {
        let all = value.alternatives.iter().map(|id| rows(cx, *id, here, depth + 1));
        return all.into_iter().find(|h| *h != Held::Loaded).unwrap_or(Held::Loaded);
    }
    let Some(queryset) = &value.queryset else { return Held::HandedIn(value.site.unwrap_or(here)) };
    if queryset.class == QuerySetClass::Unknown && !has_plain_rows(cx, queryset.model) {
        return Held::HandedIn(here);
    }
    match (value.kept, value.origin) {
        (Some(site), _) => Held::HandedIn(site),
        (None, Origin::Expr(_) | Origin::Callee) => Held::Loaded,
        _ if cx.maker(value).is_some() => Held::Loaded,
        _ => Held::HandedIn(value.site.unwrap_or(here)),
    }
}

/// A parameter is what every caller gives.
fn by_callers(cx: &Context<'_>, index: usize, depth: usize) -> Held {
    let scope = cx.scope();
    let Some(parameter) = parameters(scope).get(index).copied() else {
        return Held::HandedIn(cx.site(scope));
    };
    let open = Held::HandedIn(cx.site(parameter.name_node));
    let Some(function) = cx.project.program().function_at(cx.file, scope.id()) else { return open };
    if depth >= DEPTH || parameter.default.is_some() || !cx.analyzer.is_known_by_callers(function) {
        return open;
    }
    let sites = call_sites_where(cx, |site| !cx.project.is_test_file(site.file));
    let sites: Vec<_> = sites.iter().filter(|s| certainty(cx, s) != Certainty::Other).collect();
    let gives_loaded = |site: &CallSite<'_>| {
        let Expr::Call { func, .. } = Expr::of(site.call) else { return false };
        let given = match Expr::of(func) {
            Expr::Attribute { value, .. } if site.is_bound && index == 0 => Some(value),
            _ => site.argument(index, parameter.name),
        };
        let Some(given) = given else { return false };
        let facts = site.facts(cx);
        let caller = Context { file: site.file, facts: &facts, ..*cx };
        let Some(instance) = caller.type_of(given).instance().cloned() else { return false };
        given.enclosing_scope().map(Node::id) == Some(caller.scope().id())
            && held(&caller, &instance, given, &["*"], depth + 1) == Held::Loaded
    };
    let is_known = !sites.is_empty() && sites.len() <= MOST_CALLS && sites.iter().all(|s| gives_loaded(s));
    if is_known { Held::Loaded } else { open }
}

/// Where the columns of the object, or a relation on the way to it, are assigned before `node` is evaluated. `*` among the
/// columns stands for all of them.
fn changed<'a>(cx: &Context<'a>, instance: &Instance, node: Node<'a>, columns: &[&str]) -> Option<Site> {
    let is_any = columns.contains(&"*");
    cx.facts.events().find_map(|event| {
        let is_ours = match &event.kind {
            EventKind::WriteAttribute { root, path, name } if *root == instance.root => {
                let is_column = is_any || columns.contains(&&**name) || &**name == "*";
                let next = instance.path.get(path.len());
                let on_the_way = instance.path.starts_with(path)
                    && next.is_some_and(|next| {
                        name == next || **name == *format!("{next}_id") || &**name == "*"
                    });
                *path == instance.path && is_column || on_the_way
            }
            EventKind::WriteAttribute { root: Root::Opaque, path, name } => {
                path.is_empty() && instance.path.is_empty() && columns.contains(&&**name)
            }
            EventKind::ReadAttribute { root, path, name } => {
                *root == instance.root && *path == instance.path && &**name == "__dict__"
            }
            EventKind::InstanceMethod { root, path, name } => {
                let goes = matches!(&**name, "delete" | "adelete") && columns.contains(&"pk");
                *root == instance.root && *path == instance.path && goes
            }
            _ => false,
        };
        (is_ours && is_before(cx.node(event.at), node)).then_some(event.site)
    })
}

/// Whether `first` may run before `read` on the same object: in the body of the loop that binds the object's name, what
/// stands behind it concerns the next one.
pub fn is_before<'a>(first: Node<'a>, read: Node<'a>) -> bool {
    if !Reach::of(first, |_| false).contains(read) {
        return false;
    }
    let mut root = read.peel();
    while let Expr::Attribute { value, .. } = Expr::of(root) {
        root = value.peel();
    }
    let looped =
        read.ancestors().find(|a| matches!(a.kind(), Kind::For | Kind::While) && a.contains(first.id()));
    let binds = |looped: Node<'a>| {
        looped.kind() == Kind::For && looped.child(Field::Left).is_some_and(|t| t.has_name(root.text()))
    };
    !(first.id() > read.id() && looped.is_some_and(binds))
}
