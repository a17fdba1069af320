//! A loop over rows that sets columns of each row and saves it: what is set, what `save()` writes, and what would notice
//! if one statement wrote all rows.

mod uniform;

pub use uniform::{Assigned, Update, update};

use super::batch::{self, Batch};
use super::flow;
use super::making::{is_plain, overridden};
use super::projection::row_changes;
use super::writes::{self, Effect, effect, one_line};
use crate::codemod::{Context, Hazard, HazardKind, Outcome, naming};
use crate::django::{Field, FieldKind, ModelId, Signal};
use crate::infer::{Escape, Event, EventKind, Origin, QuerySet, QuerySetClass, Root, Trait, Type, ValueId};
use crate::python::{Expr, Kind, Member, Node, Stmt, arguments, innermost_loop, string_value};
use crate::text::Site;

/// The loop.
#[derive(Clone, Debug)]
pub struct SavedRows<'a> {
    /// The `for` statement.
    pub node: Node<'a>,
    /// What is iterated, as written.
    pub iter: Node<'a>,
    /// The statements of a turn.
    pub body: Node<'a>,
    /// The variable that holds the row, in the target of the loop.
    pub row: Node<'a>,
    /// `async for`
    pub is_async: bool,
    /// The model of the rows.
    pub model: ModelId,
    /// The queryset or list that the rows come from.
    pub value: ValueId,
    /// The state of that queryset, where it is one.
    pub queryset: Option<&'a QuerySet>,
    /// The calls of `save()`, in order of the text; never empty.
    pub saves: Vec<Save<'a>>,
}

/// A statement `row.save()`.
#[derive(Clone, Debug)]
pub struct Save<'a> {
    /// The statement.
    pub statement: Node<'a>,
    /// The call.
    pub call: Node<'a>,
    /// `await row.asave()`
    pub is_async: bool,
    /// The literal names in `update_fields`.
    pub update_fields: Option<Vec<String>>,
    /// `using=`
    pub using: Option<Node<'a>>,
}

/// What `save()` writes of what the loop has set.
#[derive(Clone, Debug, Default)]
pub struct Written<'a> {
    /// The columns, in order of the text or of `update_fields`.
    pub columns: Vec<&'a Field>,
    /// The auto_now columns that `save()` sets.
    pub auto_now: Vec<&'a Field>,
    /// `save()` without `update_fields`: every other column goes back as it is in memory.
    pub is_full: bool,
}

impl<'a> Written<'a> {
    /// Every column, the auto_now ones last.
    pub fn all(&self) -> impl Iterator<Item = &'a Field> {
        self.columns.iter().chain(&self.auto_now).copied()
    }
}

/// The loop at `node` that saves the rows it goes through; `None` where it does not.
pub fn saved_rows<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<SavedRows<'a>> {
    if node.kind() != Kind::For || node.has_error() || node.enclosing_scope()? != cx.scope() {
        return None;
    }
    let Stmt::For { target, iter, body, is_async, .. } = Stmt::of(node) else { return None };
    let names = target.descendants().filter(|n| n.kind() == Kind::Name && n.is_binding());
    names.filter_map(|row| rows_of(cx, node, (iter, body, is_async), row)).next()
}

