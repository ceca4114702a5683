"""A column as a list, as an array and as codes: one verdict, the same bits."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.records import Column
from scoring.schema import Feature, FieldType
from scoring.values import MISSING, Checked, Coded, Values, check_values

EDGES = (
    *(bound + step for bound in (2**31, -(2**31), 2**53, 2**63, -(2**63)) for step in (-1, 0, 1)),
    *(3.0, 2.5, -0.0, 0.0, 5e-324, 3.4028236e38, 1e308, float("inf"), float("-inf"), float("nan")),
)
TIMES = st.datetimes(datetime(1600, 1, 1), datetime(2300, 1, 1)) | st.datetimes()
VALID: Mapping[FieldType, st.SearchStrategy[Any]] = {
    FieldType.BOOLEAN: st.booleans(),
    FieldType.INTEGER: st.integers(-(2**31), 2**31 - 1),
    FieldType.LONG: st.integers(-(2**63), 2**63 - 1),
    FieldType.FLOAT: st.floats(width=32),
    FieldType.DOUBLE: st.floats(),
    FieldType.STRING: st.text(max_size=3),
    FieldType.DATETIME: TIMES | TIMES.map(datetime.isoformat),
}
ANYTHING = st.one_of(
    st.none(), st.just(MISSING), st.booleans(), st.sampled_from(EDGES), st.text(max_size=3),
    TIMES, st.just([1]), st.just(b""),
)  # fmt: skip
ARRAYS: Mapping[str, st.SearchStrategy[Any]] = {
    "?": st.booleans(),
    "i1": st.integers(-(2**7), 2**7 - 1),
    "i8": st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2),
    "u8": st.integers(0, 2**64 - 1),
    "f4": st.floats(width=32),
    "f8": st.floats() | st.sampled_from([e for e in EDGES if isinstance(e, float)]),
    "M8[us]": st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**53), 2**53),
    "M8[s]": st.integers(-(2**40), 2**40) | st.just(-(2**63)),
}
"""What arrays of each dtype hold; -(2**63) is NaT in one of times."""

FEATURES = st.builds(Feature, st.just("f"), st.sampled_from(FieldType), st.booleans())


def told(checked: Checked) -> tuple[Any, ...]:
    """Everything that counts about a column that was checked."""
    column, found = checked
    return str(column.dtype), bits(column), found


def bits(column: Column) -> Any:
    """The bytes of a column, or the type and the value of each object in it."""
    if column.dtype == object:
        return [(type(value), value) for value in column.tolist()]
    return column.tobytes()


def alone(feature: Feature, values: Values) -> tuple[Any, ...]:
    """The same as `told` of each value checked by itself."""
    checked = [check_values(feature, [value]) for value in values]
    found = [(i, violation) for i, (_, broken) in enumerate(checked) for _, violation in broken]
    column = np.concatenate([np.empty(0, feature.dtype), *(column for column, _ in checked)])
    return told((column, found))


@settings(deadline=None, max_examples=400)
@given(data=st.data(), feature=FEATURES)
def test_codes_are_checked_like_the_values_they_stand_for(
    data: st.DataObject, feature: Feature
) -> None:
    """Whatever is wrong with some values, and whatever stands there unused."""
    good = VALID[feature.type]
    distinct = data.draw(st.lists(st.one_of(good, good, ANYTHING), max_size=5))
    places = st.integers(0, len(distinct) - 1) if distinct else st.nothing()
    codes = data.draw(st.lists(places, max_size=20 if distinct else 0))
    coded = Coded(distinct, np.array(codes, dtype=np.int32))
    spelled_out = [distinct[code] for code in codes]
    assert told(check_values(feature, coded)) == told(check_values(feature, spelled_out))
    assert told(check_values(feature, coded)) == alone(feature, spelled_out)


@settings(deadline=None, max_examples=400)
@given(data=st.data(), feature=FEATURES, kind=st.sampled_from(sorted(ARRAYS)))
def test_an_array_is_checked_like_its_values(
    data: st.DataObject, feature: Feature, kind: str
) -> None:
    """NaN, NaT and numbers out of range included."""
    drawn = data.draw(st.lists(ARRAYS[kind], max_size=12))
    array = np.array(drawn, dtype="i8" if "M8" in kind else kind).view(kind)
    assert told(check_values(feature, array)) == alone(feature, array.tolist())


EDGE_TIMES = (
    *("1677-12-31T23:59:59.999999", "1678-01-01", "1969-12-31T23:59:59.999999"),
    *("2261-12-31T23:59:59.999999", "2262-01-01", "9999-12-31", "10000-01-01", "NaT"),
)


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("kind", FieldType)
def test_an_array_at_the_edge_of_a_type(kind: FieldType, required: bool) -> None:
    """One such value beside an ordinary one is told from it."""
    feature = Feature("f", kind, required)
    arrays: list[Column] = [np.array([1, e]) for e in EDGES if -(2**63) <= e < 2**63 or e != e]
    arrays += [np.array([1.0, e]) for e in EDGES]
    arrays += [np.array(["2026-03-02", t], dtype="M8[us]") for t in EDGE_TIMES]
    for array in arrays:
        assert told(check_values(feature, array)) == alone(feature, array.tolist()), array


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("kind", FieldType)
def test_an_unused_value_does_not_count(kind: FieldType, required: bool) -> None:
    """A dictionary may hold what no record has, such as the values of records filtered out."""
    feature = Feature("f", kind, required)
    column, found = check_values(feature, Coded([b"", None], np.empty(0, np.int32)))
    assert (column.dtype, len(column), found) == (feature.dtype, 0, [])
    good = {FieldType.BOOLEAN: True, FieldType.STRING: "a", FieldType.DATETIME: "2026-03-02"}
    coded = Coded([b"", good.get(kind, 1), [2]], np.array([1, 1], np.int32))
    assert check_values(feature, coded)[1] == []


@pytest.mark.parametrize("form", [list, np.array])
def test_each_bad_value_of_many_is_found_where_it_stands(form: Any) -> None:
    """Good values around it, near or far, have their bits."""
    values = [float(i) for i in range(2000)]
    for position in (0, 511, 512, 1999):
        values[position] = float("inf")
    column, found = check_values(Feature("f", FieldType.DOUBLE), form(values))
    assert [position for position, _ in found] == [0, 511, 512, 1999]
    assert column.tolist() == [0.0 if v == float("inf") else v for v in values]


def test_codes_are_a_sequence() -> None:
    """Of the values they stand for; a slice shares the distinct ones."""
    coded = Coded(["a", None], np.array([0, 1, 0], dtype=np.int32))
    assert (len(coded), list(coded), coded[1], coded[-1]) == (3, ["a", None, "a"], None, "a")
    assert list(coded[1:]) == [None, "a"]
    assert coded[1:].distinct is coded.distinct
