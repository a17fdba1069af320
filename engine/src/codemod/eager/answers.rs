//! Answers of a view, a feed or a sitemap that load its rows and do not read what the entry reads: a response made in
//! another way, a form that is posted, another template, another view with the same queryset. A prefetch costs a query
//! there, for nothing.

use super::entries::shown;
use super::guards;
use super::own_code::{classes, is_loaded_by_chain};
use super::prefetch::LOADING;
use super::reads::Load;
use super::remote::QUIET;
use super::step::Step;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Entry, EntryKind, Source, Trait, Type};
use crate::python::{ClassId, Def, Expr, Field, FunctionId, Kind, Member, Node, arguments, is_super};
use crate::text::{FileId, Site};
use std::sync::Arc;

/// Methods that make the response (django/views/generic/base.py, list.py and detail.py).
const ANSWERING: &[&str] = &["render_to_response", "get", "dispatch"];
/// Classes of Django's whose `post()` loads the object of a detail view (django/views/generic/edit.py).
const POSTING: &[&str] = &[
    "ProcessFormView",
    "DeletionMixin",
    "FormView",
    "BaseFormView",
    "CreateView",
    "BaseCreateView",
    "UpdateView",
    "BaseUpdateView",
    "DeleteView",
    "BaseDeleteView",
];
/// Arguments of `as_view()` that change what is shown of the rows.
const SHOWING: &[&str] = &["template_name", "template_name_suffix", "context_object_name"];
/// Handlers that do not render the rows that they have loaded, or not always.
const WRITING: &[&str] = &["post", "put", "patch", "delete", "form_valid", "form_invalid"];

/// Answers that load rows of the entry's queryset and do not read the relation.
pub(super) fn hazards(cx: &Context<'_>, entry: &Entry, steps: &[Step], out: &mut Vec<Hazard>) {
    let is_view = matches!(entry.kind, EntryKind::ListView | EntryKind::DetailView);
    let owner = owner(cx, entry);
    let classes = classes(cx, entry);
    let mut sites: Vec<Site> = Vec::new();
    if is_view {
        for class in &classes {
            other_answers(cx, *class, owner.is_some(), &mut sites);
        }
        other_templates(cx, &classes, &mut sites);
    }
    if owner.is_some() && entry.kind == EntryKind::ListView {
        beside_the_page(cx, &classes, &mut sites);
    }
    if owner.is_some() && entry.kind == EntryKind::DetailView {
        for class in &classes {
            posted(cx, *class, &mut sites);
        }
    }
    if entry.kind == EntryKind::Sitemap {
        latest(cx, entry, steps, &mut sites);
    }
    if owner.is_some() {
        asked_elsewhere(cx, &classes, &mut sites);
    }
    for site in sites {
        let subject = guards::node_at(cx.project, site).map_or("...", guards::first_line);
        add(Hazard::at(HazardKind::LoadedWithout, subject, site), out);
    }
    if let Some((name, owner)) = owner
        && (is_view || matches!(entry.kind, EntryKind::ListAction | EntryKind::Feed | EntryKind::Sitemap))
    {
        shared(cx, entry, (name, owner), steps, out);
    }
}

fn add(hazard: Hazard, out: &mut Vec<Hazard>) {
    if !out.contains(&hazard) {
        out.push(hazard);
    }
}

/// The member that gives the rows of the class itself, not another list of its context, and the class that has it.
fn owner<'a>(cx: &Context<'a>, entry: &Entry) -> Option<(&'a str, ClassId)> {
    let program = cx.project.program();
    match entry.source {
        Source::Function(function) => {
            let info = program.function(function);
            let is_it = matches!(info.name.as_str(), "get_queryset" | "items");
            Some((info.name.as_str(), info.class?)).filter(|_| is_it)
        }
        Source::Model(..) | Source::Above(..) => {
            program.member(entry.class?, "model").map(|(owner, _)| ("model", owner))
        }
        Source::Expression(file, node) => {
            if let Some((owner, Member::Value(value))) = program.member(entry.class?, "queryset")
                && (program.class(owner).file, *value) == (file, node)
            {
                return Some(("queryset", owner));
            }
            let def = program.file(file).node(node).enclosing_function()?;
            let info = program.function(program.function_at(file, def.id())?);
            Some(("get_queryset", info.class?)).filter(|_| info.name == "get_queryset")
        }
    }
}

