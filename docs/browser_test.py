"""The built site in a browser: `make docs-test`.

Chromium and its driver are found on the PATH, or where CHROMIUM and CHROMEDRIVER say.
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest
from check_links import Page, target

DOCS = Path(__file__).resolve().parent
SITE = DOCS / "_build" / "html"
TOP = ["index", "start", "learn/index", "howto/index", "concepts/index", "gallery/index", "reference/index"]
TOP += ["differences", "performance", "security", "faq", "contributing", "changelog"]
DEEP = [
    "reference/lamella.layers.LSTM",
    "reference/lamella.ops",
    "gallery/demo",
    "gallery/tabular",
    "names",
    "backends",
]
NARROW = 390


def pages_that_must_be():
    """The pages of the sources, but for classes and decisions."""
    for pattern in ("*.md", "howto/*.md", "concepts/*.md", "reference/index.rst", "reference/lamella.ops.rst"):
        yield from (path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.glob(pattern))
    yield from (f"learn/{path.stem}.html" for path in (DOCS / "tutorials").glob("*.py"))
    yield from (f"gallery/{path.stem}.html" for path in (DOCS.parent / "examples").glob("*.py"))


@pytest.fixture(scope="module")
def address():
    """Where a server on this machine shows the site."""
    if not (SITE / "index.html").exists():
        pytest.fail("docs/_build/html is not there: run `make docs`")
    handler = functools.partial(Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that writes no log."""

    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    binary = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    driver = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
    if not binary or not driver:
        pytest.fail("Chromium and chromedriver are needed: put them on the PATH, or set CHROMIUM and CHROMEDRIVER")
    options.binary_location = binary
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "no-first-run", "disable-sync",
                 "disable-background-networking", "disable-component-update", "disable-quic"):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as found:
        yield found


def shown(browser, url, width):
    """Open a page in a window of a width; returns what the console said."""
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get_log("browser")
    browser.get(url)
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.mark.parametrize("page", TOP + DEEP)
def test_a_page_says_nothing_in_the_console_and_does_not_scroll_sideways(page, address, browser):
    assert shown(browser, f"{address}/{page}.html", 1280) == []
    assert browser.find_elements("css selector", "article h1")
    assert shown(browser, f"{address}/{page}.html", NARROW) == []
    assert browser.execute_script("return document.documentElement.clientWidth") == NARROW
    width = browser.execute_script("return Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
    assert width <= NARROW, browser.execute_script(
        "return [...document.querySelectorAll('article *')].filter(e => e.getBoundingClientRect().right > arguments[0])"
        ".slice(0, 5).map(e => e.outerHTML.slice(0, 200))",
        NARROW,
    )


def test_the_search_finds_a_layer(address, browser):
    from selenium.webdriver.support.ui import WebDriverWait

    assert shown(browser, f"{address}/search.html?q=LSTM", 1280) == []
    links = WebDriverWait(browser, 30).until(lambda b: b.find_elements("css selector", "#search-results li a"))
    WebDriverWait(browser, 30).until(
        lambda b: any(
            "lamella.layers.LSTM.html" in (a.get_attribute("href") or "")
            for a in b.find_elements("css selector", "#search-results li a")
        )
    )
    assert links


def test_every_page_is_at_most_three_links_from_home():
    far: dict[str, int] = {"index.html": 0}
    reached = ["index.html"]
    for distance in (1, 2, 3):
        following = []
        for page in reached:
            for link in Page((SITE / page).read_text(encoding="utf-8")).links:
                led = target(page, link)
                if led and led[0].endswith(".html") and led[0] not in far:
                    far[led[0]] = distance
                    following.append(led[0])
        reached = following
    must = set(pages_that_must_be())
    assert len(must) > 40
    assert sorted(must - far.keys()) == []


def test_the_list_of_pages_names_each_with_a_sentence():
    lines = (SITE / "llms.txt").read_text(encoding="utf-8").splitlines()[2:]
    named = {line.partition("](")[2].partition(")")[0] for line in lines}
    assert named >= set(pages_that_must_be())
    assert all(len(line.partition("): ")[2]) > 3 for line in lines)
