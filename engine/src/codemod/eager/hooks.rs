//! What REST framework does with the queryset of a view before its list is written: `filter_queryset()` of the view and of
//! its filter backends, `paginate_queryset()` of the view and of its paginator. Where the project has its own, they may
//! stream the rows, look at one of them, or load rows that are not shown.

use super::certainty::{is_picked, lost};
use super::guards;
use super::narrowed::{given_to, named_by};
use super::prefetch::{LOADING, is_streamed};
use super::reads::{Group, Load};
use super::sources::is_derived;
use super::step::Step;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Escape, EventKind, QuerySet, Rows, Type, Use, ValueId};
use crate::python::{Binding, ClassId, Expr, FunctionId, Kind, Member, Node};
use crate::text::Site;
use std::sync::Arc;

/// The hooks of a view: the attribute that names the classes which have it, the setting for views that do not say so, its
/// name, and which of its parameters is the queryset. The view's own take it first.
const HOOKS: &[(&str, &str, &str, usize)] = &[
    ("filter_backends", "DEFAULT_FILTER_BACKENDS", "filter_queryset", 2),
    ("pagination_class", "DEFAULT_PAGINATION_CLASS", "paginate_queryset", 1),
];

/// What the hooks of the view `class` do to a queryset with prefetches, other than hand it on or give its rows.
pub(super) fn hazards(cx: &Context<'_>, class: ClassId, queryset: &QuerySet, out: &mut Vec<Hazard>) {
    for (attribute, setting, name, index) in HOOKS {
        in_hook(cx, class, name, 1, queryset, out);
        for handed in given_to(cx, class, attribute, setting) {
            in_hook(cx, handed, name, *index, queryset, out);
        }
    }
}

/// What the view at hand asks its own hooks for, before it goes over the rows: `self.paginate_queryset(books)`.
pub(super) fn asked_for(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    let class = program.function_at(cx.file, cx.facts.scope).and_then(|f| program.function(f).class);
    let Some(class) = class.filter(|_| !group.reads.is_empty()) else { return };
    let asks = |n: Node<'_>| match Expr::of(n) {
        Expr::Call { func, .. } if n.kind() == Kind::Call => {
            matches!(Expr::of(func), Expr::Attribute { value, attr: "paginate_queryset" | "filter_queryset", .. }
                if matches!(Expr::of(value), Expr::Name("self")))
        }
        _ => false,
    };
    let queryset = group.rows.iter().find_map(|row| cx.value(*row)?.queryset.clone());
    let Some(queryset) = queryset.filter(|_| cx.scope().descendants().any(asks)) else { return };
    if group.load == Load::Prefetch {
        hazards(cx, class, &queryset, out);
    }
    let paths: Vec<&[Step]> = group.paths().map(Vec::as_slice).collect();
    writes(cx, class, &queryset, &paths, out);
}

/// What code of the project that makes pages of the rows writes, before they are shown: the hooks of the view, and its
/// paginators.
pub(super) fn writes(
    cx: &Context<'_>,
    class: ClassId,
    queryset: &QuerySet,
    paths: &[&[Step]],
    out: &mut Vec<Hazard>,
) {
    let program = cx.project.program();
    let mut look = |class: ClassId, name: &str, index: Option<usize>| {
        if let Some((owner, Member::Function(function, Binding::Method))) = program.member(class, name)
            && !cx.project.is_known_file(program.class(owner).file)
        {
            let facts = called(cx, class, *function, index, queryset);
            for steps in paths {
                guards::stale_copies(cx.project, facts.events(), steps, out);
            }
        }
    };
    for (attribute, setting, name, index) in HOOKS {
        look(class, name, Some(1));
        for handed in given_to(cx, class, attribute, setting) {
            look(handed, name, Some(*index));
        }
    }
    // Django's paginators are given the rows when they are made.
    for paginator in named_by(cx, class, "paginator_class") {
        for above in &program.class(paginator).mro {
            for name in &program.class(*above).order {
                look(paginator, name, None);
            }
        }
    }
}

