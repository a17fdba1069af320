//! Attributes of models, instances and other objects.

use super::facts::{EventKind, Made, Use};
use super::frame::Frame;
use super::types::{Callable, Instance, Manager, Name, Path, QuerySetClass, Related, Root, Type};
use crate::django::{Field, FieldKind, ModelId, RelationKind};
use crate::python::{Binding, ClassId, Def, Expr, Member, Node};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The Python type of a column's value.
pub(super) fn column_type(field: &Field) -> Type {
    let ty = kind_type(field.kind);
    if field.null { ty.optional() } else { ty }
}

/// The Python type of the values of a kind of column.
pub fn kind_type(kind: FieldKind) -> Type {
    match kind {
        FieldKind::Auto | FieldKind::Integer => Type::Int,
        FieldKind::Boolean => Type::Bool,
        FieldKind::Char | FieldKind::Text | FieldKind::IpAddress => Type::Str,
        FieldKind::Float => Type::Float,
        FieldKind::Json | FieldKind::Postgres | FieldKind::Other | FieldKind::Generated => Type::Unknown,
        other => Type::Column(other),
    }
}

impl<'a> Frame<'a, '_> {
    /// The attribute `name` of a value of type `owner`; `node` is the attribute expression.
    pub(super) fn attribute(&mut self, owner: &Type, name: &str, node: Node<'a>) -> Type {
        match owner {
            Type::Def(def) => match def {
                Def::External(path) => Type::Def(Def::External(format!("{path}.{name}"))),
                _ => match self.az.project.program().attribute(def, name) {
                    Some(found) => self.type_of_def(found),
                    None => Type::Unknown,
                },
            },
            Type::ModelClass(model) => self.model_attribute(*model, name, node),
            Type::Instance(instance) => {
                let instance = instance.clone();
                self.instance_attribute(&instance, name, node)
            }
            Type::Manager(m) if name == "model" => Type::ModelClass(m.model),
            Type::Manager(m) if name == "instance" => match &m.related {
                Some(related) => Type::Instance(related.owner.clone()),
                None => Type::Unknown,
            },
            Type::QuerySet(qs) if name == "model" => Type::ModelClass(qs.model),
            Type::QuerySet(qs) if name == "ordered" || name == "query" || name == "db" => {
                let qs = qs.clone();
                if name == "query" {
                    self.use_queryset(&qs, node, Use::Other);
                }
                Type::Unknown
            }
            Type::QuerySet(qs) => {
                // A method that is not called here: somebody may call it later.
                let qs = qs.clone();
                self.use_queryset(&qs, node, Use::Other);
                Type::Bound(Arc::new(owner.clone()), Name::from(name))
            }
            Type::Manager(_) => Type::Bound(Arc::new(owner.clone()), Name::from(name)),
            Type::Object(class) => self.object_attribute(*class, owner, name, node),
            Type::Record(record) => match record.field(name) {
                Some(kept) => kept.clone(),
                None => self.object_attribute(record.class, owner, name, node),
            },
            Type::Super(..) => Type::Bound(Arc::new(owner.clone()), Name::from(name)),
            Type::External(path) => {
                if &**path == super::requests::REQUEST {
                    if name == "user"
                        && let Some(user) = self.user_model()
                    {
                        return Type::Instance(Instance::root(user, Root::Opaque));
                    }
                    if let Some(given) = self.az.of_request(name) {
                        return given;
                    }
                }
                Type::External(Name::from(format!("{path}.{name}")))
            }
            Type::Union(types) => {
                let types = types.clone();
                types
                    .iter()
                    .filter(|t| **t != Type::None)
                    .map(|t| self.attribute(t, name, node))
                    .fold(Type::Never, Type::join)
            }
            Type::Unknown | Type::Never | Type::None => Type::Unknown,
            Type::Bound(rows, made) if &**made == super::filtersets::FILTER_SET => match name {
                "qs" => (**rows).clone(),
                _ => Type::External(Name::from(format!("{made}.{name}"))),
            },
            Type::Bound(rows, made) if &**made == super::formsets::FORM_SET => {
                let rows = rows.clone();
                self.form_set_attribute(&rows, name, node)
            }
            Type::Bound(row, made) if &**made == super::formsets::FORM => match name {
                "instance" => (**row).clone(),
                _ => Type::External(Name::from(format!("{made}.{name}"))),
            },
            Type::Bound(rows, made) if &**made == super::pages::PAGINATOR && name == "object_list" => {
                (**rows).clone()
            }
            // Of a page: the list of its rows.
            Type::List(_) if name == "object_list" => owner.clone(),
            other => Type::Bound(Arc::new(other.clone()), Name::from(name)),
        }
    }

    pub(super) fn user_model(&self) -> Option<ModelId> {
        let label = &self.az.project.settings().auth_user_model;
        self.az.project.model_by_label(if label.is_empty() { "auth.User" } else { label })
    }

    pub(super) fn model_attribute(&mut self, model: ModelId, name: &str, node: Node<'a>) -> Type {
        let info = self.az.project.model(model);
        let manager = match name {
            "_default_manager" => Some(info.default_manager.as_str()),
            "_base_manager" => {
                return Type::Manager(Arc::new(Manager {
                    model,
                    class: if info.base_manager_name.is_some() {
                        QuerySetClass::Unknown
                    } else {
                        QuerySetClass::Plain
                    },
                    name: None,
                    related: None,
                    known: BTreeSet::new(),
                    is_many_to_many: false,
                }));
            }
            _ => Some(name),
        };
        if let Some(found) = manager.and_then(|n| info.manager(n)) {
            let class = match (found.class, found.is_unknown) {
                (_, true) => QuerySetClass::Unknown,
                (Some(class), _) => QuerySetClass::Custom(class),
                (None, _) => QuerySetClass::Plain,
            };
            return Type::Manager(Arc::new(Manager {
                model,
                class,
                name: Some(Name::from(found.name.as_str())),
                related: None,
                known: BTreeSet::new(),
                is_many_to_many: false,
            }));
        }
        if matches!(name, "DoesNotExist" | "MultipleObjectsReturned") {
            return Type::Def(Def::External(format!("django.core.exceptions.{name}")));
        }
        if name == "_meta" {
            return Type::External(Name::from("django.db.models.options.Options"));
        }
        if info.field(name).is_some() {
            return Type::Unknown;
        }
        match self.az.project.program().member(info.class, name) {
            Some((_, Member::Function(..))) => {
                Type::Bound(Arc::new(Type::ModelClass(model)), Name::from(name))
            }
            Some((owner, Member::Value(value))) => {
                let (owner, value) = (owner, *value);
                self.class_value(owner, value, node)
            }
            Some((_, Member::Class(inner))) => Type::Def(Def::Class(*inner)),
            _ => Type::Unknown,
        }
    }

    pub(super) fn class_value(
        &mut self,
        class: ClassId,
        value: crate::python::NodeId,
        node: Node<'a>,
    ) -> Type {
        let file = self.az.project.program().class(class).file;
        let summary = self.az.outside(file, value, self.stack);
        self.imported(&summary, file, value, node)
    }

    pub(super) fn object_attribute(
        &mut self,
        class: ClassId,
        owner: &Type,
        name: &str,
        node: Node<'a>,
    ) -> Type {
        self.object_dunders(owner, &["__getattribute__"], node);
        let member = self.az.project.program().member(class, name);
        if name == "request" && self.is_request(class, member.map(|(_, member)| member)) {
            return Type::External(Name::from(super::requests::REQUEST));
        }
        match member {
            Some((_, Member::Function(function, Binding::Property | Binding::CachedProperty))) => {
                let function = *function;
                self.call_function(function, Some(owner.clone()), &[], node)
            }
            Some((_, Member::Function(..))) => Type::Bound(Arc::new(owner.clone()), Name::from(name)),
            Some((definer, Member::Value(value))) => {
                let (definer, value) = (definer, *value);
                if matches!(
                    self.az
                        .project
                        .program()
                        .file(self.az.project.program().class(definer).file)
                        .node(value)
                        .kind(),
                    crate::python::Kind::None
                ) {
                    // A default that instances or classes below override.
                    let given = self.assigned_attribute(class, name, node);
                    return given
                        .or_else(|| self.rows_given_below(class, name, node))
                        .unwrap_or(Type::Unknown);
                }
                let ty = self.class_value(definer, value, node);
                if let Type::Object(descriptor) = ty
                    && self.az.project.program().member(descriptor, "__get__").is_some()
                {
                    return self.method_of_class(descriptor, "__get__", &ty, &[], node);
                }
                // Python gives it the object before its arguments.
                if let Type::Callable(callable) = &ty
                    && matches!(**callable, Callable::Lambda(..) | Callable::Partial(..))
                {
                    return Type::Unknown;
                }
                // An instance may have its own.
                self.narrowed_on_self(class, name, ty)
            }
            Some((definer, Member::Annotation(annotation))) => {
                let file = self.az.project.program().class(definer).file;
                if file != self.file {
                    return Type::Unknown;
                }
                let annotation = self.scope.at(*annotation);
                super::summary::opaque(&self.annotation(annotation))
            }
            None if matches!(name, "stdout" | "stderr") && self.is_command(class) => {
                Type::External(Name::from("django.core.management.base.OutputWrapper"))
            }
            None if name == "style" && self.is_command(class) => {
                Type::External(Name::from("django.core.management.base.style"))
            }
            None if matches!(name, "instance" | "object" | "model") => {
                let given = match self.framework_attribute(class, name, node) {
                    None if name == "object" => self.assigned_attribute(class, name, node),
                    given => given,
                };
                let is_kept = name == "object" || !self.is_assigned_on_self(class, name);
                given.filter(|_| is_kept).unwrap_or(Type::Unknown)
            }
            None if let Some(paginator) = self.rest_attribute(class, name, node) => paginator,
            None if name == super::cleaned::CLEANED => self.cleaned_data(class).unwrap_or(Type::Unknown),
            None if name == "context" && super::requests::has_context(self.az.project, class) => {
                Type::External(Name::from(super::requests::CONTEXT))
            }
            None if matches!(name, "queryset" | "qs")
                && let Some(rows) = self.rows_of_filter_set(class, name) =>
            {
                rows
            }
            None if self.is_assigned_on_self(class, name) => {
                self.assigned_attribute(class, name, node).unwrap_or(Type::Unknown)
            }
            None if let Some(rows) = self.rows_given_below(class, name, node) => rows,
            // Python asks where the object has no such attribute.
            None => {
                self.object_dunders(owner, &["__getattr__"], node);
                Type::Unknown
            }
            _ => Type::Unknown,
        }
    }

    pub(super) fn is_command(&self, class: ClassId) -> bool {
        let bases = &self.az.project.program().class(class).external_bases;
        bases.iter().any(|b| b.starts_with("django.core.management"))
    }

    /// Whether a method of the class assigns `self.name`.
    pub(super) fn is_assigned_on_self(&self, class: ClassId, name: &str) -> bool {
        self.assigned_on_self(class, name).next().is_some()
    }

    /// What the methods of the class assign to `self.name`; nothing for what is assigned in another way than by `=`.
    pub(super) fn assigned_on_self(
        &self,
        class: ClassId,
        name: &str,
    ) -> impl Iterator<Item = Option<Node<'a>>> + use<'a, '_> {
        let program = self.az.project.program();
        let name = name.to_owned();
        program.class(class).mro.iter().flat_map(move |c| {
            let info = program.class(*c);
            let node = program.file(info.file).node(info.node);
            let name = name.clone();
            node.descendants().filter_map(move |n| {
                let is_target = n.kind() == crate::python::Kind::Attribute
                    && n.field() == crate::python::Field::Left
                    && matches!(Expr::of(n), Expr::Attribute { value, attr, .. }
                        if *attr == *name && !is_of_another(value));
                is_target.then(|| {
                    let statement = n.parent().filter(|p| p.kind() == crate::python::Kind::Assign)?;
                    statement.child(crate::python::Field::Right)
                })
            })
        })
    }

    pub(super) fn instance_attribute(&mut self, instance: &Instance, name: &str, node: Node<'a>) -> Type {
        let info = self.az.project.model(instance.model);
        let read = |name: &str| EventKind::ReadAttribute {
            root: instance.root,
            path: instance.path.clone(),
            name: Name::from(name),
        };
        // What stands in front of a field is what Python finds: the property of a proxy.
        let is_hidden = self.az.project.is_hidden(instance.model, name);
        if let Some(field) = info.field(name).filter(|_| !is_hidden) {
            match field.relation.as_ref().map(|r| (r.kind, r.target)) {
                Some((RelationKind::ForeignKey | RelationKind::OneToOne, target)) => {
                    let parent_link = field.relation.as_ref().is_some_and(|r| r.parent_link);
                    return self.followed(instance, name, target, field.null, parent_link, node);
                }
                Some((RelationKind::ManyToMany, Some(target))) => {
                    return self.related_manager(instance, name, target, true, None);
                }
                Some((RelationKind::GenericRelation, Some(target))) => {
                    return self.related_manager(instance, name, target, false, None);
                }
                // One query a row, as a foreign key; the model is not known.
                Some((RelationKind::GenericForeignKey, _)) => {
                    return self.followed(instance, name, None, true, false, node);
                }
                Some(_) => {
                    self.event(node, read(name));
                    return Type::Unknown;
                }
                None => {
                    self.event(node, read(name));
                    // Before it is fetched again, an instance holds whatever it was given: `Book(price="3")`.
                    return if self.is_made_here(instance) { Type::Unknown } else { column_type(field) };
                }
            }
        }
        if let Some(field) = info.field_by_attname(name).filter(|_| !is_hidden) {
            self.event(node, read(name));
            let target = field.relation.as_ref().and_then(|r| r.target);
            let ty = match target.map(|t| self.az.project.model(t)) {
                Some(target) => target.primary_key().map_or(Type::Unknown, |pk| kind_type(pk.kind)),
                None => Type::Unknown,
            };
            return if field.null { ty.optional() } else { ty };
        }
        if name == "pk" {
            self.event(node, read("pk"));
            return info.primary_key().map_or(Type::Unknown, column_type);
        }
        if let Some(reverse) = info.reverse(name).filter(|_| !is_hidden) {
            let source = reverse.source;
            return match reverse.kind {
                RelationKind::OneToOne => self.followed(instance, name, Some(source), true, false, node),
                RelationKind::ForeignKey => {
                    let field = reverse.field.clone();
                    self.related_manager(instance, name, source, false, Some(&field))
                }
                _ => self.related_manager(instance, name, source, true, None),
            };
        }
        match self.az.project.program().member(info.class, name) {
            Some((_, Member::Function(function, Binding::Property | Binding::CachedProperty))) => {
                let function = *function;
                self.event(node, read(name));
                self.call_function(function, Some(Type::Instance(instance.clone())), &[], node)
            }
            Some((_, Member::Function(..))) => {
                Type::Bound(Arc::new(Type::Instance(instance.clone())), Name::from(name))
            }
            Some((owner, Member::Value(value))) => {
                let (owner, value) = (owner, *value);
                self.event(node, read(name));
                self.class_value(owner, value, node)
            }
            Some((_, Member::Class(inner))) => Type::Def(Def::Class(*inner)),
            _ => {
                if name == "__class__" {
                    return Type::ModelClass(instance.model);
                }
                if let Some(list) = self.prefetched_list(instance, name, node) {
                    return list;
                }
                self.event(node, read(name));
                self.instance_dunders(instance, &["__getattr__"], node);
                Type::Unknown
            }
        }
    }

    /// Whether an instance was made by a constructor or `create()` rather than read from the database.
    pub(super) fn is_made_here(&self, instance: &Instance) -> bool {
        let Root::Value(value) = instance.root else { return false };
        let made = self.facts.value(value).map(|v| v.made);
        instance.path.is_empty() && matches!(made, Some(Made::Constructed | Made::Created))
    }

    /// A single-valued relation is read.
    pub(super) fn followed(
        &mut self,
        instance: &Instance,
        name: &str,
        target: Option<ModelId>,
        null: bool,
        parent_link: bool,
        node: Node<'a>,
    ) -> Type {
        let mut path: Path = instance.path.clone();
        path.push(Name::from(name));
        if !parent_link {
            self.event(
                node,
                EventKind::ReadRelation { root: instance.root, path: path.clone(), model: instance.model },
            );
        }
        let Some(target) = target else { return Type::Unknown };
        if path.len() > 12 {
            return Type::Unknown;
        }
        let ty = Type::Instance(Instance { model: target, root: instance.root, path });
        if null { ty.optional() } else { ty }
    }

    pub(super) fn related_manager(
        &mut self,
        instance: &Instance,
        name: &str,
        target: ModelId,
        is_many_to_many: bool,
        known: Option<&str>,
    ) -> Type {
        let info = self.az.project.model(target);
        let default = info.manager(&info.default_manager);
        let class = match default {
            Some(m) if m.is_unknown => QuerySetClass::Unknown,
            Some(m) => m.class.map_or(QuerySetClass::Plain, QuerySetClass::Custom),
            None => QuerySetClass::Plain,
        };
        Type::Manager(Arc::new(Manager {
            model: target,
            class,
            name: Some(Name::from(info.default_manager.as_str())),
            related: Some(Arc::new(Related { owner: instance.clone(), accessor: Name::from(name) })),
            known: known.into_iter().map(Name::from).collect(),
            is_many_to_many,
        }))
    }
}

/// Whether what has an attribute is a part of an object, and so not the object itself: `self.form` in
/// `self.form.queryset = books`, but not `self.__class__`.
fn is_of_another(owner: Node<'_>) -> bool {
    match Expr::of(owner) {
        Expr::Attribute { attr, .. } => attr != "__class__",
        Expr::Subscript { .. } => true,
        _ => false,
    }
}
