//! One frame: a function or module body evaluated once, forward, with a type for every name at every point.
//!
//! A loop's body is evaluated twice, first without recording, so that what is recorded holds for every round.
//! Names bound in the frame live in `env`; a name that is not there is looked up at the top of the module.

use super::analyzer::Analyzer;
use super::entries::Unread;
use super::env::Env;
use super::facts::{Escape, EventData, EventKind, Facts, Made, Origin, Round, Rounds, Use, Value};
use super::memo::Stack;
use super::types::{Dict, Instance, Name, Path, QuerySet, Root, Rows, Type, ValueId};
use crate::django::ModelId;
use crate::python::{ClassId, Kind, Node, NodeId, ParameterKind, parameters};
use crate::text::{FileId, Site};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::sync::Arc;

#[derive(Default)]
pub(super) struct LoopExits {
    pub breaks: Vec<Env>,
    pub continues: Vec<Env>,
}

/// The evaluator of one frame.
pub(super) struct Frame<'a, 's> {
    pub az: &'a Analyzer<'a>,
    pub stack: &'s mut Stack,
    pub file: FileId,
    pub scope: Node<'a>,
    pub class: Option<ClassId>,
    /// `None` where control flow does not arrive.
    pub env: Option<Env>,
    pub facts: Facts,
    pub by_node: FxHashMap<NodeId, ValueId>,
    /// The value that stands for one of several.
    pub joined: FxHashMap<SmallVec<[ValueId; 1]>, ValueId>,
    /// What the pages are cut out of a queryset that is paginated, by its value.
    pub pages: FxHashMap<ValueId, Type>,
    /// Nothing is recorded while this is positive.
    pub dry: u32,
    pub cost: u32,
    /// Where events are recorded while a function of this frame is evaluated for a call.
    pub at_override: Option<Node<'a>>,
    pub nesting: usize,
    /// Local functions being evaluated.
    pub local_calls: Vec<NodeId>,
    /// Names that are not followed: global, nonlocal, bound in a nested function of another scope.
    pub volatile: FxHashSet<&'a str>,
    /// Names bound somewhere in the scope (a read before binding is not the module's).
    pub locals: FxHashSet<&'a str>,
    pub returns: Option<Type>,
    /// Some key of `env` is an attribute (`self.books`) that was assigned.
    pub has_overrides: bool,
    /// Local functions and lambdas that nothing has called yet, with the names they see.
    pub pending: Vec<(Node<'a>, Env)>,
    pub loops: Vec<LoopExits>,
    pub loop_depth: u32,
    /// What names may be where an exception leaves the `try` bodies around.
    pub tries: Vec<Option<Env>>,
    /// Conditions around what is evaluated, and exits before it.
    pub conditional: u32,
    /// Loops around it: the values that they go over, and `conditional` at the head of the body.
    pub rounds: Vec<(SmallVec<[ValueId; 1]>, u32)>,
    /// The place of what the framework does by itself, which no expression of the file stands for.
    pub foreign: Option<Site>,
    /// Values that are made at foreign places.
    pub by_site: FxHashMap<Site, ValueId>,
    /// Serializers whose `.data` is read further down.
    pub unread: Vec<Unread>,
    /// Rows that the `Prefetch` objects of callees bring, by the place of the object.
    pub brought: FxHashMap<Site, ValueId>,
    /// The models that expressions of unknown type are supposed to be rows of, by their text.
    pub supposed: FxHashMap<Name, ModelId>,
}

impl<'a, 's> Frame<'a, 's> {
    pub fn new(
        az: &'a Analyzer<'a>,
        stack: &'s mut Stack,
        file: FileId,
        scope: Node<'a>,
        class: Option<ClassId>,
    ) -> Frame<'a, 's> {
        Frame {
            az,
            stack,
            file,
            scope,
            class,
            env: Some(Env::default()),
            facts: Facts { file, scope: scope.id(), ..Facts::default() },
            by_node: FxHashMap::default(),
            joined: FxHashMap::default(),
            pages: FxHashMap::default(),
            dry: 0,
            cost: 1,
            at_override: None,
            nesting: 0,
            local_calls: Vec::new(),
            volatile: FxHashSet::default(),
            locals: FxHashSet::default(),
            returns: None,
            has_overrides: false,
            pending: Vec::new(),
            loops: Vec::new(),
            loop_depth: 0,
            tries: Vec::new(),
            conditional: 0,
            rounds: Vec::new(),
            foreign: None,
            by_site: FxHashMap::default(),
            unread: Vec::new(),
            brought: FxHashMap::default(),
            supposed: FxHashMap::default(),
        }
    }

