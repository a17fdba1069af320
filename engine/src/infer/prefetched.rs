//! `Prefetch` objects: the rows that they bring come from a queryset of their own, into a list or into the relation.

use super::calls::{Arg, argument};
use super::facts::{Escape, Made, Origin, Value};
use super::frame::Frame;
use super::types::{Instance, Name, Path, QuerySet, QuerySetClass, Root, Type, ValueId};
use crate::django::{ModelId, RelationKind};
use crate::python::{Node, string_value};
use crate::text::{FileId, Site};
use smallvec::SmallVec;
use std::sync::Arc;

/// Rows that a `Prefetch` brings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrefetchedRows {
    /// The relations from the row to the owner.
    pub path: Path,
    /// The attribute of the owner.
    pub name: Name,
    /// Whether they are a list, put there for `to_attr=`; otherwise they are the rows of the relation.
    pub is_list: bool,
    /// Their model.
    pub model: ModelId,
    /// The queryset of the `Prefetch`, where it is one of this frame.
    pub rows: Type,
}

/// A `Prefetch` object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrefetchObject {
    /// The lookup.
    pub path: Name,
    /// `to_attr=`
    pub to_attr: Option<Name>,
    /// `queryset=`; `Never` without.
    pub queryset: Type,
    /// What stands for the rows that it brings.
    pub value: ValueId,
}

/// Relations of relations are followed so far up.
const MAX_CLIMB: usize = 8;

/// The class, where it is defined and where it is imported from.
pub(super) const PREFETCH: &[&str] = &["django.db.models.Prefetch", "django.db.models.query.Prefetch"];

