//! Django's objects: attributes of models and instances, methods of managers, querysets and instances.

use super::calls::Arg;
use super::facts::{Escape, EventKind, Made, Use, Write};
use super::frame::Frame;
use super::types::{
    Instance, Manager, Name, Path, QuerySet, QuerySetClass, Related, Root, Rows, Trait, Type, ValueId,
};
use crate::django::{Field, FieldKind, ModelId, RelationKind, Signal};
use crate::python::{Binding, ClassId, Def, Expr, Member, Node, string_value};
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The Python type of a column's value.
pub(super) fn column_type(field: &Field) -> Type {
    let ty = kind_type(field.kind);
    if field.null { ty.optional() } else { ty }
}

fn kind_type(kind: FieldKind) -> Type {
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
    // ---- attributes ----

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
            Type::Super(..) => Type::Bound(Arc::new(owner.clone()), Name::from(name)),
            Type::External(path) => {
                if name == "user"
                    && &**path == "django.http.HttpRequest"
                    && let Some(user) = self.user_model()
                {
                    return Type::Instance(Instance::root(user, Root::Opaque));
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
            other => Type::Bound(Arc::new(other.clone()), Name::from(name)),
        }
    }

    pub(super) fn user_model(&self) -> Option<ModelId> {
        let label = &self.az.project.settings().auth_user_model;
        self.az.project.model_by_label(if label.is_empty() { "auth.User" } else { label })
    }

    fn model_attribute(&mut self, model: ModelId, name: &str, node: Node<'a>) -> Type {
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

    fn object_attribute(&mut self, class: ClassId, owner: &Type, name: &str, node: Node<'a>) -> Type {
        self.object_dunders(owner, &["__getattribute__"], node);
        match self.az.project.program().member(class, name) {
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
                    // A default that instances override.
                    return self.assigned_attribute(class, name, node).unwrap_or(Type::Unknown);
                }
                let ty = self.class_value(definer, value, node);
                if let Type::Object(descriptor) = ty
                    && self.az.project.program().member(descriptor, "__get__").is_some()
                {
                    return self.method_of_class(descriptor, "__get__", &ty, &[], node);
                }
                // An instance may have its own.
                if self.is_assigned_on_self(class, name) { Type::Unknown } else { ty }
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
            None if matches!(name, "instance" | "object") => {
                let given = self.framework_attribute(class, name, node);
                given.filter(|_| !self.is_assigned_on_self(class, name)).unwrap_or(Type::Unknown)
            }
            None if name == "request" => {
                let info = self.az.project.program().class(class);
                let is_view = info
                    .external_bases
                    .iter()
                    .any(|b| b.starts_with("django.views") || b.starts_with("rest_framework"));
                if is_view { Type::External(Name::from("django.http.HttpRequest")) } else { Type::Unknown }
            }
            None if self.is_assigned_on_self(class, name) => {
                self.assigned_attribute(class, name, node).unwrap_or(Type::Unknown)
            }
            // Python asks where the object has no such attribute.
            None => {
                self.object_dunders(owner, &["__getattr__"], node);
                Type::Unknown
            }
            _ => Type::Unknown,
        }
    }

    fn is_command(&self, class: ClassId) -> bool {
        let bases = &self.az.project.program().class(class).external_bases;
        bases.iter().any(|b| b.starts_with("django.core.management"))
    }

    /// Whether a method of the class assigns `self.name`.
    pub(super) fn is_assigned_on_self(&self, class: ClassId, name: &str) -> bool {
        let program = self.az.project.program();
        program.class(class).mro.iter().any(|c| {
            let info = program.class(*c);
            let node = program.file(info.file).node(info.node);
            node.descendants().any(|n| {
                n.kind() == crate::python::Kind::Attribute
                    && n.field() == crate::python::Field::Left
                    && matches!(Expr::of(n), Expr::Attribute { attr, .. } if attr == name)
            })
        })
    }

    fn instance_attribute(&mut self, instance: &Instance, name: &str, node: Node<'a>) -> Type {
        let info = self.az.project.model(instance.model);
        let read = |name: &str| EventKind::ReadAttribute {
            root: instance.root,
            path: instance.path.clone(),
            name: Name::from(name),
        };
        if let Some(field) = info.field(name) {
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
        if let Some(field) = info.field_by_attname(name) {
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
        if let Some(reverse) = info.reverse(name) {
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
                self.event(node, read(name));
                self.instance_dunders(instance, &["__getattr__"], node);
                Type::Unknown
            }
        }
    }

    /// Whether an instance was made by a constructor or `create()` rather than read from the database.
    fn is_made_here(&self, instance: &Instance) -> bool {
        let Root::Value(value) = instance.root else { return false };
        let made = self.facts.value(value).map(|v| v.made);
        instance.path.is_empty() && matches!(made, Some(Made::Constructed | Made::Created))
    }

    /// A single-valued relation is read.
    fn followed(
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

    fn related_manager(
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

    // ---- instances ----

    pub(super) fn instance_str(&mut self, instance: &Instance, node: Node<'a>) {
        let class = self.az.project.model(instance.model).class;
        let program = self.az.project.program();
        for name in ["__str__", "__repr__", "__unicode__"] {
            if let Some((_, Member::Function(function, _))) = program.member(class, name) {
                let function = *function;
                self.call_function(function, Some(Type::Instance(instance.clone())), &[], node);
                return;
            }
        }
    }

    pub(super) fn instance_truth(&mut self, instance: &Instance, node: Node<'a>) {
        self.instance_dunders(instance, &["__bool__", "__len__"], node);
    }

    /// Call the first of `names` that the model defines, with instances like this one as arguments.
    pub(super) fn instance_dunders(&mut self, instance: &Instance, names: &[&str], node: Node<'a>) {
        let class = self.az.project.model(instance.model).class;
        for name in names {
            if let Some((_, Member::Function(function, _))) = self.az.project.program().member(class, name) {
                let function = *function;
                let other = Arg { name: None, ty: Type::Instance(instance.clone()), node, stars: 0 };
                let takes_other = !matches!(*name, "__bool__" | "__len__" | "__iter__" | "__hash__");
                let args = if takes_other { vec![other] } else { Vec::new() };
                self.call_function(function, Some(Type::Instance(instance.clone())), &args, node);
                return;
            }
        }
    }

    pub(super) fn instance_method(
        &mut self,
        instance: &Instance,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        let info = self.az.project.model(instance.model);
        let receiver = Type::Instance(instance.clone());
        // `asave()` and `adelete()` call the plain ones.
        let plain = match name {
            "asave" => "save",
            "adelete" => "delete",
            other => other,
        };
        if let Some((_, Member::Function(function, binding))) =
            self.az.project.program().member(info.class, plain)
            && info.field(plain).is_none()
        {
            let (function, binding) = (*function, *binding);
            if is_builtin_instance_method(plain) {
                self.event(
                    node,
                    EventKind::InstanceMethod {
                        root: instance.root,
                        path: instance.path.clone(),
                        name: Name::from(name),
                    },
                );
            }
            return match binding {
                Binding::StaticMethod => self.call_function(function, None, args, node),
                Binding::ClassMethod => {
                    self.call_function(function, Some(Type::ModelClass(instance.model)), args, node)
                }
                Binding::Property | Binding::CachedProperty => {
                    let callee = self.call_function(function, Some(receiver), &[], node);
                    self.call_value(&callee, args, node, node)
                }
                _ => self.call_function(function, Some(receiver), args, node),
            };
        }
        if is_builtin_instance_method(plain)
            || (name.starts_with("get_") && name.ends_with("_display"))
            || name.starts_with("get_next_by_")
            || name.starts_with("get_previous_by_")
        {
            return self.builtin_instance_method(instance, name, args, node);
        }
        if info.has_unknown_base || self.az.project.program().class(info.class).external_bases.len() > 1 {
            let _ = self.call_unknown(name, args, node);
            self.event(
                node,
                EventKind::InstanceEscapes {
                    root: instance.root,
                    path: instance.path.clone(),
                    how: Escape::External,
                },
            );
            return Type::Unknown;
        }
        let callee = self.instance_attribute(instance, name, node);
        match callee {
            Type::Unknown => self.call_unknown(name, args, node),
            other => self.call_value(&other, args, node, node),
        }
    }

    pub(super) fn builtin_instance_method(
        &mut self,
        instance: &Instance,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        self.event(
            node,
            EventKind::InstanceMethod {
                root: instance.root,
                path: instance.path.clone(),
                name: Name::from(name),
            },
        );
        let _ = args;
        match name {
            "save" | "asave" | "save_base" => {
                let made = match instance.root {
                    Root::Value(v) if instance.path.is_empty() => self.facts.value(v).map(|v| v.made),
                    _ => None,
                };
                let write = if made == Some(Made::Constructed) { Write::Insert } else { Write::Update };
                self.written(instance, write, node);
                Type::None
            }
            "delete" | "adelete" => {
                self.written(instance, Write::Delete, node);
                Type::Unknown
            }
            "refresh_from_db" | "arefresh_from_db" => {
                self.event(node, EventKind::Query { model: Some(instance.model) });
                Type::None
            }
            "full_clean" | "validate_unique" | "validate_constraints" | "clean_fields" => {
                let class = self.az.project.model(instance.model).class;
                if let Some((_, Member::Function(function, _))) =
                    self.az.project.program().member(class, "clean")
                {
                    let function = *function;
                    self.call_function(function, Some(Type::Instance(instance.clone())), &[], node);
                }
                self.event(node, EventKind::Query { model: Some(instance.model) });
                self.event(node, EventKind::Raise);
                Type::None
            }
            "serializable_value" | "clean" => Type::Unknown,
            _ if name.ends_with("_display") => Type::Str,
            _ => Type::Unknown,
        }
    }

    /// The other models whose rows go with a row of `model`, with signals of their own.
    fn cascaded(&self, model: ModelId) -> Vec<ModelId> {
        let project = self.az.project;
        let mut out = vec![model];
        let mut at = 0;
        while let Some(next) = out.get(at).copied() {
            at += 1;
            for reverse in &project.model(next).reverse {
                if reverse.kind == RelationKind::ManyToMany || out.contains(&reverse.source) {
                    continue;
                }
                let cascades = project.model(reverse.source).field(&reverse.field).is_none_or(|field| {
                    let source = &project.program().file(field.site.file).source;
                    source.slice(field.site.span).contains("CASCADE")
                });
                if cascades {
                    out.push(reverse.source);
                }
            }
        }
        out.split_off(1)
    }

    /// Rows of `model` are written by a method that sends signals: what the receivers do happens here too.
    fn written(&mut self, instance: &Instance, write: Write, node: Node<'a>) {
        let model = instance.model;
        self.event(node, EventKind::Write { model: Some(model), write });
        let signals: &[Signal] = match write {
            Write::Delete => &[Signal::PreDelete, Signal::PostDelete],
            _ => &[Signal::PreSave, Signal::PostSave],
        };
        let mut senders = vec![model];
        if write == Write::Delete {
            senders.extend(self.cascaded(model));
        }
        for (sender, signal) in senders.iter().flat_map(|m| signals.iter().map(|s| (*m, *s))) {
            let receivers: Vec<_> = self
                .az
                .project
                .receivers(sender, signal)
                .into_iter()
                .map(|r| (r.function, r.name.clone(), r.is_opaque))
                .collect();
            let root = if sender == model { instance.clone() } else { Instance::root(sender, Root::Opaque) };
            for (function, name, is_opaque) in receivers {
                match function {
                    None if is_opaque => self.received(&name, node),
                    Some(function) => {
                        let args = [
                            Arg { name: Some("sender"), ty: Type::ModelClass(sender), node, stars: 0 },
                            Arg { name: Some("instance"), ty: Type::Instance(root.clone()), node, stars: 0 },
                        ];
                        self.call_function(function, None, &args, node);
                    }
                    None => self.event(node, EventKind::Outside { name: Name::from(name) }),
                }
            }
        }
    }

    /// A receiver runs that is some method of the program, or any callable at all.
    fn received(&mut self, name: &str, node: Node<'a>) {
        let name = Name::from(name.rsplit('.').next().unwrap_or(name));
        let is_method = self.az.candidates(&name, None).next().is_some();
        self.event(
            node,
            match is_method {
                true => EventKind::CallNamed { name, positional: None },
                false => EventKind::UnknownCall { name },
            },
        );
    }

    /// `create()` and its like: an instance is made and saved.
    fn created(&mut self, model: ModelId, args: &[Arg<'a>], node: Node<'a>) -> Instance {
        for arg in args {
            self.escape(&arg.ty.clone(), arg.node, Escape::Store);
        }
        let value = self.value_at(node, Made::Created, None);
        let instance = Instance::root(model, Root::Value(value));
        let class = self.az.project.model(model).class;
        match self.az.project.program().member(class, "save") {
            Some((_, Member::Function(function, _))) => {
                let function = *function;
                self.event(node, EventKind::Write { model: Some(model), write: Write::Insert });
                self.call_function(
                    function,
                    Some(Type::Instance(Instance::root(model, Root::Opaque))),
                    &[],
                    node,
                );
            }
            _ => self.written(&Instance::root(model, Root::Opaque), Write::Insert, node),
        }
        instance
    }

    // ---- managers ----

    pub(super) fn manager_method(
        &mut self,
        manager: &Arc<Manager>,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
        func: Node<'a>,
    ) -> Type {
        if let Some(function) = self.custom_manager_method(manager, name) {
            let receiver = Type::Manager(manager.clone());
            return self.call_function(function, Some(receiver), args, node);
        }
        if let Some(function) = self.queryset_class_method(manager, name) {
            // A method that from_queryset() or as_manager() copied: it runs on get_queryset().
            let qs = self.manager_queryset(manager, func_owner(func));
            return match qs {
                Type::QuerySet(qs) => {
                    self.use_queryset(&qs, node, Use::Method(Name::from(name)));
                    self.call_function(function, Some(Type::QuerySet(qs)), args, node)
                }
                _ => self.call_function(function, None, args, node),
            };
        }
        if manager.class == QuerySetClass::Unknown && !is_queryset_method(name) {
            return self.call_unknown(name, args, node);
        }
        self.builtin_manager_method_at(manager, name, args, node, func_owner(func))
    }

    fn custom_manager_method(&self, manager: &Manager, name: &str) -> Option<crate::python::FunctionId> {
        let QuerySetClass::Custom(class) = manager.class else { return None };
        match self.az.project.program().member(class, name) {
            Some((_, Member::Function(function, _))) => Some(*function),
            _ => None,
        }
    }

    /// The queryset class that the manager was made from.
    fn manager_queryset_class(&self, manager: &Manager) -> Option<ClassId> {
        let info = self.az.project.model(manager.model);
        let declared = info.manager(manager.name.as_deref()?)?;
        declared.queryset
    }

    fn queryset_class_method(&self, manager: &Manager, name: &str) -> Option<crate::python::FunctionId> {
        if name.starts_with('_') {
            return None;
        }
        let class = self.manager_queryset_class(manager)?;
        match self.az.project.program().member(class, name) {
            Some((_, Member::Function(function, _))) => Some(*function),
            _ => None,
        }
    }

    /// What `manager.get_queryset()` gives, as a value of `node`, the manager's expression.
    fn manager_queryset(&mut self, manager: &Arc<Manager>, node: Node<'a>) -> Type {
        if let Some(function) = self.custom_manager_method(manager, "get_queryset") {
            let receiver = Type::Manager(manager.clone());
            let ty = self.call_function(function, Some(receiver), &[], node);
            return match ty {
                Type::QuerySet(qs) => {
                    let mut qs = (*qs).clone();
                    qs.known.extend(manager.known.iter().cloned());
                    qs.related = manager.related.clone();
                    let qs = Arc::new(qs);
                    Type::QuerySet(qs)
                }
                other => other,
            };
        }
        self.plain_queryset(manager, node)
    }

    fn plain_queryset(&mut self, manager: &Arc<Manager>, node: Node<'a>) -> Type {
        let class = match (self.manager_queryset_class(manager), manager.class) {
            (Some(class), _) => QuerySetClass::Custom(class),
            (None, QuerySetClass::Unknown) => QuerySetClass::Unknown,
            (None, _) => QuerySetClass::Plain,
        };
        let value = self.value_at(node, Made::Unknown, None);
        let mut qs = QuerySet::new(manager.model, class, value);
        qs.known = manager.known.clone();
        qs.related = manager.related.clone();
        let qs = Arc::new(qs);
        self.set_queryset(value, &qs);
        Type::QuerySet(qs)
    }

    pub(super) fn builtin_manager_method(
        &mut self,
        manager: &Arc<Manager>,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        self.builtin_manager_method_at(manager, name, args, node, node)
    }

    fn builtin_manager_method_at(
        &mut self,
        manager: &Arc<Manager>,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
        owner: Node<'a>,
    ) -> Type {
        if manager.related.is_some()
            && matches!(name, "add" | "remove" | "set" | "clear" | "aadd" | "aremove" | "aset" | "aclear")
        {
            for arg in args {
                self.escape(&arg.ty.clone(), arg.node, Escape::Store);
            }
            // A reverse foreign key updates the rows; a many-to-many writes its link table.
            self.event(node, EventKind::Write { model: Some(manager.model), write: Write::Other });
            if manager.is_many_to_many {
                let receivers: Vec<_> = self
                    .az
                    .project
                    .receivers(manager.model, Signal::M2mChanged)
                    .into_iter()
                    .map(|r| (r.function, r.name.clone(), r.is_opaque))
                    .collect();
                for (function, name, is_opaque) in receivers {
                    match function {
                        Some(function) => {
                            self.call_function(function, None, &[], node);
                        }
                        None if is_opaque => self.received(&name, node),
                        None => {}
                    }
                }
            }
            return Type::None;
        }
        if name == "get_queryset" {
            return self.plain_queryset(manager, node);
        }
        if name == "contribute_to_class" || name == "deconstruct" {
            return Type::Unknown;
        }
        // `manager.using(x)` and `manager.db_manager(x)` keep to the manager's rows.
        let name = if name == "db_manager" { "using" } else { name };
        match self.manager_queryset(manager, owner) {
            Type::QuerySet(qs) => {
                let ty = self.queryset_method(&qs, name, args, node);
                if manager.is_many_to_many
                    && matches!(name, "create" | "acreate" | "get_or_create" | "update_or_create")
                {
                    self.event(node, EventKind::Write { model: None, write: Write::Other });
                }
                ty
            }
            _ => self.call_unknown(name, args, node),
        }
    }

    // ---- querysets ----

    pub(super) fn queryset_method(
        &mut self,
        qs: &Arc<QuerySet>,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        if let QuerySetClass::Custom(class) = qs.class
            && let Some((_, Member::Function(function, _))) = self.az.project.program().member(class, name)
        {
            let function = *function;
            self.use_queryset(qs, node, Use::Method(Name::from(name)));
            return self.call_function(function, Some(Type::QuerySet(qs.clone())), args, node);
        }
        if !is_queryset_method(name) {
            self.use_queryset(qs, node, Use::Other);
            return self.call_unknown(name, args, node);
        }
        self.builtin_queryset_method(qs, name, args, node)
    }

    fn derive(&mut self, qs: &Arc<QuerySet>, node: Node<'a>, change: impl FnOnce(&mut QuerySet)) -> Type {
        let parent = self.single(qs, node);
        let value = self.value_at(node, Made::Unknown, Some(parent));
        let mut out = (**qs).clone();
        change(&mut out);
        out.values = SmallVec::from_slice(&[value]);
        let out = Arc::new(out);
        self.set_queryset(value, &out);
        Type::QuerySet(out)
    }

    pub(super) fn slice(&mut self, node: Node<'a>, qs: &Arc<QuerySet>, index: Node<'a>) -> Type {
        self.use_queryset(qs, node, Use::Slice);
        // A step evaluates at once and gives a list.
        if index.text().matches(':').count() > 1 {
            self.evaluated(qs, node, "__getitem__");
            let value = self.single(qs, node);
            return Type::list(super::frame::row_type(qs, value));
        }
        self.derive(qs, node, |q| {
            q.traits.insert(Trait::Sliced);
        })
    }

    pub(super) fn combine(&mut self, node: Node<'a>, a: Arc<QuerySet>, b: Arc<QuerySet>) -> Type {
        self.use_queryset(&a, node, Use::Method(Name::from("__or__")));
        self.use_queryset(&b, node, Use::Method(Name::from("__or__")));
        self.derive(&a, node, |q| {
            q.related = None;
            q.traits.extend(b.traits.iter().copied());
            q.traits.insert(Trait::Mysterious);
        })
    }

    pub(super) fn builtin_queryset_method(
        &mut self,
        qs: &Arc<QuerySet>,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        self.use_queryset(qs, node, Use::Method(Name::from(name)));
        // Querysets given to lookups become subqueries: they are used, not evaluated.
        for arg in args {
            if let Type::QuerySet(other) = &arg.ty {
                let other = other.clone();
                self.use_queryset(&other, arg.node, Use::Method(Name::from("__subquery__")));
            }
        }
        let joined = self.joined_by(qs.model, args);
        let with_joins;
        let qs = if joined.is_subset(&qs.joined) {
            qs
        } else {
            let mut more = (**qs).clone();
            more.joined.extend(joined);
            with_joins = Arc::new(more);
            &with_joins
        };
        let literals: Vec<Option<Name>> =
            args.iter().map(|a| string_value(a.node).map(|s| Name::from(s.as_str()))).collect();
        let positional_literals = || -> Option<BTreeSet<Name>> {
            args.iter()
                .zip(&literals)
                .map(|(a, l)| if a.name.is_none() && a.stars == 0 { l.clone() } else { None })
                .collect()
        };
        if name != "all" && qs.related.is_some() && is_chain_method(name) {
            self.evaluated_as(qs, node, name);
        }
        let model = qs.model;
        let single = |frame: &mut Self, optional: bool| {
            let ty = match &qs.rows {
                Rows::Instances => {
                    let value = frame.value_at(node, Made::Loaded, None);
                    Type::Instance(Instance::root(model, Root::Value(value)))
                }
                other => {
                    super::frame::row_type(&QuerySet { rows: other.clone(), ..(**qs).clone() }, ValueId(0))
                }
            };
            if optional { ty.optional() } else { ty }
        };
        match name {
            "all" => self.derive(qs, node, |_| {}),
            "filter" | "exclude" | "complex_filter" => {
                let raw = args.iter().any(is_raw);
                self.derive(qs, node, |q| {
                    q.related = None;
                    if raw {
                        q.traits.insert(Trait::RawSql);
                    }
                })
            }
            "order_by" | "reverse" => self.derive(qs, node, |q| {
                q.related = None;
                if args.iter().any(is_raw) {
                    q.traits.insert(Trait::RawSql);
                }
                if name == "order_by" && args.is_empty() {
                    q.traits.remove(&Trait::Ordered);
                    q.traits.insert(Trait::Unordered);
                } else {
                    q.traits.remove(&Trait::Unordered);
                    q.traits.insert(Trait::Ordered);
                }
            }),
            "select_related" => {
                let clears = matches!(args, [only] if matches!(Expr::of(only.node), Expr::None));
                let names = positional_literals();
                self.derive(qs, node, |q| {
                    q.related = None;
                    match (clears, args.is_empty(), names) {
                        (true, _, _) => {
                            q.selected.clear();
                            q.traits.remove(&Trait::BareSelectRelated);
                        }
                        (_, true, _) => {
                            q.traits.insert(Trait::BareSelectRelated);
                        }
                        (_, _, Some(names)) => q.selected.extend(names),
                        _ => {
                            q.traits.insert(Trait::Mysterious);
                        }
                    }
                })
            }
            "prefetch_related" => {
                let clears = matches!(args, [only] if matches!(Expr::of(only.node), Expr::None));
                let names: Vec<Option<Name>> = args.iter().map(|a| prefetch_lookup(a.node)).collect();
                self.derive(qs, node, |q| {
                    q.related = None;
                    if clears {
                        q.prefetched.clear();
                        return;
                    }
                    for name in names {
                        match name {
                            Some(name) => {
                                q.prefetched.insert(name);
                            }
                            None => {
                                q.traits.insert(Trait::OpaquePrefetch);
                            }
                        }
                    }
                })
            }
            "only" | "defer" => {
                let names = positional_literals();
                let sign = if name == "only" { '+' } else { '-' };
                self.derive(qs, node, |q| {
                    q.related = None;
                    q.traits.insert(Trait::Deferred);
                    match names {
                        Some(names) => {
                            q.deferred.extend(names.iter().map(|n| Name::from(format!("{sign}{n}"))))
                        }
                        None => {
                            q.traits.insert(Trait::Mysterious);
                        }
                    }
                })
            }
            "annotate" | "alias" => {
                let names: Vec<Name> = args.iter().filter_map(|a| a.name.map(Name::from)).collect();
                let positional = args.iter().any(|a| a.name.is_none());
                let raw = args.iter().any(is_raw);
                let filtered_relation = args.iter().any(|a| a.node.text().contains("FilteredRelation"));
                self.derive(qs, node, |q| {
                    q.related = None;
                    if q.rows == Rows::Dicts || q.rows == Rows::Tuples {
                        q.traits.insert(Trait::Grouped);
                    }
                    q.traits.insert(Trait::Annotated);
                    if positional {
                        q.traits.insert(Trait::Mysterious);
                    }
                    if raw {
                        q.traits.insert(Trait::RawSql);
                    }
                    if filtered_relation {
                        q.traits.insert(Trait::FilteredRelation);
                    }
                    q.annotations.extend(names);
                })
            }
            "distinct" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.insert(if args.is_empty() { Trait::Distinct } else { Trait::DistinctOn });
            }),
            "using" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.insert(Trait::Using);
            }),
            "select_for_update" => self.derive(qs, node, |q| {
                q.related = None;
                let of = args.iter().any(|a| a.name == Some("of") || a.stars > 0);
                q.traits.insert(if of { Trait::LockedOf } else { Trait::Locked });
            }),
            "none" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.insert(Trait::Empty);
            }),
            "union" | "intersection" | "difference" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.insert(Trait::Combined);
            }),
            "extra" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.insert(Trait::RawSql);
            }),
            "raw" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.insert(Trait::Raw);
            }),
            "values" => self.derive(qs, node, |q| {
                q.related = None;
                q.rows = Rows::Dicts;
            }),
            "values_list" => {
                let flat = args.iter().any(|a| a.name == Some("flat") && a.node.text() == "True");
                let named = args.iter().any(|a| a.name == Some("named"));
                let column = literals.first().cloned().flatten();
                let ty = column.and_then(|c| self.lookup_type(model, &c)).unwrap_or(Type::Unknown);
                self.derive(qs, node, |q| {
                    q.related = None;
                    q.rows = match (flat, named) {
                        (true, false) => Rows::Flat(Arc::new(ty)),
                        (false, false) => Rows::Tuples,
                        _ => Rows::Unknown,
                    };
                })
            }
            "dates" | "datetimes" => self.derive(qs, node, |q| {
                q.related = None;
                q.traits.insert(Trait::Dates);
                q.rows = Rows::Unknown;
            }),
            "iterator" | "aiterator" => {
                self.evaluated_as(qs, node, "iterator");
                self.use_queryset(qs, node, Use::Iterate);
                let value = self.single(qs, node);
                Type::iterator(super::frame::row_type(qs, value))
            }
            "get" | "aget" => {
                self.evaluated_as(qs, node, name);
                self.event(node, EventKind::Raise);
                single(self, false)
            }
            "first" | "last" | "afirst" | "alast" => {
                self.evaluated_as(qs, node, name);
                single(self, true)
            }
            "earliest" | "latest" | "aearliest" | "alatest" => {
                self.evaluated_as(qs, node, name);
                self.event(node, EventKind::Raise);
                single(self, false)
            }
            "count" | "acount" => {
                self.evaluated_as(qs, node, name);
                Type::Int
            }
            "exists" | "aexists" | "contains" | "acontains" => {
                self.evaluated_as(qs, node, name);
                Type::Bool
            }
            "aggregate" | "aaggregate" => {
                self.evaluated_as(qs, node, name);
                Type::Dict(Arc::new((Type::Str, Type::Unknown)))
            }
            "in_bulk" | "ain_bulk" => {
                self.evaluated_as(qs, node, name);
                let value = self.single(qs, node);
                let key = self.az.project.model(model).primary_key().map_or(Type::Unknown, column_type);
                Type::Dict(Arc::new((key, super::frame::row_type(qs, value))))
            }
            "create" | "acreate" => {
                let instance = self.created(model, args, node);
                Type::Instance(instance)
            }
            "get_or_create" | "update_or_create" | "aget_or_create" | "aupdate_or_create" => {
                self.evaluated_as(qs, node, name);
                let instance = self.created(model, args, node);
                if name.contains("update") {
                    self.written(&Instance::root(model, Root::Opaque), Write::Update, node);
                }
                if let Root::Value(v) = instance.root
                    && let Some(value) = self.facts.values.get_mut(v.0 as usize)
                {
                    value.made = Made::Loaded;
                }
                Type::Tuple(vec![Type::Instance(instance), Type::Bool].into())
            }
            "bulk_create" | "abulk_create" => {
                for arg in args {
                    self.escape(&arg.ty.clone(), arg.node, Escape::Store);
                }
                self.event(node, EventKind::Write { model: Some(model), write: Write::Insert });
                args.first().map_or(Type::Unknown, |a| a.ty.clone())
            }
            "bulk_update" | "abulk_update" => {
                self.event(node, EventKind::Write { model: Some(model), write: Write::Update });
                Type::Int
            }
            "update" | "aupdate" => {
                self.event(node, EventKind::Write { model: Some(model), write: Write::Update });
                Type::Int
            }
            "delete" | "adelete" => {
                self.written(&Instance::root(model, Root::Opaque), Write::Delete, node);
                // A cascade deletes rows of other tables as well.
                self.event(node, EventKind::Write { model: None, write: Write::Delete });
                Type::Unknown
            }
            "explain" | "resolve_expression" | "as_manager" => Type::Unknown,
            _ => Type::Unknown,
        }
    }

    /// The models whose rows the lookups, expressions and subqueries in `args` read besides those of `model`.
    fn joined_by(&self, model: ModelId, args: &[Arg<'a>]) -> BTreeSet<ModelId> {
        let mut out = BTreeSet::new();
        for arg in args {
            if let Type::QuerySet(other) = &arg.ty {
                out.insert(other.model);
                out.extend(other.joined.iter().copied());
            }
            if let Some(lookup) = arg.name {
                self.joined_on(model, lookup, &mut out);
            }
            // A value may be any string; a path in an expression (`F`, `Count`, `Q`) is one that resolves.
            for node in arg.node.descendants() {
                match node.kind() {
                    crate::python::Kind::Str => {
                        if let Some(path) = string_value(node) {
                            self.joined_on(model, path.trim_start_matches('-'), &mut out);
                        }
                    }
                    crate::python::Kind::KeywordArgument => {
                        if let Some(name) = node.child(crate::python::Field::Name) {
                            self.joined_on(model, name.text(), &mut out);
                        }
                    }
                    _ => {
                        if let Some(Type::QuerySet(other)) = self.facts.types.get(&node.id()) {
                            out.insert(other.model);
                            out.extend(other.joined.iter().copied());
                        }
                    }
                }
            }
        }
        out
    }

    /// The models that a lookup path passes through after `model`.
    fn joined_on(&self, model: ModelId, path: &str, out: &mut BTreeSet<ModelId>) {
        let mut model = model;
        // A forward relation is read only if something of its target is asked for.
        let mut pending: Option<ModelId> = None;
        for part in path.split("__") {
            let info = self.az.project.model(model);
            let is_key = part == "pk" || info.primary_key().is_some_and(|pk| pk.name == part);
            let field = info.field(part);
            let reverse = info.reverse.iter().find(|r| r.query_name == part);
            if field.is_none() && reverse.is_none() {
                return;
            }
            if let Some(target) = pending.take()
                && !is_key
            {
                out.insert(target);
            }
            if let Some(reverse) = reverse {
                out.insert(reverse.source);
                model = reverse.source;
                continue;
            }
            let Some(relation) = field.and_then(|f| f.relation.as_ref()) else { return };
            let Some(target) = relation.target else { return };
            match relation.kind {
                RelationKind::ForeignKey | RelationKind::OneToOne => pending = Some(target),
                _ => {
                    out.insert(target);
                }
            }
            model = target;
        }
    }

    fn evaluated_as(&mut self, qs: &Arc<QuerySet>, node: Node<'a>, method: &str) {
        self.evaluated(qs, node, method);
    }

    /// The type of the value at the end of a lookup path.
    fn lookup_type(&self, model: ModelId, path: &str) -> Option<Type> {
        let mut model = model;
        let mut optional = false;
        let mut parts = path.split("__").peekable();
        while let Some(part) = parts.next() {
            let info = self.az.project.model(model);
            if part == "pk" {
                return info.primary_key().map(column_type);
            }
            let Some(field) = info.field(part) else {
                return info.field_by_attname(part).map(|_| Type::Unknown);
            };
            optional |= field.null;
            match (&field.relation, parts.peek()) {
                (Some(relation), Some(_))
                    if matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne) =>
                {
                    model = relation.target?;
                }
                (Some(_), _) => return None,
                (None, None) => {
                    let ty = kind_type(field.kind);
                    return Some(if optional { ty.optional() } else { ty });
                }
                (None, Some(_)) => return None,
            }
        }
        None
    }
}

