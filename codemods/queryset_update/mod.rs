//! Give every row of a queryset the same with one `update()`.

mod rewrite;

use ormend_engine::codemod::guards::saved_rows::{Choice, SavedRows, Update, choose, saved_rows};
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries, Related,
};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct QuerySetUpdate;

/// What the pattern matcher binds.
pub struct Match<'a> {
    rows: SavedRows<'a>,
    update: Update<'a>,
    hazards: Vec<Hazard>,
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
        let rows = saved_rows(cx, node)?;
        match choose(cx, &rows)? {
            Choice::Update(update, hazards) => Some(Match { rows, update, hazards }),
            Choice::BulkUpdate(..) => None,
        }
    }

    fn hazards<'a>(&self, _cx: &Context<'a>, found: &Match<'a>, out: &mut Vec<Hazard>) {
        out.extend(found.hazards.iter().cloned());
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Description {
        let related = found
            .rows
            .saves
            .iter()
            .map(|save| Related { site: cx.site(save.call), message: "each row is saved here".to_owned() });
        Description {
            site: cx.site(found.rows.node),
            message: format!("Update the `{}` rows with one `update()`", cx.model(found.rows.model).name),
            related: related.collect(),
            queries: Queries { before: "1 + N queries".to_owned(), after: "1 query".to_owned() },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, &found.rows, &found.update)
    }
}
