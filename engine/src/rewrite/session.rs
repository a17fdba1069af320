//! A project that is kept in memory while its files change, as an editor changes them.

use super::{InputFile, Options, ParsedFiles, Report, Role, look};
use crate::codemod::Rule;
use crate::django::Project;
use crate::infer::{Analyzer, Remembered};
use crate::python::Parsed;
use crate::text::FileId;
use rustc_hash::FxHashMap;

/// A project in memory. What it says of a file is what [`run`](super::run) says of the same files.
///
/// After an edit inside of functions, it finds again only what was found in what the edit changed.
pub struct Session {
    files: ParsedFiles,
    /// The index of each file, by its path and whether it is one of the environment's.
    index: FxHashMap<(String, bool), usize>,
    /// The project as it was looked at last, and what was found in it.
    known: Option<(Project, Remembered)>,
    /// The files that were replaced since.
    replaced: Vec<usize>,
}

impl Session {
    /// A session over `files`, of which none is looked at before [`Session::look`] asks for it.
    pub fn new(mut files: ParsedFiles) -> Session {
        for role in files.roles.iter_mut().filter(|role| **role == Role::Scan) {
            *role = Role::Index;
        }
        let keys = files.files.iter().zip(&files.roles);
        let index = keys.enumerate().map(|(i, (file, role))| (key(file.source().path(), *role), i)).collect();
        Session { files, index, known: None, replaced: Vec::new() }
    }

    /// Put `file` in the place of the one of its path, or beside the others where there is none.
    pub fn set(&mut self, file: InputFile) {
        let role = if file.role == Role::Scan { Role::Index } else { file.role };
        let key = key(&file.path, role);
        let parsed = Parsed::new(file.into_source());
        let ParsedFiles { files, roles, .. } = &mut self.files;
        let Some(index) = self.index.get(&key).copied() else {
            self.index.insert(key, files.len());
            files.push(parsed);
            roles.push(role);
            self.known = None;
            return;
        };
        let (Some(slot), Some(old)) = (files.get_mut(index), roles.get_mut(index)) else { return };
        *slot = parsed;
        *old = role;
        if !self.replaced.contains(&index) {
            self.replaced.push(index);
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
        self.known = None;
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
        let mut roles = self.files.roles.clone();
        for path in paths {
            let index = self.index.get(&key(path, Role::Index));
            if let Some(role) = index.and_then(|index| roles.get_mut(*index)) {
                *role = Role::Scan;
            }
        }
        let report = self.ask(|analyzer| look(analyzer, &roles, rules, options, apply));
        (!is_stale()).then_some(report)
    }

    /// Ask the analysis of the project something.
    pub fn ask<T>(&mut self, question: impl FnOnce(&Analyzer<'_>) -> T) -> T {
        let known = self.known.take().and_then(|known| self.brought_up_to_date(known));
        self.replaced.clear();
        let (project, remembered) = match known {
            Some((project, remembered)) => (project, Some(remembered)),
            None => (Project::of(self.files.files.clone()), None),
        };
        let analyzer = match remembered {
            Some(remembered) => Analyzer::resumed(&project, remembered),
            None => Analyzer::noting_what_is_touched(&project),
        };
        let answer = question(&analyzer);
        let remembered = analyzer.into_remembered();
        self.known = Some((project, remembered));
        answer
    }

    /// What is known, after the edits since; nothing where they change more than can be followed.
    fn brought_up_to_date(&self, known: (Project, Remembered)) -> Option<(Project, Remembered)> {
        let (mut project, mut remembered) = known;
        for index in &self.replaced {
            let (file, after) = (FileId(*index as u32), self.files.files.get(*index)?.clone());
            let changed = project.changed(file, after)?;
            if !remembered.update(file, &project, &changed) {
                return None;
            }
            project = changed;
        }
        Some((project, remembered))
    }
}

/// A file's path, and whether it is one of the environment's, which are relative to another directory.
fn key(path: &str, role: Role) -> (String, bool) {
    (path.to_owned(), role == Role::Environment)
}
