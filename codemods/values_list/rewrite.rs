//! The new text.

use super::context::{is_consumed, is_looped_over};
use super::find::{Collects, Match, Rowwise};
use super::lookup::is_subquery;
use ormend_engine::codemod::{Context, Fix, Hazard};
use ormend_engine::python::emit::{Precedence, append_call, fresh_name, quote_of, string_literal};
use ormend_engine::python::{Field, Kind, Node};
use ormend_engine::text::{Edit, Span};

/// Whether the queryset itself stands in the place of the list.
fn is_bare(cx: &Context<'_>, found: &Match<'_>) -> bool {
    match found.collects {
        Collects::Map | Collects::Generator => is_consumed(cx, found.node) || is_subquery(cx, found),
        // A list is complete before a loop's body runs; an iterator is not.
        Collects::List => {
            (is_consumed(cx, found.node) && !(found.source.is_streamed && is_looped_over(found.node)))
                || is_subquery(cx, found)
        }
        Collects::Set => is_subquery(cx, found),
        Collects::Dict => false,
    }
}

/// Whether a comprehension stays one.
fn stays(cx: &Context<'_>, found: &Match<'_>) -> bool {
    found.rowwise == Rowwise::Mixed
        || (found.filling.is_none() && found.collects == Collects::Generator && !is_bare(cx, found))
}

/// The builtin that the new text calls.
pub fn needed_builtin(cx: &Context<'_>, found: &Match<'_>) -> Option<&'static str> {
    if stays(cx, found) {
        return None;
    }
    let builtin = match found.collects {
        Collects::List => "list",
        Collects::Set => "set",
        Collects::Dict => "dict",
        Collects::Generator | Collects::Map => return None,
    };
    match found.filling {
        Some(filling) => filling.init.map(|_| builtin),
        None => (!is_bare(cx, found)).then_some(builtin),
    }
}

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

/// The arguments of `values_list`.
fn arguments(found: &Match<'_>, quote: char, is_flat: bool) -> Vec<String> {
    let mut out: Vec<String> = found.columns.iter().map(|c| string_literal(&c.name, quote)).collect();
    if is_flat {
        out.push("flat=True".to_owned());
    }
    out
}

/// The fix.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
    let quote = quote_at(cx, found.node).unwrap_or('"');
    let edits = match (found.filling, stays(cx, found)) {
        (None, true) => in_place(cx, found, quote),
        (None, false) => vec![Edit::replace(found.node.span(), collected(cx, found, quote))],
        (Some(_), _) => filled(cx, found, quote),
    };
    let mut fix = cx.fix(edits);
    // The keys, the queryset's definition and the other readers were looked at.
    fix.reads.push(cx.site(found.source.iter));
    Ok(fix)
}

/// The edits that give a comprehension other variables and another source.
fn in_place<'a>(cx: &Context<'a>, found: &Match<'a>, quote: char) -> Vec<Edit> {
    let names = names(cx, found);
    let is_flat = names.len() == 1;
    let base = found.source.base;
    let mut edits = Vec::new();
    if let Some(target) = found.target {
        edits.push(Edit::replace(target.span(), names.join(", ")));
    }
    for (read, column) in &found.reads {
        let name = names.get(*column).cloned().unwrap_or_default();
        edits.push(Edit::replace(read.span(), spaced(*read, name)));
    }
    let arguments = arguments(found, quote, is_flat);
    // `values(...)` becomes `values_list(...)` where it stands.
    if found.source.keys.is_some() {
        if let Some(method) = found.source.iter.child(Field::Function).and_then(|f| f.child(Field::Attribute))
        {
            let span = Span::new(method.span().start, found.source.iter.span().end);
            edits.push(Edit::replace(span, format!("values_list({})", arguments.join(", "))));
        }
        return edits;
    }
    let call = format!(".values_list({})", arguments.join(", "));
    if Precedence::of(base) < Precedence::Atom {
        let outer = base.with_parens();
        if outer == base {
            edits.push(Edit::insert(base.span().start, "("));
            edits.push(Edit::insert(base.span().end, format!("){call}")));
        } else {
            edits.push(Edit::insert(outer.span().end, call));
        }
    } else if base.text().contains('\n') {
        let file = cx.project.program().file(cx.file);
        edits.extend(append_call(file, base, "values_list", &arguments, cx.options.line_length));
    } else {
        edits.push(Edit::insert(base.span().end, call));
    }
    edits
}

