//! The page of `ormend review --html` in a real browser, and the plans that come out of it. tests/browser/review.py has the
//! checks; Chromium must be installed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod support;

use common::Project;
use common::shop::{LATIN_TOTALS as TOTALS, MODELS, RISKY, SETTINGS, TWO_VIEWS as VIEWS, latin_1};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use support::{python, root};

fn project() -> Project {
    let project = Project::new(&[
        ("manage.py", ""),
        ("settings.py", SETTINGS),
        ("CODEOWNERS", "/shop/ @shop\n/shop/views.py @web ann@example.com\n"),
        ("shop/__init__.py", ""),
        ("shop/models.py", MODELS),
        ("shop/views.py", VIEWS),
        ("shop/risky.py", RISKY),
    ]);
    project.write("shop/totals.py", latin_1(TOTALS));
    project
}

/// Write the page that `args` ask for.
fn page(project: &Project, args: &[&str]) -> String {
    let run = project.run(&[&["review", "--html", "review.html"], args].concat());
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    run.stderr
}

/// Run a check of tests/browser/review.py over `page`.
fn check(name: &str, page: &Path, downloads: &Path) -> String {
    let script = root().join("tests/browser/review.py");
    let mut run = Command::new(python::browser());
    let output = run.arg(script).arg(name).arg(page).arg(downloads).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}:\n{out}\n{err}");
    out.into_owned()
}

fn check_project(name: &str, project: &Project) -> String {
    check(name, &project.path().join("review.html"), project.path())
}

#[test]
fn a_page_is_written() {
    let project = project();
    let said = page(&project, &[]);
    assert!(said.ends_with("5 fixes to review in review.html.\n"), "{said}");
    project.assert_unchanged();
    // The same twice, and of a plan as of the paths.
    let first = project.read("review.html");
    project.run(&["plan", "-o", "plan.json"]);
    assert_eq!(page(&project, &["plan.json"]), "5 fixes to review in review.html.\n");
    assert_eq!(project.read("review.html"), first);
    let plan = project.read("plan.json");
    let run = project.run_with(&["review", "-", "--html", "other.html"], &plan);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(project.read("other.html"), first);
    // From elsewhere, the root is given.
    let elsewhere = Project::new(&[]);
    elsewhere.write("plan.json", plan);
    let at = project.path().to_str().unwrap();
    assert_eq!(
        page(&elsewhere, &["plan.json", "--root", at]),
        "5 fixes to review in review.html.\n",
        "the files are not found"
    );
    assert_eq!(
        page(&elsewhere, &["plan.json"]),
        "5 fixes to review in review.html, 5 of which cannot be applied.\n"
    );
}

#[test]
fn what_makes_no_page_is_told() {
    let project = project();
    project.write("plan.json", "{}");
    let cases = [
        (vec!["review", "nowhere", "--html", "x"], "cannot look at `nowhere`"),
        (vec!["review", "nowhere.json", "--html", "x"], "cannot read the plan `nowhere.json`"),
        (vec!["review", "plan.json", "--html", "x"], "`plan.json` is not a plan"),
        (vec!["review", "plan.json", "--html", "x", "--unsafe-fixes"], "a plan is shown as it is"),
        (vec!["review", ".", "--html", "x", "--root", "."], "--root is for a plan only"),
        (vec!["review", ".", "--html", "no/such/x"], "cannot write the page `no/such/x`"),
    ];
    for (args, message) in cases {
        let run = project.run(&args);
        assert_eq!(run.code, 2, "{args:?}");
        assert!(run.stderr.contains(message), "{args:?}: {}", run.stderr);
    }
    assert!(!project.path().join("x").exists());
}

#[test]
fn cards_show_what_the_plan_says() {
    let project = project();
    page(&project, &[]);
    check_project("shows", &project);
}

#[test]
fn filters_and_their_counts() {
    let project = project();
    page(&project, &[]);
    check_project("filters", &project);
}

#[test]
fn ticks_by_keyboard_are_applied() {
    let project = project();
    page(&project, &[]);
    check_project("keyboard", &project);
    project.assert_unchanged();
    let run = project.run(&["apply", "ormend-plan.json"]);
    assert_eq!(run.code, 0);
    assert!(run.stderr.starts_with("Applied 2 fixes to 2 files."), "{}", run.stderr);
    let views = String::from_utf8(project.read("shop/views.py")).unwrap();
    let expected = VIEWS.replace("Book.objects.all()", "Book.objects.select_related(\"author\")");
    assert_eq!(views, expected);
    assert_eq!(project.read("shop/risky.py"), RISKY.replace(".author.pk", ".author_id").as_bytes());
}

#[test]
fn the_exported_plan_is_the_plan() {
    let project = project();
    // What a browser or JSON might write otherwise: names like numbers, escapes, a character beyond the first plane.
    let run = project.run(&["plan", "-o", "plan.json"]);
    assert_eq!(run.code, 0);
    let mut plan: Value = serde_json::from_slice(&project.read("plan.json")).unwrap();
    let file = plan["files"]["shop/views.py"].clone();
    plan["files"]["10"] = file.clone();
    plan["files"]["9"] = file;
    plan["fixes"][0]["message"] = json!(
        "\\u003c \"selected\": true,\n      \"selected\": true,\u{2028}</script>&amp;\u{7f}\u{1}\u{1f600}"
    );
    project.write("plan.json", serde_json::to_string(&plan).unwrap());
    page(&project, &["plan.json"]);
    check_project("mouse", &project);
    let same: Value = serde_json::from_slice(&project.read("same.json")).unwrap();
    assert_eq!(same, plan);
    // As `ormend plan` writes it, to the byte.
    let text = String::from_utf8(project.read("same.json")).unwrap();
    assert!(text.starts_with("{\n  \"version\": 1,\n  \"tool\": \"ormend "), "{text}");
    let changed = String::from_utf8(project.read("ormend-plan.json")).unwrap();
    let differing: Vec<_> = text.lines().zip(changed.lines()).filter(|(a, b)| a != b).collect();
    assert_eq!(differing, [("      \"selected\": true,", "      \"selected\": false,")]);
    assert_eq!(text.len() + 1, changed.len());
}

