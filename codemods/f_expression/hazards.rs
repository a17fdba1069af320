//! What could make an expression differ from the number: the column, the operands, the model, and everything that
//! happens to the row and the instance between the load and the end of the function.

use super::find::{Change, Unit};
use super::origin::{Load, Origin, origins};
use ormend_engine::codemod::guards::instance::{self, Mention, MentionKind};
use ormend_engine::codemod::guards::{flow, writes};
use ormend_engine::codemod::{Context, Hazard, HazardKind, Site};
use ormend_engine::django::{FieldKind, ModelId, Signal};
use ormend_engine::infer::{EventKind, Root, Trait, Type};
use ormend_engine::python::{Def, Expr, FunctionId, Kind, Member, Node, NodeId, Stmt, arguments, parameters};

/// What is known of a unit after every check.
pub struct Judged<'a> {
    /// The loads that may have made the instance.
    pub loads: Vec<Load<'a>>,
    /// The first place that looks at the instance, or has it.
    pub seen: Option<Site>,
    /// `save()` writes nothing but the counters and the auto_now columns.
    pub can_narrow: bool,
    /// Other obstacles.
    pub hazards: Vec<Hazard>,
}

/// Everything about one unit; `None` where it is not the pattern.
pub fn judge<'a>(cx: &Context<'a>, unit: &Unit<'a>, others: &[Unit<'a>]) -> Option<Judged<'a>> {
    let origins = origins(cx, unit)?;
    let mut out = Judged { loads: Vec::new(), seen: None, can_narrow: true, hazards: Vec::new() };
    columns(cx, unit, &mut out.hazards);
    instances(cx, unit, &mut out.hazards);
    let mut held = None;
    for origin in origins {
        match origin {
            Origin::Loaded(load) => {
                upsert(cx, unit, &load, &mut out);
                out.loads.push(load);
            }
            Origin::Constructed(at) => {
                out.hazards.push(cx.hazard(HazardKind::UnsavedInstance, unit.owner.text(), at));
            }
            Origin::Created(at) => out.hazards.push(unsaved(cx, unit, at)),
            Origin::Held(at) => held = held.or(Some(at)),
        }
    }
    if let Some(at) = held {
        out.seen = Some(cx.site(at));
        out.can_narrow = false;
    }
    saving(cx, unit, &mut out);
    if unit.subject.is_some() {
        life(cx, unit, &mut out);
    }
    between(cx, unit, others, &mut out);
    if unit.save.update_fields.is_some() || !is_narrow_model(cx, unit) {
        out.can_narrow = false;
    }
    Some(out)
}

fn unsaved<'a>(cx: &Context<'a>, unit: &Unit<'a>, at: Node<'a>) -> Hazard {
    cx.hazard(HazardKind::OtherUnsavedChanges, attribute(unit), at)
}

/// `book.view_count`
pub fn attribute(unit: &Unit<'_>) -> String {
    let column = unit.changes.first().map_or("", |c| c.column);
    format!("{}.{column}", unit.owner.text())
}

// ---- columns and operands ----

fn columns<'a>(cx: &Context<'a>, unit: &Unit<'a>, out: &mut Vec<Hazard>) {
    for change in &unit.changes {
        let field = change.field;
        if !field.class.starts_with("django.") {
            // A class of the project's own, or of a package, may change what is stored.
            let class = match cx.project.program().dotted(&field.class, None) {
                Some(Def::Class(id)) => {
                    let class = cx.project.program().class(id);
                    let file = cx.project.program().file(class.file);
                    Site { file: class.file, span: file.node(class.node).span() }
                }
                _ => field.site,
            };
            out.push(Hazard::at(HazardKind::FieldHook, &*field.name, class));
        }
        if field.kind != FieldKind::Integer {
            out.push(cx.hazard(HazardKind::FieldArithmetic, &*field.name, change.statement));
            continue;
        }
        if field.null {
            out.push(cx.hazard(HazardKind::NullableField, &*field.name, change.statement));
        }
        for operand in change.operands.iter().filter(|o| !is_integer(cx, **o)) {
            let text = writes::one_line(operand.peel().text());
            out.push(cx.hazard(HazardKind::UnprovenOperand, text, change.statement));
        }
    }
}

