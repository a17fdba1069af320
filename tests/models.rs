//! The model index against Django itself: real packages are installed, loaded with `django.setup()`, and what Django
//! then knows of every model is compared with what `ormend models` reads off the sources.
//!
//! At least 99 % of the relations, and of the accessors that follow them backwards, have to be equal, in both
//! directions: what is missing, what is too much and what differs all count. Every single difference, also of models,
//! fields, managers and orderings, has to be explained in the allow-list of its set, which holds nothing else.
//!
//! The packages are installed once into an environment below `target/`. Where the registry is out of reach the tests
//! fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{files_below, python, relative, report, root, scratch};

/// How much of the relations, and of the accessors, has to be equal.
const LEAST: f64 = 0.99;

/// Packages that are looked at together, under one settings module: `tests/django/models/NAME.py`.
struct Set {
    name: &'static str,
    /// The packages that are scanned, beside the settings: those with models, fields or managers that count.
    packages: &'static [&'static str],
    /// Folders of these packages that are projects of their own, which the settings do not install.
    left_out: &'static [&'static str],
    /// What Django has to know at least, so that an empty comparison does not pass: relations and accessors.
    least: (usize, usize),
    /// Differences (`what key`, `*` standing for anything), and why they are there.
    allowed: &'static [(&'static str, &'static str)],
}

#[test]
fn contrib() {
    compare(&Set { name: "contrib", packages: &[], left_out: &[], least: (8, 8), allowed: &[] });
}

#[test]
fn oscar() {
    compare(&Set {
        name: "oscar",
        packages: &["oscar", "phonenumber_field", "sorl", "treebeard"],
        left_out: &[],
        least: (130, 130),
        allowed: &[],
    });
}

#[test]
fn cms() {
    compare(&Set {
        name: "cms",
        packages: &["cms", "menus", "treebeard"],
        left_out: &["cms/test_utils"],
        least: (40, 50),
        allowed: &[],
    });
}

#[test]
fn wagtail() {
    compare(&Set {
        name: "wagtail",
        packages: &[
            "modelcluster",
            "modelsearch",
            "permissionedforms",
            "rest_framework",
            "taggit",
            "treebeard",
            "wagtail",
        ],
        left_out: &["rest_framework/authtoken", "wagtail/project_template", "wagtail/test/basepage"],
        least: (1380, 7000),
        allowed: &[
            (
                "*.basepage_ptr",
                "declared in the branch for projects that swap the page model; both branches are indexed",
            ),
            ("field *.page_ptr", "as above: the other branch's link is taken for the primary key"),
            (
                "accessor wagtailcore.*.page",
                "a by-product of GenericRelation(related_query_name=...) which Django does not document",
            ),
            ("accessor wagtailcore.*.full_featured_snippet", "as above"),
            (
                "field wagtailsearch.IndexEntry.*",
                "the base class is chosen by the database in use; that of the first branch is indexed",
            ),
            ("field wagtailsearch.SQLiteFTSIndexEntry.*", "as above, the first value being None"),
        ],
    });
}

