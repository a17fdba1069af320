//! What runs when rows are saved one by one, and what else happens between statements that a rewrite moves.
//!
//! The first half asks about a model: what of its saving a bulk statement leaves out. The second half asks about
//! events: what one of them does to a set of tables.

use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{FieldKind, ModelId, Project, Receiver, Signal};
use crate::infer::{Escape, Event, EventKind, QuerySetClass, Use, Write};
use crate::python::{Def, Expr, Field, FunctionId, Kind, Member, Node, NodeId};
use crate::text::Site;

// ---- what saving a row does ----

/// A class of the program that overrides `save()` for `model`: bulk statements do not call it.
pub fn custom_save(cx: &Context<'_>, model: ModelId, out: &mut Vec<Hazard>) {
    let program = cx.project.program();
    for name in ["save", "save_base", "_save_table", "_save_parents", "_do_insert"] {
        let Some((owner, member)) = program.member(cx.model(model).class, name) else { continue };
        let class = program.class(owner);
        let file = program.file(class.file);
        let node = match member {
            Member::Function(function, _) => program.function(*function).node,
            Member::Value(node) => *node,
            Member::Class(nested) => program.class(*nested).node,
            Member::Annotation(_) => continue,
            Member::Other => class.node,
        };
        let site = Site { file: class.file, span: file.node(node).span() };
        out.push(Hazard::at(HazardKind::CustomSave, class.name.clone(), site));
    }
    for name in ["save", "save_base"] {
        if let Some(site) = cx.project.patch_of(model, name) {
            out.push(Hazard::at(HazardKind::CustomSave, cx.model(model).name.clone(), site));
        }
    }
    replaced_method(cx, model, "save", HazardKind::CustomSave, out);
}

/// A decorator, a metaclass or `__init_subclass__()` may put another `save()`, or another method `name`, into the class.
pub fn replaced_method(
    cx: &Context<'_>,
    model: ModelId,
    name: &str,
    kind: HazardKind,
    out: &mut Vec<Hazard>,
) {
    let program = cx.project.program();
    for id in &program.class(cx.model(model).class).mro {
        let class = program.class(*id);
        if cx.project.is_known_file(class.file) {
            continue;
        }
        let decorators = class.decorators.iter().filter_map(|d| match d {
            Some(Def::Function(function)) => Some(*function),
            _ => None,
        });
        let initial = class.members.get("__init_subclass__").and_then(|member| match member {
            Member::Function(function, _) => Some(*function),
            _ => None,
        });
        let bases = program.file(class.file).node(class.node).child(Field::Superclasses);
        let metaclass = bases.and_then(|list| {
            let arguments = crate::python::arguments(list);
            let named = arguments.iter().find(|a| a.name == Some("metaclass"))?;
            match program.resolve_expr(class.file, named.value.peel().id()) {
                Some(Def::Class(metaclass)) => Some(program.class(metaclass)),
                _ => None,
            }
        });
        if let Some(metaclass) = metaclass {
            let node = program.file(metaclass.file).node(metaclass.node);
            if names_method(node, name) {
                let site = Site { file: metaclass.file, span: node.span() };
                out.push(Hazard::at(kind, metaclass.name.clone(), site));
            }
        }
        for function in decorators.chain(initial) {
            let info = program.function(function);
            let node = program.file(info.file).node(info.node);
            if names_method(node, name) {
                let site = Site { file: info.file, span: node.span() };
                out.push(Hazard::at(kind, info.name.clone(), site));
            }
        }
    }
}

/// Whether code defines or names a method: `cls.save = ...`, `namespace["save"]`, a `def` of it.
fn names_method(node: Node<'_>, method: &str) -> bool {
    let is_it = |name: &str| name == method || name.strip_suffix("_base") == Some(method);
    node.descendants().any(|n| match n.kind() {
        Kind::Attribute => matches!(Expr::of(n), Expr::Attribute { attr, .. } if is_it(attr)),
        Kind::FunctionDef | Kind::KeywordArgument => n.child(Field::Name).is_some_and(|n| is_it(n.text())),
        // A name that is put together holds a part of it.
        Kind::Str => n.text().contains(method),
        _ => false,
    })
}

