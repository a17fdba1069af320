//! Every documented case, through the public pipeline: exact output, exact reasons, nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ormend_engine::codemod::{HazardKind, Outcome, Rule};
use std::collections::BTreeSet;
use support::markdown::{Case, Files};
use support::pipeline::{CODEMODS, Codemod, apply, changed, project, reasons};
use support::{difference, python, report, scratch, write};

/// Hazards that speak of what the tool can know or of another database, so that no rewrite under SQLite proves them.
const UNPROVABLE: &[HazardKind] = &[
    HazardKind::UnknownType,
    HazardKind::NoPlaceToEdit,
    HazardKind::CommentLost,
    // Either way the error comes.
    HazardKind::RefusedJoin,
    HazardKind::SharesLine,
    HazardKind::SyntaxError,
    HazardKind::LockHeld,
    HazardKind::LockOrder,
    HazardKind::LoadedElsewhere,
    // Templates are not edited; what a load costs the database shows in no result.
    HazardKind::TemplateReader,
    HazardKind::RarelyCounted,
    HazardKind::MultipliedRows,
    HazardKind::RowsOnlyCounted,
    HazardKind::WideLoad,
    // What the test sees is another row only where two meet: its case has a race.
    HazardKind::DecidedBefore,
];

/// The codemods in the list, each with its entry.
fn listed() -> impl Iterator<Item = (&'static Codemod, &'static dyn Rule)> {
    CODEMODS.iter().filter_map(|codemod| Some((codemod, codemod.rule?)))
}

#[test]
fn every_case_holds() {
    let mut failures = Vec::new();
    // `ORMEND_CASE=exists/cases cargo test --test cases every_case`: only places and titles that hold this text.
    let only = std::env::var("ORMEND_CASE").unwrap_or_default();
    for (codemod, rule) in listed() {
        for case in codemod.cases() {
            let name = format!("{}: {}", case.place, case.title);
            let problems = if name.contains(&only) { check(rule, case) } else { Vec::new() };
            if !problems.is_empty() {
                failures.push(format!("{name}\n{}", problems.join("\n")));
            }
        }
    }
    report("cases", &failures);
}

/// What does not hold of a case.
fn check(rule: &'static dyn Rule, case: &Case) -> Vec<String> {
    let mut problems = Vec::new();
    let files = project(case);
    let safe = apply(rule, &files, false);
    let all = apply(rule, &files, true);

    let mut after = files.clone();
    after.extend(case.after.clone().unwrap_or_default());
    let mut after_unsafe = after.clone();
    after_unsafe.extend(case.unsafe_fixes.clone().unwrap_or_default());
    for (what, run, expected) in [("fix", &safe, &after), ("fix --unsafe-fixes", &all, &after_unsafe)] {
        let actual = changed(&files, run);
        problems.extend(compare(what, expected, &actual));
        let again = apply(rule, &actual, what != "fix");
        let text = changed(&actual, &again);
        problems.extend(compare(&format!("a second `{what}` changes something"), &actual, &text));
        problems.extend(run.warnings.iter().map(|w| format!("warning: {}: {}", w.path, w.message)));
    }

    let findings: Vec<_> = safe.findings.iter().filter(|f| f.codemod == rule.meta().name).collect();
    let mut said: Vec<String> = findings.iter().flat_map(|finding| reasons(&safe, finding)).collect();
    let mut wanted = case.reason.clone().unwrap_or_default();
    said.sort();
    wanted.sort();
    if said != wanted {
        let text = difference(&lines(&wanted), &lines(&said));
        problems.push(format!("the reasons differ\n{text}"));
    }
    let left_alone = case.after.is_none() && case.unsafe_fixes.is_none() && case.reason.is_none();
    for finding in &findings {
        let source = &safe.sources[&finding.site.file];
        let line = source.line_column(finding.site.span.start).line;
        let place = format!("{}:{line}: {}", source.path(), finding.message);
        if left_alone {
            problems.push(format!("a finding where the code should be left alone: {place}"));
        }
        if finding.outcome() == Outcome::Withheld && finding.hazards.is_empty() {
            problems.push(format!("withheld without a reason: {place}"));
        }
    }
    if !left_alone && findings.is_empty() {
        problems.push("there is no finding".to_owned());
    }
    problems
}

fn compare(what: &str, expected: &Files, actual: &Files) -> Vec<String> {
    let paths: BTreeSet<&String> = expected.keys().chain(actual.keys()).collect();
    let text = |files: &Files, path: &String| files.get(path).cloned().unwrap_or_default();
    paths
        .into_iter()
        .filter(|path| expected.get(*path) != actual.get(*path))
        .map(|path| format!("{what}: {path}\n{}", difference(&text(expected, path), &text(actual, path))))
        .collect()
}

fn lines(parts: &[String]) -> String {
    parts.iter().map(|part| format!("{part}\n")).collect()
}