/// Whether the operand is certainly an `int` and no bool.
fn is_integer<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    if *cx.type_of(node) != Type::Int {
        return false;
    }
    match Expr::of(node) {
        Expr::Attribute { value, attr, .. } => match cx.type_of(value).instance() {
            Some(instance) => {
                let model = cx.model(instance.model);
                let field = model.field(attr).or_else(|| model.field_by_attname(attr));
                attr == "pk" || field.is_some_and(|f| f.class.starts_with("django.") || f.is_auto)
            }
            None => true,
        },
        Expr::BinOp { left, right, .. } => is_integer_or_bool(cx, left) && is_integer_or_bool(cx, right),
        Expr::UnaryOp { operand, .. } => is_integer_or_bool(cx, operand),
        Expr::IfExp { body, orelse, .. } => is_integer(cx, body) && is_integer(cx, orelse),
        _ => true,
    }
}

fn is_integer_or_bool<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    *cx.type_of(node) == Type::Bool || is_integer(cx, node)
}

// ---- the model ----

/// What makes the number in memory another one than the row's.
fn instances<'a>(cx: &Context<'a>, unit: &Unit<'a>, out: &mut Vec<Hazard>) {
    writes::unknown_bases(cx, unit.model, out);
    let program = cx.project.program();
    let class = cx.model(unit.model).class;
    let columns = unit.columns();
    for name in ["__init__", "from_db", "__setattr__", "__getattribute__", "__getattr__"] {
        for owner in &program.class(class).mro {
            let Some(Member::Function(function, _)) = program.class(*owner).members.get(name) else { continue };
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
                    !call && !(is_left(parent) && columns.contains(&attribute))
                }
                Kind::Parameters | Kind::TypedParameter | Kind::Return => true,
                Kind::Assign => is_left(node),
                // `super(Book, self)`
                Kind::Arguments => parent.parent().is_some_and(|c| c.text().starts_with("super(")),
                _ => false,
            }
        }
        // The values that a row is made of are passed on as they came.
        Kind::Call if node.text().starts_with("super()") && node.text().contains("values") => {
            node.child(ormend_engine::python::Field::Arguments).is_none_or(|list| {
                arguments(list).iter().all(|a| matches!(Expr::of(a.value), Expr::Name(_)))
            })
        }
        Kind::Subscript => !is_left(node) || !node.text().starts_with("kwargs"),
        _ => true,
    })
}

fn is_left(node: Node<'_>) -> bool {
    node.field() == ormend_engine::python::Field::Left
}

/// `get_or_create(n=...)`, `defaults={"n": ...}`: a new row has in memory what it was given.
fn upsert<'a>(cx: &Context<'a>, unit: &Unit<'a>, load: &Load<'a>, out: &mut Judged<'a>) {
    if !load.method.contains("or_create") {
        return;
    }
    let Expr::Call { arguments: list, .. } = Expr::of(load.call) else { return };
    let columns = unit.columns();
    let names = |name: Option<&str>| name.is_some_and(|n| columns.contains(&n.split("__").next().unwrap_or(n)));
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
fn is_narrow_model(cx: &Context<'_>, unit: &Unit<'_>) -> bool {
    let model = cx.model(unit.model);
    ["save", "save_base", "_do_update", "_save_table"].iter().all(|n| cx.project.override_of(unit.model, n).is_none())
        && (cx.assumes_no_signals(unit.model)
            || [Signal::PreSave, Signal::PostSave].iter().all(|s| cx.project.receivers(unit.model, *s).is_empty()))
        && cx.model(model.concrete).table_parents.is_empty()
        && !model.has_unknown_base
        && model.fields.iter().all(|f| (f.class.starts_with("django.") || f.is_auto) && !f.class.ends_with(".ImageField"))
}

