//! A relation that is prefetched, and then asked for in a way that asks the database again for each row: the prefetch is
//! for nothing. Where it is provable, a `Prefetch` brings what is asked for, and the reader gets the list.

use super::annotate::{comes_of_loop, is_attribute};
use super::certainty::goes_over_all;
use super::reads::{Group, Load, Read, climbed};
use super::sources::targets;
use super::step::{self, Step};
use super::{conditions, guards, may_be_source, place, remote, repeats, shape, site};
use crate::codemod::naming::{imported, model_name};
use crate::codemod::{
    Codemod, Context, Description, FileEdit, Fix, Hazard, HazardKind, Meta, Queries, Related,
};
use crate::infer::{Entry, Escape, Event, EventKind, Path, Root, Type, Use, ValueId};
use crate::python::emit::{quote_of, string_literal};
use crate::python::{Expr, Field, Kind, Node, NodeId, arguments, generators, string_value};
use crate::text::{Edit, Site};

/// The codemod.
pub struct PrefetchBypassed {
    /// What is known of it without running it.
    pub meta: Meta,
}

/// Reads that pass a prefetch by.
pub struct Bypassed {
    group: Group,
    steps: Vec<Step>,
    /// As it is named in `prefetch_related()`.
    lookup: String,
    /// The reads, each with the method.
    reads: Vec<(Site, String)>,
    /// The call that prefetches, where it is known.
    prefetch: Site,
    /// The reader of this frame, where there is only that one.
    reader: Option<NodeId>,
}

/// What a prefetched relation does not answer (`ManyRelatedManager` and `QuerySet` in Django 4.2 to 6.0): each makes a new
/// queryset, or asks at once.
const ASKING: &[&str] = &[
    "filter", "exclude", "order_by", "reverse", "values", "values_list", "get", "latest", "earliest", "only", "defer",
    "annotate", "distinct", "select_related", "prefetch_related", "aggregate", "last", "first", "in_bulk", "iterator",
    "complex_filter", "extra", "using",
];
/// Calls that only go over what they are given.
const GOING_OVER: &[&str] = &["list", "tuple", "set", "sorted", "len", "sum", "any", "all", "enumerate", "reversed", "min", "max"];

impl Codemod for PrefetchBypassed {
    type Match<'a> = Bypassed;

    fn meta(&self) -> Meta {
        self.meta
    }

    fn kinds(&self) -> &'static [Kind] {
        super::SOURCES
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Bypassed> {
        let asks = |e: &Event| e.at == node.id() && matches!(e.kind, EventKind::ReadMany { .. });
        if !may_be_source(cx, node) && !cx.facts.events.iter().any(asks) {
            return None;
        }
        let anchor = |b: &Bypassed| b.group.reads.first().map(|r| r.at).or_else(|| super::anchor(cx, &b.group));
        bypassed(cx).into_iter().find(|b| anchor(b) == Some(node.id()))
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Bypassed, out: &mut Vec<Hazard>) {
        hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Bypassed) -> Description {
        let path = found.steps.iter().map(|s| s.attribute.as_str()).collect::<Vec<_>>().join(".");
        let mut related: Vec<Related> = found
            .reads
            .iter()
            .map(|(site, method)| Related {
                site: *site,
                message: format!("`{path}.{method}()` asks the database again, once a row"),
            })
            .collect();
        related.push(Related { site: found.prefetch, message: "it is prefetched here".to_owned() });
        Description {
            site: site(cx, &found.group),
            message: format!("Read `{path}` from a `Prefetch` with `to_attr`"),
            related,
            queries: Queries { before: "2 + N queries".to_owned(), after: "2 queries".to_owned() },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Bypassed) -> Result<Fix, Hazard> {
        rewrite(cx, found)
    }
}

/// The relation that an event asks for past a prefetch: the outermost queryset, the path, the method.
fn asked<'e>(cx: &Context<'_>, facts: &crate::infer::Facts, event: &'e Event) -> Option<(ValueId, Path, &'e str)> {
    let EventKind::ReadMany { root, path, method, model } = &event.kind else { return None };
    if !ASKING.contains(&&**method) {
        return None;
    }
    // Rows that are ordered answer first() from what is prefetched.
    let target = cx.model(*model);
    if **method == *"first" && (!target.ordering.is_empty() || target.has_unknown_ordering) {
        return None;
    }
    let (value, path) = climbed(facts, *root, path)?;
    let queryset = facts.value(value)?.queryset.as_deref()?;
    let name = path.join("__");
    let is_prefetched = queryset.prefetched.iter().any(|p| {
        let plain = p.strip_suffix("__*").unwrap_or(p);
        plain == name || plain.starts_with(&format!("{name}__"))
    });
    (is_prefetched && !guards::node_at(cx.project, event.site).is_some_and(is_considered))
        .then_some((value, path, method))
}

