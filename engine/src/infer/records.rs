//! Objects that keep querysets, rows, or one row: what `__init__` assigns to `self`, and the fields of data classes.
//!
//! An attribute is followed where nothing but `__init__` ever assigns it, in a class that no framework knows.

use super::calls::Arg;
use super::facts::Origin;
use super::frame::Frame;
use super::summary::Translation;
use super::types::{Name, Root, Type};
use crate::python::{ClassId, Def, Field, Kind, Member, Node, parameters};
use crate::text::Site;
use std::sync::Arc;

/// An object of a class of the program, with the attributes that keep querysets or rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Its class.
    pub class: ClassId,
    /// The attributes, by name.
    pub fields: Vec<(Name, Type)>,
}

/// Bases that add nothing to what a class of the program does with its attributes.
const PLAIN_BASES: &[&str] = &["builtins.object", "abc.ABC", "typing.Generic", "typing.Protocol"];

/// Bases and decorators that make an `__init__` of the annotated fields.
const OF_FIELDS: &[&str] = &["typing.NamedTuple", "dataclasses.dataclass"];

impl<'a> Frame<'a, '_> {
    /// What the `__init__` of this frame has made of `self`.
    pub(super) fn made_of_self(&self) -> Option<Type> {
        let class = self.class?;
        let is_init = self.scope.child(Field::Name).is_some_and(|n| n.text() == "__init__");
        if !is_init || !self.is_plain_class(class) {
            return None;
        }
        let first = format!("{}.", parameters(self.scope).first()?.name);
        let mut fields: Vec<(Name, Type)> = self
            .env
            .as_ref()?
            .iter()
            .filter_map(|(key, ty)| {
                let name = key.strip_prefix(&first).filter(|name| !name.contains('.'))?;
                (keeps_rows(ty) && self.is_set_by_init(class, name)).then(|| (Name::from(name), ty.clone()))
            })
            .collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        (!fields.is_empty()).then(|| Type::Record(Arc::new(Record { class, fields })))
    }

    /// Whether nothing but `__init__` assigns the attribute of objects of a class.
    fn is_set_by_init(&self, class: ClassId, name: &str) -> bool {
        let program = self.az.project.program();
        let is_plain = match program.member(class, name) {
            None | Some((_, Member::Annotation(_))) => true,
            Some((owner, Member::Value(value))) => {
                program.file(program.class(owner).file).node(*value).kind() == Kind::None
            }
            // A property does with it what it likes.
            Some(_) => false,
        };
        let is_in_init = |file, node: crate::python::NodeId| {
            let def = program.file(file).node(node).enclosing_function();
            def.and_then(|d| d.child(Field::Name)).is_some_and(|n| n.text() == "__init__")
        };
        is_plain
            && self
                .az
                .assigned(class, name)
                .is_some_and(|all| all.iter().all(|(file, node)| is_in_init(*file, *node)))
    }

    fn is_plain_class(&self, class: ClassId) -> bool {
        let info = self.az.project.program().class(class);
        !info.has_unknown_base
            && info
                .external_bases
                .iter()
                .all(|b| PLAIN_BASES.contains(&b.as_str()) || OF_FIELDS.contains(&b.as_str()))
    }

    /// What `super().__init__(...)` has made of `self` is what the object has from here on.
    pub(super) fn adopt_fields(&mut self, made: &Type) {
        let Type::Record(record) = made else { return };
        let Some(first) = parameters(self.scope).first().map(|p| p.name) else { return };
        if let Some(env) = &mut self.env {
            for (name, ty) in &record.fields {
                env.insert(&format!("{first}.{name}"), ty.clone());
            }
            self.has_overrides = true;
        }
    }

    /// An object of `class` with what its `__init__` gave, in this frame's terms.
    pub(super) fn record_of(&self, class: ClassId, object: Type, made: &Type) -> Type {
        match (made, &object) {
            (Type::Record(record), Type::Object(_)) if self.is_plain_class(class) => {
                let is_kept = |(name, _): &&(Name, Type)| self.is_set_by_init(class, name);
                let fields: Vec<(Name, Type)> = record.fields.iter().filter(is_kept).cloned().collect();
                match fields.is_empty() {
                    true => object,
                    false => Type::Record(Arc::new(Record { class, fields })),
                }
            }
            _ => object,
        }
    }

    /// An object of a data class or named tuple, with the fields that it is given.
    pub(super) fn record_of_fields(&self, class: ClassId, args: &[Arg<'a>]) -> Option<Type> {
        let program = self.az.project.program();
        let info = program.class(class);
        let is_of_fields = |path: &str| OF_FIELDS.contains(&path);
        let decorated =
            info.decorators.iter().any(|d| matches!(d, Some(Def::External(p)) if is_of_fields(p)));
        let is_made = decorated || info.external_bases.iter().any(|b| is_of_fields(b));
        if !is_made
            || !self.is_plain_class(class)
            || info.mro.len() != 1
            || args.iter().any(|a| a.stars > 0)
            || ["__post_init__", "__new__", "__setattr__"].iter().any(|m| info.members.contains_key(*m))
        {
            return None;
        }
        let source = program.file(info.file);
        // Fields in order; what is annotated otherwise (`ClassVar`, `InitVar`) is none of them.
        let body = source.node(info.node);
        let is_field = |name: &&String| {
            matches!(info.members.get(*name), Some(Member::Annotation(_) | Member::Value(_)))
        };
        if body.text().contains("InitVar")
            || body.text().contains("ClassVar")
            || body.text().contains("kw_only")
        {
            return None;
        }
        let names: Vec<&String> = info.order.iter().filter(is_field).collect();
        let mut fields = Vec::new();
        for (i, arg) in args.iter().enumerate() {
            let name = arg.name.or_else(|| names.get(i).map(|n| n.as_str()))?;
            let is_kept = keeps_rows(&arg.ty)
                && self.az.assigned(class, name).is_none()
                && !self.az.is_assigned_from_outside(name)
                && !self.az.is_set_by_name(name)
                && !self.is_assigned_on_self(class, name);
            if is_kept {
                fields.push((Name::from(name), arg.ty.clone()));
            }
        }
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        (!fields.is_empty()).then(|| Type::Record(Arc::new(Record { class, fields })))
    }

    /// A callee's object in the caller's terms. One expression makes one queryset.
    pub(super) fn translated_record(
        &mut self,
        record: &Record,
        t: &Translation<'_>,
        node: Node<'a>,
        site: Site,
    ) -> Type {
        let is_made = |ty: &Type| match ty {
            Type::QuerySet(qs) => qs.values.iter().any(|v| {
                t.summary.values.get(v.0 as usize).is_none_or(|v| !matches!(v.origin, Origin::Parameter(_)))
            }),
            _ => false,
        };
        // A row that the callee has found itself is none of the caller's.
        let is_lost = |ty: &Type| match ty {
            Type::Instance(i) => t.roots(i.root, &i.path).is_none(),
            _ => false,
        };
        let made = record.fields.iter().filter(|(_, ty)| is_made(ty)).count();
        let mut fields = Vec::new();
        for (name, ty) in &record.fields {
            if made > 1 && is_made(ty) || is_lost(ty) {
                continue;
            }
            let ty = self.translated_type(ty, t, node, site);
            if keeps_rows(&ty) {
                fields.push((name.clone(), ty));
            }
        }
        match fields.is_empty() {
            true => Type::Object(record.class),
            false => Type::Record(Arc::new(Record { class: record.class, fields })),
        }
    }
}

