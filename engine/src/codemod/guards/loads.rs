//! How an instance came to its variable: by what load, on every path that leads to where it is changed.

use super::instance::{MentionKind, Subject};
use super::{flow, views};
use crate::codemod::Context;
use crate::infer::{
    Made, Manager, Name, Origin as ValueOrigin, QuerySet, QuerySetClass, Root, Rows, Trait, Type, Use, Value,
    ValueId,
};
use crate::python::{Def, Expr, Kind, Node, Stmt, arguments};
use std::sync::Arc;

/// Where an instance comes from, on one path.
pub enum Origin<'a> {
    /// Read from the database by this function.
    Loaded(Load<'a>),
    /// `Model(...)`: there is no row yet. The statement.
    Constructed(Node<'a>),
    /// `create(...)`: in memory it holds what it was given. The statement.
    Created(Node<'a>),
    /// Somebody else has it as well: a parameter, an attribute, another name. The place.
    Held(Node<'a>),
}

/// An expression that reads the instance.
pub struct Load<'a> {
    /// The statement.
    pub statement: Node<'a>,
    /// The call.
    pub call: Node<'a>,
    /// `get`, `first`, `get_object_or_404`, `get_or_create` ...
    pub method: &'a str,
    /// What the method is called on, or the first argument of get_object_or_404().
    pub source: Node<'a>,
    /// It is a queryset in this state.
    pub queryset: Option<&'a Arc<QuerySet>>,
    /// It is this manager.
    pub manager: Option<&'a Arc<Manager>>,
    /// The load is of a row that a relation is followed from.
    pub is_followed: bool,
}

const LOADS: &[&str] =
    &["get", "aget", "first", "afirst", "last", "alast", "earliest", "aearliest", "latest", "alatest"];
const UPSERTS: &[&str] = &["get_or_create", "aget_or_create", "update_or_create", "aupdate_or_create"];

/// An instance as a function has it, and where the function changes it.
pub struct Changed<'s, 'a> {
    /// The function.
    pub scope: Node<'a>,
    /// The instance as it is written: `book`, `review.book`, `self.object`.
    pub owner: Node<'a>,
    /// The variable, where it is one.
    pub subject: Option<&'s Subject<'a>>,
    /// The statements that change it, in order of the text.
    pub changes: Vec<Node<'a>>,
    /// The columns that change.
    pub columns: Vec<&'a str>,
}

/// Where the variable comes from, on every path that leads to a change; `None` for what no load is known to give: a row
/// that a loop goes through, a row that is locked, a thing that no expression is known to make.
pub fn origins<'a>(cx: &Context<'a>, changed: &Changed<'_, 'a>) -> Option<Vec<Origin<'a>>> {
    let first = *changed.changes.first()?;
    let Some(subject) = changed.subject else {
        let root = cx.type_of(changed.owner).instance()?.root;
        if matches!(root, Root::Row(_)) {
            return None;
        }
        // `self.book = Book.objects.get(...)`: the place that keeps it, else the change itself.
        let kept = changed.scope.descendants().find(|n| {
            n.kind() == Kind::ExprStatement
                && matches!(Stmt::of(*n), Stmt::Assign { targets, .. }
                    if targets.iter().any(|t| t.text() == changed.owner.text()))
        });
        return Some(vec![Origin::Held(kept.unwrap_or(first))]);
    };
    let mut out = of_name(cx, changed.scope, subject.name, &changed.changes, &changed.columns)?;
    if !subject.path.is_empty() {
        for origin in &mut out {
            if let Origin::Loaded(load) = origin {
                load.is_followed = true;
                // `author.books.get(...).author` is `author`.
                if brings_owner(load) {
                    *origin = Origin::Held(load.statement);
                }
            }
        }
    }
    Some(out)
}

/// Where the variable `name` comes from, on every path that leads to one of `uses`.
fn of_name<'a>(
    cx: &Context<'a>,
    scope: Node<'a>,
    name: &'a str,
    uses: &[Node<'a>],
    columns: &[&str],
) -> Option<Vec<Origin<'a>>> {
    let first = *uses.first()?;
    let bindings: Vec<Node<'a>> = scope
        .mentions(name)
        .filter(|n| n.is_binding())
        .filter(|n| n.enclosing_scope() == Some(scope))
        .collect();
    let shared = |n: Node<'a>| {
        matches!(n.kind(), Kind::Global | Kind::Nonlocal) && n.children().any(|c| c.text() == name)
    };
    // A closure's or a global variable.
    if bindings.is_empty() || scope.descendants().any(shared) {
        return None;
    }
    let is_parameter = |n: Node<'a>| n.statement().is_none_or(|s| s.contains(scope.id()));
    let last = bindings
        .iter()
        .copied()
        .filter(|n| !is_parameter(*n))
        .filter_map(Node::statement)
        .filter(|s| flow::dominates(*s, first))
        .max_by_key(|s| s.id());
    let mut out = Vec::new();
    for binding in bindings {
        let statement = if is_parameter(binding) { None } else { binding.statement() };
        let Some(statement) = statement else {
            if last.is_none() {
                out.push(Origin::Held(scope));
            }
            continue;
        };
        if last.is_some_and(|last| statement.id() < last.id()) {
            continue;
        }
        let reaches = Some(statement) == last
            || uses.iter().any(|used| {
                flow::may_follow(statement, *used, |s| {
                    last.is_some_and(|last| s.contains(last.id()) && flow::dominates(last, first))
                        && !s.contains(first.id())
                })
            });
        if !reaches {
            continue;
        }
        out.extend(origin(cx, scope, binding, statement, columns)?);
    }
    if out.is_empty() { None } else { Some(out) }
}

