//! What the callers of a function pass to its parameters, where all of them can be seen.
//!
//! A function is known by its callers when nothing but calls mentions its name anywhere in the program and no decorator
//! hands it on. What a caller passes is what it has without knowing its own callers, so that the answer depends on no
//! order.

use super::analyzer::Analyzer;
use super::by_name::ByName;
use super::facts::Facts;
use super::found::Answers;
use super::summary::abstracted;
use super::types::{Instance, Root, Type};
use crate::django::{ModelId, Project};
use crate::python::touched::{Things, aside};
use crate::python::{
    Binding, Def, Expr, Field, FunctionId, Kind, Member, Node, NodeId, ParameterKind, arguments, parameters,
    string_value,
};
use crate::text::FileId;
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// More callers than these are not asked.
const MAX_CALLERS: usize = 40;
/// Callers of callers are asked so far.
pub(super) const DEPTH: usize = 2;

/// Bases of classes whose methods are called by nobody but the program.
const QUIET_BASES: &[&str] = &[
    "builtins.object",
    "django.db.models.Model",
    "django.db.models.base.Model",
    "django.db.models.Manager",
    "django.db.models.manager.Manager",
    "django.db.models.QuerySet",
    "django.db.models.query.QuerySet",
];

/// What one argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Instance(ModelId),
    InstanceOrNone(ModelId),
    None,
    Other,
}

/// One call: what its method is called on, and its arguments.
#[derive(Debug)]
struct Call {
    owner: Type,
    given: Vec<Given>,
}

/// The function of a file (or its module body), and how many callers were asked about it.
type Frame = (FileId, Option<FunctionId>, usize);
type Calls = FxHashMap<NodeId, Call>;

/// What is remembered of callers.
#[derive(Default)]
pub(super) struct Passed {
    /// The names that something but a call mentions, with the files.
    mentioned: OnceLock<ByName<FileId>>,
    /// The names of classes with an `__init__()` of their own.
    constructors: OnceLock<FxHashSet<String>>,
    calls: Answers<Frame, Arc<Calls>>,
}