/// The methods that a class of the program defines itself.
fn methods<'a>(cx: &Context<'a>, class: ClassId) -> impl Iterator<Item = (&'a str, FileId, Node<'a>)> {
    let program = cx.project.program();
    let info = program.class(class);
    info.order.iter().filter_map(move |name| {
        let Some(Member::Function(function, _)) = info.members.get(name) else { return None };
        let def = program.function(*function);
        Some((name.as_str(), def.file, program.file(def.file).node(def.node)))
    })
}

/// Responses that are not those of the class above, and templates that are chosen by code.
fn other_answers(cx: &Context<'_>, class: ClassId, is_own: bool, sites: &mut Vec<Site>) {
    for (name, file, def) in methods(cx, class) {
        let site = |node: Node<'_>| Site { file, span: node.span() };
        if name == "get_template_names" {
            sites.extend(def.child(Field::Name).map(site));
        }
        if !ANSWERING.contains(&name) || !is_own {
            continue;
        }
        let is_above = |n: Node<'_>| match Expr::of(n) {
            Expr::Call { func, .. } if n.kind() == Kind::Call => {
                matches!(Expr::of(func), Expr::Attribute { value, attr, .. } if attr == name && is_super(value))
            }
            _ => false,
        };
        let Some(first) = def.descendants().find(|n| is_above(*n)) else { continue };
        let kept: Vec<&str> = def
            .descendants()
            .filter(|n| n.kind() == Kind::Assign)
            .filter(|n| n.child(Field::Right).is_some_and(|r| r.descendants().any(is_above)))
            .filter_map(|n| n.child(Field::Left))
            .map(|n| n.text())
            .collect();
        for leave in def.descendants().filter(|n| matches!(n.kind(), Kind::Return | Kind::Raise)) {
            let is_later = leave.id() > first.id() || name == "render_to_response";
            let gives = leave.kind() == Kind::Return
                && (leave.descendants().any(is_above)
                    || leave.children().next().is_some_and(|given| kept.contains(&given.peel().text())));
            if is_later && !gives {
                sites.push(site(leave));
            }
        }
    }
}

fn is_self(node: Node<'_>) -> bool {
    matches!(Expr::of(node), Expr::Name("self"))
}

/// `BookList.as_view(template_name="shop/compact.html")`
fn other_templates(cx: &Context<'_>, classes: &[ClassId], sites: &mut Vec<Site>) {
    for (file, call) in calls_on(cx, "as_view", classes) {
        let Expr::Call { arguments: list, .. } = Expr::of(call) else { continue };
        let changes = |name: Option<&str>| name.is_some_and(|name| SHOWING.contains(&name));
        if arguments(list).iter().any(|a| a.stars == 2 || changes(a.name)) {
            sites.push(Site { file, span: call.span() });
        }
    }
}

/// The calls of a method `name` of one of the classes, on the class itself.
fn calls_on<'a>(cx: &Context<'a>, name: &str, classes: &[ClassId]) -> Vec<(FileId, Node<'a>)> {
    let program = cx.project.program();
    let calls = cx.analyzer.call_sites().of(name).iter();
    calls
        .filter_map(|site| {
            let call = program.file(site.file).node(site.call);
            let Expr::Call { func, .. } = Expr::of(call) else { return None };
            let Expr::Attribute { value, .. } = Expr::of(func) else { return None };
            let on = program.resolve_expr(site.file, value.peel().id());
            matches!(on, Some(Def::Class(class)) if classes.contains(&class)).then_some((site.file, call))
        })
        .collect()
}

/// `self.object_list` beside the page of it that the template shows, or another part of it.
fn beside_the_page(cx: &Context<'_>, classes: &[ClassId], sites: &mut Vec<Site>) {
    let program = cx.project.program();
    let is_cut = classes.iter().any(|class| {
        let members = &program.class(*class).members;
        let by = members.get("paginate_by").is_some_and(|member| match member {
            Member::Value(value) => {
                program.file(program.class(*class).file).node(*value).kind() != Kind::None
            }
            _ => true,
        });
        by || members.contains_key("get_paginate_by")
    });
    let is_cut = is_cut
        || calls_on(cx, "as_view", classes).iter().any(|(_, call)| match Expr::of(*call) {
            Expr::Call { arguments: list, .. } => {
                arguments(list).iter().any(|a| a.name == Some("paginate_by"))
            }
            _ => false,
        });
    for class in classes {
        for (name, file, def) in methods(cx, *class) {
            let is_ours = |n: &Node<'_>| {
                n.kind() == Kind::Attribute
                    && n.field() != Field::Left
                    && matches!(Expr::of(*n), Expr::Attribute { value, attr: "object_list", .. } if is_self(value))
            };
            let loads_all = is_cut || WRITING.contains(&name);
            let found = def.descendants().filter(is_ours).filter(|n| loads(*n, loads_all));
            sites.extend(found.map(|n| Site { file, span: n.with_parens().parent().unwrap_or(n).span() }));
        }
    }
}

