//! Delete the rows that a loop deletes with one statement.

mod find;
mod hazards;
mod rewrite;

use find::{Deletion, What};
use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct QuerysetDelete;

impl Codemod for QuerysetDelete {
    type Match<'a> = Deletion<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "queryset-delete",
            group: Group::BulkWrites,
            summary: "Delete the rows that a loop deletes with one statement.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::CustomDelete,
                HazardKind::KeptRow,
                HazardKind::DeleteReceiver,
                HazardKind::CustomManagerMethod,
                HazardKind::CustomQuerySet,
                HazardKind::CustomInstance,
                HazardKind::QuerySetShape,
                HazardKind::ProtectedRows,
                HazardKind::OnDeleteHook,
                HazardKind::FieldHook,
                HazardKind::MissingRow,
                HazardKind::SingleRow,
                HazardKind::InstanceUsedAfterwards,
                HazardKind::ResultCacheUsed,
                HazardKind::QuerySetEscapes,
                HazardKind::MayBeLoaded,
                HazardKind::ReadsItsOwnWrites,
                HazardKind::InterleavedWrites,
                HazardKind::OutsideEffect,
                HazardKind::UnknownCall,
                HazardKind::HandlerAround,
                HazardKind::EarlyExit,
                HazardKind::TransactionInside,
                HazardKind::ValueMayDiffer,
                HazardKind::OtherDatabase,
                HazardKind::UnknownType,
                HazardKind::ImportShadowed,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::For, Kind::ListComp]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Deletion<'a>> {
        find::deletion(cx, node)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Deletion<'a>, out: &mut Vec<Hazard>) {
        hazards::hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Deletion<'a>) -> Description {
        let (before, after) = match &found.what {
            What::Row { queryset, .. } if rewrite::is_whole(found, queryset) => {
                ("1 query + N deletes", "1 delete")
            }
            What::Row { .. } => ("1 query + N deletes", "1 query + 1 delete"),
            What::Found(row) if row.by_get => ("N queries + N deletes", "1 delete"),
            What::Found(_) => ("N deletes", "1 delete"),
        };
        Description {
            site: cx.site(found.call),
            message: format!("Delete the `{}` rows with one `delete()`", cx.model(found.model).name),
            related: Vec::new(),
            queries: Queries { before: before.to_owned(), after: after.to_owned() },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Deletion<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}
