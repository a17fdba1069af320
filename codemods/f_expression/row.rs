//! Who else may write the row between its load and its save.

use super::find::Unit;
use super::hazards::Judged;
use ormend_engine::codemod::guards::loads::{Origin, loads_whole, origins};
use ormend_engine::codemod::guards::{flow, writes};
use ormend_engine::codemod::{Context, Hazard, HazardKind};
use ormend_engine::django::{ModelId, Signal};
use ormend_engine::infer::EventKind;
use ormend_engine::python::{Expr, Kind, Node, NodeId, Stmt, arguments};

/// Whoever may write the row between its load and its save.
pub fn between<'a>(cx: &Context<'a>, unit: &Unit<'a>, others: &[Unit<'a>], out: &mut Judged<'a>) {
    // A method's row was loaded by its caller.
    let load = match out.loads.iter().min_by_key(|l| l.statement.id()) {
        Some(load) => Some(load.statement),
        None if out.receivers.is_some() => None,
        None => return,
    };
    let save = unit.save.statement;
    let end = load.map_or(unit.scope.id(), Node::subtree_end);
    let is_own = |at: NodeId| save.contains(at) || unit.changes.iter().any(|c| c.target.contains(at));
    let runs_between = |node: Node<'a>| {
        load.is_none_or(|load| flow::may_follow(load, node, |_| false))
            && flow::may_follow(node, save, |s| Some(s) == load)
    };
    let mut last = None;
    for event in cx.facts.events().filter(|e| e.at >= end && e.at < save.id() && !is_own(e.at)) {
        let matters = match &event.kind {
            EventKind::Write { model: None, .. } | EventKind::UnknownCall { .. } => true,
            EventKind::Write { model: Some(model), .. } => {
                writes::shares_table(cx.project, *model, unit.model)
            }
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
        && (node.text().starts_with(&format!("{owner}.save("))
            || node.text().starts_with(&format!("{owner}.asave(")))
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
        let origins = origins(cx, &u.changed()).unwrap_or_default();
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
                        && n.is_binding()
                        && n.parent().is_none_or(|p| {
                            !matches!(
                                p.kind(),
                                Kind::Parameters | Kind::TypedParameter | Kind::DefaultParameter
                            )
                        })
                })
            };
            !rebound(p)
                && !rebound(q)
                && scope.descendants().filter(|n| n.kind() == Kind::If).any(|n| {
                    let Stmt::If { branches, .. } = Stmt::of(n) else { return false };
                    let Some((test, body)) = branches.first() else { return false };
                    let Expr::Compare { left, op: Kind::Eq, right } = Expr::of(*test) else { return false };
                    let same =
                        (left.text() == p && right.text() == q) || (left.text() == q && right.text() == p);
                    same && body.children().any(flow::leaves) && flow::dominates(n, first)
                })
        }
        _ => false,
    }
}

/// The only lookup of the only load: `pk=source_id`.
fn key<'a>(judged: &Judged<'a>) -> Option<(&'a str, Node<'a>, Node<'a>)> {
    let [load] = judged.loads.as_slice() else { return None };
    // Two reviews may be of one book.
    if load.is_followed {
        return None;
    }
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
pub fn loads_whole_rows(cx: &Context<'_>, unit: &Unit<'_>, judged: &Judged<'_>) -> bool {
    // A relation is followed through the base manager.
    let has_base_manager = cx.model(unit.model).base_manager_name.is_some();
    if judged.loads.iter().any(|l| l.is_followed) && has_base_manager {
        return false;
    }
    judged.loads.iter().all(|load| loads_whole(cx, load))
}
