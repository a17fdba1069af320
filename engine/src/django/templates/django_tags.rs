//! The tags of Django's language that bind names, choose between bodies or name other templates. All others are
//! [`NodeKind::Tag`].

use super::ast::{Binding, Expr, ExprKind, Node, NodeKind, ProblemKind, Target};
use super::django_expr::{self, bits, filters};
use super::parse::{Head, Parser};
use crate::text::Span;

/// The node of the tag `head`, its bodies included. A known tag that is wrong gives a problem and what it would run.
pub(super) fn tag<'a>(parser: &mut Parser<'a>, head: Head<'a>) -> Vec<NodeKind> {
    let bits = bits(parser.text, head.rest);
    let kind = match head.name {
        "for" => for_(parser, head, &bits),
        "if" => if_(parser, head),
        "with" => {
            let (bindings, taken) = django_expr::bindings(parser.text, &bits);
            if taken != bits.len() || bindings.is_empty() {
                parser.problem(head.span, ProblemKind::Malformed);
            }
            check(parser, head, bindings.iter().map(|b| &b.value));
            let body = parser.known_body(head, &["endwith"]);
            NodeKind::With { bindings, body, as_var: None }
        }
        "blocktrans" | "blocktranslate" => blocktranslate(parser, head, &bits),
        "include" => include(parser, head, &bits),
        "extends" => NodeKind::Extends(one(parser, head, bits.first())),
        "block" => {
            let name = word(parser, &bits, 0).to_owned();
            NodeKind::Block { name, body: parser.known_body(head, &["endblock"]) }
        }
        "regroup" => regroup(parser, head, &bits),
        "filter" if head.is_block => {
            let value = piped(parser, head);
            NodeKind::Filter { value, body: parser.known_body(head, &["endfilter"]) }
        }
        "load" => load(parser, &bits),
        "partialdef" if head.is_block => {
            let name = word(parser, &bits, 0).to_owned();
            let is_inline = word(parser, &bits, 1) == "inline";
            let body = parser.known_body(head, &["endpartialdef"]);
            NodeKind::PartialDef { name, is_inline, body }
        }
        "partial" if bits.len() == 1 => NodeKind::Partial(word(parser, &bits, 0).to_owned()),
        _ => {
            let (args, as_var) = parser.args(head.rest);
            parser.any_tag(head, args, as_var)
        }
    };
    vec![kind]
}

fn word<'a>(parser: &Parser<'a>, bits: &[Span], at: usize) -> &'a str {
    bits.get(at).map_or("", |&bit| parser.slice(bit))
}

/// The expression of one bit.
fn one(parser: &mut Parser, head: Head, bit: Option<&Span>) -> Expr {
    let span = bit.copied().unwrap_or(head.rest);
    let expr = filters(parser.text, span);
    parser.check(&expr, head.span);
    expr
}

fn check<'a>(parser: &mut Parser, head: Head, exprs: impl Iterator<Item = &'a Expr>) {
    for expr in exprs {
        parser.check(expr, head.span);
    }
}

fn for_<'a>(parser: &mut Parser<'a>, head: Head<'a>, bits: &[Span]) -> NodeKind {
    let is_reversed = bits.len() > 3 && word(parser, bits, bits.len() - 1) == "reversed";
    let rows = bits.len().checked_sub(if is_reversed { 2 } else { 1 });
    let in_at = rows.and_then(|rows| rows.checked_sub(1));
    let (target, iter) = match (in_at, rows) {
        (Some(in_at), Some(rows)) if in_at > 0 && word(parser, bits, in_at) == "in" => {
            let from = bits.first().map_or(head.rest.start, |bit| bit.start);
            let to = bits.get(in_at - 1).map_or(from, |bit| bit.end);
            (targets(parser.text, Span::new(from, to)), one(parser, head, bits.get(rows)))
        }
        _ => {
            parser.problem(head.span, ProblemKind::Malformed);
            (Target::Tuple(Vec::new()), Expr::new(ExprKind::Unknown(Vec::new()), head.rest))
        }
    };
    let mut bodies = parser.known_bodies(head, &["empty", "endfor"]).into_iter().map(|(body, _)| body);
    let body = bodies.next().unwrap_or_default();
    let empty = bodies.flatten().collect();
    NodeKind::For { target, iter, test: None, body, empty, is_reversed, is_recursive: false }
}

/// `a, b`
fn targets(text: &str, span: Span) -> Target {
    let source = text.get(span.range()).unwrap_or("");
    let mut names = Vec::new();
    let mut at = span.start;
    for part in source.split(',') {
        let start = at + (part.len() - part.trim_start().len()) as u32;
        names.push(django_expr::target(text, Span::new(start, start + part.trim().len() as u32)));
        at += part.len() as u32 + 1;
    }
    if names.len() == 1
        && let Some(name) = names.pop()
    {
        return name;
    }
    Target::Tuple(names)
}

