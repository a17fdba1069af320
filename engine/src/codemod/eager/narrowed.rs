//! Classes that make something else of the queryset of a class before its rows are read: a view below that calls
//! `super().get_queryset().only("title")`, a filter set that asks for `values()`.
//!
//! What the frame that builds the queryset does by itself is known from its facts ([`super::shape`]).

use super::prefetch::LOADING;
use super::reads::{Group, Load};
use super::thinned;
use super::{guards, reached};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::ModelId;
use crate::django::lists::class_around;
use crate::infer::{Type, ValueId};
use crate::python::{
    ClassId, Def, Expr, Field, FunctionId, Kind, Member, Node, NodeId, arguments, parameters, string_value,
};
use crate::text::FileId;
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Methods that leave out columns.
const LEAVING_OUT: &[&str] = &["only", "defer"];
/// Methods after which rows are no instances, or nothing can be loaded with them.
const RESHAPING: &[&str] =
    &["values", "values_list", "dates", "datetimes", "union", "intersection", "difference"];
/// What gives the queryset of an object: its own or that of its base.
const GIVING: &[&str] =
    &["get_queryset", "filter_queryset", "queryset", "object_list", "get_table_data", "qs"];
/// Parameters that hold it.
pub(super) const NAMES: &[&str] = &["queryset", "qs"];
/// Parameters that hold a context of a template.
const CONTEXTS: &[&str] = &["context", "context_data"];
/// Attributes that name classes which get the queryset: filters and paginators.
const HANDED_TO: &[&str] = &[
    "filterset_class",
    "filter_class",
    "filterset",
    "filter",
    "filter_backends",
    "list_filter",
    "pagination_class",
    "paginator_class",
    "django_paginator_class",
    "paginator",
    "table_class",
    "formset_class",
];
/// What REST framework takes from its settings for views that do not say so themselves: the setting, and the attribute.
const DEFAULTS: &[(&str, &str)] =
    &[("DEFAULT_FILTER_BACKENDS", "filter_backends"), ("DEFAULT_PAGINATION_CLASS", "pagination_class")];
/// Classes below that are looked at.
const MAX_CLASSES: usize = 200;
/// Variables that hold classes are followed this far.
const MAX_DEPTH: usize = 4;

const REST_FRAMEWORK: &str = "rest_framework.";

/// What classes do to the queryset later.
pub(super) fn hazards(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    let own = program.function_at(cx.file, cx.facts.scope);
    let look = Look {
        keeps_key: group.load != Load::Join && group.first_steps().iter().all(|step| step.is_many),
        load: group.load,
        model: group.steps().first().map(|step| step.from),
    };
    let mut seen: FxHashSet<FunctionId> = own.into_iter().collect();
    let classes = classes(cx, group);
    for class in &classes {
        for member in program.class(*class).members.values() {
            let Member::Function(function, _) = member else { continue };
            if seen.insert(*function) {
                in_function(cx, *function, &look, None, out);
                thinned::hazards(cx, *function, group.load, out);
            }
        }
    }
    for action in actions(cx, &classes) {
        if seen.insert(action) {
            in_function(cx, action, &look, Some(2), out);
        }
    }
    if !classes.is_empty() || cx.scope().text().contains("TemplateResponse") {
        for function in readers_of_responses(cx, group.load).iter() {
            if seen.insert(*function) {
                in_function(cx, *function, &look, None, out);
            }
        }
    }
    of_attribute(cx, &classes, &look, out);
}

/// The functions that get the rows of a changelist: those that the classes name, and those of the site.
fn actions(cx: &Context<'_>, classes: &BTreeSet<ClassId>) -> Vec<FunctionId> {
    let program = cx.project.program();
    let is_admin = |class: &ClassId| {
        program.class(*class).external_bases.iter().any(|base| base.starts_with("django.contrib.admin"))
    };
    if !classes.iter().any(is_admin) {
        return Vec::new();
    }
    let own = classes.iter().filter_map(|class| {
        let info = program.class(*class);
        match info.members.get("actions") {
            Some(Member::Value(value)) => Some((info.file, *value)),
            _ => None,
        }
    });
    // `admin.site.add_action(export)`
    let of_site = cx.analyzer.call_sites().of("add_action").iter().filter_map(|site| {
        let Expr::Call { arguments: list, .. } = Expr::of(program.file(site.file).node(site.call)) else {
            return None;
        };
        Some((site.file, arguments(list).first()?.value.id()))
    });
    let named = own.chain(of_site).flat_map(|(file, node)| named_in(cx, file, node));
    named
        .filter_map(|def| match def {
            Def::Function(function) => Some(function),
            _ => None,
        })
        .collect()
}