fn rows_of<'a>(
    cx: &Context<'a>,
    node: Node<'a>,
    (iter, body, is_async): (Node<'a>, Node<'a>, bool),
    row: Node<'a>,
) -> Option<SavedRows<'a>> {
    let mut saves = Vec::new();
    let mut of: Option<(ModelId, ValueId)> = None;
    for call in body.descendants().filter(|n| n.kind() == Kind::Call) {
        let Expr::Call { func, arguments: list } = Expr::of(call) else { continue };
        let Expr::Attribute { value, attr: attr @ ("save" | "asave"), .. } = Expr::of(func) else { continue };
        if !matches!(Expr::of(value), Expr::Name(n) if n == row.text()) {
            continue;
        }
        let Type::Instance(instance) = cx.type_of(value) else { return None };
        let Root::Row(id) = instance.root else { return None };
        let is_own = instance.path.is_empty() && of.is_none_or(|o| o == (instance.model, id));
        if !is_own || call.enclosing_scope() != Some(cx.scope()) || innermost_loop(call) != Some(node) {
            return None;
        }
        of = Some((instance.model, id));
        saves.push(save_at(call, list, attr == "asave")?);
    }
    let (model, value) = of?;
    let first = saves.first()?;
    let is_alike = |s: &Save<'a>| {
        s.update_fields == first.update_fields
            && s.using.map(Node::text) == first.using.map(Node::text)
            && s.is_async == first.is_async
    };
    // The variable is the row for the whole turn.
    let rebinds =
        body.descendants().any(|n| n.kind() == Kind::Name && n.text() == row.text() && n.is_binding());
    if !saves.iter().all(is_alike) || rebinds {
        return None;
    }
    let queryset = cx.value(value).and_then(|v| v.queryset.as_deref());
    Some(SavedRows { node, iter, body, row, is_async, model, value, queryset, saves })
}

/// `row.save(...)` as a statement of its own, with arguments that a bulk statement can keep.
fn save_at<'a>(call: Node<'a>, list: Node<'a>, is_async: bool) -> Option<Save<'a>> {
    let mut outer = call.with_parens();
    if is_async {
        outer = outer.parent().filter(|p| p.kind() == Kind::Await)?.with_parens();
    }
    let statement =
        outer.parent().filter(|s| s.kind() == Kind::ExprStatement && s.children().count() == 1)?;
    let mut save = Save { statement, call, is_async, update_fields: None, using: None };
    if list.kind() == Kind::GeneratorExp {
        return None;
    }
    for argument in arguments(list) {
        match argument.name {
            Some("using") => save.using = Some(argument.value),
            Some("update_fields") => {
                let names = match Expr::of(argument.value) {
                    Expr::List(inner) | Expr::Tuple(inner) | Expr::Set(inner) => {
                        inner.children().map(string_value).collect::<Option<Vec<_>>>()?
                    }
                    _ => return None,
                };
                save.update_fields = Some(names);
            }
            Some("force_update") if matches!(Expr::of(argument.value), Expr::True) => {}
            _ => return None,
        }
    }
    Some(save)
}

impl<'a> SavedRows<'a> {
    /// `Root::Row` of the rows.
    pub fn root(&self) -> Root {
        Root::Row(self.value)
    }

    /// The first `save()`.
    pub fn save(&self) -> Option<&Save<'a>> {
        self.saves.first()
    }

    /// Assignments to attributes of the row that happen in the loop, here or in what is called.
    pub fn assignments(&self, cx: &Context<'a>) -> impl Iterator<Item = (&'a Event, &'a str)> {
        let root = self.root();
        cx.events_in(self.body).filter_map(move |e| match &e.kind {
            EventKind::WriteAttribute { root: r, path, name } if *r == root && path.is_empty() => {
                Some((e, &**name))
            }
            _ => None,
        })
    }

    /// What `save()` writes, and what of it no bulk statement can write.
    pub fn written(&self, cx: &Context<'a>, out: &mut Vec<Hazard>) -> Written<'a> {
        let model = cx.model(self.model);
        let find = |name: &str| model.field(name).or_else(|| model.field_by_attname(name));
        let mut written = Written::default();
        let update_fields = self.save().and_then(|s| s.update_fields.as_ref());
        let add = |field: &'a Field, written: &mut Written<'a>| {
            let list = if field.auto_now { &mut written.auto_now } else { &mut written.columns };
            if !list.iter().any(|f| f.name == field.name) {
                list.push(field);
            }
        };
        match update_fields {
            Some(names) => {
                for name in names {
                    match find(name) {
                        Some(field) => add(field, &mut written),
                        None => out.push(cx.hazard(HazardKind::NotAColumn, name.as_str(), self.node)),
                    }
                }
            }
            None => {
                written.is_full = true;
                let mut seen: Vec<(&'a Event, &'a str)> = self.assignments(cx).collect();
                seen.sort_by_key(|(e, _)| e.at);
                for (event, name) in seen {
                    if name == "*" {
                        out.push(Hazard::at(HazardKind::OtherUnsavedChanges, self.row.text(), event.site));
                    } else if let Some(field) = find(name) {
                        add(field, &mut written);
                    } else if name == "pk" {
                        out.push(Hazard::at(HazardKind::UnsavedInstance, self.row.text(), event.site));
                    }
                }
                // What can be changed in place goes back as it is by then, as save() would write it.
                for event in cx.events_in(self.body) {
                    if let EventKind::ReadAttribute { root, path, name } = &event.kind
                        && *root == self.root()
                        && path.is_empty()
                        && let Some(field) = find(name)
                        && is_mutable(field.kind)
                    {
                        add(field, &mut written);
                    }
                }
                for field in model.fields.iter().filter(|f| f.auto_now) {
                    add(field, &mut written);
                }
            }
        }
        for (event, name) in self.assignments(cx) {
            if model.primary_key().is_some_and(|k| k.name == name || k.attname == name) {
                out.push(Hazard::at(HazardKind::UnsavedInstance, self.row.text(), event.site));
            }
        }
        written
    }
}

