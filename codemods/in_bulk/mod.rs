//! Load the rows that a loop looks up one by one before it.

mod find;
mod hazards;
mod keys;
mod lookup;
mod rewrite;

use find::Match;
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries, Related,
};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct InBulk;

impl Codemod for InBulk {
    type Match<'a> = Match<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "in-bulk",
            group: Group::Projection,
            summary: "Load the rows that a loop looks up one by one before it.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::ValueMayDiffer,
                HazardKind::OtherError,
                HazardKind::HandlerAround,
                HazardKind::SharedRow,
                HazardKind::ReadsItsOwnWrites,
                HazardKind::UnknownWrite,
                HazardKind::LoadsMore,
                HazardKind::ChangingSource,
                HazardKind::RowCondition,
                HazardKind::HandedIn,
                HazardKind::KeyChanged,
                HazardKind::CustomQuerySet,
                HazardKind::QuerySetShape,
                HazardKind::NoPlaceToEdit,
                HazardKind::SharesLine,
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
        let message = "the keys come from here".to_owned();
        Description {
            site: cx.site(found.call),
            message: format!("Load the rows of `{}` with `in_bulk`", cx.model(found.model).name),
            related: vec![Related { site: cx.site(found.round.iter), message }],
            queries: Queries { before: "N queries".to_owned(), after: "1 query".to_owned() },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}
