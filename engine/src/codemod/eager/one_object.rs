//! Rows of an entry's queryset that are loaded for something else than its reader: the one object of `get_object()`, the
//! rows of an action of the admin, the choice of a form. A related object that came along is a copy, and what is written
//! meanwhile is not in it.

use super::guards;
use super::narrowed::named_in;
use super::own_code;
use super::prefetch::LOADING;
use super::reached::comes_from;
use super::reads::Load;
use super::step::Step;
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::Signal;
use crate::infer::{Entry, EntryKind, Event, EventData, updates_one_object};
use crate::python::{
    ClassId, Def, Expr, Field, FunctionId, Kind, Member, Node, arguments, is_super, string_value,
};
use rustc_hash::FxHashSet;

/// Methods of a view that run between `get_object()` of the framework and the answer.
const BETWEEN: &[&str] =
    &["retrieve", "update", "partial_update", "perform_update", "check_object_permissions"];
/// The same of a permission class.
const PERMISSION: &str = "has_object_permission";

/// What makes several forms of a class.
const FACTORIES: &[&str] =
    &["formset_factory", "modelformset_factory", "inlineformset_factory", "modelform_factory"];

/// Writes that rows loaded for something else than the reader of `entry` would not show.
pub(super) fn hazards(cx: &Context<'_>, entry: &Entry, steps: &[Step], load: Load, out: &mut Vec<Hazard>) {
    let mut look = Look { cx, steps, seen: FxHashSet::default(), out };
    let classes = own_code::classes(cx, entry);
    match entry.kind {
        EntryKind::ListAction => look.answers(&classes),
        EntryKind::ListView | EntryKind::DetailView => look.rendered(&classes),
        // A prefetch asks for more, and is no safe fix there.
        _ if load == Load::Prefetch => {}
        EntryKind::Changelist | EntryKind::Inline => look.admin(entry, &classes),
        EntryKind::Choices => {
            look.methods(&classes);
            entry.class.into_iter().for_each(|class| look.users_of(class));
        }
        _ => {}
    }
}

struct Look<'c, 'a> {
    cx: &'c Context<'a>,
    steps: &'c [Step],
    seen: FxHashSet<FunctionId>,
    out: &'c mut Vec<Hazard>,
}

impl Look<'_, '_> {
    /// The views of REST framework that show one object.
    fn answers(&mut self, classes: &[ClassId]) {
        let (cx, program) = (self.cx, self.cx.project.program());
        for class in classes {
            for (name, member) in &program.class(*class).members {
                if let Member::Function(function, _) = member
                    && self.seen.insert(*function)
                {
                    in_method(cx, *function, name, self.steps, self.out);
                }
            }
            for permission in named_classes(cx, *class, "permission_classes") {
                if let Some((_, Member::Function(function, _))) = program.member(permission, PERMISSION)
                    && self.seen.insert(*function)
                {
                    let events = cx.analyzer.writing(*function);
                    guards::stale_copies(
                        cx.project,
                        events.iter().map(EventData::event),
                        self.steps,
                        self.out,
                    );
                }
            }
        }
        if classes.iter().any(|class| updates_one_object(cx.project, *class)) {
            self.saving(&[Signal::PreSave, Signal::PostSave], &["save"]);
            for function in serializers(cx, classes) {
                self.writes(function);
            }
        }
    }

    /// The methods of a view that run between the load of what its template shows and the template.
    fn rendered(&mut self, classes: &[ClassId]) {
        let (cx, program) = (self.cx, self.cx.project.program());
        for class in classes {
            for (name, member) in &program.class(*class).members {
                let Member::Function(function, _) = member else { continue };
                let info = program.function(*function);
                let def = program.file(info.file).node(info.node);
                let Some(loaded) = loaded_in(name, def).filter(|_| self.seen.insert(*function)) else {
                    continue;
                };
                let events = cx.analyzer.writing(*function);
                let at = |event: &Event<'_>| program.file(info.file).node(event.at).span().start;
                let later = events.iter().map(EventData::event).filter(|event| at(event) >= loaded);
                guards::stale_copies(cx.project, later, self.steps, self.out);
            }
        }
    }

    /// Actions get the rows of a changelist; forms and formsets save and delete them.
    fn admin(&mut self, entry: &Entry, classes: &[ClassId]) {
        let (cx, program) = (self.cx, self.cx.project.program());
        self.methods(classes);
        for class in classes {
            for function in named(cx, *class, "actions", |def| match def {
                Def::Function(function) => Some(function),
                _ => None,
            }) {
                self.writes(function);
            }
        }
        if entry.kind == EntryKind::Inline {
            let around = cx.analyzer.form_users().iter().copied().filter(|class| {
                program.class(*class).members.contains_key("inlines")
                    && named_classes(cx, *class, "inlines").iter().any(|inline| entry.class == Some(*inline))
            });
            let around: Vec<ClassId> =
                around.flat_map(|class| program.class(class).mro.iter().copied()).collect();
            self.methods(&around);
        }
        let signals = [Signal::PreSave, Signal::PostSave, Signal::PreDelete, Signal::PostDelete];
        self.saving(&signals, &["save", "delete"]);
    }

