//! The new lines of a fix as a text that a person edits, and back. What was not touched stays as the codemod made it.

use super::hunks::FileHunks;
use crate::escape::escape_line;
use crate::plan::{PlannedEdit, PlannedFix, PlannedImport};
use ormend_engine::text::{self, Edit, Source, Span};

/// What the lines that are ours start with.
const MARK: &str = "#@";

const HELP: &str = "\
#@ These are the new lines of the fix. What you make of them is taken.
#@ Keep the lines that start with `#@`. Leave nothing else to leave the fix out.
";

/// What a person made of the text.
#[derive(Debug, PartialEq, Eq)]
pub enum Edited {
    /// The same as before.
    Same,
    /// Nothing: the fix is left out.
    Nothing,
    /// Other edits, and the imports that are still needed.
    Changed(Vec<PlannedEdit>, Vec<PlannedImport>),
}

/// Whole lines that a fix changes, in one file.
struct Region {
    source: usize,
    /// Their place in the text of the file before.
    span: Span,
    /// What the fix makes of them.
    new: String,
    edits: Vec<PlannedEdit>,
}

/// The new lines of a fix.
pub struct Lines<'f> {
    fix: &'f PlannedFix,
    sources: Vec<Source>,
    regions: Vec<Region>,
}

impl<'f> Lines<'f> {
    /// Those of `fix`, which changes `files`.
    pub fn new(fix: &'f PlannedFix, files: &[FileHunks]) -> Lines<'f> {
        let source = |file: &FileHunks| Source::new(file.path.as_str(), file.before.clone());
        let sources: Vec<Source> = files.iter().map(source).collect();
        let each = sources.iter().enumerate().flat_map(|(index, source)| regions(fix, index, source));
        let regions = each.collect();
        Lines { fix, sources, regions }
    }

    /// What is opened in the editor.
    pub fn text(&self) -> String {
        let mut out = HELP.to_owned();
        for (index, region) in self.regions.iter().enumerate() {
            out.push_str(&self.mark(index, region));
            out.push('\n');
            out.push_str(&plain(&region.new));
            if !out.ends_with('\n') {
                out.push('\n');
            }
        }
        out
    }

    /// What a person made of it; why it cannot be read, otherwise.
    pub fn read(&self, edited: &str) -> Result<Edited, String> {
        let edited = plain(edited);
        if edited == self.text() {
            return Ok(Edited::Same);
        }
        if edited.lines().all(|line| line.trim().is_empty() || line.starts_with(MARK)) {
            return Ok(Edited::Nothing);
        }
        let texts = self.split(&edited)?;
        let (mut edits, mut news) = (Vec::new(), Vec::new());
        for (region, new) in self.regions.iter().zip(texts) {
            let Some(source) = self.sources.get(region.source) else { continue };
            if new == plain(&region.new) || new.strip_suffix('\n') == Some(&plain(&region.new)) {
                edits.extend(region.edits.iter().cloned());
                news.push((source.path(), region.new.clone()));
                continue;
            }
            let mut new = new.replace('\n', source.newline().as_str());
            if !ends_line(&region.new) && !region.new.is_empty() {
                // The last line of a file, which had no end before.
                new.truncate(new.trim_end_matches(['\r', '\n']).len());
            }
            edits.extend(difference(source, region.span, &new));
            news.push((source.path(), new));
        }
        if edits.is_empty() {
            return Ok(Edited::Nothing);
        }
        let is_needed = |import: &&PlannedImport| {
            let mut own = news.iter().filter(|(path, _)| *path == import.path).peekable();
            own.peek().is_none() || own.any(|(_, text)| has_word(text, &import.name))
        };
        Ok(Edited::Changed(edits, self.fix.imports.iter().filter(is_needed).cloned().collect()))
    }

    /// The line before the lines of a region.
    fn mark(&self, index: usize, region: &Region) -> String {
        let place = self.sources.get(region.source).map_or(String::new(), |source| {
            format!("{}:{}", escape_line(source.path()), source.line_index(region.span.start) + 1)
        });
        format!("{MARK} {}/{}: {place}", index + 1, self.regions.len())
    }

    /// The text of each region.
    fn split(&self, edited: &str) -> Result<Vec<String>, String> {
        let mut texts: Vec<String> = Vec::new();
        let mut marks =
            self.regions.iter().enumerate().map(|(index, region)| self.mark(index, region)).peekable();
        for line in edited.split_inclusive('\n') {
            if marks.peek().is_some_and(|mark| mark == line.trim_end()) {
                marks.next();
                texts.push(String::new());
                continue;
            }
            match texts.last_mut() {
                Some(text) => text.push_str(line),
                None if line.trim().is_empty() || line.starts_with(MARK) => {}
                None => return Err("lines stand before the first place".to_owned()),
            }
        }
        match marks.next() {
            Some(mark) => Err(format!("the line `{mark}` is missing")),
            None => Ok(texts),
        }
    }
}

/// The whole lines that the edits of `fix` in `source` lie in, and what is made of them.
fn regions(fix: &PlannedFix, index: usize, source: &Source) -> Vec<Region> {
    let edit = |edit: &PlannedEdit| {
        let span = Span::new(source.text_offset(edit.start)?, source.text_offset(edit.end)?);
        Some((Edit { span, text: edit.text.clone() }, edit.clone()))
    };
    let own = fix.edits.iter().filter(|edit| edit.path == source.path());
    let mut own: Vec<(Edit, PlannedEdit)> = own.filter_map(edit).collect();
    own.sort_by_key(|(edit, _)| edit.span);
    let mut groups: Vec<(Span, Vec<(Edit, PlannedEdit)>)> = Vec::new();
    for (edit, planned) in own {
        let lines = whole_lines(source, &edit);
        match groups.last_mut() {
            Some((span, edits)) if lines.start <= span.end => {
                span.end = span.end.max(lines.end);
                edits.push((edit, planned));
            }
            _ => groups.push((lines, vec![(edit, planned)])),
        }
    }
    let region = |(span, edits): (Span, Vec<(Edit, PlannedEdit)>)| {
        let inside = |edit: &Edit| Edit {
            span: Span::new(edit.span.start - span.start, edit.span.end - span.start),
            text: edit.text.clone(),
        };
        let all: Vec<Edit> = edits.iter().map(|(edit, _)| inside(edit)).collect();
        let new = text::apply(source.slice(span), &all)?;
        Some(Region { source: index, span, new, edits: edits.into_iter().map(|(_, edit)| edit).collect() })
    };
    groups.into_iter().filter_map(region).collect()
}

/// The lines that `edit` changes; nothing but its own span where that is whole lines before and after.
fn whole_lines(source: &Source, edit: &Edit) -> Span {
    let span = edit.span;
    let start = source.line_start(source.line_index(span.start));
    let end_line = source.line_index(span.end);
    let is_boundary = source.line_start(end_line) == span.end;
    let is_whole = edit.text.is_empty() && !span.is_empty() || ends_line(&edit.text);
    if is_boundary && is_whole && start == span.start {
        return span;
    }
    Span::new(start, source.line_start(end_line + 1))
}

/// `span` with the text `new`, as an edit of nothing but what differs.
fn difference(source: &Source, span: Span, new: &str) -> Option<PlannedEdit> {
    let old = source.slice(span);
    let same = |pair: &(char, char)| pair.0 == pair.1;
    let length = |(c, _): (char, char)| c.len_utf8();
    let prefix: usize = old.chars().zip(new.chars()).take_while(same).map(length).sum();
    let (old_rest, new_rest) = (old.get(prefix..)?, new.get(prefix..)?);
    let suffix: usize = old_rest.chars().rev().zip(new_rest.chars().rev()).take_while(same).map(length).sum();
    let text = new_rest.get(..new_rest.len() - suffix)?.to_owned();
    let (start, end) = (prefix, prefix + old_rest.len() - suffix);
    if start == end && text.is_empty() {
        return None;
    }
    let at = |offset: usize| Some(source.original_offset(span.start + u32::try_from(offset).ok()?));
    Some(PlannedEdit { path: source.path().to_owned(), start: at(start)?, end: at(end)?, text })
}

/// The text with LF alone, whatever the file and the editor have.
fn plain(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn ends_line(text: &str) -> bool {
    text.ends_with(['\n', '\r'])
}

fn has_word(text: &str, name: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples::{self, edit};

    fn file(path: &str, before: &[u8]) -> FileHunks {
        FileHunks { path: path.into(), before: before.to_vec(), after: Vec::new(), hunks: Vec::new() }
    }

    fn fix(edits: Vec<PlannedEdit>) -> PlannedFix {
        let import = PlannedImport { path: "a.py".into(), module: "m".into(), name: "Sum".into() };
        PlannedFix { codemod: "aggregate".into(), imports: vec![import], ..samples::fix(edits) }
    }

    /// Without the lines that explain.
    fn shown(lines: &Lines) -> String {
        lines.text().strip_prefix(HELP).unwrap().to_owned()
    }

    const BEFORE: &[u8] = b"one = 1\ntwo = 2\nthree = 3\nfour = 4\n";

    #[test]
    fn whole_lines_are_edited() {
        // `2` and `3`, in neighbouring lines; and a line that is inserted at the end.
        let fix = fix(vec![
            edit("a.py", 24, 25, "Sum(3)"),
            edit("a.py", 14, 15, "Sum(2)"),
            edit("a.py", 35, 35, "five = 5\n"),
        ]);
        let files = [file("a.py", BEFORE)];
        let lines = Lines::new(&fix, &files);
        let text = shown(&lines);
        assert_eq!(text, "#@ 1/2: a.py:2\ntwo = Sum(2)\nthree = Sum(3)\n#@ 2/2: a.py:5\nfive = 5\n");
        assert_eq!(lines.read(&lines.text()), Ok(Edited::Same));
        assert_eq!(lines.read(&lines.text().replace('\n', "\r\n")), Ok(Edited::Same));
        // The second region stays as it was made; of the first only what differs is an edit.
        let Ok(Edited::Changed(edits, imports)) = lines.read(&text.replace("= Sum(3)", "= Sum(30)")) else {
            panic!("it is changed")
        };
        let changed = edit("a.py", 14, 25, "Sum(2)\nthree = Sum(30)");
        assert_eq!(edits, [changed, fix.edits[2].clone()]);
        assert_eq!(imports, fix.imports);
    }

    #[test]
    fn what_is_left_of_it() {
        let fix = fix(vec![edit("a.py", 14, 15, "Sum(2)"), edit("b.py", 0, 8, "")]);
        let files = [file("a.py", BEFORE), file("b.py", BEFORE)];
        let lines = Lines::new(&fix, &files);
        let text = shown(&lines);
        assert_eq!(text, "#@ 1/2: a.py:2\ntwo = Sum(2)\n#@ 2/2: b.py:1\n");
        // No import that nothing needs.
        let changed = Edited::Changed(vec![edit("a.py", 14, 15, "50"), edit("b.py", 0, 8, "")], Vec::new());
        assert_eq!(lines.read(&text.replace("Sum(2)", "50")), Ok(changed));
        // Back to what stood there.
        let changed = Edited::Changed(vec![edit("b.py", 0, 8, "")], Vec::new());
        assert_eq!(lines.read(&text.replace("Sum(2)", "2")), Ok(changed));
        for nothing in ["", "\n \n", "#@ 1/2: a.py:2\n"] {
            assert_eq!(lines.read(nothing), Ok(Edited::Nothing), "{nothing:?}");
        }
        assert_eq!(
            lines.read("#@ 1/2: a.py:2\ntwo\n"),
            Err("the line `#@ 2/2: b.py:1` is missing".to_owned())
        );
        assert_eq!(lines.read(&format!("x\n{text}")), Err("lines stand before the first place".to_owned()));
    }

    #[test]
    fn the_file_keeps_its_newlines_and_encoding() {
        let before = b"# -*- coding: latin-1 -*-\r\n\xe9 = 1\r\nx = 2";
        let fix = fix(vec![edit("a.py", 38, 39, "20")]);
        let files = [file("a.py", before)];
        let lines = Lines::new(&fix, &files);
        let text = shown(&lines);
        assert_eq!(text, "#@ 1/1: a.py:3\nx = 20\n");
        let changed = |edits| Ok(Edited::Changed(edits, Vec::new()));
        // The last line has no end, which the editor adds.
        assert_eq!(lines.read(&text.replace("20", "21")), changed(vec![edit("a.py", 39, 39, "1")]));
        assert_eq!(
            lines.read(&text.replace("20", "2\ny = 3")),
            changed(vec![edit("a.py", 39, 39, "\r\ny = 3")])
        );
        let fix = self::fix(vec![edit("a.py", 31, 32, "3")]);
        let lines = Lines::new(&fix, &files);
        assert_eq!(shown(&lines), "#@ 1/1: a.py:2\n\u{e9} = 3\n");
        assert_eq!(
            lines.read(&shown(&lines).replace("= 3", "= 1\n# \u{e9}")),
            changed(vec![edit("a.py", 34, 34, "# \u{e9}\r\n")])
        );
    }
}
