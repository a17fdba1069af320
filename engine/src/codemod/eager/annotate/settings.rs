//! What the attributes of a class that shows the rows make of their queryset: filters and orders that a request chooses.

use super::super::guards;
use super::Counting;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::lists::{class_around, elements, listed, named};
use crate::django::{ModelId, RelationKind};
use crate::python::{ClassId, Def, Expr, Field, Kind, Member, Node, arguments, canonical, string_value};
use crate::text::{FileId, Site};

/// Attributes of a class that filter or order the rows: what they name must not go over a to-many relation, nor be
/// whatever the queryset has.
pub(super) fn setting(
    cx: &Context<'_>,
    found: &Counting,
    name: &str,
    file: FileId,
    value: Node<'_>,
    model: Option<ModelId>,
    out: &mut Vec<Hazard>,
) {
    let program = cx.project.program();
    let escapes =
        |node: Node<'_>| Hazard::at(HazardKind::QuerySetEscapes, "", Site { file, span: node.span() });
    // With `"__all__"` a request may order by an annotation as well.
    if name == "ordering_fields" && !matches!(Expr::of(value), Expr::List(_) | Expr::Tuple(_)) {
        out.push(escapes(value));
        return;
    }
    if !found.is_grouped() {
        return;
    }
    match name {
        "ordering_fields" if !are_columns(cx, value, model) => out.push(escapes(value)),
        "filterset_class" | "filter_class" => out.push(escapes(value)),
        "filterset_fields" | "filter_fields" => {
            let mut paths = value.descendants().filter(|n| n.kind() == Kind::Str);
            let is_plain = paths.all(|n| string_value(n).is_some_and(|path| is_column(cx, model, &path)));
            if !is_plain || !matches!(Expr::of(value), Expr::List(_) | Expr::Tuple(_) | Expr::Dict(_)) {
                out.push(escapes(value));
            }
        }
        "list_filter" => {
            let class = class_around(program, file, value);
            match elements(program, file, value.id(), class) {
                Some(items) => {
                    for (file, item) in items {
                        list_filter(cx, file, program.file(file).node(item), class, model, out);
                    }
                }
                None => out.push(escapes(value)),
            }
        }
        _ => {}
    }
}

/// The facets of a changelist count its rows once more for every filter, with `aggregate()`. What goes over a to-many
/// relation counts the rows of a join there, and a query that groups has one row for all of them
/// (django/contrib/admin/filters.py, `get_facet_queryset`).
pub(super) fn facets(
    cx: &Context<'_>,
    found: &Counting,
    shown_by: ClassId,
    model: Option<ModelId>,
    out: &mut Vec<Hazard>,
) {
    if !found.is_grouped() {
        return;
    }
    let program = cx.project.program();
    for class in program.descendants(shown_by).into_iter().chain([shown_by]) {
        if has_no_facets(cx, class) {
            continue;
        }
        let mut refuse = |site: Site| {
            let hazard = Hazard::at(HazardKind::QuerySetShape, "aggregate()", site);
            if !out.contains(&hazard) {
                out.push(hazard);
            }
        };
        if let Some((_, Member::Function(function, _))) = program.member(class, "get_list_filter") {
            let info = program.function(*function);
            refuse(program.name_site(info.file, info.node));
            continue;
        }
        for (file, item) in listed(program, class, "list_filter").into_iter().flat_map(|(_, _, items)| items)
        {
            let item = program.file(file).node(item);
            let path = match Expr::of(item) {
                Expr::Tuple(parts) => parts.children().next().and_then(string_value),
                _ => string_value(item),
            };
            if path.is_some_and(|path| !is_column(cx, model, &path)) {
                refuse(Site { file, span: item.span() });
            }
        }
    }
}

