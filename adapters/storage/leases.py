"""At most one holder at a time."""

import os
import socket
import time
from abc import ABC, abstractmethod
from typing import Self

from scoring.errors import LeaseHeld, TransientError


class Lease(ABC):
    """What one holder at a time has, among all threads, processes and machines.

    It is free again when its holder releases it or dies: that of a directory at once, that of a
    blob within a minute. Entering acquires it, unless that was done, and leaving releases it. All
    methods may block on storage and raise StorageUnavailable and ConfigurationError. Of one thread
    at a time, but `check` of any.
    """

    poll_seconds = 0.1

    def __init__(self, url: str) -> None:
        """Use `Storage.lease`."""
        self._url = url
        self._held = False

    def acquire(self, wait_seconds: float = 0.0) -> None:
        """Hold it; waits up to that long for another holder to end. Raises LeaseHeld."""
        deadline = time.monotonic() + wait_seconds
        while not self._held:
            self._held = self._take()
            left = deadline - time.monotonic()
            if not self._held and left <= 0:
                holder = self._holder()
                raise LeaseHeld(f"{holder or 'another process'} holds {self._url}")
            if not self._held:
                time.sleep(min(left, self.poll_seconds))

    def check(self) -> None:
        """To be called before what only the holder may do. Raises TransientError when the lease
        was lost or is not held.
        """
        if not self._held or not self._still():
            raise TransientError(f"the lease {self._url} was lost: another may hold it by now")

    def release(self, remove: bool = True) -> None:
        """Let another have it; with `remove` nothing of it stays in the storage. May be repeated,
        and does not fail: a lease that cannot be released ends by itself.
        """
        if self._held:
            self._held = False
            self._give(remove)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @abstractmethod
    def _take(self) -> bool:
        """Try to hold it, once."""

    @abstractmethod
    def _still(self) -> bool:
        """Whether what was taken is still held."""

    @abstractmethod
    def _give(self, remove: bool) -> None:
        """Undo that."""

    @abstractmethod
    def _holder(self) -> str:
        """Who holds it, if that can be found out."""


def this_process() -> str:
    """A holder's name, for people."""
    return f"process {os.getpid()} on {socket.gethostname()}"
