//! What a prefetch does besides a join: it is a query of its own each time that rows are loaded, and the rows of the
//! relation are those of the moment when the first of them was wanted.

use super::again::{self, Rows};
use super::certainty::{goes_over_all, loaded_in_vain};
use super::reads::{Group, Read};
use super::step::Step;
use super::{guards, shape};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Escape, Event, EventKind, Name, Origin, Root, Type, Use, ValueId};
use crate::python::{
    Def, Expr, Field, FunctionId, Kind, Member, Node, NodeId, arguments, parameters, string_value,
};
use crate::text::Site;

/// Methods that load rows as instances, with everything that is prefetched for them. `delete()` goes over the rows to
/// find what depends on them (django/db/models/deletion.py, `Collector.collect`).
pub(super) const LOADING: &[&str] = &[
    "get",
    "first",
    "last",
    "latest",
    "earliest",
    "in_bulk",
    "delete",
    "aget",
    "afirst",
    "alast",
    "alatest",
    "aearliest",
    "ain_bulk",
    "adelete",
];

/// Hazards of asking for the rows of a relation beforehand.
pub(super) fn hazards(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    rarely_read(cx, group, out);
    loaded_elsewhere(cx, group, out);
    let certain: Vec<usize> = group.reads.iter().filter(|r| r.is_certain).map(|r| r.event).collect();
    for row in &group.rows {
        loaded_in_vain(cx, *row, &certain, out);
    }
    cloned(cx, group, out);
    let paths: Vec<Vec<Step>> = group.paths().cloned().collect();
    let is_ours = |v: &ValueId| group.has_rows_of(cx, *v);
    let are_shared = !group.remote.is_empty();
    again::hazards(cx, &Rows { is_ours: &is_ours, paths: &paths, are_shared, are_shown: false }, out);
    for step in group.steps().iter().filter(|s| s.is_many) {
        managed(cx, group, step, out);
    }
}

/// A relation that no row reads for certain: rows that all pass the condition by would cost a query more.
fn rarely_read(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    for lookup in group.lookups() {
        let is_it = |steps: &[Step]| group.lookup(steps) == lookup;
        let over_all = |r: &Read| cx.facts.event(r.event).is_some_and(|e| goes_over_all(cx, e));
        let local =
            group.reads.iter().filter(|r| is_it(&r.steps)).map(|r| (r.is_certain && over_all(r), r.site));
        let remote = group.remote.iter().filter(|r| is_it(&r.steps)).map(|r| (r.is_certain, r.site));
        let all: Vec<(bool, Site)> = local.chain(remote).collect();
        if all.iter().any(|(is_certain, _)| *is_certain) {
            continue;
        }
        if let Some((_, site)) = all.first() {
            out.push(Hazard::at(HazardKind::RarelyRead, lookup, *site));
        }
    }
}

/// Whoever loads other rows of the queryset, or one of them, would pay for the prefetch, too.
fn loaded_elsewhere(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    let is_row = |v: ValueId| group.has_rows_of(cx, v);
    let is_ours = |v: ValueId| group.leads_to(cx, v);
    for (index, event) in cx.facts.events().enumerate() {
        let EventKind::Use { value, how } = &event.kind else { continue };
        if !is_ours(*value) || cx.value(*value).is_some_and(|v| is_plain(v.queryset.as_deref())) {
            continue;
        }
        let loads = match how {
            Use::Index => true,
            Use::Method(name) if matches!(&**name, "iterator" | "aiterator") => {
                !is_row(*value) && !is_read_by_callee(cx, group, *value, event)
            }
            Use::Method(name) => LOADING.contains(&&**name),
            // Returned to the framework that reads the rows.
            Use::Escape(Escape::Return) => !is_row(*value) && group.remote.is_empty(),
            // `repr()` of a queryset loads the first rows, unless all are there (django/db/models/query.py, `__repr__`).
            Use::Other => !is_row(*value) || !is_evaluated_before(cx, *value, index),
            how => how.may_load() && !is_row(*value) && !is_read_by_callee(cx, group, *value, event),
        };
        if loads {
            let node = guards::node_at(cx.project, event.site);
            let subject = node.map_or("...", guards::first_line);
            out.push(Hazard::at(HazardKind::LoadedWithout, subject, event.site));
        }
    }
}

/// Callees of the frame of an entry, tags of its template among them, that load other rows than those that it shows.
pub(super) fn loaded_by_callees(cx: &Context<'_>, is_row: &dyn Fn(&ValueId) -> bool, out: &mut Vec<Hazard>) {
    for event in cx.facts.events() {
        let EventKind::Use { value, how } = &event.kind else { continue };
        let Some(info) = cx.value(*value).filter(|v| v.origin == Origin::Callee && v.parent.is_some()) else {
            continue;
        };
        let loads = match how {
            Use::Index => true,
            Use::Method(name) => LOADING.contains(&&**name) || &**name == "iterator",
            how => how.evaluates(),
        };
        if loads && is_row(value) && !is_plain(info.queryset.as_deref()) {
            let node = guards::node_at(cx.project, event.site);
            let subject = node.map_or("...", guards::first_line);
            out.push(Hazard::at(HazardKind::LoadedWithout, subject, event.site));
        }
    }
}

