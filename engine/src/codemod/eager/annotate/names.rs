//! What the annotations are called: as the code calls the number already, or after the relation.

use super::reader::What;
use super::{Annotation, Counting, set};
use crate::codemod::Context;
use crate::django::ModelId;
use crate::infer::{CallSite, EventKind, Facts, Root, ValueId};
use crate::python::{Expr, Field, Kind, Node, arguments, string_value};
use crate::text::FileId;
use std::collections::BTreeSet;

/// Give every annotation a name that no attribute of the rows has.
pub(super) fn give(cx: &Context<'_>, found: &mut Counting) {
    let Some(model) = found.annotations.first().map(|a| a.step.from) else { return };
    let mut taken = taken(cx, found);
    for (index, name) in set::names(cx, found) {
        if !is_attribute(cx, model, &name)
            && !is_asked_for(cx, &name)
            && let Some(annotation) = found.annotations.get_mut(index)
        {
            annotation.name = name;
        }
    }
    set::remove(cx, found);
    for index in 0..found.annotations.len() {
        if found.annotations.get(index).is_some_and(|a| !a.name.is_empty()) {
            continue;
        }
        let wanted: Vec<String> = found
            .readers
            .iter()
            .filter(|r| r.annotation == index)
            .filter_map(|r| called(cx.project.program().file(r.file).node(r.whole)))
            .collect();
        let Some(annotation) = found.annotations.get_mut(index) else { continue };
        let mut candidates = wanted;
        candidates.extend(after_relation(annotation));
        let is_free = |name: &String| {
            !taken.contains(name) && !is_attribute(cx, model, name) && !is_asked_for(cx, name)
        };
        let name = candidates.iter().find(|n| is_free(n)).cloned().unwrap_or_else(|| {
            let base = candidates.last().cloned().unwrap_or_default();
            let numbered = (2..10).map(|i| format!("{base}_{i}"));
            let renamed = ["total_", "n_", "of_"].iter().map(|prefix| format!("{prefix}{base}"));
            numbered.chain(renamed).find(|n| is_free(n)).unwrap_or_else(|| format!("{base}_here"))
        });
        annotation.name.clone_from(&name);
        taken.push(name);
    }
}

/// Names of other annotations, and of attributes that the frame sets on rows.
fn taken(cx: &Context<'_>, found: &Counting) -> Vec<String> {
    let ours = |v: &ValueId| found.group.rows.contains(v);
    let annotations = cx.facts.values.iter().filter_map(|v| v.queryset.as_deref());
    let mut out: Vec<String> =
        annotations.flat_map(|q| q.annotations.iter().map(|n| n.to_string())).collect();
    attributes(cx.facts, &ours, &mut out);
    for (function, value) in found.group.remote.iter().filter_map(|r| r.alone) {
        let facts = cx.analyzer.function(function);
        attributes(&facts, &|v| *v == value, &mut out);
    }
    out
}

/// What the frame reads and writes of rows of the values that `is_ours` knows.
fn attributes(facts: &Facts, is_ours: &dyn Fn(&ValueId) -> bool, out: &mut Vec<String>) {
    for event in facts.events() {
        match &event.kind {
            EventKind::WriteAttribute { root: Root::Row(v), name, .. }
            | EventKind::ReadAttribute { root: Root::Row(v), name, .. }
                if is_ours(v) =>
            {
                out.push(name.to_string())
            }
            _ => {}
        }
    }
}

/// Whether instances of the model have an attribute of this name, or a lookup starts with it.
pub(in super::super) fn is_attribute(cx: &Context<'_>, model: ModelId, name: &str) -> bool {
    let info = cx.model(model);
    info.field(name).is_some()
        || info.field_by_attname(name).is_some()
        || info.reverse.iter().any(|r| r.accessor == name || r.query_name == name)
        || cx.project.program().member(info.class, name).is_some()
        || ["pk", "objects", "save", "delete", "clean", "full_clean", "check", "refresh_from_db"]
            .contains(&name)
}

