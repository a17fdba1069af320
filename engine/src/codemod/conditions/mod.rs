//! Python conditions over the rows of a queryset as Django's lookups, for every codemod that asks the database instead:
//! filter-in-database, count, exists, aggregate.
//!
//! Invariant: the lookups are true of exactly the rows of which Python's condition is true, and Python's condition raises
//! for no row. What cannot be said in lookups stays in Python: of a chain of `and` only a prefix moves, so that what is
//! evaluated later is evaluated for the same rows as before.

mod column;
mod compare;
mod constants;
mod given;
mod kept;
mod membership;
mod moment;
mod names;
mod operand;
mod refused;
mod text;
mod tree;
mod truth;
mod value;

pub use refused::{Asked, is_immutable, is_row};
pub use tree::{Calls, Condition, Lookup};

use super::naming::imported;
use super::{Context, Hazard, ImportRequest};
use crate::infer::{QuerySet, Type};
use crate::python::emit::on_one_line;
use crate::python::{Def, Expr, Kind, Node, arguments};
use crate::text::Edit;

/// Conditions in each other are followed so far.
const MAX_DEPTH: usize = 30;

/// The rows that are tested.
#[derive(Clone, Copy)]
pub struct Rows<'a, 'q> {
    /// The name that holds a row.
    pub variable: &'a str,
    /// The queryset that gives the rows.
    pub queryset: &'q QuerySet,
    /// The loop, comprehension or call that tests each row. What does not depend on the row is evaluated once, before it.
    pub place: Node<'a>,
}

/// A condition as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test<'a> {
    /// The expression.
    pub node: Node<'a>,
    /// Rows of which it is *not* true are meant: `if row.done: continue`.
    pub negated: bool,
}

impl<'a> Test<'a> {
    /// Rows of which `node` is true.
    pub fn of(node: Node<'a>) -> Test<'a> {
        Test { node, negated: false }
    }

    /// Rows of which `node` is not true.
    pub fn not(node: Node<'a>) -> Test<'a> {
        Test { node, negated: true }
    }
}

/// What becomes of conditions.
#[derive(Clone, Debug)]
pub struct Translation<'a> {
    /// What the database tests.
    pub condition: Condition,
    /// The tests that have moved.
    pub moved: Vec<Test<'a>>,
    /// What stays in Python, in order; every one of these is behind what has moved.
    pub rest: Vec<Test<'a>>,
    /// What makes the database answer in another way.
    pub hazards: Vec<Hazard>,
    /// The imports that the text relies on.
    pub imports: Vec<ImportRequest>,
    q: String,
}

impl Translation<'_> {
    /// `.filter(...)` and `.exclude(...)`, to be appended to the queryset in this order.
    pub fn calls(&self) -> Calls {
        self.condition.calls(&self.q)
    }

    /// The condition as one expression, for `filter=` of an aggregate and for `When()`; `q` is how `Q` is written, which
    /// [`imported`] says.
    pub fn as_q(&self, q: &str) -> String {
        self.condition.q(q)
    }
}

/// The lookups for rows that pass all of `tests`; nothing where not even the first of them can be said.
pub fn translate<'a>(cx: &Context<'a>, rows: Rows<'a, '_>, tests: &[Test<'a>]) -> Option<Translation<'a>> {
    let mut leaves = Vec::new();
    for test in tests {
        split(*test, &mut leaves, 0);
    }
    let mut translator = Translator { cx, rows, hazards: Vec::new(), imports: Vec::new() };
    if !translator.is_followed() {
        return None;
    }
    let mut known = Vec::new();
    let mut parts = Vec::new();
    let mut moved = Vec::new();
    let mut rest = leaves.as_slice();
    while let Some((leaf, behind)) = rest.split_first() {
        let before = translator.hazards.len();
        let found = translator.condition(*leaf, &known, 0);
        // What is certain moves alone; where nothing is, all of it is shown with its hazards.
        let adds_hazards = before == 0 && translator.hazards.len() > before && !parts.is_empty();
        let Some(condition) = found.filter(|_| !adds_hazards) else {
            translator.hazards.truncate(before);
            break;
        };
        known.extend(condition.proven());
        parts.push(condition);
        moved.push(*leaf);
        rest = behind;
    }
    if parts.is_empty() {
        return None;
    }
    let condition = Condition::All(parts).simplified();
    let mut q = String::from("Q");
    if condition.needs_q() {
        match imported(cx, rows.place, "django.db.models", "Q") {
            Ok((name, request)) => {
                q = name;
                translator.imports.extend(request);
            }
            Err(hazard) => translator.hazards.push(hazard),
        }
    }
    let Translator { hazards, imports, .. } = translator;
    Some(Translation { condition, moved, rest: rest.to_vec(), hazards, imports, q })
}

/// The parts of a chain of `and`, or of a negated chain of `or`.
fn split<'a>(test: Test<'a>, out: &mut Vec<Test<'a>>, depth: usize) {
    let chain = if test.negated { Kind::Or } else { Kind::And };
    match Expr::of(test.node) {
        Expr::BoolOp { left, op, right } if op == chain && depth < MAX_DEPTH => {
            split(Test { node: left, ..test }, out, depth + 1);
            split(Test { node: right, ..test }, out, depth + 1);
        }
        _ => out.push(test),
    }
}