/// The hook `name` of an object of `class`, which has the queryset in its parameter `index`.
fn in_hook(
    cx: &Context<'_>,
    class: ClassId,
    name: &str,
    index: usize,
    queryset: &QuerySet,
    out: &mut Vec<Hazard>,
) {
    let program = cx.project.program();
    let Some((owner, Member::Function(function, Binding::Method))) = program.member(class, name) else {
        return;
    };
    if cx.project.is_known_file(program.class(owner).file) {
        return;
    }
    let given = ValueId(index as u32);
    let facts = called(cx, class, *function, Some(index), queryset);
    let inner = Context { facts: &facts, file: facts.file, ..*cx };
    let is_ours = |v: ValueId| v == given || is_derived(&inner, v, given, 0);
    let mut add = |hazard: Hazard| {
        if !out.contains(&hazard) {
            out.push(hazard);
        }
    };
    let (mut loaded, mut streams): (Vec<ValueId>, Vec<Site>) = Default::default();
    for event in facts.events() {
        let EventKind::Use { value, how } = &event.kind else { continue };
        let has_instances = inner
            .value(*value)
            .and_then(|v| v.queryset.as_deref())
            .is_some_and(|q| q.rows == Rows::Instances);
        if !is_ours(*value) {
            continue;
        }
        if let Some(hazard) = is_streamed(cx, event.site, how) {
            add(hazard);
            streams.push(event.site);
        }
        // Said already.
        if !has_instances || streams.contains(&event.site) {
            continue;
        }
        let loads_one = match how {
            Use::Index => true,
            Use::Method(name) => LOADING.contains(&&**name),
            _ => false,
        };
        // Rows that go on are those that are shown; a backend that loads them may leave all of them out.
        let goes_on =
            || is_given(&inner, *value) && !is_picked(&inner, *value) && name == "paginate_queryset";
        if loads_one || how.evaluates() && !goes_on() {
            let node = guards::node_at(cx.project, event.site);
            let subject = node.map_or("...", guards::first_line);
            add(Hazard::at(HazardKind::LoadedWithout, subject, event.site));
        } else if how.evaluates() && !loaded.contains(value) {
            loaded.push(*value);
        }
    }
    let mut in_vain = Vec::new();
    for value in loaded {
        lost(&inner, value, &mut in_vain);
    }
    in_vain.into_iter().for_each(add);
}

/// The facts of a hook that is called with the queryset as its parameter `index`, if it is one.
fn called(
    cx: &Context<'_>,
    class: ClassId,
    function: FunctionId,
    index: Option<usize>,
    queryset: &QuerySet,
) -> crate::infer::Facts {
    let mut arguments = vec![Type::Object(class)];
    if let Some(index) = index {
        arguments.resize(index, Type::Unknown);
        let mut queryset = queryset.clone();
        queryset.related = None;
        arguments.push(Type::QuerySet(Arc::new(queryset)));
    }
    cx.analyzer.called(function, &arguments)
}

/// Whether the rows of `value` are among what the frame gives to its caller.
fn is_given(cx: &Context<'_>, value: ValueId) -> bool {
    let is_it = |v: ValueId| v == value || is_derived(cx, v, value, 0) || is_derived(cx, value, v, 0);
    let is_returned = cx.facts.events().any(|e| {
        matches!(&e.kind, EventKind::Use { value: v, how: Use::Escape(Escape::Return | Escape::External) } if is_it(*v))
    });
    is_returned || cx.facts.returns.as_ref().is_some_and(|ty| holds(ty, &is_it))
}

fn holds(ty: &Type, is_it: &dyn Fn(ValueId) -> bool) -> bool {
    match ty {
        Type::QuerySet(qs) => qs.values.iter().any(|v| is_it(*v)),
        Type::Instance(i) => matches!(i.root, crate::infer::Root::Row(v) if is_it(v)),
        Type::List(t) | Type::Set(t) | Type::Iterator(t) => holds(t, is_it),
        Type::Union(types) | Type::Tuple(types) => types.iter().any(|t| holds(t, is_it)),
        _ => false,
    }
}
