//! The page on which the fixes of a plan are looked at and ticked in a browser. Whether a fix fits the files as they are
//! now is decided here, when the page is made; which fixes are wanted is decided on the page, which hands back the same plan.

use crate::escape::{escape_line, escape_text};
use crate::page::{HazardView, Page};
use crate::paths::Paths;
use crate::plan::{Plan, PlannedFix, PlannedOutcome};
use crate::review::hunks::{FileHunks, Hunk, hunks};
use miette::miette;
use ormend_engine::rewrite::touches;
use ormend_engine::text::Span;
use rayon::ThreadPool;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: Page = Page {
    title: "ormend review",
    body: include_str!("page.html"),
    style: include_str!("page.css"),
    script: include_str!("page.js"),
};

/// What is longer is cut where it is shown: generated code may have lines of a megabyte.
const LONGEST_LINE: usize = 2000;

/// The page, and how many of the plan's fixes cannot be ticked on it.
pub struct Rendered {
    pub page: String,
    pub inapplicable: usize,
}

/// What the script of the page reads. All text but `plan` is escaped for showing.
#[derive(Serialize)]
struct View<'a> {
    /// The directory of the project.
    name: String,
    /// The plan as it is stored. The page changes `selected` in it and nothing else.
    plan: &'a str,
    fixes: Vec<FixView<'a>>,
}

#[derive(Serialize)]
struct FixView<'a> {
    fingerprint: String,
    codemod: String,
    outcome: PlannedOutcome,
    selected: bool,
    path: String,
    line: u32,
    message: String,
    before: String,
    after: String,
    hazards: Vec<HazardView>,
    unlisted: usize,
    owners: BTreeSet<String>,
    /// What it changes, file by file; nothing if `reason` says why it cannot be applied.
    files: Vec<FileView>,
    reason: Option<String>,
    /// The other fixes that want one of its places: of two only one can be applied.
    rivals: &'a BTreeSet<usize>,
}

#[derive(Serialize)]
struct FileView {
    path: String,
    hunks: Vec<Vec<LineView>>,
}

/// The old number, the new number, and the text.
type LineView = (Option<usize>, Option<usize>, String);

/// The page of `plan`, for the files below the root of `paths` as they are now.
pub fn render(plan: &Plan, paths: &Paths, pool: &ThreadPool) -> miette::Result<Rendered> {
    let json = plan.to_json()?;
    let json = std::str::from_utf8(&json).map_err(|error| miette!("cannot write the plan: {error}"))?;
    let changed: Vec<Result<Vec<FileHunks>, String>> =
        pool.install(|| plan.fixes.par_iter().map(|fix| hunks(plan, fix, paths)).collect());
    let rivals = rivals(&plan.fixes);
    let inapplicable = changed.iter().filter(|files| files.is_err()).count();
    let fixes = plan.fixes.iter().zip(changed).zip(&rivals);
    let view = View {
        name: escape_line(&paths.root.file_name().unwrap_or_default().to_string_lossy()).into_owned(),
        plan: json,
        fixes: fixes.map(|((fix, files), rivals)| view(plan, fix, files, rivals)).collect(),
    };
    Ok(Rendered { page: PAGE.render(&view)?, inapplicable })
}

fn view<'a>(
    plan: &Plan,
    fix: &PlannedFix,
    files: Result<Vec<FileHunks>, String>,
    rivals: &'a BTreeSet<usize>,
) -> FixView<'a> {
    let line = |text: &str| escape_line(text).into_owned();
    let hazards = fix
        .hazards
        .iter()
        .map(|hazard| HazardView::new(&hazard.kind, &hazard.message, hazard.path.as_deref(), hazard.line));
    let owners = fix.files().into_iter().filter_map(|path| plan.files.get(path));
    let (files, reason) = match files {
        // An import that is there already changes nothing.
        Ok(files) => (files.iter().filter(|file| file.before != file.after).map(file_view).collect(), None),
        Err(why) => (Vec::new(), Some(line(&why))),
    };
    FixView {
        fingerprint: line(&fix.fingerprint),
        codemod: line(&fix.codemod),
        outcome: fix.outcome,
        selected: fix.selected,
        path: line(&fix.path),
        line: fix.line,
        message: line(&fix.message),
        before: line(&fix.queries.before),
        after: line(&fix.queries.after),
        hazards: hazards.collect(),
        unlisted: fix.unlisted,
        owners: owners.flat_map(|file| &file.owners).map(|owner| line(owner)).collect(),
        files,
        reason,
        rivals,
    }
}

