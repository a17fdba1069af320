//! Rows of a relation that came with their owner: where the owner was loaded with a prefetch, asking for them costs
//! nothing, and a join of them would ask the database.

use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Made, Origin, QuerySet, Root, Trait, ValueId};
use crate::python::{Expr, Kind, Node, arguments, string_value};
use crate::text::Site;

/// Where the rows of a value, or of a queryset that it may be, come with their owner.
pub(super) fn hazards(cx: &Context<'_>, value: ValueId, out: &mut Vec<Hazard>) {
    if let Some(queryset) = cx.value(value).and_then(|v| v.queryset.as_deref()) {
        served_by_prefetch(cx, queryset, out);
    }
    alternatives(cx, value, 0, out);
}

/// The same of each queryset that a value may be: `books = owner.books`, and under a condition `books.filter(...)`.
fn alternatives(cx: &Context<'_>, value: ValueId, depth: usize, out: &mut Vec<Hazard>) {
    let Some(info) = cx.value(value).filter(|_| depth < 8) else { return };
    for alternative in &info.alternatives {
        if let Some(queryset) = cx.value(*alternative).and_then(|v| v.queryset.as_deref()) {
            served_by_prefetch(cx, queryset, out);
        }
        alternatives(cx, *alternative, depth + 1, out);
    }
    // What `all()` and a slice are made of may hold the rows already.
    let keeps = |node: Node<'_>| match Expr::of(node) {
        Expr::Call { func, .. } => matches!(Expr::of(func), Expr::Attribute { attr: "all", .. }),
        _ => node.kind() == Kind::Subscript,
    };
    if let (Origin::Expr(node), Some(parent)) = (info.origin, info.parent)
        && keeps(cx.node(node))
    {
        alternatives(cx, parent, depth + 1, out);
    }
}

/// `owner.books.all()` costs nothing where the owner came with its books prefetched.
fn served_by_prefetch(cx: &Context<'_>, queryset: &QuerySet, out: &mut Vec<Hazard>) {
    let Some(related) = &queryset.related else { return };
    let owner = match related.owner.root {
        Root::Value(v) | Root::Row(v) => cx.value(v),
        Root::Opaque => None,
    };
    if let Some(owner) = owner {
        let is_loaded_alone = matches!(related.owner.root, Root::Value(_))
            && matches!(owner.made, Made::Loaded | Made::Created)
            && related.owner.path.is_empty();
        let prefetches = |qs: &QuerySet| {
            qs.is(Trait::OpaquePrefetch)
                || qs.is(Trait::Mysterious)
                || qs.prefetched.iter().any(|p| p.split("__").any(|part| *part == *related.accessor))
        };
        let is_known_row = matches!(related.owner.root, Root::Row(_))
            && matches!(owner.origin, Origin::Expr(_))
            && owner.queryset.as_deref().is_some_and(|qs| !prefetches(qs));
        let here = cx.scope().text();
        if is_known_row || (is_loaded_alone && !here.contains("prefetch_related")) {
            return;
        }
    }
    if let Some(site) = prefetches_of(cx, &related.accessor) {
        out.push(Hazard::at(HazardKind::ResultCacheUsed, "", site));
    }
}

/// The calls in the project that may prefetch `accessor`: the first one.
fn prefetches_of(cx: &Context<'_>, accessor: &str) -> Option<Site> {
    cx.analyzer.once_for("prefetches", accessor.to_owned(), || find_prefetch(cx, accessor))
}

fn find_prefetch(cx: &Context<'_>, accessor: &str) -> Option<Site> {
    let program = cx.project.program();
    program.file_ids().find_map(|file| {
        let source = program.file(file);
        let text = source.source.text();
        if cx.project.is_known_file(file)
            || !(text.contains("prefetch_related") || text.contains("Prefetch("))
            || !text.contains(accessor)
        {
            return None;
        }
        let names = |node: Node<'_>| {
            node.descendants()
                .filter(|n| n.kind() == Kind::Str)
                .filter_map(string_value)
                .any(|s| s.split("__").any(|part| part == accessor))
        };
        let calls: Vec<Node<'_>> = source
            .root()
            .descendants()
            .filter(|n| match Expr::of(*n) {
                Expr::Call { func, .. } if n.kind() == Kind::Call => {
                    let name = func.text();
                    name.ends_with("prefetch_related")
                        || name.ends_with("prefetch_related_objects")
                        || name.ends_with("Prefetch")
                }
                _ => false,
            })
            .collect();
        let found = calls.iter().find(|call| {
            let Expr::Call { arguments: list, .. } = Expr::of(**call) else { return false };
            let is_open = arguments(list).iter().any(|a| a.stars > 0 || string_value(a.value).is_none());
            names(list) || (is_open && !list.text().contains("Prefetch") && names(source.root()))
        });
        found.map(|call| Site { file, span: call.span() })
    })
}
