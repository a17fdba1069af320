//! A relation that was prefetched hands out the same objects again: a second read gives the instances of the first, rows
//! that lead to one row share its instance, and a slice of the rows is a list.
//!
//! Read one by one, each read makes instances of its own, a slice is a queryset, and the row keeps nothing of it.

use super::guards;
use super::seen;
use super::sources::is_derived;
use super::step::{self, Step};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{EventKind, Path, Root, Trait, Type, Use, ValueId};
use crate::python::{Expr, Field, Kind, Node};
use crate::text::Site;

/// The rows that a frame handles: the values whose relations are prefetched.
pub(super) struct Rows<'a> {
    /// Whether a value is one of them.
    pub is_ours: &'a dyn Fn(&ValueId) -> bool,
    /// The paths that are prefetched.
    pub paths: &'a [Vec<Step>],
    /// Whether other frames read the same rows.
    pub are_shared: bool,
    /// Whether a framework goes over them, once.
    pub are_shown: bool,
}

impl Rows<'_> {
    /// The steps to what stands at `path` from `root`, where a prefetch would bring it.
    fn steps(&self, cx: &Context<'_>, root: Root, path: &Path) -> Option<(ValueId, Vec<Step>)> {
        let (value, path) = cx.facts.climbed(root, path)?;
        let first = self.paths.first()?.first()?;
        let steps = step::steps(cx.project, first.from, &path)?;
        let is_prefetched = !steps.is_empty() && self.paths.iter().any(|p| p.starts_with(&steps));
        (is_prefetched && (self.is_ours)(&value)).then_some((value, steps))
    }

    /// The steps to the prefetched row at `path` from `root`, or to the one that leads on from there by foreign keys: it keeps
    /// the objects that it has led to once.
    fn keeper(&self, cx: &Context<'_>, root: Root, path: &Path) -> Option<(ValueId, Vec<Step>)> {
        let (value, path) = cx.facts.climbed(root, path)?;
        let first = self.paths.first()?.first()?;
        let mut steps = step::steps(cx.project, first.from, &path)?;
        while !steps.is_empty() && !self.paths.iter().any(|p| p.starts_with(&steps)) {
            steps.pop().filter(|step| !step.is_many)?;
        }
        (!steps.is_empty() && (self.is_ours)(&value)).then_some((value, steps))
    }

    /// Whether what stands at `path` from `root` would keep prefetched rows.
    fn keeps_rows(&self, cx: &Context<'_>, root: Root, path: &Path) -> bool {
        let Some((value, path)) = cx.facts.climbed(root, path) else { return false };
        let Some(first) = self.paths.iter().find_map(|p| p.first()) else { return false };
        let Some(steps) = step::steps(cx.project, first.from, &path) else { return false };
        let goes_on = |p: &Vec<Step>| p.starts_with(&steps) && p.get(steps.len()).is_some_and(|s| s.is_many);
        (self.is_ours)(&value) && self.paths.iter().any(goes_on)
    }
}

/// Hazards of handing out the same objects again.
pub(super) fn hazards(cx: &Context<'_>, rows: &Rows<'_>, out: &mut Vec<Hazard>) {
    let owners = rows.paths.iter().flatten().filter(|step| step.is_many).map(|step| step.from);
    out.extend(owners.into_iter().find_map(|model| seen::by_own_methods(cx, model, true)));
    for event in cx.facts.events() {
        if let Some((root, path)) = seen::opened(cx, event)
            && rows.keeps_rows(cx, root, path)
            && !seen::leaves_out_private(cx, event)
        {
            out.push(seen::hazard(cx, event));
        }
        match &event.kind {
            EventKind::WriteAttribute { root, path, name } => {
                let Some((value, steps)) = rows.keeper(cx, *root, path) else { continue };
                if is_private(cx, value, &steps) && !rows.are_shared && reads(cx, rows, &steps) < 2 {
                    continue;
                }
                let subject = guards::node_at(cx.project, event.site).map_or(&**name, guards::first_line);
                out.push(Hazard::at(HazardKind::SharedInstance, subject, event.site));
            }
            // `book.chapters.all()[:3].count()`, wherever it stands.
            EventKind::ReadMany { root, path, method, .. } if **method != *"all" => {
                if rows.steps(cx, *root, path).is_none() {
                    continue;
                }
                let Some(call) = guards::node_at(cx.project, event.site) else { continue };
                let Expr::Call { func, .. } = Expr::of(call) else { continue };
                let Expr::Attribute { value, .. } = Expr::of(func) else { continue };
                if is_slice(cx, value, event.site) {
                    sliced(event.site, out);
                }
            }
            EventKind::Use { value, how } => {
                let needs_queryset = matches!(how, Use::Method(_) | Use::Other | Use::Escape(_));
                if needs_queryset && is_slice_of_relation(cx, rows, *value) {
                    sliced(event.site, out);
                }
            }
            _ => {}
        }
    }
}

/// Whether the expression is a slice of rows, in whatever function it stands.
fn is_slice(cx: &Context<'_>, node: Node<'_>, site: Site) -> bool {
    if node.peel().kind() == Kind::Subscript {
        return true;
    }
    let def = node.ancestors().find(|n| n.kind() == Kind::FunctionDef);
    let function = def.and_then(|def| cx.project.program().function_at(site.file, def.id()));
    function.is_some_and(|function| match cx.analyzer.function(function).type_of(node) {
        Type::QuerySet(qs) => qs.is(Trait::Sliced),
        _ => false,
    })
}

fn sliced(site: Site, out: &mut Vec<Hazard>) {
    let hazard = Hazard::at(HazardKind::QuerySetShape, "[:]", site);
    if !out.contains(&hazard) {
        out.push(hazard);
    }
}

