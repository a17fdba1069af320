//! `ormend report merge`: runs of `check --output-format jsonl`, put together. The page is looked at in tests/review_html.rs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Project;
use serde_json::{Value, json};

/// A line of a run, with keys that a later version may add.
fn line(codemod: &str, path: &str, outcome: &str, kinds: &[&str]) -> String {
    let hazard = |kind: &&str| json!({"kind": kind, "message": "m", "path": null, "line": null, "added": 1});
    let hazards: Vec<Value> = kinds.iter().map(hazard).collect();
    let start = json!({"line": 3, "column": 5, "offset": 104});
    json!({
        "codemod": codemod, "path": path, "start": start, "end": start, "message": "Ask with `exists()`",
        "outcome": outcome, "hazards": hazards, "edits": [], "related": [], "added": {"later": true},
        "queries": {"before": "1 query, loads every row", "after": "1 query, 1 row"},
        "fingerprint": "3f1c0a77d2e9b845",
    })
    .to_string()
        + "\n"
}

fn runs() -> Project {
    let shop = [
        line("exists", "shop/views.py", "safe", &[]),
        line("exists", "shop/views.py", "withheld", &["UnknownType", "UnknownType", "HandedIn"]),
        line("fk-id", "shop/models.py", "unsafe", &["HandedIn"]),
        line("values", "shop/api.py", "withheld", &[]),
    ];
    let blog = [
        line("exists", "shop/views.py", "safe", &[]),
        // Of a version that knows more.
        line("exists", "blog/a.py", "withheld", &["UnknownType", "OfALaterVersion"]),
        "\n".to_owned(),
        line("exists", "blog/\u{1b}.py", "safe", &[]).trim_end().to_owned(),
    ];
    Project::new(&[("shop.jsonl", &shop.concat()), ("blog.jsonl", &blog.concat()), ("empty.jsonl", "")])
}

const TABLE: &str = "\
repository         safe  unsafe  withheld   files
blog                  2       0         1       3
empty                 0       0         0       0
shop                  1       1         2       3
total                 3       1         3       6

codemod            safe  unsafe  withheld   files
exists                3       0         2       4
fk-id                 0       1         0       1
values                0       0         1       1

withheld by      findings  repositories
UnknownType             2             2
OfALaterVersion         1             1
no rewrite              1             1
";

#[test]
fn repositories_codemods_and_what_withholds() {
    let project = runs();
    let run = project.run(&["report", "merge", "shop.jsonl", "blog.jsonl", "empty.jsonl"]);
    assert_eq!(run.stdout, TABLE);
    assert_eq!((run.code, run.stderr.as_str()), (0, "7 findings in 3 repositories.\n"));
    // The order in which they are named does not count.
    let args = ["report", "merge", "empty.jsonl", "./shop.jsonl", "blog.jsonl", "-o", "table.txt"];
    let run = project.run(&args);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""));
    assert_eq!(run.stderr, "7 findings in 3 repositories, in table.txt.\n");
    assert_eq!(project.read("table.txt"), TABLE.as_bytes());
    project.assert_unchanged();
}

#[test]
fn files_of_one_name_are_called_as_their_directories() {
    let one = line("exists", "a.py", "safe", &[]);
    let project = Project::new(&[("shop/findings.jsonl", &one), ("blog/findings.jsonl", &one)]);
    let run = project.run(&["report", "merge", "shop/findings.jsonl", "blog/findings.jsonl"]);
    let names: Vec<&str> =
        run.stdout.lines().skip(1).take(3).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["blog", "shop", "total"], "{}", run.stdout);
    // From inside of one of them, too.
    let again = project.run_in("shop", &["report", "merge", "findings.jsonl", "../blog/findings.jsonl"]);
    assert_eq!(again.stdout, run.stdout);
}

#[test]
fn only_the_most_frequent_hazards_are_in_the_table() {
    let kinds: Vec<String> = (0..15).map(|number| format!("Kind{number:02}")).collect();
    let mut text = String::new();
    for (number, kind) in kinds.iter().enumerate() {
        text.push_str(&line("exists", "a.py", "withheld", &[kind]).repeat(number + 1));
    }
    let project = Project::new(&[("shop.jsonl", &text)]);
    let run = project.run(&["report", "merge", "shop.jsonl"]);
    let reasons: Vec<&str> =
        run.stdout.lines().skip_while(|line| !line.starts_with("withheld by")).skip(1).collect();
    assert_eq!(reasons.len(), 10);
    assert_eq!(reasons[0], "Kind14             15             1");
    assert_eq!(reasons[9], "Kind05              6             1");
}

#[test]
fn what_check_writes_is_read() {
    let project = Project::new(&[
        ("manage.py", ""),
        ("settings.py", "INSTALLED_APPS = [\"shop\"]\n"),
        ("shop/__init__.py", ""),
        (
            "shop/models.py",
            "from django.db import models\n\n\nclass Book(models.Model):\n    pages = models.IntegerField()\n",
        ),
        (
            "shop/views.py",
            "from shop.models import Book\n\n\ndef has_books():\n    return Book.objects.count() > 0\n",
        ),
    ]);
    let run = project.run(&["check", "--output-format", "jsonl", "--show-withheld"]);
    project.write("shop.jsonl", run.stdout);
    let run = project.run(&["report", "merge", "shop.jsonl", "--output-format", "html"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, "1 finding in 1 repository.\n"));
    let (_, data) = run.stdout.split_once("id=\"data\">").unwrap();
    let data: Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
    assert_eq!(data["repositories"], json!(["shop"]));
    let found = &data["findings"][0];
    assert_eq!(
        (&found["codemod"], &found["path"], &found["line"]),
        (&json!("exists"), &json!("shop/views.py"), &json!(5))
    );
}

#[test]
fn what_is_no_run_is_told_with_its_place() {
    let good = line("exists", "a.py", "safe", &[]);
    let cases = [
        ("no JSON\n", "expected ident"),
        ("{\"codemod\": \"exists\"}\n", "missing field `path`"),
        ("[]\n", "invalid length 0"),
        (&good.replace("\"safe\"", "\"perfect\""), "unknown variant `perfect`"),
        (good.trim_end().strip_suffix('}').unwrap(), "EOF"),
    ];
    for (bad, why) in cases {
        let project = Project::new(&[("a\u{1b}.jsonl", &format!("{good}{good}{bad}"))]);
        let run = project.run(&["report", "merge", "a\u{1b}.jsonl", "-o", "out"]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{bad}");
        // Long messages are wrapped.
        let said = run.stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(said.contains("a\\x1b.jsonl:3: this line is no finding: "), "{bad}: {said}");
        assert!(said.contains(why), "{bad}: {said}");
        assert!(!project.path().join("out").exists());
    }
    let project = runs();
    for (args, why) in [
        (["shop.jsonl", "nowhere.jsonl"], "cannot read the run `nowhere.jsonl`"),
        (["shop.jsonl", "./shop.jsonl"], "a run is there twice"),
    ] {
        let run = project.run(&[&["report", "merge"][..], &args[..]].concat());
        assert_eq!(run.code, 2, "{args:?}");
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
    assert_eq!(project.run(&["report", "merge"]).code, 2);
}
