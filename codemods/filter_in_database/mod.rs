//! Filter rows in the database instead of loading all of them.

mod find;
mod hazards;
mod rewrite;

use find::{Answer, Match, Shape};
use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct FilterInDatabase;

impl Codemod for FilterInDatabase {
    type Match<'a> = Match<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "filter-in-database",
            group: Group::Expressions,
            summary: "Filter rows in the database instead of loading all of them.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::ResultCacheUsed,
                HazardKind::QuerySetEscapes,
                HazardKind::MayBeLoaded,
                HazardKind::CustomQuerySet,
                HazardKind::QuerySetShape,
                HazardKind::NullableField,
                HazardKind::ValueMayDiffer,
                HazardKind::OperandType,
                HazardKind::ManyValues,
                HazardKind::DatabaseText,
                HazardKind::TimeZone,
                HazardKind::StaleCopy,
                HazardKind::CustomInstance,
                HazardKind::CustomTruth,
                HazardKind::NoConstraint,
                HazardKind::RelatedBaseManager,
                HazardKind::UnknownType,
                HazardKind::ImportShadowed,
                HazardKind::CommentLost,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::ListComp, Kind::SetComp, Kind::DictComp, Kind::GeneratorExp, Kind::Call, Kind::For]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
        find::find(cx, node)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
        hazards::hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        let mut methods: Vec<&str> = found.translation.calls().iter().map(|(method, _)| *method).collect();
        methods.dedup();
        let after = match found.shape {
            Shape::Exists { .. } | Shape::Search { answer: Answer::Found | Answer::Missing, .. } => {
                methods.push("exists");
                "1 query, loads nothing"
            }
            Shape::First | Shape::Search { .. } => {
                methods.push("first");
                "1 query, 1 row"
            }
            _ => "1 query, the rows that pass",
        };
        let methods: Vec<String> = methods.iter().map(|m| format!("`{m}()`")).collect();
        Description {
            site: cx.site(found.node),
            message: format!("Filter in the database with {}", listed(&methods)),
            related: Vec::new(),
            queries: Queries { before: "1 query, every row".to_owned(), after: after.to_owned() },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}

/// `filter()`, `exclude()` and `exists()`
fn listed(methods: &[String]) -> String {
    match methods {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => methods.join(""),
    }
}
