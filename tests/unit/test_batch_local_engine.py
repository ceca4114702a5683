"""Pieces on threads: bounded memory, one cause, no hanging, and the reports of one thread."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import msgspec
import pytest

from batch_scorer import local_engine
from batch_scorer.ledger import PieceReport
from batch_scorer.local_engine import READERS, LocalEngine
from batch_scorer.pieces import PieceRunner
from batch_scorer.plan import Piece, PlannedFile
from scoring.errors import ConfigurationError, StorageUnavailable, TransientError, TrilaneError
from scoring.inference_log import LogBatch
from scoring.model import ModelBundle
from tests.support.batch_pieces import (
    CHUNK,
    Work,
    chunks_in_memory,
    planned_work,
    rows,
    write_jsonl,
    write_parquet,
)
from tests.support.batch_plans import Told
from tests.support.batch_runs import wait_for
from tests.support.toy import load_toy

FILES = 6
UNITS = 8
SECONDS = 30


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture
def work(model: ModelBundle, tmp_path: Path) -> Work:
    """Six files of eight units each, every other one Parquet, in two pieces."""
    (tmp_path / "in").mkdir()
    records = rows(FILES * UNITS * CHUNK)
    for number in range(FILES):
        part = records[number * UNITS * CHUNK : (number + 1) * UNITS * CHUNK]
        path = tmp_path / "in" / f"{number}"
        if number % 2:
            write_parquet(path.with_suffix(".parquet"), part, group=2 * CHUNK)
        else:
            write_jsonl(path.with_suffix(".jsonl"), part)
    return planned_work(tmp_path, model)


class Log:
    """An inference log that does something with each batch before it forgets it."""

    def __init__(self, act: Callable[[int], None]) -> None:
        """`act` gets the number of the call, from 0."""
        self._act = act
        self._lock = threading.Lock()
        self.calls = 0

    def append(self, batch: LogBatch) -> None:  # noqa: ARG002
        """See `InferenceLog`."""
        with self._lock:
            number, self.calls = self.calls, self.calls + 1
        self._act(number)


class Engine:
    """A `LocalEngine` over a run, and whether what it opened was closed when nobody used it."""

    def __init__(
        self,
        work: Work,
        threads: int,
        log: Log | None = None,
        logged: Callable[[PlannedFile, Piece, PieceReport], None] = lambda *_: None,
    ) -> None:
        self.told = Told()
        self.closed = False
        self._work = work
        self._runner = work.runner(log=log, logged=logged)
        self._engine = LocalEngine(self._opened, threads)

    @contextmanager
    def _opened(self) -> Iterator[PieceRunner]:
        try:
            yield self._runner
        finally:
            self.closed = not any(_innermost(ours) for ours in _engine_threads())

    def run(self) -> None:
        """All pieces."""
        try:
            self._engine.run(list(self._work.plan.pieces()), self.told)
        finally:
            assert self.closed
            assert _engine_threads() == []

    def fail(self) -> BaseException:
        """What it raises, within a time in which it must have ended."""
        raised: list[BaseException] = []

        def run() -> None:
            try:
                self.run()
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(SECONDS)
        assert not thread.is_alive(), "it hangs"
        (error,) = raised
        return error

    @property
    def pieces(self) -> int:
        """How many have ended."""
        return len(self.told.units("piece"))


def _engine_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith(("unit_", "read_"))]


def _innermost(thread: threading.Thread) -> FrameType | None:
    return sys._current_frames().get(thread.ident or 0)


def waiting_readers() -> int:
    """Threads that read pieces and wait for other threads: to hand a unit on, or for its result."""
    frames = [_innermost(t) for t in _engine_threads() if t.name.startswith("read_")]
    return sum(f is not None and f.f_code.co_filename == threading.__file__ for f in frames)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_all_pieces_are_done(work: Work, model: ModelBundle, threads: int) -> None:
    """Reports and parts are those of one piece after the other."""
    Engine(work, threads).run()
    alone = Work(work.root, model, msgspec.structs.replace(work.plan, run_id="alone"))
    runner, told = alone.runner(), Told()
    for file, piece in alone.plan.pieces():
        runner.run(file, piece, told)
    first, second = (w.ledger.pieces(w.plan.files) for w in (work, alone))
    assert len(first) == 9
    assert _timeless(first) == _timeless(second)
    paths = list(work.directory.rglob("*.parquet"))
    assert len(paths) >= FILES * UNITS
    for path in paths:
        other = work.root / "out" / "run=alone" / path.relative_to(work.directory)
        assert path.read_bytes() == other.read_bytes()


def _timeless(reports: dict[tuple[int, int], PieceReport]) -> dict[tuple[int, int], PieceReport]:
    return {p: msgspec.structs.replace(r, seconds=0.0) for p, r in sorted(reports.items())}


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_units_in_memory_are_bounded(work: Work, threads: int) -> None:
    """While nothing moves, `threads` are scored, one waits to be, and each reader holds one."""
    bound, went_on = threads + 1 + READERS, threading.Event()
    before, most = chunks_in_memory(), [0]

    def act(number: int) -> None:
        if number < threads:
            assert went_on.wait(SECONDS)
        if not number % 8:
            most[0] = max(most[0], chunks_in_memory() - before)

    engine = Engine(work, threads, Log(act))
    thread = threading.Thread(target=engine.run)
    thread.start()
    try:
        wait_for(lambda: waiting_readers() == READERS)
        for _ in range(20):  # whoever only seemed to wait shows itself
            wait_for(lambda: waiting_readers() == READERS)
        assert chunks_in_memory() - before == bound
    finally:
        went_on.set()
        thread.join(SECONDS)
    assert engine.pieces == 9
    assert most[0] <= bound
    assert chunks_in_memory() == before


def test_readers_overlap(work: Work) -> None:
    """While one waits for its last units, or for storage, another piece is done."""
    met = threading.Barrier(2)

    def logged(file: PlannedFile, piece: Piece, report: PieceReport) -> None:
        if file.index == 0 or (file.index, piece.index) == (1, 0):
            met.wait(SECONDS)

    engine = Engine(work, 2, logged=logged)
    engine.run()
    assert engine.pieces == 9


@pytest.mark.parametrize("error", [ConfigurationError("wrong"), StorageUnavailable("gone")])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("at", [0, 7])
def test_the_error_of_a_unit_ends_the_attempt(
    work: Work, error: TrilaneError, threads: int, at: int
) -> None:
    """It is raised itself; what was not begun is left, what had ended is recorded."""

    def act(number: int) -> None:
        if number == at:
            raise error

    engine = Engine(work, threads, log := Log(act))
    assert engine.fail() is error
    assert log.calls <= at + 1 + 2 * (threads + 1 + READERS)
    assert engine.pieces <= 1
    recorded = list((work.directory / "_run/units").glob("*"))
    assert len(recorded) == log.calls - 1 == len(engine.told.units("unit"))


def test_nothing_hangs_when_a_unit_fails_while_readers_wait(work: Work) -> None:
    """They are woken, and read no further."""
    error = StorageUnavailable("gone")

    def act(number: int) -> None:
        if number == 0:
            wait_for(lambda: waiting_readers() == READERS, SECONDS)
            raise error

    engine = Engine(work, 1, log := Log(act))
    assert engine.fail() is error
    assert log.calls <= 2
    assert engine.pieces == 0


@pytest.mark.parametrize("error", [ConfigurationError("wrong"), StorageUnavailable("gone")])
def test_the_error_of_a_reader_ends_the_attempt(work: Work, error: TrilaneError) -> None:
    """As when a piece cannot be logged."""

    def logged(file: PlannedFile, piece: Piece, report: PieceReport) -> None:
        if file.index == 1:
            raise error

    engine = Engine(work, 2, logged=logged)
    assert engine.fail() is error
    assert engine.pieces < 6
    assert (1, 0) not in work.ledger.pieces(work.plan.files)


def test_the_first_of_two_causes_is_raised(work: Work) -> None:
    """A unit that fails behind a reader did not end the attempt."""
    first, second = ConfigurationError("first"), StorageUnavailable("second")
    readers: list[threading.Thread] = []

    def logged(file: PlannedFile, piece: Piece, report: PieceReport) -> None:
        readers.append(threading.current_thread())
        raise first

    def act(number: int) -> None:
        if number == 1:
            wait_for(lambda: bool(readers) and not _is_in_the_engine(readers[0]), SECONDS)
            raise second

    assert Engine(work, 2, Log(act), logged).fail() is first


def _is_in_the_engine(thread: threading.Thread) -> bool:
    frame = _innermost(thread)
    while frame is not None and frame.f_code.co_filename != local_engine.__file__:
        frame = frame.f_back
    return frame is not None


@pytest.mark.parametrize("at", range(12))
def test_what_was_abandoned_is_never_the_cause(work: Work, at: int) -> None:
    """However many readers give up: the error that made them do so is raised."""
    error = TransientError("gone")

    def act(number: int) -> None:
        if number == at:
            raise error

    assert Engine(work, 1 + at % 3, Log(act)).fail() is error


def test_ctrl_c_ends_the_attempt(work: Work) -> None:
    """After the units in hand, and not after all pieces."""
    main = threading.get_ident()

    def act(number: int) -> None:
        if number == 3:
            signal.pthread_kill(main, signal.SIGINT)

    engine = Engine(work, 1, log := Log(act))
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    assert log.calls <= 4 + 2 * (1 + 1 + READERS)
    assert engine.pieces <= 1


def test_no_pieces_are_done_at_once(work: Work) -> None:
    """A run of nothing opens and closes."""
    engine = Engine(work, 2)
    engine._engine.run([], engine.told)
    assert engine.closed


def test_what_cannot_be_opened_is_raised(work: Work) -> None:
    """Before any piece is begun."""

    @contextmanager
    def opened() -> Iterator[PieceRunner]:
        raise ConfigurationError("no hub")
        yield

    with pytest.raises(ConfigurationError, match="no hub"):
        LocalEngine(opened, 2).run(list(work.plan.pieces()), Told())
