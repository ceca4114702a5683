"""Which feature is behind an encoded column, read from the encoder's own names."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
)

from bundling.reasons.provenance import NotSeparable, check_groups, feature_groups
from scoring.records import Column, RecordBatch
from tests.support.explained import numbers_batch

FRAME = pd.DataFrame(
    {
        "a": [1.0, 2.0, np.nan, 4.0],
        "b": [0.5, 0.25, 3.0, 1.0],
        "team": pd.Series(["x", "y", "x", "z"], dtype=object),
        "a_x": pd.Series(["p", "q", "p", "q"], dtype=object),
    }
)
NAMES = ["team", "a", "a_x", "b"]
"""The signature's order, another than the frame's."""


def one_hot() -> Any:
    """Whose outputs are called `team_x` and the like."""
    return OneHotEncoder(sparse_output=False)


@pytest.mark.parametrize(
    ("encoder", "groups"),
    [
        (make_column_transformer((one_hot(), ["team", "a_x"]), ("passthrough", ["b"])), "00022 3"),
        (
            make_column_transformer(
                (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["b", "a"]),
                (OrdinalEncoder(), ["team"]),
            ),
            "311 0",
        ),
        (
            make_pipeline(
                ColumnTransformer(
                    [("n", SimpleImputer(), ["a", "b"]), ("t", one_hot(), ["team"])],
                    verbose_feature_names_out=False,
                ).set_output(transform="pandas"),
                StandardScaler(),
            ),
            "13 000",
        ),
        (
            make_column_transformer(
                (make_union(StandardScaler(), KBinsDiscretizer(2, encode="ordinal")), ["b"]),
                (SimpleImputer(), ["a"]),
            ),
            "33 1",
        ),
        (make_column_transformer((PolynomialFeatures(3, include_bias=False), ["b"])), "333"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_one_feature_behind_each_column(encoder: Any, groups: str) -> None:
    """Through pipelines, unions, indicators and DataFrames between the steps."""
    before = repr(encoder.fit(FRAME).get_feature_names_out())
    assert feature_groups(encoder, NAMES) == [int(place) for place in groups.replace(" ", "")]
    assert repr(encoder.get_feature_names_out()) == before


def test_a_category_that_looks_like_a_mark() -> None:
    """Private-use characters in the data are not taken for features."""
    marks = [chr(0xF0003), chr(0x100003), "x" + chr(0xF0000)]
    frame = pd.DataFrame({"team": pd.Series(marks, dtype=object), "b": [1.0, 2.0, 3.0]})
    encoder = make_column_transformer((one_hot(), ["team"]), ("passthrough", ["b"])).fit(frame)
    assert feature_groups(encoder, NAMES) == [0, 0, 0, 3]


def test_a_column_with_the_name_of_a_category() -> None:
    """`a_x` is a feature, not category x of feature `a`."""
    frame = pd.DataFrame(
        {"a": pd.Series(["x", "y"], dtype=object), "a_x": pd.Series(["p", "q"], dtype=object)}
    )
    encoder = make_column_transformer((one_hot(), ["a"]), (OrdinalEncoder(), ["a_x"])).fit(frame)
    assert feature_groups(encoder, NAMES) == [1, 1, 2]


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        (make_column_transformer((PolynomialFeatures(2), ["b"])), "no feature"),
        (
            make_column_transformer(
                (
                    make_pipeline(SimpleImputer(), PolynomialFeatures(2, include_bias=False)),
                    ["a", "b"],
                )
            ),
            "several features",
        ),
        (
            make_column_transformer((make_pipeline(SimpleImputer(), PCA(1)), ["a", "b"])),
            "no feature",
        ),
        (make_column_transformer((CountVectorizer(), "team"), remainder="drop"), "no feature"),
        (make_column_transformer((FunctionTransformer(np.square), ["b"])), "does not name"),
    ],
)
def test_mixed_or_nameless_columns_are_not_separable(encoder: Any, words: str) -> None:
    """Constants, interactions, components, words of a text, and functions that name nothing."""
    frame = FRAME.assign(team=["one x", "two y", "three x", "two z"])
    with pytest.raises(NotSeparable, match=words):
        feature_groups(encoder.fit(frame), NAMES)


def test_a_column_that_is_not_in_the_signature() -> None:
    """The model takes something that no record carries."""
    encoder = make_column_transformer((StandardScaler(), ["b"])).fit(FRAME)
    with pytest.raises(NotSeparable, match="signature"):
        feature_groups(encoder, ["a", "b"])


def _encode(batch: RecordBatch) -> Column:
    """Column 0, and the sum of both columns."""
    return np.column_stack([batch.columns[0], batch.columns[0] + batch.columns[1]])


def test_names_that_lie_are_noticed() -> None:
    """A column that changes with another feature than the one in its name."""
    batch = numbers_batch(np.array([[1.0, 2.0], [3.0, 5.0], [3.0, 7.0]]))
    with pytest.raises(NotSeparable, match="changes with a feature"):
        check_groups(_encode, [0, 0], batch)
