//! What Django and Django REST framework promise to the code that they call: which model's instance a receiver, a
//! serializer, a form or a view of one object gets.

use super::calls::{Arg, argument};
use super::facts::Made;
use super::frame::Frame;
use super::types::{Instance, Root, Type};
use crate::django::admin::is_model_admin;
use crate::django::{ModelId, Project, Signal};
use crate::python::{
    ClassId, Def, Expr, Field, FunctionId, Kind, Member, Node, Stmt, arguments, is_super, parameters,
    string_value,
};
use crate::text::Site;

/// Functions of Django's that find a model by the names of its app and class.
pub(super) const GET_MODEL: &[&str] = &[
    "django.apps.apps.get_model",
    "django.apps.registry.apps.get_model",
    "django.db.models.get_model",
    "django.db.models.loading.get_model",
];

const MODEL_SERIALIZERS: &[&str] =
    &["rest_framework.serializers.ModelSerializer", "rest_framework.serializers.HyperlinkedModelSerializer"];

/// Classes of `drf_writable_nested`: serializers of models that write nested rows, and leave alone how instances are
/// shown.
const NESTED_WRITERS: &[&str] = &[
    "BaseNestedModelSerializer",
    "NestedCreateMixin",
    "NestedUpdateMixin",
    "UniqueFieldsMixin",
    "WritableNestedModelSerializer",
];

/// Names under which Django's forms of models are imported.
pub(super) const MODEL_FORMS: &[&str] =
    &["django.forms.ModelForm", "django.forms.models.ModelForm", "django.forms.models.BaseModelForm"];

/// Views of Django's that set `self.object` before any of their methods for a request runs.
const OBJECT_VIEWS: &[&str] = &["DetailView", "UpdateView", "DeleteView"];
/// The own `get_queryset()` of a view gives something of which nothing is known.
struct NotKnown;

/// What gives a view `get_object()`.
const OBJECT_MIXIN: &str = "SingleObjectMixin";

/// The model of whose instances the framework gives one to the parameter at `index`.
pub(super) fn parameter(
    project: &Project,
    function: FunctionId,
    index: usize,
    name: &str,
) -> Option<ModelId> {
    let info = project.program().function(function);
    match info.class {
        None if name == "instance" => sent_instance(project, function),
        Some(class) if index == 1 => {
            let is_given = match info.name.as_str() {
                "update" | "to_representation" => true,
                method => method.strip_prefix("get_").is_some_and(|f| is_method_field(project, class, f)),
            };
            (is_given && is_model_serializer(project, class)).then(|| meta_model(project, class))?
        }
        _ => None,
    }
}

fn is_model_serializer(project: &Project, class: ClassId) -> bool {
    inherits(project, class, MODEL_SERIALIZERS)
        || project.program().class(class).external_bases.iter().any(|base| is_nested_writer(base))
}

/// Whether the class at `path` is a model serializer that also writes nested rows.
pub(super) fn is_nested_writer(path: &str) -> bool {
    path.strip_prefix("drf_writable_nested.")
        .and_then(|rest| rest.rsplit('.').next())
        .is_some_and(|name| NESTED_WRITERS.contains(&name))
}

/// The model whose instances a receiver hears of, where it is connected to one sender alone. The sender is the exact
/// class of the instance.
fn sent_instance(project: &Project, function: FunctionId) -> Option<ModelId> {
    let mut found = None;
    for receiver in project.all_receivers().iter().filter(|r| r.function == Some(function)) {
        let has_instance = matches!(
            receiver.signal,
            Signal::PostInit | Signal::PreSave | Signal::PostSave | Signal::PreDelete | Signal::PostDelete
        );
        let sender = receiver.sender.filter(|_| has_instance)?;
        if found.is_some_and(|other| other != sender) {
            return None;
        }
        found = Some(sender);
    }
    found.filter(|model| !project.model(*model).is_abstract)
}

