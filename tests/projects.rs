//! Properties that hold over whole real projects: about 1.3 million lines of Django code from the package registry.
//!
//! The wheels are downloaded once into `target/ormend-projects`. Where the registry is out of reach the tests fail.
//! Nothing of these packages is installed or executed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{files_below, python, relative, report, scratch, write};

/// One test a project, by exact version, so that a result can be reproduced.
macro_rules! projects {
    ($($test:ident: $name:literal $version:literal, at least $least:literal files;)*) => {
        $(#[test]
        fn $test() {
            holds($name, $version, $least);
        })*
    };
}

projects! {
    arches: "arches" "8.1.5", at least 500 files;
    django_cms: "django-cms" "5.1.3", at least 400 files;
    django_helpdesk: "django-helpdesk" "2.6.1", at least 80 files;
    django_oscar: "django-oscar" "4.2.1", at least 400 files;
    mezzanine: "mezzanine" "6.1.1", at least 150 files;
    nautobot: "nautobot" "3.2.7", at least 1000 files;
    pretix: "pretix" "2026.8.0", at least 900 files;
    pulpcore: "pulpcore" "3.123.1", at least 400 files;
    wagtail: "wagtail" "8.0.1", at least 1300 files;
    weblate: "weblate" "2026.10.1", at least 800 files;
}

fn holds(name: &str, version: &str, least: usize) {
    let folder = scratch(name);
    let project = Project::unpack(&folder, name, version);
    assert!(project.original.len() >= least, "only {} files were unpacked", project.original.len());
    let mut failures = Vec::new();
    let mut changed = 0;
    for (what, flags) in [("safe", &[][..]), ("unsafe", &["--unsafe-fixes"])] {
        let mut problems = Vec::new();
        let count = project.hold(flags, &mut problems);
        println!("{name} {version}: {what} fixes change {count} files");
        failures
            .extend(problems.into_iter().map(|problem| format!("{name} {version}, {what} fixes: {problem}")));
        changed += count;
        project.restore();
    }
    report("real projects", &failures);
    // The largest project has something for every codemod; a run that changes nothing proves nothing.
    let idle = name == "nautobot" && changed == 0 && !ormend_codemods::ALL.is_empty();
    assert!(!idle, "no file was changed, so nothing was tested");
    fs::remove_dir_all(folder).unwrap();
}

/// A project unpacked twice: once to keep, once to change.
struct Project {
    keep: PathBuf,
    work: PathBuf,
    original: BTreeMap<String, Vec<u8>>,
}

impl Project {
    fn unpack(folder: &Path, name: &str, version: &str) -> Project {
        let (keep, work) = (folder.join("keep"), folder.join("work"));
        python::unpack(name, version, &[&keep, &work]);
        let read = |file: &PathBuf| (relative(&keep, file), fs::read(file).unwrap());
        let original = files_below(&keep).iter().map(read).collect();
        Project { keep, work, original }
    }

    /// Undo whatever a run has left behind.
    fn restore(&self) {
        for (path, bytes) in &self.files() {
            match self.original.get(path) {
                Some(original) if original == bytes => {}
                Some(original) => write(&self.work, path, original),
                None => fs::remove_file(self.work.join(path)).unwrap(),
            }
        }
    }

