//! The table of `--statistics`: a line a codemod, and below it why findings are unsafe or withheld.

use super::Findings;
use ormend_engine::codemod::{Outcome, Weight};
use rustc_hash::FxHashSet;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// What there is of a codemod; withheld findings count whether they are shown or not.
#[derive(Default)]
pub struct Row {
    pub safe: usize,
    pub opt_in: usize,
    pub withheld: usize,
    pub files: FxHashSet<u32>,
    /// How many unsafe and how many withheld findings are so by a hazard; a finding with several counts for each.
    pub reasons: BTreeMap<&'static str, [usize; 2]>,
}

/// A row a codemod.
pub fn rows<'a>(findings: &Findings<'a>) -> BTreeMap<&'a str, Row> {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for finding in findings.all() {
        let row = rows.entry(finding.codemod).or_default();
        row.files.insert(finding.site.file.0);
        let of =
            |weight| finding.hazards.iter().filter(move |h| h.kind.weight() == weight).map(|h| h.kind.name());
        match finding.outcome() {
            Outcome::Safe => row.safe += 1,
            Outcome::Unsafe => {
                row.opt_in += 1;
                for reason in of(Weight::OptIn).collect::<BTreeSet<_>>() {
                    row.reasons.entry(reason).or_default()[0] += 1;
                }
            }
            Outcome::Withheld => {
                row.withheld += 1;
                for reason in reasons(of(Weight::Blocking)) {
                    row.reasons.entry(reason).or_default()[1] += 1;
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
    text.push_str(&line(width, "codemod", COLUMNS));
    for (name, row) in &rows {
        text.push_str(&line(width, name, [row.safe, row.opt_in, row.withheld, row.files.len()]));
        let mut reasons: Vec<_> = row.reasons.iter().collect();
        reasons.sort_by_key(|(reason, [opt_in, withheld])| (Reverse(opt_in + withheld), **reason));
        for (reason, counts) in reasons {
            let [opt_in, withheld] =
                counts.map(|count| if count > 0 { count.to_string() } else { String::new() });
            let row = line(width, &format!("  {reason}"), ["", &opt_in, &withheld, ""]);
            text.push_str(row.trim_end());
            text.push('\n');
        }
    }
    if rows.len() > 1 {
        let total = |of: fn(&Row) -> usize| rows.values().map(of).sum();
        let outcomes = [total(|row| row.safe), total(|row| row.opt_in), total(|row| row.withheld)];
        let [safe, opt_in, withheld] = outcomes;
        text.push_str(&line(width, "total", [safe, opt_in, withheld, findings.file_count()]));
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
