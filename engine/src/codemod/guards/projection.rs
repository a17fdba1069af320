//! Guards for reading a queryset's rows as something other than instances: which of its classes change rows, which
//! joins would be dropped, and what may have prefetched a relation.

use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{ModelId, RelationKind};
use crate::infer::{Made, Origin, QuerySet, QuerySetClass, Root, Trait, Type};
use crate::python::{ClassId, Expr, Kind, Member, Node};
use crate::text::Site;

/// Methods of a queryset class that stand between the database and the rows.
const ROW_METHODS: &[&str] = &[
    "_fetch_all",
    "__iter__",
    "iterator",
    "_iterator",
    "__len__",
    "__contains__",
    "__getitem__",
    "__getattribute__",
    "_clone",
    "_chain",
    "values_list",
    "_values",
    "values",
];

/// Whether the relation `accessor` of `owner` may have been prefetched.
pub fn prefetched(
    cx: &Context<'_>,
    owner: &crate::infer::Instance,
    accessor: &str,
    subject: &str,
    out: &mut Vec<Hazard>,
) {
    let Some(anywhere) = cx.analyzer.prefetches().of(accessor) else { return };
    let value = match owner.root {
        Root::Value(v) | Root::Row(v) if owner.path.is_empty() => cx.value(v),
        _ => None,
    };
    if let (Root::Row(_), Some(value)) = (owner.root, value)
        && let Some(rows) = value.queryset.as_deref()
        && matches!(value.origin, Origin::Expr(_))
        && value.kept.is_none()
    {
        if rows.prefetched.iter().any(|p| p.split("__").next() == Some(accessor)) {
            let site = prefetch_site(cx, value.origin, accessor);
            out.push(Hazard { kind: HazardKind::ResultCacheUsed, site, subject: String::new() });
            return;
        }
        if is_bare(cx, rows) {
            return;
        }
    }
    if let (Root::Value(_), Some(value)) = (owner.root, value)
        && value.made == Made::Loaded
        && let Origin::Expr(origin) = value.origin
        && loaded_bare(cx, cx.node(origin))
    {
        return;
    }
    out.push(Hazard { kind: HazardKind::MayBeLoaded, site: Some(anywhere), subject: subject.to_owned() });
}

/// Whether `rows`, `book.tags.all()`, is certainly in memory: the queryset of the row that has the relation prefetches it, so that
/// reading it asks nothing.
pub fn is_prefetched(cx: &Context<'_>, rows: Node<'_>) -> bool {
    let Type::QuerySet(queryset) = cx.type_of(rows) else { return false };
    let Some(related) = &queryset.related else { return false };
    let Root::Row(id) = related.owner.root else { return false };
    let is_whole = matches!(Expr::of(rows), Expr::Call { func, arguments }
        if arguments.children().next().is_none()
            && matches!(Expr::of(func), Expr::Attribute { attr: "all", .. }));
    let prefetched = cx.value(id).and_then(|v| v.queryset.as_deref()).map(|q| &q.prefetched);
    is_whole
        && related.owner.path.is_empty()
        && prefetched.is_some_and(|all| all.iter().any(|p| p.split("__").next() == Some(&*related.accessor)))
}

/// Whether nothing prefetches for the rows of this queryset.
fn is_bare(cx: &Context<'_>, queryset: &QuerySet) -> bool {
    queryset.prefetched.is_empty()
        && !queryset.is(Trait::OpaquePrefetch)
        && !queryset.is(Trait::PrefetchedList)
        && queryset.class != QuerySetClass::Unknown
        && !cx.source().text().contains("prefetch_related_objects")
}

/// Whether the call that loads one instance loads it without a prefetch.
fn loaded_bare(cx: &Context<'_>, call: Node<'_>) -> bool {
    let Expr::Call { func, arguments } = Expr::of(call) else { return false };
    let source = match Expr::of(func) {
        Expr::Attribute { value, .. } if !matches!(cx.type_of(value), Type::Unknown) => value,
        Expr::Name(_) | Expr::Attribute { .. } => match crate::python::arguments(arguments).first() {
            Some(first) => first.value,
            None => return false,
        },
        _ => return false,
    };
    match cx.type_of(source) {
        Type::QuerySet(queryset) => is_bare(cx, queryset),
        Type::Manager(manager) => {
            manager.class == QuerySetClass::Plain && !cx.source().text().contains("prefetch_related_objects")
        }
        _ => false,
    }
}

/// The call of `prefetch_related` in the chain that makes a value.
fn prefetch_site(cx: &Context<'_>, origin: Origin, accessor: &str) -> Option<Site> {
    let Origin::Expr(node) = origin else { return None };
    let chain = cx.node(node);
    let found = chain.descendants().find(|n| {
        n.kind() == Kind::Call
            && matches!(Expr::of(*n), Expr::Call { func, arguments }
                if func.text().ends_with("prefetch_related") && arguments.text().contains(accessor))
    });
    Some(cx.site(found.unwrap_or(chain)))
}

