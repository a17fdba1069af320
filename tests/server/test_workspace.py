"""Folders, and what changes on disk."""

import asyncio

import pytest
from conftest import MODELS, PATIENCE, SHOP, VIEWS, capabilities, run, write
from lsprotocol import types

CREATED, CHANGED, DELETED = types.FileChangeType.Created, types.FileChangeType.Changed, types.FileChangeType.Deleted
NO_RELATION = MODELS.replace("models.ForeignKey(Author, on_delete=models.CASCADE)", "models.TextField()")


async def said_next(editor, buffer, count):
    """What is said of a buffer after `count` times."""
    await editor.until(lambda: len(editor.said.get(buffer.uri, [])) > count, "news")
    return [diagnostic.code for diagnostic in editor.said[buffer.uri][-1][1]]


async def reading(editor, names):
    """Wait until the folders of these `names` have been read, in this order."""

    def said():
        reports = editor.client.progress_reports.values()
        return [report[0].title.removeprefix("ormend: reading ") for report in reports if len(report) == 2]

    for _ in range(PATIENCE * 50):
        if said() == names:
            return
        await asyncio.sleep(0.02)
    assert said() == names


def change_folders(editor, added=(), removed=()):
    event = types.WorkspaceFoldersChangeEvent(added=list(added), removed=list(removed))
    editor.client.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event=event))


async def test_a_model_that_changes_on_disk(start):
    editor = await start()
    views = editor.open("shop/views.py")
    assert await views.codes() == ["select-related"]
    write(editor.root, {"shop/models.py": NO_RELATION})
    editor.tell(("shop/models.py", CHANGED))
    assert await said_next(editor, views, 1) == ["values-list"]
    (editor.root / "shop/models.py").unlink()
    editor.tell(("shop/models.py", DELETED))
    assert await said_next(editor, views, 2) == []
    write(editor.root, {"shop/models.py": MODELS})
    editor.tell(("shop/models.py", CREATED))
    assert await said_next(editor, views, 3) == ["select-related"]


async def test_what_is_watched(start):
    editor = await start()
    await editor.open("shop/views.py").diagnostics()
    [registered] = editor.registered
    assert registered.method == "workspace/didChangeWatchedFiles"
    watched = [
        "shop/models.py",
        "pages/index.html",
        "shop/templates/shop/mail.txt",
        "shop/templates/shop/chart.js",
        "shop/jinja2/shop/index.svg",
        "pyproject.toml",
        "ormend.toml",
        "ruff.toml",
        ".ruff.toml",
        "setup.cfg",
        "Pipfile",
        "Pipfile.lock",
        "poetry.lock",
        "uv.lock",
        "pdm.lock",
        "requirements.txt",
        "requirements-dev.in",
        "requirements/base.txt",
        "requirements/base.in",
        ".gitignore",
        "shop/.ignore",
    ]
    assert [name for name in watched if not editor.watches(name)] == []
    # Of what is never read a client is not to tell.
    others = ["shop/static/app.js", "README.md", "shop/__pycache__/models.cpython-313.pyc", "db.sqlite3", "package.json"]
    assert [name for name in others if editor.watches(name)] == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements/base.in"])
async def test_what_tells_of_the_version_of_django_counts_when_it_changes(start, name):
    editor = await start()
    await editor.open("shop/views.py").diagnostics()
    write(editor.root, {name: "Django==4.2\n"})
    editor.tell((name, CREATED))
    # Everything is read again.
    await reading(editor, ["project", "project"])


async def test_a_template_that_changes_on_disk(start):
    template = "{% for book in books %}{{ book.author.name }}{% endfor %}\n"
    view = """\
from django.shortcuts import render

from shop.models import Book


def index(request):
    return render(request, "shop/index.html", {"books": Book.objects.all()})
"""
    editor = await start({**SHOP, "shop/views.py": view, "shop/templates/shop/index.html": template})
    views = editor.open("shop/views.py")
    assert await views.codes() == ["select-related"]
    write(editor.root, {"shop/templates/shop/index.html": template.replace("author.name", "title")})
    editor.tell(("shop/templates/shop/index.html", CHANGED))
    assert "select-related" not in await said_next(editor, views, 1)


