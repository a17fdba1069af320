//! Which template a name stands for, as Django's loaders look it up.
//!
//! Invariant: where the settings do not tell which of several files a name stands for, it stands for none. A template
//! of an installed package is never found; a file of the project that such a package may hide is not either.

use super::ast::{Language, Template};
use super::backends::{self, Backend};
use super::language;
use super::libraries::{self, Libraries};
use super::parse::parse;
use crate::django::Settings;
use crate::django::signs::Signs;
use crate::python::{Def, Program};
use crate::text::{FileId, Site};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Arc, OnceLock};

/// Loaders that hide no file of the project.
const LOADERS: [&str; 6] = [
    "django.template.loaders.",
    "app_namespace.",
    "apptemplates.",
    "template_partials.loader.",
    "django_components.",
    "admin_tools.template_loaders.",
];

/// Directories of templates inside of an app.
const APP_DIRS: [&str; 2] = ["templates", "jinja2"];

/// What endings a template has. `js` and `css` are templates now and then as well.
const ENDINGS: [&str; 18] = [
    "html", "htm", "djhtml", "txt", "xml", "jinja", "jinja2", "j2", "md", "rst", "svg", "js", "css", "json",
    "csv", "mjml", "eml", "tex",
];

/// Whether the file at `path` may be a template: by its ending and a directory that holds templates, one of an app or
/// one of `dirs`, the directories that the settings name; an empty one stands for any.
pub fn is_template_path(path: &str, dirs: &[String]) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    ENDINGS.contains(&ending)
        && (folder.split('/').any(|part| APP_DIRS.contains(&part))
            || dirs.iter().any(|dir| dir.is_empty() || format!("/{folder}/").contains(&format!("/{dir}/"))))
}

/// A template of the project, found by its name.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Its file; spans of the template are spans of it.
    pub file: FileId,
    /// The name by which it was found, which relative names start from.
    pub name: &'a str,
    /// The template.
    pub template: &'a Template,
}

/// The order of a candidate among those of its name: directories in DIRS first, then apps; comparable inside of one
/// settings module only.
type Rank = (u8, FileId, u32);

#[derive(Clone, Copy, Debug)]
struct Candidate {
    file: FileId,
    rank: Option<Rank>,
}

/// The templates of the project by name.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    /// Shared, as what is parsed, by all versions of a project in which nothing changed that it hangs on.
    index: Arc<Index>,
    parsed: Arc<FxHashMap<FileId, OnceLock<Template>>>,
    libraries: Libraries,
}

#[derive(Debug, Default)]
struct Index {
    by_name: FxHashMap<String, Vec<Candidate>>,
    languages: FxHashMap<FileId, Language>,
    told: Told,
}

/// What the index hangs on, besides the templates.
#[derive(Debug, Default, PartialEq)]
struct Told {
    backends: Vec<Backend>,
    /// The directories of installed apps of the project, and where each is named.
    own: FxHashMap<String, Site>,
    /// Apps of installed packages: the first part of their templates' names, and where they are installed.
    foreign: Vec<(String, Site)>,
    /// A loader may find anything anywhere.
    has_unknown_loader: bool,
    /// Settings let templates beside each other be of either language.
    may_be_mixed: bool,
}

