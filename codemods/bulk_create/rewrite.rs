//! Writing the bulk statements.

use super::find::{How, Loop, Place, Row, key_column};
use super::obstacles::models;
use super::uses::own_list;
use ormend_engine::codemod::guards::variable::read_elsewhere;
use ormend_engine::codemod::guards::writes::{one_line, shares_table};
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind, ImportRequest, loops, naming};
use ormend_engine::django::{FieldKind, ModelId};
use ormend_engine::python::emit::{
    Doc, end_of_line, end_of_loop, indentation, line_with_break, on_one_line, whole_line,
};
use ormend_engine::python::{Expr, Field, File, Kind, Node, Stmt};
use ormend_engine::text::{Edit, Span};

/// How the model of a row is written, and the import that it relies on.
fn class_name(cx: &Context<'_>, row: &Row<'_>) -> Result<(String, Option<ImportRequest>), Hazard> {
    match &row.how {
        How::Create { class: Some(class), .. } => return Ok((one_line(class.text()), None)),
        How::Save { constructor, maker: None, .. } => {
            if let Expr::Call { func, .. } = Expr::of(*constructor) {
                return Ok((one_line(func.text()), None));
            }
        }
        How::Create { .. } | How::Save { .. } => {}
    }
    naming::model_name(cx, row.call, row.model)
}

fn file<'a>(cx: &Context<'a>) -> &'a File {
    cx.project.program().file(cx.file)
}

/// Obstacles to naming what has to be named.
pub fn naming(cx: &Context<'_>, found: &Loop<'_>, out: &mut Vec<Hazard>) {
    for row in &found.rows {
        if let Err(hazard) = class_name(cx, row) {
            out.push(hazard);
        }
    }
    for model in models(found) {
        let rows: Vec<&Row<'_>> = found.rows.iter().filter(|r| r.model == model).collect();
        let targets: Vec<String> = rows.iter().filter_map(|r| target(cx, r).ok()).collect();
        if let (Some(first), Some(other)) =
            (targets.first(), rows.iter().zip(&targets).find(|(_, t)| Some(*t) != targets.first()))
        {
            let _ = first;
            out.push(cx.hazard(HazardKind::InterleavedWrites, one_line(other.0.call.text()), other.0.call));
        }
    }
    if order(cx, found).is_none()
        && let Some(row) = found.rows.last()
    {
        out.push(cx.hazard(HazardKind::InterleavedWrites, one_line(row.call.text()), row.call));
    }
}

/// What `bulk_create` is called on for a row.
fn target(cx: &Context<'_>, row: &Row<'_>) -> Result<String, Hazard> {
    match &row.how {
        How::Create { manager, owner: None, .. } => Ok(one_line(manager.text())),
        How::Create { .. } => {
            Ok(format!("{}.{}", class_name(cx, row)?.0, naming::manager_name(cx, row.model)))
        }
        How::Save { using, .. } => {
            let manager = format!("{}.{}", class_name(cx, row)?.0, naming::manager_name(cx, row.model));
            Ok(match using {
                Some(alias) => format!("{manager}.using({})", one_line(alias.text())),
                None => manager,
            })
        }
    }
}

/// The models in the order in which their rows are written: parents first.
fn order(cx: &Context<'_>, found: &Loop<'_>) -> Option<Vec<ModelId>> {
    let mut rest = models(found);
    let mut out = Vec::new();
    let needs = |child: ModelId, parent: ModelId| {
        child != parent
            && cx.model(child).fields.iter().any(|f| {
                f.kind == FieldKind::ForeignKey
                    && f.relation
                        .as_ref()
                        .and_then(|r| r.target)
                        .is_some_and(|t| shares_table(cx.project, t, parent))
            })
    };
    while !rest.is_empty() {
        let next = rest.iter().position(|m| !rest.iter().any(|other| needs(*m, *other)))?;
        out.push(rest.remove(next));
    }
    Some(out)
}

