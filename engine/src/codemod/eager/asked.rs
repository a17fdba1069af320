//! Rows that a template asks the program for, by a tag, a property or an attribute that a view keeps, or that a view keeps
//! and gives to it: others may ask for them as well.

use super::callers::callers;
use super::guards;
use super::kept;
use super::reads::Load;
use super::remote::is_quiet;
use super::step::Step;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Entry, EntryKind, Event, EventKind, Source, Type};
use crate::python::{ClassId, Expr, Field, FunctionId, Kind, Node};
use crate::text::{Site, Span};

/// Whoever asks for the same rows and does not read the relation, and whatever runs while a view or an object, of the class
/// `keeper`, keeps them.
pub(super) fn hazards(
    cx: &Context<'_>,
    entry: &Entry,
    keeper: Option<ClassId>,
    steps: &[Step],
    load: Load,
    out: &mut Vec<Hazard>,
) {
    if let Some(class) = keeper.filter(|_| load != Load::Count) {
        let readers = match entry.source {
            Source::Function(function) => kept::loading(cx, function),
            _ => Vec::new(),
        };
        // The view that renders the template may have them already as well.
        for class in std::iter::once(class).chain(entry.class) {
            kept::between(cx, class, &readers, steps, out);
        }
        kept::around(cx, &readers, steps, false, out);
    }
    if load != Load::Prefetch {
        return;
    }
    let program = cx.project.program();
    match entry.source {
        Source::Function(function) => {
            for user in callers(cx, function) {
                let is_other = |call: &Node<'_>| {
                    let ty = user.facts.type_of(*call);
                    *ty != Type::Unknown && !ty.alternatives().iter().any(|ty| ty.queryset().is_some())
                };
                out.extend(user.calls.iter().filter(|c| !is_other(c) && !is_quiet(**c)).map(|call| {
                    let site = Site { file: user.file, span: call.span() };
                    Hazard::at(HazardKind::LoadedWithout, guards::first_line(*call), site)
                }));
            }
            other_templates(cx, entry, &names(cx, function), out);
        }
        Source::Expression(file, node) => {
            let Some(name) = attribute(program.file(file).node(node)) else { return };
            for file in cx.analyzer.files_naming(name).iter().copied() {
                let names = program.file(file).root().mentions(name);
                let attributes = names.filter(|n| n.field() == Field::Attribute).filter_map(Node::parent);
                let loads =
                    |n: &Node<'_>| n.kind() == Kind::Attribute && n.field() != Field::Left && !is_quiet(*n);
                out.extend(attributes.filter(loads).map(|n| {
                    let site = Site { file, span: n.span() };
                    Hazard::at(HazardKind::LoadedWithout, guards::first_line(n), site)
                }));
            }
            other_templates(cx, entry, &[format!(".{name}")], out);
        }
        Source::Model(..) | Source::Above(..) => {}
    }
}

/// What the frame of a template does from the moment on that it asks for the rows; all of it where they may be there
/// already.
pub(super) fn events(entry: &Entry, keeper: Option<ClassId>) -> impl Iterator<Item = Event<'_>> {
    let is_first = |e: Event<'_>| matches!(e.kind, EventKind::Use { value, .. } if *value == entry.rows);
    let first = match entry.kind {
        EntryKind::Template if keeper.is_none() => entry.facts.events().position(is_first),
        _ => None,
    };
    entry.facts.events().skip(first.unwrap_or(0))
}

/// The class whose objects keep the rows.
pub(super) fn keeper(cx: &Context<'_>, entry: &Entry) -> Option<ClassId> {
    let program = cx.project.program();
    match entry.source {
        Source::Function(function) => {
            program.function(function).class.filter(|_| kept::is_kept(program, function))
        }
        Source::Expression(file, node) => {
            let node = program.file(file).node(node);
            attribute(node)?;
            let def = node.enclosing_function()?;
            program.function(program.function_at(file, def.id())?).class
        }
        Source::Model(..) | Source::Above(..) => None,
    }
}

/// The attribute that is given an expression.
fn attribute(node: Node<'_>) -> Option<&str> {
    let assignment = node.with_parens().parent().filter(|p| p.kind() == Kind::Assign)?;
    match Expr::of(assignment.child(Field::Left)?) {
        Expr::Attribute { attr, .. } => Some(attr),
        _ => None,
    }
}

/// The words by which a template asks for what a function gives: the names of a tag, the name behind a dot of a method.
fn names(cx: &Context<'_>, function: FunctionId) -> Vec<String> {
    let info = cx.project.program().function(function);
    if info.class.is_some() {
        return vec![format!(".{}", info.name)];
    }
    let libraries = cx.project.templates().libraries();
    libraries.all().filter(|tag| tag.function == Some(function)).map(|tag| tag.name.clone()).collect()
}

/// Templates that have one of the words, and of which nothing is known that goes over these rows.
fn other_templates(cx: &Context<'_>, entry: &Entry, names: &[String], out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    for file in program.file_ids().filter(|f| program.file(*f).source.is_template()) {
        let is_known = |e: &Entry| e.source == entry.source && e.at.file == file;
        let text = program.file(file).source.text();
        let is_word = |at: usize, name: &str| {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let before = text.get(..at).and_then(|t| t.chars().next_back());
            let after = text.get(at + name.len()..).and_then(|t| t.chars().next());
            !after.is_some_and(is_part) && (name.starts_with('.') || !before.is_some_and(is_part))
        };
        let found = names.iter().find_map(|name| {
            let at = text.match_indices(name.as_str()).map(|(at, _)| at).find(|at| is_word(*at, name))?;
            Some(Span::new(at as u32, (at + name.len()) as u32))
        });
        let Some(span) = found else { continue };
        if !cx.analyzer.entries().iter().any(is_known) {
            let subject = program.file(file).source.slice(span).trim_start_matches('.').to_owned();
            out.push(Hazard::at(HazardKind::LoadedWithout, subject, Site { file, span }));
        }
    }
}
