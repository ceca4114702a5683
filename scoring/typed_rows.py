"""JSON records straight to columns, for records in which nothing needs a closer look.

msgspec decodes JSON into rows that are typed after the schema, which is faster than into dicts,
and a whole block of numbers is packed into an array at once. What is accepted here is what
`scoring.validation` accepts, with the same bits; everything else, valid or not, is left to it.
"""

import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np

from scoring.records import Column, RecordBatch, Validated
from scoring.schema import Feature, FieldType, Schema
from scoring.validation import as_record_id
from scoring.values import check_values

_TYPES: Final[Mapping[FieldType, Any]] = {
    FieldType.BOOLEAN: bool,
    FieldType.INTEGER: int,
    FieldType.LONG: int,
    FieldType.FLOAT: float,
    FieldType.DOUBLE: float,
    FieldType.STRING: str,
    FieldType.DATETIME: str,
}
_CODES: Final[Mapping[FieldType, tuple[str, type[np.generic]]]] = {
    FieldType.BOOLEAN: ("?", np.bool_),
    FieldType.INTEGER: ("q", np.int64),
    FieldType.LONG: ("q", np.int64),
    FieldType.FLOAT: ("d", np.float64),
    FieldType.DOUBLE: ("d", np.float64),
}
"""How `struct` packs the required features of a type: four times as fast as NumPy's own."""


class TypedRows:
    """The row type of one schema, and rows of it to a batch."""

    def __init__(self, schema: Schema, record_id: str | None) -> None:
        """`record_id` is the member that carries a record's id; None when none does."""
        self._features = tuple(f for block in schema.blocks for f in block.features)
        self._blocks = [(len(block.places), block.features[0]) for block in schema.blocks]
        places = [place for block in schema.blocks for place in block.places]
        self._order = sorted(range(len(places)), key=places.__getitem__)
        self._has_ids = record_id is not None
        self.row: type[msgspec.Struct] = _row_type(self._features, schema.ignored, record_id)
        """What one record decodes to. Decoding refuses more than validation does."""

    def validated(self, rows: Sequence[msgspec.Struct], base: str) -> Validated | None:
        """The batch of rows, at least one; None when one of them needs a closer look.

        A record without id gets one that begins with `base`.
        """
        ids = self.ids(rows, base)
        return None if ids is None else self.batch(rows, ids)

    def ids(self, rows: Sequence[msgspec.Struct], base: str) -> Sequence[str] | None:
        """The records' ids; None when one that was given needs a closer look."""
        given = [row.x0 for row in rows] if self._has_ids else []  # type: ignore[attr-defined]
        unset = given.count(msgspec.UNSET)
        if unset == len(given):
            return made_ids(base, len(rows))
        if unset:
            made = made_ids(base, len(rows))
            given = [m if g is msgspec.UNSET else g for g, m in zip(given, made, strict=True)]
        ids = [record_id for record_id in map(as_record_id, given) if record_id is not None]
        return ids if len(ids) == len(rows) else None

    def batch(self, rows: Sequence[msgspec.Struct], ids: Sequence[str]) -> Validated | None:
        """The batch of rows with these ids; None when a row needs a closer look."""
        columns = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
        found: list[Column] = []
        for size, feature in self._blocks:
            start = len(found)
            block = columns[start : start + size]
            converted = _converted(feature, block, self._features[start : start + size], len(rows))
            if converted is None:
                return None
            found.extend(converted)
        batch = RecordBatch(tuple(ids), tuple([found[place] for place in self._order]))
        return Validated(batch, np.arange(len(rows), dtype=np.intp), ())


def typed_rows(schema: Schema, record_id: str | None) -> TypedRows | None:
    """Rows typed after a schema; None when msgspec takes a name of it for no member's name."""
    try:
        return TypedRows(schema, record_id)
    except ValueError:  # a quote, a backslash or a control character
        return None


def made_ids(base: str, count: int) -> list[str]:
    """Ids for the records of one request, by position."""
    return [base] if count == 1 else [f"{base}-{position}" for position in range(count)]


def _row_type(
    features: Sequence[Feature], ignored: frozenset[str], record_id: str | None
) -> type[msgspec.Struct]:
    """Features first, in the given order, then the id, then what is ignored."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    names: dict[str, str] = {}
    for place, feature in enumerate(features):
        kind = _TYPES[feature.type]
        name = f"f{place}"
        names[name] = feature.name
        fields.append((name, kind) if feature.required else (name, kind | None, None))
    extra = ([record_id] if record_id is not None else []) + sorted(ignored - {record_id})
    for place, name in enumerate(extra):
        names[f"x{place}"] = name
        fields.append((f"x{place}", Any, msgspec.UNSET))
    return msgspec.defstruct(
        "Row", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False
    )


def _converted(
    feature: Feature, block: list[tuple[Any, ...]], features: Sequence[Feature], count: int
) -> list[Column] | None:
    """The columns of features that are alike; None when a value breaks a rule or may do so."""
    if not feature.required or feature.type is FieldType.DATETIME:
        checked = [check_values(f, values) for f, values in zip(features, block, strict=True)]
        return None if any(found for _, found in checked) else [column for column, _ in checked]
    if feature.type is FieldType.STRING:
        texts = np.empty((len(block), count), dtype=object)
        texts[:] = block
        return list(texts)
    code, dtype = _CODES[feature.type]
    table = np.empty((len(block), count), dtype=dtype)
    try:
        struct.pack_into(f"{table.size}{code}", table.data, 0, *chain.from_iterable(block))
    except struct.error:  # beyond 64 bits
        return None
    return _narrowed(feature, table)


def _narrowed(feature: Feature, table: Column) -> list[Column] | None:
    if table.dtype == np.float64 and not np.isfinite(table).all():
        return None
    if table.dtype == feature.dtype:
        return list(table)
    with np.errstate(over="ignore"):
        narrow = table.astype(feature.dtype)
    if feature.type is FieldType.INTEGER and not (narrow == table).all():
        return None
    if feature.type is FieldType.FLOAT and not np.isfinite(narrow).all():
        return None
    return list(narrow)