#[test]
fn results_parse_and_keep_every_comment() {
    let folder = scratch("cases");
    let (before, after) = (folder.join("before"), folder.join("after"));
    for path in [&before, &after] {
        std::fs::create_dir_all(path).unwrap();
    }
    let mut places = Vec::new();
    for (codemod, rule) in listed() {
        for case in codemod.cases() {
            let files = project(case);
            for unsafe_fixes in [false, true] {
                for change in &apply(rule, &files, unsafe_fixes).changes {
                    let name = format!("{}/{}", places.len(), change.path);
                    write(&before, &name, &change.before);
                    write(&after, &name, &change.after);
                }
                places.push(format!("{}: {}", case.place, case.title));
            }
        }
    }
    let problems = python::compare_trees(&before, &after).into_iter().map(|line| {
        let place = line.split('/').next().and_then(|number| places.get(number.parse::<usize>().ok()?));
        format!("{}\n{line}", place.map_or("?", String::as_str))
    });
    report("rewritten files", &problems.collect::<Vec<_>>());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_hazards_that_fire_are_those_that_are_declared() {
    let mut failures = Vec::new();
    for (codemod, rule) in listed() {
        let mut fired = BTreeSet::new();
        for case in codemod.cases() {
            let run = apply(rule, &project(case), false);
            let own = run.findings.iter().filter(|finding| finding.codemod == rule.meta().name);
            fired.extend(own.flat_map(|finding| finding.hazards.iter().map(|hazard| hazard.kind)));
        }
        let declared: BTreeSet<HazardKind> = rule.meta().hazards.iter().copied().collect();
        let name = codemod.name();
        failures.extend(
            fired.difference(&declared).map(|kind| format!("{name} does not declare {}", kind.name())),
        );
        failures.extend(
            declared.difference(&fired).map(|kind| format!("{name} has no case for {}", kind.name())),
        );
    }
    report("hazards", &failures);
}

/// The order of a README, one section for each declared hazard, and in it a naive rewrite that proves it.
#[test]
fn every_readme_has_its_sections() {
    let mut failures = Vec::new();
    for codemod in CODEMODS.iter() {
        let page = &codemod.pages[0];
        let mut fail = |text: String| failures.push(format!("codemods/{}/README.md: {text}", codemod.folder));
        if page.title != codemod.name() {
            fail(format!("the title is `{}`", page.title));
        }
        let sections: Vec<&str> = page.sections.iter().map(String::as_str).collect();
        let ["Why", "Example", "Safe when", hazards @ .., "Left alone"] = sections.as_slice() else {
            fail(format!("sections are Why, Example, Safe when, the hazards, Left alone; not {sections:?}"));
            continue;
        };
        for section in ["Example", "Left alone"] {
            if !page.cases.iter().any(|case| case.section == section) {
                fail(format!("`{section}` has no case"));
            }
        }
        for hazard in hazards {
            if !HazardKind::ALL.iter().any(|kind| kind.name() == *hazard) {
                fail(format!("`{hazard}` is no hazard"));
                continue;
            }
            let cases: Vec<&Case> = page.cases.iter().filter(|case| case.section == *hazard).collect();
            let speaks = |case: &&Case| {
                case.reason.iter().flatten().any(|line| line.starts_with(&format!("{hazard}:")))
            };
            if !cases.iter().any(speaks) {
                fail(format!("no case of `{hazard}` has it as its reason"));
            }
            let unprovable = UNPROVABLE.iter().any(|kind| kind.name() == *hazard);
            if !unprovable && !codemod.cases().any(|case| case.naive && speaks(&case)) {
                fail(format!("no `naive` rewrite proves `{hazard}`"));
            }
        }
        let Some(rule) = codemod.rule else { continue };
        for kind in rule.meta().hazards {
            if !hazards.contains(&kind.name()) {
                fail(format!("there is no section `{}`", kind.name()));
            }
        }
        if std::fs::read_to_string(&page.path).ok().as_deref() != Some(rule.meta().docs) {
            fail("it is not what `explain` reads".to_owned());
        }
    }
    report("READMEs", &failures);
}

#[test]
fn the_form_of_every_page_is_right() {
    let pages = CODEMODS.iter().flat_map(|codemod| &codemod.pages);
    report("pages", &pages.flat_map(|page| page.problems.clone()).collect::<Vec<_>>());
}

#[test]
fn every_folder_is_listed_and_every_codemod_has_a_folder() {
    let missing = CODEMODS.iter().filter(|codemod| codemod.rule.is_none());
    let mut failures: Vec<String> =
        missing.map(|codemod| format!("codemods/{}: not in codemods/lib.rs", codemod.folder)).collect();
    for rule in ormend_codemods::ALL {
        let name = rule.meta().name;
        if !CODEMODS.iter().any(|codemod| codemod.name() == name) {
            failures.push(format!("{name}: no folder with a README"));
        }
    }
    report("the list", &failures);
}

#[test]
fn the_parser_knows_the_form() {
    let text = "# x\n\n## Example\n\n```python before\na = 1\n```\n```python after\na = 2\n```\n```python check\n```\n\
                ## CustomSave\n### one\n````python before shop/views.py\n```\n## no\n````\n```text reason\nA: b (c:1)\n```\n\
                ### two\n```python shop/models.py\n```\n```python wrong\n```\n```python before\n```\n```python before\n```\n\
                ```python check mysql\n```\n```python race\n```\n## last\n```python after\n```\n```python\nplain";
    let page = support::markdown::parse_text(std::path::Path::new("p.md"), text);
    assert_eq!(page.title, "x");
    assert_eq!(page.sections, ["Example", "CustomSave", "last"]);
    let titles: Vec<&str> = page.cases.iter().map(|case| case.title.as_str()).collect();
    assert_eq!(titles, ["Example", "CustomSave / one", "CustomSave / two", "last"]);
    assert_eq!(page.cases[0].after.as_ref().unwrap()["shop/code.py"], "a = 2\n");
    assert_eq!(page.cases[1].before["shop/views.py"], "```\n## no\n");
    assert_eq!(page.cases[1].reason, Some(vec!["A: b (c:1)".to_owned()]));
    assert!(page.cases[2].files.contains_key("shop/models.py"));
    let problems = page.problems.join("\n");
    for part in [
        "`wrong` is no label",
        "a second `before`",
        "no `before`",
        "never closed",
        "must have a `check`",
        "`mysql` is no database",
        "a `race` needs an `after`",
    ] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
}
