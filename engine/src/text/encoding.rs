//! The codec of a Python file: PEP 263 declarations, and lossless decoding and encoding.
//!
//! Invariant: every [`Codec`] encodes character by character, without state, so the bytes of a text are the
//! bytes of its parts put together. An edit of the text therefore leaves all other bytes as they were.

use encoding_rs::Encoding;
use std::borrow::Cow;

/// A byte encoding in which a file is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// UTF-8, Python's default.
    Utf8,
    /// Pure ASCII, as declared by `coding: ascii`.
    Ascii,
    /// ISO 8859-1 as Python knows it: each byte is the character of that number.
    Latin1,
    /// Any other ASCII-compatible, stateless codec.
    Other(&'static Encoding),
}

impl Codec {
    /// Python's name for it, or the nearest.
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Codec::Utf8 => "utf-8".into(),
            Codec::Ascii => "ascii".into(),
            Codec::Latin1 => "latin-1".into(),
            Codec::Other(encoding) => encoding.name().to_lowercase().into(),
        }
    }

    /// The codec that Python calls `label`; `None` if it is unknown, stateful or not ASCII-compatible.
    pub fn for_label(label: &str) -> Option<Codec> {
        let name = label.to_ascii_lowercase().replace(['_', ' '], "-");
        // As in CPython's tokenizer, which lets editors add `-unix` and the like.
        if name == "utf-8"
            || name.starts_with("utf-8-")
            || matches!(&*name, "utf8" | "u8" | "utf" | "cp65001")
        {
            return Some(Codec::Utf8);
        }
        for latin in ["latin-1", "iso-8859-1", "iso-latin-1"] {
            if name == latin || name.strip_prefix(latin).is_some_and(|rest| rest.starts_with('-')) {
                return Some(Codec::Latin1);
            }
        }
        if matches!(
            &*name,
            "latin1" | "latin" | "l1" | "8859" | "cp819" | "iso8859-1" | "iso8859" | "iso-ir-100"
        ) {
            return Some(Codec::Latin1);
        }
        if matches!(&*name, "ascii" | "us-ascii" | "646" | "us" | "ansi-x3.4-1968" | "cp367") {
            return Some(Codec::Ascii);
        }
        let label = match &*name {
            "iso8859-15" | "latin-9" | "latin9" | "l9" => "iso-8859-15",
            "latin-2" | "iso8859-2" => "iso-8859-2",
            "latin-3" | "iso8859-3" => "iso-8859-3",
            "latin-4" | "iso8859-4" => "iso-8859-4",
            "cyrillic" | "iso8859-5" => "iso-8859-5",
            "arabic" | "iso8859-6" => "iso-8859-6",
            "greek" | "greek8" | "iso8859-7" => "iso-8859-7",
            "hebrew" | "iso8859-8" => "iso-8859-8",
            "latin-5" | "latin5" | "iso8859-9" | "cp1254" => "windows-1254",
            "latin-6" | "iso8859-10" => "iso-8859-10",
            "thai" | "iso8859-11" | "tis620" => "tis-620",
            "latin-7" | "iso8859-13" => "iso-8859-13",
            "latin-8" | "iso8859-14" => "iso-8859-14",
            "latin-10" | "iso8859-16" => "iso-8859-16",
            "cp874" => "windows-874",
            "cp866" | "ibm866" | "866" => "ibm866",
            "koi8-r" | "koi8r" => "koi8-r",
            "koi8-u" | "koi8u" => "koi8-u",
            "mac-roman" | "macroman" | "macintosh" => "macintosh",
            "mac-cyrillic" | "maccyrillic" => "x-mac-cyrillic",
            "cp936" | "936" | "ms936" | "gbk" | "gb2312" | "euc-cn" | "euccn" | "eucgb2312-cn" => "gbk",
            "gb18030" | "gb18030-2000" => "gb18030",
            "big5" | "big5-tw" | "csbig5" | "cp950" | "950" | "big5hkscs" | "big5-hkscs" => "big5",
            "euc-jp" | "eucjp" | "ujis" | "u-jis" => "euc-jp",
            "shift-jis" | "shiftjis" | "sjis" | "s-jis" | "cp932" | "932" | "ms932" | "mskanji"
            | "ms-kanji" => "shift_jis",
            "euc-kr" | "euckr" | "korean" | "cp949" | "949" | "ms949" | "uhc" | "ks-c-5601" => "euc-kr",
            other => match other.strip_prefix("cp").or_else(|| other.strip_prefix("windows-")) {
                Some(page) => return Codec::for_page(page),
                None => other,
            },
        };
        Encoding::for_label(label.as_bytes()).and_then(Codec::usable)
    }

    /// `125x` of `cp125x` and `windows-125x`.
    fn for_page(page: &str) -> Option<Codec> {
        let label = format!("windows-{page}");
        Encoding::for_label(label.as_bytes()).and_then(Codec::usable)
    }

    fn usable(encoding: &'static Encoding) -> Option<Codec> {
        let stateless = encoding != encoding_rs::ISO_2022_JP
            && encoding != encoding_rs::REPLACEMENT
            && encoding != encoding_rs::X_USER_DEFINED
            && encoding != encoding_rs::UTF_16LE
            && encoding != encoding_rs::UTF_16BE;
        stateless.then_some(Codec::Other(encoding))
    }

    /// The text of `bytes`, if every byte of them has a meaning and encoding gives them back.
    pub fn decode(self, bytes: Vec<u8>) -> Option<String> {
        match self {
            Codec::Utf8 => String::from_utf8(bytes).ok(),
            Codec::Ascii => String::from_utf8(bytes).ok().filter(|text| text.is_ascii()),
            Codec::Latin1 => Some(bytes.iter().map(|&byte| char::from(byte)).collect()),
            Codec::Other(encoding) => {
                let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes)?.into_owned();
                (self.encode(&text)? == bytes).then_some(text)
            }
        }
    }

    /// The bytes of `text`; `None` if it has a character that the codec has not.
    pub fn encode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Codec::Utf8 => Some(text.as_bytes().to_vec()),
            Codec::Ascii => text.is_ascii().then(|| text.as_bytes().to_vec()),
            Codec::Latin1 => text.chars().map(|c| u8::try_from(c).ok()).collect(),
            Codec::Other(encoding) => {
                let (bytes, _, has_unmappable) = encoding.encode(text);
                (!has_unmappable).then(|| bytes.into_owned())
            }
        }
    }
}

