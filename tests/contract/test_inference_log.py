"""What every inference log promises to lanes and to readers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from adapters.log_references import write_reference
from adapters.parquet_log import ParquetInferenceLog, log_schema, log_table
from adapters.spool import SpooledInferenceLog
from adapters.spool_sinks import parquet_sink
from adapters.spool_uploader import SpoolUploader
from adapters.storage import open_storage
from adapters.telemetry import LaneMetrics
from scoring.inference_log import InferenceLog, LogBatch
from scoring.model import ModelBundle
from tests.support.log_entries import INVALID, WIDE_ROWS, entries, read_log, wide_model
from tests.support.logged_runs import EVENT_TIME, InputSpec, LoggedRun, write_parquet
from tests.support.toy import NOW, load_toy, records


@dataclass(frozen=True)
class Opened:
    """A log, what makes its entries readable, and where they are then."""

    log: InferenceLog
    settle: Callable[[], None]
    root: Path


OpenLog = Callable[[ModelBundle], Opened]


@pytest.fixture(params=["parquet", "spooled"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenLog]:
    """Opens a log of each kind on one empty storage."""
    root = tmp_path / "storage"
    storage = open_storage(str(root))
    opened: list[SpooledInferenceLog] = []

    def open_parquet(model: ModelBundle) -> Opened:
        return Opened(ParquetInferenceLog(storage, model), lambda: None, root)

    def open_spooled(model: ModelBundle) -> Opened:
        metrics = LaneMetrics("online", "toy", "7")
        spool = tmp_path / "spool"
        log = SpooledInferenceLog(
            spool, model, metrics, rotate_seconds=60.0, max_bytes=10**8, clock=lambda: NOW
        )
        opened.append(log)
        uploader = SpoolUploader(spool, parquet_sink(storage), lambda _: metrics, 60.0)

        def settle() -> None:
            log.close()
            assert uploader.upload()

        return Opened(log, settle, root)

    yield open_parquet if request.param == "parquet" else open_spooled
    for log in opened:
        log.close()


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


def expected(model: ModelBundle, *batches: LogBatch) -> pa.Table:
    """What readers must find."""
    tables = [log_table(model.schema, model.output_columns, batch) for batch in batches]
    return pa.concat_tables(tables).sort_by("entry_id")


def test_what_was_appended_is_read(open_log: OpenLog, toy: ModelBundle) -> None:
    """Every entry of every request comes back in the columns of the model's log."""
    opened = open_log(toy)
    batches = [entries(toy, records(n, seed=n), f"request-{n}") for n in (1, 2, 30)]
    for batch in batches:
        opened.log.append(batch)
    opened.settle()
    found = read_log(opened.root).select(log_schema(toy.schema, toy.output_columns).names)
    assert found.equals(expected(toy, *batches))


def test_rejected_records_are_entries(open_log: OpenLog, toy: ModelBundle) -> None:
    """A rejected record stands with its code and without features, alone or beside scored ones."""
    opened = open_log(toy)
    batches = [
        entries(toy, [INVALID], "only-rejected"),
        entries(toy, [*records(2), INVALID, *records(1)], "mixed"),
        entries(toy, records(2), "only-scored"),
    ]
    for batch in batches:
        opened.log.append(batch)
    opened.settle()
    found = read_log(opened.root)
    assert found.select(expected(toy, *batches).column_names).equals(expected(toy, *batches))
    rejected = found.filter(pc.equal(found["outcome"], "rejected"))
    assert rejected["rejection_code"].to_pylist() == ["wrong_type", "wrong_type"]
    assert rejected["name"].null_count == 2


def test_every_type_and_null_survives(open_log: OpenLog, toy: ModelBundle) -> None:
    """Integers stay integers beside nulls, floats keep their bits, date-times their nanoseconds."""
    model = wide_model(toy)
    opened = open_log(model)
    batches = [entries(model, [row], f"request-{i}") for i, row in enumerate(WIDE_ROWS)]
    batches.append(entries(model, WIDE_ROWS, "all"))
    for batch in batches:
        opened.log.append(batch)
    opened.settle()
    wanted = expected(model, *batches)
    found = read_log(opened.root).select(wanted.column_names)
    assert found.equals(wanted)
    assert found["whole"].to_pylist()[-3:] == [-3, None, 7]
    assert found["feature.scored_at"].to_pylist()[-3:] == ["a", "b", "c"]


