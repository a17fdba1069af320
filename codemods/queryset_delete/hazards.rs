//! What makes one `delete()` of all rows differ from one a row.

use super::find::{Deletion, What};
use super::rewrite;
use ormend_engine::codemod::guards::batch::{self, Batch};
use ormend_engine::codemod::guards::deletion::{Reach, custom_delete, reach, together};
use ormend_engine::codemod::guards::flow;
use ormend_engine::codemod::guards::found::Found;
use ormend_engine::codemod::guards::life::{self, are_exclusive};
use ormend_engine::codemod::guards::making::instances;
use ormend_engine::codemod::guards::queryset::{Reading, link, reading, shape};
use ormend_engine::codemod::guards::variable::{is_assigned, read_elsewhere};
use ormend_engine::codemod::guards::writes::{self, one_line, shares_table};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::infer::{QuerySet, Trait, Type};
use ormend_engine::python::{Expr, Kind, Node, NodeId};

/// Querysets that `delete()` refuses, or on which it means something else.
const REFUSED: &[Trait] = &[
    Trait::Sliced,
    Trait::Combined,
    Trait::Raw,
    Trait::Distinct,
    Trait::DistinctOn,
    Trait::Dates,
    Trait::Grouped,
    Trait::RawSql,
    Trait::FilteredRelation,
    Trait::Locked,
    Trait::LockedOf,
];

/// Methods of a queryset class that the rewrite calls, or that stand between the database and the rows.
const METHODS: &[&str] =
    &["__iter__", "_fetch_all", "iterator", "_iterable_class", "_chain", "_clone", "_raw_delete"];

/// Everything that is in the way.
pub fn hazards<'a>(cx: &Context<'a>, found: &Deletion<'a>, out: &mut Vec<Hazard>) {
    let reach = reach(cx.project, found.model);
    match &found.what {
        What::Row { chain, queryset, .. } => {
            custom_delete(cx, found.model, found.is_async, out);
            instances(cx, found.model, out);
            writes::unknown_bases(cx, found.model, out);
            source(cx, found, *chain, queryset, out);
            if rewrite::is_whole(found, queryset) {
                shape(cx, queryset, *chain, REFUSED, out);
            } else {
                collected(cx, found, &reach, out);
            }
            row_uses(cx, found, out);
            list_uses(cx, found, out);
        }
        What::Found(row) => {
            let Found { chain, lookup, by_get, .. } = row;
            if *by_get {
                custom_delete(cx, found.model, found.is_async, out);
                out.push(cx.hazard(HazardKind::MissingRow, one_line(lookup.text()), *lookup));
            }
            if let Type::QuerySet(queryset) = cx.type_of(*chain) {
                class(cx, queryset, *chain, out);
                shape(cx, queryset, *chain, REFUSED, out);
                if let Some(joined) = queryset.joined.iter().find(|m| is_written(cx, &reach, **m)) {
                    let subject = cx.model(*joined).name.clone();
                    out.push(cx.hazard(HazardKind::ReadsItsOwnWrites, subject, *chain));
                }
            }
            row.hazards(cx, out);
        }
    }
    if let Some(name) = variable(found)
        && read_elsewhere(cx, found.node, &[name])
        && !rewrite::keeps_loop(cx, found)
        && found.node.kind() == Kind::For
    {
        out.push(cx.hazard(HazardKind::InstanceUsedAfterwards, name, found.target));
    }
    together(cx, &reach, out);
    between(cx, found, &reach, out);
    rewrite::naming(cx, found, out);
}

fn variable<'a>(found: &Deletion<'a>) -> Option<&'a str> {
    match Expr::of(found.target) {
        Expr::Name(name) => Some(name),
        _ => None,
    }
}

fn is_written(cx: &Context<'_>, reach: &Reach, model: ormend_engine::django::ModelId) -> bool {
    reach.tables().iter().any(|t| shares_table(cx.project, *t, model))
}

/// The queryset of the loop: what it is, and who else has its rows.
fn source<'a>(
    cx: &Context<'a>,
    found: &Deletion<'a>,
    chain: Node<'a>,
    queryset: &QuerySet,
    out: &mut Vec<Hazard>,
) {
    class(cx, queryset, chain, out);
    if queryset.is(Trait::Mysterious) {
        out.push(cx.hazard(HazardKind::UnknownType, one_line(chain.text()), chain));
    }
    let routed = cx.project.settings().has_database_routers;
    if routed && (queryset.is(Trait::Using) || queryset.related.is_some()) {
        out.push(cx.hazard(HazardKind::OtherDatabase, one_line(chain.text()), chain));
    }
    let mut elsewhere = Vec::new();
    life::hazards(cx, queryset, found.iter, &mut elsewhere);
    if !rewrite::is_whole(found, queryset) {
        // The loop still loads the rows: only who finds them without their keys afterwards sees a difference.
        let around = found.node.ancestors().any(|a| matches!(a.kind(), Kind::For | Kind::While));
        elsewhere.retain(|h| {
            let is_before =
                h.site.is_some_and(|s| s.file == cx.file && s.span.end <= found.node.span().start);
            around || !(is_before && h.kind == HazardKind::ResultCacheUsed)
        });
    }
    out.extend(elsewhere);
}

fn class<'a>(cx: &Context<'a>, queryset: &QuerySet, chain: Node<'a>, out: &mut Vec<Hazard>) {
    match reading(cx, queryset.model, queryset.class, METHODS) {
        Reading::Standard => {}
        Reading::Custom(what, site) => out.push(Hazard::at(HazardKind::CustomQuerySet, what, site)),
        Reading::Unknown => out.push(cx.hazard(HazardKind::UnknownType, one_line(chain.text()), chain)),
    }
    if let Reading::Custom(what, site) = reading(cx, queryset.model, queryset.class, &["delete", "adelete"]) {
        out.push(Hazard::at(HazardKind::CustomManagerMethod, what, site));
    }
    if let Some(site) = cx.project.manager_patch(None, "delete") {
        out.push(Hazard::at(HazardKind::CustomManagerMethod, "QuerySet.delete", site));
    }
}

