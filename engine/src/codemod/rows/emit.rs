//! The text of rows that are read by columns: a call at the end of the queryset, where a slice or `iterator()` may
//! follow it, and names for columns.

use super::{Collects, Column, Filling, Shape};
use crate::codemod::Context;
use crate::python::emit::{Precedence, fresh_name, indentation, is_keyword, quote_of, reindent};
use crate::python::{Field, Kind, Node};
use crate::text::{Edit, Span};

/// The quote for new strings at `node`: inside an f-string the other one than its own, where there is one.
pub fn quote_at(cx: &Context<'_>, node: Node<'_>) -> Option<char> {
    let mut taken = Vec::new();
    let mut inside = false;
    for around in node.ancestors() {
        inside |= around.kind() == Kind::Interpolation;
        if around.kind() == Kind::Str && inside {
            taken.push(around.child_of_kind(Kind::StrStart)?.text().chars().last()?);
        }
    }
    let usual = quote_of(cx.project.program().file(cx.file));
    [usual, '"', '\''].into_iter().find(|q| !taken.contains(q))
}

/// The queryset with the call `values_list("title")` and what came after the queryset.
pub fn projected(found: &Shape<'_>, call: &str) -> String {
    let base = found.source.base;
    let text = base.text();
    let text = if Precedence::of(base) < Precedence::Atom { format!("({text})") } else { text.to_owned() };
    format!("{text}.{call}{}", tail(found))
}

/// The slice or `.iterator()` after the queryset.
fn tail<'a>(found: &Shape<'a>) -> &'a str {
    if found.source.keys.is_some() {
        return "";
    }
    let start = found.source.base.with_parens().span().end;
    let end = found.source.iter.span().end;
    found.node.file_text().get(start as usize..(end.max(start)) as usize).unwrap_or("")
}

/// The queryset with `call` inside a call of `callee`; without a callee inside the parentheses that stood there.
pub fn collected<'a>(cx: &Context<'a>, found: &Shape<'a>, call: &str, callee: &str) -> String {
    let node = found.node;
    let is_argument_list = node.kind() == Kind::GeneratorExp && node.field() == Field::Arguments;
    let in_parens = !callee.is_empty() || is_argument_list;
    if let Some(text) = on_lines(cx, found, call, callee, in_parens) {
        return text;
    }
    let text = projected(found, call);
    if in_parens { format!("{callee}({text})") } else { text }
}

/// A chain that is written one call a line stays so, inside the parentheses of `callee`.
pub fn on_lines<'a>(
    cx: &Context<'a>,
    found: &Shape<'a>,
    call: &str,
    callee: &str,
    in_parens: bool,
) -> Option<String> {
    let in_arguments = found.node.with_parens().parent().is_some_and(|p| p.kind() == Kind::Arguments);
    if !in_parens && in_arguments {
        return None;
    }
    let at = found.filling.and_then(|f| f.init).unwrap_or(found.node);
    in_lines(cx, at, found.source.base, call, tail(found), callee)
}

/// `base`, which is written over several lines, with `call` and `tail` at its end, inside the parentheses of `callee`, in
/// the place of `at`.
pub fn in_lines<'a>(
    cx: &Context<'a>,
    at: Node<'a>,
    base: Node<'a>,
    call: &str,
    tail: &str,
    callee: &str,
) -> Option<String> {
    let source = cx.source();
    let lines: Vec<&str> = base.text().lines().collect();
    if lines.len() < 2 {
        return None;
    }
    let is_call_a_line = lines.last()?.trim_start().starts_with('.');
    let indent = leading(cx, at);
    let inner = format!("{indent}{}", source.indent_unit());
    let newline = source.newline().as_str();
    let file = cx.project.program().file(cx.file);
    let chain = reindent(file, base.span(), leading(cx, base), &inner);
    // The first line may hang behind other code, the links then have an indentation of their own.
    let link = chain.lines().last().map(|l| l.get(..l.len() - l.trim_start().len()).unwrap_or(""))?;
    let before = if is_call_a_line { format!("{newline}{link}") } else { String::new() };
    let mut out = format!("{callee}({newline}{inner}{chain}{before}.{call}");
    let tail = tail.trim();
    if tail.starts_with('.') {
        out.push_str(&before);
    }
    out.push_str(tail);
    out.push_str(&format!("{newline}{indent})"));
    Some(out)
}

/// The white space at the start of the line where `node` starts.
pub fn leading<'a>(cx: &Context<'a>, node: Node<'a>) -> &'a str {
    let line = cx.source().line_text(cx.source().line_index(node.span().start));
    line.get(..line.len() - line.trim_start().len()).unwrap_or("")
}

/// What separates the clauses of a comprehension of which a part is written over several lines, and what comes after
/// the last.
pub fn clause_lines(cx: &Context<'_>, found: &Shape<'_>) -> Option<(String, String)> {
    let parts = [found.source.base, found.element].into_iter().chain(found.value);
    if !parts.chain(found.conditions.iter().copied()).any(|part| part.text().contains('\n')) {
        return None;
    }
    let file = cx.project.program().file(cx.file);
    let indent = indentation(file, found.node);
    let newline = cx.source().newline().as_str();
    Some((format!("{newline}{indent}{}", cx.source().indent_unit()), format!("{newline}{indent}")))
}