impl Analyzer<'_> {
    /// Put the instances that every caller passes in the place of arguments that are not known.
    ///
    /// Callers of callers are asked `depth` times over.
    pub(super) fn fill_in(&self, function: FunctionId, arguments: &mut [Type], depth: usize) {
        let program = self.project.program();
        let info = program.function(function);
        let def = program.file(info.file).node(info.node);
        let params = parameters(def);
        let is_open = |index: usize| {
            arguments.get(index) == Some(&Type::Unknown)
                && params.get(index).is_some_and(|p| p.annotation.is_none() && !p.name.starts_with('_'))
                && params.get(index).is_some_and(|p| {
                    matches!(p.kind, ParameterKind::PositionalOrKeyword | ParameterKind::KeywordOnly)
                })
        };
        let followed: Vec<usize> = (0..params.len())
            .filter(|i| is_open(*i))
            .filter(|i| {
                params
                    .get(*i)
                    .is_some_and(|p| follows(def, p.name) || (depth < DEPTH && hands_on(def, p.name)))
            })
            .collect();
        if followed.is_empty() || !self.is_known_by_callers(function) {
            return;
        }
        let Some(found) = self.passed(function, &followed, depth) else { return };
        for (index, given) in followed.into_iter().zip(found) {
            let ty = match given {
                Some(Given::Instance(model)) => Type::Instance(Instance::root(model, Root::Opaque)),
                Some(Given::InstanceOrNone(model)) => {
                    Type::Instance(Instance::root(model, Root::Opaque)).optional()
                }
                _ => continue,
            };
            if let Some(slot) = arguments.get_mut(index) {
                *slot = abstracted(&ty, index);
            }
        }
    }

    /// Whether nobody but the calls that can be seen calls the function.
    pub fn is_known_by_callers(&self, function: FunctionId) -> bool {
        let program = self.project.program();
        let info = program.function(function);
        if self.project.is_known_file(info.file) || !info.decorators.is_empty() || info.name.starts_with("__")
        {
            return false;
        }
        if let Some(class) = info.class {
            let class = program.class(class);
            // Of several methods of one name an object may have any.
            let methods =
                program.functions_named(&info.name).iter().filter(|f| program.function(**f).class.is_some());
            let is_method = methods.count() == 1
                && matches!(
                    class.members.get(&info.name),
                    Some(Member::Function(id, Binding::Method)) if *id == function
                );
            if !is_method
                || class.has_unknown_base
                || !class.external_bases.iter().all(|b| QUIET_BASES.contains(&b.as_str()))
            {
                return false;
            }
        }
        !self.is_mentioned(&info.name)
    }

    /// Whether something but a call mentions a function, or a class that is made with arguments, of that name.
    pub(super) fn is_mentioned(&self, name: &str) -> bool {
        self.passed.mentioned.get_or_init(|| aside(|| self.mentioned())).has(name)
    }

    /// Whether a class of that name is made with arguments.
    fn is_constructed(&self, name: &str) -> bool {
        self.passed.constructors.get_or_init(|| aside(|| constructors(self.project))).contains(name)
    }

    /// For each of these parameters what every caller passes; `None` where a call is not understood or there is none. An
    /// `__init__()` is called by the name of its class.
    pub(super) fn passed(
        &self,
        function: FunctionId,
        indexes: &[usize],
        depth: usize,
    ) -> Option<Vec<Option<Given>>> {
        let program = self.project.program();
        let info = program.function(function);
        let def = program.file(info.file).node(info.node);
        let params = parameters(def);
        let made = info.class.filter(|_| info.name == "__init__");
        let name = made.map_or(&info.name, |class| &program.class(class).name);
        let is_method = info.class.is_some() && made.is_none();
        let sites = self.call_sites().of(name);
        if sites.is_empty() || sites.len() > MAX_CALLERS {
            return None;
        }
        let shift = usize::from(info.class.is_some());
        let mut out: Vec<Option<Given>> = vec![None; indexes.len()];
        let mut seen = false;
        for site in sites.iter().filter(|s| !self.project.is_test_file(s.file)) {
            let call = program.file(site.file).node(site.call);
            let Expr::Call { func, arguments: list } = Expr::of(call) else { continue };
            if !is_method
                && let Some(def) = program.resolve_expr(site.file, func.peel().id())
                && def != made.map_or(Def::Function(function), Def::Class)
            {
                continue;
            }
            let calls = self.calls_of(site.file, site.function, depth);
            let known = calls.get(&site.call)?;
            if is_method {
                match &known.owner {
                    Type::Instance(i) if self.project.method(i.model, &info.name) != Some(function) => {
                        continue;
                    }
                    Type::Object(class)
                        if !matches!(program.member(*class, &info.name),
                            Some((_, Member::Function(f, _))) if *f == function) =>
                    {
                        continue;
                    }
                    // The class itself is called on: the receiver is an argument.
                    Type::ModelClass(_) | Type::Def(_) => return None,
                    Type::Instance(_) | Type::Object(_) | Type::Super(..) | Type::Unknown => {}
                    Type::Manager(_) | Type::QuerySet(_) | Type::Union(_) | Type::External(_) => {}
                    _ => continue,
                }
            }
            let args = arguments(list);
            if args.iter().any(|a| a.stars > 0) {
                return None;
            }
            seen = true;
            for (slot, index) in out.iter_mut().zip(indexes) {
                let parameter = params.get(*index)?;
                let position = args.iter().position(|a| a.name == Some(parameter.name)).or_else(|| {
                    let at = index.checked_sub(shift)?;
                    args.get(at).filter(|a| a.name.is_none()).map(|_| at)
                });
                let given = match position {
                    Some(position) => known.given.get(position).copied().unwrap_or(Given::Other),
                    None if matches!(parameter.default.map(Expr::of), Some(Expr::None)) => Given::None,
                    None => Given::Other,
                };
                *slot = Some(slot.map_or(given, |before| join(before, given)));
            }
        }
        seen.then_some(out)
    }

    /// The calls of one frame, in the light of `depth - 1` further callers.
    fn calls_of(&self, file: FileId, function: Option<FunctionId>, depth: usize) -> Arc<Calls> {
        self.passed.calls.get_or((file, function, depth), || {
            let program = self.project.program();
            let (facts, scope) = match function {
                Some(function) => {
                    let info = program.function(function);
                    (self.called_within(function, depth), program.file(info.file).node(info.node))
                }
                None => (self.module(file), program.file(file).root()),
            };
            Arc::new(self.harvest(&facts, scope))
        })
    }

    fn harvest(&self, facts: &Facts, scope: Node<'_>) -> Calls {
        let program = self.project.program();
        let mut out = Calls::default();
        for call in scope.descendants().filter(|n| n.kind() == Kind::Call) {
            let Expr::Call { func, arguments: list } = Expr::of(call) else { continue };
            let (name, owner) = match Expr::of(func) {
                Expr::Name(name) => (name, Type::Unknown),
                Expr::Attribute { value, attr, .. } => (attr, facts.type_of(value).clone()),
                _ => continue,
            };
            let is_known = !program.functions_named(name).is_empty() || self.is_constructed(name);
            if !is_known || facts.types.get(call.id()).is_none() {
                continue;
            }
            let given = arguments(list)
                .iter()
                .map(|a| match facts.type_of(a.value) {
                    Type::Instance(i) => Given::Instance(i.model),
                    Type::None => Given::None,
                    ty @ Type::Union(_) => match ty.instance() {
                        Some(i) => Given::InstanceOrNone(i.model),
                        None => Given::Other,
                    },
                    _ => Given::Other,
                })
                .collect();
            out.insert(call.id(), Call { owner, given });
        }
        out
    }

    fn mentioned(&self) -> ByName<FileId> {
        let mut out = ByName::default();
        let is_constructed = |name: &str| self.is_constructed(name);
        for file in self.project.program().file_ids() {
            let names = mentioned_in(self.project, &is_constructed, file);
            names.into_iter().for_each(|name| out.push(&name, file));
        }
        out
    }
}

