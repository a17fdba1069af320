//! What else happens in the loop: what it does between the rows, and what runs when they are made and stored.

use super::find::{How, Loop, Row};
use super::uses::Uses;
use ormend_engine::codemod::guards::batch::{self, Batch};
use ormend_engine::codemod::guards::writes::{self, Effect, effect, one_line};
use ormend_engine::codemod::{Context, Hazard, HazardKind, Site};
use ormend_engine::django::{ModelId, Signal};
use ormend_engine::infer::{EventKind, Origin, Root, Trait, Type};
use ormend_engine::python::{Def, Expr, Field, FunctionId, Kind, Node, Stmt};

/// The models whose rows are collected, in order of their first create.
pub fn models(found: &Loop<'_>) -> Vec<ModelId> {
    let mut out = Vec::new();
    for row in &found.rows {
        if !out.contains(&row.model) {
            out.push(row.model);
        }
    }
    out
}

/// Everything that happens between the rows.
pub fn between<'a>(cx: &Context<'a>, found: &Loop<'a>, uses: &Uses, out: &mut Vec<Hazard>) {
    let tables = models(found);
    let writes: Vec<Node<'a>> = found.rows.iter().map(|r| r.call).collect();
    let batch = Batch {
        node: found.node,
        iter: found.iter,
        tables: &tables,
        writes: &writes,
        judged: &uses.reported,
        is_update: false,
    };
    batch::between(cx, &batch, out);
    owners(cx, found, out);
    awaited(cx, found, out);
    for model in &tables {
        constructors(cx, *model, &tables, out);
    }
    for row in &found.rows {
        storing(cx, row, &tables, out);
    }
}

/// What else the loop waits for, other than queries: its order among the rows can be seen.
fn awaited<'a>(cx: &Context<'a>, found: &Loop<'a>, out: &mut Vec<Hazard>) {
    for node in found.node.descendants().filter(|n| n.kind() == Kind::Await) {
        if node.enclosing_scope() != Some(cx.scope()) || found.rows.iter().any(|r| r.whole() == node) {
            continue;
        }
        let is_judged = cx.events_in(node).any(|e| {
            matches!(
                e.kind,
                EventKind::Query { .. }
                    | EventKind::Write { .. }
                    | EventKind::ReadMany { .. }
                    | EventKind::Outside { .. }
                    | EventKind::UnknownCall { .. }
            )
        });
        if !is_judged {
            let subject = match Expr::of(node) {
                Expr::Await(inner) => match Expr::of(inner) {
                    Expr::Call { func, .. } => one_line(func.text()),
                    _ => one_line(inner.text()),
                },
                _ => one_line(node.text()),
            };
            out.push(cx.hazard(HazardKind::OutsideEffect, subject, node));
        }
    }
}

/// Code that runs when an instance is made: defaults, `__init__`, receivers. It runs in the same place as before,
/// but the rows of earlier turns are not there.
fn constructors(cx: &Context<'_>, model: ModelId, tables: &[ModelId], out: &mut Vec<Hazard>) {
    let mut functions = writes::callable_defaults(cx.project, model);
    functions.extend(cx.project.method(model, "__init__"));
    for signal in [Signal::PreInit, Signal::PostInit] {
        functions.extend(cx.project.receivers(model, signal).iter().filter_map(|r| r.function));
    }
    for function in functions {
        shared_default(cx, function, out);
        let name = cx.project.program().function(function).name.clone();
        for event in cx.analyzer.function(function).events() {
            let kind = match effect(cx, event, tables) {
                Some(Effect::Reads) => HazardKind::ReadsItsOwnWrites,
                Some(Effect::Writes(_)) => HazardKind::InterleavedWrites,
                Some(Effect::Unknown) => HazardKind::UnknownCall,
                _ => continue,
            };
            out.push(Hazard::at(kind, name.clone(), event.site));
        }
    }
}

/// A default that gives one object of its module to every row, and may change it between them.
fn shared_default(cx: &Context<'_>, function: FunctionId, out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    for node in def.descendants().filter(|n| n.kind() == Kind::Return) {
        let Stmt::Return(Some(value)) = Stmt::of(node) else { continue };
        let Expr::Name(name) = Expr::of(value) else { continue };
        let Some(Def::Variable { file, value: Some(made) }) = program.global(info.file, name) else {
            continue;
        };
        let made = program.file(file).node(made);
        let is_mutable =
            matches!(Expr::of(made), Expr::Dict(_) | Expr::List(_) | Expr::Set(_) | Expr::Call { .. })
                || matches!(made.kind(), Kind::ListComp | Kind::DictComp | Kind::SetComp);
        if is_mutable && !binds_in(def, name) {
            out.push(Hazard::at(HazardKind::SharedValue, name, Site { file: info.file, span: node.span() }));
        }
    }
}

