//! How much comes along: a join makes each row longer, a prefetch of rows of rows of rows loads very many of them.
//!
//! Unless it is asked for more, a fix joins at most one path of three relations and none that is longer, no more than eight
//! relations for a queryset, and prefetches no path over more than two relations to several rows, nor more than two such paths.
//! What the queryset loads already counts. A path that is too long is left for a finding of its own.

use super::reads::{Group, Load};
use super::step::{Step, steps};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::text::Site;
use std::collections::BTreeSet;

/// The longest path that is joined, and the shortest of which there may be one.
const LONGEST_JOIN: usize = 3;
/// The relations that are joined for one queryset.
const MOST_JOINED: usize = 8;
/// The relations to several rows that a prefetched path goes over.
const MOST_MULTIPLIED: usize = 2;
/// The prefetched paths that go over as many.
const MOST_MULTIPLYING: usize = 2;

/// The parts of a lookup.
type Name = Vec<String>;

/// Beside paths that may come along, those that are too long, or too many of their length, are left for a finding of their
/// own.
pub(super) fn leave_out(cx: &Context<'_>, group: &mut Group) {
    let load = group.load;
    let Some((bound, most)) = bounds(load) else { return };
    let mut long: Vec<Name> =
        loaded(cx, group).into_iter().filter(|name| weight_of_name(cx, group, name) >= bound).collect();
    for path in group.paths().filter(|path| weight(path, load) == bound) {
        let name = name(group, path);
        let is_same = |other: &Name| other.starts_with(&name) || name.starts_with(other);
        if let Some(other) = long.iter_mut().find(|other| is_same(other)) {
            if other.len() < name.len() {
                *other = name;
            }
        } else if long.len() < most {
            long.push(name);
        }
    }
    let is_kept = |path: &Vec<Step>| {
        let weight = weight(path, load);
        weight < bound || weight == bound && long.iter().any(|other| other.starts_with(&name(group, path)))
    };
    let kept: Vec<Vec<Step>> = group.paths().filter(|path| is_kept(path)).cloned().collect();
    if !kept.is_empty() {
        group.reads.retain(|r| kept.contains(&r.steps));
        group.remote.retain(|r| kept.contains(&r.steps));
    }
}

/// What would be loaded beyond the bounds.
pub(super) fn hazards(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    let load = group.load;
    let Some((bound, most)) = bounds(load) else { return };
    let loaded = loaded(cx, group);
    let is_longer = |path: &[String], all: &BTreeSet<Name>| {
        all.iter().any(|other| other.len() > path.len() && other.starts_with(path))
    };
    // Each path with its weight; what a longer one goes over is no path of its own.
    let mut own: Vec<(Name, usize, Site)> = Vec::new();
    let sites = group.reads.iter().map(|r| (&r.steps, r.site));
    for (path, site) in sites.chain(group.remote.iter().map(|r| (&r.steps, r.site))) {
        let name = name(group, path);
        if !loaded.contains(&name)
            && !is_longer(&name, &loaded)
            && own.iter().all(|(other, ..)| *other != name)
        {
            own.push((name, weight(path, load), site));
        }
    }
    let all: BTreeSet<Name> = own.iter().map(|(name, ..)| name.clone()).chain(loaded).collect();
    own.retain(|(name, ..)| !is_longer(name, &all));
    let is_long = |name: &&Name| !is_longer(name, &all) && weight_of_name(cx, group, name) >= bound;
    let long = all.iter().filter(is_long).count();
    let mut say = |subject: String, site: Site| out.push(Hazard::at(HazardKind::WideLoad, subject, site));
    for (name, weight, site) in &own {
        let path = name.join("__");
        let beside = if *weight == bound && long > most { ", beside another such path" } else { "" };
        if *weight <= bound && beside.is_empty() {
            continue;
        }
        let subject = match load {
            Load::Join => format!("`{path}` joins {weight} tables one behind the other{beside}"),
            _ => format!("`{path}` goes over {weight} relations to several rows{beside}"),
        };
        say(subject, *site);
    }
    let prefixes: BTreeSet<&[String]> =
        all.iter().flat_map(|name| (1..=name.len()).filter_map(|end| name.get(..end))).collect();
    if let (Load::Join, true, Some((_, _, site))) = (load, prefixes.len() > MOST_JOINED, own.first()) {
        say(format!("{} tables are joined", prefixes.len()), *site);
    }
}

/// The weight that a path may have, and how many paths may have it.
fn bounds(load: Load) -> Option<(usize, usize)> {
    match load {
        Load::Join => Some((LONGEST_JOIN, 1)),
        Load::Prefetch => Some((MOST_MULTIPLIED, MOST_MULTIPLYING)),
        Load::Count => None,
    }
}

/// A path as it is named.
fn name(group: &Group, path: &[Step]) -> Name {
    group.lookup(path).split("__").map(str::to_owned).collect()
}

/// The relations of a path that count: for a prefetch, those to several rows.
fn weight(path: &[Step], load: Load) -> usize {
    match load {
        Load::Join | Load::Count => path.len(),
        Load::Prefetch => path.iter().filter(|step| step.is_many).count(),
    }
}

fn weight_of_name(cx: &Context<'_>, group: &Group, name: &[String]) -> usize {
    if group.load == Load::Join {
        return name.len();
    }
    let model = group.first_steps().first().map(|step| step.from);
    model.and_then(|model| steps(cx.project, model, name)).map_or(0, |path| weight(&path, group.load))
}

/// What the querysets load already, in the same way.
fn loaded(cx: &Context<'_>, group: &Group) -> BTreeSet<Name> {
    let of_rows = group.rows.iter().filter_map(|row| cx.value(*row)?.queryset.as_deref());
    let of_class = group.class_place.as_ref().map(|place| &*place.queryset);
    let names = of_rows.chain(of_class).flat_map(|queryset| match group.load {
        Load::Join => queryset.selected.iter(),
        Load::Prefetch | Load::Count => queryset.prefetched.iter(),
    });
    names.map(|n| n.trim_end_matches("__*").split("__").map(str::to_owned).collect()).collect()
}
