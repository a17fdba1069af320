//! Which files name something: questions about who reads an attribute, or asks for what is kept under a name, go over these
//! files instead of over all.

use super::analyzer::Analyzer;
use super::by_name::ByName;
use crate::django::Project;
use crate::python::touched::{Things, aside};
use crate::python::{File, Kind};
use crate::text::FileId;
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// The files by the names in them, in order.
pub(super) type Words = ByName<FileId>;

impl Analyzer<'_> {
    /// The project's own files with a name `name` somewhere, be it a variable, an attribute or a keyword; in order.
    pub fn files_naming(&self, name: &str) -> &[FileId] {
        self.words().of(name)
    }

    /// The project's own files, templates too, whose text holds `part`: whoever searches files for it goes over these. Each part
    /// is searched for once.
    pub fn files_mentioning(&self, part: &str) -> Arc<[FileId]> {
        let program = self.project.program();
        self.once_for("files that mention", Box::<str>::from(part), || {
            let own = program.file_ids().filter(|f| !self.project.is_known_file(*f));
            own.filter(|file| program.file(*file).source.mentions(part)).collect()
        })
    }

    /// Parallel: see [`Analyzer::prepare`].
    pub(super) fn words(&self) -> &Words {
        self.words.get_or_init(|| {
            let program = self.project.program();
            let own: Vec<FileId> = program.file_ids().filter(|f| !self.project.is_known_file(*f)).collect();
            let names_of = |file: FileId| (file, aside(|| names_of(program.file(file))));
            let of_files: Vec<_> = own.into_par_iter().map(names_of).collect();
            let mut words = Words::default();
            for (file, names) in of_files {
                names.into_iter().for_each(|name| words.push(name, file));
            }
            words
        })
    }
}

fn names_of(file: &File) -> FxHashSet<&str> {
    file.root().descendants().filter(|n| n.kind() == Kind::Name).map(|n| n.text()).collect()
}

/// `file` has changed: also which names it has, and had.
pub(super) fn update(
    words: &mut Words,
    file: FileId,
    before: &Project,
    after: &Project,
    changed: &mut Things,
) {
    let before = names_of(before.program().file(file)).into_iter().map(|name| (name, file));
    let after = names_of(after.program().file(file)).into_iter().map(|name| (name, file));
    words.replace(file, before.collect(), after.collect(), changed);
}
