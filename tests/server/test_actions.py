"""What can be done about findings: the text after an action is what was meant, or what the command writes."""

import pytest
from conftest import FIXED, MODELS, SHOP, VIEWS, capabilities, run
from lsprotocol import types

BOTH = VIEWS + "\n\ndef has_books():\n    return Book.objects.count() > 0\n"
MANY = BOTH + "\n\ndef again():\n    return [book.author.name for book in Book.objects.filter(pages=3)]\n"

API = """\
from rest_framework import generics

from shop.models import Book
from shop.serializers import BookSerializer


class BookList(generics.ListAPIView):
    queryset = Book.objects.all()
    serializer_class = BookSerializer
"""
SERIALIZERS = """\
from rest_framework import serializers

from shop.models import Book


class BookSerializer(serializers.ModelSerializer):
    tag_total = serializers.SerializerMethodField()

    class Meta:
        model = Book
        fields = ["id", "title", "tag_total"]

    def get_tag_total(self, obj) -> int:
        return obj.tags.count()
"""
TAG = "class Tag(models.Model):\n    name = models.CharField(max_length=100)\n\n\nclass Book("
PAIR = {
    **SHOP,
    "shop/models.py": MODELS.replace("class Book(", TAG) + "    tags = models.ManyToManyField(Tag)\n",
    "shop/api.py": API,
    "shop/serializers.py": SERIALIZERS,
}
API_FIXED = "from django.db.models import Count\n" + API.replace(
    "objects.all()", 'objects.annotate(tag_total=Count("tags", distinct=True))'
)
SERIALIZERS_FIXED = SERIALIZERS.replace("obj.tags.count()", "obj.tag_total")
# One codemod with an unsafe fix and a safe one, and another codemod.
MIXED = """\
from shop.models import Book


def owner(book: Book):
    return book.author.pk


def owners():
    return [book.author.pk for book in Book.objects.all()]


def has_books():
    return Book.objects.count() > 0
"""
FIX = "Fetch `author` with `select_related`"
ALL = "Fix everything that is safe in this file (ormend)"


@pytest.mark.parametrize("client", ["visual_studio_code", "neovim", "emacs"])
async def test_this_fix(start, client):
    editor = await start(able=capabilities(client=client))
    views = editor.open("shop/views.py")
    [diagnostic] = await views.diagnostics()
    action = (await views.actions("for book"))[FIX]
    assert action.kind == types.CodeActionKind.QuickFix and action.is_preferred
    assert [one.data for one in action.diagnostics] == [diagnostic.data]
    await editor.take(action)
    assert views.text == FIXED
    assert await views.codes() == []
    assert await views.actions("for book") == {}
    assert views.file.read_text() == VIEWS


async def test_this_fix_without_versions(start):
    able = capabilities()
    able.workspace.workspace_edit.document_changes = False
    editor = await start(able=able)
    views = editor.open("shop/views.py")
    action = (await views.actions("for book"))[FIX]
    assert action.edit.document_changes is None and list(action.edit.changes) == [views.uri]
    await editor.take(action)
    assert views.text == FIXED


async def test_the_actions_of_a_place(start):
    editor = await start({**SHOP, "shop/views.py": MANY})
    views = editor.open("shop/views.py")
    actions = await views.actions("for book")
    assert list(actions) == [
        FIX,
        "Fix all `select-related` in this file",
        "Suppress `select-related` here",
        ALL,
        "Explain `select-related`",
    ]
    # Where nothing is found there is nothing but the whole file.
    assert list(await views.actions("import Book")) == [ALL]
    assert list(await views.actions("for book", only=[types.CodeActionKind.SourceFixAll])) == [ALL]
    assert list(await views.actions("for book", only=[types.CodeActionKind.Refactor])) == []
    quick = await views.actions("for book", only=[types.CodeActionKind.QuickFix])
    assert {action.kind for action in quick.values()} == {"quickfix"} and len(quick) == 3


@pytest.mark.parametrize("client", ["visual_studio_code", "emacs"])
async def test_all_fixes_are_what_the_command_writes(start, copy, client):
    editor = await start({**SHOP, "shop/views.py": MANY.replace("def names", "def  names")}, able=capabilities(client=client))
    views = editor.open("shop/views.py")
    views.replace("def  names", "def names")
    assert set(await views.codes()) == {"select-related", "exists", "values-list"}
    there = copy(editor)
    run(there, "fix", "shop/views.py")
    expected = (there / "shop/views.py").read_text()
    assert all(word in expected for word in ("select_related", "values_list", "exists()"))
    await editor.take((await views.actions("import Book"))[ALL])
    assert views.text == expected
    assert await views.codes() == []


