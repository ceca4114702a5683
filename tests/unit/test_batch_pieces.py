"""A piece of a file: whatever was done of it before, its report and its parts are the same."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import msgspec
import pytest
from fsspec.spec import AbstractFileSystem

from adapters.record_files.chunks import Position
from adapters.storage import Storage, open_storage
from adapters.storage.directory import DirectoryFiles
from adapters.storage.files import Content
from adapters.storage.retries import Retries
from batch_scorer.ledger import PieceReport, UnitReport
from batch_scorer.pieces import Done, Pending
from batch_scorer.plan import Piece, PlannedFile
from batch_scorer.run_manifest import Counts
from scoring.errors import InputError, StorageUnavailable, TerminalError, TransientError
from scoring.model import ModelBundle
from scoring.records import ScoredBatch
from tests.support.batch_pieces import (
    CHUNK,
    Work,
    chunks_in_memory,
    planned_work,
    rows,
    write_csv,
    write_jsonl,
    write_parquet,
)
from tests.support.batch_plans import Told, unit_report
from tests.support.toy import load_toy

COUNT = 97
UNITS = 10


def _csv(directory: Path) -> None:
    write_csv(directory / "a.csv", rows(COUNT))


def _jsonl(directory: Path) -> None:
    write_jsonl(directory / "a.jsonl", rows(COUNT))


def _parquet(directory: Path) -> None:
    write_parquet(directory / "a.parquet", rows(COUNT), group=8)


WRITERS: list[Callable[[Path], None]] = [_csv, _jsonl, _parquet]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture(params=WRITERS, ids=["csv", "jsonl", "parquet"])
def work(request: pytest.FixtureRequest, model: ModelBundle, tmp_path: Path) -> Work:
    """One file of `COUNT` records in each format, Parquet in three pieces."""
    (tmp_path / "in").mkdir()
    request.param(tmp_path / "in")
    return planned_work(tmp_path, model)


@pytest.fixture
def text(model: ModelBundle, tmp_path: Path) -> Work:
    """A file of one piece."""
    (tmp_path / "in").mkdir()
    _jsonl(tmp_path / "in")
    return planned_work(tmp_path, model)


def done(work: Work, told: Told | None = None) -> list[PieceReport]:
    """All pieces, one after the other; their reports without the time it took."""
    runner = work.runner()
    reports = [runner.run(*place, told or Told()) for place in work.plan.pieces()]
    assert list(work.ledger.pieces(work.plan.files).values()) == reports
    return [msgspec.structs.replace(report, seconds=0.0) for report in reports]


def only(work: Work) -> tuple[PlannedFile, Piece]:
    """The only piece."""
    ((file, piece),) = work.plan.pieces()
    return file, piece


def test_a_piece_that_nobody_disturbs(work: Work) -> None:
    """Every record is scored or rejected, in units of the size that was asked for; all is told."""
    told = Told()
    reports = done(work, told)
    pieces = len(reports)
    assert pieces == (3 if work.plan.files[0].format == "parquet" else 1)
    total = sum((r.counts for r in reports), Counts())
    assert total == Counts(COUNT, COUNT - COUNT // 7, COUNT // 7)
    assert sum(r.units for r in reports) == len(told.units("unit"))
    assert [r.piece for r in reports] == told.units("piece") == list(range(pieces))
    assert told.units("unit") == list(range(UNITS))
    assert told.shares[-1] == 1.0
    assert told.units("resumed") == []
    for report in reports:
        assert report.distribution["score"].count == report.counts.scored
        assert sum(report.codes.values()) == report.counts.rejected
        for kind, units in (("scores", report.scored_units), ("rejected", report.rejected_units)):
            assert all(f"{kind}/part-00000-{unit:05d}.parquet" in work.parts() for unit in units)
    assert len(work.parts()) == sum(len(r.scored_units + r.rejected_units) for r in reports)


def test_units_end_where_the_next_one_begins(text: Work) -> None:
    """In rows and in bytes of the text."""
    file, piece = only(text)
    done(text)
    raw = (text.root / "in" / "a.jsonl").read_bytes()
    for number, report in enumerate(text.ledger.units(file, piece), 1):
        row = min(number * CHUNK, COUNT)
        lines = raw.splitlines(keepends=True)[:row]
        assert report.end == Position(row, sum(map(len, lines)))


@pytest.mark.parametrize("kept", range(UNITS + 1))
def test_a_piece_goes_on_behind_any_unit(work: Work, kept: int) -> None:
    """With the ledger of so many units, report and parts are those of an undisturbed piece; what
    was done is neither read nor written again.
    """
    whole, parts = done(work), work.parts()
    units = sorted((work.directory / "_run/units").iterdir())
    assert len(units) == UNITS
    for path in (work.directory / "_run/pieces").iterdir():
        path.unlink()
    for path in units[kept:]:
        path.unlink()
        for kind in ("scores", "rejected"):
            (work.directory / kind / f"part-{path.stem}.parquet").unlink(missing_ok=True)
    before, told = work.written(), Told()
    assert done(work, told) == whole
    assert work.parts() == parts
    assert {name: time for name, time in work.written().items() if name in before} == before
    assert told.units("resumed") == list(range(kept))
    assert told.units("unit") == list(range(kept, UNITS))


@pytest.mark.parametrize("gap", [0, 1, 4, 9])
def test_units_behind_a_gap_are_done_again(text: Work, gap: int) -> None:
    """With the same result."""
    whole, parts = done(text), text.parts()
    (text.directory / f"_run/units/00000-{gap:05d}.json").unlink()
    told = Told()
    assert done(text, told) == whole
    assert text.parts() == parts
    assert told.units("resumed") == list(range(gap))
    assert told.units("unit") == list(range(gap, UNITS))


def test_what_is_known_of_another_content_counts_for_nothing(work: Work) -> None:
    """A file that was replaced is read from its beginning."""
    whole = done(work)
    for path in (work.directory / "_run/units").iterdir():
        report = msgspec.json.decode(path.read_bytes(), type=UnitReport)
        other = msgspec.structs.replace(report, etag="e0", counts=Counts(1, 1, 0))
        path.write_bytes(msgspec.json.encode(other))
    told = Told()
    assert done(work, told) == whole
    assert told.units("resumed") == []
    assert told.units("unit") == list(range(sum(r.units for r in whole)))


@pytest.mark.parametrize("first", [0, 3])
def test_a_file_that_changes_is_not_read_any_further(text: Work, first: int) -> None:
    """Another content since it was planned: the piece fails, with what was done before."""
    done(text)
    for path in sorted((text.directory / "_run/units").iterdir())[first:]:
        path.unlink()
    write_jsonl(text.root / "in" / "a.jsonl", rows(COUNT + 1))
    (report,) = done(text)
    assert report.error is not None
    assert "changed" in report.error
    assert (report.units, report.counts.received) == (first, first * CHUNK)


def cut(root: Path, model: ModelBundle) -> Work:
    """A compressed file that ends early."""
    (root / "in").mkdir()
    write_jsonl(root / "whole", rows(2_000))
    raw = gzip.compress((root / "whole").read_bytes())
    (root / "in" / "a.jsonl.gz").write_bytes(raw[: len(raw) // 2])
    return planned_work(root, model)


def test_what_could_be_read_of_a_broken_file_is_kept(model: ModelBundle, tmp_path: Path) -> None:
    """It is scored, written and recorded with the error; another attempt does none of it again."""
    work, told = cut(tmp_path, model), Told()
    (report,) = done(work, told)
    assert report.error is not None
    assert "a.jsonl.gz" in report.error
    assert 0 < report.counts.received < 2_000
    assert report.counts.received == report.units * CHUNK
    assert report.counts.scored + report.counts.rejected == report.counts.received
    assert told.units("unit") == list(range(report.units))
    assert told.units("piece") == [0]
    before, told = work.written(), Told()
    assert done(work, told) == [report]
    assert work.written() == before
    assert told.units("resumed") == list(range(report.units))
    assert told.units("unit") == []


@pytest.mark.parametrize("begun", range(4))
def test_a_piece_is_stopped_before_its_next_unit(text: Work, begun: int) -> None:
    """Units in hand are recorded, the piece is not, and the message says how to go on."""
    looks = iter([False] * begun + [True])
    with pytest.raises(TransientError, match="--run-id r completes the run"):
        text.runner(stopping=lambda: next(looks)).run(*only(text), Told())
    assert len(text.ledger.units(*only(text))) == begun
    assert text.ledger.pieces(text.plan.files) == {}
    told = Told()
    done(text, told)
    assert told.units("resumed") == list(range(begun))


def test_a_piece_is_logged_before_it_is_recorded(text: Work) -> None:
    """Once, with the sums; a piece that cannot be logged is not recorded, so it is logged again."""
    logged: list[tuple[str, int, PieceReport]] = []

    def log(file: PlannedFile, piece: Piece, report: PieceReport) -> None:
        assert text.ledger.pieces(text.plan.files) == {}
        logged.append((file.file, piece.index, report))
        if len(logged) == 1:
            raise StorageUnavailable("no answer")

    with pytest.raises(StorageUnavailable):
        text.runner(logged=log).run(*only(text), Told())
    assert text.ledger.pieces(text.plan.files) == {}
    report = text.runner(logged=log).run(*only(text), Told())
    assert logged == [("a.jsonl", 0, report)] * 2


class _Later:
    """A unit that is scored when its result is asked for."""

    def __init__(self, score: Callable[[], UnitReport]) -> None:
        self.score = score
        self.report: UnitReport | None = None

    def now(self) -> None:
        """Score it."""
        self.report = self.score()

    def result(self) -> UnitReport:
        """See `Pending`."""
        if self.report is None:
            self.now()
        assert self.report is not None
        return self.report


def test_units_may_end_in_any_order(text: Work) -> None:
    """Begun all at first, done from the last to the first: the report is the same."""
    whole = done(text)
    for path in (text.directory / "_run").rglob("*.json"):
        path.unlink()
    begun: list[_Later] = []

    def begin(score: Callable[[], UnitReport]) -> Pending:
        begun.append(_Later(score))
        if len(begun) == UNITS:
            for each in reversed(begun):
                each.now()
        return begun[-1]

    told = Told()
    report = text.runner().run(*only(text), told, begin)
    assert [msgspec.structs.replace(report, seconds=0.0)] == whole
    assert told.units("unit") == list(range(UNITS))[::-1]


class _Watched(DirectoryFiles):
    """Files that count the units in memory whenever more of one is read."""

    def __init__(self, filesystem: AbstractFileSystem, counts: list[int]) -> None:
        super().__init__(filesystem)
        self._counts = counts

    def open(self, path: str) -> Any:
        """See `Files`."""
        return _WatchedContent(super().open(path), self._counts)


class _WatchedContent:
    def __init__(self, content: Content, counts: list[int]) -> None:
        self.size = content.size
        self.etag = content.etag
        self._content = content
        self._counts = counts

    def read(self, start: int, count: int) -> bytes:
        """See `Content`."""
        self._counts.append(chunks_in_memory())
        return self._content.read(start, count)

    def close(self) -> None:
        """See `Content`."""
        self._content.close()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_unit_is_let_go_before_the_next_one_is_read(
    model: ModelBundle, tmp_path: Path, ending: str
) -> None:
    """When nobody else holds it: memory has one unit for each piece that is read."""
    (tmp_path / "in").mkdir()
    path, records = tmp_path / "in" / f"a.{ending}", rows(6_000) * 5
    if ending == "parquet":
        write_parquet(path, records, 3_000)
    else:
        (write_csv if ending == "csv" else write_jsonl)(path, records)
    work, counts = planned_work(tmp_path, model), list[int]()
    plain = open_storage(str(tmp_path / "in"))
    files = _Watched(fsspec.filesystem("file"), counts)
    source = Storage(files, str(tmp_path / "in"), plain.url, Retries(0.0))
    before = chunks_in_memory()
    for file, piece in work.plan.pieces():
        run = work.runner(source=source).run
        run(file, piece, Told(), lambda _: Done(unit_report(0)))
    assert len(counts) > 3
    assert set(counts) == {before}


class _Refusing:
    """A publisher that refuses some unit, as a hub does an event that is too large."""

    def __init__(self, unit: int, error: Exception) -> None:
        self._left = unit
        self._error = error

    def publish(self, file: str, rows: Any, scored: ScoredBatch) -> None:  # noqa: ARG002
        """See `Publisher`."""
        self._left -= 1
        if self._left < 0:
            raise self._error


@pytest.mark.parametrize("error", [InputError("an event is too large"), TerminalError("other")])
@pytest.mark.parametrize("later", [True, False])
def test_an_error_of_scoring_is_not_the_file_s(text: Work, error: Exception, later: bool) -> None:
    """It ends the attempt, whoever scores the units: the file was read without any trouble."""
    runner = text.runner(publisher=_Refusing(3, error))
    with pytest.raises(type(error), match=str(error)):
        runner.run(*only(text), Told(), _Later if later else None)
    assert text.ledger.pieces(text.plan.files) == {}
    assert len(text.ledger.units(*only(text))) == 3
