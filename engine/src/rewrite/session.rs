//! A project that is kept in memory while its files change, as an editor changes them.

use super::{InputFile, Options, ParsedFiles, Report, Role, run_parsed};
use crate::codemod::Rule;
use crate::django::Project;
use crate::infer::Analyzer;
use crate::python::Parsed;
use rustc_hash::FxHashMap;

/// A project in memory. What it says of a file is what [`run`](super::run) says of the same files.
#[derive(Debug)]
pub struct Session {
    files: ParsedFiles,
    /// The index of each file, by its path and whether it is one of the environment's.
    index: FxHashMap<(String, bool), usize>,
}

impl Session {
    /// A session over `files`, of which none is looked at before [`Session::look`] asks for it.
    pub fn new(mut files: ParsedFiles) -> Session {
        for role in files.roles.iter_mut().filter(|role| **role == Role::Scan) {
            *role = Role::Index;
        }
        let keys = files.files.iter().zip(&files.roles);
        let index = keys.enumerate().map(|(i, (file, role))| (key(file.source().path(), *role), i)).collect();
        Session { files, index }
    }

    /// Put `file` in the place of the one of its path, or beside the others where there is none.
    pub fn set(&mut self, file: InputFile) {
        let role = if file.role == Role::Scan { Role::Index } else { file.role };
        let key = key(&file.path, role);
        let parsed = Parsed::new(file.into_source());
        match self.index.get(&key).copied() {
            Some(index) => {
                if let (Some(slot), Some(old)) =
                    (self.files.files.get_mut(index), self.files.roles.get_mut(index))
                {
                    *slot = parsed;
                    *old = role;
                }
            }
            None => {
                self.index.insert(key, self.files.files.len());
                self.files.files.push(parsed);
                self.files.roles.push(role);
            }
        }
    }

    /// The file at `path` is there no more; `role` tells the project's files from the environment's.
    pub fn remove(&mut self, path: &str, role: Role) {
        let Some(index) = self.index.remove(&key(path, role)) else { return };
        self.files.files.remove(index);
        self.files.roles.remove(index);
        for other in self.index.values_mut().filter(|other| **other > index) {
            *other -= 1;
        }
    }

    /// Look at the project's files at `paths`, and at no others. Nothing where `is_stale` said meanwhile that nobody wants to
    /// know any more.
    pub fn look(
        &mut self,
        paths: &[&str],
        rules: &[&dyn Rule],
        options: &Options,
        apply: bool,
        is_stale: &(dyn Fn() -> bool + Sync),
    ) -> Option<Report> {
        let mut files = self.files.clone();
        for path in paths {
            let index = self.index.get(&key(path, Role::Index));
            if let Some(role) = index.and_then(|index| files.roles.get_mut(*index)) {
                *role = Role::Scan;
            }
        }
        let report = run_parsed(files, rules, options, apply);
        (!is_stale()).then_some(report)
    }

    /// Ask the analysis of the project something.
    pub fn ask<T>(&mut self, question: impl FnOnce(&Analyzer<'_>) -> T) -> T {
        let project = Project::of(self.files.files.clone());
        question(&Analyzer::new(&project))
    }
}

/// A file's path, and whether it is one of the environment's, which are relative to another directory.
fn key(path: &str, role: Role) -> (String, bool) {
    (path.to_owned(), role == Role::Environment)
}