    /// Every method of the classes.
    fn methods(&mut self, classes: &[ClassId]) {
        for class in classes {
            for member in self.cx.project.program().class(*class).members.values() {
                if let Member::Function(function, _) = member {
                    self.writes(*function);
                }
            }
        }
    }

    /// What runs when a row is saved or deleted: methods of its model, and receivers.
    fn saving(&mut self, signals: &[Signal], methods: &[&str]) {
        let Some(model) = self.steps.first().map(|step| step.from) else { return };
        let (project, program) = (self.cx.project, self.cx.project.program());
        for name in methods {
            if let Some((_, Member::Function(function, _))) = program.member(project.model(model).class, name)
            {
                self.writes(*function);
            }
        }
        for signal in signals {
            for function in project.receivers(model, *signal).into_iter().filter_map(|r| r.function) {
                self.writes(function);
            }
        }
    }

    /// Functions and views that use a form: they have the rows that were chosen.
    fn users_of(&mut self, form: ClassId) {
        let (cx, program) = (self.cx, self.cx.project.program());
        let forms: Vec<ClassId> = program.descendants(form).into_iter().chain([form]).collect();
        let names: Vec<&str> = forms.iter().map(|form| program.class(*form).name.as_str()).collect();
        let mentions = |text: &str| names.iter().any(|name| text.contains(name));
        let calls = cx.analyzer.call_sites();
        let made = names.iter().flat_map(|name| calls.of(name));
        let from_factory = FACTORIES
            .iter()
            .flat_map(|factory| calls.of(factory))
            .filter(|site| mentions(program.file(site.file).node(site.call).text()));
        for site in made.chain(from_factory) {
            if let Some(function) = site.function {
                self.writes(function);
            }
        }
        for class in cx.analyzer.form_users().iter().copied() {
            let info = program.class(class);
            let has_it = ["form_class", "form", "get_form_class"].iter().any(|name| {
                let node = match info.members.get(*name) {
                    Some(Member::Value(value)) => *value,
                    Some(Member::Function(function, _)) => program.function(*function).node,
                    _ => return false,
                };
                mentions(program.file(info.file).node(node).text())
                    && named_classes(cx, class, name).iter().any(|c| forms.contains(c))
            });
            if has_it {
                self.methods(&program.class(class).mro.clone());
            }
        }
    }

    /// What a function writes. What is not known counts where the function reads the relation.
    fn writes(&mut self, function: FunctionId) {
        let (cx, program) = (self.cx, self.cx.project.program());
        let info = program.function(function);
        if cx.project.is_known_file(info.file) || !self.seen.insert(function) {
            return;
        }
        let mut found = Vec::new();
        let events = cx.analyzer.writing(function);
        guards::stale_copies(cx.project, events.iter().map(EventData::event), self.steps, &mut found);
        let def = program.file(info.file).node(info.node);
        // What a request, or the object itself, has under the same name is something else.
        let is_read = |name: Node<'_>| {
            let is_attribute = name.field() == Field::Attribute;
            match name.parent().filter(|_| is_attribute).map(Expr::of) {
                Some(Expr::Attribute { value, .. }) => {
                    !["request", "self"].iter().any(|owner| value.text().ends_with(owner))
                }
                _ => false,
            }
        };
        let first = self.steps.first();
        let reads = || first.is_some_and(|step| def.mentions(&step.attribute).any(is_read));
        let counts = |hazard: &Hazard| hazard.kind == HazardKind::StaleCopy || reads();
        let elsewhere = |hazard: Hazard| match hazard.kind {
            HazardKind::StaleCopy => Hazard { kind: HazardKind::StaleElsewhere, ..hazard },
            _ => hazard,
        };
        self.out.extend(found.into_iter().filter(counts).map(elsewhere));
    }
}

/// Where a method of a view has loaded what the template shows: it goes over the rows, or has the object.
fn loaded_in(name: &str, def: Node<'_>) -> Option<u32> {
    const WITH_OBJECT: &[&str] = &["get_context_data", "render_to_response"];
    let is_list = |n: Node<'_>| match Expr::of(n) {
        Expr::Attribute { attr: "object_list", .. } => n.kind() == Kind::Attribute,
        Expr::Subscript { value, index, .. } => {
            matches!(Expr::of(value), Expr::Name("context"))
                && string_value(index).is_some_and(|i| i == "object_list" || i.ends_with("_list"))
        }
        _ => false,
    };
    let loads = |n: &Node<'_>| match Expr::of(*n) {
        Expr::Call { func, arguments: list } if n.kind() == Kind::Call => match Expr::of(func) {
            Expr::Attribute { attr: "get_object", .. } => true,
            Expr::Attribute { value, attr: "get" | "dispatch", .. } => is_super(value),
            Expr::Name(_) => arguments(list).iter().any(|a| is_list(a.value.peel())),
            _ => false,
        },
        _ if matches!(n.kind(), Kind::For | Kind::CompFor) => {
            n.child(Field::Right).is_some_and(|over| comes_from(over, &is_list, 0))
        }
        _ => false,
    };
    // A list is loaded by its template, unless it was before.
    let has_object = WITH_OBJECT.contains(&name)
        && def.text().contains("self.object")
        && !def.text().contains("self.object_list");
    let first = def.descendants().find(loads);
    let is_answer = first.is_some()
        && !matches!(name, "post" | "put" | "patch" | "delete" | "form_valid" | "form_invalid")
        || first.is_some() && def.text().contains("render");
    match first {
        Some(node) if is_answer => Some(node.span().start),
        _ => has_object.then_some(def.span().start),
    }
}

