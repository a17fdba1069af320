//! What a lock would change besides the lock: the query that takes it, and who waits for whom.

use super::find::{Unlocked, locked_model, locks};
use super::idle::Idle;
use ormend_engine::codemod::guards::callers::call_sites;
use ormend_engine::codemod::guards::loads::is_one_database;
use ormend_engine::codemod::guards::queryset::{Reading, queryset_of, reading};
use ormend_engine::codemod::guards::transaction::opened;
use ormend_engine::codemod::guards::writes;
use ormend_engine::codemod::{Context, Hazard, HazardKind, Site};
use ormend_engine::django::ModelId;
use ormend_engine::infer::{EventKind, QuerySetClass, Trait, Type};
use ormend_engine::python::{Expr, Kind, Node};

/// Methods by which a row is read with a lock.
const READING: &[&str] = &[
    "select_for_update",
    "get_queryset",
    "get",
    "first",
    "last",
    "earliest",
    "latest",
    "_fetch_all",
    "iterator",
];

/// The obstacles of a lock.
pub fn unlocked<'a>(cx: &Context<'a>, found: &Unlocked<'a>, out: &mut Vec<Hazard>) {
    reads_plainly(cx, found, out);
    database(cx, found, out);
    if needs_of(cx, found) && !may_name_self(cx, found.model) {
        let what = writes::one_line(found.load.source.text());
        out.push(cx.hazard(HazardKind::LockedRows, what, found.load.call));
    }
    order(cx, found, out);
    held(cx, found, out);
}

/// The obstacles of leaving out a lock that is none.
pub fn idle<'a>(cx: &Context<'a>, found: &Idle<'a>, out: &mut Vec<Hazard>) {
    custom(cx, found.source, found.model, &["select_for_update", "count", "aggregate"], out);
}

fn reads_plainly<'a>(cx: &Context<'a>, found: &Unlocked<'a>, out: &mut Vec<Hazard>) {
    let source = found.load.source;
    custom(cx, source, found.model, READING, out);
    let Some(qs) = queryset_of(cx, source).or(found.load.queryset.map(|q| &**q)) else { return };
    // PostgreSQL refuses FOR UPDATE with DISTINCT, GROUP BY and UNION; an annotation may be an aggregate.
    let shapes = [
        (Trait::Distinct, "distinct()"),
        (Trait::DistinctOn, "distinct()"),
        (Trait::Combined, "union()"),
        (Trait::Grouped, "values().annotate()"),
        (Trait::Annotated, "annotate()"),
        (Trait::Sliced, "a slice"),
        (Trait::Iterator, "iterator()"),
    ];
    if let Some((_, name)) = shapes.iter().find(|(t, _)| qs.is(*t)) {
        out.push(cx.hazard(HazardKind::QuerySetShape, *name, found.load.call));
    }
}

fn custom<'a>(cx: &Context<'a>, source: Node<'a>, model: ModelId, methods: &[&str], out: &mut Vec<Hazard>) {
    let at = |name: String, site: Site, out: &mut Vec<Hazard>| {
        if !out.iter().any(|h: &Hazard| h.kind == HazardKind::CustomQuerySet) {
            out.push(Hazard::at(HazardKind::CustomQuerySet, name, site));
        }
    };
    let class = match cx.type_of(source) {
        Type::QuerySet(qs) => Some(qs.class),
        Type::Manager(manager) => Some(manager.class),
        _ => None,
    };
    // What `get_queryset()` does is seen in the state of the queryset.
    let is_followed = queryset_of(cx, source).is_some_and(|qs| !qs.is(Trait::Mysterious));
    let methods: Vec<&str> =
        methods.iter().copied().filter(|m| !(is_followed && *m == "get_queryset")).collect();
    let judge = |class: QuerySetClass, out: &mut Vec<Hazard>| match reading(cx, model, class, &methods) {
        Reading::Standard => {}
        Reading::Custom(name, site) => at(name, site, out),
        Reading::Unknown => at(writes::one_line(source.text()), cx.site(source), out),
    };
    if let Some(class) = class {
        judge(class, out);
    }
    let name = match cx.type_of(source) {
        Type::Manager(manager) => match (&manager.name, &manager.related) {
            (Some(name), _) => name.to_string(),
            // A related manager is made of the default one.
            (None, _) => cx.model(model).default_manager.clone(),
        },
        Type::ModelClass(_) => cx.model(model).default_manager.clone(),
        _ => return,
    };
    let info = cx.model(model);
    match info.manager(&name) {
        Some(manager) if !manager.is_unknown => {
            for class in [manager.class, manager.queryset].into_iter().flatten() {
                judge(QuerySetClass::Custom(class), out);
            }
        }
        _ => at(format!("{}.{name}", info.name), info.site, out),
    }
}

/// The lock is taken where the row is read, and must be where the transaction is.
fn database<'a>(cx: &Context<'a>, found: &Unlocked<'a>, out: &mut Vec<Hazard>) {
    let qs = queryset_of(cx, found.load.source).or(found.load.queryset.map(|q| &**q));
    let other = qs.is_some_and(|q| q.is(Trait::Using)) || found.load.call.text().contains(".using(");
    if other || !is_one_database(cx) {
        out.push(cx.hazard(
            HazardKind::OtherDatabase,
            writes::one_line(found.load.source.text()),
            found.load.call,
        ));
    }
}

