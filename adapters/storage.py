"""The storage door: one way to files, whether they lie in a directory or in Azure Blob Storage.

`file:///dir` or a plain path is a directory; `memory://name` lives in this process (tests);
`abfs://container@account.dfs.core.windows.net/prefix` (also abfss:, az:) is Azure Blob Storage or
ADLS Gen2 through adlfs and azure-storage-blob, with a connection string or workload identity.
Paths inside are relative, with forward slashes. Neither URLs nor paths are percent-decoded: a
character stands for itself.
"""

import io
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.spec import AbstractFileSystem

from scoring.errors import ConfigurationError, InputError, StorageUnavailable

_AZURE = ("abfs", "abfss", "az")
_BUFFER_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One stored file: path relative to the storage, size in bytes, and a tag that changes with
    its content (an etag, or size and time of change).
    """

    path: str
    size: int
    etag: str


class Storage:
    """Files under one URL. Every method may block on the network.

    Raises StorageUnavailable when the storage does not answer, InputError when a file to read does
    not exist. Safe to use from several threads.
    """

    def __init__(self, filesystem: AbstractFileSystem, root: str, url: str) -> None:
        """Use `open_storage`."""
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self.url = url

    def url_of(self, path: str) -> str:
        """The full URL of a path, for people and manifests."""
        return f"{self.url.rstrip('/')}/{path}"

    def write(self, path: str, data: bytes) -> None:
        """Put a whole file; readers see all of it or nothing. Overwrites."""
        target = self._full(path)
        with _translated(self.url_of(path)):
            if self._is_local():
                _write_local(Path(target), data)
            else:
                self._filesystem.pipe_file(target, data)

    def read(self, path: str) -> bytes:
        """A whole file."""
        with _translated(self.url_of(path)):
            data = self._filesystem.cat_file(self._full(path))
        return bytes(data)

    def open(self, path: str) -> IO[bytes]:
        """A file to be read in pieces, buffered and seekable; the caller closes it."""
        with _translated(self.url_of(path)):
            file: IO[bytes] = self._filesystem.open(self._full(path), "rb")
        return io.BufferedReader(_Pieces(file, self.url_of(path)), _BUFFER_BYTES)

    def exists(self, path: str) -> bool:
        """Whether a file or a non-empty prefix of that name exists."""
        with _translated(self.url_of(path)):
            self._filesystem.invalidate_cache()
            return bool(self._filesystem.exists(self._full(path)))

    def delete(self, path: str) -> None:
        """Remove one file; nothing happens when it is gone already."""
        with _translated(self.url_of(path)):
            try:
                self._filesystem.rm_file(self._full(path))
            except FileNotFoundError:
                return

    def list(self, prefix: str = "") -> list[FileInfo]:
        """All files under a prefix, at any depth, sorted by path. A prefix that does not exist has
        none. `prefix` may name one file.
        """
        full = self._full(prefix)
        with _translated(self.url_of(prefix)):
            self._filesystem.invalidate_cache()
            found = self._filesystem.find(full, detail=True)
            if isinstance(found, list):  # adlfs, when the prefix is one file
                found = {name: self._filesystem.info(name) for name in found}
        infos = [_info(self._relative(name), detail) for name, detail in found.items()]
        return sorted((i for i in infos if not _is_temporary(i.path)), key=lambda i: i.path)

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}".rstrip("/") if path else self._root

    def _relative(self, full: str) -> str:
        return full.lstrip("/").removeprefix(self._root.lstrip("/")).lstrip("/")

    def _is_local(self) -> bool:
        return "file" in self._filesystem.protocol


def open_storage(url: str, connection_string: str | None = None) -> Storage:
    """The storage at a URL; connects lazily. Raises ConfigurationError for an unknown scheme, a
    malformed connection string, or without the package that the scheme needs.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        url, scheme = f"file://{Path(url).absolute().as_posix()}", "file"
    if scheme in _AZURE:
        return _open_azure(url, connection_string)
    if scheme not in ("file", "memory"):
        raise ConfigurationError(
            f"storage URL '{scheme}://…' is not supported; use file:, memory: or abfs:"
        )
    filesystem, root = fsspec.core.url_to_fs(url)
    return Storage(filesystem, root, url)


def _open_azure(url: str, connection_string: str | None) -> Storage:
    try:
        import adlfs  # noqa: F401  (registers itself; imported here for a clear error)
    except ImportError as error:
        raise ConfigurationError("Azure storage URLs need the extra 'azure'") from error
    options: dict[str, Any] = (
        {"connection_string": connection_string} if connection_string else {"anon": False}
    )
    try:
        filesystem, root = fsspec.core.url_to_fs(url, **options)
    except ValueError:  # its text is not repeated: what is malformed holds a secret
        raise ConfigurationError("the storage connection string or URL is malformed") from None
    return Storage(filesystem, root, url)


def _write_local(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _is_temporary(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.startswith(".") and name.endswith(".tmp")


def _info(path: str, detail: dict[str, Any]) -> FileInfo:
    size = int(detail.get("size") or 0)
    changed = detail.get("mtime") or detail.get("created")
    # Two writes may share a time of change; each has an inode of its own.
    etag = detail.get("etag") or f"{size}-{changed}-{detail.get('ino', 0)}"
    return FileInfo(path, size, str(etag))


class _Pieces(io.RawIOBase):
    """An open file whose every read has its errors translated."""

    def __init__(self, file: IO[bytes], what: str) -> None:
        self._file = file
        self._what = what

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with _translated(self._what):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        with _translated(self._what):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{what} does not exist") from error
    except (OSError, TimeoutError) as error:
        raise StorageUnavailable(f"{what}: {error.strerror or type(error).__name__}") from error
    except Exception as error:
        if type(error).__module__.startswith("azure."):
            raise StorageUnavailable(f"{what}: {type(error).__name__}") from error
        raise
