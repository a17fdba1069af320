//! What else happens in the loop, and what stands around it.

use super::find::{How, Loop, Row, innermost_loop};
use super::uses::Uses;
use ormend_engine::codemod::guards::callers::call_sites;
use ormend_engine::codemod::guards::handlers::{
    external_path, is_atomic, swallowing_caller, swallowing_decorator, swallows,
};
use ormend_engine::codemod::guards::lazy::{has_unknown_factory, is_lazy_name};
use ormend_engine::codemod::guards::writes::{
    self, Effect, call_subject, callee_subject, effect, is_in_callee, node_of, one_line, saves_plainly,
};
use ormend_engine::codemod::{Context, Hazard, HazardKind, Site};
use ormend_engine::django::{ModelId, Signal};
use ormend_engine::infer::{Event, EventKind, Origin, Root, Trait, Type, Write};
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
    let atomic = in_atomic(cx, found.node);
    for event in cx.events_in(found.node) {
        if found.rows.iter().any(|r| r.call.id() == event.at)
            || uses.reported.iter().any(|id| cx.node(*id).contains(event.at))
        {
            continue;
        }
        let at = cx.node(event.at);
        if found.iter.contains(event.at) && !is_lazy(cx, found.iter, event) {
            continue;
        }
        // What waits for the commit of a transaction around the loop runs after all rows either way.
        if let Some(call) = on_commit_around(cx, found.node, at)
            && (atomic || inner_atomic(cx, found.node, call))
        {
            continue;
        }
        hazard_of(cx, found, event, &tables, atomic, out);
    }
    for name in found.iter.descendants().filter(|n| n.kind() == Kind::Name) {
        lazy_source(cx, found, name, &tables, out);
    }
    // `next(numbers)`
    let body = found.node.descendants().filter(|n| n.kind() == Kind::Name && !found.iter.contains(n.id()));
    for name in body.filter(|n| matches!(cx.type_of(*n), Type::Iterator(_))) {
        lazy_source(cx, found, name, &tables, out);
    }
    owners(cx, found, out);
    for model in &tables {
        constructors(cx, *model, &tables, out);
    }
    for row in &found.rows {
        storing(cx, row, &tables, out);
    }
    exits(cx, found, atomic, out);
    handlers(cx, found, out);
    handlers_outside(cx, found, atomic, out);
    for name in found.node.descendants().filter(|n| n.kind() == Kind::Name) {
        let is_read = !name.is_binding() && name.enclosing_scope() == Some(cx.scope());
        if is_read && (is_lazy_name(cx, name) || has_unknown_factory(cx, name)) {
            out.push(cx.hazard(HazardKind::UnknownCall, name.text(), name));
        }
    }
}