/// The rewrite.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Loop<'a>) -> Result<Fix, Hazard> {
    let mut imports = Vec::new();
    for row in &found.rows {
        if let Some(request) = class_name(cx, row)?.1
            && !imports.contains(&request)
        {
            imports.push(request);
        }
    }
    let newline = cx.source().newline().as_str();
    let mut edits = match found.node.kind() {
        Kind::ListComp => list_comprehension(cx, found)?,
        Kind::DictComp => dict_comprehension(cx, found)?,
        _ => match held(cx, found)? {
            Some(edits) => edits,
            None => match comprehension(cx, found)? {
                Some(edits) => edits,
                None => lists(cx, found)?,
            },
        },
    };
    if newline != "\n" {
        for edit in &mut edits {
            edit.text = edit.text.replace("\r\n", "\n").replace('\n', newline);
        }
    }
    let mut fix = cx.fix(edits);
    fix.imports = imports;
    fix.reads.push(cx.site(found.node));
    Ok(fix)
}

/// `Model(...)` with the values of a row.
fn instance(cx: &Context<'_>, row: &Row<'_>) -> Result<Doc, Hazard> {
    let constructor = row.constructor();
    let Expr::Call { func, arguments: list } = Expr::of(constructor) else {
        return Ok(Doc::Text(constructor.text().to_owned()));
    };
    let class = match row.maker() {
        Some(_) => one_line(func.text()),
        None => class_name(cx, row)?.0,
    };
    let text = list.text();
    if list.descendants().any(|n| n.kind() == Kind::Comment) {
        // As it is written, comments included.
        let owner = match &row.how {
            How::Create { owner: Some((owner, field)), .. } => format!("{field}={}, ", owner.text()),
            _ => String::new(),
        };
        let rest = text.strip_prefix('(').unwrap_or(text);
        return Ok(Doc::Text(format!("{class}({owner}{rest}")));
    }
    let mut items = Vec::new();
    if let How::Create { owner: Some((owner, field)), .. } = &row.how {
        items.push(Doc::Text(format!("{field}={}", one_line(owner.text()))));
    }
    items.extend(ormend_engine::python::arguments(list).iter().map(|a| Doc::Text(a.node.text().to_owned())));
    let magic = text.trim_end_matches(')').trim_end().ends_with(',') && text.contains('\n');
    Ok(Doc::call(&class, items, magic && !items_are_empty(text)))
}

fn items_are_empty(text: &str) -> bool {
    text.trim_matches(['(', ')', ' ', '\n', ',']).is_empty()
}

fn bulk_create(cx: &Context<'_>, row: &Row<'_>, target: &str, objects: Doc) -> Doc {
    let size = Doc::Text(format!("batch_size={}", cx.options.batch_size));
    let (word, method) = if row.is_async { ("await ", "abulk_create") } else { ("", "bulk_create") };
    Doc::call(&format!("{word}{target}.{method}"), vec![objects, size], false)
}

fn print(cx: &Context<'_>, doc: &Doc, at: Node<'_>, prefix: &str, suffix: &str) -> String {
    let indent = indentation(file(cx), at);
    doc.print(indent, cx.source().indent_unit(), prefix, suffix, cx.options.line_length)
}

