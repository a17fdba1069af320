//! The selected fixes of a plan, checked against the files as they are now. Each fix is taken whole or not at all; nothing is
//! written here.

use crate::discover::reason;
use crate::paths::Paths;
use crate::plan::{Plan, PlannedFix, sha256};
use crate::read;
use crate::write;
use ormend_engine::rewrite::{self, Change};
use ormend_engine::text::{Edit, Source, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// A file that the plan changes, as it is now.
struct Target {
    bytes: Vec<u8>,
    source: Source,
    /// What is taken so far, and its places.
    edits: Vec<Edit>,
    places: BTreeSet<Span>,
    imports: Vec<(String, String)>,
    fixes: usize,
}

/// By path.
type Targets<'p> = BTreeMap<&'p str, Result<Target, String>>;

/// What can be applied of a plan.
pub struct Resolved<'p> {
    /// The files with their new content.
    pub changes: Vec<Change>,
    /// The selected fixes that are not applied, and why.
    pub refused: Refused<'p>,
}

/// The fixes that are not applied, and why.
pub type Refused<'p> = Vec<(&'p PlannedFix, String)>;

/// What of the selected fixes of `plan` fits the files below the root of `paths`; with `atomic` all of it or nothing.
pub fn resolve<'p>(plan: &'p Plan, paths: &Paths, atomic: bool) -> Resolved<'p> {
    let selected: Vec<&PlannedFix> = plan.fixes.iter().filter(|fix| fix.selected).collect();
    let mut targets = targets(plan, &selected, paths);
    let mut refused = Refused::new();
    let mut taken: Vec<&PlannedFix> = Vec::new();
    for fix in selected {
        match take(fix, &mut targets) {
            Ok(()) => taken.push(fix),
            Err(why) => refused.push((fix, why)),
        }
    }
    let mut changes = changes(plan, paths, &targets, &mut taken, &mut refused);
    if atomic && !refused.is_empty() {
        changes.clear();
    }
    if atomic {
        // Nor is one file written without the others.
        changes.iter_mut().for_each(|change| change.group = 0);
    }
    Resolved { changes, refused }
}

/// What `fix` makes of its files, by itself and selected or not; why nothing, otherwise.
pub fn alone(plan: &Plan, fix: &PlannedFix, paths: &Paths) -> Result<Vec<Change>, String> {
    let mut targets = targets(plan, &[fix], paths);
    take(fix, &mut targets)?;
    let (mut taken, mut refused) = (vec![fix], Refused::new());
    let changes = changes(plan, paths, &targets, &mut taken, &mut refused);
    match refused.pop() {
        Some((_, why)) => Err(why),
        None => Ok(changes),
    }
}

/// The files that `fixes` change, or why they cannot be changed.
fn targets<'p>(plan: &Plan, fixes: &[&'p PlannedFix], paths: &Paths) -> Targets<'p> {
    let mut targets = Targets::new();
    for path in fixes.iter().flat_map(|fix| fix.files()) {
        targets.entry(path).or_insert_with(|| target(plan, path, paths));
    }
    targets
}

/// The file of the plan's `path`, which must be what it was when the plan was written.
fn target(plan: &Plan, path: &str, paths: &Paths) -> Result<Target, String> {
    let Some(planned) = plan.files.get(path) else {
        return Err(format!("the plan does not say what `{path}` was like"));
    };
    let file = inside(path, &paths.root)?;
    let bytes = read::file(&file).map_err(|error| format!("`{path}` cannot be read: {}", reason(&error)))?;
    if sha256(&bytes) != planned.sha256.to_ascii_lowercase() {
        return Err(format!("`{path}` changed since the plan was written"));
    }
    let source = Source::new(path, bytes.clone());
    if source.problem().is_some() {
        return Err(format!("`{path}` cannot be read as Python"));
    }
    let (edits, imports) = (Vec::new(), Vec::new());
    Ok(Target { bytes, source, edits, places: BTreeSet::new(), imports, fixes: 0 })
}

/// The file below the root that `path` names. A plan may come from anywhere: nothing outside is touched, no link followed.
pub fn inside(path: &str, root: &Path) -> Result<PathBuf, String> {
    let parts: Vec<Component<'_>> = Path::new(path).components().collect();
    // Where a backslash separates directories too, it hides where the path leads.
    let is_misleading = |c| c == '\0' || cfg!(windows) && c == '\\';
    let is_plain = !path.is_empty()
        && !path.contains(is_misleading)
        && parts.iter().all(|part| matches!(part, Component::Normal(_)))
        // `a//b` and `a/./b` are other names of a file.
        && parts.iter().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/") == path;
    if !is_plain {
        return Err(format!("`{path}` is no path below the project root"));
    }
    // What stands there is executed, or says what is.
    let is_kept =
        |name: &str| [".git", ".hg", ".svn", ".ormend"].iter().any(|kept| name.eq_ignore_ascii_case(kept));
    if path.split('/').any(is_kept) {
        return Err(format!("`{path}` is no file of the project"));
    }
    let mut file = root.to_path_buf();
    for part in parts {
        file.push(part);
        if fs::symlink_metadata(&file).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(format!("`{path}` leads through a link"));
        }
    }
    Ok(file)
}

