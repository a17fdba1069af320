//! What is written for other programs, held against the schemas of those who read it, and against the files: an edit that
//! a reader of SARIF makes is the one that we mean.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Project;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const MODELS: &str = "\
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=100)


class Book(models.Model):
    title = models.CharField(max_length=100)
    pages = models.IntegerField()
    author = models.ForeignKey(Author, on_delete=models.CASCADE)

    def save(self, *args, **kwargs):
        self.title = self.title.strip()
        super().save(*args, **kwargs)
";

const VIEWS: &str = "\
from shop.models import Book


def names():
    \"\"\"\u{c0} la carte \u{1f4d6}.\"\"\"
    for book in Book.objects.all():
        print(book.author.name, \"\u{1f4d6}\")


def pages():
    return \"\u{1f4d6}\u{e9}\", sum(book.pages for book in Book.objects.all())


def fill(names):
    for name in names:
        Book.objects.create(title=name, pages=1, author_id=1)


def owner(book: Book):
    return book.author.pk


def count(books):
    for book in Book.objects.all():
        book.pages = Book.objects.count()
        book.save()
";

/// A name that a URI cannot have as it is.
const ODD: &str = "shop/a b%20#?\u{e9}[1].py";

fn project() -> Project {
    let project = Project::new(&[
        ("manage.py", ""),
        ("settings.py", "INSTALLED_APPS = [\"shop\"]\n"),
        ("CODEOWNERS", "* @everyone\n"),
        ("shop/__init__.py", ""),
        ("shop/models.py", MODELS),
        ("shop/views.py", VIEWS),
        ("shop/crlf.py", &VIEWS.replace('\n', "\r\n")),
        ("shop/bom.py", &format!("\u{feff}{VIEWS}")),
    ]);
    project.write(ODD, VIEWS);
    if cfg!(unix) {
        project.write("shop/x:y\\z\n.py", VIEWS);
    }
    project
}

fn schema(path: &str) -> Validator {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    if schema["$schema"] == "http://json-schema.org/draft-04/schema#" {
        // Draft 4 asks nothing of the format `uri-reference`, which SARIF names; nothing else of the schema differs.
        schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    }
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

#[track_caller]
fn assert_valid(validator: &Validator, value: &Value) {
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

/// What `ormend check` prints of every finding, as data.
fn check(project: &Project, format: &str) -> Value {
    let run = project.run(&["check", "--show-withheld", "--output-format", format]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn sarif() {
    let project = project();
    let validator = schema("tests/schemas/sarif-schema-2.1.0.json");
    let mut log = check(&project, "sarif");
    assert_valid(&validator, &log);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let outcomes: BTreeSet<&str> =
        results.iter().map(|result| result["properties"]["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, BTreeSet::from(["safe", "unsafe", "withheld"]));
    let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    for result in results {
        assert_eq!(rules[result["ruleIndex"].as_u64().unwrap() as usize]["id"], result["ruleId"]);
    }
    let prints: BTreeSet<&str> =
        results.iter().map(|result| result["partialFingerprints"]["ormend/v1"].as_str().unwrap()).collect();
    assert_eq!(prints.len(), results.len());
    let uris: BTreeSet<&str> = results
        .iter()
        .map(|result| result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap())
        .collect();
    assert!(uris.contains("shop/a%20b%2520%23%3F%C3%A9%5B1%5D.py"), "{uris:?}");
    assert!(!cfg!(unix) || uris.contains("shop/x%3Ay%5Cz%0A.py"), "{uris:?}");
    // Nothing found is a log, too.
    let clean = Project::new(&[("a.py", "x = 1\n")]);
    let run = clean.run(&["check", "--output-format", "sarif"]);
    assert_valid(&validator, &serde_json::from_str(&run.stdout).unwrap());
    // The schema is looked at.
    log["runs"][0]["results"][0]["level"] = json!("worse");
    assert!(!validator.is_valid(&log));
    log["runs"][0]["results"][0]["level"] = json!("warning");
    log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] =
        json!("a b");
    assert!(!validator.is_valid(&log));
}

#[test]
fn fixes_of_sarif_are_the_edits_that_are_meant() {
    let project = project();
    let log = check(&project, "sarif");
    let lines = project.run(&["check", "--show-withheld", "--output-format", "jsonl"]).stdout;
    let findings: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), findings.len());
    let mut compared = 0;
    for (result, finding) in results.iter().zip(&findings) {
        assert_eq!(result["ruleId"], finding["codemod"]);
        let edits = finding["edits"].as_array().unwrap();
        assert_eq!(edits.is_empty(), result.get("fixes").is_none());
        if edits.is_empty() {
            continue;
        }
        let bytes = project.read(edits[0]["path"].as_str().unwrap());
        assert_eq!(by_lines(&bytes, result), by_offsets(&bytes, edits), "{result:#}");
        compared += 1;
    }
    assert!(compared >= 15, "{compared}");
}

/// The text after the first fix of a result: its lines end at LF, CR or both, its columns count characters.
fn by_lines(bytes: &[u8], result: &Value) -> String {
    let text = std::str::from_utf8(bytes).unwrap();
    // A byte order mark is no character of the text.
    let (mark, text) =
        if let Some(rest) = text.strip_prefix('\u{feff}') { ("\u{feff}", rest) } else { ("", text) };
    let mut starts = vec![0];
    let mut chars = text.char_indices().peekable();
    while let Some((_, c)) = chars.next() {
        if c == '\n' || c == '\r' {
            if c == '\r' {
                chars.next_if(|(_, next)| *next == '\n');
            }
            starts.push(chars.peek().map_or(text.len(), |(at, _)| *at));
        }
    }
    let offset = |line: &Value, column: &Value| {
        let start = starts[line.as_u64().unwrap() as usize - 1];
        let characters = column.as_u64().unwrap() as usize - 1;
        start + text[start..].chars().take(characters).map(char::len_utf8).sum::<usize>()
    };
    let changes = result["fixes"][0]["artifactChanges"].as_array().unwrap();
    assert_eq!(changes.len(), 1);
    let replacements = changes[0]["replacements"].as_array().unwrap().iter().map(|replacement| {
        let region = &replacement["deletedRegion"];
        let start = offset(&region["startLine"], &region["startColumn"]);
        let end = offset(&region["endLine"], &region["endColumn"]);
        (start, end, replacement["insertedContent"]["text"].as_str().unwrap())
    });
    format!("{mark}{}", replaced(text, replacements.collect()))
}

/// The text after the edits of a line of jsonl.
fn by_offsets(bytes: &[u8], edits: &[Value]) -> String {
    let offset = |place: &Value| place["offset"].as_u64().unwrap() as usize;
    let edits = edits
        .iter()
        .map(|edit| (offset(&edit["start"]), offset(&edit["end"]), edit["text"].as_str().unwrap()));
    replaced(std::str::from_utf8(bytes).unwrap(), edits.collect())
}

fn replaced(text: &str, mut edits: Vec<(usize, usize, &str)>) -> String {
    edits.sort_by_key(|(start, end, _)| (*start, *end));
    let mut out = text.to_owned();
    for (start, end, new) in edits.into_iter().rev() {
        out.replace_range(start..end, new);
    }
    out
}

#[test]
fn gitlab() {
    let project = project();
    let validator = schema("tests/schemas/gitlab-code-quality.schema.json");
    let mut report = check(&project, "gitlab");
    assert_valid(&validator, &report);
    let issues = report.as_array().unwrap();
    let prints: BTreeSet<&str> = issues.iter().map(|issue| issue["fingerprint"].as_str().unwrap()).collect();
    assert_eq!(prints.len(), issues.len());
    let severities: BTreeSet<&str> = issues.iter().map(|issue| issue["severity"].as_str().unwrap()).collect();
    assert_eq!(severities, BTreeSet::from(["info", "minor"]));
    report[0]["location"]["path"] = json!("./shop/views.py");
    assert!(!validator.is_valid(&report));
}

#[test]
fn plans() {
    let project = project();
    let validator = schema("docs/plan.schema.json");
    let run = project.run(&["plan", "--unsafe-fixes"]);
    let mut plan: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_valid(&validator, &plan);
    let fixes = plan["fixes"].as_array().unwrap();
    assert!(
        fixes.iter().any(|fix| fix.get("hazards").is_some())
            && fixes.iter().any(|fix| fix.get("imports").is_some())
    );
    for by in ["codemod", "owner", "directory"] {
        let dir = format!("parts-{by}");
        assert_eq!(project.run(&["plan", "--split-by", by, "-o", &dir]).code, 0);
        let index: Value = serde_json::from_slice(&project.read(&format!("{dir}/index.json"))).unwrap();
        for part in index["parts"].as_array().unwrap() {
            let plan = project.read(&format!("{dir}/{}", part["plan"].as_str().unwrap()));
            assert_valid(&validator, &serde_json::from_slice(&plan).unwrap());
        }
    }
    plan["fixes"][0]["selcted"] = json!(true);
    assert!(!validator.is_valid(&plan));
}
