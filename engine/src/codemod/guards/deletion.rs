//! What goes with a row that is deleted: overrides, receivers, and the rows of other tables.
//!
//! Django's collector takes the rows of one `delete()` together: every `pre_delete` comes before the first row goes and
//! `post_delete` in the order of the tables, last row first; PROTECT and RESTRICT are judged for all of them at once
//! (`Collector` in django/db/models/deletion.py, 4.2 to 6.0).

use super::writes::{callable_defaults, replaced_method};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{Field, FieldKind, ModelId, Project, RelationKind, Signal};
use crate::python::{Def, Expr, Kind, Member, Node, Stmt, arguments};
use crate::text::Site;

/// What a foreign key says of the row that it points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// CASCADE, and the link of a multi-table child.
    Cascade,
    /// PROTECT
    Protect,
    /// RESTRICT
    Restrict,
    /// SET_NULL, SET_DEFAULT, SET() of a constant
    Set,
    /// DO_NOTHING
    DoNothing,
    /// A function of the project's, SET() of something that is called, or not known.
    Code,
}

/// The `on_delete` of a foreign key.
pub fn on_delete(project: &Project, field: &Field) -> OnDelete {
    if field.is_auto {
        return OnDelete::Cascade;
    }
    let program = project.program();
    let file = program.file(field.site.file);
    let call =
        file.root().descendants().find(|n| n.kind() == Kind::Call && field.site.span.contains(n.span()));
    let Some(Expr::Call { arguments: list, .. }) = call.map(Expr::of) else { return OnDelete::Code };
    let args = arguments(list);
    let second = args.get(1).filter(|a| a.name.is_none() && a.stars == 0);
    let Some(value) = args.iter().find(|a| a.name == Some("on_delete")).or(second).map(|a| a.value) else {
        return OnDelete::Code;
    };
    let (named, given) = match Expr::of(value) {
        Expr::Call { func, arguments: list } => (func, arguments(list).first().map(|a| a.value)),
        _ => (value, None),
    };
    let Some(Def::External(path)) = program.resolve_expr(field.site.file, named.peel().id()) else {
        return OnDelete::Code;
    };
    let Some(name) = path.strip_prefix("django.db.models.") else { return OnDelete::Code };
    match (name.rsplit('.').next().unwrap_or(name), given) {
        ("CASCADE", None) => OnDelete::Cascade,
        ("PROTECT", None) => OnDelete::Protect,
        ("RESTRICT", None) => OnDelete::Restrict,
        ("SET_NULL" | "SET_DEFAULT", None) => OnDelete::Set,
        ("DO_NOTHING", None) => OnDelete::DoNothing,
        ("SET", Some(value)) => match Expr::of(value) {
            Expr::Int(_) | Expr::Str(_) | Expr::None | Expr::True | Expr::False => OnDelete::Set,
            _ => OnDelete::Code,
        },
        _ => OnDelete::Code,
    }
}

/// The tables that deleting rows of a model reaches.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// The model itself and every other whose rows go with it.
    pub deleted: Vec<ModelId>,
    /// Models whose foreign keys are set to something else.
    pub changed: Vec<ModelId>,
    /// Nothing points at the rows: Django sends one DELETE and loads none of them.
    pub is_alone: bool,
}

impl Reach {
    /// Every table that is written.
    pub fn tables(&self) -> Vec<ModelId> {
        let mut out = self.deleted.clone();
        out.extend(self.changed.iter().filter(|m| !self.deleted.contains(m)));
        out
    }
}

/// The foreign keys that point at rows of `model`, with the models that have them; hidden ones as well.
fn pointing(project: &Project, model: ModelId) -> Vec<(ModelId, &Field)> {
    let concrete = project.model(model).concrete;
    let mut out = Vec::new();
    for source in project.contemporaries(model) {
        if source.is_abstract || source.is_proxy {
            continue;
        }
        for field in &source.fields {
            let Some(relation) = &field.relation else { continue };
            let is_key = matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne);
            // A multi-table child has the keys of its parent in the parent's table.
            let is_inherited =
                source.table_parents.iter().any(|p| project.model(*p).field(&field.name).is_some());
            if is_key
                && !is_inherited
                && relation.target.is_some_and(|t| project.model(t).concrete == concrete)
            {
                out.push((source.id, field));
            }
        }
    }
    out
}

/// What deleting rows of `model` reaches.
pub fn reach(project: &Project, model: ModelId) -> Reach {
    let mut out = Reach { deleted: vec![model], changed: Vec::new(), is_alone: true };
    let mut at = 0;
    while let Some(next) = out.deleted.get(at).copied() {
        at += 1;
        let info = project.model(next);
        let mut more: Vec<ModelId> = info.table_parents.clone();
        out.is_alone &= more.is_empty();
        for field in &info.fields {
            match field.kind {
                FieldKind::GenericRelation => {
                    out.is_alone = false;
                    more.extend(field.relation.as_ref().and_then(|r| r.target));
                }
                FieldKind::ManyToMany => out.is_alone = false,
                _ => {}
            }
        }
        out.is_alone &= !info.reverse.iter().any(|r| r.kind == RelationKind::ManyToMany);
        for (source, field) in pointing(project, next) {
            let how = on_delete(project, field);
            out.is_alone &= how == OnDelete::DoNothing;
            match how {
                OnDelete::Cascade => more.push(source),
                OnDelete::Set if !out.changed.contains(&source) => out.changed.push(source),
                _ => {}
            }
        }
        for model in more {
            if !out.deleted.contains(&model) {
                out.deleted.push(model);
            }
        }
    }
    out
}

