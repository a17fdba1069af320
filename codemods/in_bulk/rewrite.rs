//! The edits: a dict in front of the loop, and its items in the place of lookups.

use super::find::{Match, Missing};
use super::keys::{Keys, is_chain};
use ormend_engine::codemod::guards::taken_out::keeps_comments;
use ormend_engine::codemod::naming::{dict_name, key_list_name, list_name};
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind};
use ormend_engine::infer::{Rows, Type};
use ormend_engine::python::emit::{
    fresh_name, indentation, on_one_line, quote_of, statement, string_literal,
};
use ormend_engine::python::{Kind, Node};
use ormend_engine::text::{Edit, Span};

/// The fix.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
    let file = cx.project.program().file(cx.file);
    let refused = |node: Node<'a>| {
        let text = node.text().lines().next().unwrap_or_default();
        cx.hazard(HazardKind::NoPlaceToEdit, text, node)
    };
    let place = place(cx, found)?;
    let indent = indentation(file, place);
    let name = dict_name(cx, found.model, found.field_name);
    let mut lines = Vec::new();
    let mut edits = Vec::new();

    // What is gone through twice and asks the database gets a name.
    let iter = found.round.iter.peel();
    let mut source = on_one_line(iter).ok_or_else(|| refused(iter))?;
    let mut keys_text = match found.keys {
        Some(Keys::All(node)) => on_one_line(node).ok_or_else(|| refused(node))?,
        _ => String::new(),
    };
    if is_chain(cx, iter) {
        let taken = [name.clone()];
        let variable = match cx.type_of(iter) {
            Type::QuerySet(qs) if qs.rows == Rows::Instances => list_name(cx, qs.model, &taken),
            Type::QuerySet(qs) if matches!(qs.rows, Rows::Flat(_)) => key_list_name(cx, found.model),
            _ => fresh_name(cx.scope(), "rows"),
        };
        keeps_comments(cx, iter.span())?;
        lines.push(statement(file, &format!("{variable} = {source}"), indent, cx.options.line_length));
        edits.push(Edit::replace(found.round.iter.with_parens().span(), variable.clone()));
        if matches!(found.keys, Some(Keys::All(_))) {
            keys_text.clone_from(&variable);
        }
        source = variable;
    }
    if !matches!(found.keys, Some(Keys::All(_))) {
        let target = on_one_line(found.round.target).ok_or_else(|| refused(found.round.target))?;
        keys_text = format!("{{{} for {target} in {source}}}", found.key.text());
    }
    keeps_comments(cx, found.receiver.span())?;
    let receiver = on_one_line(found.receiver).ok_or_else(|| refused(found.receiver))?;
    let by = match found.field_name {
        "pk" => String::new(),
        other => format!(", field_name={}", string_literal(other, quote_of(file))),
    };
    let code = format!("{name} = {receiver}.in_bulk({keys_text}{by})");
    lines.push(statement(file, &code, indent, cx.options.line_length));
    let front: String = lines.iter().map(|line| format!("{}\n{indent}", line.trim())).collect();
    edits.push(Edit::insert(place.span().start, front));

    let key = found.key.text();
    match &found.missing {
        Missing::Nothing => {
            keeps_comments(cx, found.call.span())?;
            edits.push(Edit::replace(found.call.span(), format!("{name}.get({key})")));
        }
        Missing::Raises => {
            keeps_comments(cx, found.call.span())?;
            edits.push(Edit::replace(found.call.span(), format!("{name}[{key}]")));
        }
        Missing::Caught(caught) => {
            let row = caught.name.text();
            let start = caught.statement.span().start;
            if caught.gives_none {
                keeps_comments(cx, caught.statement.span())?;
                edits.push(Edit::replace(caught.statement.span(), format!("{row} = {name}.get({key})")));
            } else {
                let class = caught.handler.class.map_or(caught.handler.node, |c| c.with_parens());
                let body = caught.handler.body.span().start;
                let between = cx.source().slice(Span::new(class.span().end, body));
                let colon = between.find(':').ok_or_else(|| refused(caught.statement))?;
                let end = class.span().end + colon as u32 + 1;
                let span = Span::new(start, end);
                keeps_comments(cx, span)?;
                let inner = indentation(file, caught.statement);
                edits.push(Edit::replace(
                    span,
                    format!("{row} = {name}.get({key})\n{inner}if {row} is None:"),
                ));
            }
        }
    }
    let mut fix = cx.fix(edits);
    fix.reads.push(cx.site(found.round.iter));
    fix.reads.push(cx.site(found.receiver));
    Ok(fix)
}

/// The statement that the dict goes in front of.
fn place<'a>(cx: &Context<'a>, found: &Match<'a>) -> Result<Node<'a>, Hazard> {
    let node = found.round.node;
    let refused = || {
        let text = node.text().lines().next().unwrap_or_default();
        cx.hazard(HazardKind::NoPlaceToEdit, text, node)
    };
    let place = node.statement().ok_or_else(refused)?;
    if place != node {
        let is_plain = matches!(place.kind(), Kind::ExprStatement | Kind::Return);
        // What is not evaluated whenever the statement is, or more than once.
        let is_deferred = node.ancestors().take_while(|a| *a != place).any(|a| {
            matches!(a.kind(), Kind::IfExp | Kind::BoolOp | Kind::Lambda | Kind::NamedExpr | Kind::Await)
                || a.kind().is_comprehension()
        });
        let walrus = place.descendants().any(|n| n.kind() == Kind::NamedExpr);
        if !is_plain || is_deferred || walrus {
            return Err(refused());
        }
    }
    let start = place.span().start;
    let line = cx.source().line_text(cx.source().line_index(start));
    let before = cx.source().text().get(..start as usize).and_then(|t| t.rsplit('\n').next()).unwrap_or("");
    if !before.trim().is_empty() || line.trim().is_empty() {
        return Err(cx.hazard(HazardKind::SharesLine, "", place));
    }
    Ok(place)
}
