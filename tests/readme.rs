//! README.md and docs/ are true: every command in them runs over a copy of the example project and ends as it should, what is said
//! to be printed is printed, and every flag, key, link and codemod that they name is there.
//!
//! A command is a line, or a loop, of a fence `sh`, or stands in the first column of a table whose heading is `command`. The
//! fences of a section run in order in one copy, each command of a table in a copy of its own. A fence `text` after them is what
//! the one before prints.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::python::must;
use support::{files_below, relative, report, root, write};

/// Commands that do not run here, by their first line, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo install --path .", "it builds the command, which the tests have"),
    ("pip install .", "it builds the command: tests/wheel.rs"),
    ("cargo run --release -- diff --exit-zero examples/bookshop", "`the_picture_of_a_diff` runs its diff"),
    ("cargo test", "this is one of its tests"),
    ("ormend review", "it needs a terminal: tests/review_terminal.rs"),
    ("ormend review catalog/ --select exists,count", "it needs a terminal: tests/review_terminal.rs"),
    ("ormend review plan.json", "it needs a terminal: tests/review_terminal.rs"),
    ("for text in ../parts/*.commit.txt; do", "it opens pull requests"),
    ("all-repos-clone", "it needs all-repos: tests/recipes.rs"),
    ("python \"$ORMEND/docs/recipes/all_repos_ormend.py\" --dry-run", "it needs all-repos: tests/recipes.rs"),
    (
        "python \"$ORMEND/docs/recipes/all_repos_ormend.py\" --fix-args='--select select-related,exists' \
         --check='python -m pytest -q' --jobs 8",
        "it needs all-repos: tests/recipes.rs",
    ),
];

/// Commands that end with another status than 0.
const STATUS: &[(&str, i32)] = &[
    ("ormend check", 1),
    ("ormend check --show-withheld", 1),
    ("ormend check --statistics", 1),
    ("ormend diff", 1),
];

/// Flags that are not ours.
const FOREIGN: &[&str] = &[
    "--all",
    "--bench",
    "--body-file",
    "--check",
    "--dry-run",
    "--fix-args",
    "--head",
    "--message",
    "--path",
    "--prefix",
    "--release",
    "--runs",
    "--stat",
    "--target",
    "--title",
    "--user",
];

/// Commands under one heading.
struct Section {
    /// `README.md: Review`
    place: String,
    scripts: Vec<Script>,
    /// Of tables.
    commands: Vec<String>,
}

/// One fence `sh`.
struct Script {
    text: String,
    /// What it prints.
    printed: Option<String>,
}

/// The pages, by their paths.
fn pages() -> Vec<(String, String)> {
    let docs = files_below(&root().join("docs"));
    let docs = docs.into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "md"));
    let pages = std::iter::once(root().join("README.md")).chain(docs);
    pages.map(|file| (relative(root(), &file), fs::read_to_string(&file).unwrap())).collect()
}

fn sections(path: &str, text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut lines = text.lines();
    let mut is_table = false;
    let mut after_script = false;
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            let title = line.trim_start_matches('#').trim();
            sections.push(Section {
                place: format!("{path}: {title}"),
                scripts: Vec::new(),
                commands: Vec::new(),
            });
        }
        let Some(section) = sections.last_mut() else { continue };
        if let Some(label) = line.strip_prefix("```") {
            let body: String =
                lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
            match label {
                "sh" => section.scripts.push(Script { text: body, printed: None }),
                "text" if after_script => section.scripts.last_mut().unwrap().printed = Some(body),
                "" | "text" => assert!(!body.contains("ormend "), "{}: commands are `sh`", section.place),
                _ => {}
            }
            after_script = label == "sh";
        } else if !line.is_empty() {
            after_script = false;
        }
        let cell = line.strip_prefix("| ").and_then(|row| row.split(" | ").next()).unwrap_or("");
        is_table = line.starts_with('|') && (is_table || cell == "command");
        if is_table && cell.starts_with('`') {
            section.commands.push(cell.trim_matches('`').to_owned());
        }
    }
    sections
}

/// The directory above a copy of the example, which is a git repository without changes, and where its commands may write.
struct Copy {
    dir: tempfile::TempDir,
}

impl Copy {
    fn new() -> Copy {
        let copy = Copy { dir: tempfile::tempdir().unwrap() };
        copy.make("bookshop");
        copy
    }

    /// The example once more, at `path`.
    fn make(&self, path: &str) {
        let project = self.dir.path().join(path);
        let example = root().join("examples/bookshop");
        for file in files_below(&example) {
            let name = relative(&example, &file);
            if !name.ends_with(".sqlite3") && !name.ends_with(".pyc") {
                write(&project, &name, &fs::read(&file).unwrap());
            }
        }
        for args in [
            &["init", "--quiet", "--initial-branch=main"][..],
            &["add", "--all"],
            &["commit", "--quiet", "--message=Start"],
        ] {
            must(self.command("git").args(args).current_dir(&project), "git");
        }
    }

