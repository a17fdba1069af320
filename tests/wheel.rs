//! What is installed: the source distribution, the wheel that is built of it, and what takes them from there (pip, the GitHub
//! action, tox, nox, the release). Each is run from the place that it was installed to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod support;

use common::Project;
use common::shop::{MODELS, SETTINGS, TWO_VIEWS as VIEWS};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use support::python::{self, must};
use support::{files_below, relative, root, write};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What was built of the files as they stand.
struct Built {
    sdist: PathBuf,
    /// The source distribution, unpacked.
    source: PathBuf,
    wheel: PathBuf,
    /// Nobody else builds there while these tests run.
    _lock: File,
}

impl Built {
    /// Where both are.
    fn dist(&self) -> &Path {
        self.wheel.parent().unwrap()
    }
}

static BUILT: LazyLock<Built> = LazyLock::new(|| {
    let home = python::target("ormend-wheel");
    let lock = File::create(home.join("lock")).unwrap();
    lock.lock().unwrap();
    let dist = home.join("dist");
    let _ = fs::remove_dir_all(&dist);
    let mut maturin = Command::new(tool("maturin"));
    must(maturin.args(["sdist", "--out"]).arg(&dist).current_dir(root()), "maturin sdist");
    let sdist = dist.join(format!("ormend-{VERSION}.tar.gz"));
    let source = home.join("source");
    unpack(&sdist, &source, &home);

    // A build for tests, in seconds: libraries are those of the tests' own build, which cargo keeps apart from what it makes of
    // our packages, as these have other settings.
    let own: String = ["ormend", "ormend-codemods", "ormend-engine"]
        .map(|name| format!("[profile.dev.package.{name}]\nopt-level = 0\ndebug = false\n"))
        .concat();
    let shared = home.parent().unwrap().canonicalize().unwrap();
    let config = format!("[build]\nbuild-dir = {:?}\n{own}", shared.to_str().unwrap());
    write(&home, ".cargo/config.toml", config.as_bytes());
    // With the tag that pip gives what it builds; `the_action_builds_its_own_source` has pip build it.
    let mut maturin = Command::new(tool("maturin"));
    maturin.args(["build", "--profile", "dev", "--locked", "--compatibility", "linux", "--out"]);
    must(maturin.arg(&dist).current_dir(&source).envs(fast_build()), "maturin build");
    let wheels = files_below(&dist).into_iter().filter(|file| file.extension().is_some_and(|e| e == "whl"));
    let wheels: Vec<PathBuf> = wheels.collect();
    let [wheel] = &wheels[..] else { panic!("maturin left {wheels:?}") };
    let wheel = wheel.clone();
    Built { sdist, source, wheel, _lock: lock }
});

/// The Python of an environment with what builds, installs and checks.
fn tools() -> PathBuf {
    python::packages("wheel", &root().join("tests/wheel/requirements.txt"))
}

/// One of its programs.
fn tool(name: &str) -> PathBuf {
    let tool = tools().with_file_name(name);
    assert!(tool.exists(), "{} is not installed", tool.display());
    tool
}

fn pip() -> Command {
    let mut pip = Command::new(tools());
    pip.args(["-m", "pip", "--disable-pip-version-check", "--quiet"]);
    pip.env("PATH", first_in_path(tools().parent().unwrap())).env_remove("VIRTUAL_ENV");
    pip
}

/// Settings with which a package is built where [`BUILT`] was, without optimizations.
fn fast_build() -> [(&'static str, String); 2] {
    let target = python::target("ormend-wheel").join("target");
    [
        ("CARGO_TARGET_DIR", target.to_str().unwrap().to_owned()),
        ("MATURIN_PEP517_ARGS", "--profile dev --locked".to_owned()),
    ]
}

fn first_in_path(dir: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap();
    std::env::join_paths([dir.to_path_buf()].into_iter().chain(std::env::split_paths(&path))).unwrap()
}

/// Make `folder` what is in the archive. A file that is there already in this form stays as it is, so that cargo sees what has
/// changed: the times of an archive say nothing.
fn unpack(sdist: &Path, folder: &Path, home: &Path) {
    let fresh = home.join("unpacked");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).unwrap();
    must(Command::new("tar").arg("-xzf").arg(sdist).args(["--strip-components=1", "-C"]).arg(&fresh), "tar");
    let names = |folder: &Path| -> BTreeSet<String> {
        files_below(folder).iter().map(|file| relative(folder, file)).collect()
    };
    fs::create_dir_all(folder).unwrap();
    let (new, old) = (names(&fresh), names(folder));
    for gone in old.difference(&new) {
        fs::remove_file(folder.join(gone)).unwrap();
    }
    for name in new {
        let bytes = fs::read(fresh.join(&name)).unwrap();
        if fs::read(folder.join(&name)).ok().as_ref() != Some(&bytes) {
            write(folder, &name, &bytes);
        }
    }
}