// ---- what runs during save() ----

fn saving<'a>(cx: &Context<'a>, unit: &Unit<'a>, out: &mut Judged<'a>) {
    let program = cx.project.program();
    let columns = unit.columns();
    let class = cx.model(unit.model).class;
    let instance = Type::Instance(ormend_engine::infer::Instance::root(unit.model, Root::Opaque));
    for owner in &program.class(class).mro {
        for name in ["save", "save_base"] {
            let Some(member) = program.class(*owner).members.get(name) else { continue };
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
        text.starts_with("super(") && (text.contains(".save(") || text.contains(".save_base("))
    };
    let mut saves: Vec<NodeId> = Vec::new();
    for event in &facts.events {
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

// ---- the instance ----

fn life<'a>(cx: &Context<'a>, unit: &Unit<'a>, out: &mut Judged<'a>) {
    let Some(subject) = &unit.subject else { return };
    let columns = unit.columns();
    let start = out.loads.iter().map(|l| l.statement.id()).min();
    let save = unit.save.statement;
    let refreshes = |s: Node<'a>| s.id() > save.id() && is_refresh(s, unit, &columns);
    let ends = |s: Node<'a>| subject.is_bound_by(s) || refreshes(s);
    let afters: Vec<(Node<'a>, Vec<Node<'a>>)> =
        unit.changes.iter().map(|c| (c.statement, flow::after(c.statement, ends))).collect();
    let is_after = |node: Node<'a>| afters.iter().any(|(_, nodes)| nodes.iter().any(|n| n.contains(node.id())));
    let is_before = |node: Node<'a>| {
        start.is_none_or(|start| node.id() > start)
            && unit.changes.iter().any(|c| {
                node.id() < c.statement.id() && flow::may_follow(node, c.statement, |s| subject.is_bound_by(s))
            })
    };
    let mut seen: Vec<Site> = out.seen.into_iter().collect();
    for mention in subject.mentions(cx, &columns) {
        let Mention { node, kind } = mention;
        let statement = node.statement();
        let own = unit.changes.iter().find(|c| statement == Some(c.statement));
        let is_own = own.is_some_and(|c| is_place_of(c, node)) || node == unit.save.call;
        if is_own && !is_after_own(unit, &afters, node) {
            continue;
        }
        // An operand is evaluated before its own change, and after the others.
        let (before, after) = match own {
            Some(change) => (
                true,
                afters.iter().any(|(s, nodes)| {
                    *s != change.statement && nodes.iter().any(|n| n.contains(node.id()))
                }) || is_after_own(unit, &afters, node),
            ),
            None => (is_before(node), is_after(node)),
        };
        if node.enclosing_scope() != Some(unit.scope) {
            // A function made before may be called after.
            seen.push(cx.site(node));
            out.can_narrow = false;
            continue;
        }
        let until_save = before || (after && node.id() < save.id());
        let at = || cx.site(node);
        match kind {
            MentionKind::Rebinds => {}
            MentionKind::Harmless => {}
            MentionKind::Calls => out.can_narrow &= !until_save,
            MentionKind::Reads if after => seen.push(at()),
            MentionKind::Reads => out.can_narrow &= !until_save || columns_read(node, &columns),
            MentionKind::Escapes if before || after => {
                seen.push(at());
                out.can_narrow &= !until_save;
            }
            MentionKind::Escapes => {}
            MentionKind::WritesAny if before => out.hazards.push(unsaved(cx, unit, node)),
            MentionKind::WritesAny if after => {
                out.hazards.push(unsaved(cx, unit, node));
                seen.push(at());
            }
            MentionKind::WritesAny => {}
            MentionKind::Writes(name) => {
                let is_key = name == "pk" || cx.model(unit.model).primary_key().is_some_and(|f| f.name == name);
                if is_key && until_save {
                    out.hazards.push(cx.hazard(HazardKind::UnsavedInstance, unit.owner.text(), node));
                } else if columns.contains(&name) && after {
                    seen.push(at());
                } else if columns.contains(&name) && before {
                    out.hazards.push(unsaved(cx, unit, node));
                } else if until_save {
                    out.can_narrow = false;
                }
            }
            MentionKind::Saves if after => seen.push(at()),
            MentionKind::Saves => {}
            MentionKind::Validates if after => {
                let subject = writes::one_line(node.text());
                out.hazards.push(cx.hazard(HazardKind::ValidationSkipped, subject, node));
            }
            MentionKind::Validates | MentionKind::Refreshes => out.can_narrow &= !until_save,
            MentionKind::Deletes => {
                let watched = [Signal::PreDelete, Signal::PostDelete]
                    .iter()
                    .any(|s| !cx.project.receivers(unit.model, *s).is_empty());
                if after && (watched || cx.project.override_of(unit.model, "delete").is_some()) {
                    seen.push(at());
                }
            }
        }
    }
    // `render(request, "book.html", locals())`
    let takes_all = |n: Node<'a>| {
        n.kind() == Kind::Call
            && (matches!(n.text(), "locals()" | "vars()")
                || n.text().starts_with("eval(")
                || n.text().starts_with("exec("))
    };
    seen.extend(unit.scope.descendants().filter(|n| takes_all(*n)).map(|n| cx.site(n)));
    // Sites of this file are in the order of the text.
    out.seen = seen.into_iter().min_by_key(|s| s.span);
}

