//! `[tool.ormend]` in pyproject.toml, or ormend.toml. A key, codemod or group that does not exist is an error
//! that names the nearest one; nothing is silently ignored.

mod schema;

use crate::discover::reason;
use crate::escape::{escape_line, escape_path, escape_text};
use crate::read;
use crate::settings::{Origin, Place, Setting, Settings};
use miette::{LabeledSpan, NamedSource, miette};
use ormend_codemods::ALL;
use ormend_engine::codemod::Group;
pub use schema::schema;
use schemars::JsonSchema;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Every key, so that a wrong one can be told. A test holds that [`Raw`] knows exactly these.
pub const KEYS: [&str; 12] = [
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

/// What stands for every codemod that is on by default.
pub const EVERY: &str = "all";

/// Longer lines than this are not shown with what is wrong in them.
const LONG_LINE: usize = 500;

/// The line lengths that make sense.
pub const LINE_LENGTHS: RangeInclusive<usize> = 20..=1000;

// What is said here of a key is what editors and the documentation show.
/// Configuration of ormend: the table `[tool.ormend]` of pyproject.toml, or the file ormend.toml.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "ormend")]
struct Raw {
    /// The codemods to run, by name or by group; `ormend codemods` lists them. `all` and the name of a group stand for those codemods
    /// that are on by default. An empty list stands for `all`. `--select` takes the place of the list.
    #[schemars(with = "Vec<schema::Name>", extend("default" = Settings::default().select.value))]
    select: Option<Vec<Spanned<String>>>,
    /// The codemods or groups that are not run. `--ignore` adds to the list; with `--select` on the command line it does not count.
    #[schemars(with = "Vec<schema::Name>", extend("default" = Settings::default().ignore.value))]
    ignore: Option<Vec<Spanned<String>>>,
    /// Files and directories that are not looked at, as globs like those of .gitignore, from the directory of the configuration. Their
    /// models are read all the same.
    #[schemars(with = "Vec<String>", extend("default" = Settings::default().exclude.value))]
    exclude: Option<Vec<Spanned<String>>>,
    /// Codemods or groups that are not run on some files: a glob like those of .gitignore, and their names.
    #[schemars(with = "BTreeMap<String, Vec<schema::Name>>", extend("default" = schema::no_table()))]
    per_file_ignores: Option<BTreeMap<Spanned<String>, Vec<Spanned<String>>>>,
    /// The oldest version of Django that the project supports: no fix needs a newer one. When it is not given it is read from
    /// pyproject.toml, setup.cfg, requirements files, Pipfile, or lock files.
    #[schemars(with = "schema::Version", extend("default" = shown_version(Settings::default().target_django.value)))]
    target_django: Option<Spanned<String>>,
    /// The column after which a line that a fix writes is wrapped. When it is not given it is read from the settings of ruff or black.
    #[schemars(range(min = *LINE_LENGTHS.start(), max = *LINE_LENGTHS.end()))]
    #[schemars(with = "u32", extend("default" = Settings::default().line_length.value))]
    line_length: Option<Spanned<usize>>,
    /// How many rows a bulk write that a fix makes sends at once.
    #[schemars(range(min = 1, max = u32::MAX))]
    #[schemars(with = "u32", extend("default" = Settings::default().batch_size.value))]
    batch_size: Option<Spanned<u32>>,
    /// Whether tests are looked at. `--include-tests` turns it on.
    #[schemars(with = "bool", extend("default" = Settings::default().include_tests.value))]
    include_tests: Option<bool>,
    /// Whether migrations are looked at. `--include-migrations` turns it on.
    #[schemars(with = "bool", extend("default" = Settings::default().include_migrations.value))]
    include_migrations: Option<bool>,
    /// Whether fixes are applied that may change behaviour in the way that their finding names: of all codemods, of none, or of those
    /// that a list names. `--unsafe-fixes` turns it on for all.
    #[schemars(extend("default" = false), with = "schema::UnsafeFixes")]
    unsafe_fixes: Option<Spanned<UnsafeFixes>>,
    /// Models, as `app.Model`, whose signal receivers may be ignored: that they do not hear of each row any more is no hazard.
    #[schemars(with = "Vec<schema::Label>", extend("default" = Settings::default().assume_no_signals.value))]
    assume_no_signals: Option<Vec<Spanned<String>>>,
    /// The Python environment whose installed packages are read too: its directory, its python, or its site-packages, from the
    /// directory of the configuration. When it is not given it is VIRTUAL_ENV, or `.venv` or `venv` in the root of the project.
    #[schemars(with = "String")]
    python: Option<String>,
}

/// `unsafe-fixes`: all, none, or those of some codemods.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(untagged, expecting = "expected true, false, or a list of codemods")]
pub enum UnsafeFixes {
    All(bool),
    Of(Vec<String>),
}

/// `per-file-ignores`: globs, and the names of what is not run there.
pub type FileIgnores = Vec<(String, Vec<String>)>;

/// What the project has set, checked: each key that is given, with its place.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// Where the globs of `exclude` and `per-file-ignores` start: the directory of `file`.
    pub base: PathBuf,
    pub select: Option<Setting<Vec<String>>>,
    pub ignore: Option<Setting<Vec<String>>>,
    pub exclude: Option<Setting<Vec<String>>>,
    pub per_file_ignores: Option<Setting<FileIgnores>>,
    pub target_django: Option<Setting<(u8, u8)>>,
    pub line_length: Option<Setting<usize>>,
    pub batch_size: Option<Setting<u32>>,
    pub include_tests: Option<Setting<bool>>,
    pub include_migrations: Option<Setting<bool>>,
    pub unsafe_fixes: Option<Setting<UnsafeFixes>>,
    pub assume_no_signals: Option<Setting<Vec<String>>>,
    /// Absolute.
    pub python: Option<Setting<PathBuf>>,
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
            let parsed = parse(&text, table, &path).map_err(|problem| problem.report(&path, &text))?;
            if let Some(config) = parsed {
                return Ok(config);
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

/// The configuration in the table at `path` of a TOML document that stands in `file`; `None` if there is no such table.
fn parse(text: &str, path: &[&str], file: &Path) -> Result<Option<Config>, Problem> {
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
    let mut places = BTreeMap::new();
    if let DeValue::Table(table) = value.get_ref() {
        for key in table.keys() {
            let Some(known) = KEYS.iter().find(|known| **known == key.get_ref().as_ref()) else {
                let help = match nearest(key.get_ref(), KEYS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the keys are {}", KEYS.join(", ")),
                };
                return Err(Problem::new(key.span(), format!("there is no key `{}`", key.get_ref()), help));
            };
            places.insert(*known, Place::new(file, text, key.span().start));
        }
    }
    let raw = Raw::deserialize(ValueDeserializer::from(value).into_deserializer())?;
    check(raw, &places, file).map(Some)
}

fn check(raw: Raw, places: &BTreeMap<&str, Place>, file: &Path) -> Result<Config, Problem> {
    let base = file.parent().unwrap_or(file);
    let at = |key: &str| places.get(key).cloned().map_or(Origin::Default, Origin::Config);
    Ok(Config {
        select: raw.select.map(names).transpose()?.map(|value| Setting::new(value, at("select"))),
        ignore: raw.ignore.map(names).transpose()?.map(|value| Setting::new(value, at("ignore"))),
        exclude: match raw.exclude {
            Some(list) => {
                let value = list.into_iter().map(glob).collect::<Result<_, _>>()?;
                Some(Setting::new(value, at("exclude")))
            }
            None => None,
        },
        per_file_ignores: match raw.per_file_ignores {
            Some(table) => {
                let pairs = table.into_iter().map(|(pattern, list)| Ok((glob(pattern)?, names(list)?)));
                let value = pairs.collect::<Result<_, Problem>>()?;
                Some(Setting::new(value, at("per-file-ignores")))
            }
            None => None,
        },
        target_django: match raw.target_django {
            Some(text) => Some(Setting::new(django(&text)?, at("target-django"))),
            None => None,
        },
        line_length: match raw.line_length {
            Some(length) if !LINE_LENGTHS.contains(length.get_ref()) => {
                let message = format!("a line length of {} is out of range", length.get_ref());
                let help = format!("give a number from {} to {}", LINE_LENGTHS.start(), LINE_LENGTHS.end());
                return Err(Problem::new(length.span(), message, help));
            }
            length => length.map(|length| Setting::new(length.into_inner(), at("line-length"))),
        },
        batch_size: match raw.batch_size {
            Some(size) if *size.get_ref() == 0 => {
                let message = "a batch size of 0 writes nothing".to_string();
                let help = "give a positive number, or leave the key out";
                return Err(Problem::new(size.span(), message, help));
            }
            size => size.map(|size| Setting::new(size.into_inner(), at("batch-size"))),
        },
        include_tests: raw.include_tests.map(|value| Setting::new(value, at("include-tests"))),
        include_migrations: raw.include_migrations.map(|value| Setting::new(value, at("include-migrations"))),
        unsafe_fixes: match raw.unsafe_fixes {
            Some(fixes) => {
                let span = fixes.span();
                if let UnsafeFixes::Of(list) = fixes.get_ref() {
                    list.iter().try_for_each(|name| known(name, &span))?;
                }
                Some(Setting::new(fixes.into_inner(), at("unsafe-fixes")))
            }
            None => None,
        },
        assume_no_signals: match raw.assume_no_signals {
            Some(list) => {
                let value = list.into_iter().map(label).collect::<Result<_, _>>()?;
                Some(Setting::new(value, at("assume-no-signals")))
            }
            None => None,
        },
        python: raw.python.map(|python| Setting::new(base.join(python), at("python"))),
        file: Some(file.to_path_buf()),
        base: base.to_path_buf(),
    })
}

fn names(list: Vec<Spanned<String>>) -> Result<Vec<String>, Problem> {
    list.into_iter()
        .map(|name| {
            known(name.get_ref(), &name.span())?;
            Ok(name.into_inner())
        })
        .collect()
}

/// Whether `name` is one of a codemod or group.
fn known(name: &str, span: &Range<usize>) -> Result<(), Problem> {
    resolve(name).map(drop).map_err(|(message, help)| Problem::new(span.clone(), message, help))
}

fn glob(glob: Spanned<String>) -> Result<String, Problem> {
    match ignore::gitignore::GitignoreBuilder::new("/").add_line(None, glob.get_ref()) {
        Ok(_) => Ok(glob.into_inner()),
        Err(error) => Err(Problem::new(glob.span(), error.to_string(), "globs are as in .gitignore")),
    }
}

fn django(text: &Spanned<String>) -> Result<(u8, u8), Problem> {
    crate::target::version(text.get_ref()).ok_or_else(|| {
        let message = format!("`{}` is not a version of Django", text.get_ref());
        let help = "give the oldest version that the project supports, as \"4.2\"";
        Problem::new(text.span(), message, help)
    })
}

/// A version of Django as it is written.
pub fn shown_version((major, minor): (u8, u8)) -> String {
    format!("{major}.{minor}")
}

fn label(label: Spanned<String>) -> Result<String, Problem> {
    let is_model = label
        .get_ref()
        .split_once('.')
        .is_some_and(|(app, model)| !app.is_empty() && !model.is_empty() && !model.contains('.'));
    if is_model {
        return Ok(label.into_inner());
    }
    let message = format!("`{}` does not name a model", label.get_ref());
    Err(Problem::new(label.span(), message, "name it by app and class, as \"shop.Book\""))
}

const GROUPS: [Group; 5] =
    [Group::EagerLoading, Group::BulkWrites, Group::Expressions, Group::Projection, Group::Transactions];

/// The codemods that `name` stands for: one, a group's, or `all`. Otherwise a message and what to do.
pub fn resolve(name: &str) -> Result<Vec<&'static str>, (String, String)> {
    let metas = ALL.iter().map(|rule| rule.meta());
    if name == EVERY {
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
        let problem = parse(text, &[], Path::new("/p/ormend.toml")).unwrap_err();
        (problem.message, problem.help, problem.span.map(|span| text[span].to_string()))
    }

    fn read(text: &str, table: &[&str]) -> Option<Config> {
        parse(text, table, Path::new("/p/ormend.toml")).unwrap()
    }

    #[test]
    fn every_key_is_known_and_read() {
        // Each on the line of its place in `KEYS`.
        let text = r#"select = ["all"]
            ignore = ["bulk-writes"]
            exclude = ["vendored/"]
            per-file-ignores = { "shop/*.py" = ["eager-loading"] }
            target-django = "5.2"
            line-length = 100
            batch-size = 1000
            include-tests = true
            include-migrations = true
            unsafe-fixes = true
            assume-no-signals = ["shop.Book"]
            python = ".env"
        "#;
        let lines: Vec<&str> = text.lines().map(|line| line.split('=').next().unwrap().trim()).collect();
        assert_eq!(lines[..KEYS.len()], KEYS);
        let config = read(text, &[]).unwrap();
        let at = |key: &str| {
            let line = KEYS.iter().position(|known| *known == key).unwrap() + 1;
            Origin::Config(Place { file: "/p/ormend.toml".into(), line })
        };
        let list = |name: &str| vec![name.to_owned()];
        assert_eq!(config.select, Some(Setting::new(list("all"), at("select"))));
        assert_eq!(config.ignore, Some(Setting::new(list("bulk-writes"), at("ignore"))));
        assert_eq!(config.exclude, Some(Setting::new(list("vendored/"), at("exclude"))));
        let of_file = vec![("shop/*.py".to_owned(), list("eager-loading"))];
        assert_eq!(config.per_file_ignores, Some(Setting::new(of_file, at("per-file-ignores"))));
        assert_eq!(config.target_django, Some(Setting::new((5, 2), at("target-django"))));
        assert_eq!(config.line_length, Some(Setting::new(100, at("line-length"))));
        assert_eq!(config.batch_size, Some(Setting::new(1000, at("batch-size"))));
        assert_eq!(config.include_tests, Some(Setting::new(true, at("include-tests"))));
        assert_eq!(config.include_migrations, Some(Setting::new(true, at("include-migrations"))));
        assert_eq!(config.unsafe_fixes, Some(Setting::new(UnsafeFixes::All(true), at("unsafe-fixes"))));
        assert_eq!(config.assume_no_signals, Some(Setting::new(list("shop.Book"), at("assume-no-signals"))));
        assert_eq!(config.python, Some(Setting::new("/p/.env".into(), at("python"))));
    }

    #[test]
    fn the_table_of_a_pyproject_is_found() {
        let table = &["tool", "ormend"];
        assert!(read("[tool.ruff]\nx = 1", table).is_none());
        assert!(read("tool = 1", table).is_none());
        let length = read("[tool.ormend]\nline-length = 99", table).unwrap().line_length.unwrap();
        assert_eq!(length.value, 99);
        // A table of its own has its place, too.
        let ignores = read("[tool.ormend]\n\n[tool.ormend.per-file-ignores]\n'a.py' = ['all']", table);
        let [Origin::Config(place)] = &*ignores.unwrap().per_file_ignores.unwrap().origins else { panic!() };
        assert_eq!(place.line, 3);
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
        assert_eq!(problem("assume-no-signals = ['.shop.Book']").0, "`.shop.Book` does not name a model");
        let (message, _, at) = problem("unsafe-fixes = ['nothing']");
        assert_eq!(message, "there is no codemod or group `nothing`");
        assert_eq!(at.as_deref(), Some("['nothing']"));
        assert_eq!(problem("batch-size = 0").0, "a batch size of 0 writes nothing");
        let (message, _, at) = problem("select = 1");
        assert_eq!((message.contains("expected a sequence"), at.as_deref()), (true, Some("1")));
        assert_eq!(problem("x = ").1, "correct the TOML syntax");
        assert!(problem("exclude = ['a{']").0.contains("a{"));
    }
}
