//! What the project says of itself in files that are not ours: the oldest Django it supports, its line length, and where.
//! These are read leniently: what cannot be understood says nothing.

use crate::config::LINE_LENGTHS;
use crate::read;
use crate::settings::{Origin, Place, Setting};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Major and minor.
type Version = (u8, u8);

/// A value, and the offset in its file of what says it.
type At<T> = (T, usize);

/// `4.2` of "4.2", "4.2.11", "4" or "4.2.*".
pub fn version(text: &str) -> Option<Version> {
    let mut parts = text.trim().split('.');
    let major = parts.next()?.parse().ok().filter(|major| (1..=99).contains(major))?;
    let minor = match parts.next() {
        None | Some("*") => 0,
        Some(part) => part.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()?,
    };
    Some((major, minor))
}

/// The oldest Django that the project supports, as its pyproject, requirements or lock files say; in that
/// order, since a lock file only tells what is installed.
pub fn django(dirs: &[&Path]) -> Option<Setting<Version>> {
    dirs.iter().find_map(|dir| {
        let pyproject = File::read(dir.join("pyproject.toml"));
        let in_pyproject =
            |find: fn(&DeTable) -> Option<At<Version>>| pyproject.as_ref()?.find_in_table(find);
        in_pyproject(of_pyproject)
            .or_else(|| File::read(dir.join("setup.cfg"))?.find(of_requirements))
            .or_else(|| requirements(dir))
            .or_else(|| {
                File::read(dir.join("Pipfile"))?
                    .find_in_table(|pipfile| of_dependency_table(pipfile.get("packages")?.get_ref()))
            })
            .or_else(|| in_pyproject(of_classifiers))
            .or_else(|| locked(dir))
    })
}

/// The line length that ruff or black is told.
pub fn line_length(dirs: &[&Path]) -> Option<Setting<usize>> {
    let number = |table: &DeTable| -> Option<At<usize>> {
        let value = table.get("line-length")?;
        let integer = value.get_ref().as_integer()?;
        Some((usize::from_str_radix(integer.as_str(), integer.radix()).ok()?, value.span().start))
    };
    dirs.iter().find_map(|dir| {
        ["ruff.toml", ".ruff.toml"]
            .iter()
            .find_map(|name| File::read(dir.join(name))?.find_in_table(number))
            .or_else(|| {
                File::read(dir.join("pyproject.toml"))?.find_in_table(|pyproject| {
                    let tools = pyproject.get("tool")?.get_ref();
                    ["ruff", "black"].iter().find_map(|tool| number(tools.get(*tool)?.get_ref().as_table()?))
                })
            })
            .filter(|length| LINE_LENGTHS.contains(&length.value))
    })
}

/// A file of the project that can be read.
struct File {
    path: PathBuf,
    text: String,
}

impl File {
    fn read(path: PathBuf) -> Option<File> {
        let text = String::from_utf8_lossy(&read::file(&path).ok()?).into_owned();
        Some(File { path, text })
    }

    /// What `find` finds in the text, and its place.
    fn find<T>(&self, find: impl FnOnce(&str) -> Option<At<T>>) -> Option<Setting<T>> {
        let (value, offset) = find(&self.text)?;
        Some(Setting::new(value, Origin::File(Place::new(&self.path, &self.text, offset))))
    }

    /// The same in the TOML document that the text is.
    fn find_in_table<T>(&self, find: impl FnOnce(&DeTable) -> Option<At<T>>) -> Option<Setting<T>> {
        self.find(|text| find(DeTable::parse(text).ok()?.get_ref()))
    }
}

fn of_pyproject(pyproject: &DeTable) -> Option<At<Version>> {
    let table = |name| Some(pyproject.get(name)?.get_ref());
    let project = table("project");
    let list = |value: &Spanned<DeValue>| value.get_ref().as_array()?.iter().find_map(requirement);
    let groups = |value: &DeValue| value.as_table()?.values().find_map(list);
    project
        .and_then(|project| list(project.get("dependencies")?))
        .or_else(|| {
            of_dependency_table(table("tool")?.get("poetry")?.get_ref().get("dependencies")?.get_ref())
        })
        .or_else(|| groups(project?.get("optional-dependencies")?.get_ref()))
        .or_else(|| groups(table("dependency-groups")?))
}

