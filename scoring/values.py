"""One column of plain values to its dtype, or the rule each of its values breaks.

A float column takes any number, an integer column takes 3 and 3.0, nothing is parsed out of a
string except a date-time (ISO 8601), and no rule ever repeats a value.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from scoring.records import Column, RejectionCode, Violation
from scoring.schema import Feature, FieldType

MISSING: Final = object()
"""Stands where a record has no such field."""

Values = Sequence[Any] | Column
"""Plain Python values or a NumPy array; a null is None."""

_Check = Callable[[Any], Any]


class _InvalidValueError(Exception):
    """Internal to this module: one value broke one rule."""

    def __init__(self, code: RejectionCode, rule: str) -> None:
        super().__init__(rule)
        self.code = code
        self.rule = rule


def check_values(feature: Feature, values: Values) -> tuple[Column, list[tuple[int, Violation]]]:
    """One column to its dtype, with a violation for each position that breaks a rule.

    The array has shape (len(values),); positions with a violation hold a filler.
    """
    fast = _whole_column(feature, values)
    if fast is not None:
        return fast, []
    return _value_by_value(feature, values)


def _whole_column(feature: Feature, values: Values) -> Column | None:
    """The column converted at once, or None when some value needs a closer look."""
    if isinstance(values, np.ndarray):
        fits = values.dtype.kind in _ARRAY_KINDS[feature.type]
    else:
        fits = set(map(type, values)) <= _PYTHON_TYPES[feature.type]
    if not fits:
        return None
    try:
        return _converted(feature, values)
    except OverflowError:
        return None


def _converted(feature: Feature, values: Values) -> Column | None:
    if feature.type is FieldType.STRING:
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    if feature.type in (FieldType.INTEGER, FieldType.LONG):
        wide = np.asarray(values, dtype=np.int64)
        return _narrowed(feature, wide)
    if feature.type in (FieldType.FLOAT, FieldType.DOUBLE):
        with np.errstate(over="ignore"):
            array = np.asarray(values, dtype=np.float64).astype(feature.dtype)
        return array if bool(np.isfinite(array).all()) else None
    return np.asarray(values, dtype=feature.dtype)


def _narrowed(feature: Feature, wide: Column) -> Column | None:
    if feature.type is FieldType.LONG or not len(wide):
        return wide.astype(feature.dtype)
    bounds = np.iinfo(np.int32)
    if wide.min() < bounds.min or wide.max() > bounds.max:
        return None
    return wide.astype(feature.dtype)


def _value_by_value(feature: Feature, values: Values) -> tuple[Column, list[tuple[int, Violation]]]:
    items = values.tolist() if isinstance(values, np.ndarray) else values
    check = _CHECKS[feature.type]
    filler = _FILLERS[feature.type]
    checked: list[Any] = []
    found: list[tuple[int, Violation]] = []
    for position, value in enumerate(items):
        try:
            checked.append(_checked(feature, check, value))
        except _InvalidValueError as invalid:
            checked.append(filler)
            found.append((position, Violation(feature.name, invalid.code, invalid.rule)))
    return _as_column(feature, checked), found


def _checked(feature: Feature, check: _Check, value: Any) -> Any:
    is_nan = isinstance(value, float) and value != value
    if value is None or value is MISSING or (is_nan and not feature.required):
        if not feature.required:
            return None
        if value is MISSING:
            raise _InvalidValueError(RejectionCode.MISSING_FIELD, "is required")
        raise _InvalidValueError(RejectionCode.NULL_VALUE, "must not be null")
    return check(value)


def _as_column(feature: Feature, checked: list[Any]) -> Column:
    if feature.type in (FieldType.FLOAT, FieldType.DOUBLE):
        return np.asarray([np.nan if v is None else v for v in checked], dtype=feature.dtype)
    if feature.type is FieldType.STRING or any(v is None for v in checked):
        column = np.empty(len(checked), dtype=object)
        column[:] = checked
        return column
    return np.asarray(checked, dtype=feature.dtype)


def _tidy(column: Column) -> Column:
    return np.ascontiguousarray(column)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _InvalidValueError(RejectionCode.WRONG_TYPE, "must be a boolean")


def _integer_within(bits: int) -> _Check:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _InvalidValueError(RejectionCode.WRONG_TYPE, "must be an integer")
        if isinstance(value, float):
            if not np.isfinite(value):
                raise _InvalidValueError(RejectionCode.NOT_FINITE, "must be a finite integer")
            if not value.is_integer():
                raise _InvalidValueError(RejectionCode.WRONG_TYPE, "must be an integer")
        whole = int(value)
        if not low <= whole <= high:
            raise _InvalidValueError(RejectionCode.OUT_OF_RANGE, f"must fit in {bits} bits")
        return whole

    return check


def _number_within(dtype: type[np.floating[Any]]) -> _Check:
    largest = float(np.finfo(dtype).max)

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _InvalidValueError(RejectionCode.WRONG_TYPE, "must be a number")
        if isinstance(value, float) and not np.isfinite(value):
            raise _InvalidValueError(RejectionCode.NOT_FINITE, "must be a finite number")
        if not -largest <= value <= largest:
            raise _InvalidValueError(
                RejectionCode.OUT_OF_RANGE, f"must fit in a {np.dtype(dtype).name}"
            )
        return float(value)

    return check


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _InvalidValueError(RejectionCode.WRONG_TYPE, "must be a string")


def _datetime(value: Any) -> np.datetime64:
    rule = "must be an ISO 8601 date-time"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise _InvalidValueError(RejectionCode.WRONG_TYPE, rule) from None
    if not isinstance(value, datetime):
        raise _InvalidValueError(RejectionCode.WRONG_TYPE, rule)
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    if not 1678 <= value.year <= 2261:
        raise _InvalidValueError(
            RejectionCode.OUT_OF_RANGE, "must be between the years 1678 and 2261"
        )
    return np.datetime64(value, "ns")


_CHECKS: Mapping[FieldType, _Check] = {
    FieldType.BOOLEAN: _boolean,
    FieldType.INTEGER: _integer_within(32),
    FieldType.LONG: _integer_within(64),
    FieldType.FLOAT: _number_within(np.float32),
    FieldType.DOUBLE: _number_within(np.float64),
    FieldType.STRING: _string,
    FieldType.DATETIME: _datetime,
}
_FILLERS: Mapping[FieldType, Any] = {
    FieldType.BOOLEAN: False,
    FieldType.INTEGER: 0,
    FieldType.LONG: 0,
    FieldType.FLOAT: 0.0,
    FieldType.DOUBLE: 0.0,
    FieldType.STRING: "",
    FieldType.DATETIME: np.datetime64(0, "ns"),
}
_PYTHON_TYPES: Mapping[FieldType, set[type]] = {
    FieldType.BOOLEAN: {bool},
    FieldType.INTEGER: {int},
    FieldType.LONG: {int},
    FieldType.FLOAT: {int, float},
    FieldType.DOUBLE: {int, float},
    FieldType.STRING: {str},
    FieldType.DATETIME: set(),
}
_ARRAY_KINDS: Mapping[FieldType, set[str]] = {
    FieldType.BOOLEAN: {"b"},
    FieldType.INTEGER: {"i"},
    FieldType.LONG: {"i"},
    FieldType.FLOAT: {"i", "f"},
    FieldType.DOUBLE: {"i", "f"},
    FieldType.STRING: set(),
    FieldType.DATETIME: set(),
}
