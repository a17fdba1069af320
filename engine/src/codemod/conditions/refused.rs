//! Values that a lookup refuses: `filter(price__gte="x")` raises where it is written (django/db/models/lookups.py,
//! `get_prep_lookup()`), whether there are rows or not. What moves a filter to where fewer or other statements have run asks
//! here first.

use super::operand::Reader;
use super::value::{Is, Literal, Value, literal, of_type};
use crate::codemod::Context;
use crate::codemod::foreign_key::{forward, referenced};
use crate::django::{Field, FieldKind, ModelId};
use crate::infer::{Instance, Made, Root, Type};
use crate::python::{Def, Expr, Node};
use crate::text::FileId;

/// Keys that are keys of other models are followed so far.
const MAX_DEPTH: usize = 8;

/// Lookups that take any value of the column but None.
const ORDERS: &[&str] = &["gt", "gte", "lt", "lte"];
/// Lookups that take a text, and make one of everything but None.
const TEXTS: &[&str] = &["contains", "icontains", "startswith", "istartswith", "endswith", "iendswith"];
/// Parts of a date or moment that are numbers.
const PARTS: &[&str] =
    &["month", "day", "week", "week_day", "iso_week_day", "quarter", "hour", "minute", "second"];

/// What a lookup asks of which kind of column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    kind: Kind,
    lookup: &'a str,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A column, or a part of a date or moment.
    Column(FieldKind),
    /// A year, which has to be one that Python has dates of.
    Year,
    /// A foreign key, of which rows or keys are asked.
    Row(ModelId, FieldKind),
}

impl<'a> Asked<'a> {
    /// What the keyword `name` of a filter of `model` asks of a column of its own; nothing for what is not followed.
    pub fn of(cx: &Context<'_>, model: ModelId, name: &'a str) -> Option<Asked<'a>> {
        let info = cx.model(model);
        let (first, rest) = name.split_once("__").unwrap_or((name, ""));
        let field = match first {
            "pk" => info.primary_key()?,
            _ => info.field(first).or_else(|| info.field_by_attname(first))?,
        };
        let column = key(cx, field, 0)?;
        let mut kind = match forward(field).and_then(|r| r.target) {
            Some(target) => Kind::Row(target, column.kind),
            None => Kind::Column(column.kind),
        };
        let mut lookup = "exact";
        for part in rest.split("__").filter(|part| !part.is_empty()) {
            let is_of_time =
                matches!(kind, Kind::Column(FieldKind::Date | FieldKind::DateTime | FieldKind::Time));
            match (part, kind) {
                ("pk" | "id", Kind::Row(_, key)) => kind = Kind::Column(key),
                ("date", _) if is_of_time => kind = Kind::Column(FieldKind::Date),
                ("time", _) if is_of_time => kind = Kind::Column(FieldKind::Time),
                ("year" | "iso_year", _) if is_of_time => kind = Kind::Year,
                _ if is_of_time && PARTS.contains(&part) => kind = Kind::Column(FieldKind::Integer),
                _ if lookup == "exact" => lookup = part,
                _ => return None,
            }
        }
        Some(Asked { kind, lookup })
    }

    /// Whether the lookup certainly takes the value of `node`, which stands in `file`.
    pub fn takes(&self, cx: &Context<'_>, file: FileId, node: Node<'_>) -> bool {
        let Some(value) = value(cx, file, node) else { return self.takes_all() };
        let is_display = matches!(Expr::of(node), Expr::List(_) | Expr::Tuple(_) | Expr::Set(_));
        match self.lookup {
            "isnull" => value.is == [Is::Bool] && !value.may_be_none,
            "exact" | "iexact" => self.fits_all(cx, &value.is, value.literal.as_ref()),
            "in" | "range" => {
                let is_list = is_display || !value.may_be_none;
                let literals = || match Expr::of(node) {
                    Expr::List(items) | Expr::Tuple(items) | Expr::Set(items) => {
                        items.children().map(|n| literal(n.peel())).collect::<Option<Vec<_>>>()
                    }
                    _ => None,
                };
                let is_none = |v: &Value| v.is_none() && self.lookup == "in";
                match (value.elements(), is_display.then(literals).flatten()) {
                    (_, Some(all)) => {
                        all.iter().all(|v| is_none(v) || self.fits_all(cx, &v.is, v.literal.as_ref()))
                    }
                    (Some(elements), None) => is_list && self.fits_all(cx, &elements, None),
                    _ => false,
                }
            }
            lookup if ORDERS.contains(&lookup) => {
                !value.may_be_none
                    && !value.is.contains(&Is::Unknown)
                    && self.fits_all(cx, &value.is, value.literal.as_ref())
            }
            lookup if TEXTS.contains(&lookup) => !value.may_be_none && !value.is.contains(&Is::Unknown),
            // Of what is not known here, the value has at least been seen by who wrote it.
            _ => value.literal.is_some(),
        }
    }

    /// Whether nothing at all is refused: a text column makes a text of whatever it is compared with.
    fn takes_all(&self) -> bool {
        self.lookup == "exact" && matches!(self.kind, Kind::Column(FieldKind::Char | FieldKind::Text))
    }

    fn fits_all(&self, cx: &Context<'_>, values: &[Is], literal: Option<&Literal>) -> bool {
        values.iter().all(|is| self.fits(cx, is, literal))
    }

    fn fits(&self, cx: &Context<'_>, is: &Is, literal: Option<&Literal>) -> bool {
        let kind = match (self.kind, is) {
            (Kind::Row(model, _), Is::Row(other)) => {
                return cx.model(*other).concrete == cx.model(model).concrete
                    || cx.project.family(model).contains(other);
            }
            (Kind::Row(_, key), _) => key,
            (Kind::Year, _) => {
                return *is == Is::Int && matches!(literal, Some(Literal::Int(1..=9999)));
            }
            (Kind::Column(kind), _) => kind,
        };
        let text = match literal {
            Some(Literal::Str(text)) => Some(text.as_str()),
            _ => None,
        };
        let is_number = matches!(is, Is::Int | Is::Bool | Is::Float | Is::Decimal);
        match kind {
            FieldKind::Char | FieldKind::Text | FieldKind::File | FieldKind::IpAddress => true,
            FieldKind::Auto | FieldKind::Integer => {
                is_number || text.is_some_and(|t| t.parse::<i64>().is_ok())
            }
            FieldKind::Float | FieldKind::Decimal => {
                is_number || text.is_some_and(|t| t.parse::<f64>().is_ok_and(f64::is_finite))
            }
            FieldKind::Boolean => match literal {
                Some(Literal::Int(n)) => (0..=1).contains(n),
                Some(Literal::Str(text)) => ["t", "f", "True", "False", "1", "0"].contains(&text.as_str()),
                _ => *is == Is::Bool,
            },
            FieldKind::Date | FieldKind::DateTime => {
                matches!(is, Is::Date | Is::Moment | Is::AnyMoment) || text.is_some_and(is_day)
            }
            FieldKind::Time => matches!(is, Is::Time | Is::Moment | Is::AnyMoment),
            FieldKind::Duration => *is == Is::Delta,
            FieldKind::Uuid => {
                let is_digit = |c: char| c.is_ascii_hexdigit() || c == '-';
                let is_uuid =
                    |t: &str| t.chars().all(is_digit) && t.chars().filter(|c| *c != '-').count() == 32;
                *is == Is::Uuid || text.is_some_and(is_uuid)
            }
            _ => !matches!(is, Is::Unknown | Is::Other),
        }
    }
}

