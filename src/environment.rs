//! The packages installed in the project's environment: the source files of those modules that the project
//! builds on, for the index. They are read, never executed.

use crate::escape::escape_path;
use crate::read;
use crate::settings::{Origin, Setting};
use crate::stat::Stat;
use ormend_engine::python::is_framework;
use ormend_engine::rewrite::{InputFile, Role};
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// Bounds on what is read, so that an environment full of large packages costs a bounded time.
const MAX_FILES: usize = 1500;
const MAX_BYTES: usize = 24 << 20;
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The variable that names the environment that is active.
const ACTIVE: &str = "VIRTUAL_ENV";

/// What the environment of a project is called in its root.
const DIRECTORIES: [&str; 2] = [".venv", "venv"];

/// Modules of an installed app that may hold models, managers or receivers.
const APP_MODULES: [&str; 7] = ["models", "managers", "querysets", "signals", "receivers", "apps", "fields"];

/// An environment.
#[derive(Clone, Debug)]
pub struct Environment {
    /// What names it: its directory, its interpreter, or its directory of packages.
    pub path: PathBuf,
    /// Its directory of packages.
    pub site_packages: PathBuf,
}

/// What was read of an environment.
#[derive(Debug, Default)]
pub struct Packages {
    /// The modules, by path.
    pub files: Vec<InputFile>,
    /// The directories and files that this depends on, and what the system told of them before they were read; none where it
    /// does not tell enough.
    pub watched: Option<BTreeMap<PathBuf, Stat>>,
}

/// The environment of the project at `root`: what the configuration names, else VIRTUAL_ENV, else `.venv` or
/// `venv` in the root.
pub fn find(
    root: &Path,
    configured: Option<Setting<PathBuf>>,
) -> miette::Result<Option<Setting<Environment>>> {
    if let Some(Setting { value: path, origins }) = configured {
        return match site_packages(&path) {
            Some(site_packages) => Ok(Some(Setting { value: Environment { path, site_packages }, origins })),
            None => Err(miette::miette!(
                help = "give the directory of a virtual environment, or its python, relative to the configuration",
                "`python` in the configuration names no Python environment: `{}`",
                escape_path(&path)
            )),
        };
    }
    let active = std::env::var_os(ACTIVE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let beside = DIRECTORIES.map(|name| root.join(name)).map(|path| (path.clone(), Origin::Found(path)));
    let candidates = active.map(|path| (path, Origin::Variable(ACTIVE))).into_iter().chain(beside);
    let mut found = candidates.filter_map(|(path, origin)| {
        let site_packages = site_packages(&path)?;
        Some(Setting::new(Environment { path, site_packages }, origin))
    });
    Ok(found.next())
}

/// The packages below an environment's directory, for which its interpreter may stand, or itself.
fn site_packages(python: &Path) -> Option<PathBuf> {
    if python.file_name().is_some_and(|name| name == "site-packages") && python.is_dir() {
        return Some(python.to_path_buf());
    }
    // `.venv/bin/python` is a link to the system's python: the environment is two above the link itself.
    let dir = if python.is_file() { python.parent()?.parent()? } else { python };
    let mut found: Vec<((u32, u32), PathBuf)> = fs::read_dir(dir.join("lib"))
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let (major, minor) = name.to_str()?.strip_prefix("python")?.split_once('.')?;
            let path = dir.join("lib").join(&name).join("site-packages");
            path.is_dir().then_some(((major.parse().ok()?, minor.parse().ok()?), path))
        })
        .collect();
    found.sort();
    let windows = dir.join("Lib").join("site-packages");
    found.pop().map(|(_, path)| path).or_else(|| windows.is_dir().then_some(windows))
}

impl Environment {
    /// The installed modules that `files` build on: those that they import, those of INSTALLED_APPS that may
    /// hold models or receivers, and what these import in turn. Django and Django REST framework are known without being
    /// read.
    pub fn read_needed(&self, files: &[InputFile]) -> Packages {
        let own = top_packages(files);
        let is_foreign = |name: &String| {
            let top = name.split('.').next().unwrap_or_default();
            !own.contains(top) && !is_known(name)
        };
        let (names, apps): (Vec<Vec<String>>, Vec<Vec<String>>) = files
            .par_iter()
            .filter(|file| file.role != Role::Template)
            .map(|file| {
                let text = String::from_utf8_lossy(&file.bytes);
                let names = imports(&text, &package_of(&file.path)).into_iter().filter(is_foreign).collect();
                (names, installed_apps(&text).into_iter().filter(is_foreign).collect())
            })
            .unzip();
        self.read_modules(&names.concat(), &apps.concat())
    }

