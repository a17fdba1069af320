"""Counting what readers do with a book."""

from django.shortcuts import get_object_or_404

from .models import Book


def record_view(book_id):
    book = Book.objects.get(pk=book_id)
    book.view_count += 1
    book.save(update_fields=["view_count"])


def record_download(book_id):
    book = get_object_or_404(Book, pk=book_id)
    book.download_count = book.download_count + 1
    # The archive is synchronised by updated_at, so save() must touch it.
    book.save()


def record_reading(book_id):
    """A reader has opened the book and kept a copy."""
    book = Book.objects.get(pk=book_id)
    book.view_count += 1
    book.download_count += 1
    book.save(update_fields=["view_count", "download_count"])


def take_from_stock(book_id, quantity):
    """Take copies off the shelf and tell how many are left."""
    book = Book.objects.get(pk=book_id)
    book.stock -= quantity
    book.save(update_fields=["stock"])
    return book.stock
