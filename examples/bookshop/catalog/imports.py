"""Filling the catalogue from lists that publishers send."""

from .models import Author, Book, Chapter, Review, Tag


def import_authors(names):
    for name in names:
        Author.objects.create(name=name)


def import_table_of_contents(book, titles):
    for number, title in enumerate(titles, start=1):
        # Front matter has no number of its own.
        if title.startswith("("):
            continue
        Chapter.objects.create(book=book, number=number, title=title.strip())


def import_price_list(author, rows):
    """Create a draft for every line and return the new books."""
    books = []
    for row in rows:
        book = Book(author=author, title=row["title"])
        book.price = row["price"]
        book.save()
        books.append(book)
    return books


def import_tags(names):
    # Two spellings of one name in the list must end up as one tag.
    for name in names:
        if not Tag.objects.filter(name=name.lower()).exists():
            Tag.objects.create(name=name.lower())


def import_reviews(book, lines):
    for reader, rating in lines:
        Review.objects.create(book=book, reader=reader, rating=rating)
