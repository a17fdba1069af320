//! What is found in each file of a program, by itself and by what it leads to.

use super::touched::{self, Things, Touched};
use crate::text::FileId;
use rayon::prelude::*;
use std::sync::Arc;

/// What was found in each file, by [`FileId`]. Cheap to clone.
#[derive(Debug)]
pub(crate) struct PerFile<T>(Vec<Arc<(T, Touched)>>);

impl<T> Clone for PerFile<T> {
    fn clone(&self) -> Self {
        PerFile(self.0.clone())
    }
}

impl<T> Default for PerFile<T> {
    fn default() -> Self {
        PerFile(Vec::new())
    }
}

impl<T: Send + Sync> PerFile<T> {
    /// Look at each of the files 0 to `count`, in parallel. What was found `before` in what is not among the things that
    /// changed since is taken from there; that works only for what was found while `is_noting`.
    pub fn find(
        count: usize,
        is_noting: bool,
        before: Option<(&PerFile<T>, &Things)>,
        find: impl Fn(FileId) -> T + Sync,
    ) -> PerFile<T> {
        let record = |file| Arc::new(touched::record(|| find(file)));
        let look = |index: usize| {
            let file = FileId(index as u32);
            let known = before.and_then(|(before, changed)| {
                let known = before.0.get(index)?;
                (!changed.has_file(file) && !known.1.any_of(changed)).then(|| known.clone())
            });
            known.unwrap_or_else(|| if is_noting { touched::noting(|| record(file)) } else { record(file) })
        };
        PerFile((0..count).into_par_iter().map(look).collect())
    }

    /// What was found, in order of files.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|found| &found.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::touched::touch_file;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// What three files say, of which the last looks into the first; and how often one was looked at.
    fn found(
        is_noting: bool,
        before: Option<(&PerFile<usize>, &Things)>,
        step: usize,
    ) -> (PerFile<usize>, usize) {
        let looks = AtomicUsize::new(0);
        let found = PerFile::find(3, is_noting, before, |file| {
            looks.fetch_add(1, Ordering::Relaxed);
            if file == FileId(2) {
                touch_file(FileId(0));
            }
            file.0 as usize + step
        });
        (found, looks.into_inner())
    }

    #[test]
    fn only_what_was_found_in_what_changed_is_found_again() {
        let (before, _) = found(true, None, 0);
        let mut changed = Things::default();
        changed.add_file(FileId(0));
        let (after, looks) = found(true, Some((&before, &changed)), 10);
        assert_eq!((after.iter().copied().collect::<Vec<_>>(), looks), (vec![10, 1, 12], 2));
    }

    #[test]
    fn what_was_not_noted_is_found_again() {
        let (before, _) = found(false, None, 0);
        let (after, looks) = found(false, Some((&before, &Things::default())), 10);
        assert_eq!((after.iter().copied().collect::<Vec<_>>(), looks), (vec![10, 11, 12], 3));
    }
}
