//! Calls: what is called, what it does, what comes back.

use super::analyzer::MAX_COST;
use super::external::{self, Effect};
use super::facts::{Escape, EventKind, Made, Origin, Use, Write};
use super::frame::Frame;
use super::summary::{Translation, abstracted, opaque};
use super::types::{Instance, Name, QuerySet, Root, Type, ValueId};
use crate::python::{
    Binding, ClassId, Def, Expr, FunctionId, Member, Node, ParameterKind, arguments, parameters,
};
use crate::text::Site;
use rustc_hash::FxHashSet;
use smallvec::SmallVec;
use std::sync::Arc;

/// Methods of classes below that a call may reach before it counts as unknown.
const MAX_OVERRIDES: usize = 8;

/// An evaluated argument.
#[derive(Clone, Debug)]
pub(super) struct Arg<'a> {
    pub name: Option<&'a str>,
    pub ty: Type,
    pub node: Node<'a>,
    pub stars: u8,
}

impl<'a> Frame<'a, '_> {
    pub(super) fn call(&mut self, node: Node<'a>, func: Node<'a>, args: Node<'a>) -> Type {
        match Expr::of(func) {
            Expr::Attribute { value, attr, .. } => {
                if self.has_overrides
                    && let Expr::Name(name) = Expr::of(value)
                    && let Some(callee) = self.lookup(&format!("{name}.{attr}")).cloned()
                {
                    self.expr(value);
                    let args = self.arguments(args);
                    return self.call_value(&callee, &args, node, func);
                }
                let owner = self.expr(value);
                let args = self.arguments(args);
                self.method_call(&owner, attr, &args, node, func)
            }
            Expr::Name("super") if self.lookup("super").is_none() => {
                self.arguments(args);
                self.super_object()
            }
            _ => {
                let callee = self.expr(func);
                let args = self.arguments(args);
                self.call_value(&callee, &args, node, func)
            }
        }
    }

    fn super_object(&mut self) -> Type {
        let Some(class) = self.class else { return Type::Unknown };
        let first = parameters(self.scope).first().map(|p| p.name);
        match first.and_then(|name| self.lookup(name).cloned()) {
            Some(receiver) => Type::Super(class, Arc::new(receiver)),
            None => Type::Unknown,
        }
    }

    fn arguments(&mut self, node: Node<'a>) -> Vec<Arg<'a>> {
        arguments(node)
            .into_iter()
            .map(|a| {
                let mut ty = self.expr(a.value);
                if a.stars == 1 {
                    ty = self.iterate(&ty, a.value);
                }
                if let Type::QuerySet(qs) = &ty
                    && qs.values.len() > 1
                {
                    let mut one = (**qs).clone();
                    let value = self.single(qs, a.value);
                    one.values = SmallVec::from_slice(&[value]);
                    ty = Type::QuerySet(Arc::new(one));
                }
                Arg { name: a.name, ty, node: a.value, stars: a.stars }
            })
            .collect()
    }

    /// Call what `callee` is.
    pub(super) fn call_value(
        &mut self,
        callee: &Type,
        args: &[Arg<'a>],
        node: Node<'a>,
        func: Node<'a>,
    ) -> Type {
        match callee {
            Type::Def(Def::Function(function)) => self.call_function(*function, None, args, node),
            Type::Def(Def::Class(class)) => {
                let class = *class;
                let mut object = self.az.object_of_class(class);
                if let Some(model) = queryset_model(args)
                    && self.az.project.is_queryset_class(class)
                {
                    let qs = QuerySet::new(model, super::types::QuerySetClass::Custom(class), ValueId(0));
                    object = Type::QuerySet(Arc::new(qs));
                }
                if let Type::QuerySet(qs) = &object {
                    object = self.made_queryset((**qs).clone(), node);
                }
                if let Some((_, Member::Function(init, _))) =
                    self.az.project.program().member(class, "__init__")
                {
                    let init = *init;
                    self.call_function(init, Some(object.clone()), args, node);
                } else {
                    self.escape_all(args, node, Escape::Store);
                }
                object
            }
            Type::ModelClass(model) => {
                let model = *model;
                for arg in args {
                    self.escape(&arg.ty.clone(), arg.node, Escape::Store);
                }
                let value = self.value_at(node, Made::Constructed, None);
                Type::Instance(Instance::root(model, Root::Value(value)))
            }
            Type::Def(Def::External(path)) => {
                let path = path.clone();
                if matches!(path.as_str(), "django.db.models.QuerySet" | "django.db.models.query.QuerySet")
                    && let Some(model) = queryset_model(args)
                {
                    let qs = QuerySet::new(model, super::types::QuerySetClass::Plain, ValueId(0));
                    return self.made_queryset(qs, node);
                }
                self.call_external(&path, args, node)
            }
            Type::Local(id) => {
                let def = self.scope.at(*id);
                let types = bind_local(def, args);
                self.call_local(def, &types, Some(node))
            }
            Type::Bound(receiver, name) => {
                let (receiver, name) = (receiver.clone(), name.clone());
                self.method_call(&receiver, &name, args, node, func)
            }
            Type::Object(class) => {
                let class = *class;
                self.method_of_class(class, "__call__", &Type::Object(class), args, node)
            }
            Type::Union(types) => {
                let types = types.clone();
                types
                    .iter()
                    .filter(|t| **t != Type::None)
                    .map(|t| self.call_value(t, args, node, func))
                    .fold(Type::Never, Type::join)
            }
            Type::External(path) => {
                let path = path.clone();
                self.external_effect(&path, args, node);
                Type::Unknown
            }
            _ => {
                self.escape_all(args, node, Escape::UnknownCall);
                self.event(node, EventKind::UnknownCall { name: Name::from(short(func.text())) });
                Type::Unknown
            }
        }
    }

    /// A queryset made by calling its class.
    fn made_queryset(&mut self, mut qs: QuerySet, node: Node<'a>) -> Type {
        let value = self.value_at(node, Made::Unknown, None);
        qs.values = SmallVec::from_slice(&[value]);
        let qs = Arc::new(qs);
        self.set_queryset(value, &qs);
        Type::QuerySet(qs)
    }

    /// Call the method `name` of `owner`.
    pub(super) fn method_call(
        &mut self,
        owner: &Type,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
        func: Node<'a>,
    ) -> Type {
        match owner {
            Type::Def(Def::Class(class)) => match self.az.project.program().member(*class, name) {
                Some((_, Member::Function(function, Binding::ClassMethod))) => {
                    let function = *function;
                    self.call_function(function, Some(owner.clone()), args, node)
                }
                // `Class.method(self, ...)`, or a static method.
                Some((_, Member::Function(function, _))) => {
                    let function = *function;
                    self.call_function(function, None, args, node)
                }
                _ => {
                    let callee = self.attribute(owner, name, func);
                    self.call_value(&callee, args, node, func)
                }
            },
            // A task of the program is handed to a queue: it runs somewhere else.
            Type::Def(Def::Function(_))
                if matches!(name, "delay" | "apply_async" | "delay_on_commit" | "send" | "enqueue") =>
            {
                self.escape_all(args, node, Escape::External);
                self.event(node, EventKind::Outside { name: Name::from(format!("task.{name}")) });
                Type::Unknown
            }
            Type::Def(_) | Type::Local(_) => {
                let callee = self.attribute(owner, name, func);
                self.call_value(&callee, args, node, func)
            }
            Type::ModelClass(model) => {
                let class = self.az.project.model(*model).class;
                match self.az.project.program().member(class, name) {
                    Some((_, Member::Function(function, Binding::ClassMethod))) => {
                        let function = *function;
                        self.call_function(function, Some(owner.clone()), args, node)
                    }
                    Some((_, Member::Function(function, _))) => {
                        let function = *function;
                        self.call_function(function, None, args, node)
                    }
                    _ => {
                        let callee = self.attribute(owner, name, func);
                        self.call_value(&callee, args, node, func)
                    }
                }
            }
            Type::Instance(instance) => {
                let instance = instance.clone();
                self.instance_method(&instance, name, args, node)
            }
            Type::Manager(manager) => {
                let manager = manager.clone();
                self.manager_method(&manager, name, args, node, func)
            }
            Type::QuerySet(qs) => {
                let qs = qs.clone();
                self.queryset_method(&qs, name, args, node)
            }
            Type::Object(class) => {
                let class = *class;
                self.method_of_class(class, name, owner, args, node)
            }
            Type::Super(class, receiver) => {
                let (class, receiver) = (*class, receiver.clone());
                self.super_method(class, &receiver, name, args, node)
            }
            Type::Union(types) => {
                let types = types.clone();
                types
                    .iter()
                    .filter(|t| **t != Type::None)
                    .map(|t| self.method_call(t, name, args, node, func))
                    .fold(Type::Never, Type::join)
            }
            Type::External(path) => {
                // What `_meta` leads to may be any model's manager.
                if within_options(path) && external::WRITING_METHODS.contains(&name) {
                    self.event(node, EventKind::Write { model: None, write: Write::Other });
                }
                let path = format!("{path}.{name}");
                self.call_external(&path, args, node)
            }
            Type::Str | Type::Bytes => self.str_method(name, args),
            Type::List(_)
            | Type::Set(_)
            | Type::Dict(_)
            | Type::Tuple(_)
            | Type::Iterator(_)
            | Type::Never => self.container_method(owner, name, args, func),
            Type::None | Type::Bool | Type::Int | Type::Float | Type::Column(_) => {
                if let Type::Column(crate::django::FieldKind::File) = owner {
                    self.event(node, EventKind::Outside { name: Name::from(name) });
                }
                Type::Unknown
            }
            Type::Unknown | Type::Bound(..) => self.call_unknown(name, args, node),
        }
    }

    /// A method of a class of the program, for `receiver`.
    pub(super) fn method_of_class(
        &mut self,
        class: ClassId,
        name: &str,
        receiver: &Type,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        match self.az.project.program().member(class, name) {
            Some((_, Member::Function(function, binding))) => {
                let (function, binding) = (*function, *binding);
                let own = self.call_bound(function, binding, class, receiver, args, node);
                // The object may be of any class below.
                let overrides = self.overrides_below(class, name);
                if overrides.len() > MAX_OVERRIDES {
                    self.event(node, EventKind::UnknownCall { name: Name::from(name) });
                    return Type::Unknown;
                }
                overrides.into_iter().fold(own, |ty, (below, function, binding)| {
                    let receiver = match receiver {
                        Type::Object(_) => &self.az.object_of_class(below),
                        other => other,
                    };
                    ty.join(self.call_bound(function, binding, below, receiver, args, node))
                })
            }
            Some((_, Member::Class(inner))) => {
                let inner = *inner;
                self.call_value(&Type::Def(Def::Class(inner)), args, node, node)
            }
            Some(_) => {
                let callee = self.attribute(receiver, name, node);
                self.call_value(&callee, args, node, node)
            }
            // Python calls it only where it is there.
            None if name.starts_with("__") => Type::Unknown,
            None => {
                let info = self.az.project.program().class(class);
                self.object_dunders(receiver, &["__getattr__"], node);
                if info.has_unknown_base || !info.external_bases.is_empty() {
                    self.inherited_method(class, name, args, node)
                } else {
                    self.call_unknown(name, args, node)
                }
            }
        }
    }

    fn call_bound(
        &mut self,
        function: FunctionId,
        binding: Binding,
        class: ClassId,
        receiver: &Type,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        match binding {
            Binding::StaticMethod => self.call_function(function, None, args, node),
            Binding::ClassMethod => {
                self.call_function(function, Some(Type::Def(Def::Class(class))), args, node)
            }
            Binding::Property | Binding::CachedProperty => {
                let callee = self.call_function(function, Some(receiver.clone()), &[], node);
                self.call_value(&callee, args, node, node)
            }
            _ => self.call_function(function, Some(receiver.clone()), args, node),
        }
    }

    /// The methods called `name` of the classes below `class`.
    fn overrides_below(&self, class: ClassId, name: &str) -> Vec<(ClassId, FunctionId, Binding)> {
        let program = self.az.project.program();
        let below = program.descendants(class).into_iter().filter(|c| *c != class);
        below
            .filter_map(|c| match program.class(c).members.get(name) {
                Some(Member::Function(function, binding)) => Some((c, *function, *binding)),
                _ => None,
            })
            .collect()
    }

    /// A method that a class has from a base outside the program: it may save what it manages.
    fn inherited_method(&mut self, class: ClassId, name: &str, args: &[Arg<'a>], node: Node<'a>) -> Type {
        self.escape_all(args, node, Escape::External);
        if external::WRITING_METHODS.contains(&name) || name == "form_valid" || name.starts_with("perform_") {
            self.event(node, EventKind::Write { model: None, write: Write::Other });
        }
        self.framework_method(class, name, node).unwrap_or(Type::Unknown)
    }

    fn super_method(
        &mut self,
        class: ClassId,
        receiver: &Type,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        let program = self.az.project.program();
        // The order of the receiver's own class, where it is known.
        let start = match receiver {
            Type::Instance(i) => self.az.project.model(i.model).class,
            Type::Object(c) => *c,
            _ => class,
        };
        let mro = &program.class(start).mro;
        let mro = if mro.contains(&class) { mro } else { &program.class(class).mro };
        let next = mro.iter().skip_while(|c| **c != class).skip(1).find_map(|c| {
            match program.class(*c).members.get(name) {
                Some(Member::Function(function, binding)) => Some((*function, *binding)),
                _ => None,
            }
        });
        if let Some((function, binding)) = next {
            let receiver = match binding {
                Binding::StaticMethod => None,
                _ => Some(receiver.clone()),
            };
            return self.call_function(function, receiver, args, node);
        }
        match receiver {
            Type::Instance(instance) => self.builtin_instance_method(instance, name, args, node),
            Type::Manager(manager) => {
                let manager = manager.clone();
                self.builtin_manager_method(&manager, name, args, node)
            }
            Type::QuerySet(qs) => {
                let qs = qs.clone();
                self.builtin_queryset_method(&qs, name, args, node)
            }
            Type::Object(object) => self.inherited_method(*object, name, args, node),
            _ => self.inherited_method(class, name, args, node),
        }
    }

    /// A method called `name` on an object of unknown type. The world is closed: it is one of the program's
    /// methods of that name, one of Django's, or one of a library that does not know the project's tables.
    pub(super) fn call_unknown(&mut self, name: &str, args: &[Arg<'a>], node: Node<'a>) -> Type {
        self.escape_all(args, node, Escape::External);
        if external::WRITING_METHODS.contains(&name)
            && !(name == "add" || name == "remove" || name == "set" || name == "clear" || name == "update")
        {
            self.event(node, EventKind::Write { model: None, write: Write::Other });
        } else if matches!(name, "add" | "remove" | "set" | "clear" | "update") {
            // A set or dict as often as a related manager: unknown.
            self.event(node, EventKind::Write { model: None, write: Write::Other });
        } else if matches!(
            name,
            "filter" | "exclude" | "all" | "first" | "last" | "exists" | "aggregate" | "count"
        ) {
            self.event(node, EventKind::Query { model: None });
        }
        let positional = args.iter().filter(|a| a.name.is_none() && a.stars == 0).count();
        let spread = args.iter().any(|a| a.stars > 0);
        let positional = if spread { None } else { u8::try_from(positional).ok() };
        if self.az.candidates(name, positional).next().is_none() {
            if !external::PLAIN_METHODS.contains(&name) && name != "get" {
                self.event(node, EventKind::Outside { name: Name::from(name) });
            }
        } else {
            self.event(node, EventKind::CallNamed { name: Name::from(name), positional });
        }
        Type::Unknown
    }

    pub(super) fn escape_all(&mut self, args: &[Arg<'a>], _node: Node<'a>, how: Escape) {
        for arg in args {
            self.escape(&arg.ty.clone(), arg.node, how);
            if let Type::Local(id) = arg.ty {
                let def = self.scope.at(id);
                self.call_local(def, &[], None);
            }
        }
    }

    /// Call a function of the program; its events become events of the call.
    pub(super) fn call_function(
        &mut self,
        function: FunctionId,
        receiver: Option<Type>,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        let program = self.az.project.program();
        let info = program.function(function);
        let def = program.file(info.file).node(info.node);
        let params = parameters(def);
        let mut bound: Vec<Option<Type>> = vec![None; params.len()];
        let mut at = 0usize;
        if let Some(receiver) = receiver
            && let Some(slot) = bound.get_mut(0)
        {
            *slot = Some(receiver);
            at = 1;
        }
        for arg in args {
            if arg.stars > 0 {
                self.escape(&arg.ty.clone(), arg.node, Escape::External);
                continue;
            }
            let index = match arg.name {
                Some(name) => params.iter().position(|p| p.name == name),
                None => {
                    let index = params.get(at).filter(|p| {
                        matches!(p.kind, ParameterKind::PositionalOnly | ParameterKind::PositionalOrKeyword)
                    });
                    let found = index.map(|_| at);
                    at += usize::from(found.is_some());
                    found
                }
            };
            match index.and_then(|i| bound.get_mut(i)) {
                Some(slot) => *slot = Some(arg.ty.clone()),
                None => self.escape(&arg.ty.clone(), arg.node, Escape::External),
            }
        }
        let bound: Vec<Type> = bound
            .into_iter()
            .zip(&params)
            .map(|(ty, parameter)| match (ty, parameter.kind) {
                (_, ParameterKind::VarPositional | ParameterKind::VarKeyword) => Type::Unknown,
                (Some(ty), _) => ty,
                (None, _) => match parameter.default.map(Expr::of) {
                    Some(Expr::None) => Type::None,
                    Some(Expr::True | Expr::False) => Type::Bool,
                    Some(Expr::Int(_)) => Type::Int,
                    Some(Expr::Str(_)) => Type::Str,
                    _ => Type::Unknown,
                },
            })
            .collect();
        // Enough is followed from here; what comes after is looked at without its callees.
        if self.cost > MAX_COST {
            self.escape_all(args, node, Escape::External);
            self.event(node, EventKind::UnknownCall { name: Name::from(info.name.as_str()) });
            return Type::Unknown;
        }
        let inner: Vec<Type> = bound.iter().enumerate().map(|(i, ty)| abstracted(ty, i)).collect();
        // A function passed on may be called by the callee with anything.
        for ty in &bound {
            if let Type::Local(id) = ty {
                let local = self.scope.at(*id);
                self.call_local(local, &[], Some(node));
            }
        }
        let Some(summary) = self.az.summary(function, inner, self.stack) else {
            self.event(node, EventKind::UnknownCall { name: Name::from(info.name.as_str()) });
            return Type::Unknown;
        };
        self.cost = self.cost.saturating_add(summary.cost);
        let translation = Translation { summary: &summary, arguments: &bound };
        let mut seen = FxHashSet::default();
        for event in &summary.events {
            if self.dry > 0 {
                break;
            }
            // A summary holds each of the ambient ones once.
            if let Some(kind) = self.translated(&event.kind, &translation)
                && (kind.is_ambient() || seen.insert((event.site, kind.clone())))
            {
                self.event_at(node, event.site, kind);
            }
        }
        for decorator in info.decorators.iter().flatten() {
            if let Def::Function(decorator) = decorator {
                self.wrapped_by(*decorator, node);
            }
        }
        let transparent = info.decorators.iter().all(|d| d.as_ref().is_some_and(is_transparent));
        let Some(returns) = &summary.returns else { return Type::Unknown };
        if !transparent {
            return Type::Unknown;
        }
        let site = Site { file: info.file, span: def.span() };
        let result = match self.translated_type(returns, &translation, node, site) {
            Type::Unknown => match self.found_model(function, args) {
                Some(model) => Type::ModelClass(model),
                None => self.annotated_return(function, node, site),
            },
            known => known,
        };
        if info.decorators.iter().flatten().any(remembers) {
            let name = def.child(crate::python::Field::Name).unwrap_or(def);
            self.keep(&result, Site { file: info.file, span: name.span() });
        }
        result
    }

    /// The querysets of `ty` live longer than the call that gave them.
    fn keep(&mut self, ty: &Type, site: Site) {
        for alternative in ty.alternatives() {
            let Type::QuerySet(qs) = alternative else { continue };
            for value in &qs.values {
                if let Some(value) = self.facts.values.get_mut(value.0 as usize) {
                    value.kept = Some(site);
                }
            }
        }
    }

    /// What a function's annotation promises, where its body does not tell.
    fn annotated_return(&mut self, function: FunctionId, node: Node<'a>, site: Site) -> Type {
        let program = self.az.project.program();
        let info = program.function(function);
        let source = program.file(info.file);
        let Some(annotation) = source.node(info.node).child(crate::python::Field::ReturnType) else {
            return Type::Unknown;
        };
        if info.is_generator || info.is_async {
            return Type::Unknown;
        }
        let mut outer = Frame::new(self.az, self.stack, info.file, source.root(), None);
        match outer.annotation(annotation) {
            Type::QuerySet(qs) => {
                let value = self.value_at(node, Made::Unknown, None);
                let mut out = (*qs).clone();
                out.values = SmallVec::from_slice(&[value]);
                let out = Arc::new(out);
                self.set_queryset(value, &out);
                if let Some(v) = self.facts.values.get_mut(value.0 as usize) {
                    v.site = Some(site);
                }
                Type::QuerySet(out)
            }
            other => opaque(&other),
        }
    }

    /// What a decorator of the program does around every call: the functions defined in it run with the call. That
    /// it calls what it was given is the call itself.
    fn wrapped_by(&mut self, decorator: FunctionId, node: Node<'a>) {
        let program = self.az.project.program();
        let info = program.function(decorator);
        let def = program.file(info.file).node(info.node);
        let arguments = vec![Type::Unknown; parameters(def).len()];
        let Some(summary) = self.az.summary(decorator, arguments, self.stack) else {
            self.event(node, EventKind::UnknownCall { name: Name::from(info.name.as_str()) });
            return;
        };
        self.cost = self.cost.saturating_add(summary.cost);
        let given: FxHashSet<&str> = def
            .descendants()
            .filter(|n| n.kind() == crate::python::Kind::FunctionDef)
            .flat_map(parameters)
            .map(|p| p.name)
            .collect();
        for event in &summary.events {
            match &event.kind {
                EventKind::UnknownCall { name } if given.contains(&**name) => {}
                kind @ (EventKind::Query { .. }
                | EventKind::Write { .. }
                | EventKind::Outside { .. }
                | EventKind::UnknownCall { .. }
                | EventKind::CallNamed { .. }
                | EventKind::Transaction { .. }
                | EventKind::Raise) => self.event_at(node, event.site, kind.clone()),
                _ => {}
            }
        }
    }

    fn translated(&mut self, kind: &EventKind, t: &Translation<'_>) -> Option<EventKind> {
        Some(match kind {
            EventKind::ReadRelation { root, path, model } => {
                let (root, path) = t.roots(*root, path).unwrap_or((Root::Opaque, path.clone()));
                EventKind::ReadRelation { root, path, model: *model }
            }
            EventKind::ReadMany { root, path, method, model } => {
                let (root, path) = t.roots(*root, path).unwrap_or((Root::Opaque, path.clone()));
                EventKind::ReadMany { root, path, method: method.clone(), model: *model }
            }
            EventKind::ReadAttribute { root, path, name } => {
                let (root, path) = t.roots(*root, path)?;
                EventKind::ReadAttribute { root, path, name: name.clone() }
            }
            EventKind::WriteAttribute { root, path, name } => {
                let (root, path) = t.roots(*root, path).unwrap_or((Root::Opaque, path.clone()));
                EventKind::WriteAttribute { root, path, name: name.clone() }
            }
            EventKind::InstanceMethod { root, path, name } => {
                let (root, path) = t.roots(*root, path).unwrap_or((Root::Opaque, path.clone()));
                EventKind::InstanceMethod { root, path, name: name.clone() }
            }
            EventKind::InstanceEscapes { root, path, how } => {
                let (root, path) = t.roots(*root, path)?;
                EventKind::InstanceEscapes { root, path, how: *how }
            }
            EventKind::Use { value, how } => {
                let parameter = t.parameter(*value)?;
                let argument = t.arguments.get(parameter)?.queryset()?;
                EventKind::Use { value: *argument.values.first()?, how: how.clone() }
            }
            other => other.clone(),
        })
    }

    /// A callee's result in the caller's terms: what the callee made is one value of the call.
    fn translated_type(&mut self, ty: &Type, t: &Translation<'_>, node: Node<'a>, site: Site) -> Type {
        match ty {
            Type::Instance(i) => match t.roots(i.root, &i.path) {
                Some((root, path)) => Type::Instance(Instance { model: i.model, root, path }),
                None => match i.root {
                    Root::Value(v) => {
                        let value = self.value_at(node, t.made(v), None);
                        Type::Instance(Instance {
                            model: i.model,
                            root: Root::Value(value),
                            path: i.path.clone(),
                        })
                    }
                    Root::Row(_) => {
                        let value = self.value_at(node, Made::Unknown, None);
                        if let Some(v) = self.facts.values.get_mut(value.0 as usize) {
                            v.site = Some(site);
                        }
                        Type::Instance(Instance {
                            model: i.model,
                            root: Root::Row(value),
                            path: i.path.clone(),
                        })
                    }
                    Root::Opaque => Type::Instance(i.clone()),
                },
            },
            Type::QuerySet(qs) => {
                let mut out: QuerySet = (**qs).clone();
                out.related = match out.related.take() {
                    Some(related) => t.roots(related.owner.root, &related.owner.path).map(|(root, path)| {
                        Arc::new(super::types::Related {
                            owner: Instance { model: related.owner.model, root, path },
                            accessor: related.accessor.clone(),
                        })
                    }),
                    None => None,
                };
                // The parameter itself comes back as the argument.
                if let [only] = qs.values.as_slice()
                    && let Some(value) = t.summary.values.get(only.0 as usize)
                    && let Origin::Parameter(index) = value.origin
                    && let Some(argument) = t.arguments.get(index).and_then(Type::queryset)
                {
                    out.values = argument.values.clone();
                    return Type::QuerySet(Arc::new(out));
                }
                let parent = qs
                    .values
                    .first()
                    .and_then(|v| t.parameter(*v))
                    .and_then(|index| t.arguments.get(index))
                    .and_then(Type::queryset)
                    .and_then(|argument| argument.values.first().copied());
                let value = self.value_at(node, Made::Unknown, parent);
                out.values = SmallVec::from_slice(&[value]);
                let out = Arc::new(out);
                self.set_queryset(value, &out);
                let kept = qs.values.iter().find_map(|v| kept(&t.summary.values, *v));
                if let Some(v) = self.facts.values.get_mut(value.0 as usize) {
                    v.site = Some(site);
                    v.kept = v.kept.or(kept);
                }
                Type::QuerySet(out)
            }
            Type::List(inner) => Type::List(Arc::new(self.translated_type(inner, t, node, site))),
            Type::Set(inner) => Type::Set(Arc::new(self.translated_type(inner, t, node, site))),
            Type::Iterator(inner) => Type::Iterator(Arc::new(self.translated_type(inner, t, node, site))),
            Type::Union(types) => {
                let types = types.clone();
                types.iter().map(|x| self.translated_type(x, t, node, site)).fold(Type::Never, Type::join)
            }
            Type::Tuple(types) => {
                let types = types.clone();
                let out: Vec<Type> = types
                    .iter()
                    .map(|x| match x {
                        Type::QuerySet(_) => Type::Unknown,
                        other => self.translated_type(other, t, node, site),
                    })
                    .collect();
                Type::Tuple(out.into())
            }
            Type::Manager(manager) => match &manager.related {
                Some(related) => match t.roots(related.owner.root, &related.owner.path) {
                    Some((root, path)) => {
                        let mut out = (**manager).clone();
                        out.related = Some(Arc::new(super::types::Related {
                            owner: Instance { model: related.owner.model, root, path },
                            accessor: related.accessor.clone(),
                        }));
                        Type::Manager(Arc::new(out))
                    }
                    None => opaque(ty),
                },
                None => ty.clone(),
            },
            Type::Dict(_) => opaque(ty),
            Type::Local(_) | Type::Bound(..) | Type::Super(..) => Type::Unknown,
            other => other.clone(),
        }
    }

    /// The type of something made outside functions.
    pub(super) fn imported(
        &mut self,
        summary: &super::summary::Summary,
        file: crate::text::FileId,
        value: crate::python::NodeId,
        node: Node<'a>,
    ) -> Type {
        let site = Site { file, span: self.az.project.program().file(file).node(value).span() };
        match summary.returns.clone().unwrap_or(Type::Unknown) {
            Type::QuerySet(qs) => {
                let id = ValueId(self.facts.values.len() as u32);
                self.facts.values.push(super::facts::Value {
                    origin: Origin::Outside,
                    parent: None,
                    queryset: None,
                    alternatives: SmallVec::new(),
                    made: Made::Unknown,
                    site: Some(site),
                    kept: None,
                });
                let mut out = (*qs).clone();
                out.values = SmallVec::from_slice(&[id]);
                let out = Arc::new(out);
                self.set_queryset(id, &out);
                self.event(node, EventKind::Use { value: id, how: Use::Escape(Escape::Store) });
                Type::QuerySet(out)
            }
            other => opaque(&other),
        }
    }

    // ---- Python's own ----

    fn str_method(&mut self, name: &str, args: &[Arg<'a>]) -> Type {
        match name {
            "join" => {
                for arg in args {
                    self.iterate(&arg.ty.clone(), arg.node);
                }
                Type::Str
            }
            "format" => {
                for arg in args {
                    self.stringify(&arg.ty.clone(), arg.node);
                }
                Type::Str
            }
            "split" | "rsplit" | "splitlines" => Type::list(Type::Str),
            "count" | "find" | "rfind" | "index" | "rindex" => Type::Int,
            "encode" => Type::Bytes,
            _ if name.starts_with("is") || name == "startswith" || name == "endswith" => Type::Bool,
            _ => Type::Str,
        }
    }

    fn container_method(&mut self, owner: &Type, name: &str, args: &[Arg<'a>], func: Node<'a>) -> Type {
        let first = args.first();
        for arg in args {
            self.escape(&arg.ty.clone(), arg.node, Escape::Container);
            self.object_dunders(&arg.ty, super::expr::HASHING, arg.node);
        }
        let receiver = match Expr::of(func) {
            Expr::Attribute { value, .. } => match Expr::of(value) {
                Expr::Name(name) => Some(name),
                _ => None,
            },
            _ => None,
        };
        match (owner, name) {
            (Type::List(t), "append" | "insert") => {
                let added = args.last().map_or(Type::Unknown, |a| a.ty.clone());
                if let Some(receiver) = receiver {
                    let joined = Type::list((**t).clone().join(added));
                    self.bind(receiver, joined);
                }
                Type::None
            }
            (Type::List(t), "extend") => {
                if let (Some(receiver), Some(arg)) = (receiver, first) {
                    let added = self.iterate(&arg.ty.clone(), arg.node);
                    let joined = Type::list((**t).clone().join(added));
                    self.bind(receiver, joined);
                }
                Type::None
            }
            (Type::Set(t), "add") => {
                if let (Some(receiver), Some(arg)) = (receiver, first) {
                    let joined = Type::Set(Arc::new((**t).clone().join(arg.ty.clone())));
                    self.bind(receiver, joined);
                }
                Type::None
            }
            (Type::Set(t), "update") => {
                if let (Some(receiver), Some(arg)) = (receiver, first) {
                    let added = self.iterate(&arg.ty.clone(), arg.node);
                    let joined = Type::Set(Arc::new((**t).clone().join(added)));
                    self.bind(receiver, joined);
                }
                Type::None
            }
            (Type::List(t) | Type::Set(t), "pop") => (**t).clone(),
            (Type::List(_) | Type::Set(_) | Type::Dict(_), "copy") => owner.clone(),
            (Type::List(_), "sort") => {
                self.call_key(args, owner);
                Type::None
            }
            (Type::List(_) | Type::Tuple(_), "index" | "count") => Type::Int,
            (Type::Dict(kv), "get" | "pop" | "setdefault") => kv.1.clone().join(match args.get(1) {
                Some(default) => default.ty.clone(),
                None => Type::None,
            }),
            (Type::Dict(kv), "values") => Type::iterator(kv.1.clone()),
            (Type::Dict(kv), "keys") => Type::iterator(kv.0.clone()),
            (Type::Dict(kv), "items") => Type::iterator(Type::Tuple(vec![kv.0.clone(), kv.1.clone()].into())),
            (Type::Dict(_), "update") => {
                if let Some(receiver) = receiver {
                    self.bind(receiver, Type::Dict(Arc::new((Type::Unknown, Type::Unknown))));
                }
                Type::None
            }
            _ => Type::Unknown,
        }
    }

    /// `key=` of sorted(), min(), list.sort() and their like, called with the elements of `container`.
    pub(super) fn call_key(&mut self, args: &[Arg<'a>], container: &Type) {
        let Some(key) = args.iter().find(|a| a.name == Some("key")) else { return };
        let element = match container {
            Type::List(t) | Type::Set(t) | Type::Iterator(t) => (**t).clone(),
            other => other.clone(),
        };
        self.call_with(key, &[element]);
    }

    /// Call a function given as an argument with values of these types.
    pub(super) fn call_with(&mut self, function: &Arg<'a>, values: &[Type]) -> Type {
        let args: Vec<Arg<'a>> = values
            .iter()
            .map(|ty| Arg { name: None, ty: ty.clone(), node: function.node, stars: 0 })
            .collect();
        match &function.ty {
            Type::Local(id) => {
                let def = self.scope.at(*id);
                // A lambda written here records at its own place.
                let at = if function.node.peel().id() == *id { None } else { Some(function.node) };
                self.call_local(def, values, at)
            }
            Type::External(name) if &**name == "operator.attrgetter" => self.got(function.node, values),
            Type::None => Type::Unknown,
            other => {
                let other = other.clone();
                self.call_value(&other, &args, function.node, function.node)
            }
        }
    }

    /// What `attrgetter("a.b", "c")` reads of a value.
    fn got(&mut self, getter: Node<'a>, values: &[Type]) -> Type {
        let (Expr::Call { arguments: list, .. }, Some(value)) = (Expr::of(getter), values.first()) else {
            return Type::Unknown;
        };
        let args = arguments(list);
        let mut types = Vec::new();
        for arg in &args {
            let Some(path) = crate::python::string_value(arg.value) else { return Type::Unknown };
            let read =
                path.split('.').fold(value.clone(), |owner, name| self.attribute(&owner, name, getter));
            types.push(read);
        }
        match types.len() {
            1 => types.remove(0),
            _ => Type::Tuple(types.into()),
        }
    }

    /// Handlers and filters of the program see every record.
    fn logged(&mut self, node: Node<'a>) {
        let program = self.az.project.program();
        for name in ["emit", "filter", "format", "handle"] {
            for function in program.functions_named(name) {
                let class = program.function(*function).class.map(|c| program.class(c));
                if class.is_some_and(|c| c.external_bases.iter().any(|b| b.starts_with("logging."))) {
                    self.call_function(*function, None, &[], node);
                }
            }
        }
    }

    pub(super) fn external_effect(&mut self, path: &str, args: &[Arg<'a>], node: Node<'a>) {
        // `cache.get_or_set(key, load)`, `partial(load)`: what is handed over may be called.
        for arg in args {
            match arg.ty.clone() {
                Type::Def(Def::Function(function)) => {
                    self.call_function(function, None, &[], node);
                }
                Type::Local(id) => {
                    let def = self.scope.at(id);
                    self.call_local(def, &[], Some(node));
                }
                _ => {}
            }
        }
        let kind = match external::effect(path) {
            Effect::Pure => None,
            Effect::Log => {
                for arg in args {
                    self.stringify(&arg.ty.clone(), arg.node);
                }
                self.logged(node);
                Some(EventKind::Log)
            }
            Effect::Renders => {
                for arg in args {
                    self.escape(&arg.ty.clone(), arg.node, Escape::External);
                }
                Some(EventKind::Query { model: None })
            }
            Effect::Outside | Effect::Unknown => {
                for arg in args {
                    self.escape(&arg.ty.clone(), arg.node, Escape::External);
                }
                Some(EventKind::Outside { name: Name::from(path) })
            }
            Effect::Anything => {
                for arg in args {
                    self.escape(&arg.ty.clone(), arg.node, Escape::External);
                }
                if path.starts_with("importlib") || path.starts_with("builtins.e") {
                    let text = match Expr::of(node) {
                        Expr::Call { func, .. } => short(func.text()),
                        _ => path,
                    };
                    self.event(node, EventKind::UnknownCall { name: Name::from(text) });
                    return;
                }
                self.event(node, EventKind::Outside { name: Name::from(path) });
                Some(EventKind::Write { model: None, write: Write::Other })
            }
            Effect::Transaction => {
                Some(EventKind::Transaction { name: Name::from(path.rsplit('.').next().unwrap_or(path)) })
            }
        };
        if let Some(kind) = kind {
            self.event(node, kind);
        } else {
            for arg in args {
                self.escape(&arg.ty.clone(), arg.node, Escape::External);
            }
        }
        // A function handed to a library may be called by it.
        for arg in args {
            if let Type::Local(id) = arg.ty {
                let def = self.scope.at(id);
                self.call_local(def, &[], None);
            }
        }
    }
}

/// Whether an external thing was reached through a model's `_meta`.
fn within_options(path: &str) -> bool {
    path.starts_with("django.db.models.options.Options.")
}

/// Types for the parameters of a local function.
fn bind_local<'a>(def: Node<'a>, args: &[Arg<'a>]) -> Vec<Type> {
    let params = parameters(def);
    let mut out = vec![Type::Unknown; params.len()];
    let mut at = 0;
    for arg in args.iter().filter(|a| a.stars == 0) {
        let index = match arg.name {
            Some(name) => params.iter().position(|p| p.name == name),
            None => {
                at += 1;
                Some(at - 1)
            }
        };
        if let Some(slot) = index.and_then(|i| out.get_mut(i)) {
            *slot = arg.ty.clone();
        }
    }
    for (slot, parameter) in out.iter_mut().zip(&params) {
        if matches!(parameter.kind, ParameterKind::VarPositional | ParameterKind::VarKeyword) {
            *slot = Type::Unknown;
        }
    }
    out
}

/// Decorators that return the function itself, or one with the same result.
fn is_transparent(def: &Def) -> bool {
    let Def::External(path) = def else { return false };
    let last = path.rsplit('.').next().unwrap_or(path);
    path.starts_with("builtins.")
        || path.starts_with("django.utils.decorators")
        || path.starts_with("django.contrib.auth.decorators")
        || path.starts_with("django.views.decorators")
        || path.starts_with("django.contrib.admin")
        || path.starts_with("django.dispatch")
        || path.starts_with("abc.")
        || path.starts_with("typing")
        || path.starts_with("functools.")
        || path.starts_with("rest_framework.decorators")
        || matches!(last, "atomic" | "cached_property" | "property" | "classmethod" | "staticmethod")
}

/// The model given to a queryset's class: `BookQuerySet(self.model, using=self._db)`. With a query of its own the
/// rows are not known.
fn queryset_model(args: &[Arg<'_>]) -> Option<crate::django::ModelId> {
    let is_model = |a: &&Arg<'_>| a.name.is_none_or(|n| n == "model");
    let known = args.iter().all(|a| a.stars == 0 && a.name.is_none_or(|n| matches!(n, "model" | "using")));
    let positional = args.iter().filter(|a| a.name.is_none()).count();
    match args.iter().find(is_model)?.ty {
        Type::ModelClass(model) if known && positional <= 1 => Some(model),
        _ => None,
    }
}

/// Whether a decorator makes a function give the same object again.
fn remembers(def: &Def) -> bool {
    let Def::External(path) = def else { return false };
    let last = path.rsplit('.').next().unwrap_or(path);
    matches!(last, "cached_property" | "lru_cache" | "cache")
}

/// Where a callee keeps one of its querysets.
fn kept(values: &[super::facts::Value], value: ValueId) -> Option<Site> {
    let value = values.get(value.0 as usize)?;
    if value.origin == Origin::Outside {
        return value.site;
    }
    let alternatives = || value.alternatives.iter().filter_map(|v| values.get(v.0 as usize));
    value.kept.or_else(|| {
        alternatives().find_map(|v| v.kept.or(if v.origin == Origin::Outside { v.site } else { None }))
    })
}

/// The first line of a callee's text, for messages.
pub(super) fn short(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}
