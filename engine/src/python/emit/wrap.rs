//! A logical line that has become too long, split as black would split it.
//!
//! This follows black's right-hand split and delimiter split on tokens; spacing inside a line is kept as written.

use crate::python::File;

/// Splits nested deeper than this are left as they are.
const MAX_DEPTH: usize = 40;

const COMPREHENSION: u8 = 20;
const COMMA: u8 = 18;
const TERNARY: u8 = 16;
const LOGIC: u8 = 14;
const STRING: u8 = 12;
const COMPARATOR: u8 = 10;
const DOT: u8 = 1;

/// A new statement of `file` on one line or, where it is too long for that, split as black would.
pub fn statement(file: &File, code: &str, indent: &str, line_length: usize) -> String {
    let plain = format!("{indent}{code}");
    if plain.chars().count() <= line_length {
        return plain;
    }
    let source = &file.source;
    let wrapped = wrap(code, indent, source.indent_unit(), false, line_length, source.newline().as_str());
    wrapped.unwrap_or(plain)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    space: String,
    pub(super) text: String,
    pub(super) kind: Lex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lex {
    Name,
    String,
    Operator,
    Open,
    Close,
}

impl Token {
    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text && self.kind != Lex::String
    }

    fn is_invisible(&self) -> bool {
        self.text.is_empty()
    }
}

#[derive(Clone, Debug)]
struct Line {
    tokens: Vec<Token>,
    depth: usize,
    inside: bool,
    must_split: bool,
}

/// `code`, one logical line without its indentation, as several lines; `None` where it cannot be split.
/// `inside` says that brackets are open around it.
pub(super) fn wrap(
    code: &str,
    indent: &str,
    unit: &str,
    inside: bool,
    limit: usize,
    newline: &str,
) -> Option<String> {
    let tokens = lex(code)?;
    let tokens = if inside { tokens } else { with_invisible_parens(tokens) };
    matching(&tokens)?;
    let wrapper = Wrapper { indent: indent.chars().count(), unit: unit.chars().count(), limit };
    let line = Line { tokens, depth: 0, inside, must_split: false };
    let lines = wrapper.lines(line, 0, false);
    if lines.len() < 2 {
        return None;
    }
    let text: Vec<String> =
        lines.iter().map(|l| format!("{indent}{}{}", unit.repeat(l.depth), text_of(&l.tokens))).collect();
    Some(text.join(newline))
}

