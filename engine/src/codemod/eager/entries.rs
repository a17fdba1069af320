//! Rows that a framework reads of the queryset that this frame builds for it.

use super::again::{self, Rows};
use super::answers;
use super::asked;
use super::certainty;
use super::reads::{Load, is_key_only, is_loaded, rows_read, wants_rows};
use super::remote::Remote;
use super::sources::is_derived;
use super::step::{self, Step};
use super::used::{self, Wanted};
use super::{guards, hooks, one_object, own_code, prefetch};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{
    Entry, EntryKind, EventKind, Facts, Origin, Path, Root, SingleObjects, Source, Type, ValueId,
};
use crate::text::Site;

/// The entries whose queryset the frame of `cx` builds, each with its type there.
pub(super) fn built_here<'a>(cx: &Context<'a>) -> impl Iterator<Item = (&'a Entry, Type)> {
    let (program, cx) = (cx.project.program(), *cx);
    let own = program.function_at(cx.file, cx.facts.scope);
    cx.analyzer.entries_from(cx.file).filter_map(move |entry| {
        let ty = match entry.source {
            Source::Function(function) if own == Some(function) => cx.facts.returns.clone(),
            // An expression belongs to the frame that has evaluated it.
            Source::Expression(file, node) if file == cx.file => {
                cx.facts.types.get(cx.node(node).peel().id()).cloned()
            }
            _ => None,
        };
        Some((entry, ty?))
    })
}

/// The reads of the entries whose queryset the frame of `cx` builds, each with the value of the frame.
pub(super) fn reads(cx: &Context<'_>, load: Load, out: &mut Vec<(Vec<ValueId>, Path, Remote)>) {
    for (entry, ty) in built_here(cx) {
        // A join in the queryset takes the place of those that the framework makes.
        if load == Load::Join && !entry.joined_by_framework().is_empty() {
            continue;
        }
        let values = built(&ty);
        for read in shown(cx, entry, load) {
            if is_asked_above(cx, entry, &values, &read.steps, load) {
                continue;
            }
            let path = read.path.clone();
            let mut remote = [remote(cx, entry, read, load)];
            others(cx, entry.source, load, &mut remote);
            let [remote] = remote;
            out.push((values.clone(), path, remote));
        }
        if load == Load::Join {
            brought(cx, entry, out);
        }
    }
}

/// The reads of rows that the `Prefetch` objects of the frame of `cx` bring to an entry.
fn brought(cx: &Context<'_>, entry: &Entry, out: &mut Vec<(Vec<ValueId>, Path, Remote)>) {
    let facts = &entry.facts;
    let made_here = |site: Site| {
        (0..cx.facts.values.len() as u32).map(ValueId).find(|v| {
            let Some(Origin::Expr(node)) = cx.value(*v).map(|v| v.origin) else { return false };
            let node = cx.node(node);
            cx.site(node) == site && matches!(cx.type_of(node), Type::Prefetch(_))
        })
    };
    for event in facts.events() {
        let EventKind::ReadRelation { root: Root::Row(v), path, .. } = &event.kind else { continue };
        let Some(info) = facts.value(*v).filter(|v| v.origin == Origin::Callee) else { continue };
        let (Some(queryset), Some(own)) = (info.queryset.as_deref(), info.site.and_then(made_here)) else {
            continue;
        };
        let steps = step::steps(cx.project, queryset.model, path)
            .filter(|s| Load::Join.is_for(s) && !is_loaded(queryset, path, s, Load::Join));
        let Some(steps) = steps.filter(|s| !is_key_only(cx, event.site, s)) else { continue };
        let (path, is_certain) = (path.clone(), event.is_certain);
        let read = ShownRead { path: path.clone(), steps, site: event.site, is_certain, wants_rows: true };
        out.push((vec![own], path, remote(cx, entry, read, Load::Join)));
    }
}

