//! Changelists of the admin.

use super::Entry;
use crate::infer::analyzer::Analyzer;

/// The entries of ModelAdmins.
pub(super) fn collect(_analyzer: &Analyzer<'_>, _out: &mut Vec<Entry>) {}
