"""CSV (RFC 4180, with a header): every row is a record or has a rule it broke."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final

import numpy as np
import pyarrow as pa

from adapters.record_files.chunks import (
    PLAIN,
    START,
    Chunk,
    Position,
    ReadOptions,
    Source,
    in_chunks,
)
from adapters.record_files.csv_blocks import Block, BlockReader, regrouped
from adapters.record_files.csv_columns import Columns
from adapters.record_files.csv_header import read_header
from adapters.record_files.csv_rows import BAD_WIDTH, Cells, RowReader
from adapters.record_files.lines import TextAhead
from adapters.record_files.text_stream import TextStream
from scoring.records import Violation
from scoring.schema import Schema

BLOCK_BYTES: Final = 1 << 21


def read_csv(
    file: IO[bytes],
    source: Source,
    schema: Schema,
    id_column: str,
    limit: int,
    options: ReadOptions = PLAIN,
    start: Position = START,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Chunk]:
    """Chunks of `limit` rows, the last of fewer. Blank lines are no rows, an empty file has none.

    The schema types the cells (`scoring.text.parse_cell`). A row that breaks the rules of CSV is
    unreadable alone: reading goes on at the line after its first. From `start` on, the `end` of a
    chunk, come the chunks that came after that one. `block_bytes` are read at a time; the chunks do
    not depend on it. Blocks on the file. Raises InputError when the header cannot be used or a
    compressed file is damaged, ConfigurationError for a dialect that cannot be.
    """
    opened = _opened(file, source, schema, id_column, options, start)
    if opened is None:
        return
    columns, done = opened.columns, start.row
    blocks = BlockReader(opened.text, opened.rows, columns.width, columns.needed, block_bytes)
    for parts in regrouped(blocks, limit):
        chunk = _chunk(parts, columns, done, opened.stream.share())
        done = chunk.end.row
        yield chunk
        del chunk, parts  # before the next one is read


def read_csv_by_rows(
    file: IO[bytes],
    source: Source,
    schema: Schema,
    id_column: str,
    limit: int,
    options: ReadOptions = PLAIN,
    start: Position = START,
) -> Iterator[Chunk]:
    """The same chunks as `read_csv`, with each cell as `parse_cell` has it, many times slower.

    No more is read than the rows of a chunk need: records from a pipe are there when they came.
    """
    opened = _opened(file, source, schema, id_column, options, start)
    if opened is None:
        return
    rows = _of_width(opened.rows, opened.columns.width)
    assemble, share, text = opened.columns.of_rows, opened.stream.share, opened.text
    yield from in_chunks(rows, limit, assemble, share, start.row, lambda: text.offset)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file whose header has been read; `text` stands where the rows to be read begin."""

    stream: TextStream
    text: TextAhead
    rows: RowReader
    columns: Columns


def _opened(
    file: IO[bytes],
    source: Source,
    schema: Schema,
    id_column: str,
    options: ReadOptions,
    start: Position,
) -> _Opened | None:
    """None when there is no header."""
    stream = TextStream(file, source, options.dialect.encoding)
    text = TextAhead(stream)
    found = read_header(text, source, stream.encoding, id_column, options)
    if found is None:
        return None
    header, rows = found
    text.skip_to(start.offset)
    return _Opened(stream, text, rows, Columns(header, schema, id_column, options))


def _of_width(rows: RowReader, width: int) -> Iterator[Cells | Violation]:
    while (row := rows.read()) is not None:
        yield row if isinstance(row, Violation) or len(row) == width else BAD_WIDTH


def _chunk(parts: Sequence[Block], columns: Columns, done: int, share: float) -> Chunk:
    """The rows of all parts as one chunk; `done` rows came before them."""
    unreadable: list[tuple[int, Violation]] = []
    end = done
    for part in parts:
        unreadable += [(end + 1 + place, rule) for place, rule in part.unreadable]
        end += len(part)
    numbers: Sequence[int] = range(done + 1, end + 1)
    if unreadable:
        places = [row - done - 1 for row, _ in unreadable]
        numbers = np.delete(np.arange(done + 1, end + 1), places).tolist()
    ids, records = columns.of_table(pa.concat_tables([part.table for part in parts]))
    return Chunk(numbers, ids, records, unreadable, share, Position(end, int(parts[-1].ends[-1])))
