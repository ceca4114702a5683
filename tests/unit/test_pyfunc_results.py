"""Whatever form a model's result has, it is one column per output, or an error that says why."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scoring.backends.results import joined, raw_columns, raw_names
from scoring.errors import BundleError, ModelError

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456)


def columns_of(result: Any, count: int = 2) -> dict[str, list[Any]]:
    """The columns of a result under the names of its first trial."""
    found = raw_columns(result, raw_names(result, None), count)
    return {name: column.tolist() for name, column in found.items()}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (np.array([1.5, 2.5]), {"prediction": [1.5, 2.5]}),
        (np.array([[1.5], [2.5]]), {"prediction": [1.5, 2.5]}),
        (pd.Series([1.5, 2.5], name="y"), {"prediction": [1.5, 2.5]}),
        ([1.5, 2], {"prediction": [1.5, 2.0]}),
        (["a", "b"], {"prediction": ["a", "b"]}),
        ([[0.1, 0.9], [0.2, 0.8]], {"prediction_0": [0.1, 0.2], "prediction_1": [0.9, 0.8]}),
        ([np.array([1, 2]), np.array([3, 4])], {"prediction_0": [1, 3], "prediction_1": [2, 4]}),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), {"a": [1, 2], "b": ["x", "y"]}),
        (pd.DataFrame(np.eye(2)), {"prediction_0": [1.0, 0.0], "prediction_1": [0.0, 1.0]}),
        (pd.DataFrame({"p": [[0.1, 0.9], [0.2, 0.8]]}), {"p_0": [0.1, 0.2], "p_1": [0.9, 0.8]}),
        ({"a": np.array([1, 2]), "b": [True, False]}, {"a": [1, 2], "b": [True, False]}),
        ({"p": np.array([[1.0, 2.0], [3.0, 4.0]])}, {"p_0": [1.0, 3.0], "p_1": [2.0, 4.0]}),
        ({"p": np.array([[1.0], [3.0]])}, {"p": [1.0, 3.0]}),
        (pd.DataFrame({"p": [[1.0], [3.0]]}), {"p_0": [1.0, 3.0]}),
        ([[1.0], [3.0]], {"prediction": [1.0, 3.0]}),
        ([{"a": 1, "p": [1, 2]}, {"p": [3, 4]}], {"a": [1, None], "p_0": [1, 3], "p_1": [2, 4]}),
    ],
)  # fmt: skip
def test_every_form_of_a_result(result: Any, expected: dict[str, list[Any]]) -> None:
    """Tables give their names; values without names are counted; vectors are spread out."""
    assert columns_of(result) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0.1, 0.2], np.float32), [float(np.float32(0.1)), float(np.float32(0.2))]),
        (np.array([1, 2], np.int8), [1, 2]),
        (np.array([1, 2**63 - 1], np.uint64), [1, 2**63 - 1]),
        (np.array([True, False]), [True, False]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([NOON, "NaT"], "datetime64[ns]"), ["2026-03-02T12:00:00.123456", None]),
        (np.array(["2026-03-02", "NaT"], "datetime64[D]"), ["2026-03-02", None]),
        (pd.Series(["a", None]), ["a", None]),
        (pd.Series(["a", None], dtype="string"), ["a", None]),
        (pd.Series(["a", None], dtype="category"), ["a", None]),
        (pd.Series([2**53 + 1, None], dtype="Int64"), [2**53 + 1, None]),
        (pd.Series([True, None], dtype="boolean"), [True, None]),
        (pd.Series([NOON, NOON]).dt.tz_localize(UTC), ["2026-03-02T12:00:00.123456+00:00"] * 2),
        ([date(2026, 3, 2), NOON], ["2026-03-02", "2026-03-02T12:00:00.123456"]),
        ([Decimal("0.1"), Decimal(2)], [0.1, 2.0]),
        (["a", None], ["a", None]),
        (["a", float("nan")], ["a", None]),
        (["a", 1], ["a", "1"]),
        ([np.str_("a"), np.str_("b")], ["a", "b"]),
        ([1, None], [1, None]),
        ([None, None], [None, None]),
        ([True, np.bool_(False)], [True, False]),
    ],
)
def test_every_type_of_a_value(values: Any, expected: list[Any]) -> None:
    """Floats are doubles exactly, times ISO 8601, and a null of any kind is None, never text."""
    found = raw_columns({"y": values}, ["y"], 2)["y"]
    assert found.tolist() == expected
    assert [type(v) for v in found.tolist()] == [type(v) for v in expected]


def test_a_null_among_floats_is_not_a_number() -> None:
    """It stays in an array of doubles, and scoring rejects it."""
    for values in ([1.5, None], pd.Series([1.5, None], dtype="Float64"), np.array([1.5, np.nan])):
        column = raw_columns({"y": values}, ["y"], 2)["y"]
        assert column.dtype == np.float64
        assert np.isnan(column).tolist() == [False, True]


@pytest.mark.parametrize(
    "result",
    [
        5, "ab", None, np.float64(1.0), [1.0], [1.0, 2.0, 3.0], np.zeros((2, 3)), np.zeros((3, 2)),
        np.zeros((2, 2, 2)), {"z": [1.0, 2.0]}, {"prediction": 1.0}, {"prediction": [1.0]},
        [[1.0], [2.0, 3.0]], {"prediction": [[1.0], [2.0, 3.0]]},
        {"prediction": [{"a": 1}, {"a": 2}]}, {"prediction": [b"a", b"b"]},
        {"prediction": np.array([1, 2**63], np.uint64)}, {"prediction": [1, 2**70]},
        {"prediction": np.array([1j, 2j])},
    ],
)  # fmt: skip
def test_what_is_no_value_per_record_is_a_model_error(result: Any) -> None:
    """A scalar, another length, another width, or values that are no output."""
    with pytest.raises(ModelError):
        raw_columns(result, ["prediction"], 2)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (5, "one value or one row"),
        (np.zeros((2, 2, 2)), "one value or one row"),
        ({1: [1.0]}, "no string"),
        ({"": [1.0]}, "or empty"),
        (pd.DataFrame([[1, 2]], columns=[("a", "b"), ("a", "c")]), "no string"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns 'a'"),
        ({"p_0": [1.0], "p": [[1.0, 2.0]]}, "two columns 'p_0'"),
        ({"p": [[1.0], [2.0, 3.0]]}, "several lengths"),
    ],
)
def test_names_that_cannot_be_used_are_refused_at_packaging(result: Any, words: str) -> None:
    """In one sentence that says what is wrong with the model's columns."""
    with pytest.raises(BundleError, match=words):
        raw_names(result, None)


def test_class_labels_name_a_matrix_of_their_width() -> None:
    """Other widths are counted."""
    assert raw_names(np.zeros((2, 2)), ["No", "Yes"]) == ["No", "Yes"]
    assert raw_names(np.zeros((2, 3)), ["No", "Yes"]) == [f"prediction_{i}" for i in range(3)]


def test_columns_of_several_kinds_are_joined_as_objects() -> None:
    """No integer passes through a float, and no number through text."""
    parts = [np.array([2**53 + 1]), np.array([0.5]), np.array(["a"], dtype=object)]
    assert joined(parts).tolist() == [2**53 + 1, 0.5, "a"]
    assert joined(parts[:1] * 2).dtype == np.int64