/// A requirement of Django in a list of them.
fn requirement(value: &Spanned<DeValue>) -> Option<At<Version>> {
    Some((lowest(value.get_ref().as_str()?)?, value.span().start))
}

fn of_classifiers(pyproject: &DeTable) -> Option<At<Version>> {
    let classifiers = pyproject.get("project")?.get_ref().get("classifiers")?.get_ref().as_array()?;
    let supported = classifiers.iter().filter_map(|classifier| {
        let text = classifier.get_ref().as_str()?.strip_prefix("Framework :: Django :: ")?;
        // "Framework :: Django :: 4" stands beside its minor versions and says nothing of its own.
        Some((version(text).filter(|_| text.contains('.'))?, classifier.span().start))
    });
    supported.min()
}

/// `django = "^4.2"` or `django = { version = "^4.2" }`.
fn of_dependency_table(table: &DeValue) -> Option<At<Version>> {
    let (name, value) =
        table.as_table()?.iter().find(|(name, _)| name.get_ref().eq_ignore_ascii_case("django"))?;
    let constraint =
        value.get_ref().as_str().or_else(|| value.get_ref().get("version")?.get_ref().as_str())?;
    Some((lower_bound(constraint)?, name.span().start))
}

fn requirements(dir: &Path) -> Option<Setting<Version>> {
    let mut files: Vec<_> = [dir.to_path_buf(), dir.join("requirements")]
        .iter()
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
            let in_folder = path.parent().is_some_and(|parent| parent != dir);
            (name.ends_with(".txt") || name.ends_with(".in"))
                && (in_folder || name.starts_with("requirements"))
        })
        .collect();
    files.sort();
    let found = files.into_iter().filter_map(|path| File::read(path)?.find(of_requirements));
    found.min_by_key(|setting| setting.value)
}

fn of_requirements(text: &str) -> Option<At<Version>> {
    let mut end = 0;
    text.split_inclusive('\n').find_map(|line| {
        let start = end;
        end += line.len();
        let name = line.trim().trim_start_matches("install_requires").trim_start_matches([' ', '=']);
        Some((lowest(name)?, start))
    })
}

/// The lower bound of a requirement of Django: `Django[argon2]>=4.2,<5`.
fn lowest(requirement: &str) -> Option<Version> {
    let rest = requirement.trim().get("django".len()..)?;
    if !requirement.trim().get(.."django".len())?.eq_ignore_ascii_case("django") {
        return None;
    }
    let rest = match rest.trim_start().strip_prefix('[') {
        Some(extras) => extras.split_once(']')?.1,
        None => rest,
    };
    let rest = rest.trim_start().trim_start_matches('(');
    lower_bound(rest.split([';', '#', ')']).next()?)
}

/// The lower bound of `>=4.2,<5`, `~=4.2.1`, `==4.2.*`, `^4.2`, `4.2`.
fn lower_bound(constraint: &str) -> Option<Version> {
    constraint
        .split(',')
        .filter_map(|part| {
            let part = part.trim();
            let bound = [">=", "~=", "===", "==", "^", "~", ">", "="]
                .iter()
                .find_map(|operator| part.strip_prefix(operator))
                .or_else(|| part.starts_with(|c: char| c.is_ascii_digit()).then_some(part))?;
            version(bound.split_whitespace().next()?)
        })
        .max()
}

fn locked(dir: &Path) -> Option<Setting<Version>> {
    ["uv.lock", "poetry.lock", "pdm.lock"]
        .iter()
        .find_map(|name| File::read(dir.join(name))?.find_in_table(of_lock))
        .or_else(|| File::read(dir.join("Pipfile.lock"))?.find(of_pipfile_lock))
}

fn of_lock(lock: &DeTable) -> Option<At<Version>> {
    let packages = lock.get("package")?.get_ref().as_array()?.iter().map(Spanned::get_ref);
    let text = |package: &DeValue, key| Some(package.get(key)?.get_ref().as_str()?.to_owned());
    let django = packages
        .filter(|package| text(package, "name").is_some_and(|name| name.eq_ignore_ascii_case("django")));
    let versions = django.filter_map(|package| {
        let found = package.get("version")?;
        Some((version(found.get_ref().as_str()?)?, found.span().start))
    });
    versions.min()
}

