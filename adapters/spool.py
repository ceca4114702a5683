"""The inference log on local disk first, in storage soon after.

A request must not wait for storage, and an answered request must not be forgotten when the process
dies. So `append` writes to a segment file in the spool directory, and a thread brings whole
segments to the sink, one table each. Several processes may share a directory: each writes its own
segments, and whoever can lock a segment uploads it, leftovers of a dead process included.
Nothing is synced per request: what survives is the death of the process, not a loss of power.
"""

import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from adapters.spool_segment import (
    SUFFIX,
    UNREADABLE_SUFFIX,
    Segment,
    SegmentWriter,
    UnreadableSegment,
    claimed,
    encode_frame,
    encode_header,
    read_segment,
    segment_table,
)
from adapters.storage import Storage
from adapters.telemetry import LaneMetrics
from scoring.errors import ConfigurationError, TrilaneError
from scoring.inference_log import LogBatch
from scoring.model import ModelDescription

if TYPE_CHECKING:
    import pyarrow as pa

SEGMENT_BYTES: Final = 32 * 1024 * 1024
"""An open segment that has reached this size is closed; about what an upload holds in memory."""

MAX_BACKOFF_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 10.0

_CREATE_ATTEMPTS: Final = 10
_MAX_DOUBLINGS: Final = 16

logger = logging.getLogger(__name__)


class TableLog(Protocol):
    """Where the entries of one model version end up."""

    def write_table(self, table: "pa.Table") -> None:
        """Write the rows of an inference log table; writing the same table again is safe.

        Raises TrilaneError when not everything was written.
        """
        ...


OpenSink = Callable[[ModelDescription], TableLog]
"""The sink for the entries of a model; a leftover segment may belong to another one."""


def parquet_sink(storage: Storage) -> OpenSink:
    """Sinks that write the Parquet inference log; imports pyarrow when the first one is opened."""

    def open_sink(model: ModelDescription) -> TableLog:
        from adapters.parquet_log import ParquetInferenceLog

        return ParquetInferenceLog(storage, model)

    return open_sink


def retry_delay(interval_seconds: float, failures: int) -> float:
    """Seconds to the next upload: the interval, doubled by each failure in a row up to a minute."""
    doubled: float = interval_seconds * 2 ** min(failures, _MAX_DOUBLINGS)
    return min(doubled, max(MAX_BACKOFF_SECONDS, interval_seconds))


