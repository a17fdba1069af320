//! What the engine is given: the files of a project, and those of the installed packages that it builds on.

use crate::discover::{Discovery, Found, reason};
use crate::environment::Environment;
use crate::paths::Paths;
use crate::read;
use crate::stat::Stat;
use crate::terminal::Terminal;
use ormend_engine::django::templates;
use ormend_engine::rewrite::{self, InputFile, Role};
use ormend_engine::text::MAX_BYTES;
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::path::PathBuf;

/// Templates are smaller than this; what is larger is data with an ending of a template.
const MAX_TEMPLATE: usize = 2 << 20;

/// What there is to be read.
pub struct Input {
    pub discovery: Discovery,
    /// What standard input holds, in the place of the file that it stands for.
    pub stdin: Option<InputFile>,
    pub environment: Option<Environment>,
}

/// What was read.
pub struct Given {
    /// The project's files, by path, and behind them those of packages.
    pub files: Vec<InputFile>,
    /// The engine's paths of those of packages.
    pub packages: Vec<String>,
    /// The files and directories of packages that were read, as they were before; none where that cannot be told, or something
    /// of the project could not be read or was exchanged meanwhile.
    pub watched: Option<Vec<(PathBuf, Stat)>>,
}

/// `file` without what is not of interest; nothing of a template that is none.
pub fn trimmed(mut file: InputFile) -> Option<InputFile> {
    if file.role == Role::Template {
        if file.bytes.len() > MAX_TEMPLATE {
            return None;
        }
        // What only is text reads nothing, but its name counts.
        if !templates::has_tags(&file.bytes) {
            file.bytes = Vec::new();
        }
    }
    Some(file)
}

/// The directories of templates that the modules among `files` name.
pub fn template_dirs(files: &[InputFile]) -> Vec<String> {
    let modules = files.par_iter().filter(|file| file.role != Role::Template);
    modules.flat_map_iter(|file| templates::named_dirs(&file.bytes)).collect()
}

impl Input {
    /// The files that findings are wanted of, by the engine's paths.
    pub fn scanned(&self) -> impl Iterator<Item = &str> {
        let scanned = self.discovery.files.iter().filter(|file| file.role == Role::Scan);
        scanned.map(|file| file.path.as_str())
    }

    /// Read it. To be called on the threads that are to read.
    pub fn read(&self, paths: &Paths, terminal: &Terminal) -> Given {
        let (mut files, is_whole) = self.read_project(paths, terminal);
        let mut given = Given { files: Vec::new(), packages: Vec::new(), watched: Some(Vec::new()) };
        if let Some(environment) = &self.environment {
            let _progress = terminal.progress("Reading installed packages");
            let own: FxHashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
            let mut packages = environment.read_needed(&files);
            packages.files.retain(|file| !own.contains(file.path.as_str()));
            given.packages = packages.files.iter().map(|file| file.path.clone()).collect();
            given.watched = packages.watched.map(|watched| watched.into_iter().collect());
            files.extend(packages.files);
        }
        given.watched = given.watched.filter(|_| is_whole);
        given.files = files;
        given
    }

    /// The files of the project, by path, and whether those that were found have been read, and nothing else.
    fn read_project(&self, paths: &Paths, terminal: &Terminal) -> (Vec<InputFile>, bool) {
        let Input { discovery, stdin, .. } = self;
        let _progress = terminal.progress(format!("Reading {} files", discovery.files.len()));
        let read = |found: &[Found]| -> Vec<Result<(InputFile, bool), String>> {
            let wanted = found.par_iter().filter(|file| {
                // The file that standard input stands for need not exist.
                file.is_read() && (stdin.is_none() || file.role != Role::Scan)
            });
            wanted
                .map(|file| match read::with_stat(&file.file, MAX_BYTES + 1) {
                    Ok((bytes, stat)) => {
                        let file_read = InputFile { path: file.path.clone(), bytes, role: file.role };
                        // Else it is another file than the one that was found.
                        Ok((file_read, stat == file.stat))
                    }
                    Err(error) => {
                        Err(format!("{}: it cannot be read: {}", paths.show(&file.path), reason(&error)))
                    }
                })
                .collect()
        };
        let mut files = Vec::with_capacity(discovery.files.len());
        let mut is_whole = true;
        for file in read(&discovery.files) {
            match file {
                Ok((file, is_same)) => {
                    is_whole &= is_same;
                    files.push(file);
                }
                Err(warning) => {
                    is_whole = false;
                    terminal.warn(&warning);
                }
            }
        }
        let dirs = template_dirs(&files);
        let named = |file: &&Found| templates::is_template_path(&file.path, &dirs);
        let named: Vec<Found> = discovery.maybe_templates.iter().filter(named).cloned().collect();
        for file in read(&named) {
            match file {
                Ok((file, is_same)) => {
                    is_whole &= is_same;
                    files.push(file);
                }
                Err(_) => is_whole = false,
            }
        }
        files = files.into_iter().filter_map(trimmed).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        rewrite::leave_out_idle(&mut files);
        if let Some(stdin) = stdin {
            files.retain(|file| file.path != stdin.path);
            files.push(stdin.clone());
            files.sort_by(|a, b| a.path.cmp(&b.path));
        }
        (files, is_whole)
    }
}
