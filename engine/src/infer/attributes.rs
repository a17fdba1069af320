//! What objects have that no class body says: attributes that methods assign to `self`, and the querysets of Django's
//! generic views.

use super::analyzer::Analyzer;
use super::by_name::{ByName, replace_in};
use super::frame::Frame;
use super::memo::Task;
use super::summary::Summary;
use super::types::{Name, QuerySet, QuerySetClass, Trait, Type, ValueId};
use crate::django::{Project, unknown_base};
use crate::python::touched::{Things, aside, touch_name};
use crate::python::{ClassId, Expr, Field, Kind, Member, Node, NodeId, ParameterKind, Program, parameters};
use crate::text::FileId;
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Attributes that generic views assign by themselves.
const OF_VIEWS: &[&str] =
    &["object", "object_list", "queryset", "model", "request", "args", "kwargs", "form"];

/// Bases of views that leave it to the class to give itself an `object`.
const WITHOUT_OBJECT: &[&str] = &[
    "SingleObjectMixin",
    "MultipleObjectMixin",
    "ListView",
    "BaseListView",
    "TemplateView",
    "TemplateResponseMixin",
    "ContextMixin",
    "View",
    "LoginRequiredMixin",
    "PermissionRequiredMixin",
    "UserPassesTestMixin",
];

/// Whether nothing but the class itself assigns `self.object`.
fn leaves_object(bases: &[String]) -> bool {
    bases.iter().all(|base| {
        base.starts_with("builtins.") || WITHOUT_OBJECT.contains(&base.rsplit('.').next().unwrap_or(""))
    })
}

/// The expressions that are assigned to an attribute.
pub(super) type Assigned = Option<Arc<[(FileId, NodeId)]>>;

