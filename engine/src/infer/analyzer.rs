//! The analysis of frames: modules, and functions, each once for each kind of arguments.

use super::facts::{Event, EventData, EventKind, Facts};
use super::found::{Answers, Found};
use super::frame::Frame;
use super::memo::{Memo, Met, Stack, Task};
use super::summary::{Summary, abstracted, summarize};
use super::types::{Instance, Manager, Name, QuerySet, QuerySetClass, Root, Type, ValueId};
use crate::django::Project;
use crate::python::touched::{self, Things, Touched};
use crate::python::{ClassId, FunctionId, Kind, NodeId, ParameterKind, parameters};
use crate::text::FileId;
use rustc_hash::{FxHashMap, FxHashSet};
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Calls followed from one frame, those of its callees included.
pub(super) const MAX_COST: u32 = 1000;
/// A function, or the body of a module; a method of an object of a class below.
type Caller = (FileId, Option<FunctionId>, Option<ClassId>);

/// Facts of frames that are kept, by [`Facts::weight`]: what fills some tens of megabytes.
const MAX_KEPT: usize = 3_000_000;

/// The facts of frames that are kept, and what they weigh.
#[derive(Default)]
struct Kept {
    facts: FxHashMap<Caller, KeptFacts>,
    weight: usize,
}

#[derive(Clone)]
struct KeptFacts {
    facts: Arc<Facts>,
    touched: Touched,
    /// What calls on unknown objects do is to be found again.
    are_guesses_outdated: bool,
}

/// Analyses the functions of a project on demand.
pub struct Analyzer<'p> {
    pub(super) project: &'p Project,
    pub(super) remembered: Remembered,
}

/// What an analyzer has found. It can be taken over to the same project after a change, see [`Analyzer::resumed`].
pub struct Remembered {
    pub(super) memo: Memo,
    pub(super) prefetches: OnceLock<super::prefetch::Prefetches>,
    pub(super) call_sites: OnceLock<Arc<super::callsites::CallSites>>,
    pub(super) form_users: OnceLock<Vec<ClassId>>,
    pub(super) owners: OnceLock<super::supposed::Owners>,
    pub(super) renderers: OnceLock<super::rendering::Renderers>,
    pub(super) stores: OnceLock<super::attributes::Stores>,
    pub(super) requests: super::requests::Requests,
    routed: OnceLock<FxHashSet<FunctionId>>,
    pub(super) passed: super::passed::Passed,
    kept: Mutex<Kept>,
    pub(super) entries: OnceLock<super::entries::Entries>,
    pub(super) entry_answers: Answers<super::entries::EntryKey, Vec<super::entries::Entry>>,
    /// What the callers of a function draw of the iterator that it returns.
    pub(super) drawn: Answers<(FunctionId, usize), super::drawn::Drawn>,
    pub(super) attributes: Answers<(ClassId, Name), super::attributes::Assigned>,
    found: Found,
    pub(super) receivers: super::receivers::Receivers,
    pub(super) words: OnceLock<super::words::Words>,
    /// Whether it is noted what answers are found in.
    is_noting: bool,
}

impl Deref for Analyzer<'_> {
    type Target = Remembered;

    fn deref(&self) -> &Remembered {
        &self.remembered
    }
}

