"""What the pages of `ormend review --html` and `ormend report merge` do in Chromium.

    review.py CHECK PAGE [DIRECTORY]

runs one check, a function below, and fails with what is wrong. DIRECTORY is where a downloaded plan is put.
"""

import http.server
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDE = {"width": 1400, "height": 1000}
NARROW = {"width": 390, "height": 844}
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]

# What a hostile text of the tests does if it is ever more than text.
HACKED = "window.hacked === undefined"


def launch(playwright):
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sys.exit("Chromium is not installed (Debian: apt-get install chromium)")
    return playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])


@contextmanager
def opened(file, **context):
    """The page in `file`, which must not complain and must not ask for anything but itself."""
    context = {"viewport": WIDE, "color_scheme": "light", **context}
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_context(accept_downloads=True, **context).new_page()
        address = Path(file).resolve().as_uri()
        asked, said = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: dialog.dismiss())
        page.goto(address)
        yield page
        page.wait_for_timeout(100)
        leaving = [url for url in asked if url != address and not url.startswith("blob:")]
        assert not leaving, f"the page asked for {leaving}"
        assert not said, f"the browser says {said}"
        assert page.evaluate(HACKED), "a text of the project ran"
        browser.close()


def cards(page):
    """The fixes that are shown, as `codemod place`."""
    return page.eval_on_selector_all(
        "#fixes > li:not([hidden]) .fix",
        """all => all.map(card => [...card.querySelectorAll(".chip")][1].textContent
            + " " + card.querySelector(".place").textContent)""",
    )


def ticked(page):
    return page.eval_on_selector_all(
        ".fix.ticked", "all => all.map(card => [...card.querySelectorAll('.chip')][1].textContent)"
    )


def focused(page):
    return page.evaluate("document.activeElement.id")


def counts(page, title):
    """The values of a facet and their counts."""
    rows = page.locator("fieldset", has=page.locator("legend", has_text=title)).locator("label")
    return {row.locator("span").first.inner_text(): int(row.locator(".count").inner_text()) for row in rows.all()}


def choose(page, value):
    page.locator(f'.values input[value="{value}"]').click()


def saved(page, act, directory):
    with page.expect_download() as download:
        act()
    target = Path(directory) / download.value.suggested_filename
    download.value.save_as(target)
    return target


def filters(file, _):
    with opened(file) as page:
        everything = cards(page)
        assert len(everything) == 5, everything
        assert counts(page, "Outcome") == {"safe": 4, "unsafe": 1}
        codemods = {"aggregate": 1, "exists": 1, "fk-id": 1, "select-related": 1, "values-list": 1}
        assert counts(page, "Codemod") == codemods
        assert counts(page, "Owner") == {"@shop": 3, "@web": 2, "ann@example.com": 2}
        choose(page, "@web")
        assert cards(page) == ["select-related shop/views.py:5", "exists shop/views.py:10"], cards(page)
        assert page.inner_text("#shown") == "2 of 5 fixes shown."
        # A facet's own choice does not count against its other values, those of the others do.
        assert counts(page, "Owner") == {"@shop": 3, "@web": 2, "ann@example.com": 2}
        assert counts(page, "Codemod") == codemods | {"aggregate": 0, "fk-id": 0, "values-list": 0}
        choose(page, "exists")
        assert cards(page) == ["exists shop/views.py:10"], cards(page)
        choose(page, "select-related")
        assert len(cards(page)) == 2
        page.get_by_role("button", name="Clear filters").click()
        assert cards(page) == everything
        choose(page, "unsafe")
        assert cards(page) == ["fk-id shop/risky.py:5"], cards(page)
        choose(page, "unsafe")
        page.fill("#filter", "TOTALS.py")
        assert cards(page) == ["aggregate shop/totals.py:8", "values-list shop/totals.py:8"], cards(page)
        page.fill("#filter", "nothing has this")
        assert cards(page) == [] and page.inner_text("#empty") == "No fix passes the filters."


def shows(file, _):
    """A card has all that the plan says of a fix, and the lines as they are before and after."""
    with opened(file) as page:
        card = page.locator(".fix", has=page.locator("text=fk-id"))
        text = card.inner_text()
        for part in ["shop/risky.py:5", "unsafe", "HandedIn", "shop/risky.py:4", "@shop", "→"]:
            assert part in text, (part, text)
        assert len(card.locator(".print").inner_text()) == 16
        line = card.locator("tr", has=page.locator(".removed")).locator("td").all_inner_texts()
        assert line == ["5", "    return book.author.pk", "5", "    return book.author_id"], line
        marks = card.locator("mark").all_inner_texts()
        assert marks == [".pk", "_id"], marks
        # An import that a fix needs is part of what it changes.
        card = page.locator(".fix", has=page.locator("text=aggregate"))
        assert "from django.db.models import Sum" in card.inner_text()
        assert "Café" in card.inner_text() and "\\r" not in card.inner_text()


