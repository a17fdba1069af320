//! `[tool.ormend]` in pyproject.toml, or ormend.toml. A key, codemod or group that does not exist is an error
//! that names the nearest one; nothing is silently ignored.

use crate::discover::reason;
use crate::escape::{escape_line, escape_path, escape_text};
use crate::read;
use miette::{LabeledSpan, NamedSource, miette};
use ormend_codemods::ALL;
use ormend_engine::codemod::Group;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Every key, so that a wrong one can be told. A test holds that [`Config`] knows exactly these.
const KEYS: [&str; 12] = [
    "select",
    "ignore",
    "exclude",
    "per-file-ignores",
    "target-django",
    "line-length",
    "batch-size",
    "include-tests",
    "include-migrations",
    "unsafe-fixes",
    "assume-no-signals",
    "python",
];

/// Longer lines than this are not shown with what is wrong in them.
const LONG_LINE: usize = 500;

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
struct Raw {
    select: Vec<Spanned<String>>,
    ignore: Vec<Spanned<String>>,
    exclude: Vec<Spanned<String>>,
    per_file_ignores: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
    target_django: Option<Spanned<String>>,
    line_length: Option<Spanned<usize>>,
    batch_size: Option<Spanned<u32>>,
    include_tests: bool,
    include_migrations: bool,
    unsafe_fixes: UnsafeFixes,
    assume_no_signals: Vec<Spanned<String>>,
    python: Option<String>,
}

/// `unsafe-fixes`: all, none, or those of some codemods.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged, expecting = "expected true, false, or a list of codemods")]
pub enum UnsafeFixes {
    All(bool),
    Of(Vec<String>),
}

impl Default for UnsafeFixes {
    fn default() -> UnsafeFixes {
        UnsafeFixes::All(false)
    }
}

/// What the project has set, checked.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// Where the globs of `exclude` and `per-file-ignores` start: the directory of `file`.
    pub base: PathBuf,
    pub select: Vec<String>,
    pub ignore: Vec<String>,
    pub exclude: Vec<String>,
    pub per_file_ignores: Vec<(String, Vec<String>)>,
    pub target_django: Option<(u8, u8)>,
    pub line_length: Option<usize>,
    pub batch_size: Option<u32>,
    pub include_tests: bool,
    pub include_migrations: bool,
    pub unsafe_fixes: UnsafeFixes,
    pub assume_no_signals: Vec<String>,
    pub python: Option<PathBuf>,
}

/// Read the configuration of the project at `root`: from the nearest directory at or above it that has an
/// ormend.toml or a pyproject.toml with `[tool.ormend]`, but not from beyond a repository's top.
pub fn load(root: &Path) -> miette::Result<Config> {
    for dir in root.ancestors() {
        for (name, table) in [("ormend.toml", &[][..]), ("pyproject.toml", &["tool", "ormend"][..])] {
            let path = dir.join(name);
            let text = match read::text(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    let name = shown(&path);
                    return Err(miette!(
                        help = "make it a TOML file in UTF-8 that may be read, or remove it",
                        "cannot read the configuration in `{name}`: {}",
                        reason(&error)
                    ));
                }
            };
            let parsed = parse(&text, table).map_err(|problem| problem.report(&path, &text))?;
            if let Some(config) = parsed {
                return Ok(Config {
                    python: config.python.map(|python| dir.join(python)),
                    file: Some(path),
                    base: dir.to_path_buf(),
                    ..config
                });
            }
        }
        if dir.join(".git").exists() {
            break;
        }
    }
    Ok(Config { base: root.to_path_buf(), ..Config::default() })
}

/// `path` as messages name it.
fn shown(path: &Path) -> String {
    escape_path(path)
}

/// What is wrong with the file, and where.
#[derive(Debug)]
struct Problem {
    message: String,
    span: Option<Range<usize>>,
    help: String,
}

impl Problem {
    fn new(span: Range<usize>, message: String, help: impl Into<String>) -> Problem {
        Problem { message, span: Some(span), help: help.into() }
    }

    fn report(self, path: &Path, text: &str) -> miette::Report {
        let name = shown(path);
        let (message, help) = (escape_line(&self.message), escape_line(&self.help));
        let Some((before, rest)) = self.span.clone().and_then(|span| text.split_at_checked(span.start))
        else {
            return miette!(help = help, "the configuration in `{name}` is wrong: {message}");
        };
        let line = before.matches('\n').count();
        if text.split('\n').skip(line.saturating_sub(1)).take(3).any(|shown| shown.len() > LONG_LINE) {
            let line = line + 1;
            return miette!(help = help, "the configuration in `{name}` is wrong: line {line}: {message}");
        }
        // To the end of its line, and where it is in the text that is shown.
        let length = self.span.map_or(0, |span| span.len()).min(rest.find('\n').unwrap_or(rest.len()));
        let escaped = |text: &str| escape_text(&text.replace("\r\n", "\n")).into_owned();
        let marked = escaped(rest.get(..length).unwrap_or("").trim_end()).len();
        let label = LabeledSpan::at((escaped(before).len(), marked), "here");
        miette!(labels = vec![label], help = help, "the configuration in `{name}` is wrong: {message}")
            .with_source_code(NamedSource::new(name, escaped(text)))
    }
}