/// `field = SerializerMethodField()` in the class or above.
fn is_method_field(project: &Project, class: ClassId, field: &str) -> bool {
    let program = project.program();
    let Some((owner, Member::Value(value))) = program.member(class, field) else { return false };
    let file = program.class(owner).file;
    let Expr::Call { func, .. } = Expr::of(program.file(file).node(*value)) else { return false };
    matches!(program.resolve_expr(file, func.peel().id()), Some(Def::External(path))
        if path.starts_with("rest_framework.") && path.ends_with(".SerializerMethodField"))
}

/// Whether a class has one of these bases.
pub(super) fn inherits(project: &Project, class: ClassId, names: &[&str]) -> bool {
    names.iter().any(|name| project.program().inherits(class, name))
}

/// `Meta.model`
pub(super) fn meta_model(project: &Project, class: ClassId) -> Option<ModelId> {
    let program = project.program();
    let (_, Member::Class(meta)) = program.member(class, "Meta")? else { return None };
    model_member(project, *meta)
}

/// The concrete model that the member `model` of a class names.
fn model_member(project: &Project, class: ClassId) -> Option<ModelId> {
    let (model, ..) = project.model_member(class, "model")?;
    (!project.model(model).is_abstract).then_some(model)
}

/// Whether every base outside the program is the framework's own, so that nothing else stands between.
pub(super) fn has_framework_bases(project: &Project, class: ClassId) -> bool {
    let info = project.program().class(class);
    !info.has_unknown_base
        && info.external_bases.iter().all(|base| {
            ["django.", "rest_framework.", "builtins."].iter().any(|known| base.starts_with(known))
        })
}

/// Whether a class is a view that shows rows: of one object or of several.
fn is_row_view(project: &Project, class: ClassId) -> bool {
    project.program().class(class).external_bases.iter().any(|base| {
        let name = base.rsplit('.').next().unwrap_or("");
        base.starts_with("django.views.generic") && (OBJECT_VIEWS.contains(&name) || name == "ListView")
    }) || is_object_view(project, class)
}

/// Whether a class is a view of one object, of Django's or of REST framework's.
fn is_object_view(project: &Project, class: ClassId) -> bool {
    project.program().class(class).external_bases.iter().any(|base| {
        let name = base.rsplit('.').next().unwrap_or("");
        (base.starts_with("django.views.generic") && (OBJECT_VIEWS.contains(&name) || name == OBJECT_MIXIN))
            || (base.starts_with("rest_framework.generics") && name.ends_with("View"))
            || (base.starts_with("rest_framework.viewsets") && name.ends_with("ViewSet"))
    })
}

/// The model that a function of the program finds by two of its parameters, handed on to Django's `get_model()`: the
/// positions of the parameters.
pub(super) fn finds_model(project: &Project, function: FunctionId) -> Option<(usize, usize)> {
    let program = project.program();
    let info = program.function(function);
    if info.class.is_some() {
        return None;
    }
    let def = program.file(info.file).node(info.node);
    let params = parameters(def);
    let mut found = None;
    for statement in def.descendants().filter(|n| n.kind() == Kind::Return) {
        let Stmt::Return(Some(value)) = Stmt::of(statement) else { return None };
        let Expr::Call { func, arguments } = Expr::of(value) else { return None };
        let Some(Def::External(path)) = program.resolve_expr(info.file, func.peel().id()) else {
            return None;
        };
        let is_registered = path.ends_with("apps.get_registered_model");
        if !is_registered && !GET_MODEL.contains(&path.as_str()) {
            return None;
        }
        let position = |node: Node<'_>| match Expr::of(node) {
            Expr::Name(name) => params.iter().position(|p| p.name == name),
            _ => None,
        };
        let args = crate::python::arguments(arguments);
        let [app, name, ..] = args.as_slice() else { return None };
        let pair = (position(app.value)?, position(name.value)?);
        if found.is_some_and(|other| other != pair) {
            return None;
        }
        found = Some(pair);
    }
    // A parameter that is bound anew is another value.
    let (app, name) = found?;
    let is_rebound = |index: usize| {
        params.get(index).is_none_or(|p| {
            def.descendants()
                .any(|n| n.kind() == Kind::Name && n.text() == p.name && n.field() == Field::Left)
        })
    };
    (!is_rebound(app) && !is_rebound(name)).then_some((app, name))
}