/// The rows are collected and deleted by their keys.
fn collected<'a>(cx: &Context<'a>, found: &Deletion<'a>, reach: &Reach, out: &mut Vec<Hazard>) {
    let What::Row { chain, queryset, .. } = &found.what else { return };
    let info = cx.model(found.model);
    if !reach.is_alone {
        out.push(cx.hazard(HazardKind::SingleRow, info.name.clone(), found.call));
    }
    let name = ormend_engine::codemod::naming::manager_name(cx, found.model);
    if !cx.project.is_plain_manager(found.model, &name) {
        let site = info.manager(&name).and_then(|m| m.site).unwrap_or(info.site);
        out.push(Hazard::at(HazardKind::CustomManagerMethod, format!("{}.{name}", info.name), site));
    }
    // The rows of another database have keys of their own.
    if queryset.is(Trait::Using) || queryset.related.is_some() && cx.project.settings().database_aliases > 1 {
        let at = link(cx, queryset, |n| n.text().contains("using")).unwrap_or(*chain);
        out.push(cx.hazard(HazardKind::OtherDatabase, one_line(chain.text()), at));
    }
}

/// What the loop does with the row besides deleting it.
fn row_uses<'a>(cx: &Context<'a>, found: &Deletion<'a>, out: &mut Vec<Hazard>) {
    let Some(name) = variable(found) else { return };
    let key = cx.model(found.model).primary_key();
    for node in found.node.mentions(name) {
        // The variable of a comprehension in the source is another one.
        let is_other = found.iter.peel().kind().is_comprehension() && found.iter.contains(node.id());
        if is_other || node == found.target.peel() || found.call.contains(node.id()) {
            continue;
        }
        let used = cx.hazard(HazardKind::InstanceUsedAfterwards, name, node);
        if node.is_binding() || node.enclosing_scope() != Some(cx.scope()) {
            out.push(used);
            continue;
        }
        // In the other branch the row stays.
        if are_exclusive(found.call, node, Some(found.target)) {
            continue;
        }
        let parent = node.with_parens().parent();
        let attribute = parent.filter(|p| p.kind() == Kind::Attribute);
        let is_after = node.span().start > found.call.span().end;
        match attribute.map(Expr::of) {
            Some(Expr::Attribute { attr, .. }) => {
                let is_key = attr == "pk" || key.is_some_and(|k| attr == k.name || attr == k.attname);
                let is_column = cx.model(found.model).field_by_attname(attr).is_some();
                let is_changed = attribute.is_some_and(is_assigned);
                if is_after && (is_key || !is_column) || is_key && is_changed {
                    out.push(used);
                }
            }
            // Whoever is shown the row before it goes may keep it, and finds it without its key afterwards.
            _ if is_after || is_kept(cx, node) => out.push(used),
            _ => {}
        }
    }
}

/// A variable that holds the rows: those that are deleted lose their keys, those of a list that stays do not.
fn list_uses<'a>(cx: &Context<'a>, found: &Deletion<'a>, out: &mut Vec<Hazard>) {
    let (What::Row { is_listed: true, .. }, Expr::Name(name)) = (&found.what, Expr::of(found.iter)) else {
        return;
    };
    for node in cx.scope().mentions(name) {
        let is_measured = node.parent().is_some_and(|list| {
            list.kind() == Kind::Arguments
                && list.parent().is_some_and(|call| {
                    matches!(Expr::of(call), Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Name("len")))
                })
        });
        let is_other = node.is_binding() || node == found.iter.peel() || is_measured || flow::is_tested(node);
        let is_attribute = node.parent().is_some_and(|p| {
            p.kind() == Kind::Attribute && node.field() == ormend_engine::python::Field::Attribute
        });
        if !is_other && !is_attribute {
            out.push(cx.hazard(HazardKind::InstanceUsedAfterwards, name, node));
        }
    }
}

/// Whether the instance is put somewhere, rather than shown or tested.
fn is_kept<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    let Some(parent) = node.with_parens().parent() else { return true };
    match parent.kind() {
        Kind::Interpolation | Kind::Compare | Kind::Not | Kind::BoolOp | Kind::If | Kind::CompIf => false,
        Kind::Arguments | Kind::KeywordArgument | Kind::Tuple | Kind::BinOp => {
            let call = parent.ancestors().find(|a| a.kind() == Kind::Call);
            let logs = call.is_some_and(|c| {
                cx.events_in(c).any(|e| e.at == c.id() && *e.kind == ormend_engine::infer::EventKind::Log)
            });
            let is_text = call.is_some_and(|c| {
                matches!(Expr::of(c), Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Name("str" | "repr" | "print")))
            });
            !(logs || is_text || parent.kind() == Kind::BinOp)
        }
        _ => true,
    }
}

fn between<'a>(cx: &Context<'a>, found: &Deletion<'a>, reach: &Reach, out: &mut Vec<Hazard>) {
    let tables = reach.tables();
    let writes = [found.call];
    // A queryset is asked once, before the first row goes.
    let judged: Vec<NodeId> = match &found.what {
        What::Row { .. } => vec![found.iter.id()],
        What::Found(row) => vec![row.lookup.id()],
    };
    let batch = Batch {
        node: found.node,
        iter: found.iter,
        tables: &tables,
        writes: &writes,
        judged: &judged,
        is_update: true,
    };
    batch::between(cx, &batch, out);
}
