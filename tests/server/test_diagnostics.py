"""What is said of open buffers."""

import asyncio
import random
import time

from conftest import FIXED, MODELS, SHOP, VIEWS, capabilities, run
from lsprotocol import types

UTF8, UTF16, UTF32 = (types.PositionEncodingKind.Utf8, types.PositionEncodingKind.Utf16, types.PositionEncodingKind.Utf32)


async def test_a_finding_is_a_diagnostic(start):
    editor = await start()
    views = editor.open("shop/views.py")
    [diagnostic] = await views.diagnostics()
    loop = "for book in Book.objects.all()"
    assert diagnostic.range == views.range(loop)
    assert (diagnostic.code, diagnostic.source) == ("select-related", "ormend")
    assert diagnostic.severity == types.DiagnosticSeverity.Warning
    # The same as the command says.
    said = run(editor.root, "check", "--output-format", "sarif", "shop/views.py")
    assert diagnostic.message.splitlines()[0] in said and "1 + N queries -> 1 query" in diagnostic.message
    places = {(info.location.uri, info.message) for info in diagnostic.related_information}
    assert any(uri == views.uri for uri, _ in places), places


async def test_what_is_not_saved_counts(start):
    editor = await start()
    views = editor.open("shop/views.py")
    assert await views.codes() == ["select-related"]
    views.replace("objects.all()", 'objects.select_related("author")')
    assert await views.codes() == []
    assert views.text == FIXED and views.file.read_text() == VIEWS
    views.replace('objects.select_related("author")', "objects.all()")
    assert await views.codes() == ["select-related"]
    views.close()
    await editor.until(lambda: editor.said[views.uri][-1] == (None, []), "an empty list for a closed file")


async def test_a_model_in_another_buffer_counts(start):
    editor = await start()
    views, models = editor.open("shop/views.py"), editor.open("shop/models.py")
    assert await views.codes() == ["select-related"]
    count = len(editor.said[views.uri])
    models.replace("models.ForeignKey(Author, on_delete=models.CASCADE)", "models.TextField()")
    await editor.until(lambda: len(editor.said[views.uri]) > count, "what became of it")
    version, diagnostics = editor.said[views.uri][-1]
    assert (version, [diagnostic.code for diagnostic in diagnostics]) == (views.version, ["values-list"])


async def test_a_reason_is_told_with_its_place(start):
    saved = MODELS + "\n    def save(self, *args, **kwargs):\n        super().save(*args, **kwargs)\n"
    making = "from shop.models import Book\n\n\ndef make(author):\n    for n in range(3):\n        Book.objects.create(title='x', pages=n, author=author)\n"
    editor = await start({**SHOP, "shop/models.py": saved, "shop/views.py": making})
    views = editor.open("shop/views.py")
    [diagnostic] = await views.diagnostics()
    assert diagnostic.code == "bulk-create"
    assert "CustomSave: " in diagnostic.message and "shop/models.py:13" in diagnostic.message
    assert diagnostic.severity == types.DiagnosticSeverity.Warning
    [place] = [info for info in diagnostic.related_information if info.message.startswith("CustomSave")]
    assert place.location.uri == (editor.root / "shop/models.py").as_uri()
    assert place.location.range.start == types.Position(12, 4)


async def test_what_is_withheld_is_information_or_nothing(start):
    withheld = VIEWS.replace("objects.all()", "objects.raw('SELECT * FROM shop_book')")
    for options, severities in ((None, [types.DiagnosticSeverity.Information]), ({"showWithheld": False}, [])):
        editor = await start({**SHOP, "shop/views.py": withheld}, options=options)
        views = editor.open("shop/views.py")
        assert [diagnostic.severity for diagnostic in await views.diagnostics()] == severities


async def test_rapid_edits_end_with_the_last_version(start):
    editor = await start()
    views = editor.open("shop/views.py")
    await views.diagnostics()
    for n in range(60):
        views.change([(types.Range(views.position(0), views.position(0)), f"# {n}\n")])
        if n % 7 == 0:
            await asyncio.sleep(0.03)
    [diagnostic] = await views.diagnostics()
    assert diagnostic.range.start.line == 64
    await asyncio.sleep(0.5)
    versions = [version for version, _ in editor.said[views.uri]]
    # Never back, and not each of them: once for each pause, or somewhat more where the machine has much else to do.
    assert versions == sorted(versions) and versions[-1] == views.version and len(versions) < 25, versions