fn file_view(file: &FileHunks) -> FileView {
    let lines = |hunk: &Hunk| hunk.lines.iter().map(|line| (line.old, line.new, shown(&line.text))).collect();
    FileView { path: escape_line(&file.path).into_owned(), hunks: file.hunks.iter().map(lines).collect() }
}

/// A line of source, tabs as they are.
fn shown(text: &str) -> String {
    match text.char_indices().nth(LONGEST_LINE) {
        None => escape_text(text).into_owned(),
        Some((end, _)) => {
            let (start, rest) = text.split_at(end);
            format!("{}… ({} more characters)", escape_text(start), rest.chars().count())
        }
    }
}

/// For each fix the others that want one of its places, as `apply` sees it.
fn rivals(fixes: &[PlannedFix]) -> Vec<BTreeSet<usize>> {
    let mut places: BTreeMap<&str, Vec<(Span, usize)>> = BTreeMap::new();
    for (index, fix) in fixes.iter().enumerate() {
        for edit in fix.edits.iter().filter(|edit| edit.start <= edit.end) {
            places.entry(&edit.path).or_default().push((Span::new(edit.start, edit.end), index));
        }
    }
    let mut rivals = vec![BTreeSet::new(); fixes.len()];
    let mut add = |fix: usize, other: usize| {
        if let Some(set) = rivals.get_mut(fix) {
            set.insert(other);
        }
    };
    for spans in places.values_mut() {
        spans.sort();
        for (at, (span, fix)) in spans.iter().enumerate() {
            // Sorted by start: behind the first that starts after this one's end none can touch it.
            let later = spans.iter().skip(at + 1).take_while(|(other, _)| other.start <= span.end);
            for (_, rival) in later.filter(|(other, rival)| rival != fix && touches(*span, *other)) {
                add(*fix, *rival);
                add(*rival, *fix);
            }
        }
    }
    rivals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples;

    fn fix(edits: &[(&str, u32, u32)]) -> PlannedFix {
        samples::fix(edits.iter().map(|(path, start, end)| samples::edit(path, *start, *end, "")).collect())
    }

    #[test]
    fn rivals_want_the_same_place() {
        let fixes = [
            fix(&[("a", 0, 100), ("a", 200, 200)]),
            fix(&[("a", 99, 120)]),
            fix(&[("a", 120, 130)]),
            fix(&[("a", 130, 130), ("b", 0, 9)]),
            fix(&[("b", 3, 4), ("b", 5, 6), ("a", 200, 200)]),
            fix(&[("a", 9, 2), ("c", 0, 100)]),
        ];
        let found: Vec<Vec<usize>> = rivals(&fixes).iter().map(|set| set.iter().copied().collect()).collect();
        let none = Vec::<usize>::new();
        assert_eq!(found, [vec![1, 4], vec![0], vec![3], vec![2, 4], vec![0, 3], none]);
    }

    #[test]
    fn source_is_shown_as_it_is_read() {
        assert_eq!(shown("\tx = '\u{202e}\x1b</b>'"), "\tx = '\\u202e\\x1b</b>'");
        let long = shown(&"é".repeat(LONGEST_LINE + 7));
        assert!(long.ends_with("é… (7 more characters)"), "{long}");
    }
}
