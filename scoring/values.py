"""Columns of values to their dtypes, or the rules that their values break.

Whatever the form of a column, each value gets the verdict and the bits that it gets alone from
`scoring.value_rules`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from scoring.records import Column, RejectionCode, Violation
from scoring.schema import Feature
from scoring.value_rules import RULES, InvalidValueError, Rule

MISSING: Final = object()
"""Stands where a record has no such field."""


@dataclass(frozen=True, slots=True, eq=False)
class Coded(Sequence[Any]):
    """Values of which few are distinct: that of record i is `distinct[codes[i]]`; a null is None.

    `codes` has shape (records,) and counts from 0. What stands in `distinct` and in no record does
    not count.
    """

    distinct: Sequence[Any]
    codes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[Any]:
        return map(self.distinct.__getitem__, self.codes.tolist())

    @overload
    def __getitem__(self, place: int) -> Any: ...

    @overload
    def __getitem__(self, place: slice) -> "Coded": ...

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return Coded(self.distinct, self.codes[place])
        return self.distinct[self.codes[place]]


Values = Sequence[Any] | Column
"""Plain Python values, `Coded` ones, or a NumPy array; a null is None, in arrays NaT or, in a
feature that may be null, NaN. Arrays of times are in UTC, in seconds, milli- or microseconds.
"""

Checked = tuple[Column, list[tuple[int, Violation]]]
"""A column, with a violation for each position that broke a rule and holds a filler."""

_NONE: Final = frozenset({type(None)})
_WITH_NULLS: Final = "fM"
"""Kinds of NumPy arrays with a value for null: NaN or NaT."""
_BLOCK: Final = 512
"""Values that are looked at one by one, because one of them is bad."""


def check_values(feature: Feature, values: Values) -> Checked:
    """One column to `feature.dtype`, shape (len(values),)."""
    if isinstance(values, Coded):
        return _check_coded(feature, values)
    column = _at_once(feature, values, nulls=True)
    if column is not None:
        return column, []
    return _one_by_one(feature, values) if len(values) <= _BLOCK else _in_blocks(feature, values)


def _in_blocks(feature: Feature, values: Values) -> Checked:
    """A few values at a time, so that a bad one slows down only those around it."""
    starts = range(0, len(values), _BLOCK)
    parts = [check_values(feature, values[start : start + _BLOCK]) for start in starts]
    found = [
        (start + position, violation)
        for start, (_, broken) in zip(starts, parts, strict=True)
        for position, violation in broken
    ]
    return np.concatenate([column for column, _ in parts]), found


def _check_coded(feature: Feature, values: Coded) -> Checked:
    """Each distinct value of some record once, and the column and the violations from those."""
    codes = values.codes.astype(np.intp)  # what NumPy counts and takes by fastest
    counts = np.bincount(codes, minlength=len(values.distinct))
    used = np.flatnonzero(counts)
    places = np.zeros(len(counts), dtype=np.intp)
    places[used] = np.arange(len(used))
    codes = places.take(codes)
    distinct, broken = check_values(feature, [values.distinct[code] for code in used.tolist()])
    column = distinct.take(codes)
    if not broken:
        return column, []
    rules = dict(broken)
    positions = np.flatnonzero(np.isin(codes, list(rules))).tolist()
    return column, [(position, rules[codes[position]]) for position in positions]


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
    rule = RULES[feature.type]
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in rule.kinds:
            return None
        if values.dtype.kind in _WITH_NULLS and not feature.required:
            return _with_nulls(feature, rule, values, values == values)
    else:
        found = set(map(type, values))
        if not found <= rule.plain:
            if feature.required or not nulls or not found <= rule.plain | _NONE:
                return None
            present = np.fromiter((v is not None for v in values), np.bool_, len(values))
            return _with_nulls(feature, rule, values, present)
    column = _converted(rule, values)
    if column is not None and column.dtype != feature.dtype:
        return column.astype(feature.dtype)
    return column


def _with_nulls(
    feature: Feature, rule: Rule, values: Values, present: NDArray[np.bool_]
) -> Column | None:
    if isinstance(values, np.ndarray):
        found = _converted(rule, values[present])
    else:
        found = _converted(rule, list(compress(values, present.tolist())))
    if found is None:
        return None
    column = np.full(len(values), rule.null, dtype=feature.dtype)
    column[present] = found
    return column


def _converted(rule: Rule, values: Values) -> Column | None:
    try:
        return rule.convert(values)
    except OverflowError:
        return None


def _one_by_one(feature: Feature, values: Values) -> Checked:
    items = values.tolist() if isinstance(values, np.ndarray) else values
    rule = RULES[feature.type]
    column = np.empty(len(items), dtype=feature.dtype)
    found: list[tuple[int, Violation]] = []
    for position, value in enumerate(items):
        try:
            column[position] = _checked(feature, rule, value)
        except InvalidValueError as invalid:
            column[position] = rule.filler
            found.append((position, Violation(feature.name, invalid.code, invalid.rule)))
    return column, found


def _checked(feature: Feature, rule: Rule, value: Any) -> Any:
    if feature.required:
        if value is MISSING:
            raise InvalidValueError(RejectionCode.MISSING_FIELD, "is required")
        if value is None:
            raise InvalidValueError(RejectionCode.NULL_VALUE, "must not be null")
    elif value is None or value is MISSING or (isinstance(value, float) and value != value):
        return rule.null
    return rule.check(value)
