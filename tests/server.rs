//! The language server with real clients: pytest-lsp (tests/server/*.py) and Neovim (tests/server/neovim.lua), which must be
//! installed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod support;

use common::shop::shop;
use std::path::Path;
use std::process::Command;
use support::{files_below, python, relative, root};

const ORMEND: &str = env!("CARGO_BIN_EXE_ormend");

/// The tests that are run here.
const TESTS: [&str; 6] = [
    "test_actions.py",
    "test_diagnostics.py",
    "test_hover.py",
    "test_latency.py",
    "test_protocol.py",
    "test_workspace.py",
];

/// Run the tests of a file of tests/server with pytest, `project` given to those that ask for one.
fn pytest(file: &str, project: Option<&Path>) {
    let folder = root().join("tests/server");
    let mut run = Command::new(python::packages("server", &folder.join("requirements.txt")));
    run.args(["-B", "-m", "pytest", "--quiet", "--color=no", file]).current_dir(&folder);
    run.env("ORMEND", ORMEND).env_remove("VIRTUAL_ENV");
    if let Some(project) = project {
        run.env("PROJECT", project);
    }
    let output = run.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains(" passed"), "{file}:\n{out}\n{err}");
    assert!(!out.contains("skipped"), "{out}");
}

#[test]
fn actions() {
    pytest("test_actions.py", None);
}

#[test]
fn diagnostics() {
    pytest("test_diagnostics.py", None);
}

#[test]
fn hover() {
    pytest("test_hover.py", None);
}

#[test]
fn latency() {
    let dir = tempfile::tempdir().unwrap();
    python::unpack("nautobot", "3.2.7", &[dir.path()]);
    pytest("test_latency.py", Some(dir.path()));
}

#[test]
fn protocol() {
    pytest("test_protocol.py", None);
}

#[test]
fn workspace() {
    pytest("test_workspace.py", None);
}

#[test]
fn all_files_of_tests_are_run() {
    let folder = root().join("tests/server");
    let names = files_below(&folder).into_iter().map(|file| relative(&folder, &file));
    assert_eq!(names.filter(|name| name.starts_with("test_")).collect::<Vec<_>>(), TESTS);
}

#[test]
fn neovim() {
    let project = shop();
    let mut run = Command::new("nvim");
    run.args(["--headless", "--clean", "-n", "-S"]).arg(root().join("tests/server/neovim.lua"));
    run.env("ORMEND", ORMEND).env("ROOT", project.path().canonicalize().unwrap()).env("HOME", project.path());
    run.env("DOCUMENTED", root().join("docs/editor.md"));
    run.env("XDG_STATE_HOME", project.path().join(".state")).current_dir(project.path());
    let output = run.output().unwrap_or_else(|error| panic!("Neovim does not start: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.ends_with("done"), "{out}\n{err}");
    // What is in buffers is not on disk.
    project.assert_unchanged();
}
