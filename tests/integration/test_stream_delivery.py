"""What the stream worker promises when it is killed, stopped, overloaded or cut off."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

from scoring.identifiers import derived_id
from scoring.manifest import read_manifest
from tests.integration.conftest import StartWorker
from tests.support.broker import SOURCE, HubReader, event, produce
from tests.support.toy import EXAMPLE, records


async def test_killing_the_worker_loses_nothing(
    broker: str, bundle: Path, start: StartWorker
) -> None:
    """SIGKILL in the middle: every event still ends as one distinct score and one distinct
    log entry, and whatever was published twice has equal ids.
    """
    rows = records(3000)
    await produce(
        broker, "events", [(f"e{i}", event(f"e{i}", row), ()) for i, row in enumerate(rows)]
    )
    killed = start(TRILANE_MAX_RECORDS="50", TRILANE_MAX_IN_FLIGHT="300")
    await killed.wait_until(lambda: killed.metric("trilane_records_total", "scored") >= 200)
    await killed.exit_code(signal.SIGKILL)
    worker = start(TRILANE_MAX_RECORDS="50")
    reader = HubReader(broker, "scores", "dead")
    await reader.read(3000, distinct=True)
    await worker.wait_until(lambda: worker.metric("trilane_records_total", "scored") > 0)
    assert worker.metric("trilane_records_total", "scored") <= 2800
    assert await worker.exit_code(signal.SIGTERM) == 0
    digest = read_manifest(bundle).digest
    expected = {derived_id(SOURCE, f"e{i}", digest) for i in range(3000)}
    assert {e["id"] for e in reader.events["scores"]} == expected
    assert reader.events["dead"] == []
    logged = {e["entry_id"] for e in worker.entries()}
    assert logged == {derived_id(SOURCE, f"e{i}", digest) for i in range(3000)}


async def test_two_workers_share_the_partitions(broker: str, start: StartWorker) -> None:
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


async def load(broker: str, count: int, first: int = 0) -> set[str]:
    """Publish so many good events with keys of their own; the keys."""
    rows = enumerate(records(count), first)
    await produce(broker, "events", [(f"e{i}", event(f"e{i}", row), ()) for i, row in rows])
    return {f"e{i}" for i in range(first, first + count)}


def subjects(reader: HubReader) -> list[str]:
    """Whose scores there are, sorted."""
    return sorted(e["subject"] for e in reader.events["scores"])


async def test_sigterm_under_load_commits_what_was_begun(broker: str, start: StartWorker) -> None:
    """Everything that was published is committed before the worker ends: the next one goes on right
    behind it, so that no event is lost and none is answered twice.
    """
    expected = await load(broker, 4000)
    stopped = start(TRILANE_MAX_RECORDS="20", TRILANE_MAX_IN_FLIGHT="200")
    await stopped.wait_until(lambda: stopped.metric("trilane_records_total", "scored") >= 200)
    assert await stopped.exit_code(signal.SIGTERM) == 0
    answered = HubReader(broker, "scores", "dead")
    await answered.read(200)
    assert 200 <= len(answered) < len(expected)
    assert len(stopped.entries()) == len(answered)
    worker = start()
    reader = HubReader(broker, "scores", "dead")
    await reader.read(len(expected))
    assert subjects(reader) == sorted(expected)
    assert await worker.exit_code(signal.SIGTERM) == 0
    assert sorted(e["record_id"] for e in worker.entries()) == sorted(expected)


async def test_commits_are_few_however_small_the_batches(broker: str, start: StartWorker) -> None:
    """Four per second at most, over all partitions: Event Hubs takes no more. The log gets as few
    files.
    """
    began = time.monotonic()
    worker = start(TRILANE_MAX_RECORDS="10")
    await worker.wait_until_ready()
    for first in range(0, 3000, 500):
        await load(broker, 500, first)
    await worker.wait_until(lambda: worker.metric("trilane_records_total", "scored") == 3000)
    commits = worker.metric("trilane_commits_total")
    assert 0 < commits <= 4 * (time.monotonic() - began) + 1
    assert commits < worker.metric("trilane_batch_records_count") / 2
    assert await worker.exit_code(signal.SIGTERM) == 0
    files = list((worker.storage / "inference-log").rglob("*.parquet"))
    assert 0 < len(files) <= commits + 1


async def test_what_is_in_flight_is_bounded_while_the_storage_is_gone(
    broker: str, start: StartWorker, tmp_path: Path
) -> None:
    """The worker takes no more than it may, keeps its partitions for longer than a session, and
    does the rest when the storage is back: everything once.
    """
    (tmp_path / "storage").write_text("a file where the directory should be")
    expected = await load(broker, 2000)
    worker = start(TRILANE_MAX_RECORDS="10", TRILANE_MAX_IN_FLIGHT="100")
    held = "trilane_in_flight_records"
    await worker.wait_until(lambda: worker.metric(held) >= 100)
    await asyncio.sleep(5)  # sessions are of two seconds
    assert worker.metric(held) < 110
    reader = HubReader(broker, "scores", "dead")
    await reader.read(0)
    assert len(reader) < 110
    assert worker.metric("trilane_commits_total") == 0
    (tmp_path / "storage").unlink()
    reader = HubReader(broker, "scores", "dead")
    await reader.read(len(expected), seconds=40)
    assert subjects(reader) == sorted(expected)
    await worker.wait_until(lambda: worker.metric(held) == 0)
    assert await worker.exit_code(signal.SIGTERM) == 0


async def test_a_storage_that_fails_for_too_long_ends_the_worker_with_75(
    broker: str, start: StartWorker, tmp_path: Path
) -> None:
    """Nothing is committed while the log cannot be written; the next worker gets the events."""
    (tmp_path / "storage").write_text("a file where the directory should be")
    await load(broker, 1)
    failing = start(TRILANE_RETRY_SECONDS="0.4")
    assert await failing.exit_code() == 75
    assert "a step failed and is tried again" in failing.log.read_text()
    (tmp_path / "storage").unlink()
    worker = start()
    reader = HubReader(broker, "scores")
    await reader.read(2)  # by one worker and by the other
    assert len(reader.ids) == 1
    assert await worker.exit_code(signal.SIGTERM) == 0
    assert [e["record_id"] for e in worker.entries()] == ["e0"]


async def test_a_partition_that_does_not_get_on_fails_the_liveness_probe(
    broker: str, start: StartWorker, tmp_path: Path
) -> None:
    """After the configured time, and only while it lasts; the worker stays ready and its log says
    which partition it is.
    """
    (tmp_path / "storage").write_text("a file where the directory should be")
    worker = start(TRILANE_STALL_SECONDS="1")
    await worker.wait_until_ready()
    assert worker.probe("/livez")[0] == 200
    await load(broker, 1)
    await worker.wait_until(lambda: worker.probe("/livez")[0] == 503)
    assert worker.probe("/readyz")[0] == 200
    assert "a partition does not get on" in worker.log.read_text()
    (tmp_path / "storage").unlink()
    await worker.wait_until(lambda: worker.probe("/livez")[0] == 200)
    assert worker.metric("trilane_records_total", "scored") == 1
    assert await worker.exit_code(signal.SIGTERM) == 0


async def test_too_many_rejections_stop_the_worker(broker: str, start: StartWorker) -> None:
    """With exit code 1 and the setting's name, before anything of the batch is a dead letter: what
    is wrong is the model or the hub, and the events wait for the right one.
    """
    wrong: dict[str, Any] = EXAMPLE | {"n": "private"}
    bad = [("one key", event(f"e{i}", wrong), ()) for i in range(20)]
    await produce(broker, "events", bad)
    worker = start(TRILANE_MAX_REJECTED_RUN="5")
    assert await worker.exit_code() == 1
    text = worker.log.read_text()
    assert "--max-rejected-run" in text
    assert "wrong_type" in text
    assert "private" not in text
    reader = HubReader(broker, "scores", "dead")
    await reader.read(0)
    assert len(reader) == 0
    patient = start(TRILANE_MAX_REJECTED_RUN="0", TRILANE_MAX_REJECTED_SHARE="1")
    await reader.read(20)
    assert len(reader.events["dead"]) == 20
    assert await patient.exit_code(signal.SIGTERM) == 0
