//! The unified diff of changed files, byte for byte, as `git apply` and `patch` take it.
//!
//! Lines end at LF only, as for git: a CR is a byte of its line. Colours and escapes are for terminals; anything
//! else gets the exact bytes.

use crate::escape::{escape_text, push_escaped};
use crate::paths::Paths;
use crate::plan::sha256;
use ormend_engine::rewrite::Change;
use serde::Serialize;
use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};
use std::borrow::Cow;
use std::io::{self, Write};

/// How many lines that stay are shown around those that change.
pub const CONTEXT: usize = 3;

/// How the diff is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    pub color: bool,
    /// Escape control characters: for a terminal, which would obey them.
    pub escape: bool,
}

/// Where the paths of the diff start: the working directory if it holds every changed file, as `git apply` wants
/// it, otherwise the project root.
pub fn is_relative_to_cwd(paths: &Paths, changes: &[Change]) -> bool {
    changes.iter().all(|change| paths.absolute(&change.path).starts_with(&paths.cwd))
}

/// Write the diff of all `changes`.
pub fn write(out: &mut dyn Write, paths: &Paths, changes: &[Change], style: Style) -> io::Result<()> {
    let from_cwd = is_relative_to_cwd(paths, changes);
    for change in changes {
        write_file(out, &name(paths, change, from_cwd), &change.before, &change.after, style)?;
    }
    Ok(())
}

/// The path in the diff's headers.
fn name(paths: &Paths, change: &Change, from_cwd: bool) -> String {
    if from_cwd { paths.relative(&change.path) } else { change.path.clone() }
}

/// Write the diffs of all `changes` as one JSON document. docs/diff.md documents the form, and other programs read it: add
/// keys, never change or remove one.
pub fn write_document(out: &mut dyn Write, paths: &Paths, changes: &[Change]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        tool: &'a str,
        files: Vec<File>,
    }
    #[derive(Serialize)]
    struct File {
        path: String,
        fixes: usize,
        diff: String,
        exact: bool,
        before_sha256: String,
        after_sha256: String,
    }
    let from_cwd = is_relative_to_cwd(paths, changes);
    let file = |change: &Change| -> io::Result<File> {
        let mut diff = Vec::new();
        let name = name(paths, change, from_cwd);
        write_file(&mut diff, &name, &change.before, &change.after, Style::default())?;
        Ok(File {
            path: paths.relative(&change.path),
            fixes: change.fixes,
            exact: std::str::from_utf8(&diff).is_ok(),
            diff: String::from_utf8_lossy(&diff).into_owned(),
            before_sha256: sha256(&change.before),
            after_sha256: sha256(&change.after),
        })
    };
    let document = Document {
        version: 1,
        tool: crate::TOOL,
        files: changes.iter().map(file).collect::<io::Result<_>>()?,
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

/// Write the diff of one file.
pub fn write_file(
    out: &mut dyn Write,
    name: &str,
    before: &[u8],
    after: &[u8],
    style: Style,
) -> io::Result<()> {
    let (old, new): (Vec<&[u8]>, Vec<&[u8]>) = (lines(before), lines(after));
    let groups = group_diff_ops(capture_diff_slices(Algorithm::Myers, &old, &new), CONTEXT);
    if groups.is_empty() {
        return Ok(());
    }
    for (sign, prefix) in [("---", "a/"), ("+++", "b/")] {
        let name = quoted(prefix, name);
        // Of what git leaves as it is some would still be obeyed.
        let name = if style.escape { escape_text(&name) } else { Cow::Borrowed(name.as_str()) };
        paint(out, style, "1", format!("{sign} {name}").as_bytes())?;
    }
    for group in groups {
        // Lengths are summed: an insertion's place among the old lines, which it does not use, may be off. Groups
        // start inside equal lines, or at the very start.
        let start = match group.first() {
            Some(DiffOp::Equal { old_index, new_index, .. }) => (*old_index, *new_index),
            _ => (0, 0),
        };
        let old_length = group.iter().map(|op| op.old_range().len()).sum();
        let new_length = group.iter().map(|op| op.new_range().len()).sum();
        let header = format!("@@ -{} +{} @@", range(start.0, old_length), range(start.1, new_length));
        paint(out, style, "36", header.as_bytes())?;
        for op in &group {
            let (removed, added) = (op.old_range(), op.new_range());
            if matches!(op, DiffOp::Equal { .. }) {
                write_lines(out, b' ', old.get(removed).unwrap_or_default(), style)?;
            } else {
                write_lines(out, b'-', old.get(removed).unwrap_or_default(), style)?;
                write_lines(out, b'+', new.get(added).unwrap_or_default(), style)?;
            }
        }
    }
    Ok(())
}

/// The lines with their LF; the last one may have none.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').collect()
}

/// `12,3`; the line before for an empty range, as diff(1) counts.
fn range(start: usize, length: usize) -> String {
    match length {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        length => format!("{},{length}", start + 1),
    }
}

