//! From the command line to the engine and back: what every command that looks at a project does first.

use crate::baseline::{self, Known};
use crate::cache::{Cache, Content, Listing, Seen};
use crate::cli::{InputArgs, RunArgs};
use crate::discover::{self, LeftOut, Request, reason};
use crate::escape::escape_path;
use crate::git;
use crate::input::{Given, Input};
use crate::paths::{Paths, working_directory};
use crate::read;
use crate::report::{Findings, plural};
use crate::root;
use crate::settings::{Settings, codemods};
use crate::terminal::Terminal;
use crate::write::{self, Writer};
use ignore::gitignore::Gitignore;
use miette::miette;
use ormend_engine::codemod::Rule;
use ormend_engine::django::Project;
use ormend_engine::rewrite::{self, InputFile, Options, ParsedFiles, Report, Role, Warning};
use ormend_engine::text::Source;
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::fs;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Deep nesting is bounded in the engine; this leaves room for those bounds.
const STACK: usize = 16 << 20;

/// What is said where nothing had to be worked out.
const HIT: &str = "cache: the result of an earlier run";

/// The project as read, and what is wanted of it.
pub struct Loaded {
    pub paths: Paths,
    pub options: Options,
    pub rules: Vec<&'static dyn Rule>,
    /// How many files are looked at.
    pub scanned: usize,
    /// The engine's paths of what was asked for; empty for everything.
    pub asked: Vec<String>,
    /// The fingerprints of the baseline that would be found, were they not gone: those of files that are looked at, or that
    /// are not there any more.
    pub awaited: Vec<String>,
    input: Input,
    /// What was read, if anything had to be.
    given: Option<Given>,
    /// Where results are kept, if they are.
    cache: Option<Cached>,
    /// Whether the changes are going to be written, after which no run looks at the same files.
    is_to_write: bool,
    ignores: Ignores,
    pool: rayon::ThreadPool,
}

/// The codemods that `per-file-ignores` turns off, each set with the files.
pub struct Ignores(Vec<(Gitignore, FxHashSet<&'static str>)>);

impl Ignores {
    /// Those of `settings`.
    pub fn new(settings: &Settings) -> miette::Result<Ignores> {
        let each = settings.per_file_ignores.value.iter().map(|(glob, names)| {
            Ok((discover::matcher(&settings.base, std::slice::from_ref(glob))?, codemods(names)))
        });
        Ok(Ignores(each.collect::<miette::Result<_>>()?))
    }

    /// Those of the files that the engine calls `looked_at`, as [`Options::skip`] takes them.
    pub fn skip<'a>(&self, looked_at: impl Iterator<Item = &'a str>, paths: &Paths) -> Vec<(String, String)> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let of_file = |path: &'a str| {
            let file = paths.absolute(path);
            let matching = self.0.iter();
            let matching =
                matching.filter(move |(glob, _)| glob.matched_path_or_any_parents(&file, false).is_ignore());
            let names: FxHashSet<&str> = matching.flat_map(|(_, names)| names.iter().copied()).collect();
            names.into_iter().map(move |name| (path.to_owned(), name.to_owned()))
        };
        looked_at.flat_map(of_file).collect()
    }
}

/// Where results are kept, and what is known of this run's files without reading them.
struct Cached {
    cache: Cache,
    listing: Option<Listing>,
    /// What an earlier run found them to hold.
    seen: Option<Seen>,
}

impl Cached {
    /// That of the project at `root`, for a run that began at `started`. What is going to be written is read for it, and so is
    /// what standard input goes with.
    fn new(root: &Path, input: &Input, started: SystemTime, is_to_write: bool) -> Cached {
        let cache = Cache::new(root);
        let is_read = is_to_write || input.stdin.is_some();
        let listing = if is_read { None } else { Listing::of(input, started) };
        let seen = listing.as_ref().and_then(|listing| cache.seen(listing));
        Cached { cache, listing, seen }
    }
}

/// What the engine found, per-file ignores taken out.
pub struct Analysis {
    pub report: Report,
    pub paths: Paths,
    /// The threads that the run may use.
    pub pool: rayon::ThreadPool,
}

impl Analysis {
    /// The findings, for a report.
    pub fn findings(&self) -> Findings<'_> {
        let report = &self.report;
        Findings::new(&report.findings, &report.fingerprints, &report.sources, &self.paths)
    }
}

/// The sources of a project, by `FileId`.
pub fn sources(project: &Project) -> Vec<&Source> {
    project.program().files().iter().map(|file| &*file.source).collect()
}

