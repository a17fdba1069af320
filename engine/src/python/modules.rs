//! Which file a dotted module path names.
//!
//! A directory counts as a package when it has an `__init__.py`, when it stands inside a package, or when it
//! looks like a Django app (`models.py`, `apps.py`, `migrations`). An absolute import may start at any directory
//! that is not a package, because any of them may be on `sys.path`, and at those that `manage.py` and the like put there.

use super::program::Parsed;
use super::search_path;
use crate::text::FileId;
use rustc_hash::{FxHashMap, FxHashSet};

/// Paths of sources that the engine itself brings along start with this.
pub const KNOWN_ROOT: &str = "<known>/";

/// The modules that the standard library owns (`sys.stdlib_module_names` of Python 3.11 and 3.14). Projects like to
/// use such names inside their own packages.
pub(super) const STANDARD: &[&str] = &[
    "__future__",
    "abc",
    "aifc",
    "annotationlib",
    "argparse",
    "array",
    "ast",
    "asynchat",
    "asyncio",
    "asyncore",
    "atexit",
    "audioop",
    "base64",
    "bdb",
    "binascii",
    "bisect",
    "builtins",
    "bz2",
    "cProfile",
    "calendar",
    "cgi",
    "cgitb",
    "chunk",
    "cmath",
    "cmd",
    "code",
    "codecs",
    "codeop",
    "collections",
    "colorsys",
    "compileall",
    "compression",
    "concurrent",
    "configparser",
    "contextlib",
    "contextvars",
    "copy",
    "copyreg",
    "crypt",
    "csv",
    "ctypes",
    "curses",
    "dataclasses",
    "datetime",
    "dbm",
    "decimal",
    "difflib",
    "dis",
    "distutils",
    "doctest",
    "email",
    "encodings",
    "ensurepip",
    "enum",
    "errno",
    "faulthandler",
    "fcntl",
    "filecmp",
    "fileinput",
    "fnmatch",
    "fractions",
    "ftplib",
    "functools",
    "gc",
    "genericpath",
    "getopt",
    "getpass",
    "gettext",
    "glob",
    "graphlib",
    "grp",
    "gzip",
    "hashlib",
    "heapq",
    "hmac",
    "html",
    "http",
    "imaplib",
    "imghdr",
    "imp",
    "importlib",
    "inspect",
    "io",
    "ipaddress",
    "itertools",
    "json",
    "keyword",
    "linecache",
    "locale",
    "logging",
    "lzma",
    "mailbox",
    "mailcap",
    "marshal",
    "math",
    "mimetypes",
    "mmap",
    "modulefinder",
    "msilib",
    "msvcrt",
    "multiprocessing",
    "netrc",
    "nis",
    "nntplib",
    "nt",
    "ntpath",
    "nturl2path",
    "numbers",
    "opcode",
    "operator",
    "optparse",
    "os",
    "ossaudiodev",
    "pathlib",
    "pdb",
    "pickle",
    "pickletools",
    "pipes",
    "pkgutil",
    "platform",
    "plistlib",
    "poplib",
    "posix",
    "posixpath",
    "pprint",
    "profile",
    "pstats",
    "pty",
    "pwd",
    "py_compile",
    "pyclbr",
    "pydoc",
    "pydoc_data",
    "pyexpat",
    "queue",
    "quopri",
    "random",
    "re",
    "readline",
    "reprlib",
    "resource",
    "rlcompleter",
    "runpy",
    "sched",
    "secrets",
    "select",
    "selectors",
    "shelve",
    "shlex",
    "shutil",
    "signal",
    "site",
    "smtpd",
    "smtplib",
    "sndhdr",
    "socket",
    "socketserver",
    "spwd",
    "sqlite3",
    "sre_compile",
    "sre_constants",
    "sre_parse",
    "ssl",
    "stat",
    "statistics",
    "string",
    "stringprep",
    "struct",
    "subprocess",
    "sunau",
    "symtable",
    "sys",
    "sysconfig",
    "syslog",
    "tabnanny",
    "tarfile",
    "telnetlib",
    "tempfile",
    "termios",
    "textwrap",
    "threading",
    "time",
    "timeit",
    "tkinter",
    "token",
    "tokenize",
    "tomllib",
    "trace",
    "traceback",
    "tracemalloc",
    "tty",
    "turtle",
    "types",
    "typing",
    "unicodedata",
    "unittest",
    "urllib",
    "uu",
    "uuid",
    "venv",
    "warnings",
    "wave",
    "weakref",
    "webbrowser",
    "winreg",
    "winsound",
    "wsgiref",
    "xdrlib",
    "xml",
    "xmlrpc",
    "zipapp",
    "zipfile",
    "zipimport",
    "zlib",
    "zoneinfo",
];

