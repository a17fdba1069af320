//! Filter before `annotate()`. A matter of style: the two calls change places only where Django sends the same SQL.

use ormend_engine::codemod::guards::handlers::external_path;
use ormend_engine::codemod::guards::queryset::{Reading, queryset_of, reading};
use ormend_engine::codemod::guards::taken_out::keeps_comments;
use ormend_engine::codemod::guards::variable::assigned_once;
use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries};
use ormend_engine::django::{ModelId, RelationKind};
use ormend_engine::infer::{QuerySet, QuerySetClass, Rows, Trait, Type};
use ormend_engine::python::{Argument, Expr, Kind, Node, arguments};
use ormend_engine::text::{Edit, Span};

/// The codemod.
pub struct FilterBeforeAnnotate;

/// `receiver.annotate(...).filter(...)`
pub struct Found<'a> {
    /// The call of `filter` or `exclude`.
    node: Node<'a>,
    /// `annotate` or `alias`, and its call.
    annotating: (&'a str, Node<'a>),
    /// `filter` or `exclude`.
    filtering: &'a str,
    /// What `annotate` is called on.
    receiver: Node<'a>,
    /// What the filter compares with.
    values: Vec<Node<'a>>,
    /// What is annotated, or asked for besides, and may be anything.
    unknown: Vec<Node<'a>>,
    /// The conditions that go in front, and those on annotations, which stay; none where all go.
    split: Option<(Vec<Node<'a>>, Vec<Node<'a>>)>,
}

/// Django's own methods, which the classes of the queryset and its manager must leave as they are.
const METHODS: &[&str] = &[
    "annotate",
    "alias",
    "filter",
    "exclude",
    "_annotate",
    "_filter_or_exclude",
    "_filter_or_exclude_inplace",
];

/// Expressions whose meaning does depend on the rows that are left, or that name relations anew.
const REFUSED: &[&str] = &["Window", "RawSQL", "FilteredRelation"];

/// Deeper conditions are left alone.
const MOST_NESTED: usize = 40;

impl Codemod for FilterBeforeAnnotate {
    type Match<'a> = Found<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "filter-before-annotate",
            group: Group::Expressions,
            summary: "Filter before annotate().",
            docs: include_str!("README.md"),
            hazards: &[HazardKind::UnknownType, HazardKind::CommentLost],
        }
    }

    fn is_default(&self) -> bool {
        false
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Call]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Found<'a>> {
        find(cx, node)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Found<'a>, out: &mut Vec<Hazard>) {
        // `F("count")` in a variable would name the annotation before there is one.
        let unknown = found.values.iter().filter(|v| !is_plain_value(cx.type_of(**v)));
        out.extend(unknown.chain(&found.unknown).map(|v| cx.hazard(HazardKind::UnknownType, v.text(), *v)));
        for gap in [gap(found.receiver, found.annotating.1), gap(found.annotating.1, found.node)] {
            out.extend(keeps_comments(cx, gap).err());
        }
        if found.split.is_some() {
            out.extend(keeps_comments(cx, call_span(found.annotating.1, found.node)).err());
        }
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Found<'a>) -> Description {
        Description {
            site: cx.site(found.node),
            message: format!("Put `{}` before `{}`", found.filtering, found.annotating.0),
            related: Vec::new(),
            queries: Queries { before: "1 query".to_owned(), after: "the same query".to_owned() },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Found<'a>) -> Result<Fix, Hazard> {
        let first = call_span(found.receiver, found.annotating.1);
        let second = call_span(found.annotating.1, found.node);
        let text = |span: Span| cx.source().slice(span).to_owned();
        if let Some((moved, kept)) = &found.split {
            let call = |arguments: &[Node<'a>]| {
                let arguments: Vec<String> = arguments.iter().map(|a| text(a.span())).collect();
                format!(".filter({})", arguments.join(", "))
            };
            // Each call on a line of its own, where the others are.
            let gaps =
                [gap(found.receiver, found.annotating.1), gap(found.annotating.1, found.node)].map(text);
            let lead = gaps.iter().find(|gap| gap.contains('\n')).cloned().unwrap_or_default();
            let front = Edit::insert(first.start, format!("{}{lead}", call(moved)));
            return Ok(cx.fix(vec![front, Edit::replace(second, call(kept))]));
        }
        Ok(cx.fix(vec![Edit::replace(first, text(second)), Edit::replace(second, text(first))]))
    }
}

