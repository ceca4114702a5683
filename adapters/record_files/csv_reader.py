"""CSV (RFC 4180, comma, UTF-8, with a header): every row is a record or has a rule it broke."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, Final

from adapters.record_files.chunks import Chunk, Records, Source, in_chunks
from adapters.record_files.lines import (
    MAX_ROW_BYTES,
    NOT_UTF8,
    TOO_LONG,
    Lines,
    RowLines,
    RowTooLongError,
)
from scoring.errors import InputError
from scoring.records import RejectionCode, Violation
from scoring.schema import Schema
from scoring.text import parse_cell
from scoring.values import Values

Cells = list[str]

_BAD_QUOTES: Final = Violation(
    None, RejectionCode.MALFORMED, "must be CSV: a quote stays open, or text follows a closed one"
)
_BAD_WIDTH: Final = Violation(
    None, RejectionCode.MALFORMED, "must have as many cells as the header"
)


def read_csv(
    file: IO[bytes], source: Source, schema: Schema, id_column: str, limit: int
) -> Iterator[Chunk]:
    """Chunks of at most `limit` rows. Blank lines are no rows, and an empty file has none.

    The schema types the cells (`scoring.text.parse_cell`). A row that breaks the rules of CSV is
    unreadable alone: reading goes on at the line after its first. Raises InputError when the
    header cannot be used.
    """
    # The csv module's own limit holds for the whole process; a higher one takes from nobody.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))
    lines = Lines(file, source.size)
    rows = _rows(RowLines(iter(lines)))
    first = next(rows, None)
    if first is not None:
        header = _checked_header(first, source, id_column)
        assemble = _Columns(header, schema, id_column)
        yield from in_chunks(_of_width(rows, len(header)), limit, assemble, lines.share)


def _rows(lines: RowLines) -> Iterator[Cells | Violation]:
    reader = csv.reader(lines, strict=True)
    while True:
        lines.start_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except RowTooLongError:
            lines.give_back()
            yield TOO_LONG
        except csv.Error:
            lines.give_back()
            yield _BAD_QUOTES
        else:
            if cells:
                yield cells if lines.is_utf8 else NOT_UTF8


def _of_width(rows: Iterable[Cells | Violation], width: int) -> Iterator[Cells | Violation]:
    for row in rows:
        yield row if isinstance(row, Violation) or len(row) == width else _BAD_WIDTH


def _checked_header(header: Cells | Violation, source: Source, id_column: str) -> Cells:
    if isinstance(header, Violation):
        raise InputError(f"{source.url}: the header {header.rule}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"{source.url}: the header names '{twice[0]}' more than once")
    if id_column not in header:
        raise InputError(
            f"{source.url}: the header has no column '{id_column}'; "
            "name the column with the record id by --record-id-column"
        )
    return header


class _Columns:
    """Rows of cells to ids and typed columns."""

    def __init__(self, header: Cells, schema: Schema, id_column: str) -> None:
        self._id = header.index(id_column)
        kinds = {feature.name: feature.type for feature in schema.features}
        self._typed = [(i, name, kinds[name]) for i, name in enumerate(header) if name in kinds]
        self._unknown = [n for n in header if n not in schema.known and n != id_column]

    def __call__(self, rows: list[Cells]) -> tuple[Sequence[Any], Records]:
        columns: dict[str, Values] = {
            name: [parse_cell(kind, row[i]) for row in rows] for i, name, kind in self._typed
        }
        columns |= {name: [None] * len(rows) for name in self._unknown}
        return [row[self._id] or None for row in rows], columns
