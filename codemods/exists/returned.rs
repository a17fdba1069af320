//! `return books.count()` in a function whose callers ask for nothing but the truth of what it gives.

use crate::exists::find::{Asked, called};
use ormend_engine::codemod::Context;
use ormend_engine::codemod::guards::callers::{CallSite, Certainty, call_sites_where, certainty};
use ormend_engine::codemod::truth::{Given, climb, in_async_code};
use ormend_engine::python::{Expr, Kind, Node, Stmt};

/// The number that the call `node` gives to the callers of its function, where all of them are known and test it.
pub fn returned<'a>(cx: &Context<'a>, node: Node<'a>) -> Option<Asked<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let (receiver, method, inner, given) = called(cx, node, func, list)?;
    let statement = node.statement()?;
    let Stmt::Return(Some(value)) = Stmt::of(statement) else { return None };
    if given != Given::Number || inner != node || !is_operand(inner, value) {
        return None;
    }
    let scope = cx.scope();
    let program = cx.project.program();
    let function = program.function_at(cx.file, scope.id())?;
    let info = program.function(function);
    if statement.enclosing_function() != Some(scope)
        || info.is_generator
        || in_async_code(node)
        || !cx.analyzer.is_known_by_callers(function)
        || says_number(&info.name)
        || is_shown(cx, &info.name)
    {
        return None;
    }
    let sites = call_sites_where(cx, |_| true);
    let is_tested = |site: &CallSite<'a>| {
        let facts = site.facts(cx);
        let inner = Context { facts: &facts, file: site.file, ..*cx };
        climb(&inner, site.call, Given::Number).is_some()
    };
    let mut is_called = false;
    for site in &sites {
        match certainty(cx, site) {
            Certainty::Other => {}
            Certainty::Maybe => return None,
            Certainty::Sure => {
                let is_bare = site.call.with_parens().parent().is_some_and(|p| p.kind() != Kind::Compare);
                if !is_bare || !is_tested(site) {
                    return None;
                }
                is_called = true;
            }
        }
    }
    is_called.then(|| Asked::of_number(receiver, method, inner))
}

/// Whether `node` is `value`, or one of those of which `value` gives the first that decides: `books.count() or authors.count()`.
fn is_operand<'a>(node: Node<'a>, value: Node<'a>) -> bool {
    let mut around = node.ancestors().take_while(|n| !n.kind().is_statement());
    value.contains(node.id()) && around.all(|n| matches!(n.kind(), Kind::BoolOp | Kind::Paren))
}

/// Whether the function's name promises a number, which a truth would belie.
fn says_number(name: &str) -> bool {
    const NUMBERS: &[&str] =
        &["amount", "count", "counts", "len", "length", "num", "number", "size", "total"];
    name.split('_').any(|word| NUMBERS.contains(&word))
}

/// Whether a template names the function, which may show what it gives.
fn is_shown(cx: &Context<'_>, name: &str) -> bool {
    let program = cx.project.program();
    program.file_ids().map(|f| &program.file(f).source).any(|source| {
        !source.path().ends_with(".py")
            && source.text().split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
    })
}
