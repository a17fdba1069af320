//! What one statement for all rows would leave out or do otherwise, whatever that statement is.

use super::super::batch::{self, Batch};
use super::super::flow;
use super::super::making::{is_plain, overridden};
use super::super::projection::row_changes;
use super::super::writes::{self, Effect, effect, one_line};
use super::columns::columns;
use super::{SavedRows, Update, Written, is_mutable};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{FieldKind, ModelId, Signal};
use crate::infer::{Escape, Event, EventKind, Origin, QuerySetClass, Trait, Type};
use crate::python::{Expr, Kind, Member, Node, Stmt, arguments, parameters, string_value};
use crate::text::Site;

/// Everything that one statement for all rows would leave out or do otherwise, whatever that statement is.
pub fn hazards<'a>(
    cx: &Context<'a>,
    rows: &SavedRows<'a>,
    written: &Written<'a>,
    update: Option<&Update<'a>>,
    out: &mut Vec<Hazard>,
) {
    saving(cx, rows, written, out);
    columns(cx, rows, written, update, out);
    source(cx, rows, written, update, out);
    changed_elsewhere(cx, rows, written, out);
    changed_later(cx, rows, written, out);
    loaded_before(cx, rows, out);
    let writes: Vec<Node<'a>> = rows.saves.iter().map(|s| s.call).collect();
    // Awaiting the save is the write itself.
    let mut judged: Vec<_> = rows.saves.iter().filter(|s| s.is_async).map(|s| s.statement.id()).collect();
    // No row comes twice over the turns of a loop further out, so that its sources read nothing that was written.
    let inner = std::iter::once(rows.node).chain(rows.node.ancestors()).take_while(|n| *n != rows.around);
    judged.extend(inner.filter_map(|n| match Stmt::of(n) {
        Stmt::For { iter, .. } if n.kind() == Kind::For => Some(iter.id()),
        _ => None,
    }));
    let iter = match Stmt::of(rows.around) {
        Stmt::For { iter, .. } => iter,
        _ => rows.iter,
    };
    let tables = [rows.model];
    let batch =
        Batch { node: rows.around, iter, tables: &tables, writes: &writes, judged: &judged, is_update: true };
    let mut between = Vec::new();
    batch::between(cx, &batch, &mut between);
    // A loop that fetches its rows in pieces may or may not see what it wrote to those that wait: it cannot rely on it.
    let pieces = in_pieces(cx, rows);
    let is_in_pieces = |h: &Hazard| {
        h.kind == HazardKind::ReadsItsOwnWrites
            && h.site.is_some_and(|s| {
                s.file == cx.file
                    && (update.is_some() && rows.iter.span().contains(s.span)
                        || pieces.is_some_and(|p| p.span() == s.span))
            })
    };
    out.extend(between.into_iter().filter(|h| !is_in_pieces(h)));
}

