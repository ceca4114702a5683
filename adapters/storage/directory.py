"""Files of a directory, through fsspec, where that says what went wrong."""

import errno
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

from fsspec.spec import AbstractFileSystem

from adapters.storage.directory_lease import DirectoryLease
from adapters.storage.errors import Changed
from adapters.storage.files import FileInfo, Found
from adapters.storage.leases import Lease
from adapters.storage.retries import Retries

_NO_LINKS: Final = (errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP)
_PATIENCE_SECONDS: Final = 60.0
_MISSING: Final = (FileNotFoundError, NotADirectoryError)


class DirectoryFiles:
    """See `Files`. A file is written beside its name, forced to the disk, and then named."""

    buffer_bytes = 1 << 18

    def __init__(self, filesystem: AbstractFileSystem) -> None:
        """`filesystem` is fsspec's for local files."""
        self._filesystem = filesystem

    def write(self, path: str, data: bytes) -> None:
        """See `Files`."""
        target = Path(path)
        temporary = self._written_beside(target, data)
        try:
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def write_new(self, path: str, data: bytes) -> bool:
        """See `Files`. Where there are no hard links, only a file that is made by this method too
        counts as there at the same moment.
        """
        target = Path(path)
        temporary = self._written_beside(target, data)
        try:
            self._filesystem.link(str(temporary), path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _named_alone(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def read(self, path: str) -> bytes:
        """See `Files`."""
        with self._filesystem.open(path, "rb") as file:
            return bytes(file.read())

    def open(self, path: str) -> "FileContent":
        """See `Files`."""
        return FileContent(self._filesystem.open(path, "rb"))

    def exists(self, path: str) -> bool:
        """See `Files`. A directory exists, even an empty one."""
        try:
            self._filesystem.info(path)
        except _MISSING:
            return False
        return True

    def delete(self, path: str) -> None:
        """See `Files`."""
        self._filesystem.rm_file(path)

    def find(self, path: str) -> Found:
        """See `Files`. Links to directories are not followed."""
        # Not fsspec's find: it leaves out what lies in a directory that cannot be read.
        try:
            entries = self._filesystem.ls(path, detail=True)
        except _MISSING:  # or gone since its parent was read
            return Found([])
        directories = [e["name"] for e in entries if e["type"] == "directory"]
        others = (self._resolved(e) for e in entries if e["type"] != "directory")
        return Found([_info(e) for e in others if e["type"] != "directory"], directories)

    def directories(self, path: str) -> Sequence[str]:
        """See `Files`."""
        return self.find(path).directories

    def lease(self, path: str, url: str, retries: Retries, term_seconds: int) -> Lease:  # noqa: ARG002
        """See `Files`. The system notices a death at once."""
        return DirectoryLease(Path(path), url, retries)

    def _written_beside(self, target: Path, data: bytes) -> Path:
        self._filesystem.makedirs(str(target.parent), exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
        try:
            with self._filesystem.open(str(temporary), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _resolved(self, entry: dict[str, Any]) -> dict[str, Any]:
        """A file as it is, a link as what it leads to. One that leads nowhere stays a link: whoever
        reads it is told.
        """
        if not entry["islink"]:
            return entry
        try:
            target: dict[str, Any] = self._filesystem.info(entry["name"])
        except FileNotFoundError:
            return entry
        return target


class FileContent:
    """See `Content`: an inode, which stays when its name is given to another."""

    def __init__(self, file: IO[bytes]) -> None:
        status = os.fstat(file.fileno())
        self.size = status.st_size
        self.etag = _etag(status.st_size, status.st_mtime, status.st_ino)
        self._file = file

    def read(self, start: int, count: int) -> bytes:
        """See `Content`."""
        self._file.seek(start)
        data = self._file.read(count)
        status = os.fstat(self._file.fileno())  # it may be written to in place
        if _etag(status.st_size, status.st_mtime, status.st_ino) != self.etag:
            raise Changed
        return data

    def close(self) -> None:
        """See `Content`."""
        self._file.close()


def _named_alone(temporary: Path, target: Path) -> bool:
    lease = DirectoryLease(target.with_name(f".{target.name}.new.lock"), str(target), Retries())
    lease.acquire(_PATIENCE_SECONDS)
    with lease:
        if target.exists():
            return False
        temporary.replace(target)
    return True


def _info(entry: dict[str, Any]) -> FileInfo:
    size = int(entry["size"])
    return FileInfo(entry["name"], size, _etag(size, entry["mtime"], entry["ino"]))


def _etag(size: int, changed: float, inode: int) -> str:
    """Two writes may share a time of change; each has an inode of its own."""
    return f"{size}-{changed}-{inode}"
