//! The life of a queryset object. A queryset remembers the rows that it has loaded, so replacing one evaluation of
//! it by a query of another form costs a query wherever the same object is read as well. Every codemod that replaces
//! an evaluation asks here.

use super::projection::prefetched;
use super::queryset::link;
use crate::codemod::eager::replaced_behind;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Event, EventKind, Origin, QuerySet, QuerySetClass, Trait, Type, Use, Value, ValueId};
use crate::python::{Expr, Field, Kind, Node, generators};
use crate::text::Site;

/// What ties an evaluation of a queryset to other code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// The rows are read here as well, or the evaluation itself is repeated here for one object.
    Used(Site),
    /// The object goes to somebody who may read its rows.
    Escapes(Site),
    /// The object comes from here: whoever made it may have loaded its rows or may read them later.
    Foreign(Site),
}

/// What ties the evaluation of `qs` at the expression `iter` (`books` in `if books:`, `len(books)`, `for b in books`)
/// to other code; at most one of each kind, the first in order of evaluation. Without any, nothing else ever sees
/// the rows that are loaded there, and they are loaded there and then.
pub fn ties<'a>(cx: &Context<'a>, qs: &QuerySet, iter: Node<'a>) -> Vec<Tie> {
    let mut ids = Vec::new();
    for id in &qs.values {
        family(cx, *id, &mut ids, 0);
    }
    let mut all = Vec::new();
    for id in &ids {
        let Some(value) = cx.value(*id) else {
            all.push(Tie::Foreign(cx.site(iter)));
            continue;
        };
        // A callee that is known by its annotation only may give anything.
        if qs.class == QuerySetClass::Unknown && value.alternatives.is_empty() {
            all.extend(value.site.map(Tie::Foreign));
        }
        all.extend(origin_tie(cx, value, iter));
        // A method that code replaces need not give a queryset.
        all.extend(replaced_behind(cx, cx.facts, *id, 0).and_then(|h| h.site).map(Tie::Foreign));
        use_ties(cx, *id, &ids, iter, &mut all);
    }
    // `locals()` hands out every name.
    if !is_fresh(cx, &ids, iter)
        && let Some(call) = cx.scope().descendants().find(|n| hands_out_names(*n))
    {
        all.push(Tie::Escapes(cx.site(call)));
    }
    let mut out: Vec<Tie> = Vec::new();
    for tie in all {
        if !out.iter().any(|t| std::mem::discriminant(t) == std::mem::discriminant(&tie)) {
            out.push(tie);
        }
    }
    out
}

/// Who else has, or may have, the rows that are loaded at `iter`, where a query of another form takes the place of
/// loading them: [`object_hazards`] and, for the rows of a relation, what may have prefetched them.
pub fn hazards<'a>(cx: &Context<'a>, qs: &QuerySet, iter: Node<'a>, out: &mut Vec<Hazard>) {
    let start = out.len();
    object_hazards(cx, qs, iter, out);
    if out.iter().skip(start).any(|h| h.kind == HazardKind::MayBeLoaded) {
        return;
    }
    let mut ids = Vec::new();
    for id in &qs.values {
        family(cx, *id, &mut ids, 0);
    }
    let mut found = Vec::new();
    for value in ids.iter().filter_map(|id| cx.value(*id)).filter(|v| v.alternatives.is_empty()) {
        if let Some(related) = value.queryset.as_deref().unwrap_or(qs).related.as_deref() {
            prefetched(cx, &related.owner, &related.accessor, subject(iter), &mut found);
        }
    }
    // One place of a kind tells enough.
    for hazard in found {
        if !out.iter().skip(start).any(|h| h.kind == hazard.kind) {
            out.push(hazard);
        }
    }
}

/// [`ties`] as hazards, for `exists()` and `count()` called on the very object that is evaluated at `iter`: rows
/// that a prefetch has put into it would answer them, too (`QuerySet.exists`, django/db/models/query.py).
pub fn object_hazards<'a>(cx: &Context<'a>, qs: &QuerySet, iter: Node<'a>, out: &mut Vec<Hazard>) {
    let ties = ties(cx, qs, iter);
    let is_foreign = ties.iter().any(|t| matches!(t, Tie::Foreign(_)));
    for tie in ties {
        out.push(match tie {
            Tie::Foreign(site) => Hazard::at(HazardKind::MayBeLoaded, subject(iter), site),
            Tie::Used(site) => Hazard::at(HazardKind::ResultCacheUsed, "", site),
            // An object that comes from elsewhere needs no second reason.
            Tie::Escapes(_) if is_foreign => continue,
            Tie::Escapes(site) => Hazard::at(HazardKind::QuerySetEscapes, "", site),
        });
    }
}

