//! Add up, count and compare in the database instead of in Python.

mod asked;
mod find;
mod groups;
mod hazards;
mod listed;
mod narrowed;
mod rewrite;
mod term;
mod together;
mod totals;

use find::{Match, What};
use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct Aggregate;

impl Codemod for Aggregate {
    type Match<'a> = Match<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "aggregate",
            group: Group::Expressions,
            summary: "Add up, count and compare in the database instead of in Python.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::OtherDigits,
                HazardKind::NoRows,
                HazardKind::DatabaseText,
                HazardKind::GroupOrder,
                HazardKind::NullableField,
                HazardKind::FieldArithmetic,
                HazardKind::ResultCacheUsed,
                HazardKind::QuerySetEscapes,
                HazardKind::MayBeLoaded,
                HazardKind::CustomQuerySet,
                HazardKind::QuerySetShape,
                HazardKind::NotAColumn,
                HazardKind::CustomInstance,
                HazardKind::NoConstraint,
                HazardKind::RelatedBaseManager,
                HazardKind::HandlerAround,
                HazardKind::ImportShadowed,
                HazardKind::CommentLost,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Call, Kind::For]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
        find::find(cx, node)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
        hazards::hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        let is_joined = found.columns().any(|c| c.path.contains("__"));
        let before = if is_joined { "1 + N queries" } else { "1 query, every row" };
        let (message, after) = match &found.what {
            What::Values(_) => ("Compute this with `aggregate`", "1 query, one row"),
            What::Groups(_) => {
                ("Group the rows with `values_list` and `annotate`", "1 query, one row a group")
            }
        };
        Description {
            site: cx.site(found.node),
            message: message.to_owned(),
            related: Vec::new(),
            queries: Queries { before: before.to_owned(), after: after.to_owned() },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}
