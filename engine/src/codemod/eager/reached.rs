//! Code that gets the queryset without being called with it: from an attribute in which it was kept, also by name
//! (`getattr(request, "listing", None)`), and from the field of a form.

use super::prefetch::LOADING;
use super::reads::{Group, Load};
use super::{guards, place, shape};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Type, ValueId};
use crate::python::{Expr, Field, Kind, Node, arguments, string_value};
use crate::text::Site;

/// Variables of variables are followed so far.
const MAX_HOPS: usize = 4;
/// Calls of a chain.
const MAX_CHAIN: usize = 50;
/// Methods whose result is another queryset, which loads rows of its own.
pub(super) const DERIVING: &[&str] =
    &["filter", "exclude", "order_by", "reverse", "distinct", "only", "defer"];
/// Methods after which no row is loaded as an instance.
const PLAIN: &[&str] = &["count", "exists", "aggregate", "values", "values_list", "update"];

/// Whether a chain of calls starts with something that `is_it`, also by variables of the function around it.
pub(super) fn comes_from(node: Node<'_>, is_it: &dyn Fn(Node<'_>) -> bool, depth: usize) -> bool {
    let mut at = node.peel();
    for _ in 0..MAX_CHAIN {
        if is_it(at) {
            return true;
        }
        at = match Expr::of(at) {
            Expr::Call { func, .. } => match Expr::of(func) {
                Expr::Attribute { value, .. } => value.peel(),
                _ => return false,
            },
            Expr::Subscript { value, .. } => value.peel(),
            Expr::BoolOp { left, right, .. } => {
                return comes_from(left, is_it, depth + 1) || comes_from(right, is_it, depth + 1);
            }
            Expr::Name(name) if depth < MAX_HOPS => {
                let Some(def) = at.enclosing_function() else { return false };
                return bound(def, name).any(|value| comes_from(value, is_it, depth + 1));
            }
            _ => return false,
        };
    }
    false
}

/// What a function assigns to a name, or goes over with it.
fn bound<'a>(def: Node<'a>, name: &'a str) -> impl Iterator<Item = Node<'a>> {
    def.descendants()
        .filter(|n| matches!(n.kind(), Kind::Assign | Kind::For | Kind::CompFor))
        .filter(move |n| {
            let target = n.child(Field::Left);
            target.is_some_and(|t| t.has_name(name))
        })
        .filter_map(|n| n.child(Field::Right))
        .filter(move |value| !value.has_name(name))
}

/// `request.listing`, `getattr(request, "listing", None)`
pub(super) fn is_attribute(node: Node<'_>, attributes: &[&str]) -> bool {
    match Expr::of(node) {
        Expr::Attribute { attr, .. } => node.kind() == Kind::Attribute && attributes.contains(&attr),
        Expr::Call { func, arguments: list } if func.text() == "getattr" => {
            let name = arguments(list).get(1).and_then(|a| string_value(a.value));
            name.is_some_and(|name| attributes.contains(&name.as_str()))
        }
        _ => false,
    }
}

/// The attributes that the frame keeps the queryset in.
pub(super) fn holding<'a>(cx: &Context<'a>, group: &Group) -> Vec<&'a str> {
    let is_ours = |v: ValueId| group.leads_to(cx, v);
    let holds = |node: Node<'_>| {
        let alternatives = cx.type_of(cx.node(node.id())).alternatives();
        alternatives.iter().filter_map(Type::queryset).any(|qs| qs.values.iter().any(|v| is_ours(*v)))
    };
    let assigned = cx.scope().descendants().filter(|n| n.kind() == Kind::Assign);
    let held = assigned.filter(|n| n.child(Field::Right).is_some_and(holds));
    held.filter_map(|n| match Expr::of(n.child(Field::Left)?) {
        Expr::Attribute { attr, .. } => Some(attr),
        _ => None,
    })
    .collect()
}

/// Other files that make querysets of one that is kept in an attribute: what is prefetched is prefetched for theirs, too.
pub(super) fn loaded_again(cx: &Context<'_>, group: &Group, attributes: &[&str], out: &mut Vec<Hazard>) {
    if group.load != Load::Prefetch || attributes.is_empty() {
        return;
    }
    let program = cx.project.program();
    for site in DERIVING.iter().chain(LOADING).flat_map(|name| cx.analyzer.call_sites().of(name)) {
        if site.file == cx.file || cx.project.is_test_file(site.file) {
            continue;
        }
        let call = program.file(site.file).node(site.call);
        let Expr::Call { func, .. } = Expr::of(call) else { continue };
        let Expr::Attribute { value, .. } = Expr::of(func) else { continue };
        if ends_plainly(call) || !comes_from(value, &|n| is_attribute(n, attributes), 0) {
            continue;
        }
        let site = Site { file: site.file, span: call.span() };
        let hazard = Hazard::at(HazardKind::LoadedWithout, guards::first_line(call), site);
        if !out.contains(&hazard) {
            out.push(hazard);
        }
    }
}

/// Whether a call on a queryset loads rows, or makes another queryset that does.
pub(super) fn loads_others(call: Node<'_>) -> bool {
    let Expr::Call { func, .. } = Expr::of(call) else { return false };
    let Expr::Attribute { attr, .. } = Expr::of(func) else { return false };
    (DERIVING.contains(&attr) || LOADING.contains(&attr)) && !ends_plainly(call)
}

