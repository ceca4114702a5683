"""The stream worker as a process, against a real Kafka-protocol broker."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.event_hub.messages import Headers
from local_stack.broker import free_port
from scoring.manifest import read_manifest
from tests.integration.conftest import StartWorker
from tests.support.broker import SOURCE, HubReader, event, produce
from tests.support.toy import EXAMPLE, expected_score, make_bundle, records
from tests.support.worker_process import ROOT


async def test_every_event_is_scored_logged_and_in_order(broker: str, start: StartWorker) -> None:
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
    await worker.wait_until(lambda: worker.samples("trilane_consumer_lag_records") == [0.0] * 4)
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


async def test_poison_lands_in_dead_letters_and_the_rest_is_scored(
    broker: str, start: StartWorker
) -> None:
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


UNREADABLE = """
import asyncio, sys
from tests.support.broker import produce

class Name(str):
    def encode(self, *_):
        return bytes([255])

asyncio.run(produce(sys.argv[1], "events", [("e", b"{}", ((Name("x"), b""),))]))
"""


async def test_an_event_that_cannot_be_fetched_stops_the_worker(
    broker: str, start: StartWorker
) -> None:
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


async def test_an_altered_bundle_is_refused(start: StartWorker, tmp_path: Path) -> None:
    """One flipped byte: exit code 1 and a text that names the file; no broker is needed for it."""
    altered = make_bundle(tmp_path / "altered", reference=0)
    raw = bytearray((altered / "model.onnx").read_bytes())
    raw[100] ^= 1
    (altered / "model.onnx").write_bytes(raw)
    worker = start(TRILANE_BUNDLE=str(altered))
    assert await worker.exit_code() == 1
    assert "model.onnx does not match its digest" in worker.log.read_text()


async def test_a_model_without_reasons_is_refused(start: StartWorker) -> None:
    """Asked for reasons, the worker exits 1 and says why; no broker is needed for it."""
    worker = start(TRILANE_REASONS="3", TRILANE_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    assert await worker.exit_code() == 1
    assert "model toy gives no reasons: the toy gives none" in worker.log.read_text()


async def test_the_worker_says_which_model_it_runs(start: StartWorker, bundle: Path) -> None:
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


async def test_no_broker_is_transient(start: StartWorker) -> None:
    """Exit code 75 when the event hub cannot be reached."""
    worker = start(TRILANE_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    assert await worker.exit_code() == 75
    assert "did not answer" in worker.log.read_text()


async def test_published_records_come_out_scored(
    broker: str, start: StartWorker, bundle: Path, tmp_path: Path
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
