//! What is done with the queryset after the annotation: where rows are grouped, a filter over a to-many relation gives each
//! row once, `update()` needs a query more, `values()` has a column more.

use super::super::callers::callers;
use super::super::guards;
use super::super::sources::is_derived;
use super::Counting;
use super::handed;
use super::settings::{facets, setting};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::ModelId;
use crate::infer::{
    Entry, EntryKind, Escape, Event, EventKind, Facts, Origin, Source, Trait, Type, Use, ValueId,
};
use crate::python::{ClassId, Def, Expr, FunctionId, Kind, Member, Node, NodeId, is_super, parameters};
use crate::text::Site;

/// Methods that mean the same on rows with a number more.
const FOLLOWED: &[&str] = &[
    "all",
    "filter",
    "exclude",
    "order_by",
    "reverse",
    "distinct",
    "select_related",
    "prefetch_related",
    "only",
    "defer",
    "count",
    "exists",
    "none",
    "first",
    "last",
    "get",
    "latest",
    "earliest",
    "in_bulk",
    "iterator",
    "using",
    "contains",
    "acount",
    "aexists",
    "afirst",
    "alast",
    "aget",
    "aiterator",
];
/// What filters, and is only followed where its lookups are seen.
const LOOKING: &[&str] = &["filter", "order_by", "distinct", "exclude", "complex_filter"];
/// What a query that groups may not become, or only together with a to-many join.
const REFUSED: &[Trait] = &[
    Trait::ToMany,
    Trait::OpaqueLookup,
    Trait::DistinctOn,
    Trait::RawSql,
    Trait::FilteredRelation,
    Trait::Combined,
    Trait::Grouped,
    Trait::Locked,
    Trait::LockedOf,
    Trait::Mysterious,
    Trait::Dates,
];
/// Functions of Django's that get the rows of a queryset and do nothing else with it.
const SHOWING: &[&str] = &[
    "django.shortcuts.render",
    "django.template.response.TemplateResponse",
    "django.template.loader.render_to_string",
    "django.core.paginator.Paginator",
    "django.shortcuts.get_object_or_404",
    "django.shortcuts.get_list_or_404",
];

/// Hazards of later uses, wherever they are.
pub(super) fn hazards(cx: &Context<'_>, found: &Counting, out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    let targets = &found.group.targets;
    let is_ours = |v: ValueId| found.group.leads_to(cx, v);
    let frame = Frame { cx: *cx, is_ours: &is_ours };
    let leaves = frame.uses(found, out);
    for (function, value) in found.group.remote.iter().filter_map(|r| r.alone) {
        let facts = cx.analyzer.function(function);
        let reader = Context { facts: &facts, file: facts.file, ..*cx };
        let is_ours = |v: ValueId| v == value || is_derived(&reader, v, value, 0);
        if (Frame { cx: reader, is_ours: &is_ours }).uses(found, out) {
            let def = program.definition_site(function);
            out.push(Hazard::at(HazardKind::QuerySetEscapes, "", def));
        }
    }
    let own = program.function_at(cx.file, cx.facts.scope);
    let entries: Vec<&Entry> = cx
        .analyzer
        .entries_from(cx.file)
        .filter(|e| match (e.source, &found.group.class_place) {
            (Source::Model(_, node) | Source::Above(_, node), Some(place)) => node == place.node,
            (Source::Function(function), None) => own == Some(function),
            (Source::Expression(file, node), None) => {
                file == cx.file && targets.iter().any(|t| is_built_in(cx, *t, node))
            }
            _ => false,
        })
        .collect();
    if let (true, Some(function)) = (leaves, own) {
        returned(cx, found, function, &entries, out);
    }
    for entry in &entries {
        of_class(cx, found, entry, out);
    }
}

fn is_built_in(cx: &Context<'_>, value: ValueId, node: NodeId) -> bool {
    match cx.value(value).map(|v| v.origin) {
        Some(Origin::Expr(own)) => cx.node(node).contains(own),
        _ => false,
    }
}

