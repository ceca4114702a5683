"""Storage: what the rest of the code knows of files."""

from collections.abc import Callable, Iterator, Sequence
from typing import IO, TypeVar

from adapters.storage.errors import Action, translated
from adapters.storage.files import Content, FileInfo, Files
from adapters.storage.leases import Lease
from adapters.storage.reading import buffered
from adapters.storage.retries import Retries
from scoring.errors import InputError

T = TypeVar("T")


class Storage:
    """Files under one URL. Every method may block on the network.

    Raises StorageUnavailable when the storage does not answer, after trying again for as long as
    it was opened with; ConfigurationError when it denies permission; InputError when a file to
    read does not exist. Safe to use from several threads.
    """

    def __init__(self, files: Files, root: str, url: str, retries: Retries) -> None:
        """Use `open_storage`. `url` has no secrets."""
        self._files = files
        self._root = root.rstrip("/")
        self._retries = retries
        self.url = url

    def url_of(self, path: str) -> str:
        """The full URL of a path, for people and manifests."""
        return f"{self.url.rstrip('/')}/{path}"

    def write(self, path: str, data: bytes) -> None:
        """Put a whole file; readers see all of it or nothing. Overwrites."""
        self._call(path, "written", lambda full: self._files.write(full, data))

    def write_new(self, path: str, data: bytes) -> bool:
        """Put a whole file unless one of that name exists; whether it was put. Readers see all of
        it or nothing, and of writers at the same moment one gets True.

        Where an answer was lost and the call was tried again, a file with exactly this content
        counts as put: it may be another writer's.
        """
        tried = False

        def attempt(full: str) -> bool:
            nonlocal tried
            again, tried = tried, True
            return self._files.write_new(full, data) or (again and self._holds(full, data))

        return self._call(path, "written", attempt)

    def read(self, path: str) -> bytes:
        """A whole file."""
        return self._call(path, "read", self._files.read)

    def open(self, path: str, etag: str | None = None) -> IO[bytes]:
        """A file to be read in pieces, buffered and seekable; the caller closes it.

        Whoever reads it gets what it was when it was opened, or InputError because it changed
        since; or, with the `etag` of a `FileInfo`, since it was listed.
        """

        def content() -> Content:
            return self._files.open(self._full(path))

        url = self.url_of(path)
        opened = self._call(path, "read", self._files.open)
        if etag is not None and opened.etag != etag:
            opened.close()
            raise InputError(f"{url} changed since it was listed")
        return buffered(opened, content, url, self._retries, self._files.buffer_bytes)

    def exists(self, path: str) -> bool:
        """Whether a file or a non-empty prefix of that name exists."""
        return self._call(path, "read", self._files.exists)

    def delete(self, path: str) -> None:
        """Remove one file; nothing happens when it is gone already."""

        def attempt(full: str) -> None:
            try:
                self._files.delete(full)
            except FileNotFoundError:
                return

        self._call(path, "written", attempt)

    def list(self, prefix: str = "") -> list[FileInfo]:
        """All files under a prefix, at any depth, sorted by path. A prefix that does not exist has
        none. `prefix` may name one file. Leases, and what writers have not finished, are no files.
        """
        infos = (info for info in self._everything(prefix) if not _is_own(info.path))
        return sorted(infos, key=lambda info: info.path)

    def directories(self, prefix: str = "") -> Sequence[str]:
        """The names of the directories directly below a prefix, sorted; hidden ones are left out.
        What lies in them is not looked at.
        """
        found = self._call(prefix, "read", self._files.directories)
        names = (path.rstrip("/").rpartition("/")[2] for path in found)
        return sorted(name for name in names if not name.startswith("."))

    def sweep(self, prefix: str = "") -> None:
        """Remove what writers below a prefix left behind when they were killed. Only for who knows
        that nobody writes there at this moment.
        """
        for info in self._everything(prefix):
            if _is_own(info.path) and info.path.endswith(".tmp"):
                self.delete(info.path)

    def lease(self, path: str, term_seconds: int = 60) -> Lease:
        """A lease of that name; no list shows it. It is not acquired yet.

        On Azure that of a holder that died ends after `term_seconds`, 15 to 60.
        """
        directory, separator, name = self._full(path).rpartition("/")
        full = f"{directory}{separator}.{name}.lock"
        return self._files.lease(full, self.url_of(path), self._retries, term_seconds)

    def _everything(self, prefix: str) -> Iterator[FileInfo]:
        unseen = [self._full(prefix)]
        while unseen:
            found = self._call_at(unseen.pop(), "read", self._files.find)
            unseen += found.directories
            for info in found.files:
                yield FileInfo(self._relative(info.path), info.size, info.etag)

    def _call(self, path: str, action: Action, function: Callable[[str], T]) -> T:
        return self._call_at(self._full(path), action, function)

    def _call_at(self, full: str, action: Action, function: Callable[[str], T]) -> T:
        url = self.url_of(self._relative(full))

        def attempt() -> T:
            with translated(url, action):
                return function(full)

        return self._retries.call(attempt)

    def _holds(self, full: str, data: bytes) -> bool:
        try:
            return self._files.read(full) == data
        except FileNotFoundError:
            return False

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}".rstrip("/") if path else self._root

    def _relative(self, full: str) -> str:
        return full.lstrip("/").removeprefix(self._root.lstrip("/")).lstrip("/")


def _is_own(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.startswith(".") and name.endswith((".tmp", ".lock"))
