//! Count rows in the database instead of loading them.

mod find;
mod hazards;
mod rewrite;

use find::Match;
use ormend_engine::codemod::guards::projection::is_prefetched;
use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct Count;

impl Codemod for Count {
    type Match<'a> = Match<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "count",
            group: Group::Projection,
            summary: "Count rows in the database instead of loading them.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::ResultCacheUsed,
                HazardKind::QuerySetEscapes,
                HazardKind::MayBeLoaded,
                HazardKind::StaleRows,
                HazardKind::CustomQuerySet,
                HazardKind::QuerySetShape,
                HazardKind::NotAColumn,
                HazardKind::CustomInstance,
                HazardKind::NoConstraint,
                HazardKind::UnknownType,
                HazardKind::CommentLost,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Call]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
        find::find(cx, node)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
        hazards::hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        let method = if found.is_async { "acount" } else { "count" };
        Description {
            site: cx.site(found.node),
            message: format!("Count in the database with `{method}()` instead of loading the rows"),
            related: Vec::new(),
            queries: if is_prefetched(cx, found.read) {
                Queries::none()
            } else {
                Queries {
                    before: "1 query, loads every row".to_owned(),
                    after: "1 query, 1 number".to_owned(),
                }
            },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}
