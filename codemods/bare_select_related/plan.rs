//! Which names are written: those that the readers use, where all readers are seen; else all that Django joins, where these
//! are few, so that nothing changes.

use ormend_engine::codemod::eager::{Load, Readers, Step, custom, joined_differs, readers, step};
use ormend_engine::codemod::{Context, Hazard, HazardKind, Outcome};
use ormend_engine::django::{FieldKind, ModelId, Project, RelationKind};
use ormend_engine::infer::{QuerySet, Trait, Type};
use ormend_engine::python::{Expr, Node, arguments};

/// Django joins no further by itself (`Query.max_depth`).
const MAX_DEPTH: usize = 5;

/// Names that are written out where the readers are not all known.
const MOST_NAMES: usize = 4;

/// Paths that are worked out.
const MOST_PATHS: usize = 60;

/// What to write, and what stands in the way.
pub struct Plan {
    /// The names; none where the call goes.
    pub names: Vec<String>,
    /// Joins before.
    pub joined: usize,
    /// Joins after.
    pub kept: usize,
    /// The hazards.
    pub hazards: Vec<Hazard>,
}

/// A path of foreign keys.
type Path = Vec<Step>;

/// What to write for the call `node`.
pub fn plan<'a>(
    cx: &Context<'a>,
    node: Node<'a>,
    receiver: Node<'a>,
    queryset: &QuerySet,
    after: &[Node<'a>],
) -> Option<Plan> {
    let mut hazards = Vec::new();
    custom(cx, queryset, Load::Join, &mut hazards);
    hazards.retain(|h| h.kind != HazardKind::CustomQuerySet);
    if !queryset.selected.is_empty() {
        // Names that stand before are forgotten now, and would count again.
        hazards.push(cx.hazard(HazardKind::QuerySetShape, "select_related()", receiver));
    }
    let (all, unknown) = joins(cx.project, queryset.model);
    let plan = |kept: Vec<Path>, hazards: Vec<Hazard>| Plan {
        names: longest(&kept),
        joined: all.len(),
        kept: kept.len(),
        hazards,
    };
    if after.iter().any(|call| is_named(*call)) {
        // A later call with names, or with None, replaces this one.
        return Some(plan(Vec::new(), hazards));
    }
    let made = match cx.type_of(node) {
        Type::QuerySet(qs) => qs.values.first().copied()?,
        _ => return None,
    };
    let readers = readers(cx, made);
    let used: Vec<Path> = all.iter().filter(|path| is_read(&readers, path)).cloned().collect();
    let mut narrow = narrowed(cx, node, &readers, &all, &used);
    // Without a call, rows that are prefetched for the owner of a related manager would be taken.
    let serves = queryset.related.is_some() && after.is_empty() && used.is_empty();
    if readers.unseen.is_empty() && narrow.is_empty() && !serves {
        if !used.is_empty() {
            deferred(cx, node, &readers, queryset, &mut hazards);
        }
        return Some(plan(used, hazards));
    }
    if unknown.is_empty()
        && (all.is_empty() || longest(&all).len() <= MOST_NAMES)
        && !(serves && all.is_empty())
    {
        if !all.is_empty() {
            deferred(cx, node, &readers, queryset, &mut hazards);
        }
        return Some(plan(all.clone(), hazards));
    }
    if serves && readers.unseen.is_empty() && Outcome::of(&narrow) != Outcome::Withheld {
        return None;
    }
    for (who, site) in &readers.unseen {
        let kind = if used.is_empty() { HazardKind::QuerySetEscapes } else { HazardKind::UnseenReader };
        let subject = if used.is_empty() { String::new() } else { who.clone() };
        hazards.push(Hazard::at(kind, subject, *site));
    }
    if !used.is_empty() {
        deferred(cx, node, &readers, queryset, &mut hazards);
    }
    hazards.append(&mut narrow);
    hazards.extend(unknown);
    Some(plan(used, hazards))
}

/// What to write for `list_select_related = True` of a class whose changelist shows `queryset`.
pub fn plan_of_class<'a>(
    cx: &Context<'a>,
    value: Node<'a>,
    readers: &Readers,
    queryset: &QuerySet,
) -> Option<Plan> {
    let mut hazards = Vec::new();
    custom(cx, queryset, Load::Join, &mut hazards);
    hazards.retain(|h| h.kind != HazardKind::CustomQuerySet);
    if readers.traits.contains(&Trait::Deferred) {
        hazards.push(cx.hazard(HazardKind::DeferredColumns, "only()", value));
    }
    let (all, unknown) = joins(cx.project, queryset.model);
    let is_few = unknown.is_empty() && longest(&all).len() <= MOST_NAMES;
    let kept =
        if is_few { all.clone() } else { all.iter().filter(|p| is_read(readers, p)).cloned().collect() };
    if !is_few {
        let unseen = readers.unseen.iter();
        hazards.extend(unseen.map(|(who, at)| Hazard::at(HazardKind::UnseenReader, who.clone(), *at)));
        hazards.extend(narrowed(cx, value, readers, &all, &kept));
        hazards.extend(unknown);
    }
    Some(Plan { names: longest(&kept), joined: all.len(), kept: kept.len(), hazards })
}

