//! What could make an expression differ from the number: the column, the operands, the model, and everything that
//! happens to the row and the instance between the load and the end of the function.

use super::find::Unit;
use super::method::{self, Receivers};
use super::{life, model, row};
use ormend_engine::codemod::guards::integer::{is_integer, is_integer_default};
use ormend_engine::codemod::guards::loads::{Load, Origin, origins};
use ormend_engine::codemod::guards::{callers, writes};
use ormend_engine::codemod::{Context, Hazard, HazardKind, Site};
use ormend_engine::django::FieldKind;
use ormend_engine::infer::Type;
use ormend_engine::python::{Def, Expr, Kind, Node, Stmt, parameters};

/// What is known of a unit after every check.
pub struct Judged<'a> {
    /// The loads that may have made the instance.
    pub loads: Vec<Load<'a>>,
    /// The first place that looks at the instance, or has it.
    pub seen: Option<Site>,
    /// `save()` writes nothing but the counters and the auto_now columns.
    pub can_narrow: bool,
    /// Somebody else has the instance before the change, and may have changed it.
    pub is_shared: bool,
    /// It is a parameter of the function.
    pub is_handed_in: bool,
    /// The function is a method of the model, whose callers are all known.
    pub receivers: Option<Receivers>,
    /// Other obstacles.
    pub hazards: Vec<Hazard>,
}

impl Judged<'_> {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Judged {
            loads: Vec::new(),
            seen: None,
            can_narrow: true,
            is_shared: false,
            is_handed_in: false,
            receivers: None,
            hazards: Vec::new(),
        }
    }
}

/// Everything about one unit; `None` where it is not the pattern.
pub fn judge<'a>(cx: &Context<'a>, unit: &Unit<'a>, others: &[Unit<'a>]) -> Option<Judged<'a>> {
    let origins = origins(cx, &unit.changed())?;
    let mut out = Judged::new();
    columns(cx, unit, &mut out.hazards);
    model::instances(cx, unit, &mut out.hazards);
    let mut held = None;
    for origin in origins {
        match origin {
            Origin::Loaded(load) => {
                model::upsert(cx, unit, &load, &mut out);
                out.loads.push(load);
            }
            Origin::Constructed(at) => {
                out.hazards.push(cx.hazard(HazardKind::UnsavedInstance, unit.owner.text(), at));
            }
            Origin::Created(at) => out.hazards.push(unsaved(cx, unit, at)),
            Origin::Held(at) => held = held.or(Some(at)),
        }
    }
    if held == Some(unit.scope) && out.loads.is_empty() {
        out.receivers = method::receivers(cx, unit);
    }
    if let Some(receivers) = &out.receivers {
        out.seen = receivers.seen;
        out.can_narrow = receivers.is_whole;
    } else if let Some(at) = held {
        out.can_narrow = false;
        out.is_shared = true;
        if is_handed_in(unit, at) {
            out.is_handed_in = true;
            out.hazards.push(cx.hazard(HazardKind::HandedIn, unit.owner.text(), at));
        } else {
            out.seen = Some(cx.site(at));
        }
    }
    if !unit.is_update {
        model::saving(cx, unit, &mut out);
    }
    if unit.subject.is_some() {
        life::life(cx, unit, &mut out);
    }
    row::between(cx, unit, others, &mut out);
    if unit.save.update_fields.is_some() || !model::is_narrow_model(cx, unit) {
        out.can_narrow = false;
    }
    Some(out)
}

/// Whether the instance is a parameter, `self` included, or one that a relation of a parameter gives.
fn is_handed_in<'a>(unit: &Unit<'a>, at: Node<'a>) -> bool {
    if at == unit.scope {
        return true;
    }
    let Stmt::Assign { value: Some(value), .. } = Stmt::of(at) else { return false };
    let mut node = value.peel();
    while let Expr::Attribute { value, .. } = Expr::of(node) {
        node = value.peel();
    }
    node != value.peel()
        && matches!(Expr::of(node), Expr::Name(name)
            if parameters(unit.scope).iter().any(|p| p.name == name))
}

/// The number in memory may not be the row's.
pub fn unsaved<'a>(cx: &Context<'a>, unit: &Unit<'a>, at: Node<'a>) -> Hazard {
    cx.hazard(HazardKind::OtherUnsavedChanges, attribute(unit), at)
}

/// `book.view_count`
pub fn attribute(unit: &Unit<'_>) -> String {
    let column = unit.changes.first().map_or("", |c| c.column);
    format!("{}.{column}", unit.owner.text())
}

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
            let kind = if may_be_integer(cx, *operand) {
                HazardKind::AssumedInteger
            } else {
                HazardKind::UnprovenOperand
            };
            out.push(cx.hazard(kind, text, change.statement));
        }
    }
}

/// Whether nothing is known of the operand that speaks against an integer: a parameter without annotation, something of
/// a type that is not known.
fn may_be_integer<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    if is_integer(cx, node) {
        return true;
    }
    match Expr::of(node) {
        Expr::Name(name) => {
            *cx.type_of(node) == Type::Unknown
                && parameters(cx.scope()).iter().any(|p| {
                    p.name == name
                        && p.annotation.is_none()
                        && p.default.is_none_or(|d| is_integer_default(cx, d))
                })
                && !callers::gives_no_integer(cx, name)
        }
        Expr::Attribute { value, .. } => {
            *cx.type_of(node) == Type::Unknown && cx.type_of(value).instance().is_none()
        }
        Expr::BinOp { left, op: Kind::Add | Kind::Sub | Kind::Mult, right } => {
            may_be_integer(cx, left) && may_be_integer(cx, right)
        }
        Expr::UnaryOp { operand, .. } => may_be_integer(cx, operand),
        _ => false,
    }
}