/// Whether the rows come from the place of another entry that reads the same of them: what is loaded there is loaded
/// here.
fn is_asked_above(cx: &Context<'_>, entry: &Entry, values: &[ValueId], steps: &[Step], load: Load) -> bool {
    let program = cx.project.program();
    let comes_from = |place: Site| {
        (0..cx.facts.values.len() as u32).map(ValueId).any(|v| {
            let is_there = cx.value(v).is_some_and(|info| info.site == Some(place));
            is_there && values.iter().any(|own| *own == v || is_derived(cx, *own, v, 0))
        })
    };
    cx.analyzer.entries().iter().any(|above| {
        let (file, node) = match above.source {
            Source::Function(function) => (program.function(function).file, program.function(function).node),
            Source::Expression(file, node) => (file, node),
            Source::Model(..) | Source::Above(..) => return false,
        };
        above.source != entry.source
            && above.class.zip(entry.class).is_some_and(|(a, e)| program.class(e).mro.contains(&a))
            && comes_from(Site { file, span: program.file(file).node(node).span() })
            && shown(cx, above, load).iter().any(|read| read.steps == steps)
    })
}

/// A read of an entry.
pub(super) fn remote(cx: &Context<'_>, entry: &Entry, read: ShownRead, load: Load) -> Remote {
    let looped = entry.at;
    let ShownRead { steps, site, is_certain, wants_rows, .. } = read;
    let (mut hazards, mut in_other_actions) = (Vec::new(), Vec::new());
    let keeper = asked::keeper(cx, entry);
    guards::stale_copies(cx.project, asked::events(entry, keeper), &steps, &mut hazards);
    if entry.kind == EntryKind::Template || keeper.is_some() {
        asked::hazards(cx, entry, keeper, &steps, load, &mut hazards);
    }
    if let Some(base) = &entry.unknown_base {
        hazards.push(Hazard::at(HazardKind::UnknownBase, base.clone(), looped));
    }
    let inner = Context { facts: &entry.facts, file: entry.facts.file, ..*cx };
    let is_ours = |v: &ValueId| is_row(&entry.facts, *v, entry.rows, 0);
    let first: Vec<&Step> = steps.first().into_iter().collect();
    let lookup = steps.iter().map(|s| load.name(s)).collect::<Vec<_>>().join("__");
    used::hazards(
        &inner,
        &Wanted { first: &first, lookups: &[lookup], load },
        &|v| is_ours(&v),
        &mut hazards,
    );
    if load != Load::Count {
        one_object::hazards(cx, entry, &steps, load, &mut in_other_actions);
        own_code::hazards(cx, entry, &steps, load, (&mut hazards, &mut in_other_actions));
    }
    let queryset = entry.facts.value(entry.rows).and_then(|v| v.queryset.as_deref());
    let hooked = entry.class.zip(queryset);
    if let Some((class, queryset)) = hooked
        && matches!(entry.kind, EntryKind::ListAction | EntryKind::ListView)
    {
        hooks::writes(cx, class, queryset, &[&steps], &mut hazards);
    }
    // A change form asks for one object of the same queryset, and the formset of an inline for its rows when it is saved.
    let is_of_admin = matches!(entry.kind, EntryKind::Changelist | EntryKind::Inline);
    let single = entry.single_objects.as_ref();
    let reads_as_well = |one: &SingleObjects| {
        let reads = |e: &Entry| shown(cx, e, load).iter().any(|r| r.steps == steps && r.is_certain);
        !one.answers.is_empty() && one.answers.iter().all(reads)
    };
    if let Some(at) = single.map(|one| one.site).or(is_of_admin.then_some(looped))
        && load == Load::Prefetch
        && !single.is_some_and(reads_as_well)
    {
        let subject = entry.name(cx.project.program());
        hazards.push(Hazard::at(HazardKind::LoadedWithout, subject, at));
    }
    if load == Load::Prefetch {
        answers::hazards(cx, entry, &steps, &mut hazards);
        if let Some((class, queryset)) = hooked
            && entry.kind == EntryKind::ListAction
        {
            hooks::hazards(cx, class, queryset, &mut hazards);
        }
        prefetch::loaded_by_callees(&inner, &is_ours, &mut hazards);
        let rows = Rows {
            is_ours: &is_ours,
            paths: std::slice::from_ref(&steps),
            are_shared: false,
            are_shown: true,
        };
        again::hazards(&inner, &rows, &mut hazards);
    }
    let (shown_by, alone) = (entry.class, None);
    Remote { site, looped, steps, hazards, in_other_actions, is_certain, wants_rows, shown_by, alone }
}

