"""The stream worker as a process, against a real Kafka-protocol broker."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from adapters.event_hub.messages import Headers
from local_stack.broker import free_port, run_broker
from scoring.identifiers import derived_id
from scoring.manifest import read_manifest
from tests.support.broker import SOURCE, HubReader, event, produce
from tests.support.toy import EXAMPLE, expected_score, make_bundle, records

HUBS = ("events", "scores", "dead")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle."""
    return make_bundle(tmp_path_factory.mktemp("bundle"), reference=0)


@pytest.fixture
def broker() -> Iterator[str]:
    """A broker of its own for each test, with four partitions per hub."""
    with run_broker(HUBS, 4) as address:
        yield address


class WorkerProcess:
    """`python -m stream_worker` with its log and its probe port."""

    def __init__(self, address: str, bundle: Path, directory: Path, **settings: str) -> None:
        self.storage = directory / "storage"
        self.log = directory / "worker.log"
        self.port = free_port()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TRILANE_")} | {
            "TRILANE_BUNDLE": str(bundle),
            "TRILANE_BOOTSTRAP_SERVERS": address,
            "TRILANE_STORAGE_URL": self.storage.as_uri(),
            "TRILANE_EVENTS_HUB": "events",
            "TRILANE_SCORES_HUB": "scores",
            "TRILANE_DEAD_LETTERS_HUB": "dead",
            "TRILANE_SESSION_TIMEOUT_SECONDS": "2",
            "TRILANE_PROBE_PORT": str(self.port),
            "PYTHONPATH": str(ROOT),
            **settings,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stream_worker"],
                env=environment, cwd=directory, stderr=log, stdout=log,
            )  # fmt: skip

    def probe(self, path: str) -> tuple[int, str]:
        """Status and body of a probe; status 0 while nothing listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return 0, ""

    def metric(self, name: str, outcome: str | None = None) -> float:
        """A sample of /metrics, zero where there is none."""
        wanted = f'outcome="{outcome}"' if outcome else ""
        for line in self.probe("/metrics")[1].splitlines():
            if line.startswith(name + "{") and wanted in line:
                return float(line.rpartition(" ")[2])
        return 0.0

    async def wait_until_ready(self) -> None:
        """Wait for the first assignment."""
        await self.wait_until(lambda: self.probe("/readyz")[0] == 200)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; fails the test when the process ends first, or after 20 s."""

        def wait() -> None:
            deadline = time.monotonic() + 20
            while not condition():
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.01)

        await asyncio.to_thread(wait)

    async def exit_code(self, by: signal.Signals | None = None) -> int:
        """The exit code, after a signal if any."""
        if by is not None:
            self.process.send_signal(by)
        return await asyncio.to_thread(self.process.wait, 20)

    def entries(self) -> list[dict[str, Any]]:
        """The inference log."""
        root = self.storage / "inference-log"
        rows: list[dict[str, Any]] = ds.dataset(root, partitioning="hive").to_table().to_pylist()
        return rows


@pytest.fixture
def start(broker: str, bundle: Path, tmp_path: Path) -> Iterator[Any]:
    """Starts workers on this test's broker; ends those that are left."""
    workers: list[WorkerProcess] = []

    def make(**settings: str) -> WorkerProcess:
        workers.append(WorkerProcess(broker, bundle, tmp_path, **settings))
        return workers[-1]

    yield make
    for worker in workers:
        worker.process.kill()
        worker.process.wait()


