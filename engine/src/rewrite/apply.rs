//! Applies fixes in memory until nothing applies any more.
//!
//! A pass takes the applicable findings in order and drops what conflicts with one taken before; the loser is
//! looked at again in the next pass. So is code that reads a relation which the same pass begins to prefetch
//! ([`waiting`]), and code whose rows no one can load before another fix. A file that no longer parses, comes back to an earlier text, or is still changing after the last pass
//! is given back as it was, and that is reported as our mistake.

use super::scan::scan;
use super::suppress::Suppressions;
use super::{Change, Warning, fingerprint::is_like_known, group, waiting};
use crate::codemod::{FileEdit, Finding, Fix, HazardKind, ImportRequest, Options, Rule};
use crate::django::Project;
use crate::infer::Analyzer;
use crate::python::{Node, Parsed, Program, insert_imports, loose_newline, parse, reused_quotes};
use crate::text::{Edit, FileId, Site, Source, Span, apply};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

#[derive(Default)]
struct Progress {
    text: String,
    fixes: usize,
    seen: FxHashSet<u64>,
    given_up: bool,
    /// Files that a fix has changed together with this one: they are given back together.
    partners: FxHashSet<FileId>,
}

/// The files that the fixes change.
pub(super) fn fixpoint(
    project: &Project,
    scanned: &[FileId],
    rules: &[&dyn Rule],
    options: &Options,
    findings: &[Finding],
    warnings: &mut Vec<Warning>,
) -> Vec<Change> {
    let mut progress: BTreeMap<FileId, Progress> = BTreeMap::new();
    let mut current: Option<Project> = None;
    let mut findings: Vec<Finding> = findings.to_vec();
    let editable = editable(project, scanned);
    let known: FxHashSet<&str> = options.known.iter().map(String::as_str).collect();
    for pass in 0..=options.max_passes {
        findings.retain(|f| f.fix.iter().flat_map(|fix| &fix.edits).all(|e| editable.contains(&e.file)));
        let now = current.as_ref().unwrap_or(project);
        let mut waiting = Vec::new();
        let mut changed = one_pass(now, &findings, options, &mut progress, project, warnings, &mut waiting);
        changed.retain(|file| scanned.contains(file));
        if changed.is_empty() {
            break;
        }
        if pass == options.max_passes {
            for file in changed {
                give_up(project, file, &mut progress, warnings, "the fixes do not settle");
            }
            break;
        }
        let next = project.with_texts(
            progress.iter().filter(|(_, p)| !p.given_up).map(|(file, p)| (*file, p.text.clone())).collect(),
        );
        changed.extend(waiting.into_iter().filter(|file| scanned.contains(file)));
        changed.sort();
        changed.dedup();
        findings = scan(&Analyzer::new(&next), &changed, rules, options).findings;
        findings.retain(|finding| !is_like_known(&next, finding, &known));
        current = Some(next);
    }
    let path = |file: &FileId| project.program().file(*file).source.path();
    let together =
        progress.iter().map(|(file, p)| std::iter::once(file).chain(&p.partners).map(path).collect());
    let together: Vec<Vec<&str>> = together.collect();
    let mut changes: Vec<Change> = progress
        .into_iter()
        .filter(|(file, p)| !p.given_up && p.text != project.program().file(*file).source.text())
        .filter_map(|(file, p)| {
            let source = &project.program().file(file).source;
            let before = source.encode(source.text())?;
            match source.encode(&p.text) {
                Some(after) => {
                    Some(Change { path: source.path().to_owned(), before, after, fixes: p.fixes, group: 0 })
                }
                None => {
                    warnings.push(Warning {
                        path: source.path().to_owned(),
                        line: None,
                        message:
                            "the fixed text cannot be written in the file's encoding, so nothing was changed"
                                .to_owned(),
                    });
                    None
                }
            }
        })
        .collect();
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    group(&mut changes, &together);
    changes
}

/// The edits of the imports that the fix of `finding` needs.
pub(super) fn import_edits(project: &Project, finding: &Finding) -> Vec<FileEdit> {
    let mut edits = Vec::new();
    let mut by_file: BTreeMap<FileId, Vec<(&str, &str)>> = BTreeMap::new();
    for request in finding.fix.iter().flat_map(|fix| &fix.imports) {
        by_file.entry(request.file).or_default().push((request.module.as_str(), request.name.as_str()));
    }
    for (file, requests) in by_file {
        let parsed = project.program().file(file);
        let added = insert_imports(parsed, &requests, &|package| is_first_party(project, package));
        edits.extend(added.into_iter().map(|edit| FileEdit { file, edit }));
    }
    edits
}

