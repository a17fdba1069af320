//! Make writes that depend on each other one transaction.

mod depend;
mod find;
mod identity;
mod items;
mod rewrite;
mod spelled;

use find::Unit;
use ormend_engine::codemod::guards::transaction::hazards;
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries, Related,
};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct Atomic;

impl Codemod for Atomic {
    type Match<'a> = Unit<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "atomic",
            group: Group::Transactions,
            summary: "Make writes that depend on each other one transaction.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::OutsideEffect,
                HazardKind::HandlerAround,
                HazardKind::OtherDatabase,
                HazardKind::RaisesAfterWrite,
                HazardKind::HandlerContinues,
                HazardKind::CommitHook,
                HazardKind::UnknownInTransaction,
                HazardKind::TransactionControl,
                HazardKind::OpenAcrossSuspension,
                HazardKind::ImportShadowed,
                HazardKind::SharesLine,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[
            Kind::ExprStatement,
            Kind::Return,
            Kind::If,
            Kind::For,
            Kind::While,
            Kind::Try,
            Kind::With,
            Kind::Match,
        ]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Unit<'a>> {
        find::unit(cx, node)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Unit<'a>, out: &mut Vec<Hazard>) {
        hazards(cx, &found.around(), &found.statements, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Unit<'a>) -> Description {
        let related = found
            .items
            .iter()
            .map(|item| Related { site: cx.site(item.call), message: "it writes here".to_owned() })
            .collect();
        let site = found.items.first().map_or(cx.site(found.function), |item| cx.site(item.call));
        Description {
            site,
            message: "Make the writes that depend on each other one transaction with `transaction.atomic`"
                .to_owned(),
            related,
            queries: Queries {
                before: format!("{} writes, each on its own", found.items.len()),
                after: "1 transaction".to_owned(),
            },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Unit<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}
