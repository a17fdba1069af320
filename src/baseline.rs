//! A baseline: the findings that are known, so that a run can report what is new.

use crate::discover::reason;
use crate::escape::{escape_line, escape_path};
use crate::report::Findings;
use crate::write;
use miette::miette;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

const VERSION: u32 = 1;

/// As it is stored. Without lines and columns, so that it changes only when findings come and go.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    findings: Vec<Known>,
}

#[derive(Serialize, Deserialize)]
pub struct Known {
    pub fingerprint: String,
    codemod: String,
    /// The file, relative to the project root.
    pub path: String,
    message: String,
}

/// The findings that the baseline `file` lists.
pub fn read(file: &Path) -> miette::Result<Vec<Known>> {
    let name = escape_path(file);
    let bytes = fs::read(file).map_err(|error| {
        let help = match error.kind() {
            io::ErrorKind::NotFound => "--write-baseline makes it",
            _ => "check the path",
        };
        miette!(help = help, "cannot read the baseline `{name}`: {}", reason(&error))
    })?;
    let help = "write it anew with --write-baseline";
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| {
        miette!(help = help, "`{name}` is not a baseline: {}", escape_line(&error.to_string()))
    })?;
    if stored.version != VERSION {
        return Err(miette!(
            help = help,
            "`{name}` is a baseline of version {}, and this ormend reads version {VERSION}",
            stored.version
        ));
    }
    Ok(stored.findings)
}

/// Store all `findings`, withheld ones included, in `file`.
pub fn write(file: &Path, findings: &Findings) -> miette::Result<()> {
    let known = findings.shown(true).map(|(finding, fingerprint)| Known {
        fingerprint: fingerprint.to_owned(),
        codemod: finding.codemod.to_owned(),
        path: findings.project_path(finding.site.file),
        message: finding.message.clone(),
    });
    let stored = Stored { version: VERSION, findings: known.collect() };
    let mut json =
        serde_json::to_vec_pretty(&stored).map_err(|error| miette!("cannot write the baseline: {error}"))?;
    json.push(b'\n');
    write::output(file, &json, "the baseline")
}
