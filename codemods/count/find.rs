//! The shapes: `len()` of rows, or of a collection with something for each of them, and `sum()` of ones.

use ormend_engine::codemod::guards::queryset::{queryset_of, rows_of};
use ormend_engine::codemod::rows::column::column;
use ormend_engine::codemod::truth::{builtin_argument, in_async_code, is_asked};
use ormend_engine::codemod::{Context, Hazard};
use ormend_engine::django::{Field as Column, FieldKind};
use ormend_engine::infer::{QuerySet, Rows, Trait, Type};
use ormend_engine::python::{Def, Expr, Field, Generator, Kind, Node, arguments, generators, string_value};

/// What the pattern matcher binds.
pub struct Match<'a> {
    /// All that is replaced: the call of `len` or `sum`.
    pub node: Node<'a>,
    /// The queryset, or a manager whose `iterator()` is read.
    pub receiver: Node<'a>,
    /// What gives the rows: the queryset, or its `iterator()`.
    pub read: Node<'a>,
    /// The rows come one by one, and are not kept in the queryset.
    pub is_streamed: bool,
    /// The rows come asynchronously.
    pub is_async: bool,
    /// Equal rows count once: the column that is looked at, and empty where `receiver` has no other one.
    pub set_of: Option<String>,
    /// Why reading a column of a row is more than that.
    pub hazards: Vec<Hazard>,
}

/// The rows that something is made of.
struct Counted<'a> {
    receiver: Node<'a>,
    read: Node<'a>,
    is_streamed: bool,
    is_async: bool,
    hazards: Vec<Hazard>,
}

impl<'a> Counted<'a> {
    fn new(receiver: Node<'a>) -> Counted<'a> {
        Counted {
            receiver: receiver.peel(),
            read: receiver.peel(),
            is_streamed: false,
            is_async: false,
            hazards: Vec::new(),
        }
    }
}

/// The pattern matcher.
pub fn find<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Match<'a>> {
    let (counted, set_of) = match measured(cx, node) {
        Some(argument) => of_length(cx, node, argument.peel())?,
        None => (ones(cx, node)?, None),
    };
    let Counted { receiver, read, is_streamed, is_async, hazards } = counted;
    let found = Match { node, receiver, read, is_streamed, is_async, set_of, hazards };
    if found.is_async != in_async_code(node) {
        return None;
    }
    // Raw querysets have no count(), and locked rows are loaded for their locks.
    rows_of(cx, found.receiver)?;
    (!matches!(cx.type_of(found.receiver), Type::QuerySet(qs) if qs.is(Trait::LockedOf))).then_some(found)
}

/// What `len(argument)` counts.
fn of_length<'a>(
    cx: &Context<'a>,
    node: Node<'a>,
    argument: Node<'a>,
) -> Option<(Counted<'a>, Option<String>)> {
    let given = |names: &[&str]| names.iter().find_map(|name| builtin_argument(cx, argument, name));
    if is_queryset(cx, argument) {
        // exists() has the better answer.
        return (!is_asked(cx, node)).then(|| (Counted::new(argument), None));
    }
    if let Some(inner) = given(&["list", "tuple"]) {
        let is_own = is_queryset(cx, inner) && builtin_argument(cx, argument, "list").is_some();
        return if is_own && is_asked(cx, node) { None } else { Some((rows(cx, inner)?, None)) };
    }
    if argument.kind() == Kind::ListComp {
        return Some((comprehension(cx, argument)?, None));
    }
    let inner = given(&["set", "frozenset"]).unwrap_or(argument).peel();
    if matches!(inner.kind(), Kind::SetComp | Kind::GeneratorExp | Kind::ListComp) {
        if inner.kind() != Kind::SetComp && inner == argument {
            return None;
        }
        let counted = comprehension(cx, inner)?;
        let Expr::Attribute { attr, .. } = Expr::of(inner.child(Field::Body)?) else { return None };
        let is_column = !counted.is_async && can_be_set(cx, counted.receiver, attr);
        return is_column.then(|| (counted, Some(attr.to_owned())));
    }
    let counted = Counted::new(inner);
    (inner != argument && is_column_list(cx, counted.receiver)).then(|| (counted, Some(String::new())))
}

/// The rows in `sum(1 for book in books)`.
fn ones<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Counted<'a>> {
    let argument = summed(cx, node)?;
    let body = argument.child(Field::Body)?;
    if !matches!(Expr::of(body), Expr::Int("1")) {
        return None;
    }
    comprehension(cx, argument)
}

/// The argument of `len()`.
fn measured<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Node<'a>> {
    builtin_argument(cx, node, "len")
}

/// The comprehension in `sum(1 for book in books)`.
fn summed<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Node<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let is_sum = matches!(cx.type_of(func), Type::Def(Def::External(path)) if path == "builtins.sum");
    if !is_sum {
        return None;
    }
    if list.kind() == Kind::GeneratorExp {
        return Some(list);
    }
    match arguments(list).as_slice() {
        [only] if only.name.is_none() && only.stars == 0 => {
            let inner = only.value.peel();
            matches!(inner.kind(), Kind::GeneratorExp | Kind::ListComp).then_some(inner)
        }
        _ => None,
    }
}

fn is_queryset<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    matches!(cx.type_of(node.peel()), Type::QuerySet(_))
}

/// What `list()` is given: a queryset, its `iterator()`, or a generator with something for each row.
fn rows<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Counted<'a>> {
    let node = node.peel();
    if matches!(node.kind(), Kind::GeneratorExp | Kind::ListComp) {
        return comprehension(cx, node);
    }
    iterated(cx, node)
}