/// Take a fix: all of its edits, or, with the reason, none.
fn take(fix: &PlannedFix, targets: &mut Targets<'_>) -> Result<(), String> {
    if fix.edits.is_empty() {
        return Err("it has no edits".to_owned());
    }
    let mut own: Vec<(&str, Edit)> = Vec::new();
    let mut places: BTreeMap<&str, BTreeSet<Span>> = BTreeMap::new();
    for edit in &fix.edits {
        let target = match targets.get(edit.path.as_str()) {
            Some(Ok(target)) => target,
            Some(Err(why)) => return Err(why.clone()),
            None => return Err(format!("`{}` is not there", edit.path)),
        };
        let span = match (target.source.text_offset(edit.start), target.source.text_offset(edit.end)) {
            (Some(start), Some(end)) if start <= end => Span::new(start, end),
            _ => return Err(format!("an edit lies outside of the text of `{}`", edit.path)),
        };
        let places = places.entry(edit.path.as_str()).or_default();
        if any_near(&target.places, span, rewrite::touches) || any_near(places, span, Span::overlaps) {
            return Err("it overlaps a fix before it".to_owned());
        }
        places.insert(span);
        own.push((edit.path.as_str(), Edit { span, text: edit.text.clone() }));
    }
    for import in &fix.imports {
        if let Some(Err(why)) = targets.get(import.path.as_str()) {
            return Err(why.clone());
        }
        let is_part = |part: &str| {
            let is_word = part.chars().all(|c| c.is_alphanumeric() || c == '_');
            is_word && part.chars().next().is_some_and(|c| !c.is_numeric())
        };
        let is_name = |text: &str| text.split('.').all(is_part);
        // `from . import views`
        let module = import.module.trim_start_matches('.');
        if !(is_name(module) || module.is_empty() && !import.module.is_empty()) || !is_name(&import.name) {
            return Err("an import is no name".to_owned());
        }
    }
    for (path, edit) in own {
        if let Some(Ok(target)) = targets.get_mut(path) {
            target.places.insert(edit.span);
            target.edits.push(edit);
        }
    }
    for import in &fix.imports {
        if let Some(Ok(target)) = targets.get_mut(import.path.as_str()) {
            target.imports.push((import.module.clone(), import.name.clone()));
        }
    }
    if let Some(first) = fix.edits.first()
        && let Some(Ok(target)) = targets.get_mut(first.path.as_str())
    {
        target.fixes += 1;
    }
    Ok(())
}

/// Whether `meets` holds for `span` and one of `places`, which do not overlap each other. A plan may have a million of them,
/// so only those are asked that lie at it.
fn any_near(places: &BTreeSet<Span>, span: Span, meets: impl Fn(Span, Span) -> bool) -> bool {
    let before_its_end = places.range(..=Span::new(span.end, u32::MAX)).rev();
    before_its_end.take_while(|other| other.end >= span.start).any(|other| meets(*other, span))
}

/// The new content of the files. A file that cannot have it takes all of its fixes along, and these their other files.
fn changes<'p>(
    plan: &Plan,
    paths: &Paths,
    targets: &Targets<'p>,
    taken: &mut Vec<&'p PlannedFix>,
    refused: &mut Refused<'p>,
) -> Vec<Change> {
    let mut made: BTreeMap<&str, Change> = BTreeMap::new();
    let mut bad: BTreeMap<&str, String> = BTreeMap::new();
    for (path, target) in targets.iter() {
        let Ok(target) = target else { continue };
        if target.edits.is_empty() && target.imports.is_empty() {
            continue;
        }
        // Before anything is written: a fix of several files must not stop at the second one.
        if let Err(error) = write::check(paths, path) {
            bad.insert(path, format!("`{path}`: {error}"));
            continue;
        }
        match rewrite::apply_planned(target.source.clone(), &target.edits, &target.imports, &plan.packages) {
            Ok(after) => {
                let change = Change {
                    path: (*path).to_owned(),
                    before: target.bytes.clone(),
                    after,
                    fixes: target.fixes,
                    group: 0,
                };
                made.insert(path, change);
            }
            Err(why) => {
                bad.insert(path, format!("with the fixes of `{path}` {why}"));
            }
        }
    }
    loop {
        let mut lost: Refused = Vec::new();
        taken.retain(|fix| {
            let why = fix.files().iter().find_map(|path| bad.get(path));
            lost.extend(why.map(|why| (*fix, why.clone())));
            why.is_none()
        });
        if lost.is_empty() {
            break;
        }
        let also: BTreeSet<&str> = lost.iter().flat_map(|(fix, _)| fix.files()).collect();
        for path in also {
            made.remove(path);
            bad.entry(path)
                .or_insert_with(|| format!("a fix of `{path}` belongs to a file that cannot have it"));
        }
        refused.extend(lost);
    }
    let mut changes: Vec<Change> = made.into_values().collect();
    let together: Vec<Vec<&str>> = taken.iter().map(|fix| fix.files()).collect();
    rewrite::group(&mut changes, &together);
    changes
}
