//! What an answer was found in, so that it can be thrown away when that changes: the files that were looked into, and the
//! names that were asked for.
//!
//! It costs something, so that it is noted only on behalf of [`noting`]: in a program that is going to change. What was found
//! elsewhere has [`Touched::default`], which says that it may have touched anything.

use crate::text::FileId;
use rustc_hash::FxHasher;
use std::cell::{Cell, RefCell};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The bit of what may have touched anything.
const ANYTHING: u32 = 0;
/// Names share bits: what asked for a name is thrown away with what asked for another one of the same bit.
const NAMES: u32 = 4096;

/// The files and names that an answer was found in. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touched(Option<Arc<Bits>>);

type Bits = Vec<u64>;

thread_local! {
    /// What the answers that are being found have touched, the innermost last.
    static OPEN: RefCell<Vec<Bits>> = const { RefCell::new(Vec::new()) };
    /// Whether there is one.
    static IS_OPEN: Cell<bool> = const { Cell::new(false) };
}

/// Files and names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Things {
    bits: Bits,
    /// Which words of them are not empty: few, where few things are.
    words: Vec<usize>,
}

impl Things {
    /// Add a file, without its outline.
    pub fn add_file(&mut self, file: FileId) {
        self.add(of_file(file));
    }

    /// Add the outline of a file: what its names mean, and what its classes and functions are but for their bodies.
    pub fn add_outline(&mut self, file: FileId) {
        self.add(of_outline(file));
    }

    /// Whether a file is among them.
    pub fn has_file(&self, file: FileId) -> bool {
        self.has(of_file(file))
    }

    /// Whether the outline of a file is among them.
    pub fn has_outline(&self, file: FileId) -> bool {
        self.has(of_outline(file))
    }

