//! Move relations to several rows from `select_related()`, which refuses them, to `prefetch_related()`.

mod find;
mod hazards;
mod rewrite;

use find::Found;
use ormend_engine::codemod::{Codemod, Context, Description, Fix, Group, Hazard, HazardKind, Meta, Queries};
use ormend_engine::python::{Kind, Node};

/// The codemod.
pub struct SelectRelatedMany;

impl Codemod for SelectRelatedMany {
    type Match<'a> = Found<'a>;

    fn meta(&self) -> Meta {
        Meta {
            name: "select-related-many",
            group: Group::EagerLoading,
            summary: "Move relations to several rows from select_related(), which refuses them, to prefetch_related().",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::HandlerAround,
                HazardKind::LoadedWithout,
                HazardKind::QuerySetShape,
                HazardKind::GenericTarget,
                HazardKind::CustomManagerMethod,
                HazardKind::CustomQuerySet,
                HazardKind::UnknownBase,
                HazardKind::NoPlaceToEdit,
                HazardKind::CommentLost,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Call, Kind::Assign]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Found<'a>> {
        find::found(cx, node)
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Found<'a>, out: &mut Vec<Hazard>) {
        hazards::hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Found<'a>) -> Description {
        let names: Vec<String> = found.moved.iter().map(|m| format!("`{}`", m.named.lookup)).collect();
        let listed = match names.as_slice() {
            [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => names.concat(),
        };
        Description {
            site: cx.site(found.node),
            message: format!(
                "Fetch {listed} with `prefetch_related`: `select_related` cannot join what leads to several rows"
            ),
            related: Vec::new(),
            queries: Queries { before: "FieldError".to_owned(), after: format!("{} more", queries(found)) },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Found<'a>) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}

/// `1 query`, `3 queries`: one for each relation that is not joined.
fn queries(found: &Found<'_>) -> String {
    let mut levels: Vec<String> = Vec::new();
    for moved in &found.moved {
        let parts: Vec<&str> = moved.named.lookup.split("__").collect();
        let joined = moved.named.before.split("__").filter(|p| !p.is_empty()).count();
        for end in joined + 1..=parts.len() {
            let level = parts.get(..end).unwrap_or_default().join("__");
            if !levels.contains(&level) {
                levels.push(level);
            }
        }
    }
    if levels.len() == 1 { "1 query".to_owned() } else { format!("{} queries", levels.len()) }
}
