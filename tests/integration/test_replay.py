"""`trilane replay` as a process, against a real Kafka-protocol broker."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from adapters.event_hub.kafka_connection import KafkaConnection
from adapters.event_hub.messages import Received
from adapters.event_hub.reading import read_all
from adapters.storage import open_storage
from local_stack.broker import run_broker
from scoring.errors import BrokerUnavailable
from scoring.identifiers import derived_id
from scoring.manifest import read_manifest
from scoring.model_loader import load_model
from stream_worker.handler import Handler
from stream_worker.repeats import Repeats
from tests.support.broker import SOURCE, TIME, HubReader, event, produce
from tests.support.processes import until
from tests.support.toy import EXAMPLE, expected_score, make_bundle, records

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
HUBS = ("events", "scores", "dead")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that rejected the events: it knows no field `extra`."""
    return make_bundle(tmp_path_factory.mktemp("before"), reference=0)


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of now, which ignores `extra`."""
    directory = tmp_path_factory.mktemp("after")
    return make_bundle(directory, reference=0, version="8", ignored=("comment", "extra"))


@pytest.fixture
def broker() -> Iterator[str]:
    """A broker of its own for each test, with four partitions per hub."""
    with run_broker(HUBS, 4) as address:
        yield address


class Command:
    """`trilane replay` with storage of its own."""

    def __init__(self, address: str, bundle: Path, directory: Path) -> None:
        self.storage = directory / "storage"
        self._directory = directory
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("TRILANE_")}
        self._environment |= {
            "TRILANE_BUNDLE": str(bundle),
            "TRILANE_BOOTSTRAP_SERVERS": address,
            "TRILANE_STORAGE_URL": self.storage.as_uri(),
            "TRILANE_EVENTS_HUB": "events",
            "TRILANE_SCORES_HUB": "scores",
            "TRILANE_DEAD_LETTERS_HUB": "dead",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, *flags: str, module: str = "stream_worker.replay") -> subprocess.Popen[str]:
        """Begin a run."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *flags],
            env=self._environment, cwd=self._directory, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *flags: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a run."""
        with self.start(*flags) as process:
            output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def counts(self, *flags: str) -> dict[str, int]:
        """The counts of a run that ends well, those that are not 0."""
        code, output, errors = self.run(*flags)
        assert (code, errors) == (0, "")
        path = output.rpartition("report: file://")[2].strip()
        counts: dict[str, int] = json.loads(Path(path).read_text())["counts"]
        return {name: count for name, count in counts.items() if count}

    def entries(self) -> list[dict[str, Any]]:
        """The inference log."""
        log = ds.dataset(self.storage / "inference-log", partitioning="hive")
        rows: list[dict[str, Any]] = log.to_table().to_pylist()
        return rows


async def reject(address: str, bundle: Path, values: list[bytes | None]) -> None:
    """Publish the dead letters that a worker with this bundle makes of these events."""
    handler = Handler(load_model(bundle, NOW), "scores", "dead", 900_000)
    events = [Received("events", 0, n, 1, b"k", value, ()) for n, value in enumerate(values)]
    messages = handler.dead_letters(handler.compute(events, NOW), 1)
    assert len(messages) == len(values)
    keyed = [((m.key or b"").decode(), m.value, m.headers) for m in messages]
    await produce(address, "dead", keyed)


async def test_dead_letters_become_scores(
    broker: str, before: Path, after: Path, tmp_path: Path
) -> None:
    """Through the command: a dry run, a filtered run, a full one, and one more; every dead letter
    that the model of now takes has one score, and the others are told.
    """
    rows = records(300)
    extra = [event(f"e{i}", row | {"extra": i}) for i, row in enumerate(rows)]
    bad = [event("bad", {}), b"{", b"x" * 900_001]
    await reject(broker, before, [*extra, *bad])
    command = Command(broker, after, tmp_path)
    told = {"read": 303, "distinct": 303}

    dry = await asyncio.to_thread(command.counts, "--dry-run")
    assert dry == told | {"scored": 300, "still_rejected": 2, "no_original": 1}
    one = await asyncio.to_thread(command.counts, "--record-id", "e7", "--code", "unknown_field")
    assert one == told | {"scored": 1, "filtered_out": 302}
    none = await asyncio.to_thread(command.counts, "--hub-partition", "0", "--offset", "7")
    assert none == told | {"already_replayed": 1, "filtered_out": 302}
    code, output, _ = await asyncio.to_thread(command.run, "--max-records", "64")
    assert code == 0
    assert "unknown_field       scored                                       299" in output
    assert "malformed           still rejected: malformed                      1" in output
    assert "too_large           not replayable: without the event              1" in output
    again = await asyncio.to_thread(command.counts)
    assert again == told | {"already_replayed": 300, "still_rejected": 2, "no_original": 1}

    reader = HubReader(broker, "scores", "dead")
    await reader.read(603)
    digest = read_manifest(after).digest
    scores = {e["id"]: e for e in reader.events["scores"]}
    assert len(scores) == len(reader.events["scores"]) == 300
    assert {i: e["data"]["score"] for i, e in scores.items()} == {
        derived_id(SOURCE, f"e{i}", digest): pytest.approx(expected_score(row))
        for i, row in enumerate(rows)
    }
    assert len(reader.events["dead"]) == 303
    entries = command.entries()
    assert len({e["entry_id"] for e in entries}) == len(entries) == 300
    assert {e["outcome"] for e in entries} == {"scored"}
    assert {e["event_time"] for e in entries} == {datetime.fromisoformat(TIME)}


async def test_what_a_worker_rejected_is_replayed(
    broker: str, before: Path, after: Path, tmp_path: Path
) -> None:
    """Events in structured and in binary mode, from the worker's dead letters to scores; the log
    has the rejection and the score of each.
    """
    extra = EXAMPLE | {"extra": 1}
    headers = tuple(
        (f"ce_{name}", value)
        for name, value in {
            "specversion": b"1.0", "id": b"binary", "source": b"s", "type": b"t", "subject": b"17",
        }.items()
    )  # fmt: skip
    binary = json.dumps(extra).encode(), (*headers, ("h", b"\xff"))
    await produce(broker, "events", [("k", event("plain", extra), ()), ("k", *binary)])
    command = Command(broker, after, tmp_path)
    told = "--bundle", str(before), "--probe-port", "0", "--session-timeout-seconds", "2"
    with command.start(*told, module="stream_worker") as worker:
        try:
            await HubReader(broker, "dead").read(2)
        finally:
            worker.send_signal(signal.SIGTERM)
            _, errors = await asyncio.to_thread(worker.communicate)
    assert worker.returncode == 0, errors
    assert await asyncio.to_thread(command.counts) == {"read": 2, "distinct": 2, "scored": 2}
    reader = HubReader(broker, "scores")
    await reader.read(2)
    assert {e["data"]["causationid"] for e in reader.events["scores"]} == {"plain", "binary"}
    outcomes = Counter((e["record_id"], e["outcome"]) for e in command.entries())
    assert set(outcomes.values()) == {1}
    assert set(outcomes) == {(i, o) for i in ("plain", "17") for o in ("rejected", "scored")}


async def test_killing_a_replay_loses_and_adds_nothing(
    broker: str, before: Path, after: Path, tmp_path: Path
) -> None:
    """SIGKILL in the middle, then another run: after `Repeats` every dead letter has one score,
    and no more than one batch was published twice.
    """
    await reject(
        broker, before, [event(f"e{i}", r | {"extra": 1}) for i, r in enumerate(records(2000))]
    )
    command = Command(broker, after, tmp_path)
    storage = open_storage(command.storage.as_uri())
    with command.start("--max-records", "10") as process:
        await asyncio.to_thread(until, lambda: len(storage.list("replays/ledger")) >= 5)
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    done = 10 * len(storage.list("replays/ledger"))
    assert 50 <= done < 2000

    counts = await asyncio.to_thread(command.counts, "--max-records", "100")
    assert counts == {
        "read": 2000, "distinct": 2000, "already_replayed": done, "scored": 2000 - done,
    }  # fmt: skip
    reader = HubReader(broker, "scores")
    await reader.read(2000, distinct=True)
    repeats = Repeats()
    first = [e["data"]["causationid"] for e in reader.events["scores"] if repeats.first(e["id"])]
    assert Counter(first) == Counter(f"e{i}" for i in range(2000))
    assert len(reader.events["scores"]) <= 2010
    digest = read_manifest(after).digest
    logged = {e["entry_id"] for e in command.entries()}
    assert logged == {derived_id("stream-replay", SOURCE, f"e{i}", digest) for i in range(2000)}


async def test_what_is_wrong_ends_the_run(broker: str, after: Path, tmp_path: Path) -> None:
    """Usage, settings, a hub that does not answer, another run under way."""
    command = Command(broker, after, tmp_path)
    assert (await asyncio.to_thread(command.run, "--code", "nonsense"))[0] == 2
    assert (await asyncio.to_thread(command.run, "--offset", "3"))[0] == 1
    code, _, errors = await asyncio.to_thread(command.run, "--bootstrap-servers", "127.0.0.1:1")
    assert (code, "127.0.0.1:1" in errors) == (75, True)
    lease = {"run_id": "r1", "host": "h", "process": 1, "until": "2999-01-01T00:00:00Z"}
    held = command.storage / "replays/lease/r1.json"
    held.parent.mkdir(parents=True, exist_ok=True)
    held.write_text(json.dumps(lease))
    code, _, errors = await asyncio.to_thread(command.run)
    assert (code, errors) == (75, "trilane replay: replay r1 is under way (try again)\n")
    assert await asyncio.to_thread(command.counts, "--dry-run") == {}


async def test_a_hub_is_read_to_where_it_ended(broker: str) -> None:
    """Everything once, with keys and headers, from partitions that were written and ones that were
    not; what comes while it is read is left out.
    """
    connection = KafkaConnection(broker)
    assert [r async for r in read_all(connection, "dead")] == []
    few = [("a", b"1", (("h", b"\xff"),)), ("a", b"2", ()), ("b", None, ())]
    await produce(broker, "dead", few)
    found = [r async for r in read_all(connection, "dead")]
    assert sorted((r.key, r.value, r.headers) for r in found if r.value) == [
        (b"a", b"1", (("h", b"\xff"),)), (b"a", b"2", ()),
    ]  # fmt: skip
    assert [(r.key, r.value) for r in found if not r.value] == [(b"b", None)]
    # One partition, in more fetches than are made ahead.
    await produce(broker, "scores", [("k", b"x" * 100_000, ()) for _ in range(200)])
    values = []
    async for r in read_all(connection, "scores"):
        values.append((r.partition, r.offset, r.value))
        if len(values) == 1:
            await produce(broker, "scores", [("k", b"late", ()) for _ in range(100)])
    assert len(set(values)) == len(values) == 200
    assert {value for _, _, value in values} == {b"x" * 100_000}


async def test_a_hub_that_cannot_be_reached_is_unavailable() -> None:
    """Nothing listens there."""
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        await anext(read_all(KafkaConnection("127.0.0.1:1"), "dead"))
