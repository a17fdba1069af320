//! The analysis of functions, each once for each kind of arguments, and what a call of one means for its caller.
//!
//! Results never depend on the order in which frames are analysed, nor on which thread does it: what was cut off
//! by recursion is not remembered.

use super::facts::{Event, EventKind, Facts, Made, Origin, Use};
use super::frame::Frame;
use super::types::{Instance, Manager, Name, Path, QuerySet, QuerySetClass, Root, Type, ValueId};
use crate::django::Project;
use crate::python::{ClassId, FunctionId, Kind, NodeId, ParameterKind, parameters};
use crate::text::{FileId, Site};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Calls nested deeper than this are not followed.
pub(super) const MAX_CALL_DEPTH: usize = 16;
/// Calls followed from one frame, those of its callees included.
pub(super) const MAX_COST: u32 = 1000;
/// Functions of one name that a call on an unknown object may reach before it counts as unknown itself.
const MAX_CANDIDATES: usize = 12;
/// Names that the effects of a call on an unknown object are followed through.
const MAX_NAMES: usize = 60;
/// Events kept of one callee.
const MAX_EVENTS: usize = 600;

/// What a caller needs to know of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    /// The result, in the callee's own values; parameters are values `0..parameters`.
    pub returns: Option<Type>,
    /// What happens, in the callee's own values.
    pub events: Vec<Event>,
    /// The callee's values.
    pub values: Vec<super::facts::Value>,
    /// How many frames it took.
    pub cost: u32,
    /// What the analysis looked into.
    reach: Reach,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    function: FunctionId,
    arguments: Vec<Type>,
}

/// A method called on an unknown object: its name, and how many positional arguments it gets where that is known.
type Called = (Name, Option<u8>);

/// Analyses the functions of a project on demand.
pub struct Analyzer<'p> {
    pub(super) project: &'p Project,
    memo: Vec<Mutex<FxHashMap<Key, Arc<Summary>>>>,
    outside: Mutex<FxHashMap<(FileId, NodeId), Arc<Summary>>>,
    named: Mutex<FxHashMap<Called, Arc<Vec<Event>>>>,
    pub(super) prefetches: OnceLock<super::prefetch::Prefetches>,
}

/// The functions being analysed on this thread, outermost first.
pub(super) struct Stack {
    pub functions: Vec<FunctionId>,
    pub outside: Vec<(FileId, NodeId)>,
    /// The shallowest function at which recursion was cut off since the last reset.
    pub cut: usize,
    /// Summaries that were cut off at a function which is still being analysed, with its depth. They hold as long
    /// as it is, and not after.
    partial: FxHashMap<Key, (Arc<Summary>, usize)>,
    /// For each thing being analysed, innermost last, what was reached from it so far.
    reached: Vec<Reach>,
}

/// What an analysis looked into, at any depth.
#[derive(Clone, Debug, Default)]
struct Reach {
    /// Functions and outside expressions, see [`of_function`] and [`of_outside`].
    all: FxHashSet<u64>,
    /// Calls nested below it.
    height: usize,
}

fn of_function(function: FunctionId) -> u64 {
    u64::from(function.0)
}

fn of_outside((file, node): (FileId, NodeId)) -> u64 {
    (1 << 63) | u64::from(file.0) << 32 | u64::from(node.0)
}

impl Stack {
    fn new() -> Stack {
        Stack {
            functions: Vec::new(),
            outside: Vec::new(),
            cut: usize::MAX,
            partial: FxHashMap::default(),
            reached: Vec::new(),
        }
    }

    /// Whether a remembered result is what an analysis from here would give: it neither meets what is being
    /// analysed, where recursion would cut it off, nor goes too deep.
    fn allows(&self, reach: &Reach) -> bool {
        self.functions.len() + reach.height < MAX_CALL_DEPTH
            && self.outside.len() + reach.height < MAX_CALL_DEPTH
            && !self.functions.iter().any(|f| reach.all.contains(&of_function(*f)))
            && !self.outside.iter().any(|o| reach.all.contains(&of_outside(*o)))
    }

    /// What is being analysed looks into `what`, and into all that `below` has reached.
    fn reach(&mut self, what: u64, below: &Reach) {
        if let Some(top) = self.reached.last_mut() {
            top.all.insert(what);
            top.all.extend(below.all.iter().copied());
            top.height = top.height.max(below.height + 1);
        }
    }
}

const SHARDS: usize = 64;

