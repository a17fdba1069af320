"""A client for the server under test: an editor with one project, whose buffers it keeps as the protocol asks for."""

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
import pytest_asyncio
from lsprotocol import types
from pytest_lsp import ClientServerConfig, client_capabilities
from pytest_lsp.client import DEFAULT_CLIENT_FEATURES, LanguageClient, register_lsp_features
from pygls.protocol import default_converter

ORMEND = os.environ["ORMEND"]
PATIENCE = 30

MODELS = """\
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=100)


class Book(models.Model):
    title = models.CharField(max_length=100)
    pages = models.IntegerField()
    author = models.ForeignKey(Author, on_delete=models.CASCADE)
"""

VIEWS = """\
from shop.models import Book


def names():
    for book in Book.objects.all():
        print(book.author.name)
"""

FIXED = VIEWS.replace("objects.all()", 'objects.select_related("author")')

SHOP = {
    "manage.py": "",
    "settings.py": 'INSTALLED_APPS = ["shop"]\n',
    "shop/__init__.py": "",
    "shop/models.py": MODELS,
    "shop/views.py": VIEWS,
}


def write(root, files):
    """Write `files`, text or bytes by path."""
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())


def run(root, *args):
    """Run the command in the project; what it wrote to standard output."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run([ORMEND, *args], cwd=root, capture_output=True, text=True, env=environment, timeout=PATIENCE)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


class Buffer:
    """An open document."""

    def __init__(self, editor, file, text):
        self.editor, self.file, self.text, self.version = editor, Path(file), text, 1
        self.uri = self.file.as_uri()
        self.seen = 0

    def range(self, part, occurrence=0):
        """The range of `part` of the text."""
        at = -1
        for _ in range(occurrence + 1):
            at = self.text.index(part, at + 1)
        return types.Range(self.position(at), self.position(at + len(part)))

    def position(self, at):
        """The position of the character at index `at`, in the units that were agreed on."""
        before = self.text[:at]
        line = before.count("\n")
        return types.Position(line, self.editor.width(before[before.rfind("\n") + 1 :]))

    def index(self, position):
        """The index of the character at `position`, which must be there."""
        lines = self.text.split("\n")
        start = sum(len(line) + 1 for line in lines[: position.line])
        line = lines[position.line]
        for column in range(len(line) + 1):
            if self.editor.width(line[:column]) == position.character:
                return start + column
        raise AssertionError(f"{position} is no place in {line!r}")

    def replace(self, part, new, wait=True, occurrence=0):
        """Type `new` in the place of `part`."""
        return self.change([(self.range(part, occurrence), new)])

    def change(self, changes):
        """Make changes, a range and a text each, one after the other; a text alone replaces everything."""
        events = []
        for change in changes:
            if isinstance(change, str):
                self.text = change
                events.append(types.TextDocumentContentChangeWholeDocument(text=change))
            else:
                range_, new = change
                start, end = self.index(range_.start), self.index(range_.end)
                self.text = self.text[:start] + new + self.text[end:]
                events.append(types.TextDocumentContentChangePartial(range=range_, text=new))
        self.version += 1
        document = types.VersionedTextDocumentIdentifier(uri=self.uri, version=self.version)
        params = types.DidChangeTextDocumentParams(text_document=document, content_changes=events)
        self.editor.client.text_document_did_change(params)

    async def diagnostics(self):
        """What the server says of this version."""
        return await self.editor.published(self.uri, self.version)

    async def codes(self):
        return [diagnostic.code for diagnostic in await self.diagnostics()]

    def save(self):
        self.file.write_text(self.text)
        document = types.TextDocumentIdentifier(uri=self.uri)
        self.editor.client.text_document_did_save(types.DidSaveTextDocumentParams(text_document=document))

    def close(self):
        document = types.TextDocumentIdentifier(uri=self.uri)
        self.editor.client.text_document_did_close(types.DidCloseTextDocumentParams(text_document=document))
        self.editor.buffers.pop(self.uri)

    async def actions(self, part, only=None, occurrence=0):
        """The actions at `part`, by title."""
        diagnostics = self.editor.said.get(self.uri, [(None, [])])[-1][1]
        params = types.CodeActionParams(
            text_document=types.TextDocumentIdentifier(uri=self.uri),
            range=self.range(part, occurrence),
            context=types.CodeActionContext(diagnostics=list(diagnostics), only=only),
        )
        actions = await asyncio.wait_for(self.editor.client.text_document_code_action_async(params), PATIENCE)
        return {action.title: action for action in actions or []}

    async def hover(self, part, occurrence=0):
        params = types.HoverParams(
            text_document=types.TextDocumentIdentifier(uri=self.uri),
            position=self.range(part, occurrence).start,
        )
        return await asyncio.wait_for(self.editor.client.text_document_hover_async(params), PATIENCE)


class Editor:
    def __init__(self, client, root):
        self.client, self.root = client, root
        self.buffers = {}
        # By URI: the versions and the diagnostics that came, in order.
        self.said = {}
        self.news = asyncio.Condition()
        self.registered = []
        self.encoding = None
        self.result = None

    def width(self, text):
        match self.encoding:
            case types.PositionEncodingKind.Utf8:
                return len(text.encode())
            case types.PositionEncodingKind.Utf32:
                return len(text)
        return len(text.encode("utf-16-le")) // 2

    async def heard(self, params):
        async with self.news:
            self.said.setdefault(params.uri, []).append((params.version, list(params.diagnostics)))
            self.news.notify_all()

    async def until(self, is_so, what):
        """Wait for what `is_so` tells."""
        async with self.news:
            try:
                await asyncio.wait_for(self.news.wait_for(is_so), PATIENCE)
            except TimeoutError:
                raise AssertionError(f"{what} did not come; said: {self.said}") from None

    async def published(self, uri, version):
        said = lambda: self.said.get(uri, [])
        await self.until(lambda: said() and said()[-1][0] == version, f"version {version} of {uri}")
        return said()[-1][1]

    def open(self, name, text=None):
        """Open a file, with its text or another that is not saved."""
        file = self.root / name
        if text is None:
            text = file.read_bytes().decode()
        buffer = Buffer(self, file, text)
        self.buffers[buffer.uri] = buffer
        document = types.TextDocumentItem(uri=buffer.uri, language_id="python", version=1, text=text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=document))
        return buffer

    async def take(self, action):
        """Take an action: its edit is made, in buffers or in files."""
        if action.edit is None and action.data is not None:
            action = await asyncio.wait_for(self.client.code_action_resolve_async(action), PATIENCE)
        edit = action.edit
        assert edit is not None, action
        if edit.document_changes:
            changes = [(change.text_document.uri, change.text_document.version, change.edits) for change in edit.document_changes]
        else:
            changes = [(uri, None, edits) for uri, edits in edit.changes.items()]
        for uri, version, edits in changes:
            buffer = self.buffers.get(uri)
            if buffer is None:
                assert version is None
                file = Path(unquote(urlparse(uri).path))
                buffer = Buffer(self, file, file.read_bytes().decode())
                buffer.text = applied(buffer, edits)
                file.write_bytes(buffer.text.encode())
            else:
                if edit.document_changes:
                    assert version == buffer.version
                buffer.change([applied(buffer, edits)])

    def watches(self, name):
        """Whether the server has asked to be told of the file `name`."""
        options = [one.register_options for one in self.registered if one.method == types.WORKSPACE_DID_CHANGE_WATCHED_FILES]
        globs = [watcher["globPattern"] for one in options for watcher in one["watchers"]]
        return any(pattern(glob).fullmatch((self.root / name).as_posix()) for glob in globs)

    def tell(self, *changes):
        """Tell of files that changed on disk, as a client does: of those that it was asked to watch."""
        for name, _ in changes:
            assert self.watches(name), f"{name} is not watched: {self.registered}"
        events = [types.FileEvent(uri=(self.root / name).as_uri(), type=kind) for name, kind in changes]
        self.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams(changes=events))


def pattern(glob):
    """The regular expression of a glob of the protocol."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", ",": "|", "}": ")"}
    return re.compile("".join(parts.get(part) or re.escape(part) for part in re.split(r"(\*\*/|\*\*|[*?{},])", glob)))


