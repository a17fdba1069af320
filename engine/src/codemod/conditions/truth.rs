//! The truth of a column's value, and tests for None.

use super::Translator;
use super::column::{Column, Holds};
use super::tree::{Condition, Lookup};
use crate::codemod::guards::making::overridden;
use crate::codemod::{Hazard, HazardKind};
use crate::django::FieldKind;
use crate::python::Node;

impl<'a> Translator<'a, '_, '_> {
    /// `if row.title`
    pub(super) fn truth(&mut self, node: Node<'a>, known: &[String]) -> Option<Condition> {
        let column = self.column(node, known)?;
        let kind = match column.holds {
            Holds::Row(model) => {
                for name in ["__bool__", "__len__"] {
                    if let Some((what, site)) = overridden(self.cx, model, name) {
                        self.hazards.push(Hazard::at(HazardKind::CustomTruth, what, site));
                    }
                }
                return Some(Condition::Is(none(&column, false)));
            }
            Holds::Value(kind) => kind,
        };
        let empty = match kind {
            FieldKind::Boolean => return Some(Condition::Is(boolean(&column, true))),
            // Keys that a sequence gives start with 1; of the others 0 is one like any other.
            FieldKind::Auto => return Some(Condition::Is(none(&column, false))),
            FieldKind::Uuid | FieldKind::Date | FieldKind::DateTime | FieldKind::Time => {
                return Some(Condition::Is(none(&column, false)));
            }
            FieldKind::Char | FieldKind::Text => {
                self.empty_text_is_null(&column);
                "\"\""
            }
            FieldKind::File if is_plain_file(&column) => {
                self.empty_text_is_null(&column);
                "\"\""
            }
            FieldKind::Integer | FieldKind::Decimal | FieldKind::Float => "0",
            _ => return None,
        };
        let value = if empty == "0" { empty.to_owned() } else { self.quoted("") };
        let is_empty = Lookup {
            column: column.name.clone(),
            keyword: column.path.clone(),
            name: "",
            value,
            opposite: None,
            has_value: true,
            is_constant: false,
        };
        let has_content = Condition::Not(is_empty);
        Some(if column.null {
            Condition::All(vec![Condition::Is(none(&column, false)), has_content])
        } else {
            has_content
        })
    }

    /// `row.editor is None`
    pub(super) fn none_test(&mut self, node: Node<'a>, is_none: bool, known: &[String]) -> Option<Condition> {
        let column = self.column(node, known)?;
        // The attribute of a file field is never None, and JSON has a null of its own.
        match column.holds {
            Holds::Value(
                FieldKind::File
                | FieldKind::Json
                | FieldKind::Binary
                | FieldKind::Postgres
                | FieldKind::Generated
                | FieldKind::Other,
            ) => None,
            _ => {
                if matches!(column.holds, Holds::Value(FieldKind::Char | FieldKind::Text)) {
                    self.empty_text_is_null(&column);
                }
                Some(Condition::Is(none(&column, is_none)))
            }
        }
    }

    /// Oracle has no empty text.
    fn empty_text_is_null(&mut self, column: &Column<'a>) {
        if self.engines().iter().any(|e| e.contains("oracle")) {
            self.text_differs(column);
        }
    }
}

fn is_plain_file(column: &Column<'_>) -> bool {
    !column.field.has_hooks && column.field.class.starts_with("django.db.models.") && !column.field.null
}

/// `x__isnull=...`, of a foreign key by its name.
pub(super) fn none(column: &Column<'_>, is_none: bool) -> Lookup {
    Lookup::null(&column.name, &column.name, is_none)
}

/// `active=True`
pub(super) fn boolean(column: &Column<'_>, value: bool) -> Lookup {
    let text = |b: bool| if b { "True" } else { "False" }.to_owned();
    Lookup {
        column: column.name.clone(),
        keyword: column.path.clone(),
        name: "",
        value: text(value),
        opposite: (!column.null).then(|| ("", text(!value))),
        has_value: true,
        is_constant: true,
    }
}
