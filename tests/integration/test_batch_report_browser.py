"""The report of a batch run in a real browser without a network."""

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from batch_scorer.distribution import Distribution
from batch_scorer.report import render
from batch_scorer.run_manifest import Counts, RunManifest
from tests.support.browser import is_drawn, open_browser, open_visit, picture
from tests.support.run_manifests import BINS, distribution, input_report, run_manifest

pytestmark = pytest.mark.chromium

_LONG = "country=DE/day=2026-11-23/" + "employees-of-a-large-department-" * 4


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Not to stderr."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Three reports: a usual night, a bad one, and the first one of all."""
    root = tmp_path_factory.mktemp("reports")
    before = _run("2026-11-22", 1, 2.0)
    _write(root / "usual", _run("2026-11-23", 2, 2.05), before)
    _write(root / "failed", _failed(), before)
    _write(root / "first", run_manifest(), None)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=root))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def _write(directory: Path, manifest: RunManifest, previous: RunManifest | None) -> None:
    directory.mkdir()
    location = f"abfs://batch@account.dfs.core.windows.net/nightly/run={manifest.run_id}"
    (directory / "report.html").write_bytes(render(manifest, previous, location))


def _run(run_id: str, seed: int, shape: float) -> RunManifest:
    outputs = distribution(seed, 100_000, shape)
    outputs["salary"] = Distribution(
        100_000, 4.9e9, 7653.0, 95_493.0, [40, 160, 2800, 47_000, 47_000, 2900, 100, 0]
    )
    return run_manifest(
        run_id,
        totals=Counts(100_250, 100_000, 250),
        rejections={"missing_field": 240, "wrong_type": 10},
        bins={**BINS, "salary": [15_000.0 * n for n in range(1, 8)]},
        distribution=outputs,
        inputs=[input_report(f"{_LONG}{n}.parquet", seconds=float(n)) for n in range(12)],
    )


def _failed() -> RunManifest:
    error = f"file:///srv/in/{_LONG}.parquet is not a readable Parquet file"
    inputs = [
        input_report(f"{_LONG}{n}.parquet", error=error if n < 3 else None, rejected=n)
        for n in range(200)
    ]
    return run_manifest(
        outcome="failed",
        failure=f"3 of 200 files could not be read: {_LONG}0.parquet, {_LONG}1.parquet",
        totals=Counts(20_000, 14_000, 6000),
        distribution=distribution(3, 14_000, 3.0),
        inputs=inputs,
    )


@pytest.mark.parametrize("name", ["usual", "failed", "first"])
def test_the_page_is_drawn(browser: Browser, url: str, name: str) -> None:
    """With its own style, in light and in dark, without a word from the browser."""
    with open_visit(browser, url) as visit:
        visit.open(f"/{name}/report.html")
        expect(visit.page.locator("h1")).to_have_text("Batch run 2026-11-23")
        background = "getComputedStyle(document.body).backgroundColor"
        for scheme, colour in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(18, 22, 29)")):
            visit.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert visit.page.evaluate(background) == colour
            assert is_drawn(picture(visit.page, f"report-{name}-{scheme}", full_page=True), 1500)
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 1280
        assert visit.asked == [f"{url}/{name}/report.html"]


@pytest.mark.parametrize("name", ["usual", "failed", "first"])
def test_a_narrow_window_needs_no_scrolling_to_the_side(
    browser: Browser, url: str, name: str
) -> None:
    """As a phone shows it, with the bins of every output opened."""
    with open_visit(browser, url) as visit:
        visit.page.set_viewport_size({"width": 360, "height": 800})
        visit.open(f"/{name}/report.html")
        for summary in visit.page.locator("summary").all():
            summary.click()
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 360
        assert is_drawn(picture(visit.page, f"report-{name}-narrow", full_page=True), 3000)


def test_bars_stand_as_high_as_their_share(browser: Browser, url: str) -> None:
    """The highest fills the drawing, and all stand on one ground."""
    with open_visit(browser, url) as visit:
        visit.open("/first/report.html")
        drawing = visit.page.locator(".chart svg").first
        box = drawing.bounding_box()
        bars = [bar.bounding_box() for bar in drawing.locator("rect").all()]
        assert box is not None
        drawn = [bar for bar in bars if bar is not None]
        assert len(drawn) == 20
        assert max(bar["height"] for bar in drawn) == pytest.approx(box["height"], abs=1)
        for bar in drawn:
            ground = box["y"] + box["height"]
            assert bar["y"] + bar["height"] == pytest.approx(ground, abs=1)


def test_it_can_be_printed(browser: Browser, url: str) -> None:
    """On paper it is not wider than the page, and what can be opened is left out."""
    with open_visit(browser, url) as visit:
        visit.page.set_viewport_size({"width": 680, "height": 960})  # A4 with margins
        visit.page.emulate_media(media="print")
        visit.open("/failed/report.html")
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 680
        assert not visit.page.locator("summary").first.is_visible()
        assert is_drawn(picture(visit.page, "report-print", full_page=True), 2000)
