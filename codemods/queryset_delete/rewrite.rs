//! Writing the one `delete()`.

use super::find::{Deletion, What};
use ormend_engine::codemod::guards::writes::one_line;
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind, ImportRequest, loops, naming};
use ormend_engine::infer::{Origin, QuerySet, Trait, Type};
use ormend_engine::python::emit::{Doc, append_call, end_of_loop, indentation, on_one_line};
use ormend_engine::python::{Expr, Field, File, Kind, Node, Stmt};
use ormend_engine::text::Edit;

/// Whether the queryset itself can delete what the loop deletes.
pub fn is_whole(found: &Deletion<'_>, queryset: &QuerySet) -> bool {
    let by_key = [Trait::Sliced, Trait::Combined, Trait::Distinct, Trait::DistinctOn];
    match &found.what {
        What::Row { conditions, is_among, is_listed, .. } => {
            !is_listed && conditions.is_empty() && !is_among && !by_key.iter().any(|t| queryset.is(*t))
        }
        What::Found(_) => true,
    }
}

/// Whether the loop stays and collects keys.
pub fn keeps_loop<'a>(cx: &Context<'a>, found: &Deletion<'a>) -> bool {
    let What::Row { queryset, conditions, place, is_among, .. } = &found.what else { return false };
    if place.is_none() || is_whole(found, queryset) {
        return false;
    }
    *is_among
        || !loops::comments(found.statement, found.iter).is_empty()
        || !loops::fits_comprehension(cx, found.node, found.target, found.iter, conditions)
}

/// Obstacles to naming the model.
pub fn naming(cx: &Context<'_>, found: &Deletion<'_>, out: &mut Vec<Hazard>) {
    if let What::Row { queryset, .. } = &found.what
        && !is_whole(found, queryset)
        && let Err(hazard) = manager(cx, found)
    {
        out.push(hazard);
    }
}

/// The rewrite.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Deletion<'a>) -> Result<Fix, Hazard> {
    let mut imports = Vec::new();
    let edits = match &found.what {
        What::Row { chain, queryset, .. } if is_whole(found, queryset) => whole(cx, found, *chain),
        What::Row { place, .. } => {
            let (manager, import) = manager(cx, found)?;
            imports.extend(import);
            match place {
                Some(place) if keeps_loop(cx, found) => listed(cx, found, *place, &manager),
                _ => comprehended(cx, found, &manager)?,
            }
        }
        What::Found(row) => {
            let text = row.together(cx, found.call, found.target, found.iter)?;
            vec![instead(cx, found, &text)]
        }
    };
    let mut fix = cx.fix(edits);
    fix.imports = imports;
    fix.reads.push(cx.site(found.node));
    Ok(fix)
}

fn file<'a>(cx: &Context<'a>) -> &'a File {
    cx.project.program().file(cx.file)
}

fn method(found: &Deletion<'_>) -> &'static str {
    if found.is_async { "adelete" } else { "delete" }
}

fn await_text(found: &Deletion<'_>) -> &'static str {
    if found.is_async { "await " } else { "" }
}

/// `text` instead of the whole loop.
fn instead<'a>(cx: &Context<'a>, found: &Deletion<'a>, text: &str) -> Edit {
    let text = format!("{}{text}", await_text(found));
    loops::instead(cx, found.statement, found.iter, found.call, &text)
}

/// `for book in BOOKS: book.delete()` -> `BOOKS.delete()`, the source as it is written.
fn whole<'a>(cx: &Context<'a>, found: &Deletion<'a>, chain: Node<'a>) -> Vec<Edit> {
    let is_primary = matches!(chain.kind(), Kind::Name | Kind::Attribute | Kind::Call | Kind::Subscript);
    if !chain.text().contains('\n') {
        let line = chain.text();
        let line = if is_primary { line.to_owned() } else { format!("({line})") };
        return vec![instead(cx, found, &format!("{line}.{}()", method(found)))];
    }
    // A chain of several lines stays as it is, with parentheses that hold it together.
    let file = file(cx);
    let kept = chain.with_parens().span();
    let mut text = cx.source().slice(kept).to_owned();
    let mut additions = match is_primary {
        true => append_call(file, chain, method(found), &[], cx.options.line_length),
        false => vec![Edit::insert(kept.end, format!(".{}()", method(found)))],
    };
    additions.sort_by_key(|e| std::cmp::Reverse(e.span.start));
    for edit in additions {
        let (from, to) =
            (edit.span.start.saturating_sub(kept.start), edit.span.end.saturating_sub(kept.start));
        if text.get(from as usize..to as usize).is_some() {
            text.replace_range(from as usize..to as usize, &edit.text);
        }
    }
    vec![instead(cx, found, &text)]
}