def test_entries_lie_in_the_hour_of_their_event(open_log: OpenLog, toy: ModelBundle) -> None:
    """Each hour of event time (UTC) is a directory of its own, whatever the zone of the event."""
    opened = open_log(toy)
    zone_times = [
        datetime.fromisoformat("2026-03-02T01:30:00+02:00"),
        datetime(2026, 3, 2, 12, 59, 59, 999999, UTC),
        datetime(2026, 3, 2, 13, 0, 0, 0, UTC),
        datetime(1969, 12, 31, 23, 0, tzinfo=UTC),
    ]
    for number, time in enumerate(zone_times):
        opened.log.append(entries(toy, records(2), f"request-{number}", time))
    opened.settle()
    files = (opened.root / "inference-log").rglob("*.parquet")
    hours = {"/".join(file.parts[-3:-1]) for file in files}
    assert hours == {
        "date=2026-03-01/hour=23",
        "date=2026-03-02/hour=12",
        "date=2026-03-02/hour=13",
        "date=1969-12-31/hour=23",
    }
    found = read_log(opened.root)["event_time"].to_pylist()
    assert found == [time.astimezone(UTC) for time in zone_times for _ in range(2)]


def test_appending_again_adds_no_entry_id(open_log: OpenLog, toy: ModelBundle) -> None:
    """The same entries appended twice are, by their ids, one time in the log."""
    batch = entries(toy, [*records(5), INVALID], "request")
    for _ in range(2):
        opened = open_log(toy)
        opened.log.append(batch)
        opened.settle()
    found = read_log(opened.root)
    assert set(found["entry_id"].to_pylist()) == set(batch.entry_ids)
    assert len(found) == len(batch)


def test_references_do_not_meet_readers_of_rows(
    open_log: OpenLog, toy: ModelBundle, tmp_path: Path
) -> None:
    """Who reads the log as a directory of Parquet files finds the rows and nothing else."""
    opened = open_log(toy)
    batch = entries(toy, records(3), "request", EVENT_TIME)
    opened.log.append(batch)
    opened.settle()
    write_parquet(tmp_path / "run" / "in" / "a.parquet", records(5))
    run = LoggedRun(toy, tmp_path / "run", [InputSpec("a.parquet", "parquet")])
    for reference in run.score():
        write_reference(open_storage(str(opened.root)), reference)
    (directory,) = {file.parent for file in (opened.root / "inference-log").rglob("*.*")}
    assert sorted(file.suffix for file in directory.iterdir()) == [".json", ".parquet"]
    found = read_log(opened.root)
    assert found.select(expected(toy, batch).column_names).equals(expected(toy, batch))
    assert len(pq.read_table(directory)) == 3


def test_two_models_keep_their_own_columns(open_log: OpenLog, toy: ModelBundle) -> None:
    """Logs of two model versions on one storage do not meet."""
    other = wide_model(toy)
    one, two = open_log(toy), open_log(other)
    one.log.append(entries(toy, records(3), "one"))
    two.log.append(entries(other, WIDE_ROWS, "two"))
    one.settle()
    two.settle()
    directory = one.root / "inference-log" / "model=toy"
    assert sorted(p.name for p in directory.iterdir()) == ["version=7", "version=8"]
    assert len(list(directory.rglob("*.parquet"))) == 2


def test_nothing_is_appended_as_nothing(open_log: OpenLog, toy: ModelBundle) -> None:
    """A batch without entries leaves no trace."""
    opened = open_log(toy)
    opened.log.append(entries(toy, [], "nothing"))
    opened.settle()
    assert not (opened.root / "inference-log").exists()


def test_a_long_window_is_many_hours(open_log: OpenLog, toy: ModelBundle) -> None:
    """A batch may carry the event times of many hours; each hour gets its file."""
    opened = open_log(toy)
    batch = entries(toy, records(48), "request")
    times = [NOW + timedelta(minutes=30 * i) for i in range(48)]
    batch = LogBatch(
        batch.lane,
        batch.request_id,
        batch.scored_at,
        batch.scored,
        batch.rejected,
        batch.entry_ids,
        times,
    )
    opened.log.append(batch)
    opened.settle()
    files = list((opened.root / "inference-log").rglob("*.parquet"))
    assert len(files) == 24
    assert len(read_log(opened.root)) == 48
