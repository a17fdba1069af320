//! Rows of a `Prefetch` that goes over the frame that makes it: a helper returns it, a class or a module keeps it, or the
//! queryset that it is for is returned or kept on `self`. The join is asked for in the queryset of the `Prefetch`, and the
//! reads are looked up wherever its rows come to.
//!
//! Rows whose way ends out of sight are left alone.

use super::callers::callers;
use super::reads::Load;
use super::region;
use super::remote::{Remote, found};
use super::returned::is_remembered;
use crate::codemod::{Context, Hazard};
use crate::infer::{Escape, Event, EventKind, Facts, Origin, Path, QuerySet, Root, Type, Use, ValueId};
use crate::python::{ClassId, Expr, Field, FunctionId, Kind, Member, Node};
use crate::text::{FileId, Site};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Frames that the rows of one `Prefetch` come to, and that are looked at.
const MAX_FRAMES: usize = 24;

/// What other frames read of the rows that the `Prefetch` objects of this frame bring.
pub(super) fn reads(cx: &Context<'_>, load: Load, out: &mut Vec<(Vec<ValueId>, Path, Remote)>) {
    if load != Load::Join {
        return;
    }
    for value in (0..cx.facts.values.len() as u32).map(ValueId) {
        let Some(Origin::Expr(node)) = cx.value(value).map(|v| v.origin) else { continue };
        let node = cx.node(node);
        if let Type::Prefetch(object) = cx.type_of(node)
            && matches!(&object.queryset, Type::QuerySet(qs) if qs.values.as_slice() == [value])
        {
            of_prefetch(cx, value, node, out);
        }
    }
}

/// A frame that the rows come to.
struct Holder {
    file: FileId,
    function: Option<FunctionId>,
    facts: Arc<Facts>,
}

fn of_prefetch(
    cx: &Context<'_>,
    value: ValueId,
    made: Node<'_>,
    out: &mut Vec<(Vec<ValueId>, Path, Remote)>,
) {
    let start = out.len();
    let mut looked: Vec<Hazard> = Vec::new();
    let Some(holders) = holders(cx, value, made) else { return };
    for holder in &holders {
        let inner = Context { facts: &holder.facts, file: holder.file, ..*cx };
        let is_ours = |v: &ValueId| is_brought(&inner, *v, cx.site(made));
        region::looked_into(&inner, &is_ours, &mut looked);
        region::copied(&inner, &is_ours, &mut looked);
        let events: Vec<Event<'_>> = inner.facts.events().collect();
        found(&inner, Load::Join, (cx, value), &is_ours, &events, out);
    }
    for (_, _, read) in out.iter_mut().skip(start) {
        read.hazards.extend(looked.iter().cloned());
    }
}

/// Whether a value of another frame stands for the rows of the `Prefetch` made at `site`.
fn is_brought(cx: &Context<'_>, value: ValueId, site: Site) -> bool {
    cx.value(value).is_some_and(|v| v.origin == Origin::Callee && v.site == Some(site))
}

/// The other frames that the rows come to; nothing where they go out of sight.
fn holders(cx: &Context<'_>, value: ValueId, made: Node<'_>) -> Option<Vec<Holder>> {
    let site = cx.site(made);
    let program = cx.project.program();
    let mut pending: Vec<(FileId, Option<FunctionId>)> = Vec::new();
    let mut seen: BTreeSet<(FileId, Option<FunctionId>)> = BTreeSet::new();
    let own = program.function_at(cx.file, cx.facts.scope);
    seen.insert((cx.file, own));
    let mut out: Vec<Holder> = Vec::new();
    match own {
        Some(_) => handed_on(cx, &|v| v == value, &mut pending)?,
        None => kept_by_name(cx, made, &mut pending)?,
    }
    while let Some((file, function)) = pending.pop() {
        if !seen.insert((file, function)) {
            continue;
        }
        if seen.len() > MAX_FRAMES {
            return None;
        }
        let facts = cx.analyzer.caller(file, function);
        let inner = Context { facts: &facts, file, ..*cx };
        let is_ours = |v: ValueId| is_brought(&inner, v, site);
        if !(0..facts.values.len() as u32).map(ValueId).any(is_ours) {
            continue;
        }
        handed_on(&inner, &is_ours, &mut pending)?;
        out.push(Holder { file, function, facts });
    }
    out.retain(|holder| holder.function.is_some());
    Some(out)
}