/// Where a run looks.
struct Place {
    paths: Paths,
    /// What was asked for, absolute and free of links.
    asked: Vec<PathBuf>,
    stdin: Option<Vec<u8>>,
}

fn place(input: &InputArgs) -> miette::Result<Place> {
    let cwd = working_directory()?;
    let (asked, stdin) = asked(input, &cwd)?;
    Ok(Place { paths: Paths::new(root::find(&asked), cwd), asked, stdin })
}

/// The project that `input` lies in, or the directory that it is, if a run has written from there: `apply --root` takes any.
pub fn written(input: &InputArgs) -> miette::Result<Paths> {
    let Place { mut paths, asked, .. } = place(input)?;
    if let [one] = asked.as_slice()
        && write::has_journal(one)
    {
        paths.root.clone_from(one);
    }
    Ok(paths)
}

/// Read what `run` asks for.
pub fn load(run: &RunArgs, terminal: &Terminal) -> miette::Result<Loaded> {
    let place = place(&run.input)?;
    if write::is_interrupted(&place.paths.root) {
        terminal
            .warn("an earlier run was interrupted while it wrote; the next `ormend fix` takes it back first");
    }
    load_from(place, run, false, terminal)
}

/// Read what `run` asks for, and keep others from writing there. Standard input is not written, and needs no right to.
pub fn load_to_write(run: &RunArgs, terminal: &Terminal) -> miette::Result<(Loaded, Option<Writer>)> {
    let place = place(&run.input)?;
    let writer = match place.stdin {
        None => Some(Writer::begin(&place.paths, terminal)?),
        Some(_) => None,
    };
    let loaded = load_from(place, run, writer.is_some(), terminal)?;
    Ok((loaded, writer))
}

fn load_from(place: Place, run: &RunArgs, is_to_write: bool, terminal: &Terminal) -> miette::Result<Loaded> {
    let started = SystemTime::now();
    let Place { mut paths, asked, stdin } = place;
    let root = paths.root.clone();
    let settings = Settings::load(&root, &run.settings)?;
    terminal.detail(&format!("project root: {}", paths.show_absolute(&root)));
    match &settings.file {
        Some(file) => terminal.detail(&format!("configuration: {}", paths.show_absolute(file))),
        None => terminal.detail("configuration: none"),
    }
    let rules = settings.rules();
    let ignores = Ignores::new(&settings)?;

    let known = run.baseline.as_deref().map(baseline::read).transpose()?.unwrap_or_default();
    let changed = run.changed.as_ref().map(|since| changed(&root, since.as_deref())).transpose()?;
    let pool = pool(run.input.jobs)?;
    let discovery = {
        let _progress = terminal.progress("Finding files");
        discover::discover(&Request {
            paths: &paths,
            settings: &settings,
            asked: &asked,
            changed: changed.as_ref(),
            jobs: pool.current_num_threads(),
        })?
    };
    for (path, why) in &discovery.warnings {
        terminal.warn(&format!("{path}: {why}"));
    }
    let stdin = stdin.map(|bytes| standing_in(&asked, &paths, bytes)).transpose()?;
    let mut options = settings.options();
    let environment = settings.python.value;
    paths.site_packages = environment.as_ref().map(|environment| environment.site_packages.clone());
    let input = Input { discovery, stdin, environment };
    let cache = (!run.no_cache).then(|| Cached::new(&root, &input, started, is_to_write));
    let seen = cache.as_ref().and_then(|cached| cached.seen.as_ref());
    let given = seen.is_none().then(|| pool.install(|| input.read(&paths, terminal)));
    let (count, packages) = match (&given, seen) {
        (Some(given), _) => (given.files.len(), given.packages.as_slice()),
        (None, Some(seen)) => (seen.count, seen.packages.as_slice()),
        (None, None) => (0, &[][..]),
    };
    paths.environment = packages.iter().cloned().collect();
    let scanned = match &given {
        Some(given) => given.files.iter().filter(|file| file.role == Role::Scan).count(),
        None => input.scanned().count(),
    };
    if scanned == 0 && changed.is_none() {
        terminal.warn("there is no Python file to look at here");
    }
    terminal.detail(&match &paths.site_packages {
        Some(dir) => {
            format!("environment: {} ({} files read)", paths.show_absolute(dir), packages.len())
        }
        None => "environment: none".to_owned(),
    });

    let looked_at: FxHashSet<&str> = input.scanned().collect();
    let is_awaited =
        |known: &&Known| looked_at.contains(known.path.as_str()) || !root.join(&known.path).exists();
    let awaited = known.iter().filter(is_awaited).map(|known| known.fingerprint.clone()).collect();
    options.known = known.into_iter().map(|known| known.fingerprint).collect();
    terminal.detail(&format!(
        "Django {}.{} and later, line length {}, {} codemods, {} files ({scanned} to look at)",
        options.target_django.0,
        options.target_django.1,
        options.line_length,
        rules.len(),
        count
    ));
    let asked =
        asked.iter().filter(|path| **path != root).filter_map(|path| paths.engine_path(path)).collect();
    Ok(Loaded {
        paths,
        options,
        rules,
        scanned,
        asked,
        awaited,
        input,
        given,
        cache,
        is_to_write,
        ignores,
        pool,
    })
}

