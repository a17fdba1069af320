//! The edits: a `Prefetch` in the place of the name, and the list in the place of the chain.

use super::super::annotate::is_attribute;
use super::super::callers::callers;
use super::super::reads::Load;
use super::super::sources::is_derived;
use super::super::step::Step;
use super::super::{guards, place};
use super::Bypassed;
use super::chain::{Chain, How};
use crate::codemod::naming::{imported, model_name};
use crate::codemod::{Context, FileEdit, Fix, Hazard, HazardKind, truth};
use crate::infer::{Escape, EventKind, Type, Use};
use crate::python::emit::{quote_of, string_literal};
use crate::python::{Expr, Kind, Node, arguments, string_value};
use crate::text::{Edit, FileId, Site};

/// Prefetch what is asked for, and read it.
pub(super) fn rewrite(cx: &Context<'_>, found: &Bypassed) -> Result<Fix, Hazard> {
    let blocked = |text: &str, site: Site| Hazard::at(HazardKind::NoPlaceToEdit, text, site);
    let (Some(reader), [step], [target]) =
        (found.reader.map(|r| cx.node(r)), found.steps.as_slice(), found.group.targets.as_slice())
    else {
        return Err(blocked("the prefetch goes over more than one relation", found.prefetch));
    };
    let asked = Chain::of(cx, reader)
        .map_err(|more| cx.hazard(HazardKind::QueryNeeded, guards::first_line(reader), more))?;
    // Asked for all rows, the relation gives those that are there.
    if asked.links.is_empty() && asked.how == How::Rows {
        let text = format!("{}.{}.all()", asked.row.text(), step.attribute);
        return Ok(cx.fix(vec![Edit::replace(asked.whole.span(), text)]));
    }
    let node = place::expression(cx, *target)?;
    let (file, literal) = match literal(cx, node, &found.lookup) {
        Some(literal) => (cx.file, literal),
        None => in_callee(cx, found, node, &asked)?,
    };
    let place = Context { file, ..*cx };
    let at = place.node(literal.id());
    let (prefetch, first) = imported(&place, at, "django.db.models", "Prefetch")?;
    let (model, second) = model_name(&place, at, step.to)?;
    let quote = quote_of(cx.project.program().file(file));
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
    let read = of_list(cx, asked.whole, asked.how, &row);
    let asked_for = FileEdit { file, edit: Edit::replace(literal.span(), text) };
    let mut edits = Vec::new();
    match asked.named {
        // The name is that of the list from here on.
        Some(relation) => {
            let name = asked.whole.descendants().find(|n| n.kind() == Kind::Name).map_or("", Node::text);
            edits.push(Edit::replace(relation.span(), row.clone()));
            edits.push(Edit::replace(asked.whole.span(), read.replace(&row, name)));
        }
        None => edits.push(Edit::replace(asked.whole.span(), read)),
    }
    for used in &asked.uses {
        if let Some((call, how)) = used.asked {
            edits.push(Edit::replace(call.span(), of_list(cx, call, how, used.name.text())));
        }
    }
    let here = edits.into_iter().map(|edit| FileEdit { file: cx.file, edit });
    let edits = std::iter::once(asked_for).chain(here).collect();
    let reads = asked.uses.iter().map(|used| cx.site(used.name)).collect();
    Ok(Fix { edits, imports: first.into_iter().chain(second).collect(), reads, ..Fix::default() })
}

/// The name of the relation in the `prefetch_related()` of a chain, where it is named alone.
fn literal<'a>(cx: &Context<'a>, chain: Node<'a>, lookup: &str) -> Option<Node<'a>> {
    let call = place::existing(cx, chain, Load::Prefetch)?;
    let Expr::Call { arguments: list, .. } = Expr::of(call) else { return None };
    let args = arguments(list);
    let own = |text: &str| text == lookup || text.starts_with(&format!("{lookup}__"));
    let mut named = args.iter().filter(|a| {
        string_value(a.value).is_some_and(|t| own(&t))
            || a.value
                .descendants()
                .any(|n| n.kind() == Kind::Str && string_value(n).is_some_and(|t| own(&t)))
    });
    let (Some(only), None) = (named.next(), named.next()) else { return None };
    (only.value.kind() == Kind::Str && string_value(only.value)? == lookup).then_some(only.value)
}

