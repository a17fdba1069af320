//! The contract of a codemod. A codemod implements [`Codemod`]; the driver runs its stages in order, so that
//! none can be skipped: find, hazards, rewrite.

mod finding;
mod hazard;

pub use crate::text::{FileId, Site};
pub use finding::{FileEdit, Finding, Fix, ImportRequest, Outcome, Queries, Related};
pub use hazard::{Hazard, HazardKind, Weight};

/// A group of codemods, selectable by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// eager-loading
    EagerLoading,
    /// bulk-writes
    BulkWrites,
    /// expressions
    Expressions,
    /// projection
    Projection,
    /// transactions
    Transactions,
}

impl Group {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Group::EagerLoading => "eager-loading",
            Group::BulkWrites => "bulk-writes",
            Group::Expressions => "expressions",
            Group::Projection => "projection",
            Group::Transactions => "transactions",
        }
    }
}

/// What is known of a codemod without running it.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// `select-related`
    pub name: &'static str,
    /// Its group.
    pub group: Group,
    /// One sentence.
    pub summary: &'static str,
    /// Its README.
    pub docs: &'static str,
    /// Every hazard it may report. A test holds that its cases fire exactly these.
    pub hazards: &'static [HazardKind],
}

/// The object-safe face of a codemod, which the driver uses.
pub trait Rule: Sync {
    /// What is known of it.
    fn meta(&self) -> Meta;
}
