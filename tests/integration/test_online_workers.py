"""Several processes behind one port: together, one by one, and when one of them dies."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.log_entries import read_log
from tests.support.online import GOOD, ROOT, Server, command, environment, open_server
from tests.support.processes import children, runs, until
from tests.support.toy import make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle."""
    return make_bundle(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


def workers(server: Server) -> list[int]:
    """The processes that were ready, in the order in which they were."""
    return [line["pid"] for line in server.events("worker_ready")]


def predict(url: str, name: str) -> int:
    """One request on a connection of its own."""
    headers = {"x-request-id": name, "connection": "close"}
    return httpx.post(f"{url}/predict", json=[GOOD], headers=headers, timeout=30).status_code


def refused(server: Server) -> bool:
    """Whether a new connection is."""
    address = urllib.parse.urlsplit(server.url)
    try:
        socket.create_connection((address.hostname, address.port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def scored(url: str) -> float:
    """How many records the server says it scored, whichever worker answers."""
    text = httpx.get(f"{url}/metrics", headers={"connection": "close"}).text
    found = re.search(r'trilane_records_total{[^}]*outcome="scored"[^}]*} (\S+)', text)
    return float(found[1]) if found else 0.0


def logged(root: Path) -> list[str]:
    """The requests whose entries are in the log, each entry once."""
    table = read_log(root).select(["entry_id", "request_id"]).to_pylist()
    return sorted({row["entry_id"]: row["request_id"] for row in table}.values())


def test_workers_answer_as_one(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every number in the metrics is of all of them; one line says that they are ready;
    after the end everything is in the log and nothing is left behind.
    """
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    with open_server(bundle, tmp_path, workers=2, upload_interval_seconds=3600) as server:
        assert len(set(workers(server))) == 2
        [ready] = server.events("ready")
        assert (ready["workers"], ready["model"]) == (2, "toy")
        assert all(runs(pid) for pid in workers(server))
        names = [f"r{i}" for i in range(60)]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda name: predict(server.url, name), names)) == [200] * 60
        # Whichever of them answers.
        assert {scored(server.url) for _ in range(20)} == {60.0}
        running = children(server.process.pid)
        assert server.stop() == 0
        until(lambda: not any(runs(pid) for pid in running))
    assert list(scratch.glob("*trilane*")) == []
    assert logged(tmp_path / "storage") == sorted(names)
    assert list((tmp_path / "spool").glob("*.segment")) == []


def test_a_worker_that_is_killed_is_replaced(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a new one; who asks after that is answered. What was counted stays counted, what was
    measured of the dead one does not.
    """
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    with open_server(bundle, tmp_path, workers=2, upload_interval_seconds=3600) as server:
        names = [f"r{i}" for i in range(40)]
        assert [predict(server.url, name) for name in names[:20]] == [200] * 20
        killed = workers(server)[0]
        os.kill(killed, signal.SIGKILL)
        until(lambda: len(workers(server)) == 3)
        assert workers(server)[2] not in workers(server)[:2]
        assert list(scratch.glob(f"trilane-metrics-*/*live*_{workers(server)[1]}.db"))
        assert not list(scratch.glob(f"trilane-metrics-*/*live*_{killed}.db"))
        [line] = server.events("worker_ended")
        assert (line["pid"], line["exit_code"]) == (killed, -signal.SIGKILL)
        assert [predict(server.url, name) for name in names[20:]] == [200] * 20
        assert scored(server.url) == 40.0
        assert server.stop() == 0
    assert logged(tmp_path / "storage") == sorted(names)


def test_workers_that_cannot_start_end_the_server(tmp_path: Path) -> None:
    """Exit 1; the error is printed once, and nobody is restarted."""
    bundle = make_bundle(tmp_path / "bundle", reference=0)
    (bundle / "model.onnx").write_bytes(b"no model")
    done = subprocess.run(
        command(bundle, tmp_path, workers=3),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count(str(bundle / "model.onnx")) == 1
    assert "Traceback" not in done.stderr
    assert "worker_ended" not in done.stderr


def test_workers_end_when_their_supervisor_is_killed(bundle: Path, tmp_path: Path) -> None:
    """Nobody is left to tell them; a request in flight is answered first."""
    with open_server(bundle, tmp_path, workers=2, grace_seconds=30) as server:
        running = children(server.process.pid)
        assert set(workers(server)) <= set(running)
        statuses: list[int] = []

        def slow() -> None:
            def chunks() -> Any:
                yield b"["
                server.process.kill()
                server.process.wait()
                time.sleep(0.5)
                yield b'{"x": 1.5, "n": 3, "flag": true, "name": "senior"}]'

            headers = {"content-type": "application/json"}
            answer = httpx.post(f"{server.url}/predict", content=chunks(), headers=headers)
            statuses.append(answer.status_code)

        slow()
        assert statuses == [200]
        until(lambda: not any(runs(pid) for pid in running))


@pytest.mark.parametrize("count", [1, 2])
def test_readiness_goes_first(bundle: Path, tmp_path: Path, count: int) -> None:
    """After SIGTERM under load: /readyz says 503 while requests are answered still, each answer
    asks to go elsewhere, and none fails.
    """
    with open_server(
        bundle, tmp_path, workers=count, drain_seconds=3, upload_interval_seconds=3600
    ) as server:
        stopping, done = threading.Event(), threading.Event()
        names: list[str] = []
        late: list[str | None] = []
        failures: list[Exception | int] = []

        def load(thread: int) -> None:
            with httpx.Client(base_url=server.url, timeout=30) as client:
                for number in range(100_000):
                    if done.is_set():
                        return
                    name, after = f"r{thread}-{number}", stopping.is_set()
                    try:
                        answer = client.post(
                            "/predict", json=[GOOD], headers={"x-request-id": name}
                        )
                    except httpx.HTTPError as error:
                        failures.append(error)
                        return
                    if answer.status_code != 200:
                        failures.append(answer.status_code)
                    names.append(name)
                    if after:
                        late.append(answer.headers.get("connection"))

        threads = [threading.Thread(target=load, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(names) > 50)
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
        stopping.set()
        until(lambda: len(late) > 20)
        done.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert set(late) == {"close"}
        assert server.process.wait(60) == 0
    assert logged(tmp_path / "storage") == sorted(names)


def test_the_port_closes_while_requests_end(bundle: Path, tmp_path: Path) -> None:
    """Who connects then is refused and does not wait for a worker that listens no more."""
    with open_server(bundle, tmp_path, workers=2) as server:
        closed = threading.Event()

        def chunks() -> Iterator[bytes]:
            yield b"["
            server.process.send_signal(signal.SIGTERM)
            until(lambda: refused(server))
            closed.set()
            yield json.dumps(GOOD).encode() + b"]"

        headers = {"content-type": "application/json"}
        answer = httpx.post(f"{server.url}/predict", content=chunks(), headers=headers)
        assert answer.status_code == 200
        assert closed.is_set()
        assert server.process.wait(60) == 0


def test_a_second_signal_skips_the_drain_time(bundle: Path, tmp_path: Path) -> None:
    """And SIGINT does at once; the exit code is that of a drain."""
    for first in ([], [signal.SIGTERM]):
        with open_server(bundle, tmp_path, workers=2, drain_seconds=3600) as server:
            for number in first:
                server.process.send_signal(number)
                until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
            server.process.send_signal(signal.SIGTERM if first else signal.SIGINT)
            assert server.process.wait(60) == 0
