//! What calls of methods on objects of unknown type may do: the effects of all methods of that name, which are found once and
//! shared by the frames that call them.

use super::analyzer::Analyzer;
use super::facts::{Event, EventData, EventKind, Facts};
use super::memo::Stack;
use super::summary::{abstracted, opaque};
use super::types::{Name, Type};
use crate::django::Project;
use crate::python::touched::{self, Things, Touched};
use crate::python::{FunctionId, ParameterKind, parameters};
use crate::text::Site;
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Functions of one name that a call on an unknown object may reach before it counts as unknown itself.
const MAX_CANDIDATES: usize = 12;
/// Names that the effects of a call on an unknown object are followed through.
const MAX_NAMES: usize = 60;

/// A method called on an unknown object: its name, and how many positional arguments it gets where that is known.
type Called = (Name, Option<u8>);

/// The methods that a call may reach.
#[derive(Clone)]
struct Candidates {
    /// Where the first of them stands.
    first: Site,
    /// All of them, where they are few enough to be looked at.
    few: Option<Arc<[FunctionId]>>,
}

/// What a call of some name may do, each kind once with the first place that does it.
pub(super) type Effects = Arc<[(Site, Arc<EventKind>)]>;

/// The calls of a frame on objects of unknown type.
#[derive(Clone, Debug, Default)]
pub(super) struct Guesses {
    list: Vec<Guess>,
    /// What the effects were found in, which the facts of the frame do not depend on otherwise.
    touched: Touched,
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Guess {
    /// The event that stands for it among the frame's own.
    own: usize,
    /// How many events come before its effects.
    begin: usize,
    effects: Effects,
}

impl Guesses {
    /// The guesses about those of a frame's `own` events that are calls by name, each with what `effects` says of it.
    pub fn of(own: &[EventData], mut effects: impl FnMut(&EventKind) -> Option<Effects>) -> Guesses {
        let mut out = Vec::new();
        let mut begin = 0;
        for (index, event) in own.iter().enumerate() {
            match effects(&event.kind) {
                None => begin += 1,
                Some(effects) => {
                    let count = effects.len();
                    out.push(Guess { own: index, begin, effects });
                    begin += count;
                }
            }
        }
        Guesses { list: out, touched: Touched::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether the effects were found in what is `changed`.
    pub fn are_outdated(&self, changed: &Things) -> bool {
        !self.list.is_empty() && self.touched.any_of(changed)
    }

    fn touch(&self) {
        if !self.list.is_empty() {
            touched::again(&self.touched);
        }
    }

    /// The `own` events that are `wanted`, with the effects of calls in the place of the calls.
    pub fn put_into<'a>(
        &'a self,
        own: &'a [EventData],
        wanted: impl Fn(&EventData) -> bool + Clone,
    ) -> impl Iterator<Item = Event<'a>> + Clone {
        self.touch();
        let mut next = 0;
        let of_event = move |(index, event): (usize, &'a EventData)| {
            let guess = self.list.get(next).filter(|guess| guess.own == index);
            next += usize::from(guess.is_some());
            let is_wanted = wanted(event);
            let effects = guess.filter(|_| is_wanted).map_or(&[][..], |guess| &*guess.effects);
            let plain = (is_wanted && guess.is_none()).then(|| event.event());
            plain.into_iter().chain(effects.iter().map(move |effect| guessed(event, effect)))
        };
        own.iter().enumerate().flat_map(of_event)
    }