def applied(buffer, edits):
    """The text after edits, which must not overlap."""
    spans = sorted(
        ((buffer.index(e.range.start), buffer.index(e.range.end), i, e.new_text) for i, e in enumerate(edits)),
    )
    for (_, end, *_), (start, *_) in zip(spans, spans[1:]):
        assert end <= start, edits
    text = buffer.text
    for start, end, _, new in reversed(spans):
        text = text[:start] + new + text[end:]
    return text


def capabilities(encodings=None, client="visual_studio_code"):
    """What a real client says that it can do."""
    able = client_capabilities(client)
    able.general = able.general or types.GeneralClientCapabilities()
    able.general.position_encodings = encodings
    able.window = able.window or types.WindowClientCapabilities()
    able.window.work_done_progress = True
    return able


def new_client(editors):
    client = LanguageClient(converter_factory=default_converter)
    features = dict(DEFAULT_CLIENT_FEATURES)

    async def heard(params):
        await editors[0].heard(params)

    def register(params):
        editors[0].registered.extend(params.registrations)

    features[types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS] = heard
    features[types.CLIENT_REGISTER_CAPABILITY] = register
    register_lsp_features(client, features)
    return client


@pytest_asyncio.fixture
async def start(tmp_path):
    """Start a server over a project; at the end it is shut down, and must say that this went well."""
    started = []

    async def start(files=SHOP, able=None, folders=(".",), root=None, options=None):
        root = root or tmp_path / "project"
        write(root, files)
        (root / ".git").mkdir(exist_ok=True)
        editors = []
        config = ClientServerConfig(server_command=[ORMEND, "server"], client_factory=lambda: new_client(editors))
        client = await config.start()
        editor = Editor(client, root)
        editors.append(editor)
        able = able or capabilities()
        folders = [types.WorkspaceFolder(uri=(root / name).as_uri(), name=name) for name in folders]
        params = types.InitializeParams(capabilities=able, workspace_folders=folders, initialization_options=options)
        editor.result = await client.initialize_session(params)
        editor.encoding = editor.result.capabilities.position_encoding
        started.append(client)
        return editor

    yield start
    for client in started:
        if client._server.returncode is None:
            await asyncio.wait_for(client.shutdown_session(), PATIENCE)
        assert client._server.returncode == 0
        await client.stop()


@pytest.fixture
def copy(tmp_path):
    """Copy the project as the editor has it, for the command."""

    def copy(editor, name="copy"):
        there = tmp_path / name
        shutil.copytree(editor.root, there)
        for buffer in editor.buffers.values():
            (there / buffer.file.relative_to(editor.root)).write_bytes(buffer.text.encode())
        return there

    return copy