/// Where one assignment has it from; `Some(None)` where it is None, on which the change fails either way.
fn origin<'a>(
    cx: &Context<'a>,
    scope: Node<'a>,
    binding: Node<'a>,
    statement: Node<'a>,
    columns: &[&str],
) -> Option<Option<Origin<'a>>> {
    let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement) else { return None };
    let value = match Expr::of(value) {
        Expr::Await(inner) => inner.peel(),
        _ => value.peel(),
    };
    if matches!(Expr::of(value), Expr::None) {
        return Some(None);
    }
    let [target] = targets.as_slice() else {
        // `book = current = ...`: two names.
        return Some(Some(Origin::Held(statement)));
    };
    let in_tuple = target.peel() != binding.peel();
    if in_tuple {
        let Expr::Tuple(tuple) = Expr::of(*target) else { return None };
        if tuple.children().next() != Some(binding) {
            return None;
        }
    }
    match load(cx, statement, value, in_tuple) {
        Loading::Yes(load) => return Some(Some(Origin::Loaded(load))),
        Loading::Ignore => return None,
        Loading::Held => return Some(Some(Origin::Held(statement))),
        Loading::No => {}
    }
    if in_tuple {
        return None;
    }
    let instance = cx.type_of(value).instance()?;
    if let Some(origins) = followed(cx, scope, value, statement, columns) {
        return Some(Some(origins));
    }
    match instance.root {
        Root::Row(_) => None,
        Root::Value(id) if instance.path.is_empty() => {
            let known = cx.value(id)?;
            match (known.made, known.origin) {
                (Made::Constructed, ValueOrigin::Expr(_)) if value.kind() == Kind::Call => {
                    Some(Some(Origin::Constructed(statement)))
                }
                (Made::Created, ValueOrigin::Expr(_)) if value.kind() == Kind::Call => {
                    Some(Some(Origin::Created(statement)))
                }
                // A helper that loads the row may have changed it, or keep it.
                (Made::Loaded, _) if value.kind() == Kind::Call => None,
                _ => Some(Some(Origin::Held(statement))),
            }
        }
        _ => Some(Some(Origin::Held(statement))),
    }
}

/// `author = book.author`: as good as loaded here, where `book` is, and where nothing else is done with either.
fn followed<'a>(
    cx: &Context<'a>,
    scope: Node<'a>,
    value: Node<'a>,
    statement: Node<'a>,
    columns: &[&str],
) -> Option<Origin<'a>> {
    let Expr::Attribute { value: holder, .. } = Expr::of(value) else { return None };
    let Expr::Name(name) = Expr::of(holder) else { return None };
    let subject = Subject::of(cx, scope, value)?;
    let quiet = subject.mentions(cx, columns).into_iter().all(|m| {
        m.node == value
            || matches!(m.kind, MentionKind::Rebinds | MentionKind::Harmless | MentionKind::Calls)
            || matches!(m.kind, MentionKind::Writes(_)) && !m.node.text().starts_with(value.text())
    });
    let names_it =
        scope.descendants().filter(|n| n.kind() == Kind::Attribute && n.text() == value.text()).count();
    if !quiet || names_it > 1 {
        return None;
    }
    if let Root::Row(row) = subject.instance.root {
        return row_of_loop(cx, scope, &subject, row, statement);
    }
    // A row that is itself followed from another one is not.
    let origins = of_name(cx, scope, name, &[statement], columns)?;
    let [Origin::Loaded(load)] = <[Origin<'a>; 1]>::try_from(origins).ok()? else { return None };
    if load.is_followed {
        return None;
    }
    if brings_owner(&load) {
        return Some(Origin::Held(statement));
    }
    Some(Origin::Loaded(Load { is_followed: true, ..load }))
}

