"""What a reader makes of a file: chunks of bounded size in which every row has its number."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

import numpy as np

from scoring.records import Rejection, Validated, Violation
from scoring.schema import Schema
from scoring.validation import validate_columns, validate_rows
from scoring.values import Values

Records = Sequence[Any] | Mapping[str, Values]
"""Decoded JSON values, or columns by name."""


@dataclass(frozen=True, slots=True)
class Source:
    """What readers say of a file: its URL in errors, and progress by its size in bytes (0 where it
    is not known).
    """

    url: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading goes on: behind `row` rows. `offset` counts bytes of the text as UTF-8,
    decompressed and without a byte order mark; 0 in formats without lines.
    """

    row: int = 0
    offset: int = 0


START: Final = Position()


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """How a CSV file is written.

    `delimiter` is one character, or "auto": of comma, semicolon, tab and bar the one with which the
    header has the id column. `quote` is one character, or empty where nothing is quoted. `encoding`
    is a codec's name, or "auto": UTF-16 or UTF-32 with a byte order mark, else UTF-8. `decimal`
    separates fractions.
    """

    delimiter: str = "auto"
    quote: str = '"'
    encoding: str = "auto"
    decimal: Literal[".", ","] = "."


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How the records of a file are to be understood.

    `columns` renames what the file calls its columns; the id column, features and everything else
    go by the new names. `constants` are values that the file's place gives (Hive partitions) as
    text, None for a null: each is a column of every record where the model has a feature of that
    name and the file does not. Compression is seen from the content.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str | None] = field(default_factory=dict)
    dialect: CsvDialect = CsvDialect()


PLAIN: Final = ReadOptions()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of one file.

    `rows` holds the number of each record that could be read, from 1; `record_ids` and `records`
    match it. `unreadable` holds the number and the broken rule of every other row of the chunk.
    `share` says how much of the file has been read, from 0 to 1; `end` where the next chunk begins.
    """

    rows: Sequence[int]
    record_ids: Sequence[Any]
    records: Records
    unreadable: Sequence[tuple[int, Violation]]
    share: float
    end: Position = START

    def __len__(self) -> int:
        return len(self.rows) + len(self.unreadable)

    def as_rows(self) -> list[dict[str, Any]]:
        """The readable records as objects, one per entry of `rows`."""
        if not isinstance(self.records, Mapping):
            return list(self.records)
        names = list(self.records)
        if not names:
            return [{} for _ in self.rows]
        columns = [
            values.tolist() if isinstance(values, np.ndarray) else values
            for values in self.records.values()
        ]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    def validate(self, schema: Schema) -> Validated:
        """The readable records against the schema; positions count in `rows`."""
        if isinstance(self.records, Mapping):
            return validate_columns(schema, self.records, self.record_ids)
        return validate_rows(schema, self.records, self.record_ids)

    def located(self, rejections: Iterable[Rejection]) -> list[Rejection]:
        """Rejections of readable records and of unreadable rows, by row.

        In what is returned, `position` is the row number in the file.
        """
        found = [Rejection(row, None, (violation,)) for row, violation in self.unreadable]
        found += [Rejection(self.rows[r.position], r.record_id, r.violations) for r in rejections]
        return sorted(found, key=lambda r: r.position)


R = TypeVar("R")


def in_chunks(
    rows: Iterable[R | Violation],
    limit: int,
    assemble: Callable[[list[R]], tuple[Sequence[Any], Records]],
    share: Callable[[], float],
    done: int,
    offset: Callable[[], int],
) -> Iterator[Chunk]:
    """Number rows on from `done` and gather them, `limit` to a chunk; holds no more than that many.

    A row is what a reader could read, or the rule it broke. `assemble` makes ids and records of
    readable rows; `offset` is where the row ends that was last taken from `rows`.
    """
    numbers: list[int] = []
    readable: list[R] = []
    unreadable: list[tuple[int, Violation]] = []
    end = Position(done)
    for number, row in enumerate(rows, done + 1):
        end = Position(number, offset())
        if isinstance(row, Violation):
            unreadable.append((number, row))
        else:
            numbers.append(number)
            readable.append(row)
        if len(numbers) + len(unreadable) == limit:
            yield Chunk(numbers, *assemble(readable), unreadable, share(), end)
            numbers, readable, unreadable = [], [], []
    if numbers or unreadable:
        yield Chunk(numbers, *assemble(readable), unreadable, share(), end)