    /// The source files of the modules called `names` (dotted) and of the `apps`, of the packages around them,
    /// and of what they import in turn. A name of a class or function stands for the module that holds it.
    pub fn read_modules(&self, names: &[String], apps: &[String]) -> Packages {
        let mut reader = Reader::new(self);
        for name in names {
            reader.want(name);
        }
        for app in apps {
            reader.want_app(app);
        }
        reader.follow();
        reader.finish()
    }
}

/// Reads modules once, within the bounds.
struct Reader<'a> {
    environment: &'a Environment,
    seen: FxHashSet<String>,
    queue: VecDeque<usize>,
    files: Vec<InputFile>,
    bytes: usize,
    watched: Option<BTreeMap<PathBuf, Stat>>,
}

impl<'a> Reader<'a> {
    fn new(environment: &'a Environment) -> Reader<'a> {
        let (seen, queue) = (FxHashSet::default(), VecDeque::new());
        Reader { environment, seen, queue, files: Vec::new(), bytes: 0, watched: Some(BTreeMap::new()) }
    }

    /// Read the module `name`, or the longest part of the name that is one, with the packages around it.
    fn want(&mut self, name: &str) -> Option<PathBuf> {
        if !name.split('.').all(is_identifier) || !self.seen.insert(name.to_string()) {
            return None;
        }
        let mut dir = self.environment.site_packages.clone();
        let mut path = String::new();
        for part in name.split('.') {
            let module = format!("{path}{part}.py");
            self.watch(&dir);
            dir.push(part);
            if self.metadata(&dir).is_some_and(|metadata| metadata.is_dir()) {
                path.push_str(part);
                path.push('/');
                self.read(format!("{path}__init__.py"));
            } else {
                self.read(module);
                return None;
            }
        }
        self.watch(&dir);
        Some(dir)
    }

    /// What the system tells of `path`, links followed. Nothing that is watched shows when the target of a link turns up, or may
    /// be looked at again.
    fn metadata(&mut self, path: &Path) -> Option<Metadata> {
        let error = match fs::metadata(path) {
            Ok(metadata) => return Some(metadata),
            Err(error) => error,
        };
        if error.kind() != io::ErrorKind::NotFound || fs::symlink_metadata(path).is_ok() {
            self.watched = None;
        }
        None
    }

    /// Note that what is read depends on `path`, before it is looked into.
    fn watch(&mut self, path: &Path) {
        let Some(watched) = &mut self.watched else { return };
        if watched.contains_key(path) {
            return;
        }
        match Stat::at(path) {
            Some(stat) => drop(watched.insert(path.to_path_buf(), stat)),
            None => self.watched = None,
        }
    }

    /// Read what an app of INSTALLED_APPS may declare models and receivers in.
    fn want_app(&mut self, app: &str) {
        // `shop.apps.ShopConfig` stands for the app `shop`.
        let app = app.split(".apps.").next().unwrap_or(app);
        let Some(dir) = self.want(app) else { return };
        for module in APP_MODULES {
            let name = format!("{app}.{module}");
            if let Some(package) = self.want(&name).filter(|package| package.starts_with(&dir)) {
                let Ok(entries) = fs::read_dir(package) else {
                    self.watched = None;
                    continue;
                };
                let mut children: Vec<String> = entries
                    .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                    .filter_map(|file| Some(file.strip_suffix(".py")?.to_string()))
                    .collect();
                children.sort();
                for child in children {
                    self.want(&format!("{name}.{child}"));
                }
            }
        }
    }

    fn read(&mut self, path: String) {
        if self.files.len() >= MAX_FILES || self.bytes >= MAX_BYTES || !self.seen.insert(path.clone()) {
            return;
        }
        let file = self.environment.site_packages.join(&path);
        let Some(metadata) = self.metadata(&file) else { return };
        self.watch(&file);
        if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
            return;
        }
        let Ok((bytes, stat)) = read::with_stat(&file, usize::MAX) else {
            self.watched = None;
            return;
        };
        if self.watched.as_ref().is_some_and(|watched| watched.get(&file) != stat.as_ref()) {
            self.watched = None;
        }
        self.bytes += bytes.len();
        self.queue.push_back(self.files.len());
        self.files.push(InputFile { path, bytes, role: Role::Environment });
    }