fn list_comprehension(cx: &Context<'_>, found: &Loop<'_>) -> Result<Vec<Edit>, Hazard> {
    let Some(row) = found.rows.first() else { return Ok(Vec::new()) };
    let node = found.node;
    let clauses = node
        .children()
        .filter(|c| matches!(c.kind(), Kind::CompFor | Kind::CompIf))
        .map(|c| c.text().to_owned())
        .collect();
    let comprehension = Doc::Comprehension { element: Box::new(instance(cx, row)?), clauses };
    let list = Doc::Bracket {
        open: "[".to_owned(),
        items: vec![comprehension],
        close: "]".to_owned(),
        magic: false,
    };
    let doc = bulk_create(cx, row, &target(cx, row)?, list);
    // `await` binds less than what may follow.
    let is_inner = row.is_async
        && node.with_parens() == node
        && node.parent().is_some_and(|p| {
            matches!(p.kind(), Kind::Attribute | Kind::Subscript | Kind::Call | Kind::Await)
        });
    let span = node.span();
    if let Some(statement) = node.statement().filter(|_| !is_inner) {
        let whole = statement.span();
        let prefix = cx.source().slice(Span::new(whole.start, span.start));
        let suffix = cx.source().slice(Span::new(span.end, whole.end));
        let simple = matches!(statement.kind(), Kind::ExprStatement | Kind::Return);
        if simple && !prefix.contains('\n') && !suffix.contains('\n') {
            return Ok(vec![Edit::replace(whole, print(cx, &doc, statement, prefix, suffix))]);
        }
    }
    let text = doc.print("", cx.source().indent_unit(), "", "", usize::MAX);
    let text = if is_inner { format!("({text})") } else { text };
    Ok(vec![Edit::replace(span, text)])
}

/// `{author.name: author for author in Author.objects.bulk_create([...])}`: the rows come back in order, each with its key.
fn dict_comprehension(cx: &Context<'_>, found: &Loop<'_>) -> Result<Vec<Edit>, Hazard> {
    let node = found.node;
    let key = node.child(Field::Body).and_then(|pair| pair.child(Field::Key));
    let (Some(row), Some(key)) = (found.rows.first(), key) else { return Ok(Vec::new()) };
    let refused = |at: Node<'_>| cx.hazard(HazardKind::NoPlaceToEdit, one_line(at.text()), at);
    let column = key_column(cx, row, key).ok_or_else(|| refused(key))?;
    let clauses = node
        .children()
        .filter(|c| matches!(c.kind(), Kind::CompFor | Kind::CompIf))
        .map(|c| on_one_line(c).ok_or_else(|| refused(c)))
        .collect::<Result<_, _>>()?;
    let bracket = |open: &str, element, clauses, close: &str| Doc::Bracket {
        open: open.to_owned(),
        items: vec![Doc::Comprehension { element: Box::new(element), clauses }],
        close: close.to_owned(),
        magic: false,
    };
    let list = bracket("[", instance(cx, row)?, clauses, "]");
    let created = bulk_create(cx, row, &target(cx, row)?, list);
    let unit = cx.source().indent_unit();
    let name = naming::variable_name(cx, row.model);
    let source = created.print(
        &format!("{}{unit}", indentation(file(cx), node)),
        unit,
        &format!("for {name} in "),
        "",
        cx.options.line_length,
    );
    let element = Doc::Text(format!("{name}.{column}: {name}"));
    let dict = bracket("{", element, vec![source], "}");
    let span = node.span();
    let statement = node.statement().unwrap_or(node);
    let whole = statement.span();
    let prefix = cx.source().slice(Span::new(whole.start, span.start));
    let suffix = cx.source().slice(Span::new(span.end, whole.end));
    if prefix.contains('\n') || suffix.contains('\n') {
        return Ok(vec![Edit::replace(span, dict.print("", unit, "", "", usize::MAX))]);
    }
    Ok(vec![Edit::replace(whole, print(cx, &dict, statement, prefix, suffix))])
}

