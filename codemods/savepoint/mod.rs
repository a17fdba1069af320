//! Put a savepoint around a statement whose database error is caught inside a transaction.

mod find;
mod hazards;

use find::Caught;
use ormend_engine::codemod::atomic_block::{atomic_name, with_block};
use ormend_engine::codemod::guards::transaction::Opened;
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries, Related, Site,
};
use ormend_engine::python::{Kind, Node};
use ormend_engine::text::Span;

/// The codemod.
pub struct Savepoint;

impl Codemod for Savepoint {
    type Match<'a> = Caught<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "savepoint",
            group: Group::Transactions,
            summary: "Put a savepoint around a statement whose database error is caught inside a transaction.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::RaisesAfterWrite,
                HazardKind::UnknownInTransaction,
                HazardKind::OpenAcrossSuspension,
                HazardKind::KeepsRows,
                HazardKind::ImportShadowed,
                HazardKind::SharesLine,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Try]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Caught<'a>> {
        find::caught(cx, node)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Caught<'a>, out: &mut Vec<Hazard>) {
        hazards::hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Caught<'a>) -> Description {
        let place = match found.transaction {
            Opened::Here(transaction) => Some(cx.site(transaction.context)),
            Opened::ByCallers(by) => Some(by.site),
            Opened::ByRequest => None,
        };
        Description {
            site: cx.site(found.writes.first().copied().unwrap_or(found.node)),
            message: "Put a savepoint around what may fail with `transaction.atomic`".to_owned(),
            related: [Related {
                site: cx.site(found.handler),
                message: "the error is caught here".to_owned(),
            }]
            .into_iter()
            .chain(place.map(|site| Related { site, message: "in this transaction".to_owned() }))
            .collect(),
            queries: Queries {
                before: "an error breaks the transaction".to_owned(),
                after: "it rolls back to the savepoint".to_owned(),
            },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Caught<'a>) -> Result<Fix, Hazard> {
        let (Some(first), Some(last)) = (found.statements.first(), found.statements.last()) else {
            return Ok(Fix::default());
        };
        let (name, import) = atomic_name(cx, *first)?;
        let using = found.using.map_or(String::new(), |u| format!("using={}", u.text()));
        let mut fix = cx.fix(with_block(cx, &found.statements, &format!("{name}({using})"))?);
        fix.imports.extend(import);
        let span = Span::new(first.span().start, last.span().end);
        fix.reads.push(Site { file: cx.file, span });
        Ok(fix)
    }
}