impl<'a> Frame<'a, '_> {
    /// The queryset, manager or object that the methods of a class assign to `self.name`, wherever that is assigned.
    pub(super) fn assigned_attribute(&mut self, class: ClassId, name: &str, node: Node<'a>) -> Option<Type> {
        let assigned = self.az.assigned(class, name)?;
        let mut ty = Type::Never;
        for (file, value) in assigned.iter() {
            let summary = self.az.outside(*file, *value, self.stack);
            if !summary.returns.as_ref().is_some_and(is_followed) {
                return None;
            }
            ty = ty.join(self.imported(&summary, *file, *value, node));
        }
        is_followed(&ty).then_some(ty)
    }

    /// What `self.name` may hold, where the class body says `ty` and methods assign to it: for a queryset, as long as
    /// each of them only narrows what is there (`self.queryset = self.queryset.filter(...)`). Which rows are left is not
    /// known then; what they are, and what is loaded with them, is.
    pub(super) fn narrowed_on_self(&mut self, class: ClassId, name: &str, ty: Type) -> Type {
        if !self.is_assigned_on_self(class, name) {
            return ty;
        }
        let given = match &ty {
            Type::QuerySet(given) => given,
            Type::Manager(manager) => {
                let rows = QuerySet::new(manager.model, QuerySetClass::Unknown, ValueId(0));
                return self.with_assigned(class, name, &Arc::new(rows)).map_or(Type::Unknown, |_| ty);
            }
            _ => return Type::Unknown,
        };
        let Some(out) = self.with_assigned(class, name, given).map(Arc::new) else { return Type::Unknown };
        for value in &out.values {
            self.set_queryset(*value, &out);
        }
        Type::QuerySet(out)
    }

    /// The queryset `given` with what the methods of `class` do to it before they assign it to `self.name` again.
    fn with_assigned(&mut self, class: ClassId, name: &str, given: &Arc<QuerySet>) -> Option<QuerySet> {
        let task = Task::Assigned(class, Name::from(name));
        let az = self.az;
        let found = az.memo.evaluate(task, self.stack, |_, stack| {
            let mut out = Some((**given).clone());
            let program = az.project.program();
            for above in &program.class(class).mro {
                let info = program.class(*above);
                let body = program.file(info.file).node(info.node);
                let targets = body.descendants().filter(|n| {
                    n.kind() == Kind::Attribute
                        && n.is_binding()
                        && matches!(Expr::of(*n), Expr::Attribute { attr, .. } if attr == name)
                });
                for target in targets {
                    out = out.take().and_then(|out| {
                        let def = target.enclosing_function()?;
                        let mut frame = Frame::new(az, stack, info.file, def, Some(*above));
                        let made = frame.assigned_from(class, name, body.at(on_self(target)?), given)?;
                        narrowed(out, given, &made)
                    });
                }
            }
            Summary { returns: out.map(|qs| Type::QuerySet(Arc::new(qs))), ..Summary::default() }
        });
        // What is being asked is whether it stays what it is: as long as nothing else turns up, it does.
        let Ok(summary) = found else { return Some((**given).clone()) };
        let Some(Type::QuerySet(made)) = &summary.returns else { return None };
        narrowed((**given).clone(), given, made)
    }

    /// The value of an assignment to `self.name` in an object of `class`, as long as `self.name` is `given` before: a
    /// queryset that is made from that one.
    fn assigned_from(
        &mut self,
        class: ClassId,
        name: &str,
        value: Node<'a>,
        given: &QuerySet,
    ) -> Option<Arc<QuerySet>> {
        self.collect_locals(self.scope);
        let first = parameters(self.scope).first().map(|p| p.name)?;
        self.bind(first, Type::Object(class));
        let own = self.made_queryset(given.clone(), self.scope);
        let before = *own.queryset()?.values.first()?;
        self.env.as_mut()?.insert(&format!("{first}.{name}"), own);
        self.has_overrides = true;
        match self.expr(value) {
            Type::QuerySet(made) if made.values.iter().all(|v| self.comes_from(*v, before, 0)) => Some(made),
            _ => None,
        }
    }

    /// Whether a queryset is made from another one.
    fn comes_from(&self, value: ValueId, before: ValueId, depth: usize) -> bool {
        if value == before {
            return true;
        }
        let Some(info) = self.facts.value(value).filter(|_| depth < 20) else { return false };
        let mut up = info.parent.iter().chain(&info.alternatives).peekable();
        up.peek().is_some() && up.all(|v| self.comes_from(*v, before, depth + 1))
    }

    /// What Django's own `get_queryset()` gives in a view of the program: `queryset`, or all of `model`.
    pub(super) fn view_queryset(&mut self, class: ClassId, node: Node<'a>) -> Option<Type> {
        let program = self.az.project.program();
        let info = program.class(class);
        let is_view = |base: &String| {
            ["django.views.generic", "rest_framework.generics", "rest_framework.viewsets"]
                .iter()
                .any(|module| base.starts_with(module))
        };
        if unknown_base(program, class).is_some() || !info.external_bases.iter().any(is_view) {
            return None;
        }
        let names = ["queryset", "model", "get_queryset", "ordering", "get_ordering"];
        let below = program.descendants(class).into_iter().filter(|c| *c != class);
        if below.into_iter().any(|c| names.iter().any(|n| program.class(c).members.contains_key(*n)))
            || self.is_assigned_on_self(class, "model")
            || names.iter().skip(3).any(|n| program.member(class, n).is_some())
        {
            return None;
        }
        // `Books.as_view(queryset=...)` and `Books(model=...)` set attributes of the view.
        let mut views: Vec<&str> =
            program.descendants(class).iter().map(|c| program.class(*c).name.as_str()).collect();
        views.push(&info.name);
        let is_of_view = |func: Node<'_>| views.iter().any(|v| func.text().split('.').any(|part| part == *v));
        let calls = self.az.call_sites();
        let sets = views.iter().chain(&["as_view"]).flat_map(|name| calls.of(name)).any(|site| {
            let call = program.file(site.file).node(site.call);
            let Expr::Call { func, arguments } = Expr::of(call) else { return false };
            is_of_view(func)
                && crate::python::arguments(arguments)
                    .iter()
                    .any(|a| a.stars > 0 || matches!(a.name, Some("queryset" | "model" | "ordering")))
        });
        if sets {
            return None;
        }
        let Expr::Call { func, .. } = Expr::of(node) else { return None };
        let source = |frame: &mut Self, name: &str| match program.member(class, name) {
            Some((owner, Member::Value(value))) => {
                match program.file(program.class(owner).file).node(*value).kind() {
                    Kind::None => None,
                    _ => Some(frame.own_attribute(name).unwrap_or_else(|| {
                        let ty = frame.class_value(owner, *value, node);
                        frame.narrowed_on_self(class, name, ty)
                    })),
                }
            }
            _ => None,
        };
        match source(self, "queryset") {
            Some(Type::QuerySet(qs)) => Some(self.queryset_method(&qs, "all", &[], node)),
            Some(Type::Manager(manager)) => Some(self.manager_method(&manager, "all", &[], node, func)),
            Some(_) => None,
            None => match source(self, "model") {
                Some(Type::ModelClass(model)) => {
                    match self.attribute(&Type::ModelClass(model), "_default_manager", node) {
                        Type::Manager(manager) => Some(self.manager_method(&manager, "all", &[], node, func)),
                        _ => None,
                    }
                }
                _ => None,
            },
        }
    }

    /// What the method has assigned to `self.name` by now.
    fn own_attribute(&self, name: &str) -> Option<Type> {
        let first = parameters(self.scope).first().map(|p| p.name)?;
        self.env.as_ref()?.get(&format!("{first}.{name}")).cloned()
    }

    /// The value of an assignment to an attribute of `self` stands in a method: its names are the method's.
    pub(super) fn enter_assignment(&mut self, value: Node<'a>) {
        let def = self.scope;
        self.collect_locals(def);
        let Some(function) = self.az.project.program().function_at(self.file, def.id()) else { return };
        let Some(first) = parameters(def).first().map(|p| p.name) else { return };
        if let Some(receiver) = self.az.receiver(function) {
            self.bind(first, super::summary::opaque(&receiver));
        }
        // What the method's own parameters are said to be.
        for parameter in parameters(def).iter().skip(1) {
            let is_one = !matches!(parameter.kind, ParameterKind::VarPositional | ParameterKind::VarKeyword);
            if let Some(annotation) = parameter.annotation.filter(|_| is_one)
                && !is_bound_again(def, parameter.name)
            {
                let mut ty = super::summary::opaque(&self.annotation(annotation));
                // `limit: int = None`
                if is_plain_value(&ty)
                    && let Some(default) = parameter.default
                {
                    ty = ty.join(self.expr(default));
                }
                self.bind(parameter.name, ty);
            }
        }
        // `self.books = self.books.filter(...)`: of what the other assignments gave.
        let own = value.parent().and_then(|p| p.child(Field::Left)).map(|target| Expr::of(target.peel()));
        if let (Some(Expr::Attribute { attr, .. }), Some(class)) = (own, self.class)
            && reads_own(value, attr)
            && let Some(assigned) = self.az.assigned(class, attr)
        {
            let mut ty = Type::Never;
            for (file, other) in assigned.iter() {
                if reads_own(self.az.project.program().file(*file).node(*other), attr) {
                    continue;
                }
                let summary = self.az.outside(*file, *other, self.stack);
                ty = ty.join(self.imported(&summary, *file, *other, value));
            }
            if let Some(env) = &mut self.env {
                env.insert(&format!("{first}.{attr}"), ty);
                self.has_overrides = true;
            }
        }
    }
}

