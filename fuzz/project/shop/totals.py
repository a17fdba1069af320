# -*- coding: latin-1 -*-
# Café
from shop.models import Book


def pages():
    """À la carte."""
    return sum(book.pages for book in Book.objects.all())