fn find<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Found<'a>> {
    let (annotate, filtering, filters) = method_call(node)?;
    if !matches!(filtering, "filter" | "exclude") || annotate.with_parens() != annotate.peel() {
        return None;
    }
    let (receiver, annotating, annotations) = method_call(annotate)?;
    if !matches!(annotating, "annotate" | "alias") {
        return None;
    }
    let class = match cx.type_of(receiver) {
        Type::QuerySet(queryset) => queryset.class,
        Type::Manager(manager) => manager.class,
        _ => return None,
    };
    let queryset = queryset_of(cx, receiver)?;
    if !is_plain(queryset) || !has_own_methods(cx, queryset, class) {
        return None;
    }
    let mut unknown = Vec::new();
    let annotations = arguments(annotations);
    if !annotations.iter().all(|a| a.stars == 0 && is_expression(cx, a.value, &mut unknown, 0)) {
        return None;
    }
    let mut lookups = Vec::new();
    let mut values = Vec::new();
    let split = match split(cx, queryset.model, &annotations, filtering, filters) {
        Some(Split { moved, kept, open }) => {
            unknown.extend(open);
            values.extend(moved.iter().map(|a| a.value));
            let nodes = |all: Vec<Argument<'a>>| all.into_iter().map(|a| a.node).collect();
            Some((nodes(moved), nodes(kept)))
        }
        None => {
            conditions(cx, filters, &mut lookups, &mut values, 0)?;
            if lookups.is_empty() || !lookups.iter().all(|path| is_forward(cx, queryset.model, path)) {
                return None;
            }
            None
        }
    };
    // What a call does, and when, is not for style to change.
    let runs = |node: &Node<'a>| {
        node.descendants().any(|n| {
            matches!(n.kind(), Kind::Call | Kind::Await | Kind::Yield | Kind::NamedExpr | Kind::Error)
        })
    };
    if values.iter().any(runs) {
        return None;
    }
    // Of lines that begin in different places none can take the other's.
    let gaps = [gap(receiver, annotate), gap(annotate, node)].map(|g| cx.source().slice(g).contains('\n'));
    let calls = [call_span(receiver, annotate), call_span(annotate, node)];
    if gaps[0] != gaps[1] && calls.iter().any(|c| cx.source().slice(*c).contains('\n')) {
        return None;
    }
    Some(Found { node, annotating: (annotating, annotate), filtering, receiver, values, unknown, split })
}

/// A filter of which one part names annotations.
struct Split<'a> {
    moved: Vec<Argument<'a>>,
    kept: Vec<Argument<'a>>,
    /// `*conditions`, which may name anything.
    open: Vec<Node<'a>>,
}

/// `filter(status="live", review_count__gt=2)` behind `annotate(review_count=...)`. An `exclude()` is one condition.
fn split<'a>(
    cx: &Context<'a>,
    model: ModelId,
    annotations: &[Argument<'a>],
    filtering: &str,
    filters: Node<'a>,
) -> Option<Split<'a>> {
    if filtering != "filter" {
        return None;
    }
    let is_annotation = |name: &str| {
        let first = name.split("__").next().unwrap_or(name);
        annotations.iter().any(|a| a.name == Some(first))
    };
    let mut found = Split { moved: Vec::new(), kept: Vec::new(), open: Vec::new() };
    for argument in arguments(filters) {
        match argument.name {
            None if argument.stars == 1 => {
                found.open.push(argument.value);
                found.kept.push(argument);
            }
            Some(name) if argument.stars == 0 && is_annotation(name) => found.kept.push(argument),
            Some(name) if argument.stars == 0 && is_forward(cx, model, name) => found.moved.push(argument),
            _ => return None,
        }
    }
    let is_named = found.kept.iter().any(|a| a.name.is_some());
    (is_named && !found.moved.is_empty()).then_some(found)
}

/// `receiver.method(...)`
fn method_call<'a>(node: Node<'a>) -> Option<(Node<'a>, &'a str, Node<'a>)> {
    let Expr::Call { func, arguments } = Expr::of(node) else { return None };
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return None };
    Some((value, attr, arguments))
}

/// Rows of a model, each once, with nothing that a filter would go behind.
fn is_plain(queryset: &QuerySet) -> bool {
    let refused = [
        Trait::Sliced,
        Trait::Combined,
        Trait::Raw,
        Trait::Distinct,
        Trait::DistinctOn,
        Trait::Grouped,
        Trait::Dates,
        Trait::RawSql,
        Trait::FilteredRelation,
        Trait::Mysterious,
        Trait::Iterator,
    ];
    queryset.rows == Rows::Instances && !refused.iter().any(|t| queryset.is(*t))
}

fn has_own_methods(cx: &Context<'_>, queryset: &QuerySet, class: QuerySetClass) -> bool {
    [class, queryset.class].iter().all(|c| reading(cx, queryset.model, *c, METHODS) == Reading::Standard)
}