    /// Check every property; the answer is how many files the fixes change.
    fn hold(&self, flags: &[&str], problems: &mut Vec<String>) -> usize {
        let diff = self.ormend("diff", flags, problems);
        if self.files() != self.original {
            problems.push("`diff` wrote to the project".to_owned());
            return 0;
        }
        let again = self.ormend("diff", flags, problems);
        if diff.stdout != again.stdout {
            problems.push("two runs of `diff` do not say the same".to_owned());
        }
        let patch = self.work.with_file_name("fixes.patch");
        fs::write(&patch, &diff.stdout).unwrap();

        self.ormend("fix", flags, problems);
        let fixed = self.files();
        let changed = fixed.iter().filter(|(path, bytes)| self.original.get(*path) != Some(bytes)).count();
        if fixed.keys().ne(self.original.keys()) {
            problems.push("`fix` made or removed files".to_owned());
        }
        if diff.stdout.is_empty() != (changed == 0) {
            problems.push(format!("`fix` changes {changed} files, `diff` says {} bytes", diff.stdout.len()));
        }
        problems.extend(python::compare_trees(&self.keep, &self.work));

        let second = self.ormend("diff", flags, problems);
        if !second.stdout.is_empty() {
            problems.push(format!("a second run changes something:\n{}", head(&second.stdout)));
        }
        if changed > 0 {
            // Backwards from what `fix` wrote, then forwards again: the patch is the same change in both directions.
            self.apply(&["--check", "-R"], &patch, problems);
            self.apply(&["-R"], &patch, problems);
            self.same("the reverse diff", &self.original, problems);
            self.apply(&["--check"], &patch, problems);
            self.apply(&[], &patch, problems);
            self.same("the diff", &fixed, problems);
        }
        changed
    }

    fn ormend(&self, command: &str, flags: &[&str], problems: &mut Vec<String>) -> Output {
        let mut run = Command::new(env!("CARGO_BIN_EXE_ormend"));
        let output = run.arg(command).args(flags).arg(".").current_dir(&self.work).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if !matches!(output.status.code(), Some(0 | 1)) {
            problems.push(format!("`{command}` ends with {}:\n{}", output.status, head(said.as_bytes())));
        }
        let lower = said.to_lowercase();
        if lower.contains("internal error") || lower.contains("panicked") {
            problems.push(format!("`{command}` speaks of an internal error:\n{said}"));
        }
        output
    }

    fn apply(&self, flags: &[&str], patch: &Path, problems: &mut Vec<String>) {
        let mut git = Command::new("git");
        // Without a repository around, paths are those of the working directory.
        git.arg("apply").args(flags).args(["--whitespace=nowarn"]).arg(patch);
        git.env("GIT_CEILING_DIRECTORIES", std::env::temp_dir()).env("GIT_DIR", self.work.join(".git/none"));
        let output = git.current_dir(&self.work).output().expect("git runs");
        if !output.status.success() {
            let said = head(&output.stderr);
            problems.push(format!("`git apply {}` refuses the diff:\n{said}", flags.join(" ")));
        }
    }

    fn same(&self, what: &str, expected: &BTreeMap<String, Vec<u8>>, problems: &mut Vec<String>) {
        let files = self.files();
        for (path, bytes) in expected {
            if files.get(path) != Some(bytes) {
                problems.push(format!("{what} does not give the same bytes: {path}"));
            }
        }
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let read = |file: &PathBuf| (relative(&self.work, file), fs::read(file).unwrap());
        files_below(&self.work).iter().map(read).collect()
    }
}

fn head(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().take(30).collect::<Vec<_>>().join("\n")
}

/// The checks of a project find what is wrong: a file that no longer parses, and a comment that is gone.
#[test]
fn the_comparison_finds_mistakes() {
    let folder = scratch("comparison");
    let (before, after) = (folder.join("before"), folder.join("after"));
    let files: [(&str, &str, &str); 5] = [
        ("same.py", "x = 1  # one\n", "x = 1  # one\n"),
        ("right.py", "x = 1  # one\n", "y = 1\n# one\n"),
        ("lost.py", "x = 1  # one\n", "x = 1  # two\n"),
        ("broken.py", "x = 1\n", "x = = 1\n"),
        ("never.py", "print 1\n", "print 2\n"),
    ];
    for (path, old, new) in files {
        write(&before, path, old.as_bytes());
        write(&after, path, new.as_bytes());
    }
    let problems = python::compare_trees(&before, &after);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("broken.py: does not parse any more"));
    assert_eq!(problems[1], "lost.py: lost 1x the comment '# one'");
    fs::remove_dir_all(folder).unwrap();
}
