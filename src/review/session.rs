//! A review as a state machine: keys in, what to show next out. It reads, writes and prints nothing.
//!
//! An answer can be undone until the review is over. What has no answer is not taken, and what would overlap a fix that was
//! taken is never taken.

use crate::escape::escape_line;
use crate::paths::Paths;
use crate::plan::{Plan, PlannedEdit, PlannedFix, PlannedImport, PlannedOutcome};
use crate::report::plural;
use ormend_engine::rewrite::touches;
use ormend_engine::text::Span;
use std::collections::BTreeMap;

/// A review in progress.
pub struct Session {
    /// The plan, its fixes taken out.
    plan: Plan,
    items: Vec<Item>,
    /// The fix that is asked about.
    at: usize,
    /// Only fixes of a codemod or file with this in its name are asked about.
    filter: String,
    steps: Vec<Step>,
}

/// A fix under review.
#[derive(Clone)]
pub struct Item {
    pub fix: PlannedFix,
    /// Its file as shown, escaped.
    pub file: String,
    pub answer: Option<Answer>,
    /// Its edits are no longer those of the codemod.
    pub is_edited: bool,
    /// Why it cannot be applied, whatever else is taken.
    pub obstacle: Option<String>,
}

impl Item {
    pub fn is_unsafe(&self) -> bool {
        self.fix.outcome == PlannedOutcome::Unsafe
    }

    /// `shop/views.py:5`
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.fix.line)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Take,
    Leave,
}

/// What undoing an answer brings back.
struct Step {
    at: usize,
    before: Vec<(usize, Item)>,
}

/// A key, as far as it can be an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Up,
    Down,
    /// The end of input.
    End,
    Interrupt,
}

/// What a key led to.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// Lines to print first, escaped.
    pub say: Vec<String>,
    pub then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Ask about the same fix again, which is on the screen.
    Ask,
    /// Show the fix that is next, and ask.
    Show,
    /// Show what the keys mean, and ask.
    Help,
    /// Show every fix with its answer, and ask.
    List,
    /// Let the user edit the fix; then [`Session::take_edited`].
    Edit,
    /// Ask for a filter; then [`Session::filter`].
    Filter,
    /// Every answer is given.
    Finish,
    /// Nothing is to be applied or written.
    Abort,
}

fn ask(say: impl Into<String>) -> Reply {
    Reply { say: vec![say.into()], then: Then::Ask }
}

fn just(then: Then) -> Reply {
    Reply { say: Vec::new(), then }
}

/// Those of an answer to several fixes.
#[derive(Clone, Copy)]
enum Scope {
    File,
    Codemod,
}

impl Session {
    /// A review of all fixes of `plan`, in their order, whatever is selected now.
    pub fn new(mut plan: Plan, paths: &Paths) -> Session {
        let item = |fix: PlannedFix| Item {
            file: paths.show(&fix.path),
            fix,
            answer: None,
            is_edited: false,
            obstacle: None,
        };
        let items = std::mem::take(&mut plan.fixes).into_iter().map(item).collect();
        Session { plan, items, at: 0, filter: String::new(), steps: Vec::new() }
    }

    /// The fix that is asked about; `None` if there is none at all.
    pub fn current(&self) -> Option<&Item> {
        self.items.get(self.at)
    }

    /// The fixes that the filter lets through, and whether each is the one that is asked about.
    pub fn list(&self) -> impl Iterator<Item = (bool, &Item)> {
        self.visible().filter_map(|index| Some((index == self.at, self.items.get(index)?)))
    }

    /// The plan without its fixes, which says what the files were like.
    pub fn files(&self) -> &Plan {
        &self.plan
    }

    /// `2/7`, or with a filter `` 1/3 with `views` ``.
    pub fn position(&self) -> String {
        let number = self.visible().position(|index| index == self.at).map_or(0, |index| index + 1);
        let filter = match self.filter.as_str() {
            "" => String::new(),
            text => format!(" with `{}`", escape_line(text)),
        };
        format!("{number}/{}{filter}", self.visible().count())
    }

    /// Say why the fix that is asked about cannot be applied, or that it can.
    pub fn set_obstacle(&mut self, why: Option<String>) {
        if let Some(item) = self.items.get_mut(self.at) {
            item.obstacle = why;
        }
    }

    /// The plan, with what was taken selected.
    pub fn into_plan(self) -> Plan {
        let mut plan = self.plan;
        plan.fixes = self
            .items
            .into_iter()
            .map(|item| PlannedFix { selected: item.answer == Some(Answer::Take), ..item.fix })
            .collect();
        plan
    }

    /// What was taken and left, and below that one line a codemod.
    pub fn summary(&self) -> Vec<String> {
        let mut codemods: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
        for item in &self.items {
            let (taken, edited, left) = codemods.entry(&item.fix.codemod).or_default();
            match item.answer {
                Some(Answer::Take) => {
                    *taken += 1;
                    *edited += usize::from(item.is_edited);
                }
                _ => *left += 1,
            }
        }
        let taken: usize = codemods.values().map(|(taken, ..)| taken).sum();
        let width = codemods.keys().map(|name| escape_line(name).chars().count()).max().unwrap_or(0);
        let first = format!("Took {taken} of {}.", plural(self.items.len(), "fix", "fixes"));
        let line = |(name, (taken, edited, left)): (&&str, &(usize, usize, usize))| {
            let edited = if *edited > 0 { format!(" ({edited} edited)") } else { String::new() };
            format!("  {:width$}  {taken} taken{edited}, {left} left", escape_line(name))
        };
        std::iter::once(first).chain(codemods.iter().map(line)).collect()
    }

