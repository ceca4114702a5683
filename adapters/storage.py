"""The storage door: one way to files, whether they lie in a directory or in Azure Blob Storage.

`file:///dir` or a plain path is a directory; `memory://name` lives in this process (tests);
`abfs://container@account.dfs.core.windows.net/prefix` (also abfss:, az:) is Azure Blob Storage or
ADLS Gen2 through adlfs and azure-storage-blob, with a connection string or workload identity.
Paths inside are relative, with forward slashes.
"""

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
        """A file to be read in pieces; the caller closes it."""
        with _translated(self.url_of(path)):
            file: IO[bytes] = self._filesystem.open(self._full(path), "rb")
        return file

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
            found: dict[str, dict[str, Any]] = self._filesystem.find(full, detail=True)
        infos = [_info(self._relative(name), detail) for name, detail in found.items()]
        return sorted((i for i in infos if not _is_temporary(i.path)), key=lambda i: i.path)

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}".rstrip("/") if path else self._root

    def _relative(self, full: str) -> str:
        return full.lstrip("/").removeprefix(self._root.lstrip("/")).lstrip("/")

    def _is_local(self) -> bool:
        return "file" in self._filesystem.protocol


def open_storage(url: str, connection_string: str | None = None) -> Storage:
    """The storage at a URL; connects lazily. Raises ConfigurationError for an unknown scheme."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        url, scheme = Path(url).absolute().as_uri(), "file"
    if scheme in _AZURE:
        return _open_azure(url, connection_string)
    if scheme not in ("file", "memory"):
        raise ConfigurationError(
            f"storage URL '{scheme}://…' is not supported; use file:, memory: or abfs:"
        )
    filesystem, root = fsspec.core.url_to_fs(url)
    return Storage(filesystem, root, url)


def split_url(url: str) -> tuple[str, str]:
    """A file's URL as (URL of its directory, its name)."""
    head, _, tail = url.rstrip("/").rpartition("/")
    return (head or "."), tail


def _open_azure(url: str, connection_string: str | None) -> Storage:
    try:
        import adlfs  # noqa: F401  (registers itself; imported here for a clear error)
    except ImportError as error:
        raise ConfigurationError("Azure storage URLs need the extra 'azure'") from error
    options: dict[str, Any] = (
        {"connection_string": connection_string} if connection_string else {"anon": False}
    )
    filesystem, root = fsspec.core.url_to_fs(url, **options)
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
    etag = detail.get("etag") or f"{size}-{detail.get('mtime') or detail.get('created')}"
    return FileInfo(path, size, str(etag))


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
