//! From the bytes of a module to its fixes. The module is `shop/views.py` of a project whose other files are the sample's.
//!
//! Whatever the bytes are: no panic, no message of an internal error, bytes outside of edits stay, what parses still parses,
//! and a second run changes nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ormend_codemods::ALL;
use ormend_engine::python::parse;
use ormend_engine::rewrite::{self, Change, InputFile, Options, Report, Role};
use ormend_engine::text::Source;

const MODELS: &str = include_str!("../../codemods/sample/shop/models.py");
const MODULE: &str = "shop/views.py";

fuzz_target!(|data: &[u8]| {
    let report = run(data);
    assert_quiet(&report);
    let source = Source::new(MODULE, data.to_vec());
    if source.problem().is_some() {
        assert!(
            report.changes.is_empty() && report.findings.is_empty(),
            "a file that cannot be read has findings"
        );
        return;
    }
    assert_eq!(source.encode(source.text()).as_deref(), Some(data), "what is decoded is encoded otherwise");
    for fix in report.findings.iter().filter_map(|finding| finding.fix.as_ref()) {
        let own = fix.edits.iter().filter(|edit| report.sources[&edit.file].path() == MODULE);
        let mut edits: Vec<_> = own.map(|edit| edit.edit.clone()).collect();
        edits.sort_by_key(|edit| edit.span);
        let Ok(after) = rewrite::apply_planned(source.clone(), &edits, &[], &[]) else { continue };
        let mut expected = Vec::new();
        let mut from = 0;
        for edit in &edits {
            let at = |offset| source.original_offset(offset) as usize;
            expected.extend_from_slice(&data[from..at(edit.span.start)]);
            expected.extend(source.encode(&edit.text).unwrap_or_default());
            from = at(edit.span.end);
        }
        expected.extend_from_slice(&data[from..]);
        // A mark of byte order belongs to the file, not to a piece of it.
        if !source.has_bom() {
            assert_eq!(after, expected, "bytes outside of edits changed");
        }
    }
    for change in report.changes.iter().filter(|change| change.path == MODULE) {
        assert_eq!(change.before, data);
        let after = Source::new(MODULE, change.after.clone());
        assert!(after.problem().is_none(), "the result cannot be read");
        let parses = |source: &Source| !parse(source.text()).root(source.text()).has_error();
        assert!(!parses(&source) || parses(&after), "the result does not parse");
        let again = run(&change.after);
        assert_quiet(&again);
        let left: Vec<&Change> = again
            .changes
            .iter()
            .filter(|again| !report.changes.iter().any(|c| c.path != MODULE && c.path == again.path))
            .collect();
        if report.changes.len() == 1 {
            assert!(
                left.is_empty(),
                "a second run changes something:\n{}",
                String::from_utf8_lossy(&left[0].after)
            );
        }
    }
});

fn run(data: &[u8]) -> Report {
    let file =
        |path: &str, text: &[u8]| InputFile { path: path.to_owned(), bytes: text.to_vec(), role: Role::Scan };
    let files = vec![
        file("config/settings.py", b"INSTALLED_APPS = ['shop']\n"),
        file("shop/__init__.py", b""),
        file("shop/models.py", MODELS.as_bytes()),
        file(MODULE, data),
    ];
    let rules: Vec<_> = ALL.to_vec();
    let options = Options { unsafe_fixes: true, ..Options::default() };
    rewrite::run(files, &rules, &options, true)
}

fn assert_quiet(report: &Report) {
    for warning in &report.warnings {
        assert!(!warning.message.contains("internal error"), "{}", warning.message);
    }
}
