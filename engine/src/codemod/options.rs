//! What the user has set that rewrites depend on.

use super::{Finding, Outcome};
use serde::Serialize;

/// Settings of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Options {
    /// Also apply fixes with opt-in hazards.
    pub unsafe_fixes: bool,
    /// Codemods whose fixes with opt-in hazards are applied although `unsafe_fixes` is off.
    pub unsafe_codemods: Vec<String>,
    /// Codemods that are not run on a file: its path and the codemod's name.
    pub skip: Vec<(String, String)>,
    /// Every codemod there is, and whether it runs unless told otherwise: of one that did not run nobody knows whether a comment
    /// suppresses anything, and a name that is not here is misspelled. Empty if that is not of interest.
    pub codemods: Vec<(&'static str, bool)>,
    /// Fingerprints of findings that are known already: they are left out, and not fixed.
    pub known: Vec<String>,
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

impl Options {
    /// Whether the fix of `finding` is to be applied.
    pub fn wants(&self, finding: &Finding) -> bool {
        match finding.outcome() {
            Outcome::Safe => true,
            Outcome::Unsafe => {
                self.unsafe_fixes || self.unsafe_codemods.iter().any(|name| name == finding.codemod)
            }
            Outcome::Withheld => false,
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            unsafe_fixes: false,
            unsafe_codemods: Vec::new(),
            skip: Vec::new(),
            codemods: Vec::new(),
            known: Vec::new(),
            line_length: 88,
            batch_size: 500,
            target_django: (4, 2),
            assume_no_signals: Vec::new(),
            max_passes: 10,
        }
    }
}
