//! A template's text cut into tags and outputs, as each language does it.

use super::ast::Language;
use crate::text::Span;
use memchr::{memchr, memmem};

/// What stands between two delimiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub is_tag: bool,
    /// With the delimiters.
    pub span: Span,
    /// Without them and without the white space next to them.
    pub inner: Span,
}

/// Whether `text` holds anything that a template does.
pub fn has_tags(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = memchr(b'{', rest) {
        rest = rest.get(at + 1..).unwrap_or_default();
        if matches!(rest.first(), Some(b'%' | b'{')) {
            return true;
        }
    }
    false
}

/// The tags and outputs of `text`, in order, and what is begun but never ended. Comments, and what `verbatim` and
/// `raw` hold, are left out.
pub(super) fn tokens(text: &str, language: Language) -> (Vec<Token>, Option<Span>) {
    match language {
        // An opening delimiter without its end is text in Django's language.
        Language::Django => (django(text), None),
        Language::Jinja => jinja(text),
    }
}

fn inner(text: &str, from: usize, to: usize) -> Span {
    let inside = text.get(from..to).unwrap_or("");
    let start = from + (inside.len() - inside.trim_start().len());
    Span::new(start as u32, (start + inside.trim().len()) as u32)
}

fn slice(text: &str, span: Span) -> &str {
    text.get(span.range()).unwrap_or("")
}

/// The first word of a tag's content.
fn word(content: &str) -> &str {
    content.split_whitespace().next().unwrap_or("")
}

/// Django's `tag_re`: a tag ends on the line where it begins, or it is text.
fn django(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    // Up to where no `%}`, `}}` and `#}` stands, so that a line is searched once for each.
    let mut none_before = [0; 3];
    // What a `verbatim` or a `comment` waits for.
    let mut verbatim: Option<String> = None;
    let mut in_comment = false;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr(b'{', rest)) {
        let start = at + found;
        at = start + 1;
        let (kind, close) = match bytes.get(start + 1) {
            Some(b'%') => (0, "%}"),
            Some(b'{') => (1, "}}"),
            Some(b'#') => (2, "#}"),
            _ => continue,
        };
        let from = start + 2;
        if none_before.get(kind).is_some_and(|&end| from <= end && end > 0) {
            continue;
        }
        let line = bytes.get(from..).unwrap_or_default();
        let Some(end) = close_in_line(line, close.as_bytes()) else {
            if let Some(end) = none_before.get_mut(kind) {
                *end = from + memchr(b'\n', line).unwrap_or(line.len());
            }
            continue;
        };
        let (to, end) = (from + end, from + end + 2);
        at = end;
        let token = Token {
            is_tag: kind == 0,
            span: Span::new(start as u32, end as u32),
            inner: inner(text, from, to),
        };
        let content = slice(text, token.inner);
        if let Some(wanted) = &verbatim {
            if token.is_tag && content == wanted {
                verbatim = None;
            }
        } else if token.is_tag && (content == "verbatim" || content.starts_with("verbatim ")) {
            verbatim = Some(format!("end{content}"));
        } else if in_comment {
            in_comment = !(token.is_tag && content == "endcomment");
        } else if token.is_tag && word(content) == "comment" {
            in_comment = true;
        } else if kind != 2 {
            out.push(token);
        }
    }
    out
}

/// Where `close` stands in what is left of a line.
fn close_in_line(line: &[u8], close: &[u8]) -> Option<usize> {
    let (&first, &second) = (close.first()?, close.get(1)?);
    let mut at = 0;
    loop {
        let rest = line.get(at..)?;
        let found = memchr::memchr2(first, b'\n', rest)?;
        if rest.get(found) == Some(&b'\n') {
            return None;
        }
        if rest.get(found + 1) == Some(&second) {
            return Some(at + found);
        }
        at += found + 1;
    }
}

/// Jinja's lexer: a tag ends at the first delimiter outside of strings and brackets.
fn jinja(text: &str) -> (Vec<Token>, Option<Span>) {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr(b'{', rest)) {
        let start = at + found;
        let from = start + 2;
        let is_tag = match bytes.get(start + 1) {
            Some(b'%') => true,
            Some(b'{') => false,
            Some(b'#') => {
                let rest = bytes.get(from..).unwrap_or_default();
                let Some(end) = memmem::find(rest, b"#}") else { return (out, unclosed(start)) };
                at = from + end + 2;
                continue;
            }
            _ => {
                at = start + 1;
                continue;
            }
        };
        let close = if is_tag { b'%' } else { b'}' };
        let Some(to) = jinja_end(bytes, from, close) else { return (out, unclosed(start)) };
        at = to + 2;
        let (mut from, mut to) = (from, to);
        if matches!(bytes.get(from), Some(b'-' | b'+')) && from < to {
            // `{{ -x }}` has a space; a sign next to the delimiter is white space control.
            from += 1;
        }
        if from < to && matches!(bytes.get(to - 1), Some(b'-' | b'+')) {
            to -= 1;
        }
        let token = Token { is_tag, span: Span::new(start as u32, at as u32), inner: inner(text, from, to) };
        if is_tag && slice(text, token.inner) == "raw" {
            let Some(end) = raw_end(text, at) else { return (out, unclosed(start)) };
            at = end;
            continue;
        }
        out.push(token);
    }
    (out, None)
}

/// The delimiter at `start`, which nothing closes. Jinja gives up there.
fn unclosed(start: usize) -> Option<Span> {
    Some(Span::new(start as u32, start as u32 + 2))
}

/// Where the closing delimiter `close` + `}` stands.
fn jinja_end(bytes: &[u8], from: usize, close: u8) -> Option<usize> {
    let mut at = from;
    let mut open = 0u32;
    loop {
        let byte = *bytes.get(at)?;
        if byte == close && bytes.get(at + 1) == Some(&b'}') && open == 0 {
            return Some(at);
        }
        match byte {
            // Jinja gives up at a string without an end.
            b'\'' | b'"' => at = string_end(bytes, at)?,
            b'{' | b'(' | b'[' => open += 1,
            b'}' | b')' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
}

/// The closing quote of the string that begins at `at`.
pub(super) fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let quote = *bytes.get(at)?;
    let mut at = at + 1;
    loop {
        let rest = bytes.get(at..)?;
        let found = memchr::memchr2(quote, b'\\', rest)?;
        if rest.get(found) == Some(&quote) {
            return Some(at + found);
        }
        at += found + 2;
    }
}

/// Behind the `{% endraw %}` that follows.
fn raw_end(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find("{%")?;
        at = start + 2;
        let rest = text.get(at..)?;
        let head = rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_start();
        let Some(tail) = head.strip_prefix("endraw") else { continue };
        let tail = tail.trim_start();
        let tail = tail.strip_prefix(['-', '+']).unwrap_or(tail);
        if let Some(tail) = tail.strip_prefix("%}") {
            return Some(text.len() - tail.len());
        }
    }
}
