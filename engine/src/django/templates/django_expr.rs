//! Expressions of Django's language: variables, filters, and the operators of `if`.

use super::ast::{Arg, ArgKind, Binding, Expr, ExprKind, Operator, Target};
use super::lex::string_end;
use super::parse::positional;
use crate::text::Span;

/// How deep the operators of an `if` may nest.
const MAX_DEPTH: usize = 60;

/// The pieces of a tag, as `split_contents` gives them.
pub(super) fn bits(text: &str, span: Span) -> Vec<Span> {
    let bytes = text.as_bytes();
    let end = (span.end as usize).min(bytes.len());
    let bytes = bytes.get(..end).unwrap_or_default();
    let mut out = Vec::new();
    let mut at = span.start as usize;
    // Quotes behind which no string ends, so that the rest is searched once for each.
    let mut is_open = [false; 2];
    while at < end {
        let rest = text.get(at..end).unwrap_or("");
        at += rest.len() - rest.trim_start().len();
        let start = at;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'\'' | b'"' => {
                    let open = &mut is_open[usize::from(byte == b'"')];
                    match string_end(bytes, at).filter(|_| !*open) {
                        Some(close) => at = close + 1,
                        None => {
                            *open = true;
                            at += 1;
                        }
                    }
                }
                byte if byte.is_ascii_whitespace() || byte == 0x0b => break,
                0..=0x7f => at += 1,
                // The start of a longer character; only these may be white space.
                _ => {
                    let Some(c) = text.get(at..end).and_then(|rest| rest.chars().next()) else {
                        at = end;
                        break;
                    };
                    if c.is_whitespace() {
                        break;
                    }
                    at += c.len_utf8();
                }
            }
        }
        if at > start {
            out.push(Span::new(start as u32, at as u32));
        } else {
            break;
        }
    }
    out
}

/// A variable or constant with its filters, which is all of `span`.
pub(super) fn filters(text: &str, span: Span) -> Expr {
    let Some(source) = text.get(span.range()) else { return unknown(span, Vec::new()) };
    let mut reader = Reader { source, base: span.start, at: 0 };
    reader.skip_space();
    let Some(mut expr) = reader.operand() else { return unknown(span, Vec::new()) };
    loop {
        let start = expr.span.start;
        reader.skip_space();
        if reader.at == source.len() {
            return expr;
        }
        if !reader.eat('|') {
            return unknown(span, vec![expr]);
        }
        reader.skip_space();
        let Some(name) = reader.word(false) else { return unknown(span, vec![expr]) };
        let name = name.to_owned();
        let mut args = Vec::new();
        if reader.eat(':') {
            match reader.operand() {
                Some(arg) => args.push(positional(arg)),
                None => return unknown(span, vec![expr]),
            }
        }
        let span = Span::new(start, reader.offset());
        expr = Expr::new(ExprKind::Filter { value: Box::new(expr), name, args }, span);
    }
}

fn unknown(span: Span, parts: Vec<Expr>) -> Expr {
    Expr::new(ExprKind::Unknown(parts), span)
}

struct Reader<'a> {
    source: &'a str,
    base: u32,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or("")
    }

    fn offset(&self) -> u32 {
        self.base + self.at as u32
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, wanted: char) -> bool {
        let is_there = self.rest().starts_with(wanted);
        if is_there {
            self.at += wanted.len_utf8();
        }
        is_there
    }

    /// `\w+`, or `[\w.]+`.
    fn word(&mut self, has_dots: bool) -> Option<&'a str> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || has_dots && c == '.'))
            .unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).filter(|word| !word.is_empty())
    }

    fn string(&mut self) -> Option<Expr> {
        let start = self.offset();
        let end = string_end(self.source.as_bytes(), self.at)?;
        let inside = self.source.get(self.at + 1..end)?;
        let quote = self.rest().chars().next()?;
        self.at = end + 1;
        let value = inside.replace(&format!("\\{quote}"), &quote.to_string()).replace("\\\\", "\\");
        Some(Expr::new(ExprKind::Str(value), Span::new(start, self.offset())))
    }

    /// A constant or a variable.
    fn operand(&mut self) -> Option<Expr> {
        let start = self.offset();
        let rest = self.rest();
        if rest.starts_with("_(") {
            self.at += 2;
            let mut text = self.string()?;
            if !self.eat(')') {
                return None;
            }
            text.span = Span::new(start, self.offset());
            return Some(text);
        }
        if rest.starts_with(['"', '\'']) {
            return self.string();
        }
        if rest.starts_with(['-', '+']) {
            self.at += 1;
            let word = self.word(true)?;
            let signed = rest.get(..1 + word.len()).unwrap_or("");
            return number(signed, Span::new(start, self.offset()));
        }
        let word = self.word(true)?;
        let span = Span::new(start, self.offset());
        if let Some(number) = number(word, span) {
            return Some(number);
        }
        variable(word, span)
    }
}