/// Whether code that asks objects for attributes by names that it puts together may ask for this one:
/// `getattr(row, f"num_{what}")`, `for name in ("num_books", "book_total"): if hasattr(self, name)`.
fn is_asked_for(cx: &Context<'_>, name: &str) -> bool {
    let find = || find_asked_for(cx, name);
    cx.analyzer.once_for("asked for by names that are put together", Box::<str>::from(name), find)
}

fn find_asked_for(cx: &Context<'_>, name: &str) -> bool {
    let program = cx.project.program();
    let ends = name.match_indices('_').flat_map(|(at, _)| [name.get(..=at), name.get(at..)]).flatten();
    let pieces: Vec<&str> = ends.filter(|piece| piece.len() > 2).chain([name]).collect();
    let composes = |site: &&CallSite| {
        let Expr::Call { func, arguments: list } = Expr::of(program.file(site.file).node(site.call)) else {
            return false;
        };
        matches!(Expr::of(func), Expr::Name("getattr" | "hasattr"))
            && arguments(list).get(1).is_some_and(|a| string_value(a.value).is_none())
    };
    let says = |node: Node<'_>| {
        let words = || node.text().split(|c: char| !c.is_alphanumeric() && c != '_');
        node.kind() == Kind::Str && words().any(|word| pieces.contains(&word))
    };
    let sites = ["getattr", "hasattr"].into_iter().flat_map(|name| cx.analyzer.call_sites().of(name));
    let files: BTreeSet<FileId> = sites.filter(composes).map(|site| site.file).collect();
    files.into_iter().any(|file| {
        let parsed = program.file(file);
        let text = parsed.source.text();
        pieces.iter().any(|piece| text.contains(piece)) && parsed.root().descendants().any(says)
    })
}

/// What the code calls the number: a variable, a key, a field of a serializer, a column.
fn called(whole: Node<'_>) -> Option<String> {
    let around = whole.with_parens();
    let parent = around.parent()?;
    let name = match parent.kind() {
        Kind::Assign => match Expr::of(parent.child(Field::Left)?) {
            Expr::Name(name) => Some(name.to_owned()),
            _ => None,
        },
        Kind::Pair => string_value(parent.children().next()?),
        Kind::KeywordArgument => parent.child(Field::Name).map(|n| n.text().to_owned()),
        Kind::Return => {
            let def = parent.enclosing_function()?;
            let name = def.child(Field::Name)?.text();
            Some(name.strip_prefix("get_").unwrap_or(name).to_owned())
        }
        _ => None,
    };
    name.filter(|n| says_number(n))
}

/// Whether a name is that of a number or of a truth, and can be one of an annotation.
fn says_number(name: &str) -> bool {
    let is_name = name.chars().next().is_some_and(|c| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.contains("__");
    let parts: Vec<&str> = name.split('_').collect();
    is_name
        && parts.len() > 1
        && (parts.iter().any(|p| matches!(*p, "count" | "total" | "number"))
            || matches!(parts.first(), Some(&"num" | &"has")))
}

fn after_relation(annotation: &Annotation) -> Vec<String> {
    let accessor = annotation.step.attribute.trim_end_matches("_set");
    let singular = singular(accessor);
    match annotation.what {
        What::Count => {
            vec![format!("{singular}_count"), format!("num_{accessor}"), format!("{accessor}_total")]
        }
        What::Exists => vec![format!("has_{accessor}"), format!("has_any_{accessor}")],
    }
}

fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies").filter(|s| s.len() > 2) {
        return format!("{stem}y");
    }
    if ["sses", "xes", "ches", "shes"].iter().any(|ending| word.ends_with(ending)) {
        return word.strip_suffix("es").unwrap_or(word).to_owned();
    }
    match word.strip_suffix('s') {
        Some(stem) if !stem.ends_with('s') && !stem.ends_with('u') && stem.len() > 1 => stem.to_owned(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_called_after_one_of_the_rows() {
        assert_eq!(singular("books"), "book");
        assert_eq!(singular("entries"), "entry");
        assert_eq!(singular("boxes"), "box");
        assert_eq!(singular("addresses"), "address");
        assert_eq!(singular("children"), "children");
        assert_eq!(singular("status"), "status");
    }
}
