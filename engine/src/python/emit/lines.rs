//! Whole lines of statements.

use crate::text::{Edit, Span};

/// The end of the last line of a loop: what stands behind its last statement, and comments of its body below,
/// belong to it.
pub fn end_of_loop(text: &str, end: u32, indent: &str) -> u32 {
    let line_end = |from: usize| text.get(from..).and_then(|t| t.find('\n')).map_or(text.len(), |n| from + n);
    let mut at = line_end(end as usize);
    let mut last = at;
    while at < text.len() {
        let start = at + 1;
        let stop = line_end(start);
        let line = text.get(start..stop).unwrap_or("");
        let own = line.len() - line.trim_start().len();
        if line.trim().is_empty() {
            at = stop;
            if start >= text.len() {
                break;
            }
            continue;
        }
        if !line.trim_start().starts_with('#') || own <= indent.len() {
            break;
        }
        last = stop;
        at = stop;
    }
    let at = last;
    if text.get(..at).is_some_and(|t| t.ends_with('\r')) { at as u32 - 1 } else { at as u32 }
}

/// The end of the line on which a statement ends, without its line break.
pub fn end_of_line(text: &str, from: u32) -> u32 {
    let rest = text.get(from as usize..).unwrap_or("");
    let line = rest.split('\n').next().unwrap_or("");
    from + line.trim_end_matches('\r').len() as u32
}

/// A statement with its line, or only itself where something else stands there.
pub fn whole_line(text: &str, span: Span) -> Edit {
    let start = text.get(..span.start as usize).and_then(|t| t.rfind('\n')).map_or(0, |n| n + 1);
    let end = text
        .get(span.end as usize..)
        .and_then(|t| t.find('\n'))
        .map_or(text.len(), |n| span.end as usize + n + 1);
    let alone = |a: usize, b: usize| text.get(a..b).is_some_and(|t| t.trim().is_empty());
    if alone(start, span.start as usize) && alone(span.end as usize, end) {
        let end = with_blank_lines(text, start, end);
        return Edit::delete(Span::new(start as u32, end as u32));
    }
    let rest = text.get(span.end as usize..).unwrap_or("");
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    Edit::delete(Span::new(span.start, span.end + blanks as u32))
}

/// A statement with its line and the line break before it, so that what is inserted behind it stays outside.
pub fn line_with_break(text: &str, span: Span) -> Edit {
    let before = text.get(..span.start as usize).unwrap_or("");
    let lead = before.trim_end_matches([' ', '\t']);
    let end = end_of_line(text, span.end);
    let is_alone = lead.ends_with('\n')
        && text.get(span.end as usize..end as usize).is_some_and(|rest| rest.trim().is_empty());
    if !is_alone {
        return whole_line(text, span);
    }
    let behind =
        text.get(end as usize..).and_then(|t| t.find('\n')).map_or(text.len(), |n| end as usize + n + 1);
    let behind = with_blank_lines(text, span.start as usize, behind);
    // The last break stays.
    let whole = without_break(text.get(..behind).unwrap_or(""));
    Edit::delete(Span::new(without_break(lead).len() as u32, whole.len() as u32))
}

/// `text` without the line break that it ends in.
fn without_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// The end of a statement's lines, `end`, or of the blank lines below where the statement at `start` is the first of its block:
/// nothing stands between a block's header and its code.
fn with_blank_lines(text: &str, start: usize, end: usize) -> usize {
    if begins_block(text, start) { end + blank_lines(text, end) } else { end }
}

/// Whether the line of code above `at` opens a block, so that a statement there is the first of it.
fn begins_block(text: &str, at: usize) -> bool {
    let above = text.get(..at).unwrap_or("").trim_end_matches([' ', '\t']);
    above.ends_with(":\n") || above.ends_with(":\r\n")
}

/// The length of the blank lines, their breaks included, that begin at `from`, the start of a line.
fn blank_lines(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or("");
    let code = rest.len() - rest.trim_start().len();
    rest.get(..code).and_then(|blank| blank.rfind('\n')).map_or(0, |n| n + 1)
}
