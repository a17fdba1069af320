//! What a serializer reads of an instance, and serializers that ordinary code makes.

use super::declared::{
    Chosen, Edits, Meta, Options, base_of_package, declared, edits, has_plain_bases, is_of_model,
    is_serializer,
};
use super::fields::{FieldClass, Reader};
use super::model_fields::forward_relations;
use super::unread::{Reading, Unread, reading};
use crate::django::{ModelId, Project};
use crate::infer::analyzer::{Analyzer, MAX_COST};
use crate::infer::calls::Arg;
use crate::infer::facts::{Escape, EventKind, Made, Origin, Value};
use crate::infer::frame::Frame;
use crate::infer::memo::{Stack, Task};
use crate::infer::summary::{Summary, summarize};
use crate::infer::types::{Instance, Name, Root, Type, ValueId};
use crate::python::{Binding, ClassId, Def, Expr, Field, Member, Node};
use crate::text::Site;
use rustc_hash::FxHashSet;
use smallvec::SmallVec;
use std::sync::Arc;

impl Analyzer<'_> {
    /// What the framework's own `to_representation()` of a serializer reads of an instance of `model`, which is the
    /// only parameter; nothing while it is being evaluated.
    fn fields_of(&self, serializer: ClassId, model: ModelId, stack: &mut Stack) -> Option<Arc<Summary>> {
        let task = Task::Fields(serializer, model);
        self.memo
            .evaluate(task, stack, |_, stack| {
                let program = self.project.program();
                let info = program.class(serializer);
                let class = program.file(info.file).node(info.node);
                let Some(node) = class.child(Field::Name) else { return Summary::default() };
                let mut frame = Frame::new(self, stack, info.file, class, Some(serializer));
                frame.facts.values.push(Value {
                    origin: Origin::Parameter(0),
                    parent: None,
                    queryset: None,
                    alternatives: SmallVec::new(),
                    made: Made::Unknown,
                    site: None,
                    kept: None,
                });
                let instance = Type::Instance(Instance::root(model, Root::Value(ValueId(0))));
                frame.read_fields(
                    &Reader { serializer: Some(serializer), instance, node },
                    serializer,
                    model,
                );
                let (facts, cost) = frame.finish();
                summarize(facts, cost, false)
            })
            .ok()
    }
}

