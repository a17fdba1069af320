//! Where the join is asked for: the expression that builds the queryset, provided that it builds a new one.

use super::given;
use super::guards;
use super::reads::{Group, Load};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Escape, Facts, Origin, Type, Use, ValueId};
use crate::python::{
    Binding, ClassId, Expr, Field, FunctionId, Kind, Member, Node, NodeId, is_super, parameters,
};
use crate::text::Site;

/// Helpers that return what other helpers return are followed so far.
const MAX_DEPTH: usize = 8;

/// The expression that makes a value.
pub(super) fn origin(cx: &Context<'_>, value: ValueId) -> Option<NodeId> {
    match cx.value(value)?.origin {
        Origin::Expr(node) => Some(node),
        _ => None,
    }
}

/// The expression to extend for a value, if it is a queryset (or the manager that it comes from) there.
pub(super) fn expression<'a>(cx: &Context<'a>, value: ValueId) -> Result<Node<'a>, Hazard> {
    let info = cx.value(value);
    let hazard =
        |text: String, site: Option<Site>| Hazard { kind: HazardKind::NoPlaceToEdit, site, subject: text };
    let site = info.and_then(|v| v.site);
    match info.map(|v| v.origin) {
        Some(Origin::Expr(node)) => {
            let node = cx.node(node);
            let is_place = match cx.type_of(node) {
                Type::QuerySet(qs) => qs.values.as_slice() == [value],
                Type::Manager(_) => true,
                _ => false,
            };
            if is_place {
                return Ok(node);
            }
            let text = match cx.type_of(node) {
                Type::Prefetch(_) => "the `Prefetch` has no `queryset`",
                _ => "it is made by a function inside this one",
            };
            Err(hazard(text.to_owned(), Some(cx.site(node))))
        }
        Some(Origin::Parameter(index)) => {
            if let Some(node) = given::place(cx, value, index) {
                return Ok(node);
            }
            let name = site.map_or("it", |s| cx.project.program().file(s.file).source.slice(s.span));
            Err(hazard(format!("`{name}` is a parameter"), site))
        }
        _ => Err(hazard("it is made outside this function".to_owned(), site)),
    }
}

/// Hazards of the place: nowhere to write, or an object that was evaluated before.
pub(super) fn hazards(cx: &Context<'_>, group: &Group, out: &mut Vec<Hazard>) {
    // Whatever stands in the place of the function that builds the rows may ask it for them, and show fewer.
    let own = cx.project.program().function_at(cx.file, cx.facts.scope);
    let asking = own.filter(|_| group.load == Load::Prefetch).and_then(|f| cx.project.replacement_of(f));
    if let Some(site) = asking {
        let statement = guards::node_at(cx.project, site).map(guards::first_line).unwrap_or_default();
        out.push(Hazard::at(HazardKind::LoadedWithout, statement, site));
    }
    for target in &group.targets {
        out.extend(replaced_behind(cx, cx.facts, *target, 0));
        match expression(cx, *target) {
            Err(hazard) => out.push(hazard),
            Ok(_) => {
                let Some(info) = cx.value(*target) else { continue };
                let Some(site) = info.site else { continue };
                let Some(function) = cx.project.program().function_defined_at(site) else { continue };
                let made = call_is_fresh(cx, cx.facts, info.origin, function, 0);
                if let Some(site) = made.err().map(|at| at.unwrap_or(site)).or(info.kept) {
                    out.push(Hazard::at(HazardKind::ResultCacheUsed, "", site));
                }
            }
        }
    }
}

/// A function in whose place code puts something else, which need not give a queryset.
fn replaced(cx: &Context<'_>, function: FunctionId) -> Option<Hazard> {
    let site = cx.project.replacement_of(function)?;
    let name = cx.project.program().function(function).name.clone();
    Some(Hazard::at(HazardKind::ReplacedMethod, name, site))
}

