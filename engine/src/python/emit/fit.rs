//! The lines that edits make too long, laid out as black would.

use super::wrap::{Lex, Token, lex, matching, wrap};
use crate::python::{File, Kind, Node};
use crate::text::{Edit, Span, apply};

/// A logical line of more lines than this is left as it is.
const MOST_LINES: usize = 60;

/// `edits` of one file, with the lines they make too long split as black would. Lines with comments, strings over several
/// lines and brackets that a trailing comma keeps open stay as they are.
pub fn fit(file: &File, edits: Vec<Edit>, line_length: usize) -> Vec<Edit> {
    let source = &file.source;
    let mut edits = edits;
    edits.sort_by_key(|e| (e.span.start, e.span.end));
    // Edits on the same lines are one region.
    let mut regions: Vec<Region> = Vec::new();
    for edit in edits {
        let first = source.line_index(edit.span.start);
        let last = source.line_index(edit.span.end);
        match regions.last_mut() {
            Some(region) if first <= region.last => {
                region.last = region.last.max(last);
                region.edits.push(edit);
            }
            _ => regions.push(Region { first, last, edits: vec![edit] }),
        }
    }
    let begins: Vec<usize> = regions.iter().skip(1).map(|r| r.first).chain([source.line_count()]).collect();
    let mut out = Vec::new();
    for (region, below) in regions.into_iter().zip(begins) {
        match region.fitted(file, below, line_length) {
            Some(edit) => out.push(edit),
            None => out.extend(region.edits),
        }
    }
    out
}

/// Lines of a file, by 0-based index, and the edits that meet them.
struct Region {
    first: usize,
    last: usize,
    edits: Vec<Edit>,
}

impl Region {
    /// The region up to the line `last`, the whitespace at its end left out, and its text after the edits.
    fn applied(&self, file: &File, last: usize) -> Option<(Span, String)> {
        let source = &file.source;
        let start = source.line_start(self.first);
        let region =
            source.slice(Span::new(start, source.line_start(last) + source.line_text(last).len() as u32));
        let moved: Vec<Edit> = self
            .edits
            .iter()
            .map(|e| {
                let moved = Span::new(e.span.start.checked_sub(start)?, e.span.end.checked_sub(start)?);
                Some(Edit::replace(moved, e.text.clone()))
            })
            .collect::<Option<Vec<Edit>>>()?;
        let text = apply(region, &moved)?;
        Some((Span::new(start, start + region.trim_end().len() as u32), text.trim_end().to_owned()))
    }

    /// The whole region as one edit where a line is too long. The region may be made longer by the lines that close its
    /// brackets, but not up to `below`, where the next one begins.
    fn fitted(&self, file: &File, below: usize, line_length: usize) -> Option<Edit> {
        let source = &file.source;
        let newline = source.newline().as_str();
        let mut last = self.last;
        let (span, lines) = loop {
            let (span, text) = self.applied(file, last)?;
            let lines: Vec<Physical> = text.split(newline).map(Physical::of).collect::<Option<_>>()?;
            match lines.iter().map(|l| l.depth).sum::<i64>() {
                0 => break (span, lines),
                open if open > 0 && last + 1 < below && last - self.first < MOST_LINES => last += 1,
                _ => return None,
            }
        };
        // Code that goes beyond the limit has one of its own.
        let limit =
            (self.first..=last).map(|l| source.line_text(l).chars().count()).fold(line_length, usize::max);
        if lines.iter().all(|l| l.width <= limit) {
            return None;
        }
        let inside = self.is_inside(file)?;
        let mut out = Vec::new();
        let mut rest = lines.as_slice();
        while !rest.is_empty() {
            let mut depth = 0;
            let closed = rest.iter().position(|l| {
                depth += l.depth;
                depth == 0
            })?;
            let (logical, below) = rest.split_at_checked(closed + 1)?;
            rest = below;
            out.extend(laid_out(logical, inside, source.indent_unit(), limit));
        }
        Some(Edit::replace(span, out.join(newline)))
    }

    /// Whether the first line goes on with a statement that began above.
    fn is_inside(&self, file: &File) -> Option<bool> {
        let source = &file.source;
        let line = source.line_text(self.first);
        // The innermost statement is the last that holds the first edit, or the first code of the line where that is only
        // moved to the right.
        let code = source.line_start(self.first) + (line.len() - line.trim_start().len()) as u32;
        let at = self.edits.first()?.span.start.max(code);
        let statement = file
            .root()
            .descendants()
            .filter(|n| n.span().start <= at && at <= n.span().end)
            .filter_map(Node::statement)
            .last()?;
        // `elif ...:` begins a line of its own in the middle of its statement.
        let begins_clause = file.root().descendants().any(|n| {
            matches!(n.kind(), Kind::Elif | Kind::Else | Kind::ExceptHandler | Kind::MatchCase)
                && n.span().start == code
        });
        Some(source.line_index(statement.span().start) < self.first && !begins_clause)
    }
}

/// One line of text that holds no comment, no `\` and no part of a longer string.
struct Physical {
    text: String,
    tokens: Vec<Token>,
    width: usize,
    /// Brackets opened less those closed.
    depth: i64,
}

impl Physical {
    fn of(text: &str) -> Option<Physical> {
        let tokens = lex(text)?;
        let depth = tokens.iter().fold(0, |depth, t| match t.kind {
            Lex::Open => depth + 1,
            Lex::Close => depth - 1,
            _ => depth,
        });
        Some(Physical { text: text.to_owned(), tokens, width: text.chars().count(), depth })
    }

    /// The whitespace before the code, and the code.
    fn parts(&self) -> (&str, &str) {
        let code = self.text.trim_start();
        (self.text.get(..self.text.len() - code.len()).unwrap_or_default(), code.trim_end())
    }

    fn split(&self, inside: bool, unit: &str, limit: usize) -> Vec<String> {
        let (indent, code) = self.parts();
        // Several statements of a line are no line of black's.
        let is_one = !self.tokens.iter().any(|t| t.is(";"));
        let split =
            if self.width > limit && is_one { wrap(code, indent, unit, inside, limit, "\n") } else { None };
        split.map_or_else(|| vec![self.text.clone()], |s| s.split('\n').map(str::to_owned).collect())
    }
}

/// The lines of one logical line, none longer than `limit` where that can be.
fn laid_out(logical: &[Physical], inside: bool, unit: &str, limit: usize) -> Vec<String> {
    // A line that has its own brackets closed is split by itself; one whose brackets go on is split with all that follows.
    let alone = logical.iter().all(|l| l.width <= limit || matching(&l.tokens).is_some());
    if alone {
        return logical.iter().enumerate().flat_map(|(i, l)| l.split(inside || i > 0, unit, limit)).collect();
    }
    joined(logical)
        .map(|line| line.split(inside, unit, limit))
        .unwrap_or_else(|| logical.iter().map(|l| l.text.clone()).collect())
}

/// The one line that these are; `None` where a trailing comma says that they are to stay several.
fn joined(logical: &[Physical]) -> Option<Physical> {
    let (first, rest) = logical.split_first()?;
    let mut text = first.text.trim_end().to_owned();
    let mut last = first.tokens.last();
    for line in rest {
        let Some(next) = line.tokens.first() else { continue };
        let (opened, closes) = (last.is_some_and(|t| t.kind == Lex::Open), next.kind == Lex::Close);
        if closes && last.is_some_and(|t| t.is(",")) {
            return None;
        }
        if !opened && !closes && !next.is(".") {
            text.push(' ');
        }
        text.push_str(line.parts().1);
        last = line.tokens.last();
    }
    Physical::of(&text)
}
