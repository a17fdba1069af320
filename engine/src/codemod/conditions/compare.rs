//! Comparisons: a column with a value, with another column, and membership.

use super::Translator;
use super::column::{Column, Holds};
use super::operand::Operand;
use super::tree::{Condition, Lookup};
use super::truth::boolean;
use super::value::{Is, Literal};
use crate::codemod::naming::model_name;
use crate::codemod::{Context, Hazard, HazardKind, ImportRequest};
use crate::django::{Field, FieldKind, ModelId};
use crate::infer::{EventKind, Instance, Made, Root, Type};
use crate::python::{Expr, Kind, Node};

/// A part of a date or a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Years are looked up as a range of dates, which ends with the year 9999.
    Year,
    Other,
}

/// What is compared: a column, or a part of its value.
#[derive(Clone, Debug)]
pub(super) struct Subject<'a> {
    pub column: Column<'a>,
    /// With transforms: `created__date`.
    pub keyword: String,
    pub holds: Holds,
    pub part: Option<Part>,
}

impl<'a> Translator<'a, '_, '_> {
    /// `left op right`
    pub(super) fn compare(
        &mut self,
        left: Node<'a>,
        op: Kind,
        right: Node<'a>,
        known: &[String],
    ) -> Option<Condition> {
        match op {
            Kind::Is | Kind::IsNot => {
                let is_it = op == Kind::Is;
                match Expr::of(right) {
                    Expr::None => self.none_test(left, is_it, known),
                    Expr::True | Expr::False => {
                        let column = self.column(left, known)?;
                        if column.holds != Holds::Value(FieldKind::Boolean) {
                            return None;
                        }
                        let value = matches!(Expr::of(right), Expr::True);
                        let found = Condition::Is(boolean(&column, value));
                        Some(if is_it { found } else { found.negated() })
                    }
                    _ => None,
                }
            }
            Kind::In | Kind::NotIn => {
                let found = match (self.mentions_row(left), self.mentions_row(right)) {
                    (true, false) => self.membership(left, right, known),
                    (false, true) => self.contains(left, right, known),
                    _ => None,
                }?;
                Some(if op == Kind::In { found } else { found.negated() })
            }
            Kind::Eq | Kind::NotEq | Kind::Lt | Kind::LtE | Kind::Gt | Kind::GtE => {
                let positive = if op == Kind::NotEq { Kind::Eq } else { op };
                let found = match (self.mentions_row(left), self.mentions_row(right)) {
                    (true, true) if self.constant_of_row(right).is_some() => {
                        self.with_value(left, positive, right, known)
                    }
                    (true, true) => self.columns(left, positive, right, known),
                    (true, false) => self.with_value(left, positive, right, known),
                    (false, true) => self.with_value(right, turned(positive), left, known),
                    (false, false) => None,
                }?;
                Some(if op == Kind::NotEq { found.negated() } else { found })
            }
            _ => None,
        }
    }

    /// Whether an expression reads the row.
    pub(super) fn mentions_row(&self, node: Node<'a>) -> bool {
        node.descendants().any(|n| n.kind() == Kind::Name && n.text() == self.rows.variable && !n.is_label())
    }

    /// `row.LIVE` of a constant of the model, written with the model's name.
    fn constant_of_row(&self, node: Node<'a>) -> Option<(Operand<'a>, Option<ImportRequest>)> {
        let model = self.cx.model(self.rows.queryset.model);
        let (path, value) = self.reader().of_row(node, model)?;
        let (name, request) = model_name(self.cx, self.rows.place, model.id).ok()?;
        Some((Operand { node, value, text: format!("{name}.{path}") }, request))
    }

