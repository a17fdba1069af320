//! From the command line to the engine and back: what every command that looks at a project does first.

use crate::baseline::{self, Known};
use crate::cache::Cache;
use crate::cli::{InputArgs, RunArgs};
use crate::discover::{self, Discovery, Found, LeftOut, Request, reason};
use crate::escape::escape_path;
use crate::git;
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
use ormend_engine::django::{Project, templates};
use ormend_engine::rewrite::{self, InputFile, Options, Report, Role, Warning};
use ormend_engine::text::{MAX_BYTES, Source};
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Deep nesting is bounded in the engine; this leaves room for those bounds.
const STACK: usize = 16 << 20;

/// Templates are smaller than this; what is larger is data with an ending of a template.
const MAX_TEMPLATE: usize = 2 << 20;

/// The project as read, and what is wanted of it.
pub struct Loaded {
    pub paths: Paths,
    pub files: Vec<InputFile>,
    pub options: Options,
    pub rules: Vec<&'static dyn Rule>,
    pub left_out: LeftOut,
    /// How many files are looked at.
    pub scanned: usize,
    /// The engine's path of the file that standard input holds.
    pub stdin: Option<String>,
    /// The engine's paths of what was asked for; empty for everything.
    pub asked: Vec<String>,
    /// The fingerprints of the baseline that would be found, were they not gone: those of files that are looked at, or that
    /// are not there any more.
    pub awaited: Vec<String>,
    /// Where results are kept, if they are.
    cache: Option<Cache>,
    /// Whether the changes are going to be written, after which no run looks at the same files.
    is_to_write: bool,
    ignores: Vec<(Gitignore, FxHashSet<&'static str>)>,
    pool: rayon::ThreadPool,
}

/// What the engine found, per-file ignores taken out.
pub struct Analysis {
    pub report: Report,
    pub paths: Paths,
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
    load_from(place, run, terminal)
}

/// Read what `run` asks for, and keep others from writing there. Standard input is not written, and needs no right to.
pub fn load_to_write(run: &RunArgs, terminal: &Terminal) -> miette::Result<(Loaded, Option<Writer>)> {
    let place = place(&run.input)?;
    let writer = match place.stdin {
        None => Some(Writer::begin(&place.paths, terminal)?),
        Some(_) => None,
    };
    let mut loaded = load_from(place, run, terminal)?;
    loaded.is_to_write = writer.is_some();
    Ok((loaded, writer))
}

fn load_from(place: Place, run: &RunArgs, terminal: &Terminal) -> miette::Result<Loaded> {
    let Place { mut paths, asked, stdin } = place;
    let root = paths.root.clone();
    let settings = Settings::load(&root, &run.settings)?;
    terminal.detail(&format!("project root: {}", paths.show_absolute(&root)));
    match &settings.file {
        Some(file) => terminal.detail(&format!("configuration: {}", paths.show_absolute(file))),
        None => terminal.detail("configuration: none"),
    }
    let rules = settings.rules();
    let ignores = settings.per_file_ignores.value.iter();
    let ignores = ignores
        .map(|(glob, names)| {
            Ok((discover::matcher(&settings.base, std::slice::from_ref(glob))?, codemods(names)))
        })
        .collect::<miette::Result<_>>()?;

    let known = run.baseline.as_deref().map(baseline::read).transpose()?.unwrap_or_default();
    let changed = run.changed.as_ref().map(|since| changed(&root, since.as_deref())).transpose()?;
    let pool = pool(&run.input)?;
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
    let mut files = read_all(&discovery, &paths, stdin.as_deref(), &pool, terminal);
    let stdin = match stdin {
        None => None,
        Some(bytes) => Some(overlay(&mut files, &asked, &paths, bytes)?),
    };
    let scanned = files.iter().filter(|file| file.role == Role::Scan).count();
    if scanned == 0 && changed.is_none() {
        terminal.warn("there is no Python file to look at here");
    }

    let mut options = settings.options();
    if let Some(environment) = settings.python.value {
        let _progress = terminal.progress("Reading installed packages");
        let own: FxHashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let mut packages = pool.install(|| environment.read_needed(&files));
        packages.retain(|file| !own.contains(file.path.as_str()));
        terminal.detail(&format!(
            "environment: {} ({} files read)",
            paths.show_absolute(&environment.site_packages),
            packages.len()
        ));
        paths.environment = packages.iter().map(|file| file.path.clone()).collect();
        paths.site_packages = Some(environment.site_packages);
        files.extend(packages);
    } else {
        terminal.detail("environment: none");
    }

    let looked_at = discovery.files.iter().filter(|file| file.role == Role::Scan);
    let looked_at: FxHashSet<&str> = looked_at.map(|file| file.path.as_str()).collect();
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
        files.len()
    ));
    let asked =
        asked.iter().filter(|path| **path != root).filter_map(|path| paths.engine_path(path)).collect();
    Ok(Loaded {
        cache: (!run.no_cache).then(|| Cache::new(&root)),
        is_to_write: false,
        paths,
        files,
        options,
        rules,
        left_out: discovery.left_out,
        scanned,
        stdin,
        asked,
        awaited,
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

/// As many threads as `input` asks for, with room for what is deeply nested.
pub fn pool(input: &InputArgs) -> miette::Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(input.jobs.map_or(0, usize::from))
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
    // The file need not exist, but where it does its own name counts, as for every other file.
    let file = fs::canonicalize(&name)
        .or_else(|_| {
            let parent = fs::canonicalize(name.parent().unwrap_or(cwd))?;
            Ok::<_, std::io::Error>(parent.join(name.file_name().unwrap_or_default()))
        })
        .map_err(|error| {
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

fn read_all(
    discovery: &Discovery,
    paths: &Paths,
    stdin: Option<&[u8]>,
    pool: &rayon::ThreadPool,
    terminal: &Terminal,
) -> Vec<InputFile> {
    let _progress = terminal.progress(format!("Reading {} files", discovery.files.len()));
    for (path, why) in &discovery.warnings {
        terminal.warn(&format!("{path}: {why}"));
    }
    let read = |found: &[Found]| -> Vec<Result<InputFile, String>> {
        pool.install(|| {
            found
                .par_iter()
                // The file that standard input stands for need not exist.
                .filter(|file| stdin.is_none() || file.role != Role::Scan)
                .filter(|file| file.role != Role::Aside || !rewrite::is_migration(&file.path))
                .map(|file| match read::at_most(&file.file, MAX_BYTES + 1) {
                    Ok(bytes) => Ok(InputFile { path: file.path.clone(), bytes, role: file.role }),
                    Err(error) => {
                        Err(format!("{}: it cannot be read: {}", paths.show(&file.path), reason(&error)))
                    }
                })
                .collect()
        })
    };
    let mut files = Vec::with_capacity(discovery.files.len());
    for file in read(&discovery.files) {
        match file {
            Ok(file) => files.push(file),
            Err(warning) => terminal.warn(&warning),
        }
    }
    let modules = || files.par_iter().filter(|file| file.role != Role::Template);
    let dirs: Vec<String> =
        pool.install(|| modules().flat_map_iter(|file| templates::named_dirs(&file.bytes)).collect());
    let named = |file: &&Found| templates::is_template_path(&file.path, &dirs);
    let named: Vec<Found> = discovery.maybe_templates.iter().filter(named).cloned().collect();
    files.extend(read(&named).into_iter().flatten());
    files.retain(|file| file.role != Role::Template || file.bytes.len() <= MAX_TEMPLATE);
    for file in files.iter_mut().filter(|file| file.role == Role::Template) {
        // What only is text reads nothing, but its name counts.
        if !templates::has_tags(&file.bytes) {
            file.bytes = Vec::new();
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    pool.install(|| rewrite::leave_out_idle(&mut files));
    files
}

/// Put standard input in the place of the file that it stands for.
fn overlay(
    files: &mut Vec<InputFile>,
    asked: &[PathBuf],
    paths: &Paths,
    bytes: Vec<u8>,
) -> miette::Result<String> {
    let path = asked.first().and_then(|file| paths.engine_path(file));
    let path = path.ok_or_else(|| miette!("--stdin-filename is not UTF-8"))?;
    files.retain(|file| file.path != path);
    files.push(InputFile { path: path.clone(), bytes, role: Role::Scan });
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(path)
}

impl Loaded {
    /// Run the engine; with `apply` its fixes too. The edits of a finding's fix are the whole of it, imports included.
    pub fn analyse(self, apply: bool, terminal: &Terminal) -> Analysis {
        let mut analysis = self.analyse_apart(apply, terminal);
        let report = &mut analysis.report;
        for (finding, imports) in report.findings.iter_mut().zip(&mut report.imports) {
            let Some(fix) = &mut finding.fix else { continue };
            fix.edits.append(imports);
            fix.imports.clear();
        }
        analysis
    }

    /// The same with the imports of a fix apart from its edits.
    pub fn analyse_apart(mut self, apply: bool, terminal: &Terminal) -> Analysis {
        let _progress = terminal.progress(format!("Looking at {} files", self.scanned));
        let files = std::mem::take(&mut self.files);
        if !self.ignores.is_empty() {
            let scanned = files.iter().filter(|file| file.role == Role::Scan);
            let skip = scanned.flat_map(|file| {
                self.ignored(&file.path).into_iter().map(|name| (file.path.clone(), name.to_owned()))
            });
            self.options.skip = skip.collect();
        }
        let report = self.report(files, apply, terminal);
        drop(_progress);
        for warning in &report.warnings {
            terminal.warn(&text_of(warning, &self.paths));
        }
        let count = plural(report.parsed.files, "file", "files");
        terminal.detail(&format!("parsed {count}, {} bytes", report.parsed.bytes));
        Analysis { report, paths: self.paths }
    }

    /// What the engine says of `files`, or said when it was given the same.
    fn report(&self, files: Vec<InputFile>, apply: bool, terminal: &Terminal) -> Report {
        let Loaded { rules, options, .. } = self;
        let run = |files| self.pool.install(|| rewrite::run(files, rules, options, apply));
        let key = |cache: &Cache| self.pool.install(|| cache.key(&files, rules, options, apply));
        let Some((cache, key)) = self.cache.as_ref().and_then(|cache| Some((cache, key(cache)?))) else {
            terminal.detail("cache: none");
            return run(files);
        };
        if let Some(report) = self.pool.install(|| cache.get(&key, &files)) {
            terminal.detail("cache: the result of an earlier run");
            return report;
        }
        let given = files.len();
        let report = run(files);
        if self.is_to_write && !report.changes.is_empty() {
            return report;
        }
        match cache.put(&key, &report, given) {
            Ok(()) => terminal.detail("cache: the result is kept for the next run"),
            Err(error) => terminal.detail(&format!("cache: the result is not kept: {}", reason(&error))),
        }
        report
    }

    /// Index the project without looking for anything.
    pub fn index(&mut self, terminal: &Terminal) -> Project {
        let _progress = terminal.progress(format!("Indexing {} files", self.files.len()));
        let files = std::mem::take(&mut self.files);
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

    /// The codemods that `per-file-ignores` turns off for the file that the engine calls `path`.
    fn ignored(&self, path: &str) -> FxHashSet<&'static str> {
        let file = self.paths.absolute(path);
        self.ignores
            .iter()
            .filter(|(glob, _)| glob.matched_path_or_any_parents(&file, false).is_ignore())
            .flat_map(|(_, names)| names.iter().copied())
            .collect()
    }
}

fn text_of(warning: &Warning, paths: &Paths) -> String {
    let line = warning.line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}{line}: {}", paths.show(&warning.path), crate::escape::escape_line(&warning.message))
}
