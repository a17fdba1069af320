//! What was done to a queryset, or is done to it elsewhere, that eager loading does not go with.

use super::callers::{Caller, callers};
use super::class_place::ClassPlace;
use super::guards;
use super::named::named;
use super::place;
use super::reached;
use super::reads::{Group, Load};
use super::region;
use super::served;
use super::step::Step;
use super::used::{self, Wanted};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Escape, EventKind, Origin, QuerySet, QuerySetClass, Trait, Type, Use, ValueId};
use crate::python::{ClassId, Expr, Member, Node, arguments, string_value};
use crate::text::{FileId, Site};
use std::collections::BTreeSet;

/// Methods of Django's that a queryset class overrides to do something when rows are read.
const FETCHING: &[&str] =
    &["_fetch_all", "__iter__", "iterator", "_iterator", "_iterable_class", "__getitem__"];
pub(super) const COMBINING: &[&str] = &["union", "intersection", "difference"];
pub(super) const PREFETCH: &str = "prefetch_related";
pub(super) const DEFERRING: &[&str] = &["only", "defer"];
/// Methods that lock the rows of the queryset, those of a nullable join included.
pub(super) const LOCKING: &[&str] = &["select_for_update", "update_or_create", "aupdate_or_create"];

/// Methods that eager loading does not go with.
pub(super) fn minded(load: Load) -> impl Iterator<Item = &'static str> {
    let own: [&[&str]; 3] = match load {
        Load::Join => [DEFERRING, LOCKING, &["extra"]],
        Load::Prefetch => [&[PREFETCH], &[], &[]],
        Load::Count => [&[], &[], &[]],
    };
    COMBINING.iter().copied().chain(own.into_iter().flatten().copied())
}

/// Whether the call of `prefetch_related()` may give a queryset for a relation on one of the paths `ours`, which Django
/// refuses where the relation was named before.
pub fn gives_objects(call: Node<'_>, ours: &[String]) -> bool {
    let Expr::Call { arguments: list, .. } = Expr::of(call) else { return true };
    arguments(list).iter().any(|argument| {
        if argument.stars > 0 {
            return true;
        }
        let lookup = match Expr::of(argument.value) {
            Expr::Str(_) | Expr::None => return false,
            Expr::Call { func, arguments: inner } if func.text().ends_with("Prefetch") => arguments(inner)
                .first()
                .filter(|a| a.name.is_none_or(|n| n == "lookup"))
                .and_then(|a| string_value(a.value)),
            _ => None,
        };
        lookup.is_none_or(|lookup| {
            ours.iter().any(|our| *our == lookup || our.starts_with(&format!("{lookup}__")))
        })
    })
}

/// Hazards of the state and of the class of the queryset.
pub(super) fn hazards(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    statement_seen(cx, group, out);
    for row in &group.rows {
        let Some(queryset) = cx.value(*row).and_then(|v| v.queryset.clone()) else { continue };
        let at = |names: &[&str]| made_by(cx, *row, names);
        if queryset.is(Trait::Combined) {
            let site = at(COMBINING);
            let name = guards::called_name(cx.project, site);
            out.push(Hazard::at(HazardKind::QuerySetShape, format!("{name}()"), site));
        }
        custom(cx, &queryset, group.load, out);
        refused(cx, *row, &queryset, out);
        served::hazards(cx, *row, out);
        // A prefetch is a query of its own: it minds neither raw SQL nor columns that are loaded later.
        // What an annotation minds is asked by its own codemod.
        if group.load != Load::Join {
            continue;
        }
        if queryset.is(Trait::Raw) {
            out.push(Hazard::at(HazardKind::QuerySetShape, "raw()", at(&["raw"])));
        }
        deferred(cx, group, *row, &queryset, out);
        if queryset.is(Trait::FilteredRelation) {
            out.push(Hazard::at(HazardKind::QuerySetShape, "FilteredRelation()", at(&["annotate", "alias"])));
        }
        if queryset.is(Trait::RawSql) {
            let names = ["extra", "annotate", "alias", "filter", "exclude", "order_by"];
            out.push(Hazard::at(HazardKind::RawSql, "", raw_sql(cx, *row).unwrap_or_else(|| at(&names))));
        }
        if queryset.is(Trait::Locked) {
            let paths = group.lookups().join("`, `");
            out.push(Hazard::at(HazardKind::LockedRows, paths, at(&["select_for_update"])));
        }
        if queryset.is(Trait::BareSelectRelated) {
            out.push(Hazard::at(HazardKind::BareSelectRelated, "", at(&["select_related"])));
        }
    }
    used_elsewhere(cx, group, out);
}

