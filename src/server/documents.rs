//! The buffers that a client has open, as it tells of their changes.

use super::position::{Encoding, Lines};
use lsp_types::{Position, Range, TextDocumentContentChangeEvent, TextDocumentItem, Uri};
use ormend_engine::text::Source;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// The byte order mark, as a buffer may hold it.
const BOM: char = '\u{feff}';

/// One version of a buffer.
#[derive(Clone, Debug)]
pub struct Document {
    /// As the client calls it.
    pub uri: Uri,
    /// The client's number of this version.
    pub version: i32,
    text: String,
    lines: Lines,
    /// The number of the newest version, which all of them share.
    newest: Arc<AtomicI32>,
}

impl Document {
    /// A buffer that was opened.
    pub fn opened(item: TextDocumentItem) -> Document {
        Document {
            uri: item.uri,
            version: item.version,
            lines: Lines::of(&item.text),
            text: item.text,
            newest: Arc::new(AtomicI32::new(item.version)),
        }
    }

    /// The next version, with `changes` made one after the other.
    pub fn changed(
        &self,
        version: i32,
        changes: Vec<TextDocumentContentChangeEvent>,
        encoding: Encoding,
    ) -> Document {
        let (mut text, mut lines) = (self.text.clone(), self.lines.clone());
        for change in changes {
            match change.range {
                None => text = change.text,
                Some(range) => {
                    let start = lines.offset(&text, range.start, encoding);
                    let end = lines.offset(&text, range.end, encoding);
                    text.replace_range(start.min(end)..start.max(end), &change.text);
                }
            }
            lines = Lines::of(&text);
        }
        self.newest.store(version, Ordering::SeqCst);
        Document { uri: self.uri.clone(), version, text, lines, newest: Arc::clone(&self.newest) }
    }

    /// Whether the client has told of a newer version.
    pub fn is_outdated(&self) -> bool {
        self.newest.load(Ordering::SeqCst) != self.version
    }

    /// The text as the engine knows it, which has no byte order mark.
    pub fn text(&self) -> &str {
        self.text.strip_prefix(BOM).unwrap_or(&self.text)
    }

    /// How many bytes of the buffer stand before [`Document::text`].
    fn ahead(&self) -> usize {
        self.text.len() - self.text().len()
    }

    /// The bytes of a file that holds the buffer: in the encoding that it declares. Where that lacks a character, the file is
    /// none that Python could read.
    pub fn bytes(&self) -> Vec<u8> {
        // The declaration alone decides, and it is ASCII.
        let head: String = self.text.split_inclusive(['\n', '\r']).take(4).collect();
        let head = head.replace(|c: char| c != BOM && !c.is_ascii(), "?").into_bytes();
        Source::new("", head).codec().encode(&self.text).unwrap_or_else(|| vec![0])
    }

    /// The offset in [`Document::text`] of a position.
    pub fn offset(&self, position: Position, encoding: Encoding) -> usize {
        self.lines.offset(&self.text, position, encoding).saturating_sub(self.ahead())
    }

    /// The range of bytes of [`Document::text`].
    pub fn range(&self, start: usize, end: usize, encoding: Encoding) -> Range {
        let ahead = self.ahead();
        self.lines.range(&self.text, start + ahead, end + ahead, encoding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        let uri = "file:///a.py".parse().unwrap();
        Document::opened(TextDocumentItem::new(uri, "python".to_owned(), 1, text.to_owned()))
    }

    fn change(range: Option<(u32, u32, u32, u32)>, text: &str) -> TextDocumentContentChangeEvent {
        let range = range.map(|(a, b, c, d)| Range::new(Position::new(a, b), Position::new(c, d)));
        TextDocumentContentChangeEvent { range, range_length: None, text: text.to_owned() }
    }

    #[test]
    fn changes_are_made_one_after_the_other() {
        let first = document("x = '\u{1f600}'\r\ny\n");
        let changes = vec![
            change(Some((0, 7, 0, 7)), "!"),
            change(Some((0, 0, 0, 1)), "long\n"),
            change(Some((9, 9, 9, 9)), "z"),
        ];
        let second = first.changed(2, changes, Encoding::Utf16);
        assert_eq!(second.text(), "long\n = '\u{1f600}!'\r\ny\nz");
        assert!(first.is_outdated() && !second.is_outdated());
        let whole =
            second.changed(3, vec![change(None, "a"), change(Some((0, 1, 0, 0)), "b")], Encoding::Utf8);
        assert_eq!(whole.text(), "b");
    }

    #[test]
    fn a_buffer_is_the_file_that_it_would_be() {
        let source = |text: &str| Source::new("a.py", document(text).bytes());
        assert_eq!(document("# coding: latin-1\n'\u{e9}'\n").bytes(), b"# coding: latin-1\n'\xe9'\n");
        assert_eq!(source("# coding: latin-1\n'\u{e9}'\n").text(), "# coding: latin-1\n'\u{e9}'\n");
        assert_eq!(source("'\u{e9}' # \u{20ac}\n").text(), "'\u{e9}' # \u{20ac}\n");
        assert!(source("# coding: latin-1\n'\u{20ac}'\n").problem().is_some());
        assert!(source("x\0y").problem().is_some());
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let marked = document("\u{feff}x = y\n");
        assert_eq!(marked.text(), "x = y\n");
        assert_eq!(Source::new("a.py", marked.bytes()).text(), "x = y\n");
        assert_eq!(marked.range(0, 1, Encoding::Utf16), Range::new(Position::new(0, 1), Position::new(0, 2)));
        assert_eq!(marked.offset(Position::new(0, 5), Encoding::Utf16), 4);
        assert_eq!(marked.offset(Position::new(0, 0), Encoding::Utf16), 0);
    }
}