    pub fn finish(mut self) -> (Facts, u32) {
        // What nobody in the frame calls may be called by anybody, with anything.
        let returns = self.returns.take();
        self.conditional += 1;
        while let Some((def, env)) = self.pending.pop() {
            self.env = Some(env);
            self.call_local(def, &[], None);
        }
        self.returns = returns;
        self.facts.returns = self.returns;
        (self.facts, self.cost)
    }

    pub fn run_module(&mut self) {
        for statement in self.scope.children() {
            self.statement(statement);
        }
    }

    pub fn run_function(&mut self, arguments: &[Type]) {
        let scope = self.scope;
        self.collect_locals(scope);
        let params = parameters(scope);
        for (i, parameter) in params.iter().enumerate() {
            // One value a parameter, so that its index is its value.
            let ty = arguments.get(i).cloned().unwrap_or(Type::Unknown);
            let queryset = ty.without_none().queryset().cloned();
            self.facts.values.push(Value {
                origin: Origin::Parameter(i),
                parent: None,
                queryset,
                alternatives: SmallVec::new(),
                made: Made::Unknown,
                site: Some(Site { file: self.file, span: parameter.name_node.span() }),
                kept: None,
            });
            self.bind(parameter.name, ty);
            if let Some(default) = parameter.default {
                self.dry += 1;
                self.expr(default);
                self.dry -= 1;
            }
            if parameter.kind == ParameterKind::VarKeyword {
                self.bind(parameter.name, Type::dict(Type::Str, Type::Unknown));
            }
        }
        if let Some(body) = scope.child(crate::python::Field::Body) {
            match scope.kind() {
                Kind::Lambda => {
                    let ty = self.expr(body);
                    self.returned(ty);
                }
                _ => self.block(body),
            }
        }
        if self.env.is_some()
            && self.returns.is_some()
            && !self.is_generator()
            && scope.kind() != Kind::Lambda
        {
            // Falling off the end returns None.
            self.returned(Type::None);
        }
        if self.returns.is_none() {
            // What `__init__` makes is the object.
            if let Some(made) = self.made_of_self() {
                self.returns = Some(made);
                return;
            }
            // A body that only raises gives nothing at all.
            self.returns = Some(if self.env.is_some() { Type::None } else { Type::Never });
        }
    }

    pub(super) fn is_generator(&self) -> bool {
        matches!(self.returns, Some(Type::Iterator(_)))
            && self
                .scope
                .descendants()
                .any(|n| n.kind() == Kind::Yield && n.enclosing_scope().is_some_and(|s| s == self.scope))
    }

    pub(super) fn collect_locals(&mut self, scope: Node<'a>) {
        // The function's own name is bound around it.
        let own = scope.child(crate::python::Field::Name);
        for node in scope.descendants().skip(1).filter(|n| Some(n.id()) != own.map(Node::id)) {
            match node.kind() {
                Kind::Global | Kind::Nonlocal => {
                    for name in node.children() {
                        self.volatile.insert(name.text());
                    }
                }
                Kind::Name if node.is_binding() => {
                    self.locals.insert(node.text());
                }
                _ => {}
            }
        }
        for name in &self.volatile {
            self.locals.remove(name);
        }
    }

    // ---- values and events ----

    pub fn at(&self, node: Node<'a>) -> Node<'a> {
        self.at_override.unwrap_or(node)
    }

    pub fn event(&mut self, node: Node<'a>, kind: EventKind) {
        let site = self.foreign.unwrap_or(Site { file: self.file, span: node.span() });
        self.event_at(node, site, Arc::new(kind), &Rounds::new(), true);
    }

    /// `rounds` and `is_certain` are what a callee says of it.
    pub fn event_at(
        &mut self,
        node: Node<'a>,
        site: Site,
        kind: Arc<EventKind>,
        rounds: &[Round],
        is_certain: bool,
    ) {
        if self.dry > 0 || self.env.is_none() {
            return;
        }
        let at = self.at(node).id();
        let here = self.conditional;
        let mut all: Rounds = self
            .rounds
            .iter()
            .flat_map(|(values, head)| {
                values
                    .iter()
                    .map(move |value| Round { value: *value, is_certain: is_certain && *head == here })
            })
            .collect();
        all.extend(rounds.iter().copied());
        let is_certain = is_certain && here == 0;
        // What is done to a value that stands for several is done to each of them.
        if let EventKind::Use { value, how } = &*kind {
            let several = self.facts.value(*value).map(|v| v.alternatives.clone()).unwrap_or_default();
            for value in several {
                let kind = Arc::new(EventKind::Use { value, how: how.clone() });
                self.facts.own.push(EventData {
                    at,
                    site,
                    kind,
                    rounds: all.clone(),
                    is_certain,
                    is_guess: false,
                });
            }
        }
        self.facts.own.push(EventData { at, site, kind, rounds: all, is_certain, is_guess: false });
    }

    /// Evaluate `body` under a condition.
    pub fn conditionally<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.conditional;
        self.conditional += 1;
        let out = body(self);
        self.conditional = outer;
        out
    }

