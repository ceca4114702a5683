"""What of each file is read in which order: its pieces, or why it cannot be read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from adapters.record_files.chunks import ReadOptions, Source
from adapters.record_files.parquet_footer import (
    Footer,
    MatchedColumns,
    match_columns,
    read_footer,
)
from adapters.storage import Storage
from batch_scorer.plan import Piece, PlannedFile
from scoring.errors import InputError
from scoring.schema import Schema

UNITS_IN_PIECE: Final = 4
"""At least, where a file has as many rows: units do not cross pieces, so the last of a piece may be
small, and a shard that takes a piece should have enough to do to be worth opening the file.
"""
_FOOTERS_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Reading:
    """How records are read, and by how many to a unit; `columns` are new names."""

    schema: Schema
    id_column: str
    columns: Mapping[str, str]
    chunk_records: int

    def named(self, partitions: Mapping[str, str | None]) -> dict[str, str | None]:
        """Partition values by the new names."""
        return {self.columns.get(name, name): value for name, value in partitions.items()}


Looked = Callable[[PlannedFile, Footer, MatchedColumns | None], None]
"""Told of each Parquet file that could be opened; without its columns where it lacks the id."""


def planned(
    storage: Storage,
    files: Sequence[PlannedFile],
    reading: Reading,
    known: Iterable[PlannedFile] = (),
    looked: Looked = lambda *_: None,
    may_change: bool = True,
) -> list[PlannedFile]:
    """The files with new indexes, in order, each with its pieces or its error, and with its rows
    where the format says so.

    The footer of every Parquet file is read, but for files that are `known` from a plan for the
    same `reading` and have not changed. Blocks on storage. `looked` is called by several threads.
    Files that `may_change` have etags of the storage, which are compared. Raises
    StorageUnavailable, ConfigurationError.
    """
    standing = {file.file: file for file in known if file.error is None}

    def plan(file: PlannedFile) -> PlannedFile:
        before = standing.get(file.file)
        if before is not None and before.etag == file.etag:
            return replace(before, index=file.index)
        return _planned(storage, file, reading, looked, may_change)

    named = [
        replace(file, index=index, partitions=reading.named(file.partitions))
        for index, file in enumerate(files)
    ]
    with ThreadPoolExecutor(_FOOTERS_AT_ONCE, thread_name_prefix="footer") as pool:
        return list(pool.map(plan, named))


def pieces_of(rows_per_group: Sequence[int], chunk_records: int) -> list[Piece]:
    """Consecutive row groups, gathered until `UNITS_IN_PIECE` units are full."""
    pieces: list[Piece] = []
    first, rows, unit, first_row = 0, 0, 0, 0
    for place, count in enumerate(rows_per_group, 1):
        rows += count
        is_last = place == len(rows_per_group)
        if rows >= UNITS_IN_PIECE * chunk_records or (is_last and rows):
            pieces.append(Piece(len(pieces), unit, first_row, (first, place)))
            unit += -(-rows // chunk_records)
            first, rows, first_row = place, 0, first_row + rows
    return pieces


def _planned(
    storage: Storage, file: PlannedFile, reading: Reading, looked: Looked, may_change: bool
) -> PlannedFile:
    if file.format != "parquet":
        return replace(file, pieces=[Piece(0)])
    source = Source(file.url, file.size)
    try:
        with storage.open(file.path, file.etag if may_change else None) as opened:
            footer = read_footer(opened, source)
    except InputError as error:
        return replace(file, rows=None, error=str(error))
    options = ReadOptions(reading.columns, file.partitions)
    try:
        found = match_columns(footer.columns, source, reading.schema, reading.id_column, options)
    except InputError as error:
        looked(file, footer, None)
        return replace(file, rows=None, error=str(error))
    looked(file, footer, found)
    pieces = pieces_of(footer.rows_per_group, reading.chunk_records)
    return replace(file, rows=footer.rows, pieces=pieces)
