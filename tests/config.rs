//! `ormend config`: what holds, and where each value comes from; and the schema of the configuration, held against what is read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Project;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const KEYS: [&str; 12] = [
    "select",
    "ignore",
    "exclude",
    "per-file-ignores",
    "target-django",
    "line-length",
    "batch-size",
    "include-tests",
    "include-migrations",
    "unsafe-fixes",
    "assume-no-signals",
    "python",
];

/// What `ormend config` says as data.
#[track_caller]
fn data(project: &Project, args: &[&str]) -> Value {
    let run = project.run(&[&["config", "--output-format", "json"], args].concat());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    serde_json::from_str(&run.stdout).unwrap()
}

/// The value of `key`, and where it comes from.
#[track_caller]
fn setting(project: &Project, args: &[&str], key: &str) -> (Value, Value) {
    let data = data(project, args);
    let setting = &data["settings"][key];
    (setting["value"].clone(), setting["origins"].clone())
}

fn published() -> Value {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn without_a_configuration() {
    let project =
        Project::new(&[("a.py", "x = 1\n"), ("tests/test_a.py", ""), ("shop/migrations/0001.py", "")]);
    let run = project.run(&["config"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(
        run.stdout,
        r#"# Project root: .
# Configuration: none
# To look at: 1 file; left out 1 test file (--include-tests), 1 migration (--include-migrations)
# Installed packages: none

select = ["all"]            # default
ignore = []                 # default
exclude = []                # default
per-file-ignores = {}       # default
target-django = "4.2"       # default
line-length = 88            # default
batch-size = 500            # default
include-tests = false       # default
include-migrations = false  # default
unsafe-fixes = false        # default
assume-no-signals = []      # default
# python is not set         # default
"#
    );
    let data = data(&project, &[]);
    assert_eq!(data["root"], ".");
    assert_eq!(data["configuration"], Value::Null);
    assert_eq!(data["files"], json!({ "looked_at": 1, "tests": 1, "migrations": 1, "excluded": 0 }));
    // What is off unless selected by name does not run.
    let codemods: Vec<&str> =
        data["codemods"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    assert!(
        codemods.contains(&"select-related") && !codemods.contains(&"filter-before-annotate"),
        "{codemods:?}"
    );
    // The schema names the same defaults.
    let schema = published();
    for key in KEYS {
        let default = schema["properties"][key].get("default").unwrap_or(&Value::Null);
        assert_eq!(&data["settings"][key]["value"], default, "{key}");
    }
    project.assert_unchanged();
}

#[test]
fn from_the_configuration() {
    let project = Project::new(&[
        (
            "pyproject.toml",
            "[project]\nname = 'x'\n\n[tool.ormend]\nselect = [\n    'exists',\n    'bulk-writes',\n]\nignore = ['atomic']\nexclude = ['old/']\n\
             target-django = '5.2'\nline-length = 100\nbatch-size = 1_000\ninclude-tests = true\ninclude-migrations = true\n\
             unsafe-fixes = ['bulk-create']\nassume-no-signals = ['shop.Tag']\npython = 'env'\n\n\
             [tool.ormend.per-file-ignores]\n'scripts/*' = ['values-list']\n",
        ),
        ("env/lib/python3.12/site-packages/x.py", ""),
        ("shop/a.py", ""),
        ("old/b.py", ""),
        ("tests/c.py", ""),
    ]);
    let run = project.run_in("shop", &["config", ".."]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(
        run.stdout,
        r#"# Project root: ..
# Configuration: ../pyproject.toml
# To look at: 2 files; left out 1 excluded file
# Installed packages: ../env/lib/python3.12/site-packages

select = ["exists", "bulk-writes"]  # ../pyproject.toml:5
ignore = ["atomic"]                 # ../pyproject.toml:9
exclude = ["old/"]                  # ../pyproject.toml:10
per-file-ignores = { "scripts/*" = ["values-list"] }  # ../pyproject.toml:20
target-django = "5.2"               # ../pyproject.toml:11
line-length = 100                   # ../pyproject.toml:12
batch-size = 1000                   # ../pyproject.toml:13
include-tests = true                # ../pyproject.toml:14
include-migrations = true           # ../pyproject.toml:15
unsafe-fixes = ["bulk-create"]      # ../pyproject.toml:16
assume-no-signals = ["shop.Tag"]    # ../pyproject.toml:17
python = "env"                      # ../pyproject.toml:18
"#
    );
    let (value, origins) = setting(&project, &[], "unsafe-fixes");
    assert_eq!(value, json!(["bulk-create"]));
    assert_eq!(origins, json!([{ "kind": "configuration", "file": "pyproject.toml", "line": 16 }]));

    // What is printed is a configuration that says the same.
    project.write("pyproject.toml", "");
    project.write("ormend.toml", &run.stdout);
    let again = project.run(&["config"]);
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.contains(" = "));
        lines.map(|line| line.split("  # ").next().unwrap().trim_end().to_owned()).collect()
    };
    assert_eq!(values(&again.stdout), values(&run.stdout));
    assert_eq!(values(&run.stdout).len(), KEYS.len());
    let (_, origins) = setting(&project, &[], "python");
    assert_eq!(origins, json!([{ "kind": "configuration", "file": "ormend.toml", "line": 17 }]));
}

#[test]
fn from_flags() {
    let project = Project::new(&[(
        "ormend.toml",
        "select = ['exists']\nignore = ['count']\nunsafe-fixes = ['bulk-create']\ninclude-tests = false\n",
    )]);
    let flag = |name: &str| json!([{ "kind": "flag", "name": name }]);
    let all = ["--unsafe-fixes", "--include-tests", "--include-migrations"];
    for name in all {
        assert_eq!(
            setting(&project, &all, name.trim_start_matches("--")),
            (json!(true), flag(name)),
            "{name}"
        );
    }
    // What is ignored is put together, unless codemods are selected by hand.
    let file = json!({ "kind": "configuration", "file": "ormend.toml", "line": 2 });
    let (value, origins) = setting(&project, &["--ignore", "atomic"], "ignore");
    assert_eq!((value, origins), (json!(["count", "atomic"]), json!([file, flag("--ignore")[0]])));
    let run = project.run(&["config", "--ignore=atomic"]);
    assert!(
        run.stdout.contains("\nignore = [\"count\", \"atomic\"]    # ormend.toml:2, --ignore\n"),
        "{}",
        run.stdout
    );
    let select = ["--select", "count, values", "--ignore", "values"];
    assert_eq!(setting(&project, &select, "select"), (json!(["count", "values"]), flag("--select")));
    assert_eq!(setting(&project, &select, "ignore"), (json!(["values"]), flag("--ignore")));
    assert_eq!(data(&project, &select)["codemods"], json!(["count"]));
    assert_eq!(setting(&project, &["--select", "count"], "ignore").1, json!([{ "kind": "default" }]));
}

#[test]
fn from_what_other_tools_are_told() {
    let project = Project::new(&[
        ("requirements/base.txt", "-r other.txt\n# the web\nDjango>=5.1\n"),
        ("pyproject.toml", "[tool.black]\nline-length = 79\n"),
        (".venv/lib/python3.12/site-packages/x.py", ""),
        ("a.py", ""),
    ]);
    let at = |file: &str, line: usize| json!([{ "kind": "file", "file": file, "line": line }]);
    assert_eq!(setting(&project, &[], "target-django"), (json!("5.1"), at("requirements/base.txt", 3)));
    assert_eq!(setting(&project, &[], "line-length"), (json!(79), at("pyproject.toml", 2)));
    let found = json!([{ "kind": "found", "file": ".venv" }]);
    assert_eq!(setting(&project, &[], "python"), (json!(".venv"), found));
    let text = project.run(&["config"]).stdout;
    for line in [
        "target-django = \"5.1\"       # requirements/base.txt:3",
        "line-length = 79            # pyproject.toml:2",
        "python = \".venv\"            # found .venv",
        "# Installed packages: .venv/lib/python3.12/site-packages",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
    }

    project.write("ruff.toml", "# ours\nline-length = 120\n");
    assert_eq!(setting(&project, &[], "line-length"), (json!(120), at("ruff.toml", 2)));
    std::fs::remove_file(project.path().join("requirements/base.txt")).unwrap();
    project.write("uv.lock", "version = 1\n\n[[package]]\nname = \"django\"\nversion = \"5.2.3\"\n");
    assert_eq!(setting(&project, &[], "target-django"), (json!("5.2"), at("uv.lock", 5)));

    let elsewhere = Project::new(&[("env/lib/python3.12/site-packages/x.py", "")]);
    let active = elsewhere.path().join("env");
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_ormend"));
    command.args(["config", "--output-format", "json"]).current_dir(project.path());
    let output = command.env("VIRTUAL_ENV", &active).output().unwrap();
    let data: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(data["settings"]["python"]["origins"], json!([{ "kind": "variable", "name": "VIRTUAL_ENV" }]));
    let packages = data["site_packages"].as_str().unwrap();
    assert!(packages.ends_with("env/lib/python3.12/site-packages"), "{packages}");
}

/// Nothing that a file can hold reaches a terminal as it is.
#[test]
fn what_is_shown_is_escaped() {
    let project = Project::new(&[("ormend.toml", "exclude = [\"a\\u001b[31m\u{202e}\"]\n")]);
    let text = project.run(&["config"]).stdout;
    assert!(text.contains("exclude = [") && !text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    assert_eq!(setting(&project, &[], "exclude").0, json!(["a\u{1b}[31m\u{202e}"]));
}

#[test]
fn what_is_wrong_is_said_as_by_check() {
    for text in ["selct = []", "line-length = 3", "select = ['nothing']", "python = 'gone'", "x ="] {
        let project = Project::new(&[("ormend.toml", text), ("a.py", "")]);
        let (config, check) = (project.run(&["config"]), project.run(&["check"]));
        assert_eq!((config.code, config.stdout.as_str()), (2, ""), "{text}");
        assert_eq!((check.code, &config.stderr), (2, &check.stderr), "{text}");
    }
    let project = Project::new(&[("a.py", "")]);
    let run = project.run(&["config", "--select", "exits"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("--select: there is no codemod or group `exits`"), "{}", run.stderr);
    assert_eq!(project.run(&["config", "nowhere"]).code, 2);
}

#[test]
fn the_schema_is_published() {
    let run = Project::new(&[]).run(&["config", "--schema"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let published =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.schema.json")).unwrap();
    assert_eq!(run.stdout, published, "write it with `ormend config --schema > docs/config.schema.json`");
    let schema: Value = serde_json::from_str(&published).unwrap();
    assert!(jsonschema::draft7::meta::is_valid(&schema));
    assert_eq!(schema["additionalProperties"], json!(false));
    let keys: BTreeSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(KEYS));
    for key in KEYS {
        let property = &schema["properties"][key];
        assert!(property["description"].as_str().is_some_and(|text| text.ends_with('.')), "{key}");
        assert!(property.get("default").is_some() || key == "python", "{key}");
        // Whole in itself: it can stand below `tool.ormend` of another schema.
        assert!(!property.to_string().contains("$ref"), "{key}");
    }
    // Every name that a codemod or group has.
    let names = schema["properties"]["select"]["items"]["enum"].as_array().unwrap();
    let listed = Project::new(&[]).run(&["codemods", "--output-format", "json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    for codemod in listed["codemods"].as_array().unwrap() {
        assert!(names.contains(&codemod["name"]) && names.contains(&codemod["group"]), "{codemod}");
    }
    assert!(names.contains(&json!("all")));
}

/// Configurations, and whether they are right.
const CONFIGURATIONS: &[(&str, bool)] = &[
    ("", true),
    ("select = ['all']", true),
    ("select = []", true),
    ("select = ['exists', 'bulk-writes']", true),
    ("select = ['exits']", false),
    ("select = ['Exists']", false),
    ("select = ['']", false),
    ("select = 'exists'", false),
    ("select = [1]", false),
    ("selct = []", false),
    ("Select = []", false),
    ("target_django = '4.2'", false),
    ("ignore = ['projection']", true),
    ("ignore = true", false),
    ("ignore = ['none']", false),
    ("exclude = ['/a/', '*.py', '!b.py', '']", true),
    ("exclude = 'a'", false),
    ("exclude = [['a']]", false),
    ("per-file-ignores = { 'a.py' = ['exists'], '*' = ['all'] }", true),
    ("per-file-ignores = {}", true),
    ("per-file-ignores = { 'a.py' = 'exists' }", false),
    ("per-file-ignores = { 'a.py' = ['exist'] }", false),
    ("per-file-ignores = ['a.py']", false),
    ("target-django = '4.2'", true),
    ("target-django = '5'", true),
    ("target-django = '5.*'", true),
    ("target-django = '4.2.11'", true),
    ("target-django = '4.2.*'", true),
    ("target-django = '12.10'", true),
    ("target-django = 4.2", false),
    ("target-django = ''", false),
    ("target-django = '0.9'", false),
    ("target-django = '>=4.2'", false),
    ("target-django = 'x'", false),
    ("target-django = '-4.2'", false),
    ("target-django = '4.x'", false),
    ("target-django = '100.0'", false),
    ("line-length = 20", true),
    ("line-length = 1000", true),
    ("line-length = 19", false),
    ("line-length = 1001", false),
    ("line-length = -88", false),
    ("line-length = '88'", false),
    ("line-length = 88.5", false),
    ("batch-size = 1", true),
    ("batch-size = 4294967295", true),
    ("batch-size = 4294967296", false),
    ("batch-size = 0", false),
    ("batch-size = -1", false),
    ("batch-size = true", false),
    ("include-tests = true", true),
    ("include-tests = 1", false),
    ("include-tests = 'yes'", false),
    ("include-migrations = false", true),
    ("include-migrations = []", false),
    ("unsafe-fixes = true", true),
    ("unsafe-fixes = false", true),
    ("unsafe-fixes = []", true),
    ("unsafe-fixes = ['bulk-create', 'expressions']", true),
    ("unsafe-fixes = ['bulk']", false),
    ("unsafe-fixes = 'all'", false),
    ("unsafe-fixes = 1", false),
    ("assume-no-signals = ['shop.Book']", true),
    ("assume-no-signals = ['Book']", false),
    ("assume-no-signals = ['a.shop.Book']", false),
    ("assume-no-signals = ['.Book']", false),
    ("assume-no-signals = ['shop.']", false),
    ("assume-no-signals = [1]", false),
    ("assume-no-signals = 'shop.Book'", false),
    ("python = 'env'", true),
    ("python = ['env']", false),
    ("python = true", false),
    ("[select]", false),
];

/// What the schema says otherwise than the reader, on purpose: whether it takes it, and why.
const DISAGREEMENTS: &[(&str, bool, &str)] = &[
    ("exclude = ['a{']", true, "whether a glob is one no schema says"),
    ("per-file-ignores = { 'a{' = ['all'] }", true, "the same of a key"),
    ("python = 'gone'", true, "what is on a disk no schema knows"),
    ("line-length = 88.0", true, "for a schema 88.0 is an integer"),
    ("batch-size = 500.0", true, "the same"),
    ("target-django = ' 4.2 '", false, "one reader of versions is for requirements too, which have spaces"),
    ("target-django = '5.2rc'", false, "and pre-releases"),
    ("target-django = '4.2.1.post1'", false, "and what follows"),
];

#[test]
fn the_schema_and_the_reader_agree() {
    let validator = jsonschema::validator_for(&published()).unwrap();
    let project = Project::new(&[("a.py", ""), ("env/lib/python3.12/site-packages/x.py", "")]);
    // Whether both take it.
    let judge = |text: &str| {
        let table: toml::Table = text.parse().unwrap();
        let by_schema = validator.is_valid(&serde_json::to_value(&table).unwrap());
        project.write("ormend.toml", text);
        let run = project.run(&["config"]);
        assert!(matches!(run.code, 0 | 2), "{text}: {}", run.stderr);
        (by_schema, run.code == 0)
    };
    for (text, is_right) in CONFIGURATIONS {
        assert_eq!(judge(text), (*is_right, *is_right), "(schema, reader) of {text}");
    }
    for (text, by_schema, why) in DISAGREEMENTS {
        assert_eq!(judge(text), (*by_schema, !by_schema), "(schema, reader) of {text}: {why}");
    }
    let right = CONFIGURATIONS.iter().filter(|(_, is_right)| *is_right);
    let covered: BTreeSet<&str> = right.filter_map(|(text, _)| text.split(" = ").next()).collect();
    assert!(KEYS.iter().all(|key| covered.contains(key)), "{covered:?}");
}

/// The schema below `tool.ormend`, as SchemaStore and editors refer to it.
#[test]
fn the_schema_of_a_pyproject() {
    let whole = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": { "tool": { "properties": { "ormend": published() } } },
    });
    let validator = jsonschema::validator_for(&whole).unwrap();
    let is_valid =
        |text: &str| validator.is_valid(&serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap());
    assert!(is_valid("[project]\nname = 'x'\n[tool.ruff]\nx = 1\n[tool.ormend]\nselect = ['exists']"));
    assert!(!is_valid("[tool.ormend]\nselect = ['exits']"));
    assert!(!is_valid("[tool.ormend]\nselct = ['exists']"));
}