/// A fresh environment without anything; the directory of its programs.
fn environment(dir: &Path) -> PathBuf {
    must(Command::new(tools()).args(["-m", "venv", "--without-pip"]).arg(dir), "venv");
    dir.join("bin")
}

/// Install the wheel, with flags of pip and of its `install`.
fn install(global: &[&str], flags: &[&str]) {
    let mut pip = pip();
    pip.args(global).args(["install", "--no-index", "--no-deps"]).args(flags).arg(&BUILT.wheel);
    must(&mut pip, "pip install");
}

/// A copy of the example, as a project of its own.
fn bookshop() -> Project {
    let example = root().join("examples/bookshop");
    let project = Project::new(&[]);
    for file in files_below(&example) {
        if file.extension().is_none_or(|ending| ending != "sqlite3" && ending != "pyc") {
            project.write(&relative(&example, &file), fs::read(&file).unwrap());
        }
    }
    project
}

/// A git repository with six findings in three directories.
fn shop() -> Project {
    let files =
        [("manage.py", ""), ("settings.py", SETTINGS), ("shop/__init__.py", ""), ("shop/models.py", MODELS)];
    let project = Project::new(&files);
    for path in ["shop/views.py", "web/views.py", "scripts/report.py"] {
        project.write(path, VIEWS);
    }
    fs::remove_dir(project.path().join(".git")).unwrap();
    project.commit_all();
    project
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_source_distribution_has_what_a_build_needs() {
    let packed: BTreeSet<String> =
        files_below(&BUILT.source).iter().map(|file| relative(&BUILT.source, file)).collect();
    let mut needed = BTreeSet::from(["PKG-INFO".to_owned()]);
    for file in ["CHANGELOG.md", "Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "pyproject.toml"] {
        needed.insert(file.to_owned());
    }
    for folder in ["codemods", "engine", "python", "src"] {
        needed.extend(files_below(&root().join(folder)).iter().map(|file| relative(root(), file)));
    }
    // What tests read.
    needed.retain(|file| !file.starts_with("codemods/sample/") && !file.contains("/cases/"));
    assert_eq!(packed, needed);
    // Hidden files are none of those.
    let list = must(Command::new("tar").arg("-tzf").arg(&BUILT.sdist), "tar");
    let list = String::from_utf8(list.stdout).unwrap();
    assert_eq!(list.lines().count(), needed.len(), "{list}");
    assert!(list.lines().all(|path| path.starts_with(&format!("ormend-{VERSION}/"))), "{list}");
}

/// What a wheel says of itself.
const DESCRIBE: &str = r#"
import email, json, sys, sysconfig, zipfile
archive = zipfile.ZipFile(sys.argv[1])
def read(end):
    (name,) = (n for n in archive.namelist() if n.endswith(end))
    return archive.read(name).decode()
metadata, wheel = email.message_from_string(read(".dist-info/METADATA")), email.message_from_string(read(".dist-info/WHEEL"))
print(json.dumps({
    "metadata": {key: metadata.get_all(key) for key in set(metadata.keys())},
    "description": metadata.get_payload(),
    "tags": wheel.get_all("Tag"),
    "license": read(".dist-info/licenses/LICENSE"),
    "files": [n for n in archive.namelist() if ".dist-info/" not in n],
    "platform": sysconfig.get_platform().replace("-", "_").replace(".", "_"),
}))
"#;

#[test]
fn the_wheel_says_what_it_is() {
    let output = must(Command::new(tools()).args(["-c", DESCRIBE]).arg(&BUILT.wheel), "python");
    let wheel: Value = serde_json::from_slice(&output.stdout).unwrap();
    let one = |key: &str| {
        let values = wheel["metadata"][key].as_array().unwrap_or_else(|| panic!("{key} is not there"));
        assert_eq!(values.len(), 1, "{key}");
        values[0].as_str().unwrap().to_owned()
    };
    let text = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    assert_eq!((one("Name").as_str(), one("Version").as_str()), (env!("CARGO_PKG_NAME"), VERSION));
    assert_eq!(one("Summary"), env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!(one("License-Expression"), env!("CARGO_PKG_LICENSE"));
    assert_eq!((one("License-File").as_str(), &wheel["license"]), ("LICENSE", &text("LICENSE").into()));
    assert!(one("Description-Content-Type").starts_with("text/markdown;"));
    assert_eq!(wheel["description"].as_str().unwrap().trim(), text("README.md").trim());
    assert_eq!(one("Requires-Python"), ">=3.8");
    let classifiers = wheel["metadata"]["Classifier"].as_array().unwrap();
    assert!(classifiers.contains(&"Framework :: Django".into()), "{classifiers:?}");
    assert!(wheel["metadata"].get("Requires-Dist").is_none());

    let tag = format!("py3-none-{}", wheel["platform"].as_str().unwrap());
    assert_eq!(wheel["tags"], serde_json::json!([tag]));
    let name = BUILT.wheel.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(name, format!("ormend-{VERSION}-{tag}.whl"));
    let mut files: Vec<&str> =
        wheel["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    files.sort_unstable();
    let script = format!("ormend-{VERSION}.data/scripts/ormend");
    let expected = [&script, "ormend/__init__.py", "ormend/__main__.py", "ormend/py.typed"];
    assert_eq!(files, expected);
}

#[test]
fn it_runs_from_an_environment() {
    let dir = tempfile::tempdir().unwrap();
    let bin = environment(dir.path());
    install(&["--python", dir.path().to_str().unwrap()], &[]);
    let project = bookshop();
    let run = |program: &str, args: &[&str]| {
        let mut command = Command::new(bin.join(program));
        command.args(args).current_dir(project.path()).env_remove("VIRTUAL_ENV").env_remove("NO_COLOR");
        command.output().unwrap()
    };
    let built = project.run(&["diff", "--exit-zero", "--no-cache"]);
    assert!(built.stdout.contains("+    for review in Review.objects"), "{}", built.stdout);
    let installed = run("ormend", &["diff", "--exit-zero", "--no-cache"]);
    assert_eq!(installed.status.code(), Some(built.code));
    assert_eq!(String::from_utf8(installed.stdout).unwrap(), built.stdout);
    assert_eq!(String::from_utf8(installed.stderr).unwrap(), built.stderr);

    // As a module: the same arguments, streams and status.
    let version = run("python", &["-m", "ormend", "--version"]);
    assert_eq!((version.status.code(), said(&version)), (Some(0), format!("ormend {VERSION}\n")));
    let checked =
        run("python", &["-m", "ormend", "check", "--output-format", "concise", "catalog/reports.py"]);
    assert_eq!(checked.status.code(), Some(1), "{}", said(&checked));
    assert!(said(&checked).contains("select-related"), "{}", said(&checked));
    let wrong = run("python", &["-m", "ormend", "check", "--no-such-flag", "a b"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said(&wrong).contains("unexpected argument '--no-such-flag'"), "{}", said(&wrong));
    assert_eq!(run("python", &["-m", "ormend", "check", "--exit-zero"]).status.code(), Some(0));
    project.assert_unchanged();

    // Nothing else is run in its place.
    fs::remove_file(bin.join("ormend")).unwrap();
    let gone = run("python", &["-m", "ormend", "--version"]);
    assert_eq!(gone.status.code(), Some(2));
    assert!(said(&gone).contains("install ormend again") && gone.stdout.is_empty(), "{}", said(&gone));
}

#[test]
fn it_is_found_wherever_pip_puts_it() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let version = |python: &Path, variable: &str, value: &str| {
        let mut command = Command::new(python);
        command.args(["-m", "ormend", "--version"]).current_dir(dir.path()).env(variable, value);
        let text = String::from_utf8(must(&mut command, "python -m ormend").stdout).unwrap();
        assert_eq!(text, format!("ormend {VERSION}\n"));
        let mut find = Command::new(python);
        find.args(["-c", "import ormend; print(ormend.find_ormend(), end='')"]).env(variable, value);
        let found = must(find.current_dir(dir.path()), "python");
        PathBuf::from(String::from_utf8(found.stdout).unwrap())
    };
    let find = ["-c", "import sys; print(sys.executable, end='')"];
    let system = said(&must(Command::new(python::system()).args(find), "python"));
    let system_pip = ["--python", system.as_str()];
    let system = Path::new(&system);

    install(&[], &["--target", &place("target")]);
    let found = version(system, "PYTHONPATH", &place("target"));
    assert_eq!(found, dir.path().join("target/bin/ormend"));

    install(&system_pip, &["--ignore-installed", "--prefix", &place("prefix")]);
    let packages = files_below(&dir.path().join("prefix"));
    let packages = packages.iter().find(|file| file.ends_with("ormend/__init__.py")).unwrap();
    let packages = packages.parent().unwrap().parent().unwrap();
    let found = version(system, "PYTHONPATH", packages.to_str().unwrap());
    assert!(found.starts_with(dir.path().join("prefix")) && found.ends_with("bin/ormend"), "{found:?}");

    let user = place("user");
    let mut pip = pip();
    pip.args(system_pip).args(["install", "--no-index", "--no-deps", "--user"]);
    pip.arg(&BUILT.wheel).env("PYTHONUSERBASE", &user).env("PIP_BREAK_SYSTEM_PACKAGES", "1");
    must(&mut pip, "pip install --user");
    assert_eq!(version(system, "PYTHONUSERBASE", &user), Path::new(&user).join("bin/ormend"));
}

/// A YAML file as data.
fn yaml(path: &Path) -> Value {
    let script =
        "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1], encoding='utf-8'))))";
    let output = must(Command::new(tools()).args(["-c", script]).arg(path), "yaml");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a run of the action left.
struct Ran {
    code: Option<i32>,
    /// What its last step printed.
    printed: String,
    summary: String,
    outputs: String,
}

/// Run the action in a repository, as GitHub does: each step by bash, with the inputs that it names in its environment.
/// `runner` is the temporary directory of the job.
fn act(project: &Path, runner: &Path, inputs: &[(&str, &str)], settings: &[(&str, &str)]) -> Ran {
    let action = yaml(&root().join("action.yml"));
    let mut values: BTreeMap<String, String> = action["inputs"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, input)| {
            (name.clone(), input["default"].as_str().expect("an input has a default").to_owned())
        })
        .collect();
    for (name, value) in inputs {
        assert!(values.insert((*name).to_owned(), (*value).to_owned()).is_some(), "there is no input {name}");
    }
    let file = |name: &str| runner.join(name);
    let read = |name: &str| fs::read_to_string(file(name)).unwrap();
    for name in ["path", "output", "summary"] {
        fs::write(file(name), "").unwrap();
    }
    let mut unused: BTreeSet<&str> = values.keys().map(String::as_str).collect();
    let mut ran =
        Ran { code: Some(0), printed: String::new(), summary: String::new(), outputs: String::new() };
    for step in action["runs"]["steps"].as_array().unwrap() {
        let run = step["run"].as_str().unwrap();
        assert_eq!(step["shell"], "bash");
        // A value is data: it never becomes a part of a script.
        assert!(!run.contains("${{") && step.get("if").is_none(), "{step}");
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", run]).current_dir(project);
        for (name, value) in step["env"].as_object().unwrap() {
            let value = value.as_str().unwrap();
            let input = value.strip_prefix("${{ inputs.").and_then(|rest| rest.strip_suffix(" }}"));
            let input = input.unwrap_or_else(|| panic!("{value} is no input"));
            bash.env(name, &values[input]);
            unused.remove(input);
        }
        let paths = read("path");
        let path = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
        bash.env("PATH", std::env::join_paths(paths.lines().map(PathBuf::from).chain(path)).unwrap());
        bash.env("GITHUB_PATH", file("path")).env("GITHUB_OUTPUT", file("output"));
        bash.env("GITHUB_STEP_SUMMARY", file("summary")).env("RUNNER_TEMP", runner);
        bash.env("GITHUB_ACTION_PATH", &BUILT.source).env_remove("VIRTUAL_ENV");
        bash.envs(settings.iter().copied());
        let output = bash.output().unwrap();
        ran.code = output.status.code();
        ran.printed = said(&output);
        if !output.status.success() {
            break;
        }
    }
    (ran.summary, ran.outputs) = (read("summary"), read("output"));
    assert!(unused.is_empty() || ran.code != Some(0), "nothing uses {unused:?}");
    ran
}

#[test]
fn the_action_looks_at_a_repository() {
    let project = shop();
    let runner = tempfile::tempdir().unwrap();
    let dist = BUILT.dist().to_str().unwrap().to_owned();
    // The wheel stands in for the package index.
    let index = [("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", dist.as_str())];
    let inputs = [("version", VERSION), ("sarif", "ormend.sarif")];
    let ran = act(project.path(), runner.path(), &inputs, &index);
    assert_eq!(ran.code, Some(1), "{}", ran.printed);
    assert!(ran.printed.contains("::warning file=scripts/report.py,line=5,"), "{}", ran.printed);
    // What it fails for.
    assert!(ran.printed.contains("+++ b/web/views.py\n"), "{}", ran.printed);
    assert!(ran.summary.starts_with("## ormend: 6 findings in 3 files\n"), "{}", ran.summary);
    assert_eq!(ran.outputs, "sarif=ormend.sarif\n");
    let sarif: Value = serde_json::from_slice(&project.read("ormend.sarif")).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 6);
    let action = yaml(&root().join("action.yml"));
    let output = action["outputs"]["sarif"]["value"].as_str().unwrap();
    let steps = action["runs"]["steps"].as_array().unwrap();
    let writes = steps.iter().find(|step| step["run"].as_str().unwrap().contains("GITHUB_OUTPUT")).unwrap();
    assert_eq!(output, format!("${{{{ steps.{}.outputs.sarif }}}}", writes["id"].as_str().unwrap()));

    // Once more in the same job, of which one part is asked for.
    let part = [
        ("version", VERSION),
        ("paths", "web\nscripts/report.py\n"),
        ("args", "--select exists  --include-tests"),
        ("annotations", "false"),
        ("fail", "false"),
    ];
    let ran = act(project.path(), runner.path(), &part, &index);
    assert_eq!(ran.code, Some(0), "{}", ran.printed);
    assert!(!ran.printed.contains("::") && ran.outputs.is_empty(), "{}", ran.printed);
    assert!(ran.summary.starts_with("## ormend: 2 findings in 2 files\n"), "{}", ran.summary);

    let quiet = [("version", VERSION), ("summary", "false"), ("fail", "false")];
    let ran = act(project.path(), runner.path(), &quiet, &index);
    assert_eq!((ran.code, ran.summary.as_str()), (Some(0), ""), "{}", ran.printed);
    assert!(ran.printed.contains("::warning file=web/views.py,line=5,"), "{}", ran.printed);

    let ran = act(project.path(), runner.path(), &[("version", "99.0")], &index);
    assert_eq!(ran.code, Some(1));
    assert!(ran.printed.contains("ormend==99.0") && ran.summary.is_empty(), "{}", ran.printed);
}

#[test]
fn the_action_builds_its_own_source() {
    let project = shop();
    project.run(&["fix", "--quiet"]);
    let dir = tempfile::tempdir().unwrap();
    // What is built with is pinned as everything else that tests use.
    let requirements = fs::read_to_string(root().join("tests/wheel/requirements.txt")).unwrap();
    let maturin = requirements.lines().find(|line| line.starts_with("maturin==")).unwrap();
    write(dir.path(), "constraint", format!("{maturin}\n").as_bytes());
    let constraint = dir.path().join("constraint");
    let [target, args] = fast_build();
    let settings = [
        ("PIP_CONSTRAINT", constraint.to_str().unwrap()),
        (target.0, target.1.as_str()),
        (args.0, args.1.as_str()),
    ];
    let ran = act(project.path(), dir.path(), &[], &settings);
    assert_eq!((ran.code, ran.outputs.as_str()), (Some(0), ""), "{}", ran.printed);
    assert!(
        ran.printed.contains("No findings. Looked at ") && !ran.printed.contains("::"),
        "{}",
        ran.printed
    );
    assert_eq!(ran.summary, "## ormend\n\nNo findings.\n");
}

#[test]
fn tox_and_nox_run_it() {
    let project = shop();
    for recipe in ["tox.ini", "noxfile.py"] {
        project.write(recipe, fs::read(root().join("docs/recipes").join(recipe)).unwrap());
    }
    let run = |program: &str, args: &[&str]| {
        let mut command = Command::new(tool(program));
        command.args(args).current_dir(project.path()).env_remove("VIRTUAL_ENV");
        command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", BUILT.dist());
        let output = command.output().unwrap();
        (output.status.success(), said(&output))
    };
    let tox = |args: &[&str]| run("tox", &[&["run", "-e", "ormend", "--"], args].concat());
    let nox = |args: &[&str]| run("nox", &[&["--reuse-venv=yes", "-s", "ormend", "--"], args].concat());
    for (name, session) in [("tox", &tox as &dyn Fn(&[&str]) -> (bool, String)), ("nox", &nox)] {
        let (is_fine, text) = session(&["--output-format", "concise"]);
        assert!(!is_fine && text.contains("web/views.py:5:"), "{name}: {text}");
        let (is_fine, text) = session(&["--exit-zero", "--quiet"]);
        assert!(is_fine, "{name}: {text}");
    }
}

/// The steps of a job of the release.
fn steps(job: &str) -> Vec<Value> {
    let release = yaml(&root().join(".github/workflows/release.yml"));
    release["jobs"][job]["steps"].as_array().unwrap_or_else(|| panic!("there is no job {job}")).clone()
}

/// What a step of the release runs.
fn script(job: &str, name: &str) -> String {
    let steps = steps(job);
    let step = steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("{job}: {name}"));
    step["run"].as_str().unwrap().to_owned()
}

#[test]
fn the_commands_of_the_release_run() {
    let dir = tempfile::tempdir().unwrap();
    let environment_dir = dir.path().join("environment");
    let bin = environment(&environment_dir);
    let work = dir.path().join("work");
    fs::create_dir(&work).unwrap();
    for name in [".ci", "examples"] {
        std::os::unix::fs::symlink(root().join(name), work.join(name)).unwrap();
    }
    let bash = |script: &str, dir: &Path, tag: &str| {
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]).current_dir(dir);
        bash.env("PATH", first_in_path(&bin)).env("GITHUB_REF_NAME", tag).env_remove("VIRTUAL_ENV");
        // Where the pip that is found installs to.
        bash.env("PIP_PYTHON", &environment_dir);
        bash.output().unwrap()
    };
    let run = |job: &str, name: &str| {
        let output = bash(&script(job, name), &work, "");
        assert!(output.status.success(), "{job}: {name}: {}", said(&output));
    };
    let tag = script("sdist", "The tag is the version");
    assert!(bash(&tag, root(), &format!("v{VERSION}")).status.success());
    assert!(!bash(&tag, root(), "v99.0").status.success());

    fs::create_dir(work.join("dist")).unwrap();
    for file in [&BUILT.wheel, &BUILT.sdist] {
        fs::copy(file, work.join("dist").join(file.file_name().unwrap())).unwrap();
    }
    // It installs the wheel; the source distribution is installed by `the_action_builds_its_own_source`.
    run("wheel", "It works");
    run("sdist", "It works");
    run("sdist", "Write completions and manual pages");
    run("binaries", "Pack");
    run("binaries", "Checksums are right");

    let release = work.join("release");
    let platform = BUILT.wheel.file_stem().unwrap().to_str().unwrap().replace("-py3-none", "");
    let archive = format!("{platform}.tar.gz");
    let sdist = format!("ormend-{VERSION}.tar.gz");
    let files: Vec<String> = files_below(&release).iter().map(|file| relative(&release, file)).collect();
    assert_eq!(files, ["SHA256SUMS", &archive, &sdist]);
    let sums = fs::read_to_string(release.join("SHA256SUMS")).unwrap();
    let summed: Vec<&str> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
    assert_eq!(summed, [&archive, &sdist]);
    must(Command::new("tar").arg("-xzf").arg(release.join(&archive)).current_dir(dir.path()), "tar");
    let unpacked = dir.path().join(&platform);
    let names: Vec<String> = files_below(&unpacked).iter().map(|file| relative(&unpacked, file)).collect();
    for name in ["CHANGELOG.md", "LICENSE", "README.md", "completions/ormend.zsh", "man/ormend-check.1"] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }
    let version = must(Command::new(unpacked.join("ormend")).arg("--version"), "the packed command");
    assert_eq!(said(&version), format!("ormend {VERSION}\n"));
    // The same again.
    let first = fs::read(release.join(&archive)).unwrap();
    run("binaries", "Pack");
    assert!(fs::read(release.join(&archive)).unwrap() == first, "the archive differs");
}

