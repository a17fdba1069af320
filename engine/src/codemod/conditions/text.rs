//! Text: methods of strings, parts of a text, upper and lower case, and what databases make of them.

use super::Translator;
use super::column::{Column, Holds};
use super::compare::group;
use super::operand::Operand;
use super::tree::{Condition, Lookup};
use super::value::{Is, Literal};
use crate::codemod::rows::emit::quote_at;
use crate::django::FieldKind;
use crate::python::emit::string_literal;
use crate::python::{Expr, Kind, Node, arguments};

impl<'a> Translator<'a, '_, '_> {
    /// A string literal in the file's quotes; inside of an f-string in the other ones.
    pub(super) fn quoted(&self, text: &str) -> String {
        string_literal(text, quote_at(self.cx, self.rows.place).unwrap_or('"'))
    }

    /// Equality, or order, of texts: by characters in Python and SQLite, by the collation elsewhere.
    pub(super) fn text_compares(&mut self, column: &Column<'a>, is_order: bool) {
        let engines = self.engines();
        let is_sqlite = |e: &String| e.contains("sqlite") || e.contains("spatialite");
        let is_postgresql = |e: &String| e.contains("postg");
        let is_exact = if is_order {
            !engines.is_empty() && engines.iter().all(is_sqlite)
        } else {
            engines.iter().all(|e| is_sqlite(e) || is_postgresql(e))
        };
        if !is_exact || self.has_collation(column) {
            self.text_differs(column);
        }
    }

    fn has_collation(&self, column: &Column<'a>) -> bool {
        let site = column.field.site;
        let text = self.cx.project.program().file(site.file).source.slice(site.span);
        let class = column.field.class.rsplit('.').next().unwrap_or("");
        text.contains("db_collation") || class.starts_with("CI")
    }

    /// `LIKE`, which SQLite asks of ASCII letters without regard to case.
    fn is_like(&mut self, column: &Column<'a>, operand: &Operand<'a>) {
        let engines = self.engines();
        let is_postgresql = !engines.is_empty() && engines.iter().all(|e| e.contains("postg"));
        let has_no_letters = match &operand.value.literal {
            Some(Literal::Str(text)) => !text.chars().any(|c| c.is_ascii_alphabetic()),
            _ => false,
        };
        let is_known = engines.iter().all(|e| e.contains("postg") || e.contains("sqlite"));
        if !(is_postgresql || has_no_letters && is_known) || self.has_collation(column) {
            self.text_differs(column);
        }
    }

    fn text_column(&mut self, node: Node<'a>, known: &[String]) -> Option<Column<'a>> {
        let column = self.column(node, known)?;
        matches!(column.holds, Holds::Value(kind) if group(kind) == FieldKind::Char).then_some(column)
    }

    fn part_of_text(
        &mut self,
        row: Node<'a>,
        name: &'static str,
        part: Node<'a>,
        known: &[String],
    ) -> Option<Condition> {
        let column = self.text_column(row, known)?;
        let operand = self.fixed(part)?;
        self.must_have_value(&column);
        if operand.value.may_be_none {
            self.differs(&operand);
        }
        for is in &operand.value.is {
            match is {
                Is::Str => {}
                Is::Unknown => self.unknown(&operand),
                _ => return None,
            }
        }
        self.is_like(&column, &operand);
        Some(Condition::Is(Lookup {
            column: column.name,
            keyword: column.path,
            name,
            value: operand.text,
            opposite: None,
            has_value: true,
            is_constant: false,
        }))
    }

    /// `"x" in row.title`
    pub(super) fn contains(&mut self, part: Node<'a>, row: Node<'a>, known: &[String]) -> Option<Condition> {
        self.part_of_text(row, "contains", part, known)
    }

    /// `row.title.startswith("x")`
    pub(super) fn text_method(
        &mut self,
        func: Node<'a>,
        list: Node<'a>,
        known: &[String],
    ) -> Option<Condition> {
        let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return None };
        let name = match attr {
            "startswith" => "startswith",
            "endswith" => "endswith",
            _ => return None,
        };
        let all = arguments(list);
        let [only] = all.as_slice() else { return None };
        if only.stars > 0 || only.name.is_some() || list.kind() != Kind::Arguments {
            return None;
        }
        self.part_of_text(value, name, only.value, known)
    }

    /// `row.email.lower() == "ann@example.com"`. Databases fold other characters than Python does: equal is only what has
    /// no letter that some other character folds to.
    pub(super) fn folded(
        &mut self,
        row: Node<'a>,
        op: Kind,
        value: Node<'a>,
        known: &[String],
    ) -> Option<Condition> {
        let Expr::Call { func, arguments: list } = Expr::of(row) else { return None };
        let Expr::Attribute { value: owner, attr: attr @ ("lower" | "upper"), .. } = Expr::of(func) else {
            return None;
        };
        if op != Kind::Eq || !arguments(list).is_empty() {
            return None;
        }
        let column = self.text_column(owner, known)?;
        let operand = self.fixed(value)?;
        self.must_have_value(&column);
        let text = match (&operand.value.literal, operand.value.is.as_slice()) {
            (Some(Literal::Str(text)), _) => text.clone(),
            (None, [Is::Str]) if !operand.value.may_be_none => {
                // A text of the same case, or one that is equal to none.
                let is_same = matches!(Expr::of(value), Expr::Call { func, .. }
                    if matches!(Expr::of(func), Expr::Attribute { attr: a, .. } if a == attr));
                if !is_same {
                    return None;
                }
                "k".to_owned()
            }
            _ => return None,
        };
        let is_folded =
            if attr == "lower" { text == text.to_lowercase() } else { text == text.to_uppercase() };
        if !is_folded {
            return None;
        }
        // U+212A, U+0131 and U+017F.
        let folds_alone = |c: char| c.is_ascii() && !matches!(c.to_ascii_lowercase(), 'k' | 'i' | 's');
        let engines = self.engines();
        let is_known = !engines.is_empty()
            && engines.iter().all(|e| e.contains("postg") || e.contains("sqlite"))
            && !self.has_collation(&column);
        let is_sqlite = engines.iter().all(|e| e.contains("sqlite"));
        let is_equal = if is_sqlite && attr == "lower" {
            text.chars().all(|c| c.is_ascii() && c != 'k')
        } else {
            attr == "lower" && text.chars().all(folds_alone)
        };
        if !is_known || !is_equal {
            self.text_differs(&column);
        }
        Some(Condition::Is(Lookup {
            column: column.name,
            keyword: column.path,
            name: "iexact",
            value: operand.text,
            opposite: None,
            has_value: true,
            is_constant: false,
        }))
    }
}
