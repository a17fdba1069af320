//! Guards for reading a queryset's rows as something other than instances: who else has its rows, which of its
//! classes change rows, and which joins would be dropped.

use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{ModelId, RelationKind};
use crate::infer::{Made, Origin, QuerySet, QuerySetClass, Root, Trait, Type, Use, ValueId};
use crate::python::{ClassId, Expr, Field, Kind, Member, Node, generators};
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

/// Methods that answer from the rows where they are loaded, and query where they are not.
const CACHED_METHODS: &[&str] =
    &["count", "exists", "contains", "first", "acount", "aexists", "acontains", "afirst", "__getitem__"];

/// Who else has the rows of `queryset`, which is read at `iter` by the expression or statement `at`: whoever made it,
/// the prefetch of a relation, other readers, and other rounds of a loop.
pub fn rows_elsewhere<'a>(
    cx: &Context<'a>,
    queryset: &QuerySet,
    iter: Node<'a>,
    at: Node<'a>,
    out: &mut Vec<Hazard>,
) {
    let subject = first_line(iter.text());
    let iter = iter.with_parens();
    let mut values: Vec<ValueId> = queryset.values.to_vec();
    for id in queryset.values.iter() {
        values.extend(cx.value(*id).into_iter().flat_map(|v| v.alternatives.iter().copied()));
    }
    let mut loaded: Vec<Hazard> = Vec::new();
    for id in &values {
        let Some(value) = cx.value(*id) else { continue };
        let maker = cx.maker(value);
        let from_elsewhere = maker.is_none();
        // A callee that is known by its annotation only may give anything.
        let is_opaque = queryset.class == QuerySetClass::Unknown && value.site.is_some();
        if from_elsewhere || is_opaque || value.kept.is_some() {
            let site = if value.kept.is_some() && !from_elsewhere { value.kept } else { value.site };
            loaded.push(Hazard { kind: HazardKind::MayBeLoaded, site, subject: subject.to_owned() });
            continue;
        }
        if let Some(related) = value.queryset.as_deref().unwrap_or(queryset).related.as_deref() {
            prefetched(cx, &related.owner, &related.accessor, subject, &mut loaded);
        }
        if let Some(origin) = maker
            && let Some(around) = repeats(origin, at)
        {
            loaded.push(cx.hazard(HazardKind::ResultCacheUsed, "", around));
        }
    }
    if loaded.is_empty() {
        for id in &values {
            other_uses(cx, *id, iter, at, &mut loaded);
        }
    }
    // One place of a kind tells enough.
    let mut kinds = Vec::new();
    for hazard in loaded {
        if !kinds.contains(&hazard.kind) {
            kinds.push(hazard.kind);
            out.push(hazard);
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}

fn other_uses<'a>(cx: &Context<'a>, id: ValueId, iter: Node<'a>, at: Node<'a>, out: &mut Vec<Hazard>) {
    let origin = cx.value(id).and_then(|v| cx.maker(v));
    for (event, how) in cx.facts.uses(id) {
        let node = cx.node(event.at);
        let own = event.site.file == cx.file && iter.span().contains(event.site.span);
        if own || iter.contains(event.at) || are_exclusive(node, at, origin) {
            continue;
        }
        let kind = match how {
            Use::Iterate | Use::Len | Use::Truth | Use::Contains => HazardKind::ResultCacheUsed,
            Use::Index | Use::Slice if may_follow(node, at, origin) => HazardKind::ResultCacheUsed,
            Use::Method(name) if CACHED_METHODS.contains(&&**name) && may_follow(node, at, origin) => {
                HazardKind::ResultCacheUsed
            }
            Use::Index | Use::Slice | Use::Method(_) => continue,
            Use::Other | Use::Escape(_) => HazardKind::QuerySetEscapes,
        };
        out.push(Hazard { kind, site: Some(event.site), subject: String::new() });
    }
}

/// Whether `later` may run after `earlier` on the same object, which `origin` makes.
fn may_follow(later: Node<'_>, earlier: Node<'_>, origin: Option<Node<'_>>) -> bool {
    later.span().start >= earlier.span().start
        || loops_around(earlier).any(|l| l.contains(later.id()) && origin.is_none_or(|o| !l.contains(o.id())))
        || later.enclosing_scope() != earlier.enclosing_scope()
}

fn loops_around(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    node.ancestors().filter(|a| {
        matches!(a.kind(), Kind::For | Kind::While | Kind::FunctionDef | Kind::Lambda)
            || a.kind().is_comprehension()
    })
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

/// The loop or function by which `at` may run several times for one run of `origin`.
fn repeats<'a>(origin: Node<'a>, at: Node<'a>) -> Option<Node<'a>> {
    for around in at.ancestors() {
        let has_origin = around.contains(origin.id());
        let once = match around.kind() {
            Kind::For => {
                let body = around.child(Field::Body).is_some_and(|b| b.contains(at.id()));
                let beside = around.child(Field::Body).is_some_and(|b| b.contains(origin.id()));
                !body || (has_origin && beside)
            }
            Kind::While => has_origin,
            Kind::FunctionDef | Kind::Lambda => has_origin,
            kind if kind.is_comprehension() => {
                let first = generators(around).first().map(|g| g.iter);
                first.is_some_and(|f| f.contains(at.id()))
                    || (has_origin && first.is_none_or(|f| !f.contains(origin.id())))
            }
            _ => true,
        };
        if !once {
            return Some(around);
        }
        if has_origin {
            return None;
        }
    }
    None
}

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