/// Whether a change's or the save's own mention runs again after another change, or after itself in a loop.
fn is_after_own<'a>(unit: &Unit<'a>, afters: &[(Node<'a>, Vec<Node<'a>>)], node: Node<'a>) -> bool {
    if node == unit.save.call {
        // In a loop that does not load the row again, the change itself runs again and is found as such.
        return false;
    }
    afters.iter().any(|(_, nodes)| nodes.iter().any(|n| n.contains(node.id())))
        && !unit.changes.iter().any(|c| {
            is_place_of(c, node)
                && afters.iter().all(|(s, nodes)| {
                    // Another column's change follows this one.
                    !nodes.iter().any(|n| n.contains(node.id()))
                        || unit.changes.iter().any(|o| o.statement == *s && o.column != c.column)
                })
        })
}

fn columns_read(node: Node<'_>, columns: &[&str]) -> bool {
    node.kind() == Kind::Attribute && columns.iter().any(|c| node.text().ends_with(c))
}

/// Whether `node` is where the change assigns or reads its column.
fn is_place_of(change: &Change<'_>, node: Node<'_>) -> bool {
    node == change.target
        || match &change.form {
            super::find::Form::Augmented { .. } => false,
            super::find::Form::Assigned { reads, .. } => reads.iter().any(|r| r.contains(node.id())),
        }
}

/// `x.refresh_from_db()`, of everything or of the columns.
fn is_refresh(statement: Node<'_>, unit: &Unit<'_>, columns: &[&str]) -> bool {
    let Stmt::Expr(node) = Stmt::of(statement) else { return false };
    let call = match Expr::of(node) {
        Expr::Await(inner) => inner.peel(),
        _ => node.peel(),
    };
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return false };
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return false };
    if value.text() != unit.owner.text() || !matches!(attr, "refresh_from_db" | "arefresh_from_db") {
        return false;
    }
    let args = arguments(list);
    match args.as_slice() {
        [] => true,
        [only] if only.name == Some("fields") => {
            let (Expr::List(list) | Expr::Tuple(list)) = Expr::of(only.value) else { return false };
            let names: Vec<Option<String>> = list.children().map(ormend_engine::python::string_value).collect();
            columns.iter().all(|c| names.iter().any(|n| n.as_deref() == Some(c)))
        }
        _ => false,
    }
}

