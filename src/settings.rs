//! What a run goes by: each value from the first of the command line, the configuration, files that say it in other words, and the
//! default that has one; and where it was found. Nothing else decides them.

use crate::cli::SettingArgs;
use crate::config::{self, EVERY, FileIgnores, UnsafeFixes};
use crate::environment::{self, Environment};
use crate::root;
use crate::target;
use miette::miette;
use ormend_codemods::ALL;
use ormend_engine::codemod::Rule;
use ormend_engine::rewrite::Options;
use rustc_hash::FxHashSet;
use std::path::{Path, PathBuf};

/// A value, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    /// One, but for lists that are put together.
    pub origins: Vec<Origin>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has said anything.
    Default,
    /// A key of the configuration.
    Config(Place),
    /// A file that says it for other tools.
    File(Place),
    /// A directory that was looked for.
    Found(PathBuf),
    /// A variable of the environment.
    Variable(&'static str),
    /// A flag of the command line.
    Flag(&'static str),
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    /// 1-based.
    pub line: usize,
}

impl Place {
    /// Where the byte at `offset` stands in `file`, which holds `text`.
    pub fn new(file: &Path, text: &str, offset: usize) -> Place {
        let line = text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        Place { file: file.to_path_buf(), line }
    }
}

impl<T> Setting<T> {
    pub fn new(value: T, origin: Origin) -> Setting<T> {
        Setting { value, origins: vec![origin] }
    }

    /// What holds when nobody has said anything.
    pub fn default(value: T) -> Setting<T> {
        Setting::new(value, Origin::Default)
    }

    fn map<U>(self, change: impl FnOnce(T) -> U) -> Setting<U> {
        Setting { value: change(self.value), origins: self.origins }
    }
}

/// Everything that a project or a command line can set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configuration, if there is one.
    pub file: Option<PathBuf>,
    /// Where the globs of `exclude` and `per-file-ignores` start.
    pub base: PathBuf,
    pub select: Setting<Vec<String>>,
    pub ignore: Setting<Vec<String>>,
    pub exclude: Setting<Vec<String>>,
    pub per_file_ignores: Setting<FileIgnores>,
    pub target_django: Setting<(u8, u8)>,
    pub line_length: Setting<usize>,
    pub batch_size: Setting<u32>,
    pub include_tests: Setting<bool>,
    pub include_migrations: Setting<bool>,
    pub unsafe_fixes: Setting<UnsafeFixes>,
    pub assume_no_signals: Setting<Vec<String>>,
    pub python: Setting<Option<Environment>>,
}

impl Default for Settings {
    fn default() -> Settings {
        let options = Options::default();
        Settings {
            file: None,
            base: PathBuf::new(),
            select: Setting::default(vec![EVERY.to_owned()]),
            ignore: Setting::default(Vec::new()),
            exclude: Setting::default(Vec::new()),
            per_file_ignores: Setting::default(Vec::new()),
            target_django: Setting::default(options.target_django),
            line_length: Setting::default(options.line_length),
            batch_size: Setting::default(options.batch_size),
            include_tests: Setting::default(false),
            include_migrations: Setting::default(false),
            unsafe_fixes: Setting::default(UnsafeFixes::All(options.unsafe_fixes)),
            assume_no_signals: Setting::default(options.assume_no_signals),
            python: Setting::default(None),
        }
    }
}

