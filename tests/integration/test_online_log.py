"""The inference log of `python -m online_api`: what was answered is in it, and nobody waits."""

import itertools
import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.log_entries import read_log
from tests.support.online import ROOT, command, environment, open_server, problem
from tests.support.toy import make_bundle, records

OUTAGE_SECONDS = float(os.environ.get("TRILANE_TEST_OUTAGE_SECONDS", "10"))
CLIENTS = 4


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle."""
    return make_bundle(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@dataclass
class Load:
    """Clients that send one request after the other until they are told to end, or cannot."""

    url: str
    prefix: str
    pause_seconds: float = 0.0
    answered: dict[str, int] = field(default_factory=dict)
    """Request id -> records, of every request that was answered 200."""
    failed: list[str] = field(default_factory=list)
    """What came instead of 200."""
    cut: int = 0
    """Requests without an answer."""
    _ending: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def begin(self) -> None:
        """Start the clients."""
        for number in range(CLIENTS):
            thread = threading.Thread(target=self._send, args=(f"{self.prefix}-{number}",))
            self._threads.append(thread)
            thread.start()

    def end(self) -> None:
        """Let the requests under way be answered."""
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _send(self, name: str) -> None:
        rows = records(5, seed=len(name))
        with httpx.Client(base_url=self.url, timeout=30) as client:
            for number in itertools.count():
                if self._ending.wait(self.pause_seconds):
                    return
                request_id = f"{name}-{number}"
                body, headers = rows[: number % 5 + 1], {"x-request-id": request_id}
                try:
                    answer = client.post("/predict", json=body, headers=headers)
                except httpx.TransportError:
                    self.cut += 1
                    return
                if answer.status_code == 200:
                    self.answered[request_id] = len(body)
                else:
                    self.failed.append(f"{answer.status_code} {answer.text}")


@contextmanager
def loaded(url: str, prefix: str, pause_seconds: float = 0.0) -> Iterator[Load]:
    """A server under load; the clients have ended afterwards."""
    load = Load(url, prefix, pause_seconds)
    load.begin()
    try:
        yield load
    finally:
        load.end()


@contextmanager
def open_group(bundle: Path, directory: Path, **flags: object) -> Iterator[tuple[int, str]]:
    """A server that is ready, as a process group of its own: its id and the server's address."""
    with subprocess.Popen(
        command(bundle, directory, **flags),
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            assert process.stderr is not None
            lines = (json.loads(line) for line in process.stderr)
            url = next(line["url"] for line in lines if line.get("event") == "ready")
            rest = threading.Thread(target=process.stderr.read)
            rest.start()
            yield process.pid, url
        finally:
            os.killpg(process.pid, signal.SIGKILL)
        rest.join()


def entries_by_request(storage: Path) -> dict[str, int]:
    """Request id -> its entries in the log, each counted once."""
    table = read_log(storage).select(["entry_id", "request_id"]).to_pylist()
    found: dict[str, int] = {}
    for request_id in {row["entry_id"]: row["request_id"] for row in table}.values():
        found[request_id] = found.get(request_id, 0) + 1
    return found


def counted(url: str, outcome: str) -> float:
    """Inference log entries of an outcome, from /metrics, of all models and processes."""
    pattern = rf'^trilane_inference_log_entries_total{{.*outcome="{outcome}".*}} (\S+)$'
    found = re.findall(pattern, httpx.get(f"{url}/metrics").text, re.MULTILINE)
    return sum(map(float, found))


def until(condition: Any, seconds: float) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@contextmanager
def storage_out(storage: Path) -> Iterator[None]:
    """A storage that takes nothing: a file where its directory should be."""
    away = storage.with_name("storage-away")
    if storage.exists():
        storage.rename(away)
    storage.write_text("")
    try:
        yield
    finally:
        storage.unlink()
        if away.exists():
            away.rename(storage)


@pytest.mark.parametrize(("workers", "kills"), [(1, 10), (2, 3)])
def test_what_was_answered_survives_kills_under_load(
    bundle: Path, tmp_path: Path, workers: int, kills: int
) -> None:
    """SIGKILL of every process of the server, again and again, in the middle of requests and of
    uploads: each request that was answered has its entries in the log, each of them once.
    """
    chance = random.Random(0)
    answered: dict[str, int] = {}
    cut = 0
    flags: dict[str, object] = {"workers": workers, "upload_interval_seconds": 0.05}
    for kill in range(kills):
        with open_group(bundle, tmp_path, **flags) as (group, url):
            with loaded(url, f"k{kill}") as load:
                until(lambda load=load: len(load.answered) > 40, 30)
                time.sleep(chance.uniform(0, 0.2))
                os.killpg(group, signal.SIGKILL)
            assert load.failed == []
            answered |= load.answered
            cut += load.cut
    assert cut > kills, "the kills came between requests"
    with open_server(bundle, tmp_path, **flags) as server:
        assert server.stop() == 0
    assert list((tmp_path / "spool").iterdir()) == []
    found = entries_by_request(tmp_path / "storage")
    assert {request_id: found.get(request_id) for request_id in answered} == answered


def test_an_outage_of_the_storage_fails_and_loses_nothing(bundle: Path, tmp_path: Path) -> None:
    """While the storage refuses, every request is answered; afterwards every entry arrives, and
    the counters agree.
    """
    storage = tmp_path / "storage"
    with open_server(bundle, tmp_path, upload_interval_seconds=0.1) as server:
        with loaded(server.url, "o", pause_seconds=0.005) as load:
            until(lambda: counted(server.url, "written") > 0, 20)
            with storage_out(storage):
                before = counted(server.url, "written")
                time.sleep(OUTAGE_SECONDS)
                during = counted(server.url, "accepted")
                spooled = sum(path.stat().st_size for path in (tmp_path / "spool").iterdir())
        assert load.failed == []
        assert load.cut == 0
        sent = sum(load.answered.values())
        assert before < during, "the load went on"
        assert spooled > 0
        assert server.events("spool_upload_failed")
        until(lambda: counted(server.url, "written") == sent, OUTAGE_SECONDS + 70)
        assert counted(server.url, "accepted") == sent
        assert counted(server.url, "dropped") == 0
        assert server.stop() == 0
    assert entries_by_request(storage) == load.answered


def fill(client: httpx.Client, prefix: str) -> dict[str, httpx.Response]:
    """Two megabytes of entries."""
    rows = records(500)
    return {
        f"{prefix}-{number}": client.post(
            "/predict", json=rows, headers={"x-request-id": f"{prefix}-{number}"}
        )
        for number in range(40)
    }


def test_at_its_bound_the_spool_drops_and_requests_are_answered(
    bundle: Path, tmp_path: Path
) -> None:
    """The spool grows no further, what it does not take is counted, and the rest arrives."""
    flags: dict[str, object] = {"spool_max_bytes": 1024**2, "upload_interval_seconds": 0.1}
    with open_server(bundle, tmp_path, **flags) as server:
        with storage_out(tmp_path / "storage"):
            with httpx.Client(base_url=server.url, timeout=30) as client:
                answers = fill(client, "full")
            spooled = sum(path.stat().st_size for path in (tmp_path / "spool").iterdir())
        assert {answer.status_code for answer in answers.values()} == {200}
        assert spooled <= 1024**2
        accepted, dropped = counted(server.url, "accepted"), counted(server.url, "dropped")
        assert accepted + dropped == 500 * len(answers)
        assert min(accepted, dropped) > 0
        assert server.events("spool_dropping")
        until(lambda: counted(server.url, "written") == accepted, 60)
        assert server.stop() == 0
    found = entries_by_request(tmp_path / "storage")
    assert sum(found.values()) == accepted
    assert set(found.values()) == {500}, "a request's entries are dropped together"


def test_at_its_bound_the_server_refuses_when_told_to(bundle: Path, tmp_path: Path) -> None:
    """503 with Retry-After until there is room; what was answered is in the log, nothing else."""
    storage = tmp_path / "storage"
    flags: dict[str, object] = {
        "spool_max_bytes": 1024**2,
        "spool_full": "refuse",
        "upload_interval_seconds": 0.1,
    }
    with open_server(bundle, tmp_path, **flags) as server:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            with storage_out(storage):
                answers = fill(client, "full")
                refused = [a for a in answers.values() if a.status_code != 200]
                for answer in refused:
                    problem(answer, 503, "unavailable")
                    assert int(answer.headers["retry-after"]) > 0
                assert 0 < len(refused) < len(answers)
            until(lambda: client.post("/predict", json=records(1)).status_code == 200, 60)
        assert counted(server.url, "dropped") == 0
        assert server.stop() == 0
    found = entries_by_request(storage)
    taken = {name: 500 for name, answer in answers.items() if answer.status_code == 200}
    assert {name: count for name, count in found.items() if name.startswith("full")} == taken
