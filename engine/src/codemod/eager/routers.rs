//! With database routers a lazy read may ask another database than the one that a join or prefetch can reach.

use super::step::Step;
use crate::codemod::{Hazard, HazardKind};
use crate::django::Project;
use crate::python::{
    ClassId, Def, Expr, Field, FunctionId, Kind, Member, Node, Program, arguments, parameters, string_value,
};
use crate::text::{FileId, Site};
use std::collections::BTreeSet;

/// Names are followed this far.
const MAX_HOPS: usize = 5;

/// Routers that may send the models of a path to different databases.
pub fn routed(project: &Project, steps: &[Step], out: &mut Vec<Hazard>) {
    let Some(step) = steps.first() else { return };
    let labels: BTreeSet<&str> = steps
        .iter()
        .flat_map(|s| [Some(s.from), Some(s.to), s.through])
        .flatten()
        .chain(steps.iter().filter(|s| s.is_generic).flat_map(|_| project.models().iter().map(|m| m.id)))
        .map(|model| project.model(model).app_label.as_str())
        .collect();
    for &file in &project.settings().files {
        let settings = project.program().file(file);
        if !settings.source.mentions("DATABASE_ROUTERS") {
            continue;
        }
        let routers = settings.root().descendants().find(|n| {
            n.kind() == Kind::Assign
                && n.child(Field::Left).is_some_and(|l| l.text() == "DATABASE_ROUTERS")
                && n.child(Field::Right).is_some_and(|r| {
                    !matches!(Expr::of(r), Expr::List(_) | Expr::Tuple(_))
                        || r.peel().children().any(|router| !is_blind_router(project, router, &labels))
                })
        });
        if let Some(node) = routers {
            let site = Site { file, span: node.span() };
            let subject = project.model(step.to).name.clone();
            out.push(Hazard::at(HazardKind::OtherDatabase, subject, site));
            return;
        }
    }
}

/// Routers of packages that pick a replica without a look at model or row.
const BLIND_ROUTERS: [&str; 5] = [
    "multidb.MasterSlaveRouter",
    "multidb.PinningMasterSlaveRouter",
    "multidb.ReplicaRouter",
    "multidb.PinningReplicaRouter",
    "django_replicated.router.ReplicationRouter",
];

/// Whether a router answers the same for models of the apps with these labels, whatever the row.
fn is_blind_router(project: &Project, router: Node<'_>, labels: &BTreeSet<&str>) -> bool {
    let program = project.program();
    let Some(path) = string_value(router) else { return false };
    if BLIND_ROUTERS.contains(&path.as_str()) {
        return true;
    }
    let Some(Def::Class(class)) = program.dotted(&path, None) else { return false };
    let function = match program.member(class, "db_for_read") {
        Some((_, Member::Function(function, _))) => *function,
        Some(_) => return false,
        None => return !program.class(class).has_unknown_base,
    };
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    let names: Vec<&str> = parameters(def).iter().skip(1).map(|p| p.name).collect();
    let Some(body) = def.child(Field::Body) else { return false };
    let mut compared = BTreeSet::new();
    for name in body.descendants().filter(|n| n.kind() == Kind::Name) {
        let is_read = matches!(Expr::of(name), Expr::Name(name) if names.contains(&name));
        if !is_read || is_no_value(name) {
            continue;
        }
        let label = label_of(program, info.file, name);
        if label.and_then(|label| told_apart(program, (info.file, class), label, &mut compared)).is_none() {
            return false;
        }
    }
    labels.len() <= 1 || labels.iter().all(|label| !compared.contains(*label))
}

/// The name of an attribute or of a keyword.
fn is_no_value(name: Node<'_>) -> bool {
    name.parent().is_some_and(|parent| match Expr::of(parent) {
        Expr::Attribute { value, .. } => value.peel() != name,
        _ => parent.kind() == Kind::KeywordArgument && name.field() != Field::Value,
    })
}

/// `model._meta.app_label`, or a call of a function that gives just that, around the name of the model.
fn label_of<'a>(program: &'a Program, file: FileId, model: Node<'a>) -> Option<Node<'a>> {
    let parent = model.with_parens().parent()?;
    if let Expr::Attribute { attr: "_meta", .. } = Expr::of(parent) {
        let label = parent.with_parens().parent()?;
        return matches!(Expr::of(label), Expr::Attribute { attr: "app_label", .. }).then_some(label);
    }
    let call = model.ancestors().take(3).find(|n| n.kind() == Kind::Call)?;
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let list = arguments(list);
    let [only] = list.as_slice() else { return None };
    let Def::Function(function) = program.resolve_expr(file, func.peel().id())? else { return None };
    (only.value.peel() == model && only.stars == 0 && gives_label(program, function)).then_some(call)
}

/// `def app_label(model): return model._meta.app_label`
fn gives_label(program: &Program, function: FunctionId) -> bool {
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    let params = parameters(def);
    let [only] = params.as_slice() else { return false };
    let Some(body) = def.child(Field::Body) else { return false };
    let mut statements = body.children();
    let (Some(statement), None) = (statements.next(), statements.next()) else { return false };
    statement.kind() == Kind::Return
        && info.decorators.is_empty()
        && statement
            .children()
            .next()
            .is_some_and(|value| value.text() == format!("{}._meta.app_label", only.name))
}

