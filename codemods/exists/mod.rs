//! Ask whether rows exist instead of counting or loading them.

mod find;
mod hazards;
mod rewrite;

use find::{Asked, How};
use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct Exists;

/// What the pattern matcher binds.
pub enum Match<'a> {
    /// Rows are counted or loaded, and only their existence is tested.
    Asked(Asked<'a>),
}

impl Codemod for Exists {
    type Match<'a> = Match<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "exists",
            group: Group::Projection,
            summary: "Ask whether rows exist instead of counting or loading them.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::ResultCacheUsed,
                HazardKind::QuerySetEscapes,
                HazardKind::CustomQuerySet,
                HazardKind::QuerySetShape,
                HazardKind::CustomTruth,
                HazardKind::CustomInstance,
                HazardKind::LookupMayRaise,
                HazardKind::ValueMayDiffer,
                HazardKind::HandlerAround,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Call, Kind::Name, Kind::Attribute, Kind::Subscript, Kind::BinOp]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
        find::asked(cx, node).map(Match::Asked)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
        match found {
            Match::Asked(found) => hazards::asked(cx, found, out),
        }
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        let (site, message, before) = match found {
            Match::Asked(found) => {
                let (message, before) = match found.how {
                    How::Count => {
                        ("Ask with `exists()` instead of counting the rows", "1 query, counts every row")
                    }
                    How::Rows => {
                        ("Ask with `exists()` instead of loading the rows", "1 query, loads every row")
                    }
                    How::One { .. } => {
                        ("Ask with `exists()` instead of loading a row", "1 query, loads a row")
                    }
                };
                (cx.site(found.whole), message, before)
            }
        };
        Description {
            site,
            message: message.to_owned(),
            related: Vec::new(),
            queries: Queries { before: before.to_owned(), after: "1 query, loads nothing".to_owned() },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        match found {
            Match::Asked(found) => rewrite::asked(cx, found),
        }
    }
}
