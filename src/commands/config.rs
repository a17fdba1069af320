//! `ormend config`: what holds for a project, and where each value comes from. As text it is a configuration that says the same, with
//! the origins as comments.

use super::files;
use crate::Status;
use crate::cli::{ConfigArgs, ListFormat};
use crate::config::{self, shown_version};
use crate::discover::{self, Discovery, Request};
use crate::escape::escape_line;
use crate::paths::{Paths, relative_to, working_directory};
use crate::pipeline;
use crate::root;
use crate::settings::{Origin, Setting, Settings};
use crate::terminal::Terminal;
use miette::miette;
use ormend_engine::rewrite::Role;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::Path;

/// The version of the form of the data.
const VERSION: u32 = 1;

/// Longer lines than this do not move the comments of the others.
const WIDE: usize = 44;

pub fn run(args: &ConfigArgs, terminal: &Terminal) -> miette::Result<Status> {
    if args.schema {
        let schema = config::schema()?;
        terminal.product(|out| out.write_all(schema.as_bytes()))?;
        return Ok(Status::Clean);
    }
    let asked = vec![pipeline::resolve(&args.path)?];
    let paths = Paths::new(root::find(&asked), working_directory()?);
    let settings = Settings::load(&paths.root, &args.settings)?;
    let discovery = {
        let _progress = terminal.progress("Finding files");
        discover::discover(&Request {
            paths: &paths,
            settings: &settings,
            asked: &asked,
            changed: None,
            jobs: rayon::current_num_threads(),
        })?
    };
    let rows = rows(&settings)?;
    let shown = Shown { settings: &settings, paths: &paths, discovery: &discovery, rows: &rows };
    terminal.product(|out| match args.output_format {
        ListFormat::Text => shown.write_text(out),
        ListFormat::Json => shown.write_json(out),
    })?;
    Ok(Status::Clean)
}

/// A key, its value as the configuration writes it, and where that comes from.
struct Row {
    key: &'static str,
    /// Null for no value.
    value: Value,
    origins: Vec<Origin>,
}

impl Row {
    fn new<T: Serialize>(key: &'static str, setting: &Setting<T>) -> miette::Result<Row> {
        let value = serde_json::to_value(&setting.value)
            .map_err(|error| miette!("cannot write the value of `{key}`: {error}"))?;
        Ok(Row { key, value, origins: setting.origins.clone() })
    }
}

/// Every key, in the order of the documentation.
fn rows(settings: &Settings) -> miette::Result<Vec<Row>> {
    // The configuration has tables and strings where the engine has pairs.
    let ignores: Map<String, Value> =
        settings.per_file_ignores.value.iter().map(|(glob, names)| (glob.clone(), json!(names))).collect();
    let python = settings.python.value.as_ref().map(|found| relative_to(&found.path, &settings.base));
    Ok(vec![
        Row::new("select", &settings.select)?,
        Row::new("ignore", &settings.ignore)?,
        Row::new("exclude", &settings.exclude)?,
        Row {
            key: "per-file-ignores",
            value: Value::Object(ignores),
            origins: settings.per_file_ignores.origins.clone(),
        },
        Row {
            key: "target-django",
            value: Value::String(shown_version(settings.target_django.value)),
            origins: settings.target_django.origins.clone(),
        },
        Row::new("line-length", &settings.line_length)?,
        Row::new("batch-size", &settings.batch_size)?,
        Row::new("include-tests", &settings.include_tests)?,
        Row::new("include-migrations", &settings.include_migrations)?,
        Row::new("unsafe-fixes", &settings.unsafe_fixes)?,
        Row::new("assume-no-signals", &settings.assume_no_signals)?,
        Row { key: "python", value: json!(python), origins: settings.python.origins.clone() },
    ])
}

/// What is shown.
struct Shown<'a> {
    settings: &'a Settings,
    paths: &'a Paths,
    discovery: &'a Discovery,
    rows: &'a [Row],
}

impl Shown<'_> {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Shown { settings, paths, .. } = self;
        writeln!(out, "# Project root: {}", paths.show_absolute(&paths.root))?;
        let file = settings.file.as_deref().map(|file| paths.show_absolute(file));
        writeln!(out, "# Configuration: {}", file.as_deref().unwrap_or("none"))?;
        writeln!(out, "# To look at: {}", files(self.scanned(), self.discovery.left_out, 0))?;
        let packages = settings.python.value.as_ref();
        let packages = packages.map(|found| paths.show_absolute(&found.site_packages));
        writeln!(out, "# Installed packages: {}", packages.as_deref().unwrap_or("none"))?;
        writeln!(out)?;
        let lines: Vec<String> = self.rows.iter().map(line).collect();
        let width = lines.iter().map(|line| line.chars().count()).filter(|width| *width <= WIDE).max();
        let width = width.unwrap_or(0);
        for (line, row) in lines.iter().zip(self.rows) {
            let origins: Vec<String> = row.origins.iter().map(|origin| self.origin(origin)).collect();
            writeln!(out, "{line:width$}  # {}", origins.join(", "))?;
        }
        Ok(())
    }

    fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let Shown { settings, discovery, .. } = self;
        let path = |path: &Path| relative_to(path, &self.paths.cwd);
        let keys: Map<String, Value> = self
            .rows
            .iter()
            .map(|row| {
                let origins: Vec<Value> = row.origins.iter().map(|origin| self.data(origin)).collect();
                (row.key.to_owned(), json!({ "value": row.value, "origins": origins }))
            })
            .collect();
        let left_out = discovery.left_out;
        let document = json!({
            "version": VERSION,
            "root": path(&self.paths.root),
            "configuration": settings.file.as_deref().map(path),
            "files": {
                "looked_at": self.scanned(),
                "tests": left_out.tests,
                "migrations": left_out.migrations,
                "excluded": left_out.excluded,
            },
            "codemods": settings.rules().iter().map(|rule| rule.meta().name).collect::<Vec<_>>(),
            "site_packages": settings.python.value.as_ref().map(|found| path(&found.site_packages)),
            "settings": keys,
        });
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)
    }

    /// How many files are looked at.
    fn scanned(&self) -> usize {
        self.discovery.files.iter().filter(|file| file.role == Role::Scan).count()
    }

    fn origin(&self, origin: &Origin) -> String {
        match origin {
            Origin::Default => "default".to_owned(),
            Origin::Config(place) | Origin::File(place) => {
                format!("{}:{}", self.paths.show_absolute(&place.file), place.line)
            }
            Origin::Found(path) => format!("found {}", self.paths.show_absolute(path)),
            Origin::Variable(name) | Origin::Flag(name) => (*name).to_owned(),
        }
    }

    fn data(&self, origin: &Origin) -> Value {
        let path = |path: &Path| relative_to(path, &self.paths.cwd);
        match origin {
            Origin::Default => json!({ "kind": "default" }),
            Origin::Config(place) => {
                json!({ "kind": "configuration", "file": path(&place.file), "line": place.line })
            }
            Origin::File(place) => json!({ "kind": "file", "file": path(&place.file), "line": place.line }),
            Origin::Found(found) => json!({ "kind": "found", "file": path(found) }),
            Origin::Variable(name) => json!({ "kind": "variable", "name": name }),
            Origin::Flag(name) => json!({ "kind": "flag", "name": name }),
        }
    }
}

/// `key = value`; a key without a value is no TOML, and stands in a comment.
fn line(row: &Row) -> String {
    match toml::Value::try_from(&row.value) {
        Ok(value) => escape_line(&format!("{} = {value}", row.key)).into_owned(),
        Err(_) => format!("# {} is not set", row.key),
    }
}
