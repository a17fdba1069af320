//! What stands between a shape and a rewrite that reads columns.

use super::place::is_consumed;
use super::{Collects, Column, Shape};
use crate::codemod::guards::making::is_plain;
use crate::codemod::guards::{
    life,
    projection::{dropping_joins, row_changes},
};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{FieldKind, ModelId, Signal};
use crate::infer::{EventKind, Origin, QuerySet, Trait, Type, ValueId};
use crate::python::{Def, Expr, Field, Kind, Member, Node, Stmt, arguments, parameters};

/// Every hazard of reading just these columns of the rows.
pub fn reading<'a>(cx: &Context<'a>, found: &Shape<'a>, columns: &[Column], out: &mut Vec<Hazard>) {
    out.extend(columns.iter().filter_map(|c| c.hazard.clone()));
    let mut states = vec![found.source.queryset.clone()];
    for id in &found.source.queryset.values {
        states.extend(cx.value(*id).and_then(|v| v.queryset.clone()));
    }
    let is_of_values = found.source.keys.is_some();
    for state in &states {
        row_changes(cx, state, out);
        if !is_of_values {
            dropping_joins(cx, state, out);
        }
    }
    // `values()` makes no instances, and the same rows as `values_list()`.
    if !is_of_values {
        instances(cx, &found.source.queryset, out);
        shape(cx, found, columns, out);
    }
    life::hazards(cx, &found.source.queryset, found.source.iter, out);
    life::slice_hazards(cx, &found.source.queryset, found.source.iter, out);
    if found.filling.is_some() {
        handlers(cx, found, out);
    }
    joined(cx, found, columns, out);
}

/// Rows of other tables were read one by one, after what the rows before have done.
fn joined<'a>(cx: &Context<'a>, found: &Shape<'a>, columns: &[Column], out: &mut Vec<Hazard>) {
    if !columns.iter().any(Column::is_joined) {
        return;
    }
    let is_write = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::Write { .. }
                | EventKind::UnknownCall { .. }
                | EventKind::InstanceMethod { .. }
                | EventKind::Suspend
        )
    };
    let mut places = vec![found.node];
    if matches!(found.collects, Collects::Generator | Collects::Map) {
        if !is_consumed(cx, found.node) {
            // Whoever gets the generator runs code between the rows.
            out.push(cx.hazard(
                HazardKind::StaleCopy,
                found.node.text().lines().next().unwrap_or(""),
                found.node,
            ));
            return;
        }
        let around = found.node.with_parens().parent();
        places.extend(around.filter(|p| p.kind() == Kind::For));
        let comprehension = around.filter(|p| p.kind() == Kind::CompFor).and_then(|p| p.parent());
        places.extend(comprehension);
    }
    if let Some(event) = places.iter().find_map(|p| cx.events_in(*p).find(|e| is_write(e.kind))) {
        let text = cx.node(event.at).text().lines().next().unwrap_or("");
        out.push(cx.hazard(HazardKind::StaleCopy, text, cx.node(event.at)));
    }
}

/// Code of the project that runs for each instance.
pub fn instances(cx: &Context<'_>, queryset: &QuerySet, out: &mut Vec<Hazard>) {
    let model = cx.model(queryset.model);
    let program = cx.project.program();
    for method in ["from_db", "__init__", "__new__", "__setattr__"] {
        if let Some(site) = cx.project.override_of(model.id, method) {
            if matches!(method, "from_db" | "__init__") && leaves_columns(cx, model.id, method) {
                continue;
            }
            let owner = program.member(model.class, method).map_or(model.class, |(owner, _)| owner);
            let subject = format!("{}.{method}", program.class(owner).name);
            out.push(Hazard::at(HazardKind::CustomInstance, subject, site));
        }
    }
    for signal in [Signal::PreInit, Signal::PostInit] {
        for receiver in cx.project.receivers(model.id, signal) {
            // The function itself, where it is known.
            let site = match receiver.function.map(|f| program.function(f)) {
                Some(f) => {
                    let span = program.file(f.file).node(f.node).span();
                    crate::text::Site { file: f.file, span }
                }
                None => receiver.site,
            };
            out.push(Hazard::at(HazardKind::CustomInstance, receiver.name.clone(), site));
        }
    }
    // A column that was left out is loaded by this method.
    if queryset.is(Trait::Deferred)
        && let Some(site) = cx.project.override_of(model.id, "refresh_from_db")
    {
        let subject = format!("{}.refresh_from_db", model.name);
        out.push(Hazard::at(HazardKind::CustomInstance, subject, site));
    }
    // An image field fills in its width and height when an instance is made.
    for field in model.fields.iter().filter(|f| f.kind == FieldKind::File) {
        let text = program.file(field.site.file).source.slice(field.site.span);
        if text.contains("width_field") || text.contains("height_field") {
            let subject = format!("{}.{}", model.name, field.name);
            out.push(Hazard::at(HazardKind::CustomInstance, subject, field.site));
        }
    }
}

