//! Values for each group: `Counter(book.status for book in books)` and dicts that a loop fills.

use super::find::{Element, Function, Match, What, keep_slice, rows};
use super::narrowed::{Narrowed, narrowed};
use super::term::{Column, Number, Term, read, stored, term};
use super::totals::{are_private, first_value, is_alone, looped, mentions, named};
use ormend_engine::codemod::conditions::{Test, Translation};
use ormend_engine::codemod::guards::handlers::external_path;
use ormend_engine::codemod::rows::Shape;
use ormend_engine::codemod::rows::filling::Filling;
use ormend_engine::codemod::{Context, HazardKind};
use ormend_engine::django::FieldKind;
use ormend_engine::python::{Expr, Field, Kind, Node, Stmt, arguments, parameters};

/// What holds the values.
#[derive(Clone, Copy, Debug)]
pub enum Holder<'a> {
    /// `{}`
    Dict,
    /// `Counter()`, with the callee as it is written.
    Counter(Node<'a>),
    /// `OrderedDict()`, with the callee as it is written.
    Ordered(Node<'a>),
    /// `defaultdict(int)`, with callee and factory.
    Default(Node<'a>, Node<'a>),
}

/// Groups of rows.
#[derive(Clone, Debug)]
pub struct Groups<'a> {
    /// What the rows of a group have in common.
    pub key: Column<'a>,
    /// What is added up; where nothing is, the rows are counted.
    pub term: Option<Term<'a>>,
    /// What holds the values.
    pub holder: Holder<'a>,
    /// The variable and the statement that makes it, for a loop.
    pub filled: Option<(&'a str, Node<'a>)>,
    /// Columns of which no row with None is looked at.
    pub guarded: Vec<String>,
}

/// `Counter(...)` over rows.
pub fn find_counter<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    if external_path(cx, func)? != "collections.Counter" {
        return None;
    }
    let all = arguments(list);
    let [only] = all.as_slice() else { return None };
    let given = only.value;
    if only.name.is_some() || only.stars > 0 || given.peel().kind() == Kind::SetComp {
        return None;
    }
    let (mut shape, element) = rows(cx, given)?;
    keep_slice(&mut shape.source);
    let tests: Vec<Test<'a>> = shape.conditions.iter().map(|c| Test::of(*c)).collect();
    let filter = narrowed(cx, &shape, None, Function::Count, &tests)?.filter;
    let key = match element {
        Element::Expression(element) => read(cx, &shape, element)?,
        Element::Column(term) => term.columns.into_iter().next()?,
    };
    let groups = Groups {
        key: keyed(key)?,
        term: None,
        holder: Holder::Counter(func),
        filled: None,
        guarded: Vec::new(),
    };
    Some(matched(node, shape, groups, filter))
}

fn matched<'a>(
    node: Node<'a>,
    shape: Shape<'a>,
    groups: Groups<'a>,
    filter: Option<Translation<'a>>,
) -> Match<'a> {
    let what = What::Groups(Box::new(groups));
    Match { node, shape, what, filter, members: Vec::new(), asked: None }
}

/// A loop that fills a dict with numbers.
pub fn find_loop<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let (shape, tests, steps) = looped(cx, node)?;
    let (named, steps) = named(cx, &shape, steps)?;
    let step = step(&steps)?;
    let (key, value) = (named.value(step.key)?, named.value(step.value)?);
    let (init, made) = first_value(node, step.name.text())?;
    let holder = holder(cx, made).filter(|_| is_alone(init))?;
    // A plain dict raises for a key that it does not have.
    if !step.is_guarded && matches!(holder, Holder::Dict | Holder::Ordered(_)) {
        return None;
    }
    let term = match Expr::of(value) {
        Expr::Int("1") => None,
        _ => Some(term(cx, &shape, value).filter(|t| t.number != Number::Other)?),
    };
    let Narrowed { guarded, filter } = narrowed(cx, &shape, term.as_ref(), Function::Sum, &tests)?;
    // Rows that are passed over make no group either.
    if filter.is_none() && !tests.is_empty() {
        return None;
    }
    let key = match read(cx, &shape, key) {
        Some(key) => keyed(key)?,
        None => derived(cx, &shape, key)?,
    };
    if !are_private(node, &[step.name.text()]) || mentions(shape.source.iter, step.name.text()) {
        return None;
    }
    let filling = Filling { name: step.name, init: None };
    let shape = Shape { filling: Some(filling), ..shape };
    let groups = Groups { key, term, holder, filled: Some((step.name.text(), init)), guarded };
    Some(matched(node, shape, groups, filter))
}