fn of_pipfile_lock(text: &str) -> Option<At<Version>> {
    #[derive(Deserialize)]
    struct Lock<'a> {
        #[serde(borrow)]
        default: Packages<'a>,
    }
    #[derive(Deserialize)]
    struct Packages<'a> {
        #[serde(borrow)]
        django: Package<'a>,
    }
    #[derive(Deserialize)]
    struct Package<'a> {
        version: &'a str,
    }
    let lock: Lock = serde_json::from_str(text).ok()?;
    let constraint = lock.default.django.version;
    // It is borrowed from the text.
    let offset = (constraint.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    Some((lower_bound(constraint)?, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_bounds() {
        for (requirement, expected) in [
            ("Django>=4.2,<6", Some((4, 2))),
            ("django ~= 5.1.2", Some((5, 1))),
            ("Django[argon2]==4.2.11  # pinned", Some((4, 2))),
            ("django (>=3.2) ; python_version > '3.8'", Some((3, 2))),
            ("Django >= 5.2.0rc1", Some((5, 2))),
            ("django==5.*", Some((5, 0))),
            ("Django<5", None),
            ("Django", None),
            ("django-environ>=4.2", None),
            ("djangorestframework>=3.14", None),
            ("dj", None),
            ("éééééé", None),
        ] {
            assert_eq!(lowest(requirement), expected, "{requirement}");
        }
        assert_eq!(lower_bound("^4.2"), Some((4, 2)));
    }

    #[test]
    fn the_files_of_a_project() {
        for (name, text, expected) in [
            ("pyproject.toml", "[project]\ndependencies = [\n'x',\n'Django>=5.2']", Some(((5, 2), 4))),
            ("pyproject.toml", "[tool.poetry.dependencies]\nDjango = {version = '^5.0'}", Some(((5, 0), 2))),
            ("pyproject.toml", "[dependency-groups]\na = ['x']\nb = [\n  'Django>=5.0']", Some(((5, 0), 4))),
            (
                "pyproject.toml",
                "[project]\nclassifiers = ['Framework :: Django :: 5.1', 'Framework :: Django :: 4.2', 'Framework :: Django :: 4']",
                Some(((4, 2), 2)),
            ),
            ("pyproject.toml", "[project]\noptional-dependencies.a = ['Django>=4.1']", Some(((4, 1), 2))),
            ("pyproject.toml", "not toml", None),
            ("requirements.txt", "-r x\ndjango-x==1\nDjango==4.2.1 \\\n", Some(((4, 2), 3))),
            ("requirements/base.txt", "Django==5.1\n", Some(((5, 1), 1))),
            ("setup.cfg", "[options]\ninstall_requires =\n    Django >= 4.0\n", Some(((4, 0), 3))),
            ("Pipfile", "[packages]\ndjango = '==4.2'", Some(((4, 2), 2))),
            ("uv.lock", "[[package]]\nname = 'django'\nversion = '5.2.3'", Some(((5, 2), 3))),
            (
                "Pipfile.lock",
                "{\n\"default\": {\"a\": {}, \"django\":\n{\"version\": \"==4.2.1\"}}}",
                Some(((4, 2), 3)),
            ),
            ("Pipfile.lock", "{", None),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            let expected = expected.map(|(version, line)| {
                Setting::new(version, Origin::File(Place { file: path.clone(), line }))
            });
            assert_eq!(django(&[dir.path()]), expected, "{name}: {text}");
        }
    }

    #[test]
    fn line_lengths() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pyproject.toml");
        let found = || {
            let setting = line_length(&[dir.path()])?;
            let [Origin::File(place)] = setting.origins.as_slice() else { return None };
            Some((setting.value, place.file.file_name()?.to_owned(), place.line))
        };
        fs::write(&path, "[tool.black]\nline-length = 79\n").unwrap();
        assert_eq!(found(), Some((79, "pyproject.toml".into(), 2)));
        fs::write(&path, "[tool.black]\nline-length = 79\n[tool.ruff]\nline-length = 120").unwrap();
        assert_eq!(found(), Some((120, "pyproject.toml".into(), 4)));
        fs::write(dir.path().join("ruff.toml"), "line-length = 100").unwrap();
        assert_eq!(found(), Some((100, "ruff.toml".into(), 1)));
    }
}
