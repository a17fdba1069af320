//! What the analysis of one frame (a function, method, or module body) has found.

use super::found::Found;
use super::guesses::Guesses;
use super::types::{Instance, Name, Path, QuerySet, Root, Type, ValueId};
use crate::django::ModelId;
use crate::python::NodeId;
use crate::text::{FileId, Site};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::hash::Hash;
use std::sync::Arc;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The expression that makes it: for a chain of calls, the last call so far.
    Expr(NodeId),
    /// A parameter, by position.
    Parameter(usize),
    /// Made outside the frame: a module variable, a class attribute, an attribute of `self`.
    Outside,
    /// Made by a callee, or by the framework, from a relation of an object that the frame handles; there is no
    /// expression of the frame for it.
    Callee,
}

/// One object that the frame handles.
#[derive(Clone, Debug)]
pub struct Value {
    /// Where it comes from.
    pub origin: Origin,
    /// For a queryset: the value it was derived from by a method.
    pub parent: Option<ValueId>,
    /// For a queryset: its state when it was made.
    pub queryset: Option<Arc<QuerySet>>,
    /// For a value that stands for one of several, after branches: which.
    pub alternatives: SmallVec<[ValueId; 1]>,
    /// For an instance: how it was made.
    pub made: Made,
    /// For an origin outside or in a callee: the place that made it, where it is known.
    pub site: Option<Site>,
    /// For a queryset that a callee gave back: the place where the callee loaded its rows, stored it, or took it
    /// from somewhere that outlives the call. Its rows may be loaded, and somebody else may read them.
    pub kept: Option<Site>,
}

impl Value {
    /// A queryset that a callee has made at `site`.
    pub(super) fn of_callee(queryset: Arc<QuerySet>, site: Option<Site>) -> Value {
        Value {
            origin: Origin::Callee,
            parent: None,
            queryset: Some(queryset),
            alternatives: SmallVec::new(),
            made: Made::Unknown,
            site,
            kept: None,
        }
    }

    /// What is made outside the frame, at `site`.
    pub(super) fn outside(site: Site) -> Value {
        Value {
            origin: Origin::Outside,
            parent: None,
            queryset: None,
            alternatives: SmallVec::new(),
            made: Made::Unknown,
            site: Some(site),
            kept: None,
        }
    }
}

/// How an instance came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Made {
    /// Not an instance, or not known.
    Unknown,
    /// `Model(...)`: not saved yet.
    Constructed,
    /// Read from the database: get(), first(), get_object_or_404(), refresh.
    Loaded,
    /// create() and its like: saved when it was made.
    Created,
}

/// What a frame does with a queryset object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// Iterated, or handed to something that iterates all of it: `for`, list(), sorted(), join().
    Iterate,
    /// len()
    Len,
    /// Its truth is tested.
    Truth,
    /// An index.
    Index,
    /// A slice (a new queryset, unless it is evaluated already).
    Slice,
    /// `x in qs`
    Contains,
    /// A method is called: chain methods make a new value, terminal ones query.
    Method(Name),
    /// Compared, formatted, pickled, or otherwise used in a way that is not followed.
    Other,
    /// It leaves the frame or what the frame can see.
    Escape(Escape),
}

/// How something leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Escape {
    /// Returned.
    Return,
    /// Yielded.
    Yield,
    /// Stored in an attribute, a global, an item of something.
    Store,
    /// Put into a list, tuple, dict, set display or added to a container.
    Container,
    /// Passed to code outside the program (a library, a framework).
    External,
    /// Passed to code that could not be resolved.
    UnknownCall,
}

