"""The documentation pages in a real browser without a network."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, expect

from online_api.access.key_file import hash_of
from tests.support.browser import Visit, is_drawn, open_browser, open_visit, picture
from tests.support.online import Server, open_server
from tests.support.openapi import operations
from tests.support.toy import EXAMPLE, expected_score, make_bundle

pytestmark = pytest.mark.chromium

KEY = "trilane_browser"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy model."""
    return make_bundle(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture(scope="module")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that answers everyone."""
    with open_server(bundle, tmp_path_factory.mktemp("open")) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture(scope="module")
def guarded(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that answers whoever has the key."""
    directory = tmp_path_factory.mktemp("guarded")
    keys = directory / "keys.json"
    entry = {"name": "browser", "sha256": hash_of(KEY.encode()).hex(), "roles": ["score"]}
    keys.write_text(json.dumps({"keys": [entry]}))
    with open_server(bundle, directory, api_keys_file=keys) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with open_browser() as opened:
        yield opened


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """A page at the server that answers everyone."""
    with open_visit(browser, server.url) as opened:
        yield opened


def opened_operation(visit: Visit, path: str) -> Locator:
    """A `POST` of Swagger UI, unfolded and ready to be tried."""
    found = visit.page.locator(".opblock-post").filter(
        has=visit.page.locator(f'.opblock-summary-path[data-path="{path}"]')
    )
    found.locator(".opblock-summary-control").click()
    found.get_by_role("button", name="Try it out").click()
    return found


def executed(operation: Locator) -> tuple[str, Any]:
    """Status and body of what the server answers to the example."""
    operation.get_by_role("button", name="Execute").click()
    live = operation.locator(".live-responses-table tbody")
    expect(live).to_be_visible()
    status = live.locator(".response-col_status").first.inner_text().split()[0]
    return status, json.loads(live.locator(".highlight-code code").first.inner_text())


def test_swagger_ui_shows_every_operation(visit: Visit, server: Server) -> None:
    """Each of the document, with its path, its method and what it is for."""
    visit.open("/")
    shown = visit.page.locator(".opblock")
    document = httpx.get(f"{server.url}/openapi.json").json()
    expected = list(operations(document))
    expect(shown).to_have_count(len(expected))
    for operation, block in zip(expected, shown.all(), strict=True):
        assert block.locator(".opblock-summary-method").inner_text() == operation.method.upper()
        path = block.locator(".opblock-summary-path").get_attribute("data-path")
        assert path == operation.path
        words = block.locator(".opblock-summary-description").inner_text()
        assert words == operation.body["summary"]
    assert is_drawn(picture(visit.page, "swagger-overview", full_page=True), 1200)


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_try_it_out_scores_the_example(visit: Visit, page: str) -> None:
    """The button sends the model's own example, and the page shows the prediction."""
    visit.open(page)
    operation = opened_operation(visit, "/predict")
    assert json.loads(operation.locator("textarea").input_value()) == [
        {"record_id": "record-1", **EXAMPLE}
    ]
    status, body = executed(operation)
    assert status == "200"
    (prediction,) = body["predictions"]
    assert prediction["record_id"] == "record-1"
    assert prediction["score"] == pytest.approx(expected_score(EXAMPLE))
    assert is_drawn(picture(operation, "swagger-try-it-out"), 1200)


@pytest.mark.parametrize(
    ("path", "member"),
    [
        ("/predict/toy", "predictions"),
        ("/invocations", "predictions"),
        ("/v2/models/toy/infer", "outputs"),
        ("/v2/models/toy/versions/7/infer", "outputs"),
    ],
)
def test_every_protocol_can_be_tried(visit: Visit, path: str, member: str) -> None:
    """The example that the page begins with is answered."""
    visit.open("/")
    status, body = executed(opened_operation(visit, path))
    assert status == "200"
    assert body[member]


def test_a_refused_record_is_shown_with_its_rule(visit: Visit) -> None:
    """What a person who tries the page with a mistake sees."""
    visit.open("/")
    operation = opened_operation(visit, "/predict")
    operation.locator("textarea").fill('[{"x": "many"}]')
    # The browser itself notes every answer of 400 and above.
    status, body = executed(operation)
    assert status == "422"
    assert {error["code"] for error in body["errors"]} == {"wrong_type", "missing_field"}
    assert [text for text in visit.complaints if "422" in text] == visit.complaints
    visit.complaints.clear()


def test_the_record_has_typed_fields(visit: Visit) -> None:
    """Unfolded, the schema shows each field with its type and its words."""
    visit.open("/")
    block = visit.page.locator("#operations-Scoring-predict")
    block.locator(".opblock-summary-control").click()
    body = block.locator(".opblock-section-request-body")
    body.get_by_role("tab", name="Schema").click()
    body.get_by_text("Expand all").first.click()
    for name, kind, words in [
        ("x", "number", "A number."),
        ("n", "integer", "A whole number of 64 bits"),
        ("flag", "boolean", "0 and 1 are neither"),
        ("name", "string", "Text, taken as it stands."),
    ]:
        title = body.locator(f'.json-schema-2020-12__title:text-is("{name}")').first
        field = title.locator("xpath=ancestor::li[1]")
        expect(field).to_contain_text(kind)
        expect(field).to_contain_text(words)
    assert is_drawn(picture(body, "swagger-schema"), 400)


def test_a_key_is_asked_for_and_used(browser: Browser, guarded: Server) -> None:
    """Without one the answer is 401; after Authorize the same button scores."""
    with open_visit(browser, guarded.url) as visit:
        visit.open("/")
        operation = opened_operation(visit, "/predict")
        status, body = executed(operation)
        assert (status, body["type"]) == ("401", "urn:trilane:problem:unauthorized")
        assert [text for text in visit.complaints if "401" in text] == visit.complaints
        visit.complaints.clear()
        visit.page.locator(".auth-wrapper .authorize").click()
        dialog = visit.page.locator(".modal-ux")
        assert is_drawn(picture(dialog, "swagger-authorize"), 300)
        form = dialog.locator(".auth-container").filter(has_text="X-API-Key")
        form.locator("input").fill(KEY)
        form.get_by_role("button", name="Apply credentials").click()
        dialog.get_by_role("button", name="Close").first.click()
        operation.get_by_role("button", name="Clear").click()
        status, body = executed(operation)
        assert status == "200"
        assert body["predictions"]


def test_redoc_shows_every_operation(visit: Visit, server: Server) -> None:
    """Each of the document, its fields, its examples; and its search, which runs in a worker."""
    visit.open("/redoc")
    document = httpx.get(f"{server.url}/openapi.json").json()
    shown = visit.page.locator('[data-section-id^="operation/"]')
    expected = list(operations(document))
    expect(shown).to_have_count(len(expected))
    for operation in expected:
        (section,) = visit.page.locator(
            f'[data-section-id="operation/{operation.body["operationId"]}"]'
        ).all()
        expect(section.locator("h2").first).to_have_text(operation.body["summary"])
    first = shown.first
    for words in ("A whole number of 64 bits", '"senior"', "Response samples"):
        expect(first).to_contain_text(words)
    visit.page.get_by_placeholder("Search...").fill("Prometheus")
    expect(visit.page.get_by_role("search")).to_contain_text("Prometheus metrics")
    visit.page.get_by_placeholder("Search...").fill("")
    assert is_drawn(picture(visit.page, "redoc"), 1000)
