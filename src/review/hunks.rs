//! What one fix changes, as lines to look at. Text is as it is in the files: whoever shows it escapes it.

use crate::apply;
use crate::paths::Paths;
use crate::plan::{Plan, PlannedFix};
use crate::report::diff::CONTEXT;
use ormend_engine::rewrite::Change;
use ormend_engine::text::Source;
use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};

/// What a fix changes in one file.
pub struct FileHunks {
    /// The file's path, relative to the project root.
    pub path: String,
    /// The file as it is stored, and as it is with this fix alone.
    pub before: Vec<u8>,
    pub after: Vec<u8>,
    /// The places that change, with lines around them.
    pub hunks: Vec<Hunk>,
}

/// Lines that follow each other.
pub struct Hunk {
    pub lines: Vec<Line>,
}

/// A line, without its end; numbers are 1-based. It is removed if only `old` is there, added if only `new` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub old: Option<usize>,
    pub new: Option<usize>,
    pub text: String,
}

/// What `fix`, selected or not, changes by itself in the files below the root of `paths`, file by file; why it cannot be
/// applied, otherwise, in a sentence without its end.
pub fn hunks(plan: &Plan, fix: &PlannedFix, paths: &Paths) -> Result<Vec<FileHunks>, String> {
    Ok(apply::alone(plan, fix, paths)?.into_iter().map(of_change).collect())
}

fn of_change(change: Change) -> FileHunks {
    let Change { path, before, after, .. } = change;
    let (old, new) = (Source::new(path.as_str(), before.clone()), Source::new(path.as_str(), after.clone()));
    let hunks = of_texts(&old.text_for_parser(), &new.text_for_parser());
    FileHunks { path, before, after, hunks }
}

/// The hunks between two texts whose lines end with LF or CRLF.
fn of_texts(before: &str, after: &str) -> Vec<Hunk> {
    let lines = |text| str::split_inclusive(text, '\n').collect::<Vec<&str>>();
    let (old, new) = (lines(before), lines(after));
    let text = |lines: &[&str], index: usize| {
        let line = lines.get(index).copied().unwrap_or_default();
        let line = line.strip_suffix('\n').unwrap_or(line);
        line.strip_suffix('\r').unwrap_or(line).to_owned()
    };
    let mut hunks = Vec::new();
    for group in group_diff_ops(capture_diff_slices(Algorithm::Myers, &old, &new), CONTEXT) {
        let mut lines = Vec::new();
        for op in group {
            let (removed, added) = (op.old_range(), op.new_range());
            if matches!(op, DiffOp::Equal { .. }) {
                let both = removed.zip(added);
                lines.extend(both.map(|(old_at, new_at)| Line {
                    old: Some(old_at + 1),
                    new: Some(new_at + 1),
                    text: text(&old, old_at),
                }));
                continue;
            }
            lines.extend(removed.map(|at| Line { old: Some(at + 1), new: None, text: text(&old, at) }));
            lines.extend(added.map(|at| Line { old: None, new: Some(at + 1), text: text(&new, at) }));
        }
        hunks.push(Hunk { lines });
    }
    hunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples::{edit, fix};
    use crate::plan::{PlannedEdit, PlannedFile, PlannedImport, sha256};
    use std::collections::BTreeMap;
    use std::fs;

    fn plan(files: &[(&str, &[u8])], edits: Vec<PlannedEdit>) -> Plan {
        let file = |(path, bytes): &(&str, &[u8])| {
            ((*path).to_owned(), PlannedFile { sha256: sha256(bytes), owners: Vec::new() })
        };
        Plan {
            version: 1,
            tool: String::new(),
            packages: Vec::new(),
            files: files.iter().map(file).collect::<BTreeMap<_, _>>(),
            fixes: vec![fix(edits)],
        }
    }

    /// `-3 text`, `+3 text`, and ` 3:4 text` for a line that stays.
    fn shown(hunks: &[Hunk]) -> Vec<Vec<String>> {
        let line = |line: &Line| match (line.old, line.new) {
            (Some(old), Some(new)) => format!(" {old}:{new} {}", line.text),
            (Some(old), None) => format!("-{old} {}", line.text),
            (None, new) => format!("+{} {}", new.unwrap_or(0), line.text),
        };
        hunks.iter().map(|hunk| hunk.lines.iter().map(line).collect()).collect()
    }

    #[test]
    fn a_fix_is_shown_with_its_imports_in_every_file() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path().canonicalize().unwrap(), dir.path().canonicalize().unwrap());
        let (a, b) = (b"import os\r\nx = 1\r\n1\r\n2\r\n3\r\n4\r\n5\r\ny = 2\r\n", b"# \xe9\ny = 1\n");
        let b = [&b"# -*- coding: latin-1 -*-\n"[..], b].concat();
        fs::write(dir.path().join("a.py"), a).unwrap();
        fs::write(dir.path().join("b.py"), &b).unwrap();
        let at = u32::try_from(b.len()).unwrap() - 2;
        let edits = vec![edit("a.py", 37, 38, "3"), edit("a.py", 15, 16, "2"), edit("b.py", at, at + 1, "2")];
        let mut plan = plan(&[("a.py", a), ("b.py", &b)], edits);
        let import = PlannedImport { path: "a.py".into(), module: "django.db".into(), name: "F".into() };
        plan.fixes[0].imports.push(import);
        let files = hunks(&plan, &plan.fixes[0], &paths).unwrap();
        let paths_of: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths_of, ["a.py", "b.py"]);
        assert_eq!(
            shown(&files[0].hunks)[0][..6],
            [" 1:1 import os", "-2 x = 1", "+2 ", "+3 from django.db import F", "+4 x = 2", " 3:5 1"]
        );
        let coding = " 1:1 # -*- coding: latin-1 -*-";
        assert_eq!(shown(&files[1].hunks), [vec![coding, " 2:2 # \u{e9}", "-3 y = 1", "+3 y = 2"]]);
        assert_eq!(files[0].before, a);
        assert!(files[0].after.ends_with(b"5\r\ny = 3\r\n"), "{:?}", files[0].after);
    }

    #[test]
    fn far_places_are_hunks_of_their_own() {
        let lines: Vec<String> = (1..=20).map(|number| format!("{number}\n")).collect();
        let before = lines.concat();
        let after = before.replace("2\n3\n", "2\n").replace("19\n", "nineteen\n");
        let text = shown(&of_texts(&before, &after));
        assert_eq!(text.len(), 2);
        assert_eq!(text[0], [" 1:1 1", " 2:2 2", "-3 3", " 4:3 4", " 5:4 5", " 6:5 6"]);
        assert_eq!(text[1], [" 16:15 16", " 17:16 17", " 18:17 18", "-19 19", "+18 nineteen", " 20:19 20"]);
        assert!(of_texts(&before, &before).is_empty());
    }

    #[test]
    fn what_cannot_be_applied_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path().canonicalize().unwrap(), dir.path().canonicalize().unwrap());
        fs::write(dir.path().join("a.py"), "x = 1\n").unwrap();
        let why = |plan: &Plan| hunks(plan, &plan.fixes[0], &paths).err().unwrap();
        let changed = plan(&[("a.py", b"x = 2\n")], vec![edit("a.py", 4, 5, "3")]);
        assert_eq!(why(&changed), "`a.py` changed since the plan was written");
        let broken = plan(&[("a.py", b"x = 1\n")], vec![edit("a.py", 4, 5, "(")]);
        assert_eq!(why(&broken), "with the fixes of `a.py` it would not be Python any more");
    }
}
