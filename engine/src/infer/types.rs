//! Types of expressions. `Unknown` never yields a fix, and no join invents knowledge.

use crate::django::{FieldKind, ModelId};
use crate::python::{ClassId, Def, NodeId};
use crate::text::FileId;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use super::callables::{Callable, Item};
pub use super::prefetched::{PrefetchObject, PrefetchedRows};
pub use super::records::Record;

/// A name, shared.
pub type Name = Arc<str>;

/// Relation names from a row to what is read: `["author", "publisher"]`.
pub type Path = SmallVec<[Name; 1]>;

/// An object of one frame: a queryset or instance made by one expression, or a parameter. See
/// [`Facts::values`](super::Facts::values).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

/// Which object a model instance is, as far as one frame can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Root {
    /// The object of that value itself.
    Value(ValueId),
    /// A row of the queryset (or an element of the list) of that value.
    Row(ValueId),
    /// Not known.
    Opaque,
}

/// A model instance: `path` relations away from `root`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instance {
    /// Its model.
    pub model: ModelId,
    /// Where it comes from.
    pub root: Root,
    /// Relations followed from there; empty for the root itself.
    pub path: Path,
}

/// What the rows of a queryset are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Rows {
    /// Model instances.
    Instances,
    /// `values()`
    Dicts,
    /// `values_list()`
    Tuples,
    /// `values_list(x, flat=True)`, with the type of `x`.
    Flat(Arc<Type>),
    /// Anything else.
    Unknown,
}

/// The class of a queryset or manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuerySetClass {
    /// Django's own.
    Plain,
    /// A class of the project (or a scanned package).
    Custom(ClassId),
    /// Not known.
    Unknown,
}

/// Properties of a queryset's state that are either there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Trait {
    Sliced,
    /// union(), intersection(), difference()
    Combined,
    Raw,
    Distinct,
    /// distinct("field")
    DistinctOn,
    /// select_for_update() without of=
    Locked,
    /// select_for_update(of=...)
    LockedOf,
    /// extra(), RawSQL
    RawSql,
    /// annotate() or alias() with something
    Annotated,
    /// values() followed by annotate()
    Grouped,
    /// order_by(), reverse()
    Ordered,
    /// Ordered in another way, or cut, on some of the paths that lead here
    OrderedSometimes,
    /// order_by() without arguments
    Unordered,
    /// reverse() of the order that the model gives
    Reversed,
    /// only() or defer()
    Deferred,
    /// select_related() without names
    BareSelectRelated,
    /// dates(), datetimes()
    Dates,
    /// none()
    Empty,
    /// using()
    Using,
    /// A method that the program does not define changed it in an unknown way
    Mysterious,
    /// A prefetch that is not a literal string
    OpaquePrefetch,
    /// A prefetch into lists: `Prefetch(to_attr=...)`
    PrefetchedList,
    /// select_related(None), prefetch_related(None): what was loaded before is not
    Forgetful,
    /// iterator()
    Iterator,
    /// FilteredRelation
    FilteredRelation,
    /// filter(pk=...): one row at most
    OneRow,
    /// A lookup, an ordering or an expression goes over a to-many relation: a row may come more than once
    ToMany,
    /// A lookup or an ordering is not spelled out: it may go over any relation
    OpaqueLookup,
}

impl Trait {
    /// Whether it narrows, orders or annotates rows that stay what they are, with what is loaded with them.
    pub fn is_narrowing(self) -> bool {
        matches!(
            self,
            Trait::Distinct
                | Trait::Annotated
                | Trait::Ordered
                | Trait::OrderedSometimes
                | Trait::Unordered
                | Trait::ToMany
                | Trait::OneRow
        )
    }
}

/// What is said of the order of rows.
const ORDERING: &[Trait] = &[Trait::Ordered, Trait::Unordered, Trait::Reversed, Trait::Sliced];

