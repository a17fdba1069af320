//! Which loops of a rendering run whenever the rows that they go over are loaded.
//!
//! A read is certain for every row of its loop. A queryset that is loaded in one place and whose rows are read in a loop
//! that another condition may skip has rows for which nothing is read.

use super::{Current, Rendering};
use crate::django::templates::{Expr, ExprKind, Operator};
use crate::infer::facts::{EventKind, Use};
use crate::infer::frame::Frame;
use crate::infer::types::{Type, ValueId};
use crate::python::Node;
use smallvec::SmallVec;
use std::ops::Range;

pub(super) type Values = SmallVec<[ValueId; 1]>;

/// A condition that is being rendered behind: it holds whenever one of `met` has rows.
struct Condition {
    met: Values,
    region: usize,
}

/// A loop over the rows of `values`.
struct Loop {
    values: Values,
    /// The events of going over them.
    events: Range<usize>,
    /// Where something may skip it though there are rows: the region behind the innermost such condition, if that is known.
    skipped_in: Option<Option<usize>>,
}

/// The conditions around what is being rendered, and the loops so far.
#[derive(Default)]
pub(super) struct Certainty {
    /// `Frame::conditional` where the rendering began.
    outer: u32,
    conditions: Vec<Condition>,
    /// The events behind each condition.
    regions: Vec<Range<usize>>,
    loops: Vec<Loop>,
}

/// What the truth of a condition says of the loop around it.
pub(super) enum Turn {
    /// It holds in one round alone.
    Single,
    /// It holds in all rounds but one.
    Others,
}

/// `forloop.first`, `loop.last`, also as an operand of `and` and behind `not`.
pub(super) fn turn(test: &Expr) -> Option<Turn> {
    match &test.kind {
        ExprKind::Attribute { value, name } if matches!(name.as_str(), "first" | "last") => {
            matches!(&value.kind, ExprKind::Name(n) if matches!(n.as_str(), "forloop" | "loop"))
                .then_some(Turn::Single)
        }
        ExprKind::Not(operand) => turn(operand)?.opposite(),
        ExprKind::Binary { op: Operator::And, left, right } => [left, right]
            .into_iter()
            .find_map(|operand| turn(operand).filter(|turn| matches!(turn, Turn::Single))),
        _ => None,
    }
}

impl Turn {
    pub(super) fn opposite(self) -> Option<Turn> {
        match self {
            Turn::Single => Some(Turn::Others),
            Turn::Others => Some(Turn::Single),
        }
    }
}

impl Certainty {
    pub(super) fn new(frame: &Frame<'_, '_>) -> Certainty {
        Certainty { outer: frame.conditional, ..Certainty::default() }
    }

    fn enter(&mut self, met: Values, start: usize) {
        self.conditions.push(Condition { met, region: self.regions.len() });
        self.regions.push(start..start);
    }

    fn leave(&mut self, end: usize) {
        if let Some(condition) = self.conditions.pop()
            && let Some(region) = self.regions.get_mut(condition.region)
        {
            region.end = end;
        }
    }
}

impl<'a> Frame<'a, '_> {
    /// Render what stands behind a condition that holds whenever one of `met` has rows.
    pub(super) fn behind(
        &mut self,
        r: &mut Rendering<'a>,
        met: Values,
        body: impl FnOnce(&mut Self, &mut Rendering<'a>),
    ) {
        r.certainty.enter(met, self.facts.own.len());
        self.conditionally(|frame| body(frame, r));
        r.certainty.leave(self.facts.own.len());
    }

    /// The values that have rows where `test` is true, or where it is not.
    pub(super) fn tested_rows(
        &mut self,
        r: &mut Rendering<'a>,
        of: Current<'a>,
        test: &'a Expr,
        (truth, node): (bool, Node<'a>),
    ) -> Values {
        match &test.kind {
            ExprKind::Not(operand) if !truth => self.tested_rows(r, of, operand, (true, node)),
            ExprKind::Name(_) | ExprKind::Attribute { .. } if truth => {
                self.dry += 1;
                let ty = self.value_of(r, of, test, node);
                self.dry -= 1;
                self.rows_within(&ty)
            }
            _ => Values::new(),
        }
    }

    /// Render the body of a loop over `iterated`, whose events begin at `start`.
    pub(super) fn each_rendered(
        &mut self,
        r: &mut Rendering<'a>,
        (iterated, start): (&Type, usize),
        body: impl FnOnce(&mut Self, &mut Rendering<'a>),
    ) {
        let values = self.rows_within(iterated);
        let skipped_in = if r.certainty.conditions.len() as u32 != self.conditional - r.certainty.outer {
            Some(None)
        } else {
            let is_unmet = |c: &&Condition| !values.iter().any(|v| c.met.contains(v));
            r.certainty.conditions.iter().rev().find(is_unmet).map(|c| Some(c.region))
        };
        let outer = self.conditional;
        self.each(iterated, |frame| {
            let may_be_empty = frame.conditional > outer;
            if may_be_empty {
                r.certainty.enter(values.clone(), frame.facts.own.len());
            }
            match frame.may_lack_rows(r, iterated) {
                true => frame.behind(r, Values::new(), body),
                false => body(frame, r),
            }
            if may_be_empty {
                r.certainty.leave(frame.facts.own.len());
            }
        });
        if !values.is_empty() && self.dry == 0 {
            let events = start..self.facts.own.len();
            r.certainty.loops.push(Loop { values, events, skipped_in });
        }
    }

    /// Render `body` where `turn` holds of the innermost loop.
    pub(super) fn in_turn(
        &mut self,
        r: &mut Rendering<'a>,
        turn: Option<Turn>,
        body: impl FnOnce(&mut Self, &mut Rendering<'a>),
    ) {
        // What happens in a single round does not happen once a row.
        let round = match turn {
            Some(Turn::Single) => self.rounds.pop(),
            _ => None,
        };
        body(self, r);
        self.rounds.extend(round);
    }

    /// None of what has happened since the event `start` is certain for rows that are loaded.
    pub(super) fn doubt_since(&mut self, start: usize) {
        for event in self.facts.own.iter_mut().skip(start) {
            event.rounds.iter_mut().for_each(|round| round.is_certain = false);
        }
    }

    /// What a loop reads that may be skipped is not certain for rows that are loaded anyway.
    pub(super) fn settle(&mut self, certainty: &Certainty) {
        for skipped in &certainty.loops {
            let Some(region) = skipped.skipped_in else { continue };
            // Whatever else stands behind the same condition only loads the rows where the loop goes over them, too.
            let region = region.and_then(|i| certainty.regions.get(i)).unwrap_or(&skipped.events);
            for value in &skipped.values {
                let is_looped = certainty
                    .loops
                    .iter()
                    .any(|l| l.values.contains(value) && !region.contains(&l.events.start));
                let is_loaded = self.facts.own.iter().enumerate().any(|(at, event)| {
                    !region.contains(&at)
                        && matches!(&*event.kind, EventKind::Use { value: used, how } if used == value && loads(how))
                });
                if !is_looped && !is_loaded {
                    continue;
                }
                for event in self.facts.own.get_mut(skipped.events.clone()).into_iter().flatten() {
                    for round in event.rounds.iter_mut().filter(|r| r.value == *value) {
                        round.is_certain = false;
                    }
                }
            }
        }
    }
}

fn loads(how: &Use) -> bool {
    how.evaluates() || *how == Use::Other
}
