//! A piece of a source file for miette: only the lines that labels need, and with control characters escaped.

use crate::escape::escape_text;
use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};
use ormend_engine::text::{Source, Span};

/// Lines around the labels.
const CONTEXT: usize = 1;
/// What is longer is not shown: a file of one endless line, or labels a whole large file apart.
const LIMIT: usize = 256 << 10;

/// Consecutive lines of a file.
#[derive(Debug)]
pub struct Excerpt {
    name: String,
    text: String,
    /// Where each line starts in the text.
    starts: Vec<usize>,
    /// The 0-based index of the first line.
    first: usize,
}

impl Excerpt {
    /// The lines of `source` that hold `spans`, and the spans' places in them, each cut to its first line.
    /// `None` if they are too long to show.
    pub fn new(source: &Source, name: String, spans: &[Span]) -> Option<(Excerpt, Vec<SourceSpan>)> {
        let lines = spans.iter().map(|span| source.line_index(span.start));
        let first = lines.clone().min()?.saturating_sub(CONTEXT);
        let last = (lines.max()? + CONTEXT).min(source.line_count().saturating_sub(1));
        if (source.line_start(last + 1) - source.line_start(first)) as usize > LIMIT {
            return None;
        }
        let mut text = String::new();
        let mut starts = Vec::new();
        for line in first..=last {
            starts.push(text.len());
            text.push_str(&escape_text(source.line_text(line)));
            text.push('\n');
        }
        let place = |span: &Span| {
            let line = source.line_index(span.start);
            let start = source.line_start(line);
            let code = source.line_text(line);
            let end = span.end.min(start + code.len() as u32).max(span.start);
            let column = |offset: u32| escape_text(source.slice(Span::new(start, offset))).len();
            let at = starts.get(line - first).copied().unwrap_or(0) + column(span.start);
            SourceSpan::from((at, column(end).saturating_sub(column(span.start))))
        };
        let places = spans.iter().map(place).collect();
        Some((Excerpt { name, text, starts, first }, places))
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        // miette counts lines from the beginning, for every label; it need not begin before what it gives.
        let line = self.starts.partition_point(|start| *start <= span.offset()).saturating_sub(1);
        let skipped = line.saturating_sub(before + 1);
        let from = self.starts.get(skipped).copied().unwrap_or(0);
        let rest = self.text.get(from..).unwrap_or_default();
        let contents = rest.read_span(&(span.offset() - from, span.len()).into(), before, after)?;
        let place = (contents.span().offset() + from, contents.span().len());
        // Of a `str` miette counts from its first line, and would join labels that stand far apart.
        let lines = contents.data().iter().filter(|byte| **byte == b'\n').count();
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            contents.data(),
            place.into(),
            contents.line() + skipped + self.first,
            contents.column(),
            lines,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a read of miette's own would begin does not show.
    #[test]
    fn what_is_read_is_what_miette_reads_of_the_whole() {
        let text = "one\n\n  two\nthree \u{e9}\n\n\nfour\n";
        let source = Source::new("a.py", text.as_bytes().to_vec());
        let all = [Span::new(0, 1), Span::new(text.len() as u32 - 3, text.len() as u32 - 2)];
        let (excerpt, _) = Excerpt::new(&source, "a.py".into(), &all).unwrap();
        let mut read = 0;
        for (start, _) in text.char_indices() {
            for (end, _) in text.char_indices().filter(|(end, _)| *end >= start) {
                for (before, after) in [(0, 0), (1, 1), (2, 1), (0, 3)] {
                    let span = SourceSpan::from((start, end - start));
                    let ours = excerpt.read_span(&span, before, after).unwrap();
                    let theirs = excerpt.text.read_span(&span, before, after).unwrap();
                    assert_eq!(ours.data(), theirs.data(), "{span:?} {before} {after}");
                    assert_eq!(ours.span(), theirs.span(), "{span:?} {before} {after}");
                    let place = (ours.line(), ours.column());
                    assert_eq!(place, (theirs.line(), theirs.column()), "{span:?} {before} {after}");
                    read += 1;
                }
            }
        }
        assert!(read > 1000, "{read}");
    }
}