/// An effect on the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Write {
    Insert,
    Update,
    Delete,
    /// M2M links, raw SQL, or whatever a framework's method writes.
    Other,
    /// A method of an object of unknown type has the name of one that writes.
    Unknown,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A single-valued relation is followed from an instance: a query, unless the object is cached.
    ReadRelation {
        /// The instance's root.
        root: Root,
        /// The path from the root, the relation read last included.
        path: Path,
        /// The model that the last step starts from.
        model: ModelId,
    },
    /// A to-many relation's manager is taken from an instance and a method is called or it is iterated.
    ReadMany {
        /// The instance's root.
        root: Root,
        /// The path from the root, the accessor included.
        path: Path,
        /// The method, `all` for plain.
        method: Name,
        /// The model of the rows that are read.
        model: ModelId,
    },
    /// An attribute of an instance that is a column, annotation or unknown attribute is read.
    ReadAttribute {
        /// The instance's root.
        root: Root,
        /// Relations from the root to the owner of the attribute.
        path: Path,
        /// The attribute.
        name: Name,
    },
    /// An attribute of an instance is assigned or deleted.
    WriteAttribute {
        /// The instance's root.
        root: Root,
        /// Relations from the root to the owner.
        path: Path,
        /// The attribute.
        name: Name,
    },
    /// A method of Django's on an instance: `save`, `delete`, `refresh_from_db`, `full_clean` ...
    InstanceMethod {
        /// The instance's root.
        root: Root,
        /// Relations from the root.
        path: Path,
        /// The method.
        name: Name,
    },
    /// An instance leaves what can be seen.
    InstanceEscapes {
        /// The instance's root.
        root: Root,
        /// Relations from the root.
        path: Path,
        /// How.
        how: Escape,
    },
    /// A queryset object is used.
    Use {
        /// Which.
        value: ValueId,
        /// How.
        how: Use,
    },
    /// Rows of a model are read by a query of its own (not a relation of an instance).
    Query {
        /// The model; `None` for any.
        model: Option<ModelId>,
    },
    /// Rows are written. Receivers and overrides are events of their own.
    Write {
        /// The model; `None` for any.
        model: Option<ModelId>,
        /// How.
        write: Write,
    },
    /// Code with effects outside the database and the frame: mail, HTTP, tasks, files, caches.
    Outside {
        /// What is called.
        name: Name,
    },
    /// Something is logged or printed: its order is observable, nothing else.
    Log,
    /// Code that could not be resolved is called.
    UnknownCall {
        /// What is called, as written.
        name: Name,
    },
    /// A method is called on an object of unknown type: any method of that name that takes so many positional
    /// arguments may run. Replaced by what those do before facts are handed out.
    CallNamed {
        /// The method.
        name: Name,
        /// How many positional arguments; `None` where they are spread from a container.
        positional: Option<u8>,
    },
    /// `raise`, `assert`, or code that raises on purpose.
    Raise,
    /// `yield` or `await`: others run here.
    Suspend,
    /// `transaction.atomic`, `set_rollback`, `on_commit` and the like.
    Transaction {
        /// The function.
        name: Name,
    },
}

/// A loop around something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Round {
    /// The queryset (or list) that the loop goes over.
    pub value: ValueId,
    /// Whether it happens in every round: under no condition inside the loop, and behind nothing that may leave the round.
    pub is_certain: bool,
}

/// The loops around something, outermost first.
pub type Rounds = SmallVec<[Round; 1]>;

/// One thing that happens in a frame.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The node of the frame's own file at which it happens: for something inside a callee, the call.
    pub at: NodeId,
    /// The place where it really happens, in whatever file.
    pub site: Site,
    /// What.
    pub kind: &'a EventKind,
    /// The loops over rows around it, those of callees included.
    pub rounds: &'a Rounds,
    /// Whether it happens each time that the frame runs to its end without an exception.
    pub is_certain: bool,
    /// Whether only the name of a method says so, called on an object of unknown type.
    pub is_guess: bool,
    /// `kind`, to be shared.
    pub(super) shared: &'a Arc<EventKind>,
}

/// An [`Event`], stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventData {
    pub(super) at: NodeId,
    pub(super) site: Site,
    /// Shared with the callees that it comes from.
    pub(super) kind: Arc<EventKind>,
    pub(super) rounds: Rounds,
    pub(super) is_certain: bool,
    pub(super) is_guess: bool,
}