impl Templates {
    /// Index the templates among the files of `program`; what was known `before` of the same ones is kept.
    pub(in crate::django) fn new(
        program: &Program,
        settings: &Settings,
        signs: &Signs,
        before: Option<(&Program, &Templates)>,
    ) -> Templates {
        let files: Vec<FileId> =
            program.file_ids().filter(|&id| program.file(id).source.is_template()).collect();
        let source = |program: &Program, file: FileId| {
            program.files().get(file.0 as usize).map(|file| file.source.clone())
        };
        let before = before.filter(|(other, templates)| {
            let is_same = |file: &FileId| {
                let same = source(program, *file).zip(source(other, *file));
                same.is_some_and(|(new, old)| Arc::ptr_eq(&new, &old))
            };
            files.len() == templates.parsed.len() && files.iter().all(is_same)
        });
        let backends = backends::backends(program, settings);
        let libraries = libraries::libraries(program, settings, signs, &backends);
        let has_unknown_loader = backends
            .iter()
            .flat_map(|backend| &backend.loaders)
            .any(|loader| loader.contains('.') && !LOADERS.iter().any(|known| loader.starts_with(known)));
        let may_be_mixed = language::may_be_mixed(program, settings);
        let (own, foreign) = apps(program, settings);
        let told = Told { backends, own, foreign, has_unknown_loader, may_be_mixed };
        match before {
            Some((_, before)) if before.index.told == told => Templates { libraries, ..before.clone() },
            _ => Templates {
                index: Arc::new(Index::new(program, &files, told)),
                parsed: Arc::new(files.iter().map(|&file| (file, OnceLock::new())).collect()),
                libraries,
            },
        }
    }
    /// The template that `name` stands for.
    pub(in crate::django) fn find(
        &self,
        program: &Program,
        name: &str,
        passed: &[FileId],
        from: Option<FileId>,
    ) -> Option<Found<'_>> {
        let file = self.index.resolve(program, name, passed, from)?;
        let (name, _) = self.index.by_name.get_key_value(name)?;
        Some(Found { file, name, template: self.of(program, file)? })
    }

    /// The template in `file`.
    pub(in crate::django) fn of(&self, program: &Program, file: FileId) -> Option<&Template> {
        let language = *self.index.languages.get(&file)?;
        let source = &program.file(file).source;
        source.problem().is_none().then_some(())?;
        Some(self.parsed.get(&file)?.get_or_init(|| parse(source.text(), language)))
    }

    /// Whether others are the same, but for where in `file` tags and filters are registered.
    pub(in crate::django) fn is_like(&self, other: &Templates, file: FileId) -> bool {
        let is_same_index = Arc::ptr_eq(&self.index, &other.index) || self.index.told == other.index.told;
        is_same_index && self.libraries.is_like(&other.libraries, file)
    }

    /// The entries of TEMPLATES.
    pub fn backends(&self) -> &[Backend] {
        &self.index.told.backends
    }

    /// The tags and filters of the project.
    pub fn libraries(&self) -> &Libraries {
        &self.libraries
    }

    /// Every name that some file of the project has.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.by_name.keys().map(String::as_str)
    }
}

impl Index {
    fn new(program: &Program, files: &[FileId], told: Told) -> Index {
        let dirs = dirs(program, &told.backends);
        let mut out = Index { told, ..Index::default() };
        for file in files {
            out.add(program, *file, &dirs);
        }
        for candidates in out.by_name.values_mut() {
            candidates.sort_by_key(|c| (c.rank.is_none(), c.rank, c.file));
            let mut seen = FxHashSet::default();
            candidates.retain(|c| seen.insert(c.file));
        }
        out
    }

    fn add(&mut self, program: &Program, file: FileId, dirs: &[Dir]) {
        let path = program.file(file).source.path();
        let ending = path.rsplit('.').next().unwrap_or("");
        let mut is_jinja = matches!(ending, "jinja" | "jinja2" | "j2");
        let mut languages = Vec::new();
        for dir in dirs {
            if let Some(name) = path.strip_prefix(&*dir.path).and_then(|rest| rest.strip_prefix('/')) {
                languages.push(dir.language);
                self.push(name, file, Some(dir.rank));
            }
        }
        let mut start = 0;
        for part in path.split('/') {
            let end = start + part.len();
            if APP_DIRS.contains(&part)
                && let Some(name) = path.get(end + 1..).filter(|name| !name.is_empty())
            {
                is_jinja |= part == "jinja2";
                let app = path.get(..start.saturating_sub(1)).unwrap_or("");
                let rank = self.told.own.get(app).map(|site| (1, site.file, site.span.start));
                self.push(name, file, rank);
            }
            start = end + 1;
        }
        if languages.is_empty() {
            languages.extend(self.told.backends.iter().map(Backend::language));
        }
        let is_all_jinja = !languages.is_empty() && languages.iter().all(|l| *l == Language::Jinja);
        let by_text = || match self.told.may_be_mixed {
            true => language::written_in(program.file(file).source.text()),
            false => None,
        };
        let language = match is_jinja || is_all_jinja {
            true => Language::Jinja,
            false => by_text().unwrap_or(Language::Django),
        };
        self.languages.insert(file, language);
    }

    fn push(&mut self, name: &str, file: FileId, rank: Option<Rank>) {
        self.by_name.entry(name.to_owned()).or_default().push(Candidate { file, rank });
    }

