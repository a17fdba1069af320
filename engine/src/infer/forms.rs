//! What forms of models save: the row that the form is for and its links, with everything that the model's own `save()`
//! and receivers do (django/forms/models.py, `BaseModelForm.save`); and what a view does with a form that is valid.

use super::analyzer::Analyzer;
use super::facts::{EventKind, Write};
use super::frame::Frame;
use super::framework::{MODEL_FORMS, commits, has_framework_bases, inherits, meta_model};
use super::types::{Instance, Root, Type};
use crate::django::lists::listed;
use crate::django::{ModelId, Project, RelationKind};
use crate::python::{ClassId, Def, Expr, FunctionId, Member, Node, is_super, string_value};

/// Overrides below a form that are followed.
const MAX_OVERRIDES: usize = 8;

/// Packages whose bases of a model save nothing but its row.
const PLAIN_BASES: &[&str] = &["django.", "builtins.", "abc.", "typing."];

/// Views that save the form that they are given, and those that only go on to the next page.
const SAVING_VIEWS: &[&str] =
    &["CreateView", "UpdateView", "ModelFormMixin", "BaseCreateView", "BaseUpdateView"];
const FORM_VIEWS: &[&str] = &["FormView", "FormMixin", "BaseFormView"];

/// Bases of a view that do nothing with a form.
const BESIDE_VIEWS: &[&str] = &[
    "django.views.generic.",
    "django.contrib.auth.mixins.",
    "django.contrib.messages.views.SuccessMessageMixin",
    "builtins.",
];

/// The models whose rows a form may save: that of its own `Meta`, and of the forms below, as an object may be one of
/// those. Nothing where something that is not known stands between.
fn models(project: &Project, form: ClassId) -> Option<Vec<(ClassId, ModelId)>> {
    let mut out: Vec<(ClassId, ModelId)> = Vec::new();
    for class in std::iter::once(form).chain(project.program().descendants(form)) {
        if !inherits(project, class, MODEL_FORMS) || !has_framework_bases(project, class) {
            return None;
        }
        let model = meta_model(project, class).filter(|model| saves_its_row(project, *model))?;
        if !out.iter().any(|(_, known)| *known == model) {
            out.push((class, model));
        }
    }
    Some(out)
}

/// Whether Django's own `save()` is all that the bases of a model from packages bring.
fn saves_its_row(project: &Project, model: ModelId) -> bool {
    let info = project.model(model);
    let bases = &project.program().class(info.class).external_bases;
    !info.has_unknown_base && bases.iter().all(|base| PLAIN_BASES.iter().any(|plain| base.starts_with(plain)))
}

/// The fields that a form, or a view that makes one, is restricted to; nothing where it may be any.
fn restricted(project: &Project, class: ClassId) -> Option<Vec<String>> {
    let program = project.program();
    let owner = match program.member(class, "Meta") {
        Some((_, Member::Class(meta))) => *meta,
        Some(_) => return None,
        None => class,
    };
    let (_, _, names) = listed(program, owner, "fields")?;
    // Django takes an empty list for none.
    let names: Option<Vec<String>> =
        names.into_iter().map(|(file, node)| string_value(program.file(file).node(node))).collect();
    names.filter(|names| !names.is_empty())
}