class SpooledInferenceLog:
    """An `InferenceLog` that survives the death of its process and an outage of its storage.

    Bounded: beyond `max_bytes` on disk, and when the disk fails, new entries are dropped and
    counted. An entry may reach the sink twice, under the same entry id, when the process dies
    between writing to the sink and deleting the segment.
    """

    def __init__(
        self,
        directory: Path,
        open_sink: OpenSink,
        model: ModelDescription,
        metrics: LaneMetrics,
        interval_seconds: float,
        max_bytes: int,
        clock: Callable[[], datetime],
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """Make the directory and start the thread, which first works after one interval.

        Raises ConfigurationError when the directory cannot be made or written.
        """
        self._directory = directory
        self._open_sink = open_sink
        self._metrics = metrics
        self._interval = interval_seconds
        self._max_bytes = max_bytes
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._header = encode_header(model)
        self._lock = threading.Lock()  # over the four below
        self._segment: SegmentWriter | None = None
        self._created = 0
        self._dropping = False
        self._bytes = 0
        self._closing = threading.Event()
        self._abandoned = threading.Event()
        _make_directory(directory)
        self._measure()
        # A daemon: a sink that never returns must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="spool", daemon=True)
        self._thread.start()

    def append(self, entries: LogBatch) -> None:
        """Put the entries on disk with one write; never waits for the sink, never raises.

        Thread-safe. Still safe after `close`: the next process on this directory uploads them.
        """
        if not len(entries):
            return
        frame = encode_frame(entries)
        with self._lock:
            reason = self._write(frame)
            news = reason is not None and not self._dropping
            self._dropping = reason is not None
        self._metrics.logged("dropped" if reason else "accepted", len(entries))
        if news:
            logger.error(
                "inference log entries are dropped: %s", reason, extra={"event": "spool_dropping"}
            )

    def close(self, deadline_seconds: float = DRAIN_SECONDS) -> None:
        """Upload what there is, then stop the thread; waits no longer than the deadline.

        What is left then stays on disk for the next process. Closing twice is safe.
        """
        self._closing.set()
        self._thread.join(deadline_seconds)
        if self._thread.is_alive():
            self._abandoned.set()
            logger.warning(
                "the spool was not emptied in time; the next start uploads the rest",
                extra={"event": "spool_left", "segments": len(self._segments())},
            )

    def _write(self, frame: bytes) -> str | None:
        """Why the frame is not on disk, or None when it is. The lock is held."""
        if self._bytes + len(self._header) + len(frame) > self._max_bytes:
            return "the spool is full"
        try:
            if self._segment is None:
                self._segment = self._create()
                self._bytes += self._segment.size
            self._segment.append(frame)
        except OSError as error:
            self._rotate()
            return error.strerror or str(error)
        self._bytes += len(frame)
        if self._segment.size >= self._segment_bytes:
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
                # Another process has the name, or took the new file for a leftover.
                failure = error
        raise failure

    def _rotate(self) -> None:
        """Close the open segment, so that it can be uploaded. The lock is held."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _measure(self) -> None:
        """Count what lies in the directory, other processes' segments included."""
        with self._lock:
            self._bytes = sum(_size(path) for path in self._directory.iterdir())

    def _work(self) -> None:
        """The thread: one pass every interval, less often while the sink refuses."""
        failures = 0
        while not self._closing.wait(retry_delay(self._interval, failures)):
            failures = 0 if self._pass() else failures + 1
        failures = 0
        while not self._pass():
            failures += 1
            if self._abandoned.wait(min(retry_delay(self._interval, failures), 1.0)):
                return

    def _pass(self) -> bool:
        """Upload every closed segment, then the open one; False when the sink refused.

        During an outage the open segment stays open, so that there are few of them afterwards.
        """
        try:
            self._upload_closed()
            with self._lock:
                self._rotate()
            self._upload_closed()
            self._measure()
        except TrilaneError as error:
            _report("the inference log cannot be written, will retry", str(error))
            return False
        except Exception as error:  # the thread must live; what was not uploaded stays on disk
            _report("uploading the inference log failed, will retry", type(error).__name__)
            return False
        return True

    def _segments(self) -> list[Path]:
        return sorted(self._directory.glob(f"*{SUFFIX}"))

    def _upload_closed(self) -> None:
        for path in self._segments():
            with claimed(path) as file:
                if file is not None:
                    self._upload(path, file.read())

    def _upload(self, path: Path, data: bytes) -> None:
        """Bring one segment to its sink and delete it. Raises what the sink raises."""
        try:
            segment = read_segment(data)
            table = segment_table(segment) if segment is not None and segment.frames else None
        except UnreadableSegment as error:
            path.rename(path.with_suffix(UNREADABLE_SUFFIX))
            self._metrics.logged("dropped", error.entries)
            _report("a spool segment is unreadable and was set aside", path.name)
            return
        if segment is not None and table is not None:
            self._open_sink(segment.model).write_table(table)
            self._metrics.logged("written", segment.entries)
        path.unlink()
        if segment is not None and segment.torn_bytes:
            self._torn(path, segment)

    def _torn(self, path: Path, segment: Segment) -> None:
        self._metrics.logged("dropped", segment.torn_entries)
        logger.warning(
            "the last entries of a spool segment were torn and cut off",
            extra={"event": "spool_torn", "segment": path.name, "bytes": segment.torn_bytes},
        )


def _report(message: str, what: str, **extra: Any) -> None:
    logger.error("%s: %s", message, what, extra={"event": "spool_upload_failed", **extra})


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot make the spool {directory}: {error.strerror}") from error
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigurationError(f"the spool {directory} cannot be written")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
