"""The spool's directory: made, measured, and kept within its bound."""

import os
from pathlib import Path
from typing import Final

from scoring.errors import ConfigurationError

_SHARE: Final = 16


class SpoolSpace:
    """How much room one log believes there is.

    It knows what it wrote itself at once, and what others wrote or deleted when it measures: so by
    what the others write between two measurements the directory may grow beyond its bound. Every
    method is called under the log's lock: a write during `measure` would count twice.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        """Make the directory and measure it. Raises ConfigurationError when it cannot be made or
        written.
        """
        self._directory = directory
        self._max_bytes = max_bytes
        self._measured = 0
        self._unmeasured = 0
        _make(directory)
        self.measure()

    def has(self, size: int) -> bool:
        """Whether so many bytes may be added."""
        return self._measured + self._unmeasured + size <= self._max_bytes

    def wrote(self, size: int) -> bool:
        """Take note of bytes of this log; whether it is time to measure: it wrote a sixteenth of
        the bound since the last time.
        """
        self._unmeasured += size
        return self._unmeasured * _SHARE > self._max_bytes

    def measure(self) -> None:
        """Add up all files. Takes microseconds for each. Raises OSError."""
        self._measured = sum(_size(path) for path in self._directory.iterdir())
        self._unmeasured = 0


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot make the spool {directory}: {error.strerror}") from error
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigurationError(f"the spool {directory} cannot be written")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
