//! Guards of eager loading: a copy that is made with the rows must be the object that a later read would have given.
//!
//! Every guard looks at the relations from a row as [`Step`]s.

use super::descriptors;
use super::reads::Load;
use super::step::Step;
use crate::codemod::{Hazard, HazardKind};
use crate::django::{ModelId, Project, Signal};
use crate::infer::{Event, EventKind, Write};
use crate::python::{Def, Expr, Field, FunctionId, Kind, Member, Node, Stmt, arguments};
use crate::text::{FileId, Site};
use std::cell::LazyCell;
use std::collections::BTreeSet;

/// A join copies the related rows: none of `events`, which happen between the copy and its last use, may change them.
pub fn stale_copies<'e>(
    project: &Project,
    events: impl IntoIterator<Item = Event<'e>>,
    steps: &[Step],
    out: &mut Vec<Hazard>,
) {
    let through = |s: &Step| s.through.into_iter().flat_map(|m| project.tables(m));
    let of = |s: &Step| match s.is_generic {
        true => project.models().iter().map(|m| m.id).collect(),
        false => project.tables(s.to).iter().chain(through(s)).copied().collect::<Vec<_>>(),
    };
    let related = LazyCell::new(|| steps.iter().flat_map(of).collect::<BTreeSet<ModelId>>());
    let may_appear = LazyCell::new(|| {
        let new = steps.iter().filter(|s| !s.is_forward || s.is_generic);
        new.flat_map(of).collect::<BTreeSet<ModelId>>()
    });
    // Rows that go take their links along.
    let linked = LazyCell::new(|| {
        let links = steps.iter().filter(|s| s.is_linked);
        links.flat_map(|s| project.tables(s.from)).copied().collect::<BTreeSet<ModelId>>()
    });
    let events: Vec<Event<'_>> = events.into_iter().collect();
    for event in &events {
        match &event.kind {
            EventKind::Write { model, write } => {
                let name = called_name(project, event.site);
                let harmful = match (model, write) {
                    // A queryset's delete() is recorded once for its own rows and once for what they take along.
                    (None, Write::Delete) => !events.iter().any(|other| {
                        other.site == event.site
                            && matches!(other.kind, EventKind::Write { model: Some(_), write: Write::Delete })
                    }),
                    (None, _) => true,
                    (Some(model), Write::Delete) => {
                        let gone = project.deleted_with(*model);
                        !gone.is_disjoint(&related) || !gone.is_disjoint(&linked)
                    }
                    // A new row is nobody's related object yet, except on the other side of a one-to-one.
                    (Some(model), Write::Insert) if only_inserts(project, event.site, &name) => {
                        !project.tables(*model).is_disjoint(&may_appear)
                    }
                    (Some(model), _) => {
                        !project.tables(*model).is_disjoint(&related)
                            || links_from_there(project, steps, *model, event.site)
                    }
                };
                if harmful {
                    let is_guess = event.is_guess || *write == Write::Unknown;
                    let kind = if is_guess { HazardKind::UnknownWrite } else { HazardKind::StaleCopy };
                    out.push(Hazard::at(kind, format!("{name}()"), event.site));
                }
            }
            // What was read before comes back as it was.
            EventKind::Transaction { name } if name.contains("rollback") => {
                out.push(Hazard::at(HazardKind::StaleCopy, format!("{name}()"), event.site));
            }
            EventKind::UnknownCall { name } | EventKind::CallNamed { name, .. } => {
                let name = name.trim_end_matches("()");
                out.push(Hazard::at(HazardKind::UnknownWrite, format!("{name}()"), event.site));
            }
            _ => {}
        }
    }
}

/// Whether the call at `site` writes links of one of the relations from its other end: `tag.books.add(book)`.
fn links_from_there(project: &Project, steps: &[Step], model: ModelId, site: Site) -> bool {
    const LINKING: &[&str] = &["add", "remove", "set", "clear", "aadd", "aremove", "aset", "aclear"];
    if !LINKING.contains(&called_name(project, site).as_str()) {
        return false;
    }
    let accessor = node_at(project, site).and_then(|call| {
        let Expr::Call { func, .. } = Expr::of(call) else { return None };
        let Expr::Attribute { value, .. } = Expr::of(func) else { return None };
        match Expr::of(value) {
            Expr::Attribute { attr, .. } => Some(attr),
            _ => None,
        }
    });
    let written = project.tables(model);
    steps.iter().any(|step| {
        step.is_linked
            && !project.tables(step.from).is_disjoint(written)
            && step.back.as_deref().is_some_and(|back| accessor.is_none_or(|a| a == back))
    })
}