/// Whether `__init__()` or `from_db()` does no more than keep plain values in attributes that are no columns.
fn leaves_columns(cx: &Context<'_>, model: ModelId, method: &str) -> bool {
    let program = cx.project.program();
    let info = cx.model(model);
    is_plain(cx, model, method)
        && program.class(info.class).mro.iter().all(|owner| {
            let owner = program.class(*owner);
            let Some(Member::Function(function, _)) = owner.members.get(method) else { return true };
            let function = program.function(*function);
            program.file(function.file).node(function.node).descendants().all(|node| {
                let Expr::Attribute { attr, .. } = Expr::of(node) else { return true };
                let is_column = attr == "pk"
                    || info.field(attr).is_some()
                    || info.field_by_attname(attr).is_some()
                    || info.reverse(attr).is_some();
                node.kind() != Kind::Attribute || node.field() != Field::Left || !is_column
            })
        })
}

/// What reading columns changes the meaning of: distinct(), union(), a slice without an order.
pub fn shape<'a>(cx: &Context<'a>, found: &Shape<'a>, columns: &[Column], out: &mut Vec<Hazard>) {
    let queryset = &*found.source.queryset;
    let model = cx.model(queryset.model);
    let mut report = |names: &[&str]| {
        let (subject, site) = link(cx, found, names);
        out.push(cx.hazard(HazardKind::QuerySetShape, subject, site));
    };
    if queryset.is(Trait::Combined) {
        report(&["union", "intersection", "difference"]);
    }
    let key = model.primary_key().map(|f| f.name.as_str());
    let has_key = columns.iter().any(|c| Some(c.identity.as_str()) == key);
    let is_same =
        (is_set(cx, found) && !queryset.is(Trait::Sliced)) || (has_key && !queryset.is(Trait::Annotated));
    if queryset.is(Trait::DistinctOn) || (queryset.is(Trait::Distinct) && !is_same) {
        report(&["distinct"]);
    }
    let by_model = (!model.ordering.is_empty() || model.order_with_respect_to.is_some())
        && !queryset.is(Trait::Unordered)
        && !queryset.is(Trait::Annotated);
    if queryset.is(Trait::Sliced) && !queryset.is(Trait::Ordered) && !by_model {
        report(&["["]);
    }
}

/// Whether it does not matter how often a value comes.
fn is_set(cx: &Context<'_>, found: &Shape<'_>) -> bool {
    if found.collects == Collects::Set {
        return true;
    }
    let outer = found.node.with_parens();
    let call = match outer.parent() {
        Some(p) if p.kind() == Kind::Arguments => p.parent(),
        Some(p) if p.kind() == Kind::Call => Some(p),
        _ => None,
    };
    let Some(Expr::Call { func, arguments: list }) = call.map(Expr::of) else { return false };
    arguments(list).len() == 1
        && matches!(cx.type_of(func), Type::Def(Def::External(path))
            if matches!(path.as_str(), "builtins.set" | "builtins.frozenset"))
}