#[derive(Clone, Debug, Default)]
pub(super) struct Modules {
    /// Every dotted name under which a file may be imported absolutely, with the length of the path before it.
    by_name: FxHashMap<String, Vec<(FileId, u32)>>,
    by_path: FxHashMap<String, FileId>,
    /// Directories of files, for relative imports.
    directories: Vec<String>,
}

pub(super) struct Named {
    pub module: String,
    pub is_package: bool,
}

/// Whether a dotted name is one of Django or of Django REST framework, which are known by the names that they document
/// and not by their sources. What they bring along as apps of a project is not.
pub fn is_framework(dotted: &str) -> bool {
    let is_within = |package: &str| {
        dotted.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    (is_within("django") && !is_within("django.contrib"))
        || (is_within("rest_framework") && !is_within("rest_framework.authtoken"))
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c == '_' || c.is_alphanumeric())
}

impl Modules {
    /// Name every source and index the names.
    pub fn build(sources: &[Parsed]) -> (Modules, Vec<Named>) {
        let mut marked: FxHashSet<&str> = FxHashSet::default();
        let mut importable_roots: FxHashSet<String> = FxHashSet::default();
        let mut added = Vec::new();
        for source in sources {
            let (dir, file) = split(source.source().path());
            match file {
                "__init__.py" | "__init__.pyi" | "models.py" | "apps.py" => {
                    marked.insert(dir);
                    if let Some(app) = dir.strip_suffix("/migrations") {
                        marked.insert(app);
                    }
                }
                "manage.py" => {
                    importable_roots.insert(dir.to_owned());
                }
                _ => {}
            }
            added.extend(search_path::added(source));
        }
        if !added.is_empty() {
            let with_sources: FxHashSet<&str> = sources
                .iter()
                .flat_map(|s| {
                    std::iter::successors(Some(split(s.source().path()).0), |d| {
                        (!d.is_empty()).then(|| split(d).0)
                    })
                })
                .collect();
            importable_roots.extend(
                added.into_iter().filter_map(|c| c.into_iter().find(|d| with_sources.contains(d.as_str()))),
            );
        }
        marked.remove("");
        // A directory called like a package but standing for a root of its own.
        let known_root = KNOWN_ROOT.trim_end_matches('/');
        let mut packages: FxHashMap<&str, bool> = FxHashMap::default();
        let mut modules = Modules::default();
        let mut names = Vec::with_capacity(sources.len());
        for (index, source) in sources.iter().enumerate() {
            let id = FileId(index as u32);
            let path = source.source().path();
            let (dir, file) = split(path);
            let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
            let is_package = stem == "__init__";
            // The directories of the path, outermost first, as end offsets into it.
            let ends: Vec<usize> = path.match_indices('/').map(|(i, _)| i).collect();
            let mut package_of: Vec<bool> = Vec::with_capacity(ends.len());
            let mut parent = false;
            for &end in &ends {
                let this = path.get(..end).unwrap_or("");
                let last = split(this).1;
                let inherited = parent;
                parent = *packages
                    .entry(this)
                    .or_insert_with(|| is_identifier(last) && (inherited || marked.contains(this)));
                package_of.push(parent);
            }
            let mut parts: Vec<&str> = path.split('/').collect();
            parts.pop();
            let count = parts.len();
            if !is_package {
                parts.push(stem);
            }
            let root = if path.starts_with(KNOWN_ROOT) {
                1
            } else {
                count - package_of.iter().rev().take_while(|p| **p).count()
            };
            let root = root.min(parts.len().saturating_sub(1));
            names.push(Named { module: parts.get(root..).unwrap_or(&[]).join("."), is_package });
            let starts = if source.source().is_template() { 0 } else { parts.len() };
            for start in 0..starts {
                let before = start.checked_sub(1).and_then(|i| package_of.get(i)).copied().unwrap_or(false);
                let before_path = start.checked_sub(1).and_then(|i| ends.get(i)).and_then(|e| path.get(..*e));
                let allowed = if path.starts_with(KNOWN_ROOT) {
                    start == 1
                } else {
                    !before
                        || before_path.is_some_and(|p| {
                            importable_roots.contains(p) || matches!(split(p).1, "apps" | "src" | "lib")
                        })
                };
                let tail = parts.get(start..).unwrap_or(&[]);
                if allowed && tail.iter().all(|p| is_identifier(p)) {
                    let length =
                        before_path.map_or(0, |p| if p == known_root { u32::MAX } else { p.len() as u32 });
                    modules.by_name.entry(tail.join(".")).or_default().push((id, length));
                }
            }
            modules.by_path.insert(path.to_owned(), id);
            modules.directories.push(dir.to_owned());
        }
        (modules, names)
    }

