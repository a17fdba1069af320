//! What makes `exists()` differ from counting or loading.

use crate::exists::find::{Asked, How};
use crate::exists::member::prefetch;
use ormend_engine::codemod::guards::making::is_plain;
use ormend_engine::codemod::guards::projection::{dropping_joins, dropping_order};
use ormend_engine::codemod::guards::queryset::{Reading, cache_hazards, link, queryset_of, reading};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::django::{ModelId, Signal};
use ormend_engine::infer::{QuerySet, Rows, Trait, Type};
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
        cache_hazards(cx, qs, found.receiver, out);
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
    // Only what is prefetched somewhere can be in memory.
    let program = cx.project.program();
    let is_prefetched = program.file_ids().any(|file| {
        let text = program.file(file).source.text();
        !cx.project.is_known_file(file)
            && text.contains("prefetch_related")
            && ["\"", "'", "__"].iter().any(|end| text.contains(&format!("{}{end}", related.accessor)))
    });
    if is_prefetched {
        let mut found = Vec::new();
        prefetch(cx, qs, receiver, &mut found);
        let subject = receiver.text();
        out.extend(found.into_iter().map(|h| Hazard {
            kind: HazardKind::StaleRows,
            site: h.site,
            subject: subject.to_owned(),
        }));
    }
}

/// The queryset of `receiver`, if its class and its manager's leave `methods` alone; otherwise the hazard.
pub fn standard<'a>(
    cx: &Context<'a>,
    receiver: Node<'a>,
    methods: &[&str],
    out: &mut Vec<Hazard>,
) -> Option<&'a QuerySet> {
    let unknown = || cx.hazard(HazardKind::UnknownType, receiver.peel().text(), receiver);
    let mut classes = Vec::new();
    if let Type::Manager(manager) = cx.type_of(receiver) {
        classes.push((manager.model, manager.class));
    }
    let qs = queryset_of(cx, receiver);
    classes.extend(qs.map(|qs| (qs.model, qs.class)));
    for (model, class) in classes {
        match reading(cx, model, class, methods) {
            Reading::Standard => {}
            Reading::Custom(what, site) => {
                out.push(Hazard::at(HazardKind::CustomQuerySet, what, site));
                return None;
            }
            Reading::Unknown => {
                out.push(unknown());
                return None;
            }
        }
    }
    if qs.is_none() {
        out.push(unknown());
    }
    qs
}

/// The queryset must not have been made by one of these.
pub fn shape<'a>(
    cx: &Context<'a>,
    qs: &QuerySet,
    receiver: Node<'a>,
    refused: &[Trait],
    out: &mut Vec<Hazard>,
) {
    for property in refused.iter().filter(|t| qs.is(**t)) {
        let methods: &[&str] = match property {
            Trait::Combined => &["union", "intersection", "difference"],
            Trait::Grouped | Trait::Annotated => &["annotate", "alias"],
            Trait::DistinctOn => &["distinct"],
            Trait::Dates => &["dates", "datetimes"],
            Trait::RawSql => &["extra", "filter", "annotate"],
            _ => &[],
        };
        let at = link(cx, qs, |node| match Expr::of(node) {
            Expr::Subscript { .. } => *property == Trait::Sliced,
            Expr::Call { func, .. } => {
                matches!(Expr::of(func), Expr::Attribute { attr, .. } if methods.contains(&attr))
            }
            _ => false,
        });
        let subject = match at.map(Expr::of) {
            Some(Expr::Subscript { index, .. }) => format!("[{}]", index.text()),
            Some(Expr::Call { func, .. }) => match Expr::of(func) {
                Expr::Attribute { attr, .. } => format!("{attr}()"),
                _ => receiver.text().to_owned(),
            },
            _ => match property {
                Trait::Combined => "union()".to_owned(),
                Trait::Sliced => "a slice".to_owned(),
                _ => methods.first().map_or(String::new(), |m| format!("{m}()")),
            },
        };
        out.push(cx.hazard(HazardKind::QuerySetShape, subject, at.unwrap_or(receiver)));
    }
}

/// Nothing may watch how instances are made.
pub fn instances(cx: &Context<'_>, model: ModelId, out: &mut Vec<Hazard>) {
    for signal in [Signal::PreInit, Signal::PostInit] {
        for receiver in cx.project.receivers(model, signal) {
            out.push(Hazard::at(HazardKind::CustomInstance, receiver.name.clone(), receiver.site));
        }
    }
    for name in ["__init__", "__new__", "from_db"] {
        if let Some((what, site)) = overridden(cx, model, name)
            && !is_plain(cx, model, name)
        {
            out.push(Hazard::at(HazardKind::CustomInstance, what, site));
        }
    }
}

/// `Model.method`, where the model or a base of the program defines it.
pub fn overridden(
    cx: &Context<'_>,
    model: ModelId,
    name: &str,
) -> Option<(String, ormend_engine::text::Site)> {
    let site = cx.project.override_of(model, name)?;
    let program = cx.project.program();
    let (owner, _) = program.member(cx.model(model).class, name)?;
    Some((format!("{}.{name}", program.class(owner).name), site))
}
