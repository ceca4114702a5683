"""A lease in a directory: a locked file."""

import fcntl
import os
from pathlib import Path
from typing import Final

from adapters.storage.errors import translated
from adapters.storage.leases import Lease, this_process
from adapters.storage.retries import Retries

_MOST_BYTES: Final = 400


class DirectoryLease(Lease):
    """flock(2) on a file, which the system undoes when the process ends, however it does.

    The lock belongs to the opened file, so threads exclude each other too, and a child that was
    forked without exec keeps it. A file that was removed while it was waited for is no lease any
    more: what counts is the one that has the name.
    """

    def __init__(self, path: Path, url: str, retries: Retries) -> None:
        super().__init__(url)
        self._path = path
        self._retries = retries
        self._descriptor = -1

    def _take(self) -> bool:
        return self._retries.call(self._try)

    def _try(self) -> bool:
        with translated(self._url, "written"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_named(descriptor):
                    os.truncate(descriptor, 0)
                    os.pwrite(descriptor, this_process().encode(), 0)
                    self._descriptor, descriptor = descriptor, -1
                    return True
            except BlockingIOError:
                return False
            finally:
                if descriptor >= 0:
                    os.close(descriptor)
        return False

    def _still(self) -> bool:
        with translated(self._url, "read"):
            return self._is_named(self._descriptor)

    def _give(self, remove: bool) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if remove and self._is_named(descriptor):
                self._path.unlink()
        except OSError:
            pass  # an unlocked file is a free lease
        finally:
            os.close(descriptor)

    def _holder(self) -> str:
        try:
            return self._path.read_bytes()[:_MOST_BYTES].decode("utf-8", "replace")
        except OSError:
            return ""

    def _is_named(self, descriptor: int) -> bool:
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(descriptor), named)