    /// The event at `index` of all.
    pub fn nth<'a>(&'a self, own: &'a [EventData], index: usize) -> Option<Event<'a>> {
        self.touch();
        let before = self.list.partition_point(|guess| guess.begin <= index);
        let Some(guess) = before.checked_sub(1).and_then(|last| self.list.get(last)) else {
            return own.get(index).map(EventData::event);
        };
        match guess.effects.get(index - guess.begin) {
            Some(effect) => Some(guessed(own.get(guess.own)?, effect)),
            None => own.get(guess.own + 1 + index - guess.begin - guess.effects.len()).map(EventData::event),
        }
    }
}

/// What a call does, if it reaches the method that has this effect.
fn guessed<'a>(call: &'a EventData, (site, kind): &'a (Site, Arc<EventKind>)) -> Event<'a> {
    Event { site: *site, kind, is_guess: true, shared: kind, ..call.event() }
}

/// What methods of one name do by themselves.
#[derive(Default)]
struct Direct {
    effects: Vec<(Site, Arc<EventKind>)>,
    /// The methods that they call on unknown objects.
    called: Vec<Called>,
}

impl<'p> Analyzer<'p> {
    /// The methods that a call of `.name()` on an unknown object may reach.
    pub(super) fn candidates<'n>(
        &self,
        name: &'n str,
        positional: Option<u8>,
    ) -> impl Iterator<Item = FunctionId> + use<'n, 'p> {
        let project = self.project;
        let program = project.program();
        program.functions_named(name).iter().copied().filter(move |f| {
            let info = program.function(*f);
            if info.class.is_none() || is_framework_entry(project, *f) {
                return false;
            }
            let Some(positional) = positional else { return true };
            let params = parameters(program.file(info.file).node(info.node));
            let takes = params
                .iter()
                .filter(|p| {
                    matches!(p.kind, ParameterKind::PositionalOnly | ParameterKind::PositionalOrKeyword)
                })
                .count();
            let open = params.iter().any(|p| p.kind == ParameterKind::VarPositional);
            open || usize::from(positional) <= takes
        })
    }

    /// Put what methods of a name may do in the place of the calls on unknown objects.
    pub(super) fn expanded(&self, mut facts: Facts, stack: &mut Stack) -> Facts {
        let effects = |kind: &EventKind| match kind {
            EventKind::CallNamed { name, positional } => {
                Some(self.effects_of_name((name.clone(), *positional), stack))
            }
            _ => None,
        };
        let (guesses, touched) = touched::aside(|| touched::record(|| Guesses::of(&facts.own, effects)));
        facts.guesses = Guesses { touched, ..guesses };
        facts
    }

    /// The same facts, with what methods of a name may do by now.
    pub(super) fn expanded_again(&self, facts: &Facts) -> Arc<Facts> {
        Arc::new(self.expanded(facts.clone(), &mut Stack::default()))
    }

    /// What a call of `.name()` on an unknown object may do to anything but its own objects, calls of further names
    /// included: one event a kind, with the first place that does it.
    fn effects_of_name(&self, called: Called, stack: &mut Stack) -> Effects {
        self.once_for("effects of a name", called.clone(), || {
            let mut queue = vec![called];
            let mut seen_kinds = FxHashSet::default();
            let mut effects: Vec<(Site, Arc<EventKind>)> = Vec::new();
            let mut next = 0;
            while let Some(called) = queue.get(next).cloned() {
                next += 1;
                let candidates = self.few_candidates(&called);
                match candidates.few {
                    Some(few) if queue.len() <= MAX_NAMES => {
                        let direct = self.direct_effects(called, &few, stack);
                        for other in &direct.called {
                            if !queue.contains(other) {
                                queue.push(other.clone());
                            }
                        }
                        let new = direct.effects.iter().filter(|(_, kind)| seen_kinds.insert(kind.clone()));
                        effects.extend(new.cloned());
                    }
                    _ => {
                        let kind = Arc::new(EventKind::UnknownCall { name: called.0 });
                        if seen_kinds.insert(kind.clone()) {
                            effects.push((candidates.first, kind));
                        }
                    }
                }
            }
            Effects::from(effects)
        })
    }

    fn few_candidates(&self, called: &Called) -> Candidates {
        self.once_for("candidates of a name", called.clone(), || {
            let (name, positional) = called;
            let all: Vec<FunctionId> = self.candidates(name, *positional).take(MAX_CANDIDATES + 1).collect();
            let first = all.first().map_or(Site::default(), |f| self.site_of(*f));
            Candidates { first, few: (all.len() <= MAX_CANDIDATES).then(|| all.into()) }
        })
    }

