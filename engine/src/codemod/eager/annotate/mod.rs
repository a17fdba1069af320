//! Counting the rows of a relation together with the rows that have it: `annotate(book_count=Count("books",
//! distinct=True))`, and `Exists()` where only their existence is asked.
//!
//! Readers, sources and places are those of eager loading. What is new is that the reader changes as well: it asks the
//! row for the annotation, so it must not meet a row of any other queryset.

mod chained;
mod handed;
mod hazards;
mod helper;
mod later;
mod linked;
mod names;
mod reader;
mod rewrite;
mod set;
mod settings;

pub(super) use linked::read as linked;
pub(super) use names::is_attribute;
pub(super) use reader::comes_of_loop;

use super::reads::{self, Group, Load};
use super::{anchor, may_be_source, site};
use crate::codemod::{Codemod, Context, Description, Fix, Hazard, HazardKind, Meta, Queries, Related};
use crate::infer::{EventKind, Origin, ValueId};
use crate::python::{Argument, Kind, Node, NodeId, arguments};
use crate::text::{FileId, Site};
use reader::{Spelled, What};

/// The codemod.
pub struct AnnotateCount {
    /// What is known of it without running it.
    pub meta: Meta,
}

/// What is counted for the rows of one queryset.
pub struct Counting {
    group: Group,
    annotations: Vec<Annotation>,
    readers: Vec<Reader>,
    /// Why the readers cannot be rewritten, where none of them can.
    foreign: Vec<Hazard>,
    /// Whether each number comes from a subquery of its own instead of from a join.
    is_apart: bool,
}

/// One annotation.
struct Annotation {
    step: super::Step,
    what: What,
    condition: Option<Condition>,
    name: String,
    /// Whether each row is certainly asked.
    is_certain: bool,
    site: Site,
}

/// The arguments of the `filter()` or `exclude()` before a count.
#[derive(Clone, Copy)]
struct Condition {
    /// The file of the readers.
    file: FileId,
    list: NodeId,
    /// The argument that leads to the row, which is none of the condition.
    link: Option<NodeId>,
    /// Whether it is that of an `exclude()`.
    is_negated: bool,
}

impl Condition {
    /// The lookups.
    fn arguments<'a>(self, cx: &Context<'a>) -> Vec<Argument<'a>> {
        let list = cx.project.program().file(self.file).node(self.list);
        arguments(list).into_iter().filter(|a| Some(a.node.id()) != self.link).collect()
    }

    /// Whether another one reads the same.
    fn is_same(self, cx: &Context<'_>, other: Condition) -> bool {
        let texts = |c: Condition| c.arguments(cx).iter().map(|a| a.node.text()).collect::<Vec<_>>();
        (self.file, self.is_negated) == (other.file, other.is_negated) && texts(self) == texts(other)
    }
}

/// An expression that gives way to an attribute of the row.
struct Reader {
    file: FileId,
    /// The count.
    whole: NodeId,
    /// The row.
    row: NodeId,
    annotation: usize,
    /// The statement that only sets the attribute that the annotation is: `row.book_count = row.books.count()`, or the
    /// loop that does nothing else.
    removed: Option<NodeId>,
}

impl Codemod for AnnotateCount {
    type Match<'a> = Counting;

    fn meta(&self) -> Meta {
        self.meta
    }

    fn kinds(&self) -> &'static [Kind] {
        super::SOURCES
    }

    fn find<'a>(&self, cx: &Context<'a>, node: Node<'a>) -> Option<Counting> {
        if !may_be_source(cx, node) {
            return None;
        }
        let groups = reads::groups(cx, Load::Count);
        groups
            .iter()
            .filter(|g| anchor(cx, g) == Some(node.id()) && !is_left_to_builder(cx, g))
            .find_map(|group| counting(cx, group.clone()))
    }

    fn hazards<'a>(&self, cx: &Context<'a>, found: &Counting, out: &mut Vec<Hazard>) {
        hazards::hazards(cx, found, out);
    }

    fn describe<'a>(&self, cx: &Context<'a>, found: &Counting) -> Description {
        let mut names: Vec<String> = found.group.lookups().iter().map(|l| format!("`{l}`")).collect();
        let last = names.pop().unwrap_or_default();
        let listed = if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) };
        let sites = found.group.reads.iter().map(|r| r.site).chain(found.group.remote.iter().map(|r| r.site));
        let related =
            sites.map(|site| Related { site, message: "the rows are counted here, once a row".to_owned() });
        let (before, after) = ("1 + N queries".to_owned(), "1 query".to_owned());
        Description {
            site: site(cx, &found.group),
            message: format!("Count {listed} with `annotate`"),
            related: related.collect(),
            queries: Queries { before, after },
        }
    }

    fn rewrite<'a>(&self, cx: &Context<'a>, found: &Counting) -> Result<Fix, Hazard> {
        rewrite::rewrite(cx, found)
    }
}