/// A name in the place of an attribute, which a keyword may touch.
fn spaced(read: Node<'_>, name: String) -> String {
    let before = read.file_text().get(..read.span().start as usize).and_then(|t| t.chars().last());
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') { format!(" {name}") } else { name }
}

/// `queryset.values_list(...)` with what came after the queryset.
fn projected(found: &Match<'_>, quote: char, is_flat: bool) -> String {
    let base = found.source.base;
    let text = base.text();
    let text = if Precedence::of(base) < Precedence::Atom { format!("({text})") } else { text.to_owned() };
    let call = format!(".values_list({})", arguments(found, quote, is_flat).join(", "));
    format!("{text}{call}{}", tail(found))
}

/// The slice or `.iterator()` after the queryset.
fn tail<'a>(found: &Match<'a>) -> &'a str {
    if found.source.keys.is_some() {
        return "";
    }
    let start = found.source.base.with_parens().span().end;
    let end = found.source.iter.span().end;
    found.node.file_text().get(start as usize..(end.max(start)) as usize).unwrap_or("")
}

/// A comprehension or `map()` as a call of `list`, `set` or `dict`, or the queryset itself.
fn collected<'a>(cx: &Context<'a>, found: &Match<'a>, quote: char) -> String {
    let node = found.node;
    let callee = if is_bare(cx, found) { "" } else { needed_builtin(cx, found).unwrap_or("") };
    let is_argument_list = node.kind() == Kind::GeneratorExp && node.field() == Field::Arguments;
    let in_parens = !callee.is_empty() || is_argument_list;
    let is_flat = found.rowwise == Rowwise::Flat;
    if let Some(text) = on_lines(cx, found, quote, is_flat, callee, in_parens) {
        return text;
    }
    let text = projected(found, quote, is_flat);
    if in_parens { format!("{callee}({text})") } else { text }
}

/// A chain that is written one call a line stays so, inside the parentheses of `callee`.
fn on_lines<'a>(
    cx: &Context<'a>,
    found: &Match<'a>,
    quote: char,
    is_flat: bool,
    callee: &str,
    in_parens: bool,
) -> Option<String> {
    let source = cx.source();
    let base = found.source.base;
    let lines: Vec<&str> = base.text().lines().collect();
    if lines.len() < 2 {
        return None;
    }
    let is_call_a_line = lines.last()?.trim_start().starts_with('.');
    let in_arguments = found.node.with_parens().parent().is_some_and(|p| p.kind() == Kind::Arguments);
    if !in_parens && in_arguments {
        return None;
    }
    let leading = |offset: u32| {
        let line = source.line_text(source.line_index(offset));
        line.get(..line.len() - line.trim_start().len()).unwrap_or("").to_owned()
    };
    let indent = leading(found.filling.and_then(|f| f.init).unwrap_or(found.node).span().start);
    let inner = format!("{indent}{}", source.indent_unit());
    let newline = source.newline().as_str();
    let from = leading(base.span().start);
    let file = cx.project.program().file(cx.file);
    let chain = ormend_engine::python::emit::reindent(file, base.span(), &from, &inner);
    // The first line may hang behind other code, the links then have an indentation of their own.
    let link = chain.lines().last().map(|l| l.get(..l.len() - l.trim_start().len()).unwrap_or(""))?;
    let before = if is_call_a_line { format!("{newline}{link}") } else { String::new() };
    let mut out = format!("{callee}({newline}{inner}{chain}{before}");
    out.push_str(&format!(".values_list({})", arguments(found, quote, is_flat).join(", ")));
    let tail = tail(found).trim();
    if tail.starts_with('.') {
        out.push_str(&before);
    }
    out.push_str(tail);
    out.push_str(&format!("{newline}{indent})"));
    Some(out)
}

