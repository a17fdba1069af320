//! Frames beside the one that shows the rows of a class: methods of the class and of its mixins that ask
//! `self.get_queryset()`, functions that they give the object to, and code elsewhere that asks the class by its name. They
//! load rows of the same queryset, so that whatever comes with the rows comes there, too.

use super::prefetch::{LOADING, is_streamed};
use super::reads::{Group, Load, Read, rows_read};
use super::sources::is_derived;
use super::step::{self, Step};
use super::used::{self, Wanted};
use super::{entries, guards, reached, region, shape};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::infer::{Escape, Event, EventKind, Origin, Root, Rows, Source, Type, Use, ValueId};
use crate::python::{
    ClassId, Def, Expr, Field, Kind, Node, NodeId, arguments, is_super, parameters, string_value,
};
use crate::text::Site;

/// Functions that give the object on are followed so far.
const MAX_HANDED: usize = 3;
/// What a view keeps the rows in that it has loaded, or is about to.
const SHARED: &str = "object_list";

/// By what the rows of a class are asked for.
pub(super) struct Asked<'x> {
    /// Methods and attributes that give them.
    pub names: &'x [&'x str],
    /// The classes whose objects have them.
    pub family: &'x [ClassId],
}

/// What is an object of the family in a frame.
pub(super) enum Receivers<'x> {
    /// The first parameter, of this name, and what is known to be one.
    Own(&'x str),
    /// What is known to be one, or to be the class.
    Known,
    /// The same, and what is not known and called a view.
    Called,
}

/// The values of a frame that are rows of the class.
pub(super) struct Ours(Vec<ValueId>);

impl Ours {
    pub(super) fn has(&self, cx: &Context<'_>, value: ValueId) -> bool {
        self.0.iter().any(|own| *own == value || is_derived(cx, value, *own, 0))
    }
}

impl Asked<'_> {
    /// Whether a function has one of the names.
    pub(super) fn is_named_in(&self, def: Node<'_>) -> bool {
        self.names.iter().any(|name| def.text().contains(name))
    }

    /// The expressions of a frame that give the rows.
    pub(super) fn given<'a>(&self, cx: &Context<'a>, receivers: &Receivers<'_>) -> Vec<Node<'a>> {
        cx.scope().descendants().filter(|n| self.gives(cx, *n, receivers)).collect()
    }

    /// `self.get_queryset(...)`, `super().get_queryset(...)`, `self.queryset`, `Books.queryset`
    fn gives(&self, cx: &Context<'_>, node: Node<'_>, receivers: &Receivers<'_>) -> bool {
        match Expr::of(node) {
            Expr::Call { func, arguments: list } if node.kind() == Kind::Call => match Expr::of(func) {
                Expr::Attribute { value, attr, .. } => {
                    attr != "queryset" && self.names.contains(&attr) && self.is_one(cx, value, receivers)
                }
                Expr::Name("getattr") => match arguments(list).as_slice() {
                    [of, name, ..] => {
                        string_value(name.value).is_some_and(|name| self.names.contains(&name.as_str()))
                            && self.is_one(cx, of.value, receivers)
                    }
                    _ => false,
                },
                _ => false,
            },
            Expr::Attribute { value, attr, .. } => {
                let is_called = node.with_parens().parent().is_some_and(|call| {
                    matches!(Expr::of(call), Expr::Call { func, .. } if call.kind() == Kind::Call
                        && func.peel() == node.peel())
                });
                node.kind() == Kind::Attribute
                    && !node.is_binding()
                    && !is_called
                    && self.names.contains(&attr)
                    && self.is_one(cx, value, receivers)
            }
            _ => false,
        }
    }

    fn is_one(&self, cx: &Context<'_>, node: Node<'_>, receivers: &Receivers<'_>) -> bool {
        let node = node.peel();
        if let Receivers::Own(name) = receivers {
            let is_own = |n: Node<'_>| matches!(Expr::of(n), Expr::Name(own) if own == *name);
            let is_own = match Expr::of(node) {
                Expr::Call { func, arguments: list } if func.text() == "type" => {
                    arguments(list).first().is_some_and(|a| is_own(a.value))
                }
                Expr::Attribute { value, attr: "__class__", .. } => is_own(value),
                _ => is_own(node) || is_super(node),
            };
            if is_own {
                return true;
            }
        }
        match cx.type_of_any(node) {
            Type::Object(class) | Type::Def(Def::Class(class)) => self.family.contains(class),
            Type::Unknown => {
                let by_name = cx.project.program().resolve_expr(cx.file, node.id());
                let is_called = || {
                    matches!(receivers, Receivers::Called)
                        && match Expr::of(node) {
                            Expr::Name(name) => name == "view",
                            Expr::Attribute { attr, .. } => attr == "view",
                            Expr::Subscript { index, .. } => string_value(index).is_some_and(|i| i == "view"),
                            _ => false,
                        }
                };
                match by_name {
                    Some(Def::Class(class)) => self.family.contains(&class),
                    Some(_) => false,
                    None => is_called(),
                }
            }
            _ => false,
        }
    }

    /// The values that the expressions give.
    pub(super) fn values(&self, cx: &Context<'_>, given: &[Node<'_>]) -> Ours {
        let alternatives = given.iter().flat_map(|node| cx.type_of_any(*node).alternatives());
        let querysets = alternatives.filter_map(Type::queryset);
        Ours(querysets.flat_map(|qs| qs.values.iter().copied()).collect())
    }
}

