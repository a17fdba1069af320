//! Views that name their rows in the class body, for a `get_queryset()` above that narrows them.

use super::Source;
use crate::infer::analyzer::Analyzer;
use crate::infer::facts::{Facts, Origin, Value};
use crate::infer::frame::Frame;
use crate::infer::types::{QuerySet, Root, Rows, Trait, Type, ValueId};
use crate::python::{ClassId, Expr, FunctionId, Kind, Member, Node, is_super, parameters};
use std::sync::Arc;

/// What the class names that Django's own `get_queryset()` goes by, where `function`, the `get_queryset()` that the class
/// has from a class above, only narrows it: whatever is loaded with the rows that the class names is loaded with those that
/// the method gives.
pub(super) fn named_source(frame: &Frame<'_, '_>, class: ClassId, function: FunctionId) -> Option<Source> {
    let program = frame.az.project.program();
    if program.function(function).class == Some(class) {
        return None;
    }
    let source = match program.member(class, "queryset") {
        Some((owner, Member::Value(value)))
            if program.file(program.class(owner).file).node(*value).kind() != Kind::None =>
        {
            Source::Expression(program.class(owner).file, *value)
        }
        Some((_, Member::Function(..))) => return None,
        // REST framework does not go by it.
        _ if program.class(class).external_bases.iter().any(|b| b.starts_with("rest_framework.")) => {
            return None;
        }
        _ => frame
            .az
            .project
            .model_member(class, "model")
            .map(|(_, file, value)| Source::Model(file, value))?,
    };
    narrows(frame.az, class, function, 0).then_some(source)
}

/// The expression at which `class` names the model that `function`, the `get_queryset()` of a class above, builds its
/// rows from: the method has no queryset of its own that could be edited there.
pub(super) fn source_above(
    frame: &Frame<'_, '_>,
    class: ClassId,
    function: FunctionId,
    given: &Type,
) -> Option<Source> {
    let program = frame.az.project.program();
    let info = program.function(function);
    if info.class == Some(class) || info.is_generator || info.is_async || !info.decorators.is_empty() {
        return None;
    }
    let def = program.file(info.file).node(info.node);
    let Type::QuerySet(qs) = given else { return None };
    let keeps_rows = qs.traits.iter().all(|t| t.is_narrowing() || matches!(t, Trait::OpaqueLookup));
    if parameters(def).len() != 1 || qs.rows != Rows::Instances || !keeps_rows {
        return None;
    }
    let (model, file, value) = frame.az.project.model_member(class, "model")?;
    let owner = program.class(class).mro.iter().find(|c| program.class(**c).members.contains_key("model"))?;
    // The class that names the model stands below the one that asks for it.
    let is_below =
        info.class.is_some_and(|above| *owner != above && program.class(*owner).mro.contains(&above));
    if model != qs.model || !is_below {
        return None;
    }
    let own = &frame.az.function(function).returns;
    (!matches!(own, Some(Type::QuerySet(_)))).then_some(Source::Above(file, value))
}

/// Whether `function`, called for an object of `class`, gives the rows that Django's own method gives, or some of them.
fn narrows(az: &Analyzer<'_>, class: ClassId, function: FunctionId, depth: usize) -> bool {
    let facts = az.method_below(function, class);
    let Some(given) = facts.returns.clone().filter(|_| depth < 10) else { return false };
    let Some((values, qs)) = rows_of(&facts, &given) else { return false };
    let above = match above(az, class, function) {
        Some(Member::Function(next, _)) => Some(*next),
        Some(_) => return false,
        None => None,
    };
    values.iter().all(|value| is_given(az, &facts, *value, &qs, 0))
        && above.is_none_or(|next| narrows(az, class, next, depth + 1))
}