/// What the rows of `group` are asked for is nothing but numbers, by readers which an annotation cannot be written into: a
/// template, a method of the model, a serializer of new rows. A prefetch gives them their numbers as well, with all rows of
/// the relation: one hazard for each relation. Nothing where some reader can be rewritten, or none of it is counted.
pub(super) fn beyond_reach(cx: &Context<'_>, group: &Group) -> Vec<Hazard> {
    let place = group.class_place.as_ref().map(|p| p.node);
    let is_same = |other: &Group| {
        !other.rows.is_disjoint(&group.rows)
            || place.is_some() && other.class_place.as_ref().map(|p| p.node) == place
    };
    let groups = reads::groups(cx, Load::Count);
    let Some(counted) = groups.iter().find(|g| is_same(g)).cloned() else { return Vec::new() };
    let Some(found) = counting(cx, counted) else { return Vec::new() };
    let is_foreign = |h: &Hazard| matches!(h.kind, HazardKind::SharedReader | HazardKind::TemplateReader);
    if found.foreign.is_empty() || !found.foreign.iter().all(is_foreign) {
        return Vec::new();
    }
    let read = group.reads.iter().map(|r| (&r.steps, r.site));
    let all = read.chain(group.remote.iter().map(|r| (&r.steps, r.site)));
    if !all.clone().all(|(steps, _)| steps.len() == 1) {
        return Vec::new();
    }
    let mut out: Vec<Hazard> = Vec::new();
    let named = |steps: &[super::Step]| steps.first().map_or(String::new(), |s| s.attribute.clone());
    for (steps, site) in all {
        let hazard = Hazard::at(HazardKind::RowsOnlyCounted, named(steps), site);
        if !out.iter().any(|h| h.subject == hazard.subject) {
            out.push(hazard);
        }
    }
    out
}

/// What a group counts: the readers that can be rewritten, or else why they cannot.
fn counting(cx: &Context<'_>, mut group: Group) -> Option<Counting> {
    leave_to_prefetch(cx, &mut group);
    let (annotations, readers, foreign) = (Vec::new(), Vec::new(), Vec::new());
    let mut found = Counting { group, annotations, readers, foreign, is_apart: false };
    let group = std::mem::replace(&mut found.group, Group::new(Load::Count, Vec::new()));
    let mut own = Group { reads: Vec::new(), remote: Vec::new(), ..group.clone() };
    for read in &group.reads {
        match reader::local(cx, &group, read) {
            Ok(Some((file, spelled))) => {
                found.add(cx, file, &spelled, &read.steps, read.is_certain, read.site);
                own.reads.push(read.clone());
            }
            Ok(None) => {}
            Err(hazard) => found.foreign.push(hazard),
        }
    }
    for remote in &group.remote {
        match reader::shown(cx, &group, remote) {
            Ok((file, spelled)) => {
                found.add(cx, file, &spelled, &remote.steps, remote.is_certain, remote.site);
                own.remote.push(remote.clone());
            }
            Err(hazard) => found.foreign.push(hazard),
        }
    }
    if !found.readers.is_empty() {
        found.foreign.clear();
        found.group = own;
        names::give(cx, &mut found);
        found.is_apart = hazards::ask_for_subqueries(cx, &mut found);
        return Some(found);
    }
    found.group = group;
    (!found.foreign.is_empty()).then_some(found)
}

