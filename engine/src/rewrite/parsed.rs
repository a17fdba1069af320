//! The files of a run, parsed, or with the trees of an earlier run.

use super::{InputFile, Role};
use crate::python::Parsed;
use rayon::prelude::*;

/// How much was parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParsedSize {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// Files as [`run_parsed`](super::run_parsed) takes them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ParsedFiles {
    pub(super) files: Vec<Parsed>,
    pub(super) roles: Vec<Role>,
    pub(super) size: ParsedSize,
}

impl ParsedFiles {
    /// `files`, each with what `tree` has of [`ParsedFiles::pack`] for the same bytes, by its index. What it has nothing of, or
    /// nothing that fits, is parsed.
    pub fn new<'t>(files: Vec<InputFile>, tree: impl Fn(usize) -> Option<&'t [u8]> + Sync) -> ParsedFiles {
        let roles = files.iter().map(|file| file.role).collect();
        let parsed = files.into_par_iter().enumerate().map(|(index, file)| {
            let source = file.into_source();
            let bytes = source.text().len();
            let is_code = !source.is_template() && source.problem().is_none();
            let (file, is_parsed) = Parsed::with_tree(source, tree(index));
            (file, if is_code && is_parsed { ParsedSize { files: 1, bytes } } else { ParsedSize::default() })
        });
        let (files, sizes): (Vec<Parsed>, Vec<ParsedSize>) = parsed.unzip();
        let size = sizes.iter().fold(ParsedSize::default(), |sum, size| ParsedSize {
            files: sum.files + size.files,
            bytes: sum.bytes + size.bytes,
        });
        ParsedFiles { files, roles, size }
    }

    /// How much was parsed for it.
    pub fn size(&self) -> ParsedSize {
        self.size
    }

    /// The trees of the files as bytes, by index; none of what has no tree.
    pub fn pack(&self) -> Vec<Option<Vec<u8>>> {
        let pack = |file: &Parsed| if file.source().is_template() { None } else { file.pack() };
        self.files.par_iter().map(pack).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_tree_is_not_parsed() {
        let file = |path: &str, text: &str, role| InputFile { path: path.into(), bytes: text.into(), role };
        let code = "def f(x):\n    return '{{ x }}'\n";
        let first = ParsedFiles::new(vec![file("a.py", code, Role::Scan)], |_| None);
        assert_eq!(first.size(), ParsedSize { files: 1, bytes: code.len() });
        let trees = first.pack();
        let tree = trees[0].as_deref();
        let again = |path: &str, text: &str, role| {
            let files = ParsedFiles::new(vec![file(path, text, role)], |_| tree);
            (files.size().files, files.files[0].pack().unwrap())
        };
        let parsed = |text: &str| {
            let files = ParsedFiles::new(vec![file("a.py", text, Role::Index)], |_| None);
            files.files[0].pack().unwrap()
        };
        assert_eq!(again("b.py", code, Role::Index), (0, parsed(code)));
        // What does not fit is parsed.
        assert_eq!(again("a.py", "x", Role::Scan), (1, parsed("x")));
        // A template with the same text has no tree, neither then nor now.
        assert_eq!(again("b.html", code, Role::Template), (0, parsed("")));
        assert_eq!(ParsedFiles::new(vec![file("b.html", code, Role::Template)], |_| None).pack(), [None]);
    }
}
