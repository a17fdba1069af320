//! Expressions of Jinja2, read with the precedences of its `parser.py`.

use super::ast::{Arg, ArgKind, Expr, ExprKind, Operator, Target};
use super::parse::positional;
use crate::text::Span;

/// How deep brackets and unary operators may nest.
pub(super) const MAX_DEPTH: usize = 40;

/// Words that end an operand.
pub(super) const KEYWORDS: [&str; 9] = ["and", "or", "not", "in", "is", "if", "else", "recursive", "import"];

/// The expression that is all of `span`.
pub(super) fn whole(text: &str, span: Span) -> Expr {
    let mut reader = Reader::new(text, span);
    let expr = reader.tuple();
    if reader.is_done() { expr } else { Expr::new(ExprKind::Unknown(vec![expr]), span) }
}

/// What can be read of the arguments of a tag that is not known.
pub(super) fn loose(text: &str, rest: Span) -> Vec<Arg> {
    let mut reader = Reader::new(text, rest);
    let mut out = Vec::new();
    while !reader.is_done() {
        let from = reader.at;
        let arg = reader.arg();
        if !matches!(&arg.value.kind, ExprKind::Unknown(parts) if parts.is_empty()) {
            out.push(arg);
        }
        if reader.at == from {
            reader.skip_char();
        }
    }
    out
}