/// Whether an expression gives a value that nothing can change.
pub fn is_immutable(cx: &Context<'_>, node: Node<'_>) -> bool {
    value(cx, cx.file, node).is_some_and(|value| {
        let is_plain = |is: &Is| !matches!(is, Is::Row(_) | Is::Many(_) | Is::Other | Is::Unknown);
        value.is.iter().all(is_plain)
    })
}

/// What is known of an expression in any file: in the frame at hand by its types, elsewhere of constants.
fn value(cx: &Context<'_>, file: FileId, node: Node<'_>) -> Option<Value> {
    let node = node.peel();
    if let Some(literal) = literal(node) {
        return Some(literal);
    }
    let program = cx.project.program();
    if file != cx.file || !cx.scope().contains(node.id()) {
        let reader = Reader { cx, place: cx.scope(), variable: "", is_moved: false };
        if let Expr::List(items) | Expr::Tuple(items) | Expr::Set(items) = Expr::of(node) {
            let all = items.children().map(|item| value(cx, file, item));
            let is: Vec<Is> = all.collect::<Option<Vec<_>>>()?.into_iter().flat_map(|v| v.is).collect();
            return Some(Value::of(Is::Many(is)));
        }
        let class = match Expr::of(node) {
            Expr::Attribute { value, .. } => match program.resolve_expr(file, value.peel().id()) {
                Some(Def::Class(class)) => Some(class),
                _ => None,
            },
            _ => None,
        };
        return match program.resolve_expr(file, node.id())? {
            Def::Variable { file, value: Some(value) } => reader.constant(file, value.0, class, 0),
            Def::External(path) => reader.setting(&path),
            _ => None,
        };
    }
    let node = cx.node(node.id());
    let reader = Reader { cx, place: node, variable: "", is_moved: false };
    // The key of a row that is there is no None.
    if let Expr::Attribute { value: owner, attr: "pk" | "id", .. } = Expr::of(node)
        && is_row(cx, owner)
    {
        return reader.value(node, 0).map(|value| Value { may_be_none: false, ..value });
    }
    let known = || {
        let known = of_type(cx.type_of(node));
        (!known.is.contains(&Is::Unknown)).then_some(known)
    };
    reader.value(node, 0).or_else(known)
}

/// Whether an expression is an object that has a row.
pub fn is_row(cx: &Context<'_>, node: Node<'_>) -> bool {
    match cx.type_of(cx.node(node.peel().id())) {
        Type::Instance(Instance { root: Root::Value(value), path, .. }) if path.is_empty() => {
            cx.value(*value).is_some_and(|v| matches!(v.made, Made::Loaded | Made::Created))
        }
        _ => false,
    }
}

/// The field whose values a column holds: for a foreign key, the key that it is a copy of.
fn key<'p>(cx: &Context<'p>, field: &'p Field, depth: usize) -> Option<&'p Field> {
    match &field.relation {
        None => Some(field),
        Some(_) if depth > MAX_DEPTH => None,
        Some(relation) => key(cx, referenced(cx.project, relation)?, depth + 1),
    }
}

/// Whether a text is a day as ISO 8601 writes it.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let number = |part: &str, length: usize| {
        let is_number = part.len() == length && part.chars().all(|c| c.is_ascii_digit());
        is_number.then(|| part.parse::<u32>().ok()).flatten()
    };
    number(year, 4).is_some_and(|y| y > 0)
        && number(month, 2).is_some_and(|m| (1..=12).contains(&m))
        && number(day, 2).is_some_and(|d| (1..=28).contains(&d))
}