#[test]
fn the_workflows_are_sound() {
    let mut lint = Command::new(tool("actionlint"));
    lint.args(["-no-color", "-pyflakes="]).current_dir(root());
    lint.arg(format!("-shellcheck={}", tool("shellcheck").display()));
    for folder in [".github/workflows", "docs/recipes"] {
        let files = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        lint.args(files.filter(|file| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name.ends_with(".yml") && !name.starts_with("gitlab")
        }));
    }
    assert!(lint.get_args().count() >= 3 + 3, "{lint:?}");
    let output = lint.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));

    // It looks at the scripts of workflows, and not at those of actions.
    let shellcheck = |arguments: &[&str]| {
        let mut shellcheck = Command::new(tool("shellcheck"));
        shellcheck.args(["--norc", "--color=never"]).args(arguments).current_dir(root()).output().unwrap()
    };
    let action = yaml(&root().join("action.yml"));
    let dir = tempfile::tempdir().unwrap();
    for step in action["runs"]["steps"].as_array().unwrap() {
        write(dir.path(), "step", step["run"].as_str().unwrap().as_bytes());
        let output = shellcheck(&["--shell=bash", dir.path().join("step").to_str().unwrap()]);
        assert!(output.status.success(), "{}: {}", step["name"], said(&output));
    }
    let output = shellcheck(&[".ci/run", "fuzz/run", "docs/recipes/branch-a-part.sh"]);
    assert!(output.status.success(), "{}", said(&output));
    write(dir.path(), "step", b"rm -r $1\n");
    let output = shellcheck(&["--shell=bash", dir.path().join("step").to_str().unwrap()]);
    assert!(said(&output).contains("SC2086"), "{}", said(&output));

    let release = yaml(&root().join(".github/workflows/release.yml"));
    let read_only = serde_json::json!({"contents": "read"});
    assert_eq!(release["permissions"], read_only);
    assert_eq!(yaml(&root().join(".github/workflows/ci.yml"))["permissions"], read_only);
    let mut may_write = BTreeSet::new();
    for (name, job) in release["jobs"].as_object().unwrap() {
        if job.get("permissions").is_some() {
            may_write.insert(name.as_str());
            // Nothing is published that is no release.
            assert_eq!(job["if"], "github.event_name == 'push' && github.ref_type == 'tag'");
        }
        for step in job["steps"].as_array().unwrap() {
            let Some(uses) = step["uses"].as_str() else { continue };
            let (_, version) = uses.split_once("@v").unwrap_or_else(|| panic!("{uses} has no version"));
            assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{uses}");
        }
    }
    assert_eq!(may_write, BTreeSet::from(["github", "pypi"]));
    // What builds is what the tests build with.
    let requirements = fs::read_to_string(root().join("tests/wheel/requirements.txt")).unwrap();
    for job in ["sdist", "wheel"] {
        let steps = steps(job);
        let build = steps.iter().find(|step| step["name"] == "Build").unwrap();
        let version = build["with"]["maturin-version"].as_str().unwrap().trim_start_matches('v');
        assert!(requirements.lines().any(|line| line == format!("maturin=={version}")), "{version}");
    }
}

