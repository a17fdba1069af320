//! One of several: a call through a variable that may hold any of them, a serializer that may be of any of several classes.

use super::facts::{EventData, EventKind, Facts, Origin};
use super::frame::Frame;
use super::types::{Path, Root, ValueId};
use crate::python::Node;
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::Range;
use std::sync::Arc;

impl Facts {
    /// Up from the rows of a relation to the rows that have the relation, as long as that is known: the outermost
    /// queryset, and the path from its rows.
    pub fn climbed(&self, root: Root, path: &Path) -> Option<(ValueId, Path)> {
        let Root::Row(mut value) = root else { return None };
        let mut path = path.clone();
        for _ in 0..8 {
            let related = self.value(value).and_then(|v| v.queryset.as_deref()?.related.clone());
            let Some(related) = related else { break };
            let Root::Row(outer) = related.owner.root else { break };
            let mut longer = related.owner.path.clone();
            longer.push(related.accessor.clone());
            longer.extend(path);
            path = longer;
            value = outer;
        }
        Some((value, path))
    }
}

impl<'a> Frame<'a, '_> {
    /// Nothing that the events from `start` on do at `node` is certain: they happen when somebody asks for it.
    pub(super) fn put_off(&mut self, node: Node<'a>, start: usize) {
        let at = self.at(node).id();
        for event in self.facts.own.iter_mut().skip(start).filter(|e| e.at == at) {
            event.is_certain = false;
            event.rounds.iter_mut().for_each(|round| round.is_certain = false);
        }
    }

    /// What a lazy iterator does for its elements, recorded since `start` by the call `node`, is done when somebody asks for them.
    /// A generator function loads the rows of its own querysets no sooner.
    pub(super) fn put_off_elements(&mut self, node: Node<'a>, start: usize, is_generator: bool) {
        let at = self.at(node).id();
        let values = &self.facts.values;
        let is_own = |value: ValueId| {
            let origin = values.get(value.0 as usize).map(|v| v.origin);
            is_generator && matches!(origin, Some(Origin::Callee))
        };
        for event in self.facts.own.iter_mut().skip(start).filter(|e| e.at == at) {
            event.is_certain = false;
            for round in event.rounds.iter_mut().filter(|r| !is_own(r.value)) {
                round.is_certain = false;
            }
        }
    }

    /// Evaluate each of several things of which one is done. Only what all of them do is as certain as if there were one.
    pub(super) fn one_of<T, R>(
        &mut self,
        several: impl IntoIterator<Item = T>,
        mut evaluate: impl FnMut(&mut Self, T) -> R,
    ) -> Vec<R> {
        let mut out = Vec::new();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for one in several {
            let start = self.facts.own.len();
            out.push(evaluate(self, one));
            ranges.push(start..self.facts.own.len());
        }
        if ranges.len() > 1 {
            self.weaken(&ranges);
        }
        out
    }

    /// What only some of several ways do is not certain.
    fn weaken(&mut self, ways: &[Range<usize>]) {
        let around: Vec<ValueId> =
            self.rounds.iter().flat_map(|(values, _)| values.iter().copied()).collect();
        let done: Vec<Done> = ways.iter().map(|way| Done::of(&self.facts, way)).collect();
        for (index, way) in ways.iter().enumerate() {
            let others = || done.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, done)| done);
            for at in way.clone() {
                let Some(key) = self.facts.own.get(at).map(|e| Key::of(&self.facts, e)) else { continue };
                let Some(event) = self.facts.own.get_mut(at) else { continue };
                event.is_certain &=
                    others().all(|other| other.events.get(&key).is_some_and(|e| e.is_certain));
                for round in &mut event.rounds {
                    // Rows that no other way loads are those of this way alone.
                    let is_shared = around.contains(&round.value)
                        || others().any(|other| other.loaded.contains(&round.value));
                    round.is_certain &= !is_shared
                        || others().all(|other| {
                            other.events.get(&key).is_some_and(|e| e.rounds.contains(&round.value))
                        });
                }
            }
        }
    }
}

/// What an event is for whoever asks what is loaded.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    /// A relation is read, by whatever method.
    Read(ValueId, Path),
    /// Anything else.
    Other(Arc<EventKind>),
}

impl Key {
    fn of(facts: &Facts, event: &EventData) -> Key {
        let read = match &*event.kind {
            EventKind::ReadRelation { root, path, .. } | EventKind::ReadMany { root, path, .. } => {
                facts.climbed(*root, path)
            }
            _ => None,
        };
        read.map_or_else(|| Key::Other(event.kind.clone()), |(value, path)| Key::Read(value, path))
    }
}

/// What one of several ways does.
#[derive(Default)]
struct Done {
    events: FxHashMap<Key, Certainly>,
    /// The querysets whose rows it loads.
    loaded: FxHashSet<ValueId>,
}

/// How certain something is that may be done more than once.
#[derive(Default)]
struct Certainly {
    is_certain: bool,
    /// The loops of which every round does it.
    rounds: FxHashSet<ValueId>,
}

impl Done {
    fn of(facts: &Facts, way: &Range<usize>) -> Done {
        let mut out = Done::default();
        for event in facts.own.get(way.clone()).unwrap_or_default() {
            let known = out.events.entry(Key::of(facts, event)).or_default();
            known.is_certain |= event.is_certain;
            known.rounds.extend(event.rounds.iter().filter(|r| r.is_certain).map(|r| r.value));
            if let EventKind::Use { value, how } = &*event.kind
                && how.may_load()
            {
                out.loaded.insert(*value);
            }
        }
        out
    }
}