/// What makes one `delete()` of many rows differ from one `delete()` a row, whoever calls it: receivers, and the
/// foreign keys of what it reaches.
pub fn together(cx: &Context<'_>, reach: &Reach, out: &mut Vec<Hazard>) {
    let project = cx.project;
    for model in &reach.deleted {
        let info = project.model(*model);
        if !cx.assumes_no_signals(*model) {
            for signal in [Signal::PreDelete, Signal::PostDelete] {
                for receiver in project.receivers(*model, signal) {
                    out.push(Hazard::at(HazardKind::DeleteReceiver, receiver.name.clone(), receiver.site));
                }
            }
        }
        for field in info.fields.iter().filter(|f| is_watched(project, f)) {
            out.push(Hazard::at(HazardKind::FieldHook, field.name.clone(), field.site));
        }
        for (source, field) in pointing(project, *model) {
            let subject = format!("{}.{}", project.model(source).name, field.name);
            let kind = match on_delete(project, field) {
                OnDelete::Protect | OnDelete::Restrict if reach.deleted.contains(&source) => {
                    HazardKind::ProtectedRows
                }
                OnDelete::Code => HazardKind::OnDeleteHook,
                OnDelete::Set if field.has_default && !callable_defaults(project, source).is_empty() => {
                    HazardKind::OnDeleteHook
                }
                _ => continue,
            };
            out.push(Hazard::at(kind, subject, field.site));
        }
    }
}

/// A field class of the project, or a package's for files, may listen for its model's rows to go.
fn is_watched(project: &Project, field: &Field) -> bool {
    if field.class.starts_with("django.") || !field.has_hooks {
        return false;
    }
    let program = project.program();
    match program.dotted(&field.class, None) {
        Some(Def::Class(class)) => {
            program.class(class).has_unknown_base
                || program
                    .member(class, "contribute_to_class")
                    .is_some_and(|(owner, _)| !program.class_path(owner).starts_with("django."))
        }
        _ => field.kind == FieldKind::File,
    }
}

/// Overrides of `delete()`, which `QuerySet.delete()` does not call.
pub fn custom_delete(cx: &Context<'_>, model: ModelId, is_async: bool, out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    let names: &[&str] = if is_async { &["delete", "adelete"] } else { &["delete"] };
    for name in names {
        for owner in &program.class(cx.model(model).class).mro {
            let class = program.class(*owner);
            let Some(member) = class.members.get(*name) else { continue };
            let file = program.file(class.file);
            let (node, goes) = match member {
                Member::Function(function, _) => {
                    let node = file.node(program.function(*function).node);
                    (node, always_deletes(node, name))
                }
                Member::Value(node) => (file.node(*node), false),
                Member::Annotation(_) => continue,
                _ => (file.node(class.node), false),
            };
            let kind = if goes { HazardKind::CustomDelete } else { HazardKind::KeptRow };
            let site = Site { file: class.file, span: node.span() };
            out.push(Hazard::at(kind, class.name.clone(), site));
            if !goes {
                break;
            }
        }
        if let Some(site) = cx.project.patch_of(model, name) {
            out.push(Hazard::at(HazardKind::KeptRow, cx.model(model).name.clone(), site));
        }
        replaced_method(cx, model, name, HazardKind::KeptRow, out);
    }
}

/// Whether every run of the method comes to `super().delete()`.
fn always_deletes(def: Node<'_>, name: &str) -> bool {
    let Some(body) = def.child(crate::python::Field::Body) else { return false };
    for statement in body.children() {
        let value = match Stmt::of(statement) {
            Stmt::Expr(value) | Stmt::Return(Some(value)) => Some(value),
            Stmt::Assign { value, .. } => value,
            Stmt::With { body, .. } => body.children().find_map(|s| match Stmt::of(s) {
                Stmt::Expr(value) | Stmt::Return(Some(value)) => Some(value),
                _ => None,
            }),
            _ => None,
        };
        if value.is_some_and(|v| is_super_call(v, name)) {
            return true;
        }
        if statement.descendants().any(|n| matches!(n.kind(), Kind::Return | Kind::Raise | Kind::Yield)) {
            return false;
        }
    }
    false
}

fn is_super_call(value: Node<'_>, name: &str) -> bool {
    let value = match Expr::of(value) {
        Expr::Await(inner) => inner,
        _ => value,
    };
    let Expr::Call { func, .. } = Expr::of(value) else { return false };
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return false };
    attr == name
        && matches!(Expr::of(value), Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Name("super")))
}