/// Whether the function gives its parameter another value.
pub(super) fn is_bound_again(def: Node<'_>, name: &str) -> bool {
    def.child(Field::Body).is_some_and(|body| body.mentions(name).any(Node::is_binding))
}

/// Whether an attribute that holds such a value is followed.
fn is_followed(ty: &Type) -> bool {
    matches!(ty, Type::QuerySet(_) | Type::Manager(_) | Type::Object(_) | Type::Instance(_))
        || is_plain_value(ty)
}

fn is_plain_value(ty: &Type) -> bool {
    matches!(ty, Type::Str | Type::Int | Type::Float | Type::Bool)
}

fn reads_own(value: Node<'_>, attr: &str) -> bool {
    value.descendants().any(|n| matches!(Expr::of(n), Expr::Attribute { attr: name, .. } if name == attr))
}

/// `out` with what makes `made` another queryset than `given`; nothing where its rows are others, or other relations are
/// loaded with them.
fn narrowed(mut out: QuerySet, given: &QuerySet, made: &QuerySet) -> Option<QuerySet> {
    let is_same = made.model == given.model
        && made.rows == given.rows
        && made.selected == given.selected
        && made.prefetched == given.prefetched
        && made.deferred == given.deferred
        && made.traits.difference(&given.traits).all(|t| t.is_narrowing() || *t == Trait::Empty);
    out.traits.extend(made.traits.iter().copied());
    out.annotations.extend(made.annotations.iter().cloned());
    out.joined.extend(made.joined.iter().copied());
    is_same.then_some(out)
}

/// Where the program assigns to attributes, the modules that ormend brings along left out.
#[derive(Debug, Default)]
pub(super) struct Stores {
    /// Names that some method assigns as `self.name = value`.
    on_self: ByName<FileId>,
    /// Every other assignment, by the attribute's name.
    elsewhere: ByName<(FileId, NodeId)>,
    /// The arguments of each `setattr()`.
    by_name: Vec<(FileId, NodeId)>,
}