impl From<toml::de::Error> for Problem {
    fn from(error: toml::de::Error) -> Problem {
        Problem {
            message: error.message().to_string(),
            span: error.span(),
            help: "correct this value".into(),
        }
    }
}

/// The configuration in the table at `path` of a TOML document; `None` if there is no such table.
fn parse(text: &str, path: &[&str]) -> Result<Option<Config>, Problem> {
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        // Somebody else's mistake in a file that may not even be meant for us is told all the same: with a
        // pyproject.toml that cannot be read nobody knows what was set.
        Err(error) => return Err(Problem { help: "correct the TOML syntax".into(), ..Problem::from(error) }),
    };
    let span = document.span();
    let mut value = Spanned::new(span, DeValue::Table(document.into_inner()));
    for key in path {
        let DeValue::Table(mut table) = value.into_inner() else { return Ok(None) };
        let Some(next) = table.remove(*key) else { return Ok(None) };
        value = next;
    }
    if let DeValue::Table(table) = value.get_ref() {
        for key in table.keys() {
            if !KEYS.contains(&key.get_ref().as_ref()) {
                let help = match nearest(key.get_ref(), KEYS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the keys are {}", KEYS.join(", ")),
                };
                return Err(Problem::new(key.span(), format!("there is no key `{}`", key.get_ref()), help));
            }
        }
    }
    let raw = Raw::deserialize(ValueDeserializer::from(value).into_deserializer())?;
    check(raw).map(Some)
}

fn check(raw: Raw) -> Result<Config, Problem> {
    let names = |list: Vec<Spanned<String>>| -> Result<Vec<String>, Problem> {
        list.into_iter()
            .map(|name| match resolve(name.get_ref()) {
                Ok(_) => Ok(name.into_inner()),
                Err((message, help)) => Err(Problem::new(name.span(), message, help)),
            })
            .collect()
    };
    let glob = |glob: Spanned<String>| -> Result<String, Problem> {
        match ignore::gitignore::GitignoreBuilder::new("/").add_line(None, glob.get_ref()) {
            Ok(_) => Ok(glob.into_inner()),
            Err(error) => Err(Problem::new(glob.span(), error.to_string(), "globs are as in .gitignore")),
        }
    };
    let target_django = match raw.target_django {
        None => None,
        Some(text) => Some(crate::target::version(text.get_ref()).ok_or_else(|| {
            let message = format!("`{}` is not a version of Django", text.get_ref());
            Problem::new(
                text.span(),
                message,
                "give the oldest version that the project supports, as \"4.2\"",
            )
        })?),
    };
    let line_length = match raw.line_length {
        Some(length) if !(20..=1000).contains(length.get_ref()) => {
            let message = format!("a line length of {} is out of range", length.get_ref());
            return Err(Problem::new(length.span(), message, "give a number from 20 to 1000"));
        }
        length => length.map(Spanned::into_inner),
    };
    let batch_size = match raw.batch_size {
        Some(size) if *size.get_ref() == 0 => {
            let message = "a batch size of 0 writes nothing".to_string();
            return Err(Problem::new(size.span(), message, "give a positive number, or leave the key out"));
        }
        size => size.map(Spanned::into_inner),
    };
    for label in &raw.assume_no_signals {
        if label.get_ref().split('.').filter(|part| !part.is_empty()).count() != 2 {
            let message = format!("`{}` does not name a model", label.get_ref());
            return Err(Problem::new(label.span(), message, "name it by app and class, as \"shop.Book\""));
        }
    }
    if let UnsafeFixes::Of(list) = &raw.unsafe_fixes {
        for name in list {
            if let Err((message, help)) = resolve(name) {
                return Err(Problem { message, span: None, help });
            }
        }
    }
    Ok(Config {
        file: None,
        base: PathBuf::new(),
        select: names(raw.select)?,
        ignore: names(raw.ignore)?,
        exclude: raw.exclude.into_iter().map(glob).collect::<Result<_, _>>()?,
        per_file_ignores: raw
            .per_file_ignores
            .into_iter()
            .map(|(pattern, list)| Ok((glob(pattern)?, names(list)?)))
            .collect::<Result<_, Problem>>()?,
        target_django,
        line_length,
        batch_size,
        include_tests: raw.include_tests,
        include_migrations: raw.include_migrations,
        unsafe_fixes: raw.unsafe_fixes,
        assume_no_signals: raw.assume_no_signals.into_iter().map(Spanned::into_inner).collect(),
        python: raw.python.map(PathBuf::from),
    })
}