/// Collect the labels that a router tells apart by what it does with the expression `label`: it compares it, or looks it
/// up. Nothing for any other use.
fn told_apart(
    program: &Program,
    (file, class): (FileId, ClassId),
    label: Node<'_>,
    out: &mut BTreeSet<String>,
) -> Option<()> {
    let label = label.with_parens();
    let parent = label.parent()?;
    match Expr::of(parent) {
        Expr::Compare { left, op: op @ (Kind::Eq | Kind::NotEq | Kind::In | Kind::NotIn), right } => {
            let other = if left.with_parens() == label { right } else { left };
            // Parts of a string are no labels.
            if matches!(op, Kind::In | Kind::NotIn) && is_string(program, file, other, 0) {
                return None;
            }
            labels_in(program, (file, class), other, out, 0)
        }
        Expr::Subscript { value, .. } if value.with_parens() != label => {
            labels_in(program, (file, class), value, out, 0)
        }
        _ => {
            // `self.databases.get(label)`
            let call = parent.parent()?;
            let Expr::Call { func, .. } = Expr::of(call) else { return None };
            let Expr::Attribute { value, attr: "get", .. } = Expr::of(func) else { return None };
            labels_in(program, (file, class), value, out, 0)
        }
    }
}

/// Whether an expression is a string, or the name of one.
fn is_string(program: &Program, file: FileId, node: Node<'_>, depth: usize) -> bool {
    match Expr::of(node) {
        Expr::Str(_) => true,
        Expr::Name(_) | Expr::Attribute { .. } if depth < MAX_HOPS => {
            matches!(program.resolve_expr(file, node.peel().id()), Some(Def::Variable { file, value: Some(value) })
                if is_string(program, file, program.file(file).node(value), depth + 1))
        }
        _ => false,
    }
}

/// The strings in an expression, in the constants that it names, and for an attribute of the router in all of its class.
fn labels_in(
    program: &Program,
    (file, class): (FileId, ClassId),
    node: Node<'_>,
    out: &mut BTreeSet<String>,
    depth: usize,
) -> Option<()> {
    if depth > MAX_HOPS {
        return None;
    }
    match Expr::of(node) {
        Expr::Str(_) => {
            out.insert(string_value(node)?);
            Some(())
        }
        Expr::List(items) | Expr::Tuple(items) | Expr::Set(items) => {
            items.children().try_for_each(|n| labels_in(program, (file, class), n, out, depth + 1))
        }
        Expr::Attribute { value, attr, .. } if matches!(Expr::of(value), Expr::Name("self" | "cls")) => {
            let info = program.class(class);
            let is_whole = !info.has_unknown_base
                && info.external_bases.iter().all(|b| b.starts_with("builtins."))
                && is_filled_literally(program, class, attr);
            let bodies = info.mro.iter().map(|c| program.class(*c));
            for above in bodies {
                let body = program.file(above.file).node(above.node);
                out.extend(body.descendants().filter(|n| n.kind() == Kind::Str).filter_map(string_value));
            }
            is_whole.then_some(())
        }
        Expr::Name(_) | Expr::Attribute { .. } => match program.resolve_expr(file, node.peel().id())? {
            Def::Variable { file, value: Some(value) } => {
                let value = program.file(file).node(value);
                labels_in(program, (file, class), value, out, depth + 1)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether all that the class puts into its attribute stands there as literals.
fn is_filled_literally(program: &Program, class: ClassId, name: &str) -> bool {
    const MAKERS: &[&str] = &["defaultdict", "dict", "frozenset", "list", "set", "tuple"];
    let is_literal = |node: Node<'_>| {
        node.descendants().all(|n| match Expr::of(n) {
            Expr::Name(name) => n.kind() != Kind::Name || MAKERS.contains(&name),
            Expr::Attribute { .. } => n.kind() != Kind::Attribute,
            _ => true,
        })
    };
    let mut is_given = false;
    for above in &program.class(class).mro {
        let info = program.class(*above);
        for node in program.file(info.file).node(info.node).descendants() {
            let is_it = match Expr::of(node) {
                Expr::Attribute { attr, .. } => node.kind() == Kind::Attribute && attr == name,
                Expr::Name(bound) => node.kind() == Kind::Name && bound == name && node.is_binding(),
                _ => false,
            };
            let Some(parent) = node.parent().filter(|_| is_it) else { continue };
            let is_filled = match parent.kind() {
                Kind::Assign if node.field() == Field::Left => {
                    is_given = true;
                    parent.child(Field::Right).is_some_and(is_literal)
                }
                // A method of what is in it.
                Kind::Attribute => match (Expr::of(parent), parent.parent().map(Expr::of)) {
                    (Expr::Attribute { attr: "get", .. }, _) => true,
                    (_, Some(Expr::Call { arguments: list, .. })) => is_literal(list),
                    _ => false,
                },
                _ => !node.is_binding(),
            };
            if !is_filled {
                return false;
            }
        }
    }
    is_given
}
