//! What one function does with the instance.

use super::find::{Change, Form, Unit};
use super::hazards::{Judged, unsaved};
use ormend_engine::codemod::guards::instance::{Mention, MentionKind};
use ormend_engine::codemod::guards::{flow, transaction, writes};
use ormend_engine::codemod::{Context, HazardKind, Site};
use ormend_engine::django::{Field, FieldKind, Signal};
use ormend_engine::infer::Type;
use ormend_engine::python::{Expr, Kind, Member, Node, Stmt, arguments};

/// What is done with the instance from its load to the end of the function.
pub fn life<'a>(cx: &Context<'a>, unit: &Unit<'a>, out: &mut Judged<'a>) {
    let Some(subject) = &unit.subject else { return };
    let columns = unit.columns();
    let start = out.loads.iter().map(|l| l.statement.id()).min();
    let save = unit.save.statement;
    let refreshes = |s: Node<'a>| s.id() > save.id() && is_refresh(s, unit, &columns);
    let ends = |s: Node<'a>| subject.is_bound_by(s) || refreshes(s);
    let afters: Vec<(Node<'a>, Vec<Node<'a>>)> =
        unit.changes.iter().map(|c| (c.statement, flow::after(c.statement, ends))).collect();
    let is_after =
        |node: Node<'a>| afters.iter().any(|(_, nodes)| nodes.iter().any(|n| n.contains(node.id())));
    let is_before = |node: Node<'a>| {
        start.is_none_or(|start| node.id() > start)
            && unit.changes.iter().any(|c| {
                node.id() < c.statement.id()
                    && flow::may_follow(node, c.statement, |s| subject.is_bound_by(s))
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
                afters
                    .iter()
                    .any(|(s, nodes)| *s != change.statement && nodes.iter().any(|n| n.contains(node.id())))
                    || is_after_own(unit, &afters, node),
            ),
            None => (is_before(node), is_after(node)),
        };
        if node.enclosing_scope() != Some(unit.scope) {
            // A function made before may be called after.
            seen.push(cx.site(node));
            out.can_narrow = false;
            out.is_shared |= node.id() < save.id();
            continue;
        }
        let until_save = before || (after && node.id() < save.id());
        let at = || cx.site(node);
        match kind {
            MentionKind::Rebinds => {}
            MentionKind::Harmless => out.can_narrow &= !until_save || !may_change(cx, unit, node),
            MentionKind::Calls => out.can_narrow &= !until_save,
            MentionKind::Reads if after => seen.push(at()),
            MentionKind::Reads if before && decides(unit, node).is_some() && is_open(cx, unit) => {
                let test = decides(unit, node).map_or("", Node::text);
                out.hazards.push(cx.hazard(HazardKind::DecidedBefore, writes::one_line(test), node));
            }
            MentionKind::Reads => out.can_narrow &= !until_save || columns_read(node, &columns),
            MentionKind::Escapes if before || after => {
                seen.push(at());
                out.is_shared |= before && !is_kept_by_row(cx, unit, node);
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
                let is_key =
                    name == "pk" || cx.model(unit.model).primary_key().is_some_and(|f| f.name == name);
                if is_key && until_save {
                    out.hazards.push(cx.hazard(HazardKind::UnsavedInstance, unit.owner.text(), node));
                } else if columns.contains(&name) && after {
                    seen.push(at());
                } else if columns.contains(&name) && before {
                    out.hazards.push(unsaved(cx, unit, node));
                } else if until_save {
                    out.can_narrow = false;
                    // A new file gets its name from upload_to while it is saved.
                    let is_file = |f: &Field| matches!(f.kind, FieldKind::File);
                    if cx.model(unit.model).field(name).is_some_and(is_file) {
                        seen.push(at());
                    }
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
        // A loop around the save alone writes the number once more.
        let ends = |s: Node<'a>| {
            unit.subject.as_ref().is_some_and(|subject| subject.is_bound_by(s))
                || is_refresh(s, unit, &unit.columns())
        };
        return flow::after(unit.save.statement, ends).iter().any(|n| n.contains(node.id()))
            && !unit
                .changes
                .iter()
                .any(|c| afters.iter().any(|(_, nodes)| nodes.iter().any(|n| n.contains(c.statement.id()))));
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

/// Whether the instance only goes into a row that is made, and nothing in the function assigns the column through it.
fn is_kept_by_row<'a>(cx: &Context<'a>, unit: &Unit<'a>, node: Node<'a>) -> bool {
    let call = node
        .with_parens()
        .parent()
        .filter(|p| p.kind() == Kind::KeywordArgument)
        .and_then(Node::parent)
        .and_then(Node::parent);
    let Some(Expr::Call { func, .. }) = call.map(Expr::of) else { return false };
    let Expr::Attribute { value, attr: "create" | "acreate", .. } = Expr::of(func) else { return false };
    let columns = unit.columns();
    let assigns = |n: Node<'a>| {
        n.kind() == Kind::Attribute
            && n.field() == ormend_engine::python::Field::Left
            && matches!(Expr::of(n), Expr::Attribute { attr, .. } if columns.contains(&attr))
            && !unit.changes.iter().any(|c| c.target == n)
    };
    matches!(cx.type_of(value), Type::Manager(_))
        && !unit.scope.descendants().any(|n| assigns(n) || n.kind() == Kind::Name && n.text() == "setattr")
}

/// Whether reading this attribute may be followed by a change of the row in place: a list in a JSON column, a file, a
/// property.
fn may_change<'a>(cx: &Context<'a>, unit: &Unit<'a>, node: Node<'a>) -> bool {
    let Expr::Attribute { attr, .. } = Expr::of(node) else { return false };
    let model = cx.model(unit.model);
    match model.field(attr) {
        Some(field) => matches!(
            field.kind,
            FieldKind::Json | FieldKind::Binary | FieldKind::File | FieldKind::Postgres | FieldKind::Other
        ),
        None => {
            model.field_by_attname(attr).is_none()
                && cx
                    .project
                    .program()
                    .member(model.class, attr)
                    .is_some_and(|(_, m)| matches!(m, Member::Function(..)))
        }
    }
}