/// Whether a read costs no query of its own: it stands in another query, or code that looks for what is prefetched makes it
/// where nothing is.
fn is_considered(node: Node<'_>) -> bool {
    const TAKING: &[&str] = &["filter", "exclude", "get", "annotate", "update", "Subquery", "Exists", "Q", "When"];
    let statement = |n: &Node<'_>| !n.kind().is_statement();
    let is_part = node.ancestors().take_while(statement).any(|outer| match Expr::of(outer) {
        Expr::Call { func, arguments: list } if outer.kind() == Kind::Call && list.contains(node.id()) => {
            let name = func.text().rsplit('.').next().unwrap_or_default();
            TAKING.contains(&name.trim())
        }
        _ => false,
    });
    let looks = || {
        node.enclosing_function().is_some_and(|def| {
            ["_result_cache", "_prefetched_objects_cache"].iter().any(|name| def.text().contains(name))
        })
    };
    is_part || looks()
}

/// Everything that passes a prefetch by in this frame, or in what a framework does with the rows that it builds.
fn bypassed(cx: &Context<'_>) -> Vec<Bypassed> {
    let mut out: Vec<Bypassed> = Vec::new();
    for (index, event) in cx.facts.events.iter().enumerate() {
        let Some((value, path, method)) = asked(cx, cx.facts, event) else { continue };
        let Some(round) = event.rounds.iter().find(|r| r.value == value) else { continue };
        if repeats::leaves_rounds(cx, value, event.at) {
            continue;
        }
        let is_certain = round.is_certain && goes_over_all(cx, event);
        let Some(found) = entry_of(cx, &mut out, value, &path) else { continue };
        found.group.rows.insert(value);
        let (at, steps) = (event.at, found.steps.clone());
        found.group.reads.push(Read { event: index, at, site: event.site, steps, is_certain });
        if !found.reads.iter().any(|(site, _)| *site == event.site) {
            found.reads.push((event.site, method.to_owned()));
        }
    }
    for found in &mut out {
        let [only] = found.group.reads.as_slice() else { continue };
        let node = cx.node(only.at);
        found.reader = (only.site == cx.site(node)).then_some(only.at);
    }
    of_entries(cx, &mut out);
    out
}

/// The finding for a relation of the rows of `value`.
fn entry_of<'o>(
    cx: &Context<'_>,
    out: &'o mut Vec<Bypassed>,
    value: ValueId,
    path: &Path,
) -> Option<&'o mut Bypassed> {
    let queryset = cx.value(value)?.queryset.as_deref()?;
    let steps = step::steps(cx.project, queryset.model, path).filter(|s| Load::Prefetch.is_for(s))?;
    let lookup = path.join("__");
    let targets = targets(cx, &[value], Load::Prefetch)?;
    let known = out.iter().position(|b| b.group.targets == targets && b.lookup == lookup);
    let index = known.unwrap_or_else(|| {
        let prefetch = shape::made_by(cx, value, &["prefetch_related"]);
        let group = Group::new(Load::Prefetch, targets);
        out.push(Bypassed { group, steps, lookup, reads: Vec::new(), prefetch, reader: None });
        out.len() - 1
    });
    out.get_mut(index)
}

/// Fields of serializers, columns of the admin, templates.
fn of_entries(cx: &Context<'_>, out: &mut Vec<Bypassed>) {
    let program = cx.project.program();
    let own = program.function_at(cx.file, cx.facts.scope);
    for entry in cx.analyzer.entries_from(cx.file) {
        let ty = match entry.source {
            crate::infer::Source::Function(function) if own == Some(function) => cx.facts.returns.clone(),
            crate::infer::Source::Expression(file, node) if file == cx.file => {
                cx.facts.types.get(&cx.node(node).peel().id()).cloned()
            }
            _ => None,
        };
        let Some(Type::QuerySet(queryset)) = ty else { continue };
        let [value] = queryset.values.as_slice() else { continue };
        for (event, path, method) in shown(cx, entry) {
            let Some(found) = entry_of(cx, out, *value, &path) else { continue };
            found.reader = None;
            found.group.rows.insert(*value);
            if !found.reads.iter().any(|(site, _)| *site == event.site) {
                found.reads.push((event.site, method.to_owned()));
            }
        }
    }
}

