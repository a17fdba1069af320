//! What a call of a function means for its caller, and how types and events cross from one to the other.

use super::calls::is_of_rows;
use super::facts::{EventData, EventKind, Facts, Made, Origin, Round, Rounds, Use};
use super::types::{Dict, Instance, Name, Path, Record, Root, Type, ValueId};
use crate::python::NodeId;
use crate::python::touched::Touched;
use crate::text::Site;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::sync::Arc;

/// Events kept of one callee.
const MAX_EVENTS: usize = 600;

/// What a caller needs to know of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    /// The result, in the callee's own values; parameters are values `0..parameters`.
    pub returns: Option<Type>,
    /// What happens, in the callee's own values.
    pub events: Vec<EventData>,
    /// The callee's values.
    pub values: Vec<super::facts::Value>,
    /// How many frames it took.
    pub cost: u32,
    /// What the evaluation looked into, and how many levels down.
    pub reach: super::memo::Reach,
    pub height: usize,
    /// What it was found in.
    pub touched: Touched,
}

pub(super) fn summarize(mut facts: Facts, cost: u32, is_generator: bool) -> Summary {
    // Uses of the callee's own querysets stay behind; what they did to an object that comes back does not.
    for event in &facts.own {
        if let EventKind::Use { value, how } = &*event.kind
            && how.may_load()
            && *how != Use::Escape(super::facts::Escape::Return)
            && let Some(value) = facts.values.get_mut(value.0 as usize)
        {
            value.kept.get_or_insert(event.site);
        }
    }
    let mut seen: FxHashSet<(Site, &EventKind)> = FxHashSet::default();
    let keep: Vec<bool> = facts
        .own
        .iter()
        .map(|event| {
            let crosses = match &*event.kind {
                EventKind::Use { value, how } => {
                    derives_from_argument(&facts.values, *value)
                        && *how != Use::Escape(super::facts::Escape::Return)
                }
                EventKind::InstanceEscapes { how: super::facts::Escape::Return, .. } => false,
                EventKind::ReadAttribute { root, .. } | EventKind::InstanceEscapes { root, .. } => {
                    is_parameter_root(&facts.values, *root)
                }
                EventKind::Suspend => !is_generator,
                _ => true,
            };
            // Of what concerns no object, the first place is enough.
            let site = if event.kind.is_ambient() { Site::default() } else { event.site };
            crosses && seen.insert((site, &event.kind))
        })
        .collect();
    let mut keep = keep.into_iter();
    facts.own.retain(|_| keep.next().unwrap_or(false));
    let mut events = facts.own;
    if events.len() > MAX_EVENTS {
        let (at, site) = events.first().map_or((NodeId(0), Site::default()), |e| (e.at, e.site));
        events.truncate(MAX_EVENTS);
        let kind = Arc::new(EventKind::UnknownCall { name: Name::from("...") });
        events.push(EventData { at, site, kind, rounds: Rounds::new(), is_certain: true, is_guess: false });
    }
    // Summaries live as long as the project.
    events.shrink_to_fit();
    facts.values.shrink_to_fit();
    Summary { returns: facts.returns, events, values: facts.values, cost, ..Summary::default() }
}

/// Whether a value is a parameter, or may be one of several that are.
pub(super) fn is_parameter(values: &[super::facts::Value], value: ValueId) -> bool {
    values.get(value.0 as usize).is_some_and(|v| {
        matches!(v.origin, Origin::Parameter(_))
            || v.alternatives.iter().any(|a| is_parameter_value(values, *a))
    })
}

fn is_parameter_value(values: &[super::facts::Value], value: ValueId) -> bool {
    values.get(value.0 as usize).is_some_and(|v| matches!(v.origin, Origin::Parameter(_)))
}

/// Whether a value is a parameter, or made from one by methods and slices.
fn derives_from_argument(values: &[super::facts::Value], value: ValueId) -> bool {
    let mut next = Some(value);
    for _ in 0..50 {
        let Some(id) = next else { return false };
        if is_parameter(values, id) {
            return true;
        }
        next = values.get(id.0 as usize).and_then(|v| v.parent.or_else(|| v.alternatives.first().copied()));
    }
    false
}

fn is_parameter_root(values: &[super::facts::Value], root: Root) -> bool {
    match root {
        Root::Value(v) | Root::Row(v) => derives_from_parameter(values, v),
        Root::Opaque => false,
    }
}