#[test]
fn the_release_is_for_every_platform() {
    let release = yaml(&root().join(".github/workflows/release.yml"));
    let wheel = &release["jobs"]["wheel"];
    assert_eq!(wheel["runs-on"], "${{ matrix.runner }}");
    let matrix = wheel["strategy"]["matrix"]["include"].as_array().unwrap();
    let mut targets = BTreeSet::new();
    for entry in matrix {
        let [target, runner, manylinux] =
            ["target", "runner", "manylinux"].map(|key| entry[key].as_str().unwrap());
        assert!(targets.insert(target), "{target} is there twice");
        let (processor, system) = target.split_once('-').unwrap();
        let is_arm = processor == "aarch64";
        // The machine is of the target: what was built runs there.
        let (runs, libc) = match system {
            "unknown-linux-gnu" => ("ubuntu-", "2_17"),
            "unknown-linux-musl" => ("ubuntu-", "musllinux_1_2"),
            "apple-darwin" => ("macos-", ""),
            "pc-windows-msvc" => ("windows-", ""),
            _ => panic!("{target}"),
        };
        assert!(runner.starts_with(runs), "{target} on {runner}");
        assert_eq!(manylinux, libc, "{target}");
        match runs {
            // Those of macOS are for ARM by default.
            "macos-" => assert_eq!(runner.ends_with("-intel"), !is_arm, "{target} on {runner}"),
            _ => assert_eq!(runner.ends_with("-arm"), is_arm, "{target} on {runner}"),
        }
    }
    let systems = ["apple-darwin", "pc-windows-msvc", "unknown-linux-gnu", "unknown-linux-musl"];
    let expected: BTreeSet<String> = ["aarch64", "x86_64"]
        .iter()
        .flat_map(|processor| systems.map(|system| format!("{processor}-{system}")))
        .collect();
    assert_eq!(targets, expected.iter().map(String::as_str).collect());

    for (job, target, args) in [
        ("wheel", "${{ matrix.target }}".into(), "--release --locked --out dist"),
        ("sdist", Value::Null, "--out dist"),
    ] {
        let steps = steps(job);
        let build = steps.iter().find(|step| step["name"] == "Build").unwrap();
        assert_eq!((&build["with"]["target"], &build["with"]["args"]), (&target, &args.into()), "{job}");
    }
}