fn is_mutable(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Json | FieldKind::Postgres | FieldKind::Other)
}

/// Everything that one statement for all rows would leave out or do otherwise, whatever that statement is.
pub fn hazards<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, written: &Written<'a>, out: &mut Vec<Hazard>) {
    saving(cx, rows, written, out);
    columns(cx, rows, written, out);
    source(cx, rows, written, out);
    changed_elsewhere(cx, rows, written, out);
    changed_later(cx, rows, written, out);
    loaded_before(cx, rows, out);
    let writes: Vec<Node<'a>> = rows.saves.iter().map(|s| s.call).collect();
    // Awaiting the save is the write itself.
    let judged: Vec<_> = rows.saves.iter().filter(|s| s.is_async).map(|s| s.statement.id()).collect();
    let tables = [rows.model];
    let batch = Batch {
        node: rows.node,
        iter: rows.iter,
        tables: &tables,
        writes: &writes,
        judged: &judged,
        is_update: true,
    };
    batch::between(cx, &batch, out);
}

/// What runs when a row is saved.
fn saving<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, written: &Written<'a>, out: &mut Vec<Hazard>) {
    writes::custom_save(cx, rows.model, out);
    writes::save_receivers(cx, rows.model, out);
    writes::unknown_bases(cx, rows.model, out);
    let mut hooks = Vec::new();
    writes::field_hooks(cx, rows.model, &mut hooks);
    // `_order` is only set for a new row.
    out.extend(hooks.into_iter().filter(|h| {
        h.subject != "_order" && (written.is_full || written.all().any(|f| f.name == h.subject))
    }));
    let model = cx.model(rows.model);
    if !written.is_full {
        return;
    }
    // save() writes back what was read: that is another value where reading or making the instance changes it.
    for field in &model.fields {
        let converts = field.has_hooks && field.kind != FieldKind::File && !field.primary_key;
        let is_json = field.kind == FieldKind::Json && field.null;
        if converts || is_json {
            out.push(Hazard::at(HazardKind::FieldHook, field.name.clone(), field.site));
        }
    }
    for name in ["__init__", "from_db"] {
        let Some((what, site)) = overridden(cx, rows.model, name) else { continue };
        let function = match cx.project.program().member(model.class, name) {
            Some((_, Member::Function(function, _))) => Some(*function),
            _ => None,
        };
        let changes = !is_plain(cx, rows.model, name)
            || function.is_none_or(|f| {
                cx.analyzer.function(f).events.iter().any(|e| match &e.kind {
                    EventKind::WriteAttribute { name, .. } => {
                        &**name == "*"
                            || model.field(name).is_some()
                            || model.field_by_attname(name).is_some()
                    }
                    _ => false,
                })
            });
        if changes {
            out.push(Hazard::at(HazardKind::CustomInstance, what, site));
        }
    }
    for signal in [Signal::PreInit, Signal::PostInit] {
        for receiver in cx.project.receivers(rows.model, signal) {
            out.push(Hazard::at(HazardKind::CustomInstance, receiver.name.clone(), receiver.site));
        }
    }
}