    /// Evaluate `body`, which runs once for each element of what has the type `iterated`.
    pub fn each<T>(&mut self, iterated: &Type, body: impl FnOnce(&mut Self) -> T) -> T {
        let values = self.rows_within(iterated);
        let outer = self.conditional;
        // There may be no element; a relation that is empty reads nothing further down either.
        self.conditional += u32::from(!self.are_related(&values));
        self.rounds.push((values, self.conditional));
        let out = body(self);
        self.rounds.pop();
        self.conditional = outer;
        out
    }

    /// The values whose rows are among what iterating `ty` gives.
    pub fn rows_within(&self, ty: &Type) -> SmallVec<[ValueId; 1]> {
        let mut values = SmallVec::new();
        rows_within(ty, &self.facts, &mut values, 0);
        if let Type::QuerySet(qs) = ty
            && let Some(brought) = self.brought_by(qs)
        {
            values.extend(brought.values.iter().copied());
        }
        values
    }

    /// Do to a value what depends on which of its alternatives it is: of several, none is certain.
    pub fn each_alternative(&mut self, ty: &Type, mut body: impl FnMut(&mut Self, &Type)) {
        let known = ty.alternatives().iter().filter(|t| **t != Type::None).count();
        for alternative in ty.alternatives() {
            match known {
                0 | 1 => body(self, alternative),
                _ => self.conditionally(|frame| body(frame, alternative)),
            }
        }
    }

    fn are_related(&self, values: &[ValueId]) -> bool {
        !values.is_empty()
            && values.iter().all(|v| {
                let queryset = self.facts.value(*v).and_then(|v| v.queryset.as_deref());
                queryset.is_some_and(|qs| qs.related.is_some())
            })
    }

    /// Evaluate `body`, which the framework does at `site`.
    pub fn at_site<T>(&mut self, site: Site, body: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.foreign.replace(site);
        let out = body(self);
        self.foreign = outer;
        out
    }

    /// The value made by the expression `node`; one a node, whatever is known of it is refreshed.
    pub fn value_at(&mut self, node: Node<'a>, made: Made, parent: Option<ValueId>) -> ValueId {
        let node = self.at(node).peel();
        let next = ValueId(self.facts.values.len() as u32);
        let id = match self.foreign {
            Some(site) => *self.by_site.entry(site).or_insert(next),
            None => *self.by_node.entry(node.id()).or_insert(next),
        };
        if id == next {
            let origin = if self.foreign.is_some() { Origin::Callee } else { Origin::Expr(node.id()) };
            self.facts.values.push(Value {
                origin,
                parent: None,
                queryset: None,
                alternatives: SmallVec::new(),
                made,
                site: self.foreign,
                kept: None,
            });
        }
        if let Some(value) = self.facts.values.get_mut(id.0 as usize) {
            value.made = made;
            value.parent = parent.filter(|p| *p != id);
        }
        id
    }

    pub fn set_queryset(&mut self, id: ValueId, queryset: &Arc<QuerySet>) {
        if let Some(value) = self.facts.values.get_mut(id.0 as usize) {
            value.queryset = Some(queryset.clone());
        }
    }

    /// The one value that stands for a queryset: its own, or a new one for the several that it may be. Of the same
    /// several there is one.
    pub fn single(&mut self, qs: &Arc<QuerySet>, node: Node<'a>) -> ValueId {
        if let [only] = qs.values.as_slice() {
            return *only;
        }
        let next = ValueId(self.facts.values.len() as u32);
        let id = *self.joined.entry(qs.values.clone()).or_insert(next);
        if id == next {
            self.facts.values.push(Value {
                origin: Origin::Expr(self.at(node).peel().id()),
                parent: None,
                queryset: None,
                alternatives: qs.values.clone(),
                made: Made::Unknown,
                site: None,
                kept: None,
            });
        }
        self.set_queryset(id, qs);
        id
    }

    pub fn use_queryset(&mut self, qs: &QuerySet, node: Node<'a>, how: Use) {
        for value in qs.values.clone() {
            self.event(node, EventKind::Use { value, how: how.clone() });
        }
    }

