"""What a run says while it works, on stderr: a bar on a terminal, log lines anywhere else."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, Protocol

from batch_scorer.ledger import PieceReport, UnitReport
from batch_scorer.plan import Piece, PlannedFile
from batch_scorer.tally import Figures, FileEnd, Tally

SECONDS_BETWEEN_LINES: Final = 5.0
SECONDS_BETWEEN_FRAMES: Final = 0.5

MOST_FILES: Final = 100
"""So many files get a line each. Of more only the slow ones, and the first so many that fail."""

_SLOW_SECONDS: Final = 5.0
_SLOW_TIMES: Final = 4.0

_log = logging.getLogger(__name__)


class Progress(Protocol):
    """Is told what has been done, from any thread. Never gets a value of a record; never blocks."""

    def resumed(self, file: PlannedFile, report: UnitReport | PieceReport) -> None:
        """An earlier attempt did this unit, or this whole piece, and it need not be done again."""
        ...

    def unit(self, file: PlannedFile, report: UnitReport, share: float | None = None) -> None:
        """A unit is done; the units of a piece may end in any order.

        `share` says how much of the file had been read behind it. Without it, text is taken to be
        neither compressed nor transcoded.
        """
        ...

    def piece(self, file: PlannedFile, report: PieceReport) -> None:
        """A piece is done or has failed, with the sums of its units, told of or not."""
        ...


@contextmanager
def show_progress(
    pieces: Sequence[tuple[PlannedFile, Piece]],
    recorded: Mapping[tuple[int, int], PieceReport] = MappingProxyType({}),
    clock: Callable[[], float] = time.monotonic,
    seconds: float | None = None,
) -> Iterator[Progress]:
    """The progress of these pieces as it fits where stderr goes.

    `pieces` are all of this process; those that `recorded` has without an error, by file and piece,
    were done by an earlier attempt. `clock` counts seconds from anywhere. A thread of its own tells
    how far it is, every 5 s (on a terminal 0.5 s) or by the given interval.
    """
    with _shown(pieces, clock, seconds) as tally:
        for file, piece in pieces:
            report = recorded.get((file.index, piece.index))
            if report is not None and report.error is None:
                tally.resumed(file, report)
        yield tally


@contextmanager
def _shown(
    pieces: Sequence[tuple[PlannedFile, Piece]], clock: Callable[[], float], seconds: float | None
) -> Iterator[Tally]:
    files = len({file.index for file, _ in pieces})
    if not sys.stderr.isatty():
        lines = LogLines(files)
        tally = Tally(pieces, clock, lines.ended)
        interval = SECONDS_BETWEEN_LINES if seconds is None else seconds
        with _every(interval, lambda: lines.tell(tally.figures())):
            yield tally
        return
    from batch_scorer.progress_bar import opened_bar

    with opened_bar(MOST_FILES) as bar:
        tally = Tally(pieces, clock, bar.ended)
        interval = SECONDS_BETWEEN_FRAMES if seconds is None else seconds
        with _every(interval, lambda: bar.tell(tally.figures())):
            yield tally
        bar.tell(tally.figures())


class LogLines:
    """JSON lines, or whatever the log is made of. Their number is bounded: by time, and per file
    by `MOST_FILES`.
    """

    def __init__(self, files: int) -> None:
        self._all = files <= MOST_FILES
        self._lock = threading.Lock()
        self._ended = self._failed = 0
        self._seconds = 0.0

    def tell(self, figures: Figures) -> None:
        """How far it is."""
        told = {
            "share": round(figures.share, 4),
            "records": figures.records,
            "rejected": figures.rejected,
            "records_per_second": round(figures.records_per_second),
            "files": figures.files,
            "files_done": figures.files_done,
            "files_failed": figures.files_failed,
        }
        if figures.resumed:
            told["resumed"] = figures.resumed
        if figures.seconds_left is not None:
            told["seconds_left"] = round(figures.seconds_left)
        _log.info("scoring", extra=told)

    def ended(self, end: FileEnd) -> None:
        """A file is done or has failed."""
        with self._lock:
            slow = end.seconds >= _SLOW_SECONDS and (
                end.seconds * self._ended > _SLOW_TIMES * self._seconds
            )
            self._ended += 1
            self._seconds += end.seconds
            self._failed += end.error is not None
            failed = end.error is not None and self._failed <= MOST_FILES
        if not (self._all or slow or failed):
            return
        counts = end.counts
        told = {"file": end.file, "received": counts.received, "scored": counts.scored}
        told |= {"rejected": counts.rejected, "seconds": round(end.seconds, 3)}
        if end.error is None:
            _log.info("file done", extra=told)
        else:
            _log.warning("file failed", extra={**told, "error": end.error})


@contextmanager
def _every(seconds: float, tell: Callable[[], None]) -> Iterator[None]:
    stopped = threading.Event()

    def repeat() -> None:
        while not stopped.wait(seconds):
            tell()

    thread = threading.Thread(target=repeat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
