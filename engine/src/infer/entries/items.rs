//! Feeds and sitemaps: the methods that Django calls with each item.

#[cfg(test)]
mod tests;

use super::{Entry, EntryKind, Source, overrides_quietly};
use crate::infer::analyzer::Analyzer;
use crate::infer::calls::Arg;
use crate::infer::callsites::CallSite;
use crate::infer::frame::Frame;
use crate::infer::memo::Stack;
use crate::infer::rendering::class_string;
use crate::infer::summary::opaque;
use crate::infer::types::{Name, Rows, Type};
use crate::python::{
    Binding, ClassId, Def, Expr, FunctionId, Kind, Member, Node, arguments, parameters, string_value,
};
use crate::text::{FileId, Site};
use std::sync::Arc;

const FEED: &str = "django.contrib.syndication.views.Feed";
const SITEMAP: &str = "django.contrib.sitemaps.Sitemap";
const GENERIC_SITEMAP: &str = "django.contrib.sitemaps.GenericSitemap";

/// Methods of a feed that Django calls with the item, if they take one (django/contrib/syndication/views.py).
const OF_FEED: &[&str] = &[
    "item_title",
    "item_description",
    "item_link",
    "item_enclosures",
    "item_author_name",
    "item_pubdate",
    "item_updateddate",
    "item_guid",
    "item_guid_is_permalink",
    "item_comments",
    "item_categories",
    "item_copyright",
    "item_extra_kwargs",
];

/// Those that another one of them, or what it gives, may leave out.
const MAYBE_OF_FEED: &[&str] = &[
    "item_author_email",
    "item_author_link",
    "item_enclosure_url",
    "item_enclosure_length",
    "item_enclosure_mime_type",
];

/// Methods of a sitemap that Django calls with the item (django/contrib/sitemaps/__init__.py).
const OF_SITEMAP: &[&str] = &["location", "priority", "lastmod", "changefreq"];

/// Steps that are not followed where a class has its own.
const STEPS: &[&str] = &["get_feed", "_get_dynamic_attr", "_items", "_urls", "get_urls", "_get", "_location"];

/// The entries of feeds and sitemaps.
pub(super) fn collect(analyzer: &Analyzer<'_>, out: &mut Vec<Entry>) {
    let program = analyzer.project.program();
    for class in program.class_ids() {
        let info = program.class(class);
        let kind = if program.inherits(class, FEED) {
            EntryKind::Feed
        } else if program.inherits(class, SITEMAP) {
            EntryKind::Sitemap
        } else {
            continue;
        };
        let is_followed = !STEPS.iter().any(|name| program.member(class, name).is_some())
            && !overrides_quietly(program, class, "__call__")
            && !analyzer.project.is_known_file(info.file);
        if is_followed {
            let find = || items(analyzer, class, kind).into_iter().collect();
            out.extend(analyzer.entries_of(("items", class.0, 0), find));
        }
    }
    for site in analyzer.call_sites().of("GenericSitemap") {
        out.extend(generic(analyzer, *site));
    }
}

/// `GenericSitemap({"queryset": books, "date_field": "updated_at"})`: nothing but `get_absolute_url()` and the date is
/// asked of each row.
fn generic(analyzer: &Analyzer<'_>, site: CallSite) -> Option<Entry> {
    let program = analyzer.project.program();
    let source = program.file(site.file);
    let call = source.node(site.call);
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let is_it = matches!(program.resolve_expr(site.file, func.peel().id()),
        Some(Def::External(path)) if path == GENERIC_SITEMAP);
    let list = arguments(list);
    let info = list.first().filter(|a| is_it && a.stars == 0 && a.name.is_none_or(|n| n == "info_dict"))?;
    if !is_for_sitemaps(analyzer, site.file, info.value) {
        return None;
    }
    let facts = analyzer.caller(site.file, site.function);
    let Type::Dict(given) = facts.type_of(info.value) else { return None };
    let (Type::QuerySet(_), file, rows) = given.2.get("queryset")? else { return None };
    let (file, rows) = (*file, *rows);
    let date =
        given.2.get("date_field").and_then(|(_, file, node)| string_value(program.file(*file).node(*node)));
    let mut stack = Stack::default();
    let mut frame = Frame::new(analyzer, &mut stack, site.file, source.root(), None);
    let summary = analyzer.outside(file, rows, frame.stack);
    let ty = frame.imported(&summary, file, rows, call);
    let qs = ty.queryset().filter(|qs| qs.rows == Rows::Instances)?.clone();
    let [value] = qs.values.as_slice() else { return None };
    let row = frame.iterate(&ty, call);
    frame.each(&ty, |frame| {
        frame.linked(&row, call);
        if let Some(date) = &date {
            frame.attribute(&row, date, call);
        }
    });
    let facts = Arc::new(analyzer.expanded(frame.finish().0, &mut Stack::default()));
    let (kind, at) = (EntryKind::Sitemap, Site { file: site.file, span: func.span() });
    let source = Source::Expression(file, rows);
    Some(Entry::new(kind, at, (source, *value), facts))
}

fn items(analyzer: &Analyzer<'_>, class: ClassId, kind: EntryKind) -> Option<Entry> {
    let program = analyzer.project.program();
    let Some((_, Member::Function(function, Binding::Method))) = program.member(class, "items") else {
        return None;
    };
    let function = *function;
    let (rows, facts) = analyzer.on_behalf(class, |frame, node| {
        let given = match kind {
            EntryKind::Feed => frame.fed_object(class, function, node),
            _ => None,
        };
        let ty = frame.call_function(function, Some(Type::Object(class)), given.as_slice(), node);
        let qs = ty.queryset()?.clone();
        let [rows] = qs.values.as_slice() else { return None };
        if qs.rows != Rows::Instances {
            return None;
        }
        let row = frame.iterate(&ty, node);
        frame.each(&ty, |frame| match kind {
            EntryKind::Sitemap => {
                for name in OF_SITEMAP {
                    if !frame.asked(class, name, &row, node) && *name == "location" {
                        frame.linked(&row, node);
                    }
                }
            }
            _ => frame.fed(class, &row, node),
        });
        Some(*rows)
    })?;
    Some(Entry::of_class(analyzer, kind, class, (Source::Function(function), rows), Arc::new(facts)))
}