/// The whole loop as one statement, where its body is one create and nothing needs the loop.
fn comprehension(cx: &Context<'_>, found: &Loop<'_>) -> Result<Option<Vec<Edit>>, Hazard> {
    let ([row], Stmt::For { target: variable, iter, body, orelse: None, .. }) =
        (found.rows.as_slice(), Stmt::of(found.node))
    else {
        return Ok(None);
    };
    // The variable of a loop in a module is the module's.
    if cx.scope().kind() == Kind::Module {
        return Ok(None);
    }
    let Place::Statement(statement) = row.place else { return Ok(None) };
    let mut statements = body.children();
    if statements.next() != Some(statement) || statements.next().is_some() {
        return Ok(None);
    }
    let node = found.node;
    let is_kept = node.descendants().any(|n| {
        matches!(n.kind(), Kind::Comment | Kind::NamedExpr | Kind::Yield | Kind::Lambda)
            || n.kind() == Kind::Name
                && matches!(n.text(), "super" | "locals" | "__class__" | "vars" | "eval")
    }) || comment_on_last_line(cx, node);
    let plain_target = variable.descendants().all(|n| {
        matches!(
            n.kind(),
            Kind::Name
                | Kind::Tuple
                | Kind::PatternList
                | Kind::TuplePattern
                | Kind::ListPattern
                | Kind::ExprList
                | Kind::Paren
                | Kind::SplatPattern
        )
    });
    let (Some(bare), Some(target_text)) = (on_one_line(iter), on_one_line(variable)) else {
        return Ok(None);
    };
    let awaits = node.descendants().filter(|n| n.kind() == Kind::Await).count();
    if is_kept || !plain_target || awaits > usize::from(row.is_async) {
        return Ok(None);
    }
    let names: Vec<&str> =
        variable.descendants().filter(|n| n.kind() == Kind::Name).map(Node::text).collect();
    if read_elsewhere(cx, node, &names) {
        return Ok(None);
    }
    let needs_parens = matches!(iter.kind(), Kind::ExprList | Kind::PatternList | Kind::IfExp | Kind::Lambda)
        || iter.kind() != Kind::Paren && bare.starts_with('*');
    let iter_text = if needs_parens { format!("({bare})") } else { bare };
    let word = if node.is_async() { "async for" } else { "for" };
    let clause = format!("{word} {target_text} in {iter_text}");
    let comprehension = Doc::Comprehension { element: Box::new(instance(cx, row)?), clauses: vec![clause] };
    let list = Doc::Bracket {
        open: "[".to_owned(),
        items: vec![comprehension],
        close: "]".to_owned(),
        magic: false,
    };
    let doc = bulk_create(cx, row, &target(cx, row)?, list);
    let text = print(cx, &doc, node, "", "");
    Ok(Some(vec![Edit::replace(node.span(), text)]))
}

/// The list is stored as it is, behind the loop that saved its items, or instead of it.
fn held(cx: &Context<'_>, found: &Loop<'_>) -> Result<Option<Vec<Edit>>, Hazard> {
    let ([row], Stmt::For { target: variable, body, .. }) = (found.rows.as_slice(), Stmt::of(found.node))
    else {
        return Ok(None);
    };
    let Place::Held(statement, list) = row.place else { return Ok(None) };
    let node = found.node;
    let doc = bulk_create(cx, row, &target(cx, row)?, Doc::Text(list.text().to_owned()));
    let text = print(cx, &doc, node, "", "");
    let is_alone = loops::only_statement(body, statement).is_some_and(|c| c.is_empty());
    let is_read = cx.scope().kind() == Kind::Module || read_elsewhere(cx, node, &[variable.text()]);
    if is_alone && !is_read {
        return Ok(Some(vec![loops::instead(cx, node, found.iter, row.call, &text)]));
    }
    let indent = indentation(file(cx), node);
    let end = end_of_loop(cx.source().text(), node.span().end, indent);
    let saved = match is_alone {
        true => Edit::replace(statement.span(), "pass".to_owned()),
        false => line_with_break(cx.source().text(), statement.span()),
    };
    Ok(Some(vec![saved, Edit::insert(end, format!("\n{indent}{text}"))]))
}

fn comment_on_last_line(cx: &Context<'_>, node: Node<'_>) -> bool {
    let source = cx.source();
    let end = node.span().end;
    let line = source.line_index(end);
    let start = source.line_start(line);
    let text = source.line_text(line);
    text.get((end - start) as usize..).is_some_and(|rest| rest.trim_start().starts_with('#'))
}