    /// What a column is compared with.
    fn operand(&mut self, node: Node<'a>) -> Option<Operand<'a>> {
        if !self.mentions_row(node) {
            return self.fixed(node);
        }
        let (operand, request) = self.constant_of_row(node)?;
        self.imports.extend(request);
        Some(operand)
    }

    /// An expression that does not depend on the row. Where it cannot be proven that evaluating it once is the same, that is
    /// a hazard.
    pub(super) fn fixed(&mut self, node: Node<'a>) -> Option<Operand<'a>> {
        let reader = self.reader();
        if let Some(found) = reader.operand(node) {
            return Some(found);
        }
        let (found, is_steady) = reader.unproven(node)?;
        if !is_steady {
            self.differs(&found);
        }
        Some(found)
    }

    /// Whether two rows of the model are equal where their keys are (`Model.__eq__`, django/db/models/base.py).
    pub(super) fn is_equal_by_key(&self, model: ModelId) -> bool {
        ["__eq__", "__ne__"].iter().all(|name| self.cx.project.override_of(model, name).is_none())
    }

    /// `row == book`: of one model, and of one key.
    fn same_row(&mut self, value: Node<'a>) -> Option<Condition> {
        let model = self.cx.model(self.rows.queryset.model);
        let Type::Instance(instance) = self.cx.type_of(value) else { return None };
        let is_plain = self.is_equal_by_key(model.id) && self.is_equal_by_key(instance.model);
        if self.cx.model(instance.model).concrete != model.concrete || !is_plain {
            return None;
        }
        let text = self.reader().key_of(value)?;
        Some(Condition::Is(Lookup {
            column: model.primary_key()?.name.clone(),
            keyword: "pk".to_owned(),
            name: "",
            value: text,
            opposite: None,
            has_value: false,
            is_constant: true,
        }))
    }

    /// What a comparison is about.
    pub(super) fn subject(&mut self, node: Node<'a>, known: &[String]) -> Option<Subject<'a>> {
        let before = self.hazards.len();
        if let Some(column) = self.column(node, known) {
            return Some(Subject { keyword: column.path.clone(), holds: column.holds, column, part: None });
        }
        self.hazards.truncate(before);
        self.part(node, known)
    }

    fn with_value(
        &mut self,
        row: Node<'a>,
        op: Kind,
        value: Node<'a>,
        known: &[String],
    ) -> Option<Condition> {
        if let Some(found) = self.folded(row, op, value, known) {
            return Some(found);
        }
        if matches!(Expr::of(row), Expr::Name(_)) && op == Kind::Eq {
            return self.same_row(value);
        }
        let subject = self.subject(row, known)?;
        let operand = self.operand(value)?;
        if op == Kind::Eq && operand.value.is_none() {
            return if subject.part.is_none() { self.none_test(row, true, known) } else { None };
        }
        let is_order = op != Kind::Eq;
        if is_order || subject.part.is_some() {
            self.must_have_value(&subject.column);
        }
        if is_order && operand.value.may_be_none {
            self.differs(&operand);
        }
        if let (Holds::Value(FieldKind::Boolean), false, Some(literal)) =
            (subject.holds, is_order, &operand.value.literal)
        {
            let value = match literal {
                Literal::Bool(b) => *b,
                Literal::Int(n @ 0..=1) => *n == 1,
                _ => return None,
            };
            return Some(Condition::Is(boolean(&subject.column, value)));
        }
        self.fits(&subject, &operand.value.is, operand.value.literal.as_ref(), &operand, is_order)?;
        let (name, opposite) = lookup_names(op);
        Some(Condition::Is(Lookup {
            column: subject.column.name,
            keyword: subject.keyword,
            name,
            opposite: opposite.map(|o| (o, operand.text.clone())),
            has_value: !operand.value.may_be_none,
            is_constant: true,
            value: operand.text,
        }))
    }

    /// One column with another of the same row.
    fn columns(&mut self, left: Node<'a>, op: Kind, right: Node<'a>, known: &[String]) -> Option<Condition> {
        let a = self.column(left, known)?;
        let b = self.column(right, known)?;
        match (a.holds, b.holds) {
            (Holds::Row(x), Holds::Row(y)) => {
                let is_plain = self.is_equal_by_key(x) && self.is_equal_by_key(y);
                if op != Kind::Eq || !is_plain || self.cx.model(x).concrete != self.cx.model(y).concrete {
                    return None;
                }
            }
            (Holds::Value(x), Holds::Value(y)) => {
                let is_comparable = !matches!(
                    x,
                    FieldKind::Json
                        | FieldKind::Binary
                        | FieldKind::File
                        | FieldKind::Postgres
                        | FieldKind::Generated
                        | FieldKind::Other
                        | FieldKind::IpAddress
                );
                let is_order = op != Kind::Eq;
                if !is_comparable || group(x) != group(y) || is_order && x == FieldKind::Boolean {
                    return None;
                }
                if group(x) == FieldKind::Char {
                    self.text_compares(&a, is_order);
                    self.text_compares(&b, is_order);
                }
            }
            _ => return None,
        }
        let f = self.import("F");
        let value = format!("{f}({})", self.quoted(&b.path));
        let (name, opposite) = lookup_names(op);
        let compared = Condition::Is(Lookup {
            column: a.name.clone(),
            keyword: a.path.clone(),
            name,
            opposite: opposite.map(|o| (o, value.clone())),
            value,
            has_value: true,
            is_constant: false,
        });
        if op != Kind::Eq {
            self.must_have_value(&a);
            self.must_have_value(&b);
            return Some(compared);
        }
        // None equals None; NULL equals nothing.
        Some(if a.null && b.null {
            let both = [&a, &b].map(|c| Condition::Is(super::truth::none(c, true)));
            Condition::Any(vec![compared, Condition::All(both.into())])
        } else {
            compared
        })
    }

    /// Whether the database compares the column with such values as Python does; nothing where it never could.
    pub(super) fn fits(
        &mut self,
        subject: &Subject<'a>,
        values: &[Is],
        literal: Option<&Literal>,
        operand: &Operand<'a>,
        is_order: bool,
    ) -> Option<()> {
        let kind = match subject.holds {
            Holds::Row(model) => {
                if is_order || !self.is_equal_by_key(model) {
                    return None;
                }
                self.fits_row(model, values, operand);
                return Some(());
            }
            Holds::Value(kind) => kind,
        };
        match group(kind) {
            FieldKind::Char => self.text_compares(&subject.column, is_order),
            FieldKind::Boolean if is_order => return None,
            FieldKind::Json
            | FieldKind::Binary
            | FieldKind::File
            | FieldKind::Postgres
            | FieldKind::Generated
            | FieldKind::Other
            | FieldKind::IpAddress => return None,
            _ => {}
        }
        for value in values {
            let fits = match (group(kind), value) {
                (_, Is::Unknown) => {
                    self.unknown(operand);
                    continue;
                }
                (FieldKind::Integer, Is::Int) => match (literal, subject.part) {
                    (Some(Literal::Int(n)), Some(Part::Year)) => (1..=9999).contains(n),
                    (None, Some(Part::Year)) => {
                        self.unknown(operand);
                        continue;
                    }
                    (Some(Literal::Int(n)), _) => i32::try_from(*n).is_ok(),
                    _ => true,
                },
                (FieldKind::Boolean, Is::Bool)
                | (FieldKind::Char, Is::Str)
                | (FieldKind::Float, Is::Float)
                | (FieldKind::Date, Is::Date)
                | (FieldKind::DateTime, Is::Moment)
                | (FieldKind::Time, Is::Time)
                | (FieldKind::Duration, Is::Delta)
                | (FieldKind::Uuid, Is::Uuid) => true,
                (FieldKind::Float, Is::Int) => match literal {
                    Some(Literal::Int(n)) if n.abs() < 1 << 53 => true,
                    // Larger numbers are rounded.
                    _ => {
                        self.unknown(operand);
                        continue;
                    }
                },
                (FieldKind::DateTime, Is::AnyMoment) => {
                    // Without time zones every moment is the same kind.
                    if self.cx.project.settings().use_tz != Some(false) {
                        self.unknown(operand);
                    }
                    continue;
                }
                // The database gets as many digits as the column has.
                (FieldKind::Decimal, Is::Int | Is::Decimal) => {
                    let given = literal.and_then(|l| match l {
                        Literal::Int(n) => Some((n.unsigned_abs().to_string().len(), 0)),
                        Literal::Decimal(whole, rest) => Some((*whole, *rest)),
                        _ => None,
                    });
                    match (given, digits(self.cx, subject.column.field)) {
                        (Some((whole, rest)), Some((most, places)))
                            if rest <= places && whole + places <= most => {}
                        _ => self.unknown(operand),
                    }
                    continue;
                }
                _ => false,
            };
            if !fits {
                self.differs(operand);
            }
        }
        Some(())
    }

    /// A row that is compared must be one that the database has.
    fn fits_row(&mut self, model: ModelId, values: &[Is], operand: &Operand<'a>) {
        for value in values {
            match value {
                Is::Row(other) if self.cx.model(*other).concrete == self.cx.model(model).concrete => {
                    let is_saved = match self.cx.type_of(operand.node).without_none() {
                        Type::Instance(instance) => self.is_saved(instance),
                        _ => false,
                    };
                    if !is_saved {
                        self.unknown(operand);
                    }
                }
                Is::Unknown => self.unknown(operand),
                _ => self.differs(operand),
            }
        }
    }

    /// Whether an instance was read from the database in this frame, or saved when it was made, and has its key still.
    fn is_saved(&self, instance: &Instance) -> bool {
        let made = match instance.root {
            Root::Row(id) => self.cx.value(id).is_some_and(|v| v.queryset.is_some()),
            Root::Value(id) => {
                self.cx.value(id).is_some_and(|v| matches!(v.made, Made::Loaded | Made::Created))
            }
            Root::Opaque => false,
        };
        let model = self.cx.model(instance.model);
        let key = model.primary_key().map_or("id", |f| f.name.as_str());
        made && instance.path.is_empty()
            && !self.cx.facts.events().any(|event| match &event.kind {
                EventKind::WriteAttribute { root, name, .. } => {
                    *root == instance.root && ["pk", "*", key].contains(&&**name)
                }
                EventKind::InstanceMethod { root, name, .. } => {
                    *root == instance.root && matches!(&**name, "delete" | "adelete")
                }
                _ => false,
            })
    }

    pub(super) fn unknown(&mut self, operand: &Operand<'a>) {
        self.hazards.push(self.cx.hazard(HazardKind::OperandType, operand.text.clone(), operand.node));
    }

    pub(super) fn differs(&mut self, operand: &Operand<'a>) {
        self.hazards.push(self.cx.hazard(HazardKind::ValueMayDiffer, operand.text.clone(), operand.node));
    }

    /// The engines that the settings name.
    pub(super) fn engines(&self) -> &'a [String] {
        &self.cx.project.settings().database_engines
    }

    pub(super) fn text_differs(&mut self, column: &Column<'a>) {
        let site = self.cx.project.settings().engine_sites.first().copied();
        self.hazards.push(Hazard {
            kind: HazardKind::DatabaseText,
            site: site.or(Some(column.field.site)),
            subject: column.path.clone(),
        });
    }
}

/// How many digits a decimal column has, and how many of them behind the point.
fn digits(cx: &Context<'_>, field: &Field) -> Option<(usize, usize)> {
    let text = cx.project.program().file(field.site.file).source.slice(field.site.span);
    let number = |name: &str| {
        let rest = text.split(name).nth(1)?.trim_start().strip_prefix('=')?.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end)?.parse::<usize>().ok()
    };
    Some((number("max_digits")?, number("decimal_places")?))
}

/// Kinds whose values Python compares with each other.
pub(super) fn group(kind: FieldKind) -> FieldKind {
    match kind {
        FieldKind::Auto => FieldKind::Integer,
        FieldKind::Text => FieldKind::Char,
        other => other,
    }
}

/// The lookup of an operator and that of its opposite.
fn lookup_names(op: Kind) -> (&'static str, Option<&'static str>) {
    match op {
        Kind::Lt => ("lt", Some("gte")),
        Kind::LtE => ("lte", Some("gt")),
        Kind::Gt => ("gt", Some("lte")),
        Kind::GtE => ("gte", Some("lt")),
        _ => ("", None),
    }
}

/// `5 < row.x` is `row.x > 5`.
fn turned(op: Kind) -> Kind {
    match op {
        Kind::Lt => Kind::Gt,
        Kind::LtE => Kind::GtE,
        Kind::Gt => Kind::Lt,
        Kind::GtE => Kind::LtE,
        other => other,
    }
}
