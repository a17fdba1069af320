//! Changelists of the admin, and the rows of inlines.
//!
//! A changelist asks `get_queryset()` for its rows, joins what `list_select_related` says, and shows a column for each
//! of `list_display` (django/contrib/admin/templatetags/admin_list.py, items_for_result). The rows of an entry are in
//! the state after that join: what the framework joins by itself is what they have `selected` and their parent has not.

#[cfg(test)]
pub(super) mod tests;

use super::{Entry, EntryKind, Source};
use crate::django::lists::{class_around, listed, named};
use crate::django::{Inline, ModelId, Registration};
use crate::infer::admin::Joins;
use crate::infer::analyzer::Analyzer;
use crate::infer::calls::Arg;
use crate::infer::columns::{columns, has_columns_of_its_own};
use crate::infer::facts::EventKind;
use crate::infer::frame::Frame;
use crate::infer::types::{Name, Root, Rows, Type, ValueId};
use crate::python::{ClassId, Def, Expr, FunctionId, Kind, Member, Node, NodeId, string_value};
use crate::text::{FileId, Site};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Steps of a changelist that are not followed where a class has its own.
const STEPS: &[&str] = &["get_changelist", "get_changelist_instance", "get_changelist_formset", "template"];

/// The entries of ModelAdmins.
pub(super) fn collect(analyzer: &Analyzer<'_>, out: &mut Vec<Entry>) {
    let admin = analyzer.project.admin();
    let mut seen = BTreeSet::new();
    for registration in admin.registrations().iter().filter(|r| r.is_plain) {
        if let Some(class) = registration.class
            && is_shown(analyzer, class)
            && seen.insert((class.0, registration.model.0))
        {
            let key = ("changelist", class.0, registration.model.0);
            let find = || changelist(analyzer, class, registration).into_iter().collect();
            out.extend(analyzer.entries_of(key, find));
        }
    }
    let mut seen = BTreeSet::new();
    for inline in admin.inlines() {
        if is_shown(analyzer, inline.class) && seen.insert((inline.class.0, inline.parent.0)) {
            let key = ("inline", inline.class.0, inline.parent.0);
            let find = || rows_of_inline(analyzer, inline).into_iter().collect();
            out.extend(analyzer.entries_of(key, find));
        }
    }
}

/// Whether nothing but what is followed here says how the rows of a class are shown.
fn is_shown(analyzer: &Analyzer<'_>, class: ClassId) -> bool {
    let program = analyzer.project.program();
    !STEPS.iter().any(|name| program.member(class, name).is_some())
}

fn changelist(analyzer: &Analyzer<'_>, class: ClassId, registration: &Registration) -> Option<Entry> {
    let program = analyzer.project.program();
    let shown = match has_columns_of_its_own(program, class) {
        false => Vec::new(),
        true => columns(program, class)?,
    };
    let editable = match program.member(class, "list_editable") {
        None => Vec::new(),
        Some(_) => strings(analyzer, &listed(program, class, "list_editable")?.2),
    };
    let place = (registration.file, registration.node);
    let ((source, rows), facts) = analyzer.on_behalf(class, |frame, node| {
        let (source, ty) = frame.rows_of(class, registration.model, place, node)?;
        let Type::QuerySet(qs) = &ty else { return None };
        let joins = frame.joined_by_changelist(class, qs)?;
        let ty = match &joins {
            Joins::Named(names) if names.is_empty() => ty,
            Joins::Named(names) => frame.joined(&ty, names, class, node)?,
            Joins::All => frame.joined(&ty, &[], class, node)?,
        };
        let rows = *ty.queryset()?.values.first()?;
        let row = frame.iterate(&ty, node);
        frame.each(&ty, |frame| {
            for column in &shown {
                let place = (column.file, column.node);
                if column.is_certain {
                    frame.column(class, registration.model, &row, place, &editable, node);
                } else {
                    frame.conditionally(|frame| {
                        frame.column(class, registration.model, &row, place, &editable, node);
                    });
                }
            }
            if shown.is_empty() && !has_columns(analyzer, class) {
                frame.stringify(&row, node);
            } else if has_boxes(analyzer, class) {
                // The box to choose a row names it since Django 5.0.
                frame.conditionally(|frame| frame.stringify(&row, node));
            }
        });
        frame.note_joined(&joins, registration.model, rows);
        Some((source, rows))
    })?;
    Some(Entry::of_class(analyzer, EntryKind::Changelist, class, (source, rows), Arc::new(facts)))
}

/// Whether a base of Django's names columns, all of them plain ones: UserAdmin, SiteAdmin and their like.
fn has_columns(analyzer: &Analyzer<'_>, class: ClassId) -> bool {
    let program = analyzer.project.program();
    let own = ["django.contrib.admin.", "django.contrib.gis.", "django.contrib.contenttypes."];
    program.member(class, "list_display").is_none()
        && program
            .class(class)
            .external_bases
            .iter()
            .any(|b| b.starts_with("django.contrib.") && !own.iter().any(|o| b.starts_with(o)))
}

