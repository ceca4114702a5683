"""Lines of a file, each of bounded length."""

from collections import deque
from collections.abc import Iterator
from typing import IO, Final

from scoring.records import RejectionCode, Violation

MAX_ROW_BYTES: Final = 1 << 20
"""Longest row of a text file."""

TOO_LONG: Final = Violation(
    None, RejectionCode.TOO_LARGE, f"must not be longer than {MAX_ROW_BYTES} bytes"
)
NOT_UTF8: Final = Violation(None, RejectionCode.MALFORMED, "must be UTF-8")

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Lines:
    """The lines of a file with their ends; None stands for a line that is too long.

    Never holds more than `MAX_ROW_BYTES` of a line. A byte order mark before the first is dropped.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        """`size` of the file in bytes."""
        self._file = file
        self._size = size
        self._read = 0

    def share(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return self._read / self._size if self._size else 1.0

    def __iter__(self) -> Iterator[bytes | None]:
        line = self._next()
        if line is not None:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        while line is None or line:
            yield line
            line = self._next()

    def _next(self) -> bytes | None:
        line = self._piece()
        if len(line) <= MAX_ROW_BYTES:
            return line
        while line and not line.endswith(b"\n"):
            line = self._piece()
        return None

    def _piece(self) -> bytes:
        piece = self._file.readline(MAX_ROW_BYTES + 1)
        self._read += len(piece)
        return piece


class RowTooLongError(Exception):
    """Internal to the readers: the row in hand is longer than a row may be."""


class RowLines:
    """Text lines for the `csv` module, which decides how many of them make a row.

    Remembers the lines of the row in hand, so that after a row that never ends (a quote that is
    not closed) all but its first line can be read again.
    """

    def __init__(self, lines: Iterator[bytes | None]) -> None:
        self._lines = lines
        self._again: deque[bytes | None] = deque()
        self._row: list[bytes | None] = []
        self._bytes = 0
        self.is_utf8 = True

    def start_row(self) -> None:
        """What comes next belongs to another row."""
        self._row.clear()
        self._bytes = 0
        self.is_utf8 = True

    def give_back(self) -> None:
        """Read all lines of the row but the first again."""
        self._again.extendleft(reversed(self._row[1:]))

    def __iter__(self) -> "RowLines":
        return self

    def __next__(self) -> str:
        """The next line. Raises RowTooLongError when the row gets too long with it."""
        line = self._again.popleft() if self._again else next(self._lines)
        self._row.append(line)
        self._bytes += MAX_ROW_BYTES + 1 if line is None else len(line)
        if line is None or self._bytes > MAX_ROW_BYTES:
            raise RowTooLongError
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            self.is_utf8 = False
            return line.decode("utf-8", "replace")
