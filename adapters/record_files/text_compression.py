"""Compressed files as what they hold; the content says how it is compressed, not the name."""

import bz2
import io
import lzma
import re
from collections.abc import Callable
from typing import IO, Any, Final, Protocol, cast

import pyarrow as pa

from scoring.errors import InputError

_HEAD_BYTES: Final = 10

# gzip: RFC 1952. zstd with its skippable frames: RFC 8878. bzip2: a level and the mark of a block,
# or that of the end of an empty file. xz: its format description.
_MAGIC: Final = (
    ("gzip", re.compile(rb"\x1f\x8b\x08")),
    ("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")),
    ("bzip2", re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)")),
    ("xz", re.compile(rb"\xfd7zXZ\x00")),
)


class Readable(Protocol):
    """What text is read from."""

    def read(self, size: int, /) -> bytes:
        """At least one byte and at most `size`; none at the end only. May block."""


class Peekable(io.RawIOBase):
    """Bytes of which the next ones can be looked at. Closing it closes nothing else."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        """`read` is that of a `Readable`."""
        self._more = read
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end only; they will be read again. May block."""
        while len(self._ahead) < size and (more := self._more(size - len(self._ahead))):
            self._ahead += more
        return self._ahead[:size]

    def forget(self) -> None:
        """Drop what was only looked at."""
        self._ahead = b""

    def read(self, size: int = io.DEFAULT_BUFFER_SIZE, /) -> bytes:
        """As `Readable.read`."""
        if not self._ahead:
            return self._more(size)
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data

    def readinto(self, buffer: Any, /) -> int:
        """Fill some of a buffer; how many bytes of it."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        """It is."""
        return True


def decompressed(file: Peekable, url: str) -> Readable | None:
    """What the file holds, or None when it is not compressed. Blocks on the file.

    A file of several members, frames or streams holds them one after the other. Reading raises
    InputError when the file is damaged or cut.
    """
    head = file.peek(_HEAD_BYTES)
    for name, magic in _MAGIC:
        if magic.match(head):
            return _Decompressed(file, name, url)
    return None


class _Decompressed:
    def __init__(self, file: Peekable, name: str, url: str) -> None:
        self._data: Readable
        if name == "xz":
            self._data = lzma.LZMAFile(cast(IO[bytes], file))  # noqa: SIM115 (of the caller's file)
        elif name == "bzip2":  # Arrow fails on an empty stream among others
            self._data = bz2.BZ2File(cast(IO[bytes], file))
        else:
            self._data = pa.CompressedInputStream(file, name)
        self._what = f"{url} cannot be read as {name}"

    def read(self, size: int, /) -> bytes:
        try:
            return self._data.read(size)
        except (pa.ArrowException, lzma.LZMAError, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the file's own, not one of what is in it
            raise InputError(f"{self._what}: it is damaged or cut") from error
