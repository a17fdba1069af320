//! Parts of dates and moments: `row.created.year`, `row.created.date()`, `timezone.localdate(row.created)`.

use super::Translator;
use super::column::Holds;
use super::compare::{Part, Subject};
use crate::codemod::HazardKind;
use crate::codemod::guards::handlers::external_path;
use crate::django::FieldKind;
use crate::python::{Expr, Kind, Node, arguments};

impl<'a> Translator<'a, '_, '_> {
    /// A part of a column's value.
    pub(super) fn part(&mut self, node: Node<'a>, known: &[String]) -> Option<Subject<'a>> {
        match Expr::of(node) {
            Expr::Attribute { value, attr, .. } => {
                let name = match attr {
                    "year" | "month" | "day" | "hour" | "minute" => attr,
                    _ => return None,
                };
                let is_of_day = matches!(name, "year" | "month" | "day");
                let (inner, is_local) = self.localized(value, "localtime");
                // `row.created.date().year`
                let column = self.column(inner, known)?;
                match column.holds {
                    Holds::Value(FieldKind::Date) if is_of_day && !is_local => {}
                    Holds::Value(FieldKind::Time) if !is_of_day && !is_local => {}
                    Holds::Value(FieldKind::DateTime) => self.zone(node, is_local)?,
                    _ => return None,
                }
                Some(Subject {
                    keyword: format!("{}__{name}", column.path),
                    holds: Holds::Value(FieldKind::Integer),
                    part: Some(if name == "year" { Part::Year } else { Part::Other }),
                    column,
                })
            }
            Expr::Call { func, arguments: list } => {
                let (inner, is_local) = match Expr::of(func) {
                    Expr::Attribute { value, attr: "date", .. } if arguments(list).is_empty() => {
                        self.localized(value, "localtime")
                    }
                    _ => {
                        let (inner, is_local) = self.localized(node, "localdate");
                        is_local.then_some((inner, true))?
                    }
                };
                let column = self.column(inner, known)?;
                if column.holds != Holds::Value(FieldKind::DateTime) {
                    return None;
                }
                self.zone(node, is_local)?;
                Some(Subject {
                    keyword: format!("{}__date", column.path),
                    holds: Holds::Value(FieldKind::Date),
                    part: Some(Part::Other),
                    column,
                })
            }
            _ => None,
        }
    }

    /// What `timezone.localtime(...)` is given, and whether it is called.
    fn localized(&self, node: Node<'a>, function: &str) -> (Node<'a>, bool) {
        let Expr::Call { func, arguments: list } = Expr::of(node) else { return (node, false) };
        let is_it = external_path(self.cx, func)
            .is_some_and(|path| path.strip_prefix("django.utils.timezone.") == Some(function));
        match arguments(list).as_slice() {
            [only] if is_it && only.stars == 0 && only.name.is_none() && list.kind() == Kind::Arguments => {
                (only.value, true)
            }
            _ => (node, false),
        }
    }

    /// A moment that Django loads is in UTC; lookups take its parts in the current time zone.
    fn zone(&mut self, node: Node<'a>, is_local: bool) -> Option<()> {
        let settings = self.cx.project.settings();
        let in_zones = settings.use_tz;
        if is_local {
            // `localtime()` refuses a moment without a time zone.
            return (in_zones == Some(true)).then_some(());
        }
        let program = self.cx.project.program();
        let is_fixed = settings.time_zone.as_deref() == Some("UTC")
            && !program.file_ids().any(|file| {
                let text = program.file(file).source.text();
                !self.cx.project.is_known_file(file)
                    && ["timezone.activate", "timezone.override", "import activate", "import override"]
                        .iter()
                        .any(|word| text.contains(word))
            });
        if in_zones != Some(false) && !is_fixed {
            self.hazards.push(self.cx.hazard(HazardKind::TimeZone, node.text(), node));
        }
        Some(())
    }
}
