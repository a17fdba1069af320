//! Everybody who reads the rows of one queryset, as far as they are known.
//!
//! What is said to be read is an upper bound: a relation that is left out here is read by nobody that is seen.

use super::sources::is_derived;
use crate::codemod::Context;
use crate::django::ModelId;
use crate::infer::{
    EntryKind, Escape, EventKind, Facts, Origin, QuerySet, Root, Trait, Type, Use, ValueId,
    is_queryset_method,
};
use crate::python::{ClassId, Def, Expr, Field, FunctionId, Kind, Node, arguments, string_value};
use crate::text::Site;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What reads the rows.
#[derive(Clone, Debug, Default)]
pub struct Readers {
    /// Every attribute that a frame which has the rows, or a function that gets them from it, reads of anything.
    pub attributes: BTreeSet<String>,
    /// Where rows, or the queryset, go out of sight, and what gets them.
    pub unseen: Vec<(String, Site)>,
    /// Other properties of the queryset where it is used.
    pub traits: BTreeSet<Trait>,
}

/// Functions that pass the queryset on and are followed.
const MOST_FUNCTIONS: usize = 8;

/// Callers of a method that are looked at.
const MOST_CALLERS: usize = 50;

/// The readers of the rows of `value`, a queryset of the frame of `cx`.
pub fn readers(cx: &Context<'_>, value: ValueId) -> Readers {
    let mut out = Readers::default();
    let owners = owners(cx, value);
    // Rows that are prefetched are also those of the relation.
    let queryset = cx.value(value).and_then(|v| v.queryset.as_deref());
    let model = queryset.filter(|_| !owners.is_empty()).map(|qs| qs.model);
    let is_ours = |v: ValueId| {
        let is_of = |from: ValueId| v == from || is_derived(cx, v, from, 0);
        is_of(value) || owners.iter().any(|owner| is_of(*owner)) || is_related(cx, v, model)
    };
    shown(cx, value, &mut out);
    managers(cx, model, &mut out);
    // What a module or class body makes is an attribute that anybody may look at.
    let is_shared = |n: Node<'_>| matches!(n.kind(), Kind::Global | Kind::Nonlocal);
    if cx.facts.scope == cx.root().id() || cx.scope().descendants().any(is_shared) {
        let node = super::place::origin(cx, value).map_or(cx.scope(), |n| cx.node(n));
        let statement = node.statement().unwrap_or(node);
        out.unseen.push((super::guards::first_line(statement).to_owned(), cx.site(node)));
    }
    let mut functions = Vec::new();
    if in_frame(cx, &is_ours, &mut out) {
        functions.extend(passing_on(cx, &mut out));
    }
    let program = cx.project.program();
    let mut next = 0;
    while let Some(function) = functions.get(next).copied() {
        next += 1;
        let info = program.function(function);
        let def = Site { file: info.file, span: program.file(info.file).node(info.node).span() };
        if next > MOST_FUNCTIONS {
            out.unseen.push((info.name.clone(), def));
            break;
        }
        for site in cx.analyzer.call_sites().of(&info.name) {
            let facts = cx.analyzer.caller(site.file, site.function);
            let caller = Context { facts: &facts, file: site.file, ..*cx };
            let made: Vec<ValueId> = (0..facts.values.len() as u32)
                .map(ValueId)
                .filter(|v| facts.value(*v).is_some_and(|v| v.site == Some(def)))
                .collect();
            // A call that gives something else than what is known to be given.
            if !made.iter().any(|v| facts.value(*v).is_some_and(|v| v.origin == Origin::Expr(site.call))) {
                let call = program.file(site.file).node(site.call);
                out.unseen
                    .push((super::guards::first_line(call).to_owned(), caller.site(caller.node(site.call))));
                continue;
            }
            let is_ours = |v: ValueId| {
                made.iter().any(|m| *m == v || is_derived(&caller, v, *m, 0)) || is_related(&caller, v, model)
            };
            managers(&caller, model, &mut out);
            if in_frame(&caller, &is_ours, &mut out)
                && let Some(outer) = passing_on(&caller, &mut out).filter(|f| !functions.contains(f))
            {
                functions.push(outer);
            }
        }
    }
    out
}

