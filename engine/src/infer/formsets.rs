//! Model formsets: each form has one row of the queryset that the formset is given (django/forms/models.py,
//! `BaseModelFormSet`).

use super::calls::{Arg, argument};
use super::facts::{Escape, EventKind, Use};
use super::frame::Frame;
use super::records::Record;
use super::types::{Name, Rows, Type};
use crate::python::{ClassId, Def, Member, Node};
use std::sync::Arc;

/// The name that stands for a class of formsets: [`Type::Bound`] to its model, the class of its forms and its base.
pub(super) const FORM_SET_CLASS: &str = "django.forms.models.modelformset_factory()";
/// The name that stands for a formset: [`Type::Bound`] to its rows.
pub(super) const FORM_SET: &str = "django.forms.models.BaseModelFormSet";
/// The name that stands for a form of a formset: [`Type::Bound`] to its instance.
pub(super) const FORM: &str = "django.forms.models.BaseModelForm";

/// Attributes of a formset that hold forms. Those for new rows have none of the queryset.
const FORMS: &[&str] = &["forms", "initial_forms", "deleted_forms", "ordered_forms"];
/// Methods that save the rows, or delete them.
const SAVING: &[&str] = &["save", "save_existing_objects", "save_existing", "delete_existing"];

impl<'a> Frame<'a, '_> {
    /// `modelformset_factory(Book, ...)`, `inlineformset_factory(Author, Book, ...)`
    pub(super) fn form_set_class(&mut self, path: &str, args: &[Arg<'a>]) -> Option<Type> {
        let (model, form, base) = match path.rsplit('.').next()? {
            _ if !path.starts_with("django.forms.") => return None,
            "modelformset_factory" => (0, 1, 3),
            "inlineformset_factory" => (1, 2, 3),
            _ => return None,
        };
        if args.iter().any(|a| a.stars > 0) {
            return None;
        }
        let given = |index: usize, name: &str| argument(args, index, name).map(|a| a.ty.clone());
        let model = given(model, "model").filter(|ty| matches!(ty, Type::ModelClass(_)))?;
        // `formfield_callback` comes before `formset` in one of the two, and is never given by position in the other.
        let base = args.iter().find(|a| a.name == Some("formset")).map(|a| a.ty.clone()).or_else(|| {
            args.get(base).filter(|a| a.name.is_none() && path.contains("inline")).map(|a| a.ty.clone())
        });
        let parts = [model, given(form, "form").unwrap_or(Type::None), base.unwrap_or(Type::None)];
        Some(Type::Bound(Arc::new(Type::Tuple(parts.to_vec().into())), Name::from(FORM_SET_CLASS)))
    }

    /// A formset of a class that [`Frame::form_set_class`] gives, where it is told which rows it has.
    pub(super) fn form_set(&mut self, class: &Type, args: &[Arg<'a>], node: Node<'a>) -> Option<Type> {
        let Type::Tuple(parts) = class else { return None };
        let [Type::ModelClass(model), form, base] = &**parts else { return None };
        if args.iter().any(|a| a.stars == 1) || !self.leaves_rows(form, node) || !self.leaves_rows(base, node)
        {
            return None;
        }
        let given = args.iter().find(|a| a.name == Some("queryset")).map(|a| a.ty.clone());
        let rows = match base {
            Type::Def(Def::Class(base)) => {
                let program = self.az.project.program();
                let own = program.member(*base, "get_queryset");
                if program.member(*base, "__init__").is_some() || program.member(*base, "queryset").is_some()
                {
                    return None;
                }
                match own {
                    Some((_, Member::Function(function, _))) => {
                        let info = program.function(*function);
                        let def = program.file(info.file).node(info.node);
                        if def.text().contains("super()") {
                            return None;
                        }
                        let place = program.name_site(info.file, info.node);
                        let (function, receiver) = (*function, Type::Object(*base));
                        self.at_site(place, |frame| frame.call_function(function, Some(receiver), &[], node))
                    }
                    Some(_) => return None,
                    None => given?,
                }
            }
            _ => given?,
        };
        let is_rows = rows.queryset().is_some_and(|qs| qs.model == *model && qs.rows == Rows::Instances);
        for arg in args.iter().filter(|a| a.name != Some("queryset")) {
            self.escape(&arg.ty.clone(), arg.node, Escape::External);
        }
        if !is_rows {
            return None;
        }
        self.each_form(form, &rows, node);
        Some(Type::Bound(Arc::new(rows), Name::from(FORM_SET)))
    }

    /// What the `__init__` of a class of forms reads of the row that each form gets. Django makes the forms when somebody asks for
    /// them.
    fn each_form(&mut self, form: &Type, rows: &Type, node: Node<'a>) {
        let Type::Def(Def::Class(class)) = form else { return };
        let Some((_, Member::Function(init, _))) = self.az.project.program().member(*class, "__init__")
        else {
            return;
        };
        let (class, init) = (*class, *init);
        let row = self.element(rows, node);
        let form = Type::Record(Arc::new(Record { class, fields: vec![(Name::from("instance"), row)] }));
        self.each(rows, |frame| {
            frame.conditionally(|frame| frame.call_function(init, Some(form), &[], node));
        });
    }

    /// Whether the methods of a class of forms or formsets, if there is one of the program, write nothing.
    fn leaves_rows(&mut self, class: &Type, node: Node<'a>) -> bool {
        let class: ClassId = match class {
            Type::None => return true,
            Type::Def(Def::Class(class)) => *class,
            Type::Def(Def::External(path)) => return path.starts_with("django.forms."),
            _ => return false,
        };
        let program = self.az.project.program();
        let info = program.class(class);
        let is_django = |base: &String| base.starts_with("django.forms.") || base.starts_with("builtins.");
        if info.has_unknown_base || !info.external_bases.iter().all(is_django) {
            return false;
        }
        let start = self.facts.own.len();
        for above in &info.mro {
            for member in program.class(*above).members.values() {
                let Member::Function(function, _) = member else { continue };
                let receiver = Some(Type::Object(class));
                self.conditionally(|frame| frame.call_function(*function, receiver, &[], node));
            }
        }
        let mut events = self.facts.own.iter().skip(start);
        !events.any(|e| matches!(*e.kind, EventKind::Write { .. } | EventKind::UnknownCall { .. }))
    }

    /// An attribute of a formset of the rows of `ty`.
    pub(super) fn form_set_attribute(&mut self, ty: &Type, name: &str, node: Node<'a>) -> Type {
        match name {
            _ if FORMS.contains(&name) => {
                let form = self.forms_of(ty, node);
                Type::list(form)
            }
            "queryset" => ty.clone(),
            _ => Type::External(Name::from(format!("{FORM_SET}.{name}"))),
        }
    }

    /// What going over a formset gives: its forms.
    pub(super) fn forms_of(&mut self, ty: &Type, node: Node<'a>) -> Type {
        let row = self.iterate(ty, node);
        Type::Bound(Arc::new(row), Name::from(FORM))
    }

    /// A method of a formset of the rows of `ty`, or of a form that has one of them.
    pub(super) fn form_method(&mut self, ty: &Type, name: &str, args: &[Arg<'a>], node: Node<'a>) -> Type {
        self.escape_all(args, node, Escape::External);
        match ty {
            Type::QuerySet(qs) => {
                let qs = qs.clone();
                match name {
                    "get_queryset" => return ty.clone(),
                    "total_form_count" | "initial_form_count" | "get_default_prefix" => {}
                    _ => {
                        self.use_queryset(&qs, node, Use::Iterate);
                        self.evaluated(&qs, node, "all");
                        let row = self.element(ty, node);
                        self.saved_by_form_set(&row, name, node);
                    }
                }
            }
            row => self.saved_by_form_set(&row.clone(), name, node),
        }
        Type::Unknown
    }

    fn saved_by_form_set(&mut self, row: &Type, name: &str, node: Node<'a>) {
        if let Type::Instance(instance) = row.without_none()
            && SAVING.contains(&name)
        {
            let instance = instance.clone();
            self.conditionally(|frame| {
                frame.instance_method(&instance, "save", &[], node);
                frame.instance_method(&instance, "delete", &[], node);
            });
        }
    }
}