/// Rows that Django refuses to load: what is wrong there goes first.
fn refused(cx: &Context<'_>, row: ValueId, queryset: &QuerySet, out: &mut Vec<Hazard>) {
    for name in &queryset.selected {
        let first = name.split("__").next().unwrap_or(name);
        let is_own = queryset.annotations.iter().any(|a| **a == *first);
        if !is_own && named(cx.project, queryset.model, name).is_some() {
            let site = made_by(cx, row, &[Load::Join.method()]);
            out.push(Hazard::at(HazardKind::RefusedJoin, &**name, site));
        }
    }
}

/// The call in the chain of `value` to one of `names`; where it stands in a helper, the call of the helper.
pub(super) fn made_by(cx: &Context<'_>, value: ValueId, names: &[&str]) -> Site {
    find_call(cx, value, names, 0)
        .or_else(|| place::origin(cx, value).map(|n| cx.node(n)))
        .map_or(cx.site(cx.scope()), |n| cx.site(n))
}

fn find_call<'a>(cx: &Context<'a>, value: ValueId, names: &[&str], depth: usize) -> Option<Node<'a>> {
    chain(cx, value, depth, &mut |node, attr| names.contains(&attr).then_some(node))
}

/// The first answer of `look` for the calls that made `value`, last first.
pub(super) fn chain<'a, T>(
    cx: &Context<'a>,
    value: ValueId,
    depth: usize,
    look: &mut impl FnMut(Node<'a>, &'a str) -> Option<T>,
) -> Option<T> {
    if depth > 30 {
        return None;
    }
    let info = cx.value(value)?;
    if let (Origin::Expr(node), true) = (info.origin, info.alternatives.is_empty()) {
        let node = cx.node(node);
        if let Expr::Call { func, .. } = Expr::of(node)
            && let Expr::Attribute { attr, .. } = Expr::of(func)
            && let Some(found) = look(node, attr)
        {
            return Some(found);
        }
    }
    info.parent.iter().chain(&info.alternatives).find_map(|up| chain(cx, *up, depth + 1, look))
}

fn raw_sql(cx: &Context<'_>, value: ValueId) -> Option<Site> {
    chain(cx, value, 0, &mut |node, attr| {
        let Expr::Call { arguments: list, .. } = Expr::of(node) else { return None };
        (attr == "extra" || list.text().contains("RawSQL")).then(|| cx.site(node))
    })
}

/// only() and defer() must leave the key, and must not reach through it.
fn deferred(cx: &Context<'_>, group: &Group, value: ValueId, queryset: &QuerySet, out: &mut Vec<Hazard>) {
    if queryset.deferred.is_empty() {
        return;
    }
    let mut only_calls = BTreeSet::new();
    chain(cx, value, 0, &mut |node, attr| {
        if attr == "only" {
            only_calls.insert(node.id());
        }
        None::<()>
    });
    let has_only = queryset.deferred.iter().any(|d| d.starts_with('+'));
    let sign = if has_only { "only" } else { "defer" };
    let bad =
        only_calls.len() > 1 || group.first_steps().iter().any(|step| leaves_out(step, queryset, has_only));
    if bad {
        let site = made_by(cx, value, &[sign]);
        out.push(Hazard::at(HazardKind::DeferredColumns, format!("{sign}()"), site));
    }
}

/// The same for the rows that a class only names the model of: what its manager leaves out.
pub(super) fn deferred_by_class(cx: &Context<'_>, group: &Group, place: &ClassPlace, out: &mut Vec<Hazard>) {
    let queryset = &place.queryset;
    let has_only = queryset.deferred.iter().any(|d| d.starts_with('+'));
    if !queryset.deferred.is_empty()
        && group.first_steps().iter().any(|step| leaves_out(step, queryset, has_only))
    {
        let sign = if has_only { "only()" } else { "defer()" };
        out.push(Hazard::at(HazardKind::DeferredColumns, sign, cx.site(cx.node(place.node))));
    }
}

pub(super) fn leaves_out(step: &Step, queryset: &QuerySet, has_only: bool) -> bool {
    // The key of the row itself is always there.
    if step.is_many {
        return false;
    }
    if has_only && !step.is_forward {
        return true;
    }
    let through = format!("{}__", step.lookup);
    let mut named = false;
    for entry in &queryset.deferred {
        let (sign, name) = entry.split_at(1);
        let is_key = name == step.lookup || name == step.attname;
        if name.starts_with(&through) || (sign == "-" && is_key) {
            return true;
        }
        named |= is_key;
    }
    has_only && !named
}

