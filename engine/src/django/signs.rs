//! Words in the texts of files, by which the files are picked out that a question about the whole project looks into.

use crate::python::Program;
use crate::text::{FileId, Source};
use aho_corasick::{AhoCorasick, MatchKind};
use rayon::prelude::*;
use std::sync::{Arc, LazyLock};

/// What the words in a file are a sign of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It may name a settings module.
    SettingsModule,
    /// It may be a settings module.
    Databases,
    /// It may register things with `django_jinja`.
    Jinja,
    /// It may register models in the admin.
    Register,
    /// It may have to do with signals.
    Signal,
    /// It may change the `fields` of an object.
    Fields,
}

const WORDS: &[(&str, &[Sign])] = &[
    ("DJANGO_SETTINGS_MODULE", &[Sign::SettingsModule]),
    ("DATABASES", &[Sign::Databases]),
    ("django_jinja", &[Sign::Jinja]),
    ("register", &[Sign::Register, Sign::Signal]),
    ("receiver", &[Sign::Signal]),
    ("connect", &[Sign::Signal]),
    ("pre_save", &[Sign::Signal]),
    ("post_save", &[Sign::Signal]),
    ("pre_delete", &[Sign::Signal]),
    ("post_delete", &[Sign::Signal]),
    (".fields", &[Sign::Fields]),
];

/// Finds the words; nothing if that cannot be built, which makes every file one to look into.
static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let words = WORDS.iter().map(|(word, _)| word);
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(words).ok()
});

/// The signs of every file, by [`FileId`].
#[derive(Clone, Debug, Default)]
pub(super) struct Signs(Vec<(Arc<Source>, u8)>);

impl Signs {
    /// Read the texts of a program, but for those that were read `before`.
    pub fn read(program: &Program, before: Option<&Signs>) -> Signs {
        let known = |index: usize, source: &Arc<Source>| {
            let (known, signs) = before?.0.get(index)?;
            Arc::ptr_eq(known, source).then_some(*signs)
        };
        let files = program.files().par_iter().enumerate();
        let read = files.map(|(index, file)| {
            let signs = known(index, &file.source).unwrap_or_else(|| signs(file.source.text()));
            (file.source.clone(), signs)
        });
        Signs(read.collect())
    }

    /// Whether a file has a sign.
    pub fn has(&self, file: FileId, sign: Sign) -> bool {
        self.0.get(file.0 as usize).is_some_and(|(_, signs)| signs & bit(sign) != 0)
    }
}

fn bit(sign: Sign) -> u8 {
    1 << sign as u8
}

fn signs(text: &str) -> u8 {
    let Some(finder) = &*FINDER else { return u8::MAX };
    let found = finder.find_iter(text).filter_map(|found| WORDS.get(found.pattern().as_usize()));
    found.flat_map(|(_, signs)| *signs).fold(0, |all, sign| all | bit(*sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Program {
        let source = |(i, text): (usize, &&str)| Source::new(format!("{i}.py"), text.as_bytes().to_vec());
        Program::build(texts.iter().enumerate().map(source).collect())
    }

    #[test]
    fn files_have_the_signs_of_their_words() {
        let program = read(&["admin.site.register(Book)\nDATABASES = {}\n", "x = self.fields\n"]);
        let found = Signs::read(&program, None);
        let all =
            [Sign::SettingsModule, Sign::Databases, Sign::Jinja, Sign::Register, Sign::Signal, Sign::Fields];
        let of = |file| all.into_iter().filter(|sign| found.has(FileId(file), *sign)).collect::<Vec<_>>();
        assert_eq!(of(0), [Sign::Databases, Sign::Register, Sign::Signal]);
        assert_eq!(of(1), [Sign::Fields]);
        assert_eq!(of(2), []);
    }

    #[test]
    fn texts_are_read_once() {
        let program = read(&["register\n"]);
        let Signs(mut known) = Signs::read(&program, None);
        known[0].1 = bit(Sign::Jinja);
        let known = Signs(known);
        assert!(Signs::read(&program, Some(&known)).has(FileId(0), Sign::Jinja));
        // The same text in another source is not known to be the same.
        assert!(Signs::read(&read(&["register\n"]), Some(&known)).has(FileId(0), Sign::Register));
    }
}