/// The state of a queryset object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuerySet {
    /// The model of its rows.
    pub model: ModelId,
    /// The objects it may be: one, or several after a join.
    pub values: SmallVec<[ValueId; 1]>,
    /// What its rows are.
    pub rows: Rows,
    /// Its class.
    pub class: QuerySetClass,
    /// Names given to select_related(), on every path that leads here.
    pub selected: BTreeSet<Name>,
    /// Names given to prefetch_related() as literals (also inside Prefetch), on every path.
    pub prefetched: BTreeSet<Name>,
    /// Relations whose object every row already holds: `author` in `author.books.all()`.
    pub known: BTreeSet<Name>,
    /// Columns named by only() (`+name`) and defer() (`-name`).
    pub deferred: BTreeSet<Name>,
    /// Names of annotations.
    pub annotations: BTreeSet<Name>,
    /// Models whose rows its lookups, subqueries and eager loads read besides its own.
    pub joined: BTreeSet<ModelId>,
    /// The rest.
    pub traits: BTreeSet<Trait>,
    /// What `Prefetch` objects bring along with the rows.
    pub lists: Vec<PrefetchedRows>,
    /// For a related manager's queryset: the owner and the accessor, whose prefetch cache may serve it.
    pub related: Option<Arc<Related>>,
}

/// Where a related manager hangs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Related {
    /// The instance that owns it.
    pub owner: Instance,
    /// The attribute.
    pub accessor: Name,
}

/// A manager: `Book.objects`, or a related manager `author.books`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Manager {
    /// The model of its rows.
    pub model: ModelId,
    /// Its class (of the manager, not the queryset).
    pub class: QuerySetClass,
    /// The attribute on the model, for a model's manager.
    pub name: Option<Name>,
    /// For a related manager.
    pub related: Option<Arc<Related>>,
    /// Relations every row already holds.
    pub known: BTreeSet<Name>,
    /// A many-to-many manager: writing also writes the link.
    pub is_many_to_many: bool,
}

/// The type of an expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Type {
    Unknown,
    /// No value: the element of an empty list. Disappears in a join.
    Never,
    None,
    Bool,
    Int,
    Float,
    Str,
    Bytes,
    /// A value of a column of that kind which has no type of its own above.
    Column(FieldKind),
    Instance(Instance),
    ModelClass(ModelId),
    Manager(Arc<Manager>),
    QuerySet(Arc<QuerySet>),
    List(Arc<Type>),
    Set(Arc<Type>),
    Tuple(Arc<[Type]>),
    Dict(Arc<Dict>),
    /// Anything that is iterated once: iterators, generators, map, zip.
    Iterator(Arc<Type>),
    /// A module, class or function.
    Def(Def),
    /// An instance of a class of the program that is not a model, manager or queryset.
    Object(ClassId),
    /// One of those of which is known that it keeps querysets or rows.
    Record(Arc<Record>),
    /// `super()` inside a method of that class, for that receiver.
    Super(ClassId, Arc<Type>),
    /// An instance of something outside the program, by the dotted path of what made it.
    External(Name),
    /// An attribute that is called: the receiver and the name.
    Bound(Arc<Type>, Name),
    /// A function or lambda defined inside the current frame.
    Local(NodeId),
    /// A `Prefetch` object.
    Prefetch(Arc<PrefetchObject>),
    /// A callable that is a value, whoever calls it.
    Callable(Arc<Callable>),
    /// One of these; `None` among them for an optional.
    Union(Arc<[Type]>),
}

/// What is known of a dict: its keys, its values, and the values of keys that are literal strings, each with the
/// expression that was put there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dict(pub Type, pub Type, pub KnownKeys);

/// Literal keys: the type of the value, and the expression that was put there.
pub type KnownKeys = BTreeMap<Name, (Type, FileId, NodeId)>;

impl Type {
    /// A dict of which nothing but the types of keys and values is known.
    pub fn dict(key: Type, value: Type) -> Type {
        Type::Dict(Arc::new(Dict(key, value, BTreeMap::new())))
    }