    fn project(&self) -> PathBuf {
        self.dir.path().join("bookshop")
    }

    /// A program that finds ormend and no configuration of the machine.
    fn command(&self, program: &str) -> Command {
        let ormend = Path::new(env!("CARGO_BIN_EXE_ormend")).parent().unwrap().to_path_buf();
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths([ormend].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let mut command = Command::new(program);
        command
            .current_dir(self.project())
            .env("PATH", path)
            .env("HOME", self.dir.path())
            .env("ORMEND", root());
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "Ann")
                .env(format!("GIT_{role}_EMAIL"), "ann@example.com");
        }
        for name in ["VIRTUAL_ENV", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        command
    }

    fn sh(&self, text: &str) -> Output {
        self.command("sh").arg("-c").arg(format!("exec 2>&1\n{text}")).output().unwrap()
    }

    fn ormend(&self, args: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_ormend")).args(args).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.ormend(args).stdout).unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The commands of a script: lines, or as many of them as make one whole.
fn commands(script: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = String::new();
    for line in script.lines() {
        open += line;
        let is_whole = Command::new("sh").args(["-n", "-c", &open]).output().unwrap().status.success();
        if is_whole {
            all.push(std::mem::take(&mut open));
        } else {
            open.push('\n');
        }
    }
    assert_eq!(open, "", "the script ends in the middle of a command");
    all
}

#[test]
fn every_command_runs() {
    let mut failures = Vec::new();
    let mut seen = BTreeSet::new();
    let mut run = |copy: &Copy, place: &str, command: &str| -> String {
        let first = command.lines().next().unwrap_or("").to_owned();
        seen.insert(first.clone());
        if NOT_RUN.iter().any(|(name, _)| *name == first) {
            return String::new();
        }
        let output = copy.sh(command);
        let expected = STATUS.iter().find(|(name, _)| *name == command).map_or(0, |(_, status)| *status);
        if output.status.code() != Some(expected) {
            failures.push(format!("{place}: `{command}` is not status {expected}\n{}", said(&output)));
        }
        said(&output)
    };
    let mut printed = Vec::new();
    for (path, text) in pages() {
        for section in sections(&path, &text) {
            let place = &section.place;
            for command in &section.commands {
                run(&Copy::new(), place, command);
            }
            if section.scripts.is_empty() {
                continue;
            }
            let copy = Copy::new();
            let all: String = section.scripts.iter().map(|script| script.text.as_str()).collect();
            // What a reader has at this place.
            if all.contains("../clones/") {
                copy.make("clones/shop");
            }
            if all.contains("~/Downloads/ormend-plan.json") {
                fs::create_dir(copy.dir.path().join("Downloads")).unwrap();
                must(copy.command("sh").args(["-c", "ormend plan -o ~/Downloads/ormend-plan.json"]), "plan");
            }
            for script in &section.scripts {
                let said: String =
                    commands(&script.text).iter().map(|command| run(&copy, place, command)).collect();
                if let Some(expected) = &script.printed {
                    printed.push(place.clone());
                    assert!(said.contains(expected), "{place} does not print\n{expected}\nbut\n{said}");
                }
            }
        }
    }
    report("commands", &failures);
    assert!(seen.len() > NOT_RUN.len() + 30, "{seen:?}");
    assert!(printed.len() >= 3, "{printed:?}");
    let listed = NOT_RUN.iter().map(|(name, _)| *name).chain(STATUS.iter().map(|(name, _)| *name));
    let gone: Vec<&str> = listed.filter(|name| !seen.contains(*name)).collect();
    assert!(gone.is_empty(), "no page has these any more: {gone:?}");
}

#[test]
fn installing_comes_first() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let (before, code) = text.split_once('`').unwrap();
    assert!(code.starts_with("``sh\npip install .\n```\n"), "the first code is not the installation");
    // Code that is indented has no fence.
    assert!(!before.contains("\n    ") && before.lines().filter(|line| line.starts_with('#')).count() == 1);
}

/// What `.ci/run` installs for the tests is what a reader is told that they need.
#[test]
fn what_the_tests_need_is_told() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let run = read(".ci/run");
    let packages = run.split("missing+=(").skip(1).filter_map(|rest| rest.split(')').next());
    let programs: BTreeSet<&str> = packages.map(|package| package.trim_end_matches("-base")).collect();
    assert!(programs.len() >= 10, "{programs:?}");
    for (path, start) in [("README.md", "The second runs every test"), ("CONTRIBUTING.md", "`.ci/run` runs")]
    {
        let text = read(path);
        let (_, told) = text.split_once(start).unwrap();
        let told = told.split("\n\n").next().unwrap().to_lowercase();
        let words: BTreeSet<&str> = told.split(|c: char| !c.is_alphanumeric()).collect();
        for program in &programs {
            assert!(words.contains(program), "{path}: {program}");
        }
    }
}

