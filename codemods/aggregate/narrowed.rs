//! Conditions on the rows: those that pass over None, which the database does by itself, and those that become a filter.

use super::find::Function;
use super::term::{Number, Term, read};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::conditions::{Rows, Test, Translation, translate};
use ormend_engine::codemod::rows::Shape;
use ormend_engine::infer::Trait;
use ormend_engine::python::{Expr, Kind};

/// What conditions leave.
#[derive(Clone, Debug, Default)]
pub struct Narrowed<'a> {
    /// Columns of which no row with None is left.
    pub guarded: Vec<String>,
    /// What the database has to test.
    pub filter: Option<Translation<'a>>,
}

/// The rows of `shape` of which all of `tests` are true; `None` where that cannot be said in lookups.
pub fn narrowed<'a>(
    cx: &Context<'a>,
    shape: &Shape<'a>,
    term: Option<&Term<'a>>,
    function: Function,
    tests: &[Test<'a>],
) -> Option<Narrowed<'a>> {
    if let Some(term) = term
        && let Some(guarded) = tests.iter().map(|t| guard(cx, shape, term, function, t)).collect()
    {
        return Some(Narrowed { guarded, filter: None });
    }
    if tests.is_empty() {
        return Some(Narrowed::default());
    }
    let queryset = &shape.source.queryset;
    // A slice cannot be filtered; rows that are dicts have no attributes.
    if queryset.is(Trait::Sliced) || shape.source.keys.is_some() {
        return None;
    }
    let rows = Rows { variable: shape.variable, queryset, place: shape.node };
    let filter = translate(cx, rows, tests).filter(|t| t.rest.is_empty())?;
    Some(Narrowed { guarded: filter.condition.proven(), filter: Some(filter) })
}

/// The column in which a test does no more than pass over None (or over zero, which adds nothing).
fn guard<'a>(
    cx: &Context<'a>,
    shape: &Shape<'a>,
    term: &Term<'a>,
    function: Function,
    test: &Test<'a>,
) -> Option<String> {
    let adds_nothing = function == Function::Sum && term.is_column && term.number != Number::Other;
    let column = match (Expr::of(test.node), test.negated) {
        (Expr::Attribute { .. } | Expr::Subscript { .. }, false) if adds_nothing => test.node,
        (Expr::Not(operand), true) if adds_nothing => operand,
        (Expr::Compare { left, op, right }, negated) if matches!(Expr::of(right), Expr::None) => {
            let is_there = matches!(op, Kind::IsNot | Kind::NotEq);
            if is_there == negated {
                return None;
            }
            left
        }
        _ => return None,
    };
    read(cx, shape, column).map(|c| c.path).filter(|path| term.reads(path))
}
