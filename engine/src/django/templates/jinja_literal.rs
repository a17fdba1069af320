//! Literals, names and brackets of Jinja2: what operators, filters and calls are put around.

use super::ast::{Expr, ExprKind};
use super::jinja_expr::{KEYWORDS, MAX_DEPTH, Reader};
use super::lex::string_end;
use crate::text::Span;

impl Reader<'_> {
    /// Take a string; several next to each other are one.
    pub fn string(&mut self) -> Option<Expr> {
        self.peek();
        let start = self.at;
        let mut value: Option<String> = None;
        while self.peek().starts_with(['"', '\'']) {
            let Some(close) = string_end(self.text.as_bytes().get(..self.end).unwrap_or_default(), self.at)
            else {
                break;
            };
            let inside = self.text.get(self.at + 1..close).unwrap_or("");
            value.get_or_insert_default().push_str(&unescape(inside));
            self.at = close + 1;
        }
        let end = self.text.get(start..self.at).map_or(start, |t| start + t.trim_end().len());
        value.map(|value| Expr::new(ExprKind::Str(value), Span::new(start as u32, end as u32)))
    }

    pub(super) fn primary(&mut self) -> Expr {
        if self.depth >= MAX_DEPTH {
            return self.unknown(Vec::new());
        }
        let rest = self.peek();
        let start = self.at;
        match rest.chars().next() {
            Some('"' | '\'') => self.string().unwrap_or_else(|| self.unknown(Vec::new())),
            Some('(') => {
                self.at += 1;
                if self.eat(")") {
                    return Expr::new(ExprKind::Tuple(Vec::new()), self.since(start));
                }
                let inside = self.tuple();
                if self.eat(")") { inside } else { self.unknown(vec![inside]) }
            }
            Some('[') => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.eat("]") {
                    let from = self.at;
                    items.push(self.expr());
                    if self.at == from || !self.eat(",") {
                        if !self.eat("]") {
                            return self.unknown(items);
                        }
                        break;
                    }
                }
                Expr::new(ExprKind::List(items), self.since(start))
            }
            Some('{') => self.dict(),
            Some(c) if c.is_ascii_digit() => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => {
                if KEYWORDS.contains(&self.word()) {
                    return self.unknown(Vec::new());
                }
                let Some((name, span)) = self.name() else { return self.unknown(Vec::new()) };
                let kind = match name {
                    "true" | "True" => ExprKind::Bool(true),
                    "false" | "False" => ExprKind::Bool(false),
                    "none" | "None" => ExprKind::None,
                    _ => ExprKind::Name(name.to_owned()),
                };
                Expr::new(kind, span)
            }
            _ => self.unknown(Vec::new()),
        }
    }

    fn dict(&mut self) -> Expr {
        let start = self.at;
        self.at += 1;
        let mut pairs = Vec::new();
        while !self.eat("}") {
            let from = self.at;
            let key = self.expr();
            if !self.eat(":") {
                return self.unknown(pairs.into_iter().flat_map(|(k, v)| [k, v]).chain([key]).collect());
            }
            pairs.push((key, self.expr()));
            if self.at == from || !self.eat(",") {
                if !self.eat("}") {
                    return self.unknown(pairs.into_iter().flat_map(|(k, v)| [k, v]).collect());
                }
                break;
            }
        }
        Expr::new(ExprKind::Dict(pairs), self.since(start))
    }

    fn number(&mut self) -> Expr {
        let start = self.at;
        let rest = self.rest();
        let is_digit = |c: char| c.is_ascii_digit() || c == '_';
        if rest.starts_with("0x") || rest.starts_with("0o") || rest.starts_with("0b") {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            self.at += end;
            let digits = rest.get(2..end).unwrap_or("").replace('_', "");
            let radix = if rest.starts_with("0x") {
                16
            } else if rest.starts_with("0o") {
                8
            } else {
                2
            };
            let kind =
                i64::from_str_radix(&digits, radix).map_or(ExprKind::Unknown(Vec::new()), ExprKind::Int);
            return Expr::new(kind, self.since(start));
        }
        let mut end = rest.find(|c| !is_digit(c)).unwrap_or(rest.len());
        let mut is_float = false;
        let tail = rest.get(end..).unwrap_or("");
        if tail.starts_with('.') && tail.get(1..).is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()))
        {
            is_float = true;
            let digits = tail.get(1..).unwrap_or("");
            end += 1 + digits.find(|c| !is_digit(c)).unwrap_or(digits.len());
        }
        let tail = rest.get(end..).unwrap_or("");
        if let Some(exponent) = tail.strip_prefix(['e', 'E']) {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            let len = digits.find(|c| !is_digit(c)).unwrap_or(digits.len());
            if len > 0 {
                is_float = true;
                end += 1 + (exponent.len() - digits.len()) + len;
            }
        }
        self.at += end;
        if !is_float {
            return self.integer(start);
        }
        let text = rest.get(..end).unwrap_or("").replace('_', "");
        let kind = text.parse().map_or(ExprKind::Unknown(Vec::new()), ExprKind::Float);
        Expr::new(kind, self.since(start))
    }
}

/// A string's text, its plain escapes replaced.
fn unescape(inside: &str) -> String {
    let mut out = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some(c @ ('\\' | '\'' | '"')) => out.push(c),
            Some(c) => {
                out.push('\\');
                out.push(c);
            }
            None => out.push('\\'),
        }
    }
    out
}