/// The queryset's own class must do as Django's.
pub fn custom(cx: &Context<'_>, queryset: &QuerySet, load: Load, out: &mut Vec<Hazard>) {
    let model = cx.model(queryset.model);
    let classes: Vec<ClassId> = match queryset.class {
        QuerySetClass::Plain => Vec::new(),
        QuerySetClass::Custom(class) => vec![class],
        QuerySetClass::Unknown => {
            if let Some(manager) = model.managers.iter().find(|m| m.is_unknown) {
                let subject = format!("{}.{}", model.name, manager.name);
                let site = manager.site.unwrap_or(model.site);
                out.push(Hazard::at(HazardKind::UnknownBase, subject, site));
            }
            model.managers.iter().flat_map(|m| [m.class, m.queryset]).flatten().collect()
        }
    };
    for class in classes {
        overrides(cx, class, load, out);
    }
}

/// Overrides of the method and of how rows are read, in a queryset or manager class.
fn overrides(cx: &Context<'_>, class: ClassId, load: Load, out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    if program.class(class).has_unknown_base {
        let info = program.class(class);
        let site = Site { file: info.file, span: program.file(info.file).node(info.node).span() };
        out.push(Hazard::at(HazardKind::UnknownBase, info.name.clone(), site));
    }
    overridden(cx, class, &[load.method()], HazardKind::CustomManagerMethod, out);
    fetching(cx, class, out);
}

/// Overrides of how rows are read.
pub(super) fn fetching(cx: &Context<'_>, class: ClassId, out: &mut Vec<Hazard>) {
    overridden(cx, class, FETCHING, HazardKind::CustomQuerySet, out);
}

fn overridden(cx: &Context<'_>, class: ClassId, names: &[&str], kind: HazardKind, out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    for name in names {
        let Some((owner, member)) = program.member(class, name) else { continue };
        let info = program.class(owner);
        let node = match member {
            Member::Function(function, _) => program.function(*function).node,
            Member::Value(node) => *node,
            _ => info.node,
        };
        let site = Site { file: info.file, span: program.file(info.file).node(node).span() };
        out.push(Hazard::at(kind, format!("{}.{name}", program.class(class).name), site));
    }
}

/// The queryset that gets the join may be narrowed, locked or combined elsewhere.
fn used_elsewhere(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    let is_ours = |value: ValueId| group.leads_to(cx, value);
    let (first, lookups) = (group.first_steps(), group.lookups());
    used::hazards(cx, &Wanted { first: &first, lookups: &lookups, load: group.load }, &is_ours, out);
    let escapes = |wanted: &[Escape]| {
        cx.facts.events().any(|event| match &event.kind {
            EventKind::Use { value, how: Use::Escape(how) } => wanted.contains(how) && is_ours(*value),
            _ => false,
        })
    };
    if escapes(&[Escape::Store]) {
        stored(cx, group, out);
    }
    if escapes(&[Escape::Return, Escape::Yield, Escape::Container]) {
        narrowed_by_callers(cx, group, out);
    }
}

/// Callers of this function that narrow, combine or lock what it returns.
fn narrowed_by_callers(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    let Some(function) = program.function_at(cx.file, cx.facts.scope) else { return };
    let own = program.function(function);
    let def = Site { file: own.file, span: program.file(own.file).node(own.node).span() };
    let names: Vec<&str> = minded(group.load).collect();
    for Caller { file, scope, facts, .. } in callers(cx, function) {
        let source = program.file(file);
        if !names.iter().any(|n| source.source.text().contains(&format!(".{n}("))) {
            continue;
        }
        for call in names.iter().flat_map(|n| region::calls_of(scope, n)) {
            let Expr::Call { func, .. } = Expr::of(call) else { continue };
            let Expr::Attribute { value, .. } = Expr::of(func) else { continue };
            let is_other = match facts.type_of(value) {
                Type::Manager(_) => true,
                Type::QuerySet(qs) => {
                    let steps = group.steps();
                    let model = steps.first().map(|s| s.from);
                    model.is_some_and(|m| m != qs.model)
                        || qs.values.iter().all(|v| !comes_from(&facts, *v, def, 0))
                }
                _ => false,
            };
            if is_other {
                continue;
            }
            out.extend(clash(group, call, Site { file, span: call.span() }));
        }
    }
}

