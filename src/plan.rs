//! A plan: every fix of a run as data. docs/plan.md documents the form, docs/plan.schema.json is its schema.

use crate::escape::escape_line;
use crate::owners::Owners;
use crate::pipeline::Analysis;
use miette::miette;
use ormend_engine::codemod::{Finding, Outcome};
use ormend_engine::rewrite::{LazySource, Options, Sources, together};
use ormend_engine::text::FileId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the form that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// Fixes as data, and the files that they change as these were when the fixes were found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The version of this form: 1.
    pub version: u32,
    /// The tool and its version: `ormend 0.1.0`.
    pub tool: String,
    /// The top-level packages that are the project's own, which decide where imports are put.
    pub packages: Vec<String>,
    /// The files that fixes change, by their path.
    pub files: BTreeMap<String, PlannedFile>,
    /// The fixes, by path and position.
    pub fixes: Vec<PlannedFix>,
}

/// A file that fixes change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedFile {
    /// SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
    /// Its owners, as the CODEOWNERS file of the repository says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
}

/// A fix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedFix {
    /// A name of the finding that survives moved lines: 16 hexadecimal digits.
    pub fingerprint: String,
    /// The codemod.
    pub codemod: String,
    /// Whether it keeps behaviour.
    pub outcome: PlannedOutcome,
    /// Whether `ormend apply` applies it.
    pub selected: bool,
    /// The file of the finding.
    pub path: String,
    /// The 1-based line of the finding.
    pub line: u32,
    /// What it does, in one sentence.
    pub message: String,
    /// What it costs now and afterwards, in words.
    pub queries: PlannedQueries,
    /// What could change, with its place: nothing for a safe fix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hazards: Vec<PlannedHazard>,
    /// How many more there are of the kinds in `hazards`, which names a few of each.
    #[serde(default)]
    pub unlisted: usize,
    /// What it replaces.
    pub edits: Vec<PlannedEdit>,
    /// The names that its new text needs; they are imported where they are not yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<PlannedImport>,
}

/// What a fix is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlannedOutcome {
    /// It keeps behaviour.
    Safe,
    /// It may change behaviour in the way that its hazards name.
    Unsafe,
}

/// What a place costs, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedQueries {
    /// Now: `1 + N queries`.
    pub before: String,
    /// With the fix: `1 query`.
    pub after: String,
}

/// What could change behaviour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedHazard {
    /// Its name.
    pub kind: String,
    /// What it says.
    pub message: String,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The 1-based line there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// A replacement of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedEdit {
    /// The file.
    pub path: String,
    /// The first byte that is replaced, as an offset in the file as it is stored.
    pub start: u32,
    /// The byte behind the last one that is replaced; `start` for an insertion.
    pub end: u32,
    /// The new text, in UTF-8. It is stored in the encoding of the file.
    pub text: String,
}

/// A name that is imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedImport {
    /// The file that needs it.
    pub path: String,
    /// `django.db.models`
    pub module: String,
    /// `F`
    pub name: String,
}

