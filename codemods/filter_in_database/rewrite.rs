//! The new text.

use super::find::{Answer, Match, Shape};
use ormend_engine::codemod::conditions::{Calls, without_prefix};
use ormend_engine::codemod::guards::flow::is_tested;
use ormend_engine::codemod::rows::place::{is_consumed, is_measured};
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind};
use ormend_engine::python::emit::{
    Precedence, append_calls, end_of_line, indentation, parenthesized, reindent, whole_line,
};
use ormend_engine::python::{Expr, Kind, Node, Stmt, arguments};
use ormend_engine::text::{Edit, Span};

/// The builtin that keeps a comprehension's type.
pub fn collector(cx: &Context<'_>, found: &Match<'_>) -> Option<&'static str> {
    let is_list = found.node.kind() == Kind::ListComp;
    if is_consumed(cx, found.node) || is_list && (is_measured(cx, found.node) || is_tested(found.node)) {
        return None;
    }
    match found.node.kind() {
        Kind::ListComp => Some("list"),
        Kind::SetComp => Some("set"),
        _ => None,
    }
}

/// The fix.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
    let calls = found.translation.calls();
    let refused = |node: Node<'a>| cx.hazard(HazardKind::NoPlaceToEdit, node.text(), node);
    let mut edits = Vec::new();
    match &found.shape {
        Shape::Only => {
            let filtered = filtered(found, &calls);
            let is_argument_list = found.node.kind() == Kind::GeneratorExp
                && found.node.parent().is_some_and(|p| p.kind() == Kind::Call);
            let text = match collector(cx, found) {
                Some(name) => format!("{name}({filtered})"),
                None if is_argument_list => format!("({filtered})"),
                None => filtered,
            };
            edits.push(Edit::replace(found.node.span(), text));
        }
        Shape::Lambda => edits.push(Edit::replace(found.node.span(), filtered(found, &calls))),
        Shape::Exists { negated } => {
            let text = format!("{}.exists()", filtered(found, &calls));
            let text = match negated {
                true => parenthesized(found.node, &format!("not {text}"), Precedence::Not),
                false => text,
            };
            edits.push(Edit::replace(found.node.span(), text));
        }
        Shape::First => {
            let text = format!("{}.first()", filtered(found, &calls));
            edits.push(Edit::replace(found.node.span(), text));
        }
        Shape::Search { last, answer } => {
            let (not, method) = match answer {
                Answer::Found => ("", "exists"),
                Answer::Missing => ("not ", "exists"),
                Answer::Row => ("", "first"),
            };
            let text = format!("return {not}{}.{method}()", filtered(found, &calls));
            edits.push(Edit::replace(Span::new(found.node.span().start, last.span().end), text));
        }
        Shape::Clauses(clauses) => {
            edits.extend(appended(cx, found, &calls));
            for clause in clauses {
                let Some(test) = clause.children().next() else { continue };
                match left(found, test) {
                    Left::All => {}
                    Left::None => edits.push(Edit::delete(with_space(*clause))),
                    Left::Some => edits.push(shortened(found, test).ok_or_else(|| refused(test))?),
                }
            }
        }
        Shape::Wrapped(statement, block) => {
            edits.extend(appended(cx, found, &calls));
            let Stmt::If { branches, .. } = Stmt::of(*statement) else { return Err(refused(*statement)) };
            let Some((test, _)) = branches.first() else { return Err(refused(*statement)) };
            if found.translation.rest.is_empty() {
                edits.push(unwrapped(cx, *statement, *block).ok_or_else(|| refused(*statement))?);
            } else {
                edits.push(without_prefix(*test, &found.translation.rest).ok_or_else(|| refused(*test))?);
            }
        }
        Shape::Guards(guards) => {
            edits.extend(appended(cx, found, &calls));
            for guard in guards {
                let Stmt::If { branches, .. } = Stmt::of(*guard) else { continue };
                let Some((test, _)) = branches.first() else { continue };
                match left(found, *test) {
                    Left::All => {}
                    Left::None => edits.push(removed(cx, *guard)),
                    Left::Some => edits.push(shortened(found, *test).ok_or_else(|| refused(*test))?),
                }
            }
        }
    }
    let mut fix = cx.fix(edits);
    fix.imports = found.translation.imports.clone();
    fix.reads.push(cx.site(found.source.iter));
    Ok(fix)
}

/// A test without what has moved out of it.
fn shortened<'a>(found: &Match<'a>, test: Node<'a>) -> Option<Edit> {
    let rest = found.translation.rest.iter().copied();
    let inside: Vec<_> = rest.filter(|t| test.contains(t.node.id())).collect();
    without_prefix(test, &inside)
}

/// How much of a test stays.
enum Left {
    All,
    Some,
    None,
}

fn left<'a>(found: &Match<'a>, test: Node<'a>) -> Left {
    let has = |tests: &[ormend_engine::codemod::conditions::Test<'a>]| {
        tests.iter().any(|t| test.peel().contains(t.node.peel().id()))
    };
    match (has(&found.translation.moved), has(&found.translation.rest)) {
        (true, true) => Left::Some,
        (true, false) => Left::None,
        (false, _) => Left::All,
    }
}