impl<'p> Analyzer<'p> {
    /// An analyzer of `project`.
    pub fn new(project: &'p Project) -> Analyzer<'p> {
        Analyzer {
            project,
            memo: (0..SHARDS).map(|_| Mutex::default()).collect(),
            outside: Mutex::default(),
            named: Mutex::default(),
            prefetches: OnceLock::new(),
        }
    }

    /// The project.
    pub fn project(&self) -> &'p Project {
        self.project
    }

    /// The facts of every frame of a file: its module body first, then its functions and methods in order of
    /// position. Functions inside functions belong to the outer one's frame.
    pub fn frames(&self, file: FileId) -> Vec<Facts> {
        let source = self.project.program().file(file);
        if source.ast.is_empty() || source.ast.is_too_deep() {
            return Vec::new();
        }
        let mut out = vec![self.module(file)];
        for node in source.root().descendants().filter(|n| n.kind() == Kind::FunctionDef) {
            if let Some(function) = self.project.program().function_at(file, node.id()) {
                out.push(self.function(function));
            }
        }
        out
    }

    /// The facts of a module body.
    pub fn module(&self, file: FileId) -> Facts {
        let mut stack = Stack::new();
        let root = self.project.program().file(file).root();
        let mut frame = Frame::new(self, &mut stack, file, root, None);
        frame.run_module();
        let facts = frame.finish().0;
        self.expanded(facts, &mut stack)
    }

    /// The facts of a function, called with what its annotations and its class say of its arguments.
    pub fn function(&self, function: FunctionId) -> Facts {
        let mut stack = Stack::new();
        stack.functions.push(function);
        let arguments = self.default_arguments(function, &mut stack);
        let facts = self.run(function, arguments, &mut stack).0;
        stack.functions.pop();
        stack.partial.clear();
        self.expanded(facts, &mut stack)
    }