fn hazard_of<'a>(
    cx: &Context<'a>,
    found: &Loop<'a>,
    event: &Event,
    tables: &[ModelId],
    atomic: bool,
    out: &mut Vec<Hazard>,
) {
    let Some(effect) = effect(cx, event, tables) else { return };
    let at = cx.node(event.at);
    // Code that the engine brought along is nobody's to look at.
    let site = if cx.project.is_known_file(event.site.file) { cx.site(at) } else { event.site };
    let push = |out: &mut Vec<Hazard>, kind, subject| out.push(Hazard::at(kind, subject, site));
    match effect {
        Effect::Reads => {
            if let Some(method) = validation(at)
                && !is_in_callee(cx, event)
            {
                if validates_rows(cx, found, at, tables) {
                    push(out, HazardKind::ReadsItsOwnWrites, method.to_owned());
                }
                return;
            }
            push(out, HazardKind::ReadsItsOwnWrites, reading_subject(cx, event));
        }
        Effect::Writes(_) => {
            if is_upsert_node(at) {
                push(out, HazardKind::ReadsItsOwnWrites, callee_subject(cx, event));
            } else {
                push(out, HazardKind::InterleavedWrites, callee_subject(cx, event));
            }
        }
        Effect::WritesOther(model, write) => {
            let is_upsert = || node_of(cx, event).is_some_and(is_upsert_node);
            let harmless = write == Write::Insert || write == Write::Update && is_upsert();
            if !(harmless && saves_plainly(cx, model)) {
                push(out, HazardKind::InterleavedWrites, callee_subject(cx, event));
            }
        }
        Effect::Outside => push(out, HazardKind::OutsideEffect, callee_subject(cx, event)),
        Effect::Unknown => {
            let EventKind::UnknownCall { name } = &event.kind else { return };
            push(out, HazardKind::UnknownCall, name.to_string());
        }
        Effect::Transaction => {
            let subject = callee_subject(cx, event);
            let waits = subject.ends_with("on_commit");
            if !(waits && (atomic || inner_atomic(cx, found.node, at))) {
                push(out, HazardKind::TransactionInside, subject);
            }
        }
        Effect::Raises => {
            let explicit = node_of(cx, event)
                .is_some_and(|n| matches!(n.kind(), Kind::Raise | Kind::Assert) || validation(n).is_some());
            let direct = !is_in_callee(cx, event) && matches!(at.kind(), Kind::Raise);
            if explicit && !direct && !atomic && !is_caught(at, found.node) {
                push(out, HazardKind::EarlyExit, callee_subject(cx, event));
            }
        }
        Effect::Suspends => {
            if is_in_callee(cx, event) {
                push(out, HazardKind::EarlyExit, callee_subject(cx, event));
            }
        }
    }
}

fn reading_subject(cx: &Context<'_>, event: &Event) -> String {
    if is_upsert_node(cx.node(event.at)) { callee_subject(cx, event) } else { call_subject(cx, event) }
}

/// `x.full_clean`, where the node is a call of it.
fn validation(node: Node<'_>) -> Option<&str> {
    let Expr::Call { func, .. } = Expr::of(node) else { return None };
    match Expr::of(func) {
        Expr::Attribute {
            attr: "full_clean" | "validate_unique" | "validate_constraints" | "clean_fields",
            ..
        } => Some(func.text()),
        _ => None,
    }
}

/// Whether validating the instance asks the tables that are written: for what is unique, or for a parent row.
fn validates_rows<'a>(cx: &Context<'a>, found: &Loop<'a>, call: Node<'a>, tables: &[ModelId]) -> bool {
    let Expr::Call { func, .. } = Expr::of(call) else { return true };
    let Expr::Attribute { value, .. } = Expr::of(func) else { return true };
    let Type::Instance(instance) = cx.type_of(value) else { return true };
    let model = cx.model(instance.model);
    let key = model.primary_key().map(|k| k.name.as_str());
    let unique = model.unique.iter().any(|set| set.iter().any(|f| Some(f.as_str()) != key));
    let program = cx.project.program();
    // Constraints with conditions, `unique_for_date`, overrides of `clean()` and its like.
    let says_unique = program.class(model.class).mro.iter().any(|c| {
        let class = program.class(*c);
        let text = program.file(class.file).node(class.node).text();
        text.contains("nique") || text.contains("ExclusionConstraint")
    });
    let points_at_row = found.rows.len() > 1
        && model.fields.iter().any(|f| {
            f.relation
                .as_ref()
                .and_then(|r| r.target)
                .is_some_and(|t| tables.iter().any(|table| writes::shares_table(cx.project, t, *table)))
        });
    unique || says_unique || points_at_row
}

fn is_upsert_node(node: Node<'_>) -> bool {
    let Expr::Call { func, .. } = Expr::of(node) else { return false };
    matches!(Expr::of(func), Expr::Attribute { attr: "get_or_create" | "update_or_create", .. })
}

// ---- the source of the loop ----