async def waits(editor, buffer, edits):
    """For how long nothing is said after each of these edits, which come one by one."""
    times = []
    for edit in edits:
        begin = time.monotonic()
        buffer.change([edit])
        await buffer.diagnostics()
        times.append(time.monotonic() - begin)
    return times


async def test_the_end_of_typing_is_waited_for(start):
    """For 20 ms, and for 400 ms where all files have to be looked through. The least of several times does not depend on what
    else the machine has to do."""
    editor = await start()
    views = editor.open("shop/views.py")
    await views.diagnostics()
    bodies = [VIEWS.replace("print(", "print(" + "1, " * n) for n in range(1, 13)]
    cheap = await waits(editor, views, bodies)
    assert 0.02 <= min(cheap) < 0.35, cheap
    functions = ["".join(f"\n\ndef f{i}():\n    pass\n" for i in range(n)) for n in range(1, 5)]
    costly = await waits(editor, views, [VIEWS + more for more in functions])
    assert 0.4 <= min(costly) < 5, costly


async def test_functions_that_come_in_a_row_are_looked_at_at_last(start):
    editor = await start()
    views = editor.open("shop/views.py")
    await views.diagnostics()
    for n in range(1, 9):
        views.change([VIEWS + f"\n\ndef f{n}():\n    pass\n"])
        await asyncio.sleep(0.06)
    await views.diagnostics()
    versions = [version for version, _ in editor.said[views.uri]]
    # The eight come within 400 ms of each other, unless the machine has much else to do.
    assert versions[-1] == views.version and len(versions) <= 4, versions


async def test_requests_between_edits_are_all_answered(start):
    editor = await start()
    views = editor.open("shop/views.py")
    asked = []
    for n in range(40):
        views.change([(types.Range(views.position(0), views.position(0)), f"# {n}\n")])
        asked += [views.hover("objects"), views.actions("for book")]
        asked = [asyncio.ensure_future(one) for one in asked]
        if n % 10 == 9:
            await asyncio.sleep(0.2)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    failures = {str(answer) for answer in answers if isinstance(answer, Exception)}
    assert all("the document has changed" in failure for failure in failures), failures
    # The last of them are for the text as it is.
    assert "Manager[shop.Book]" in answers[-2].contents.value and len(answers[-1]) == 5
    assert await views.codes() == ["select-related"]


async def test_random_edits_keep_in_step(start):
    """Comments of all kinds of characters are edited at random; the loop below them is where it was put by all of that."""
    for encoding in (UTF16, UTF8):
        chance = random.Random(7)
        editor = await start(able=capabilities([encoding]))
        head = "".join(f"# \U0001f600{n}\u00e9 line\n" for n in range(30))
        views = editor.open("shop/views.py", head + VIEWS)
        for _ in range(300):
            end = views.text.index("from shop.models")
            # Behind the mark of a comment, so that comments stay comments.
            starts = [0, *(i + 1 for i, c in enumerate(views.text[: end - 1]) if c == "\n")]
            places = [place for start in starts for place in range(start + 2, views.text.index("\n", start) + 1)]
            first, last = sorted(chance.choices(places, k=2))
            last = min(last, first + chance.randrange(30))
            last = max(place for place in places if place <= last)
            new = chance.choice(["", "x", "\U0001f600", "\u00e9\u20ac", "\n# ", "\n# \U0001f600\n# a"])
            views.change([(types.Range(views.position(first), views.position(last)), new)])
        [diagnostic] = await views.diagnostics()
        assert diagnostic.range == views.range("for book in Book.objects.all()")


async def test_broken_syntax_leaves_the_rest(start):
    editor = await start()
    views = editor.open("shop/views.py", VIEWS + "\n\ndef broken(:\n    x = (\n")
    assert await views.codes() == ["select-related"]
    views.change(["def (((\n\x0c\ud7ff class\n" + "((((" * 50])
    assert await views.codes() == []
    views.change([""])
    assert await views.codes() == []
    views.change([VIEWS])
    assert await views.codes() == ["select-related"]


