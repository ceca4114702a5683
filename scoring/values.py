"""Columns of plain values to their dtypes, or the rules that their values break.

A float column takes any number, an integer column takes 3 and 3.0, nothing is parsed out of a
string except a date-time (ISO 8601), and no rule ever repeats a value. `_RULES` has one entry per
type. What converts a column at once accepts exactly what the check of a single value accepts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from scoring.records import Column, RejectionCode, Violation
from scoring.schema import DTYPES, Feature, FieldType

MISSING: Final = object()
"""Stands where a record has no such field."""

Values = Sequence[Any] | Column
"""Plain Python values or a NumPy array; a null is None."""

Checked = tuple[Column, list[tuple[int, Violation]]]
"""A column, with a violation for each position that broke a rule and holds a filler."""

_NONE: Final = frozenset({type(None)})


class _InvalidValueError(Exception):
    """Internal to this module: one value broke one rule."""

    def __init__(self, code: RejectionCode, rule: str) -> None:
        super().__init__(rule)
        self.code = code
        self.rule = rule


@dataclass(frozen=True, slots=True)
class _Rule:
    """What holds for the values of one type.

    `check` takes a value that is no null. `convert` takes many values of the Python types
    `plain`, or an array of one of NumPy's `kinds`, and gives None when a value does not fit.
    """

    check: Callable[[Any], Any]
    convert: Callable[[Values], Column | None]
    plain: frozenset[type]
    kinds: str
    filler: Any
    null: Any = None


def check_values(feature: Feature, values: Values) -> Checked:
    """One column to `feature.dtype`, shape (len(values),)."""
    column = _at_once(feature, values, nulls=True)
    return _one_by_one(feature, values) if column is None else (column, [])


def check_block(features: Sequence[Feature], values: list[Any], count: int) -> list[Checked]:
    """The columns of features that are alike in type and `required`, one per feature.

    `values` holds those of record after record, `count` records.
    """
    # Where many records share the block, a column with nulls is better looked at by itself.
    column = _at_once(features[0], values, nulls=count == 1)
    if column is None:
        width = len(features)
        return [check_values(f, values[i::width]) for i, f in enumerate(features)]
    table = np.ascontiguousarray(column.reshape(count, len(features)).T)
    return [(row, []) for row in table]


def _at_once(feature: Feature, values: Values, nulls: bool) -> Column | None:
    """All values converted together, or None when one of them needs a closer look, as a null does
    unless `nulls`.
    """
    rule = _RULES[feature.type]
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in rule.kinds:
            return None
    else:
        found = set(map(type, values))
        if not found <= rule.plain:
            if feature.required or not nulls or not found <= rule.plain | _NONE:
                return None
            return _with_nulls(feature, rule, values)
    column = _converted(rule, values)
    if column is not None and column.dtype != feature.dtype:
        return column.astype(feature.dtype)
    return column


def _with_nulls(feature: Feature, rule: _Rule, values: Sequence[Any]) -> Column | None:
    present = np.fromiter((v is not None for v in values), dtype=bool, count=len(values))
    found = _converted(rule, [v for v in values if v is not None])
    if found is None:
        return None
    column = np.full(len(values), rule.null, dtype=feature.dtype)
    column[present] = found
    return column


def _converted(rule: _Rule, values: Values) -> Column | None:
    try:
        return rule.convert(values)
    except OverflowError:
        return None


def _one_by_one(feature: Feature, values: Values) -> Checked:
    items = values.tolist() if isinstance(values, np.ndarray) else values
    rule = _RULES[feature.type]
    column = np.empty(len(items), dtype=feature.dtype)
    found: list[tuple[int, Violation]] = []
    for position, value in enumerate(items):
        try:
            column[position] = _checked(feature, rule, value)
        except _InvalidValueError as invalid:
            column[position] = rule.filler
            found.append((position, Violation(feature.name, invalid.code, invalid.rule)))
    return column, found


def _checked(feature: Feature, rule: _Rule, value: Any) -> Any:
    if feature.required:
        if value is MISSING:
            raise _InvalidValueError(RejectionCode.MISSING_FIELD, "is required")
        if value is None:
            raise _InvalidValueError(RejectionCode.NULL_VALUE, "must not be null")
    elif value is None or value is MISSING or (isinstance(value, float) and value != value):
        return rule.null
    return rule.check(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _InvalidValueError(RejectionCode.WRONG_TYPE, "must be a boolean")


def _booleans(values: Values) -> Column:
    return np.asarray(values, dtype=np.bool_)


def _integer(value: Any, bits: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _InvalidValueError(RejectionCode.WRONG_TYPE, "must be an integer")
    if isinstance(value, float):
        if not np.isfinite(value):
            raise _InvalidValueError(RejectionCode.NOT_FINITE, "must be a finite integer")
        if not value.is_integer():
            raise _InvalidValueError(RejectionCode.WRONG_TYPE, "must be an integer")
    whole = int(value)
    if not -(2 ** (bits - 1)) <= whole < 2 ** (bits - 1):
        raise _InvalidValueError(RejectionCode.OUT_OF_RANGE, f"must fit in {bits} bits")
    return whole


def _longs(values: Values) -> Column:
    return np.asarray(values, dtype=np.int64)


def _integers(values: Values) -> Column | None:
    wide, bounds = _longs(values), np.iinfo(np.int32)
    if len(wide) and (wide.min() < bounds.min or wide.max() > bounds.max):
        return None
    return wide.astype(np.int32)


def _number(value: Any, kind: FieldType) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _InvalidValueError(RejectionCode.WRONG_TYPE, "must be a number")
    if isinstance(value, float) and not np.isfinite(value):
        raise _InvalidValueError(RejectionCode.NOT_FINITE, "must be a finite number")
    dtype = DTYPES[kind]
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    with np.errstate(over="ignore"):
        fits = np.isfinite(np.float64(number).astype(dtype))
    if not fits:
        raise _InvalidValueError(RejectionCode.OUT_OF_RANGE, f"must fit in a {dtype.name}")
    return number


def _doubles(values: Values) -> Column | None:
    wide = np.asarray(values, dtype=np.float64)
    return wide if bool(np.isfinite(wide).all()) else None


def _floats(values: Values) -> Column | None:
    wide = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    return narrow if bool(np.isfinite(narrow).all()) else None


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _InvalidValueError(RejectionCode.WRONG_TYPE, "must be a string")


def _strings(values: Values) -> Column:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _datetime(value: Any) -> np.datetime64:
    rule = "must be an ISO 8601 date-time"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise _InvalidValueError(RejectionCode.WRONG_TYPE, rule) from None
    if not isinstance(value, datetime):
        raise _InvalidValueError(RejectionCode.WRONG_TYPE, rule)
    bounds = "must be between the years 1678 and 2261"
    if value.tzinfo is not None:
        try:
            value = value.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:
            raise _InvalidValueError(RejectionCode.OUT_OF_RANGE, bounds) from None
    if not 1678 <= value.year <= 2261:
        raise _InvalidValueError(RejectionCode.OUT_OF_RANGE, bounds)
    return np.datetime64(value, "ns")


def _datetimes(values: Values) -> Column | None:
    """Of no values, as no plain type is a date-time; every text is read by itself."""
    return None if len(values) else np.empty(0, dtype=DTYPES[FieldType.DATETIME])


_RULES: Final[Mapping[FieldType, _Rule]] = {
    FieldType.BOOLEAN: _Rule(_boolean, _booleans, frozenset({bool}), "b", False),
    FieldType.INTEGER: _Rule(lambda v: _integer(v, 32), _integers, frozenset({int}), "i", 0),
    FieldType.LONG: _Rule(lambda v: _integer(v, 64), _longs, frozenset({int}), "i", 0),
    FieldType.FLOAT: _Rule(
        lambda v: _number(v, FieldType.FLOAT), _floats, frozenset({int, float}), "if", 0.0, np.nan
    ),
    FieldType.DOUBLE: _Rule(
        lambda v: _number(v, FieldType.DOUBLE), _doubles, frozenset({int, float}), "if", 0.0, np.nan
    ),
    FieldType.STRING: _Rule(_string, _strings, frozenset({str}), "", ""),
    FieldType.DATETIME: _Rule(
        _datetime,
        _datetimes,
        frozenset(),
        "",
        np.datetime64(0, "ns"),
        np.datetime64("NaT", "ns"),
    ),
}