    /// What those methods do that are called so: each kind once, and each name once.
    fn direct_effects(&self, called: Called, candidates: &[FunctionId], stack: &mut Stack) -> Arc<Direct> {
        self.once_for("direct effects of a name", called, || {
            let mut out = Direct::default();
            let mut seen_kinds = FxHashSet::default();
            for candidate in candidates {
                let receiver = self.receiver(*candidate).map(|r| opaque(&r));
                let info = self.project.program().function(*candidate);
                let count = parameters(self.project.program().file(info.file).node(info.node)).len();
                let mut arguments = vec![Type::Unknown; count];
                if let (Some(receiver), Some(first)) = (receiver, arguments.first_mut()) {
                    *first = abstracted(&receiver, 0);
                }
                let Some(summary) = self.summary(*candidate, arguments, stack) else { continue };
                for event in &summary.events {
                    match &*event.kind {
                        EventKind::CallNamed { name, positional } => {
                            let key = (name.clone(), *positional);
                            if !out.called.contains(&key) {
                                out.called.push(key);
                            }
                        }
                        kind if kind.is_ambient() && seen_kinds.insert(event.kind.clone()) => {
                            out.effects.push((event.site, event.kind.clone()));
                        }
                        _ => {}
                    }
                }
            }
            Arc::new(out)
        })
    }

    fn site_of(&self, function: FunctionId) -> Site {
        let program = self.project.program();
        let info = program.function(function);
        Site { file: info.file, span: program.file(info.file).node(info.node).span() }
    }
}

/// Whether `function` is a method that Django or a framework calls on an object nobody holds: views, tests,
/// commands, migrations. A call on an unknown object does not reach these.
pub(super) fn is_framework_entry(project: &Project, function: FunctionId) -> bool {
    let program = project.program();
    let Some(class) = program.function(function).class else { return false };
    program.class(class).external_bases.iter().any(|base| {
        base.starts_with("django.views")
            || base.starts_with("rest_framework.views")
            || base.starts_with("rest_framework.viewsets")
            || base.starts_with("rest_framework.generics")
            || base.starts_with("unittest")
            || base.starts_with("django.test")
            || base.starts_with("django.core.management")
            || base.starts_with("django.db.migrations")
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::Rounds;
    use super::super::types::Name;
    use super::*;
    use crate::python::NodeId;

    fn own(at: u32, kind: EventKind) -> EventData {
        let kind = Arc::new(kind);
        EventData {
            at: NodeId(at),
            site: Site::default(),
            kind,
            rounds: Rounds::new(),
            is_certain: true,
            is_guess: false,
        }
    }

    fn called(name: &str) -> EventKind {
        EventKind::CallNamed { name: Name::from(name), positional: None }
    }

    fn outside(name: &str) -> EventKind {
        EventKind::Outside { name: Name::from(name) }
    }

    /// A method `two` has two effects, `none` has none.
    fn effects(kind: &EventKind) -> Option<Effects> {
        let EventKind::CallNamed { name, .. } = kind else { return None };
        let all: &[&str] = if &**name == "two" { &["a", "b"] } else { &[] };
        Some(all.iter().map(|name| (Site::default(), Arc::new(outside(name)))).collect())
    }

    #[test]
    fn effects_stand_in_the_place_of_calls() {
        let own = [
            own(1, called("two")),
            own(2, EventKind::Log),
            own(3, called("none")),
            own(4, called("two")),
            own(5, EventKind::Raise),
        ];
        let guesses = Guesses::of(&own, effects);
        let all: Vec<_> = guesses.put_into(&own, |_| true).collect();
        let shown: Vec<_> = all.iter().map(|e| (e.at.0, e.kind.clone(), e.is_guess)).collect();
        let expected = [
            (1, outside("a"), true),
            (1, outside("b"), true),
            (2, EventKind::Log, false),
            (4, outside("a"), true),
            (4, outside("b"), true),
            (5, EventKind::Raise, false),
        ];
        assert_eq!(shown, expected);
        for (index, event) in all.iter().enumerate() {
            let same = guesses.nth(&own, index).map(Event::to_data);
            assert_eq!(same, Some(event.to_data()), "{index}");
        }
        assert!(guesses.nth(&own, all.len()).is_none());
        let some: Vec<_> = guesses.put_into(&own, |event| event.at.0 >= 4).map(|e| e.at.0).collect();
        assert_eq!(some, [4, 4, 5]);
    }

    #[test]
    fn nothing_is_put_in_before_effects_are_known() {
        let own = [own(1, called("two")), own(2, EventKind::Log)];
        let guesses = Guesses::default();
        assert_eq!(guesses.put_into(&own, |_| true).count(), 2);
        assert_eq!(guesses.nth(&own, 1).map(|e| e.at.0), Some(2));
    }
}