/// Whether a function gives its first parameter to another function.
pub(super) fn handed(def: Node<'_>, receiver: &str) -> bool {
    let is_it = |n: Node<'_>| matches!(Expr::of(n), Expr::Name(name) if name == receiver);
    def.descendants().filter(|n| n.kind() == Kind::Call).any(|call| match Expr::of(call) {
        Expr::Call { func, arguments: list } => {
            func.text() != "super" && arguments(list).iter().any(|a| is_it(a.value))
        }
        _ => false,
    })
}

/// What frames beside the reader are looked at for.
pub(super) struct Look<'x> {
    pub steps: &'x [Step],
    pub load: Load,
    pub asked: &'x Asked<'x>,
}

impl Look<'_> {
    /// The functions that a frame gives the object to: `write_csv(self)`.
    pub(super) fn helpers(
        &self,
        cx: &Context<'_>,
        class: ClassId,
        receiver: &str,
        depth: usize,
        out: &mut Vec<Hazard>,
    ) {
        let program = cx.project.program();
        for call in cx.scope().descendants().filter(|n| n.kind() == Kind::Call) {
            let Expr::Call { func, arguments: list } = Expr::of(call) else { continue };
            let Some(Def::Function(function)) = program.resolve_expr(cx.file, func.peel().id()) else {
                continue;
            };
            let info = program.function(function);
            let def = program.file(info.file).node(info.node);
            let params = parameters(def);
            let mut given = vec![Type::Unknown; params.len()];
            let mut name = None;
            for (i, argument) in arguments(list).iter().enumerate() {
                if !matches!(Expr::of(argument.value), Expr::Name(n) if n == receiver) {
                    continue;
                }
                let index = match argument.name {
                    Some(name) => params.iter().position(|p| p.name == name),
                    None => Some(i),
                };
                if let Some((slot, parameter)) = index.and_then(|i| Some((given.get_mut(i)?, params.get(i)?)))
                {
                    *slot = Type::Object(class);
                    name = Some(parameter.name);
                }
            }
            let Some(name) = name.filter(|_| depth < MAX_HANDED && info.class.is_none()) else { continue };
            let facts = cx.analyzer.called(function, &given);
            let inner = Context { facts: &facts, file: info.file, ..*cx };
            self.frame(&inner, &Receivers::Own(name), false, out);
            self.helpers(&inner, class, name, depth + 1, out);
        }
    }

    /// What a frame does with the rows. One that gives them to the framework loads none for itself.
    pub(super) fn frame(
        &self,
        cx: &Context<'_>,
        receivers: &Receivers<'_>,
        is_giving: bool,
        out: &mut Vec<Hazard>,
    ) {
        let given = self.asked.given(cx, receivers);
        if given.is_empty() {
            return;
        }
        let ours = self.asked.values(cx, &given);
        let has_rows = |v: ValueId| has_instances(cx, v) && ours.has(cx, v);
        let first: Vec<&Step> = self.steps.first().into_iter().collect();
        let lookup = self.steps.iter().map(|s| self.load.name(s)).collect::<Vec<_>>().join("__");
        let wanted = Wanted { first: &first, lookups: &[lookup], load: self.load };
        used::hazards(cx, &wanted, &has_rows, out);
        if self.load == Load::Prefetch {
            // `values_list(...).iterator()` needs no objects, and refuses all the same.
            for event in cx.facts.events() {
                if let EventKind::Use { value, how } = &event.kind
                    && ours.has(cx, *value)
                    && !has_instances(cx, *value)
                {
                    out.extend(is_streamed(cx, event.site, how));
                }
            }
        }
        self.written_meanwhile(cx, &given, &has_rows, out);
        if self.load == Load::Prefetch && !is_giving {
            self.loaded(cx, &given, &has_rows, out);
        }
        let untyped: Vec<NodeId> =
            given.iter().filter(|n| *cx.type_of_any(**n) == Type::Unknown).map(|n| n.id()).collect();
        if !untyped.is_empty() {
            self.chains(cx, &untyped, is_giving, out);
        }
    }

    /// What may change the related rows between the load and a read, in the frame.
    fn written_meanwhile(
        &self,
        cx: &Context<'_>,
        given: &[Node<'_>],
        is_ours: &dyn Fn(ValueId) -> bool,
        out: &mut Vec<Hazard>,
    ) {
        let all = (0..cx.facts.values.len() as u32).map(ValueId);
        let mut group = Group::new(self.load, Vec::new());
        group.rows = all.filter(|v| is_ours(*v)).collect();
        group.targets = given
            .iter()
            .flat_map(|n| cx.type_of_any(*n).alternatives())
            .filter_map(Type::queryset)
            .flat_map(|qs| qs.values.iter().copied())
            .collect();
        for (index, event) in cx.facts.events().enumerate() {
            if self.reads(cx, event, is_ours) || hands_over(event, is_ours) {
                let steps = self.steps.to_vec();
                group.reads.push(Read {
                    event: index,
                    at: event.at,
                    site: event.site,
                    steps,
                    is_certain: event.is_certain,
                });
            }
            if let Some(loaded) = self.read_of_one(cx, event, is_ours) {
                let before = cx.facts.events().take(index).skip_while(|e| e.at != loaded);
                guards::stale_copies(cx.project, before, self.steps, out);
            }
        }
        if !group.reads.is_empty() {
            region::hazards(cx, &group, out);
        }
    }

    /// Whether an event reads the relation of one of the rows.
    fn reads(&self, cx: &Context<'_>, event: Event<'_>, is_ours: &dyn Fn(ValueId) -> bool) -> bool {
        let Some((value, path)) = rows_read(cx.facts, event, self.load) else { return false };
        is_ours(value) && self.is_on_the_way(cx, &path)
    }

    fn is_on_the_way(&self, cx: &Context<'_>, path: &crate::infer::Path) -> bool {
        let from = self.steps.first().map(|step| step.from);
        let found = from.and_then(|from| step::steps(cx.project, from, path));
        found.is_some_and(|found| {
            !found.is_empty() && (found.starts_with(self.steps) || self.steps.starts_with(&found))
        })
    }

    /// Where an event reads the relation of a single row: the call that has loaded it.
    fn read_of_one(
        &self,
        cx: &Context<'_>,
        event: Event<'_>,
        is_ours: &dyn Fn(ValueId) -> bool,
    ) -> Option<NodeId> {
        let (EventKind::ReadRelation { root: Root::Value(v), path, .. }
        | EventKind::ReadMany { root: Root::Value(v), path, .. }) = &event.kind
        else {
            return None;
        };
        let Origin::Expr(call) = cx.value(*v)?.origin else { return None };
        let is_loaded_from_ours = cx
            .facts
            .events()
            .any(|e| e.at == call && matches!(&e.kind, EventKind::Use { value, .. } if is_ours(*value)));
        (is_loaded_from_ours && self.is_on_the_way(cx, path)).then_some(call)
    }

    /// Rows that are loaded, and whose relation is not read.
    fn loaded(
        &self,
        cx: &Context<'_>,
        given: &[Node<'_>],
        is_ours: &dyn Fn(ValueId) -> bool,
        out: &mut Vec<Hazard>,
    ) {
        let is_stream = |e: &Event<'_>| matches!(&e.kind, EventKind::Use { how, .. } if is_streamed(cx, e.site, how).is_some());
        // Said already.
        let streams: Vec<Site> = cx.facts.events().filter(|e| is_stream(e)).map(|e| e.site).collect();
        for event in cx.facts.events() {
            let EventKind::Use { value, how } = &event.kind else { continue };
            if !is_ours(*value) || streams.contains(&event.site) {
                continue;
            }
            let loads = match how {
                Use::Index => true,
                Use::Method(name) => {
                    LOADING.contains(&&**name) || matches!(&**name, "iterator" | "aiterator")
                }
                // What is kept outside the frame anyway.
                Use::Escape(Escape::Store) if is_outside(cx, *value) => false,
                // Put aside for a template.
                Use::Escape(Escape::Container | Escape::Store) => {
                    !given.iter().any(|n| n.contains(event.at)) && !self.is_shown(cx, event.site)
                }
                Use::Escape(Escape::External) => {
                    is_context_of(cx.node(event.at)) && !self.is_shown(cx, event.site)
                }
                how => how.evaluates(),
            };
            if loads && !self.are_read(cx, *value) {
                unread(cx, event.site, out);
            }
        }
    }

    /// Whether rows of `value` have the relation read in this frame.
    fn are_read(&self, cx: &Context<'_>, value: ValueId) -> bool {
        cx.facts.events().any(|event| {
            let (EventKind::ReadRelation { root, path, .. } | EventKind::ReadMany { root, path, .. }) =
                &event.kind
            else {
                return false;
            };
            let Some((row, path)) = cx.facts.climbed(*root, path) else { return false };
            let is_it = row == value || is_derived(cx, row, value, 0) || is_derived(cx, value, row, 0);
            let from = self.steps.first().map(|s| s.from);
            let found = from.and_then(|from| step::steps(cx.project, from, &path));
            is_it && found.is_some_and(|found| found.starts_with(self.steps))
        })
    }

    /// Whether a template goes over the rows that are put into its context at `site`, and reads the relation.
    fn is_shown(&self, cx: &Context<'_>, site: Site) -> bool {
        let at = guards::node_at(cx.project, site);
        let statement =
            at.and_then(|n| n.ancestors().find(|a| a.kind().is_statement() || a.kind() == Kind::Assign));
        let around = statement.map_or(site.span, |n| n.span());
        cx.analyzer.entries().iter().any(|entry| {
            let Source::Expression(file, node) = entry.source else { return false };
            let span = cx.project.program().file(file).node(node).span();
            file == site.file
                && around.contains(span)
                && entry.class.is_none_or(|class| self.asked.family.contains(&class))
                && entries::shown(cx, entry, self.load).iter().any(|r| r.steps == self.steps && r.is_certain)
        })
    }

    /// The calls that hang on expressions of unknown type, and loops over them.
    fn chains(&self, cx: &Context<'_>, given: &[NodeId], is_giving: bool, out: &mut Vec<Hazard>) {
        const HANDED_ON: &[&str] = &["filter_queryset", "paginate_queryset"];
        let is_shared = |n: Node<'_>| matches!(Expr::of(n), Expr::Attribute { attr, .. } if n.kind() == Kind::Attribute && attr == SHARED);
        let is_given = |n: Node<'_>| match Expr::of(n) {
            _ if given.contains(&n.id()) => true,
            Expr::Call { func, arguments: list } if n.kind() == Kind::Call => {
                matches!(Expr::of(func), Expr::Attribute { attr, .. } if HANDED_ON.contains(&attr))
                    && arguments(list).iter().any(|a| a.value.descendants().any(|d| given.contains(&d.id())))
            }
            _ => false,
        };
        let is_own = |n: Node<'_>| is_given(n) && !is_shared(n);
        let mut group = Group::new(self.load, Vec::new());
        group.reads.push(Read {
            event: 0,
            at: cx.facts.scope,
            site: cx.site(cx.scope()),
            steps: self.steps.to_vec(),
            is_certain: false,
        });
        let minded: Vec<&str> = shape::minded(self.load).collect();
        let mut loops = false;
        for node in cx.scope().descendants() {
            match Expr::of(node) {
                Expr::Call { func, .. } if node.kind() == Kind::Call => {
                    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { continue };
                    if *cx.type_of_any(value) != Type::Unknown || !reached::comes_from(value, &is_given, 0) {
                        continue;
                    }
                    if minded.contains(&attr) {
                        out.extend(shape::clash(&group, node, cx.site(node)));
                    }
                    if self.load != Load::Prefetch {
                        continue;
                    }
                    let how = Use::Method(attr.into());
                    if let Some(hazard) = is_streamed(cx, cx.site(node), &how) {
                        out.push(hazard);
                    } else if LOADING.contains(&attr) && !is_giving
                        || attr == "iterator"
                        || !is_giving && reached::loads_others(node) && reached::is_put_aside(node, 0)
                    {
                        unread(cx, cx.site(node), out);
                    }
                }
                _ if matches!(node.kind(), Kind::For | Kind::CompFor) => {
                    let Some(over) = node.child(Field::Right) else { continue };
                    if *cx.type_of_any(over) == Type::Unknown && reached::comes_from(over, &is_own, 0) {
                        loops = true;
                        if self.load == Load::Prefetch {
                            unread(cx, cx.site(over), out);
                        }
                    }
                }
                _ => {}
            }
        }
        let reads = |n: Node<'_>| match Expr::of(n) {
            Expr::Attribute { attr, .. } => {
                n.kind() == Kind::Attribute && self.steps.first().is_some_and(|s| s.attribute == attr)
            }
            _ => false,
        };
        if loops && cx.scope().descendants().any(reads) {
            guards::stale_copies(cx.project, cx.facts.events(), self.steps, out);
        }
    }
}