/// As [`literal`], in a function that makes the queryset for the chain `node` alone.
fn in_callee<'a>(
    cx: &Context<'a>,
    found: &Bypassed,
    node: Node<'a>,
    asked: &Chain<'a>,
) -> Result<(FileId, Node<'a>), Hazard> {
    let program = cx.project.program();
    let nowhere = || {
        let text = "the relation is not named alone in a call of this chain";
        Hazard::at(HazardKind::NoPlaceToEdit, text, found.prefetch)
    };
    let made = innermost(cx, node).ok_or_else(nowhere)?;
    let site = cx.type_of(made).queryset().and_then(|qs| cx.value(*qs.values.first()?)?.site);
    let function = site.and_then(|site| program.function_defined_at(site)).ok_or_else(nowhere)?;
    let info = program.function(function);
    let shared = |site: Site| Err(Hazard::at(HazardKind::QuerySetEscapes, "", site));
    let def = program.name_site(info.file, info.node);
    let mut templates = program.file_ids().map(|f| &program.file(f).source).filter(|s| s.is_template());
    if !cx.analyzer.is_known_by_callers(function) || templates.any(|s| s.text().contains(&info.name)) {
        return shared(def);
    }
    let is_here = |call: &Node<'_>, file: FileId| file == cx.file && call.id() == made.id();
    for caller in callers(cx, function) {
        if let Some(other) = caller.calls.iter().find(|call| !is_here(call, caller.file)) {
            return shared(Site { file: caller.file, span: other.span() });
        }
    }
    let facts = cx.analyzer.caller(info.file, Some(function));
    let inner = Context { facts: &facts, file: info.file, ..*cx };
    let returned = facts.returns.as_ref().and_then(Type::queryset).map(|qs| qs.values.as_slice());
    let Some([value]) = returned else { return Err(nowhere()) };
    for event in facts.events() {
        if let EventKind::Use { value: used, how: Use::Escape(how) } = &event.kind
            && *how != Escape::Return
            && (used == value || is_derived(&inner, *used, *value, 0) || is_derived(&inner, *value, *used, 0))
        {
            return Err(Hazard::at(HazardKind::QuerySetEscapes, "", event.site));
        }
    }
    let chain = place::expression(&inner, *value)?;
    let literal = literal(&inner, chain, &found.lookup).ok_or_else(nowhere)?;
    // Names of the condition are those of the reader.
    let names = |list: &Node<'a>| {
        arguments(*list).iter().any(|a| a.value.descendants().any(|n| n.kind() == Kind::Name))
    };
    match asked.links.iter().find(|(_, list)| names(list)) {
        Some((_, list)) => Err(cx.hazard(HazardKind::RowCondition, guards::first_line(*list), *list)),
        None => Ok((info.file, program.file(info.file).node(literal.id()))),
    }
}

/// The call that a chain of methods of querysets begins with.
fn innermost<'a>(cx: &Context<'a>, chain: Node<'a>) -> Option<Node<'a>> {
    let mut node = chain.peel();
    for _ in 0..100 {
        let Expr::Call { func, .. } = Expr::of(node) else { return None };
        match Expr::of(func) {
            Expr::Attribute { value, .. }
                if matches!(cx.type_of(value), Type::QuerySet(_) | Type::Manager(_)) =>
            {
                node = value.peel();
            }
            _ => return Some(node),
        }
    }
    None
}

/// What is asked of the rows, `whole`, as it is asked of their list.
fn of_list<'a>(cx: &Context<'a>, whole: Node<'a>, how: How, list: &str) -> String {
    match how {
        How::Rows => list.to_owned(),
        How::Count => format!("len({list})"),
        How::Exists if truth::is_tested(cx, whole) => list.to_owned(),
        How::Exists => format!("bool({list})"),
    }
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
                .events()
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