fn shown<'e>(cx: &Context<'_>, entry: &'e Entry) -> Vec<(&'e Event, Path, &'e str)> {
    let found = entry.facts.events.iter().filter_map(|event| {
        let (value, path, method) = asked(cx, &entry.facts, event)?;
        event.rounds.iter().any(|r| r.value == value).then_some((event, path, method))
    });
    found.collect()
}

fn hazards(cx: &Context<'_>, found: &Bypassed, out: &mut Vec<Hazard>) {
    let Some(reader) = found.reader.map(|r| cx.node(r)) else {
        for (site, method) in &found.reads {
            out.push(Hazard::at(HazardKind::SharedReader, format!("{method}()"), *site));
        }
        return;
    };
    super::hazards(cx, &found.group, out);
    // The queries of the prefetch are made as it is, and the manager is asked when it runs: what is asked of a prefetched
    // relation goes on from there (`ManyRelatedManager.get_queryset`).
    out.retain(|h| {
        !matches!(
            h.kind,
            HazardKind::LoadedWithout
                | HazardKind::RarelyRead
                | HazardKind::SharedQuerySet
                | HazardKind::CustomManagerMethod
        )
    });
    out.retain_mut(|h| {
        let shape = h.kind == HazardKind::QuerySetShape;
        match h.subject.as_str() {
            // A longer path goes through the relation.
            "prefetch_related()" if shape => h.kind = HazardKind::ReadPlainly,
            "iterator()" | "aiterator()" if shape => {
                h.kind = HazardKind::NoPlaceToEdit;
                h.subject = format!("{} prefetches nothing", h.subject);
            }
            // Rows of a union have what the first of its querysets prefetches.
            "union()" | "intersection()" | "difference()" if shape => return false,
            _ => {}
        }
        true
    });
    plain_reads(cx, found, out);
    let Some(step) = found.steps.first() else { return };
    let target = cx.model(step.to);
    let manager = target.manager(&target.default_manager);
    if manager.is_none_or(|m| !m.is_unknown)
        && !cx.project.is_plain_manager(step.to, &target.default_manager)
    {
        let site = manager.and_then(|m| m.site).unwrap_or(target.site);
        let subject = format!("{}.{}", target.name, target.default_manager);
        out.push(Hazard::at(HazardKind::RelatedManager, subject, site));
    }
    handed_out_again(cx, reader, out);
    match Asked::of(cx, reader) {
        None => {
            let subject = guards::first_line(reader);
            out.push(cx.hazard(HazardKind::QueryNeeded, subject, reader));
        }
        Some(asked) => {
            if !comes_of_loop(cx, asked.row) {
                out.push(cx.hazard(HazardKind::SharedReader, guards::first_line(reader), reader));
            }
            for (method, list) in &asked.links {
                match *method {
                    "order_by" => {
                        let is_kept = arguments(*list).iter().all(|a| {
                            a.name.is_none()
                                && string_value(a.value).is_some_and(|name| {
                                    conditions::is_own_column(cx, step.to, name.trim_start_matches('-'))
                                })
                        });
                        if !is_kept {
                            let at = cx.node(list.id());
                            out.push(cx.hazard(HazardKind::RowCondition, guards::first_line(at), at));
                        }
                    }
                    _ => conditions::hazards(cx, step.to, cx.file, *list, out),
                }
            }
        }
    }
}