// ---- the row ----

/// Whoever may write the row between its load and its save.
fn between<'a>(cx: &Context<'a>, unit: &Unit<'a>, others: &[Unit<'a>], out: &mut Judged<'a>) {
    let Some(load) = out.loads.iter().min_by_key(|l| l.statement.id()) else { return };
    let load = load.statement;
    let save = unit.save.statement;
    let end = load.subtree_end();
    let is_own = |at: NodeId| {
        save.contains(at) || unit.changes.iter().any(|c| c.target.contains(at))
    };
    let runs_between = |node: Node<'a>| {
        flow::may_follow(load, node, |_| false) && flow::may_follow(node, save, |s| s == load)
    };
    let mut last = None;
    for event in cx.facts.events.iter().filter(|e| e.at >= end && e.at < save.id() && !is_own(e.at)) {
        let matters = match &event.kind {
            EventKind::Write { model: None, .. } | EventKind::UnknownCall { .. } => true,
            EventKind::Write { model: Some(model), .. } => writes::shares_table(cx.project, *model, unit.model),
            EventKind::Suspend => cx.node(event.at).kind() == Kind::Yield,
            _ => false,
        };
        let node = cx.node(event.at);
        if !matters || last == Some((event.at, event.kind.clone())) || !runs_between(node) {
            continue;
        }
        last = Some((event.at, event.kind.clone()));
        let subject = writes::one_line(node.text());
        if !matches!(event.kind, EventKind::Write { .. }) {
            out.hazards.push(cx.hazard(HazardKind::UnknownCall, subject, node));
            continue;
        }
        if is_same_row_save(cx, unit, others, node) || is_own_save(cx, unit, node) {
            continue;
        }
        out.hazards.push(cx.hazard(HazardKind::StaleValue, subject, node));
    }
}

/// The `save()` of another instance whose counter changes here too: [`pair`] looks at it.
fn is_same_row_save<'a>(cx: &Context<'a>, unit: &Unit<'a>, others: &[Unit<'a>], node: Node<'a>) -> bool {
    others.iter().any(|o| o.save.call == node && o.owner.text() != unit.owner.text())
        && is_plain_save(cx, unit.model)
}

/// An earlier `save()` of the same instance: memory and row are the same afterwards.
fn is_own_save<'a>(cx: &Context<'a>, unit: &Unit<'a>, node: Node<'a>) -> bool {
    let owner = unit.owner.text();
    node.kind() == Kind::Call
        && (node.text().starts_with(&format!("{owner}.save(")) || node.text().starts_with(&format!("{owner}.asave(")))
        && is_plain_save(cx, unit.model)
}

fn is_plain_save(cx: &Context<'_>, model: ModelId) -> bool {
    cx.project.override_of(model, "save").is_none()
        && [Signal::PreSave, Signal::PostSave].iter().all(|s| cx.project.receivers(model, *s).is_empty())
}

/// Whether two units of one table are written across one another: the row of one is saved between the load and the
/// save of the other.
pub fn crosses<'a>(cx: &Context<'a>, a: &Unit<'a>, b: &Unit<'a>) -> bool {
    if a.owner.text() == b.owner.text() || !writes::shares_table(cx.project, a.model, b.model) {
        return false;
    }
    let start = |u: &Unit<'a>| {
        let origins = origins(cx, u).unwrap_or_default();
        let loads = origins.iter().filter_map(|o| match o {
            Origin::Loaded(load) => Some(load.statement.id()),
            _ => None,
        });
        loads.min().unwrap_or(u.scope.id())
    };
    let within = |inner: &Unit<'a>, outer: &Unit<'a>| {
        start(outer) < inner.save.statement.id() && inner.save.statement.id() < outer.save.statement.id()
    };
    (within(a, b) || within(b, a))
        && (flow::may_follow(a.save.statement, b.save.statement, |_| false)
            || flow::may_follow(b.save.statement, a.save.statement, |_| false))
}

