//! Querysets that a callee makes of what it is given: by methods and slices, or from relations. What it does to them is
//! done to values of the caller, so that whoever looks at what becomes of a queryset sees it in whatever function it
//! happens: a helper, a tag or filter of a template, a hook that a framework calls.
//!
//! What is read of the rows of a queryset that is made by methods and slices is still read of the rows of the argument.

use super::facts::{EventKind, Value};
use super::frame::Frame;
use super::summary::{Translation, is_parameter, rows_of};
use super::types::{Instance, Path, Related, Root, Type, ValueId};
use crate::python::Node;
use smallvec::SmallVec;
use std::sync::Arc;

impl<'a> Frame<'a, '_> {
    /// Make a value for each queryset that the callee derives from its arguments.
    pub(super) fn derive_like(&mut self, t: &mut Translation<'_>) {
        if !t.arguments.iter().any(|ty| rows_of(ty).queryset().is_some()) {
            return;
        }
        let values = &t.summary.values;
        for (index, value) in values.iter().enumerate() {
            let id = ValueId(index as u32);
            let Some(queryset) = value.queryset.as_ref().filter(|_| !is_parameter(values, id)) else {
                continue;
            };
            let own = |made: ValueId| match t.derived.get(&made) {
                Some(own) => Some(*own),
                None if is_parameter(values, made) => {
                    let argument = rows_of(t.arguments.get(t.parameter(made)?)?).queryset()?;
                    argument.values.first().copied()
                }
                None => None,
            };
            let parent = value.parent.and_then(own);
            let alternatives: SmallVec<[ValueId; 1]> =
                value.alternatives.iter().filter_map(|v| own(*v)).collect();
            let Some(above) = parent.or_else(|| alternatives.first().copied()) else { continue };
            let new = ValueId(self.facts.values.len() as u32);
            let mut out = (**queryset).clone();
            out.forget_lists();
            out.values = SmallVec::from_slice(&[new]);
            out.related = self.facts.value(above).and_then(|v| v.queryset.as_ref()?.related.clone());
            let made = Value::of_callee(Arc::new(out), value.site);
            self.facts.values.push(Value { parent, alternatives, ..made });
            t.derived.insert(id, new);
        }
    }

    /// The querysets that a callee makes from relations of its arguments become values of this frame, so that what is
    /// read of their rows can be told.
    pub(super) fn adopt(&mut self, kind: &EventKind, t: &mut Translation<'_>, node: Node<'a>) {
        let (EventKind::ReadRelation { root, .. }
        | EventKind::ReadMany { root, .. }
        | EventKind::ReadAttribute { root, .. }
        | EventKind::WriteAttribute { root, .. }
        | EventKind::InstanceMethod { root, .. }
        | EventKind::InstanceEscapes { root, .. }) = kind
        else {
            return;
        };
        if let Root::Row(v) = root
            && !t.adopted.contains_key(v)
            && let Some(row) = self.row_of_several(*v, t, node)
        {
            t.adopted.insert(*v, row);
            return;
        }
        // Outermost last: a row of a relation of a row of a relation.
        let mut chain: SmallVec<[ValueId; 4]> = SmallVec::new();
        let mut next = *root;
        while let Root::Row(v) = next {
            if t.adopted.contains_key(&v) || t.parameter(v).is_some() || chain.len() > 8 {
                break;
            }
            let related =
                t.summary.values.get(v.0 as usize).and_then(|v| v.queryset.as_deref()?.related.clone());
            let Some(related) = related else { return };
            chain.push(v);
            next = related.owner.root;
        }
        while let Some(v) = chain.pop() {
            let Some(value) = t.summary.values.get(v.0 as usize) else { return };
            let Some(qs) = &value.queryset else { return };
            let Some(related) = &qs.related else { return };
            let Some((root, path)) = t.roots(related.owner.root, &related.owner.path) else { return };
            let id = ValueId(self.facts.values.len() as u32);
            let mut out = (**qs).clone();
            out.forget_lists();
            out.values = SmallVec::from_slice(&[id]);
            out.related = Some(Arc::new(Related {
                owner: Instance { model: related.owner.model, root, path },
                accessor: related.accessor.clone(),
            }));
            self.facts.values.push(Value::of_callee(Arc::new(out), value.site));
            t.adopted.insert(v, id);
        }
    }

    /// The value here that stands for rows of several arguments, which the callee has as one.
    pub(super) fn row_of_several(
        &mut self,
        value: ValueId,
        t: &Translation<'_>,
        node: Node<'a>,
    ) -> Option<ValueId> {
        let several = t.summary.values.get(value.0 as usize).map(|v| v.alternatives.clone())?;
        if several.len() < 2 {
            return None;
        }
        let mut both = Type::Never;
        for alternative in several {
            let Some((Root::Row(row), path)) = t.roots(Root::Row(alternative), &Path::new()) else {
                return None;
            };
            let queryset =
                self.facts.value(row).and_then(|v| v.queryset.clone()).filter(|_| path.is_empty())?;
            both = both.join(Type::QuerySet(queryset));
        }
        Some(self.single(both.queryset()?, node))
    }
}