pub(super) fn lex(code: &str) -> Option<Vec<Token>> {
    let bytes = code.as_bytes();
    let mut out = Vec::new();
    let mut at = 0usize;
    while at < bytes.len() {
        let begin = at;
        while bytes.get(at).is_some_and(|b| *b == b' ' || *b == b'\t') {
            at += 1;
        }
        let space = code.get(begin..at)?.to_owned();
        let Some(&b) = bytes.get(at) else { break };
        let start = at;
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
        let kind = if word(b) {
            while bytes.get(at).is_some_and(|b| word(*b)) {
                at += 1;
            }
            // A number's fraction belongs to it.
            if b.is_ascii_digit() && bytes.get(at) == Some(&b'.') {
                at += 1;
                while bytes.get(at).is_some_and(|b| word(*b)) {
                    at += 1;
                }
            }
            if at - start <= 3
                && matches!(bytes.get(at), Some(b'"' | b'\''))
                && code.get(start..at)?.chars().all(|c| "rRbBfFuUtT".contains(c))
            {
                at = string_end(bytes, at)?;
                Lex::String
            } else {
                Lex::Name
            }
        } else {
            match b {
                b'"' | b'\'' => {
                    at = string_end(bytes, at)?;
                    Lex::String
                }
                b'(' | b'[' | b'{' => {
                    at += 1;
                    Lex::Open
                }
                b')' | b']' | b'}' => {
                    at += 1;
                    Lex::Close
                }
                b'#' | b'\\' => return None,
                _ => {
                    let rest = code.get(at..)?;
                    let long =
                        ["**=", "//=", ">>=", "<<=", "...", "!=", "==", "<=", ">=", "->", ":=", "**", "//"]
                            .into_iter()
                            .chain(["<<", ">>", "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "@="])
                            .find(|o| rest.starts_with(o));
                    at += long.map_or(1, str::len);
                    Lex::Operator
                }
            }
        };
        out.push(Token { space, text: code.get(start..at)?.to_owned(), kind });
    }
    Some(out)
}

fn string_end(bytes: &[u8], open: usize) -> Option<usize> {
    let quote = *bytes.get(open)?;
    let triple = bytes.get(open + 1) == Some(&quote) && bytes.get(open + 2) == Some(&quote);
    let mut at = open + if triple { 3 } else { 1 };
    loop {
        let b = *bytes.get(at)?;
        if b == b'\\' {
            at += 2;
        } else if b == quote && (!triple || bytes.get(at..at + 3)? == [quote; 3]) {
            return Some(at + if triple { 3 } else { 1 });
        } else {
            at += 1;
        }
    }
}

/// The parentheses that black may add around the value of a statement.
fn with_invisible_parens(tokens: Vec<Token>) -> Vec<Token> {
    let mut depth = 0usize;
    let mut start = None;
    let mut end = tokens.len();
    let first = tokens.first().map_or("", |t| t.text.as_str()).to_owned();
    for (i, token) in tokens.iter().enumerate() {
        match token.kind {
            Lex::Open => depth += 1,
            Lex::Close => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            Lex::Operator if token.text == "=" || (token.text.ends_with('=') && token.text.len() > 1) => {
                let comparison = matches!(token.text.as_str(), "==" | "!=" | "<=" | ">=" | ":=");
                if !comparison {
                    start = Some(i + 1);
                }
            }
            Lex::Name
                if i == 0 && matches!(first.as_str(), "return" | "if" | "elif" | "while" | "assert") =>
            {
                start = Some(1);
            }
            Lex::Name if first == "for" && token.text == "in" && start.is_none() => start = Some(i + 1),
            _ => {}
        }
    }
    if matches!(first.as_str(), "if" | "elif" | "while" | "for") && tokens.last().is_some_and(|t| t.is(":")) {
        end -= 1;
    }
    let Some(start) = start.filter(|s| *s < end) else { return tokens };
    // Real parentheses around all of it are black's own to keep.
    if tokens.get(start).is_some_and(|t| t.is("("))
        && matching(&tokens).and_then(|m| m.get(start).copied().flatten()) == Some(end - 1)
    {
        return tokens;
    }
    let mut out = Vec::with_capacity(tokens.len() + 2);
    for (i, mut token) in tokens.into_iter().enumerate() {
        if i == start {
            let space = std::mem::take(&mut token.space);
            out.push(Token { space, text: String::new(), kind: Lex::Open });
        }
        if i == end {
            out.push(Token { space: String::new(), text: String::new(), kind: Lex::Close });
        }
        out.push(token);
    }
    if end + 2 > out.len() {
        out.push(Token { space: String::new(), text: String::new(), kind: Lex::Close });
    }
    out
}

/// For every bracket the index of its partner; `None` where they do not match.
pub(super) fn matching(tokens: &[Token]) -> Option<Vec<Option<usize>>> {
    let mut out = vec![None; tokens.len()];
    let mut open = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        match token.kind {
            Lex::Open => open.push(i),
            Lex::Close => {
                let start = open.pop()?;
                *out.get_mut(start)? = Some(i);
                *out.get_mut(i)? = Some(start);
            }
            _ => {}
        }
    }
    open.is_empty().then_some(out)
}

fn text_of(tokens: &[Token]) -> String {
    let mut out = String::new();
    for token in tokens {
        if !out.is_empty() {
            out.push_str(&token.space);
        }
        out.push_str(&token.text);
    }
    out
}

/// The priority of the split after each token of a line.
fn delimiters(tokens: &[Token]) -> Vec<u8> {
    let mut out = vec![0u8; tokens.len()];
    let mut depth = 0usize;
    let mut in_target = false;
    let mut lambdas = 0usize;
    let mut seen_for = false;
    for (i, token) in tokens.iter().enumerate() {
        if token.kind == Lex::Close {
            depth = depth.saturating_sub(1);
        }
        if depth == 0 {
            let previous = i.checked_sub(1).and_then(|p| tokens.get(p));
            if token.is("in") && in_target {
                in_target = false;
            } else if token.is(":") && lambdas > 0 {
                lambdas -= 1;
            } else if !in_target && lambdas == 0 {
                let priority = before(tokens, i, previous, seen_for);
                if priority > 0
                    && let Some(slot) = i.checked_sub(1).and_then(|p| out.get_mut(p))
                {
                    *slot = (*slot).max(priority);
                }
                if token.is(",")
                    && let Some(slot) = out.get_mut(i)
                {
                    *slot = COMMA;
                }
            }
            if token.is("for") {
                in_target = true;
                seen_for = true;
            }
            if token.is("lambda") {
                lambdas += 1;
            }
        }
        if token.kind == Lex::Open {
            depth += 1;
        }
    }
    out
}

fn before(tokens: &[Token], i: usize, previous: Option<&Token>, seen_for: bool) -> u8 {
    let (Some(token), Some(previous)) = (tokens.get(i), previous) else { return 0 };
    if token.kind == Lex::String {
        return if previous.kind == Lex::String { STRING } else { 0 };
    }
    let operand = matches!(previous.kind, Lex::Close | Lex::String)
        || (previous.kind == Lex::Name && !is_operator_word(&previous.text));
    match token.text.as_str() {
        "." if previous.kind == Lex::Close => DOT,
        "for" => COMPREHENSION,
        "async" => COMPREHENSION,
        "if" if seen_for && !has_else(tokens, i) => COMPREHENSION,
        "if" | "else" => TERNARY,
        "and" | "or" => LOGIC,
        "in" if previous.is("not") => 0,
        "not" if tokens.get(i + 1).is_some_and(|t| t.is("in")) => COMPARATOR,
        "in" | "is" | "<" | ">" | "==" | "!=" | "<=" | ">=" => COMPARATOR,
        "|" if operand => 9,
        "^" if operand => 8,
        "&" if operand => 7,
        "<<" | ">>" if operand => 6,
        "+" | "-" if operand => 5,
        "*" | "/" | "//" | "%" | "@" if operand => 4,
        _ => 0,
    }
}

fn is_operator_word(word: &str) -> bool {
    matches!(
        word,
        "return" | "in" | "not" | "and" | "or" | "is" | "if" | "else" | "lambda" | "yield" | "await" | "for"
    )
}

fn has_else(tokens: &[Token], i: usize) -> bool {
    let mut depth = 0i32;
    for token in tokens.iter().skip(i + 1) {
        match token.kind {
            Lex::Open => depth += 1,
            Lex::Close => depth -= 1,
            _ => {}
        }
        if depth < 0 || (depth == 0 && (token.is("for") || token.is("if") || token.is(","))) {
            return false;
        }
        if depth == 0 && token.is("else") {
            return true;
        }
    }
    false
}

struct Wrapper {
    indent: usize,
    unit: usize,
    limit: usize,
}

struct Split {
    head: Line,
    body: Line,
    tail: Line,
    /// The closing bracket, as an index into the line.
    close: usize,
    is_invisible: bool,
}

impl Wrapper {
    fn width(&self, line: &Line) -> usize {
        self.indent + self.unit * line.depth + text_of(&line.tokens).chars().count()
    }

    fn fits(&self, line: &Line) -> bool {
        self.width(line) <= self.limit
    }

    fn lines(&self, line: Line, nesting: usize, force_parens: bool) -> Vec<Line> {
        if nesting > MAX_DEPTH || (!line.must_split && self.fits(&line)) {
            return vec![line];
        }
        if line.inside
            && let Some(parts) = self.delimiter_split(&line)
        {
            return parts.into_iter().flat_map(|l| self.lines(l, nesting + 1, false)).collect();
        }
        let Some(parts) = self.right_hand(&line, force_parens) else { return vec![line] };
        if parts.len() == 1 {
            return parts;
        }
        let first_fits = parts.first().is_some_and(|l| self.fits(l));
        let done: Vec<Line> = parts.into_iter().flat_map(|l| self.lines(l, nesting + 1, false)).collect();
        if !force_parens && !first_fits && line.tokens.iter().any(Token::is_invisible) {
            let second = self.lines(line, nesting + 1, true);
            if second.iter().all(|l| self.fits(l)) {
                return second;
            }
        }
        done
    }

    fn delimiter_split(&self, line: &Line) -> Option<Vec<Line>> {
        let delimiters = delimiters(&line.tokens);
        let last = line.tokens.len().checked_sub(1)?;
        let priority = delimiters.iter().take(last).copied().max().filter(|p| *p > 0)?;
        if priority == DOT && delimiters.iter().filter(|p| **p == DOT).count() == 1 {
            return None;
        }
        let mut out = Vec::new();
        let mut current = Vec::new();
        for (token, delimiter) in line.tokens.iter().zip(&delimiters) {
            current.push(token.clone());
            if *delimiter == priority {
                out.push(std::mem::take(&mut current));
            }
        }
        if !current.is_empty() {
            let open = current.iter().any(|t| t.is("*") || t.is("**")) && current.len() < 2;
            if priority == COMMA && !open {
                current.push(Token { space: String::new(), text: ",".to_owned(), kind: Lex::Operator });
            }
            out.push(current);
        }
        if out.len() < 2 && !line.must_split {
            return None;
        }
        Some(
            out.into_iter()
                .map(|tokens| Line { tokens, depth: line.depth, inside: true, must_split: false })
                .collect(),
        )
    }

    /// Splits at the last bracket that leaves a first line that fits.
    fn right_hand(&self, line: &Line, force_parens: bool) -> Option<Vec<Line>> {
        for omit in self.trailers(line) {
            let Some(parts) = self.split_at(line, &omit, force_parens, 0) else { continue };
            if parts.first().is_some_and(|l| self.fits(l)) {
                return Some(parts);
            }
        }
        self.split_at(line, &[], force_parens, 0)
    }

    /// Sets of closing brackets at the end that may be passed over, smallest first.
    fn trailers(&self, line: &Line) -> Vec<Vec<usize>> {
        let mut out = vec![Vec::new()];
        let Some(pairs) = matching(&line.tokens) else { return out };
        let mut omit: Vec<usize> = Vec::new();
        let mut length = self.indent + self.unit * line.depth;
        let mut inner: Vec<usize> = Vec::new();
        let mut closing: Option<usize> = None;
        let mut until: Option<usize> = None;
        for (i, token) in line.tokens.iter().enumerate().rev() {
            length += token.space.chars().count() + token.text.chars().count();
            if length > self.limit {
                break;
            }
            if let Some(open) = until {
                if i == open {
                    until = None;
                } else if token.kind == Lex::Close {
                    inner.push(i);
                }
            } else if token.kind == Lex::Close {
                let open = pairs.get(i).copied().flatten();
                if open.is_some_and(|o| o + 1 == i) {
                    inner.push(i);
                    continue;
                }
                if let Some(closing) = closing {
                    omit.push(closing);
                    omit.append(&mut inner);
                    out.push(omit.clone());
                }
                if !token.is_invisible() {
                    until = open;
                    closing = Some(i);
                }
            }
        }
        out
    }

    fn first_split(&self, line: &Line, omit: &[usize]) -> Option<Split> {
        let pairs = matching(&line.tokens)?;
        let close = (0..line.tokens.len()).rev().find(|i| {
            line.tokens.get(*i).is_some_and(|t| t.kind == Lex::Close)
                && !omit.contains(i)
                && pairs.get(*i).copied().flatten().is_some_and(|o| o + 1 < *i)
                // A bracket inside one that was passed over is not at the end of the line.
                && !omit.iter().any(|o| {
                    pairs.get(*o).copied().flatten().is_some_and(|open| open < *i && *i < *o)
                })
        })?;
        let open = pairs.get(close).copied().flatten()?;
        let part = |range: &[Token], depth: usize, inside: bool| {
            let mut tokens = range.to_vec();
            if let Some(first) = tokens.first_mut() {
                first.space.clear();
            }
            Line { tokens, depth, inside, must_split: false }
        };
        let head = part(line.tokens.get(..=open)?, line.depth, line.inside);
        let mut body = part(line.tokens.get(open + 1..close)?, line.depth + 1, true);
        let tail = part(line.tokens.get(close..)?, line.depth, line.inside);
        let opening = line.tokens.get(open)?;
        let is_display = match open.checked_sub(1).and_then(|p| line.tokens.get(p)) {
            Some(before) => {
                !(matches!(before.kind, Lex::Close | Lex::String)
                    || (before.kind == Lex::Name && !is_operator_word(&before.text)))
            }
            None => true,
        };
        if is_display && !opening.is_invisible() {
            let last = body.tokens.len().saturating_sub(1);
            let max = delimiters(&body.tokens).iter().take(last).copied().max();
            body.must_split = max == Some(COMMA);
        }
        Some(Split { head, body, tail, close, is_invisible: opening.is_invisible() })
    }

    fn split_at(&self, line: &Line, omit: &[usize], force_parens: bool, nesting: usize) -> Option<Vec<Line>> {
        let split = self.first_split(line, omit)?;
        if split.is_invisible && !force_parens && nesting < 4 && self.can_omit_parens(&split.body) {
            // What stands inside the passed-over parentheses is still at the end of the line.
            if let Some(parts) = self.split_inside(line, &split, omit) {
                return Some(parts);
            }
        }
        let mut out = Vec::new();
        for (mut part, closing) in [(split.head, false), (split.body, false), (split.tail, true)] {
            if split.is_invisible {
                let slot = if closing { part.tokens.first_mut() } else { part.tokens.last_mut() };
                if let Some(token) = slot.filter(|t| t.is_invisible()) {
                    token.text = if closing { ")" } else { "(" }.to_owned();
                }
            }
            if !part.tokens.is_empty() {
                out.push(part);
            }
        }
        Some(out)
    }

    /// The split of a line whose invisible parentheses are left out.
    fn split_inside(&self, line: &Line, split: &Split, omit: &[usize]) -> Option<Vec<Line>> {
        let pairs = matching(&line.tokens)?;
        let open = pairs.get(split.close).copied().flatten()?;
        let mut tokens = Vec::with_capacity(line.tokens.len());
        let mut moved: Vec<usize> = Vec::new();
        for (i, token) in line.tokens.iter().enumerate() {
            if i == open || i == split.close {
                continue;
            }
            if omit.contains(&i) {
                moved.push(tokens.len());
            }
            let mut token = token.clone();
            if i == open + 1 {
                token.space = line.tokens.get(open)?.space.clone();
            }
            tokens.push(token);
        }
        let plain = Line { tokens, ..line.clone() };
        for omit in self.trailers(&plain) {
            if let Some(parts) = self.split_at(&plain, &omit, false, 5)
                && parts.first().is_some_and(|l| self.fits(l))
            {
                return Some(parts);
            }
        }
        self.split_at(&plain, &moved, false, 5)
    }

    /// Whether the value reads as well without parentheses around it.
    fn can_omit_parens(&self, body: &Line) -> bool {
        let delimiters = delimiters(&body.tokens);
        let last_index = body.tokens.len().saturating_sub(1);
        let Some(max) = delimiters.iter().take(last_index).copied().max().filter(|p| *p > 0) else {
            return true;
        };
        if delimiters.iter().filter(|p| **p == max).count() > 1 {
            return false;
        }
        if max == DOT {
            return true;
        }
        let Some(pairs) = matching(&body.tokens) else { return false };
        let base = self.indent + self.unit * body.depth.saturating_sub(1);
        let width = |tokens: &[Token]| base + text_of(tokens).chars().count();
        if body.tokens.first().is_some_and(|t| t.kind == Lex::Open)
            && let Some(close) = pairs.first().copied().flatten()
            && close > 1
            && body.tokens.get(close..).is_some_and(|rest| {
                !rest.iter().skip(1).any(|t| t.kind == Lex::Open) && width(rest) <= self.limit
            })
        {
            return true;
        }
        if body.tokens.last().is_some_and(|t| t.kind == Lex::Close)
            && let Some(open) = pairs.get(last_index).copied().flatten()
            && open + 1 < last_index
        {
            let head = body.tokens.get(..=open).unwrap_or_default();
            return head.iter().take(open).any(|t| t.kind == Lex::Open) || width(head) <= self.limit;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(code: &str, indent: usize, inside: bool) -> String {
        let code = code.trim();
        wrap(code, &" ".repeat(indent), "    ", inside, 88, "\n").unwrap_or_else(|| code.to_owned())
    }

    #[test]
    fn long_lines_are_split_as_black_splits_them() {
        for (code, inside, expected) in [
            (
                "return ' / '.join(Book.objects.filter(author=author, status=status).values_list('title', flat=True))",
                false,
                "    return ' / '.join(\n        Book.objects.filter(author=author, status=status).values_list(\n            'title', flat=True\n        )\n    )",
            ),
            (
                "return sorted(Book.objects.all().values_list(\"title\", flat=True), key=str.lower, reverse=True)",
                false,
                "    return sorted(\n        Book.objects.all().values_list(\"title\", flat=True), key=str.lower, reverse=True\n    )",
            ),
            (
                "found = [subtitle for subtitle in Book.objects.all().values_list(\"subtitle\", flat=True) if subtitle]",
                false,
                "    found = [\n        subtitle\n        for subtitle in Book.objects.all().values_list(\"subtitle\", flat=True)\n        if subtitle\n    ]",
            ),
            (
                "return Chapter.objects.filter(book_id__in=Book.objects.filter(status=status).values_list(\"id\", flat=True)).count()",
                false,
                "    return Chapter.objects.filter(\n        book_id__in=Book.objects.filter(status=status).values_list(\"id\", flat=True)\n    ).count()",
            ),
            (
                "Chapter.objects.filter(book_id__in=list(old.values_list(\"id\", flat=True))).update(number=0)",
                false,
                "    Chapter.objects.filter(book_id__in=list(old.values_list(\"id\", flat=True))).update(\n        number=0\n    )",
            ),
            (
                "return list(Chapter.objects.filter(book_id__in=books).order_by(\"pk\").values_list(\"title\", flat=True))",
                false,
                "    return list(\n        Chapter.objects.filter(book_id__in=books)\n        .order_by(\"pk\")\n        .values_list(\"title\", flat=True)\n    )",
            ),
            (
                "for chapter in Chapter.objects.filter(book_id__in=live.values_list(\"id\", flat=True), number=1):",
                false,
                "    for chapter in Chapter.objects.filter(\n        book_id__in=live.values_list(\"id\", flat=True), number=1\n    ):",
            ),
        ] {
            assert_eq!(wrapped(code, 4, inside), expected);
        }
    }
}
