//! The new text.

use super::find::{Match, Rowwise};
use super::lookup::is_subquery;
use ormend_engine::codemod::rows::Collects;
use ormend_engine::codemod::rows::emit::{
    clause_lines, collected, filled_with, lines_moved, moved, names, on_lines, projected, quote_at, spaced,
};
use ormend_engine::codemod::rows::place::needs_no_collection;
use ormend_engine::codemod::{Context, Fix, Hazard};
use ormend_engine::python::emit::{Precedence, append_call, string_literal};
use ormend_engine::python::{Field, Kind, Node};
use ormend_engine::text::{Edit, Span};

/// Whether the queryset itself stands in the place of the list.
fn is_bare(cx: &Context<'_>, found: &Match<'_>) -> bool {
    needs_no_collection(cx, &found.shape)
        || (!matches!(found.shape.collects, Collects::Map | Collects::Dict) && is_subquery(cx, found))
}

/// Whether a comprehension stays one.
fn stays(cx: &Context<'_>, found: &Match<'_>) -> bool {
    found.rowwise == Rowwise::Mixed
        || (found.shape.filling.is_none()
            && found.shape.collects == Collects::Generator
            && !is_bare(cx, found))
}

/// The builtin that the new text calls.
pub fn needed_builtin(cx: &Context<'_>, found: &Match<'_>) -> Option<&'static str> {
    if stays(cx, found) {
        return None;
    }
    let builtin = match found.shape.collects {
        Collects::List => "list",
        Collects::Set => "set",
        Collects::Dict => "dict",
        Collects::Generator | Collects::Map => return None,
    };
    match found.shape.filling {
        Some(filling) => filling.init.map(|_| builtin),
        None => (!is_bare(cx, found)).then_some(builtin),
    }
}

/// The arguments of `values_list`.
fn arguments(found: &Match<'_>, quote: char, is_flat: bool) -> Vec<String> {
    let mut out: Vec<String> = found.columns.iter().map(|c| string_literal(&c.name, quote)).collect();
    if is_flat {
        out.push("flat=True".to_owned());
    }
    out
}

/// The call of `values_list`.
fn call(found: &Match<'_>, quote: char, is_flat: bool) -> String {
    format!("values_list({})", arguments(found, quote, is_flat).join(", "))
}

/// The fix.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
    let quote = quote_at(cx, found.shape.node).unwrap_or('"');
    let edits = match (found.shape.filling, stays(cx, found)) {
        (None, true) => in_place(cx, found, quote),
        (None, false) => {
            let callee = needed_builtin(cx, found).unwrap_or("");
            let call = call(found, quote, found.rowwise == Rowwise::Flat);
            vec![Edit::replace(found.shape.node.span(), collected(cx, &found.shape, &call, callee))]
        }
        (Some(_), _) => filled(cx, found, quote),
    };
    let mut fix = cx.fix(edits);
    // The keys, the queryset's definition and the other readers were looked at.
    fix.reads.push(cx.site(found.shape.source.iter));
    Ok(fix)
}

/// The edits that give a comprehension other variables and another source.
fn in_place<'a>(cx: &Context<'a>, found: &Match<'a>, quote: char) -> Vec<Edit> {
    let names = names(cx, &found.shape, &found.columns);
    let is_flat = names.len() == 1;
    let base = found.shape.source.base;
    let mut edits = Vec::new();
    if let Some(target) = found.shape.target {
        edits.push(Edit::replace(target.span(), names.join(", ")));
    }
    for (read, column) in &found.reads {
        let name = names.get(*column).cloned().unwrap_or_default();
        edits.push(Edit::replace(read.span(), spaced(*read, name)));
    }
    let arguments = arguments(found, quote, is_flat);
    // `values(...)` becomes `values_list(...)` where it stands.
    if found.shape.source.keys.is_some() {
        if let Some(method) =
            found.shape.source.iter.child(Field::Function).and_then(|f| f.child(Field::Attribute))
        {
            let span = Span::new(method.span().start, found.shape.source.iter.span().end);
            edits.push(Edit::replace(span, format!("values_list({})", arguments.join(", "))));
        }
        return edits;
    }
    let call = format!(".{}", call(found, quote, is_flat));
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

/// A loop as one statement.
fn filled<'a>(cx: &Context<'a>, found: &Match<'a>, quote: char) -> Vec<Edit> {
    let Some(filling) = found.shape.filling else { return Vec::new() };
    let is_mixed = found.rowwise == Rowwise::Mixed;
    let names = if is_mixed { names(cx, &found.shape, &found.columns) } else { Vec::new() };
    let is_flat = if is_mixed { names.len() == 1 } else { found.rowwise == Rowwise::Flat };
    let call = call(found, quote, is_flat);
    let rows = projected(&found.shape, &call);
    let mut body = rows.clone();
    // Between the clauses, and around them: a queryset over several lines asks for a line each.
    let (gap, outer) = match (is_mixed, clause_lines(cx, &found.shape)) {
        (true, Some((inner, outer))) => (inner, outer),
        _ => (" ".to_owned(), String::new()),
    };
    if is_mixed {
        let rows = if outer.is_empty() { rows } else { moved(cx, &found.shape, &rows, &gap) };
        let placed = |part: Node<'a>| {
            let text = replaced(part, found, &names);
            if outer.is_empty() { text } else { lines_moved(cx, part, &text, &gap) }
        };
        let mut element = placed(found.shape.element);
        if let Some(value) = found.shape.value {
            let text = placed(value);
            let text = if value.kind() == Kind::ExprList { format!("({text})") } else { text };
            element = format!("{element}: {text}");
        }
        let start = if outer.is_empty() { "" } else { gap.as_str() };
        body = format!("{start}{element}{gap}for {} in {rows}", names.join(", "));
        for condition in &found.shape.conditions {
            let text = placed(*condition);
            let text = if condition.kind() == Kind::IfExp { format!("({text})") } else { text };
            body.push_str(&format!("{gap}if {text}"));
        }
        body.push_str(&outer);
    }
    let (open, close) = match (found.shape.collects, is_mixed) {
        (Collects::List, true) => ("[", "]"),
        (_, true) => ("{", "}"),
        (Collects::Set, false) => ("set(", ")"),
        (Collects::Dict, false) => ("dict(", ")"),
        (_, false) => ("list(", ")"),
    };
    let lines = match filling.init {
        Some(_) if !is_mixed => on_lines(cx, &found.shape, &call, open.trim_end_matches('('), true),
        _ => None,
    };
    let made = lines.unwrap_or_else(|| format!("{open}{body}{close}"));
    vec![filled_with(&found.shape, filling, &made, &body)]
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
