"""The page of the AsyncAPI document in a real browser without a network."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, expect

from adapters.probes import ProbeServer
from stream_worker.asyncapi import asyncapi_pages
from tests.support.asyncapi import HUBS, example
from tests.support.browser import is_drawn, open_browser, open_visit, picture
from tests.support.reasons import explained
from tests.support.toy import load_toy

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The side port of a worker."""
    toy = load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)
    pages = asyncapi_pages(explained(toy), replace(HUBS, reasons=2))
    server = ProbeServer("127.0.0.1", 0, lambda: True, lambda: True, lambda: b"", pages)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


def test_the_page_is_found_and_drawn(browser: Browser, url: str) -> None:
    """From the list of the side port, with its own style, in light and in dark."""
    with open_visit(browser, url) as visit:
        visit.open("/")
        visit.page.get_by_role("link", name="/docs").click()
        expect(visit.page.locator("h1")).to_have_text("Stream scoring with toy")
        background = "getComputedStyle(document.body).backgroundColor"
        for scheme, colour in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(18, 22, 29)")):
            visit.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert visit.page.evaluate(background) == colour
            assert is_drawn(picture(visit.page, f"asyncapi-{scheme}", full_page=True), 3000)


def test_contents_lead_to_their_places(browser: Browser, url: str) -> None:
    """Each link of the contents, and the link from `data` to the record."""
    with open_visit(browser, url) as visit:
        visit.open("/docs")
        links = visit.page.locator("nav a")
        assert links.count() == 9
        for link in links.all():
            link.click()
            expect(visit.page.locator(str(link.get_attribute("href")))).to_be_in_viewport()
        visit.page.get_by_role("link", name="Record", exact=True).nth(1).click()
        expect(visit.page.locator("#schema-Record")).to_be_in_viewport()


def test_an_example_is_copied_with_one_click(browser: Browser, url: str) -> None:
    """All of it, and nothing else."""
    with open_visit(browser, url) as visit:
        visit.open("/docs")
        visit.page.locator("pre", has_text='"specversion"').first.click()
        copied = json.loads(visit.page.evaluate("getSelection().toString()"))
        visit.open("/asyncapi.json")
        document = json.loads(visit.page.locator("body").inner_text())
        assert copied == example(document, "Event")["payload"]


def test_a_narrow_window_needs_no_scrolling_to_the_side(browser: Browser, url: str) -> None:
    """As a phone shows it: neither the page nor a table is wider than the window."""
    with open_visit(browser, url) as visit:
        visit.page.set_viewport_size({"width": 390, "height": 800})
        visit.open("/docs")
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
        wide = "[...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth)"
        assert visit.page.evaluate(f"{wide}.length") == 0
        assert is_drawn(picture(visit.page, "asyncapi-narrow", full_page=True), 3000)
