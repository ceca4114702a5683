"""How far an attempt at a run is: counted from what its threads say, asked by who shows it."""

import threading
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from batch_scorer.ledger import PieceReport, UnitReport
from batch_scorer.plan import Piece, PlannedFile
from batch_scorer.run_manifest import Counts

RATE_SECONDS: Final = 10.0
"""The rate is that of about the last so many seconds."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How far it is. `share` is from 0 to 1; `records` are those of this attempt, `resumed` those
    that earlier ones did; `seconds_left` is None while nothing moves.
    """

    share: float
    records: int
    rejected: int
    resumed: int
    records_per_second: float
    seconds_left: float | None
    files: int
    files_done: int
    files_failed: int


@dataclass(frozen=True, slots=True)
class FileEnd:
    """A file whose pieces are all done, or have failed: `error` says why. `seconds` of work."""

    file: str
    counts: Counts
    seconds: float
    error: str | None


@dataclass(slots=True)
class _Part:
    """A piece: its rows where they are known, what it weighs, how much of it is done."""

    rows: int | None
    weight: float
    records: int = 0
    share: float = 0.0


class Tally:
    """Counts. Safe to use from several threads; nothing blocks.

    The share is that of rows when every file says how many it has, else that of bytes.
    """

    def __init__(
        self,
        pieces: Sequence[tuple[PlannedFile, Piece]],
        clock: Callable[[], float],
        ended: Callable[[FileEnd], None],
    ) -> None:
        """`pieces` are all that this process has to do, or an earlier attempt did; `clock` counts
        seconds from anywhere. `ended` is told of files, by the thread that did the last piece.
        """
        by_rows = all(file.rows is not None for file, _ in pieces)
        self._parts = {(f.index, p.index): _part(f, p, by_rows) for f, p in pieces}
        self._weight = sum(part.weight for part in self._parts.values())
        self._left = Counter(file.index for file, _ in pieces)
        self._files = len(self._left)
        self._open: dict[int, FileEnd] = {}
        self._clock = clock
        self._ended = ended
        self._lock = threading.Lock()
        self._done = self._begun = 0.0
        self._records = self._rejected = self._resumed = self._finished = self._failed = 0
        self._samples = deque([(clock(), 0, 0.0)])

    def resumed(self, file: PlannedFile, report: UnitReport | PieceReport) -> None:
        """See `batch_scorer.progress.Progress`."""
        with self._lock:
            self._resumed += report.counts.received
            before = self._done
            if isinstance(report, UnitReport):
                self._advance(file, report)
            else:
                self._settle(file, report)
            self._begun += self._done - before

    def unit(self, file: PlannedFile, report: UnitReport, share: float | None = None) -> None:
        """See `batch_scorer.progress.Progress`."""
        with self._lock:
            self._records += report.counts.received
            self._rejected += report.counts.rejected
            self._advance(file, report, share)

    def piece(self, file: PlannedFile, report: PieceReport) -> None:
        """See `batch_scorer.progress.Progress`."""
        with self._lock:
            untold = report.counts.received - self._parts[file.index, report.piece].records
            if untold == report.counts.received:  # its units were not told of
                self._rejected += report.counts.rejected
            self._records += untold
            end = self._settle(file, report)
        if end is not None:
            self._ended(end)

    def figures(self) -> Figures:
        """As it stands; the rate goes back to a call about 10 s ago, or to the beginning."""
        with self._lock:
            now, fresh = self._clock(), self._done - self._begun
            while len(self._samples) > 1 and now - self._samples[1][0] >= RATE_SECONDS:
                self._samples.popleft()
            then, records, done = self._samples[0]
            seconds = max(now - then, 1e-9)
            moved = fresh - done
            left = self._weight - self._done
            self._samples.append((now, self._records, fresh))
            return Figures(
                share=self._done / self._weight if self._weight else 1.0,
                records=self._records,
                rejected=self._rejected,
                resumed=self._resumed,
                records_per_second=(self._records - records) / seconds,
                seconds_left=max(left, 0.0) * seconds / moved if moved > 0 else None,
                files=self._files,
                files_done=self._finished,
                files_failed=self._failed,
            )

    def _advance(self, file: PlannedFile, report: UnitReport, share: float | None = None) -> None:
        place = bisect_right(file.pieces, report.unit, key=lambda piece: piece.first_unit) - 1
        part = self._parts[file.index, file.pieces[place].index]
        part.records += report.counts.received
        if part.rows is not None:
            self._set(part, part.records / max(part.rows, 1))
        else:
            self._set(part, report.end.offset / max(file.size, 1) if share is None else share)

    def _settle(self, file: PlannedFile, report: PieceReport) -> FileEnd | None:
        part = self._parts[file.index, report.piece]
        part.records = report.counts.received
        self._set(part, 1.0)
        sums = self._open.pop(file.index, FileEnd(file.file, Counts(), 0.0, None))
        sums = FileEnd(
            file.file,
            sums.counts + report.counts,
            sums.seconds + report.seconds,
            report.error if sums.error is None else sums.error,
        )
        self._left[file.index] -= 1
        if self._left[file.index]:
            self._open[file.index] = sums
            return None
        self._finished += 1
        self._failed += sums.error is not None
        return sums

    def _set(self, part: _Part, share: float) -> None:
        """Units end in any order: a later one may have told more."""
        share = min(max(share, part.share), 1.0)
        self._done += part.weight * (share - part.share)
        part.share = share


def _part(file: PlannedFile, piece: Piece, by_rows: bool) -> _Part:
    if file.rows is None:
        return _Part(None, file.size / len(file.pieces))
    following = file.pieces[piece.index + 1 : piece.index + 2]
    rows = (following[0].first_row if following else file.rows) - piece.first_row
    return _Part(rows, rows if by_rows else file.size * rows / max(file.rows, 1))
