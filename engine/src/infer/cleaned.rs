//! `cleaned_data` of a form: what fields that choose rows give (django/forms/models.py, `ModelChoiceField` and
//! `ModelMultipleChoiceField`), whether the form declares them or Django makes them of a model's relations.
//!
//! Cleaning a field of several rows loads them, and everybody who has the form has them: what comes back is handed in.

use super::calls::Arg;
use super::facts::Value;
use super::frame::Frame;
use super::framework::{MODEL_FORMS, inherits, meta_model};
use super::types::{Instance, Name, QuerySet, QuerySetClass, Root, Trait, Type, ValueId};
use crate::django::{ModelId, RelationKind};
use crate::python::{ClassId, Def, Expr, Field, Kind, Member, Node, NodeId, arguments, string_value};
use crate::text::{FileId, Site};
use std::sync::Arc;

/// The name that stands for the cleaned data of a form: [`Type::Bound`] to the form.
pub(super) const CLEANED: &str = "cleaned_data";

/// Fields that choose one row, and those that choose several, by the names of their classes.
const OF_ONE: &[&str] = &["ModelChoiceField", "TreeNodeChoiceField"];
const OF_SEVERAL: &[&str] = &["ModelMultipleChoiceField", "TreeNodeMultipleChoiceField"];

/// Methods by which a field makes its value another one.
const CLEANING: &[&str] = &["clean", "to_python", "_check_values"];

/// What the value of a field is.
#[derive(Clone, Copy)]
enum Chosen {
    /// A row, or None.
    One(ModelId),
    /// A queryset.
    Several(ModelId),
}