/// The names of functions, and of classes that are made with arguments, that something but a call mentions in a file: an
/// assignment, an argument, a string. What is mentioned in tests does not count.
fn mentioned_in<'p>(
    project: &'p Project,
    is_constructed: &dyn Fn(&str) -> bool,
    file: FileId,
) -> FxHashSet<Cow<'p, str>> {
    let program = project.program();
    let mut out = FxHashSet::default();
    if project.is_known_file(file) || project.is_test_file(file) {
        return out;
    }
    for node in program.file(file).root().descendants() {
        let text = match node.kind() {
            Kind::Name if !is_call_or_definition(node) => Cow::Borrowed(node.text()),
            Kind::Str if is_key_of_result(node) || is_of_relation(node) => continue,
            Kind::Str => match string_value(node) {
                Some(text) => text.rsplit(['.', ':', '/']).next().unwrap_or("").to_owned().into(),
                None => continue,
            },
            _ => continue,
        };
        if !program.functions_named(&text).is_empty() || is_constructed(&text) {
            out.insert(text);
        }
    }
    out
}

/// The names of classes that are made with arguments.
pub(super) fn constructors(project: &Project) -> FxHashSet<String> {
    let program = project.program();
    let own = program.class_ids().filter(|class| program.constructor(*class).is_some());
    own.map(|class| program.class(class).name.clone()).collect()
}

impl Passed {
    /// The names of classes that are made with arguments, where they are known.
    pub(super) fn constructors(&self) -> Option<&FxHashSet<String>> {
        self.constructors.get()
    }

    /// Throw away what callers pass that was found in `changed`.
    pub(super) fn forget(&self, changed: &Things) {
        self.calls.forget(changed);
    }

    /// `file` has changed: also what it mentions, and did. Which functions and classes there are has not.
    pub(super) fn update(&mut self, file: FileId, before: &Project, after: &Project, changed: &mut Things) {
        let (Some(mentioned), Some(constructors)) = (self.mentioned.get_mut(), self.constructors.get())
        else {
            self.mentioned.take();
            return;
        };
        let is_constructed = |name: &str| constructors.contains(name);
        let before = mentioned_in(before, &is_constructed, file);
        let after = mentioned_in(after, &is_constructed, file);
        let before: Vec<_> = before.iter().map(|name| (&**name, file)).collect();
        let after: Vec<_> = after.iter().map(|name| (&**name, file)).collect();
        mentioned.replace(file, before, after, changed);
    }
}

