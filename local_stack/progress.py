"""What the demo says while it works: one line per step, and a sign of life in between."""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

_QUIET_SECONDS = 3.0

T = TypeVar("T")


class Progress:
    """Numbered steps on stdout. On a terminal a running step shows its seconds; elsewhere it prints
    a line every few seconds, so that nothing waits silently.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._number = 0
        self._started = 0.0
        self._spoke = 0.0
        self._title = ""
        self._terminal = sys.stdout.isatty()

    @contextmanager
    def step(self, title: str) -> Iterator["Progress"]:
        """One step; its duration is printed when it ends well."""
        self._number += 1
        self._title = f"[{self._number:>2}/{self._total}] {title}"
        self._started = self._spoke = time.monotonic()
        self._show(f"{self._title} …", end="" if self._terminal else "\n")
        yield self
        self._show(f"{self._title}: {self._seconds():.1f} s", end="\n")

    def beat(self, detail: str = "") -> None:
        """Say that the step goes on, if it is time to."""
        now = time.monotonic()
        if now - self._spoke < (0.2 if self._terminal else _QUIET_SECONDS):
            return
        self._spoke = now
        text = f"{self._title} … {self._seconds():.0f} s {detail}"
        self._show(text, end="" if self._terminal else "\n")

    def watched(self, work: Callable[[], T], detail: str) -> T:
        """The result of a slow call, made in a thread while this one gives signs of life."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(work)
            while not future.done():
                self.beat(detail)
                time.sleep(0.1)
            return future.result()

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _show(self, text: str, end: str) -> None:
        # ESC [K clears what a longer line left on the terminal.
        print(f"\r\033[K{text}" if self._terminal else text, end=end, flush=True)
