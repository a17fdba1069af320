//! What the model adds: how its instances are made, and what runs while they are saved.

use super::find::Unit;
use super::hazards::{Judged, attribute, unsaved};
use ormend_engine::codemod::guards::integer::is_integer;
use ormend_engine::codemod::guards::loads::Load;
use ormend_engine::codemod::guards::{instance, writes};
use ormend_engine::codemod::{Context, Hazard, HazardKind, Site};
use ormend_engine::django::Signal;
use ormend_engine::infer::{EventKind, Root, Type};
use ormend_engine::python::{Def, Expr, FunctionId, Kind, Member, Node, NodeId, Stmt, arguments, parameters};

/// What makes the number in memory another one than the row's.
pub fn instances<'a>(cx: &Context<'a>, unit: &Unit<'a>, out: &mut Vec<Hazard>) {
    writes::unknown_bases(cx, unit.model, out);
    let program = cx.project.program();
    // A package that was not found may do anything.
    let known = ["django.", "builtins.", "abc.", "typing."];
    for base in &program.class(cx.model(unit.model).class).external_bases {
        if !known.iter().any(|k| base.starts_with(k)) {
            let name = base.rsplit('.').next().unwrap_or(base);
            out.push(Hazard::at(HazardKind::UnknownType, name, cx.model(unit.model).site));
        }
    }
    let class = cx.model(unit.model).class;
    let columns = unit.columns();
    for name in ["__init__", "from_db", "__setattr__", "__getattribute__", "__getattr__"] {
        for owner in &program.class(class).mro {
            let Some(Member::Function(function, _)) = program.class(*owner).members.get(name) else {
                continue;
            };
            let info = program.function(*function);
            let node = program.file(info.file).node(info.node);
            if cx.project.is_known_file(info.file) || (name.len() <= 8 && leaves_columns(node, &columns)) {
                continue;
            }
            let subject = format!("{}.{name}", program.class(*owner).name);
            let site = Site { file: info.file, span: node.span() };
            out.push(Hazard::at(HazardKind::CustomInstance, subject, site));
        }
    }
    if cx.assumes_no_signals(unit.model) {
        return;
    }
    for receiver in cx.project.receivers(unit.model, Signal::PostInit) {
        // Trackers of changes remember values, they change none.
        if receiver.function.is_none() && receiver.name == "FieldTracker" {
            continue;
        }
        out.push(Hazard::at(HazardKind::CustomInstance, receiver.name.clone(), receiver.site));
    }
}

/// Whether `__init__` or `from_db` certainly leaves the columns as they came: it names none of them to assign it, and
/// hands the instance to nothing.
fn leaves_columns(function: Node<'_>, columns: &[&str]) -> bool {
    let receiver = parameters(function).first().map_or("self", |p| p.name);
    let mut instances = vec![receiver];
    // `instance = super().from_db(...)`
    for node in function.descendants().filter(|n| n.kind() == Kind::ExprStatement) {
        if let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(node)
            && let [target] = targets.as_slice()
            && value.text().starts_with("super(")
        {
            instances.push(target.text());
        }
    }
    function.descendants().all(|node| match node.kind() {
        Kind::Name if matches!(node.text(), "setattr" | "vars" | "__dict__" | "field_names") => {
            node.text() == "field_names" && !is_left(node)
        }
        Kind::Name if instances.contains(&node.text()) => {
            let Some(parent) = node.parent() else { return false };
            match parent.kind() {
                Kind::Attribute => {
                    let call = parent.parent().is_some_and(|p| p.kind() == Kind::Call);
                    let attribute = parent.text().rsplit('.').next().unwrap_or("");
                    let assigns = is_left(parent) && columns.contains(&attribute);
                    !call && !assigns
                }
                Kind::Parameters | Kind::TypedParameter | Kind::Return => true,
                Kind::Assign => is_left(node),
                // `super(Book, self)`
                Kind::Arguments => parent.parent().is_some_and(|c| c.text().starts_with("super(")),
                _ => false,
            }
        }
        // The values that a row is made of are passed on as they came.
        Kind::Call if node.text().starts_with("super()") && node.text().contains("values") => node
            .child(ormend_engine::python::Field::Arguments)
            .is_none_or(|list| arguments(list).iter().all(|a| matches!(Expr::of(a.value), Expr::Name(_)))),
        Kind::Subscript => !is_left(node) || !node.text().starts_with("kwargs"),
        _ => true,
    })
}