/// The queryset as part of `rows`, with the indentation that follows a line break in `gap`.
pub fn moved(cx: &Context<'_>, found: &Shape<'_>, rows: &str, gap: &str) -> String {
    let base = found.source.base;
    let file = cx.project.program().file(cx.file);
    let from = indentation(file, base);
    let to = gap.trim_start_matches(['\r', '\n']);
    let text = reindent(file, base.span(), from, to);
    rows.replacen(base.text(), &text, 1)
}

/// `text`, which was written where `part` stands, with the indentation that follows a line break in `gap`.
pub fn lines_moved<'a>(cx: &Context<'a>, part: Node<'a>, text: &str, gap: &str) -> String {
    let has_lines = |n: &Node<'_>| matches!(n.kind(), Kind::Str) && n.text().contains('\n');
    if part.descendants().any(|n| has_lines(&n)) {
        return text.to_owned();
    }
    let from = leading(cx, part);
    let to = gap.trim_start_matches(['\r', '\n']);
    let moved = |line: &str| line.strip_prefix(from).map(|rest| format!("{to}{rest}"));
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or("").to_owned();
    lines.fold(first, |out, line| out + &moved(line).unwrap_or_else(|| line.to_owned()))
}

/// The edit that puts one statement in the place of a loop: an assignment of `made` where the loop fills a container that
/// is made right before it, and otherwise a call that adds `rows` to the container.
pub fn filled_with(found: &Shape<'_>, filling: Filling<'_>, made: &str, rows: &str) -> Edit {
    let end = found.node.span().end;
    match filling.init {
        Some(init) => {
            let target = init.file_text().get(init.span().start as usize..value_start(init)).unwrap_or("");
            Edit::replace(Span::new(init.span().start, end), format!("{target}{made}"))
        }
        None => {
            let method = if found.collects == Collects::Set { "update" } else { "extend" };
            let text = format!("{}.{method}({rows})", filling.name.text());
            Edit::replace(Span::new(found.node.span().start, end), text)
        }
    }
}

/// Where the value of an assignment starts.
pub fn value_start(init: Node<'_>) -> usize {
    let assign = init.child_of_kind(Kind::Assign);
    let value = assign.and_then(|a| a.child(Field::Right));
    value.map_or(init.span().end, |v| v.span().start) as usize
}

/// A name in the place of an attribute, which a keyword may touch.
pub fn spaced(read: Node<'_>, name: String) -> String {
    let before = read.file_text().get(..read.span().start as usize).and_then(|t| t.chars().last());
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') { format!(" {name}") } else { name }
}

/// A variable for each column: the column's name, unless it means something else here.
pub fn names(cx: &Context<'_>, found: &Shape<'_>, columns: &[Column]) -> Vec<String> {
    let scope =
        found.node.ancestors().filter(|a| a.kind() == Kind::FunctionDef).last().unwrap_or_else(|| cx.root());
    let is_taken = |name: &str| {
        is_reserved(name)
            || cx.project.program().global(cx.file, name).is_some()
            || scope.descendants().any(|n| {
                n.kind() == Kind::Name
                    && n.text() == name
                    // The row's own name is free when the row goes.
                    && !(name == found.variable && found.node.contains(n.id()))
                    && !n.parent().is_some_and(|p| {
                        (p.kind() == Kind::Attribute && n.field() == Field::Attribute)
                            || (p.kind() == Kind::KeywordArgument && n.field() == Field::Name)
                    })
            })
    };
    let mut out: Vec<String> = Vec::new();
    for column in columns {
        let name = column.name.replace("__", "_");
        let longer = format!("{}_{name}", found.variable);
        let is_free = |name: &String| !is_taken(name) && !out.contains(name);
        out.push(
            [name, longer.clone()].into_iter().find(is_free).unwrap_or_else(|| fresh_name(scope, &longer)),
        );
    }
    out
}

/// Keywords, also those that are some only where they stand first, and builtins.
fn is_reserved(name: &str) -> bool {
    const NAMES: &str = " match case type abs all any ascii bin bool bytearray bytes callable chr \
        classmethod compile complex copyright credits delattr dict dir divmod enumerate eval exec exit \
        filter float format frozenset getattr globals hasattr hash help hex id input int isinstance \
        issubclass iter len license list locals map max memoryview min next object oct open ord pow print \
        property quit range repr reversed round set setattr slice sorted staticmethod str sum super tuple \
        vars zip ";
    is_keyword(name) || NAMES.contains(&format!(" {name} "))
}

/// A comment that the new text has no place for.
pub fn lost_comment<'a>(found: &Shape<'a>) -> Option<Node<'a>> {
    let init = found.filling.and_then(|f| f.init);
    let start = init.unwrap_or(found.node).span().start;
    let end = found.node.span().end;
    let base = found.source.base.span();
    let mut around = found.node.parent()?;
    if init.is_some() {
        around = found.node.statement()?.parent()?;
    }
    around.descendants().find(|n| {
        n.kind() == Kind::Comment
            && start <= n.span().start
            && n.span().end <= end
            && !base.contains(n.span())
    })
}