fn columns_read(node: Node<'_>, columns: &[&str]) -> bool {
    node.kind() == Kind::Attribute && columns.iter().any(|c| node.text().ends_with(c))
}

/// The test around `node` that a change depends on: it stands below it, or behind a branch of it that leaves.
fn decides<'a>(unit: &Unit<'a>, node: Node<'a>) -> Option<Node<'a>> {
    let statement = node.ancestors().find(|n| matches!(n.kind(), Kind::If | Kind::While))?;
    let test = match Stmt::of(statement) {
        Stmt::If { branches, .. } => {
            branches.iter().map(|(test, _)| *test).find(|t| t.contains(node.id()))?
        }
        Stmt::While { test, .. } if test.contains(node.id()) => test,
        _ => return None,
    };
    let is_decided = |change: &Change<'a>| {
        statement.contains(change.statement.id())
            || change.statement.id() > statement.id() && statement.descendants().any(flow::leaves)
    };
    unit.changes.iter().any(is_decided).then_some(test)
}

/// Whether the number is read and saved in one transaction, in which a lock would keep what was decided true.
fn is_open<'a>(cx: &Context<'a>, unit: &Unit<'a>) -> bool {
    !unit.is_update && transaction::around(cx, unit.save.statement).is_some()
}

/// Whether `node` is where the change assigns or reads its column.
fn is_place_of(change: &Change<'_>, node: Node<'_>) -> bool {
    node == change.target
        || match &change.form {
            Form::Augmented { .. } => false,
            Form::Assigned { reads, .. } => reads.iter().any(|r| r.contains(node.id())),
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
            let names: Vec<Option<String>> =
                list.children().map(ormend_engine::python::string_value).collect();
            columns.iter().all(|c| names.iter().any(|n| n.as_deref() == Some(c)))
        }
        _ => false,
    }
}