/// One of the functions whose calls give a value, where code puts something else in its place.
pub fn replaced_behind(cx: &Context<'_>, facts: &Facts, value: ValueId, depth: usize) -> Option<Hazard> {
    let info = facts.value(value).filter(|_| depth < MAX_DEPTH)?;
    let before = info.alternatives.iter().chain(&info.parent);
    if let Some(hazard) =
        before.filter(|v| **v != value).find_map(|v| replaced_behind(cx, facts, *v, depth + 1))
    {
        return Some(hazard);
    }
    // The rows of a relation come from a manager of their own.
    if let Some(queryset) = info.queryset.as_deref().filter(|q| q.related.is_none())
        && let Some((name, site)) = cx.project.replaced_manager(queryset.model)
    {
        return Some(Hazard::at(HazardKind::ReplacedMethod, name, site));
    }
    let function = info.site.and_then(|site| cx.project.program().function_defined_at(site))?;
    if let Some(hazard) = replaced(cx, function) {
        return Some(hazard);
    }
    let inner = cx.analyzer.caller(cx.project.program().function(function).file, Some(function));
    let returned = inner.returns.iter().flat_map(Type::alternatives).filter_map(Type::queryset);
    let values: Vec<ValueId> = returned.flat_map(|qs| qs.values.iter().copied()).collect();
    values.into_iter().find_map(|v| replaced_behind(cx, &inner, v, depth + 1))
}

/// Whether nobody else has a queryset of a frame; otherwise the place that says so, where there is one.
pub(super) fn is_new(cx: &Context<'_>, facts: &Facts, value: ValueId) -> Result<(), Option<Site>> {
    match is_fresh(cx, facts, value, 0) {
        Ok(()) => Ok(()),
        Err(Known::At(site)) => Err(site),
        Err(Known::Receiver(site)) => Err(Some(site)),
    }
}

/// What a function gives that is not new.
enum Known {
    /// What is known here, or somewhere, to others as well.
    At(Option<Site>),
    /// The queryset that the method was called on (`return self`), which may be new itself.
    Receiver(Site),
}

/// Whether the call that a value comes from makes a queryset that nobody else has; otherwise the place that says it
/// does not, where there is one.
fn call_is_fresh(
    cx: &Context<'_>,
    facts: &Facts,
    made: Origin,
    function: FunctionId,
    depth: usize,
) -> Result<(), Option<Site>> {
    let site = match returns_fresh(cx, function, depth) {
        Ok(()) => return Ok(()),
        Err(Known::At(site)) => return Err(site),
        Err(Known::Receiver(site)) => site,
    };
    let Origin::Expr(call) = made else { return Err(Some(site)) };
    let Expr::Call { func, .. } = Expr::of(cx.project.program().file(facts.file).node(call)) else {
        return Err(Some(site));
    };
    let Expr::Attribute { value, .. } = Expr::of(func) else { return Err(Some(site)) };
    match facts.type_of(value) {
        // django/db/models/manager.py: a manager asks get_queryset() for a new one each time.
        Type::Manager(_) => Ok(()),
        Type::QuerySet(qs) => qs.values.iter().try_for_each(|v| match is_fresh(cx, facts, *v, depth + 1) {
            Ok(()) => Ok(()),
            Err(Known::At(at)) => Err(at.or(Some(site))),
            Err(Known::Receiver(at)) => Err(Some(at)),
        }),
        _ => Err(Some(site)),
    }
}

/// Whether each call of the function makes a queryset that nobody else has; otherwise what says that it does not.
fn returns_fresh(cx: &Context<'_>, function: FunctionId, depth: usize) -> Result<(), Known> {
    let program = cx.project.program();
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    let at = |node: Node<'_>| Site { file: info.file, span: node.span() };
    let place = |node: Node<'_>| Known::At(Some(at(node)));
    if depth > MAX_DEPTH {
        return Err(place(def));
    }
    if let Some(outer) = def.parent().filter(|p| p.kind() == Kind::DecoratedDef) {
        for decorator in outer.children().filter(|c| c.kind() == Kind::Decorator) {
            if decorator.text().contains("cache") {
                return Err(place(decorator));
            }
        }
    }
    let facts = cx.analyzer.function(function);
    match &facts.returns {
        Some(returns) if returns.alternatives().iter().any(|t| matches!(t, Type::QuerySet(_))) => {
            for alternative in returns.alternatives() {
                let Type::QuerySet(qs) = alternative else { continue };
                for value in &qs.values {
                    match is_fresh(cx, &facts, *value, depth) {
                        Err(Known::Receiver(site)) if info.class.is_none() => {
                            return Err(Known::At(Some(site)));
                        }
                        Err(Known::At(site)) => return Err(Known::At(site.or(Some(at(def))))),
                        other => other?,
                    }
                }
            }
            Ok(())
        }
        // Only the annotation tells that it is a queryset: a chain method makes a new one of whatever it is called on.
        _ => {
            let returned = def.descendants().filter(|n| n.kind() == Kind::Return);
            for statement in returned {
                let Some(value) = statement.children().next() else { continue };
                if !makes_new(cx, function, value, depth) {
                    return Err(place(statement));
                }
            }
            Ok(())
        }
    }
}

