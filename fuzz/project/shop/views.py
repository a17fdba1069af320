"""Fixes in several forms, for plans to start from."""

from shop.models import Author, Book


def names():
    for book in Book.objects.all():
        print(book.author.name)


def has_books():
    return Book.objects.count() > 0


def titles():
    return [book.title for book in Book.objects.filter(pages__gt=10)]


def longer():
    for book in Book.objects.all():
        book.pages = book.pages + 1
        book.save()


def authors(names):
    for name in names:
        Author.objects.create(name=name)
