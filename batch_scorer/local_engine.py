"""Pieces on the threads of this process: reading, scoring and writing overlap."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Final, TypeVar

from batch_scorer.ledger import UnitReport
from batch_scorer.pieces import PieceRunner
from batch_scorer.plan import Piece, PlannedFile
from batch_scorer.progress import Progress
from scoring.errors import TransientError

T = TypeVar("T")

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
        causes: list[BaseException] = []

        def noticed(do: Callable[[], T]) -> T:
            """The first failure ends the attempt, and is what is said of it."""
            try:
                return do()
            except _AbandonedError:
                raise
            except BaseException as error:
                causes.append(error)
                failed.set()
                raise

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
                    return noticed(score)
                finally:
                    slots.release()

            def read(file: PlannedFile, piece: Piece) -> None:
                noticed(lambda: runner.run(file, piece, progress, begin))

            futures = [readers.submit(read, *piece) for piece in pieces]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:  # also when this thread is interrupted
                failed.set()
                for future in futures:
                    future.cancel()
                wait(futures)
        if causes:
            raise causes[0]
