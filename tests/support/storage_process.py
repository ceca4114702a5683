"""The storage door in a process of its own: `python -m tests.support.storage_process URL`.

One line in, one line out, both JSON: a method of `Door` and its arguments, what it returns. The
connection string comes from TRILANE_TEST_AZURITE_CONNECTION_STRING.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from adapters.storage import Lease, Storage, open_storage
from scoring.errors import LeaseHeld, TransientError

THREADS = 8
"""Writers of one process."""

LINES = 50_000
"""Of each writer's file."""


def create_from_threads(storage: Storage, path: str, text: str) -> list[bool]:
    """What each of several threads gets that create one file at the same moment; the n-th repeats
    the text, its number and a line's end.
    """
    with ThreadPoolExecutor(THREADS) as threads:
        contents = [f"{text} {number}\n".encode() * LINES for number in range(THREADS)]
        return list(threads.map(lambda content: storage.write_new(path, content), contents))


class Door:
    """What the process does."""

    def __init__(self, url: str) -> None:
        azure = os.environ["TRILANE_TEST_AZURITE_CONNECTION_STRING"] if "abfs" in url else None
        self._storage = open_storage(url, azure)
        self._lease: Lease | None = None

    def create(self, path: str, text: str) -> list[bool]:
        """See `create_from_threads`."""
        return create_from_threads(self._storage, path, text)

    def acquire(self, path: str, wait_seconds: float, term_seconds: int) -> str:
        """An empty text, or why not."""
        self._lease = self._storage.lease(path, term_seconds)
        try:
            self._lease.acquire(wait_seconds)
        except LeaseHeld as error:
            return str(error)
        return ""

    def check(self) -> str:
        """An empty text, or why not."""
        assert self._lease is not None
        try:
            self._lease.check()
        except TransientError as error:
            return str(error)
        return ""

    def count(self, path: str, times: int) -> int:
        """Add one to a number in a file, under a lease, several times; the last number."""
        number = 0
        for _ in range(times):
            lease = self._storage.lease(f"{path}.lease")
            lease.acquire(60)
            with lease:
                number = int(self._storage.read(path)) + 1
                self._storage.write(path, str(number).encode())
        return number

    def release(self) -> str:
        """Of the lease."""
        assert self._lease is not None
        self._lease.release()
        return ""


class DoorProcess:
    """Such a process, from outside; `with` ends it. Methods by their names: `ask("check")`."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.storage_process", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, method: str, *arguments: Any) -> None:
        """Ask, and do not wait."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([method, *arguments]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """To the question before."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, method: str, *arguments: Any) -> Any:
        """Ask, and wait."""
        self.tell(method, *arguments)
        return self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()


def main(url: str) -> None:
    """Until the input ends."""
    door = Door(url)
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        print(json.dumps(getattr(door, method)(*arguments)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
