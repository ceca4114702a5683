"""One file per partition, so that what was acknowledged outlives the process.

The file is a sequence of entries: length and CRC-32 of the body, 4 bytes each, then the body. A
process that dies (SIGKILL too) loses nothing that `append` returned for; there is no fsync, a
machine that dies may lose the last seconds. A torn entry at the end is cut when the file is opened.
"""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

_HEAD = struct.Struct(">II")


class Journal:
    """An open file. Not for several processes at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        self.bodies, end = _bodies(content)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.ftruncate(self._file, end)

    def append(self, body: bytes) -> None:
        """Returns when the operating system has it all."""
        entry = _HEAD.pack(len(body), zlib.crc32(body)) + body
        while entry:
            entry = entry[os.write(self._file, entry) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def in_directory(directory: Path | None) -> Callable[[str, int], Journal | None]:
    """Opens the journal of a hub's partition; None without a directory."""

    def open_journal(hub: str, partition: int) -> Journal | None:
        return None if directory is None else Journal(directory / hub / f"{partition}.journal")

    return open_journal


def _bodies(content: bytes) -> tuple[list[bytes], int]:
    bodies, at = [], 0
    while at + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, at)
        body = content[at + _HEAD.size : at + _HEAD.size + length]
        if len(body) < length or zlib.crc32(body) != checksum:
            break
        bodies.append(body)
        at += _HEAD.size + length
    return bodies, at