    /// `ty` goes where the frame does not follow it.
    pub fn escape(&mut self, ty: &Type, node: Node<'a>, how: Escape) {
        match ty {
            Type::QuerySet(qs) => self.use_queryset(qs, node, Use::Escape(how)),
            Type::Instance(i) => {
                self.event(node, EventKind::InstanceEscapes { root: i.root, path: i.path.clone(), how })
            }
            Type::List(t) | Type::Set(t) | Type::Iterator(t) => {
                let element = (**t).clone();
                self.escape(&element, node, how);
            }
            Type::Dict(kv) => {
                let kv = kv.clone();
                self.escape(&kv.0, node, how);
                self.escape(&kv.1, node, how);
            }
            Type::Tuple(types) | Type::Union(types) => {
                for t in types.clone().iter() {
                    self.escape(t, node, how);
                }
            }
            Type::Bound(receiver, _) => {
                let receiver = receiver.clone();
                self.escape(&receiver, node, how);
            }
            Type::Record(record) => {
                for (_, ty) in &record.clone().fields {
                    self.escape(ty, node, how);
                }
            }
            Type::Callable(callable) => {
                if let super::types::Callable::Partial(function, given, ..) = &*callable.clone() {
                    self.escape(function, node, how);
                    given.iter().for_each(|ty| self.escape(ty, node, how));
                }
            }
            _ => {}
        }
    }

    // ---- names ----

    pub fn bind(&mut self, name: &str, ty: Type) {
        let Some(env) = &mut self.env else { return };
        if env.len() > 400 {
            return;
        }
        if self.has_overrides {
            env.forget_attributes(name);
        }
        env.insert(name, ty);
    }

    pub fn lookup(&self, name: &str) -> Option<&Type> {
        self.env.as_ref().and_then(|env| env.get(name))
    }

    /// What is known of something that is `a` or `b`. Rows of two querysets are rows of the value that stands for both.
    pub fn either(&mut self, a: Type, b: Type, node: Node<'a>) -> Type {
        if a == b {
            return a;
        }
        match (&a, &b) {
            (Type::Instance(x), Type::Instance(y)) => match self.rows_of_either(x, y, node) {
                Some(row) => Type::Instance(row),
                None => a.join(b),
            },
            (Type::List(x), Type::List(y)) => Type::list(self.either_of(x, y, node)),
            (Type::Set(x), Type::Set(y)) => Type::Set(Arc::new(self.either_of(x, y, node))),
            (Type::Iterator(x), Type::Iterator(y)) => Type::iterator(self.either_of(x, y, node)),
            (Type::Tuple(x), Type::Tuple(y)) if x.len() == y.len() => {
                let pairs = x.iter().zip(y.iter());
                let types: Vec<Type> = pairs.map(|(x, y)| self.either_of(x, y, node)).collect();
                match types.contains(&Type::Unknown) {
                    true => a.join(b),
                    false => Type::Tuple(types.into()),
                }
            }
            (Type::Dict(x), Type::Dict(y)) if x.2 == y.2 => Type::Dict(Arc::new(Dict(
                self.either_of(&x.0, &y.0, node),
                self.either_of(&x.1, &y.1, node),
                x.2.clone(),
            ))),
            _ => a.join(b),
        }
    }

    fn either_of(&mut self, a: &Type, b: &Type, node: Node<'a>) -> Type {
        self.either(a.clone(), b.clone(), node)
    }

    fn rows_of_either(&mut self, a: &Instance, b: &Instance, node: Node<'a>) -> Option<Instance> {
        let (Root::Row(x), Root::Row(y)) = (a.root, b.root) else { return None };
        if a.model != b.model || a.path != b.path {
            return None;
        }
        let queryset = |value| self.facts.value(value).and_then(|v| v.queryset.clone()).map(Type::QuerySet);
        let Type::QuerySet(both) = queryset(x)?.join(queryset(y)?) else { return None };
        let root = Root::Row(self.single(&both, node));
        Some(Instance { model: a.model, root, path: a.path.clone() })
    }

    /// What is known of names where control flow comes together.
    pub fn join_env(&mut self, a: Option<Env>, b: Option<Env>) -> Option<Env> {
        match (a, b) {
            (None, other) | (other, None) => other,
            (Some(a), Some(b)) => Some(a.join(b, |a, b| self.either(a, b, self.scope))),
        }
    }