impl Settings {
    /// What holds for the project at `root` with the flags `args`.
    pub fn load(root: &Path, args: &SettingArgs) -> miette::Result<Settings> {
        let default = Settings::default();
        let config = config::load(root)?;
        let mut dirs = root::project_dirs(root);
        if !dirs.contains(&config.base.as_path()) {
            dirs.push(&config.base);
        }
        Ok(Settings {
            line_length: config
                .line_length
                .or_else(|| target::line_length(&dirs))
                .unwrap_or(default.line_length),
            target_django: config
                .target_django
                .or_else(|| target::django(&dirs))
                .unwrap_or(default.target_django),
            ignore: ignored(args, config.ignore, default.ignore)?,
            select: names(&args.select, "--select")?
                .or(config.select)
                .filter(|select| !select.value.is_empty())
                .unwrap_or(default.select),
            exclude: config.exclude.unwrap_or(default.exclude),
            per_file_ignores: config.per_file_ignores.unwrap_or(default.per_file_ignores),
            batch_size: config.batch_size.unwrap_or(default.batch_size),
            include_tests: flag(args.include_tests, "--include-tests")
                .or(config.include_tests)
                .unwrap_or(default.include_tests),
            include_migrations: flag(args.include_migrations, "--include-migrations")
                .or(config.include_migrations)
                .unwrap_or(default.include_migrations),
            unsafe_fixes: flag(args.unsafe_fixes, "--unsafe-fixes")
                .map(|setting| setting.map(UnsafeFixes::All))
                .or(config.unsafe_fixes)
                .unwrap_or(default.unsafe_fixes),
            assume_no_signals: config.assume_no_signals.unwrap_or(default.assume_no_signals),
            python: environment::find(root, config.python)?
                .map(|found| found.map(Some))
                .unwrap_or(default.python),
            file: config.file,
            base: config.base,
        })
    }

    /// The codemods to run.
    pub fn rules(&self) -> Vec<&'static dyn Rule> {
        let wanted = codemods(&self.select.value);
        let unwanted = codemods(&self.ignore.value);
        let is_on = |rule: &&dyn Rule| {
            let name = rule.meta().name;
            // `all` and a group stand for what is on by default.
            let is_asked = rule.is_default() || self.select.value.iter().any(|select| select == name);
            is_asked && wanted.contains(name) && !unwanted.contains(name)
        };
        ALL.iter().copied().filter(is_on).collect()
    }

    /// What the engine is told.
    pub fn options(&self) -> Options {
        let unsafe_codemods = match &self.unsafe_fixes.value {
            UnsafeFixes::Of(names) => codemods(names),
            UnsafeFixes::All(_) => FxHashSet::default(),
        };
        let known = ALL.iter().map(|rule| (rule.meta().name, rule.is_default()));
        let is_unsafe = |(name, _): &(&'static str, bool)| unsafe_codemods.contains(name);
        Options {
            unsafe_codemods: known.clone().filter(is_unsafe).map(|(name, _)| name.to_owned()).collect(),
            unsafe_fixes: self.unsafe_fixes.value == UnsafeFixes::All(true),
            line_length: self.line_length.value,
            batch_size: self.batch_size.value,
            target_django: self.target_django.value,
            assume_no_signals: self.assume_no_signals.value.clone(),
            codemods: known.collect(),
            ..Options::default()
        }
    }
}

/// A flag that stands alone.
fn flag(is_given: bool, name: &'static str) -> Option<Setting<bool>> {
    is_given.then(|| Setting::new(true, Origin::Flag(name)))
}

/// The names that a flag lists, if it is given.
fn names(list: &[String], name: &'static str) -> miette::Result<Option<Setting<Vec<String>>>> {
    let mut value = Vec::with_capacity(list.len());
    for given in list {
        config::resolve(given.trim()).map_err(|(message, help)| miette!(help = help, "{name}: {message}"))?;
        value.push(given.trim().to_owned());
    }
    Ok((!value.is_empty()).then(|| Setting::new(value, Origin::Flag(name))))
}

/// What is ignored: what the flag says and what the configuration says, unless codemods are selected on the command line; what is
/// selected there by name is wanted although the configuration ignores it.
fn ignored(
    args: &SettingArgs,
    config: Option<Setting<Vec<String>>>,
    default: Setting<Vec<String>>,
) -> miette::Result<Setting<Vec<String>>> {
    let config = config.filter(|_| args.select.is_empty());
    Ok(match (config, names(&args.ignore, "--ignore")?) {
        (Some(mut both), Some(flag)) => {
            both.value.extend(flag.value);
            both.origins.extend(flag.origins);
            both
        }
        (config, flag) => config.or(flag).unwrap_or(default),
    })
}

/// The codemods that `names`, which are known, stand for.
pub fn codemods(names: &[String]) -> FxHashSet<&'static str> {
    names.iter().filter_map(|name| config::resolve(name).ok()).flatten().collect()
}
