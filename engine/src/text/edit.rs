//! Replacements of byte spans, and their application.

use super::Span;
use serde::{Deserialize, Serialize};

/// Replace the bytes of `span` by `text`. An insertion has an empty span.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Edit {
    /// What is replaced.
    pub span: Span,
    /// By what.
    pub text: String,
}

impl Edit {
    /// Replace `span` by `text`.
    pub fn replace(span: Span, text: impl Into<String>) -> Edit {
        Edit { span, text: text.into() }
    }

    /// Insert `text` before the byte at `offset`.
    pub fn insert(offset: u32, text: impl Into<String>) -> Edit {
        Edit { span: Span::at(offset), text: text.into() }
    }

    /// Delete `span`.
    pub fn delete(span: Span) -> Edit {
        Edit { span, text: String::new() }
    }
}

/// `text` with `edits` applied; `None` if two overlap or one lies outside or off a character boundary.
/// Edits may come in any order; insertions at one offset keep theirs.
pub fn apply(text: &str, edits: &[Edit]) -> Option<String> {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let mut out = String::with_capacity(text.len() + edits.iter().map(|e| e.text.len()).sum::<usize>());
    let mut at = 0usize;
    for edit in sorted {
        let (start, end) = (edit.span.start as usize, edit.span.end as usize);
        if start < at || end < start {
            return None;
        }
        out.push_str(text.get(at..start)?);
        text.get(start..end)?;
        out.push_str(&edit.text);
        at = end;
    }
    out.push_str(text.get(at..)?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_apply_in_any_order() {
        let edits = [Edit::replace(Span::new(4, 5), "2"), Edit::insert(0, "("), Edit::insert(5, ")")];
        assert_eq!(apply("x = 1\n", &edits).as_deref(), Some("(x = 2)\n"));
        assert_eq!(apply("", &[]).as_deref(), Some(""));
    }

    #[test]
    fn insertions_at_one_place_keep_their_order() {
        let edits = [Edit::insert(1, "b"), Edit::delete(Span::new(1, 2)), Edit::insert(1, "c")];
        assert_eq!(apply("axd", &edits).as_deref(), Some("abcd"));
    }

    #[test]
    fn bad_edits_apply_nothing() {
        for edits in [
            vec![Edit::delete(Span::new(0, 2)), Edit::delete(Span::new(1, 3))],
            vec![Edit::delete(Span::new(2, 1))],
            vec![Edit::delete(Span::new(0, 9))],
            vec![Edit::insert(9, "x")],
            vec![Edit::insert(2, "x")],
            vec![Edit::delete(Span::new(0, 3)), Edit::insert(1, "x")],
        ] {
            assert_eq!(apply("aéb", &edits), None, "{edits:?}");
        }
    }
}