/// Receivers of `pre_save` and `post_save` that hear `model`, one hazard a receiver, unless the user says that
/// there are none.
pub fn save_receivers(cx: &Context<'_>, model: ModelId, out: &mut Vec<Hazard>) {
    receivers(cx, model, &[Signal::PreSave, Signal::PostSave], out);
}

/// Receivers of any of `signals` that hear `model`, one hazard a receiver, unless the user says that there are
/// none.
pub fn receivers(cx: &Context<'_>, model: ModelId, signals: &[Signal], out: &mut Vec<Hazard>) {
    if !cx.assumes_no_signals(model) {
        let heard = signals.iter().flat_map(|signal| cx.project.receivers(model, *signal));
        tell(heard, out);
    }
}

/// Receivers of `m2m_changed` that hear of the many-to-many whose manager is the attribute `accessor` of `model`, one
/// hazard a receiver, unless the user says that there are none.
pub fn link_receivers(cx: &Context<'_>, model: ModelId, accessor: &str, out: &mut Vec<Hazard>) {
    if !cx.assumes_no_signals(model) {
        for receiver in cx.project.link_receivers(model, accessor) {
            out.push(Hazard::at(HazardKind::LinkReceiver, receiver.name.clone(), receiver.site));
        }
    }
}

fn tell<'a>(heard: impl Iterator<Item = &'a Receiver>, out: &mut Vec<Hazard>) {
    for receiver in heard {
        let hazard = Hazard::at(HazardKind::SaveReceiver, format!("`{}`", receiver.name), receiver.site);
        let told = |h: &Hazard| {
            h.kind == hazard.kind
                && h.subject == hazard.subject
                && h.site.map(|s| s.file) == Some(receiver.site.file)
        };
        if !out.iter().any(told) {
            out.push(hazard);
        }
    }
}

/// Whether saving a row of `model` runs no code of the project: no override, no receiver, no field hook.
pub fn saves_plainly(cx: &Context<'_>, model: ModelId) -> bool {
    let mut found = Vec::new();
    custom_save(cx, model, &mut found);
    save_receivers(cx, model, &mut found);
    field_hooks(cx, model, &mut found);
    unknown_bases(cx, model, &mut found);
    found.is_empty()
}

/// Methods of Django's that the class of a manager or queryset, or the queryset class behind a manager,
/// overrides. `name` is the manager's attribute on the model, where it is known.
pub fn manager_methods(
    cx: &Context<'_>,
    model: ModelId,
    name: Option<&str>,
    class: QuerySetClass,
    methods: &[&str],
    out: &mut Vec<Hazard>,
) {
    let program = cx.project.program();
    let info = cx.model(model);
    let declared = name.and_then(|n| info.manager(n));
    let mut classes = Vec::new();
    if let QuerySetClass::Custom(class) = class {
        classes.push(class);
    }
    if let Some(manager) = declared {
        classes.extend(manager.class);
        classes.extend(manager.queryset);
    }
    let is_unknown = class == QuerySetClass::Unknown
        || declared.is_some_and(|m| m.is_unknown)
        || classes.iter().any(|c| program.class(*c).has_unknown_base);
    // A get_queryset() of the project may make querysets of yet another class.
    for class in classes.clone() {
        let Some((owner, Member::Function(function, _))) = program.member(class, "get_queryset") else {
            continue;
        };
        let file = program.class(owner).file;
        let node = program.file(file).node(program.function(*function).node);
        for name in node.descendants().filter(|n| n.kind() == Kind::Name) {
            if let Some(Def::Class(named)) = program.resolve_expr(file, name.id())
                && cx.project.is_queryset_class(named)
                && !classes.contains(&named)
            {
                classes.push(named);
            }
        }
    }
    for method in methods {
        let patch = std::iter::once(None)
            .chain(classes.iter().copied().map(Some))
            .find_map(|class| cx.project.manager_patch(class, method));
        if let Some(site) = patch {
            out.push(Hazard::at(HazardKind::CustomManagerMethod, format!("{}.{method}", info.name), site));
        }
        for class in &classes {
            let Some((owner, member)) = program.member(*class, method) else { continue };
            let owner = program.class(owner);
            let node = match member {
                Member::Function(function, _) => program.function(*function).node,
                Member::Value(node) => *node,
                _ => owner.node,
            };
            let site = Site { file: owner.file, span: program.file(owner.file).node(node).span() };
            let hazard =
                Hazard::at(HazardKind::CustomManagerMethod, format!("{}.{method}", owner.name), site);
            if !out.contains(&hazard) {
                out.push(hazard);
            }
        }
    }
    if is_unknown {
        let subject = format!("{}.{}", info.name, name.unwrap_or("_default_manager"));
        let site = declared.and_then(|m| m.site).unwrap_or(info.site);
        out.push(Hazard::at(HazardKind::UnknownType, subject, site));
    }
}

