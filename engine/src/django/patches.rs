//! Attributes that code puts into classes from outside their bodies: `Book.save = ...`, `setattr(Book, "save", ...)`,
//! `Book.add_to_class("save", ...)`.

use super::values;
use crate::python::{ClassId, Def, Expr, Field, Kind, Node, Program, arguments, string_value};
use crate::text::{FileId, Site};
use rayon::prelude::*;

/// The class that is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Patched {
    Class(ClassId),
    /// A class outside the program, by its dotted path.
    External(String),
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
    let mut add = |class: Node<'_>, name: Option<String>, node: Node<'_>| {
        let class = match values::resolve_here(program, id, class) {
            Some(Def::Class(class)) => Patched::Class(class),
            Some(Def::External(path)) => Patched::External(path),
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
                    add(value, Some(attr.to_owned()), node);
                }
            }
            Kind::Call => {
                let Expr::Call { func, arguments: list } = Expr::of(node) else { continue };
                match Expr::of(func) {
                    Expr::Name("setattr") => {
                        if let [class, name, ..] = arguments(list).as_slice() {
                            add(class.value, string_value(name.value), node);
                        }
                    }
                    Expr::Attribute { value, attr: "add_to_class", .. } => {
                        if let Some(name) = arguments(list).first() {
                            add(value, string_value(name.value), node);
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