/// The indexes of the findings whose fixes are wanted and can be applied together, in order, and of those whose fixes are
/// wanted and must be looked at again when these are applied.
pub fn together(findings: &[Finding], options: &Options) -> (Vec<usize>, Vec<usize>) {
    let fixes: Vec<(usize, &Fix)> = findings
        .iter()
        .enumerate()
        .filter(|(_, f)| options.wants(f))
        .filter_map(|(i, f)| Some((i, f.fix.as_ref()?)))
        .collect();
    let waits = waiting::waits(&fixes.iter().map(|(_, fix)| *fix).collect::<Vec<_>>());
    let mut taken: Vec<(usize, &Fix)> = Vec::new();
    let mut lost = Vec::new();
    for ((index, fix), waits) in fixes.iter().zip(waits) {
        if waits || taken.iter().any(|(_, other)| conflict(fix, other)) {
            lost.push(*index);
        } else {
            taken.push((*index, fix));
        }
    }
    (taken.into_iter().map(|(index, _)| index).collect(), lost)
}

/// Apply what can be applied together; the files that changed. `waiting` gets the files of what waits for the next pass.
fn one_pass(
    project: &Project,
    findings: &[Finding],
    options: &Options,
    progress: &mut BTreeMap<FileId, Progress>,
    original: &Project,
    warnings: &mut Vec<Warning>,
    waiting: &mut Vec<FileId>,
) -> Vec<FileId> {
    let (taken, lost) = together(findings, options);
    for index in lost {
        let Some(finding) = findings.get(index) else { continue };
        waiting.push(finding.site.file);
        waiting.extend(finding.fix.iter().flat_map(|fix| &fix.edits).map(|e| e.file));
    }
    let taken = taken.into_iter().filter_map(|i| findings.get(i)?.fix.as_ref());
    let is_refused = |f: &&Finding| f.hazards.iter().any(|h| h.kind == HazardKind::RefusedJoin);
    for finding in findings.iter().filter(is_refused) {
        waiting.push(finding.site.file);
        waiting.extend(finding.related.iter().map(|r| r.site.file));
    }
    waiting.sort();
    waiting.dedup();
    let mut edits: FxHashMap<FileId, Vec<Edit>> = FxHashMap::default();
    let mut imports: FxHashMap<FileId, Vec<ImportRequest>> = FxHashMap::default();
    let mut fixes: FxHashMap<FileId, usize> = FxHashMap::default();
    let mut together: Vec<FxHashSet<FileId>> = Vec::new();
    for fix in taken {
        let files: FxHashSet<FileId> = fix.edits.iter().map(|e| e.file).collect();
        if files.len() > 1 {
            together.push(files);
        }
        for edit in &fix.edits {
            edits.entry(edit.file).or_default().push(edit.edit.clone());
        }
        for request in &fix.imports {
            imports.entry(request.file).or_default().push(request.clone());
        }
        if let Some(first) = fix.edits.first() {
            *fixes.entry(first.file).or_default() += 1;
        }
    }
    let mut changed = Vec::new();
    let mut files: Vec<FileId> = edits.keys().copied().collect();
    files.sort();
    for file in files {
        let parsed = project.program().file(file);
        let mut all = edits.remove(&file).unwrap_or_default();
        if let Some(requests) = imports.remove(&file) {
            let requests: Vec<(&str, &str)> =
                requests.iter().map(|r| (r.module.as_str(), r.name.as_str())).collect();
            all.extend(insert_imports(parsed, &requests, &|package| is_first_party(project, package)));
        }
        let entry = progress.entry(file).or_insert_with(|| Progress {
            text: parsed.source.text().to_owned(),
            seen: FxHashSet::from_iter([hash(parsed.source.text())]),
            ..Progress::default()
        });
        if entry.given_up {
            // What was to change together with it stays as it was.
            give_up_partners(file, progress);
            continue;
        }
        let partners = together.iter().filter(|files| files.contains(&file)).flatten();
        entry.partners.extend(partners.copied().filter(|other| *other != file));
        let reason = match apply(parsed.source.text(), &all) {
            None => Some("two fixes overlap"),
            Some(text) if has_new_error(parsed.root(), &text) => Some("a fix does not parse"),
            Some(text) if !entry.seen.insert(hash(&text)) => Some("the fixes undo each other"),
            Some(text) => {
                entry.text = text;
                entry.fixes += fixes.get(&file).copied().unwrap_or(0);
                changed.push(file);
                None
            }
        };
        if let Some(reason) = reason {
            give_up(original, file, progress, warnings, reason);
        }
    }
    changed
}