/// The frames that get the rows from the frame of `cx`; nothing where it is not known who does.
fn handed_on(
    cx: &Context<'_>,
    is_ours: &dyn Fn(ValueId) -> bool,
    pending: &mut Vec<(FileId, Option<FunctionId>)>,
) -> Option<()> {
    let program = cx.project.program();
    let function = program.function_at(cx.file, cx.facts.scope);
    let holds = |qs: &QuerySet| {
        qs.lists.iter().filter_map(|l| l.rows.queryset()).any(|rows| rows.values.iter().any(|v| is_ours(*v)))
    };
    let is_holder = |v: ValueId| cx.value(v).and_then(|v| v.queryset.as_deref()).is_some_and(holds);
    let is_object = |ty: &Type| matches!(ty, Type::Prefetch(o) if is_ours(o.value));
    let is_returned = cx.facts.returns.iter().flat_map(|t| t.alternatives()).any(is_object);
    let mut escapes: Vec<(Escape, Node<'_>)> = Vec::new();
    for event in cx.facts.events() {
        match &event.kind {
            EventKind::Use { value, how: Use::Escape(how) } if is_holder(*value) => {
                escapes.push((*how, cx.node(event.at)));
            }
            EventKind::InstanceEscapes { root: Root::Row(v), path, how }
                if path.is_empty() && is_holder(*v) =>
            {
                match how {
                    Escape::External | Escape::Container => {}
                    _ => return None,
                }
            }
            _ => {}
        }
    }
    let mut returns = is_returned;
    for (how, at) in escapes {
        match how {
            Escape::External => {}
            Escape::Return => returns = true,
            Escape::Store => kept_on_self(cx, at, pending)?,
            _ => return None,
        }
    }
    // Objects of the frame that go elsewhere than into a call or out of it.
    for node in cx.scope().descendants().filter(|n| is_object(cx.type_of(*n))) {
        if let Some(assignment) = node.with_parens().parent().filter(|p| p.kind() == Kind::Assign)
            && assignment.child(Field::Left).is_some_and(|t| t.kind() != Kind::Name)
        {
            kept_on_self(cx, node, pending)?;
        }
    }
    if returns {
        let function = function.filter(|f| !is_remembered(cx, *f))?;
        pending.extend(
            callers(cx, function).into_iter().map(|c| (c.file, program.function_at(c.file, c.facts.scope))),
        );
    }
    Some(())
}

/// The methods that have what `at` gives to an attribute of `self`.
fn kept_on_self(
    cx: &Context<'_>,
    at: Node<'_>,
    pending: &mut Vec<(FileId, Option<FunctionId>)>,
) -> Option<()> {
    let program = cx.project.program();
    // The use stands where the attribute is read as well.
    let Some(assignment) = at.ancestors().take(4).find(|n| n.kind() == Kind::Assign) else { return Some(()) };
    let Expr::Attribute { attr, .. } = Expr::of(assignment.child(Field::Left)?) else { return Some(()) };
    let class = program.function(program.function_at(cx.file, cx.facts.scope)?).class?;
    if cx.analyzer.assigned_to(class, attr).is_empty() {
        return None;
    }
    named(cx, attr, Some(class), pending)
}

/// The functions that may have what a class or module keeps under a name.
fn kept_by_name(
    cx: &Context<'_>,
    made: Node<'_>,
    pending: &mut Vec<(FileId, Option<FunctionId>)>,
) -> Option<()> {
    let assignment = made.ancestors().take(4).find(|n| n.kind() == Kind::Assign)?;
    let Expr::Name(name) = Expr::of(assignment.child(Field::Left)?) else { return None };
    named(cx, name, None, pending)
}

/// The functions that mention a name; for one of a class, those of the class and of others that it may be asked from.
fn named(
    cx: &Context<'_>,
    name: &str,
    class: Option<ClassId>,
    pending: &mut Vec<(FileId, Option<FunctionId>)>,
) -> Option<()> {
    let program = cx.project.program();
    for file in cx.analyzer.files_naming(name).iter().copied() {
        for node in program.file(file).root().mentions(name) {
            let is_read = !node.is_binding() && (class.is_none() || node.field() == Field::Attribute);
            let def = node.ancestors().find(|n| n.kind() == Kind::FunctionDef);
            if let Some(function) = def.filter(|_| is_read).and_then(|d| program.function_at(file, d.id())) {
                pending.push((file, Some(function)));
            }
        }
    }
    let is_member = |c: ClassId| matches!(program.member(c, name), Some((_, Member::Function(..))));
    (!class.is_some_and(is_member)).then_some(())
}
