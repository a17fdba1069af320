//! Membership: in a list of values, and in a queryset.

use super::Translator;
use super::column::Holds;
use super::compare::Subject;
use super::operand::Operand;
use super::tree::{Condition, Lookup};
use super::value::{Is, Value, literal, of_type};
use crate::codemod::HazardKind;
use crate::codemod::guards::variable::assigned_once;
use crate::codemod::guards::{life, making::instances, projection::row_changes};
use crate::infer::{EventKind, QuerySet, Rows, Trait, Type};
use crate::python::{Expr, Kind, Node, Stmt, arguments, generators};

impl<'a> Translator<'a, '_, '_> {
    /// `row.status in ("live", "draft")`
    pub(super) fn membership(
        &mut self,
        row: Node<'a>,
        values: Node<'a>,
        known: &[String],
    ) -> Option<Condition> {
        let subject = self.subject(row, known)?;
        if subject.part.is_some() {
            self.must_have_value(&subject.column);
        }
        if let Type::QuerySet(queryset) = self.cx.type_of(values) {
            return self.subquery(subject, queryset, values);
        }
        let operand = self.fixed(values)?;
        if self.is_of_rows(values) {
            let hazard = self.cx.hazard(HazardKind::ManyValues, operand.text.as_str(), values);
            self.hazards.push(hazard);
        }
        match operand.value.elements() {
            Some(elements) => {
                // What a display holds is seen one by one.
                let literals: Vec<Option<Value>> = match Expr::of(values) {
                    Expr::List(items) | Expr::Tuple(items) | Expr::Set(items) => {
                        items.children().map(|n| literal(n.peel())).collect()
                    }
                    _ => Vec::new(),
                };
                if !literals.is_empty() && literals.iter().all(Option::is_some) {
                    for value in literals.into_iter().flatten().filter(|v| !v.is_none()) {
                        self.fits(&subject, &value.is, value.literal.as_ref(), &operand, false)?;
                    }
                } else {
                    self.fits(&subject, &elements, None, &operand, false)?;
                }
            }
            // What it may be is said already.
            None if operand.value.is.is_empty() && !operand.value.may_be_none => {}
            // It may be a text, in which Python looks for a part.
            None if operand.value.is.iter().all(|is| *is == Is::Unknown) => self.unknown(&operand),
            None => return None,
        }
        // `__in` leaves None out.
        if operand.value.may_be_none && subject.column.null {
            self.differs(&operand);
        }
        Some(is_in(subject, operand))
    }

    /// Whether a local collection has something of each row of a queryset.
    fn is_of_rows(&self, values: Node<'a>) -> bool {
        let Expr::Name(name) = Expr::of(values) else { return false };
        let Some(scope) = values.enclosing_function() else { return false };
        let Some((_, value)) = assigned_once(scope, name) else { return false };
        let are_rows = |node: Node<'a>| match self.cx.type_of(node) {
            Type::QuerySet(queryset) => !queryset.is(Trait::Sliced),
            ty => matches!(ty, Type::Manager(_)),
        };
        let is_made_of_rows = match Expr::of(value) {
            Expr::Comp { node, .. } => generators(node).iter().any(|g| are_rows(g.iter)),
            Expr::Call { arguments: list, .. } => arguments(list).first().is_some_and(|a| are_rows(a.value)),
            _ => false,
        };
        // `known = []`, `for author in authors: known.append(author.pk)`
        let fills = |node: Node<'a>| {
            let Stmt::For { iter, body, .. } = Stmt::of(node) else { return false };
            are_rows(iter)
                && body.descendants().any(|n| {
                    matches!(Expr::of(n), Expr::Attribute { value, attr: "append" | "add", .. }
                        if n.kind() == Kind::Attribute && matches!(Expr::of(value), Expr::Name(n) if n == name))
                })
        };
        is_made_of_rows || scope.descendants().any(|n| n.kind() == Kind::For && fills(n))
    }

    /// `row.author in authors`, `row.author_id in authors.values_list("pk", flat=True)`: a subquery.
    fn subquery(
        &mut self,
        subject: Subject<'a>,
        queryset: &'a QuerySet,
        values: Node<'a>,
    ) -> Option<Condition> {
        let operand = self.reader().queryset(values)?;
        // What `__in` refuses, what MySQL refuses in a subquery, and what may be in another database.
        let unfit = [
            Trait::Sliced,
            Trait::Combined,
            Trait::Annotated,
            Trait::Grouped,
            Trait::DistinctOn,
            Trait::RawSql,
            Trait::Raw,
            Trait::Dates,
            Trait::Using,
            Trait::Locked,
            Trait::LockedOf,
            Trait::Mysterious,
        ];
        let settings = self.cx.project.settings();
        if unfit.iter().any(|t| queryset.is(*t))
            || settings.database_aliases > 1
            || settings.has_database_routers
            || subject.part.is_some()
        {
            return None;
        }
        match (&queryset.rows, subject.holds) {
            (Rows::Instances, Holds::Row(model))
                if self.cx.model(model).concrete == self.cx.model(queryset.model).concrete
                    && self.is_equal_by_key(model) => {}
            (Rows::Flat(of), Holds::Value(_)) => {
                let of = of_type(of);
                // One NULL among them, and the row that is not in the list is not found either.
                if of.may_be_none || of.is.contains(&Is::Unknown) {
                    return None;
                }
                self.fits(&subject, &of.is, None, &operand, false)?;
            }
            _ => return None,
        }
        // Python asks when the first row is tested, and once more for each row where the queryset is made there.
        let place = self.rows.place;
        let is_written = self.cx.events_in(place).any(|e| {
            matches!(
                e.kind,
                EventKind::Write { .. }
                    | EventKind::UnknownCall { .. }
                    | EventKind::Suspend
                    | EventKind::InstanceMethod { .. }
            )
        });
        let is_used_again = place
            .descendants()
            .any(|n| n.kind() == Kind::Name && n.text() == values.peel().text() && n != values.peel());
        if is_written || is_used_again {
            return None;
        }
        row_changes(self.cx, queryset, &mut self.hazards);
        instances(self.cx, queryset.model, &mut self.hazards);
        life::hazards(self.cx, queryset, place, &mut self.hazards);
        Some(is_in(subject, operand))
    }
}

/// `author__in=authors`
fn is_in(subject: Subject<'_>, operand: Operand<'_>) -> Condition {
    Condition::Is(Lookup {
        column: subject.column.name,
        keyword: subject.keyword,
        name: "in",
        value: operand.text,
        opposite: None,
        has_value: true,
        is_constant: false,
    })
}
