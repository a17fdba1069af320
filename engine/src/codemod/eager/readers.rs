//! Everybody who reads the rows of one queryset, as far as they are known.
//!
//! What is said to be read is an upper bound: a relation that is left out here is read by nobody that is seen.

use super::sources::is_derived;
use crate::codemod::Context;
use crate::infer::{Escape, EventKind, Origin, Root, Trait, Use, ValueId, is_queryset_method};
use crate::python::{Expr, Field, FunctionId, Kind, Node, arguments, string_value};
use crate::text::Site;
use std::collections::BTreeSet;

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

/// The readers of the rows of `value`, a queryset of the frame of `cx`.
pub fn readers(cx: &Context<'_>, value: ValueId) -> Readers {
    let mut out = Readers::default();
    let is_ours = |v: ValueId| v == value || is_derived(cx, v, value, 0);
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
            let is_ours = |v: ValueId| made.iter().any(|m| *m == v || is_derived(&caller, v, *m, 0));
            if in_frame(&caller, &is_ours, &mut out)
                && let Some(outer) = passing_on(&caller, &mut out).filter(|f| !functions.contains(f))
            {
                functions.push(outer);
            }
        }
    }
    out
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
    None
}

/// Whether something called `name` is used otherwise than by a call: whoever has it may call it, too.
fn is_given_away(cx: &Context<'_>, name: &str) -> bool {
    let program = cx.project.program();
    program.file_ids().filter(|f| !cx.project.is_known_file(*f)).any(|file| {
        let source = program.file(file);
        source.source.text().contains(name)
            && source.root().descendants().any(|n| {
                let is_it = match n.kind() {
                    Kind::Name => n.text() == name,
                    Kind::Attribute => matches!(Expr::of(n), Expr::Attribute { attr, .. } if attr == name),
                    Kind::Str => string_value(n).is_some_and(|s| s.rsplit('.').next() == Some(name)),
                    _ => return false,
                };
                is_it && !is_called_or_named(n)
            })
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
    for event in &cx.facts.events {
        match &event.kind {
            EventKind::ReadRelation { path, .. } | EventKind::ReadMany { path, .. } => {
                out.attributes.extend(path.iter().map(|p| p.to_string()));
            }
            EventKind::Use { value, how } if is_ours(*value) => match how {
                Use::Escape(Escape::Return) => returned = true,
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