/// The name under which it is asked for every `setattr()`.
const SETATTR: &str = "setattr()";

/// What one file assigns.
#[derive(Default)]
struct Assigning<'a> {
    on_self: FxHashSet<&'a str>,
    elsewhere: Vec<(&'a str, (FileId, NodeId))>,
    by_name: Vec<(FileId, NodeId)>,
}

fn stores(project: &Project) -> Stores {
    let program = project.program();
    let mut out = Stores::default();
    for file in program.file_ids().filter(|f| !project.is_known_file(*f)) {
        let Assigning { on_self, elsewhere, by_name } = assigning(program, file);
        on_self.into_iter().for_each(|name| out.on_self.push(name, file));
        elsewhere.into_iter().for_each(|(name, place)| out.elsewhere.push(name, place));
        out.by_name.extend(by_name);
    }
    out
}

fn assigning(program: &Program, file: FileId) -> Assigning<'_> {
    let mut out = Assigning::default();
    for node in program.file(file).root().descendants() {
        match node.kind() {
            Kind::Attribute if node.is_binding() => {
                let Expr::Attribute { attr, .. } = Expr::of(node) else { continue };
                if on_self(node).is_some() {
                    out.on_self.insert(attr);
                } else {
                    out.elsewhere.push((attr, (file, node.id())));
                }
            }
            Kind::Call => {
                let Expr::Call { func, arguments } = Expr::of(node) else { continue };
                if func.text().ends_with("setattr") {
                    out.by_name.push((file, arguments.id()));
                }
            }
            _ => {}
        }
    }
    out
}

impl Stores {
    /// `file` has changed: also what is asked for by which name.
    pub(super) fn update(&mut self, file: FileId, before: &Project, after: &Project, changed: &mut Things) {
        let text = |project: &Project, places: &[(FileId, NodeId)]| {
            let file = project.program().file(file);
            places.iter().map(|(_, list)| file.node(*list).text().to_owned()).collect::<Vec<_>>()
        };
        let (old, new) = (assigning(before.program(), file), assigning(after.program(), file));
        if text(before, &old.by_name) != text(after, &new.by_name) {
            changed.add_name(SETATTR);
        }
        let with_file = |names: FxHashSet<_>| names.into_iter().map(|name| (name, file)).collect();
        self.on_self.replace(file, with_file(old.on_self), with_file(new.on_self), changed);
        self.elsewhere.replace(file, old.elsewhere, new.elsewhere, changed);
        replace_in(&mut self.by_name, file, new.by_name);
    }
}