/// A path as git writes it: in C quotes if it has a character that would end or confuse the line; followed by a
/// tab if it has a space, where it would be cut otherwise.
fn quoted(prefix: &str, name: &str) -> String {
    if !name.contains(|c: char| c.is_control() || matches!(c, '"' | '\\')) {
        let end = if name.contains(' ') { "\t" } else { "" };
        return format!("{prefix}{name}{end}");
    }
    let mut text = format!("\"{prefix}");
    for byte in name.bytes() {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\r' => text.push_str("\\r"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text.push('"');
    text
}

fn write_lines(out: &mut dyn Write, sign: u8, lines: &[&[u8]], style: Style) -> io::Result<()> {
    let ink = match sign {
        b'-' => "31",
        b'+' => "32",
        _ => "",
    };
    for line in lines {
        let (code, is_ended) = match line.strip_suffix(b"\n") {
            Some(code) => (code, true),
            None => (*line, false),
        };
        let mut bytes = vec![sign];
        if style.escape {
            let (code, end) = match code.strip_suffix(b"\r") {
                Some(code) => (code, "\r"),
                None => (code, ""),
            };
            let mut text = String::new();
            for c in String::from_utf8_lossy(code).chars() {
                if c == '\t' { text.push(c) } else { push_escaped(&mut text, c) }
            }
            bytes.extend_from_slice(text.as_bytes());
            bytes.extend_from_slice(end.as_bytes());
        } else {
            bytes.extend_from_slice(code);
        }
        paint(out, style, ink, &bytes)?;
        if !is_ended {
            writeln!(out, "\\ No newline at end of file")?;
        }
    }
    Ok(())
}

/// A line in a colour.
fn paint(out: &mut dyn Write, style: Style, ink: &str, line: &[u8]) -> io::Result<()> {
    if style.color && !ink.is_empty() {
        write!(out, "\x1b[{ink}m")?;
        out.write_all(line)?;
        writeln!(out, "\x1b[0m")
    } else {
        out.write_all(line)?;
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;
    use std::process::Command;

    fn diff(name: &str, before: &[u8], after: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_file(&mut out, name, before, after, Style::default()).unwrap();
        out
    }

    fn apply(dir: &Path, patch: &[u8], flags: &[&str]) {
        std::fs::write(dir.join("p.patch"), patch).unwrap();
        let output = Command::new("git")
            .args(["apply", "--whitespace=nowarn"])
            .args(flags)
            .arg("p.patch")
            .current_dir(dir)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(patch)
        );
    }

    #[test]
    fn rendered() {
        let before = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let after = b"1\n2\n3\n4\nfive\n6\n7\n8\nnine";
        let text = String::from_utf8(diff("shop/a.py", before, after)).unwrap();
        insta::with_settings!({ snapshot_path => "../../snapshots" }, { insta::assert_snapshot!(text) });
        assert!(diff("a", before, before).is_empty());
    }

    #[test]
    fn hunk_lengths_count_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let before = b"0\na\n\ra\n\ra\n\ra\n\ra\nb\r\n";
        let after = b"0\na\nb\r\na\nb\r\na\na\na\na\na\na\na\na\n\rb\r\na\n";
        std::fs::write(dir.path().join("x.py"), before).unwrap();
        apply(dir.path(), &diff("x.py", before, after), &[]);
        assert_eq!(std::fs::read(dir.path().join("x.py")).unwrap(), after);
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let mut out = Vec::new();
        let style = Style { escape: true, color: false };
        write_file(&mut out, "a.py", b"x\x1b[2J\r\n\xff\n", b"y\r\n\xff\n", style).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n-x\\x1b[2J\r\n+y\r\n \u{fffd}\n");
        let mut out = Vec::new();
        write_file(&mut out, "\u{202e}a \x1b.py", b"x", b"y", style).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("--- \"a/"), "{text}");
        assert!(!text.contains(['\x1b', '\u{202e}']), "{text:?}");
        let mut out = Vec::new();
        write_file(&mut out, "\u{202e}a b.py", b"x", b"y", style).unwrap();
        assert!(
            String::from_utf8(out).unwrap().starts_with("--- a/\\u202ea b.py\t\n+++ b/\\u202ea b.py\t\n")
        );
    }

    #[test]
    fn names_that_git_quotes() {
        assert_eq!(quoted("a/", "shop/é.py"), "a/shop/é.py");
        assert_eq!(quoted("a/", "my shop/x.py"), "a/my shop/x.py\t");
        assert_eq!(quoted("b/", "a\"\x1b\n.py"), "\"b/a\\\"\\033\\n.py\"");
        let dir = tempfile::tempdir().unwrap();
        for name in ["é.py", "my x.py", "a\"b\x1b\n\\.py", "t\tt.py"] {
            std::fs::write(dir.path().join(name), "old\n").unwrap();
            apply(dir.path(), &diff(name, b"old\n", b"new\n"), &[]);
            assert_eq!(std::fs::read(dir.path().join(name)).unwrap(), b"new\n", "{name:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn git_takes_it_forwards_and_backwards(
            before in prop::collection::vec(prop::sample::select(&["a\n", "b\r\n", "\r", "\n", "x"][..]), 1..30),
            after in prop::collection::vec(prop::sample::select(&["a\n", "b\r\n", "\r", "\n", "c"][..]), 1..30),
        ) {
            let (before, after) = ([b"\xe9\n", before.concat().as_bytes()].concat(), [b"\xe9\n", after.concat().as_bytes()].concat());
            prop_assume!(before != after);
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("x.py");
            std::fs::write(&file, &before).unwrap();
            let patch = diff("x.py", &before, &after);
            apply(dir.path(), &patch, &[]);
            prop_assert_eq!(std::fs::read(&file).unwrap(), &after[..]);
            apply(dir.path(), &patch, &["-R"]);
            prop_assert_eq!(std::fs::read(&file).unwrap(), &before[..]);
        }
    }
}
