"""Slow, silent, many and malformed connections against a real process: others are answered."""

import contextlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.connections import Peer, get, post
from tests.support.online import GOOD, JSON, Server, open_server, problem
from tests.support.processes import accepted, until
from tests.support.toy import make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle."""
    return make_bundle(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture(scope="module")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with little patience."""
    flags = {"header_seconds": 1, "body_seconds": 1, "idle_seconds": 3}
    with open_server(bundle, tmp_path_factory.mktemp("server"), **flags) as opened:
        yield opened


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of that server."""
    with httpx.Client(base_url=server.url) as opened:
        yield opened


def connect(server: Server, receive_bytes: int | None = None) -> Peer:
    """A raw connection."""
    address = urllib.parse.urlsplit(server.url)
    return Peer((str(address.hostname), address.port or 0), receive_bytes)


def shed(client: httpx.Client, reason: str) -> int:
    """How many connections or requests were refused for it."""
    text = client.get("/metrics").text
    found = re.search(rf'trilane_http_shed_total{{reason="{reason}"}} (\d+)', text)
    return int(found[1]) if found else 0


def test_headers_one_byte_at_a_time(server: Server, client: httpx.Client) -> None:
    """Are cut off with 408; a request beside them is answered."""
    before = shed(client, "slow_headers")
    peer, stop = connect(server), threading.Event()

    def trickle() -> None:
        peer.send(b"GET /livez HTTP/1.1\r\nX-Slow: ")
        while not stop.wait(0.1):
            peer.send(b"a")

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        assert client.post("/predict", json=[GOOD]).status_code == 200
        answer = peer.answer()
    finally:
        stop.set()
        thread.join()
        peer.close()
    assert answer.status == 408
    assert answer.problem()["type"] == "urn:trilane:problem:request-timeout"
    assert shed(client, "slow_headers") == before + 1


def test_half_a_body(server: Server, client: httpx.Client) -> None:
    """Is given up with 408."""
    peer = connect(server)
    peer.send(post("/predict", json.dumps([GOOD]).encode(), "Content-Type: application/json")[:-5])
    assert client.post("/predict", json=[GOOD]).status_code == 200
    answer = peer.answer()
    assert answer.status == 408
    assert answer.problem()["type"] == "urn:trilane:problem:request-timeout"
    assert peer.ends()
    peer.close()


def test_five_hundred_half_open_connections(server: Server, client: httpx.Client) -> None:
    """They take nobody's turn, and all are gone a moment later."""
    peers = [connect(server) for _ in range(500)]
    for number, peer in enumerate(peers):
        if number % 2:
            peer.send(b"POST /predict HTTP/1.1\r\nContent-Le")
    for _ in range(50):
        assert client.post("/predict", json=[GOOD]).status_code == 200
    with httpx.Client(base_url=server.url) as other:
        assert other.get("/readyz").status_code == 200
    for number, peer in enumerate(peers):
        if number % 2:
            assert peer.answer().status == 408
        assert peer.ends()
        peer.close()


def test_clients_that_never_read(server: Server, client: httpx.Client) -> None:
    """More of them than requests may be worked on at a time; they are cut off, by the server or by
    its kernel.
    """
    body = json.dumps([GOOD] * 1_000).encode()
    with contextlib.ExitStack() as stack:
        for _ in range(70):
            peer = connect(server, receive_bytes=4096)
            stack.callback(peer.close)
            peer.send(post("/predict", body, "Content-Type: application/json"))
            assert client.post("/predict", json=[GOOD]).status_code == 200
        port = urllib.parse.urlsplit(server.url).port or 0
        until(lambda: accepted(port) <= 1)


def test_no_http_and_too_much_of_it(server: Server, client: httpx.Client) -> None:
    """Problem documents, with ids; the next connection is answered."""
    for head, status, code in (
        (b"hello there\r\n\r\n", 400, "malformed-request"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000, 431, "headers-too-large"),
    ):
        peer = connect(server)
        peer.send(head)
        answer = peer.answer()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert answer.problem()["type"] == f"urn:trilane:problem:{code}"
        assert peer.ends()
        peer.close()
        assert client.post("/predict", json=[GOOD]).status_code == 200


def test_more_connections_than_are_allowed(bundle: Path, tmp_path: Path) -> None:
    """503 at once for those beyond; as soon as others are idle for too long there is room."""
    flags = {"max_connections": 20, "idle_seconds": 2}
    with open_server(bundle, tmp_path, **flags) as server:
        peers = [connect(server) for _ in range(20)]
        for peer in peers:
            peer.send(get("/livez"))
            assert peer.answer().status == 200
        document = problem(httpx.get(f"{server.url}/livez"), 503, "overloaded")
        assert "connections" in document["detail"]
        for peer in peers:
            assert peer.ends()
            peer.close()
        answer = httpx.post(f"{server.url}/predict", json=[GOOD], headers=JSON)
        assert answer.status_code == 200
        with httpx.Client(base_url=server.url) as client:
            assert shed(client, "connections") == 1


def test_more_requests_than_may_be_worked_on(bundle: Path, tmp_path: Path) -> None:
    """Those beyond are refused with 503 and Retry-After, counted, and their connections live on."""
    body = json.dumps([GOOD]).encode()
    with open_server(bundle, tmp_path, max_in_flight=1) as server:
        peers = [connect(server) for _ in range(40)]
        found: list[int] = []
        for _ in range(50):  # until some of them arrive together
            for peer in peers:
                peer.send(post("/predict", body))
            answers = [peer.answer() for peer in peers]
            found = [answer.status for answer in answers]
            if 503 in found:
                break
        refused = [answer for answer in answers if answer.status == 503]
        assert {*found} == {200, 503}
        for answer in refused:
            assert answer.problem()["type"] == "urn:trilane:problem:overloaded"
            assert answer.headers["retry-after"] == "1"
        with httpx.Client(base_url=server.url) as client:
            assert shed(client, "in_flight") >= len(refused)
        for peer in peers:
            peer.send(get("/livez"))
            assert peer.answer().status == 200
            peer.close()
