//! The decorator where the body is the unit, otherwise a `with` around the writes.

use super::find::Unit;
use super::identity::identity_of;
use ormend_engine::codemod::atomic_block::{atomic_name, with_block};
use ormend_engine::codemod::guards::transaction::{self as guard, alias, hazards, is_plain_decorator};
use ormend_engine::codemod::guards::writes::shares_table;
use ormend_engine::codemod::{Context, Fix, Hazard, Site};
use ormend_engine::infer::{Event, EventKind, Type};
use ormend_engine::python::emit::indentation;
use ormend_engine::python::{Expr, Field, Kind, Node, Stmt};
use ormend_engine::text::{Edit, Span};

/// The fix.
pub fn rewrite<'a>(cx: &Context<'a>, unit: &Unit<'a>) -> Result<Fix, Hazard> {
    let is_whole = is_whole_body(cx, unit);
    let place = match (is_whole, unit.statements.first()) {
        (false, Some(first)) => *first,
        _ => unit.function,
    };
    let (name, import) = atomic_name(cx, place)?;
    let using = alias(&unit.around()).map(|alias| format!("using={alias}"));
    let edits = if is_whole {
        let call = using.map_or(name.clone(), |using| format!("{name}({using})"));
        let indent = indentation(cx.project.program().file(cx.file), unit.function);
        vec![Edit::insert(unit.function.span().start, format!("@{call}\n{indent}"))]
    } else {
        with_block(cx, &unit.statements, &format!("{name}({})", using.unwrap_or_default()))?
    };
    let mut fix = cx.fix(edits);
    fix.imports.extend(import);
    // Nobody else may change the lines that move to the right, or add to them.
    if let (Some(first), Some(last)) = (unit.statements.first(), unit.statements.last()) {
        let span = Span::new(first.span().start, last.span().end);
        fix.reads.push(Site { file: cx.file, span });
    }
    Ok(fix)
}

/// Whether the decorator says the same as a block around the writes: what stands before them only prepares or reads
/// the rows that are written, what follows only gives something back.
fn is_whole_body<'a>(cx: &Context<'a>, unit: &Unit<'a>) -> bool {
    let Some(body) = unit.function.child(Field::Body) else { return false };
    let Some(first) = unit.statements.first() else { return false };
    if first.parent() != Some(body) || unit.function != cx.scope() {
        return false;
    }
    if !guard::decorators(unit.function).into_iter().all(|d| is_plain_decorator(cx, cx.file, d)) {
        return false;
    }
    let all: Vec<Node<'a>> = body.children().filter(|n| n.kind() != Kind::Comment).collect();
    let is_unit = |s: &Node<'a>| unit.statements.contains(s);
    let around = unit.around();
    let mut more = Vec::new();
    hazards(cx, &around, &all, &mut more);
    let mut own = Vec::new();
    hazards(cx, &around, &unit.statements, &mut own);
    if more.iter().any(|h| !own.contains(h)) {
        return false;
    }
    let start = all.iter().position(is_unit).unwrap_or(0);
    let end = all.iter().rposition(is_unit).unwrap_or(0);
    let before = all.get(..start).unwrap_or(&[]);
    let after = all.get(end + 1..).unwrap_or(&[]);
    before.iter().all(|s| prepares(cx, unit, *s)) && after.iter().all(|s| gives_back(cx, *s))
}

/// A docstring, a check that raises or returns, an assignment, a read of the rows that are written.
fn prepares<'a>(cx: &Context<'a>, unit: &Unit<'a>, statement: Node<'a>) -> bool {
    if matches!(statement.kind(), Kind::For | Kind::While | Kind::Try | Kind::With) {
        return false;
    }
    // One row that the writes name.
    let loads = match Stmt::of(statement) {
        Stmt::Assign { value: Some(value), .. } => match cx.type_of(value) {
            Type::Instance(instance) => identity_of(instance).is_some_and(|identity| {
                unit.items.iter().any(|i| i.rows.contains(&identity) || i.mentions.contains(&identity))
            }),
            _ => false,
        },
        _ => false,
    };
    cx.events_in(statement).all(|event| match &event.kind {
        EventKind::Query { .. } if loads => true,
        EventKind::ReadRelation { .. } => true,
        EventKind::Query { model: Some(model) } | EventKind::ReadMany { model, .. } => {
            unit.items.iter().flat_map(|i| &i.models).any(|m| shares_table(cx.project, *m, *model))
        }
        EventKind::Raise | EventKind::Log => true,
        _ => is_quiet(event),
    })
}

fn gives_back<'a>(cx: &Context<'a>, statement: Node<'a>) -> bool {
    let plain = match Stmt::of(statement) {
        Stmt::Return(None) => true,
        Stmt::Return(Some(value)) => !matches!(Expr::of(value), Expr::Call { .. }),
        Stmt::Pass => true,
        _ => false,
    };
    plain && cx.events_in(statement).all(is_quiet)
}

fn is_quiet(event: Event<'_>) -> bool {
    matches!(
        event.kind,
        EventKind::ReadAttribute { .. }
            | EventKind::WriteAttribute { .. }
            | EventKind::InstanceEscapes { .. }
            | EventKind::Use { .. }
    )
}
