"""`trilane batch --publish` on real brokers: every score arrives, whatever happens meanwhile."""

import asyncio
import csv
import json
import signal
import subprocess
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from adapters.event_hub.amqp_connection import AmqpConnection
from adapters.event_hub.reading import read_all
from tests.integration.conftest import StartWorker
from tests.support.amqp_hub.process import AmqpHub
from tests.support.batch_runs import BatchRun, wait_for
from tests.support.broker import HubReader, event, produce
from tests.support.toy import records

# The SDK leaves the socket of a broken connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

AS_OF = "2026-03-02T11:30:00+00:00"
FIELDS = ("record_id", "x", "n", "flag", "name")
ADDED = ("model", "causationid", "causationsource", "causationtime")


def write_input(directory: Path, rows: Sequence[dict[str, Any]], files: int = 1) -> Path:
    """CSV files of as many rows each, with the ids e0, e1, … throughout."""
    directory.mkdir()
    named = [{"record_id": f"e{number}", **row} for number, row in enumerate(rows)]
    for number in range(files):
        with (directory / f"{number}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(
                named[number * len(named) // files : (number + 1) * len(named) // files]
            )
    return directory


def run_of(bundle: Path, source: Path, root: Path, *flags: str) -> BatchRun:
    """A run that publishes to `scores`."""
    return BatchRun(bundle, source, root, ("--publish", "--scores-hub=scores", *flags))


def over_kafka(broker: str) -> str:
    """The flag that names the broker."""
    return f"--bootstrap-servers={broker}"


def over_amqp(hub: AmqpHub) -> dict[str, str]:
    """The environment that names the hub and has its key."""
    return {
        "TRILANE_TRANSPORT": "amqp",
        "TRILANE_EVENT_HUBS_CONNECTION_STRING": hub.connection_string,
    }


def predicted(data: dict[str, Any]) -> dict[str, Any]:
    """The members of the prediction."""
    return {name: value for name, value in data.items() if name not in ADDED}


def without(row: dict[str, Any], field: str) -> dict[str, Any]:
    """The record with a null."""
    return {**row, field: None}


async def test_a_run_and_a_worker_publish_the_same_scores(
    broker: str, bundle: Path, start: StartWorker, tmp_path: Path
) -> None:
    """The same records through both lanes: equal predictions for the same keys in the same
    partitions; the run's events have the ids of its entries in the inference log; what the run
    rejects is not published.
    """
    rows = records(3000)
    source = write_input(tmp_path / "in", [*rows, without(rows[0], "x"), without(rows[0], "n")])
    run = run_of(bundle, source, tmp_path / "run", over_kafka(broker), f"--as-of={AS_OF}")
    assert await asyncio.to_thread(run.complete) == 0, run.said()
    assert run.manifest()["totals"] == {"received": 3002, "scored": 3000, "rejected": 2}
    batched = HubReader(broker, "scores", "dead")
    await batched.read(3000)
    assert (len(batched.events["scores"]), batched.events["dead"]) == (3000, [])

    start()
    values = [(f"e{n}", event(f"e{n}", row), ()) for n, row in enumerate(rows)]
    await produce(broker, "events", values)
    both = HubReader(broker, "scores", "dead")
    await both.read(6000)
    lanes: tuple[dict[str, Any], dict[str, Any]] = {}, {}
    for key, found in zip(both.keys["scores"], both.events["scores"], strict=True):
        assert key == found["subject"].encode()
        of_run = found["data"]["causationsource"] == "urn:trilane:batch:r"
        lanes[of_run][found["subject"]] = found
    assert len(lanes[0]) == len(lanes[1]) == 3000
    for subject, found in lanes[1].items():
        data, other = found["data"], lanes[0][subject]["data"]
        assert predicted(data) == predicted(other)
        assert data["causationid"] == f"0.csv#{int(subject[1:]) + 1}"
        assert data["causationtime"] == other["causationtime"] == "2026-03-02T11:30:00Z"
        assert list(data) == list(other)
    log = ds.dataset(str(tmp_path / "run" / "store" / "inference-log"), format="parquet")
    entries = log.to_table(["entry_id", "record_id"], filter=ds.field("outcome") == "scored")
    logged = dict(
        zip(entries["record_id"].to_pylist(), entries["entry_id"].to_pylist(), strict=True)
    )
    assert {subject: found["id"] for subject, found in lanes[1].items()} == logged


async def test_a_killed_run_that_is_resumed_publishes_everything(
    broker: str, bundle: Path, tmp_path: Path
) -> None:
    """SIGKILL in the middle: the next attempt publishes what is missing, and what it publishes
    again is equal in every member.
    """
    source = write_input(tmp_path / "in", records(20_000), files=4)
    run = run_of(bundle, source, tmp_path / "run", over_kafka(broker), "--chunk-records=100")
    process = run.start()
    units = run.directory / "_run" / "units"
    await asyncio.to_thread(wait_for, lambda: len(list(units.glob("*.json"))) >= 10)
    process.send_signal(signal.SIGKILL)
    process.wait()
    early = HubReader(broker, "scores")
    await early.read(1000)
    assert len(early.ids) < 20_000
    assert await asyncio.to_thread(run.complete) == 0, run.said()
    reader = HubReader(broker, "scores")
    await reader.read(20_000, distinct=True)
    by_id: dict[str, dict[str, Any]] = {}
    for found in reader.events["scores"]:
        assert by_id.setdefault(found["id"], found) == found
    assert {found["subject"] for found in by_id.values()} == {f"e{n}" for n in range(20_000)}
    assert len(by_id) == 20_000


def test_a_missing_hub_is_named_before_anything_is_scored(
    broker: str, bundle: Path, tmp_path: Path
) -> None:
    """Exit code 75, as it may be on its way; there is no part."""
    source = write_input(tmp_path / "in", records(10))
    run = run_of(bundle, source, tmp_path / "run", over_kafka(broker), "--scores-hub=elsewhere")
    assert run.complete() == 75
    assert "there is no hub elsewhere" in run.said()
    assert not [path for path in run.parts() if path.startswith(("scores/", "rejected/"))]


def wait_for_events(hub: AmqpHub, run: BatchRun, process: "subprocess.Popen[str]") -> None:
    """Until some are there, long before all are."""

    def some() -> bool:
        assert process.poll() is None, run.said()
        return sum(hub.counts("scores")) >= 500

    wait_for(some, 90)


async def in_hub(hub: AmqpHub) -> list[dict[str, Any]]:
    """Every event of `scores`, decoded."""
    connection = AmqpConnection(connection_string=hub.connection_string)
    async with aclosing(read_all(connection, "scores")) as events:
        return [json.loads(received.value or b"") async for received in events]


def test_a_hub_that_goes_down_in_the_middle_gets_everything(bundle: Path, tmp_path: Path) -> None:
    """Killed while a run publishes, and back some seconds later: the run goes on where it was."""
    source = write_input(tmp_path / "in", records(6_000), files=2)
    with AmqpHub.start(["scores"], 4, directory=tmp_path / "hub") as hub:
        run = run_of(bundle, source, tmp_path / "run", "--chunk-records=100")
        run = BatchRun(bundle, source, run.root, run.flags, environment=over_amqp(hub))
        process = run.start()
        wait_for_events(hub, run, process)
        hub.kill()
        wait_for(lambda: "events were not published; trying again" in run.said(), 90)
        assert process.poll() is None
        hub.restart()
        assert 500 <= sum(hub.counts("scores")) < 6_000
        assert process.wait(120) == 0, run.said()
        found = asyncio.run(in_hub(hub))
    by_id = {each["id"]: each for each in found}
    assert {each["subject"] for each in by_id.values()} == {f"e{n}" for n in range(6_000)}
    assert len(by_id) == 6_000
    assert all(by_id[each["id"]] == each for each in found)


def test_a_hub_that_stays_away_ends_the_attempt_and_not_the_run(
    bundle: Path, tmp_path: Path
) -> None:
    """Exit code 75 after the time for retries; the same command does the rest when it is back."""
    source = write_input(tmp_path / "in", records(6_000), files=2)
    with AmqpHub.start(["scores"], 4, directory=tmp_path / "hub") as hub:
        run = run_of(bundle, source, tmp_path / "run", "--chunk-records=100", "--retry-seconds=1")
        run = BatchRun(bundle, source, run.root, run.flags, environment=over_amqp(hub))
        process = run.start()
        wait_for_events(hub, run, process)
        hub.kill()
        assert process.wait(120) == 75, run.said()
        assert hub.connection_string.partition("SharedAccessKey=")[2][:20] not in run.said()
        hub.restart()
        assert run.complete() == 0, run.said()
        found = asyncio.run(in_hub(hub))
    assert {each["subject"] for each in found} == {f"e{n}" for n in range(6_000)}
    assert len({each["id"] for each in found}) == 6_000
