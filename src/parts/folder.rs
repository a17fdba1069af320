//! The directory of the parts: for each a plan, a commit message and a description, and index.json, which lists them. What
//! somebody else wrote there, or changed since, is never overwritten: the index knows the hash of each file.

use super::{Part, description};
use crate::cli::SplitBy;
use crate::discover::reason;
use crate::escape::escape_path;
use crate::plan::{PlannedOutcome, sha256};
use crate::read;
use crate::write;
use clap::ValueEnum;
use miette::miette;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path};

const INDEX: &str = "index.json";

/// What index.json holds. docs/plan.md documents it.
#[derive(Serialize)]
struct Index<'a> {
    version: u32,
    tool: &'a str,
    split_by: String,
    parts: Vec<IndexPart<'a>>,
    /// The SHA-256 of each file of the directory.
    written: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct IndexPart<'a> {
    name: &'a str,
    title: String,
    plan: String,
    commit: Option<String>,
    description: String,
    fixes: usize,
    selected: usize,
    r#unsafe: usize,
    codemods: BTreeSet<&'a str>,
    files: Vec<&'a str>,
    owners: BTreeSet<&'a str>,
}

/// What an earlier index says of the files beside it.
#[derive(Default, Deserialize)]
struct Earlier {
    tool: String,
    written: BTreeMap<String, String>,
}

/// Write `parts` into `dir`, in the place of those that are there.
pub fn write(dir: &Path, by: SplitBy, parts: &[Part]) -> miette::Result<()> {
    let failed = |doing: &str, name: &str, error: &io::Error| {
        let shown = escape_path(&dir.join(name));
        miette!(help = "check the path", "cannot {doing} `{shown}`: {}", reason(error))
    };
    fs::create_dir_all(dir).map_err(|error| failed("make the directory", "", &error))?;
    let mut texts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for part in parts {
        texts.insert(part.plan_file(), part.plan.to_json()?);
        texts.insert(description_file(part), description::description(part).into_bytes());
        if let Some(file) = commit_file(part) {
            texts.insert(file, description::commit_message(part).into_bytes());
        }
    }
    let written = texts.iter().map(|(name, text)| (name.clone(), sha256(text))).collect();
    let mut index = serde_json::to_vec_pretty(&index(by, parts, &written))
        .map_err(|error| miette!("cannot write the list of parts: {error}"))?;
    index.push(b'\n');

    let old = replaceable(dir, &texts)?;
    // The index goes last: whatever stops us, it tells the next run what is ours.
    for name in old.iter().filter(|name| *name != INDEX) {
        match fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("replace", name, &error));
            }
            _ => {}
        }
    }
    // And it comes first.
    let all = std::iter::once((INDEX, &index)).chain(texts.iter().map(|(name, text)| (name.as_str(), text)));
    for (name, text) in all {
        write::replace(&dir.join(name), text, write::OPEN).map_err(|error| failed("write", name, &error))?;
    }
    Ok(())
}

fn description_file(part: &Part) -> String {
    format!("{}.md", part.name)
}

/// There is nothing to commit of a part that nothing is selected of.
fn commit_file(part: &Part) -> Option<String> {
    (!part.selected().is_empty()).then(|| format!("{}.commit.txt", part.name))
}

fn index<'a>(by: SplitBy, parts: &'a [Part], written: &'a BTreeMap<String, String>) -> Index<'a> {
    let part = |part: &'a Part| IndexPart {
        name: &part.name,
        title: description::title(part),
        plan: part.plan_file(),
        commit: commit_file(part),
        description: description_file(part),
        fixes: part.plan.fixes.len(),
        selected: part.selected().len(),
        r#unsafe: part.plan.fixes.iter().filter(|fix| fix.outcome == PlannedOutcome::Unsafe).count(),
        codemods: part.plan.fixes.iter().map(|fix| fix.codemod.as_str()).collect(),
        files: part.plan.files.keys().map(String::as_str).collect(),
        owners: part.plan.files.values().flat_map(|file| &file.owners).map(String::as_str).collect(),
    };
    Index {
        version: 1,
        tool: crate::TOOL,
        split_by: by.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default(),
        parts: parts.iter().map(part).collect(),
        written,
    }
}

/// The files in `dir` that an earlier run wrote and nobody changed since, its index among them. It is an error if something
/// else is in the way of `texts`, or if the directory is not one of ours.
fn replaceable(dir: &Path, texts: &BTreeMap<String, Vec<u8>>) -> miette::Result<Vec<String>> {
    let shown = |name: &str| escape_path(&dir.join(name));
    let is_there = |name: &str| fs::symlink_metadata(dir.join(name)).is_ok();
    if !is_there(INDEX) && fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none()) {
        return Ok(Vec::new());
    }
    let earlier = read::file(&dir.join(INDEX)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let earlier: Earlier = earlier.unwrap_or_default();
    if !earlier.tool.starts_with("ormend ") {
        return Err(miette!(
            help = "give a directory that is new or empty, or one that `ormend plan --split-by` wrote",
            "`{}` holds other files",
            shown("")
        ));
    }
    let mut old = vec![INDEX.to_owned()];
    for (name, hash) in &earlier.written {
        // The index may come from a stranger: nothing outside of the directory is ours.
        let mut parts = Path::new(name).components();
        let is_plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        if !is_plain || !is_there(name) {
            continue;
        }
        if read::file(&dir.join(name)).is_ok_and(|bytes| sha256(&bytes) != *hash) {
            return Err(miette!(
                help = "move it away or delete it, then run again",
                "`{}` was changed since it was written, and would be lost",
                shown(name)
            ));
        }
        old.push(name.clone());
    }
    match texts.keys().find(|name| is_there(name) && !old.contains(name)) {
        Some(name) => Err(miette!(
            help = "move it away, or give another directory",
            "`{}` is in the way, and was not written by `ormend plan --split-by`",
            shown(name)
        )),
        None => Ok(old),
    }
}
