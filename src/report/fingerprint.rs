//! A name for a finding that survives moved lines: codemod, path, source text, and which of its like it is.

use ormend_engine::codemod::Finding;
use ormend_engine::text::Source;
use rustc_hash::FxHashMap;

/// One fingerprint a finding, in order: 16 hexadecimal digits.
///
/// Whitespace is normalised, so that re-indenting does not change them. Of findings that are otherwise equal,
/// the first in the file is number 0.
pub fn fingerprints(findings: &[Finding], sources: &[&Source]) -> Vec<String> {
    let mut seen: FxHashMap<u64, u64> = FxHashMap::default();
    findings
        .iter()
        .map(|finding| {
            let source = sources.get(finding.site.file.0 as usize);
            let mut hash = Fnv::default();
            hash.part(finding.codemod);
            hash.part(source.map_or("", |source| source.path()));
            for word in source.map_or("", |source| source.slice(finding.site.span)).split_whitespace() {
                hash.part(word);
            }
            let occurrence = seen.entry(hash.0).or_default();
            hash.part(&occurrence.to_string());
            *occurrence += 1;
            format!("{:016x}", hash.0)
        })
        .collect()
}

/// FNV-1a of 64 bits: unlike the hashers of libraries it is the same in every version.
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
    use super::super::samples;
    use super::*;
    use ormend_engine::text::{FileId, Site, Span};

    #[test]
    fn fingerprints_differ_and_survive_moved_lines() {
        let findings = samples::findings();
        let sources = samples::sources();
        let before = fingerprints(&findings, &sources.iter().collect::<Vec<_>>());
        assert_eq!(before.len(), 4);
        for (index, print) in before.iter().enumerate() {
            assert_eq!(print.len(), 16);
            assert!(!before[..index].contains(print));
        }
        // Twelve lines further down and indented by a tab.
        let moved = format!("{}{}", "#\n".repeat(12), samples::VIEWS.replace("        ", "\t"));
        let moved = [Source::new("shop/views.py", moved.into_bytes())];
        let start = moved[0].text().find("for book").unwrap() as u32;
        let end = moved[0].text().find(".name)").unwrap() as u32 + 6;
        let site = Site { file: FileId(0), span: Span::new(start, end) };
        let findings: Vec<Finding> =
            findings.into_iter().map(|finding| Finding { site, ..finding }).collect();
        assert_eq!(fingerprints(&findings, &moved.iter().collect::<Vec<_>>()), before);
    }
}