/// Whether it is a queryset, or holds rows of one, or is an object that the frame handles.
fn keeps_rows(ty: &Type) -> bool {
    match ty {
        Type::QuerySet(_) => true,
        Type::Instance(i) => i.root != Root::Opaque,
        Type::List(_) | Type::Set(_) | Type::Dict(_) => {
            ty.held_instance().is_some_and(|i| matches!(i.root, Root::Row(_)))
        }
        _ => false,
    }
}

impl Record {
    /// The type of an attribute that is followed.
    pub(super) fn field(&self, name: &str) -> Option<&Type> {
        self.fields.iter().find(|(n, _)| **n == *name).map(|(_, ty)| ty)
    }

    /// The only field, or the only one that keeps rows of a queryset: it stands for the object where that is an argument.
    pub(super) fn rows(&self) -> Option<&(Name, Type)> {
        if let [only] = self.fields.as_slice() {
            return Some(only);
        }
        let is_of_rows = |(_, ty): &&(Name, Type)| match ty {
            Type::Instance(i) => matches!(i.root, Root::Row(_)),
            _ => true,
        };
        let mut found = self.fields.iter().filter(is_of_rows);
        match (found.next(), found.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }
}

impl Type {
    /// With plain objects in the place of those that keep rows.
    pub(super) fn without_records(self) -> Type {
        if !self.has_record() {
            return self;
        }
        match self {
            Type::Record(record) => Type::Object(record.class),
            Type::List(t) => Type::list((*t).clone().without_records()),
            Type::Set(t) => Type::Set(Arc::new((*t).clone().without_records())),
            Type::Iterator(t) => Type::iterator((*t).clone().without_records()),
            Type::Tuple(types) => {
                Type::Tuple(types.iter().map(|t| t.clone().without_records()).collect::<Vec<_>>().into())
            }
            Type::Union(types) => {
                types.iter().map(|t| t.clone().without_records()).fold(Type::Never, Type::join)
            }
            Type::Dict(kv) => {
                let known = kv.2.iter().map(|(key, (ty, file, node))| {
                    (key.clone(), (ty.clone().without_records(), *file, *node))
                });
                let (key, value) = (kv.0.clone().without_records(), kv.1.clone().without_records());
                Type::Dict(Arc::new(super::types::Dict(key, value, known.collect())))
            }
            other => other,
        }
    }

    fn has_record(&self) -> bool {
        match self {
            Type::Record(_) => true,
            Type::List(t) | Type::Set(t) | Type::Iterator(t) => t.has_record(),
            Type::Tuple(types) | Type::Union(types) => types.iter().any(Type::has_record),
            Type::Dict(kv) => {
                kv.0.has_record() || kv.1.has_record() || kv.2.values().any(|(ty, ..)| ty.has_record())
            }
            _ => false,
        }
    }
}
