//! Which files of a project are looked at, and which are only known to the index.
//!
//! The whole root is always walked: models are indexed for the whole project, however few paths are asked for.
//! What .gitignore names, hidden directories, virtual environments and node_modules are not walked into.

use crate::escape::escape_line;
use crate::paths::Paths;
use crate::settings::Settings;
use crate::stat::Stat;
use crate::write::DIR;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use ignore::{DirEntry, WalkBuilder, WalkState};
use miette::miette;
use ormend_engine::django::templates::is_template_path;
use ormend_engine::rewrite::{Role, is_migration};
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Directories that never hold a project's own code: what is installed or made, and the catalogs of gettext.
const FOREIGN: [&str; 5] = ["__pycache__", "node_modules", "site-packages", "LC_MESSAGES", DIR];

/// What the walk is about.
pub struct Request<'a> {
    pub paths: &'a Paths,
    pub settings: &'a Settings,
    /// The paths that were asked for, absolute and free of links.
    pub asked: &'a [PathBuf],
    /// If only files that changed are looked at: those, absolute and free of links.
    pub changed: Option<&'a FxHashSet<PathBuf>>,
    /// How many threads walk.
    pub jobs: usize,
}

/// One file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub file: PathBuf,
    /// Its name in the engine.
    pub path: String,
    pub role: Role,
    /// What the system tells of it, if it tells enough.
    pub stat: Option<Stat>,
}

impl Found {
    /// Whether it is read: what is neither looked at nor indexed, by its path alone, is not.
    pub fn is_read(&self) -> bool {
        self.role != Role::Aside || !is_migration(&self.path)
    }
}

/// How many files below the asked paths are not looked at, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    pub tests: usize,
    pub migrations: usize,
    pub excluded: usize,
    pub unchanged: usize,
}

/// What was found, by path, and what could not be looked at: its path as shown, and why.
#[derive(Debug, Default)]
pub struct Discovery {
    /// Python files, and templates of apps.
    pub files: Vec<Found>,
    /// Files that are templates if the settings name a directory above them.
    pub maybe_templates: Vec<Found>,
    pub left_out: LeftOut,
    pub warnings: Vec<(String, String)>,
}

/// Find the Python files and the templates of the project.
pub fn discover(request: &Request) -> miette::Result<Discovery> {
    let choice = Choice::new(request.settings)?;
    let mut discovery = Discovery::default();
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    // The asked directories are walked too, for they may be ignored or hidden.
    let mut starts = vec![request.paths.root.clone()];
    starts.extend(request.asked.iter().filter(|path| path.is_dir() && **path != request.paths.root).cloned());
    for start in &starts {
        walk(start, request, &mut found, &mut discovery);
    }
    for file in request.asked.iter().filter(|path| !path.is_dir()) {
        match request.paths.engine_path(file) {
            Some(path) => {
                let (file, stat) = (file.clone(), Stat::at(file));
                found.insert(path.clone(), Found { file, path, role: Role::Scan, stat });
            }
            None => discovery.warn(request, file, "its name is not UTF-8, so it is left out"),
        }
    }
    discovery.files = found.into_values().collect();
    discovery.maybe_templates.sort_by(|a, b| a.path.cmp(&b.path));
    discovery.maybe_templates.dedup();
    for file in &mut discovery.files {
        if matches!(file.role, Role::Scan | Role::Template) {
            continue;
        }
        let asked = request.asked.iter().filter(|asked| file.file.starts_with(asked)).max();
        let asked = asked.map(|asked| request.paths.engine_path(asked).unwrap_or_default());
        let (role, reason) = choice.role(&file.path, &file.file, asked.as_deref());
        file.role = role;
        match reason {
            Some(Reason::Test) => discovery.left_out.tests += 1,
            Some(Reason::Migration) => discovery.left_out.migrations += 1,
            Some(Reason::Excluded) => discovery.left_out.excluded += 1,
            None => {}
        }
    }
    if let Some(changed) = request.changed {
        let unchanged = |file: &&mut Found| file.role == Role::Scan && !changed.contains(&file.file);
        for file in discovery.files.iter_mut().filter(unchanged) {
            file.role = Role::Index;
            discovery.left_out.unchanged += 1;
        }
    }
    discovery.warnings.sort();
    discovery.warnings.dedup();
    Ok(discovery)
}

/// Which modules are looked at, by their paths.
pub struct Choice {
    exclude: Gitignore,
    tests: bool,
    migrations: bool,
}

/// Why a module below what was asked for is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Test,
    Migration,
    Excluded,
}

