//! One file in memory: its bytes, the UTF-8 text that the engine works on, and the way back.
//!
//! Invariant: `source.encode(source.text())` gives exactly the bytes that were read, unless the source has a
//! [problem](Source::problem); then its text is empty, so nothing in it can be found or edited.

use super::Span;
use super::encoding::{Codec, declared};
use std::borrow::Cow;

/// Larger files are not looked at: a syntax tree takes up to 300 times the room of its text.
pub const MAX_BYTES: usize = 4 << 20;

/// What lines of comments in a row may cost, lines times bytes: at each of them the grammar looks through those that follow.
const MAX_COMMENTS: usize = 500_000_000;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A 1-based line and a 1-based column, counted in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineColumn {
    /// 1 for the first line.
    pub line: u32,
    /// 1 for the first character of the line.
    pub column: u32,
}

/// How a file ends its lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Newline {
    /// `\n`
    #[default]
    Lf,
    /// `\r\n`
    CrLf,
    /// `\r`
    Cr,
}

impl Newline {
    /// The characters.
    pub fn as_str(self) -> &'static str {
        match self {
            Newline::Lf => "\n",
            Newline::CrLf => "\r\n",
            Newline::Cr => "\r",
        }
    }
}

/// A file as the engine sees it. Spans are byte offsets into [`Source::text`].
#[derive(Clone, Debug)]
pub struct Source {
    path: String,
    text: String,
    codec: Codec,
    has_bom: bool,
    newline: Newline,
    has_lone_cr: bool,
    is_template: bool,
    problem: Option<String>,
    /// Where each line starts in the text.
    lines: Vec<u32>,
    /// Where each line starts in the file as stored, without the BOM; empty when that is the same.
    stored_lines: Vec<u32>,
}

impl Source {
    /// Decode `bytes`, the content of the file at `path` (relative to the project root, with `/`).
    pub fn new(path: impl Into<String>, bytes: Vec<u8>) -> Source {
        Source::of(path.into(), decode(bytes), false)
    }

    /// Decode `bytes`, a template: UTF-8, whatever its first lines say. No Python is in it.
    pub fn template(path: impl Into<String>, bytes: Vec<u8>) -> Source {
        Source::of(path.into(), decode_as(Codec::Utf8, bytes), true)
    }

    fn of(path: String, decoded: Result<(String, Codec, bool), String>, is_template: bool) -> Source {
        let (text, codec, has_bom, problem) = match decoded {
            Ok((text, codec, has_bom)) => (text, codec, has_bom, None),
            Err(problem) => (String::new(), Codec::Utf8, false, Some(problem)),
        };
        let (lines, newline, has_lone_cr) = index_lines(&text);
        if !is_template && let Some(problem) = too_many_comments(&text, &lines) {
            return Source::of(path, Err(problem), is_template);
        }
        let stored_lines = stored_lines(&text, &lines, codec);
        Source { path, text, codec, has_bom, newline, has_lone_cr, is_template, problem, lines, stored_lines }
    }

    /// Whether it was read as a template. As Python it is an empty module that nothing can import.
    pub fn is_template(&self) -> bool {
        self.is_template
    }

    /// The path, relative to the project root, with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The decoded text, without the BOM. Newlines are as in the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `needle` stands anywhere in the text: what files are sorted by before anything in them is looked at.
    pub fn mentions(&self, needle: &str) -> bool {
        memchr::memmem::find(self.text().as_bytes(), needle.as_bytes()).is_some()
    }

    /// Why the file could not be read as Python text, in one sentence. The text is then empty.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The codec in which it is stored.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Whether the file starts with a UTF-8 byte order mark.
    pub fn has_bom(&self) -> bool {
        self.has_bom
    }

    /// The newline that most lines have; LF in a file of one line.
    pub fn newline(&self) -> Newline {
        self.newline
    }

    /// Whether the last line is ended. An empty file has no line, so it counts as ended.
    pub fn has_final_newline(&self) -> bool {
        self.text.is_empty() || self.text.ends_with(['\n', '\r'])
    }