/// Whether an expression that gives a queryset loads rows of it: all of them, where that counts, or some.
fn loads(node: Node<'_>, all: bool) -> bool {
    let whole = node.with_parens();
    let Some(parent) = whole.parent() else { return all };
    match Expr::of(parent) {
        Expr::Attribute { attr, .. } => {
            let is_called = parent.with_parens().parent().is_some_and(|call| call.kind() == Kind::Call);
            is_called && (LOADING.contains(&attr) || !QUIET.contains(&attr) || is_loaded_by_chain(node))
        }
        Expr::Subscript { .. } => true,
        _ => all,
    }
}

/// A form that is posted to a detail view, and an object that the view asks for by itself.
fn posted(cx: &Context<'_>, class: ClassId, sites: &mut Vec<Site>) {
    let program = cx.project.program();
    let info = program.class(class);
    let is_posting = |base: &String| {
        base.starts_with("django.views.generic")
            && base.rsplit('.').next().is_some_and(|name| POSTING.contains(&name))
    };
    if info.external_bases.iter().any(is_posting) {
        sites.push(program.name_site(info.file, info.node));
    }
    for (name, file, def) in methods(cx, class) {
        let gets = |n: &Node<'_>| match Expr::of(*n) {
            Expr::Call { func, .. } if n.kind() == Kind::Call => matches!(
                Expr::of(func),
                Expr::Attribute { value, attr: "get_object", .. } if is_self(value) || is_super(value)
            ),
            _ => false,
        };
        let Some(call) = def.descendants().find(gets) else { continue };
        let site = |node: Node<'_>| Site { file, span: node.span() };
        match name {
            // The object is loaded, and then not shown.
            "get_object" => {
                let mut raised = def.descendants().filter(|n| n.kind() == Kind::Raise && n.id() > call.id());
                sites.extend(raised.next().map(site));
            }
            _ => sites.push(site(call)),
        }
    }
}

/// The index of sitemaps asks for the newest `lastmod` of all rows, and for nothing else
/// (django/contrib/sitemaps/__init__.py, `Sitemap.get_latest_lastmod`).
fn latest(cx: &Context<'_>, entry: &Entry, steps: &[Step], sites: &mut Vec<Site>) {
    let program = cx.project.program();
    let Some((_, Member::Function(function, _))) =
        entry.class.and_then(|class| program.member(class, "lastmod"))
    else {
        return;
    };
    let info = program.function(*function);
    let def = program.file(info.file).node(info.node);
    let reads = shown_at(cx, entry, steps);
    let is_inside = |site: &Site| site.file == info.file && def.span().contains(site.span);
    if !reads.iter().any(is_inside) {
        sites.push(program.name_site(info.file, info.node));
    }
}

/// Where the entry reads what `steps` lead to, of every row.
fn shown_at(cx: &Context<'_>, entry: &Entry, steps: &[Step]) -> Vec<Site> {
    let reads = shown(cx, entry, Load::Prefetch);
    let is_it = |path: &crate::infer::Path| reads.iter().any(|r| r.path == *path && r.steps == steps);
    let events = entry.facts.events().filter(|e| e.rounds.iter().any(|r| r.is_certain));
    let read =
        events.filter_map(|e| Some((super::reads::rows_read(&entry.facts, e, Load::Prefetch)?.1, e.site)));
    read.filter(|(path, _)| is_it(path)).map(|(_, site)| site).collect()
}

