"""The protocol itself: the order of messages, what is wrong with them, and how the server ends. Messages are written by hand."""

import json
import os
import subprocess

import pytest
from conftest import ORMEND, PATIENCE, SHOP, VIEWS, write


class Wire:
    """A server, and the messages to it and from it."""

    def __init__(self, *args):
        self.process = subprocess.Popen(
            [ORMEND, "server", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def message(self, method, params=None, id=None):
        message = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        if id is not None:
            message["id"] = id
        return json.dumps(message).encode()

    def send(self, method, params=None, id=None):
        self.raw(self.message(method, params, id))

    def raw(self, *bodies):
        """Write messages, all at once."""
        self.process.stdin.write(b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in bodies))
        self.process.stdin.flush()

    def read(self):
        length = None
        while (line := self.process.stdout.readline().strip()) != b"":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        assert length is not None, self.process.stderr.read()
        return json.loads(self.process.stdout.read(length))

    def answer(self, id):
        while (message := self.read()).get("id") != id or "method" in message:
            pass
        return message

    def published(self):
        """The next that is said of a document."""
        while (message := self.read()).get("method") != "textDocument/publishDiagnostics":
            pass
        return message["params"]

    def error(self, id):
        return self.answer(id)["error"]["code"]

    def initialize(self, **params):
        self.send("initialize", {"capabilities": {}, **params}, id=0)
        result = self.answer(0)["result"]
        self.send("initialized", {})
        return result

    def wait(self):
        return self.process.wait(PATIENCE)


@pytest.fixture
def wire():
    started = []

    def start(*args):
        started.append(Wire(*args))
        return started[-1]

    yield start
    for wire in started:
        wire.process.kill()
        wire.process.wait()


def test_an_orderly_end(wire):
    server = wire()
    result = server.initialize()
    assert result["serverInfo"]["name"] == "ormend" and result["capabilities"]["positionEncoding"] == "utf-16"
    server.send("shutdown", id=1)
    assert server.answer(1) == {"jsonrpc": "2.0", "id": 1, "result": None}
    server.send("textDocument/hover", {}, id=2)
    assert server.error(2) == -32600
    server.send("exit")
    assert server.wait() == 0
    out, err = server.process.communicate()
    assert (out, err) == (b"", b"")


def test_an_end_without_a_word(wire):
    server = wire()
    server.initialize()
    server.send("exit")
    assert server.wait() == 1
    server = wire()
    server.send("exit")
    assert server.wait() == 1


def test_a_client_that_is_gone(wire):
    server = wire("--stdio")
    server.initialize()
    _, err = server.process.communicate(timeout=PATIENCE)
    assert server.process.returncode == 1 and b"the client is gone" in err


def test_what_is_no_message(wire):
    server = wire()
    server.initialize()
    server.raw(b"{ not json")
    assert server.wait() == 1


def test_the_root_of_a_client_that_knows_no_folders(wire, tmp_path):
    write(tmp_path, {**SHOP, "shop/tests/views.py": VIEWS})
    (tmp_path / ".git").mkdir()
    tests = tmp_path / "shop/tests"
    # Tests are left out, but not of a folder that is one of tests.
    for root, found in ((tmp_path, []), (tests, ["select-related"])):
        server = wire()
        server.initialize(rootUri=root.as_uri())
        document = {"uri": (tests / "views.py").as_uri(), "languageId": "python", "version": 1, "text": VIEWS}
        server.send("textDocument/didOpen", {"textDocument": document})
        assert [diagnostic["code"] for diagnostic in server.published()["diagnostics"]] == found


def test_edits_that_come_at_once_are_looked_at_once(wire, tmp_path):
    write(tmp_path, SHOP)
    (tmp_path / ".git").mkdir()
    server = wire()
    server.initialize(rootUri=tmp_path.as_uri())
    document = {"uri": (tmp_path / "shop/views.py").as_uri(), "version": 1}
    server.send("textDocument/didOpen", {"textDocument": {**document, "languageId": "python", "text": VIEWS}})
    assert server.published()["version"] == 1
    said = []
    for _ in range(5):
        messages = []
        for _ in range(40):
            document["version"] += 1
            change = {"range": {"start": {"line": 3, "character": 0}, "end": {"line": 3, "character": 0}}, "text": "#\n"}
            messages.append(server.message("textDocument/didChange", {"textDocument": document, "contentChanges": [change]}))
        server.raw(*messages)
        while not said or said[-1] != document["version"]:
            said.append(server.published()["version"])
    # Once for each of the five times, or a few times more where the machine has much else to do.
    assert said == sorted(said) and len(said) <= 20, said


def test_requests_that_are_wrong(wire):
    server = wire()
    server.send("textDocument/hover", {}, id="early")
    assert server.error("early") == -32002
    server.send("textDocument/didOpen", {"a": 1})
    server.send("initialize", {"capabilities": 7}, id=1)
    assert server.error(1) == -32602
    server.initialize()
    server.send("initialize", {"capabilities": {}}, id=2)
    assert server.error(2) == -32600
    server.send("textDocument/nothing", {}, id=3)
    assert server.error(3) == -32601
    server.send("textDocument/hover", {"textDocument": 5}, id=4)
    assert server.error(4) == -32602
    server.send("codeAction/resolve", {"title": "x"}, id=5)
    assert server.error(5) == -32602
    server.send("workspace/executeCommand", {"command": "rm"}, id=6)
    assert server.error(6) == -32602
    server.send("workspace/executeCommand", {"command": "ormend.explain", "arguments": ["no-such"]}, id=7)
    assert server.error(7) == -32602
    # Notifications cannot be answered; they do no harm.
    server.send("textDocument/didChange", {"textDocument": {"uri": "file:///x.py", "version": 2}, "contentChanges": []})
    server.send("textDocument/didOpen", [1])
    server.send("$/unknown", {})
    server.send("$/cancelRequest", {"id": 99})
    hover = {"textDocument": {"uri": "file:///x.py"}, "position": {"line": 0, "character": 0}}
    server.send("textDocument/hover", hover, id=8)
    assert server.answer(8)["result"] is None


def test_a_request_that_is_cancelled(wire, tmp_path):
    # So large that nothing is answered before the word comes.
    write(tmp_path, {**SHOP, **{f"shop/m{n}.py": VIEWS * 20 for n in range(40)}})
    (tmp_path / ".git").mkdir()
    server = wire()
    server.initialize(rootUri=tmp_path.as_uri())
    uri = (tmp_path / "shop/views.py").as_uri()
    document = {"uri": uri, "languageId": "python", "version": 1, "text": VIEWS}
    server.send("textDocument/didOpen", {"textDocument": document})
    hover = {"textDocument": {"uri": uri}, "position": {"line": 4, "character": 16}}
    server.send("textDocument/hover", hover, id=1)
    server.send("$/cancelRequest", {"id": 1})
    server.send("textDocument/hover", hover, id="two")
    change = {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [{"text": VIEWS + "\n"}]}
    server.send("textDocument/didChange", change)
    server.send("textDocument/hover", hover, id=3)
    assert server.error(1) == -32800
    # The document is another than the one that was asked about.
    assert server.error("two") == -32801
    assert "shop.Book" in server.answer(3)["result"]["contents"]["value"]
    server.send("shutdown", id=4)
    server.answer(4)
    server.send("exit")
    assert server.wait() == 0


def test_no_terminal_is_needed(tmp_path):
    done = subprocess.run([ORMEND, "server"], stdin=subprocess.DEVNULL, capture_output=True, cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    assert (done.returncode, done.stdout) == (1, b"")
