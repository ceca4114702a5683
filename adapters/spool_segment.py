"""The spool's files: segments, each written front to back by one process and then read once.

A segment is a header and frames. Each is three little-endian unsigned 32-bit numbers (length of
the payload, its CRC-32, number of entries) and a MessagePack payload: in the header the model's
manifest, in a frame one `LogBatch`. The header makes a segment readable without the model's bundle.
The writer holds the segment with flock, so a lock that can be taken means that nobody writes.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from scoring.bundle_schema import manifest_schema
from scoring.errors import BundleError
from scoring.inference_log import Lane, LogBatch
from scoring.manifest import Manifest
from scoring.model import ModelDescription
from scoring.outputs import OUTPUT_DTYPES
from scoring.records import (
    Column,
    RecordBatch,
    Rejection,
    RejectionCode,
    ScoredBatch,
    Violation,
)

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX: Final = ".segment"
UNREADABLE_SUFFIX: Final = ".unreadable"

_PREFIX: Final = struct.Struct("<III")
_RULE: Final = "the rule is not kept in the spool"
_DATETIME: Final = np.dtype("datetime64[ns]")

Cells = bytes | list[Any]
"""A column: the bytes of an array of numbers, or the items of an array of objects."""


class UnreadableSegment(Exception):
    """A segment's header or a frame's content cannot be read; carries the number of entries."""

    def __init__(self, reason: str, entries: int) -> None:
        super().__init__(reason)
        self.entries = entries


class Frame(msgspec.Struct, array_like=True, frozen=True):
    """One `LogBatch` on disk. Of a rejection only what the log shows: no names, no rules."""

    lane: Lane
    request_id: str
    scored_at: datetime
    record_ids: list[str]
    columns: list[Cells]
    outputs: list[Cells]
    outlier_scores: bytes | None
    outliers: bytes | None
    rejected: list[tuple[int, str | None, RejectionCode]]
    entry_ids: list[str]
    event_times: list[datetime]


@dataclass(frozen=True, slots=True)
class Segment:
    """What was read: `torn_entries` were in a last frame that was cut off while it was written."""

    model: ModelDescription
    frames: tuple[Frame, ...]
    entries: int
    torn_bytes: int
    torn_entries: int


class SegmentWriter:
    """The open segment. Not thread-safe."""

    def __init__(self, path: Path, header: bytes) -> None:
        """Create the file, lock it and write the header.

        Raises OSError when it exists, or when another reader was faster than the lock.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(path, flags, 0o600)
        self.size = 0
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(self._file).st_nlink == 0:
                raise FileNotFoundError(str(path))
            self.append(header)
        except OSError:
            os.close(self._file)
            raise

    def append(self, frame: bytes) -> None:
        """Write one frame with one call; on OSError the segment ends where it ended before."""
        written = 0
        try:
            written = os.write(self._file, frame)
        finally:
            if written != len(frame):
                os.ftruncate(self._file, self.size)
        if written != len(frame):
            raise OSError("the device took only a part of the frame")
        self.size += written

    def close(self) -> None:
        """Give the segment to whoever uploads."""
        os.close(self._file)


@contextmanager
def claimed(path: Path) -> Iterator[IO[bytes] | None]:
    """The file of a segment that nobody writes, locked; None when somebody does or it is gone."""
    try:
        file = path.open("r+b")  # some file systems lock exclusively only what is open for writing
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file if os.fstat(file.fileno()).st_nlink else None


def encode_header(model: ModelDescription) -> bytes:
    """The header of the segments of one model."""
    manifest = msgspec.structs.replace(model.manifest, example=None, files={})
    return _framed(_ENCODER.encode(manifest), 0)


def encode_frame(entries: LogBatch) -> bytes:
    """The frame of one `LogBatch`."""
    scored = entries.scored
    frame = Frame(
        lane=entries.lane,
        request_id=entries.request_id,
        scored_at=entries.scored_at,
        record_ids=list(scored.batch.record_ids),
        columns=[_packed(column) for column in scored.batch.columns],
        outputs=[_packed(column) for column in scored.outputs.values()],
        outlier_scores=None if scored.outlier_scores is None else scored.outlier_scores.tobytes(),
        outliers=None if scored.outliers is None else scored.outliers.tobytes(),
        rejected=[(r.position, r.record_id, r.code) for r in entries.rejected],
        entry_ids=list(entries.entry_ids),
        event_times=list(entries.event_times),
    )
    return _framed(_ENCODER.encode(frame), len(entries))


def read_segment(data: bytes) -> Segment | None:
    """A whole segment; None when nothing was ever written to it.

    A torn last frame is left out. Raises UnreadableSegment.
    """
    if not data:
        return None
    payloads, end, torn_entries = _payloads(data)
    entries = sum(count for _, count in payloads)
    if not payloads:
        raise UnreadableSegment("the header is torn", 0)
    try:
        manifest = msgspec.msgpack.decode(payloads[0][0], type=Manifest)
        model = ModelDescription(manifest, manifest_schema(manifest))
        frames = tuple(_DECODER.decode(payload) for payload, _ in payloads[1:])
    except (msgspec.DecodeError, BundleError) as error:
        raise UnreadableSegment(type(error).__name__, entries) from error
    return Segment(model, frames, entries, len(data) - end, torn_entries)