fn in_method(cx: &Context<'_>, function: FunctionId, name: &str, steps: &[Step], out: &mut Vec<Hazard>) {
    let info = cx.project.program().function(function);
    let source = cx.project.program().file(info.file);
    let def = source.node(info.node);
    let is_load = |n: &Node<'_>| match Expr::of(*n) {
        Expr::Call { func, arguments: list } if n.kind() == Kind::Call => match Expr::of(func) {
            Expr::Attribute { attr: "get_object", .. } => true,
            Expr::Attribute { value, attr, .. } if LOADING.contains(&attr) => asks_for_rows(value),
            Expr::Name("get_object_or_404") => {
                arguments(list).first().is_some_and(|a| asks_for_rows(a.value))
            }
            _ => false,
        },
        _ => false,
    };
    let found = def.descendants().find(is_load);
    let names = found.map(|call| names_of(def, call)).unwrap_or_default();
    let loaded = match found {
        Some(call) => call.span().end,
        None if BETWEEN.contains(&name) => def.span().start,
        None => return,
    };
    let events = cx.analyzer.writing(function);
    let is_shown_after = |event: &Event<'_>| {
        let at = source.node(event.at).span();
        let Some(rest) = def.file_text().get(at.end as usize..def.span().end as usize) else { return true };
        let is_handed_on = || {
            def.descendants().any(|n| {
                n.span().start >= at.end
                    && n.kind() == Kind::Name
                    && names.contains(&n.text())
                    && n.with_parens().parent().is_none_or(|p| p.kind() != Kind::Attribute)
            })
        };
        at.start >= loaded
            && (name == "perform_update"
                || name == "get_object"
                || is_handed_on()
                || name == "check_object_permissions"
                || rest.contains("serializer")
                || rest.contains("super()")
                || steps.iter().any(|step| rest.contains(&*step.attribute)))
    };
    let shown_after = events.iter().map(EventData::event).filter(is_shown_after);
    guards::stale_copies(cx.project, shown_after, steps, out);
}

/// Whether a chain starts with the queryset of the view.
fn asks_for_rows(node: Node<'_>) -> bool {
    let is_own = |n: Node<'_>| match Expr::of(n) {
        Expr::Call { func, .. } if n.kind() == Kind::Call => {
            matches!(Expr::of(func), Expr::Attribute { attr: "get_queryset" | "filter_queryset", .. })
        }
        Expr::Attribute { attr: "queryset", .. } => n.kind() == Kind::Attribute,
        _ => false,
    };
    comes_from(node, &is_own, 0)
}

/// The variables that a function gives what a call has loaded.
fn names_of<'a>(def: Node<'a>, call: Node<'a>) -> Vec<&'a str> {
    let gets = |n: &Node<'a>| {
        n.kind() == Kind::Assign && n.child(Field::Right).is_some_and(|value| value.contains(call.id()))
    };
    let assigned = def.descendants().filter(gets).filter_map(|n| n.child(Field::Left));
    assigned.filter(|target| target.kind() == Kind::Name).map(Node::text).collect()
}

/// `update()` and `save()` of the serializers that the views name.
fn serializers(cx: &Context<'_>, views: &[ClassId]) -> Vec<FunctionId> {
    let program = cx.project.program();
    let named = ["serializer_class", "get_serializer_class"];
    let classes = views.iter().flat_map(|view| named.iter().flat_map(|name| named_classes(cx, *view, name)));
    let methods = classes.flat_map(|class| ["update", "save"].iter().map(move |name| (class, name)));
    methods
        .filter_map(|(class, name)| match program.member(class, name) {
            Some((_, Member::Function(function, _))) => Some(*function),
            _ => None,
        })
        .collect()
}

/// The classes of the program that an attribute or a method of a class names.
fn named_classes(cx: &Context<'_>, class: ClassId, name: &str) -> Vec<ClassId> {
    let program = cx.project.program();
    named(cx, class, name, |def| match def {
        Def::Class(class) if !cx.project.is_known_file(program.class(class).file) => Some(class),
        _ => None,
    })
}

/// What an attribute or a method of a class names.
fn named<T>(cx: &Context<'_>, class: ClassId, name: &str, wanted: impl Fn(Def) -> Option<T>) -> Vec<T> {
    let program = cx.project.program();
    let Some((owner, member)) = program.member(class, name) else { return Vec::new() };
    let node = match member {
        Member::Value(value) => *value,
        Member::Function(function, _) => program.function(*function).node,
        _ => return Vec::new(),
    };
    named_in(cx, program.class(owner).file, node).into_iter().filter_map(wanted).collect()
}