    /// Read what the files read so far import. Only packages and modules that name Django can matter to it.
    fn follow(&mut self) {
        while let Some(index) = self.queue.pop_front() {
            let Some(file) = self.files.get(index) else { continue };
            if !matters(file) {
                continue;
            }
            let names = imports(&String::from_utf8_lossy(&file.bytes), &package_of(&file.path));
            for name in names {
                if !is_known(&name) {
                    self.want(&name);
                }
            }
        }
    }

    fn finish(mut self) -> Packages {
        self.files.retain(matters);
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        Packages { files: self.files, watched: self.watched }
    }
}

/// Whether the engine knows a module by the names that it documents.
fn is_known(name: &str) -> bool {
    name.split('.').next() == Some("django") || is_framework(name)
}

fn matters(file: &InputFile) -> bool {
    if file.path.ends_with("__init__.py") {
        return true;
    }
    let text = String::from_utf8_lossy(&file.bytes);
    text.contains("django") || text.contains("Django")
}

fn is_identifier(text: &str) -> bool {
    text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The dotted package that a module at `path` stands in.
fn package_of(path: &str) -> String {
    path.rsplit_once('/').map(|(dir, _)| dir.replace('/', ".")).unwrap_or_default()
}

/// The names of the project's own top-level packages and modules.
fn top_packages(files: &[InputFile]) -> FxHashSet<String> {
    let packages: FxHashSet<&str> =
        files.iter().filter_map(|file| file.path.strip_suffix("/__init__.py")).collect();
    files
        .iter()
        .filter_map(|file| {
            let mut top = file.path.strip_suffix("/__init__.py").or_else(|| file.path.strip_suffix(".py"))?;
            while let Some((parent, _)) = top.rsplit_once('/').filter(|(parent, _)| packages.contains(parent))
            {
                top = parent;
            }
            Some(top.rsplit('/').next().unwrap_or(top).to_string())
        })
        .collect()
}

/// The dotted names that a module in `package` imports, read off its lines: a superset is harmless here, since
/// it only decides what is read.
fn imports(text: &str, package: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim_start();
        if let Some(list) = line.strip_prefix("import ") {
            names.extend(
                list.split(',').filter_map(|item| item.split_whitespace().next()).map(str::to_string),
            );
        } else if let Some((module, list)) =
            line.strip_prefix("from ").and_then(|rest| rest.split_once(" import"))
        {
            let Some(module) = absolute(module.trim(), package) else { continue };
            let mut list = list.to_string();
            while list.contains('(') && !list.contains(')') && list.len() < 10_000 {
                let Some(next) = lines.next() else { break };
                list.push('\n');
                list.push_str(next.split('#').next().unwrap_or(next));
            }
            let items = list.split(['(', ')', ',', '\n']).filter_map(|item| item.split_whitespace().next());
            names.extend(items.filter(|item| is_identifier(item)).map(|item| format!("{module}.{item}")));
            names.push(module);
        }
    }
    names
}

/// `..models` in `a.b.c` is `a.b.models`.
fn absolute(module: &str, package: &str) -> Option<String> {
    let name = module.trim_start_matches('.');
    let dots = module.len() - name.len();
    if dots == 0 {
        return Some(name.to_string());
    }
    let parts: Vec<&str> = package.split('.').collect();
    let kept = parts.get(..(parts.len() + 1).checked_sub(dots)?)?.join(".");
    Some(match (kept.is_empty(), name.is_empty()) {
        (true, _) => name.to_string(),
        (false, true) => kept,
        (false, false) => format!("{kept}.{name}"),
    })
}