async def test_every_event_is_scored_logged_and_in_order(broker: str, start: Any) -> None:
    """2,000 events on four partitions: as many scores and log entries, order kept by key, probes
    and metrics tell so, and SIGTERM ends the worker with 0.
    """
    rows = records(2000)
    values = [(f"k{i % 50}", event(f"e{i}", row, f"k{i % 50}"), ()) for i, row in enumerate(rows)]
    worker = start()
    await produce(broker, "events", values[:1000])
    await worker.wait_until_ready()
    await produce(broker, "events", values[1000:])
    reader = HubReader(broker, "scores", "dead")
    await reader.read(2000)

    scores = reader.events["scores"]
    assert (len(scores), len(reader.events["dead"])) == (2000, 0)
    for key in ("k0", "k17"):
        order = [int(e["data"]["causationid"][1:]) for e in scores if e["subject"] == key]
        assert order == list(range(int(key[1:]), 2000, 50))
    found = {e["data"]["causationid"]: e["data"]["score"] for e in scores}
    assert found == {f"e{i}": pytest.approx(expected_score(row)) for i, row in enumerate(rows)}
    assert [k.decode() for k in reader.keys["scores"] if k] == [e["subject"] for e in scores]

    # The counters follow the commit, which follows the scores.
    await worker.wait_until(lambda: worker.metric("trilane_records_total", "scored") == 2000)
    assert worker.metric("trilane_inference_log_entries_total", "written") == 2000
    assert worker.metric("trilane_consumer_lag_records") == 0
    assert worker.probe("/livez")[0] == 200
    assert await worker.exit_code(signal.SIGTERM) == 0
    log = worker.entries()
    assert {e["record_id"]: e["outcome"] for e in log} == {f"k{i}": "scored" for i in range(50)}
    assert len({e["entry_id"] for e in log}) == len(log) == 2000
    assert {str(e["event_time"]) for e in log} == {"2026-03-02 11:30:00+00:00"}


def without(field: str) -> dict[str, Any]:
    """The example without one field."""
    return {name: value for name, value in EXAMPLE.items() if name != field}


BINARY: Headers = (
    ("ce_specversion", b"1.0"), ("ce_id", b"binary"), ("ce_source", SOURCE.encode()),
    ("ce_type", b"t"), ("ce_subject", b"binary"), ("ce_time", b"2026-03-02T11:30:00Z"),
    ("garbage", b"\xff\x00\xfe"),
)  # fmt: skip
POISON: dict[str, tuple[bytes | None, Headers, str]] = {
    "missing": (event("missing", without("x")), (), "missing_field"),
    "type": (event("type", EXAMPLE | {"n": "3"}), (), "wrong_type"),
    "null": (event("null", EXAMPLE | {"name": None}), (), "null_value"),
    "unknown": (event("unknown", EXAMPLE | {"extra": 1}), (), "unknown_field"),
    "nan": (event("nan", EXAMPLE | {"x": float("nan")}), (), "not_finite"),
    "json": (b'{"specversion":', (), "malformed"),
    "object": (event("object", [1]), (), "malformed"),
    "utf8": (b'{"id": "\xff\xfe"}', (), "malformed"),
    "tombstone": (None, (), "malformed"),
    "headers": (b"{}", (("ce_specversion", b"1.0"), ("ce_id", b"\xff\x00")), "malformed"),
    "large": (b'{"a": "' + b"x" * 1_000_000 + b'"}', (), "too_large"),
}


async def test_poison_lands_in_dead_letters_and_the_rest_is_scored(broker: str, start: Any) -> None:
    """One dead letter per poisonous event with its code; every good event around them is scored,
    binary mode with headers that are no text included; together they are what was received.
    """
    values: list[tuple[str | None, bytes | None, Headers]] = []
    for number, (key, (value, headers, _)) in enumerate(POISON.items()):
        values += [
            (f"good{number}", event(f"good{number}", EXAMPLE), (("h", b"\xff"),)),
            (key, value, headers),
        ]
    values.append(("binary", b'{"x": 1.5, "n": 3, "flag": true, "name": "senior"}', BINARY))
    await produce(broker, "events", values)
    worker = start()
    reader = HubReader(broker, "scores", "dead")
    await reader.read(len(values))

    dead = dict(zip(reader.keys["dead"], reader.events["dead"], strict=True))
    codes = {(key or b"").decode(): e["data"]["code"] for key, e in dead.items()}
    assert codes == {key: code for key, (_, _, code) in POISON.items()}
    assert dead[b"large"]["data"]["original"] is None
    scores = reader.events["scores"]
    assert {e["subject"] for e in scores} == {f"good{i}" for i in range(len(POISON))} | {"binary"}
    assert [e["data"]["score"] for e in scores] == pytest.approx(
        [expected_score(EXAMPLE)] * len(scores)
    )
    assert len(scores) + len(dead) == len(values)
    assert await worker.exit_code(signal.SIGTERM) == 0
    outcomes = [e["rejection_code"] for e in worker.entries()]
    assert len(outcomes) == len(values)
    assert sorted(filter(None, outcomes)) == sorted(codes.values())


