//! Lists of instances that are made first and saved one by one by a loop of their own.

use super::find::is_bound_in;
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::flow;
use ormend_engine::infer::{Escape, EventKind, Root, ValueId};
use ormend_engine::python::{Expr, Field, Kind, Node, Stmt, arguments, innermost_loop};

/// The list that the loop `outer` goes through, if each of its items is another instance that `constructor` made, and if
/// each turn saves its item, `row`, by `statement`.
pub fn held<'a>(
    cx: &Context<'a>,
    outer: Node<'a>,
    constructor: Node<'a>,
    statement: Node<'a>,
    row: Node<'a>,
    id: ValueId,
) -> Option<Node<'a>> {
    let Stmt::For { target, iter, body, orelse: None, is_async: false } = Stmt::of(outer) else {
        return None;
    };
    let (Expr::Name(name), Expr::Name(variable), Expr::Name(list)) =
        (Expr::of(row), Expr::of(target), Expr::of(iter))
    else {
        return None;
    };
    let leaves = |n: &Node<'a>| {
        matches!(n.kind(), Kind::Continue | Kind::Break | Kind::Return | Kind::Raise | Kind::Yield)
    };
    let is_each = name == variable
        && statement.parent() == Some(body)
        && !is_bound_in(body, name)
        && !body.descendants().any(|n| leaves(&n));
    // The row is only looked at, and given values, before it is saved.
    let is_looked_at = body.mentions(name).all(|n| {
        let attribute = n.parent().filter(|p| p.kind() == Kind::Attribute && n.field() != Field::Attribute);
        let is_called = attribute.and_then(Node::parent).is_some_and(|p| p.kind() == Kind::Call);
        statement.contains(n.id()) || n.id() < statement.id() && attribute.is_some() && !is_called
    });
    if !is_each || !is_looked_at || !is_own(cx, constructor, statement, id) {
        return None;
    }
    let scope = cx.scope();
    let mut filled = false;
    for mention in scope.mentions(list) {
        let parent = mention.with_parens().parent()?;
        let is_label = match parent.kind() {
            Kind::Attribute => mention.field() == Field::Attribute,
            Kind::KeywordArgument => mention.field() == Field::Name,
            _ => false,
        };
        if is_label || mention == iter.peel() {
            continue;
        }
        if mention.is_binding() {
            // In the block of the loop, before it, once.
            let made = mention.statement().filter(|s| s.parent() == outer.parent() && s.id() < outer.id())?;
            let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(made) else { return None };
            if targets.len() != 1 || filled || targets.first()?.peel() != mention {
                return None;
            }
            match Expr::of(value) {
                Expr::List(items) if items.children().next().is_none() => {}
                _ if value.peel().kind() == Kind::ListComp
                    && value.peel().child(Field::Body)?.peel() == constructor =>
                {
                    filled = true;
                }
                _ => return None,
            }
        } else if let Some(append) = appended(mention) {
            if filled || !outer.parent()?.contains(append.id()) || append.id() > outer.id() {
                return None;
            }
            is_put_once(append, constructor)?;
            filled = true;
        } else if mention.id() < outer.id() || mention.enclosing_scope() != Some(scope) {
            // Whoever has the list may change it.
            let is_measured = flow::is_tested(mention)
                || matches!(parent.parent().map(Expr::of), Some(Expr::Call { func, .. })
                    if matches!(Expr::of(func), Expr::Name("len" | "print")));
            let is_iterated = matches!(Stmt::of(parent), Stmt::For { iter, .. } if parent.kind() == Kind::For && iter.peel() == mention);
            if !is_measured && !is_iterated {
                return None;
            }
        } else if outer.contains(mention.id()) {
            return None;
        }
    }
    filled.then_some(iter.peel())
}

/// Whether nobody but the list has the instance, and nothing else saves it.
fn is_own<'a>(cx: &Context<'a>, constructor: Node<'a>, statement: Node<'a>, id: ValueId) -> bool {
    let root = Root::Value(id);
    cx.facts.events().all(|e| match &e.kind {
        EventKind::InstanceEscapes { root: r, how, .. } if *r == root => {
            matches!(how, Escape::Container | Escape::Return)
        }
        EventKind::InstanceMethod { root: r, .. } if *r == root => {
            statement.contains(e.at) || e.at > statement.id() || constructor.contains(e.at)
        }
        _ => true,
    })
}

/// The call `list.append(...)` as a statement, of the list that `mention` names.
fn appended<'a>(mention: Node<'a>) -> Option<Node<'a>> {
    let attribute = mention.parent().filter(|p| p.kind() == Kind::Attribute)?;
    let call = attribute.parent().filter(|p| p.kind() == Kind::Call)?;
    let is_statement = call.parent().is_some_and(|s| s.kind() == Kind::ExprStatement);
    let is_append = matches!(Expr::of(attribute), Expr::Attribute { attr: "append", .. });
    (is_append && is_statement).then_some(call)
}

/// Whether the append puts what `constructor` makes into the list, once for each instance.
fn is_put_once<'a>(append: Node<'a>, constructor: Node<'a>) -> Option<()> {
    let Expr::Call { arguments: list, .. } = Expr::of(append) else { return None };
    let args = arguments(list);
    let [only] = args.as_slice() else { return None };
    if only.value.peel() == constructor {
        return Some(());
    }
    let Expr::Name(name) = Expr::of(only.value) else { return None };
    let Stmt::Assign { targets, value: Some(value), .. } = Stmt::of(constructor.statement()?) else {
        return None;
    };
    let is_named = value.peel() == constructor
        && matches!(targets.as_slice(), [only] if matches!(Expr::of(*only), Expr::Name(n) if n == name));
    let is_same_turn = innermost_loop(constructor) == innermost_loop(append)
        && constructor.statement()?.parent()?.contains(append.id())
        && constructor.id() < append.id();
    (is_named && is_same_turn).then_some(())
}