/// Read in a loop of its own, the list gives the instances of the first round again; the filter made new ones.
fn handed_out_again(cx: &Context<'_>, reader: Node<'_>, out: &mut Vec<Hazard>) {
    // The loop over its rows begins with the reader; what is around that is the loop over the rows that have them.
    let rounds = |n: Node<'_>| match n.kind() {
        Kind::While => 1,
        Kind::For => usize::from(n.child(Field::Right).is_none_or(|iter| !iter.contains(reader.id()))),
        kind if kind.is_comprehension() => {
            let generators = generators(n);
            generators.iter().position(|g| g.iter.contains(reader.id())).unwrap_or(generators.len())
        }
        _ => 0,
    };
    let around = reader.ancestors().take_while(|n| n.id() != cx.facts.scope);
    if around.map(rounds).sum::<usize>() < 2 {
        return;
    }
    let is_row = |root: &Root| match root {
        Root::Row(v) => cx.value(*v).is_some_and(
            |v| matches!(v.origin, crate::infer::Origin::Expr(n) if n == reader.id() || cx.node(n).contains(reader.id())),
        ),
        _ => false,
    };
    for event in &cx.facts.events {
        let changes = match &event.kind {
            EventKind::WriteAttribute { root, .. } | EventKind::InstanceMethod { root, .. } => is_row(root),
            EventKind::InstanceEscapes { root, .. } => is_row(root),
            _ => false,
        };
        if changes {
            let subject = guards::node_at(cx.project, event.site).map_or("...", guards::first_line);
            out.push(Hazard::at(HazardKind::SharedInstance, subject, event.site));
        }
    }
}

/// Others that read what is prefetched, or may.
fn plain_reads(cx: &Context<'_>, found: &Bypassed, out: &mut Vec<Hazard>) {
    let rows = &found.group.rows;
    let is_built = |v: ValueId| {
        rows.contains(&v) || found.group.targets.iter().any(|t| *t == v || super::sources::is_derived(cx, v, *t, 0))
    };
    for event in &cx.facts.events {
        match &event.kind {
            EventKind::ReadMany { root, path, .. } => {
                let is_other = !found.group.reads.iter().any(|r| r.site == event.site);
                let is_it = climbed(cx.facts, *root, path).is_some_and(|(value, path)| {
                    is_built(value) && path.join("__").starts_with(&found.lookup)
                });
                if is_it && is_other {
                    let subject = guards::node_at(cx.project, event.site).map_or("...", guards::first_line);
                    out.push(Hazard::at(HazardKind::ReadPlainly, subject, event.site));
                }
            }
            EventKind::InstanceEscapes { root: Root::Row(v), path, how } if rows.contains(v) && path.is_empty() => {
                if !matches!(how, Escape::Container) {
                    let subject = guards::node_at(cx.project, event.site).map_or("...", guards::first_line);
                    out.push(Hazard::at(HazardKind::SharedReader, subject, event.site));
                }
            }
            EventKind::Use { value, how: Use::Escape(_) } => {
                let is_ours = |t: &ValueId| t == value || super::sources::is_derived(cx, *value, *t, 0);
                // Inside of what is returned it has been said already.
                let is_said = out.iter().filter_map(|h| h.site.filter(|_| h.kind == HazardKind::QuerySetEscapes)).any(
                    |s| s.file == event.site.file && (s.span.contains(event.site.span) || event.site.span.contains(s.span)),
                );
                if found.group.targets.iter().any(is_ours) && !is_said {
                    out.push(Hazard::at(HazardKind::QuerySetEscapes, "", event.site));
                }
            }
            _ => {}
        }
    }
    let is_ours = |values: &[ValueId]| values.iter().any(|v| rows.contains(v) || found.group.targets.contains(v));
    for (_, _, read) in remote::reads(cx, Load::Prefetch).iter().filter(|(values, ..)| is_ours(values)) {
        out.push(Hazard::at(HazardKind::ReadPlainly, read.steps.last().map_or("", |s| &s.attribute), read.site));
    }
}

/// `row.books.filter(...).order_by(...)`, taken apart.
struct Asked<'a> {
    /// The whole chain, with `count()` or `exists()` behind it.
    whole: Node<'a>,
    row: Node<'a>,
    /// The calls, with their arguments.
    links: Vec<(&'a str, Node<'a>)>,
    how: How,
}

/// What becomes of the rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Rows,
    Count,
    Exists,
}