/// Whether rows can be chosen: not with `actions = None`.
fn has_boxes(analyzer: &Analyzer<'_>, class: ClassId) -> bool {
    let program = analyzer.project.program();
    match program.member(class, "actions") {
        Some((owner, Member::Value(value))) => {
            !matches!(Expr::of(program.file(program.class(owner).file).node(*value)), Expr::None)
        }
        _ => true,
    }
}

/// The rows below the form of an object: each is named by `str()`, and its fields that cannot be edited are shown.
fn rows_of_inline(analyzer: &Analyzer<'_>, inline: &Inline) -> Option<Entry> {
    let program = analyzer.project.program();
    let class = inline.class;
    if ["get_readonly_fields", "get_fields", "get_fieldsets", "get_formset", "formset"]
        .iter()
        .any(|name| program.member(class, name).is_some())
    {
        return None;
    }
    let (owner, Member::Value(model)) = program.member(class, "model")? else { return None };
    let place = (program.class(owner).file, *model);
    let fixed = match program.member(class, "readonly_fields") {
        None => Vec::new(),
        Some(_) => listed(program, class, "readonly_fields")?.2,
    };
    let ((source, rows), facts) = analyzer.on_behalf(class, |frame, node| {
        let (source, ty) = frame.rows_of(class, inline.model, place, node)?;
        let rows = *ty.queryset()?.values.first()?;
        let row = frame.iterate(&ty, node);
        frame.each(&ty, |frame| {
            frame.stringify(&row, node);
            for column in &fixed {
                if is_in_form(frame.az, class, *column) {
                    frame.column(class, inline.model, &row, *column, &[], node);
                }
            }
        });
        Some((source, rows))
    })?;
    Some(Entry::of_class(analyzer, EntryKind::Inline, class, (source, rows), Arc::new(facts)))
}

/// Whether the form of a class shows a field that cannot be edited: `fields` or `fieldsets` name it, or there are none.
fn is_in_form(analyzer: &Analyzer<'_>, class: ClassId, (file, node): (FileId, NodeId)) -> bool {
    let program = analyzer.project.program();
    let name = string_value(program.file(file).node(node));
    let lists: Vec<_> = ["fields", "fieldsets"].iter().filter_map(|n| program.member(class, n)).collect();
    let names = |(owner, member): &(ClassId, &Member)| {
        let Member::Value(value) = member else { return false };
        let list = program.file(program.class(*owner).file).node(*value);
        list.descendants().any(|n| n.kind() == Kind::Str && string_value(n) == name)
    };
    lists.is_empty() || lists.iter().any(names)
}

fn strings(analyzer: &Analyzer<'_>, nodes: &[(FileId, NodeId)]) -> Vec<String> {
    let program = analyzer.project.program();
    nodes.iter().filter_map(|(file, node)| string_value(program.file(*file).node(*node))).collect()
}