    /// Answer with `key`.
    pub fn press(&mut self, key: Key) -> Reply {
        match key {
            Key::Char('y') => self.take(),
            Key::Char('n') => self.answer_one(Answer::Leave),
            Key::Char('a') => self.take_all(Scope::File),
            Key::Char('A') => self.take_all(Scope::Codemod),
            Key::Char('d') => self.leave_all(Scope::File),
            Key::Char('D') => self.leave_all(Scope::Codemod),
            Key::Char('u') => self.undo(),
            Key::Char('j') | Key::Down => self.step(true),
            Key::Char('k') | Key::Up => self.step(false),
            Key::Char('e') => match self.current().and_then(|item| item.obstacle.as_ref()) {
                Some(why) => refusal(why),
                None => just(Then::Edit),
            },
            Key::Char('l') => just(Then::List),
            Key::Char('/') => just(Then::Filter),
            Key::Char('q') | Key::End => just(Then::Finish),
            Key::Interrupt => just(Then::Abort),
            Key::Char(_) => just(Then::Help),
        }
    }

    /// Ask about nothing but fixes with `text` in the name of their codemod or file; with an empty one about all.
    pub fn filter(&mut self, text: &str) -> Reply {
        let text = text.trim();
        let before = std::mem::replace(&mut self.filter, text.to_owned());
        if self.visible().next().is_none() {
            self.filter = before;
            return ask(format!("No fix has `{}` in its codemod or file.", escape_line(text)));
        }
        let is_here = self.visible().any(|index| index == self.at);
        if !is_here {
            // What still waits for an answer comes first.
            let next = self.waiting().find(|index| *index > self.at).or_else(|| self.waiting().next());
            self.at = next.or_else(|| self.visible().next()).unwrap_or(self.at);
        }
        just(Then::Show)
    }

    /// Take the fix that is asked about with other edits and imports.
    pub fn take_edited(&mut self, edits: Vec<PlannedEdit>, imports: Vec<PlannedImport>) -> Reply {
        let at = self.at;
        let Some(before) = self.items.get(at).cloned() else { return just(Then::Finish) };
        let mut item = before.clone();
        item.fix.edits = edits;
        item.fix.imports = imports;
        if let Some(why) = self.overlap(at, &item.fix) {
            return refusal(&why);
        }
        item.is_edited = true;
        item.answer = Some(Answer::Take);
        if let Some(place) = self.items.get_mut(at) {
            *place = item;
        }
        self.steps.push(Step { at, before: vec![(at, before)] });
        self.advance(Vec::new())
    }

    fn take(&mut self) -> Reply {
        match self.why_not(self.at) {
            Some(why) => refusal(&why),
            None => self.answer_one(Answer::Take),
        }
    }

    fn answer_one(&mut self, answer: Answer) -> Reply {
        let mut step = Step { at: self.at, before: Vec::new() };
        self.set(self.at, answer, &mut step);
        self.steps.push(step);
        self.advance(Vec::new())
    }

    /// Take the safe ones of those that share the file or codemod and wait for an answer, from this one on.
    fn take_all(&mut self, scope: Scope) -> Reply {
        let (mut scoped, name) = self.scoped(scope);
        scoped.retain(|index| self.items.get(*index).is_some_and(|item| item.answer != Some(Answer::Take)));
        // Of two that want the same place the one that the plan prefers.
        scoped.sort_by_key(|index| !self.items.get(*index).is_some_and(|item| item.fix.selected));
        let mut step = Step { at: self.at, before: Vec::new() };
        let (mut taken, mut risky, mut refused) = (0, 0, 0);
        for index in scoped {
            if self.items.get(index).is_some_and(Item::is_unsafe) {
                risky += 1;
            } else if self.why_not(index).is_some() {
                refused += 1;
                self.set(index, Answer::Leave, &mut step);
            } else {
                taken += 1;
                self.set(index, Answer::Take, &mut step);
            }
        }
        let mut say = vec![format!("Took {} of {name}.", plural(taken, "fix", "fixes"))];
        if refused > 0 {
            let them = plural(refused, "fix that does", "fixes that do");
            say.push(format!("Left {them} not fit what was taken, or the file."));
        }
        if risky > 0 {
            let them = plural(risky, "unsafe fix", "unsafe fixes");
            say.push(format!("{them} left: only `y` takes one."));
        }
        if step.before.is_empty() {
            return Reply { say, then: Then::Ask };
        }
        self.steps.push(step);
        self.advance_from(say)
    }

