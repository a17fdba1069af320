//! Literal paths in the arguments of a queryset's methods.

use super::certain;
use super::meant::{Meant, meant};
use super::paths::{How, Unresolved, unresolved};
use ormend_engine::codemod::guards::handlers::{external_path, taking, taking_outside};
use ormend_engine::codemod::guards::queryset::queryset_of;
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::infer::Type;
use ormend_engine::python::{Expr, Kind, Node, string_value};

/// A path that names nothing.
pub struct Found<'a> {
    /// The string, or the keyword argument.
    pub node: Node<'a>,
    /// The call of the queryset's method.
    pub call: Node<'a>,
    /// What takes the path.
    pub how: How,
    /// Where it ends.
    pub unresolved: Unresolved,
    /// What was meant.
    pub meant: Meant,
}

/// The match at a string or a keyword argument.
pub fn found<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Found<'a>> {
    let (call, path) = given(cx, node)?;
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    let Expr::Attribute { value: receiver, attr: method, .. } = Expr::of(func) else { return None };
    let how = How::of(method)?;
    if (how == How::Lookup) != (node.kind() == Kind::KeywordArgument) || cx.project.is_known_file(cx.file) {
        return None;
    }
    if !matches!(cx.type_of(receiver), Type::QuerySet(_) | Type::Manager(_)) {
        return None;
    }
    let queryset = queryset_of(cx, receiver)?;
    let bare = match how {
        How::Order => path.trim_start_matches(['-', '+']),
        _ => path.as_str(),
    };
    let first = bare.split("__").next().unwrap_or(bare);
    if bare.is_empty() || bare == "?" || queryset.annotations.iter().any(|a| **a == *first) {
        return None;
    }
    let unresolved = unresolved(cx, queryset.model, bare, how)?;
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let meant = meant(cx, node, queryset.model, bare, how, &unresolved);
    let is_certain = matches!(meant, Meant::Several(_) | Meant::Certainly(_));
    if !is_certain && !unresolved.part.chars().all(is_name) {
        return None;
    }
    if !certain::is_plain(cx, queryset, method)
        || !certain::is_of_named_model(cx, receiver, queryset)
        || !certain::is_certain(cx, &unresolved, how)
    {
        return None;
    }
    let meant = match meant {
        Meant::Certainly(p) => Meant::Certainly(with_sign(&path, bare, &p)),
        Meant::Perhaps(p) => Meant::Perhaps(with_sign(&path, bare, &p)),
        other => other,
    };
    Some(Found { node, call, how, unresolved, meant })
}

fn with_sign(path: &str, bare: &str, new: &str) -> String {
    format!("{}{new}", path.strip_suffix(bare).unwrap_or(""))
}

/// The call of a queryset's method that takes the path which `node` is, and the path.
fn given<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<(Node<'a>, String)> {
    if node.kind() == Kind::KeywordArgument {
        let name = node.children().next()?.text().to_owned();
        let call = node.parent().filter(|p| p.kind() == Kind::Arguments)?.parent()?;
        return Some((around_conditions(cx, call)?, name));
    }
    let list = node.with_parens().parent().filter(|p| p.kind() == Kind::Arguments)?;
    let call = list.parent().filter(|p| p.kind() == Kind::Call)?;
    let path = string_value(node)?;
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    // The first argument of a `Prefetch` that is given at once.
    if external_path(cx, func).is_some_and(|p| p.starts_with("django.db.models") && p.ends_with(".Prefetch"))
    {
        let is_first = list.children().find(|n| n.kind() != Kind::Comment).is_some_and(|f| f.peel() == node);
        let outer = call.with_parens().parent().filter(|p| p.kind() == Kind::Arguments && is_first)?;
        return outer.parent().filter(|p| p.kind() == Kind::Call).map(|call| (call, path));
    }
    Some((call, path))
}

/// From a call of `Q` up to the call that it is an argument of.
fn around_conditions<'a>(cx: &Context<'a>, call: Node<'a>) -> Option<Node<'a>> {
    let Expr::Call { func, .. } = Expr::of(call) else { return None };
    if !external_path(cx, func).is_some_and(|p| p.starts_with("django.db.models") && p.ends_with(".Q")) {
        return Some(call);
    }
    let mut node = call.with_parens();
    for _ in 0..40 {
        let parent = node.parent()?;
        match parent.kind() {
            Kind::BinOp | Kind::UnaryOp => node = parent.with_parens(),
            Kind::Arguments => return parent.parent().filter(|p| p.kind() == Kind::Call),
            _ => return None,
        }
    }
    None
}

/// Handlers around a call that gives no queryset.
pub fn handled_here<'a>(cx: &Context<'a>, found: &Found<'a>, out: &mut Vec<Hazard>) {
    let errors = found.how.errors();
    let site = taking(cx, cx.file, found.call, errors).or_else(|| taking_outside(cx, errors));
    out.extend(site.map(|site| Hazard::at(HazardKind::HandlerAround, "", site)));
}
