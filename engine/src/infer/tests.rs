//! What the evaluation of a frame says, on small projects.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::django::Project;
use crate::python::Kind;
use crate::text::{FileId, Source};

const MODELS: &str = r#"
from django.db import models

class Publisher(models.Model):
    name = models.CharField(max_length=10)

class AuthorQuerySet(models.QuerySet):
    def active(self):
        return self.filter(active=True)

class Author(models.Model):
    name = models.CharField(max_length=10)
    active = models.BooleanField(default=True)
    publisher = models.ForeignKey(Publisher, null=True, on_delete=models.CASCADE, related_name="authors")
    objects = AuthorQuerySet.as_manager()

    @property
    def imprint(self):
        return self.publisher.name

    def __str__(self):
        return f"{self.name} ({self.publisher.name})"

class Book(models.Model):
    title = models.CharField(max_length=10)
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")

    def byline(self):
        return self.author.name

    def save(self, *args, **kwargs):
        self.title = self.title.strip()
        super().save(*args, **kwargs)
"#;

/// The facts of the function `f` of `code`, and what `check` reads of them.
fn with_f<T>(code: &str, check: impl FnOnce(&Project, &Facts) -> T) -> T {
    let sources = [("shop/__init__.py", ""), ("shop/models.py", MODELS), ("shop/code.py", code)]
        .map(|(path, text)| Source::new(path, text.as_bytes().to_vec()));
    let project = Project::build(sources.into());
    let file = FileId(2);
    let function = project
        .program()
        .functions_in(file)
        .find(|f| project.program().function(*f).name == "f")
        .expect("a function f");
    let analyzer = Analyzer::new(&project);
    let facts = analyzer.function(function);
    check(&project, &facts)
}

/// The paths that are read from the rows of a queryset, sorted.
fn row_reads(code: &str) -> Vec<String> {
    with_f(code, |_, facts| {
        let mut out: Vec<String> = facts
            .events()
            .filter_map(|e| match &e.kind {
                EventKind::ReadRelation { root: Root::Row(_), path, .. } => Some(path.join("__")),
                _ => None,
            })
            .collect();
        out.sort();
        out.dedup();
        out
    })
}

const IMPORT: &str = "from shop.models import Author, Book\n";

fn reads(body: &str) -> Vec<String> {
    row_reads(&format!("{IMPORT}{body}"))
}

#[test]
fn relations_are_read_from_rows() {
    assert_eq!(
        reads("def f():\n    for b in Book.objects.all():\n        print(b.author.name)\n"),
        ["author"]
    );
    assert_eq!(
        reads("def f():\n    return [b.author.publisher.name for b in Book.objects.filter(title='x')]\n"),
        ["author", "author__publisher"]
    );
    assert_eq!(
        reads(
            "def f():\n    books = Book.objects.order_by('title')[:5]\n    for i, b in enumerate(books):\n        a = b.author\n        print(a.imprint)\n"
        ),
        ["author", "author__publisher"]
    );
    assert_eq!(
        reads("def f():\n    return sorted(Book.objects.all(), key=lambda b: b.author.name)\n"),
        ["author"]
    );
    assert_eq!(reads("def f():\n    for a in Author.objects.active():\n        print(a)\n"), ["publisher"]);
    assert_eq!(
        reads("def f():\n    for b in Book.objects.all():\n        print(b.author_id)\n"),
        Vec::<String>::new()
    );
}

#[test]
fn relations_are_read_in_callees() {
    assert_eq!(
        reads(
            "def line(b):\n    return b.byline()\n\ndef f():\n    for b in Book.objects.all():\n        line(b)\n"
        ),
        ["author"]
    );
    assert_eq!(
        reads(
            "def show(books):\n    for b in books:\n        print(b.author)\n\ndef f():\n    show(Book.objects.all())\n"
        ),
        ["author", "author__publisher"]
    );
    assert_eq!(
        reads(
            "def books():\n    return Book.objects.filter(title='x')\n\ndef f():\n    for b in books():\n        b.byline()\n"
        ),
        ["author"]
    );
    assert_eq!(
        reads(
            "def f():\n    def line(b):\n        return b.author.name\n    return [line(b) for b in Book.objects.all()]\n"
        ),
        ["author"]
    );
}

