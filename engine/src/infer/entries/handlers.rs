//! Views whose handler stands in a class above them: `get()` of a base view goes over the rows that each view below names,
//! in an attribute or by a method.
//!
//! A handler that the view defines itself is an ordinary frame, and so is one whose rows are the same for all views.

use super::named::origins;
use super::{Entry, EntryKind, SingleObjects, Source};
use crate::infer::analyzer::Analyzer;
use crate::infer::facts::EventKind;
use crate::infer::types::{Root, ValueId};
use crate::python::{Binding, ClassId, FunctionId, Kind, Member};
use crate::text::Site;
use std::collections::BTreeMap;
use std::sync::Arc;

const VIEWS: &[&str] = &["django.views.View", "django.views.generic.View", "django.views.generic.base.View"];

/// The entries of views that inherit their handler.
pub(super) fn collect(analyzer: &Analyzer<'_>, out: &mut Vec<Entry>) {
    let program = analyzer.project.program();
    for class in program.class_ids() {
        let info = program.class(class);
        let is_view = info.external_bases.iter().any(|b| VIEWS.contains(&b.as_str()));
        if !is_view || analyzer.project.is_known_file(info.file) {
            continue;
        }
        let Some((owner, Member::Function(handler, Binding::Method))) = program.member(class, "get") else {
            continue;
        };
        let handler = *handler;
        let named = names_rows(analyzer, class, owner);
        if owner != class && !named.is_empty() {
            out.extend(
                analyzer.entries_of(("handler", class.0, 0), || handled(analyzer, class, handler, named)),
            );
        }
    }
}

/// The places in `class`, and in classes between it and `above`, where an attribute is given or a method is defined that
/// the handler of `above` can ask for.
fn names_rows(analyzer: &Analyzer<'_>, class: ClassId, above: ClassId) -> Vec<Source> {
    let program = analyzer.project.program();
    let mut out = Vec::new();
    for below in program.class(class).mro.iter().take_while(|c| **c != above) {
        let info = program.class(*below);
        for member in info.members.values() {
            match member {
                Member::Function(function, Binding::Method) => out.push(Source::Function(*function)),
                Member::Value(value) => {
                    let value = program.file(info.file).node(*value).peel();
                    if matches!(value.kind(), Kind::Call | Kind::Attribute) {
                        out.push(Source::Expression(info.file, value.id()));
                    }
                }
                _ => {}
            }
        }
    }
    out
}

fn handled(analyzer: &Analyzer<'_>, class: ClassId, handler: FunctionId, named: Vec<Source>) -> Vec<Entry> {
    let program = analyzer.project.program();
    let facts = analyzer.method_below(handler, class);
    let mut sources: BTreeMap<Site, Source> = BTreeMap::new();
    for source in named {
        let (file, node) = match source {
            Source::Function(function) => (program.function(function).file, program.function(function).node),
            Source::Expression(file, node) | Source::Model(file, node) | Source::Above(file, node) => {
                (file, node)
            }
        };
        sources.insert(Site { file, span: program.file(file).node(node).span() }, source);
    }
    let facts = Arc::new(facts);
    let mut rows: Vec<(ValueId, Source)> = Vec::new();
    for event in facts.own_events() {
        let (EventKind::ReadRelation { root, .. } | EventKind::ReadMany { root, .. }) = &event.kind else {
            continue;
        };
        let Root::Row(value) = root else { continue };
        for made in origins(&facts, *value, 0) {
            let source = facts.value(made).and_then(|v| sources.get(&v.site?));
            let Some(source) = source else { continue };
            if !rows.contains(&(made, *source)) {
                rows.push((made, *source));
            }
        }
    }
    let entry = |(rows, source)| {
        let entry = Entry::of_class(analyzer, EntryKind::Handler, class, (source, rows), facts.clone());
        // What else the class does with the attribute is not looked at.
        Entry { single_objects: Some(SingleObjects::at(entry.at)), ..entry }
    };
    rows.into_iter().map(entry).collect()
}
