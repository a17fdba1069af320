//! The life of a queryset object. A queryset remembers the rows that it has loaded, so replacing one evaluation of
//! it by a query of another form costs a query wherever the same object is read as well.

use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::ModelId;
use crate::infer::{
    Event, EventKind, Origin, QuerySet, QuerySetClass, Rows, Trait, Type, Use, Value, ValueId,
};
use crate::python::{ClassId, Expr, Kind, Member, Node, arguments, generators};
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

/// What ties the evaluation of `qs` at the expression `at` (`books` in `if books:`, `len(books)`, `for b in books`)
/// to other code; at most one of each kind, the first in order of evaluation. Without any, nothing else ever sees
/// the rows that are loaded there, and they are loaded there and then.
pub fn ties<'a>(cx: &Context<'a>, qs: &QuerySet, at: Node<'a>) -> Vec<Tie> {
    let mut out: Vec<Tie> = Vec::new();
    for tie in all_ties(cx, qs, at) {
        if !out.iter().any(|t| std::mem::discriminant(t) == std::mem::discriminant(&tie)) {
            out.push(tie);
        }
    }
    out
}

/// [`ties`] as hazards: the rows are used elsewhere, or the object comes from or goes to somebody else.
pub fn cache_hazards<'a>(cx: &Context<'a>, qs: &QuerySet, at: Node<'a>, out: &mut Vec<Hazard>) {
    let ties = ties(cx, qs, at);
    let is_foreign = ties.iter().any(|t| matches!(t, Tie::Foreign(_)));
    for tie in ties {
        // An object that comes from elsewhere needs no second reason.
        if is_foreign && matches!(tie, Tie::Escapes(_)) {
            continue;
        }
        out.push(match tie {
            Tie::Used(site) => Hazard::at(HazardKind::ResultCacheUsed, "", site),
            Tie::Escapes(site) | Tie::Foreign(site) => Hazard::at(HazardKind::QuerySetEscapes, "", site),
        });
    }
}

fn all_ties<'a>(cx: &Context<'a>, qs: &QuerySet, at: Node<'a>) -> Vec<Tie> {
    let mut out = Vec::new();
    let mut ids = Vec::new();
    for id in &qs.values {
        family(cx, *id, &mut ids, 0);
    }
    for id in &ids {
        let Some(value) = cx.value(*id) else {
            out.push(Tie::Foreign(cx.site(at)));
            continue;
        };
        out.extend(origin_tie(cx, value, at));
    }
    out.extend(use_ties(cx, &ids, at));
    // `locals()` hands out every name.
    if !is_fresh(cx, &ids, at)
        && let Some(call) = cx.scope().descendants().find(|n| hands_out_names(*n))
    {
        out.push(Tie::Escapes(cx.site(call)));
    }
    out
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
fn is_fresh<'a>(cx: &Context<'a>, ids: &[ValueId], at: Node<'a>) -> bool {
    let node = at.peel().id();
    ids.iter().all(|id| cx.value(*id).is_some_and(|v| v.origin == Origin::Expr(node)))
}

fn origin_tie<'a>(cx: &Context<'a>, value: &Value, at: Node<'a>) -> Option<Tie> {
    if let Some(site) = value.kept {
        return Some(Tie::Foreign(site));
    }
    match value.origin {
        Origin::Expr(node) => {
            let node = cx.node(node);
            if node == at.peel() || !value.alternatives.is_empty() {
                return None;
            }
            // What a module or class body binds is an attribute that anybody reads.
            let scope = node.enclosing_scope().map(Node::kind);
            if matches!(scope, Some(Kind::Module | Kind::ClassDef)) && held_by_name(node, at) {
                return Some(Tie::Escapes(cx.site(node)));
            }
            repeated(cx, node, at).map(|place| Tie::Used(cx.site(place)))
        }
        Origin::Parameter(_) | Origin::Outside | Origin::Callee => match cx.maker(value) {
            Some(parameter) => repeated(cx, parameter, at).map(|place| Tie::Used(cx.site(place))),
            None => Some(Tie::Foreign(value.site.unwrap_or(cx.site(at)))),
        },
    }
}

/// Whether the object gets from `origin` to `at` by a name rather than inside one expression.
fn held_by_name<'a>(origin: Node<'a>, at: Node<'a>) -> bool {
    !at.contains(origin.id())
}

/// The loop or function that evaluates `at` more often than `origin`.
fn repeated<'a>(cx: &Context<'a>, origin: Node<'a>, at: Node<'a>) -> Option<Node<'a>> {
    let mut inner = at;
    for outer in at.ancestors() {
        if outer == cx.scope() {
            break;
        }
        let repeats = match outer.kind() {
            Kind::For => outer.child(crate::python::Field::Body) == Some(inner),
            Kind::While => inner.kind() == Kind::Block || inner.field() == crate::python::Field::Condition,
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
        return owner.child(crate::python::Field::Right).is_some_and(|r| r.contains(node.id()));
    }
    owner.kind().is_comprehension() && generators(owner).first().is_some_and(|g| g.iter.contains(node.id()))
}

fn use_ties<'a>(cx: &Context<'a>, ids: &[ValueId], at: Node<'a>) -> Vec<Tie> {
    let place = at.with_parens();
    let own = |event: &Event| {
        place.contains(event.at) || (event.site.file == cx.file && place.span().contains(event.site.span))
    };
    let uses: Vec<(&Event, &Use)> = cx
        .facts
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Use { value, how } if ids.contains(value) => Some((event, how)),
            _ => None,
        })
        .collect();
    let last_own = uses.iter().rposition(|(event, how)| own(event) && !matches!(how, Use::Method(_)));
    let mut out = Vec::new();
    for (i, (event, how)) in uses.iter().enumerate() {
        if own(event) {
            continue;
        }
        let after = last_own.is_none_or(|own| i > own);
        match how {
            Use::Escape(_) => out.push(Tie::Escapes(event.site)),
            how if how.may_load() => out.push(Tie::Used(event.site)),
            Use::Index | Use::Slice if after => out.push(Tie::Used(event.site)),
            Use::Method(name) if after && reads_cache(name) => out.push(Tie::Used(event.site)),
            _ => {}
        }
    }
    out
}

/// Whether a method of a queryset answers from loaded rows where there are some. All others make a new queryset
/// or a query of their own.
fn reads_cache(method: &str) -> bool {
    let plain = method.strip_prefix('a').unwrap_or(method);
    matches!(plain, "count" | "exists" | "contains" | "first")
}

fn hands_out_names(node: Node<'_>) -> bool {
    node.kind() == Kind::Call
        && matches!(Expr::of(node), Expr::Call { func, .. }
            if matches!(Expr::of(func), Expr::Name("locals" | "vars" | "eval" | "exec")))
}

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
