"""How long an editor waits: the median time from a change of a file to what is said of it. Not a test.

    ORMEND=target/release/ormend python tests/server/latency.py PROJECT [FILES] [EDITS]

Statements are put into functions of files that are picked by chance, one at a time, and taken out again.
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


async def main(root, count, edits):
    editors = []
    config = ClientServerConfig(server_command=[conftest.ORMEND, "server"], client_factory=lambda: new_client(editors))
    client = await config.start()
    editor = Editor(client, root)
    editors.append(editor)
    chance = random.Random(1)
    files = [file for file in sorted(root.rglob("*.py")) if is_edited(file)]
    names = [str(file.relative_to(root)) for file in chance.sample(files, min(count, len(files)))]
    size = sum(file.stat().st_size for file in root.rglob("*.py"))
    folder = types.WorkspaceFolder(uri=root.as_uri(), name=root.name)
    params = types.InitializeParams(capabilities=capabilities(), workspace_folders=[folder])
    began = time.perf_counter()
    result = await client.initialize_session(params)
    editor.encoding = result.capabilities.position_encoding
    all_times = []
    for n, name in enumerate(names):
        buffer = editor.open(name)
        await buffer.diagnostics()
        if n == 0:
            print(f"{size / 1e6:.1f} MB of Python, the first file after {time.perf_counter() - began:.2f} s")
        times = await edited(buffer, edits, chance)
        print(f"{name}: {told(times)}")
        all_times += times
        if n + 1 < len(names):
            buffer.close()
    print(told(all_times))
    # What is typed at once is looked at once.
    end = buffer.position(len(buffer.text))
    began = time.perf_counter()
    for n in range(edits):
        buffer.change([(types.Range(end, end), f"# {n}\n")])
    await buffer.diagnostics()
    print(f"{edits} edits at once: {(time.perf_counter() - began) * 1000:.0f} ms")
    await client.shutdown_session()
    await client.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).resolve(), *(int(n) for n in sys.argv[2:] or (20, 20))))
