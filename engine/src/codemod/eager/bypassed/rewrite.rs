//! The edits: a `Prefetch` in the place of the name, and the list in the place of the chain.

use super::super::annotate::is_attribute;
use super::super::reads::Load;
use super::super::step::Step;
use super::super::{guards, place};
use super::Bypassed;
use super::chain::{Chain, How};
use crate::codemod::naming::{imported, model_name};
use crate::codemod::{Context, FileEdit, Fix, Hazard, HazardKind};
use crate::infer::EventKind;
use crate::python::emit::{quote_of, string_literal};
use crate::python::{Expr, Kind, Node, arguments, string_value};
use crate::text::{Edit, Site};

/// Prefetch what is asked for, and read it.
pub(super) fn rewrite(cx: &Context<'_>, found: &Bypassed) -> Result<Fix, Hazard> {
    let blocked = |text: &str, site: Site| Hazard::at(HazardKind::NoPlaceToEdit, text, site);
    let (Some(reader), [step], [target]) =
        (found.reader.map(|r| cx.node(r)), found.steps.as_slice(), found.group.targets.as_slice())
    else {
        return Err(blocked("the prefetch goes over more than one relation", found.prefetch));
    };
    let Some(asked) = Chain::of(cx, reader) else {
        return Err(cx.hazard(HazardKind::QueryNeeded, guards::first_line(reader), reader));
    };
    // Asked for all rows, the relation gives those that are there.
    if asked.links.is_empty() && asked.how == How::Rows {
        let text = format!("{}.{}.all()", asked.row.text(), step.attribute);
        return Ok(cx.fix(vec![Edit::replace(asked.whole.span(), text)]));
    }
    let node = place::expression(cx, *target)?;
    let call = place::existing(cx, node, Load::Prefetch);
    let literal = call.and_then(|call| {
        let Expr::Call { arguments: list, .. } = Expr::of(call) else { return None };
        let args = arguments(list);
        let own = |text: &str| text == found.lookup || text.starts_with(&format!("{}__", found.lookup));
        let mut named = args.iter().filter(|a| {
            string_value(a.value).is_some_and(|t| own(&t))
                || a.value
                    .descendants()
                    .any(|n| n.kind() == Kind::Str && string_value(n).is_some_and(|t| own(&t)))
        });
        let (Some(only), None) = (named.next(), named.next()) else { return None };
        (only.value.kind() == Kind::Str && string_value(only.value)? == found.lookup).then_some(only.value)
    });
    let Some(literal) = literal else {
        return Err(blocked("the relation is not named alone in a call of this chain", found.prefetch));
    };
    let at = cx.node(literal.id());
    let (prefetch, first) = imported(cx, at, "django.db.models", "Prefetch")?;
    let (model, second) = model_name(cx, at, step.to)?;
    let quote = quote_of(cx.project.program().file(cx.file));
    let manager = &cx.model(step.to).default_manager;
    let links: String =
        asked.links.iter().map(|(method, list)| format!(".{method}{}", list.text())).collect();
    let name = attribute(cx, found, step, &asked);
    let text = format!(
        "{prefetch}({}, queryset={model}.{manager}{links}, to_attr={})",
        string_literal(&found.lookup, quote),
        string_literal(&name, quote)
    );
    let row = format!("{}.{name}", asked.row.text());
    let read = match asked.how {
        How::Rows => row.clone(),
        How::Count => format!("len({row})"),
        How::Exists => format!("bool({row})"),
    };
    let mut edits = vec![Edit::replace(literal.span(), text)];
    match asked.named {
        // The name is that of the list from here on.
        Some(relation) => {
            let name = asked.whole.descendants().find(|n| n.kind() == Kind::Name).map_or("", Node::text);
            edits.push(Edit::replace(relation.span(), row.clone()));
            edits.push(Edit::replace(asked.whole.span(), read.replace(&row, name)));
        }
        None => edits.push(Edit::replace(asked.whole.span(), read)),
    }
    let edits = edits.into_iter().map(|edit| FileEdit { file: cx.file, edit }).collect();
    let reads = asked.uses.iter().map(|n| cx.site(*n)).collect();
    Ok(Fix { edits, imports: first.into_iter().chain(second).collect(), reads, ..Fix::default() })
}

/// The attribute that the rows go to: after the only condition, where that says what they are.
fn attribute(cx: &Context<'_>, found: &Bypassed, step: &Step, asked: &Chain<'_>) -> String {
    let accessor = step.attribute.trim_end_matches("_set");
    let filters: Vec<_> = asked.links.iter().filter(|(m, _)| *m == "filter").collect();
    let said = match (filters.as_slice(), asked.links.iter().any(|(m, _)| *m == "exclude")) {
        ([(_, list)], false) => match arguments(*list).as_slice() {
            [only] => word(only.name, only.value),
            _ => None,
        },
        ([], false) => Some("ordered".to_owned()),
        _ => None,
    };
    let base = format!("{}_{accessor}", said.as_deref().unwrap_or("filtered"));
    let is_taken = |name: &str| {
        is_attribute(cx, step.from, name)
            || found.group.rows.iter().any(|v| {
                cx.value(*v)
                    .and_then(|v| v.queryset.as_deref())
                    .is_some_and(|q| q.annotations.iter().chain(&q.prefetched).any(|n| **n == *name))
            })
            || cx
                .facts
                .events
                .iter()
                .any(|e| matches!(&e.kind, EventKind::WriteAttribute { name: n, .. } if **n == *name))
    };
    if !is_taken(&base) {
        return base;
    }
    (2..).map(|i| format!("{base}_{i}")).find(|n| !is_taken(n)).unwrap_or(base)
}

/// `published` of `status="published"`, `featured` of `is_featured=True`.
fn word(name: Option<&str>, value: Node<'_>) -> Option<String> {
    let is_word = |text: &str| {
        text.len() > 2
            && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            && !text.contains("__")
            && !text.starts_with('_')
    };
    match Expr::of(value) {
        Expr::True => name?.strip_prefix("is_").filter(|w| is_word(w)).map(str::to_owned),
        Expr::Str(_) => string_value(value).filter(|w| is_word(w)),
        Expr::Attribute { attr, .. } => Some(attr.to_ascii_lowercase()).filter(|w| is_word(w)),
        _ => None,
    }
}