/// The functions that look into the context of a response that is not rendered yet: middlewares, decorators of views.
fn readers_of_responses(cx: &Context<'_>, load: Load) -> Arc<[FunctionId]> {
    let key = load == Load::Prefetch;
    cx.analyzer.once_for("readers of responses", key, || find_readers_of_responses(cx, load))
}

fn find_readers_of_responses(cx: &Context<'_>, load: Load) -> Arc<[FunctionId]> {
    let program = cx.project.program();
    let more: &[&[&str]] = if load == Load::Prefetch { &[reached::DERIVING, LOADING] } else { &[] };
    let names = LEAVING_OUT.iter().chain(&["union", "intersection", "difference"]);
    let sites =
        names.chain(more.iter().copied().flatten()).flat_map(|name| cx.analyzer.call_sites().of(name));
    let looks = |function: &FunctionId| {
        let info = program.function(*function);
        !cx.project.is_test_file(info.file)
            && program.file(info.file).node(info.node).text().contains(".context_data")
    };
    sites.filter_map(|site| site.function).filter(looks).collect()
}

/// What would stand in the way of the load.
struct Look {
    /// No column of the row is needed but its key.
    keeps_key: bool,
    load: Load,
    /// The model of the rows.
    model: Option<ModelId>,
}

impl Look {
    /// What a call of the method `name` on the queryset is.
    fn hazard(&self, name: &str, call: Node<'_>) -> Option<HazardKind> {
        if LEAVING_OUT.contains(&name) {
            return (!self.keeps_key).then_some(HazardKind::DeferredColumns);
        }
        // Columns that raw SQL names bare are of several tables once there is a join.
        let is_raw = || {
            name == "extra"
                || matches!(name, "annotate" | "filter" | "order_by") && call.text().contains("RawSQL(")
        };
        if self.load != Load::Prefetch && is_raw() {
            return Some(match self.load {
                Load::Join => HazardKind::RawSql,
                _ => HazardKind::QuerySetShape,
            });
        }
        // A relation cannot be prefetched plainly and with a queryset of its own.
        let is_custom = || match Expr::of(call) {
            Expr::Call { arguments: list, .. } => {
                arguments(list).iter().any(|a| string_value(a.value).is_none())
            }
            _ => false,
        };
        let reshapes = RESHAPING.contains(&name)
            || self.load == Load::Prefetch && name == "prefetch_related" && is_custom();
        reshapes.then_some(HazardKind::QuerySetShape)
    }
}

/// `queryset = Books.queryset.only("title")` in another class.
fn of_attribute(cx: &Context<'_>, classes: &BTreeSet<ClassId>, look: &Look, out: &mut Vec<Hazard>) {
    let chains = cx.analyzer.once("querysets of attributes of classes", || chains_of_attributes(cx));
    for chain in chains.iter().filter(|chain| classes.contains(&chain.of)) {
        let file = cx.project.program().file(chain.file);
        for call in chain.calls.iter().map(|call| file.node(*call)) {
            let Expr::Call { func, .. } = Expr::of(call) else { continue };
            let Expr::Attribute { attr: name, .. } = Expr::of(func) else { continue };
            if let Some(kind) = look.hazard(name, call) {
                let site = crate::text::Site { file: chain.file, span: call.span() };
                out.push(Hazard::at(kind, format!("{name}()"), site));
            }
        }
    }
}

/// The `queryset` of a class, which is made of that of another one.
struct Chain {
    /// The other class.
    of: ClassId,
    file: FileId,
    /// The calls of its methods, the last one first.
    calls: Vec<NodeId>,
}

fn chains_of_attributes(cx: &Context<'_>) -> Vec<Chain> {
    let program = cx.project.program();
    let chain = |class: ClassId| {
        let info = program.class(class);
        let Some(Member::Value(value)) = info.members.get("queryset") else { return None };
        let mut at = program.file(info.file).node(*value).peel();
        let mut calls = Vec::new();
        let owner = loop {
            at = match Expr::of(at) {
                Expr::Call { func, .. } => match Expr::of(func) {
                    Expr::Attribute { value, .. } => {
                        calls.push(at.id());
                        value.peel()
                    }
                    _ => return None,
                },
                Expr::Attribute { value, attr: "queryset", .. } => break value,
                _ => return None,
            };
        };
        match program.resolve_expr(info.file, owner.peel().id()) {
            Some(Def::Class(of)) => Some(Chain { of, file: info.file, calls }),
            _ => None,
        }
    };
    program.class_ids().filter_map(chain).collect()
}

