//! Classes that run for more than one model: one below names another (`model = Chapter`), a second one is registered with the
//! admin, or `as_view(model=...)` says so. What is asked for the rows of one model may be refused for those of another.

use super::reads::{Group, Load};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::ModelId;
use crate::infer::{CallSite, EntryKind};
use crate::python::{ClassId, Def, Expr, Member, arguments};
use crate::text::Site;
use std::sync::Arc;

/// Hazards of an edit in a class, or in a method of one.
pub(super) fn hazards(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    let (class, edited, models) = match &group.class_place {
        Some(place) => {
            let is_column = group.load == Load::Join && place.kind == EntryKind::Changelist;
            let edited = match place.kind {
                EntryKind::Changelist | EntryKind::Inline if is_column => "list_select_related",
                EntryKind::Changelist | EntryKind::Inline => "get_queryset",
                _ => "queryset",
            };
            (place.class, edited, vec![place.queryset.model])
        }
        None => {
            let Some(function) = program.function_at(cx.file, cx.facts.scope) else { return };
            let info = program.function(function);
            let Some(class) = info.class else { return };
            let querysets = group.targets.iter().filter_map(|t| cx.value(*t)?.queryset.as_deref());
            (class, info.name.as_str(), querysets.map(|q| q.model).collect())
        }
    };
    let Some(model) = models.first().copied() else { return };
    let site = below(cx, class, edited, model)
        .or_else(|| registered(cx, class, edited, model))
        .or_else(|| made_for(cx, class, group.class_place.is_some(), model));
    if let Some((what, site)) = site {
        out.push(Hazard::at(HazardKind::OtherModel, what, site));
    }
}

/// Whether objects of `below` have `edited` from themselves alone.
fn has_own(cx: &Context<'_>, below: ClassId, class: ClassId, edited: &str) -> bool {
    let program = cx.project.program();
    let Some((owner, member)) = program.member(below, edited) else { return false };
    if owner == class || !program.class(owner).mro.contains(&class) {
        return false;
    }
    match member {
        Member::Function(function, _) => {
            let info = program.function(*function);
            !program.file(info.file).node(info.node).text().contains("super(")
        }
        _ => true,
    }
}

/// A class below that gives another model to an attribute that names this one.
fn below(cx: &Context<'_>, class: ClassId, edited: &str, model: ModelId) -> Option<(String, Site)> {
    let program = cx.project.program();
    let named = |class: ClassId, name: &str| cx.project.model_member(class, name).map(|(model, ..)| model);
    let members = program.class(class).mro.iter().flat_map(|c| program.class(*c).members.iter());
    let names: Vec<&String> = members
        .filter(|(name, member)| matches!(member, Member::Value(_)) && named(class, name) == Some(model))
        .map(|(name, _)| name)
        .collect();
    program.descendants(class).into_iter().filter(|c| *c != class).find_map(|other| {
        let info = program.class(other);
        let name = names.iter().find(|n| info.members.contains_key(n.as_str()))?;
        let is_other = named(other, name) != Some(model);
        (is_other && !has_own(cx, other, class, edited))
            .then(|| (info.name.clone(), program.name_site(info.file, info.node)))
    })
}

/// A registration with the admin, of the class or of one below, for another model.
fn registered(cx: &Context<'_>, class: ClassId, edited: &str, model: ModelId) -> Option<(String, Site)> {
    let program = cx.project.program();
    cx.project.admin().registrations().iter().find_map(|registration| {
        let other = registration.class?;
        let info = program.class(other);
        let is_other = registration.model != model && info.mro.contains(&class);
        (is_other && !has_own(cx, other, class, edited))
            .then(|| (cx.model(registration.model).name.clone(), program.name_site(info.file, info.node)))
    })
}

/// `BookList.as_view(model=Chapter)`
fn made_for(cx: &Context<'_>, class: ClassId, is_attribute: bool, model: ModelId) -> Option<(String, Site)> {
    let program = cx.project.program();
    views_made(cx).iter().filter(|(view, _)| program.class(*view).mro.contains(&class)).find_map(
        |(_, site)| {
            let call = program.file(site.file).node(site.call);
            let Expr::Call { arguments: list, .. } = Expr::of(call) else { return None };
            let argument = arguments(list).into_iter().find(|a| {
                let is_model = a.name == Some("model")
                    && program.resolve_expr(site.file, a.value.peel().id())
                        != Some(Def::Class(cx.model(model).class));
                a.stars > 1 || is_model || !is_attribute && a.name == Some("queryset")
            })?;
            let subject = argument.node.text().lines().next().unwrap_or_default().to_owned();
            Some((subject, Site { file: site.file, span: argument.node.span() }))
        },
    )
}

/// The calls of `as_view()`, each with the class that it is called on.
fn views_made(cx: &Context<'_>) -> Arc<Vec<(ClassId, CallSite)>> {
    let program = cx.project.program();
    let view = |site: &CallSite| {
        let Expr::Call { func, .. } = Expr::of(program.file(site.file).node(site.call)) else { return None };
        let Expr::Attribute { value, .. } = Expr::of(func) else { return None };
        match program.resolve_expr(site.file, value.peel().id()) {
            Some(Def::Class(view)) => Some((view, *site)),
            _ => None,
        }
    };
    let find = || cx.analyzer.call_sites().of("as_view").iter().filter_map(view).collect();
    cx.analyzer.once("views made", find)
}
