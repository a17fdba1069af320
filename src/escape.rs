//! Text from a project, made safe to show: a terminal must not obey it, and a reader must see what is there.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether `c` would be obeyed by a terminal, or hides or reorders what stands next to it.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Append `c`, escaped as Python would where it must be.
pub fn push_escaped(out: &mut String, c: char) {
    if !is_dangerous(c) {
        out.push(c);
        return;
    }
    let code = u32::from(c);
    // Writing to a String cannot fail.
    let _ = match c {
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        _ if code <= 0xff => write!(out, "\\x{code:02x}"),
        _ => write!(out, "\\u{code:04x}"),
    };
}

/// A name or a message: one line, no control characters at all.
pub fn escape_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    text.chars().for_each(|c| push_escaped(&mut out, c));
    Cow::Owned(out)
}

/// Several lines: newlines and tabs are kept.
pub fn escape_text(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_dangerous(c) && !matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            _ => push_escaped(&mut out, c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escape_line("a\x1b[2J\nb\tc\u{9b}\u{202e}é"), "a\\x1b[2J\\nb\\tc\\x9b\\u202eé");
        assert_eq!(escape_text("a\x1b\n\tb\r"), "a\\x1b\n\tb\\r");
        assert!(matches!(escape_line("plain"), Cow::Borrowed(_)));
    }
}
