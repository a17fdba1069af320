//! The edits: the annotation where the queryset is built, and an attribute of the row where its rows were counted.

use super::super::{class_place, place};
use super::hazards::order;
use super::names::is_attribute;
use super::reader::What;
use super::{Annotation, Counting, Reader};
use crate::codemod::naming::{imported, model_name};
use crate::codemod::{Context, FileEdit, Fix, Hazard, HazardKind, ImportRequest};
use crate::django::{Model, RelationKind};
use crate::infer::QuerySet;
use crate::python::emit::{append_calls, quote_of, string_literal, whole_line};
use crate::python::{Kind, Node, NodeId};
use crate::text::{Edit, Site, Span};

const MODELS: &str = "django.db.models";
const FUNCTIONS: &str = "django.db.models.functions";

/// Annotate the rows, and read the annotations.
pub(super) fn rewrite(cx: &Context<'_>, found: &Counting) -> Result<Fix, Hazard> {
    let group = &found.group;
    let mut imports = Vec::new();
    let mut fix = match &group.class_place {
        Some(place) => {
            let node = cx.node(place.node);
            let calls = calls(cx, found, node, &place.queryset, &mut imports)?;
            let text: String =
                calls.iter().map(|(name, args)| format!(".{name}({})", args.join(", "))).collect();
            class_place::rewrite(cx, group, place, &text)?
        }
        None => {
            let mut edits = Vec::new();
            for target in &group.targets {
                let node = place::expression(cx, *target)?;
                let Some(queryset) = cx.value(*target).and_then(|v| v.queryset.clone()) else { continue };
                let calls = calls(cx, found, node, &queryset, &mut imports)?;
                edits.extend(extend(cx, node, &calls));
            }
            cx.fix(edits)
        }
    };
    for reader in found.readers.iter().filter(|r| r.removed.is_none()) {
        fix.edits.push(read(cx, found, reader)?);
    }
    let mut removed: Vec<NodeId> = found.readers.iter().filter_map(|r| r.removed).collect();
    removed.sort();
    removed.dedup();
    let text = cx.source().text();
    fix.edits.extend(removed.iter().map(|s| cx.edit(whole_line(text, cx.node(*s).span()))));
    imports.sort();
    imports.dedup();
    fix.imports = imports;
    Ok(fix)
}

type Call = (&'static str, Vec<String>);

/// The calls that the queryset gets, and the imports that they rely on.
fn calls(
    cx: &Context<'_>,
    found: &Counting,
    at: Node<'_>,
    queryset: &QuerySet,
    imports: &mut Vec<ImportRequest>,
) -> Result<Vec<Call>, Hazard> {
    let at = cx.node(at.id());
    let mut names = Vec::new();
    for annotation in &found.annotations {
        let text = match annotation.what {
            What::Count if found.is_apart => count_apart(cx, annotation, at, imports)?,
            What::Count => count(cx, annotation, at, imports)?,
            What::Exists => exists(cx, annotation, at, imports)?,
        };
        names.push(format!("{}={text}", annotation.name));
    }
    let mut out = vec![("annotate", names)];
    if let Some(order) = order(cx, found, queryset).filter(|_| found.is_grouped()) {
        let quote = quote_of(cx.project.program().file(cx.file));
        out.push(("order_by", order.iter().map(|o| string_literal(o, quote)).collect()));
    }
    Ok(out)
}

fn named<'a>(
    cx: &Context<'a>,
    at: Node<'a>,
    name: &str,
    imports: &mut Vec<ImportRequest>,
) -> Result<String, Hazard> {
    let (text, request) = imported(cx, at, MODELS, name)?;
    imports.extend(request);
    Ok(text)
}