/// A frame that handles the queryset.
struct Frame<'c, 'a> {
    cx: Context<'a>,
    is_ours: &'c dyn Fn(ValueId) -> bool,
}

impl Frame<'_, '_> {
    /// Hazards of the uses; the answer is whether it returns the queryset.
    fn uses(&self, found: &Counting, out: &mut Vec<Hazard>) -> bool {
        let cx = &self.cx;
        let is_alone = found.group.remote.iter().any(|r| r.alone.is_some());
        let mut returned = false;
        for event in cx.facts.events() {
            let EventKind::Use { value, how } = &event.kind else { continue };
            if !(self.is_ours)(*value) {
                continue;
            }
            let mut refuse = |name: &str| {
                let hazard = Hazard::at(HazardKind::QuerySetShape, format!("{name}()"), event.site);
                if !out.contains(&hazard) {
                    out.push(hazard);
                }
            };
            match how {
                Use::Method(name) if !FOLLOWED.contains(&&**name) => {
                    let is_kept = !found.is_grouped()
                        && matches!(&**name, "update" | "delete" | "select_for_update" | "aggregate");
                    if !is_kept {
                        refuse(name);
                    }
                }
                // In a callee the state that it makes is not known here.
                Use::Method(name)
                    if LOOKING.contains(&&**name)
                        && found.is_grouped()
                        && event.site != cx.site(cx.node(event.at)) =>
                {
                    refuse(name);
                }
                Use::Escape(Escape::Container) if is_shown(cx, cx.node(event.at)) => {}
                Use::Escape(Escape::Return | Escape::Container) => returned = true,
                Use::Escape(Escape::External) if is_shown(cx, cx.node(event.at)) => {}
                // The only one who has it from there has been looked at.
                Use::Escape(Escape::Store) if is_alone && self.stores() == 1 => {}
                Use::Escape(_) => out.push(Hazard::at(HazardKind::QuerySetEscapes, "", event.site)),
                // A template calls what it names.
                Use::Other if self.is_called(event.site) => {}
                Use::Other => out.push(Hazard::at(HazardKind::QuerySetEscapes, "", event.site)),
                _ => {}
            }
        }
        if found.is_grouped() {
            self.states(out);
        }
        returned
    }

    /// How often the frame keeps it somewhere, or takes it from where it is kept.
    fn stores(&self) -> usize {
        let is_store = |e: &Event<'_>| matches!(&e.kind, EventKind::Use { value, how: Use::Escape(Escape::Store) } if (self.is_ours)(*value));
        self.cx.facts.events().filter(is_store).count()
    }

    /// Whether a method of a queryset is called at a place.
    fn is_called(&self, site: Site) -> bool {
        let calls =
            |e: Event<'_>| e.site == site && matches!(&e.kind, EventKind::Use { how: Use::Method(_), .. });
        self.cx.facts.events().any(calls)
    }

    /// Querysets that are made from it, in a state that grouping does not go with.
    fn states(&self, out: &mut Vec<Hazard>) {
        let cx = &self.cx;
        for index in 0..cx.facts.values.len() as u32 {
            let value = ValueId(index);
            let Some(info) = cx.value(value).filter(|_| (self.is_ours)(value)) else { continue };
            let (Some(queryset), Some(parent), Origin::Expr(node)) =
                (&info.queryset, info.parent, info.origin)
            else {
                continue;
            };
            if !(self.is_ours)(parent) {
                continue;
            }
            let before = cx.value(parent).and_then(|v| v.queryset.as_deref());
            let is_new = |t: &&Trait| queryset.is(**t) && before.is_none_or(|b| !b.is(**t));
            if REFUSED.iter().any(|t| is_new(&t)) {
                let site = cx.site(cx.node(node));
                let name = guards::called_name(cx.project, site);
                let hazard = Hazard::at(HazardKind::QuerySetShape, format!("{name}()"), site);
                if !out.contains(&hazard) {
                    out.push(hazard);
                }
            }
        }
    }
}