fn if_<'a>(parser: &mut Parser<'a>, head: Head<'a>) -> NodeKind {
    parser.branches(head, |parser, tag| {
        let test = django_expr::condition(parser.text, tag.rest);
        parser.check(&test, tag.span);
        test
    })
}

/// `{% blocktranslate with a=b count n=c trimmed context "x" asvar text %}`. Its body holds variables only.
fn blocktranslate<'a>(parser: &mut Parser<'a>, head: Head<'a>, bits: &[Span]) -> NodeKind {
    let mut bindings: Vec<Binding> = Vec::new();
    let mut as_var = None;
    let mut at = 0;
    while at < bits.len() {
        let rest = bits.get(at + 1..).unwrap_or_default();
        match word(parser, bits, at) {
            "with" | "count" => {
                let (found, taken) = django_expr::bindings(parser.text, rest);
                if found.is_empty() {
                    parser.problem(head.span, ProblemKind::Malformed);
                }
                bindings.extend(found);
                at += taken;
            }
            "asvar" => {
                as_var = rest.first().map(|&bit| django_expr::target(parser.text, bit));
                at += 1;
            }
            "context" => at += 1,
            "trimmed" => {}
            // Older: `count n=c and with a=b`.
            "and" => {}
            _ => parser.problem(head.span, ProblemKind::Malformed),
        }
        at += 1;
    }
    check(parser, head, bindings.iter().map(|b| &b.value));
    const CLOSERS: [&[&str]; 2] = [&["plural", "endblocktrans"], &["plural", "endblocktranslate"]];
    let closers = CLOSERS[usize::from(head.name == "blocktranslate")];
    let mut body: Vec<Node> = parser.known_bodies(head, closers).into_iter().flat_map(|(b, _)| b).collect();
    // A variable in it is looked up as one key of the context: dots lead nowhere.
    body.retain(|node| match &node.kind {
        NodeKind::Output(expr) => {
            let mut root = expr;
            while let ExprKind::Filter { value, .. } = &root.kind {
                root = value;
            }
            matches!(root.kind, ExprKind::Name(_))
        }
        _ => true,
    });
    NodeKind::With { bindings, body, as_var }
}

fn include(parser: &mut Parser, head: Head, bits: &[Span]) -> NodeKind {
    let template = one(parser, head, bits.first());
    let mut bindings = Vec::new();
    let mut is_only = false;
    let mut at = 1;
    while at < bits.len() {
        match word(parser, bits, at) {
            "with" => {
                let (found, taken) =
                    django_expr::bindings(parser.text, bits.get(at + 1..).unwrap_or_default());
                bindings.extend(found);
                at += taken;
            }
            "only" => is_only = true,
            _ => parser.problem(head.span, ProblemKind::Malformed),
        }
        at += 1;
    }
    check(parser, head, bindings.iter().map(|b| &b.value));
    NodeKind::Include { template, bindings, is_only }
}

fn regroup(parser: &mut Parser, head: Head, bits: &[Span]) -> NodeKind {
    if bits.len() != 5 || word(parser, bits, 1) != "by" || word(parser, bits, 3) != "as" {
        parser.problem(head.span, ProblemKind::Malformed);
    }
    let value = one(parser, head, bits.first());
    let key = one(parser, head, bits.get(2));
    let target = django_expr::target(parser.text, bits.get(4).copied().unwrap_or(head.rest));
    let key = django_expr::of_row(key, target.name().unwrap_or(""));
    NodeKind::Regroup { value, key, target }
}

/// The filters of a `filter` tag, applied to its body.
fn piped(parser: &mut Parser, head: Head) -> Expr {
    let expr = filters(parser.text, head.rest);
    parser.check(&expr, head.span);
    on_body(expr)
}

/// `lower|title:x` as `body|lower|title:x`. Only the first filter reads like a variable; Django lets it have an
/// argument, which a variable cannot have.
fn on_body(expr: Expr) -> Expr {
    let span = expr.span;
    match expr.kind {
        ExprKind::Name(name) => {
            let body = Expr::new(ExprKind::Body, Span::at(span.start));
            Expr::new(ExprKind::Filter { value: Box::new(body), name, args: Vec::new() }, span)
        }
        ExprKind::Filter { value, name, args } => {
            Expr::new(ExprKind::Filter { value: Box::new(on_body(*value)), name, args }, span)
        }
        kind => Expr::new(kind, span),
    }
}

fn load(parser: &Parser, bits: &[Span]) -> NodeKind {
    let words: Vec<String> = bits.iter().map(|&bit| parser.slice(bit).to_owned()).collect();
    match words.as_slice() {
        [names @ .., from, library] if from == "from" && !names.is_empty() => {
            NodeKind::Load { libraries: vec![library.clone()], names: Some(names.to_vec()) }
        }
        _ => NodeKind::Load { libraries: words, names: None },
    }
}