/// Columns that a bulk statement cannot write as `save()` does.
fn columns<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, written: &Written<'a>, out: &mut Vec<Hazard>) {
    let model = cx.model(rows.model);
    for field in written.all() {
        let has_no_column = matches!(
            field.kind,
            FieldKind::ManyToMany
                | FieldKind::GenericRelation
                | FieldKind::GenericForeignKey
                | FieldKind::Generated
        );
        if has_no_column {
            out.push(Hazard::at(HazardKind::NotAColumn, field.name.clone(), field.site));
        }
        if field.kind == FieldKind::File || field.has_hooks && !written.is_full {
            out.push(Hazard::at(HazardKind::FieldHook, field.name.clone(), field.site));
        }
        let parents = &cx.model(model.concrete).table_parents;
        if parents.iter().any(|p| cx.model(*p).field(&field.name).is_some()) {
            out.push(Hazard::at(HazardKind::ParentColumn, field.name.clone(), field.site));
        }
        if !field.primary_key
            && let Some(site) = unique(cx, rows.model, field)
        {
            out.push(Hazard::at(HazardKind::UniqueColumn, field.name.clone(), site));
        }
    }
}

/// Where a column is said to be unique, alone or with others.
fn unique(cx: &Context<'_>, model: ModelId, field: &Field) -> Option<Site> {
    let info = cx.model(model);
    if field.unique || info.unique.iter().any(|set| set.contains(&field.name)) {
        return Some(field.site);
    }
    // Constraints with conditions or expressions.
    let program = cx.project.program();
    for class in &program.class(info.class).mro {
        let class = program.class(*class);
        let file = program.file(class.file);
        for node in file.node(class.node).descendants().filter(|n| n.kind() == Kind::Call) {
            let Expr::Call { func, .. } = Expr::of(node) else { continue };
            let name = func.text().rsplit('.').next().unwrap_or("");
            let names_it = || {
                node.descendants().any(|n| {
                    n.kind() == Kind::Str
                        && string_value(n).is_some_and(|s| s.split("__").next() == Some(field.name.as_str()))
                })
            };
            if matches!(name, "UniqueConstraint" | "ExclusionConstraint") && names_it() {
                return Some(Site { file: class.file, span: node.span() });
            }
        }
    }
    let is_dated = ["unique_for_date", "unique_for_month", "unique_for_year"];
    let declared = cx.project.program().file(field.site.file).source.slice(field.site.span);
    is_dated.iter().any(|d| declared.contains(d)).then_some(field.site)
}

/// Where the rows come from.
fn source<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, written: &Written<'a>, out: &mut Vec<Hazard>) {
    let settings = cx.project.settings();
    if settings.has_database_routers {
        out.push(cx.hazard(HazardKind::OtherDatabase, one_line(rows.iter.text()), rows.iter));
    }
    let handed = |site: Option<Site>, out: &mut Vec<Hazard>| {
        let site = site.unwrap_or_else(|| cx.site(rows.iter));
        out.push(Hazard::at(HazardKind::RowsFromElsewhere, one_line(rows.iter.text()), site));
    };
    let Some(value) = cx.value(rows.value) else { return handed(None, out) };
    let from_elsewhere = !matches!(value.origin, Origin::Expr(_)) || value.kept.is_some();
    if from_elsewhere {
        handed(value.kept.or(value.site), out);
    }
    let Some(queryset) = rows.queryset else {
        if !from_elsewhere {
            handed(value.site, out);
        }
        return;
    };
    row_changes(cx, queryset, out);
    if queryset.class == QuerySetClass::Unknown {
        out.push(cx.hazard(HazardKind::UnknownType, one_line(rows.iter.text()), rows.iter));
    }
    for (property, what) in
        [(Trait::Raw, "raw()"), (Trait::Combined, "union()"), (Trait::Mysterious, "a method")]
    {
        if queryset.is(property) {
            out.push(cx.hazard(HazardKind::QuerySetShape, what, rows.iter));
        }
    }
    // Without a column that was not loaded, save() leaves it alone, auto_now ones included.
    if queryset.is(Trait::Deferred) && written.is_full && !written.auto_now.is_empty() {
        out.push(cx.hazard(HazardKind::DeferredColumns, one_line(rows.iter.text()), rows.iter));
    }
}