/// The class and method by which `queryset` changes rows on their way.
pub fn row_changes(cx: &Context<'_>, queryset: &QuerySet, out: &mut Vec<Hazard>) {
    if let QuerySetClass::Custom(class) = queryset.class
        && let Some((name, site)) = changes_rows(cx, class)
    {
        out.push(Hazard::at(HazardKind::CustomQuerySet, name, site));
    }
}

/// Whether every queryset of `model` that the program can make leaves rows as they are.
pub fn has_plain_rows(cx: &Context<'_>, model: ModelId) -> bool {
    cx.model(model).managers.iter().all(|manager| {
        !manager.is_unknown
            && manager
                .class
                .into_iter()
                .chain(manager.queryset)
                .all(|class| changes_rows(cx, class).is_none())
    })
}

/// The member by which a queryset class changes how rows are read, and its place.
fn changes_rows(cx: &Context<'_>, class: ClassId) -> Option<(String, Site)> {
    let program = cx.project.program();
    for name in ROW_METHODS {
        if let Some((owner, member)) = program.member(class, name) {
            let owner = program.class(owner);
            let node = match member {
                Member::Function(function, _) => program.function(*function).node,
                Member::Value(node) | Member::Annotation(node) => *node,
                _ => owner.node,
            };
            let site = Site { file: owner.file, span: program.file(owner.file).node(node).span() };
            return Some((format!("{}.{name}", owner.name), site));
        }
    }
    for owner in program.class(class).mro.iter().map(|c| program.class(*c)) {
        let file = program.file(owner.file);
        let set = file.node(owner.node).descendants().find(|n| {
            n.kind() == Kind::Name
                && n.text() == "_iterable_class"
                && n.ancestors().take(2).any(|a| a.kind() == Kind::Assign)
        });
        if let Some(set) = set {
            let site = Site { file: owner.file, span: set.span() };
            return Some((format!("{}._iterable_class", owner.name), site));
        }
    }
    None
}

/// A join of `select_related()` that may drop rows, and that is no longer made when columns are read.
pub fn dropping_joins(cx: &Context<'_>, queryset: &QuerySet, out: &mut Vec<Hazard>) {
    for lookup in &queryset.selected {
        let mut model = queryset.model;
        for part in lookup.split("__") {
            let Some(next) = step(cx, model, part, out) else { break };
            model = next;
        }
    }
    if queryset.is(Trait::BareSelectRelated) {
        every_join(cx, queryset.model, 0, out);
    }
}

/// The joins that the ordering of a queryset needs, by `order_by()` or by the model, and that may drop rows.
pub fn dropping_order(cx: &Context<'_>, queryset: &QuerySet, out: &mut Vec<Hazard>) {
    let mut names = Vec::new();
    let call = super::queryset::link(cx, queryset, |node| {
        matches!(Expr::of(node), Expr::Call { func, .. }
            if matches!(Expr::of(func), Expr::Attribute { attr: "order_by", .. }))
    });
    match call.map(Expr::of) {
        Some(Expr::Call { arguments, .. }) => {
            names.extend(
                crate::python::arguments(arguments)
                    .iter()
                    .filter_map(|a| crate::python::string_value(a.value)),
            );
        }
        _ => names.extend(cx.model(queryset.model).ordering.iter().cloned()),
    }
    for name in names {
        let mut model = queryset.model;
        for part in name.trim_start_matches('-').split("__") {
            let Some(next) = step(cx, model, part, out) else { break };
            model = next;
        }
    }
}

fn every_join(cx: &Context<'_>, model: ModelId, depth: usize, out: &mut Vec<Hazard>) {
    if depth >= 5 {
        return;
    }
    for field in cx.model(model).fields.iter().filter(|f| !f.null && f.relation.is_some()) {
        if let Some(next) = step(cx, model, &field.name, out) {
            every_join(cx, next, depth + 1, out);
        }
    }
}

fn step(cx: &Context<'_>, model: ModelId, name: &str, out: &mut Vec<Hazard>) -> Option<ModelId> {
    let info = cx.model(model);
    let field = info.field(name)?;
    let relation = field.relation.as_ref()?;
    if !matches!(relation.kind, RelationKind::ForeignKey | RelationKind::OneToOne) {
        return None;
    }
    if !field.null && (!relation.db_constraint || !info.is_managed) {
        let subject = format!("{}.{}", info.name, field.name);
        out.push(Hazard::at(HazardKind::NoConstraint, subject, field.site));
    }
    relation.target
}
