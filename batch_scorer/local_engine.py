"""Pieces on the threads of this process: reading, scoring and writing overlap."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Final

from batch_scorer.ledger import UnitReport
from batch_scorer.pieces import PieceRunner
from batch_scorer.plan import Piece, PlannedFile
from batch_scorer.progress import Progress
from scoring.errors import TransientError

READERS: Final = 2
"""Pieces that are read at once: while one waits for storage, or its last units, the other reads."""


class _AbandonedError(TransientError):
    """Internal to this module: something else failed."""


class LocalEngine:
    """Scores pieces on several threads. In memory are at most `threads` + 1 units that are scored,
    and one for each piece that is read: a reader waits while that many are in hand.
    """

    def __init__(
        self, opened: Callable[[], AbstractContextManager[PieceRunner]], threads: int
    ) -> None:
        """`opened` gives the runner and what it writes to, for as long as pieces are scored."""
        self._opened = opened
        self._threads = threads

    def run(self, pieces: Sequence[tuple[PlannedFile, Piece]], progress: Progress) -> None:
        """See `Engine`. The first failure ends the attempt."""
        slots = threading.BoundedSemaphore(self._threads + 1)
        failed = threading.Event()
        causes: list[BaseException] = []  # in the order in which units failed

        with (
            self._opened() as runner,
            ThreadPoolExecutor(self._threads, thread_name_prefix="unit") as workers,
            ThreadPoolExecutor(READERS, thread_name_prefix="read") as readers,
        ):

            def begin(score: Callable[[], UnitReport]) -> Future[UnitReport]:
                slots.acquire()
                if failed.is_set():
                    slots.release()
                    raise _AbandonedError("another part of the run failed")
                return workers.submit(work, score)

            def work(score: Callable[[], UnitReport]) -> UnitReport:
                try:
                    return score()
                except BaseException as error:
                    causes.append(error)
                    failed.set()
                    raise
                finally:
                    slots.release()

            def read(file: PlannedFile, piece: Piece) -> None:
                runner.run(file, piece, progress, begin)

            futures = [readers.submit(read, *piece) for piece in pieces]
            _, waiting = wait(futures, return_when=FIRST_EXCEPTION)
            if waiting:
                failed.set()
                for future in waiting:
                    future.cancel()
                wait(waiting)
        causes += [e for f in futures if not f.cancelled() and (e := f.exception()) is not None]
        if causes:
            raise next((e for e in causes if not isinstance(e, _AbandonedError)), causes[0])
