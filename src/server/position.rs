//! Positions of the protocol, and the bytes of a text that they stand for.
//!
//! Whatever a client asks for, the answer is a place in the text: what is beyond the end of a line or of the text is taken for
//! its end, and what is inside of a character for its start.

use lsp_types::{Position, PositionEncodingKind, Range};

/// The unit in which a client counts within a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Utf16,
    Utf32,
}

impl Encoding {
    /// The best of those that a client offers: the engine's own, else the one that all clients have.
    pub fn of(offered: &[PositionEncodingKind]) -> Encoding {
        let has = |kind: &PositionEncodingKind| offered.contains(kind);
        match () {
            () if has(&PositionEncodingKind::UTF8) => Encoding::Utf8,
            () if has(&PositionEncodingKind::UTF16) => Encoding::Utf16,
            () if has(&PositionEncodingKind::UTF32) => Encoding::Utf32,
            () => Encoding::Utf16,
        }
    }

    /// Its name.
    pub fn kind(self) -> PositionEncodingKind {
        match self {
            Encoding::Utf8 => PositionEncodingKind::UTF8,
            Encoding::Utf16 => PositionEncodingKind::UTF16,
            Encoding::Utf32 => PositionEncodingKind::UTF32,
        }
    }

    /// How many units `c` takes.
    fn width(self, c: char) -> usize {
        match self {
            Encoding::Utf8 => c.len_utf8(),
            Encoding::Utf16 => c.len_utf16(),
            Encoding::Utf32 => 1,
        }
    }
}

/// Where the lines of a text start. Lines end with LF, CRLF or CR, as in Python.
#[derive(Clone, Debug)]
pub struct Lines(Vec<usize>);

impl Lines {
    /// Those of `text`.
    pub fn of(text: &str) -> Lines {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        for (at, byte) in bytes.iter().enumerate() {
            let is_end = match byte {
                b'\n' => true,
                b'\r' => bytes.get(at + 1) != Some(&b'\n'),
                _ => false,
            };
            if is_end {
                starts.push(at + 1);
            }
        }
        Lines(starts)
    }

    /// Where the byte at `offset` of `text`, whose lines these are, stands.
    pub fn position(&self, text: &str, offset: usize, encoding: Encoding) -> Position {
        let line = self.0.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.0.get(line).copied().unwrap_or(0);
        let before = text.get(start..offset).unwrap_or("");
        let character: usize = before.chars().map(|c| encoding.width(c)).sum();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Position::new(count(line), count(character))
    }

    /// The byte of `text`, whose lines these are, at `position`.
    pub fn offset(&self, text: &str, position: Position, encoding: Encoding) -> usize {
        let line = position.line as usize;
        let Some(start) = self.0.get(line).copied() else { return text.len() };
        let end = self.0.get(line + 1).copied().unwrap_or(text.len());
        let line = text.get(start..end).unwrap_or("");
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (mut at, mut left) = (start, position.character as usize);
        for c in line.chars() {
            let width = encoding.width(c);
            if left < width {
                break;
            }
            left -= width;
            at += c.len_utf8();
        }
        at
    }

    /// The range from the byte at `start` to that at `end`.
    pub fn range(&self, text: &str, start: usize, end: usize, encoding: Encoding) -> Range {
        Range::new(self.position(text, start, encoding), self.position(text, end, encoding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_encoding_counts_its_own_units() {
        let text = "a\n\u{e9}\u{1f600}x\r\nb\rc";
        let lines = Lines::of(text);
        let x = text.find('x').unwrap();
        for (encoding, character) in [(Encoding::Utf8, 6), (Encoding::Utf16, 3), (Encoding::Utf32, 2)] {
            let position = lines.position(text, x, encoding);
            assert_eq!(position, Position::new(1, character), "{encoding:?}");
            assert_eq!(lines.offset(text, position, encoding), x);
        }
        let b = text.find('b').unwrap();
        assert_eq!(lines.position(text, b, Encoding::Utf16), Position::new(2, 0));
        assert_eq!(lines.position(text, b + 2, Encoding::Utf16), Position::new(3, 0));
    }

    #[test]
    fn what_is_outside_is_taken_for_the_nearest_place() {
        let text = "a\u{1f600}b\r\nc\n";
        let lines = Lines::of(text);
        let offset = |line, character| lines.offset(text, Position::new(line, character), Encoding::Utf16);
        // Between the halves of a pair, behind the line's end, on a line that is not there.
        assert_eq!(offset(0, 2), 1);
        assert_eq!(offset(0, 99), 6);
        assert_eq!(offset(1, u32::MAX), 9);
        assert_eq!(offset(2, 7), text.len());
        assert_eq!(offset(u32::MAX, 0), text.len());
        assert_eq!(lines.position(text, 99, Encoding::Utf8), Position::new(2, 0));
    }

    #[test]
    fn the_best_encoding_is_chosen() {
        let (utf8, utf16, utf32) =
            (PositionEncodingKind::UTF8, PositionEncodingKind::UTF16, PositionEncodingKind::UTF32);
        assert_eq!(Encoding::of(&[utf16.clone(), utf8]), Encoding::Utf8);
        assert_eq!(Encoding::of(&[utf32.clone(), utf16]), Encoding::Utf16);
        assert_eq!(Encoding::of(&[utf32]), Encoding::Utf32);
        assert_eq!(Encoding::of(&[]), Encoding::Utf16);
    }

    proptest! {
        #[test]
        fn a_place_is_found_again(text in "[a\u{e9}\u{1f600}\r\n]{0,40}", line in 0u32..12, character in 0u32..30) {
            let lines = Lines::of(&text);
            for encoding in [Encoding::Utf8, Encoding::Utf16, Encoding::Utf32] {
                let at = lines.offset(&text, Position::new(line, character), encoding);
                prop_assert!(text.is_char_boundary(at));
                prop_assert_eq!(lines.offset(&text, lines.position(&text, at, encoding), encoding), at);
            }
        }
    }
}