/// The call of one of `names` (or the slice) in what makes the queryset, for the message.
fn link<'a>(cx: &Context<'a>, found: &Shape<'a>, names: &[&str]) -> (String, Node<'a>) {
    let mut ids: Vec<ValueId> = found.source.queryset.values.to_vec();
    let mut seen = 0;
    while let Some(id) = ids.pop() {
        seen += 1;
        if seen > 60 {
            break;
        }
        let Some(value) = cx.value(id) else { continue };
        ids.extend(value.parent);
        ids.extend(value.alternatives.iter().copied());
        let Origin::Expr(origin) = value.origin else { continue };
        let node = cx.node(origin);
        match Expr::of(node) {
            Expr::Call { func, .. } => {
                if let Expr::Attribute { attr, .. } = Expr::of(func)
                    && names.contains(&attr)
                {
                    return (format!("{attr}()"), node);
                }
            }
            Expr::Subscript { value, .. } if names.contains(&"[") => {
                let start = value.with_parens().span().end as usize;
                let text = node.file_text().get(start..node.span().end as usize).unwrap_or("[:]");
                return (text.trim().to_owned(), node);
            }
            _ => {}
        }
    }
    let iter = found.source.iter;
    let subject = match names.first() {
        // Chosen by somebody who may have asked for anything.
        _ if found.source.queryset.is(Trait::Mysterious) => {
            iter.text().lines().next().unwrap_or_default().to_owned()
        }
        Some(&"[") | None => "a slice".to_owned(),
        Some(name) => format!("{name}()"),
    };
    (subject, iter)
}

/// Handlers that would see a container that is filled by half.
pub fn handlers<'a>(cx: &Context<'a>, found: &Shape<'a>, out: &mut Vec<Hazard>) {
    let Some(name) = found.filling.map(|f| f.name.text()) else { return };
    let mentions = |node: Node<'a>| node.has_name(name);
    let mut below = found.node;
    for around in found.node.ancestors() {
        match Stmt::of(around) {
            Stmt::FunctionDef { .. } => break,
            Stmt::Try { body, handlers, finally, .. } if body.contains(below.id()) => {
                let seeing = handlers.iter().find(|h| {
                    let leaves = h
                        .body
                        .children()
                        .last()
                        .is_some_and(|s| matches!(s.kind(), Kind::Return | Kind::Raise));
                    !leaves || mentions(h.node)
                });
                if let Some(handler) = seeing {
                    out.push(cx.hazard(HazardKind::HandlerAround, "", handler.node));
                } else if let Some(finally) = finally.filter(|f| mentions(*f)) {
                    out.push(cx.hazard(HazardKind::HandlerAround, "", finally));
                }
            }
            Stmt::With { items, .. } => {
                let swallows = items.iter().any(|(context, _)| {
                    context.text().contains("suppress") || matches!(cx.type_of(*context), Type::Object(_))
                });
                if swallows {
                    out.push(cx.hazard(HazardKind::HandlerAround, "", around));
                }
            }
            _ => {}
        }
        below = around;
    }
}

/// The place that gives the builtin `name` another meaning here.
pub fn shadowed<'a>(cx: &Context<'a>, at: Node<'a>, name: &str) -> Option<Node<'a>> {
    for scope in at.ancestors().filter(|a| matches!(a.kind(), Kind::FunctionDef | Kind::Lambda)) {
        if let Some(parameter) = parameters(scope).into_iter().find(|p| p.name == name) {
            return Some(parameter.name_node);
        }
        let bound = scope.descendants().find(|n| {
            n.kind() == Kind::Name
                && n.text() == name
                && (n.field() == Field::Left
                    || n.field() == Field::Alias
                    || n.parent().is_some_and(|p| {
                        matches!(
                            p.kind(),
                            Kind::PatternList
                                | Kind::TuplePattern
                                | Kind::AsPatternTarget
                                | Kind::DottedName
                                | Kind::Global
                                | Kind::Nonlocal
                        ) || (matches!(p.kind(), Kind::NamedExpr | Kind::FunctionDef | Kind::ClassDef)
                            && n.field() == Field::Name)
                    }))
        });
        if bound.is_some() {
            return bound;
        }
    }
    // The body of a class sees its own names, methods among them.
    if let Some(class) = at.enclosing_scope().filter(|s| s.kind() == Kind::ClassDef) {
        let own = class.descendants().find(|n| {
            n.kind() == Kind::Name && n.text() == name && matches!(n.field(), Field::Name | Field::Left)
        });
        if own.is_some() {
            return own;
        }
    }
    cx.project.program().global(cx.file, name)?;
    let root = cx.root();
    Some(root.descendants().find(|n| n.kind() == Kind::Name && n.text() == name).unwrap_or(root))
}