async def test_a_file_of_5000_lines(start):
    function = "\n\ndef f{n}(a, b):\n    if a > {n}:\n        return [a, b, {n}]\n    return {{'k': a}}\n"
    text = VIEWS + "".join(function.format(n=n) for n in range(840))
    assert text.count("\n") >= 5000
    editor = await start({**SHOP, "shop/views.py": text})
    views = editor.open("shop/views.py")
    assert await views.codes() == ["select-related"]
    end = views.position(len(views.text))
    views.change([(types.Range(end, end), VIEWS.split("\n", 1)[1].replace("names", "again"))])
    first, second = await views.diagnostics()
    assert second.range.start.line == text.count("\n") + 3 and first.range.start.line == 4


async def test_positions_in_each_encoding(start):
    before = "'\u00e9\U0001f600'"
    text = f"from shop.models import Book\n\n\ndef has_books():\n    return {before}, Book.objects.count() > 0\n"
    for encodings, agreed in (
        ([UTF16, UTF8], UTF8),
        ([UTF32, UTF16], UTF16),
        ([UTF32], UTF32),
        (None, UTF16),
    ):
        editor = await start(able=capabilities(encodings))
        assert editor.result.capabilities.position_encoding == agreed
        views = editor.open("shop/views.py", text)
        [diagnostic] = await views.diagnostics()
        assert diagnostic.range == views.range("Book.objects.count() > 0")
        # Edits behind it, on the same line.
        views.replace("> 0", "> 7")
        assert await views.codes() == []
        views.replace("'\u00e9\U0001f600'", "'\U0001f600\U0001f600'")
        views.replace("> 7", "> 0")
        [diagnostic] = await views.diagnostics()
        assert diagnostic.range == views.range("Book.objects.count() > 0")


async def test_line_ends_and_declared_encodings(start):
    latin = "# coding: latin-1\r\n# '\u00e9'\r\n" + VIEWS.replace("\n", "\r\n")
    editor = await start({**SHOP, "shop/views.py": latin.encode("latin-1"), "shop/bom.py": "\ufeff" + VIEWS})
    views = editor.open("shop/views.py", latin)
    [diagnostic] = await views.diagnostics()
    assert (diagnostic.range.start, diagnostic.range.end) == (types.Position(6, 4), types.Position(6, 34))
    marked = editor.open("shop/bom.py", "\ufeff" + VIEWS)
    [diagnostic] = await marked.diagnostics()
    assert diagnostic.range.start == types.Position(4, 4)
    # A character that Latin-1 has not: there is no such file.
    views.replace("'\u00e9'", "'\u20ac'")
    assert await views.codes() == []
    views.replace("'\u20ac'", "'e'")
    assert await views.codes() == ["select-related"]


async def test_positions_that_are_nowhere_are_taken_for_the_nearest(start):
    editor = await start()
    views = editor.open("shop/views.py")
    far = types.Range(types.Position(9999, 9999), types.Position(99999, 7))
    back = types.Range(types.Position(4, 99), types.Position(1, 99))
    for range_ in (far, back):
        views.version += 1
        event = types.TextDocumentContentChangePartial(range=range_, text="\n# end\n")
        document = types.VersionedTextDocumentIdentifier(uri=views.uri, version=views.version)
        params = types.DidChangeTextDocumentParams(text_document=document, content_changes=[event])
        editor.client.text_document_did_change(params)
        await views.diagnostics()
    views.change([VIEWS])
    assert await views.codes() == ["select-related"]


async def test_what_the_command_leaves_out_is_left_out(start):
    config = """\
[tool.ormend]
exclude = ["old/"]
per-file-ignores = {"shop/quiet.py" = ["select-related"]}
"""
    names = ["shop/views.py", "shop/old/views.py", "shop/quiet.py", "shop/tests/views.py", "shop/migrations/0001_x.py", "ignored.py"]
    files = {**SHOP, **dict.fromkeys(names, VIEWS), "pyproject.toml": config, ".gitignore": "ignored.py\n"}
    editor = await start(files)
    buffers = [editor.open(name) for name in names]
    found = [name for name, buffer in zip(names, buffers) if await buffer.codes()]
    assert found == ["shop/views.py"]
    said = run(editor.root, "check", "--output-format", "concise")
    assert [line.split(":")[0] for line in said.splitlines()] == found


async def test_what_is_suppressed_is_not_said(start):
    editor = await start()
    views = editor.open("shop/views.py")
    assert await views.codes() == ["select-related"]
    views.replace("    for book", "    # ormend: ignore[select-related]\n    for book")
    assert await views.codes() == []
    views.replace("ignore[select-related]", "ignore[exists]")
    assert await views.codes() == ["select-related"]