async def test_all_fixes_of_one_codemod(start, copy):
    editor = await start({**SHOP, "shop/views.py": MANY})
    views = editor.open("shop/views.py")
    there = copy(editor)
    run(there, "fix", "--select", "select-related", "shop/views.py")
    expected = (there / "shop/views.py").read_text()
    assert expected.count("select_related") == 2 and "exists()" not in expected
    await editor.take((await views.actions("for book"))["Fix all `select-related` in this file"])
    assert views.text == expected
    assert "select-related" not in await views.codes() and "exists" in await views.codes()


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_fix_of_two_files(start, is_open):
    editor = await start(PAIR)
    api = editor.open("shop/api.py")
    serializers = editor.open("shop/serializers.py") if is_open else None
    assert await api.codes() == ["annotate-count"]
    action = (await api.actions("BookList"))["Count `tags` with `annotate`"]
    files = {change.text_document.uri: change.text_document.version for change in action.edit.document_changes}
    other = editor.root / "shop/serializers.py"
    assert files == {api.uri: 1, other.as_uri(): 1 if is_open else None}
    await editor.take(action)
    assert api.text == API_FIXED
    assert (serializers.text if is_open else other.read_text()) == SERIALIZERS_FIXED


async def test_an_unsafe_fix_says_so(start):
    risky = "from shop.models import Book\n\n\ndef owner(book: Book):\n    return book.author.pk\n"
    editor = await start({**SHOP, "shop/views.py": risky})
    views = editor.open("shop/views.py")
    [diagnostic] = await views.diagnostics()
    reason = diagnostic.message.splitlines()[1].split(":")[0]
    actions = await views.actions("book.author.pk")
    [title] = [title for title in actions if "unsafe" in title]
    assert title.endswith(f" (unsafe: {reason})") and not actions[title].is_preferred
    assert not any(title.startswith("Fix ") for title in actions)
    await editor.take(actions[title])
    assert views.text == risky.replace("author.pk", "author_id")


@pytest.mark.parametrize("unsafe", [False, True])
@pytest.mark.parametrize("client", ["visual_studio_code", "emacs"])
async def test_unsafe_fixes_are_not_among_all(start, copy, client, unsafe):
    config = {"pyproject.toml": "[tool.ormend]\nunsafe-fixes = true\n"} if unsafe else {}
    editor = await start({**SHOP, **config, "shop/views.py": MIXED}, able=capabilities(client=client))
    views = editor.open("shop/views.py")
    found = await views.codes()
    assert found.count("fk-id") == 2 and "exists" in found
    there = copy(editor)
    run(there, "fix", "shop/views.py")
    everything = (there / "shop/views.py").read_text()
    of_codemod = MIXED.replace("[book.author.pk", "[book.author_id")
    if unsafe:
        of_codemod = of_codemod.replace("return book.author.pk", "return book.author_id")
    assert ("return book.author.pk" in everything) == (not unsafe) and "exists()" in everything
    # At the unsafe one, too.
    for place in ("book.author.pk for", "return book.author.pk"):
        for title, expected in (("Fix all `fk-id` in this file", of_codemod), (ALL, everything)):
            await editor.take((await views.actions(place))[title])
            assert views.text == expected
            views.change([MIXED])
            await views.diagnostics()


async def test_suppressing(start, copy):
    editor = await start({**SHOP, "shop/views.py": BOTH})
    views = editor.open("shop/views.py")
    await editor.take((await views.actions("for book"))["Suppress `select-related` here"])
    comment = "    # ormend: ignore[select-related]\n"
    assert views.text == BOTH.replace("    for book", comment + "    for book")
    assert await views.codes() == ["exists"]
    await editor.take((await views.actions("count()"))["Suppress `exists` here"])
    assert await views.codes() == []
    # The command sees it in the same way, and nothing is suppressed in vain.
    there = copy(editor)
    assert run(there, "check", "--output-format", "concise") == ""


async def test_explaining(start):
    editor = await start()
    views = editor.open("shop/views.py")
    command = (await views.actions("for book"))["Explain `select-related`"]
    params = types.ExecuteCommandParams(command=command.command, arguments=command.arguments)
    text = await editor.client.workspace_execute_command_async(params)
    assert text == run(editor.root, "explain", "select-related") and text.startswith("# ")


async def test_other_encodings_stay_whole(start):
    text = "# coding: latin-1\r\n" + BOTH.replace("\n", "\r\n").replace("print(", "print('\u00e9', ")
    editor = await start({**SHOP, "shop/views.py": text.encode("latin-1")})
    views = editor.open("shop/views.py", text)
    await editor.take((await views.actions("for book"))[ALL])
    assert views.text == text.replace("objects.all()", "objects.select_related('author')").replace("count() > 0", "exists()")


async def test_an_edit_for_an_older_version_is_refused(start):
    editor = await start({**SHOP, "shop/views.py": BOTH})
    views = editor.open("shop/views.py")
    action = (await views.actions("import Book"))[ALL]
    assert action.edit is None
    views.replace("def names", "def new")
    with pytest.raises(Exception, match="the document has changed"):
        await editor.client.code_action_resolve_async(action)
    action = (await views.actions("import Book"))[ALL]
    views.close()
    with pytest.raises(Exception, match="the document has changed"):
        await editor.client.code_action_resolve_async(action)
