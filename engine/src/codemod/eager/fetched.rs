//! Rows for which code loads a relation by hand: `prefetch_related_objects(authors, Prefetch("books", ...))` in a helper, in
//! a hook of a view or in its paginator.
//!
//! What came with the rows is left alone there (django/db/models/query.py, `prefetch_related_objects`: `is_fetched`), so
//! that all rows of the relation would be shown where the `Prefetch` gives some, and rows would no longer share what they
//! lead to.

use super::reads::{Group, Load};
use super::step::Step;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{ModelId, Project};
use crate::infer::{Origin, Root, Type, ValueId};
use crate::python::{Argument, Expr, arguments, string_value};
use crate::text::Site;

/// Where Django keeps them (django/db/models/fields/related_descriptors.py).
const CACHE: &str = "_prefetched_objects_cache";
const FUNCTIONS: &[&str] = &["prefetch_related_objects", "aprefetch_related_objects"];

/// Calls in other frames that may load a relation of the group for the rows of the group.
pub(super) fn hazards(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    if group.load == Load::Count {
        return;
    }
    let steps: Vec<&Step> = group.paths().flatten().collect();
    if group.load == Load::Prefetch {
        put_there(cx, &steps, out);
    }
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
        let rows = inner.type_of_any(rows.value);
        if is_made_there(&inner, rows) {
            continue;
        }
        let lookups: Vec<Lookup> = lookups.iter().map(|l| Lookup::of(&inner, l)).collect();
        let known = models(rows);
        let loaded = lookups.iter().find_map(|lookup| lookup.meets(cx.project, known.as_deref(), &steps));
        if let Some(step) = loaded {
            let at = Site { file: site.file, span: call.span() };
            out.push(Hazard::at(HazardKind::FetchedByHand, step.attribute.to_string(), at));
        }
    }
}

/// Places that put rows into the cache of a prefetch: `author._prefetched_objects_cache = {"books": ...}`.
fn put_there(cx: &Context<'_>, steps: &[&Step], out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    for (file, node) in cx.analyzer.prefetches().filled() {
        let node = program.file(*file).node(*node);
        let Some(statement) = node.statement().filter(|_| !cx.project.is_test_file(*file)) else { continue };
        let named: Vec<String> =
            statement.descendants().filter_map(string_value).filter(|s| s != CACHE).collect();
        let function = node.enclosing_function().and_then(|def| program.function_at(*file, def.id()));
        let facts = cx.analyzer.caller(*file, function);
        let inner = Context { facts: &facts, file: *file, ..*cx };
        let known = match Expr::of(node) {
            Expr::Attribute { value, .. } => models(inner.type_of_any(value)),
            _ => None,
        };
        let step = steps.iter().find(|s| {
            (named.is_empty() || named.iter().any(|name| *s.attribute == **name))
                && known.as_ref().is_none_or(|models| models.iter().any(|m| is_kin(cx.project, s.from, *m)))
        });
        if let Some(step) = step {
            let at = Site { file: *file, span: node.span() };
            out.push(Hazard::at(HazardKind::FetchedByHand, step.attribute.to_string(), at));
        }
    }
}

fn is_kin(project: &Project, a: ModelId, b: ModelId) -> bool {
    project.family(a).contains(&b) || project.family(b).contains(&a)
}

/// What is loaded for rows.
struct Lookup {
    /// The first relation; nothing where it is not known.
    first: Option<String>,
    /// Whether other rows than those of the relation may be loaded for it.
    is_narrowed: bool,
    /// Whether they go into an attribute of another name.
    is_aside: bool,
}

impl Lookup {
    fn of(cx: &Context<'_>, argument: &Argument<'_>) -> Lookup {
        let first = |path: &str| path.split("__").next().map(str::to_owned);
        if let Type::Prefetch(object) = cx.type_of_any(argument.value) {
            let is_whole = !object.path.contains("__");
            return Lookup {
                first: first(&object.path),
                is_narrowed: is_whole && object.queryset != Type::Never,
                is_aside: is_whole && object.to_attr.is_some(),
            };
        }
        let path = string_value(argument.value).filter(|_| argument.stars == 0);
        Lookup { first: path.as_deref().and_then(first), is_narrowed: false, is_aside: false }
    }

    /// The step that is taken from rows of these models. Of rows that nothing is known of, only what is narrowed matters:
    /// the same rows are loaded otherwise.
    fn meets<'s>(
        &self,
        project: &Project,
        models: Option<&[ModelId]>,
        steps: &[&'s Step],
    ) -> Option<&'s Step> {
        let is_named = |s: &Step| self.first.as_ref().is_none_or(|name| *s.attribute == **name);
        let is_of = |s: &Step| match models {
            Some(models) => models.iter().any(|m| is_kin(project, s.from, *m)),
            None => self.is_narrowed && self.first.is_some(),
        };
        steps.iter().find(|s| !self.is_aside && is_named(s) && is_of(s)).copied()
    }
}

/// Whether the rows are loaded in the same frame, so that they are no others.
fn is_made_there(cx: &Context<'_>, rows: &Type) -> bool {
    let is_own = |value: ValueId| cx.value(value).is_some_and(|v| matches!(v.origin, Origin::Expr(_)));
    match rows {
        Type::QuerySet(qs) => !qs.values.is_empty() && qs.values.iter().all(|v| is_own(*v)),
        Type::Instance(row) => match row.root {
            Root::Value(v) | Root::Row(v) => is_own(v),
            Root::Opaque => false,
        },
        Type::List(t) | Type::Set(t) | Type::Iterator(t) => is_made_there(cx, t),
        Type::Tuple(types) | Type::Union(types) => {
            let rest: Vec<&Type> = types.iter().filter(|t| !matches!(t, Type::None)).collect();
            !rest.is_empty() && rest.iter().all(|t| is_made_there(cx, t))
        }
        _ => false,
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
