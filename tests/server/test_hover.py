"""What is known of an expression."""

import pytest
from conftest import SHOP, capabilities
from lsprotocol import types

TEXT = """\
from shop.models import Author, Book


def names(limit: int):
    books = Book.objects.select_related("author").order_by("title")
    for book in books:
        print(book.author.name, limit)
    for other in Book.objects.filter(pages=3):
        print(other.author.name)
        first = Book.objects.first()
        print(first)
    rows = Book.objects.values("title")
    return rows, [one for one in books], unknown(limit)
"""


def text_of(hover):
    return hover.contents.value if hover else None


@pytest.mark.parametrize(
    ("part", "occurrence", "expected"),
    [
        # The class, a manager, a queryset by the method that makes it and by its variable.
        ("Book", 1, ["type[shop.Book]", "`shop.models.Book`"]),
        ("objects", 0, ["Manager[shop.Book]"]),
        ("select_related", 0, ["QuerySet[shop.Book]", "select_related: `author`"]),
        ("books", 0, ["QuerySet[shop.Book]", "select_related: `author`"]),
        ("books:", 0, ["QuerySet[shop.Book]", "runs its query here"]),
        # A row, and what it reads.
        ("book in", 0, ["shop.Book"]),
        ("book.author", 0, ["shop.Book"]),
        ("author.name", 0, ["shop.Author", "no query: `author` is fetched with its row"]),
        ("author.name", 1, ["shop.Author", "a query for each row of `shop.Book`, unless it is loaded already"]),
        ("first()", 0, ["shop.Book | None", "a query of `shop.Book` for each row of `shop.Book`"]),
        ("rows", 0, ["QuerySet[shop.Book, dict]"]),
        # What is not known.
        ("limit", 1, None),
        ("unknown", 0, None),
        ("def", 0, None),
        ('"title"', 0, None),
    ],
)
async def test_what_is_known(start, part, occurrence, expected):
    editor = await start({**SHOP, "shop/views.py": TEXT})
    views = editor.open("shop/views.py")
    said = text_of(await views.hover(part, occurrence))
    if expected is None:
        assert said is None
    else:
        lines = said.splitlines()
        assert lines[1] == expected[0], said
        for line in expected[1:]:
            assert f"- {line}" in lines, said


async def test_what_a_finding_says_is_said(start):
    editor = await start({**SHOP, "shop/views.py": TEXT})
    views = editor.open("shop/views.py")
    hover = await views.hover("Book.objects.filter")
    assert hover.range == views.range("Book", 2)
    assert "- select-related: 1 + N queries -> 1 query" in text_of(hover).splitlines()


async def test_plain_text_for_who_wants_it(start):
    able = capabilities()
    able.text_document.hover.content_format = [types.MarkupKind.PlainText]
    editor = await start({**SHOP, "shop/views.py": TEXT}, able=able)
    hover = await editor.open("shop/views.py").hover("objects")
    assert hover.contents.kind == types.MarkupKind.PlainText
    assert text_of(hover).splitlines()[0] == "Manager[shop.Book]"


async def test_what_a_call_reads_inside_is_not_said_of_its_value(start):
    text = """\
from shop.models import Author, Book


def owner(book: Book) -> Author:
    return book.author


def show():
    print(owner(Book.objects.get(pk=1)))
"""
    editor = await start({**SHOP, "shop/views.py": text})
    views = editor.open("shop/views.py")
    assert text_of(await views.hover("owner", 1)).splitlines()[1:] == ["shop.Author", "```", "- `shop.models.Author`"]
    assert "- a query, unless it is loaded already" in text_of(await views.hover("author")).splitlines()
