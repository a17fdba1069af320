//! The shapes: calls of `sum`, `min`, `max` and `Counter` over the rows of a queryset; loops are in `totals` and `groups`.

use super::asked::{self, Asked};
use super::groups::{self, Groups};
use super::listed;
use super::narrowed::{Narrowed, narrowed};
use super::term::{Column, Number, Term, stored, term};
use super::together::{Place, counted, place};
use super::totals;
use ormend_engine::codemod::Context;
use ormend_engine::codemod::conditions::{Test, Translation};
use ormend_engine::codemod::guards::handlers::external_path;
use ormend_engine::codemod::guards::queryset::{Reading, queryset_of, reading};
use ormend_engine::codemod::rows::reads::sees_names;
use ormend_engine::codemod::rows::{Collects, Shape, Source, comprehension, emit::quote_at};
use ormend_engine::infer::{QuerySet, Rows, Type};
use ormend_engine::python::{Argument, Expr, Kind, Node, Stmt, arguments, string_value};
use std::sync::Arc;

/// What is computed of all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `sum()`, `+=`
    Sum,
    /// `min()`
    Min,
    /// `max()`
    Max,
    /// `+= 1`
    Count,
    /// `statistics.mean()`
    Avg,
}

impl Function {
    /// Django's class.
    pub fn name(self) -> &'static str {
        match self {
            Function::Sum => "Sum",
            Function::Min => "Min",
            Function::Max => "Max",
            Function::Count => "Count",
            Function::Avg => "Avg",
        }
    }
}

/// What no rows give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Empty {
    /// What Python's `sum()` starts with, or what `default=` says.
    Value(String),
    /// None.
    None,
    /// A ValueError.
    Raises,
}

/// One value of all rows.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// What is computed.
    pub function: Function,
    /// Of what; of nothing where rows are counted.
    pub term: Option<Term<'a>>,
    /// What no rows give.
    pub empty: Empty,
    /// The variable that gets it, if the code has one for it.
    pub target: Option<&'a str>,
    /// The value is added to what the variable has.
    pub is_added: bool,
    /// The statement that gives the variable its first value, and goes.
    pub init: Option<Node<'a>>,
    /// Columns of which no row with None is looked at.
    pub guarded: Vec<String>,
    /// The rows that count for this value alone.
    pub filter: Option<Translation<'a>>,
}

/// What is made.
pub enum What<'a> {
    /// Values of all rows.
    Values(Vec<Part<'a>>),
    /// A value for each group.
    Groups(Box<Groups<'a>>),
}

/// What the pattern matcher binds.
pub struct Match<'a> {
    /// The call or the loop.
    pub node: Node<'a>,
    /// How the rows are read.
    pub shape: Shape<'a>,
    /// What is made.
    pub what: What<'a>,
    /// The rows that count.
    pub filter: Option<Translation<'a>>,
    /// Where several calls go over one queryset object, all of them.
    pub members: Vec<Node<'a>>,
    /// The list that holds the values, where it is asked by name.
    pub asked: Option<Asked<'a>>,
}

impl<'a> Match<'a> {
    /// The terms.
    pub fn terms(&self) -> Vec<&Term<'a>> {
        match &self.what {
            What::Values(parts) => parts.iter().filter_map(|p| p.term.as_ref()).collect(),
            What::Groups(groups) => groups.term.iter().collect(),
        }
    }

    /// The conditions.
    pub fn filters(&self) -> impl Iterator<Item = &Translation<'a>> {
        let parts = match &self.what {
            What::Values(parts) => parts.as_slice(),
            What::Groups(_) => &[],
        };
        parts.iter().filter_map(|p| p.filter.as_ref()).chain(&self.filter)
    }

    /// Every column that is read.
    pub fn columns(&self) -> impl Iterator<Item = &Column<'a>> {
        let key = match &self.what {
            What::Groups(groups) => Some(&groups.key),
            What::Values(_) => None,
        };
        self.terms().into_iter().flat_map(|t| &t.columns).chain(key)
    }
}

/// The pattern matcher.
pub fn find<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let found = match node.kind() {
        Kind::For => totals::find(cx, node).or_else(|| groups::find_loop(cx, node)),
        _ => find_call(cx, node),
    }?;
    quote_at(cx, node)?;
    let uses = found.asked.iter().flat_map(|asked| asked.uses.iter().map(|(node, _)| *node));
    if uses.chain(found.members.iter().copied()).any(|n| quote_at(cx, n).is_none()) {
        return None;
    }
    // A condition is written with the quotes of the file.
    let is_text = node.ancestors().any(|a| a.kind() == Kind::Interpolation);
    if is_text && found.filters().next().is_some() {
        return None;
    }
    is_own(cx, &found.shape.source).then_some(found)
}

