//! The truth of an expression: which expressions ask for nothing but whether a number is zero, a collection is empty or
//! a row is there.

use crate::codemod::Context;
use crate::infer::Type;
use crate::python::{Argument, Def, Expr, Field, Kind, Node, Stmt, arguments};

/// What an expression gives, as far as its truth goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// A number of rows.
    Number,
    /// A row, or None.
    RowOrNone,
    /// All rows.
    Collection,
}

/// Where nothing but a truth is left.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The expression that is nothing but a truth.
    pub whole: Node<'a>,
    /// True for zero, for no row.
    pub negated: bool,
    /// The truth of the value itself is asked, no comparison.
    pub by_truth: bool,
    /// `==` or `!=` asks.
    pub by_equality: bool,
}

/// From `node` up to the expression that is nothing but a truth.
pub fn climb<'a>(cx: &Context<'a>, node: Node<'a>, given: Given) -> Option<End<'a>> {
    let mut end = End { whole: node, negated: false, by_truth: true, by_equality: false };
    let mut is_bool = false;
    if let Some(parent) = end.whole.with_parens().parent()
        && parent.kind() == Kind::Compare
    {
        end.negated = compared(parent, node, given)?;
        end.whole = parent;
        end.by_truth = false;
        end.by_equality = matches!(Expr::of(parent), Expr::Compare { op: Kind::Eq | Kind::NotEq, .. });
        is_bool = true;
    }
    // `bool()` around it goes: what remains is a bool.
    while let Some(call) = enclosing_call(cx, end.whole, &["bool"]) {
        end.whole = call;
        is_bool = true;
    }
    while end.negated
        && let Some(parent) = end.whole.with_parens().parent()
        && parent.kind() == Kind::Not
    {
        end.whole = parent;
        end.negated = false;
    }
    if !is_bool {
        if let Some(parent) = end.whole.with_parens().parent()
            && parent.kind() == Kind::Not
            && let Some(call) = enclosing_call(cx, parent, &["bool"])
        {
            // `bool(not books)`
            end.whole = call;
            end.negated = true;
        } else if !is_test(cx, end.whole, 0) {
            return None;
        }
    }
    Some(end)
}

/// Whether a comparison asks for no row (true) or for some row (false); `None` for anything else.
fn compared(compare: Node<'_>, node: Node<'_>, given: Given) -> Option<bool> {
    let Expr::Compare { left, op, right } = Expr::of(compare) else { return None };
    let is_left = left.peel() == node.peel();
    let other = if is_left { right } else { left };
    match given {
        Given::Number => {
            let Expr::Int(text) = Expr::of(other) else { return None };
            let op = if is_left { op } else { mirrored(op) };
            match (op, text) {
                (Kind::Gt | Kind::NotEq, "0") | (Kind::GtE, "1") => Some(false),
                (Kind::Eq | Kind::LtE, "0") | (Kind::Lt, "1") => Some(true),
                _ => None,
            }
        }
        Given::RowOrNone => {
            let Expr::None = Expr::of(other) else { return None };
            match op {
                Kind::Is | Kind::Eq => Some(true),
                Kind::IsNot | Kind::NotEq => Some(false),
                _ => None,
            }
        }
        Given::Collection => None,
    }
}

fn mirrored(op: Kind) -> Kind {
    match op {
        Kind::Gt => Kind::Lt,
        Kind::Lt => Kind::Gt,
        Kind::GtE => Kind::LtE,
        Kind::LtE => Kind::GtE,
        other => other,
    }
}

/// Whether Python takes nothing but the truth of `node`.
pub fn is_tested<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    is_test(cx, node, 0) || enclosing_call(cx, node, &["bool"]).is_some()
}