impl<'a> Frame<'a, '_> {
    /// A serializer writes `instance`.
    pub(in crate::infer) fn represent(&mut self, serializer: ClassId, instance: &Type, node: Node<'a>) {
        if instance.instance().is_none() {
            return;
        }
        let project = self.az.project;
        match project.program().member(serializer, "to_representation") {
            Some((owner, Member::Function(function, Binding::Method)))
                if owner == serializer || has_plain_bases(project, serializer) =>
            {
                let args = [Arg { name: None, ty: instance.clone(), node, stars: 0 }];
                self.call_function(*function, Some(Type::Object(serializer)), &args, node);
            }
            Some(_) => {}
            None => self.represent_fields(serializer, instance, node),
        }
    }

    /// The framework's own `to_representation()`: the fields, one after the other.
    fn represent_fields(&mut self, serializer: ClassId, instance: &Type, node: Node<'a>) {
        let Some(given) = instance.instance() else { return };
        let project = self.az.project;
        if project.program().class(serializer).has_unknown_base || self.cost > MAX_COST {
            return;
        }
        // What a `Prefetch` has brought is known here alone.
        if self.has_prefetched_rows(given) && base_of_package(project, serializer).is_none() {
            let (given, model) = (instance.without_none().clone(), given.model);
            self.read_fields_here(serializer, given, model, node);
            return;
        }
        let Some(summary) = self.az.fields_of(serializer, given.model, self.stack) else { return };
        let bound = [instance.clone()];
        match base_of_package(project, serializer) {
            None => {
                self.take_over(&summary, &bound, node);
            }
            // It may leave fields out, and do something else besides.
            Some(base) => self.conditionally(|frame| {
                let name = base.rsplit('.').next().unwrap_or(base);
                frame.event(node, EventKind::UnknownCall { name: Name::from(name) });
                frame.take_over(&summary, &bound, node);
            }),
        }
    }

    /// The fields, read in this frame: what happens in the file of the serializer happens at `node`.
    fn read_fields_here(&mut self, serializer: ClassId, instance: Type, model: ModelId, node: Node<'a>) {
        let program = self.az.project.program();
        let info = program.class(serializer);
        let class = program.file(info.file).node(info.node);
        let Some(name) = class.child(Field::Name) else { return };
        let site = Site { file: info.file, span: name.span() };
        let outer = (self.file, self.class, self.at_override);
        (self.at_override, self.class, self.file) = (Some(self.at(node)), Some(serializer), info.file);
        self.at_site(site, |frame| {
            let reader = Reader { serializer: Some(serializer), instance, node: name };
            frame.read_fields(&reader, serializer, model);
        });
        (self.file, self.class, self.at_override) = outer;
    }

    fn read_fields(&mut self, reader: &Reader<'a>, serializer: ClassId, model: ModelId) {
        let project = self.az.project;
        let edits = edits(self.az, serializer);
        if edits.is_unknown {
            return;
        }
        let declared = declared(project, serializer);
        if !is_of_model(project, serializer) {
            for field in &declared {
                self.edited(&edits, field.name, |frame| frame.declared_field(reader, field));
            }
            return;
        }
        let Some(meta) = Meta::of(project, serializer) else { return };
        if !is_model_of(project, &meta, model) {
            return;
        }
        let chosen = meta.chosen();
        let mut seen = FxHashSet::default();
        for field in &declared {
            seen.insert(field.name);
            let is_read = match &chosen {
                Chosen::All(excluded, _) => !excluded.iter().any(|name| name == field.name),
                Chosen::Only(names) => field.is_own || names.found.iter().any(|(name, _)| name == field.name),
                // What the class declares itself has to be chosen.
                Chosen::Unknown => field.is_own,
            };
            if is_read {
                self.edited(&edits, field.name, |frame| frame.declared_field(reader, field));
            }
        }
        let (Some(extra), Some(depth), false) = (meta.extra(), meta.depth(), edits.is_built) else { return };
        let none = Options::default();
        let relations = self.relations_class(serializer);
        let mut read = |name: &str, site: Site| {
            if seen.contains(name) {
                return;
            }
            let options = extra.iter().find(|(n, _)| n == name).map_or(&none, |(_, options)| options);
            self.edited(&edits, name, |frame| {
                frame.at_site(site, |frame| {
                    frame.model_field(reader, model, name, relations, depth, options);
                });
            });
        };
        match &chosen {
            Chosen::All(excluded, site) => {
                for name in forward_relations(project, model) {
                    if !excluded.iter().any(|n| **n == *name) {
                        read(&name, *site);
                    }
                }
            }
            Chosen::Only(names) => {
                for (name, site) in &names.found {
                    read(name, *site);
                }
            }
            Chosen::Unknown => {}
        }
    }

    /// `serializer_related_field`, or what the framework has for it.
    fn relations_class(&self, serializer: ClassId) -> Option<FieldClass> {
        let project = self.az.project;
        let program = project.program();
        match program.member(serializer, "serializer_related_field") {
            Some((owner, Member::Value(value))) => {
                FieldClass::of(project, &program.resolve_expr(program.class(owner).file, *value)?)
            }
            Some(_) => None,
            None => {
                let is_hyperlinked =
                    super::declared::has_base(project, serializer, &["HyperlinkedModelSerializer"]);
                Some(FieldClass::of_relations(is_hyperlinked))
            }
        }
    }

    /// Read a field as far as the methods of the serializer leave it alone.
    fn edited(&mut self, edits: &Edits, name: &str, read: impl FnOnce(&mut Self)) {
        if edits.gone.contains(name) {
            return;
        }
        if edits.is_partial || edits.doubtful.contains(name) {
            self.conditionally(read);
        } else {
            read(self);
        }
    }

    /// A method that a serializer has from the framework.
    pub(super) fn serializer_method(
        &mut self,
        class: ClassId,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Option<Type> {
        if name != "to_representation" || !is_serializer(self.az.project, class) {
            return None;
        }
        let [only] = args else { return None };
        only.ty.instance()?;
        self.represent_fields(class, &only.ty.clone(), node);
        Some(Type::dict(Type::Str, Type::Unknown))
    }

    /// `Serializer(rows, many=True)`, `Serializer(instance)`: reading `.data` reads. Where that stands further down, it
    /// happens there; what happens in whoever gets the serializer happens here, and is no more than possible. Nothing is done for one that validates data.
    pub(in crate::infer) fn made_serializer(
        &mut self,
        class: ClassId,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> bool {
        let project = self.az.project;
        if !is_serializer(project, class) || args.iter().any(|a| a.stars == 1) {
            return false;
        }
        let positional: Vec<&Arg<'a>> = args.iter().filter(|a| a.name.is_none() && a.stars == 0).collect();
        let named = |name: &str| args.iter().find(|a| a.name == Some(name));
        if named("data").is_some() || positional.len() > 1 {
            return false;
        }
        let Some(given) = positional.first().copied().or_else(|| named("instance")) else { return false };
        let many = match named("many").map(|a| Expr::of(a.node)) {
            None | Some(Expr::False) => false,
            Some(Expr::True) => true,
            Some(_) => return false,
        };
        let changes = ["data", "many_init", "__new__"];
        if changes.iter().any(|name| project.program().member(class, name).is_some())
            || !has_plain_bases(project, class)
            || (many && !self.has_plain_list(class))
        {
            return false;
        }
        let is_known = |ty: &Type| match ty.without_none() {
            Type::Instance(_) => !many,
            Type::QuerySet(_) | Type::Manager(_) => many,
            Type::List(t) | Type::Set(t) | Type::Iterator(t) => many && t.instance().is_some(),
            _ => false,
        };
        let (ty, at) = (given.ty.clone(), given.node);
        if !is_known(&ty) {
            return false;
        }
        let reading = reading(node);
        let how = if reading == Reading::Elsewhere { Escape::Store } else { Escape::External };
        let mut unread =
            Unread { made: node.id(), data: Vec::new(), class, given: ty, many, how, is_sure: true };
        match reading {
            Reading::Here => self.read_serializer(&unread, node, at),
            Reading::At(data) => {
                unread.data = data;
                self.put_off_serializer(unread);
            }
            Reading::Local | Reading::Elsewhere => {
                self.may_read_serializer(&unread, node, at);
            }
        }
        for other in args.iter().filter(|a| a.node != at) {
            self.escape(&other.ty.clone(), other.node, Escape::Store);
        }
        true
    }
}

/// Whether a serializer's `Meta.model` can be what an instance of `model` is written by.
fn is_model_of(project: &Project, meta: &Meta<'_>, model: ModelId) -> bool {
    match meta.def("model") {
        Some(Def::Class(class)) => match project.model_of_class(class) {
            Some(own) => own == model || project.family(own).contains(&model),
            None => false,
        },
        // `get_user_model()`
        _ => meta.has("model"),
    }
}