/// A key that is made of a column, or the object behind a foreign key: groups all the same, which no query forms.
fn derived<'a>(cx: &Context<'a>, shape: &Shape<'a>, key: Node<'a>) -> Option<Column<'a>> {
    let mut column = match Expr::of(key) {
        // `row.start.isoformat()`
        Expr::Call { func, arguments: list } if arguments(list).is_empty() => {
            let Expr::Attribute { value, .. } = Expr::of(func) else { return None };
            read(cx, shape, value)?
        }
        // `row.author`
        Expr::Attribute { value, attr, .. } if shape.source.keys.is_none() => {
            let queryset = &shape.source.queryset;
            let field = cx.model(queryset.model).field(attr).filter(|f| f.attname != f.name)?;
            let is_row = matches!(Expr::of(value), Expr::Name(name) if name == shape.variable);
            is_row.then(|| stored(cx, queryset, key, &field.attname))??
        }
        _ => return None,
    };
    column.hazards.push(cx.hazard(HazardKind::NotAColumn, key.text(), key));
    Some(column)
}

/// A key that can be hashed, of a type that the database groups as Python does.
fn keyed(key: Column<'_>) -> Option<Column<'_>> {
    let fits = matches!(
        key.kind,
        FieldKind::Auto
            | FieldKind::Integer
            | FieldKind::Boolean
            | FieldKind::Char
            | FieldKind::Text
            | FieldKind::Date
            | FieldKind::DateTime
            | FieldKind::Uuid
            | FieldKind::ForeignKey
    );
    fits.then_some(key)
}

/// `counts[key] = counts.get(key, 0) + value` and its like.
struct Step<'a> {
    name: Node<'a>,
    key: Node<'a>,
    value: Node<'a>,
    /// A key that is new gets a zero first.
    is_guarded: bool,
}

fn step<'a>(steps: &[Node<'a>]) -> Option<Step<'a>> {
    match steps {
        [only] => get_step(*only).or_else(|| add_step(*only)).or_else(|| either_step(*only)),
        [first, second] => {
            let add = add_step(*second)?;
            let is_for = |name: Node<'a>, key: Node<'a>| {
                name.text() == add.name.text() && key.text() == add.key.text()
            };
            is_zeroed(*first, is_for).then_some(Step { is_guarded: true, ..add })
        }
        _ => None,
    }
}

/// `counts[key] += value`
fn add_step<'a>(statement: Node<'a>) -> Option<Step<'a>> {
    let Stmt::AugAssign { target, op: Kind::AddAssign, value } = Stmt::of(statement) else { return None };
    let (name, key) = item(target)?;
    Some(Step { name, key, value, is_guarded: false })
}

/// `counts[key] = counts.get(key, 0) + value`
fn get_step<'a>(statement: Node<'a>) -> Option<Step<'a>> {
    let (name, key, value) = set(statement)?;
    let Expr::BinOp { left, op: Kind::Add, right } = Expr::of(value) else { return None };
    let gets = |node: Node<'a>| {
        let Expr::Call { func, arguments: list } = Expr::of(node) else { return false };
        let Expr::Attribute { value: owner, attr: "get", .. } = Expr::of(func) else { return false };
        let all = arguments(list);
        let [first, second] = all.as_slice() else { return false };
        owner.text() == name.text()
            && first.value.text() == key.text()
            && first.name.is_none()
            && matches!(Expr::of(second.value), Expr::Int("0"))
    };
    let value = if gets(left) {
        right
    } else if gets(right) {
        left
    } else {
        return None;
    };
    Some(Step { name, key, value, is_guarded: true })
}