impl<'a> Frame<'a, '_> {
    /// `form.cleaned_data` and `super().clean()`: the cleaned data of a form of the program.
    pub(super) fn cleaned_data(&self, class: ClassId) -> Option<Type> {
        let info = self.az.project.program().class(class);
        let is_form = |base: &String| {
            base.starts_with("django.") && base.contains("forms.")
                || base.rsplit('.').next().is_some_and(|name| name.ends_with("Form"))
        };
        (info.external_bases.iter().any(is_form) && !self.is_assigned_on_self(class, CLEANED))
            .then(|| Type::Bound(Arc::new(Type::Object(class)), Name::from(CLEANED)))
    }

    /// What a method of the cleaned data of `class` gives: `cleaned_data.get("tags")`.
    pub(super) fn cleaned_method(&mut self, class: ClassId, name: &str, args: &[Arg<'a>]) -> Option<Type> {
        if !matches!(name, "get" | "pop") || args.iter().any(|arg| arg.stars > 0) {
            return None;
        }
        let key = string_value(args.first()?.node)?;
        let value = self.cleaned_value(class, &key)?;
        match args.get(1).map(|arg| &arg.ty) {
            None | Some(Type::None) => Some(value.optional()),
            Some(_) => None,
        }
    }

    /// `cleaned_data["tags"]`
    pub(super) fn cleaned_value(&mut self, class: ClassId, field: &str) -> Option<Type> {
        let (chosen, site) = self.chosen(class, field)?;
        let program = self.az.project.program();
        // An own `clean_tags()` gives what it likes, everywhere but in itself.
        let cleaning = format!("clean_{field}");
        let is_in_it = self.scope.child(Field::Name).is_some_and(|name| name.text() == cleaning);
        let family = || program.class(class).mro.iter().copied().chain(program.descendants(class));
        let is_changed = family().any(|form| {
            let info = program.class(form);
            (info.members.contains_key(cleaning.as_str()) && !is_in_it)
                || is_replaced(program.file(info.file).node(info.node), field)
        });
        if is_changed {
            return None;
        }
        Some(match chosen {
            Chosen::One(model) => Type::Instance(Instance::root(model, Root::Opaque)).optional(),
            Chosen::Several(model) => self.handed_in(model, site),
        })
    }

    /// The rows that a field of the form chooses, and where it is made.
    fn chosen(&mut self, class: ClassId, field: &str) -> Option<(Chosen, Site)> {
        let project = self.az.project;
        let program = project.program();
        let below: Vec<ClassId> = program.descendants(class).into_iter().filter(|c| *c != class).collect();
        if below.iter().any(|c| program.class(*c).members.contains_key(field)) {
            return None;
        }
        if let Some((owner, member)) = program.member(class, field) {
            let Member::Value(value) = member else { return None };
            let file = program.class(owner).file;
            let site = Site { file, span: program.file(file).node(*value).span() };
            return self.declared(file, *value).map(|chosen| (chosen, site));
        }
        if !inherits(project, class, MODEL_FORMS) {
            return None;
        }
        let model = meta_model(project, class)?;
        if below.iter().any(|c| meta_model(project, *c) != Some(model)) {
            return None;
        }
        let relation = project.model(model).field(field)?.relation.as_ref()?;
        let target = relation.target?;
        let chosen = match relation.kind {
            RelationKind::ForeignKey | RelationKind::OneToOne => Chosen::One(target),
            RelationKind::ManyToMany => Chosen::Several(target),
            _ => return None,
        };
        let info = program.class(class);
        Some((chosen, Site { file: info.file, span: program.file(info.file).node(info.node).span() }))
    }

    /// `tags = ModelMultipleChoiceField(queryset=Tag.objects.all())`
    fn declared(&mut self, file: FileId, value: NodeId) -> Option<Chosen> {
        let program = self.az.project.program();
        let Expr::Call { func, arguments: list } = Expr::of(program.file(file).node(value)) else {
            return None;
        };
        let is_named = |path: &str, names: &[&str]| names.contains(&path.rsplit('.').next().unwrap_or(path));
        let is_of_several = match program.resolve_expr(file, func.peel().id())? {
            Def::External(path) if is_named(&path, OF_SEVERAL) => true,
            Def::External(path) if is_named(&path, OF_ONE) => false,
            Def::Class(class) if CLEANING.iter().all(|name| program.member(class, name).is_none()) => {
                let bases = &program.class(class).external_bases;
                match bases.iter().any(|base| is_named(base, OF_SEVERAL)) {
                    true => true,
                    false if bases.iter().any(|base| is_named(base, OF_ONE)) => false,
                    false => return None,
                }
            }
            _ => return None,
        };
        let list = arguments(list);
        let rows = list
            .iter()
            .find(|a| a.name == Some("queryset"))
            .or_else(|| list.first().filter(|a| a.name.is_none() && a.stars == 0))?;
        let summary = self.az.outside(file, rows.value.peel().id(), self.stack);
        let model = match summary.returns.as_ref()? {
            Type::QuerySet(qs) => qs.model,
            Type::Manager(manager) => manager.model,
            _ => return None,
        };
        Some(if is_of_several { Chosen::Several(model) } else { Chosen::One(model) })
    }

    /// Rows of `model` that somebody else has chosen, at `site`: nothing is known of the queryset but its model.
    pub(super) fn handed_in(&mut self, model: ModelId, site: Site) -> Type {
        let id = ValueId(self.facts.values.len() as u32);
        self.facts.values.push(Value::outside(site));
        let mut rows = QuerySet::new(model, QuerySetClass::Unknown, id);
        rows.traits.extend([Trait::Annotated, Trait::Distinct, Trait::Mysterious, Trait::OpaquePrefetch]);
        let rows = Arc::new(rows);
        self.set_queryset(id, &rows);
        Type::QuerySet(rows)
    }

    /// Whether a method of a form gives its cleaned data: Django's own `clean()`.
    pub(super) fn cleans(&self, class: ClassId, name: &str) -> Option<Type> {
        (name == "clean").then(|| self.cleaned_data(class))?
    }
}

/// Whether the class puts something else into its cleaned data, or in the place of the field, under that name.
fn is_replaced(body: Node<'_>, field: &str) -> bool {
    body.descendants().any(|n| match Expr::of(n) {
        Expr::Subscript { value, index, .. } if n.kind() == Kind::Subscript && n.is_binding() => {
            string_value(index).as_deref() == Some(field)
                && (value.text().ends_with("fields")
                    || value.text().contains("clean")
                    || value.kind() == Kind::Name)
        }
        _ => false,
    })
}
