//! A small project with a fix in two files.

use super::Project;

pub const MODELS: &str = "\
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=100)


class Book(models.Model):
    title = models.CharField(max_length=100)
    pages = models.IntegerField()
    author = models.ForeignKey(Author, on_delete=models.CASCADE)
";

pub const VIEWS: &str = "\
from shop.models import Book


def names():
    for book in Book.objects.all():
        print(book.author.name)
";

/// [`VIEWS`], and a second fix in the same file.
pub const TWO_VIEWS: &str = "\
from shop.models import Book


def names():
    for book in Book.objects.all():
        print(book.author.name)


def has_books():
    return Book.objects.count() > 0
";

/// An unsafe fix.
pub const RISKY: &str = "\
from shop.models import Book


def owner(book: Book):
    return book.author.pk
";

/// Two fixes want one place. In Latin-1, with CRLF: offsets in the text are not those in the file.
pub const LATIN_TOTALS: &str = "\
# -*- coding: latin-1 -*-\r
# Caf\u{e9}\r
from shop.models import Book\r
\r
\r
def pages():\r
    \"\"\"\u{c0} la carte.\"\"\"\r
    return sum(book.pages for book in Book.objects.all())\r
";

pub const SETTINGS: &str = "INSTALLED_APPS = [\"shop\"]\n";

/// `text` in the encoding of [`LATIN_TOTALS`].
pub fn latin_1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c as u32).unwrap()).collect()
}

pub const REPORTS: &str = "\
from shop.models import Book


def has_books():
    return Book.objects.count() > 0
";

/// The project in which `names()` and `has_books()` have safe fixes.
pub fn shop() -> Project {
    Project::new(&[
        ("manage.py", ""),
        ("settings.py", SETTINGS),
        ("shop/__init__.py", ""),
        ("shop/models.py", MODELS),
        ("shop/views.py", VIEWS),
        ("shop/reports.py", REPORTS),
    ])
}

pub fn views_fixed() -> String {
    VIEWS.replace("objects.all()", "objects.select_related(\"author\")")
}

pub fn reports_fixed() -> String {
    REPORTS.replace("count() > 0", "exists()")
}

/// A view and its serializer, which one fix changes together.
pub const PAIR: (&str, &str) = (
    "\
from rest_framework import generics

from shop.models import Book
from shop.serializers import BookSerializer


class BookList(generics.ListAPIView):
    queryset = Book.objects.all()
    serializer_class = BookSerializer
",
    "\
from rest_framework import serializers

from shop.models import Book


class BookSerializer(serializers.ModelSerializer):
    tag_total = serializers.SerializerMethodField()

    class Meta:
        model = Book
        fields = [\"id\", \"title\", \"tag_total\"]

    def get_tag_total(self, obj) -> int:
        return obj.tags.count()
",
);

/// [`shop`] and the [`PAIR`].
pub fn shop_with_pair() -> Project {
    let project = shop();
    let tag = "class Tag(models.Model):\n    name = models.CharField(max_length=100)\n\n\nclass Book(";
    let tagged = MODELS.replace("class Book(", tag) + "    tags = models.ManyToManyField(Tag)\n";
    project.write("shop/models.py", tagged);
    project.write("shop/api.py", PAIR.0);
    project.write("shop/serializers.py", PAIR.1);
    project
}

pub fn api_fixed() -> String {
    let counted = "objects.annotate(tag_total=Count(\"tags\", distinct=True))";
    format!("from django.db.models import Count\n{}", PAIR.0.replace("objects.all()", counted))
}

pub fn serializers_fixed() -> String {
    PAIR.1.replace("obj.tags.count()", "obj.tag_total")
}