/// The rows' keys in a comprehension.
fn comprehended<'a>(cx: &Context<'a>, found: &Deletion<'a>, manager: &str) -> Result<Vec<Edit>, Hazard> {
    let What::Row { conditions, .. } = &found.what else { return Ok(Vec::new()) };
    let refused = || cx.hazard(HazardKind::NoPlaceToEdit, one_line(found.iter.text()), found.iter);
    let name = found.target.peel().text();
    let is_async = match Stmt::of(found.node) {
        Stmt::For { is_async, .. } => is_async,
        _ => found.node.descendants().any(|n| n.kind() == Kind::CompFor && n.is_async()),
    };
    let mut clauses = loops::clauses(found.target, found.iter, is_async, conditions).ok_or_else(refused)?;
    let mut name = name;
    // The list's own comprehension goes on as it is.
    if let (Kind::ListComp, Some(row)) = (found.iter.peel().kind(), found.iter.peel().child(Field::Body))
        && conditions.is_empty()
    {
        let parts = found.iter.peel().children().filter(|c| matches!(c.kind(), Kind::CompFor | Kind::CompIf));
        clauses = parts.map(on_one_line).collect::<Option<_>>().ok_or_else(refused)?;
        name = row.text();
    }
    let element = Doc::Comprehension { element: Box::new(Doc::Text(format!("{name}.pk"))), clauses };
    let keys = Doc::Bracket {
        open: "pk__in=[".to_owned(),
        items: vec![element],
        close: "]".to_owned(),
        magic: false,
    };
    let doc = Doc::call(&format!("{manager}.filter"), vec![keys], false);
    let indent = indentation(file(cx), found.statement);
    let suffix = format!(".{}()", method(found));
    let unit = cx.source().indent_unit();
    let text = doc.print(indent, unit, await_text(found), &suffix, cx.options.line_length);
    Ok(vec![Edit::replace(found.statement.span(), text)])
}

/// The loop stays and puts the keys into a list.
fn listed<'a>(cx: &Context<'a>, found: &Deletion<'a>, place: Node<'a>, manager: &str) -> Vec<Edit> {
    let source = cx.source();
    let node = found.node;
    let indent = indentation(file(cx), node);
    let list = naming::key_list_name(cx, found.model);
    let after = format!("\n{indent}{}{manager}.filter(pk__in={list}).{}()", await_text(found), method(found));
    vec![
        Edit::insert(node.span().start, format!("{list} = []\n{indent}")),
        Edit::replace(place.span(), format!("{list}.append({}.pk)", found.target.peel().text())),
        Edit::insert(end_of_loop(source.text(), node.span().end, indent), after),
    ]
}

/// The manager by which rows are found by their keys, and the import that it relies on.
fn manager(cx: &Context<'_>, found: &Deletion<'_>) -> Result<(String, Option<ImportRequest>), Hazard> {
    let What::Row { chain, queryset, .. } = &found.what else {
        return Err(cx.hazard(HazardKind::UnknownType, one_line(found.call.text()), found.call));
    };
    let name = naming::manager_name(cx, found.model);
    let origins = queryset.values.iter().filter_map(|v| match cx.value(*v)?.origin {
        Origin::Expr(node) => Some(cx.node(node)),
        _ => None,
    });
    // The code names the model already, as a variable perhaps.
    for part in std::iter::once(*chain).chain(origins) {
        let class = part.descendants().find(|n| {
            matches!(n.kind(), Kind::Name | Kind::Attribute)
                && matches!(cx.type_of(*n), Type::ModelClass(m) if *m == found.model)
                && !matches!(Expr::of(*n), Expr::Name("cls" | "self"))
        });
        if let Some(class) = class {
            return Ok((format!("{}.{name}", class.text()), None));
        }
    }
    if cx.project.is_historical(found.model) {
        // A historical model has no import.
        return Err(cx.hazard(HazardKind::UnknownType, one_line(chain.text()), *chain));
    }
    let (class, import) = naming::model_name(cx, found.node, found.model)?;
    Ok((format!("{class}.{name}"), import))
}
