//! Calls of functions of the program: their events and results in the caller's terms.

use super::analyzer::MAX_COST;
use super::calls::{Arg, is_of_rows};
use super::decorators::{answers_again, is_transparent, remembers};
use super::drawn::Drawn;
use super::facts::{Escape, EventKind, Made, Origin, Rounds, Use};
use super::frame::Frame;
use super::summary::{Summary, Translation, abstracted, opaque, rows_of};
use super::types::{Instance, Name, QuerySet, Root, Type, ValueId};
use crate::python::{Def, Expr, FunctionId, Node, ParameterKind, parameters};
use crate::text::Site;
use rustc_hash::FxHashSet;
use smallvec::SmallVec;
use std::sync::Arc;

impl<'a> Frame<'a, '_> {
    /// Call a function of the program; its events become events of the call.
    pub(super) fn call_function(
        &mut self,
        function: FunctionId,
        receiver: Option<Type>,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Type {
        let decorators = &self.az.project.program().function(function).decorators;
        let is_transparent = decorators.iter().all(|d| d.as_ref().is_some_and(is_transparent));
        self.call_decorated(function, receiver, args, node, is_transparent)
    }

    /// Call a function that its decorators only register: it gives what its body gives.
    pub(super) fn call_registered(&mut self, function: FunctionId, args: &[Arg<'a>], node: Node<'a>) -> Type {
        self.call_decorated(function, None, args, node, true)
    }

    /// `is_transparent`: what is called gives what the body gives.
    fn call_decorated(
        &mut self,
        function: FunctionId,
        receiver: Option<Type>,
        args: &[Arg<'a>],
        node: Node<'a>,
        is_transparent: bool,
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
        let shift = at;
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
                self.conditionally(|frame| frame.call_local(local, &[], Some(node)));
            }
        }
        let Some(summary) = self.az.summary(function, inner, self.stack) else {
            self.event(node, EventKind::UnknownCall { name: Name::from(info.name.as_str()) });
            return Type::Unknown;
        };
        let start = self.facts.own.len();
        let runs = self.az.project.replacement_of(function).is_none()
            && (is_transparent && !info.decorators.iter().flatten().any(answers_again)
                || info.decorators.iter().all(|d| self.runs_always(d.as_ref())));
        let translation = match runs {
            true => self.take_over(&summary, &bound, node),
            false => self.conditionally(|frame| frame.take_over(&summary, &bound, node)),
        };
        let is_iterator =
            summary.returns.as_ref().is_some_and(|ty| matches!(ty.without_none(), Type::Iterator(_)));
        if (info.is_generator || is_iterator) && self.drawn(node) == Drawn::Nothing {
            self.put_off_elements(node, start, info.is_generator);
        }
        for decorator in info.decorators.iter().flatten() {
            if let Def::Function(decorator) = decorator {
                self.wrapped_by(*decorator, node);
            }
        }
        self.rendered_through(function, args, &bound, shift, node);
        let Some(returns) = &summary.returns else { return Type::Unknown };
        if !is_transparent {
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
            self.keep(&result, program.name_site(info.file, info.node));
        }
        result
    }

    /// The events of a callee, called with `bound`, become events of the call; what its values are here.
    pub(super) fn take_over<'t>(
        &mut self,
        summary: &'t Summary,
        bound: &'t [Type],
        node: Node<'a>,
    ) -> Translation<'t> {
        self.cost = self.cost.saturating_add(summary.cost);
        let mut translation = Translation::new(summary, bound);
        let mut seen = FxHashSet::default();
        if self.dry == 0 {
            self.derive_like(&mut translation);
        }
        for event in &summary.events {
            if self.dry > 0 {
                break;
            }
            self.adopt(&event.kind, &mut translation, node);
            // A summary holds each of the ambient ones once.
            if let Some(kind) = self.translated(&event.kind, &translation)
                && (kind.is_ambient() || seen.insert((event.site, kind.clone())))
            {
                let rounds: Rounds =
                    event.rounds.iter().filter_map(|round| translation.round(*round)).collect();
                self.event_at(node, event.site, kind, &rounds, event.is_certain);
            }
        }
        translation
    }

    /// The querysets of `ty` live longer than the call that gave them.
    pub(super) fn keep(&mut self, ty: &Type, site: Site) {
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
    pub(super) fn annotated_return(&mut self, function: FunctionId, node: Node<'a>, site: Site) -> Type {
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
    pub(super) fn wrapped_by(&mut self, decorator: FunctionId, node: Node<'a>) {
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
            match &*event.kind {
                EventKind::UnknownCall { name } if given.contains(&**name) => {}
                EventKind::Query { .. }
                | EventKind::Write { .. }
                | EventKind::Outside { .. }
                | EventKind::UnknownCall { .. }
                | EventKind::CallNamed { .. }
                | EventKind::Transaction { .. }
                | EventKind::Raise => {
                    self.event_at(node, event.site, event.kind.clone(), &Rounds::new(), event.is_certain);
                }
                _ => {}
            }
        }
    }

    pub(super) fn translated(
        &mut self,
        kind: &Arc<EventKind>,
        t: &Translation<'_>,
    ) -> Option<Arc<EventKind>> {
        Some(Arc::new(match &**kind {
            EventKind::ReadRelation { root, path, .. } if t.is_loaded(*root, path) => return None,
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
                if let Some(value) = t.derived.get(value) {
                    return Some(Arc::new(EventKind::Use { value: *value, how: how.clone() }));
                }
                if !super::summary::is_parameter(&t.summary.values, *value) {
                    return None;
                }
                let parameter = t.parameter(*value)?;
                let argument = rows_of(t.arguments.get(parameter)?).queryset()?;
                EventKind::Use { value: *argument.values.first()?, how: how.clone() }
            }
            _ => return Some(kind.clone()),
        }))
    }

    /// A callee's result in the caller's terms: what the callee made is one value of the call.
    pub(super) fn translated_type(
        &mut self,
        ty: &Type,
        t: &Translation<'_>,
        node: Node<'a>,
        site: Site,
    ) -> Type {
        match ty {
            Type::Instance(i)
                if let Root::Row(v) = i.root
                    && let Some(row) = self.row_of_several(v, t, node) =>
            {
                Type::Instance(Instance { model: i.model, root: Root::Row(row), path: i.path.clone() })
            }
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
                self.lists_of_callee(&mut out, &t.summary.values, site.file);
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
                    && let Some(argument) = t.arguments.get(index).map(rows_of).and_then(Type::queryset)
                {
                    out.values = argument.values.clone();
                    return Type::QuerySet(Arc::new(out));
                }
                let parent = qs
                    .values
                    .first()
                    .and_then(|v| t.parameter(*v))
                    .and_then(|index| t.arguments.get(index))
                    .map(rows_of)
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
            Type::Dict(dict) => {
                let mut known = std::collections::BTreeMap::new();
                for (key, (ty, file, value)) in &dict.2 {
                    // What was put there is one value of its own.
                    let place =
                        Site { file: *file, span: self.az.project.program().file(*file).node(*value).span() };
                    let ty = self.at_site(place, |frame| frame.translated_type(ty, t, node, place));
                    known.insert(key.clone(), (ty, *file, *value));
                }
                // Rows of one queryset, grouped.
                let holds_rows = dict.1.held_instance().is_some_and(|i| matches!(i.root, Root::Row(_)));
                let value = match holds_rows {
                    true => self.translated_type(&dict.1, t, node, site),
                    false => opaque(&dict.1),
                };
                Type::Dict(Arc::new(super::types::Dict(opaque(&dict.0), value, known)))
            }
            Type::Bound(rows, made) if is_of_rows(made) => {
                Type::Bound(Arc::new(self.translated_type(rows, t, node, site)), made.clone())
            }
            Type::Local(_) | Type::Bound(..) | Type::Super(..) => Type::Unknown,
            Type::Prefetch(object) => self.prefetch_of_callee(object, &t.summary.values, site.file),
            Type::Callable(_) => opaque(ty),
            Type::Record(record) => self.translated_record(record, t, node, site),
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
                self.facts.values.push(super::facts::Value::outside(site));
                let mut out = (*qs).clone();
                self.lists_of_callee(&mut out, &summary.values, file);
                out.values = SmallVec::from_slice(&[id]);
                let out = Arc::new(out);
                self.set_queryset(id, &out);
                self.event(node, EventKind::Use { value: id, how: Use::Escape(Escape::Store) });
                Type::QuerySet(out)
            }
            Type::Prefetch(object) => self.prefetch_of_callee(&object, &summary.values, file),
            other => opaque(&other),
        }
    }
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