    /// What iterating `ty`, the type of the expression `node`, gives; a queryset is used by it.
    pub fn iterate(&mut self, ty: &Type, node: Node<'a>) -> Type {
        self.each_alternative(ty, |frame, alternative| {
            if let Type::QuerySet(qs) = alternative {
                frame.use_queryset(qs, node, Use::Iterate);
                frame.evaluated(qs, node, "all");
            } else if let Type::Bound(rows, made) = alternative
                && &**made == super::formsets::FORM_SET
            {
                frame.iterate(&rows.clone(), node);
            } else {
                frame.object_dunders(alternative, &["__iter__", "__getitem__"], node);
            }
        });
        self.object_dunders(ty, &["__iter__", "__next__"], node);
        self.element(ty, node)
    }

    /// A queryset is evaluated: rows are read, through a related manager's cache or not.
    pub fn evaluated(&mut self, qs: &Arc<QuerySet>, node: Node<'a>, method: &str) {
        if let Some(related) = &qs.related {
            let owner = related.owner.clone();
            let mut path = owner.path.clone();
            path.push(related.accessor.clone());
            let (method, model) = (Name::from(method), qs.model);
            self.event(node, EventKind::ReadMany { root: owner.root, path, method, model });
        } else {
            self.event(node, EventKind::Query { model: Some(qs.model) });
        }
        for model in &qs.joined {
            self.event(node, EventKind::Query { model: Some(*model) });
        }
    }

    /// The element type of `ty`.
    pub fn element(&mut self, ty: &Type, node: Node<'a>) -> Type {
        match ty {
            Type::QuerySet(qs) => {
                let qs = self.brought_by(qs).unwrap_or_else(|| qs.clone());
                let value = self.single(&qs, node);
                row_type(&qs, value)
            }
            Type::List(t) | Type::Set(t) | Type::Iterator(t) => (**t).clone(),
            Type::Tuple(types) => {
                let types = types.clone();
                types.iter().fold(Type::Never, |known, ty| self.either(known, ty.clone(), node))
            }
            Type::Dict(kv) => kv.0.clone(),
            Type::Str => Type::Str,
            Type::Bytes => Type::Int,
            Type::Bound(rows, made) if &**made == super::formsets::FORM_SET => {
                let row = self.element(&rows.clone(), node);
                Type::Bound(Arc::new(row), Name::from(super::formsets::FORM))
            }
            Type::Union(types) => {
                let types = types.clone();
                types
                    .iter()
                    .filter(|t| **t != Type::None && !is_part_of(t, &types))
                    .map(|t| self.element(t, node))
                    .fold(Type::Never, Type::join)
            }
            Type::Never => Type::Never,
            _ => Type::Unknown,
        }
    }
}

/// Whether the elements of a list are rows of a queryset among `types`: `if x: books = [b for b in books if ...]`.
fn is_part_of(list: &Type, types: &[Type]) -> bool {
    let Type::List(element) = list else { return false };
    let Type::Instance(Instance { root: Root::Row(value), path, .. }) = &**element else { return false };
    path.is_empty() && types.iter().filter_map(Type::queryset).any(|qs| qs.values.contains(value))
}

/// The type of a row of `qs`.
pub(super) fn row_type(qs: &QuerySet, value: ValueId) -> Type {
    match &qs.rows {
        Rows::Instances => {
            Type::Instance(Instance { model: qs.model, root: Root::Row(value), path: Path::new() })
        }
        Rows::Dicts => Type::dict(Type::Str, Type::Unknown),
        Rows::Tuples => Type::Unknown,
        Rows::Flat(ty) => (**ty).clone(),
        Rows::Unknown => Type::Unknown,
    }
}

/// The values whose rows are among the elements of `ty`.
fn rows_within(ty: &Type, facts: &Facts, out: &mut SmallVec<[ValueId; 1]>, depth: usize) {
    let mut add = |value: ValueId| {
        if !out.contains(&value) {
            out.push(value);
        }
    };
    match ty {
        Type::QuerySet(qs) => {
            for value in &qs.values {
                add(*value);
            }
            // The value that stands for several.
            if qs.values.len() > 1 {
                let stands = |v: &Value| v.alternatives.iter().eq(qs.values.iter());
                if let Some(i) = facts.values.iter().position(stands) {
                    add(ValueId(i as u32));
                }
            }
        }
        Type::Instance(Instance { root: Root::Row(value), .. }) if depth > 0 => add(*value),
        Type::List(t) | Type::Set(t) | Type::Iterator(t) => rows_within(t, facts, out, depth + 1),
        Type::Bound(rows, made) if super::calls::is_of_rows(made) => rows_within(rows, facts, out, depth),
        Type::Dict(kv) => {
            rows_within(&kv.0, facts, out, depth + 1);
            rows_within(&kv.1, facts, out, depth + 1);
        }
        Type::Tuple(types) | Type::Union(types) => {
            for t in types.iter() {
                rows_within(t, facts, out, depth);
            }
        }
        _ => {}
    }
}
