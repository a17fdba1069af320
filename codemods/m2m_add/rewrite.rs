//! Writing the one `add()`.

use super::find::{Link, Loop};
use super::hazards::{is_saved, may_be_prefetched};
use ormend_engine::codemod::guards::writes::one_line;
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind, loops, naming};
use ormend_engine::infer::Type;
use ormend_engine::python::emit::{Doc, end_of_loop, indentation};
use ormend_engine::python::{Expr, File, Kind};
use ormend_engine::text::Edit;

/// Whether the loop stays and collects what is added.
pub fn keeps_loop<'a>(cx: &Context<'a>, found: &Loop<'a>) -> bool {
    found.node.kind() == Kind::For
        && (found.is_among
            || found.links.iter().any(|l| loops::operand(l.value).is_none())
            || !loops::fits_comprehension(cx, found.node, found.target, found.iter, &found.conditions))
}

/// The rewrite.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Loop<'a>) -> Result<Fix, Hazard> {
    let edits = if keeps_loop(cx, found) { listed(cx, found) } else { at_once(cx, found)? };
    let mut fix = cx.fix(edits);
    fix.reads.push(cx.site(found.node));
    Ok(fix)
}

fn file<'a>(cx: &Context<'a>) -> &'a File {
    cx.project.program().file(cx.file)
}

fn await_text(link: &Link<'_>) -> &'static str {
    if link.is_async() { "await " } else { "" }
}

fn call(link: &Link<'_>, values: Doc) -> Doc {
    let mut items = vec![values];
    items.extend(link.rest.iter().map(|a| Doc::Text(one_line(a.node.text()))));
    Doc::call(&format!("{}.{}", link.written, link.method), items, false)
}

/// `book.tags.add(*tags)` in the place of the loop.
fn at_once<'a>(cx: &Context<'a>, found: &Loop<'a>) -> Result<Vec<Edit>, Hazard> {
    let Some(link) = found.links.first() else { return Ok(Vec::new()) };
    let refused = || cx.hazard(HazardKind::NoPlaceToEdit, one_line(found.iter.text()), found.iter);
    let is_target =
        matches!((Expr::of(link.value), Expr::of(found.target)), (Expr::Name(a), Expr::Name(b)) if a == b);
    let values = if is_target && found.conditions.is_empty() && !found.is_async {
        Doc::Text(format!("*{}", loops::operand(found.iter).ok_or_else(refused)?))
    } else {
        let clauses = loops::clauses(found.target, found.iter, found.is_async, &found.conditions);
        let element = Box::new(Doc::Text(loops::operand(link.value).ok_or_else(refused)?));
        Doc::Bracket {
            open: "*[".to_owned(),
            items: vec![Doc::Comprehension { element, clauses: clauses.ok_or_else(refused)? }],
            close: "]".to_owned(),
            magic: false,
        }
    };
    let indent = indentation(file(cx), found.statement);
    let unit = cx.source().indent_unit();
    let text = call(link, values).print(indent, unit, await_text(link), "", cx.options.line_length);
    Ok(vec![loops::instead(cx, found.statement, found.iter, link.call, &text)])
}

/// A list before the loop, filled in it, added after it.
fn listed<'a>(cx: &Context<'a>, found: &Loop<'a>) -> Vec<Edit> {
    let node = found.node;
    let indent = indentation(file(cx), node);
    let unit = cx.source().indent_unit();
    let mut taken = Vec::new();
    let mut before = String::new();
    let mut after = String::new();
    let mut edits = Vec::new();
    for link in &found.links {
        let is_key = !matches!(cx.type_of(link.value), Type::Instance(_));
        let list = match is_key {
            true => naming::key_list_name(cx, link.model),
            false => naming::list_name(cx, link.model, &taken),
        };
        before.push_str(&format!("{list} = []\n{indent}"));
        if let Some(place) = link.place {
            let doc =
                Doc::call(&format!("{list}.append"), vec![Doc::Text(one_line(link.value.text()))], false);
            let own = indentation(file(cx), place);
            edits.push(Edit::replace(place.span(), doc.print(own, unit, "", "", cx.options.line_length)));
        }
        // Nothing may be asked of an owner that is not known to be saved, and nothing forgotten, where there is
        // nothing to add.
        let is_asked = is_saved(cx, link, found.statement) && !may_be_prefetched(cx, link);
        let (lead, depth) = match is_asked {
            true => (String::new(), indent.to_owned()),
            false => (format!("\n{indent}if {list}:"), format!("{indent}{unit}")),
        };
        let doc = call(link, Doc::Text(format!("*{list}")));
        let text = doc.print(&depth, unit, await_text(link), "", cx.options.line_length);
        after.push_str(&format!("{lead}\n{depth}{text}"));
        taken.push(list);
    }
    edits.insert(0, Edit::insert(node.span().start, before));
    edits.push(Edit::insert(end_of_loop(cx.source().text(), node.span().end, indent), after));
    edits
}
