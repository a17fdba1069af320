//! Writing the `bulk_update()`.

use ormend_engine::codemod::guards::saved_rows::{Save, SavedRows, Written};
use ormend_engine::codemod::guards::variable::read_elsewhere;
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind, ImportRequest, loops, naming};
use ormend_engine::infer::{Rows, Type};
use ormend_engine::python::emit::{
    call, end_of_loop, indentation, line_with_break, on_one_line, quote_of, string_literal,
};
use ormend_engine::python::{Expr, Kind, Node, Stmt, arguments, innermost_loop};
use ormend_engine::text::{Edit, Span};

/// Which rows `bulk_update()` is given.
enum Collected<'a> {
    /// The rows of a variable, all of them.
    Variable(&'a str),
    /// The loop does nothing but save the rows of this expression, and goes.
    Given(String),
    /// A variable is made for the queryset that the loop goes through, of which all rows are written.
    Named(Node<'a>, String),
    /// A list that the loop fills.
    Listed(String),
}

/// The saves go, and one statement behind the loop writes what they wrote.
pub fn rewrite<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, written: &Written<'a>) -> Result<Fix, Hazard> {
    let file = cx.project.program().file(cx.file);
    let source = cx.source();
    let indent = indentation(file, rows.around);
    let mut imports: Vec<ImportRequest> = Vec::new();
    let mut edits = Vec::new();

    let (class, request) = class(cx, rows)?;
    imports.extend(request);
    let only = if written.auto_now.is_empty() { only_saved(cx, rows) } else { None };
    let is_alone = only.is_some();
    let collected = match only {
        Some(source) => Collected::Given(source),
        None => collected(cx, rows, !written.auto_now.is_empty()),
    };
    match &collected {
        Collected::Variable(_) | Collected::Given(_) => {}
        Collected::Named(queryset, name) => {
            let text = queryset.with_parens().text();
            edits.push(Edit::insert(rows.node.span().start, format!("{name} = {text}\n{indent}")));
            edits.push(Edit::replace(queryset.with_parens().span(), name.clone()));
        }
        Collected::Listed(name) => {
            edits.push(Edit::insert(rows.around.span().start, format!("{name} = []\n{indent}")));
        }
    }
    let mut nows = Vec::new();
    for field in &written.auto_now {
        let (now, request) = naming::now(cx, rows.node, field.kind)?;
        imports.extend(request);
        nows.push(format!("{}.{} = {now}", rows.row.text(), field.name));
    }
    for save in &rows.saves {
        let mut lines = nows.clone();
        if let Collected::Listed(name) = &collected {
            lines.push(format!("{name}.append({})", rows.row.text()));
        }
        edits.push(replaced(cx, save, &lines));
    }
    let manager = naming::manager_name(cx, rows.model);
    let using = rows.save().and_then(|s| s.using).map_or(String::new(), |u| format!(".using({})", u.text()));
    let is_async = rows.save().is_some_and(|s| s.is_async);
    let (prefix, method) = if is_async { ("await ", "abulk_update") } else { ("", "bulk_update") };
    let quote = quote_of(file);
    let fields: Vec<String> = written.all().map(|f| string_literal(&f.name, quote)).collect();
    let list = match &collected {
        Collected::Variable(name) => (*name).to_owned(),
        Collected::Named(_, name) | Collected::Listed(name) | Collected::Given(name) => name.clone(),
    };
    let statement = call(
        indent,
        source.indent_unit(),
        prefix,
        &format!("{class}.{manager}{using}.{method}"),
        &[list, format!("fields=[{}]", fields.join(", ")), format!("batch_size={}", cx.options.batch_size)],
        "",
        cx.options.line_length,
    );
    if is_alone {
        edits = vec![Edit::replace(rows.node.span(), statement)];
    } else {
        let end = end_of_loop(source.text(), rows.around.span().end, indent);
        edits.push(Edit::insert(end, format!("\n{indent}{statement}")));
    }
    let mut fix = cx.fix(edits);
    imports.dedup();
    fix.imports = imports;
    fix.reads.push(cx.site(rows.around));
    Ok(fix)
}

/// `lines` in the place of a `save()`; without any, the line goes.
fn replaced<'a>(cx: &Context<'a>, save: &Save<'a>, lines: &[String]) -> Edit {
    let span = save.statement.span();
    if lines.is_empty() {
        let text = cx.source().text();
        // `x = 1; row.save()` on one line.
        let before = text.get(..span.start as usize).unwrap_or("").trim_end_matches([' ', '\t']);
        return match before.strip_suffix(';') {
            Some(kept) => Edit::delete(Span::new(kept.len() as u32, span.end)),
            None => line_with_break(text, span),
        };
    }
    let indent = indentation(cx.project.program().file(cx.file), save.statement);
    let is_alone = cx
        .source()
        .text()
        .get(..span.start as usize)
        .is_some_and(|before| before.trim_end_matches([' ', '\t']).ends_with('\n'));
    let separator = if is_alone { format!("\n{indent}") } else { "; ".to_owned() };
    Edit::replace(span, lines.join(&separator))
}