/// Whether an argument is, or holds, SQL written by hand.
fn is_raw(arg: &Arg<'_>) -> bool {
    arg.node.text().contains("RawSQL") || matches!(&arg.ty, Type::External(path) if path.ends_with("RawSQL"))
}

/// The expression before the last dot of a called attribute.
fn func_owner<'a>(func: Node<'a>) -> Node<'a> {
    match Expr::of(func) {
        Expr::Attribute { value, .. } => value.peel(),
        _ => func,
    }
}

/// The literal lookup of one argument of prefetch_related(): a string, or the first argument of a Prefetch.
pub(super) fn prefetch_lookup(node: Node<'_>) -> Option<Name> {
    if let Some(text) = string_value(node) {
        return Some(Name::from(text.as_str()));
    }
    let Expr::Call { func, arguments } = Expr::of(node) else { return None };
    if !func.text().ends_with("Prefetch") {
        return None;
    }
    let args = crate::python::arguments(arguments);
    if args.iter().any(|a| a.name == Some("to_attr") || a.name == Some("queryset")) || args.len() > 1 {
        return None;
    }
    string_value(args.first()?.value).map(|s| Name::from(s.as_str()))
}

fn is_builtin_instance_method(name: &str) -> bool {
    matches!(
        name,
        "save"
            | "asave"
            | "save_base"
            | "delete"
            | "adelete"
            | "refresh_from_db"
            | "arefresh_from_db"
            | "full_clean"
            | "clean"
            | "clean_fields"
            | "validate_unique"
            | "validate_constraints"
            | "serializable_value"
            | "get_deferred_fields"
            | "unique_error_message"
            | "date_error_message"
            | "prepare_database_save"
    )
}