/// The jobs that have ended when `job` begins.
fn before(jobs: &Value, job: &str) -> BTreeSet<String> {
    let needs = match &jobs[job]["needs"] {
        Value::Null => Vec::new(),
        Value::String(one) => vec![one.as_str()],
        many => many.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect(),
    };
    needs.into_iter().flat_map(|name| before(jobs, name).into_iter().chain([name.to_owned()])).collect()
}

#[test]
fn the_jobs_of_the_release_fit_together() {
    let release = yaml(&root().join(".github/workflows/release.yml"));
    let jobs = &release["jobs"];
    // The artifacts that are uploaded or downloaded: the job, the name and the directory.
    let artifacts = |action: &str| -> Vec<(String, String, String)> {
        let mut all = Vec::new();
        for (job, content) in jobs.as_object().unwrap() {
            for step in content["steps"].as_array().unwrap() {
                if step["uses"].as_str().is_some_and(|uses| uses.starts_with(action)) {
                    let with = &step["with"];
                    let name = with["name"].as_str().or(with["pattern"].as_str()).unwrap();
                    all.push((job.clone(), name.to_owned(), with["path"].as_str().unwrap().to_owned()));
                }
            }
        }
        all
    };
    let uploaded = artifacts("actions/upload-artifact@");
    let mut taken = Vec::new();
    for (job, name, path) in artifacts("actions/download-artifact@") {
        let fits = |other: &str| match name.strip_suffix('*') {
            Some(start) => other.starts_with(start),
            None => other == name,
        };
        let sources: Vec<&str> =
            uploaded.iter().filter(|(_, other, _)| fits(other)).map(|(job, ..)| job.as_str()).collect();
        assert!(!sources.is_empty(), "{job} downloads {name}, which nothing uploads");
        let ended = before(jobs, &job);
        for source in &sources {
            assert!(ended.contains(*source), "{job} downloads {name} of {source}, and does not wait for it");
        }
        assert_eq!(path, name.trim_end_matches("-*"), "{job}");
        taken.push(format!("{job}: {name} of {}", sources.join(", ")));
    }
    taken.sort_unstable();
    let expected = [
        "binaries: dist-* of sdist, wheel",
        "binaries: extra of sdist",
        "github: release of binaries",
        "pypi: dist-* of sdist, wheel",
    ];
    assert_eq!(taken, expected);
    let paths: BTreeSet<(&str, &str)> =
        uploaded.iter().map(|(_, name, path)| (name.as_str(), path.as_str())).collect();
    let expected = BTreeSet::from([
        ("dist-${{ matrix.target }}", "dist"),
        ("dist-sdist", "dist"),
        ("extra", "extra"),
        ("release", "release"),
    ]);
    assert_eq!(paths, expected);
    // What is published was packed and checked before.
    assert!(before(jobs, "pypi").contains("binaries") && before(jobs, "github").contains("pypi"));
}

