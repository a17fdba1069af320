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
/// After an edit that leaves a file its classes and functions, and the project its models, it finds again only what was found in
/// what the edit changed.
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

    /// Whether the next look takes long: an edit since the last one changes what has to be found by looking at all files.
    pub fn is_costly(&self) -> bool {
        self.known
            .as_ref()
            .is_some_and(|(project, _)| self.edited().any(|(file, after)| !project.may_follow(file, after)))
    }

    /// Ask the analysis of the project something.
    pub fn ask<T>(&mut self, question: impl FnOnce(&Analyzer<'_>) -> T) -> T {
        let known = match self.known.take().map(|known| self.followed(known)) {
            Some(Followed::To(known)) => Some(known),
            // What is known is of use again when the statement is whole, unless it stays as it is.
            Some(Followed::Not(known)) if self.is_broken() && !self.was_broken => {
                let broken = known.0.with_edits(self.edited());
                self.known = Some(known);
                self.was_broken = true;
                return question(&Analyzer::new(&broken));
            }
            Some(Followed::Not(_) | Followed::Lost) | None => None,
        };
        self.was_broken = false;
        self.replaced.clear();
        let (project, remembered) = known.unzip();
        let project = project.unwrap_or_else(|| Project::noting_what_is_touched(self.files.files.clone()));
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

    /// Whether an edit has made a file one that does not parse.
    fn is_broken(&self) -> bool {
        self.edited().any(|(_, after)| after.has_error())
    }

    /// What is known, after the edits since.
    fn followed(&self, known: (Project, Remembered)) -> Followed {
        let (mut project, mut remembered) = known;
        for (index, (file, after)) in self.edited().enumerate() {
            let Some((changed, files)) = project.changed(file, after) else {
                return if index == 0 { Followed::Not((project, remembered)) } else { Followed::Lost };
            };
            if !remembered.update(file, &project, &changed, files) {
                return Followed::Lost;
            }
            project = changed;
        }
        Followed::To((project, remembered))
    }
}

/// What has become of what is known after edits.
enum Followed {
    /// What it is now.
    To((Project, Remembered)),
    /// As it was: they change more than can be followed.
    Not((Project, Remembered)),
    /// Nothing.
    Lost,
}

/// A file's path, and whether it is one of the environment's, which are relative to another directory.
fn key(path: &str, role: Role) -> (String, bool) {
    (path.to_owned(), role == Role::Environment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codemod::{Context, Finding, Group, Meta};
    use crate::python::{Kind, Node};
    use std::sync::atomic::{AtomicUsize, Ordering};

    const VIEWS: &str = "from .models import Book\n\n\ndef one(request):\n    return Book.objects.all()\n\n\nclass A:\n    def two(self):\n        return second()\n";

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

    fn is_followed(mut session: Session) -> bool {
        let known = session.known.take().unwrap();
        matches!(session.followed(known), Followed::To(_))
    }

    #[test]
    fn an_edit_inside_of_a_function_is_followed() {
        let session = edited(&VIEWS.replace("all()", "filter(pk=1)"));
        assert!(!session.is_costly());
        assert!(is_followed(session));
    }

    #[test]
    fn an_edit_of_what_others_know_is_followed() {
        let session = edited(&format!("from django.shortcuts import render\n{VIEWS}\n\nAGE = 3\n"));
        assert!(!session.is_costly());
        assert!(is_followed(session));
    }

    #[test]
    fn another_function_is_not() {
        let session = edited(&VIEWS.replace("def one", "def two"));
        assert!(session.is_costly());
        assert!(!is_followed(session));
    }

    /// A bracket without its end, which takes the class with it.
    fn broken() -> String {
        VIEWS.replace("class A:", "class A(")
    }

    #[test]
    fn what_is_known_outlasts_a_statement_that_does_not_parse() {
        let mut session = edited(&broken());
        assert!(session.is_costly());
        session.ask(|analyzer| assert_eq!(analyzer.project().program().classes_in(FileId(1)).count(), 0));
        session.set(file(&VIEWS.replace("all()", "none()")));
        assert!(!session.is_costly());
        assert!(is_followed(session));
    }

    #[test]
    fn what_stays_broken_is_what_is_known() {
        let mut session = edited(&broken());
        session.ask(|analyzer| analyzer.prepare());
        session.ask(|analyzer| analyzer.prepare());
        session.set(file(&broken().replace("all()", "none()")));
        assert!(!session.is_costly());
        assert!(is_followed(session));
    }

    #[test]
    fn a_statement_that_does_not_parse_is_followed_where_it_leaves_the_functions_alone() {
        let session = edited(&VIEWS.replace("Book.objects.all()", "Book.objects."));
        assert!(!session.is_costly());
        assert!(is_followed(session));
    }

    #[test]
    fn other_models_are_not_followed() {
        let models = "from django.db import models\nfrom .fields import owner\n\n\nclass Book(models.Model):\n    owner = owner()\n";
        let fields = "from django.db import models\n\n\ndef owner():\n    return models.ForeignKey('auth.User', models.CASCADE)\n";
        let input =
            |path: &str, text: &str| InputFile { path: path.into(), bytes: text.into(), role: Role::Index };
        let files = vec![input("shop/fields.py", fields), input("shop/models.py", models)];
        let session = || {
            let mut session = Session::new(ParsedFiles::new(files.clone(), |_| None));
            session.ask(|analyzer| {
                let book = analyzer.project().models().iter().find(|model| model.name == "Book").unwrap();
                assert!(book.field("owner").unwrap().relation.is_some());
                analyzer.prepare();
            });
            session
        };
        // In the body of a function that makes a field.
        let mut other_field = session();
        other_field.set(input(
            "shop/fields.py",
            &fields.replace("ForeignKey('auth.User', models.CASCADE)", "IntegerField()"),
        ));
        assert!(!is_followed(other_field));
        let mut same_field = session();
        same_field.set(input("shop/fields.py", &fields.replace("    return", "    # The user.\n    return")));
        assert!(is_followed(same_field));
        // In the class.
        let mut more = session();
        more.set(input("shop/models.py", &format!("{models}    pages = models.IntegerField()\n")));
        assert!(more.is_costly());
        assert!(!is_followed(more));
    }

    /// Counts how often it is run.
    struct Counting(AtomicUsize);

    impl Rule for Counting {
        fn meta(&self) -> Meta {
            Meta { name: "counting", group: Group::Projection, summary: "", docs: "", hazards: &[] }
        }

        fn is_default(&self) -> bool {
            true
        }

        fn kinds(&self) -> &'static [Kind] {
            &[Kind::Call]
        }

        fn run(&self, _: &Context<'_>, _: Node<'_>) -> Option<Finding> {
            self.0.fetch_add(1, Ordering::SeqCst);
            None
        }
    }

    #[test]
    fn what_nobody_wants_to_know_any_more_is_not_looked_for() {
        // When it turns out that nobody wants it; how often that is asked, and whether the rules are run.
        for (since, asked, is_run) in [(1, 1, false), (2, 2, false), (3, 3, true), (4, 3, true)] {
            let mut session = edited(VIEWS);
            let (questions, counting) = (AtomicUsize::new(0), Counting(AtomicUsize::new(0)));
            let is_stale = || questions.fetch_add(1, Ordering::SeqCst) + 1 >= since;
            let report =
                session.look(&["shop/views.py"], &[&counting], &Options::default(), false, &is_stale);
            assert_eq!(report.is_none(), since <= 3);
            assert_eq!(questions.into_inner(), asked);
            assert_eq!(counting.0.into_inner() > 0, is_run);
        }
    }

    #[test]
    fn another_file_is_not_followed() {
        let mut session = edited(VIEWS);
        session.remove("shop/models.py", Role::Index);
        assert!(session.known.is_none());
    }
}