/// A loop as one statement.
fn filled<'a>(cx: &Context<'a>, found: &Match<'a>, quote: char) -> Vec<Edit> {
    let Some(filling) = found.filling else { return Vec::new() };
    let is_mixed = found.rowwise == Rowwise::Mixed;
    let names = if is_mixed { names(cx, found) } else { Vec::new() };
    let is_flat = if is_mixed { names.len() == 1 } else { found.rowwise == Rowwise::Flat };
    let rows = projected(found, quote, is_flat);
    let mut body = rows.clone();
    // Between the clauses, and around them: a queryset over several lines asks for a line each.
    let (gap, outer) = match (is_mixed, clause_lines(cx, found)) {
        (true, Some((inner, outer))) => (inner, outer),
        _ => (" ".to_owned(), String::new()),
    };
    if is_mixed {
        let rows = if outer.is_empty() { rows } else { moved(cx, found, &rows, &gap) };
        let placed = |part: Node<'a>| {
            let text = replaced(part, found, &names);
            if outer.is_empty() { text } else { lines_moved(cx, part, &text, &gap) }
        };
        let mut element = placed(found.element);
        if let Some(value) = found.value {
            let text = placed(value);
            let text = if value.kind() == Kind::ExprList { format!("({text})") } else { text };
            element = format!("{element}: {text}");
        }
        let start = if outer.is_empty() { "" } else { gap.as_str() };
        body = format!("{start}{element}{gap}for {} in {rows}", names.join(", "));
        for condition in &found.conditions {
            let text = placed(*condition);
            let text = if condition.kind() == Kind::IfExp { format!("({text})") } else { text };
            body.push_str(&format!("{gap}if {text}"));
        }
        body.push_str(&outer);
    }
    let (open, close) = match (found.collects, is_mixed) {
        (Collects::List, true) => ("[", "]"),
        (_, true) => ("{", "}"),
        (Collects::Set, false) => ("set(", ")"),
        (Collects::Dict, false) => ("dict(", ")"),
        (_, false) => ("list(", ")"),
    };
    let end = found.node.span().end;
    match filling.init {
        Some(init) => {
            let target = init.file_text().get(init.span().start as usize..value_start(init)).unwrap_or("");
            let callee = open.trim_end_matches('(');
            let text = match on_lines(cx, found, quote, is_flat, callee, true).filter(|_| !is_mixed) {
                Some(lines) => format!("{target}{lines}"),
                None => format!("{target}{open}{body}{close}"),
            };
            vec![Edit::replace(Span::new(init.span().start, end), text)]
        }
        None => {
            let method = if found.collects == Collects::Set { "update" } else { "extend" };
            let text = format!("{}.{method}({body})", filling.name.text());
            vec![Edit::replace(Span::new(found.node.span().start, end), text)]
        }
    }
}

/// What separates the clauses of a comprehension of which a part is written over several lines, and what comes after
/// the last.
fn clause_lines(cx: &Context<'_>, found: &Match<'_>) -> Option<(String, String)> {
    let parts = [found.source.base, found.element].into_iter().chain(found.value);
    if !parts.chain(found.conditions.iter().copied()).any(|part| part.text().contains('\n')) {
        return None;
    }
    let file = cx.project.program().file(cx.file);
    let indent = ormend_engine::python::emit::indentation(file, found.node);
    let newline = cx.source().newline().as_str();
    Some((format!("{newline}{indent}{}", cx.source().indent_unit()), format!("{newline}{indent}")))
}