fn derives_from_parameter(values: &[super::facts::Value], value: ValueId) -> bool {
    let mut next = Some(value);
    let mut steps = 0;
    while let Some(id) = next {
        steps += 1;
        let Some(value) = values.get(id.0 as usize) else { return false };
        if matches!(value.origin, Origin::Parameter(_))
            || value.alternatives.iter().any(|a| is_parameter_value(values, *a))
        {
            return true;
        }
        let owner = || match value.queryset.as_deref()?.related.as_deref()?.owner.root {
            Root::Value(v) | Root::Row(v) => Some(v),
            Root::Opaque => None,
        };
        next = value.parent.or_else(owner).filter(|_| steps < 50);
    }
    false
}

/// `ty` as the `index`-th argument looks from inside the callee: its object is the parameter's value.
pub(super) fn abstracted(ty: &Type, index: usize) -> Type {
    let value = ValueId(index as u32);
    match ty {
        Type::Instance(i) => Type::Instance(Instance::root(i.model, Root::Value(value))),
        Type::QuerySet(qs) => {
            let mut qs = (**qs).clone();
            qs.forget_lists();
            qs.values = SmallVec::from_slice(&[value]);
            qs.related = qs.related.map(|r| opaque_related(&r));
            Type::QuerySet(Arc::new(qs))
        }
        // The only rows that a container holds are those of the parameter.
        Type::List(_) | Type::Set(_) | Type::Iterator(_) | Type::Dict(_) => match ty.held_instance() {
            Some(held) => rows_of_parameter(ty, held, value),
            None => opaque(ty),
        },
        Type::Union(types) => {
            Type::Union(types.iter().map(|t| abstracted(t, index)).collect::<Vec<_>>().into())
        }
        Type::Bound(rows, made) if is_of_rows(made) => {
            Type::Bound(Arc::new(abstracted(rows, index)), made.clone())
        }
        Type::Record(record) => match record.rows() {
            Some((name, rows)) => Type::Record(Arc::new(Record {
                class: record.class,
                fields: vec![(name.clone(), abstracted(rows, index))],
            })),
            None => Type::Object(record.class),
        },
        other => opaque(other),
    }
}

fn rows_of_parameter(ty: &Type, held: &Instance, value: ValueId) -> Type {
    let within = |t: &Type| rows_of_parameter(t, held, value);
    match ty {
        Type::Instance(i) if i == held => Type::Instance(Instance::root(i.model, Root::Row(value))),
        Type::List(t) => Type::List(Arc::new(within(t))),
        Type::Set(t) => Type::Set(Arc::new(within(t))),
        Type::Iterator(t) => Type::Iterator(Arc::new(within(t))),
        Type::Tuple(types) => Type::Tuple(types.iter().map(within).collect::<Vec<_>>().into()),
        Type::Union(types) => types.iter().map(within).fold(Type::Never, Type::join),
        Type::Dict(kv) => {
            let known = kv.2.iter().map(|(key, (ty, file, node))| (key.clone(), (within(ty), *file, *node)));
            Type::Dict(Arc::new(Dict(within(&kv.0), within(&kv.1), known.collect())))
        }
        other => opaque(other),
    }
}

fn opaque_related(related: &super::types::Related) -> Arc<super::types::Related> {
    Arc::new(super::types::Related {
        owner: Instance::root(related.owner.model, Root::Opaque),
        accessor: related.accessor.clone(),
    })
}

/// `ty` without any reference to the values of its frame.
pub(super) fn opaque(ty: &Type) -> Type {
    match ty {
        Type::Instance(i) => Type::Instance(Instance::root(i.model, Root::Opaque)),
        Type::Bound(made, name) if &**name == super::formsets::FORM_SET_CLASS => {
            Type::Bound(Arc::new(opaque(made)), name.clone())
        }
        Type::QuerySet(_) | Type::Local(_) | Type::Bound(..) => Type::Unknown,
        Type::Record(record) => Type::Object(record.class),
        Type::Prefetch(object) => Type::Prefetch(Arc::new(object.opaque())),
        Type::Callable(callable) => match callable.opaque() {
            Some(callable) => Type::Callable(Arc::new(callable)),
            None => Type::Unknown,
        },
        Type::Manager(m) => {
            let mut m = (**m).clone();
            m.related = m.related.map(|r| opaque_related(&r));
            Type::Manager(Arc::new(m))
        }
        Type::List(t) => Type::List(Arc::new(opaque(t))),
        Type::Set(t) => Type::Set(Arc::new(opaque(t))),
        Type::Iterator(t) => Type::Iterator(Arc::new(opaque(t))),
        Type::Dict(kv) => Type::dict(opaque(&kv.0), opaque(&kv.1)),
        Type::Tuple(types) => Type::Tuple(types.iter().map(opaque).collect::<Vec<_>>().into()),
        Type::Union(types) => types.iter().map(opaque).fold(Type::Never, Type::join),
        Type::Super(class, t) => Type::Super(*class, Arc::new(opaque(t))),
        other => other.clone(),
    }
}