/// Whether what happens at `event`, in the source of a loop, happens at every turn rather than once before them.
fn is_lazy<'a>(cx: &Context<'a>, source: Node<'a>, event: &Event) -> bool {
    let at = cx.node(event.at);
    // `.iterator()` fetches while the loop runs.
    if let Expr::Call { func, .. } = Expr::of(at)
        && matches!(Expr::of(func), Expr::Attribute { attr: "iterator", .. })
        && matches!(cx.type_of(at), Type::Iterator(_))
    {
        return true;
    }
    let mut child = at;
    let chain =
        std::iter::once(at).chain(at.ancestors()).take_while(|n| n.id() >= source.id()).collect::<Vec<_>>();
    for node in &chain {
        match node.kind() {
            Kind::Lambda => return true,
            // The first source of a generator expression is made at once, the rest when it is asked.
            Kind::GeneratorExp => {
                let first = ormend_engine::python::generators(*node).first().map(|g| g.iter);
                if !first.is_some_and(|f| f.contains(at.id())) {
                    return true;
                }
            }
            _ => {}
        }
        child = *node;
    }
    let _ = child;
    if !is_in_callee(cx, event) {
        return false;
    }
    // An object of the project may make its items one by one.
    if matches!(cx.type_of(at), Type::Object(_)) {
        return true;
    }
    // A generator function runs turn by turn, unless something below takes it all.
    for node in &chain {
        match cx.type_of(*node) {
            Type::List(_) | Type::Set(_) | Type::Dict(_) | Type::QuerySet(_) | Type::Tuple(_) | Type::Str => {
                return false;
            }
            Type::Iterator(_) | Type::Unknown if node.kind() == Kind::Call => return true,
            _ => {}
        }
    }
    false
}

/// A variable in the source that holds a generator: it runs turn by turn with the loop, wherever it was made.
fn lazy_source<'a>(
    cx: &Context<'a>,
    found: &Loop<'a>,
    name: Node<'a>,
    tables: &[ModelId],
    out: &mut Vec<Hazard>,
) {
    let scope = cx.scope();
    for other in
        scope.descendants().filter(|n| n.kind() == Kind::Name && n.text() == name.text() && n.is_binding())
    {
        let Some(statement) = other.statement() else { continue };
        let Stmt::Assign { value: Some(value), .. } = Stmt::of(statement) else { continue };
        if !matches!(cx.type_of(value), Type::Iterator(_) | Type::Unknown) || found.node.contains(other.id())
        {
            continue;
        }
        for event in cx.events_in(value) {
            if is_lazy(cx, value, event) {
                hazard_of(cx, found, event, tables, true, out);
            }
        }
    }
    callers(cx, found, name, tables, out);
}

/// The function's parameter is the source: a caller may hand in a generator that reads what the loop writes.
fn callers<'a>(
    cx: &Context<'a>,
    found: &Loop<'a>,
    name: Node<'a>,
    tables: &[ModelId],
    out: &mut Vec<Hazard>,
) {
    let params = ormend_engine::python::parameters(cx.scope());
    let Some(index) = params.iter().position(|p| p.name == name.text()) else { return };
    for site in call_sites(cx) {
        let Some(value) = site.argument(index, name.text()) else { continue };
        if matches!(Expr::of(value), Expr::Name(_) | Expr::Str(_) | Expr::List(_) | Expr::Attribute { .. }) {
            continue;
        }
        lazy_argument(cx, found, site.file, site.call, value, tables, out);
    }
}

