//! Methods of managers.

use super::calls::Arg;
use super::facts::{Escape, EventKind, Made, Use, Write};
use super::frame::Frame;
use super::querysets::{func_owner, is_queryset_method};
use super::types::{Manager, Name, QuerySet, QuerySetClass, Type};
use crate::django::{Receiver, Signal};
use crate::python::{ClassId, Member, Node};
use std::sync::Arc;

impl<'a> Frame<'a, '_> {
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

    /// `books = Book.objects` and then, under a condition, `books = books.filter(...)`: what a method of querysets runs on,
    /// where one of `types` is a manager, which hands on to its queryset, and the others are querysets of its model.
    pub(super) fn either_queryset(
        &mut self,
        types: &[Type],
        name: &str,
        func: Node<'a>,
    ) -> Option<Arc<QuerySet>> {
        let owner = func_owner(func);
        let (mut found, mut manager) = (Type::Never, None);
        for ty in types.iter().filter(|t| **t != Type::None) {
            match ty {
                Type::QuerySet(_) => found = found.join(ty.clone()),
                Type::Manager(m) if manager.is_none() => manager = Some(m.clone()),
                _ => return None,
            }
        }
        let (manager, Type::QuerySet(qs)) = (manager?, &found) else { return None };
        if owner.id() == func.id()
            || manager.model != qs.model
            || !is_queryset_method(name)
            || self.custom_manager_method(&manager, name).is_some()
        {
            return None;
        }
        let given = self.manager_queryset(&manager, owner);
        match found.join(given) {
            Type::QuerySet(qs) => Some(qs),
            _ => None,
        }
    }

    pub(super) fn custom_manager_method(
        &self,
        manager: &Manager,
        name: &str,
    ) -> Option<crate::python::FunctionId> {
        let QuerySetClass::Custom(class) = manager.class else { return None };
        match self.az.project.program().member(class, name) {
            Some((_, Member::Function(function, _))) => Some(*function),
            _ => None,
        }
    }

    /// The queryset class that the manager was made from.
    pub(super) fn manager_queryset_class(&self, manager: &Manager) -> Option<ClassId> {
        let info = self.az.project.model(manager.model);
        let declared = info.manager(manager.name.as_deref()?)?;
        declared.queryset
    }

    pub(super) fn queryset_class_method(
        &self,
        manager: &Manager,
        name: &str,
    ) -> Option<crate::python::FunctionId> {
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
    pub(super) fn manager_queryset(&mut self, manager: &Arc<Manager>, node: Node<'a>) -> Type {
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

    pub(super) fn plain_queryset(&mut self, manager: &Arc<Manager>, node: Node<'a>) -> Type {
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

    pub(super) fn builtin_manager_method_at(
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
                // `set()` goes over what it is given.
                if matches!(arg.ty, Type::QuerySet(_)) {
                    self.iterate(&arg.ty.clone(), arg.node);
                }
                self.escape(&arg.ty.clone(), arg.node, Escape::Store);
            }
            // A reverse foreign key updates the rows; a many-to-many writes its link table.
            self.event(node, EventKind::Write { model: Some(manager.model), write: Write::Other });
            if manager.is_many_to_many {
                let project = self.az.project;
                let heard = match &manager.related {
                    Some(related) => project.link_receivers(related.owner.model, &related.accessor),
                    None => project.receivers(manager.model, Signal::M2mChanged),
                };
                self.heard_of_links(heard, node);
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

    /// Receivers of `m2m_changed` run.
    pub(super) fn heard_of_links(&mut self, receivers: Vec<&Receiver>, node: Node<'a>) {
        for receiver in receivers {
            match receiver.function {
                Some(function) => {
                    self.call_function(function, None, &[], node);
                }
                None if receiver.is_opaque => self.received(&receiver.name, node),
                None => {}
            }
        }
    }
}