/// The files that differ from the revision `since`.
fn changed(root: &Path, since: Option<&str>) -> miette::Result<FxHashSet<PathBuf>> {
    let repository = git::Repository::find(root)?.ok_or_else(|| {
        miette!(help = "leave --changed out", "--changed: the project is in no git repository")
    })?;
    repository.changed(since)
}

/// As many threads as are asked for, or one a core, with room for what is deeply nested.
pub fn pool(jobs: Option<NonZeroUsize>) -> miette::Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(jobs.map_or(0, usize::from))
        .stack_size(STACK)
        .build()
        .map_err(|error| miette!("cannot start threads: {error}"))
}

/// What was asked for, absolute and free of links; and standard input, if that was.
fn asked(input: &InputArgs, cwd: &Path) -> miette::Result<(Vec<PathBuf>, Option<Vec<u8>>)> {
    let is_stdin = input.paths.iter().any(|path| path.as_os_str() == "-");
    if !is_stdin {
        if input.stdin_filename.is_some() {
            return Err(miette!(
                help = "give `-` as the path",
                "--stdin-filename is for standard input only"
            ));
        }
        let paths = input.paths.iter().map(|path| resolve(path));
        return Ok((paths.collect::<miette::Result<_>>()?, None));
    }
    if input.paths.len() > 1 {
        return Err(miette!(help = "give `-` alone", "`-` cannot be combined with other paths"));
    }
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .map_err(|error| miette!("cannot read standard input: {}", reason(&error)))?;
    let name = cwd.join(input.stdin_filename.as_deref().unwrap_or(Path::new("stdin.py")));
    let file = free_of_links(&name).map_err(|error| {
        miette!(
            help = "give the path of a file in a directory that exists",
            "--stdin-filename cannot be used: {}",
            reason(&error)
        )
    })?;
    if file.is_dir() {
        return Err(miette!(help = "give the path of a file", "--stdin-filename names a directory"));
    }
    Ok((vec![file], Some(bytes)))
}

/// The absolute path `file` free of links. The file need not exist, but where it does its own name counts, as for every other
/// file.
pub fn free_of_links(file: &Path) -> std::io::Result<PathBuf> {
    fs::canonicalize(file).or_else(|error| match (file.parent(), file.file_name()) {
        (Some(parent), Some(name)) => Ok(fs::canonicalize(parent)?.join(name)),
        _ => Err(error),
    })
}

/// A path that is asked for, absolute and free of links.
pub fn resolve(path: &Path) -> miette::Result<PathBuf> {
    fs::canonicalize(path).and_then(readable).map_err(|error| {
        let name = escape_path(path);
        miette!(help = "check the path", "cannot look at `{name}`: {}", reason(&error))
    })
}

/// The same, if it can be read.
fn readable(path: PathBuf) -> std::io::Result<PathBuf> {
    match path.is_dir() {
        true => fs::read_dir(&path).map(drop)?,
        false => read::at_most(&path, 0).map(drop)?,
    }
    Ok(path)
}

/// Standard input, in the place of the file that it stands for.
fn standing_in(asked: &[PathBuf], paths: &Paths, bytes: Vec<u8>) -> miette::Result<InputFile> {
    let path = asked.first().and_then(|file| paths.engine_path(file));
    let path = path.ok_or_else(|| miette!("--stdin-filename is not UTF-8"))?;
    Ok(InputFile { path, bytes, role: Role::Scan })
}

impl Loaded {
    /// Run the engine; with `apply` its fixes too. The edits of a finding's fix are the whole of it, imports included.
    pub fn analyse(self, apply: bool, terminal: &Terminal) -> Analysis {
        let mut analysis = self.analyse_apart(apply, terminal);
        join_imports(&mut analysis.report);
        analysis
    }