impl Choice {
    /// That of `settings`.
    pub fn new(settings: &Settings) -> miette::Result<Choice> {
        let exclude = matcher(&settings.base, &settings.exclude.value)?;
        Ok(Choice {
            exclude,
            tests: settings.include_tests.value,
            migrations: settings.include_migrations.value,
        })
    }

    /// What is wanted of `file`, which the engine calls `path`, if a directory above it was asked for that the engine calls
    /// `asked`.
    pub fn role_of(&self, path: &str, file: &Path, asked: Option<&str>) -> Role {
        self.role(path, file, asked).0
    }

    /// The same, and why it is not looked at although it was asked for.
    fn role(&self, path: &str, file: &Path, asked: Option<&str>) -> (Role, Option<Reason>) {
        let is_test = |path: &str| !self.tests && is_test(path);
        let is_migration = |path: &str| !self.migrations && is_migration(path);
        let aside = if is_test(path) || is_migration(path) { Role::Aside } else { Role::Index };
        let Some(asked) = asked else { return (aside, None) };
        // A reason that holds for the asked directory itself is no reason: its files were asked for.
        let inside = format!("{asked}/x.py");
        if is_test(path) && !is_test(&inside) {
            (aside, Some(Reason::Test))
        } else if is_migration(path) && !is_migration(&inside) {
            (aside, Some(Reason::Migration))
        } else if self.exclude.matched_path_or_any_parents(file, false).is_ignore() {
            (aside, Some(Reason::Excluded))
        } else {
            (Role::Scan, None)
        }
    }
}

/// Matches paths below `base` by globs as in .gitignore.
pub fn matcher(base: &Path, globs: &[String]) -> miette::Result<Gitignore> {
    let wrong = |error: &ignore::Error| {
        miette!("the globs of the configuration cannot be used: {}", escape_line(&error.to_string()))
    };
    let mut builder = GitignoreBuilder::new(base);
    for glob in globs {
        builder.add_line(None, glob).map_err(|error| {
            let (glob, error) = (escape_line(glob).into_owned(), error.to_string());
            miette!("the glob `{glob}` is wrong: {}", escape_line(&error))
        })?;
    }
    builder.build().map_err(|error| wrong(&error))
}

fn walk(start: &Path, request: &Request, found: &mut BTreeMap<String, Found>, discovery: &mut Discovery) {
    // What says which files are ignored is read when a directory is gone into, and those above `start` before.
    let odd = start.ancestors().find_map(odd_ignore_file);
    let is_used = odd.is_none();
    let nested = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&nested);
    let walker = WalkBuilder::new(start)
        .require_git(false)
        .parents(is_used)
        .ignore(is_used)
        .git_ignore(is_used)
        .filter_entry(move |entry| {
            let is_ours = entry.depth() == 0 || !is_foreign(entry);
            let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
            let odd = (is_ours && is_dir && is_used).then(|| odd_ignore_file(entry.path())).flatten();
            let is_left_out = odd.is_some();
            if let Some(odd) = odd {
                push(&seen, odd);
            }
            is_ours && !is_left_out
        })
        .threads(request.jobs)
        .build_parallel();
    if let Some(file) = odd {
        discovery.warn(request, &file, "it is no regular file, so nothing is ignored");
    }
    // In the order of threads; what is made of it is sorted.
    let met = Mutex::new(Vec::new());
    walker.run(|| {
        Box::new(|entry| {
            if let Some(entry) = look_at(entry, start, request) {
                push(&met, entry);
            }
            WalkState::Continue
        })
    });
    for entry in taken(&met) {
        match entry {
            Met::File(file) => {
                found.entry(file.path.clone()).or_insert(file);
            }
            Met::MaybeTemplate(file) => discovery.maybe_templates.push(file),
            Met::Odd(path, reason) => discovery.warn(request, &path, &reason),
        }
    }
    for file in taken(&nested) {
        discovery.warn(request, &file, "it is no regular file, so its directory is left out");
    }
}

/// What a walk comes by.
enum Met {
    File(Found),
    MaybeTemplate(Found),
    /// What is told, and why.
    Odd(PathBuf, String),
}

