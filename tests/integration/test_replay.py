"""`trilane replay` as a process, over both transports."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.event_hub.messages import Headers, Outgoing
from adapters.storage import open_storage
from scoring.identifiers import derived_id
from scoring.manifest import read_manifest
from stream_worker.repeats import Repeats
from tests.support.broker import SOURCE, TIME, event
from tests.support.processes import until
from tests.support.replay_hubs import Command, Hubs, run_hubs
from tests.support.toy import EXAMPLE, expected_score, make_bundle, records
from tests.support.worker_process import WorkerProcess

EXTRA = EXAMPLE | {"extra": 1}
BINARY: Headers = (
    ("ce_specversion", b"1.0"), ("ce_id", b"binary"), ("ce_source", b"s"), ("ce_type", b"t"),
    ("ce_subject", b"17"), ("h", b"\xff"),
)  # fmt: skip


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that rejected the events: it knows no field `extra`."""
    return make_bundle(tmp_path_factory.mktemp("before"), reference=0)


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of now, which ignores `extra`."""
    directory = tmp_path_factory.mktemp("after")
    return make_bundle(directory, reference=0, version="8", ignored=("comment", "extra"))


@pytest.fixture(params=["kafka", "amqp"])
def hubs(request: pytest.FixtureRequest) -> Iterator[Hubs]:
    """Hubs of its own for each test."""
    with run_hubs(request.param) as found:
        yield found


@pytest.fixture
def kafka() -> Iterator[Hubs]:
    """The same, over Kafka only."""
    with run_hubs("kafka") as found:
        yield found


async def scores_in(hubs: Hubs) -> list[dict[str, Any]]:
    """The score events, decoded."""
    return [json.loads(e.value or b"") for e in await hubs.read("scores")]


async def test_dead_letters_become_scores(
    hubs: Hubs, before: Path, after: Path, tmp_path: Path
) -> None:
    """A dry run, a filtered run, a full one, and one more: every dead letter that the model of now
    takes has one score, and the others are told.
    """
    rows = records(300)
    extra = [event(f"e{i}", row | {"extra": i}) for i, row in enumerate(rows)]
    await hubs.reject(before, [*extra, event("bad", {}), b"{", b"x" * 900_001])
    command = Command(hubs, after, tmp_path)
    told = {"read": 303, "distinct": 303}

    dry = await asyncio.to_thread(command.counts, "--dry-run")
    assert dry == told | {"scored": 300, "still_rejected": 2, "no_original": 1}
    assert await hubs.read("scores") == []
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

    scores = await scores_in(hubs)
    digest = read_manifest(after).digest
    assert len(scores) == 300
    assert {e["id"]: e["data"]["score"] for e in scores} == {
        derived_id(SOURCE, f"e{i}", digest): pytest.approx(expected_score(row))
        for i, row in enumerate(rows)
    }
    assert len(await hubs.read("dead")) == 303
    entries = command.entries()
    assert len({e["entry_id"] for e in entries}) == len(entries) == 300
    assert {e["outcome"] for e in entries} == {"scored"}
    assert {e["event_time"] for e in entries} == {datetime.fromisoformat(TIME)}


async def test_killing_a_replay_loses_and_adds_nothing(
    hubs: Hubs, before: Path, after: Path, tmp_path: Path
) -> None:
    """SIGKILL in the middle, then another run: after `Repeats` every dead letter has one score,
    and no more than one batch was published twice.
    """
    rows = records(2000)
    await hubs.reject(before, [event(f"e{i}", r | {"extra": 1}) for i, r in enumerate(rows)])
    command = Command(hubs, after, tmp_path)
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
    scores, repeats = await scores_in(hubs), Repeats()
    first = [e["data"]["causationid"] for e in scores if repeats.first(e["id"])]
    assert Counter(first) == Counter(f"e{i}" for i in range(2000))
    assert len(scores) <= 2010
    digest = read_manifest(after).digest
    logged = {e["entry_id"] for e in command.entries()}
    assert logged == {derived_id("stream-replay", SOURCE, f"e{i}", digest) for i in range(2000)}


async def test_what_a_worker_rejected_is_replayed(
    kafka: Hubs, before: Path, after: Path, tmp_path: Path
) -> None:
    """Events in structured and in binary mode, from the worker's dead letters to scores; the log
    has the rejection and the score of each.
    """
    plain = Outgoing("events", b"k", event("plain", EXTRA))
    binary = Outgoing("events", b"k", json.dumps(EXTRA).encode(), BINARY)
    await kafka.write("events", [plain, binary])
    address = kafka.settings["TRILANE_BOOTSTRAP_SERVERS"]
    worker = WorkerProcess(address, before, tmp_path, TRILANE_MAX_REJECTED_SHARE="1")
    try:
        await worker.wait_until(lambda: worker.metric("trilane_dead_letters_total") == 2)
        assert await worker.exit_code(signal.SIGTERM) == 0
    finally:
        worker.process.kill()
        worker.process.wait()
    command = Command(kafka, after, tmp_path)
    assert await asyncio.to_thread(command.counts) == {"read": 2, "distinct": 2, "scored": 2}
    assert {e["data"]["causationid"] for e in await scores_in(kafka)} == {"plain", "binary"}
    outcomes = Counter((e["record_id"], e["outcome"]) for e in command.entries())
    assert outcomes == Counter((i, o) for i in ("plain", "17") for o in ("rejected", "scored"))


async def test_what_is_wrong_ends_the_run(kafka: Hubs, after: Path, tmp_path: Path) -> None:
    """Usage, settings, a hub that does not answer, another run under way."""
    command = Command(kafka, after, tmp_path)
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