/// An object of one of the classes that somebody makes, and asks for its rows.
fn asked_elsewhere(cx: &Context<'_>, classes: &[ClassId], sites: &mut Vec<Site>) {
    let program = cx.project.program();
    let mentioning = classes.iter().map(|class| cx.analyzer.files_mentioning(&program.class(*class).name));
    let mentioning: Vec<Arc<[FileId]>> = mentioning.collect();
    let names_one = |file: FileId| mentioning.iter().any(|files| files.binary_search(&file).is_ok());
    for name in ["get_queryset", "get_object", "items"] {
        for site in cx.analyzer.call_sites().of(name) {
            let file = program.file(site.file);
            let call = file.node(site.call);
            let Expr::Call { func, .. } = Expr::of(call) else { continue };
            let Expr::Attribute { value, .. } = Expr::of(func) else { continue };
            if is_super(value) || is_self(value) || !names_one(site.file) {
                continue;
            }
            let facts = cx.analyzer.caller(site.file, site.function);
            let is_ours = matches!(facts.type_of(value), Type::Object(class) if classes.contains(class));
            if is_ours && (name == "get_object" || loads(call, true)) {
                sites.push(Site { file: site.file, span: call.span() });
            }
        }
    }
}

/// Other classes that have the rows from the same place, and do not read the relation of each.
fn shared(
    cx: &Context<'_>,
    entry: &Entry,
    (name, owner): (&str, ClassId),
    steps: &[Step],
    out: &mut Vec<Hazard>,
) {
    let program = cx.project.program();
    let from = |class: ClassId, name: &str| match program.member(class, name) {
        Some((owner, Member::Function(function, _))) if hands_on(cx, *function) => {
            // Whatever it makes of what the class above gives.
            let mut above = program.class(class).mro.iter().skip_while(|c| **c != owner).skip(1);
            let above = above.find(|c| program.class(**c).members.contains_key(name)).copied();
            vec![Some(owner), above]
        }
        found => vec![found.map(|(owner, _)| owner)],
    };
    for class in program.descendants(owner).into_iter().chain([owner]).filter(|c| Some(*c) != entry.class) {
        let info = program.class(class);
        let is_view = info.external_bases.iter().any(|base| base != "builtins.object");
        if !is_view || cx.project.is_known_file(info.file) || !from(class, name).contains(&Some(owner)) {
            continue;
        }
        // A class that says more than the model goes by that.
        let more: &[&str] = match name {
            "model" => &["queryset", "get_queryset"],
            "queryset" => &["get_queryset"],
            _ => &[],
        };
        let is_other = more.iter().any(|name| {
            let own = from(class, name);
            let shares = |shown: ClassId| from(shown, name).iter().any(|o| own.contains(o));
            own.iter().any(Option::is_some)
                && !entry.class.is_some_and(shares)
                && !matches!(program.member(class, name), Some((_, Member::Function(f, _))) if hands_on(cx, *f))
        });
        // What it prefetches by itself is looked at where the queryset is narrowed.
        let loads_itself = match program.member(class, "get_queryset") {
            Some((_, Member::Function(function, _))) if hands_on(cx, *function) => {
                let info = program.function(*function);
                program.file(info.file).node(info.node).text().contains("prefetch_related(")
            }
            _ => false,
        };
        // A class that others are made from shows nothing by itself, unless somebody asks for it.
        let is_base = program.descendants(class).iter().any(|below| *below != class)
            && calls_on(cx, "as_view", &[class]).is_empty();
        let mut entries = cx.analyzer.entries().iter().filter(|e| e.class == Some(class)).peekable();
        if is_other || loads_itself || is_base && entries.peek().is_none() {
            continue;
        }
        let lookup = steps.iter().map(|s| s.attribute.as_str()).collect::<Vec<_>>().join("__");
        let reads = entries.any(|e| {
            let rows = e.facts.value(e.rows).and_then(|v| v.queryset.as_deref());
            // What it loads by itself costs nothing more.
            rows.is_some_and(|qs| {
                qs.is(Trait::OpaquePrefetch)
                    || qs.is(Trait::PrefetchedList)
                    || qs.prefetched.iter().any(|p| **p == *lookup)
            }) || shown(cx, e, Load::Prefetch).iter().any(|read| read.is_certain && read.steps == steps)
        });
        if !reads {
            let site = program.name_site(info.file, info.node);
            add(Hazard::at(HazardKind::SharedQuerySet, info.name.clone(), site), out);
        }
    }
}

/// Whether a method asks the class above.
fn hands_on(cx: &Context<'_>, function: FunctionId) -> bool {
    let info = cx.project.program().function(function);
    cx.project.program().file(info.file).node(info.node).text().contains("super()")
}
