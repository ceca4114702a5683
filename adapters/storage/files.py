"""What the door needs of a place where files lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from adapters.storage.leases import Lease
from adapters.storage.retries import Retries


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One stored file: path relative to the storage, size in bytes, and a tag that changes with
    its content (an etag, or size, time of change and inode).
    """

    path: str
    size: int
    etag: str


class Found(NamedTuple):
    """Files under their full paths, and directories that are to be looked into."""

    files: Sequence[FileInfo]
    directories: Sequence[str] = ()


class Content(Protocol):
    """What a file held when it was opened; it stays that, or reading it fails.

    `etag` is that of `FileInfo`. Used by one thread at a time.
    """

    size: int
    etag: str

    def read(self, start: int, count: int) -> bytes:
        """The bytes from `start` on; fewer than `count` at the end only."""
        ...

    def close(self) -> None:
        """May be repeated."""
        ...


class Files(Protocol):
    """Files by their full paths. Safe to use from several threads.

    Every method may block, is tried once, and raises what its technology raises: OSError (of which
    FileNotFoundError says that a file to read or delete is missing) or azure.core's errors.
    """

    buffer_bytes: int
    """How much to read at once."""

    def write(self, path: str, data: bytes) -> None:
        """Put a whole file, all or nothing."""
        ...

    def write_new(self, path: str, data: bytes) -> bool:
        """Put a whole file, all or nothing; False, and nothing put, where one of that name is."""
        ...

    def read(self, path: str) -> bytes:
        """A whole file."""
        ...

    def open(self, path: str) -> Content:
        """A file to be read in pieces."""
        ...

    def exists(self, path: str) -> bool:
        """Whether a file or a non-empty prefix of that name exists."""
        ...

    def delete(self, path: str) -> None:
        """Remove one file."""
        ...

    def find(self, path: str) -> Found:
        """The file of that name, or what lies below it. Nothing is left out because it could not
        be looked at.
        """
        ...

    def directories(self, path: str) -> Sequence[str]:
        """The full paths of the directories, or prefixes, directly below it."""
        ...

    def lease(self, path: str, url: str, retries: Retries, term_seconds: int) -> Lease:
        """A lease that lies at `path`, which errors call `url`. Where nobody notices that its
        holder died, it ends after `term_seconds`.
        """
        ...