/// A concrete parent: the rows live in two tables.
pub fn table_parents(cx: &Context<'_>, model: ModelId, out: &mut Vec<Hazard>) {
    let concrete = cx.model(cx.model(model).concrete);
    if !concrete.table_parents.is_empty() {
        out.push(Hazard::at(HazardKind::MultiTableParent, concrete.name.clone(), concrete.site));
    }
}

/// Fields that do more than store their value when an instance is saved: `pre_save()` of the project, field
/// classes that are not known, `order_with_respect_to`.
pub fn field_hooks(cx: &Context<'_>, model: ModelId, out: &mut Vec<Hazard>) {
    let info = cx.model(model);
    if info.order_with_respect_to.is_some() {
        let program = cx.project.program();
        // Where Meta says it, the model's own or an abstract parent's.
        let site = program.class(info.class).mro.iter().find_map(|id| {
            let class = program.class(*id);
            let node = program.file(class.file).node(class.node);
            let name =
                node.descendants().find(|n| n.kind() == Kind::Name && n.text() == "order_with_respect_to")?;
            Some(Site { file: class.file, span: name.span() })
        });
        out.push(Hazard::at(HazardKind::FieldHook, "_order", site.unwrap_or(info.site)));
    }
    for field in &info.fields {
        if is_saved_specially(cx.project, field) {
            out.push(Hazard::at(HazardKind::FieldHook, field.name.clone(), field.site));
        }
    }
}

fn is_saved_specially(project: &Project, field: &crate::django::Field) -> bool {
    // Without a column there is nothing that an insert stores.
    if matches!(field.kind, FieldKind::ManyToMany | FieldKind::GenericRelation | FieldKind::GenericForeignKey)
    {
        return false;
    }
    let program = project.program();
    if let Some(Def::Class(class)) = program.dotted(&field.class, None) {
        let overrides = ["pre_save", "contribute_to_class"].iter().any(|name| {
            program.member(class, name).is_some_and(|(owner, _)| {
                // The stubs of Django's own classes define what Django's own fields do.
                !program.class_path(owner).starts_with("django.")
            })
        });
        return overrides || program.class(class).has_unknown_base;
    }
    if field.class.starts_with("django.") {
        return false;
    }
    // A class outside the program: known ones store a value of a kind, the others may do anything.
    let name = field.class.rsplit('.').next().unwrap_or("");
    field.has_hooks && (field.kind == FieldKind::Other || name.contains("Auto"))
}

/// A base class that could not be resolved may override anything; so may a class decorator or a descriptor of a
/// package that is not known.
pub fn unknown_bases(cx: &Context<'_>, model: ModelId, out: &mut Vec<Hazard>) {
    let info = cx.model(model);
    for (subject, site) in cx.project.unknown_parts(model) {
        out.push(Hazard::at(HazardKind::UnknownType, subject.clone(), *site));
    }
    if !info.has_unknown_base {
        return;
    }
    let program = cx.project.program();
    let unresolved = program.class(info.class).mro.iter().find_map(|id| {
        let class = program.class(*id);
        let base = class.bases.iter().zip(&class.base_nodes).find(|(def, _)| match def {
            Some(Def::Class(_)) => false,
            Some(Def::External(path)) => !path.starts_with("django.") && !path.starts_with("builtins."),
            _ => true,
        })?;
        Some(program.file(class.file).node(*base.1).text().to_owned())
    });
    let subject = unresolved.unwrap_or_else(|| info.name.clone());
    out.push(Hazard::at(HazardKind::UnknownType, subject, info.site));
}

