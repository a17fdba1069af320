//! Where a queryset is built: the values to edit so that its rows carry what is loaded with them.

use super::reads::Load;
use crate::codemod::Context;
use crate::infer::{Origin, Trait, Type, ValueId};
use crate::python::{Expr, Kind, arguments};
use std::collections::BTreeSet;

/// The values to edit so that the rows of `value` carry the join: the last ones that build it, or those further up that
/// others of them are derived from.
pub(super) fn targets(cx: &Context<'_>, values: &[ValueId], load: Load) -> Option<Vec<ValueId>> {
    let mut out = BTreeSet::new();
    for value in values {
        leaves(cx, *value, 0, &mut out)?;
    }
    // A value that is derived from another one of them has the join from there.
    for _ in 0..20 {
        let derived =
            out.iter().copied().find(|t| out.iter().any(|other| other != t && is_derived(cx, *t, *other, 0)));
        let Some(derived) = derived else { return Some(out.into_iter().collect()) };
        if cx.value(derived).is_some_and(|v| clears(cx, v.origin, load)) {
            return None;
        }
        let parent = cx.value(derived)?.parent?;
        out.remove(&derived);
        leaves(cx, parent, 0, &mut out)?;
    }
    None
}

/// Whether `value` is cut out of its parent by something that is no slice: the page of a paginator.
fn is_page(cx: &Context<'_>, value: ValueId, parent: ValueId) -> bool {
    let is_cut = |value: ValueId| {
        let queryset = cx.value(value).and_then(|v| v.queryset.as_deref());
        queryset.is_some_and(|qs| qs.is(Trait::Sliced))
    };
    is_cut(value) && !is_cut(parent)
}

/// The expressions that build what `value` may be; a slice or a page is built by what is sliced.
fn leaves(cx: &Context<'_>, value: ValueId, depth: usize, out: &mut BTreeSet<ValueId>) -> Option<()> {
    if depth > 20 {
        return None;
    }
    let info = cx.value(value)?;
    if !info.alternatives.is_empty() {
        // `none()` has no rows to load anything with.
        let is_empty = |value: &ValueId| {
            cx.value(*value).and_then(|v| v.queryset.as_deref()).is_some_and(|qs| qs.is(Trait::Empty))
        };
        let all_empty = info.alternatives.iter().all(is_empty);
        for alternative in info.alternatives.iter().filter(|v| all_empty || !is_empty(v)) {
            leaves(cx, *alternative, depth + 1, out)?;
        }
        return Some(());
    }
    if let (Origin::Expr(node), Some(parent)) = (info.origin, info.parent)
        && (cx.node(node).kind() == Kind::Subscript
            || is_page(cx, value, parent)
            // A filter set filters what it was given, other objects keep it.
            || matches!(cx.type_of(cx.node(node)), Type::Bound(..) | Type::Prefetch(_) | Type::Object(_)))
    {
        return leaves(cx, parent, depth + 1, out);
    }
    out.insert(value);
    Some(())
}

/// Whether `value` is made from `from` by methods and slices, on some path.
pub fn is_derived(cx: &Context<'_>, value: ValueId, from: ValueId, depth: usize) -> bool {
    if depth > 30 {
        return false;
    }
    let Some(info) = cx.value(value) else { return false };
    info.parent.iter().chain(&info.alternatives).any(|up| *up == from || is_derived(cx, *up, from, depth + 1))
}

/// `select_related(None)` forgets every join before it, `prefetch_related(None)` every prefetch.
fn clears(cx: &Context<'_>, origin: Origin, load: Load) -> bool {
    let Origin::Expr(node) = origin else { return false };
    let Expr::Call { func, arguments: list } = Expr::of(cx.node(node)) else { return false };
    matches!(Expr::of(func), Expr::Attribute { attr, .. } if attr == load.method())
        && arguments(list).iter().any(|a| matches!(Expr::of(a.value), Expr::None))
}
