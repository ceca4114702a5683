"""Records in, a valid batch and rejections out. All lanes come through here.

Values arrive either as decoded JSON (rows) or as columns of plain Python values or NumPy arrays.
The same record gets the same verdict and the same bits in both forms, whatever records are beside
it. `scoring.value_rules` has the rules for a value.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, compress
from operator import itemgetter
from typing import Any, Final

import numpy as np

from scoring.records import (
    RecordBatch,
    Rejection,
    RejectionCode,
    Validated,
    Violation,
)
from scoring.schema import FeatureBlock, Schema
from scoring.values import MISSING, Checked, Coded, Values, check_block, check_values

MAX_RECORD_ID_CHARACTERS: Final = 256
RECORD_ID_RULE: Final = (
    f"must be a string of 1 to {MAX_RECORD_ID_CHARACTERS} characters or an integer"
)

MAX_UNKNOWN_FIELDS: Final = 20
"""So many fields of a record that the model does not know are named."""

Violations = dict[int, list[Violation]]


def validate_rows(
    schema: Schema, rows: Sequence[Any], record_ids: Sequence[str | int | None]
) -> Validated:
    """Check decoded JSON records. `rows` and `record_ids` have the same length.

    A row that is no object is rejected as malformed. Every violation of a record is listed,
    but of unknown fields the first `MAX_UNKNOWN_FIELDS`.
    """
    violations: Violations = {}
    objects, values = rows, _complete(schema, rows)
    if values is None:
        objects = [_object(violations, position, row) for position, row in enumerate(rows)]
        values = [_sparse(block, objects) for block in schema.blocks]
    malformed = frozenset(violations)
    _check_names(schema, objects, violations)
    checked: dict[int, Checked] = {}
    for block, found in zip(schema.blocks, values, strict=True):
        columns = check_block(block.features, found, len(rows))
        checked |= zip(block.places, columns, strict=True)
    in_order = [checked[place] for place in range(len(schema.features))]
    return _assemble(in_order, record_ids, violations, malformed)


def validate_columns(
    schema: Schema, columns: Mapping[str, Values], record_ids: Sequence[str | int | None]
) -> Validated:
    """Check records that arrive as columns; a null is None, a missing cell is `MISSING`.

    A column the schema does not know rejects every record, as it would record by record; a column
    that is absent likewise.
    """
    count = len(record_ids)
    violations: Violations = {}
    unknown = _UnknownFields(violations)
    for name in sorted(columns.keys() - schema.known):
        unknown.found(name, (p for p, value in enumerate(columns[name]) if value is not MISSING))
    unknown.sum_up()
    absent = Coded([MISSING], np.zeros(count, dtype=np.int32))
    checked = [check_values(f, columns.get(f.name, absent)) for f in schema.features]
    return _assemble(checked, record_ids, violations, frozenset())


def _complete(schema: Schema, rows: Sequence[Any]) -> list[list[Any]] | None:
    """For each block the values of record after record; None unless every record has them all."""
    try:
        return [_picked(block, rows) for block in schema.blocks]
    except (KeyError, TypeError, IndexError):
        return None


def _picked(block: FeatureBlock, rows: Sequence[Any]) -> list[Any]:
    if len(block.names) == 1:
        return list(map(itemgetter(*block.names), rows))
    return list(chain.from_iterable(map(itemgetter(*block.names), rows)))


def _sparse(block: FeatureBlock, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The same values, where some may be absent."""
    absent = MISSING if block.features[0].required else None
    return [row.get(name, absent) for row in rows for name in block.names]


def _object(violations: Violations, position: int, row: Any) -> Mapping[str, Any]:
    if isinstance(row, dict):
        return row
    _add(violations, position, None, RejectionCode.MALFORMED, "must be an object")
    return {}


def _check_names(schema: Schema, rows: Sequence[Mapping[str, Any]], violations: Violations) -> None:
    known, unknown = schema.known, _UnknownFields(violations)
    for position, row in enumerate(rows):
        if not row.keys() <= known:
            for name in sorted(row.keys() - known):
                unknown.found(name, (position,))
    unknown.sum_up()


class _UnknownFields:
    """Fields that the model does not know, the first `MAX_UNKNOWN_FIELDS` of each record by name.

    A file of another kind has hundreds of them in every record.
    """

    def __init__(self, violations: Violations) -> None:
        self._violations = violations
        self._named: dict[str, Violation] = {}
        self._counts: Counter[int] = Counter()

    def found(self, name: str, positions: Iterable[int]) -> None:
        """These records have the field; names come sorted."""
        violation = self._named.get(name)
        if violation is None:
            code, rule = RejectionCode.UNKNOWN_FIELD, "is not a field of this model"
            violation = self._named[name] = Violation(name, code, rule)
        for position in positions:
            self._counts[position] += 1
            if self._counts[position] <= MAX_UNKNOWN_FIELDS:
                self._violations.setdefault(position, []).append(violation)

    def sum_up(self) -> None:
        """Say how many fields of a record were not named."""
        for position, count in self._counts.items():
            if count > MAX_UNKNOWN_FIELDS:
                rule = f"has {count - MAX_UNKNOWN_FIELDS} more fields that this model does not know"
                _add(self._violations, position, None, RejectionCode.UNKNOWN_FIELD, rule)


def _assemble(
    checked: Sequence[Checked],
    record_ids: Sequence[str | int | None],
    violations: Violations,
    malformed: frozenset[int],
) -> Validated:
    ids = _record_ids(violations, record_ids)
    for _, found in checked:
        for position, violation in found:
            if position not in malformed:
                violations.setdefault(position, []).append(violation)
    arrays = [column for column, _ in checked]
    if not violations:
        positions = np.arange(len(ids), dtype=np.intp)
        return Validated(RecordBatch(tuple(ids), tuple(arrays)), positions, ())
    kept = np.ones(len(ids), dtype=np.bool_)
    kept[list(violations)] = False
    positions = np.flatnonzero(kept)
    good = tuple(compress(ids, kept.tolist()))
    batch = RecordBatch(good, tuple(a[positions] for a in arrays))
    rejections = tuple(Rejection(p, ids[p], tuple(violations[p])) for p in sorted(violations))
    return Validated(batch, positions, rejections)


def as_record_id(value: object) -> str | None:
    """The id as a string, an integer as its digits; None when it breaks `RECORD_ID_RULE`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and 0 < len(value) <= MAX_RECORD_ID_CHARACTERS:
        return str(value)
    return None


def _record_ids(violations: Violations, values: Sequence[Any]) -> Sequence[Any]:
    """The ids as strings; None for each that is none."""
    if set(map(type, values)) == {str}:
        lengths = list(map(len, values))
        if min(lengths) > 0 and max(lengths) <= MAX_RECORD_ID_CHARACTERS:
            return values
    return [_record_id(violations, position, value) for position, value in enumerate(values)]


def _record_id(violations: Violations, position: int, value: object) -> str | None:
    record_id = as_record_id(value)
    if record_id is None:
        code = RejectionCode.INVALID_RECORD_ID
        _add(violations, position, "record_id", code, RECORD_ID_RULE)
    return record_id


def _add(
    violations: Violations, position: int, field: str | None, code: RejectionCode, rule: str
) -> None:
    violations.setdefault(position, []).append(Violation(field, code, rule))