impl<'a> Frame<'a, '_> {
    /// The model that `function`, called with these arguments, finds by its name.
    pub(super) fn found_model(&self, function: FunctionId, args: &[Arg<'a>]) -> Option<ModelId> {
        let literal = |index: usize| args.get(index).filter(|a| a.name.is_none() && a.stars == 0);
        if args.len() < 2 || literal(0).and_then(|a| string_value(a.node)).is_none() {
            return None;
        }
        let (app, name) = finds_model(self.az.project, function)?;
        let (app, name) = (string_value(literal(app)?.node)?, string_value(literal(name)?.node)?);
        self.az.project.model_by_label(&format!("{app}.{name}"))
    }

    /// An attribute that a class has from a base of the framework.
    pub(super) fn framework_attribute(&mut self, class: ClassId, name: &str, node: Node<'a>) -> Option<Type> {
        let project = self.az.project;
        let model = match name {
            // What the admin puts there is the class.
            "model" => {
                let is_of_admin =
                    is_model_admin(project.program(), class) || project.admin().is_registered(class);
                return project.admin().model(class).filter(|_| is_of_admin).map(Type::ModelClass);
            }
            "instance" if inherits(project, class, MODEL_FORMS) => meta_model(project, class)?,
            "object" => {
                let bases = &project.program().class(class).external_bases;
                let has_object = bases.iter().any(|base| {
                    base.starts_with("django.views.generic")
                        && OBJECT_VIEWS.contains(&base.rsplit('.').next().unwrap_or(""))
                });
                if !has_object {
                    return None;
                }
                self.object_model(class, node).filter(|model| self.keeps_object(class, *model))?
            }
            _ => return None,
        };
        Some(Type::Instance(Instance::root(model, Root::Opaque)))
    }

    /// Whether the methods of a view give `self.object` nothing but an object of its model: what `get_object()` gives,
    /// or what the form of that model saves.
    fn keeps_object(&self, class: ClassId, model: ModelId) -> bool {
        let project = self.az.project;
        let program = project.program();
        let has_own_form = || match program.member(class, "form_class") {
            Some((owner, Member::Value(value))) => {
                match program.resolve_expr(program.class(owner).file, *value) {
                    Some(Def::Class(form)) => {
                        inherits(project, form, MODEL_FORMS) && meta_model(project, form) == Some(model)
                    }
                    _ => false,
                }
            }
            Some(_) => false,
            None => true,
        };
        self.assigned_on_self(class, "object").all(|value| {
            let Some(value) = value else { return false };
            let Expr::Call { func, .. } = Expr::of(value) else { return false };
            let Expr::Attribute { value: owner, attr, .. } = Expr::of(func) else { return false };
            let def = value.enclosing_function();
            let is_parameter = |name: &str, index: usize| {
                def.is_some_and(|def| parameters(def).get(index).is_some_and(|p| p.name == name))
            };
            match (attr, Expr::of(owner)) {
                ("get_object", Expr::Name(name)) => is_parameter(name, 0),
                ("get_object", _) => is_super(owner),
                ("save", Expr::Name(name)) => {
                    let is_form_valid = def
                        .and_then(|def| def.child(Field::Name))
                        .is_some_and(|name| name.text() == "form_valid");
                    is_form_valid
                        && is_parameter(name, 1)
                        && ["get_form", "get_form_class"].iter().all(|n| program.member(class, n).is_none())
                        && has_own_form()
                }
                _ => false,
            }
        })
    }

    /// What a method gives that a class has from a base of the framework.
    pub(super) fn framework_method(
        &mut self,
        class: ClassId,
        name: &str,
        args: &[Arg<'a>],
        node: Node<'a>,
    ) -> Option<Type> {
        let project = self.az.project;
        if name == "get_queryset"
            && let Some(rows) = self.admin_queryset(class, node)
        {
            return Some(rows);
        }
        // What packages put between a view and its rows narrows them: they are of the view's model all the same.
        let is_view = name == "get_object" && !project.program().class(class).has_unknown_base;
        if !is_view && !has_framework_bases(project, class) {
            return None;
        }
        let model = match name {
            "save" if inherits(project, class, MODEL_FORMS) => meta_model(project, class)?,
            "get_object" if is_object_view(project, class) => {
                match argument(args, 0, "queryset").map(|a| &a.ty) {
                    Some(Type::QuerySet(qs)) => qs.model,
                    Some(Type::Manager(manager)) => manager.model,
                    _ => self.object_model(class, node)?,
                }
            }
            "get_queryset" if is_row_view(project, class) => return self.view_queryset(class, node),
            _ => return None,
        };
        let made = if name == "save" && commits(node) == Some(true) { Made::Created } else { Made::Unknown };
        let value = self.value_at(node, made, None);
        Some(Type::Instance(Instance::root(model, Root::Value(value))))
    }

    /// What a list view puts into its context as `object_list`: rows that the view has chosen, or a page of them.
    pub(super) fn rows_of_list_view(&mut self, class: ClassId, node: Node<'a>) -> Option<Type> {
        let project = self.az.project;
        let info = project.program().class(class);
        let is_list = |base: &String| {
            base.starts_with("django.views.generic")
                && (base.contains("ListView") || base.ends_with("MultipleObjectMixin"))
        };
        if !info.external_bases.iter().any(is_list) {
            return None;
        }
        let site = Site { file: info.file, span: project.program().file(info.file).node(info.node).span() };
        let mut found = None;
        for (file, value) in self.az.assigned_plainly(class, "object_list")? {
            let summary = self.az.outside(file, value, self.stack);
            let model = summary.returns.as_ref()?.queryset()?.model;
            if *found.get_or_insert(model) != model {
                return None;
            }
        }
        let model = match found {
            Some(model) => model,
            None => self.view_model(class, node)?,
        };
        Some(self.handed_in(model, site))
    }

    /// The model of the rows that a view of one object chooses from.
    pub(super) fn view_model(&mut self, class: ClassId, node: Node<'a>) -> Option<ModelId> {
        self.chosen_model(class, node).ok().flatten()
    }

    /// The model of the object that a view of one chooses: where the own `get_queryset()` hands the choice to somebody who
    /// is not known, the one that the class names.
    fn object_model(&mut self, class: ClassId, node: Node<'a>) -> Option<ModelId> {
        match self.chosen_model(class, node) {
            Ok(model) => model,
            Err(NotKnown) => self.declared_model(class),
        }
    }

    fn chosen_model(&mut self, class: ClassId, node: Node<'a>) -> Result<Option<ModelId>, NotKnown> {
        if self.az.project.program().member(class, "get_queryset").is_none() {
            return Ok(self.declared_model(class));
        }
        match self.method_of_class(class, "get_queryset", &Type::Object(class), &[], node) {
            Type::QuerySet(qs) => Ok(Some(qs.model)),
            Type::Manager(manager) => Ok(Some(manager.model)),
            Type::Unknown => Err(NotKnown),
            _ => Ok(None),
        }
    }

    /// The model of `queryset`, or `model` itself, as the body of a view's class says.
    fn declared_model(&mut self, class: ClassId) -> Option<ModelId> {
        let program = self.az.project.program();
        if let Some((owner, Member::Value(value))) = program.member(class, "queryset")
            && program.file(program.class(owner).file).node(*value).kind() != Kind::None
        {
            let file = program.class(owner).file;
            let summary = self.az.outside(file, *value, self.stack);
            return match summary.returns.as_ref()? {
                Type::QuerySet(qs) => Some(qs.model),
                Type::Manager(manager) => Some(manager.model),
                _ => None,
            };
        }
        model_member(self.az.project, class)
    }
}

/// Whether a call of a model form's `save()` saves its instance: `commit` is not given, or is spelled out.
pub(super) fn commits(call: Node<'_>) -> Option<bool> {
    let Expr::Call { arguments: list, .. } = Expr::of(call) else { return None };
    match arguments(list).as_slice() {
        [] => Some(true),
        [only] if only.stars == 0 && only.name.is_none_or(|n| n == "commit") => match Expr::of(only.value) {
            Expr::True => Some(true),
            Expr::False => Some(false),
            _ => None,
        },
        _ => None,
    }
}