/// An expression of Django's that is spelled out, so that it is seen to be no window, but for names that go to `unknown`.
fn is_expression<'a>(cx: &Context<'a>, node: Node<'a>, unknown: &mut Vec<Node<'a>>, depth: usize) -> bool {
    if depth > MOST_NESTED {
        return false;
    }
    let mut is_within = |node| is_expression(cx, node, unknown, depth + 1);
    match Expr::of(node) {
        Expr::Name(name) => {
            let given = node.enclosing_function().and_then(|scope| assigned_once(scope, name));
            if let Some((_, value)) = given {
                return is_within(value);
            }
            if !is_plain_value(cx.type_of(node)) {
                unknown.push(node);
            }
            true
        }
        Expr::Str(_) | Expr::Int(_) | Expr::Float | Expr::True | Expr::False | Expr::None => true,
        Expr::BinOp { left, right, .. } => is_within(left) && is_within(right),
        Expr::UnaryOp { operand, .. } => is_within(operand),
        Expr::Call { func, arguments: list } => {
            let Some(path) = external_path(cx, func) else { return false };
            let name = path.rsplit('.').next().unwrap_or(&path);
            ["django.db.models.", "django.contrib.postgres."].iter().any(|m| path.starts_with(m))
                && !REFUSED.contains(&name)
                && arguments(list).iter().all(|a| a.stars == 0 && is_within(a.value))
        }
        _ => false,
    }
}

/// The paths and values of `filter(...)` and of every `Q(...)` in it; `None` where some are not seen.
fn conditions<'a>(
    cx: &Context<'a>,
    list: Node<'a>,
    lookups: &mut Vec<&'a str>,
    values: &mut Vec<Node<'a>>,
    depth: usize,
) -> Option<()> {
    for argument in arguments(list) {
        match argument.name {
            _ if argument.stars > 0 => return None,
            Some(name) => {
                lookups.push(name);
                values.push(argument.value);
            }
            None => condition(cx, argument.value, lookups, values, depth)?,
        }
    }
    Some(())
}

fn condition<'a>(
    cx: &Context<'a>,
    node: Node<'a>,
    lookups: &mut Vec<&'a str>,
    values: &mut Vec<Node<'a>>,
    depth: usize,
) -> Option<()> {
    if depth > MOST_NESTED {
        return None;
    }
    match Expr::of(node) {
        Expr::BinOp { left, right, .. } => {
            condition(cx, left, lookups, values, depth + 1)?;
            condition(cx, right, lookups, values, depth + 1)
        }
        Expr::UnaryOp { operand, .. } => condition(cx, operand, lookups, values, depth + 1),
        Expr::Call { func, arguments: list } => {
            let path = external_path(cx, func)?;
            let is_condition = path.starts_with("django.db.models") && path.ends_with(".Q");
            if !is_condition {
                return None;
            }
            conditions(cx, list, lookups, values, depth + 1)
        }
        _ => None,
    }
}

/// Whether a lookup begins with columns of the row or of rows that foreign keys lead to: no other row comes with them, and
/// none of them is an annotation.
fn is_forward(cx: &Context<'_>, model: ModelId, path: &str) -> bool {
    let mut model = model;
    let mut parts = path.split("__");
    while let Some(part) = parts.next() {
        let info = cx.model(model);
        if part == "pk" || info.field_by_attname(part).is_some_and(|f| f.name != part) {
            return true;
        }
        let Some(field) = info.field(part) else { return false };
        let Some(relation) = &field.relation else { return true };
        if !matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne) {
            return false;
        }
        // `author`, `author__in`, `author__isnull`
        let mut rest = parts.clone();
        if let (Some("in" | "isnull" | "exact") | None, None) = (rest.next(), rest.next()) {
            return true;
        }
        let Some(target) = relation.target else { return false };
        model = target;
    }
    false
}

/// A value that is no expression of Django's, so that it names no annotation.
fn is_plain_value(ty: &Type) -> bool {
    match ty {
        Type::None
        | Type::Bool
        | Type::Int
        | Type::Float
        | Type::Str
        | Type::Bytes
        | Type::Column(_)
        | Type::Instance(_)
        | Type::QuerySet(_) => true,
        Type::List(element) | Type::Set(element) => **element == Type::Never || is_plain_value(element),
        Type::Tuple(items) | Type::Union(items) => items.iter().all(is_plain_value),
        _ => false,
    }
}

/// `.filter(...)`, from its dot, where `filter` is called on `receiver`.
fn call_span<'a>(receiver: Node<'a>, call: Node<'a>) -> Span {
    let start = gap(receiver, call).end;
    Span::new(start, call.span().end)
}

/// What stands between `receiver` and the dot behind it.
fn gap<'a>(receiver: Node<'a>, call: Node<'a>) -> Span {
    let start = receiver.with_parens().span().end;
    let name = method_name(call).map_or(start, |n| n.span().start);
    let between = call.file_text().get(start as usize..name as usize).unwrap_or("");
    let dot = between.rfind('.').unwrap_or(0) as u32;
    Span::new(start, start + dot)
}

fn method_name(call: Node<'_>) -> Option<Node<'_>> {
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    match Expr::of(func) {
        Expr::Attribute { attr_node, .. } => Some(attr_node),
        _ => None,
    }
}
