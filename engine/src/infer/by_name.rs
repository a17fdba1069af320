//! Places by a name: what questions about a name go over instead of over the whole program.

use crate::python::NodeId;
use crate::python::touched::{Things, touch_name};
use crate::text::FileId;
use rustc_hash::FxHashMap;

/// Something that stands in a file.
pub(super) trait Placed {
    /// The file.
    fn file(&self) -> FileId;

    /// Whether somebody who does not look into the file can tell it from another place there.
    fn is_like(&self, other: &Self) -> bool {
        self.file() == other.file()
    }
}

impl Placed for FileId {
    fn file(&self) -> FileId {
        *self
    }
}

impl Placed for (FileId, NodeId) {
    fn file(&self) -> FileId {
        self.0
    }
}

/// Places by name; those of one name in order of files.
#[derive(Debug)]
pub(super) struct ByName<T>(FxHashMap<Box<str>, Vec<T>>);

impl<T> Default for ByName<T> {
    fn default() -> Self {
        ByName(FxHashMap::default())
    }
}

impl<T: Placed> ByName<T> {
    /// The places of `name`.
    pub fn of(&self, name: &str) -> &[T] {
        touch_name(name);
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether `name` has a place.
    pub fn has(&self, name: &str) -> bool {
        !self.of(name).is_empty()
    }

    /// Every name with its places.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[T])> {
        self.0.iter().map(|(name, places)| (&**name, places.as_slice()))
    }

    /// Add a place, which comes after all others of the name.
    pub fn push(&mut self, name: &str, place: T) {
        match self.0.get_mut(name) {
            Some(places) => places.push(place),
            None => {
                self.0.insert(name.into(), vec![place]);
            }
        }
    }

    /// Put what `file` has `after` a change in the place of what it had `before`. Names that have other places now are
    /// `changed`; whoever looked into the file is told of that anyway.
    pub fn replace(
        &mut self,
        file: FileId,
        before: Vec<(&str, T)>,
        after: Vec<(&str, T)>,
        changed: &mut Things,
    ) {
        let mut lists: FxHashMap<&str, (Vec<T>, Vec<T>)> = FxHashMap::default();
        for (name, place) in before {
            lists.entry(name).or_default().0.push(place);
        }
        for (name, place) in after {
            lists.entry(name).or_default().1.push(place);
        }
        for (name, (before, after)) in lists {
            if before.len() != after.len() || !before.iter().zip(&after).all(|(a, b)| a.is_like(b)) {
                changed.add_name(name);
            }
            let places = self.0.entry(name.into()).or_default();
            replace_in(places, file, after);
            if places.is_empty() {
                self.0.remove(name);
            }
        }
    }
}

/// Put `after` in the place of what `file` has in a list that is in order of files.
pub(super) fn replace_in<T: Placed>(list: &mut Vec<T>, file: FileId, after: Vec<T>) {
    let begin = list.partition_point(|place| place.file() < file);
    let end = list.partition_point(|place| place.file() <= file);
    list.splice(begin..end, after);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::touched;

    #[test]
    fn a_file_is_replaced_in_its_place() {
        let mut places = ByName::default();
        for (name, file, node) in
            [("a", 0, 1), ("a", 1, 2), ("a", 1, 3), ("a", 2, 4), ("b", 1, 5), ("d", 1, 6)]
        {
            places.push(name, (FileId(file), NodeId(node)));
        }
        let at = |node| (FileId(1), NodeId(node));
        let mut changed = Things::default();
        let before = vec![("a", at(2)), ("a", at(3)), ("b", at(5)), ("d", at(6))];
        let after = vec![("c", at(7)), ("a", at(8)), ("d", at(9))];
        places.replace(FileId(1), before, after, &mut changed);
        let nodes = |name| places.of(name).iter().map(|place| place.1.0).collect::<Vec<_>>();
        assert_eq!(
            (nodes("a"), nodes("b"), nodes("c"), nodes("d")),
            (vec![1, 8, 4], vec![], vec![7], vec![9])
        );
        assert_eq!(places.iter().count(), 3);
        let is_changed = |name| {
            let ((), touched) = touched::noting(|| {
                touched::record(|| {
                    let _ = places.has(name);
                })
            });
            touched.any_of(&changed)
        };
        assert!(is_changed("a") && is_changed("b") && is_changed("c"));
        assert!(!is_changed("d") && !is_changed("e"));
    }
}
