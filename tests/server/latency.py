"""How long an editor waits: the median time from a change of a file to what is said of it. Not a test.

    ORMEND=target/release/ormend python tests/server/latency.py PROJECT FILE [EDITS]
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path

import conftest
from conftest import Editor, capabilities, new_client
from lsprotocol import types
from pytest_lsp import ClientServerConfig

conftest.PATIENCE = 300


async def main(root, name, edits):
    editors = []
    config = ClientServerConfig(server_command=[conftest.ORMEND, "server"], client_factory=lambda: new_client(editors))
    client = await config.start()
    editor = Editor(client, root)
    editors.append(editor)
    folder = types.WorkspaceFolder(uri=root.as_uri(), name=root.name)
    params = types.InitializeParams(capabilities=capabilities(), workspace_folders=[folder])
    began = time.perf_counter()
    result = await client.initialize_session(params)
    editor.encoding = result.capabilities.position_encoding
    buffer = editor.open(name)
    found = await buffer.codes()
    print(f"{name}: {len(found)} findings, the first after {time.perf_counter() - began:.2f} s")
    times = []
    end = buffer.position(len(buffer.text))
    for n in range(edits):
        began = time.perf_counter()
        buffer.change([(types.Range(end, end), f"# {n}\n")])
        await buffer.diagnostics()
        times.append(time.perf_counter() - began)
    print(f"{edits} edits: median {statistics.median(times) * 1000:.0f} ms, longest {max(times) * 1000:.0f} ms")
    # What is typed at once is looked at once.
    began = time.perf_counter()
    for n in range(edits):
        buffer.change([(types.Range(end, end), f"# {n}\n")])
    await buffer.diagnostics()
    print(f"{edits} edits at once: {(time.perf_counter() - began) * 1000:.0f} ms")
    for name, ask in (("hover", buffer.hover), ("actions", buffer.actions)):
        began = time.perf_counter()
        await ask("objects")
        print(f"{name}: {(time.perf_counter() - began) * 1000:.0f} ms")
    await client.shutdown_session()
    await client.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).resolve(), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 30))