    /// The text with each CR that stands alone read as LF, for parsers that know only LF and CRLF.
    /// It has the same length, so that its offsets are those of [`Source::text`].
    pub fn text_for_parser(&self) -> Cow<'_, str> {
        if !self.has_lone_cr {
            return Cow::Borrowed(&self.text);
        }
        let mut out = String::with_capacity(self.text.len());
        let mut rest = self.text.as_str();
        while let Some(at) = rest.find('\r') {
            let (before, tail) = rest.split_at(at);
            let tail = tail.strip_prefix('\r').unwrap_or(tail);
            out.push_str(before);
            out.push(if tail.starts_with('\n') { '\r' } else { '\n' });
            rest = tail;
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// The white space that one level of indentation adds: what most lines after a `:` add to the line before.
    /// Four spaces where no block tells.
    pub fn indent_unit(&self) -> &str {
        const DEFAULT: &str = "    ";
        let mut votes: Vec<(&str, u32)> = Vec::new();
        let mut block: Option<&str> = None;
        for index in 0..self.lines.len() {
            let line = self.line_text(index);
            let code = line.trim_start_matches([' ', '\t', '\x0c']);
            let code_end = code.trim_end();
            if code_end.is_empty() || code_end.starts_with('#') {
                continue;
            }
            let indent = line.get(..line.len() - code.len()).unwrap_or("");
            if let Some(unit) =
                block.and_then(|outer| indent.strip_prefix(outer)).filter(|unit| !unit.is_empty())
            {
                if let Some((_, count)) = votes.iter_mut().find(|(known, _)| *known == unit) {
                    *count += 1;
                } else if votes.len() < 64 {
                    votes.push((unit, 1));
                }
            }
            block = code_end.ends_with(':').then_some(indent);
        }
        // Of two with the same count the one seen first.
        votes.iter().rev().max_by_key(|(_, count)| *count).map_or(DEFAULT, |(unit, _)| unit)
    }

    /// The text of `span`, or nothing if it lies outside.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }

    /// How many lines there are; the empty one after a final newline counts.
    pub fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// The 0-based index of the line that holds `offset`.
    pub fn line_index(&self, offset: u32) -> usize {
        self.lines.partition_point(|&start| start <= offset).saturating_sub(1)
    }

    /// Where the line with this 0-based index starts; the end of the text beyond the last.
    pub fn line_start(&self, index: usize) -> u32 {
        self.lines.get(index).copied().unwrap_or(self.text.len() as u32)
    }

    /// The text of the line with this 0-based index, without its newline.
    pub fn line_text(&self, index: usize) -> &str {
        let span = Span::new(self.line_start(index), self.line_start(index + 1));
        let line = self.slice(span);
        line.strip_suffix("\r\n").or_else(|| line.strip_suffix(['\n', '\r'])).unwrap_or(line)
    }

    /// Where `offset` stands.
    pub fn line_column(&self, offset: u32) -> LineColumn {
        let index = self.line_index(offset);
        let start = self.line_start(index);
        let column = self.text.get(start as usize..offset as usize).map_or(0, |s| s.chars().count());
        LineColumn { line: index as u32 + 1, column: column as u32 + 1 }
    }

    /// The offset in the file as stored, BOM and codec counted, of the text offset `offset`.
    pub fn original_offset(&self, offset: u32) -> u32 {
        let bom = if self.has_bom { BOM.len() as u32 } else { 0 };
        if self.stored_lines.is_empty() {
            return offset + bom;
        }
        let index = self.line_index(offset);
        let start = self.line_start(index) as usize;
        let before = self.text.get(start..offset as usize).unwrap_or("");
        let stored = self.stored_lines.get(index).copied().unwrap_or(0);
        stored + self.codec.encode(before).map_or(0, |bytes| bytes.len() as u32) + bom
    }

    /// The text offset that [`Source::original_offset`] turns into `stored`; `None` where none does.
    pub fn text_offset(&self, stored: u32) -> Option<u32> {
        let (mut low, mut high) = (0, self.text.len() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            // Between characters, so that the stored offset grows with it.
            let at = (low..=middle).rev().find(|at| self.text.is_char_boundary(*at as usize))?;
            if self.original_offset(at) < stored {
                low = middle + 1;
            } else {
                high = at;
            }
        }
        let is_there = self.text.is_char_boundary(low as usize) && self.original_offset(low) == stored;
        is_there.then_some(low)
    }

    /// `text`, a changed version of this file's, as it is to be stored: in the same codec, with the same BOM.
    /// `None` if the codec lacks one of its characters or if the source has a problem.
    pub fn encode(&self, text: &str) -> Option<Vec<u8>> {
        if self.problem.is_some() {
            return None;
        }
        let bytes = self.codec.encode(text)?;
        Some(if self.has_bom { [BOM, &bytes].concat() } else { bytes })
    }
}

/// The text, its codec, and whether a BOM stood before it; or what is wrong, in one sentence.
fn decode(bytes: Vec<u8>) -> Result<(String, Codec, bool), String> {
    if let Some(at) = memchr::memchr(0, &bytes) {
        return Err(format!("it has a NUL byte at offset {at}, which Python does not accept"));
    }
    let has_bom = bytes.starts_with(BOM);
    let codec = match declared(bytes.get(if has_bom { BOM.len() } else { 0 }..).unwrap_or_default()) {
        None => Codec::Utf8,
        Some((label, line)) => {
            let codec = Codec::for_label(&label).ok_or_else(|| {
                format!("line {line} declares the encoding `{label}`, which is not supported")
            })?;
            if has_bom && codec != Codec::Utf8 {
                return Err(format!(
                    "it starts with a UTF-8 byte order mark, but line {line} declares `{label}`"
                ));
            }
            codec
        }
    };
    decode_as(codec, bytes)
}

/// The text in a codec that is known.
fn decode_as(codec: Codec, mut bytes: Vec<u8>) -> Result<(String, Codec, bool), String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!("it is larger than {} MB, so it is not looked at", MAX_BYTES >> 20));
    }
    let has_bom = bytes.starts_with(BOM);
    if has_bom {
        bytes.drain(..BOM.len());
    }
    match codec {
        // The only codec whose failure has a place worth telling.
        Codec::Utf8 => String::from_utf8(bytes).map(|text| (text, codec, has_bom)).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let before = error.as_bytes().get(..at).unwrap_or_default();
            let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
            format!("line {line} is not UTF-8, and the file declares no other encoding")
        }),
        _ => match codec.decode(bytes) {
            Some(text) => Ok((text, codec, has_bom)),
            None => Err(format!("it is not valid {}, the encoding that it declares", codec.name())),
        },
    }
}

