"""What validation accepts, what it refuses, and that it never repeats a value."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.records import RejectionCode
from scoring.schema import FieldType, Schema
from scoring.validation import MAX_UNKNOWN_FIELDS, validate_columns, validate_rows
from scoring.values import MISSING

SCHEMA = Schema.from_signature(
    [
        {"name": "flag", "type": "boolean"},
        {"name": "small", "type": "integer"},
        {"name": "big", "type": "long"},
        {"name": "narrow", "type": "float"},
        {"name": "wide", "type": "double"},
        {"name": "text", "type": "string"},
        {"name": "when", "type": "datetime"},
        {"name": "maybe", "type": "double", "required": False},
        {"name": "note", "type": "string", "required": False},
    ],
    ignored=["comment"],
)
GOOD: dict[str, Any] = {
    "flag": True,
    "small": 1,
    "big": 2,
    "narrow": 0.5,
    "wide": 1.25,
    "text": "a",
    "when": "2026-03-02T10:00:00+01:00",
    "maybe": None,
    "note": None,
}


def verdict(field: str, value: Any) -> RejectionCode | None:
    """The code a record gets whose `field` is `value`, None when it is accepted."""
    row = {k: v for k, v in (GOOD | {field: value}).items() if v is not MISSING}
    rejections = validate_rows(SCHEMA, [row], ["1"]).rejections
    return rejections[0].code if rejections else None


def test_a_good_record_becomes_a_batch_in_schema_order() -> None:
    """Columns have the schema's order and dtypes; a date-time is in UTC."""
    valid = validate_rows(SCHEMA, [GOOD], ["7"])
    assert valid.batch.record_ids == ("7",)
    assert [c.dtype for c in valid.batch.columns[:7]] == [f.dtype for f in SCHEMA.features[:7]]
    assert valid.batch.columns[6][0] == np.datetime64("2026-03-02T09:00:00", "ns")
    assert math.isnan(valid.batch.columns[7][0])
    assert valid.batch.columns[8][0] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("big", 3.0),
        ("small", -(2**31)),
        ("wide", 3),
        ("narrow", 1),
        ("text", ""),
        ("when", "2026-03-02"),
        ("maybe", MISSING),
        ("maybe", float("nan")),
        ("note", MISSING),
        ("comment", {"anything": [1]}),
    ],
)
def test_values_that_fit(field: str, value: Any) -> None:
    """Whole floats fit integers, integers fit floats, optional fields may be absent."""
    assert verdict(field, value) is None


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("flag", 1, RejectionCode.WRONG_TYPE),
        ("flag", "true", RejectionCode.WRONG_TYPE),
        ("small", 2**31, RejectionCode.OUT_OF_RANGE),
        ("big", 2**63, RejectionCode.OUT_OF_RANGE),
        ("big", True, RejectionCode.WRONG_TYPE),
        ("big", 2.5, RejectionCode.WRONG_TYPE),
        ("big", float("inf"), RejectionCode.NOT_FINITE),
        ("narrow", 1e39, RejectionCode.OUT_OF_RANGE),
        ("wide", float("nan"), RejectionCode.NOT_FINITE),
        ("wide", "1.0", RejectionCode.WRONG_TYPE),
        ("wide", 10**400, RejectionCode.OUT_OF_RANGE),
        ("text", 5, RejectionCode.WRONG_TYPE),
        ("text", None, RejectionCode.NULL_VALUE),
        ("text", MISSING, RejectionCode.MISSING_FIELD),
        ("when", "yesterday", RejectionCode.WRONG_TYPE),
        ("when", "0001-01-01T00:00:00", RejectionCode.OUT_OF_RANGE),
        ("maybe", "x", RejectionCode.WRONG_TYPE),
        ("maybe", float("-inf"), RejectionCode.NOT_FINITE),
        ("surprise", 1, RejectionCode.UNKNOWN_FIELD),
    ],
)
def test_values_that_do_not_fit(field: str, value: Any, code: RejectionCode) -> None:
    """Each broken rule has its code."""
    assert verdict(field, value) == code


def test_every_violation_of_a_record_is_listed_with_its_field() -> None:
    """One rejection names all its broken fields."""
    (rejection,) = validate_rows(SCHEMA, [GOOD | {"big": "x", "wide": None}], ["1"]).rejections
    assert [v.field for v in rejection.violations] == ["big", "wide"]
    assert rejection.detail == "big: must be an integer; wide: must not be null"


@pytest.mark.parametrize("row", [None, 3, "text", [1], []])
def test_a_row_that_is_no_object_is_malformed(row: Any) -> None:
    """Only that, and not also a list of missing fields."""
    (rejection,) = validate_rows(SCHEMA, [row], ["1"]).rejections
    assert [v.code for v in rejection.violations] == [RejectionCode.MALFORMED]