/// The classes that have the queryset: the one that builds it, those below, and what stands between; and the filters
/// and paginators that get it.
fn classes(cx: &Context<'_>, group: &Group) -> BTreeSet<ClassId> {
    let program = cx.project.program();
    let of_function = program.function_at(cx.file, cx.facts.scope).and_then(|f| program.function(f).class);
    let mut owners: Vec<ClassId> = of_function.into_iter().collect();
    owners.extend(group.class_place.as_ref().map(|place| place.class));
    for target in &group.targets {
        if let Ok(node) = super::place::expression(cx, *target) {
            owners.extend(class_around(program, cx.file, node));
        }
    }
    let mut out = BTreeSet::new();
    for owner in owners.into_iter().filter(|class| cx.project.model_of_class(*class).is_none()) {
        for below in program.descendants(owner).into_iter().chain([owner]).take(MAX_CLASSES) {
            out.extend(program.class(below).mro.iter().copied());
        }
    }
    for class in handed(cx, &out).into_iter().chain(called_with(cx, group)) {
        out.extend(program.class(class).mro.iter().copied());
    }
    out.retain(|class| !cx.project.is_known_file(program.class(*class).file));
    out
}

/// The classes of the program that are called with the queryset: tables, filter sets, and what a factory makes formsets
/// of.
fn called_with(cx: &Context<'_>, group: &Group) -> BTreeSet<ClassId> {
    let is_ours = |v: ValueId| group.leads_to(cx, v);
    let is_given = |node: Node<'_>| {
        let alternatives = cx.type_of(node).alternatives();
        alternatives.iter().filter_map(Type::queryset).any(|qs| qs.values.iter().any(|v| is_ours(*v)))
    };
    let mut out = BTreeSet::new();
    for call in cx.scope().descendants().filter(|n| n.kind() == Kind::Call) {
        let Expr::Call { func, arguments: list } = Expr::of(call) else { continue };
        if !arguments(list).iter().any(|a| is_given(a.value)) {
            continue;
        }
        let is_it = |n: &Node<'_>| {
            n.kind() == Kind::Assign && n.child(Field::Left).is_some_and(|l| l.text() == func.text())
        };
        let local = cx.scope().descendants().find(is_it).and_then(|n| n.child(Field::Right));
        for node in [Some(func), local].into_iter().flatten() {
            out.extend(classes_named_in(cx, cx.file, node.id()));
        }
    }
    out.retain(|class| cx.project.model_of_class(*class).is_none());
    out
}

/// The classes that get the queryset of one of `classes`: filters and paginators that it names, or the settings for it.
pub(super) fn handed(cx: &Context<'_>, classes: &BTreeSet<ClassId>) -> BTreeSet<ClassId> {
    let program = cx.project.program();
    let mut out = BTreeSet::new();
    for (class, name) in classes.iter().flat_map(|class| HANDED_TO.iter().map(move |name| (*class, *name))) {
        let info = program.class(class);
        let Some(Member::Value(value)) = info.members.get(name) else { continue };
        out.extend(classes_named_in(cx, info.file, *value));
    }
    for (setting, attribute) in DEFAULTS {
        if classes.iter().any(|class| takes_default(cx, *class, attribute)) {
            out.extend(named_in_settings(cx, setting).iter().copied());
        }
    }
    out
}

/// The classes that REST framework makes for a view, by an attribute of it, or else by a setting.
pub(super) fn given_to(cx: &Context<'_>, view: ClassId, attribute: &str, setting: &str) -> Vec<ClassId> {
    match takes_default(cx, view, attribute) {
        true => named_in_settings(cx, setting).to_vec(),
        false => named_by(cx, view, attribute),
    }
}

/// The classes that an attribute of a view names.
pub(super) fn named_by(cx: &Context<'_>, view: ClassId, attribute: &str) -> Vec<ClassId> {
    let program = cx.project.program();
    let Some((owner, Member::Value(value))) = program.member(view, attribute) else { return Vec::new() };
    classes_named_in(cx, program.class(owner).file, *value).collect()
}

/// The classes that an expression names, or a variable in it.
fn classes_named_in(cx: &Context<'_>, file: FileId, node: NodeId) -> impl Iterator<Item = ClassId> {
    named_in(cx, file, node).into_iter().filter_map(|def| match def {
        Def::Class(class) => Some(class),
        _ => None,
    })
}