/// The strings that are given to a field in Rust code, in order.
fn strings<'a>(code: &'a str, field: &str) -> Vec<&'a str> {
    let start = format!("{field}: \"");
    code.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn the_comparison_names_what_is_measured() {
    let page = fs::read_to_string(root().join("docs/comparison.md")).unwrap();
    let (_, speed) = page.split_once("## Speed\n").unwrap();
    let (speed, _) = speed.split_once("\n## ").unwrap();
    let peers = fs::read_to_string(root().join("benches/peers/main.rs")).unwrap();
    let (programs, versions) = (strings(&peers, "program"), strings(&peers, "version"));
    assert!(programs.len() == versions.len() && programs.len() >= 4, "{programs:?} {versions:?}");
    let mut measured = BTreeSet::from([format!("ormend {}", env!("CARGO_PKG_VERSION"))]);
    measured.extend(programs.iter().zip(versions).map(|(program, version)| format!("{program} {version}")));
    let rows = speed.lines().filter_map(|line| line.strip_prefix("| ")).skip(1);
    let named: BTreeSet<String> =
        rows.map(|row| row.split([',', '|']).next().unwrap().trim_end().to_owned()).collect();
    assert_eq!(named, measured);

    let trees = fs::read_to_string(root().join("benches/peers/trees.rs")).unwrap();
    let (_, projects) = trees.split_once("pub const PROJECTS").unwrap();
    let (projects, _) = projects.split_once("];").unwrap();
    let (names, versions) = (strings(projects, " name"), strings(projects, "version"));
    assert!(names.len() == versions.len() && names.len() >= 4, "{names:?} {versions:?}");
    let titles: Vec<String> =
        names.iter().zip(versions).map(|(name, version)| format!("{name} {version}")).collect();
    let (last, first) = titles.split_last().unwrap();
    let list = format!("application code of {} and {last},", first.join(", "));
    assert!(speed.replace('\n', " ").contains(&list), "the page does not have: {list}");
}

#[test]
fn the_picture_of_a_diff() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, picture) = text.split_once("```diff\n").unwrap();
    let (picture, _) = picture.split_once("```").unwrap();
    let copy = Copy { dir: tempfile::tempdir().unwrap() };
    copy.make("examples/bookshop");
    let mut command = copy.command(env!("CARGO_BIN_EXE_ormend"));
    command.current_dir(copy.dir.path()).args(["diff", "--exit-zero", "examples/bookshop"]);
    let diff = String::from_utf8(must(&mut command, "ormend diff").stdout).unwrap();
    let (header, hunk) = picture.split_at(picture.find("@@").unwrap());
    let (_, file) = diff.split_once(header).expect("the file is in the diff");
    let file = file.split("\n--- ").next().unwrap();
    assert!(file.contains(hunk), "the picture shows\n{hunk}\nand the diff\n{file}");
}

#[test]
fn the_diff_applies() {
    let (fixed, applied) = (Copy::new(), Copy::new());
    must(fixed.command("sh").args(["-c", "ormend fix"]), "ormend fix");
    must(applied.command("sh").args(["-c", "ormend diff | git apply"]), "git apply");
    for file in files_below(&fixed.project()) {
        let path = relative(&fixed.project(), &file);
        assert_eq!(fs::read(&file).unwrap(), fs::read(applied.project().join(&path)).unwrap(), "{path}");
    }
}

#[test]
fn every_flag_is_there() {
    let copy = Copy::new();
    let commands = [
        "check",
        "diff",
        "fix",
        "plan",
        "apply",
        "review",
        "explain",
        "codemods",
        "models",
        "config",
        "clean",
        "completions",
        "man",
    ];
    let mut help: String = commands.iter().map(|name| said(&copy.ormend(&["help", name]))).collect();
    help += &said(&copy.ormend(&["report", "help", "merge"]));
    let known: BTreeSet<&str> = flags(&help).into_iter().chain(FOREIGN.iter().copied()).collect();
    let mut failures = Vec::new();
    for (path, text) in pages() {
        for flag in flags(&text).into_iter().filter(|flag| !known.contains(flag)) {
            failures.push(format!("{path}: no command has {flag}"));
        }
    }
    report("flags", &failures);
    assert!(known.contains("--allow-dirty") && known.contains("--split-by"));
}

