//! List serializers: what writes several rows, one after the other.

use super::declared::{Meta, framework_name, has_plain_bases};
use crate::infer::frame::Frame;
use crate::python::{Binding, ClassId, Def, Expr, Field, Kind, Member, Node, Stmt, arguments, parameters};

impl Frame<'_, '_> {
    /// `Meta.list_serializer_class` writes the rows as they come.
    pub(super) fn has_plain_list(&self, serializer: ClassId) -> bool {
        let project = self.az.project;
        let Some(meta) = Meta::of(project, serializer) else { return true };
        match meta.def("list_serializer_class") {
            Some(Def::External(path)) => framework_name(&path) == Some("ListSerializer"),
            Some(Def::Class(list)) => {
                let program = project.program();
                let is_handed_on = match program.member(list, "to_representation") {
                    Some((_, Member::Function(function, Binding::Method))) => {
                        let info = program.function(*function);
                        hands_rows_on(program.file(info.file).node(info.node))
                    }
                    other => other.is_none(),
                };
                is_handed_on
                    && has_plain_bases(project, list)
                    && ["data", "__init__", "__new__"].iter().all(|n| program.member(list, n).is_none())
            }
            Some(_) => false,
            None => !meta.has("list_serializer_class"),
        }
    }
}

/// Whether `to_representation(self, rows)` of a list serializer gives what the framework's own gives for the same rows.
fn hands_rows_on(def: Node<'_>) -> bool {
    let Some(rows) = parameters(def).get(1).map(|p| p.name) else { return false };
    let is_bound = |n: Node<'_>| n.kind() == Kind::Name && n.text() == rows && n.is_binding();
    let Some(body) = def.child(Field::Body) else { return false };
    let last = body.children().last().map(Stmt::of);
    let Some(Stmt::Return(Some(value))) = last else { return false };
    let Expr::Call { func, arguments: list } = Expr::of(value) else { return false };
    let Expr::Attribute { value: owner, attr: "to_representation", .. } = Expr::of(func) else {
        return false;
    };
    let given = arguments(list);
    owner.text().starts_with("super(")
        && matches!(given.as_slice(), [only] if matches!(Expr::of(only.value), Expr::Name(n) if n == rows))
        && !body
            .descendants()
            .any(|n| is_bound(n) || n.kind() == Kind::Return && Some(n) != body.children().last())
}
