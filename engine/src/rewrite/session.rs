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
    /// The last question was about files that did not parse, and nothing of the answer was kept.
    was_broken: bool,
}

impl Session {
    /// A session over `files`, of which none is looked at before [`Session::look`] asks for it.
    pub fn new(mut files: ParsedFiles) -> Session {
        for role in files.roles.iter_mut().filter(|role| **role == Role::Scan) {
            *role = Role::Index;
        }
        let keys = files.files.iter().zip(&files.roles);
        let index = keys.enumerate().map(|(i, (file, role))| (key(file.source().path(), *role), i)).collect();
        Session { files, index, known: None, replaced: Vec::new(), was_broken: false }
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
        self.ask(|analyzer| {
            if is_stale() {
                return None;
            }
            analyzer.prepare();
            let report = (!is_stale()).then(|| look(analyzer, &roles, rules, options, apply))?;
            (!is_stale()).then_some(report)
        })
    }

    /// Whether the next look takes long: an edit since the last one changes more than bodies of functions, which is what other
    /// files know, or the file has become one that does not parse.
    pub fn is_costly(&self) -> bool {
        self.known.as_ref().is_some_and(|(project, _)| self.edited_beyond_bodies(project).next().is_some())
    }

    /// Ask the analysis of the project something.
    pub fn ask<T>(&mut self, question: impl FnOnce(&Analyzer<'_>) -> T) -> T {
        if let Some((project, _)) = &self.known
            && !self.was_broken
            && self.is_broken(project)
        {
            // What is known is of use again when the statement is whole, unless it stays as it is.
            let broken = project.with_edits(self.edited());
            self.was_broken = true;
            return question(&Analyzer::new(&broken));
        }
        self.was_broken = false;
        let known = self.known.take().and_then(|known| self.brought_up_to_date(known));
        self.replaced.clear();
        let (project, remembered) = known.unzip();
        let project = project.unwrap_or_else(|| Project::of(self.files.files.clone()));
        let analyzer = match remembered {
            Some(remembered) => Analyzer::resumed(&project, remembered),
            None => Analyzer::noting_what_is_touched(&project),
        };
        let answer = question(&analyzer);
        let remembered = analyzer.into_remembered();
        self.known = Some((project, remembered));
        answer
    }

    /// The files that were replaced since the last look.
    fn edited(&self) -> impl Iterator<Item = (FileId, &Parsed)> {
        self.replaced.iter().filter_map(|i| Some((FileId(*i as u32), self.files.files.get(*i)?)))
    }

    /// Those of them that differ from `project` in more than bodies of functions.
    fn edited_beyond_bodies<'s>(&'s self, project: &'s Project) -> impl Iterator<Item = &'s Parsed> {
        let is_beyond =
            |(file, after): &(FileId, &Parsed)| !project.program().differs_in_bodies(*file, after);
        self.edited().filter(is_beyond).map(|(_, after)| after)
    }

    /// Whether an edit has made a file one that does not parse, in a way that others cannot be told.
    fn is_broken(&self, project: &Project) -> bool {
        // What is known of templates outlasts no change of one.
        !self.edited().any(|(_, after)| after.source().is_template())
            && self.edited_beyond_bodies(project).any(Parsed::has_error)
    }

    /// What is known, after the edits since; nothing where they change more than can be followed.
    fn brought_up_to_date(&self, known: (Project, Remembered)) -> Option<(Project, Remembered)> {
        let (mut project, mut remembered) = known;
        for (file, after) in self.edited() {
            let changed = project.changed(file, after.clone())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    const VIEWS: &str = "from .models import Book\n\n\ndef one(request):\n    return Book.objects.all()\n";

    fn file(text: &str) -> InputFile {
        InputFile { path: "shop/views.py".into(), bytes: text.into(), role: Role::Index }
    }

    /// A session that has looked, and what an edit of it changes.
    fn edited(after: &str) -> Session {
        let models = "from django.db import models\n\n\nclass Book(models.Model):\n    pass\n";
        let models = InputFile { path: "shop/models.py".into(), bytes: models.into(), role: Role::Index };
        let mut session = Session::new(ParsedFiles::new(vec![models, file(VIEWS)], |_| None));
        assert!(!session.is_costly());
        session.ask(|analyzer| analyzer.prepare());
        session.set(file(after));
        session
    }

    fn is_brought_up_to_date(mut session: Session) -> bool {
        let known = session.known.take().unwrap();
        session.brought_up_to_date(known).is_some()
    }

    #[test]
    fn an_edit_inside_of_a_function_is_followed() {
        let session = edited(&VIEWS.replace("all()", "filter(pk=1)"));
        assert!(!session.is_costly());
        assert!(is_brought_up_to_date(session));
    }

    #[test]
    fn an_edit_of_what_others_know_is_not() {
        let session = edited(&VIEWS.replace("def one", "def two"));
        assert!(session.is_costly());
        assert!(!is_brought_up_to_date(session));
    }

    #[test]
    fn what_is_known_outlasts_a_statement_that_does_not_parse() {
        let mut session = edited(&format!("{VIEWS}\n\nclass A(\n"));
        assert!(session.is_costly());
        session.ask(|analyzer| assert_eq!(analyzer.project().program().classes_in(FileId(1)).count(), 0));
        session.set(file(&VIEWS.replace("all()", "none()")));
        assert!(!session.is_costly());
        assert!(is_brought_up_to_date(session));
    }

    #[test]
    fn what_stays_broken_is_what_is_known() {
        let broken = format!("{VIEWS}\n\nclass A(\n");
        let mut session = edited(&broken);
        session.ask(|analyzer| analyzer.prepare());
        session.ask(|analyzer| analyzer.prepare());
        session.set(file(&broken.replace("all()", "none()")));
        assert!(!session.is_costly());
        assert!(is_brought_up_to_date(session));
    }

    #[test]
    fn another_file_is_not_followed() {
        let mut session = edited(VIEWS);
        session.remove("shop/models.py", Role::Index);
        assert!(session.known.is_none());
    }
}