/// Changes that the rows carry into the loop, and those that somebody else may have made: a full `save()` writes them.
fn changed_elsewhere<'a>(
    cx: &Context<'a>,
    rows: &SavedRows<'a>,
    written: &Written<'a>,
    out: &mut Vec<Hazard>,
) {
    let model = cx.model(rows.model);
    let find = |name: &str| model.field(name).or_else(|| model.field_by_attname(name));
    let outer = rows.node.ancestors().filter(|a| matches!(a.kind(), Kind::For | Kind::While)).last();
    for event in &cx.facts.events {
        let is_inside = rows.node.contains(event.at);
        let may_come_before =
            event.at < rows.node.id() || outer.is_some_and(|o| o.contains(event.at)) || is_inside;
        if !may_come_before {
            continue;
        }
        match &event.kind {
            EventKind::WriteAttribute { root, path, name } if *root == rows.root() && path.is_empty() => {
                let matters = match find(name) {
                    Some(field) => written.is_full || written.columns.iter().any(|f| f.name == field.name),
                    None => &**name == "*",
                };
                if matters && !is_inside {
                    out.push(Hazard::at(HazardKind::OtherUnsavedChanges, rows.row.text(), event.site));
                }
            }
            EventKind::InstanceEscapes { root, path, how }
                if *root == rows.root()
                    && path.is_empty()
                    && written.is_full
                    && matches!(how, Escape::UnknownCall | Escape::External)
                    && !is_shown(cx, event) =>
            {
                out.push(Hazard::at(HazardKind::OtherUnsavedChanges, rows.row.text(), event.site));
            }
            _ => {}
        }
    }
}

/// Columns that are set again once the row was saved, and objects that the rows share: one statement at the end would
/// write what they are by then.
fn changed_later<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, written: &Written<'a>, out: &mut Vec<Hazard>) {
    let model = cx.model(rows.model);
    let find = |name: &str| model.field(name).or_else(|| model.field_by_attname(name));
    let is_written =
        |name: &str| name == "*" || find(name).is_some_and(|f| written.all().any(|w| w.name == f.name));
    // Within one turn: the next one has another row.
    let follows = |at: Node<'a>| {
        rows.saves
            .iter()
            .any(|s| at.id() > s.call.id() && flow::may_follow(s.statement, at, |next| next == rows.node))
    };
    for event in cx.events_in(rows.body) {
        let at = cx.node(event.at);
        let changes = match &event.kind {
            EventKind::WriteAttribute { root, path, name } => {
                *root == rows.root() && path.is_empty() && is_written(name)
            }
            EventKind::ReadAttribute { root, path, name } => {
                *root == rows.root()
                    && path.is_empty()
                    && is_written(name)
                    && find(name).is_some_and(|f| is_mutable(f.kind))
            }
            _ => false,
        };
        if changes && follows(at) {
            out.push(Hazard::at(HazardKind::OtherUnsavedChanges, rows.row.text(), event.site));
        }
    }
    for (event, name) in rows.assignments(cx) {
        if !find(name).is_some_and(|f| is_mutable(f.kind)) {
            continue;
        }
        let Some(Stmt::Assign { value: Some(value), .. }) = cx.node(event.at).statement().map(Stmt::of)
        else {
            continue;
        };
        // A name for an object that outlives the turn, or that is used again once the row was saved.
        for used in value.descendants().filter(|n| n.kind() == Kind::Name && !n.is_binding()) {
            let may_change = matches!(
                cx.type_of(used),
                Type::List(_)
                    | Type::Dict(_)
                    | Type::Set(_)
                    | Type::Unknown
                    | Type::Object(_)
                    | Type::Union(_)
            );
            let is_callee = used.parent().is_some_and(|p| p.kind() == Kind::Call);
            let others =
                || rows.node.descendants().filter(|n| n.kind() == Kind::Name && n.text() == used.text());
            let is_made_here = others().any(|n| n.is_binding() && rows.body.contains(n.id()));
            let is_kept = if is_made_here {
                others().any(|n| follows(n))
            } else {
                // Changed in the loop: a method is called on it, or an item of it is set.
                others().any(|n| {
                    n != used
                        && n.with_parens().parent().is_some_and(|p| {
                            matches!(
                                p.kind(),
                                Kind::Attribute | Kind::Subscript | Kind::AugAssign | Kind::Arguments
                            )
                        })
                })
            };
            if may_change && !is_callee && is_kept {
                out.push(cx.hazard(HazardKind::SharedValue, used.text(), used));
            }
        }
    }
}