fn is_left(node: Node<'_>) -> bool {
    node.field() == ormend_engine::python::Field::Left
}

/// `get_or_create(n=...)`, `defaults={"n": ...}`: a new row has in memory what it was given.
pub fn upsert<'a>(cx: &Context<'a>, unit: &Unit<'a>, load: &Load<'a>, out: &mut Judged<'a>) {
    if !load.method.contains("or_create") {
        return;
    }
    let Expr::Call { arguments: list, .. } = Expr::of(load.call) else { return };
    let columns = unit.columns();
    let names =
        |name: Option<&str>| name.is_some_and(|n| columns.contains(&n.split("__").next().unwrap_or(n)));
    for argument in arguments(list) {
        let given = match argument.name {
            Some("defaults" | "create_defaults") => match Expr::of(argument.value) {
                Expr::Dict(dict) => dict.children().any(|pair| {
                    let key = pair.child(ormend_engine::python::Field::Key);
                    let value = pair.child(ormend_engine::python::Field::Value);
                    match (key.and_then(ormend_engine::python::string_value), value) {
                        (Some(key), Some(value)) if names(Some(&key)) => {
                            out.can_narrow = false;
                            !is_integer(cx, value)
                        }
                        (Some(_), Some(_)) => false,
                        _ => true,
                    }
                }),
                _ => true,
            },
            name => {
                if names(name) {
                    out.can_narrow = false;
                }
                argument.stars > 0 || (names(name) && !is_integer(cx, argument.value))
            }
        };
        if given {
            out.hazards.push(unsaved(cx, unit, load.statement));
        }
    }
}

/// Whether `save()` of this model stores columns and does nothing else, so that it can be told to store a few only.
pub fn is_narrow_model(cx: &Context<'_>, unit: &Unit<'_>) -> bool {
    let model = cx.model(unit.model);
    ["save", "asave", "save_base", "_do_update", "_save_table"]
        .iter()
        .all(|n| cx.project.override_of(unit.model, n).is_none())
        && (cx.assumes_no_signals(unit.model)
            || [Signal::PreSave, Signal::PostSave]
                .iter()
                .all(|s| cx.project.receivers(unit.model, *s).is_empty()))
        && cx.model(model.concrete).table_parents.is_empty()
        && !model.has_unknown_base
        && model.fields.iter().all(|f| {
            (f.class.starts_with("django.") || f.is_auto)
                && !f.class.ends_with(".ImageField")
                && !f.may_auto_now
        })
}