impl EventData {
    /// The event.
    pub fn event(&self) -> Event<'_> {
        let EventData { at, site, kind, rounds, is_certain, is_guess } = self;
        Event {
            at: *at,
            site: *site,
            kind,
            rounds,
            is_certain: *is_certain,
            is_guess: *is_guess,
            shared: kind,
        }
    }
}

impl Event<'_> {
    /// The event, to be kept longer than the facts that it is of.
    pub fn to_data(self) -> EventData {
        let Event { at, site, shared, rounds, is_certain, is_guess, .. } = self;
        EventData { at, site, kind: shared.clone(), rounds: rounds.clone(), is_certain, is_guess }
    }
}

static UNKNOWN: Type = Type::Unknown;

/// The types of the expressions of a frame. Most of them are not known, which takes no more than their node.
#[derive(Clone, Debug, Default)]
pub struct Types {
    /// Where in `known` the type of a node stands, counted from 1; 0 where it is unknown.
    at: FxHashMap<NodeId, u32>,
    known: Vec<Type>,
}

impl Types {
    /// The type of a node that was evaluated.
    pub fn get(&self, node: NodeId) -> Option<&Type> {
        match self.at.get(&node)?.checked_sub(1) {
            Some(index) => self.known.get(index as usize),
            None => Some(&UNKNOWN),
        }
    }

    /// The types that are known, in no order.
    pub(super) fn known(&self) -> impl Iterator<Item = (NodeId, &Type)> {
        self.at
            .iter()
            .filter_map(|(node, index)| Some((*node, self.known.get(index.checked_sub(1)? as usize)?)))
    }

    /// How much room they take, in words.
    fn weight(&self) -> usize {
        2 * self.at.len() + 8 * self.known.len()
    }

    /// The node is evaluated, once more perhaps, and gives `ty`.
    pub(super) fn add(&mut self, node: NodeId, ty: Type) {
        let index = self.at.entry(node).or_insert(u32::MAX);
        match index.checked_sub(1).map(|i| self.known.get_mut(i as usize)) {
            // What was unknown once stays so.
            None => {}
            Some(Some(before)) => {
                let joined = std::mem::replace(before, Type::Unknown).join(ty);
                match joined {
                    Type::Unknown => *index = 0,
                    joined => *before = joined,
                }
            }
            Some(None) if ty == Type::Unknown => *index = 0,
            Some(None) => {
                self.known.push(ty);
                *index = self.known.len() as u32;
            }
        }
    }
}

/// The facts of one frame.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The file.
    pub file: FileId,
    /// The function definition or module that was analysed.
    pub scope: NodeId,
    /// Types of expressions, parentheses peeled; where a loop was evaluated, the join.
    pub types: Types,
    /// What happens, in order of evaluation, as the frame itself says it: see [`Facts::events`].
    pub(super) own: Vec<EventData>,
    /// What calls on unknown objects do.
    pub(super) guesses: Guesses,
    /// Every object, by [`ValueId`].
    pub values: Vec<Value>,
    /// What is returned (yielded, for a generator).
    pub returns: Option<Type>,
    /// What is worked out once and asked for at many nodes.
    pub(super) found: Found,
}

impl Facts {
    /// The type of the expression `node` (of this frame).
    pub fn type_of(&self, node: crate::python::Node<'_>) -> &Type {
        self.types.get(node.peel().id()).unwrap_or(&UNKNOWN)
    }

    /// Give back the room that nothing will be put into any more.
    pub(super) fn shrink(&mut self) {
        self.own.shrink_to_fit();
        self.values.shrink_to_fit();
        self.types.known.shrink_to_fit();
        self.types.at.shrink_to_fit();
    }

    /// About how many words it takes: what is kept of frames is bounded by that.
    pub(super) fn weight(&self) -> usize {
        64 + self.types.weight() + 8 * self.own.len() + 4 * self.guesses.len() + 24 * self.values.len()
    }