fn has_instances(cx: &Context<'_>, value: ValueId) -> bool {
    cx.value(value).and_then(|v| v.queryset.as_deref()).is_some_and(|qs| qs.rows == Rows::Instances)
}

/// Whether an event gives rows to code that may read them.
fn hands_over(event: Event<'_>, is_ours: &dyn Fn(ValueId) -> bool) -> bool {
    match &event.kind {
        EventKind::InstanceEscapes { root: Root::Row(v), path, .. } => path.is_empty() && is_ours(*v),
        EventKind::Use {
            value,
            how: Use::Escape(Escape::External | Escape::UnknownCall | Escape::Return),
        } => is_ours(*value),
        _ => false,
    }
}

/// `super().get_context_data(cheap=...)`, `context.update(cheap=...)`
fn is_context_of(at: Node<'_>) -> bool {
    let Some(call) = at.ancestors().take(4).find(|n| n.kind() == Kind::Call) else { return false };
    let call = if at.kind() == Kind::Call { at } else { call };
    matches!(Expr::of(call), Expr::Call { func, .. }
        if matches!(Expr::of(func), Expr::Attribute { attr: "get_context_data" | "update" | "setdefault", .. }))
}

fn is_outside(cx: &Context<'_>, value: ValueId) -> bool {
    cx.value(value).is_some_and(|v| v.origin == Origin::Outside)
}

/// What loads rows, and reads nothing of them.
pub(super) fn unread(cx: &Context<'_>, site: Site, out: &mut Vec<Hazard>) {
    let subject = guards::node_at(cx.project, site).map_or("...", guards::first_line);
    let hazard = Hazard::at(HazardKind::LoadedWithout, subject, site);
    if !out.contains(&hazard) {
        out.push(hazard);
    }
}
