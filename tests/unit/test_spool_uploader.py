"""The spool's uploads: merged, retried in an outage, repeated safely, and ended by a deadline."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from adapters.spool_sinks import parquet_sink
from adapters.spool_uploader import MERGED_SEGMENTS, retry_delay
from adapters.storage import open_storage
from scoring.model import ModelDescription
from tests.support.log_entries import WIDE_ROWS, RefusingSink, entries, read_log, wide_model
from tests.support.spool import NEVER, Spools, eventually, open_spools


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[Spools]:
    """Spools on an empty directory."""
    with open_spools(tmp_path) as opened:
        yield opened


def wait_for_attempt(sink: RefusingSink) -> None:
    """Wait until the sink was tried once more."""
    tried = sink.attempts
    eventually(lambda: sink.attempts > tried)


def test_many_requests_become_one_table(spools: Spools) -> None:
    """A segment is one write to the sink, and gone when the sink has it."""
    sink = RefusingSink()
    log = spools.open()
    for number in range(50):
        log.append(spools.batch(1, f"request-{number:02}"))
    log.close()
    assert spools.upload(sink.open)
    assert len(sink.tables) == 1
    assert sink.entry_ids == [f"request-{number:02}-0" for number in range(50)]
    assert sink.tables[0]["request_id"].to_pylist() == [f"request-{n:02}" for n in range(50)]
    assert spools.files() == []
    assert (spools.counted("accepted"), spools.counted("written")) == (50, 50)


def test_small_segments_are_merged(spools: Spools) -> None:
    """Those of one model, whoever wrote them, are one write; the oldest entries come first."""
    other = wide_model(spools.model)
    for number in range(6):
        log = spools.open(model=other if number % 2 else None)
        rows = entries(other, WIDE_ROWS, f"wide-{number}") if number % 2 else None
        log.append(rows or spools.batch(2, f"toy-{number}"))
        log.close()
    opened: list[str] = []
    sink = RefusingSink()

    def open_sink(model: ModelDescription) -> RefusingSink:
        opened.append(model.version.version)
        return sink

    assert spools.upload(open_sink)
    assert sorted(opened) == ["7", "8"]
    toy, wide = sorted((t["entry_id"].to_pylist() for t in sink.tables), key=len)
    assert toy == [f"toy-{number}-{i}" for number in (0, 2, 4) for i in range(2)]
    assert wide == [f"wide-{number}-{i}" for number in (1, 3, 5) for i in range(3)]
    assert (spools.counted("written"), spools.counted("written", version="8")) == (6, 9)


def test_merging_is_bounded_in_bytes(spools: Spools) -> None:
    """A backlog is brought up in parts, so that memory does not grow with it."""
    paths = [spools.leave(spools.batch(5, f"r{n}"), name=str(n)) for n in range(8)]
    sink = RefusingSink()
    assert spools.upload(sink.open, merged_bytes=2 * paths[0].stat().st_size)
    assert [table.num_rows for table in sink.tables] == [10, 10, 10, 10]


def test_merging_is_bounded_in_files(spools: Spools) -> None:
    """Every segment that is merged is an open file until it is written."""
    for number in range(MERGED_SEGMENTS + 3):
        spools.leave(spools.batch(1, f"r{number:03}"), name=f"{number:03}")
    sink = RefusingSink()
    assert spools.upload(sink.open)
    assert [table.num_rows for table in sink.tables] == [MERGED_SEGMENTS, 3]
    assert spools.files() == []


def test_an_outage_delays_and_loses_nothing(spools: Spools) -> None:
    """While the sink refuses, appends go on and the segments stay; afterwards all arrives."""
    sink = RefusingSink(refusals=10**9)
    log = spools.open()
    running = spools.run(sink.open)
    log.append(spools.batch(1, "a"))
    log.close()
    eventually(lambda: sink.attempts >= 2)
    for name in "bcd":
        log.append(spools.batch(1, name))
        wait_for_attempt(sink)
    assert spools.counted("written") == 0
    assert len(spools.files()) == 4
    sink.accept()
    assert running.drain()
    assert sink.entry_ids == ["a-0", "b-0", "c-0", "d-0"]
    assert spools.counted("written") == 4


def test_waits_longer_after_every_refusal() -> None:
    """The interval doubles while the sink refuses, up to a minute or the interval itself."""
    delays = [retry_delay(5.0, failures) for failures in (0, 1, 2, 3, 4, 100_000)]
    assert delays == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert retry_delay(300.0, 3) == 300.0


class BreakingSink(RefusingSink):
    """Fails in a way that nobody foresaw, as long as it refuses."""

    def write_table(self, table: pa.Table) -> None:
        """Raises RuntimeError."""
        try:
            super().write_table(table)
        except Exception as error:
            raise RuntimeError("hunter2-5551234") from error


def test_an_unforeseen_failure_is_retried(spools: Spools, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing but the end of its process ends an uploader; the failure's words are not logged."""
    spools.leave(spools.batch(1, "a"))
    sink = BreakingSink(refusals=3)
    spools.run(sink.open)
    eventually(lambda: sink.entry_ids == ["a-0"])
    told = [r.message for r in caplog.records]
    assert told == ["uploading the inference log failed, will retry: RuntimeError"] * 3
    assert {vars(r)["event"] for r in caplog.records} == {"spool_upload_failed"}