fn count<'a>(
    cx: &Context<'a>,
    annotation: &Annotation,
    at: Node<'a>,
    imports: &mut Vec<ImportRequest>,
) -> Result<String, Hazard> {
    let count = named(cx, at, "Count", imports)?;
    let quote = quote_of(cx.project.program().file(cx.file));
    let path = string_literal(&annotation.step.lookup, quote);
    let Some(conditions) = conditions(cx, annotation, &format!("{}__", annotation.step.lookup))? else {
        return Ok(format!("{count}({path}, distinct=True)"));
    };
    let q = named(cx, at, "Q", imports)?;
    // A negated condition keeps NULL as `exclude()` does: `NOT (x = 1 AND x IS NOT NULL)`; owners without a row have no key to
    // count (`Query.build_filter`, django/db/models/sql/query.py, 4.2 to 6.0).
    let not = if annotation.condition.is_some_and(|c| c.is_negated) { "~" } else { "" };
    Ok(format!("{count}({path}, filter={not}{q}({conditions}), distinct=True)"))
}

/// The lookups of the filter before the count, each behind `prefix`.
fn conditions(cx: &Context<'_>, annotation: &Annotation, prefix: &str) -> Result<Option<String>, Hazard> {
    let Some(condition) = annotation.condition else { return Ok(None) };
    let lookups = condition.arguments(cx);
    let names = |n: Node<'_>| n.descendants().any(|n| n.kind() == Kind::Name);
    // Names of the condition belong to another module.
    if condition.file != cx.file && lookups.iter().any(|a| names(a.value)) {
        let list = cx.project.program().file(condition.file).node(condition.list);
        let site = Site { file: condition.file, span: list.span() };
        return Err(Hazard::at(
            HazardKind::RowCondition,
            list.text().lines().next().unwrap_or_default(),
            site,
        ));
    }
    let texts = lookups.iter().map(|a| format!("{prefix}{}={}", a.name.unwrap_or_default(), a.value.text()));
    Ok(Some(texts.collect::<Vec<_>>().join(", ")))
}

/// `Exists(Book.objects.filter(author=OuterRef("pk")))`
fn exists<'a>(
    cx: &Context<'a>,
    annotation: &Annotation,
    at: Node<'a>,
    imports: &mut Vec<ImportRequest>,
) -> Result<String, Hazard> {
    let way = way_back(cx, annotation)?;
    let exists = named(cx, at, "Exists", imports)?;
    let rows = rows_of_outer(cx, annotation, &way, at, imports)?;
    Ok(format!("{exists}({rows})"))
}

/// `Coalesce(Subquery(Book.objects.filter(author=OuterRef("pk")).values("author").annotate(total=Count("pk")).values("total")), 0)`:
/// without rows there is no group, and so no number.
fn count_apart<'a>(
    cx: &Context<'a>,
    annotation: &Annotation,
    at: Node<'a>,
    imports: &mut Vec<ImportRequest>,
) -> Result<String, Hazard> {
    let way = way_back(cx, annotation)?;
    let (coalesce, request) = imported(cx, at, FUNCTIONS, "Coalesce")?;
    imports.extend(request);
    let subquery = named(cx, at, "Subquery", imports)?;
    let count = named(cx, at, "Count", imports)?;
    let rows = rows_of_outer(cx, annotation, &way, at, imports)?;
    let quote = quote_of(cx.project.program().file(cx.file));
    let literal = |name: &str| string_literal(name, quote);
    let total = TOTALS
        .iter()
        .find(|name| !is_attribute(cx, annotation.step.to, name))
        .ok_or_else(|| Hazard::at(HazardKind::NoPlaceToEdit, "every name is taken", annotation.site))?;
    let (back, pk, number) = (literal(&way.back), literal("pk"), literal(total));
    let order = if has_plain_order(cx.model(annotation.step.to)) { "" } else { ".order_by()" };
    let numbers = format!("{rows}{order}.values({back}).annotate({total}={count}({pk})).values({number})");
    Ok(format!("{coalesce}({subquery}({numbers}), 0)"))
}

/// Whether the order of a model joins nothing. A query that groups drops it, but not its joins.
fn has_plain_order(model: &Model) -> bool {
    let is_column = |name: &str| {
        name == "pk"
            || model.field(name).is_some_and(|f| f.relation.is_none())
            || model.field_by_attname(name).is_some()
    };
    let is_known = !model.has_unknown_ordering && !model.has_unknown_base;
    is_known && model.ordering.iter().all(|name| is_column(name.trim_start_matches(['-', '+'])))
}

