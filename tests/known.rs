//! What is known or of no interest is left out: baselines, files that did not change, suppressions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Project;
use common::shop::{REPORTS, VIEWS, reports_fixed, shop};
use serde_json::Value;

/// `path:line codemod` of each finding.
fn findings(project: &Project, args: &[&str]) -> Vec<String> {
    let run = project.run(&[&["check", "--output-format", "jsonl", "--exit-zero"], args].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let lines = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|f| format!("{}:{} {}", f["path"], f["start"]["line"], f["codemod"]).replace('"', "")).collect()
}

#[test]
fn a_baseline_leaves_out_what_it_lists() {
    let project = shop();
    let run = project.run(&["check", "--baseline", "known.json"]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("cannot read the baseline `known.json`"), "{}", run.stderr);
    assert!(run.stderr.contains("--write-baseline makes it"), "{}", run.stderr);

    let write = ["check", "--baseline", "known.json", "--write-baseline"];
    let run = project.run(&write);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""));
    assert!(run.stderr.contains("Wrote 2 findings to `known.json`"), "{}", run.stderr);
    let stored: Value = serde_json::from_slice(&project.read("known.json")).unwrap();
    let paths: Vec<&Value> = stored["findings"].as_array().unwrap().iter().map(|f| &f["path"]).collect();
    assert_eq!(paths, ["shop/reports.py", "shop/views.py"]);

    let run = project.run(&["check", "--baseline", "known.json"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""));
    assert!(
        run.stderr.contains("No findings. Looked at 6 files; left out 2 known findings"),
        "{}",
        run.stderr
    );
    for command in ["diff", "fix"] {
        let run = project.run(&[command, "--baseline", "known.json"]);
        assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{command}");
        project.assert_unchanged();
    }
    let plan: Value =
        serde_json::from_str(&project.run(&["plan", "--baseline", "known.json"]).stdout).unwrap();
    assert_eq!(plan["fixes"].as_array().unwrap().len(), 0);
    // Writing it again with a baseline in place loses nothing.
    let before = project.read("known.json");
    project.run(&write);
    assert_eq!(project.read("known.json"), before);
}

#[test]
fn what_is_new_since_the_baseline_is_reported_and_fixed() {
    let project = shop();
    project.run(&["check", "--baseline", "known.json", "--write-baseline"]);
    // Lines move, bodies of loops and what stands around them change, a formatter runs; and a loop of the same text is new.
    let moved = "\
\"\"\"Moved.\"\"\"
from shop.models import Book


def early():
    for book in Book.objects.all():
        print(book.author.name)


def names():
    total = 0
    for book in (
        Book.objects.all()
    ):
        total += 1
        print(book.author.name)
    return total
";
    project
        .write("shop/views.py", moved.replace("(\n        Book.objects.all()\n    )", "Book.objects.all()"));
    assert_eq!(findings(&project, &["--baseline", "known.json"]), ["shop/views.py:6 select-related"]);
    assert_eq!(project.run(&["fix", "--baseline", "known.json"]).code, 0);
    let fixed = String::from_utf8(project.read("shop/views.py")).unwrap();
    assert_eq!(fixed.matches("select_related").count(), 1);
    assert!(fixed.find("select_related").unwrap() < fixed.find("def names").unwrap());
    assert_eq!(project.read("shop/reports.py"), REPORTS.as_bytes());
}

#[test]
fn a_fix_does_not_make_a_known_finding_new() {
    // The third of three equal places is known. Once the first two are fixed it is the first.
    let reports = "\
from shop.models import Book


def has_books():
    a = Book.objects.count() > 0
    b = Book.objects.count() > 0
    c = Book.objects.count() > 0
    return a or b or c
";
    let project = shop();
    project.write("shop/reports.py", reports);
    project.run(&["check", "--baseline", "known.json", "--write-baseline"]);
    let mut stored: Value = serde_json::from_slice(&project.read("known.json")).unwrap();
    let list = stored["findings"].as_array_mut().unwrap();
    list.retain(|f| f["path"] == "shop/reports.py");
    list.drain(..2);
    project.write("known.json", stored.to_string());
    project.run(&["fix", "--baseline", "known.json", "shop/reports.py"]);
    let fixed = String::from_utf8(project.read("shop/reports.py")).unwrap();
    assert!(
        fixed.contains(
            "a = Book.objects.exists()\n    b = Book.objects.exists()\n    c = Book.objects.count() > 0"
        ),
        "{fixed}"
    );
}