#[test]
fn writes_are_seen_through_overrides() {
    with_f(&format!("{IMPORT}def f(title):\n    Book(title=title).save()\n"), |project, facts| {
        let written: Vec<String> = facts
            .events()
            .filter_map(|e| match &e.kind {
                EventKind::Write { model: Some(m), .. } => Some(project.model(*m).name.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(written, ["Book"]);
    });
}

#[test]
fn types_flow() {
    let ty = |body: &str| {
        with_f(&format!("{IMPORT}{body}"), |project, facts| {
            let file = project.program().file(FileId(2));
            let node = file
                .root()
                .descendants()
                .filter(|n| n.kind() == Kind::Name && n.text() == "x")
                .last()
                .expect("a name x");
            format!("{:?}", facts.type_of(node))
        })
    };
    assert!(ty("def f():\n    x = Book.objects.get(pk=1)\n    return x\n").starts_with("Instance"));
    assert!(ty("def f(pk):\n    x = Book.objects.filter(pk=pk).first()\n    if x is None:\n        return\n    return x\n").starts_with("Instance"));
    assert!(ty("def f(c):\n    x = Book.objects.all()\n    if c:\n        x = x.filter(title='a')\n    return x\n").starts_with("QuerySet"));
    assert_eq!(ty("def f(x):\n    return x\n"), "Unknown");
    assert!(ty("def f(x: Book):\n    return x\n").starts_with("Instance"));
    assert!(ty("from django.shortcuts import get_object_or_404\ndef f(pk):\n    x = get_object_or_404(Book, pk=pk)\n    return x\n").starts_with("Instance"));
    assert!(
        ty("def f():\n    for a in Author.objects.all():\n        x = a.books.all()\n        print(x)\n")
            .starts_with("QuerySet")
    );
}

/// What a function carries is not known, and asking for it comes to an end.
#[test]
fn attributes_of_functions_are_unknown() {
    let called = [
        "    def inner():\n        return 1\n    x = inner.side_effect()\n    return x\n",
        "    x = (lambda: 1).side_effect()\n    return x\n",
        "    x = f.cache_clear()\n    return x\n",
        "    x = f.__wrapped__.cache_clear()\n    return x\n",
        "    def inner():\n        return 1\n    x = inner.first.second.third()\n    return x\n",
    ];
    for body in called {
        with_f(&format!("{IMPORT}def f():\n{body}"), |project, facts| {
            let file = project.program().file(FileId(2));
            let x = file.root().descendants().filter(|n| n.kind() == Kind::Name && n.text() == "x").last();
            assert_eq!(x.map(|x| format!("{:?}", facts.type_of(x))), Some(String::from("Unknown")), "{body}");
        });
    }
}

#[test]
fn iterators_of_packages_give_rows() {
    let code = "
from more_itertools import chunked
from shop.models import Book
from tqdm import tqdm

def f():
    for book in tqdm(Book.objects.all()):
        book.author
    for page in chunked(Book.objects.all(), 3):
        for book in page:
            book.author
";
    let reads = with_f(code, |_, facts| {
        let is_read = |e: &Event<'_>| {
            matches!(&e.kind, EventKind::ReadRelation { root: Root::Row(_), .. }) && !e.rounds.is_empty()
        };
        facts.events().filter(is_read).count()
    });
    assert_eq!(reads, 2);
}

#[test]
fn an_object_keeps_what_it_is_given() {
    let code = "
from shop.models import Book

class Report:
    def __init__(self, rows):
        self.rows = rows

    def lines(self):
        return [book.author.name for book in self.rows]

def f():
    return Report(Book.objects.all()).lines()
";
    let reads = with_f(code, |_, facts| {
        let is_read = |e: &Event<'_>| matches!(&e.kind, EventKind::ReadRelation { root: Root::Row(_), .. });
        facts.events().filter(is_read).count()
    });
    assert_eq!(reads, 1);
}
