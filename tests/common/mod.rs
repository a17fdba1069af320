//! A project in a temporary directory, and runs of the command over it.

#![allow(dead_code, clippy::unwrap_used)]

pub mod shop;

use assert_cmd::Command;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A project; gone when dropped.
pub struct Project {
    dir: tempfile::TempDir,
    /// What the files are expected to hold.
    files: std::cell::RefCell<BTreeMap<PathBuf, Vec<u8>>>,
}

/// What a run left.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Project {
    pub fn new(files: &[(&str, &str)]) -> Project {
        let project = Project { dir: tempfile::tempdir().unwrap(), files: Default::default() };
        // So that the root is here, whatever lies above the temporary directory.
        fs::create_dir(project.path().join(".git")).unwrap();
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let file = self.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, bytes.as_ref()).unwrap();
        self.files.borrow_mut().insert(path.into(), bytes.as_ref().to_vec());
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path().join(path)).unwrap()
    }

    /// Every file holds what was written to it through [`Project::write`].
    pub fn assert_unchanged(&self) {
        for (path, bytes) in self.files.borrow().iter() {
            assert_eq!(&fs::read(self.path().join(path)).unwrap(), bytes, "{}", path.display());
        }
    }

    /// Run git here; what it prints.
    pub fn git(&self, args: &[&str]) -> String {
        let identity =
            ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"];
        let output = std::process::Command::new("git")
            .args(identity)
            .args(args)
            .current_dir(self.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Make it a repository with everything committed.
    pub fn commit_all(&self) {
        self.git(&["init", "--quiet"]);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "all"]);
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.command("", args, b"")
    }

    pub fn run_in(&self, dir: &str, args: &[&str]) -> Run {
        self.command(dir, args, b"")
    }

    pub fn run_with(&self, args: &[&str], stdin: &[u8]) -> Run {
        self.command("", args, stdin)
    }

    fn command(&self, dir: &str, args: &[&str], stdin: &[u8]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ormend"));
        command.args(args).current_dir(self.path().join(dir)).write_stdin(stdin);
        command.env_remove("VIRTUAL_ENV").env_remove("NO_COLOR").timeout(std::time::Duration::from_secs(120));
        let output = command.output().unwrap();
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
