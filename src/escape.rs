//! Text from a project, made safe to show: a terminal must not obey it, and a reader must see what is there.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// Whether `c` would be obeyed by a terminal, or hides or reorders what stands next to it.
fn is_dangerous(c: char) -> bool {
    // The latter are those that Unicode says to show nothing for, but for variation selectors, and its line separators.
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        )
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}')
        || matches!(c, '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e00ff}')
}

/// Whether `text` is what most text is: nothing in it is dangerous, and no letter needs a thought.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
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
        _ if code <= 0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// A name or a message: one line, no control characters at all.
pub fn escape_line(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !text.contains(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    text.chars().for_each(|c| push_escaped(&mut out, c));
    Cow::Owned(out)
}

/// A path as the user gave it, as one line.
pub fn escape_path(path: &Path) -> String {
    escape_line(&path.to_string_lossy()).into_owned()
}

/// Several lines: newlines and tabs are kept.
pub fn escape_text(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !text.contains(|c| is_dangerous(c) && !matches!(c, '\n' | '\t')) {
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

/// Text as a code span of Markdown, in a cell of a table too, that shows it as it is: nothing in it is markup, a mention
/// or a link.
pub fn markdown_code(text: &str) -> String {
    let text = escape_line(text);
    if text.is_empty() {
        return String::new();
    }
    // A table is cut at every bar before spans are looked for, and how a backslash before one counts differs.
    if text.contains('|') {
        let mut out = "<code>".to_owned();
        for c in text.chars() {
            match c {
                c if c.is_ascii_punctuation() => out.push_str(&format!("&#{};", u32::from(c))),
                c => out.push(c),
            }
        }
        return out + "</code>";
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let is_spaced = text.starts_with(' ') && text.ends_with(' ') && !text.trim().is_empty();
    let pad = if text.starts_with('`') || text.ends_with('`') || is_spaced { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// What may stand behind a word.
const MARKS: [char; 7] = ['.', ',', ';', ':', '"', '!', '?'];

/// A message as Markdown: what it has in backticks, and every word that Markdown, or who shows it, could take for more
/// than a word, becomes a code span.
pub fn markdown_text(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // Without a partner the last backtick opens nothing.
    let is_paired = parts.len() % 2 == 1;
    let mut out = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index % 2 == 1 && is_paired {
            out.push_str(&markdown_code(part));
            continue;
        }
        if index > 0 && !is_paired {
            out.push_str(&markdown_code("`"));
        }
        for word in part.split_inclusive(' ') {
            let (word, space) = match word.strip_suffix(' ') {
                Some(word) => (word, " "),
                None => (word, ""),
            };
            let inner = word.trim_start_matches(['(', '"']);
            let (start, _) = word.split_at(word.len() - inner.len());
            let mut core = inner.trim_end_matches(MARKS);
            // `(by save())`
            while core.matches(')').count() > core.matches('(').count() && core.ends_with(')') {
                core = core.strip_suffix(')').unwrap_or(core).trim_end_matches(MARKS);
            }
            let (core, end) = inner.split_at(core.len());
            let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '\'' | ',' | '/' | '\u{2192}');
            let is_plain = core.chars().all(is_word) || matches!(core, "+" | "=" | "%");
            let core = if is_plain { core.to_owned() } else { markdown_code(core) };
            out.extend([start, &core, end, space]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escape_line("a\x1b[2J\nb\tc\u{9b}\u{202e}é"), "a\\x1b[2J\\nb\\tc\\x9b\\u202eé");
        assert_eq!(escape_text("a\x1b\n\tb\r"), "a\\x1b\n\tb\\r");
        assert_eq!(escape_line("\u{61c}\u{ad}\u{3164}\u{e0041}"), "\\u061c\\xad\\u3164\\U000e0041");
        assert_eq!(escape_line("e\u{301} \u{2764}\u{fe0f} \u{1f40d}"), "e\u{301} \u{2764}\u{fe0f} \u{1f40d}");
        assert!(matches!(escape_line("plain"), Cow::Borrowed(_)));
    }

    /// What a reader sees, and the markup around it.
    fn html(markdown: &str) -> String {
        let mut options = comrak::Options::default();
        options.extension.table = true;
        options.extension.autolink = true;
        options.extension.strikethrough = true;
        options.render.r#unsafe = true;
        comrak::markdown_to_html(markdown, &options)
    }

    fn shown(html: &str) -> String {
        html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    }

    #[test]
    fn a_code_span_shows_its_text_and_nothing_else() {
        for text in [
            "shop/views.py",
            "`",
            "``",
            "a`b``c",
            "`x",
            "x`",
            " x ",
            "  ",
            " x",
            "a|b",
            "a\\|b",
            "|",
            "x\\",
            "<script>alert(1)</script>",
            "a|<b>`*_@org/team",
            "@org/team",
            "#1",
            "https://example.com",
            "&lt;",
            "**x**",
            "~~x~~",
            "[a](b)",
            "![a](b)",
            "a\nb|c\n",
            "\u{202e}x",
        ] {
            let escaped = escape_line(text);
            let alone = html(&format!("see {} here", markdown_code(text)));
            let table = html(&format!("| a | b |\n|---|---|\n| {} | end |\n", markdown_code(text)));
            let code =
                alone.strip_prefix("<p>see <code>").and_then(|rest| rest.strip_suffix("</code> here</p>\n"));
            assert_eq!(code.map(shown).as_deref(), Some(&*escaped), "{text:?}: {alone}");
            assert!(!code.unwrap().contains(['<', '>']), "{alone}");
            let cell = table.split("<td>").nth(1).unwrap().trim_end().strip_suffix("</td>").unwrap();
            let cell = cell.strip_prefix("<code>").and_then(|rest| rest.strip_suffix("</code>"));
            assert_eq!(cell.map(shown).as_deref(), Some(&*escaped), "{text:?}: {table}");
            assert!(table.contains("<td>end</td>"), "{table}");
        }
        assert_eq!(markdown_code(""), "");
    }

    #[test]
    fn a_message_keeps_its_words_and_loses_its_markup() {
        assert_eq!(
            markdown_text("Fetch `author` with `select_related`"),
            "Fetch `author` with `select_related`"
        );
        assert_eq!(markdown_text("1 + N queries, (each) row."), "1 + N queries, (each) row.");
        assert_eq!(markdown_text("call save() of shop.Book."), "call `save()` of `shop.Book`.");
        assert_eq!(markdown_text("(by a.save()), \"x\":"), "(by `a.save()`), \"x\":");
        assert_eq!(markdown_text("a ` b @org"), "a `` ` `` b `@org`");
        for text in [
            "<script>alert(1)</script> and `<b>`",
            "*a* _b_ ~~c~~ **d**",
            "[a](b) ![c](d) <http://x.y>",
            "@org/team, (@ann) #12",
            "www.example.com https://example.com a@b.com",
            "a | `b|c` | d\n# e",
            "- x",
            "`",
            "x \\`y` z",
        ] {
            let table = html(&format!("| a | b |\n|---|---|\n| {} | end |\n", markdown_text(text)));
            let cell = table.split("<td>").nth(1).unwrap().trim_end().strip_suffix("</td>").unwrap();
            let bare = cell.replace("<code>", "").replace("</code>", "");
            assert!(!bare.contains(['<', '>']), "{text:?}: {cell}");
            let seen: String = shown(&bare).chars().filter(|c| *c != '`').collect();
            let said: String = escape_line(text).chars().filter(|c| *c != '`').collect();
            assert_eq!(seen, said.trim_end(), "{cell}");
            let outside: String =
                cell.split("<code>").map(|part| part.split_once("</code>").map_or(part, |p| p.1)).collect();
            assert!(!outside.contains(['@', '#', '*', '_', '|']) && !outside.contains("www."), "{cell}");
        }
    }
}
