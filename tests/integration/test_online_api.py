"""`python -m online_api` as a real process: answers, signals, kills, and what the log holds."""

import http.client
import json
import signal
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.log_entries import read_log
from tests.support.online import (
    GOOD,
    JSON,
    ROOT,
    SECRET,
    Server,
    command,
    environment,
    open_server,
    problem,
)
from tests.support.toy import make_bundle, records


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle."""
    return make_bundle(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture(scope="module")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that only ask."""
    with open_server(bundle, tmp_path_factory.mktemp("server")) as opened:
        yield opened


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of that server."""
    with httpx.Client(base_url=server.url) as opened:
        yield opened


def logged_requests(root: Path) -> dict[str, list[str]]:
    """Request id -> outcomes of its entries, each entry once."""
    found: dict[str, list[str]] = {}
    table = read_log(root).select(["entry_id", "request_id", "outcome"]).to_pylist()
    for row in {row["entry_id"]: row for row in table}.values():
        found.setdefault(row["request_id"], []).append(row["outcome"])
    return found


def test_a_batch_scores_like_its_records_one_by_one(client: httpx.Client) -> None:
    """A hundred at once and a hundred times one give the same bytes."""
    rows = [{**row, "record_id": i} for i, row in enumerate(records(100))]
    together = client.post("/predict", json=rows).json()["predictions"]
    alone = [client.post("/predict", json=[row]).json()["predictions"][0] for row in rows]
    assert len(together) == 100
    assert json.dumps(together) == json.dumps(alone)


@pytest.mark.parametrize(
    ("record", "field", "code"),
    [
        ({k: v for k, v in GOOD.items() if k != "n"}, "records[1].n", "missing_field"),
        ({**GOOD, "x": SECRET}, "records[1].x", "wrong_type"),
        ({**GOOD, "flag": 1}, "records[1].flag", "wrong_type"),
        ({**GOOD, "n": None}, "records[1].n", "null_value"),
        ({**GOOD, "n": 2**63}, "records[1].n", "out_of_range"),
        ({**GOOD, "salary": SECRET}, "records[1].salary", "unknown_field"),
        (SECRET, "records[1]", "malformed"),
        ({**GOOD, "record_id": ""}, "records[1].record_id", "invalid_record_id"),
    ],
)
def test_an_invalid_record_is_refused(
    client: httpx.Client, record: Any, field: str, code: str
) -> None:
    """422 with place and code, and never the value."""
    answer = client.post("/predict", json=[GOOD, record])
    [error] = problem(answer, 422, "invalid-records")["errors"]
    assert (error["field"], error["code"]) == (field, code)
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"[]", JSON, 422, "no-records"),
        (b'[{"x": 1,', JSON, 400, "malformed-request"),
        (b'[{"x": NaN, "n": 3, "flag": true, "name": "a"}]', JSON, 422, "invalid-records"),
        (b'"text"', JSON, 400, "malformed-request"),
        (b"[{}]", {"content-type": "text/csv"}, 415, "unsupported-media-type"),
        (b" " * 10_000_000, JSON, 413, "body-too-large"),
        (b"[" + b"0," * 10_000 + b"0]", JSON, 413, "too-many-records"),
    ],
)
def test_a_bad_request_is_refused(
    client: httpx.Client, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    """Each with its documented answer; the connection can be used again."""
    problem(client.post("/predict", content=content, headers=headers), status, code)
    assert client.post("/predict", json=[GOOD]).status_code == 200


def test_a_long_body_without_length_is_refused(client: httpx.Client) -> None:
    """Chunks are counted while they come."""
    chunks = (b" " * 100_000 for _ in range(100))
    answer = client.post("/predict", content=chunks, headers=JSON)
    problem(answer, 413, "body-too-large")


def test_a_caller_that_sends_everything_first_gets_the_answer(server: Server) -> None:
    """Many clients read nothing before the whole body is out; they see 413 and no reset."""
    address = urllib.parse.urlsplit(server.url)
    for _ in range(3):
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        # The server closes after its answer, with what it has not read still under way.
        headers = {**JSON, "connection": "close"}
        connection.request("POST", "/predict", b" " * 10_000_000, headers)
        assert connection.getresponse().status == 413
        connection.close()


def test_other_routes_answer(client: httpx.Client) -> None:
    """Probes, metrics, model, page and document are there; other paths are problems."""
    for path in ("/livez", "/readyz", "/metrics", "/model", "/", "/openapi.json"):
        assert client.get(path).status_code == 200
    problem(client.get("/nowhere"), 404, "not-found")
    problem(client.get("/predict"), 405, "method-not-allowed")


def test_the_ready_line_names_the_model(server: Server, client: httpx.Client) -> None:
    """With all that identifies it, as /model says it."""
    [line], document = server.events("ready"), client.get("/model").json()
    names = ("version", "alias", "digest", "source_digest")
    assert [line[name] for name in names] == [document[name] for name in names]
    assert (line["model"], line["backend"]) == ("toy", document["backend"]["kind"])


def test_a_request_is_one_log_line(server: Server, client: httpx.Client) -> None:
    """With its id, sizes and time, and nothing of what it said; probes are not logged."""
    client.get("/readyz", headers={"x-request-id": "probe-line"})
    body = [GOOD, {**GOOD, "name": 5, "x": SECRET}]
    client.post(f"/predict?token={SECRET}", json=body, headers={"x-request-id": "one-line"})
    client.get(f"/{SECRET}", headers={"x-request-id": "lost-line"})
    deadline = time.monotonic() + 10
    while not any(line.get("request_id") == "lost-line" for line in server.lines):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    lines = [line for line in server.lines if line.get("request_id") == "one-line"]
    assert [line["event"] for line in lines] == ["request", "InputData", "OutputData"]
    line = lines[0]
    told = {k: line[k] for k in ("event", "route", "status", "records", "rejected", "level")}
    assert told == {
        "event": "request",
        "route": "/predict",
        "status": 422,
        "records": 2,
        "rejected": 2,
        "level": "INFO",
    }
    assert line["duration_ms"] > 0
    assert not any(line.get("request_id") == "probe-line" for line in server.lines)
    assert SECRET not in json.dumps(server.lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_0(bundle: Path, tmp_path: Path, number: int) -> None:
    """After the signal everything that was answered is in the log, and the spool is empty."""
    with open_server(bundle, tmp_path, upload_interval_seconds=3600) as server:
        with httpx.Client(base_url=server.url) as client:
            for i in range(20):
                rows = records(i + 1, seed=i)
                if i % 5 == 0:
                    rows[0]["n"] = None
                client.post("/predict", json=rows, headers={"x-request-id": f"r{i}"})
        assert server.stop(number) == 0
        server.process.wait()
    found = logged_requests(tmp_path / "storage")
    assert {name: len(outcomes) for name, outcomes in found.items()} == {
        f"r{i}": i + 1 for i in range(20)
    }
    assert set(found["r5"]) == {"rejected"}
    assert set(found["r6"]) == {"scored"}
    assert list((tmp_path / "spool").iterdir()) == []
    assert len(list((tmp_path / "storage").rglob("*.parquet"))) <= 2, "one file per hour"


def test_a_request_in_flight_is_answered_while_draining(bundle: Path, tmp_path: Path) -> None:
    """A body that is still coming when the signal comes is read, scored, logged and answered."""
    with open_server(bundle, tmp_path, upload_interval_seconds=3600) as server:
        stopped: list[float] = []

        def chunks() -> Iterator[bytes]:
            yield b"["
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            stopped.append(time.monotonic())
            time.sleep(0.5)
            yield json.dumps(GOOD).encode() + b"]"

        headers = {**JSON, "x-request-id": "late"}
        answer = httpx.post(f"{server.url}/predict", content=chunks(), headers=headers)
        assert answer.status_code == 200
        assert stopped
        assert server.process.wait(20) == 0
    assert logged_requests(tmp_path / "storage") == {"late": ["scored"]}


def test_what_was_answered_survives_a_kill(bundle: Path, tmp_path: Path) -> None:
    """SIGKILL, then a new process: every answered request's entries reach the log."""
    answered: list[str] = []
    with open_server(bundle, tmp_path, upload_interval_seconds=3600) as server:
        with httpx.Client(base_url=server.url) as client:
            for i in range(30):
                headers = {"x-request-id": f"r{i}"}
                assert client.post("/predict", json=[GOOD], headers=headers).status_code == 200
                answered.append(f"r{i}")
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    assert not (tmp_path / "storage").exists()
    with open_server(bundle, tmp_path, upload_interval_seconds=3600) as server:
        assert server.stop() == 0
    assert logged_requests(tmp_path / "storage") == {name: ["scored"] for name in answered}