fn flags(text: &str) -> BTreeSet<&str> {
    let starts = text.match_indices("--").filter(|(at, _)| text[..*at].ends_with([' ', '`', '\n', '(', '[']));
    let flag = |(at, _): (usize, &str)| {
        let rest = &text[at + 2..];
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(rest.len());
        (end > 1).then(|| &text[at..at + 2 + end])
    };
    starts.filter_map(flag).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let slug = |title: &str| -> String {
        let kept = title.to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    let mut failures = Vec::new();
    for (path, text) in pages() {
        let here = root().join(&path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { here.clone() } else { here.parent().unwrap().join(file) };
            let there = match (target.is_dir(), fs::read_to_string(&target)) {
                (true, _) => anchor.is_empty(),
                (_, Err(_)) => false,
                (_, Ok(text)) => {
                    let titles = text.lines().filter(|line| line.starts_with('#'));
                    let mut slugs = titles.map(|line| slug(line.trim_start_matches('#').trim()));
                    anchor.is_empty() || slugs.any(|slug| slug == anchor)
                }
            };
            if !there {
                failures.push(format!("{path}: {link}"));
            }
        }
    }
    report("links", &failures);
}

/// The backticked names of the first column of the first table with the heading `heading` after `start`.
fn first_column(text: &str, start: &str, heading: &str) -> BTreeSet<String> {
    let (_, text) = text.split_once(start).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with(&format!("| {heading} |")));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split(" | ").next().unwrap().to_owned());
    cells
        .flat_map(|cell| {
            let names: Vec<String> =
                cell.split(['`', '[', ']']).skip(1).step_by(2).map(str::to_owned).collect();
            names
        })
        .collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_key_and_codemod_is_told() {
    let copy = Copy::new();
    let page = |path: &str| fs::read_to_string(root().join(path)).unwrap();

    let findings = copy.json(&["check", "--output-format", "json", "--show-withheld"]);
    for finding in findings["findings"].as_array().unwrap() {
        assert_eq!(first_column(&page("docs/jsonl.md"), "", "key"), keys(finding));
    }
    let config = copy.json(&["config", "--output-format", "json"]);
    assert_eq!(first_column(&page("docs/configuration.md"), "", "key"), keys(&config));
    let diff = copy.json(&["diff", "--output-format", "json"]);
    assert_eq!(first_column(&page("docs/diff.md"), "", "key"), keys(&diff["files"][0]));
    let plan = copy.json(&["plan"]);
    let told = first_column(&page("docs/plan.md"), "", "key");
    let mut written = keys(&plan);
    plan["fixes"].as_array().unwrap().iter().for_each(|fix| written.extend(keys(fix)));
    assert!(told.is_subset(&written), "{told:?} {written:?}");

    let codemods = said(&copy.ormend(&["codemods"]));
    let names = codemods.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    assert_eq!(first_column(&page("README.md"), "## Codemods", "name"), names.collect());
}

#[test]
fn the_configuration_is_read() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, toml) = text.split_once("```toml\n").unwrap();
    let (toml, _) = toml.split_once("```").unwrap();
    let copy = Copy::new();
    fs::create_dir_all(copy.project().join(".venv/lib/python3.12/site-packages")).unwrap();
    let read = |toml: &str| {
        let project = fs::read_to_string(root().join("examples/bookshop/pyproject.toml")).unwrap();
        write(&copy.project(), "pyproject.toml", format!("{project}\n{toml}").as_bytes());
        copy.ormend(&["check", "--exit-zero"])
    };
    let output = read(toml);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(read(&format!("{toml}no-such-key = 1\n")).status.code(), Some(2));
}

#[test]
fn the_example_of_suppressions_suppresses() {
    let text = fs::read_to_string(root().join("docs/suppressing.md")).unwrap();
    let (_, code) = text.split_once("```python\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let copy = Copy::new();
    let check = |code: &str| {
        let file = format!("from catalog.models import Book\n\n{code}");
        write(&copy.project(), "catalog/shown.py", file.as_bytes());
        said(&copy.ormend(&["check", "--output-format", "concise", "catalog/shown.py"]))
    };
    let quiet = check(code);
    assert_eq!(quiet, "No findings. Looked at 1 file.\n");
    let loud = check(&code.replace("ormend: ", ""));
    let findings = loud.lines().filter_map(|line| line.split_once(" [safe] "));
    let places: Vec<&str> = findings.filter_map(|(place, _)| place.split(": ").nth(1)).collect();
    assert_eq!(places, ["exists", "select-related"], "{loud}");
}