/// What frameworks read of the rows, where they ask this frame for them. They may do more with them.
fn shown(cx: &Context<'_>, value: ValueId, out: &mut Readers) {
    for (entry, ty) in super::entries::built_here(cx) {
        let querysets = ty.alternatives().iter().filter_map(Type::queryset);
        let gives = |v: &ValueId| *v == value || is_derived(cx, *v, value, 0);
        if querysets.flat_map(|qs| &qs.values).any(gives) {
            out.attributes.extend(attributes(&entry.facts));
        }
    }
}

/// What the changelist of a class of the admin, and of those below it, reads of its rows. The forms, actions and templates
/// of the admin get them, too. Nothing where the rows are not known.
pub fn readers_of_class(cx: &Context<'_>, class: ClassId) -> Option<(Readers, Arc<QuerySet>)> {
    let program = cx.project.program();
    let mut out = Readers::default();
    let mut rows = None;
    for entry in cx.analyzer.entries().iter().filter(|e| e.kind == EntryKind::Changelist) {
        let Some(info) = entry.class.map(|shown| program.class(shown)) else { continue };
        if !info.mro.contains(&class) {
            continue;
        }
        let queryset = entry.facts.value(entry.rows)?.queryset.clone()?;
        out.attributes.extend(attributes(&entry.facts));
        out.traits.extend(queryset.traits.iter().copied());
        out.unseen.push((info.name.clone(), entry.at));
        rows = Some(queryset);
    }
    rows.map(|rows| (out, rows))
}

/// The attributes that lead to relations which a frame reads.
pub(super) fn attributes(facts: &Facts) -> impl Iterator<Item = String> + '_ {
    facts.events().flat_map(|event| match &event.kind {
        EventKind::ReadRelation { path, .. } | EventKind::ReadMany { path, .. } => {
            path.iter().map(|p| p.to_string()).collect()
        }
        _ => Vec::new(),
    })
}

/// The querysets that prefetch their relation with the rows of `value`. Whoever has their rows has these.
fn owners(cx: &Context<'_>, value: ValueId) -> Vec<ValueId> {
    let given = cx.facts.events().filter(|event| match &event.kind {
        EventKind::Use { value: v, how } => {
            matches!(how, Use::Escape(Escape::External)) && (*v == value || is_derived(cx, *v, value, 0))
        }
        _ => false,
    });
    given.filter_map(|event| owner(cx, cx.node(event.at))).collect()
}

/// The queryset that is given `node` to prefetch with: `Author.objects.prefetch_related(Prefetch("books", queryset=node))`.
fn owner(cx: &Context<'_>, node: Node<'_>) -> Option<ValueId> {
    let prefetch = call_around(node)?;
    let Expr::Call { func, .. } = Expr::of(prefetch) else { return None };
    let named = cx.project.program().resolve_expr(cx.file, func.id());
    if !matches!(named, Some(Def::External(path)) if &*path == "django.db.models.Prefetch") {
        return None;
    }
    let asked = call_around(prefetch)?;
    let Expr::Call { func, arguments: list } = Expr::of(asked) else { return None };
    let is_asked = matches!(Expr::of(func), Expr::Attribute { attr: "prefetch_related", .. })
        && arguments(list).iter().any(|a| a.value.peel() == prefetch);
    match cx.type_of(cx.node(asked.id())) {
        Type::QuerySet(qs) if is_asked => qs.values.first().copied(),
        _ => None,
    }
}