    /// What `find` finds in this frame, found once; `name` says who looks for it, and stands for one type.
    pub fn once<T: Send + Sync + 'static>(&self, name: &'static str, find: impl FnOnce() -> T) -> Arc<T> {
        self.found.once(name, find)
    }

    /// As [`once`](Self::once), for each `key`.
    pub fn once_for<K: Eq + Hash + Send + 'static, T: Clone + Send + 'static>(
        &self,
        name: &'static str,
        key: K,
        find: impl FnOnce() -> T,
    ) -> T {
        self.found.once_for(name, key, find)
    }

    /// A value.
    pub fn value(&self, id: ValueId) -> Option<&Value> {
        self.values.get(id.0 as usize)
    }

    /// Whether `other` is `value`, or one of the several that it stands for.
    pub fn is_or_may_be(&self, value: ValueId, other: ValueId) -> bool {
        value == other || self.value(value).is_some_and(|v| v.alternatives.contains(&other))
    }

    /// Everything that happens, in order of evaluation.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> + Clone {
        self.guesses.put_into(&self.own, |_| true)
    }

    /// The events of the frame itself, what calls on unknown objects do left out.
    pub(super) fn own_events(&self) -> impl Iterator<Item = Event<'_>> {
        self.own.iter().map(EventData::event)
    }

    /// The `index`-th of [`events`](Self::events).
    pub fn event(&self, index: usize) -> Option<Event<'_>> {
        self.guesses.nth(&self.own, index)
    }

    /// The events at or below `node`.
    pub fn events_in<'a>(&'a self, node: crate::python::Node<'a>) -> impl Iterator<Item = Event<'a>> {
        self.guesses.put_into(&self.own, move |event| node.contains(event.at))
    }

    /// Every use of `value`, its derivations not included.
    pub fn uses(&self, value: ValueId) -> impl Iterator<Item = (Event<'_>, &Use)> {
        self.own.iter().filter_map(move |e| match &*e.kind {
            EventKind::Use { value: v, how } if *v == value => Some((e.event(), how)),
            _ => None,
        })
    }

    /// Values that were derived from `value` by a method or slice.
    pub fn derived(&self, value: ValueId) -> impl Iterator<Item = ValueId> {
        (0..self.values.len() as u32)
            .map(ValueId)
            .filter(move |id| self.value(*id).is_some_and(|v| v.parent == Some(value)))
    }
}

impl EventKind {
    /// Whether it concerns no object of the frame: it means the same in a caller.
    pub fn is_ambient(&self) -> bool {
        matches!(
            self,
            EventKind::Query { .. }
                | EventKind::Write { .. }
                | EventKind::Outside { .. }
                | EventKind::Log
                | EventKind::UnknownCall { .. }
                | EventKind::CallNamed { .. }
                | EventKind::Raise
                | EventKind::Suspend
                | EventKind::Transaction { .. }
        )
    }
}

impl Use {
    /// Whether it loads the rows, where they are not loaded yet.
    pub fn evaluates(&self) -> bool {
        matches!(self, Use::Iterate | Use::Len | Use::Truth | Use::Contains)
    }

    /// Whether it may fill the queryset's result cache, or hands the object to somebody who may.
    pub fn may_load(&self) -> bool {
        self.evaluates() || matches!(self, Use::Other | Use::Escape(_))
    }
}

impl Instance {
    /// The instance that `root` is.
    pub fn root(model: ModelId, root: Root) -> Instance {
        Instance { model, root, path: Path::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_several_evaluations_are_joined() {
        let mut types = Types::default();
        for ty in [Type::Int, Type::None] {
            types.add(NodeId(1), ty);
        }
        for ty in [Type::Int, Type::Unknown, Type::Int] {
            types.add(NodeId(2), ty);
        }
        types.add(NodeId(3), Type::Unknown);
        types.add(NodeId(4), Type::Str);
        assert_eq!(types.get(NodeId(1)), Some(&Type::Int.optional()));
        assert_eq!(types.get(NodeId(2)), Some(&Type::Unknown));
        assert_eq!(types.get(NodeId(3)), Some(&Type::Unknown));
        assert_eq!(types.get(NodeId(5)), None);
        let mut known: Vec<u32> = types.known().map(|(node, _)| node.0).collect();
        known.sort_unstable();
        assert_eq!(known, [1, 4]);
    }
}
