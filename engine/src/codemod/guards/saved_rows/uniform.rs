//! Loops that give every row the same: what one `update()` of their queryset says as well.

use super::super::integer::is_integer;
use super::super::life;
use super::super::making::instances;
use super::super::projection::dropping_joins;
use super::super::queryset::{rows_given, shape};
use super::super::variable::read_elsewhere;
use super::super::writes::{manager_methods, one_line};
use super::{SavedRows, Written};
use crate::codemod::{Context, Hazard, HazardKind};
use crate::django::{Field, FieldKind};
use crate::infer::{QuerySet, Trait, Type};
use crate::python::{Expr, Kind, Member, Node, Stmt, arguments};

/// One `update()`.
#[derive(Clone, Debug)]
pub struct Update<'a> {
    /// The expression of the queryset, without `list()` and `iterator()`.
    pub chain: Node<'a>,
    /// Its state.
    pub queryset: &'a QuerySet,
    /// What is assigned, in order; the auto_now columns are not here.
    pub assigned: Vec<Assigned<'a>>,
    /// The auto_now columns.
    pub auto_now: Vec<&'a Field>,
}

/// One column and its value for every row.
#[derive(Clone, Debug)]
pub struct Assigned<'a> {
    /// The attribute, as it is written.
    pub name: &'a str,
    /// Its field.
    pub field: &'a Field,
    /// `row.n += value`, with the operator of the sum.
    pub operator: Option<Kind>,
    /// The value; inside of it `row.x` stands for `F("x")`.
    pub value: Node<'a>,
    /// A value of Python, the same for all rows.
    pub is_constant: bool,
    /// The places in `value` that read a column of the row.
    pub reads: Vec<(Node<'a>, &'a Field)>,
}

/// Querysets on which `update()` raises or means something else.
pub const REFUSED: &[Trait] = &[
    Trait::Sliced,
    Trait::Combined,
    Trait::Raw,
    Trait::Distinct,
    Trait::DistinctOn,
    Trait::Dates,
    Trait::Grouped,
    Trait::Annotated,
    Trait::RawSql,
    Trait::FilteredRelation,
    Trait::Mysterious,
];

/// Functions that say what time it is: one moment for all rows is what such code means.
const CLOCKS: &[&str] = &[
    "django.utils.timezone.now",
    "django.utils.timezone.localtime",
    "django.utils.timezone.localdate",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
];

/// Constructors that give the same for the same arguments.
const CONSTANTS: &[&str] =
    &["datetime.timedelta", "datetime.date", "datetime.datetime", "decimal.Decimal", "uuid.UUID"];

/// The loop as one `update()`: its body only assigns columns of the row and saves it.
pub fn update<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, written: &Written<'a>) -> Option<Update<'a>> {
    let Stmt::For { target, orelse: None, .. } = Stmt::of(rows.node) else { return None };
    if !matches!(Expr::of(target), Expr::Name(_)) {
        return None;
    }
    let [save] = rows.saves.as_slice() else { return None };
    if !rows.setters.is_empty() {
        return None;
    }
    let (chain, queryset) = rows_given(cx, rows.iter, rows.is_async)?;
    let model = cx.model(rows.model);
    let mut assigned: Vec<Assigned<'a>> = Vec::new();
    let mut statements = rows.body.children().filter(|s| s.kind() != Kind::Comment).peekable();
    while let Some(statement) = statements.next() {
        if statement == save.statement {
            statements.peek().is_none().then_some(())?;
            break;
        }
        let (target, operator, value) = match Stmt::of(statement) {
            Stmt::Assign { targets, value: Some(value), annotation: None } => match targets.as_slice() {
                [only] => (*only, None, value),
                _ => return None,
            },
            Stmt::AugAssign { target, op, value } => {
                let operator = match op {
                    Kind::AddAssign => Kind::Add,
                    Kind::SubAssign => Kind::Sub,
                    Kind::MultAssign => Kind::Mult,
                    _ => return None,
                };
                (target, Some(operator), value)
            }
            _ => return None,
        };
        let Expr::Attribute { value: owner, attr, .. } = Expr::of(target) else { return None };
        if !matches!(Expr::of(owner), Expr::Name(n) if n == rows.row.text()) {
            return None;
        }
        let field = model.field(attr).or_else(|| model.field_by_attname(attr))?;
        if assigned.iter().any(|a| a.field.name == field.name) {
            return None;
        }
        let reads = reads_of(cx, rows, field, value, &assigned)?;
        if operator.is_some() && !is_arithmetic(cx, field, value) {
            return None;
        }
        let is_constant = reads.is_empty() && operator.is_none() && !is_computed(cx, value);
        assigned.push(Assigned { name: attr, field, operator, value, is_constant, reads });
    }
    // What save() writes is what is assigned.
    assigned.retain(|a| !a.field.auto_now);
    let is_written = |a: &Assigned<'a>| written.columns.iter().any(|f| f.name == a.field.name);
    if assigned.is_empty() || !assigned.iter().all(is_written) {
        return None;
    }
    Some(Update { chain, queryset, assigned, auto_now: written.auto_now.clone() })
}

