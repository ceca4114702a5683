"""Encoders of categories and imputers as graphs: known, unseen, rare and missing values."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder

from bundling.native import NotCompilable
from bundling.parity.proof import TOLERANCE
from scoring.backends.onnx import NULL_TEXT, text_cell
from scoring.errors import ModelError
from scoring.validation import validate_rows
from tests.support.compiling import Compiled, compile_fitted, table

OPTIONAL = ("s", "t", "x")
TEXT = ("s", "t")


def frame(gaps: bool = False) -> pd.DataFrame:
    """240 records of two texts, a whole number, a flag and a float, perhaps with nulls."""
    rng = np.random.default_rng(0)
    made = pd.DataFrame(
        {
            "s": rng.choice(["a", "b", "c"], 240),
            "t": rng.choice(["u", "v", "w", "b"], 240, p=[0.6, 0.3, 0.08, 0.02]),
            "n": rng.integers(0, 4, 240),
            "flag": rng.random(240) < 0.5,
            "x": rng.normal(size=240),
        }
    )
    if gaps:
        made.loc[::5, "s"] = None
        made.loc[::7, "t"] = None
        made.loc[::6, "x"] = np.nan
    return made


def target(classes: int = 0) -> Any:
    """A value, or whole numbers."""
    whole = frame()
    value = whole["x"] + whole["n"] + 2 * (whole["s"] == "a") - (whole["t"] == "u")
    return value if not classes else np.digitize(value, np.arange(classes - 1))


def fitted(
    encoder: Any, columns: list[str], gaps: bool = False, numbers: Any = "passthrough", **fit: Any
) -> Any:
    """An encoder of some columns, text first, and a model that minds every bit of them."""
    parts = [("coded", encoder, columns), ("numbers", numbers, ["x"])]
    model = HistGradientBoostingRegressor(max_iter=10, min_samples_leaf=2)
    return make_pipeline(ColumnTransformer(parts), model).fit(frame(gaps), target(**fit))


def check(model: Any, work: Path, gaps: bool = False) -> Compiled:
    """The graph gives the model's values, in any batch the same."""
    compiled = compile_fitted(model, frame(gaps), work, optional=OPTIONAL if gaps else ())
    assert compiled.difference() < TOLERANCE
    assert compiled.width() is None
    return compiled


ENCODERS = [
    OneHotEncoder(handle_unknown="ignore"),
    OneHotEncoder(handle_unknown="ignore", drop="if_binary"),
    OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=30),
    OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=2, drop="first"),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, min_frequency=30),
    TargetEncoder(cv=KFold(3)),
]


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("columns", [["s", "t"], ["n"], ["n", "s", "flag"], ["t"]])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_text_and_numbers_are_encoded(encoder: Any, columns: list[str], tmp_path: Path) -> None:
    """Also both together, in the encoder's own order, and values that were never seen."""
    model = fitted(encoder, columns)
    if isinstance(encoder, TargetEncoder) and columns == ["n", "s", "flag"]:
        with pytest.raises(NotCompilable, match="text and numbers together"):
            check(model, tmp_path)
    else:
        check(model, tmp_path)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("encoder", [*ENCODERS, OrdinalEncoder(encoded_missing_value=-2)])
def test_nulls_are_a_category_or_unseen(encoder: Any, tmp_path: Path) -> None:
    """A null in text is told from every text."""
    compiled = check(fitted(encoder, ["s", "t"], gaps=True), tmp_path, gaps=True)
    assert None in compiled.batch.columns[0]


@pytest.mark.parametrize("columns", [["s", "t"], ["n"]])
def test_a_target_encoder_of_several_classes(columns: list[str], tmp_path: Path) -> None:
    """One code per class and column, for text and for numbers."""
    check(fitted(TargetEncoder(cv=KFold(3)), columns, classes=3), tmp_path)


@pytest.mark.parametrize(
    "encoder", [OneHotEncoder(), OneHotEncoder(drop="first"), OrdinalEncoder()]
)
@pytest.mark.parametrize("field", ["s", "n"])
def test_an_encoder_that_refuses_unseen_values(encoder: Any, field: str, tmp_path: Path) -> None:
    """Is compiled to a graph that refuses them: here a value that another column knows."""
    model = fitted(encoder, ["s", "t", "n"])
    compiled = check(model, tmp_path)
    known = {"s": "a", "t": "u", "n": 1, "flag": True, "x": 0.0}
    row = {**known, field: {"s": "u", "n": 7}[field]}
    batch = validate_rows(compiled.schema, [known, row], ["known", "unseen"]).batch
    compiled.backend.compute(batch.slice(0, 1))
    with pytest.raises(ValueError, match="unknown categories"):
        model.predict(table(compiled.schema, batch))
    with pytest.raises(ModelError):
        compiled.backend.compute(batch)


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "median"},
        {"strategy": "mean", "add_indicator": True},
        {"strategy": "constant", "fill_value": -1.0},
        {"missing_values": 0, "strategy": "most_frequent"},
    ],
)
def test_numbers_are_filled_in(options: dict[str, Any], tmp_path: Path) -> None:
    """In float64, with and without an indicator."""
    gaps = "missing_values" not in options
    filler = make_pipeline(SimpleImputer(**options), StandardScaler())
    columns = ColumnTransformer(
        [("t", OneHotEncoder(handle_unknown="ignore"), ["s"]), ("n", filler, ["n", "x"])]
    )
    check(make_pipeline(columns, Ridge()).fit(frame(gaps), target()), tmp_path, gaps)


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "most_frequent"},
        {"strategy": "constant", "fill_value": "unseen category"},
        {"missing_values": "u", "strategy": "constant", "fill_value": "v"},
    ],
)
def test_text_is_filled_in(options: dict[str, Any], tmp_path: Path) -> None:
    """A null becomes the fill value; so does a word that stands for one."""
    gaps = "missing_values" not in options
    codes = make_pipeline(SimpleImputer(**options), OneHotEncoder(handle_unknown="ignore"))
    check(fitted(codes, ["s", "t"], gaps), tmp_path, gaps)


def test_no_text_is_taken_for_a_null(tmp_path: Path) -> None:
    """Not even the one that stands for it in the graph, nor one that stands for that."""
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
    )
    model = fitted(codes, ["s", "t"], gaps=True)
    compiled = check(model, tmp_path, gaps=True)
    texts = [None, "", NULL_TEXT, NULL_TEXT * 2, "None", "nan", "<NA>"]
    rows = [{"s": s, "t": "u", "n": 1, "flag": True, "x": 0.0} for s in texts]
    batch = validate_rows(compiled.schema, rows, [str(i) for i in range(len(rows))]).batch
    expected = model.predict(table(compiled.schema, batch))
    np.testing.assert_allclose(compiled.backend.compute(batch)["output_0"], expected, atol=1e-9)
    assert len({text_cell(text) for text in texts}) == len(texts)


def test_a_category_like_the_null_keeps_its_own_code(tmp_path: Path) -> None:
    """A model may have been trained with the very character."""
    made = frame(gaps=True)
    made.loc[1::5, "s"] = NULL_TEXT
    codes = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("t", codes, list(TEXT)), ("x", SimpleImputer(), ["x"])])
    model = make_pipeline(columns, Ridge()).fit(made, target())
    compiled = compile_fitted(model, made, tmp_path, optional=OPTIONAL)
    assert compiled.difference() < TOLERANCE
