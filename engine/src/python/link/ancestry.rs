//! The ancestors of classes, in the order in which Python looks through them.

use crate::python::program::{Class, ClassId, Def, Member};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Class hierarchies deeper than this are cut, with an unknown base.
const MAX_ANCESTRY: usize = 100;

/// Marks a base that is a class nested in another: `<nested>12.Meta`.
pub(super) const NESTED: &str = "<nested>";

/// Fill in `mro`, `external_bases` and `has_unknown_base`.
pub(super) fn linearise(classes: &mut [Arc<Class>]) {
    link_nested(classes);
    let mut done: Vec<Option<Vec<ClassId>>> = vec![None; classes.len()];
    // Classes with a base whose ancestry goes in a circle or too far.
    let mut cut: FxHashSet<ClassId> = FxHashSet::default();
    for index in 0..classes.len() {
        let mut open = Vec::new();
        mro_of(ClassId(index as u32), classes, &mut done, &mut open, &mut cut);
    }
    let direct: Vec<(Vec<String>, bool)> = classes
        .iter()
        .map(|class| {
            let mut external = Vec::new();
            let mut unknown = false;
            for base in &class.bases {
                match base {
                    Some(Def::External(path)) => external.push(path.clone()),
                    Some(Def::Class(_)) => {}
                    _ => unknown = true,
                }
            }
            (external, unknown)
        })
        .collect();
    for (index, mro) in done.into_iter().enumerate() {
        let mro = mro.unwrap_or_default();
        let mut seen: FxHashSet<&str> = FxHashSet::default();
        let mut external = Vec::new();
        let mut unknown = mro.iter().any(|c| cut.contains(c));
        for ancestor in &mro {
            if let Some((paths, is_unknown)) = direct.get(ancestor.0 as usize) {
                unknown |= is_unknown;
                external.extend(paths.iter().filter(|p| seen.insert(p)).cloned());
            }
        }
        if let Some(class) = classes.get_mut(index).map(Arc::make_mut) {
            class.external_bases = external;
            class.has_unknown_base = unknown;
            class.mro = if mro.is_empty() { vec![ClassId(index as u32)] } else { mro };
        }
    }
}

/// Replace the paths of nested bases by the classes, which may themselves be inherited by the outer class.
fn link_nested(classes: &mut [Arc<Class>]) {
    let mut found = Vec::new();
    for (index, class) in classes.iter().enumerate() {
        for (position, base) in class.bases.iter().enumerate() {
            if let Some(Def::External(path)) = base
                && let Some(rest) = path.strip_prefix(NESTED)
            {
                let mut parts = rest.split('.');
                let outer = parts.next().and_then(|n| n.parse().ok()).map(ClassId);
                let mut def = outer.map(Def::Class);
                for part in parts {
                    def = match def {
                        Some(Def::Class(c)) => nested_member(c, part, classes, 0),
                        _ => None,
                    };
                }
                found.push((index, position, def));
            }
        }
    }
    for (index, position, def) in found {
        if let Some(slot) = classes.get_mut(index).and_then(|c| Arc::make_mut(c).bases.get_mut(position)) {
            *slot = def;
        }
    }
}

fn nested_member(class: ClassId, name: &str, classes: &[Arc<Class>], depth: usize) -> Option<Def> {
    if depth > 30 {
        return None;
    }
    let this = classes.get(class.0 as usize)?;
    match this.members.get(name) {
        Some(Member::Class(c)) => Some(Def::Class(*c)),
        Some(_) => None,
        None => this.bases.iter().find_map(|base| match base {
            Some(Def::Class(c)) => nested_member(*c, name, classes, depth + 1),
            Some(Def::External(path)) if !path.starts_with("builtins.") => {
                Some(Def::External(format!("{path}.{name}")))
            }
            _ => None,
        }),
    }
}

fn mro_of(
    id: ClassId,
    classes: &[Arc<Class>],
    done: &mut Vec<Option<Vec<ClassId>>>,
    open: &mut Vec<ClassId>,
    cut: &mut FxHashSet<ClassId>,
) -> Vec<ClassId> {
    if let Some(Some(mro)) = done.get(id.0 as usize) {
        return mro.clone();
    }
    let Some(class) = classes.get(id.0 as usize) else { return Vec::new() };
    // An empty list says that the ancestry is not known.
    if open.len() >= MAX_ANCESTRY || open.contains(&id) {
        return Vec::new();
    }
    open.push(id);
    let mut sequences: Vec<Vec<ClassId>> = Vec::new();
    let mut parents = Vec::new();
    for base in &class.bases {
        if let Some(Def::Class(base)) = base {
            let mro = mro_of(*base, classes, done, open, cut);
            if mro.is_empty() || mro.len() > MAX_ANCESTRY {
                cut.insert(id);
            } else {
                sequences.push(mro);
                parents.push(*base);
            }
        }
    }
    open.pop();
    sequences.push(parents);
    let mro = merge(id, sequences.clone()).unwrap_or_else(|| depth_first(id, &sequences));
    if let Some(slot) = done.get_mut(id.0 as usize) {
        *slot = Some(mro.clone());
    }
    mro
}

/// The C3 merge; `None` where the bases contradict each other.
fn merge(id: ClassId, mut sequences: Vec<Vec<ClassId>>) -> Option<Vec<ClassId>> {
    let mut out = vec![id];
    for sequence in &mut sequences {
        sequence.reverse();
    }
    loop {
        sequences.retain(|s| !s.is_empty());
        if sequences.is_empty() {
            return Some(out);
        }
        let next = sequences.iter().filter_map(|s| s.last().copied()).find(|head| {
            !sequences.iter().any(|s| s.split_last().is_some_and(|(_, tail)| tail.contains(head)))
        })?;
        out.push(next);
        for sequence in &mut sequences {
            if sequence.last() == Some(&next) {
                sequence.pop();
            }
        }
    }
}

fn depth_first(id: ClassId, sequences: &[Vec<ClassId>]) -> Vec<ClassId> {
    let mut out = vec![id];
    for &class in sequences.iter().flatten() {
        if !out.contains(&class) {
            out.push(class);
        }
    }
    out
}