fn join(a: Given, b: Given) -> Given {
    match (a, b) {
        (a, b) if a == b => a,
        (Given::None, Given::Instance(m) | Given::InstanceOrNone(m))
        | (Given::Instance(m) | Given::InstanceOrNone(m), Given::None) => Given::InstanceOrNone(m),
        (Given::Instance(m) | Given::InstanceOrNone(m), Given::Instance(n) | Given::InstanceOrNone(n))
            if m == n =>
        {
            Given::InstanceOrNone(m)
        }
        _ => Given::Other,
    }
}

/// Whether the function follows attributes of attributes of the parameter: `user.groups.all()`.
fn follows(def: Node<'_>, name: &str) -> bool {
    def.descendants().any(|n| {
        n.kind() == Kind::Name
            && n.text() == name
            && n.field() == Field::Object
            && n.parent().is_some_and(|p| p.kind() == Kind::Attribute)
    })
}

/// Whether the function hands the parameter on.
fn hands_on(def: Node<'_>, name: &str) -> bool {
    def.descendants().any(|n| {
        n.kind() == Kind::Name && n.text() == name && n.parent().is_some_and(|p| p.kind() == Kind::Arguments)
    })
}

/// Whether a string names a relation and nothing else: `related_name="books"`, `prefetch_related("books")`.
fn is_of_relation(node: Node<'_>) -> bool {
    const LOADING: &[&str] = &["select_related", "prefetch_related"];
    let Some(parent) = node.parent() else { return false };
    match parent.kind() {
        Kind::KeywordArgument => {
            let name = parent.child(Field::Name).map_or("", Node::text);
            matches!(name, "related_name" | "related_query_name")
        }
        Kind::Arguments => parent.parent().is_some_and(|call| match Expr::of(call) {
            Expr::Call { func, .. } => {
                matches!(Expr::of(func), Expr::Attribute { attr, .. } if LOADING.contains(&attr))
            }
            _ => false,
        }),
        _ => false,
    }
}

/// Whether a string is the key of what the function of that name gives: `{"toc": toc(book)}`, `context["toc"] = toc(book)`.
fn is_key_of_result(node: Node<'_>) -> bool {
    let Some(parent) = node.parent() else { return false };
    let value = match parent.kind() {
        Kind::Pair if node.field() == Field::Key => parent.child(Field::Value),
        Kind::Subscript => parent
            .parent()
            .filter(|p| p.kind() == Kind::Assign && parent.field() == Field::Left)
            .and_then(|p| p.child(Field::Right)),
        _ => None,
    };
    let (Some(value), Some(text)) = (value, string_value(node)) else { return false };
    std::iter::once(value).chain(value.descendants()).any(|n| {
        n.kind() == Kind::Call
            && matches!(Expr::of(n), Expr::Call { func, .. } if match Expr::of(func) {
                Expr::Name(name) => name == text,
                Expr::Attribute { attr, .. } => attr == text,
                _ => false,
            })
    })
}

/// Whether a name stands where it is called, defined or imported, or is a parameter's or keyword's own.
fn is_call_or_definition(node: Node<'_>) -> bool {
    let Some(parent) = node.parent() else { return false };
    match parent.kind() {
        Kind::Call => node.field() == Field::Function,
        Kind::Attribute => {
            node.field() == Field::Attribute
                && parent.field() == Field::Function
                && parent.parent().is_some_and(|p| p.kind() == Kind::Call)
        }
        Kind::FunctionDef | Kind::ClassDef | Kind::KeywordArgument => node.field() == Field::Name,
        Kind::DottedName => {
            parent.parent().is_some_and(|p| matches!(p.kind(), Kind::Import | Kind::ImportFrom))
        }
        Kind::ImportFrom | Kind::Import => true,
        _ => false,
    }
}