    /// A list of `element`.
    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(element))
    }

    /// An iterator over `element`.
    pub fn iterator(element: Type) -> Type {
        Type::Iterator(Arc::new(element))
    }

    /// `self` or None.
    pub fn optional(self) -> Type {
        self.join(Type::None)
    }

    /// Without `None`, and the only remaining alternative where there is one.
    pub fn without_none(&self) -> &Type {
        match self {
            Type::Union(types) => {
                let mut rest = types.iter().filter(|t| **t != Type::None);
                match (rest.next(), rest.next()) {
                    (Some(only), None) => only,
                    _ => self,
                }
            }
            _ => self,
        }
    }

    /// Whether it may be None.
    pub fn may_be_none(&self) -> bool {
        match self {
            Type::None | Type::Unknown => true,
            Type::Union(types) => types.contains(&Type::None),
            _ => false,
        }
    }

    /// The queryset, if it is certainly one.
    pub fn queryset(&self) -> Option<&Arc<QuerySet>> {
        match self {
            Type::QuerySet(qs) => Some(qs),
            _ => None,
        }
    }

    /// The instance, if it is one or None.
    pub fn instance(&self) -> Option<&Instance> {
        match self.without_none() {
            Type::Instance(instance) => Some(instance),
            _ => None,
        }
    }

    /// The class of an object of the program that is no row.
    pub fn object_class(&self) -> Option<ClassId> {
        match self {
            Type::Object(class) => Some(*class),
            Type::Record(record) => Some(record.class),
            _ => None,
        }
    }

    /// The instance that a container holds, however deep; nothing where it holds several that differ.
    pub fn held_instance(&self) -> Option<&Instance> {
        let mut found = None;
        self.find_held(&mut found).then_some(found)?
    }

    /// Whether there is no second instance.
    fn find_held<'t>(&'t self, found: &mut Option<&'t Instance>) -> bool {
        match self {
            Type::Instance(instance) => match found {
                Some(before) => *before == instance,
                None => {
                    *found = Some(instance);
                    true
                }
            },
            Type::List(t) | Type::Set(t) | Type::Iterator(t) => t.find_held(found),
            Type::Tuple(types) | Type::Union(types) => types.iter().all(|t| t.find_held(found)),
            Type::Dict(kv) => {
                kv.0.find_held(found)
                    && kv.1.find_held(found)
                    && kv.2.values().all(|(ty, ..)| ty.find_held(found))
            }
            _ => true,
        }
    }

    /// The alternatives.
    pub fn alternatives(&self) -> &[Type] {
        match self {
            Type::Union(types) => types,
            _ => std::slice::from_ref(self),
        }
    }

    /// What is known where control flow brings `self` and `other` together.
    pub fn join(self, other: Type) -> Type {
        if self == other {
            return self;
        }
        match (self, other) {
            (Type::Never, other) | (other, Type::Never) => other,
            (Type::Unknown, _) | (_, Type::Unknown) => Type::Unknown,
            (Type::QuerySet(a), Type::QuerySet(b)) if a.model == b.model => {
                Type::QuerySet(Arc::new(QuerySet::join(&a, &b)))
            }
            (Type::Instance(a), Type::Instance(b)) if a.model == b.model => {
                Type::Instance(Instance { model: a.model, root: Root::Opaque, path: Path::new() })
            }
            (Type::List(a), Type::List(b)) => Type::list((*a).clone().join((*b).clone())),
            (Type::Set(a), Type::Set(b)) => Type::Set(Arc::new((*a).clone().join((*b).clone()))),
            (Type::Iterator(a), Type::Iterator(b)) => Type::iterator((*a).clone().join((*b).clone())),
            (Type::Dict(a), Type::Dict(b)) => Type::Dict(Arc::new(Dict::join(&a, &b))),
            (a, b) => {
                let mut out: Vec<Type> = a.alternatives().to_vec();
                for alternative in b.alternatives() {
                    if out.contains(alternative) {
                        continue;
                    }
                    let partner = out.iter().position(|t| t.merges_with(alternative));
                    match partner {
                        Some(i) => {
                            let merged = out.swap_remove(i).join(alternative.clone());
                            out.push(merged);
                        }
                        None => out.push(alternative.clone()),
                    }
                }
                // The order of alternatives must not depend on the order of joins.
                out.sort_by_key(|t| format!("{t:?}"));
                match out.len() {
                    0 => Type::Unknown,
                    1 => out.remove(0),
                    2..=4 => Type::Union(out.into()),
                    _ => Type::Unknown,
                }
            }
        }
    }

    fn merges_with(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::QuerySet(a), Type::QuerySet(b)) => a.model == b.model,
            (Type::Instance(a), Type::Instance(b)) => a.model == b.model,
            (Type::List(_), Type::List(_))
            | (Type::Set(_), Type::Set(_))
            | (Type::Iterator(_), Type::Iterator(_))
            | (Type::Dict(_), Type::Dict(_)) => true,
            _ => false,
        }
    }
}