    /// The file that `name` stands for; one of tests only where there is no other. `passed` are files that the name was
    /// resolved to before, in a chain of templates that extend one of their own name; `from` is the template that names it.
    fn resolve(
        &self,
        program: &Program,
        name: &str,
        passed: &[FileId],
        from: Option<FileId>,
    ) -> Option<FileId> {
        if self.told.has_unknown_loader {
            return None;
        }
        let is_test = |file: FileId| is_test_path(program.file(file).source.path());
        let language = from.filter(|_| self.told.may_be_mixed).and_then(|from| self.languages.get(&from));
        let is_of_engine = |file| language.is_none() || self.languages.get(&file) == language;
        let is_open = |c: &&Candidate| !passed.contains(&c.file) && is_of_engine(c.file);
        let all: Vec<&Candidate> = self.by_name.get(name)?.iter().filter(is_open).collect();
        let own: Vec<&Candidate> = all.iter().copied().filter(|c| !is_test(c.file)).collect();
        let candidates = if own.is_empty() { all } else { own };
        let first = *candidates.first()?;
        let readable = |c: &Candidate| {
            let source = &program.file(c.file).source;
            source.problem().is_none().then(|| source.text())
        };
        let text = readable(first)?;
        let is_clear = candidates.iter().skip(1).all(|other| {
            let is_before = match (first.rank, other.rank) {
                // The order inside of one settings module is that of its text; DIRS come before apps anyway.
                (Some(a), Some(b)) => a.0 < b.0 || a.1 == b.1 && a.2 < b.2,
                _ => false,
            };
            is_before || readable(other) == Some(text)
        });
        let label = name.split('/').next().unwrap_or("");
        let is_hidden = self.told.foreign.iter().any(|(app, site)| {
            app == label
                && match first.rank {
                    Some((0, ..)) => false,
                    Some((_, file, at)) => site.file != file || site.span.start < at,
                    None => true,
                }
        });
        (is_clear && !is_hidden).then_some(first.file)
    }
}

fn is_test_path(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "test" | "testing"))
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// The directories of installed apps of the project, and the labels of those of packages, with where each is named.
fn apps(program: &Program, settings: &Settings) -> (FxHashMap<String, Site>, Vec<(String, Site)>) {
    let mut own = FxHashMap::default();
    let mut foreign = Vec::new();
    for entry in &settings.installed_apps {
        let Some(&site) = settings.sites.get(entry) else { continue };
        let package = entry.split(".apps.").next().unwrap_or(entry);
        let file = match program.dotted(entry, None).or_else(|| program.dotted(package, None)) {
            Some(Def::Module(file)) => Some(file),
            Some(Def::Class(class)) => Some(program.class(class).file),
            _ => None,
        };
        let path = file.map_or("", |file| program.file(file).source.path());
        match file {
            Some(_) if !path.starts_with(crate::python::KNOWN_ROOT) => {
                own.entry(directory(path).to_owned()).or_insert(site);
            }
            _ => {
                let label = package.rsplit('.').next().unwrap_or("").to_owned();
                // The admin brings the templates of the views for passwords as well.
                if label == "admin" {
                    foreign.push(("registration".to_owned(), site));
                }
                foreign.push((label, site));
            }
        }
    }
    (own, foreign)
}

/// A directory of DIRS.
struct Dir {
    path: String,
    rank: Rank,
    language: Language,
}

/// Where the directories of DIRS may be: below each directory around the settings module.
fn dirs(program: &Program, backends: &[Backend]) -> Vec<Dir> {
    let mut out = Vec::new();
    for backend in backends {
        for (index, end) in backend.dirs.iter().enumerate() {
            let mut around = directory(program.file(backend.file).source.path());
            loop {
                let path = if around.is_empty() { end.clone() } else { format!("{around}/{end}") };
                let rank = (0, backend.file, index as u32);
                out.push(Dir { path, rank, language: backend.language() });
                if around.is_empty() {
                    break;
                }
                around = directory(around);
            }
        }
    }
    out
}

/// The name that a tag of the template `current` means by `name`: `./x` and `../x` start from `current`. Nothing
/// where it leads above the directory of templates.
pub fn absolute_name(current: &str, name: &str) -> Option<String> {
    if !name.starts_with("./") && !name.starts_with("../") {
        return Some(name.to_owned());
    }
    let mut parts: Vec<&str> = directory(current).split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