/// Making an instance of a related model must do nothing that anybody can see.
pub fn watched_inits(project: &Project, steps: &[Step], out: &mut Vec<Hazard>) {
    for step in steps.iter().filter(|s| !s.is_generic) {
        let model = project.model(step.to);
        if model.has_unknown_base || has_foreign_base(project, step.to) {
            out.push(Hazard::at(HazardKind::UnknownBase, model.name.clone(), model.site));
        }
        for name in ["__init__", "from_db", "__new__"] {
            if let Some(site) = project.override_of(step.to, name)
                && !is_plain_init(project, step.to, name)
            {
                let subject = format!("{}.{name}", model.name);
                out.push(Hazard::at(HazardKind::WatchedInit, subject, site));
            }
        }
        for signal in [Signal::PreInit, Signal::PostInit] {
            for receiver in project.receivers(step.to, signal) {
                let site = receiver.function.map_or(receiver.site, |f| {
                    let info = project.program().function(f);
                    let node = project.program().file(info.file).node(info.node);
                    Site { file: info.file, span: node.span() }
                });
                out.push(Hazard::at(HazardKind::WatchedInit, receiver.name.clone(), site));
            }
        }
    }
}

/// Whether a base class stands in a package that nobody has read.
pub fn has_foreign_base(project: &Project, model: ModelId) -> bool {
    const HARMLESS: &[&str] = &["django", "builtins", "abc", "typing", "typing_extensions"];
    let program = project.program();
    program.class(project.model(model).class).mro.iter().any(|class| {
        program.class(*class).external_bases.iter().any(|base| {
            let package = base.split('.').next().unwrap_or(base);
            !HARMLESS.contains(&package)
        })
    })
}

/// A read goes through the descriptor of the field and the related model's base manager, a join through neither; a key
/// without a constraint may point at no row.
pub fn joined_differs(project: &Project, steps: &[Step], load: Load, out: &mut Vec<Hazard>) {
    descriptors::own(project, steps, out);
    for step in steps.iter().filter(|s| !s.is_many && !s.is_generic) {
        let target = project.model(step.to);
        // A prefetch goes through the base manager, as the read does.
        if load == Load::Join
            && let Some(name) = &target.base_manager_name
            && !project.is_plain_manager(step.to, name)
        {
            let site = base_manager_site(project, step.to).unwrap_or(target.site);
            out.push(Hazard::at(HazardKind::RelatedBaseManager, target.name.clone(), site));
        }
        if !step.is_forward {
            continue;
        }
        let from = project.model(step.from);
        let Some(field) = from.field(&step.attribute) else { continue };
        let constrained = field.relation.as_ref().is_some_and(|r| r.db_constraint) && from.is_managed;
        if !constrained {
            let subject = format!("{}.{}", from.name, field.name);
            out.push(Hazard::at(HazardKind::NoConstraint, subject, field.site));
        }
    }
}

/// A row behind a generic foreign key may be of any model.
pub fn generic_targets(project: &Project, steps: &[Step], out: &mut Vec<Hazard>) {
    for step in steps.iter().filter(|s| s.is_generic) {
        let from = project.model(step.from);
        let Some(field) = from.field(&step.attribute) else { continue };
        let subject = format!("{}.{}", from.name, field.name);
        out.push(Hazard::at(HazardKind::GenericRows, subject, field.site));
        // One that makes rows of other classes: Django looks for those of the class itself.
        for model in project.models().iter().filter(|m| !m.is_abstract) {
            if let Some(name) = &model.base_manager_name
                && !project.is_plain_manager(model.id, name)
            {
                let site = base_manager_site(project, model.id).unwrap_or(model.site);
                out.push(Hazard::at(HazardKind::GenericManager, model.name.clone(), site));
            }
        }
    }
}

/// Whether the call at `site` can make new rows only: not an upsert, and not save() on a key that was given.
fn only_inserts(project: &Project, site: Site, name: &str) -> bool {
    match name {
        "create" | "acreate" | "get_or_create" | "aget_or_create" => true,
        "bulk_create" | "abulk_create" => {
            node_at(project, site).is_some_and(|n| !n.text().contains("update_conflicts"))
        }
        _ => false,
    }
}

/// Whether an override of `__init__` or `from_db` does nothing but call the original and keep values on the instance.
fn is_plain_init(project: &Project, model: ModelId, name: &str) -> bool {
    let Some(function) = project.method(model, name) else { return false };
    let known = project.model(model);
    let is_relation = |attr: &str| known.field(attr).is_some() || known.field_by_attname(attr).is_some();
    let is_column = |attr: &str| {
        known.field(attr).map_or_else(
            || known.field_by_attname(attr).is_some() || attr == "pk",
            |f| f.relation.is_none() && f.kind.is_plain_column(),
        )
    };
    keeps_to_itself(project, function, &is_relation, &is_column, 0)
}