/// A slice of a queryset whose rows are loaded is a list: it costs no query, and has no method of a queryset. Who else
/// has, or may have, the rows of what `iter`, a slice or a name of one, is a slice of.
pub fn slice_hazards<'a>(cx: &Context<'a>, qs: &QuerySet, iter: Node<'a>, out: &mut Vec<Hazard>) {
    if !qs.is(Trait::Sliced) {
        return;
    }
    let is_slice = |node: Node<'a>| matches!(Expr::of(node), Expr::Subscript { index, .. } if index.kind() == Kind::Slice);
    let slice = if is_slice(iter) { Some(iter) } else { link(cx, qs, is_slice) };
    let Some(slice) = slice else { return };
    if let Expr::Subscript { value, .. } = Expr::of(slice)
        && let Type::QuerySet(base) = cx.type_of(value)
    {
        hazards(cx, base, slice, out);
    }
}

/// The queryset's expression in a message.
fn subject<'a>(iter: Node<'a>) -> &'a str {
    iter.text().lines().next().unwrap_or_default()
}

/// A value with all that it may be.
fn family(cx: &Context<'_>, id: ValueId, out: &mut Vec<ValueId>, depth: usize) {
    if depth > 8 || out.contains(&id) {
        return;
    }
    out.push(id);
    if let Some(value) = cx.value(id) {
        for other in &value.alternatives {
            family(cx, *other, out, depth + 1);
        }
    }
    // A value that stands for several, this one among them, is the same object under another number.
    for (i, value) in cx.facts.values.iter().enumerate() {
        if value.alternatives.contains(&id) && !out.contains(&ValueId(i as u32)) {
            out.push(ValueId(i as u32));
        }
    }
}

/// Whether the object is made by the expression itself, so that no name holds it.
fn is_fresh<'a>(cx: &Context<'a>, ids: &[ValueId], iter: Node<'a>) -> bool {
    let node = iter.peel().id();
    ids.iter().all(|id| cx.value(*id).is_some_and(|v| v.origin == Origin::Expr(node)))
}

fn origin_tie<'a>(cx: &Context<'a>, value: &Value, iter: Node<'a>) -> Option<Tie> {
    if let Some(site) = value.kept {
        return Some(Tie::Foreign(site));
    }
    match value.origin {
        Origin::Expr(node) => {
            let node = cx.node(node);
            if node == iter.peel() || !value.alternatives.is_empty() {
                return None;
            }
            // What a module or class body binds is an attribute that anybody reads.
            let scope = node.enclosing_scope().map(Node::kind);
            let is_named = !iter.contains(node.id());
            if matches!(scope, Some(Kind::Module | Kind::ClassDef)) && is_named {
                return Some(Tie::Escapes(cx.site(node)));
            }
            repeated(cx, node, iter).map(|place| Tie::Used(cx.site(place)))
        }
        Origin::Parameter(_) | Origin::Outside | Origin::Callee => match cx.maker(value) {
            Some(parameter) => repeated(cx, parameter, iter).map(|place| Tie::Used(cx.site(place))),
            None => Some(Tie::Foreign(value.site.unwrap_or(cx.site(iter)))),
        },
    }
}

/// The loop or function that evaluates `at` more often than `origin`.
fn repeated<'a>(cx: &Context<'a>, origin: Node<'a>, at: Node<'a>) -> Option<Node<'a>> {
    let mut inner = at;
    for outer in at.ancestors() {
        if outer == cx.scope() {
            break;
        }
        let repeats = match outer.kind() {
            Kind::For => outer.child(Field::Body) == Some(inner),
            Kind::While => inner.kind() == Kind::Block || inner.field() == Field::Condition,
            Kind::FunctionDef | Kind::Lambda => true,
            kind if kind.is_comprehension() => !is_first_iterable(outer, at),
            _ => false,
        };
        if repeats {
            if !outer.contains(origin.id()) || is_first_iterable(outer, origin) {
                return Some(outer);
            }
            // Bound in this very loop: on every pass, if the binding's block holds the test.
            let block = origin.ancestors().find(|n| matches!(n.kind(), Kind::Block | Kind::Module));
            let always = block.is_some_and(|b| b.contains(at.id())) && origin.id() < at.id();
            if !always && !at.contains(origin.id()) {
                return Some(outer);
            }
            return None;
        }
        inner = outer;
    }
    None
}

/// Whether `node` stands in the iterable of a comprehension's first `for`, or in that of a `for` statement.
fn is_first_iterable<'a>(owner: Node<'a>, node: Node<'a>) -> bool {
    if owner.kind() == Kind::For {
        return owner.child(Field::Right).is_some_and(|r| r.contains(node.id()));
    }
    owner.kind().is_comprehension() && generators(owner).first().is_some_and(|g| g.iter.contains(node.id()))
}