/// Whether the queryset is given to something of Django's that only shows the rows.
fn is_shown(cx: &Context<'_>, node: Node<'_>) -> bool {
    node.with_parens().ancestors().take(6).chain([node]).any(|n| match Expr::of(n) {
        Expr::Call { func, .. } if n.kind() == Kind::Call => {
            matches!(cx.project.program().resolve_expr(cx.file, func.peel().id()),
                Some(Def::External(path)) if SHOWING.contains(&path.as_str()))
        }
        _ => false,
    })
}

/// The callers of the function that builds the queryset.
fn returned(
    cx: &Context<'_>,
    found: &Counting,
    function: FunctionId,
    entries: &[&Entry],
    out: &mut Vec<Hazard>,
) {
    let program = cx.project.program();
    let own = program.function(function);
    let def = Site { file: own.file, span: program.file(own.file).node(own.node).span() };
    let family = own.class.map(|class| family(cx, class));
    for caller in callers(cx, function) {
        let around =
            program.function_at(caller.file, caller.facts.scope).and_then(|f| program.function(f).class);
        let is_related = match (&family, around) {
            (Some(family), Some(class)) => family.contains(&class),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let may_be_it = |call: &&Node<'_>| {
            let Expr::Call { func, .. } = Expr::of(**call) else { return true };
            let Expr::Attribute { value, .. } = Expr::of(func) else { return family.is_none() };
            let is_own = matches!(Expr::of(value), Expr::Name("self" | "cls")) || is_super(value);
            if is_own {
                return is_related;
            }
            match (&family, caller.facts.type_of(value)) {
                (Some(family), Type::Object(class)) => family.contains(class),
                (Some(_), Type::Unknown) => true,
                (Some(_), _) => false,
                (None, _) => true,
            }
        };
        let calls: Vec<&Node<'_>> = caller.calls.iter().filter(may_be_it).collect();
        if calls.is_empty() {
            continue;
        }
        let inner = Context { facts: &caller.facts, file: caller.file, ..*cx };
        let known = in_frame(&inner, found, &|s| s == def, out);
        // Typed as something else, the call is of another function of that name.
        for call in calls {
            if !known && matches!(caller.facts.type_of(*call), Type::Unknown) {
                out.push(Hazard::at(HazardKind::QuerySetEscapes, "", inner.site(*call)));
            }
        }
    }
    let is_framework = !entries.is_empty() || own.class.is_some();
    if !is_framework
        && own.class.is_none()
        && callers(cx, function).is_empty()
        && !is_request_handler(cx, function)
    {
        out.push(Hazard::at(HazardKind::QuerySetEscapes, "", def));
    }
}

/// Whether a function gets a request and returns what it renders.
fn is_request_handler(cx: &Context<'_>, function: FunctionId) -> bool {
    let program = cx.project.program();
    let info = program.function(function);
    parameters(program.file(info.file).node(info.node)).first().is_some_and(|p| p.name == "request")
}

/// The uses of querysets in another frame that were made at a place: whether there are any.
fn in_frame(
    cx: &Context<'_>,
    found: &Counting,
    is_place: &dyn Fn(Site) -> bool,
    out: &mut Vec<Hazard>,
) -> bool {
    let is_ours = |v: ValueId| comes_from(cx.facts, v, is_place, 0);
    let is_known = (0..cx.facts.values.len() as u32).any(|v| is_ours(ValueId(v)));
    if is_known {
        Frame { cx: *cx, is_ours: &is_ours }.uses(found, out);
    }
    is_known
}

