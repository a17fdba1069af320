//! Rows for which code loads a relation by hand: `prefetch_related_objects(authors, Prefetch("books", ...))` in a helper, in
//! a hook of a view or in its paginator.
//!
//! What came with the rows is left alone there (django/db/models/query.py, `prefetch_related_objects`: `is_fetched`), so
//! that all rows of the relation would be shown where the `Prefetch` gives some, and rows would no longer share what they
//! lead to.

use super::reads::{Group, Load};
use super::step::Step;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::ModelId;
use crate::infer::Type;
use crate::python::{Expr, Kind, Node, arguments, string_value};
use crate::text::Site;

const FUNCTIONS: &[&str] = &["prefetch_related_objects", "aprefetch_related_objects"];

/// Calls in other frames that may load a relation of the group for the rows of the group.
pub(super) fn hazards(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    if group.load == Load::Count {
        return;
    }
    let steps: Vec<&Step> = group.paths().flatten().collect();
    let sites = cx.analyzer.call_sites();
    for site in FUNCTIONS.iter().flat_map(|name| sites.of(name)) {
        let program = cx.project.program();
        let scope = site.function.map(|f| program.function(f).node);
        let is_here = site.file == cx.file
            && scope.unwrap_or_else(|| program.file(cx.file).root().id()) == cx.facts.scope;
        if is_here || cx.project.is_test_file(site.file) {
            continue;
        }
        let call = program.file(site.file).node(site.call);
        let Expr::Call { arguments: list, .. } = Expr::of(call) else { continue };
        let args = arguments(list);
        let Some((rows, lookups)) = args.split_first() else { continue };
        let loaded =
            steps.iter().find(|s| lookups.iter().any(|l| l.stars > 0 || may_name(l.value, &s.attribute)));
        let Some(step) = loaded else { continue };
        let facts = cx.analyzer.caller(site.file, site.function);
        let inner = Context { facts: &facts, file: site.file, ..*cx };
        let models = models(inner.type_of_any(rows.value));
        let is_kin =
            |a: ModelId, b: ModelId| cx.project.family(a).contains(&b) || cx.project.family(b).contains(&a);
        let is_other =
            models.is_some_and(|models| !models.iter().any(|m| steps.iter().any(|s| is_kin(*m, s.from))));
        if !is_other {
            let at = Site { file: site.file, span: call.span() };
            out.push(Hazard::at(HazardKind::FetchedByHand, step.attribute.to_string(), at));
        }
    }
}

/// Whether a lookup may go over `accessor`: a string does not where it does not name it, a `Prefetch` by its first argument.
fn may_name(lookup: Node<'_>, accessor: &str) -> bool {
    match Expr::of(lookup) {
        Expr::Call { arguments: list, .. } if lookup.kind() == Kind::Call => {
            let args = arguments(list);
            let first =
                args.iter().find(|a| a.name == Some("lookup")).or(args.first().filter(|a| a.name.is_none()));
            first.is_none_or(|a| may_name(a.value, accessor))
        }
        _ => string_value(lookup).is_none_or(|path| path.split("__").any(|part| part == accessor)),
    }
}

/// The models of rows in a list or queryset; nothing where that is not known.
fn models(ty: &Type) -> Option<Vec<ModelId>> {
    match ty {
        Type::QuerySet(qs) => Some(vec![qs.model]),
        Type::Instance(row) => Some(vec![row.model]),
        Type::List(t) | Type::Set(t) | Type::Iterator(t) => models(t),
        Type::Tuple(types) | Type::Union(types) => {
            let all: Option<Vec<Vec<ModelId>>> =
                types.iter().filter(|t| !matches!(t, Type::None)).map(models).collect();
            all.map(|m| m.concat()).filter(|m| !m.is_empty())
        }
        _ => None,
    }
}