impl<'a> Frame<'a, '_> {
    /// The rows that a class of the admin asks for: by its own `get_queryset()`, or all of its model, which is named at
    /// `place`.
    fn rows_of(
        &mut self,
        class: ClassId,
        model: ModelId,
        place: (FileId, NodeId),
        node: Node<'a>,
    ) -> Option<(Source, Type)> {
        let (source, ty) = match self.az.project.program().member(class, "get_queryset") {
            Some(_) => self.class_queryset(class, node)?,
            None => (Source::Model(place.0, place.1), self.default_rows(model, node)?),
        };
        let qs = ty.queryset()?;
        (qs.model == model && qs.rows == Rows::Instances && qs.values.len() == 1).then_some((source, ty))
    }

    /// The queryset with the relations that the changelist joins: a value of its own.
    fn joined(&mut self, ty: &Type, names: &[Name], class: ClassId, node: Node<'a>) -> Option<Type> {
        let qs = ty.queryset()?.clone();
        let program = self.az.project.program();
        let said = ["list_select_related", "list_display", "get_list_display"].iter();
        let said = said.filter_map(|name| program.member(class, name)).next();
        let site = match said {
            Some((owner, Member::Value(value))) => {
                let file = program.class(owner).file;
                Site { file, span: program.file(file).node(*value).span() }
            }
            _ => Site { file: self.file, span: node.span() },
        };
        Some(
            self.at_site(site, |frame| frame.derive(&qs, node, |q| q.selected.extend(names.iter().cloned()))),
        )
    }

    /// What the changelist joins by itself is said to be joined where it is read.
    fn note_joined(&mut self, joins: &Joins, model: ModelId, rows: ValueId) {
        if *joins != Joins::All {
            return;
        }
        let project = self.az.project;
        let read: Vec<Name> = self
            .facts
            .events()
            .filter_map(|event| match &event.kind {
                EventKind::ReadRelation { root: Root::Row(value), path, .. } if *value == rows => {
                    joins.bring(project, model, path).then(|| Name::from(path.join("__")))
                }
                _ => None,
            })
            .collect();
        let Some(qs) = self.facts.value(rows).and_then(|v| v.queryset.clone()) else { return };
        let mut out = (*qs).clone();
        out.selected.extend(read);
        self.set_queryset(rows, &Arc::new(out));
    }

    /// A column of a changelist, or a field that cannot be edited.
    fn column(
        &mut self,
        class: ClassId,
        model: ModelId,
        row: &Type,
        (file, column): (FileId, NodeId),
        editable: &[String],
        node: Node<'a>,
    ) {
        let program = self.az.project.program();
        let element = program.file(file).node(column);
        let site = Site { file, span: element.span() };
        let row = row.clone();
        self.at_site(site, |frame| match string_value(element) {
            Some(name) if name == "__str__" => frame.stringify(&row, node),
            Some(name) => {
                let value = frame.cell(class, model, &row, &name, node);
                // What can be edited is shown by its form, after it was read.
                if !editable.contains(&name) {
                    frame.stringify(&value, node);
                }
            }
            None => {
                let value = frame.called_column(None, file, element, &row, node);
                frame.stringify(&value, node);
            }
        });
    }

    /// The value of the column `name` (django/contrib/admin/utils.py, lookup_field).
    fn cell(&mut self, class: ClassId, model: ModelId, row: &Type, name: &str, node: Node<'a>) -> Type {
        let program = self.az.project.program();
        let info = self.az.project.model(model);
        if info.field(name).is_some() {
            let value = self.attribute(row, name, node);
            // The objects of a many-to-many are named one by one.
            return match value {
                Type::Manager(manager) => {
                    let rows = self.manager_queryset(&manager, node);
                    let object = self.iterate(&rows, node);
                    self.each(&rows, |frame| frame.stringify(&object, node));
                    Type::Str
                }
                other => other,
            };
        }
        let given = Arg { name: None, ty: row.clone(), node, stars: 0 };
        match program.member(class, name) {
            Some((_, Member::Function(function, binding))) => {
                let (function, binding) = (*function, *binding);
                let object = Type::Object(class);
                return self.call_bound(
                    function,
                    binding,
                    Type::Def(Def::Class(class)),
                    &object,
                    &[given],
                    node,
                );
            }
            Some((owner, Member::Value(value))) => {
                let file = program.class(owner).file;
                let value = program.file(file).node(*value);
                return self.called_column(Some(class), file, value, row, node);
            }
            Some(_) => {
                self.event(node, EventKind::UnknownCall { name: Name::from(name) });
                return Type::Unknown;
            }
            None => {}
        }
        let is_known = |name: &str| {
            info.field_by_attname(name).is_some()
                || info.reverse(name).is_some()
                || program.member(info.class, name).is_some()
        };
        if !is_known(name) && name.contains("__") {
            return name.split("__").fold(row.clone(), |ty, part| {
                // Behind an object that is not there comes nothing.
                self.attribute(ty.without_none(), part, node)
            });
        }
        match self.attribute(row, name, node) {
            callee @ (Type::Bound(..) | Type::Local(_)) => self.call_value(&callee, &[], node, node),
            value => value,
        }
    }

    /// A function in the place of a column's name, which gets the object; as an attribute of `class`, it gets that
    /// before.
    fn called_column(
        &mut self,
        class: Option<ClassId>,
        file: FileId,
        column: Node<'a>,
        row: &Type,
        node: Node<'a>,
    ) -> Type {
        let program = self.az.project.program();
        let receiver = class.map(Type::Object);
        let around = class_around(program, file, column);
        let function: Option<FunctionId> = match named(program, file, column, around) {
            Some(Def::Function(function)) => Some(function),
            Some(Def::Variable { file, value: Some(value) }) if class.is_none() => {
                let value = program.file(file).node(value);
                if value.kind() == Kind::Lambda {
                    return self.lambda(file, value, std::slice::from_ref(row), node);
                }
                None
            }
            _ => None,
        };
        if let Some(function) = function {
            let given = Arg { name: None, ty: row.clone(), node, stars: 0 };
            return self.call_function(function, receiver, &[given], node);
        }
        if column.kind() == Kind::Lambda {
            let mut given: Vec<Type> = receiver.into_iter().collect();
            given.push(row.clone());
            return self.lambda(file, column, &given, node);
        }
        // `short = "text"` is no column; anything else may do anything.
        if matches!(Expr::of(column), Expr::Str(_) | Expr::None | Expr::True | Expr::False) {
            return Type::Unknown;
        }
        self.event(node, EventKind::UnknownCall { name: Name::from(column.text()) });
        Type::Unknown
    }

    fn lambda(&mut self, file: FileId, lambda: Node<'a>, given: &[Type], node: Node<'a>) -> Type {
        if file == self.file {
            return self.call_local(lambda, given, Some(node));
        }
        self.event(node, EventKind::UnknownCall { name: Name::from("lambda") });
        Type::Unknown
    }
}
