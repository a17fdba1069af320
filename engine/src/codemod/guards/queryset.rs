//! Guards for the queryset that a rewrite goes on from: which class it has, and how it came to be what it is.

use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::ModelId;
use crate::infer::{Origin, QuerySet, QuerySetClass, Rows, Trait, Type};
use crate::python::{ClassId, Expr, Kind, Member, Node, arguments};
use crate::text::Site;

/// The queryset that a receiver of a queryset method is or, for a manager, gives.
pub fn queryset_of<'a>(cx: &Context<'a>, receiver: Node<'a>) -> Option<&'a QuerySet> {
    match cx.type_of(receiver) {
        Type::QuerySet(qs) => Some(qs),
        Type::Manager(_) => {
            let node = receiver.peel().id();
            cx.facts
                .values
                .iter()
                .find(|v| v.origin == Origin::Expr(node))
                .and_then(|v| v.queryset.as_deref())
        }
        _ => None,
    }
}

/// The calls of the chain that go on from the call `node`, as long as they give querysets.
pub fn calls_after<'a>(cx: &Context<'a>, node: Node<'a>) -> Vec<Node<'a>> {
    let mut out = Vec::new();
    let mut last = node;
    while let Some(attribute) = last.with_parens().parent().filter(|p| p.kind() == Kind::Attribute)
        && let Some(call) = attribute.with_parens().parent().filter(|p| p.kind() == Kind::Call)
        && matches!(Expr::of(call), Expr::Call { func, .. } if func.peel() == attribute)
        && matches!(cx.type_of(call), Type::QuerySet(_))
    {
        last = call;
        out.push(call);
    }
    out
}

/// What a queryset's or manager's class does about rows and counting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Django's way.
    Standard,
    /// `EntryQuerySet.count`, defined there, does something else.
    Custom(String, Site),
    /// Not known: the class is a package's, or not resolved.
    Unknown,
}

/// Whether a class of querysets or managers of `model` leaves all of `methods` as Django has them.
pub fn reading(cx: &Context<'_>, model: ModelId, class: QuerySetClass, methods: &[&str]) -> Reading {
    match class {
        QuerySetClass::Plain => Reading::Standard,
        QuerySetClass::Custom(class) => reading_of_class(cx, class, methods),
        QuerySetClass::Unknown => {
            // An annotation `QuerySet[Book]`, or branches that disagree: one of those that the model's managers give.
            for manager in cx.project.family(model).iter().flat_map(|m| &cx.model(*m).managers) {
                if manager.is_unknown {
                    return Reading::Unknown;
                }
                for class in [manager.class, manager.queryset].into_iter().flatten() {
                    if overridden(cx, class, "get_queryset").is_some() {
                        return Reading::Unknown;
                    }
                    let found = reading_of_class(cx, class, methods);
                    if found != Reading::Standard {
                        return found;
                    }
                }
            }
            if cx.model(model).has_unknown_base { Reading::Unknown } else { Reading::Standard }
        }
    }
}

/// As [`reading`], of the type of a manager or queryset, or of a model whose managers are asked; the queryset class that a
/// manager gives counts as well.
pub fn reading_of(cx: &Context<'_>, receiver: &Type, methods: &[&str]) -> Reading {
    match receiver {
        Type::QuerySet(qs) => reading(cx, qs.model, qs.class, methods),
        Type::Manager(manager) => {
            let own = manager.name.as_deref().and_then(|name| cx.model(manager.model).manager(name));
            match reading(cx, manager.model, manager.class, methods) {
                Reading::Standard => own
                    .and_then(|m| m.queryset)
                    .map_or(Reading::Standard, |class| reading_of_class(cx, class, methods)),
                other => other,
            }
        }
        Type::ModelClass(model) => reading(cx, *model, QuerySetClass::Unknown, methods),
        _ => Reading::Unknown,
    }
}