    /// The same with the imports of a fix apart from its edits.
    pub fn analyse_apart(mut self, apply: bool, terminal: &Terminal) -> Analysis {
        let _progress = terminal.progress(format!("Looking at {} files", self.scanned));
        self.options.skip = self.ignores.skip(self.input.scanned(), &self.paths);
        let report = self.report(apply, terminal);
        drop(_progress);
        for warning in &report.warnings {
            terminal.warn(&text_of(warning, &self.paths));
        }
        let count = plural(report.parsed.files, "file", "files");
        terminal.detail(&format!("parsed {count}, {} bytes", report.parsed.bytes));
        Analysis { report, paths: self.paths, pool: self.pool }
    }

    /// What the engine says of the files, or said when it was given the same.
    fn report(&mut self, apply: bool, terminal: &Terminal) -> Report {
        let cached = self.cache.take();
        if let Some(Cached { cache, seen: Some(seen), .. }) = &cached
            && let Some(key) = cache.key(&seen.all(), &self.rules, &self.options, apply)
            && let Some(report) = self.pool.install(|| cache.get(&key, None, &self.paths))
        {
            terminal.detail(&format!("{HIT} over files that have not changed since"));
            return report;
        }
        let given = self.given(terminal);
        let content = cached.as_ref().map(|_| self.pool.install(|| Content::of(&given.files)));
        let Loaded { rules, options, pool, paths, .. } = self;
        let key = |cache: &Cache, content: &Content| cache.key(&content.all, rules, options, apply);
        let (cached, content) = (cached.as_ref(), content.as_ref());
        let cached = cached.zip(content).and_then(|(Cached { cache, listing, .. }, content)| {
            Some((cache, listing, content, key(cache, content)?))
        });
        let Some((cache, listing, content, key)) = cached else {
            terminal.detail("cache: none");
            return pool.install(|| rewrite::run(given.files, rules, options, apply));
        };
        let keep_seen = |packages, watched| {
            if let Some(listing) = listing {
                cache.keep_seen(listing, content, packages, watched);
            }
        };
        let Given { files, packages, watched } = given;
        if let Some(report) = pool.install(|| cache.get(&key, Some(&files), paths)) {
            terminal.detail(HIT);
            keep_seen(packages, watched);
            return report;
        }
        let (files, report) = pool.install(|| {
            let trees = cache.trees();
            let files = ParsedFiles::new(files, |index| content.tree(&trees, index));
            drop(trees);
            (files.clone(), rewrite::run_parsed(files, rules, options, apply))
        });
        if self.is_to_write && !report.changes.is_empty() {
            return report;
        }
        match cache.put(&key, &report, content) {
            Ok(()) => {
                terminal.detail("cache: the result is kept for the next run");
                keep_seen(packages, watched);
                // Who has none parses.
                let _ = pool.install(|| cache.keep_trees(&files, content));
            }
            Err(error) => terminal.detail(&format!("cache: the result is not kept: {}", reason(&error))),
        }
        report
    }

    /// What was read; it is read now if nothing was.
    fn given(&mut self, terminal: &Terminal) -> Given {
        if let Some(given) = self.given.take() {
            return given;
        }
        let given = self.pool.install(|| self.input.read(&self.paths, terminal));
        self.paths.environment = given.packages.iter().cloned().collect();
        given
    }

    /// How many files are not looked at, by reason.
    pub fn left_out(&self) -> LeftOut {
        self.input.discovery.left_out
    }

    /// What standard input holds, in the place of the file that it stands for.
    pub fn stdin(&self) -> Option<&InputFile> {
        self.input.stdin.as_ref()
    }

    /// Index the project without looking for anything.
    pub fn index(&mut self, terminal: &Terminal) -> Project {
        let files = self.given(terminal).files;
        let _progress = terminal.progress(format!("Indexing {} files", files.len()));
        let project = self.pool.install(|| {
            let sources = files.into_par_iter().map(InputFile::into_source).collect();
            Project::build(sources)
        });
        let own = sources(&project)
            .into_iter()
            .filter(|source| !source.is_template() && !self.paths.environment.contains(source.path()));
        for warning in own.filter_map(rewrite::unreadable) {
            terminal.warn(&text_of(&warning, &self.paths));
        }
        project
    }
}

/// Make the edits of each finding's fix the whole of it, imports included.
pub fn join_imports(report: &mut Report) {
    for (finding, imports) in report.findings.iter_mut().zip(&mut report.imports) {
        let Some(fix) = &mut finding.fix else { continue };
        fix.edits.append(imports);
        fix.imports.clear();
    }
}

fn text_of(warning: &Warning, paths: &Paths) -> String {
    let line = warning.line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}{line}: {}", paths.show(&warning.path), crate::escape::escape_line(&warning.message))
}
