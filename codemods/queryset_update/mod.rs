//! Give every row of a queryset the same with one `update()`.

mod found;
mod rewrite;

use found::{Keys, keys};
use ormend_engine::codemod::guards::saved_rows::{Choice, SavedRows, Update, choose, saved_rows};
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries, Related,
};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct QuerySetUpdate;

/// What the pattern matcher binds.
pub enum Match<'a> {
    /// Every row is changed and saved.
    Rows(SavedRows<'a>, Update<'a>, Vec<Hazard>),
    /// Every turn updates the rows of one key.
    Keys(Keys<'a>),
}

const HAZARDS: &[HazardKind] = &[
    HazardKind::CustomSave,
    HazardKind::SaveReceiver,
    HazardKind::CustomManagerMethod,
    HazardKind::UniqueColumn,
    HazardKind::CustomInstance,
    HazardKind::FieldHook,
    HazardKind::DeferredColumns,
    HazardKind::OtherDatabase,
    HazardKind::HandlerAround,
    HazardKind::UnsavedInstance,
    HazardKind::NotAColumn,
    HazardKind::ParentColumn,
    HazardKind::CustomQuerySet,
    HazardKind::UnknownType,
    HazardKind::ImportShadowed,
    HazardKind::CommentLost,
    HazardKind::ReadsItsOwnWrites,
    HazardKind::ValueMayDiffer,
];

impl Codemod for QuerySetUpdate {
    type Match<'a> = Match<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "queryset-update",
            group: Group::BulkWrites,
            summary: "Give every row of a queryset the same with one `update()`.",
            docs: include_str!("README.md"),
            hazards: HAZARDS,
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::For]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
        if let Some(keys) = keys(cx, node) {
            return Some(Match::Keys(keys));
        }
        let rows = saved_rows(cx, node)?;
        match choose(cx, &rows)? {
            Choice::Update(update, hazards) => Some(Match::Rows(rows, update, hazards)),
            Choice::BulkUpdate(..) => None,
        }
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
        match found {
            Match::Rows(_, _, hazards) => out.extend(hazards.iter().cloned()),
            Match::Keys(keys) => keys.hazards(cx, out),
        }
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        let message = |model| format!("Update the `{}` rows with one `update()`", cx.model(model).name);
        let queries =
            |before: &str, after: &str| Queries { before: before.to_owned(), after: after.to_owned() };
        match found {
            Match::Rows(rows, ..) => Description {
                site: cx.site(rows.node),
                message: message(rows.model),
                related: rows
                    .saves
                    .iter()
                    .map(|save| Related {
                        site: cx.site(save.call),
                        message: "each row is saved here".to_owned(),
                    })
                    .collect(),
                queries: queries("1 + N queries", "1 query"),
            },
            Match::Keys(keys) => Description {
                site: cx.site(keys.call),
                message: message(keys.found.model),
                related: Vec::new(),
                queries: queries("N updates", "1 update"),
            },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        match found {
            Match::Rows(rows, update, _) => rewrite::rewrite(cx, rows, update),
            Match::Keys(keys) => keys.rewrite(cx),
        }
    }
}
