//! Runs of `ormend check --output-format jsonl`, each of one repository, put together: how much there is where, and what
//! keeps it from being fixed. What a run says is data of strangers, and escaped wherever it is shown.

mod page;

pub use page::html;

use super::statistics::{COLUMNS, line, reasons};
use crate::escape::{escape_line, escape_path};
use miette::miette;
use ormend_engine::codemod::{HazardKind, Weight};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How many of the reasons are in the table.
const MOST: usize = 10;

/// What was found in one repository.
pub struct Run {
    /// The repository.
    pub name: String,
    pub findings: Vec<Found>,
}

/// A line of a run: of what docs/jsonl.md describes, what is looked at here. Other keys may be there.
#[derive(Deserialize)]
pub struct Found {
    codemod: String,
    path: String,
    start: Start,
    message: String,
    outcome: FoundOutcome,
    #[serde(default)]
    hazards: Vec<FoundHazard>,
    #[serde(default)]
    queries: Queries,
    #[serde(default)]
    fingerprint: String,
}

#[derive(Deserialize)]
struct Start {
    line: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FoundOutcome {
    Safe,
    Unsafe,
    Withheld,
}

#[derive(Deserialize)]
struct FoundHazard {
    kind: String,
    message: String,
    path: Option<String>,
    line: Option<u32>,
}

#[derive(Default, Deserialize)]
struct Queries {
    before: String,
    after: String,
}

impl Found {
    /// Why it is withheld; nothing for others.
    fn reasons(&self) -> BTreeSet<&str> {
        match self.outcome {
            FoundOutcome::Withheld => reasons(
                self.hazards.iter().map(|hazard| hazard.kind.as_str()).filter(|kind| is_blocking(kind)),
            ),
            _ => BTreeSet::new(),
        }
    }
}

/// What another version of ormend calls something else counts, too.
fn is_blocking(kind: &str) -> bool {
    let known = HazardKind::ALL.iter().find(|known| known.name() == kind);
    known.is_none_or(|known| known.weight() == Weight::Blocking)
}

impl Run {
    /// The findings in `bytes`, the content of `file`. Empty lines are none.
    pub fn parse(name: String, file: &Path, bytes: &[u8]) -> miette::Result<Run> {
        let mut findings = Vec::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let found = serde_json::from_slice(line).map_err(|error| {
                let place = format!("{}:{}", escape_path(file), index + 1);
                // Its position counts from the start of the line, which is always its line 1.
                let why = error.to_string();
                let why = why.split(" at line 1 ").next().unwrap_or_default();
                miette!(
                    help = "write runs with `ormend check --output-format jsonl`",
                    "{place}: this line is no finding: {}",
                    escape_line(why)
                )
            })?;
            findings.push(found);
        }
        Ok(Run { name, findings })
    }
}

/// The name of each file's repository: the file's name without its ending; if these are not all different, that of the
/// directory it is in, or after all its path. `None` if a file is there twice.
pub fn names(files: &[PathBuf]) -> Option<Vec<String>> {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let stem = |file: &PathBuf| text(file.file_stem());
    let directory = |file: &PathBuf| text(file.parent().and_then(Path::file_name));
    let path = |file: &PathBuf| file.to_string_lossy().into_owned();
    let ways: [&dyn Fn(&PathBuf) -> String; 3] = [&stem, &directory, &path];
    ways.iter().map(|way| files.iter().map(way).collect::<Vec<_>>()).find(|names| {
        let different: BTreeSet<&String> = names.iter().filter(|name| !name.is_empty()).collect();
        different.len() == files.len()
    })
}

/// Numbers of a line.
#[derive(Default)]
struct Sum<'r> {
    safe: usize,
    opt_in: usize,
    withheld: usize,
    /// Of each repository.
    files: BTreeSet<(usize, &'r str)>,
}

impl<'r> Sum<'r> {
    fn add(&mut self, run: usize, found: &'r Found) {
        self.files.insert((run, &found.path));
        match found.outcome {
            FoundOutcome::Safe => self.safe += 1,
            FoundOutcome::Unsafe => self.opt_in += 1,
            FoundOutcome::Withheld => self.withheld += 1,
        }
    }

    fn columns(&self) -> [usize; 4] {
        [self.safe, self.opt_in, self.withheld, self.files.len()]
    }
}

/// The tables, a newline at their end: repositories, codemods, and what withholds most findings.
pub fn table(runs: &[Run]) -> String {
    let mut repositories: Vec<Sum> = Vec::new();
    let mut codemods: BTreeMap<&str, Sum> = BTreeMap::new();
    let mut total = Sum::default();
    let mut withheld: BTreeMap<&str, (usize, BTreeSet<usize>)> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        let mut sum = Sum::default();
        for found in &run.findings {
            for sum in [&mut sum, &mut total, codemods.entry(&found.codemod).or_default()] {
                sum.add(index, found);
            }
            for reason in found.reasons() {
                let (count, repositories) = withheld.entry(reason).or_default();
                *count += 1;
                repositories.insert(index);
            }
        }
        repositories.push(sum);
    }
    let mut withheld: Vec<_> = withheld.into_iter().collect();
    withheld.sort_by_key(|(reason, (count, _))| (Reverse(*count), *reason));
    withheld.truncate(MOST);

    let named = runs.iter().map(|run| run.name.as_str()).zip(&repositories);
    let named: Vec<(String, &Sum)> = named.map(|(name, sum)| (escape_line(name).into_owned(), sum)).collect();
    let codemods: Vec<(String, &Sum)> =
        codemods.iter().map(|(name, sum)| (escape_line(name).into_owned(), sum)).collect();
    let withheld: Vec<(String, usize, usize)> = withheld
        .into_iter()
        .map(|(reason, (count, repositories))| (escape_line(reason).into_owned(), count, repositories.len()))
        .collect();
    let all =
        named.iter().chain(&codemods).map(|(name, _)| name).chain(withheld.iter().map(|(name, ..)| name));
    let width = all.map(|name| name.chars().count()).max().unwrap_or(0).max("withheld by".len());

    let mut text = line(width, "repository", COLUMNS);
    for (name, sum) in &named {
        text.push_str(&line(width, name, sum.columns()));
    }
    text.push_str(&line(width, "total", total.columns()));
    if !codemods.is_empty() {
        text.push('\n');
        text.push_str(&line(width, "codemod", COLUMNS));
    }
    for (name, sum) in &codemods {
        text.push_str(&line(width, name, sum.columns()));
    }
    if !withheld.is_empty() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{:width$}  {:>8}  {:>12}", "withheld by", "findings", "repositories");
    }
    for (name, count, repositories) in &withheld {
        let _ = writeln!(text, "{name:width$}  {count:>8}  {repositories:>12}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_have_names() {
        let names = |files: &[&str]| names(&files.iter().map(PathBuf::from).collect::<Vec<_>>());
        let some = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(names(&["runs/shop.jsonl", "runs/blog.jsonl"]), some(&["shop", "blog"]));
        assert_eq!(names(&["a/findings.jsonl"]), some(&["findings"]));
        assert_eq!(names(&["a/findings.jsonl", "b/findings.jsonl"]), some(&["a", "b"]));
        assert_eq!(names(&["x/a/f.jsonl", "y/a/f.jsonl"]), some(&["x/a/f.jsonl", "y/a/f.jsonl"]));
        assert_eq!(names(&["a/f.jsonl", "a/f.jsonl"]), None);
    }
}