impl<'a> Frame<'a, '_> {
    /// `Prefetch("books", queryset=..., to_attr="drafts")`; nothing where its names are not spelled out.
    pub(super) fn prefetch_object(&mut self, args: &[Arg<'a>], node: Node<'a>) -> Option<Type> {
        if args.iter().any(|a| a.stars > 0) {
            return None;
        }
        let path = Name::from(string_value(argument(args, 0, "lookup")?.node)?.as_str());
        let to_attr = match argument(args, 2, "to_attr") {
            Some(arg) => Some(Name::from(string_value(arg.node)?.as_str())),
            None => None,
        };
        let queryset = match argument(args, 1, "queryset") {
            None => Type::Never,
            Some(arg) => {
                self.escape(&arg.ty.clone(), arg.node, Escape::External);
                match &arg.ty {
                    Type::QuerySet(qs) => {
                        let qs = qs.clone();
                        self.derive(&qs, node, |_| ())
                    }
                    Type::None => Type::Never,
                    _ => Type::Unknown,
                }
            }
        };
        let made = queryset.queryset().and_then(|qs| qs.values.first().copied());
        let value = made.unwrap_or_else(|| self.value_at(node, Made::Unknown, None));
        Some(Type::Prefetch(Arc::new(PrefetchObject { path, to_attr, queryset, value })))
    }

    /// A queryset of `model` loads what the object says.
    pub(super) fn add_prefetch(&mut self, qs: &mut QuerySet, object: &PrefetchObject) {
        let through = object.path.rsplit_once("__").map(|(through, _)| through);
        match (&object.to_attr, &object.queryset) {
            (None, Type::Never) => {
                qs.prefetched.insert(object.path.clone());
            }
            (None, _) => {
                qs.prefetched.insert(Name::from(format!("{}__*", object.path)));
            }
            (Some(_), _) => {
                qs.traits.insert(super::types::Trait::PrefetchedList);
                qs.prefetched.extend(through.map(Name::from));
            }
        }
        let Some((model, known)) = self.prefetched_model(qs.model, &object.path) else { return };
        let rows = match &object.queryset {
            Type::QuerySet(rows) if rows.model == model => self.as_prefetched(rows, known),
            // What the manager gives, which nobody has spelled out.
            Type::Never if object.to_attr.is_some() => {
                let rows = QuerySet::new(model, QuerySetClass::Unknown, object.value);
                self.as_prefetched(&Arc::new(rows), known)
            }
            _ => Type::Unknown,
        };
        let last = object.path.rsplit("__").next().unwrap_or(&object.path);
        let through = through.into_iter().flat_map(|t| t.split("__"));
        let rows = PrefetchedRows {
            path: through.map(Name::from).collect(),
            name: object.to_attr.clone().unwrap_or_else(|| Name::from(last)),
            is_list: object.to_attr.is_some(),
            model,
            rows,
        };
        qs.lists.retain(|l| (&l.path, &l.name) != (&rows.path, &rows.name));
        qs.lists.push(rows);
    }

    /// The rows of a queryset as a prefetch brings them: each knows the row that it was brought for.
    fn as_prefetched(&mut self, rows: &Arc<QuerySet>, known: Option<Name>) -> Type {
        let mut out = (**rows).clone();
        out.known.extend(known);
        let out = Arc::new(out);
        if let [only] = out.values.as_slice() {
            self.set_queryset(*only, &out);
        }
        Type::QuerySet(out)
    }

    /// The model at the end of a path of relations from `model`, several of which lead to it, and what its rows know of
    /// the row before.
    fn prefetched_model(&self, model: ModelId, path: &str) -> Option<(ModelId, Option<Name>)> {
        let mut at = (model, None);
        let mut is_many = false;
        for part in path.split("__") {
            let info = self.az.project.model(at.0);
            if let Some(reverse) = info.reverse(part) {
                is_many = reverse.kind != RelationKind::OneToOne;
                let known =
                    (reverse.kind == RelationKind::ForeignKey).then(|| Name::from(reverse.field.as_str()));
                at = (reverse.source, known);
                continue;
            }
            let relation = info.field(part)?.relation.as_ref()?;
            is_many = matches!(relation.kind, RelationKind::ManyToMany | RelationKind::GenericRelation);
            at = (relation.target?, None);
        }
        is_many.then_some(at)
    }

    /// What a `Prefetch` has put where `name` of an instance is looked for.
    pub(super) fn prefetched_rows(&self, instance: &Instance, name: &str) -> Option<PrefetchedRows> {
        let mut root = instance.root;
        let mut path = instance.path.clone();
        // From rows of a relation up to the rows that have it.
        for _ in 0..MAX_CLIMB {
            let Root::Row(value) = root else { return None };
            let queryset = self.facts.value(value)?.queryset.as_deref()?;
            if let Some(found) = queryset.lists.iter().find(|l| l.path == path && *l.name == *name) {
                return Some(found.clone());
            }
            let related = queryset.related.as_deref()?;
            let mut longer = related.owner.path.clone();
            longer.push(related.accessor.clone());
            longer.extend(path);
            (root, path) = (related.owner.root, longer);
        }
        None
    }

    /// Whether something that is read of an instance comes from the queryset of a `Prefetch`.
    pub(super) fn has_prefetched_rows(&self, instance: &Instance) -> bool {
        let Root::Row(value) = instance.root else { return false };
        let queryset = self.facts.value(value).and_then(|v| v.queryset.as_deref());
        queryset.is_some_and(|qs| {
            qs.lists.iter().any(|l| l.path.starts_with(&instance.path) && matches!(l.rows, Type::QuerySet(_)))
        })
    }

    /// The list that `name` of an instance is: its elements are rows of the queryset of the `Prefetch`.
    pub(super) fn prefetched_list(
        &mut self,
        instance: &Instance,
        name: &str,
        node: Node<'a>,
    ) -> Option<Type> {
        let list = self.prefetched_rows(instance, name).filter(|l| l.is_list)?;
        let row = match &list.rows {
            Type::QuerySet(rows) => {
                let rows = rows.clone();
                self.element(&Type::QuerySet(rows), node)
            }
            _ => Type::Instance(Instance::root(list.model, Root::Opaque)),
        };
        Some(Type::list(row))
    }

    /// The queryset of the `Prefetch` that has brought the rows of a relation.
    pub(super) fn brought_by(&self, qs: &QuerySet) -> Option<Arc<QuerySet>> {
        let related = qs.related.as_deref()?;
        let brought = self.prefetched_rows(&related.owner, &related.accessor).filter(|l| !l.is_list)?;
        brought.rows.queryset().cloned()
    }

    /// What the `Prefetch` objects of a callee bring has values of its own here, one for each place that makes such an
    /// object.
    pub(super) fn lists_of_callee(&mut self, qs: &mut QuerySet, values: &[Value], file: FileId) {
        for list in &mut qs.lists {
            let Type::QuerySet(rows) = std::mem::replace(&mut list.rows, Type::Unknown) else { continue };
            if let Some(rows) = self.rows_of_callee(&rows, values, file) {
                list.rows = Type::QuerySet(rows);
            }
        }
    }

    /// A `Prefetch` that a callee has made.
    pub(super) fn prefetch_of_callee(
        &mut self,
        object: &PrefetchObject,
        values: &[Value],
        file: FileId,
    ) -> Type {
        let rows = object.queryset.queryset().and_then(|rows| self.rows_of_callee(rows, values, file));
        let made = match rows.as_ref().and_then(|rows| Some((rows, *rows.values.first()?))) {
            Some((rows, value)) => {
                PrefetchObject { queryset: Type::QuerySet(rows.clone()), value, ..object.clone() }
            }
            None => object.opaque(),
        };
        Type::Prefetch(Arc::new(made))
    }

    /// The queryset of a `Prefetch` that a callee has made, as the value that stands for it here.
    fn rows_of_callee(&mut self, rows: &QuerySet, values: &[Value], file: FileId) -> Option<Arc<QuerySet>> {
        let [only] = rows.values.as_slice() else { return None };
        let made = values.get(only.0 as usize)?;
        let site = match (made.origin, made.site) {
            (Origin::Expr(node), _) => {
                Site { file, span: self.az.project.program().file(file).node(node).span() }
            }
            (Origin::Callee, Some(site)) => site,
            _ => return None,
        };
        let next = ValueId(self.facts.values.len() as u32);
        let id = *self.brought.entry(site).or_insert(next);
        let mut rows = rows.clone();
        rows.forget_lists();
        rows.related = None;
        rows.values = SmallVec::from_slice(&[id]);
        let rows = Arc::new(rows);
        if id == next {
            self.facts.values.push(Value::of_callee(rows.clone(), Some(site)));
        }
        Some(rows)
    }

    /// `prefetch_related_objects(rows, Prefetch(...))`
    pub(super) fn prefetched_for_objects(&mut self, args: &[Arg<'a>]) {
        let Some((rows, objects)) = args.split_first() else { return };
        let values: SmallVec<[ValueId; 1]> = self.rows_within(&rows.ty);
        for value in values {
            let Some(queryset) = self.facts.value(value).and_then(|v| v.queryset.clone()) else { continue };
            let mut more = (*queryset).clone();
            for object in objects {
                if let Type::Prefetch(object) = &object.ty {
                    self.add_prefetch(&mut more, &object.clone());
                }
            }
            self.set_queryset(value, &Arc::new(more));
        }
    }
}

impl QuerySet {
    /// Without what refers to values of the frame besides its own.
    pub(super) fn forget_lists(&mut self) {
        for list in &mut self.lists {
            list.rows = Type::Unknown;
        }
    }
}

impl PrefetchObject {
    /// Without any reference to the values of its frame.
    pub(super) fn opaque(&self) -> PrefetchObject {
        let queryset = match (&self.queryset, &self.to_attr) {
            (Type::Never, None) => Type::Never,
            _ => Type::Unknown,
        };
        PrefetchObject { queryset, ..self.clone() }
    }
}