/// Whether a method only calls the original and keeps values on its object, those that such constructors make among
/// them. `is_field` are attributes that it must not assign, `is_column` those that it may read.
fn keeps_to_itself(
    project: &Project,
    function: FunctionId,
    is_field: &dyn Fn(&str) -> bool,
    is_column: &dyn Fn(&str) -> bool,
    depth: usize,
) -> bool {
    let program = project.program();
    let info = program.function(function);
    let def = program.file(info.file).node(info.node);
    let Some(body) = def.child(Field::Body).filter(|_| depth < 3) else { return false };
    let is_super = |n: Node<'_>| match Expr::of(n) {
        Expr::Call { func, .. } => {
            func.text() == format!("super().{}", info.name)
                && n.descendants().filter(|d| d.kind() == Kind::Call).count() == 2
        }
        _ => false,
    };
    let makes = |func: Node<'_>, list: Node<'_>| {
        let is_simple =
            arguments(list).iter().all(|a| matches!(Expr::of(a.value), Expr::Name(_) | Expr::None));
        let class = match program.resolve_expr(info.file, func.peel().id()) {
            Some(Def::Class(class)) => class,
            Some(Def::External(path)) => {
                return matches!(path.as_str(), "builtins.set" | "builtins.dict" | "builtins.list")
                    && arguments(list).is_empty();
            }
            _ => return false,
        };
        let class_info = program.class(class);
        let is_known =
            !class_info.has_unknown_base && class_info.external_bases.iter().all(|b| b == "builtins.object");
        is_simple
            && is_known
            && project.model_of_class(class).is_none()
            && match program.member(class, "__init__") {
                Some((_, Member::Function(init, _))) => {
                    keeps_to_itself(project, *init, &|_| false, &|_| false, depth + 1)
                }
                Some(_) => false,
                None => true,
            }
    };
    body.children().all(|statement| match Stmt::of(statement) {
        Stmt::Expr(e) => matches!(Expr::of(e), Expr::Str(_)) || is_super(e),
        Stmt::Pass => true,
        Stmt::Return(Some(e)) => is_super(e) || matches!(Expr::of(e), Expr::Name(_)),
        Stmt::Assign { targets, value: Some(value), .. } => {
            let own = |t: &Node<'_>| match Expr::of(*t) {
                Expr::Name(_) => true,
                Expr::Attribute { value, attr, .. } => {
                    matches!(Expr::of(value), Expr::Name("self" | "instance")) && !is_field(attr)
                }
                _ => false,
            };
            let plain = match Expr::of(value) {
                Expr::Attribute { value, attr, .. } => {
                    matches!(Expr::of(value), Expr::Name("self" | "instance")) && is_column(attr)
                }
                Expr::None | Expr::True | Expr::False | Expr::Int(_) | Expr::Str(_) => true,
                // A parameter of a constructor that is kept.
                Expr::Name(_) => depth > 0,
                Expr::Dict(n) | Expr::List(n) => n.children().next().is_none(),
                Expr::Call { func, arguments: list } if !is_super(value) => makes(func, list),
                _ => is_super(value),
            };
            targets.iter().all(own) && plain
        }
        Stmt::Assign { value: None, .. } => true,
        _ => false,
    })
}

/// The line of `Meta` that sets `base_manager_name`, of the model or the base that it has it from.
fn base_manager_site(project: &Project, model: ModelId) -> Option<Site> {
    let program = project.program();
    program.class(project.model(model).class).mro.iter().find_map(|class| {
        let class = program.class(*class);
        let node = program.file(class.file).node(class.node);
        let assign = node.descendants().find(|n| {
            n.kind() == Kind::Assign
                && n.child(crate::python::Field::Left).is_some_and(|l| l.text() == "base_manager_name")
        })?;
        Some(Site { file: class.file, span: assign.span() })
    })
}

/// The node whose span is `site`: the innermost of several.
pub fn node_at(project: &Project, site: Site) -> Option<Node<'_>> {
    if site.file == FileId::default() && site.span.is_empty() {
        return None;
    }
    project.program().file(site.file).root().at_span(site.span)
}

/// The name by which the call at `site` calls.
pub fn called_name(project: &Project, site: Site) -> String {
    let Some(node) = node_at(project, site) else { return "...".to_owned() };
    let func = match Expr::of(node) {
        Expr::Call { func, .. } => func,
        _ => node,
    };
    match Expr::of(func) {
        Expr::Attribute { attr, .. } => attr.to_owned(),
        Expr::Name(name) => name.to_owned(),
        _ => first_line(func).to_owned(),
    }
}

/// The first line of a node's text, to name it by.
pub fn first_line(node: Node<'_>) -> &str {
    node.text().lines().next().unwrap_or("...")
}