fn reading_of_class(cx: &Context<'_>, class: ClassId, methods: &[&str]) -> Reading {
    for method in methods {
        if let Some(found) = overridden(cx, class, method) {
            return found;
        }
    }
    let info = cx.project.program().class(class);
    let foreign =
        |base: &String| !["django.", "builtins.", "typing.", "abc."].iter().any(|p| base.starts_with(p));
    if info.has_unknown_base || info.external_bases.iter().any(foreign) {
        return Reading::Unknown;
    }
    Reading::Standard
}

fn overridden(cx: &Context<'_>, class: ClassId, method: &str) -> Option<Reading> {
    let program = cx.project.program();
    let (owner, member) = program.member(class, method)?;
    let class = program.class(owner);
    let file = program.file(class.file);
    let node = match member {
        Member::Function(function, _) => file.node(program.function(*function).node),
        Member::Value(node) | Member::Annotation(node) => file.node(*node),
        Member::Class(_) | Member::Other => file.node(class.node),
    };
    let site = Site { file: class.file, span: node.span() };
    Some(Reading::Custom(format!("{}.{method}", class.name), site))
}

/// The expression by which a queryset came to have a property: the call of `union()`, the subscript of a slice.
/// Walks back over the objects that it was derived from.
pub fn link<'a>(cx: &Context<'a>, qs: &QuerySet, is: impl Fn(Node<'a>) -> bool) -> Option<Node<'a>> {
    let mut next = qs.values.first().copied();
    for _ in 0..50 {
        let value = cx.value(next?)?;
        if let Origin::Expr(id) = value.origin {
            let node = cx.node(id);
            if is(node) {
                return Some(node);
            }
        }
        next = value.parent.or_else(|| value.alternatives.first().copied());
    }
    None
}

/// The queryset, written `receiver`, must not have been made by one of these.
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
            Trait::Distinct | Trait::DistinctOn => &["distinct"],
            Trait::Locked | Trait::LockedOf => &["select_for_update"],
            Trait::Raw => &["raw"],
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

/// The queryset whose rows `iter` gives, and its expression without `list()` and `iterator()` around it.
pub fn rows_given<'a>(cx: &Context<'a>, iter: Node<'a>, is_async: bool) -> Option<(Node<'a>, &'a QuerySet)> {
    let chain = match cx.type_of(iter) {
        Type::QuerySet(_) => iter,
        _ => {
            let Expr::Call { func, arguments: list } = Expr::of(iter) else { return None };
            let args = arguments(list);
            match Expr::of(func) {
                Expr::Name("list" | "tuple") if !is_async => match args.as_slice() {
                    [only] if only.name.is_none() && only.stars == 0 => only.value,
                    _ => return None,
                },
                Expr::Attribute { value, attr: "iterator" | "aiterator", .. } => value,
                _ => return None,
            }
        }
    };
    let Type::QuerySet(queryset) = cx.type_of(chain) else { return None };
    (queryset.rows == Rows::Instances).then_some((chain.peel(), queryset))
}

/// What the rows of a queryset or manager are, where it can be asked at all: raw ones have no `exists()`, and
/// locked ones are loaded for their locks.
pub fn rows_of<'a>(cx: &Context<'a>, receiver: Node<'a>) -> Option<Rows> {
    match cx.type_of(receiver) {
        Type::Manager(_) => Some(Rows::Instances),
        Type::QuerySet(qs) if !qs.is(Trait::Raw) && !is_locked(cx, qs) => Some(qs.rows.clone()),
        _ => None,
    }
}

fn is_locked<'a>(cx: &Context<'a>, qs: &QuerySet) -> bool {
    let locks = |node: Node<'a>| {
        matches!(Expr::of(node), Expr::Call { func, .. }
            if matches!(Expr::of(func), Expr::Attribute { attr: "select_for_update", .. }))
    };
    qs.is(Trait::Locked) || link(cx, qs, locks).is_some()
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
