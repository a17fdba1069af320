//! From counting or loading to `exists()`: only the method's name and what surrounds it change.

use crate::exists::find::{Asked, Held, How};
use ormend_engine::codemod::{Context, Fix, Hazard, HazardKind};
use ormend_engine::python::emit::{Precedence, append_call, fresh_name, parenthesized, whole_line};
use ormend_engine::python::{Kind, Node};
use ormend_engine::text::{Edit, Span};

/// The edits of an [`Asked`].
pub fn asked<'a>(cx: &Context<'a>, found: &Asked<'a>) -> Result<Fix, Hazard> {
    let mut edits = Vec::new();
    let exists = match found.method {
        Some(method) if method.text().starts_with('a') => "aexists",
        _ => "exists",
    };
    if let Some((assignment, read)) = found.bound {
        let span =
            whole_lines(cx, assignment).ok_or_else(|| cx.hazard(HazardKind::CommentLost, "", assignment))?;
        edits.push(Edit::delete(span));
        let Some(method) = found.method else { return Ok(Fix::default()) };
        let text = cx.source().slice(Span::new(found.inner.span().start, method.span().start));
        let rest = cx.source().slice(Span::new(method.span().end, found.inner.span().end));
        let of = if found.inner.kind() == Kind::Await { Precedence::Await } else { Precedence::Atom };
        edits.push(Edit::replace(read.span(), parenthesized(read, &format!("{text}{exists}{rest}"), of)));
        edits.extend(surround(cx, found.whole, read, of, found.negated)?);
        return Ok(cx.fix(edits));
    }
    let inner = found.inner;
    let of = match inner.kind() {
        Kind::Await => Precedence::Await,
        _ => Precedence::Atom,
    };
    match found.method {
        Some(method) => edits.push(Edit::replace(method.span(), exists)),
        None if Precedence::of(inner) < Precedence::Atom => {
            // `(a | b).exists()`
            let paren = inner.parent().filter(|p| p.kind() == Kind::Paren && found.whole.contains(p.id()));
            match paren.or_else(|| inner.parent().filter(|p| p.kind() == Kind::Paren)) {
                Some(paren) => {
                    edits.push(Edit::insert(paren.span().end, ".exists()"));
                    if found.whole == inner {
                        return Ok(cx.fix(negate(found, paren, edits)));
                    }
                    edits.extend(surround(cx, found.whole, paren, of, found.negated)?);
                    return Ok(cx.fix(edits));
                }
                _ => {
                    edits.push(Edit::insert(inner.span().start, "("));
                    edits.push(Edit::insert(inner.span().end, ").exists()"));
                    let mut around = surround(cx, found.whole, inner, of, found.negated)?;
                    // The deletion before comes before the parenthesis that is added at its end.
                    around.extend(edits);
                    return Ok(cx.fix(around));
                }
            }
        }
        None => {
            let file = cx.project.program().file(cx.file);
            edits.extend(append_call(file, inner, "exists", &[], cx.options.line_length));
        }
    }
    let mut around = surround(cx, found.whole, inner, of, found.negated)?;
    around.extend(edits);
    Ok(cx.fix(around))
}

/// The edits of a [`Held`]: the value, and what stands around the name where it is tested.
pub fn held<'a>(cx: &Context<'a>, found: &Held<'a>) -> Result<Fix, Hazard> {
    let mut fix = asked(cx, &found.asked)?;
    for test in found.tests.iter().filter(|t| t.whole != t.read) {
        let edits = surround(cx, test.whole, test.read, Precedence::Atom, test.negated)?;
        fix.edits.extend(cx.fix(edits).edits);
    }
    if let Some(name) = renamed(found) {
        let places = found.tests.iter().map(|t| t.read).chain([found.target]);
        let edits = places.map(|place| Edit::replace(place.span(), name.clone())).collect();
        fix.edits.extend(cx.fix(edits).edits);
    }
    Ok(fix)
}

/// Parts of a name that speak of a number.
const COUNTING: &[&str] = &[
    "count", "counts", "cnt", "n", "nb", "nbr", "num", "number", "of", "total", "len", "length", "size",
    "qty",
];

/// Names of a row that speak of its being there.
const PRESENT: &[&str] = &["existing", "exists", "found", "match", "any", "present", "has", "is"];

