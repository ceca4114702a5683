"""A piece of a file, unit by unit: what is done already is left alone, the rest is scored."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from adapters.record_files.chunks import Chunk, Position
from adapters.record_files.reading import read_chunks
from adapters.storage import Storage
from batch_scorer.ledger import Ledger, PieceReport, UnitReport, summed
from batch_scorer.plan import Piece, Plan, PlannedFile
from batch_scorer.progress import Progress
from batch_scorer.unit import UnitScorer
from scoring.errors import InputError, TransientError
from scoring.schema import Schema


class Engine(Protocol):
    """Where pieces are scored."""

    def run(self, pieces: Sequence[tuple[PlannedFile, Piece]], progress: Progress) -> None:
        """Score and record every piece, and tell of each; of its units where the engine knows of
        them. Raises TransientError, TerminalError.
        """
        ...


class Pending(Protocol):
    """A unit that is being scored, or has been."""

    def result(self) -> UnitReport:
        """Blocks until it is done; raises what scoring it raised."""
        ...


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that was read."""

    file: PlannedFile
    number: int
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Done:
    """A unit that was scored, by an earlier attempt or by this one."""

    report: UnitReport

    def result(self) -> UnitReport:
        """See `Pending`."""
        return self.report


class PieceReader:
    """Reads pieces of one run's files."""

    def __init__(self, plan: Plan, schema: Schema, source: Storage) -> None:
        self.plan = plan
        self._schema = schema
        self._source = source

    def units(self, file: PlannedFile, piece: Piece, done: Sequence[UnitReport]) -> Iterator[Unit]:
        """The units of a piece in order, behind those that are done.

        Blocks on storage. Raises InputError when the file is not what was planned or cannot be read
        any further, StorageUnavailable.
        """
        start = done[-1].end if done else Position(piece.first_row)
        number = piece.first_unit + len(done)
        for chunk in self._chunks(file, piece, start):
            yield Unit(file, number, chunk)
            number += 1
            del chunk  # before the next one is read

    def _chunks(self, file: PlannedFile, piece: Piece, start: Position) -> Iterator[Chunk]:
        shape = self.plan.shape
        return read_chunks(
            self._source,
            file.path,
            file.url,
            file.size,
            file.format,
            self._schema,
            shape.record_id_column,
            shape.chunk_records,
            self.plan.read_options(file),
            start,
            piece.groups,
            file.stored_etag,
        )


class PieceRunner:
    """Scores pieces and records them."""

    def __init__(
        self,
        reader: PieceReader,
        scorer: UnitScorer,
        ledger: Ledger,
        logged: Callable[[PlannedFile, Piece, PieceReport], None],
        stopping: Callable[[], bool],
    ) -> None:
        """`logged` is called before a piece is recorded: it logs it by reference, if that is how.
        `stopping` is asked before every unit; when it says yes, the attempt ends.
        """
        self._reader = reader
        self._scorer = scorer
        self._ledger = ledger
        self._logged = logged
        self._stopping = stopping

    def run(
        self,
        file: PlannedFile,
        piece: Piece,
        progress: Progress,
        begin: Callable[[Callable[[], UnitReport]], Pending] | None = None,
    ) -> PieceReport:
        """Score a piece; `begin` starts the scoring of a unit, without it one follows the other.

        A piece that cannot be read any further is recorded with its error, and so is what could be
        scored. Raises TransientError when storage fails or the attempt is stopped.
        """
        begin = begin or (lambda score: Done(score()))
        done = self._ledger.units(file, piece)
        pending: list[Pending] = []
        for unit_report in done:
            progress.resumed(file, unit_report)
            pending.append(Done(unit_report))
        units, error = self._reader.units(file, piece, done), None
        while True:
            try:
                unit = next(units, None)
            except InputError as caught:
                error = str(caught)
                break
            if unit is None:
                break
            if self._stopping():
                run_id = self._reader.plan.run_id
                raise TransientError(f"stopped; --run-id {run_id} completes the run")
            pending.append(begin(self._scoring(unit, progress)))
            del unit  # before the next one is read
        report = summed(file, piece, [each.result() for each in pending], error)
        self._logged(file, piece, report)
        self._ledger.record_piece(file, report)
        progress.piece(file, report)
        return report

    def _scoring(self, unit: Unit, progress: Progress) -> Callable[[], UnitReport]:
        def score() -> UnitReport:
            report = self._scorer.score(unit.file, unit.number, unit.chunk)
            progress.unit(unit.file, report, unit.chunk.share)
            return report

        return score
