//! The edits: a dict in front of the loop, and its items in the place of lookups.

use super::find::{Match, Missing};
use super::keys::{Keys, made};
use ormend_engine::codemod::guards::taken_out::keeps_comments;
use ormend_engine::codemod::naming::{dict_name, imported, key_list_name, list_name};
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind};
use ormend_engine::infer::{Rows, Type};
use ormend_engine::python::emit::{
    fresh_name, indentation, on_one_line, quote_of, statement, string_literal,
};
use ormend_engine::python::{Expr, Kind, Node, Stmt};
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
    let mut requests = Vec::new();

    // What is gone through twice and asks the database gets a name.
    let made = made(cx, &found.round);
    let source = |node: Node<'a>, variable: &Option<String>| match (made, variable) {
        (Some((chain, _)), Some(variable)) if chain == node.peel() => Ok(variable.clone()),
        (Some((chain, _)), Some(variable)) if node.contains(chain.id()) => {
            let (text, span, inner) = (node.text(), node.span(), chain.with_parens().span());
            let before = text.get(..(inner.start - span.start) as usize).unwrap_or_default();
            let behind = text.get((inner.end - span.start) as usize..).unwrap_or_default();
            Ok(format!("{before}{variable}{behind}"))
        }
        _ => on_one_line(node.peel()).ok_or_else(|| refused(node)),
    };
    let mut variable = None;
    if let Some((node, queryset)) = made {
        let taken = [name.clone()];
        let called = match queryset.map(|qs| &qs.rows) {
            Some(Rows::Instances) => list_name(cx, queryset.map_or(found.model, |qs| qs.model), &taken),
            Some(Rows::Flat(_)) => key_list_name(cx, found.model),
            Some(_) => fresh_name(cx.scope(), "rows"),
            None if matches!(found.keys, Some(Keys::All(_))) => key_list_name(cx, found.model),
            None => fresh_name(cx.scope(), "keys"),
        };
        keeps_comments(cx, node.span())?;
        let text = on_one_line(node).ok_or_else(|| refused(node))?;
        lines.push(statement(file, &format!("{called} = {text}"), indent, cx.options.line_length));
        edits.push(Edit::replace(node.with_parens().span(), called.clone()));
        variable = Some(called);
    }
    let keys_text = match found.keys {
        Some(Keys::All(node)) => source(node, &variable)?,
        Some(Keys::Each(target, iter)) => {
            let target = on_one_line(target).ok_or_else(|| refused(target))?;
            format!("{{{} for {target} in {}}}", found.key.text(), source(iter, &variable)?)
        }
        None => return Err(refused(found.round.iter)),
    };
    keeps_comments(cx, found.receiver.span())?;
    let receiver = asked(cx, found).ok_or_else(|| refused(found.receiver))?;
    let by = match found.field_name {
        "pk" => String::new(),
        other => format!(", field_name={}", string_literal(other, quote_of(file))),
    };
    let code = format!("{name} = {receiver}.in_bulk({keys_text}{by})");
    lines.push(statement(file, &code, indent, cx.options.line_length));
    let front: String = lines.iter().map(|line| format!("{}\n{indent}", line.trim())).collect();
    edits.push(Edit::insert(place.span().start, front));

    let key = found.shown.text();
    match &found.missing {
        Missing::Nothing => {
            keeps_comments(cx, found.call.span())?;
            edits.push(Edit::replace(found.call.span(), format!("{name}.get({key})")));
        }
        Missing::NotFound => {
            let inner = place_of(cx, found).ok_or_else(|| refused(found.call))?;
            let (statement, row) = inner;
            keeps_comments(cx, statement.span())?;
            let (error, request) = imported(cx, statement, "django.http", "Http404")?;
            requests.extend(request);
            let inner = indentation(file, statement);
            let unit = cx.source().indent_unit();
            let text = format!("No {} matches the given query.", cx.model(found.model).name);
            let text = string_literal(&text, quote_of(file));
            let code = format!(
                "{row} = {name}.get({key})\n{inner}if {row} is None:\n{inner}{unit}raise {error}({text})"
            );
            edits.push(Edit::replace(statement.span(), code));
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
    fix.imports.extend(requests);
    fix.reads.push(cx.site(found.round.iter));
    fix.reads.push(cx.site(found.receiver));
    Ok(fix)
}

/// The rows that are asked for: the receiver, with the conditions beside the key and what is chained behind them.
fn asked<'a>(cx: &Context<'a>, found: &Match<'a>) -> Option<String> {
    let mut text = on_one_line(found.receiver)?;
    if let Type::ModelClass(model) = cx.type_of(found.receiver) {
        text = format!("{text}.{}", cx.model(*model).default_manager);
    }
    if !found.conditions.is_empty() {
        let all: Option<Vec<String>> = found.conditions.iter().map(|a| on_one_line(a.node)).collect();
        text = format!("{text}.filter({})", all?.join(", "));
    }
    let tail = found.lookup.tail;
    (!tail.contains('\n')).then(|| format!("{text}{tail}"))
}

/// `name = get_object_or_404(...)`, a statement of the loop: the statement and the name.
fn place_of<'a>(cx: &Context<'a>, found: &Match<'a>) -> Option<(Node<'a>, &'a str)> {
    let statement = found.call.with_parens().parent()?.parent()?;
    let assigned = statement.children().next().filter(|_| found.round.node.kind() == Kind::For)?;
    let Stmt::Assign { targets, value: Some(value), annotation: None } = Stmt::of(statement) else {
        return None;
    };
    let [target] = targets.as_slice() else { return None };
    let Expr::Name(name) = Expr::of(*target) else { return None };
    let is_alone = value.peel() == found.call && assigned.kind() == Kind::Assign;
    let line = cx.source().line_text(cx.source().line_index(statement.span().start));
    (is_alone && line.trim_start().starts_with(name)).then_some((statement, name))
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
