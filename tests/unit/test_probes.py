"""The side port of the workers."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from adapters.probes import HTML, JSON, ProbeServer
from scoring.errors import ConfigurationError

PAGES = {"/model": (JSON, b'{"name":"toy"}'), "/docs": (HTML, b"<p>words</p>")}


@pytest.fixture
def server() -> Iterator[ProbeServer]:
    """One that is ready and alive, with two pages."""
    server = ProbeServer("127.0.0.1", 0, lambda: True, lambda: True, lambda: b"", PAGES)
    server.start()
    yield server
    server.stop()


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def headers(port: int, path: str) -> http.client.HTTPMessage:
    """Headers of an answer of 200."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        found: http.client.HTTPMessage = answer.headers
        return found


def test_probes_follow_what_they_ask() -> None:
    """200 while the check holds, else 503; metrics as they are; stopping twice is safe."""
    state = {"ready": False, "alive": True}
    server = ProbeServer(
        "127.0.0.1",
        0,
        lambda: state["ready"],
        lambda: state["alive"],
        lambda: b"a_metric 1\n",
        {},
    )
    server.start()
    try:
        assert get(server.port, "/readyz") == (503, b"not now\n")
        state.update(ready=True, alive=False)
        assert get(server.port, "/readyz?verbose") == (200, b"ok\n")
        assert get(server.port, "/livez") == (503, b"not now\n")
        assert get(server.port, "/metrics") == (200, b"a_metric 1\n")
        assert get(server.port, "/model")[0] == 404
    finally:
        server.stop()
        server.stop()


def test_pages_are_shown_as_they_are(server: ProbeServer) -> None:
    """Under their paths, with their content types; anything else is 404."""
    for path, (kind, body) in PAGES.items():
        assert get(server.port, path) == (200, body)
        assert headers(server.port, path)["Content-Type"] == kind
    for path in ("/doc", "/docs/", "/assets/docs"):
        assert get(server.port, path) == (404, b"not found\n")


def test_the_root_lists_what_there_is(server: ProbeServer) -> None:
    """With links that are relative to it."""
    status, body = get(server.port, "/")
    assert status == 200
    assert headers(server.port, "/")["Content-Type"] == HTML
    for path in ("/model", "/docs", "/livez", "/readyz", "/metrics"):
        assert f'<a href="{path[1:]}">{path}</a>' in body.decode()


def test_a_page_may_do_nothing_but_style_itself(server: ProbeServer) -> None:
    """The browser is told so, with every answer."""
    for path in ("/", "/docs", "/model", "/metrics", "/livez"):
        found = headers(server.port, path)
        policy = found["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "script-src" not in policy
        assert "http" not in policy
        assert "frame-ancestors 'none'" in policy
        assert found["X-Content-Type-Options"] == "nosniff"
        assert found["Referrer-Policy"] == "no-referrer"


def test_a_port_that_is_taken_is_named(server: ProbeServer) -> None:
    """The error says which address, and is terminal."""
    second = ProbeServer("127.0.0.1", server.port, lambda: True, lambda: True, lambda: b"", {})
    with pytest.raises(ConfigurationError, match=f"127.0.0.1:{server.port}"):
        second.start()
