"""Where the rows of a piece of CSV end, as long as nothing in it needs a closer look.

Text is plain when it is UTF-8, begins with no byte order mark and has no carriage return that
stands alone; when quotes only stand around whole cells, or doubled within such; and when no row is
too long. In plain text, rows end at the line ends with an even number of quotes before them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from adapters.record_files.csv_rows import Marks
from adapters.record_files.lines import MAX_ROW_BYTES

_LINE_END: Final = ord("\n")
_RETURN: Final = ord("\r")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

Places = NDArray[np.int64]


def byte_table(characters: bytes) -> NDArray[np.bool_]:
    """Of each of the 256 bytes whether it is one of these."""
    return np.isin(np.arange(256), list(characters))


@dataclass(frozen=True, slots=True)
class PlainRows:
    """The rows at the beginning of a piece.

    `size` is that of the piece up to the end of the last of them and of blank lines behind it;
    `ends` has the end of each row. `many_lines` says that cells have line ends in them.
    """

    size: int
    ends: Places
    many_lines: bool


def can_scan(marks: Marks) -> bool:
    """Whether cells are told apart by single bytes."""
    return marks.delimiter.isascii() and marks.quote.isascii()


def plain_rows(piece: bytes, marks: Marks) -> PlainRows:
    """What can be said of a piece that begins where a row does."""
    piece = piece[: piece.rfind(b"\n") + 1]
    values = np.frombuffer(piece, dtype=np.uint8)
    line_ends = np.flatnonzero(values == _LINE_END)
    trouble = _odd_byte(piece, values)
    row_ends, many_lines = line_ends, False
    if marks.quote and marks.quote.encode() in piece:
        quotes = np.flatnonzero(values == ord(marks.quote))
        trouble = min(trouble, _odd_quote(values, quotes, marks))
        open_lines = (np.searchsorted(quotes, line_ends) & 1).astype(np.bool_)
        row_ends, many_lines = line_ends[~open_lines], bool(open_lines.any())
    row_ends = row_ends[: np.searchsorted(row_ends, trouble)] + 1
    return _bounded(values, row_ends, many_lines)


def _bounded(values: NDArray[np.uint8], ends: Places, many_lines: bool) -> PlainRows:
    begins = np.concatenate([np.zeros(1, dtype=ends.dtype), ends[:-1]])[: len(ends)]
    sizes = ends - begins
    too_long = np.flatnonzero(sizes > MAX_ROW_BYTES)
    if len(too_long):
        first = too_long[0]
        ends, begins, sizes = ends[:first], begins[:first], sizes[:first]
    size = int(ends[-1]) if len(ends) else 0
    blank = (sizes == 1) | ((sizes == 2) & (values[begins] == _RETURN))
    return PlainRows(size, ends[~blank], many_lines)


def _odd_byte(piece: bytes, values: NDArray[np.uint8]) -> int:
    """Where the first byte stands that is not plain, quotes aside; the size if there is none."""
    if piece.startswith(_BYTE_ORDER_MARK):  # Arrow would drop it
        return 0
    found = [len(piece)]
    if b"\r" in piece:
        alone = (values[:-1] == _RETURN) & (values[1:] != _LINE_END)
        found += np.flatnonzero(alone)[:1].tolist()
    if not piece.isascii() and not _is_utf8(piece):
        try:
            piece.decode("utf-8")
        except UnicodeDecodeError as error:
            found.append(error.start)
    return min(found)


def _is_utf8(piece: bytes) -> bool:
    places = pa.py_buffer(np.array([0, len(piece)], dtype=np.int64))
    text = pa.Array.from_buffers(pa.large_string(), 1, [None, places, pa.py_buffer(piece)])
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _odd_quote(values: NDArray[np.uint8], quotes: Places, marks: Marks) -> int:
    """Where the first quote stands that neither begins nor ends a cell nor is one of a doubled
    pair; the size if there is none. The last byte is a line end.
    """
    opening, closing = quotes[::2], quotes[1::2]
    before = values[opening - 1]  # of the first byte the last one, which is a line end
    after = values[closing + 1]
    beside = (marks.delimiter + marks.quote + "\n").encode()
    odd = np.concatenate(
        [
            opening[~byte_table(beside)[before]],
            closing[~byte_table(beside + b"\r")[after]],
            [len(values)],
        ]
    )
    return int(odd.min())
