//! The example project: it works on every supported Django, and after `ormend fix` it does the same with fewer queries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{files_below, python, relative, root, scratch, write};

/// A copy of the example in `folder`, without what a user's runs have left in it.
fn copy(folder: &Path) -> PathBuf {
    let example = root().join("examples/bookshop");
    for file in files_below(&example) {
        let path = relative(&example, &file);
        if !path.ends_with(".sqlite3") && !path.ends_with(".pyc") {
            write(folder, &path, &fs::read(&file).unwrap());
        }
    }
    folder.to_path_buf()
}

/// Run both copies and compare them.
fn compare(version: &str, before: &Path, after: &Path, flags: &[&str]) -> Output {
    let script = root().join("tests/django/bookshop.py");
    let mut run = Command::new(python::django(version));
    run.arg(script).args([before, after]).args(flags).output().expect("the environment's Python runs")
}

fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}\n{err}")
}

/// How many files `fix` changed in the copy.
fn fix(project: &Path) -> usize {
    let example = root().join("examples/bookshop");
    let mut run = Command::new(env!("CARGO_BIN_EXE_ormend"));
    let output = run.args(["fix", "."]).current_dir(project).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", said(&output));
    let changed =
        |file: &PathBuf| fs::read(file).unwrap() != fs::read(example.join(relative(project, file))).unwrap();
    files_below(project).iter().filter(|file| changed(file)).count()
}

fn same_with_fewer_queries(version: &str) {
    let folder = scratch(&format!("bookshop-{version}"));
    let before = copy(&folder.join("before"));
    let after = copy(&folder.join("after"));
    let changed = fix(&after);
    assert!(changed > 0 || ormend_codemods::ALL.is_empty(), "`fix` changes nothing in the example");
    let flags: &[&str] = if changed > 0 { &["--changed"] } else { &[] };
    let output = compare(version, &before, &after, flags);
    assert!(output.status.success(), "Django {version}\n{}", said(&output));
    println!("Django {version}: {}", said(&output).trim());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn django_4_2() {
    same_with_fewer_queries("4.2");
}

#[test]
fn django_5_2() {
    same_with_fewer_queries("5.2");
}

#[test]
fn django_6_0() {
    same_with_fewer_queries("6.0");
}

/// The comparison finds what a wrong rewrite would do.
#[test]
fn the_comparison_finds_mistakes() {
    let folder = scratch("bookshop-wrong");
    let before = copy(&folder.join("before"));
    let wrong = [
        ("catalog/reports.py", ".exclude(email=\"\")", ".all()", "author_emails: value"),
        (
            "catalog/imports.py",
            "enumerate(titles, start=1)",
            "enumerate(titles)",
            "import_table_of_contents: rows",
        ),
        (
            "sales/accounts.py",
            "source.balance -= amount",
            "source.balance -= amount + 1",
            "transfer_funds: rows",
        ),
        (
            "catalog/editing.py",
            "Book.objects.published().count() == 0",
            "Book.objects.count() * Book.objects.published().count() == 0",
            "queries instead of",
        ),
        ("catalog/models.py", "max_length=300", "max_length=301", "it does not run"),
    ];
    for (number, (path, old, new, part)) in wrong.iter().enumerate() {
        let after = copy(&folder.join(format!("after{number}")));
        let text = fs::read_to_string(after.join(path)).unwrap();
        assert!(text.contains(old), "{path} does not hold {old}");
        write(&after, path, text.replacen(old, new, 1).as_bytes());
        let output = compare("5.2", &before, &after, &[]);
        assert!(
            !output.status.success() && said(&output).contains(part),
            "{old} -> {new}: {}",
            said(&output)
        );
    }
    let output = compare("5.2", &before, &before, &["--changed"]);
    assert!(said(&output).contains("no fewer queries"), "{}", said(&output));
    fs::remove_dir_all(folder).unwrap();
}