    /// The methods that a call of `.name()` on an unknown object may reach.
    pub(super) fn candidates<'n>(
        &self,
        name: &'n str,
        positional: Option<u8>,
    ) -> impl Iterator<Item = FunctionId> + use<'n, 'p> {
        let project = self.project;
        let program = project.program();
        program.functions_named(name).iter().copied().filter(move |f| {
            let info = program.function(*f);
            if info.class.is_none() || is_framework_entry(project, *f) {
                return false;
            }
            let Some(positional) = positional else { return true };
            let params = parameters(program.file(info.file).node(info.node));
            let takes = params
                .iter()
                .filter(|p| {
                    matches!(p.kind, ParameterKind::PositionalOnly | ParameterKind::PositionalOrKeyword)
                })
                .count();
            let open = params.iter().any(|p| p.kind == ParameterKind::VarPositional);
            open || usize::from(positional) <= takes
        })
    }

    /// Put what methods of a name may do in the place of the calls on unknown objects.
    fn expanded(&self, mut facts: Facts, stack: &mut Stack) -> Facts {
        if !facts.events.iter().any(|e| matches!(e.kind, EventKind::CallNamed { .. })) {
            return facts;
        }
        let mut out = Vec::with_capacity(facts.events.len());
        for event in facts.events.drain(..) {
            let EventKind::CallNamed { name, positional } = &event.kind else {
                out.push(event);
                continue;
            };
            for effect in self.effects_of_name(name, *positional, stack).iter() {
                out.push(Event { at: event.at, site: effect.site, kind: effect.kind.clone() });
            }
        }
        facts.events = out;
        facts
    }

    /// What a call of `.name()` on an unknown object may do to anything but its own objects, calls of further names
    /// included: one event a kind, with the first place that does it.
    fn effects_of_name(&self, name: &Name, positional: Option<u8>, stack: &mut Stack) -> Arc<Vec<Event>> {
        let key = (name.clone(), positional);
        if let Some(hit) = self.named.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return hit.clone();
        }
        let mut queue = vec![key.clone()];
        let mut seen_kinds = FxHashSet::default();
        let mut events: Vec<Event> = Vec::new();
        let mut next = 0;
        while let Some((name, positional)) = queue.get(next).cloned() {
            next += 1;
            let candidates: Vec<FunctionId> = self.candidates(&name, positional).collect();
            let unknown = |name: Name| EventKind::UnknownCall { name };
            if candidates.len() > MAX_CANDIDATES || queue.len() > MAX_NAMES {
                let site = candidates.first().map_or(Site::default(), |f| self.site_of(*f));
                let kind = unknown(name.clone());
                if seen_kinds.insert(kind.clone()) {
                    events.push(Event { at: NodeId(0), site, kind });
                }
                continue;
            }
            for candidate in candidates {
                let receiver = self.receiver(candidate).map(|r| opaque(&r));
                let info = self.project.program().function(candidate);
                let count = parameters(self.project.program().file(info.file).node(info.node)).len();
                let mut arguments = vec![Type::Unknown; count];
                if let (Some(receiver), Some(first)) = (receiver, arguments.first_mut()) {
                    *first = abstracted(&receiver, 0);
                }
                let Some(summary) = self.summary(candidate, arguments, stack) else { continue };
                for event in &summary.events {
                    match &event.kind {
                        EventKind::CallNamed { name, positional } => {
                            let key = (name.clone(), *positional);
                            if !queue.contains(&key) {
                                queue.push(key);
                            }
                        }
                        kind @ (EventKind::Query { .. }
                        | EventKind::Write { .. }
                        | EventKind::Outside { .. }
                        | EventKind::Log
                        | EventKind::UnknownCall { .. }
                        | EventKind::Raise
                        | EventKind::Suspend
                        | EventKind::Transaction { .. })
                            if seen_kinds.insert(kind.clone()) =>
                        {
                            events.push(event.clone());
                        }
                        _ => {}
                    }
                }
            }
        }
        let events = Arc::new(events);
        self.named.lock().unwrap_or_else(PoisonError::into_inner).insert(key, events.clone());
        events
    }

    fn site_of(&self, function: FunctionId) -> Site {
        let program = self.project.program();
        let info = program.function(function);
        Site { file: info.file, span: program.file(info.file).node(info.node).span() }
    }

    /// The facts of a function called with these arguments, one a parameter: an instance or queryset among them is
    /// the value of its parameter's index.
    pub fn called(&self, function: FunctionId, arguments: &[Type]) -> Facts {
        let mut stack = Stack::new();
        stack.functions.push(function);
        let arguments = arguments.iter().enumerate().map(|(i, ty)| abstracted(ty, i)).collect();
        self.run(function, arguments, &mut stack).0
    }

    fn run(&self, function: FunctionId, arguments: Vec<Type>, stack: &mut Stack) -> (Facts, u32) {
        let info = self.project.program().function(function);
        let node = self.project.program().file(info.file).node(info.node);
        let mut frame = Frame::new(self, stack, info.file, node, info.class);
        frame.run_function(&arguments);
        frame.finish()
    }

    /// Types of the parameters when nothing is known of the caller.
    fn default_arguments(&self, function: FunctionId, stack: &mut Stack) -> Vec<Type> {
        let program = self.project.program();
        let info = program.function(function);
        let node = program.file(info.file).node(info.node);
        let receiver = self.receiver(function);
        parameters(node)
            .iter()
            .enumerate()
            .map(|(i, parameter)| {
                if i == 0
                    && let Some(receiver) = &receiver
                {
                    return abstracted(receiver, 0);
                }
                let Some(annotation) = parameter.annotation else {
                    return match super::framework::parameter(self.project, function, i, parameter.name) {
                        Some(model) => abstracted(&Type::Instance(Instance::root(model, Root::Opaque)), i),
                        None => default_by_convention(parameter.name),
                    };
                };
                let mut frame = Frame::new(self, stack, info.file, program.file(info.file).root(), None);
                let ty = frame.annotation(annotation);
                let ty = match parameter.kind {
                    ParameterKind::VarPositional => Type::Tuple(Arc::new([])),
                    ParameterKind::VarKeyword => Type::Unknown,
                    _ => ty,
                };
                abstracted(&ty, i)
            })
            .collect()
    }

    /// The type of `self` (or `cls`) in a method; `None` for a function or static method.
    pub(super) fn receiver(&self, function: FunctionId) -> Option<Type> {
        use crate::python::{Binding, Member};
        let program = self.project.program();
        let info = program.function(function);
        let class = info.class?;
        let binding = program.class(class).members.values().find_map(|m| match m {
            Member::Function(id, binding) if *id == function => Some(*binding),
            _ => None,
        });
        match binding.unwrap_or(Binding::Method) {
            Binding::StaticMethod => None,
            Binding::ClassMethod => Some(match self.project.model_of_class(class) {
                Some(model) => Type::ModelClass(model),
                None => Type::Def(crate::python::Def::Class(class)),
            }),
            _ => Some(self.object_of_class(class)),
        }
    }

    /// An instance of a class of the program: a model instance, a manager, a queryset or a plain object.
    pub(super) fn object_of_class(&self, class: ClassId) -> Type {
        if let Some(model) = self.project.model_of_class(class) {
            return Type::Instance(Instance::root(model, Root::Opaque));
        }
        let inherits = |names: &[&str]| names.iter().any(|n| self.project.program().inherits(class, n));
        if inherits(super::external::QUERYSET_CLASSES) {
            return match self.only_user_of(class) {
                Some((model, _)) => {
                    Type::QuerySet(Arc::new(QuerySet::new(model, QuerySetClass::Custom(class), ValueId(0))))
                }
                None => Type::Object(class),
            };
        }
        if inherits(super::external::MANAGER_CLASSES) {
            return match self.only_user_of(class) {
                Some((model, name)) => Type::Manager(Arc::new(Manager {
                    model,
                    class: QuerySetClass::Custom(class),
                    name: Some(name),
                    related: None,
                    known: Default::default(),
                    is_many_to_many: false,
                })),
                None => Type::Object(class),
            };
        }
        Type::Object(class)
    }

    /// The only concrete model whose manager or queryset is of `class`.
    fn only_user_of(&self, class: ClassId) -> Option<(crate::django::ModelId, Name)> {
        let mut found = None;
        for model in self.project.models() {
            for manager in &model.managers {
                if manager.class == Some(class) || manager.queryset == Some(class) {
                    match found {
                        Some((other, _)) if other != model.id => return None,
                        _ => found = Some((model.id, Name::from(manager.name.as_str()))),
                    }
                }
            }
        }
        found
    }

    /// The summary of a call of `function` with `arguments` (one a parameter, already abstracted).
    pub(super) fn summary(
        &self,
        function: FunctionId,
        arguments: Vec<Type>,
        stack: &mut Stack,
    ) -> Option<Arc<Summary>> {
        if let Some(depth) = stack.functions.iter().position(|f| *f == function) {
            stack.cut = stack.cut.min(depth);
            stack.reach(of_function(function), &Reach::default());
            return Some(Arc::new(Summary { cost: 1, ..Summary::default() }));
        }
        if stack.functions.len() >= MAX_CALL_DEPTH {
            stack.cut = 0;
            stack.reach(of_function(function), &Reach::default());
            return None;
        }
        let key = Key { function, arguments };
        let shard = &self.memo[function.0 as usize % SHARDS];
        let hit = shard.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(hit) = hit.filter(|hit| stack.allows(&hit.reach)) {
            stack.reach(of_function(function), &hit.reach);
            return Some(hit);
        }
        if let Some((hit, cut)) = stack.partial.get(&key).cloned() {
            stack.cut = stack.cut.min(cut);
            stack.reach(of_function(function), &hit.reach);
            return Some(hit);
        }
        let depth = stack.functions.len();
        let outer_cut = std::mem::replace(&mut stack.cut, usize::MAX);
        stack.functions.push(function);
        stack.reached.push(Reach::default());
        let (facts, cost) = self.run(function, key.arguments.clone(), stack);
        stack.functions.pop();
        let reach = stack.reached.pop().unwrap_or_default();
        stack.reach(of_function(function), &reach);
        stack.partial.retain(|_, (_, cut)| *cut < depth);
        let cut = stack.cut;
        stack.cut = cut.min(outer_cut);
        let is_generator = self.project.program().function(function).is_generator;
        let summary = Arc::new(Summary { reach, ..summarize(facts, cost, is_generator) });
        if cut < depth {
            stack.partial.insert(key, (summary.clone(), cut));
        } else {
            shard.lock().unwrap_or_else(PoisonError::into_inner).insert(key, summary.clone());
        }
        Some(summary)
    }

    /// The type of an expression that stands outside functions: a module variable's or class attribute's value.
    pub(super) fn outside(&self, file: FileId, node: NodeId, stack: &mut Stack) -> Arc<Summary> {
        let key = (file, node);
        let hit = self.outside.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(hit) = hit.filter(|hit| stack.allows(&hit.reach)) {
            stack.reach(of_outside(key), &hit.reach);
            return hit;
        }
        if stack.outside.contains(&key) || stack.outside.len() + 1 >= MAX_CALL_DEPTH {
            stack.cut = 0;
            stack.reach(of_outside(key), &Reach::default());
            return Arc::default();
        }
        let outer_cut = std::mem::replace(&mut stack.cut, usize::MAX);
        stack.outside.push(key);
        stack.reached.push(Reach::default());
        let source = self.project.program().file(file);
        let mut frame = Frame::new(self, stack, file, source.root(), None);
        let returns = frame.expr(source.node(node));
        let (mut facts, cost) = frame.finish();
        facts.returns = Some(returns);
        stack.outside.pop();
        let reach = stack.reached.pop().unwrap_or_default();
        stack.reach(of_outside(key), &reach);
        let complete = stack.cut == usize::MAX;
        stack.cut = stack.cut.min(outer_cut);
        let summary = Arc::new(Summary {
            returns: facts.returns,
            events: Vec::new(),
            values: facts.values,
            cost,
            reach,
        });
        if complete {
            self.outside.lock().unwrap_or_else(PoisonError::into_inner).insert(key, summary.clone());
        }
        summary
    }
}

