//! Parts of a plan: every fix in exactly one, each to be applied on its own or with the others, and texts in which nothing of
//! the project is more than text.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Project;
use common::shop::MODELS;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const VIEWS: &str = "\
from src.shop.models import Book


def names():
    for book in Book.objects.all():
        print(book.author.name)


def has_books():
    return Book.objects.count() > 0
";

const TOTALS: &str = "\
from src.shop.models import Book


def pages():
    return sum(book.pages for book in Book.objects.all())
";

const RISKY: &str = "\
from src.shop.models import Book


def owner(book: Book):
    return book.author.pk
";

const OWNERS: &str = "\
/src/ @org/shop-team
/src/web/ @web ann@example.com
/src/risky.py
/src/shop/totals.py ann@example.com @web
";

/// A directory and a file whose names are markup in Markdown and HTML, mentions and links.
const HOSTILE: &str = "src/a|b`*_<img src=x onerror=alert(1)>@everyone/``x` #1 www.example.com\n# y.py";

fn project() -> Project {
    let project = Project::new(&[
        ("manage.py", ""),
        ("settings.py", "INSTALLED_APPS = [\"src.shop\"]\n"),
        ("CODEOWNERS", OWNERS),
        ("src/__init__.py", ""),
        ("src/risky.py", RISKY),
        ("src/shop/__init__.py", ""),
        ("src/shop/models.py", MODELS),
        ("src/shop/totals.py", TOTALS),
        ("src/shop/views.py", VIEWS),
        ("src/web/__init__.py", ""),
        ("src/web/views.py", VIEWS),
    ]);
    if cfg!(unix) {
        project.write(HOSTILE, VIEWS);
    }
    project
}

