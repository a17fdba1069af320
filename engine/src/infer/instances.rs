//! Methods of model instances, Django's own and the project's, and what they set off.

use super::calls::Arg;
use super::facts::{Escape, EventKind, Made, Write};
use super::frame::Frame;
use super::types::{Instance, Name, Root, Type};
use crate::django::{ModelId, RelationKind, Signal};
use crate::python::{Member, Node};

impl<'a> Frame<'a, '_> {
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
            && (info.field(plain).is_none() || self.az.project.is_hidden(instance.model, plain))
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
            let class = Type::ModelClass(instance.model);
            return self.call_bound(function, binding, class, &receiver, args, node);
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
    pub(super) fn cascaded(&self, model: ModelId) -> Vec<ModelId> {
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
    pub(super) fn written(&mut self, instance: &Instance, write: Write, node: Node<'a>) {
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
    pub(super) fn received(&mut self, name: &str, node: Node<'a>) {
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
    pub(super) fn created(&mut self, model: ModelId, args: &[Arg<'a>], node: Node<'a>) -> Instance {
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