/// What a framework passes by the name that everybody gives it.
fn default_by_convention(name: &str) -> Type {
    match name {
        "request" => Type::External(Name::from("django.http.HttpRequest")),
        _ => Type::Unknown,
    }
}

fn summarize(mut facts: Facts, cost: u32, is_generator: bool) -> Summary {
    // Uses of the callee's own querysets stay behind; what they did to an object that comes back does not.
    for event in &facts.events {
        if let EventKind::Use { value, how } = &event.kind
            && how.may_load()
            && *how != Use::Escape(super::facts::Escape::Return)
            && let Some(value) = facts.values.get_mut(value.0 as usize)
        {
            value.kept.get_or_insert(event.site);
        }
    }
    let mut seen = FxHashSet::default();
    let mut events = Vec::new();
    for event in facts.events {
        let keep = match &event.kind {
            EventKind::Use { value, how } => {
                is_parameter(&facts.values, *value) && *how != Use::Escape(super::facts::Escape::Return)
            }
            EventKind::InstanceEscapes { how: super::facts::Escape::Return, .. } => false,
            EventKind::ReadAttribute { root, .. } | EventKind::InstanceEscapes { root, .. } => {
                is_parameter_root(&facts.values, *root)
            }
            EventKind::Suspend => !is_generator,
            _ => true,
        };
        if keep && seen.insert((event.site, event.kind.clone())) {
            events.push(event);
        }
    }
    if events.len() > MAX_EVENTS {
        let (at, site) = events.first().map_or((NodeId(0), Site::default()), |e| (e.at, e.site));
        events.truncate(MAX_EVENTS);
        events.push(Event { at, site, kind: EventKind::UnknownCall { name: Name::from("...") } });
    }
    Summary { returns: facts.returns, events, values: facts.values, cost, reach: Reach::default() }
}