/// The columns of the row that a value reads, where it is the same for every row but for them; `None` where it is not.
fn reads_of<'a>(
    cx: &Context<'a>,
    rows: &SavedRows<'a>,
    into: &Field,
    value: Node<'a>,
    before: &[Assigned<'a>],
) -> Option<Vec<(Node<'a>, &'a Field)>> {
    let mut reads = Vec::new();
    let value = value.peel();
    if let Some(field) = column_of(cx, rows, value) {
        // A plain copy of another column.
        let is_plain = matches!(
            field.kind,
            FieldKind::Integer
                | FieldKind::Boolean
                | FieldKind::Char
                | FieldKind::Text
                | FieldKind::Date
                | FieldKind::DateTime
        );
        let is_same =
            field.class == into.class && !field.has_hooks && !into.has_hooks && (into.null || !field.null);
        if !is_plain || !is_same || before.iter().any(|a| a.field.name == field.name) {
            return None;
        }
        reads.push((value, field));
        return Some(reads);
    }
    if let Expr::BinOp { left, op: Kind::Add | Kind::Sub | Kind::Mult, right } = Expr::of(value)
        && mentions(value, rows.row.text())
    {
        for side in [left, right] {
            match column_of(cx, rows, side.peel()) {
                Some(field) => {
                    let is_plain =
                        field.kind == FieldKind::Integer && !field.null && field.class.starts_with("django.");
                    if !is_plain || before.iter().any(|a| a.field.name == field.name) {
                        return None;
                    }
                    reads.push((side.peel(), field));
                }
                None if is_operand(cx, side) => {}
                None => return None,
            }
        }
        let fits = into.kind == FieldKind::Integer && into.class.starts_with("django.");
        return fits.then_some(reads);
    }
    is_constant(cx, rows.row.text(), value, 0).then_some(reads)
}

fn mentions(node: Node<'_>, name: &str) -> bool {
    node.has_name(name)
}

/// The field of `row.x`.
fn column_of<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, node: Node<'a>) -> Option<&'a Field> {
    let Expr::Attribute { value, attr, .. } = Expr::of(node) else { return None };
    if !matches!(Expr::of(value), Expr::Name(n) if n == rows.row.text()) {
        return None;
    }
    cx.model(rows.model).field(attr).filter(|f| f.relation.is_none())
}

/// `row.n += value`, in which Python and the database compute the same.
fn is_arithmetic<'a>(cx: &Context<'a>, field: &Field, value: Node<'a>) -> bool {
    field.kind == FieldKind::Integer
        && field.class.starts_with("django.")
        && !field.null
        && is_operand(cx, value)
}

/// Whether an operand is certainly an `int` and the same for every row: a literal, or a name that says so.
fn is_operand<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    let is_same = match Expr::of(node) {
        Expr::Int(_) | Expr::Name(_) => true,
        Expr::UnaryOp { operand, .. } => matches!(Expr::of(operand), Expr::Int(_)),
        _ => false,
    };
    is_same && is_integer(cx, node)
}

/// Whether an expression has one value for the whole loop whose variable is `row`.
pub fn is_constant<'a>(cx: &Context<'a>, row: &str, node: Node<'a>, depth: usize) -> bool {
    if depth > 20 {
        return false;
    }
    let inner = |n: Node<'a>| is_constant(cx, row, n, depth + 1);
    match Expr::of(node) {
        Expr::Str(_) => !mentions(node, row) && !node.descendants().any(|n| n.kind() == Kind::Interpolation),
        Expr::Int(_) | Expr::Float | Expr::True | Expr::False | Expr::None => true,
        Expr::Name(name) => name != row,
        Expr::Attribute { value, .. } => {
            !matches!(cx.type_of(value), Type::Object(_))
                && !is_property(cx, node)
                && !is_followed(cx, node)
                && inner(value)
        }
        Expr::BinOp { left, op: Kind::Add | Kind::Sub | Kind::Mult, right } => inner(left) && inner(right),
        Expr::UnaryOp { operand, .. } => inner(operand),
        Expr::Tuple(list) | Expr::List(list) => list.children().all(inner),
        Expr::Dict(list) => list.children().next().is_none(),
        Expr::Call { func, arguments: list } => {
            let path = super::super::handlers::external_path(cx, func);
            let is_known = path
                .as_deref()
                .is_some_and(|p| CLOCKS.contains(&p) || CONSTANTS.contains(&p) || is_database_function(p));
            is_known && arguments(list).iter().all(|a| a.stars == 0 && inner(a.value))
        }
        _ => false,
    }
}

