//! The new text.

use super::find::Match;
use ormend_engine::codemod::guards::queryset::{queryset_of, standard};
use ormend_engine::codemod::rows::emit::{in_lines, leading, quote_at};
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind};
use ormend_engine::infer::{QuerySet, Rows, Trait, Type};
use ormend_engine::python::emit::{Precedence, parenthesized, reindent, string_literal};
use ormend_engine::python::{Expr, Kind, Node, arguments, string_value};
use ormend_engine::text::Edit;

/// The fix.
pub fn rewrite<'a>(cx: &Context<'a>, found: &Match<'a>) -> Result<Fix, Hazard> {
    let base = base(cx, found);
    let lost =
        found.node.descendants().find(|n| n.kind() == Kind::Comment && !base.span().contains(n.span()));
    if let Some(comment) = lost {
        return Err(cx.hazard(HazardKind::CommentLost, "", comment));
    }
    let call = match (found.is_async, found.set_of.as_deref()) {
        (true, _) => "acount()".to_owned(),
        (_, Some("")) => "distinct().count()".to_owned(),
        (_, Some(column)) => {
            let quote = quote_at(cx, found.node).unwrap_or('"');
            format!("values_list({}, flat=True).distinct().count()", string_literal(column, quote))
        }
        _ => "count()".to_owned(),
    };
    let text = chained(cx, found.node, base, &call);
    let text = if found.is_async {
        parenthesized(found.node, &format!("await {text}"), Precedence::Await)
    } else {
        text
    };
    let mut fix = cx.fix(vec![Edit::replace(found.node.span(), text)]);
    // The queryset's definition was looked at.
    fix.reads.push(cx.site(found.receiver));
    Ok(fix)
}

/// What is counted, without the calls at its end that change neither the rows nor their number: `all()` of a manager,
/// and columns.
fn base<'a>(cx: &Context<'a>, found: &Match<'a>) -> Node<'a> {
    let mut base = found.receiver;
    for _ in 0..4 {
        let Some(inner) = without_last(cx, base, found.set_of.is_some()) else { break };
        base = inner;
    }
    base
}

fn without_last<'a>(cx: &Context<'a>, node: Node<'a>, is_set: bool) -> Option<Node<'a>> {
    let Expr::Call { func, arguments: list } = Expr::of(node) else { return None };
    let Expr::Attribute { value, attr, .. } = Expr::of(func) else { return None };
    match attr {
        "all" if list.kind() == Kind::Arguments && arguments(list).is_empty() => {
            let is_plain = matches!(cx.type_of(value), Type::Manager(_))
                && standard(cx, value, &["all", "count", "acount"], &mut Vec::new()).is_some();
            is_plain.then(|| value.peel())
        }
        "values" | "values_list" if !is_set => {
            let qs = queryset_of(cx, value)?;
            has_own_columns(cx, qs, list).then(|| value.peel())
        }
        _ => None,
    }
}

/// Whether the call of `values` or `values_list` names nothing but columns of the row itself, of which each row is one.
fn has_own_columns<'a>(cx: &Context<'a>, qs: &QuerySet, list: Node<'a>) -> bool {
    let odd = [
        Trait::Distinct,
        Trait::DistinctOn,
        Trait::Annotated,
        Trait::Grouped,
        Trait::Combined,
        Trait::Sliced,
    ];
    let model = cx.model(qs.model);
    let all = arguments(list);
    qs.rows == Rows::Instances
        && !odd.iter().any(|t| qs.is(*t))
        && all.iter().all(|argument| match argument.name {
            Some("flat" | "named") => true,
            Some(_) => false,
            None => {
                argument.stars == 0
                    && string_value(argument.value).is_some_and(|name| {
                        name == "pk"
                            || model.field_by_attname(&name).is_some()
                            || model.field(&name).is_some_and(|f| f.kind.is_plain_column())
                    })
            }
        })
}

/// `base` with a call at its end, in the place of `node`.
fn chained<'a>(cx: &Context<'a>, node: Node<'a>, base: Node<'a>, call: &str) -> String {
    let text = base.text();
    if Precedence::of(base) < Precedence::Atom {
        return format!("({text}).{call}");
    }
    if !text.contains('\n') {
        return format!("{text}.{call}");
    }
    if text.lines().last().is_some_and(|line| line.trim_start().starts_with('.')) {
        return in_lines(cx, node, base, call, "", "").unwrap_or_else(|| format!("({text}.{call})"));
    }
    // The arguments of the last call are wrapped: they follow the line on which the chain starts now.
    let file = cx.project.program().file(cx.file);
    format!("{}.{call}", reindent(file, base.span(), leading(cx, base), leading(cx, node)))
}