fn call_around(node: Node<'_>) -> Option<Node<'_>> {
    node.ancestors().take(4).find(|n| n.kind() == Kind::Call)
}

/// Whether a value is asked for over a relation to `model`, whose rows may be those that are prefetched.
fn is_related(cx: &Context<'_>, value: ValueId, model: Option<ModelId>) -> bool {
    let queryset = cx.value(value).and_then(|v| v.queryset.as_deref());
    queryset.is_some_and(|qs| Some(qs.model) == model && qs.related.is_some())
}

/// Where the manager of a relation to `model` goes out of sight.
fn managers(cx: &Context<'_>, model: Option<ModelId>, out: &mut Readers) {
    let Some(model) = model else { return };
    for node in cx.scope().descendants().filter(|n| n.kind() == Kind::Attribute) {
        let is_it = matches!(cx.type_of(node), Type::Manager(m) if m.model == model && m.related.is_some());
        let is_asked = node.with_parens().parent().is_some_and(|p| p.kind() == Kind::Attribute);
        if is_it && !is_asked {
            out.unseen.push(gets(cx, node.id(), cx.site(node)));
        }
    }
}

/// The function of the frame, which returns the rows to callers that are all known.
fn passing_on(cx: &Context<'_>, out: &mut Readers) -> Option<FunctionId> {
    let program = cx.project.program();
    let function = program.function_at(cx.file, cx.facts.scope)?;
    let info = program.function(function);
    let def = cx.scope();
    let is_decorated = def.parent().is_some_and(|p| p.kind() == Kind::DecoratedDef);
    let is_plain = info.class.is_none() && !is_decorated && !info.is_generator && !info.is_async;
    if is_plain && !is_given_away(cx, &info.name) {
        return Some(function);
    }
    let name = def.child(Field::Name).unwrap_or(def);
    out.unseen.push((format!("{}()", info.name), cx.site(name)));
    read_by_callers(cx, &info.name, cx.site(def), out);
    None
}

/// What those callers of a method read that are known, all of which never are.
fn read_by_callers(cx: &Context<'_>, name: &str, def: Site, out: &mut Readers) {
    for site in cx.analyzer.call_sites().of(name).iter().take(MOST_CALLERS) {
        let facts = cx.analyzer.caller(site.file, site.function);
        if facts.values.iter().any(|v| v.site == Some(def)) {
            out.attributes.extend(attributes(&facts));
        }
    }
}

/// Whether something called `name` is used otherwise than by a call: whoever has it may call it, too.
fn is_given_away(cx: &Context<'_>, name: &str) -> bool {
    let program = cx.project.program();
    let is_it = |n: Node<'_>| match n.kind() {
        Kind::Name => n.text() == name,
        Kind::Attribute => matches!(Expr::of(n), Expr::Attribute { attr, .. } if attr == name),
        Kind::Str => string_value(n).is_some_and(|s| s.rsplit('.').next() == Some(name)),
        _ => false,
    };
    cx.analyzer.once_for("given away by name", Box::<str>::from(name), || {
        cx.analyzer
            .files_mentioning(name)
            .iter()
            .any(|file| program.file(*file).root().descendants().any(|n| is_it(n) && !is_called_or_named(n)))
    })
}

fn is_called_or_named(node: Node<'_>) -> bool {
    let inside = node.ancestors().take_while(|a| !a.kind().is_statement());
    let is_import = |k: Kind| matches!(k, Kind::Import | Kind::ImportFrom | Kind::AliasedImport);
    node.field() == Field::Name
        || node.ancestors().take(4).any(|a| is_import(a.kind()))
        || inside
            .take(1)
            .any(|a| matches!(Expr::of(a), Expr::Call { func, .. } if func.peel() == node.peel()))
}