impl PlannedFix {
    /// The files that it changes, each once.
    pub fn files(&self) -> Vec<&str> {
        let edits = self.edits.iter().map(|edit| edit.path.as_str());
        let mut all: Vec<&str> =
            edits.chain(self.imports.iter().map(|import| import.path.as_str())).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Plan {
    /// Every fix that `analysis` found. Selected are those that `options` want and that can be applied together.
    pub fn of(analysis: &Analysis, options: &Options, owners: &Owners) -> Plan {
        let (report, findings) = (&analysis.report, analysis.findings());
        let sources = &report.sources;
        let (selected, _) = together(&report.findings, options);
        let mut fixes = Vec::new();
        for (index, (finding, fingerprint)) in findings.shown(true).enumerate() {
            if finding.fix.is_none() || finding.outcome() == Outcome::Withheld {
                continue;
            }
            let is_selected = selected.binary_search(&index).is_ok();
            fixes.push(planned(sources, finding, fingerprint, is_selected));
        }
        let changed: BTreeSet<&str> = fixes.iter().flat_map(PlannedFix::files).collect();
        let changed = sources.values().filter(|source| changed.contains(source.path()));
        let file = |source: &LazySource| {
            let bytes = source.encode(source.text()).unwrap_or_default();
            let file = PlannedFile { sha256: sha256(&bytes), owners: owners.of(source.path()) };
            (source.path().to_owned(), file)
        };
        let files: BTreeMap<String, PlannedFile> = changed.map(file).collect();
        Plan {
            version: VERSION,
            tool: crate::TOOL.to_owned(),
            packages: if fixes.iter().any(|fix| !fix.imports.is_empty()) {
                report.packages.clone()
            } else {
                Vec::new()
            },
            files,
            fixes,
        }
    }

    /// The plan of `fixes`, some of this one's, and of the files that they change.
    pub fn part(&self, fixes: Vec<PlannedFix>) -> Plan {
        let changed: BTreeSet<&str> = fixes.iter().flat_map(PlannedFix::files).collect();
        let files = self.files.iter().filter(|(path, _)| changed.contains(path.as_str()));
        Plan {
            version: self.version,
            tool: self.tool.clone(),
            packages: match fixes.iter().any(|fix| !fix.imports.is_empty()) {
                true => self.packages.clone(),
                false => Vec::new(),
            },
            files: files.map(|(path, file)| (path.clone(), file.clone())).collect(),
            fixes,
        }
    }

    /// One plan of several, given with their names: of a fix that two of them have one stays, selected if it is in one
    /// of them. They must be of the same files.
    pub fn merge(plans: Vec<(String, Plan)>) -> miette::Result<Plan> {
        let mut plans = plans.into_iter();
        let Some((first, mut all)) = plans.next() else { return Err(miette!("there is no plan")) };
        if plans.len() == 0 {
            return Ok(all);
        }
        let mut known: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, fix) in all.fixes.iter().enumerate() {
            known.entry(fix.fingerprint.clone()).or_default().push(index);
        }
        let mut origin: BTreeMap<String, String> =
            all.files.keys().map(|path| (path.clone(), first.clone())).collect();
        for (name, plan) in plans {
            for (path, file) in plan.files {
                let known = all.files.entry(path.clone()).or_insert_with(|| file.clone());
                let other = origin.entry(path.clone()).or_insert_with(|| name.clone());
                if !known.sha256.eq_ignore_ascii_case(&file.sha256) {
                    return Err(miette!(
                        help = "plans that are applied together are written from the same files: apply one, then \
                                plan again",
                        "`{}` is not the same file in the plans `{}` and `{}`",
                        escape_line(&path),
                        escape_line(other),
                        escape_line(&name)
                    ));
                }
            }
            for fix in plan.fixes {
                let like = known.entry(fix.fingerprint.clone()).or_default();
                let same = |index: &&usize| {
                    all.fixes
                        .get(**index)
                        .is_some_and(|other| other.edits == fix.edits && other.imports == fix.imports)
                };
                match like.iter().find(same).and_then(|index| all.fixes.get_mut(*index)) {
                    Some(other) => other.selected |= fix.selected,
                    None => {
                        like.push(all.fixes.len());
                        all.fixes.push(fix);
                    }
                }
            }
            all.packages.extend(plan.packages);
        }
        all.packages.sort_unstable();
        all.packages.dedup();
        all.fixes.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        Ok(all)
    }

    /// The plan that `bytes` hold; `name` is theirs in messages.
    pub fn parse(bytes: &[u8], name: &str) -> miette::Result<Plan> {
        let name = escape_line(name);
        // The version first: of another one nothing else is known.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let is_wrong = |error: serde_json::Error| {
            miette!(
                help = "write plans with `ormend plan`",
                "`{name}` is not a plan: {}",
                escape_line(&error.to_string())
            )
        };
        let Version { version } = serde_json::from_slice(bytes).map_err(is_wrong)?;
        if version != VERSION {
            return Err(miette!(
                help = "apply it with the version of ormend that wrote it",
                "`{name}` is a plan of version {version}, and this ormend reads version {VERSION}"
            ));
        }
        serde_json::from_slice(bytes).map_err(is_wrong)
    }

