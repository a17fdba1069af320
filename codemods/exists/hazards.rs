//! What makes `exists()` differ from counting or loading.

use crate::exists::find::{Asked, How};
use ormend_engine::codemod::guards::life;
use ormend_engine::codemod::guards::making::{instances, overridden};
use ormend_engine::codemod::guards::projection::{dropping_joins, dropping_order, prefetched};
use ormend_engine::codemod::guards::queryset::{shape, standard};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::infer::{QuerySet, Rows, Trait};
use ormend_engine::python::{Expr, Node};

/// The hazards of an [`Asked`].
pub fn asked<'a>(cx: &Context<'a>, found: &Asked<'a>, out: &mut Vec<Hazard>) {
    let methods: &[&str] = match found.how {
        How::Count => &["count", "acount", "exists", "aexists"],
        How::Rows => &["__bool__", "__len__", "__iter__", "_fetch_all", "_iterable_class", "exists"],
        How::One { .. } => &[
            "first",
            "last",
            "afirst",
            "alast",
            "__getitem__",
            "__iter__",
            "_fetch_all",
            "_iterable_class",
            "exists",
            "aexists",
        ],
    };
    let Some(qs) = standard(cx, found.receiver, methods, out) else { return };
    let refused: &[Trait] = match found.how {
        How::One { .. } => &[Trait::Combined, Trait::Sliced, Trait::Grouped],
        _ => &[Trait::Combined],
    };
    shape(cx, qs, found.receiver, refused, out);
    if found.how != How::Count {
        dropping_joins(cx, qs, out);
        dropping_order(cx, qs, out);
    }
    if matches!(found.how, How::One { .. }) {
        asks_again(cx, qs, found.receiver, out);
    }
    if found.how == How::Rows {
        life::object_hazards(cx, qs, found.receiver, out);
        life::slice_hazards(cx, qs, found.receiver, out);
    }
    if found.how != How::Count && qs.rows == Rows::Instances {
        instances(cx, qs.model, out);
    }
    if found.how == (How::One { by_truth: true }) && qs.rows == Rows::Instances {
        for name in ["__bool__", "__len__"] {
            if let Some((what, site)) = overridden(cx, qs.model, name) {
                out.push(Hazard::at(HazardKind::CustomTruth, what, site));
                break;
            }
        }
    }
}

/// `first()` sorts what has no order, with a query of its own; `exists()` answers from rows that were prefetched,
/// and does not see what happened to them since.
fn asks_again<'a>(cx: &Context<'a>, qs: &QuerySet, receiver: Node<'a>, out: &mut Vec<Hazard>) {
    let Some(related) = &qs.related else { return };
    let is_whole = match Expr::of(receiver) {
        Expr::Call { func, .. } => matches!(Expr::of(func), Expr::Attribute { attr: "all", .. }),
        _ => true,
    };
    if !is_whole || qs.is(Trait::Ordered) || !cx.model(qs.model).ordering.is_empty() {
        return;
    }
    let mut found = Vec::new();
    prefetched(cx, &related.owner, &related.accessor, receiver.text(), &mut found);
    out.extend(found.into_iter().map(|h| Hazard {
        kind: HazardKind::StaleRows,
        site: h.site,
        subject: receiver.text().to_owned(),
    }));
}