/// What `save()` overrides and receivers do with the instance.
pub fn saving<'a>(cx: &Context<'a>, unit: &Unit<'a>, out: &mut Judged<'a>) {
    let program = cx.project.program();
    let columns = unit.columns();
    let class = cx.model(unit.model).class;
    let instance = Type::Instance(ormend_engine::infer::Instance::root(unit.model, Root::Opaque));
    for owner in &program.class(class).mro {
        let names: &[&str] =
            if unit.save.is_async { &["save", "save_base", "asave"] } else { &["save", "save_base"] };
        for name in names {
            let Some(member) = program.class(*owner).members.get(*name) else { continue };
            let owner_name = &program.class(*owner).name;
            match member {
                Member::Function(function, _) => {
                    watch(cx, unit, *function, 0, &instance, &format!("{owner_name}.{name}"), &columns, out);
                }
                _ => {
                    let info = program.class(*owner);
                    let site = Site { file: info.file, span: program.file(info.file).node(info.node).span() };
                    let subject = format!("{owner_name}.{name}");
                    out.hazards.push(Hazard::at(HazardKind::SaveSeesExpression, subject, site));
                }
            }
        }
    }
    for name in ["save", "save_base"] {
        if let Some(site) = cx.project.patch_of(unit.model, name) {
            let subject = format!("{}.{name}", cx.model(unit.model).name);
            out.hazards.push(Hazard::at(HazardKind::SaveSeesExpression, subject, site));
        }
    }
    // A field of the project's own may look at the other columns.
    for field in cx.model(unit.model).fields.iter().filter(|f| !f.class.starts_with("django.")) {
        // The counter's own class is a FieldHook already.
        if columns.contains(&field.name.as_str()) {
            continue;
        }
        let Some(Def::Class(id)) = program.dotted(&field.class, None) else { continue };
        if let Some((_, Member::Function(function, _))) = program.member(id, "pre_save")
            && !cx.project.is_known_file(program.function(*function).file)
            && instance::looks_at(cx, *function, 1, &instance, &columns)
        {
            let info = program.function(*function);
            let site = Site { file: info.file, span: program.file(info.file).node(info.node).span() };
            let subject = format!("{}.pre_save", program.class(id).name);
            out.hazards.push(Hazard::at(HazardKind::SaveSeesExpression, subject, site));
        }
    }
    if cx.assumes_no_signals(unit.model) {
        return;
    }
    for signal in [Signal::PreSave, Signal::PostSave] {
        for receiver in cx.project.receivers(unit.model, signal) {
            let Some(function) = receiver.function else {
                let hazard = Hazard::at(HazardKind::SaveSeesExpression, receiver.name.clone(), receiver.site);
                out.hazards.push(hazard);
                continue;
            };
            let info = program.function(function);
            let def = program.file(info.file).node(info.node);
            let params = parameters(def);
            let parameter = params.iter().position(|p| p.name == "instance");
            match parameter {
                Some(parameter) => {
                    watch(cx, unit, function, parameter, &instance, &receiver.name, &columns, out);
                }
                None if def.text().contains("instance") => {
                    let site = Site { file: info.file, span: def.span() };
                    out.hazards.push(Hazard::at(HazardKind::SaveSeesExpression, receiver.name.clone(), site));
                }
                None => {}
            }
        }
    }
}

/// What a `save()` override or a receiver does with the instance.
#[allow(clippy::too_many_arguments)]
fn watch<'a>(
    cx: &Context<'a>,
    unit: &Unit<'a>,
    function: FunctionId,
    parameter: usize,
    instance: &Type,
    name: &str,
    columns: &[&str],
    out: &mut Judged<'a>,
) {
    let program = cx.project.program();
    let info = program.function(function);
    if cx.project.is_known_file(info.file) {
        return;
    }
    let def = program.file(info.file).node(info.node);
    let facts = instance::called_with(cx, function, parameter, instance);
    // What super().save() runs is looked at on its own.
    let is_super = |at: NodeId| {
        let text = def.at(at).text();
        text.starts_with("super(")
            && [".save(", ".asave(", ".save_base("].iter().any(|call| text.contains(call))
    };
    let mut saves: Vec<NodeId> = Vec::new();
    for event in facts.events() {
        match &event.kind {
            EventKind::InstanceMethod { root, path, name }
                if instance::is_parameter(*root, path, parameter) =>
            {
                match &**name {
                    "save" | "asave" | "save_base" => {
                        if is_super(event.at) && (saves.is_empty() || saves.contains(&event.at)) {
                            saves.push(event.at);
                        } else {
                            // The expression would count twice.
                            see(unit, event.site, out);
                        }
                    }
                    "full_clean" | "clean_fields" | "clean" | "validate_constraints" => {
                        let text = program.file(event.site.file).source.slice(event.site.span);
                        let subject = writes::one_line(text);
                        out.hazards.push(Hazard::at(HazardKind::ValidationSkipped, subject, event.site));
                    }
                    _ => {}
                }
            }
            _ if is_super(event.at) => {}
            EventKind::ReadAttribute { root, path, name }
                if instance::is_parameter(*root, path, parameter) && columns.contains(&&**name) =>
            {
                see(unit, event.site, out);
            }
            EventKind::InstanceEscapes { root, path, .. }
                if instance::is_parameter(*root, path, parameter) =>
            {
                let site = Site { file: info.file, span: def.span() };
                out.hazards.push(Hazard::at(HazardKind::SaveSeesExpression, name, site));
            }
            _ => {}
        }
    }
}

fn see(unit: &Unit<'_>, site: Site, out: &mut Judged<'_>) {
    out.hazards.push(Hazard::at(HazardKind::ValueReadAfterwards, attribute(unit), site));
}
