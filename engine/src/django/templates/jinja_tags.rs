//! The tags of Jinja2, those of its own extensions included. All others are [`NodeKind::Tag`].

use super::ast::{Binding, Expr, ExprKind, NodeKind, Param, ProblemKind, Target};
use super::jinja_expr::Reader;
use super::parse::{Head, Parser};
use crate::text::Span;

/// The nodes of the tag `head`, its bodies included. A known tag that is wrong gives a problem and what it would run.
pub(super) fn tag<'a>(parser: &mut Parser<'a>, head: Head<'a>) -> Vec<NodeKind> {
    let mut reader = Reader::new(parser.text, head.rest);
    let kind = match head.name {
        "for" => for_(parser, head, &mut reader),
        "if" => if_(parser, head),
        "with" => {
            let bindings = bindings(&mut reader);
            finish(parser, head, &reader);
            NodeKind::With { bindings, body: parser.known_body(head, &["endwith"]), as_var: None }
        }
        "trans" if head.is_block => {
            let bindings = trans(&mut reader);
            finish(parser, head, &reader);
            let bodies = parser.known_bodies(head, &["pluralize", "endtrans"]);
            let body = bodies.into_iter().flat_map(|(body, _)| body).collect();
            NodeKind::With { bindings, body, as_var: None }
        }
        "include" => {
            let template = reader.expr();
            reader.eat_words(&["ignore", "missing"]);
            let is_only = reader.eat_words(&["without", "context"]);
            let _ = is_only || reader.eat_words(&["with", "context"]);
            finish_with(parser, head, &reader, &template);
            NodeKind::Include { template, bindings: Vec::new(), is_only }
        }
        "extends" => {
            let parent = reader.expr();
            finish_with(parser, head, &reader, &parent);
            NodeKind::Extends(parent)
        }
        "block" => {
            let name = reader.name().map(|(name, _)| name.to_owned()).unwrap_or_default();
            NodeKind::Block { name, body: parser.known_body(head, &["endblock"]) }
        }
        "set" => set(parser, head, &mut reader),
        "filter" => {
            let value = reader.filters_of_body(head.rest);
            finish_with(parser, head, &reader, &value);
            NodeKind::Filter { value, body: parser.known_body(head, &["endfilter"]) }
        }
        "macro" => {
            let name = reader.name().map(|(name, _)| name.to_owned()).unwrap_or_default();
            let params = params(&mut reader);
            finish(parser, head, &reader);
            NodeKind::Macro { name, params, body: parser.known_body(head, &["endmacro"]) }
        }
        "call" => {
            let params = params(&mut reader);
            let call = reader.expr();
            finish_with(parser, head, &reader, &call);
            NodeKind::CallBlock { params, call, body: parser.known_body(head, &["endcall"]) }
        }
        "import" => {
            let template = reader.expr();
            let target = if reader.eat_words(&["as"]) { reader.target(false) } else { None };
            let _ = reader.eat_words(&["without", "context"]) || reader.eat_words(&["with", "context"]);
            finish_with(parser, head, &reader, &template);
            NodeKind::Import { template, target: target.unwrap_or(Target::Tuple(Vec::new())) }
        }
        "from" => from(parser, head, &mut reader),
        "do" | "print" => {
            let mut values = Vec::new();
            loop {
                values.push(reader.tuple());
                if !reader.eat(",") {
                    break;
                }
            }
            values.iter().for_each(|value| parser.check(value, head.span));
            finish(parser, head, &reader);
            return values.into_iter().map(NodeKind::Output).collect();
        }
        _ => {
            let (args, as_var) = parser.args(head.rest);
            parser.any_tag(head, args, as_var)
        }
    };
    vec![kind]
}

/// Report what is left of a tag.
fn finish(parser: &mut Parser, head: Head, reader: &Reader) {
    if !reader.is_done() {
        parser.problem(head.span, ProblemKind::Malformed);
    }
}

fn finish_with(parser: &mut Parser, head: Head, reader: &Reader, expr: &Expr) {
    if reader.is_done() {
        parser.check(expr, head.span);
    } else {
        parser.problem(head.span, ProblemKind::Malformed);
    }
}