@pytest.mark.parametrize("record_id", [None, "", "x" * 257, True, 1.5])
def test_a_record_id_must_be_a_short_string_or_an_integer(record_id: Any) -> None:
    """Anything else is rejected, and the rejection carries no id."""
    (rejection,) = validate_rows(SCHEMA, [GOOD], [record_id]).rejections
    assert rejection.code is RejectionCode.INVALID_RECORD_ID
    assert rejection.record_id is None


def test_good_records_around_a_bad_one_survive() -> None:
    """Positions say where the valid ones stood; scored plus rejected is received."""
    valid = validate_rows(SCHEMA, [GOOD, {}, GOOD], ["a", "b", "c"])
    assert valid.batch.record_ids == ("a", "c")
    assert valid.positions.tolist() == [0, 2]
    assert [(r.position, r.record_id) for r in valid.rejections] == [(1, "b")]


def test_an_empty_input_is_an_empty_batch() -> None:
    """No records, no rejections, columns of length 0."""
    valid = validate_rows(SCHEMA, [], [])
    assert len(valid.batch) == 0
    assert valid.rejections == ()


def test_a_numpy_column_is_checked_like_its_values() -> None:
    """Arrays take the same rules, nulls and infinities included."""
    columns: dict[str, Any] = {name: [value] * 3 for name, value in GOOD.items()}
    columns["wide"] = np.array([1.0, np.inf, np.nan])
    columns["big"] = np.array([1.0, 2.0, 2.5])
    valid = validate_columns(SCHEMA, columns, ["a", "b", "c"])
    codes = [[v.code for v in r.violations] for r in valid.rejections]
    assert valid.batch.record_ids == ("a",)
    assert codes == [
        [RejectionCode.NOT_FINITE],
        [RejectionCode.WRONG_TYPE, RejectionCode.NOT_FINITE],
    ]


_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.just(MISSING),
    st.lists(st.integers(), max_size=1),
)


@settings(deadline=None)
@given(rows=st.lists(st.fixed_dictionaries({f.name: _values for f in SCHEMA.features}), max_size=6))
def test_rows_and_columns_get_the_same_verdict_and_bits(rows: list[dict[str, Any]]) -> None:
    """Record by record, column by column, and one record at a time agree."""
    ids = [str(i) for i in range(len(rows))]
    as_rows = [{k: v for k, v in row.items() if v is not MISSING} for row in rows]
    columns = {f.name: [row[f.name] for row in rows] for f in SCHEMA.features}
    whole = validate_rows(SCHEMA, as_rows, ids)
    by_column = validate_columns(SCHEMA, columns, ids)
    assert whole.rejections == by_column.rejections
    assert len(whole.batch) + len(whole.rejections) == len(rows)
    for a, b in zip(whole.batch.columns, by_column.batch.columns, strict=True):
        np.testing.assert_array_equal(a, b)
    for position, record_id in zip(whole.positions, whole.batch.record_ids, strict=True):
        alone = validate_rows(SCHEMA, [as_rows[position]], [record_id])
        place = whole.batch.record_ids.index(record_id)
        for a, b in zip(whole.batch.columns, alone.batch.columns, strict=True):
            np.testing.assert_array_equal(a[place], b[0])


@given(value=st.text(max_size=12))
def test_a_rejection_never_repeats_a_value(value: str) -> None:
    """Whatever the value, the detail is the same rule."""
    for feature in SCHEMA.features:
        if feature.type in (FieldType.STRING, FieldType.DATETIME):
            continue
        rules = {
            rejection.detail
            for text in (value, "another")
            for rejection in validate_rows(SCHEMA, [GOOD | {feature.name: text}], ["1"]).rejections
        }
        assert len(rules) == 1


@pytest.mark.parametrize("more", [0, 1, 300])
def test_unknown_fields_are_named_up_to_a_limit(more: int) -> None:
    """A file of another kind has hundreds in each record; the rest is counted, in either form."""
    names = [f"u{i:03d}" for i in range(MAX_UNKNOWN_FIELDS + more)]
    columns: dict[str, list[Any]] = {name: [None, None] for name in names}
    rows: list[dict[str, Any]] = [dict.fromkeys(names) for _ in range(2)]
    for found in (validate_rows(SCHEMA, rows, ["a", "b"]), validate_columns(SCHEMA, columns, "ab")):
        for rejection in found.rejections:
            unknown = [v for v in rejection.violations if v.code is RejectionCode.UNKNOWN_FIELD]
            assert [v.field for v in unknown[:MAX_UNKNOWN_FIELDS]] == names[:MAX_UNKNOWN_FIELDS]
            rest = [str(v) for v in unknown[MAX_UNKNOWN_FIELDS:]]
            said = f"has {more} more fields that this model does not know"
            assert rest == ([said] if more else [])
        assert len(found.rejections) == 2
