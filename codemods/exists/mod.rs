//! Ask whether rows exist instead of counting or loading them.

mod find;
mod get;
mod hazards;
mod member;
mod returned;
mod rewrite;

use find::{Asked, Held, How};
use ormend_engine::codemod::guards::projection::is_prefetched;
use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct Exists;

/// What the pattern matcher binds.
pub enum Match<'a> {
    /// Rows are counted or loaded, and only their existence is tested.
    Asked(Asked<'a>),
    /// A name holds a number or a row, and only its existence is tested.
    Held(Held<'a>),
    /// A row is fetched, and only its absence is handled.
    Tried(get::Tried<'a>),
    /// Rows are loaded to look for one of them.
    Member(member::Member<'a>),
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
                HazardKind::LazyUser,
                HazardKind::HandlerAround,
                HazardKind::MayBeLoaded,
                HazardKind::StaleRows,
                HazardKind::NoConstraint,
                HazardKind::UnknownType,
                HazardKind::CommentLost,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Call, Kind::Name, Kind::Attribute, Kind::Subscript, Kind::BinOp, Kind::Compare, Kind::Try]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
        match node.kind() {
            Kind::Try => get::tried(cx, node).map(Match::Tried),
            Kind::Compare => member::member(cx, node).map(Match::Member),
            _ => match find::asked(cx, node) {
                Some(found) => Some(Match::Asked(found)),
                None => match find::held(cx, node) {
                    Some(held) => Some(Match::Held(held)),
                    None => returned::returned(cx, node).map(Match::Asked),
                },
            },
        }
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
        match found {
            Match::Asked(found) | Match::Held(Held { asked: found, .. }) => hazards::asked(cx, found, out),
            Match::Tried(found) => get::hazards(cx, found, out),
            Match::Member(found) => member::hazards(cx, found, out),
        }
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        let (site, message, before) = match found {
            Match::Asked(found) | Match::Held(Held { asked: found, .. }) => {
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
            Match::Tried(found) => (
                cx.site(get::place(found)),
                "Ask with `exists()` instead of catching `DoesNotExist`",
                "1 query, loads a row",
            ),
            Match::Member(found) => (
                cx.site(member::place(found)),
                "Ask the database with `exists()` instead of searching loaded rows",
                "1 query, loads every row",
            ),
        };
        Description {
            site,
            message: message.to_owned(),
            related: Vec::new(),
            queries: match found {
                Match::Asked(found) if is_prefetched(cx, found.receiver) => Queries::none(),
                Match::Member(found) if member::is_in_memory(cx, found) => Queries::none(),
                _ => Queries { before: before.to_owned(), after: "1 query, loads nothing".to_owned() },
            },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        match found {
            Match::Asked(found) => rewrite::asked(cx, found),
            Match::Held(found) => rewrite::held(cx, found),
            Match::Tried(found) => get::rewrite(cx, found),
            Match::Member(found) => member::rewrite(cx, found),
        }
    }
}