/// The name that says what the value is now: `has_books` for `book_count`, `book_exists` for `book`.
fn renamed(found: &Held<'_>) -> Option<String> {
    let name = found.target.text();
    let has = |words: &[&str]| name.split('_').any(|part| words.contains(&part));
    let wanted = match found.asked.how {
        _ if has(PRESENT) && !has(COUNTING) => return None,
        How::One { .. } => format!("{name}_exists"),
        _ if !has(COUNTING) => return None,
        _ => {
            let rest: Vec<&str> = name.split('_').filter(|part| !COUNTING.contains(part)).collect();
            match rest.join("_").trim_matches('_') {
                "" => "has_rows".to_owned(),
                rest if rest.ends_with('s') => format!("has_{rest}"),
                rest => format!("has_{rest}s"),
            }
        }
    };
    Some(fresh_name(found.scope, &wanted))
}

fn negate(found: &Asked<'_>, at: Node<'_>, mut edits: Vec<Edit>) -> Vec<Edit> {
    if found.negated {
        edits.insert(0, Edit::insert(at.span().start, "not "));
    }
    edits
}

/// What stands in `whole` around `inner` goes, and `not` comes where it must.
pub fn surround<'a>(
    cx: &Context<'a>,
    whole: Node<'a>,
    inner: Node<'a>,
    of: Precedence,
    negated: bool,
) -> Result<Vec<Edit>, Hazard> {
    let lost = whole.descendants().find(|n| n.kind() == Kind::Comment && !inner.contains(n.id()));
    if let Some(comment) = lost {
        return Err(cx.hazard(HazardKind::CommentLost, "", comment));
    }
    let before = Span::new(whole.span().start, inner.span().start);
    let after = Span::new(inner.span().end, whole.span().end);
    let of = if negated { Precedence::Not } else { of };
    let with_parens = of < Precedence::Atom && parenthesized(whole, "", of).starts_with('(');
    let not = if negated { "not " } else { "" };
    let (mut open, mut close) =
        if with_parens { (format!("({not}"), ")".to_owned()) } else { (not.to_owned(), String::new()) };
    // Lines may only be broken inside brackets: those that go leave their parentheses behind.
    let (head, tail) = (cx.source().slice(before), cx.source().slice(after));
    if !is_enclosed(whole) && head.contains('(') && (head.contains('\n') || breaks_lines(inner)) {
        let lead = head.rfind('(').and_then(|i| head.get(i + 1..)).unwrap_or("");
        let trail = tail.find(')').and_then(|i| tail.get(..i)).unwrap_or("").replace(',', "");
        open.push('(');
        open.push_str(lead);
        close = format!("{trail}){close}");
    }
    Ok(vec![Edit::replace(before, open), Edit::replace(after, close)])
}

/// Whether brackets stand around `node` within its statement.
fn is_enclosed(node: Node<'_>) -> bool {
    node.ancestors().take_while(|n| !n.kind().is_statement() && n.kind() != Kind::Block).any(|n| {
        matches!(
            n.kind(),
            Kind::Paren
                | Kind::Arguments
                | Kind::List
                | Kind::Set
                | Kind::Dict
                | Kind::ListComp
                | Kind::SetComp
                | Kind::DictComp
                | Kind::GeneratorExp
                | Kind::Interpolation
        )
    })
}

/// Whether a line ends inside `node` but outside its own brackets.
fn breaks_lines(node: Node<'_>) -> bool {
    let strings: Vec<Span> = node.descendants().filter(|n| n.kind() == Kind::Str).map(|n| n.span()).collect();
    let start = node.span().start;
    let mut depth = 0i32;
    for (i, byte) in node.text().bytes().enumerate() {
        let offset = start + i as u32;
        if strings.iter().any(|s| s.start <= offset && offset < s.end) {
            continue;
        }
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b'\n' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// The lines of a statement that stands alone on them.
fn whole_lines(cx: &Context<'_>, statement: Node<'_>) -> Option<Span> {
    let source = cx.source();
    let (first, last) = (source.line_index(statement.span().start), source.line_index(statement.span().end));
    let start = source.line_start(first);
    let head = source.slice(Span::new(start, statement.span().start));
    let end = if last + 1 < source.line_count() { source.line_start(last + 1) } else { return None };
    let tail = source.slice(Span::new(statement.span().end, end));
    let alone = head.trim().is_empty() && tail.trim().is_empty();
    alone.then(|| whole_line(source.text(), statement.span()).span)
}
