"""Lists for the office: plain data, ready to be printed or sent."""

from datetime import timedelta

from django.utils import timezone

from .models import Author, Book, Chapter, Publisher, Review


def shelf_labels():
    labels = []
    for book in Book.objects.published():
        labels.append(f"{book.author.name}: {book.title}")
    return labels


def bylines(status=Book.Status.PUBLISHED):
    return [book.byline for book in Book.objects.filter(status=status)]


def imprint(book):
    publisher = book.author.publisher
    return publisher.name if publisher else "self-published"


def imprints():
    books = Book.objects.published().order_by("pk")
    return {book.title: imprint(book) for book in books}


def table_of_contents():
    return "\n".join(str(chapter) for chapter in Chapter.objects.order_by("book_id", "number"))


def tag_lines():
    lines = []
    for book in Book.objects.published():
        names = ", ".join(tag.name for tag in book.tags.all())
        lines.append(f"{book.title} [{names}]")
    return lines


def review_digest():
    """Every review with what is needed to answer it."""
    digest = []
    for review in Review.objects.filter(rating__lt=3):
        book = review.book
        digest.append((review.reader, book.title, book.author.email))
    return digest


def author_emails():
    authors = Author.objects.exclude(email="")
    return [author.email for author in authors]


def title_prices():
    return [(book.title, book.price) for book in Book.objects.published()]


def publisher_countries():
    countries = set()
    for publisher in Publisher.objects.all():
        countries.add(publisher.country)
    return sorted(countries)


def stock_list():
    return [
        {"id": book.id, "title": book.title, "stock": book.stock}
        for book in Book.objects.published()
    ]


def reviews_per_book():
    return [(book.title, book.reviews.count()) for book in Book.objects.all()]


def more_seen_than_kept():
    return [book for book in Book.objects.all() if book.view_count > book.download_count]


def featured_or_recent(days=7):
    since = timezone.now() - timedelta(days=days)
    books = []
    for book in Book.objects.published():
        if book.is_featured or book.created_at >= since:
            books.append(book)
    return books


def value_of_stock():
    return sum(book.price * book.stock for book in Book.objects.all())


def books_of_same_publisher(book):
    ids = [author.id for author in Author.objects.filter(publisher=book.author.publisher)]
    return Book.objects.filter(author_id__in=ids).exclude(pk=book.pk)
