//! What calls of methods on objects of unknown type may do: the effects of all methods of that name, which are found once and
//! shared by the frames that call them.

use super::facts::{Event, EventData, EventKind};
use crate::text::Site;
use std::sync::Arc;

/// What a call of some name may do, each kind once with the first place that does it.
pub(super) type Effects = Arc<[(Site, Arc<EventKind>)]>;

/// The calls of a frame on objects of unknown type.
#[derive(Clone, Debug, Default)]
pub(super) struct Guesses(pub Vec<Guess>);

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
        Guesses(out)
    }

    /// The `own` events that are `wanted`, with the effects of calls in the place of the calls.
    pub fn put_into<'a>(
        &'a self,
        own: &'a [EventData],
        wanted: impl Fn(&EventData) -> bool + Clone,
    ) -> impl Iterator<Item = Event<'a>> + Clone {
        let mut next = 0;
        let of_event = move |(index, event): (usize, &'a EventData)| {
            let guess = self.0.get(next).filter(|guess| guess.own == index);
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
        let before = self.0.partition_point(|guess| guess.begin <= index);
        let Some(guess) = before.checked_sub(1).and_then(|last| self.0.get(last)) else {
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
