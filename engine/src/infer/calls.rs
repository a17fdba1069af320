//! Calls: what is called, what it does, what comes back.

use super::effects::within_options;
use super::external::{self};
use super::facts::{Escape, EventKind, Made, Write};
use super::frame::Frame;
use super::types::{Instance, Name, QuerySet, Root, Type, ValueId};
use crate::python::{
    Binding, ClassId, Def, Expr, FunctionId, Kind, Member, Node, ParameterKind, Stmt, arguments, parameters,
};
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

/// The argument for a parameter: the one that names it, or the one at its position.
pub(super) fn argument<'x, 'a>(args: &'x [Arg<'a>], index: usize, name: &str) -> Option<&'x Arg<'a>> {
    let is_it = |(i, arg): &(usize, &Arg<'a>)| match arg.name {
        Some(given) => given == name,
        None => *i == index && arg.stars == 0,
    };
    args.iter().enumerate().find(is_it).map(|(_, arg)| arg)
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

    pub(super) fn super_object(&mut self) -> Type {
        let Some(class) = self.class else { return Type::Unknown };
        let first = parameters(self.scope).first().map(|p| p.name);
        match first.and_then(|name| self.lookup(name).cloned()) {
            Some(receiver) => Type::Super(class, Arc::new(receiver)),
            None => Type::Unknown,
        }
    }

    pub(super) fn arguments(&mut self, node: Node<'a>) -> Vec<Arg<'a>> {
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
                if let Some(filters) = self.filter_set(class, args, node) {
                    return filters;
                }
                if self.az.is_paginator(class)
                    && let Some(paginator) = self.paginator_of_rows(args, node)
                {
                    return paginator;
                }
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
                // What a serializer is made of is followed by what it reads.
                let is_followed =
                    self.made_serializer(class, args, node) || self.made_table(class, args, node);
                if let Some((_, Member::Function(init, _))) =
                    self.az.project.program().member(class, "__init__")
                {
                    let init = *init;
                    let args = if is_followed { &[] } else { args };
                    let made = self.call_function(init, Some(object.clone()), args, node);
                    return self.record_of(class, object, &made);
                } else if !is_followed {
                    self.escape_all(args, node, Escape::Store);
                }
                self.record_of_fields(class, args).unwrap_or(object)
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
                if path.ends_with("QuerySet")
                    && let Some(model) = queryset_model(args)
                {
                    use super::types::QuerySetClass;
                    let class = match path.as_str() {
                        "django.db.models.QuerySet" | "django.db.models.query.QuerySet" => {
                            QuerySetClass::Plain
                        }
                        // Of a package, which may do anything with it.
                        _ => QuerySetClass::Unknown,
                    };
                    return self.made_queryset(QuerySet::new(model, class, ValueId(0)), node);
                }
                self.call_external(&path, args, node)
            }
            Type::Local(id) => {
                let def = self.scope.at(*id);
                let types = bind_local(def, args);
                self.call_local(def, &types, Some(node))
            }
            Type::Callable(callable) => {
                let callable = callable.clone();
                self.call_made(&callable, args, node, func)
            }
            Type::Bound(made, name) if &**name == super::formsets::FORM_SET_CLASS => {
                let made = made.clone();
                self.form_set(&made, args, node).unwrap_or_else(|| {
                    // What its methods write is not known, as for any object that is not.
                    self.call_external(super::formsets::FORM_SET, args, node);
                    Type::Unknown
                })
            }
            // Objects that stand for their rows are not called.
            Type::Bound(_, name) if is_of_rows(name) => Type::Unknown,
            Type::Bound(receiver, name) => {
                let (receiver, name) = (receiver.clone(), name.clone());
                self.method_call(&receiver, &name, args, node, func)
            }
            Type::Object(class) => {
                let class = *class;
                self.method_of_class(class, "__call__", &Type::Object(class), args, node)
            }
            Type::Record(record) => {
                let class = record.class;
                self.method_of_class(class, "__call__", &callee.clone(), args, node)
            }
            Type::Union(types) => {
                let types = types.clone();
                let several: Vec<&Type> = types.iter().filter(|t| **t != Type::None).collect();
                let count = several.len();
                let given = self.one_of(several, |frame, t| frame.call_value(t, args, node, func));
                self.doubt_unread(node, count);
                given.into_iter().fold(Type::Never, Type::join)
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
    pub(super) fn made_queryset(&mut self, mut qs: QuerySet, node: Node<'a>) -> Type {
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
            Type::Def(Def::Class(class)) => self.method_on_class(*class, owner, name, args, node, func),
            // A task of the program is handed to a queue: it runs somewhere else.
            Type::Def(Def::Function(_))
                if matches!(name, "delay" | "apply_async" | "delay_on_commit" | "send" | "enqueue") =>
            {
                self.escape_all(args, node, Escape::External);
                self.event(node, EventKind::Outside { name: Name::from(format!("task.{name}")) });
                Type::Unknown
            }
            Type::Def(_) => {
                let callee = self.attribute(owner, name, func);
                self.call_value(&callee, args, node, func)
            }
            Type::ModelClass(model) => {
                let class = self.az.project.model(*model).class;
                self.method_on_class(class, owner, name, args, node, func)
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
            Type::Record(record) => self.method_of_class(record.class, name, owner, args, node),
            Type::Super(class, receiver) => {
                let (class, receiver) = (*class, receiver.clone());
                self.super_method(class, &receiver, name, args, node)
            }
            Type::Union(types) => {
                let types = types.clone();
                if let Some(qs) = self.either_queryset(&types, name, func) {
                    return self.queryset_method(&qs, name, args, node);
                }
                let is_some = |t: &&Type| **t != Type::None;
                let all_lack = types.iter().filter(is_some).all(|t| self.lacks_method(t, name));
                let several: Vec<&Type> = types
                    .iter()
                    .filter(is_some)
                    .filter(|t| all_lack || !self.lacks_method(t, name))
                    .collect();
                let given = self.one_of(several, |frame, t| frame.method_call(t, name, args, node, func));
                given.into_iter().fold(Type::Never, Type::join)
            }
            Type::External(path) if &**path == super::requests::CONTEXT => {
                let is_request = args.first().and_then(|a| crate::python::string_value(a.node)).as_deref()
                    == Some("request");
                match name == "get" && args.len() == 1 && is_request {
                    true => Type::External(Name::from(super::requests::REQUEST)).optional(),
                    false => self.call_unknown(name, args, node),
                }
            }
            Type::External(path) => {
                // What `_meta` leads to may be any model's manager.
                if within_options(path) && external::writing_method(name).is_some() {
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
            Type::Bound(rows, made) if &**made == super::pages::PAGINATOR => {
                let rows = rows.clone();
                self.paginator_method(&rows, name, node)
            }
            Type::Bound(rows, made)
                if matches!(&**made, super::formsets::FORM_SET | super::formsets::FORM) =>
            {
                let rows = rows.clone();
                self.form_method(&rows, name, args, node)
            }
            Type::Bound(form, made) if &**made == super::cleaned::CLEANED => {
                let class = form.object_class();
                match class.and_then(|class| self.cleaned_method(class, name, args)) {
                    Some(value) => value,
                    None => self.call_unknown(name, args, node),
                }
            }
            // The form of a filter set looks at nothing but its fields.
            Type::Bound(_, made) if &**made == super::filtersets::FILTER_SET => {
                self.escape_all(args, node, Escape::External);
                Type::Unknown
            }
            // Of a local function: what somebody gave it.
            Type::Unknown | Type::Bound(..) | Type::Local(_) | Type::Callable(_) | Type::Prefetch(_) => {
                self.call_unknown(name, args, node)
            }
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
                // The object may be of any class below.
                let overrides = self.overrides_below(class, name);
                let outer = self.conditional;
                self.conditional += u32::from(!overrides.is_empty());
                let own =
                    self.call_bound(function, binding, Type::Def(Def::Class(class)), receiver, args, node);
                if overrides.len() > MAX_OVERRIDES {
                    self.conditional = outer;
                    self.event(node, EventKind::UnknownCall { name: Name::from(name) });
                    return Type::Unknown;
                }
                let joined = overrides.into_iter().fold(own, |ty, (below, function, binding)| {
                    let receiver = match receiver {
                        Type::Object(_) => &self.az.object_of_class(below),
                        other => other,
                    };
                    ty.join(self.call_bound(
                        function,
                        binding,
                        Type::Def(Def::Class(below)),
                        receiver,
                        args,
                        node,
                    ))
                });
                self.conditional = outer;
                joined
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

    /// A method named on a class rather than on an object of it: `Class.make()`, `Class.method(self, ...)`.
    fn method_on_class(
        &mut self,
        class: ClassId,
        owner: &Type,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
        func: Node<'a>,
    ) -> Type {
        match self.az.project.program().member(class, name) {
            Some((_, Member::Function(function, binding))) => {
                let receiver = (*binding == Binding::ClassMethod).then(|| owner.clone());
                self.call_function(*function, receiver, args, node)
            }
            _ => {
                let callee = self.attribute(owner, name, func);
                self.call_value(&callee, args, node, func)
            }
        }
    }

    /// Call a method of `receiver`, which a class method gets `class` for.
    pub(super) fn call_bound(
        &mut self,
        function: FunctionId,
        binding: Binding,
        class: Type,
        receiver: &Type,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        match binding {
            Binding::StaticMethod => self.call_function(function, None, args, node),
            Binding::ClassMethod => self.call_function(function, Some(class), args, node),
            Binding::Property | Binding::CachedProperty => {
                let callee = self.call_function(function, Some(receiver.clone()), &[], node);
                self.call_value(&callee, args, node, node)
            }
            _ => self.call_function(function, Some(receiver.clone()), args, node),
        }
    }

    /// The methods called `name` of the classes below `class`.
    pub(super) fn overrides_below(&self, class: ClassId, name: &str) -> Vec<(ClassId, FunctionId, Binding)> {
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
    pub(super) fn inherited_method(
        &mut self,
        class: ClassId,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        if let Some(ty) = self.rest_method(class, name, args, node) {
            return ty;
        }
        if name == "get_context_data"
            && let Some(context) = self.given_context(class, args)
        {
            return context;
        }
        if name == "paginate_queryset"
            && let Some(page) = self.page_of_view(class, args, node)
        {
            return page;
        }
        self.escape_all(args, node, Escape::External);
        if args.is_empty()
            && let Some(cleaned) = self.cleans(class, name)
        {
            return cleaned;
        }
        let may_write =
            external::writing_method(name).is_some() || name == "form_valid" || name.starts_with("perform_");
        if may_write && !self.saved_by_framework(class, name, node) {
            self.event(node, EventKind::Write { model: None, write: Write::Other });
        }
        if name == "get_context_data" {
            return Type::dict(Type::Str, Type::Unknown);
        }
        self.framework_method(class, name, args, node).unwrap_or(Type::Unknown)
    }

    pub(super) fn super_method(
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
            other => other.object_class().unwrap_or(class),
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
            let made = self.call_function(function, receiver, args, node);
            self.adopt_fields(&made);
            return made;
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
        // A set or dict as often as a related manager.
        let is_plain = matches!(name, "add" | "remove" | "set" | "clear") && self.is_container(node);
        if external::writing_method(name).is_some() && !is_plain {
            self.event(node, EventKind::Write { model: None, write: Write::Unknown });
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
            if !external::PLAIN_METHODS.contains(&name) && name != "get" && !is_plain {
                self.event(node, EventKind::Outside { name: Name::from(name) });
            }
        } else {
            self.event(node, EventKind::CallNamed { name: Name::from(name), positional });
        }
        Type::Unknown
    }

    /// Whether the method of the call `node` is one of a name that the frame also iterates, indexes or asks with `in`: no manager can do that (django/db/models/manager.py defines none of it), unless the program's own do.
    fn is_container(&self, node: Node<'a>) -> bool {
        let Expr::Call { func, .. } = Expr::of(node) else { return false };
        let Expr::Attribute { value, .. } = Expr::of(func) else { return false };
        let Expr::Name(name) = Expr::of(value) else { return false };
        let Some(scope) = value.enclosing_scope() else { return false };
        let program = self.az.project.program();
        let of_manager = |method: &&str| {
            program.functions_named(method).iter().any(|function| {
                let class = program.function(*function).class;
                class.is_some_and(|class| self.az.project.is_manager_class(class))
            })
        };
        let mut bindings = 0;
        let mut is_used_as_one = false;
        for other in scope.mentions(name) {
            bindings += usize::from(other.is_binding());
            let Some(parent) = other.with_parens().parent() else { continue };
            is_used_as_one |= match (Expr::of(parent), Stmt::of(parent)) {
                (Expr::Compare { op: Kind::In | Kind::NotIn, right, .. }, _) => right.peel() == other,
                (Expr::Subscript { value, .. }, _) => value.peel() == other,
                (_, Stmt::For { iter, .. }) => iter.peel() == other,
                _ => false,
            };
        }
        is_used_as_one
            && bindings <= 1
            && !["__contains__", "__iter__", "__getitem__", "__len__"].iter().any(of_manager)
    }

    pub(super) fn escape_all(&mut self, args: &[Arg<'a>], _node: Node<'a>, how: Escape) {
        for arg in args {
            self.escape(&arg.ty.clone(), arg.node, how);
            match &arg.ty {
                Type::Local(id) => {
                    let def = self.scope.at(*id);
                    self.conditionally(|frame| frame.call_local(def, &[], None));
                }
                // Whoever gets it may call it.
                Type::Callable(callable) => {
                    let callable = callable.clone();
                    self.call_made(&callable, &[], arg.node, arg.node);
                }
                _ => {}
            }
        }
    }
}

/// Types for the parameters of a local function.
pub(super) fn bind_local<'a>(def: Node<'a>, args: &[Arg<'a>]) -> Vec<Type> {
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

/// Whether what a [`Type::Bound`] names is no method, but an object that stands for the rows of its receiver.
pub(super) fn is_of_rows(name: &str) -> bool {
    use super::formsets::{FORM, FORM_SET};
    [super::pages::PAGINATOR, super::filtersets::FILTER_SET, FORM_SET, FORM].contains(&name)
}

/// The first line of a callee's text, for messages.
pub(super) fn short(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}
