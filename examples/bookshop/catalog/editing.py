"""What editors do with many books at once."""

import logging

from django.db import transaction
from django.utils import timezone

from .models import Announcement, Book

logger = logging.getLogger(__name__)


def can_be_archived(book):
    if book.reviews.count() > 0:
        return False
    return not len(book.chapters.all()) > 0


def has_drafts(author):
    drafts = Book.objects.drafts().filter(author=author)
    if drafts:
        return True
    return False


def warn_about_empty_catalogue():
    if Book.objects.published().count() == 0:
        logger.warning("The catalogue is empty")
        return True
    return False


def next_draft_title(author):
    drafts = author.books.drafts()
    if not drafts:
        return None
    # The rows are needed here, so the test above costs nothing.
    return drafts[0].title


def publish_drafts(author):
    for book in Book.objects.drafts().filter(author=author):
        book.status = Book.Status.PUBLISHED
        book.save()


def discontinue(before):
    for book in Book.objects.filter(status=Book.Status.ARCHIVED, created_at__lt=before):
        book.delete()


def tidy_titles():
    for book in Book.objects.all():
        book.title = book.title.strip().title()
        book.save(update_fields=["title"])


def add_tags(book, tags):
    for tag in tags:
        book.tags.add(tag)


def publish_with_announcement(book):
    """The book must be published even if nobody can be told."""
    with transaction.atomic():
        book.status = Book.Status.PUBLISHED
        book.published_on = timezone.localdate()
        book.save()
        try:
            with transaction.atomic():
                Announcement.objects.create(text=f"New: {book.title}")
        except Exception:
            logger.exception("Could not announce %s", book.title)
