//! Findings that hold if a supposition does: they say what one would have to know, and are never written.

use crate::codemod::{Finding, Group, Hazard, HazardKind, Rule};
use crate::infer::{Supposed, Supposition};
use crate::python::File;

/// Suppositions that a finding names at most.
const MOST: usize = 2;

/// Whether suppositions are worth something to a codemod. What is loaded with rows is asked where the rows come from, and known
/// there.
pub(super) fn minds(rule: &dyn Rule) -> bool {
    rule.meta().group != Group::EagerLoading
}

/// `finding` of the facts that `supposed` gave, without its fix, and with what is supposed as the reason.
pub(super) fn withheld(mut finding: Finding, supposed: &Supposed, file: &File) -> Finding {
    let text = file.source.slice(finding.site.span);
    let is_named = |s: &&Supposition| text.contains(s.subject.as_str());
    let mut about: Vec<&Supposition> = supposed.about.iter().filter(is_named).collect();
    if about.is_empty() {
        about.extend(supposed.about.iter());
    }
    let reasons = about.iter().take(MOST);
    let mut hazards: Vec<Hazard> =
        reasons.map(|s| Hazard::at(HazardKind::UnknownType, s.subject.clone(), s.site)).collect();
    hazards.append(&mut finding.hazards);
    finding.hazards = hazards;
    finding.fix = None;
    finding
}