/// Whether an expression of a function whose types are not known makes a queryset that nobody else has.
fn makes_new<'a>(cx: &Context<'a>, function: FunctionId, node: Node<'a>, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    let program = cx.project.program();
    let info = program.function(function);
    match Expr::of(node) {
        Expr::Call { func, .. } => match Expr::of(func) {
            Expr::Attribute { value, attr, .. } => {
                CHAIN.contains(&attr)
                    || (is_super(value) && attr == info.name && super_is_fresh(cx, function, depth))
            }
            _ => false,
        },
        Expr::IfExp { body, orelse, .. } => {
            [body, orelse].into_iter().all(|n| makes_new(cx, function, n, depth + 1))
        }
        // A slice is a new one of rows that nobody has loaded.
        Expr::Subscript { value, index, .. } if index.kind() == Kind::Slice => {
            own_calls_are_fresh(cx, function, value, depth)
        }
        Expr::Name(name) => {
            let def = program.file(info.file).node(info.node);
            let mut mentions = def.mentions(name).peekable();
            mentions.peek().is_some()
                && mentions.all(|n| {
                    let parent = n.with_parens().parent();
                    match parent.map(|p| (p, p.kind())) {
                        Some((p, Kind::Assign)) if n.is_binding() => p
                            .child(Field::Right)
                            .is_some_and(|v| makes_new(cx, function, v.peel(), depth + 1)),
                        Some((_, Kind::Return)) => true,
                        Some((p, Kind::IfExp)) => {
                            let given = p.with_parens().parent().map(|g| g.kind());
                            matches!(Expr::of(p), Expr::IfExp { test, .. } if !test.contains(n.id()))
                                && matches!(given, Some(Kind::Return | Kind::Assign))
                        }
                        // A chain goes on from it; nothing is loaded.
                        Some((p, Kind::Attribute)) => {
                            matches!(Expr::of(p), Expr::Attribute { attr, .. } if CHAIN.contains(&attr))
                        }
                        _ => false,
                    }
                })
        }
        _ => false,
    }
}

/// Whether what a method calls by `super()` makes a new queryset in each class that has the method.
fn super_is_fresh(cx: &Context<'_>, function: FunctionId, depth: usize) -> bool {
    let program = cx.project.program();
    let info = program.function(function);
    let Some(class) = info.class else { return false };
    // `get_queryset()` of Django's and REST framework's views and of the admin ends in `all()` or asks a manager.
    let is_of_framework = |below: ClassId| {
        let bases = &program.class(below).external_bases;
        info.name == "get_queryset"
            && !program.class(below).has_unknown_base
            && bases.iter().any(|b| FRAMEWORKS.iter().any(|f| b.starts_with(f)))
    };
    let below = program.descendants(class);
    let mut having =
        below.into_iter().filter(|c| *c != class || !program.class(*c).external_bases.is_empty()).peekable();
    having.peek().is_some()
        && having.all(|below| {
            let mro = program.class(below).mro.iter();
            let mut rest = mro.skip_while(|c| **c != class).skip(1);
            let next = rest.find_map(|c| program.class(*c).members.get(&info.name));
            match next {
                Some(Member::Function(next, Binding::Method)) => returns_fresh(cx, *next, depth + 1).is_ok(),
                Some(_) => false,
                None => is_of_framework(below),
            }
        })
}

/// Packages whose views and admins have `get_queryset()`.
const FRAMEWORKS: &[&str] = &["django.views.generic.", "django.contrib.admin.", "rest_framework."];

