//! Python for the tests: CPython itself, and environments with Django that the tests make under `target/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The Django versions that are supported.
pub const VERSIONS: [&str; 3] = ["4.2", "5.2", "6.0"];

/// The interpreter of the machine: `ORMEND_TEST_PYTHON`, or `python3`. It must be 3.11 or newer.
pub fn system() -> String {
    std::env::var("ORMEND_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Where the tests keep what they download or make: `target/NAME`.
pub fn target(name: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| super::root().join("target"), PathBuf::from);
    let folder = target.join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Packages that are known by name.
const PACKAGES: [&str; 6] = [
    "djangorestframework>=3.16,<4",
    "jinja2>=3.1,<4",
    "django-tables2>=2.7,<4",
    "django-filter>=24,<27",
    "django-guardian>=3,<4",
    "drf-writable-nested>=0.7,<1",
];

/// The Python of an environment with this version of Django, the packages that are known by name and the driver of
/// PostgreSQL, made on first use.
pub fn django(version: &str) -> PathBuf {
    // Django 6.0 asks for a newer Python than the oldest on which the tests run, and works on it.
    let wanted = format!("django~={version}.0");
    let driver = "psycopg[binary]~=3.2";
    let state = format!("{driver} {}", PACKAGES.join(" "));
    let mut packages = vec!["--ignore-requires-python", &wanted, driver];
    packages.extend(PACKAGES);
    environment(version, &state, "Django", &packages)
}

/// The Python of an environment that drives a browser, made on first use. The browser itself is the system's Chromium.
pub fn browser() -> PathBuf {
    let wanted = "playwright~=1.50";
    environment("browser", wanted, "Playwright", &[wanted])
}

/// The Python of an environment that holds exactly what a file of requirements names, made on first use and whenever
/// the file has changed.
pub fn packages(name: &str, requirements: &Path) -> PathBuf {
    let wanted = fs::read_to_string(requirements).unwrap();
    let file = requirements.to_str().unwrap();
    environment(name, &wanted, name, &["--no-compile", "--no-deps", "--requirement", file])
}

/// Where the packages of an environment are.
pub fn site_packages(python: &Path) -> PathBuf {
    let script = "import sysconfig; print(sysconfig.get_path('purelib'), end='')";
    let output = must(Command::new(python).args(["-c", script]), "asking for the packages' place");
    PathBuf::from(String::from_utf8(output.stdout).unwrap())
}

/// The Python of an environment that holds one package and what it needs, `name==version`, made on first use; or why
/// it cannot be had.
pub fn package(name: &str, version: &str) -> Result<PathBuf, String> {
    let wanted = format!("{name}=={version}");
    try_environment(&format!("peer-{name}"), &wanted, &wanted, &[&wanted])
}

/// The Python of the environment `name`, into which pip installs `what` unless it is `ready` in this state.
fn environment(name: &str, state: &str, what: &str, arguments: &[&str]) -> PathBuf {
    try_environment(name, state, what, arguments).unwrap_or_else(|why| panic!("{why}"))
}

fn try_environment(name: &str, state: &str, what: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    let home = target("ormend-venvs");
    let folder = home.join(name);
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    // Tests run in parallel, in one process and in several; the lock is released when `lock` is dropped.
    let lock = File::create(home.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let ready = folder.join("ready");
    if fs::read_to_string(&ready).is_ok_and(|found| found == state) {
        return Ok(python);
    }
    let _ = fs::remove_dir_all(&folder);
    attempt(Command::new(system()).args(["-m", "venv"]).arg(&folder), "python3 -m venv")?;
    attempt(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(arguments),
        &format!("installing {what} (is the package registry within reach?)"),
    )?;
    fs::write(ready, state).unwrap();
    Ok(python)
}

/// Download a wheel by exact version into `target/ormend-projects`, once, and say where it is.
pub fn wheel(name: &str, version: &str) -> PathBuf {
    let home = target("ormend-projects");
    let folder = home.join(format!("{name}-{version}"));
    let lock = File::create(home.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let find = || {
        let entries = fs::read_dir(&folder).ok()?;
        entries.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|e| e == "whl"))
    };
    if let Some(wheel) = find() {
        return wheel;
    }
    let partial = home.join(format!("{name}-{version}.partial"));
    let _ = fs::remove_dir_all(&partial);
    must(
        Command::new(system())
            .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["--ignore-requires-python", "--only-binary=:all:", "--dest"])
            .arg(&partial)
            .arg(format!("{name}=={version}")),
        &format!("downloading {name} {version} (is the package registry within reach?)"),
    );
    let _ = fs::remove_dir_all(&folder);
    fs::rename(&partial, &folder).unwrap();
    find().unwrap_or_else(|| panic!("pip left no wheel in {}", folder.display()))
}

/// What a project needs to be understood, and no more: images and scripts are left in the wheel.
const SUFFIXES: &str = ".py,.html,.txt,.toml,.cfg";

/// Unpack a wheel, by exact version, into each of `folders`, and make it the root of a project: where its repository is.
pub fn unpack(name: &str, version: &str, folders: &[&Path]) {
    let script = super::root().join("tests/support/unpack.py");
    let mut unpack = Command::new(system());
    unpack.arg(script).arg(wheel(name, version)).arg(SUFFIXES).args(folders);
    must(&mut unpack, "unpacking a wheel");
    for folder in folders {
        fs::create_dir_all(folder.join(".git")).unwrap();
    }
}

/// Compare two trees with CPython: every file of `after` parses if its counterpart in `before` does, and no
/// comment is lost. The answer is one line a problem.
pub fn compare_trees(before: &Path, after: &Path) -> Vec<String> {
    let script = super::root().join("tests/support/compare_trees.py");
    let output = Command::new(system()).arg(script).arg(before).arg(after).output().expect("python3 runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "compare_trees.py failed:\n{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(str::to_owned).collect()
}

/// Run a command that has to succeed.
pub fn must(command: &mut Command, what: &str) -> Output {
    attempt(command, what).unwrap_or_else(|why| panic!("{why}"))
}

/// Run a command, and say why it does not succeed.
fn attempt(command: &mut Command, what: &str) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("{what}: {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("{what} failed: {command:?}\n{out}\n{err}"))
}