/// What is to be made of an entry of the walk from `start`, if anything.
fn look_at(entry: Result<DirEntry, ignore::Error>, start: &Path, request: &Request) -> Option<Met> {
    let entry = match entry {
        Ok(entry) => entry,
        Err(error) => {
            let (path, reason) = explain(&error);
            return Some(Met::Odd(path.unwrap_or_else(|| start.to_path_buf()), reason));
        }
    };
    if entry.path_is_symlink() {
        let reason = link_problem(entry.path(), request.paths)?;
        return Some(Met::Odd(entry.into_path(), reason));
    }
    if !entry.file_type().is_some_and(|kind| kind.is_file()) {
        return None;
    }
    let is_python = is_python(entry.path());
    let found = |path: String, role| {
        let stat = entry.metadata().ok().and_then(|metadata| Stat::of(&metadata));
        Found { file: entry.path().to_path_buf(), path, role, stat }
    };
    match request.paths.engine_path(entry.path()) {
        Some(path) if is_python => Some(Met::File(found(path, Role::Index))),
        Some(path) if is_template_path(&path, &[]) => Some(Met::File(found(path, Role::Template))),
        Some(path) if is_template_path(&path, &[String::new()]) => {
            Some(Met::MaybeTemplate(found(path, Role::Template)))
        }
        None if is_python => {
            Some(Met::Odd(entry.into_path(), "its name is not UTF-8, so it is left out".into()))
        }
        _ => None,
    }
}

/// A lock is poisoned by a panic only, which ends the run.
fn push<T>(all: &Mutex<Vec<T>>, one: T) {
    if let Ok(mut all) = all.lock() {
        all.push(one);
    }
}

fn taken<T>(all: &Mutex<Vec<T>>) -> Vec<T> {
    all.lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default()
}

/// What says which files of `dir` are ignored, if reading it could take forever: a pipe, a device or a link to one.
fn odd_ignore_file(dir: &Path) -> Option<PathBuf> {
    let is_odd =
        |file: &PathBuf| fs::metadata(file).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
    [".gitignore", ".ignore"].iter().map(|name| dir.join(name)).find(is_odd)
}

impl Discovery {
    fn warn(&mut self, request: &Request, path: &Path, reason: &str) {
        self.warnings.push((request.paths.show_absolute(path), reason.to_string()));
    }
}

pub fn is_python(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "py")
}

fn is_foreign(entry: &DirEntry) -> bool {
    entry.file_type().is_some_and(|kind| kind.is_dir())
        && (FOREIGN.iter().any(|name| entry.file_name() == *name) || entry.path().join("pyvenv.cfg").exists())
}

/// Why a link is worth a word. One that stays inside the project is not: its target is found without it.
fn link_problem(link: &Path, paths: &Paths) -> Option<String> {
    match fs::canonicalize(link) {
        Ok(target) if link.starts_with(&target) => {
            Some("it is a link to a directory that holds it, a loop, and is not followed".into())
        }
        Ok(target) if target.starts_with(&paths.root) => None,
        Ok(target) if target.is_dir() || is_python(&target) => Some(format!(
            "it is a link that leaves the project, to `{}`, and is not followed",
            paths.show_absolute(&target)
        )),
        Ok(_) => None,
        // std has no stable kind for ELOOP; a dangling link is NotFound and of no interest unless it is a module.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            is_python(link).then(|| "it is a link to a file that does not exist".into())
        }
        Err(error) if error.to_string().contains("symbolic link") => {
            Some("it is a link that leads back to itself, a loop, and is not followed".into())
        }
        Err(error) => Some(format!("the link cannot be followed: {}", reason(&error))),
    }
}

/// The path and the reason of a failure of the walk.
fn explain(error: &ignore::Error) -> (Option<PathBuf>, String) {
    match error {
        ignore::Error::WithPath { path, err } => (Some(path.clone()), explain(err).1),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => explain(err),
        ignore::Error::Loop { child, .. } => {
            (Some(child.clone()), "it is a link that leads back, a loop".into())
        }
        // The walk puts the path in front of what the system says.
        ignore::Error::Io(error) => {
            let plain = io::Error::from(error.kind());
            (None, format!("it cannot be read: {}", reason(&plain)))
        }
        other => (None, escape_line(&other.to_string()).into_owned()),
    }
}

