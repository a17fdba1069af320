//! Writing the `update()`.

use ormend_engine::codemod::guards::saved_rows::{Assigned, SavedRows, Update};
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind, ImportRequest, naming};
use ormend_engine::infer::Type;
use ormend_engine::python::emit::{
    Precedence, call, indentation, on_one_line, parenthesized, quote_of, string_literal,
};
use ormend_engine::python::{Expr, Kind, Node};
use ormend_engine::text::{Edit, Span};

/// The loop becomes one statement; its comments stand above it.
pub fn rewrite<'a>(cx: &Context<'a>, rows: &SavedRows<'a>, update: &Update<'a>) -> Result<Fix, Hazard> {
    let file = cx.project.program().file(cx.file);
    let mut imports: Vec<ImportRequest> = Vec::new();
    let mut arguments = Vec::new();
    for assigned in &update.assigned {
        arguments.push(format!("{}={}", assigned.name, value(cx, rows, assigned, &mut imports)?));
    }
    for field in &update.auto_now {
        let (now, request) = naming::now(cx, rows.node, field.kind)?;
        imports.extend(request);
        arguments.push(format!("{}={now}", field.name));
    }
    let is_async = rows.save().is_some_and(|s| s.is_async);
    let (prefix, method) = if is_async { ("await ", "aupdate") } else { ("", "update") };
    let chain = chain(update.chain, cx);
    let indent = indentation(file, rows.node);
    let statement = call(
        indent,
        cx.source().indent_unit(),
        prefix,
        &format!("{chain}.{method}"),
        &arguments,
        "",
        cx.options.line_length,
    );
    let mut text = String::new();
    for comment in comments(rows) {
        text.push_str(comment.text());
        text.push('\n');
        text.push_str(indent);
    }
    text.push_str(&statement);
    let mut fix = cx.fix(vec![Edit::replace(rows.node.span(), text)]);
    imports.dedup();
    fix.imports = imports;
    fix.reads.push(cx.site(rows.node));
    Ok(fix)
}

/// The queryset as it is written, without an `.all()` that says nothing.
fn chain<'a>(chain: Node<'a>, cx: &Context<'a>) -> String {
    if let Expr::Call { func, arguments: list } = Expr::of(chain)
        && let Expr::Attribute { value, attr: "all", .. } = Expr::of(func)
        && let Type::Manager(manager) = cx.type_of(value)
        && list.children().next().is_none()
        && manager
            .name
            .as_deref()
            .is_none_or(|n| cx.project.manager_method(manager.model, n, "all").is_none())
    {
        return value.text().to_owned();
    }
    on_one_line(chain).unwrap_or_else(|| chain.text().to_owned())
}

/// The comments of the loop, in order.
fn comments<'a>(rows: &SavedRows<'a>) -> Vec<Node<'a>> {
    rows.node.descendants().filter(|n| n.kind() == Kind::Comment).collect()
}

fn value<'a>(
    cx: &Context<'a>,
    rows: &SavedRows<'a>,
    assigned: &Assigned<'a>,
    imports: &mut Vec<ImportRequest>,
) -> Result<String, Hazard> {
    let file = cx.project.program().file(cx.file);
    let quote = quote_of(file);
    let mut column = |name: &str| -> Result<String, Hazard> {
        let (f, request) = naming::imported(cx, rows.node, "django.db.models", "F")?;
        imports.extend(request);
        Ok(format!("{f}({})", string_literal(name, quote)))
    };
    let node = assigned.value.peel();
    let mut text = String::new();
    let mut at = node.span().start;
    for (read, field) in &assigned.reads {
        text.push_str(file.source.slice(Span::new(at, read.span().start)));
        text.push_str(&column(&field.name)?);
        at = read.span().end;
    }
    text.push_str(file.source.slice(Span::new(at, node.span().end)));
    if text.contains('\n') && assigned.reads.is_empty() {
        text = on_one_line(node).ok_or_else(|| cx.hazard(HazardKind::CommentLost, "", node))?;
    }
    Ok(match assigned.operator {
        None => text,
        Some(operator) => {
            let (sign, least) = match operator {
                Kind::Add => ("+", Precedence::Product),
                Kind::Sub => ("-", Precedence::Product),
                _ => ("*", Precedence::Unary),
            };
            format!("{} {sign} {}", column(&assigned.field.name)?, parenthesized(node, &text, least))
        }
    })
}