/// Why a method that is called on the queryset, wherever that happens, does not go with what is to be loaded.
pub(super) fn clash(group: &Group, call: Node<'_>, site: Site) -> Option<Hazard> {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let Expr::Attribute { attr, .. } = Expr::of(func) else { return None };
    if attr == "extra" {
        return Some(Hazard::at(HazardKind::RawSql, "", site));
    }
    if LOCKING.contains(&attr) {
        let hazard = || Hazard::at(HazardKind::LockedRows, group.lookups().join("`, `"), site);
        return (!list.text().contains("of=")).then(hazard);
    }
    if COMBINING.contains(&attr) || attr == PREFETCH {
        let is_bad = attr != PREFETCH || gives_objects(call, &group.lookups());
        return is_bad.then(|| Hazard::at(HazardKind::QuerySetShape, format!("{attr}()"), site));
    }
    let named: Option<Vec<String>> = arguments(list).iter().map(|a| string_value(a.value)).collect();
    let keeps = |named: Vec<String>| {
        group.first_steps().iter().all(|step| {
            let is_named = named.iter().any(|n| *n == step.lookup || *n == step.attname);
            let through = named.iter().any(|n| n.starts_with(&format!("{}__", step.lookup)));
            !through && is_named == (attr == "only")
        })
    };
    (!named.is_some_and(keeps)).then(|| Hazard::at(HazardKind::DeferredColumns, format!("{attr}()"), site))
}

/// Whether a value is made from what the function at `def` gives: its result, or a value of the dict that it returns.
fn comes_from(facts: &crate::infer::Facts, value: ValueId, def: Site, depth: usize) -> bool {
    let Some(info) = facts.value(value).filter(|_| depth < 30) else { return false };
    info.site.is_some_and(|s| s.file == def.file && def.span.contains(s.span))
        || info.parent.iter().chain(&info.alternatives).any(|up| comes_from(facts, *up, def, depth + 1))
}

/// Code that looks at the statement itself (`str(books.query)`, `books.query.sql_with_params()`) sees what it asks for.
fn statement_seen(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    if group.load == Load::Prefetch {
        return;
    }
    for event in cx.facts.events() {
        let EventKind::Use { value, how: Use::Other } = &event.kind else { continue };
        let is_statement = guards::node_at(cx.project, event.site)
            .is_some_and(|n| matches!(Expr::of(n), Expr::Attribute { attr: "query", .. }));
        if is_statement && group.leads_to(cx, *value) {
            out.push(Hazard::at(HazardKind::QuerySetShape, "query", event.site));
        }
    }
}

/// A queryset that is kept in an attribute is used by the other functions of the file.
fn stored(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    let attributes = region::stored_names(cx);
    let held = reached::holding(cx, group);
    reached::loaded_again(cx, group, &held, out);
    let program = cx.project.program();
    let naming = attributes.iter().chain(&held).flat_map(|name| cx.analyzer.files_naming(name));
    let naming: BTreeSet<FileId> = naming.copied().filter(|file| *file != cx.file).collect();
    for file in naming {
        let source = program.file(file);
        if !attributes.iter().any(|attribute| source.source.mentions(attribute)) {
            continue;
        }
        for name in minded(group.load) {
            if cx.analyzer.files_naming(name).binary_search(&file).is_err() {
                continue;
            }
            for call in region::calls_of(source.root(), name) {
                let Expr::Call { func, .. } = Expr::of(call) else { continue };
                let Expr::Attribute { value, .. } = Expr::of(func) else { continue };
                let is_direct =
                    matches!(Expr::of(value), Expr::Attribute { attr, .. } if attributes.contains(&attr));
                if !is_direct && !reached::comes_from(value, &|n| reached::is_attribute(n, &held), 0) {
                    continue;
                }
                if name == PREFETCH && !gives_objects(call, &group.lookups()) {
                    continue;
                }
                let kind = match name {
                    "extra" => HazardKind::RawSql,
                    name if LOCKING.contains(&name) => HazardKind::LockedRows,
                    name if COMBINING.contains(&name) || name == PREFETCH => HazardKind::QuerySetShape,
                    _ => HazardKind::DeferredColumns,
                };
                let subject = match kind {
                    HazardKind::RawSql => String::new(),
                    HazardKind::LockedRows => group.lookups().join("`, `"),
                    _ => format!("{name}()"),
                };
                out.push(Hazard::at(kind, subject, Site { file, span: call.span() }));
            }
        }
    }
    for name in minded(group.load).filter(|n| *n != "extra") {
        for call in region::calls_of(cx.root(), name) {
            let Expr::Call { func, .. } = Expr::of(call) else { continue };
            let Expr::Attribute { value, .. } = Expr::of(func) else { continue };
            if matches!(Expr::of(value), Expr::Attribute { .. } | Expr::Name(_))
                && !cx.scope().contains(call.id())
                && (name != PREFETCH || gives_objects(call, &group.lookups()))
            {
                let (kind, subject) = match name {
                    name if LOCKING.contains(&name) => (HazardKind::LockedRows, group.lookups().join("`, `")),
                    name if COMBINING.contains(&name) || name == PREFETCH => {
                        (HazardKind::QuerySetShape, format!("{name}()"))
                    }
                    name => (HazardKind::DeferredColumns, format!("{name}()")),
                };
                out.push(cx.hazard(kind, subject, call));
            }
        }
    }
}