fn find_call<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let Some((shape, mut part)) = value(cx, node) else {
        if let Some((shape, _)) = counted(cx, node)
            && let Place::First(found) = place(cx, node, &shape)
        {
            return Some(*found);
        }
        return asked::find(cx, node)
            .or_else(|| listed::find(cx, node))
            .or_else(|| groups::find_counter(cx, node));
    };
    match place(cx, node, &shape) {
        Place::Alone => {
            let filter = part.filter.take();
            Some(Match {
                node,
                shape,
                what: What::Values(vec![part]),
                filter,
                members: Vec::new(),
                asked: None,
            })
        }
        Place::First(found) => Some(*found),
        Place::Later => None,
    }
}

/// `sum()`, `min()` or `max()` of something of each row.
pub fn value<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<(Shape<'a>, Part<'a>)> {
    value_of(cx, node, |given| rows(cx, given))
}

/// The same of the rows and elements that `rows` tells of the first argument.
pub fn value_of<'a>(
    cx: &Context<'a>,
    node: Node<'a>,
    rows: impl FnOnce(Node<'a>) -> Option<(Shape<'a>, Element<'a>)>,
) -> Option<(Shape<'a>, Part<'a>)> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let function = match external_path(cx, func)?.as_str() {
        "builtins.sum" => Function::Sum,
        "builtins.min" => Function::Min,
        "builtins.max" => Function::Max,
        "statistics.mean" | "statistics.fmean" => Function::Avg,
        _ => return None,
    };
    let all = arguments(list);
    let (first, rest) = all.split_first().filter(|(f, _)| f.name.is_none() && f.stars == 0)?;
    // Each value once makes no difference to the lowest and the highest.
    if first.value.peel().kind() == Kind::SetComp && matches!(function, Function::Sum | Function::Avg) {
        return None;
    }
    let (shape, element) = rows(first.value)?;
    let mut tests: Vec<Test<'a>> = shape.conditions.iter().map(|c| Test::of(*c)).collect();
    let (term, or_zero) = match element {
        Element::Column(term) => (term, Vec::new()),
        Element::Expression(element) => either(cx, &shape, element, function, &mut tests)?,
    };
    let Narrowed { mut guarded, filter } = narrowed(cx, &shape, Some(&term), function, &tests)?;
    guarded.extend(or_zero);
    let empty = empty(cx, function, &term, rest)?;
    let target = assigned(node);
    let part =
        Part { function, term: Some(term), empty, target, is_added: false, init: None, guarded, filter };
    Some((shape, part))
}

/// What is made of each row.
pub enum Element<'a> {
    /// An expression with the row's variable.
    Expression(Node<'a>),
    /// The only column of `values_list(flat=True)`.
    Column(Term<'a>),
}

/// The rows of a comprehension, or those of `values_list("column", flat=True)`.
pub fn rows<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<(Shape<'a>, Element<'a>)> {
    let node = node.peel();
    match node.kind() {
        Kind::GeneratorExp | Kind::ListComp | Kind::SetComp => element_of(comprehension(cx, node)?),
        _ => flat(cx, node),
    }
}

/// What a comprehension makes of each row.
pub fn element_of(mut shape: Shape<'_>) -> Option<(Shape<'_>, Element<'_>)> {
    keep_slice(&mut shape.source);
    let element = shape.element;
    let sees = |n: Node<'_>| {
        matches!(n.kind(), Kind::Await | Kind::Yield | Kind::NamedExpr | Kind::Error)
            || n.kind() == Kind::Name && sees_names(n.text())
    };
    let is_plain = shape.inner.is_empty() && !shape.node.descendants().any(sees);
    is_plain.then_some((shape, Element::Expression(element)))
}

/// A slice is part of the queryset that is aggregated.
pub fn keep_slice(source: &mut Source<'_>) {
    if source.iter.kind() == Kind::Subscript {
        source.base = source.iter;
    }
}

/// `books.values_list("title", flat=True)`
fn flat<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<(Shape<'a>, Element<'a>)> {
    let Type::QuerySet(given) = cx.type_of(node) else { return None };
    if !matches!(given.rows, Rows::Flat(_)) {
        return None;
    }
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let Expr::Attribute { value: receiver, attr: "values_list", .. } = Expr::of(func) else { return None };
    let all = arguments(list);
    let [name, flat] = all.as_slice() else { return None };
    if flat.name != Some("flat") || !matches!(Expr::of(flat.value), Expr::True) {
        return None;
    }
    let name = string_value(name.value).filter(|_| name.name.is_none() && name.stars == 0)?;
    let queryset = queryset_of(cx, receiver)?;
    if cx.model(queryset.model).has_unknown_base {
        return None;
    }
    let column = stored(cx, queryset, node, &name)?;
    let number = Number::of(column.kind);
    let source = Source {
        iter: node,
        base: receiver.peel(),
        queryset: Arc::new(QuerySet { rows: Rows::Dicts, ..QuerySet::clone(given) }),
        is_streamed: false,
        keys: Some(vec![name]),
    };
    let shape = Shape::new(node, Collects::Generator, source, "", node);
    let term = Term { node, columns: vec![column], number, is_column: true };
    Some((shape, Element::Column(term)))
}