/// A clause with the white space before it.
fn with_space(clause: Node<'_>) -> Span {
    let before = clause.file_text().get(..clause.span().start as usize).unwrap_or("");
    Span::new(before.trim_end().len() as u32, clause.span().end)
}

/// Whether `node` is a call of `all()`, whose place a filter takes.
pub fn all_call<'a>(node: Node<'a>) -> Option<(Node<'a>, Node<'a>)> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let Expr::Attribute { value, attr: "all", attr_node } = Expr::of(func) else { return None };
    arguments(list).is_empty().then_some((value, attr_node))
}

fn text_of(calls: &Calls) -> String {
    calls.iter().map(|(method, arguments)| format!(".{method}({})", arguments.join(", "))).collect()
}

/// The queryset with the calls behind it.
fn filtered(found: &Match<'_>, calls: &Calls) -> String {
    let base = found.source.base;
    if let Some((_, attr)) = all_call(base) {
        let head = base.file_text().get(base.span().start as usize..attr.span().start as usize).unwrap_or("");
        return format!("{head}{}", text_of(calls).trim_start_matches('.'));
    }
    let text = base.text();
    let calls = text_of(calls);
    if Precedence::of(base) < Precedence::Atom {
        format!("({text}){calls}")
    } else {
        format!("{text}{calls}")
    }
}

/// The edits that append the calls where the queryset stands.
fn appended<'a>(cx: &Context<'a>, found: &Match<'a>, calls: &Calls) -> Vec<Edit> {
    let base = found.source.base;
    if let Some((_, attr)) = all_call(base) {
        let span = Span::new(attr.span().start, base.span().end);
        return vec![Edit::replace(span, text_of(calls).trim_start_matches('.'))];
    }
    if Precedence::of(base) < Precedence::Atom {
        let outer = base.with_parens();
        if outer == base {
            return vec![
                Edit::insert(base.span().start, "("),
                Edit::insert(base.span().end, format!("){}", text_of(calls))),
            ];
        }
        return vec![Edit::insert(outer.span().end, text_of(calls))];
    }
    let file = cx.project.program().file(cx.file);
    append_calls(file, base, calls, cx.options.line_length)
}

/// The block of an `if` in its place; comments between the two go above it.
fn unwrapped<'a>(cx: &Context<'a>, statement: Node<'a>, block: Node<'a>) -> Option<Edit> {
    let file = cx.project.program().file(cx.file);
    let to = indentation(file, statement);
    let first = block.children().next()?;
    let source = cx.source();
    let line = source.line_text(source.line_index(first.span().start));
    let from = line.get(..line.len() - line.trim_start().len())?;
    // `if x: y` on one line has no block of its own.
    if source.line_index(first.span().start) == source.line_index(statement.span().start) {
        let text = cx.source().slice(Span::new(first.span().start, statement.span().end));
        return (block.children().count() == 1).then(|| Edit::replace(statement.span(), text));
    }
    let Stmt::If { branches, .. } = Stmt::of(statement) else { return None };
    let test = branches.first()?.0;
    let mut text = String::new();
    let comments = statement.descendants().filter(|n| {
        n.kind() == Kind::Comment
            && n.span().start >= test.with_parens().span().end
            && n.span().start < first.span().start
    });
    for comment in comments {
        text.push_str(&format!("{}\n{to}", comment.text().trim_end()));
    }
    let span = Span::new(first.span().start, statement.span().end);
    text.push_str(&reindent(file, span, from, to));
    Some(Edit::replace(statement.span(), text))
}

/// A guard is taken out with its line and the blank lines behind it; what its comments say stays.
fn removed<'a>(cx: &Context<'a>, guard: Node<'a>) -> Edit {
    let source = cx.source();
    let text = source.text();
    let end = end_of_line(text, guard.span().end);
    let tail = text.get(guard.span().end as usize..end as usize).unwrap_or("").trim().to_owned();
    let file = cx.project.program().file(cx.file);
    let indent = indentation(file, guard);
    let mut comments: Vec<String> = guard
        .descendants()
        .filter(|n| n.kind() == Kind::Comment)
        .map(|n| n.text().trim_end().to_owned())
        .collect();
    if tail.starts_with('#') && !comments.contains(&tail) {
        comments.push(tail);
    }
    if !comments.is_empty() {
        return Edit::replace(Span::new(guard.span().start, end), comments.join(&format!("\n{indent}")));
    }
    let mut edit = whole_line(text, guard.span());
    // The first statement of the body has no blank line above it.
    let is_first = guard.parent().and_then(|b| b.children().next()) == Some(guard);
    let rest = text.get(edit.span.end as usize..).unwrap_or("");
    let blank = rest.len() - rest.trim_start_matches(['\n', '\r', ' ', '\t']).len();
    let lines = rest.get(..blank).and_then(|b| b.rfind('\n')).map_or(0, |n| n + 1);
    if is_first {
        edit.span = Span::new(edit.span.start, edit.span.end + lines as u32);
    }
    edit
}
