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
