//! Functions that a loop over the rows calls with each of them, and nobody else: what they count may become an attribute
//! of the row.

use super::super::reads::Group;
use super::reader::{Spelled, comes_of_loop};
use crate::codemod::Context;
use crate::infer::{Root, Type};
use crate::python::{
    Def, Expr, Field, FunctionId, Kind, Node, ParameterKind, arguments, generators, parameters,
};
use crate::text::FileId;

/// Whether a count in a function of `file` asks a row of the group alone: every call of the function is one of this frame,
/// and passes such a row.
pub(super) fn gets_rows_alone(cx: &Context<'_>, group: &Group, file: FileId, found: &Spelled<'_>) -> bool {
    let program = cx.project.program();
    let Some(def) = found.whole.enclosing_function() else { return false };
    let Some(function) = program.function_at(file, def.id()) else { return false };
    let info = program.function(function);
    let Expr::Name(name) = Expr::of(found.row) else { return false };
    let params = parameters(def);
    let Some(index) = params.iter().position(|p| p.name == name) else { return false };
    let is_positional =
        |p: &ParameterKind| matches!(p, ParameterKind::PositionalOnly | ParameterKind::PositionalOrKeyword);
    let is_simple = params.iter().take(index + 1).all(|p| is_positional(&p.kind))
        && !info.is_async
        && !info.is_generator
        && !is_rebound(def, name)
        && !is_set(found.whole)
        // The error of a value that the database refuses would come where the rows are loaded.
        && !found.whole.ancestors().take_while(|n| n.id() != def.id()).any(|n| n.kind() == Kind::Try);
    is_simple
        && cx.analyzer.is_known_by_callers(function)
        && calls_pass_rows(cx, group, function, index, name)
}

/// Whether every call of the function stands in this frame and passes a row of the group for the parameter.
fn calls_pass_rows(cx: &Context<'_>, group: &Group, function: FunctionId, index: usize, name: &str) -> bool {
    let program = cx.project.program();
    let info = program.function(function);
    let own = program.function_at(cx.file, cx.facts.scope);
    let mut is_called = false;
    for site in cx.analyzer.call_sites().of(&info.name) {
        let call = program.file(site.file).node(site.call);
        let Expr::Call { func, arguments: list } = Expr::of(call) else { return false };
        let is_other = |def: Def| def != Def::Function(function);
        if info.class.is_none() && program.resolve_expr(site.file, func.peel().id()).is_some_and(is_other) {
            continue;
        }
        let args = arguments(list);
        let at = match index.checked_sub(usize::from(info.class.is_some())) {
            Some(at) if args.iter().all(|a| a.stars == 0) => at,
            _ => return false,
        };
        let given = args
            .iter()
            .find(|a| a.name == Some(name))
            .or_else(|| args.get(at).filter(|a| a.name.is_none()))
            .map(|a| a.value);
        let is_row = given.is_some_and(|row| {
            matches!(cx.type_of(row), Type::Instance(i)
                if i.path.is_empty() && matches!(i.root, Root::Row(v) if group.rows.contains(&v)))
                && comes_of_loop(cx, row)
        });
        if site.file != cx.file || site.function != own || !is_row {
            return false;
        }
        is_called = true;
    }
    is_called
}

/// Whether a function, or a lambda or comprehension in it, binds the name of its parameter anew.
fn is_rebound(def: Node<'_>, name: &str) -> bool {
    let binds = |target: Node<'_>| target.has_name(name);
    def.child(Field::Body).is_some_and(|body| {
        body.descendants().any(|n| match n.kind() {
            Kind::Name => n.is_binding() && n.text() == name,
            Kind::Lambda | Kind::FunctionDef => parameters(n).iter().any(|p| p.name == name),
            Kind::ListComp | Kind::SetComp | Kind::DictComp | Kind::GeneratorExp => {
                generators(n).iter().any(|g| binds(g.target))
            }
            _ => false,
        })
    })
}

/// Whether the count is what an attribute is set to.
fn is_set(whole: Node<'_>) -> bool {
    let parent = whole.with_parens().parent();
    parent
        .filter(|p| p.kind() == Kind::Assign)
        .and_then(|p| p.child(Field::Left))
        .is_some_and(|target| !matches!(Expr::of(target), Expr::Name(_)))
}