/// Whether a chain goes on to something that loads no instances.
fn ends_plainly(mut call: Node<'_>) -> bool {
    for _ in 0..MAX_CHAIN {
        let Some(parent) = call.with_parens().parent() else { return false };
        let Expr::Attribute { attr, .. } = Expr::of(parent) else { return false };
        if PLAIN.contains(&attr) {
            return true;
        }
        match parent.parent().filter(|p| p.kind() == Kind::Call) {
            Some(next) => call = next,
            None => return false,
        }
    }
    false
}

/// Whether what an expression gives is put aside under a name of a context, or given to a function, also through variables.
pub(super) fn is_put_aside(node: Node<'_>, depth: usize) -> bool {
    /// Methods that make a subquery of what they get.
    const WITHIN: &[&str] = &["filter", "exclude", "get", "annotate", "alias", "aggregate", "update"];
    let Some(parent) = node.with_parens().parent().filter(|_| depth < MAX_HOPS) else { return false };
    match parent.kind() {
        Kind::Assign => match parent.child(Field::Left).map(Node::peel) {
            Some(target) if target.kind() == Kind::Name => {
                let is_it =
                    |n: &Node<'_>| n.kind() == Kind::Name && !n.is_binding() && n.text() == target.text();
                let def = node.enclosing_function();
                def.is_some_and(|def| def.descendants().filter(is_it).any(|n| is_put_aside(n, depth + 1)))
            }
            target => target.is_some_and(|target| target.kind() == Kind::Subscript),
        },
        Kind::Pair => true,
        Kind::KeywordArgument | Kind::Arguments => {
            let call = node.ancestors().find(|n| n.kind() == Kind::Call);
            !matches!(call.map(Expr::of), Some(Expr::Call { func, .. })
                if matches!(Expr::of(func), Expr::Attribute { value, attr, .. }
                    if WITHIN.contains(&attr) && !is_dict(value)))
        }
        _ => false,
    }
}

/// `context` and `kwargs`, by which every view calls them.
fn is_dict(node: Node<'_>) -> bool {
    matches!(Expr::of(node), Expr::Name(name) if name.contains("context") || name.contains("kwargs"))
}

/// Other code that takes the queryset of a form's field: `PickForm().fields["author"].queryset.only("name")`.
pub(super) fn by_field(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    let fields: Vec<String> = group.targets.iter().filter_map(|t| field_of(cx, *t)).collect();
    if fields.is_empty() {
        return;
    }
    let is_ours = |index: Node<'_>| string_value(index).is_none_or(|name| fields.contains(&name));
    let is_field = |n: Node<'_>| match Expr::of(n) {
        Expr::Subscript { value, index, .. } => value.text().ends_with("fields") && is_ours(index),
        Expr::Attribute { value, attr: "field", .. } => {
            matches!(Expr::of(value), Expr::Subscript { index, .. } if is_ours(index))
        }
        _ => false,
    };
    let is_queryset = |n: Node<'_>| match Expr::of(n) {
        Expr::Attribute { value, attr: "queryset", .. } => comes_from(value, &is_field, 0),
        _ => false,
    };
    let program = cx.project.program();
    let model = group.steps().first().map(|step| step.from);
    for site in shape::minded(group.load).flat_map(|name| cx.analyzer.call_sites().of(name)) {
        let call = program.file(site.file).node(site.call);
        let Expr::Call { func, .. } = Expr::of(call) else { continue };
        let Expr::Attribute { value, .. } = Expr::of(func) else { continue };
        if cx.project.is_test_file(site.file) || !comes_from(value, &is_queryset, 0) {
            continue;
        }
        let facts = cx.analyzer.caller(site.file, site.function);
        let is_other = matches!(facts.type_of(value), Type::QuerySet(qs) if Some(qs.model) != model);
        if !is_other {
            let site = Site { file: site.file, span: call.span() };
            out.extend(shape::clash(group, call, site).filter(|hazard| !out.contains(hazard)));
        }
    }
}

/// The field of a form that has a value as its queryset: `author = ModelChoiceField(queryset=...)`,
/// `self.fields["author"].queryset = ...`.
fn field_of(cx: &Context<'_>, value: ValueId) -> Option<String> {
    let node = place::expression(cx, value).ok()?;
    let statement = node.ancestors().take(6).find(|n| n.kind() == Kind::Assign)?;
    let target = statement.child(Field::Left)?;
    match Expr::of(target) {
        Expr::Name(name) => {
            // An argument of the call that makes the field, in the body of a class.
            let Expr::Call { func, arguments: list } = Expr::of(statement.child(Field::Right)?) else {
                return None;
            };
            let is_field = list.contains(node.id()) && !func.contains(node.id());
            (is_field && node.enclosing_function().is_none()).then(|| name.to_owned())
        }
        Expr::Attribute { value, attr: "queryset", .. } => match Expr::of(value) {
            Expr::Subscript { value, index, .. } if value.text().ends_with("fields") => string_value(index),
            _ => None,
        },
        _ => None,
    }
}