/// What one frame does with the rows; whether it returns the queryset.
fn in_frame(cx: &Context<'_>, is_ours: &dyn Fn(ValueId) -> bool, out: &mut Readers) -> bool {
    let mut returned = false;
    out.attributes.extend(attributes(cx.facts));
    for event in cx.facts.events() {
        match &event.kind {
            EventKind::Use { value, how } if is_ours(*value) => match how {
                Use::Escape(Escape::Return) => returned = true,
                // Its rows are looked at as well.
                Use::Escape(Escape::External) if owner(cx, cx.node(event.at)).is_some_and(is_ours) => {}
                Use::Escape(_) | Use::Other => out.unseen.push(gets(cx, event.at, event.site)),
                Use::Method(name) if !is_known(name) => out.unseen.push(gets(cx, event.at, event.site)),
                _ => {}
            },
            // Whoever looks at what an instance has loaded sees the joins.
            EventKind::ReadAttribute { root, name, .. }
                if matches!(&**name, "_state" | "__dict__") && is_row(cx, *root, is_ours) =>
            {
                out.unseen.push(gets(cx, event.at, event.site));
            }
            EventKind::InstanceEscapes { root, .. } if is_row(cx, *root, is_ours) => {
                out.unseen.push(gets(cx, event.at, event.site));
            }
            _ => {}
        }
    }
    for (index, value) in cx.facts.values.iter().enumerate() {
        if let Some(queryset) = value.queryset.as_deref().filter(|_| is_ours(ValueId(index as u32))) {
            out.traits.extend(queryset.traits.iter().copied());
        }
    }
    // Attributes, names in patterns and of keywords, and every word of a string.
    for node in cx.scope().descendants() {
        let is_pattern = || {
            let mut inside = node.ancestors().take_while(|a| !a.kind().is_statement());
            inside.any(|a| a.kind() == Kind::CasePattern)
        };
        let is_named = matches!(node.field(), Field::Attribute | Field::Name);
        if node.kind() == Kind::Name && (is_named || is_pattern()) {
            out.attributes.insert(node.text().to_owned());
        } else if node.kind() == Kind::Str {
            let words = node.text().split(|c: char| !(c.is_alphanumeric() || c == '_'));
            out.attributes.extend(words.flat_map(|w| w.split("__")).map(str::to_owned));
        }
    }
    returned
}

/// Whether Django's own queryset, or an operator, is meant by the name of a method.
fn is_known(name: &str) -> bool {
    is_queryset_method(name) || name.starts_with("__")
}

/// Whether an instance may be one of the rows: of what is not known it is.
fn is_row(cx: &Context<'_>, root: Root, is_ours: &dyn Fn(ValueId) -> bool) -> bool {
    let value = match root {
        Root::Row(value) => return is_ours(value),
        Root::Opaque => return true,
        Root::Value(value) => value,
    };
    let is_queryset = |node: Node<'_>| {
        let ty = cx.type_of(cx.node(node.peel().id()));
        ty.queryset().is_some_and(|qs| qs.values.iter().any(|v| is_ours(*v)))
    };
    match cx.value(value).map(|v| v.origin) {
        // `books.get(...)`, `get_object_or_404(books, ...)`
        Some(Origin::Expr(node)) => match Expr::of(cx.node(node)) {
            Expr::Call { func, arguments: list } => {
                let owner = match Expr::of(func) {
                    Expr::Attribute { value, .. } => Some(value),
                    _ => None,
                };
                owner.is_some_and(is_queryset) || arguments(list).iter().any(|a| is_queryset(a.value))
            }
            _ => true,
        },
        Some(Origin::Parameter(_) | Origin::Outside) => false,
        Some(Origin::Callee) | None => true,
    }
}

/// What gets the rows at a node: the call around it, or its statement.
fn gets(cx: &Context<'_>, at: crate::python::NodeId, site: Site) -> (String, Site) {
    let node = cx.node(at);
    let call = node.ancestors().take(4).find(|n| {
        matches!(Expr::of(*n), Expr::Call { func, .. } if n.kind() == Kind::Call && !func.contains(node.id()))
    });
    let named = match call.map(Expr::of) {
        Some(Expr::Call { func, .. }) => format!("{}()", super::guards::first_line(func)),
        _ => super::guards::first_line(node).to_owned(),
    };
    (named, site)
}