/// A property of a model, which may give another value each time.
fn is_property<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    let Expr::Attribute { value, attr, .. } = Expr::of(node) else { return false };
    cx.type_of(value).instance().is_some_and(|instance| {
        let model = cx.model(instance.model);
        model.field(attr).is_none()
            && matches!(cx.project.program().member(model.class, attr), Some((_, Member::Function(..))))
    })
}

/// Reading the attribute asks the database, or runs code.
fn is_followed<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    use crate::infer::EventKind;
    cx.facts.events().any(|e| {
        e.at == node.id()
            && !matches!(e.kind, EventKind::ReadAttribute { .. } | EventKind::WriteAttribute { .. })
    })
}

/// Whether the database computes the value.
pub fn is_computed<'a>(cx: &Context<'a>, value: Node<'a>) -> bool {
    value.descendants().any(|n| {
        n.kind() == Kind::Call
            && matches!(Expr::of(n), Expr::Call { func, .. }
                if super::super::handlers::external_path(cx, func).is_some_and(|p| is_database_function(&p)))
    })
}

fn is_database_function(path: &str) -> bool {
    path.starts_with("django.db.models.")
        && !path.contains("aggregates")
        && matches!(
            path.rsplit('.').next(),
            Some(
                "F" | "Value"
                    | "Now"
                    | "Lower"
                    | "Upper"
                    | "Trim"
                    | "Coalesce"
                    | "Concat"
                    | "Greatest"
                    | "Least"
            )
        )
}

impl<'a> Update<'a> {
    /// What is in the way of the one statement besides what stands in the way of any.
    pub fn hazards(&self, cx: &Context<'a>, rows: &SavedRows<'a>, out: &mut Vec<Hazard>) {
        let receiver = self.chain;
        shape(cx, self.queryset, receiver, REFUSED, out);
        life::hazards(cx, self.queryset, rows.iter, out);
        dropping_joins(cx, self.queryset, out);
        instances(cx, rows.model, out);
        manager_methods(cx, rows.model, None, self.queryset.class, &["update", "aupdate"], out);
        for name in ["__setattr__", "__delattr__"] {
            if let Some((what, site)) = super::super::making::overridden(cx, rows.model, name) {
                out.push(Hazard::at(HazardKind::CustomInstance, what, site));
            }
        }
        if read_elsewhere(cx, rows.node, &[rows.row.text()]) || cx.scope().kind() == Kind::Module {
            out.push(cx.hazard(HazardKind::LoopVariableUsed, rows.row.text(), rows.row));
        }
        for assigned in &self.assigned {
            // An instance must have its key by now, and a file its content.
            if assigned.field.kind == FieldKind::File {
                out.push(Hazard::at(HazardKind::FieldHook, assigned.field.name.clone(), assigned.field.site));
            }
            let is_instance = assigned.field.relation.is_some() && assigned.name == assigned.field.name;
            if is_instance && !is_saved(cx, assigned.value) {
                out.push(cx.hazard(
                    HazardKind::UnsavedInstance,
                    one_line(assigned.value.text()),
                    assigned.value,
                ));
            }
        }
    }
}

/// Whether an instance that is assigned to a relation was read from the database or created.
fn is_saved<'a>(cx: &Context<'a>, value: Node<'a>) -> bool {
    use crate::infer::{Made, Root};
    match cx.type_of(value) {
        Type::None => true,
        ty => match ty.instance() {
            Some(instance) => match instance.root {
                Root::Value(id) if instance.path.is_empty() => {
                    cx.value(id).is_some_and(|v| matches!(v.made, Made::Loaded | Made::Created))
                }
                Root::Row(_) => true,
                _ => !instance.path.is_empty(),
            },
            None => false,
        },
    }
}
