"""Records in the shapes that protocols bring them in, before a model has validated them.

What is decoded once can be validated for several models. All of them end in `scoring.validation`,
so that a record gets the same verdict and the same bits in every shape.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from online_api.problems import MALFORMED, ProblemError
from scoring.predictions import RECORD_ID
from scoring.records import Validated
from scoring.schema import Schema
from scoring.text import parse_cell
from scoring.typed_rows import made_ids
from scoring.validation import validate_columns, validate_rows
from scoring.values import Values


class Table(Protocol):
    """Records in one shape.

    The field `record_id`, where the model has none of that name, is the record's id. A record
    without one gets one that begins with `base`.
    """

    def __len__(self) -> int: ...

    def validated(self, schema: Schema, base: str) -> Validated:
        """Their verdicts. Raises ProblemError when the shape does not fit the model."""
        ...


class Objects:
    """Each record an object; any decoded JSON may stand in a record's place."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def validated(self, schema: Schema, base: str) -> Validated:
        """See `Table`."""
        rows, ids = self._rows, made_ids(base, len(self._rows))
        if RECORD_ID in schema.names:
            return validate_rows(schema, rows, ids)
        given = [
            row.get(RECORD_ID, made) if isinstance(row, dict) else made
            for row, made in zip(rows, ids, strict=True)
        ]
        return validate_rows(schema, [_without_id(row) for row in rows], given)


class Columns:
    """Each field a column of plain values or an array, all of one length."""

    def __init__(self, columns: Mapping[str, Values], count: int) -> None:
        self._columns = columns
        self._count = count

    def __len__(self) -> int:
        return self._count

    def validated(self, schema: Schema, base: str) -> Validated:
        """See `Table`."""
        columns = dict(self._columns)
        ids: Values = made_ids(base, self._count)
        if RECORD_ID not in schema.names:
            ids = columns.pop(RECORD_ID, ids)
        plain = ids.tolist() if isinstance(ids, np.ndarray) else ids
        return validate_columns(schema, columns, plain)


class Arrays:
    """Each record an array of values in the order of the schema."""

    def __init__(self, rows: Sequence[Sequence[Any]], place: str) -> None:
        """`place` says in errors where the rows stand in the body."""
        self._rows = rows
        self._place = place

    def __len__(self) -> int:
        return len(self._rows)

    def validated(self, schema: Schema, base: str) -> Validated:
        """See `Table`."""
        width = len(schema.names)
        for position, row in enumerate(self._rows):
            if len(row) != width:
                rule = f"must have {width} values, one for each field of the signature, in order"
                raise ProblemError(MALFORMED, f"{self._place}[{position}] {rule}")
        columns = dict(zip(schema.names, zip(*self._rows, strict=True), strict=True))
        return validate_columns(schema, columns, made_ids(base, len(self._rows)))


class Cells:
    """Each record a row of text under a header; the schema types the cells, as in batch files."""

    def __init__(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows are as long as the header; a column without a name is not read."""
        self._header = header
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def validated(self, schema: Schema, base: str) -> Validated:
        """See `Table`."""
        kinds = {feature.name: feature.type for feature in schema.features}
        if kinds.keys().isdisjoint(self._header):  # or else a record's values pass for names
            raise ProblemError(MALFORMED, "the header names no field of the model")
        columns: dict[str, Values] = {}
        for name, cells in zip(self._header, zip(*self._rows, strict=True), strict=True):
            if name in kinds:
                columns[name] = [parse_cell(kinds[name], cell) for cell in cells]
            elif name:
                columns[name] = [cell or None for cell in cells]
        return Columns(columns, len(self._rows)).validated(schema, base)


def _without_id(row: Any) -> Any:
    if isinstance(row, dict) and RECORD_ID in row:
        return {name: value for name, value in row.items() if name != RECORD_ID}
    return row