def test_the_end_retries_within_its_deadline(spools: Spools) -> None:
    """A sink that refuses for a moment does not cost the last entries their upload."""
    sink = RefusingSink(refusals=3)
    running = spools.run(sink.open)
    log = spools.open()
    log.append(spools.batch(2, "one"))
    log.close()
    assert running.drain()
    assert sink.entry_ids == ["one-0", "one-1"]


def test_the_end_does_not_wait_for_a_dead_storage(spools: Spools) -> None:
    """What could not be uploaded in time is the next uploader's first upload."""
    dead = RefusingSink(refusals=10**9)
    running = spools.run(dead.open, NEVER)
    log = spools.open()
    log.append(spools.batch(2, "one"))
    log.close()
    assert not running.drain(0.2)
    assert dead.attempts >= 1
    assert len(spools.files()) == 1
    sink = RefusingSink()
    assert spools.upload(sink.open)
    assert sink.entry_ids == ["one-0", "one-1"]


def test_the_end_leaves_later_segments_alone(spools: Spools) -> None:
    """Another server on the directory may close segments for ever; its own uploader takes them."""
    spools.leave(spools.batch(1, "mine"), name="1")

    class Other(RefusingSink):
        def write_table(self, table: pa.Table) -> None:
            spools.leave(spools.batch(1, "another's"), name=f"{2 + self.attempts}")
            super().write_table(table)

    sink = Other(refusals=1)
    assert spools.run(sink.open, NEVER).drain()
    assert sink.entry_ids == ["mine-0"]
    assert [path.name for path in spools.files()] == ["2.segment", "3.segment"]


def test_a_kill_before_the_segment_is_deleted_repeats_no_entry(
    spools: Spools, tmp_path: Path
) -> None:
    """The entries may be written twice, then under the same ids, which readers count once."""
    root = tmp_path / "storage"
    sink = parquet_sink(open_storage(str(root)))
    for number in range(3):
        spools.leave(spools.batch(4, f"r{number}"), name=str(number))
    kept = shutil.copytree(spools.directory, tmp_path / "kept")
    assert spools.upload(sink)
    for number in (1, 2):
        shutil.copy(kept / f"{number}.segment", spools.directory)
    assert spools.upload(sink)
    found = read_log(root)["entry_id"].to_pylist()
    assert set(found) == {f"r{number}-{i}" for number in range(3) for i in range(4)}
    assert len(found) == 12 + 8
    shutil.copytree(kept, spools.directory, dirs_exist_ok=True)
    assert spools.upload(sink)
    assert len(read_log(root)) == 12 + 8, "the same segments together replace their file"


def test_an_idle_spool_costs_no_write(spools: Spools) -> None:
    """Without entries the sink is not even opened, and a directory that is not there is empty."""
    opened: list[ModelDescription] = []

    def open_sink(model: ModelDescription) -> RefusingSink:
        opened.append(model)
        return RefusingSink()

    assert spools.upload(open_sink)
    spools.open()
    assert spools.upload(open_sink)
    assert opened == []
