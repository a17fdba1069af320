"""What the documentation site does in Chromium.

    site.py SITE [DIRECTORY]

serves SITE, the directory that docs/build made, and fails with what is wrong. Pictures of some pages are put into DIRECTORY.
"""

import functools
import http.server
import sys
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright
from review import NARROW, WIDE, launch

# Pages of each kind: prose, tables, generated keys, a codemod.
SHOWN = ["index.html", "start.html", "configuration.html", "safety.html", "codemods/select-related.html"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main(site, pictures=None):
    handler = functools.partial(Quiet, directory=site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    pages = sorted(path.relative_to(site).as_posix() for path in Path(site).rglob("*.html"))
    assert len(pages) > 30, pages
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for name, size, scheme in (("phone", NARROW, "dark"), ("desktop", WIDE, "light")):
            page = browser.new_context(viewport=size, color_scheme=scheme).new_page()
            said = []
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("request", lambda request: request.url.startswith(address) or said.append(request.url))
            for path in pages if name == "phone" else SHOWN:
                page.goto(address + path, wait_until="domcontentloaded")
                wide = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
                assert wide <= 0, f"{path} is {wide} px too wide on a {name}"
                assert page.evaluate("document.body.dataset.mdColorScheme") == colours(scheme), path
                if pictures and path in SHOWN:
                    page.wait_for_timeout(300)
                    page.screenshot(path=f"{pictures}/{name}-{path.replace('/', '-')}.png")
            searches(page, address, name)
            assert not said, f"the browser says {said}"
        browser.close()
    server.shutdown()


def colours(scheme):
    return {"dark": "slate", "light": "default"}[scheme]


def searches(page, address, name):
    """The search finds a key of the configuration, and a codemod."""
    for words, found in (("batch-size", "configuration.html"), ("savepoint", "codemods/savepoint.html")):
        page.goto(address + "index.html")
        if name == "phone":
            page.locator("label[for=__search]").first.click()
        # It listens to keys.
        page.locator(".md-search__input").press_sequentially(words)
        page.locator(f".md-search-result__link[href*='{found}']").first.wait_for(state="attached", timeout=20_000)


if __name__ == "__main__":
    main(*sys.argv[1:])
