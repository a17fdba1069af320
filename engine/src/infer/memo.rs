//! What was evaluated once is remembered, and recursion is cut off.
//!
//! Results never depend on the order in which frames are analysed, nor on which thread does it. A summary that met
//! nothing which was still being evaluated (a *complete* one) is the same from everywhere and is remembered for
//! good; it is used only where evaluating it again would not meet such a thing either. A *partial* one, cut off at
//! something further out, is remembered until that is done, and what uses it is partial, too.

use super::summary::Summary;
use super::types::{Name, Type};
use crate::django::ModelId;
use crate::python::touched::{self, Things};
use crate::python::{ClassId, FunctionId, NodeId};
use crate::text::FileId;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

/// Calls nested deeper than this are not followed. Recursion is found long before; only a chain of that many
/// different functions comes here.
const MAX_DEPTH: usize = 200;
/// The stack that evaluating one frame may take, and what is added when less is left.
const RED_ZONE: usize = 512 << 10;
const GROW_BY: usize = 4 << 20;

const SHARDS: usize = 64;

/// Something that is evaluated by itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Task {
    /// A call of a function with arguments of these types, one a parameter.
    Call(FunctionId, Vec<Type>),
    /// An expression outside functions: a module variable's or class attribute's value.
    Value(FileId, NodeId),
    /// A call of a lambda outside functions.
    Lambda(FileId, NodeId, Vec<Type>),
    /// The fields of a serializer, for an instance of the model.
    Fields(ClassId, ModelId),
    /// What methods of a class assign to an attribute of `self`.
    Assigned(ClassId, Name),
}

/// A function, whatever it is called with, an outside expression or a serializer: recursion is between these.
type Unit = u32;

/// What is a unit besides functions.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Outer {
    Value(FileId, NodeId),
    Lambda(FileId, NodeId),
    Fields(ClassId),
    Assigned(ClassId, Name),
}

/// The summaries of a project, for all threads.
pub(super) struct Memo {
    functions: u32,
    outer: Mutex<FxHashMap<Outer, Unit>>,
    shards: Vec<Mutex<FxHashMap<Task, Arc<Summary>>>>,
}

/// Units that an evaluation looked into, at any depth, in order.
pub(super) type Reach = Arc<[Unit]>;

/// What one thread is evaluating.
#[derive(Default)]
pub(super) struct Stack {
    /// Outermost first.
    active: Vec<Level>,
    /// Summaries that were cut off, each with the depth of the outermost level that it was cut off at.
    partial: FxHashMap<Task, (Arc<Summary>, usize)>,
    /// The keys of `partial`, in the order in which they came.
    order: Vec<Task>,
    /// Scratch for [`Level::reach`].
    bits: Vec<u64>,
}

struct Level {
    unit: Unit,
    /// The outermost level at which something below was cut off.
    cut: usize,
    /// Levels below, at most.
    height: usize,
    units: FxHashSet<Unit>,
    below: Vec<Reach>,
    seen: FxHashSet<usize>,
}

/// Why there is no summary.
pub(super) enum Met {
    /// The task is being evaluated further out.
    Recursion,
    /// Too many calls are nested.
    TooDeep,
}

impl Memo {
    pub fn new(functions: usize) -> Memo {
        Memo {
            functions: u32::try_from(functions).unwrap_or(u32::MAX),
            outer: Mutex::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    fn unit(&self, task: &Task) -> Unit {
        let key = match task {
            Task::Call(function, _) => return function.0,
            Task::Value(file, node) => Outer::Value(*file, *node),
            Task::Lambda(file, node, _) => Outer::Lambda(*file, *node),
            Task::Fields(class, _) => Outer::Fields(*class),
            Task::Assigned(class, name) => Outer::Assigned(*class, name.clone()),
        };
        let mut outer = self.outer.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.functions.saturating_add(u32::try_from(outer.len()).unwrap_or(u32::MAX));
        *outer.entry(key).or_insert(next)
    }

    fn shard(&self, task: &Task) -> Option<&Mutex<FxHashMap<Task, Arc<Summary>>>> {
        let mut hasher = FxHasher::default();
        task.hash(&mut hasher);
        self.shards.get((hasher.finish() >> 32) as usize % SHARDS)
    }

    fn get(&self, task: &Task) -> Option<Arc<Summary>> {
        self.shard(task)?.lock().unwrap_or_else(PoisonError::into_inner).get(task).cloned()
    }

    fn put(&self, task: Task, summary: Arc<Summary>) {
        if let Some(shard) = self.shard(&task) {
            shard.lock().unwrap_or_else(PoisonError::into_inner).insert(task, summary);
        }
    }

    /// Throw away what was found in `changed`.
    pub fn forget(&self, changed: &Things) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, summary| !summary.touched.any_of(changed));
        }
    }

    /// The summary of `task`, by `run` if it is not remembered.
    pub fn evaluate(
        &self,
        task: Task,
        stack: &mut Stack,
        run: impl FnOnce(&Task, &mut Stack) -> Summary,
    ) -> Result<Arc<Summary>, Met> {
        let unit = self.unit(&task);
        if let Some(depth) = stack.active.iter().position(|level| level.unit == unit) {
            stack.meet(unit, depth);
            return Err(Met::Recursion);
        }
        if stack.active.len() >= MAX_DEPTH {
            stack.meet(unit, 0);
            return Err(Met::TooDeep);
        }
        if let Some(hit) = self.get(&task).filter(|hit| stack.allows(hit)) {
            stack.reach(unit, &hit);
            return Ok(hit);
        }
        if let Some((hit, cut)) = stack.partial.get(&task).cloned() {
            stack.reach(unit, &hit);
            stack.cut_at(cut);
            return Ok(hit);
        }
        let older = stack.order.len();
        let depth = stack.enter(unit);
        let (summary, touched) =
            touched::record(|| stacker::maybe_grow(RED_ZONE, GROW_BY, || run(&task, stack)));
        let (reach, height, cut) = stack.leave();
        let summary = Arc::new(Summary { reach, height, touched, ..summary });
        stack.reach(unit, &summary);
        if cut >= depth {
            stack.forget(older);
            self.put(task, summary.clone());
        } else {
            stack.cut_at(cut);
            stack.remember(task, summary.clone(), cut, older);
        }
        Ok(summary)
    }
}

