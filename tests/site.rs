//! The documentation site: it is built without a warning, everything that is to be on it is, every link leads somewhere, and it
//! looks right in a browser, on a phone too (tests/browser/site.py). Chromium must be installed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use support::python::{self, must};
use support::{files_below, relative, report, root};

/// The site, built once.
fn site() -> &'static Path {
    static SITE: OnceLock<PathBuf> = OnceLock::new();
    SITE.get_or_init(|| {
        let mut build = Command::new(python::system());
        build.arg(root().join("docs/build")).args(["--ormend", env!("CARGO_BIN_EXE_ormend")]);
        // From anywhere. A warning ends it.
        let output = must(build.current_dir(std::env::temp_dir()), "docs/build");
        let index = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end());
        assert!(index.is_file());
        index.parent().unwrap().to_path_buf()
    })
}

/// The pages by their paths.
fn pages() -> BTreeMap<String, String> {
    let files = files_below(site()).into_iter().filter(|file| file.extension().is_some_and(|e| e == "html"));
    files.map(|file| (relative(site(), &file), fs::read_to_string(&file).unwrap())).collect()
}

/// The values of an attribute, which MkDocs writes between double quotes.
fn values<'a>(html: &'a str, attribute: &str) -> BTreeSet<&'a str> {
    let start = format!(" {attribute}=\"");
    html.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn data(args: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ormend"));
    serde_json::from_slice(&must(command.args(args), "ormend").stdout).unwrap()
}

#[test]
fn everything_is_on_it() {
    let pages = pages();
    let mut unnamed: BTreeSet<&str> = pages.keys().map(String::as_str).collect();
    unnamed.retain(|page| !page.starts_with("codemods/") && *page != "404.html");
    // Each page of the repository, and what programs know.
    for file in files_below(&root().join("docs")) {
        let name = relative(&root().join("docs"), &file);
        if let Some(page) = name.strip_suffix(".md") {
            assert!(pages.contains_key(&format!("{page}.html")), "{name}");
        }
    }
    let ids = values(&pages["configuration.html"], "id");
    for key in data(&["config", "--schema"])["properties"].as_object().unwrap().keys() {
        assert!(ids.contains(key.as_str()), "{key}: {ids:?}");
    }
    let codemods = data(&["codemods", "--output-format", "json"]);
    let codemods = codemods["codemods"].as_array().unwrap();
    assert!(codemods.len() > 20);
    let home = &pages["index.html"];
    for codemod in codemods {
        let name = codemod["name"].as_str().unwrap();
        let page = &pages[&format!("codemods/{name}.html")];
        // What the fix is, as a diff, and nothing of the tests.
        assert!(page.contains("<span class=\"gi\">+") && !page.contains("def setup("), "{name}");
        assert!(page.contains(">Safe when<"), "{name}");
        for list in [home, &pages["codemods/index.html"]] {
            assert!(list.contains(&format!("{name}.html")), "{name} is not listed");
        }
        for hazard in codemod["hazards"].as_array().unwrap() {
            let hazard = hazard["name"].as_str().unwrap();
            assert!(values(page, "id").contains(hazard.to_lowercase().as_str()), "{name}: {hazard}");
            assert!(pages["safety.html"].contains(&format!("<code>{hazard}</code>")), "{hazard}");
        }
    }
    // Each section of README.md that is for users, and each page of docs/.
    for (page, text) in [
        ("index.html", "What it does not understand yet"),
        ("start.html", "Three workflows"),
        ("start.html", "By script"),
        ("safety.html", "What is not known is never rewritten"),
        ("configuration.html", "per-file-ignores"),
        ("install.html", "pip install"),
        ("editor.html", "ormend server"),
        ("review.html", "ormend review"),
        ("writing.html", "The cache"),
        ("plan.html", "Parts"),
        ("migrating.html", "Many repositories"),
        ("adopting.html", "Keep out what is new"),
        ("suppressing.html", "ormend: ignore"),
        ("jsonl.html", "fingerprint"),
        ("diff.html", "ormend diff"),
        ("comparison.html", "django-orm-lens"),
        ("contributing.html", "Adding a codemod"),
        ("changelog.html", "The command"),
    ] {
        let html = pages.get(page).unwrap_or_else(|| panic!("{page} is gone"));
        assert!(html.contains(text), "{page}: {text}");
        // The navigation leads to it, and this list has all.
        let entry = format!("<a href=\"{page}\" class=\"md-nav__link");
        assert!(home.contains(&entry), "{page} is not in the navigation");
        unnamed.remove(page);
    }
    assert!(unnamed.is_empty(), "{unnamed:?}");
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let mut failures = Vec::new();
    let mut seen = 0;
    for (path, html) in &pages {
        let here = site().join(path);
        for link in values(html, "href").into_iter().chain(values(html, "src")) {
            if link.contains("://") || link.starts_with("data:") || link.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file.strip_prefix('/') {
                // The page for what is not there may stand anywhere.
                Some(rest) => site().join(rest),
                None if file.is_empty() => here.clone(),
                None => here.parent().unwrap().join(file),
            };
            let Ok(target) = target.canonicalize() else {
                failures.push(format!("{path}: {link}"));
                continue;
            };
            let target = relative(&site().canonicalize().unwrap(), &target);
            // The logo leads to the directory.
            let is_there = match pages.get(&target) {
                Some(page) => anchor.is_empty() || values(page, "id").contains(anchor),
                None => anchor.is_empty() && !target.is_empty(),
            };
            if !is_there {
                failures.push(format!("{path}: {link}"));
            }
        }
        for asked in values(html, "src") {
            assert!(!asked.contains("://"), "{path} asks for {asked}");
        }
    }
    report("links", &failures);
    assert!(seen > 1000, "{seen}");
}

#[test]
fn in_a_browser() {
    let mut check = Command::new(python::browser());
    check.arg(root().join("tests/browser/site.py")).arg(site());
    must(&mut check, "tests/browser/site.py");
}

#[test]
fn a_broken_link_is_an_error() {
    let script = "import importlib.machinery, importlib.util, sys
loader = importlib.machinery.SourceFileLoader('build', sys.argv[1])
build = importlib.util.module_from_spec(importlib.util.spec_from_loader('build', loader))
sys.dont_write_bytecode = True
loader.exec_module(build)
site = build.Site({'docs/plan.md': 'plan.md', 'docs/review.md': 'review.md', 'codemods/in_bulk/README.md': 'codemods/in-bulk.md'})
turned = site.turned('docs/review.md', '[a](plan.md#parts) [b](#x) [c](https://x.y/z) `x`\\n```\\n[d](gone.md)\\n```\\n')
assert turned == '[a](plan.md#parts) [b](#x) [c](https://x.y/z) `x`\\n```\\n[d](gone.md)\\n```\\n', turned
turned = site.turned('codemods/in_bulk/README.md', '[a](../../docs/plan.md) [b](../../README.md#codemods)')
assert turned == '[a](../plan.md) [b](index.md#codemods)', turned
site.turned('docs/review.md', '[a](gone.md)')
";
    let mut python = Command::new(python::system());
    let output = python.args(["-B", "-c", script]).arg(root().join("docs/build")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        (output.status.code(), said.trim_end()),
        (Some(1), "docs/build: docs/review.md: no page of the site is docs/gone.md")
    );
}
