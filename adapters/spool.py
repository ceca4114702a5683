"""The inference log on local disk first, in storage soon after.

A request must not wait for storage, and must not be forgotten when the process dies. So `append`
writes to a segment file in the spool directory, and an uploader (`adapters/spool_uploader.py`),
usually another process, brings whole segments to storage. Several models and several processes may
share a directory: each writes its own segments.
Nothing is synced per request: what survives is the death of the process, not a loss of power.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from adapters.spool_frame import FrameEncoder
from adapters.spool_segment import SUFFIX, SegmentWriter, encode_header
from adapters.spool_space import SpoolSpace
from adapters.telemetry import LaneMetrics
from scoring.errors import StorageUnavailable
from scoring.inference_log import LogBatch
from scoring.model import ModelDescription

SEGMENT_BYTES: Final = 8 * 1024 * 1024
"""An open segment that has reached this size is closed."""

_CREATE_ATTEMPTS: Final = 10
_CLOSE_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class SpooledInferenceLog:
    """An `InferenceLog` of one model that survives the death of its process and an outage of the
    storage. Thread-safe.

    Bounded: beyond `max_bytes` in the directory, and when the disk fails, new entries are dropped
    and counted, or refused. What other processes write is seen at every interval, and whenever
    this log has written a sixteenth of the bound.
    """

    def __init__(
        self,
        directory: Path,
        model: ModelDescription,
        metrics: LaneMetrics,
        *,
        rotate_seconds: float,
        max_bytes: int,
        clock: Callable[[], datetime],
        refuse_when_full: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """Make the directory and start a thread that closes segments by age; `append` does by size.

        Raises ConfigurationError when the directory cannot be made or written.
        """
        self._directory = directory
        self._metrics = metrics
        self._rotate_seconds = rotate_seconds
        self._space = SpoolSpace(directory, max_bytes)
        self._clock = clock
        self._refuse_when_full = refuse_when_full
        self._segment_bytes = segment_bytes
        self._header = encode_header(model)
        self._encode = FrameEncoder(model).encode
        self._lock = threading.Lock()  # over the space and the five below
        self._segment: SegmentWriter | None = None
        self._previous: Path | None = None
        self._created = 0
        self._reported = False
        self._closed = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="spool", daemon=True)
        self._thread.start()

    def append(self, entries: LogBatch) -> None:
        """Put the entries on disk with one write; waits for nobody.

        Raises StorageUnavailable when they cannot be kept and the log refuses instead of dropping.
        Still safe after `close`.
        """
        count = len(entries)
        if not count:
            return
        frame = self._encode(entries)
        with self._lock:
            problem = self._write(frame, count)
        if problem is None:
            self._metrics.logged("accepted", count)
            return
        self._report(problem)
        if self._refuse_when_full:
            raise StorageUnavailable(f"the inference log takes no entries: {problem}")
        self._metrics.logged("dropped", count)

    def close(self) -> None:
        """Close the open segment, so that the uploader may take it. Closing twice is safe."""
        with self._lock:
            self._closed = True
            self._rotate()
        self._wake.set()
        self._thread.join(_CLOSE_SECONDS)

    def _write(self, frame: bytearray, count: int) -> str | None:
        """Why the frame is not on disk, or None when it is. The lock is held."""
        if not self._space.has(len(self._header) + len(frame)):
            return "the spool is full"
        try:
            segment = self._segment
            if segment is None:
                segment = self._segment = self._create()
                self._space.wrote(segment.size)
            segment.append(frame, count)
        except OSError as error:
            self._rotate()
            return error.strerror or str(error)
        if self._space.wrote(len(frame)):
            self._wake.set()
        if segment.size >= self._segment_bytes or self._closed:
            self._rotate()
        return None

    def _create(self) -> SegmentWriter:
        """A new segment under a name that sorts by time. Raises OSError."""
        for _ in range(_CREATE_ATTEMPTS):
            self._created += 1
            name = f"{self._clock():%Y%m%dT%H%M%S.%f}-{os.getpid()}-{self._created}{SUFFIX}"
            try:
                return SegmentWriter(self._directory / name, self._header)
            except (FileExistsError, BlockingIOError, FileNotFoundError) as error:
                # Another log has the name, or an uploader took the new file for a leftover.
                failure = error
        raise failure

    def _rotate(self) -> None:
        """Close the open segment, so that it can be uploaded. The lock is held."""
        if self._segment is not None:
            self._previous = self._segment.path
            self._segment.close()
            self._segment = None

    def _work(self) -> None:
        """The thread: closes the open segment at every interval, and measures the directory."""
        due = time.monotonic() + self._rotate_seconds
        while not self._closed:
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            try:
                if time.monotonic() >= due:
                    due = time.monotonic() + self._rotate_seconds
                    self._rotate_aged()
                with self._lock:
                    self._space.measure()
            except OSError as error:  # the thread must live; the next append sees it too
                self._report(error.strerror or str(error))

    def _rotate_aged(self) -> None:
        """Not while the segment before it is there: an outage makes few large segments."""
        with self._lock:
            lost = self._deleted()
            if self._previous is None or not self._previous.exists():
                self._rotate()
            self._reported = False
        if lost:
            self._metrics.logged("dropped", lost)
            self._report("somebody deleted an open segment")

    def _deleted(self) -> int:
        """The entries of the open segment if it was deleted, which ends it. The lock is held."""
        segment = self._segment
        if segment is None or not segment.deleted():
            return 0
        segment.close()
        self._segment = None
        return segment.entries

    def _report(self, problem: str) -> None:
        """Log it, once in an interval."""
        with self._lock:
            news, self._reported = not self._reported, True
        if news:
            done = "refused" if self._refuse_when_full else "dropped"
            logger.error(
                "inference log entries are %s: %s", done, problem, extra={"event": "spool_dropping"}
            )
