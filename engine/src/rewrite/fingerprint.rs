//! A name for a finding that survives edits elsewhere: codemod, path, the names of the classes and functions around it, its
//! own source text, and which of its like it is.
//!
//! Of a compound statement the header alone counts, so that a line more in the body of a loop changes nothing. White space,
//! the kind of quotes and trailing commas are a formatter's and do not count.

use crate::codemod::Finding;
use crate::django::Project;
use crate::python::{Field, File, Kind, Node};
use crate::text::Span;
use rustc_hash::{FxHashMap, FxHashSet};

/// How many findings that are otherwise equal are told apart when known ones are looked for.
const MOST_LIKE: u64 = 64;

/// One fingerprint a finding, in order: 16 hexadecimal digits. Of findings that are otherwise equal, the first in the list is
/// number 0.
pub fn fingerprints(project: &Project, findings: &[Finding]) -> Vec<String> {
    let mut seen: FxHashMap<u64, u64> = FxHashMap::default();
    findings
        .iter()
        .map(|finding| {
            let hash = unnumbered(project, finding);
            let number = seen.entry(hash.0).or_default();
            let fingerprint = numbered(hash, *number);
            *number += 1;
            fingerprint
        })
        .collect()
}

/// Take out the findings whose fingerprints are among `known`; those that were taken.
pub(super) fn take_known(
    findings: &mut Vec<Finding>,
    fingerprints: &mut Vec<String>,
    known: &[String],
) -> Vec<String> {
    let known: FxHashSet<&str> = known.iter().map(String::as_str).collect();
    let mut taken = Vec::new();
    let all = std::mem::take(findings).into_iter().zip(std::mem::take(fingerprints));
    for (finding, fingerprint) in all {
        if known.contains(fingerprint.as_str()) {
            taken.push(fingerprint);
        } else {
            findings.push(finding);
            fingerprints.push(fingerprint);
        }
    }
    taken
}

/// Whether `finding` may be one of `known`. Once a fix is applied, the numbers of those that are equal to the fixed one are
/// others, so that all of them count.
pub(super) fn is_like_known(project: &Project, finding: &Finding, known: &FxHashSet<&str>) -> bool {
    if known.is_empty() {
        return false;
    }
    let hash = unnumbered(project, finding);
    (0..MOST_LIKE).any(|number| known.contains(numbered(hash, number).as_str()))
}

fn numbered(mut hash: Fnv, number: u64) -> String {
    hash.part(&number.to_string());
    format!("{:016x}", hash.0)
}

fn unnumbered(project: &Project, finding: &Finding) -> Fnv {
    let file = project.program().file(finding.site.file);
    let mut hash = Fnv::default();
    hash.part(finding.codemod);
    hash.part(file.source.path());
    let node = node_around(file, finding.site.span);
    for name in node.map(names_around).unwrap_or_default() {
        hash.part(name);
    }
    let whole = node.filter(|node| node.span() == finding.site.span);
    let span = whole.map_or(finding.site.span, Node::header);
    hash.part(&unformatted(file.source.slice(span)));
    hash
}

/// The innermost node that holds `span`, or the outermost of several that are `span`. A block is none: one of a single
/// statement has the span of this.
fn node_around(file: &File, span: Span) -> Option<Node<'_>> {
    if file.ast.is_empty() {
        return None;
    }
    let holds = |node: &Node<'_>| node.span().start <= span.start && span.end <= node.span().end;
    let down = std::iter::successors(Some(file.root()), |node| node.all_children().find(holds));
    let mut found: Option<Node<'_>> = None;
    for node in down.filter(|node| !matches!(node.kind(), Kind::Block | Kind::Module)) {
        if found.is_some_and(|found| found.span() == span) {
            break;
        }
        found = Some(node);
    }
    found
}

/// The names of the classes and functions around `node`, innermost first.
fn names_around(node: Node<'_>) -> Vec<&str> {
    let around = std::iter::once(node)
        .chain(node.ancestors())
        .filter(|n| matches!(n.kind(), Kind::FunctionDef | Kind::ClassDef));
    around.filter_map(|n| n.child(Field::Name)).map(Node::text).collect()
}

/// `text` without what a formatter may change.
fn unformatted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        if matches!(c, ')' | ']' | '}') && out.ends_with(',') {
            out.pop();
        }
        out.push(if c == '\'' { '"' } else { c });
    }
    out
}

/// FNV-1a of 64 bits: unlike the hashers of libraries it is the same in every version.
#[derive(Clone, Copy)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn part(&mut self, text: &str) {
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codemod::Queries;
    use crate::text::{FileId, Site, Source};

    /// The fingerprints of the places of `sites` in `text`.
    fn of(text: &str, sites: &[&str]) -> Vec<String> {
        let project = Project::build(vec![Source::new("shop/views.py", text.as_bytes().to_vec())]);
        let mut from = 0;
        let finding = |site: &&str| {
            let start = text[from..].find(*site).unwrap() + from;
            from = start + 1;
            Finding {
                codemod: "exists",
                site: Site { file: FileId(0), span: Span::new(start as u32, (start + site.len()) as u32) },
                message: String::new(),
                related: Vec::new(),
                queries: Queries { before: String::new(), after: String::new() },
                hazards: Vec::new(),
                unlisted: 0,
                fix: None,
            }
        };
        fingerprints(&project, &sites.iter().map(finding).collect::<Vec<_>>())
    }

    #[test]
    fn they_differ() {
        let text = "def f():\n    len(a)\n    len(a)\n    len(b)\n\n\ndef g():\n    len(a)\n";
        let prints = of(text, &["len(a)", "len(a)", "len(b)", "len(a)"]);
        assert!(prints.iter().all(|print| print.len() == 16));
        assert_eq!(prints.iter().collect::<FxHashSet<_>>().len(), 4);
    }

    #[test]
    fn they_survive_edits_elsewhere() {
        let before = "def f():\n    for x in g('a', k=[1, 2]):\n        x.save()\n";
        let loop_before = "for x in g('a', k=[1, 2]):\n        x.save()";
        let after = "import os\n\n\ndef new():\n    for x in g('a', k=[1, 2]):\n        x.save()\n\n\n\
                     def f():\n  if os:\n    for x in g(\n        \"a\",\n        k=[1, 2],\n    ):\n      log(x)\n      x.save()\n";
        let loop_after =
            "for x in g(\n        \"a\",\n        k=[1, 2],\n    ):\n      log(x)\n      x.save()";
        let (old, new) = (of(before, &[loop_before]), of(after, &[loop_before, loop_after]));
        assert_eq!(old[0], new[1]);
        assert_ne!(old[0], new[0]);
        let other = before.replace("2]", "3]");
        assert_ne!(of(&other, &[&loop_before.replace("2]", "3]")]), old);
    }
}
