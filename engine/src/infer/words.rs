//! Which files name something: questions about who reads an attribute, or asks for what is kept under a name, go over these
//! files instead of over all.

use super::analyzer::Analyzer;
use crate::python::Kind;
use crate::text::FileId;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

/// The files by the names in them, in order.
pub(super) type Words = FxHashMap<Box<str>, Vec<FileId>>;

impl Analyzer<'_> {
    /// The project's own files with a name `name` somewhere, be it a variable, an attribute or a keyword; in order.
    pub fn files_naming(&self, name: &str) -> &[FileId] {
        self.words().get(name).map_or(&[], Vec::as_slice)
    }

    /// Parallel: see [`Analyzer::prepare`].
    pub(super) fn words(&self) -> &Words {
        self.words.get_or_init(|| {
            let program = self.project.program();
            let own: Vec<FileId> = program.file_ids().filter(|f| !self.project.is_known_file(*f)).collect();
            let names_of = |file: FileId| {
                let names = program.file(file).root().descendants().filter(|n| n.kind() == Kind::Name);
                (file, names.map(|n| n.text()).collect::<FxHashSet<&str>>())
            };
            let of_files: Vec<_> = own.into_par_iter().map(names_of).collect();
            let mut words = Words::default();
            for (file, names) in of_files {
                for name in names {
                    match words.get_mut(name) {
                        Some(files) => files.push(file),
                        None => {
                            words.insert(name.into(), vec![file]);
                        }
                    }
                }
            }
            words
        })
    }
}