fn is_chain_method(name: &str) -> bool {
    matches!(
        name,
        "filter"
            | "exclude"
            | "complex_filter"
            | "order_by"
            | "reverse"
            | "select_related"
            | "prefetch_related"
            | "only"
            | "defer"
            | "annotate"
            | "alias"
            | "distinct"
            | "using"
            | "select_for_update"
            | "none"
            | "union"
            | "intersection"
            | "difference"
            | "extra"
            | "values"
            | "values_list"
            | "dates"
            | "datetimes"
    )
}

/// Methods that Django's QuerySet has.
pub(super) fn is_queryset_method(name: &str) -> bool {
    is_chain_method(name)
        || matches!(
            name.strip_prefix('a').filter(|n| *n != "ll" && *n != "lias" && *n != "nnotate").unwrap_or(name),
            "all"
                | "raw"
                | "get"
                | "first"
                | "last"
                | "earliest"
                | "latest"
                | "count"
                | "exists"
                | "contains"
                | "aggregate"
                | "in_bulk"
                | "iterator"
                | "create"
                | "get_or_create"
                | "update_or_create"
                | "bulk_create"
                | "bulk_update"
                | "update"
                | "delete"
                | "explain"
                | "resolve_expression"
        )
        || name == "aggregate"
        || name == "all"
}
