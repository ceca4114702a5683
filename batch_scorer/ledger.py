"""What has been done of an unfinished run: one small file per unit, then one per piece.

A unit is recorded after its parts are written and its entries are logged. A piece is recorded after
its last unit, with the sums of all; then its units are of no interest. Records name the etag of the
file: those of a file that was replaced since count for nothing.
"""

import sys
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Final, TypeVar

import msgspec

from adapters.record_files.chunks import Position
from adapters.storage import Storage
from batch_scorer.distribution import Distribution, merged
from batch_scorer.plan import WORK, Piece, PlannedFile
from batch_scorer.run_manifest import Counts, run_directory
from scoring.errors import InputError


class UnitReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one unit. `end` is where the next one begins, `seconds` is time of work."""

    unit: int
    etag: str
    counts: Counts
    codes: dict[str, int]
    distribution: dict[str, Distribution]
    seconds: float
    end: Position


class PieceReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one piece: the sums of its units, of which there are `units`.

    `scored_units` and `rejected_units` are those that have such a part. `error` says why it could
    not be read to its end; the next attempt reads it again.
    """

    piece: int
    etag: str
    units: int
    scored_units: list[int]
    rejected_units: list[int]
    counts: Counts
    codes: dict[str, int]
    distribution: dict[str, Distribution]
    seconds: float
    error: str | None = None


def summed(
    file: PlannedFile, piece: Piece, units: Iterable[UnitReport], error: str | None = None
) -> PieceReport:
    """The report of a piece from those of its units, in their order."""
    reports = list(units)
    counts, codes, seconds = Counts(), Counter[str](), 0.0
    distribution: dict[str, Distribution] = {}
    for report in reports:
        counts += report.counts
        codes.update(report.codes)
        seconds += report.seconds
        distribution = merged(distribution, report.distribution)
    return PieceReport(
        piece=piece.index,
        etag=file.etag,
        units=len(reports),
        scored_units=[r.unit for r in reports if r.counts.scored],
        rejected_units=[r.unit for r in reports if r.counts.rejected],
        counts=counts,
        codes=dict(sorted(codes.items())),
        distribution=distribution,
        seconds=round(seconds, 3),
        error=error,
    )


_AT_ONCE: Final = 16
"""Requests at once where each is a round trip."""

_Report = TypeVar("_Report", UnitReport, PieceReport)


class Ledger:
    """The records of one run. Every method blocks on storage; safe to use from several threads."""

    def __init__(self, output: Storage, run_id: str) -> None:
        self._output = output
        self._root = f"{run_directory(run_id)}/{WORK}"

    def record_unit(self, file: PlannedFile, report: UnitReport) -> None:
        """The unit is done. Repeating it is safe."""
        self._output.write(self._unit(file, report.unit), msgspec.json.encode(report))

    def record_piece(self, file: PlannedFile, report: PieceReport) -> None:
        """The piece is done, or failed. Repeating it is safe."""
        path = f"{self._root}/pieces/{file.index:05d}-{report.piece:05d}.json"
        self._output.write(path, msgspec.json.encode(report))

    def units(self, file: PlannedFile, piece: Piece) -> list[UnitReport]:
        """The units of a piece that need not be done again: the first ones, without a gap."""
        done: list[UnitReport] = []
        following = file.pieces[piece.index + 1 : piece.index + 2]
        last = following[0].first_unit if following else sys.maxsize
        for number in range(piece.first_unit, last):
            report = self._read_unit(file, number)
            if report is None:
                break
            done.append(report)
        return done

    def pieces(
        self, files: Iterable[PlannedFile], known: Container[tuple[int, int]] = ()
    ) -> dict[tuple[int, int], PieceReport]:
        """By file and piece what is recorded of the files as they are planned; those that are
        `known` are not read again.
        """
        etags = {file.index: file.etag for file in files}
        paths = [info.path for info in self._output.list(f"{self._root}/pieces")]
        new = [path for path in paths if _place(path) not in known]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ledger") as threads:
            reports = threads.map(lambda path: self._decoded(path, PieceReport), new)
            return {
                place: report
                for place, report in zip(map(_place, new), reports, strict=True)
                if report is not None and report.etag == etags.get(place[0])
            }

    def drop(self) -> None:
        """Forget the run, when its manifest stands or it is begun anew. Repeating it is safe."""
        for below in ("/units", "/pieces", ""):  # the plan last: units are of no other one
            self._delete([info.path for info in self._output.list(f"{self._root}{below}")])

    def forget(self, file: PlannedFile) -> None:
        """Drop what is recorded of one file. Repeating it is safe."""
        for below in ("/units", "/pieces"):
            found = [info.path for info in self._output.list(f"{self._root}{below}")]
            self._delete([path for path in found if _place(path)[0] == file.index])

    def _delete(self, paths: Sequence[str]) -> None:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ledger") as threads:
            for _ in threads.map(self._output.delete, paths):
                pass

    def _unit(self, file: PlannedFile, unit: int) -> str:
        return f"{self._root}/units/{file.index:05d}-{unit:05d}.json"

    def _read_unit(self, file: PlannedFile, unit: int) -> UnitReport | None:
        path = self._unit(file, unit)
        report = self._decoded(path, UnitReport) if self._output.exists(path) else None
        return report if report is not None and report.etag == file.etag else None

    def _decoded(self, path: str, kind: type[_Report]) -> _Report | None:
        try:
            return msgspec.json.decode(self._output.read(path), type=kind)
        except InputError:  # gone since it was listed
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(
                f"{self._output.url_of(path)} is no record of this version; use --restart"
            ) from error


def _place(path: str) -> tuple[int, int]:
    """File, and unit or piece, of a record's path; those of the plan are nobody's."""
    file, _, number = PurePosixPath(path).stem.partition("-")
    return (int(file), int(number)) if number else (-1, -1)