/// Whether the row comes through a reverse foreign key, whose owner it holds.
fn brings_owner(load: &Load<'_>) -> bool {
    load.manager.is_some_and(|m| m.related.is_some() && !m.is_many_to_many)
        || load.queryset.is_some_and(|qs| !qs.known.is_empty())
}

/// A relation of a row that a loop goes through: loaded in this round, unless the rows came with it.
fn row_of_loop<'a>(
    cx: &Context<'a>,
    scope: Node<'a>,
    subject: &Subject<'a>,
    row: ValueId,
    statement: Node<'a>,
) -> Option<Origin<'a>> {
    let [relation] = subject.path.as_slice() else { return None };
    let mut bindings = scope.mentions(subject.name).filter(|n| n.is_binding());
    let binding = bindings.next()?;
    let looped = binding.parent().filter(|p| p.kind() == Kind::For && p.contains(statement.id()))?;
    let Stmt::For { iter, .. } = Stmt::of(looped) else { return None };
    let value = cx.value(row)?;
    let ValueOrigin::Expr(made) = value.origin else { return None };
    let queryset = cx.type_of(iter).queryset()?;
    // Rows of a variable may be gone through again.
    if bindings.next().is_some() || iter.peel().id() != made || iter.peel().kind() != Kind::Call {
        return None;
    }
    let comes_with = |names: &std::collections::BTreeSet<Name>| {
        names.iter().any(|n| n.split("__").next() == Some(*relation))
    };
    let shared = comes_with(&queryset.selected)
        || comes_with(&queryset.prefetched)
        || comes_with(&queryset.known)
        || [
            Trait::BareSelectRelated,
            Trait::OpaquePrefetch,
            Trait::PrefetchedList,
            Trait::Mysterious,
            Trait::Locked,
        ]
        .iter()
        .any(|t| queryset.is(*t))
        || queryset.class != QuerySetClass::Plain
        || queryset.related.as_ref().is_some_and(|r| !is_loaded_here(cx, r.owner.root));
    if shared {
        return None;
    }
    Some(Origin::Loaded(Load {
        statement,
        call: iter.peel(),
        method: "all",
        source: iter.peel(),
        queryset: Some(queryset),
        manager: None,
        is_followed: true,
    }))
}

/// The load that a call in `statement` is, of a row that nobody else has.
pub fn load_at<'a>(cx: &Context<'a>, statement: Node<'a>, call: Node<'a>) -> Option<Load<'a>> {
    match load(cx, statement, call, false) {
        Loading::Yes(load) => Some(load),
        _ => None,
    }
}

enum Loading<'a> {
    Yes(Load<'a>),
    /// A row of somebody's cache.
    Held,
    /// Not the pattern.
    Ignore,
    /// Not a load.
    No,
}

fn load<'a>(cx: &Context<'a>, statement: Node<'a>, call: Node<'a>, in_tuple: bool) -> Loading<'a> {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return Loading::No };
    if let Expr::Name(_) | Expr::Attribute { .. } = Expr::of(func)
        && let Type::Def(Def::External(path)) = callee(cx, func)
        && let "django.shortcuts.get_object_or_404" | "django.shortcuts.aget_object_or_404" = path.as_str()
    {
        let Some(source) =
            arguments(list).first().filter(|a| a.name.is_none() && a.stars == 0).map(|a| a.value)
        else {
            return Loading::Ignore;
        };
        return checked(
            cx,
            Load {
                statement,
                call,
                method: "get_object_or_404",
                source: source.peel(),
                queryset: cx.type_of(source).queryset(),
                manager: manager_of(cx.type_of(source)),
                is_followed: false,
            },
        );
    }
    let Expr::Attribute { value: source, attr: method, .. } = Expr::of(func) else { return Loading::No };
    if method == "get_object" && views::is_view_object(cx, call, source) {
        return Loading::Yes(Load {
            statement,
            call,
            method,
            source: source.peel(),
            queryset: None,
            manager: None,
            is_followed: false,
        });
    }
    let wanted = if in_tuple { UPSERTS } else { LOADS };
    if !wanted.contains(&method) {
        return Loading::No;
    }
    let ty = cx.type_of(source);
    let load = Load {
        statement,
        call,
        method,
        source: source.peel(),
        queryset: ty.queryset(),
        manager: manager_of(ty),
        is_followed: false,
    };
    if load.queryset.is_none() && load.manager.is_none() {
        return Loading::No;
    }
    checked(cx, load)
}

fn manager_of(ty: &Type) -> Option<&Arc<Manager>> {
    match ty {
        Type::Manager(manager) => Some(manager),
        _ => None,
    }
}

fn callee<'a>(cx: &Context<'a>, func: Node<'a>) -> Type {
    match Expr::of(func) {
        // `shortcuts.get_object_or_404`
        Expr::Attribute { value, attr, .. } => match cx.type_of(value) {
            Type::Def(Def::External(path)) => Type::Def(Def::External(format!("{path}.{attr}"))),
            _ => Type::Unknown,
        },
        _ => cx.type_of(func).clone(),
    }
}