impl<'p> Analyzer<'p> {
    /// An analyzer of `project`.
    pub fn new(project: &'p Project) -> Analyzer<'p> {
        Analyzer { project, remembered: Remembered::new(project) }
    }

    /// An analyzer that notes what its answers are found in, so that it can be [resumed](Self::resumed) after a change.
    pub fn noting_what_is_touched(project: &'p Project) -> Analyzer<'p> {
        let mut analyzer = Analyzer::new(project);
        analyzer.remembered.is_noting = true;
        analyzer
    }

    /// An analyzer of `project` that goes on with what another one found in it before a change.
    pub fn resumed(project: &'p Project, remembered: Remembered) -> Analyzer<'p> {
        Analyzer { project, remembered }
    }

    /// What was found, for [`Analyzer::resumed`].
    pub fn into_remembered(self) -> Remembered {
        self.remembered
    }

    /// Whether it is noted what answers are found in.
    pub(crate) fn is_noting(&self) -> bool {
        self.is_noting
    }

    /// What `find` gives; what its answers are found in is noted, if it is to be. To be called wherever a thread begins.
    pub(crate) fn noting<T>(&self, find: impl FnOnce() -> T) -> T {
        if self.is_noting { touched::noting(find) } else { find() }
    }

    /// The functions that the URLs of the project lead to.
    pub fn routed(&self) -> &FxHashSet<FunctionId> {
        self.routed.get_or_init(|| touched::aside(|| crate::django::routed(self.project)))
    }

    /// What `find` finds in the project, found once; `name` says who looks for it, and stands for one type.
    pub fn once<T: Send + Sync + 'static>(&self, name: &'static str, find: impl FnOnce() -> T) -> Arc<T> {
        self.found.once(name, find)
    }

    /// As [`once`](Self::once), for each `key`.
    pub fn once_for<K: Eq + Hash + Send + 'static, T: Clone + Send + 'static>(
        &self,
        name: &'static str,
        key: K,
        find: impl FnOnce() -> T,
    ) -> T {
        self.found.once_for(name, key, find)
    }

    /// The project.
    pub fn project(&self) -> &'p Project {
        self.project
    }

    /// The facts of every frame of a file: its module body first, then its functions and methods in order of
    /// position. Functions inside functions belong to the outer one's frame.
    pub fn frames(&self, file: FileId) -> Vec<Arc<Facts>> {
        let source = self.project.program().file(file);
        if source.ast.is_empty() || source.ast.is_too_deep() {
            return Vec::new();
        }
        // What nobody has asked for as a caller is not kept: it would push out what others ask for again.
        let facts = |function| {
            let known = self.known(&(file, function, None));
            known.unwrap_or_else(|| Arc::new(self.evaluated(file, function)))
        };
        let mut out = vec![facts(None)];
        for node in source.root().descendants().filter(|n| n.kind() == Kind::FunctionDef) {
            if let Some(function) = self.project.program().function_at(file, node.id()) {
                out.push(facts(Some(function)));
            }
        }
        out
    }

    /// The facts of a module body.
    pub fn module(&self, file: FileId) -> Facts {
        let mut stack = Stack::default();
        let root = self.project.program().file(file).root();
        let mut frame = Frame::new(self, &mut stack, file, root, None);
        frame.run_module();
        let facts = frame.finish().0;
        self.expanded(facts, &mut stack)
    }

    /// The facts of a function, called with what its annotations, its class and its callers say of its arguments.
    pub fn function(&self, function: FunctionId) -> Arc<Facts> {
        self.caller(self.project.program().function(function).file, Some(function))
    }

    fn evaluated(&self, file: FileId, function: Option<FunctionId>) -> Facts {
        let (facts, touched) = touched::record(|| match function {
            Some(function) => {
                let facts = self.called_within(function, super::passed::DEPTH + 1);
                self.expanded(facts, &mut Stack::default())
            }
            None => self.module(file),
        });
        self.note_receivers((file, function), &facts, touched);
        facts
    }

    /// The facts of a function, or of a module's body, that is asked for as the caller of another: several codemods ask
    /// for those of the same callers, so the last ones are kept.
    pub fn caller(&self, file: FileId, function: Option<FunctionId>) -> Arc<Facts> {
        self.kept((file, function, None), || self.evaluated(file, function))
    }

    /// As [`Analyzer::caller`], of a method of an object of `class`, which has it from a class above or defines it.
    pub fn method_of(&self, method: FunctionId, class: ClassId) -> Arc<Facts> {
        let info = self.project.program().function(method);
        match info.class {
            Some(own) if own == class => self.caller(info.file, Some(method)),
            _ => self.kept((info.file, Some(method), Some(class)), || self.method_below(method, class)),
        }
    }

    /// The facts of a caller: those that are kept, or else found by `find`.
    fn kept(&self, key: Caller, find: impl FnOnce() -> Facts) -> Arc<Facts> {
        if let Some(hit) = self.known(&key) {
            return hit;
        }
        let (mut facts, touched) = touched::record(find);
        facts.shrink();
        let facts = Arc::new(facts);
        let weight = facts.weight();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.weight + weight > MAX_KEPT {
            *kept = Kept::default();
        }
        kept.weight += weight;
        kept.facts.insert(key, KeptFacts { facts: facts.clone(), touched, are_guesses_outdated: false });
        facts
    }

    /// The facts of a caller that are kept.
    fn known(&self, key: &Caller) -> Option<Arc<Facts>> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = kept().facts.get(key).cloned()?;
        if known.are_guesses_outdated {
            known.facts = self.expanded_again(&known.facts);
            known.are_guesses_outdated = false;
            kept().facts.insert(*key, known.clone());
        }
        let KeptFacts { facts, touched, .. } = known;
        touched::again(&touched);
        Some(facts)
    }