impl Dict {
    /// Either of two: a key that only one has may be there or not.
    fn join(a: &Dict, b: &Dict) -> Dict {
        let mut known = a.2.clone();
        for (key, (ty, file, node)) in &b.2 {
            let joined = match known.remove(key) {
                Some((before, at, place)) if (at, place) == (*file, *node) => before.join(ty.clone()),
                // Put there by different expressions: the last of them speaks for none.
                Some((before, ..)) if before != *ty => continue,
                _ => ty.clone(),
            };
            known.insert(key.clone(), (joined, *file, *node));
        }
        Dict(a.0.clone().join(b.0.clone()), a.1.clone().join(b.1.clone()), known)
    }
}

impl QuerySet {
    /// A fresh queryset of all rows of `model`.
    pub fn new(model: ModelId, class: QuerySetClass, value: ValueId) -> QuerySet {
        QuerySet {
            model,
            values: SmallVec::from_slice(&[value]),
            rows: Rows::Instances,
            class,
            selected: BTreeSet::new(),
            prefetched: BTreeSet::new(),
            known: BTreeSet::new(),
            deferred: BTreeSet::new(),
            annotations: BTreeSet::new(),
            joined: BTreeSet::new(),
            traits: BTreeSet::new(),
            lists: Vec::new(),
            related: None,
        }
    }

    /// Whether it has the trait on some path.
    pub fn is(&self, property: Trait) -> bool {
        self.traits.contains(&property)
    }

    /// A list that only one of them has is that one's wherever it is there at all; the rows of a relation may be others.
    fn join_lists(a: &QuerySet, b: &QuerySet) -> Vec<PrefetchedRows> {
        let is_named = |list: &PrefetchedRows, among: &QuerySet| {
            among.lists.iter().any(|l| (&l.path, &l.name) == (&list.path, &list.name))
        };
        let of_both = a.lists.iter().filter(|l| b.lists.contains(l));
        let of_a = a.lists.iter().filter(|l| l.is_list && !is_named(l, b));
        let of_b = b.lists.iter().filter(|l| l.is_list && !is_named(l, a));
        let mut out: Vec<PrefetchedRows> = of_both.chain(of_a).chain(of_b).cloned().collect();
        // The order of joins must not show.
        out.sort_by(|x, y| (&x.path, &x.name).cmp(&(&y.path, &y.name)));
        out
    }

    /// What is true of both is kept; what may limit a rewrite is collected.
    fn join(a: &QuerySet, b: &QuerySet) -> QuerySet {
        let mut values: SmallVec<[ValueId; 1]> = a.values.clone();
        values.extend(b.values.iter().copied());
        values.sort();
        values.dedup();
        // What has no rows says nothing of what is loaded with them.
        let is_empty = (a.is(Trait::Empty), b.is(Trait::Empty));
        let (loaded, also) = match is_empty {
            (true, false) => (b, b),
            (false, true) => (a, a),
            _ => (a, b),
        };
        let mut traits: BTreeSet<Trait> = a.traits.union(&b.traits).copied().collect();
        if !(a.is(Trait::OneRow) && b.is(Trait::OneRow)) {
            traits.remove(&Trait::OneRow);
        }
        if is_empty != (true, true) {
            traits.remove(&Trait::Empty);
        }
        let differs = |t: &Trait| a.is(*t) != b.is(*t);
        if is_empty == (false, false) && ORDERING.iter().any(differs) {
            traits.insert(Trait::OrderedSometimes);
        }
        QuerySet {
            model: a.model,
            values,
            rows: if a.rows == b.rows { a.rows.clone() } else { Rows::Unknown },
            class: if a.class == b.class { a.class } else { QuerySetClass::Unknown },
            selected: loaded.selected.intersection(&also.selected).cloned().collect(),
            prefetched: loaded.prefetched.intersection(&also.prefetched).cloned().collect(),
            known: loaded.known.intersection(&also.known).cloned().collect(),
            deferred: a.deferred.union(&b.deferred).cloned().collect(),
            annotations: a.annotations.union(&b.annotations).cloned().collect(),
            joined: a.joined.union(&b.joined).copied().collect(),
            traits,
            lists: QuerySet::join_lists(a, b),
            related: if a.related == b.related { a.related.clone() } else { None },
        }
    }
}
