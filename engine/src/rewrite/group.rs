//! Which changes belong together, because a fix makes several of them.

use super::Change;
use rustc_hash::FxHashMap;

/// Give the changes of files that one of `together` names the same number, directly or through others; every other change has a
/// number of its own.
pub fn group(changes: &mut [Change], together: &[Vec<&str>]) {
    let mut sets_of: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
    for (index, files) in together.iter().enumerate() {
        files.iter().for_each(|file| sets_of.entry(file).or_default().push(index));
    }
    let mut numbers: FxHashMap<&str, u32> = FxHashMap::default();
    let paths: Vec<String> = changes.iter().map(|change| change.path.clone()).collect();
    for (number, path) in (0..).zip(&paths) {
        let mut next = vec![path.as_str()];
        while let Some(file) = next.pop() {
            if numbers.contains_key(file) {
                continue;
            }
            numbers.insert(file, number);
            // Each set is followed once: all of its files get this number.
            let sets = sets_of.remove(file).unwrap_or_default();
            next.extend(sets.into_iter().filter_map(|index| together.get(index)).flatten());
        }
    }
    for (change, path) in changes.iter_mut().zip(&paths) {
        change.group = numbers.get(path.as_str()).copied().unwrap_or(change.group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_fix_are_one_group_directly_or_through_others() {
        let change = |path: &str| Change {
            path: path.to_owned(),
            before: Vec::new(),
            after: Vec::new(),
            fixes: 1,
            group: 0,
        };
        let mut changes: Vec<Change> = ["a", "b", "c", "d", "e"].into_iter().map(change).collect();
        // `gone` does not change in the end.
        group(&mut changes, &[vec!["d", "gone"], vec!["c"], vec!["gone", "b"], vec!["b", "a"]]);
        let numbers: Vec<u32> = changes.iter().map(|change| change.group).collect();
        assert_eq!(numbers, [0, 0, 2, 0, 4]);
    }
}
