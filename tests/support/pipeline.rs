//! The public pipeline, as the tests call it.

use super::markdown::{Case, Files, Page};
use ormend_engine::codemod::{Finding, Rule};
use ormend_engine::django::templates::is_template_path;
use ormend_engine::rewrite::{InputFile, Options, Report, Role, run};
use std::path::PathBuf;
use std::sync::LazyLock;

/// A folder of `codemods/` that has a README.
pub struct Codemod {
    /// `select_related`
    pub folder: String,
    /// Its entry in the list, if there is one.
    pub rule: Option<&'static dyn Rule>,
    /// The README first, then the pages of `cases/`.
    pub pages: Vec<Page>,
}

impl Codemod {
    /// `select-related`
    pub fn name(&self) -> String {
        self.folder.replace('_', "-")
    }

    /// All cases of all pages.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.pages.iter().flat_map(|page| &page.cases)
    }
}

/// The Markdown pages of every codemod, listed or not.
pub fn pages_of(folder: &str) -> Vec<PathBuf> {
    let folder = super::root().join("codemods").join(folder);
    let mut pages = vec![folder.join("README.md")];
    let cases = folder.join("cases");
    if cases.is_dir() {
        pages.extend(
            super::files_below(&cases).into_iter().filter(|p| p.extension().is_some_and(|e| e == "md")),
        );
    }
    pages
}

/// The folders of `codemods/` that have a README, sorted.
pub fn folders() -> Vec<String> {
    let mut folders: Vec<String> = std::fs::read_dir(super::root().join("codemods"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("README.md").is_file())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    folders.sort();
    folders
}

/// Every codemod with its cases.
pub static CODEMODS: LazyLock<Vec<Codemod>> = LazyLock::new(|| {
    let codemod = |folder: String| {
        let name = folder.replace('_', "-");
        let rule = ormend_codemods::ALL.iter().copied().find(|rule| rule.meta().name == name);
        let pages = pages_of(&folder).iter().map(|page| super::markdown::parse(page)).collect();
        Codemod { folder, rule, pages }
    };
    folders().into_iter().map(codemod).collect()
});

static SAMPLE: LazyLock<Files> = LazyLock::new(|| {
    let folder = super::root().join("codemods/sample");
    let read = |path: &PathBuf| (super::relative(&folder, path), std::fs::read_to_string(path).unwrap());
    super::files_below(&folder).iter().map(read).collect()
});

/// The whole project of a case.
pub fn project(case: &Case) -> Files {
    let mut files = SAMPLE.clone();
    files.extend(case.files.clone());
    files.extend(case.before.clone());
    // A package needs no `__init__.py` fence of its own; the Django runner does the same.
    let folders: Vec<String> = files
        .keys()
        .filter_map(|path| path.strip_suffix(".py")?.rsplit_once('/').map(|(folder, _)| folder.to_owned()))
        .collect();
    for folder in folders {
        files.entry(format!("{folder}/__init__.py")).or_default();
    }
    files
}

/// Run one codemod over `files`, and apply.
pub fn apply(rule: &'static dyn Rule, files: &Files, unsafe_fixes: bool) -> Report {
    apply_all(&[rule], files, unsafe_fixes)
}

/// Run codemods together over `files`, and apply.
pub fn apply_all(rules: &[&dyn Rule], files: &Files, unsafe_fixes: bool) -> Report {
    let input = |(path, text): (&String, &String)| InputFile {
        path: path.clone(),
        bytes: text.clone().into_bytes(),
        role: match path {
            path if path.ends_with(".py") => Role::Scan,
            path if is_template_path(path, &[]) => Role::Template,
            _ => Role::Index,
        },
    };
    let options = Options { unsafe_fixes, ..options(files) };
    run(files.iter().map(input).collect(), rules, &options, true)
}

/// `files` with the changes of `report`.
pub fn changed(files: &Files, report: &Report) -> Files {
    let mut files = files.clone();
    for change in &report.changes {
        let text = String::from_utf8(change.after.clone()).unwrap_or_else(|e| panic!("{}: {e}", change.path));
        files.insert(change.path.clone(), text);
    }
    files
}

/// The hazards of a finding as a `reason` fence writes them.
pub fn reasons(report: &Report, finding: &Finding) -> Vec<String> {
    let reason = |hazard: &ormend_engine::codemod::Hazard| {
        let place = hazard.site.map_or(String::new(), |site| {
            let source = &report.sources[&site.file];
            format!(" ({}:{})", source.path(), source.line_column(site.span.start).line)
        });
        format!("{}: {}{place}", hazard.kind.name(), hazard.message())
    };
    finding.hazards.iter().map(reason).collect()
}

/// The options that a case's `pyproject.toml` sets. Simple `key = value` lines are enough for cases; reading the
/// real thing is the command's business and has its own tests.
fn options(files: &Files) -> Options {
    let mut options = Options::default();
    let text = files.get("pyproject.toml").map_or("", String::as_str);
    let section = text.split("[tool.ormend]").nth(1).unwrap_or("");
    for line in section.lines().take_while(|line| !line.starts_with('[')) {
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        match key.trim() {
            "line-length" => options.line_length = value.parse().unwrap(),
            "batch-size" => options.batch_size = value.parse().unwrap(),
            "target-django" => {
                let (major, minor) = value.split_once('.').unwrap();
                options.target_django = (major.parse().unwrap(), minor.parse().unwrap());
            }
            "assume-no-signals" => {
                let list = value.trim_matches(['[', ']']);
                let names = list.split(',').map(|name| name.trim().trim_matches('"').to_owned());
                options.assume_no_signals = names.filter(|name| !name.is_empty()).collect();
            }
            other => panic!("a case sets `{other}`, which the tests do not know"),
        }
    }
    options
}