/// `if key in counts: counts[key] += value` and `else: counts[key] = value`, in either order.
fn either_step<'a>(statement: Node<'a>) -> Option<Step<'a>> {
    let Stmt::If { branches, orelse: Some(orelse) } = Stmt::of(statement) else { return None };
    let [(test, body)] = branches.as_slice() else { return None };
    let Expr::Compare { left, op, right } = Expr::of(*test) else { return None };
    let (there, new) = match op {
        Kind::In => (*body, orelse),
        Kind::NotIn => (orelse, *body),
        _ => return None,
    };
    let add = add_step(only(there)?)?;
    let (name, key, value) = set(only(new)?)?;
    let is_same = left.text() == add.key.text()
        && right.text() == add.name.text()
        && name.text() == add.name.text()
        && key.text() == add.key.text()
        && value.text() == add.value.text();
    is_same.then_some(Step { is_guarded: true, ..add })
}

/// `counts.setdefault(key, 0)` or `if key not in counts: counts[key] = 0`
fn is_zeroed<'a>(statement: Node<'a>, is_for: impl Fn(Node<'a>, Node<'a>) -> bool) -> bool {
    match Stmt::of(statement) {
        Stmt::Expr(call) => {
            let Expr::Call { func, arguments: list } = Expr::of(call) else { return false };
            let Expr::Attribute { value: owner, attr: "setdefault", .. } = Expr::of(func) else {
                return false;
            };
            let all = arguments(list);
            let [key, zero] = all.as_slice() else { return false };
            is_for(owner, key.value) && matches!(Expr::of(zero.value), Expr::Int("0"))
        }
        Stmt::If { branches, orelse: None } => {
            let [(test, body)] = branches.as_slice() else { return false };
            let Expr::Compare { left, op: Kind::NotIn, right } = Expr::of(*test) else { return false };
            let Some((name, key, zero)) = only(*body).and_then(set) else { return false };
            is_for(right, left) && is_for(name, key) && matches!(Expr::of(zero), Expr::Int("0"))
        }
        _ => false,
    }
}

fn only(block: Node<'_>) -> Option<Node<'_>> {
    let mut statements = block.children().filter(|c| c.kind() != Kind::Comment);
    let first = statements.next()?;
    statements.next().is_none().then_some(first)
}

/// `name[key] = value`
fn set<'a>(statement: Node<'a>) -> Option<(Node<'a>, Node<'a>, Node<'a>)> {
    let Stmt::Assign { targets, value: Some(value), annotation: None } = Stmt::of(statement) else {
        return None;
    };
    let [target] = targets.as_slice() else { return None };
    let (name, key) = item(*target)?;
    Some((name, key, value))
}

/// `name[key]`
fn item<'a>(node: Node<'a>) -> Option<(Node<'a>, Node<'a>)> {
    let Expr::Subscript { value, index, count: 1 } = Expr::of(node) else { return None };
    let name = value.peel();
    (name.kind() == Kind::Name && index.kind() != Kind::Slice).then_some((name, index))
}