/// The classes and functions that an expression names, or a variable in it: `[Backend] + BACKENDS`.
pub(super) fn named_in(cx: &Context<'_>, file: FileId, node: NodeId) -> Vec<Def> {
    let mut out = Vec::new();
    collect_named(cx, file, node, 0, &mut out);
    out
}

fn collect_named(cx: &Context<'_>, file: FileId, node: NodeId, depth: usize, out: &mut Vec<Def>) {
    let program = cx.project.program();
    if depth > MAX_DEPTH {
        return;
    }
    let nodes = program.file(file).node(node).descendants();
    for name in nodes.filter(|n| matches!(n.kind(), Kind::Name | Kind::Attribute)) {
        match program.resolve_expr(file, name.id()) {
            Some(Def::Variable { file, value: Some(value) }) => {
                collect_named(cx, file, value, depth + 1, out);
            }
            Some(def) => out.push(def),
            None => {}
        }
    }
}

/// Whether a view of REST framework takes `attribute` from the settings.
fn takes_default(cx: &Context<'_>, class: ClassId, attribute: &str) -> bool {
    let program = cx.project.program();
    let owner = program.member(class, attribute).map(|(owner, _)| owner);
    owner.is_none_or(|owner| program.class_path(owner).starts_with(REST_FRAMEWORK))
        && (program.class(class).external_bases.iter().any(|base| base.starts_with(REST_FRAMEWORK))
            || program.class(class).mro.iter().any(|c| program.class_path(*c).starts_with(REST_FRAMEWORK)))
}

/// The classes that a setting of REST framework names.
fn named_in_settings(cx: &Context<'_>, setting: &str) -> Arc<[ClassId]> {
    let find = || find_named_in_settings(cx, setting).into();
    cx.analyzer.once_for("classes that settings name", Box::<str>::from(setting), find)
}

fn find_named_in_settings(cx: &Context<'_>, setting: &str) -> Vec<ClassId> {
    let program = cx.project.program();
    let mut out = Vec::new();
    for id in &cx.project.settings().files {
        let file = program.file(*id);
        if !file.source.mentions(setting) {
            continue;
        }
        for key in file.root().descendants().filter(|n| string_value(*n).as_deref() == Some(setting)) {
            // The pair of a dictionary, or `REST_FRAMEWORK["..."] = ...`.
            let holder = key.ancestors().find(|n| matches!(n.kind(), Kind::Pair | Kind::Assign));
            let strings = holder.into_iter().flat_map(|n| n.descendants()).filter_map(|n| string_value(n));
            out.extend(strings.filter_map(|path| match program.dotted(&path, Some(*id)) {
                Some(Def::Class(class)) => Some(class),
                _ => None,
            }));
        }
    }
    out
}

/// What a function does to the queryset. `at` is the parameter that gets it, where a name does not tell.
fn in_function(
    cx: &Context<'_>,
    function: FunctionId,
    look: &Look,
    at: Option<usize>,
    out: &mut Vec<Hazard>,
) {
    let info = cx.project.program().function(function);
    let def = cx.project.program().file(info.file).node(info.node);
    let text = def.text();
    let is_prefetch = look.load == Load::Prefetch;
    let mut telling = LEAVING_OUT.iter().chain(RESHAPING).chain(&["prefetch_related", "extra", "RawSQL"]);
    let is_told = telling.any(|name| text.contains(name)) || is_prefetch && text.contains("context");
    if !is_told {
        return;
    }
    // `order_length(self, queryset, is_descending)` of a table.
    let at = at.or(info.name.starts_with("order_").then_some(1));
    let params = parameters(def);
    let mut names = Held::default();
    names.querysets.extend(params.iter().map(|p| p.name).filter(|name| NAMES.contains(name)));
    names.querysets.extend(at.and_then(|at| params.get(at)).map(|p| p.name));
    names.contexts.extend(params.iter().map(|p| p.name).filter(|name| CONTEXTS.contains(name)));
    for node in def.descendants() {
        if matches!(node.kind(), Kind::Assign | Kind::For | Kind::CompFor)
            && let (Some(target), Some(value)) = (node.child(Field::Left), node.child(Field::Right))
        {
            names.bind(target, value, node.kind() != Kind::Assign);
        }
        let Expr::Call { func, .. } = Expr::of(node) else { continue };
        let Expr::Attribute { value, attr, attr_node } = Expr::of(func) else { continue };
        if is_prefetch
            && reached::loads_others(node)
            && attr != "get"
            && names.has(value)
            && !is_of_another(cx, function, value, look)
        {
            let site = crate::text::Site { file: info.file, span: node.span() };
            out.push(Hazard::at(HazardKind::LoadedWithout, guards::first_line(node), site));
        }
        let Some(kind) = look.hazard(attr, node) else { continue };
        // `ids = self.get_queryset().values_list(...)` beside the rows is a queryset of its own; what is returned is not.
        if is_own(value, &names) && (kind == HazardKind::DeferredColumns || is_handed_on(node, &names)) {
            let site = crate::text::Site { file: info.file, span: attr_node.span() };
            out.push(Hazard::at(kind, format!("{attr}()"), site));
        }
    }
}

