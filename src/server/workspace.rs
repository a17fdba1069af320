//! A project in memory: what is on disk, with the buffers that are open in the place of their files. What is looked at, and with
//! what settings, is what the command would do at the same place.

use super::documents::Document;
use super::edits::Open;
use crate::discover::{self, Choice, Discovery, Found, Request, is_python};
use crate::input::{Input, template_dirs, trimmed};
use crate::paths::Paths;
use crate::pipeline::{Ignores, join_imports};
use crate::read;
use crate::root;
use crate::settings::Settings;
use crate::stat::Stat;
use crate::terminal::Terminal;
use ormend_engine::codemod::Rule;
use ormend_engine::django::templates::is_template_path;
use ormend_engine::infer::Analyzer;
use ormend_engine::rewrite::{InputFile, Options, ParsedFiles, Report, Role, Session, leave_out_idle};
use ormend_engine::text::MAX_BYTES;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Of more files than this that changed at once, all are read again, which several threads do.
const MANY: usize = 200;

/// A project.
pub struct Workspace {
    pub paths: Paths,
    pub options: Options,
    /// What is looked for.
    pub rules: Vec<&'static dyn Rule>,
    /// The directory of which findings are wanted.
    folder: PathBuf,
    settings: Settings,
    choice: Choice,
    ignores: Ignores,
    session: Session,
    /// What was read of the project, by the engine's paths.
    known: BTreeMap<String, (Role, Option<Stat>)>,
    /// The directories of templates that settings name.
    dirs: Vec<String>,
    pool: Arc<rayon::ThreadPool>,
}

impl Workspace {
    /// The project that `folder`, absolute and free of links, lies in.
    pub fn load(
        folder: &Path,
        pool: &Arc<rayon::ThreadPool>,
        terminal: &Terminal,
    ) -> miette::Result<Workspace> {
        let asked = folder.to_path_buf();
        let root = root::find(std::slice::from_ref(&asked));
        let mut paths = Paths::new(root.clone(), root.clone());
        let mut settings = Settings::load(&root, &Default::default())?;
        let (choice, ignores) = (Choice::new(&settings)?, Ignores::new(&settings)?);
        let discovery = discovery(&paths, &settings, folder, pool.current_num_threads())?;
        for (path, why) in &discovery.warnings {
            terminal.warn(&format!("{path}: {why}"));
        }
        let environment = settings.python.value.take();
        paths.site_packages = environment.as_ref().map(|environment| environment.site_packages.clone());
        let input = Input { discovery, stdin: None, environment };
        let given = pool.install(|| input.read(&paths, terminal));
        paths.environment = given.packages.into_iter().collect();
        let dirs = pool.install(|| template_dirs(&given.files));
        let known = known(&input.discovery, &dirs);
        let session = pool.install(|| Session::new(ParsedFiles::new(given.files, |_| None)));
        Ok(Workspace {
            options: settings.options(),
            rules: settings.rules(),
            pool: Arc::clone(pool),
            folder: asked,
            paths,
            settings,
            choice,
            ignores,
            session,
            known,
            dirs,
        })
    }

    /// Whether `file` is one that was not there when the project was last looked through.
    pub fn is_new(&self, file: &Path) -> bool {
        let path = self.paths.engine_path(file);
        path.is_some_and(|path| !self.known.contains_key(&path)) && file.exists()
    }

    /// The engine's path of a file of which findings are wanted.
    pub fn looked_at(&self, file: &Path) -> Option<String> {
        let path = self.paths.engine_path(file)?;
        (self.role(&path, file)? == Role::Scan).then_some(path)
    }

    /// What is wanted of `file`, which the engine calls `path`: what was found on disk, or what its path says of a file that is
    /// not there. Nothing of one that is ignored.
    fn role(&self, path: &str, file: &Path) -> Option<Role> {
        match self.known.get(path) {
            Some((role, _)) => Some(*role),
            None if file.exists() => None,
            None if is_python(file) => {
                let asked = file.starts_with(&self.folder).then(|| self.paths.engine_path(&self.folder));
                Some(self.choice.role_of(path, file, asked.flatten().as_deref()))
            }
            None => is_template_path(path, &self.dirs).then_some(Role::Template),
        }
    }

    /// Put a buffer in the place of its file.
    pub fn open(&mut self, file: &Path, document: &Document) {
        let Some(path) = self.paths.engine_path(file) else { return };
        let Some(role) = self.role(&path, file) else { return };
        self.set(InputFile { path, bytes: document.bytes(), role });
    }