/// Lists before the loop, filled in it, written after it.
fn lists<'a>(cx: &Context<'a>, found: &Loop<'a>) -> Result<Vec<Edit>, Hazard> {
    let node = found.node;
    let source = cx.source();
    let indent = indentation(file(cx), node);
    let mut edits = Vec::new();
    let mut before = String::new();
    let mut taken: Vec<String> = Vec::new();
    let mut named: Vec<(ModelId, String)> = Vec::new();
    for model in models(found) {
        let rows: Vec<&Row<'a>> = found.rows.iter().filter(|r| r.model == model).collect();
        let own = own_list(cx, found, &rows);
        let list = match own {
            Some(own) => own.text().to_owned(),
            None => naming::list_name(cx, model, &taken),
        };
        if own.is_none() {
            before.push_str(&format!("{list} = []\n{indent}"));
        }
        for row in rows {
            row_edits(cx, row, &list, own.is_some(), &mut edits)?;
        }
        taken.push(list.clone());
        named.push((model, list));
    }
    if !before.is_empty() {
        edits.insert(0, Edit::insert(node.span().start, before));
    }
    let mut after = String::new();
    for model in order(cx, found).unwrap_or_default() {
        let Some((_, list)) = named.iter().find(|(m, _)| *m == model) else { continue };
        let Some(row) = found.rows.iter().find(|r| r.model == model) else { continue };
        let doc = bulk_create(cx, row, &target(cx, row)?, Doc::Text(list.clone()));
        after.push_str(&format!("\n{indent}{}", print(cx, &doc, node, "", "")));
    }
    edits.push(Edit::insert(end_of_loop(source.text(), node.span().end, indent), after));
    Ok(edits)
}

fn row_edits(
    cx: &Context<'_>,
    row: &Row<'_>,
    list: &str,
    own: bool,
    edits: &mut Vec<Edit>,
) -> Result<(), Hazard> {
    let source = cx.source();
    let Some(statement) = row.statement() else { return Ok(()) };
    let whole = statement.span();
    let indent = indentation(file(cx), statement);
    let doc = instance(cx, row)?;
    let append = |item: Doc| Doc::call(&format!("{list}.append"), vec![item], false);
    let replaced = |doc: &Doc| {
        let call = row.whole().with_parens().span();
        let prefix = source.slice(Span::new(whole.start, call.start)).to_owned();
        let suffix = source.slice(Span::new(call.end, whole.end)).to_owned();
        print(cx, doc, statement, &prefix, &suffix)
    };
    match row.place {
        Place::Statement(_) => {
            edits.push(Edit::replace(whole, print(cx, &append(doc), statement, "", "")));
        }
        Place::Named(_, name) => match &row.how {
            How::Save { .. } if own => edits.push(whole_line(source.text(), whole)),
            How::Save { .. } => edits.push(Edit::replace(whole, format!("{list}.append({})", name.text()))),
            How::Create { .. } => {
                edits.push(Edit::replace(whole, replaced(&doc)));
                if !own {
                    let end = end_of_line(source.text(), whole.end);
                    edits.push(Edit::insert(end, format!("\n{indent}{list}.append({})", name.text())));
                }
            }
        },
        Place::Appended(_, other) if own => {
            let doc = Doc::call(&format!("{}.append", other.text()), vec![doc], false);
            edits.push(Edit::replace(whole, print(cx, &doc, statement, "", "")));
        }
        Place::Appended(_, other) => {
            edits.push(Edit::replace(whole, print(cx, &append(doc), statement, "", "")));
            let end = end_of_line(source.text(), whole.end);
            edits.push(Edit::insert(end, format!("\n{indent}{}.append({list}[-1])", other.text())));
        }
        Place::Stored(_, target) => {
            edits.push(Edit::replace(whole, replaced(&doc)));
            let end = end_of_line(source.text(), whole.end);
            edits.push(Edit::insert(end, format!("\n{indent}{list}.append({})", target.text())));
        }
        Place::Held(..) | Place::Element | Place::Elsewhere => {}
    }
    Ok(())
}
