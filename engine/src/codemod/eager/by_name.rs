//! Code that asks a class, or an object of it, for the queryset by the name of the class: `BookList.queryset.only("title")` in
//! a task. Whatever comes with the rows comes there as well.

use super::beside::{Asked, Look, Receivers, unread};
use super::reads::{Group, Load};
use super::step::Step;
use super::{entries, listing, own_code};
use crate::codemod::{Context, Hazard};
use crate::infer::{Entry, EntryKind, Source, Type};
use crate::python::{ClassId, Expr, Field, FunctionId, Kind, Member, arguments, is_super};
use crate::text::FileId;
use std::collections::BTreeSet;

/// Code that asks the class, or an object of it, for the queryset: `BookList.queryset.only("title")`.
pub(super) fn hazards(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    let is_join_of_admin = |entry: &Entry| {
        group.load == Load::Join && entry.kind == EntryKind::Changelist && group.class_place.is_some()
    };
    let is_of_group = |entry: &&Entry| {
        entry.class.is_some_and(|class| group.remote.iter().any(|read| read.shown_by == Some(class)))
            && entry.kind != EntryKind::Choices
            && !is_join_of_admin(entry)
    };
    let entries: Vec<&Entry> = cx.analyzer.entries_from(cx.file).filter(is_of_group).collect();
    if entries.is_empty() || listing::is_left_to_list(cx, group) {
        return;
    }
    let mut family: Vec<ClassId> = entries.iter().flat_map(|entry| own_code::having(cx, entry)).collect();
    family.sort();
    family.dedup();
    let names = if entries.iter().any(|e| matches!(e.kind, EntryKind::Feed | EntryKind::Sitemap)) {
        &["items"][..]
    } else {
        &["get_queryset", "queryset"][..]
    };
    let asked = Asked { names, family: &family };
    let frames = frames(cx, &asked);
    let mut paths: Vec<&Vec<Step>> = Vec::new();
    group.paths().for_each(|steps| paths.extend((!paths.contains(&steps)).then_some(steps)));
    for (file, function) in frames {
        let facts = cx.analyzer.caller(file, function);
        let inner = Context { facts: &facts, file, ..*cx };
        for steps in &paths {
            let look = Look { steps, load: group.load, asked: &asked };
            look.frame(&inner, &Receivers::Called, false, out);
            if group.load == Load::Prefetch && function.is_none() {
                look.named_again(&inner, out);
            }
        }
    }
}

/// The frames that may ask one of the classes.
fn frames(cx: &Context<'_>, asked: &Asked<'_>) -> BTreeSet<(FileId, Option<FunctionId>)> {
    let program = cx.project.program();
    let sites = cx.analyzer.call_sites();
    let calls = asked.names.iter().flat_map(|name| sites.of(name));
    let mut out = BTreeSet::new();
    for site in calls.chain(sites.querysets()) {
        let node = program.file(site.file).node(site.call);
        let value = match Expr::of(node) {
            Expr::Attribute { value, .. } => value,
            Expr::Call { func, arguments: list } => match Expr::of(func) {
                Expr::Attribute { value, .. } => value,
                _ => match arguments(list).first() {
                    Some(first) => first.value,
                    None => continue,
                },
            },
            _ => continue,
        };
        let is_own = is_super(value) || matches!(Expr::of(value), Expr::Name("self"));
        if is_own || cx.project.is_test_file(site.file) || cx.project.is_known_file(site.file) {
            continue;
        }
        let text = program.file(site.file).source.text();
        // A permission or a filter gets the view from the framework; who calls a function with it is followed.
        let is_of_class = || site.function.is_some_and(|f| program.function(f).class.is_some());
        let is_view =
            value.text() == "view" || value.text().ends_with(".view") || value.text().contains("[\"view");
        if is_view && is_of_class()
            || asked.family.iter().any(|class| text.contains(program.class(*class).name.as_str()))
        {
            out.insert((site.file, site.function));
        }
    }
    out
}

impl Look<'_> {
    /// `queryset = BookList.queryset.filter(...)` in another class, or a variable of a module.
    fn named_again(&self, cx: &Context<'_>, out: &mut Vec<Hazard>) {
        let program = cx.project.program();
        let model = self.steps.first().map(|step| step.from);
        for node in self.asked.given(cx, &Receivers::Known) {
            if node.enclosing_function().is_some() {
                continue;
            }
            let Some(statement) = node.ancestors().find(|n| n.kind() == Kind::Assign) else { continue };
            let body = statement.ancestors().find(|n| n.kind() == Kind::ClassDef);
            let class = body.and_then(|def| program.class_at(cx.file, def.id()));
            let value = statement.child(Field::Right).map(|value| value.peel().id());
            let is_it = |class: ClassId| {
                program
                    .class(class)
                    .members
                    .values()
                    .any(|m| matches!(m, Member::Value(v) if Some(*v) == value))
            };
            let is_of_other_model =
                matches!(cx.type_of_any(node), Type::QuerySet(qs) if Some(qs.model) != model);
            if is_of_other_model {
                continue;
            }
            let shown = |entry: &&Entry| match entry.source {
                Source::Expression(file, node) => file == cx.file && statement.contains(node),
                _ => false,
            };
            let mut entries = cx.analyzer.entries().iter().filter(shown).peekable();
            let reads = class.is_some_and(is_it)
                && entries.peek().is_some()
                && entries.all(|entry| {
                    entries::shown(cx, entry, self.load).iter().any(|r| r.steps == self.steps && r.is_certain)
                });
            if !reads {
                unread(cx, cx.site(statement), out);
            }
        }
    }
}
