"""A real browser that can reach one host, and pictures of what it shows."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, Route, sync_playwright

SCREENSHOTS = Path(__file__).parents[2] / "var" / "screenshots"


class Visit:
    """A page in a browser without a network: what it asked for, and what it complained of."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self._base = base
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, path: str) -> None:
        """Go to a path of the server."""
        self.page.goto(self._base + path)

    def foreign(self) -> list[str]:
        """What was asked of anyone but the server."""
        ours = (f"{self._base}/", f"blob:{self._base}/", "data:")
        return [url for url in self.asked if not url.startswith(ours)]

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Chromium as the system has it; it resolves no name."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path is not None, "Chromium is not installed"
    rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", rules])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_visit(browser: Browser, base: str) -> Iterator[Visit]:
    """A page that gets nothing but what `base` serves; what the browser complains of fails."""
    with browser.new_context(viewport={"width": 1280, "height": 1000}) as context:
        context.set_default_timeout(20_000)
        context.route("**/*", lambda route: _pass(route, base))
        visit = Visit(context.new_page(), base)
        yield visit
        assert visit.complaints == []
        assert visit.foreign() == []


def _pass(route: Route, base: str) -> None:
    if route.request.url.startswith(f"{base}/"):
        route.continue_()
    else:
        route.abort()


def picture(source: Any, name: str, **options: Any) -> Image.Image:
    """A screenshot of a page or a part of it, kept under `var/screenshots`."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    source.screenshot(path=path, animations="disabled", **options)
    return Image.open(path).convert("RGB")


def is_drawn(image: Image.Image, height: int) -> bool:
    """Whether it is that high, has many colours, and is not nearly all of one."""
    colours = image.getcolors(image.width * image.height) or []
    largest = max(count for count, _ in colours)
    return (
        image.height >= height
        and len(colours) >= 50
        and largest <= 0.97 * image.width * image.height
    )
