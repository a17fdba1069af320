//! Fields that code takes out of a serializer that is already made: `self.fields.pop("tags")` in a method of the
//! serializer, `serializer.child.fields.pop("tags")` in one of the view.

use super::declared::{Chosen, Edits, Meta, declared};
use super::extra::is_beside_list;
use crate::django::Project;
use crate::infer::Analyzer;
use crate::python::{
    ClassId, Expr, Field, FunctionId, Kind, Member, Node, arguments, parameters, string_value,
};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Methods of a serializer that only run when it takes data.
const TAKING: &[&str] =
    &["create", "update", "save", "to_internal_value", "is_valid", "run_validation", "validate", "set_value"];
/// Builtins that look at what they get.
const LOOKING: &[&str] = &[
    "set",
    "list",
    "sorted",
    "dict",
    "len",
    "tuple",
    "iter",
    "enumerate",
    "frozenset",
    "any",
    "all",
    "isinstance",
    "print",
    "reversed",
    "zip",
    "hasattr",
];

/// The fields that code may take out.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Dropped {
    pub names: FxHashSet<String>,
    /// Others as well.
    pub is_open: bool,
}

impl Dropped {
    /// Whether one of them may be a field of the serializer.
    pub fn touches(&self, project: &Project, serializer: ClassId) -> bool {
        if self.is_open || self.names.is_empty() {
            return self.is_open;
        }
        let is_chosen = match Meta::of(project, serializer).map(|meta| meta.chosen()) {
            Some(Chosen::Only(names)) => {
                !names.is_complete || names.found.iter().any(|(name, _)| self.names.contains(name))
            }
            Some(Chosen::All(excluded, _)) => self.names.iter().any(|name| !excluded.contains(name)),
            Some(Chosen::Unknown) => true,
            None => false,
        };
        is_chosen || declared(project, serializer).iter().any(|field| self.names.contains(field.name))
    }

    /// The same as edits of the serializer.
    pub fn add_to(self, edits: &mut Edits) {
        edits.is_partial |= self.is_open;
        edits.doubtful.extend(self.names);
    }

    /// What a function does to the `fields` of anything but the object that is called `beside`.
    fn look(&mut self, def: Node<'_>, beside: Option<&str>) {
        let is_attribute = |n: Node<'_>| {
            n.kind() == Kind::Attribute
                && matches!(Expr::of(n), Expr::Attribute { value, attr: "fields" | "_readable_fields", .. }
                    if beside.is_none_or(|name| value.peel().text() != name))
        };
        if !def.descendants().any(is_attribute) {
            return;
        }
        let held = def.descendants().filter(|n| n.kind() == Kind::Assign).filter_map(|assign| {
            let (left, right) = (assign.child(Field::Left)?, assign.child(Field::Right)?);
            (is_attribute(right.peel()) && left.kind() == Kind::Name).then(|| left.text())
        });
        let held: FxHashSet<&str> = held.collect();
        for node in def.descendants() {
            let is_name = || {
                node.kind() == Kind::Name
                    && held.contains(node.text())
                    && node.field() != Field::Attribute
                    && !node.is_binding()
            };
            if is_attribute(node) || is_name() {
                self.at(node);
            }
        }
    }

    fn take(&mut self, name: Option<String>) {
        match name {
            Some(name) => {
                self.names.insert(name);
            }
            None => self.is_open = true,
        }
    }

    /// What is done with the fields at one place where they are named.
    fn at(&mut self, node: Node<'_>) {
        let Some(parent) = node.with_parens().parent() else { return };
        match Expr::of(parent) {
            Expr::Attribute { attr, .. } if parent.kind() == Kind::Attribute => {
                let call = parent.with_parens().parent().filter(|p| p.kind() == Kind::Call);
                match (attr, call.map(Expr::of)) {
                    ("pop" | "__delitem__" | "__setitem__", Some(Expr::Call { arguments: list, .. })) => {
                        self.take(arguments(list).first().and_then(|a| string_value(a.value)));
                    }
                    // `list(map(self.fields.pop, names))`
                    (
                        "pop" | "popitem" | "clear" | "update" | "fields" | "__delitem__" | "__setitem__",
                        _,
                    ) => {
                        self.is_open = true;
                    }
                    _ => {}
                }
            }
            Expr::Subscript { index, value, .. } if value.peel() == node.peel() => {
                let around = parent.with_parens().parent();
                if parent.is_binding() || around.is_some_and(|around| around.kind() == Kind::Delete) {
                    self.take(string_value(index));
                }
            }
            _ if parent.kind() == Kind::Arguments || parent.kind() == Kind::KeywordArgument => {
                let call = parent.ancestors().find(|a| a.kind() == Kind::Call).map(Expr::of);
                let looks = matches!(call, Some(Expr::Call { func, .. })
                    if matches!(Expr::of(func), Expr::Name(name) if LOOKING.contains(&name)));
                // The names that a class chooses from are no fields yet.
                self.is_open |= !looks && !node.text().ends_with("eta.fields");
            }
            _ => self.is_open |= node.is_binding() || parent.kind() == Kind::Delete,
        }
    }
}