fn is_parameter(values: &[super::facts::Value], value: ValueId) -> bool {
    values.get(value.0 as usize).is_some_and(|v| {
        matches!(v.origin, Origin::Parameter(_))
            || v.alternatives.iter().any(|a| is_parameter_value(values, *a))
    })
}

fn is_parameter_value(values: &[super::facts::Value], value: ValueId) -> bool {
    values.get(value.0 as usize).is_some_and(|v| matches!(v.origin, Origin::Parameter(_)))
}

fn is_parameter_root(values: &[super::facts::Value], root: Root) -> bool {
    match root {
        Root::Value(v) | Root::Row(v) => derives_from_parameter(values, v),
        Root::Opaque => false,
    }
}

fn derives_from_parameter(values: &[super::facts::Value], value: ValueId) -> bool {
    let mut next = Some(value);
    let mut steps = 0;
    while let Some(id) = next {
        steps += 1;
        let Some(value) = values.get(id.0 as usize) else { return false };
        if matches!(value.origin, Origin::Parameter(_))
            || value.alternatives.iter().any(|a| is_parameter_value(values, *a))
        {
            return true;
        }
        next = value.parent.filter(|_| steps < 50);
    }
    false
}

/// `ty` as the `index`-th argument looks from inside the callee: its object is the parameter's value.
pub(super) fn abstracted(ty: &Type, index: usize) -> Type {
    let value = ValueId(index as u32);
    match ty {
        Type::Instance(i) => Type::Instance(Instance::root(i.model, Root::Value(value))),
        Type::QuerySet(qs) => {
            let mut qs = (**qs).clone();
            qs.values = SmallVec::from_slice(&[value]);
            qs.related = qs.related.map(|r| opaque_related(&r));
            Type::QuerySet(Arc::new(qs))
        }
        Type::List(t) => Type::List(Arc::new(row_of(t, value))),
        Type::Set(t) => Type::Set(Arc::new(row_of(t, value))),
        Type::Iterator(t) => Type::Iterator(Arc::new(row_of(t, value))),
        Type::Union(types) => {
            Type::Union(types.iter().map(|t| abstracted(t, index)).collect::<Vec<_>>().into())
        }
        other => opaque(other),
    }
}

