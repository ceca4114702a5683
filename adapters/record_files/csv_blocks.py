"""Blocks of CSV rows as columns of text: plain text by Arrow, everything else row by row."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from adapters.record_files.csv_rows import BAD_WIDTH, Cells, RowReader
from adapters.record_files.csv_scan import can_scan, plain_rows
from adapters.record_files.lines import TextAhead
from scoring.records import Violation

_SLOW_BYTES: Final = 1 << 18
"""So much is read row by row before plain text is looked for again."""

_TEXT: Final = pa.large_string()


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of a file.

    `ends` has the offset in the text behind each row. `unreadable` has the place of each row among
    them that could not be read, in order, and the broken rule; `table` has the other rows. Its
    columns are text without nulls, each named by its place in a row.
    """

    ends: NDArray[np.int64]
    unreadable: Sequence[tuple[int, Violation]]
    table: pa.Table

    def __len__(self) -> int:
        return len(self.ends)

    def rows(self, begin: int, end: int) -> "Block":
        """Some of the rows, without copying them."""
        before, behind = (bisect_left(self.unreadable, p, key=itemgetter(0)) for p in (begin, end))
        inside = [(place - begin, rule) for place, rule in self.unreadable[before:behind]]
        table = self.table.slice(begin - before, end - begin - len(inside))
        return Block(self.ends[begin:end], inside, table)


class BlockReader:
    """The rows of a text, block by block, as `RowReader` reads them."""

    def __init__(
        self, text: TextAhead, rows: RowReader, width: int, needed: Sequence[int], size: int
    ) -> None:
        """`width` is how many cells a row has; of those the ones at the places `needed` are kept.
        `size` is that of a block in bytes.
        """
        self._text = text
        self._rows = rows
        self._width = width
        self._needed = needed
        self._size = size
        self._scans = can_scan(rows.marks)

    def __iter__(self) -> Iterator[Block]:
        """Blocks on the file, and raises what reading from it raises."""
        while piece := self._text.piece(self._size):
            block = self._at_once(piece) if self._scans else None
            if block is None:
                block = self._row_by_row(min(len(piece), _SLOW_BYTES))
            if len(block):
                yield block

    def _at_once(self, piece: bytes) -> Block | None:
        """None when the first row is not plain, or Arrow would read something else."""
        found = plain_rows(piece, self._rows.marks)
        if not found.size:
            return None
        unreadable: list[tuple[int, Violation]] = []

        def note(row: arrow_csv.InvalidRow) -> str:
            unreadable.append((row.number - 1, BAD_WIDTH))
            return "skip"

        try:
            table = self._table(pa.py_buffer(piece)[: found.size], found.many_lines, note)
        except pa.ArrowInvalid:
            return None
        if len(table) + len(unreadable) != len(found.ends):
            return None
        ends = found.ends + self._text.offset
        self._text.advance(found.size)
        return Block(ends, unreadable, table)

    def _table(
        self, plain: pa.Buffer, many_lines: bool, note: Callable[[arrow_csv.InvalidRow], str]
    ) -> pa.Table:
        marks, names = self._rows.marks, [str(place) for place in range(self._width)]
        needed = [names[place] for place in self._needed]
        return arrow_csv.read_csv(
            pa.BufferReader(plain),
            arrow_csv.ReadOptions(use_threads=False, block_size=plain.size + 1, column_names=names),
            arrow_csv.ParseOptions(
                delimiter=marks.delimiter,
                quote_char=marks.quote or False,
                newlines_in_values=many_lines,
                invalid_row_handler=note,
            ),
            arrow_csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(needed, _TEXT),
                include_columns=needed,
            ),
        )

    def _row_by_row(self, size: int) -> Block:
        """At least one row, until about `size` bytes are read."""
        goal = self._text.offset + size
        ends: list[int] = []
        readable: list[Cells] = []
        unreadable: list[tuple[int, Violation]] = []
        while self._text.offset < goal and (row := self._rows.read()) is not None:
            if isinstance(row, Violation):
                unreadable.append((len(ends), row))
            elif len(row) != self._width:
                unreadable.append((len(ends), BAD_WIDTH))
            else:
                readable.append(row)
            ends.append(self._text.offset)
        columns = {str(p): pa.array([row[p] for row in readable], _TEXT) for p in self._needed}
        return Block(np.array(ends, dtype=np.int64), unreadable, pa.table(columns))


def regrouped(blocks: Iterable[Block], count: int) -> Iterator[list[Block]]:
    """The same rows in parts, each of `count` rows but the last."""
    parts: list[Block] = []
    wanted = count
    for block in blocks:
        done = 0
        while len(block) - done >= wanted:
            parts.append(block.rows(done, done + wanted))
            yield parts
            done, parts, wanted = done + wanted, [], count
        if done < len(block):
            parts.append(block.rows(done, len(block)))
            wanted -= len(block) - done
    if parts:
        yield parts