/// The hazard that two crossing units may be one row.
pub fn pair<'a>(
    cx: &Context<'a>,
    a: (&Unit<'a>, &Judged<'a>),
    b: (&Unit<'a>, &Judged<'a>),
) -> Option<Hazard> {
    if are_different(a, b) {
        return None;
    }
    let later = if a.0.save.statement.id() > b.0.save.statement.id() { a.0 } else { b.0 };
    let subject = format!("`{}` and `{}`", a.0.owner.text(), b.0.owner.text());
    Some(cx.hazard(HazardKind::SameRow, subject, later.save.statement))
}

/// Whether the two rows are known to differ: other literals as keys, or keys that were compared before.
fn are_different<'a>(a: (&Unit<'a>, &Judged<'a>), b: (&Unit<'a>, &Judged<'a>)) -> bool {
    let (Some(x), Some(y)) = (key(a.1), key(b.1)) else { return false };
    if x.0 != y.0 {
        return false;
    }
    match (Expr::of(x.1), Expr::of(y.1)) {
        (Expr::Int(p), Expr::Int(q)) => p != q,
        (Expr::Name(p), Expr::Name(q)) => {
            let scope = a.0.scope;
            let first = if x.2.id() < y.2.id() { x.2 } else { y.2 };
            let rebound = |name: &str| {
                scope.descendants().any(|n| {
                    n.kind() == Kind::Name
                        && n.text() == name
                        && instance::is_binding(n)
                        && n.parent().is_none_or(|p| {
                            !matches!(p.kind(), Kind::Parameters | Kind::TypedParameter | Kind::DefaultParameter)
                        })
                })
            };
            !rebound(p)
                && !rebound(q)
                && scope.descendants().filter(|n| n.kind() == Kind::If).any(|n| {
                    let Stmt::If { branches, .. } = Stmt::of(n) else { return false };
                    let Some((test, body)) = branches.first() else { return false };
                    let Expr::Compare { left, op: Kind::Eq, right } = Expr::of(*test) else { return false };
                    let same = (left.text() == p && right.text() == q) || (left.text() == q && right.text() == p);
                    same && body.children().any(flow::leaves) && flow::dominates(n, first)
                })
        }
        _ => false,
    }
}

/// The only lookup of the only load: `pk=source_id`.
fn key<'a>(judged: &Judged<'a>) -> Option<(&'a str, Node<'a>, Node<'a>)> {
    let [load] = judged.loads.as_slice() else { return None };
    let Expr::Call { arguments: list, .. } = Expr::of(load.call) else { return None };
    let args = arguments(list);
    let skipped = usize::from(load.method == "get_object_or_404");
    match args.get(skipped..)? {
        [only] if only.stars == 0 && load.method.contains("get") => {
            let name = only.name?;
            matches!(name, "pk" | "id").then_some((name, only.value, load.statement))
        }
        _ => None,
    }
}

/// Whether a load gives whole rows through Django's own manager, so that `save()` may name its columns.
pub fn loads_whole_rows(cx: &Context<'_>, judged: &Judged<'_>) -> bool {
    judged.loads.iter().all(|load| {
        let plain = |class| class == ormend_engine::infer::QuerySetClass::Plain;
        if let Some(qs) = load.queryset {
            plain(qs.class) && !qs.is(Trait::Deferred) && !qs.is(Trait::Using)
        } else if let Some(manager) = load.manager {
            let name = manager.name.as_deref();
            name.is_none_or(|n| cx.project.is_plain_manager(manager.model, n))
        } else {
            match cx.type_of(load.source) {
                Type::ModelClass(model) => cx.project.is_plain_manager(*model, &cx.model(*model).default_manager),
                _ => false,
            }
        }
    })
}
