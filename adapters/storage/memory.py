"""Files in the memory of this process, for tests; all doors to one URL see the same."""

import threading
from collections.abc import Sequence
from typing import Final

from fsspec.spec import AbstractFileSystem

from adapters.storage.files import FileInfo, Found
from adapters.storage.leases import Lease, this_process
from adapters.storage.retries import Retries

# As fsspec's own store, these are those of the process.
_WRITING: Final = threading.Lock()
_HELD: Final[set[str]] = set()


class MemoryFiles:
    """See `Files`."""

    buffer_bytes = 1 << 18

    def __init__(self, filesystem: AbstractFileSystem) -> None:
        """`filesystem` is fsspec's."""
        self._filesystem = filesystem

    def write(self, path: str, data: bytes) -> None:
        """See `Files`."""
        with _WRITING:
            self._filesystem.pipe_file(path, data)

    def write_new(self, path: str, data: bytes) -> bool:
        """See `Files`."""
        with _WRITING:
            try:
                self._filesystem.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
        return True

    def read(self, path: str) -> bytes:
        """See `Files`."""
        return bytes(self._filesystem.cat_file(path))

    def open(self, path: str) -> "MemoryContent":
        """See `Files`. The content is a copy: fsspec would share one position among readers."""
        data = self.read(path)
        return MemoryContent(data, next((file.etag for file in self.find(path).files), ""))

    def exists(self, path: str) -> bool:
        """See `Files`."""
        return bool(self._filesystem.exists(path))

    def delete(self, path: str) -> None:
        """See `Files`."""
        self._filesystem.rm_file(path)

    def find(self, path: str) -> Found:
        """See `Files`."""
        found = self._filesystem.find(path, detail=True)
        return Found(
            [
                FileInfo(name, detail["size"], f"{detail['size']}-{detail['created']}")
                for name, detail in found.items()
            ]
        )

    def directories(self, path: str) -> Sequence[str]:
        """See `Files`."""
        try:
            entries = self._filesystem.ls(path, detail=True)
        except FileNotFoundError:
            return []
        return [e["name"] for e in entries if e["type"] == "directory"]

    def lease(self, path: str, url: str, retries: Retries, term_seconds: int) -> Lease:  # noqa: ARG002
        """See `Files`."""
        return MemoryLease(path, url)


class MemoryContent:
    """See `Content`."""

    def __init__(self, data: bytes, etag: str) -> None:
        self.size = len(data)
        self.etag = etag
        self._data = data

    def read(self, start: int, count: int) -> bytes:
        """See `Content`."""
        return self._data[start : start + count]

    def close(self) -> None:
        """See `Content`."""


class MemoryLease(Lease):
    """Of this process."""

    poll_seconds = 0.01

    def __init__(self, path: str, url: str) -> None:
        super().__init__(url)
        self._path = path

    def _take(self) -> bool:
        with _WRITING:
            taken = self._path not in _HELD
            _HELD.add(self._path)
        return taken

    def _still(self) -> bool:
        return True

    def _give(self, remove: bool) -> None:  # noqa: ARG002
        with _WRITING:
            _HELD.discard(self._path)

    def _holder(self) -> str:
        return this_process()