    fn has(&self, bit: u32) -> bool {
        self.bits.get((bit / 64) as usize).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    /// Add a name.
    pub fn add_name(&mut self, name: &str) {
        self.add(of_name(name));
    }

    fn add(&mut self, bit: u32) {
        let word = (bit / 64) as usize;
        if self.bits.get(word).is_none_or(|bits| *bits == 0) {
            self.words.push(word);
        }
        set(&mut self.bits, bit);
    }
}

impl Touched {
    /// Whether any of `things` was touched, or may have been.
    pub fn any_of(&self, things: &Things) -> bool {
        let Some(bits) = &self.0 else { return true };
        bits.first().is_some_and(|word| word & (1 << ANYTHING) != 0)
            || things
                .words
                .iter()
                .any(|word| bits.get(*word).zip(things.bits.get(*word)).is_some_and(|(a, b)| a & b != 0))
    }
}

fn of_file(file: FileId) -> u32 {
    NAMES.saturating_add(file.0.saturating_mul(2))
}

fn of_outline(file: FileId) -> u32 {
    of_file(file).saturating_add(1)
}

fn of_name(name: &str) -> u32 {
    let mut hasher = FxHasher::default();
    name.hash(&mut hasher);
    1 + (hasher.finish() >> 32) as u32 % (NAMES - 1)
}

fn set(bits: &mut Bits, bit: u32) {
    let word = (bit / 64) as usize;
    if word >= bits.len() {
        bits.resize(word + 1, 0);
    }
    if let Some(word) = bits.get_mut(word) {
        *word |= 1 << (bit % 64);
    }
}

fn unite(bits: &mut Bits, more: &Bits) {
    if bits.len() < more.len() {
        bits.resize(more.len(), 0);
    }
    for (word, more) in bits.iter_mut().zip(more) {
        *word |= more;
    }
}

#[inline]
fn touch(bit: impl FnOnce() -> u32) {
    if IS_OPEN.get() {
        note(bit());
    }
}

#[cold]
fn note(bit: u32) {
    OPEN.with_borrow_mut(|open| {
        if let Some(top) = open.last_mut() {
            set(top, bit);
        }
    });
}

/// A file is looked into.
#[inline]
pub(crate) fn touch_file(file: FileId) {
    touch(|| of_file(file));
}

/// It is asked what a name of a file means, or what a class or function of it is. Who looks at the nodes of those looks into the
/// file.
#[inline]
pub(crate) fn touch_outline(file: FileId) {
    touch(|| of_outline(file));
}

/// A name is asked for.
pub(crate) fn touch_name(name: &str) {
    touch(|| of_name(name));
}

/// A level of [`OPEN`], which closes whatever happens.
struct Level;

impl Level {
    fn open() -> Level {
        OPEN.with_borrow_mut(|open| open.push(Bits::new()));
        IS_OPEN.set(true);
        Level
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        OPEN.with_borrow_mut(|open| {
            open.pop();
            IS_OPEN.set(!open.is_empty());
        });
    }
}

/// What `find` gives; for all answers that it finds, what they touch is noted.
pub(crate) fn noting<T>(find: impl FnOnce() -> T) -> T {
    let _level = Level::open();
    find()
}

/// What `find` gives, and what it touched. What is being found around it has touched that, too.
pub(crate) fn record<T>(find: impl FnOnce() -> T) -> (T, Touched) {
    if !IS_OPEN.get() {
        return (find(), Touched::default());
    }
    let level = Level::open();
    let found = find();
    let bits = OPEN.with_borrow_mut(|open| open.last_mut().map(std::mem::take)).unwrap_or_default();
    drop(level);
    let touched = Touched(Some(Arc::new(bits)));
    again(&touched);
    (found, touched)
}

/// An answer is used again: what is being found has touched what that has.
pub(crate) fn again(touched: &Touched) {
    match &touched.0 {
        _ if !IS_OPEN.get() => {}
        Some(bits) => OPEN.with_borrow_mut(|open| {
            if let Some(top) = open.last_mut() {
                unite(top, bits);
            }
        }),
        None => touch(|| ANYTHING),
    }
}

/// What `find` gives, for which what is being found does not count as touched.
pub(crate) fn aside<T>(find: impl FnOnce() -> T) -> T {
    let _level = IS_OPEN.get().then(Level::open);
    find()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn things(files: &[u32], names: &[&str]) -> Things {
        let mut things = Things::default();
        files.iter().for_each(|file| things.add_file(FileId(*file)));
        names.iter().for_each(|name| things.add_name(name));
        things
    }

    #[test]
    fn an_answer_has_touched_what_the_answers_in_it_have() {
        let (inner, outer) = noted(|| {
            touch_file(FileId(1));
            let ((), inner) = record(|| touch_file(FileId(70)));
            aside(|| touch_file(FileId(3)));
            inner
        });
        assert!(outer.any_of(&things(&[1], &[])) && outer.any_of(&things(&[70], &[])));
        assert!(!outer.any_of(&things(&[3, 2], &["book"])));
        assert!(inner.any_of(&things(&[70], &[])) && !inner.any_of(&things(&[1], &[])));
        let ((), later) = noted(|| again(&inner));
        assert!(later.any_of(&things(&[70], &[])) && !later.any_of(&things(&[1], &[])));
    }

    fn noted<T>(find: impl FnOnce() -> T) -> (T, Touched) {
        noting(|| record(find))
    }

    #[test]
    fn names_are_touched_as_well_as_files() {
        let ((), touched) = noted(|| touch_name("book"));
        assert!(touched.any_of(&things(&[], &["book"])));
        assert!(!touched.any_of(&things(&[0, 1, 2], &["author"])));
    }

    #[test]
    fn an_outline_is_no_file() {
        let ((), touched) = noted(|| touch_outline(FileId(1)));
        let mut outline = Things::default();
        outline.add_outline(FileId(1));
        assert!(touched.any_of(&outline));
        assert!(!touched.any_of(&things(&[0, 1, 2], &[])));
    }

    #[test]
    fn what_was_not_noted_may_have_touched_anything() {
        let ((), touched) = record(|| touch_file(FileId(1)));
        assert!(touched.any_of(&things(&[2], &[])));
        let ((), user) = noted(|| again(&touched));
        assert!(user.any_of(&things(&[2], &[])));
    }

    #[test]
    fn a_level_closes_when_what_is_asked_panics() {
        let _ = std::panic::catch_unwind(|| noted(|| std::panic::resume_unwind(Box::new(()))));
        assert_eq!((OPEN.with_borrow(Vec::len), IS_OPEN.get()), (0, false));
    }
}