/// Whether `node` calls a method of the own object that makes a new queryset in each class that has it.
fn own_calls_are_fresh(cx: &Context<'_>, function: FunctionId, node: Node<'_>, depth: usize) -> bool {
    let program = cx.project.program();
    let info = program.function(function);
    let own = parameters(program.file(info.file).node(info.node)).first().map(|p| p.name);
    let (Some(class), Expr::Call { func, .. }) = (info.class, Expr::of(node)) else { return false };
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return false };
    if !matches!(Expr::of(value), Expr::Name(name) if Some(name) == own) {
        return false;
    }
    let mut methods: Vec<FunctionId> = Vec::new();
    for below in std::iter::once(class).chain(program.descendants(class)) {
        match program.member(below, attr) {
            Some((_, Member::Function(method, Binding::Method))) => methods.push(*method),
            None => {}
            Some(_) => return false,
        }
    }
    methods.sort();
    methods.dedup();
    !methods.is_empty() && methods.iter().all(|method| returns_fresh(cx, *method, depth + 1).is_ok())
}

const CHAIN: &[&str] = &[
    "filter",
    "exclude",
    "order_by",
    "annotate",
    "distinct",
    "prefetch_related",
    "select_related",
    "none",
    "using",
    "reverse",
];

fn is_fresh(cx: &Context<'_>, facts: &Facts, value: ValueId, depth: usize) -> Result<(), Known> {
    let Some(info) = facts.value(value) else { return Err(Known::At(None)) };
    if !info.alternatives.is_empty() {
        return info.alternatives.iter().try_for_each(|v| is_fresh(cx, facts, *v, depth + 1));
    }
    if depth > MAX_DEPTH {
        return Err(Known::At(None));
    }
    match info.origin {
        // The argument comes back, and the caller has it from elsewhere; so does what the method was called on.
        Origin::Parameter(0) => {
            return Err(info.site.map_or(Known::At(None), Known::Receiver));
        }
        Origin::Parameter(_) | Origin::Outside | Origin::Callee => return Err(Known::At(info.site)),
        Origin::Expr(_) => {}
    }
    let evaluated = facts.uses(value).find(|(_, how)| {
        let leaves =
            matches!(how, Use::Other | Use::Escape(Escape::Store | Escape::Container | Escape::UnknownCall));
        how.evaluates() || leaves
    });
    if let Some((event, _)) = evaluated {
        return Err(Known::At(Some(event.site)));
    }
    match info.site.and_then(|site| cx.project.program().function_defined_at(site)) {
        Some(function) => call_is_fresh(cx, facts, info.origin, function, depth + 1).map_err(Known::At),
        None => Ok(()),
    }
}

/// The existing call of the method in the chain that can be extended: literal names, and objects for a prefetch.
pub fn existing<'a>(cx: &Context<'a>, chain: Node<'a>, load: Load) -> Option<Node<'a>> {
    let mut node = chain.peel();
    for _ in 0..100 {
        let Expr::Call { func, arguments } = Expr::of(node) else { return None };
        let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return None };
        if !matches!(cx.type_of(node), Type::QuerySet(_)) {
            return None;
        }
        if attr == load.method() {
            let args = crate::python::arguments(arguments);
            let literal = !args.is_empty()
                && args.iter().all(|a| {
                    let is_object = load == Load::Prefetch && !matches!(Expr::of(a.value), Expr::None);
                    let is_literal = crate::python::string_value(a.value).is_some();
                    a.name.is_none() && a.stars == 0 && (is_literal || is_object)
                });
            return literal.then_some(node);
        }
        node = value.peel();
    }
    None
}

/// `manager.all()`, Django's own: the call that gives way to the method.
pub(super) fn all_of_manager<'a>(cx: &Context<'a>, chain: Node<'a>) -> Option<(Node<'a>, Node<'a>)> {
    let Expr::Call { func, arguments } = Expr::of(chain) else { return None };
    let Expr::Attribute { value, attr: "all", attr_node } = Expr::of(func) else { return None };
    let Type::Manager(manager) = cx.type_of(value) else { return None };
    let own = manager.name.as_deref().and_then(|n| cx.project.manager_method(manager.model, n, "all"));
    if own.is_some() || arguments.children().next().is_some() {
        return None;
    }
    Some((attr_node, arguments))
}