/// What the number in a subquery is called.
const TOTALS: &[&str] = &["total", "number", "row_count"];

/// `Book.objects.filter(author=OuterRef("pk"))`
fn rows_of_outer<'a>(
    cx: &Context<'a>,
    annotation: &Annotation,
    way: &WayBack,
    at: Node<'a>,
    imports: &mut Vec<ImportRequest>,
) -> Result<String, Hazard> {
    let outer = named(cx, at, "OuterRef", imports)?;
    let (model, request) = model_name(cx, at, annotation.step.to)?;
    imports.extend(request);
    let quote = quote_of(cx.project.program().file(cx.file));
    let key = string_literal(way.key.as_deref().unwrap_or("pk"), quote);
    let rest = match conditions(cx, annotation, "")? {
        Some(c) if annotation.condition.is_some_and(|c| c.is_negated) => format!(").exclude({c})"),
        Some(c) => format!(", {c})"),
        None => ")".to_owned(),
    };
    let manager = &cx.model(annotation.step.to).default_manager;
    Ok(format!("{model}.{manager}.filter({}={outer}({key}){rest}", way.back))
}

/// How a lookup of the related rows names the row that they hang on.
struct WayBack {
    back: String,
    /// The column that it compares, where that is not the primary key.
    key: Option<String>,
}

/// The way back over the relation of an annotation.
fn way_back(cx: &Context<'_>, annotation: &Annotation) -> Result<WayBack, Hazard> {
    let step = &annotation.step;
    let from = cx.model(step.from);
    let nowhere = || {
        let text = format!("nothing leads from `{}` back to `{}`", cx.model(step.to).name, from.name);
        Hazard::at(HazardKind::NoPlaceToEdit, text, annotation.site)
    };
    if let Some(field) = from.field(&step.attribute) {
        let relation = field.relation.as_ref().filter(|r| r.kind == RelationKind::ManyToMany);
        let back = relation.and_then(|r| r.query_name.clone()).ok_or_else(nowhere)?;
        return Ok(WayBack { back, key: None });
    }
    let reverse = from.reverse(&step.attribute).ok_or_else(nowhere)?;
    let field = cx.model(reverse.source).field(&reverse.field).ok_or_else(nowhere)?;
    if !matches!(reverse.kind, RelationKind::ForeignKey | RelationKind::ManyToMany) {
        return Err(nowhere());
    }
    let key = field.relation.as_ref().and_then(|r| r.to_field.clone());
    Ok(WayBack { back: reverse.field.clone(), key })
}

/// The calls appended to a chain; `all()` of a manager gives way to them.
fn extend(cx: &Context<'_>, node: Node<'_>, calls: &[Call]) -> Vec<Edit> {
    if let Some((method, list)) = place::all_of_manager(cx, node) {
        let span = Span::new(method.span().start, list.span().end);
        let text: Vec<String> =
            calls.iter().map(|(name, args)| format!("{name}({})", args.join(", "))).collect();
        return vec![Edit::replace(span, text.join("."))];
    }
    append_calls(cx.project.program().file(cx.file), node, calls, cx.options.line_length)
}

/// The count gives way to the attribute of the row.
fn read(cx: &Context<'_>, found: &Counting, reader: &Reader) -> Result<FileEdit, Hazard> {
    let file = cx.project.program().file(reader.file);
    let whole = file.node(reader.whole);
    let row = file.node(reader.row).with_parens();
    let Some(annotation) = found.annotations.get(reader.annotation) else {
        let site = Site { file: reader.file, span: whole.span() };
        return Err(Hazard::at(HazardKind::SharedReader, whole.text(), site));
    };
    let text = format!("{}.{}", file.source.slice(row.span()), annotation.name);
    Ok(FileEdit { file: reader.file, edit: Edit::replace(whole.span(), text) })
}