async def test_killing_the_worker_loses_nothing(broker: str, bundle: Path, start: Any) -> None:
    """SIGKILL in the middle: every event still ends as one distinct score and one distinct
    log entry, and whatever was published twice has equal ids.
    """
    rows = records(3000)
    await produce(
        broker, "events", [(f"e{i}", event(f"e{i}", row), ()) for i, row in enumerate(rows)]
    )
    killed = start(TRILANE_MAX_RECORDS="50")
    await killed.wait_until(lambda: killed.metric("trilane_records_total", "scored") >= 200)
    await killed.exit_code(signal.SIGKILL)
    worker = start(TRILANE_MAX_RECORDS="50")
    reader = HubReader(broker, "scores", "dead")
    await reader.read(3000, distinct=True)
    assert 0 < worker.metric("trilane_records_total", "scored") <= 2800
    assert await worker.exit_code(signal.SIGTERM) == 0
    digest = read_manifest(bundle).digest
    expected = {derived_id(SOURCE, f"e{i}", digest) for i in range(3000)}
    assert {e["id"] for e in reader.events["scores"]} == expected
    assert reader.events["dead"] == []
    logged = {e["entry_id"] for e in worker.entries()}
    assert logged == {derived_id("stream", SOURCE, f"e{i}", digest) for i in range(3000)}


async def test_two_workers_share_the_partitions(broker: str, start: Any) -> None:
    """A second worker takes over a part, and then what a stopped one leaves: nothing is skipped,
    and what was committed is not repeated.
    """
    first, second = start(), start()
    await first.wait_until_ready()
    await second.wait_until_ready()
    values = [(f"e{i}", event(f"e{i}", row), ()) for i, row in enumerate(records(1000))]
    await produce(broker, "events", values[:500])
    reader = HubReader(broker, "scores", "dead")
    await reader.read(500)
    assert await first.exit_code(signal.SIGTERM) == 0
    await produce(broker, "events", values[500:])
    reader = HubReader(broker, "scores", "dead")
    await reader.read(1000)
    assert sorted(e["subject"] for e in reader.events["scores"]) == sorted(k for k, _, _ in values)
    assert await second.exit_code(signal.SIGTERM) == 0


async def test_a_storage_that_fails_ends_the_worker_with_75(
    broker: str, start: Any, tmp_path: Path
) -> None:
    """Nothing is committed while the log cannot be written; the next worker gets the events."""
    (tmp_path / "storage").write_text("a file where the directory should be")
    await produce(broker, "events", [("e", event("e", EXAMPLE), ())])
    failing = start(TRILANE_DELIVERY_ATTEMPTS="2")
    assert await failing.exit_code() == 75
    assert "try again" in failing.log.read_text()
    (tmp_path / "storage").unlink()
    worker = start()
    reader = HubReader(broker, "scores")
    await reader.read(3)  # two attempts and the one that succeeds
    assert len({e["id"] for e in reader.events["scores"]}) == 1
    assert await worker.exit_code(signal.SIGTERM) == 0
    assert [e["record_id"] for e in worker.entries()] == ["e"]


UNREADABLE = """
import asyncio, sys
from tests.support.broker import produce

class Name(str):
    def encode(self, *_):
        return bytes([255])

asyncio.run(produce(sys.argv[1], "events", [("e", b"{}", ((Name("x"), b""),))]))
"""