/// Line starts, the newline that is most frequent, and whether a CR stands alone.
fn index_lines(text: &str) -> (Vec<u32>, Newline, bool) {
    let bytes = text.as_bytes();
    let mut lines = vec![0];
    let (mut lf, mut crlf, mut cr) = (0usize, 0usize, 0usize);
    for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
        match bytes.get(at) {
            Some(b'\n') if at > 0 && bytes.get(at - 1) == Some(&b'\r') => crlf += 1,
            Some(b'\n') => lf += 1,
            _ if bytes.get(at + 1) != Some(&b'\n') => cr += 1,
            _ => continue,
        }
        lines.push(at as u32 + 1);
    }
    let newline = if crlf > lf && crlf >= cr {
        Newline::CrLf
    } else if cr > lf {
        Newline::Cr
    } else {
        Newline::Lf
    };
    (lines, newline, cr > 0)
}

/// What is wrong with `text` if parsing its comments would take too long.
fn too_many_comments(text: &str, lines: &[u32]) -> Option<String> {
    // So few lines of comments cannot cost as much.
    let most = memchr::memchr_iter(b'#', text.as_bytes()).count();
    if most * text.len() <= MAX_COMMENTS {
        return None;
    }
    let (mut count, mut bytes, mut total, mut worst) = (0, 0, 0, (0, 0));
    let ends = lines.iter().skip(1).copied().chain([text.len() as u32]);
    for (index, span) in lines.iter().zip(ends).map(|(&start, end)| Span::new(start, end)).enumerate() {
        let line = text.get(span.range()).unwrap_or("");
        let code = line.trim_start_matches([' ', '\t', '\x0c', '\n', '\r']);
        if code.starts_with('#') {
            count += 1;
            worst = worst.max((count, index + 1));
        } else if !code.is_empty() {
            total += count * bytes;
            (count, bytes) = (0, 0);
        }
        bytes += line.len();
    }
    let (count_there, end) = worst;
    (total + count * bytes > MAX_COMMENTS).then(|| {
        format!("it has more comments in a row than can be parsed, {count_there} of them up to line {end}")
    })
}