/// `row.column or 0` and `row.column if row.paid else 0`: of other rows nothing is added. The columns in which None is passed
/// over; a test goes to `tests`.
fn either<'a>(
    cx: &Context<'a>,
    shape: &Shape<'a>,
    element: Node<'a>,
    function: Function,
    tests: &mut Vec<Test<'a>>,
) -> Option<(Term<'a>, Vec<String>)> {
    let is_zero = |node: Node<'a>| function == Function::Sum && matches!(Expr::of(node), Expr::Int("0"));
    match Expr::of(element) {
        Expr::BoolOp { left, op: Kind::Or, right } if is_zero(right) => {
            let term = term(cx, shape, left).filter(|t| t.is_column)?;
            let guarded = term.columns.iter().map(|c| c.path.clone()).collect();
            Some((term, guarded))
        }
        Expr::IfExp { body, test, orelse } if is_zero(orelse) => {
            tests.push(Test::of(test));
            Some((term(cx, shape, body)?, Vec::new()))
        }
        _ => Some((term(cx, shape, element)?, Vec::new())),
    }
}

/// What no rows give, with the other arguments of the call.
pub fn empty<'a>(
    cx: &Context<'a>,
    function: Function,
    term: &Term<'a>,
    rest: &[Argument<'a>],
) -> Option<Empty> {
    if rest.len() > 1 || rest.iter().any(|a| a.stars > 0) {
        return None;
    }
    let is_zero = |value: Node<'a>| matches!(Expr::of(value), Expr::Int("0"));
    match (function, rest.first()) {
        (Function::Sum, None) => Some(Empty::Value("0".to_owned())),
        (Function::Sum, Some(start)) if start.name.is_none_or(|n| n == "start") => {
            let is_decimal = term.number == Number::Decimal && is_decimal(cx, start.value);
            (is_zero(start.value) || is_decimal).then(|| Empty::Value(start.value.text().to_owned()))
        }
        (Function::Min | Function::Max | Function::Avg, None) => Some(Empty::Raises),
        (Function::Min | Function::Max, Some(Argument { name: Some("default"), value, .. })) => {
            match (Expr::of(*value), term.number) {
                (Expr::None, _) => Some(Empty::None),
                // Before 4.0 there is no `default=`.
                _ if cx.options.target_django < (4, 0) => None,
                (Expr::Int(_), Number::Integer | Number::Decimal) | (Expr::Float, Number::Float) => {
                    Some(Empty::Value(value.text().to_owned()))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// `Decimal("0.00")`, a zero.
pub fn is_decimal<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return false };
    if external_path(cx, func).as_deref() != Some("decimal.Decimal") {
        return false;
    }
    let all = arguments(list);
    match all.as_slice() {
        [] => true,
        [only] if only.name.is_none() && only.stars == 0 => match Expr::of(only.value) {
            Expr::Int("0") => true,
            Expr::Str(_) => string_value(only.value)
                .is_some_and(|s| s.starts_with('0') && s.chars().all(|c| c == '0' || c == '.')),
            _ => false,
        },
        _ => false,
    }
}

/// The variable that a call is assigned to, alone.
pub fn assigned<'a>(node: Node<'a>) -> Option<&'a str> {
    let statement = node.statement()?;
    let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement) else { return None };
    let [target] = targets.as_slice() else { return None };
    match Expr::of(*target) {
        Expr::Name(name) if value.peel() == node => Some(name),
        _ => None,
    }
}

/// Whether the queryset aggregates as Django does.
fn is_own(cx: &Context<'_>, source: &Source<'_>) -> bool {
    let methods = ["aggregate", "annotate", "_annotate", "values_list", "_values", "filter", "exclude"];
    let class = match cx.type_of(source.base) {
        Type::QuerySet(queryset) => queryset.class,
        Type::Manager(manager) => manager.class,
        _ => source.queryset.class,
    };
    let classes = [class, source.queryset.class];
    classes.iter().all(|c| reading(cx, source.queryset.model, *c, &methods) == Reading::Standard)
}