/// Whether the query joins tables, whose rows would be locked too, or cannot be.
pub fn needs_of<'a>(cx: &Context<'a>, found: &Unlocked<'a>) -> bool {
    let model = cx.model(found.model);
    let is_relation = |path: &str| {
        let name = path.trim_start_matches('-').split("__").next().unwrap_or(path);
        model.field(name).is_some_and(|f| f.relation.is_some())
            || path.contains("__") && model.field(name).is_none()
    };
    let joins = |lookup: &str| {
        let name = lookup.split("__").next().unwrap_or(lookup);
        let rest = lookup.split("__").nth(1);
        lookup.contains("__")
            && (model.field(name).is_some_and(|f| f.relation.is_some()) || model.field(name).is_none())
            && !matches!(rest, Some("in" | "isnull" | "exact" | "pk" | "id" | "gt" | "gte" | "lt" | "lte"))
            && name != "pk"
    };
    let qs = queryset_of(cx, found.load.source).or(found.load.queryset.map(|q| &**q));
    let selected = qs.is_some_and(|q| !q.selected.is_empty() || q.is(Trait::BareSelectRelated));
    let looked_up = found.load.call.descendants().any(|n| match n.kind() {
        Kind::KeywordArgument => n.child(ormend_engine::python::Field::Name).is_some_and(|k| joins(k.text())),
        Kind::StrContent => n.text().contains("__"),
        _ => false,
    });
    // get() drops the order.
    let is_ordered = !found.load.method.contains("get")
        && !qs.is_some_and(|q| q.is(Trait::Ordered) || q.is(Trait::Unordered))
        && (model.has_unknown_ordering || model.ordering.iter().any(|o| is_relation(o)));
    // Rows of a many-to-many relation are found through the table of its links.
    let is_through = found
        .load
        .source
        .descendants()
        .any(|n| matches!(cx.type_of(n), Type::Manager(manager) if manager.is_many_to_many));
    // A name given to a queryset somewhere else may have any of them.
    let is_named =
        qs.is_some_and(|q| !q.joined.is_empty()) && matches!(Expr::of(found.load.source), Expr::Name(_));
    selected || looked_up || is_ordered || is_through || is_named
}

/// `of=("self",)` names the table of the class alone, and MariaDB and old MySQL have none.
fn may_name_self(cx: &Context<'_>, model: ModelId) -> bool {
    let known = ["sqlite3", "postgresql", "postgis", "spatialite", "oracle", "psycopg2"];
    let engines = &cx.project.settings().database_engines;
    cx.model(cx.model(model).concrete).table_parents.is_empty()
        && engines.iter().all(|e| known.iter().any(|k| e.ends_with(k)))
}

/// Another lock in the same transaction.
fn order<'a>(cx: &Context<'a>, found: &Unlocked<'a>, out: &mut Vec<Hazard>) {
    let own = found.load.statement;
    let is_loop = |n: &Node<'_>| matches!(n.kind(), Kind::For | Kind::While);
    if own.ancestors().take_while(|a| *a != found.block).any(|a| is_loop(&a)) {
        let subject = format!("every {}", found.name);
        out.push(cx.hazard(HazardKind::LockOrder, subject, found.load.call));
        return;
    }
    let locked = locks(found.block).find(|l| !own.contains(l.id()) && locked_model(cx, *l).is_some());
    let other = found
        .block
        .descendants()
        .filter(|n| n.kind() == Kind::ExprStatement && *n != own)
        .filter(|n| n.enclosing_scope() == own.enclosing_scope())
        .find_map(|n| match super::find::find(cx, n) {
            Some(super::find::Match::Unlocked(other)) => Some(other.load.call),
            _ => None,
        });
    if let Some(at) = locked.or(other) {
        out.push(cx.hazard(HazardKind::LockOrder, writes::one_line(at.text()), at));
        return;
    }
    if !opened(cx, cx.file, own).is_empty() {
        return;
    }
    // The transaction of a caller.
    for site in call_sites(cx).iter().filter(|site| !cx.project.is_test_file(site.file)) {
        let place = |node: Node<'_>| Site { file: site.file, span: node.span() };
        let around = site.call.ancestors().take_while(|a| a.kind() != Kind::FunctionDef);
        if around.into_iter().any(|a| is_loop(&a) || a.kind().is_comprehension()) {
            let subject = format!("every {}", found.name);
            out.push(Hazard::at(HazardKind::LockOrder, subject, place(site.call)));
            return;
        }
        let Some(function) = site.call.enclosing_function() else { continue };
        let calls_again = call_sites(cx).iter().any(|s| {
            s.file == site.file && s.call != site.call && s.call.enclosing_function() == Some(function)
        });
        if calls_again || locks(function).next().is_some() {
            let at = locks(function).next().unwrap_or(site.call);
            out.push(Hazard::at(HazardKind::LockOrder, writes::one_line(at.text()), place(at)));
            return;
        }
    }
}

/// What waits for somebody else while the row is locked.
fn held<'a>(cx: &Context<'a>, found: &Unlocked<'a>, out: &mut Vec<Hazard>) {
    // From the save on it is locked in any case.
    let after = found.load.statement.subtree_end();
    let end = found.written.save.id();
    for event in cx.facts.events().filter(|e| e.at >= after && e.at < end) {
        if !matches!(event.kind, EventKind::Outside { .. }) {
            continue;
        }
        let node = cx.node(event.at);
        // on_commit() runs it when the lock is gone.
        let waits = node.ancestors().take_while(|a| *a != found.block).any(|a| {
            a.kind() == Kind::Call
                && matches!(Expr::of(a), Expr::Call { func, .. } if func.text().ends_with("on_commit"))
        });
        if waits || node.text().contains("on_commit") || node.kind() == Kind::Raise {
            continue;
        }
        out.push(cx.hazard(HazardKind::LockHeld, writes::one_line(node.text()), node));
        return;
    }
}
