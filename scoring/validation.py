"""Records in, a valid batch and rejections out. All lanes come through here.

Values arrive either as decoded JSON (rows) or as columns of plain Python values or NumPy arrays.
The same record gets the same verdict in both forms. `scoring.values` has the rules for a value.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from scoring.records import (
    Column,
    RecordBatch,
    Rejection,
    RejectionCode,
    Validated,
    Violation,
)
from scoring.schema import Schema
from scoring.values import MISSING, Values, check_values

MAX_RECORD_ID_CHARACTERS: Final = 256
RECORD_ID_RULE: Final = (
    f"must be a string of 1 to {MAX_RECORD_ID_CHARACTERS} characters or an integer"
)

Violations = dict[int, list[Violation]]


def validate_rows(
    schema: Schema, rows: Sequence[Any], record_ids: Sequence[str | int | None]
) -> Validated:
    """Check decoded JSON records. `rows` and `record_ids` have the same length.

    A row that is no object is rejected as malformed. Every violation of a record is listed.
    """
    violations: Violations = {}
    objects: list[Mapping[str, Any]] = []
    known = schema.known
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            _add(violations, position, None, RejectionCode.MALFORMED, "must be an object")
            objects.append({})
            continue
        objects.append(row)
        if not row.keys() <= known:
            for name in sorted(row.keys() - known):
                _unknown_field(violations, position, name)
    malformed = _malformed(violations)
    columns = {f.name: [row.get(f.name, MISSING) for row in objects] for f in schema.features}
    return _assemble(schema, columns, record_ids, violations, malformed)


def validate_columns(
    schema: Schema, columns: Mapping[str, Values], record_ids: Sequence[str | int | None]
) -> Validated:
    """Check records that arrive as columns; a null is None, a missing cell is `MISSING`.

    A column the schema does not know rejects every record, as it would record by record; a column
    that is absent likewise.
    """
    count = len(record_ids)
    violations: Violations = {}
    for name in sorted(columns.keys() - schema.known):
        for position, value in enumerate(columns[name]):
            if value is not MISSING:
                _unknown_field(violations, position, name)
    complete = {f.name: columns.get(f.name, [MISSING] * count) for f in schema.features}
    return _assemble(schema, complete, record_ids, violations, frozenset())


def _assemble(
    schema: Schema,
    columns: Mapping[str, Values],
    record_ids: Sequence[str | int | None],
    violations: Violations,
    malformed: frozenset[int],
) -> Validated:
    ids = [_record_id(violations, position, value) for position, value in enumerate(record_ids)]
    arrays: list[Column] = []
    for feature in schema.features:
        array, found = check_values(feature, columns[feature.name])
        arrays.append(array)
        for position, violation in found:
            if position not in malformed:
                violations.setdefault(position, []).append(violation)
    if not violations:
        positions = np.arange(len(ids), dtype=np.intp)
        return Validated(RecordBatch(tuple(map(str, ids)), tuple(arrays)), positions, ())
    good = [position for position in range(len(ids)) if position not in violations]
    positions = np.asarray(good, dtype=np.intp)
    batch = RecordBatch(tuple(str(ids[p]) for p in good), tuple(a[positions] for a in arrays))
    rejections = tuple(Rejection(p, ids[p], tuple(violations[p])) for p in sorted(violations))
    return Validated(batch, positions, rejections)


def as_record_id(value: object) -> str | None:
    """The id as a string, an integer as its digits; None when it breaks `RECORD_ID_RULE`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and 0 < len(value) <= MAX_RECORD_ID_CHARACTERS:
        return value
    return None


def _record_id(violations: Violations, position: int, value: object) -> str | None:
    record_id = as_record_id(value)
    if record_id is None:
        code = RejectionCode.INVALID_RECORD_ID
        _add(violations, position, "record_id", code, RECORD_ID_RULE)
    return record_id


def _unknown_field(violations: Violations, position: int, name: str) -> None:
    _add(violations, position, name, RejectionCode.UNKNOWN_FIELD, "is not a field of this model")


def _malformed(violations: Violations) -> frozenset[int]:
    return frozenset(
        position
        for position, found in violations.items()
        if found[0].code is RejectionCode.MALFORMED
    )


def _add(
    violations: Violations, position: int, field: str | None, code: RejectionCode, rule: str
) -> None:
    violations.setdefault(position, []).append(Violation(field, code, rule))
