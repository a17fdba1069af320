//! Several values of one queryset object: its rows are loaded once for all of them, so one query has to give them all.

use super::find::{Empty, Function, Match, Part, What, assigned, value};
use super::totals::is_alone;
use ormend_engine::codemod::Context;
use ormend_engine::codemod::rows::source::source;
use ormend_engine::codemod::rows::{Collects, Shape};
use ormend_engine::infer::{EventKind, Use, ValueId};
use ormend_engine::python::{Expr, Kind, Node, arguments, string_value};

/// More calls over one queryset are left alone.
const MOST_CALLS: usize = 20;

/// What a call is among those that go over one queryset.
pub enum Place<'a> {
    /// The only one.
    Alone,
    /// The first of several, which stands for all.
    First(Box<Match<'a>>),
    /// Another one.
    Later,
}

/// The place of the call `node`, which makes `part` of the rows of `shape`.
pub fn place<'a>(cx: &Context<'a>, node: Node<'a>, shape: &Shape<'a>) -> Place<'a> {
    let found = members(cx, node, shape).unwrap_or_default();
    match found.first() {
        Some((first, ..)) if found.len() > 1 => {
            // Rows that are only counted are another codemod's.
            if found.iter().all(|(.., part)| part.term.is_none()) {
                return Place::Alone;
            }
            if *first != node {
                return Place::Later;
            }
            let members = found.iter().map(|(call, ..)| *call).collect();
            let parts = found.into_iter().map(|(.., part)| part).collect();
            let what = What::Values(parts);
            Place::First(Box::new(Match {
                node,
                shape: shape.clone(),
                what,
                filter: None,
                members,
                asked: None,
            }))
        }
        _ => Place::Alone,
    }
}

type Member<'a> = (Node<'a>, Shape<'a>, Part<'a>);

/// The calls over the queryset object in the statements of the block, in order of the text.
fn members<'a>(cx: &Context<'a>, node: Node<'a>, shape: &Shape<'a>) -> Option<Vec<Member<'a>>> {
    let id = object(shape)?;
    let name = shape.source.base.text();
    let statement = node.statement()?;
    let block = statement.parent().filter(|b| b.kind() == Kind::Block)?;
    node.enclosing_function().filter(|_| is_alone(statement))?;
    let mut out: Vec<Member<'a>> = Vec::new();
    for statement in block.children().filter(|s| is_simple(*s)) {
        for call in statement.descendants().filter(|n| n.kind() == Kind::Call && is_certain(*n, statement)) {
            let member = value(cx, call).or_else(|| counted(cx, call));
            let Some((shape, part)) = member else { continue };
            if object(&shape) != Some(id) || shape.source.base.text() != name {
                continue;
            }
            if out.len() > MOST_CALLS || has_effects(cx, statement) {
                return None;
            }
            out.push((call, shape, Part { target: assigned(call).or_else(|| labelled(call)), ..part }));
        }
    }
    (is_seen(cx, id, &out)).then_some(out)
}

/// The queryset object that a variable holds.
fn object(shape: &Shape<'_>) -> Option<ValueId> {
    let source = &shape.source;
    let is_name = source.base.kind() == Kind::Name && source.iter == source.base;
    match source.queryset.values.as_slice() {
        [id] if is_name => Some(*id),
        _ => None,
    }
}

/// `len(books)`, `books.count()`
pub fn counted<'a>(cx: &Context<'a>, call: Node<'a>) -> Option<(Shape<'a>, Part<'a>)> {
    let Expr::Call { func, arguments: list } = Expr::of(call) else { return None };
    let all = arguments(list);
    let rows = match (Expr::of(func), all.as_slice()) {
        (Expr::Name("len"), [only]) if only.name.is_none() && only.stars == 0 => only.value,
        (Expr::Attribute { value, attr: "count", .. }, []) => value,
        _ => return None,
    };
    if rows.kind() != Kind::Name {
        return None;
    }
    let source = source(cx, rows)?;
    let shape = Shape::new(call, Collects::Generator, source, "", rows);
    let part = Part {
        function: Function::Count,
        term: None,
        empty: Empty::None,
        target: None,
        is_added: false,
        init: None,
        guarded: Vec::new(),
        filter: None,
    };
    Some((shape, part))
}

fn is_simple(statement: Node<'_>) -> bool {
    matches!(statement.kind(), Kind::ExprStatement | Kind::Return)
}

/// Whether the call is evaluated whenever its statement is.
fn is_certain<'a>(call: Node<'a>, statement: Node<'a>) -> bool {
    call.ancestors().take_while(|a| *a != statement).all(|a| {
        !matches!(a.kind(), Kind::IfExp | Kind::BoolOp | Kind::Lambda | Kind::Compare)
            && !a.kind().is_comprehension()
    })
}

/// Whether a statement does something that would now come after the query.
fn has_effects<'a>(cx: &Context<'a>, statement: Node<'a>) -> bool {
    cx.events_in(statement).any(|event| {
        matches!(
            event.kind,
            EventKind::Write { .. }
                | EventKind::Outside { .. }
                | EventKind::UnknownCall { .. }
                | EventKind::InstanceMethod { .. }
                | EventKind::Suspend
        )
    })
}

/// Whether the rows are loaded for these calls alone.
fn is_seen(cx: &Context<'_>, id: ValueId, members: &[Member<'_>]) -> bool {
    let own = |span: ormend_engine::text::Span| members.iter().any(|(call, ..)| call.span().contains(span));
    cx.facts.uses(id).all(|(event, how)| {
        let is_own = event.site.file == cx.file && own(event.site.span);
        is_own || matches!(how, Use::Method(name) if !ASKS_ROWS.contains(&&**name))
    })
}

/// Methods that answer from rows where they are loaded.
const ASKS_ROWS: &[&str] = &["count", "exists", "contains", "first", "last", "get", "__getitem__"];

/// The keyword or literal key that a value is given for.
pub fn labelled<'a>(call: Node<'a>) -> Option<&'a str> {
    let outer = call.with_parens();
    let parent = outer.parent()?;
    let name = match parent.kind() {
        Kind::KeywordArgument => parent.child(ormend_engine::python::Field::Name)?.text(),
        Kind::Pair => {
            let key = parent.child(ormend_engine::python::Field::Key)?;
            string_value(key)?;
            key.text().trim_matches(['"', '\''])
        }
        _ => return None,
    };
    let is_identifier = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.contains("__");
    is_identifier.then_some(name)
}