/// Whether a queryset is made from what the method above gave, on whichever path, and keeps what is loaded with its rows.
fn is_given(az: &Analyzer<'_>, facts: &Facts, value: ValueId, after: &QuerySet, depth: usize) -> bool {
    let Some(info) = facts.value(value).filter(|_| depth < 20) else { return false };
    if let Origin::Expr(node) = info.origin
        && is_from_above(az.project.program().file(facts.file).node(node))
    {
        return info.queryset.as_deref().is_some_and(|before| keeps(before, after));
    }
    let mut up = info.parent.iter().chain(&info.alternatives).peekable();
    up.peek().is_some() && up.all(|value| is_given(az, facts, *value, after, depth + 1))
}

/// The next `get_queryset()` in the order of `class`, after that of the class that defines `function`.
fn above<'p>(az: &Analyzer<'p>, class: ClassId, function: FunctionId) -> Option<&'p Member> {
    let program = az.project.program();
    let owner = program.function(function).class?;
    let mut rest = program.class(class).mro.iter().skip_while(|c| **c != owner).skip(1);
    rest.find_map(|c| program.class(*c).members.get("get_queryset"))
}

/// Whether an expression is `super().get_queryset()`.
fn is_from_above(node: Node<'_>) -> bool {
    let Expr::Call { func, .. } = Expr::of(node.peel()) else { return false };
    let Expr::Attribute { value, attr: "get_queryset", .. } = Expr::of(func) else { return false };
    is_super(value)
}

/// The queryset whose rows are in the list or page that `function`, called for an object of `class`, gives, and the
/// expression that it begins with.
pub(super) fn listed(
    az: &Analyzer<'_>,
    class: ClassId,
    function: FunctionId,
) -> Option<(Source, Arc<QuerySet>)> {
    let facts = az.method_below(function, class);
    let (values, qs) = rows_of(&facts, facts.returns.as_ref()?)?;
    let [value] = values.as_slice() else { return None };
    Some((begin(&facts, *value)?, qs))
}

/// The expression that the queryset of a value begins with.
pub(super) fn begin(facts: &Facts, value: ValueId) -> Option<Source> {
    let is_queryset = |value: &Value| match value.origin {
        Origin::Expr(node) => facts.types.get(node).is_some_and(|ty| ty.queryset().is_some()),
        _ => false,
    };
    let mut begin = facts.value(value)?;
    // A page is none, nor is a manager.
    while let Some(up) = begin.parent.and_then(|up| facts.value(up)).filter(|up| is_queryset(up)) {
        begin = up;
    }
    let Origin::Expr(node) = begin.origin else { return None };
    Some(Source::Expression(facts.file, node))
}

/// The queryset that a method gives, or whose rows are in the list or page that it gives.
fn rows_of(facts: &Facts, given: &Type) -> Option<(Vec<ValueId>, Arc<QuerySet>)> {
    match given {
        Type::QuerySet(qs) => Some((qs.values.to_vec(), qs.clone())),
        Type::List(row) => match &**row {
            Type::Instance(instance) if instance.path.is_empty() => {
                let Root::Row(value) = instance.root else { return None };
                let qs = facts.value(value)?.queryset.clone()?;
                Some((vec![value], qs))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether whatever is loaded with the rows of `before` is loaded with those of `after` too, which was made from it.
pub(super) fn keeps(before: &QuerySet, after: &QuerySet) -> bool {
    before.model == after.model
        && after.rows == Rows::Instances
        && before.selected.is_subset(&after.selected)
        && before.prefetched.is_subset(&after.prefetched)
        && before.deferred == after.deferred
        && after
            .traits
            .difference(&before.traits)
            .all(|t| t.is_narrowing() || matches!(t, Trait::OpaqueLookup | Trait::Sliced))
}

/// The querysets that one was made from, itself included.
pub(super) fn origins(facts: &Facts, value: ValueId, depth: usize) -> Vec<ValueId> {
    let Some(info) = facts.value(value).filter(|_| depth < 20) else { return Vec::new() };
    let mut out = Vec::new();
    if info.queryset.as_ref().is_none_or(|qs| qs.rows == Rows::Instances) {
        out.push(value);
    }
    for up in info.parent.iter().chain(&info.alternatives) {
        out.extend(origins(facts, *up, depth + 1));
    }
    out
}
