//! Columns that one statement for all rows cannot write as `save()` does.

use super::{SavedRows, Update, Written};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{Field, FieldKind, Model, ModelId};
use crate::python::{Expr, Kind, Node, arguments, string_value};
use crate::text::Site;

/// Columns that a bulk statement cannot write as `save()` does.
pub(super) fn columns<'a>(
    cx: &Context<'a>,
    rows: &SavedRows<'a>,
    written: &Written<'a>,
    update: Option<&Update<'a>>,
    out: &mut Vec<Hazard>,
) {
    for field in written.all() {
        let has_no_column = matches!(
            field.kind,
            FieldKind::ManyToMany
                | FieldKind::GenericRelation
                | FieldKind::GenericForeignKey
                | FieldKind::Generated
        );
        if has_no_column {
            out.push(Hazard::at(HazardKind::NotAColumn, field.name.clone(), field.site));
        }
        let is_special = field.has_hooks || field.may_auto_now;
        if field.kind == FieldKind::File || is_special && !written.is_full {
            out.push(Hazard::at(HazardKind::FieldHook, field.name.clone(), field.site));
        }
        if !field.primary_key
            && let Some(site) = unique(cx, rows.model, field, update)
        {
            out.push(Hazard::at(HazardKind::UniqueColumn, field.name.clone(), site));
        }
    }
    // A historical model is read as it is today: a column that nothing in the loop names may have been added since.
    if written.is_full && cx.project.is_historical(rows.model) {
        for field in &written.auto_now {
            out.push(Hazard::at(HazardKind::UnknownType, field.name.clone(), field.site));
        }
    }
    tables(cx, rows, written, update, out);
}

/// Where a column is said to be unique, alone or with others, so that the order of the rows matters. It does not where
/// all rows get one constant: a row that has its value and one that still waits for it collide only if both collide
/// in the end.
fn unique(cx: &Context<'_>, model: ModelId, field: &Field, update: Option<&Update<'_>>) -> Option<Site> {
    let info = cx.model(model);
    let constants: Option<Vec<&str>> = update.map(|u| {
        let constant = u.assigned.iter().filter(|a| a.is_constant);
        constant.map(|a| a.field.name.as_str()).collect()
    });
    let is_constant = |name: &str| constants.as_ref().is_some_and(|c| c.contains(&name));
    let is_in_a_set = field.unique || info.unique.iter().any(|set| set.contains(&field.name));
    if is_in_a_set && !is_constant(&field.name) {
        return Some(field.site);
    }
    // Constraints with conditions or expressions.
    let program = cx.project.program();
    for class in &program.class(info.class).mro {
        let class = program.class(*class);
        let file = program.file(class.file);
        for node in file.node(class.node).descendants().filter(|n| n.kind() == Kind::Call) {
            let Expr::Call { func, arguments: list } = Expr::of(node) else { continue };
            let is_unique = match func.text().rsplit('.').next() {
                Some("UniqueConstraint") => true,
                Some("ExclusionConstraint") => false,
                _ => continue,
            };
            if !names(node).iter().any(|n| n == &field.name) {
                continue;
            }
            // A condition on columns that all rows have alike by then says the same for every row.
            let is_plain = is_unique
                && is_constant(&field.name)
                && arguments(list).iter().all(|argument| match argument.name {
                    Some("fields" | "name" | "include" | "violation_error_message") => true,
                    Some("condition") => names(argument.value).iter().all(|n| is_constant(n)),
                    _ => false,
                });
            if !is_plain {
                return Some(Site { file: class.file, span: node.span() });
            }
        }
    }
    None
}

/// The columns that strings and keywords in `node` may name.
fn names(node: Node<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let mut add = |path: &str| out.push(path.split("__").next().unwrap_or(path).to_owned());
    for n in node.descendants() {
        match n.kind() {
            Kind::Str => string_value(n).iter().for_each(|text| add(text.trim_start_matches('-'))),
            Kind::Arguments => arguments(n).iter().filter_map(|a| a.name).for_each(&mut add),
            _ => {}
        }
    }
    out
}

/// Columns in the tables of parent models. Django asks for the keys and updates each table by itself, and looks for the
/// child's keys in every parent's table (django/db/models/sql/compiler.py, SQLUpdateCompiler.pre_sql_setup).
fn tables<'a>(
    cx: &Context<'a>,
    rows: &SavedRows<'a>,
    written: &Written<'a>,
    update: Option<&Update<'a>>,
    out: &mut Vec<Hazard>,
) {
    let concrete = cx.model(cx.model(rows.model).concrete);
    if concrete.table_parents.is_empty() {
        return;
    }
    // The tables from the child up, each with its own columns only.
    let mut chain: Vec<&Model> = vec![concrete];
    let mut is_a_chain = true;
    while let Some(next) = chain.last().map(|m| m.table_parents.as_slice())
        && !next.is_empty()
        && chain.len() < 20
    {
        let link = chain.last().and_then(|m| m.primary_key());
        let is_link = link.is_some_and(|k| k.relation.as_ref().is_some_and(|r| r.parent_link));
        let [parent] = next else {
            is_a_chain = false;
            break;
        };
        is_a_chain &= is_link;
        chain.push(cx.model(cx.model(*parent).concrete));
    }
    let table = |field: &Field| chain.iter().rposition(|m| m.field(&field.name).is_some());
    let Some(first) = written.all().find(|f| table(f) != Some(0)) else { return };
    let mut written_tables: Vec<_> = written.all().map(table).collect();
    written_tables.sort_unstable();
    written_tables.dedup();
    let is_fine = is_a_chain
        && match update {
            // An expression may only name columns of the table that is written.
            Some(update) => update.assigned.iter().all(|a| {
                (a.is_constant || a.reads.is_empty() && a.operator.is_some())
                    || a.reads.iter().all(|(_, f)| table(f) == table(a.field))
            }),
            // One query for the keys more, which a single row's save() must have cost as well.
            None => written.is_full && written_tables.len() < chain.len(),
        };
    if !is_fine {
        out.push(Hazard::at(HazardKind::ParentColumn, first.name.clone(), first.site));
    }
}
