//! What a value is, as far as comparisons are concerned.

use crate::django::{FieldKind, ModelId};
use crate::infer::Type;
use crate::python::{Expr, Kind, Node, string_value};

/// What a value is, as far as comparisons are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Bool,
    Int,
    Float,
    Str,
    Date,
    /// A moment as columns have it: in a time zone where the settings say so.
    Moment,
    /// A `datetime` of which it is not known whether it is in a time zone.
    AnyMoment,
    Time,
    Delta,
    Decimal,
    Uuid,
    Row(ModelId),
    /// A collection of these.
    Many(Vec<Is>),
    /// Something else, which equals no column.
    Other,
    Unknown,
}

/// The value of a literal or constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Bool(bool),
    Int(i64),
    Str(String),
    /// Digits before and behind the point.
    Decimal(usize, usize),
}

/// What is known of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// What it may be, None apart.
    pub is: Vec<Is>,
    /// It, or an element of it, may be None.
    pub may_be_none: bool,
    pub literal: Option<Literal>,
}

impl Value {
    pub fn of(is: Is) -> Value {
        Value { is: vec![is], may_be_none: false, literal: None }
    }

    pub fn literal(is: Is, literal: Literal) -> Value {
        Value { literal: Some(literal), ..Value::of(is) }
    }

    pub fn join(self, other: Value) -> Value {
        let mut is = self.is;
        for one in other.is {
            if !is.contains(&one) {
                is.push(one);
            }
        }
        Value { is, may_be_none: self.may_be_none || other.may_be_none, literal: None }
    }

    /// Whether it is the literal None.
    pub fn is_none(&self) -> bool {
        self.is.is_empty() && self.may_be_none
    }

    /// What the elements of a collection are; nothing where it may be something else.
    pub fn elements(&self) -> Option<Vec<Is>> {
        let mut out = Vec::new();
        for is in &self.is {
            let Is::Many(inner) = is else { return None };
            out.extend(inner.iter().cloned());
        }
        (!self.is.is_empty()).then_some(out)
    }
}

/// What a value of a known type is.
pub(super) fn of_type(ty: &Type) -> Value {
    let mut out = Value { is: Vec::new(), may_be_none: false, literal: None };
    for one in ty.alternatives() {
        let is = match one {
            Type::None => {
                out.may_be_none = true;
                continue;
            }
            Type::Never => continue,
            Type::Bool => Is::Bool,
            Type::Int => Is::Int,
            Type::Float => Is::Float,
            Type::Str => Is::Str,
            Type::Column(kind) => match kind {
                FieldKind::DateTime => Is::Moment,
                FieldKind::Date => Is::Date,
                FieldKind::Time => Is::Time,
                FieldKind::Duration => Is::Delta,
                FieldKind::Decimal => Is::Decimal,
                FieldKind::Uuid => Is::Uuid,
                _ => Is::Other,
            },
            Type::Instance(instance) => Is::Row(instance.model),
            Type::List(inner) | Type::Set(inner) => many(of_type(inner), &mut out),
            Type::Tuple(inner) => {
                let all = inner.iter().map(of_type).reduce(Value::join);
                match all {
                    Some(all) => many(all, &mut out),
                    None => Is::Many(Vec::new()),
                }
            }
            Type::Dict(dict) => many(of_type(&dict.0), &mut out),
            Type::External(path) => of_path(path),
            Type::Unknown => Is::Unknown,
            _ => Is::Other,
        };
        if !out.is.contains(&is) {
            out.is.push(is);
        }
    }
    out
}

fn many(elements: Value, out: &mut Value) -> Is {
    out.may_be_none |= elements.may_be_none;
    Is::Many(elements.is)
}

/// What a class or function outside of the program makes.
pub(super) fn of_path(path: &str) -> Is {
    match path {
        "datetime.date" | "datetime.date.today" | "django.utils.timezone.localdate" => Is::Date,
        "datetime.datetime" | "datetime.datetime.now" => Is::AnyMoment,
        "datetime.time" => Is::Time,
        "datetime.timedelta" => Is::Delta,
        "decimal.Decimal" => Is::Decimal,
        "uuid.UUID" | "uuid.uuid4" => Is::Uuid,
        _ => Is::Unknown,
    }
}

/// What a call gives, whatever it is given.
pub(super) fn made_by(path: &str) -> Option<Is> {
    Some(match path {
        "datetime.timedelta" => Is::Delta,
        "datetime.date" => Is::Date,
        "datetime.time" => Is::Time,
        "decimal.Decimal" => Is::Decimal,
        "uuid.UUID" | "uuid.uuid4" => Is::Uuid,
        "django.utils.timezone.make_aware" | "django.utils.timezone.localtime" => Is::Moment,
        _ => return None,
    })
}

/// What a literal is.
pub(super) fn literal(node: Node<'_>) -> Option<Value> {
    Some(match Expr::of(node) {
        Expr::Int(text) => {
            let number = text.replace('_', "").parse::<i64>().ok()?;
            Value::literal(Is::Int, Literal::Int(number))
        }
        Expr::UnaryOp { op: Kind::Sub, operand } => match literal(operand)? {
            Value { literal: Some(Literal::Int(n)), .. } => Value::literal(Is::Int, Literal::Int(-n)),
            value @ Value { .. } if value.is == [Is::Float] => value,
            _ => return None,
        },
        Expr::Float => Value::of(Is::Float),
        Expr::Str(_) => Value::literal(Is::Str, Literal::Str(string_value(node)?)),
        Expr::True => Value::literal(Is::Bool, Literal::Bool(true)),
        Expr::False => Value::literal(Is::Bool, Literal::Bool(false)),
        Expr::None => Value { is: Vec::new(), may_be_none: true, literal: None },
        _ => return None,
    })
}

/// Whether these are year, month and day of a date that there is.
pub(super) fn is_date(parts: &[Option<Value>]) -> bool {
    let numbers: Vec<i64> = parts
        .iter()
        .flatten()
        .filter_map(|v| match v.literal {
            Some(Literal::Int(n)) => Some(n),
            _ => None,
        })
        .collect();
    matches!(numbers.as_slice(), [year, month, day]
        if (1..=9999).contains(year) && (1..=12).contains(month) && (1..=28).contains(day))
}