/// `12`, `1.5`, `1e3`.
fn number(word: &str, span: Span) -> Option<Expr> {
    if !word.contains(|c: char| c.is_ascii_digit())
        || !word.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+' | '_'))
        || word.starts_with(['e', 'E', '_'])
    {
        return None;
    }
    let plain = word.replace('_', "");
    let plain = plain.strip_prefix('+').unwrap_or(&plain);
    let kind = match plain.parse::<i64>() {
        Ok(value) => ExprKind::Int(value),
        Err(_) => ExprKind::Float(plain.parse().ok()?),
    };
    Some(Expr::new(kind, span))
}

/// `a.b.0`
fn variable(word: &str, span: Span) -> Option<Expr> {
    let mut end = span.start;
    let mut expr: Option<Expr> = None;
    for part in word.split('.') {
        if part.is_empty() {
            return None;
        }
        let part_start = end;
        end += part.len() as u32;
        let whole = Span::new(span.start, end);
        expr = Some(match expr {
            None => Expr::new(
                match part {
                    "True" => ExprKind::Bool(true),
                    "False" => ExprKind::Bool(false),
                    "None" => ExprKind::None,
                    _ => ExprKind::Name(part.to_owned()),
                },
                whole,
            ),
            Some(value) => {
                let value = Box::new(value);
                let kind = match part.parse::<i64>() {
                    Ok(index) => {
                        let index = Expr::new(ExprKind::Int(index), Span::new(part_start, end));
                        ExprKind::Item { value, index: Box::new(index) }
                    }
                    Err(_) => ExprKind::Attribute { value, name: part.to_owned() },
                };
                Expr::new(kind, whole)
            }
        });
        end += 1;
    }
    expr
}

/// `expr`, evaluated for the row called `target`: what `regroup` groups by.
pub(super) fn of_row(expr: Expr, target: &str) -> Expr {
    let span = expr.span;
    match expr.kind {
        ExprKind::Name(name) => {
            let row = Expr::new(ExprKind::Name(target.to_owned()), Span::at(span.start));
            Expr::new(ExprKind::Attribute { value: Box::new(row), name }, span)
        }
        ExprKind::Attribute { value, name } => {
            Expr::new(ExprKind::Attribute { value: Box::new(of_row(*value, target)), name }, span)
        }
        ExprKind::Item { value, index } => {
            Expr::new(ExprKind::Item { value: Box::new(of_row(*value, target)), index }, span)
        }
        ExprKind::Filter { value, name, args } => {
            Expr::new(ExprKind::Filter { value: Box::new(of_row(*value, target)), name, args }, span)
        }
        kind => Expr::new(kind, span),
    }
}

/// A name that something is bound to.
pub(super) fn target(text: &str, span: Span) -> Target {
    Target::Name { name: text.get(span.range()).unwrap_or("").to_owned(), span }
}

/// `name=value`, cut at the `=`.
pub(super) fn keyword(text: &str, bit: Span) -> Option<(Span, Span)> {
    let source = text.get(bit.range())?;
    let at = source.find('=')?;
    let (name, value) = (source.get(..at)?, source.get(at + 1..)?);
    let is_name =
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '@'));
    let cut = bit.start + at as u32;
    (is_name && !value.is_empty()).then(|| (Span::new(bit.start, cut), Span::new(cut + 1, bit.end)))
}