def keyboard(file, directory):
    with opened(file) as page:
        press = page.keyboard.press
        assert ticked(page) == ["aggregate", "select-related", "exists"], ticked(page)
        for key in ["j", "j", "ArrowDown"]:
            press(key)
        assert focused(page) == "fix-2", focused(page)
        press("k")
        press("ArrowUp")
        assert focused(page) == "fix-0", focused(page)
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", outline
        press("x")
        press("End")
        assert focused(page) == "fix-4", focused(page)
        press(" ")
        assert ticked(page) == ["fk-id", "aggregate", "select-related"], ticked(page)
        # On a box a space is the box's own.
        press("Tab")
        press(" ")
        assert ticked(page) == ["fk-id", "aggregate", "select-related", "exists"], ticked(page)
        # Letters that are typed into the filter are letters.
        press("/")
        assert focused(page) == "filter"
        page.keyboard.type("xjrisky")
        assert page.input_value("#filter") == "xjrisky"
        page.fill("#filter", "risky")
        press("Enter")
        assert page.locator(":focus .chip").nth(1).inner_text() == "fk-id"
        press("n")
        assert ticked(page) == ["aggregate", "select-related", "exists"], ticked(page)
        press("x")
        assert "fk-id" in ticked(page)
        press("?")
        assert page.locator("dialog[open]").count() == 1
        press("x")
        press("Escape")
        assert page.locator("dialog[open]").count() == 0 and "fk-id" in ticked(page)
        press("/")
        page.fill("#filter", "")
        press("Escape")
        press("n")
        assert ticked(page) == []
        assert page.inner_text("#tally") == "0 of 5 fixes ticked"
        # Of two that want the same place one is ticked.
        press("a")
        assert len(ticked(page)) == 4, ticked(page)
        assert "1 wants the place of a ticked one and was left out" in page.inner_text("#shown")
        press("n")
        press("Home")
        press(" ")
        for _ in range(3):
            press("j")
        press("x")
        assert ticked(page) == ["fk-id", "select-related"], ticked(page)
        press("u")
        assert page.locator("table.unified").count() > 0 and page.locator("table.split").count() == 0
        saved(page, lambda: press("e"), directory)
        assert "ormend apply" in page.inner_text("#said")


def mouse(file, directory):
    """Without a change the very plan comes back; a tick changes one word of it."""
    with opened(file) as page:
        button = page.get_by_role("button", name="Export")
        first = saved(page, button.click, directory)
        first.rename(first.with_name("same.json"))
        page.get_by_role("checkbox", name="select_related").uncheck()
        saved(page, button.click, directory)


def rivals(file, _):
    with opened(file) as page:
        assert page.locator("#overlaps").is_hidden()
        box = page.locator("#fix-2").get_by_role("checkbox")
        box.check()
        notices = page.locator(".fix .notice:visible").all_inner_texts()
        assert len(notices) == 2 and "aggregate at shop/totals.py:8" in notices[1], notices
        assert "wants the same place as 1 other ticked fix" in page.inner_text("#said")
        assert page.inner_text("#overlaps").startswith("2 ticked fixes want the place of another")
        page.get_by_role("button", name="aggregate at shop/totals.py:8").click()
        assert focused(page) == "fix-1", focused(page)
        box.uncheck()
        assert page.locator(".notice:visible").count() == 0


def changed(file, directory):
    """Fixes of a file that changed have a reason, no diff, and no tick."""
    with opened(file) as page:
        assert counts(page, "Outcome") == {"safe": 2, "unsafe": 1, "cannot be applied": 2}
        choose(page, "cannot be applied")
        assert len(cards(page)) == 2
        for card in page.locator("#fixes > li:not([hidden]) .fix").all():
            why = "This fix cannot be applied: shop/views.py changed since the plan was written."
            assert why in card.inner_text(), card.inner_text()
            assert card.locator("table").count() == 0
            assert card.get_by_role("checkbox").is_disabled()
        page.keyboard.press("j")
        page.keyboard.press("x")
        page.keyboard.press("a")
        assert ticked(page) == ["aggregate"], ticked(page)
        saved(page, lambda: page.keyboard.press("e"), directory)


def hostile(file, _):
    with opened(file) as page:
        page.wait_for_selector("table")
        text = page.inner_text("#fixes")
        for part in [
            "<script>window.hacked = 1</script><img src=x onerror=window.hacked=2>.py",
            "'</script><script>window.hacked = 3</script>'",
            "'\\x1b[2J\\u202e'",
            "<b onclick=window.hacked=4>message</b>\\u202e\\n&lt;",
            "@<i>owner</i>",
        ]:
            assert part in text, (part, text)
        assert "<i>owner</i>" in page.inner_text("#filters")
        assert page.locator("main b:not(.hazards b), main i, main img, main script").count() == 0
        assert page.locator("script").count() == 2


