"""One plan per run: written once, followed by every attempt and every shard."""

import threading
import uuid
from pathlib import Path
from typing import Any

import fsspec
import msgspec
import pytest

from adapters.record_files.chunks import CsvDialect, ReadOptions
from adapters.storage import Storage, open_storage
from adapters.storage.memory import MemoryFiles
from adapters.storage.retries import Retries
from batch_scorer.agreement import agreed_plan
from batch_scorer.ledger import Ledger
from batch_scorer.plan import Piece, Plan, PlannedFile, Shape, plan_path, read_plan
from scoring.errors import ConfigurationError, InputError, TransientError
from tests.support.batch_plans import MODEL, piece_report, plan_of, planned_file, unit_report

THREADS = 8

OTHER: dict[str, Any] = {
    "record_id_column": "id",
    "chunk_records": 11,
    "reasons": 3,
    "columns": {"a": "b"},
    "delimiter": ";",
    "quote": "'",
    "encoding": "cp1252",
    "decimal": ",",
    "output_format": "csv",
    "published": True,
    "as_of": "2026-01-05T08:30:00+00:00",
}
"""Another value for each field of `Shape`."""


@pytest.fixture
def output(tmp_path: Path) -> Storage:
    """A directory."""
    return open_storage(str(tmp_path))


def written(output: Storage) -> tuple[str, bytes]:
    """Tag and content of the plan."""
    (info,) = output.list(plan_path("r"))
    return info.etag, output.read(info.path)


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 20])
def test_shards_share_the_pieces(shards: int) -> None:
    """Each piece is of exactly one shard, none has more than one above another, all in order."""
    plan = plan_of(planned_file(0, pieces=4), planned_file(1), planned_file(2, pieces=6))
    every = [(file.index, piece.index) for file, piece in plan.pieces()]
    assert every == sorted(every)
    assert len(every) == 11
    taken = [[(f.index, p.index) for f, p in plan.pieces(shard, shards)] for shard in range(shards)]
    assert sorted(place for shard in taken for place in shard) == every
    assert all(shard == sorted(shard) for shard in taken)
    assert max(map(len, taken)) - min(map(len, taken)) <= 1


def test_files_without_pieces_have_none() -> None:
    """One that cannot be read is of the run, and nobody's work."""
    plan = plan_of(planned_file(0, pieces=0, error="cut"), planned_file(1))
    assert [file.index for file, _ in plan.pieces()] == [1]


def test_how_a_file_is_read() -> None:
    """By the settings of the run and the partition values of the file."""
    file = planned_file(partitions={"country": "DE", "city": None})
    plan = plan_of(
        file, columns={"a": "b"}, delimiter=";", quote="'", encoding="cp1252", decimal=","
    )
    assert plan.read_options(file) == ReadOptions(
        {"a": "b"}, {"country": "DE", "city": None}, CsvDialect(";", "'", "cp1252", ",")
    )


def test_files_of_a_table_have_no_etag_of_the_storage() -> None:
    """What the storage says of other files is compared when they are opened."""
    assert planned_file(etag="9-a").stored_etag == "9-a"
    assert planned_file(etag="9-a", of_table=True).stored_etag is None


def test_a_plan_is_read_back(output: Storage) -> None:
    """As it was written, with everything a file may have."""
    file = planned_file(
        format="parquet",
        pieces=[Piece(0, 0, 0, (0, 2)), Piece(1, 3, 25, (2, 5))],
        partitions={"day": "1", "country": None},
        rows=61,
        of_table=True,
    )
    plan = plan_of(file, bins={"score": [0.0, 0.1, 1.0]}, columns={"ä": "b"}, by_reference=True)
    assert read_plan(output, "r") is None
    assert agreed_plan(output, plan) == plan
    assert read_plan(output, "r") == plan
    assert read_plan(output, "other") is None


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"format": 1}', b"\xff"])
def test_a_plan_of_another_version(output: Storage, raw: bytes) -> None:
    """The file is named, and the way out."""
    output.write(plan_path("r"), raw)
    with pytest.raises(InputError, match=r"run=r/_run/plan\.json .*--restart") as caught:
        read_plan(output, "r")
    assert output.url in str(caught.value)
    with pytest.raises(InputError, match="--restart"):
        agreed_plan(output, plan_of())