async def test_the_buffer_counts_and_not_the_file(start):
    editor = await start()
    views, models = editor.open("shop/views.py"), editor.open("shop/models.py")
    assert await views.codes() == ["select-related"]
    write(editor.root, {"shop/models.py": NO_RELATION})
    editor.tell(("shop/models.py", CHANGED))
    await asyncio.sleep(0.5)
    assert [diagnostic.code for diagnostic in editor.said[views.uri][-1][1]] == ["select-related"]
    # Closed without being saved.
    count = len(editor.said[views.uri])
    models.close()
    assert await said_next(editor, views, count) == ["values-list"]


async def test_without_watching_what_is_saved_is_read(start):
    able = capabilities()
    able.workspace.did_change_watched_files = None
    editor = await start(able=able)
    views = editor.open("shop/views.py")
    assert await views.codes() == ["select-related"]
    # By another program.
    write(editor.root, {"shop/models.py": NO_RELATION})
    views.save()
    assert await said_next(editor, views, 1) == ["values-list"]
    assert editor.registered == []


async def test_the_configuration_counts_when_it_changes(start):
    editor = await start()
    views = editor.open("shop/views.py")
    assert await views.codes() == ["select-related"]
    write(editor.root, {"pyproject.toml": '[tool.ormend]\nignore = ["select-related"]\n'})
    editor.tell(("pyproject.toml", CREATED))
    assert "select-related" not in await said_next(editor, views, 1)
    # A mistake is told once, and nothing is found until it is mended.
    write(editor.root, {"pyproject.toml": '[tool.ormend]\nignor = ["exists"]\n'})
    editor.tell(("pyproject.toml", CHANGED))
    await asyncio.sleep(0.5)
    views.change([VIEWS + "\n"])
    assert await views.codes() == []
    [message] = editor.client.messages
    assert message.type == types.MessageType.Error and "`ignor`" in message.message and "`ignore`" in message.message
    write(editor.root, {"pyproject.toml": ""})
    editor.tell(("pyproject.toml", CHANGED))
    assert await said_next(editor, views, len(editor.said[views.uri])) == ["select-related"]


async def test_a_file_that_is_not_there_yet(start):
    editor = await start()
    new = editor.open("shop/new.py", VIEWS)
    assert await new.codes() == ["select-related"]
    test = editor.open("shop/tests/test_new.py", VIEWS)
    assert await test.codes() == []
    (editor.root / "shop/tests").mkdir()
    new.save()
    editor.tell(("shop/new.py", CREATED))
    new.change([VIEWS + "\n"])
    assert await new.codes() == ["select-related"]
    # One that came without a word is found when it is opened.
    write(editor.root, {"shop/later.py": VIEWS})
    later = editor.open("shop/later.py")
    assert await later.codes() == ["select-related"]


async def test_folders_that_are_there_at_first(start):
    """Tests are left out, but not of a folder that is one of tests."""
    files = {**SHOP, "shop/tests/views.py": VIEWS, "shop/more/tests/views.py": VIEWS}
    for folders, read, found in (
        ((), ["project"], []),
        ((".",), ["project"], []),
        (("shop/tests",), ["tests"], ["select-related"]),
        # It belongs to the innermost of them.
        ((".", "shop/tests", "shop"), ["project", "shop", "tests"], ["select-related"]),
    ):
        editor = await start(files, folders=folders)
        assert await editor.open("shop/tests/views.py").codes() == found
        titles = [report[0].title for report in editor.client.progress_reports.values()]
        assert sorted(titles) == [f"ormend: reading {name}" for name in read]
        other = editor.open("shop/more/tests/views.py")
        assert await other.codes() == []