/// Whether `value` is a slice of the rows of a relation that is prefetched.
fn is_slice_of_relation(cx: &Context<'_>, rows: &Rows<'_>, value: ValueId) -> bool {
    let queryset = cx.value(value).and_then(|v| v.queryset.as_deref());
    let Some(related) = queryset.filter(|qs| qs.is(Trait::Sliced)).and_then(|qs| qs.related.as_ref()) else {
        return false;
    };
    let mut path = related.owner.path.clone();
    path.push(related.accessor.clone());
    rows.steps(cx, related.owner.root, &path).is_some()
}

/// Whether each row has instances of its own at the end of the steps: those that point to the row and to no other one.
fn is_private(cx: &Context<'_>, value: ValueId, steps: &[Step]) -> bool {
    let comes_once = cx
        .value(value)
        .and_then(|v| v.queryset.as_deref())
        .is_some_and(|qs| !qs.is(Trait::ToMany) && !qs.is(Trait::Mysterious));
    let links = steps.iter().rev().skip(1).any(|s| s.is_linked);
    comes_once && !links && steps.iter().all(|s| s.is_many)
}

/// How often what the steps lead to may be read of one row.
fn reads(cx: &Context<'_>, rows: &Rows<'_>, steps: &[Step]) -> usize {
    let mut sites: Vec<Site> = Vec::new();
    let mut loops: Vec<Site> = Vec::new();
    let mut leaves = false;
    for event in cx.facts.events() {
        match &event.kind {
            EventKind::ReadMany { root, path, method, .. } => {
                let is_it = rows.steps(cx, *root, path).is_some_and(|(_, s)| s == steps);
                let gives_rows = matches!(&**method, "all" | "__getitem__" | "first" | "last" | "get");
                if is_it && gives_rows && !sites.contains(&event.site) {
                    sites.push(event.site);
                    leaves |= rows.are_shown && !runs_once(cx, event.site);
                    leaves |= is_repeated(cx, rows, cx.node(event.at));
                }
            }
            EventKind::Use { value, how }
                if !rows.are_shown && ((rows.is_ours)(value) || comes_from(cx, rows, *value)) =>
            {
                match how {
                    Use::Iterate if !loops.contains(&event.site) => loops.push(event.site),
                    Use::Escape(_) | Use::Other => leaves = true,
                    _ => {}
                }
            }
            EventKind::InstanceEscapes { root: Root::Row(v), path, .. } if path.is_empty() => {
                leaves |= (rows.is_ours)(v);
            }
            _ => {}
        }
    }
    sites.len().max(loops.len()) + usize::from(leaves) * 2
}

fn comes_from(cx: &Context<'_>, rows: &Rows<'_>, value: ValueId) -> bool {
    (0..cx.facts.values.len() as u32).map(ValueId).any(|v| (rows.is_ours)(&v) && is_derived(cx, v, value, 0))
}

/// Whether a framework alone runs what stands at `site`, for one field: it stands in no function, or in the method of a
/// field that nothing else names.
fn runs_once(cx: &Context<'_>, site: Site) -> bool {
    let Some(node) = guards::node_at(cx.project, site) else { return false };
    let Some(def) = node.enclosing_function() else { return true };
    let Some(name) = def.child(Field::Name).map(Node::text) else { return false };
    let text = cx.project.program().file(site.file).source.text();
    name.starts_with("get_")
        && text.matches(name).nth(1).is_none()
        && cx.analyzer.call_sites().of(name).is_empty()
}

/// Whether a loop that is not over rows repeats the read, with rows that were loaded once.
fn is_repeated(cx: &Context<'_>, rows: &Rows<'_>, at: Node<'_>) -> bool {
    let scope = cx.scope().id();
    let built: Vec<_> = (0..cx.facts.values.len() as u32)
        .map(ValueId)
        .filter(|v| (rows.is_ours)(v))
        .filter_map(|v| super::place::origin(cx, v))
        .collect();
    let around = at.ancestors().take_while(|n| n.id() != scope);
    let repeating = around.filter(|n| {
        n.kind() == Kind::While
            || n.kind() == Kind::For && n.child(Field::Body).is_some_and(|b| b.contains(at.id()))
    });
    // The outermost loops over something else: the rows are built before them.
    repeating
        .filter(|n| !built.iter().any(|b| n.contains(*b)))
        .any(|n| n.kind() == Kind::While || !goes_over_rows(cx, rows, n))
}

fn goes_over_rows(cx: &Context<'_>, rows: &Rows<'_>, node: Node<'_>) -> bool {
    let Some(iterated) = node.child(Field::Right) else { return false };
    holds_rows(cx, rows, cx.type_of(cx.node(iterated.id())))
}

/// Whether there are rows of ours, or rows of their relations, in a value of this type.
fn holds_rows(cx: &Context<'_>, rows: &Rows<'_>, ty: &Type) -> bool {
    match ty {
        Type::QuerySet(qs) => qs.related.is_some() || qs.values.iter().any(rows.is_ours),
        Type::Instance(i) => {
            cx.facts.climbed(i.root, &i.path).is_some_and(|(value, _)| (rows.is_ours)(&value))
        }
        Type::List(t) | Type::Iterator(t) | Type::Set(t) => holds_rows(cx, rows, t),
        Type::Tuple(types) | Type::Union(types) => types.iter().any(|t| holds_rows(cx, rows, t)),
        Type::Dict(kv) => holds_rows(cx, rows, &kv.0) || holds_rows(cx, rows, &kv.1),
        _ => false,
    }
}