fn row_of(ty: &Type, value: ValueId) -> Type {
    match ty {
        Type::Instance(i) => Type::Instance(Instance::root(i.model, Root::Row(value))),
        other => opaque(other),
    }
}

fn opaque_related(related: &super::types::Related) -> Arc<super::types::Related> {
    Arc::new(super::types::Related {
        owner: Instance::root(related.owner.model, Root::Opaque),
        accessor: related.accessor.clone(),
    })
}

/// `ty` without any reference to the values of its frame.
pub(super) fn opaque(ty: &Type) -> Type {
    match ty {
        Type::Instance(i) => Type::Instance(Instance::root(i.model, Root::Opaque)),
        Type::QuerySet(_) | Type::Local(_) | Type::Bound(..) => Type::Unknown,
        Type::Manager(m) => {
            let mut m = (**m).clone();
            m.related = m.related.map(|r| opaque_related(&r));
            Type::Manager(Arc::new(m))
        }
        Type::List(t) => Type::List(Arc::new(opaque(t))),
        Type::Set(t) => Type::Set(Arc::new(opaque(t))),
        Type::Iterator(t) => Type::Iterator(Arc::new(opaque(t))),
        Type::Dict(kv) => Type::Dict(Arc::new((opaque(&kv.0), opaque(&kv.1)))),
        Type::Tuple(types) => Type::Tuple(types.iter().map(opaque).collect::<Vec<_>>().into()),
        Type::Union(types) => types.iter().map(opaque).fold(Type::Never, Type::join),
        Type::Super(class, t) => Type::Super(*class, Arc::new(opaque(t))),
        other => other.clone(),
    }
}

/// Binds the arguments of one call and reads a callee's summary in the caller's terms.
pub(super) struct Translation<'s> {
    pub summary: &'s Summary,
    /// The caller's types of the arguments, one a parameter.
    pub arguments: &'s [Type],
}

impl Translation<'_> {
    /// The caller's roots and path for a callee's root and path; nothing where the object is the callee's own.
    pub fn roots(&self, root: Root, path: &Path) -> Option<(Root, Path)> {
        match root {
            Root::Opaque => None,
            Root::Value(v) => {
                let parameter = self.parameter(v)?;
                let instance = self.arguments.get(parameter)?.instance()?;
                Some((instance.root, extended(&instance.path, path)))
            }
            Root::Row(v) => {
                let parameter = self.parameter(v)?;
                match self.arguments.get(parameter)?.without_none() {
                    Type::QuerySet(qs) => Some((Root::Row(*qs.values.first()?), path.clone())),
                    Type::List(t) | Type::Set(t) | Type::Iterator(t) => {
                        let instance = t.instance()?;
                        Some((instance.root, extended(&instance.path, path)))
                    }
                    _ => None,
                }
            }
        }
    }

    /// The parameter that a value is, or was derived from.
    pub fn parameter(&self, value: ValueId) -> Option<usize> {
        let mut next = Some(value);
        for _ in 0..50 {
            let v = self.summary.values.get(next?.0 as usize)?;
            if let Origin::Parameter(index) = v.origin {
                return Some(index);
            }
            next = v.parent.or_else(|| v.alternatives.first().copied());
        }
        None
    }

    /// How the callee made an instance.
    pub fn made(&self, value: ValueId) -> Made {
        self.summary.values.get(value.0 as usize).map_or(Made::Unknown, |v| v.made)
    }
}

fn extended(base: &Path, more: &Path) -> Path {
    base.iter().chain(more.iter()).cloned().collect()
}

/// Whether `function` is a method that Django or a framework calls on an object nobody holds: views, tests,
/// commands, migrations. A call on an unknown object does not reach these.
pub(super) fn is_framework_entry(project: &Project, function: FunctionId) -> bool {
    let program = project.program();
    let Some(class) = program.function(function).class else { return false };
    program.class(class).external_bases.iter().any(|base| {
        base.starts_with("django.views")
            || base.starts_with("rest_framework.views")
            || base.starts_with("rest_framework.viewsets")
            || base.starts_with("rest_framework.generics")
            || base.starts_with("unittest")
            || base.starts_with("django.test")
            || base.starts_with("django.core.management")
            || base.starts_with("django.db.migrations")
    })
}
