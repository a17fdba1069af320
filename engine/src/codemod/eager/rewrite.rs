//! The edit: a call appended where the queryset is built, `all()` that gives way to it, or names added to the call that
//! is there.

use super::reads::{Group, Load};
use super::step::Step;
use super::{class_place, listing, place};
use crate::codemod::{Context, Fix, Hazard};
use crate::infer::{Type, ValueId};
use crate::python::emit::{append_call, quote_of, string_literal};
use crate::python::{Expr, Kind, Node, arguments, string_value};
use crate::text::{Edit, Span};
use std::collections::BTreeSet;

/// Ask for the lookups of the group where its queryset is built.
pub fn rewrite(cx: &Context<'_>, group: &Group) -> Result<Fix, Hazard> {
    let mut fix = match &group.class_place {
        Some(place) => {
            let quote = quote_of(cx.project.program().file(cx.file));
            let names: Vec<String> = group.lookups().iter().map(|l| string_literal(l, quote)).collect();
            let call = format!(".{}({})", group.load.method(), names.join(", "));
            class_place::rewrite(cx, group, place, &call)?
        }
        None => match listing::rewrite(cx, group) {
            Some(fix) => fix,
            None => at_targets(cx, group)?,
        },
    };
    if group.load == Load::Prefetch {
        fix.prefetches = group.steps().iter().map(Step::relation).collect();
    }
    Ok(fix)
}

fn at_targets(cx: &Context<'_>, group: &Group) -> Result<Fix, Hazard> {
    let mut edits = Vec::new();
    for target in &group.targets {
        let node = place::expression(cx, *target)?;
        let lookups = missing(cx, group, *target);
        if lookups.is_empty() {
            continue;
        }
        edits.extend(extend(cx, node, group.load, &lookups));
    }
    Ok(cx.fix(edits))
}

/// The lookups that this one of several querysets does not load already.
fn missing(cx: &Context<'_>, group: &Group, target: ValueId) -> Vec<String> {
    let selected = cx.value(target).and_then(|v| {
        v.queryset.as_ref().map(|q| match group.load {
            Load::Join => q.selected.clone(),
            Load::Prefetch => q.prefetched.clone(),
            Load::Count => BTreeSet::new(),
        })
    });
    let selected = selected.unwrap_or_default();
    let is_selected =
        |lookup: &String| selected.iter().any(|s| **s == **lookup || s.starts_with(&format!("{lookup}__")));
    group.lookups().into_iter().filter(|l| !is_selected(l)).collect()
}

fn extend(cx: &Context<'_>, node: Node<'_>, load: Load, lookups: &[String]) -> Vec<Edit> {
    let file = cx.project.program().file(cx.file);
    let existing = place::existing(cx, node, load);
    // Beside other names in the call, as those are written.
    let beside = existing.and_then(|call| {
        let start = call.descendants().filter(|n| n.kind() == Kind::StrStart).last()?;
        start.text().chars().last()
    });
    let quote = beside.unwrap_or_else(|| quote_of(file));
    if let Some(call) = existing {
        return extend_arguments(cx, call, lookups, quote);
    }
    let names: Vec<String> = lookups.iter().map(|l| string_literal(l, quote)).collect();
    if let Some((method, list)) = place::all_of_manager(cx, node) {
        let span = Span::new(method.span().start, list.span().end);
        return vec![Edit::replace(span, format!("{}({})", load.method(), names.join(", ")))];
    }
    let before = if load == Load::Join { before_prefetch(cx, node, &names) } else { None };
    before.unwrap_or_else(|| append_call(file, node, load.method(), &names, cx.options.line_length))
}

/// A join stands before the prefetch that ends the chain, where there is room for it.
fn before_prefetch(cx: &Context<'_>, node: Node<'_>, names: &[String]) -> Option<Vec<Edit>> {
    let file = cx.project.program().file(cx.file);
    let Expr::Call { func, .. } = Expr::of(node) else { return None };
    let Expr::Attribute { value, attr: "prefetch_related", attr_node } = Expr::of(func) else { return None };
    if !matches!(cx.type_of(value), Type::QuerySet(_)) || value.with_parens().span() != value.span() {
        return None;
    }
    // The dot, and what stands before it.
    let dot = file.source.slice(Span::new(value.span().end, attr_node.span().start));
    if dot.trim() != "." {
        return None;
    }
    let call = format!("{dot}{}({})", Load::Join.method(), names.join(", "));
    let line = file.source.line_text(file.source.line_index(value.span().end));
    let is_own_line = dot.contains('\n');
    if !is_own_line && line.trim_end().chars().count() + call.chars().count() > cx.options.line_length {
        return None;
    }
    Some(vec![Edit::insert(value.span().end, call)])
}

/// A name that a longer one begins with gives way to it; the others are added.
pub fn extend_arguments(cx: &Context<'_>, call: Node<'_>, lookups: &[String], quote: char) -> Vec<Edit> {
    let Expr::Call { arguments: list, .. } = Expr::of(call) else { return Vec::new() };
    let args = arguments(list);
    let mut edits: Vec<Edit> = Vec::new();
    let mut added: Vec<String> = Vec::new();
    for lookup in lookups {
        let name = string_literal(lookup, quote);
        let shorter = args.iter().filter(|a| a.name.is_none() && a.stars == 0).find(|a| {
            let is_shorter = string_value(a.value)
                .is_some_and(|s| lookup.strip_prefix(&s).is_some_and(|r| r.starts_with("__")));
            is_shorter && a.value.kind() == Kind::Str && edits.iter().all(|e| e.span != a.value.span())
        });
        match shorter {
            Some(argument) => edits.push(Edit::replace(argument.value.span(), name)),
            None => added.push(name),
        }
    }
    if !added.is_empty() {
        edits.extend(add_arguments(cx, call, &added));
    }
    edits
}

/// Names added after the last argument, on a line of their own where that one stands so.
fn add_arguments(cx: &Context<'_>, call: Node<'_>, names: &[String]) -> Vec<Edit> {
    let Expr::Call { arguments: list, .. } = Expr::of(call) else { return Vec::new() };
    let args = arguments(list);
    let Some(last) = args.last() else { return Vec::new() };
    let (start, end) = (last.node.span().end, list.span().end);
    let file = cx.project.program().file(cx.file);
    let rest = file.source.slice(Span::new(start, end));
    let line = file.source.line_index(last.node.span().start);
    let text = file.source.line_text(line);
    let lead = text.get(..text.len() - text.trim_start().len()).unwrap_or("");
    let own_line = text.trim_start().starts_with(last.node.text().lines().next().unwrap_or(""));
    if rest.contains('\n') && own_line && rest.trim_start().starts_with(',') {
        let comma = start + rest.find(',').unwrap_or(0) as u32 + 1;
        let newline = file.source.newline().as_str();
        let text: String = names.iter().map(|n| format!("{newline}{lead}{n},")).collect();
        return vec![Edit::insert(comma, text)];
    }
    vec![Edit::insert(start, names.iter().map(|n| format!(", {n}")).collect::<String>())]
}