def segment_table(segment: Segment) -> "pa.Table":
    """All entries of a segment as one table of the inference log, scored ones first.

    Imports pyarrow. Built once for all frames: a table per request costs more than scoring it.
    Raises UnreadableSegment when the frames do not fit the header's model. `frames` is not empty.
    """
    try:
        return _table(segment)
    except (ValueError, TypeError, LookupError, NotImplementedError) as error:
        raise UnreadableSegment(type(error).__name__, segment.entries) from error


def _table(segment: Segment) -> "pa.Table":
    import pyarrow as pa

    from adapters.parquet_log import log_table

    frames, model = segment.frames, segment.model
    table = log_table(model.schema, model.output_columns, _merged(segment))
    counts = [len(f.record_ids) for f in frames] + [len(f.rejected) for f in frames]
    per_frame = {
        "lane": [f.lane for f in frames],
        "request_id": [f.request_id for f in frames],
        "scored_at": [f.scored_at for f in frames],
    }
    at = np.repeat(np.tile(np.arange(len(frames)), 2), counts)
    for name, values in per_frame.items():
        field = table.schema.field(name)
        column = pa.array(values, field.type).take(pa.array(at))
        table = table.set_column(table.schema.get_field_index(name), field, column)
    return table


def _merged(segment: Segment) -> LogBatch:
    """The entries of all frames under the first one's lane, request and time."""
    frames, model = segment.frames, segment.model
    features = model.schema.features
    batch = RecordBatch(
        tuple(i for f in frames for i in f.record_ids),
        tuple(_column([f.columns[i] for f in frames], x.dtype) for i, x in enumerate(features)),
    )
    outputs = {
        c.name: _column([f.outputs[i] for f in frames], OUTPUT_DTYPES[c.type])
        for i, c in enumerate(model.output_columns)
    }
    scores = _optional([f.outlier_scores for f in frames], np.dtype(np.float64))
    flags = _optional([f.outliers for f in frames], np.dtype(np.bool_))
    rejected = tuple(
        Rejection(position, record_id, (Violation(None, code, _RULE),))
        for f in frames
        for position, record_id, code in f.rejected
    )
    return LogBatch(
        lane=frames[0].lane,
        request_id=frames[0].request_id,
        scored_at=frames[0].scored_at,
        scored=ScoredBatch(model.version, batch, outputs, scores, flags),
        rejected=rejected,
        entry_ids=_scored_first([(f.entry_ids, len(f.record_ids)) for f in frames]),
        event_times=_scored_first([(f.event_times, len(f.record_ids)) for f in frames]),
    )


def _scored_first(parts: Sequence[tuple[list[Any], int]]) -> list[Any]:
    scored = [item for items, count in parts for item in items[:count]]
    return scored + [item for items, count in parts for item in items[count:]]


def _packed(column: Column) -> Cells:
    return column.tolist() if column.dtype == object else column.tobytes()


def _column(parts: Sequence[Cells], dtype: np.dtype[Any]) -> Column:
    """The parts as one array; it is an array of objects when one of them is."""
    raw = [part for part in parts if isinstance(part, bytes)]
    if len(raw) == len(parts):
        return np.frombuffer(b"".join(raw), dtype)
    items = [item for part in parts for item in _items(part, dtype)]
    return np.fromiter(items, dtype=object, count=len(items))


def _items(part: Cells, dtype: np.dtype[Any]) -> list[Any]:
    if isinstance(part, bytes):
        return list(np.frombuffer(part, dtype))
    if dtype == _DATETIME:
        return [None if item is None else np.datetime64(item, "ns") for item in part]
    return part


def _optional(parts: Sequence[bytes | None], dtype: np.dtype[Any]) -> Column | None:
    raw = [part for part in parts if part is not None]
    return np.frombuffer(b"".join(raw), dtype) if raw else None


def _framed(payload: bytes, entries: int) -> bytes:
    return _PREFIX.pack(len(payload), zlib.crc32(payload), entries) + payload


def _payloads(data: bytes) -> tuple[list[tuple[bytes, int]], int, int]:
    """(payload, entries) of every whole frame, where they end, and the entries of a torn one."""
    payloads: list[tuple[bytes, int]] = []
    offset = 0
    while offset + _PREFIX.size <= len(data):
        length, checksum, entries = _PREFIX.unpack_from(data, offset)
        payload = data[offset + _PREFIX.size : offset + _PREFIX.size + length]
        # A length of zero is what a crash of the machine leaves of a write: zeros.
        if not length or len(payload) != length or zlib.crc32(payload) != checksum:
            return payloads, offset, entries
        payloads.append((payload, entries))
        offset += _PREFIX.size + length
    return payloads, offset, 0


def _plain(value: Any) -> int:
    if isinstance(value, np.datetime64):
        return int(value.astype(_DATETIME).astype(np.int64))
    raise TypeError("a cell of a type that no column has")


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_plain)
_DECODER: Final = msgspec.msgpack.Decoder(Frame)
