//! Every documented case under real Django, before and after: `tests/django/cases.py` for each supported version, and
//! for the cases that ask for PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::process::Command;
use support::pipeline::{folders, pages_of};
use support::{python, root};

fn cases_hold(version: &str, database: &str) {
    let python = python::django(version);
    let mut pages: Vec<_> = folders().iter().flat_map(|folder| pages_of(folder)).collect();
    pages.extend(support::files_below(&root().join("tests/seed")));
    assert!(ormend_codemods::ALL.is_empty() || !pages.is_empty(), "there are codemods but no pages");
    if pages.is_empty() {
        return;
    }
    let script = root().join("tests/django/cases.py");
    let output = Command::new(python)
        .arg(script)
        .args(["--database", database])
        .args(&pages)
        .output()
        .expect("the environment's Python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(
        output.status.success(),
        "cases fail under Django {version} on {database}\n{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn django_4_2() {
    cases_hold("4.2", "sqlite");
}

#[test]
fn django_5_2() {
    cases_hold("5.2", "sqlite");
}

#[test]
fn django_6_0() {
    cases_hold("6.0", "sqlite");
}

/// What only PostgreSQL shows, and what two connections do at once.
#[test]
fn postgresql() {
    cases_hold("5.2", "postgresql");
}

/// What is taken to be read by serializers is what Django REST framework reads.
#[test]
fn rest_framework() {
    let script = root().join("tests/django/rest.py");
    let output = Command::new(python::django("5.2")).arg(script).output().expect("Python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The runner itself can fail: each page of `tests/django/wrong/` holds one mistake that it must find.
#[test]
fn the_runner_finds_mistakes() {
    let python = python::django("5.2");
    let pages = support::files_below(&root().join("tests/django/wrong"));
    assert!(!pages.is_empty());
    for page in pages.iter().filter(|page| page.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(page).unwrap();
        let wanted =
            text.lines().find_map(|line| line.strip_prefix("Expected: ")).expect("a line `Expected: `");
        let script = root().join("tests/django/cases.py");
        let output = Command::new(&python).arg(script).arg(page).output().expect("Python runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && said.contains(wanted), "{}: {said}", page.display());
    }
}