/// `queryset.iterator()`, where the loop goes through that, numbered or not.
fn in_pieces<'a>(cx: &Context<'a>, rows: &SavedRows<'a>) -> Option<Node<'a>> {
    let mut source = rows.iter.peel();
    if let Expr::Call { func, arguments: list } = Expr::of(source)
        && matches!(Expr::of(func), Expr::Name("enumerate"))
        && let Some(first) = arguments(list).first()
    {
        source = first.value.peel();
    }
    let Expr::Call { func, .. } = Expr::of(source) else { return None };
    let Expr::Attribute { value, attr: "iterator" | "aiterator", .. } = Expr::of(func) else { return None };
    matches!(cx.type_of(value), Type::QuerySet(_) | Type::Manager(_)).then_some(source)
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
    // What is assigned may set other columns, or another value.
    if let Some((what, site)) = overridden(cx, rows.model, "__setattr__")
        && !sets_plainly(cx, rows.model)
    {
        out.push(Hazard::at(HazardKind::CustomInstance, what, site));
    }
    if !written.is_full {
        return;
    }
    // save() writes back what was read: that is another value where reading or making the instance changes it.
    for field in &model.fields {
        let converts = field.has_hooks && field.kind != FieldKind::File && !field.primary_key;
        let is_json = field.kind == FieldKind::Json && field.null;
        if converts || is_json || field.may_auto_now {
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
                cx.analyzer.function(f).events().any(|e| match &e.kind {
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

/// Whether every `__setattr__` of the program hands on name and value as they came, and sets nothing else.
fn sets_plainly(cx: &Context<'_>, model: ModelId) -> bool {
    let program = cx.project.program();
    program.class(cx.model(model).class).mro.iter().all(|owner| {
        let function = match program.class(*owner).members.get("__setattr__") {
            None => return true,
            Some(Member::Function(function, _)) => program.function(*function),
            Some(_) => return false,
        };
        let def = program.file(function.file).node(function.node);
        let names: Vec<&str> = parameters(def).iter().map(|p| p.name).collect();
        let [instance, given @ ..] = names.as_slice() else { return false };
        def.descendants().filter(|n| n.kind() == Kind::Name).all(|name| {
            let Some(parent) = name.parent().filter(|p| p.kind() != Kind::Parameters) else { return true };
            if name.is_binding() {
                return !names.contains(&name.text());
            }
            match name.text() {
                "super" => {
                    let Some(Expr::Call { arguments: list, .. }) = parent
                        .parent()
                        .filter(|p| p.text().ends_with("__setattr__"))
                        .and_then(Node::parent)
                        .map(Expr::of)
                    else {
                        return false;
                    };
                    let passed: Vec<&str> = arguments(list).iter().map(|a| a.value.text()).collect();
                    passed == given
                }
                text if text == *instance => match Expr::of(parent) {
                    // `self.__dict__.get(name)`, `self.pk`
                    Expr::Attribute { attr: "__dict__", .. } => parent
                        .parent()
                        .is_some_and(|p| matches!(Expr::of(p), Expr::Attribute { attr: "get", .. })),
                    Expr::Attribute { .. } => {
                        parent.field() != crate::python::Field::Left
                            && parent.parent().is_none_or(|p| p.kind() != Kind::Call)
                    }
                    _ => {
                        parent.kind() == Kind::Arguments
                            && parent.parent().is_some_and(|call| {
                                ["getattr(", "hasattr(", "isinstance("]
                                    .iter()
                                    .any(|f| call.text().starts_with(f))
                            })
                    }
                },
                _ => true,
            }
        })
    })
}

/// Where the rows come from.
fn source<'a>(
    cx: &Context<'a>,
    rows: &SavedRows<'a>,
    written: &Written<'a>,
    update: Option<&Update<'a>>,
    out: &mut Vec<Hazard>,
) {
    let settings = cx.project.settings();
    if settings.has_database_routers {
        out.push(cx.hazard(HazardKind::OtherDatabase, one_line(rows.iter.text()), rows.iter));
    }
    other_database(cx, rows, update, out);
    let handed = |site: Option<Site>, out: &mut Vec<Hazard>| {
        let site = site.unwrap_or_else(|| cx.site(rows.iter));
        out.push(Hazard::at(HazardKind::HandedIn, one_line(rows.iter.text()), site));
    };
    let Some(value) = cx.value(rows.value) else { return handed(None, out) };
    let from_elsewhere = cx.maker(value).is_none() || value.kept.is_some();
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

/// `save()` writes to the database that the row was read from, `save(using=...)` to the one that it names, where it makes
/// a row that is not there: both must be said to be the same.
fn other_database<'a>(
    cx: &Context<'a>,
    rows: &SavedRows<'a>,
    update: Option<&Update<'a>>,
    out: &mut Vec<Hazard>,
) {
    let reads_another = rows.queryset.is_some_and(|q| q.is(Trait::Using));
    let Some(using) = rows.save().and_then(|s| s.using) else {
        // update() is asked of the queryset itself.
        if reads_another && update.is_none() {
            out.push(cx.hazard(HazardKind::OtherDatabase, one_line(rows.iter.text()), rows.iter));
        }
        return;
    };
    let is_bound_here = using.descendants().any(|n| {
        n.kind() == Kind::Name
            && rows
                .around
                .descendants()
                .any(|o| o.is_binding() && o.kind() == Kind::Name && o.text() == n.text())
    });
    let is_default = string_value(using).as_deref() == Some("default") && !reads_another;
    if is_bound_here || !is_default && !says_using(cx, rows, using) {
        out.push(cx.hazard(HazardKind::OtherDatabase, one_line(using.text()), using));
    }
}

/// Whether the queryset of the rows is asked of the same database.
fn says_using<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, using: Node<'a>) -> bool {
    let says = |node: Node<'a>| {
        node.descendants().any(|n| match Expr::of(n) {
            Expr::Call { func, arguments: list } if n.kind() == Kind::Call => {
                matches!(Expr::of(func), Expr::Attribute { attr: "using", .. })
                    && arguments(list).first().is_some_and(|a| a.value.text() == using.text())
            }
            _ => false,
        })
    };
    let origin = cx.value(rows.value).and_then(|v| match v.origin {
        Origin::Expr(node) => Some(cx.node(node)),
        _ => None,
    });
    says(rows.iter) || origin.is_some_and(says)
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
    for event in cx.facts.events() {
        let is_inside =
            rows.node.contains(event.at) || rows.setters.iter().any(|setter| setter.contains(event.at));
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
            let others = || rows.around.mentions(used.text());
            let is_made_here = others().any(|n| n.is_binding() && rows.body.contains(n.id()));
            let is_kept = if is_made_here {
                others().any(&follows)
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
    for event in cx.facts.events() {
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
fn is_shown(cx: &Context<'_>, event: Event<'_>) -> bool {
    cx.facts.events().any(|e| e.at == event.at && *e.kind == EventKind::Log)
}