impl Stack {
    /// A stack on which `function` is being evaluated.
    pub fn of(function: FunctionId) -> Stack {
        let mut stack = Stack::default();
        stack.enter(function.0);
        stack
    }

    fn enter(&mut self, unit: Unit) -> usize {
        self.active.push(Level {
            unit,
            cut: usize::MAX,
            height: 0,
            units: FxHashSet::default(),
            below: Vec::new(),
            seen: FxHashSet::default(),
        });
        self.active.len() - 1
    }

    /// The innermost level is done: what it reached, its height, and where it was cut off.
    fn leave(&mut self) -> (Reach, usize, usize) {
        match self.active.pop() {
            Some(level) => (level.reach(&mut self.bits), level.height, level.cut),
            None => (Reach::default(), 0, 0),
        }
    }

    /// Whether a complete summary is what an evaluation from here would give: it neither meets what is being
    /// evaluated, nor goes too deep.
    fn allows(&self, summary: &Summary) -> bool {
        self.active.len() + summary.height < MAX_DEPTH
            && !self.active.iter().any(|level| summary.reach.binary_search(&level.unit).is_ok())
    }

    fn meet(&mut self, unit: Unit, depth: usize) {
        if let Some(top) = self.active.last_mut() {
            top.units.insert(unit);
            top.height = top.height.max(1);
        }
        self.cut_at(depth);
    }

    fn cut_at(&mut self, depth: usize) {
        if let Some(top) = self.active.last_mut() {
            top.cut = top.cut.min(depth);
        }
    }

    /// What is being evaluated looks into `unit`, and into all that its summary reached.
    fn reach(&mut self, unit: Unit, summary: &Summary) {
        touched::again(&summary.touched);
        if let Some(top) = self.active.last_mut() {
            top.units.insert(unit);
            top.height = top.height.max(summary.height + 1);
            if !summary.reach.is_empty() && top.seen.insert(summary.reach.as_ptr().addr()) {
                top.below.push(summary.reach.clone());
            }
        }
    }

    /// Something complete is done: what was cut off inside holds no longer.
    fn forget(&mut self, older: usize) {
        for task in self.order.drain(older..) {
            self.partial.remove(&task);
        }
    }

    /// Something partial is done: what was cut off inside now hangs on what that hangs on.
    fn remember(&mut self, task: Task, summary: Arc<Summary>, cut: usize, older: usize) {
        for inner in self.order.iter().skip(older) {
            if let Some((_, at)) = self.partial.get_mut(inner) {
                *at = cut.min(*at);
            }
        }
        self.order.push(task.clone());
        self.partial.insert(task, (summary, cut));
    }
}

impl Level {
    /// The units of this level and of all below.
    fn reach(&self, bits: &mut Vec<u64>) -> Reach {
        let mut set = |unit: Unit| {
            let (word, bit) = ((unit / 64) as usize, unit % 64);
            if word >= bits.len() {
                bits.resize(word + 1, 0);
            }
            if let Some(word) = bits.get_mut(word) {
                *word |= 1 << bit;
            }
        };
        if self.below.is_empty() && self.units.is_empty() {
            return Reach::default();
        }
        self.units.iter().copied().for_each(&mut set);
        self.below.iter().flat_map(|b| b.iter().copied()).for_each(&mut set);
        let mut out = Vec::new();
        for (i, word) in bits.iter_mut().enumerate() {
            let mut rest = std::mem::take(word);
            while rest != 0 {
                out.push(i as u32 * 64 + rest.trailing_zeros());
                rest &= rest - 1;
            }
        }
        out.into()
    }
}