/// Whether an expression is known to be a queryset of another model.
fn is_of_another(cx: &Context<'_>, function: FunctionId, node: Node<'_>, look: &Look) -> bool {
    let facts = cx.analyzer.function(function);
    matches!(facts.type_of(node), Type::QuerySet(qs) if Some(qs.model) != look.model)
}

/// The variables of a function that hold the queryset, and those that hold a context with it.
#[derive(Default)]
struct Held<'a> {
    querysets: FxHashSet<&'a str>,
    contexts: FxHashSet<&'a str>,
}

impl<'a> Held<'a> {
    /// `target = value`, `for target in value`
    fn bind(&mut self, target: Node<'a>, value: Node<'a>, is_loop: bool) {
        let names = target.descendants().filter(|n| n.kind() == Kind::Name).map(Node::text);
        let is_one = target.peel().kind() == Kind::Name && !is_loop;
        if is_one && self.is_context(value.peel()) {
            self.contexts.extend(names);
        } else if is_own(value, self) && (is_one || is_loop && is_entries(value)) {
            self.querysets.extend(names);
        }
    }

    /// Whether a chain starts with what a context holds.
    fn has(&self, node: Node<'_>) -> bool {
        reached::comes_from(node, &|n| self.is_context(n), 0)
    }

    /// Names and what they stand for in a template.
    fn is_context(&self, node: Node<'_>) -> bool {
        match Expr::of(node) {
            Expr::Name(name) => self.contexts.contains(name),
            Expr::Attribute { attr, .. } => attr == "context_data",
            Expr::Call { func, .. } => {
                matches!(Expr::of(func), Expr::Attribute { attr: "get_context_data", .. })
            }
            _ => false,
        }
    }
}

/// `context.items()`
fn is_entries(node: Node<'_>) -> bool {
    let Expr::Call { func, .. } = Expr::of(node) else { return false };
    matches!(Expr::of(func), Expr::Attribute { attr: "items" | "values", .. })
}

/// Whether a chain starts with the queryset of the object.
fn is_own(node: Node<'_>, names: &Held<'_>) -> bool {
    let mut at = node.peel();
    for _ in 0..100 {
        at = match Expr::of(at) {
            Expr::Name(name) => return names.querysets.contains(name),
            Expr::Subscript { value, .. } if names.is_context(value.peel()) => return true,
            Expr::Attribute { value, attr: "items" | "values" | "get" | "pop", .. }
                if names.is_context(value.peel()) =>
            {
                return true;
            }
            Expr::Attribute { attr, .. } if GIVING.contains(&attr) => return true,
            Expr::Attribute { value, .. } | Expr::Subscript { value, .. } => value.peel(),
            Expr::Call { func, .. } => func.peel(),
            _ => return false,
        };
    }
    true
}

/// Whether the rows of a chain are returned, or take the place of the queryset.
fn is_handed_on(call: Node<'_>, names: &Held<'_>) -> bool {
    let within = call.ancestors().find(|n| {
        matches!(
            n.kind(),
            Kind::Return | Kind::Assign | Kind::ExprStatement | Kind::FunctionDef | Kind::Arguments
        )
    });
    let Some(within) = within else { return true };
    match within.kind() {
        Kind::Return => true,
        Kind::Assign => within.child(Field::Left).is_some_and(|target| match Expr::of(target) {
            Expr::Name(name) => names.querysets.contains(name),
            // The rows take their own place.
            Expr::Subscript { value, index, .. } if names.is_context(value.peel()) => {
                string_value(index).is_none() || call.text().starts_with(target.text())
            }
            Expr::Attribute { attr, .. } => GIVING.contains(&attr),
            _ => false,
        }),
        _ => false,
    }
}