    /// The buffer of `file` is closed: what is on disk counts.
    pub fn close(&mut self, file: &Path) {
        let Some(path) = self.paths.engine_path(file) else { return };
        let Some(role) = self.known.get(&path).map(|(role, _)| *role) else {
            return self.session.remove(&path, Role::Index);
        };
        self.read(path, role);
    }

    /// Read a file of the project again.
    fn read(&mut self, path: String, role: Role) {
        match read::with_stat(&self.paths.absolute(&path), MAX_BYTES + 1) {
            Ok((bytes, stat)) => {
                self.known.insert(path.clone(), (role, stat));
                self.set(InputFile { path, bytes, role });
            }
            Err(_) => self.session.remove(&path, role),
        }
    }

    fn set(&mut self, file: InputFile) {
        let (path, role) = (file.path.clone(), file.role);
        let mut files = Vec::from_iter(trimmed(file));
        leave_out_idle(&mut files);
        match files.pop() {
            Some(file) => self.pool.install(|| self.session.set(file)),
            None => self.session.remove(&path, role),
        }
    }

    /// Take in what has changed on disk, but for the files of `open` buffers. Whether everything has to be read again.
    pub fn refresh(&mut self, open: &Open) -> miette::Result<bool> {
        let jobs = self.pool.current_num_threads();
        let discovery = discovery(&self.paths, &self.settings, &self.folder, jobs)?;
        let now = known(&discovery, &self.dirs);
        let is_new = |(path, found): &(&String, &(Role, Option<Stat>))| {
            found.1.is_none() || self.known.get(*path) != Some(*found)
        };
        let changed: Vec<(String, (Role, Option<Stat>))> =
            now.iter().filter(is_new).map(|(path, found)| (path.clone(), *found)).collect();
        let gone: Vec<(String, Role)> = self
            .known
            .iter()
            .filter(|(path, _)| !now.contains_key(*path))
            .map(|(path, (role, _))| (path.clone(), *role))
            .collect();
        if changed.len() + gone.len() > MANY {
            return Ok(true);
        }
        for (path, role) in gone {
            self.known.remove(&path);
            if !open.contains_key(&self.paths.absolute(&path)) {
                self.session.remove(&path, role);
            }
        }
        for (path, found) in changed {
            let file = self.paths.absolute(&path);
            match open.get(&file) {
                Some(document) => {
                    self.known.insert(path, found);
                    self.open(&file, document);
                }
                None => self.read(path, found.0),
            }
        }
        Ok(false)
    }

    /// Whether the next look takes long.
    pub fn is_costly(&self) -> bool {
        self.session.is_costly()
    }

    /// What the command says of the files that the engine calls `files`, of which findings are wanted, with one codemod or with all
    /// that are on.
    pub fn look(
        &mut self,
        files: &[&str],
        codemod: Option<&str>,
        apply: bool,
        is_stale: &(dyn Fn() -> bool + Sync),
    ) -> Option<Report> {
        self.options.skip = self.ignores.skip(files.iter().copied(), &self.paths);
        let is_wanted = |rule: &&dyn Rule| codemod.is_none_or(|name| rule.meta().name == name);
        let rules: Vec<&dyn Rule> = self.rules.iter().copied().filter(is_wanted).collect();
        let (session, options) = (&mut self.session, &self.options);
        let mut report = self.pool.install(|| session.look(files, &rules, options, apply, is_stale))?;
        join_imports(&mut report);
        Some(report)
    }

    /// Ask the analysis of the project something.
    pub fn ask<T: Send>(&mut self, question: impl FnOnce(&Analyzer<'_>) -> T + Send) -> T {
        let session = &mut self.session;
        self.pool.install(|| session.ask(question))
    }
}

fn discovery(paths: &Paths, settings: &Settings, folder: &Path, jobs: usize) -> miette::Result<Discovery> {
    let asked = [folder.to_path_buf()];
    discover::discover(&Request { paths, settings, asked: &asked, changed: None, jobs })
}

/// What is read of what was found.
fn known(discovery: &Discovery, dirs: &[String]) -> BTreeMap<String, (Role, Option<Stat>)> {
    let named = discovery.maybe_templates.iter().filter(|file| is_template_path(&file.path, dirs));
    let read = discovery.files.iter().filter(|file| file.is_read()).chain(named);
    // What is not read has a role nevertheless.
    let aside = discovery.files.iter().filter(|file| !file.is_read());
    let entry = |file: &Found| (file.path.clone(), (file.role, file.stat));
    read.chain(aside).map(entry).collect()
}
