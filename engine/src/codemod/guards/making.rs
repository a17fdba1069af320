//! How a model makes its instances, for rewrites that make fewer of them or none.

use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{ModelId, Signal};
use crate::python::{Expr, Kind, Member, Node, Stmt, arguments};
use crate::text::Site;

/// Nothing may watch how instances are made.
pub fn instances(cx: &Context<'_>, model: ModelId, out: &mut Vec<Hazard>) {
    for signal in [Signal::PreInit, Signal::PostInit] {
        for receiver in cx.project.receivers(model, signal) {
            out.push(Hazard::at(HazardKind::CustomInstance, receiver.name.clone(), receiver.site));
        }
    }
    for name in ["__init__", "__new__", "from_db"] {
        if let Some((what, site)) = overridden(cx, model, name)
            && !is_plain(cx, model, name)
        {
            out.push(Hazard::at(HazardKind::CustomInstance, what, site));
        }
    }
}

/// `Model.method`, where the model or a base of the program defines it.
pub fn overridden(cx: &Context<'_>, model: ModelId, name: &str) -> Option<(String, Site)> {
    let site = cx.project.override_of(model, name)?;
    let program = cx.project.program();
    let (owner, _) = program.member(cx.model(model).class, name)?;
    Some((format!("{}.{name}", program.class(owner).name), site))
}

/// Whether the model's own `__init__` or `from_db` does nothing that outlives the instance: it calls `super()` and
/// puts plain values and columns into attributes of the instance.
pub fn is_plain(cx: &Context<'_>, model: ModelId, name: &str) -> bool {
    if cx.project.override_of(model, "__setattr__").is_some() {
        return false;
    }
    let program = cx.project.program();
    // Every override along the way must be plain, not only the last one.
    let class = cx.model(model).class;
    let mut found = false;
    for owner in &program.class(class).mro {
        let info = program.class(*owner);
        let Some(member) = info.members.get(name) else { continue };
        let Member::Function(function, _) = member else { return false };
        let function = program.function(*function);
        let file = program.file(function.file);
        let Some(body) = file.node(function.node).child(crate::python::Field::Body) else { return false };
        if !function
            .decorators
            .iter()
            .flatten()
            .all(|d| matches!(d, crate::python::Def::External(p) if p == "builtins.classmethod"))
            || !body.children().all(|s| is_plain_statement(cx, model, s, name))
        {
            return false;
        }
        found = true;
    }
    found
}

fn is_plain_statement(cx: &Context<'_>, model: ModelId, statement: Node<'_>, name: &str) -> bool {
    match Stmt::of(statement) {
        Stmt::Pass => true,
        Stmt::Expr(value) => matches!(Expr::of(value), Expr::Str(_)) || is_super_call(value, name),
        Stmt::Return(Some(value)) => matches!(Expr::of(value), Expr::Name(_)) || is_super_call(value, name),
        Stmt::Assign { targets, value, .. } => {
            let into_instance = targets.iter().all(|t| match Expr::of(*t) {
                Expr::Attribute { value, attr, .. } => {
                    matches!(Expr::of(value), Expr::Name("self" | "instance" | "obj"))
                        && !is_defined(cx, model, attr)
                }
                Expr::Name("instance" | "obj") => true,
                _ => false,
            });
            into_instance && value.is_none_or(|v| is_super_call(v, name) || is_plain_value(cx, model, v, 0))
        }
        _ => false,
    }
}

/// Whether the class defines the attribute itself: a property's setter may do anything.
fn is_defined(cx: &Context<'_>, model: ModelId, attr: &str) -> bool {
    matches!(
        cx.project.program().member(cx.model(model).class, attr),
        Some((_, Member::Function(..) | Member::Class(_) | Member::Other))
    )
}

fn is_super_call(node: Node<'_>, name: &str) -> bool {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return false };
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return false };
    attr == name
        && matches!(Expr::of(value), Expr::Call { func, .. } if matches!(Expr::of(func), Expr::Name("super")))
        && list.kind() == Kind::Arguments
        && arguments(list).iter().all(|a| matches!(Expr::of(a.value), Expr::Name(_)))
}

fn is_plain_value(cx: &Context<'_>, model: ModelId, node: Node<'_>, depth: usize) -> bool {
    if depth > 10 {
        return false;
    }
    match Expr::of(node) {
        Expr::Name(_) | Expr::Str(_) | Expr::Int(_) | Expr::Float | Expr::True | Expr::False | Expr::None => {
            true
        }
        Expr::List(inner) | Expr::Tuple(inner) | Expr::Set(inner) => {
            inner.children().all(|c| is_plain_value(cx, model, c, depth + 1))
        }
        Expr::Dict(inner) => inner.children().next().is_none(),
        Expr::Attribute { value, attr, .. } => {
            let info = cx.model(model);
            let column =
                info.field_by_attname(attr).is_some_and(|f| f.kind.is_plain_column() && !f.has_hooks)
                    || info.field_by_attname(attr).is_some_and(|f| f.attname != f.name);
            matches!(Expr::of(value), Expr::Name("self" | "instance" | "obj")) && (column || attr == "pk")
        }
        _ => false,
    }
}
