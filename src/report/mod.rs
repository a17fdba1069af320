//! Findings as text and as data.

pub mod concise;
pub mod diff;
mod excerpt;
pub mod full;
pub mod github;
pub mod gitlab;
pub mod jsonl;
pub mod markdown;
pub mod merge;
pub mod models;
pub mod sarif;
pub mod statistics;

use crate::paths::Paths;
use ormend_engine::codemod::{FileEdit, Finding, Hazard, Outcome};
use ormend_engine::rewrite::Sources;
use ormend_engine::text::{FileId, LineColumn, Site, Source};
use rustc_hash::FxHashSet;

/// All findings of a run, in the engine's order, and the files they are in.
pub struct Findings<'a> {
    list: &'a [Finding],
    sources: &'a Sources,
    paths: &'a Paths,
    fingerprints: &'a [String],
}

impl<'a> Findings<'a> {
    /// The findings `list`, each with its fingerprint, whose sites refer to `sources`.
    pub fn new(
        list: &'a [Finding],
        fingerprints: &'a [String],
        sources: &'a Sources,
        paths: &'a Paths,
    ) -> Findings<'a> {
        Findings { list, sources, paths, fingerprints }
    }

    /// Those to show, each with its fingerprint.
    pub fn shown(&self, with_withheld: bool) -> impl Iterator<Item = (&'a Finding, &str)> {
        let all = self.list.iter().zip(self.fingerprints.iter().map(String::as_str));
        all.filter(move |(finding, _)| with_withheld || finding.outcome() != Outcome::Withheld)
    }

    /// All of them, withheld ones included.
    pub fn all(&self) -> &'a [Finding] {
        self.list
    }

    /// How many have this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.list.iter().filter(|finding| finding.outcome() == outcome).count()
    }

    /// How many files they are in.
    pub fn file_count(&self) -> usize {
        self.list.iter().map(|finding| finding.site.file).collect::<FxHashSet<_>>().len()
    }

    fn source(&self, file: FileId) -> Option<&'a Source> {
        self.sources.get(&file).map(|source| &**source)
    }

    /// The path of `file` as shown; empty for a file that is not there, which only a bug could name.
    fn show_path(&self, file: FileId) -> String {
        self.source(file).map(|source| self.paths.show(source.path())).unwrap_or_default()
    }

    /// The path of `file` as data.
    fn path(&self, file: FileId) -> String {
        self.source(file).map(|source| self.paths.relative(source.path())).unwrap_or_default()
    }

    /// The path of `file` from the project root, as data.
    pub fn project_path(&self, file: FileId) -> String {
        self.source(file).map(|source| source.path().to_owned()).unwrap_or_default()
    }

    /// Where the offset stands; line and column 0 in a file that is not there.
    fn line_column(&self, file: FileId, offset: u32) -> LineColumn {
        let nowhere = LineColumn { line: 0, column: 0 };
        self.source(file).map_or(nowhere, |source| source.line_column(offset))
    }

    /// `shop/models.py:41`
    fn show_place(&self, site: Site) -> String {
        format!("{}:{}", self.show_path(site.file), self.line_column(site.file, site.span.start).line)
    }

    /// What a finding says, what it costs, and, a line each, its obstacles.
    pub fn account(&self, finding: &Finding) -> String {
        let queries = &finding.queries;
        let mut text = format!("{} ({} -> {})", finding.message, queries.before, queries.after);
        for hazard in &finding.hazards {
            text.push('\n');
            text.push_str(&self.hazard_text(hazard));
        }
        text
    }

    /// ``CustomSave: `Book` overrides save() ... (shop/models.py:41)``
    pub fn hazard_text(&self, hazard: &Hazard) -> String {
        let message = hazard.message();
        let text = format!("{}: {}", hazard.kind.name(), crate::escape::escape_line(&message));
        match hazard.site {
            Some(site) => format!("{text} ({})", self.show_place(site)),
            None => text,
        }
    }
}

