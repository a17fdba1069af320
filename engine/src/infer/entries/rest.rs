//! List actions of Django REST framework.

use super::Entry;
use crate::infer::analyzer::Analyzer;

/// The entries of views and viewsets.
pub(super) fn collect(_analyzer: &Analyzer<'_>, _out: &mut Vec<Entry>) {}
