"""The spool's files: segments, each written front to back by one process and then read once.

A segment is a header and frames. Each is three little-endian unsigned 32-bit numbers (length of
the payload, its CRC-32, number of entries) and a MessagePack payload: in the header a format number
and the model's manifest, in a frame one `LogBatch` (`adapters/spool_frame.py`). The header makes a
segment readable without the model's bundle.
The writer holds the segment with flock, so a lock that can be taken means that nobody writes.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec

from scoring.bundle_schema import manifest_schema
from scoring.errors import BundleError
from scoring.manifest import Manifest
from scoring.model import ModelDescription
from scoring.records import ModelVersion

SUFFIX: Final = ".segment"
UNREADABLE_SUFFIX: Final = ".unreadable"
FORMAT: Final = 1
"""Of header and frames; a segment of another format is unreadable and kept."""

_PREFIX: Final = struct.Struct("<III")


class UnreadableSegment(Exception):
    """What a segment holds cannot be read; carries its entries, as far as they can be counted, and
    its model, as far as it is known.
    """

    def __init__(self, reason: str, entries: int, version: ModelVersion | None = None) -> None:
        super().__init__(reason)
        self.entries = entries
        self.version = version


class _Header(msgspec.Struct, array_like=True, frozen=True):
    format: int
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Segment:
    """What was read. `torn_entries` were in frames that were cut off, or damaged: they are lost,
    and `torn_bytes` is what they took.
    """

    header: bytes
    model: ModelDescription
    payloads: tuple[memoryview, ...]
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
        self.path = path
        self._file = os.open(path, flags, 0o600)
        self.size = 0
        self.entries = 0
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self.deleted():
                raise FileNotFoundError(str(path))
            self.append(header, 0)
        except OSError:
            os.close(self._file)
            raise

    def append(self, frame: bytes | bytearray, entries: int) -> None:
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
        self.entries += entries

    def deleted(self) -> bool:
        """Whether somebody deleted the file, which then has no reader."""
        return os.fstat(self._file).st_nlink == 0

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
    return bytes(framed(_ENCODER, _Header(FORMAT, manifest), 0))


def framed(encoder: msgspec.msgpack.Encoder, content: Any, entries: int) -> bytearray:
    """The content behind its prefix."""
    frame = bytearray(_PREFIX.size)
    encoder.encode_into(content, frame, _PREFIX.size)
    payload = memoryview(frame)[_PREFIX.size :]
    _PREFIX.pack_into(frame, 0, len(payload), zlib.crc32(payload), entries)
    return frame


def read_segment(data: bytes) -> Segment | None:
    """A whole segment; None when nothing was ever written to it.

    Frames that are torn or damaged are left out. Raises UnreadableSegment.
    """
    if not data:
        return None
    (header, *frames) = [*_scanned(data)] or [_Found(None, 0, 0)]
    whole = [frame for frame in (header, *frames) if frame.payload is not None]
    entries = sum(frame.entries for frame in whole)
    if header.payload is None:
        raise UnreadableSegment("the header is torn", entries)
    try:
        read = _DECODER.decode(header.payload)
        model = ModelDescription(read.manifest, manifest_schema(read.manifest))
    except (msgspec.DecodeError, BundleError) as error:
        raise UnreadableSegment(type(error).__name__, entries) from error
    if read.format != FORMAT:
        raise UnreadableSegment(f"its format is {read.format}", entries, model.version)
    return Segment(
        header=bytes(header.payload),
        model=model,
        payloads=tuple(f.payload for f in frames if f.payload is not None),
        entries=entries,
        torn_bytes=len(data) - sum(frame.size for frame in whole),
        torn_entries=sum(frame.entries for frame in frames if frame.payload is None),
    )


class _Found(NamedTuple):
    """A frame in a segment; without payload when it is torn or damaged."""

    payload: memoryview | None
    entries: int
    size: int


def _scanned(data: bytes) -> Iterator[_Found]:
    """The frames in order, as far as they can be told apart."""
    view, offset = memoryview(data), 0
    while offset + _PREFIX.size <= len(data):
        length, checksum, entries = _PREFIX.unpack_from(data, offset)
        size = _PREFIX.size + length
        payload = view[offset + _PREFIX.size : offset + size]
        # A length of zero is what a crash of the machine leaves of a write: zeros.
        if length and len(payload) == length and zlib.crc32(payload) == checksum:
            yield _Found(payload, entries, size)
        else:
            yield _Found(None, min(entries, length), size)
            if len(payload) != length or not length:
                return
        offset += size


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Header)