fn stored_lines(text: &str, lines: &[u32], codec: Codec) -> Vec<u32> {
    if matches!(codec, Codec::Utf8 | Codec::Ascii) || text.is_ascii() {
        return Vec::new();
    }
    let mut stored = Vec::with_capacity(lines.len());
    let mut at = 0;
    for (index, &start) in lines.iter().enumerate() {
        stored.push(at);
        let end = lines.get(index + 1).map_or(text.len(), |&next| next as usize);
        let line = text.get(start as usize..end).unwrap_or("");
        at += codec.encode(line).map_or(0, |bytes| bytes.len() as u32);
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::super::{Edit, apply};
    use super::*;
    use proptest::prelude::*;

    fn source(bytes: &[u8]) -> Source {
        Source::new("a.py", bytes.to_vec())
    }

    fn stored(bytes: &[u8]) -> Source {
        let source = source(bytes);
        assert_eq!(source.problem(), None);
        assert_eq!(source.encode(source.text()).as_deref(), Some(bytes));
        source
    }

    #[test]
    fn a_bom_is_kept_and_not_part_of_the_text() {
        let source = stored(b"\xef\xbb\xbfx = 1\n");
        assert_eq!(source.text(), "x = 1\n");
        assert_eq!(source.original_offset(4), 7);
        assert_eq!(source.encode("y\n").unwrap(), b"\xef\xbb\xbfy\n");
    }

    #[test]
    fn a_declared_codec_is_decoded_and_encoded() {
        let source = stored(b"# coding: latin-1\nx = '\xe9' + y\n");
        assert_eq!(source.slice(Span::new(18, 28)), "x = 'é' +");
        assert_eq!(source.original_offset(18), 18);
        assert_eq!(source.original_offset(25), 24);
        assert_eq!(source.encode("'\u{e9}'").unwrap(), b"'\xe9'");
        assert_eq!(source.encode("'€'"), None);
        let source = stored(b"# coding: shift_jis\nx = '\x83\x65' + y\n");
        assert_eq!(source.text(), "# coding: shift_jis\nx = 'テ' + y\n");
        assert_eq!(source.original_offset(29), 28);
    }

    #[test]
    fn what_cannot_be_read_is_a_problem_and_has_no_text() {
        for (bytes, problem) in [
            (&b"x\n\xff\n"[..], "line 2 is not UTF-8, and the file declares no other encoding"),
            (b"a\0b", "it has a NUL byte at offset 1, which Python does not accept"),
            (b"# coding: nope\n", "line 1 declares the encoding `nope`, which is not supported"),
            (b"\n# coding: utf-16\n", "line 2 declares the encoding `utf-16`, which is not supported"),
            (
                b"\xef\xbb\xbf# coding: latin-1\n",
                "it starts with a UTF-8 byte order mark, but line 1 declares `latin-1`",
            ),
            (b"# coding: ascii\n\xe9", "it is not valid ascii, the encoding that it declares"),
            (b"# coding: euc-jp\n\xff", "it is not valid euc-jp, the encoding that it declares"),
        ] {
            let source = source(bytes);
            assert_eq!(source.problem(), Some(problem));
            assert_eq!(source.text(), "");
            assert_eq!(source.encode(""), None);
        }
    }

    #[test]
    fn newlines() {
        for (text, newline, lines, ended) in [
            ("", Newline::Lf, 1, true),
            ("a", Newline::Lf, 1, false),
            ("a\nb\r\nc\n", Newline::Lf, 4, true),
            ("a\r\nb\r\nc\n", Newline::CrLf, 4, true),
            ("a\rb\rc", Newline::Cr, 3, false),
            ("a\r\r\nb", Newline::CrLf, 3, false),
        ] {
            let source = stored(text.as_bytes());
            assert_eq!(
                (source.newline(), source.line_count(), source.has_final_newline()),
                (newline, lines, ended)
            );
        }
        let source = stored(b"a\rb\r\nc\r");
        assert_eq!(source.text_for_parser(), "a\nb\r\nc\n");
        assert_eq!(source.line_text(1), "b");
        assert_eq!(source.line_column(5), LineColumn { line: 3, column: 1 });
        assert!(matches!(stored(b"a\r\nb\n").text_for_parser(), Cow::Borrowed(_)));
    }

    #[test]
    fn indentation() {
        for (text, unit) in [
            ("", "    "),
            ("if x:\n  y\n", "  "),
            ("if x:\r\n\ty\r\n", "\t"),
            ("if x:\n# c\n\n   y\n", "   "),
            ("f(\n  a)\nif x:\n    y\n", "    "),
            ("class A:\n  def f():\n    x\n  def g():\n        x\n", "  "),
        ] {
            assert_eq!(source(text.as_bytes()).indent_unit(), unit, "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_parsed_in_time_is_a_problem() {
        let code = b"x = 1\n# a\r\n".repeat(MAX_BYTES / 11);
        assert_eq!(source(&code).problem(), None);
        assert_eq!(source(&b"# a\n\n".repeat(5_000)).problem(), None);
        let problem = "it has more comments in a row than can be parsed, 20000 of them up to line 40003";
        assert_eq!(
            source(&[b"x = 1\n# a\ny = 2\n", &b"\n  # a\n".repeat(20_000)[..], b"x = 1"].concat()).problem(),
            Some(problem)
        );
        assert_eq!(source(&b"x".repeat(MAX_BYTES)).problem(), None);
        let problem = Some("it is larger than 4 MB, so it is not looked at");
        assert_eq!(source(&b"x".repeat(MAX_BYTES + 1)).problem(), problem);
    }

    #[test]
    fn large_and_out_of_range() {
        let source = stored(&b"x = 1\n".repeat(600_000));
        assert_eq!(source.line_count(), 600_001);
        assert_eq!(source.line_column(u32::MAX), LineColumn { line: 600_001, column: 1 });
        assert_eq!(source.slice(Span::new(9, u32::MAX)), "");
        assert_eq!(source.line_text(usize::MAX - 1), "");
    }

    /// Files in some codec, with every kind of newline.
    fn files() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("\n"),
            Just("\r\n"),
            Just("\r"),
            Just("x = 1"),
            Just("é"),
            Just("if y:"),
            Just("\t"),
            Just("    "),
            Just("ю"),
            Just("テ"),
            Just("\u{feff}"),
            Just("\x0c"),
            Just("\u{1F40D}"),
        ];
        let codec = prop_oneof![
            Just(""),
            Just("\u{feff}"),
            Just("utf-8"),
            Just("latin-1"),
            Just("cp1251"),
            Just("shift_jis"),
            Just("gb18030"),
            Just("euc-kr"),
        ];
        (codec, prop::collection::vec(piece, 0..40)).prop_map(|(codec, pieces)| {
            let head = match codec {
                "" | "\u{feff}" => codec.to_string(),
                label => format!("# coding: {label}\n"),
            };
            let encoder = Codec::for_label(codec).unwrap_or(Codec::Utf8);
            let mut bytes = head.into_bytes();
            bytes.extend(pieces.iter().filter_map(|piece| encoder.encode(piece)).flatten());
            bytes
        })
    }

    proptest! {
        #[test]
        fn any_bytes_round_trip_or_are_a_problem(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let source = source(&bytes);
            if source.problem().is_none() {
                prop_assert_eq!(source.encode(source.text()), Some(bytes));
            } else {
                prop_assert_eq!(source.text(), "");
            }
        }

        #[test]
        fn files_round_trip(bytes in files()) {
            let source = source(&bytes);
            prop_assert_eq!(source.problem(), None);
            prop_assert_eq!(source.encode(source.text()), Some(bytes));
            let parsed = source.text_for_parser();
            prop_assert_eq!(parsed.len(), source.text().len());
            prop_assert!(!parsed.replace("\r\n", "").contains('\r'));
        }

        #[test]
        fn offsets_point_at_the_stored_bytes(bytes in files()) {
            let source = source(&bytes);
            for (at, _) in source.text().char_indices() {
                let tail = source.codec().encode(&source.text()[at..]).unwrap();
                prop_assert_eq!(&bytes[source.original_offset(at as u32) as usize..], &tail[..]);
                let place = source.line_column(at as u32);
                let line = source.line_start(place.line as usize - 1) as usize;
                prop_assert_eq!(source.text()[line..at].chars().count() + 1, place.column as usize);
            }
        }

        #[test]
        fn bytes_outside_edits_do_not_change(bytes in files(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
            let source = source(&bytes);
            let mut places: Vec<u32> = source.text().char_indices().map(|(at, _)| at as u32).collect();
            places.push(source.text().len() as u32);
            let mut cuts: Vec<u32> = cuts.iter().map(|cut| places[cut.index(places.len())]).collect();
            cuts.sort_unstable();
            let edits: Vec<Edit> =
                cuts.chunks_exact(2).map(|pair| Edit::replace(Span::new(pair[0], pair[1]), "F('n')")).collect();
            let changed = source.encode(&apply(source.text(), &edits).unwrap()).unwrap();
            // The same edits, made on the stored bytes.
            let mut expected = bytes.clone();
            for edit in edits.iter().rev() {
                let range = source.original_offset(edit.span.start) as usize..source.original_offset(edit.span.end) as usize;
                expected.splice(range, edit.text.bytes());
            }
            prop_assert_eq!(changed, expected);
        }
    }
}