fn give_up(
    project: &Project,
    file: FileId,
    progress: &mut BTreeMap<FileId, Progress>,
    warnings: &mut Vec<Warning>,
    reason: &str,
) {
    if let Some(entry) = progress.get_mut(&file) {
        entry.given_up = true;
    }
    give_up_partners(file, progress);
    warnings.push(Warning {
        path: project.program().file(file).source.path().to_owned(),
        line: None,
        message: format!("internal error: {reason}; the file was left as it was, please report this"),
    });
}

/// Give back what was changed together with a file that was given up.
fn give_up_partners(file: FileId, progress: &mut BTreeMap<FileId, Progress>) {
    let mut next = vec![file];
    while let Some(file) = next.pop() {
        let partners = progress.get(&file).map(|p| p.partners.clone()).unwrap_or_default();
        for partner in partners {
            // A partner that has not been changed yet must not be, either.
            let entry = progress.entry(partner).or_default();
            if !entry.given_up {
                entry.given_up = true;
                next.push(partner);
            }
        }
    }
}

/// The files that a fix may change: those that are scanned, and do not ask to be left alone.
fn editable(project: &Project, scanned: &[FileId]) -> FxHashSet<FileId> {
    let asks = |file: &FileId| Suppressions::of(project.program().file(*file)).whole_file.is_some();
    scanned.iter().copied().filter(|file| !asks(file)).collect()
}

/// Whether one fix writes what the other wrote or read.
fn conflict(a: &Fix, b: &Fix) -> bool {
    let writes = |fix: &Fix| -> Vec<Site> {
        fix.edits.iter().map(|e| Site { file: e.file, span: e.edit.span }).collect()
    };
    let touch = |x: &Site, y: &Site| x.file == y.file && touches(x.span, y.span);
    let (a_writes, b_writes) = (writes(a), writes(b));
    a_writes.iter().any(|x| b_writes.iter().any(|y| touch(x, y)))
        || a.reads.iter().any(|x| b_writes.iter().any(|y| touch(x, y)))
        || b.reads.iter().any(|x| a_writes.iter().any(|y| touch(x, y)))
}

/// Whether the edits of two spans would meet: what they replace overlaps, or one inserts inside or at the edge of the other.
pub fn touches(a: Span, b: Span) -> bool {
    a.overlaps(b) || a == b || (a.is_empty() && inside(a.start, b)) || (b.is_empty() && inside(b.start, a))
}

fn inside(offset: u32, span: Span) -> bool {
    span.start <= offset && offset <= span.end
}

/// Whether `text`, made of the file with the root `before`, is not Python any more.
fn has_new_error(before: Node<'_>, text: &str) -> bool {
    let ast = parse(text);
    let after = ast.root(text);
    if after.has_error() {
        return !before.has_error();
    }
    (loose_newline(after).is_some() && loose_newline(before).is_none())
        || reused_quotes(after) > reused_quotes(before)
}

fn hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The bytes of `source` with edits that were decided before, and the imports (module, name) that they rely on; why not,
/// otherwise, in a part of a sentence whose subject is the file. `packages` are the project's own, see
/// [`Report::packages`](super::Report::packages).
pub fn apply_planned(
    source: Source,
    edits: &[Edit],
    imports: &[(String, String)],
    packages: &[String],
) -> Result<Vec<u8>, &'static str> {
    let program = Program::link(vec![Parsed::new(source)]);
    let parsed = program.files().first().ok_or("it is not there")?;
    if parsed.source.problem().is_some() {
        return Err("it cannot be read as Python");
    }
    let requests: Vec<(&str, &str)> = imports.iter().map(|(m, n)| (m.as_str(), n.as_str())).collect();
    let mut all = edits.to_vec();
    all.extend(insert_imports(parsed, &requests, &|package| packages.iter().any(|own| own == package)));
    let text = apply(parsed.source.text(), &all).ok_or("two edits overlap, or one lies outside of it")?;
    if has_new_error(parsed.root(), &text) {
        return Err("it would not be Python any more");
    }
    parsed.source.encode(&text).ok_or("its encoding lacks a character of the new text")
}

/// Whether a top-level package is among the scanned project's own files.
fn is_first_party(project: &Project, package: &str) -> bool {
    top_levels(project).any(|own| own == package)
}

/// The top-level packages and modules of the project's own files, sorted.
pub(super) fn own_packages(project: &Project) -> Vec<String> {
    let mut all: Vec<String> = top_levels(project).map(str::to_owned).collect();
    all.sort();
    all.dedup();
    all
}

fn top_levels(project: &Project) -> impl Iterator<Item = &str> {
    let own = |f: &&crate::python::File| !f.source.path().starts_with(crate::python::KNOWN_ROOT);
    project.program().files().iter().filter(own).filter_map(|f| f.module.split('.').next())
}