#[test]
fn a_baseline_says_what_is_gone() {
    let project = shop();
    project.run(&["check", "--baseline", "known.json", "--write-baseline"]);
    project.write("shop/reports.py", "");
    let run = project.run(&["check", "--baseline", "known.json"]);
    assert!(run.stderr.contains("1 finding of the baseline is gone; --write-baseline"), "{}", run.stderr);
    // Part of a project says nothing of the rest.
    for part in [&["shop/views.py"][..], &["--select", "exists"]] {
        let run = project.run(&[&["check", "--baseline", "known.json"], part].concat());
        assert!(!run.stderr.contains("gone"), "{}", run.stderr);
    }
    // Nor is what is not looked at gone.
    project.write("shop/reports.py", REPORTS);
    project.write("shop/tests/test_views.py", VIEWS);
    project.run(&["check", "--include-tests", "--baseline", "known.json", "--write-baseline"]);
    assert_eq!(project.read("known.json").windows(11).filter(|w| w == b"fingerprint").count(), 3);
    for (dir, baseline) in [("", "known.json"), ("shop/tests", "../../known.json")] {
        let run = project.run_in(dir, &["check", "--baseline", baseline]);
        assert_eq!(run.code, 0);
        assert!(!run.stderr.contains("gone"), "{dir}: {}", run.stderr);
    }
    std::fs::remove_file(project.path().join("shop/reports.py")).unwrap();
    let run = project.run(&["check", "--baseline", "known.json"]);
    assert!(run.stderr.contains("1 finding of the baseline is gone; --write-baseline"), "{}", run.stderr);
    // A baseline of what changed would lose what did not.
    let run = project.run(&["check", "--changed", "--baseline", "known.json", "--write-baseline"]);
    assert_eq!(run.code, 2);
    for (bad, why) in [("{", "is not a baseline"), ("{\"version\": 9, \"findings\": []}", "of version 9")] {
        project.write("known.json", bad);
        let run = project.run(&["check", "--baseline", "known.json"]);
        assert_eq!(run.code, 2);
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
    assert_eq!(project.run(&["check", "--write-baseline"]).code, 2);
}

#[test]
fn only_what_changed() {
    let project = shop();
    let run = project.run(&["check", "--changed"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("the project is in no git repository"), "{}", run.stderr);
    project.commit_all();
    assert_eq!(findings(&project, &["--changed"]), [""; 0]);
    assert!(project.run(&["check", "--changed"]).stderr.contains("left out 6 unchanged files"));
    // On a branch: what its commits, the index, the working tree and new files change.
    project.git(&["checkout", "--quiet", "-b", "feature"]);
    project.write("shop/views.py", format!("{VIEWS}# more\n"));
    assert_eq!(findings(&project, &["--changed"]), ["shop/views.py:5 select-related"]);
    project.git(&["commit", "--quiet", "-am", "views"]);
    assert_eq!(findings(&project, &["--changed"]), ["shop/views.py:5 select-related"]);
    assert_eq!(findings(&project, &["--changed=HEAD"]), [""; 0]);
    project.write("shop/new file.py", REPORTS);
    assert_eq!(
        findings(&project, &["--changed"]),
        ["shop/new file.py:5 exists", "shop/views.py:5 select-related"]
    );
    // Together with paths: what is in both.
    assert_eq!(
        findings(&project, &["--changed", "shop/reports.py", "shop/views.py"]),
        ["shop/views.py:5 select-related"]
    );
    // What the default branch got in the meantime is no change of this one.
    project.git(&["checkout", "--quiet", "main"]);
    project.write("shop/reports.py", format!("{REPORTS}# theirs\n"));
    project.git(&["commit", "--quiet", "-am", "reports"]);
    project.git(&["checkout", "--quiet", "feature"]);
    assert_eq!(
        findings(&project, &["--changed"]),
        ["shop/new file.py:5 exists", "shop/views.py:5 select-related"]
    );
    assert_eq!(findings(&project, &["--changed=main"]).len(), 3);
    // From below the top of the repository as well, and files that are gone are no matter.
    std::fs::remove_file(project.path().join("shop/views.py")).unwrap();
    let run = project.run_in("shop", &["check", "--changed", "--output-format", "concise"]);
    assert!(run.stdout.starts_with("new file.py:5") && run.stdout.lines().count() == 1, "{}", run.stdout);
    for bad in ["--changed=nothing", "--changed=--output=x", "--changed=HEAD:shop", "--changed=^main"] {
        let run = project.run(&["check", bad]);
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(run.stderr.contains("is no revision that git knows"), "{}", run.stderr);
    }
    let run = project.run(&["fix", "--changed", "--allow-dirty"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(project.read("shop/new file.py"), reports_fixed().as_bytes());
    assert_eq!(project.read("shop/reports.py"), REPORTS.as_bytes());
}

#[test]
fn settings_of_git_change_nothing_of_what_changed() {
    let project = shop();
    std::fs::create_dir(project.path().join("web")).unwrap();
    for name in ["manage.py", "settings.py", "shop"] {
        std::fs::rename(project.path().join(name), project.path().join("web").join(name)).unwrap();
    }
    project.commit_all();
    project.git(&["checkout", "--quiet", "-b", "feature"]);
    project.write("web/shop/views.py", format!("{VIEWS}# more\n"));
    project.git(&["commit", "--quiet", "-am", "views"]);
    for (key, value) in [
        ("diff.relative", "true"),
        ("diff.orderFile", "missing"),
        ("diff.noprefix", "true"),
        ("status.showUntrackedFiles", "no"),
        ("core.quotePath", "true"),
        ("color.ui", "always"),
    ] {
        project.git(&["config", key, value]);
    }
    let run = project.run_in("web", &["check", "--changed", "--output-format", "concise"]);
    assert!(run.stdout.starts_with("shop/views.py:5") && run.stdout.lines().count() == 1, "{}", run.stderr);
}

/// What is said of `shop/views.py`, and the codemods found there.
fn suppressed(text: &str, args: &[&str]) -> (Vec<String>, Vec<String>) {
    let project = shop();
    project.write("shop/views.py", text);
    let args = [&["check", "--exit-zero", "--output-format", "concise", "shop/views.py"], args].concat();
    let run = project.run(&args);
    let lines = |text: &str, start: &str| -> Vec<String> {
        text.lines().filter_map(|line| Some(line.strip_prefix(start)?.to_owned())).collect()
    };
    (lines(&run.stderr, "warning: shop/views.py:"), lines(&run.stdout, "shop/views.py:"))
}

#[test]
fn suppressions_speak_of_a_statement() {
    let body = "from shop.models import Book\n\n\ndef f():\n";
    let quiet = [
        "    return Book.objects.count() > 0  # ormend: ignore[exists]\n",
        "    return Book.objects.count() > 0  # ormend: ignore[exists] the view is for the admin\n",
        "    return Book.objects.count() > 0  # ormend: ignore\n",
        "    return Book.objects.count() > 0  # noqa: E501  # ormend: ignore[exists]\n",
        "    return Book.objects.count() > 0  # ormend: ignore[exists, count]\n",
        "    # ormend: ignore[exists]\n    return Book.objects.count() > 0\n",
        "    # ormend: ignore[exists]\n    # and why\n    return Book.objects.count() > 0\n",
        "    # ormend: ignore[exists]\n    return [\n        1,\n        Book.objects.count() > 0,\n    ]\n",
        "    return [\n        1,\n        Book.objects.count() > 0,\n    ]  # ormend: ignore[exists]\n",
        "    # ormend: ignore[exists]\n    if Book.objects.count() > 0:\n        pass\n",
        "    # ormend: ignore[select-related]\n    for book in Book.objects.all():\n        print(book.author.name)\n",
    ];
    for code in quiet {
        let (warnings, found) = suppressed(&format!("{body}{code}"), &[]);
        assert_eq!(found, [""; 0], "{code}");
        let unused = code.contains("count]");
        assert_eq!(warnings.len(), usize::from(unused), "{code}: {warnings:?}");
    }
    let loud = [
        "    # ormend: ignore[exists]\n\n    return Book.objects.count() > 0\n",
        "    # ormend: ignore[exists]\n    pass\n    return Book.objects.count() > 0\n",
        "    # ormend: ignore[exists]\n    if f:\n        return Book.objects.count() > 0\n",
        "    return Book.objects.count() > 0  # ormend: ignore[count]\n",
        "    return Book.objects.count() > 0 and \"# ormend: ignore\"\n",
    ];
    for code in loud {
        let (warnings, found) = suppressed(&format!("{body}{code}"), &[]);
        assert_eq!(found.len(), 1, "{code}");
        assert_eq!(warnings.len(), usize::from(!code.contains('"')), "{code}: {warnings:?}");
    }
}

#[test]
fn a_suppression_without_effect_is_reported_where_that_is_known() {
    let text = "\
x = 1  # ormend: ignore
y = 1  # ormend: ignore[exists, count, exsits, filter-before-annotate]
z = 1  # ormend: ingore[exists]
";
    let (warnings, _) = suppressed(text, &[]);
    assert_eq!(
        warnings,
        [
            "1: this suppression suppresses nothing",
            "2: there is no codemod `exsits` to suppress",
            "2: this suppression of `count` suppresses nothing",
            "2: this suppression of `exists` suppresses nothing",
            "3: this comment is for ormend, which only knows `ignore`, `ignore[NAME]` and `ignore-file`",
        ]
    );
    // Of what was not run nobody knows.
    let (warnings, _) = suppressed(text, &["--select", "exists"]);
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(!warnings.iter().any(|warning| warning.contains("`count`") || warning.starts_with("1:")));
    let (warnings, _) = suppressed("# ormend: ignore-file\nx = 1\n", &[]);
    assert_eq!(warnings, ["1: there is nothing in this file to ignore"]);
    let (warnings, found) = suppressed(&format!("# ormend: ignore-file\n{VIEWS}"), &[]);
    assert_eq!((warnings.len(), found.len()), (0, 0));
    // A baseline is no reason to call a suppression unused, and what it suppresses needs no baseline.
    let (warnings, _) = suppressed("# ormend: ignore-file\nx = 1\n", &["--ignore", "exists"]);
    assert_eq!(warnings, [""; 0]);
}