/// Split into `parts`, and read index.json.
fn split(project: &Project, by: &str) -> Value {
    let run = project.run(&["plan", "--split-by", by, "-o", "parts"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    assert!(run.stderr.contains("into `parts`; `parts/index.json` lists them."), "{}", run.stderr);
    project.assert_unchanged();
    serde_json::from_slice(&project.read("parts/index.json")).unwrap()
}

fn names(index: &Value) -> Vec<&str> {
    index["parts"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap()).collect()
}

fn json_file(project: &Project, path: &str) -> Value {
    serde_json::from_slice(&project.read(path)).unwrap()
}

fn text(project: &Project, path: &str) -> String {
    String::from_utf8(project.read(path)).unwrap()
}

fn sources(project: &Project) -> BTreeMap<String, Vec<u8>> {
    let mut files = vec!["src/risky.py", "src/shop/totals.py", "src/shop/views.py", "src/web/views.py"];
    if cfg!(unix) {
        files.push(HOSTILE);
    }
    files.into_iter().map(|path| (path.to_owned(), project.read(path))).collect()
}

#[test]
fn every_fix_is_in_one_part() {
    for (by, expected) in [
        ("codemod", &["aggregate", "exists", "fk-id", "select-related", "values-list"][..]),
        ("owner", &["unowned", "web_ann-example-com", "org-shop-team"]),
        ("directory", &["src", "a-b-_-img-src-x-onerror-alert-1-everyone", "shop", "web"]),
    ] {
        let project = project();
        let run = project.run(&["plan"]);
        let whole: Value = serde_json::from_str(&run.stdout).unwrap();
        let index = split(&project, by);
        assert_eq!((&index["version"], &index["split_by"]), (&json!(1), &json!(by)));
        assert_eq!(index["tool"], whole["tool"]);
        let found: BTreeSet<&str> = names(&index).into_iter().collect();
        assert_eq!(found, expected.iter().copied().collect(), "{by}");
        let mut fixes: Vec<Value> = Vec::new();
        let mut files = BTreeSet::from(["index.json".to_owned()]);
        for part in index["parts"].as_array().unwrap() {
            let name = part["name"].as_str().unwrap();
            assert_eq!(part["plan"], format!("{name}.plan.json"));
            assert_eq!(part["description"], format!("{name}.md"));
            let plan = json_file(&project, &format!("parts/{name}.plan.json"));
            let own = plan["fixes"].as_array().unwrap();
            let selected = own.iter().filter(|fix| fix["selected"] == true).count();
            assert_eq!((&part["fixes"], &part["selected"]), (&json!(own.len()), &json!(selected)));
            let paths: BTreeSet<&str> = own
                .iter()
                .flat_map(|fix| fix["edits"].as_array().unwrap())
                .map(|edit| edit["path"].as_str().unwrap())
                .collect();
            assert_eq!(part["files"], json!(paths));
            assert_eq!(plan["files"].as_object().unwrap().len(), paths.len());
            for path in paths {
                assert_eq!(plan["files"][path], whole["files"][path]);
            }
            let imports = own.iter().any(|fix| fix.get("imports").is_some());
            assert_eq!(plan["packages"], if imports { whole["packages"].clone() } else { json!([]) });
            fixes.extend(own.iter().cloned());
            files.extend([format!("{name}.plan.json"), format!("{name}.md")]);
            match selected {
                0 => assert_eq!(part["commit"], Value::Null),
                _ => assert!(files.insert(part["commit"].as_str().unwrap().to_owned())),
            }
        }
        let key = |fix: &Value| (fix["path"].as_str().unwrap().to_owned(), fix["fingerprint"].to_string());
        let mut expected = whole["fixes"].as_array().unwrap().clone();
        fixes.sort_by_key(key);
        expected.sort_by_key(key);
        assert_eq!(fixes, expected, "{by}");
        let entries = fs::read_dir(project.path().join("parts")).unwrap();
        let there: BTreeSet<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(there, files);
    }
}

#[test]
fn a_part_applies_alone_and_with_the_others() {
    let fixed = project();
    assert_eq!(fixed.run(&["fix", "-q"]).code, 0);
    for by in ["codemod", "owner", "directory"] {
        let together = project();
        let index = split(&together, by);
        let mut edits = 0;
        for part in index["parts"].as_array().unwrap() {
            let alone = project();
            let name = part["plan"].as_str().unwrap();
            alone.write("part.json", together.read(&format!("parts/{name}")));
            let run = alone.run(&["apply", "part.json"]);
            assert_eq!(run.code, 0, "{}", run.stderr);
            let selected = part["selected"].as_u64().unwrap();
            assert!(run.stderr.starts_with(&format!("Applied {selected} fix")), "{}", run.stderr);
            let (before, after) = (sources(&project()), sources(&alone));
            let changed = before.iter().filter(|(path, text)| after[*path] != **text).count();
            let planned = part["files"].as_array().unwrap().len();
            assert!(if selected == 0 { changed == 0 } else { changed > 0 && changed <= planned }, "{part}");
            edits += changed;
        }
        assert!(edits >= 4);
        let plans: Vec<String> = names(&index).iter().map(|name| format!("parts/{name}.plan.json")).collect();
        let args: Vec<&str> =
            ["apply", "--atomic"].into_iter().chain(plans.iter().map(String::as_str)).collect();
        let run = together.run(&args);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(sources(&together), sources(&fixed), "{by}");
    }
}

#[test]
fn plans_that_are_applied_together_fit_each_other() {
    let project = project();
    split(&project, "codemod");
    // Twice the same is once.
    let twice =
        ["apply", "parts/exists.plan.json", "parts/exists.plan.json", "parts/select-related.plan.json"];
    let run = project.run(&twice);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let count = if cfg!(unix) { 6 } else { 4 };
    assert!(run.stderr.starts_with(&format!("Applied {count} fixes to")), "{}", run.stderr);

    let project = self::project();
    split(&project, "codemod");
    let mut other = json_file(&project, "parts/select-related.plan.json");
    other["files"]["src/web/views.py"]["sha256"] = json!("0".repeat(64));
    project.write("other.json", other.to_string());
    let run = project.run(&["apply", "parts/exists.plan.json", "other.json"]);
    assert_eq!(run.code, 2);
    let said: Vec<&str> = run.stderr.split([' ', '\n', '\u{2502}']).filter(|w| !w.is_empty()).collect();
    let said = said.join(" ");
    assert!(
        said.contains(
            "`src/web/views.py` is not the same file in the plans `parts/exists.plan.json` and `other.json`"
        ),
        "{said}"
    );
    assert!(said.contains("plan again"), "{said}");
    project.assert_unchanged();
    // Two rewrites of one place: the second is refused.
    let mut other = json_file(&project, "parts/exists.plan.json");
    for fix in other["fixes"].as_array_mut().unwrap() {
        fix["edits"][0]["text"] = json!("None");
    }
    project.write("other.json", other.to_string());
    let run = project.run(&["apply", "parts/exists.plan.json", "other.json", "--atomic"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("it overlaps a fix before it"), "{}", run.stderr);
    assert_eq!(project.run(&["apply", "-", "-"]).code, 2);
    assert_eq!(project.run(&["apply"]).code, 2);
    project.assert_unchanged();
}

#[test]
fn another_run_replaces_what_the_last_one_wrote_and_nothing_else() {
    let project = project();
    split(&project, "codemod");
    split(&project, "codemod");
    // Other parts: those of the last run go.
    split(&project, "owner");
    assert!(!project.path().join("parts/exists.plan.json").exists());
    assert!(project.path().join("parts/unowned.plan.json").exists());
    let again = |why: &str| {
        let run = project.run(&["plan", "--split-by", "codemod", "-o", "parts"]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.stderr);
        let said: Vec<&str> = run.stderr.split([' ', '\n', '\u{2502}']).filter(|w| !w.is_empty()).collect();
        assert!(said.join(" ").contains(why), "{}", run.stderr);
        assert!(project.path().join("parts/unowned.plan.json").exists());
        project.assert_unchanged();
    };
    // Somebody's work is not lost.
    let plan = text(&project, "parts/unowned.plan.json");
    project.write("parts/unowned.plan.json", plan.replace("\"selected\": false", "\"selected\": true"));
    again("`parts/unowned.plan.json` was changed since it was written");
    project.write("parts/unowned.plan.json", &plan);
    project.write("parts/exists.md", "mine");
    again("`parts/exists.md` is in the way");
    fs::remove_file(project.path().join("parts/exists.md")).unwrap();
    project.write("parts/notes.txt", "mine");
    fs::remove_file(project.path().join("parts/unowned.md")).unwrap();
    let other = self::project();
    other.write("parts/index.json", "{}");
    let run = other.run(&["plan", "--split-by", "codemod", "-o", "parts"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("holds other files"), "{}", run.stderr);
    // What was not ours stays.
    fs::remove_file(project.path().join("parts/unowned.plan.json")).unwrap();
    let run = project.run(&["plan", "--split-by", "codemod", "-o", "parts"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(text(&project, "parts/notes.txt"), "mine");
    assert!(!project.path().join("parts/unowned.commit.txt").exists());

    let run = project.run(&["plan", "--split-by", "codemod"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    let run = project.run(&["plan", "--split-by", "codemod", "-o", "manage.py"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
}

#[test]
fn an_index_of_a_stranger_reaches_nothing_outside() {
    let project = project();
    project.write("outside.txt", "mine");
    let hash = "3fd30542fe3f61b14bd4a4b2dc0b6fb30fa6f63ebce52dd1778aaa8c4dc02cff";
    let outside = project.path().join("outside.txt");
    let index = json!({"tool": "ormend 0.1.0",
        "written": {"../outside.txt": hash, outside.to_str().unwrap(): hash, "..": hash, "": hash}});
    fs::create_dir(project.path().join("parts")).unwrap();
    fs::write(project.path().join("parts/index.json"), index.to_string()).unwrap();
    split(&project, "codemod");
    assert_eq!(text(&project, "outside.txt"), "mine");
    // A link where a file is to be written.
    #[cfg(unix)]
    {
        let other = self::project();
        other.write("outside.txt", "mine");
        fs::create_dir(other.path().join("parts")).unwrap();
        fs::write(other.path().join("parts/index.json"), index.to_string()).unwrap();
        std::os::unix::fs::symlink("../outside.txt", other.path().join("parts/exists.md")).unwrap();
        assert_eq!(other.run(&["plan", "--split-by", "codemod", "-o", "parts"]).code, 2);
        other.assert_unchanged();
    }
}

#[test]
fn commit_messages_have_the_form_of_git() {
    let project = project();
    let long = format!("src/{}/views.py", "very_long_name_of_an_app".repeat(6));
    project.write(&long, VIEWS);
    for by in ["codemod", "owner", "directory"] {
        let index = split(&project, by);
        for part in index["parts"].as_array().unwrap() {
            let Some(file) = part["commit"].as_str() else { continue };
            let message = text(&project, &format!("parts/{file}"));
            let lines: Vec<&str> = message.lines().collect();
            assert!(lines.iter().all(|line| line.chars().count() <= 72), "{message}");
            assert!(!lines[0].ends_with('.') && lines[1].is_empty(), "{message}");
            assert!(message.ends_with("of\neach codemod.\n") || message.ends_with("codemod.\n"), "{message}");
            assert!(!message.contains(['@', '#', '|', '<', '*']), "{message}");
            let selected = part["selected"].as_u64().unwrap();
            let fixes = if selected == 1 { "fix" } else { "fixes" };
            assert!(lines[0].contains(&format!(": {selected} Django ORM {fixes} in ")), "{message}");
        }
    }
    split(&project, "codemod");
    assert_eq!(
        text(&project, "parts/exists.commit.txt").replace("4 ", "3 "),
        format!(
            "exists: 3 Django ORM fixes in 3 files\n\n\
             exists (3 fixes): Ask whether rows exist instead of counting or loading\nthem.\n\n\
             All of them are safe: what the code returns, raises and stores stays the\nsame.\n\n\
             Found and written by ormend {}; `ormend explain NAME` says more of\neach codemod.\n",
            env!("CARGO_PKG_VERSION")
        )
    );
    // What may change behaviour is named.
    let run = project.run(&["plan", "--unsafe-fixes", "--split-by", "codemod", "-o", "parts"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let message = text(&project, "parts/fk-id.commit.txt").replace('\n', " ");
    assert!(message.contains("1 of them may change behaviour (HandedIn)"), "{message}");
}

#[test]
fn a_description_says_what_a_reviewer_needs() {
    let project = project();
    split(&project, "codemod");
    let text = text(&project, "parts/fk-id.md");
    insta::with_settings!({ snapshot_path => "../snapshots" }, { insta::assert_snapshot!("unsafe_part", text) });
    split(&project, "owner");
    let text = self::text(&project, "parts/web_ann-example-com.md");
    insta::with_settings!({ snapshot_path => "../snapshots" }, { insta::assert_snapshot!("owned_part", text) });
}

/// As GitHub shows it, with HTML let through, so that nothing but our own markup makes any.
fn html(markdown: &str) -> String {
    let mut options = comrak::Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.render.r#unsafe = true;
    comrak::markdown_to_html(markdown, &options)
}

fn outside_of_code(html: &str) -> String {
    html.split("<code>").map(|piece| piece.split_once("</code>").map_or(piece, |(_, rest)| rest)).collect()
}

#[cfg(unix)]
#[test]
fn names_of_a_stranger_are_text() {
    let project = project();
    let index = split(&project, "directory");
    let name = names(&index).into_iter().find(|name| name.starts_with("a-b")).unwrap();
    let html = html(&text(&project, &format!("parts/{name}.md")));
    let shown = HOSTILE.replace('\n', "\\n").replace('<', "&lt;").replace('>', "&gt;");
    for end in ["</code></td>", ":5</code></td>"] {
        assert!(html.contains(&format!("<td><code>{shown}{end}")), "{html}");
    }
    let outside = outside_of_code(&html);
    assert!(
        !outside.contains('@') && !outside.contains("#1") && !outside.contains("www.example"),
        "{outside}"
    );
    assert!(!html.contains("<img"), "{html}");
    let tags: BTreeSet<&str> =
        html.split('<').skip(1).map(|tag| tag.split(['>', ' ']).next().unwrap()).collect();
    let ours = "a code em h2 li p strong table tbody td th thead tr ul";
    let strange: Vec<&&str> =
        tags.iter().filter(|tag| !ours.split(' ').any(|our| our == tag.trim_start_matches('/'))).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[cfg(unix)]
#[test]
fn a_comment_on_a_pull_request_holds_the_findings_as_text() {
    let project = project();
    let run = project.run(&["check", "--output-format", "markdown", "--show-withheld"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let page = html(&run.stdout);
    let shown = HOSTILE.replace('\n', "\\n").replace('<', "&lt;").replace('>', "&gt;");
    assert!(page.contains(&format!("<td><code>{shown}:5</code></td>")), "{page}");
    let outside = outside_of_code(&page);
    assert!(!outside.contains('@') && !page.contains("<img") && !page.contains("<a"), "{page}");
    for (codemod, counts) in [("exists", [3, 0, 0, 3]), ("fk-id", [0, 1, 0, 1])] {
        let cells = counts.map(|count| format!("<td align=\"right\">{count}</td>\n")).concat();
        assert!(page.contains(&format!("<td><code>{codemod}</code></td>\n{cells}")), "{page}");
        assert!(page.contains(&format!("<h3><code>{codemod}</code></h3>")), "{page}");
    }
    assert!(page.contains("<td>Ask with <code>exists()</code>"), "{page}");
    let clean = Project::new(&[("a.py", "x = 1\n")]);
    let run = clean.run(&["check", "--output-format", "markdown"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "## ormend\n\nNo findings.\n"));
}

#[test]
fn a_long_part_stays_within_what_a_host_takes() {
    let project = project();
    let function = "def has_books_NUMBER():\n    return Book.objects.count() > 0\n\n\n";
    for file in 0..20 {
        let body: String = (0..30).map(|n| function.replace("NUMBER", &n.to_string())).collect();
        project.write(
            &format!("src/shop/views_{file}.py"),
            format!("from src.shop.models import Book\n\n\n{body}"),
        );
    }
    let index = split(&project, "codemod");
    let part = index["parts"].as_array().unwrap().iter().find(|part| part["name"] == "exists").unwrap();
    assert!(part["fixes"].as_u64().unwrap() > 600);
    let text = text(&project, "parts/exists.md");
    assert!(text.chars().count() < 65_536);
    assert!(text.contains(" more: see `exists.plan.json`\n"), "{text}");
    let run = project.run(&["check", "--output-format", "markdown"]);
    assert!(run.stdout.chars().count() < 65_536);
    assert!(run.stdout.contains(" more |\n") && run.stdout.contains("### `values-list`"), "{}", run.stdout);
}

#[test]
fn nothing_found_is_no_part() {
    let project = Project::new(&[("a.py", "x = 1\n")]);
    let index = split(&project, "owner");
    assert_eq!(index["parts"], json!([]));
}