fn comes_from(facts: &Facts, value: ValueId, is_place: &dyn Fn(Site) -> bool, depth: usize) -> bool {
    let Some(info) = facts.value(value).filter(|_| depth < 30) else { return false };
    info.site.is_some_and(is_place)
        || info.parent.iter().chain(&info.alternatives).any(|up| comes_from(facts, *up, is_place, depth + 1))
}

/// A class with those above it in the program and those below.
fn family(cx: &Context<'_>, class: ClassId) -> Vec<ClassId> {
    let program = cx.project.program();
    let mut out = program.class(class).mro.clone();
    out.extend(program.descendants(class));
    for below in program.descendants(class) {
        out.extend(program.class(below).mro.iter().copied());
    }
    out.sort();
    out.dedup();
    out.retain(|c| !cx.project.is_known_file(program.class(*c).file));
    out
}

/// What the class that shows the rows does with the queryset by other ways: filters, actions, searches.
fn of_class(cx: &Context<'_>, found: &Counting, entry: &Entry, out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    let model = entry.facts.value(entry.rows).and_then(|v| Some(v.queryset.as_deref()?.model));
    let escapes = |site: Site| Hazard::at(HazardKind::QuerySetEscapes, "", site);
    // What the framework itself, or a step of the class, has made of the rows.
    if let Some(rows) = entry.facts.value(entry.rows).and_then(|v| v.queryset.as_deref())
        && found.is_grouped()
        && REFUSED.iter().any(|t| rows.is(*t))
    {
        out.push(escapes(entry.at));
    }
    let own = match entry.source {
        Source::Expression(file, node) => Some(Site { file, span: program.file(file).node(node).span() }),
        _ => None,
    };
    let family = entry.class.map(|class| family(cx, class)).unwrap_or_default();
    handed::hazards(cx, found, &family, model, out);
    if let Some(class) = entry.class.filter(|_| entry.kind == EntryKind::Changelist) {
        facets(cx, found, class, model, out);
    }
    for class in family {
        let info = program.class(class);
        for name in &info.order {
            let Some(member) = info.members.get(name) else { continue };
            match member {
                Member::Function(function, _) => {
                    let facts = cx.analyzer.function(*function);
                    let inner = Context { facts: &facts, file: info.file, ..*cx };
                    if let Some(own) = own {
                        in_frame(&inner, found, &|s| s == own, out);
                    }
                    given(&inner, found, *function, model, out);
                }
                Member::Value(value) => {
                    let value = program.file(info.file).node(*value);
                    setting(cx, found, name, info.file, value, model, out);
                }
                _ => {}
            }
        }
    }
}

/// A method that gets the queryset as an argument: an action of the admin, `filter_queryset()`, `get_search_results()`.
fn given(
    cx: &Context<'_>,
    found: &Counting,
    function: FunctionId,
    model: Option<ModelId>,
    out: &mut Vec<Hazard>,
) {
    let program = cx.project.program();
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    let is_row = |v: ValueId| {
        cx.value(v).is_some_and(|v| {
            matches!(v.origin, Origin::Parameter(_))
                && v.queryset.as_deref().is_some_and(|q| Some(q.model) == model)
        })
    };
    let is_ours = |v: ValueId| {
        is_row(v)
            || (0..cx.facts.values.len() as u32).map(ValueId).any(|p| is_row(p) && is_derived(cx, v, p, 0))
    };
    let names: Vec<&str> = parameters(def)
        .iter()
        .map(|p| p.name)
        .filter(|n| matches!(*n, "queryset" | "qs" | "query_set"))
        .collect();
    if names.is_empty() {
        return;
    }
    let typed = (0..cx.facts.values.len() as u32).any(|v| is_row(ValueId(v)));
    if typed {
        Frame { cx: *cx, is_ours: &is_ours }.uses(found, out);
        return;
    }
    let site = Site { file: cx.file, span: program.name_site(info.file, info.node).span };
    out.push(Hazard::at(HazardKind::QuerySetEscapes, "", site));
}
