//! The parser of documented cases: the labelled fences of a README or of a page in `cases/`.
//!
//! The form is described in CONTRIBUTING; `tests/django/cases.py` reads the same one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The file of a fence that names none.
pub const DEFAULT_PATH: &str = "shop/code.py";

/// The files of one role, by path.
pub type Files = BTreeMap<String, String>;

/// A page: its cases, and its `##` headings in order.
#[derive(Debug, Default)]
pub struct Page {
    /// Where it stands.
    pub path: PathBuf,
    /// The text of the `#` heading.
    pub title: String,
    /// The texts of the `##` headings.
    pub sections: Vec<String>,
    /// The cases, in order.
    pub cases: Vec<Case>,
    /// Mistakes in the form.
    pub problems: Vec<String>,
}

/// The fences under one heading.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// The page, relative to the repository, and the line of the heading.
    pub place: String,
    /// The `##` heading.
    pub section: String,
    /// The heading; `section / heading` for a `###` one.
    pub title: String,
    /// Files as they are.
    pub before: Files,
    /// Files after the safe fixes.
    pub after: Option<Files>,
    /// Files after the unsafe fixes.
    pub unsafe_fixes: Option<Files>,
    /// Whether there is a naive rewrite.
    pub naive: bool,
    /// The lines of the reason.
    pub reason: Option<Vec<String>>,
    /// Whether there is a check.
    pub check: bool,
    /// Whether there is a race of two connections.
    pub race: bool,
    /// Other files of the project.
    pub files: Files,
}

impl Case {
    fn is_empty(&self) -> bool {
        self.before.is_empty()
            && self.after.is_none()
            && self.unsafe_fixes.is_none()
            && !self.naive
            && self.reason.is_none()
            && !self.check
            && !self.race
    }
}

/// Parse the page at `path`.
pub fn parse(path: &Path) -> Page {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    parse_text(path, &text)
}

/// Parse `text`, the content of `path`.
pub fn parse_text(path: &Path, text: &str) -> Page {
    let shown = super::relative(super::root(), path);
    let mut page = Page { path: path.to_path_buf(), ..Page::default() };
    let mut case = Case::default();
    let mut lines = text.split('\n').enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some((level, title)) = heading(line) {
            page.keep(std::mem::take(&mut case));
            match level {
                1 if page.title.is_empty() => page.title = title.to_owned(),
                3 => {}
                _ => page.sections.push(title.to_owned()),
            }
            let section = page.sections.last().cloned().unwrap_or_default();
            let full = if level == 3 { format!("{section} / {title}") } else { title.to_owned() };
            case = Case { place: format!("{shown}:{}", number + 1), section, title: full, ..Case::default() };
            continue;
        }
        let ticks = line.len() - line.trim_start_matches('`').len();
        if ticks < 3 || line[ticks..].contains('`') {
            continue;
        }
        let mut body = String::new();
        let mut closed = false;
        for (_, inner) in lines.by_ref() {
            if inner.trim_end() == &line[..ticks] {
                closed = true;
                break;
            }
            body.push_str(inner);
            body.push('\n');
        }
        let place = format!("{shown}:{}", number + 1);
        if !closed {
            page.problems.push(format!("{place}: the fence is never closed"));
        }
        let words: Vec<&str> = line[ticks..].split_whitespace().collect();
        if let Err(problem) = case.add(&words, body) {
            page.problems.push(format!("{place}: {problem}"));
        }
    }
    page.keep(case);
    page
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.len() - line.trim_start_matches('#').len();
    let rest = line.get(level..)?.strip_prefix(' ')?;
    (1..=3).contains(&level).then(|| (level, rest.trim()))
}

impl Page {
    fn keep(&mut self, case: Case) {
        if case.is_empty() {
            return;
        }
        let mut problem = |text: &str| self.problems.push(format!("{}: {text}", case.place));
        if case.before.is_empty() {
            problem("there is no `before`");
        }
        for files in [&case.after, &case.unsafe_fixes].into_iter().flatten() {
            for path in files.keys().filter(|path| !case.before.contains_key(*path)) {
                problem(&format!("{path} has no `before`"));
            }
        }
        if (case.after.is_some() || case.unsafe_fixes.is_some() || case.naive) && !case.check {
            problem("what is rewritten must have a `check`");
        }
        if case.race && case.after.is_none() && case.unsafe_fixes.is_none() && !case.naive {
            problem("a `race` needs an `after`, an `unsafe` or a `naive`");
        }
        self.cases.push(case);
    }
}

impl Case {
    fn add(&mut self, words: &[&str], body: String) -> Result<(), String> {
        let [_, role, rest @ ..] = words else { return Ok(()) };
        let path = rest.first().copied().unwrap_or(DEFAULT_PATH).to_owned();
        let old = match *role {
            "before" => self.before.insert(path, body),
            "after" => self.after.get_or_insert_default().insert(path, body),
            "unsafe" => self.unsafe_fixes.get_or_insert_default().insert(path, body),
            "naive" => {
                self.naive = true;
                None
            }
            "check" if !matches!(rest, [] | ["postgresql"]) => {
                return Err(format!("`{}` is no database", rest.join(" ")));
            }
            "check" => std::mem::replace(&mut self.check, true).then_some(body),
            "race" => std::mem::replace(&mut self.race, true).then_some(body),
            "reason" => {
                self.reason.replace(body.lines().map(str::to_owned).collect()).map(|lines| lines.join("\n"))
            }
            path if path.contains(['.', '/']) => self.files.insert(path.to_owned(), body),
            other => return Err(format!("`{other}` is no label")),
        };
        old.map_or(Ok(()), |_| Err(format!("a second `{role}` for the same file")))
    }
}
