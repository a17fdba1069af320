//! Code that may leave rows out after they were loaded: a page that is filtered in Python, or empty. Where it leaves out all of
//! them, a prefetch was for nothing.

use super::guards;
use super::reads::Load;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::python::{Expr, FunctionId, Kind, Node, generators};
use crate::text::Site;

/// Hazards of a method that stands between the rows and what shows them.
pub(super) fn hazards(cx: &Context<'_>, function: FunctionId, load: Load, out: &mut Vec<Hazard>) {
    const BETWEEN: &[&str] = &["paginate_queryset", "get_serializer", "page", "get_page", "_get_page"];
    let info = cx.project.program().function(function);
    if load != Load::Prefetch || !BETWEEN.contains(&info.name.as_str()) {
        return;
    }
    let def = cx.project.program().file(info.file).node(info.node);
    let thins = |n: &Node<'_>| match n.kind() {
        kind if kind.is_comprehension() => generators(*n).iter().any(|g| !g.conditions.is_empty()),
        Kind::Return => n
            .descendants()
            .any(|d| matches!(d.kind(), Kind::List | Kind::Tuple) && d.children().next().is_none()),
        Kind::Call => {
            matches!(Expr::of(*n), Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Name("filter")))
        }
        _ => false,
    };
    if let Some(node) = def.descendants().find(thins) {
        let site = Site { file: info.file, span: node.span() };
        out.push(Hazard::at(HazardKind::LoadedWithout, guards::first_line(node), site));
    }
}