const GROUPS: [Group; 5] =
    [Group::EagerLoading, Group::BulkWrites, Group::Expressions, Group::Projection, Group::Transactions];

/// The codemods that `name` stands for: one, a group's, or `all`. Otherwise a message and what to do.
pub fn resolve(name: &str) -> Result<Vec<&'static str>, (String, String)> {
    let metas = ALL.iter().map(|rule| rule.meta());
    if name == "all" {
        return Ok(metas.map(|meta| meta.name).collect());
    }
    let found: Vec<&str> =
        metas.filter(|meta| meta.name == name || meta.group.name() == name).map(|meta| meta.name).collect();
    // A group whose codemods are all still to come is empty, not unknown.
    if !found.is_empty() || GROUPS.iter().any(|group| group.name() == name) {
        return Ok(found);
    }
    let known = ALL.iter().map(|rule| rule.meta().name).chain(GROUPS.iter().map(|group| group.name()));
    let help = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`? `ormend codemods` lists them"),
        None => "`ormend codemods` lists the codemods and their groups".to_string(),
    };
    Err((format!("there is no codemod or group `{}`", escape_line(name)), help))
}

/// The candidate that is nearest to `name`, if one is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let normal = name.to_lowercase().replace(['_', ' '], "-");
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&normal, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(4) / 3 + 1)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> (String, String, Option<String>) {
        let problem = parse(text, &[]).unwrap_err();
        (problem.message, problem.help, problem.span.map(|span| text[span].to_string()))
    }

    #[test]
    fn every_key_is_known_and_read() {
        let text = r#"
            select = ["all"]
            ignore = ["bulk-writes"]
            exclude = ["vendored/"]
            target-django = "5.2"
            line-length = 100
            batch-size = 1000
            include-tests = true
            include-migrations = true
            unsafe-fixes = true
            assume-no-signals = ["shop.Book"]
            python = ".env"
            [per-file-ignores]
            "shop/*.py" = ["eager-loading"]
        "#;
        let config = parse(text, &[]).unwrap().unwrap();
        assert_eq!(config.target_django, Some((5, 2)));
        assert_eq!((config.line_length, config.batch_size), (Some(100), Some(1000)));
        assert_eq!(config.per_file_ignores, [("shop/*.py".into(), vec!["eager-loading".into()])]);
        assert_eq!(config.unsafe_fixes, UnsafeFixes::All(true));
        let keys: Vec<String> = toml::from_str::<toml::Table>(text).unwrap().keys().cloned().collect();
        assert!(KEYS.iter().all(|key| keys.iter().any(|k| k == key)));
    }

    #[test]
    fn the_table_of_a_pyproject_is_found() {
        let path = &["tool", "ormend"];
        assert!(parse("[tool.ruff]\nx = 1", path).unwrap().is_none());
        assert!(parse("tool = 1", path).unwrap().is_none());
        assert_eq!(parse("[tool.ormend]\nline-length = 99", path).unwrap().unwrap().line_length, Some(99));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let (message, help, at) = problem("line_lenght = 3");
        assert_eq!((&*message, &*help), ("there is no key `line_lenght`", "did you mean `line-length`?"));
        assert_eq!(at.as_deref(), Some("line_lenght"));
        assert!(problem("quux = 3").1.starts_with("the keys are select, ignore"));
        let (message, _, at) = problem("line-length = 3");
        assert_eq!((&*message, at.as_deref()), ("a line length of 3 is out of range", Some("3")));
        assert_eq!(problem("target-django = 'x'").0, "`x` is not a version of Django");
        assert_eq!(
            problem("select = ['bulk-write']").1,
            "did you mean `bulk-writes`? `ormend codemods` lists them"
        );
        assert_eq!(
            problem("ignore = ['zzzzzzzzzzzz']").1,
            "`ormend codemods` lists the codemods and their groups"
        );
        assert_eq!(problem("assume-no-signals = ['Book']").0, "`Book` does not name a model");
        assert_eq!(problem("batch-size = 0").0, "a batch size of 0 writes nothing");
        let (message, _, at) = problem("select = 1");
        assert_eq!((message.contains("expected a sequence"), at.as_deref()), (true, Some("1")));
        assert_eq!(problem("x = ").1, "correct the TOML syntax");
        assert!(problem("exclude = ['a{']").0.contains("a{"));
    }
}
