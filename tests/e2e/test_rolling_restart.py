"""A rolling restart under load, as Kubernetes does it: no request fails, none is forgotten."""

import http.client
import itertools
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.log_entries import read_log
from tests.support.online import GOOD, JSON, Server, open_server
from tests.support.processes import until
from tests.support.toy import make_bundle

RESTARTS = 3
CALLERS = 4
POLL_SECONDS = 0.2
BODY = json.dumps([GOOD]).encode()


class Balancer:
    """Knows which servers are ready, as somebody does who asks now and then."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}
        self._ready: list[str] = []
        self._turns = itertools.count()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self._thread.start()

    def put(self, place: str, server: Server) -> None:
        """Replace the server of a place; it is used when it was seen to be ready."""
        self._servers[place] = server

    def ready(self) -> list[str]:
        """The URLs that were ready when they were asked last."""
        return self._ready

    def pick(self) -> str:
        """One of them, in turn."""
        ready = self._ready
        return ready[next(self._turns) % len(ready)]

    def close(self) -> None:
        """Stop asking."""
        self._closed.set()
        self._thread.join()

    def _poll(self) -> None:
        with httpx.Client(headers={"connection": "close"}, timeout=5) as client:
            while not self._closed.wait(POLL_SECONDS):
                servers = list(self._servers.values())
                self._ready = [s.url for s in servers if _is_ready(client, s.url)]


def _is_ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


class Callers:
    """Threads that send one request after the other, and never one twice."""

    def __init__(self, balancer: Balancer) -> None:
        self.answered: list[str] = []
        self.failures: list[str] = []
        self.announced = 0
        self._balancer = balancer
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(n,)) for n in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Wait for the requests under way and send no more."""
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _call(self, caller: int) -> None:
        connections: dict[str, http.client.HTTPConnection] = {}
        for number in itertools.count():
            if self._done.wait(0.002):
                break
            url, name = self._balancer.pick(), f"c{caller}-{number}"
            if url not in connections:
                connections[url] = _connection(url)
            try:
                # A connection that announced its end was closed after the answer; it opens anew.
                connections[url].request("POST", "/predict", BODY, {**JSON, "X-Request-ID": name})
                answer = connections[url].getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{name}: {type(error).__name__} {error}")
                connections.pop(url).close()
                continue
            self.announced += answer.getheader("Connection") == "close"
            if answer.status == 200:
                self.answered.append(name)
            else:
                self.failures.append(f"{name}: {answer.status}")
        for connection in connections.values():
            connection.close()


def _connection(url: str) -> http.client.HTTPConnection:
    address = urllib.parse.urlsplit(url)
    return http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)


@contextmanager
def closed_in_time(balancer: Balancer) -> Iterator[Callers]:
    """Callers and their balancer, ended whatever happens."""
    callers = Callers(balancer)
    try:
        yield callers
    finally:
        callers.close()
        balancer.close()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle."""
    return make_bundle(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


def test_a_rolling_restart_fails_no_request(bundle: Path, tmp_path: Path) -> None:
    """Two servers, one of them with two workers, restarted in turn while callers send on."""
    places = {"one": 1, "two": 2}

    def start(stack: ExitStack, place: str) -> Server:
        return stack.enter_context(
            open_server(
                bundle,
                tmp_path,
                workers=places[place],
                spool_dir=tmp_path / f"spool-{place}",
                drain_seconds=2,
                upload_interval_seconds=1,
            )
        )

    with ExitStack() as stack:
        balancer = Balancer()
        servers = {place: start(stack, place) for place in places}
        for place, server in servers.items():
            balancer.put(place, server)
        until(lambda: len(balancer.ready()) == 2)
        with closed_in_time(balancer) as callers:
            for _ in range(RESTARTS):
                for place in places:
                    before = len(callers.answered)
                    assert servers[place].stop() == 0
                    servers[place] = start(stack, place)
                    balancer.put(place, servers[place])
                    until(lambda: len(balancer.ready()) == 2)
                    assert len(callers.answered) > before, "nobody called meanwhile"
            time.sleep(0.5)
        assert callers.failures == []
        assert callers.announced > 0
        for server in servers.values():
            assert server.stop() == 0
    table = read_log(tmp_path / "storage").select(["entry_id", "request_id"]).to_pylist()
    logged = {row["entry_id"]: row["request_id"] for row in table}
    assert sorted(logged.values()) == sorted(callers.answered)
