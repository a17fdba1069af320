//! Runs codemods over a project: scan, resolve conflicts, merge imports, apply in memory, re-parse, repeat.

mod apply;
mod aside;
mod fingerprint;
mod group;
mod scan;
mod supposed;
mod suppress;
mod waiting;

pub use crate::codemod::Options;
pub use apply::{apply_planned, edits_with_imports, own_packages, together, touches};
pub use aside::{is_migration, leave_out_idle};
pub use group::group;

use crate::codemod::{Finding, Rule};
use crate::django::Project;
use crate::python::ParsedSize;
use crate::text::{FileId, Source};

/// What is wanted of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Findings are wanted.
    Scan,
    /// Known to the index only: files outside the asked paths.
    Index,
    /// A test or migration that is not looked at: known to the index only where [`leave_out_idle`] leaves it.
    Aside,
    /// A module of an installed package, known to the index only.
    Environment,
    /// A template, known to the index only.
    Template,
}

/// One file, in memory.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// Relative to the project root with `/`; for [`Role::Environment`] relative to site-packages.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// What is wanted of it.
    pub role: Role,
}

impl InputFile {
    /// Its source, decoded as what it is.
    pub fn into_source(self) -> Source {
        match self.role {
            Role::Template => Source::template(self.path, self.bytes),
            _ => Source::new(self.path, self.bytes),
        }
    }
}

/// Something the run has to say about a file that is not a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file's path.
    pub path: String,
    /// 1-based line, when there is one.
    pub line: Option<u32>,
    /// One sentence.
    pub message: String,
}

/// A file that fixes change.
#[derive(Clone, Debug)]
pub struct Change {
    /// The file's path.
    pub path: String,
    /// Its bytes as they were read.
    pub before: Vec<u8>,
    /// Its bytes after the fixes, in the same encoding.
    pub after: Vec<u8>,
    /// How many fixes were applied.
    pub fixes: usize,
    /// Changes of one number belong together, for a fix changes several files: all of them are written, or none.
    pub group: u32,
}

/// The result of a run.
pub struct Report {
    /// The project as first read; spans of findings refer to its sources.
    pub project: Project,
    /// How much was parsed for it.
    pub parsed: ParsedSize,
    /// Every finding in the files as they are, by path and position, suppressed and known ones left out.
    pub findings: Vec<Finding>,
    /// The fingerprint of each: 16 hexadecimal digits that survive edits elsewhere in the file.
    pub fingerprints: Vec<String>,
    /// The fingerprints of [`Options::known`] that were found.
    pub known: Vec<String>,
    /// Files that the applicable fixes change, by path.
    pub changes: Vec<Change>,
    /// Unparsable files, suppressions that suppress nothing, internal errors.
    pub warnings: Vec<Warning>,
}

/// Scan `files` with `rules`; when `apply` is set also compute [`Report::changes`].
pub fn run(files: Vec<InputFile>, rules: &[&dyn Rule], options: &Options, apply: bool) -> Report {
    let mut warnings = Vec::new();
    let scanned: Vec<FileId> = files
        .iter()
        .enumerate()
        .filter(|(_, file)| file.role == Role::Scan)
        .map(|(i, _)| FileId(i as u32))
        .collect();
    let sources: Vec<Source> = files.into_iter().map(InputFile::into_source).collect();
    let project = Project::build(sources);
    let parsed = project.program().parsed_size();
    for &file in &scanned {
        warnings.extend(scan::problems(&project, file));
    }
    let scan::Scanned { mut findings, warnings: unused } = scan::scan(&project, &scanned, rules, options);
    warnings.extend(unused);
    let mut fingerprints = fingerprint::fingerprints(&project, &findings);
    let known = fingerprint::take_known(&mut findings, &mut fingerprints, &options.known);
    let changes = if apply {
        apply::fixpoint(&project, &scanned, rules, options, &findings, &mut warnings)
    } else {
        Vec::new()
    };
    warnings.sort_by(|a, b| (&a.path, a.line, &a.message).cmp(&(&b.path, b.line, &b.message)));
    Report { project, parsed, findings, fingerprints, known, changes, warnings }
}