impl<'a> Frame<'a, '_> {
    /// What a method does that a class has from Django's forms and views of forms; false where that is not known.
    pub(super) fn saved_by_framework(&mut self, class: ClassId, name: &str, node: Node<'a>) -> bool {
        match name {
            "save" => self.saved_by_form_of_model(class, node),
            "save_m2m" | "_save_m2m" => {
                let Some(models) = models(self.az.project, class) else { return false };
                for (form, model) in models {
                    self.links_of_form(form, model, node);
                }
                true
            }
            "form_valid" => self.saved_by_view(class, node),
            _ => false,
        }
    }

    fn saved_by_form_of_model(&mut self, class: ClassId, node: Node<'a>) -> bool {
        let Some(models) = models(self.az.project, class) else { return false };
        let overrides = self.overrides_below(class, "save");
        if overrides.len() > MAX_OVERRIDES {
            return false;
        }
        if commits(node) != Some(false) {
            for (form, model) in models {
                self.saves_row(model, node);
                // Django asks the form itself.
                match self.own_method(form, "_save_m2m") {
                    Some(function) => {
                        self.call_function(function, Some(Type::Object(form)), &[], node);
                    }
                    None => self.links_of_form(form, model, node),
                }
            }
        }
        self.conditionally(|frame| {
            for (below, function, _) in overrides {
                frame.call_function(function, Some(Type::Object(below)), &[], node);
            }
        });
        true
    }

    /// The method of the program that an object of `class` has.
    fn own_method(&self, class: ClassId, name: &str) -> Option<FunctionId> {
        match self.az.project.program().member(class, name)? {
            (_, Member::Function(function, _)) => Some(*function),
            _ => None,
        }
    }

    /// A row of `model` that nothing is known of is made or changed.
    fn saves_row(&mut self, model: ModelId, node: Node<'a>) {
        let class = self.az.project.model(model).class;
        let instance = Instance::root(model, Root::Opaque);
        match self.own_method(class, "save") {
            Some(function) => {
                self.event(node, EventKind::Write { model: Some(model), write: Write::Update });
                self.call_function(function, Some(Type::Instance(instance)), &[], node);
            }
            None => self.written(&instance, Write::Update, node),
        }
    }

    /// The links that a form writes after the row.
    fn links_of_form(&mut self, class: ClassId, model: ModelId, node: Node<'a>) {
        let project = self.az.project;
        let fields = restricted(project, class);
        for field in &project.model(model).fields {
            let Some(relation) = &field.relation else { continue };
            let is_linked = matches!(relation.kind, RelationKind::ManyToMany | RelationKind::GenericRelation);
            if !is_linked || fields.as_ref().is_some_and(|names| !names.contains(&field.name)) {
                continue;
            }
            self.event(node, EventKind::Write { model: relation.target, write: Write::Other });
            if relation.kind == RelationKind::ManyToMany {
                self.heard_of_links(project.link_receivers(model, &field.name), node);
            }
        }
    }

    /// `super().form_valid(form)` in a view.
    fn saved_by_view(&mut self, class: ClassId, node: Node<'a>) -> bool {
        let project = self.az.project;
        let program = project.program();
        let info = program.class(class);
        let is_beside = |base: &String| BESIDE_VIEWS.iter().any(|known| base.starts_with(known));
        if info.has_unknown_base || !info.external_bases.iter().all(is_beside) {
            return false;
        }
        let views = info.external_bases.iter().filter(|base| base.starts_with("django.views.generic."));
        let names: Vec<&str> = views.filter_map(|base| base.rsplit('.').next()).collect();
        let is_any = |known: &[&str]| names.iter().any(|name| known.contains(name));
        if is_any(&["DeleteView", "BaseDeleteView", "DeletionMixin"]) {
            return false;
        }
        // Where to go on to is asked for last.
        if let Some(function) = self.own_method(class, "get_success_url") {
            self.call_function(function, Some(Type::Object(class)), &[], node);
        }
        if !is_any(SAVING_VIEWS) {
            return is_any(FORM_VIEWS);
        }
        match self.az.form_of_view(class) {
            Some(Some(form)) => {
                self.method_of_class(form, "save", &Type::Object(form), &[], node);
                true
            }
            Some(None) => {
                let Some(model) = self.view_model(class, node).filter(|m| saves_its_row(project, *m)) else {
                    return false;
                };
                self.saves_row(model, node);
                self.links_of_form(class, model, node);
                true
            }
            None => false,
        }
    }
}

impl Analyzer<'_> {
    /// The form that a view, and every view below it, names: `Some(None)` where Django makes one of the view's model.
    fn form_of_view(&self, class: ClassId) -> Option<Option<ClassId>> {
        let program = self.project.program();
        let mut found: Option<Option<ClassId>> = None;
        for view in std::iter::once(class).chain(program.descendants(class)) {
            if ["get_form", "get_form_class"].iter().any(|name| program.member(view, name).is_some()) {
                return None;
            }
            let form = match program.member(view, "form_class") {
                None => None,
                Some((owner, Member::Value(value))) => {
                    match program.resolve_expr(program.class(owner).file, *value) {
                        Some(Def::Class(form)) => Some(form),
                        _ => return None,
                    }
                }
                Some(_) => return None,
            };
            if found.is_some_and(|known| known != form) {
                return None;
            }
            found = Some(form);
        }
        found
    }

    /// The form that Django gives to `form_valid()` and `form_invalid()` of a view.
    pub(super) fn given_form(&self, function: FunctionId, index: usize) -> Option<Type> {
        let program = self.project.program();
        let info = program.function(function);
        let class = info.class.filter(|_| index == 1)?;
        if !matches!(info.name.as_str(), "form_valid" | "form_invalid") {
            return None;
        }
        let bases = &program.class(class).external_bases;
        let is_view = bases.iter().any(|base| {
            let name = base.rsplit('.').next().unwrap_or_default();
            base.starts_with("django.views.generic.")
                && (SAVING_VIEWS.contains(&name) || FORM_VIEWS.contains(&name))
        });
        let form = self.form_of_view(class).flatten().filter(|_| is_view)?;
        // Code that calls it with a form of its own choice.
        let is_handed_on = self.call_sites().of(&info.name).iter().all(|site| {
            let call = program.file(site.file).node(site.call);
            self.project.is_test_file(site.file)
                || matches!(Expr::of(call), Expr::Call { func, .. }
                    if matches!(Expr::of(func), Expr::Attribute { value, .. } if is_super(value)))
        });
        is_handed_on.then_some(Type::Object(form))
    }
}