/// What the methods of a serializer take out before it writes, but for those that `is_known` names.
pub(super) fn by_serializer(project: &Project, class: ClassId, is_known: impl Fn(&str) -> bool) -> Dropped {
    let is_other = |name: &str| is_known(name) || TAKING.contains(&name) || name.starts_with("validate_");
    by_methods(project, class, &is_other)
}

/// What the methods of a view take out before its rows are listed.
pub(super) fn by_view(project: &Project, class: ClassId) -> Dropped {
    by_methods(project, class, &|name| is_beside_list(project, class, name))
}

/// What code that is neither a method of the serializer nor of a view of REST framework takes out, in the files that name the
/// serializer: a function that made it, or the serializer that it is nested in.
pub(super) fn by_others(analyzer: &Analyzer<'_>, serializer: ClassId) -> Dropped {
    let project = analyzer.project();
    let program = project.program();
    let name = program.class(serializer).name.as_str();
    let mut out = Dropped::default();
    let in_question = analyzer.once_for("who drops fields and names", Box::<str>::from(name), || {
        let is_it = |function: &FunctionId| {
            let file = program.function(*function).file;
            program.file(file).source.mentions(name) && !project.is_test_file(file)
        };
        project.field_droppers().iter().copied().filter(is_it).collect::<Arc<[FunctionId]>>()
    });
    for function in in_question.iter() {
        let info = program.function(*function);
        let file = program.file(info.file);
        let def = file.node(info.node);
        let beside = match info.class {
            Some(class) if program.class(serializer).mro.contains(&class) || is_view(project, class) => {
                continue;
            }
            Some(_) => parameters(def).first().map(|p| p.name),
            None => None,
        };
        out.look(def, beside);
    }
    out
}

/// Whether a class is a view of REST framework, whose methods [`by_view`] looks at.
fn is_view(project: &Project, class: ClassId) -> bool {
    const VIEWS: &[&str] = &[
        "rest_framework.views.",
        "rest_framework.viewsets.",
        "rest_framework.generics.",
        "rest_framework.mixins.",
    ];
    let bases = &project.program().class(class).external_bases;
    bases.iter().any(|base| VIEWS.iter().any(|v| base.starts_with(v)))
}

fn by_methods(project: &Project, class: ClassId, is_other: &dyn Fn(&str) -> bool) -> Dropped {
    let program = project.program();
    let mut out = Dropped::default();
    let owners = program.class(class).mro.iter().map(|owner| program.class(*owner));
    for info in owners.filter(|info| !project.is_known_file(info.file)) {
        for (name, member) in &info.members {
            let Member::Function(function, _) = member else { continue };
            if !is_other(name) {
                let function = program.function(*function);
                out.look(program.file(function.file).node(function.node), None);
            }
        }
    }
    out
}
