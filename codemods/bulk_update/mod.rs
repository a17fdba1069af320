//! Write the rows that a loop changes with one statement a batch.

mod rewrite;

use ormend_engine::codemod::guards::saved_rows::{Choice, SavedRows, Written, choose, saved_rows};
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries, Related,
};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct BulkUpdate;

/// What the pattern matcher binds.
pub struct Match<'a> {
    rows: SavedRows<'a>,
    written: Written<'a>,
    hazards: Vec<Hazard>,
}

const HAZARDS: &[HazardKind] = &[
    HazardKind::CustomSave,
    HazardKind::SaveReceiver,
    HazardKind::CustomManagerMethod,
    HazardKind::ReadsItsOwnWrites,
    HazardKind::InterleavedWrites,
    HazardKind::OutsideEffect,
    HazardKind::UnknownCall,
    HazardKind::HandlerAround,
    HazardKind::EarlyExit,
    HazardKind::FieldHook,
    HazardKind::OtherUnsavedChanges,
    HazardKind::UnsavedInstance,
    HazardKind::HandedIn,
    HazardKind::RepeatedRow,
    HazardKind::UniqueColumn,
    HazardKind::ParentColumn,
    HazardKind::NotAColumn,
    HazardKind::CustomInstance,
    HazardKind::DeferredColumns,
    HazardKind::OtherDatabase,
    HazardKind::TransactionInside,
    HazardKind::StaleValue,
    HazardKind::SharedValue,
    HazardKind::ValueReadAfterwards,
    HazardKind::CustomQuerySet,
    HazardKind::UnknownType,
    HazardKind::ImportShadowed,
    HazardKind::NoPlaceToEdit,
];

impl Codemod for BulkUpdate {
    type Match<'a> = Match<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "bulk-update",
            group: Group::BulkWrites,
            summary: "Write the rows that a loop changes with one statement a batch.",
            docs: include_str!("README.md"),
            hazards: HAZARDS,
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::For]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
        let rows = saved_rows(cx, node)?;
        match choose(cx, &rows)? {
            Choice::BulkUpdate(written, around, hazards) => {
                Some(Match { rows: SavedRows { around, ..rows }, written, hazards })
            }
            Choice::Update(..) => None,
        }
    }

    fn hazards<'a>(&self, _cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
        out.extend(found.hazards.iter().cloned());
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        let at = found.rows.save().map_or(found.rows.node, |s| s.call);
        let size = cx.options.batch_size;
        Description {
            site: cx.site(at),
            message: format!("Save the `{}` rows with one `bulk_update`", cx.model(found.rows.model).name),
            related: vec![Related {
                site: cx.site(found.rows.iter),
                message: "the rows come from here".to_owned(),
            }],
            queries: Queries { before: "N updates".to_owned(), after: format!("N/{size} updates") },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, &found.rows, &found.written)
    }
}
