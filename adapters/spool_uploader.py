"""What brings the spool's segments to the inference log in storage.

It takes segments that nobody writes, whoever wrote them: leftovers of dead processes and of other
models included. Several uploaders may share a directory: whoever can lock a segment takes it.
"""

import logging
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from adapters.spool_segment import (
    SUFFIX,
    UNREADABLE_SUFFIX,
    UnreadableSegment,
    claimed,
    read_segment,
)
from adapters.spool_sinks import CounterOf, EntryCounter, OpenSink, TableLog
from scoring.errors import TrilaneError
from scoring.model import ModelDescription
from scoring.records import ModelVersion

if TYPE_CHECKING:
    import pyarrow as pa

MERGED_BYTES: Final = 16 * 1024 * 1024
"""Segments are merged until they have this size together: two full ones."""

MERGED_SEGMENTS: Final = 256
MAX_BACKOFF_SECONDS: Final = 60.0

_MAX_DOUBLINGS: Final = 16
_DRAIN_RETRY_SECONDS: Final = 1.0
_UNKNOWN: Final = ModelVersion("unknown", "unknown", "")

logger = logging.getLogger(__name__)


def retry_delay(interval_seconds: float, failures: int) -> float:
    """Seconds to the next upload: the interval, doubled by each failure in a row up to a minute."""
    doubled: float = interval_seconds * 2 ** min(failures, _MAX_DOUBLINGS)
    return min(doubled, max(MAX_BACKOFF_SECONDS, interval_seconds))


@dataclass(frozen=True, slots=True)
class _Taken:
    """A segment that was read. It is kept without its content, which is in a table by then."""

    path: Path
    entries: int
    torn_bytes: int
    torn_entries: int


@dataclass
class _Merged:
    """Segments of one model that are written together; their files stay claimed until then."""

    model: ModelDescription
    claims: ExitStack = field(default_factory=ExitStack)
    segments: list[_Taken] = field(default_factory=list)
    tables: list["pa.Table"] = field(default_factory=list)

    def write(self, sink: TableLog) -> None:
        """Raises what the sink raises."""
        import pyarrow as pa

        sink.write_table(pa.concat_tables(self.tables))


class SpoolUploader:
    """Uploads what lies in a spool directory, the oldest first.

    In memory are at most `merged_bytes` of segments, as tables, and one segment more. An entry may
    reach the sink twice, under the same entry id, when the process dies between writing to the sink
    and deleting the segment.
    """

    def __init__(
        self,
        directory: Path,
        open_sink: OpenSink,
        counter_of: CounterOf,
        interval_seconds: float,
        merged_bytes: int = MERGED_BYTES,
    ) -> None:
        self._directory = directory
        self._open_sink = open_sink
        self._counter_of = counter_of
        self._interval = interval_seconds
        self._merged_bytes = merged_bytes
        self._merged: dict[bytes, _Merged] = {}
        self._held = 0

    def run(self, closing: threading.Event, abandoned: threading.Event) -> None:
        """Upload at every interval, less often while the sink refuses.

        From `closing` on upload what there is by then, again and again until it is done or
        `abandoned` is set; what is left then stays on disk for the next uploader. Blocks on the
        sink.
        """
        failures = 0
        while not closing.wait(retry_delay(self._interval, failures)):
            failures = 0 if self.upload() else failures + 1
        failures, left = 0, self.segments()
        while not self.upload(left):
            failures += 1
            pause = min(retry_delay(self._interval, failures), _DRAIN_RETRY_SECONDS)
            if abandoned.wait(pause):
                return

    def upload(self, paths: Sequence[Path] | None = None) -> bool:
        """Upload every segment, or every one of these, that nobody writes; False when the sink
        refused.
        """
        try:
            for path in self.segments() if paths is None else paths:
                self._take(path)
            self._write_all()
        except TrilaneError as error:
            _report("the inference log cannot be written, will retry", str(error))
            return False
        except Exception as error:  # the uploader must live; what was not uploaded stays on disk
            _report("uploading the inference log failed, will retry", type(error).__name__)
            return False
        finally:
            for merged in self._merged.values():
                merged.claims.close()
            self._merged.clear()
            self._held = 0
        return True

    def segments(self) -> list[Path]:
        """What lies in the directory, open segments included, the oldest first."""
        return sorted(self._directory.glob(f"*{SUFFIX}"))

    def _take(self, path: Path) -> None:
        """Add a segment to those that will be written together. Raises what the sink raises."""
        with ExitStack() as claim:
            file = claim.enter_context(claimed(path))
            if file is None:
                return
            data = file.read()
            try:
                self._add(path, data, claim)
            except UnreadableSegment as error:
                path.rename(path.with_suffix(UNREADABLE_SUFFIX))
                self._counter_of(error.version or _UNKNOWN).logged("dropped", error.entries)
                _report("a spool segment is unreadable and was set aside", f"{path.name}, {error}")
        count = sum(len(merged.segments) for merged in self._merged.values())
        if self._held >= self._merged_bytes or count >= MERGED_SEGMENTS:
            self._write_all()

    def _add(self, path: Path, data: bytes, claim: ExitStack) -> None:
        """Raises UnreadableSegment."""
        segment = read_segment(data)
        if segment is None:
            path.unlink()
            return
        tables = []
        if segment.payloads:
            from adapters.spool_table import segment_table

            tables.append(segment_table(segment))
            self._held += len(data)
        merged = self._merged.setdefault(segment.header, _Merged(segment.model))
        merged.tables += tables
        taken = _Taken(path, segment.entries, segment.torn_bytes, segment.torn_entries)
        merged.segments.append(taken)
        merged.claims.push(claim.pop_all())

    def _write_all(self) -> None:
        """One table for each model, then delete the segments. Raises what the sink raises."""
        for header, merged in list(self._merged.items()):
            if merged.tables:
                merged.write(self._open_sink(merged.model))
            counter = self._counter_of(merged.model.version)
            for taken in merged.segments:
                taken.path.unlink()
                _count(taken, counter)
            merged.claims.close()
            del self._merged[header]
        self._held = 0


def _count(taken: _Taken, counter: EntryCounter) -> None:
    counter.logged("written", taken.entries)
    if taken.torn_bytes:
        counter.logged("dropped", taken.torn_entries)
        logger.warning(
            "entries of a spool segment were torn and cut off",
            extra={"event": "spool_torn", "segment": taken.path.name, "bytes": taken.torn_bytes},
        )


def _report(message: str, what: str) -> None:
    logger.error("%s: %s", message, what, extra={"event": "spool_upload_failed"})
