//! Link all rows of a loop with one call.

mod find;
mod hazards;
mod rewrite;

use find::Loop;
use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct M2mAdd;

impl Codemod for M2mAdd {
    type Match<'a> = Loop<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "m2m-add",
            group: Group::BulkWrites,
            summary: "Link the rows that a loop links one by one with one `add()`.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::LinkReceiver,
                HazardKind::LinkOrder,
                HazardKind::UnsavedInstance,
                HazardKind::MayBeLoaded,
                HazardKind::ResultCacheUsed,
                HazardKind::FieldHook,
                HazardKind::CustomManagerMethod,
                HazardKind::SharedValue,
                HazardKind::InstanceUsedAfterwards,
                HazardKind::ReadsItsOwnWrites,
                HazardKind::InterleavedWrites,
                HazardKind::OutsideEffect,
                HazardKind::UnknownCall,
                HazardKind::HandlerAround,
                HazardKind::EarlyExit,
                HazardKind::TransactionInside,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::For, Kind::ListComp]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Loop<'a>> {
        find::loop_at(cx, node)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Loop<'a>, out: &mut Vec<Hazard>) {
        hazards::hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Loop<'a>) -> Description {
        let first = found.links.first();
        let message = match first {
            Some(link) if link.method.ends_with("remove") => {
                format!("Remove the rows from `{}` with one `{}()`", link.written, link.method)
            }
            Some(link) => format!("Add the rows to `{}` with one `{}()`", link.written, link.method),
            None => String::new(),
        };
        Description {
            site: cx.site(first.map_or(found.node, |l| l.call)),
            message,
            related: Vec::new(),
            queries: Queries { before: "N queries".to_owned(), after: "1 query".to_owned() },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Loop<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}
