//! The table of `--statistics`: a line a codemod, and below it why findings were withheld.

use super::Findings;
use ormend_engine::codemod::{Outcome, Weight};
use rustc_hash::FxHashSet;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write};

/// What there is of a codemod; withheld findings count whether they are shown or not.
#[derive(Default)]
pub struct Row {
    pub safe: usize,
    pub opt_in: usize,
    pub withheld: usize,
    pub files: FxHashSet<u32>,
    /// Of withheld findings, by the hazard that blocks; a finding with several counts for each.
    pub reasons: BTreeMap<&'static str, usize>,
}

/// A row a codemod.
pub fn rows<'a>(findings: &Findings<'a>) -> BTreeMap<&'a str, Row> {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for finding in findings.all() {
        let row = rows.entry(finding.codemod).or_default();
        row.files.insert(finding.site.file.0);
        match finding.outcome() {
            Outcome::Safe => row.safe += 1,
            Outcome::Unsafe => row.opt_in += 1,
            Outcome::Withheld => {
                row.withheld += 1;
                let blocking =
                    finding.hazards.iter().filter(|hazard| hazard.kind.weight() == Weight::Blocking);
                for reason in reasons(blocking.map(|hazard| hazard.kind.name())) {
                    *row.reasons.entry(reason).or_default() += 1;
                }
            }
        }
    }
    rows
}

/// The table, a newline at its end.
pub fn table(findings: &Findings) -> String {
    let rows = rows(findings);
    let names = rows.iter().flat_map(|(name, row)| {
        std::iter::once(name.len()).chain(row.reasons.keys().map(|reason| reason.len() + 2))
    });
    let width = names.max().unwrap_or(0).max("codemod".len());
    let mut text = String::new();
    // Writing to a String cannot fail.
    text.push_str(&line(width, "codemod", COLUMNS));
    for (name, row) in &rows {
        text.push_str(&line(width, name, [row.safe, row.opt_in, row.withheld, row.files.len()]));
        let mut reasons: Vec<_> = row.reasons.iter().collect();
        reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), **reason));
        for (reason, count) in reasons {
            let _ = writeln!(text, "  {reason:rest$}  {:>6}  {:>6}  {count:>8}", "", "", rest = width - 2);
        }
    }
    text
}

/// What stands above the numbers.
pub const COLUMNS: [&str; 4] = ["safe", "unsafe", "withheld", "files"];

/// A line of a table of findings, whose first column has this width.
pub fn line(width: usize, name: &str, columns: [impl Display; 4]) -> String {
    let [safe, opt_in, withheld, files] = columns;
    format!("{name:width$}  {safe:>6}  {opt_in:>6}  {withheld:>8}  {files:>6}\n")
}

/// Why a finding is withheld, each reason once: what blocks it, or that nothing can be written for it.
pub fn reasons<'r>(blocking: impl Iterator<Item = &'r str>) -> BTreeSet<&'r str> {
    let mut reasons: BTreeSet<&str> = blocking.collect();
    if reasons.is_empty() {
        reasons.insert("no rewrite");
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn rendered() {
        let text = samples::rendered(|out, findings| out.extend(table(findings).bytes()));
        insta::with_settings!({ snapshot_path => "../../snapshots" }, { insta::assert_snapshot!(text) });
    }
}