/// Whether a callee that makes a queryset of its own from ours, and goes over that one alone, reads the relation of its
/// rows.
fn is_read_by_callee(cx: &Context<'_>, group: &Group, value: ValueId, event: Event<'_>) -> bool {
    let callee =
        |site: Site| guards::node_at(cx.project, site)?.enclosing_function().map(|def| (site.file, def.id()));
    let here = callee(event.site);
    let is_there = |at: NodeId, site: Site| at == event.at && here.is_some() && callee(site) == here;
    cx.value(value).is_some_and(|v| v.origin == Origin::Callee)
        && group.reads.iter().any(|read| read.is_certain && is_there(read.at, read.site))
        && !cx.facts.events().any(|e| match &e.kind {
            EventKind::Use { value: v, how } => how.evaluates() && *v != value && is_there(e.at, e.site),
            _ => false,
        })
}

/// Whether all rows of `value` have certainly been loaded before an event.
fn is_evaluated_before(cx: &Context<'_>, value: ValueId, index: usize) -> bool {
    cx.facts.events().take(index).any(|e| {
        e.is_certain && matches!(&e.kind, EventKind::Use { value: v, how } if *v == value && how.evaluates())
    })
}

/// Whether rows are no instances, so that nothing is prefetched for them.
fn is_plain(queryset: Option<&crate::infer::QuerySet>) -> bool {
    queryset.is_some_and(|qs| qs.rows != crate::infer::Rows::Instances)
}

/// Whether a use of a queryset is an `iterator()` without a chunk size, wherever it stands: that one prefetches nothing (4.2) or
/// refuses to (5.0 and later).
pub(super) fn is_streamed(cx: &Context<'_>, site: Site, how: &Use) -> Option<Hazard> {
    let Use::Method(name) = how else { return None };
    if !matches!(&**name, "iterator" | "aiterator") {
        return None;
    }
    let call = guards::node_at(cx.project, site).map(Expr::of);
    let has_size = matches!(call, Some(Expr::Call { arguments: list, .. }) if !arguments(list).is_empty());
    (!has_size).then(|| Hazard::at(HazardKind::QuerySetShape, format!("{name}()"), site))
}

/// A row that becomes another row keeps what was prefetched for the first.
pub(super) fn cloned(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    for event in cx.facts.events() {
        let EventKind::WriteAttribute { root: Root::Row(v), path, name } = &event.kind else { continue };
        let is_key = |name: &Name| {
            let model = cx.value(*v).and_then(|v| Some(v.queryset.as_deref()?.model));
            **name == *"pk"
                || model.is_some_and(|m| cx.model(m).primary_key().is_some_and(|pk| pk.attname == **name))
        };
        if group.has_rows_of(cx, *v) && path.is_empty() && is_key(name) {
            out.push(Hazard::at(HazardKind::StaleCopy, format!("{name} ="), event.site));
        }
    }
}

/// The manager that gives the rows of a relation is asked once, on behalf of the first row.
fn managed(cx: &Context<'_>, group: &Group, step: &Step, out: &mut Vec<Hazard>) {
    let model = cx.model(step.to);
    let Some(manager) = model.manager(&model.default_manager) else { return };
    if manager.is_unknown {
        // Said of the model already.
        if model.has_unknown_base || guards::has_foreign_base(cx.project, step.to) {
            return;
        }
        let subject = format!("{}.{}", model.name, manager.name);
        out.push(Hazard::at(HazardKind::UnknownBase, subject, manager.site.unwrap_or(model.site)));
        return;
    }
    for class in manager.class.into_iter().chain(manager.queryset) {
        shape::fetching(cx, class, out);
    }
    let Some(class) = manager.class else { return };
    let program = cx.project.program();
    for name in ["get_queryset", "all", "__init__", "_apply_rel_filters", "get_prefetch_queryset"] {
        let Some((owner, Member::Function(function, _))) = program.member(class, name) else { continue };
        let info = program.function(*function);
        let def = program.file(info.file).node(info.node);
        let depends = match name {
            "get_queryset" => {
                looks_at_owner(def)
                    || has_effects(cx, *function)
                    || (depends_on_context(cx, *function) && may_change_context(cx, group))
            }
            _ => !cx.project.is_known_file(info.file),
        };
        if depends {
            let subject = format!("{}.{name}", program.class(owner).name);
            let site = Site { file: info.file, span: def.span() };
            out.push(Hazard::at(HazardKind::CustomManagerMethod, subject, site));
        }
    }
}