fn checked<'a>(cx: &Context<'a>, load: Load<'a>) -> Loading<'a> {
    let program = cx.project.program();
    let class = match (load.queryset, load.manager) {
        (Some(qs), _) => {
            // A locked row is not changed by others; rows of raw SQL and of values() are no instances.
            if qs.is(Trait::Locked) || qs.is(Trait::Raw) || qs.is(Trait::RawSql) || qs.is(Trait::Mysterious) {
                return Loading::Ignore;
            }
            if qs.rows != Rows::Instances {
                return Loading::Ignore;
            }
            qs.class
        }
        (None, Some(manager)) => manager.class,
        (None, None) => QuerySetClass::Plain,
    };
    if load.call.text().contains("select_for_update") {
        return Loading::Ignore;
    }
    // A method of that name that the project defines may do anything.
    if let QuerySetClass::Custom(class) = class
        && program.member(class, load.method).is_some()
    {
        return Loading::Ignore;
    }
    if matches!(load.method, "first" | "last" | "afirst" | "alast") {
        // An ordered queryset that is evaluated already gives the row of its cache, and so does a prefetched manager.
        if let Some(manager) = load.manager
            && let Some(related) = &manager.related
            && !is_loaded_here(cx, related.owner.root)
        {
            return Loading::Held;
        }
        if let Some(qs) = load.queryset
            && !makes_queryset(cx, load.source)
        {
            // A function may give a queryset that it keeps.
            if matches!(Expr::of(load.source), Expr::Call { .. }) {
                return Loading::Held;
            }
            for value in &qs.values {
                let outside = cx.value(*value).is_none_or(|v| !matches!(v.origin, ValueOrigin::Expr(_)));
                let cached = cx.facts.uses(*value).any(|(_, how)| {
                    matches!(how, Use::Iterate | Use::Len | Use::Truth | Use::Contains | Use::Escape(_))
                });
                if outside || cached {
                    return Loading::Held;
                }
            }
        }
    }
    Loading::Yes(load)
}

/// Whether an expression is a call of a method of a manager or queryset, which gives a new queryset.
fn makes_queryset<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    let Expr::Call { func, .. } = Expr::of(node) else { return false };
    let Expr::Attribute { value, .. } = Expr::of(func) else { return false };
    matches!(cx.type_of(value), Type::Manager(_) | Type::QuerySet(_))
}

fn is_loaded_here(cx: &Context<'_>, root: Root) -> bool {
    let Root::Value(id) = root else { return false };
    let Some(value) = cx.value(id) else { return false };
    let ValueOrigin::Expr(node) = value.origin else { return false };
    value.made == Made::Loaded && !cx.node(node).text().contains("prefetch_related")
}

/// Whether a load gives whole rows through Django's own manager, so that `save()` may name its columns.
pub fn loads_whole(cx: &Context<'_>, load: &Load<'_>) -> bool {
    let plain = |class| class == QuerySetClass::Plain;
    if load.method == "get_object" {
        return views::is_whole(cx, load.call);
    }
    if let Some(qs) = load.queryset {
        plain(qs.class) && !qs.is(Trait::Deferred) && !qs.is(Trait::Using)
    } else if let Some(manager) = load.manager {
        let name = manager.name.as_deref();
        name.is_none_or(|n| cx.project.is_plain_manager(manager.model, n))
    } else {
        match cx.type_of(load.source) {
            Type::ModelClass(model) => cx.project.is_plain_manager(*model, &cx.model(*model).default_manager),
            _ => false,
        }
    }
}

/// Whether every query goes to the default database: there are no routers.
pub fn is_one_database(cx: &Context<'_>) -> bool {
    !cx.project.settings().has_database_routers
}

/// The queryset that `get()`, `first()` and their like, or get_object_or_404(), read a row of.
pub fn loaded_from<'a>(cx: &Context<'a>, call: Node<'a>) -> Option<&'a Value> {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let receiver = match (callee(cx, func), Expr::of(func)) {
        (Type::Def(Def::External(path)), _) if path.ends_with("get_object_or_404") => {
            arguments(list).first().map(|a| a.value)?
        }
        (_, Expr::Attribute { value, .. }) => value,
        _ => return None,
    };
    let id: ValueId = match cx.type_of(receiver) {
        Type::QuerySet(qs) => match qs.values.as_slice() {
            [only] => *only,
            _ => return None,
        },
        Type::Manager(_) => {
            let node = receiver.peel().id();
            let index = cx.facts.values.iter().position(|v| v.origin == ValueOrigin::Expr(node))?;
            ValueId(index as u32)
        }
        _ => return None,
    };
    cx.value(id)
}