impl Analyzer<'_> {
    fn stores(&self) -> &Stores {
        self.stores.get_or_init(|| aside(|| stores(self.project)))
    }

    /// Where the program assigns to attributes of something else than its own `self`, by the attribute's name.
    pub(super) fn assigned_from_outside(&self) -> impl Iterator<Item = (&str, &[(FileId, NodeId)])> {
        self.stores().elsewhere.iter()
    }

    /// Where the program assigns to the attribute of something else than its own `self`.
    pub(super) fn places_assigning(&self, name: &str) -> &[(FileId, NodeId)] {
        self.stores().elsewhere.of(name)
    }

    /// Whether a `setattr()` of the program names the attribute.
    pub fn is_set_by_name(&self, name: &str) -> bool {
        let program = self.project.program();
        let names =
            |(file, arguments): &(FileId, NodeId)| program.file(*file).node(*arguments).text().contains(name);
        self.once_for("set by name", Name::from(name), || self.set_by_name().iter().any(names))
    }

    /// The arguments of every `setattr()`.
    fn set_by_name(&self) -> &[(FileId, NodeId)] {
        touch_name(SETATTR);
        &self.stores().by_name
    }

    /// Whether a `setattr()` of the program names the attribute for a request.
    pub(super) fn is_set_on_request(&self, name: &str) -> bool {
        let program = self.project.program();
        self.set_by_name().iter().any(|(file, list)| {
            let list = crate::python::arguments(program.file(*file).node(*list));
            list.first().is_some_and(|object| object.value.text().ends_with("request"))
                && list.iter().skip(1).any(|argument| argument.value.text().contains(name))
        })
    }

    /// Whether some code of the program assigns to the attribute of something else than its own `self`.
    pub fn is_assigned_from_outside(&self, name: &str) -> bool {
        self.stores().elsewhere.has(name)
    }

    /// Every value of `self.name` in the methods of `class` and of the classes above and below; nothing where somebody
    /// else may assign it, or where it is assigned in another way.
    pub(super) fn assigned(&self, class: ClassId, name: &str) -> Assigned {
        let find = || self.find_assigned(class, name).map(Arc::from);
        self.attributes.get_or((class, Name::from(name)), find)
    }

    /// The expressions that the methods of `class` assign to `self.name`: all that the attribute is ever given, or none
    /// where that is not known.
    pub fn assigned_to(&self, class: ClassId, name: &str) -> Vec<(FileId, NodeId)> {
        self.assigned(class, name).map(|found| found.to_vec()).unwrap_or_default()
    }

    /// What the methods of `class` and of those above assign to `self.name`, as long as each of them does it by `=`.
    pub(super) fn assigned_plainly(&self, class: ClassId, name: &str) -> Option<Vec<(FileId, NodeId)>> {
        let program = self.project.program();
        let mut out = Vec::new();
        for class in &program.class(class).mro {
            let info = program.class(*class);
            for node in program.file(info.file).node(info.node).descendants() {
                if node.kind() == Kind::Attribute
                    && node.is_binding()
                    && matches!(Expr::of(node), Expr::Attribute { attr, .. } if attr == name)
                {
                    out.push((info.file, on_self(node)?));
                }
            }
        }
        Some(out)
    }

    fn find_assigned(&self, class: ClassId, name: &str) -> Option<Vec<(FileId, NodeId)>> {
        let program = self.project.program();
        let info = program.class(class);
        let is_plain =
            |base: &String| ["django.", "builtins.", "abc.", "typing."].iter().any(|p| base.starts_with(p));
        let is_of_view =
            OF_VIEWS.contains(&name) && !(name == "object" && leaves_object(&info.external_bases));
        if info.has_unknown_base || !info.external_bases.iter().all(is_plain) || is_of_view {
            return None;
        }
        if !self.stores().on_self.has(name) {
            return None;
        }
        let mut classes = info.mro.clone();
        classes.extend(program.descendants(class));
        classes.sort();
        classes.dedup();
        let mut out = Vec::new();
        for class in &classes {
            let info = program.class(*class);
            let body = program.file(info.file).node(info.node);
            for node in body.descendants() {
                match node.kind() {
                    Kind::Attribute => match Expr::of(node) {
                        Expr::Attribute { attr: "__dict__", .. } => return None,
                        Expr::Attribute { attr, .. } if attr == name && node.is_binding() => {
                            out.push((info.file, on_self(node)?));
                        }
                        _ => {}
                    },
                    Kind::Name if matches!(node.text(), "setattr" | "vars") => return None,
                    Kind::FunctionDef => {
                        let defined = node.child(Field::Name).map_or("", Node::text);
                        if matches!(defined, "__setattr__" | "__getattribute__") {
                            return None;
                        }
                    }
                    _ => {}
                }
            }
        }
        // A nested class is seen once for itself and once inside the other.
        out.sort();
        out.dedup();
        if out.is_empty() {
            return None;
        }
        // What others assign to an attribute of that name may be this one.
        let ours: Vec<(FileId, Node<'_>)> = classes
            .iter()
            .map(|c| {
                (program.class(*c).file, program.file(program.class(*c).file).node(program.class(*c).node))
            })
            .collect();
        let stores = self.stores();
        let by_others = stores
            .elsewhere
            .of(name)
            .iter()
            .any(|(file, node)| !ours.iter().any(|(f, class)| f == file && class.contains(*node)));
        (!by_others && !self.is_set_by_name(name)).then_some(out)
    }
}

/// The value of `self.x = value`, in a method.
fn on_self(target: Node<'_>) -> Option<NodeId> {
    let assignment = target.parent().filter(|p| p.kind() == Kind::Assign)?;
    let value = assignment.child(Field::Right).filter(|v| v.kind() != Kind::Assign)?;
    if target.field() != Field::Left || assignment.parent().is_some_and(|p| p.kind() == Kind::Assign) {
        return None;
    }
    let Expr::Attribute { value: owner, .. } = Expr::of(target) else { return None };
    let def = target.enclosing_function()?;
    let is_method = def.ancestors().find(|a| matches!(a.kind(), Kind::ClassDef | Kind::FunctionDef))?.kind();
    let first = parameters(def).first().map(|p| p.name)?;
    let is_self = is_method == Kind::ClassDef && matches!(Expr::of(owner), Expr::Name(name) if name == first);
    is_self.then(|| value.peel().id())
}