/// Reads expressions from one tag. What it cannot read is [`ExprKind::Unknown`]; it then stays where it is, so that
/// the tag is not read to its end.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) end: usize,
    pub(super) depth: usize,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str, span: Span) -> Reader<'a> {
        Reader { text, at: span.start as usize, end: (span.end as usize).min(text.len()), depth: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..self.end).unwrap_or("")
    }

    /// What comes next, white space skipped.
    pub(super) fn peek(&mut self) -> &'a str {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.rest()
    }

    fn skip_char(&mut self) {
        self.at += self.rest().chars().next().map_or(1, char::len_utf8);
    }

    pub fn is_done(&self) -> bool {
        self.rest().trim().is_empty()
    }

    /// Take `symbol`, unless it is the start of a longer one.
    pub fn eat(&mut self, symbol: &str) -> bool {
        let Some(tail) = self.peek().strip_prefix(symbol) else { return false };
        let is_longer = match symbol {
            "=" | "<" | ">" => tail.starts_with('='),
            "*" => tail.starts_with('*'),
            "/" => tail.starts_with('/'),
            _ => false,
        };
        if !is_longer {
            self.at += symbol.len();
        }
        !is_longer
    }

    /// The name that comes next, not taken.
    pub(super) fn word(&mut self) -> &'a str {
        let rest = self.peek();
        if rest.starts_with(|c: char| c.is_numeric()) {
            return "";
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        rest.get(..end).unwrap_or("")
    }

    /// Take these words, if all of them come next.
    pub fn eat_words(&mut self, words: &[&str]) -> bool {
        let start = self.at;
        for word in words {
            if self.word() != *word {
                self.at = start;
                return false;
            }
            self.at += word.len();
        }
        true
    }

    /// Take a name.
    pub fn name(&mut self) -> Option<(&'a str, Span)> {
        let word = self.word();
        let start = self.at;
        self.at += word.len();
        (!word.is_empty()).then(|| (word, self.since(start)))
    }

    pub(super) fn since(&self, start: usize) -> Span {
        Span::new(start as u32, self.at as u32)
    }

    /// What an assignment binds; several where `is_tuple`.
    pub fn target(&mut self, is_tuple: bool) -> Option<Target> {
        let mut targets = vec![self.one_target()?];
        let mut is_several = false;
        while is_tuple && self.eat(",") {
            is_several = true;
            match self.one_target() {
                Some(target) => targets.push(target),
                None => break,
            }
        }
        if is_several { Some(Target::Tuple(targets)) } else { targets.pop() }
    }

    fn one_target(&mut self) -> Option<Target> {
        if self.depth < MAX_DEPTH && self.eat("(") {
            self.depth += 1;
            let inside = self.target(true);
            self.depth -= 1;
            return inside.filter(|_| self.eat(")"));
        }
        if KEYWORDS.contains(&self.word()) {
            return None;
        }
        let (name, span) = self.name()?;
        if !self.rest().starts_with('.') {
            return Some(Target::Name { name: name.to_owned(), span });
        }
        self.at += 1;
        let (attribute, end) = self.name()?;
        let span = Span::new(span.start, end.end);
        Some(Target::Attribute { object: name.to_owned(), name: attribute.to_owned(), span })
    }

    pub(super) fn unknown(&mut self, parts: Vec<Expr>) -> Expr {
        self.peek();
        let start = parts.first().map_or(self.at, |part| part.span.start as usize);
        Expr::new(ExprKind::Unknown(parts), self.since(start.min(self.at)))
    }

    fn binary(&self, op: Operator, left: Expr, right: Expr) -> Expr {
        let span = Span::new(left.span.start, right.span.end.max(left.span.end));
        Expr::new(ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) }, span)
    }

    /// Expressions with commas between them, one tuple; a single one stays what it is.
    pub fn tuple(&mut self) -> Expr {
        self.items(Reader::expr)
    }

    /// The rows of a `for`: a tuple of expressions without conditionals, whose `if` would be that of the `for`.
    pub fn rows(&mut self) -> Expr {
        self.items(|reader| reader.operators(0))
    }

    fn items(&mut self, item: impl Fn(&mut Self) -> Expr) -> Expr {
        self.peek();
        let start = self.at;
        let first = item(self);
        if !self.eat(",") {
            return first;
        }
        let mut items = vec![first];
        while !self.is_done() && !self.rest().trim_start().starts_with([')', ']', '}']) {
            let from = self.at;
            items.push(item(self));
            if !self.eat(",") || self.at == from {
                break;
            }
        }
        Expr::new(ExprKind::Tuple(items), self.since(start))
    }

    /// One expression.
    pub fn expr(&mut self) -> Expr {
        if self.depth >= MAX_DEPTH {
            return self.unknown(Vec::new());
        }
        self.depth += 1;
        let mut expr = self.operators(0);
        while self.eat_words(&["if"]) {
            let test = self.operators(0);
            let orelse = self.eat_words(&["else"]).then(|| Box::new(self.expr()));
            let end = orelse.as_deref().unwrap_or(&test).span.end;
            let span = Span::new(expr.span.start, end.max(expr.span.end));
            expr =
                Expr::new(ExprKind::Conditional { test: Box::new(test), body: Box::new(expr), orelse }, span);
        }
        self.depth -= 1;
        expr
    }

    /// The operator that comes next, not taken, with how tightly it binds and the length of its text.
    fn operator(&mut self) -> Option<(Operator, u8, usize)> {
        let rest = self.peek();
        let first = rest.chars().next()?;
        if first.is_alphabetic() {
            return Some(match self.word() {
                "or" => (Operator::Or, 1, 2),
                "and" => (Operator::And, 2, 3),
                "in" => (Operator::In, 4, 2),
                "not" => {
                    let tail = rest.get(3..)?;
                    let gap = tail.len() - tail.trim_start().len();
                    let is_in = tail
                        .trim_start()
                        .strip_prefix("in")
                        .is_some_and(|t| !t.starts_with(|c: char| c.is_alphanumeric() || c == '_'));
                    if !is_in || gap == 0 {
                        return None;
                    }
                    (Operator::NotIn, 4, 3 + gap + 2)
                }
                _ => return None,
            });
        }
        let tail = rest.get(first.len_utf8()..).unwrap_or("");
        let is_double = |c: char| tail.starts_with(c);
        Some(match first {
            '=' if is_double('=') => (Operator::Eq, 4, 2),
            '!' if is_double('=') => (Operator::NotEq, 4, 2),
            '<' if is_double('=') => (Operator::LtE, 4, 2),
            '>' if is_double('=') => (Operator::GtE, 4, 2),
            '<' => (Operator::Lt, 4, 1),
            '>' => (Operator::Gt, 4, 1),
            '+' => (Operator::Add, 5, 1),
            '-' => (Operator::Sub, 5, 1),
            '~' => (Operator::Concat, 6, 1),
            '*' if is_double('*') => (Operator::Pow, 8, 2),
            '*' => (Operator::Mult, 7, 1),
            '/' if is_double('/') => (Operator::FloorDiv, 7, 2),
            '/' => (Operator::Div, 7, 1),
            '%' => (Operator::Mod, 7, 1),
            _ => return None,
        })
    }

    /// Operands and the operators between them that bind more tightly than `floor`.
    fn operators(&mut self, floor: u8) -> Expr {
        if self.depth >= MAX_DEPTH {
            return self.unknown(Vec::new());
        }
        self.depth += 1;
        let expr = self.operators_at(floor);
        self.depth -= 1;
        expr
    }

    fn operators_at(&mut self, floor: u8) -> Expr {
        self.peek();
        let start = self.at;
        let mut left = if floor <= 3 && self.eat_words(&["not"]) {
            // `not` binds less tightly than a comparison and more tightly than `and`.
            let operand = self.operators(3);
            Expr::new(ExprKind::Not(Box::new(operand)), self.since(start))
        } else {
            self.unary(true)
        };
        while let Some((op, power, len)) = self.operator() {
            if power <= floor {
                break;
            }
            self.at += len;
            let right = self.operators(power);
            left = self.binary(op, left, right);
        }
        left
    }

    fn unary(&mut self, has_filters: bool) -> Expr {
        if self.depth >= MAX_DEPTH {
            return self.unknown(Vec::new());
        }
        self.depth += 1;
        self.peek();
        let start = self.at;
        let mut expr = if self.eat("-") || self.eat("+") {
            let operand = self.unary(false);
            Expr::new(ExprKind::Sign(Box::new(operand)), self.since(start))
        } else {
            self.primary()
        };
        expr = self.postfix(expr);
        if has_filters {
            expr = self.filters_of(expr);
        }
        self.depth -= 1;
        expr
    }

    /// `.name`, `[index]`, `(args)`
    fn postfix(&mut self, mut expr: Expr) -> Expr {
        loop {
            let start = expr.span.start as usize;
            let rest = self.peek();
            let kind = if rest.starts_with('.') {
                self.at += 1;
                let from = self.at;
                let digits =
                    self.peek().len() - self.peek().trim_start_matches(|c: char| c.is_ascii_digit()).len();
                if digits > 0 {
                    let from = self.at;
                    self.at += digits;
                    let index = self.integer(from);
                    ExprKind::Item { value: Box::new(expr), index: Box::new(index) }
                } else if let Some((name, _)) = self.name() {
                    ExprKind::Attribute { value: Box::new(expr), name: name.to_owned() }
                } else {
                    self.at = from;
                    ExprKind::Unknown(vec![expr])
                }
            } else if rest.starts_with('[') {
                self.at += 1;
                self.subscript(expr)
            } else if rest.starts_with('(') {
                let args = self.args();
                ExprKind::Call { func: Box::new(expr), args }
            } else {
                return expr;
            };
            expr = Expr::new(kind, self.since(start));
        }
    }

    /// An integer that was taken.
    pub(super) fn integer(&self, from: usize) -> Expr {
        let digits = self.text.get(from..self.at).unwrap_or("").replace('_', "");
        let kind = digits.parse().map_or(ExprKind::Unknown(Vec::new()), ExprKind::Int);
        Expr::new(kind, self.since(from))
    }

    /// Behind the `[` of `value[...]`.
    fn subscript(&mut self, value: Expr) -> ExprKind {
        let value = Box::new(value);
        let mut parts = Vec::new();
        let mut is_slice = false;
        loop {
            if self.eat("]") {
                break;
            }
            if self.eat(":") {
                is_slice = true;
                continue;
            }
            let from = self.at;
            let part = self.tuple();
            if self.at == from || self.is_done() {
                parts.push(part);
                parts.insert(0, *value);
                return ExprKind::Unknown(parts);
            }
            parts.push(part);
        }
        match (is_slice, parts.len()) {
            (true, _) => ExprKind::Slice { value, bounds: parts },
            (false, 1) => match parts.pop() {
                Some(index) => ExprKind::Item { value, index: Box::new(index) },
                None => ExprKind::Unknown(vec![*value]),
            },
            (false, _) => {
                parts.insert(0, *value);
                ExprKind::Unknown(parts)
            }
        }
    }

    /// `(a, b=c, *d, **e)`, from its bracket.
    fn args(&mut self) -> Vec<Arg> {
        let mut out = Vec::new();
        if !self.eat("(") {
            return out;
        }
        while !self.eat(")") {
            let from = self.at;
            out.push(self.arg());
            if self.at == from || !self.eat(",") {
                if !self.eat(")") {
                    out.push(positional(self.unknown(Vec::new())));
                }
                break;
            }
        }
        out
    }

    fn arg(&mut self) -> Arg {
        if self.eat("**") {
            return Arg { kind: ArgKind::DoubleStar, value: self.expr() };
        }
        if self.eat("*") {
            return Arg { kind: ArgKind::Star, value: self.expr() };
        }
        self.peek();
        let start = self.at;
        if let Some((name, _)) = self.name()
            && self.eat("=")
        {
            return Arg { kind: ArgKind::Keyword(name.to_owned()), value: self.expr() };
        }
        self.at = start;
        positional(self.expr())
    }

    /// The filters, tests and calls behind `expr`.
    pub fn filters_of(&mut self, mut expr: Expr) -> Expr {
        loop {
            let start = expr.span.start as usize;
            if self.eat("|") {
                expr = self.filter(expr, start);
            } else if self.eat_words(&["is"]) {
                let is_negated = self.eat_words(&["not"]);
                let name = self.dotted();
                let args = self.test_args();
                let test = ExprKind::Test { value: Box::new(expr), name, args };
                expr = Expr::new(test, self.since(start));
                if is_negated {
                    expr = Expr::new(ExprKind::Not(Box::new(expr)), self.since(start));
                }
            } else if self.peek().starts_with('(') {
                let args = self.args();
                expr = Expr::new(ExprKind::Call { func: Box::new(expr), args }, self.since(start));
            } else {
                return expr;
            }
        }
    }

    /// The filters of a `filter` tag: the first has no bar.
    pub fn filters_of_body(&mut self, rest: Span) -> Expr {
        let body = Expr::new(ExprKind::Body, Span::at(rest.start));
        let first = self.filter(body, rest.start as usize);
        self.filters_of(first)
    }

    fn filter(&mut self, value: Expr, start: usize) -> Expr {
        let name = self.dotted();
        if name.is_empty() {
            return self.unknown(vec![value]);
        }
        let args = self.args();
        Expr::new(ExprKind::Filter { value: Box::new(value), name, args }, self.since(start))
    }

    fn dotted(&mut self) -> String {
        let mut name = self.name().map_or(String::new(), |(name, _)| name.to_owned());
        while !name.is_empty() && self.eat(".") {
            name.push('.');
            name.push_str(self.name().map_or("", |(part, _)| part));
        }
        name
    }

    /// `is divisibleby 3`, `is sameas(x)`
    fn test_args(&mut self) -> Vec<Arg> {
        let rest = self.peek();
        if rest.starts_with('(') {
            return self.args();
        }
        let is_operand =
            rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '\'' | '"' | '[' | '{'));
        if !is_operand || KEYWORDS.contains(&self.word()) {
            return Vec::new();
        }
        let value = self.primary();
        vec![positional(self.postfix(value))]
    }
}