/// The edits of a finding's fix, those of its imports included.
fn edits_of(finding: &Finding) -> &[FileEdit] {
    finding.fix.as_ref().map_or(&[], |fix| &fix.edits)
}

/// `1 book`, `2 books`
pub fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
pub mod samples {
    //! Findings made by hand, for the tests of the reports.

    use super::*;
    use ormend_engine::codemod::{Fix, HazardKind, Queries, Related};
    use ormend_engine::text::{Edit, Span};

    pub const VIEWS: &str = "\
from shop.models import Book


def titles(request):
    books = Book.objects.all()
    for book in books:
        print(book.author.name)
        print('\x1b[2J')
";
    pub const MODELS: &str = "\
class Book(Model):
\tauthor = ForeignKey(Author)

\tdef save(self):
\t\tsuper().save()
";

    pub fn sources() -> Sources {
        let files = [("shop/views.py", VIEWS), ("shop/models.py", MODELS)];
        let source = |(path, text): (&str, &str)| Source::new(path, text.as_bytes().to_vec()).into();
        (0..).map(FileId).zip(files.into_iter().map(source)).collect()
    }

    /// One file alone.
    pub fn source(path: &str, bytes: Vec<u8>) -> Sources {
        [(FileId(0), Source::new(path, bytes).into())].into()
    }

    pub fn paths() -> Paths {
        Paths::new("/project".into(), "/project".into())
    }

    /// What `write` writes of [`findings`].
    pub fn rendered(write: impl FnOnce(&mut Vec<u8>, &Findings)) -> String {
        let (list, sources, paths) = (findings(), sources(), paths());
        let fingerprints: Vec<String> = (1..=list.len()).map(|n| format!("{n:016x}")).collect();
        let mut out = Vec::new();
        write(&mut out, &Findings::new(&list, &fingerprints, &sources, &paths));
        String::from_utf8(out).unwrap()
    }

    /// The first place of `text` in file 0 or 1.
    pub fn site(file: u32, text: &str) -> Site {
        let source = if file == 0 { VIEWS } else { MODELS };
        let start = source.find(text).unwrap() as u32;
        Site { file: FileId(file), span: Span::new(start, start + text.len() as u32) }
    }

    fn hazard(kind: HazardKind, subject: &str, site: Option<Site>) -> Hazard {
        Hazard { kind, site, subject: subject.into() }
    }

    /// One safe, one unsafe and two withheld findings.
    pub fn findings() -> Vec<Finding> {
        let loop_site = site(0, "for book in books:\n        print(book.author.name)");
        let built = site(0, "Book.objects.all()");
        let safe = Finding {
            codemod: "select-related",
            site: loop_site,
            message: "Fetch `author` with `select_related`".into(),
            related: vec![
                Related { site: built, message: "the queryset is built here".into() },
                Related { site: site(1, "author = ForeignKey(Author)"), message: "the relation".into() },
            ],
            queries: Queries { before: "1 + N queries".into(), after: "1 query".into() },
            hazards: Vec::new(),
            unlisted: 0,
            fix: Some(Fix {
                edits: vec![FileEdit {
                    file: FileId(0),
                    edit: Edit::insert(built.span.end, ".select_related(\"author\")"),
                }],
                ..Fix::default()
            }),
        };
        let save =
            hazard(HazardKind::CustomSave, "Book", Some(site(1, "def save(self):\n\t\tsuper().save()")));
        let opt_in = Finding {
            codemod: "bulk-create",
            hazards: vec![save.clone()],
            message: "Write with `bulk_create`".into(),
            related: Vec::new(),
            ..safe.clone()
        };
        let withheld = Finding {
            hazards: vec![save, hazard(HazardKind::UnknownType, "books\x1b", None)],
            fix: None,
            ..opt_in.clone()
        };
        vec![safe, opt_in, withheld.clone(), Finding { unlisted: 7, ..withheld }]
    }
}