/// Everything that a bulk insert of `model` leaves out of saving its rows one by one.
pub fn saving(cx: &Context<'_>, model: ModelId, out: &mut Vec<Hazard>) {
    custom_save(cx, model, out);
    save_receivers(cx, model, out);
    field_hooks(cx, model, out);
    unknown_bases(cx, model, out);
}

/// The functions of the project that give the defaults of the fields of `model`.
pub fn callable_defaults(project: &Project, model: ModelId) -> Vec<FunctionId> {
    field_functions(project, model, "default")
}

/// The functions of the project that make what is stored out of a field's value: `upload_to`, and the methods of
/// the project's own field classes that prepare values.
pub fn storing_functions(project: &Project, model: ModelId) -> Vec<FunctionId> {
    let program = project.program();
    let mut out = field_functions(project, model, "upload_to");
    for field in &project.model(model).fields {
        let Some(Def::Class(class)) = program.dotted(&field.class, None) else { continue };
        for name in ["get_prep_value", "get_db_prep_value", "get_db_prep_save"] {
            if let Some((owner, Member::Function(function, _))) = program.member(class, name)
                && !program.class_path(owner).starts_with("django.")
                && !out.contains(function)
            {
                out.push(*function);
            }
        }
    }
    out
}

/// The functions that an argument of the fields names: a function, a `partial()` of one, an instance that is called.
fn field_functions(project: &Project, model: ModelId, name: &str) -> Vec<FunctionId> {
    let program = project.program();
    let mut out = Vec::new();
    let given = project.model(model).fields.iter().flat_map(|f| &f.functions);
    for (_, file, node) in given.filter(|(key, ..)| *key == name) {
        let resolve = |node: Node<'_>| program.resolve_expr(*file, node.peel().id());
        let mut value = program.file(*file).node(*node);
        let mut is_made = false;
        if let Expr::Call { func, arguments } = Expr::of(value) {
            is_made = true;
            value = match crate::python::arguments(arguments).first() {
                Some(first) if func.text().ends_with("partial") => first.value,
                _ => func,
            };
        }
        match resolve(value) {
            Some(Def::Function(function)) => out.push(function),
            Some(Def::Class(class)) if is_made => {
                if let Some((_, Member::Function(function, _))) = program.member(class, "__call__") {
                    out.push(*function);
                }
            }
            _ => {}
        }
    }
    out
}

// ---- what an event does to tables ----

/// What stands between two statements that a rewrite moves past each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Rows of one of the tables may be read.
    Reads,
    /// Rows of one of the tables may be written.
    Writes(Write),
    /// Rows of other tables are written.
    WritesOther(ModelId, Write),
    /// Something outside the database and the frame happens.
    Outside,
    /// Anything may happen.
    Unknown,
    /// A transaction begins, ends, or is given something to do at its end.
    Transaction,
    /// An exception may be raised on purpose.
    Raises,
    /// Others run here.
    Suspends,
}

/// Whether rows of `model` stand (also) in the table of `table`.
pub fn shares_table(project: &Project, model: ModelId, table: ModelId) -> bool {
    let tables = |id: ModelId| {
        let concrete = project.model(id).concrete;
        let mut out = vec![concrete];
        let mut next = 0;
        while let Some(id) = out.get(next).copied() {
            next += 1;
            for parent in &project.model(id).table_parents {
                let parent = project.model(*parent).concrete;
                if !out.contains(&parent) {
                    out.push(parent);
                }
            }
        }
        out
    };
    let (a, b) = (tables(model), tables(table));
    a.iter().any(|t| b.contains(t))
}