#[test]
fn two_that_want_one_place_are_warned_about() {
    let project = project();
    page(&project, &[]);
    check_project("rivals", &project);
}

#[test]
fn a_file_that_changed_cannot_be_ticked() {
    let project = project();
    project.run(&["plan", "-o", "plan.json"]);
    project.write("shop/views.py", format!("{VIEWS}\n"));
    assert_eq!(
        page(&project, &["plan.json"]),
        "5 fixes to review in review.html, 2 of which cannot be applied.\n"
    );
    check_project("changed", &project);
    let run = project.run(&["apply", "ormend-plan.json"]);
    assert_eq!(run.code, 0);
    assert!(run.stderr.starts_with("Applied 1 fix to 1 file."), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn hostile_names_and_code_are_text() {
    let project = project();
    let name = "shop/<script>window.hacked = 1</script><img src=x onerror=window.hacked=2>.py";
    let code = "\
from shop.models import Book


def has_books():
    print('</script><script>window.hacked = 3</script>')
    print('\x1b[2J\u{202e}')
    return Book.objects.count() > 0
";
    project.write(name, code);
    project.write("CODEOWNERS", "* @<i>owner</i> @web\n");
    let run = project.run(&["plan", "-o", "plan.json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let mut plan: Value = serde_json::from_slice(&project.read("plan.json")).unwrap();
    assert!(plan["files"].get(name).is_some(), "the file is not in the plan");
    plan["fixes"][0]["message"] = json!("<b onclick=window.hacked=4>message</b>\u{202e}\n&lt;");
    project.write("plan.json", plan.to_string());
    page(&project, &["plan.json"]);
    let page = String::from_utf8(project.read("review.html")).unwrap();
    assert!(!page.contains("hacked = 1</script>") && !page.contains("<img"));
    check_project("hostile", &project);
}

#[test]
fn nothing_leaves_the_page() {
    let project = project();
    page(&project, &[]);
    check_project("alone", &project);
}

#[test]
fn narrow_windows_and_dark_ones() {
    let project = project();
    project.write(
        "shop/wide.py",
        format!("{VIEWS}\n\nLONG = '{}'\n", "x".repeat(5000)).replace("has_books", "had"),
    );
    page(&project, &[]);
    check_project("narrow", &project);
}

#[test]
fn five_thousand_fixes_are_quick() {
    let project = project();
    for module in 0..250 {
        let mut text = String::from("from shop.models import Book\n");
        for number in 0..20 {
            text.push_str(&format!(
                "\n\ndef has_books_{number}(pages):\n    found = Book.objects.filter(pages=pages)\n    return found.count() > 0\n"
            ));
        }
        project.write(&format!("shop/module_{module}.py"), text);
    }
    let args = ["--select", "exists"];
    for path in ["views", "risky", "totals"] {
        fs::remove_file(project.path().join(format!("shop/{path}.py"))).unwrap();
    }
    let said = page(&project, &args);
    assert!(said.ends_with("5000 fixes to review in review.html.\n"), "{said}");
    println!("{}", check_project("large", &project));
}

#[test]
fn a_merged_report_sorts_and_filters() {
    let finding = |path: &str, line: u32, outcome: &str, hazards: Value| {
        json!({
            "codemod": "exists", "path": path, "start": {"line": line, "column": 1, "offset": 0},
            "message": "Ask with `exists()`", "outcome": outcome, "hazards": hazards, "fingerprint": "00",
            "queries": {"before": "1 query, loads every row", "after": "1 query, 1 row"},
        })
        .to_string()
    };
    let unknown = json!([
        {"kind": "UnknownType", "message": "\u{202e}<img src=x onerror=window.hacked=1>", "path": "shop/models.py", "line": 41},
    ]);
    let opt_in = json!([{"kind": "HandedIn", "message": "m", "path": null, "line": null}]);
    let ambiguous = json!([{"kind": "ReadsItsOwnWrites", "message": "m", "path": null, "line": null}]);
    let shop = [
        finding("shop/views.py", 1, "safe", json!([])),
        finding("shop/views.py", 2, "safe", json!([])),
        finding("shop/views.py", 3, "safe", json!([])),
        finding("shop/a.py", 1, "unsafe", opt_in),
        finding("shop/b.py", 1, "withheld", unknown.clone()),
        finding("shop/b.py", 2, "withheld", ambiguous),
    ];
    let mut blog = vec![finding("reports.py", 7, "safe", json!([]))];
    blog.extend((0..200).map(|line| finding("many.py", line + 1, "withheld", unknown.clone())));
    let project = Project::new(&[
        ("shop.jsonl", &shop.join("\n")),
        ("<b>blog<b>.jsonl", &blog.join("\n")),
        ("empty.jsonl", ""),
    ]);
    let run = project.run(&[
        "report",
        "merge",
        "shop.jsonl",
        "<b>blog<b>.jsonl",
        "empty.jsonl",
        "--output-format",
        "html",
        "-o",
        "report.html",
    ]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    check("report", &project.path().join("report.html"), project.path());
}