/// The label of a PEP 263 declaration in the first two lines of `bytes`, and the 1-based line it stands on.
///
/// The second line counts only if the first holds nothing but space and a comment, as in CPython.
pub(super) fn declared(bytes: &[u8]) -> Option<(String, u32)> {
    let mut rest = bytes;
    for line in 1..=2 {
        let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
        let (text, tail) = rest.split_at_checked(end)?;
        let blank = text.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\x0c')).count();
        match text.get(blank) {
            Some(b'#') => {
                if let Some(label) = label_in(text.get(blank + 1..)?) {
                    return Some((label, line));
                }
            }
            None => {}
            Some(_) => return None,
        }
        rest = tail.strip_prefix(b"\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
    }
    None
}

/// What `coding[:=][ \t]*([-_.a-zA-Z0-9]+)` finds first in a comment.
fn label_in(comment: &[u8]) -> Option<String> {
    const WORD: &[u8] = b"coding";
    let mut at = 0;
    while let Some(found) =
        comment.get(at..).and_then(|tail| tail.windows(WORD.len()).position(|w| w == WORD))
    {
        at += found + WORD.len();
        let Some(b':' | b'=') = comment.get(at) else { continue };
        let label: String = comment
            .get(at + 1..)?
            .iter()
            .skip_while(|b| matches!(b, b' ' | b'\t'))
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            .map(|&b| char::from(b))
            .collect();
        if !label.is_empty() {
            return Some(label);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Option<String> {
        declared(text.as_bytes()).map(|(label, _)| label)
    }

    #[test]
    fn declarations_stand_in_the_first_two_lines() {
        assert_eq!(label("# -*- coding: latin-1 -*-\n"), Some("latin-1".into()));
        assert_eq!(label("#!/usr/bin/python\n# vim: set fileencoding=utf-8 :\n"), Some("utf-8".into()));
        assert_eq!(label("\r\n#coding:cp1252"), Some("cp1252".into()));
        assert_eq!(label("#!x\r# coding=koi8-r\r"), Some("koi8-r".into()));
        assert_eq!(label("\x0c \t# coding: x.y_z-1;"), Some("x.y_z-1".into()));
        assert_eq!(label("# coding: # coding: ascii"), Some("ascii".into()));
        assert_eq!(label("# coding is coding: ascii"), Some("ascii".into()));
    }

    #[test]
    fn other_places_declare_nothing() {
        assert_eq!(label("\n\n# coding: latin-1\n"), None);
        assert_eq!(label("import os\n# coding: latin-1\n"), None);
        assert_eq!(label("x = 1  # coding: latin-1\n"), None);
        assert_eq!(label("'coding: latin-1'\n"), None);
        assert_eq!(label("# coding : latin-1\n"), None);
        assert_eq!(label(""), None);
    }

    #[test]
    fn python_names_are_known() {
        for (name, codec) in [
            ("utf-8", Codec::Utf8),
            ("UTF8", Codec::Utf8),
            ("utf_8_sig", Codec::Utf8),
            ("utf-8-unix", Codec::Utf8),
            ("Latin_1", Codec::Latin1),
            ("iso-8859-1-dos", Codec::Latin1),
            ("us-ascii", Codec::Ascii),
            ("cp1252", Codec::Other(encoding_rs::WINDOWS_1252)),
            ("windows-1251", Codec::Other(encoding_rs::WINDOWS_1251)),
            ("iso-8859-15", Codec::Other(encoding_rs::ISO_8859_15)),
            ("koi8-r", Codec::Other(encoding_rs::KOI8_R)),
            ("euc_jp", Codec::Other(encoding_rs::EUC_JP)),
            ("gb2312", Codec::Other(encoding_rs::GBK)),
        ] {
            assert_eq!(Codec::for_label(name), Some(codec), "{name}");
        }
        for name in ["utf-16", "utf-7", "iso2022_jp", "rot13", "cp37", "no-such", ""] {
            assert_eq!(Codec::for_label(name), None, "{name}");
        }
    }

    #[test]
    fn latin_1_is_not_windows_1252() {
        let all: Vec<u8> = (0..=255).collect();
        let text = Codec::Latin1.decode(all.clone()).unwrap();
        assert_eq!(text.chars().nth(0x80), Some('\u{80}'));
        assert_eq!(Codec::Latin1.encode(&text), Some(all));
        assert_eq!(Codec::Latin1.encode("€"), None);
    }
}
