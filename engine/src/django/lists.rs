//! Lists that class bodies and modules write out: `list_display = BASE + ("title",)`.

use super::values::resolve_here;
use crate::python::{ClassId, Def, Expr, Kind, Member, Node, NodeId, Program};
use crate::text::FileId;

/// Names are followed this far.
const MAX_DEPTH: usize = 8;

/// A list that is written out: its file and place, and the places of its elements.
pub type Listed = (FileId, NodeId, Vec<(FileId, NodeId)>);

/// The elements of the list that `class` has as its attribute `name`, names and sums followed; the attribute's own
/// place comes first. Nothing where some of it is not known.
pub fn listed(program: &Program, class: ClassId, name: &str) -> Option<Listed> {
    let (owner, Member::Value(value)) = program.member(class, name)? else { return None };
    let file = program.class(owner).file;
    let elements = elements(program, file, *value, Some(owner))?;
    Some((file, *value, elements))
}

/// The elements of a list or tuple, names and sums followed; names of the body of `class` come before the module's.
pub fn elements(
    program: &Program,
    file: FileId,
    node: NodeId,
    class: Option<ClassId>,
) -> Option<Vec<(FileId, NodeId)>> {
    let mut out = Vec::new();
    collect_elements(program, file, program.file(file).node(node), class, &mut out, 0)?;
    Some(out)
}

fn collect_elements(
    program: &Program,
    file: FileId,
    node: Node<'_>,
    class: Option<ClassId>,
    out: &mut Vec<(FileId, NodeId)>,
    depth: usize,
) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match Expr::of(node) {
        Expr::List(list) | Expr::Tuple(list) | Expr::Set(list) => {
            for item in list.children() {
                match Expr::of(item) {
                    Expr::Starred(inner) => collect_elements(program, file, inner, class, out, depth + 1)?,
                    _ => out.push((file, item.peel().id())),
                }
            }
            Some(())
        }
        Expr::BinOp { left, op: Kind::Add, right } => {
            collect_elements(program, file, left, class, out, depth + 1)?;
            collect_elements(program, file, right, class, out, depth + 1)
        }
        Expr::Call { func, arguments } if matches!(func.text(), "list" | "tuple") => {
            match crate::python::arguments(arguments).as_slice() {
                [] => Some(()),
                [only] if only.name.is_none() && only.stars == 0 => {
                    collect_elements(program, file, only.value, class, out, depth + 1)
                }
                _ => None,
            }
        }
        Expr::Name(_) | Expr::Attribute { .. } => match named(program, file, node, class)? {
            Def::Variable { file, value: Some(value) } => {
                let node = program.file(file).node(value);
                let owner = class_around(program, file, node);
                collect_elements(program, file, node, owner, out, depth + 1)
            }
            _ => None,
        },
        _ => None,
    }
}

/// What a name in the body of `class`, or in a module, means.
pub fn named(program: &Program, file: FileId, node: Node<'_>, class: Option<ClassId>) -> Option<Def> {
    if let (Expr::Name(name), Some(class)) = (Expr::of(node), class)
        && let Some(member) = program.class(class).members.get(name)
    {
        return Some(match member {
            Member::Function(function, _) => Def::Function(*function),
            Member::Class(class) => Def::Class(*class),
            Member::Value(value) => Def::Variable { file, value: Some(*value) },
            Member::Annotation(_) | Member::Other => Def::Variable { file, value: None },
        });
    }
    resolve_here(program, file, node)
}

/// The class whose body `node` stands in.
pub fn class_around(program: &Program, file: FileId, node: Node<'_>) -> Option<ClassId> {
    let class = node.enclosing_scope().filter(|s| s.kind() == Kind::ClassDef)?;
    program.class_at(file, class.id())
}