/// A queryset, or its `iterator()`.
fn iterated<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Counted<'a>> {
    let node = node.peel();
    if is_queryset(cx, node) {
        return Some(Counted::new(node));
    }
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let Expr::Attribute { value, attr: "iterator" | "aiterator", .. } = Expr::of(func) else { return None };
    if arguments(list)
        .iter()
        .any(|a| a.stars > 0 || !matches!(Expr::of(a.value), Expr::Int(_) | Expr::Name(_)))
    {
        return None;
    }
    rows_of(cx, value)?;
    Some(Counted { is_streamed: true, read: node, ..Counted::new(value) })
}

/// A comprehension with one `for`, no condition, and an element that only reads the row.
fn comprehension<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Counted<'a>> {
    let all = generators(node);
    let [only] = all.as_slice() else { return None };
    let Generator { target, iter, conditions, is_async, .. } = only;
    let Expr::Name(variable) = Expr::of(*target) else { return None };
    if !conditions.is_empty() {
        return None;
    }
    let mut counted = iterated(cx, *iter)?;
    counted.is_async = *is_async;
    let body = node.child(Field::Body)?;
    element(cx, &mut counted, body, variable, 0)?;
    Some(counted)
}

/// Whether an element does no more than read columns of the row.
fn element<'a>(
    cx: &Context<'a>,
    counted: &mut Counted<'a>,
    node: Node<'a>,
    variable: &str,
    depth: usize,
) -> Option<()> {
    let node = node.peel();
    if depth > 20 {
        return None;
    }
    match Expr::of(node) {
        Expr::Int(_) | Expr::True | Expr::False | Expr::None | Expr::Str(_) => Some(()),
        Expr::Name(name) => (name == variable).then_some(()),
        Expr::Tuple(inner) | Expr::List(inner) => {
            inner.children().try_for_each(|item| element(cx, counted, item, variable, depth + 1))
        }
        Expr::Attribute { value, attr, .. } if matches!(Expr::of(value), Expr::Name(n) if n == variable) => {
            let qs = queryset_of(cx, counted.receiver)?;
            if qs.rows != Rows::Instances {
                return None;
            }
            counted.hazards.extend(column(cx, qs, attr)?.hazard);
            Some(())
        }
        Expr::Subscript { value, index, count: 1 } if matches!(Expr::of(value), Expr::Name(n) if n == variable) =>
        {
            let qs = queryset_of(cx, counted.receiver)?;
            let is_there = match &qs.rows {
                Rows::Dicts => string_value(index).is_some_and(|key| names(qs, counted.receiver, &key)),
                _ => false,
            };
            is_there.then_some(())
        }
        _ => None,
    }
}

/// Whether `values()` at the end of the chain names `key`, or annotates it.
fn names(qs: &QuerySet, receiver: Node<'_>, key: &str) -> bool {
    if qs.annotations.contains(key) {
        return true;
    }
    let Expr::Call { func, arguments: list } = Expr::of(receiver) else { return false };
    matches!(Expr::of(func), Expr::Attribute { attr: "values", .. })
        && arguments(list).iter().any(|a| a.name.is_none() && string_value(a.value).as_deref() == Some(key))
}

/// `books.values_list("author_id", flat=True)` of a column whose values are equal in Python where they are equal in the
/// database: numbers and keys.
fn is_column_list<'a>(cx: &Context<'a>, receiver: Node<'a>) -> bool {
    let Expr::Call { func, arguments: list } = Expr::of(receiver) else { return false };
    let Expr::Attribute { value, attr: "values_list", .. } = Expr::of(func) else { return false };
    let all = arguments(list);
    let [first, flat] = all.as_slice() else { return false };
    if first.name.is_some()
        || first.stars > 0
        || flat.name != Some("flat")
        || !matches!(Expr::of(flat.value), Expr::True)
    {
        return false;
    }
    is_queryset(cx, receiver) && string_value(first.value).is_some_and(|name| can_be_set(cx, value, &name))
}

/// Whether the values of the column `name` can be compared by the database.
fn can_be_set<'a>(cx: &Context<'a>, rows: Node<'a>, name: &str) -> bool {
    let Some(qs) = queryset_of(cx, rows) else { return false };
    let odd = [Trait::Sliced, Trait::Annotated, Trait::Distinct, Trait::DistinctOn, Trait::Combined];
    if qs.rows != Rows::Instances || odd.iter().any(|t| qs.is(*t)) {
        return false;
    }
    let model = cx.model(qs.model);
    let field = match name {
        "pk" => model.primary_key(),
        _ => model.field(name).or_else(|| model.field_by_attname(name)),
    };
    field.is_some_and(|f| is_exact(cx, f, 0))
}

/// Whether the column's values are equal in Python exactly where they are equal in the database. Text need not be: it has
/// collations.
fn is_exact(cx: &Context<'_>, field: &Column, depth: usize) -> bool {
    match field.kind {
        _ if field.has_hooks && field.kind != FieldKind::ForeignKey => false,
        FieldKind::Auto | FieldKind::Integer | FieldKind::Boolean | FieldKind::Uuid | FieldKind::Date => true,
        FieldKind::ForeignKey if depth < 8 => field
            .relation
            .as_ref()
            .filter(|r| r.to_field.is_none())
            .and_then(|r| cx.model(r.target?).primary_key())
            .is_some_and(|key| is_exact(cx, key, depth + 1)),
        _ => false,
    }
}