fn for_<'a>(parser: &mut Parser<'a>, head: Head<'a>, reader: &mut Reader<'a>) -> NodeKind {
    let target = reader.target(true);
    let is_read = target.is_some() && reader.eat_words(&["in"]);
    let iter = reader.rows();
    let test = reader.eat_words(&["if"]).then(|| reader.expr());
    let is_recursive = reader.eat_words(&["recursive"]);
    if is_read {
        finish_with(parser, head, reader, &iter);
    } else {
        parser.problem(head.span, ProblemKind::Malformed);
    }
    if let Some(test) = &test {
        parser.check(test, head.span);
    }
    let mut bodies = parser.known_bodies(head, &["else", "endfor"]).into_iter().map(|(body, _)| body);
    let body = bodies.next().unwrap_or_default();
    let empty = bodies.flatten().collect();
    let target = target.unwrap_or(Target::Tuple(Vec::new()));
    NodeKind::For { target, iter, test, body, empty, is_reversed: false, is_recursive }
}

fn if_<'a>(parser: &mut Parser<'a>, head: Head<'a>) -> NodeKind {
    parser.branches(head, |parser, tag| {
        let mut reader = Reader::new(parser.text, tag.rest);
        let test = reader.tuple();
        finish_with(parser, tag, &reader, &test);
        test
    })
}

/// `a=b, c=d`
fn bindings(reader: &mut Reader) -> Vec<Binding> {
    let mut out = Vec::new();
    while let Some(target) = reader.target(false) {
        if !reader.eat("=") {
            break;
        }
        out.push(Binding { target, value: reader.expr() });
        if !reader.eat(",") {
            break;
        }
    }
    out
}

/// `"context" a=b, c, trimmed`: a name without a value is bound to itself.
fn trans(reader: &mut Reader) -> Vec<Binding> {
    let mut out = Vec::new();
    reader.string();
    loop {
        reader.eat(",");
        let Some((name, span)) = reader.name() else { break };
        let target = Target::Name { name: name.to_owned(), span };
        if reader.eat("=") {
            out.push(Binding { target, value: reader.expr() });
        } else if !matches!(name, "trimmed" | "notrimmed") {
            let value = Expr::new(ExprKind::Name(name.to_owned()), span);
            out.push(Binding { target, value });
        }
    }
    out
}

/// `(a, b=c)`, or nothing.
fn params(reader: &mut Reader) -> Vec<Param> {
    let mut out = Vec::new();
    if !reader.eat("(") {
        return out;
    }
    while let Some((name, _)) = reader.name() {
        let default = reader.eat("=").then(|| reader.expr());
        out.push(Param { name: name.to_owned(), default });
        if !reader.eat(",") {
            break;
        }
    }
    reader.eat(")");
    out
}

fn set<'a>(parser: &mut Parser<'a>, head: Head<'a>, reader: &mut Reader<'a>) -> NodeKind {
    let target = reader.target(true);
    if target.is_none() {
        parser.problem(head.span, ProblemKind::Malformed);
    }
    let target = target.unwrap_or(Target::Tuple(Vec::new()));
    if reader.eat("=") {
        let value = reader.tuple();
        finish_with(parser, head, reader, &value);
        return NodeKind::Set { target, value };
    }
    let value = reader.filters_of(Expr::new(ExprKind::Body, Span::at(head.rest.end)));
    finish_with(parser, head, reader, &value);
    NodeKind::SetBlock { target, value, body: parser.known_body(head, &["endset"]) }
}

fn from(parser: &mut Parser, head: Head, reader: &mut Reader) -> NodeKind {
    let template = reader.expr();
    let mut names = Vec::new();
    if !reader.eat_words(&["import"]) {
        parser.problem(head.span, ProblemKind::Malformed);
    }
    loop {
        if reader.eat_words(&["with", "context"]) || reader.eat_words(&["without", "context"]) {
            break;
        }
        let Some((name, span)) = reader.name() else { break };
        let own = Target::Name { name: name.to_owned(), span };
        let target = if reader.eat_words(&["as"]) { reader.target(false) } else { None };
        names.push((name.to_owned(), target.unwrap_or(own)));
        reader.eat(",");
    }
    finish_with(parser, head, reader, &template);
    NodeKind::FromImport { template, names }
}