/// The dotted strings of a module that sets INSTALLED_APPS.
fn installed_apps(text: &str) -> Vec<String> {
    if !text.contains("INSTALLED_APPS") {
        return Vec::new();
    }
    text.lines()
        .flat_map(|line| line.split(['"', '\'']).skip(1).step_by(2))
        .filter(|string| string.len() < 200 && string.split('.').all(is_identifier))
        .map(str::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(files: &[(&str, &str)]) -> (tempfile::TempDir, Environment) {
        let dir = tempfile::tempdir().unwrap();
        let packages = dir.path().join("lib/python3.12/site-packages");
        for (name, text) in files {
            let path = packages.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let configured = Some(Setting::default(dir.path().to_path_buf()));
        let environment = find(dir.path(), configured).unwrap().unwrap().value;
        (dir, environment)
    }

    fn paths(files: &[InputFile]) -> Vec<&str> {
        files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn modules_by_name() {
        let (_dir, environment) = environment(&[
            ("a/__init__.py", ""),
            ("a/models.py", "from django.db import models"),
            ("a/other.py", "django"),
            ("single.py", "# Django"),
        ]);
        let files = environment
            .read_modules(&["a.models.Base", "single", "gone.x", "../etc", "a..b"].map(String::from), &[]);
        assert_eq!(paths(&files.files), ["a/__init__.py", "a/models.py", "single.py"]);
        assert!(files.files.iter().all(|file| file.role == Role::Environment));
        // Where something was looked for, be it there or not.
        let watched = files.watched.unwrap_or_default().into_keys();
        let watched: Vec<PathBuf> =
            watched.map(|path| path.strip_prefix(&environment.site_packages).unwrap().to_owned()).collect();
        assert_eq!(watched, ["", "a", "a/__init__.py", "a/models.py", "single.py"].map(PathBuf::from));
    }

    #[test]
    fn what_the_project_builds_on() {
        let (_dir, environment) = environment(&[
            ("tree/__init__.py", "from .base import Node\n"),
            (
                "tree/base.py",
                "from django.db import models\nfrom tree.managers import (\n    M, # x\n    N)\n",
            ),
            ("tree/managers.py", "import django"),
            ("tree/unused.py", "import django"),
            ("audit/__init__.py", ""),
            ("audit/models/__init__.py", ""),
            ("audit/models/log.py", "from django.db import models"),
            ("django/db/models.py", "django"),
            ("rest_framework/__init__.py", ""),
            ("rest_framework/generics.py", "import django"),
            ("rest_framework/authtoken/__init__.py", ""),
            (
                "rest_framework/authtoken/models.py",
                "from django.db import models\nfrom rest_framework import views",
            ),
            ("rest_framework/views.py", "import django"),
            ("shop/models.py", "django"),
        ]);
        let file = |path: &str, text: &str| InputFile {
            path: path.into(),
            bytes: text.as_bytes().to_vec(),
            role: Role::Scan,
        };
        let files = [
            file("shop/__init__.py", ""),
            file("shop/models.py", "from django.db import models\nfrom tree import Node\nimport shop.models"),
            file(
                "shop/api.py",
                "from rest_framework import generics\nfrom rest_framework.generics import ListAPIView",
            ),
            file(
                "config/settings.py",
                "INSTALLED_APPS = [\n    'audit.apps.AuditConfig', \"django.contrib.auth\",\n'rest_framework', 'rest_framework.authtoken']",
            ),
        ];
        let read = environment.read_needed(&files);
        assert_eq!(
            paths(&read.files),
            [
                "audit/__init__.py",
                "audit/models/__init__.py",
                "audit/models/log.py",
                "rest_framework/__init__.py",
                "rest_framework/authtoken/__init__.py",
                "rest_framework/authtoken/models.py",
                "tree/__init__.py",
                "tree/base.py",
                "tree/managers.py"
            ]
        );
    }

    #[test]
    fn relative_imports() {
        assert_eq!(absolute(".x", "a.b").as_deref(), Some("a.b.x"));
        assert_eq!(absolute("..x", "a.b").as_deref(), Some("a.x"));
        assert_eq!(absolute(".", "a.b").as_deref(), Some("a.b"));
        assert_eq!(absolute("....x", "a.b"), None);
    }

    #[test]
    fn a_configured_environment_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        assert!(find(dir.path(), Some(Setting::default(dir.path().join("gone")))).is_err());
    }
}