/// An empty dict, `Counter` or `defaultdict(int)`.
fn holder<'a>(cx: &Context<'a>, made: Node<'a>) -> Option<Holder<'a>> {
    match Expr::of(made) {
        Expr::Dict(dict) if dict.children().next().is_none() => Some(Holder::Dict),
        Expr::Call { func, arguments: list } => {
            let all = arguments(list);
            match (external_path(cx, func)?.as_str(), all.as_slice()) {
                ("builtins.dict", []) => Some(Holder::Dict),
                ("collections.Counter", []) => Some(Holder::Counter(func)),
                ("collections.OrderedDict", []) => Some(Holder::Ordered(func)),
                ("collections.defaultdict", [factory]) => {
                    let is_int = external_path(cx, factory.value).as_deref() == Some("builtins.int");
                    is_int.then_some(Holder::Default(func, factory.value))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether nobody sees in which order the keys of the dict came.
pub fn is_unordered(found: &Match<'_>, groups: &Groups<'_>) -> bool {
    let Some((name, init)) = groups.filled.or_else(|| {
        let statement = found.node.statement()?;
        let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(statement) else { return None };
        let [target] = targets.as_slice() else { return None };
        match Expr::of(*target) {
            Expr::Name(name) if value.peel() == found.node => Some((name, statement)),
            _ => None,
        }
    }) else {
        return is_keyed(found.node);
    };
    let Some(scope) = found.node.enclosing_function() else { return false };
    are_private(found.node, &[name])
        && scope
            .mentions(name)
            .all(|n| found.node.contains(n.id()) || init.contains(n.id()) || n.is_binding() || is_keyed(n))
}

/// Whether an expression that gives a dict is only asked for single keys, for a number of all values, or for its items in
/// an order of their own.
fn is_keyed(node: Node<'_>) -> bool {
    let outer = node.with_parens();
    let Some(parent) = outer.parent() else { return false };
    match parent.kind() {
        Kind::Subscript => outer.field() == Field::Value,
        Kind::Compare => {
            matches!(Expr::of(parent), Expr::Compare { op: Kind::In | Kind::NotIn, right, .. }
                if right.with_parens() == outer)
        }
        Kind::Attribute => {
            let Expr::Attribute { attr, .. } = Expr::of(parent) else { return false };
            let Some(call) = parent.parent().filter(|p| p.kind() == Kind::Call) else { return false };
            match attr {
                "get" => true,
                "values" | "keys" => is_reduced(call) || is_sorted(call, false),
                "items" => is_sorted(call, true),
                _ => false,
            }
        }
        Kind::Arguments => is_reduced(node) || is_sorted(node, false),
        _ => false,
    }
}

/// `sorted(node)`, where no two of what is sorted are equal or equal ones cannot be told apart. Pairs may be sorted by a
/// `key=` that ends with their first.
fn is_sorted(node: Node<'_>, is_pairs: bool) -> bool {
    let Some(list) = node.with_parens().parent().filter(|p| p.kind() == Kind::Arguments) else {
        return false;
    };
    let Some(Expr::Call { func, .. }) = list.parent().map(Expr::of) else { return false };
    matches!(Expr::of(func), Expr::Name("sorted"))
        && arguments(list).iter().all(|a| match a.name {
            None => a.stars == 0,
            Some("key") => is_pairs && is_by_first(a.value),
            Some(name) => name == "reverse",
        })
}

/// `lambda pair: (-pair[1], pair[0])`
fn is_by_first(key: Node<'_>) -> bool {
    let Expr::Lambda { body, .. } = Expr::of(key) else { return false };
    let own = parameters(key);
    let [parameter] = own.as_slice() else { return false };
    let is_first = |node: Node<'_>| {
        matches!(Expr::of(node), Expr::Subscript { value, index, count: 1 }
            if value.text() == parameter.name && matches!(Expr::of(index), Expr::Int("0")))
    };
    match Expr::of(body) {
        Expr::Tuple(items) => items.children().any(is_first),
        _ => is_first(body),
    }
}

/// `len(node)`, `sum(node)`, `max(node)`
fn is_reduced(node: Node<'_>) -> bool {
    let Some(list) = node.with_parens().parent().filter(|p| p.kind() == Kind::Arguments) else {
        return false;
    };
    let Some(Expr::Call { func, .. }) = list.parent().map(Expr::of) else { return false };
    matches!(Expr::of(func), Expr::Name("len" | "sum" | "max" | "min" | "bool"))
}
