"""Text by the line, in memory that does not depend on how long the lines are."""

from collections.abc import Iterator
from typing import Final

from adapters.record_files.text_stream import TextStream
from scoring.records import RejectionCode, Violation

MAX_ROW_BYTES: Final = 1 << 20
"""Longest row of a text file, as UTF-8 with its line ends."""

TOO_LONG: Final = Violation(
    None, RejectionCode.TOO_LARGE, f"must not be longer than {MAX_ROW_BYTES} bytes"
)

_PIECE_BYTES: Final = 1 << 16


def not_text(encoding: str) -> Violation:
    """The rule that a row broke in which something is not encoded so."""
    return Violation(None, RejectionCode.MALFORMED, f"must be {encoding}")


class TextAhead:
    """What comes next of a text. Looking at it consumes nothing; `offset` is where it begins.

    Never holds more than what was asked for and one piece.
    """

    def __init__(self, stream: TextStream) -> None:
        self._stream = stream
        self._data = b""
        self._place = 0
        self.offset = 0

    def piece(self, size: int) -> bytes:
        """At least one byte and at most `size`; none at the end only. Blocks on the file."""
        if len(self._data) - self._place < size:
            self._more(size - len(self._data) + self._place)
        return self._data[self._place : self._place + size]

    def line(self, limit: int, behind: int = 0) -> bytes | None:
        """The line that begins `behind` bytes from here with its end, empty at the end of the text;
        None when it is longer than `limit` bytes. Blocks on the file.
        """
        looked_at = 0
        while True:
            begin = self._place + behind
            end = self._data.find(b"\n", begin + looked_at, begin + limit)
            if end >= 0:
                return self._data[begin : end + 1]
            looked_at = len(self._data) - begin
            if looked_at > limit:
                return None
            if not self._more(_PIECE_BYTES):
                return self._data[self._place + behind :]

    def advance(self, count: int) -> None:
        """Go on behind the next `count` bytes, which have been looked at."""
        self._place += count
        self.offset += count

    def advance_line(self) -> None:
        """Go on behind the next line, however long it is."""
        while True:
            end = self._data.find(b"\n", self._place)
            if end >= 0:
                self.advance(end + 1 - self._place)
                return
            self.advance(len(self._data) - self._place)
            if not self._more(_PIECE_BYTES):
                return

    def skip_to(self, offset: int) -> None:
        """Go on at an offset; nothing happens when that has been passed."""
        count = offset - self.offset
        known = min(count, len(self._data) - self._place)
        if count > 0:
            self.advance(known)
        if count > known:
            self._stream.skip(count - known)
            self.offset = offset

    def _more(self, size: int) -> bool:
        more = self._stream.read(size)
        self._data = self._data[self._place :] + more
        self._place = 0
        return bool(more)


def lines(text: TextAhead) -> Iterator[bytes | None]:
    """Every line with its end; None stands for one longer than a row may be."""
    while (line := text.line(MAX_ROW_BYTES)) != b"":
        if line is None:
            text.advance_line()
        else:
            text.advance(len(line))
        yield line