impl Counting {
    fn add(
        &mut self,
        cx: &Context<'_>,
        file: FileId,
        spelled: &Spelled<'_>,
        steps: &[super::Step],
        is_certain: bool,
        site: Site,
    ) {
        let Some(step) = steps.first() else { return };
        if self.readers.iter().any(|r| r.file == file && r.whole == spelled.whole.id()) {
            return;
        }
        let link = spelled.link.map(|l| l.id());
        let is_negated = spelled.is_negated;
        let condition = spelled.condition.map(|list| Condition { file, list: list.id(), link, is_negated });
        // What may be asked once for all rows has one value, and so two that are written alike have the same.
        let same_text = |other: &Annotation| match (other.condition, condition) {
            (None, None) => true,
            (Some(one), Some(other)) => one.is_same(cx, other),
            _ => false,
        };
        let known =
            self.annotations.iter().position(|a| a.step == *step && a.what == spelled.what && same_text(a));
        let annotation = known.unwrap_or_else(|| {
            let (step, what, name) = (step.clone(), spelled.what, String::new());
            self.annotations.push(Annotation { step, what, condition, name, is_certain, site });
            self.annotations.len() - 1
        });
        if let Some(known) = self.annotations.get_mut(annotation) {
            known.is_certain |= is_certain;
        }
        self.readers.push(Reader {
            file,
            whole: spelled.whole.id(),
            row: spelled.row.id(),
            annotation,
            removed: None,
        });
    }

    /// Whether the rows get grouped.
    fn is_grouped(&self) -> bool {
        !self.is_apart && self.annotations.iter().any(|a| a.what == What::Count)
    }
}

/// Whether the queryset is one of an attribute of `self` that this function alone reads: the frame that builds it has found
/// the counts.
fn is_left_to_builder(cx: &Context<'_>, group: &Group) -> bool {
    let program = cx.project.program();
    let own = program.function_at(cx.file, cx.facts.scope);
    let is_found = |target: &ValueId| {
        let outside = cx.value(*target).filter(|v| v.origin == Origin::Outside);
        let builder = outside.and_then(|v| {
            let site = v.site?;
            let def = super::guards::node_at(cx.project, site)?.enclosing_function()?;
            Some((site.file, program.function_at(site.file, def.id())?))
        });
        builder.is_some_and(|(file, function)| {
            let facts = cx.analyzer.caller(file, Some(function));
            let inner = Context { facts: &facts, file, ..*cx };
            let found = reads::groups(&inner, Load::Count);
            found.iter().flat_map(|g| &g.remote).any(|r| r.alone.is_some_and(|(f, _)| Some(f) == own))
        })
    };
    !group.targets.is_empty() && group.targets.iter().all(is_found)
}

/// A relation whose rows are wanted as well is prefetched, and counting costs nothing then.
fn leave_to_prefetch(cx: &Context<'_>, group: &mut Group) {
    let prefetched = reads::groups(cx, Load::Prefetch);
    let place = group.class_place.as_ref().map(|p| p.node);
    let is_same = |other: &&Group| {
        !other.rows.is_disjoint(&group.rows)
            || place.is_some() && other.class_place.as_ref().map(|p| p.node) == place
    };
    let wanted: Vec<Vec<super::Step>> = prefetched
        .iter()
        .filter(is_same)
        .flat_map(|g| {
            let local = g.reads.iter().filter(|r| cx.facts.event(r.event).is_some_and(reads::wants_rows));
            let remote = g.remote.iter().filter(|r| r.wants_rows);
            local.map(|r| r.steps.clone()).chain(remote.map(|r| r.steps.clone())).collect::<Vec<_>>()
        })
        .collect();
    // What asks the database in any case.
    let is_filter = |event: usize| {
        cx.facts.event(event).is_some_and(|e| match &e.kind {
            EventKind::ReadMany { method, .. } => matches!(&**method, "filter" | "exclude"),
            _ => true,
        })
    };
    let is_wanted = |steps: &[super::Step]| wanted.iter().any(|w| w.starts_with(steps));
    group.reads.retain(|r| is_filter(r.event) || !is_wanted(&r.steps));
    group.remote.retain(|r| !is_wanted(&r.steps));
}
