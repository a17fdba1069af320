//! The files that the tools look at, under `target/ormend-bench`, made anew by each run.
//!
//! All tools get the same tree: application code is a tree that has no tests and migrations, not one whose tests are skipped
//! by those tools that can.

use crate::support::{files_below, python, relative, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A project, by exact version.
pub struct Project {
    /// The name of its package.
    pub name: &'static str,
    version: &'static str,
    /// The module that is changed, and what is not a model: views.
    views: &'static str,
}

/// The projects that are measured. Those of `tests/projects.rs`, so that they are downloaded once.
pub const PROJECTS: [Project; 4] = [
    Project { name: "nautobot", version: "3.2.7", views: "nautobot/dcim/views.py" },
    Project { name: "wagtail", version: "8.0.1", views: "wagtail/admin/views/home.py" },
    Project { name: "weblate", version: "2026.10.1", views: "weblate/trans/views/basic.py" },
    Project { name: "pretix", version: "2026.8.0", views: "pretix/control/views/event.py" },
];

/// What a tree holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Neither tests nor migrations.
    Application,
    /// All of it.
    Everything,
}

impl Project {
    /// The project's name and version.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// Unpack it into `folder`.
    pub fn unpack(&self, code: Code, folder: &Path) {
        python::unpack(self.name, self.version, &[folder]);
        if code == Code::Everything {
            return;
        }
        for file in files_below(folder) {
            let path = relative(folder, &file);
            if path.ends_with(".py") && ormend::is_left_out(&path) {
                fs::remove_file(file).unwrap();
            }
        }
    }

    /// The module of the project at `folder` that is changed.
    pub fn views(&self, folder: &Path) -> Views {
        let file = folder.join(self.views);
        let text = fs::read_to_string(&file).unwrap();
        Views { file, text }
    }
}

/// A module, and its text before all changes.
pub struct Views {
    file: PathBuf,
    text: String,
}

impl Views {
    /// Give its first function one more statement, another one for each `number`.
    pub fn change(&self, number: usize) {
        let mut text = String::with_capacity(self.text.len() + 40);
        let mut is_changed = false;
        for line in self.text.split_inclusive('\n') {
            text.push_str(line);
            let code = line.trim_start();
            if !is_changed && code.starts_with("def ") && line.ends_with("):\n") {
                let indent = &line[..line.len() - code.len()];
                text.push_str(&format!("{indent}    changed = {number}\n"));
                is_changed = true;
            }
        }
        assert!(is_changed, "{} has no function", self.file.display());
        fs::write(&self.file, text).unwrap();
    }
}

/// The folder of a tree, empty.
pub fn folder(name: &str) -> PathBuf {
    let folder = python::target("ormend-bench").join("trees").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A tree with all projects in it, their packages side by side, `times` of each: every copy with names of its own.
pub fn together(name: &str, projects: &[&Project], code: Code, times: usize) -> PathBuf {
    let tree = folder(name);
    let one = folder(&format!("{name}-one"));
    for project in projects {
        let _ = fs::remove_dir_all(&one);
        project.unpack(code, &one);
        let mut copy = Command::new(python::system());
        copy.arg(root().join("benches/peers/copies.py"));
        copy.arg(&one).arg(&tree).arg(project.name).arg(times.to_string());
        python::must(&mut copy, "copying a project under other names");
    }
    fs::remove_dir_all(&one).unwrap();
    fs::create_dir_all(tree.join(".git")).unwrap();
    tree
}

/// How much Python there is below `folder`, in files and bytes.
pub fn size(folder: &Path) -> (usize, u64) {
    let files = files_below(folder).into_iter().filter(|file| file.extension().is_some_and(|e| e == "py"));
    files.fold((0, 0), |(count, bytes), file| (count + 1, bytes + fs::metadata(file).unwrap().len()))
}