/// Binds the arguments of one call and reads a callee's summary in the caller's terms.
pub(super) struct Translation<'s> {
    pub summary: &'s Summary,
    /// The caller's types of the arguments, one a parameter.
    pub arguments: &'s [Type],
    /// Querysets of the callee that have a value of their own in the caller: those of relations of the arguments.
    pub adopted: FxHashMap<ValueId, ValueId>,
    /// Querysets that the callee makes from its arguments by methods and slices, likewise: what is done to them.
    pub derived: FxHashMap<ValueId, ValueId>,
}

impl<'s> Translation<'s> {
    pub fn new(summary: &'s Summary, arguments: &'s [Type]) -> Translation<'s> {
        Translation { summary, arguments, adopted: FxHashMap::default(), derived: FxHashMap::default() }
    }

    /// A loop of the callee over rows that the caller knows.
    pub fn round(&self, round: Round) -> Option<Round> {
        match self.roots(Root::Row(round.value), &Path::new())? {
            // What hangs on each row is gone over as often as the rows.
            (Root::Row(value), _) => Some(Round { value, ..round }),
            _ => None,
        }
    }

    /// The caller's roots and path for a callee's root and path; nothing where the object is the callee's own.
    pub fn roots(&self, root: Root, path: &Path) -> Option<(Root, Path)> {
        match root {
            Root::Opaque => None,
            Root::Value(v) => {
                let parameter = self.parameter(v)?;
                let instance = rows_of(self.arguments.get(parameter)?).instance()?;
                Some((instance.root, extended(&instance.path, path)))
            }
            Root::Row(v) => {
                if let Some(adopted) = self.adopted.get(&v) {
                    return Some((Root::Row(*adopted), path.clone()));
                }
                let parameter = self.parameter(v)?;
                match rows_of(self.arguments.get(parameter)?.without_none()) {
                    Type::QuerySet(qs) => Some((Root::Row(*qs.values.first()?), path.clone())),
                    ty @ (Type::List(_) | Type::Set(_) | Type::Iterator(_) | Type::Dict(_)) => {
                        let instance = ty.held_instance()?;
                        Some((instance.root, extended(&instance.path, path)))
                    }
                    _ => None,
                }
            }
        }
    }

    /// The parameter that a value is, or was derived from.
    pub fn parameter(&self, value: ValueId) -> Option<usize> {
        let mut next = Some(value);
        for _ in 0..50 {
            let v = self.summary.values.get(next?.0 as usize)?;
            if let Origin::Parameter(index) = v.origin {
                return Some(index);
            }
            next = v.parent.or_else(|| v.alternatives.first().copied());
        }
        None
    }

    /// Whether the callee has loaded what is at the end of `path` with the rows of `root`, a queryset that it made of an
    /// argument: the rows of the argument do not tell.
    pub fn is_loaded(&self, root: Root, path: &Path) -> bool {
        let Root::Row(value) = root else { return false };
        let made = self.summary.values.get(value.0 as usize).and_then(|v| v.queryset.as_deref());
        let path = path.join("__");
        let covers = |name: &Name| {
            let whole = name.strip_suffix("__*").unwrap_or(name);
            whole.strip_prefix(&*path).is_some_and(|rest| rest.is_empty() || rest.starts_with("__"))
        };
        !is_parameter(&self.summary.values, value)
            && made.is_some_and(|qs| qs.selected.iter().chain(&qs.prefetched).any(covers))
    }

    /// How the callee made an instance.
    pub fn made(&self, value: ValueId) -> Made {
        self.summary.values.get(value.0 as usize).map_or(Made::Unknown, |v| v.made)
    }
}

/// What an argument is, or what it stands for the rows of.
pub(super) fn rows_of(ty: &Type) -> &Type {
    match ty {
        Type::Bound(rows, made) if is_of_rows(made) => rows,
        Type::Record(record) => record.rows().map_or(ty, |(_, rows)| rows),
        other => other,
    }
}

fn extended(base: &Path, more: &Path) -> Path {
    base.iter().chain(more.iter()).cloned().collect()
}