fn lazy_argument<'a>(
    cx: &Context<'a>,
    found: &Loop<'a>,
    file: ormend_engine::codemod::FileId,
    call: Node<'a>,
    value: Node<'a>,
    tables: &[ModelId],
    out: &mut Vec<Hazard>,
) {
    let program = cx.project.program();
    let function = call
        .ancestors()
        .filter(|a| a.kind() == Kind::FunctionDef)
        .find_map(|def| program.function_at(file, def.id()));
    let facts = match function {
        Some(function) => cx.analyzer.function(function),
        None => cx.analyzer.module(file),
    };
    let node = |id| program.file(file).node(id);
    for event in facts.events.iter().filter(|e| value.contains(e.at)) {
        let at = node(event.at);
        let inside = std::iter::once(at).chain(at.ancestors()).take_while(|n| n.id() >= value.peel().id()).any(|n| {
            match n.kind() {
                Kind::Lambda => true,
                Kind::GeneratorExp => {
                    !ormend_engine::python::generators(n).first().is_some_and(|g| g.iter.contains(at.id()))
                }
                Kind::Call => {
                    matches!(facts.type_of(n), Type::Iterator(_))
                        && (event.site.file != file || event.site.span != at.span()
                            || matches!(Expr::of(n), Expr::Call { func, .. } if func.text().ends_with(".iterator")))
                }
                _ => false,
            }
        });
        if !inside {
            continue;
        }
        let Some(what) = effect(cx, event, tables) else { continue };
        let kind = match what {
            Effect::Reads => HazardKind::ReadsItsOwnWrites,
            Effect::Writes(_) | Effect::WritesOther(..) => HazardKind::InterleavedWrites,
            Effect::Unknown => HazardKind::UnknownCall,
            Effect::Outside => HazardKind::OutsideEffect,
            _ => continue,
        };
        let _ = found;
        out.push(Hazard::at(kind, writes::one_line(at.text()), event.site));
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
        for event in &cx.analyzer.function(function).events {
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
    def.descendants().any(|n| n.kind() == Kind::Name && n.text() == name && n.is_binding())
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
        if cx.project.is_known_file(info.file) || !file.source.text().contains(".setter") {
            continue;
        }
        let methods = file.node(info.node).descendants().filter(|n| n.kind() == Kind::FunctionDef);
        for method in methods.filter(|n| n.parent().is_some_and(|p| p.text().contains(".setter"))) {
            let name = method.child(Field::Name).map(Node::text);
            if row.arguments().iter().any(|a| a.name.is_some() && a.name == name) {
                functions.extend(program.function_at(info.file, method.id()));
            }
        }
    }
    for function in functions {
        let name = &program.function(function).name;
        for event in &cx.analyzer.function(function).events {
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

// ---- control flow ----

/// Statements that leave the loop without reaching the one after it.
fn exits(cx: &Context<'_>, found: &Loop<'_>, atomic: bool, out: &mut Vec<Hazard>) {
    for node in found.node.descendants() {
        if node.enclosing_scope() != Some(cx.scope()) {
            continue;
        }
        let word = match node.kind() {
            Kind::Return => "return",
            Kind::Raise if !atomic && !is_caught(node, found.node) => "raise",
            Kind::Yield => "yield",
            Kind::Break if innermost_loop(node).is_none_or(|l| !found.node.contains(l.id())) => "break",
            _ => continue,
        };
        out.push(cx.hazard(HazardKind::EarlyExit, word, node));
    }
}

/// Whether a handler inside the loop takes what is raised at `node`.
fn is_caught(node: Node<'_>, outer: Node<'_>) -> bool {
    node.ancestors().take_while(|a| *a != outer).any(|a| match Stmt::of(a) {
        Stmt::Try { body, handlers, .. } => !handlers.is_empty() && body.contains(node.id()),
        _ => false,
    })
}

/// Handlers that tell which row failed.
fn handlers(cx: &Context<'_>, found: &Loop<'_>, out: &mut Vec<Hazard>) {
    for row in &found.rows {
        let mut atomic = false;
        for ancestor in row.call.ancestors() {
            let inside = found.node.contains(ancestor.id());
            if matches!(ancestor.kind(), Kind::FunctionDef | Kind::Lambda | Kind::ClassDef) {
                break;
            }
            match Stmt::of(ancestor) {
                Stmt::Try { body, handlers, .. } => {
                    let Some(first) = handlers.first() else { continue };
                    let quiet = !inside && handlers.iter().all(|h| only_logs(cx, h.body));
                    if body.contains(row.call.id()) && !atomic && !quiet {
                        out.push(cx.hazard(HazardKind::HandlerAround, "", first.node));
                    }
                }
                Stmt::With { items, body, .. } => {
                    if items.iter().any(|(context, _)| swallows(cx, *context, body)) && !atomic {
                        out.push(cx.hazard(HazardKind::HandlerAround, "", ancestor));
                    }
                    // Only a transaction around the whole loop makes its rows go together.
                    if !inside && items.iter().any(|(context, _)| is_atomic(cx, *context)) {
                        atomic = true;
                    }
                }
                _ => {}
            }
        }
    }
}

/// Handlers that stand around every call of the function: in its decorators, or around the calls.
fn handlers_outside(cx: &Context<'_>, found: &Loop<'_>, atomic: bool, out: &mut Vec<Hazard>) {
    // One transaction around the loop leaves nothing of it either way.
    let holds = found.node.ancestors().any(|a| match Stmt::of(a) {
        Stmt::With { items, .. } => items.iter().any(|(c, _)| is_atomic(cx, *c)),
        _ => false,
    });
    if holds {
        return;
    }
    let outside = swallowing_decorator(cx).or_else(|| if atomic { None } else { swallowing_caller(cx) });
    if let Some(site) = outside {
        out.push(Hazard::at(HazardKind::HandlerAround, "", site));
    }
}

/// A handler that logs and raises again.
fn only_logs(cx: &Context<'_>, body: Node<'_>) -> bool {
    let last = body.children().last();
    let raises = last.is_some_and(|l| matches!(Stmt::of(l), Stmt::Raise(parts) if parts.is_empty()));
    raises
        && cx
            .events_in(body)
            .all(|e| matches!(e.kind, EventKind::Log | EventKind::Raise | EventKind::ReadAttribute { .. }))
}

/// Whether one transaction holds the whole loop, with no handler in between.
pub fn in_atomic(cx: &Context<'_>, node: Node<'_>) -> bool {
    for ancestor in node.ancestors() {
        match Stmt::of(ancestor) {
            Stmt::Try { body, handlers, .. } if !handlers.is_empty() && body.contains(node.id()) => {
                return false;
            }
            Stmt::With { items, .. } if items.iter().any(|(c, _)| is_atomic(cx, *c)) => return true,
            Stmt::FunctionDef { .. } => break,
            _ => {}
        }
    }
    let program = cx.project.program();
    program.function_at(cx.file, cx.scope().id()).is_some_and(|f| {
        program
            .function(f)
            .decorators
            .iter()
            .flatten()
            .any(|d| matches!(d, Def::External(path) if path == "django.db.transaction.atomic"))
    })
}

fn inner_atomic(cx: &Context<'_>, outer: Node<'_>, node: Node<'_>) -> bool {
    node.ancestors().take_while(|a| *a != outer).any(|a| match Stmt::of(a) {
        Stmt::With { items, .. } => items.iter().any(|(c, _)| is_atomic(cx, *c)),
        _ => false,
    })
}

/// The `on_commit()` whose argument `node` is a part of.
fn on_commit_around<'a>(cx: &Context<'a>, outer: Node<'a>, node: Node<'a>) -> Option<Node<'a>> {
    node.ancestors().take_while(|a| *a != outer).find(|a| match Expr::of(*a) {
        Expr::Call { func, .. } if a.kind() == Kind::Call => {
            external_path(cx, func).as_deref() == Some("django.db.transaction.on_commit")
        }
        _ => false,
    })
}

/// Whether the loop's rows are written through a manager or save() of a class that is not fixed: `cls`, `self.model`.
pub fn is_open_class(found: &Loop<'_>, index: usize) -> bool {
    let class = match found.rows.get(index).map(|r| &r.how) {
        Some(How::Create { class: Some(class), .. }) => *class,
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
