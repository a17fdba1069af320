//! Which paths Django knows.
//!
//! Everything that may be right is right here: behind a column anything may stand (lookups, transforms, keys of JSON), and
//! what is not known is not wrong.

use ormend_engine::codemod::Context;
use ormend_engine::django::{FieldKind, ModelId, RelationKind};

/// What takes a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// `select_related()`
    Join,
    /// `prefetch_related()`, `Prefetch()`
    Prefetch,
    /// `only()`, `defer()`
    Columns,
    /// `filter()`, `exclude()`, `get()`, `Q()`
    Lookup,
    /// `values()`, `values_list()`
    Values,
    /// `order_by()`
    Order,
}

impl How {
    /// What a method takes.
    pub fn of(method: &str) -> Option<How> {
        Some(match method {
            "select_related" => How::Join,
            "prefetch_related" => How::Prefetch,
            "only" | "defer" => How::Columns,
            "filter" | "exclude" | "get" | "aget" => How::Lookup,
            "values" | "values_list" => How::Values,
            "order_by" => How::Order,
            _ => return None,
        })
    }

    /// Whether every step has to be a relation.
    pub fn wants_relation(self) -> bool {
        matches!(self, How::Join | How::Prefetch)
    }

    /// What Django raises.
    pub fn error(self) -> &'static str {
        match self {
            How::Prefetch => "AttributeError",
            How::Columns => "FieldDoesNotExist",
            _ => "FieldError",
        }
    }

    /// Exceptions whose handlers take it.
    pub fn errors(self) -> &'static [&'static str] {
        match self {
            How::Prefetch => &["AttributeError", "ValueError"],
            How::Columns => &["FieldDoesNotExist", "FieldError"],
            _ => &["FieldError"],
        }
    }
}

/// The first step that names nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// Its position in the path.
    pub index: usize,
    /// The model that it is looked up in.
    pub model: ModelId,
    /// The step.
    pub part: String,
}

/// Lookups of relations (`django.db.models.fields.related_lookups`).
const OF_RELATIONS: &[&str] = &["exact", "in", "gt", "gte", "lt", "lte", "isnull", "iexact"];

/// What is behind a step.
enum Next {
    /// Another model.
    Model(ModelId),
    /// Nothing more can be said.
    Anything,
}

/// The first step of `path`, from `model`, that Django does not know.
pub fn unresolved(cx: &Context<'_>, model: ModelId, path: &str, how: How) -> Option<Unresolved> {
    let mut from = model;
    for (index, part) in path.split("__").enumerate() {
        if part.is_empty() {
            return None;
        }
        match next(cx, from, part, how) {
            Some(Next::Model(to)) => from = to,
            Some(Next::Anything) => return None,
            None => {
                // A lookup, or a transform of the relation before.
                if index > 0 && how == How::Lookup && OF_RELATIONS.contains(&part) {
                    return None;
                }
                return Some(Unresolved { index, model: from, part: part.to_owned() });
            }
        }
    }
    None
}

/// Whether `path` is known from end to end, with nothing left open.
pub fn is_known(cx: &Context<'_>, model: ModelId, path: &str, how: How) -> bool {
    !path.is_empty()
        && path.chars().all(|c| c.is_alphanumeric() || c == '_')
        && unresolved(cx, model, path, how).is_none()
}

/// Whether `before` is a relation of `model`, and `behind` a name there.
pub fn leads_to(cx: &Context<'_>, model: ModelId, before: &str, behind: &str, how: How) -> bool {
    match next(cx, model, before, how) {
        Some(Next::Model(to)) => next(cx, to, behind, how).is_some(),
        _ => false,
    }
}

fn next(cx: &Context<'_>, from: ModelId, part: &str, how: How) -> Option<Next> {
    // What a descendant has may be asked of it through its base; what points at a proxy points at the model behind it, and at
    // those that inherit from that one.
    let info = cx.model(from);
    let above: Vec<ModelId> = [from].iter().chain(&info.bases).map(|m| cx.model(*m).concrete).collect();
    let beside = cx.project.contemporaries(from).iter().filter(|m| above.contains(&m.concrete)).map(|m| m.id);
    let all = [from].into_iter().chain(cx.project.family(from)).chain(beside);
    all.into_iter().find_map(|model| in_model(cx, model, part, how))
}

fn in_model(cx: &Context<'_>, model: ModelId, part: &str, how: How) -> Option<Next> {
    let info = cx.model(model);
    let behind = |target: Option<ModelId>| target.map_or(Next::Anything, Next::Model);
    if part == "pk" && !how.wants_relation() {
        return Some(Next::Anything);
    }
    if let Some(field) = info.field(part) {
        let Some(relation) = &field.relation else {
            let is_plain = field.kind != FieldKind::Other && !field.has_hooks;
            return if how.wants_relation() && is_plain { None } else { Some(Next::Anything) };
        };
        return Some(match relation.kind {
            RelationKind::GenericForeignKey => Next::Anything,
            _ => behind(relation.target),
        });
    }
    if !how.wants_relation() && info.field_by_attname(part).is_some() {
        return Some(Next::Anything);
    }
    let reverse = info.reverse.iter().find(|r| match how {
        How::Prefetch => r.accessor == part,
        // A name that leads to several rows is refused, too, for another reason.
        _ => r.query_name == part || how == How::Join && !r.is_single() && r.accessor == part,
    })?;
    Some(Next::Model(reverse.source))
}

/// Every name that a step from `model` may have.
pub fn names(cx: &Context<'_>, model: ModelId, how: How) -> Vec<String> {
    let info = cx.model(model);
    let mut out: Vec<String> = Vec::new();
    for field in &info.fields {
        let relation = field.relation.as_ref().map(|r| r.kind);
        let fits = match how {
            How::Join => matches!(relation, Some(RelationKind::ForeignKey | RelationKind::OneToOne)),
            How::Prefetch => relation.is_some(),
            _ => relation != Some(RelationKind::GenericForeignKey),
        };
        if fits && !field.name.ends_with("_ptr") {
            out.push(field.name.clone());
        }
    }
    for reverse in &info.reverse {
        match how {
            How::Join if reverse.is_single() => out.push(reverse.query_name.clone()),
            How::Join => {}
            How::Prefetch => out.push(reverse.accessor.clone()),
            _ => out.push(reverse.query_name.clone()),
        }
    }
    out.sort();
    out.dedup();
    out
}
