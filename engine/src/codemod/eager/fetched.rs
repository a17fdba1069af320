//! Rows for which code loads a relation by hand: `prefetch_related_objects(authors, Prefetch("books", ...))` in a helper, in
//! a hook of a view or in its paginator.
//!
//! What came with the rows is left alone there (django/db/models/query.py, `prefetch_related_objects`: `is_fetched`), so
//! that all rows of the relation would be shown where the `Prefetch` gives some, and rows would no longer share what they
//! lead to.

use super::reads::{Group, Load};
use super::step::Step;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{Model, ModelId, Project};
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
        let facts = cx.analyzer.caller(site.file, site.function);
        let inner = Context { facts: &facts, file: site.file, ..*cx };
        let lookups: Vec<Lookup> = lookups.iter().map(|l| Lookup::of(l.value, l.stars > 0)).collect();
        let roots = models(inner.type_of_any(rows.value)).or_else(|| roots(cx.project, &lookups));
        let Some(roots) = roots else { continue };
        let loaded = lookups.iter().find_map(|l| roots.iter().find_map(|r| l.meets(cx.project, *r, &steps)));
        if let Some(step) = loaded {
            let at = Site { file: site.file, span: call.span() };
            out.push(Hazard::at(HazardKind::FetchedByHand, step.attribute.to_string(), at));
        }
    }
}

/// The first name of a path that is loaded, or anything.
struct Lookup(Option<String>);

impl Lookup {
    fn of(node: Node<'_>, is_open: bool) -> Lookup {
        let path = match Expr::of(node) {
            _ if is_open => None,
            Expr::Call { arguments: list, .. } if node.kind() == Kind::Call => {
                let args = arguments(list);
                let first = args.iter().find(|a| a.name == Some("lookup"));
                let first = first.or(args.first().filter(|a| a.name.is_none() && a.stars == 0));
                first.and_then(|a| string_value(a.value))
            }
            _ => string_value(node),
        };
        Lookup(path.and_then(|path| path.split("__").next().map(str::to_owned)))
    }

    /// The step that is taken from `root`. What lies behind it is made by the prefetch itself.
    fn meets<'s>(&self, project: &Project, root: ModelId, steps: &[&'s Step]) -> Option<&'s Step> {
        let is_kin =
            |a: ModelId, b: ModelId| project.family(a).contains(&b) || project.family(b).contains(&a);
        let is_named = |s: &Step| self.0.as_ref().is_none_or(|name| *s.attribute == **name);
        steps.iter().find(|s| is_named(s) && is_kin(s.from, root)).copied()
    }
}

/// The models that have the first relation of every lookup, where the lookups say so much.
fn roots(project: &Project, lookups: &[Lookup]) -> Option<Vec<ModelId>> {
    let first: Vec<&String> = lookups.iter().filter_map(|l| l.0.as_ref()).collect();
    let has = |m: &Model, name: &str| {
        m.reverse(name).is_some() || m.field(name).is_some_and(|f| f.relation.is_some())
    };
    let fitting = project.models().iter().filter(|m| first.iter().all(|name| has(m, name)));
    (!first.is_empty()).then(|| fitting.map(|m| m.id).collect())
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
