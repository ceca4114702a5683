"""What holds for the values of each type: `RULES` has one entry per type.

A float column takes any number, an integer column takes 3 and 3.0, nothing is parsed out of a
string except a date-time (ISO 8601), and no rule ever repeats a value. What converts a column at
once accepts exactly what the check of a single value accepts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from scoring.records import Column, RejectionCode
from scoring.schema import DTYPES, FieldType

Plain = Sequence[Any] | Column
"""Plain Python values, or a NumPy array."""


class InvalidValueError(Exception):
    """One value broke one rule. Never leaves validation."""

    def __init__(self, code: RejectionCode, rule: str) -> None:
        super().__init__(rule)
        self.code = code
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for the values of one type.

    `check` takes a value that is no null. `convert` takes many values of the Python types
    `plain`, or an array of one of NumPy's `kinds`, and gives None when a value does not fit.
    """

    check: Callable[[Any], Any]
    convert: Callable[[Plain], Column | None]
    plain: frozenset[type]
    kinds: str
    filler: Any
    null: Any = None


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidValueError(RejectionCode.WRONG_TYPE, "must be a boolean")


def _booleans(values: Plain) -> Column:
    return np.asarray(values, dtype=np.bool_)


def _integer(value: Any, bits: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValueError(RejectionCode.WRONG_TYPE, "must be an integer")
    if isinstance(value, float):
        if not np.isfinite(value):
            raise InvalidValueError(RejectionCode.NOT_FINITE, "must be a finite integer")
        if not value.is_integer():
            raise InvalidValueError(RejectionCode.WRONG_TYPE, "must be an integer")
    whole = int(value)
    if not -(2 ** (bits - 1)) <= whole < 2 ** (bits - 1):
        raise InvalidValueError(RejectionCode.OUT_OF_RANGE, f"must fit in {bits} bits")
    return whole


def _longs(values: Plain) -> Column:
    return np.asarray(values, dtype=np.int64)


def _integers(values: Plain) -> Column | None:
    wide, bounds = _longs(values), np.iinfo(np.int32)
    if len(wide) and (wide.min() < bounds.min or wide.max() > bounds.max):
        return None
    return wide.astype(np.int32)


def _number(value: Any, kind: FieldType) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValueError(RejectionCode.WRONG_TYPE, "must be a number")
    if isinstance(value, float) and not np.isfinite(value):
        raise InvalidValueError(RejectionCode.NOT_FINITE, "must be a finite number")
    dtype = DTYPES[kind]
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    with np.errstate(over="ignore"):
        fits = np.isfinite(np.float64(number).astype(dtype))
    if not fits:
        raise InvalidValueError(RejectionCode.OUT_OF_RANGE, f"must fit in a {dtype.name}")
    return number


def _doubles(values: Plain) -> Column | None:
    wide = np.asarray(values, dtype=np.float64)
    return wide if bool(np.isfinite(wide).all()) else None


def _floats(values: Plain) -> Column | None:
    wide = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    return narrow if bool(np.isfinite(narrow).all()) else None


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise InvalidValueError(RejectionCode.WRONG_TYPE, "must be a string")


def _strings(values: Plain) -> Column:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _datetime(value: Any) -> np.datetime64:
    rule = "must be an ISO 8601 date-time"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidValueError(RejectionCode.WRONG_TYPE, rule) from None
    if not isinstance(value, datetime):
        raise InvalidValueError(RejectionCode.WRONG_TYPE, rule)
    bounds = "must be between the years 1678 and 2261"
    if value.tzinfo is not None:
        try:
            value = value.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:
            raise InvalidValueError(RejectionCode.OUT_OF_RANGE, bounds) from None
    if not 1678 <= value.year <= 2261:
        raise InvalidValueError(RejectionCode.OUT_OF_RANGE, bounds)
    return np.datetime64(value, "ns")


def _datetimes(values: Plain) -> Column | None:
    """Of arrays of times; each text is read by itself."""
    if not isinstance(values, np.ndarray):
        return None if len(values) else np.empty(0, dtype=DTYPES[FieldType.DATETIME])
    if not bool(((values >= _FIRST_TIME) & (values < _BEHIND_LAST_TIME)).all()):
        return None
    return values.astype(DTYPES[FieldType.DATETIME])


_FIRST_TIME: Final = np.datetime64("1678-01-01")
_BEHIND_LAST_TIME: Final = np.datetime64("2262-01-01")

RULES: Final[Mapping[FieldType, Rule]] = {
    FieldType.BOOLEAN: Rule(_boolean, _booleans, frozenset({bool}), "b", False),
    FieldType.INTEGER: Rule(lambda v: _integer(v, 32), _integers, frozenset({int}), "i", 0),
    FieldType.LONG: Rule(lambda v: _integer(v, 64), _longs, frozenset({int}), "i", 0),
    FieldType.FLOAT: Rule(
        lambda v: _number(v, FieldType.FLOAT), _floats, frozenset({int, float}), "if", 0.0, np.nan
    ),
    FieldType.DOUBLE: Rule(
        lambda v: _number(v, FieldType.DOUBLE), _doubles, frozenset({int, float}), "if", 0.0, np.nan
    ),
    FieldType.STRING: Rule(_string, _strings, frozenset({str}), "", ""),
    FieldType.DATETIME: Rule(
        _datetime,
        _datetimes,
        frozenset(),
        "M",
        np.datetime64(0, "ns"),
        np.datetime64("NaT", "ns"),
    ),
}