/// `self.instance` is the row that the manager belongs to, however it is asked for.
fn looks_at_owner(def: Node<'_>) -> bool {
    const OF_OWNER: &[&str] = &["instance", "core_filters", "_hints"];
    def.descendants().any(|n| match n.kind() {
        Kind::Attribute => matches!(Expr::of(n), Expr::Attribute { attr, .. } if OF_OWNER.contains(&attr)),
        Kind::Str => string_value(n).is_some_and(|text| OF_OWNER.contains(&text.as_str())),
        Kind::Call => matches!(Expr::of(n), Expr::Call { func, .. } if func.text() == "vars"),
        _ => false,
    })
}

/// Whether asking twice is more than asking once.
fn has_effects(cx: &Context<'_>, function: FunctionId) -> bool {
    let facts = cx.analyzer.function(function);
    facts.events().any(|e| {
        matches!(
            e.kind,
            EventKind::Write { .. }
                | EventKind::Outside { .. }
                | EventKind::Log
                | EventKind::UnknownCall { .. }
                | EventKind::CallNamed { .. }
                | EventKind::Suspend
        )
    })
}

/// Whether what the function gives depends on more than its arguments and the rows of tables: the language, the tenant,
/// a variable of the module.
fn depends_on_context(cx: &Context<'_>, function: FunctionId) -> bool {
    /// Modules whose functions give the same for the same arguments; the clock runs on in either case.
    const STEADY: &[&str] = &[
        "builtins",
        "django.db",
        "django.conf",
        "django.utils.timezone",
        "datetime",
        "django.contrib.postgres",
    ];
    let program = cx.project.program();
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    let facts = cx.analyzer.function(function);
    let given: Vec<&str> = parameters(def).iter().map(|p| p.name).collect();
    let bound = |name: &str| {
        given.contains(&name)
            || def
                .descendants()
                .any(|n| n.kind() == Kind::Name && n.field() == Field::Left && n.text() == name)
    };
    let Some(body) = def.child(Field::Body) else { return true };
    body.descendants().any(|n| match Expr::of(n) {
        Expr::Call { func, .. } if n.kind() == Kind::Call => {
            match program.resolve_expr(info.file, func.peel().id()) {
                Some(Def::External(path)) => {
                    !STEADY.iter().any(|m| path.strip_prefix(m).is_some_and(|rest| rest.starts_with('.')))
                }
                Some(Def::Function(inner)) => inner == function || depends_on_context(cx, inner),
                _ => false,
            }
        }
        // A variable of the module.
        Expr::Name(name) if n.kind() == Kind::Name => {
            !matches!(n.field(), Field::Attribute | Field::Name | Field::Left)
                && name != "super"
                && !bound(name)
                && !is_constant(cx, name, facts.type_of(n))
                && !matches!(facts.type_of(n), Type::Def(_) | Type::ModelClass(_))
        }
        _ => false,
    })
}

/// Whether a variable of a module is written like a constant, and nobody assigns it from outside.
fn is_constant(cx: &Context<'_>, name: &str, ty: &Type) -> bool {
    let is_upper = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let program = cx.project.program();
    let assigned = [format!(".{name} ="), format!("global {name}")];
    is_upper
        && matches!(ty, Type::Str | Type::Int | Type::Float | Type::Bool)
        && !program.file_ids().any(|file| {
            let text = program.file(file).source.text();
            assigned.iter().any(|a| text.contains(a.as_str()))
        })
}

/// Whether something around the reads of the group may change the context that managers look at: a `with`, a call of
/// code outside the program for its effect, others that run between two rows.
fn may_change_context(cx: &Context<'_>, group: &Group) -> bool {
    let is_inside = |site: Site| {
        guards::node_at(cx.project, site).is_some_and(|n| n.ancestors().any(|a| a.kind() == Kind::With))
    };
    let local = group.reads.iter().any(|r| is_inside(r.site) || is_inside(cx.site(cx.node(r.at))));
    if local || group.remote.iter().any(|r| is_inside(r.site)) {
        return true;
    }
    let happens = cx.facts.events().any(|e| {
        matches!(
            e.kind,
            EventKind::Outside { .. }
                | EventKind::UnknownCall { .. }
                | EventKind::CallNamed { .. }
                | EventKind::Suspend
        )
    });
    happens || cx.scope().descendants().any(|n| sets_something(cx, n))
}

/// Whether a statement calls something for its effect, other than a method of what the frame handles, or assigns an
/// attribute of something that is no instance.
fn sets_something(cx: &Context<'_>, node: Node<'_>) -> bool {
    match Expr::of(node) {
        Expr::Call { func, .. } if node.kind() == Kind::Call => {
            let is_statement = node.parent().is_some_and(|p| p.kind() == Kind::ExprStatement);
            match cx.project.program().resolve_expr(cx.file, func.peel().id()) {
                Some(Def::Function(_)) => true,
                Some(_) => is_statement,
                None => matches!(cx.type_of(cx.node(func.id())), Type::External(_)) && is_statement,
            }
        }
        Expr::Attribute { value, .. } if node.kind() == Kind::Attribute => {
            node.field() == Field::Left && cx.type_of(cx.node(value.id())).instance().is_none()
        }
        _ => node.kind() == Kind::Global,
    }
}
