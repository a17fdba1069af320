//! Which fixes wait for others of the same pass.
//!
//! A prefetch puts the rows of a relation beside their owners. Whatever edits a read of these rows was right without them,
//! and may ask the database for them again: `publisher.authors.all()` may become `publisher.authors.prefetch_related("books")`
//! or `publisher.authors.values_list("name")` where a publisher comes alone, and not where its authors come with it. So it
//! waits, and is looked at again when the prefetch stands in the code: its guards ask there who may have prefetched. The
//! prefetch, which takes away a query a row, wins over all that only makes each of these queries cheaper.

use crate::codemod::{Fix, Relation};
use rustc_hash::FxHashMap;

/// Whether each of `fixes` waits: for one that begins to prefetch what it reads, which may wait itself. Of those that wait
/// for each other in a circle one goes on.
pub(super) fn waits(fixes: &[&Fix]) -> Vec<bool> {
    let mut begins: FxHashMap<&str, Vec<(usize, &Relation)>> = FxHashMap::default();
    for (index, fix) in fixes.iter().enumerate() {
        for relation in &fix.prefetches {
            begins.entry(&relation.accessor).or_default().push((index, relation));
        }
    }
    let before: Vec<Vec<usize>> = fixes
        .iter()
        .enumerate()
        .map(|(index, fix)| {
            let named = fix.reads_relations.iter().flat_map(|read| {
                let named = begins.get(read.accessor.as_str()).into_iter().flatten();
                named.filter(|(other, begun)| *other != index && begun.meets(read))
            });
            named.map(|(other, _)| *other).collect()
        })
        .collect();
    let mut decided: Vec<Option<bool>> = vec![None; fixes.len()];
    loop {
        let is_decided = |index: &usize| decided.get(*index).is_some_and(Option::is_some);
        let next = before.iter().enumerate().find_map(|(index, before)| {
            let waits = before.iter().any(is_decided);
            (!is_decided(&index) && (waits || before.is_empty())).then_some((index, waits))
        });
        let circle = || {
            let mut index = (0..fixes.len()).find(|index| !is_decided(index))?;
            // Each of those that are left waits for one of them: as many steps back as there are lead into a circle.
            for _ in 0..fixes.len() {
                index = *before.get(index)?.first()?;
            }
            Some((index, false))
        };
        let Some((index, waits)) = next.or_else(circle) else { break };
        if let Some(slot) = decided.get_mut(index) {
            *slot = Some(waits);
        }
    }
    decided.into_iter().map(|waits| waits.unwrap_or(false)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each fix reads, and what it prefetches.
    fn waiting(fixes: &[(&[&str], &[&str])]) -> Vec<bool> {
        let relations = |names: &[&str]| {
            let of = |name: &&str| Relation { accessor: (*name).to_owned(), model: None };
            names.iter().map(of).collect()
        };
        let fixes: Vec<Fix> = fixes
            .iter()
            .map(|(reads, prefetches)| Fix {
                reads_relations: relations(reads),
                prefetches: relations(prefetches),
                ..Fix::default()
            })
            .collect();
        waits(&fixes.iter().collect::<Vec<_>>())
    }

    #[test]
    fn what_reads_the_rows_waits_for_the_prefetch_wherever_it_stands() {
        assert_eq!(waiting(&[(&[], &["books"]), (&["books"], &[])]), [false, true]);
        assert_eq!(waiting(&[(&["books"], &[]), (&[], &["books"])]), [true, false]);
        assert_eq!(waiting(&[(&["books"], &[]), (&[], &["tags"])]), [false, false]);
        assert_eq!(waiting(&[(&["books"], &["books"])]), [false]);
    }

    #[test]
    fn what_waits_for_one_that_waits_waits() {
        let chain: &[(&[&str], &[&str])] =
            &[(&["books"], &[]), (&["authors"], &["books"]), (&[], &["authors"])];
        assert_eq!(waiting(chain), [true, true, false]);
    }

    #[test]
    fn one_of_a_circle_goes_on() {
        let circle: &[(&[&str], &[&str])] =
            &[(&["tags"], &[]), (&["tags"], &["books"]), (&["books"], &["tags"])];
        assert_eq!(waiting(circle).iter().filter(|waits| !**waits).count(), 1);
        assert!(waiting(circle).first().is_some_and(|waits| *waits));
        assert_eq!(waiting(&[]), [] as [bool; 0]);
    }
}