/// Entries with the same queryset that do not read what another of them reads: the prefetch would be for nothing there.
pub(super) fn others(cx: &Context<'_>, source: Source, load: Load, reads: &mut [Remote]) {
    if load != Load::Prefetch {
        return;
    }
    for entry in cx.analyzer.entries().iter().filter(|e| e.source == source) {
        let own = shown(cx, entry, load);
        for read in reads.iter_mut().filter(|r| r.looped != entry.at) {
            if !own.iter().any(|o| o.steps == read.steps && o.is_certain) {
                let subject = entry.name(cx.project.program());
                let hazard = Hazard::at(HazardKind::SharedQuerySet, subject, entry.at);
                if !read.hazards.contains(&hazard) {
                    read.hazards.push(hazard);
                }
            }
        }
    }
}

/// The querysets that a value of this type may be.
fn built(ty: &Type) -> Vec<ValueId> {
    let querysets = ty.alternatives().iter().filter_map(Type::queryset);
    querysets.flat_map(|qs| qs.values.iter().copied()).collect()
}

/// What an entry reads of each row.
pub(super) struct ShownRead {
    pub path: Path,
    pub steps: Vec<Step>,
    pub site: Site,
    pub is_certain: bool,
    pub wants_rows: bool,
}

/// What an entry reads of each row that is loaded in one of the two ways, and is not yet.
pub(super) fn shown(cx: &Context<'_>, entry: &Entry, load: Load) -> Vec<ShownRead> {
    let facts = &entry.facts;
    let mut out: Vec<ShownRead> = Vec::new();
    for (index, event) in facts.events().enumerate() {
        let read = rows_read(facts, event, load);
        let Some((value, path)) = read.filter(|(v, _)| is_row(facts, *v, entry.rows, 0)) else { continue };
        let Some(queryset) = facts.value(value).and_then(|v| v.queryset.as_deref()) else { continue };
        let steps = step::steps(cx.project, queryset.model, &path).filter(|s| load.is_for(s));
        // One object is no loop; what hangs on it may be one.
        if entry.kind == EntryKind::DetailView
            && (load != Load::Prefetch || path.len() < 2 || event.rounds.is_empty())
        {
            continue;
        }
        // Nor is one of the rows of a list: the first, or what one round of the loop reads alone.
        let by_rounds = matches!(entry.kind, EntryKind::ListView | EntryKind::Handler | EntryKind::Template);
        if by_rounds && !event.rounds.iter().any(|r| r.value == value) {
            continue;
        }
        // What the framework itself has loaded with the rows is left out.
        let Some(steps) = steps.filter(|s| !is_loaded(queryset, &path, s, load)) else { continue };
        let is_certain = match entry.kind {
            EntryKind::DetailView => {
                event.rounds.first().is_some_and(|r| r.is_certain && is_always_loaded(facts, r.value))
            }
            _ => event.rounds.iter().any(|r| r.value == value && r.is_certain),
        };
        let is_certain =
            is_certain && (load != Load::Prefetch || !certainty::is_refused_before(cx, facts, index, value));
        // Each count is an expression of its own to rewrite.
        match out.iter_mut().find(|r| r.path == path && (load != Load::Count || r.site == event.site)) {
            Some(read) => {
                read.is_certain |= is_certain;
                read.wants_rows |= wants_rows(event);
            }
            None => {
                let wants_rows = wants_rows(event);
                out.push(ShownRead { path, steps, site: event.site, is_certain, wants_rows });
            }
        }
    }
    out
}

/// Whether the rows of `value` are loaded under no condition, one object being there in any case. A loop whose reads are certain
/// follows wherever they are: `{% if chapters %}{% for chapter in chapters %}`.
fn is_always_loaded(facts: &Facts, value: ValueId) -> bool {
    facts.events().any(|e| {
        e.is_certain
            && matches!(&e.kind, EventKind::Use { value: used, how } if *used == value && how.evaluates())
    })
}

/// Whether `value` is the queryset `rows`, or made from it.
fn is_row(facts: &Facts, value: ValueId, rows: ValueId, depth: usize) -> bool {
    value == rows
        || depth < 20
            && facts.value(value).is_some_and(|v| {
                v.parent.iter().chain(&v.alternatives).any(|up| is_row(facts, *up, rows, depth + 1))
            })
}
