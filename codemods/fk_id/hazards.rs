//! What could make the key differ from that of the object.

use ormend_engine::codemod::eager::{Step, called_name, own_accessor, stale_copies, step, watched_inits};
use ormend_engine::codemod::foreign_key::{
    Followed, Form, Given, Held, KeyRead, held, is_before, is_present, referenced,
};
use ormend_engine::codemod::guards::handlers::taking;
use ormend_engine::codemod::rows::column::is_stored_value;
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::django::Signal;
use ormend_engine::infer::{Event, EventKind, Write};
use ormend_engine::python::{Expr, Kind, Node};

/// Hazards of a read.
pub fn hazards<'a>(cx: &Context<'a>, found: &KeyRead<'a>, out: &mut Vec<Hazard>) {
    let followed = &found.followed;
    of_relation(cx, followed, out);
    of_owner(cx, followed, out);
    gone(cx, followed, out);
    stale_afterwards(cx, followed, out);
    match &found.form {
        Form::Key if !is_present(cx, followed) => {
            let read = followed.node.text();
            out.push(cx.hazard(HazardKind::NullableKey, read, followed.node));
            let errors = ["AttributeError", "Exception", "BaseException"];
            if let Some(site) = taking(cx, cx.file, found.whole, &errors) {
                out.push(Hazard::at(HazardKind::HandlerAround, "", site));
            }
        }
        Form::Compared(other) => {
            if let Some(second) = &other.followed {
                of_relation(cx, second, out);
                of_owner(cx, second, out);
                gone(cx, second, out);
            } else if let Some(site) = other.may_be_none {
                out.push(Hazard::at(HazardKind::MayBeNone, other.node.text(), site));
            } else if other.may_be_keyless && !is_present(cx, followed) {
                out.push(cx.hazard(HazardKind::UnsavedInstance, other.node.text(), other.node));
            }
        }
        Form::Argument(given) => shared(cx, followed, given, out),
        _ => {}
    }
}

/// What the foreign key and its target are like.
fn of_relation(cx: &Context<'_>, followed: &Followed<'_>, out: &mut Vec<Hazard>) {
    let (model, target) = (cx.model(followed.instance.model), cx.model(followed.target));
    let name = format!("{}.{}", model.name, followed.field.name);
    if let Some(base) = &target.base_manager_name
        && !cx.project.is_plain_manager(followed.target, base)
    {
        out.push(Hazard::at(HazardKind::DanglingKey, name.clone(), target.site));
    }
    if !followed.relation.db_constraint || !model.is_managed {
        out.push(Hazard::at(HazardKind::DanglingKey, name, followed.field.site));
    }
    let steps: Vec<Step> =
        step(cx.project, followed.instance.model, &followed.field.name).into_iter().collect();
    own_accessor(cx.project, &steps, out);
    watched_inits(cx.project, &steps, out);
    match referenced(cx.project, followed.relation) {
        Some(key) if is_stored_value(cx, key) => {}
        Some(key) => {
            let subject = format!("{}.{}", target.name, key.name);
            out.push(Hazard::at(HazardKind::NotAColumn, subject, key.site));
        }
        None => out.push(Hazard::at(HazardKind::NotAColumn, target.name.clone(), target.site)),
    }
}

/// How the object that has the key came here.
fn of_owner<'a>(cx: &Context<'a>, followed: &Followed<'a>, out: &mut Vec<Hazard>) {
    let columns = [followed.field.name.as_str(), followed.field.attname.as_str()];
    let subject = followed.owner.text();
    match held(cx, &followed.instance, followed.owner, &columns, 0) {
        Held::Loaded | Held::Created => {}
        Held::Constructed => out.push(cx.hazard(HazardKind::UnsavedInstance, subject, followed.owner)),
        Held::Changed(site) => {
            out.push(Hazard::at(HazardKind::KeyChanged, followed.node.text(), site));
        }
        Held::HandedIn(site) => out.push(Hazard::at(HazardKind::HandedIn, subject, site)),
    }
}

/// The row behind the key may have been deleted before.
fn gone(cx: &Context<'_>, followed: &Followed<'_>, out: &mut Vec<Hazard>) {
    let deletes = cx.facts.events().filter(|e| {
        matches!(e.kind, EventKind::Write { write: Write::Delete, .. })
            && is_before(cx.node(e.at), followed.node)
    });
    if let Some(site) = first_writing(cx, followed, deletes) {
        out.push(Hazard::at(HazardKind::DanglingKey, followed.node.text(), site));
    }
}

/// Who reads the object later, elsewhere, got it as it was here: a write in between would show.
fn stale_afterwards<'a>(cx: &Context<'a>, followed: &Followed<'a>, out: &mut Vec<Hazard>) {
    let instance = &followed.instance;
    let escapes = cx.facts.events().any(|e| {
        matches!(&e.kind, EventKind::InstanceEscapes { root, path, .. }
            if *root == instance.root && instance.path.starts_with(path))
    });
    let is_later = |e: &Event<'_>| {
        let at = cx.node(e.at);
        let is_known = matches!(e.kind, EventKind::Write { write, .. } if *write != Write::Unknown);
        is_known && !e.is_guess && follows(followed.node, at)
    };
    if escapes && let Some(site) = first_writing(cx, followed, cx.facts.events().filter(is_later)) {
        let hazard = site_text(cx, site);
        out.push(Hazard::at(HazardKind::StaleCopy, hazard, site));
    }
}

fn site_text(cx: &Context<'_>, site: ormend_engine::codemod::Site) -> String {
    format!("{}()", called_name(cx.project, site))
}

fn follows<'a>(read: Node<'a>, later: Node<'a>) -> bool {
    ormend_engine::codemod::guards::flow::may_follow(read, later, |_| false)
}

/// The place of the first of these events that may write the row behind the key.
fn first_writing<'e>(
    cx: &Context<'_>,
    followed: &Followed<'_>,
    events: impl Iterator<Item = Event<'e>>,
) -> Option<ormend_engine::codemod::Site> {
    let step = step(cx.project, followed.instance.model, &followed.field.name)?;
    let mut found = Vec::new();
    stale_copies(cx.project, events, &[step], &mut found);
    found.first().and_then(|h| h.site)
}

/// Rows that are made in a loop with one object share it; each of them would load it for itself when it is asked for.
fn shared<'a>(cx: &Context<'a>, followed: &Followed<'a>, given: &Given<'a>, out: &mut Vec<Hazard>) {
    let Some(model) = given.makes else { return };
    let mut root = followed.owner.peel();
    while let Expr::Attribute { value, .. } = Expr::of(root) {
        root = value.peel();
    }
    let looped = given
        .call
        .ancestors()
        .take_while(|a| *a != cx.scope())
        .find(|a| matches!(a.kind(), Kind::For | Kind::While) || a.kind().is_comprehension());
    let Some(looped) = looped else { return };
    let is_bound_inside =
        looped.descendants().any(|n| n.kind() == Kind::Name && n.is_binding() && n.text() == root.text());
    if is_bound_inside {
        return;
    }
    let is_dropped = given.call.with_parens().parent().is_some_and(|p| p.kind() == Kind::ExprStatement);
    let is_watched = cx.project.override_of(model, "save").is_some()
        || [Signal::PreSave, Signal::PostSave].iter().any(|s| !cx.project.receivers(model, *s).is_empty());
    if !is_dropped || is_watched {
        let subject = given.call.text().lines().next().unwrap_or_default();
        out.push(cx.hazard(HazardKind::InstanceUsedAfterwards, subject, given.call));
    }
}