/// Rows that were loaded some time before the loop, and what may have changed them since: `save()` writes old values
/// back, and a row that is gone once more.
fn loaded_before<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, out: &mut Vec<Hazard>) {
    let loads = cx
        .facts
        .uses(rows.value)
        .filter(|(e, how)| how.may_load() && e.at < rows.node.id())
        .map(|(e, _)| e.at)
        .min();
    let Some(load) = loads else { return };
    let tables = [rows.model];
    let outer = rows
        .node
        .ancestors()
        .filter(|a| matches!(a.kind(), Kind::For | Kind::While) && !a.contains(load))
        .last();
    for event in &cx.facts.events {
        let is_between = event.at > load && event.at < rows.node.id()
            || outer.is_some_and(|o| o.contains(event.at)) && !rows.node.contains(event.at);
        if !is_between {
            continue;
        }
        if let Some(Effect::Writes(_) | Effect::Unknown) = effect(cx, event, &tables) {
            let subject = writes::call_subject(cx, event);
            out.push(Hazard::at(HazardKind::StaleValue, subject, event.site));
        }
    }
}

/// Whether what gets the instance only shows it.
fn is_shown(cx: &Context<'_>, event: &Event) -> bool {
    cx.facts.events.iter().any(|e| e.at == event.at && e.kind == EventKind::Log)
}

/// The manager through which the rows are written, `Book.objects`, and what is in the way of writing through it.
pub fn manager<'a>(
    cx: &Context<'a>,
    rows: &SavedRows<'a>,
    methods: &[&str],
    out: &mut Vec<Hazard>,
) -> String {
    let name = naming::manager_name(cx, rows.model);
    writes::manager_methods(cx, rows.model, Some(&name), QuerySetClass::Plain, methods, out);
    // A manager that hides rows does not write those that it hides; the rows that it has given it can write.
    if !comes_from(cx, rows, &name) {
        writes::manager_methods(cx, rows.model, Some(&name), QuerySetClass::Plain, &["get_queryset"], out);
    }
    name
}

/// Whether the loop asks that very manager for its rows.
fn comes_from<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, name: &str) -> bool {
    let mut node = rows.iter.peel();
    for _ in 0..50 {
        if let Type::Manager(manager) = cx.type_of(node) {
            return manager.name.as_deref() == Some(name) && manager.related.is_none();
        }
        node = match Expr::of(node) {
            Expr::Call { func, arguments: list } => match Expr::of(func) {
                Expr::Attribute { value, .. } => value.peel(),
                _ => match arguments(list).first() {
                    Some(first) => first.value.peel(),
                    None => return false,
                },
            },
            _ => return false,
        };
    }
    false
}

