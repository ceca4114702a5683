"""Parquet: columns keep their types, and a value no feature could take is rejected alone."""

import logging
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.arrow_types import is_text
from adapters.record_files.arrow_values import as_list, column_values, joined
from adapters.record_files.chunks import PLAIN, START, Chunk, Position, ReadOptions, Source
from adapters.record_files.parquet_footer import (
    Footer,
    MatchedColumns,
    as_input_error,
    footer_of,
    match_columns,
)
from scoring.errors import InputError
from scoring.schema import Feature, FieldType, Schema
from scoring.text import parse_cell
from scoring.values import Coded, Values

logger = logging.getLogger(__name__)

_FLOATS: Final = frozenset({FieldType.FLOAT, FieldType.DOUBLE})
_BUFFERED_BYTES: Final = 1 << 25
"""Of a row group as it is stored, over all columns; no column gets less than the next."""
_LEAST_BUFFER_BYTES: Final = 1 << 16
_DICTIONARY_BYTES: Final = 1 << 20
"""What writers let a dictionary grow to before they store values as they are."""
_INDEX_BYTES: Final = 2


def read_parquet(
    file: IO[bytes],
    source: Source,
    schema: Schema,
    id_column: str,
    limit: int,
    options: ReadOptions = PLAIN,
    start: Position = START,
    groups: tuple[int, int] | None = None,
) -> Iterator[Chunk]:
    """The rows of some row groups, all by default, `limit` to a chunk; the last may have fewer.

    `groups` are the first and the one behind the last. `start` is where a chunk ended: reading goes
    on behind it, or at the first row of the groups, and row groups before it are not decoded. Rows
    are numbered and `share` counts within the whole file. Blocks on the file. Holds the rows of one
    chunk, 32 MiB or 64 KiB a column that is read ahead, and at most one row group as it is stored,
    of which Arrow keeps small pages until its end.

    A column of a type that no value of the feature can have is named in a warning before the first
    chunk of the file; its records are then rejected one by one, as in any other form. Raises
    InputError when the file is no whole Parquet file, has fewer row groups or rows than it should,
    has no id column, or has a column twice, after renaming.
    """
    with as_input_error(source):
        opened = pq.ParquetFile(file)
        footer = footer_of(opened)
        matched = match_columns(footer.columns, source, schema, id_column, options)
        piece = _piece(footer, source, start, groups)
        if piece.first_row == 0:
            _warn_of(matched, source)
        if piece.first_row == piece.last_row:
            return
        columns = _Columns(schema, matched, id_column, options)
        parquet = pq.ParquetFile(
            file,
            metadata=opened.metadata,
            read_dictionary=columns.coded(opened, piece.groups),
            pre_buffer=False,  # else a row group is held whole
            buffer_size=max(_BUFFERED_BYTES // len(matched.stored), _LEAST_BUFFER_BYTES),
        )
        batches = parquet.iter_batches(
            limit, row_groups=piece.groups, columns=columns.stored, use_threads=False
        )
        done = piece.first_row
        for part in _regrouped(batches, piece.skipped, limit):
            table = pa.Table.from_batches(part)
            rows = range(done + 1, done + table.num_rows + 1)
            done += table.num_rows
            share = done / footer.rows
            yield Chunk(rows, *columns.read(table), (), share, Position(done))
    if done != piece.last_row:
        raise InputError(f"{source.url} has {done} rows where it promises {piece.last_row}")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Which rows are read: (first_row, last_row] of the file, that is row groups `groups` without
    the first `skipped` rows.
    """

    first_row: int
    last_row: int
    groups: list[int]
    skipped: int


def _piece(
    footer: Footer, source: Source, start: Position, groups: tuple[int, int] | None
) -> _Piece:
    bounds = [0, *accumulate(footer.rows_per_group)]
    first, last = groups or (0, len(footer.rows_per_group))
    if last >= len(bounds):
        raise InputError(f"{source.url} has fewer row groups than when the run began")
    row = min(max(start.row, bounds[first]), bounds[last])
    begin = bisect_right(bounds, row, first, last) - 1 if first < last else first
    return _Piece(row, bounds[last], list(range(begin, last)), row - bounds[begin])


def _regrouped(
    batches: Iterable[pa.RecordBatch], skipped: int, limit: int
) -> Iterator[list[pa.RecordBatch]]:
    """The rows of batches in order, without the first, `limit` together but for the last."""
    held: list[pa.RecordBatch] = []
    room = limit
    for batch in batches:
        place = min(skipped, batch.num_rows)
        skipped -= place
        while place < batch.num_rows:
            held.append(batch.slice(place, room))
            place += held[-1].num_rows
            room -= held[-1].num_rows
            if not room:
                yield held
                held, room = [], limit
    if held:
        yield held


class _Columns:
    """Tables of a file to ids and values of the schema's columns."""

    def __init__(
        self, schema: Schema, matched: MatchedColumns, id_column: str, options: ReadOptions
    ) -> None:
        self._id = matched.stored[id_column]
        names = matched.stored
        self._features = [(f, names[f.name]) for f in schema.features if f.name in names]
        self._same: dict[str, Any] = dict.fromkeys(matched.unknown)
        self._same |= {
            f.name: parse_cell(f.type, options.constants[f.name])
            for f in schema.features
            if f.name in options.constants and f.name not in names
        }
        self.stored = list(names.values())

    def read(self, table: pa.Table) -> tuple[list[Any], dict[str, Values]]:
        """The record ids and the columns of a table."""
        codes = np.zeros(table.num_rows, dtype=np.int32)
        columns: dict[str, Values] = {
            feature.name: column_values(joined(table[name]), _nan_is_null(feature))
            for feature, name in self._features
        }
        columns |= {name: Coded([value], codes) for name, value in self._same.items()}
        return as_list(column_values(joined(table[self._id]))), columns

    def coded(self, parquet: pq.ParquetFile, groups: list[int]) -> list[str]:
        """The text features that are worth reading as codes: in each of the row groups they are
        small beside their number of values, which holds for codes of few distinct values, and
        bounds what Arrow keeps of the others.
        """
        fields, chunks = parquet.schema_arrow, parquet.metadata
        places = {parquet.schema.column(i).path: i for i in range(len(parquet.schema))}
        wanted = [name for _, name in self._features if is_text(fields.field(name).type)]
        for group in map(chunks.row_group, groups):
            wanted = [name for name in wanted if _is_coded(group.column(places[name]))]
        return wanted


def _is_coded(chunk: pq.ColumnChunkMetaData) -> bool:
    most = chunk.num_values * _INDEX_BYTES + _DICTIONARY_BYTES
    return bool(chunk.has_dictionary_page and chunk.total_uncompressed_size <= most)


def _nan_is_null(feature: Feature) -> bool:
    return feature.type in _FLOATS and not feature.required


def _warn_of(matched: MatchedColumns, source: Source) -> None:
    for reason in matched.misfits:
        logger.warning("no value of a column fits: %s", reason, extra={"url": source.url})