/// Whether nothing but sitemaps gets the dict that an expression gives: it is written there, or has a name that is used for
/// nothing else.
fn is_for_sitemaps(analyzer: &Analyzer<'_>, file: FileId, dict: Node<'_>) -> bool {
    let Expr::Name(name) = Expr::of(dict) else { return matches!(Expr::of(dict), Expr::Dict(_)) };
    let program = analyzer.project.program();
    let is_given = |n: Node<'_>| {
        let call = n.with_parens().ancestors().take(3).find(|a| a.kind() == Kind::Call);
        matches!(call.map(Expr::of), Some(Expr::Call { func, .. }) if func.text().ends_with("GenericSitemap"))
    };
    let uses = program.file(file).root().mentions(name);
    let mut uses = uses.filter(|n| !is_given(*n));
    let is_bound_once = uses.next().is_some_and(|n| n.is_binding()) && uses.next().is_none();
    is_bound_once && analyzer.files_mentioning(name).iter().all(|other| *other == file)
}

impl Analyzer<'_> {
    /// What `items(self, obj)` of a feed gets: what its `get_object()` gives.
    pub(in crate::infer) fn given_by_feed(
        &self,
        function: FunctionId,
        index: usize,
        stack: &mut Stack,
    ) -> Option<Type> {
        let program = self.project.program();
        let info = program.function(function);
        let class = info.class.filter(|_| index == 1 && info.name == "items")?;
        if !program.inherits(class, FEED) {
            return None;
        }
        let (_, Member::Function(given, Binding::Method)) = program.member(class, "get_object")? else {
            return None;
        };
        let arguments = self.default_arguments(*given, stack);
        let summary = self.summary(*given, arguments, stack)?;
        summary.returns.as_ref().map(opaque)
    }
}

impl<'a> Frame<'a, '_> {
    /// What a feed is about, if its `items()` wants to know: what `get_object()` gives.
    fn fed_object(&mut self, class: ClassId, items: FunctionId, node: Node<'a>) -> Option<Arg<'a>> {
        let program = self.az.project.program();
        let def = |function: FunctionId| {
            let info = program.function(function);
            program.file(info.file).node(info.node)
        };
        parameters(def(items)).get(1)?;
        let Some((_, Member::Function(function, Binding::Method))) = program.member(class, "get_object")
        else {
            return Some(Arg { name: None, ty: Type::None, node, stars: 0 });
        };
        let ty = self.call_function(*function, Some(Type::Object(class)), &[], node);
        Some(Arg { name: None, ty, node, stars: 0 })
    }

    fn fed(&mut self, class: ClassId, row: &Type, node: Node<'a>) {
        let program = self.az.project.program();
        for name in OF_FEED {
            let template = match *name {
                "item_title" => Some("title_template"),
                "item_description" => Some("description_template"),
                _ => None,
            };
            let is_shown = |t: &str| match program.member(class, t) {
                Some((owner, Member::Value(value))) => {
                    program.file(program.class(owner).file).node(*value).kind() != Kind::None
                }
                other => other.is_some(),
            };
            if let Some(template) = template.filter(|t| is_shown(t)) {
                self.fed_to_template(class, template, row, node);
                continue;
            }
            if self.asked(class, name, row, node) {
                continue;
            }
            match *name {
                "item_title" | "item_description" => self.stringify(row, node),
                "item_link" => self.linked(row, node),
                _ => {}
            }
        }
        for name in MAYBE_OF_FEED {
            self.conditionally(|frame| frame.asked(class, name, row, node));
        }
    }

    /// A template that shows the row as `obj`.
    fn fed_to_template(&mut self, class: ClassId, attribute: &str, row: &Type, node: Node<'a>) {
        let program = self.az.project.program();
        let Some(name) = class_string(program, class, attribute) else { return };
        if !overrides_quietly(program, class, "get_context_data") {
            let context = std::iter::once((Name::from("obj"), row.clone())).collect();
            self.render(&[&name], context, node);
        }
    }

    /// `row.get_absolute_url()`
    fn linked(&mut self, row: &Type, node: Node<'a>) {
        self.method_call(row, "get_absolute_url", &[], node, node);
    }

    /// Call the method `name` of an object of `class`, with the row if it takes one; whether the class has the attribute.
    pub(super) fn asked(&mut self, class: ClassId, name: &str, row: &Type, node: Node<'a>) -> bool {
        let program = self.az.project.program();
        let Some((_, member)) = program.member(class, name) else { return false };
        let Member::Function(function, binding) = member else { return true };
        let (function, binding) = (*function, *binding);
        let info = program.function(function);
        let def = program.file(info.file).node(info.node);
        let takes_self = usize::from(binding != Binding::StaticMethod);
        let given = Arg { name: None, ty: row.clone(), node, stars: 0 };
        let args = if parameters(def).len() > takes_self { vec![given] } else { Vec::new() };
        let site = program.name_site(info.file, info.node);
        let object = Type::Object(class);
        let value = self.at_site(site, |frame| {
            frame.call_bound(function, binding, Type::Def(Def::Class(class)), &object, &args, node)
        });
        if name != "lastmod" && name != "item_pubdate" {
            self.at_site(site, |frame| frame.stringify(&value, node));
        }
        true
    }
}
