"""What a reader makes of a file: chunks of bounded size in which every row has its number."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

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
class Chunk:
    """Consecutive rows of one file.

    `rows` holds the number of each record that could be read, from 1; `record_ids` and `records`
    match it. `unreadable` holds the number and the broken rule of every other row of the chunk.
    `share` says how much of the file has been read, from 0 to 1.
    """

    rows: Sequence[int]
    record_ids: Sequence[Any]
    records: Records
    unreadable: Sequence[tuple[int, Violation]]
    share: float

    def __len__(self) -> int:
        return len(self.rows) + len(self.unreadable)

    def as_rows(self) -> list[dict[str, Any]]:
        """The readable records as objects, one per entry of `rows`."""
        if not isinstance(self.records, Mapping):
            return list(self.records)
        names, columns = list(self.records), self.records.values()
        if not names:
            return [{} for _ in self.rows]
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
) -> Iterator[Chunk]:
    """Number rows from 1 and gather them, `limit` to a chunk; holds no more than that many.

    A row is what a reader could read, or the rule it broke. `assemble` makes ids and records of
    readable rows.
    """
    numbers: list[int] = []
    readable: list[R] = []
    unreadable: list[tuple[int, Violation]] = []
    for number, row in enumerate(rows, 1):
        if isinstance(row, Violation):
            unreadable.append((number, row))
        else:
            numbers.append(number)
            readable.append(row)
        if len(numbers) + len(unreadable) == limit:
            yield Chunk(numbers, *assemble(readable), unreadable, share())
            numbers, readable, unreadable = [], [], []
    if numbers or unreadable:
        yield Chunk(numbers, *assemble(readable), unreadable, share())
