//! The patterns of the guide from which ormend grew, from the bad form to the good one, with every codemod at work at
//! once: what one writes must not keep another from its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::pipeline::{apply_all, changed, project, reasons};
use support::{difference, files_below, markdown, report, root};

#[test]
fn the_patterns_of_the_guide_turn_from_bad_to_good() {
    let mut failures = Vec::new();
    let mut seen = 0;
    let rules: Vec<_> = ormend_codemods::ALL.iter().copied().filter(|rule| rule.is_default()).collect();
    for page in files_below(&root().join("tests/seed")) {
        let page = markdown::parse(&page);
        failures.extend(page.problems.iter().cloned());
        for case in &page.cases {
            seen += 1;
            let files = project(case);
            let run = apply_all(&rules, &files, false);
            let actual = changed(&files, &run);
            let mut expected = files.clone();
            expected.extend(case.after.clone().unwrap_or_default());
            for (path, text) in &expected {
                if actual.get(path) != Some(text) {
                    let now = actual.get(path).cloned().unwrap_or_default();
                    failures.push(format!(
                        "{}: {}\n{path}\n{}",
                        case.place,
                        case.title,
                        difference(text, &now)
                    ));
                }
            }
            let again = apply_all(&rules, &actual, false);
            if changed(&actual, &again) != actual {
                failures.push(format!("{}: {}: a second run changes something", case.place, case.title));
            }
            let said: Vec<String> = run.findings.iter().flat_map(|f| reasons(&run, f)).collect();
            for reason in case.reason.iter().flatten().filter(|reason| !said.contains(reason)) {
                failures.push(format!("{}: {}: `{reason}` is not said: {said:?}", case.place, case.title));
            }
        }
    }
    assert!(seen > 6, "only {seen} cases were found");
    report("the guide", &failures);
}
