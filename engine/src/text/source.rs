//! One file in memory: its bytes, the UTF-8 text that the engine works on, and the way back.

use super::Span;

/// A 1-based line and a 1-based column, counted in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineColumn {
    /// 1 for the first line.
    pub line: u32,
    /// 1 for the first character of the line.
    pub column: u32,
}

/// A file as the engine sees it. Spans are byte offsets into [`Source::text`].
#[derive(Clone, Debug)]
pub struct Source {
    path: String,
    text: String,
    lines: Vec<u32>,
}

impl Source {
    /// Decode `bytes`, the content of the file at `path` (relative to the project root, with `/`).
    pub fn new(path: impl Into<String>, bytes: Vec<u8>) -> Source {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1))
            .collect();
        Source { path: path.into(), text, lines }
    }

    /// The path, relative to the project root, with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The decoded text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of `span`, or nothing if it lies outside.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }

    /// Where `offset` stands.
    pub fn line_column(&self, offset: u32) -> LineColumn {
        let line = self.lines.partition_point(|&start| start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start as usize..offset as usize).map_or(0, |s| s.chars().count());
        LineColumn { line: line as u32, column: column as u32 + 1 }
    }
}
