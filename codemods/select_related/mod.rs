//! Fetch single-valued relations that every row reads with a join instead of a query a row.
//!
//! The reads come from the facts of the frame that goes over the rows, those of its callees included; the edit goes
//! where that frame builds the queryset.

mod callers;
mod place;
mod reads;
mod region;
mod remote;
mod rewrite;
mod shape;

use ormend_engine::codemod::guards::eager;
use ormend_engine::codemod::{
    Codemod, Context, Description, Fix, Group as Family, Hazard, HazardKind, Meta, Queries, Related,
};
use ormend_engine::infer::{Type, Use};
use ormend_engine::python::{Field, Kind, Node, NodeId};
use ormend_engine::text::{Site, Span};
use reads::Group;

/// The codemod.
pub struct SelectRelated;

/// What the pattern matcher binds: the reads of the rows of one queryset.
pub struct Match {
    group: Group,
}

impl Codemod for SelectRelated {
    type Match<'a> = Match;

    fn meta(&self) -> Meta {
        Meta {
            name: "select-related",
            group: Family::EagerLoading,
            summary: "Fetch single-valued relations that every row reads with a join instead of a query a row.",
            docs: include_str!("README.md"),
            hazards: &[
                HazardKind::StaleCopy,
                HazardKind::RelatedBaseManager,
                HazardKind::NoConstraint,
                HazardKind::LockedRows,
                HazardKind::BareSelectRelated,
                HazardKind::RawSql,
                HazardKind::DeferredColumns,
                HazardKind::QuerySetShape,
                HazardKind::ResultCacheUsed,
                HazardKind::WatchedInit,
                HazardKind::UnknownCall,
                HazardKind::CustomManagerMethod,
                HazardKind::CustomQuerySet,
                HazardKind::NoPlaceToEdit,
                HazardKind::UnknownType,
                HazardKind::OtherDatabase,
            ],
        }
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Call, Kind::Attribute, Kind::Name, Kind::Subscript, Kind::IfExp, Kind::BoolOp]
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Match> {
        // Most nodes are no queryset.
        let may_be = match cx.type_of(node) {
            Type::QuerySet(_) | Type::Manager(_) => true,
            Type::Union(types) => types.iter().any(|t| matches!(t, Type::QuerySet(_))),
            _ => false,
        };
        if !may_be {
            return None;
        }
        let group = reads::groups(cx).into_iter().find(|g| anchor(cx, g) == Some(node.id()))?;
        Some(Match { group })
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Match, out: &mut Vec<Hazard>) {
        let group = &found.group;
        let steps = group.steps();
        place::hazards(cx, group, out);
        shape::hazards(cx, group, out);
        eager::joined_differs(cx.project, &steps, out);
        eager::watched_inits(cx.project, &steps, out);
        eager::routed(cx.project, &steps, out);
        region::hazards(cx, group, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Match) -> Description {
        let group = &found.group;
        let names: Vec<String> = group.lookups().iter().map(|l| format!("`{l}`")).collect();
        let listed = match names.as_slice() {
            [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => names.concat(),
        };
        let mut related = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        let reads = group.reads.iter().map(|r| (r.site, &r.steps));
        for (site, steps) in reads.chain(group.remote.iter().map(|r| (r.site, &r.steps))) {
            let path = steps.iter().map(|s| s.attribute.as_str()).collect::<Vec<_>>().join(".");
            if !seen.contains(&path) {
                related.push(Related { site, message: format!("`{path}` is read here, once a row") });
                seen.push(path);
            }
        }
        for target in &group.targets {
            if let Ok(node) = place::expression(cx, *target) {
                related
                    .push(Related { site: cx.site(node), message: "the queryset is built here".to_owned() });
            }
        }
        Description {
            site: site(cx, group),
            message: format!("Fetch {listed} with `select_related`"),
            related,
            queries: Queries { before: "1 + N queries".to_owned(), after: "1 query".to_owned() },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Match) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, &found.group)
    }
}

/// The node at which a group is found: the first expression to edit, or the first that is evaluated.
fn anchor(cx: &Context<'_>, group: &Group) -> Option<NodeId> {
    let first = group.targets.first()?;
    if let Ok(node) = place::expression(cx, *first) {
        return Some(node.peel().id());
    }
    let row = group.rows.first()?;
    let values = cx.value(*row).map(|v| v.alternatives.to_vec()).unwrap_or_default();
    let used = std::iter::once(row)
        .chain(&values)
        .flat_map(|v| cx.facts.uses(*v))
        .find(|(_, how)| matches!(how, Use::Iterate | Use::Slice | Use::Method(_)));
    used.map(|(event, _)| cx.node(event.at).peel().id())
}

/// The head of the loop, the clause of the comprehension, or the call that goes over the rows.
fn site(cx: &Context<'_>, group: &Group) -> Site {
    let repeating = group
        .reads
        .iter()
        .find_map(|read| group.rows.iter().find_map(|row| reads::repeating(cx, *row, read.at)));
    let Some(node) = repeating else {
        if let Some(remote) = group.remote.first() {
            return remote.looped;
        }
        return anchor(cx, group).map_or(cx.site(cx.scope()), |n| cx.site(cx.node(n)));
    };
    match node.child(Field::Right).filter(|_| node.kind() == Kind::For) {
        Some(iter) => {
            Site { file: cx.file, span: Span::new(node.span().start, iter.with_parens().span().end) }
        }
        None => cx.site(node),
    }
}