/// `show_facets = admin.ShowFacets.NEVER`. By default a request may ask for them.
fn has_no_facets(cx: &Context<'_>, class: ClassId) -> bool {
    let program = cx.project.program();
    let Some((owner, Member::Value(value))) = program.member(class, "show_facets") else { return false };
    matches!(program.resolve_expr(program.class(owner).file, *value), Some(Def::External(path))
        if canonical(&path).ends_with("ShowFacets.NEVER"))
}

/// One filter of a changelist: the name of a field, a class, or both. Django itself asks in a subquery where a filter of its
/// own goes over a to-many relation.
fn list_filter(
    cx: &Context<'_>,
    file: FileId,
    item: Node<'_>,
    around: Option<ClassId>,
    model: Option<ModelId>,
    out: &mut Vec<Hazard>,
) {
    let program = cx.project.program();
    let item = match Expr::of(item) {
        Expr::Str(_) => return,
        Expr::Tuple(parts) => match parts.children().nth(1) {
            Some(class) => class,
            None => return,
        },
        _ => item,
    };
    let class = match named(program, file, item, around) {
        Some(Def::Class(class)) => class,
        Some(Def::External(path)) if path.starts_with("django.") => return,
        _ => {
            let site = Site { file, span: item.span() };
            out.push(Hazard::at(HazardKind::QuerySetEscapes, "", site));
            return;
        }
    };
    let Some((owner, Member::Function(function, _))) = program.member(class, "queryset") else { return };
    if cx.project.is_known_file(program.class(owner).file) {
        return;
    }
    let info = program.function(*function);
    let def = program.file(info.file).node(info.node);
    if let Some(bad) = narrows(cx, def, model) {
        let site = Site { file: info.file, span: bad.span() };
        let subject = format!("{}()", guards::called_name(cx.project, site));
        out.push(Hazard::at(HazardKind::QuerySetShape, subject, site));
    }
}

/// A call in a filter of the admin that a grouped queryset does not go with.
fn narrows<'a>(cx: &Context<'_>, def: Node<'a>, model: Option<ModelId>) -> Option<Node<'a>> {
    let body = def.child(Field::Body)?;
    body.descendants().filter(|n| n.kind() == Kind::Call).find(|call| {
        let Expr::Call { func, arguments: list } = Expr::of(*call) else { return false };
        let Expr::Attribute { attr, .. } = Expr::of(func) else { return false };
        let is_plain = || {
            arguments(list)
                .iter()
                .all(|a| a.stars == 0 && a.name.is_some_and(|path| is_column(cx, model, path)))
        };
        match attr {
            "filter" => !is_plain(),
            "annotate" | "alias" | "values" | "values_list" | "union" | "order_by" | "extra" | "distinct" => {
                true
            }
            _ => false,
        }
    })
}

/// Whether a list, or the only string, names columns of the model or of rows that it points to.
pub(super) fn are_columns(cx: &Context<'_>, value: Node<'_>, model: Option<ModelId>) -> bool {
    let is_path = |n: Node<'_>| string_value(n).is_some_and(|path| is_column(cx, model, &path));
    match Expr::of(value) {
        Expr::List(list) | Expr::Tuple(list) => list.children().all(is_path),
        _ => is_path(value),
    }
}

/// Whether a lookup path of the model's rows goes over no relation to many rows.
pub(super) fn is_column(cx: &Context<'_>, model: Option<ModelId>, path: &str) -> bool {
    model.is_some_and(|model| !goes_to_many(cx, model, path))
}

/// Whether a lookup path goes over a relation to many rows.
pub(super) fn goes_to_many(cx: &Context<'_>, mut model: ModelId, path: &str) -> bool {
    for part in path.trim_start_matches('-').split("__") {
        let info = cx.model(model);
        if info.reverse.iter().any(|r| r.query_name == part && !r.is_single()) {
            return true;
        }
        let relation = info.field(part).and_then(|f| f.relation.as_ref());
        let Some(relation) = relation else { return false };
        match (relation.kind, relation.target) {
            (RelationKind::ForeignKey | RelationKind::OneToOne, Some(next)) => model = next,
            _ => return true,
        }
    }
    false
}
