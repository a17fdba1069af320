//! Rows that the class of an entry loads in its own methods: `self.get_queryset().get(pk=...)` in `post()`. What the
//! queryset prefetches for the framework is prefetched there as well.

use super::guards;
use super::prefetch::LOADING;
use super::remote::QUIET;
use super::sources::is_derived;
use super::step::{self, Step};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Entry, EntryKind, EventKind, Rows, Source, Type, Use, ValueId};
use crate::python::{ClassId, Expr, Field, FunctionId, Kind, Member, Node, is_super};
use crate::text::Site;

/// Methods that give the queryset or one of its rows to the framework.
const GIVING: &[&str] = &["get_queryset", "filter_queryset", "get_object", "items"];

/// Places that load rows of the entry's queryset and do not read the relation.
pub(super) fn loads(cx: &Context<'_>, entry: &Entry, steps: &[Step], out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    for class in classes(cx, entry) {
        let info = program.class(class);
        for name in info.order.iter().filter(|name| !GIVING.contains(&name.as_str())) {
            if let Some(Member::Function(function, _)) = info.members.get(name) {
                in_method(cx, *function, entry.kind, steps, out);
            }
        }
    }
}

/// The classes whose methods have the entry's queryset: those above it, and those that inherit the queryset.
pub(super) fn classes(cx: &Context<'_>, entry: &Entry) -> Vec<ClassId> {
    let program = cx.project.program();
    let Some(own) = entry.class else { return Vec::new() };
    let name = match entry.source {
        Source::Function(function) => program.function(function).name.as_str(),
        Source::Expression(..) => "queryset",
        Source::Model(..) | Source::Above(..) => "model",
    };
    let owner = |class: ClassId, name: &str| program.member(class, name).map(|(owner, _)| owner);
    let has_it =
        |class: &ClassId| [name, "get_queryset"].iter().all(|name| owner(*class, name) == owner(own, name));
    let below = program.descendants(owner(own, name).unwrap_or(own));
    let mut out = program.class(own).mro.clone();
    out.extend(below.into_iter().filter(has_it));
    out.sort();
    out.dedup();
    out.retain(|class| !cx.project.is_known_file(program.class(*class).file));
    out
}

fn in_method(cx: &Context<'_>, function: FunctionId, kind: EntryKind, steps: &[Step], out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    let has_items = matches!(kind, EntryKind::Feed | EntryKind::Sitemap);
    let asks: &[&str] = if has_items { &[".items("] } else { &["get_queryset", ".queryset"] };
    if !asks.iter().any(|name| def.text().contains(name)) {
        return;
    }
    let given: Vec<Node<'_>> = def.descendants().filter(|n| gives_rows(*n, has_items)).collect();
    if given.is_empty() {
        return;
    }
    let facts = cx.analyzer.function(function);
    let inner = Context { facts: &facts, file: info.file, ..*cx };
    let mut sites: Vec<Site> = Vec::new();
    let mut values: Vec<ValueId> = Vec::new();
    for node in given {
        let alternatives = inner.type_of(node).alternatives();
        let querysets = alternatives.iter().filter_map(Type::queryset);
        let known = values.len();
        values.extend(querysets.flat_map(|qs| qs.values.iter().copied()));
        if values.len() == known && is_loaded_by_chain(node) {
            sites.push(inner.site(node));
        }
    }
    let is_ours = |v: ValueId| values.iter().any(|own| *own == v || is_derived(&inner, v, *own, 0));
    for event in &facts.events {
        let EventKind::Use { value, how } = &event.kind else { continue };
        let loads = match how {
            Use::Index => true,
            Use::Method(name) => LOADING.contains(&&**name),
            how => how.evaluates(),
        };
        let has_instances = inner
            .value(*value)
            .and_then(|v| v.queryset.as_deref())
            .is_some_and(|qs| qs.rows == Rows::Instances);
        if loads && has_instances && is_ours(*value) && !reads(&inner, *value, steps) {
            sites.push(event.site);
        }
    }
    for site in sites {
        let node = guards::node_at(cx.project, site);
        let subject = node.map_or("...", guards::first_line);
        let hazard = Hazard::at(HazardKind::LoadedWithout, subject, site);
        if !out.contains(&hazard) {
            out.push(hazard);
        }
    }
}

/// `self.get_queryset(...)`, `super().get_queryset(...)`, `self.queryset`; `self.items()` of a feed.
fn gives_rows(node: Node<'_>, has_items: bool) -> bool {
    let is_self = |n: Node<'_>| matches!(Expr::of(n), Expr::Name("self"));
    match Expr::of(node) {
        Expr::Call { func, .. } if node.kind() == Kind::Call => match Expr::of(func) {
            Expr::Attribute { value, attr, .. }
                if attr == if has_items { "items" } else { "get_queryset" } =>
            {
                is_self(value) || is_super(value)
            }
            _ => false,
        },
        Expr::Attribute { value, attr: "queryset", .. } => {
            node.kind() == Kind::Attribute && !node.is_binding() && is_self(value)
        }
        _ => false,
    }
}

/// Whether rows of `value` have the relation read in this frame.
fn reads(cx: &Context<'_>, value: ValueId, steps: &[Step]) -> bool {
    cx.facts.events.iter().any(|event| {
        let (EventKind::ReadRelation { root, path, .. } | EventKind::ReadMany { root, path, .. }) =
            &event.kind
        else {
            return false;
        };
        let Some((row, path)) = cx.facts.climbed(*root, path) else { return false };
        let is_it = row == value || is_derived(cx, row, value, 0) || is_derived(cx, value, row, 0);
        let from = steps.first().map(|s| s.from);
        is_it
            && from
                .and_then(|from| step::steps(cx.project, from, &path))
                .is_some_and(|found| found.starts_with(steps))
    })
}

/// Where the type is not known: whether the calls that hang on the expression, or a loop over it, load rows.
pub(super) fn is_loaded_by_chain(mut node: Node<'_>) -> bool {
    for _ in 0..30 {
        let whole = node.with_parens();
        let Some(parent) = whole.parent() else { return false };
        let (Expr::Attribute { attr, .. }, Some(call)) = (Expr::of(parent), parent.with_parens().parent())
        else {
            return matches!(parent.kind(), Kind::For | Kind::CompFor) && whole.field() == Field::Right;
        };
        if call.kind() != Kind::Call || LOADING.contains(&attr) {
            return call.kind() == Kind::Call;
        }
        if !QUIET.contains(&attr)
            || matches!(attr, "values" | "values_list" | "count" | "exists" | "aggregate")
        {
            return false;
        }
        node = call;
    }
    false
}
