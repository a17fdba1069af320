"""How long an editor waits: the median time from a change of a file to what is said of it.

    ORMEND=target/release/ormend python tests/server/latency.py PROJECT [FILES] [EDITS]

Statements are put into functions of files that are picked by chance, one at a time, and taken out again. test_latency.py
guards what does not depend on the machine.
"""

import ast
import asyncio
import random
import statistics
import sys
import time
from pathlib import Path

import conftest
from conftest import Editor, capabilities, new_client
from lsprotocol import types
from pytest_lsp import ClientServerConfig

conftest.PATIENCE = 300


def statements(text):
    """The lines of the statements in functions that begin their line, with their indents."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(ast.parse(text)) if isinstance(node, functions)]
    return sorted({(one.lineno - 1, one.col_offset) for body in bodies for one in body[1:]})


def is_edited(file):
    """Whether a file is one of those that people edit: it has functions, and is no test or migration."""
    parts = file.parts
    return "tests" not in parts and "migrations" not in parts and len(statements(file.read_text())) > 5


def told(times):
    quickest = [time * 1000 for time in sorted(times)]
    median, most = statistics.median(quickest), quickest[len(quickest) * 9 // 10]
    return f"{len(times)} edits: median {median:.0f} ms, nine of ten within {most:.0f} ms, longest {quickest[-1]:.0f} ms"


async def edited(buffer, edits, chance):
    """The seconds that each edit took, until it was known what is to be said of the file."""
    places = statements(buffer.text)
    times = []
    for n in range(edits // 2):
        line, indent = chance.choice(places)
        start, end = types.Position(line, 0), types.Position(line + 1, 0)
        statement = " " * indent + f"rows = [row.pk for row in rows_{n}.all()]\n"
        for place, typed in ((types.Range(start, start), statement), (types.Range(start, end), "")):
            began = time.perf_counter()
            buffer.change([(place, typed)])
            await buffer.diagnostics()
            times.append(time.perf_counter() - began)
    return times


class Latency:
    """A server over a project in which `files` are edited that chance has picked."""

    def __init__(self, root, files):
        self.root, self.chance, self.times = root, random.Random(1), []
        all_files = sorted(root.rglob("*.py"))
        self.size = sum(file.stat().st_size for file in all_files)
        able = [file for file in all_files if is_edited(file)]
        self.names = [str(file.relative_to(root)) for file in self.chance.sample(able, min(files, len(able)))]
        # The seconds until what is to be said of the first file is known, which takes a look at the whole project.
        self.first = None

    async def measure(self, edits, tell=lambda line: None):
        editors = []
        config = ClientServerConfig(server_command=[conftest.ORMEND, "server"], client_factory=lambda: new_client(editors))
        client = await config.start()
        editor = Editor(client, self.root)
        editors.append(editor)
        folder = types.WorkspaceFolder(uri=self.root.as_uri(), name=self.root.name)
        params = types.InitializeParams(capabilities=capabilities(), workspace_folders=[folder])
        began = time.perf_counter()
        result = await client.initialize_session(params)
        editor.encoding = result.capabilities.position_encoding
        for name in self.names:
            buffer = editor.open(name)
            await buffer.diagnostics()
            if self.first is None:
                self.first = time.perf_counter() - began
                tell(f"{self.size / 1e6:.1f} MB of Python, the first file after {self.first:.2f} s")
            times = await edited(buffer, edits, self.chance)
            tell(f"{name}: {told(times)}")
            self.times += times
            if name != self.names[-1]:
                buffer.close()
        tell(told(self.times))
        # What is typed at once is looked at once.
        end = buffer.position(len(buffer.text))
        began = time.perf_counter()
        for n in range(edits):
            buffer.change([(types.Range(end, end), f"# {n}\n")])
        await buffer.diagnostics()
        tell(f"{edits} edits at once: {(time.perf_counter() - began) * 1000:.0f} ms")
        await client.shutdown_session()
        await client.stop()


if __name__ == "__main__":
    files, edits = (int(n) for n in sys.argv[2:] or (20, 20))
    asyncio.run(Latency(Path(sys.argv[1]).resolve(), files).measure(edits, print))