/// The bindings at the front of `bits`, `a=b c=d` or the older `b as a and d as c`; and how many bits they take.
pub(super) fn bindings(text: &str, bits: &[Span]) -> (Vec<Binding>, usize) {
    let word = |at: usize| bits.get(at).and_then(|bit| text.get(bit.range()));
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&bit) = bits.get(at) {
        if let Some((name, value)) = keyword(text, bit) {
            out.push(Binding { target: target(text, name), value: filters(text, value) });
            at += 1;
        } else if word(at + 1) == Some("as")
            && let Some(&name) = bits.get(at + 2)
        {
            out.push(Binding { target: target(text, name), value: filters(text, bit) });
            at += 3;
            if word(at) == Some("and") && bits.len() > at + 1 {
                at += 1;
            }
        } else {
            break;
        }
    }
    (out, at)
}

/// The arguments of any tag, and the name behind a final `as`.
pub(super) fn args(text: &str, rest: Span) -> (Vec<Arg>, Option<Target>) {
    let mut bits = bits(text, rest);
    let word = |bit: Option<&Span>| bit.and_then(|bit| text.get(bit.range()));
    let mut as_var = None;
    let before = bits.len().checked_sub(2);
    if before.is_some_and(|at| word(bits.get(at)) == Some("as")) {
        as_var = bits.pop().map(|bit| target(text, bit));
        bits.pop();
    }
    let args = bits.iter().map(|&bit| match keyword(text, bit) {
        Some((name, value)) => Arg {
            kind: ArgKind::Keyword(text.get(name.range()).unwrap_or("").to_owned()),
            value: filters(text, value),
        },
        None => positional(filters(text, bit)),
    });
    (args.collect(), as_var)
}

/// The test of an `if`.
pub(super) fn condition(text: &str, rest: Span) -> Expr {
    let bits = bits(text, rest);
    let mut reader = Condition { text, bits, at: 0 };
    let expr = reader.expr(0, 0);
    match expr {
        Some(expr) if reader.at >= reader.bits.len() => expr,
        _ => unknown(rest, reader.bits.iter().map(|&bit| filters(text, bit)).collect()),
    }
}

struct Condition<'a> {
    text: &'a str,
    bits: Vec<Span>,
    at: usize,
}

impl Condition<'_> {
    fn word(&self, at: usize) -> &str {
        self.bits.get(at).and_then(|bit| self.text.get(bit.range())).unwrap_or("")
    }

    /// The operator here, how tightly it binds, and how many words it has.
    fn operator(&self) -> Option<(Operator, u8, usize)> {
        Some(match (self.word(self.at), self.word(self.at + 1)) {
            ("or", _) => (Operator::Or, 6, 1),
            ("and", _) => (Operator::And, 7, 1),
            ("in", _) => (Operator::In, 9, 1),
            ("not", "in") => (Operator::NotIn, 9, 2),
            ("is", "not") => (Operator::IsNot, 10, 2),
            ("is", _) => (Operator::Is, 10, 1),
            ("==", _) => (Operator::Eq, 10, 1),
            ("!=", _) => (Operator::NotEq, 10, 1),
            ("<", _) => (Operator::Lt, 10, 1),
            (">", _) => (Operator::Gt, 10, 1),
            ("<=", _) => (Operator::LtE, 10, 1),
            (">=", _) => (Operator::GtE, 10, 1),
            _ => return None,
        })
    }

    /// An expression whose operators bind more tightly than `floor`, as Django's `IfParser` reads it.
    fn expr(&mut self, floor: u8, depth: usize) -> Option<Expr> {
        if depth > MAX_DEPTH {
            return None;
        }
        let first = *self.bits.get(self.at)?;
        let mut left = if self.word(self.at) == "not" && self.word(self.at + 1) != "in" {
            self.at += 1;
            let operand = self.expr(8, depth + 1)?;
            let span = Span::new(first.start, operand.span.end);
            Expr::new(ExprKind::Not(Box::new(operand)), span)
        } else if self.operator().is_some() {
            return None;
        } else {
            self.at += 1;
            filters(self.text, first)
        };
        while let Some((op, power, words)) = self.operator() {
            if power <= floor {
                break;
            }
            self.at += words;
            let right = self.expr(power, depth + 1)?;
            let span = Span::new(left.span.start, right.span.end);
            left = Expr::new(ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) }, span);
        }
        Some(left)
    }
}