/// What `event` does, seen from `tables`; `None` where it does not matter to them.
pub fn effect(cx: &Context<'_>, event: Event<'_>, tables: &[ModelId]) -> Option<Effect> {
    let touches = |model: ModelId| tables.iter().any(|t| shares_table(cx.project, model, *t));
    match &event.kind {
        EventKind::Query { model: None } => Some(Effect::Reads),
        EventKind::Query { model: Some(model) } | EventKind::ReadMany { model, .. } => {
            touches(*model).then_some(Effect::Reads)
        }
        EventKind::Write { model: None, write } => Some(Effect::Writes(*write)),
        EventKind::Write { model: Some(model), write } if touches(*model) => Some(Effect::Writes(*write)),
        EventKind::Write { model: Some(model), write } => Some(Effect::WritesOther(*model, *write)),
        EventKind::Outside { .. } => Some(Effect::Outside),
        EventKind::UnknownCall { .. } | EventKind::CallNamed { .. } => Some(Effect::Unknown),
        EventKind::Transaction { .. } => Some(Effect::Transaction),
        EventKind::Raise => Some(Effect::Raises),
        EventKind::Suspend => Some(Effect::Suspends),
        EventKind::ReadRelation { .. }
        | EventKind::ReadAttribute { .. }
        | EventKind::WriteAttribute { .. }
        | EventKind::InstanceMethod { .. }
        | EventKind::InstanceEscapes { .. }
        | EventKind::Log => None,
        // Whoever gets a queryset may ask it for its rows.
        EventKind::Use { value, how: Use::Escape(how) } => {
            let queryset = cx.value(*value).and_then(|v| v.queryset.as_ref());
            let reads = queryset.is_none_or(|qs| touches(qs.model) || qs.joined.iter().any(|m| touches(*m)));
            (reads && *how != Escape::Return).then_some(Effect::Reads)
        }
        EventKind::Use { .. } => None,
    }
}

/// The innermost node in the event's own file that has exactly the span of what happens.
pub fn node_of<'a>(cx: &Context<'a>, event: Event<'_>) -> Option<Node<'a>> {
    let file = cx.project.program().file(event.site.file);
    let root = file.root();
    let start = event.site.span.start;
    // Nodes stand in preorder: their starts only grow.
    let (mut low, mut high) = (0, file.ast.len() as u32);
    while low < high {
        let middle = low + (high - low) / 2;
        if root.at(NodeId(middle)).span().start < start {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    (low..file.ast.len() as u32)
        .map(|id| root.at(NodeId(id)))
        .take_while(|n| n.span().start == start)
        .filter(|n| n.span() == event.site.span)
        .last()
}

/// Whether the event happens inside a function that the frame calls, rather than in the frame itself.
pub fn is_in_callee(cx: &Context<'_>, event: Event<'_>) -> bool {
    event.site.file != cx.file || event.site.span != cx.node(event.at).span()
}

/// How a message names what happens at `event`: the whole call where the frame's own code does it, the function
/// called where it happens inside of one.
pub fn call_subject(cx: &Context<'_>, event: Event<'_>) -> String {
    if is_in_callee(cx, event) {
        return callee_subject(cx, event);
    }
    one_line(cx.node(event.at).text())
}

/// How a message names the function that is called at `event`.
pub fn callee_subject(cx: &Context<'_>, event: Event<'_>) -> String {
    let node = cx.node(event.at).peel();
    match Expr::of(node) {
        Expr::Call { func, .. } => one_line(func.text()),
        _ => one_line(node.text()),
    }
}

/// Source text on one line, for a message.
pub fn one_line(text: &str) -> String {
    if !text.contains('\n') {
        return text.to_owned();
    }
    let mut out = String::new();
    for (i, line) in text.lines().map(str::trim).enumerate() {
        let glued = i == 0 || out.ends_with(['(', '[', '{']) || line.starts_with([')', ']', '}', '.']);
        if !glued {
            out.push(' ');
        }
        if line.starts_with([')', ']', '}']) && out.ends_with(',') {
            out.pop();
        }
        out.push_str(line);
    }
    out
}