/// Which statement takes the place of the saves.
#[derive(Clone, Debug)]
pub enum Choice<'a> {
    /// `queryset.update(...)`: the same for every row. The loop goes.
    Update(Update<'a>, Vec<Hazard>),
    /// `bulk_update(rows, fields=[...])` behind the loop.
    BulkUpdate(Written<'a>, Vec<Hazard>),
}

/// The better one of the two: one `update()` where it can say it and nothing more is in its way.
pub fn choose<'a>(cx: &Context<'a>, rows: &SavedRows<'a>) -> Option<Choice<'a>> {
    let mut obstacles = Vec::new();
    let written = rows.written(cx, &mut obstacles);
    written.all().next()?;
    let mut bulk = obstacles.clone();
    hazards(cx, rows, &written, &mut bulk);
    of_bulk_update(cx, rows, &written, &mut bulk);
    let bulk_outcome = Outcome::of(&bulk);
    if let Some(update) = update(cx, rows, &written) {
        let mut hazards_of_update = obstacles;
        hazards(cx, rows, &written, &mut hazards_of_update);
        update.hazards(cx, rows, &mut hazards_of_update);
        // A row that comes twice gets the same both times.
        if Outcome::of(&hazards_of_update) <= bulk_outcome {
            return Some(Choice::Update(update, hazards_of_update));
        }
    }
    Some(Choice::BulkUpdate(written, bulk))
}

/// What only `bulk_update()` changes.
fn of_bulk_update<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, written: &Written<'a>, out: &mut Vec<Hazard>) {
    manager(cx, rows, &["bulk_update", "update"], out);
    if let Some(queryset) = rows.queryset
        && may_repeat(cx, queryset)
    {
        out.push(cx.hazard(HazardKind::RepeatedRow, one_line(rows.iter.text()), rows.iter));
    }
    for field in &written.columns {
        // None becomes the JSON null, where save() stores NULL (django/db/models/query.py, bulk_update).
        if field.kind == FieldKind::Json && field.null && !written.is_full {
            out.push(Hazard::at(HazardKind::FieldHook, field.name.clone(), field.site));
        }
    }
    for (event, name) in rows.assignments(cx) {
        let statement = cx.node(event.at).statement();
        let value = match statement.map(Stmt::of) {
            Some(Stmt::Assign { value: Some(value), .. }) => value,
            _ => continue,
        };
        if is_expression(cx, value) {
            out.push(Hazard::at(
                HazardKind::ValueReadAfterwards,
                format!("{}.{name}", rows.row.text()),
                event.site,
            ));
        }
    }
    if rows.save().is_some_and(|s| s.using.is_none()) && rows.queryset.is_some_and(|q| q.is(Trait::Using)) {
        out.push(cx.hazard(HazardKind::OtherDatabase, one_line(rows.iter.text()), rows.iter));
    }
}

/// Whether a value is computed by the database: `F("n") + 1`, `Now()`.
fn is_expression<'a>(cx: &Context<'a>, value: Node<'a>) -> bool {
    value.descendants().any(|n| {
        matches!(cx.type_of(n), Type::External(path) if path.starts_with("django.db.models") && !path.contains("options"))
    })
}

/// Whether the queryset may give one row more than once.
fn may_repeat(cx: &Context<'_>, queryset: &QuerySet) -> bool {
    let through = queryset.related.as_ref().is_some_and(|related| {
        // A link model of the project's own may link the same two rows again.
        let info = cx.model(related.owner.model);
        let relation = match info.reverse(&related.accessor) {
            Some(reverse) => cx.model(reverse.source).field(&reverse.field).and_then(|f| f.relation.as_ref()),
            None => info.field(&related.accessor).and_then(|f| f.relation.as_ref()),
        };
        relation.is_none_or(|r| r.through.is_some())
    });
    through || queryset.is(Trait::ToMany) && !queryset.is(Trait::Distinct)
}