fn is_test<'a>(cx: &Context<'a>, node: Node<'a>, depth: usize) -> bool {
    let place = node.with_parens();
    let Some(parent) = place.parent().filter(|_| depth < 100) else { return false };
    match parent.kind() {
        Kind::If | Kind::Elif | Kind::While => place.field() == Field::Condition,
        Kind::IfExp => parent.children().nth(1) == Some(place),
        Kind::Assert => parent.children().next() == Some(place),
        Kind::CompIf | Kind::Not => true,
        Kind::BoolOp => is_test(cx, parent, depth + 1) || enclosing_call(cx, parent, &["bool"]).is_some(),
        Kind::GeneratorExp | Kind::ListComp => {
            place.field() == Field::Body && enclosing_call(cx, parent, &["any", "all"]).is_some()
        }
        Kind::List => enclosing_call(cx, parent, &["any", "all"]).is_some(),
        _ => false,
    }
}

/// `name = inner`: the name's node and the function.
pub fn bound(inner: Node<'_>) -> Option<(Node<'_>, Node<'_>)> {
    let statement = inner.statement()?;
    let Stmt::Assign { targets, value: Some(value), annotation: None } = Stmt::of(statement) else {
        return None;
    };
    let [target] = targets.as_slice() else { return None };
    if value.peel() != inner || !matches!(Expr::of(*target), Expr::Name(_)) {
        return None;
    }
    Some((*target, statement.enclosing_function()?))
}

/// Every place in `scope` that binds or reads the name: not attributes and keywords of that name.
pub fn names<'a>(scope: Node<'a>, name: &'a str) -> impl Iterator<Item = Node<'a>> {
    scope.descendants().filter(move |n| {
        n.kind() == Kind::Name
            && n.text() == name
            && n.field() != Field::Attribute
            && !(n.field() == Field::Name && n.parent().is_some_and(|p| p.kind() == Kind::KeywordArgument))
    })
}

/// Whether the scope looks at its names as a mapping.
pub fn hands_out_names(scope: Node<'_>) -> bool {
    scope
        .descendants()
        .any(|n| matches!(n.kind(), Kind::Name) && matches!(n.text(), "locals" | "vars" | "eval" | "exec"))
}

/// The only positional argument of a call of the builtin `name`, a bare generator among them.
pub fn builtin_argument<'a>(cx: &Context<'a>, node: Node<'a>, name: &str) -> Option<Node<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    if !is_builtin(cx, func, name) {
        return None;
    }
    if list.kind() != Kind::Arguments {
        return Some(list);
    }
    match arguments(list).as_slice() {
        [only] if only.name.is_none() && only.stars == 0 => Some(only.value),
        _ => None,
    }
}

fn is_builtin<'a>(cx: &Context<'a>, func: Node<'a>, name: &str) -> bool {
    matches!(Expr::of(func), Expr::Name(n) if n == name)
        && matches!(cx.type_of(func), Type::Def(Def::External(path)) if path.strip_prefix("builtins.") == Some(name))
}

/// The call of one of these builtins whose only argument `node` is.
pub fn enclosing_call<'a>(cx: &Context<'a>, node: Node<'a>, names: &[&str]) -> Option<Node<'a>> {
    let place = node.with_parens();
    let parent = place.parent()?;
    let call = match parent.kind() {
        Kind::Arguments => parent.parent()?,
        // A generator expression that is the only argument.
        Kind::Call => parent,
        _ => return None,
    };
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let [only] = arguments(list).try_into().ok()?;
    let only: Argument<'a> = only;
    let is_only = only.name.is_none() && only.stars == 0 && only.value.peel() == node.peel();
    (is_only && names.iter().any(|name| is_builtin(cx, func, name))).then_some(call)
}

/// Whether `node` stands in a coroutine.
pub fn in_async_code(node: Node<'_>) -> bool {
    node.enclosing_function().is_some_and(Node::is_async)
}

/// Whether code asks for nothing but whether the number `node` is zero: there and then, or wherever it reads the name
/// that holds it.
pub fn is_asked<'a>(cx: &Context<'a>, node: Node<'a>) -> bool {
    if climb(cx, node, Given::Number).is_some() {
        return true;
    }
    let Some((target, scope)) = bound(node) else { return false };
    let mut reads = names(scope, target.text()).filter(|n| *n != target.peel()).peekable();
    reads.peek().is_some()
        && !hands_out_names(scope)
        && reads.all(|read| climb(cx, read, Given::Number).is_some())
}