def alone(file, _):
    """The policy of the page lets nothing out, even of a script that got in."""
    hits = []

    class Counter(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            hits.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Counter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page()
        page.goto(Path(file).resolve().as_uri())
        refused = page.evaluate(
            """async (address) => {
                const refused = [];
                document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
                await fetch(address + "/fetch").catch(() => 0);
                navigator.sendBeacon(address + "/beacon", "x");
                const add = (name, properties) => document.body.append(Object.assign(document.createElement(name), properties));
                add("img", { src: address + "/img" });
                add("script", { src: address + "/script" });
                add("script", { textContent: "window.hacked = 1" });
                add("style", { textContent: "body { background: url(" + address + "/css) }" });
                add("link", { rel: "stylesheet", href: address + "/link" });
                add("iframe", { src: address + "/frame" });
                await new Promise((done) => setTimeout(done, 500));
                return refused;
            }""",
            address,
        )
        assert page.evaluate(HACKED)
        browser.close()
    server.shutdown()
    assert not hits, f"the page reached {hits}"
    kinds = {"connect-src", "img-src", "script-src-elem", "style-src-elem", "frame-src"}
    assert kinds <= set(refused), refused


def narrow(file, _):
    with opened(file, viewport=NARROW) as page:
        page.wait_for_selector("table.unified")
        assert page.locator("table.split").count() == 0
        beyond = "document.documentElement.scrollWidth - window.innerWidth"
        assert page.evaluate(beyond) <= 0, page.evaluate(beyond)
        assert page.locator("#filters").is_hidden()
        page.click("#open-filters")
        assert page.locator("#filter").is_visible()
        assert page.evaluate(beyond) <= 0
        page.set_viewport_size(WIDE)
        page.wait_for_selector("table.split")
        assert page.locator("table.unified").count() == 0
        assert page.evaluate(beyond) <= 0
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(color_scheme="dark")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = lambda color: sum(map(int, color.strip("rgb()").split(",")))
        assert brightness(light) > 600 and brightness(dark) < 150, (light, dark)


# In seconds. Each step takes less than one where nothing else runs; what grows with the square of the fixes takes ten.
PATIENCE = 4.0


def large(file, _):
    with opened(file) as page:
        start = time.monotonic()
        page.reload()
        page.wait_for_selector(".fix table")
        loading = time.monotonic() - start
        assert page.locator(".fix").count() == 5000
        # Diffs far away are not made.
        assert page.locator(".fix table").count() < 100
        timed = """(value) => new Promise((done) => {
            const text = document.getElementById("filter");
            const start = performance.now();
            text.value = value;
            text.dispatchEvent(new Event("input"));
            requestAnimationFrame(() => setTimeout(() => done((performance.now() - start) / 1000)));
        })"""
        narrowing = page.evaluate(timed, "module_17")
        shown = page.locator("#fixes > li:not([hidden])").count()
        assert 0 < shown < 5000, shown
        widening = page.evaluate(timed, "")
        start = time.monotonic()
        page.keyboard.press("n")
        page.keyboard.press("a")
        page.keyboard.press("End")
        assert focused(page) == "fix-4999", focused(page)
        page.wait_for_selector("#fix-4999 table")
        ticking = time.monotonic() - start
        print(f"load {loading:.2f} s, filter {narrowing:.2f} s, clear {widening:.2f} s, tick all and go {ticking:.2f} s")
        assert max(loading, narrowing, widening, ticking) < PATIENCE


def report(file, _):
    with opened(file) as page:
        table = lambda number: [
            row.locator("th, td").all_inner_texts() for row in page.locator("table").nth(number).locator("tbody tr").all()
        ]
        foot = page.locator("table").first.locator("tfoot th, tfoot td").all_inner_texts()
        assert table(0) == [
            ["<b>blog<b>", "1", "0", "200", "2"], ["empty", "0", "0", "0", "0"], ["shop", "3", "1", "2", "3"],
        ], table(0)
        assert foot == ["total", "4", "1", "202", "5"], foot
        page.get_by_role("columnheader", name="safe", exact=True).first.get_by_role("button").click()
        assert [row[0] for row in table(0)] == ["shop", "<b>blog<b>", "empty"]
        heads = page.locator("table").first.locator("thead th")
        assert heads.nth(1).get_attribute("aria-sort") == "descending"
        assert heads.nth(0).get_attribute("aria-sort") is None
        assert table(2)[0] == ["UnknownType", "201", "2"], table(2)
        # The findings come as one scrolls.
        items = page.locator("#findings > li")
        assert 0 < items.count() < 207, items.count()
        page.keyboard.press("End")
        page.wait_for_selector("#findings > li:nth-child(207)")
        page.get_by_role("button", name="shop", exact=True).click()
        assert table(0) == [["shop", "3", "1", "2", "3"]], table(0)
        assert items.count() == 6 and page.inner_text("#tally") == "6 of 207 findings"
        choose(page, "withheld")
        text = page.inner_text("#findings")
        assert "UnknownType" in text and "shop/models.py:41" in text and "\\u202e<img" in text, text
        page.get_by_role("button", name="Clear filters").click()
        page.keyboard.press("/")
        page.keyboard.type("reports.py:7")
        assert items.count() == 1, items.count()
        page.set_viewport_size(NARROW)
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


if __name__ == "__main__":
    check, page_file, *rest = sys.argv[1:]
    globals()[check](page_file, rest[0] if rest else None)
