//! Rows that a template has from the program itself, not from its context: what a tag gives, a property or a method of
//! what a name stands for, an attribute that a view keeps.
//!
//! Such rows turn up in whatever renders the template: a function, a generic view, or nothing that is known, where the
//! template alone says that a tag of the project is asked.

use super::named::begin;
use super::{Entry, EntryKind, Source};
use crate::django::templates::{Custom, CustomKind, NodeKind};
use crate::infer::analyzer::Analyzer;
use crate::infer::calls::Arg;
use crate::infer::facts::{EventKind, Facts, Origin, Use, Value};
use crate::infer::frame::Frame;
use crate::infer::rendering::Names;
use crate::infer::summary::rows_of;
use crate::infer::types::{Instance, QuerySet, Root, Rows, Type, ValueId};
use crate::python::touched::{self, Touched};
use crate::python::{ClassId, FunctionId, Node, NodeId, Program};
use crate::text::{FileId, Site};
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Where a queryset is built that an expression names, in a function of the program.
pub(super) struct Built {
    pub source: Source,
    /// What the expression gives the rows of, where it gives a list or a page of them.
    pub listed: Option<Arc<QuerySet>>,
}

/// The entries of the templates that functions render, function by function, with what they were found in.
pub(super) fn rendered(analyzer: &Analyzer<'_>) -> Vec<(Vec<Entry>, Touched)> {
    let mut seen = FxHashSet::default();
    let own = |frame: &(FileId, Option<FunctionId>)| !analyzer.project.is_known_file(frame.0);
    let frames: Vec<(FileId, Option<FunctionId>)> =
        analyzer.rendering().into_iter().filter(own).filter(|frame| seen.insert(*frame)).collect();
    let of_frame = |frame: (FileId, Option<FunctionId>)| {
        let find = || {
            let mut out = Vec::new();
            shown(analyzer, &analyzer.caller(frame.0, frame.1), None, &mut out);
            out
        };
        let key = ("rendered", frame.0.0, frame.1.map_or(0, |function| function.0 + 1));
        analyzer.noting(|| touched::record(|| analyzer.entries_of(key, find)))
    };
    frames.into_par_iter().map(of_frame).collect()
}

/// The entries of templates, after those that are `rendered`.
pub(super) fn collect(analyzer: &Analyzer<'_>, rendered: Vec<(Vec<Entry>, Touched)>, out: &mut Vec<Entry>) {
    for (entries, touched) in rendered {
        touched::again(&touched);
        entries.into_iter().for_each(|entry| entry.put_into(out));
    }
    let mut tags: Vec<&Custom> = analyzer.project.templates().libraries().all().collect();
    tags.sort_by_key(|tag| tag.site);
    for tag in tags {
        let Some(function) = tag.function else { continue };
        let file = analyzer.project.program().function(function).file;
        match &tag.kind {
            _ if analyzer.project.is_known_file(file) => {}
            CustomKind::Simple => asked(analyzer, tag, function, out),
            CustomKind::Inclusion(Some(template)) => included(analyzer, tag, function, template, out),
            _ => {}
        }
    }
}

/// The rows among the values of `facts`, those of the view `class` if it is one, that a template goes over and that something of the program has given to it.
pub(super) fn shown(
    analyzer: &Analyzer<'_>,
    facts: &Arc<Facts>,
    class: Option<ClassId>,
    out: &mut Vec<Entry>,
) {
    let project = analyzer.project;
    for (index, value) in facts.values.iter().enumerate() {
        let Some(source) = source(project.program(), value) else { continue };
        let rows = ValueId(index as u32);
        let at = facts.own_events().find(|e| {
            matches!(&e.kind, EventKind::Use { value, how: Use::Iterate }
                if comes_from(facts, *value, rows, 0) && project.template_in(e.site.file).is_some())
        });
        let Some(at) = at.map(|e| e.site) else { continue };
        Entry::of_template(class, at, (source, rows), facts.clone()).put_into(out);
    }
}

impl Entry {
    /// Add it to others. One of a template is left out where they have one of the same rows.
    pub(super) fn put_into(self, out: &mut Vec<Entry>) {
        if self.kind != EntryKind::Template || !out.iter().any(|other| self.is_same_in_template(other)) {
            out.push(self);
        }
    }

    /// Whether another one is of the same rows of the same template.
    fn is_same_in_template(&self, other: &Entry) -> bool {
        (other.at, other.source, other.kind) == (self.at, self.source, EntryKind::Template)
    }
}

/// Whether a queryset is another one, or made from it.
fn comes_from(facts: &Facts, value: ValueId, from: ValueId, depth: usize) -> bool {
    value == from
        || depth < 20
            && facts.value(value).is_some_and(|info| {
                info.parent.iter().chain(&info.alternatives).any(|up| comes_from(facts, *up, from, depth + 1))
            })
}

/// The function or the expression that makes a value somewhere else than in its frame.
fn source(program: &Program, value: &Value) -> Option<Source> {
    let is_rows = value.queryset.as_deref().is_some_and(|qs| qs.rows == Rows::Instances);
    if !is_rows || value.parent.is_some() || !matches!(value.origin, Origin::Callee | Origin::Outside) {
        return None;
    }
    let site = value.site?;
    match value.origin {
        Origin::Callee => program.function_defined_at(site).map(Source::Function),
        _ => {
            let node = expression_at(program, site)?;
            // What a module or a class holds is everybody's.
            node.enclosing_function().map(|_| Source::Expression(site.file, node.id()))
        }
    }
}

