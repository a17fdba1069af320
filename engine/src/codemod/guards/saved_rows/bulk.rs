//! What only `bulk_update()` changes.

use super::super::writes::{self, one_line};
use super::repeated::repeated;
use super::{SavedRows, Written};
use crate::codemod::{Context, Hazard, HazardKind, naming};
use crate::django::FieldKind;
use crate::infer::{QuerySetClass, Type};
use crate::python::{Expr, Node, Stmt, arguments};

/// What is in the way of writing through the manager that is named, `Book.objects`.
fn manager<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, out: &mut Vec<Hazard>) {
    let name = naming::manager_name(cx, rows.model);
    let mut overridden = |methods: &[&str]| {
        writes::manager_methods(cx, rows.model, Some(&name), QuerySetClass::Plain, methods, out);
    };
    overridden(&["bulk_update", "update"]);
    // A manager that hides rows does not write those that it hides; the rows that it has given it can write.
    if !comes_from(cx, rows, &name) {
        overridden(&["get_queryset"]);
    }
}

/// Whether the loop asks that very manager for its rows.
fn comes_from<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, name: &str) -> bool {
    let mut node = rows.iter.peel();
    for _ in 0..50 {
        if let Type::Manager(manager) = cx.type_of(node) {
            return manager.name.as_deref() == Some(name) && manager.related.is_none();
        }
        node = match Expr::of(node) {
            Expr::Call { func, arguments: list } => match Expr::of(func) {
                Expr::Attribute { value, .. } => value.peel(),
                _ => match arguments(list).first() {
                    Some(first) => first.value.peel(),
                    None => return false,
                },
            },
            _ => return false,
        };
    }
    false
}

/// What only `bulk_update()` changes.
pub(super) fn of_bulk_update<'a>(
    cx: &Context<'a>,
    rows: &SavedRows<'a>,
    written: &Written<'a>,
    out: &mut Vec<Hazard>,
) {
    manager(cx, rows, out);
    if let Some(place) = repeated(cx, rows.iter, rows.queryset) {
        out.push(cx.hazard(HazardKind::RepeatedRow, one_line(place.text()), place));
    }
    for field in &written.columns {
        // None becomes the JSON null, where save() stores NULL (django/db/models/query.py, bulk_update).
        if field.kind == FieldKind::Json && field.null && !written.is_full {
            out.push(Hazard::at(HazardKind::FieldHook, field.name.clone(), field.site));
        }
    }
    for (event, name) in rows.assignments(cx) {
        let statement = cx.node(event.at).statement();
        let value = match statement.map(Stmt::of) {
            Some(Stmt::Assign { value: Some(value), .. }) => value,
            _ => continue,
        };
        if is_expression(cx, value) {
            out.push(Hazard::at(
                HazardKind::ValueReadAfterwards,
                format!("{}.{name}", rows.row.text()),
                event.site,
            ));
        }
    }
}

/// Whether a value is computed by the database: `F("n") + 1`, `Now()`.
fn is_expression<'a>(cx: &Context<'a>, value: Node<'a>) -> bool {
    value.descendants().any(|n| {
        matches!(cx.type_of(n), Type::External(path) if path.starts_with("django.db.models") && !path.contains("options"))
    })
}