/// What one side knows: by what it is about (`relation`, `accessor`, ...) and its key.
type Facts = BTreeMap<(&'static str, String), Value>;

fn compare(set: &Set) {
    let requirements = root().join("tests/django/models/requirements.txt");
    let python = python::packages("models", &requirements);
    let folder = project(set, &python);

    let django = ask_django(&folder, &python);
    let theirs = facts_of_django(&django);
    let ours = facts_of_ormend(&ask_ormend(&folder), &django);
    let _ = fs::remove_dir_all(&folder);

    let keys: BTreeSet<_> = theirs.keys().chain(ours.keys()).cloned().collect();
    let mut failures = Vec::new();
    let mut used = BTreeSet::new();
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for key in keys {
        let (a, b) = (theirs.get(&key), ours.get(&key));
        let (what, name) = key;
        let count = counts.entry(what).or_default();
        count.1 += 1;
        if a == b {
            count.0 += 1;
            continue;
        }
        let key = format!("{what} {name}");
        match set.allowed.iter().position(|(pattern, _)| matches(pattern, &key)) {
            Some(index) => {
                used.insert(index);
            }
            None => {
                let show = |side: Option<&Value>| side.map_or("nothing".to_owned(), Value::to_string);
                failures.push(format!("{key}\n  Django: {}\n  ormend: {}", show(a), show(b)));
            }
        }
    }
    for (index, (pattern, _)) in set.allowed.iter().enumerate() {
        if !used.contains(&index) {
            failures.push(format!("the allow-list explains what does not differ: {pattern}"));
        }
    }
    for (what, (equal, all)) in &counts {
        println!("{}: {equal} of {all} equal: {what}", set.name);
    }
    for (what, least) in [("relation", set.least.0), ("accessor", set.least.1)] {
        let (equal, all) = counts.get(what).copied().unwrap_or_default();
        let known = theirs.keys().filter(|(w, _)| *w == what).count();
        if known < least {
            failures.push(format!("Django knows {known} of at least {least}: {what}"));
        }
        if (equal as f64) < LEAST * all as f64 {
            failures.push(format!("only {equal} of {all} equal: {what}"));
        }
    }
    report(&format!("models of {}", set.name), &failures);
}

/// A project of the settings and the sources of the packages.
fn project(set: &Set, python: &Path) -> PathBuf {
    let folder = scratch(&format!("models-{}", set.name));
    // So that the project starts here.
    fs::create_dir(folder.join(".git")).unwrap();
    let settings = fs::read(root().join(format!("tests/django/models/{}.py", set.name))).unwrap();
    support::write(&folder, "config/__init__.py", b"");
    support::write(&folder, "config/settings.py", &settings);
    let installed = python::site_packages(python);
    for package in set.packages {
        let mut count = 0;
        for file in files_below(&installed.join(package)) {
            let path = relative(&installed, &file);
            let is_left_out = set.left_out.iter().any(|folder| path.starts_with(&format!("{folder}/")));
            if path.ends_with(".py") && !is_left_out {
                support::write(&folder, &path, &fs::read(&file).unwrap());
                count += 1;
            }
        }
        assert!(count > 0, "{package} is not installed");
    }
    folder
}

fn ask_django(folder: &Path, python: &Path) -> Value {
    // Only the settings come from the project: the packages are the installed ones.
    let settings = scratch(&format!("{}-settings", folder.file_name().unwrap().to_str().unwrap()));
    for file in files_below(&folder.join("config")) {
        support::write(&settings, &relative(folder, &file), &fs::read(&file).unwrap());
    }
    let output = python::must(
        Command::new(python)
            .arg(root().join("tests/django/dump_models.py"))
            .env("PYTHONPATH", &settings)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("DJANGO_SETTINGS_MODULE", "config.settings"),
        "asking Django for its models",
    );
    let _ = fs::remove_dir_all(&settings);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ask_ormend(folder: &Path) -> Value {
    let output = python::must(
        Command::new(env!("CARGO_BIN_EXE_ormend"))
            .args(["models", "--output-format", "json"])
            .current_dir(folder)
            .env_remove("VIRTUAL_ENV"),
        "ormend models",
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn facts_of_django(django: &Value) -> Facts {
    let mut facts = Facts::new();
    for (label, model) in django["models"].as_object().unwrap() {
        facts.insert(("model", label.clone()), pick(model, &["proxy", "managed", "concrete", "parents"]));
        facts.insert(
            ("managers", label.clone()),
            pick(model, &["managers", "default_manager", "base_manager"]),
        );
        facts.insert(("ordering", label.clone()), model["ordering"].clone());
        for (name, field) in model["fields"].as_object().unwrap() {
            let key = format!("{label}.{name}");
            facts.insert(("field", key.clone()), pick(field, &["attname", "null", "primary_key"]));
            if !field["relation"].is_null() {
                let relation = pick(&field["relation"], &["kind", "target", "accessor", "query_name"]);
                facts.insert(("relation", key), relation);
            }
        }
        for (name, accessor) in model["accessors"].as_object().unwrap() {
            facts.insert(("accessor", format!("{label}.{name}")), accessor.clone());
        }
    }
    facts
}

/// The same of those models that Django has loaded.
fn facts_of_ormend(ormend: &Value, django: &Value) -> Facts {
    let models = ormend["models"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels: BTreeMap<String, &Value> = models
        .iter()
        .map(|model| (format!("{}.{}", text(&model["module"]), text(&model["name"])), &model["label"]))
        .collect();
    let mut facts = Facts::new();
    for model in models {
        let label = text(&model["label"]);
        let theirs = &django["models"][&label];
        // Of several models with one label the one of the same module; a class may claim another module than its own.
        let is_only =
            || models.iter().filter(|m| m["label"] == *label && m["abstract"] == false).count() == 1;
        if model["abstract"] == true
            || theirs.is_null()
            || (theirs["module"] != model["module"] && !is_only())
        {
            continue;
        }
        let mut parents: Vec<&Value> =
            model["table_parents"].as_array().unwrap().iter().map(|parent| labels[&text(parent)]).collect();
        parents.sort_by_key(|label| text(label));
        if model["proxy"] == true {
            parents.clear();
        }
        facts.insert(
            ("model", label.clone()),
            json!({
                "proxy": model["proxy"],
                "managed": model["managed"],
                "concrete": labels.get(&text(&model["concrete"])),
                "parents": parents,
            }),
        );
        let managers: Vec<&Value> =
            model["managers"].as_array().unwrap().iter().map(|manager| &manager["name"]).collect();
        facts.insert(
            ("managers", label.clone()),
            json!({
                "managers": managers,
                "default_manager": model["default_manager"],
                "base_manager": model["base_manager_name"],
            }),
        );
        let ordering =
            if model["has_unknown_ordering"] == true { json!("unknown") } else { model["ordering"].clone() };
        facts.insert(("ordering", label.clone()), ordering);
        for field in model["fields"].as_array().unwrap() {
            let key = format!("{label}.{}", text(&field["name"]));
            facts.insert(("field", key.clone()), pick(field, &["attname", "null", "primary_key"]));
            let relation = &field["relation"];
            if !relation.is_null() {
                let relation = json!({
                    "kind": relation["kind"],
                    "target": relation["target_label"],
                    "accessor": relation["accessor"],
                    "query_name": relation["query_name"],
                });
                facts.insert(("relation", key), relation);
            }
        }
        for reverse in model["reverse"].as_array().unwrap() {
            let key = format!("{label}.{}", text(&reverse["accessor"]));
            let accessor = json!({
                "query_name": reverse["query_name"],
                "single": reverse["single"],
                "source": reverse["source_label"],
                "field": reverse["field"],
            });
            facts.entry(("accessor", key)).or_insert(accessor);
        }
    }
    facts
}

fn pick(value: &Value, names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| ((*name).to_owned(), value[*name].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Whether `text` is `pattern`, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn patterns() {
    assert!(matches("field cms.Page.path", "field cms.Page.path"));
    assert!(matches("field *.path", "field cms.Page.path"));
    assert!(matches("* cms.*.path", "field cms.Page.path"));
    assert!(!matches("field cms.Page.path", "field cms.Page.pathology"));
    assert!(!matches("field *.path", "field cms.Page.depth"));
    assert!(!matches("relation *", "field cms.Page.path"));
}