impl<'a> Asked<'a> {
    /// The chain that begins at `first`, the first call that asks the database again.
    fn of(cx: &Context<'a>, first: Node<'a>) -> Option<Asked<'a>> {
        let Expr::Call { func, .. } = Expr::of(first) else { return None };
        let Expr::Attribute { value, .. } = Expr::of(func) else { return None };
        let row = match Expr::of(value) {
            Expr::Attribute { value, .. } => value,
            Expr::Call { func, arguments: none } if arguments(none).is_empty() => match Expr::of(func) {
                Expr::Attribute { value, attr: "all", .. } => match Expr::of(value) {
                    Expr::Attribute { value, .. } => value,
                    _ => return None,
                },
                _ => return None,
            },
            _ => return None,
        };
        if row.kind() != Kind::Name {
            return None;
        }
        let mut out = Asked { whole: first, row, links: Vec::new(), how: How::Rows };
        let mut node = first;
        for _ in 0..20 {
            let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
            let Expr::Attribute { attr, .. } = Expr::of(func) else { return None };
            let is_bare = arguments(list).is_empty();
            match attr {
                "filter" | "exclude" | "order_by" if !is_bare => out.links.push((attr, list)),
                "all" if is_bare => {}
                "count" if is_bare => out.how = How::Count,
                "exists" if is_bare => out.how = How::Exists,
                _ => return None,
            }
            out.whole = node;
            let next = node.with_parens().parent().filter(|p| p.kind() == Kind::Attribute);
            let call = next.and_then(|n| n.with_parens().parent()).filter(|c| c.kind() == Kind::Call);
            match call {
                Some(call) if out.how == How::Rows => node = call,
                None if next.is_none() => break,
                _ => return None,
            }
        }
        (out.how != How::Rows || is_gone_over(cx, out.whole)).then_some(out)
    }
}

/// Whether an expression is only gone over where it stands.
fn is_gone_over(cx: &Context<'_>, node: Node<'_>) -> bool {
    let node = node.with_parens();
    let Some(parent) = node.parent() else { return false };
    match parent.kind() {
        Kind::For | Kind::CompFor => node.field() == Field::Right && !parent.is_async(),
        Kind::Arguments => parent.parent().is_some_and(|call| match Expr::of(call) {
            Expr::Call { func, arguments: list } => {
                arguments(list).first().is_some_and(|a| a.name.is_none() && a.value.peel() == node.peel())
                    && matches!(Expr::of(func), Expr::Name(name) if GOING_OVER.contains(&name))
                    && matches!(cx.type_of(cx.node(func.peel().id())), Type::Def(_))
            }
            _ => false,
        }),
        _ => false,
    }
}

fn rewrite(cx: &Context<'_>, found: &Bypassed) -> Result<Fix, Hazard> {
    let blocked = |text: &str, site: Site| Hazard::at(HazardKind::NoPlaceToEdit, text, site);
    let (Some(reader), [step], [target]) =
        (found.reader.map(|r| cx.node(r)), found.steps.as_slice(), found.group.targets.as_slice())
    else {
        return Err(blocked("the prefetch goes over more than one relation", found.prefetch));
    };
    let Some(asked) = Asked::of(cx, reader) else {
        return Err(cx.hazard(HazardKind::QueryNeeded, guards::first_line(reader), reader));
    };
    let node = place::expression(cx, *target)?;
    let call = place::existing(cx, node, Load::Prefetch);
    let literal = call.and_then(|call| {
        let Expr::Call { arguments: list, .. } = Expr::of(call) else { return None };
        let args = arguments(list);
        let own = |text: &str| text == found.lookup || text.starts_with(&format!("{}__", found.lookup));
        let mut named = args.iter().filter(|a| {
            string_value(a.value).is_some_and(|t| own(&t))
                || a.value.descendants().any(|n| n.kind() == Kind::Str && string_value(n).is_some_and(|t| own(&t)))
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
        How::Rows => row,
        How::Count => format!("len({row})"),
        How::Exists => format!("bool({row})"),
    };
    let edits = vec![Edit::replace(literal.span(), text), Edit::replace(asked.whole.span(), read)];
    let edits = edits.into_iter().map(|edit| FileEdit { file: cx.file, edit }).collect();
    Ok(Fix { edits, imports: first.into_iter().chain(second).collect(), ..Fix::default() })
}

/// The attribute that the rows go to: after the only condition, where that says what they are.
fn attribute(cx: &Context<'_>, found: &Bypassed, step: &Step, asked: &Asked<'_>) -> String {
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
                cx.value(*v).and_then(|v| v.queryset.as_deref()).is_some_and(|q| {
                    q.annotations.iter().chain(&q.prefetched).any(|n| **n == *name)
                })
            })
            || cx.facts.events.iter().any(|e| {
                matches!(&e.kind, EventKind::WriteAttribute { name: n, .. } if **n == *name)
            })
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