#[test]
fn an_archive_is_as_its_platform_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (dist, out) = (dir.path().join("dist"), dir.path().join("out"));
    write(dir.path(), "extra/man/ormend.1", b".TH ormend 1\n");
    write(&dist, "ormend-1.0.tar.gz", b"source");
    let wheels = [("manylinux_2_17_x86_64.manylinux2014_x86_64", "ormend"), ("win_arm64", "ormend.exe")];
    let make = "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').writestr(sys.argv[2], 'binary')";
    let pack = || {
        let script = root().join(".ci/pack.py");
        let mut pack = Command::new(tools());
        pack.arg(script).arg(&dist).arg(dir.path().join("extra")).arg(&out).output().unwrap()
    };
    // A release without wheels is none.
    let failed = pack();
    assert!(failed.status.code() == Some(1) && said(&failed).contains("must hold wheels"), "{failed:?}");
    for (platform, binary) in wheels {
        let wheel = dist.join(format!("ormend-1.0-py3-none-{platform}.whl"));
        let script = format!("ormend-1.0.data/scripts/{binary}");
        must(Command::new(tools()).args(["-c", make]).arg(wheel).arg(script), "zipfile");
    }
    let packed = pack();
    assert!(packed.status.success(), "{}", said(&packed));
    let (linux, windows) = ("ormend-1.0-manylinux_2_17_x86_64", "ormend-1.0-win_arm64");
    let names: Vec<String> = files_below(&out).iter().map(|file| relative(&out, file)).collect();
    let expected = ["SHA256SUMS", &format!("{linux}.tar.gz"), &format!("{windows}.zip"), "ormend-1.0.tar.gz"];
    assert_eq!(names, expected);
    let list = "import sys, zipfile; print('\\n'.join(zipfile.ZipFile(sys.argv[1]).namelist()))";
    let zip = out.join(format!("{windows}.zip"));
    let zipped = said(&must(Command::new(tools()).args(["-c", list]).arg(zip), "zipfile"));
    let tarred = said(&must(Command::new("tar").arg("-tf").arg(out.join(format!("{linux}.tar.gz"))), "tar"));
    for (list, top, binary) in [(zipped, windows, "ormend.exe"), (tarred, linux, "ormend")] {
        let files = ["CHANGELOG.md", "LICENSE", "README.md", "man/ormend.1", binary];
        let files: Vec<String> = files.iter().map(|file| format!("{top}/{file}")).collect();
        assert_eq!(list.lines().collect::<Vec<_>>(), files);
    }
}