    fn leave_all(&mut self, scope: Scope) -> Reply {
        let mut step = Step { at: self.at, before: Vec::new() };
        let (scoped, name) = self.scoped(scope);
        let say = vec![format!("Left {} of {name}.", plural(scoped.len(), "fix", "fixes"))];
        for index in scoped {
            self.set(index, Answer::Leave, &mut step);
        }
        self.steps.push(step);
        self.advance(say)
    }

    fn undo(&mut self) -> Reply {
        let Some(step) = self.steps.pop() else { return ask("There is no answer to undo.") };
        for (index, before) in step.before {
            if let Some(item) = self.items.get_mut(index) {
                *item = before;
            }
        }
        self.at = step.at;
        let is_hidden = !self.visible().any(|index| index == self.at);
        if is_hidden {
            self.filter.clear();
        }
        just(Then::Show)
    }

    fn step(&mut self, forwards: bool) -> Reply {
        let next = match forwards {
            true => self.visible().find(|index| *index > self.at),
            false => self.visible().filter(|index| *index < self.at).last(),
        };
        match next {
            Some(index) => {
                self.at = index;
                just(Then::Show)
            }
            None => ask(if forwards { "This is the last fix." } else { "This is the first fix." }),
        }
    }

    /// Go to the next fix after this one that waits for an answer, round the end.
    fn advance(&mut self, say: Vec<String>) -> Reply {
        let next = self.waiting().find(|index| *index > self.at);
        self.go_to(next, say)
    }

    /// The same, with this one if it waits.
    fn advance_from(&mut self, say: Vec<String>) -> Reply {
        let next = self.waiting().find(|index| *index >= self.at);
        self.go_to(next, say)
    }

    fn go_to(&mut self, next: Option<usize>, mut say: Vec<String>) -> Reply {
        let mut next = next.or_else(|| self.waiting().next());
        if next.is_none() && !self.filter.is_empty() {
            let filter = std::mem::take(&mut self.filter);
            next = self.waiting().find(|index| *index > self.at).or_else(|| self.waiting().next());
            if next.is_some() {
                say.push(format!("No fix with `{}` is left; here are the others.", escape_line(&filter)));
            }
        }
        let Some(next) = next else { return Reply { say, then: Then::Finish } };
        self.at = next;
        Reply { say, then: Then::Show }
    }

    /// The fixes that the filter lets through.
    fn visible(&self) -> impl Iterator<Item = usize> {
        let matches =
            |item: &Item| item.fix.codemod.contains(&self.filter) || item.file.contains(&self.filter);
        self.items.iter().enumerate().filter(move |(_, item)| matches(item)).map(|(index, _)| index)
    }

    /// Those of them that have no answer.
    fn waiting(&self) -> impl Iterator<Item = usize> {
        self.visible().filter(|index| self.items.get(*index).is_some_and(|item| item.answer.is_none()))
    }

    /// This fix, and those after it that wait for an answer and share its file or codemod; and the name of what they share.
    fn scoped(&self, scope: Scope) -> (Vec<usize>, String) {
        let Some(current) = self.items.get(self.at) else { return (Vec::new(), String::new()) };
        let shares = |item: &Item| match scope {
            Scope::File => item.fix.path == current.fix.path,
            Scope::Codemod => item.fix.codemod == current.fix.codemod,
        };
        let later = self.waiting().filter(|index| *index > self.at);
        let later = later.filter(|index| self.items.get(*index).is_some_and(shares));
        let name = match scope {
            Scope::File => current.file.clone(),
            Scope::Codemod => format!("`{}`", escape_line(&current.fix.codemod)),
        };
        (std::iter::once(self.at).chain(later).collect(), name)
    }

    fn set(&mut self, index: usize, answer: Answer, step: &mut Step) {
        if let Some(item) = self.items.get_mut(index) {
            step.before.push((index, item.clone()));
            item.answer = Some(answer);
        }
    }

    /// Why a fix cannot be taken.
    fn why_not(&self, index: usize) -> Option<String> {
        let item = self.items.get(index)?;
        item.obstacle.clone().or_else(|| self.overlap(index, &item.fix))
    }

    /// The fix that was taken and whose place `fix`, which stands at `index`, would change too.
    fn overlap(&self, index: usize, fix: &PlannedFix) -> Option<String> {
        let others = self.items.iter().enumerate();
        let mut taken = others.filter(|(other, item)| *other != index && item.answer == Some(Answer::Take));
        let (_, other) = taken.find(|(_, item)| overlaps(&item.fix, fix))?;
        let (codemod, place) = (escape_line(&other.fix.codemod), other.place());
        Some(format!("it overlaps `{codemod}` at {place}, which was taken"))
    }
}

fn refusal(why: &str) -> Reply {
    ask(format!("It cannot be taken: {}.", escape_line(why)))
}

fn overlaps(a: &PlannedFix, b: &PlannedFix) -> bool {
    // A plan may hold any numbers.
    let span = |edit: &PlannedEdit| Span::new(edit.start, edit.end.max(edit.start));
    let meet = |x: &PlannedEdit, y: &PlannedEdit| x.path == y.path && touches(span(x), span(y));
    a.edits.iter().any(|x| b.edits.iter().any(|y| meet(x, y)))
}

#[cfg(test)]
mod tests;