/// The edit that leaves of the one test that `leaves` are split from only those behind `moved`; nothing where the rest
/// cannot be cut off.
pub fn without_prefix<'a>(whole: Node<'a>, rest: &[Test<'a>]) -> Option<Edit> {
    let first = rest.first()?.node.with_parens();
    // The parentheses around what has gone would stay open.
    let end = whole.with_parens().parent()?;
    for around in first.ancestors().take_while(|a| *a != end) {
        let is_outer = around.kind() == Kind::Paren && around.peel() == whole.peel();
        if around.kind() != Kind::BoolOp && !is_outer {
            return None;
        }
    }
    // One test that is left needs no parentheses of its own.
    if let [only] = rest
        && let Some(text) = on_one_line(only.node.peel())
        && !matches!(only.node.peel().kind(), Kind::IfExp | Kind::Lambda | Kind::NamedExpr)
    {
        let span = whole.with_parens().span();
        let before = whole.file_text().get(..span.start as usize).and_then(|t| t.chars().last());
        // `if(a and b)`
        let gap = if before.is_some_and(char::is_alphanumeric) { " " } else { "" };
        return Some(Edit::replace(span, format!("{gap}{text}")));
    }
    let start = whole.peel().span().start;
    Some(Edit::delete(crate::text::Span::new(start, first.span().start)))
}

struct Translator<'a, 'c, 'q> {
    cx: &'c Context<'a>,
    rows: Rows<'a, 'q>,
    hazards: Vec<Hazard>,
    imports: Vec<ImportRequest>,
}

impl<'a> Translator<'a, '_, '_> {
    /// Whether what the attributes of a row mean is known at all.
    fn is_followed(&self) -> bool {
        let model = self.cx.model(self.rows.queryset.model);
        // django-modeltranslation gives columns other meanings.
        let is_translated =
            self.cx.project.settings().installed_apps.iter().any(|app| app == "modeltranslation");
        !model.has_unknown_base && !is_translated
    }

    /// The lookups of one condition; `known` are columns that have a value wherever it is evaluated.
    fn condition(&mut self, test: Test<'a>, known: &[String], depth: usize) -> Option<Condition> {
        if depth > MAX_DEPTH {
            return None;
        }
        let signed = |c: Condition| if test.negated { c.negated() } else { c };
        match Expr::of(test.node) {
            Expr::Not(inner) => {
                self.condition(Test { node: inner, negated: !test.negated }, known, depth + 1)
            }
            Expr::BoolOp { left, op, right } => {
                let a = self.condition(Test { node: left, ..test }, known, depth + 1)?;
                // The right side is evaluated where the left one is true (`and`) or false (`or`).
                let reached = if (op == Kind::And) == test.negated { a.clone().negated() } else { a.clone() };
                let known: Vec<String> = known.iter().cloned().chain(reached.proven()).collect();
                let b = self.condition(Test { node: right, ..test }, &known, depth + 1)?;
                let is_all = (op == Kind::And) != test.negated;
                Some(if is_all { Condition::All(vec![a, b]) } else { Condition::Any(vec![a, b]) })
            }
            Expr::Compare { left, op, right } => self.compare(left, op, right, known).map(signed),
            Expr::CompareChain { node } => {
                let operands: Vec<Node<'a>> = node.children().collect();
                let operators: Vec<Kind> =
                    node.all_children().map(Node::kind).filter(|k| k.is_token()).collect();
                let mut parts = Vec::new();
                let mut known = known.to_vec();
                for (pair, op) in operands.windows(2).zip(operators) {
                    let [left, right] = pair else { return None };
                    let part = self.compare(*left, op, *right, &known)?;
                    known.extend(part.proven());
                    parts.push(part);
                }
                (parts.len() + 1 == operands.len()).then(|| signed(Condition::All(parts)))
            }
            Expr::Call { func, arguments: list } => {
                let all = arguments(list);
                match (self.cx.type_of(func), all.as_slice()) {
                    (Type::Def(Def::External(path)), [only])
                        if path == "builtins.bool" && only.stars == 0 && only.name.is_none() =>
                    {
                        self.condition(Test { node: only.value, ..test }, known, depth + 1)
                    }
                    _ => self.text_method(func, list, known).map(signed),
                }
            }
            Expr::Attribute { .. } => self.truth(test.node, known).map(signed),
            _ => None,
        }
    }

    fn reader(&self) -> operand::Reader<'a, '_> {
        operand::Reader { cx: self.cx, place: self.rows.place, variable: self.rows.variable, is_moved: true }
    }

    /// How `name` of `django.db.models` is written.
    fn import(&mut self, name: &str) -> String {
        match imported(self.cx, self.rows.place, "django.db.models", name) {
            Ok((text, request)) => {
                self.imports
                    .extend(request.into_iter().filter(|r| !self.imports.contains(r)).collect::<Vec<_>>());
                text
            }
            Err(hazard) => {
                self.hazards.push(hazard);
                name.to_owned()
            }
        }
    }
}
