//! Python conditions and the lookups that take their place, on generated conditions and rows: `tests/django/conditions.py`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use support::pipeline::{apply, changed};
use support::{files_below, python, relative, root, scratch};

fn script(version: &str, arguments: &[&str], folder: &Path) -> Output {
    let mut run = Command::new(python::django(version));
    run.arg(root().join("tests/django/conditions.py")).args(&arguments[..1]).arg(folder);
    run.args(&arguments[1..]).output().expect("the environment's Python runs")
}

/// Every function that `filter-in-database` changes gives the same as before.
fn same_rows(version: &str, engine: &str, seeds: &[u32]) {
    let rule = ormend_codemods::ALL.iter().find(|rule| rule.meta().name == "filter-in-database").unwrap();
    for seed in seeds {
        let folder = scratch(&format!("conditions-{version}-{engine}-{seed}"));
        let seed = seed.to_string();
        let output =
            script(version, &["generate", "--seed", &seed, "--count", "200", "--engine", engine], &folder);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read = |path: &std::path::PathBuf| (relative(&folder, path), fs::read_to_string(path).unwrap());
        let files = files_below(&folder).iter().map(read).collect();
        let report = apply(*rule, &files, false);
        let fixed = folder.join("after.py");
        fs::write(&fixed, &changed(&files, &report)["shop/code.py"]).unwrap();
        let output = script(version, &["compare", fixed.to_str().unwrap(), "--seed", &seed], &folder);
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "Django {version} on {engine}, seed {seed}\n{said}\n{errors}");
        // Half of what is generated can be said in lookups.
        let count: usize = said.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
        assert!(count > 80, "{said}");
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn django_4_2() {
    same_rows("4.2", "sqlite3", &[0, 1]);
}

#[test]
fn django_5_2() {
    same_rows("5.2", "sqlite3", &[2, 3, 4]);
}

#[test]
fn django_6_0() {
    same_rows("6.0", "sqlite3", &[5, 6]);
}

#[test]
fn postgresql() {
    same_rows("5.2", "postgresql", &[7, 8, 9]);
}