/// The expression at `site`.
fn expression_at(program: &Program, site: Site) -> Option<Node<'_>> {
    let root = program.file(site.file).root();
    root.descendants().find(|n| n.span() == site.span).map(Node::peel)
}

impl Analyzer<'_> {
    /// Where the queryset is built that the expression names: there, or where the attribute of `self` or the property is
    /// given that it asks for.
    pub(super) fn built(&self, file: FileId, node: NodeId) -> Built {
        let program = self.project.program();
        let here = Built { source: Source::Expression(file, node), listed: None };
        let at = program.file(file).node(node);
        let def = at.enclosing_function().and_then(|def| program.function_at(file, def.id()));
        let Some(function) = def else { return here };
        let facts = self.caller(file, Some(function));
        let ty = facts.type_of(at);
        let (values, listed) = match rows_of(ty) {
            Type::QuerySet(qs) => (qs.values.to_vec(), None),
            Type::List(row) => match &**row {
                Type::Instance(Instance { root: Root::Row(value), path, .. }) if path.is_empty() => {
                    (vec![*value], facts.value(*value).and_then(|v| v.queryset.clone()))
                }
                _ => return here,
            },
            _ => return here,
        };
        let [value] = values.as_slice() else { return here };
        let Some(info) = facts.value(*value) else { return here };
        let source = match info.origin {
            Origin::Outside => source(program, info),
            Origin::Expr(_) => {
                let kept = info.site.and_then(|site| program.function_defined_at(site));
                let kept = kept.filter(|f| program.is_cached_property(*f)).map(Source::Function);
                let is_held = listed.is_some() || facts.type_of(at).queryset().is_none();
                kept.or_else(|| begin(&facts, *value).filter(|_| is_held))
            }
            _ => None,
        };
        Built { source: source.unwrap_or(here.source), listed }
    }
}

/// The templates that ask a tag, each looked at by itself.
fn asked(analyzer: &Analyzer<'_>, tag: &Custom, function: FunctionId, out: &mut Vec<Entry>) {
    let project = analyzer.project;
    let summary = analyzer.caller(project.program().function(function).file, Some(function));
    let gives_rows =
        summary.returns.as_ref().is_some_and(|ty| ty.alternatives().iter().any(|ty| ty.queryset().is_some()));
    if !gives_rows {
        return;
    }
    let mut names: Vec<&str> = project.templates().names().collect();
    names.sort_unstable();
    let mut seen = FxHashSet::default();
    for name in names {
        let Some(found) = project.template(name).filter(|found| seen.insert(found.file)) else { continue };
        let template = found.template;
        let asks = template.find(|node| match &node.kind {
            NodeKind::Tag(asked) if asked.name == tag.name => {
                let custom = project.templates().libraries().tag(template, &asked.name);
                custom.is_some_and(|custom| custom.site == tag.site).then_some(())
            }
            _ => None,
        });
        if asks.is_none() {
            continue;
        }
        let info = project.program().function(function);
        let facts = analyzer.aside(info.file, info.node, None, |frame, node| {
            frame.render(&[name], Names::default(), node).then_some(())
        });
        if let Some((_, facts)) = facts {
            shown(analyzer, &Arc::new(facts), None, out);
        }
    }
}

/// What an inclusion tag puts into the context of its template.
fn included(
    analyzer: &Analyzer<'_>,
    tag: &Custom,
    function: FunctionId,
    template: &str,
    out: &mut Vec<Entry>,
) {
    let program = analyzer.project.program();
    let info = program.function(function);
    let found = analyzer.aside(info.file, info.node, None, |frame, node| {
        let mut args = Vec::new();
        if tag.takes_context {
            args.push(Arg { name: None, ty: Type::dict(Type::Str, Type::Unknown), node, stars: 0 });
        }
        let given = frame.call_registered(function, &args, node);
        let Type::Dict(dict) = &given else { return None };
        let mut rows = Vec::new();
        for (ty, file, value) in dict.2.values() {
            rows.extend(frame.given_rows(ty, (*file, *value), node));
        }
        if rows.is_empty() {
            return None;
        }
        let names = frame.context_of(&given);
        frame.render(&[template], names, node).then_some(rows)
    });
    let Some((rows, facts)) = found else { return };
    let facts = Arc::new(facts);
    shown(analyzer, &facts, None, out);
    let at = program.name_site(info.file, info.node);
    for (source, rows) in rows {
        out.push(Entry::of_template(None, at, (source, rows), facts.clone()));
    }
}

impl<'a> Frame<'a, '_> {
    /// The rows of a value of a context that stands in the program at an expression, and where they are built.
    pub(super) fn given_rows(
        &mut self,
        ty: &Type,
        (file, at): (FileId, NodeId),
        node: Node<'a>,
    ) -> Option<(Source, ValueId)> {
        match rows_of(ty) {
            Type::QuerySet(qs) => {
                let rows = self.single(qs, node);
                Some((self.az.built(file, at).source, rows))
            }
            Type::List(row) => {
                let Type::Instance(Instance { root: Root::Row(value), path, .. }) = &**row else {
                    return None;
                };
                if !path.is_empty() {
                    return None;
                }
                let Built { source, listed } = self.az.built(file, at);
                let mut qs = (*listed?).clone();
                if qs.related.is_some() || source == Source::Expression(file, at) {
                    return None;
                }
                qs.values = smallvec::smallvec![*value];
                self.set_queryset(*value, &Arc::new(qs));
                Some((source, *value))
            }
            _ => None,
        }
    }
}