async def test_folders_are_read_before_a_file_of_them_is_open(start):
    editor = await start({"one/manage.py": "", "two/manage.py": ""}, folders=("one",))
    await reading(editor, ["one"])
    two = types.WorkspaceFolder(uri=(editor.root / "two").as_uri(), name="two")
    change_folders(editor, added=[two])
    await reading(editor, ["one", "two"])
    # One that is there is not read again; one that was removed and comes back is.
    change_folders(editor, added=[two])
    change_folders(editor, removed=[two])
    change_folders(editor, added=[two])
    await reading(editor, ["one", "two", "two"])


async def test_a_folder_of_tests_comes_and_goes(start):
    editor = await start({**SHOP, "shop/tests/views.py": VIEWS})
    able = editor.result.capabilities.workspace.workspace_folders
    assert able.supported is True and able.change_notifications is True
    views = editor.open("shop/tests/views.py")
    assert await views.codes() == []
    tests = types.WorkspaceFolder(uri=(editor.root / "shop/tests").as_uri(), name="tests")
    # The buffer is not touched.
    change_folders(editor, added=[tests])
    await editor.until(lambda: editor.said[views.uri][-1][1] != [], "what is found in a folder of tests")
    assert await views.codes() == ["select-related"]
    assert "Manager[shop.Book]" in (await views.hover("objects")).contents.value
    count = len(editor.said[views.uri])
    change_folders(editor, removed=[tests])
    assert await said_next(editor, views, count) == []
    views.change([VIEWS + "\n"])
    assert await views.codes() == []


async def test_folders_come_and_go(start):
    other = {f"other/{name}": text for name, text in SHOP.items()}
    editor = await start({**other, "one/manage.py": "", "one/views.py": "x = 1\n"}, folders=("one",))
    views = editor.open("other/shop/views.py")
    # Outside of the folders its own project is looked at.
    assert await views.codes() == ["select-related"]
    folder = types.WorkspaceFolder(uri=(editor.root / "other").as_uri(), name="other")
    change_folders(editor, added=[folder])
    views.change([VIEWS + "\n"])
    assert await views.codes() == ["select-related"]
    change_folders(editor, removed=[folder])
    views.change([VIEWS])
    assert await views.codes() == ["select-related"]
    # A part of a project as a folder: models are those of the whole.
    part = types.WorkspaceFolder(uri=(editor.root / "other/shop").as_uri(), name="shop")
    change_folders(editor, added=[part])
    views.change([VIEWS + "\n\n"])
    assert await views.codes() == ["select-related"]


async def test_no_folder_at_all_and_no_project(start):
    editor = await start({**SHOP, "sub/x.py": "x = 1\n"}, folders=())
    views = editor.open("shop/views.py")
    assert await views.codes() == ["select-related"]
    document = types.TextDocumentItem(uri="untitled:Untitled-1", language_id="python", version=1, text=VIEWS)
    editor.client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=document))
    params = types.HoverParams(types.TextDocumentIdentifier("untitled:Untitled-1"), types.Position(0, 0))
    assert await editor.client.text_document_hover_async(params) is None
    views.change([VIEWS + "\n"])
    assert await views.codes() == ["select-related"]


async def test_reading_a_project_is_shown(start):
    editor = await start()
    views = editor.open("shop/views.py")
    await views.diagnostics()
    [reports] = editor.client.progress_reports.values()
    assert [report.kind for report in reports] == ["begin", "end"]
    assert reports[0].title == "ormend: reading project"


async def test_nothing_is_written(start):
    editor = await start()
    before = {file: file.read_bytes() for file in editor.root.rglob("*") if file.is_file()}
    views = editor.open("shop/views.py")
    await views.diagnostics()
    await views.actions("for book")
    assert {file: file.read_bytes() for file in editor.root.rglob("*") if file.is_file()} == before