/// The model's class as the code writes it, or its name.
fn class<'a>(cx: &Context<'a>, rows: &SavedRows<'a>) -> Result<(String, Option<ImportRequest>), Hazard> {
    let is_it = |n: &Node<'a>| {
        matches!(n.kind(), Kind::Name | Kind::Attribute)
            && !n.is_binding()
            && *cx.type_of(*n) == Type::ModelClass(rows.model)
            && n.enclosing_scope() == Some(cx.scope())
    };
    // A name of the function itself, a historical model say, must be bound by then.
    let written = cx.scope().descendants().filter(is_it).find(|n| {
        n.span().end <= rows.iter.span().end
            && !matches!(Expr::of(*n), Expr::Name("cls" | "self"))
            && !is_bound_around(rows, *n)
    });
    if let Some(written) = written {
        return Ok((written.text().to_owned(), None));
    }
    if cx.project.is_historical(rows.model) {
        let subject = cx.model(rows.model).name.clone();
        return Err(cx.hazard(HazardKind::NoPlaceToEdit, subject, rows.node));
    }
    naming::model_name(cx, rows.node, rows.model)
}

/// Whether a loop around binds a name of the expression, so that nothing may be bound behind it.
fn is_bound_around<'a>(rows: &SavedRows<'a>, node: Node<'a>) -> bool {
    rows.around != rows.node
        && node.descendants().filter(|n| n.kind() == Kind::Name).any(|name| {
            rows.around
                .descendants()
                .any(|n| n.kind() == Kind::Name && n.is_binding() && n.text() == name.text())
        })
}

/// What the loop goes through, where all that it does is to save every row.
fn only_saved<'a>(cx: &Context<'a>, rows: &SavedRows<'a>) -> Option<String> {
    let Stmt::For { target, iter, body, orelse: None, is_async: false } = Stmt::of(rows.node) else {
        return None;
    };
    let is_alone = loops::only_statement(body, rows.save()?.statement).is_some_and(|c| c.is_empty());
    let keeps = match cx.type_of(iter) {
        Type::QuerySet(queryset) => queryset.rows == Rows::Instances,
        Type::List(_) => matches!(Expr::of(iter), Expr::Name(_)),
        _ => false,
    };
    let is_read = cx.scope().kind() == Kind::Module || read_elsewhere(cx, rows.node, &[rows.row.text()]);
    let fits = rows.around == rows.node
        && is_alone
        && keeps
        && !is_read
        && matches!(Expr::of(target), Expr::Name(_))
        && loops::comments(rows.node, iter).is_empty()
        && !rows.save().is_some_and(|s| has_comment(cx, s));
    if fits { on_one_line(iter) } else { None }
}

fn collected<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, is_filled: bool) -> Collected<'a> {
    if rows.around != rows.node {
        return Collected::Listed(naming::update_list_name(cx, rows.model, false));
    }
    let listed = || Collected::Listed(naming::update_list_name(cx, rows.model, !saves_all(rows)));
    // The loop must keep a statement.
    let is_bare = rows.body.children().filter(|n| n.kind() != Kind::Comment).nth(1).is_none();
    if is_bare && !is_filled
        || !saves_all(rows)
        || rows.save().is_some_and(|s| s.is_async || has_comment(cx, s))
    {
        return Collected::Listed(naming::update_list_name(cx, rows.model, false));
    }
    let source = match Expr::of(rows.iter) {
        Expr::Call { func, arguments: list } if matches!(Expr::of(func), Expr::Name("enumerate")) => {
            match arguments(list).first() {
                Some(first) if first.name.is_none() && first.stars == 0 => first.value,
                _ => return listed(),
            }
        }
        _ => rows.iter,
    };
    let keeps = match cx.type_of(source) {
        Type::QuerySet(queryset) => queryset.rows == Rows::Instances,
        Type::List(_) => matches!(Expr::of(source), Expr::Name(_)),
        _ => false,
    };
    if !keeps {
        return Collected::Listed(naming::update_list_name(cx, rows.model, false));
    }
    match Expr::of(source) {
        Expr::Name(name) => {
            let is_rebound = rows.node.mentions(name).any(Node::is_binding);
            if is_rebound {
                Collected::Listed(naming::update_list_name(cx, rows.model, false))
            } else {
                Collected::Variable(name)
            }
        }
        _ => Collected::Named(source.peel(), naming::update_list_name(cx, rows.model, true)),
    }
}

/// A comment behind the `save()` needs a statement to stand behind.
fn has_comment(cx: &Context<'_>, save: &Save<'_>) -> bool {
    let source = cx.source();
    let end = save.statement.span().end;
    let line = source.line_index(end);
    let text = source.line_text(line);
    text.get((end - source.line_start(line)) as usize..).is_some_and(|rest| rest.contains('#'))
}

/// Whether every turn saves its row.
fn saves_all(rows: &SavedRows<'_>) -> bool {
    let [save] = rows.saves.as_slice() else { return false };
    let leaves = rows.body.descendants().any(|n| {
        matches!(n.kind(), Kind::Continue | Kind::Break) && innermost_loop(n) == Some(rows.node)
            || matches!(n.kind(), Kind::Return | Kind::Raise)
    });
    save.statement.parent() == Some(rows.body) && !leaves
}