fn binds_in(def: Node<'_>, name: &str) -> bool {
    def.mentions(name).any(Node::is_binding)
}

/// Code of the project that makes the stored value out of the given one: setters, fields, names of files.
fn storing(cx: &Context<'_>, row: &Row<'_>, tables: &[ModelId], out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    let class = cx.model(row.model).class;
    let mut functions = writes::storing_functions(cx.project, row.model);
    // `create(full_name=...)` calls the setter of a property.
    for id in &program.class(class).mro {
        let info = program.class(*id);
        let file = program.file(info.file);
        if cx.project.is_known_file(info.file) || !file.source.mentions(".setter") {
            continue;
        }
        let methods = file.node(info.node).descendants().filter(|n| n.kind() == Kind::FunctionDef);
        for method in methods.filter(|n| n.parent().is_some_and(|p| p.text().contains(".setter"))) {
            let name = method.child(Field::Name).map(Node::text);
            let by_maker = row.maker().is_some_and(|m| m.names().into_iter().any(|n| Some(n) == name));
            if by_maker || row.arguments().iter().any(|a| a.name.is_some() && a.name == name) {
                functions.extend(program.function_at(info.file, method.id()));
            }
        }
    }
    for function in functions {
        let name = &program.function(function).name;
        for event in cx.analyzer.function(function).events() {
            let kind = match effect(cx, event, tables) {
                Some(Effect::Reads) => HazardKind::ReadsItsOwnWrites,
                Some(Effect::Writes(_)) => HazardKind::InterleavedWrites,
                _ => continue,
            };
            out.push(Hazard::at(kind, name.clone(), event.site));
        }
    }
}

/// Owners whose rows were read ahead: `author.books.create()` forgets them, so that the next reader asks again.
fn owners<'a>(cx: &Context<'a>, found: &Loop<'a>, out: &mut Vec<Hazard>) {
    for row in &found.rows {
        let How::Create { owner: Some((owner, _)), manager, .. } = &row.how else { continue };
        let Type::Instance(instance) = cx.type_of(*owner) else { continue };
        let value = match instance.root {
            Root::Value(id) | Root::Row(id) => cx.value(id),
            Root::Opaque => None,
        };
        let is_read_here = value.is_some_and(|v| matches!(v.origin, Origin::Expr(_)) && v.site.is_none());
        let is_ahead = value.is_some_and(|value| {
            value.queryset.as_ref().is_some_and(|qs| !qs.prefetched.is_empty() || qs.is(Trait::OpaquePrefetch))
                || matches!(value.origin, Origin::Expr(made) if cx.node(made).text().contains("prefetch_related"))
        });
        // Whoever hands the owner in may have read its rows ahead, and may look at them again.
        let accessor = match cx.type_of(*manager) {
            Type::Manager(m) => m.related.as_ref().map(|r| r.accessor.clone()),
            _ => None,
        };
        let may_be_ahead =
            || !is_read_here && accessor.is_some_and(|a| cx.analyzer.prefetches().named(&a).is_some());
        if is_ahead || may_be_ahead() {
            out.push(cx.hazard(HazardKind::InstanceUsedAfterwards, one_line(owner.text()), *owner));
        }
    }
}

/// Whether the loop's rows are written through a manager or save() of a class that is not fixed: `cls`, `self.model`.
pub fn is_open_class(found: &Loop<'_>, index: usize) -> bool {
    let class = match found.rows.get(index).map(|r| &r.how) {
        Some(How::Create { class: Some(class), .. }) => *class,
        Some(How::Save { maker: Some(maker), .. }) => return maker.is_open(),
        Some(How::Save { constructor, .. }) => match Expr::of(*constructor) {
            Expr::Call { func, .. } => func.peel(),
            _ => return true,
        },
        _ => return false,
    };
    matches!(Expr::of(class), Expr::Name("cls" | "self") | Expr::Call { .. })
        || class.text().starts_with("self.")
        || class.text().starts_with("cls.")
}