/// The queryset as part of `rows`, with the indentation that follows a line break in `gap`.
fn moved(cx: &Context<'_>, found: &Match<'_>, rows: &str, gap: &str) -> String {
    let base = found.source.base;
    let file = cx.project.program().file(cx.file);
    let from = ormend_engine::python::emit::indentation(file, base);
    let to = gap.trim_start_matches(['\r', '\n']);
    let text = ormend_engine::python::emit::reindent(file, base.span(), from, to);
    rows.replacen(base.text(), &text, 1)
}

/// `text`, which was written where `part` stands, with the indentation that follows a line break in `gap`.
fn lines_moved(cx: &Context<'_>, part: Node<'_>, text: &str, gap: &str) -> String {
    let has_lines = |n: &Node<'_>| matches!(n.kind(), Kind::Str) && n.text().contains('\n');
    if part.descendants().any(|n| has_lines(&n)) {
        return text.to_owned();
    }
    let line = cx.source().line_text(cx.source().line_index(part.span().start));
    let from = line.get(..line.len() - line.trim_start().len()).unwrap_or("");
    let to = gap.trim_start_matches(['\r', '\n']);
    let moved = |line: &str| line.strip_prefix(from).map(|rest| format!("{to}{rest}"));
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or("").to_owned();
    lines.fold(first, |out, line| out + &moved(line).unwrap_or_else(|| line.to_owned()))
}

/// Where the value of an assignment starts.
fn value_start(init: Node<'_>) -> usize {
    let assign = init.child_of_kind(Kind::Assign);
    let value = assign.and_then(|a| a.child(Field::Right));
    value.map_or(init.span().end, |v| v.span().start) as usize
}

/// The text of `part` with names in the place of reads.
fn replaced(part: Node<'_>, found: &Match<'_>, names: &[String]) -> String {
    let span = part.span();
    let mut out = String::new();
    let mut at = span.start;
    let mut reads: Vec<_> = found.reads.iter().filter(|(read, _)| span.contains(read.span())).collect();
    reads.sort_by_key(|(read, _)| read.span().start);
    for (read, column) in reads {
        out.push_str(part.file_text().get(at as usize..read.span().start as usize).unwrap_or(""));
        out.push_str(&spaced(*read, names.get(*column).cloned().unwrap_or_default()));
        at = read.span().end;
    }
    out.push_str(part.file_text().get(at as usize..span.end as usize).unwrap_or(""));
    out
}

/// A variable for each column: the column's name, unless it means something else here.
fn names(cx: &Context<'_>, found: &Match<'_>) -> Vec<String> {
    let scope =
        found.node.ancestors().filter(|a| a.kind() == Kind::FunctionDef).last().unwrap_or_else(|| cx.root());
    let is_taken = |name: &str| {
        is_reserved(name)
            || cx.project.program().global(cx.file, name).is_some()
            || scope.descendants().any(|n| {
                n.kind() == Kind::Name
                    && n.text() == name
                    && !n.parent().is_some_and(|p| {
                        (p.kind() == Kind::Attribute && n.field() == Field::Attribute)
                            || (p.kind() == Kind::KeywordArgument && n.field() == Field::Name)
                    })
            })
    };
    found
        .columns
        .iter()
        .map(|column| {
            if !is_taken(&column.name) {
                return column.name.clone();
            }
            let longer = format!("{}_{}", found.variable, column.name);
            if is_taken(&longer) { fresh_name(scope, &longer) } else { longer }
        })
        .collect()
}

/// Keywords and builtins.
fn is_reserved(name: &str) -> bool {
    const NAMES: &str = " False None True and as assert async await break class continue def del elif else except \
        finally for from global if import in is lambda nonlocal not or pass raise return try while with yield match \
        case type abs all any ascii bin bool bytearray bytes callable chr classmethod compile complex copyright \
        credits delattr dict dir divmod enumerate eval exec exit filter float format frozenset getattr globals \
        hasattr hash help hex id input int isinstance issubclass iter len license list locals map max memoryview \
        min next object oct open ord pow print property quit range repr reversed round set setattr slice sorted \
        staticmethod str sum super tuple vars zip ";
    NAMES.contains(&format!(" {name} "))
}