    /// As it is stored: JSON with a line a value, so that plans can be compared and edited by hand.
    pub fn to_json(&self) -> miette::Result<Vec<u8>> {
        let mut out =
            serde_json::to_vec_pretty(self).map_err(|error| miette!("cannot write the plan: {error}"))?;
        out.push(b'\n');
        Ok(out)
    }
}

/// The JSON schema of plans.
pub fn schema() -> miette::Result<String> {
    let schema = schemars::schema_for!(Plan);
    let text =
        serde_json::to_string_pretty(&schema).map_err(|error| miette!("cannot write the schema: {error}"))?;
    Ok(text + "\n")
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn planned(sources: &Sources, finding: &Finding, fingerprint: &str, selected: bool) -> PlannedFix {
    let source = |file: FileId| sources.get(&file);
    let path = |file: FileId| source(file).map_or(String::new(), |source| source.path().to_owned());
    let line = |file: FileId, offset| source(file).map_or(0, |source| source.line_column(offset).line);
    let hazards = finding.hazards.iter().map(|hazard| PlannedHazard {
        kind: hazard.kind.name().to_owned(),
        message: hazard.message(),
        path: hazard.site.map(|site| path(site.file)),
        line: hazard.site.map(|site| line(site.file, site.span.start)),
    });
    let fix = finding.fix.clone().unwrap_or_default();
    let edits = fix.edits.iter().map(|edit| {
        let at = |offset| source(edit.file).map_or(0, |source| source.original_offset(offset));
        let (start, end) = (at(edit.edit.span.start), at(edit.edit.span.end));
        PlannedEdit { path: path(edit.file), start, end, text: edit.edit.text.clone() }
    });
    let imports = fix.imports.iter().map(|import| PlannedImport {
        path: path(import.file),
        module: import.module.clone(),
        name: import.name.clone(),
    });
    let outcome = match finding.outcome() {
        Outcome::Safe => PlannedOutcome::Safe,
        _ => PlannedOutcome::Unsafe,
    };
    PlannedFix {
        fingerprint: fingerprint.to_owned(),
        codemod: finding.codemod.to_owned(),
        outcome,
        selected,
        path: path(finding.site.file),
        line: line(finding.site.file, finding.site.span.start),
        message: finding.message.clone(),
        queries: PlannedQueries {
            before: finding.queries.before.clone(),
            after: finding.queries.after.clone(),
        },
        hazards: hazards.collect(),
        unlisted: finding.unlisted,
        edits: edits.collect(),
        imports: imports.collect(),
    }
}

#[cfg(test)]
pub mod samples {
    //! Fixes made by hand, for the tests of what shows and changes them.

    use super::*;

    pub fn edit(path: &str, start: u32, end: u32, text: &str) -> PlannedEdit {
        PlannedEdit { path: path.into(), start, end, text: text.into() }
    }

    /// A safe fix in line 1 of a.py that is not selected.
    pub fn fix(edits: Vec<PlannedEdit>) -> PlannedFix {
        PlannedFix {
            fingerprint: String::new(),
            codemod: "exists".into(),
            outcome: PlannedOutcome::Safe,
            selected: false,
            path: "a.py".into(),
            line: 1,
            message: String::new(),
            queries: PlannedQueries { before: String::new(), after: String::new() },
            hazards: Vec::new(),
            unlisted: 0,
            edits,
            imports: Vec::new(),
        }
    }
}