@pytest.mark.parametrize("where", ["directory", "memory"])
def test_attempts_that_begin_at_once_follow_one_plan(where: str, tmp_path: Path) -> None:
    """Each has another start and another idea of the log; all get what one of them wrote."""
    for number in range(10):
        url = str(tmp_path / str(number)) if where == "directory" else f"memory://{uuid.uuid4()}"
        barrier = threading.Barrier(THREADS)
        found: list[Plan | Exception] = []

        def agree(
            place: int, url: str = url, barrier: threading.Barrier = barrier, found: Any = found
        ) -> None:
            wanted = plan_of(
                planned_file(0),
                planned_file(1),
                started_at=f"2026-03-02T01:00:0{place}+00:00",
                event_time=f"2026-03-02T01:00:0{place}+00:00",
                by_reference=bool(place % 2),
            )
            storage = open_storage(url)
            barrier.wait()
            try:
                found.append(agreed_plan(storage, wanted))
            except Exception as error:
                found.append(error)

        threads = [threading.Thread(target=agree, args=(place,)) for place in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == THREADS
        assert found == [read_plan(open_storage(url), "r")] * THREADS


def test_what_was_begun_stands(output: Storage) -> None:
    """A later attempt keeps the first one's times, bins and way of logging; nothing is written."""
    first = agreed_plan(output, plan_of(planned_file(), bins={"score": [0.0, 1.0]}))
    before = written(output)
    later = plan_of(
        planned_file(), started_at="2026-03-03T02:00:00+00:00", event_time="x", by_reference=True
    )
    assert agreed_plan(output, later) == first
    assert written(output) == before


def replanned(output: Storage, *files: PlannedFile) -> list[PlannedFile]:
    """The files of the run for an attempt that finds these; all attempts behind it agree."""
    found = agreed_plan(output, plan_of(*files))
    assert read_plan(output, "r") == found
    return found.files


def test_a_file_that_was_replaced(output: Storage) -> None:
    """Size, tag, rows and pieces are those of now; its number, and all others, are as before."""
    first, second, third = (planned_file(i, pieces=2) for i in range(3))
    agreed_plan(output, plan_of(first, second, third))
    now = planned_file(1, "1.csv", pieces=5, size=900, etag="e2", rows=77)
    assert replanned(output, first, now, third) == [first, now, third]


def test_a_file_that_was_added(output: Storage) -> None:
    """It is of the next run, and moves the number of none."""
    first, second = planned_file(0, "b.csv"), planned_file(1, "d.csv")
    agreed_plan(output, plan_of(first, second))
    before = written(output)
    now = [
        planned_file(0, "a.csv"),
        planned_file(1, "b.csv"),
        planned_file(2, "c.csv"),
        planned_file(3, "d.csv", etag="e2"),
    ]
    assert replanned(output, *now[:3], planned_file(3, "d.csv")) == [first, second]
    assert written(output) == before
    assert replanned(output, *now) == [first, planned_file(1, "d.csv", etag="e2")]


def test_a_file_that_is_gone(output: Storage) -> None:
    """It fails, unless it comes back as it was."""
    first, second = planned_file(0, rows=50), planned_file(1, rows=60)
    agreed_plan(output, plan_of(first, second))
    gone, kept = replanned(output, planned_file(0, "1.csv", rows=60))
    assert (gone.file, gone.index, gone.pieces, gone.rows) == ("0.csv", 0, [], None)
    assert gone.error == "does not exist any more"
    assert kept == second
    before = written(output)
    assert replanned(output, planned_file(0, "1.csv", rows=60)) == [gone, kept]
    assert written(output) == before
    assert replanned(output, first, second) == [first, second]


def test_what_was_done_of_a_file_that_changed_is_forgotten(output: Storage) -> None:
    """It may come back as it was, to parts that were replaced or dropped meanwhile."""
    files = [planned_file(index) for index in range(3)]
    agreed_plan(output, plan_of(*files))
    ledger = Ledger(output, "r")
    for file in files:
        ledger.record_unit(file, unit_report(0))
        ledger.record_piece(file, piece_report())
    replanned(output, planned_file(0, etag="e2"), planned_file(2))
    replanned(output, *files)
    assert list(ledger.pieces(files)) == [(2, 0)]
    assert [len(ledger.units(file, Piece(0))) for file in files] == [0, 0, 1]


def test_a_file_that_can_be_read_again(output: Storage) -> None:
    """Its content is the same, but somebody changed its permissions."""
    agreed_plan(output, plan_of(planned_file(0, pieces=0, error="permission denied")))
    assert replanned(output, planned_file(0)) == [planned_file(0)]


def test_every_field_of_the_shape_is_tested() -> None:
    """And each of `OTHER` is another value."""
    assert list(OTHER) == list(Shape.__struct_fields__)
    for name, value in OTHER.items():
        assert getattr(plan_of().shape, name) != value


@pytest.mark.parametrize("name", OTHER)
def test_other_settings_are_refused(output: Storage, name: str) -> None:
    """The setting is named with the ways out, and the plan stays as it was."""
    agreed_plan(output, plan_of(planned_file()))
    before = written(output)
    with pytest.raises(ConfigurationError, match=f"begun with another {name};") as caught:
        agreed_plan(output, plan_of(planned_file(etag="e2"), **{name: OTHER[name]}))
    assert "--run-id" in str(caught.value)
    assert "--restart" in str(caught.value)
    assert written(output) == before


@pytest.mark.parametrize("change", [{"version": "8"}, {"digest": "c" * 64}, {"name": "other"}])
def test_another_model_is_refused(output: Storage, change: dict[str, str]) -> None:
    """Half the scores of a run cannot be another model's."""
    agreed_plan(output, plan_of(planned_file()))
    before = written(output)
    other = msgspec.structs.replace(MODEL, **change)
    with pytest.raises(ConfigurationError, match="begun with model toy version 7, digest dddd"):
        agreed_plan(output, plan_of(planned_file(), model=other))
    assert written(output) == before


def test_another_input_is_refused(output: Storage) -> None:
    """Files of the same names elsewhere are not those of this run."""
    agreed_plan(output, plan_of(planned_file()))
    before = written(output)
    with pytest.raises(ConfigurationError, match="begun with another input"):
        agreed_plan(output, plan_of(planned_file(etag="e2"), input="file:///elsewhere"))
    assert written(output) == before


class _Vanishing(MemoryFiles):
    """Files of which one is there when a plan is written and gone when it is read."""

    def write_new(self, path: str, data: bytes) -> bool:  # noqa: ARG002
        """See `Files`."""
        return False


def test_a_run_that_ends_at_this_moment() -> None:
    """Whoever finds a plan and cannot read it any more is to be run again: a Job must not fail for
    it.
    """
    root = f"/{uuid.uuid4()}"
    files = _Vanishing(fsspec.filesystem("memory"))
    storage = Storage(files, root, f"memory:/{root}", Retries(0.0))
    with pytest.raises(TransientError, match="run r was completed or restarted meanwhile"):
        agreed_plan(storage, plan_of())
