//! Filters and paginators that a view hands its queryset to: a query that groups goes with lookups and orders of columns
//! alone.

use super::super::narrowed::{self, NAMES};
use super::Counting;
use super::settings::{are_columns, is_column};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::ModelId;
use crate::python::{
    Argument, ClassId, Expr, Field, FunctionId, Kind, Member, Node, arguments, is_super, parameters,
    string_value,
};
use crate::text::Site;
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;

/// Methods that mean the same on a query that groups.
const KEPT: &[&str] =
    &["all", "none", "distinct", "count", "exists", "select_related", "prefetch_related", "only", "defer"];

/// What the classes do that get the queryset of one of `views`.
pub(super) fn hazards(
    cx: &Context<'_>,
    found: &Counting,
    views: &[ClassId],
    model: Option<ModelId>,
    out: &mut Vec<Hazard>,
) {
    if !found.is_grouped() {
        return;
    }
    let program = cx.project.program();
    let mut classes: Vec<ClassId> = Vec::new();
    let mut from: BTreeSet<ClassId> = views.iter().copied().collect();
    // A paginator may name another one.
    for _ in 0..2 {
        let handed = narrowed::handed(cx, &from);
        from = handed.iter().flat_map(|class| program.class(*class).mro.iter().copied()).collect();
        classes.extend(&from);
    }
    classes.sort();
    classes.dedup();
    classes.retain(|class| !cx.project.is_known_file(program.class(*class).file));
    for class in classes {
        let info = program.class(class);
        for name in &info.order {
            let bad = match info.members.get(name) {
                // What a request may order by is for the method to say.
                Some(Member::Function(function, _)) if name.contains("ordering") => {
                    let info = program.function(*function);
                    Some(program.name_site(info.file, info.node))
                }
                Some(Member::Function(function, _)) => in_function(cx, *function, model),
                Some(Member::Value(value)) if name == "ordering" => {
                    let value = program.file(info.file).node(*value);
                    let site = Site { file: info.file, span: value.span() };
                    (!are_columns(cx, value, model)).then_some(site)
                }
                _ => None,
            };
            out.extend(bad.map(|site| Hazard::at(HazardKind::QuerySetEscapes, "", site)));
        }
    }
}

/// The first thing that a function does with the queryset it gets which is not known to mean the same.
fn in_function(cx: &Context<'_>, function: FunctionId, model: Option<ModelId>) -> Option<Site> {
    let program = cx.project.program();
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    let mut names: FxHashSet<&str> =
        parameters(def).iter().map(|p| p.name).filter(|name| is_queryset(name)).collect();
    let body = def.child(Field::Body)?;
    // A variable that gets the queryset is another name of it, also where it stands before the assignment.
    for _ in 0..8 {
        let known = names.len();
        for node in body.descendants().filter(|n| n.kind() == Kind::Assign) {
            if let (Some(target), Some(value)) = (node.child(Field::Left), node.child(Field::Right))
                && let Expr::Name(name) = Expr::of(target)
                && value.descendants().any(|n| n.kind() == Kind::Name && names.contains(n.text()))
            {
                names.insert(name);
            }
        }
        if names.len() == known {
            break;
        }
    }
    let mut uses = body.descendants().filter(|n| match Expr::of(*n) {
        Expr::Name(name) => n.kind() == Kind::Name && !n.is_binding() && names.contains(name),
        Expr::Attribute { value, attr, .. } => {
            n.kind() == Kind::Attribute
                && n.field() != Field::Left
                && value.text() == "self"
                && is_queryset(attr)
        }
        _ => false,
    });
    let bad = uses.find_map(|n| strange(cx, n, model))?;
    Some(Site { file: info.file, span: bad.span() })
}

/// Whether a parameter, or an attribute of the object, holds the queryset.
fn is_queryset(name: &str) -> bool {
    name == "object_list" || NAMES.contains(&name)
}

/// The first node up from a name of the queryset where it is used in a way that may mean something else.
fn strange<'a>(cx: &Context<'_>, name: Node<'a>, model: Option<ModelId>) -> Option<Node<'a>> {
    let mut at = name;
    for _ in 0..50 {
        let whole = at.with_parens();
        let parent = whole.parent()?;
        match Expr::of(parent) {
            Expr::Attribute { value, attr, .. } if value.peel() == at.peel() => {
                let call = parent.with_parens().parent();
                let list = call.and_then(|call| match Expr::of(call) {
                    Expr::Call { func, arguments } if func.peel() == parent.peel() => Some((call, arguments)),
                    _ => None,
                });
                let Some((call, list)) = list else { return (attr != "model").then_some(parent) };
                let args = arguments(list);
                let is_plain =
                    |a: &Argument<'_>| a.stars == 0 && a.name.is_some_and(|path| is_column(cx, model, path));
                let is_kept = match attr {
                    "filter" | "exclude" => args.iter().all(is_plain),
                    "order_by" => args.iter().all(|a| {
                        a.stars == 0 && string_value(a.value).is_some_and(|path| is_column(cx, model, &path))
                    }),
                    "distinct" => args.is_empty(),
                    _ => KEPT.contains(&attr),
                };
                if !is_kept {
                    return Some(call);
                }
                at = call;
            }
            Expr::Subscript { value, .. } if value.peel() == at.peel() => at = parent,
            // What the base makes of it is the queryset still, or a page of it.
            _ if parent.kind() == Kind::Arguments && is_of_super(parent) => at = parent.parent()?,
            _ => {
                return match parent.kind() {
                    Kind::Return | Kind::Assign | Kind::ExprStatement | Kind::Not => None,
                    Kind::If | Kind::While | Kind::Compare | Kind::BoolOp => None,
                    Kind::Arguments if is_call_of(parent, "len") => None,
                    _ => Some(parent),
                };
            }
        }
    }
    Some(name)
}

/// Whether arguments are those of a call of the builtin `name`.
fn is_call_of(list: Node<'_>, name: &str) -> bool {
    list.parent().is_some_and(|call| matches!(Expr::of(call), Expr::Call { func, .. } if func.text() == name))
}

/// Whether arguments are those of `super().method()`.
fn is_of_super(list: Node<'_>) -> bool {
    let func = list.parent().and_then(|call| match Expr::of(call) {
        Expr::Call { func, .. } => Some(func),
        _ => None,
    });
    func.is_some_and(|func| matches!(Expr::of(func), Expr::Attribute { value, .. } if is_super(value)))
}