async def test_an_event_that_cannot_be_fetched_stops_the_worker(broker: str, start: Any) -> None:
    """The client cannot even hand it over, so it can be no dead letter: the worker exits 1 and says
    so, instead of fetching on past events it never saw.
    """
    # A header name must be UTF-8, but brokers take any; so does aiokafka's pure Python producer.
    environment = {**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"}
    command = [sys.executable, "-c", UNREADABLE, broker]
    await asyncio.to_thread(subprocess.run, command, env=environment, cwd=ROOT, check=True)
    worker = start()
    assert await worker.exit_code() == 1
    assert "events of events cannot be fetched: UnicodeDecodeError" in worker.log.read_text()


async def test_an_altered_bundle_is_refused(start: Any, tmp_path: Path) -> None:
    """One flipped byte: exit code 1 and a text that names the file; no broker is needed for it."""
    altered = make_bundle(tmp_path / "altered", reference=0)
    raw = bytearray((altered / "model.onnx").read_bytes())
    raw[100] ^= 1
    (altered / "model.onnx").write_bytes(raw)
    worker = start(TRILANE_BUNDLE=str(altered))
    assert await worker.exit_code() == 1
    assert "model.onnx does not match its digest" in worker.log.read_text()


async def test_a_model_without_reasons_is_refused(start: Any) -> None:
    """Asked for reasons, the worker exits 1 and says why; no broker is needed for it."""
    worker = start(TRILANE_REASONS="3", TRILANE_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    assert await worker.exit_code() == 1
    assert "model toy gives no reasons: the toy gives none" in worker.log.read_text()


async def test_the_worker_says_which_model_it_runs(start: Any, bundle: Path) -> None:
    """In its first log line, and to whoever asks at /model on the side port."""
    worker = start()
    await worker.wait_until_ready()
    status, body = worker.probe("/model")
    document, digest = json.loads(body), read_manifest(bundle).digest
    assert (status, document["name"], document["version"]) == (200, "toy", "7")
    assert (document["digest"], document["reasons"]["available"]) == (digest, False)
    lines = map(json.loads, worker.log.read_text().splitlines())
    [line] = [line for line in lines if line.get("event") == "model"]
    told = [line[k] for k in ("model", "version", "alias", "digest", "backend", "reasons")]
    assert told == ["toy", "7", None, digest, "onnx", 0]


async def test_no_broker_is_transient(start: Any) -> None:
    """Exit code 75 when the event hub cannot be reached."""
    worker = start(TRILANE_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    assert await worker.exit_code() == 75
    assert "did not answer" in worker.log.read_text()


async def test_published_records_come_out_scored(
    broker: str, start: Any, bundle: Path, tmp_path: Path
) -> None:
    """`trilane publish` makes the events that the worker scores: typed cells, keyed by record id,
    with ids that a rerun repeats; a record that does not fit lands in dead letters.
    """
    rows = records(5)
    lines = [
        f"{r['x']!r},{r['n']},{str(r['flag']).lower()},{r['name']},{i}" for i, r in enumerate(rows)
    ]
    file = tmp_path / "records.csv"
    file.write_text("\n".join(["x,n,flag,name,id", *lines, "1.5,many,true,lead,5"]))
    command = [
        *(sys.executable, "-m", "stream_worker.publish", str(file), "--bundle", str(bundle)),
        *("--record-id-column", "id", "--event-time", "2026-03-02T11:30:00Z"),
        *("--bootstrap-servers", broker, "--events-hub", "events"),
    ]
    for _ in range(2):
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, "published 6 events to events\n"), done.stderr
    worker = start()
    reader = HubReader(broker, "events", "scores", "dead")
    await reader.read(24)
    assert await worker.exit_code(signal.SIGTERM) == 0

    published = {e["subject"]: e for e in reader.events["events"]}
    assert {e["subject"]: e["data"] for e in published.values()} == {
        str(i): row for i, row in enumerate(rows)
    } | {"5": {"x": 1.5, "n": "many", "flag": True, "name": "lead"}}
    assert published["0"]["type"] == "hr.employee.updated"
    assert published["0"]["time"] == "2026-03-02T11:30:00Z"
    assert len({e["id"] for e in reader.events["events"]}) == 6
    scores = {e["subject"]: e["data"]["score"] for e in reader.events["scores"]}
    assert scores == {str(i): pytest.approx(expected_score(row)) for i, row in enumerate(rows)}
    assert [e["data"]["code"] for e in reader.events["dead"]] == ["wrong_type"] * 2
    assert len({e["entry_id"] for e in worker.entries()}) == 6