/// An IO error in words, without Rust's "(os error 13)".
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let plain = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = plain.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// A test, by its name or a directory's: `tests/`, `test/`, `tests.py`, `test_x.py`, `x_test.py`, `conftest.py`.
pub fn is_test(path: &str) -> bool {
    let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.strip_suffix(".py").unwrap_or(name);
    dirs.split('/').any(|dir| matches!(dir, "tests" | "test"))
        || matches!(stem, "tests" | "test" | "conftest")
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || stem.ends_with("_tests")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Setting;

    fn roles(root: &Path, asked: &[&str], settings: Settings) -> (Vec<String>, Discovery) {
        let root = root.canonicalize().unwrap();
        let paths = Paths::new(root.clone(), root.clone());
        let asked: Vec<PathBuf> = asked.iter().map(|path| root.join(path)).collect();
        let settings = Settings { base: root, ..settings };
        let request = Request { paths: &paths, settings: &settings, asked: &asked, changed: None, jobs: 2 };
        let found = discover(&request).unwrap();
        let mark = |role| if role == Role::Scan { "" } else { "~" };
        (found.files.iter().map(|f| format!("{}{}", mark(f.role), f.path)).collect(), found)
    }

    fn project(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, if *file == ".gitignore" { "build/\n" } else { "" }).unwrap();
        }
        dir
    }

    #[test]
    fn tests_and_migrations_are_index_only() {
        let files =
            ["shop/a.py", "shop/tests/b.py", "shop/test_c.py", "shop/migrations/0001.py", "shop/x.txt"];
        let dir = project(&files);
        let (files, found) = roles(dir.path(), &[""], Settings::default());
        assert_eq!(files, ["shop/a.py", "~shop/migrations/0001.py", "~shop/test_c.py", "~shop/tests/b.py"]);
        assert_eq!(found.left_out, LeftOut { tests: 2, migrations: 1, ..LeftOut::default() });
        let settings = Settings {
            include_tests: Setting::default(true),
            include_migrations: Setting::default(true),
            ..Settings::default()
        };
        assert!(roles(dir.path(), &[""], settings).0.iter().all(|file| !file.starts_with('~')));
    }

    #[test]
    fn what_is_asked_for_is_looked_at() {
        let dir = project(&["a/x.py", "a/tests/y.py", "b/z.py", "build/w.py", ".gitignore"]);
        let asked = |asked: &[&str]| roles(dir.path(), asked, Settings::default()).0;
        assert_eq!(asked(&["a"]), ["~a/tests/y.py", "a/x.py", "~b/z.py"]);
        assert_eq!(asked(&["a/tests"]), ["a/tests/y.py", "~a/x.py", "~b/z.py"]);
        assert_eq!(asked(&["a/tests/y.py", "b"]), ["a/tests/y.py", "~a/x.py", "b/z.py"]);
        assert_eq!(asked(&["build"]), ["~a/tests/y.py", "~a/x.py", "~b/z.py", "build/w.py"]);
    }

    #[test]
    fn foreign_and_excluded_files() {
        let dir = project(&[
            "a.py",
            "v/x.py",
            "env/pyvenv.cfg",
            "env/lib/y.py",
            "node_modules/z.py",
            "locale/de/LC_MESSAGES/django.py",
            ".h/h.py",
        ]);
        let settings = Settings { exclude: Setting::default(vec!["/v/".into()]), ..Settings::default() };
        let (files, found) = roles(dir.path(), &[""], settings);
        assert_eq!(files, ["a.py", "~v/x.py"]);
        assert_eq!(found.left_out.excluded, 1);
    }

    #[test]
    fn templates_are_for_the_index() {
        let dir = project(&[
            "shop/templates/shop/a.html",
            "shop/tests/templates/b.txt",
            "shop/templates/c.png",
            "pages/d.html",
            "node_modules/templates/e.html",
            "x.py",
        ]);
        let (files, found) = roles(dir.path(), &[""], Settings::default());
        assert_eq!(files, ["~shop/templates/shop/a.html", "~shop/tests/templates/b.txt", "x.py"]);
        assert!(found.files.iter().all(|file| (file.role == Role::Template) != file.path.ends_with(".py")));
        assert_eq!(found.maybe_templates.iter().map(|f| &*f.path).collect::<Vec<_>>(), ["pages/d.html"]);
        assert_eq!(found.left_out, LeftOut::default());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        use std::os::unix::fs::symlink;
        let outside = project(&["o.py"]);
        let dir = project(&["a/x.py"]);
        symlink(outside.path(), dir.path().join("out")).unwrap();
        symlink(dir.path().join("a"), dir.path().join("b")).unwrap();
        symlink(dir.path(), dir.path().join("a/up")).unwrap();
        symlink("self.py", dir.path().join("self.py")).unwrap();
        symlink("gone.py", dir.path().join("dangling.py")).unwrap();
        let (files, found) = roles(dir.path(), &[""], Settings::default());
        assert_eq!(files, ["a/x.py"]);
        let warned: Vec<&str> = found.warnings.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(warned, ["a/up", "dangling.py", "out", "self.py"]);
    }
}
