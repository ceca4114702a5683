"""The pages that show the document, and the files they load."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.online import open_api, problem
from tests.support.toy import load_toy

PAGES = ("/", "/docs", "/redoc")


@pytest.fixture
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """Of the API over the toy model."""
    model = load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)
    async with open_api(model) as api:
        yield api.client


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_needs_no_other_host(client: httpx.AsyncClient, path: str) -> None:
    """Everything it loads comes from this server, and the browser is told to load nothing else."""
    page = await client.get(path)
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; ")
    assert "http" not in policy
    assert "script-src" not in policy  # not weaker than default-src
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded.pop(0) == "data:,"
    assert "//" not in page.text.replace("<!DOCTYPE html>", "")
    kinds = [(await client.get(f"/{name}")).headers["content-type"] for name in loaded]
    expected = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
    assert kinds == [expected[name.rpartition(".")[2]] for name in loaded]


@pytest.mark.parametrize("name", ["start-swagger.js", "start-redoc.js", "page.css"])
async def test_our_own_files_name_no_host(client: httpx.AsyncClient, name: str) -> None:
    """The document is the one beside the page, and no public validator is asked."""
    text = (await client.get(f"/assets/{name}")).text
    assert "//" not in text
    if name == "start-swagger.js":
        assert "validatorUrl: null" in text
    if name.endswith(".js"):
        assert '"openapi.json"' in text


async def test_redoc_loads_no_logo(client: httpx.AsyncClient) -> None:
    """The image of its makers' host is taken out; a link to them stays."""
    text = (await client.get("/assets/redoc.standalone.js")).text
    assert "cdn.redoc.ly" not in text
    assert len(text) > 1_000_000


async def test_a_browser_keeps_the_files(client: httpx.AsyncClient) -> None:
    """For a while without asking, and after that with an answer that holds nothing."""
    for name in ("swagger-ui-bundle.js", "redoc.standalone.js", "swagger-ui.css"):
        first = await client.get(f"/assets/{name}")
        assert "max-age" in first.headers["cache-control"]
        told = {"if-none-match": first.headers["etag"]}
        again = await client.get(f"/assets/{name}", headers=told)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        other = await client.get(f"/assets/{name}", headers={"if-none-match": '"other"'})
        assert other.content == first.content


async def test_the_document_is_asked_for_every_time(client: httpx.AsyncClient) -> None:
    """Another model may have another one."""
    for path in ("/openapi.json", *PAGES):
        assert (await client.get(path)).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/docs/", "/assets/", "/assets/favicon.png", "/assets/../app.py"])
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    """Only the files that the pages load, by name."""
    problem(await client.get(path), 404, "not-found")