    /// The file at exactly this path.
    pub fn at_path(&self, path: &str) -> Option<FileId> {
        self.by_path.get(path).copied()
    }

    /// The module called `dotted` as `importer` would see it.
    pub fn lookup(&self, dotted: &str, importer: Option<FileId>) -> Option<FileId> {
        // Django itself is known by names, not by sources: see `known`.
        if is_framework(dotted) {
            return None;
        }
        let candidates = self.by_name.get(dotted)?;
        let top = dotted.split('.').next().unwrap_or("");
        let from = importer.and_then(|i| self.directories.get(i.0 as usize)).map_or("", String::as_str);
        let mut best: Option<([u32; 5], FileId)> = None;
        for &(file, root) in candidates {
            let dir = self.directories.get(file.0 as usize).map_or("", String::as_str);
            let is_known = root == u32::MAX;
            let root_dir = if is_known { "" } else { dir.get(..root as usize).unwrap_or("") };
            let is_above = from == root_dir
                || root_dir.is_empty()
                || from.strip_prefix(root_dir).is_some_and(|rest| rest.starts_with('/'));
            if importer.is_some() && !is_above && (top == dotted || STANDARD.binary_search(&top).is_ok()) {
                let is_module = self.directories.get(file.0 as usize).is_some_and(|d| d == root_dir);
                if is_module || STANDARD.binary_search(&top).is_ok() {
                    continue;
                }
            }
            let shared = common_components(dir, from);
            let key = [u32::from(is_known), u32::from(!is_above), u32::MAX - shared, root, file.0];
            if best.is_none_or(|(k, _)| key < k) {
                best = Some((key, file));
            }
        }
        best.map(|(_, file)| file)
    }

    /// The module that a relative import names.
    pub fn relative(&self, importer: FileId, level: usize, module: &str) -> Relative {
        let mut dir = self.directories.get(importer.0 as usize).map_or("", String::as_str);
        for _ in 1..level {
            if dir.is_empty() {
                return Relative::Outside;
            }
            dir = split(dir).0;
        }
        let mut path = dir.to_owned();
        if !module.is_empty() {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&module.replace('.', "/"));
        }
        match self.in_directory(&path) {
            Some(file) => Relative::File(file),
            None => Relative::Directory(path.strip_prefix(KNOWN_ROOT).unwrap_or(&path).replace('/', ".")),
        }
    }

    /// `path.py` or `path/__init__.py`.
    pub fn in_directory(&self, path: &str) -> Option<FileId> {
        ["/__init__.py", ".py", "/__init__.pyi"].iter().find_map(|suffix| {
            if path.is_empty() {
                self.at_path(suffix.trim_start_matches('/'))
            } else {
                self.at_path(&format!("{path}{suffix}"))
            }
        })
    }

    /// The submodule `name` of a package.
    pub fn submodule(&self, package: FileId, name: &str) -> Option<FileId> {
        let dir = self.directories.get(package.0 as usize)?;
        if dir.is_empty() { self.in_directory(name) } else { self.in_directory(&format!("{dir}/{name}")) }
    }
}

pub(super) enum Relative {
    File(FileId),
    /// A directory without `__init__.py`, by its dotted path from the top.
    Directory(String),
    Outside,
}

fn common_components(a: &str, b: &str) -> u32 {
    a.split('/').zip(b.split('/')).take_while(|(x, y)| x == y).count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_names_are_sorted() {
        assert!(STANDARD.is_sorted());
    }
}
