//! `row in queryset` and `key in queryset.values_list("pk", flat=True)`.

use crate::exists::find::owns_equality;
use crate::exists::rewrite::surround;
use ormend_engine::codemod::guards::life;
use ormend_engine::codemod::guards::making::instances;
use ormend_engine::codemod::guards::projection::{dropping_joins, is_prefetched};
use ormend_engine::codemod::guards::queryset::shape;
use ormend_engine::codemod::guards::queryset::{rows_of, standard};
use ormend_engine::codemod::guards::read_before::is_user_loaded;
use ormend_engine::codemod::guards::untyped::looks_like_rows;
use ormend_engine::codemod::truth::{builtin_argument, in_async_code};
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind};
use ormend_engine::infer::{EventKind, Instance, Made, QuerySet, Root, Rows, Trait, Type};
use ormend_engine::python::emit::Precedence;
use ormend_engine::python::{Expr, Kind, Node, arguments, string_value};
use ormend_engine::text::{Edit, Span};

/// A test for membership.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    whole: Node<'a>,
    /// What is looked for.
    item: Node<'a>,
    /// The queryset that is searched.
    queryset: Node<'a>,
    negated: bool,
    /// For keys: the column, and the queryset or manager before `values_list()`.
    keys: Option<(&'a str, Node<'a>)>,
}

/// The finding at a comparison.
pub fn member<'a>(cx: &Context<'a>, whole: Node<'a>) -> Option<Member<'a>> {
    let Expr::Compare { left, op, right } = Expr::of(whole) else { return None };
    let negated = match op {
        Kind::In => false,
        Kind::NotIn => true,
        _ => return None,
    };
    if in_async_code(whole) {
        return None;
    }
    let queryset = builtin_argument(cx, right.peel(), "list").unwrap_or(right).peel();
    let is_known = matches!(cx.type_of(queryset), Type::QuerySet(_));
    if !is_known && !looks_like_rows(cx, queryset) {
        return None;
    }
    let (whole, negated) = match whole.with_parens().parent() {
        Some(not) if negated && not.kind() == Kind::Not => (not, false),
        _ => (whole, negated),
    };
    let item = left.peel();
    if !is_known {
        return Some(Member { whole, item, queryset, negated, keys: None });
    }
    let keys = match rows_of(cx, queryset)? {
        Rows::Instances => {
            let Type::QuerySet(qs) = cx.type_of(queryset) else { return None };
            let may_be_row = match cx.type_of(item).without_none() {
                Type::Instance(instance) => instance.model == qs.model,
                Type::Unknown => true,
                _ => false,
            };
            if !may_be_row || owns_equality(cx, queryset) {
                return None;
            }
            None
        }
        Rows::Flat(_) => {
            let Expr::Call { func, arguments: list } = Expr::of(queryset) else { return None };
            let Expr::Attribute { value: owner, attr: "values_list", .. } = Expr::of(func) else {
                return None;
            };
            let column = arguments(list).into_iter().find(|a| a.name.is_none())?;
            let content = string_content(column.value)?;
            Some((content, owner))
        }
        _ => return None,
    };
    Some(Member { whole, item, queryset, negated, keys })
}

/// The text of a plain one-part string.
fn string_content(node: Node<'_>) -> Option<&str> {
    let value = string_value(node)?;
    node.peel().text().split(['"', '\'']).find(|part| **part == *value && !part.is_empty())
}

/// What could make the database answer otherwise than Python.
pub fn hazards<'a>(cx: &Context<'a>, found: &Member<'a>, out: &mut Vec<Hazard>) {
    let methods =
        ["__contains__", "__iter__", "__len__", "_fetch_all", "_iterable_class", "filter", "exists"];
    let Some(qs) = standard(cx, found.queryset, &methods, out) else { return };
    dropping_joins(cx, qs, out);
    let refused = [
        Trait::Combined,
        Trait::Sliced,
        Trait::Grouped,
        Trait::Annotated,
        Trait::DistinctOn,
        Trait::Dates,
        Trait::RawSql,
    ];
    shape(cx, qs, found.queryset, &refused, out);
    life::hazards(cx, qs, found.queryset, out);
    if qs.rows == Rows::Instances {
        instances(cx, qs.model, out);
    }
    let agrees = match found.keys {
        None => {
            // One that may be None is none.
            let instance = match cx.type_of(found.item) {
                Type::Instance(instance) if is_path(found.item) => Some(instance),
                _ => None,
            };
            let is_user = instance.is_some_and(|i| !is_loaded(cx, i) && is_user(cx, found.item, i));
            if is_user && !is_user_loaded(cx, found.item) {
                out.push(cx.hazard(HazardKind::LazyUser, found.item.text(), found.item));
            }
            is_user || instance.is_some_and(|i| is_loaded(cx, i))
        }
        Some((column, _)) => key_agrees(cx, found.item, qs, column),
    };
    if !agrees {
        out.push(cx.hazard(HazardKind::ValueMayDiffer, found.item.text(), found.whole));
    }
}

/// Names and attributes only: evaluating it again, later, gives the same.
fn is_path(node: Node<'_>) -> bool {
    match Expr::of(node) {
        Expr::Name(_) => true,
        Expr::Attribute { value, .. } => is_path(value),
        _ => false,
    }
}

