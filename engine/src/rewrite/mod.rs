//! Runs codemods over a project: scan, resolve conflicts, merge imports, apply in memory, re-parse, repeat.

mod apply;
mod aside;
mod fingerprint;
mod group;
mod hover;
mod parsed;
mod scan;
mod session;
mod sources;
mod supposed;
mod suppress;
mod suppression;
mod waiting;

pub use crate::codemod::Options;
pub use apply::{apply_planned, together, touches};
pub use aside::{is_migration, leave_out_idle};
pub use group::group;
pub use hover::{Hover, hover};
pub use parsed::{ParsedFiles, ParsedSize};
pub use scan::unreadable;
pub use session::Session;
pub use sources::{LazySource, Sources};
pub use suppression::suppression;

use crate::codemod::{FileEdit, Finding, Rule};
use crate::django::Project;
use crate::infer::Analyzer;
use crate::text::{FileId, Source};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is wanted of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The file's path.
    pub path: String,
    /// 1-based line, when there is one.
    pub line: Option<u32>,
    /// One sentence.
    pub message: String,
}

/// A file that fixes change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    /// The file's path.
    pub path: String,
    /// Its bytes as they were read. They are not serialised: whoever reads a change has to know them.
    #[serde(skip)]
    pub before: Vec<u8>,
    /// Its bytes after the fixes, in the same encoding.
    pub after: Vec<u8>,
    /// How many fixes were applied.
    pub fixes: usize,
    /// Changes of one number belong together, for a fix changes several files: all of them are written, or none.
    pub group: u32,
}

/// The result of a run, which is plain data: nothing in it needs the project any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The files that findings refer to, as first read. They are not serialised: the identity of one that was given to [`run`] is
    /// its index there, the other ones are the engine's own.
    #[serde(skip)]
    pub sources: Sources,
    /// How much was parsed for it; nothing where an earlier result was taken.
    #[serde(skip)]
    pub parsed: ParsedSize,
    /// Every finding in the files as they are, by path and position, suppressed and known ones left out.
    pub findings: Vec<Finding>,
    /// The fingerprint of each: 16 hexadecimal digits that survive edits elsewhere in the file.
    pub fingerprints: Vec<String>,
    /// For each the edits that bring the imports that its fix asks for.
    pub imports: Vec<Vec<FileEdit>>,
    /// The fingerprints of [`Options::known`] that were found.
    pub known: Vec<String>,
    /// Files that the applicable fixes change, by path.
    pub changes: Vec<Change>,
    /// Unparsable files, suppressions that suppress nothing, internal errors.
    pub warnings: Vec<Warning>,
    /// The top-level packages and modules of the project's own files, sorted.
    pub packages: Vec<String>,
}

/// Scan `files` with `rules`; when `apply` is set also compute [`Report::changes`].
pub fn run(files: Vec<InputFile>, rules: &[&dyn Rule], options: &Options, apply: bool) -> Report {
    run_parsed(ParsedFiles::new(files, |_| None), rules, options, apply)
}

/// As [`run`], for files that are parsed.
pub fn run_parsed(files: ParsedFiles, rules: &[&dyn Rule], options: &Options, apply: bool) -> Report {
    let ParsedFiles { files, roles, size: parsed } = files;
    let project = Project::of(files);
    Report { parsed, ..look(&Analyzer::new(&project), &roles, rules, options, apply) }
}

/// Look at the files of the analyzer's project that are to be scanned.
fn look(
    analyzer: &Analyzer<'_>,
    roles: &[Role],
    rules: &[&dyn Rule],
    options: &Options,
    apply: bool,
) -> Report {
    let project = analyzer.project();
    let mut warnings = Vec::new();
    let roles: Vec<(FileId, Role)> = (0..).map(FileId).zip(roles.iter().copied()).collect();
    let scanned: Vec<FileId> =
        roles.iter().filter(|(_, role)| *role == Role::Scan).map(|(file, _)| *file).collect();
    for (file, role) in roles {
        match role {
            Role::Scan => warnings.extend(scan::problems(project, file)),
            Role::Index | Role::Aside => warnings.extend(unreadable(&project.program().file(file).source)),
            // A template that cannot be read is not known; nothing in it would be looked at.
            Role::Environment | Role::Template => {}
        }
    }
    let scan::Scanned { mut findings, warnings: unused } = scan::scan(analyzer, &scanned, rules, options);
    warnings.extend(unused);
    let mut fingerprints = fingerprint::fingerprints(project, &findings);
    let known = fingerprint::take_known(&mut findings, &mut fingerprints, &options.known);
    let changes = if apply {
        apply::fixpoint(project, &scanned, rules, options, &findings, &mut warnings)
    } else {
        Vec::new()
    };
    warnings.sort_by(|a, b| (&a.path, a.line, &a.message).cmp(&(&b.path, b.line, &b.message)));
    let imports = findings.iter().map(|finding| apply::import_edits(project, finding)).collect();
    let source = |file: FileId| (file, Arc::clone(&project.program().file(file).source).into());
    let sources = findings.iter().flat_map(Finding::files).map(source).collect();
    let packages = apply::own_packages(project);
    let parsed = ParsedSize::default();
    Report { sources, parsed, findings, fingerprints, imports, known, changes, warnings, packages }
}
