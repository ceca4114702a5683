"""A directory, as fsspec shows it, where every so many calls one fails."""

import errno
import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any, Self

from fsspec.implementations.local import LocalFileSystem


class Faults:
    """Counts calls, and fails every so many of them.

    By turns the call fails before it does anything, and after it was done, as when an answer is
    lost. Thread-safe.
    """

    def __init__(self, every: int, *codes: int) -> None:
        """`codes` are those of OSError, by turns; EIO and ETIMEDOUT unless told otherwise."""
        self.raised = 0
        self._every = every
        self._calls = itertools.count(1)
        self._codes = itertools.cycle(codes or (errno.EIO, errno.ETIMEDOUT))
        self._after = itertools.cycle((False, True))
        self._lock = threading.Lock()

    @contextmanager
    def around(self) -> Iterator[None]:
        """A call is made within."""
        with self._lock:
            fails = next(self._calls) % self._every == 0
            code, after = (next(self._codes), next(self._after)) if fails else (0, False)
            self.raised += fails
        if code and not after:
            raise OSError(code, os.strerror(code))
        yield
        if code:
            raise OSError(code, os.strerror(code))


class FaultyDirectory(LocalFileSystem):  # type: ignore[misc]
    """fsspec's local files with faults; reads and writes of opened files are calls too."""

    cachable = False
    faults = Faults(10)
    """Those of doors that are opened by URL (see `tests.support.faulty_batch`)."""

    def __init__(self, faults: Faults | None = None) -> None:
        super().__init__()
        self._faults = faults or type(self).faults

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """See fsspec."""
        with self._faults.around():
            super().makedirs(path, exist_ok)

    def link(self, src: str, dst: str, **kwargs: Any) -> None:
        """See fsspec."""
        with self._faults.around():
            super().link(src, dst, **kwargs)

    def rm_file(self, path: str) -> None:
        """See fsspec."""
        with self._faults.around():
            super().rm_file(path)

    def info(self, path: Any, **kwargs: Any) -> Any:
        """See fsspec. The entries of a list are one call with it."""
        if isinstance(path, os.DirEntry):
            return super().info(path, **kwargs)
        with self._faults.around():
            return super().info(path, **kwargs)

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        with self._faults.around():
            file = super()._open(path, mode, **kwargs)
        return FaultyFile(file, self._faults)


class FaultyFile:
    """An opened file with faults."""

    def __init__(self, file: IO[bytes], faults: Faults) -> None:
        self._file = file
        self._faults = faults

    def read(self, count: int = -1) -> bytes:
        """See IO."""
        with self._faults.around():
            return self._file.read(count)

    def write(self, data: bytes) -> int:
        """See IO."""
        with self._faults.around():
            return self._file.write(data)

    def seek(self, offset: int) -> int:
        """See IO."""
        return self._file.seek(offset)

    def flush(self) -> None:
        """See IO."""
        with self._faults.around():
            self._file.flush()

    def fileno(self) -> int:
        """See IO."""
        return self._file.fileno()

    def close(self) -> None:
        """See IO."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