/// The other uses of the object `id`, one of `ids`, which are all that the object may be.
fn use_ties<'a>(cx: &Context<'a>, id: ValueId, ids: &[ValueId], iter: Node<'a>, out: &mut Vec<Tie>) {
    let place = iter.with_parens();
    let own = |event: Event<'_>| {
        place.contains(event.at) || (event.site.file == cx.file && place.span().contains(event.site.span))
    };
    let is_own_evaluation = |(_, event): &(usize, Event<'_>)| {
        matches!(&event.kind, EventKind::Use { value, how }
            if ids.contains(value) && own(*event) && !matches!(how, Use::Method(_)))
    };
    let last_own = cx.facts.events().enumerate().filter(is_own_evaluation).last().map(|(index, _)| index);
    let origin = cx.value(id).and_then(|v| cx.maker(v));
    for (i, event) in cx.facts.events().enumerate() {
        let EventKind::Use { value, how } = &event.kind else { continue };
        if *value != id || own(event) {
            continue;
        }
        let node = cx.node(event.at);
        if are_exclusive(node, iter, origin) {
            continue;
        }
        let after = || last_own.is_none_or(|own| i > own) || may_follow(node, iter, origin);
        match how {
            Use::Escape(_) => out.push(Tie::Escapes(event.site)),
            how if how.may_load() => out.push(Tie::Used(event.site)),
            Use::Index | Use::Slice if after() => out.push(Tie::Used(event.site)),
            Use::Method(name) if reads_cache(name) && after() => out.push(Tie::Used(event.site)),
            _ => {}
        }
    }
}

/// Whether a method of a queryset answers from loaded rows where there are some. All others make a new queryset
/// or a query of their own.
fn reads_cache(method: &str) -> bool {
    let plain = method.strip_prefix('a').unwrap_or(method);
    matches!(plain, "count" | "exists" | "contains" | "first" | "__getitem__")
}

fn hands_out_names(node: Node<'_>) -> bool {
    node.kind() == Kind::Call
        && matches!(Expr::of(node), Expr::Call { func, .. }
            if matches!(Expr::of(func), Expr::Name("locals" | "vars" | "eval" | "exec")))
}

/// Whether `later` may run after `earlier` on the same object, which `origin` makes.
fn may_follow(later: Node<'_>, earlier: Node<'_>, origin: Option<Node<'_>>) -> bool {
    let mut loops_around = earlier.ancestors().filter(|a| {
        matches!(a.kind(), Kind::For | Kind::While | Kind::FunctionDef | Kind::Lambda)
            || a.kind().is_comprehension()
    });
    later.span().start >= earlier.span().start
        || loops_around.any(|l| l.contains(later.id()) && origin.is_none_or(|o| !l.contains(o.id())))
        || later.enclosing_scope() != earlier.enclosing_scope()
}

/// Whether no run of the function reaches both nodes with the object that `origin` makes.
pub fn are_exclusive<'a>(a: Node<'a>, b: Node<'a>, origin: Option<Node<'a>>) -> bool {
    if a.contains(b.id()) || b.contains(a.id()) || a.enclosing_scope() != b.enclosing_scope() {
        return false;
    }
    let Some(common) = a.ancestors().find(|n| n.contains(b.id())) else { return false };
    // Another round of a loop may take the other way, unless it has an object of its own.
    for around in std::iter::once(common).chain(common.ancestors()) {
        match around.kind() {
            Kind::FunctionDef | Kind::Lambda | Kind::Module => break,
            Kind::For | Kind::While if origin.is_none_or(|o| !around.contains(o.id())) => return false,
            kind if kind.is_comprehension() && origin.is_none_or(|o| !around.contains(o.id())) => {
                return false;
            }
            _ => {}
        }
    }
    if has_try(a, common) || has_try(b, common) {
        return false;
    }
    let branch = |node: Node<'a>| {
        std::iter::once(node).chain(node.ancestors()).find(|n| n.parent().is_some_and(|p| p == common))
    };
    let (Some(in_a), Some(in_b)) = (branch(a), branch(b)) else { return false };
    let is_block = |n: Node<'_>| matches!(n.kind(), Kind::Block | Kind::Elif | Kind::Else | Kind::MatchCase);
    match common.kind() {
        Kind::If if is_block(in_a) && is_block(in_b) => {
            // The test of an `elif` is reached after the test of the `if`, not after its block.
            return true;
        }
        Kind::IfExp => {
            let position = |n: Node<'a>| common.children().position(|c| c == n);
            if position(in_a) != Some(1) && position(in_b) != Some(1) {
                return true;
            }
        }
        _ => {}
    }
    let (first, _) = if a.span().start < b.span().start { (a, b) } else { (b, a) };
    leaves(first, common)
}

fn has_try(node: Node<'_>, below: Node<'_>) -> bool {
    std::iter::once(node)
        .chain(node.ancestors())
        .take_while(|n| *n != below)
        .chain(std::iter::once(below))
        .any(|n| n.kind() == Kind::Try || (n.kind() == Kind::With && n != below))
}

/// Whether the function is left between `node` and the end of the blocks around it, up to `below`.
fn leaves(node: Node<'_>, below: Node<'_>) -> bool {
    for around in std::iter::once(node).chain(node.ancestors()).take_while(|n| *n != below) {
        if matches!(around.kind(), Kind::Return | Kind::Raise) {
            return true;
        }
        let Some(block) = around.parent().filter(|p| p.kind() == Kind::Block && *p != below) else {
            continue;
        };
        if block.children().last().is_some_and(|s| matches!(s.kind(), Kind::Return | Kind::Raise)) {
            return true;
        }
    }
    false
}