def test_entries_are_uploaded_while_it_runs(bundle: Path, tmp_path: Path) -> None:
    """The counters tell accepted from written, and in the end they are equal."""

    def counted(client: httpx.Client, sample: str) -> bool:
        return sample in client.get("/metrics").text

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    with open_server(bundle, tmp_path, upload_interval_seconds=0.1) as server:
        with httpx.Client(base_url=server.url) as client:
            client.post("/predict", json=records(7))
            labels = 'lane="online",model="toy",outcome="{}",version="7"'
            for outcome in ("accepted", "written"):
                wanted = f"entries_total{{{labels.format(outcome)}}} 7.0"
                until(partial(counted, client, wanted))
        assert server.process.poll() is None
    assert len(read_log(tmp_path / "storage")) == 7


def run_to_end(bundle: Path, directory: Path, **flags: object) -> subprocess.CompletedProcess[str]:
    """A server that is expected not to start."""
    return subprocess.run(
        command(bundle, directory, **flags),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "outlier.onnx"])
def test_a_flipped_byte_refuses_the_start(tmp_path: Path, name: str) -> None:
    """Exit 1, and the error names the file."""
    file = make_bundle(tmp_path / "bundle", reference=0) / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    done = run_to_end(tmp_path / "bundle", tmp_path)
    assert done.returncode == 1
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr
    assert "ready" not in done.stderr


def test_a_port_that_is_taken_refuses_the_start(
    server: Server, bundle: Path, tmp_path: Path
) -> None:
    """Exit 1 with the address."""
    port = server.url.rpartition(":")[2]
    done = run_to_end(bundle, tmp_path, port=port)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_usage_exits_2(bundle: Path, tmp_path: Path) -> None:
    """A setting that breaks its rule is named, flag and variable."""
    done = run_to_end(bundle, tmp_path, max_records=0)
    assert done.returncode == 2
    assert "--max-records (TRILANE_MAX_RECORDS)" in done.stderr


def test_a_storage_of_no_known_kind_refuses_the_start(bundle: Path, tmp_path: Path) -> None:
    """Exit 1 at the start, not at the first upload."""
    done = run_to_end(bundle, tmp_path, storage_url="ftp://host/x")
    assert done.returncode == 1
    assert "storage URL" in done.stderr


def test_it_listens_on_ipv6(bundle: Path, tmp_path: Path) -> None:
    """A host with colons is an IPv6 address."""
    with open_server(bundle, tmp_path, host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        assert server.events("no_authentication") == []
