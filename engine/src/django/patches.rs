//! Attributes that code puts into classes from outside their bodies: `Book.save = ...`, `setattr(Book, "save", ...)`,
//! `Book.add_to_class("save", ...)`.

use super::values;
use crate::python::{
    ClassId, Def, Expr, Field, Kind, Node, ParameterKind, Program, arguments, parameters, string_value,
};
use crate::text::{FileId, Site};
use rayon::prelude::*;

/// The class that is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Patched {
    Class(ClassId),
    /// A class outside the program, by its dotted path.
    External(String),
    /// One that a variable holds.
    Unknown,
}

/// One attribute put into a class.
#[derive(Clone, Debug)]
pub(super) struct Patch {
    pub class: Patched,
    /// The attribute; `None` where its name is computed.
    pub name: Option<String>,
    pub site: Site,
}

/// Every patch in the program, in order of files.
pub(super) fn patches(program: &Program) -> Vec<Patch> {
    let files: Vec<FileId> = program.file_ids().collect();
    files.par_iter().flat_map_iter(|file| in_file(program, *file)).collect()
}

fn in_file(program: &Program, id: FileId) -> Vec<Patch> {
    let file = program.file(id);
    let mut out = Vec::new();
    let mut add = |class: Node<'_>, name: Option<String>, value: Option<Node<'_>>, node: Node<'_>| {
        let class = match values::resolve_here(program, id, class) {
            Some(Def::Class(class)) => Patched::Class(class),
            Some(Def::External(path)) => Patched::External(path),
            Some(Def::Function(_) | Def::Module(_)) => return,
            // `model.save = ...` in a loop over models.
            _ if matches!(name.as_deref(), Some("save" | "save_base"))
                && may_be_class(program, id, class)
                && value.is_none_or(|value| may_be_method(program, id, value)) =>
            {
                Patched::Unknown
            }
            _ => return,
        };
        out.push(Patch { class, name, site: Site { file: id, span: node.span() } });
    };
    for node in file.root().descendants() {
        match node.kind() {
            Kind::Assign => {
                let Some(left) = node.child(Field::Left) else { continue };
                let Expr::Attribute { value, attr, .. } = Expr::of(left) else { continue };
                if !matches!(Expr::of(value), Expr::Name("self" | "cls")) {
                    add(value, Some(attr.to_owned()), node.child(Field::Right), node);
                }
            }
            Kind::Call => {
                let Expr::Call { func, arguments: list } = Expr::of(node) else { continue };
                match Expr::of(func) {
                    Expr::Name("setattr") => {
                        if let [class, name, rest @ ..] = arguments(list).as_slice() {
                            let value = rest.first().map(|a| a.value);
                            add(class.value, string_value(name.value), value, node);
                        }
                    }
                    Expr::Attribute { value, attr: "add_to_class", .. } => {
                        if let Some(name) = arguments(list).first() {
                            add(value, string_value(name.value), None, node);
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    out
}

/// Whether an expression that names nothing of the module may hold a class of model: not where the function around it
/// binds the name to instances of a class, and nothing else.
fn may_be_class(program: &Program, file: FileId, node: Node<'_>) -> bool {
    let Expr::Name(name) = Expr::of(node) else {
        // A call's result, an element, an attribute: `form.instance`, `apps.get_model("shop", "Book")`.
        return true;
    };
    let Some(function) = node.enclosing_function() else { return true };
    let makes_instance = |value: Node<'_>| match Expr::of(value) {
        Expr::Call { func, .. } => match values::resolve_here(program, file, func) {
            // A metaclass makes classes.
            Some(Def::Class(class)) => !program.inherits(class, "builtins.type"),
            _ => matches!(Expr::of(func), Expr::Name("super")),
        },
        _ => false,
    };
    let bound: Vec<Node<'_>> = function
        .descendants()
        .filter(|n| n.kind() == Kind::Name && n.is_binding() && n.text() == name)
        .collect();
    let is_instance = |binding: &Node<'_>| {
        binding
            .parent()
            .filter(|p| p.kind() == Kind::Assign && binding.field() == Field::Left)
            .and_then(|p| p.child(Field::Right))
            .is_some_and(makes_instance)
    };
    bound.is_empty() || !bound.iter().all(is_instance)
}

/// Whether a value that is put into a class would get the instance as a method does: not a function without a place
/// for it, nor a bound method.
fn may_be_method(program: &Program, file: FileId, value: Node<'_>) -> bool {
    let takes_one = |function: Node<'_>| {
        let list = parameters(function);
        list.iter().any(|p| {
            matches!(
                p.kind,
                ParameterKind::PositionalOnly
                    | ParameterKind::PositionalOrKeyword
                    | ParameterKind::VarPositional
            )
        })
    };
    match Expr::of(value) {
        Expr::Lambda { .. } => takes_one(value.peel()),
        Expr::Call { func, .. } => match values::resolve_here(program, file, func) {
            Some(Def::External(path)) => path != "types.MethodType" && !path.starts_with("unittest.mock."),
            _ => true,
        },
        Expr::Name(name) => {
            let local = value.enclosing_function().and_then(|function| {
                let mut inner = function.descendants().filter(|n| n.kind() == Kind::FunctionDef);
                inner.find(|n| n.child(Field::Name).is_some_and(|n| n.text() == name))
            });
            match (local, values::resolve_here(program, file, value)) {
                (Some(function), _) => takes_one(function),
                (None, Some(Def::Function(function))) => {
                    let info = program.function(function);
                    takes_one(program.file(info.file).node(info.node))
                }
                _ => true,
            }
        }
        _ => true,
    }
}