    /// What a function writes, or may write: the events of its facts that say so. Kept for those who ask again.
    pub fn writing(&self, function: FunctionId) -> Arc<[EventData]> {
        let is_write = |event: &Event<'_>| {
            matches!(
                event.kind,
                EventKind::Write { .. }
                    | EventKind::Transaction { .. }
                    | EventKind::UnknownCall { .. }
                    | EventKind::CallNamed { .. }
            )
        };
        let find = || self.function(function).events().filter(is_write).map(Event::to_data).collect();
        self.once_for("what a function writes", function, find)
    }

    /// The facts of a function in the light of its callers and `depth - 1` times theirs.
    pub(super) fn called_within(&self, function: FunctionId, depth: usize) -> Facts {
        let mut stack = Stack::of(function);
        let mut arguments = self.default_arguments(function, &mut stack);
        let Some(depth) = depth.checked_sub(1) else { return self.run(function, &arguments, &mut stack).0 };
        self.fill_in(function, &mut arguments, depth);
        let supposed = self.constructed_with(function, depth);
        let info = self.project.program().function(function);
        let node = self.project.program().file(info.file).node(info.node);
        let mut frame = Frame::new(self, &mut stack, info.file, node, info.class);
        frame.supposed = supposed;
        frame.run_function(&arguments);
        frame.finish().0
    }

    /// The facts of a method of an object of `class`, which is below the class that defines it.
    pub fn method_below(&self, method: FunctionId, class: ClassId) -> Facts {
        let mut stack = Stack::of(method);
        let mut arguments = self.default_arguments(method, &mut stack);
        if let Some(receiver) = arguments.first_mut() {
            *receiver = Type::Object(class);
        }
        let facts = self.run(method, &arguments, &mut stack).0;
        self.expanded(facts, &mut Stack::default())
    }

    /// The facts of a function called with these arguments, one a parameter: an instance or queryset among them is
    /// the value of its parameter's index.
    pub fn called(&self, function: FunctionId, arguments: &[Type]) -> Facts {
        let arguments: Vec<Type> = arguments.iter().enumerate().map(|(i, ty)| abstracted(ty, i)).collect();
        self.run(function, &arguments, &mut Stack::of(function)).0
    }

    fn run(&self, function: FunctionId, arguments: &[Type], stack: &mut Stack) -> (Facts, u32) {
        let info = self.project.program().function(function);
        let node = self.project.program().file(info.file).node(info.node);
        let mut frame = Frame::new(self, stack, info.file, node, info.class);
        frame.run_function(arguments);
        frame.finish()
    }

    /// Types of the parameters when nothing is known of the caller.
    pub(super) fn default_arguments(&self, function: FunctionId, stack: &mut Stack) -> Vec<Type> {
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
                if i == 0 && self.project.is_run_by_migration(function) {
                    return Type::External(Name::from(super::builtins::STATE_APPS));
                }
                let Some(annotation) = parameter.annotation else {
                    return match super::framework::parameter(self.project, function, i, parameter.name) {
                        Some(model) => abstracted(&Type::Instance(Instance::root(model, Root::Opaque)), i),
                        None if i == 0 && parameter.name == "context" && self.is_given_context(function) => {
                            Type::dict(Type::Str, Type::Unknown)
                        }
                        None => {
                            let given = self.given_by_admin(function, i, stack);
                            let given = given.or_else(|| self.given_form(function, i));
                            match given.or_else(|| self.given_by_feed(function, i, stack)) {
                                Some(given) => abstracted(&given, i),
                                None => default_by_convention(parameter.name),
                            }
                        }
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

    /// Whether the function is a template tag that gets the context.
    fn is_given_context(&self, function: FunctionId) -> bool {
        let mut tags = self.project.templates().libraries().all();
        tags.any(|tag| tag.takes_context && tag.function == Some(function))
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

    /// The summary of a call of `function` with `arguments` (one a parameter, already abstracted); nothing where
    /// calls nest too deep.
    pub(super) fn summary(
        &self,
        function: FunctionId,
        arguments: Vec<Type>,
        stack: &mut Stack,
    ) -> Option<Arc<Summary>> {
        let found = self.memo.evaluate(Task::Call(function, arguments), stack, |task, stack| {
            let Task::Call(_, arguments) = task else { return Summary::default() };
            let (facts, cost) = self.run(function, arguments, stack);
            summarize(facts, cost, self.project.program().function(function).is_generator)
        });
        match found {
            Ok(summary) => Some(summary),
            Err(Met::Recursion) => Some(Arc::new(Summary { cost: 1, ..Summary::default() })),
            Err(Met::TooDeep) => None,
        }
    }

    /// As [`Analyzer::summary`], of a lambda that stands outside functions.
    pub(super) fn lambda_summary(
        &self,
        file: FileId,
        lambda: NodeId,
        arguments: Vec<Type>,
        stack: &mut Stack,
    ) -> Option<Arc<Summary>> {
        let found = self.memo.evaluate(Task::Lambda(file, lambda, arguments), stack, |task, stack| {
            let Task::Lambda(file, lambda, arguments) = task else { return Summary::default() };
            let def = self.project.program().file(*file).node(*lambda);
            let mut frame = Frame::new(self, stack, *file, def, None);
            frame.run_function(arguments);
            let (facts, cost) = frame.finish();
            summarize(facts, cost, false)
        });
        match found {
            Ok(summary) => Some(summary),
            Err(Met::Recursion) => Some(Arc::new(Summary { cost: 1, ..Summary::default() })),
            Err(Met::TooDeep) => None,
        }
    }

    /// The type of an expression by itself: a module variable's or class attribute's value, or what a method assigns
    /// to an attribute of `self`.
    pub(super) fn outside(&self, file: FileId, node: NodeId, stack: &mut Stack) -> Arc<Summary> {
        let found = self.memo.evaluate(Task::Value(file, node), stack, |_, stack| {
            let source = self.project.program().file(file);
            let node = source.node(node);
            let method = node.enclosing_function();
            let class = method.and_then(|def| self.project.program().function_at(file, def.id()));
            let class = class.and_then(|f| self.project.program().function(f).class);
            let mut frame = Frame::new(self, stack, file, method.unwrap_or(source.root()), class);
            if method.is_some() {
                frame.enter_assignment(node);
            }
            let returns = frame.expr(node).without_records();
            let (facts, cost) = frame.finish();
            Summary { returns: Some(returns), values: facts.values, cost, ..Summary::default() }
        });
        found.unwrap_or_default()
    }
}

impl Remembered {
    fn new(project: &Project) -> Remembered {
        Remembered {
            memo: Memo::new(project.program().function_count()),
            prefetches: OnceLock::new(),
            call_sites: OnceLock::new(),
            form_users: OnceLock::new(),
            owners: OnceLock::new(),
            renderers: OnceLock::new(),
            stores: OnceLock::new(),
            requests: super::requests::Requests::default(),
            routed: OnceLock::new(),
            passed: super::passed::Passed::default(),
            kept: Mutex::default(),
            entries: OnceLock::new(),
            entry_answers: Answers::default(),
            drawn: Answers::default(),
            attributes: Answers::default(),
            found: Found::default(),
            receivers: super::receivers::Receivers::default(),
            words: OnceLock::new(),
            is_noting: false,
        }
    }

    /// `file` has changed, between the projects `before` and `after` which have the same classes and functions, and so have
    /// those that are `changed`: throw away what was found in them, or asked for by names that have another answer now. False if
    /// it is not known what that is; nothing here is of use then.
    pub(crate) fn update(
        &mut self,
        file: FileId,
        before: &Project,
        after: &Project,
        mut changed: Things,
    ) -> bool {
        let is_outline = changed.has_outline(file);
        if is_outline && !self.knows_the_same_of_classes(after) {
            return false;
        }
        if let Some(words) = self.words.get_mut() {
            super::words::update(words, file, before, after, &mut changed);
        }
        if let Some(calls) = self.call_sites.get_mut() {
            match Arc::get_mut(calls) {
                Some(calls) => calls.update(file, before, after, &mut changed),
                None => return false,
            }
        }
        if let Some(stores) = self.stores.get_mut() {
            stores.update(file, before, after, &mut changed);
        }
        self.passed.update(file, before, after, &mut changed);
        if !super::prefetch::update(&mut self.prefetches, file, (before, after), &mut changed) {
            return false;
        }
        self.renderers.take();
        self.forget(&changed);
        let may_route = |project: &Project| crate::django::may_route(project.program().file(file));
        let has_routes = is_outline || may_route(before) || may_route(after);
        self.routed.get().is_none_or(|routed| !has_routes || *routed == crate::django::routed(after))
    }

    /// Whether what was found by looking at all classes is the same in the project `after` an edit.
    fn knows_the_same_of_classes(&self, after: &Project) -> bool {
        self.form_users.get().is_none_or(|known| *known == super::callsites::form_users(after))
            && self.passed.constructors().is_none_or(|known| *known == super::passed::constructors(after))
    }

    /// Throw away what was found in `changed`.
    fn forget(&mut self, changed: &Things) {
        self.memo.forget(changed);
        self.passed.forget(changed);
        self.drawn.forget(changed);
        self.attributes.forget(changed);
        self.found.forget(changed);
        self.receivers.forget(changed);
        self.requests.forget(changed);
        let kept = self.kept.get_mut().unwrap_or_else(PoisonError::into_inner);
        kept.facts.retain(|_, known| {
            known.facts.found.forget(changed);
            known.are_guesses_outdated |= known.facts.guesses.are_outdated(changed);
            !known.touched.any_of(changed)
        });
        kept.weight = kept.facts.values().map(|known| known.facts.weight()).sum();
        self.entries.take();
        self.entry_answers.forget(changed);
        self.entry_answers.update(|entries| entries.iter_mut().for_each(|entry| entry.forget(changed)));
    }
}

/// What a framework passes by the name that everybody gives it.
fn default_by_convention(name: &str) -> Type {
    match name {
        "request" => Type::External(Name::from(super::requests::REQUEST)),
        _ => Type::Unknown,
    }
}