/// Whether a later call of the chain is a `select_related()` with arguments.
fn is_named(call: Node<'_>) -> bool {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return false };
    matches!(Expr::of(func), Expr::Attribute { attr: "select_related", .. }) && !arguments(list).is_empty()
}

/// Every path that Django joins without names, the short ones before those that go on; and what may add to them.
fn joins(project: &Project, model: ModelId) -> (Vec<Path>, Vec<Hazard>) {
    let (mut out, mut unknown) = (Vec::new(), Vec::new());
    follow(project, model, &Vec::new(), &mut out, &mut unknown);
    (out, unknown)
}

fn follow(project: &Project, from: ModelId, path: &Path, out: &mut Vec<Path>, unknown: &mut Vec<Hazard>) {
    if path.len() >= MAX_DEPTH || out.len() >= MOST_PATHS {
        return;
    }
    let model = project.model(from);
    let hazard = |subject: String, site| Hazard::at(HazardKind::UnknownBase, subject, site);
    if model.has_unknown_base {
        unknown.push(hazard(model.name.clone(), model.site));
    }
    for field in &model.fields {
        let Some(relation) = &field.relation else {
            if field.kind == FieldKind::Other {
                unknown.push(hazard(format!("{}.{}", model.name, field.name), field.site));
            }
            continue;
        };
        let is_single = matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne);
        if !is_single || field.null || relation.parent_link {
            continue;
        }
        let Some(step) = step(project, from, &field.name) else {
            unknown.push(hazard(format!("{}.{}", model.name, field.name), field.site));
            continue;
        };
        let mut longer = path.clone();
        let to = step.to;
        longer.push(step);
        out.push(longer.clone());
        follow(project, to, &longer, out, unknown);
    }
}

/// The names of paths, without those that a longer one holds.
fn longest(paths: &[Path]) -> Vec<String> {
    let is_longer = |path: &Path, other: &Path| other.len() > path.len() && other.starts_with(path);
    let mut names: Vec<String> = paths
        .iter()
        .filter(|path| !paths.iter().any(|other| is_longer(path, other)))
        .map(|path| path.iter().map(|s| s.lookup.as_str()).collect::<Vec<_>>().join("__"))
        .collect();
    names.sort();
    names
}

fn is_read(readers: &Readers, path: &Path) -> bool {
    path.iter().all(|step| readers.attributes.contains(&step.attribute))
}

/// What makes it a difference that a relation is not joined any more.
fn narrowed(cx: &Context<'_>, node: Node<'_>, readers: &Readers, all: &[Path], used: &[Path]) -> Vec<Hazard> {
    let mut out = Vec::new();
    let dropped: Vec<Step> =
        all.iter().filter(|p| !used.contains(p)).filter_map(|p| p.last().cloned()).collect();
    if dropped.is_empty() {
        return out;
    }
    let names = longest(all).join("`, `");
    let mut add = |kind, subject: &str| out.push(cx.hazard(kind, subject, cx.node(node.id())));
    if readers.traits.contains(&Trait::Locked) {
        add(HazardKind::LockedRows, &names);
    }
    if readers.traits.contains(&Trait::RawSql) {
        add(HazardKind::RawSql, "");
    }
    if readers.traits.contains(&Trait::Combined) {
        add(HazardKind::QuerySetShape, "union()");
    }
    let mut differs = Vec::new();
    joined_differs(cx.project, &dropped, Load::Join, &mut differs);
    out.extend(differs.into_iter().filter(|h| h.kind == HazardKind::NoConstraint));
    out
}

/// `only()` and `defer()` leave out what a bare call then does not join, and raise for a name.
fn deferred(cx: &Context<'_>, node: Node<'_>, readers: &Readers, queryset: &QuerySet, out: &mut Vec<Hazard>) {
    for name in ["only", "defer"] {
        for site in cx.analyzer.call_sites().of(name) {
            let facts = cx.analyzer.caller(site.file, site.function);
            let inner = Context { facts: &facts, file: site.file, ..*cx };
            let call = inner.node(site.call);
            let Expr::Call { func, .. } = Expr::of(call) else { continue };
            let Expr::Attribute { value, .. } = Expr::of(func) else { continue };
            let is_ours = inner
                .type_of(value)
                .queryset()
                .is_some_and(|qs| qs.model == queryset.model && qs.is(Trait::BareSelectRelated));
            if is_ours {
                out.push(inner.hazard(HazardKind::DeferredColumns, format!("{name}()"), call));
            }
        }
    }
    if readers.traits.contains(&Trait::Deferred) && !out.iter().any(|h| h.kind == HazardKind::DeferredColumns)
    {
        out.push(cx.hazard(HazardKind::DeferredColumns, "only()", cx.node(node.id())));
    }
}
