//! What the project says of itself in files that are not ours: the oldest Django it supports, its line length.
//! These are read leniently: what cannot be understood says nothing.

use crate::read;
use std::fs;
use std::path::Path;
use toml::{Table, Value};

/// `4.2` of "4.2", "4.2.11", "4" or "4.2.*".
pub fn version(text: &str) -> Option<(u8, u8)> {
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
pub fn django(dirs: &[&Path]) -> Option<(u8, u8)> {
    dirs.iter().find_map(|dir| {
        let pyproject = toml_file(&dir.join("pyproject.toml"));
        pyproject
            .as_ref()
            .and_then(of_pyproject)
            .or_else(|| text_file(&dir.join("setup.cfg")).and_then(|text| of_requirements(&text)))
            .or_else(|| requirements(dir))
            .or_else(|| {
                toml_file(&dir.join("Pipfile"))
                    .and_then(|pipfile| of_dependency_table(pipfile.get("packages")?))
            })
            .or_else(|| pyproject.as_ref().and_then(of_classifiers))
            .or_else(|| locked(dir))
    })
}

/// The line length that ruff or black is told.
pub fn line_length(dirs: &[&Path]) -> Option<usize> {
    let number = |table: &Table| table.get("line-length")?.as_integer()?.try_into().ok();
    dirs.iter().find_map(|dir| {
        ["ruff.toml", ".ruff.toml"]
            .iter()
            .find_map(|name| number(&toml_file(&dir.join(name))?))
            .or_else(|| {
                let pyproject = toml_file(&dir.join("pyproject.toml"))?;
                ["ruff", "black"]
                    .iter()
                    .find_map(|tool| number(pyproject.get("tool")?.get(tool)?.as_table()?))
            })
            .filter(|length| (20..=1000).contains(length))
    })
}

fn text_file(path: &Path) -> Option<String> {
    read::file(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn toml_file(path: &Path) -> Option<Table> {
    text_file(path)?.parse().ok()
}

fn of_pyproject(pyproject: &Table) -> Option<(u8, u8)> {
    let project = pyproject.get("project");
    let tool = pyproject.get("tool");
    let list = |value: &Value| value.as_array()?.iter().filter_map(Value::as_str).find_map(lowest);
    project
        .and_then(|project| list(project.get("dependencies")?))
        .or_else(|| tool.and_then(|tool| of_dependency_table(tool.get("poetry")?.get("dependencies")?)))
        .or_else(|| {
            let groups = [project?.get("optional-dependencies"), pyproject.get("dependency-groups")];
            groups.into_iter().flatten().filter_map(Value::as_table).flat_map(Table::values).find_map(list)
        })
}

fn of_classifiers(pyproject: &Table) -> Option<(u8, u8)> {
    let classifiers = pyproject.get("project")?.get("classifiers")?.as_array()?;
    classifiers
        .iter()
        .filter_map(|classifier| classifier.as_str()?.strip_prefix("Framework :: Django :: "))
        // "Framework :: Django :: 4" stands beside its minor versions and says nothing of its own.
        .filter(|text| text.contains('.'))
        .filter_map(version)
        .min()
}

/// `django = "^4.2"` or `django = { version = "^4.2" }`.
fn of_dependency_table(table: &Value) -> Option<(u8, u8)> {
    let (_, value) = table.as_table()?.iter().find(|(name, _)| name.eq_ignore_ascii_case("django"))?;
    let constraint = value.as_str().or_else(|| value.get("version")?.as_str())?;
    lower_bound(constraint)
}

fn requirements(dir: &Path) -> Option<(u8, u8)> {
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
    files.iter().filter_map(|path| of_requirements(&text_file(path)?)).min()
}

fn of_requirements(text: &str) -> Option<(u8, u8)> {
    text.lines().find_map(|line| {
        lowest(line.trim().trim_start_matches("install_requires").trim_start_matches([' ', '=']))
    })
}

/// The lower bound of a requirement of Django: `Django[argon2]>=4.2,<5`.
fn lowest(requirement: &str) -> Option<(u8, u8)> {
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
fn lower_bound(constraint: &str) -> Option<(u8, u8)> {
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

fn locked(dir: &Path) -> Option<(u8, u8)> {
    ["uv.lock", "poetry.lock", "pdm.lock"]
        .iter()
        .find_map(|name| {
            let lock = toml_file(&dir.join(name))?;
            let packages = lock.get("package")?.as_array()?;
            let django = packages.iter().filter(|package| {
                package
                    .get("name")
                    .and_then(Value::as_str)
                    .is_some_and(|name| name.eq_ignore_ascii_case("django"))
            });
            django.filter_map(|package| version(package.get("version")?.as_str()?)).min()
        })
        .or_else(|| {
            let text = text_file(&dir.join("Pipfile.lock"))?;
            let lock: serde_json::Value = serde_json::from_str(&text).ok()?;
            lower_bound(lock.get("default")?.get("django")?.get("version")?.as_str()?)
        })
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
            ("pyproject.toml", "[project]\ndependencies = ['x', 'Django>=5.2']", Some((5, 2))),
            ("pyproject.toml", "[tool.poetry.dependencies]\nDjango = {version = '^5.0'}", Some((5, 0))),
            (
                "pyproject.toml",
                "[project]\nclassifiers = ['Framework :: Django :: 5.1', 'Framework :: Django :: 4.2', 'Framework :: Django :: 4']",
                Some((4, 2)),
            ),
            ("pyproject.toml", "[project]\noptional-dependencies.a = ['Django>=4.1']", Some((4, 1))),
            ("pyproject.toml", "not toml", None),
            ("requirements.txt", "-r x\ndjango-x==1\nDjango==4.2.1 \\\n", Some((4, 2))),
            ("requirements/base.txt", "Django==5.1\n", Some((5, 1))),
            ("setup.cfg", "[options]\ninstall_requires =\n    Django >= 4.0\n", Some((4, 0))),
            ("Pipfile", "[packages]\ndjango = '==4.2'", Some((4, 2))),
            ("uv.lock", "[[package]]\nname = 'django'\nversion = '5.2.3'", Some((5, 2))),
            ("Pipfile.lock", "{\"default\": {\"django\": {\"version\": \"==4.2.1\"}}}", Some((4, 2))),
            ("Pipfile.lock", "{", None),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            assert_eq!(django(&[dir.path()]), expected, "{name}: {text}");
        }
    }

    #[test]
    fn line_lengths() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pyproject.toml");
        fs::write(&path, "[tool.black]\nline-length = 79\n").unwrap();
        assert_eq!(line_length(&[dir.path()]), Some(79));
        fs::write(&path, "[tool.black]\nline-length = 79\n[tool.ruff]\nline-length = 120").unwrap();
        assert_eq!(line_length(&[dir.path()]), Some(120));
        fs::write(dir.path().join("ruff.toml"), "line-length = 100").unwrap();
        assert_eq!(line_length(&[dir.path()]), Some(100));
    }
}