/// Whether it is `request.user`, which is a saved row or nobody: `AnonymousUser` equals no row, and its key is None, which no
/// row has.
fn is_user<'a>(cx: &Context<'a>, item: Node<'a>, instance: &Instance) -> bool {
    let Expr::Attribute { value: request, attr: "user", .. } = Expr::of(item) else { return false };
    let is_request = matches!(cx.type_of(request),
        Type::External(path) if &**path == "django.http.HttpRequest");
    let key = cx.model(instance.model).primary_key().map_or("id", |f| f.name.as_str());
    let is_changed = cx.facts.events().any(|event| match &event.kind {
        EventKind::WriteAttribute { root: Root::Opaque, name, .. } => {
            ["user", "pk", "*", key].contains(&&**name)
        }
        EventKind::WriteAttribute { root, name, .. } => *root == instance.root && **name == *key,
        _ => false,
    });
    is_request && !is_changed
}

/// Whether an instance was read from the database in this frame and its key was never set since.
fn is_loaded(cx: &Context<'_>, instance: &Instance) -> bool {
    if !instance.path.is_empty() {
        return false;
    }
    let known = match instance.root {
        Root::Row(id) => cx.value(id).is_some_and(|v| v.queryset.is_some() || !v.alternatives.is_empty()),
        Root::Value(id) => cx.value(id).is_some_and(|v| v.made == Made::Loaded),
        Root::Opaque => false,
    };
    let model = cx.model(instance.model);
    let key = model.primary_key().map_or("id", |f| f.name.as_str());
    let attname = model.primary_key().map_or("id", |f| f.attname.as_str());
    let is_changed = cx.facts.events().any(|event| match &event.kind {
        EventKind::WriteAttribute { root, name, .. } if *root == instance.root || *root == Root::Opaque => {
            ["pk", "*", key, attname].contains(&&**name)
        }
        EventKind::InstanceMethod { root, name, .. } if *root == instance.root => {
            matches!(&**name, "delete" | "adelete")
        }
        _ => false,
    });
    known && !is_changed
}

/// Whether `item` is a key of a loaded row, of the same kind as the column.
fn key_agrees<'a>(cx: &Context<'a>, item: Node<'a>, qs: &QuerySet, column: &str) -> bool {
    let Expr::Attribute { value: owner, attr, .. } = Expr::of(item) else { return false };
    let Type::Instance(instance) = cx.type_of(owner) else { return false };
    if !is_path(item) || !is_loaded(cx, instance) || is_written(cx, instance, attr) {
        return false;
    }
    // The table whose primary key an attribute or column holds.
    let keyed = |model: ormend_engine::django::ModelId, name: &str| {
        let info = cx.model(model);
        let key = info.primary_key()?;
        if name == "pk" || key.name == name && key.relation.is_none() {
            return Some((info.concrete, false));
        }
        let field = info.field_by_attname(name).or_else(|| info.field(name).filter(|_| name != attr))?;
        let relation = field.relation.as_ref()?;
        if relation.to_field.is_some() {
            return None;
        }
        Some((cx.model(relation.target?).concrete, field.null))
    };
    let (Some((of_item, _)), Some((of_column, is_nullable))) =
        (keyed(instance.model, attr), keyed(qs.model, column))
    else {
        return false;
    };
    let kind = |model| cx.model(model).primary_key().map(|f| f.kind);
    !is_nullable && kind(of_item).is_some() && kind(of_item) == kind(of_column)
}

fn is_written(cx: &Context<'_>, instance: &Instance, attr: &str) -> bool {
    let base = attr.strip_suffix("_id").unwrap_or(attr);
    cx.facts.events().any(|event| {
        matches!(&event.kind, EventKind::WriteAttribute { root, name, .. }
            if (*root == instance.root || *root == Root::Opaque) && (**name == *attr || **name == *base))
    })
}

/// Whether the rows are in memory already.
pub fn is_in_memory<'a>(cx: &Context<'a>, found: &Member<'a>) -> bool {
    is_prefetched(cx, found.queryset)
}

/// The place of the finding.
pub fn place<'a>(found: &Member<'a>) -> Node<'a> {
    found.whole
}

/// The edits.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Member<'a>) -> Result<Fix, Hazard> {
    let item = found.item.text();
    let queryset = found.queryset;
    let mut edits = surround(cx, found.whole, queryset, Precedence::Atom, found.negated)?;
    match found.keys {
        Some((column, owner)) => {
            let from = owner.with_parens().span().end;
            let between = cx.source().slice(Span::new(from, queryset.span().end));
            // A dot on a line of its own stays there.
            let lead = between.split('.').next().unwrap_or("");
            edits.push(Edit::replace(
                Span::new(from, queryset.span().end),
                format!("{lead}.filter({column}={item}){lead}.exists()"),
            ));
        }
        None if Precedence::of(queryset) < Precedence::Atom => {
            edits.push(Edit::insert(queryset.span().start, "("));
            edits.push(Edit::insert(queryset.span().end, format!(").filter(pk={item}.pk).exists()")));
        }
        None => edits.push(Edit::insert(queryset.span().end, format!(".filter(pk={item}.pk).exists()"))),
    }
    Ok(cx.fix(edits))
}
